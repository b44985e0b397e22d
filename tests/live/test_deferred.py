# SPDX-License-Identifier: BSD-2-Clause
"""Deferred accept: the first request of a connection meets the listening socket, and is told as any
other is, whatever becomes of it. Against the servers' own logs and what the client did."""
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from compare import by_target
from programs import free_port
from wire import Connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def deferring(listener):
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
    return listener


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def closed(event, ends=("closed",)):
    """The end of an exchange that got no answer."""
    assert event["end"] in ends, event
    assert event["status"] == 0 and "no_response" in event["flags"] and "gap" not in event["flags"]


@pytest.fixture
def ask():
    """ask(address, target): sends a request; returns its socket."""
    socks = []

    def send(address, target):
        sock = socket.create_connection(address, timeout=30)
        socks.append(sock)
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return sock

    yield send
    for sock in socks:
        sock.close()


def everything(sock):
    data = b""
    while more := sock.recv(65536):
        data += more
    return data


@pytest.fixture(params=["deferred", "ordinary"])
def listener(request, cgroup):
    sock = cgroup.listener()
    yield deferring(sock) if request.param == "deferred" else sock
    sock.close()


def test_ends(listener, cgroup, watch, ask):
    """Each end is told with its cause, and the same with and without deferred accept."""
    address = listener.getsockname()
    watching = watch(cgroup)

    def accepted(target):
        client = ask(address, target)
        served, _ = listener.accept()
        served.recv(1000)
        return client, served

    client, served = accepted("/server-closes")
    served.close()
    client, served = accepted("/server-resets")
    reset(served)
    client, served = accepted("/client-gives-up")
    client.close()
    time.sleep(0.05)
    served.close()
    client, served = accepted("/client-resets")
    reset(client)
    client, served = accepted("/half-closed")
    client.shutdown(socket.SHUT_WR)
    served.sendall(OK)
    assert everything_until_close(served, client) == OK
    # Nobody accepts these.
    ask(address, "/unaccepted-given-up").close()
    reset(ask(address, "/unaccepted-reset"))
    ask(address, "/unaccepted-killed")
    time.sleep(0.05)
    listener.close()
    watching.wait(8)
    events = by_target(watching.stop())
    closed(events["/server-closes"])
    closed(events["/server-resets"], ["reset by us"])
    closed(events["/client-gives-up"])
    closed(events["/client-resets"], ["reset by peer"])
    assert events["/half-closed"]["status"] == 200 and events["/half-closed"]["end"] == "complete"
    closed(events["/unaccepted-given-up"], ["closed", "reset by us"])
    closed(events["/unaccepted-reset"], ["reset by peer"])
    closed(events["/unaccepted-killed"], ["reset by us"])
    assert len({(e["connection_id"], e["ordinal"]) for e in events.values()}) == 8
    for target, event in events.items():
        assert event["operation"] == "GET"
        if not target.startswith("/unaccepted"):
            assert (event["owner"], event["pid"]) == ("read", os.getpid()), event
    watching.check_sums(delivered=8)


def everything_until_close(served, client):
    served.close()
    return everything(client)


def test_late(listener, cgroup, watch, ask):
    """An answer after ten seconds, with the times of the application's reading."""
    watching = watch(cgroup)
    before = time.monotonic_ns()
    client = ask(listener.getsockname(), "/late")
    time.sleep(0.3)
    reading = time.monotonic_ns()
    served, _ = listener.accept()
    served.recv(1000)
    time.sleep(11)
    answering = time.monotonic_ns()
    served.sendall(OK)
    client.recv(1000)
    event, = watching.wait(1)
    assert event["request_target"] == "/late" and event["status"] == 200 and event["end"] == "complete"
    assert before <= event["request_start_ns"] <= reading <= event["read_start_ns"] <= answering
    assert event["response_start_ns"] >= answering
    assert event["queue_ns"] == event["read_start_ns"] - event["request_start_ns"] >= 300_000_000
    assert event["service_ns"] >= 11_000_000_000
    served.close()
    watching.stop()


def test_outstanding(cgroup, watch, ask):
    """At the end of the watch it is counted."""
    listener = deferring(cgroup.listener())
    watching = watch(cgroup)
    ask(listener.getsockname(), "/never")
    time.sleep(0.2)
    assert not watching.stop()
    stats = watching.stats
    assert stats["exchanges_seen"] == 1
    assert stats["outstanding"] + stats["dropped"]["detached"] == 1
    listener.close()


