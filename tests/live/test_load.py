# SPDX-License-Identifier: BSD-2-Clause
"""wrk against nginx: what is reported equals what nginx logged."""
import os
import resource
import signal
import subprocess
import time

import pytest

from compare import by_target, check_logged, check_times
from exporting import wait_for
from programs import WRK_CONNECTIONS as CONNECTIONS
from soak import soak
from wire import Connection


@pytest.mark.parametrize("fields", [[], ["-H", "Connection: close"]], ids=["keep-alive", "close"])
def test_as_fast_as_it_goes(fields, cgroup, start_server, watch, wrk):
    """Everything that nginx logged was seen, and what was not delivered is counted."""
    server = start_server("nginx", cgroup, log_buffer="buffer=1m")
    watching = watch(cgroup, args=["--quiet", "--ring", "64M"])
    counted = wrk(server, 3, *fields)
    server.stop()
    with open(server.log.path) as f:
        logged = sum(1 for _ in f)
    watching.stop()
    watching.check_sums()
    stats = watching.stats
    # At its end wrk closes connections on which a request is under way.
    assert counted <= logged <= counted + CONNECTIONS
    assert logged <= stats["exchanges_seen"] <= logged + CONNECTIONS
    assert stats["delivered"] + stats["dropped"]["ring_full"] == stats["exchanges_seen"]
    assert stats["delivered"] >= logged / 2
    assert stats["outstanding"] == 0
    if not fields:
        assert stats["connections_seen"] == CONNECTIONS


def is_whole(event):
    return event["end"] == "complete" and "gap" not in event["flags"]


def test_small_ring_under_load(cgroup, start_server, watch, wrk):
    """A ring that is far too small loses records; the sums hold, and nothing wrong comes out. With
    the load over, events are whole again."""
    server = start_server("nginx", cgroup, log_buffer="buffer=1m")
    watching = watch(cgroup, args=["--ring", "16K"])
    wrk(server, 2)

    def whole_again():
        with Connection(("127.0.0.1", server.port)) as client:
            client.exchange("GET", "/bytes/100")
        return any(e["request_target"] == "/bytes/100" and is_whole(e) for e in watching.wait(0))

    wait_for(whole_again)
    server.stop()
    with open(server.log.path) as f:
        logged = sum(1 for _ in f)
    events = watching.stop()
    watching.check_sums()
    assert logged <= watching.stats["exchanges_seen"] <= logged + CONNECTIONS
    for event in filter(is_whole, events):
        assert (event["request_target"], event["status"], event["response_body_bytes"]) in (
            ("/hello", 200, 6), ("/bytes/100", 200, 100))


def test_late_reader(cgroup, watch, play, tmp_path):
    """A watch that is ended reads all that the ring holds, also if it gets no CPU for a while."""
    count = 20_000
    watching = watch(cgroup, args=["--ring", "64M"], output=tmp_path / "events")
    client, served = play()
    watching.process.send_signal(signal.SIGSTOP)
    for i in range(count):
        client.sock.sendall(b"GET /%d HTTP/1.1\r\n\r\n" % i)
        served.recv(4096)
        served.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        client.sock.recv(4096)
    watching.process.send_signal(signal.SIGINT)
    watching.process.send_signal(signal.SIGCONT)
    time.sleep(0.01)
    watching.process.send_signal(signal.SIGSTOP)  # while it reads
    time.sleep(1)
    watching.process.send_signal(signal.SIGCONT)
    assert len(watching.stop()) == count
    watching.check_sums(delivered=count)


def test_every_request_under_load(cgroup, start_server, watch, wrk, tmp_path):
    """A mix with an id in each request: every single event equals its line in nginx's log."""
    script = tmp_path / "mix.lua"
    script.write_text("""
        local n = 0
        local paths = {"/hello", "/bytes/100", "/chunked/5000", "/bytes/5000", "/status/204",
                       "/status/404", "/bytes/100000"}
        function request()
            n = n + 1
            -- Not HEAD: wrk waits for a body, and that is the connection's last request.
            return wrk.format("GET", paths[n % #paths + 1] .. "?id=" .. n)
        end
        function delay() return 3 end
        """)
    server = start_server("nginx", cgroup, log_buffer="buffer=1m")
    watching = watch(cgroup, args=["--ring", "64M"], output=tmp_path / "events")
    counted = wrk(server, 3, "-s", str(script))
    server.stop()
    assert counted > 1000
    logged = {line["target"]: line for line in server.log.lines(counted)}
    events = watching.stop()
    complete = by_target(e for e in events if e["end"] == "complete")
    assert len(events) <= len(complete) + CONNECTIONS
    assert len(set(logged) - set(complete)) <= CONNECTIONS
    ports = {}
    for target, event in complete.items():
        line = logged[target]
        check_logged(event, line)
        check_times(event)
        assert event["ordinal"] == line["ordinal"]
        assert event["connection_id"] == ports.setdefault(line["port"], event["connection_id"])
    watching.check_sums(delivered=len(events))


def test_soak(cgroup, start_server, watch, wrk, tmp_path):
    """Half a million requests, among slow and aborting clients; ../soak does millions."""
    result = soak(cgroup, start_server, watch, tmp_path, 500_000)
    assert result["slow_clients"] > 100
    assert result["rss_kib"][1] < result["rss_kib"][0] + 4096


def cpu_of_children(end):
    """What end() returns, and the CPU seconds of the processes that it ended, with their children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ret = end()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ret, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_json_keeps_up(cgroup, start_server, watch, wrk, tmp_path):
    """All requests as JSON, though no CPU is free and others come first. The ring holds all that
    wrk can send, so that none is lost however late the reader gets a CPU. What an event costs is
    compared with what nginx needs for its request, as both have the same machine."""
    script = tmp_path / "pace.lua"
    script.write_text("""
        -- At most 1000 requests a second on each of wrk's connections.
        function delay() return 1 end
        local n = 0
        function request()
            n = n + 1
            return wrk.format("GET", "/hello?q=caf%C3%A9&n=" .. n, {["X-Request-Id"] = "id-" .. n})
        end
        """)
    server = start_server("nginx", cgroup, log_buffer="buffer=1m")
    watching = watch(cgroup, args=["--ring", "256M"], output=tmp_path / "events")
    os.setpriority(os.PRIO_PROCESS, watching.process.pid, 10)
    # What it took to load the programs is no cost of events.
    with open(f"/proc/{watching.process.pid}/schedstat") as f:
        to_load = int(f.read().split()[0]) / 1e9
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(os.cpu_count())]
    try:
        counted = wrk(server, 4, "-s", str(script))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    _, for_requests = cpu_of_children(server.stop)
    events, for_events = cpu_of_children(watching.stop)
    for_events -= to_load
    logged = {line["target"] for line in server.log.lines(counted)}
    complete = {e["request_target"] for e in events if e["end"] == "complete"}
    # At its end wrk closes connections on which a request is under way.
    assert len(logged - complete) <= CONNECTIONS
    assert len(events) == watching.stats["exchanges_seen"]
    watching.check_sums(delivered=len(events))
    assert for_events < for_requests
