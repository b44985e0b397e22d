# SPDX-License-Identifier: BSD-2-Clause
"""An HTTP/1.1 client that counts the bytes of the stream and notes the times: the truth that
events are compared with. It shares no code with the library."""
import socket
import time


class Connection:
    def __init__(self, address, sock=None):
        if sock is None:
            sock = socket.create_connection(address, timeout=10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.authority = f"{host}:{address[1]}"
        self.port = self.sock.getsockname()[1]
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def _more(self):
        data = self.sock.recv(262144)
        self._buffer += data
        return bool(data)

    def _take(self, n):
        while len(self._buffer) < n:
            if not self._more():
                raise EOFError(f"{len(self._buffer)} of {n} bytes")
        taken, self._buffer = self._buffer[:n], self._buffer[n:]
        return taken

    def _take_until(self, mark):
        while mark not in self._buffer:
            if not self._more():
                raise EOFError(f"no {mark!r} in {self._buffer[:80]!r}")
        return self._take(self._buffer.index(mark) + len(mark))

    def send(self, method, target, length=0, framing="none", close=False, fields=()):
        """Sends a request; returns what was sent and when."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.authority}", "User-Agent: wire"]
        lines += fields
        if close:
            lines.append("Connection: close")
        body = b"x" * length
        if framing == "length":
            lines.append(f"Content-Length: {length}")
        elif framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            step = length // 3 + 1
            parts = [body[i:i + step] for i in range(0, length, step)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        sent = {"method": method, "target": target, "framing": framing, "length": length,
                "request_head": len(head), "request_body": len(body), "close": close,
                "port": self.port, "authority": self.authority, "start": time.monotonic_ns()}
        self.sock.sendall(head + body)
        return sent

    def receive(self, sent):
        """Reads the response; returns `sent` with what was received and when added."""
        while True:
            head = self._take_until(b"\r\n\r\n")
            start, *lines = head[:-4].decode("latin-1").split("\r\n")
            version, status, *reason = start.split(" ", 2)
            if not 100 <= int(status) < 200 or status == "101":
                break
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        length = int(fields["content-length"]) if "content-length" in fields else -1
        wire = payload = 0
        if sent["method"] == "HEAD" or status in ("204", "304"):
            pass
        elif chunked:
            while True:
                line = self._take_until(b"\r\n")
                size = int(line.partition(b";")[0], 16)
                wire += len(line)
                payload += size
                if size == 0:
                    break
                wire += len(self._take(size + 2))
            while line != b"\r\n":
                line = self._take_until(b"\r\n")
                wire += len(line)
        elif length >= 0:
            wire = payload = len(self._take(length))
        else:
            while self._more():
                pass
            wire = payload = len(self._take(len(self._buffer)))
        received = {"end": time.monotonic_ns(), "version": version[5:], "status": int(status),
                    "reason": reason[0] if reason else "", "fields": fields,
                    "response_head": len(head), "response_body": wire, "payload": payload,
                    "content_length": length, "chunked": chunked,
                    "keep": version == "HTTP/1.1" and not sent["close"]
                    and fields.get("connection", "").lower() != "close"}
        return {**sent, **received}

    def exchange(self, *args, **kwargs):
        return self.receive(self.send(*args, **kwargs))
