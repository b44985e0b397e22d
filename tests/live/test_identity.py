# SPDX-License-Identifier: BSD-2-Clause
"""Who served, who sent: against /proc and what the processes and threads say of themselves."""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from cgroups import Cgroup
from compare import by_target, port
from network import Namespace
from programs import HERE, Log, free_port
from test_netem import settle
from watch import replayed
from wire import Connection

SO_NETNS_COOKIE = 71
NOBODY = 65534
TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


class OwnerServer:
    """servers/owner_server.py in one of its modes; `prefix` starts it."""

    def __init__(self, mode, cgroup, directory, prefix=(), host="127.0.0.1"):
        self.log = Log(f"{directory}/owner.log")
        open(self.log.path, "w").close()
        os.chmod(self.log.path, 0o666)
        self.process = cgroup.spawn([*prefix, sys.executable, f"{HERE}/servers/owner_server.py", mode,
                                     self.log.path, host], stdout=subprocess.PIPE, text=True)
        self.address = host, int(self.process.stdout.readline())


def proc(pid, name):
    with open(f"/proc/{pid}/{name}") as f:
        return f.read()


def check_proc(event):
    """What the event says of a process that still runs."""
    pid = event["pid"]
    status = dict(line.split(":", 1) for line in proc(pid, "status").splitlines())
    ticks = int(proc(pid, "stat").rpartition(")")[2].split()[19])
    assert event["comm"] == proc(pid, "comm").rstrip("\n")
    assert event["process_start_ns"] // TICK_NS == ticks
    assert event["uid"] == int(status["Uid"].split()[1])
    assert event["inner_pid"] == int(status["NSpid"].split()[-1])
    assert event["netns_inum"] == os.stat(f"/proc/{pid}/ns/net").st_ino


def check_line(event, line, pid="pid", tid="tid"):
    """The event against the server's log line; pid and tid: which numbers the server knows."""
    readers = {(r["pid"], r["tid"]) for r in line["readers"]}
    last, answers = line["readers"][-1], line["answers"]
    assert event["owner"] == ("read" if len(readers) == 1 else "read_shared")
    assert (event[pid], event[tid]) == (last["pid"], last["tid"])
    if pid == "pid" and event["response_tid"]:  # 0: TCP was still busy with something
        assert (event["response_pid"], event["response_tid"]) == (answers["pid"], answers["tid"])


@pytest.mark.parametrize("mode", ["single", "threads", "fork", "prefork", "passing", "handover",
                                  "shared", "peek"])
def test_modes(mode, cgroup, tmp_path, watch):
    """Whoever accepts, whoever has the socket open: who reads serves."""
    server = OwnerServer(mode, cgroup, tmp_path)
    # One connection at a time where the server can do no more; those in prefork's workers stay.
    count = {"single": 5, "prefork": 3, "threads": 5, "fork": 5}.get(mode, 1)
    rounds = 1 if mode == "single" else 4
    watching = watch(cgroup)
    connections, done = [], 0
    for i in range(count):
        connections.append(Connection(server.address))
        connections[-1].exchange("GET", f"/?c={i}&r=0")
        done += 1
    for r in range(1, rounds):
        for i, connection in enumerate(connections):
            connection.exchange("POST", f"/?c={i}&r={r}", 100, "length")
            done += 1
    for event in watching.wait(done):
        check_proc(event)
    events = by_target(watching.stop())
    lines = {line["target"]: line for line in server.log.lines(done)}
    assert set(events) == set(lines)
    for target, event in events.items():
        check_line(event, lines[target])
    pids = {e["pid"] for e in events.values()}
    assert len(pids) == {"fork": 5, "prefork": 3}.get(mode, 1)
    if mode in ("fork", "prefork", "passing"):
        assert server.process.pid not in pids
    assert len({e["tid"] for e in events.values()}) >= (5 if mode == "threads" else 1)
    for connection in connections:
        connection.sock.close()


def test_open_before_the_attach(cgroup, tmp_path, watch):
    server = OwnerServer("passing", cgroup, tmp_path)
    with Connection(server.address) as connection:
        connection.exchange("GET", "/?before")
        watching = watch(cgroup)
        connection.exchange("GET", "/?after")
        event, = watching.wait(1)
        check_proc(event)
        check_line(event, server.log.lines(2)[1])
        assert event["pid"] != server.process.pid
        watching.stop()


