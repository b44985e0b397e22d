# SPDX-License-Identifier: BSD-2-Clause
"""Messages cut into segments anywhere, many in one segment, and heads of all lengths up to, at and
beyond the capture limit."""
import time

import pytest

from compare import check_times, check_wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPLOAD = (b"PUT /%d?q HTTP/1.1\r\nHost: h\r\nUser-Agent: split\r\nX-Request-Id: r%d\r\n"
          b"Content-Length: 5\r\n\r\nhello")
ANSWER = (b"HTTP/1.1 201 Made Here\r\nContent-Type: text/x\r\nTransfer-Encoding: chunked\r\n\r\n"
          b"5;x=y\r\nhello\r\n0\r\nX-T: z\r\n\r\n")


def take(sock, n):
    got = b""
    while len(got) < n:
        data = sock.recv(n - len(got))
        assert data, f"{len(got)} of {n} bytes"
        got += data
    return got


def in_two(out, into, data, at):
    """The first part has arrived before the second is sent: two segments."""
    for part in (data[:at], data[at:]):
        out.sendall(part)
        take(into, len(part))


def test_split_at_every_byte(cgroup, watch, play):
    """A request with a body and a chunked response with trailers, split once, at every place."""
    watching = watch(cgroup)
    cuts = range(1, max(len(ANSWER), len(UPLOAD)))
    client, served = play()
    for i in cuts:
        request = UPLOAD % (i, i)
        in_two(client.sock, served, request, min(i, len(request) - 1))
        in_two(served, client.sock, ANSWER, min(i, len(ANSWER) - 1))
    watching.wait(len(cuts))
    events = watching.stop()
    watching.check_sums(delivered=len(cuts))
    for i, event in zip(cuts, events):
        assert (event["request_target"], event["status"], event["message"]) == (f"/{i}?q", 201, "Made Here")
        assert event["end"] == "complete"
        # Cut right behind the head, the body is not captured: its end is inferred, and exact.
        assert set(event["flags"]) - {"inferred_end"} == {"keep_alive", "chunked_response"}, i
        assert event["headers"] == {"request": {"user-agent": ["split"],
                                                "x-request-id": [f"r{i}"]},
                                    "response": {"content-type": ["text/x"]}}
        assert event["request_head_bytes"] == len(UPLOAD % (i, i)) - 5
        assert event["request_body_bytes"] == 5
        assert event["response_head_bytes"] == ANSWER.index(b"\r\n\r\n") + 4
        assert event["response_body_bytes"] == len(ANSWER) - ANSWER.index(b"\r\n\r\n") - 4
        assert event["ordinal"] == i
        check_times(event)


def test_pipelined_split_at_every_byte(cgroup, watch, play):
    """Two requests and two responses in a row, cut once anywhere: the pairs are right."""
    watching = watch(cgroup)
    requests = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: h\r\n\r\n"
    answers = (b"HTTP/1.1 201 A\r\nContent-Length: 3\r\n\r\none"
               b"HTTP/1.1 202 B\r\nContent-Length: 9\r\n\r\n")
    cuts = range(1, max(len(requests), len(answers)))
    client, served = play()
    for i in cuts:
        in_two(client.sock, served, requests, min(i, len(requests) - 1))
        in_two(served, client.sock, answers, min(i, len(answers) - 1))
    watching.wait(2 * len(cuts))
    events = watching.stop()
    watching.check_sums(delivered=2 * len(cuts))
    for first, second in zip(events[::2], events[1::2]):
        assert [(e["operation"], e["request_target"], e["status"], e["end"], e["response_body_bytes"])
                for e in (first, second)] == [("GET", "/1", 201, "complete", 3),
                                              ("HEAD", "/2", 202, "complete", 0)]


