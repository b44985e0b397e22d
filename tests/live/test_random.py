# SPDX-License-Identifier: BSD-2-Clause
"""Many connections at once, requests in random pieces, pipelined by chance, both ends watched."""
import random
import socket
import threading
import time

import pytest

import mix
from cgroups import Cgroup
from compare import by_target, check_logged, check_wire
from wire import Connection

CONNECTIONS = 16


class Pieces:
    """A socket that sends in random pieces."""

    def __init__(self, sock, rng):
        self._sock = sock
        self._random = rng

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def sendall(self, data):
        while data:
            n = self._random.choice([1, 5, 40, 1000, 30000, len(data)])
            self._sock.sendall(data[:n])
            data = data[n:]
            if n < 40 and self._random.random() < 0.2:
                time.sleep(0.001)


def talk(address, sock, seed, pipelining, seen):
    """Sends the mix in batches; the requests of a batch before its first answer is read."""
    rng = random.Random(seed)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with Connection(address, Pieces(sock, rng)) as connection:
        requests = mix.requests("any")
        rng.shuffle(requests)
        while requests:
            size = rng.choice([1, 1, 2, 3]) if pipelining else 1
            batch, requests = requests[:size], requests[size:]
            sent = [connection.send(*request) for request in batch]
            seen += [connection.receive(s) for s in sent]


def run(server, clients, seed, pipelining):
    """Returns what the clients saw, by target."""
    address, seen = ("127.0.0.1", server.port), []
    threads = [threading.Thread(target=talk, args=(address, clients.connect(address),
                                                   seed * 1000 + i, pipelining, seen))
               for i in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {wire["target"]: wire for wire in seen}


SERVERS = ["nginx", "python-asyncio", "go"]


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_pieces(name, seed, cgroup, start_server, watch):
    server = start_server(name, cgroup)
    with Cgroup() as clients:
        watching = watch(cgroup, clients)
        seen = run(server, clients, seed, pipelining=False)
        watching.wait(2 * len(seen))
        events = watching.stop()
    logged = {line["target"]: line for line in server.log.lines(len(seen))}
    for role, where in (("server", cgroup), ("client", clients)):
        table = by_target(e for e in events if e["role"] == role)
        assert set(table) == set(logged) == set(seen)
        for target, wire in seen.items():
            check_logged(table[target], logged[target])
            check_wire(table[target], wire, where, role=role)
    watching.check_sums(delivered=2 * len(seen))


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_pipelined_pieces(name, seed, cgroup, start_server, watch):
    """With pipelining heads can lie behind the captured bytes: such exchanges may be given up,
    and are counted; all that is reported as complete is right."""
    server = start_server(name, cgroup)
    with Cgroup() as clients:
        watching = watch(cgroup, clients, args=["--capture", "64K"])
        seen = run(server, clients, seed, pipelining=True)
        time.sleep(1)
        events = watching.stop()
    watching.check_sums()
    complete = [e for e in events if e["end"] == "complete"]
    assert len(complete) >= len(seen) / 2
    for event in complete:
        wire = seen[event["request_target"]]
        assert (event["operation"], event["status"]) == (wire["method"], wire["status"])
        assert event["request_head_bytes"] == wire["request_head"]
        assert event["response_head_bytes"] == wire["response_head"]
        if not set(event["flags"]) & {"inferred_end", "gap"}:
            assert event["request_body_bytes"] == wire["request_body"]
            assert event["response_body_bytes"] == wire["response_body"]
