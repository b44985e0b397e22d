# SPDX-License-Identifier: BSD-2-Clause
"""Where messages begin and end (RFC 9112 section 6): what well-behaved servers rarely show.

The test plays both ends, so every byte and its time is known."""
import subprocess
import time

import pytest

from compare import by_target, check_times, check_wire
from wire import Connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(client, served, response, method="GET", target="/a", **kwargs):
    """One exchange with a scripted response; returns what the client saw."""
    sent = client.send(method, target, **kwargs)
    served.recv(65536)
    served.sendall(response)
    return client.receive(sent)


def one(watching, number=1):
    watching.wait(number)
    events = watching.stop()
    watching.check_sums(delivered=number)
    return events


def test_body_until_close(cgroup, watch, play):
    """HTTP/1.0 style: the end of the connection is the end of the body, and complete."""
    watching = watch(cgroup)
    client, served = play()
    sent = client.send("GET", "/a")
    served.recv(4096)
    served.sendall(b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n" + b"x" * 3000)
    time.sleep(0.05)
    served.sendall(b"y" * 3000)
    served.close()
    wire = client.receive(sent)
    assert wire["response_body"] == 6000
    event, = one(watching)
    check_wire(event, wire, cgroup)


def test_http10_keep_alive(cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    for i in range(2):
        client.sock.sendall(b"GET /%d HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" % i)
        served.recv(4096)
        served.sendall(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx")
        client._take_until(b"\r\n\r\nx")
    events = one(watching, 2)
    for event in events:
        assert (event["request_http_version"], event["response_http_version"]) == ("1.0", "1.0")
        assert (event["end"], event["flags"]) == ("complete", ["keep_alive"])


def test_half_closed_by_the_client(cgroup, watch, play):
    """A client that sends its FIN at once still gets, and is seen to get, its answer."""
    watching = watch(cgroup)
    client, served = play()
    sent = client.send("GET", "/a")
    client.sock.shutdown(1)
    served.recv(4096)
    time.sleep(0.05)
    served.sendall(OK)
    served.close()
    wire = client.receive(sent)
    event, = one(watching)
    check_wire(event, wire, cgroup)


@pytest.mark.parametrize("count", [5, 20])
def test_pipelining(count, cgroup, watch, play):
    """Requests that are sent at once are paired with their responses in order."""
    watching = watch(cgroup)
    client, served = play()
    heads = [b"GET /%d HTTP/1.1\r\nHost: h\r\nX-Fill: %s\r\n\r\n" % (i, b"f" * i)
             for i in range(count)]
    client.sock.sendall(b"".join(heads))
    served.recv(65536)
    for i in range(count):
        served.sendall(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s" % (400 + i, i, b"x" * i))
    events = one(watching, count)
    assert [e["request_target"] for e in events] == [f"/{i}" for i in range(count)]
    for i, event in enumerate(events):
        assert event["end"] == "complete"
        assert event["status"] == 400 + i
        assert event["ordinal"] == i + 1
        assert event["request_head_bytes"] == len(heads[i])
        assert event["response_body_bytes"] == i
        assert set(event["flags"]) == ({"keep_alive", "pipelined"} if i else {"keep_alive"})
        check_times(event)


def test_pipelined_responses_in_one_segment(cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in range(4)))
    served.recv(65536)
    served.sendall(b"".join(b"HTTP/1.1 %d OK\r\nContent-Length: 1\r\n\r\nx" % (200 + i)
                            for i in range(4)))
    events = one(watching, 4)
    assert [(e["request_target"], e["status"]) for e in events] == [(f"/{i}", 200 + i) for i in range(4)]


@pytest.mark.parametrize("step", [100, 3])
def test_pipelined_head_in_parts(step, cgroup, watch, play):
    """The answer to the first request passes while the second is on its way."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHo")
    served.recv(65536)
    served.sendall(b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\nok")
    client._take_until(b"ok")
    rest = b"st: h\r\n\r\n"
    for i in range(0, len(rest), step):
        client.sock.sendall(rest[i:i + step])
        time.sleep(0.005)
    served.recv(65536)
    served.sendall(b"HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\nok")
    client._take_until(b"ok")
    following = answer(client, served, OK, target="/3")
    first, second, third = one(watching, 3)
    assert [(e["request_target"], e["status"], e["end"]) for e in (first, second)] == \
        [("/1", 201, "complete"), ("/2", 202, "complete")]
    assert [e["request_head_bytes"] for e in (first, second)] == [28, 28]
    assert second["flags"] == ["keep_alive", "pipelined"]
    check_wire(third, following, cgroup)


def test_pipelined_behind_a_head_in_two_parts(cgroup, watch, play):
    """As before, and the part that comes late ends with the next head."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"GET /201 HTTP/1.1\r\nHost: h\r\n\r\nPUT /202 HTTP/1.1\r\nHo")
    served.recv(65536)
    served.sendall(b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\nok")
    client._take_until(b"ok")
    client.sock.sendall(b"st: h\r\nContent-Length: 10\r\n\r\n0123456789"
                        b"GET /203 HTTP/1.1\r\nHost: h\r\n\r\n")
    served.recv(65536)
    for status in (202, 203):
        served.sendall(b"HTTP/1.1 %d OK\r\nContent-Length: 2\r\n\r\nok" % status)
    events = one(watching, 3)
    assert [(e["request_target"], e["status"], e["end"]) for e in events] == \
        [(f"/{i}", i, "complete") for i in (201, 202, 203)]


def test_pipelined_after_chunks(cgroup, watch, play):
    """A chunked answer in several segments, within the captured bytes, and the next answer."""
    watching = watch(cgroup)
    client, served = play()
    first = answer(client, served, OK, target="/200")
    client.sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in (201, 202)))
    served.recv(65536)
    served.sendall(b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4):
        served.sendall(b"1f4\r\n" + b"x" * 500 + b"\r\n")
    served.sendall(b"0\r\nX-Trailer: yes\r\n\r\n")
    served.sendall(OK.replace(b"200", b"202"))
    events = one(watching, 3)
    check_wire(events[0], first, cgroup)
    assert [(e["request_target"], e["status"], e["end"]) for e in events] == \
        [(f"/{i}", i, "complete") for i in (200, 201, 202)]


def behind_an_uncounted_body(client, served, end, together):
    """Two requests at once; the first answer is chunked and longer than the capture."""
    client.sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in (201, 202)))
    served.recv(65536)
    served.sendall(b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    body = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(20)) + end
    second = OK.replace(b"200", b"202")
    for data in [body + second] if together else [body, second]:
        served.sendall(data)
        time.sleep(0.05)
    for i in (203, 206):  # not pipelined
        client.send("GET", f"/{i}")
        served.recv(65536)
        served.sendall(OK.replace(b"200", b"%d" % i))
        time.sleep(0.05)


