# SPDX-License-Identifier: BSD-2-Clause
"""cgroup v2 directories for one test, and the processes and sockets inside them."""
import contextlib
import itertools
import os
import socket
import subprocess
import time

_number = itertools.count(1)


def mount_point():
    """Where cgroup v2 is mounted (unified or hybrid), or None."""
    with open("/proc/self/mountinfo") as f:
        for line in f:
            before, _, after = line.partition(" - ")
            if after.split()[0] == "cgroup2":
                return before.split()[4]
    return None


def _own_cgroup():
    with open("/proc/self/cgroup") as f:
        for line in f:
            if line.startswith("0::"):
                return mount_point() + line[3:].strip()
    raise RuntimeError("no cgroup v2 in /proc/self/cgroup")


class Cgroup:
    """A fresh cgroup. What was started in it is killed when it is closed."""

    def __init__(self, parent=None, name=None):
        self.name = name or f"appmon-test-{os.getpid()}-{next(_number)}"
        self.path = os.path.join(parent.path if parent else mount_point(), self.name)
        os.mkdir(self.path)
        self.id = os.stat(self.path).st_ino
        self._children = []
        self._processes = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def child(self, name):
        self._children.append(Cgroup(self, name))
        return self._children[-1]

    def spawn(self, argv, **kwargs):
        """Starts argv inside: everything it creates, sockets too, belongs to this cgroup."""
        enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', self.path]
        process = subprocess.Popen(enter + list(argv), **kwargs)
        self._processes.append(process)
        return process

    @contextlib.contextmanager
    def inside(self):
        """Sockets that this process creates meanwhile belong to the cgroup, and so do the
        connections that are accepted from them later."""
        back = _own_cgroup()
        self._move(self.path)
        try:
            yield
        finally:
            self._move(back)

    @staticmethod
    def _move(path):
        with open(os.path.join(path, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))

    def listener(self, host="127.0.0.1"):
        """A listening socket of this cgroup on a free port: the test itself plays the server."""
        with self.inside():
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.bind((host, 0))
        sock.listen(64)
        sock.settimeout(10)
        return sock

    def connect(self, address):
        """A connection of this cgroup: the test itself plays the client."""
        with self.inside():
            sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        sock.settimeout(10)
        sock.connect(address)
        return sock

    def close(self):
        for child in self._children:
            child.close()
        with open(os.path.join(self.path, "cgroup.kill"), "w") as f:
            f.write("1")
        for process in self._processes:
            process.wait()
        deadline = time.monotonic() + 5
        while True:
            try:
                os.rmdir(self.path)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
