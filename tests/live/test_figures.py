# SPDX-License-Identifier: BSD-2-Clause
"""Figures of what comes, goes and hangs: each series once in a page, restarts, cgroups that are gone,
requests in progress, odd requests, bounds of histograms."""
import collections
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from cgroups import Cgroup
from exporting import OPENMETRICS, Receiver, attributes, samples, wait_for
from test_agent import Served, agent, built, requests, watched
from test_export import export, prometheus, receiver
from wire import Connection

__all__ = ["agent", "built", "export", "prometheus", "receiver"]

LEAVES = """
listen: 127.0.0.1:0
applications:
  - cgroup: "@CGROUP@/*"
    name: "{leaf}"
"""


def page(monitor):
    """What is served, as (name, labels, value): each sample once in both formats, and promtool has
    no complaint."""
    for accept in (OPENMETRICS, "text/plain"):
        _, text = monitor.scrape(accept)
        found = list(samples(text.replace("# EOF\n", "")))
        names = collections.Counter((name, *sorted(labels.items())) for name, labels, _ in found)
        assert [name for name, count in names.items() if count > 1] == []
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (done.returncode, done.stdout) == (0, "")
    return found


def of(found, name, *labels):
    """The values of one name by some labels."""
    sums = collections.Counter()
    for sample, have, value in found:
        if sample == name:
            sums[tuple(have.get(label, "") for label in labels)] += value
    return sums


# ---- Restarts --------------------------------------------------------------------------------

BURN = "import sys, time\nwhile time.process_time() < float(sys.argv[1]): pass"


def run_service(cgroup, monitor, count, cpu):
    """A service of one cgroup that serves some requests, uses the CPU and ends, with its cgroup."""
    before = len(monitor.find(watched_line := f"watching /{cgroup.name}/web: web"))
    with Cgroup(cgroup, "web") as web:
        monitor.wait_line(watched_line, count=before + 1)
        web.spawn([sys.executable, "-c", BURN, str(cpu)]).wait()
        served = Served(web)
        served.exchange("/a", count=count)
        served.listener.close()
        total = requests(monitor)["web"]
        wait_for(lambda: requests(monitor)["web"] >= total, 10)
        yield


def test_restart(cgroup, agent, prometheus):
    """A service is restarted: its cgroup is removed and made again under the same path. Its counters
    go on, and Prometheus sees neither two series nor a reset."""
    monitor = agent(LEAVES, cgroup)
    started = prometheus(monitor.url)
    sent, cpu = 0, 0
    for count, burnt in (3, 0.2), (8, 0.5), (1, 0.1):
        for _ in run_service(cgroup, monitor, count, burnt):
            sent, cpu = sent + count, cpu + burnt
            wait_for(lambda: requests(monitor) == {"web": sent})
            found = page(monitor)
            if used := of(found, "container_cpu_time_seconds_total"):
                assert used[()] >= cpu * 0.95
            wait_for(lambda: started.query("sum(http_server_requests_total)") == {(): sent}, 30)
    series = started.query("count_over_time(http_server_requests_total[10m])")
    assert len(series) == 1
    for name in ("http_server_requests_total", "http_server_request_duration_seconds_count",
                 "container_cpu_time_seconds_total"):
        assert set(started.query(f"resets({name}[10m])").values()) <= {0}
    # 3, 11, 12: the first value is where Prometheus begins.
    raised = started.query("max_over_time(http_server_requests_total[10m])"
                           " - min_over_time(http_server_requests_total[10m])")
    assert set(raised.values()) == {9}
    rate, = started.query("rate(http_server_requests_total[10m])").values()
    assert rate > 0
    assert not monitor.find("error")
    monitor.stop()


def test_restart_otlp(cgroup, agent, receiver):
    """In OTLP the instance is one resource, and its sums go on."""
    monitor = agent(LEAVES + f"otlp: {{endpoint: '{receiver.url}', interval: 200ms, spans: 100%}}\n",
                    cgroup)
    sent = 0
    for count in 3, 5:
        for _ in run_service(cgroup, monitor, count, 0):
            sent += count

    def points():
        resources = (receiver.received["/v1/metrics"] or [{"resourceMetrics": []}])[-1]
        return [(attributes(resource["resource"])["service.instance.id"], int(point["count"]))
                for resource in resources["resourceMetrics"]
                for scope in resource["scopeMetrics"] for metric in scope["metrics"]
                if metric["name"] == "http.server.request.duration"
                for point in metric["histogram"]["dataPoints"]]
    wait_for(lambda: points() == [(f"/{cgroup.name}/web", 8)], what="one point")
    resources = [attributes(resource["resource"])["service.instance.id"]
                 for resource in receiver.received["/v1/metrics"][-1]["resourceMetrics"]]
    assert resources == [f"/{cgroup.name}/web"]
    monitor.stop()


