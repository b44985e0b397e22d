# SPDX-License-Identifier: BSD-2-Clause
"""Who calls whom, and how often, against the servers' own logs and the clients' own counts."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from network import Namespace
from scene import Scene, start_cli
from watch import cli


@pytest.fixture
def scene(cgroup, tmp_path):
    if not os.path.exists("/sys/kernel/btf/vmlinux") or "APPMON_BUILD" not in os.environ:
        pytest.skip("no BTF, or APPMON_BUILD is not set")
    return Scene(cgroup, tmp_path)


def finish(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "lost" not in err, err
    return out


def edges(graph):
    names = {node["id"]: node["name"] for node in graph["nodes"]}
    return {(names[e["client"]], names[e["server"]]): e for e in graph["edges"]}


def drive(scene):
    """Returns how many requests went to each path."""
    for i in range(30):
        assert scene.get(f"/stock/{i}") == 200
        assert scene.get("/") == 200
        if i % 3 == 0:
            assert scene.get("/pay/broken") == 503
        else:
            assert scene.get("/pay/card") == 200


def test_joined_edges(scene):
    """Both ends of web -> stock and web -> pay are watched: one edge each, counted once."""
    process = start_cli("topology", *scene.targets(), "--format", "json", "--duration", "60s")
    drive(scene)
    graph = json.loads(finish(process))
    found = edges(graph)
    assert set(found) == {("(clients)", "web"), ("web", "stock"), ("web", "pay")}
    for (_, server), count in {(0, "web"): 90, (0, "stock"): 30, (0, "pay"): 30}.items():
        app = next(a for a in scene.apps if a.name == server)
        edge = next(e for (_, name), e in found.items() if name == server)
        assert edge["requests"] == count == sum(app.statuses(count).values())
        assert edge["errors"] == app.statuses(count)[503]
        # The server's own clock has milliseconds, and stops before the last byte arrives.
        assert edge["max_ns"] >= 1e6 * (1000 * max(l["time"] for l in app.log.lines(count)) - 2)
    assert all(node["monitored"] == (node["name"] != "(clients)") for node in graph["nodes"])


def addresses(graph):
    return {node["name"]: node.get("address") for node in graph["nodes"]}


def test_only_the_client_is_watched(scene):
    """Who listens on this machine has the name of its cgroup; a target that of the user."""
    process = start_cli("topology", "--cgroup", scene.web.cgroup.path, "--format", "json")
    drive(scene)
    graph = json.loads(finish(process))
    stock, pay = (f"{app.name}:{app.port}" for app in (scene.stock, scene.pay))
    found = edges(graph)
    assert set(found) == {("(clients)", "web"), ("web", stock), ("web", pay)}
    assert found["web", stock]["requests"] == 30
    assert found["web", pay]["errors"] == 10
    assert addresses(graph) == {"(clients)": None, "web": None,
                                stock: f"127.0.0.1:{scene.stock.port}",
                                pay: f"127.0.0.1:{scene.pay.port}"}


def exchange(listener, address, cgroup):
    """A request from a process of the cgroup, in the present network namespace."""
    with cgroup.inside():
        client = socket.create_connection(address, timeout=10)
    server, _ = listener.accept()
    Pods.exchange(client, server, 1)
    client.close()
    server.close()


ASKED = [("API.example.com:8080", "/a"), ("api.example.com", "/b")]
PROXIED = [("one.example.com", "/"), ("two.example.com", "/")]
FORWARDED = [("one.example.com", "http://one.example.com/"), ("127.0.0.1", "/")]


@pytest.fixture
def elsewhere(cgroup, watch):
    """ask(requests, cgroup): sends requests, each a host and a target, from a process of the cgroup to
    a server in another network namespace. Returns its address."""
    namespace, listeners = Namespace(), []

    def ask(requests, cgroup):
        with namespace.inside():
            listener = socket.create_server(("127.0.0.1", 0))
            listeners.append(listener)
            with cgroup.inside():
                client = socket.create_connection(listener.getsockname(), timeout=10)
        server, _ = listener.accept()
        with client, server:
            for host, target in requests:
                client.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert server.recv(4096)
                server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                assert client.recv(4096)
        return "%s:%d" % listener.getsockname()
    yield ask
    for listener in listeners:
        listener.close()
    namespace.close()


def test_names_by_clients(cgroup, elsewhere):
    """A server elsewhere is called as its clients call it, unless by several names; a proxy has not the
    name of whom it asks."""
    shop = cgroup.child("shop")
    process = start_cli("topology", "--cgroup", shop.path, "--format", "json")
    asked, proxied, forwarded = (elsewhere(requests, shop)
                                 for requests in (ASKED, PROXIED, FORWARDED))
    found = edges(json.loads(finish(process)))
    assert {server: edge["requests"] for (_, server), edge in found.items()} == {
        "api.example.com:" + asked.rpartition(":")[2]: 2, proxied: 2, forwarded: 2}


def test_names_of_listeners(cgroup, watch):
    """Those of all addresses, too, one node for all of them. In another network namespace the same
    address is somebody else's, who has the name that the client uses: h."""
    shop, db, cache, other = (cgroup.child(name) for name in ("shop", "db", "cache", "other"))
    with db.inside():
        any4 = socket.create_server(("0.0.0.0", 0))
        shared = socket.create_server(("127.0.0.1", 0))
    with cache.inside():
        any6 = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        mapped = socket.create_server(("::ffff:127.0.0.1", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    namespace = Namespace()
    try:
        port4, port6, port46, port = (s.getsockname()[1] for s in (any4, any6, mapped, shared))
        with namespace.inside(), other.inside():
            theirs = socket.create_server(("127.0.0.1", port))
        process = start_cli("topology", "--cgroup", shop.path, "--format", "json")
        exchange(any4, ("127.0.0.1", port4), shop)
        exchange(any6, ("127.0.0.1", port6), shop)
        exchange(any6, ("::1", port6), shop)
        exchange(mapped, ("127.0.0.1", port46), shop)
        with namespace.inside():
            exchange(theirs, ("127.0.0.1", port), shop)
        found = edges(json.loads(finish(process)))
        assert {names: edge["requests"] for names, edge in found.items()} == {
            ("shop", f"db:{port4}"): 1, ("shop", f"cache:{port6}"): 2,
            ("shop", f"cache:{port46}"): 1, ("shop", f"h:{port}"): 1}
    finally:
        namespace.close()
        for listener in any4, any6, mapped, shared:
            listener.close()


def settled(log, count):
    """How many lines it has when no more come: nginx may log late what was hung up on."""
    before = None
    while before != count:
        before, count = count, len(log.lines(count))
        time.sleep(0.5)
    return count


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_counts_under_load(scene):
    """What wrk counted, what nginx logged and what the edges say is the same number."""
    process = start_cli("topology", *scene.targets(), "--format", "json", "--duration", "60s")
    wrk = subprocess.run(["wrk", "-t", "1", "-c", "8", "-d", "2",
                          f"http://127.0.0.1:{scene.web.port}/stock/7"],
                         stdout=subprocess.PIPE, text=True, check=True)
    assert "Socket errors" not in wrk.stdout, wrk.stdout
    completed = int(re.search(r"(\d+) requests in", wrk.stdout).group(1))
    web, stock = (settled(server.log, completed) for server in (scene.web, scene.stock))
    found = edges(json.loads(finish(process)))
    assert found["web", "stock"]["requests"] == stock
    # At the end wrk hangs up on what it asked for last: one request a connection.
    assert completed <= found["(clients)", "web"]["requests"] <= completed + 8
    assert found["(clients)", "web"]["requests"] == web


def test_formats(scene, tmp_path):
    recording = tmp_path / "recording"
    page = tmp_path / "page.html"
    process = start_cli("watch", *scene.targets(), "--record", str(recording), "--quiet")
    drive(scene)
    finish(process)

    def show(*args):
        return subprocess.run([cli(), "topology", "--replay", str(recording), *args], check=True,
                              stdout=subprocess.PIPE, text=True, timeout=30,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout
    lines = show().splitlines()
    assert lines[0] == "(clients)"
    assert re.match(r"└─ web  [\d.]+ req/s, 11.11% errors, p50 \S+, p95 \S+$", lines[1])
    assert {re.sub(" .*", "", line.strip("│├└─ ")) for line in lines[2:]} == {"stock", "pay"}
    assert edges(json.loads(show("--format", "json")))["web", "pay"]["errors"] == 10
    dot = show("--format", "dot")
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg", "-o", os.devnull], input=dot, text=True, check=True)
    assert dot.count("->") == 3
    assert show("--html", str(page)) == ""
    text = page.read_text()
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    assert len(json.loads(data.group(1))["edges"]) == 3
    # Nothing is loaded from elsewhere.
    assert not re.search(r'(src|href)=|url\((?!#)|@import', text.replace("url(#", ""))
    in_browser(page)


def in_browser(page):
    """The page's own script has drawn every box and edge, and reported no error."""
    browser = shutil.which("chromium")
    if not browser:
        return
    out = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu",
                          f"--user-data-dir={page}.profile", "--virtual-time-budget=2000",
                          "--dump-dom", f"file://{page}"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, timeout=60).stdout
    assert out.count('class="edge') == 3
    assert out.count('<g class="node') == 4
    assert out.count("<tr>") == 4
    assert "web" in out and "req" in out.lower()


def test_wrong_usage(tmp_path):
    if "APPMON_BUILD" not in os.environ:
        pytest.skip("APPMON_BUILD is not set")
    for args in (["--format", "png"], [], ["--cgroup", "/x", "--duration", "soon"]):
        bad = subprocess.run([cli(), "topology", *args], stderr=subprocess.PIPE, text=True)
        assert bad.returncode == 2 and bad.stderr
    missing = subprocess.run([cli(), "topology", "--replay", str(tmp_path / "none")],
                             stderr=subprocess.PIPE, text=True)
    assert missing.returncode == 1 and "none" in missing.stderr


NAT = """
table {family} n {{
    chain p {{
        type nat hook prerouting priority -100
        {family} daddr {service} tcp dport 80 dnat to {to}
    }}
    chain q {{
        type nat hook postrouting priority 100
        {source}
    }}
}}
"""


SO_COOKIE = 57


def cookie(sock):
    return struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]


class Pods:
    """Two pods, and a node between them that translates a service's address, as kube-proxy does."""

    def __init__(self, cgroup, source):
        self.client, self.node, self.server = Namespace(), Namespace(), Namespace()
        self.shop, self.web = cgroup.child("shop"), cgroup.child("web")
        for pod, n in (self.client, 1), (self.server, 2):
            with self.node.inside():
                self.node.ip(f"link add p{n} type veth peer name eth0 netns {pod.path}")
            self.node.ip(f"addr add 10.97.{n}.1/24 dev p{n}")
            self.node.ip(f"link set p{n} up")
            pod.ip(f"addr add 10.97.{n}.2/24 dev eth0")
            pod.ip("link set eth0 up")
            pod.ip(f"route add default via 10.97.{n}.1")
        self.node.sysctl("net.ipv4.ip_forward", 1)
        with self.node.inside():
            subprocess.run(["nft", "-f", "-"], text=True, check=True, input=NAT.format(
                family="ip", service="10.96.0.10", to="10.97.2.2:21077", source=source))
        with self.server.inside(), self.web.inside():
            self.listener = socket.create_server(("10.97.2.2", 21077))

    def connect(self):
        with self.client.inside(), self.shop.inside():
            client = socket.create_connection(("10.96.0.10", 80), timeout=10)
        server, self.seen = self.listener.accept()
        return client, server

    @staticmethod
    def exchange(client, server, count):
        for _ in range(count):
            client.sendall(b"GET /item HTTP/1.1\r\nHost: h\r\n\r\n")
            assert server.recv(4096)
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            assert client.recv(4096)

    def close(self):
        self.listener.close()
        for namespace in self.client, self.node, self.server:
            namespace.close()


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
@pytest.mark.parametrize("source", ["", "ip daddr 10.97.2.2 masquerade",
                                    "tcp dport 21077 snat to 10.97.2.1:1024-1063"])
def test_translated_addresses(cgroup, watch, source):
    """Both ends join although they know each other by other addresses: connections from their
    first byte and one that was open before, several with the same requests at once."""
    pods = Pods(cgroup, source)
    try:
        old = pods.connect()
        assert (pods.seen[0] == "10.97.1.2") == (not source)
        pods.exchange(*old, 3)
        process = start_cli("topology", "--cgroup", pods.shop.path, "--cgroup", pods.web.path,
                            "--format", "json", "--duration", "60s")
        pods.exchange(*old, 5)
        fresh = [pods.connect() for _ in range(10)]
        for client, _ in fresh:
            client.sendall(b"GET /same HTTP/1.1\r\nHost: h\r\n\r\n")
        for _, server in fresh:
            assert server.recv(4096)
            server.sendall(b"HTTP/1.1 204 N\r\n\r\n")
        for client, server in fresh:
            assert client.recv(4096)
            pods.exchange(client, server, 2)
        found = edges(json.loads(finish(process)))
        assert {names: edge["requests"] for names, edge in found.items()} == {("shop", "web"): 35}
        for client, server in [old, *fresh]:
            client.close()
            server.close()
    finally:
        pods.close()


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
@pytest.mark.parametrize("source", ["", "ip daddr 10.97.2.2 masquerade"])
def test_peers_of_translated_addresses(cgroup, watch, source):
    """Links as well: each of the server's requests is for that of the client, by socket cookies."""
    pods = Pods(cgroup, source)
    try:
        monitor = watch(pods.shop, pods.web, args=["--links"])
        pairs = [pods.connect() for _ in range(4)]
        for client, server in pairs:
            pods.exchange(client, server, 3)
        events = monitor.wait(24)
        monitor.stop()
        cookies = {cookie(server): cookie(client) for client, server in pairs}
        served = [event for event in events if event["role"] == "server"]
        assert len(served) == 12
        for event in served:
            assert event["link"]["evidence"] == "peer"
            assert event["link"]["connection_id"] == cookies[event["connection_id"]]
        ids = [event["wire_id"] for event in served]
        assert len(set(ids)) == 12
        assert sorted(ids) == sorted(e["wire_id"] for e in events if e["role"] == "client")
    finally:
        pods.close()
