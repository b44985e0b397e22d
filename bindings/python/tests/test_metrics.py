# SPDX-License-Identifier: BSD-2-Clause
"""Metrics of a recording against a count of its events and the server's own log."""
import collections
import gc
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

import appmon
from conftest import PYTHON, take

PLAN = ["/hello"] * 5 + ["/status/404"] * 3 + ["/status/500"] * 2 + ["/bytes/1000"]


def test_figures_are_the_servers_log(server, client, tmp_path):
    with open(tmp_path / "recording", "w+b") as file:
        with appmon.Monitor() as monitor:
            monitor.record(file.fileno())
            monitor.attach(server.cgroup.path, name="shop")
            for path in PLAN:
                client("GET", path)
            take(monitor, len(PLAN))
        file.seek(0)
        options = appmon.MetricsOptions(flags=appmon.MetricsFlags.RAW_ROUTES)
        with appmon.Monitor.replay(file.fileno()) as replay, appmon.Metrics(options) as metrics:
            replay.feed(metrics)
            events = list(replay)
            stats = metrics.stats()
            snapshot = metrics.snapshot(appmon.TakeFlags.WAITING, events[-1].response_end_ns)
    counts = collections.Counter((line["target"], line["status"]) for line in server.log.lines(len(PLAN)))
    assert stats.events == len(PLAN)
    with snapshot:  # outlives its aggregator
        series = snapshot.series()
        figures = [snapshot.figures(i) for i in range(len(series))]
        assert {(s.route, s.status): f.requests for s, f in zip(series, figures)} == counts
        for i, (s, f) in enumerate(zip(series, figures)):
            own = [e.duration_ns for e in events if (e.path, e.status) == (s.route, s.status)]
            assert (s.app, s.method_name) == ("shop", "GET")
            assert f.errors == (len(own) if s.status >= 500 else 0)
            assert (f.duration_count, f.duration_sum, f.duration_max) == (len(own), sum(own), max(own))
            with snapshot.durations(i) as histogram:
                assert (histogram.count, histogram.sum) == (len(own), sum(own))
                assert sum(bucket.values for bucket in histogram) == len(own)
            with snapshot.histogram(i, appmon.TimeKind.DURATION) as histogram:
                assert (histogram.count, histogram.sum) == (len(own), sum(own))
            with snapshot.histogram(i, appmon.TimeKind.QUEUE) as histogram:
                assert histogram.count == 0  # not asked for
            assert snapshot.exemplar(i) is None
        edges = range(snapshot.count(appmon.SnapshotKind.EDGES))
        assert sum(snapshot.figures(i, kind=appmon.SnapshotKind.EDGES).requests for i in edges) == len(PLAN)
        with pytest.raises(appmon.NotFound):
            snapshot.figures(len(series))
    with pytest.raises(ValueError, match="closed"):
        snapshot.series()


@pytest.fixture
def recording(server, client, tmp_path):
    """What asking for PLAN gave, as a file to replay."""
    with open(tmp_path / "recording", "w+b") as file:
        with appmon.Monitor() as monitor:
            monitor.record(file.fileno())
            monitor.attach(server.cgroup.path, name="shop")
            for path in PLAN:
                client("GET", path)
            take(monitor, len(PLAN))
        yield file


def replayed(file):
    file.seek(0)
    return appmon.Monitor.replay(file.fileno())


def by_series(snapshot, since=None):
    figures = ((s, snapshot.figures(i, since)) for i, s in enumerate(snapshot.series()))
    return {(s.route, s.status): (f.requests, f.errors) for s, f in figures if f.requests}


# ---- the program's own functions ----------------------------------------------------------------


