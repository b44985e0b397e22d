# SPDX-License-Identifier: BSD-2-Clause
"""A server in a cgroup, watched: events against the server's own log and what the client asked."""
import asyncio
import contextlib
import ctypes
import dataclasses
import datetime
import gc
import os
import signal
import socket
import threading
import time
import tracemalloc
import weakref

import pytest

import appmon
from conftest import take

PLAN = [("GET", "/hello", None), ("POST", "/echo?a=b", b"x" * 3000), ("GET", "/status/404", None),
        ("HEAD", "/bytes/100", None), ("GET", "/bytes/100000", None), ("GET", "/status/204", None)]


def test_events_are_the_servers_log(server, client):
    mark = object()
    before = datetime.datetime.now(datetime.timezone.utc)
    with appmon.Monitor(appmon.Options(headers=["X-Tenant"])) as monitor:
        target = monitor.attach(server.cgroup.path, name="shop", user=mark)
        for method, path, body in PLAN:
            client(method, path, body, {"X-Tenant": f"t{path}"})
        events = take(monitor, len(PLAN))
        stats, all_stats = target.stats(), monitor.stats()
        times = [monitor.realtime(e.request_start_ns) for e in events]
    after = datetime.datetime.now(datetime.timezone.utc)
    lines = server.log.lines(len(PLAN))

    for number, (event, line, (method, path, body)) in enumerate(zip(events, lines, PLAN, strict=True), 1):
        assert event.protocol is appmon.Protocol.HTTP1
        assert event.role is appmon.Role.SERVER
        assert event.end is appmon.End.COMPLETE
        assert event.method is appmon.Method[method]
        assert event.operation == line["method"] == method
        assert event.request_target == line["target"] == path
        assert (event.path, event.query) == tuple(path.partition("?")[::2])
        assert (event.status, event.status_number, event.status_text) == (line["status"], line["status"], str(line["status"]))
        assert event.outcome is (appmon.Outcome.OK if line["status"] < 400 else appmon.Outcome.CLIENT_ERROR)
        assert event.resource == event.path
        assert event.response_body_bytes == line["sent"]
        assert event.request_body_bytes == line["read"] == len(body or b"")
        assert event.request_content_length == (len(body) if body else -1)
        assert event.authority == f"127.0.0.1:{server.port}"
        assert event.local == ("127.0.0.1", server.port)
        assert str(event.remote) == f"127.0.0.1:{line['port']}"
        assert event.header("x-tenant") == f"t{path}"
        assert event.header("x-tenant", response=True) is None
        assert appmon.EventFlags.KEEP_ALIVE in event.flags
        assert (event.target_id, event.target_name) == (target.id, "shop")
        assert event.target_user is mark
        assert event.cgroup_id == server.cgroup.id
        assert event.ordinal == number
        assert event.duration_ns == event.response_end_ns - event.request_start_ns > 0
        assert not event.truncated
    assert before <= times[0] and times == sorted(times) and times[-1] <= after
    for s in (stats, all_stats):
        assert s.exchanges_seen == s.delivered == s.requests == s.responses == len(PLAN)
        assert not any(s.dropped.values()) and s.outstanding == 0


def test_who_served(server, client):
    """Against /proc. The server has a thread for each connection."""
    with appmon.Monitor(appmon.Options(flags=appmon.OpenFlags.IDENTITY)) as monitor:
        if appmon.Capabilities.IDENTITY not in monitor.capabilities():
            pytest.skip("this kernel does not tell who served")
        monitor.attach(server.cgroup.path)
        client("GET", "/hello")
        event = take(monitor, 1)[0]
        pid = server.process.pid
        assert (event.pid, event.owner) == (pid, appmon.Owner.READ)
        assert str(event.tid) in os.listdir(f"/proc/{pid}/task")
        process = monitor.find_process(event.pid, event.process_start_ns)
        path = monitor.find_cgroup(event.cgroup_id)
        with open(f"/proc/{pid}/comm") as comm, open(f"/proc/{pid}/cgroup") as cgroups:
            assert event.comm == comm.read().strip()
            assert f"0::{path}\n" in cgroups.readlines()
        there = os.stat(f"/proc/{pid}/exe")
        assert process == (pid, event.process_start_ns, there.st_ino, there.st_dev,
                           os.readlink(f"/proc/{pid}/exe"))
        with pytest.raises(appmon.NotFound):
            monitor.find_cgroup(1 << 60)
        with pytest.raises(ProcessLookupError):
            monitor.find_process(event.pid, event.process_start_ns + 10**9)


def test_iteration_ends_with_a_wakeup(monitor, client):
    client("GET", "/hello")
    for event in monitor:
        monitor.wakeup()
    assert event.path == "/hello"


def test_bytes_that_are_no_utf8(server, monitor):
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"GET /\xff\xc3\xa4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        while sock.recv(4096):
            pass
    assert take(monitor, 1)[0].path == "/\\xffä"


