# SPDX-License-Identifier: BSD-2-Clause
"""Where the time went: against the clocks of both ends. Neither end knows a time exactly, each knows
two that enclose it, so that a busy machine makes these tests less sharp but not wrong; the parts that
are slept are then compared with the sleeps."""
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from compare import by_target
from network import Veth
from programs import Missing
from test_identity import OwnerServer
from wire import Connection

MS = 1_000_000
PERCENT = 5


def check_part(part, at_least, start, end):
    """A part of an event's time that was slept for at_least, between two enclosed times."""
    least, most = end[0] - start[1], end[1] - start[0]
    assert least <= part <= most
    assert part >= at_least * MS
    # Enclosed within a few percent, so the truth is near: unless this machine was stalled just there.
    if at_least and most - least < part * PERCENT / 100:
        assert abs(part - (least + most) / 2) <= part * PERCENT / 100


def enclose(event, line, sent):
    """All that the server's log and the client say of the event's times."""
    assert sent[0] <= event["request_start_ns"] <= sent[1]
    for name, key in (("read_start_ns", "read_start"), ("read_end_ns", "read_end"),
                      ("response_start_ns", "answer_start"), ("response_end_ns", "answer_end")):
        assert line[key][0] <= event[name] <= line[key][1], name
    parts = [event["queue_ns"], event["read_end_ns"] - event["read_start_ns"], event["service_ns"],
             event["response_ns"]]
    assert sum(parts) == event["duration_ns"]


def ask(address, target, results):
    """A request of its own connection; results[target] encloses the time it was sent."""
    with socket.create_connection(address, timeout=20) as sock:
        before = time.monotonic_ns()
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        results[target] = [before, time.monotonic_ns()]
        while sock.recv(65536):
            pass


def test_sleeps(cgroup, tmp_path, watch):
    """A server that sleeps in each place; the next request waits in the accept backlog meanwhile."""
    server = OwnerServer("single", cgroup, tmp_path)
    watching = watch(cgroup)
    sent = {}
    # Each but the first comes while the one before it is being served.
    targets = ["/?n=1&accept=100", "/?n=2&answer=30", "/?n=3&read=60&answer=10",
               "/?n=4&middle=40&answer=5", "/?n=5"]
    clients = []
    for target in targets:
        clients.append(threading.Thread(target=ask, args=(server.address, target, sent)))
        clients[-1].start()
        while target not in sent:
            time.sleep(0.0001)
    for client in clients:
        client.join()
    watching.wait(len(targets))
    events = by_target(watching.stop())
    lines = {line["target"]: line for line in server.log.lines(len(targets))}
    for target in targets:
        enclose(events[target], lines[target], sent[target])
    _, second, third, fourth, fifth = (events[t] for t in targets)
    line = [lines[t] for t in targets]
    check_part(second["queue_ns"], 90, sent[targets[1]], line[1]["read_start"])
    check_part(second["service_ns"], 30, line[1]["read_end"], line[1]["answer_start"])
    check_part(third["service_ns"], 10, line[2]["read_end"], line[2]["answer_start"])
    check_part(fourth["queue_ns"], 60, sent[targets[3]], line[3]["read_start"])
    check_part(fourth["service_ns"], 5, line[3]["read_end"], line[3]["answer_start"])
    check_part(fourth["response_ns"], 40, line[3]["answer_start"], line[3]["answer_end"])
    # The backlog is first in, first out.
    assert fifth["read_start_ns"] >= fourth["response_end_ns"]


def test_upload_apart(cgroup, tmp_path, watch):
    """A slow upload is the request's time, neither queue nor service."""
    server = OwnerServer("single", cgroup, tmp_path)
    watching = watch(cgroup)
    with Connection(server.address) as connection:
        before = time.monotonic_ns()
        connection.sock.sendall(b"POST /?answer=20 HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n")
        after = time.monotonic_ns()
        for _ in range(4):
            time.sleep(0.02)
            last = time.monotonic_ns()
            connection.sock.sendall(b"x" * 10)
        sent = time.monotonic_ns()
        connection.sock.recv(100)
        event, = watching.wait(1)
    line, = server.log.lines(1)
    enclose(event, line, [before, after])
    assert last <= event["request_end_ns"] <= sent
    check_part(event["request_ns"], 80, [before, after], [last, sent])
    check_part(event["service_ns"], 20, line["read_end"], line["answer_start"])
    assert event["queue_ns"] <= line["read_start"][1] - before
    watching.stop()


