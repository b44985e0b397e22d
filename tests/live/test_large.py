# SPDX-License-Identifier: BSD-2-Clause
"""Large bodies: exact bytes, the true time of the last one, and an event soon after it."""
import socket
import threading
import time

import pytest

from compare import check_wire
from wire import Connection

SIZE = 20_000_000
RECEIVE_BUFFER = 262_144
# More than the socket buffers of both ends hold together: see net.ipv4.tcp_wmem.
BUFFERS = 8_000_000


def soon(watching):
    """The event of the one exchange, while the connection is open and idle."""
    event, = watching.wait(1, timeout=2)
    return event


def test_sendfile(cgroup, start_server, watch):
    """nginx sends a file with sendfile; the client takes its time."""
    server = start_server("nginx", cgroup)
    watching = watch(cgroup)
    address = ("127.0.0.1", server.port)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.connect(address)
    with Connection(address, sock) as client:
        sent = client.send("GET", f"/bytes/{SIZE}")
        while len(client._buffer) < SIZE - BUFFERS:
            client._more()
            time.sleep(0.002)
        midway = time.monotonic_ns()  # the last byte cannot have been sent yet
        wire = client.receive(sent)
        event = soon(watching)
    check_wire(event, wire, cgroup)
    assert event["response_body_bytes"] == SIZE
    assert event["response_end_ns"] >= midway
    line, = server.log.lines(1)
    assert line["bytes_sent"] == event["response_head_bytes"] + event["response_body_bytes"]
    watching.stop()
    watching.check_sums(delivered=1)


def check_large_and_next(server, cgroup, watch, *request):
    """A large exchange, then a small one on its connection: both whole, the large one's event first."""
    watching = watch(cgroup)
    with Connection(("127.0.0.1", server.port)) as client:
        wire = client.exchange(*request)
        event = soon(watching)
        check_wire(event, wire, cgroup)
        following = client.exchange("GET", "/hello?next")
    watching.wait(2)
    check_wire(watching.stop()[1], following, cgroup)
    watching.check_sums(delivered=2)


@pytest.mark.parametrize("name", ["node", "python-asyncio", "go", "java", "rust", "uring"])
def test_download(name, cgroup, start_server, watch):
    check_large_and_next(start_server(name, cgroup), cgroup, watch, "GET", f"/bytes/{SIZE}")


@pytest.mark.parametrize("name", ["nginx", "python-asyncio", "go"])
def test_chunked_download(name, cgroup, start_server, watch):
    """The end lies beyond the captured bytes: it is inferred, and still exact."""
    check_large_and_next(start_server(name, cgroup), cgroup, watch, "GET", f"/chunked/{SIZE}")


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("name", ["nginx", "go"])
def test_upload(name, framing, cgroup, start_server, watch):
    check_large_and_next(start_server(name, cgroup), cgroup, watch, "PUT", "/echo", SIZE, framing)


def test_zerocopy(cgroup, watch, play):
    """MSG_ZEROCOPY passes the hook like everything else."""
    so_zerocopy, msg_zerocopy = 60, 0x4000000
    watching = watch(cgroup)
    client, served = play()
    served.setsockopt(socket.SOL_SOCKET, so_zerocopy, 1)
    sent = client.send("GET", "/zero")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 1_000_000)
    reader = threading.Thread(target=lambda: received.update(client.receive(sent)))
    received = {}
    reader.start()
    left = memoryview(b"z" * 1_000_000)
    while left:
        left = left[served.send(left[:50_000], msg_zerocopy):]
    reader.join()
    event = soon(watching)
    check_wire(event, received, cgroup)
    watching.stop()
    watching.check_sums(delivered=1)


def test_slow_trickle(cgroup, watch, play):
    """A response in small pieces over a second ends when its last piece does."""
    watching = watch(cgroup)
    client, served = play()
    sent = client.send("GET", "/trickle")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    for _ in range(9):
        served.sendall(b"t" * 1000)
        time.sleep(0.1)
    before_last = time.monotonic_ns()
    served.sendall(b"t" * 1000)
    wire = client.receive(sent)
    event = soon(watching)
    check_wire(event, wire, cgroup)
    assert event["response_end_ns"] >= before_last
    watching.stop()
    watching.check_sums(delivered=1)


@pytest.mark.parametrize("size", [100_000, 400_000, 4_000_000])
def test_pipelined_responses(size, cgroup, watch, play):
    """Requests in one write, answers that are cut wherever TCP likes."""
    count = 10
    watching = watch(cgroup, args=["--ring", "256M"])
    client, served = play()
    client.sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\nX-Pad: %s\r\n\r\n" % (i, b"p" * 10_000)
                                 for i in range(count)))
    left = count * (len(b"GET /0 HTTP/1.1\r\nHost: a\r\nX-Pad: \r\n\r\n") + 10_000)
    while left:
        left -= len(served.recv(left))
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    answer += (b"HTTP/1.1 500 No\r\n\r\n" * size)[:size]

    def receive():
        due = count * len(answer)
        while due:
            due -= len(client.sock.recv(min(due, 1 << 20)))
    reader = threading.Thread(target=receive)
    reader.start()
    served.sendall(answer * count)
    reader.join()
    events = watching.wait(count)
    assert [(e["request_target"], e["status"], e["response_body_bytes"]) for e in events] == \
        [(f"/{i}", 200, size) for i in range(count)]
    watching.stop()
    watching.check_sums(delivered=count)
