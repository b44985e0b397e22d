# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2: nghttpd, against what h2load and curl count, and gRPC, against what its client was told."""
import collections
import re
import shutil
import socket
import subprocess
import sys
import time

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


@pytest.fixture
def nghttpd(cgroup, tmp_path):
    if not shutil.which("nghttpd"):
        pytest.skip("nghttpd is not installed")
    root = tmp_path / "root"
    root.mkdir()
    (root / "small").write_text("hello\n")
    (root / "large").write_bytes(b"z" * 300000)
    port = free_port("127.0.0.1")
    process = cgroup.spawn(["nghttpd", "--no-tls", "-d", str(root), str(port)],
                           stdout=subprocess.DEVNULL)
    wait_for(port, process)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def wait_for(port, process):
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)


@pytest.mark.parametrize("streams", [1, 32, 100])
def test_h2load(streams, nghttpd, cgroup, watch):
    """Each request of several connections is an event, with the path and the status of its own."""
    watching = watch(cgroup, args=HTTP2)
    urls = [nghttpd + path for path in ("/small", "/large?x=1", "/none")]
    done = subprocess.run(["h2load", "-n", "900", "-c", "3", "-m", str(streams), *urls],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    counted = re.search(r"status codes: (\d+) 2xx, 0 3xx, (\d+) 4xx", done.stdout)
    events = watching.wait(900, timeout=20)
    seen = collections.Counter((e["path"], e["query"], e["status"], e["end"]) for e in events)
    assert seen == {("/small", "", 200, "complete"): 300, ("/large", "x=1", 200, "complete"): 300,
                    ("/none", "", 404, "complete"): 300}
    assert sum(e["status"] == 200 for e in events) == int(counted[1])
    assert sum(e["status"] == 404 for e in events) == int(counted[2])
    for event in events:
        assert (event["protocol"], event["role"], event["flags"]) == ("http2", "server", [])
        assert event["response_body_bytes"] == {"/small": 6, "/large": 300000}.get(
            event["path"], event["response_body_bytes"])
    # One connection's streams are numbered by its client: 1, 3, 5 ...
    by_connection = collections.defaultdict(set)
    for event in events:
        by_connection[event["connection_id"]].add(event["key"])
    assert all(keys == set(range(1, 2 * len(keys), 2)) for keys in by_connection.values())
    watching.stop()
    watching.check_sums(delivered=900)


def test_curl(nghttpd, cgroup, watch, tmp_path):
    """An upload of several frames, and both bodies' bytes."""
    upload = tmp_path / "upload"
    upload.write_bytes(b"u" * 200000)
    watching = watch(cgroup, args=HTTP2)
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--data-binary", f"@{upload}",
                           "-o", "/dev/null", "-w", "%{http_code} %{http_version} %{size_download}",
                           nghttpd + "/large"], stdout=subprocess.PIPE, text=True, check=True)
    event, = watching.wait(1)
    assert done.stdout == "200 2 300000"
    assert (event["operation"], event["path"], event["status"]) == ("POST", "/large", 200)
    assert event["request_body_bytes"] == event["request_content_length"] == 200000
    assert event["response_body_bytes"] == 300000
    assert event["authority"] == nghttpd[len("http://"):]


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
