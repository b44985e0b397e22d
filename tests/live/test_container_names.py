# SPDX-License-Identifier: BSD-2-Clause
"""Names of containers in the commands that have no configuration: as docker, which a stub plays, or
Kubernetes calls them; requests by their paths."""
import collections
import json
import shutil
import subprocess
import urllib.parse

import pytest

from scene import start_cli
from test_agent import serve
from test_console import console  # noqa: F401: a fixture
from test_docker import COMPOSE, node, stub  # noqa: F401: fixtures
from kubernetes import NODE, make_pod
from test_kubernetes import pod_path, stub as api  # noqa: F401: a fixture
from test_top import Terminal
from test_topology import edges, finish
from watch import Watch, cli


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


class Machine:
    """Two services of docker compose, a container of its own and a cgroup without."""

    def __init__(self, stub, node):
        self.stub, self.node, self.groups = stub, node, {}
        self.top = node.make(["machine"])
        self.container("shop-web-1", COMPOSE)
        self.container("shop-web-2", COMPOSE)
        self.container("db", {"tier": "\x1b[7mback"})
        self.groups["plain"] = node.make(["plain"], self.top)

    def container(self, name, labels):
        id_ = self.stub.create(name, labels)
        self.groups[name] = self.node.make([f"docker-{id_}.scope"], self.top)

    def serve(self):
        for count, name in enumerate(sorted(self.groups), 1):
            serve(self.groups[name], target=f"/{name}", status=503, count=count)

    @property
    def expected(self):
        """Requests by the name of their application."""
        names = {"shop-web-1": "shop/web", "shop-web-2": "shop/web", "plain": self.top.name}
        counts = collections.Counter()
        for count, name in enumerate(sorted(self.groups), 1):
            counts[names.get(name, name)] += count
        return counts


@pytest.fixture
def machine(stub, node, monkeypatch):  # noqa: F811
    monkeypatch.setenv("DOCKER_HOST", f"unix://{stub.path}")
    return Machine(stub, node)


def test_watch(machine):
    """Containers have their own names in a target without one, also those that are made later; the
    user's name of a target is the name."""
    with Watch(machine.top) as monitor:
        machine.container("later", {})
        machine.serve()
        events = monitor.stop()
    assert collections.Counter(event["app"] for event in events) == machine.expected
    with Watch(machine.top, args=["--name", "all"]) as monitor:
        machine.serve()
        assert {event["app"] for event in monitor.stop()} == {"all"}


def test_topology(machine):
    process = start_cli("topology", "--cgroup", machine.top.path, "--format", "json",
                        "--duration", "60s")
    machine.serve()
    found = edges(json.loads(finish(process)))
    assert {server: edge["requests"] for (_, server), edge in found.items()} == machine.expected


def test_top(machine, tmp_path):
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    top = Terminal(tmp_path, [cli(), "top", "--cgroup", machine.top.path, "--interval", "200ms"],
                   columns=120, lines=60)
    try:
        top.until("no request so far")
        machine.serve()
        screen = top.until("shop/web")
        assert "db" in screen and machine.top.name in screen and "docker-" not in screen
        top.keys("/")
        top.keys("shop")
        top.keys("Enter")
        top.keys("Enter")
        top.keys("2")
        screen = top.until("shop-web-1")
        assert "shop-web-2" in screen
        top.keys("5")
        top.until("/shop-web-2")
        top.keys("Enter")
        top.until("^Container shop-web-2$\n(  .*\n)*  com.docker.compose.service +web$")
    finally:
        top.close()


def test_console(machine, console):  # noqa: F811
    """Applications and their instances; of a stranger's socket nothing is said where it is gone."""
    monitor = console("--cgroup", machine.top.path)
    machine.serve()
    for name, count in machine.expected.items():
        monitor.wait_requests(name, "server", count)
    found = monitor.get("application", name="shop/web", role="server", range=3600)
    assert {i["label"] for i in found["instances"]} == {"shop-web-1", "shop-web-2"}
    monitor.stop()


def test_whole_machine(machine, console):  # noqa: F811
    """Without a target, too."""
    monitor = console()
    machine.serve()
    monitor.wait_requests("shop/web", "server", machine.expected["shop/web"])
    monitor.stop()


def test_kubernetes(api, node, tmp_path, monkeypatch):  # noqa: F811
    """In a pod with a service account, whose files are where the kubelet puts them."""
    account = tmp_path / "account"
    account.mkdir()
    shutil.copy(api.token_file, account / "token")
    shutil.copy(api.ca_file, account / "ca.crt")
    url = urllib.parse.urlsplit(api.url)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", url.hostname)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(url.port))
    monkeypatch.setenv("NODE_NAME", NODE)
    uid = api.create(make_pod("web-7d4b9-x", {"pod-template-hash": "7d4b9"},
                              owner=("ReplicaSet", "web-7d4b9")))
    pods = node.make(["pods"])
    inner = node.make(pod_path(uid, "systemd"), pods)
    place = "/run/secrets/kubernetes.io/serviceaccount"
    script = f'mount -t tmpfs none /run && mkdir -p {place} && cp "$0"/* {place} && exec "$@"'
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script, account, cli(), "watch",
                                "--json", "--count", "1", "--cgroup", pods.path],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    assert line.startswith("appmon: watching"), line
    serve(inner)
    out, _ = process.communicate(timeout=20)
    assert json.loads(out.splitlines()[0])["app"] == "shop/web"
