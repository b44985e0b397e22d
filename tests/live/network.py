# SPDX-License-Identifier: BSD-2-Clause
"""Two network namespaces joined by a bad link: this process carries each packet, or does not."""
import contextlib
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import threading

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Side:
    """A namespace with one tun device; what is sent there can be read from `tun`."""

    def __init__(self, address, peer):
        self.address = address
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            self._namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            self.tun = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"bad0", IFF_TUN | IFF_NO_PI))
            for command in ("link set lo up", f"addr add {address} peer {peer} dev bad0",
                            "link set bad0 up"):
                subprocess.run(["ip", *command.split()], check=True)
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
            os.close(home)

    @contextlib.contextmanager
    def inside(self):
        """Sockets and processes that this thread makes meanwhile are in the namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _check(_libc.setns(self._namespace, CLONE_NEWNET))
        try:
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
            os.close(home)

    def close(self):
        os.close(self.tun)
        os.close(self._namespace)


class Link:
    """Carries packets between two sides; with the given chances it loses a packet, sends it
    twice, or delivers it after the one that follows (or after 2 ms if none does)."""

    def __init__(self, lose=0.0, double=0.0, swap=0.0, seed=1):
        self._chances = lose, double, swap
        self._random = random.Random(seed)
        self.harmed = 0
        self.server, self.client = Side("10.99.0.1", "10.99.0.2"), Side("10.99.0.2", "10.99.0.1")
        self._end, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.write(self._stop, b"x")
        self._thread.join()
        for fd in (self._end, self._stop):
            os.close(fd)
        self.server.close()
        self.client.close()

    def _carry(self):
        to = {self.server.tun: self.client.tun, self.client.tun: self.server.tun}
        late = {}
        while True:
            ready, _, _ = select.select([*to, self._end], [], [], 0.002 if late else None)
            if self._end in ready:
                return
            for out in [fd for fd in late if not ready]:
                os.write(out, late.pop(out))
            for tun in ready:
                packet = os.read(tun, 65536)
                if packet[0] >> 4 == 4:  # else IPv6 housekeeping of the kernel
                    self._carry_one(packet, to[tun], late)

    def _carry_one(self, packet, out, late):
        lose, double, swap = self._chances
        dice = self._random.random()
        if dice < lose:
            self.harmed += 1
            return
        if dice < lose + swap and out not in late:
            self.harmed += 1
            late[out] = packet
            return
        os.write(out, packet)
        if dice >= 1 - double:
            self.harmed += 1
            os.write(out, packet)
        if out in late:
            os.write(out, late.pop(out))
