# SPDX-License-Identifier: BSD-2-Clause
"""What Go programs send requests for, by their goroutines: no header field says it. The program has
the id of the request that it serves in the path of what it asks for, so the truth is known."""
import concurrent.futures
import http.client
import random
import re
import shutil
import socket
import subprocess
import time

import pytest

from programs import Missing
from tiers import Backend, Links, Middle, load
from watch import as_user, replayed

REQUESTS = 600
# How many the handler of each path sends for one request, and how many nobody asked for.
SENDS = {"direct": 1, "fan": 2, "group": 3, "late": 1, "pool": 1, "own": 1}
OWN = {"own": 200}


@pytest.fixture(scope="module", autouse=True)
def go():
    """A Go whose programs the library knows."""
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    said = subprocess.run(["go", "version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    minor = int(re.search(r"go1\.(\d+)", said)[1])
    if not 21 <= minor <= 26:
        pytest.skip(f"not on this machine: the library knows nothing of Go 1.{minor}")


@pytest.fixture
def start(programs, cgroup, tmp_path):
    """start(build): a running middle tier, and its backend."""
    started = []

    def run(build=""):
        backend = Backend()
        started.append(backend)
        try:
            return Middle(programs, "go-fan" + build, cgroup, tmp_path, backend), backend
        except Missing as reason:
            pytest.skip(str(reason))
    yield run
    for backend in started:
        backend.stop()


@pytest.fixture
def chain(start, cgroup, watch):
    """chain(how, ...): the Links of a load on paths of that kind."""
    def run(how, clients=12, requests=REQUESTS, build="", watch_first=False, load=load):
        watching = watch(cgroup, args=["--goroutines"]) if watch_first else None
        middle, backend = start(build)
        watching = watching or watch(cgroup, args=["--goroutines"])
        done = load(middle.port, clients, requests, path=f"/{how}/")
        sends = SENDS[how] * requests + OWN.get(how, 0)
        watching.wait(requests + sends, timeout=20)
        assert len(done) == requests
        assert all(backend.ids[number] == SENDS[how] for number in done)
        links = Links(watching.stop())
        watching.check_sums(requests + sends)
        assert len(links.sent) == sends
        links.report(f"go{build} {how}, {clients} clients")
        assert not links.wrong["goroutine"], links.errors[:2]
        return links
    return run


@pytest.mark.parametrize("clients", [1, 12, 64])
def test_same_goroutine(chain, clients):
    """net/http's server calls the handler, which asks through net/http's client."""
    links = chain("direct", clients=clients)
    assert not sum(links.wrong.values())
    assert links.right["goroutine"] >= REQUESTS * 95 // 100


@pytest.mark.parametrize("build", ["-stripped", "-cgo"])
def test_builds(chain, build):
    """Without symbols, position independent, with a C library's startup code in front."""
    if build != "-stripped" and not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    links = chain("direct", build=build)
    assert not sum(links.wrong.values())
    assert links.right["goroutine"] >= REQUESTS * 95 // 100


@pytest.mark.parametrize("clients", [12, 64])
@pytest.mark.parametrize("how", ["fan", "group"])
def test_started(chain, how, clients):
    """Goroutines that the handler starts and waits for."""
    links = chain(how, clients=clients)
    assert not sum(links.wrong.values())
    assert links.right["started"] >= len(links.sent) * 95 // 100


@pytest.mark.parametrize("clients", [1, 12])
def test_outlives_its_request(chain, clients):
    """A goroutine that asks when its request is answered, and the connection perhaps has the next
    one: no link to that."""
    links = chain("late", clients=clients, requests=200)
    assert not sum(links.wrong.values())


def test_workers(chain):
    """A pool that the first request starts: who works for whom is not known, and no certain kind
    says so."""
    links = chain("pool")
    assert not links.right["goroutine"]


def pipelined(port, clients, requests, path):
    """Three requests at a time on each connection, each in two pieces."""
    def burst(sock, numbers):
        text = "".join(f"GET {path}{n} HTTP/1.1\r\nHost: h\r\n\r\n" for n in numbers).encode()
        cut = random.randrange(1, len(text))
        sock.sendall(text[:cut])
        time.sleep(random.choice([0, 0.002]))
        sock.sendall(text[cut:])
        reply = b""
        while reply.count(b"\r\n\r\nok") < len(numbers):
            reply += sock.recv(4096)

    def client(numbers):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(0, len(numbers), 3):
                burst(sock, numbers[i:i + 3])

    with concurrent.futures.ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, [range(i, requests, clients) for i in range(clients)]))
    return {str(n) for n in range(requests)}