# ---- Cgroups that are gone ---------------------------------------------------------------------

def test_gone(cgroup, agent):
    """Cgroups that are gone keep their paths; no scrape tells of an error."""
    monitor = agent(LEAVES, cgroup)
    for i in range(20):
        with Cgroup(cgroup, f"pod-{i}") as pod:
            monitor.wait_line(watched(pod, cgroup, pod.name))
            served = Served(pod)
            served.exchange()
            served.listener.close()
    wait_for(lambda: sum(requests(monitor).values()) == 20)
    monitor.wait_line("no longer watching", count=20)
    for _ in range(3):
        assert set(of(page(monitor), "http_server_requests_total", "service_instance_id")) == {
            (f"/{cgroup.name}/pod-{i}",) for i in range(20)}
    assert not monitor.find("error|warning|cannot")
    monitor.stop()


def test_gone_export(cgroup, export):
    """The same for what is below the cgroup that `appmon export` watches."""
    below = [Cgroup(cgroup, f"there-{i}") for i in range(3)]
    monitor = export(cgroup)
    below += [Cgroup(cgroup, f"later-{i}") for i in range(3)]
    for group in below:
        served = Served(group)
        served.exchange()
        served.listener.close()
    wait_for(lambda: sum(requests(monitor).values()) == 6)
    for group in below:
        group.close()
    for _ in range(2):
        assert set(of(page(monitor), "http_server_requests_total", "service_instance_id")) == {
            (f"/{cgroup.name}/{group.name}",) for group in below}
    assert not monitor.find("error|warning|cannot")
    monitor.stop()


JOB = """
import os, socket, sys, time
path, port = sys.argv[1], int(sys.argv[2])
os.mkdir(path)
open(path + "/cgroup.procs", "w").write("0")
for _ in range(2):
    time.sleep(0.25)
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET /job HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        while s.recv(999):
            pass
"""


def test_short_lived(cgroup, agent):
    """300 cgroups of half a second each, scraped all the time: every request is counted, also the
    last one, and there are two lines in the log for each, no more."""
    monitor = agent(LEAVES, cgroup)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(999)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    thread = threading.Thread(target=serve)
    thread.start()
    running = collections.deque()

    def end_oldest():
        job, path = running.popleft()
        assert job.wait() == 0
        os.rmdir(path)

    scraped = time.monotonic()
    for i in range(300):
        path = f"{cgroup.path}/job-{i}"
        running.append((subprocess.Popen([sys.executable, "-S", "-c", JOB, path,
                                          str(listener.getsockname()[1])]), path))
        if len(running) > 6:
            end_oldest()
        if time.monotonic() - scraped > 2:
            page(monitor)
            scraped = time.monotonic()
    while running:
        end_oldest()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    sent = lambda: of(page(monitor), "http_client_requests_total", "service_instance_id")
    wait_for(lambda: sum(sent().values()) == 600, 10, "all of it")
    assert sent() == {(f"/{cgroup.name}/job-{i}",): 2 for i in range(300)}
    monitor.wait_line("no longer watching", count=300)
    # Beside those where it serves, how many it watches, and that no cgroup matches a rule yet.
    assert len(monitor.find("^appmon: ")) == 603
    monitor.stop()


# ---- What hangs ---------------------------------------------------------------------------------

HANGS = LEAVES + """
evaluate: 200ms
alerts:
  - {name: many, when: active_requests > 20, application: web}
  - {name: old, when: active_age > 1s, per: instance}
  - {name: asked, when: active_requests > 20, role: client}
notify: [stderr]
"""


