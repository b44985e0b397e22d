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

    def __init__(self, directory, argv, columns=80, lines=24, locale="C.UTF-8"):
        self._tmux = ["tmux", "-S", f"{directory}/tmux", "-f", os.devnull]
        self.status = f"{directory}/status"
        script = " ".join(f"'{word}'" for word in argv) + f"; echo $? > '{self.status}'; sleep 60"
        self.run("new-session", "-d", "-x", str(columns), "-y", str(lines), script,
                 env={**os.environ, "LC_ALL": locale, "TERM": "screen"})

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


def cell(screen, name, column):
    """What a column has in the row with this name; titles end where their cells do."""
    head = screen.splitlines()[3]
    end = head.index(column) + len(column)
    return row(screen, name)[:end].split()[-1]


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


def test_applications(top, traffic, scene):
    # pay fails one of two, web passes it on: one of four.
    def shares(lines):
        def of(name):
            return float(next(line for line in lines if name in line).split()[3])
        return (sorted(names(lines)) == ["pay", "stock", "web", "web"] and 45 <= of("<- pay") <= 55
                and 20 <= of("<- web") <= 30 and of("<- stock") == 0)
    eventually(shares, top)
    screen = top.screen()
    assert all(len(line) <= 80 for line in screen.splitlines())
    assert len(screen.splitlines()) == 24
    for name in "<- pay", "<- web", "-> web", "<- stock":
        # CPU of the cgroup is there, whichever hierarchy has the controllers.
        assert re.match(r"\d+\.\d$", cell(screen, name, "CPU%"))
        # A server that was seen to read has both, a client none.
        known = [cell(screen, name, column) != "-" for column in ("QUEUE", "SERVICE")]
        assert known == [name[0] == "<"] * 2
    # Memory, or the reason: the cgroups of the test are not in a hierarchy of version 1.
    if os.path.exists(f"{scene.web.cgroup.path}/memory.current"):
        assert cell(screen, "<- web", "MEM")[0].isdigit()
    else:
        assert cell(screen, "<- web", "MEM") == "-"
        assert "MEM is not known: no memory controller" in screen


def test_sort(top, traffic):
    """The worst first: half of pay's fail, a third of those that web sends, a quarter of those that it
    serves."""
    top.until("-> web")
    eventually(lambda lines: [line.split()[:2] for line in lines] == [
        ["<-", "pay"], ["->", "web"], ["<-", "web"], ["<-", "stock"]], top)
    top.keys("r")
    eventually(lambda lines: names(lines)[0] == "stock" and names(lines)[-1] == "pay", top)
    top.keys("r", *["s"] * 6)  # through the other columns to the name
    eventually(lambda lines: names(lines) == ["pay", "stock", "web", "web"], top)


def test_cursor(top, traffic):
    """The cursor stays with its row, wherever that goes."""
    top.until("-> web")
    eventually(lambda lines: names(lines)[-1] == "stock", top)
    top.keys("End")
    before = traffic[0]
    while traffic[0] < before + 10:  # drawn again
        time.sleep(0.05)
    top.keys("Enter")
    assert "stock (as a server) > interfaces" in top.until("> interfaces")


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
    top.keys("6")
    screen = top.until("> errors")
    assert row(screen, "503").endswith("GET /pay/broken")
    top.keys("5")
    screen = top.until(r"503 +\S+ GET /pay/broken")
    top.keys("Escape")
    top.until("<- stock")


def test_numbers_become_one_interface(top, traffic):
    top.until("-> web")
    top.keys("/", "s", "t", "o", "c", "k", "Enter", "Enter")
    assert len(rows(top.until(r"GET /stock/\{id\}"))) == 1


def test_peers(scene, tmp_path):
    """Who is not watched has a name where one is known: its cgroup's, with the port."""
    terminal = Terminal(tmp_path, [cli(), "top", "--cgroup", scene.web.cgroup.path, "--interval", "200ms"])
    try:
        terminal.until("no request so far")
        scene.get("/stock/1")
        terminal.until("-> web")
        if "-> web" not in rows(terminal.screen())[0]:
            terminal.keys("Down")
        terminal.keys("Enter")
        terminal.until("as a client. > interfaces")
        terminal.keys("3")
        assert row(terminal.until("> peers"), f"stock:{scene.stock.port}")
    finally:
        terminal.close()


def pages(top):
    """All of a page's lines, as Page Down shows them."""
    lines, screen = [], top.screen()
    while True:
        for line in screen.splitlines()[:-1]:
            if line not in lines:
                lines.append(line)
        top.keys("NPage")
        time.sleep(0.2)  # no screen says that it will not change
        previous, screen = screen, top.screen()
        if screen == previous:
            return lines


