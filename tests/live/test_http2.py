# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 in clear text: servers and clients, against what both ends say."""
import collections
import re
import shutil
import subprocess

import pytest
from h2.settings import SettingCodes

import http2_client
import http2_servers
from programs import Missing, free_port, wait_for_port
from test_tunnels import frame

HTTP2 = ["--protocols", "http1,http2"]


@pytest.fixture
def nghttpd(cgroup, tmp_path):
    if not shutil.which("nghttpd"):
        pytest.skip("nghttpd is not installed")
    root = tmp_path / "root"
    root.mkdir()
    (root / "small").write_text("hello\n")
    (root / "large").write_bytes(b"z" * 300000)
    port = free_port("127.0.0.1")
    process = cgroup.spawn(["nghttpd", "--no-tls", "-d", str(root), str(port)],
                           stdout=subprocess.DEVNULL)
    wait_for_port(port, process)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.mark.parametrize("streams", [1, 32, 100])
def test_h2load(streams, nghttpd, cgroup, watch):
    """Each request of several connections is an event, with the path and the status of its own."""
    watching = watch(cgroup, args=HTTP2)
    urls = [nghttpd + path for path in ("/small", "/large?x=1", "/none")]
    done = subprocess.run(["h2load", "-n", "900", "-c", "3", "-m", str(streams), *urls],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    counted = re.search(r"status codes: (\d+) 2xx, 0 3xx, (\d+) 4xx", done.stdout)
    events = watching.wait(900, timeout=20)
    seen = collections.Counter((e["path"], e["query"], e["status"], e["end"]) for e in events)
    assert seen == {("/small", "", 200, "complete"): 300, ("/large", "x=1", 200, "complete"): 300,
                    ("/none", "", 404, "complete"): 300}
    assert sum(e["status"] == 200 for e in events) == int(counted[1])
    assert sum(e["status"] == 404 for e in events) == int(counted[2])
    for event in events:
        assert (event["protocol"], event["role"], event["flags"]) == ("http2", "server", [])
        assert event["response_body_bytes"] == {"/small": 6, "/large": 300000}.get(
            event["path"], event["response_body_bytes"])
    # One connection's streams are numbered by its client: 1, 3, 5 ...
    by_connection = collections.defaultdict(set)
    for event in events:
        by_connection[event["connection_id"]].add(event["key"])
    assert all(keys == set(range(1, 2 * len(keys), 2)) for keys in by_connection.values())
    watching.stop()
    watching.check_sums(delivered=900)


def test_curl(nghttpd, cgroup, watch, tmp_path):
    """An upload of several frames, and both bodies' bytes."""
    upload = tmp_path / "upload"
    upload.write_bytes(b"u" * 200000)
    watching = watch(cgroup, args=HTTP2)
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--data-binary", f"@{upload}",
                           "-o", "/dev/null", "-w", "%{http_code} %{http_version} %{size_download}",
                           nghttpd + "/large"], stdout=subprocess.PIPE, text=True, check=True)
    event, = watching.wait(1)
    assert done.stdout == "200 2 300000"
    assert (event["operation"], event["path"], event["status"]) == ("POST", "/large", 200)
    assert event["request_body_bytes"] == event["request_content_length"] == 200000
    assert event["response_body_bytes"] == 300000
    assert event["authority"] == nghttpd[len("http://"):]


# ---- servers ------------------------------------------------------------------------------------

@pytest.fixture
def start(programs, cgroup, tmp_path):
    """start(name): a running server of http2_servers.NAMES in the cgroup."""
    def start(name):
        try:
            return http2_servers.Server(name, cgroup, tmp_path, programs)
        except Missing as reason:
            pytest.skip(str(reason))
    return start


PLAN = [("GET", "/hello", None), ("GET", "/bytes/300000?a=b%20c", None), ("HEAD", "/bytes/5000", None),
        ("GET", "/bytes/0", None), ("POST", "/echo", 100), ("POST", "/echo?large", 200000),
        ("GET", "/status/404", None), ("PUT", "/hello", 0), ("GET", "/status/503", None)]


