# SPDX-License-Identifier: BSD-2-Clause
"""Expect: 100-continue and other interim responses (RFC 9110 sections 10.1.1 and 15.2)."""
import time

import pytest

from compare import check_times, check_wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"PUT /up HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
BODY = b"x" * 5000
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def take(sock, n):
    """n bytes of a stream."""
    got = 0
    while got < n:
        data = sock.recv(n - got)
        assert data, f"{got} of {n} bytes"
        got += len(data)


def follow(client, served):
    """A plain exchange on the same connection: what the client saw of it."""
    sent = client.send("GET", "/next")
    take(served, sent["request_head"])
    served.sendall(OK)
    return client.receive(sent)


def two(watching, wire, cgroup):
    """The odd exchange, after the plain one behind it proved right."""
    watching.wait(2)
    first, second = watching.stop()
    watching.check_sums(delivered=2)
    check_wire(second, wire, cgroup)
    assert first["end"] == "complete"
    assert [e["ordinal"] for e in (first, second)] == [1, 2]
    return first


@pytest.mark.parametrize("waits", [True, False], ids=["waits", "sends at once"])
def test_body_after_100(waits, cgroup, watch, play):
    """The client sends its body after the 100, or does not wait for it."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(HEAD if waits else HEAD + BODY)
    take(served, len(HEAD))
    served.sendall(CONTINUE)
    client._take_until(b"\r\n\r\n")
    if waits:
        time.sleep(0.05)
        client.sock.sendall(BODY)
    take(served, len(BODY))
    served.sendall(OK)
    client._take_until(b"ok")
    event = two(watching, follow(client, served), cgroup)
    assert (event["status"], set(event["flags"])) == (200, {"keep_alive", "continued"})
    assert (event["request_head_bytes"], event["request_body_bytes"]) == (len(HEAD), len(BODY))
    assert event["response_head_bytes"] == len(OK) - 2
    check_times(event)
    if waits:
        assert event["request_ns"] >= 50_000_000


def test_no_100_and_no_body(cgroup, watch, play):
    """Expect without a body is of no effect (RFC 9110 section 10.1.1): there is none to wait for."""
    watching = watch(cgroup)
    client, served = play()
    head = b"GET /up HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n"
    client.sock.sendall(head)
    take(served, len(head))
    served.sendall(OK)
    client._take_until(b"ok")
    event = two(watching, follow(client, served), cgroup)
    assert (event["status"], event["flags"]) == (200, ["keep_alive"])
    assert event["request_body_bytes"] == 0


@pytest.mark.parametrize("status", [417, 413])
def test_final_response_instead_of_100(status, cgroup, watch, play):
    """The client keeps its body for itself then, and closes (RFC 9112 section 9.3 leaves it no other
    way: the length that it declared is due)."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(HEAD)
    take(served, len(HEAD))
    served.sendall(b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno" % status)
    served.shutdown(1)
    client._take_until(b"no")
    client.sock.close()
    watching.wait(1)
    event, = watching.stop()
    watching.check_sums(delivered=1)
    assert (event["status"], event["end"]) == (status, "complete")
    assert set(event["flags"]) == {"early_response"}
    assert (event["request_body_bytes"], event["request_content_length"]) == (0, 5000)
    assert event["response_body_bytes"] == 2


@pytest.mark.parametrize("status", [417, 413])
def test_final_response_and_the_body_all_the_same(status, cgroup, watch, play):
    """The client had given up waiting: body and answer cross, and the connection goes on."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(HEAD)
    take(served, len(HEAD))
    served.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status)
    client._take_until(b"no")
    client.sock.sendall(BODY)
    take(served, len(BODY))
    event = two(watching, follow(client, served), cgroup)
    assert event["status"] == status
    assert set(event["flags"]) == {"keep_alive", "early_response"}
    assert event["request_body_bytes"] == len(BODY)


@pytest.mark.parametrize("pause", [0, 0.02], ids=["one segment", "apart"])
def test_chain_of_interim_responses(pause, cgroup, watch, play):
    """Any number of 1xx, in any order, with fields of their own: RFC 9110 section 15.2."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(HEAD)
    take(served, len(HEAD))
    chain = [b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
             b"HTTP/1.1 102 Processing\r\n\r\n", CONTINUE,
             b"HTTP/1.1 199 Whatever\r\nContent-Length: 7\r\n\r\n"]
    if pause:
        for part in chain:
            served.sendall(part)
            time.sleep(pause)
    else:
        served.sendall(b"".join(chain))
    for _ in chain:
        client._take_until(b"\r\n\r\n")
    client.sock.sendall(BODY)
    take(served, len(BODY))
    served.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    client._take_until(b"ok")
    event = two(watching, follow(client, served), cgroup)
    assert (event["status"], event["message"]) == (200, "OK")
    assert set(event["flags"]) == {"keep_alive", "continued"}
    assert event["request_body_bytes"] == len(BODY)
    assert (event["response_head_bytes"], event["response_body_bytes"]) == (len(OK) - 2, 2)


def test_100_for_a_pipelined_upload(cgroup, watch, play):
    """The interim response is for the request that is due, not for the one in front of it."""
    watching = watch(cgroup)
    client, served = play()
    first = b"GET /first HTTP/1.1\r\nHost: h\r\n\r\n"
    client.sock.sendall(first + HEAD)
    take(served, len(first + HEAD))
    served.sendall(b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\nok" + CONTINUE)
    client._take_until(b"Continue\r\n\r\n")
    client.sock.sendall(BODY)
    take(served, len(BODY))
    served.sendall(b"HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\nok")
    client._take_until(b"ok")
    watching.wait(2)
    one, upload = watching.stop()
    watching.check_sums(delivered=2)
    assert (one["request_target"], one["status"], one["flags"]) == ("/first", 201, ["keep_alive"])
    assert (upload["request_target"], upload["status"]) == ("/up", 202)
    assert set(upload["flags"]) == {"keep_alive", "continued", "pipelined"}
    assert upload["request_body_bytes"] == len(BODY)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_answer_while_the_upload_goes_on(framing, cgroup, watch, play):
    """An early response that is itself long: both bodies are on the way at once."""
    watching = watch(cgroup)
    client, served = play()
    field = b"Content-Length: 40000" if framing == "length" else b"Transfer-Encoding: chunked"
    piece = b"x" * 4000 if framing == "length" else b"fa0\r\n" + b"x" * 4000 + b"\r\n"
    end = b"" if framing == "length" else b"0\r\n\r\n"
    client.sock.sendall(b"PUT /up HTTP/1.1\r\nHost: h\r\n" + field + b"\r\n\r\n")
    served.recv(65536)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n")
    for i in range(10):
        client.sock.sendall(piece if i < 9 else piece + end)
        take(served, len(piece) + (len(end) if i == 9 else 0))
        served.sendall(b"y" * 4000)
    client._take(len(b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n") + 40000)
    event = two(watching, follow(client, served), cgroup)
    assert event["status"] == 200
    assert {"early_response", "keep_alive"} <= set(event["flags"])
    assert event["response_body_bytes"] == 40000
    assert event["request_body_bytes"] == 10 * len(piece) + len(end)
    assert event["wait_ns"] == 0
