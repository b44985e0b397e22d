# SPDX-License-Identifier: BSD-2-Clause
"""One thread, asyncio: HOST PORT BACKEND-PORT. GET /x/ID is GET /y/ID at the backend, with the
request's trace."""
import asyncio
import sys

HOST, PORT, BACKEND = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def head(reader):
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None, {}
    return lines[0], dict(line.lower().split(": ", 1) for line in lines[1:] if line)


async def ask(number, fields):
    reader, writer = await asyncio.open_connection("127.0.0.1", BACKEND)
    trace = fields.get("traceparent")
    extra = f"traceparent: {trace[:36]}00000000000000ff-01\r\n" if trace else ""
    writer.write(f"GET /y/{number} HTTP/1.1\r\nHost: b\r\n{extra}\r\n".encode())
    _, answer = await head(reader)
    body = await reader.readexactly(int(answer["content-length"]))
    writer.close()
    return body


async def serve(reader, writer):
    while True:
        line, fields = await head(reader)
        if line is None:
            break
        body = await ask(line.split()[1].rpartition("/")[2], fields)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    writer.close()


async def main():
    async with await asyncio.start_server(serve, HOST, PORT, backlog=128) as server:
        await server.serve_forever()


asyncio.run(main())
