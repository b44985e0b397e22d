# SPDX-License-Identifier: BSD-2-Clause
"""Redis: its commands in order, against what it counts itself (INFO commandstats) and what a client
that speaks the protocol by hand was answered."""
import re
import shutil
import socket
import subprocess
import time

import pytest

RESP = ["--resp"]


class Redis:
    def __init__(self, cgroup, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = cgroup.spawn(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--dir", str(directory)], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.connect().close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline and self.process.poll() is None
                time.sleep(0.05)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def counts(self):
        """Calls by command, of Redis's own."""
        done = subprocess.run(["redis-cli", "-p", str(self.port), "info", "commandstats"],
                              stdout=subprocess.PIPE, text=True, check=True)
        return {name: int(calls) for name, calls in
                re.findall(r"^cmdstat_(\S+?):calls=(\d+)", done.stdout, re.M)}

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def redis(cgroup, tmp_path):
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    server = Redis(cgroup, tmp_path)
    yield server
    server.stop()


def command(*words):
    data = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        data += b"$%d\r\n%s\r\n" % (len(word), word)
    return data


def read(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(65536)
        assert more
        data += more
    assert len(data) == n
    return data


def seen(events):
    return [(e["method"], e["target"]) for e in events]


def test_commands(redis, cgroup, watch):
    """One by one: command, argument, bytes as they passed, and an error's text."""
    watching = watch(cgroup, args=RESP)
    big = b"*1\r\n$4\r\nTRAP\r\n" * 200000
    asked = [(("PING",), b"+PONG\r\n"), (("SET", "a", "1"), b"+OK\r\n"),
             (("GET", "a"), b"$1\r\n1\r\n"), (("GET", "none"), b"$-1\r\n"),
             (("LPUSH", "l", "x", "y"), b":2\r\n"),
             (("LRANGE", "l", "0", "-1"), b"*2\r\n$1\r\ny\r\n$1\r\nx\r\n"),
             (("SET", "big", big), b"+OK\r\n"),
             (("GET", "big"), b"$%d\r\n%s\r\n" % (len(big), big)),
             (("NOSUCH", "thing"), None), (("INCR", "a"), b":2\r\n")]
    with redis.connect() as sock:
        answers = []
        for words, answer in asked:
            sock.sendall(command(*words))
            if answer is None:
                answers.append(sock.recv(65536))
                assert answers[-1].startswith(b"-ERR unknown command")
            else:
                answers.append(read(sock, len(answer)))
                assert answers[-1] == answer
        events = watching.wait(len(asked))
    assert seen(events) == [(words[0], words[1] if len(words) > 1 else "") for words, _ in asked]
    for event, (words, _), answer in zip(events, asked, answers):
        assert event["protocol"] == "resp"
        assert (event["end"], event["role"]) == ("complete", "server")
        assert event["request_body_bytes"] == len(command(*words))
        assert event["response_body_bytes"] == len(answer)
        error = answer.startswith(b"-")
        assert ("error" in event["flags"]) == error
        assert event["reason"] == (answer[1:-2].decode() if error else "")
        assert event["duration_ns"] > 0
    watching.stop()
    watching.check_sums(delivered=len(asked))


@pytest.mark.parametrize("depth", [1, 20])
def test_counts(depth, redis, cgroup, watch):
    """redis-benchmark, pipelined too: as many events of each command as Redis counts."""
    if not shutil.which("redis-benchmark"):
        pytest.skip("redis-benchmark is not installed")
    watching = watch(cgroup, args=[*RESP, "--ring", "64M"])
    before = redis.counts()
    subprocess.run(["redis-benchmark", "-p", str(redis.port), "-n", "4000", "-c", "10", "-P",
                    str(depth), "-t", "set,get,lpush,mset", "-q"], check=True,
                   stdout=subprocess.DEVNULL)
    after = redis.counts()
    wanted = {name: after[name] - before.get(name, 0) for name in after}
    time.sleep(0.5)
    events = watching.stop()
    got = {}
    for event in events:
        assert event["end"] == "complete"
        name = event["method"].lower()
        got[name] = got.get(name, 0) + 1
    for name in ("set", "get", "lpush", "mset"):
        assert got[name] == wanted[name] == 4000
    watching.check_sums()


def test_subscribers(redis, cgroup, watch):
    """A subscriber gets messages from then on: one event."""
    watching = watch(cgroup, args=RESP)
    with redis.connect() as subscriber, redis.connect() as publisher:
        subscriber.sendall(command("SUBSCRIBE", "news"))
        subscriber.recv(1000)
        for i in range(5):
            publisher.sendall(command("PUBLISH", "news", i))
            assert read(publisher, 4) == b":1\r\n"
        events = watching.wait(6)
    assert sorted(seen(events)) == [("PUBLISH", "news")] * 5 + [("SUBSCRIBE", "news")]
    assert {e["end"] for e in events if e["method"] == "SUBSCRIBE"} == {"upgraded"}


def test_only_if_asked_for(redis, cgroup, watch):
    watching = watch(cgroup)
    with redis.connect() as sock:
        sock.sendall(command("PING"))
        read(sock, 7)
    watching.wait(0)
    time.sleep(0.2)
    assert watching.stop() == []
