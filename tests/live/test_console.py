# SPDX-License-Identifier: BSD-2-Clause
"""The web console: its figures against the servers' own logs, its page in a real browser, and whom it
answers."""
import collections
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.parse

import pytest

from browser import Browser, chromium
from cgroups import Cgroup
from exporting import Monitor, wait_for
from programs import free_port, wait_for_port
from scene import Scene
from test_agent import serve
from test_docker import Stub
from test_grpc import GIVEN_UP, STATUSES, grpc_go
from test_postgresql import postgresql  # noqa: F401: a fixture
from test_resp import command, redis  # noqa: F401: a fixture
from test_tls import PYTHON, low_port
from test_topology import ASKED, PROXIED, drive, elsewhere  # noqa: F401: a fixture
from watch import cli

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


@pytest.fixture
def scene(cgroup, tmp_path):
    return Scene(cgroup, tmp_path)


class Console(Monitor):
    """A running `appmon console`, or an agent with one."""

    def __init__(self, *args, command="console"):
        listen = ("--listen", "127.0.0.1:0") if command == "console" and "--listen" not in args else ()
        super().__init__(command, *listen, *args)

    @property
    def base(self):
        return self.find(r"appmon: console: (http://\S+/)$")[-1][1]

    @property
    def address(self):
        host, port = urllib.parse.urlsplit(self.base).netloc.rsplit(":", 1)
        return ("127.0.0.1" if host == "0.0.0.0" else host), int(port)

    def ask(self, path, method="GET", body=None, **fields):
        """Status, header fields and body of an answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            connection.request(method, path, body=body,
                               headers={k.replace("_", "-"): v for k, v in fields.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def get(self, path, **args):
        query = urllib.parse.urlencode(args)
        status, _, body = self.ask(f"/api/{path}" + (f"?{query}" if query else ""))
        assert status == 200, body
        return json.loads(body)

    def applications(self, **args):
        return {(a["name"], a["role"]): a for a in self.get("overview", range=3600, **args)["applications"]}

    def wait_requests(self, name, role, count):
        """As soon as so many are counted: those whose other end is watched come half a second later."""
        wait_for(lambda: self.applications().get((name, role), {}).get("requests") == count,
                 what=f"{count} requests of {name}")


@pytest.fixture
def console(request):
    def start(*args, **kwargs):
        started = Console(*args, **kwargs)
        request.addfinalizer(started.kill)
        return started
    return start


@pytest.fixture(scope="module")
def browser():
    if not chromium():
        pytest.skip("chromium is not installed")
    with Browser() as started:
        yield started


@pytest.fixture
def page(browser):
    """The browser, of a common size, with a script that has not said anything yet."""
    browser.size(1400, 900)
    browser.dark(False)
    browser.errors.clear()
    browser.dialogs.clear()
    yield browser
    browser.open("about:blank")


def show(page, console, hash):
    """Opens a page of the console, and waits until it has its data."""
    page.open("about:blank")
    page.open(f"{console.base}{hash}")
    page.wait(f"document.documentElement?.dataset.loaded === {json.dumps(hash)}")


def rows(page, title):
    """The table below a title, by its heads' words."""
    return page.run("""(() => {
        const card = [...document.querySelectorAll("section")].find(
            (s) => s.querySelector("h2").textContent.startsWith(%s));
        if (!card) return [];
        const heads = [...card.querySelectorAll("th")].map((th) => th.textContent.replace(/ [▾▴]$/, ""));
        return [...card.querySelectorAll("tbody tr")].map((tr) =>
            Object.fromEntries([...tr.children].map((td, i) => [heads[i], td.textContent])));
    })()""" % json.dumps(title))


def keep(page, name):
    """A picture, where SCREENSHOTS says that somebody wants to look at it."""
    if "SCREENSHOTS" in os.environ:
        page.screenshot(f"{os.environ['SCREENSHOTS']}/{name}.png")


