# SPDX-License-Identifier: BSD-2-Clause
"""appmon export: what Prometheus and an OpenTelemetry receiver get, compared with what was sent."""
import collections
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

import otlp
from exporting import OPENMETRICS, Monitor, Receiver, attributes, samples, wait_for
from programs import free_port
from wire import Connection

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


@pytest.fixture
def export(request):
    """export(cgroup, ...): a running `appmon export` that serves on a free port."""
    def start(cgroup, *args):
        monitor = Monitor("export", "--listen", "127.0.0.1:0", "--cgroup", cgroup.path,
                          "--name", "shop", *args)
        request.addfinalizer(monitor.kill)
        return monitor
    return start


@pytest.fixture
def receiver(request):
    started = Receiver()
    request.addfinalizer(started.close)
    return started


def exchange_all(server, plan, fields=()):
    with Connection(("127.0.0.1", server.port)) as connection:
        for method, target in plan:
            connection.exchange(method, target, fields=fields)


PLAN = [("GET", "/hello")] * 7 + [("GET", "/bytes/100")] * 3 + [("GET", "/bytes/5000")] * 2 \
    + [("GET", "/status/503")] * 4 + [("GET", "/status/404")] * 5 + [("HEAD", "/hello")] * 6


def promtool(*args, text):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(["promtool", *args], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_metrics(cgroup, start_server, export):
    server = start_server("node", cgroup)
    monitor = export(cgroup)
    exchange_all(server, PLAN)
    where = {"service_name": "shop"}
    count = lambda *labels: monitor.counted("http_server_requests_total", *labels, **where)
    wait_for(lambda: sum(count("service_name").values()) == len(PLAN))
    statuses = {"200": 18, "503": 4, "404": 5}
    assert count("http_response_status_code") == statuses
    assert count("http_request_method") == {"GET": 21, "HEAD": 6}
    assert count("http_route") == {"/hello": 13, "/bytes/{id}": 5, "/status/{id}": 9}
    # A 404 is the client's mistake.
    assert count("error_type") == {"": 23, "503": 4}
    path = cgroup.path[cgroup.path.index("/appmon-test"):]
    assert count("service_instance_id") == {path: 27}
    # The server's own log has the bodies, the wire the heads too.
    sent = sum(line["sent"] for line in server.log.lines(len(PLAN)))
    size = monitor.counted("http_server_response_size_bytes_total", "service_name")["shop"]
    assert sent < size < sent + 400 * len(PLAN)

    name = "http_server_request_duration_seconds"
    assert monitor.counted(name + "_count", "http_response_status_code") == statuses
    buckets = collections.defaultdict(list)
    for sample, labels, value in samples(monitor.scrape()[1]):
        if sample == name + "_bucket":
            bound = float(labels.pop("le"))
            buckets[tuple(sorted(labels.items()))].append((bound, value))
    assert len(buckets) == 5
    for series in buckets.values():
        assert series == sorted(series)
        assert [value for _, value in series] == sorted(value for _, value in series)
        assert series[-1][0] == float("inf")
    assert monitor.counted("appmon_exchanges_dropped_total") == {(): 0}
    assert monitor.counted("appmon_tls_refused_total", "reason") == {"file": 0, "process": 0}
    monitor.stop()


def test_durations_fall_into_their_buckets(cgroup, start_server, export):
    """The server sleeps; nothing is faster than that."""
    server = start_server("node", cgroup)
    monitor = export(cgroup)
    exchange_all(server, [("GET", "/slow/30")] * 3 + [("GET", "/slow/300")] * 2)
    name = "http_server_request_duration_seconds"
    wait_for(lambda: sum(monitor.counted(name + "_count", "http_route").values()) == 5)
    at_most = monitor.counted(name + "_bucket", "le", http_route="/slow/{id}")
    assert at_most["0.025"] == 0
    assert at_most["0.25"] <= 3
    assert at_most["+Inf"] == 5
    assert monitor.counted(name + "_sum", "service_name")["shop"] >= 0.69


def test_service_times(cgroup, export, receiver):
    """Where the time went: until the server read a request, and from there to its response. It sleeps
    before both; nothing is faster than that. Without the option there is nothing of it."""
    listener = cgroup.listener()
    monitor = export(cgroup, "--service-times", "--otlp", receiver.url, "--interval", "1h")
    without = export(cgroup)
    with Connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            for wait, think in (0.15, 0.02), (0.03, 0.12), (0.03, 0.02):
                sent = client.send("GET", "/a")
                time.sleep(wait)
                assert server.recv(4096)
                time.sleep(think)
                server.sendall(b"HTTP/1.1 200 R\r\nContent-Length: 2\r\n\r\nok")
                client.receive(sent)
    listener.close()
    name = "http_server_request_%s_seconds_%s"
    total = lambda what, part: monitor.counted(name % (what, part), "service_name")["shop"]
    wait_for(lambda: total("duration", "count") == 3)
    queue, service = total("queue_time", "sum"), total("service_time", "sum")
    assert total("queue_time", "count") == total("service_time", "count") == 3
    assert queue >= 0.209 and service >= 0.159
    assert queue + service <= total("duration", "sum") + 1e-6  # sums have nine digits
    for what, least in ("queue_time", [0.15, 0.03, 0.03]), ("service_time", [0.02, 0.12, 0.02]):
        at_most = monitor.counted(name % (what, "bucket"), "le", service_name="shop")
        for bound, count in at_most.items():
            assert count <= sum(slept <= float(bound) for slept in least)
        assert at_most["+Inf"] == 3
    wait_for(lambda: without.counted(name % ("duration", "count"))[()] == 3)
    assert not without.counted(name % ("queue_time", "count"))
    monitor.stop()
    for metric in "http.server.request.queue_time", "http.server.request.service_time":
        (_, point), = last_points(receiver, metric).values()
        assert int(point["count"]) == 3 and "exemplars" not in point


def test_promtool(cgroup, start_server, export):
    """Debian's promtool has no complaint, neither about the syntax nor about names."""
    server = start_server("node", cgroup)
    monitor = export(cgroup)
    exchange_all(server, PLAN)
    exchange_all(server, [("GET", '/hello?quote="&back=\\'), ("GET", "/\xff\xfe")])
    wait_for(lambda: sum(monitor.counted("http_server_requests_total", "service_name").values())
             == len(PLAN) + 2)
    content_type, text = monitor.scrape()
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert promtool("check", "metrics", text=text) == (0, "")


def test_client_side(cgroup, start_server, export, programs, tmp_path):
    """What the watched cgroup asks for: the address of the server, and a 4xx is an error."""
    from cgroups import Cgroup
    from programs import run_client
    with Cgroup() as elsewhere:
        server = start_server("node", elsewhere)
        monitor = export(cgroup)
        plan = [("GET", "/hello", 0, "none"), ("GET", "/status/404", 0, "none")]
        run_client(programs, "python", cgroup, tmp_path, ("127.0.0.1", server.port), plan)
        name = "http_client_request_duration_seconds_count"
        wait_for(lambda: sum(monitor.counted(name, "service_name").values()) == 2)
        assert monitor.counted(name, "server_address", "server_port", "error_type") == {
            ("127.0.0.1", str(server.port), ""): 1, ("127.0.0.1", str(server.port), "404"): 1}
        edges = monitor.counted("traces_service_graph_request_total", "client", "server")
        assert edges == {("shop", f"127.0.0.1:{server.port}"): 2}


def test_http_server(cgroup, export):
    """The exporter's own HTTP: paths and methods that it does not have."""
    monitor = export(cgroup)
    base = monitor.url.removesuffix("/metrics")
    for method, path, status in [("GET", "/", 200), ("GET", "/nothing", 404),
                                 ("POST", "/metrics", 405), ("HEAD", "/metrics", 200)]:
        data = b"x" * 100000 if method == "POST" else None
        request = urllib.request.Request(base + path, method=method, data=data)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                assert response.status == status
                assert method != "HEAD" or response.read() == b""
        except urllib.error.HTTPError as error:
            assert error.code == status
    used = base.removeprefix("http://")
    second = subprocess.run([monitor.process.args[0], "export", "--listen", used, "--cgroup",
                             cgroup.path], stderr=subprocess.PIPE, text=True, timeout=20)
    assert second.returncode == 1
    assert f"cannot listen on {used}: Address already in use" in second.stderr


def test_wrong_usage(cgroup):
    from watch import cli
    for args, says in [([], "say what to watch"),
                       (["--cgroup", cgroup.path, "--listen", "none"], "say where to with --otlp"),
                       (["--cgroup", cgroup.path, "--spans", "5%"], "say where to with --otlp"),
                       (["--cgroup", cgroup.path, "--otlp", "host"], "no http:// or https:// URL"),
                       (["--cgroup", cgroup.path, "--otlp", "http://h", "--spans", "2"],
                        "no share"),
                       (["--cgroup", cgroup.path, "--otlp", "http://h", "--otlp-protocol", "grpc"],
                        "'grpc' is neither http/json nor http/protobuf"),
                       (["--cgroup", cgroup.path, "--otlp-protocol", "http/protobuf"],
                        "say where to with --otlp")]:
        done = subprocess.run([cli(), "export", *args], stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2 and says in done.stderr, done.stderr


class Prometheus:
    """A real one that scrapes one URL every second."""

    def __init__(self, url, directory, features):
        self.port = free_port("127.0.0.1")
        address = urllib.parse.urlsplit(url).netloc
        (directory / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "appmon",
                                "static_configs": [{"targets": [address]}]}]}))
        self._log = open(directory / "prometheus.log", "w+")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml",
             f"--storage.tsdb.path={directory}/data",
             f"--enable-feature={','.join(('exemplar-storage', *features))}",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=self._log, stderr=self._log)

    def ask(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?" + urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.load(response)["data"]
        except OSError:
            assert self.process.poll() is None, self._log.read()
            return None

    def query(self, expression):
        """{labels that were asked for: value} of an instant query; of a native histogram its count."""
        data = self.ask("query", query=expression)
        return {tuple(sorted(result["metric"].items())):
                float(result["value"][1] if "value" in result else result["histogram"][1]["count"])
                for result in data["result"]} if data else {}

    def close(self):
        self.process.kill()
        self.process.wait()
        self._log.close()


@pytest.fixture
def prometheus(request, tmp_path):
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed")

    def start(url, *features):
        directory = tmp_path / "-".join(("prometheus", *features))
        directory.mkdir()
        started = Prometheus(url, directory, features)
        request.addfinalizer(started.close)
        return started
    return start


def test_prometheus(cgroup, start_server, export, prometheus):
    """A real Prometheus scrapes OpenMetrics, and gives back what was sent, with its trace."""
    server = start_server("node", cgroup)
    monitor = export(cgroup)
    exchange_all(server, PLAN, fields=[f"traceparent: 00-{TRACE}-{PARENT}-01"])
    wait_for(lambda: sum(monitor.counted("http_server_requests_total", "service_name").values())
             == len(PLAN))
    content_type, text = monitor.scrape(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("\n# EOF\n")
    started = prometheus(monitor.url)
    by_status = "sum by (http_response_status_code) (http_server_request_duration_seconds_count)"
    wait_for(lambda: started.query(by_status) == {
        (("http_response_status_code", "200"),): 18,
        (("http_response_status_code", "404"),): 5,
        (("http_response_status_code", "503"),): 4}, 30, "what was sent in Prometheus' answer")
    quantile = started.query("histogram_quantile(0.9, sum by (le) "
                             "(http_server_request_duration_seconds_bucket))")
    assert 0 < quantile[()] <= 10
    assert started.query("appmon_build_info")
    exemplars = wait_for(lambda: started.ask(
        "query_exemplars", query="http_server_request_duration_seconds_bucket",
        start=time.time() - 600, end=time.time() + 600), 10, "an exemplar")
    found = {exemplar["labels"]["trace_id"] for series in exemplars
             for exemplar in series["exemplars"]}
    assert found == {TRACE}
    target, = started.ask("targets")["activeTargets"]
    assert target["health"] == "up" and target["lastError"] == ""


def test_native_histograms(cgroup, start_server, export, prometheus):
    """A Prometheus that asks for native histograms gets the same as one that does not: counts, sums,
    what is no histogram, traces, and each quantile up to the width of the buckets."""
    server = start_server("node", cgroup)
    monitor = export(cgroup)
    plan = [("GET", "/hello")] * 8 + [("GET", "/slow/30")] * 4 + [("GET", "/slow/300")] * 4
    exchange_all(server, plan, fields=[f"traceparent: 00-{TRACE}-{PARENT}-01"])
    wait_for(lambda: sum(monitor.counted("http_server_requests_total", "service_name").values())
             == len(plan))
    classic, native = prometheus(monitor.url), prometheus(monitor.url, "native-histograms")
    name = "http_server_request_duration_seconds"
    wait_for(lambda: classic.query(f"sum({name}_count)").get(()) == len(plan), 30)
    wait_for(lambda: native.query(f"histogram_count(sum({name}))").get(()) == len(plan), 30)
    assert not native.query(f"{name}_bucket")
    assert native.query(f"histogram_sum(sum({name}))")[()] == pytest.approx(
        classic.query(f"sum({name}_sum)")[()])
    for expression in ("sum by (http_route, service_name) (http_server_requests_total)",
                       "sum by (version) (appmon_build_info)",
                       "sum by (reason) (appmon_exchanges_dropped_total)",
                       "sum by (client, server) (traces_service_graph_request_total)"):
        assert classic.query(expression) and native.query(expression) == classic.query(expression)

    bounds = sorted(float(dict(labels)["le"]) for labels in classic.query(f"sum by (le) ({name}_bucket)"))
    for share in 0.25, 0.4, 0.6, 0.7, 0.8, 0.95, 1:
        ours = native.query(f"histogram_quantile({share}, sum({name}))")[()]
        theirs = classic.query(f"histogram_quantile({share}, sum by (le) ({name}_bucket))")[()]
        above = next(bound for bound in bounds if theirs <= bound)
        below = max([bound for bound in bounds if bound < theirs], default=0)
        # A bucket of schema 3 is 9 % wide.
        assert below / 1.1 <= ours <= above * 1.1, (share, ours, theirs)
        # The server slept; nothing is faster than that.
        assert ours >= (0.3 if share > 0.75 else 0.03 if share > 0.5 else 0) / 1.1
    found = wait_for(lambda: native.ask("query_exemplars", query=name, start=time.time() - 600,
                                        end=time.time() + 600), 10, "an exemplar")
    assert {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]} == {
        TRACE}
    target, = native.ask("targets")["activeTargets"]
    assert target["health"] == "up" and target["lastError"] == ""


# ---- OTLP -------------------------------------------------------------------------------------

def last_points(receiver, name):
    """The data points of a metric in the last push, by resource and attributes."""
    points = {}
    for resource in receiver.received["/v1/metrics"][-1]["resourceMetrics"]:
        for scope in resource["scopeMetrics"]:
            assert scope["scope"]["name"] == "appmon"
            for metric in scope["metrics"]:
                if metric["name"] == name:
                    assert metric["unit"] == "s"
                    assert metric["histogram"]["aggregationTemporality"] == 2
                    for point in metric["histogram"]["dataPoints"]:
                        key = tuple(sorted(attributes(point).items(), key=str))
                        points[key] = (attributes(resource["resource"]), point)
    return points


# Each has what the other one has.
PROTOCOLS = pytest.mark.parametrize("protocol, content_type", [
    ("http/json", "application/json"), ("http/protobuf", "application/x-protobuf")])


@PROTOCOLS
def test_otlp_metrics(cgroup, start_server, export, receiver, protocol, content_type):
    server = start_server("node", cgroup)
    before = time.time_ns()
    receiver.decode = otlp.decoder() if protocol == "http/protobuf" else None
    monitor = export(cgroup, "--otlp", receiver.url, "--otlp-protocol", protocol, "--interval", "200ms")
    exchange_all(server, PLAN, fields=[f"traceparent: 00-{TRACE}-{PARENT}-01"])

    def arrived():
        if not receiver.received["/v1/metrics"]:
            return None
        points = last_points(receiver, "http.server.request.duration")
        return points if sum(int(p["count"]) for _, p in points.values()) == len(PLAN) else None

    points = wait_for(arrived, what="the push of all")
    assert receiver.types == {content_type}
    statuses = collections.Counter()
    for resource, point in points.values():
        assert resource["service.name"] == "shop"
        assert resource["service.instance.id"].startswith("/appmon-test")
        have = attributes(point)
        statuses[have["http.response.status_code"]] += int(point["count"])
        assert have["http.route"] in ("/hello", "/bytes/{id}", "/status/{id}")
        assert len(point["bucketCounts"]) == len(point["explicitBounds"]) + 1
        assert sum(map(int, point["bucketCounts"])) == int(point["count"])
        assert point["sum"] > 0
        assert before <= int(point["startTimeUnixNano"]) <= int(point["timeUnixNano"]) \
            <= time.time_ns()
        assert point["exemplars"][0]["traceId"] == TRACE
    assert statuses == {200: 18, 503: 4, 404: 5}
    active = [metric for resource in receiver.received["/v1/metrics"][-1]["resourceMetrics"]
              for scope in resource["scopeMetrics"] for metric in scope["metrics"]
              if metric["name"] == "http.server.active_requests"]
    # Of a number that is 0 both say that it is.
    assert [point["asInt"] for metric in active for point in metric["sum"]["dataPoints"]
            if {"http.request.method": "GET"}.items() <= attributes(point).items()] == ["0"]
    monitor.stop()


def spans_of(receiver):
    return [(attributes(resource["resource"]), span)
            for request in receiver.received["/v1/traces"]
            for resource in request["resourceSpans"]
            for scope in resource["scopeSpans"] for span in scope["spans"]]


@PROTOCOLS
def test_otlp_spans(cgroup, start_server, export, receiver, protocol, content_type):
    """A span for each exchange: in the trace that the request names, or in one of its own. Those
    of the last moment are sent, too."""
    server = start_server("node", cgroup)
    receiver.decode = otlp.decoder() if protocol == "http/protobuf" else None
    monitor = export(cgroup, "--otlp", receiver.url, "--otlp-protocol", protocol, "--interval", "1h",
                     "--spans", "100%")
    before = time.time_ns()
    exchange_all(server, [("GET", "/hello?a=b")], fields=[f"traceparent: 00-{TRACE}-{PARENT}-01"])
    exchange_all(server, [("GET", "/status/503"), ("HEAD", "/bytes/100")])
    exchange_all(server, [("GET", "/hello")], fields=["traceparent: 00-nonsense"])
    wait_for(lambda: sum(monitor.counted("http_server_requests_total", "service_name").values())
             == 4)
    after = time.time_ns()
    monitor.stop()
    assert receiver.types == {content_type}
    spans = spans_of(receiver)
    assert [span["name"] for _, span in spans] == ["GET /hello", "GET /status/{id}",
                                                   "HEAD /bytes/{id}", "GET /hello"]
    assert all(resource["service.name"] == "shop" for resource, _ in spans)
    spans = [span for _, span in spans]
    assert spans[0]["traceId"] == TRACE and spans[0]["parentSpanId"] == PARENT
    for span in spans:
        assert len(bytes.fromhex(span["traceId"])) == 16
        assert len(bytes.fromhex(span["spanId"])) == 8
        assert span["kind"] == 2
        assert before <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) <= after
        assert attributes(span)["server.port"] == server.port
        assert attributes(span)["client.address"] == "127.0.0.1"
    assert all("parentSpanId" not in span for span in spans[1:])
    assert len({span["traceId"] for span in spans}) == 4
    assert len({span["spanId"] for span in spans}) == 4
    assert attributes(spans[0])["url.path"] == "/hello"
    assert attributes(spans[0])["url.query"] == "a=b"
    assert attributes(spans[1])["http.response.status_code"] == 503
    assert attributes(spans[1])["error.type"] == "503"
    assert spans[1]["status"] == {"code": 2}
    assert all("status" not in span for span in spans[:1] + spans[2:])


