# SPDX-License-Identifier: BSD-2-Clause
"""Network namespaces joined by a bad link. Link: tun devices, and this process carries each packet,
or does not. Veth: veth pairs, and load/netem.c in their middle, which is quick and keeps offloads."""
import contextlib
import ctypes
import fcntl
import json
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


class Namespace:
    """A network namespace without a name: it cannot collide with another, and the kernel removes it
    with all that is in it when the last that knows of it is gone, however this process ends."""

    def __init__(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            self._namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            self._set_up()
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
            os.close(home)

    def _set_up(self):
        self._ip("link set lo up")

    @staticmethod
    def _ip(arguments):
        subprocess.run(["ip", *arguments.split()], check=True)

    @property
    def path(self):
        """A name for ip(8)."""
        return f"/proc/{os.getpid()}/fd/{self._namespace}"

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

    def run(self, *argv):
        with self.inside():
            return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout

    def ip(self, arguments):
        self.run("ip", *arguments.split())

    def sysctl(self, name, value):
        with self.inside(), open("/proc/sys/" + name.replace(".", "/"), "w") as f:
            f.write(str(value))

    def close(self):
        os.close(self._namespace)


class Side(Namespace):
    """A namespace with one tun device; what is sent there can be read from `tun`."""

    def __init__(self, address, peer):
        self.address, self._peer = address, peer
        super().__init__()

    def _set_up(self):
        super()._set_up()
        self.tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"bad0", IFF_TUN | IFF_NO_PI))
        self._ip(f"addr add {self.address} peer {self._peer} dev bad0")
        self._ip("link set bad0 up")

    def close(self):
        os.close(self.tun)
        super().close()


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


class Veth:
    """Two namespaces, `server` and `client`, each with a veth device `end0`. Their other ends lie
    in a third one, where `netem` (the command of load/netem.c) carries and harms the frames."""

    OFFLOADS = {"tso", "gso", "gro"}

    def __init__(self, netem, mtu=1500, offloads=("gso", "gro"), **harm):
        self.harmed = None
        with contextlib.ExitStack() as stack:
            self.server, self.client, middle = (Namespace() for _ in range(3))
            for namespace in (self.server, self.client, middle):
                stack.callback(namespace.close)
                namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
            self.server.address, self.server.lladdr = "10.98.0.1", "02:00:00:00:00:01"
            self.client.address, self.client.lladdr = "10.98.0.2", "02:00:00:00:00:02"
            for side, other, name in ((self.server, self.client, "server"),
                                      (self.client, self.server, "client")):
                self._connect(side, other, middle, name, mtu)
                features = [word for offload in sorted(self.OFFLOADS)
                            for word in (offload, "on" if offload in offloads else "off")]
                side.run("ethtool", "-K", "end0", *features)
            with middle.inside():
                self._netem = subprocess.Popen(
                    [*netem, "server", "client", *(f"{k}={v}" for k, v in harm.items())],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(self.stop)
            assert self._netem.stdout.readline() == "ready\n"
            self._cleanup = stack.pop_all()

    @staticmethod
    def _connect(side, other, middle, name, mtu):
        side.ip(f"link add end0 mtu {mtu} address {side.lladdr} type veth"
                f" peer name {name} mtu {mtu} netns {middle.path}")
        side.ip(f"addr add {side.address}/24 dev end0")
        side.ip("link set end0 up")
        side.ip(f"neigh add {other.address} lladdr {other.lladdr} dev end0")
        middle.ip(f"link set {name} up")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._cleanup.close()

    def stop(self):
        """Cuts the link; `harmed` says how many packets it met, and what it did to them."""
        if self.harmed is None:
            self.harmed = json.loads(self._netem.communicate()[0] or "{}")
