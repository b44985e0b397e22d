# SPDX-License-Identifier: BSD-2-Clause
"""The host dies or stalls: nothing stays in the kernel, nobody is disturbed, all is counted.

APPMON_STALL: how many seconds the host is stopped, default 3."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from programs import WRK_CONNECTIONS
from wire import Connection


def bpftool(*args):
    """What it prints; None if there is no such object."""
    if not shutil.which("bpftool"):
        pytest.skip("bpftool is not installed")
    done = subprocess.run(["bpftool", "-j", *args], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip() or "[]") if not done.returncode else None


def kernel_objects(pid):
    """The BPF links, programs and maps that a process holds."""
    found = set()
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        with open(path) as f:
            found |= {(kind, number) for kind, number in
                      re.findall(r"^(link|prog|map)_id:\s*(\d+)", f.read(), re.M)}
    return found


class Client:
    """Asks all the time, on a connection that stays and on new ones, and checks each answer."""

    def __init__(self, server):
        self._address = ("127.0.0.1", server.port)
        self._stop = threading.Event()
        self.answered = []
        self.failure = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            with Connection(self._address) as kept:
                while not self._stop.is_set():
                    with Connection(self._address) as new:
                        for connection in (kept, new):
                            self._ask(connection)
        except (OSError, EOFError, AssertionError) as failure:
            self.failure = failure

    def _ask(self, connection):
        target = f"/id/{len(self.answered)}"
        wire = connection.exchange("GET", target)
        assert (wire["status"], wire["fields"]["x-id"]) == (200, target)
        self.answered.append(target)

    def wait(self, more):
        """Until so many more are answered."""
        until, deadline = len(self.answered) + more, time.monotonic() + 20
        while len(self.answered) < until:
            assert self.failure is None and time.monotonic() < deadline, self.failure
            time.sleep(0.01)

    def stop(self):
        self._stop.set()
        self._thread.join()
        assert self.failure is None, self.failure


def test_killed(cgroup, start_server, watch):
    """SIGKILL: the kernel detaches and frees everything, the server's clients notice nothing."""
    server = start_server("nginx", cgroup)
    watching = watch(cgroup)
    client = Client(server)
    try:
        client.wait(200)
        attached = {program["attach_type"] for program in bpftool("cgroup", "show", cgroup.path)}
        assert len(attached) == 3
        objects = kernel_objects(watching.process.pid)
        assert {kind for kind, _ in objects} == {"link", "prog", "map"}
        assert all(bpftool(kind, "show", "id", number) for kind, number in objects)
        watching.process.kill()
        watching.process.wait()
        client.wait(200)
        assert not bpftool("cgroup", "show", cgroup.path)
        # Freed after a grace period.
        deadline = time.monotonic() + 10
        while left := [o for o in objects if bpftool(o[0], "show", "id", o[1])]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
        # Another one sees the connections that were watched before.
        again = watch(cgroup)
        client.wait(200)
    finally:
        client.stop()
    events = again.stop()
    again.check_sums(delivered=len(events))
    assert len(events) >= 200
    if "mid_message" in events[0]["flags"]:  # it was being answered when the capture began
        assert not events.pop(0)["request_target"]
    first = int(events[0]["request_target"].removeprefix("/id/"))
    assert [e["request_target"] for e in events if e["end"] == "complete"] == \
        client.answered[first:first + len(events)]


def no_mispairing(events):
    """Every answer names its request."""
    for event in events:
        ids = event.get("headers", {}).get("response", {}).get("x-id")
        if ids:
            assert ids == [event["request_target"]], event


def test_stalled(cgroup, start_server, watch, wrk, tmp_path):
    """A host that is stopped loses what the ring does not hold, counts it, and goes on."""
    seconds = int(os.environ.get("APPMON_STALL", "3"))
    script = tmp_path / "ids.lua"
    script.write_text("""
        local n = 0
        function request() n = n + 1; return wrk.format("GET", "/id/wrk-" .. n) end
        """)
    server = start_server("nginx", cgroup, log_buffer="buffer=1m")
    watching = watch(cgroup, args=["--ring", "256K", "--header", "x-id", "--timeout", "2"],
                     output=tmp_path / "events")
    kept = [Connection(("127.0.0.1", server.port)) for _ in range(10)]
    for i, connection in enumerate(kept):
        connection.exchange("GET", f"/id/before-{i}")
    os.kill(watching.process.pid, signal.SIGSTOP)
    counted = wrk(server, seconds, "-s", str(script))
    for i, connection in enumerate(kept):
        connection.exchange("GET", f"/id/meanwhile-{i}")
    os.kill(watching.process.pid, signal.SIGCONT)
    time.sleep(3)  # more than the timeout that ends what was lost in the middle
    after = []
    for i in range(30):
        for connection in kept:
            after.append(f"/id/after-{len(after)}")
            connection.exchange("GET", after[-1])
    for connection in kept:
        connection.sock.close()
    server.stop()
    with open(server.log.path) as f:
        logged = sum(1 for _ in f)
    events = watching.stop()
    watching.check_sums()
    stats = watching.stats
    assert counted > 1000 * seconds
    assert stats["dropped"]["ring_full"] > counted / 2
    # At its end wrk closes connections on which a request is under way.
    assert logged <= stats["exchanges_seen"] <= logged + WRK_CONNECTIONS
    assert stats["outstanding"] == 0
    no_mispairing(events)
    whole = [e["request_target"] for e in events if e["end"] == "complete"]
    assert len(whole) == len(set(whole))
    odd = [e for e in events if "/id/before-" in e["request_target"] and e["end"] != "complete"]
    assert not odd, json.dumps(odd)
    assert {f"/id/before-{i}" for i in range(10)} <= set(whole)
    # Nothing is lost any more, in order, also on the connections from before.
    assert [t for t in whole if t.startswith("/id/after-")] == after
