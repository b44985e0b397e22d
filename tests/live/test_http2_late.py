# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 from the middle of a connection: how much of it is told, by client. What a client has put into
its table of fields before the attach stays unknown; what is told has to be right. Each test prints a
row of the table in appmon-protocols(7): pytest -s."""
import subprocess

import pytest

from programs import HERE, free_port, wait_for_port
from test_grpc import built, needs

BEFORE, AFTER = 100, 1000
HTTP2 = ["--protocols", "http1,http2"]
UNSURE = {"partial", "mid_message", "gap"}


@pytest.fixture
def server(cgroup, tmp_path):
    needs("nghttpd")
    (tmp_path / "small").write_text("hello")
    port = free_port("127.0.0.1")
    process = cgroup.spawn(["nghttpd", "--no-tls", "-d", str(tmp_path), str(port)],
                           stdout=subprocess.DEVNULL)
    wait_for_port(port, process)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def go(directory):
    needs("go")
    binary = f"{directory}/late-go"
    built(f"{HERE}/late", ["go", "build", "-o", binary, "late.go"], CGO_ENABLED="0",
          GOCACHE=f"{directory}/go-cache", GO111MODULE="off")
    return [binary]


def node(directory):
    needs("node")
    return ["node", f"{HERE}/late/late.js"]


# By how paths come: always the same, of a few, or each once.
WORKLOADS = {
    "one path": lambda i: "/small",
    "20 paths": lambda i: f"/small?{i % 20}",
    "300 paths": lambda i: f"/small?{i % 300}",
    "new paths": lambda i: f"/small?{i}",
}


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
@pytest.mark.parametrize("client", [go, node])
def test_client(client, workload, server, programs, cgroup, watch):
    process = cgroup.spawn([*client(programs.directory), server], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)

    def ask(numbers):
        asked = [WORKLOADS[workload](i) for i in numbers]
        for path in asked:
            process.stdin.write(path + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "200\n"
        return asked
    ask(range(BEFORE))
    watching = watch(cgroup, args=HTTP2)
    asked = ask(range(BEFORE, BEFORE + AFTER))
    events = watching.wait(2 * AFTER, timeout=30)
    process.stdin.close()
    process.wait()
    watching.stop()
    shares = {}
    for role in "server", "client":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        complete = told(mine, asked)
        shares[role] = [sum(complete[at:at + 100]) for at in (0, 100, AFTER - 100)]
    # What both ends see is the same.
    assert shares["server"] == shares["client"]
    print(f"\n{client.__name__}, {workload}: {shares['server']} of 100 each: the first, the second, the last")


def test_h2load(server, cgroup, watch):
    needs("h2load")
    process = cgroup.spawn(["h2load", "-n", "2000", "-c", "1", "-m", "1", "--rps", "500", f"{server}/small"],
                           stdout=subprocess.PIPE, text=True)
    watching = watch(cgroup, args=HTTP2)
    output = process.communicate(timeout=60)[0]
    assert "2000 succeeded" in output
    events = watching.stop()
    for role in "server", "client":
        mine = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        # Each from the first one that was seen to the last one that there was.
        assert [e["key"] for e in mine] == list(range(mine[0]["key"], 4000, 2))
        complete = told(mine, ["/small"] * len(mine))
        print(f"\nh2load, one path: {sum(complete)} of {len(mine)}")