def test_the_programs_own_functions_decide(server, recording):
    asked = []

    def route(event):
        asked.append(event.path)
        assert metrics.stats().events == len(asked) - 1  # the aggregator may be used
        if event.path == "/bytes/1000":
            return "ö" * 500
        return None if event.path == "/hello" else "own " + event.path[:3]

    with appmon.Metrics(route=route, is_error=lambda event: None if event.status == 500 else event.status == 404,
                        instance=lambda event: 2**64 - 7) as metrics, replayed(recording) as monitor:
        monitor.feed(metrics)
        last = list(monitor)[-1]
        with metrics.snapshot(appmon.TakeFlags.WAITING, last.response_end_ns) as snapshot:
            assert {series.cgroup_id for series in snapshot.series()} == {2**64 - 7}
            got = by_series(snapshot)
    assert sorted(asked) == sorted(line["target"] for line in server.log.lines(len(PLAN)))
    long, = (route for route, _ in got if route.startswith("ö"))
    assert 126 <= long.count("ö") <= 128 and len(long) < 140
    assert got == {("/hello", 200): (5, 0), ("own /st", 404): (3, 3), ("own /st", 500): (2, 2), (long, 200): (1, 0)}


class Boom(Exception):
    pass


def fail(event):
    raise Boom(event.path)


@pytest.mark.parametrize("functions, kind", [
    ({"route": fail}, Boom), ({"is_error": fail}, Boom), ({"instance": fail}, Boom),
    ({"route": lambda event: 5}, AttributeError), ({"instance": lambda event: -1}, OverflowError),
    ({"route": lambda event: "\ud800"}, UnicodeEncodeError), ({"instance": lambda event: None}, TypeError),
], ids=str)
def test_what_a_function_raises_loses_no_event(recording, functions, kind):
    def only(function):
        return lambda event: function(event) if event.status == 404 else {"route": "/", "instance": 1}.get(name)

    (name, function), = functions.items()
    with appmon.Metrics(**{name: only(function)}) as metrics, appmon.Metrics() as other, \
            replayed(recording) as monitor:
        monitor.feed(metrics)
        monitor.feed(other)
        events, raised = [], 0
        while True:
            try:
                events.append(monitor.next_event())
            except appmon.EndOfRecording:
                break
            except kind:
                raised += 1
                assert events[-1].status == 404
        assert [event.path for event in events] == PLAN and raised == PLAN.count("/status/404")
        assert (metrics.stats().events, other.stats().events) == (len(PLAN) - raised, len(PLAN))


def test_ctrl_c_in_a_function_is_not_lost(recording):
    def interrupt(event):
        raise KeyboardInterrupt

    with appmon.Metrics(is_error=interrupt) as metrics, replayed(recording) as monitor:
        monitor.feed(metrics)
        assert monitor.next_event().path == PLAN[0]
        with pytest.raises(KeyboardInterrupt):
            monitor.next_event()


def test_a_function_cannot_use_its_monitor(recording):
    problems = []

    def route(event):
        for use in (monitor.stats, monitor.close, lambda: monitor.next_event(0)):
            with pytest.raises(RuntimeError, match="function of metrics") as caught:
                use()
            problems.append(caught)

    with appmon.Metrics(route=route) as metrics, replayed(recording) as monitor:
        monitor.feed(metrics)
        assert [event.path for event in monitor] == PLAN
        assert metrics.stats().events == len(PLAN)
    assert len(problems) == 3 * len(PLAN)


def test_metrics_with_functions_are_collected_when_forgotten():
    metrics = appmon.Metrics(route=lambda event: None, is_error=lambda event: None, instance=lambda event: 0)
    gone = weakref.ref(metrics)
    del metrics
    assert gone() is None  # without a collection: there is no cycle


# ---- snapshots ------------------------------------------------------------------------------------