def test_figures(scene, console):
    """What the documents say is what the servers logged."""
    monitor = console(*scene.targets())
    drive(scene)
    monitor.wait_requests("pay", "server", 30)
    monitor.wait_requests("stock", "server", 30)
    monitor.wait_requests("web", "server", 90)
    monitor.wait_requests("web", "client", 60)
    for app, count in zip(scene.apps, (90, 30, 30)):
        logged = app.log.lines(count)
        failed = sum(line["status"] == 503 for line in logged)
        found = monitor.get("application", name=app.name, role="server", range=3600)
        assert found["total"]["requests"] == len(logged) == sum(s["requests"] for s in found["steps"])
        assert found["total"]["errors"] == failed == sum(e["errors"] for e in found["errors"])
        assert sum(i["requests"] for i in found["interfaces"]) == len(logged)
        # nginx' clock has milliseconds, and stops before the last byte arrives. A row of the heat map
        # ends at most a quarter above its beginning.
        rows_of = [ns for step in found["steps"] for ns in step["heat"][::2]]
        assert 1.25 * max(rows_of) >= 1e9 * max(line["time"] for line in logged) - 2e6
        assert sum(n for step in found["steps"] for n in step["heat"][1::2]) == len(logged)
        assert [i["instance"].endswith(f"/{app.name}") for i in found["instances"]] == [True]
        assert {"queue_ns", "service_ns"} <= found["total"].keys()
    overview = monitor.get("overview", range=3600)
    edges = {(e["client"], e["server"]): (e["requests"], e["errors"]) for e in overview["edges"]}
    assert edges == {("(clients)", "web"): (90, 10), ("web", "stock"): (30, 0), ("web", "pay"): (30, 10)}
    by_status = {e["status"]: e["errors"] for e in
                 monitor.get("application", name="pay", role="server", range=3600)["errors"]}
    assert by_status == {"503": 10}
    # A part of the past that has no request, and one that has all.
    then = overview["from_ms"] // 1000
    assert not monitor.get("overview", **{"from": then - 100, "to": then - 50})["applications"]
    assert monitor.applications(**{"from": then - 100, "to": then + 3600})["web", "server"]["requests"] == 90
    monitor.stop()


def test_requests(scene, console):
    """A failed request with what it was made for, and what it caused."""
    monitor = console(*scene.targets())
    scene.get("/")
    assert scene.get("/pay/broken?id=7") == 503
    monitor.wait_requests("web", "server", 2)
    monitor.wait_requests("pay", "server", 1)
    failed = monitor.get("requests", kind="failed", application="pay")["requests"]
    assert [r["event"]["path"] for r in failed] == ["/pay/broken"]
    tree = monitor.get("request", number=failed[0]["number"])
    events = {r["number"]: r["event"] for r in tree["requests"]}
    chain = [failed[0]["number"]]
    while str(chain[-1]) in tree["causes"]:
        chain.append(tree["causes"][str(chain[-1])])
    assert [(events[n]["app"], events[n]["role"]) for n in chain] == [
        ("pay", "server"), ("web", "client"), ("web", "server")]
    assert events[chain[-1]]["query"] == "id=7"
    latest = monitor.get("requests", kind="latest")
    assert latest["kept"] == 4 == len(latest["requests"])
    assert {r["event"]["path"] for r in latest["requests"]} == {"/", "/pay/broken"}
    slow = monitor.get("requests", kind="slow", application="web")["requests"]
    assert [r["event"]["duration_ns"] for r in slow] == sorted(
        (r["event"]["duration_ns"] for r in slow), reverse=True)
    for path in ("request?number=999999999", "nothing"):
        assert monitor.ask(f"/api/{path}")[0] == 404
    for path in ("request?number=x", "request", "requests", "requests?kind=x", "application"):
        assert monitor.ask(f"/api/{path}")[0] == 400
    monitor.stop()


def test_names_of_servers(console, cgroup, elsewhere):  # noqa: F811
    """One that is not watched is called as its clients call it, unless by several names."""
    monitor = console("--cgroup", cgroup.path, "--name", "shop")
    asked, proxied = (elsewhere(requests, cgroup) for requests in (ASKED, PROXIED))
    monitor.wait_requests("shop", "client", 4)
    assert {e["server"] for e in monitor.get("overview", range=3600)["edges"]} == {
        "api.example.com:" + asked.rpartition(":")[2], proxied}
    monitor.stop()


def test_stream(scene, console):
    """Server-sent events: an overview every two seconds, for several who follow; they may go."""
    monitor = console(*scene.targets())
    scene.get("/")
    monitor.wait_requests("web", "server", 1)
    followers = []
    for _ in range(3):
        follower = socket.create_connection(monitor.address, timeout=20)
        follower.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        followers.append(follower)
    followers.pop().close()
    for follower in followers:
        text = b""
        while text.count(b"event: overview") < 2 or not text.endswith(b"\n\n\r\n"):
            more = follower.recv(65536)
            assert more
            text += more
        assert b"Content-Type: text/event-stream" in text
        data = re.findall(rb"data: (\{.*\})\n", text)
        assert [a["name"] for a in json.loads(data[-1])["applications"]] == ["web"]
    # Those that are still there do not keep it from ending.
    monitor.stop()
    for follower in followers:
        follower.close()


