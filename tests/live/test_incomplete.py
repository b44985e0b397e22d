# SPDX-License-Identifier: BSD-2-Clause
"""Exchanges that never complete come out too, once, with their cause."""
import socket
import struct
import time

import pytest

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500


def reset(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("answer", [b"", HALF], ids=["no answer", "half a body"])
@pytest.mark.parametrize("leaves, how, end, flags", [
    ("server", "close", "closed", set()),
    ("client", "close", "closed", set()),
    ("server", "reset", "reset by us", {"reset_by_us"}),
    ("client", "reset", "reset by peer", {"reset_by_peer"}),
])
def test_one_end_leaves(leaves, how, end, flags, answer, cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    sent = client.send("GET", "/a")
    served.recv(4096)
    served.sendall(answer)
    while len(client._buffer) < len(answer):
        client._more()
    leaving = served if leaves == "server" else client.sock
    if how == "reset":
        reset(leaving)
    else:
        leaving.close()
    if (leaves, how) == ("client", "close"):  # it may still read: the exchange ends with both
        assert served.recv(1) == b""
        served.close()
    watching.wait(1)
    event, = watching.stop()
    assert event["end"] == end
    assert event["request_target"] == "/a"
    assert event["request_head_bytes"] == sent["request_head"]
    if answer:
        assert set(event["flags"]) - {"keep_alive"} == flags
        assert event["status"] == 200
        assert (event["response_content_length"], event["response_body_bytes"]) == (1000, 500)
    else:
        assert set(event["flags"]) - {"keep_alive"} == flags | {"no_response"}
        assert not event.get("status")
        assert event["response_head_bytes"] == 0
        assert event["response_start_ns"] == event["response_end_ns"] == event["duration_ns"] == 0
    watching.check_sums(delivered=1)


def test_client_closes_in_the_middle_of_an_upload(cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + b"x" * 400)
    served.recv(4096)
    client.sock.close()
    while served.recv(4096):
        pass
    served.close()
    watching.wait(1)
    event, = watching.stop()
    assert event["end"] == "closed"
    assert set(event["flags"]) - {"keep_alive"} == {"no_response"}
    assert (event["request_content_length"], event["request_body_bytes"]) == (1000, 400)
    watching.check_sums(delivered=1)


def test_several_requests_wait_at_the_reset(cgroup, watch, play):
    """Pipelined requests without an answer come out one by one."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in range(3)))
    served.recv(4096)
    reset(client.sock)
    watching.wait(3)
    events = watching.stop()
    assert [e["request_target"] for e in events] == ["/0", "/1", "/2"]
    assert {e["end"] for e in events} == {"reset by peer"}
    watching.check_sums(delivered=3)


def test_timeout(cgroup, watch, play):
    watching = watch(cgroup, args=["--timeout", "1"])
    client, served = play()
    client.send("GET", "/never")
    served.recv(4096)
    event, = watching.wait(1, timeout=10)
    assert event["end"] == "timeout"
    assert event["request_target"] == "/never"
    assert "no_response" in event["flags"]
    watching.stop()
    watching.check_sums(delivered=1)


def test_waiting_at_the_end_of_the_watch_is_outstanding(cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    sent = client.send("GET", "/first")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    client.receive(sent)
    client.send("GET", "/second")
    served.recv(4096)
    watching.wait(1)
    time.sleep(2.5)  # what waits for its response is told within a second or two
    assert [e["request_target"] for e in watching.stop()] == ["/first"]
    watching.check_sums(delivered=1)
    assert watching.stats["outstanding"] == 1
    assert watching.stats["exchanges_seen"] == 2
