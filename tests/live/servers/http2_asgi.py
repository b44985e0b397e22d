# SPDX-License-Identifier: BSD-2-Clause
"""http2_asgi.py PORT LOG: the contract of http2_servers.py on hypercorn, with Python's h2 below it.
What comes by WebSocket goes back."""
import asyncio
import json
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        assert (await receive())["type"] == "websocket.connect"
        print(json.dumps(["CONNECT", scope["path"], 200]), file=log, flush=True)
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        return
    read, more = 0, True
    while more:
        message = await receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)
    _, what, *rest = scope["path"].split("/")
    status, body = {"hello": lambda: (200, b"hello\n"),
                    "bytes": lambda: (200, b"z" * int(rest[0])),
                    "echo": lambda: (200, b"%d" % read),
                    "status": lambda: (int(rest[0]), b"status\n")}[what]()
    query = scope["query_string"].decode()
    print(json.dumps([scope["method"], scope["path"] + ("?" + query if query else ""), status]),
          file=log, flush=True)
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


config = Config()
config.bind = [f"127.0.0.1:{sys.argv[1]}"]
log = open(sys.argv[2], "a")
asyncio.run(serve(app, config))
