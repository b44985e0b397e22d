# SPDX-License-Identifier: BSD-2-Clause
"""appmon agent and Kubernetes: what pods are called, as they come, change and go. Against a real
kube-apiserver, and against a stub written from the API's documentation, which can also fail at will;
the cgroups are laid out as the kubelet and the runtimes do it, the kubelet itself is played."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid

import pytest
import yaml

from cgroups import Cgroup
from exporting import Monitor, wait_for
from kubernetes import (EXAMPLE, NODE, PLACES, Real, Stub, build_kubernetes, id_of,
                        make_certificates, make_pod, make_service, make_slice)
from test_agent import Served, requests, serve
from watch import cli
from wire import Connection


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


@pytest.fixture
def stub(tmp_path):
    (tmp_path / "api").mkdir()
    server = Stub(tmp_path / "api")
    yield server
    server.close()
    assert not server.mistakes


@pytest.fixture(scope="module")
def real(programs, tmp_path_factory):
    server = Real(tmp_path_factory.mktemp("real"), build_kubernetes(programs.directory,
                                                                      "kube-apiserver"))
    yield server
    server.close()


@pytest.fixture(params=["stub", "real"])
def api(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def agent(request, tmp_path):
    """agent(api, rules, ...): a running agent; rules is YAML for applications:."""
    def start(api, rules, wait="60s", ca_file=None):
        path = tmp_path / "agent.yaml"
        path.write_text(
            f"listen: 127.0.0.1:0\nwait: {wait}\nkubernetes:\n  api: {api.url}\n"
            f"  token_file: {api.token_file}\n  node: {NODE}\n" +
            (f"  ca_file: {ca_file or api.ca_file}\n" if api.ca_file else "") +
            f"applications:\n{rules}")
        monitor = Monitor("agent", "-c", path)
        request.addfinalizer(monitor.kill)
        return monitor
    return start


def known(monitor, count=1):
    return monitor.wait_line(r"appmon: Kubernetes: \d+ pod\(s\) of node", 20, count)


def pod_path(uid, layout):
    """The parts of a pod's cgroup."""
    systemd = uid.replace("-", "_")
    return {
        "systemd": ["kubepods.slice", "kubepods-burstable.slice",
                    f"kubepods-burstable-pod{systemd}.slice"],
        "guaranteed": ["kubepods.slice", f"kubepods-pod{systemd}.slice"],
        "kind": ["kubelet.slice", "kubelet-kubepods.slice", "kubelet-kubepods-besteffort.slice",
                 f"kubelet-kubepods-besteffort-pod{systemd}.slice"],
        "cgroupfs": ["kubepods", "besteffort", f"pod{uid}"],
        # containerd with cgroupfs, the kubelet with systemd: not below the pod's.
        "mixed": ["system.slice", "containerd.service"],
    }[layout]


def container_name(uid, id_, layout, runtime):
    if layout == "mixed":
        return f"kubepods-burstable-pod{uid.replace('-', '_')}.slice:cri-containerd:{id_}"
    if layout == "cgroupfs":
        return {"crio": f"crio-{id_}"}.get(runtime, id_)
    return f"{runtime}-{id_}.scope"


class Node:
    """Makes and removes the cgroups of pods."""

    def __init__(self, cgroup):
        self.cgroup = cgroup
        self._stack = contextlib.ExitStack()

    def make(self, parts, parent=None):
        """The cgroup with this path; those above it are made if they are not there."""
        group = parent or self.cgroup
        for part in parts:
            path = os.path.join(group.path, part)
            if os.path.exists(path):
                below = Cgroup.__new__(Cgroup)
                below.path, below.name = path, part
                group = below
            else:
                group = self._stack.enter_context(Cgroup(group, part))
        return group

    def pod(self, uid, layout="systemd"):
        return self.make(pod_path(uid, layout))

    def container(self, pod, uid, id_, layout="systemd", runtime="cri-containerd"):
        return self.make([container_name(uid, id_, layout, runtime)], pod)

    def close(self):
        self._stack.close()


def watched(group):
    """Waits until the cgroup, or the one above it, is watched: by its programs, as the agent says
    so only when it knows a name."""
    def attached(path):
        done = subprocess.run(["bpftool", "cgroup", "list", path], stdout=subprocess.PIPE,
                              text=True)
        return "appmon_" in done.stdout

    wait_for(lambda: attached(group.path) or attached(os.path.dirname(group.path)), 20)
    return group


@pytest.fixture
def node(cgroup):
    fresh = Node(cgroup)
    yield fresh
    fresh.close()


