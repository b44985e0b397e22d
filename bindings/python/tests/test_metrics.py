# SPDX-License-Identifier: BSD-2-Clause
"""Metrics of a recording against a count of its events and the server's own log."""
import collections
import gc
import os
import signal
import subprocess
import sys

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
            assert snapshot.exemplar(i) is None
        edges = range(snapshot.count(appmon.SnapshotKind.EDGES))
        assert sum(snapshot.figures(i, kind=appmon.SnapshotKind.EDGES).requests for i in edges) == len(PLAN)
        with pytest.raises(appmon.NotFound):
            snapshot.figures(len(series))
    with pytest.raises(ValueError, match="closed"):
        snapshot.series()


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
