# SPDX-License-Identifier: BSD-2-Clause
"""What was made for what: a middle tier of each runtime between many clients and a backend. What
the certain kinds of evidence say is right without exception; how much of the truth is found is
printed (pytest -s) and asserted where the kind of server promises it."""
import http.client

import pytest

from programs import Missing
from tiers import Backend, Links, Middle, load
from watch import replayed

CERTAIN = {"thread", "peer"}
# A field with an id of its own in each request leaves no room for error either.
UNIQUE = {"request id", "trace id", "forwarded"}

REQUESTS, CLIENTS = 600, 12


@pytest.fixture
def backend():
    started = Backend()
    yield started
    started.stop()


@pytest.fixture
def chain(programs, cgroup, watch, backend, tmp_path):
    """chain(name, ...): Links of a load on that middle tier."""
    def run(name, clients=CLIENTS, requests=REQUESTS, kind=None, **options):
        try:
            middle = Middle(programs, name, cgroup, tmp_path, backend, **options)
        except Missing as reason:
            pytest.skip(str(reason))
        watching = watch(cgroup, args=["--links"])
        done = load(middle.port, clients, requests, kind)
        assert len(done) == requests
        assert all(backend.ids[number] == 1 for number in done)
        watching.wait(2 * requests, timeout=10)
        links = Links(watching.stop())
        watching.check_sums(2 * requests)
        assert len(links.sent) == len(links.received) == requests
        links.report(f"{name}, {clients} clients, {kind or 'no'} header field"
                     + ", forwarded" * bool(options.get("forwarded")))
        for evidence in CERTAIN | UNIQUE:
            assert not links.wrong[evidence], links.errors[:2]
        return links
    return run


@pytest.mark.parametrize("name", ["python-wsgi", "java"])
def test_thread_per_request(chain, name):
    """Threads that block in reading: requests are linked for certain. One is not if TCP sends it when
    the thread has gone on, which is rare."""
    links = chain(name)
    assert links.right["thread"] >= REQUESTS * 95 // 100


def test_thread_without_blocking_reads(chain):
    """Ruby: known once the process has proved itself."""
    links = chain("webrick")
    assert links.right["worker"] > REQUESTS // 2
    assert not sum(links.wrong.values())


def test_process_per_request(chain):
    """PHP: each process has one request at a time."""
    links = chain("php")
    assert links.right["sole"] >= REQUESTS * 95 // 100


@pytest.mark.parametrize("name", ["node", "python-asyncio", "go"])
def test_one_at_a_time(chain, name):
    """With one request in progress at a time there is one that it can be for."""
    links = chain(name, clients=1, requests=200)
    assert not sum(links.wrong.values())
    if name != "go":
        assert links.right["sole"] >= 190


@pytest.mark.parametrize("name", ["node", "python-asyncio", "go", "nginx", "haproxy"])
def test_many_at_a_time(chain, name):
    """Event loops and goroutines: with many in progress there is seldom evidence, and no guess."""
    links = chain(name)
    assert not sum(links.wrong.values())


@pytest.mark.parametrize("name", ["node", "python-asyncio", "go"])
def test_trace_id(chain, name):
    """The application passes the trace on with a span of its own."""
    links = chain(name, kind="traceparent")
    assert sum(links.right.values()) == REQUESTS


@pytest.mark.parametrize("kind", ["traceparent", "request id"])
@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_proxy_passes_fields(chain, name, kind):
    links = chain(name, kind=kind)
    assert sum(links.right.values()) == REQUESTS


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_proxy_names_client(chain, name):
    """Forwarded with the client's port tells which connection it came from."""
    links = chain(name, forwarded=True)
    assert links.right["forwarded"] == REQUESTS


def test_whole_chain(programs, cgroup, watch, backend, tmp_path):
    """nginx in front of python in front of java, all watched: from each request that java sends back
    to the one that nginx received, through both ends of each connection."""
    tiers, behind = [], backend
    try:
        for name in ("java", "python-wsgi", "nginx"):
            directory = tmp_path / name
            directory.mkdir()
            behind = Middle(programs, name, cgroup.child(name), directory, behind)
            tiers.append(behind)
    except Missing as reason:
        pytest.skip(str(reason))
    tmp_path.chmod(0o755)
    watching = watch(cgroup, args=["--links"])
    done = load(tiers[-1].port, 6, 150, "request id")
    assert len(done) == 150
    watching.wait(6 * 150, timeout=10)
    events = watching.stop()
    by_id = {(e["connection_id"], e["ordinal"]): e for e in events}
    whole = 0
    for last in (e for e in events if e["role"] == "client"
                 and e["remote"] == f"127.0.0.1:{backend.port}"):
        steps, event = [], last
        while "link" in event:
            link = event["link"]
            event = by_id[link["connection_id"], link["ordinal"]]
            assert Links.id_of(event) == Links.id_of(last)
            steps.append(link["evidence"])
        whole += steps == ["thread", "peer", "thread", "peer", "request id"]
    assert whole >= 140


FIELDS = {
    "w3c": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    "b3": {"b3": "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"},
    "b3 multi": {"X-B3-TraceId": "0af7651916cd43dd8448eb211c80319c",
                 "X-B3-SpanId": "b7ad6b7169203331", "X-B3-Sampled": "1"},
    "jaeger": {"uber-trace-id": "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1"},
}


def test_trace_ids(start_server, cgroup, watch):
    """Each format's ids, as sent; what is not well formed only as sent."""
    server = start_server("python-threading", cgroup)
    watching = watch(cgroup, args=["--trace", "--request-id", "X-Correlation-Id"])
    sent = list(FIELDS.items()) + [(None, {"traceparent": "00-0AF7651916CD43DD8448EB211C80319C-"
                                                          "b7ad6b7169203331-01",
                                           "X-Correlation-Id": "mine"})]
    for _, fields in sent:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/hello", headers=fields)
        connection.getresponse().read()
        connection.close()
    events = watching.wait(len(sent))
    for event, (kind, fields) in zip(events, sent):
        for name, value in fields.items():
            assert event["headers"]["request"][name.lower()] == [value]
        if kind:
            assert event["trace"] == {"format": kind, "flags": ["sampled"],
                                      "trace_id": "0af7651916cd43dd8448eb211c80319c",
                                      "span_id": "b7ad6b7169203331"}
        else:
            assert "trace" not in event and event["request_id"] == "mine"
    watching.stop()


def test_replay(programs, cgroup, watch, backend, tmp_path):
    """A recording has what links are made of."""
    middle = Middle(programs, "python-wsgi", cgroup, tmp_path, backend)
    recording = tmp_path / "recording"
    watching = watch(cgroup, args=["--links", "--record", str(recording)])
    load(middle.port, 4, 40)
    watching.wait(80)
    events = watching.stop()
    assert replayed(recording, "--links") == events
    assert sum("link" in e for e in events) == 40