VENDOR = """
  - label: {armseBPFAutoEnable: "on", armseBPFCreateAppName: "*"}
    name: "{label:armseBPFCreateAppName}"
  - label: {app.kubernetes.io/name: "*"}
    name: "{namespace}/{label:app.kubernetes.io/name}"
"""


@pytest.mark.parametrize("layout, runtime", [
    ("systemd", "cri-containerd"), ("guaranteed", "crio"), ("kind", "cri-containerd"),
    ("cgroupfs", ""), ("cgroupfs", "crio"), ("mixed", "cri-containerd"), ("systemd", "docker")])
def test_layouts(stub, agent, node, layout, runtime):
    """A pod has its name in every layout of cgroups, once, whichever cgroup below it its processes
    are in."""
    pod = make_pod("a", {"armseBPFAutoEnable": "on", "armseBPFCreateAppName": "books"})
    uid = stub.create(pod)
    monitor = agent(stub, VENDOR)
    known(monitor)
    group = node.container(node.pod(uid, layout), uid, id_of("a"), layout, runtime)
    monitor.wait_line(": books$")
    serve(group)
    serve(node.make(["init.scope"], group), count=2)
    wait_for(lambda: requests(monitor) == {"books": 3})
    assert len(monitor.find("appmon: watching /")) == 1
    monitor.stop()


def test_names(api, agent, node):
    """Everything that a name can have, of pods that were there before and that come later."""
    rules = """
  - label: {app: "no"}
    ignore: true
  - annotation: {team: "b*"}
    namespace: sh*
    name: "{annotation:team}"
  - label: {each: container}
    name: "{namespace} {pod} {pod_uid} {workload} {container} {container_id} {label:each}"
  - namespace: shop
    name: "{workload}"
"""
    there = make_pod("there", {"app": "a"})
    pods = [
        there, make_pod("ignored", {"app": "no"}), make_pod("annotated", {}, {"team": "blue"}),
        make_pod("web-5d4f8c7b9-x2x4z", {"pod-template-hash": "5d4f8c7b9"},
                 owner=("ReplicaSet", "web-5d4f8c7b9")),
        make_pod("db-0", owner=("StatefulSet", "db")),
        make_pod("log-abcde", owner=("DaemonSet", "log")),
        make_pod("once-xyzzy", owner=("Job", "once")),
        make_pod("nightly-29012345-xyzzy", owner=("Job", "nightly-29012345"))]
    names = ["there", None, "blue", "web", "db", "log", "once", "nightly"]
    uids = [api.create(there)]
    monitor = agent(api, rules)
    known(monitor)
    uids += [api.create(pod) for pod in pods[1:]]
    groups = [node.container(node.pod(uid), uid, id_of(uid)) for uid in uids]
    for name in names:
        if name:
            monitor.wait_line(f"appmon: watching /.*: {name}$")
    for count, group in enumerate(groups):
        serve(group, count=count + 1)
    wanted = {name: i + 1 for i, name in enumerate(names) if name}
    wait_for(lambda: requests(monitor) == wanted)
    # Of two containers, whose ids the kubelet says when they run.
    pod = make_pod("two", {"each": "container"}, containers=("web", "proxy"))
    uid = api.create(pod)
    ids = {name: id_of(uid + name) for name in ("web", "proxy")}
    groups = [node.container(node.pod(uid), uid, ids[name]) for name in ids]
    for group in groups:
        serve(watched(group))
    api.started(pod, **ids)
    for name, id_ in ids.items():
        wanted[f"shop two {uid} two {name} {id_[:12]} container"] = 2
    for group in groups:
        serve(group)
    wait_for(lambda: requests(monitor) == wanted)
    for pod in [*pods, pod]:
        api.delete(pod)
    monitor.stop()


def test_changes(api, agent, node):
    """Labels change, come and go while requests are in progress: each has the name that its pod had
    when it ended, none is lost."""
    pod = make_pod("changing", {"app.kubernetes.io/name": "one"})
    uid = api.create(pod)
    monitor = agent(api, VENDOR)
    known(monitor)
    group = node.container(node.pod(uid), uid, id_of(uid))
    monitor.wait_line(": shop/one$")
    listener = group.listener()
    with Connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            sent = client.send("GET", "/slow")
            assert server.recv(4096)
            api.label(pod, **{"app.kubernetes.io/name": "two"})
            monitor.wait_line("appmon: watching .*: shop/two$")
            server.sendall(b"HTTP/1.1 200 R\r\nContent-Length: 2\r\n\r\nok")
            client.receive(sent)
    wait_for(lambda: requests(monitor) == {"shop/two": 1})
    api.label(pod, armseBPFAutoEnable="on", armseBPFCreateAppName="books")
    monitor.wait_line("appmon: watching .*: books$")
    serve(group)
    wait_for(lambda: requests(monitor) == {"shop/two": 1, "books": 1})
    api.label(pod, armseBPFAutoEnable=None, **{"app.kubernetes.io/name": None})
    monitor.wait_line("no longer watching .*: books$")
    serve(group)
    api.label(pod, armseBPFAutoEnable="on")
    monitor.wait_line("appmon: watching .*: books$", count=2)
    serve(group)
    wait_for(lambda: requests(monitor) == {"shop/two": 1, "books": 2})
    api.delete(pod)
    monitor.stop()