def test_pipelined(chain):
    """The server reads requests together and serves one after the other: what is not certain is not
    said."""
    links = chain("direct", clients=10, load=pipelined)
    assert not sum(links.wrong.values())


def uploads(port, clients, requests, path):
    """Bodies that come behind the head: of known length, and in chunks."""
    def pieces():
        for _ in range(3):
            yield b"x" * 2000

    def client(numbers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for n in numbers:
            body = b"x" * 20000 if n % 2 else pieces()
            connection.request("POST", f"{path}{n}", body, encode_chunked=n % 2 == 0,
                               headers={} if n % 2 else {"Transfer-Encoding": "chunked"})
            assert connection.getresponse().read() == b"ok"
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, [range(i, requests, clients) for i in range(clients)]))
    return {str(n) for n in range(requests)}


def test_uploads(chain):
    links = chain("direct", load=uploads)
    assert not sum(links.wrong.values())
    assert links.right["goroutine"] >= REQUESTS * 95 // 100


def test_asks_for_nobody(chain):
    """A goroutine that one request started goes on by itself, over connections that others made."""
    links = chain("own")
    assert not sum(links.wrong.values())
    assert links.right["goroutine"] >= REQUESTS * 95 // 100


def test_ticks(start, cgroup, watch, monkeypatch):
    """The program asks by itself while it serves one request at a time: a thread that has read that
    one and sends this says nothing."""
    monkeypatch.setenv("TICK", "1")
    middle, _ = start()
    watching = watch(cgroup, args=["--goroutines"])
    assert len(load(middle.port, 1, 200, path="/direct/")) == 200
    middle.process.kill()
    links = Links(watching.stop())
    links.report("go, ticking")
    assert not sum(links.wrong.values())
    assert links.right["goroutine"] >= 190


def test_starts_later(chain):
    """The program starts when its cgroup is watched: it is found by its first events."""
    links = chain("direct", watch_first=True)
    assert not sum(links.wrong.values())
    assert links.right["goroutine"] >= REQUESTS * 9 // 10


def code_of(pid):
    """The machine code that the process has in memory, by its place in the file."""
    code = {}
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            area, mode, offset, _, inode = line.split()[:5]
            if "x" in mode and inode != "0":
                begin, end = (int(n, 16) for n in area.split("-"))
                mem.seek(begin)
                code[int(offset, 16)] = mem.read(end - begin)
    return code


def test_leaves_nothing(start, cgroup, watch):
    """What the uprobes change in the program is as it was when the watch ends."""
    middle, _ = start()
    before = code_of(middle.process.pid)
    watching = watch(cgroup, args=["--goroutines"])
    during = code_of(middle.process.pid)
    changed = [i for at in before for i, (old, new) in enumerate(zip(before[at], during[at]))
               if old != new]
    assert len(changed) == 4
    watching.stop()
    assert code_of(middle.process.pid) == before
    assert len(load(middle.port, 1, 10, path="/direct/")) == 10


def test_replay(start, cgroup, watch, tmp_path):
    """A recording has what the uprobes told."""
    middle, _ = start()
    recording = tmp_path / "recording"
    watching = watch(cgroup, args=["--goroutines", "--record", str(recording)])
    load(middle.port, 4, 40, path="/fan/")
    watching.wait(120)
    events = watching.stop()
    assert replayed(recording, "--goroutines") == events
    assert sum("link" in e for e in events) >= 50


@pytest.mark.parametrize("more, said", [
    ([], "cannot be told: reading another user's executable needs CAP_SYS_PTRACE"),
    (["sys_ptrace"], "attaching uprobes needs CAP_SYS_ADMIN|goroutines of .* are followed"),
    (["sys_ptrace", "sys_admin"], "goroutines of .* are followed")])
def test_capabilities(start, cgroup, public_cli, more, said):
    """What a host lacks is said, and all else goes on."""
    start()
    argv = [public_cli, "watch", "-v", "--goroutines", "--duration", "0.2", "--cgroup", cgroup.path]
    done = subprocess.run(as_user(["bpf", "perfmon", "net_admin"] + more) + argv, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert re.search(said, done.stderr), done.stderr
