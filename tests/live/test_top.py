# SPDX-License-Identifier: BSD-2-Clause
"""appmon top, as a person sees it: in a terminal of 80 columns and 24 lines, which tmux plays."""
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from scene import Scene
from watch import cli


class Terminal:
    """A program in a tmux of our own: what is typed, what is on the screen."""

    def __init__(self, directory, argv, columns=80, lines=24):
        self._tmux = ["tmux", "-S", f"{directory}/tmux", "-f", os.devnull]
        self.status = f"{directory}/status"
        script = " ".join(f"'{word}'" for word in argv) + f"; echo $? > '{self.status}'; sleep 60"
        self.run("new-session", "-d", "-x", str(columns), "-y", str(lines), script,
                 env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "screen"})

    def run(self, *args, **kwargs):
        return subprocess.run(self._tmux + list(args), check=True, stdout=subprocess.PIPE,
                              text=True, **kwargs).stdout

    def screen(self):
        return self.run("capture-pane", "-p")

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def resize(self, columns, lines):
        self.run("resize-window", "-x", str(columns), "-y", str(lines))

    def until(self, pattern, timeout=15):
        """The screen, as soon as the pattern is on it."""
        deadline = time.monotonic() + timeout
        while True:
            screen = self.screen()
            if re.search(pattern, screen, re.M):
                return screen
            assert time.monotonic() < deadline, f"no {pattern!r} on the screen:\n{screen}"
            time.sleep(0.05)

    def close(self):
        subprocess.run(self._tmux + ["kill-server"], stderr=subprocess.DEVNULL)


@pytest.fixture
def scene(cgroup, tmp_path):
    if not os.path.exists("/sys/kernel/btf/vmlinux") or "APPMON_BUILD" not in os.environ:
        pytest.skip("no BTF, or APPMON_BUILD is not set")
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    return Scene(cgroup, tmp_path)


@pytest.fixture
def top(scene, tmp_path):
    """appmon top on the scene's applications, nothing has come yet."""
    terminal = Terminal(tmp_path, [cli(), "top", *scene.targets(), "--interval", "200ms"])
    try:
        terminal.until("no request so far")
        yield terminal
    finally:
        terminal.close()


@pytest.fixture
def traffic(scene):
    """Requests all the time; the list has their number."""
    stop, sent = threading.Event(), [0]

    def drive():
        while not stop.is_set():
            for path in (f"/stock/{sent[0]}", "/", "/pay/broken", "/pay/card"):
                scene.get(path)
            sent[0] += 1
            stop.wait(0.02)
    thread = threading.Thread(target=drive)
    thread.start()
    yield sent
    stop.set()
    thread.join()


def rows(screen):
    """First word(s) of the table's lines -> the rest."""
    return [line for line in screen.splitlines()[4:-1] if line.strip()]


def eventually(check, top, timeout=15):
    """The rows of the table, as soon as they are as they should be."""
    deadline = time.monotonic() + timeout
    while True:
        lines = rows(top.screen())
        try:
            if check(lines):
                return lines
        except (IndexError, ValueError, StopIteration):
            pass  # not drawn yet
        assert time.monotonic() < deadline, "\n".join(lines)
        time.sleep(0.05)


def names(lines):
    return [line.split()[1] for line in lines]


def row(screen, name):
    return next(line for line in rows(screen) if name in line)


def test_waits_visibly(top):
    """Nothing comes: the sign turns, the seconds go on."""
    first = top.until(r"no request so far \(1 s\)")
    signs = set()
    while len(signs) < 4:
        signs.add(re.search(r"(.) no request so far", top.screen()).group(1))
    assert "watching 3 target(s)" in first
    top.until(r"no request so far \(3 s\)")
    top.keys("q")
    deadline = time.monotonic() + 10
    while not os.path.exists(top.status) or not open(top.status).read():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert open(top.status).read().strip() == "0"


def test_applications(top, traffic):
    # pay fails one of two, web passes it on: one of four.
    def shares(lines):
        def of(name):
            return float(next(line for line in lines if name in line).split()[3])
        return (sorted(names(lines)) == ["pay", "stock", "web", "web"] and 45 <= of("<- pay") <= 55
                and 20 <= of("<- web") <= 30 and of("<- stock") == 0)
    lines = eventually(shares, top)
    screen = top.screen()
    assert all(len(line) <= 80 for line in screen.splitlines())
    assert len(screen.splitlines()) == 24
    # CPU of the cgroup is there, whichever hierarchy has the controllers.
    assert all(re.match(r"\d+\.\d$", line.split()[-2]) for line in lines)


