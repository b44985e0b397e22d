# SPDX-License-Identifier: BSD-2-Clause
"""appmon export of what is not plain HTTP: calls of gRPC and databases by the names of
OpenTelemetry's conventions, against what clients were told and what servers count."""
import collections
import json
import shutil
import subprocess
import urllib.request

import pytest

from databases import Missing, start_shop
from exporting import Monitor, attributes, wait_for
from programs import free_port, wait_for_port
from test_export import built, export, receiver, spans_of  # noqa: F401: fixtures
from test_grpc import GIVEN_UP, STATUSES, grpc_go
from test_postgresql import SHOP, postgresql  # noqa: F401
from test_resp import Redis

SERVER, CLIENT = 2, 3


def calls(cgroup, programs):
    """Runs the calls of grpc/; (method, status) of those that the server ended, as the client was told."""
    process = cgroup.spawn([*grpc_go(programs.directory), str(free_port("127.0.0.1"))],
                           stdout=subprocess.PIPE, text=True)
    told = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
    assert process.returncode == 0
    return [(method[1:], STATUSES[code]) for method, code, *_ in told
            if STATUSES[code] not in GIVEN_UP]


@pytest.mark.parametrize("side", ["server", "client"])
def test_calls(side, cgroup, programs, export):
    monitor = export(cgroup, "--protocols", "http1,http2")
    told = collections.Counter(calls(cgroup, programs))
    assert told
    labels = "rpc_method", "rpc_response_status_code"
    name = f"rpc_{side}_call_duration_seconds_count"

    def ended():
        return {key: count for key, count in
                monitor.counted(name, *labels, rpc_system_name="grpc").items()
                if key[1] and key[1] not in GIVEN_UP}
    wait_for(lambda: ended() == told)
    # An error of the server's, or for a client any.
    wrong = {"UNIMPLEMENTED"} if side == "server" else {"UNIMPLEMENTED", "NOT_FOUND"}
    errors = monitor.counted(name, "error_type", rpc_method="t.S/Fail")
    assert set(errors) == ({""} if side == "server" else {"NOT_FOUND"})
    assert {status for method, status in told if status in wrong} == \
        set(monitor.counted(name, "error_type")) & {"UNIMPLEMENTED", "NOT_FOUND"}
    # None of them is a request of HTTP, too.
    assert not monitor.counted(f"http_{side}_requests_total")


def test_call_spans(cgroup, programs, export, receiver):
    monitor = export(cgroup, "--protocols", "http1,http2", "--otlp", receiver.url, "--interval", "1h",
                     "--spans", "100%")
    told = collections.Counter(calls(cgroup, programs))
    monitor.stop()
    for kind in SERVER, CLIENT:
        spans = [span for _, span in spans_of(receiver) if span["kind"] == kind]
        assert all(span["name"] == attributes(span)["rpc.method"] for span in spans)
        assert all(attributes(span)["rpc.system.name"] == "grpc" for span in spans)
        assert not any("http.request.method" in attributes(span) for span in spans)
        ended = collections.Counter(
            (span["name"], attributes(span).get("rpc.response.status_code")) for span in spans)
        assert {key: count for key, count in ended.items()
                if key[1] and key[1] not in GIVEN_UP} == told