def test_client_parts(cgroup, tmp_path, watch):
    """Connect, send, wait and receive of a client, each between two looks at the clock."""
    watching = watch(cgroup)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = time.monotonic_ns()
        sock = cgroup.connect(listener.getsockname())
        connected = time.monotonic_ns()
        served, _ = listener.accept()
        start = [time.monotonic_ns()]
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        start.append(time.monotonic_ns())
        time.sleep(0.02)
        end = [time.monotonic_ns()]
        sock.sendall(b"body")
        end.append(time.monotonic_ns())
        served.recv(100)
        time.sleep(0.03)
        first = [time.monotonic_ns()]
        served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        first.append(time.monotonic_ns())
        time.sleep(0.02)
        last = [time.monotonic_ns()]
        served.sendall(b"body")
        last.append(time.monotonic_ns())
        event, = watching.wait(1)
        assert 0 < event["connect_ns"] <= connected - before
        check_part(event["request_ns"], 20, start, end)
        check_part(event["wait_ns"], 30, end, first)
        check_part(event["response_ns"], 20, first, last)
        served.close()
        sock.close()
    watching.stop()


def test_delay_on_the_path(cgroup, tmp_path, watch, programs):
    """The network's delay is in the round-trip time, in the transfer of what needs several round trips
    and in connect; not in the service time."""
    try:
        netem = programs.load("netem")
    except Missing as reason:
        pytest.skip(str(reason))
    delay_ms, size = 20, 1_000_000
    with Veth(netem, delay=delay_ms) as link:
        link.server.sysctl("net.ipv4.tcp_slow_start_after_idle", 1)
        with link.server.inside():
            server = OwnerServer("single", cgroup, tmp_path, host=link.server.address)
        watching = watch(cgroup)
        with link.client.inside():
            sock = cgroup.connect(server.address)
        begin = time.monotonic_ns()
        sock.sendall(f"GET /?answer=10&bytes={size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = 0
        while got < size:
            got += len(sock.recv(1 << 20))
        took = time.monotonic_ns() - begin
        events = {e["role"]: e for e in watching.wait(2)}
        sock.close()
        served, asked = events["server"], events["client"]
        line, = server.log.lines(1)
        rtt = 2 * delay_ms
        assert served["srtt_us"] >= rtt * 1000 and asked["srtt_us"] >= rtt * 1000
        check_part(served["service_ns"], 10, line["read_end"], line["answer_start"])
        # A window of ten segments, doubled each round trip: 1 MB takes more than four.
        assert served["response_ns"] >= 4 * rtt * MS
        assert asked["connect_ns"] >= rtt * MS
        assert asked["wait_ns"] >= (rtt + 10) * MS
        assert asked["duration_ns"] <= took
    watching.stop()


def test_overload(cgroup, tmp_path, watch):
    """One thread that takes 2 ms for each request, and wrk's 8 connections: what wrk measures is what
    the events say, and seven eighths of it is the queue."""
    if not shutil.which("wrk"):
        pytest.skip("wrk is not installed")
    server = OwnerServer("single", cgroup, tmp_path)
    script = tmp_path / "script.lua"
    script.write_text('request = function() return wrk.format("GET", "/?answer=2&bytes=10") end\n')
    watching = watch(cgroup)
    out = subprocess.run(["wrk", "-t1", "-c8", "-d2s", "-s", str(script),
                          "http://%s:%d/" % server.address], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    value, unit = re.search(r"Latency\s+([\d.]+)(us|ms|s)", out).groups()
    mean = float(value) * {"us": 1000, "ms": MS, "s": 1000 * MS}[unit]
    events = [e for e in watching.stop() if e["end"] == "complete"]
    assert len(events) > 100
    # The first eight find the queue short.
    full = sorted(events, key=lambda e: e["request_start_ns"])[8:-8]
    queue, service, total = (sum(e[k] for e in full) / len(full)
                             for k in ("queue_ns", "service_ns", "duration_ns"))
    lines = {line["read_start"][0]: line for line in server.log.lines(len(events))}
    assert len(lines) >= len(events)
    slept = sum(line["answer_start"][0] - line["read_end"][1] for line in lines.values())
    assert abs(service / (slept / len(lines)) - 1) < 0.1
    # wrk's clock runs a little longer: until it gets to run itself.
    assert 0.95 < mean / total < 1.2, (total, mean)
    assert 0.75 < queue / total < 0.95, (queue, total)
    print(f"wrk {mean / MS:.2f} ms, events {total / MS:.2f} ms: queue {queue / MS:.2f} ms, "
          f"service {service / MS:.2f} ms")
