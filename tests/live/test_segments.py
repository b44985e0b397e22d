# SPDX-License-Identifier: BSD-2-Clause
"""Segments as no polite sender cuts them, in both roles, and resets in every phase."""
import socket
import struct
import time

import pytest

from cgroups import Cgroup
from handmade import ACK, RST, SYN, Peer
from network import Side, Veth

PORT = 80
BODY = b"0123456789" * 80
REQUEST = (b"POST /%s HTTP/1.1\r\nHost: h\r\nContent-Length: 800\r\nX-Pad: " + b"p" * 100
           + b"\r\n\r\n" + BODY)
RESPONSE = (b"HTTP/1.1 200 OK\r\nX-Request-Id: %s\r\nContent-Length: 800\r\nX-Pad: " + b"p" * 100
            + b"\r\n\r\n" + BODY)
END = len(REQUEST)  # the shorter one; what is behind comes last, in a segment of its own
# Parts of a message in the order in which they arrive. Where they overlap the bytes are the same.
ORDERS = {
    "in-order": [(0, 300), (300, END)],
    "bytes": [(i, i + 1) for i in range(200)] + [(200, END)],
    "twice": [(0, 300), (300, END), (0, 300), (300, END)],
    "resent-longer": [(0, 20), (0, 200), (0, END)],
    "resent-cut-otherwise": [(0, 300), (300, 600), (0, 150), (150, 450), (450, END)],
    "overlap-behind": [(0, 400), (200, 700), (600, END)],
    "overlap-ahead": [(300, 700), (0, 400), (500, END)],
    "overlap-both": [(0, 100), (300, 500), (50, 600), (600, END)],
    "hole-in-head": [(0, 30), (60, 300), (30, 60), (300, END)],
    "hole-in-body": [(0, 300), (500, END), (300, 500)],
    "backwards": [(600, END), (300, 600), (100, 300), (0, 100)],
    "backwards-overlapping": [(500, END), (250, 600), (90, 300), (0, 100)],
    "contained": [(0, END), (100, 200), (0, 10), (END - 10, END)],
    "first-byte-last": [(1, END), (0, 1)],
    "head-last": [(200, END), (0, 200)],
}


@pytest.fixture
def side():
    """The kernel's end of a link to a peer that is made by hand."""
    made = Side("10.99.0.1", "10.99.0.2")
    yield made
    made.close()


class Served:
    """The kernel is the server: requests arrive by hand."""

    role = "server"

    def __init__(self, side, cgroup, acknowledge=True):
        with side.inside():
            self._listener = cgroup.listener(side.address)
        self.peer = Peer(side, "10.99.0.2", 40000)
        self.peer.connect(self._listener.getsockname()[1], acknowledge)
        self.sock = None

    def exchange(self, name, pieces=None, fin=False, request=REQUEST):
        """Pieces and fin are those of the message that arrives."""
        request, response = request % name, RESPONSE % name
        self.peer.send(request, pieces, fin)
        if not self.sock:
            self.sock, _ = self._listener.accept()
            self._listener.close()
            self.sock.settimeout(5)
        got = b""
        while len(got) < len(request):
            got += self.sock.recv(4096)
        assert got == request
        self.sock.sendall(response)
        assert self.peer.receive(response[-10:]) == response


class Sent:
    """The kernel is the client: responses arrive by hand."""

    role = "client"

    def __init__(self, side, cgroup):
        with side.inside(), cgroup.inside():
            self.sock = socket.socket()
        self.sock.setblocking(False)
        self.peer = Peer(side, "10.99.0.2", PORT)
        self.sock.connect_ex(("10.99.0.2", PORT))
        self.peer.accept()
        self.sock.settimeout(5)

    def exchange(self, name, pieces=None, fin=False, response=RESPONSE):
        request, response = REQUEST % name, response % name
        self.sock.sendall(request)
        assert self.peer.receive(request[-10:]) == request
        self.peer.send(response, pieces, fin)
        got = b""
        while len(got) < len(response):
            got += self.sock.recv(4096)
        assert got == response


def check_exchanges(watching, role, names):
    """One whole and exact event for each."""
    watching.wait(len(names))
    time.sleep(0.1)
    events = watching.stop()
    assert [e["request_target"] for e in events] == [f"/{name}" for name in names]
    for event, name in zip(events, names):
        assert event["role"] == role
        assert event["headers"]["response"]["x-request-id"] == [name]
        assert (event["end"], event["status"]) == ("complete", 200)
        assert event["request_body_bytes"] == event["response_body_bytes"] == len(BODY)
        assert event["request_head_bytes"] == len(REQUEST % name.encode()) - len(BODY)
        assert event["response_head_bytes"] == len(RESPONSE % name.encode()) - len(BODY)
        assert not {"gap", "truncated", "no_response", "mid_message"} & set(event["flags"])
    watching.check_sums(delivered=len(names))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernel", [Served, Sent], ids=["server", "client"])
