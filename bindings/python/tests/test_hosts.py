# SPDX-License-Identifier: BSD-2-Clause
"""What hosts choose: which events, and what they ask of targets and paths."""
import ast
import os
import pathlib

import pytest

import appmon
from conftest import take

SOURCES = pathlib.Path(appmon.__file__).parent


def test_filter(monitor, client):
    monitor.set_filter(outcomes=[appmon.Outcome.SERVER_ERROR], path_prefix="/status/")
    for path in ("/hello", "/status/200", "/status/503", "/status/404"):
        client("GET", path)
    event, = take(monitor, 1)
    assert (event.path, event.status) == ("/status/503", 503)
    client("GET", "/hello")
    assert monitor.next_event(0.2) is None
    stats = monitor.stats()
    assert (stats.exchanges_seen, stats.delivered, stats.filtered) == (5, 1, 4)
    monitor.set_filter(roles=[appmon.Role.SERVER])
    client("GET", "/hello")
    assert take(monitor, 1)[0].path == "/hello"
    for bad in ({"outcomes": [31]}, {"roles": [31]}, {"roles": [40]}, {"outcomes": [appmon.Outcome(1 << 31)]}):
        with pytest.raises(appmon.Error):
            monitor.set_filter(**bad)


def test_targets(server, client):
    with appmon.Monitor() as monitor:
        assert list(monitor.targets()) == []
        target = monitor.attach(server.cgroup.path, name="shop", user="mine", capture_bytes=8192)
        client("GET", "/hello")
        take(monitor, 1)
        info, = monitor.targets()
        assert (info.id, info.name, info.user) == (target.id, "shop", "mine")
        assert (info.path, info.capture_bytes, info.removed) == (str(server.cgroup.path), 8192, False)
        assert info.cgroup_id == os.stat(server.cgroup.path).st_ino
        assert monitor.stats(info).delivered == 1
        target.detach()
        assert list(monitor.targets()) == []


def test_a_recording_ends_at_its_most_bytes(server, client, tmp_path):
    most, count, warnings = 4096, 100, []
    options = appmon.Options(record_max_bytes=most, log_level=appmon.LogLevel.WARN)
    with open(tmp_path / "recording", "w+b") as file:
        with appmon.Monitor(options, log=lambda level, line: warnings.append(level)) as monitor:
            monitor.record(file.fileno())
            monitor.attach(server.cgroup.path)
            assert not monitor.stats().flags
            for number in range(count):
                client("GET", f"/hello?{number}")
            take(monitor, count)
            assert monitor.stats().flags == appmon.StatsFlags.RECORD_ENDED
            assert warnings == [appmon.LogLevel.WARN]
            monitor.record(-1)
            assert not monitor.stats().flags
        assert most / 2 < os.fstat(file.fileno()).st_size <= most
        file.seek(0)
        with appmon.Monitor.replay(file.fileno()) as replay:
            again = [event.request_target for event in replay]
    logged = [line["target"] for line in server.log.lines(count)]
    assert 0 < len(again) < count and again == logged[:len(again)]


def test_protocols(server, client):
    http1, resp = 1 << appmon.Protocol.HTTP1, 1 << appmon.Protocol.RESP
    options = appmon.Options(protocols=http1 | resp)
    with appmon.Monitor(options) as monitor:
        for wrong in ({"protocols": 1 << 31}, {"ports": {0: appmon.Protocol.HTTP1}},
                      {"ports": {80: 99}}, {"protocols": resp, "ports": {80: appmon.Protocol.HTTP1}}):
            with pytest.raises(appmon.Error):
                monitor.attach(server.cgroup.path, **wrong)
        target = monitor.attach(server.cgroup.path, protocols=resp,
                                ports={6379: appmon.Protocol.RESP, 6380: appmon.Protocol.RESP})
        assert next(monitor.targets()).protocols == resp
        client("GET", "/hello")
        assert monitor.next_event(0.5) is None
        assert target.stats().filtered == 1
        target.detach()
        monitor.attach(server.cgroup.path)
        assert next(monitor.targets()).protocols == http1 | resp
        client("GET", "/hello")
        assert take(monitor, 1)[0].path == "/hello"


def test_container():
    name = "a1" * 32
    found = appmon.cgroup_container(f"/system.slice/docker-{name}.scope")
    assert found == appmon.Container(appmon.Runtime.DOCKER, name, "")
    assert appmon.cgroup_container("/system.slice/nginx.service") is None


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.py")), ids=lambda path: path.name)
def test_sources_are_python_3_9(path):
    ast.parse(path.read_text(), feature_version=(3, 9))
