# SPDX-License-Identifier: BSD-2-Clause
"""The sample hosts: each sees the requests of a cgroup from a loop of its own."""
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest


@pytest.fixture
def sample(cgroup, watch, request):
    """sample(name): the running sample, or a skip if it was not built."""
    def start(name):
        build = pathlib.Path(os.environ["APPMON_BUILD"]).resolve()
        program = build / "examples" / name
        if not program.exists():
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
        if out.count("appmon_packet") == 2 and "appmon_release" in out:
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    raise AssertionError("the sample does not attach")


STATUSES = [200, 404, 503]
# What a line about one request looks like, and what is said at the end.
SAID = {
    "minimal": (r"GET /sample (\d+) \d+\.\d{3} ms\n", ""),
    "epoll": (r"(\d+) in \d+\.\d{3} ms\n", "3 requests\n"),
    "libuv": (r"(\d+) in \d+\.\d{3} ms\n", "3 requests\n"),
}


@pytest.mark.parametrize("name", SAID)
def test_sample(name, sample, cgroup, play):
    process = sample(name)
    attached(process, cgroup.path)
    client, server = play()
    line, end = SAID[name]
    for status in STATUSES:
        sent = client.send("GET", "/sample")
        server.recv(4096)
        server.sendall(b"HTTP/1.1 %d Reason\r\nContent-Length: 2\r\n\r\nok" % status)
        client.receive(sent)
        said = process.stdout.readline()
        assert (match := re.fullmatch(line, said)) and int(match[1]) == status, said
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=10)
    assert rest == end
    assert process.returncode == 0


def test_minimal_leaves_out_half_ones(sample, cgroup, play):
    """Of a request that passed before the attach it prints no line of an empty method and path."""
    client, server = play()
    sent = client.send("GET", "/before")
    server.recv(4096)
    process = sample("minimal")
    attached(process, cgroup.path)
    for status, target in (203, "/before"), (200, "/sample"):
        server.sendall(b"HTTP/1.1 %d Reason\r\nContent-Length: 2\r\n\r\nok" % status)
        client.receive(sent)
        if target == "/before":
            sent = client.send("GET", "/sample")
            server.recv(4096)
    assert re.fullmatch(SAID["minimal"][0], line := process.stdout.readline()), line
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0] == ""
