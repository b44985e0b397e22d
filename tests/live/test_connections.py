# SPDX-License-Identifier: BSD-2-Clause
"""Connections that begin, or run, in unusual ways."""
import contextlib
import socket
import threading
import time

import pytest

from compare import check_wire
from network import Namespace, Side
from wire import Connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MSG_FASTOPEN = 0x20000000


def two_exchanges(connection, listener, sent):
    """Serves the request that is under way, and another."""
    served, _ = listener.accept()
    served.settimeout(10)
    seen = []
    for target in ("/second", None):
        served.recv(4096)
        served.sendall(OK)
        seen.append(connection.receive(sent))
        if target:
            sent = connection.send("GET", target)
    served.close()
    return seen


def check_two(watching, seen, cgroup):
    watching.wait(2)
    events = watching.stop()
    assert [e["request_target"] for e in events] == ["/first", "/second"]
    for event, wire in zip(events, seen):
        check_wire(event, wire, cgroup)
    assert [e["ordinal"] for e in events] == [1, 2]
    assert events[0]["connection_id"] == events[1]["connection_id"]
    watching.check_sums(delivered=2)
    assert watching.stats["connections_seen"] == 1


def test_defer_accept(cgroup, watch):
    """The first request arrives before the connection's own socket exists."""
    listener = cgroup.listener()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
    watching = watch(cgroup)
    with Connection(listener.getsockname()) as connection:
        time.sleep(0.05)
        sent = connection.send("GET", "/first")
        seen = two_exchanges(connection, listener, sent)
    listener.close()
    check_two(watching, seen, cgroup)


def test_fast_open(cgroup, watch):
    """The first request arrives with the SYN (RFC 7413)."""
    side = Side("10.99.0.1", "10.99.0.2")
    with side.inside():
        with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as f:
            f.write(str(0x1 | 0x2 | 0x4 | 0x200 | 0x400))  # both ends, without cookies
        listener = cgroup.listener(side.address)
        watching = watch(cgroup)
        sock = socket.socket()
    address = listener.getsockname()
    head = f"GET /first HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nUser-Agent: wire\r\n\r\n"
    start = time.monotonic_ns()
    assert sock.sendto(head.encode(), MSG_FASTOPEN, address) == len(head)
    with Connection(address, sock) as connection:
        sent = {"method": "GET", "target": "/first", "framing": "none", "length": 0,
                "request_head": len(head), "request_body": 0, "close": False,
                "port": connection.port, "authority": connection.authority, "start": start}
        seen = two_exchanges(connection, listener, sent)
    listener.close()
    side.close()
    check_two(watching, seen, cgroup)


def test_multipath_tcp(cgroup, watch):
    """MPTCP's subflows (RFC 8684) are ordinary TCP sockets of the cgroup."""
    try:
        with cgroup.inside():
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
    except OSError as error:
        pytest.skip(f"no MPTCP: {error}")
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    watching = watch(cgroup)
    address = listener.getsockname()
    sock.connect(address)
    with Connection(address, sock) as connection:
        sent = connection.send("GET", "/first")
        seen = two_exchanges(connection, listener, sent)
    listener.close()
    check_two(watching, seen, cgroup)


def test_idle_connections_cost_no_events(cgroup, watch, play):
    """Connections that only open and close are nothing."""
    watching = watch(cgroup)
    for _ in range(20):
        client, served = play()
        client.sock.close()
        served.close()
    client, served = play()
    sent = client.send("GET", "/only")
    served.recv(4096)
    served.sendall(OK)
    client.receive(sent)
    watching.wait(1)
    assert [e["request_target"] for e in watching.stop()] == ["/only"]
    watching.check_sums(delivered=1)
    assert watching.stats["connections_seen"] == 1


def test_multipath_tcp_paths(cgroup, watch):
    """Where a second path carries data, what is told on the first is not paired wrongly, and it is
    counted that the connection is not followed."""
    with contextlib.closing(Namespace()) as namespace:
        namespace.ip("address add 10.77.0.1/32 dev lo")
        namespace.ip("address add 10.77.0.2/32 dev lo")
        namespace.ip("mptcp limits set subflow 2 add_addr_accepted 2")
        namespace.ip("mptcp endpoint add 10.77.0.2 dev lo subflow")
        with namespace.inside():
            with cgroup.inside():
                listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
            listener.bind(("10.77.0.1", 0))
            listener.listen()
            watching = watch(cgroup)
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
            client.connect(listener.getsockname())
        served, _ = listener.accept()
        body = b"x" * 300000

        def serve():
            buffer = b""
            for i in range(100):
                while b"\r\n\r\n" not in buffer:
                    buffer += served.recv(65536)
                buffer = buffer.partition(b"\r\n\r\n")[2]
                served.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (200 + i, len(body)) + body)

        thread = threading.Thread(target=serve)
        thread.start()
        for i in range(100):
            client.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % (200 + i))
            left, data = None, b""
            while left is None or left:
                more = client.recv(65536)
                assert more
                if left is None:
                    data += more
                    if b"\r\n\r\n" in data:
                        left = len(body) - len(data.partition(b"\r\n\r\n")[2])
                else:
                    left -= len(more)
        thread.join()
        for sock in (client, served, listener):
            sock.close()
        time.sleep(0.5)
        events = watching.stop()
        assert all(e["status"] in (0, int(e["request_target"][1:])) for e in events if e["request_target"]), events
        assert all(e["request_target"] for e in events if e["status"]), events
        watching.check_sums()
        if len(events) < 100:
            assert watching.stats["connections_skipped"] > 0