def test_what_the_capture_limit_cuts_off(server, client):
    with appmon.Monitor(appmon.Options(capture_bytes=256)) as monitor:
        monitor.attach(server.cgroup.path)
        client("GET", "/hello", None, {"user-agent": "u" * 1000})
        client("GET", "/hello", None, {"user-agent": "short"})
        cut, whole = take(monitor, 2)
    assert appmon.EventFlags.TRUNCATED in cut.flags
    assert [(h.name, h.truncated) for h in cut.headers if not h.response] in ([], [("user-agent", True)])
    assert appmon.Header("user-agent", "short", False, False) in whole.headers


def test_async_for(server, client):
    """Another task makes progress meanwhile: it asks."""
    async def ask():
        for method, path, body in PLAN:
            await asyncio.to_thread(client, method, path, body)

    async def watch():
        events = []
        with appmon.Monitor() as monitor:
            monitor.attach(server.cgroup.path)
            asking = asyncio.create_task(ask())
            async for event in monitor:
                events.append((event.operation, event.request_target))
                if len(events) == len(PLAN):
                    monitor.wakeup()
            await asking
        return events

    assert asyncio.run(asyncio.wait_for(watch(), 20)) == [(method, path) for method, path, _ in PLAN]


def test_close_ends_an_async_for(monitor):
    async def watch():
        asyncio.get_running_loop().call_later(0.1, monitor.close)
        async for event in monitor:
            raise AssertionError(event)

    asyncio.run(asyncio.wait_for(watch(), 10))
    assert monitor.closed


def test_two_tasks_cannot_await(monitor):
    async def watch():
        first = asyncio.create_task(anext(monitor))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(monitor)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        # A cancelled one leaves nothing behind.
        asyncio.get_running_loop().call_later(0.1, monitor.wakeup)
        with pytest.raises(StopAsyncIteration):
            await anext(monitor)

    asyncio.run(asyncio.wait_for(watch(), 10))


def test_threads_share_a_monitor(server, client):
    """One waits, another attaches, detaches, asks and at last closes."""
    with appmon.Monitor() as monitor:
        events = []
        reader = threading.Thread(target=lambda: events.extend(monitor))
        reader.start()
        time.sleep(0.05)  # it waits: nothing is attached
        with monitor.attach(server.cgroup.path):
            client("GET", "/hello?seen")
            deadline = time.monotonic() + 10
            while not events and time.monotonic() < deadline:
                time.sleep(0.01)
            assert monitor.stats().delivered == 1
        client("GET", "/hello?unseen")
        monitor.close()
        reader.join(10)
        assert not reader.is_alive()
    assert [e.query for e in events] == ["seen"]
    with pytest.raises(ValueError, match="closed"):
        monitor.next_event(0)
    assert list(monitor) == []
    monitor.wakeup()
    monitor.close()


def test_wakeup_from_a_thread_and_from_a_signal_handler(monitor):
    threading.Timer(0.1, monitor.wakeup).start()
    assert monitor.next_event() is None
    previous = signal.signal(signal.SIGALRM, lambda *_: monitor.wakeup())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert monitor.next_event() is None
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert monitor.next_event(0.01) is None


def test_ctrl_c_ends_the_wait(monitor, client):
    def interrupt(*_):
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            monitor.next_event()
    finally:
        signal.signal(signal.SIGALRM, previous)
    client("GET", "/hello")
    assert take(monitor, 1)[0].path == "/hello"


def test_recording_gives_the_same_events(server, client, tmp_path):
    with open(tmp_path / "recording", "w+b") as file:
        with appmon.Monitor() as monitor:
            monitor.record(file.fileno())
            monitor.attach(server.cgroup.path, name="shop", user=1)
            for method, path, body in PLAN:
                client(method, path, body)
            live = take(monitor, len(PLAN))
        file.seek(0)
        with appmon.Monitor.replay(file.fileno()) as replay:
            again = list(replay)
            with pytest.raises(appmon.EndOfRecording):
                replay.next_event()
        file.seek(0)

        async def collect():
            with appmon.Monitor.replay(file.fileno()) as replay:
                return [event async for event in replay]
        assert asyncio.run(collect()) == again
    assert again == [dataclasses.replace(event, target_user=None) for event in live]


def test_a_forked_child_is_told(server, monitor, client):
    child = os.fork()
    if not child:
        status = 1
        with contextlib.suppress(BaseException):
            try:
                monitor.stats()
            except appmon.WrongProcess as problem:
                monitor.close()
                status = 0 if isinstance(problem, ChildProcessError) and "parent" in str(problem) else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client("GET", "/hello")
    assert take(monitor, 1)[0].path == "/hello"