def test_otlp_sampling(cgroup, start_server, export, receiver):
    """By the trace id: its last 56 bits, as a share of all."""
    server = start_server("node", cgroup)
    monitor = export(cgroup, "--otlp", receiver.url, "--interval", "1h", "--spans", "25%")
    below, above = TRACE[:18] + "3fffffffffffff", TRACE[:18] + "40000000000000"
    for trace in (below, above):
        exchange_all(server, [("GET", "/hello")], fields=[f"traceparent: 00-{trace}-{PARENT}-01"])
    wait_for(lambda: sum(monitor.counted("http_server_requests_total", "service_name").values())
             == 2)
    monitor.stop()
    assert [span["traceId"] for _, span in spans_of(receiver)] == [below]


def test_otlp_receiver_away(cgroup, start_server, export):
    """It is told once that the receiver does not answer, and once that it does again; the figures
    are whole then."""
    server = start_server("node", cgroup)
    port = free_port("127.0.0.1")
    monitor = export(cgroup, "--otlp", f"http://127.0.0.1:{port}/", "--interval", "100ms")
    exchange_all(server, PLAN)
    monitor.wait_line(f"http://127.0.0.1:{port}/v1/metrics: .*the next push has all of it")
    time.sleep(0.5)
    receiver = Receiver(port)
    try:
        monitor.wait_line(f"http://127.0.0.1:{port}/v1/metrics: works again")
        wait_for(lambda: receiver.received["/v1/metrics"])
        points = last_points(receiver, "http.server.request.duration")
        assert sum(int(point["count"]) for _, point in points.values()) == len(PLAN)
        assert len(monitor.find("the next push has all of it")) == 1
        monitor.stop()
    finally:
        receiver.close()