def test_redis(cgroup, tmp_path, export):
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    server = Redis(cgroup, tmp_path)
    try:
        monitor = export(cgroup, "--protocols", "http1,resp")
        before = server.counts()
        with server.connect() as sock:
            for line in [b"set a 1", b"get a", b"GET a", b"incr a", b"nosuch a"]:
                words = line.split()
                sock.sendall(b"*%d\r\n" % len(words) + b"".join(
                    b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
                sock.recv(4096)
        after = server.counts()
        counted = {name.upper(): after[name] - before.get(name, 0)
                   for name in ("set", "get", "incr")} | {"_OTHER": 1}
        assert counted == {"SET": 1, "GET": 2, "INCR": 1, "_OTHER": 1}
        # redis-cli's own INFO and its like are there as well.
        wait_for(lambda: {key: count for key, count in monitor.counted(
            "db_server_operation_duration_seconds_count", "db_operation_name",
            db_system_name="redis").items() if key in counted} == counted)
        assert not monitor.counted("http_server_requests_total")
    finally:
        server.stop()


@pytest.fixture
def shop(postgresql, cgroup, receiver, request):  # noqa: F811
    """shop(program): its URL, and a monitor of it and of its database."""
    def start(program):
        try:
            process, port = start_shop(program, cgroup, postgresql)
        except Missing as reason:
            pytest.skip(str(reason))
        wait_for_port(port, process)
        monitor = Monitor("export", "--listen", "none", "--cgroup", cgroup.path, "--cgroup",
                          postgresql.cgroup.path, "--protocols", "http1,postgresql", "--otlp",
                          receiver.url, "--interval", "1h", "--spans", "100%")
        request.addfinalizer(monitor.kill)
        return f"http://127.0.0.1:{port}", monitor
    return start


def test_statement_spans(shop, postgresql, receiver):  # noqa: F811
    """A statement's span is below that of the request that it was sent for, and the database's below
    the client's, in one trace."""
    url, monitor = shop(SHOP)
    for path in "/1", "/2":
        urllib.request.urlopen(url + path).read()
    monitor.stop()
    spans = [span for _, span in spans_of(receiver)]
    by_id = {span["spanId"]: span for span in spans}
    requests = [span for span in spans if "http.request.method" in attributes(span)]
    statements = [span for span in spans if "db.system.name" in attributes(span)]
    assert len(requests) == 2 and all("parentSpanId" not in span for span in requests)
    assert len({span["traceId"] for span in requests}) == 2
    sent = [span for span in statements if span["kind"] == CLIENT]
    received = [span for span in statements if span["kind"] == SERVER]
    assert [span["name"] for span in sent if by_id[span["parentSpanId"]] is requests[0]] == [
        "SELECT pg_class", "SELECT"]
    assert [span["name"] for span in sent if by_id[span["parentSpanId"]] is requests[1]] == [
        "SELECT pg_class", "SELECT"]
    assert len(sent) == 4 and len(received) == 4
    for span in statements:
        assert span["traceId"] == by_id[span["parentSpanId"]]["traceId"]
        assert attributes(span)["db.system.name"] == "postgresql"
        assert attributes(span)["db.operation.name"] == "SELECT"
        assert attributes(span)["db.query.text"].startswith("SELECT ")
        assert attributes(span)["server.port"] == postgresql.port
        assert attributes(span)["db.response.returned_rows"] == 1
    assert {span["parentSpanId"] for span in received} == {span["spanId"] for span in sent}


def test_statements_of_a_request_in_progress(shop, postgresql, receiver):  # noqa: F811
    """The span that theirs are below does not come: the client's begins a trace, and the database's is
    below it."""
    url, monitor = shop("import time\n" + SHOP.replace("self.send_response(",
                                                       "time.sleep(3600); self.send_response("))
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(url, timeout=1)
    monitor.stop()
    spans = [span for _, span in spans_of(receiver) if "db.system.name" in attributes(span)]
    sent = {span["spanId"]: span for span in spans if span["kind"] == CLIENT}
    received = [span for span in spans if span["kind"] == SERVER]
    assert sorted(span["name"] for span in sent.values()) == ["SELECT", "SELECT pg_class"]
    assert all("parentSpanId" not in span for span in sent.values())
    assert len({span["traceId"] for span in sent.values()}) == 2
    assert sorted(span["name"] for span in received) == ["SELECT", "SELECT pg_class"]
    for span in received:
        assert sent[span["parentSpanId"]]["traceId"] == span["traceId"]
        assert sent[span["parentSpanId"]]["name"] == span["name"]
