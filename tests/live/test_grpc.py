# SPDX-License-Identifier: BSD-2-Clause
"""gRPC, against what its client was told."""
import subprocess
import sys

import pytest

from programs import free_port

HTTP2 = ["--protocols", "http1,http2"]

GRPC = r"""
import sys, time
import grpc
from concurrent import futures

same = lambda data: data

class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        def fail(request, context):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such th\u00efng 100%")
        def slow(request, context):
            time.sleep(2)
            return b""
        return {
            "/t.S/Unary": grpc.unary_unary_rpc_method_handler(lambda r, c: r, same, same),
            "/t.S/Fail": grpc.unary_unary_rpc_method_handler(fail, same, same),
            "/t.S/Slow": grpc.unary_unary_rpc_method_handler(slow, same, same),
            "/t.S/Server": grpc.unary_stream_rpc_method_handler(
                lambda r, c: (b"%d" % i for i in range(7)), same, same),
            "/t.S/Client": grpc.stream_unary_rpc_method_handler(
                lambda i, c: b"%d" % sum(1 for _ in i), same, same),
        }.get(details.method)

server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Handler()])
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1])

def call(method, data=b"", **how):
    try:
        channel.unary_unary(method, same, same)(data, **how)
        print(method, "OK")
    except grpc.RpcError as error:
        print(method, error.code().name)

for i in range(20):
    call("/t.S/Unary", b"x" * i)
call("/t.S/Unary", b"y" * 300000)
call("/t.S/Fail")
call("/t.S/Missing")
call("/t.S/Slow", timeout=0.3)
print("/t.S/Server", len(list(channel.unary_stream("/t.S/Server", same, same)(b""))))

def some():
    for i in range(5):
        time.sleep(0.02)
        yield b"%d" % i

print("/t.S/Client", int(channel.stream_unary("/t.S/Client", same, same)(some())))
channel.close()
server.stop(3).wait()
"""


def test_grpc(cgroup, watch, tmp_path):
    """What the client was told is in the events of both ends."""
    pytest.importorskip("grpc")
    program = tmp_path / "calls.py"
    program.write_text(GRPC)
    watching = watch(cgroup, args=HTTP2)
    process = cgroup.spawn([sys.executable, str(program), str(free_port("127.0.0.1"))],
                           stdout=subprocess.PIPE, text=True)
    told = [line.split() for line in process.communicate(timeout=60)[0].splitlines()]
    events = watching.wait(2 * len(told), timeout=20)
    for role in "client", "server":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        assert ["/" + e["operation"] for e in mine] == [method for method, _ in told]
        for event, (method, said) in zip(mine, told):
            assert event["system"] == "grpc"
            if said == "DEADLINE_EXCEEDED":
                assert (event["end"], event["outcome"]) == ("abandoned", "cancelled")
                continue
            assert event["end"] == "complete"
            assert event["status_text"] == (said if said.isupper() else "OK")
            assert event["request_items"] == (5 if method == "/t.S/Client" else 1)
            assert event["response_items"] == (7 if method == "/t.S/Server"
                                               else 1 if event["outcome"] == "ok" else 0)
        fail = next(e for e in mine if e["path"] == "/t.S/Fail")
        assert (fail["message"], fail["outcome"]) == ("no such th\u00efng 100%", "client_error")
