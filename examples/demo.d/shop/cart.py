# SPDX-License-Identifier: BSD-2-Clause
"""cart.py DIR REDIS: the shop's carts, which are lists in the redis that listens on port REDIS.
Writes its port to DIR/cart.port."""
import http.server
import os
import re
import socket
import sys
import threading

KEPT = 20  # of a cart

local = threading.local()


def redis(*command):
    """One command in redis' protocol (RESP); returns bytes, a number, a list or None."""
    if not hasattr(local, "stream"):
        sock = socket.create_connection(("127.0.0.1", redis_port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        local.stream = sock.makefile("rwb")
    parts = [str(part).encode() for part in command]
    local.stream.write(b"*%d\r\n" % len(parts)
                       + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    local.stream.flush()
    return reply()


def reply():
    line = local.stream.readline()[:-2]
    kind, rest = line[:1], line[1:]
    if kind == b"$":
        return local.stream.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
    if kind == b"*":
        return [reply() for _ in range(int(rest))]
    if kind == b":":
        return int(rest)
    if kind == b"-":
        raise RuntimeError(rest.decode())
    return rest


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_cart(self):
        found = re.fullmatch(r"/cart/(\d+)", self.path)
        item = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not found:
            self.answer(404, b"no such cart\n")
        elif self.command == "POST":
            redis("LPUSH", f"cart:{found[1]}", item.decode())
            redis("LTRIM", f"cart:{found[1]}", 0, KEPT - 1)
            self.answer(201, b"added\n")
        else:
            items = redis("LRANGE", f"cart:{found[1]}", 0, -1)
            self.answer(200, b"".join(item + b"\n" for item in items))

    do_GET = do_POST = handle_cart


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


directory, redis_port = sys.argv[1], int(sys.argv[2])
server = Server(("127.0.0.1", 0), Handler)
with open(f"{directory}/cart.port.new", "w") as f:
    print(server.server_port, file=f)
os.rename(f"{directory}/cart.port.new", f"{directory}/cart.port")
server.serve_forever()