def test_late(stub, agent, node, cgroup):
    """A pod that has served requests, and is gone again, before the API server tells of it: they are
    counted all the same, and those of a pod that no rule wants are not."""
    uids = {name: str(uuid.uuid4()) for name in ("stays", "goes", "unwanted")}
    monitor = agent(stub, VENDOR)
    known(monitor)
    gone = Node(cgroup)
    for count, name in enumerate(uids):
        where = gone if name == "goes" else node
        group = where.container(where.pod(uids[name]), uids[name], id_of(name))
        held = sum(range(1, count + 1))
        # Watched from its first request on, though no one has said so.
        listener = Served(watched(group))
        listener.exchange(count=count + 1)
        listener.listener.close()
        wait_for(lambda: monitor.counted("appmon_names_events_held")[()]
                 == held + count + 1)
    assert not requests(monitor) and not monitor.find("appmon: watching /")
    gone.close()
    for name, uid in uids.items():
        stub.create(make_pod(name, {} if name == "unwanted"
                             else {"app.kubernetes.io/name": name}), uid)
    wait_for(lambda: requests(monitor) == {"shop/stays": 1, "shop/goes": 2})
    assert monitor.counted("appmon_names_events_held") == {(): 0}
    monitor.stop()


def test_never_known(stub, agent, node):
    """A pod that the API server never tells of is decided about by what is known, after the wait."""
    monitor = agent(stub, VENDOR + '  - cgroup: "/**/cri-containerd-*.scope"\n'
                    '    name: "{container_id}"\n', wait="300ms")
    known(monitor)
    uid, id_ = "8c52fb9d-0a0c-4e4b-bea2-8da0ed0870c5", id_of("x")
    group = node.container(node.pod(uid), uid, id_)
    monitor.wait_line(f"appmon: watching .*: {id_[:12]}$")
    serve(group)
    wait_for(lambda: requests(monitor) == {id_[:12]: 1})
    monitor.stop()


def test_static_pod(stub, agent, node):
    """A pod that a file on the node describes: its cgroup has another uid than its mirror."""
    hash_ = "c4ca4238a0b923820dcc509a6f75849b"
    stub.create(make_pod(f"etcd-{NODE}", {"app.kubernetes.io/name": "etcd"},
                         {"kubernetes.io/config.mirror": hash_}, owner=("Node", NODE)))
    monitor = agent(stub, '  - namespace: shop\n    name: "{workload}"\n')
    known(monitor)
    serve(watched(node.container(node.pod(hash_), hash_, id_of("x"))))
    wait_for(lambda: requests(monitor) == {"etcd": 1})
    monitor.stop()


# ---- Services


class Callers:
    """A pod that the agent watches, and calls servers that it does not."""

    def __init__(self, api, monitor, node, name="caller"):
        self.monitor, self._calls = monitor, {}
        uid = api.create(make_pod(name, {"app.kubernetes.io/name": name}))
        self._group = watched(node.container(node.pod(uid), uid, id_of(uid)))
        monitor.wait_line(f"appmon: watching .*: shop/{name}$")

    def call(self, listener, count=1):
        address = listener.getsockname()
        with Connection(address, self._group.connect(address)) as client:
            server, _ = listener.accept()
            with server:
                for _ in range(count):
                    sent = client.send("GET", "/")
                    assert server.recv(4096)
                    server.sendall(b"HTTP/1.1 200 R\r\nContent-Length: 2\r\n\r\nok")
                    client.receive(sent)
        self._calls[address] = self._calls.get(address, 0) + count

    def has(self, names):
        """Waits until each call is on the map once, at the address with the name that names has for
        it; a server without a name is its address."""
        def node_of(address):
            if names.get(address):
                return (names[address], address[0], str(address[1]), "virtual_node")
            return (f"{address[0]}:{address[1]}", "", "", "virtual_node")

        expected = {node_of(address): count for address, count in self._calls.items()}
        wait_for(lambda: self.monitor.counted(
            "traces_service_graph_request_total", "server", "server_address", "server_port",
            "connection_type") == expected, 20, f"{expected}")