def test_since_an_earlier_snapshot(recording):
    early, times = 7, collections.defaultdict(list)
    with appmon.Metrics(appmon.MetricsOptions(flags=appmon.MetricsFlags.RAW_ROUTES)) as metrics, \
            replayed(recording) as monitor:
        monitor.feed(metrics)
        events = [monitor.next_event() for _ in range(early)]
        before = metrics.snapshot(appmon.TakeFlags.WAITING, events[-1].response_end_ns)
        later = list(monitor)
        now = metrics.snapshot(appmon.TakeFlags.WAITING, later[-1].response_end_ns)
    for event in later:
        times[event.path, event.status].append(event.duration_ns)
    with before, now:
        assert now.time_ns - before.time_ns == later[-1].response_end_ns - events[-1].response_end_ns
        assert {key: requests for key, (requests, _) in by_series(before).items()} == collections.Counter(
            (event.path, event.status) for event in events)
        assert {key: requests for key, (requests, _) in by_series(now, before).items()} == {
            key: len(of) for key, of in times.items()}
        for index, series in enumerate(now.series()):
            of = times.get((series.route, series.status), [])
            assert now.figures(index, before).duration_sum == sum(of)
            with now.durations(index, before) as histogram:
                assert (histogram.count, histogram.sum) == (len(of), sum(of))
            assert not now.figures(index, now).requests
        with pytest.raises(appmon.Error) as caught:
            before.figures(0, now)
        assert caught.value.errno == 22


def test_feed_active(server):
    """One that the server keeps waiting, and then a second one."""
    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/slow/6000")
        connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    with appmon.Monitor() as monitor, \
            appmon.Metrics(appmon.MetricsOptions(flags=appmon.MetricsFlags.ACTIVE)) as metrics, \
            appmon.Metrics() as not_active, \
            appmon.Metrics(appmon.MetricsOptions(flags=appmon.MetricsFlags.ACTIVE),
                           instance=lambda event: event.status + 7) as own, \
            appmon.Metrics(appmon.MetricsOptions(flags=appmon.MetricsFlags.ACTIVE), instance=fail) as failing:
        monitor.attach(server.cgroup.path, name="shop")
        for thread in threads:
            thread.start()
        deadline, rows = time.monotonic() + 5, []
        while sum(row.requests for row in rows) < 2 and time.monotonic() < deadline:
            assert monitor.next_event(0.02) is None
            monitor.feed_active(metrics)
            with metrics.snapshot() as snapshot:
                rows = snapshot.active()
        assert [(row.app, row.method_name, row.requests, row.cgroup_id) for row in rows] == [
            ("shop", "GET", 2, server.cgroup.id)]
        with metrics.snapshot() as snapshot:  # it was for one snapshot only
            assert not any(row.requests for row in snapshot.active())
        monitor.feed_active(own)
        with own.snapshot() as snapshot:
            assert [(row.requests, row.cgroup_id) for row in snapshot.active()] == [(2, 7)]
        with pytest.raises(Boom, match="/slow/6000"):
            monitor.feed_active(failing)
        with pytest.raises(appmon.Error) as caught:
            monitor.feed_active(not_active)
        assert caught.value.errno == 22
        for thread in threads:
            thread.join()
        events = take(monitor, 2)
        assert sorted(event.request_start_ns for event in events)[0] == rows[0].oldest_ns
        assert [line["target"] for line in server.log.lines(2)] == ["/slow/6000"] * 2
        monitor.feed_active(metrics)
        with metrics.snapshot() as snapshot:
            assert not any(row.requests for row in snapshot.active())


def test_an_exemplar_is_one_of_the_events(server, client):
    ids = {f"{number:032x}": f"{number:016x}" for number in range(1, 6)}
    with appmon.Monitor(appmon.Options(flags=appmon.OpenFlags.TRACE)) as monitor, \
            appmon.Metrics(appmon.MetricsOptions(flags=appmon.MetricsFlags.RAW_ROUTES)) as metrics:
        monitor.feed(metrics)
        monitor.attach(server.cgroup.path)
        for trace, span in ids.items():
            client("GET", "/hello", headers={"traceparent": f"00-{trace}-{span}-01"})
        client("GET", "/status/404")
        events = {event.trace.trace_id.hex(): event for event in take(monitor, 6)}
        with metrics.snapshot(appmon.TakeFlags.WAITING) as snapshot:
            found = {series.route: snapshot.exemplar(index) for index, series in enumerate(snapshot.series())}
    assert found["/status/404"] is None
    exemplar = found["/hello"]
    assert exemplar.span_id.hex() == ids[exemplar.trace_id.hex()]
    event = events[exemplar.trace_id.hex()]
    assert (exemplar.duration_ns, exemplar.end_ns) == (event.duration_ns, event.response_end_ns)


