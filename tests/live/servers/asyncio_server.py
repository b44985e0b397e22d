# SPDX-License-Identifier: BSD-2-Clause
"""asyncio_server.py HOST PORT LOG: the contract of ../README.md on asyncio streams."""
import asyncio
import json
import os
import socket
import sys

PATTERN = b"HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n"


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


async def read_request(reader):
    """Returns method, target, fields and the body's length, or None at the end of the stream."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, _ = start.split(" ")
    fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    read = 0
    if fields.get("transfer-encoding", "").lower() == "chunked":
        while size := int(await reader.readline(), 16):
            read += len(await reader.readexactly(size))
            await reader.readline()
        while await reader.readline() not in (b"\r\n", b""):
            pass
    else:
        left = int(fields.get("content-length", 0))
        while left:
            part = await reader.read(min(left, 65536))
            if not part:
                return None
            left -= len(part)
            read += len(part)
    return method, target, fields, read


async def serve(reader, writer):
    port = writer.get_extra_info("peername")[1]
    keep = True
    while keep and (request := await read_request(reader)):
        method, target, fields, read = request
        keep = fields.get("connection", "").lower() != "close"
        status, body, chunked = 200, b"", False
        what, _, arg = target.partition("?")[0][1:].partition("/")
        if what == "hello":
            body = b"hello\n"
        elif what in ("bytes", "chunked"):
            body, chunked = pattern(int(arg)), what == "chunked"
        elif what == "echo":
            body = b"%d" % read
        elif what == "status":
            status, body = int(arg), b"status\n"
        elif what == "slow":
            await asyncio.sleep(int(arg) / 1000)
            body = b"slow\n"
        else:
            status, body = 404, b"no\n"
        bodiless = status in (204, 304)
        head = b"HTTP/1.1 %d Some Reason\r\nServer: asyncio\r\n" % status
        if not keep:
            head += b"Connection: close\r\n"
        if chunked:
            head += b"Transfer-Encoding: chunked\r\n"
        elif not bodiless:
            head += b"Content-Length: %d\r\n" % len(body)
        writer.write(head + b"\r\n")
        if method == "HEAD" or bodiless:
            body = b""
        elif chunked:
            step = len(body) // 4 + 1
            for i in range(0, len(body), step):
                part = body[i:i + step]
                writer.write(b"%x;ext=1\r\n%s\r\n" % (len(part), part))
                await writer.drain()
            writer.write(b"0\r\nX-Trailer: yes\r\n\r\n")
        else:
            writer.write(body)
        await writer.drain()
        log.write(json.dumps({"method": method, "target": target, "status": status,
                              "sent": len(body), "read": read, "port": port,
                              "pid": os.getpid(), "tid": os.getpid()}) + "\n")
    writer.close()


async def main():
    host, port = sys.argv[1], int(sys.argv[2])
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((host, port))
    server = await asyncio.start_server(serve, sock=sock)
    await server.serve_forever()

log = open(sys.argv[3], "a", buffering=1)
asyncio.run(main())