ENDS = {"chunk": b"0\r\n\r\n", "trailer": b"0\r\nX-Trailer: yes\r\n\r\n"}


@pytest.mark.parametrize("together", [True, False], ids=["together", "apart"])
@pytest.mark.parametrize("end", ENDS)
def test_pipelined_behind_an_uncounted_body(end, together, cgroup, watch, play):
    """What is behind such a body may be lost; no request gets the answer of another one."""
    watching = watch(cgroup)
    behind_an_uncounted_body(*play(), ENDS[end], together)
    time.sleep(0.3)
    events = watching.stop()
    watching.check_sums()
    assert watching.stats["exchanges_seen"] >= 4
    assert events[0]["status"] == 201
    for event in events:
        assert event["status"] in (0, int(event["request_target"][1:]))


@pytest.mark.parametrize("together", [True, False], ids=["together", "apart"])
@pytest.mark.parametrize("end", ENDS)
def test_pairs_are_found_again(end, together, cgroup, watch, play):
    """... and once nothing is outstanding, a request and its answer belong together again."""
    watching = watch(cgroup)
    behind_an_uncounted_body(*play(), ENDS[end], together)
    time.sleep(0.3)
    last = watching.stop()[-1]
    assert (last["request_target"], last["status"], last["end"]) == ("/206", 206, "complete")


def test_pipelining_nginx(cgroup, watch, start_server):
    """A real server, 50 at once, against its own log."""
    server = start_server("nginx", cgroup)
    watching = watch(cgroup)
    with Connection(("127.0.0.1", server.port)) as client:
        sent = []
        raw = b""
        for i in range(50):
            method, path = [("GET", "/bytes/5000"), ("HEAD", "/hello"),
                            ("GET", "/status/204")][i % 3]
            raw += f"{method} {path}?n={i} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
            sent.append({"method": method, "target": f"{path}?n={i}", "close": False})
        client.sock.sendall(raw)
        seen = [client.receive(s) for s in sent]
    events = by_target(one(watching, 50))
    logged = {line["target"]: line for line in server.log.lines(50)}
    for wire in seen:
        event, line = events[wire["target"]], logged[wire["target"]]
        assert event["status"] == wire["status"] == line["status"]
        assert event["response_body_bytes"] == wire["response_body"] == line["sent"]
        assert event["response_head_bytes"] == wire["response_head"]
        assert event["ordinal"] == line["ordinal"]


@pytest.mark.parametrize("status", [100, 102, 103])
def test_informational_responses(status, cgroup, watch, play):
    """1xx are not the answer: status, bytes and times are those of the final response."""
    watching = watch(cgroup)
    client, served = play()
    sent = client.send("GET", "/a")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 %d Wait\r\nLink: </style.css>\r\n\r\n" % status)
    time.sleep(0.1)
    served.sendall(b"HTTP/1.1 %d Wait\r\n\r\n" % status)
    time.sleep(0.1)
    served.sendall(OK)
    wire = client.receive(sent)
    following = answer(client, served, OK, target="/b")
    first, second = one(watching, 2)
    assert set(first["flags"]) == {"keep_alive", "continued"}
    assert first["wait_ns"] >= 200_000_000
    first["flags"].remove("continued")
    check_wire(first, wire, cgroup)
    check_wire(second, following, cgroup)