def test_privileges_are_given_up(cgroup, export):
    monitor = export(cgroup)
    with open(f"/proc/{monitor.process.pid}/status") as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines())
    assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"


# ---- What the receiver is told, and how ---------------------------------------------------------

def served(monitor, count):
    wait_for(lambda: sum(monitor.counted("http_server_requests_total", "service_name").values())
             == count)


@pytest.mark.parametrize("options", [(), ("--no-query",), ("--redact", "ticket")])
def test_secrets_in_spans(cgroup, start_server, export, receiver, options):
    server = start_server("node", cgroup)
    monitor = export(cgroup, "--otlp", receiver.url, "--interval", "1h", "--spans", "100%", *options)
    exchange_all(server, [("GET", "/hello?X-Amz-Signature=s3cret&x%2damz%2Dcredential=s3cret"
                                  "&ticket=t1&a=b")])
    served(monitor, 1)
    monitor.stop()
    (_, span), = spans_of(receiver)
    query = attributes(span).get("url.query")
    assert query == (None if "--no-query" in options else
                     "X-Amz-Signature=REDACTED&x%2damz%2Dcredential=REDACTED&ticket="
                     + ("REDACTED" if options else "t1") + "&a=b")
    assert "s3cret" not in json.dumps(receiver.received)