def test_errors(top, scene):
    """Errors by interface and status are as many as the servers logged; and one of them in full."""
    for i in range(20):
        assert scene.get(f"/pay/{'broken' if i % 4 == 0 else 'card'}?n={i}") == (503 if i % 4 == 0 else 200)
    logged = {app.name: app.statuses(20)[503] for app in (scene.pay, scene.web)}
    assert logged == {"pay": 5, "web": 5}
    top.until("-> web")
    top.keys("e")
    eventually(lambda lines: sorted(line.split()[0] for line in lines) == ["5", "5", "5"], top)
    lines = rows(top.screen())
    assert sorted(tuple(line.split()[3:]) for line in lines) == [
        ("503", "->", "web", "GET", "/pay/broken"), ("503", "<-", "pay", "GET", "/pay/broken"),
        ("503", "<-", "web", "GET", "/pay/broken")]
    top.keys("/", "p", "a", "y", "Enter")
    top.until("errors +/pay *$")
    top.keys("End", "Home")
    screen = top.until(r"latest: GET /pay/broken\?n=16")
    top.keys("Enter")
    top.until("Where the time went")
    lines = pages(top)
    text = "\n".join(lines)
    assert lines[0] == "GET /pay/broken?n=16"
    assert lines[1].startswith("503 Service")
    event = dict(line.strip().split(None, 1) for line in lines if re.match(r"  +[a-z_-]+ +\S", line))
    assert event["status"] == "503" and event["user-agent"].startswith("Python-urllib")
    # Whichever of the three it is: what web serves, what it sends for that, what pay serves.
    assert re.search(r"^(Made for|Sent as|Failed or slow, made for it)\b.*\n  \S+ \(.*GET /pay/broken\?n=16, 503", text, re.M)
    top.keys("Escape")
    top.until("^errors")


def test_request(top, scene):
    """The parts of a request's time are its duration; what it was made for is named."""
    assert scene.get("/pay/broken") == 503
    top.until("-> web")
    top.keys("/", "p", "a", "y", "Enter")
    top.until(r"applications +/pay *$")
    top.keys("Enter")
    top.until("pay .as a server. > interfaces")
    top.keys("5")
    top.until("503 .* GET /pay/broken")
    top.keys("Enter")
    screen = top.until("Where the time went: ")
    assert f"by nginx[{scene.pay.process.pid}/{scene.pay.process.pid}]" in screen

    def nanoseconds(text):
        number, unit = re.match(r"([\d.]+)(ns|us|ms|s)$", text).groups()
        return float(number) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
    whole = nanoseconds(re.search(r"time went: (\S+)", screen).group(1))
    parts = [nanoseconds(re.search(rf"^ +{name} +(\S+) ", screen, re.M).group(1))
             for name in ("queue", "read", "service", "transfer")]
    assert sum(parts) == pytest.approx(whole, rel=0.02)
    assert re.search(r"^Sent as .*\n  web \(client\): GET /pay/broken, 503", screen, re.M)


def test_help(top):
    top.keys("?")
    screen = top.until("Esc        back")
    assert all(len(line) <= 80 for line in screen.splitlines())
    lines = pages(top)
    # Every column of a wide screen is explained.
    top.keys("Escape")
    top.until("no request so far")
    top.resize(140, 24)
    for title in top.until("BYTES/S").splitlines()[3].split()[1:-3]:
        assert any(title in line.split() for line in lines), title


@pytest.mark.parametrize("locale, bars", [("C.UTF-8", "▁▂▃▄▅▆▇█"), ("C", "_.:-=+*#")])
def test_trend(scene, tmp_path, locale, bars):
    """The last minute of each row: one step has all that came, the others have nothing."""
    terminal = Terminal(tmp_path, [cli(), "top", *scene.targets(), "--interval", "200ms"],
                        locale=locale)
    try:
        terminal.until("no request so far")
        for _ in range(10):
            scene.get("/")
        screen = terminal.until("<- web")
        assert screen.splitlines()[3].endswith("LAST 60 s")
        assert row(screen, "<- web")[-1] in bars
    finally:
        terminal.close()


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
    top.keys("x")
    top.until(re.escape(r"GET /\xc2\x9b31mred\xff"))
    top.keys("Escape")
    top.until(r"^applications(.|\n)*<- web")
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
    screen = top.until(r"CPU% +MEM$")
    assert "LAST" not in screen and "QUEUE" in screen
    top.resize(40, 10)
    screen = top.until(r"REQ/S  ERR%    P95$")
    assert all(len(line) <= 40 for line in screen.splitlines())
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