def test_sort(top, traffic):
    top.until("-> web")
    top.keys("s")  # errors
    eventually(lambda lines: names(lines)[0] == "pay" and names(lines)[-1] == "stock", top)
    top.keys("r")
    eventually(lambda lines: names(lines)[0] == "stock" and names(lines)[-1] == "pay", top)
    top.keys("r", *["s"] * 7)  # through the other columns to the name
    eventually(lambda lines: names(lines) == ["pay", "stock", "web", "web"], top)


def test_filter(top, traffic):
    top.until("-> web")
    top.keys("/", "s", "t", "o")
    screen = top.until(r"/sto_")
    assert [line.split()[1] for line in rows(screen)] == ["stock"]
    top.keys("Enter")
    top.until(r"/sto *$")
    top.keys("/", "x")
    assert "nothing matches /stox" in top.until("nothing matches")
    top.keys("Escape")
    top.until("-> web")


def test_drill_down(top, traffic):
    top.until("-> web")
    top.keys("/", "p", "a", "y", "Enter")
    top.until(r"applications +/pay *$")
    top.keys("Enter")
    screen = top.until("GET /pay/broken")
    assert "pay (as a server) > interfaces" in screen
    assert float(row(screen, "GET /pay/broken").split()[3]) == 100
    assert float(row(screen, "GET /pay/card").split()[3]) == 0
    top.keys("2")
    top.until(r"/pay +\d")  # the cgroup's path
    top.keys("3")
    assert row(top.until("> peers"), "web")  # the application behind it, not its address
    top.keys("4")
    screen = top.until("> status")
    assert row(screen, "503") and row(screen, "200")
    top.keys("5")
    screen = top.until(r"503 +\S+ GET /pay/broken")
    top.keys("Escape")
    top.until("<- stock")


def test_numbers_become_one_interface(top, traffic):
    top.until("-> web")
    top.keys("/", "s", "t", "o", "c", "k", "Enter", "Enter")
    assert len(rows(top.until(r"GET /stock/\{id\}"))) == 1


def test_pause(top, traffic):
    top.until("-> web")
    top.keys("Space")
    paused = rows(top.until("PAUSED"))
    before = traffic[0]
    while traffic[0] < before + 20:
        time.sleep(0.05)
    assert rows(top.screen()) == paused
    top.resize(40, 24)
    top.until("PAUSED")
    top.resize(80, 24)
    top.keys("Space")
    deadline = time.monotonic() + 10
    while rows(top.screen()) == paused:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_escapes(scene, top):
    """What steers a terminal (CSI, here as UTF-8), and what is no UTF-8, is shown as \\xNN."""
    with socket.create_connection(("127.0.0.1", scene.web.port)) as client:
        client.sendall(b"GET /\xc2\x9b31mred\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while client.recv(4096):
            pass
    top.keys("e")
    top.until(re.escape(r"GET /\xc2\x9b31mred\xff"))
    top.keys("Escape")
    top.until("<- web")
    top.keys("Enter")
    top.until(re.escape("GET /{param}"))


def test_window(top, traffic):
    top.until("-> web")
    top.until(r"last [\d.]+ s: ")
    top.keys("w")
    top.until(r"since the start: ")
    top.keys("w")
    top.until(r"last 0\.\d s: ")  # one interval


def test_resize(top, traffic):
    top.until("-> web")
    top.resize(120, 30)
    screen = top.until("BYTES/S")
    assert len(screen.splitlines()) == 30
    top.resize(60, 10)
    screen = top.until(r"REQ/S")
    top.resize(20, 4)
    top.until("too small")
    top.resize(80, 24)
    top.until("-> web")


def test_needs_a_terminal(cgroup):
    if "APPMON_BUILD" not in os.environ:
        pytest.skip("APPMON_BUILD is not set")
    done = subprocess.run([cli(), "top", "--cgroup", cgroup.path], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == 1 and "terminal" in done.stderr


def test_hang(cgroup, tmp_path, scene):
    """A service that has answered no request yet: its requests are open, and have been for long."""
    listener = cgroup.listener()
    terminal = Terminal(tmp_path, [cli(), "top", "--cgroup", cgroup.path, "--name", "stuck",
                                   "--interval", "200ms"])
    try:
        terminal.until("no request so far")
        client = socket.create_connection(listener.getsockname())
        client.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        server, _ = listener.accept()
        screen = terminal.until(r"<- stuck .* 1 +\d+\.\d+s$")
        assert re.search(r"errors, 1 open for \d+\.\d+s", screen)
        assert re.search(r"OPEN +OLDEST$", screen, re.M)
        assert all(len(line) <= 80 for line in screen.splitlines())
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        terminal.until(r"<- stuck +\d+\.\d ")
        client.close()
        server.close()
        assert " open for " not in terminal.until(r"errors$")
    finally:
        terminal.close()
