# SPDX-License-Identifier: BSD-2-Clause
"""appmon agent and the API of docker: names and labels of containers. Against a real podman, which
makes containers and does not start them (what it starts is in cgroup v1 where that is mounted, too);
and against a stub written from the documentation of docker's Engine API, which can also fail. The
cgroups are laid out as the engines do it."""
import http.server
import json
import os
import pathlib
import shutil
import socketserver
import subprocess
import tempfile
import threading
import urllib.parse

import pytest

from exporting import Monitor, wait_for
from kubernetes import id_of
from test_agent import requests, serve
from test_kubernetes import Node, watched

RULES = """
  - label: {com.docker.compose.service: "*"}
    name: "{label:com.docker.compose.project}/{label:com.docker.compose.service}"
  - label: {named: "yes"}
    name: "{container}"
"""


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


class Stub:
    """GET /containers/json and /events, as Engine API 1.40 describes them."""

    def __init__(self, path):
        self.path, self.mistakes, self.lists = path, [], 0
        self.answer = None  # in place of the next list
        self._changed = threading.Condition()
        self._containers, self._events, self._generation = {}, [], 0
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                stub._serve(self)

            def address_string(self):
                return "unix"

            def log_message(self, *args):
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass  # a client that is gone

        self._server = Server(str(path), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self.end_events()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        os.unlink(self.path)

    def _tell(self, action, id_):
        with self._changed:
            self._events.append({"Type": "container", "Action": action, "scope": "local",
                                 "Actor": {"ID": id_, "Attributes": {}}})
            self._changed.notify_all()

    def create(self, name, labels, id_=None):
        id_ = id_ or id_of(name)
        self._containers[id_] = {"Id": id_, "Names": [f"/{name}"], "Image": "i",
                                 "Labels": labels, "State": "created"}
        self._tell("create", id_)
        return id_

    def rename(self, id_, name):
        self._containers[id_]["Names"] = [f"/{name}"]
        self._tell("rename", id_)

    def remove(self, id_):
        del self._containers[id_]
        self._tell("destroy", id_)

    def end_events(self):
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def _serve(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query, strict_parsing=True))
        if url.path == "/containers/json" and query == {"all": "1"}:
            self.lists += 1
            body = self.answer or json.dumps(list(self._containers.values()))
            self.answer = None
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            return handler.wfile.write(body.encode())
        if (url.path != "/events" or set(query) != {"filters", "since"}
                or json.loads(query["filters"]) != {"type": ["container"]}
                or not query["since"].isdigit()):
            self.mistakes.append(handler.path)
            return handler.send_error(400)
        with self._changed:
            generation, at = self._generation, len(self._events)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        while generation == self._generation:
            with self._changed:
                self._changed.wait_for(lambda: generation != self._generation
                                       or at < len(self._events), 0.5)
                fresh, at = self._events[at:], len(self._events)
            for event in fresh:
                data = json.dumps(event).encode() + b"\n"
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                handler.wfile.flush()
        return handler.wfile.write(b"0\r\n\r\n")