@pytest.mark.parametrize("name", http2_servers.NAMES)
def test_servers(name, start, cgroup, watch):
    """Both ends, one stream after the other and many at once, and with settings that change tables and
    frames: what the server has logged and what the client has got are in the events of each role."""
    server = start(name)
    watching = watch(cgroup, args=HTTP2)
    said = []
    # This h2o does not say that its table has none.
    for size in 4096 if name == "h2o" else 0, 65536:
        client = http2_client.Client(cgroup.connect(("127.0.0.1", server.port)), {
            SettingCodes.HEADER_TABLE_SIZE: size, SettingCodes.MAX_FRAME_SIZE: 16384 + size})
        said += client.plan(PLAN, at_once=1) + client.plan(2 * PLAN, at_once=20)
        client.close()
    truth = collections.Counter(s.told() for s in said)
    asked = server.asked(len(said))
    assert asked is None or collections.Counter(asked) == truth
    events = watching.wait(2 * len(said), timeout=20)
    watching.stop()
    for role in "client", "server":
        mine = [e for e in events if e["role"] == role]
        assert collections.Counter((e["operation"], e["request_target"], e["status"])
                                   for e in mine) == truth
        # Not of what a server answers before it has all of it, which ends the exchange.
        early = {(e["operation"], e["request_target"]) for e in mine if "early_response" in e["flags"]}
        assert early <= {("POST", "/echo"), ("POST", "/echo?large")}
        assert collections.Counter((e["operation"], e["request_target"], e["request_body_bytes"],
                                    e["response_body_bytes"]) for e in mine
                                   if (e["operation"], e["request_target"]) not in early) \
            == collections.Counter(s.bodies() for s in said if (s.method, s.target) not in early)
        for event in mine:
            assert event["protocol"] == "http2"
            assert event["request_http_version"] == event["response_http_version"] == "2"
            assert event["authority"] == server.url[len("http://"):]
            assert event["end"] == "complete" and not set(event["flags"]) - {"early_response"}
    watching.check_sums(delivered=2 * len(said))
    server.stop()


def test_websocket(start, cgroup, watch):
    """WebSocket on a stream (RFC 8441) is told at its head, as one over HTTP/1 is; what passes on it is
    none, and the streams beside it go on."""
    server = start("hypercorn")
    watching = watch(cgroup, args=HTTP2)
    client = http2_client.Client(cgroup.connect(("127.0.0.1", server.port)))
    client.run(lambda: client.settled)
    plain = client.plan([("GET", "/hello", None)], at_once=1)
    message = b"GET / HTTP/1.1\r\n\r\n" * 20
    chat = client.ask("CONNECT", "/chat?token=x", headers=[(":protocol", "websocket"),
                                                           ("sec-websocket-version", "13")], end=False)
    client.run(lambda: chat.status)
    events = watching.wait(4)  # not only when the stream ends
    for n in range(1, 4):
        client.conn.send_data(chat.number, frame(message, True))
        plain.append(client.ask("GET", "/bytes/5000"))
        client.run(lambda: plain[-1].done and chat.got == n * len(frame(message, False)))
    client.close()
    assert chat.status == 200
    assert sorted(server.asked(5)) == sorted([("CONNECT", "/chat", 200), *(s.told() for s in plain)])
    events = watching.wait(10)
    watching.stop()
    for role in "client", "server":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        assert [e["key"] for e in mine] == [1, 3, 5, 7, 9]
        event = mine.pop(1)
        assert (event["operation"], event["path"], event["status"]) == ("CONNECT", "/chat", 200)
        assert (event["end"], event["flags"]) == ("upgraded", ["upgraded"])
        assert event["authority"] == server.url[len("http://"):]
        assert [(e["request_target"], e["status"], e["end"]) for e in mine] == \
            [(s.target, 200, "complete") for s in plain]
    watching.check_sums(delivered=10)


# ---- attached in the middle ---------------------------------------------------------------------

PATHS = [f"/bytes/{n}?{i}" for i, n in enumerate([0, 5000, 0, 300000, 0, 5000, 0])]


def certain(events, said):
    """Each event is of a stream that the client knows, and each field that it tells is that stream's.
    Returns of each whether it tells all."""
    by_number = {s.number: s for s in said}
    complete = []
    for event in events:
        stream = by_number[event["key"]]
        for told, true in ((event["operation"], stream.method), (event["request_target"], stream.target),
                           (event["status"], stream.status)):
            assert told in ("", 0, true), (event, stream.told())
        whole = (event["operation"], event["request_target"], event["status"]) == stream.told()
        # What is not told is said to be missing.
        assert whole or set(event["flags"]) & {"partial", "mid_message", "gap"}
        if not set(event["flags"]) & {"partial", "mid_message", "gap"}:
            assert event["response_body_bytes"] == stream.got
        complete.append(whole)
    return complete


@pytest.mark.parametrize("name", ["nginx", "node", "go", "hypercorn"])
def test_attach(name, start, cgroup, watch):
    """Connections that were open before, busy or idle: what an event tells is so, and of requests with new
    fields all is told; what was indexed before stays unknown."""
    server = start(name)
    idle, busy = (http2_client.Client(cgroup.connect(("127.0.0.1", server.port))) for _ in range(2))
    for client in idle, busy:
        client.plan([("GET", path, None) for path in PATHS], at_once=3)
    # In the middle of an answer, and of more that stand in the socket's buffer.
    for path in PATHS:
        busy.ask("GET", path)
    watching = watch(cgroup, args=HTTP2)
    busy.run()
    asked = {}
    for client in idle, busy:
        old = client.plan([("GET", path, None) for path in PATHS], at_once=3)
        new = client.plan([("GET", f"{path}-new", None) for path in PATHS], at_once=3)
        again = client.plan([("GET", f"{path}-new", None) for path in PATHS], at_once=3)
        asked[client] = old, new, again
    last = http2_client.Client(cgroup.connect(("127.0.0.1", server.port)))
    fresh = last.plan([("GET", path, None) for path in PATHS], at_once=3)
    for client in idle, busy, last:
        client.close()
    watching.wait(2 * (len(fresh) + 2 * 3 * len(PATHS)), timeout=20)
    events = watching.stop()
    for role, port in ("server", "remote"), ("client", "local"):
        mine = collections.defaultdict(list)
        for event in events:
            if event["role"] == role:
                mine[event[port]].append(event)
        assert all(certain(mine[last.name], fresh))
        for client, (old, new, again) in asked.items():
            certain(mine[client.name], client.streams.values())
            numbers = [e["key"] for e in mine[client.name]]
            # All requests that began since are there, and those with new fields in full.
            assert len(numbers) == len(set(numbers))
            assert {s.number for s in old + new + again} <= set(numbers)
            assert all(certain([e for e in mine[client.name] if e["key"] >= new[0].number],
                               new + again))
    watching.check_sums()