@pytest.mark.parametrize("name", ["nginx", "python-threading"])
def test_expect_100_continue(name, cgroup, watch, start_server, tmp_path):
    """curl waits for 100 before it sends a large body."""
    server = start_server(name, cgroup)
    watching = watch(cgroup)
    body = tmp_path / "body"
    body.write_bytes(b"x" * 2_000_000)
    subprocess.run(["curl", "-sS", "-H", "Expect: 100-continue", "--data-binary", f"@{body}",
                    "-o", tmp_path / "out", f"http://127.0.0.1:{server.port}/echo"], check=True)
    event, = one(watching)
    assert (tmp_path / "out").read_text() == "2000000"
    assert event["end"] == "complete"
    assert set(event["flags"]) == {"keep_alive", "continued"}
    assert event["request_body_bytes"] == event["request_content_length"] == 2_000_000
    check_times(event)


def test_early_response(cgroup, watch, play):
    """An answer before the end of the upload; the connection goes on after both are over."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n" + b"x" * 3000)
    served.recv(65536)
    served.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n")
    time.sleep(0.05)
    client._take_until(b"no\n")
    client.sock.sendall(b"x" * 6000)
    time.sleep(0.05)
    served.recv(65536)
    following = answer(client, served, OK, target="/b")
    first, second = one(watching, 2)
    assert (first["request_target"], first["status"], first["end"]) == ("/a", 413, "complete")
    assert "early_response" in first["flags"]
    assert first["request_body_bytes"] == 9000
    assert first["response_body_bytes"] == 3
    assert first["wait_ns"] == 0
    check_wire(second, following, cgroup)


def test_upgrade(cgroup, watch, play):
    """After 101 the connection is a tunnel: nothing in it is an exchange."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                        b"Upgrade: websocket\r\n\r\n")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                   b"Upgrade: websocket\r\n\r\n")
    client._take_until(b"\r\n\r\n")
    watching.wait(1)
    client.sock.sendall(b"GET /not-a-request HTTP/1.1\r\n\r\n")
    served.recv(4096)
    served.sendall(OK)
    client._take_until(b"ok")
    event, = one(watching)
    assert (event["request_target"], event["status"], event["end"]) == ("/chat", 101, "upgraded")
    assert "upgraded" in event["flags"]


def test_connect(cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
    client._take_until(b"\r\n\r\n")
    client.sock.sendall(b"\x16\x03\x01 some TLS")
    served.recv(4096)
    event, = one(watching)
    assert (event["operation"], event["request_target"]) == ("CONNECT", "example.org:443")
    assert (event["authority"], event["path"]) == ("example.org:443", "")
    assert (event["status"], event["end"]) == (200, "upgraded")


def test_chunks_in_odd_pieces(cgroup, watch, play):
    """Chunk sizes, data and trailers cut anywhere, over many segments."""
    watching = watch(cgroup)
    client, served = play()
    body = b"".join(b"%x;name=value\r\n%s\r\n" % (n, b"d" * n) for n in (1, 10, 255, 3)) + \
        b"0\r\nX-Trailer: 1\r\n\r\n"
    sent = client.send("GET", "/a")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for i in range(0, len(body), 7):
        served.sendall(body[i:i + 7])
        time.sleep(0.001)
    wire = client.receive(sent)
    following = answer(client, served, OK, target="/b")
    first, second = one(watching, 2)
    check_wire(first, wire, cgroup)
    check_wire(second, following, cgroup)


def test_bodies_that_look_like_heads(cgroup, watch, play):
    """Segments of a body that begin like a request or a status line are body all the same."""
    watching = watch(cgroup)
    client, served = play()
    trap = b"HTTP/1.1 500 Trap\r\nContent-Length: 0\r\n\r\n"
    sent = client.send("GET", "/a")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (20 * len(trap)))
    for _ in range(20):
        served.sendall(trap)
        time.sleep(0.001)
    first_wire = client.receive(sent)
    trap = b"GET /trap HTTP/1.1\r\nHost: h\r\n\r\n"
    client.sock.sendall(b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
                        % (20 * len(trap)))
    for _ in range(20):
        client.sock.sendall(trap)
        time.sleep(0.001)
    served.recv(65536)
    served.sendall(OK)
    client._take_until(b"ok")
    following = answer(client, served, OK, target="/c")
    first, second, third = one(watching, 3)
    check_wire(first, first_wire, cgroup)
    assert second["request_target"] == "/b"
    assert second["request_body_bytes"] == 20 * len(trap)
    check_wire(third, following, cgroup)


@pytest.mark.parametrize("fields", [b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                                    b"Transfer-Encoding: chunked\r\nContent-Length: 300\r\n"])
def test_length_and_chunked_together(fields, cgroup, watch, play):
    """Transfer-Encoding wins over Content-Length, and the conflict is flagged."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"POST /a HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n4\r\nabcd\r\n0\r\n\r\n")
    served.recv(4096)
    served.sendall(OK)
    client._take_until(b"ok")
    event, = one(watching)
    assert {"ambiguous", "chunked_request"} <= set(event["flags"])
    assert event["request_body_bytes"] == 14
    assert (event["status"], event["end"]) == (200, "complete")
