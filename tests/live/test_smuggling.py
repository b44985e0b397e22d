# SPDX-License-Identifier: BSD-2-Clause
"""Requests that two readers take for two different things (RFC 9112 sections 5 to 6.3 and 11.2).

Each is reported and flagged, and whichever way the server took it, what follows on the connection
is told right again: a request that fools the monitor fools it for itself alone."""
import time

import pytest

from compare import check_wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"4\r\nabcd\r\n0\r\n\r\n"

BOTH = {"ambiguous", "malformed"}

# name: fields, body, the flags of these two (none: the request is not odd to us)
SHAPES = {
    "length and chunked": (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", CHUNKS,
                           {"ambiguous"}),
    "chunked and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", CHUNKS,
                           {"ambiguous"}),
    "lengths that are equal": (b"Content-Length: 4\r\nContent-Length: 4\r\n", b"abcd", set()),
    "a list of equal lengths": (b"Content-Length: 4, 4\r\n", b"abcd", set()),
    "lengths that differ": (b"Content-Length: 4\r\nContent-Length: 6\r\n", b"abcd", {"ambiguous"}),
    "a list of lengths that differ": (b"Content-Length: 6, 4\r\n", b"abcd", {"ambiguous"}),
    "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKS,
                      {"ambiguous"}),
    "chunked, then another": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", CHUNKS,
                              {"ambiguous"}),
    "identity": (b"Transfer-Encoding: chunked, identity\r\n", CHUNKS, {"ambiguous"}),
    "xchunked": (b"Transfer-Encoding: xchunked\r\n", CHUNKS, {"ambiguous"}),
    "chunked in quotes": (b'Transfer-Encoding: "chunked"\r\n', CHUNKS, {"ambiguous"}),
    "chunked with a parameter": (b"Transfer-Encoding: chunked;a=b\r\n", CHUNKS, {"ambiguous"}),
    "vertical tab before chunked": (b"Transfer-Encoding: \vchunked\r\n", CHUNKS, BOTH),
    "NUL in the name": (b"Transfer-Encoding\0: chunked\r\n", CHUNKS, BOTH),
    "space before the colon": (b"Transfer-Encoding : chunked\r\n", CHUNKS, {"ambiguous"}),
    "tab before the colon": (b"Content-Length\t: 4\r\n", b"abcd", {"ambiguous"}),
    "folded": (b"Transfer-Encoding:\r\n chunked\r\n", CHUNKS, {"ambiguous"}),
    "folded into another field": (b"X: x\r\n Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                                  b"abcd", set()),
    "folded length": (b"Content-Length: 1\r\n 4\r\n", b"", BOTH),
    "bare LF before it": (b"X: x\nTransfer-Encoding: chunked\r\n", CHUNKS, {"ambiguous"}),
    "bare LF after it": (b"Content-Length: 4\nX: x\r\n", b"abcd", {"ambiguous"}),
    "bare CR": (b"X: x\rTransfer-Encoding: chunked\r\n", CHUNKS, BOTH),
    "length with a sign": (b"Content-Length: +4\r\n", b"abcd", BOTH),
    "hexadecimal length": (b"Content-Length: 0x4\r\n", b"abcd", BOTH),
    "length beyond 64 bits": (b"Content-Length: 18446744073709551620\r\n", b"abcd",
                              BOTH),
    "no colon": (b"Transfer-Encoding chunked\r\n", CHUNKS, BOTH),
    "underscores": (b"Transfer_Encoding: chunked\r\nContent-Length: 4\r\n", b"abcd", set()),
}