def test_nested(cgroup, watch, ask):
    """The innermost target has the listening socket, and its connections."""
    inner = cgroup.child("inner")
    listener = deferring(inner.listener())
    watching = watch(cgroup, inner)
    with Connection(listener.getsockname()) as connection:
        sent = connection.send("GET", "/")
        served, _ = listener.accept()
        served.recv(1000)
        served.sendall(OK)
        connection.receive(sent)
        served.close()
    ask(listener.getsockname(), "/killed")
    time.sleep(0.05)
    listener.close()
    assert [e["app"] for e in watching.wait(2)] == [inner.name] * 2
    watching.stop()
    watching.check_sums(delivered=2)


@pytest.mark.parametrize("family", ["v6", "mapped"])
def test_addresses(family, cgroup, watch, ask):
    with cgroup.inside():
        listener = deferring(socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    watching = watch(cgroup)
    port = listener.getsockname()[1]
    host = "::1" if family == "v6" else "127.0.0.1"
    for end in ("answered", "closed"):
        client = ask((host, port), f"/{end}")
        served, _ = listener.accept()
        served.recv(1000)
        if end == "answered":
            served.sendall(OK)
            client.recv(1000)
        served.close()
    events = watching.wait(2)
    for event in events:
        assert event["owner"] == "read" and event["pid"] == os.getpid(), event
        assert event["local"] == (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    assert len({e["connection_id"] for e in events}) == 2
    watching.stop()
    watching.check_sums(delivered=2)
    listener.close()


def test_link(cgroup, watch, ask):
    """What its reader sends is linked with it."""
    listener = deferring(cgroup.listener())
    watching = watch(cgroup, args=["--links"])
    with socket.create_server(("127.0.0.1", 0)) as backend:
        front = ask(listener.getsockname(), "/front")
        served, _ = listener.accept()
        served.recv(1000)
        upstream = cgroup.connect(backend.getsockname())
        upstream.sendall(b"GET /back HTTP/1.1\r\nHost: x\r\n\r\n")
        behind, _ = backend.accept()
        behind.recv(1000)
        behind.sendall(OK)
        upstream.recv(1000)
        served.sendall(OK)
        front.recv(1000)
        events = by_target(watching.wait(2))
        link = events["/back"]["link"]
        assert link["evidence"] == "thread"
        assert (link["connection_id"], link["ordinal"]) == (
            events["/front"]["connection_id"], events["/front"]["ordinal"])
        for sock in (served, upstream, behind):
            sock.close()
    watching.stop()
    listener.close()


def test_not_http(cgroup, watch):
    """TLS, say, is nothing."""
    listener = deferring(cgroup.listener())
    watching = watch(cgroup)
    for _ in range(3):
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
            served, _ = listener.accept()
            served.recv(1000)
            served.sendall(b"\x16\x03\x03\x00\x7a\x02" + bytes(100))
            client.recv(1000)
            served.close()
    assert not watching.stop()
    watching.check_sums(delivered=0)
    assert watching.stats["exchanges_seen"] == 0
    listener.close()


# ---- servers that ask for it themselves ------------------------------------------------------


def needs(*commands):
    for command in commands:
        if not shutil.which(command, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            pytest.skip(f"{command} is not installed")


def started(cgroup, argv, port, directory):
    with open(f"{directory}/output", "w") as output:
        process = cgroup.spawn(argv, stdout=output, stderr=output, cwd=directory,
                               start_new_session=True)  # apache signals its whole group
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            with open(f"{directory}/output") as f:
                assert process.poll() is None and time.monotonic() < deadline, f.read()
            time.sleep(0.05)


def log_lines(path, count):
    deadline = time.monotonic() + 10
    while True:
        with open(path) as f:
            lines = f.read().splitlines()
        if len(lines) >= count:
            return lines
        assert time.monotonic() < deadline, lines
        time.sleep(0.05)


APACHE = """
ServerRoot {dir}
ServerName localhost
PidFile {dir}/pid
DefaultRuntimeDir {dir}
ErrorLog {dir}/error
Listen 127.0.0.1:{port}
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so
User nobody
Group nogroup
StartServers 3
DocumentRoot {dir}
LogFormat "%P %>s %D %U" own
CustomLog {dir}/access own
<Directory {dir}>
    Options +ExecCGI
    SetHandler cgi-script
</Directory>
"""


def test_apache(cgroup, watch, ask, tmp_path):
    """Slow CGI programs: one takes longer than ten seconds, one has a client that gives up."""
    needs("apache2")
    port = free_port("127.0.0.1")
    for path in (tmp_path, *list(tmp_path.parents)[:2]):
        os.chmod(path, 0o755)
    (tmp_path / "conf").write_text(APACHE.format(dir=tmp_path, port=port))
    for name, seconds in (("quick", 0), ("slow", 11), ("given-up", 1)):
        script = tmp_path / name
        script.write_text("#!/bin/sh\n" f"sleep {seconds}\n"
                          "printf 'Content-Type: text/plain\\r\\n\\r\\ndone'\n")
        script.chmod(0o755)
    process = started(cgroup, [shutil.which("apache2", path="/usr/sbin:/usr/bin"), "-f",
                               f"{tmp_path}/conf", "-DFOREGROUND"], port, tmp_path)
    watching = watch(cgroup)
    address = ("127.0.0.1", port)
    slow = ask(address, "/slow")
    given_up = ask(address, "/given-up")
    assert b"done" in everything(ask(address, "/quick"))
    given_up.close()
    assert b"done" in everything(slow)
    lines = [line.split() for line in log_lines(tmp_path / "access", 3)]
    truth = {fields[3]: fields for fields in lines if len(fields) == 4 and fields[3] != "-"}
    watching.wait(3)
    events = by_target(watching.stop())
    process.terminate()
    process.wait(10)
    assert set(events) == {"/slow", "/quick", "/given-up"}
    for target, event in events.items():
        pid, status, microseconds, _ = truth[target]
        assert event["operation"] == "GET" and event["owner"] == "read"
        assert (event["pid"], event["comm"]) == (int(pid), "apache2")
        assert event["status"] == int(status) or target == "/given-up"
        if target != "/given-up":
            # Apache's clock runs from its reading of the request to the end of the answer.
            assert event["duration_ns"] // 1000 >= int(microseconds) - 20_000
            assert event["queue_ns"] > 0 and event["service_ns"] > 0
    assert events["/slow"]["duration_ns"] > 11e9
    watching.check_sums(delivered=3)


def test_unicorn(cgroup, watch, ask, tmp_path):
    """Its only worker is killed in the middle of a request; the next worker serves the next."""
    needs("unicorn")
    port = free_port("127.0.0.1")
    (tmp_path / "config.ru").write_text(
        "run lambda { |env|\n"
        "  File.write('pid', Process.pid.to_s)\n"
        "  sleep(env['PATH_INFO'] == '/killed' ? 60 : 0.2)\n"
        "  [200, {'Content-Type' => 'text/plain', 'X-Pid' => Process.pid.to_s}, []]\n"
        "}\n")
    (tmp_path / "conf.rb").write_text(f"worker_processes 1\nlisten '127.0.0.1:{port}'\n")
    process = started(cgroup, ["unicorn", "-c", f"{tmp_path}/conf.rb", f"{tmp_path}/config.ru"], port,
                      tmp_path)
    address = ("127.0.0.1", port)
    assert b"200 OK" in everything(ask(address, "/warm"))
    watching = watch(cgroup)
    first = everything(ask(address, "/first"))
    ask(address, "/killed")
    time.sleep(1)
    killed = int((tmp_path / "pid").read_text())
    os.kill(killed, signal.SIGKILL)
    second = everything(ask(address, "/second"))
    watching.wait(3)
    events = by_target(watching.stop())
    process.terminate()
    process.wait(20)
    assert set(events) == {"/first", "/killed", "/second"}
    for target, answer in (("/first", first), ("/second", second)):
        event = events[target]
        assert event["status"] == 200 and event["end"] == "complete"
        assert event["pid"] == int(re.search(rb"X-Pid: (\d+)", answer)[1])
        assert event["service_ns"] >= 200_000_000
    closed(events["/killed"], ["closed", "reset by us"])
    assert events["/killed"]["operation"] == "GET" and events["/killed"]["pid"] == killed
    assert events["/second"]["pid"] != killed
    watching.check_sums(delivered=3)


def h2o(directory, port):
    (directory / "index.html").write_text("hello")
    (directory / "index.html").chmod(0o644)
    (directory / "conf").write_text(f"listen:\n  host: 127.0.0.1\n  port: {port}\n"
                                    "user: nobody\n"
                                    "hosts:\n  default:\n    paths:\n      /:\n"
                                    f"        file.dir: {directory}\n")
    return ["h2o", "-c", f"{directory}/conf"]


def uwsgi(directory, port):
    (directory / "app.py").write_text(
        "def application(env, start):\n"
        "    start('200 OK', [('Content-Length', '5')])\n"
        "    return [b'hello']\n")
    return ["uwsgi-core", "--plugin", "python3", "--http-socket", f"127.0.0.1:{port}",
            "--wsgi-file", "app.py", "--master", "--processes", "2"]


@pytest.mark.parametrize("server", [h2o, uwsgi])
def test_others(server, cgroup, watch, ask, tmp_path):
    argv = server(tmp_path, port := free_port("127.0.0.1"))
    needs(argv[0])
    for path in (tmp_path, *list(tmp_path.parents)[:2]):
        os.chmod(path, 0o755)
    process = started(cgroup, argv, port, tmp_path)
    address = ("127.0.0.1", port)
    everything(ask(address, "/warm"))
    watching = watch(cgroup)
    for i in range(20):
        assert b"hello" in everything(ask(address, f"/?{i}"))
    events = watching.wait(20)
    watching.stop()
    process.send_signal(signal.SIGINT)
    process.wait(20)
    assert sorted(e["request_target"] for e in events) == sorted(f"/?{i}" for i in range(20))
    assert all(e["status"] == 200 and e["owner"] == "read" and e["service_ns"] for e in events)
    watching.check_sums(delivered=20)


def apache_http2(directory, port):
    (directory / "conf").write_text(
        APACHE.format(dir=directory, port=port).replace("mpm_prefork", "mpm_event")
        .replace("SetHandler cgi-script", "Require all granted")
        + "LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so\nProtocols h2c http/1.1\n")
    for name in "first", "second":
        (directory / name).write_text("hello")
        (directory / name).chmod(0o644)
    return [shutil.which("apache2", path="/usr/sbin:/usr/bin"), "-f", f"{directory}/conf", "-DFOREGROUND"]


def h2o_http2(directory, port):
    argv = h2o(directory, port)
    for name in "first", "second":
        (directory / name).write_text("hello")
        (directory / name).chmod(0o644)
    return argv


@pytest.mark.parametrize("server", [apache_http2, h2o_http2])
def test_http2(server, cgroup, watch, tmp_path):
    """The listening socket meets preface and first request at once; it serves HTTP/1, too."""
    needs("curl", "nghttp", "apache2" if server is apache_http2 else "h2o")
    port = free_port("127.0.0.1")
    for path in (tmp_path, *list(tmp_path.parents)[:2]):
        os.chmod(path, 0o755)
    process = started(cgroup, server(tmp_path, port), port, tmp_path)
    watching = watch(cgroup, args=["--protocols", "http1,http2"])
    first, second = (f"http://127.0.0.1:{port}/{name}" for name in ("first", "second"))
    commands = [(b"hello", ["curl", "-s", "--http2-prior-knowledge", first]),
                (b"hellohello", ["curl", "-s", "--http1.1", first, second]),
                (b"hellohello", ["nghttp", "--no-dep", first, second])]
    for answer, command in commands * 3:
        assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == answer
    events = watching.wait(15)
    watching.stop()
    process.terminate()
    process.wait(10)
    told = [sorted((e["protocol"], e["path"], e["status"], e["end"]) for e in events[at:to])
            for start in range(0, 15, 5) for at, to in ((start, start + 1), (start + 1, start + 3),
                                                        (start + 3, start + 5))]
    both = [[(protocol, path, 200, "complete") for path in ("/first", "/second")]
            for protocol in ("http1", "http2")]
    assert told == [both[1][:1], both[0], both[1]] * 3
    assert all(set(e["flags"]) <= {"keep_alive"} for e in events)
    assert len({e["connection_id"] for e in events}) == 9
    watching.check_sums(delivered=15)
