# SPDX-License-Identifier: BSD-2-Clause
"""calls.py PORT [CERTIFICATE]: the calls of test_grpc.py, both ends of them, with grpcio; inside TLS with
CERTIFICATE.pem and .key.
calls.py PORT late: a call of each method that a line of standard input names; prints its status."""
import json
import sys
import threading
import time
from concurrent import futures

import grpc


# Of gRPC's tests for interoperability: special_status_message.
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"


def same(data):
    return data


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        def fail(request, context):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such th\u00efng 100%")

        def special(request, context):
            context.abort(grpc.StatusCode.UNKNOWN, SPECIAL)

        def broken(request, context):
            yield from [b"x"] * 3
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more")

        def slow(request, context):
            over = threading.Event()
            context.add_callback(over.set)
            over.wait()
            return b""

        return {
            "/t.S/Unary": grpc.unary_unary_rpc_method_handler(lambda r, c: r, same, same),
            "/t.S/Fail": grpc.unary_unary_rpc_method_handler(fail, same, same),
            "/t.S/Special": grpc.unary_unary_rpc_method_handler(special, same, same),
            "/t.S/Slow": grpc.unary_unary_rpc_method_handler(slow, same, same),
            "/t.S/Server": grpc.unary_stream_rpc_method_handler(
                lambda r, c: (b"%d" % i for i in range(7)), same, same),
            "/t.S/Broken": grpc.unary_stream_rpc_method_handler(broken, same, same),
            "/t.S/Client": grpc.stream_unary_rpc_method_handler(
                lambda i, c: b"%d" % sum(1 for _ in i), same, same),
            "/t.S/Both": grpc.stream_stream_rpc_method_handler(lambda i, c: i, same, same),
        }.get(details.method.split("-")[0])  # many names, one method


def say(method, error, sent, received):
    code, text = (error.code().value[0], error.details()) if error else (0, "")
    print(json.dumps([method, code, text, sent, received]), flush=True)


def unary(method, size, **how):
    error = None
    try:
        channel.unary_unary(method, same, same)(b"x" * size, **how)
    except grpc.RpcError as e:
        error = e
    say(method, error, 1, 0 if error else 1)


def several(method):
    received, error = 0, None
    try:
        for _ in channel.unary_stream(method, same, same)(b""):
            received += 1
    except grpc.RpcError as e:
        error = e
    say(method, error, 1, received)


def give_up(method):
    over = threading.Event()

    def none():
        over.wait()
        yield from ()

    call = channel.stream_unary(method, same, same).future(none())
    time.sleep(0.1)  # the head is out
    call.cancel()
    over.set()
    say(method, call, 0, 0)


def both(count, cancel):
    answers = threading.Semaphore(0)

    def some():
        for i in range(count):
            yield b"%d" % i
            answers.acquire()
        if cancel:
            call.cancel()

    received, error = 0, None
    call = channel.stream_stream("/t.S/Both", same, same)(some())
    try:
        for _ in call:
            received += 1
            answers.release()
    except grpc.RpcError as e:
        error = e
    say("/t.S/Both", error, count, received)


def read(path):
    with open(path, "rb") as f:
        return f.read()


address, late = "127.0.0.1:" + sys.argv[1], sys.argv[2:] == ["late"]
server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Handler()])
if sys.argv[2:] and not late:
    certificate, key = read(sys.argv[2] + ".pem"), read(sys.argv[2] + ".key")
    server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate),
                                  [("grpc.ssl_target_name_override", "localhost")])
else:
    server.add_insecure_port(address)
    channel = grpc.insecure_channel(address)
server.start()
if late:
    for line in sys.stdin:
        code = grpc.StatusCode.OK
        try:
            channel.unary_unary(line.strip(), same, same)(b"hello")
        except grpc.RpcError as e:
            code = e.code()
        print(code.value[0], flush=True)
    channel.close()
    server.stop(3).wait()
    sys.exit()
for length in 0, 1, 100, 300000:
    unary("/t.S/Unary", length)
for name in "/t.S/Fail", "/t.S/Special", "/t.S/Missing", "/t.Other/Unary":
    unary(name, 0)
unary("/t.S/Slow", 0, timeout=0.3)
several("/t.S/Server")
several("/t.S/Broken")
assert channel.stream_unary("/t.S/Client", same, same)(b"%d" % i for i in range(5)) == b"5"
say("/t.S/Client", None, 5, 1)
give_up("/t.S/Client")
both(0, False)
both(4, False)
both(2, True)
time.sleep(0.1)
channel.close()
server.stop(3).wait()
