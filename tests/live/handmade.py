# SPDX-License-Identifier: BSD-2-Clause
"""A TCP peer made by hand at the far end of a tun device: it sends any segment in any order."""
import os
import select
import socket
import struct
import time

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def _checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Peer:
    """One connection with the kernel at `side` (a network.Side). Offsets count from its first byte
    of data."""

    def __init__(self, side, address, port, start=0xFFFFFF00):
        self._tun = side.tun
        self._hosts = socket.inet_aton(address), socket.inet_aton(side.address)
        self._ports = port, None
        self._start = start  # so that the numbers wrap around soon
        self.sent = 0        # the end of what was sent
        self._next = 0       # the kernel's next number
        self.received = b""

    def segment(self, offset, data=b"", flags=ACK):
        seq = (self._start + 1 + offset) % 2**32
        tcp = struct.pack("!HHIIBBHHH", *self._ports, seq, self._next if flags & ACK else 0, 5 << 4,
                          flags, 65000, 0, 0) + data
        pseudo = b"".join(self._hosts) + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp))
        tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0)
        ip += b"".join(self._hosts)
        os.write(self._tun, ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:] + tcp)

    def _read(self, timeout=5):
        """The next segment for this connection: flags and data."""
        deadline = time.monotonic() + timeout
        while select.select([self._tun], [], [], max(0, deadline - time.monotonic()))[0]:
            packet = os.read(self._tun, 65536)
            if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
                continue
            tcp = packet[20:struct.unpack("!H", packet[2:4])[0]]
            source, port, seq = struct.unpack("!HHI", tcp[:8])
            if port != self._ports[0] or self._ports[1] not in (None, source):
                continue
            self._ports = port, source
            data = tcp[(tcp[12] >> 4) * 4:]
            if tcp[13] & SYN:
                self._next = (seq + 1) % 2**32
            elif seq == self._next:
                self.received += data
                self._next = (seq + len(data) + bool(tcp[13] & FIN)) % 2**32
            return tcp[13], data
        raise TimeoutError("no segment came")

    def connect(self, port, acknowledge=True):
        """Without `acknowledge` the first data completes the handshake: until then the kernel
        has no socket for the connection."""
        self._ports = self._ports[0], port
        self.segment(-1, flags=SYN)
        while not self._read()[0] & SYN:
            pass
        if acknowledge:
            self.segment(0)

    def accept(self):
        while not self._read()[0] & SYN:
            pass
        self.segment(-1, flags=SYN | ACK)
        while self._read()[0] & SYN:
            pass

    def receive(self, end):
        """Reads until what was received ends with `end`, and acknowledges it; returns it."""
        while not self.received.endswith(end):
            self._read()
            self.segment(self.sent)
        taken, self.received = self.received, b""
        return taken

    def send(self, data, pieces=None, fin=False):
        """Sends data as the segments that `pieces`, pairs of start and end, cut out of it."""
        for start, end in pieces or [(0, len(data))]:
            last = fin and end == len(data)
            self.segment(self.sent + start, data[start:end], PSH | ACK | FIN * last)
        self.sent += len(data) + fin