def test_hang(cgroup, agent):
    """A service takes requests and answers none: they show while they wait, and alerts fire."""
    monitor = agent(HANGS, cgroup)
    web = cgroup.child("web")
    monitor.wait_line(watched(web, cgroup, "web"))
    listener = web.listener()
    kept = []
    began = time.monotonic()
    for i in range(30):
        client = socket.create_connection(listener.getsockname())
        client.sendall(b"%s /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
                       % (b"POST" if i % 3 == 0 else b"GET"))
        kept += [client, listener.accept()[0]]
        assert kept[-1].recv(999)
    active = lambda: of(page(monitor), "http_server_active_requests", "service_name",
                        "service_instance_id", "http_request_method")
    where = ("web", f"/{cgroup.name}/web")
    wait_for(lambda: active() == {(*where, "GET"): 20, (*where, "POST"): 10}, 20, "30 that hang")
    monitor.wait_line("FIRING many: web: active_requests is 30 ", 10)
    monitor.wait_line(f"FIRING old: web .*/web: active_age is ", 10)
    found = page(monitor)
    age = of(found, "http_server_active_request_age_seconds", "http_request_method")
    assert 1 < age[("GET",)] <= age[("POST",)] < time.monotonic() - began
    count = {name: of(found, f"appmon_exchanges_{name}")[()]
             for name in ("seen_total", "delivered_total", "dropped_total", "outstanding")}
    assert count == {"seen_total": 30, "delivered_total": 0, "dropped_total": 0, "outstanding": 30}
    assert not monitor.find("FIRING asked")
    # They are answered, or not: all are over, and the gauges say so.
    for client, server in zip(kept[::2], kept[1::2]):
        if client is not kept[0]:
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            client.recv(999)
        client.close()
        server.close()
    wait_for(lambda: sum(requests(monitor).values()) == 30)
    assert active() == {(*where, "GET"): 0, (*where, "POST"): 0}
    assert set(of(page(monitor), "http_server_active_request_age_seconds").values()) == {0}
    monitor.wait_line("RESOLVED many: web: active_requests is 0 ", 10)
    monitor.wait_line("RESOLVED old: web ", 10)
    monitor.stop()


def test_hang_otlp(cgroup, export, receiver):
    monitor = export(cgroup, "--otlp", receiver.url, "--interval", "200ms")
    listener = cgroup.listener()
    client = socket.create_connection(listener.getsockname())
    client.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
    server, _ = listener.accept()

    def metrics():
        requests = receiver.received["/v1/metrics"] or [{"resourceMetrics": []}]
        return {metric["name"]: metric for resource in requests[-1]["resourceMetrics"]
                for scope in resource["scopeMetrics"] for metric in scope["metrics"]}
    active = lambda: metrics().get("http.server.active_requests", {}).get("sum", {})
    wait_for(lambda: active().get("dataPoints"), what="a push")
    assert active()["isMonotonic"] is False and active()["aggregationTemporality"] == 2
    point, = active()["dataPoints"]
    assert point["asInt"] == "1"
    assert attributes(point) == {"http.request.method": "GET", "url.scheme": "http"}
    age, = metrics()["http.server.active_request.age"]["gauge"]["dataPoints"]
    assert age["asDouble"] > 0
    client.close()
    server.close()
    wait_for(lambda: active()["dataPoints"][0]["asInt"] == "0", what="its end")
    monitor.stop()


# ---- Odd requests, and half ones -----------------------------------------------------------------

def test_odd_requests(cgroup, export):
    """Kinds of requests that nobody understands, all answered 400, are one series, not several of
    the same name."""
    monitor = export(cgroup)
    listener = cgroup.listener()
    odd = [b"BREW ?x HTTP/1.1", b"GET  HTTP/1.1", b"BREW x HTTP/1.1", b"BREW / HTTP/1.1",
           b"GET / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT a:1 HTTP/1.1"]
    for line in odd:
        with socket.create_connection(listener.getsockname()) as client:
            # The first shows that this is HTTP.
            for send in (b"GET /first HTTP/1.1", line):
                client.sendall(send + b"\r\nHost: a\r\n\r\n")
                if send.endswith(b"/first HTTP/1.1"):
                    server, _ = listener.accept()
                assert server.recv(999)
                server.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
                assert client.recv(999)
            server.close()
    wait_for(lambda: sum(requests(monitor).values()) == 2 * len(odd))
    methods = of(page(monitor), "http_server_requests_total", "http_request_method")
    assert "" not in {method for method, in methods}
    assert methods[("GET",)] == len(odd) + 1
    monitor.stop()


