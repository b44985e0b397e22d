# SPDX-License-Identifier: BSD-2-Clause
"""Looks at what one virtual machine brought back: check.py DIRECTORY. Exit status 1: a failure."""
import json
import os
import re
import sys

REQUESTS = 20  # as in end-to-end
TLS_REQUESTS = 5  # as in tls
SKIPPED = 77


def read(directory, name):
    path = os.path.join(directory, name)
    return open(path, errors="replace").read() if os.path.exists(path) else ""


def check_load(out):
    print(out, end="")


def check_capabilities(out):
    capabilities = json.loads(out)["capabilities"]
    print("capabilities: " + ", ".join(k for k, v in capabilities.items() if v))
    assert capabilities["capture"] and capabilities["identity"] and capabilities["tls"], capabilities


def check_end_to_end(out):
    *events, last = [json.loads(line) for line in out.splitlines()]
    assert len(events) == REQUESTS, f"{len(events)} events for {REQUESTS} requests"
    # An event comes when its response has ended: on two connections in either order.
    for n, event in enumerate(sorted(events, key=lambda event: event["request_start_ns"]), 1):
        expected = {
            "protocol": "http1", "role": "server", "operation": "GET", "outcome": "ok",
            "request_target": f"/index.html?n={n}", "path": "/index.html", "query": f"n={n}",
            "authority": "127.0.0.1:8080", "status": 200, "end": "complete",
            "app": "web", "local": "127.0.0.1:8080",
            "request_body_bytes": 0, "response_body_bytes": len("it works\n"),
            "response_content_length": len("it works\n"),
            "comm": "httpd", "uid": 0, "tid": event["pid"],
            "response_pid": event["pid"], "response_tid": event["pid"],
        }
        wrong = {k: event.get(k) for k, v in expected.items() if event.get(k) != v}
        assert not wrong, f"event {n}: {wrong}"
        times = [event[k] for k in ("request_start_ns", "request_end_ns", "response_start_ns",
                                    "response_end_ns")]
        assert 0 < times[0] and times == sorted(times), f"event {n}: {times}"
        reads = [event["request_start_ns"], event["read_start_ns"], event["read_end_ns"]]
        # On two CPUs a request can overtake the handshake's last ACK. It meets the listening socket
        # then, and who reads it is not seen.
        assert event["owner"] == "read" and reads == sorted(reads) or \
            event["owner"] == "sent" and reads[1:] == [0, 0], f"event {n}: {event['owner']}, {reads}"
        assert event["pid"]
    assert [event["owner"] for event in events].count("read") > REQUESTS / 2
    assert len({event["connection_id"] for event in events}) == REQUESTS
    stats = last["summary"]["stats"]
    assert stats["delivered"] == REQUESTS, stats
    assert not any(stats["dropped"].values()), stats


def check_tls(out):
    *events, last = [json.loads(line) for line in out.splitlines()]
    assert {(e["protocol"], e["role"], e["status"]) for e in events} == {("http1", "server", 200)}
    assert sorted(e["path"] for e in events) == [f"/{n + 1}" for n in range(TLS_REQUESTS)]
    assert {e["response_body_bytes"] for e in events} == {len("it works\n")}
    assert last["summary"]["stats"]["tls_refused"] == 0


def refused(directory):
    """On a kernel that is too old: one sentence says so, with the exit status of a failure."""
    err = read(directory, "capabilities.err")
    last = err.splitlines()[-1] if err else ""
    good = read(directory, "capabilities.rc").strip() == "1" and \
        re.match(r"appmon: the kernel did not accept .*Linux 5\.15 or later", last)
    print(last)
    return (1, 0, 0) if good else (0, 1, 0)


def counts(directory, name, check):
    """(passed, failed, skipped) of one step."""
    rc, out, err = (read(directory, name + suffix) for suffix in (".rc", ".out", ".err"))
    if not rc:
        return 0, 0, 1
    if rc.strip() == "slow":
        print(f"{name}: left out, opening a handle takes too long here")
        return 0, 0, 0
    summary = re.search(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", out)
    if int(rc) == SKIPPED:
        return 0, 0, 1
    if summary:
        total, failures, errors = map(int, summary.groups())
        result = total - failures - errors, failures + errors, 0
    else:
        result = (1, 0, 0) if int(rc) == 0 else (0, 1, 0)
    problem = None
    try:
        if int(rc) == 0 and check:
            check(out)
    except (AssertionError, KeyError, ValueError) as found:
        problem = f"{type(found).__name__}: {found}"
        result = 0, 1, 0
    if result[1] or int(rc):
        print("\n".join((out + err).splitlines()[-40:]))
        print(f"{name}: FAILED, exit status {int(rc)}; all of it: {directory}/{name}.out and .err")
        if problem:
            print(problem)
        result = result[0], max(result[1], 1), 0
    return result


def main(directory):
    steps = {"load": check_load, "capabilities": check_capabilities,
             "end-to-end": check_end_to_end, "tls": check_tls, "api": None}
    kernel = read(directory, "kernel").strip() or "?"
    version = [int(n) for n in re.findall(r"\d+", kernel)[:2]]
    if [0] < version < [5, 15]:
        results = [refused(directory)]
    else:
        results = [counts(directory, *step) for step in steps.items()]
    passed, failed, skipped = map(sum, zip(*results))
    print(f"kernel {kernel}: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


sys.exit(main(sys.argv[1]))