class Podman:
    def __init__(self, directory):
        for tool in "podman", "runc":
            if not shutil.which(tool):
                pytest.skip(f"{tool} is not installed")
        self.path, self.mistakes = directory / "sock", []
        self._rootfs = directory / "rootfs"
        (self._rootfs / "bin").mkdir(parents=True)
        self._podman = ["podman", "--root", directory / "root", "--runroot", directory / "run",
                        "--tmpdir", directory / "tmp", "--storage-driver=vfs", "--runtime=runc",
                        "--cgroup-manager=cgroupfs", "--events-backend=file"]
        self._log = open(directory / "log", "w")
        self._service = subprocess.Popen([*self._podman, "system", "service", "--time=0",
                                          f"unix://{self.path}"],
                                         stdout=self._log, stderr=self._log)
        wait_for(self.path.exists, 20, "podman's socket")

    def _run(self, *args):
        done = subprocess.run([*self._podman, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def create(self, name, labels):
        return self._run("create", "--name", name, "--network=none",
                         *(f"--label={key}={value}" for key, value in labels.items()),
                         "--rootfs", self._rootfs, "/bin/true")

    def rename(self, id_, name):
        self._run("rename", id_, name)

    def remove(self, id_):
        self._run("rm", id_)

    def close(self):
        self._service.terminate()
        self._service.wait(20)
        self._log.close()


@pytest.fixture
def stub(tmp_path):
    server = Stub(tmp_path / "docker.sock")
    yield server
    server.close()
    assert not server.mistakes


@pytest.fixture
def podman():
    # Podman takes no long paths.
    with tempfile.TemporaryDirectory(prefix="appmon-") as directory:
        server = Podman(pathlib.Path(directory))
        yield server
        server.close()


@pytest.fixture(params=["stub", "podman"])
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def agent(request, tmp_path):
    def start(path, rules=RULES):
        config = tmp_path / "agent.yaml"
        config.write_text(f"listen: 127.0.0.1:0\ndocker: {path}\nwait: 60s\n"
                          f"applications:\n{rules}")
        monitor = Monitor("agent", "-c", config)
        request.addfinalizer(monitor.kill)
        return monitor
    return start


@pytest.fixture
def node(cgroup):
    fresh = Node(cgroup)
    yield fresh
    fresh.close()


COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


@pytest.mark.parametrize("layout", (["system.slice", "docker-%s.scope"], ["docker", "%s"],
                                    ["machine.slice", "libpod-%s.scope", "container"],
                                    ["libpod_parent", "libpod-%s"]), ids="-".join)
def test_layouts(stub, agent, node, layout):
    """A container has its name in every layout of cgroups, and is watched once."""
    monitor = agent(stub.path)
    group = node.make([part.replace("%s", stub.create("a", COMPOSE)) for part in layout])
    monitor.wait_line(": shop/web$")
    serve(group)
    wait_for(lambda: requests(monitor) == {"shop/web": 1})
    assert len(monitor.find("appmon: watching /")) == 1
    monitor.stop()


def test_names(engine, agent, node):
    """Containers that were there before and that come later, by their labels and names; other names
    count from then on."""
    there = engine.create("there", COMPOSE)
    monitor = agent(engine.path)
    monitor.wait_line(r"appmon: docker at .*: 1 container\(s\)", 20)
    later, other = engine.create("later", {"named": "yes"}), engine.create("other", {})
    wait_for(lambda: monitor.counted("appmon_names_pods")[()] == 3)
    groups = [node.make(["machine.slice", f"libpod-{id_}.scope"]) for id_ in (there, later, other)]
    monitor.wait_line(": shop/web$")
    monitor.wait_line(": later$")
    for count, group in enumerate(groups):
        serve(group, count=count + 1)
    wait_for(lambda: requests(monitor) == {"shop/web": 1, "later": 2})
    engine.rename(later, "renamed")
    monitor.wait_line("appmon: watching .*: renamed$")
    serve(groups[1])
    wait_for(lambda: requests(monitor) == {"shop/web": 1, "later": 2, "renamed": 1})
    engine.remove(other)
    wait_for(lambda: monitor.counted("appmon_names_pods")[()] == 2)
    assert monitor.counted("appmon_names_up") == {(): 1}
    monitor.stop()


def test_late(stub, agent, node):
    """Requests of a container that docker tells of later have its name."""
    monitor = agent(stub.path)
    id_ = id_of("late")
    serve(watched(node.make(["docker", id_])), count=3)
    wait_for(lambda: monitor.counted("appmon_names_events_held")[()] == 3)
    stub.create("late", COMPOSE, id_)
    wait_for(lambda: requests(monitor) == {"shop/web": 3})
    monitor.stop()


def test_not_there(agent, node, tmp_path):
    """Docker that is not there is told once, and so is that it is there again; what happened
    meanwhile is known then, also where it ends or answers what is no list."""
    path = tmp_path / "docker.sock"
    monitor = agent(path, RULES + '  - cgroup: "/**/plain"\n    name: plain\n')
    monitor.wait_line("docker at .*; new names come when it answers")
    serve(watched(node.make(["plain"])))
    wait_for(lambda: requests(monitor) == {"plain": 1})
    stub = Stub(path)
    node.make(["docker", stub.create("a", COMPOSE)])
    monitor.wait_line("appmon: watching .*: shop/web$", 40)
    assert len(monitor.find("docker at .*(new names|answers again)")) == 2
    for number, break_it in enumerate((stub.end_events, lambda: answer(stub, '{"message":"x"}'),
                                       lambda: answer(stub, "[" + "x" * 2_000_000))):
        break_it()
        monitor.wait_line("docker at .*: (it has ended|.*)(; new names)", 20, number + 2)
        name = f"n{number}"
        node.make(["docker", stub.create(name, {"named": "yes"})])
        monitor.wait_line(f"appmon: watching .*: {name}$", 40)
    stub.close()
    assert not stub.mistakes
    monitor.stop()


def answer(stub, text):
    """Answers the next list, for which this asks, in this way."""
    stub.answer = text
    stub._tell("create", id_of("none"))
