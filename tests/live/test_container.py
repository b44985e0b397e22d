# SPDX-License-Identifier: BSD-2-Clause
"""appmon in a container: a cgroup namespace of its own, with and without the host's hierarchy."""
import os
import shlex
import signal
import subprocess

import pytest

from cgroups import Cgroup, mount_point
from exporting import wait_for
from watch import cli
from wire import Connection

RULES = "applications:\n  - cgroup: %s\n    name: contained\n"


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


@pytest.fixture
def contained(request, tmp_path):
    """contained(cgroup, whole, command): runs it in a namespace that begins at the cgroup; the whole
    hierarchy is at tmp_path/host then."""
    host = tmp_path / "host"
    host.mkdir()

    def start(cgroup, whole, command):
        point = mount_point()
        inside = " && ".join((
            "mount --make-rprivate /",
            f"mount --bind {point} {host}" if whole else "true",
            f"umount --lazy {point}",
            f"mount -t cgroup2 none {point}",
            "exec " + shlex.join(map(str, command))))
        process = subprocess.Popen(
            ["sh", "-c", f"echo $$ >{cgroup.path}/cgroup.procs; "
             f"exec unshare --cgroup --mount sh -c {shlex.quote(inside)}"],
            stdout=subprocess.PIPE, stderr=open(tmp_path / "err", "w"), text=True)

        def end():
            process.kill()
            process.wait()

        request.addfinalizer(end)
        return process

    start.host = host
    start.err = lambda: (tmp_path / "err").read_text()
    return start


@pytest.fixture
def cgroups():
    made = [Cgroup(), Cgroup()]
    yield made
    for cgroup in made:
        cgroup.close()


def path_of(cgroup):
    return os.path.join("/", os.path.relpath(cgroup.path, mount_point()))


@pytest.mark.parametrize("whole", (True, False))
def test_agent(cgroups, contained, tmp_path, whole):
    """With the host's hierarchy it watches a cgroup outside by its path there; without, it says why
    it watches none."""
    own, other = cgroups
    rules = tmp_path / "agent.yaml"
    rules.write_text(RULES % path_of(other))
    process = contained(own, whole, [cli(), "agent", "-c", rules])
    if whole:
        wait_for(lambda: f"watching {path_of(other)}: contained" in contained.err(),
                 what=contained.err())
    else:
        wait_for(lambda: "part of the cgroup hierarchy" in contained.err(), what=contained.err())
        assert "matches a rule" in contained.err()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "libbpf" not in contained.err()


@pytest.mark.parametrize("outside", (True, False))
def test_pid(cgroups, contained, tmp_path, outside):
    """--pid finds the cgroup of a process, whether it is outside of the namespace or in it."""
    own, other = cgroups
    cgroup = other if outside else own
    sleeper = cgroup.spawn(["sleep", "60"])
    listener = cgroup.listener()
    shown = tmp_path / "shown"
    contained(own, True, ["sh", "-c", f"exec {cli()} watch --pid {sleeper.pid} >{shown}"])

    def request_is_shown():
        with Connection(listener.getsockname()) as client:
            server, _ = listener.accept()
            with server:
                sent = client.send("GET", "/contained")
                server.recv(4096)
                server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                client.receive(sent)
        return shown.exists() and "/contained" in shown.read_text()

    with listener:
        wait_for(request_is_shown, what=contained.err())
