# SPDX-License-Identifier: BSD-2-Clause
"""gRPC: each call against what its client was told, with the implementations of grpc/."""
import json
import os
import shutil
import subprocess
import sys

import pytest

from programs import free_port
from watch import cli

HERE = os.path.dirname(os.path.abspath(__file__))
STATUSES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
            "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
            "OUT_OF_RANGE", "UNIMPLEMENTED"]
OUTCOMES = {"OK": "ok", "NOT_FOUND": "client_error", "RESOURCE_EXHAUSTED": "client_error",
            "UNKNOWN": "server_error", "UNIMPLEMENTED": "server_error"}
JARS = [*(f"grpc-{part}" for part in ("api", "context", "core", "netty", "stub")), "guava",
        "perfmark-api", *(f"netty-{part}" for part in ("buffer", "codec", "codec-http", "codec-http2",
                                                       "common", "handler", "resolver", "transport"))]
CALLS = 16
STREAMS = {"/t.S/Server", "/t.S/Broken", "/t.S/Client", "/t.S/Both"}
# Those calls that a client gives up have no status of the server's.
GIVEN_UP = {"CANCELLED", "DEADLINE_EXCEEDED"}


def needs(tool):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")


def built(directory, argv, **env):
    done = subprocess.run(argv, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, **env})
    if done.returncode:
        pytest.skip(f"{argv[0]} cannot build it: {done.stdout[-500:]}")


def grpcio(directory):
    pytest.importorskip("grpc.aio")  # of the package: grpc/ here is one of that name, too
    return [sys.executable, f"{HERE}/grpc/calls.py"]


def grpc_go(directory):
    needs("go")
    built(f"{HERE}/grpc", ["go", "build", "-o", f"{directory}/grpc-go", "."], CGO_ENABLED="0",
          GOCACHE=f"{directory}/go-cache")
    return [f"{directory}/grpc-go"]


def grpc_js(directory):
    needs("node")
    needs("npm")
    modules = f"{directory}/grpc-js"
    if not os.path.exists(f"{modules}/node_modules"):
        os.makedirs(modules, exist_ok=True)
        shutil.copy(f"{HERE}/grpc/package.json", modules)
        built(modules, ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"])
    return ["node", f"{HERE}/grpc/calls.js", f"{modules}/node_modules"]


def grpc_java(directory):
    needs("javac")
    jars = [f"/usr/share/java/{name}.jar" for name in JARS]
    missing = [jar for jar in jars if not os.path.exists(jar)]
    if missing:
        pytest.skip(f"no {missing[0]} (Debian: libgrpc-java, libnetty-java, libperfmark-java)")
    out = f"{directory}/grpc-java"
    built(directory, ["javac", "-encoding", "UTF-8", "-cp", ":".join(jars), "-d", out,
                      f"{HERE}/grpc/Calls.java"])
    return ["java", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m",
            "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", ":".join([*jars, out]), "Calls"]


def tonic(directory):
    needs("cargo")
    target = f"{directory}/tonic"
    built(f"{HERE}/grpc", ["cargo", "build", "--quiet", "--locked", "--target-dir", target])
    return [f"{target}/debug/calls"]


@pytest.mark.parametrize("implementation", [grpcio, grpc_go, grpc_js, grpc_java, tonic])
def test_calls(implementation, programs, cgroup, watch, tmp_path):
    """Unary, streams in each direction, empty ones and an empty and a large message, errors with and
    without a head of their own or behind messages, messages of a status, a deadline and two
    cancellations: of both ends' events each tells what the client was told."""
    command = implementation(programs.directory)
    recording = f"{tmp_path}/recording"
    watching = watch(cgroup, args=["--protocols", "http1,http2", "--record", recording])
    process = cgroup.spawn([*command, str(free_port("127.0.0.1"))], stdout=subprocess.PIPE, text=True)
    told = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
    assert process.returncode == 0 and len(told) == CALLS
    events = watching.wait(2 * len(told), timeout=20)
    watching.stop()
    for role in "client", "server":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        assert len({e["connection_id"] for e in mine}) == 1
        assert ["/" + e["operation"] for e in mine] == [method for method, *_ in told]
        for event, (method, code, message, sent, received) in zip(mine, told):
            assert (event["system"], event["operation_type"]) == ("grpc", "call")
            assert event["path"] == method
            if method == "/t.S/Slow":
                # The server knows of it, too: whoever is first ends the call.
                assert event["outcome"] in ("cancelled", "no_response") or \
                    event["status_text"] in GIVEN_UP
            elif STATUSES[code] in GIVEN_UP:
                assert (event["end"], event["outcome"]) == ("abandoned", "cancelled")
            else:
                assert (event["end"], event["status"]) == ("complete", 200)
                assert event["status_text"] == STATUSES[code]
                assert event["status_number"] == code
                assert event["outcome"] == OUTCOMES[STATUSES[code]]
                assert event["message"] == message or (code == 0 and event["message"] == "OK")
            # Not told where several share a DATA frame, as grpc-java sends them.
            assert event.get("request_items", sent) == sent
            if method == "/t.S/Client" and code:
                # Node.js ends the requests before it gives up: the server may have answered.
                assert event["response_items"] in (0, 1)
            else:
                assert event.get("response_items", received) == received
            assert method in STREAMS or {"request_items", "response_items"} <= set(event)
            assert not set(event["flags"]) - {"early_response", "no_response"}
    watching.check_sums(delivered=2 * len(told))
    # As a user sees them, and the same from a recording.
    lines = subprocess.run([cli(), "replay", "--protocols", "http1,http2", recording], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.splitlines()
    for method, code, *_ in told:
        if STATUSES[code] not in GIVEN_UP:
            said = f"[{STATUSES[code]}" if code else ""
            assert any(f" {'ERR' if code else 'OK'} " in line and f" grpc {method}" in line
                       and said in line for line in lines), lines
    assert len([line for line in lines if " grpc " in line]) == 2 * len(told)
