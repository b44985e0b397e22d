# SPDX-License-Identifier: BSD-2-Clause
"""appmon agent: which cgroups it watches as they come and go, alerts, reload, privileges, unit."""
import json
import os
import shutil
import socket
import subprocess
import time

import pytest

import otlp
from cgroups import Cgroup
from exporting import Monitor, Receiver, attributes, wait_for
from test_resp import Redis, command, read
from watch import as_user, cli
from wire import Connection

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


@pytest.fixture
def agent(request, tmp_path):
    """agent(text, ...): a running agent with this configuration; @CGROUP@ is the path that the
    given cgroup has in a configuration. agent.write(text) changes the file."""
    class Agent(Monitor):
        def __init__(self, text, cgroup, path=tmp_path / "agent.yaml", **how):
            self.cgroup = cgroup
            self.path = path
            self.write(text)
            super().__init__("agent", "-c", path, **how)
            request.addfinalizer(self.kill)

        def write(self, text):
            with open(self.path, "w") as f:
                f.write(text.replace("@CGROUP@", "/" + self.cgroup.name))

    return Agent


class Served:
    """Both ends of connections to a socket that belongs to a cgroup."""

    def __init__(self, cgroup):
        self.listener = cgroup.listener()

    def exchange(self, target="/", status=200, count=1):
        with Connection(self.listener.getsockname()) as client:
            server, _ = self.listener.accept()
            with server:
                for _ in range(count):
                    sent = client.send("GET", target)
                    assert server.recv(4096)
                    server.sendall(b"HTTP/1.1 %d R\r\nContent-Length: 2\r\n\r\nok" % status)
                    client.receive(sent)


def serve(cgroup, *args, **kwargs):
    served = Served(cgroup)
    served.exchange(*args, **kwargs)
    served.listener.close()


def watched(cgroup, parent, name):
    return f"appmon: watching /{parent.name}/{cgroup.name}: {name}$"


def gone(cgroup, parent, name):
    return f"appmon: no longer watching /{parent.name}/{cgroup.name}: {name}$"


def requests(monitor):
    """By application; commands of Redis count, too."""
    return monitor.counted("http_server_requests_total", "service_name") + \
        monitor.counted("db_server_operations_total", "service_name")


LEAVES = """
listen: 127.0.0.1:0
applications:
  - cgroup: "@CGROUP@/ignored-*"
    ignore: true
  - cgroup: "@CGROUP@/*"
    name: "app-{leaf}"
"""


def test_cgroups_come_and_go(cgroup, agent):
    """One that is there before, one that comes, one that is not to be watched, one below another;
    one that goes and comes back under the same name."""
    there = cgroup.child("there")
    monitor = agent(LEAVES, cgroup)
    monitor.wait_line(watched(there, cgroup, "app-there"))
    comes, ignored = cgroup.child("comes"), cgroup.child("ignored-1")
    monitor.wait_line(watched(comes, cgroup, "app-comes"))
    below = comes.child("below")  # no rule has it; it is watched with the one above
    for where, count in (there, 1), (comes, 2), (ignored, 3), (below, 4):
        serve(where, count=count)
    wait_for(lambda: requests(monitor) == {"app-there": 1, "app-comes": 6})
    assert not monitor.find("ignored|below")
    back = Cgroup(cgroup, "back")
    monitor.wait_line(watched(back, cgroup, "app-back"))
    serve(back)
    back.close()
    monitor.wait_line(gone(back, cgroup, "app-back"))
    back = cgroup.child("back")
    monitor.wait_line(watched(back, cgroup, "app-back"), count=2)
    serve(back)
    wait_for(lambda: requests(monitor) == {"app-there": 1, "app-comes": 6, "app-back": 2})
    monitor.stop()


def test_many_cgroups(cgroup, agent):
    """A hundred at once, in trees, made and removed while the agent looks: none is left, none is
    missed."""
    monitor = agent("listen: 127.0.0.1:0\n"
                    "applications: [{cgroup: '@CGROUP@/**/leaf-*', name: '{parent}'}]\n", cgroup)
    for turn in range(2):
        parents = [Cgroup(cgroup, f"p{n}") for n in range(20)]
        leaves = [Cgroup(parent, f"leaf-{n}") for parent in parents for n in range(5)]
        monitor.wait_line("appmon: watching .*/leaf-", 20, count=100 * (turn + 1))
        serve(leaves[-1], count=3)
        wait_for(lambda: requests(monitor)["p19"] == 3 * (turn + 1))
        for group in leaves + parents:
            group.close()
        monitor.wait_line("no longer watching .*/leaf-", 20, count=100 * (turn + 1))
    assert len(monitor.find("appmon: watching .*/leaf-")) == 200
    assert not monitor.find("cannot")
    with open(f"/proc/{monitor.process.pid}/fdinfo/{inotify_fd(monitor.process.pid)}") as f:
        assert not [line for line in f if "leaf" in line]
    assert len(os.listdir(f"/proc/{monitor.process.pid}/fd")) < 60
    monitor.stop()


