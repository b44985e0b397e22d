# SPDX-License-Identifier: BSD-2-Clause
"""Without the library: do a server's log, a client's log and the wire agree with each other?"""
import pytest

import mix
from programs import CLIENTS, SERVERS, Missing, run_client
from wire import Connection

HOSTS = {"ipv4": ("127.0.0.1", "127.0.0.1"), "ipv6": ("::1", "::1"), "mapped": ("::", "127.0.0.1")}


@pytest.mark.parametrize("family", HOSTS)
@pytest.mark.parametrize("name", SERVERS)
def test_server_log_agrees_with_wire(name, family, cgroup, start_server):
    listen, connect = HOSTS[family]
    server = start_server(name, cgroup, host=listen)
    requests = mix.requests(name)
    with Connection((connect, server.port)) as connection:
        seen = [connection.exchange(*r) for r in requests]
    logged = {line["target"]: line for line in server.log.lines(len(requests))}
    assert len(logged) == len(requests)
    for wire in seen:
        line = logged[wire["target"]]
        assert (line["method"], line["status"]) == (wire["method"], wire["status"])
        assert line["port"] == wire["port"]
        assert wire["keep"], wire
        if name == "nginx":  # counts the bytes of the stream
            assert line["sent"] == wire["response_body"]
            assert line["bytes_sent"] == wire["response_head"] + wire["response_body"]
            assert line["request_length"] == wire["request_head"] + wire["request_body"]
        else:  # counts the content
            assert line["sent"] == wire["payload"]
            assert line["read"] == wire["length"]
        if wire["target"].startswith("/slow/200"):
            assert wire["end"] - wire["start"] >= 195_000_000
        if wire["target"].startswith("/bytes/") and wire["method"] == "GET":
            assert wire["payload"] == int(wire["target"].split("?")[0].split("/")[2])


@pytest.mark.parametrize("name", CLIENTS)
def test_client_log_agrees_with_server_log(name, cgroup, start_server, programs, tmp_path):
    server = start_server("python-asyncio", cgroup)
    plan = mix.requests(server.name)
    try:
        sent = run_client(programs, name, cgroup, tmp_path, ("127.0.0.1", server.port), plan)
    except Missing as reason:
        pytest.skip(str(reason))
    logged = {line["target"]: line for line in server.log.lines(len(plan))}
    assert len(sent) == len(logged) == len(plan)
    for line, (method, target, length, _) in zip(sent, plan):
        truth = logged[target]
        assert (line["method"], line["target"], line["status"]) == (method, target, truth["status"])
        assert truth["method"] == method
        assert truth["read"] == length
        assert line["body"] == truth["sent"]
        assert line["start"] < line["end"]