@pytest.mark.parametrize("capture", ["4K", "64K"])
def test_many_in_one_segment(capture, cgroup, watch, play):
    """As many requests as 4 KiB hold in one write, and as many answers in one."""
    watching = watch(cgroup, args=["--capture", capture])
    client, served = play()
    requests = [b"GET /%03d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in range(130)]
    client.sock.sendall(b"".join(requests))
    take(served, sum(map(len, requests)))
    answers = [b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (200 + i) for i in range(100)]
    served.sendall(b"".join(answers))
    answers = [b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (300 + i) for i in range(30)]
    served.sendall(b"".join(answers))
    watching.wait(130)
    events = watching.stop()
    watching.check_sums(delivered=130)
    assert [(e["request_target"], e["status"], e["ordinal"]) for e in events] == \
        [(f"/{i:03}", 200 + i, i + 1) for i in range(130)]
    assert all(e["end"] == "complete" for e in events)


def long_head(start, size):
    """A head of `size` bytes with a field at its end."""
    end = b"\r\nX-Request-Id: at-the-end\r\n\r\n"
    fill = size - len(start) - len(end)
    return start + b"X-Fill: " + b"f" * (fill - len("X-Fill: ")) + end


@pytest.mark.parametrize("size", [4096, 16384, 65535, 65536])
def test_head_up_to_the_limit(size, cgroup, watch, play):
    """--capture of just this size: all of it is there, to the last field."""
    watching = watch(cgroup, args=["--capture", str(size), "--header", "x-request-id"])
    client, served = play()
    request = long_head(b"GET /long?a=b HTTP/1.1\r\nHost: h\r\n", size)
    response = long_head(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", size)
    assert len(request) == len(response) == size
    client.sock.sendall(request)
    take(served, size)
    served.sendall(response + b"ok")
    take(client.sock, size + 2)
    sent = client.send("GET", "/next")
    take(served, sent["request_head"])
    served.sendall(OK)
    wire = client.receive(sent)
    watching.wait(2)
    first, second = watching.stop()
    watching.check_sums(delivered=2)
    assert (first["request_target"], first["status"], first["end"]) == ("/long?a=b", 200, "complete")
    assert first["flags"] == ["keep_alive"]
    assert (first["request_head_bytes"], first["response_head_bytes"]) == (size, size)
    assert (first["request_body_bytes"], first["response_body_bytes"]) == (0, 2)
    assert first["headers"] == {"request": {"x-request-id": ["at-the-end"]},
                                "response": {"x-request-id": ["at-the-end"]}}
    check_times(first)
    check_wire(second, wire, cgroup)


@pytest.mark.parametrize("limit, size", [(128, 129), (4096, 4097), (4096, 70000), (65536, 65537),
                                         (65536, 200000)])
def test_head_beyond_the_limit(limit, size, cgroup, watch, play):
    """`truncated`; what was captured is right, so are status, times, the sum of head and body, and
    the exchanges behind it."""
    watching = watch(cgroup, args=["--capture", str(limit), "--header", "x-request-id"])
    client, served = play()
    request = long_head(b"GET /long?a=b HTTP/1.1\r\nHost: h\r\n", size)
    response = long_head(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", size)
    client.sock.sendall(request)
    take(served, size)
    time.sleep(0.05)
    served.sendall(response + b"ok")
    take(client.sock, size + 2)
    seen = []
    for target in ("/next", "/last"):
        sent = client.send("GET", target)
        take(served, sent["request_head"])
        served.sendall(OK)
        seen.append(client.receive(sent))
    watching.wait(3)
    first, *rest = watching.stop()
    watching.check_sums(delivered=3)
    assert (first["request_target"], first["status"], first["end"]) == ("/long?a=b", 200, "complete")
    assert "truncated" in first["flags"]
    assert first["authority"] == "h"
    for side in first["headers"].values():  # one byte less, and the last field is still whole
        assert side == ({"x-request-id": ["at-the-end"]} if size == limit + 1 else {})
    assert first["request_head_bytes"] + first["request_body_bytes"] == size
    assert first["response_head_bytes"] + first["response_body_bytes"] == size + 2
    check_times(first)
    assert first["wait_ns"] >= 40_000_000
    for event, wire in zip(rest, seen):
        check_wire(event, wire, cgroup)


@pytest.mark.parametrize("method, head", [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 404 Gone\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n")])
@pytest.mark.parametrize("pipelined", [False, True], ids=["alone", "pipelined"])
def test_no_body_whatever_the_head_says(method, head, pipelined, cgroup, watch, play):
    """RFC 9112 section 6.3, rule 1: the next byte is the next head's, and the event is there at
    once."""
    watching = watch(cgroup)
    client, served = play()
    ask = f"{method} /none HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    follow = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
    client.sock.sendall(ask + follow if pipelined else ask)
    take(served, len(ask + follow) if pipelined else len(ask))
    served.sendall(head + OK if pipelined else head)
    take(client.sock, len(head))
    if not pipelined:
        watching.wait(1)
        client.sock.sendall(follow)
        take(served, len(follow))
        served.sendall(OK)
    watching.wait(2)
    first, second = watching.stop()
    watching.check_sums(delivered=2)
    assert (first["operation"], first["request_target"], first["end"]) == (method, "/none", "complete")
    assert (first["response_head_bytes"], first["response_body_bytes"]) == (len(head), 0)
    assert (second["request_target"], second["status"], second["end"]) == ("/next", 200, "complete")
    assert second["response_body_bytes"] == 2
