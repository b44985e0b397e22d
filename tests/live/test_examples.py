# SPDX-License-Identifier: BSD-2-Clause
"""The sample hosts: each sees the requests of a cgroup from a loop of its own."""
import os
import re
import signal
import subprocess
import time

import pytest


@pytest.fixture
def sample(cgroup, watch, request):
    """sample(name): the running sample, or a skip if it was not built."""
    def start(name):
        program = os.path.join(os.environ["APPMON_BUILD"], "examples", name)
        if not os.path.exists(program):
            pytest.skip(f"{name} was not built: its library is missing")
        process = subprocess.Popen([program, cgroup.path], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        request.addfinalizer(process.kill)
        return process
    if "APPMON_BUILD" not in os.environ:
        pytest.skip("APPMON_BUILD does not name a meson build directory")
    return start


def attached(process, cgroup_path):
    """Waits until the sample's programs are on the cgroup."""
    for _ in range(500):
        out = subprocess.run(["bpftool", "cgroup", "show", cgroup_path], stdout=subprocess.PIPE,
                             text=True).stdout
        if all(f"appmon_{program}" in out for program in ("ingress", "egress", "release")):
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    raise AssertionError("the sample does not attach")


@pytest.mark.parametrize("name", ["minimal", "epoll", "libuv"])
def test_sample(name, sample, cgroup, play):
    process = sample(name)
    attached(process, cgroup.path)
    client, server = play()
    statuses = [200, 404, 503]
    lines = []
    for status in statuses:
        sent = client.send("GET", "/sample")
        server.recv(4096)
        server.sendall(b"HTTP/1.1 %d Reason\r\nContent-Length: 2\r\n\r\nok" % status)
        client.receive(sent)
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=10)
    if name == "minimal":
        assert [re.fullmatch(r"GET /sample (\d+) \d+\.\d{3} ms\n", line)[1] for line in lines] \
            == [str(s) for s in statuses]
        assert rest == ""
    else:
        assert [int(re.fullmatch(r"(\d+) in \d+\.\d{3} ms\n", line)[1]) for line in lines] \
            == statuses
        assert rest == "3 requests\n"
    assert process.returncode == 0
