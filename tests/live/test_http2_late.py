# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 from the middle of a connection: how much of it is told, by client. What a client has put into
its table of fields before the attach stays unknown; what is told has to be right. Each test prints a
row of the table in appmon-protocols(7): pytest -s."""
import subprocess

import pytest

import http2_servers
from programs import HERE, Missing, free_port
from test_grpc import OUTCOMES, STATUSES, built, grpc_go, grpc_java, grpc_js, grpcio, needs, tonic

BEFORE, AFTER = 100, 1000
HTTP2 = ["--protocols", "http1,http2"]
UNSURE = {"partial", "mid_message", "gap"}


@pytest.fixture
def server(request, cgroup, tmp_path, programs):
    # libcurl 7.88 can go on with a connection only if that began by Upgrade: h2c, which nghttpd has not.
    name = "caddy" if "[curl" in request.node.name else "nghttpd"
    try:
        started = http2_servers.Server(name, cgroup, tmp_path, programs)
    except Missing as reason:
        pytest.skip(str(reason))
    yield started.url
    started.stop()


def go(directory):
    needs("go")
    binary = f"{directory}/late-go"
    built(f"{HERE}/late", ["go", "build", "-o", binary, "late.go"], CGO_ENABLED="0",
          GOCACHE=f"{directory}/go-cache", GO111MODULE="off")
    return [binary]


def node(directory):
    needs("node")
    return ["node", f"{HERE}/late/late.js"]


def curl(directory):
    needs("cc")
    binary = f"{directory}/late-curl"
    built(f"{HERE}/late", ["cc", "-O2", "-o", binary, "late.c", "-lcurl"])
    return [binary]


# By how paths come: always the same, of a few, or each once.
WORKLOADS = {
    "one path": lambda i: "/hello",
    "20 paths": lambda i: f"/hello?{i % 20}",
    "300 paths": lambda i: f"/hello?{i % 300}",
    "new paths": lambda i: f"/hello?{i}",
}


def said(process, lines, answers):
    """Has the client ask for each line, and checks what it got."""
    for line, answer in zip(lines, answers, strict=True):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == answer + "\n"
    return lines


def told(events, paths):
    """Each event of a stream, as far as it goes, against what was asked; whether it tells all of it."""
    complete = []
    for event, path in zip(events, paths, strict=True):
        assert event["operation"] in ("", "GET"), event
        assert event["request_target"] in ("", path), (event, path)
        assert event["status"] in (0, 200), event
        whole = (event["operation"], event["request_target"], event["status"]) == ("GET", path, 200)
        assert whole or set(event["flags"]) & UNSURE
        complete.append(whole)
    return complete


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("client", [go, node, curl])
def test_client(client, workload, server, programs, cgroup, watch):
    process = cgroup.spawn([*client(programs.directory), server], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)

    def ask(numbers):
        return said(process, [WORKLOADS[workload](i) for i in numbers], ["200"] * len(numbers))
    ask(range(BEFORE))
    watching = watch(cgroup, args=HTTP2)
    asked = ask(range(BEFORE, BEFORE + AFTER))
    events = watching.wait(2 * AFTER, timeout=30)
    process.stdin.close()
    process.wait()
    watching.stop()
    complete = {}
    for role in "server", "client":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        complete[role] = shares(told(mine, asked))
    # What both ends see is the same.
    assert complete["server"] == complete["client"]
    print(f"\n{client.__name__}, {workload}: {complete['server']} of 100 each: the first, the second, the last")


def shares(are):
    return [sum(are[at:at + 100]) for at in (0, 100, AFTER - 100)]


def check_calls(events, calls):
    """The same of gRPC; and no call that has failed is said to be ok, nor the other way round."""
    for event, (method, code) in zip(events, calls, strict=True):
        name = STATUSES[code]
        call = event["system"] == "grpc"
        assert event["operation"] in ("", "POST", method[1:]), event
        assert event["path"] in ("", method), (event, method)
        assert event["status"] in (0, 200), event
        assert event["status_text"] in (("", name) if call else ("", "200")), event
        assert event["outcome"] in ("unknown", OUTCOMES[name]), (event, name)
        assert (call and event["path"] and event["status_text"]) or set(event["flags"]) & UNSURE, event


# Some of the same workloads: what the others tell is in appmon-protocols(7).
@pytest.mark.parametrize("workload", ["one path", "new paths"])
@pytest.mark.parametrize("implementation", [grpcio, grpc_go, grpc_java, grpc_js, tonic])
def test_calls(implementation, workload, programs, cgroup, watch):
    """One call in three fails."""
    process = cgroup.spawn([*implementation(programs.directory), str(free_port("127.0.0.1")), "late"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(numbers):
        name = [WORKLOADS[workload](i).partition("?")[2] for i in numbers]
        calls = [(f"/t.S/{'Unary' if i % 3 else 'Fail'}-{n}", 0 if i % 3 else STATUSES.index("NOT_FOUND"))
                 for i, n in zip(numbers, name)]
        said(process, [method for method, _ in calls], [str(code) for _, code in calls])
        return calls
    ask(range(BEFORE))
    watching = watch(cgroup, args=HTTP2)
    calls = ask(range(BEFORE, BEFORE + AFTER))
    events = watching.wait(2 * AFTER, timeout=30)
    process.stdin.close()
    process.wait()
    watching.stop()
    for role in "server", "client":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        check_calls(mine, calls)
        methods = [e["path"] != "" for e in mine]
        outcomes = [e["outcome"] != "unknown" for e in mine]
        print(f"\n{implementation.__name__}, {workload}, {role}, of 100 each, the first, the second, the last: "
              f"methods {shares(methods)}, outcomes {shares(outcomes)}")


def test_h2load(server, cgroup, watch):
    needs("h2load")
    process = cgroup.spawn(["h2load", "-n", "2000", "-c", "1", "-m", "1", "--rps", "500", f"{server}/hello"],
                           stdout=subprocess.PIPE, text=True)
    watching = watch(cgroup, args=HTTP2)
    output = process.communicate(timeout=60)[0]
    assert "2000 succeeded" in output
    events = watching.stop()
    for role in "server", "client":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        # Each from the first one that was seen to the last one that there was.
        assert [e["key"] for e in mine] == list(range(mine[0]["key"], 4000, 2))
        complete = told(mine, ["/hello"] * len(mine))
        print(f"\nh2load, one path: {sum(complete)} of {len(mine)}")