@pytest.fixture
def listeners():
    """Servers that no cgroup of the test has, at three addresses."""
    with contextlib.ExitStack() as stack:
        made = []
        for n in range(3):
            made.append(stack.enter_context(socket.create_server((f"127.0.10.{n + 1}", 0))))
            made[-1].settimeout(10)
        yield made


def test_services(stub, agent, node, listeners):
    """ClusterIPs and endpoints have their Service's name on the map, whether they were there before
    the agent or come later; other addresses, and other ports, stay addresses. A Service that goes
    keeps its name for what was asked of it; an endpoint that moves is named at its new place."""
    cluster, pod, other = listeners
    places = [listener.getsockname() for listener in listeners]
    service = make_service("web", places[0][0], places[0][1])
    stub.create(service)
    monitor = agent(stub, VENDOR)
    known(monitor)
    callers = Callers(stub, monitor, node)
    for count, listener in enumerate(listeners):
        callers.call(listener, count + 1)
    callers.has({places[0]: "shop/web"})
    # Of the other's address another port only.
    stub.create(make_slice("books", [places[1][0]], places[1][1]))
    stub.create(make_service("near", places[2][0], places[2][1] ^ 1))
    callers.has({places[0]: "shop/web", places[1]: "shop/books"})
    callers.call(pod)
    # The pod moves, and one of another Service gets its address.
    stub.replace(make_slice("books", [places[2][0]], places[2][1]))
    stub.create(make_slice("zoo", [places[1][0]], places[1][1]))
    callers.has({places[0]: "shop/web", places[1]: "shop/zoo", places[2]: "shop/books"})
    stub.delete(service)
    wait_for(lambda: monitor.counted("appmon_names_addresses") == {(): 3})
    callers.call(cluster)
    callers.call(other)
    callers.has({places[0]: "shop/web", places[1]: "shop/zoo", places[2]: "shop/books"})
    assert monitor.counted("appmon_names_addresses_refused_total") == {(): 0}
    monitor.stop()


@pytest.mark.parametrize("as_event", (False, True))
def test_services_gone(stub, agent, node, listeners, as_event):
    """410 Gone: Services and slices are listed again, and what went meanwhile is no longer known."""
    places = [listener.getsockname() for listener in listeners]
    services = [make_service(f"s{n}", *places[n]) for n in range(3)]
    stub.gone_as_event = as_event
    stub.create(services[0])
    stub.create(make_slice("old", [], places[2][1]))
    monitor = agent(stub, VENDOR)
    known(monitor)
    callers = Callers(stub, monitor, node)
    for listener in listeners:
        callers.call(listener)
    callers.has({places[0]: "shop/s0"})
    wait_for(lambda: {kind for kind, what, _, status in stub.others if what == "watch"}
             == {"Service", "EndpointSlice"})
    stub.bookmarks = False
    with stub._changed:
        stub.delete(services[0])
        stub.create(make_service("next", *places[0]))
        stub.create(services[1])
        stub.replace(make_slice("old", [places[2][0]], places[2][1]))
        stub.compact()
    callers.has({places[0]: "shop/next", places[1]: "shop/s1", places[2]: "shop/old"})
    assert monitor.counted("appmon_names_addresses") == {(): 3}
    for kind in "Service", "EndpointSlice":
        assert [request for request in stub.others if request[:2] == (kind, "list")] == [
            (kind, "list", "0", 200), (kind, "list", "", 200)]
    monitor.stop()


def test_services_churn(stub, agent, node, listeners):
    """Endpoints that move between Services, and watches that end: the map has the last state, and
    each call once."""
    monitor = agent(stub, VENDOR)
    known(monitor)
    callers = Callers(stub, monitor, node)
    places = [listener.getsockname() for listener in listeners]
    for n in range(10):
        slices = [make_slice(f"turn-{n}-{i}", [address], port)
                  for i, (address, port) in enumerate(places)]
        for slice_, listener in zip(slices, listeners):
            stub.create(slice_)
            callers.call(listener)
        if n % 3 == 2:
            stub.end_watches()
        callers.has({place: f"shop/turn-{n}-{i}" for i, place in enumerate(places)})
        for slice_ in slices:
            stub.delete(slice_)
        wait_for(lambda: monitor.counted("appmon_names_addresses") == {(): 0}, 20)
    monitor.stop()


def test_services_forbidden(stub, agent, node):
    """A service account that may not read Services, as that of an older manifest: told once for each
    kind; pods have their names all the same."""
    stub.forbidden = {"Service", "EndpointSlice"}
    monitor = agent(stub, VENDOR)
    known(monitor)
    for kind in "services", "endpointslices":
        monitor.wait_line(f"Kubernetes' {kind}: it answered 403: the service account may not list "
                          f"and watch {kind}")
    uid = stub.create(make_pod("a", {"app.kubernetes.io/name": "a"}))
    node.pod(uid)
    monitor.wait_line(": shop/a$")
    assert monitor.counted("appmon_names_up") == {(): 0}
    stub.forbidden = set()
    wait_for(lambda: monitor.counted("appmon_names_up") == {(): 1}, 40)
    assert len(monitor.find("answered 403")) == 2
    monitor.stop()


