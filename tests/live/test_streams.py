# SPDX-License-Identifier: BSD-2-Clause
"""Exchanges and connections that take their time: streams, polls, silence, and the timeouts."""
import time

import pytest

from compare import check_times, check_wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(client, served, target):
    sent = client.send("GET", target)
    got = 0
    while got < sent["request_head"]:
        got += len(served.recv(65536))
    return sent


def exchange(client, served, target):
    sent = request(client, served, target)
    served.sendall(OK)
    return client.receive(sent)


def only_event(watching, wire, cgroup):
    """The event of the one exchange that the watch saw, which came while it was running."""
    event, = watching.wait(1)
    check_wire(event, wire, cgroup)
    watching.stop()
    watching.check_sums(delivered=1)
    return event


def none_yet(watching, seconds=0.15):
    time.sleep(seconds)
    assert watching.wait(0) == []


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize("framing", ["chunked", "until close"])
def test_server_sent_events(framing, cgroup, watch, play):
    """One exchange, however many events are in it: reported when the stream ends, with its time."""
    watching = watch(cgroup)
    client, served = play()
    sent = request(client, served, "/events")
    chunked = framing == "chunked"
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n"))
    for i in range(20):
        data = b"id: %d\ndata: HTTP/1.1 500 Trap\n\n" % i
        served.sendall(chunk(data) if chunked else data)
        time.sleep(0.02)
    none_yet(watching)
    served.sendall(b"0\r\n\r\n" if chunked else b"")
    if not chunked:
        served.close()
    wire = client.receive(sent)
    if not chunked:
        wire["keep"] = False
    event = only_event(watching, wire, cgroup)
    assert event["headers"]["response"]["content-type"] == ["text/event-stream"]
    assert event["response_ns"] >= 350_000_000


@pytest.mark.parametrize("framing", ["chunked", "until close"])
def test_stream_heads(framing, cgroup, watch, play):
    """With --stream-heads the stream is told when it begins, once, and counts as delivered."""
    watching = watch(cgroup, args=["--stream-heads"])
    client, served = play()
    sent = request(client, served, "/events")
    chunked = framing == "chunked"
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n"))
    event, = watching.wait(1)
    assert (event["request_target"], event["status"], event["end"]) == ("/events", 200, "at head")
    assert event["response_start_ns"] > event["request_start_ns"]
    assert event["response_end_ns"] == event["duration_ns"] == 0
    for i in range(5):
        data = b"id: %d\n\n" % i
        served.sendall(chunk(data) if chunked else data)
        time.sleep(0.02)
    if chunked:
        served.sendall(b"0\r\n\r\n")
        client.receive(sent)
        exchange(client, served, "/next")
        assert watching.wait(2)[1]["request_target"] == "/next"
    else:
        served.close()
        client.receive(sent)
    time.sleep(0.1)
    watching.stop()
    watching.check_sums(delivered=1 + chunked)


def test_stream_longer_than_the_capture(cgroup, watch, play):
    """The same with more bytes than are captured: its end still comes with the last chunk."""
    watching = watch(cgroup)
    client, served = play()
    sent = request(client, served, "/events")
    served.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for i in range(40):
        served.sendall(chunk(b"data: %s\n\n" % (b"x" * 1000)))
        time.sleep(0.002)
    none_yet(watching)
    served.sendall(b"0\r\n\r\n")
    only_event(watching, client.receive(sent), cgroup)


def test_client_leaves_a_stream(cgroup, watch, play):
    """The ordinary end of a browser's event stream."""
    watching = watch(cgroup)
    client, served = play()
    request(client, served, "/events")
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    served.sendall(head + chunk(b"data: 1\n\n"))
    client._take_until(b"data: 1\n\n\r\n")
    client.sock.close()
    assert served.recv(1) == b""
    served.close()
    event, = watching.wait(1)
    assert (event["status"], event["end"]) == (200, "closed")
    assert event["response_body_bytes"] == len(chunk(b"data: 1\n\n"))
    watching.stop()
    watching.check_sums(delivered=1)