def test_an_open_directory(server, client):
    with appmon.Monitor() as monitor:
        directory = os.open(server.cgroup.path, os.O_DIRECTORY)
        target = monitor.attach(directory)
        os.close(directory)
        client("GET", "/hello")
        assert take(monitor, 1)[0].target_name == server.cgroup.name
        with pytest.raises(appmon.AlreadyAttached) as caught:
            monitor.attach(server.cgroup.path)
        assert isinstance(caught.value, FileExistsError)
        target.detach()
        with pytest.raises(appmon.NotFound):
            target.detach()


def test_null_bytes(server):
    with pytest.raises(ValueError, match="null byte"):
        appmon.Monitor(appmon.Options(headers=["x\0y"]))
    with appmon.Monitor() as monitor, pytest.raises(ValueError, match="null byte"):
        monitor.attach(server.cgroup.path + "\0")


# ---- what goes wrong in Python -------------------------------------------------------------


class Boom(Exception):
    pass


def test_what_the_log_function_raises_comes_out_of_the_call(server, client):
    lines = []

    def log(level, line):
        lines.append((level, line))
        raise Boom(line)

    with appmon.Monitor(log=log) as monitor:
        monitor.attach(server.cgroup.path)
        for _ in range(100):
            with pytest.raises(Boom, match="/dev/null"):
                monitor.attach("/dev/null")
        client("GET", "/hello")  # nothing is broken
        assert take(monitor, 1)[0].path == "/hello"
    assert len(lines) == 100 and lines[0][0] is appmon.LogLevel.ERROR


def test_ctrl_c_in_the_log_function_is_not_lost(server):
    def log(level, line):
        raise KeyboardInterrupt

    with appmon.Monitor(log=log) as monitor, pytest.raises(KeyboardInterrupt):
        monitor.attach("/dev/null")


def test_the_log_function_cannot_use_the_monitor(server):
    problems = []

    def log(level, line):
        for use in (monitor.stats, monitor.close, lambda: monitor.next_event(0)):
            try:
                use()
            except RuntimeError as problem:
                problems.append(str(problem))

    with appmon.Monitor(log=log) as monitor:
        with pytest.raises(appmon.NotADirectory):
            monitor.attach("/dev/null")
    assert len(problems) == 3 and all("log function" in p for p in problems)


def test_what_the_log_function_raises_while_opening():
    def log(level, line):
        raise Boom(line)

    for _ in range(100):
        with pytest.raises(Boom, match="ring_bytes"):
            appmon.Monitor(appmon.Options(ring_bytes=5), log=log)


@pytest.mark.parametrize("options, words", [
    (appmon.Options(ring_bytes=5), "ring_bytes is 5, it must be 4096 to"),
    (appmon.Options(headers=["no header"]), "is not a header name"),
    (appmon.Options(log_level=9), "log_level is 9"),
])
def test_errors_have_the_librarys_words(options, words):
    with pytest.raises(appmon.Error, match=words) as caught:
        appmon.Monitor(options)
    assert caught.value.errno == 22 and isinstance(caught.value, OSError)


# ---- under pressure ---------------------------------------------------------------------------


def test_events_outlive_everything_under_garbage_collection(server, load):
    """Collections all the time, the monitor gone: the copies are what the server logged."""
    with appmon.Monitor() as monitor:
        monitor.attach(server.cgroup.path, user=object())
        threshold = gc.get_threshold()
        gc.set_threshold(5, 1, 1)
        try:
            join = load(connections=4, count=500)
            events = [monitor.next_event(10) for _ in range(2000)]
            join()
        finally:
            gc.set_threshold(*threshold)
        assert monitor.next_event(0) is None
        stats = monitor.stats()
    # What the library had freed is used again.
    rubble = [ctypes.create_string_buffer(os.urandom(256)) for _ in range(10000)]
    del rubble
    logged = server.log.lines(2000)
    assert sorted((e.request_target, e.remote.port, e.status) for e in events) == \
        sorted((line["target"], line["port"], line["status"]) for line in logged)
    assert all(e.authority == f"127.0.0.1:{server.port}" and e.operation == "GET" for e in events)
    assert stats.delivered == stats.exchanges_seen == 2000 and not any(stats.dropped.values())


def test_a_monitor_that_is_forgotten_is_closed(server):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    gc.collect()
    before = descriptors()
    for _ in range(5):
        monitor = appmon.Monitor(log=lambda level, line: None)
        monitor.attach(server.cgroup.path)
        gone = weakref.ref(monitor)
        del monitor
        gc.collect()
        assert gone() is None
    assert descriptors() == before


def test_events_that_are_dropped_leave_no_memory(server, monitor, load):
    def some():
        join = load(connections=2, count=200)
        for _ in range(400):
            assert monitor.next_event(10)
        join()

    some()
    gc.collect()
    tracemalloc.start()
    some()
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    some()
    some()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100 * 1024  # 800 events have some 800 KiB
