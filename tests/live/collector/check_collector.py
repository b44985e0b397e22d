# SPDX-License-Identifier: BSD-2-Clause
"""A real OpenTelemetry Collector receives what appmon export pushes. CI does not run this: the Collector takes
minutes to build. By hand: APPMON_BUILD=build python3 -m pytest tests/live/collector/check_collector.py"""
import json
import os
import re
import shutil
import subprocess

import pytest

from exporting import wait_for
from programs import HERE, building, free_port, wait_for_port
from test_export import PARENT, PLAN, TRACE, built, exchange_all, export, served  # noqa: F401


@pytest.fixture
def collector(tmp_path):
    """A running one: its URL, and a function that stops it and returns what it printed."""
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    directory = os.path.join(os.path.abspath(os.environ["APPMON_BUILD"]), "live", "collector")
    with building(directory):
        subprocess.run(["go", "build", "-o", f"{directory}/collector", "."], check=True,
                       cwd=f"{HERE}/collector", env={**os.environ, "CGO_ENABLED": "0"})
    port = free_port("127.0.0.1")
    pipeline = {"receivers": ["otlp"], "exporters": ["debug"]}
    (tmp_path / "collector.yaml").write_text(json.dumps({
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"debug": {"verbosity": "detailed"}},
        "service": {"telemetry": {"metrics": {"level": "none"}},
                    "pipelines": {"metrics": pipeline, "traces": pipeline}}}))
    with open(tmp_path / "collector.log", "w+") as log:
        process = subprocess.Popen([f"{directory}/collector", "--config",
                                    f"file:{tmp_path}/collector.yaml"], stdout=log, stderr=log)

        def stop():
            process.terminate()
            process.wait(20)
            log.seek(0)
            return log.read()
        try:
            wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}", stop
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf"])
def test_collector(cgroup, start_server, export, collector, protocol):  # noqa: F811
    url, stop = collector
    server = start_server("node", cgroup)
    monitor = export(cgroup, "--otlp", url, "--otlp-protocol", protocol, "--interval", "1h",
                     "--spans", "100%", "--service-times")
    exchange_all(server, PLAN, fields=[f"traceparent: 00-{TRACE}-{PARENT}-01"])
    served(monitor, len(PLAN))
    lines = monitor.stop()
    assert not [line for line in lines if "/v1/" in line], lines
    printed = stop()
    assert not re.search(r"\terror\t", printed), printed
    for metric in "http.server.request.duration", "http.server.request.service_time":
        text = printed.partition(f"-> Name: {metric}\n")[2].partition("Metric #")[0]
        assert "-> DataType: Histogram" in text and "-> AggregationTemporality: Cumulative" in text
        assert sum(map(int, re.findall(r"^Count: (\d+)$", text, re.M))) == len(PLAN), text
    assert re.findall(r"service\.name: Str\((.*)\)", printed) == ["shop", "shop"]
    spans = printed.split("\nSpan #")[1:]
    assert len(spans) == len(PLAN)
    for span in spans:
        assert re.search(r"Trace ID +: (\w+)", span)[1] == TRACE
        assert re.search(r"Parent ID +: (\w+)", span)[1] == PARENT
        assert re.search(r"Kind +: Server", span)
    assert sum("Status code    : Error" in span for span in spans) == 4
