# SPDX-License-Identifier: BSD-2-Clause
"""threading_server.py HOST PORT LOG: the contract of ../README.md on http.server."""
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATTERN = b"HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n"


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            total = 0
            while size := int(self.rfile.readline(), 16):
                total += len(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            return total
        return len(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def finish_with(self, status, body):
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD" or status in (204, 304):
            return 0
        self.wfile.write(body)
        return len(body)

    def chunked(self, n):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return 0
        body, step = pattern(n), n // 4 + 1
        for i in range(0, n, step):
            part = body[i:i + step]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")
        return n

    def answer(self):
        read = self.read_body()
        what, _, arg = self.path.partition("?")[0][1:].partition("/")
        status = 200
        if what == "hello":
            sent = self.finish_with(200, b"hello\n")
        elif what == "bytes":
            sent = self.finish_with(200, pattern(int(arg)))
        elif what == "chunked":
            sent = self.chunked(int(arg))
        elif what == "echo":
            sent = self.finish_with(200, b"%d" % read)
        elif what == "status":
            status = int(arg)
            sent = self.finish_with(status, b"status\n")
        elif what == "slow":
            time.sleep(int(arg) / 1000)
            sent = self.finish_with(200, b"slow\n")
        else:
            status = 404
            sent = self.finish_with(404, b"no\n")
        log.write(json.dumps({"method": self.command, "target": self.path, "status": status,
                              "sent": sent, "read": read, "port": self.client_address[1],
                              "pid": os.getpid(), "tid": threading.get_native_id()}) + "\n")

    do_GET = do_HEAD = do_POST = do_PUT = answer


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


host, port = sys.argv[1], int(sys.argv[2])
log = open(sys.argv[3], "a", buffering=1)
Server.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
Server((host, port), Handler).serve_forever()
