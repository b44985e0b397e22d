# SPDX-License-Identifier: BSD-2-Clause
"""Every server, watched: each event against the wire and against the server's own log."""
import pytest

import mix
from compare import by_target, check_logged, check_server_owner, check_wire
from programs import SERVERS
from wire import Connection

# Who reads the requests, if not who answers them: tiny_http has threads for that. Before Go's handler
# runs its goroutine is free to change the thread, and while it runs another waits for a next byte.
READERS = {"rust": "hands_over", "go": "may_move"}
HOSTS = {"ipv4": ("127.0.0.1", "127.0.0.1"), "ipv6": ("::1", "::1"), "mapped": ("::", "127.0.0.1")}


def exchange_all(address, requests, close):
    if close:
        seen = []
        for request in requests:
            with Connection(address) as connection:
                seen.append(connection.exchange(*request, close=True))
        return seen
    with Connection(address) as connection:
        return [connection.exchange(*request) for request in requests]


@pytest.mark.parametrize("mode", ["keep-alive", "close"])
@pytest.mark.parametrize("family", HOSTS)
@pytest.mark.parametrize("name", SERVERS)
def test_server(name, family, mode, cgroup, start_server, watch):
    listen, connect = HOSTS[family]
    server = start_server(name, cgroup, host=listen)
    requests = mix.requests(name)
    watching = watch(cgroup)
    seen = exchange_all((connect, server.port), requests, mode == "close")
    watching.wait(len(requests))
    events = by_target(watching.stop())
    logged = {line["target"]: line for line in server.log.lines(len(requests))}

    assert set(events) == set(logged) == {target for _, target, _, _ in requests}
    for number, wire in enumerate(seen, 1):
        event = events[wire["target"]]
        check_wire(event, wire, cgroup)
        check_logged(event, logged[wire["target"]])
        check_server_owner(event, logged[wire["target"]], READERS.get(name, "answers"))
        assert event["app"] == cgroup.name
        assert event["ordinal"] == (1 if mode == "close" else number)
        if wire["target"].startswith("/slow/200"):
            # Event loops time by a cached clock of whole milliseconds.
            assert event["wait_ns"] >= 195_000_000
    connections = {e["connection_id"] for e in events.values()}
    assert len(connections) == (len(requests) if mode == "close" else 1)
    watching.check_sums(delivered=len(requests))
    assert watching.stats["connections_seen"] == len(connections)
    assert watching.summary["requests"] == len(requests)
    assert watching.summary["errors"] == sum(wire["status"] >= 500 for wire in seen)
