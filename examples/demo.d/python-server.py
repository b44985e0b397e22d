# SPDX-License-Identifier: BSD-2-Clause
"""python-server.py DIR: an ordinary threaded server of Python's standard library. Writes its port
to DIR/python.port and, when it is stopped, its access log to DIR/python.access.log."""
import http.server
import json
import os
import signal
import sys
import time


class Counted:
    """A stream that counts the bytes which pass through it."""

    def __init__(self, stream):
        self._stream = stream
        self.bytes = 0

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def readline(self, size=-1):
        return self._count(self._stream.readline(size))

    def read(self, size=-1):
        return self._count(self._stream.read(size))

    def write(self, data):
        self.bytes += len(data)
        return self._stream.write(data)

    def _count(self, data):
        self.bytes += len(data)
        return data


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    lines = []

    def setup(self):
        super().setup()
        self.rfile, self.wfile = Counted(self.rfile), Counted(self.wfile)

    def handle_one_request(self):
        self.rfile.bytes = self.wfile.bytes = 0
        self.start = self.status = 0
        super().handle_one_request()
        if self.start:
            self.lines.append(json.dumps({
                "port": self.client_address[1], "method": self.command, "target": self.path,
                "status": self.status, "received": self.rfile.bytes, "sent": self.wfile.bytes,
                "agent": self.headers.get("User-Agent", ""),
                "seconds": time.monotonic() - self.start}))

    def parse_request(self):
        self.start = time.monotonic()
        return super().parse_request()

    def log_request(self, code="-", size="-"):
        self.status = int(code)

    def answer(self):
        form = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        status, fields, body = 200, {}, b"<h1>Hello</h1>\n"
        if path == "/login":
            status, fields, body = 303, {"Location": "/"}, b""
        elif path == "/account":
            status, fields, body = 401, {"WWW-Authenticate": "Basic"}, b"who are you?\n"
        elif path == "/download":
            body = bytes(1000000)
        elif path == "/slow":
            time.sleep(0.15)
        elif path == "/form":
            body = b"thanks for %d bytes\n" % len(form)
        elif path == "/broken":
            status, body = 500, b"broken\n"
        elif path != "/":
            status, body = 404, b"no such page\n"
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer


class Stop(Exception):
    """SIGTERM came."""


def stop(*_):
    raise Stop


def main():
    directory = sys.argv[1]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with open(f"{directory}/python.port.new", "w") as f:
        f.write(str(server.server_port))
    os.rename(f"{directory}/python.port.new", f"{directory}/python.port")
    try:
        server.serve_forever()
    except Stop:
        with open(f"{directory}/python.access.log", "w") as f:
            f.writelines(line + "\n" for line in Handler.lines)


main()