def test_long_poll(cgroup, watch, play):
    """Silence until something happens is waiting time; twice on one connection."""
    watching = watch(cgroup)
    client, served = play()
    seen = []
    for i in range(2):
        sent = request(client, served, f"/poll?{i}")
        time.sleep(0.4)
        assert len(watching.wait(0)) == i
        served.sendall(OK)
        seen.append(client.receive(sent))
    watching.wait(2)
    for event, wire in zip(watching.stop(), seen):
        check_wire(event, wire, cgroup)
        check_times(event)
        assert event["wait_ns"] >= 400_000_000
    watching.check_sums(delivered=2)


def test_response_until_close_in_one_segment(cgroup, watch, play):
    """Head, body and FIN together; the body looks like a response of its own."""
    watching = watch(cgroup)
    client, served = play()
    sent = request(client, served, "/close")
    served.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + OK)
    served.close()
    wire = client.receive(sent)
    assert wire["response_body"] == len(OK)
    wire["keep"] = False
    only_event(watching, wire, cgroup)


def test_idle_between_exchanges(cgroup, watch, play):
    """Time between two exchanges belongs to neither."""
    watching = watch(cgroup)
    client, served = play()
    seen = []
    for i in range(3):
        seen.append(exchange(client, served, f"/{i}"))
        time.sleep(0.3)
    events = watching.stop()
    assert [e["ordinal"] for e in events] == [1, 2, 3]
    for event, wire in zip(events, seen):
        check_wire(event, wire, cgroup)
        assert event["duration_ns"] < 300_000_000
    watching.check_sums(delivered=3)


def test_idle_timeout(cgroup, watch, play):
    """A connection that was forgotten is found again at its next request, and nothing is lost."""
    watching = watch(cgroup, args=["--idle", "200ms"])
    client, served = play()
    seen = []
    for i in range(3):
        seen.append(exchange(client, served, f"/{i}"))
        # Two seconds are the least, looked after once a second.
        time.sleep(3.6 if i == 1 else 0.02)
    watching.wait(3)
    events = watching.stop()
    for event, wire in zip(events, seen):
        check_wire(event, wire, cgroup)
    assert len({e["connection_id"] for e in events}) == 1
    assert [e["ordinal"] for e in events] == [1, 2, 3]  # unique on the connection: it goes on
    watching.check_sums(delivered=3)
    assert watching.stats["connections_open"] == 1


def test_idle_connections_are_forgotten(cgroup, watch, play):
    """What the timeout is for: connections that stay open for ever cost no memory for ever."""
    watching = watch(cgroup, args=["--idle", "200ms"])
    ends = [play() for _ in range(50)]
    for i, (client, served) in enumerate(ends):
        exchange(client, served, f"/{i}")
    watching.wait(50)
    time.sleep(3.6)
    watching.stop()
    watching.check_sums(delivered=50)
    assert watching.stats["connections_seen"] == 50
    assert watching.stats["connections_open"] == 0


def test_exchange_timeout_counts_silence_only(cgroup, watch, play):
    """An exchange that lasts longer than the timeout, but moves, is not over."""
    watching = watch(cgroup, args=["--timeout", "400ms"])
    client, served = play()
    sent = request(client, served, "/trickle")
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
    for _ in range(12):
        time.sleep(0.1)
        served.sendall(b"x")
    event = only_event(watching, client.receive(sent), cgroup)
    assert event["response_ns"] >= 1_200_000_000


def test_answer_after_the_timeout(cgroup, watch, play):
    """It was reported as timed out; its late answer goes to nobody, and the next is right."""
    watching = watch(cgroup, args=["--timeout", "300ms"])
    client, served = play()
    sent = request(client, served, "/late")
    event, = watching.wait(1)
    assert (event["request_target"], event["end"]) == ("/late", "timeout")
    served.sendall(b"HTTP/1.1 503 Late\r\nContent-Length: 2\r\n\r\nno")
    client.receive(sent)
    seen = [exchange(client, served, target) for target in ("/next", "/last")]
    time.sleep(0.3)
    _, *rest = watching.stop()
    watching.check_sums()
    rest = [e for e in rest if e["request_target"]]  # the answer alone may be an event of its own
    assert [(e["request_target"], e["status"]) for e in rest] == [("/next", 200), ("/last", 200)]
    for event, wire in zip(rest, seen):
        check_wire(event, wire, cgroup)