def follow(client, served, targets):
    """Plain exchanges behind it; what the client saw of them."""
    seen = []
    for target in targets:
        sent = client.send("GET", target)
        time.sleep(0.01)
        served.recv(65536)
        served.sendall(OK)
        seen.append(client.receive(sent))
    return seen


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name, cgroup, watch, play):
    """The server reads as we do, or says 400 and, wrongly, goes on: the next one is right."""
    fields, body, flags = SHAPES[name]
    watching = watch(cgroup)
    seen = {}
    for status in (200, 400):
        client, served = play()
        client.sock.sendall(b"POST /odd HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n" + body)
        served.recv(65536)
        served.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % status)
        client._take_until(b"ok")
        seen[status] = follow(client, served, ["/next", "/last"])
    watching.wait(6)
    events = watching.stop()
    watching.check_sums()
    for odd, *rest in (events[:3], events[3:]):
        status = 200 if odd is events[0] else 400
        assert (odd["status"], odd["end"]) == (status, "complete")
        assert (odd["operation"], odd["request_target"]) == ("POST", "/odd")
        assert {"ambiguous", "malformed"} & set(odd["flags"]) == flags
        assert [(e["request_target"], e["status"]) for e in rest] == [("/next", 200), ("/last", 200)]
        for event, wire in zip(rest, seen[status]):
            check_wire(event, wire, cgroup)


# name: fields, body, answers that the server gives to it by its own reading
READINGS = {
    # The server goes by the length: what we take for a new request is still body to it.
    "length counts": (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
                      b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nX-Rest: ", 1),
    # The server goes by a length that ends sooner: the rest is a request of its own to it.
    "length ends sooner": (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                           b"2f\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\nX: aaaaaaa\r\n\r\n\r\n0\r\n\r\n", 2),
    "larger length counts": (b"Content-Length: 4\r\nContent-Length: %d\r\n", b"abcdefgh", 1),
    "the length is ignored": (b"Content-Length : 32\r\n",
                              b"GET /smuggled HTTP/1.1\r\nX: y\r\n\r\n", 2),
    "chunked is not understood": (b"Transfer-Encoding: xchunked\r\n", b"", 1),
}


@pytest.mark.parametrize("name", READINGS)
def test_other_reading(name, cgroup, watch, play):
    """The server takes it for something else than we do."""
    fields, body, answers = READINGS[name]
    watching = watch(cgroup)
    client, served = play()
    fields = fields % len(body) if b"%d" in fields else fields
    client.sock.sendall(b"POST /odd HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n" + body)
    served.recv(65536)
    for i in range(answers):
        served.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % (201 + i))
        client._take_until(b"ok")
    seen = follow(client, served, ["/1", "/2", "/3", "/4"])
    time.sleep(0.2)
    odd, *rest = watching.stop()
    watching.check_sums()
    assert (odd["request_target"], odd["status"]) == ("/odd", 201)
    assert "ambiguous" in odd["flags"]
    # Of what comes directly behind it no more can be asked than that answers are not mixed up.
    for event in rest:
        if event["request_target"].startswith("/") and event["request_target"][1:].isdigit():
            assert event["status"] in (0, 200)
    table = {e["request_target"]: e for e in rest}
    for wire in seen[1:]:
        check_wire(table[wire["target"]], wire, cgroup)


@pytest.mark.parametrize("fields, body, flag", [
    (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", CHUNKS, "ambiguous"),
    (b"Content-Length: 4\r\nContent-Length: 9\r\n", b"abcd", "ambiguous")])
def test_answers(fields, body, flag, cgroup, watch, play):
    """The same in a response: response splitting begins so."""
    watching = watch(cgroup)
    client, served = play()
    sent = client.send("GET", "/odd")
    served.recv(65536)
    served.sendall(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + body)
    client._take_until(body)
    seen = follow(client, served, ["/next", "/last"])
    watching.wait(3)
    odd, *rest = watching.stop()
    watching.check_sums(delivered=3)
    assert (odd["request_target"], odd["status"], odd["end"]) == (sent["target"], 200, "complete")
    assert flag in odd["flags"]
    assert odd["response_body_bytes"] == len(body)
    for event, wire in zip(rest, seen):
        check_wire(event, wire, cgroup)
