# SPDX-License-Identifier: BSD-2-Clause
"""Heads as real traffic brings them: in pieces, long, with odd targets, and full of secrets."""
import time

import pytest

from compare import check_wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def exchange_raw(client, served, request, response=OK):
    client.sock.sendall(request)
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += served.recv(65536)
    served.sendall(response)
    client._take_until(b"ok")


def test_byte_by_byte(cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    head = (f"GET /slow?by=byte HTTP/1.1\r\nHost: {client.authority}\r\n"
            "User-Agent: wire\r\n\r\n").encode()
    start = time.monotonic_ns()
    for i in range(len(head)):
        client.sock.sendall(head[i:i + 1])
        time.sleep(0.002)
    time.sleep(0.02)
    served.recv(4096)
    for i in range(len(OK)):
        served.sendall(OK[i:i + 1])
        time.sleep(0.002)
    wire = client.receive({"method": "GET", "target": "/slow?by=byte", "framing": "none",
                           "length": 0, "request_head": len(head), "request_body": 0,
                           "close": False, "port": client.port, "authority": client.authority,
                           "start": start})
    watching.wait(1)
    event, = watching.stop()
    check_wire(event, wire, cgroup)
    assert event["request_ns"] >= 2_000_000 * (len(head) - 1)
    assert event["response_ns"] >= 2_000_000 * (len(OK) - 1)
    watching.check_sums(delivered=1)


@pytest.mark.parametrize("pieces", [1, 5])
def test_long_head_within_the_capture_limit(pieces, cgroup, watch, play):
    watching = watch(cgroup, args=["--capture", "8192"])
    client, served = play()
    request = (b"GET /long HTTP/1.1\r\nHost: h\r\nX-Fill: " + b"f" * 6000 +
               b"\r\nX-Request-Id: at-the-end\r\n\r\n")
    response = (b"HTTP/1.1 200 OK\r\nX-Fill: " + b"f" * 6000 +
                b"\r\nContent-Type: text/late\r\nContent-Length: 2\r\n\r\nok")
    for data, out, into in ((request, client.sock, served), (response, served, client.sock)):
        step = len(data) // pieces + 1
        got = 0
        for i in range(0, len(data), step):
            out.sendall(data[i:i + step])
            while got < min(i + step, len(data)):
                got += len(into.recv(65536))
    watching.wait(1)
    event, = watching.stop()
    assert event["request_head_bytes"] == len(request)
    assert event["response_head_bytes"] == len(response) - 2
    assert event["response_body_bytes"] == 2
    assert event["headers"]["request"]["x-request-id"] == ["at-the-end"]
    assert event["headers"]["response"]["content-type"] == ["text/late"]
    assert (event["end"], event["flags"]) == ("complete", ["keep_alive"])
    watching.check_sums(delivered=1)


def test_head_beyond_the_capture_limit(cgroup, watch, play):
    """What was captured is reported and flagged; the exchange after it is whole."""
    watching = watch(cgroup, args=["--capture", "1024"])
    client, served = play()
    exchange_raw(client, served,
                 b"GET /long?a=b HTTP/1.1\r\nHost: h\r\nX-Request-Id: early\r\nX-Fill: "
                 + b"f" * 6000 + b"\r\nUser-Agent: late\r\n\r\n")
    sent = client.send("GET", "/next")
    served.recv(4096)
    served.sendall(OK)
    wire = client.receive(sent)
    watching.wait(2)
    first, second = watching.stop()
    assert (first["request_target"], first["status"]) == ("/long?a=b", 200)
    assert "truncated" in first["flags"]
    assert first["headers"]["request"] == {"x-request-id": ["early"]}
    check_wire(second, wire, cgroup)
    watching.check_sums(delivered=2)


def test_request_line_beyond_the_capture_limit(cgroup, watch, play):
    """Too long to be of use: counted as dropped or reported as truncated, and the next is whole."""
    watching = watch(cgroup, args=["--capture", "256"])
    client, served = play()
    exchange_raw(client, served, b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    sent = client.send("GET", "/next")
    served.recv(4096)
    served.sendall(OK)
    wire = client.receive(sent)
    time.sleep(0.3)
    *before, last = watching.stop()
    check_wire(last, wire, cgroup)
    if before:
        assert len(before) == 1 and "truncated" in before[0]["flags"]
        assert before[0]["request_target"].startswith("/aaa")
    watching.check_sums()
    assert watching.stats["exchanges_seen"] == 2


@pytest.mark.parametrize("method, target, path, query, authority", [
    ("GET", "/a?b=c?d", "/a", "b=c?d", "h"),
    ("GET", "/a?", "/a", "", "h"),
    ("GET", "/%2e/%00?%3f", "/%2e/%00", "%3f", "h"),
    ("GET", "http://example.org:8080/a?b", "/a", "b", "example.org:8080"),
    ("GET", "http://example.org", "/", "", "example.org"),
    ("OPTIONS", "*", "*", "", "h"),
    ("PURGE", "/cache", "/cache", "", "h"),
    ("PATCH", "/a;b@c:d", "/a;b@c:d", "", "h"),
])
def test_targets(method, target, path, query, authority, cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    exchange_raw(client, served, f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    watching.wait(1)
    event, = watching.stop()
    assert (event["operation"], event["request_target"]) == (method, target)
    assert (event["path"], event["query"], event["authority"]) == (path, query, authority)
    assert event["end"] == "complete"


def test_only_listed_headers_are_kept(cgroup, watch, play):
    """Nothing of authorization, cookie and set-cookie anywhere in the output."""
    watching = watch(cgroup)
    client, served = play()
    exchange_raw(client, served,
                 b"GET /a HTTP/1.1\r\nHost: h\r\n"
                 b"Authorization: Bearer SECRET\r\nCookie: c=SECRET\r\n"
                 b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Other: SECRET\r\n"
                 b"traceparent: 00-1-2-01\r\nUSER-AGENT:\t odd  \r\n\r\n",
                 b"HTTP/1.1 200 OK\r\nSet-Cookie: SECRET\r\nContent-Length: 2\r\n"
                 b"Content-Type: text/plain\r\n\r\nok")
    watching.wait(1)
    event, = watching.stop()
    assert "SECRET" not in str(event)
    assert event["headers"] == {"request": {"x-forwarded-for": ["1.2.3.4", "5.6.7.8"],
                                            "traceparent": ["00-1-2-01"], "user-agent": ["odd"]},
                                "response": {"content-type": ["text/plain"]}}
