# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures. The library is found as for any host: installed, or named by APPMON_LIBRARY."""
import http.client
import pathlib
import sys
import threading

import pytest

PYTHON = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PYTHON / "src"), str(PYTHON.parent)]

import appmon  # noqa: E402
import served as live  # noqa: E402


@pytest.fixture
def server():
    """A server in a cgroup of its own, or a skip that says what the machine lacks."""
    reason = live.missing()
    if reason:
        pytest.skip(reason)
    with live.served() as server:
        yield server


@pytest.fixture
def monitor(server):
    with appmon.Monitor() as monitor:
        monitor.attach(server.cgroup.path)
        yield monitor


class Client:
    """Requests over one connection."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    def __call__(self, method, target, body=None, headers={}):
        self.connection.request(method, target, body, headers)
        response = self.connection.getresponse()
        response.read()
        return response.status

    def close(self):
        self.connection.close()


@pytest.fixture
def client(server):
    client = Client(server)
    yield client
    client.close()


@pytest.fixture
def load(server):
    """load(connections, count): that many requests over each of the connections, from threads;
    returns what join() them."""
    threads = []

    def start(connections, count):
        def run(number):
            client = Client(server)
            for i in range(count):
                client("GET", f"/hello?{number}-{i}")
            client.close()
        started = [threading.Thread(target=run, args=(n,)) for n in range(connections)]
        for thread in started:
            thread.start()
        threads.extend(started)
        return lambda: [thread.join() for thread in started]

    yield start
    for thread in threads:
        thread.join()


def take(monitor, count, timeout=10):
    """The next `count` events, and no more than there are."""
    events = []
    while len(events) < count:
        event = monitor.next_event(timeout)
        assert event is not None, f"{len(events)} of {count} events"
        events.append(event)
    assert monitor.next_event(0) is None
    return events
