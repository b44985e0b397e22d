# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the live tests. See README.md for what is compared with what."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

import cgroups
from programs import WRK_CONNECTIONS, Missing, Programs, Server, make_certificate
from watch import Watch, cli
from wire import Connection

# Ended from outside, clean up all the same: as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)
# A job in the background of a script, or below nohup, ignores these; what it starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in signal.SIGQUIT, signal.SIGHUP:
    signal.signal(ignored, signal.SIG_DFL)


# What stands for these takes minutes to build: `tests/run kubernetes`.
LONG = {"real", "kubectl", "podman", "rootfs", "grafana_types"}


def pytest_collection_modifyitems(config, items):
    if "APPMON_KUBERNETES" in os.environ:
        return
    wanted, long = [], []
    for item in items:
        params = getattr(item, "callspec", None)
        names = set(item.fixturenames) | set(map(str, params.params.values() if params else ()))
        (long if names & LONG else wanted).append(item)
    items[:] = wanted
    config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Builds servers and clients into the build directory, so that a second run is quick."""
    if "APPMON_BUILD" in os.environ:
        directory = os.path.join(os.path.abspath(os.environ["APPMON_BUILD"]), "live")
        os.makedirs(directory, exist_ok=True)
        return Programs(directory)
    return Programs(tmp_path_factory.mktemp("live"))


@pytest.fixture
def cgroup():
    """A fresh cgroup, or a skip that says what the machine lacks."""
    if os.geteuid():
        pytest.skip("needs root")
    if not cgroups.mount_point():
        pytest.skip("cgroup v2 is not mounted")
    with cgroups.Cgroup() as fresh:
        yield fresh


@pytest.fixture
def start_server(programs, tmp_path_factory):
    """start_server(name, cgroup, ...): a running Server, or a skip if its runtime is missing."""
    def start(name, cgroup, **kwargs):
        try:
            return Server(programs, name, cgroup, tmp_path_factory.mktemp(name), **kwargs)
        except Missing as reason:
            pytest.skip(str(reason))
    return start


@pytest.fixture
def watch(request):
    """watch(cgroup, ..., args=[...]): a running Watch that ends with the test."""
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        pytest.skip("the kernel has no BTF")
    if "APPMON_BUILD" not in os.environ:
        pytest.skip("APPMON_BUILD does not name a meson build directory")

    def start(*targets, **kwargs):
        started = Watch(*targets, **kwargs)
        request.addfinalizer(lambda: started.__exit__())
        return started
    return start


@pytest.fixture(scope="module")
def public_cli():
    """A copy of the command where an ordinary user can reach it."""
    build = os.environ["APPMON_BUILD"]
    with tempfile.TemporaryDirectory(prefix="appmon-") as directory:
        os.chmod(directory, 0o755)
        for part in ("examples", "libappmon"):
            os.mkdir(f"{directory}/{part}", 0o755)
        shutil.copy(cli(), f"{directory}/examples/appmon")
        for name in os.listdir(f"{build}/libappmon"):
            if re.fullmatch(r"libappmon\.so\.\d+", name):
                shutil.copy(f"{build}/libappmon/{name}", f"{directory}/libappmon/{name}")
        yield f"{directory}/examples/appmon"


@pytest.fixture
def play(cgroup):
    """play(): both ends of a fresh connection for the test to play itself: a wire.Connection
    as the client, and the server's socket, which belongs to the cgroup."""
    listener = cgroup.listener()
    ends = []

    def start():
        client = Connection(listener.getsockname())
        served, _ = listener.accept()
        served.settimeout(10)
        served.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends.extend((client.sock, served))
        return client, served

    yield start
    for sock in ends + [listener]:
        sock.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate of localhost, which it has signed itself: NAME.pem, and NAME.key."""
    base = str(tmp_path_factory.mktemp("certificate") / "test")
    make_certificate(base)
    return base


@pytest.fixture
def wrk():
    """wrk(server, seconds, args): runs it; returns how many responses it counted."""
    if not shutil.which("wrk"):
        pytest.skip("wrk is not installed")

    def run(server, seconds, *args):
        done = subprocess.run(["wrk", "-t1", f"-c{WRK_CONNECTIONS}", f"-d{seconds}s", *args,
                               f"http://127.0.0.1:{server.port}/hello"],
                              stdout=subprocess.PIPE, text=True, check=True)
        assert "Socket errors" not in done.stdout, done.stdout
        return int(re.search(r"(\d+) requests in", done.stdout)[1])
    return run
