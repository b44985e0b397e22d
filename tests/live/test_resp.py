# SPDX-License-Identifier: BSD-2-Clause
"""Redis: its commands in order, against what it counts itself (INFO commandstats) and what a client
that speaks the protocol by hand was answered."""
import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

from programs import free_port
from watch import cli, replayed

RESP = ["--protocols", "http1,resp"]


class Redis:
    def __init__(self, cgroup, directory, port=0):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
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
    return [(e["operation"], e["resource"]) for e in events]


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
        assert event["request_bytes"] == len(command(*words))
        assert event["response_bytes"] == len(answer)
        error = answer.startswith(b"-")
        assert event["system"] == "redis"
        assert event["outcome"] == ("client_error" if error else "ok")
        assert event.get("status_text", "") == ("ERR" if error else "")
        assert event["message"] == (answer[1:-2].decode() if error else "")
        assert event["duration_ns"] > 0
    watching.stop()
    watching.check_sums(delivered=len(asked))


def test_resp_alone(redis, cgroup, watch):
    """--protocols resp: requests of HTTP have no events, and are counted as left out."""
    port = free_port("127.0.0.1")
    server = cgroup.spawn([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while socket.socket().connect_ex(("127.0.0.1", port)):
        assert time.monotonic() < deadline and server.poll() is None
        time.sleep(0.05)
    watching = watch(cgroup, args=["--protocols", "resp"])
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
        with redis.connect() as sock:
            sock.sendall(command("PING"))
            assert read(sock, 7) == b"+PONG\r\n"
    watching.wait(3)
    events = watching.stop()
    server.terminate()
    server.wait()
    assert [event["operation"] for event in events] == ["PING"] * 3
    watching.check_sums(delivered=3)
    assert watching.stats["filtered"] == 3


@pytest.mark.parametrize("subcommand", ["watch", "run", "replay", "top", "topology", "export"])
def test_unknown_protocol(subcommand):
    done = subprocess.run([cli(), subcommand, "--protocols", "http1,gopher"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert "--protocols: 'gopher' is not among http1, resp" in done.stderr


@pytest.mark.parametrize("subcommand", ["watch", "run", "top", "topology", "export"])
@pytest.mark.parametrize("port", ["80", "80=oracle", "0=resp", "65536=resp", "http=http1"])
def test_wrong_port(subcommand, port):
    done = subprocess.run([cli(), subcommand, "--port", port], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert f"--port: '{port}'" in done.stderr


@pytest.fixture
def redis_below(cgroup, tmp_path):
    """One whose port is lower than those of its clients."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    for port in range(6380, 6480):
        try:
            server = Redis(cgroup, tmp_path, port)
            break
        except OSError:
            pass
    yield server
    server.stop()


def test_port(redis_below, cgroup, watch, tmp_path):
    """Attached while a reply is due that looks like a command, and to a connection whose client
    writes a command's parts one by one. With a hint either is taken up at once; the recording has
    the hint, too."""
    redis, recording = redis_below, tmp_path / "recording"
    with redis.connect() as blocked, redis.connect() as parts, redis.connect() as other:
        parts.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        parts.sendall(command("PING"))
        assert read(parts, 7) == b"+PONG\r\n"
        blocked.sendall(command("BLPOP", "list", 0))
        watching = watch(cgroup, args=[*RESP, "--port", f"{redis.port}=resp", "--record",
                                       str(recording)])
        other.sendall(command("RPUSH", "list", "value"))
        assert read(other, 4) == b":1\r\n"
        popped = command("list", "value")
        assert read(blocked, len(popped)) == popped
        blocked.sendall(command("GET", "list"))
        assert read(blocked, 5) == b"$-1\r\n"
        for piece in (b"*2\r\n", b"$3\r\nGET\r\n", b"$1\r\nk\r\n"):
            parts.sendall(piece)
            time.sleep(0.05)
        assert read(parts, 5) == b"$-1\r\n"
        watching.wait(3)
        events = watching.stop()
    assert sorted(seen(events)) == [("GET", "k"), ("GET", "list"), ("RPUSH", "list")]
    assert {event["role"] for event in events} == {"server"}
    watching.check_sums(delivered=3)
    assert replayed(recording, *RESP) == events


KINDS = {"readonly": "read", "write": "write"}


def test_operation_types(redis, cgroup, watch):
    """The server's own table says which commands read and which write."""
    client = subprocess.run(["redis-cli", "-p", str(redis.port), "--json", "COMMAND"], check=True,
                            stdout=subprocess.PIPE)
    table = {name: {KINDS[flag] for flag in flags if flag in KINDS}
             for name, _, flags, *_ in json.loads(client.stdout)}
    # A script may do anything that it is allowed to, and LOLWUT reads no key.
    table = {name: kinds for name, kinds in table.items()
             if kinds and not name.startswith(("eval", "fcall", "lolwut"))}
    watching = watch(cgroup, args=RESP)
    with redis.connect() as sock:
        for name in table:
            sock.sendall(command(name))  # without its arguments: it is refused, or harmless
            sock.recv(65536)
        events = watching.wait(len(table))
    assert {e["operation"]: {e["operation_type"]} for e in events} == table


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
        name = event["operation"].lower()
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
    assert {e["end"] for e in events if e["operation"] == "SUBSCRIBE"} == {"upgraded"}


def test_only_if_asked_for(redis, cgroup, watch):
    watching = watch(cgroup)
    with redis.connect() as sock:
        sock.sendall(command("PING"))
        read(sock, 7)
    watching.wait(0)
    time.sleep(0.2)
    assert watching.stop() == []


def answered(sock, quiet=0.1):
    """All that comes until there is silence."""
    data = b""
    sock.settimeout(quiet)
    try:
        while more := sock.recv(1 << 20):
            data += more
    except TimeoutError:
        pass
    sock.settimeout(None)
    return data


MARKS = 3


def marks(sock):
    """Commands each of which has an error of its own: answers that have slipped show there."""
    for i in range(MARKS):
        sock.sendall(command(f"MARK{i}", "x"))
        assert f"mark{i}" in answered(sock, 0.05).decode().lower()


def check_marks(events):
    """Each mark has its own error, and each is told once."""
    told = [e for e in events if e["operation"].startswith("MARK")]
    assert [e["operation"] for e in told] == [f"MARK{i}" for i in range(MARKS)]
    for event in told:
        assert event["end"] == "complete" and event["operation"].lower() in event["message"].lower()


HELLO3 = command("HELLO", 3)
SUBSCRIBE = command("SUBSCRIBE", "a", "b", "a")
REPLY = {word: command("CLIENT", "REPLY", word) for word in ("ON", "OFF", "SKIP")}
GET = command("GET", "nothing")
CONVERSATIONS = {
    "deep": [command("COMMAND"), command("COMMAND", "DOCS"), command("COMMAND", "INFO", "get")],
    "deep-script": [command("EVAL", "return " + "{1," * 60 + "2" + "}" * 60, 0)],
    "subscribe": [SUBSCRIBE, command("PING"), command("UNSUBSCRIBE"), command("UNSUBSCRIBE")],
    "subscribe-pipelined": [SUBSCRIBE + command("PSUBSCRIBE", "p*") + command("UNSUBSCRIBE")
                            + command("PUNSUBSCRIBE") + command("UNSUBSCRIBE", "q", "r") + GET],
    "still-subscribed": [SUBSCRIBE, command("UNSUBSCRIBE", "a", "none")],
    "shards": [command("SSUBSCRIBE", "a", "b") + command("SUNSUBSCRIBE") + command("SUNSUBSCRIBE")],
    "multi": [command("MULTI") + SUBSCRIBE + command("UNSUBSCRIBE") + command("EXEC") + GET],
    "multi-shards": [command("MULTI") + command("SSUBSCRIBE", "a", "b") + command("EXEC") + GET],
    "multi-discarded": [command("MULTI") + SUBSCRIBE + command("DISCARD") + command("MULTI") + GET
                        + command("EXEC")],
    "skip": [REPLY["SKIP"] + command("SET", "a", 1) + GET, REPLY["SKIP"] + REPLY["ON"] + GET],
    "off": [REPLY["OFF"] + command("SET", "a", 1) + command("WHAT") + REPLY["ON"] + GET],
    "off-reset": [REPLY["OFF"] + command("SET", "a", 1) + command("RESET") + GET],
    "off-in-multi": [command("MULTI") + command("SET", "b", 1) + REPLY["OFF"] + GET
                     + command("EXEC") + GET, REPLY["ON"] + GET],
    "monitor": [command("MONITOR"), command("PING") + GET, command("RESET") + GET],
    "reset": [SUBSCRIBE + command("RESET") + command("MULTI") + GET + command("RESET") + GET],
    "hello": [HELLO3 + command("HGETALL", "x") + command("HELLO", 2) + command("HELLO", 9) + GET],
    "inline": [b"PING\r\n", b"\r\n\r\nset k \"a b\"\r\nget k\r\n", b"*0\r\n*-1\r\nPING\r\n"],
    "protocol": [command("DEBUG", "PROTOCOL", kind) for kind in (
        "string", "integer", "double", "null", "array", "set", "map", "attrib", "push", "verbatim",
        "true", "false", "bignum")],
}


@pytest.mark.parametrize("resp3", [False, True])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_pairing(name, resp3, redis, cgroup, watch):
    """Whatever came before: the next commands have their own replies."""
    watching = watch(cgroup, args=RESP)
    with redis.connect() as sock:
        for step in [HELLO3] * resp3 + CONVERSATIONS[name]:
            sock.sendall(step)
            answered(sock, 0.05)
        marks(sock)
    time.sleep(0.3)
    events = watching.stop()
    check_marks(events)
    watching.check_sums()


def test_tracking(redis, cgroup, watch):
    """Invalidations come between replies."""
    watching = watch(cgroup, args=RESP)
    with redis.connect() as sock, redis.connect() as other:
        for step in (HELLO3, command("CLIENT", "TRACKING", "ON", "BCAST")):
            sock.sendall(step)
            assert answered(sock, 0.05)
        for i in range(20):
            sock.sendall(command("GET", "k"))
            other.sendall(command("SET", "k", i))
            assert b"invalidate" in answered(sock, 0.05)
            assert read(other, 5) == b"+OK\r\n"
        marks(sock)
    time.sleep(0.3)
    events = watching.stop()
    check_marks(events)
    assert seen(events).count(("GET", "k")) == seen(events).count(("SET", "k")) == 20


SECRET = "hunter2"


@pytest.mark.parametrize("step", [
    command("AUTH", SECRET), command("auth", "default", SECRET), f"AUTH {SECRET}\r\n".encode(),
    f"\"\\x41uth\" '{SECRET}'\r\n".encode(), f"AUTH\t{SECRET}\r\n".encode(),
    command("HELLO", 3, "AUTH", "default", SECRET), command("HELLO", SECRET),
    command("MULTI") + command("AUTH", SECRET) + command("EXEC"),
    command("CONFIG", "SET", "maxmemory", 0, "masterauth", SECRET),
    command("CONFIG", "SET", "masterauth", SECRET, SECRET), command("CONFIG", "SET", SECRET, 1),
    command("ACL", "SETUSER", "me", f">{SECRET}"), command("ACL", "SETUSER", "me", f"?{SECRET}"),
    command("MIGRATE", "127.0.0.1", 1, "k", 0, 10, "AUTH", SECRET),
    command("MIGRATE", "127.0.0.1", 1, "", 0, 10, "AUTH2", "me", SECRET, "KEYS", "k"),
    command("NOSUCH", "shown", SECRET)])
@pytest.mark.parametrize("cut", [0, 1])
def test_secrets(step, cut, redis, cgroup, watch):
    watching = watch(cgroup, args=RESP)
    with redis.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(command("PING"))
        read(sock, 7)
        for i in range(0, len(step), cut or len(step)):
            sock.sendall(step[i:i + (cut or len(step))])
        assert answered(sock)
        marks(sock)
    time.sleep(0.3)
    events = watching.stop()
    check_marks(events)
    assert len(events) > 1 + MARKS
    assert SECRET not in repr(events)


@pytest.mark.parametrize("first", [b"PING\r\n", b"ping\r\n", b"\r\nPING\r\n", b"GET key\r\n",
                                   b"\r\n" + command("PING")])
def test_inline_first(first, redis, cgroup, watch):
    """Health checks of proxies; a connection each."""
    watching = watch(cgroup, args=RESP)
    for _ in range(5):
        with redis.connect() as sock:
            sock.sendall(first)
            assert answered(sock, 0.05)
            sock.sendall(b"QUIT\r\n")
            assert read(sock, 5) == b"+OK\r\n"
    events = watching.wait(10)
    name = first.split()[-1 if first.startswith(b"\r\n*") else 0].decode()
    assert [e["operation"] for e in events] == [name, "QUIT"] * 5
    assert {(e["protocol"], e["end"]) for e in events} == {("resp", "complete")}


@pytest.mark.parametrize("size", [102_000, 128_000, 192_000, 1_000_000, 4_000_000])
def test_large_replies(size, redis, cgroup, watch):
    """LRANGE pipelined: loopback's segments are as large as it likes."""
    count, items = 20, size // 1000
    watching = watch(cgroup, args=[*RESP, "--ring", "256M"])
    with redis.connect() as sock:
        sock.sendall(command("RPUSH", "l", *[b"-ERR\r\n" + b"x" * 994] * items))
        assert answered(sock) == b":%d\r\n" % items
        length = len(b"*%d\r\n" % items) + items * len(b"$1000\r\n" + b"x" * 1000 + b"\r\n")
        sock.sendall(command("LRANGE", "l", 0, -1) * count)
        left = length * count
        while left:
            left -= len(sock.recv(min(left, 1 << 20)))
        marks(sock)
        events = watching.wait(1 + count + MARKS)
    check_marks(events)
    lists = [e for e in events if e["operation"] == "LRANGE"]
    assert [(e["end"], e["response_bytes"]) for e in lists] == [("complete", length)] * count
    watching.stop()
    watching.check_sums()