def test_without_request(cgroup, export, play):
    """Watching begins between a request and its response: that is no request of an empty method."""
    client, server = play()
    sent = client.send("GET", "/before")
    server.recv(4096)
    monitor = export(cgroup)
    server.sendall(b"HTTP/1.1 203 OK\r\nContent-Length: 3\r\n\r\nabc")
    client.receive(sent)
    sent = client.send("GET", "/after")
    server.recv(4096)
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    client.receive(sent)
    wait_for(lambda: sum(requests(monitor).values()) == 1)
    found = page(monitor)
    assert of(found, "http_server_requests_total", "http_request_method", "http_route") == {
        ("GET", "/after"): 1}
    assert of(found, "appmon_events_without_request_total") == {(): 1}
    monitor.stop()


# ---- Names that look alike -------------------------------------------------------------------------

def test_names_that_look_alike(cgroup, agent):
    """Applications that are called like addresses, like the names of what is not watched, with bytes
    that are no UTF-8, or alike."""
    names = [b"user", b"unknown", b"127.0.0.1:80", b"a\xffb", b"a\xfeb", b'quote"back\\slash', b"same-1",
             b"same-2"]
    paths = [os.path.join(os.fsencode(cgroup.path), name) for name in names]
    for path in paths:
        os.mkdir(path)
    try:
        monitor = agent(LEAVES.replace("  - cgroup", "  - {cgroup: '@CGROUP@/same-*', name: same}\n"
                                       "  - cgroup"), cgroup)
        ends = []
        for path in paths:
            group = object.__new__(Cgroup)
            group.path = os.fsdecode(path)
            ends.append(Served(group))
        for served in ends:
            served.exchange(count=2)
            served.listener.close()
        wait_for(lambda: sum(requests(monitor).values()) == 2 * len(names))
        found = page(monitor)
        assert of(found, "http_server_requests_total", "service_name") == {
            ("user",): 2, ("unknown",): 2, ("127.0.0.1:80",): 2, ("a\ufffdb",): 4,
            ('quote"back\\slash',): 2, ("same",): 4}
        assert of(found, "traces_service_graph_request_total", "client", "connection_type") == {
            ("user", "virtual_node"): 2 * len(names)}
        monitor.stop()
    finally:
        for path in paths:
            os.rmdir(path)


# ---- Bounds -------------------------------------------------------------------------------------------

def bounds(monitor):
    return [float(labels["le"]) for name, labels, _ in page(monitor)
            if name == "http_server_request_duration_seconds_bucket"]


def test_bounds(cgroup, agent):
    """The default begins at 100 us; others can be set, and changed while the agent runs."""
    group = cgroup.child("web")
    monitor = agent(LEAVES, cgroup)
    served = Served(group)
    served.exchange()
    wait_for(lambda: sum(requests(monitor).values()) == 1)
    assert bounds(monitor)[:5] == [0.0001, 0.00025, 0.0005, 0.001, 0.0025]
    assert bounds(monitor)[-2:] == [10, float("inf")]
    monitor.write(LEAVES + "buckets: 50us,1ms,2.5ms,1.5,1h\n")
    monitor.hang_up()
    monitor.wait_line("is in force")
    assert bounds(monitor) == [0.00005, 0.001, 0.0025, 1.5, 3600, float("inf")]
    at_most = of(page(monitor), "http_server_request_duration_seconds_bucket", "le")
    assert at_most[("3600",)] == at_most[("+Inf",)] == 1
    for wrong in "1ms,1ms", "2ms,1ms", "0", "10ns", "1ms,", "x", "-1", ",".join(["1"] * 65):
        monitor.write(LEAVES + f"buckets: '{wrong}'\n")
        before = len(monitor.find("is no list of rising bounds"))
        monitor.hang_up()
        monitor.wait_line("is no list of rising bounds", count=before + 1)
    served.listener.close()
    monitor.stop()


def test_bounds_option(cgroup, export):
    monitor = export(cgroup, "--buckets", "100us,1ms")
    served = Served(cgroup)
    served.exchange()
    served.listener.close()
    wait_for(lambda: sum(requests(monitor).values()) == 1)
    assert bounds(monitor) == [0.0001, 0.001, float("inf")]
    monitor.stop()
    done = subprocess.run([monitor.process.args[0], "export", "--cgroup", cgroup.path, "--buckets",
                           "1s,1ms"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "rising bounds" in done.stderr