def test_pid_namespace(cgroup, tmp_path, watch):
    """Root's numbers and the process's own."""
    server = OwnerServer("threads", cgroup, tmp_path,
                         ["unshare", "--pid", "--fork", "--mount-proc"])
    watching = watch(cgroup)
    with Connection(server.address) as connection:
        connection.exchange("GET", "/?inside")
        event, = watching.wait(1)
        check_proc(event)
        line, = server.log.lines(1)
        check_line(event, line, "inner_pid", "inner_tid")
        assert line["answers"]["pid"] == 1 != event["pid"]
        inner = proc(f"{event['pid']}/task/{event['tid']}", "status")
        assert f"NStgid:\t{event['pid']}\t1\n" in inner
        assert f"NSpid:\t{event['tid']}\t{event['inner_tid']}\n" in inner
        watching.stop()


def test_user(cgroup, play, watch):
    """The effective one, at that moment."""
    watching = watch(cgroup)
    client, served = play()
    sent = client.send("GET", "/")
    os.seteuid(NOBODY)
    served.recv(100)
    os.seteuid(0)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    client.receive(sent)
    event, = watching.wait(1)
    check_proc({**event, "uid": 0})
    assert event["uid"] == NOBODY
    watching.stop()


def test_network_namespace(cgroup, tmp_path, watch):
    namespace = Namespace()
    with namespace.inside():
        server = OwnerServer("single", cgroup, tmp_path)
    watching = watch(cgroup)
    with namespace.inside(), Connection(server.address) as connection:
        connection.exchange("GET", "/?elsewhere")
        cookie, = struct.unpack("Q", connection.sock.getsockopt(socket.SOL_SOCKET,
                                                                SO_NETNS_COOKIE, 8))
    event, = watching.wait(1)
    check_proc(event)
    assert event["netns_cookie"] == cookie
    assert event["netns_inum"] != os.stat("/proc/self/ns/net").st_ino
    watching.stop()
    namespace.close()


def test_nginx_workers(cgroup, start_server, watch):
    server = start_server("nginx", cgroup, workers=4)
    watching = watch(cgroup)
    connections = [Connection(("127.0.0.1", server.port)) for _ in range(40)]
    for i, connection in enumerate(connections):
        connection.exchange("GET", f"/hello?c={i}")
    for event in watching.wait(len(connections)):
        check_proc(event)
    events = by_target(watching.stop())
    for line in server.log.lines(len(connections)):
        event = events[line["target"]]
        assert event["pid"] == event["tid"] == line["pid"] != server.process.pid
    for connection in connections:
        connection.sock.close()