def test_order(kernel, order, side, cgroup, watch):
    """The last byte of the last message and the FIN share a segment."""
    watching = watch(cgroup)
    ends = kernel(side, cgroup)
    names = ["before", "odd", "after", "last"]
    for name in names:
        message = (REQUEST if kernel is Served else RESPONSE) % name.encode()
        pieces = [(start, end if end < END else len(message)) for start, end in ORDERS[order]]
        ends.exchange(name.encode(), pieces if name in ("odd", "last") else None, name == "last")
    ends.sock.close()
    check_exchanges(watching, kernel.role, names)


@pytest.mark.parametrize("order", ORDERS)
def test_order_with_handshake(order, side, cgroup, watch):
    """The pure acknowledgement of the handshake is lost or late: whichever data comes first
    arrives before the connection has a socket of its own."""
    watching = watch(cgroup)
    ends = Served(side, cgroup, acknowledge=False)
    message = REQUEST % b"first"
    ends.exchange(b"first", [(a, b if b < END else len(message)) for a, b in ORDERS[order]])
    ends.exchange(b"after")
    ends.sock.close()
    check_exchanges(watching, "server", ["first", "after"])


@pytest.mark.parametrize("cut", [1, 15, 60, len(RESPONSE) - len(BODY) - 1])
@pytest.mark.parametrize("role", ["server", "client"])
def test_head_around_the_other_direction(role, cut, cgroup, watch):
    """Pipelining: the start of a head shares a segment with the message before it, and a segment
    of the other direction comes before its rest."""
    other = Cgroup()
    with other:
        listener = (cgroup if role == "server" else other).listener()
        client = (other if role == "server" else cgroup).connect(listener.getsockname())
        server, _ = listener.accept()
        listener.close()
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(5)
        watching = watch(cgroup)
        requests = [REQUEST % b"%d" % i for i in range(4)]
        responses = [RESPONSE % b"%d" % i for i in range(4)]

        def pass_on(sender, receiver, data):
            sender.sendall(data)
            while data:
                data = data[len(receiver.recv(4096)):]

        pass_on(client, server, requests[0] + requests[1])
        pass_on(server, client, responses[0] + responses[1][:cut])
        pass_on(client, server, requests[2] + requests[3][:cut])
        pass_on(server, client, responses[1][cut:])
        pass_on(client, server, requests[3][cut:])
        pass_on(server, client, responses[2] + responses[3])
        client.close()
        server.close()
        check_exchanges(watching, role, ["0", "1", "2", "3"])


LINE = b"the quick brown fox jumps over the lazy dog, 0123456789 times; "
CHUNK = b"%x\r\n%s\r\n" % (24 * len(LINE), 24 * LINE)
CHUNKS = 6 * CHUNK + b"0\r\n\r\n"
CHUNKED = {"server": b"POST /%s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
           "client": b"HTTP/1.1 200 OK\r\nX-Request-Id: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
           + CHUNKS}
# Where it is cut, from the end: behind the captured bytes, where the end is known by its looks only.
LAST_CHUNK = len(CHUNK) + 5
CHUNKED_ORDERS = {
    "in-order": [(9999, 4000), (4000, 1400), (1400, 0)],
    "cut-before-crlf": [(9999, LAST_CHUNK - 3), (LAST_CHUNK - 3, 0)],
    "cut-in-crlf": [(9999, LAST_CHUNK - 4), (LAST_CHUNK - 4, 0)],
    "cut-often-before-crlf": [(9999, 7700), (7700, 6300), (6300, 4900), (4900, LAST_CHUNK - 3),
                              (LAST_CHUNK - 3, 0)],
    "cut-in-last-chunk": [(9999, 4), (4, 0)],
    "end-early": [(9999, 5000), (1000, 0), (5000, 1000)],
    "end-first": [(1000, 0), (9999, 5000), (5000, 1000)],
    "end-in-holes": [(8000, 6000), (6000, 4000), (1000, 0), (9999, 8000), (2500, 1000),
                     (4000, 2500)],
}


@pytest.mark.parametrize("order", CHUNKED_ORDERS)
@pytest.mark.parametrize("kernel", [Served, Sent], ids=["server", "client"])
def test_chunked_order(kernel, order, side, cgroup, watch):
    """A chunked message that arrives, and another with the FIN."""
    watching = watch(cgroup)
    ends = kernel(side, cgroup)
    names = ["before", "odd", "after", "last"]
    for name in names:
        if name in ("odd", "last"):
            message = CHUNKED[kernel.role]
            end = len(message % name.encode())
            pieces = [(max(0, end - a), end - b) for a, b in CHUNKED_ORDERS[order]]
            ends.exchange(name.encode(), pieces, name == "last", message)
        else:
            ends.exchange(name.encode())
    ends.sock.close()
    watching.wait(len(names))
    time.sleep(0.1)
    events = watching.stop()
    arrived = "request_body_bytes" if kernel is Served else "response_body_bytes"
    assert [(e["request_target"], e["end"], e["status"], e[arrived]) for e in events] == [
        (f"/{name}", "complete", 200, body) for name, body in
        zip(names, 2 * [len(BODY), len(CHUNKS)])]
    watching.check_sums(delivered=len(names))