def test_page(scene, console, page):
    """The page has the same figures; keys, links and search lead where they say."""
    monitor = console(*scene.targets())
    drive(scene)
    for name, count in ("pay", 30), ("stock", 30), ("web", 90):
        monitor.wait_requests(name, "server", count)
    monitor.wait_requests("web", "client", 60)
    show(page, monitor, "#/map?range=3600")
    assert page.run("[...document.querySelectorAll('#canvas .node')].map((n) => n.dataset.name).sort()") == [
        "(clients)", "pay", "stock", "web"]
    assert page.run("document.querySelectorAll('#canvas .edge').length") == 3
    assert page.run("document.querySelectorAll('#canvas .node.fails').length") == 2  # web, pay
    keep(page, "map")
    # A click on a box: upstream and downstream.
    page.run("document.querySelector('[data-name=pay]').dispatchEvent("
             "new MouseEvent('click', {bubbles: true}))")
    assert page.run("[...document.querySelectorAll('#side a')].map((a) => a.textContent)")[1:] == ["web"]
    assert page.run("[...document.querySelectorAll('.node.dim')].map((n) => n.dataset.name)") == ["stock"]
    assert "focus=pay" in page.run("location.hash")
    show(page, monitor, "#/app/web?role=server&range=3600")
    tiles = page.run("Object.fromEntries([...document.querySelectorAll('.tile')].map("
                     "(t) => [t.children[1].textContent, t.children[0].textContent]))")
    assert tiles["requests"] == "90" and tiles["errors"] == "11%"
    interfaces = {r["interface"]: (r["requests"], r["errors"]) for r in rows(page, "Interfaces")}
    logged = scene.web.log.lines(90)
    assert interfaces["GET /pay/broken"] == ("10", "10 (100%)")
    assert interfaces["GET /"] == (str(sum(line["uri"] == "/" for line in logged)), "0")
    assert sum(int(requests) for requests, _ in interfaces.values()) == len(logged)
    assert [(r["status"], r["count"]) for r in rows(page, "Errors")] == [("503", "10")]
    assert len(rows(page, "Requests")) == 10
    instance, = rows(page, "Instances")
    assert instance["instance"].rsplit("/", 1)[1] == "web"
    # Where the cgroup has no memory controller, the page says so.
    has_memory = os.path.exists(f"{scene.web.cgroup.path}/memory.current")
    assert instance["memory"].endswith("iB") == has_memory
    assert ("no memory controller" in page.run("document.body.textContent")) == (not has_memory)
    assert page.run("document.querySelectorAll('.chart').length") == 5
    keep(page, "application")
    # Over a chart: what the nearest step has; dragging takes a part of the time.
    x, y, width = page.run("(() => { const b = document.querySelector('.chart').getBoundingClientRect();"
                           " return [b.x, b.y + 60, b.width]; })()")
    page.mouse("mouseMoved", x + .9 * width, y)
    page.wait("/requests +[0-9.]+\\/s/.test(document.getElementById('tip').textContent)")
    page.mouse("mousePressed", x + .3 * width, y, button="left", buttons=1, clickCount=1)
    page.mouse("mouseMoved", x + .6 * width, y, button="left", buttons=1)
    page.mouse("mouseReleased", x + .6 * width, y, button="left", clickCount=1)
    page.wait("/from=\\d+&to=\\d+/.test(location.hash) && document.getElementById('range').value === 'part'")
    show(page, monitor, "#/app/web?role=server&range=3600")
    # By keys: into the table of requests, and into one of them.
    page.run("document.querySelector('[data-key^=\"requests-failed\"][data-row]').focus()")
    page.press("Enter")
    page.wait("document.querySelectorAll('.fall .track').length === 3")
    assert page.run("[...document.querySelectorAll('.fall a')].map((a) => a.textContent)") == [
        "web serves GET /pay/broken", "web sends GET /pay/broken", "pay serves GET /pay/broken"]
    keep(page, "request")
    page.press("l")
    page.wait("location.hash.startsWith('#/alerts') && document.body.textContent.includes('error_ratio')")
    page.press("a")
    page.wait("document.querySelectorAll('#main tbody tr').length === 4")
    page.press("/")
    assert page.run("document.activeElement.id") == "search"
    page.run("document.getElementById('search').value = 'sto'")
    page.run("document.getElementById('search').dispatchEvent(new Event('input'))")
    assert page.run("document.querySelectorAll('#main tbody tr').length") == 1
    page.press("Enter")
    page.wait("location.hash.startsWith('#/app/stock')")
    page.press("t")
    assert page.run("document.documentElement.dataset.theme") == "dark"
    page.wait("document.querySelector('.tiles')")
    keep(page, "application-dark")
    page.run("localStorage.clear()")
    # A figure that comes later is shown without being asked for.
    show(page, monitor, "#/app/stock?range=3600")
    scene.get("/stock/100")
    page.wait("document.querySelector('.tile b').textContent === '31'")
    assert page.errors == [] and page.dialogs == []
    monitor.stop()


def overlapping(page):
    """How many of the map's labels and boxes there are, and how many pairs of them overlap."""
    return page.run("""(() => {
        const all = [...document.querySelectorAll("#canvas .label rect, #canvas .node rect")]
            .map((e) => e.getBoundingClientRect()).filter((r) => r.width > 0);
        const pairs = all.flatMap((a, i) => all.slice(i + 1).filter((b) => a.left < b.right - .5 &&
            b.left < a.right - .5 && a.top < b.bottom - .5 && b.top < a.bottom - .5));
        return [all.length, pairs.length];
    })()""")


def large_map(page, seed):
    with open(f"{HERE}/console-map.js") as script:
        page.run(script.read().replace("SEED", str(seed)))
    assert overlapping(page) == [90, 0]
    assert page.run("document.querySelectorAll('#canvas .label.crowded').length") == 0