def inotify_fd(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if "inotify" in os.readlink(f"/proc/{pid}/fd/{fd}"):
            return fd
    raise AssertionError("no inotify")


def test_full_speed(cgroup, agent, start_server, wrk):
    """Under wrk every request is in the figures, or is counted as dropped; scrapes and alert rules
    have their turn meanwhile."""
    group = cgroup.child("nginx")
    server = start_server("nginx", group)
    monitor = agent(LEAVES + "evaluate: 100ms\n"
                    "alerts: [{name: busy, when: rate > 1000/s, over: 1s}]\nnotify: [stderr]\n",
                    cgroup)
    answered = wrk(server, 2)
    monitor.wait_line("FIRING busy: app-nginx: rate is ")
    # Those that wrk did not wait for any more are in nginx's log only.
    logged = len(server.log.lines(answered))

    def accounted():
        dropped = sum(monitor.counted("appmon_exchanges_dropped_total").values())
        return sum(requests(monitor).values()) + dropped >= logged

    wait_for(accounted, 10, "the account of every request")
    assert logged <= monitor.counted("appmon_exchanges_seen_total")[()] <= logged + 64
    monitor.stop()


def test_labels(cgroup, agent):
    """A label makes an application of a cgroup, at any time; it can change and go."""
    monitor = agent("listen: 127.0.0.1:0\n"
                    "applications: [{label: {shop.name: 's*'}, name: '{label:shop.name}'}]\n",
                    cgroup)
    group = cgroup.child("group")
    attribute = "user.shop.name"
    try:
        os.setxattr(group.path, attribute, b"shoes")
    except OSError as error:
        pytest.skip(f"no extended attributes on cgroups: {error}")
    monitor.wait_line(watched(group, cgroup, "shoes"))
    serve(group)
    wait_for(lambda: requests(monitor) == {"shoes": 1})
    os.setxattr(group.path, attribute, b"socks")
    monitor.wait_line(watched(group, cgroup, "socks"))
    serve(group, count=2)
    wait_for(lambda: requests(monitor) == {"shoes": 1, "socks": 2})
    os.setxattr(group.path, attribute, b"hats")
    monitor.wait_line(gone(group, cgroup, "socks"))
    os.setxattr(group.path, attribute, b"socks")
    monitor.wait_line(watched(group, cgroup, "socks"), count=2)
    os.removexattr(group.path, attribute)
    monitor.wait_line(gone(group, cgroup, "socks"), count=2)
    monitor.stop()


def test_reload(cgroup, agent):
    """SIGHUP: a mistake is told with its line and changes nothing; other rules are in force at
    once, the figures go on, the address changes only if it is another one."""
    group = cgroup.child("group")
    monitor = agent(LEAVES, cgroup)
    url = monitor.url
    serve(group)
    wait_for(lambda: requests(monitor) == {"app-group": 1})
    monitor.write(LEAVES + "alerts: []\nnonsense: 1\n")
    monitor.hang_up()
    monitor.wait_line(r"agent\.yaml:9: there is no key nonsense here")
    monitor.wait_line("the former configuration stays")
    serve(group)
    wait_for(lambda: requests(monitor) == {"app-group": 2})
    monitor.write(LEAVES.replace("app-", "new-"))
    monitor.hang_up()
    monitor.wait_line("is in force")
    monitor.wait_line(watched(group, cgroup, "new-group"))
    serve(group)
    wait_for(lambda: requests(monitor) == {"app-group": 2, "new-group": 1})
    assert monitor.url == url
    monitor.write(LEAVES.replace("127.0.0.1:0", "127.0.0.2:0"))
    monitor.hang_up()
    monitor.wait_line("appmon: http://127.0.0.2:")
    monitor.wait_line("is in force", count=2)
    serve(group)
    wait_for(lambda: requests(monitor) == {"app-group": 3, "new-group": 1})
    monitor.stop()


ASKED = """
listen: 127.0.0.1:0
applications:
  - cgroup: "@CGROUP@/cache"
    name: cache
    protocols: [resp]
    ports: {@PORT@: resp}
  - cgroup: "@CGROUP@/web"
    name: web
  - cgroup: "@CGROUP@/web/session"
    name: session
    protocols: [http1, resp]
"""


def ask_redis(server, count):
    with server.connect() as sock:
        for _ in range(count):
            sock.sendall(command("PING"))
            assert read(sock, 7) == b"+PONG\r\n"


def test_protocols(cgroup, agent, tmp_path):
    """Each application is watched for what it asks for: Redis alone, HTTP alone, and in a cgroup
    inside of that both. The servers' own counts say what passed."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    cache, web = cgroup.child("cache"), cgroup.child("web")
    session = web.child("session")
    servers = []
    try:
        for group in (cache, web, session):
            directory = tmp_path / group.name
            directory.mkdir()
            servers.append(Redis(group, directory))
        text = ASKED.replace("@PORT@", str(servers[0].port))
        monitor = agent(text.replace("/web/session", "/web/none"), cgroup)
        for group, count in ((cache, 3), (web, 4)):
            serve(group, count=count)
        for server, count in zip(servers, (5, 6, 7)):
            ask_redis(server, count)
        wait_for(lambda: requests(monitor) == {"web": 4, "cache": 5})
        # The inner one is attached: it gets a connection that the outer one has given up, too.
        with servers[2].connect() as old:
            for _ in range(3):
                old.sendall(command("PING"))
                assert read(old, 7) == b"+PONG\r\n"
            monitor.write(text)
            monitor.hang_up()
            monitor.wait_line("is in force")
            for _ in range(2):
                old.sendall(command("PING"))
                assert read(old, 7) == b"+PONG\r\n"
        serve(session, count=2)
        serve(cache)
        serve(web, count=3)
        for server, count in zip(servers, (1, 2, 3)):
            ask_redis(server, count)
        wait_for(lambda: requests(monitor) == {"web": 4 + 3, "cache": 5 + 1, "session": 2 + 2 + 3})
        # Other protocols, of the same two: the application is attached anew.
        monitor.write(text.replace("name: web\n", "name: web\n    protocols: [resp]\n"))
        monitor.hang_up()
        monitor.wait_line(watched(web, cgroup, "web"), count=2)
        serve(web)
        ask_redis(servers[1], 2)
        wait_for(lambda: requests(monitor) == {"web": 4 + 3 + 2, "cache": 5 + 1,
                                               "session": 2 + 2 + 3})
        monitor.stop()
        assert [server.counts()["ping"] for server in servers] == [5 + 1, 6 + 2 + 2, 7 + 3 + 2 + 3]
    finally:
        for server in servers:
            server.stop()


REQUESTS = """
listen: 127.0.0.1:0
otlp: {endpoint: "@URL@", interval: 1h, spans: 100%}
applications:
  - cgroup: "@CGROUP@/*"
    name: "{leaf}"
requests:
  - path: /healthz
    ignore: true
  - user_agent: probe/*
    ignore: true
  - application: shop
    path: /files/**
    route: /files/{path}
"""


class Visited(Served):
    """Counts what it was asked: (target, user agent)."""

    def __init__(self, cgroup):
        super().__init__(cgroup)
        self.asked = []

    def visit(self, target, user_agent):
        with socket.create_connection(self.listener.getsockname()) as client:
            server, _ = self.listener.accept()
            with server:
                client.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\n"
                               f"User-Agent: {user_agent}\r\n\r\n".encode())
                lines = server.recv(4096).decode().split("\r\n")
                self.asked.append((lines[0].split(" ")[1], lines[2].removeprefix("User-Agent: ")))
                server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                assert client.recv(4096)


def test_rules_for_requests(cgroup, agent):
    """Health checks are left out and counted, by path and by user agent; paths get the route of a
    rule; what no rule has stays as it is. A reload without the rules ends both."""
    receiver = Receiver()
    shop, other = Visited(cgroup.child("shop")), Visited(cgroup.child("other"))
    routes = lambda app: monitor.counted("http_server_requests_total", "http_route", service_name=app)
    ignored = lambda: monitor.counted("appmon_requests_ignored_total")[()]
    try:
        monitor = agent(REQUESTS.replace("@URL@", receiver.url), cgroup)
        monitor.wait_line("appmon: watching 2 cgroup")
        for served in shop, other:
            for target, user_agent in [("/healthz", "curl"), ("/healthz?deep=1", "curl"),
                                       ("/healthzz", "curl"), ("/orders", "probe/1.2"),
                                       ("/orders", "my-probe/1.2"), ("/files/a/b", "curl"),
                                       ("/files/c", "curl"), ("/files/d.txt", "probe/2")]:
                served.visit(target, user_agent)
        left_out = [(target, user_agent) for target, user_agent in shop.asked + other.asked
                    if target.partition("?")[0] == "/healthz" or user_agent.startswith("probe/")]
        kept = [target for target, user_agent in shop.asked if (target, user_agent) not in left_out]
        assert len(left_out) == 8 and len(kept) == 4
        wait_for(lambda: sum(requests(monitor).values()) == 2 * len(kept)
                 and ignored() == len(left_out))
        assert routes("shop") == {"/healthzz": 1, "/orders": 1, "/files/{path}": 2}
        assert routes("other") == {"/healthzz": 1, "/orders": 1, "/files/a/b": 1, "/files/c": 1}
        monitor.write(REQUESTS.replace("@URL@", receiver.url).partition("requests:")[0])
        monitor.hang_up()
        monitor.wait_line("is in force")
        shop.visit("/healthz", "probe/1.2")
        shop.visit("/files/e", "curl")
        wait_for(lambda: sum(requests(monitor).values()) == 2 * len(kept) + 2)
        assert routes("shop") == {"/healthzz": 1, "/orders": 1, "/files/{path}": 2,
                                  "/healthz": 1, "/files/e": 1}
        assert ignored() == len(left_out)
        monitor.stop()
        # A receiver gets the same names.
        points = [point for resource in receiver.received["/v1/metrics"][-1]["resourceMetrics"]
                  for scope in resource["scopeMetrics"] for metric in scope["metrics"]
                  if metric["name"] == "http.server.request.duration"
                  for point in metric["histogram"]["dataPoints"]]
        assert sum(int(point["count"]) for point in points
                   if attributes(point)["http.route"] == "/files/{path}") == 2
        assert sum(int(point["count"]) for point in points) == 2 * len(kept) + 2
    finally:
        receiver.close()
        for served in shop, other:
            served.listener.close()


def test_route_of_spans(cgroup, agent):
    receiver = Receiver()
    shop = Visited(cgroup.child("shop"))
    try:
        monitor = agent(REQUESTS.replace("@URL@", receiver.url), cgroup)
        monitor.wait_line("appmon: watching 1 cgroup")
        for target in "/files/a/b", "/healthz", "/orders/17":
            shop.visit(target, "curl")
        wait_for(lambda: sum(requests(monitor).values()) == 2)
        monitor.stop()
        spans = [span for request in receiver.received["/v1/traces"]
                 for resource in request["resourceSpans"] for scope in resource["scopeSpans"]
                 for span in scope["spans"]]
        assert [(span["name"], attributes(span)["http.route"], attributes(span)["url.path"])
                for span in spans] == [("GET /files/{path}", "/files/{path}", "/files/a/b"),
                                       ("GET /orders/{id}", "/orders/{id}", "/orders/17")]
    finally:
        receiver.close()
        shop.listener.close()


@pytest.mark.parametrize("rule, says", [
    ("{ignore: true}", "needs path: or user_agent:"),
    ("{application: shop, ignore: true}", "needs path: or user_agent:"),
    ("{path: /a}", "needs either route: or ignore: true"),
    ("{path: /a, ignore: true, route: /b}", "needs either route: or ignore: true"),
    ("{path: /a, route: %s}" % ("x" * 256), "a route has at most 255 bytes"),
    ("{path: /a, method: GET}", "there is no key method here")])
def test_wrong_rules_for_requests(tmp_path, rule, says):
    path = tmp_path / "agent.yaml"
    path.write_text(f"applications:\n  - cgroup: /a\n    name: b\nrequests:\n  - {rule}\n")
    done = subprocess.run([cli(), "agent", "--check", "-c", path], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path}:5: ") and says in done.stderr, done.stderr


def test_wrong_configuration(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text("listen: 127.0.0.1:0\napplications:\n  - cgroup: /a\n    nme: b\n")
    for args in (["-c", path], ["-c", path, "--check"]):
        done = subprocess.run([cli(), "agent", *args], stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith(f"{path}:4: there is no key nme here"), done.stderr
    done = subprocess.run([cli(), "agent"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    done = subprocess.run([cli(), "agent", "-c", f"{tmp_path}/none"], stderr=subprocess.PIPE,
                          text=True)
    assert done.returncode == 1 and "No such file" in done.stderr


def test_installed_configuration():
    """What is installed as agent.yaml is right as it is."""
    done = subprocess.run([cli(), "agent", "--check", "-c",
                           f"{SOURCE}/examples/appmon/agent/agent.yaml"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


ALERTS = """
applications:
  - cgroup: "@CGROUP@/*"
    name: "{leaf}"
evaluate: 100ms
alerts:
  - name: errors
    application: shop
    when: error_ratio > 40%
    clear: 10%
    over: 1s
    for: 200ms
    clear_for: 200ms
    severity: page
notify:
  - stderr
  - file: @FILE@
  - webhook: @URL@/alerts
"""


def test_alert(cgroup, agent, request, tmp_path):
    """Errors fire an alert, their end resolves it: told to stderr, a file and a webhook, which
    does not take the first one at once."""
    receiver = Receiver()
    request.addfinalizer(receiver.close)
    receiver.statuses = {"/alerts": [500, 503]}
    told = tmp_path / "alerts.json"
    shop, other = cgroup.child("shop"), cgroup.child("other")
    monitor = agent(ALERTS.replace("@FILE@", str(told)).replace("@URL@", receiver.url), cgroup)
    ends = Served(shop), Served(other)

    def until(pattern, status):
        deadline = time.monotonic() + 20
        while not monitor.find(pattern):
            assert time.monotonic() < deadline, "\n".join(monitor.lines)
            ends[0].exchange("/a", 200)
            ends[0].exchange("/a", status)
            ends[1].exchange("/a", 500)
            time.sleep(0.02)

    until("FIRING errors: shop: error_ratio is (4[1-9]|5\\d|60)", 500)
    until("RESOLVED errors: shop: error_ratio is (10|\\d(\\.\\d*)?)%", 200)
    received = wait_for(lambda: len(receiver.received["/alerts"]) == 2
                        and receiver.received["/alerts"], 20, "the webhook's second try")
    written = [json.loads(line) for line in told.read_text().splitlines()]
    # The second may overtake the first, which is tried again.
    assert sorted(received, key=lambda alert: alert["status"]) == written
    for alert, status in zip(written, ("firing", "resolved")):
        assert alert["alert"] == "errors" and alert["status"] == status
        assert alert["application"] == "shop" and alert["role"] == "server"
        assert alert["severity"] == "page" and alert["when"] == "error_ratio > 40%"
        assert alert["since"] == written[0]["at"]
    assert written[0]["value"] > 0.4 and written[1]["value"] <= 0.1
    monitor.stop()


def test_capabilities(cgroup, agent, public_cli):
    """As the systemd unit has it: an ordinary user with three capabilities, which attaches and
    detaches all the time."""
    monitor = agent(LEAVES, cgroup, path=f"{os.path.dirname(public_cli)}/agent.yaml",
                    program=public_cli, wrapper=as_user(["bpf", "perfmon", "net_admin"]))
    for turn in range(1, 3):
        with Cgroup(cgroup, "group") as group:
            monitor.wait_line(watched(group, cgroup, "app-group"), count=turn)
            serve(group)
            wait_for(lambda: requests(monitor) == {"app-group": turn})
        monitor.wait_line(gone(group, cgroup, "app-group"), count=turn)
    assert not monitor.find("error|cannot|warning")
    monitor.stop()


def test_unreadable(cgroup, agent, public_cli):
    """A cgroup that an ordinary user may not read: it is named, and the others are watched."""
    with Cgroup(cgroup, "private") as private, Cgroup(cgroup, "group") as group:
        os.chmod(private.path, 0o700)
        monitor = agent(LEAVES, cgroup, path=f"{os.path.dirname(public_cli)}/agent.yaml",
                        program=public_cli, wrapper=as_user(["bpf", "perfmon", "net_admin"]))
        monitor.wait_line(f"cannot watch {private.path}: Permission denied")
        monitor.wait_line(watched(group, cgroup, "app-group"))
        serve(group)
        wait_for(lambda: requests(monitor) == {"app-group": 1})
    monitor.stop()


def unit_in(directory, change=lambda line: line):
    """Our unit, with each line changed."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    with open(f"{os.environ['APPMON_BUILD']}/examples/appmon-agent.service") as f:
        text = f.read()
    unit = directory / "appmon-agent.service"
    unit.write_text("".join(change(
        f"ExecStart={os.path.abspath(cli())} agent -c /etc/appmon/agent.yaml\n"
        if line.startswith("ExecStart=") else line) for line in text.splitlines(True)))
    return unit


def verify(unit):
    """What systemd says of this unit: it looks at all that start with it, too, and those are other
    packages' business."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, [line for line in done.stdout.splitlines() if unit.name in line]


def test_unit(tmp_path):
    """systemd finds no mistake in the unit, and it is confined."""
    unit = unit_in(tmp_path)
    assert verify(unit) == (0, [])
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager",
                           "--threshold=25", unit],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def test_unit_beside_a_broken_one(tmp_path):
    """Another package's mistakes are not ours; ours are found all the same."""
    broken = tmp_path / "broken.service"
    broken.write_text("[Service]\nType=nonsense\nNonsense=1\nExecStart=/nowhere/it\n")
    wants = tmp_path / "sysinit.target.wants"
    wants.mkdir()
    (wants / broken.name).symlink_to(broken)
    unit = unit_in(tmp_path)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "broken.service" in done.stdout  # systemd did look at it
    assert verify(unit) == (0, [])
    code, words = verify(unit_in(tmp_path, lambda line: line.replace("Type=exec", "Nonsense=1")))
    assert code != 0 and "Nonsense" in "".join(words)
    code, words = verify(unit_in(tmp_path, lambda line: line.replace(
        os.path.abspath(cli()), "/nowhere/appmon")))
    assert code != 0 and "/nowhere/appmon" in "".join(words)


def test_shop():
    """The demo's scene, without a terminal: it compares and checks by itself."""
    for tool in ("nginx", "node", "go", "javac", "redis-server"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    done = subprocess.run([f"{SOURCE}/examples/demo", "--shop", "--quick"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                          env={**os.environ,
                               "APPMON_BUILD": os.path.abspath(os.environ["APPMON_BUILD"])})
    assert done.returncode == 0, done.stdout
    for alert in ("slow-catalog", "failing-orders", "dead-catalog"):
        assert f" FIRING {alert}: " in done.stdout and f" RESOLVED {alert}: " in done.stdout
    assert "All agree." in done.stdout


PUSHING = """
listen: 127.0.0.1:0
otlp:
  endpoint: @URL@
  protocol: @PROTOCOL@
  interval: 100ms
  spans: 100%
  headers: {Authorization: Bearer s3cret}
  headers_file: @FILE@
@QUERY@
applications:
  - cgroup: "@CGROUP@/*"
    name: "{leaf}"
"""


@pytest.mark.parametrize("query, protocol", [("", "http/json"), ("redact: [ticket]", "http/json"),
                                             ("no_query: true", "http/protobuf")])
def test_secrets(cgroup, agent, tmp_path, query, protocol):
    """What spans have of a query, and the header fields of pushes; neither is lost by a reload."""
    (tmp_path / "headers").write_text("X-Scope-OrgID=seven\n")
    receiver = Receiver()
    receiver.decode = otlp.decoder() if protocol == "http/protobuf" else None
    try:
        text = PUSHING.replace("@URL@", receiver.url).replace("@FILE@", f"{tmp_path}/headers") \
            .replace("@PROTOCOL@", protocol)
        group = cgroup.child("shop")
        monitor = agent(text.replace("@QUERY@", query), cgroup)
        monitor.wait_line(watched(group, cgroup, "shop"))
        serve(group, "/x?sig=s3cret&ticket=t1")
        wait_for(lambda: receiver.received["/v1/traces"])
        span = receiver.received["/v1/traces"][0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        assert attributes(span).get("url.query") == {
            "": "sig=REDACTED&ticket=t1", "redact: [ticket]": "sig=REDACTED&ticket=REDACTED",
            "no_query: true": None}[query]
        monitor.write(text.replace("@QUERY@", "redact: [other]"))
        monitor.hang_up()
        monitor.wait_line("what is kept of queries cannot change while it runs")
        monitor.write(text.replace("@QUERY@", query))
        monitor.hang_up()
        monitor.wait_line("is in force")
        count = len(receiver.requests)
        serve(group, "/y")
        wait_for(lambda: len(receiver.requests) > count + 2)
        for _, _, fields in receiver.requests:
            assert fields["Authorization"] == "Bearer s3cret"
            assert fields["X-Scope-OrgID"] == "seven"
        monitor.stop()
    finally:
        receiver.close()