# ---- HTTP/1.1 that turns into HTTP/2 ------------------------------------------------------------

def curl(url, paths):
    return ["curl", "-sS", "--http2", "-w", "%{http_code} %{http_version} %{size_download}\n",
            *(word for path in paths for word in ("-o", "/dev/null", url + path))]


def nghttp(url, paths):
    return ["nghttp", "-nsu", *(url + path for path in paths)]


# Behind the first answer this apache closes; curl 7.88 loses its way if that is long.
@pytest.mark.parametrize("name, client, first, count", [
    ("apache", curl, 5000, 1), ("hypercorn", curl, 0, 4), ("h2o", nghttp, 300000, 4),
    ("caddy", nghttp, 300000, 4)])
def test_upgrade(name, client, first, count, start, cgroup, watch):
    """The request that asks for it (RFC 7540 section 3.2) is one event: its head came by HTTP/1.1, its
    answer is stream 1 of HTTP/2. Those that follow are streams of their own."""
    if not shutil.which(client.__name__):
        pytest.skip(f"{client.__name__} is not installed")
    server = start(name)
    targets = [f"/bytes/{first}?first", "/hello", "/bytes/5000", "/status/404"][:count]
    statuses = [200, 200, 200, 404][:count]
    watching = watch(cgroup, args=HTTP2)
    done = cgroup.spawn(client(server.url, targets), stdout=subprocess.PIPE, text=True)
    output = done.communicate(timeout=20)[0]
    assert done.returncode == 0
    if client == curl:
        told = [line.split() for line in output.splitlines()]
        assert [(int(status), version) for status, version, _ in told] == [(s, "2") for s in statuses]
        sizes = [int(size) for *_, size in told]
    else:
        assert sorted(re.findall(r" (\d{3}) +\S+ (/.*)", output)) == \
            sorted((str(status), target) for status, target in zip(statuses, targets))
        sizes = [first, 6, 5000, None]
    # Apache logs the 101, too.
    logged = [line for line in server.asked(count + (name == "apache")) if line[2] != 101]
    assert sorted(logged) == sorted(zip(["GET"] * count, targets, statuses))
    events = watching.wait(2 * len(targets), timeout=20)
    watching.stop()
    for role in "client", "server":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        assert len({e["connection_id"] for e in mine}) == 1 and mine[0]["key"] == 1
        assert [(e["request_target"], e["status"]) for e in mine] == list(zip(targets, statuses))
        assert all(size in (e["response_body_bytes"], None) for size, e in zip(sizes, mine))
        assert [e["request_http_version"] for e in mine] == ["1.1"] + ["2"] * (count - 1)
        assert [e["flags"] for e in mine] == [["continued"]] + [[]] * (count - 1)
        for event in mine:
            assert (event["protocol"], event["end"]) == ("http2", "complete")
            assert event["response_http_version"] == "2"
    watching.check_sums(delivered=2 * len(targets))
    assert watching.stats["tunnel_bytes"] == 0


@pytest.mark.parametrize("name", ["h2o", "caddy"])
def test_upgrade_often(name, start, cgroup, watch):
    """Which end sends its first frame first is chance, and how far the server is when the library
    reads of it: each time all is told."""
    if not shutil.which("nghttp"):
        pytest.skip("nghttp is not installed")
    server = start(name)
    targets = ["/bytes/300000?first", "/hello", "/bytes/5000"]
    times = 200
    watching = watch(cgroup, args=HTTP2)
    for _ in range(times):
        client = cgroup.spawn(nghttp(server.url, targets), stdout=subprocess.DEVNULL)
        assert client.wait(timeout=20) == 0
    assert collections.Counter(server.asked(3 * times)) == collections.Counter(
        {("GET", target, 200): times for target in targets})
    events = watching.wait(6 * times, timeout=20)
    watching.stop()
    for role in "client", "server":
        mine = [e for e in events if e["role"] == role]
        assert collections.Counter(
            (e["request_target"], e["status"], e["end"], *e["flags"], e["response_body_bytes"])
            for e in mine) == {(targets[0], 200, "complete", "continued", 300000): times,
                               (targets[1], 200, "complete", 6): times,
                               (targets[2], 200, "complete", 5000): times}
    watching.check_sums(delivered=6 * times)