def test_large_map(console, page, cgroup):
    """30 applications and 60 edges: no label is on another one, or on a box; circles among them."""
    monitor = console("--cgroup", cgroup.path)
    show(page, monitor, "#/map")
    for seed in 4, 3, 2, 1:
        large_map(page, seed)
    keep(page, "large-map")
    # A namespace, with what is beside it; what leads to one and where it leads.
    page.run("setArgs({ ns: 'billing' }, true); mapPage.show()")
    names = page.run("[...document.querySelectorAll('#canvas .node')].map((n) => n.dataset.name)")
    assert sum(name.startswith("billing/") for name in names) == 10 and len(names) <= 30
    page.run("setArgs({ ns: null, focus: 'billing/ledger-4' }, true); mapPage.show()")
    assert page.run("""(() => {
        const { edges } = mapPage.data, reach = (from, to) => {
            const seen = new Set(["billing/ledger-4"]);
            for (let size = 0; size !== seen.size;) {
                size = seen.size;
                for (const e of edges) if (seen.has(e[from])) seen.add(e[to]);
            }
            return [...seen];
        };
        const wanted = new Set([...reach("client", "server"), ...reach("server", "client")]);
        return [...document.querySelectorAll("#canvas .node")].every(
            (n) => n.classList.contains("dim") !== wanted.has(n.dataset.name));
    })()""")
    keep(page, "large-map-chosen")
    # 80 %, and a phone.
    for width, height, scale, mobile in (1750, 1125, 1, False), (390, 844, 2, True):
        page.size(width, height, scale, mobile)
        page.run("setArgs({ focus: null }, true); mapPage.zoom = null; mapPage.show()")
        assert overlapping(page) == [90, 0]
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        keep(page, f"large-map-{width}")
    assert page.errors == []
    monitor.stop()


HOSTILE = ["<script>alert(1)</script>", "<img/src=x/onerror=alert(2)>", "\"'><svg/onload=alert(3)>",
           "javascript:alert(4)", "{{7*7}}${7*7}", "%3Cscript%3Ealert(5)%3C/script%3E", "\\u003cscript\\u003e",
           "\x7f\x01\x1b[31m", "\xff\xfe\xc3\x28", "</title></style></textarea><b>"]


def test_hostile(console, page, cgroup):
    """What clients and servers send stays text: paths, methods, fields, phrases, names."""
    name = "<i onmouseover=alert(6)>app</i>"
    monitor = console("--cgroup", cgroup.path, "--name", name)
    with cgroup.listener() as listener:
        for i, text in enumerate(HOSTILE):
            raw = text.encode("latin-1")
            with socket.create_connection(listener.getsockname()) as client:
                server, _ = listener.accept()
                with server:
                    client.sendall(b"GET /%s?q=%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n"
                                   b"X-Request-Id: %s\r\n\r\n"
                                   % (raw.replace(b" ", b"+"), raw.replace(b" ", b"+"), b"h", raw, raw))
                    assert server.recv(65536)
                    server.sendall(b"HTTP/1.1 500 %s\r\nContent-Type: %s\r\n"
                                   b"Content-Length: 0\r\n\r\n" % (raw, raw))
                    assert client.recv(65536)
    monitor.wait_requests(name, "server", len(HOSTILE))
    quoted = urllib.parse.quote(name, safe="")
    # Addresses made by hand, too.
    for hash in "#/app/%zz?range=x&from=1e9", "#/nothing/x?ns=y", "#/map", "#/apps", "#/alerts", \
            f"#/app/{quoted}?role=server":
        show(page, monitor, hash)
        assert page.run("document.querySelectorAll("
                        "'#main script, #main img, #main i[onmouseover]').length") == 0
    keep(page, "hostile")
    assert name in page.run("document.querySelector('h1').textContent")
    text = page.run("document.body.textContent")
    for word in HOSTILE[:3]:
        assert word in text
    for request in monitor.get("requests", kind="failed")["requests"][-3:]:
        show(page, monitor, f"#/request/{request['number']}")
        assert page.run("document.querySelectorAll('#main script, #main img, #main svg[onload]').length") == 0
    assert page.dialogs == [] and page.errors == []
    # The policy holds, too: a script that got in would not run.
    page.run("document.body.append(Object.assign(document.createElement('script'), "
             "{textContent: 'window.ran = 1'}))")
    assert page.run("window.ran") is None
    assert any("Content Security Policy" in error for error in page.errors)
    monitor.stop()


def summary(query):
    """What OpenTelemetry calls a statement of pgbench: its operation and its table."""
    operation, table = re.match(r"(\w+) .*?\b(pgbench_\w+)", query).groups()
    return f"{operation} {table}"


