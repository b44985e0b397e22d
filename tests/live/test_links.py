# SPDX-License-Identifier: BSD-2-Clause
"""What was made for what: a middle tier of each runtime between many clients and a backend. What
the certain kinds of evidence say is right without exception; how much of the truth is found is
printed (pytest -s) and asserted where the kind of server promises it."""
import pytest

from programs import Missing
from tiers import Backend, Links, Middle, load

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
    """Threads that block in reading: every request is linked, and for certain."""
    links = chain(name)
    assert links.right["thread"] == REQUESTS


def test_thread_without_blocking_reads(chain):
    """Ruby: known once the process has proved itself."""
    links = chain("webrick")
    assert links.right["worker"] > REQUESTS // 2
    assert not sum(links.wrong.values())


def test_process_per_request(chain):
    """PHP: each process has one request at a time."""
    links = chain("php")
    assert links.right["sole"] == REQUESTS


@pytest.mark.parametrize("name", ["node", "python-asyncio", "go"])
def test_one_at_a_time(chain, name):
    """With one request in progress at a time there is one that it can be for."""
    links = chain(name, clients=1, requests=200)
    assert not sum(links.wrong.values())
    if name != "go":
        assert links.right["sole"] == 200


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