# ---- The API server is not there, or not as it should be


def test_absent(tmp_path, agent, node):
    """The agent watches what needs no names while there is no API server, and says so once; names
    come when it comes."""
    (tmp_path / "api").mkdir()
    server = Stub(tmp_path / "api", tls=False)
    port = server.port
    uid = server.create(make_pod("a", {"app.kubernetes.io/name": "a"}))
    pods = server._pods
    server.close()
    monitor = agent(server, VENDOR + '  - cgroup: "/**/plain"\n    name: plain\n')
    monitor.wait_line("Kubernetes' API server at http://127.0.0.1:.*; new names come")
    serve(watched(node.make(["plain"])))
    wait_for(lambda: requests(monitor) == {"plain": 1})
    group = node.container(node.pod(uid), uid, id_of("a"))
    serve(watched(group), count=2)
    wait_for(lambda: monitor.counted("appmon_names_failures_total")[()] > 1, 20)
    assert monitor.counted("appmon_names_up") == {(): 0}
    server = Stub(tmp_path / "api", tls=False, port=port)
    server._pods = pods
    wait_for(lambda: requests(monitor) == {"plain": 1, "shop/a": 2}, 40)
    assert len(monitor.find("API server at")) == 2  # not there, there again
    wait_for(lambda: monitor.counted("appmon_names_up") == {(): 1}, 40)
    assert monitor.counted("appmon_names_pods") == {(): 1}
    server.close()
    monitor.stop()


def test_token_is_replaced(api, agent, node):
    """A token that is no longer taken is told once; the next one is read from the same file."""
    if isinstance(api, Stub):
        api.tokens = {"second"}
    else:
        api.token_file.write_text("not.a.token\n")
    monitor = agent(api, VENDOR)
    monitor.wait_line("it answered 401: it does not take the token")
    if isinstance(api, Stub):
        api.token_file.write_text("second\n")
    else:
        api.rotate()
    known(monitor)
    pod = make_pod("token", {"app.kubernetes.io/name": "token"})
    uid = api.create(pod)
    node.pod(uid)
    monitor.wait_line(": shop/token$")
    api.delete(pod)
    monitor.stop()
    assert not any("second" in line or "first" in line for line in monitor.lines)


def test_rights(real, agent):
    """What a service account may not do the real API server refuses, and that is told."""
    accounts = "/api/v1/namespaces/shop/serviceaccounts"
    real.call("POST", accounts, {"metadata": {"name": "other"}})
    token = real.call("POST", f"{accounts}/other/token", {"spec": {"expirationSeconds": 600}})
    real.token_file.write_text(token["status"]["token"])
    monitor = agent(real, VENDOR)
    monitor.wait_line("it answered 403: the service account may not list and watch pods")
    monitor.stop()
    real.rotate()


def test_other_ca(stub, agent, tmp_path):
    """A server whose certificate another CA has signed does not get the token."""
    (tmp_path / "other").mkdir()
    monitor = agent(stub, VENDOR, ca_file=make_certificates(tmp_path / "other"))
    monitor.wait_line("API server at https://127.0.0.1:.*certificate")
    assert not stub.requests
    monitor.stop()


def test_busy(stub, agent, node):
    """A server that is busy, or broken, is asked again: told once, until it has answered."""
    stub.statuses = [429, 500]
    monitor = agent(stub, VENDOR)
    monitor.wait_line("API server at .*: it answered 429; new names come")
    known(monitor)
    wait_for(stub.watches)
    stub.statuses = [503]
    stub.end_watches()
    monitor.wait_line("API server at .*: it answered 503; new names come", 20)
    monitor.wait_line("answers again", 40, 2)
    assert not monitor.find("answered 500")
    assert [what for what in stub.requests if what[0] == "list"] == [
        ("list", "0", 429), ("list", "0", 500), ("list", "0", 200)]
    assert monitor.counted("appmon_names_failures_total") == {(): 3}
    monitor.stop()


