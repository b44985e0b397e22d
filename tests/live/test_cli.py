# SPDX-License-Identifier: BSD-2-Clause
"""The appmon command: run, filters, ends, exit codes, and what it writes for people."""
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from cgroups import Cgroup
from programs import free_port
from watch import cli
from wire import Connection


def appmon(*args):
    return subprocess.run([cli(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=30)


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


@pytest.fixture
def served(cgroup, play):
    """served(target, status, pause): one exchange in the watched cgroup."""
    def exchange(target, status=200, pause=0):
        client, server = play()
        sent = client.send("GET", target)
        server.recv(4096)
        time.sleep(pause)
        server.sendall(b"HTTP/1.1 %d Reason\r\nContent-Length: 2\r\n\r\nok" % status)
        return client.receive(sent)
    return exchange


def connect(port, process):
    for _ in range(500):
        try:
            return Connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            assert process.poll() is None
            time.sleep(0.02)
    raise AssertionError("nothing listens")


def test_run(cgroup, tmp_path):
    """The README's example: a command that serves, watched from its first instruction."""
    (tmp_path / "file").write_text("x" * 1234)
    port = free_port("127.0.0.1")
    output = tmp_path / "events"
    process = subprocess.Popen(
        [cli(), "run", "--json", "--output", output, "--", sys.executable, "-m", "http.server",
         str(port), "--bind", "127.0.0.1", "--directory", tmp_path],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for target in ("/file", "/missing"):
        with connect(port, process) as connection:
            connection.exchange("GET", target)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    *events, last = map(json.loads, output.read_text().splitlines())
    assert "appmon: watching 1 cgroup(s)" in err
    assert [(e["request_target"], e["status"], e["end"], e["response_http_version"]) for e in events] == \
        [("/file", 200, "complete", "1.0"), ("/missing", 404, "complete", "1.0")]
    assert events[0]["response_body_bytes"] == 1234
    assert events[0]["app"] == os.path.basename(sys.executable)
    assert last["summary"]["stats"]["delivered"] == 2
    assert not os.path.exists(f"{os.path.dirname(cgroup.path)}/appmon-run-{process.pid}")


def test_run_client(tmp_path):
    """A command that sends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        output = tmp_path / "events"
        process = subprocess.Popen(
            [cli(), "run", "--json", "--output", output, "--", "curl", "-s",
             f"http://127.0.0.1:{listener.getsockname()[1]}/asked"], stdout=subprocess.DEVNULL)
        listener.settimeout(10)
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert process.wait(10) == 0
        connection.close()
    event, _ = map(json.loads, output.read_text().splitlines())
    assert (event["role"], event["request_target"], event["status"]) == ("client", "/asked", 200)
    assert event["headers"]["request"]["user-agent"][0].startswith("curl/")


@pytest.mark.parametrize("command, status", [
    (["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -TERM $$"], 128 + 15),
    (["/nonexistent/command"], 127)])
def test_run_has_the_exit_status_of_its_command(command, status):
    assert appmon("run", "--", *command).returncode == status


def test_filters(cgroup, watch, served):
    filters = {"status": ["--status", "5xx"], "list": ["--status", "404,503"],
               "slower": ["--slower", "100ms"], "path": ["--path", "/api/"],
               "client": ["--role", "client"], "server": ["--role", "server"],
               "method": ["--method", "POST,PUT"], "both": ["--status", "5xx", "--path", "/api/"]}
    watching = {name: watch(cgroup, args=args) for name, args in filters.items()}
    everything = [("/api/ok", 200), ("/api/gone", 404), ("/api/broken", 503), ("/other", 500)]
    for target, status in everything:
        served(target, status)
    served("/api/slow", 200, pause=0.15)
    watching["server"].wait(5)
    seen = {name: [e["request_target"] for e in w.stop()] for name, w in watching.items()}
    assert seen == {"status": ["/api/broken", "/other"], "list": ["/api/gone", "/api/broken"],
                    "slower": ["/api/slow"],
                    "path": ["/api/ok", "/api/gone", "/api/broken", "/api/slow"],
                    "client": [], "method": [], "both": ["/api/broken"],
                    "server": [t for t, _ in everything] + ["/api/slow"]}
    for name, w in watching.items():  # a filter shows less; it sees the same
        w.check_sums(delivered=5)
        assert w.summary["requests"] == len(seen[name])
    assert watching["server"].summary["errors"] == 2


def test_count_ends_it(cgroup, watch, served):
    watching = watch(cgroup, args=["--count", "2"])
    served("/1")
    served("/2")
    assert watching.process.wait(5) == 0
    assert [e["request_target"] for e in watching.stop()] == ["/1", "/2"]
    assert watching.summary["requests"] == 2


def test_duration_ends_it(cgroup, watch, served):
    watching = watch(cgroup, args=["--duration", "1"])
    served("/1")
    assert watching.process.wait(5) == 0
    assert [e["request_target"] for e in watching.stop()] == ["/1"]


def test_interrupted_while_its_reader_is_slow(cgroup, served):
    """Ctrl-C while the pipe is full: what was seen is written all the same, once there is room."""
    process = subprocess.Popen([cli(), "watch", "--json", "--cgroup", cgroup.path],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    while b"watching" not in process.stderr.readline():
        assert process.poll() is None
    targets = [f"/{i}" for i in range(20)]
    for target in targets:
        served(target)
    time.sleep(0.5)  # until it waits in write()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    *events, last = map(json.loads, out.splitlines())
    assert [e["request_target"] for e in events] == targets
    assert last["summary"]["requests"] == len(targets)


def test_summary(cgroup, watch, served):
    watching = watch(cgroup)
    served("/slow", pause=0.2)
    for i in range(9):
        served(f"/{i}", 500 if i < 3 else 200)
    watching.wait(10)
    events = watching.stop()
    summary = watching.summary
    assert (summary["requests"], summary["errors"]) == (10, 3)
    assert "capture" in summary["capabilities"]
    durations = sorted(e["duration_ns"] for e in events)
    assert summary["p50_ns"] == pytest.approx(durations[4], rel=0.05)
    assert summary["p99_ns"] == pytest.approx(durations[-1], rel=0.05)


def human(cgroup, raw_target, status=b"200 OK"):
    """What `appmon watch` writes for people about one exchange."""
    process = subprocess.Popen([cli(), "watch", "--cgroup", cgroup.path, "--count", "1"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while b"watching" not in process.stderr.readline():
        assert process.poll() is None
    listener = cgroup.listener()
    with socket.create_connection(listener.getsockname()) as client:
        served, _ = listener.accept()
        client.sendall(b"GET " + raw_target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        served.recv(4096)
        served.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        out, _ = process.communicate(timeout=10)
        served.close()
    listener.close()
    return out


def test_human_line(cgroup):
    line = human(cgroup, b"/path?query")
    for part in (cgroup.name.encode(), b"GET", b"/path?query", b"200"):
        assert part in line
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("raw", [b"/\x9b31mred", "/\u202eevil".encode(), "/\u009b2J".encode(),
                                 b"/\xff\xfe"])
def test_nothing_from_the_network_controls_the_terminal(raw, cgroup):
    """Escaped: 8-bit and UTF-8 control characters, direction overrides, broken UTF-8."""
    line = human(cgroup, raw)
    assert raw[1:] not in line
    assert all(byte == 0x0a or 0x20 <= byte < 0x7f for byte in line), line
    assert b"\\x" in line


def test_json_is_ascii_and_valid(cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b'GET /\xff"\\\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n')
    served.recv(4096)
    served.sendall(b"HTTP/1.1 204 \xfe\r\n\r\n")
    watching.wait(1)
    event, = watching.stop()
    assert event["request_target"] == '/\ufffd"\\\u00e9'
    assert event["message"] == "\ufffd"


def test_options_of_privacy(cgroup, watch, play):
    watching = watch(cgroup, args=["--no-query", "--header", "X-Wanted"])
    client, served = play()
    client.sock.sendall(b"GET /a?secret HTTP/1.1\r\nHost: h\r\nX-Wanted: yes\r\n\r\n")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 204 No Content\r\nx-wanted: also\r\n\r\n")
    watching.wait(1)
    event, = watching.stop()
    assert "secret" not in json.dumps(event)
    assert (event["request_target"], event["query"]) == ("/a", "")
    assert event["headers"] == {"request": {"x-wanted": ["yes"]},
                                "response": {"x-wanted": ["also"]}}


@pytest.mark.parametrize("path, words", [
    ("/nonexistent/cgroup", [b"/nonexistent/cgroup"]), ("/etc", [b"/etc", b"cgroup"]),
    ("/etc/passwd", [b"/etc/passwd"])])
def test_path_that_is_no_cgroup(path, words):
    done = appmon("watch", "--cgroup", path)
    assert done.returncode == 1
    assert done.stdout == b""
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("args", [
    ["watch"], ["watch", "--no-such-option"], ["watch", "--status", "x"],
    ["watch", "--slower", "x"], ["run"], ["no-such-command"], []])
def test_wrong_usage(args):
    done = appmon(*args)
    assert done.returncode == 2
    assert done.stderr


def test_out_of_range(cgroup):
    done = appmon("watch", "--cgroup", cgroup.path, "--capture", "1")
    assert done.returncode == 1
    assert done.stderr


def test_without_privileges(cgroup):
    """As root in a container without capabilities: a sentence that says what to do."""
    done = subprocess.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all",
                           "--ambient-caps=-all", cli(), "watch", "--cgroup", cgroup.path],
                          stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"CAP_BPF" in done.stderr or b"root" in done.stderr


def test_help():
    for args in (["--help"], ["help"], ["watch", "--help"], ["help", "run"]):
        done = appmon(*args)
        assert done.returncode == 0
        assert b"Usage" in done.stdout


def test_cgroup_of_a_pid(cgroup, watch, start_server):
    server = start_server("python-threading", cgroup)
    watching = watch(args=["--pid", str(server.process.pid)])
    with Connection(("127.0.0.1", server.port)) as connection:
        connection.exchange("GET", "/hello?pid")
    watching.wait(1)
    event, = watching.stop()
    assert (event["request_target"], event["cgroup_id"]) == ("/hello?pid", cgroup.id)


def test_removed_cgroup_is_told(cgroup, watch):
    """Without a word an application that was started again would only seem to be quiet."""
    with Cgroup(cgroup, "restarted") as child:
        watching = watch(child)
    watching.wait_stderr("the watched cgroup was removed", 10)
    watching.stop()
    assert watching.stats["flags"] == ["removed"]


def test_full_ring_is_told(cgroup, start_server, watch, wrk):
    """Once, though nobody asked for the log."""
    server = start_server("nginx", cgroup)
    watching = watch(cgroup, args=["--quiet", "--ring", "4K"])
    wrk(server, 1)
    text = watching.wait_stderr("4096 bytes was full", 10)
    watching.stop()
    assert watching.stats["records_lost"] > 0
    assert text.count("was full") == 1