# What a third party that does not know the numbers sends. The kernel answers a reset that is in the
# window, but not its next byte, with a challenge (RFC 5961); the connection lives on.
BLIND = {"far-behind": (-2**30, RST), "far-ahead": (2**30, RST), "behind": (-1, RST),
         "in-window": (100, RST), "in-window-ack": (100, RST | ACK), "syn": (100, SYN)}


@pytest.mark.parametrize("blind", BLIND)
@pytest.mark.parametrize("kernel", [Served, Sent], ids=["server", "client"])
def test_blind_reset(kernel, blind, side, cgroup, watch):
    offset, flags = BLIND[blind]
    watching = watch(cgroup)
    ends = kernel(side, cgroup)
    ends.exchange(b"before")
    ends.peer.segment(ends.peer.sent + offset, flags=flags)
    ends.exchange(b"between")
    # Again, in the middle of a message.
    message = (REQUEST if kernel is Served else RESPONSE) % b"after"
    send = ends.peer.send

    def interrupted(data, *_):
        ends.peer.segment(ends.peer.sent, data[:300])
        ends.peer.segment(ends.peer.sent + 300 + offset, flags=flags)
        send(data, [(300, len(message))])

    ends.peer.send = interrupted
    ends.exchange(b"after")
    ends.sock.close()
    check_exchanges(watching, kernel.role, ["before", "between", "after"])


# What was sent by client and server when the reset comes.
PHASES = {"idle": (0, 0), "in-request-head": (50, 0), "in-request-body": (500, 0),
          "waiting": (None, 0), "in-response-head": (None, 50), "in-response-body": (None, 500),
          "complete": (None, None)}


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("phase", PHASES)
def test_reset(phase, who, programs, cgroup, watch):
    """Both ends are watched; a connection without a reset comes after."""
    with Cgroup() as clients, Veth(programs.load("netem")) as net:
        with net.server.inside():
            listener = cgroup.listener(net.server.address)
        watches = {"server": watch(cgroup), "client": watch(clients)}
        for name, (sent, answered) in ((b"reset", PHASES[phase]), (b"whole", (None, None))):
            with net.client.inside():
                client = clients.connect(listener.getsockname())
            server, _ = listener.accept()
            server.settimeout(5)
            for sock, other, data in ((client, server, (REQUEST % name)[:sent]),
                                      (server, client, (RESPONSE % name)[:answered])):
                sock.sendall(data)
                while data:
                    data = data[len(other.recv(4096)):]
            ends = {"client": client, "server": server}
            if name == b"reset":
                ends[who].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ends.pop(who).close()
            other, = ends.values()
            if name == b"reset":
                with pytest.raises(ConnectionResetError):
                    other.recv(1)
            other.close()
        listener.close()
        for role, watching in watches.items():
            watching.wait(1 + (phase not in ("idle", "in-request-head")))
            time.sleep(0.1)
            events = watching.stop()
            check_reset(watching, events, phase, by_us=role == who)


def check_reset(watching, events, phase, by_us):
    whole = [e for e in events if e["request_target"] == "/whole"]
    assert len(whole) == 1 and whole[0]["end"] == "complete"
    others = [e for e in events if e not in whole]
    watching.check_sums()
    assert watching.stats["outstanding"] == 0
    if phase == "idle":
        assert not others
    elif phase == "in-request-head":
        # Not a request yet: it may be counted or reported, but with nothing that was not sent.
        assert len(others) + sum(watching.stats["dropped"].values()) <= 1
    else:
        event, = others
        assert not any(watching.stats["dropped"].values())
        end = "reset by us" if by_us else "reset by peer"
        assert event["end"] == ("complete" if phase == "complete" else end)
        assert event["request_target"] == "/reset"
        seen = {"waiting": 0, "in-request-body": 0}.get(phase, 200)
        assert (event["status"] or 0) == seen
        sent, answered = PHASES[phase]
        head = len(REQUEST % b"reset") - len(BODY)
        assert event["request_body_bytes"] == (len(BODY) if sent is None else sent - head)
        if seen and phase != "in-response-head":
            head = len(RESPONSE % b"reset") - len(BODY)
            assert event["response_body_bytes"] == (
                len(BODY) if answered is None else answered - head)