@pytest.mark.parametrize("as_event", (False, True))
def test_gone(stub, agent, node, as_event):
    """410 Gone, as an answer and as an event: all is listed again, those pods that went meanwhile
    are forgotten, the others are named."""
    stub.gone_as_event = as_event
    first, second = (make_pod(n, {"app.kubernetes.io/name": n}) for n in ("first", "second"))
    stub.create(first)
    monitor = agent(stub, VENDOR)
    known(monitor)
    wait_for(stub.watches)
    stub.bookmarks = False
    with stub._changed:
        stub.delete(first)
        uid = stub.create(second)
        stub.compact()
    node.pod(uid)
    monitor.wait_line(": shop/second$")
    assert [what for what in stub.requests if what[0] == "list"] == [
        ("list", "0", 200), ("list", "", 200)]
    assert monitor.counted("appmon_names_pods") == {(): 1}
    assert not monitor.find("API server at")
    monitor.stop()


def test_resumed(stub, agent, node):
    """A watch that ends, or breaks in the midst of an event, goes on behind the last that came, or
    behind a bookmark: nothing is listed again."""
    monitor = agent(stub, VENDOR)
    known(monitor)
    versions = [stub.version]
    for n in range(3):
        stub.cut = n % 2
        uid = stub.create(make_pod(f"p{n}", {"app.kubernetes.io/name": f"p{n}"}))
        node.pod(uid)
        monitor.wait_line(f": shop/p{n}$", 20)
        wait_for(lambda: not stub.cut)
        stub.end_watches()
        versions.append(stub.version)
        wait_for(lambda: str(stub.version) in stub.watches()[1:], 40)
    assert [what for what in stub.requests if what[0] == "list"] == [("list", "0", 200)]
    assert set(stub.watches()) == set(map(str, versions))
    monitor.stop()


@pytest.mark.parametrize("text, told", [
    ("x" * 5_000_000, "too long"), ('{"type":"ADDED","object":{]}', "no JSON"),
    ('{"type":"ADDED","object":{"metadata":{}}}\n', "without a version"),
    ('{"type":"ADDED","object":{"metadata":{"resourceVersion":"1&x=2"}}}\n', "without a version"),
    ('{"type":"ERROR","object":{"code":500,"message":"it\\u0007broke"}}\n', "broke"),
], ids=["long", "brackets", "no version", "odd version", "error"])
def test_nonsense(stub, agent, node, text, told):
    """What is no watch's answer is told, and pods are known again afterwards; memory is bounded."""
    monitor = agent(stub, VENDOR)
    known(monitor)
    wait_for(stub.watches)
    stub.say(text)
    line = monitor.wait_line(f"API server at .*{told}.*").string
    assert "\a" not in line
    uid = stub.create(make_pod("later", {"app.kubernetes.io/name": "later"}))
    node.pod(uid)
    monitor.wait_line(": shop/later$", 20)
    monitor.stop()


def test_too_much(stub, agent, node):
    """More pods than are kept: told once, counted; the agent's memory stays within its bound."""
    big = {f"k{n}": "v" * 250 for n in range(900)}  # the API takes 256 KiB of annotations
    for n in range(200):
        stub.create(make_pod(f"p{n}", {}, big))
    monitor = agent(stub, VENDOR)
    known(monitor)
    assert len(monitor.find("the names of those beyond are not known")) == 1
    kept = monitor.counted("appmon_names_pods")[()]
    refused = monitor.counted("appmon_names_pods_refused_total")[()]
    assert kept + refused == 200 and kept > 20 and refused > 20
    with open(f"/proc/{monitor.process.pid}/status") as f:
        assert int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) < 320 * 1024
    monitor.stop()


def test_settings_stay(stub, agent, tmp_path):
    """A reload cannot change whom it asks; other rules are in force for pods that are known."""
    monitor = agent(stub, VENDOR)
    known(monitor)
    path = tmp_path / "agent.yaml"
    text = path.read_text()
    path.write_text(text.replace(NODE, "node-2"))
    monitor.hang_up()
    monitor.wait_line("whom it asks for pods cannot change")
    path.write_text(text)
    monitor.hang_up()
    monitor.wait_line("is in force")
    monitor.stop()