# ---- budget ----------------------------------------------------------------------------------------

ALL = 1_000_000  # parts


def test_a_sample_is_of_whole_connections(server, monitor, load):
    """Initial sequence numbers decide which: all or none of 60 has a chance of 1 in 2 to the 59."""
    connections, each = 60, 5
    monitor.set_sampling(ALL // 2)
    assert monitor.stats().sampling_ppm == ALL // 2
    load(connections, each)()
    lines = server.log.lines(connections * each)
    events = []
    while event := monitor.next_event(1):
        events.append(event)
    assert {event.sampling_ppm for event in events} == {ALL // 2}
    ports = {event.remote.port for event in events}
    assert 0 < len(ports) < connections
    assert sorted((event.remote.port, event.request_target) for event in events) == sorted(
        (line["port"], line["target"]) for line in lines if line["port"] in ports)
    monitor.set_sampling(ALL)
    load(1, each)()
    assert len(take(monitor, each)) == each


def test_pause_and_resume(monitor, client):
    monitor.pause()
    client("GET", "/hello?unseen")
    monitor.resume()
    client("GET", "/hello?seen")
    assert [event.query for event in take(monitor, 1)] == ["seen"]
    with pytest.raises(appmon.Error) as caught:
        monitor.set_sampling(0)
    assert caught.value.errno == 22


def test_histogram():
    values = list(range(50)) * 2
    with appmon.Histogram() as histogram, appmon.Histogram() as other:
        for value in range(50):
            histogram.add(value)
            other.add(value)
        histogram.merge(other)
        assert (histogram.count, histogram.sum, histogram.max) == (100, sum(values), 49)
        assert histogram.quantile(0.5) == sorted(values)[49] and histogram.count_at_most(9) == 20
        assert list(histogram) == [(value, value, 2) for value in range(50)]
        with pytest.raises(OverflowError):
            histogram.add(-1)
        histogram.clear()
        assert histogram.count == 0


def test_helpers():
    assert appmon.route("/user/17/name") == "/user/{id}/name"
    with pytest.raises(FileNotFoundError):
        appmon.read_resources("/nonexistent")


def test_resources_of_a_cgroup(server):
    assert appmon.read_resources(server.cgroup.path).time_ns > 0
    assert os.path.samefile(appmon.cgroup_path(server.cgroup.id), server.cgroup.path)


def test_bad_options_and_what_is_forgotten():
    with pytest.raises(appmon.Error):
        appmon.Metrics(appmon.MetricsOptions(max_series=1))
    metrics = appmon.Metrics()
    snapshot = metrics.snapshot()
    alive = metrics._finalize, snapshot._finalize
    del metrics, snapshot
    gc.collect()
    assert not any(finalize.alive for finalize in alive)


def test_import_needs_no_library():
    done = subprocess.run([sys.executable, "-c", "import appmon; print('imported'); appmon.Monitor()"],
                          env={**os.environ, "APPMON_LIBRARY": "/nonexistent", "PYTHONPATH": str(PYTHON / "src")},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.stdout.startswith("imported\n") and "LibraryError: libappmon is not installed" in done.stdout


def test_the_example_counts_each_request(server, client):
    with subprocess.Popen([sys.executable, "-u", str(PYTHON / "example.py"), server.cgroup.path, "0.5"],
                          env={**os.environ, "PYTHONPATH": str(PYTHON / "src")},
                          stdout=subprocess.PIPE, text=True) as example:
        assert example.stdout.readline() == "watching\n"
        for path in PLAN:
            client("GET", path)
        counts, lines = collections.Counter(), []
        while sum(counts.values()) < len(PLAN):
            lines.append(example.stdout.readline())
            assert lines[-1], lines[:-1]
            _, _, status, number, *_ = lines[-1].split()
            counts[int(status)] += int(number)
        example.send_signal(signal.SIGINT)
        assert example.wait(10) == 0
    assert counts == collections.Counter(line["status"] for line in server.log.lines(len(PLAN)))
    print("".join(lines))