@pytest.mark.parametrize("name, workers", [("nginx", 4), ("python-threading", 1), ("java", 1)])
def test_many(name, workers, cgroup, start_server, watch, wrk, tmp_path):
    """Every single one of thousands at once, by workers and threads that take turns."""
    server = start_server(name, cgroup, workers=workers)
    watching = watch(cgroup, output=tmp_path / "events")
    wrk(server, 1)
    time.sleep(0.1)  # what wrk did not wait for
    events = watching.stop()
    answered = [e for e in events if e["end"] == "complete"]
    lines = {}
    for line in server.log.lines(len(answered)):
        lines.setdefault(line["port"], []).append(line)
    known = 0
    for event in answered:
        # The line is written after the answer: those of next requests can be there before it.
        n = event["ordinal"] - 1
        near = lines[port(event["remote"])][max(0, n - 4):n + 5]
        # A first request can overtake the handshake's last ACK: who reads it is not seen then.
        assert event["owner"] == "read" or (event["owner"], event["ordinal"]) == ("sent", 1)
        assert (event["pid"], event["tid"]) in [(line["pid"], line["tid"]) for line in near]
        assert event["response_tid"] in (event["tid"], 0)
        known += event["response_tid"] != 0
    assert len(answered) > 100 and known > 0.9 * len(answered)
    # On a busy machine one of nginx's workers may have got all connections.
    taking_turns = len({line["tid"] for lines in lines.values() for line in lines}) > 1
    assert (len({e["tid"] for e in answered}) > 1) == taking_turns
    print(f"{name}: {len(answered)} requests, answering thread known of {known}")


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_gunicorn(worker, cgroup, tmp_path, watch):
    """The master listens; workers that were forked before accept and serve."""
    if not shutil.which("gunicorn"):
        pytest.skip("gunicorn is not installed")
    (tmp_path / "app.py").write_text(
        "import os, threading\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [f'{os.getpid()} {threading.get_native_id()}'.encode()]\n")
    at = free_port("127.0.0.1")
    master = cgroup.spawn(["gunicorn", "--bind", f"127.0.0.1:{at}", "--workers", "3", "--threads",
                           "2" if worker == "gthread" else "1", "--worker-class", worker, "--chdir", str(tmp_path), "app:app"],
                          stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (children := proc(master.pid, f"task/{master.pid}/children").split()) or \
            len(children) < 3 or not listens(at):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    watching = watch(cgroup)
    says = {}
    for i in range(12):
        with socket.create_connection(("127.0.0.1", at), timeout=10) as sock:
            sock.sendall(b"GET /?n=%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % i)
            with sock.makefile() as f:
                says[f"/?n={i}"] = f.read()
    for event in watching.wait(len(says)):
        check_proc(event)
        pid = event["pid"]
        assert str(pid) in children
        body = says[event["request_target"]].partition("\n\n")[2]
        assert f"{pid} {event['response_tid'] or event['tid']}" in body
        if worker == "sync":
            assert event["tid"] == pid
    watching.stop()
    master.terminate()
    master.wait(10)


def listens(number):
    with open("/proc/net/tcp") as f:
        return any(f":{number:04X} 00000000:0000 0A" in line for line in f)


# ---- what is not known -----------------------------------------------------------------


def test_nobody_reads(cgroup, play, watch):
    """A request that nobody reads has no owner; one that was read has, though it gets no answer."""
    watching = watch(cgroup)
    client, served = play()
    client.send("GET", "/unread")
    reset(client.sock)
    event, = watching.wait(1)
    assert (event["owner"], event["pid"], event["tid"], event["comm"]) == ("unknown", 0, 0, "")
    assert event["end"] == "reset_by_peer" or "reset" in event["end"]
    assert event["read_start_ns"] == event["queue_ns"] == event["service_ns"] == 0
    client, served = play()
    client.send("GET", "/read")
    served.recv(100)
    reset(client.sock)
    event = watching.wait(2)[1]
    assert (event["owner"], event["pid"]) == ("read", os.getpid())
    assert event["response_tid"] == event["service_ns"] == 0
    assert event["queue_ns"] == event["read_start_ns"] - event["request_start_ns"]
    watching.stop()


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_read_before_the_attach(cgroup, play, watch):
    """Then who sends the response is what is known."""
    client, served = play()
    sent = client.send("GET", "/before")
    served.recv(100)
    watching = watch(cgroup)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    client.receive(sent)
    event, = watching.wait(1)
    assert "mid_message" in event["flags"]
    assert (event["owner"], event["pid"]) == ("sent", os.getpid())
    assert event["queue_ns"] == event["service_ns"] == 0
    watching.stop()


def test_interim_response(cgroup, play, watch):
    """The head is read before 100 (Continue), the body after it: all of it is reading."""
    watching = watch(cgroup)
    client, served = play()
    before = time.monotonic_ns()
    client.sock.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                        b"Content-Length: 5\r\n\r\n")
    served.recv(200)
    head_read = time.monotonic_ns()
    served.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.sock.recv(100)
    body_sent = time.monotonic_ns()
    client.sock.sendall(b"12345")
    served.recv(100)
    body_read = time.monotonic_ns()
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    event, = watching.wait(1)
    assert "continued" in event["flags"]
    assert (event["owner"], event["pid"]) == ("read", os.getpid())
    assert before <= event["read_start_ns"] <= head_read
    assert body_sent <= event["read_end_ns"] <= body_read
    watching.stop()


def test_pipelined(cgroup, play, watch):
    """One read for many requests: who is known, when each was read is not."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(3)))
    served.recv(1000)
    for _ in range(3):
        served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    events = watching.wait(3)
    assert all((e["owner"], e["pid"]) == ("read", os.getpid()) for e in events)
    assert events[0]["queue_ns"] > 0
    assert all(e["queue_ns"] == e["service_ns"] == e["read_start_ns"] == 0 for e in events[1:])
    watching.stop()


def test_pipelined_all_the_time(cgroup, play, watch, tmp_path):
    """The next requests come while the one before them is answered: each answer has its owner."""
    count, ok = 4000, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    watching = watch(cgroup, args=["--ring", "64M"], output=tmp_path / "events")
    client, served = play()
    ahead = threading.Semaphore(200)

    def ask():
        for i in range(count):
            ahead.acquire()
            client.sock.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i)

    def drain():
        left = count * len(ok)
        while left:
            left -= len(client.sock.recv(4000))

    threads = [threading.Thread(target=f) for f in (ask, drain)]
    for thread in threads:
        thread.start()
    buffer, done = b"", 0
    while done < count:
        buffer += served.recv(400)
        *requests, buffer = buffer.split(b"\r\n\r\n")
        for _ in requests:
            served.sendall(ok)
            ahead.release()
        done += len(requests)
    for thread in threads:
        thread.join()
    served.close()
    settle(tmp_path / "events", count)
    events = watching.stop()
    assert len(events) == count, str(watching.stats)
    unknown = [e["request_target"] for e in events if (e["owner"], e["pid"]) != ("read", os.getpid())
               and (e["owner"], e["pid"]) != ("sent", os.getpid())]
    assert not unknown, (len(unknown), unknown[:5])


def test_not_asked_for(cgroup, play, watch):
    watching = watch(cgroup, args=["--no-identity"])
    client, served = play()
    client.send("GET", "/")
    served.recv(100)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    event, = watching.wait(1)
    assert event["owner"] == "unknown" and event["comm"] == ""
    assert not any(event[k] for k in ("pid", "tid", "uid", "inner_pid", "process_start_ns",
                                      "response_pid", "netns_cookie", "netns_inum", "queue_ns"))
    watching.stop()
    assert "identity" not in watching.summary["capabilities"]


# ---- clients -----------------------------------------------------------------------------


def respond(server):
    """The other end, outside of the cgroup: answers what comes."""
    while True:
        try:
            sock, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=respond_on, args=(sock,)).start()


def respond_on(sock):
    with sock, contextlib.suppress(ConnectionResetError):
        while sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def peer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=respond, args=(server,))
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def ask(sock, target, says):
    """Sends a request from this thread and notes who that is."""
    says[target] = os.getpid(), threading.get_native_id()
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def test_client_threads(cgroup, peer, watch):
    """Who sends the request is meant, not who connected, who reads or who sent the one before."""
    watching = watch(cgroup)
    says = {}
    before = time.monotonic_ns()
    sock = cgroup.connect(peer)
    connected = time.monotonic_ns()
    for i in range(5):
        thread = threading.Thread(target=ask, args=(sock, f"/{i}", says))
        thread.start()
        thread.join()
        sock.recv(1000)
    events = watching.wait(5)
    assert {e["request_target"]: (e["pid"], e["tid"]) for e in events} == says
    assert all(e["owner"] == "sent" and e["role"] == "client" for e in events)
    assert 0 < events[0]["connect_ns"] < connected - before
    assert not any(e["connect_ns"] for e in events[1:])
    check_proc({**events[0], "tid": os.getpid()})
    sock.close()
    watching.stop()


def test_many_clients(cgroup, start_server, watch, tmp_path):
    """Threads of wrk have their own connections: each connection is one thread's."""
    if not shutil.which("wrk"):
        pytest.skip("wrk is not installed")
    with Cgroup() as outside:
        server = start_server("nginx", outside)
        watching = watch(cgroup, output=tmp_path / "events")
        process = cgroup.spawn(["wrk", "-t4", "-c32", "-d1s", f"http://127.0.0.1:{server.port}/hello"],
                               stdout=subprocess.DEVNULL)
        process.wait(30)
        time.sleep(0.1)
        events = watching.stop()
    threads = {}
    for event in events:
        assert (event["role"], event["pid"], event["comm"]) == ("client", process.pid, "wrk")
        assert event["owner"] in ("sent", "connected")
        if event["owner"] == "sent":
            threads.setdefault(event["connection_id"], set()).add(event["tid"])
    assert all(len(tids) == 1 for tids in threads.values())
    assert len(set.union(*threads.values())) == 4
    sent = sum(e["owner"] == "sent" for e in events)
    assert len(events) > 100 and sent > 0.9 * len(events)
    print(f"wrk: {len(events)} requests, sending thread known of {sent}")


def test_client_open_before_the_attach_and_inherited(cgroup, peer, watch):
    sock = cgroup.connect(peer)
    watching = watch(cgroup)
    child = subprocess.Popen([sys.executable, "-c", "import sys, os\n"
                              "os.write(3, b'GET /child HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
                              "sys.stdin.read()"], stdin=subprocess.PIPE,
                             preexec_fn=lambda: os.dup2(sock.fileno(), 3), close_fds=False)
    event, = watching.wait(1)
    assert (event["owner"], event["pid"]) == ("sent", child.pid)
    assert event["connect_ns"] == 0
    check_proc(event)
    child.communicate()
    sock.close()
    watching.stop()


def test_sent_by_tcp(cgroup, peer, play, watch):
    """What TCP_CORK holds back is sent by a timer, whatever thread runs at that moment."""
    watching = watch(cgroup)
    sock = cgroup.connect(peer)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    sock.sendall(b"GET /corked HTTP/1.1\r\nHost: x\r\n\r\n")
    event, = watching.wait(1)
    assert (event["owner"], event["pid"], event["role"]) == ("connected", os.getpid(), "client")
    sock.close()
    client, served = play()
    served.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    client.send("GET", "/")
    served.recv(100)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    event = watching.wait(2)[1]
    assert (event["owner"], event["pid"], event["role"]) == ("read", os.getpid(), "server")
    assert event["response_pid"] == event["response_tid"] == 0
    watching.stop()


def test_replay(cgroup, play, watch, tmp_path):
    """A recording has it all."""
    recording = str(tmp_path / "recording")
    watching = watch(cgroup, args=["--record", recording])
    client, served = play()
    client.send("GET", "/")
    served.recv(100)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    event, = watching.wait(1)
    watching.stop()
    assert event["owner"] == "read"
    assert replayed(recording)[0] == event
