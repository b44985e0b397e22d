#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the bindings' live tests watch: an HTTP server in a cgroup of its own, with its own log.

As a program, for tests in other languages: prints one line of JSON (cgroup, id, pid, port, log) and
serves until its standard input ends. Exit status 77: this machine cannot, stderr says why."""
import contextlib
import json
import os
import pathlib
import signal
import sys
import tempfile

LIVE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "live"
sys.path.insert(0, str(LIVE))

import cgroups  # noqa: E402
from programs import Programs, Server  # noqa: E402


def missing():
    """Why live tests cannot run here, or None."""
    if os.geteuid():
        return "needs root"
    if not cgroups.mount_point():
        return "cgroup v2 is not mounted"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "the kernel has no BTF"
    return None


@contextlib.contextmanager
def served():
    """A running server of tests/live (see its README): port, log, cgroup."""
    with tempfile.TemporaryDirectory() as directory, cgroups.Cgroup() as cgroup:
        yield Server(Programs(directory), "python-threading", cgroup, directory)


def main():
    reason = missing()
    if reason:
        print(reason, file=sys.stderr)
        sys.exit(77)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with served() as server:
        print(json.dumps({"cgroup": server.cgroup.path, "id": server.cgroup.id, "pid": server.process.pid,
                          "port": server.port, "log": server.log.path}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