def test_statements(postgresql, console, page, cgroup):  # noqa: F811
    """PostgreSQL as the server counts it itself, errors as the client was told them, and the text of a
    statement, which stays text."""
    database, shop = "database", "shop"
    monitor = console("--cgroup", postgresql.cgroup.path, "--name", database,
                      "--cgroup", cgroup.path, "--name", shop)
    postgresql.ask("pgbench", "-q", "-i", "postgres")
    postgresql.sql("SELECT pg_stat_statements_reset()")
    postgresql.ask("pgbench", "-n", "-c", "2", "-t", "50", "postgres")
    counted = collections.Counter()
    for line in postgresql.sql("SELECT calls, query FROM pg_stat_statements WHERE query ~ "
                               "'^(SELECT|UPDATE|INSERT).*pgbench_.*[$]1'").splitlines():
        calls, query = line.split("|", 1)
        counted[summary(query)] += int(calls)
    assert sum(counted.values()) == 500

    def interfaces():
        return {i["route"]: i for i in monitor.get("application", name=database, role="server",
                                                   range=3600)["interfaces"]}
    wait_for(lambda: sum(interfaces().get(what, {"requests": 0})["requests"] for what in counted) == 500)
    for what, count in counted.items():
        one = interfaces()[what]
        assert (one["requests"], one["system"], one["operation"]) == (
            count, "postgresql", what.split()[0])
    show(page, monitor, f"#/app/{database}?role=server&range=3600")
    page.run("document.querySelector('[data-key=\"interfaces/more\"]')?.click()")
    found = {row["interface"]: row for row in rows(page, "Interfaces")}
    for what, count in counted.items():
        assert (found[what]["requests"], found[what]["system"]) == (str(count), "postgresql")
    keep(page, "statements")

    hostile = '<img src=x onerror="alert(1)">'
    quoted = hostile.replace('"', '""')
    told = []
    for text in ["SELECT 1 FROM nosuch WHERE a = 'secret'"] * 3 + [f'SELECT "{quoted}" FROM nosuch2',
                                                                  "SELECT 1 / 0"]:
        psql = cgroup.spawn([f"{postgresql.bindir}/psql", "-h", "127.0.0.1", "-p", str(postgresql.port),
                             "-U", "postgres", "-v", "VERBOSITY=sqlstate", "-c", text, "postgres"],
                            stderr=subprocess.PIPE, text=True)
        told.append(re.search(r"ERROR:  (\w+)", psql.communicate(timeout=20)[1])[1])
    assert collections.Counter(told) == {"42P01": 4, "22012": 1}
    wait_for(lambda: monitor.applications().get((shop, "client"), {}).get("errors") == len(told))
    show(page, monitor, f"#/app/{shop}?role=client&range=3600")
    errors = collections.Counter()
    for row in rows(page, "Errors"):
        assert row["system"] == "postgresql"
        errors[row["status"]] += int(row["count"])
    assert errors == collections.Counter(told)
    failed = monitor.get("requests", kind="failed", application=shop, role="client")["requests"]
    request, = [r for r in failed if "nosuch2" in r["event"]["query_text"]]
    show(page, monitor, f"#/request/{request['number']}")
    assert page.run("document.querySelector('#statement pre').textContent") == f'SELECT "{quoted}" FROM nosuch2'
    fields = page.run("Object.fromEntries([...document.querySelectorAll('#statement dt')].map("
                      "(t) => [t.textContent, t.nextSibling.textContent]))")
    assert (fields["system"], fields["database"], fields["table"], fields["error"]) == (
        "postgresql", "postgres", "nosuch2", "42P01")
    assert page.run("document.querySelectorAll('#main img').length") == 0
    assert not any("secret" in json.dumps(r) for r in failed)
    assert page.errors == [] and page.dialogs == []
    keep(page, "statement")
    monitor.stop()


def test_calls(console, page, cgroup, programs):
    """gRPC: service, method and status of each call that the server ended, as its client was told."""
    calls = grpc_go(programs.directory)
    monitor = console("--cgroup", cgroup.path, "--name", "calls")
    process = cgroup.spawn([*calls, str(free_port("127.0.0.1"))], stdout=subprocess.PIPE, text=True)
    told = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
    assert process.returncode == 0
    wanted = collections.Counter(method[1:] for method, *_ in told)
    failed = collections.Counter((STATUSES[code], method[1:]) for method, code, *_ in told
                                 if STATUSES[code] not in {"OK", *GIVEN_UP})
    assert failed

    def interfaces():
        return {i["operation"]: i["requests"] for i in monitor.get(
            "application", name="calls", role="client", range=3600)["interfaces"] if i["system"] == "grpc"}
    wait_for(lambda: interfaces() == wanted)
    show(page, monitor, "#/app/calls?role=client&range=3600")
    assert {row["interface"]: int(row["requests"]) for row in rows(page, "Interfaces")} == wanted
    assert {row["system"] for row in rows(page, "Interfaces")} == {"grpc"}
    assert {(row["status"], row["interface"]): int(row["count"]) for row in rows(page, "Errors")
            if row["status"] not in GIVEN_UP and row["status"].isupper()} == failed
    assert page.errors == []
    monitor.stop()