def test_span_methods(cgroup, start_server, export, receiver):
    """OpenTelemetry's semantic conventions for HTTP: a method that is not known is _OTHER, and
    HTTP in the span's name. What could not be parsed has a name as well."""
    server = start_server("nginx", cgroup)
    monitor = export(cgroup, "--otlp", receiver.url, "--interval", "1h", "--spans", "100%")
    for start in ("PURGE /hello HTTP/1.1", "get /hello HTTP/1.1", "GET /hello HTTP/1.1",
                  "GET /hel\x01lo HTTP/1.1", "BREW /\x02 HTTP/1.1"):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(f"{start}\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
            while s.recv(65536):
                pass
    time.sleep(0.3)
    monitor.stop()
    spans = [span for _, span in spans_of(receiver)]
    told = [(span["name"], attributes(span)["http.request.method"],
             attributes(span).get("http.request.method_original")) for span in spans]
    assert told[0] == ("HTTP /hello", "_OTHER", "PURGE")
    assert ("GET /hello", "GET", None) in told
    assert all(name.strip() and method in ("GET", "_OTHER") for name, method, _ in told)
    assert all(name.startswith("HTTP") == (method == "_OTHER") for name, method, _ in told)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_otlp_is_tried_again(cgroup, start_server, export, receiver, status):
    """Spans are not lost while a receiver is busy; it says when it wants them."""
    server = start_server("node", cgroup)
    receiver.statuses = {"/v1/metrics": [status], "/v1/traces": [status]}
    receiver.retry_after = "2"
    monitor = export(cgroup, "--otlp", receiver.url, "--interval", "300ms", "--spans", "100%")
    exchange_all(server, [("GET", "/hello")] * 3)
    wait_for(lambda: len(spans_of(receiver)) == 3 and receiver.received["/v1/metrics"], 20)
    for path in ("/v1/traces", "/v1/metrics"):
        times = [at for seen, at, _ in receiver.requests if seen == path]
        assert len(times) >= 2 and times[1] - times[0] >= 2
    monitor.stop()
    assert len(spans_of(receiver)) == 3
    assert len({span["spanId"] for _, span in spans_of(receiver)}) == 3


@pytest.mark.parametrize("status", [400, 401, 500])
def test_otlp_is_not_tried_again(cgroup, start_server, export, receiver, status):
    """What the receiver does not want it does not get twice."""
    server = start_server("node", cgroup)
    receiver.statuses = {"/v1/metrics": [status], "/v1/traces": [status]}
    monitor = export(cgroup, "--otlp", receiver.url, "--interval", "300ms", "--spans", "100%")
    exchange_all(server, [("GET", "/hello")])
    monitor.wait_line(f"/v1/traces: it answered {status}; these spans are lost")
    exchange_all(server, [("GET", "/hello")])
    wait_for(lambda: spans_of(receiver))
    monitor.stop()
    assert len(spans_of(receiver)) == 1


def test_spans_wait_for_the_receiver(cgroup, start_server, export):
    server = start_server("node", cgroup)
    port = free_port("127.0.0.1")
    monitor = export(cgroup, "--otlp", f"http://joe:s3cret@127.0.0.1:{port}", "--interval", "300ms",
                     "--spans", "100%")
    exchange_all(server, [("GET", "/hello")] * 4)
    monitor.wait_line(f"http://127.0.0.1:{port}/v1/traces: .*; these spans are tried again")
    receiver = Receiver(port)
    try:
        wait_for(lambda: len(spans_of(receiver)) == 4, 30)
        assert "s3cret" not in "\n".join(monitor.stop())
    finally:
        receiver.close()


def test_otlp_headers(cgroup, start_server, export, receiver, tmp_path, monkeypatch):
    """The command line counts before the file, and that before the environment."""
    server = start_server("node", cgroup)
    (tmp_path / "headers").write_text("# tenants\n\nX-Scope-OrgID: seven\nx-b=file=1\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b%2C, X-B=environment ,x-a=no")
    monitor = export(cgroup, "--otlp", receiver.url, "--interval", "100ms", "--spans", "100%",
                     "--otlp-header", "Authorization=Bearer s3cret", "--otlp-header", "X-A=cli",
                     "--otlp-headers-file", tmp_path / "headers")
    exchange_all(server, [("GET", "/hello")])
    wait_for(lambda: receiver.received["/v1/metrics"] and receiver.received["/v1/traces"])
    monitor.stop()
    for _, _, fields in receiver.requests:
        assert fields["Authorization"] == "Bearer s3cret" and fields["api-key"] == "a b,"
        assert fields["X-Scope-OrgID"] == "seven"
        assert fields.get_all("X-A") == ["cli"] and fields.get_all("X-B") == ["file=1"]
        assert fields.get_all("Content-Type") == ["application/json"]


def test_wrong_otlp_headers(cgroup, tmp_path):
    from watch import cli

    def fails(*args, env=None):
        done = subprocess.run([cli(), "export", "--cgroup", cgroup.path, *args], text=True,
                              stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
        assert done.returncode != 0 and "s3cret" not in done.stderr, done.stderr
        return done.stderr

    to = ("--otlp", "http://127.0.0.1:9")
    assert "NAME=VALUE is wanted" in fails(*to, "--otlp-header", "s3cret")
    assert "the name of a header field" in fails(*to, "--otlp-header", "a b=s3cret")
    assert "control character" in fails(*to, "--otlp-header", "a=s3cret\r\nb: c")
    assert "cannot be set" in fails(*to, "--otlp-header", "content-type=s3cret")
    assert "say where to with --otlp" in fails("--otlp-header", "a=s3cret")
    assert "No such file" in fails(*to, "--otlp-headers-file", tmp_path / "none")
    (tmp_path / "headers").write_text("a=1\ns3cret\n")
    assert "headers:2: NAME=VALUE is wanted" in fails(*to, "--otlp-headers-file",
                                                      tmp_path / "headers")
    assert "OTEL_EXPORTER_OTLP_HEADERS: NAME=VALUE" in fails(
        *to, env={"OTEL_EXPORTER_OTLP_HEADERS": "a=1,s3cret"})