@pytest.mark.parametrize("environment, told", [
    ({}, "this is no pod"), ({"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "1"},
                             "which node is this"),
    ({"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "1", "NODE_NAME": "a/b"},
     "which node is this")])
def test_environment(tmp_path, environment, told):
    path = tmp_path / "agent.yaml"
    path.write_text('kubernetes: {}\napplications: [{namespace: "*", name: x}]\n')
    done = subprocess.run([cli(), "agent", "-c", path], env={**os.environ, **environment},
                          stderr=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == 1 and told in done.stderr


# ---- Churn

SERVER = """
import os, socket, sys
log = open(sys.argv[1], "a", buffering=1)
server = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + ".port.new", "w") as f:
    f.write(str(server.getsockname()[1]))
os.rename(sys.argv[1] + ".port.new", sys.argv[1] + ".port")
for _ in range(int(sys.argv[2])):
    client, _ = server.accept()
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    client.recv(1)
    client.close()
    log.write(head.split(b"\\r\\n")[0].decode() + "\\n")
"""


def ask(port, target):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b"200 OK" in client.recv(4096)


@pytest.mark.parametrize("kind, count", (("stub", 300), ("real", 60)))
def test_churn(request, agent, cgroup, tmp_path, kind, count):
    """Pods come and go, each with a server of its own that lives for a few requests; of every third
    the stub tells only when it is gone again. What the servers logged is what the agent has,
    under the names that the pods' labels say."""
    api = request.getfixturevalue(kind)
    monitor = agent(api, VENDOR)
    known(monitor)
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    expected = {}
    for n in range(count):
        app, vendor, asks = f"app{n % 7}", n % 2, n % 3 + 1
        pod = make_pod(f"churn-{n}", {"armseBPFAutoEnable": "on", "armseBPFCreateAppName": app}
                       if vendor else {"app.kubernetes.io/name": app})
        late = kind == "stub" and n % 3 == 2
        uid = str(uuid.uuid4()) if late else api.create(pod)
        node = Node(cgroup)
        layout = ("systemd", "cgroupfs", "kind")[n % 3]
        group = node.container(node.pod(uid, layout), uid, id_of(uid), layout)
        log = tmp_path / f"log{n}"
        # The kubelet takes longer to start a container; here the agent is waited for.
        watched(group)
        process = group.spawn([sys.executable, "-S", "-E", script, log, str(asks)])
        port = int(wait_for(lambda: os.path.exists(f"{log}.port")
                            and open(f"{log}.port").read()))
        for i in range(asks):
            ask(port, f"/{n}/{i}")
        assert process.wait(10) == 0
        lines = log.read_text().splitlines()
        assert lines == [f"GET /{n}/{i} HTTP/1.1" for i in range(asks)]
        name = app if vendor else f"shop/{app}"
        expected[name] = expected.get(name, 0) + len(lines)
        node.close()
        if late:
            api.create(pod, uid)
        api.delete(pod)
    wait_for(lambda: requests(monitor) == expected)
    dropped = sum(monitor.counted("appmon_exchanges_dropped_total").values())
    assert dropped == 0
    monitor.wait_line("no longer watching", 20, count=count)
    monitor.stop()


# ---- examples/kubernetes


def manifests(name):
    with open(f"{EXAMPLE}/{name}") as f:
        return list(yaml.safe_load_all(f))


@pytest.fixture(scope="module")
def kubectl(real, programs):
    """kubectl(ARGUMENT...): as the real cluster's administrator."""
    program = shutil.which("kubectl") or build_kubernetes(programs.directory, "kubectl")

    def run(*args):
        return subprocess.run([program, "--kubeconfig=/dev/null", f"--server={real.url}",
                               f"--certificate-authority={real.ca_file}", "--token=admin", *args],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return run


def test_manifests(kubectl):
    """The real API server finds no mistake in what kubectl makes of examples/kubernetes, and would in
    another."""
    done = kubectl("apply", "-k", EXAMPLE, "--dry-run=server", "--validate=strict")
    assert done.returncode == 0, done.stdout
    for kind in ("namespace", "serviceaccount", "clusterrole.rbac.authorization.k8s.io",
                 "clusterrolebinding.rbac.authorization.k8s.io", "service", "configmap",
                 "daemonset.apps"):
        assert re.search(f"^{re.escape(kind)}/appmon", done.stdout, re.M), done.stdout
    # The test made the namespace in another way.
    assert [line for line in done.stdout.splitlines() if line.startswith("Warning:")
            and "last-applied-configuration" not in line] == []


def test_mistaken_manifest(kubectl, tmp_path):
    daemon_set, = manifests("daemonset.yaml")
    daemon_set["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    (tmp_path / "it.yaml").write_text(yaml.safe_dump(daemon_set))
    done = kubectl("apply", "-f", tmp_path / "it.yaml", "--dry-run=server", "--validate=strict")
    assert done.returncode != 0 and "readynessProbe" in done.stdout


def test_least_privileges(real):
    """The DaemonSet has the three capabilities of appmon-security(7), and no other; its service
    account may do what the agent does, and nothing else."""
    daemon_set, = manifests("daemonset.yaml")
    pod = daemon_set["spec"]["template"]["spec"]
    container, = pod["containers"]
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["BPF", "PERFMON", "NET_ADMIN"]}
    assert not context["privileged"] and not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]
    assert not {"hostPID", "hostNetwork", "hostIPC"} & pod.keys()
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    real.rotate()
    token = real.token_file.read_text()
    pods = real.call("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}", token=token)
    assert pods["kind"] == "PodList"
    for kind in "Service", "EndpointSlice":
        assert real.call("GET", PLACES[kind], token=token)["kind"] == f"{kind}List"
    for method, path in (("GET", "/api/v1/secrets"), ("GET", "/api/v1/nodes"),
                         ("GET", "/api/v1/configmaps"), ("DELETE", "/api/v1/namespaces/shop/pods"),
                         ("POST", "/api/v1/namespaces/shop/pods")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            real.call(method, path, {} if method == "POST" else None, token=token)
        assert refused.value.code == 403, path


def test_pieces_fit(stub, agent):
    """What the manifests say of each other, and of the agent, is so. The ServiceMonitor is looked at
    here only: the API server does not know its kind."""
    daemon_set, = manifests("daemonset.yaml")
    service, = manifests("service.yaml")
    monitor, = manifests("servicemonitor.yaml")
    kustomization, = manifests("kustomization.yaml")
    template = daemon_set["spec"]["template"]
    container, = template["spec"]["containers"]
    port, = container["ports"]
    assert daemon_set["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    assert service["spec"]["selector"] == template["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert set(monitor) == {"apiVersion", "kind", "metadata", "spec"}
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["kind"] == "ServiceMonitor"
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    assert monitor["spec"]["selector"] == {"matchLabels": service["metadata"]["labels"]}
    endpoint, = monitor["spec"]["endpoints"]
    assert set(endpoint) == {"port", "path", "interval", "honorLabels"}
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]
    assert container["image"].split(":") == [kustomization["images"][0]["name"],
                                             kustomization["images"][0]["newTag"]]
    maps = [v["configMap"]["name"] for v in template["spec"]["volumes"] if "configMap" in v]
    assert maps == [made["name"] for made in kustomization["configMapGenerator"]]
    config, = manifests("agent.yaml")
    assert config["listen"].endswith(f":{port['containerPort']}")
    assert container["args"] == ["agent", "-c", "/etc/appmon/agent.yaml"]
    done = subprocess.run([cli(), "agent", "--check", "-c", f"{EXAMPLE}/agent.yaml"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    running = agent(stub, VENDOR)
    for path in {endpoint["path"], *(container[f"{probe}Probe"]["httpGet"]["path"]
                                     for probe in ("liveness", "readiness", "startup"))}:
        with urllib.request.urlopen(running.url.replace("/metrics", path), timeout=10) as answer:
            assert answer.status == 200
    running.stop()


def test_rights_of_the_example():
    """The service account may read the kinds that the stub lets the agent ask for, and no other."""
    role, = (m for m in manifests("rbac.yaml") if m["kind"] == "ClusterRole")
    rights = {(group, resource): set(rule["verbs"]) for rule in role["rules"]
              for group in rule["apiGroups"] for resource in rule["resources"]}
    assert {resource: rights[group, resource] for group, resource in rights} == {
        place.rpartition("/")[2]: {"get", "list", "watch"} for place in PLACES.values()}
    assert rights.keys() == {("", "pods"), ("", "services"),
                             ("discovery.k8s.io", "endpointslices")}


def test_rules_of_the_example(stub, agent, node):
    """What examples/kubernetes/agent.yaml calls the pods of a cluster."""
    with open(f"{EXAMPLE}/agent.yaml") as f:
        rules = re.search(r"^applications:\n((?: .*\n)+)", f.read(), re.M)[1]
    pods = {"mine": make_pod("a", {"appmon.name": "mine", "app.kubernetes.io/name": "x"}),
            None: make_pod("b", {"appmon.name": "b", "appmon.ignore": "true"}),
            "books": make_pod("c", {"armseBPFAutoEnable": "on", "armseBPFCreateAppName": "books"}),
            "shop/off": make_pod("d", {"armseBPFAutoEnable": "off", "armseBPFCreateAppName": "d",
                                       "app.kubernetes.io/name": "off"}),
            "": make_pod("e", {"app.kubernetes.io/name": "dns"}, namespace="kube-system"),
            "shop/web": make_pod("web-5d4f8-x", {"pod-template-hash": "5d4f8"},
                                 owner=("ReplicaSet", "web-5d4f8"))}
    monitor = agent(stub, rules)
    known(monitor)
    uids = {name: stub.create(pod) for name, pod in pods.items()}
    wait_for(lambda: monitor.counted("appmon_names_pods")[()] == len(pods))
    groups = [node.container(node.pod(uid), uid, id_of(uid)) for uid in uids.values()]
    wanted = {name: 1 for name in pods if name}
    for name in wanted:
        monitor.wait_line(f"appmon: watching .*: {name}$")
    for group in groups:
        serve(group)
    wait_for(lambda: requests(monitor) == wanted)
    monitor.stop()