def test_commands(console, page, cgroup, redis):  # noqa: F811
    """Redis: as it counts its commands itself."""
    monitor = console("--cgroup", cgroup.path, "--name", "cache")
    before = redis.counts()
    commands = ["set a 1"] * 3 + ["get a"] * 5 + ["incr a"] * 2
    with redis.connect() as sock:
        for text in commands:
            sock.sendall(command(*text.split()))
            sock.recv(4096)
    after = redis.counts()
    wanted = {name.upper(): after[name] - before.get(name, 0) for name in ("set", "get", "incr")}
    assert wanted == {"SET": 3, "GET": 5, "INCR": 2}

    def interfaces():
        return {i["operation"]: i["requests"] for i in monitor.get(
            "application", name="cache", role="server", range=3600)["interfaces"]
            if i["system"] == "redis" and i["operation"] in wanted}
    wait_for(lambda: interfaces() == wanted)
    show(page, monitor, "#/app/cache?role=server&range=3600")
    found = {row["interface"]: row for row in rows(page, "Interfaces")}
    assert {name: int(found[name]["requests"]) for name in wanted} == wanted
    assert page.errors == []
    monitor.stop()


def test_tls(console, page, cgroup, certificate, tmp_path):
    """What a handshake says in clear text, by what the client's library has agreed on."""
    script, port = tmp_path / "server.py", low_port()
    script.write_text(PYTHON)
    server = cgroup.spawn([sys.executable, script, str(port), certificate])
    wait_for_port(port, server)
    monitor = console("--cgroup", cgroup.path, "--name", "bank", "--protocols", "http1,tls")
    context = ssl.create_default_context(cafile=f"{certificate}.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"hello"
    version, cipher = connection.sock.version(), connection.sock.cipher()[0]
    connection.close()
    number = {c["name"]: c["id"] & 0xffff for c in context.get_ciphers()}[cipher]
    wait_for(lambda: monitor.get("requests", kind="latest", application="bank")["requests"])
    for kept in monitor.get("requests", kind="latest", application="bank")["requests"]:
        show(page, monitor, f"#/request/{kept['number']}")
        texts = page.run("[...document.querySelectorAll('#tls dt, #tls dd')].map((e) => e.textContent)")
        found = dict(zip(texts[::2], texts[1::2]))
        assert found["server name"] == "localhost" and found["version"].replace(" ", "v") == version
        assert found["cipher"] == f"0x{number:04x}"
    keep(page, "tls")
    assert page.errors == []
    monitor.stop()
    server.terminate()
    server.wait()


def test_access(console, cgroup):
    """Who is answered without a token: pages of its own, on this machine. It is only looked at."""
    monitor = console("--cgroup", cgroup.path)
    host = "%s:%d" % monitor.address
    good = monitor.ask("/")
    assert good[0] == 200
    for field, word in (("Content-Security-Policy", "default-src 'none'"),
                        ("Content-Security-Policy", "frame-ancestors 'none'"),
                        ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"),
                        ("Referrer-Policy", "no-referrer"),
                        ("Cross-Origin-Resource-Policy", "same-origin")):
        assert word in good[1][field]
    assert "Access-Control-Allow-Origin" not in good[1]
    for file in re.findall(r'(?:src|href)="(/[^"]+)"', good[2]):
        assert monitor.ask(file)[0] == 200
    # It loads its own files alone.
    assert not re.search(r'(src|href)="(?!/|#|data:)', good[2])
    assert monitor.ask("/api/overview")[0] == 200
    assert monitor.ask("/api/overview", Origin=f"http://{host}")[0] == 200
    for fields in ({"Host": "evil.example"}, {"Host": "evil.example:%d" % monitor.address[1]},
                   {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"},
                   {"Sec_Fetch_Site": "same-site"}):
        assert monitor.ask("/api/overview", **fields)[0] == 403
    for path in "/..", "/../etc/passwd", "/ui.js/", "/API/overview":
        assert monitor.ask(path)[0] == 404
    for method in "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO":
        assert monitor.ask("/api/overview", method)[0] == 405
    body = json.dumps({"alert": "errors", "application": "x", "seconds": 60})
    assert monitor.ask("/api/silence", "POST", body, Content_Type="application/json")[0] == 200
    assert monitor.ask("/api/silence", "POST", body, Content_Type="text/plain")[0] == 415
    assert monitor.ask("/api/silence", "POST", body, Content_Type="application/json",
                       Origin="http://evil.example")[0] == 403
    assert monitor.ask("/api/overview", "POST", body, Content_Type="application/json")[0] == 405
    assert monitor.ask("/api/silence")[0] == 404
    for bad in "", "{", "[]", "1", '{"alert": 1, "application": "x", "seconds": 1}', body.replace("60", "-1"), \
            body.replace("60", "604801"), body.replace("60", "\"60\""):
        assert monitor.ask("/api/silence", "POST", bad, Content_Type="application/json")[0] == 400
    assert monitor.ask("/api/silence", "POST", " " * 5000, Content_Type="application/json")[0] == 413
    monitor.stop()


def test_another_sites_page(console, page, cgroup):
    """A page from elsewhere, in the same browser, can neither read nor change anything."""
    monitor = console("--cgroup", cgroup.path)
    other = console("--cgroup", cgroup.path)  # another origin: its port is another one
    page.open(f"{other.base}nothing-here")
    page.wait("document.body")
    page.call("Page.setBypassCSP", enabled=True)
    page.open(f"{other.base}nothing-here")
    page.wait("document.body.textContent.includes('not here')")
    ask = "fetch(%s, %s).then((a) => a.text(), (e) => 'failed').then(String)"
    assert page.run(ask % (json.dumps(f"{monitor.base}api/overview"), "{}")) == "failed"
    for type in "application/json", "text/plain":
        post = json.dumps({"method": "POST", "headers": {"Content-Type": type},
                           "body": '{"alert":"errors","application":"x","seconds":60}'})
        assert page.run(ask % (json.dumps(f"{monitor.base}api/silence"), post)) == "failed"
    page.call("Page.setBypassCSP", enabled=False)
    monitor.stop()
    other.stop()


def test_token(console, page, cgroup, tmp_path):
    """Where other machines could read it a token is needed, and it is asked for."""
    secret = "0123456789abcdef-secret"
    file = tmp_path / "token"
    file.write_text(secret + "\n")
    refused = subprocess.run([cli(), "console", "--listen", "0.0.0.0:0", "--cgroup", cgroup.path],
                             stderr=subprocess.PIPE, text=True, timeout=20)
    assert refused.returncode == 1 and "token" in refused.stderr
    for wrong in "", "short\n", "sixteen chars ha\n", "tschüß-tschüß-tschüß\n":
        (tmp_path / "wrong").write_text(wrong)
        refused = subprocess.run([cli(), "console", "--token-file", tmp_path / "wrong"],
                                 stderr=subprocess.PIPE, text=True, timeout=20)
        assert refused.returncode == 1 and "token" in refused.stderr
    monitor = console("--listen", "0.0.0.0:0", "--token-file", file, "--cgroup", cgroup.path)
    assert monitor.ask("/")[0] == 200
    for path in "/api/overview", "/api/stream", "/api/alerts":
        assert monitor.ask(path)[0] == 401
        assert monitor.ask(path, Authorization=f"Bearer {secret}x")[0] == 401
    assert monitor.ask("/api/overview", Authorization=f"Bearer {secret}", Host="node-7")[0] == 200
    assert monitor.ask("/api/overview?token=" + secret)[0] == 401
    page.open("http://127.0.0.1:%d/" % monitor.address[1])
    page.wait("document.getElementById('login').open")
    page.run(f"document.getElementById('token').value = {json.dumps(secret)}")
    page.run("document.querySelector('#login button').click()")
    page.wait("document.querySelector('[data-empty]')")
    page.wait("document.getElementById('live').className === 'on'")
    assert secret not in page.run("location.href")
    monitor.stop()
    assert secret not in "\n".join(monitor.lines)


ALERTS = """
console: {listen: 127.0.0.1:0}
protocols: [http1]
evaluate: 100ms
applications:
  - cgroup: "@CGROUP@/*"
    name: "{leaf}"
alerts:
  - name: broken
    when: status(503) > 20%
    over: 1s
    severity: page
notify:
  - file: @FILE@
"""


def test_alerts(console, page, cgroup, tmp_path, scene):
    """An alert of the agent fires, is silenced on the page, and is resolved; whom it would tell is not
    told meanwhile. Its sample leads to a request that failed."""
    told, config = tmp_path / "told", tmp_path / "agent.yaml"
    config.write_text(ALERTS.replace("@CGROUP@", "/" + cgroup.name).replace("@FILE@", str(told)))
    monitor = console("-c", config, command="agent")

    def alerts(status):
        return {a["application"]: a for a in monitor.get("alerts")["alerts"] if a["status"] == status}

    scene.get("/pay/broken")
    wait_for(lambda: {"web", "pay"} <= alerts("firing").keys(), what="the alert")
    assert [a["when"] for a in alerts("firing").values()] == ["status(503) > 20%"] * 2
    sample = monitor.get("request", number=alerts("firing")["pay"]["sample"])
    assert sample["requests"][0]["event"]["status"] == 503
    show(page, monitor, "#/alerts")
    page.wait("document.querySelectorAll('.alert.firing').length === 2 || "
              "document.querySelectorAll('.alert.resolved').length >= 2")
    keep(page, "alerts")
    wait_for(lambda: {"web", "pay"} <= alerts("resolved").keys(), what="its end")
    for alert in alerts("resolved").values():
        assert monitor.get("request", number=alert["sample"])["requests"][0]["event"]["status"] == 503
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert sorted((a["application"], a["status"]) for a in lines) == [
        ("pay", "firing"), ("pay", "resolved"), ("web", "firing"), ("web", "resolved")]
    # Once more, one of them in silence: the page's own button, while it fires.
    body = json.dumps({"alert": "broken", "application": "pay", "seconds": 3600})
    assert monitor.ask("/api/silence", "POST", body, Content_Type="application/json")[0] == 200
    for _ in range(3):
        scene.get("/pay/broken")
    wait_for(lambda: "silenced_until_ms" in alerts("firing").get("pay", {}), what="the silenced alert")
    page.wait("document.querySelector('.alert.firing:not(.silenced) button')")
    page.run("document.querySelector('.alert.firing:not(.silenced) button').click()")
    wait_for(lambda: len(told.read_text().splitlines()) == 6, what="the end of the other one")
    lines = [json.loads(line) for line in told.read_text().splitlines()][4:]
    assert [(a["application"], a["status"]) for a in lines] == [("web", "firing"), ("web", "resolved")]
    wait_for(lambda: sum(a["status"] == "resolved" and a["silenced"]
                         for a in monitor.get("alerts")["alerts"]) == 1)
    assert page.errors == []
    monitor.stop()


CONTAINERS = """
console: {listen: 127.0.0.1:0}
docker: @SOCKET@
applications:
  - cgroup: "@CGROUP@/**"
    label: {role: "*"}
    name: "{label:role}"
"""


def test_instances(console, page, cgroup, tmp_path):
    """An instance is called as its container, and its restarts are counted; what has no container's name
    is called by its path."""
    stub, config = Stub(tmp_path / "docker.sock"), tmp_path / "agent.yaml"
    try:
        ids = [stub.create(name, {"role": "shop"}) for name in ("blue", "green")]
        config.write_text(CONTAINERS.replace("@CGROUP@", "/" + cgroup.name).replace("@SOCKET@", str(stub.path)))
        monitor = console("-c", config, command="agent")
        for turn in range(3):
            for id_ in ids[: 2 if turn == 0 else 1]:
                place = Cgroup(cgroup, f"docker-{id_}.scope")
                monitor.wait_line(f"watching /{cgroup.name}/docker-{id_}", count=turn * 2 + 1 if turn else 1)
                serve(place, count=4)
                place.close()
                if turn < 2:
                    monitor.wait_line(f"no longer watching /{cgroup.name}/docker-{id_}", count=turn + 1)
        monitor.wait_requests("shop", "server", 16)
        found = monitor.get("application", name="shop", role="server", range=3600)["instances"]
        assert {(i["label"], i["requests"], i["restarts"]) for i in found} == {("blue", 12, 2), ("green", 4, 0)}
        assert {i["instance"] for i in found} == {f"/{cgroup.name}/docker-{id_}.scope" for id_ in ids}
        show(page, monitor, "#/app/shop?range=3600")
        shown = [(r["instance"], r["restarts"]) for r in rows(page, "Instances")]
        assert shown == [("blue", "2"), ("green", "0")]
        monitor.stop()
    finally:
        stub.close()


def test_whole_machine(console, cgroup):
    """Without a word about what to watch it finds what serves, and leaves its own page out. Others on
    this machine are seen, too."""
    monitor = console()
    place = cgroup.child(f"shop-{os.getpid()}")
    with place.listener() as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            for _ in range(20):
                client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert server.recv(4096)
                server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                assert client.recv(4096)
    monitor.wait_requests(place.name, "server", 20)
    port = monitor.address[1]
    assert not [r for r in monitor.get("requests", kind="latest")["requests"]
                if r["event"]["local"].endswith(f":{port}") or r["event"]["remote"].endswith(f":{port}")]
    monitor.stop()


def test_many_series(console, page, cgroup):
    """500 series: all of them are there, in the document and on the page."""
    monitor = console("--cgroup", cgroup.path, "--name", "many")
    words = ["".join(chr(97 + (i // 26 ** k) % 26) for k in range(2)) + "-page" for i in range(25)]
    statuses = range(200, 220)
    with cgroup.listener() as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            for word in words:
                for status in statuses:
                    client.sendall(b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n" % word.encode())
                    assert server.recv(4096)
                    server.sendall(b"HTTP/1.1 %d R\r\nContent-Length: 0\r\n\r\n"
                                   % (status if status != 204 else 220))
                    assert client.recv(4096)
    monitor.wait_requests("many", "server", 500)
    show(page, monitor, "#/app/many?role=server&range=3600")
    keep(page, "many")
    found = rows(page, "Interfaces")
    assert len(found) == 15
    page.run("document.querySelector('[data-key=\"interfaces/more\"]').click()")
    found = rows(page, "Interfaces")
    assert {(r["interface"], r["requests"]) for r in found} == {(f"GET /{w}", "20") for w in words}
    # On a phone, in the dark.
    page.size(390, 844, 2, True)
    page.dark(True)
    show(page, monitor, "#/app/many?role=server&range=900")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.run("document.documentElement.dataset.theme") == "dark"
    keep(page, "phone-dark")
    monitor.stop()
