# SPDX-License-Identifier: BSD-2-Clause
"""What the command needs, what it gives up, and what the network cannot make it do or show."""
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from cgroups import Cgroup
from compare import check_wire
from watch import as_user, cli

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NEEDED = ["bpf", "net_admin", "perfmon"]


@pytest.fixture(autouse=True)
def built(watch):
    """Every test here needs what watch() needs."""


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def no_capabilities(pid):
    status = status_of(pid)
    return status["NoNewPrivs"] == "1" and not any(
        int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"))


class Plain:
    """The command as given, until it says that it watches."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while True:
            line = self.process.stderr.readline()
            if b"watching" in line:
                break
            assert line, self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()]


def exchange(play, target="/a"):
    client, served = play()
    sent = client.send("GET", target)
    served.recv(65536)
    served.sendall(OK)
    return client.receive(sent)


# ---- capabilities -------------------------------------------------------------------------------


def test_three_capabilities_are_enough(public_cli, cgroup, play):
    """And none of them is needed any more once it watches: events, the kernel's counters, the
    sweep that ends a long body, and the orderly end."""
    watching = Plain(as_user(NEEDED) + [public_cli, "watch", "--json", "--cgroup", cgroup.path])
    assert status_of(watching.process.pid)["Uid"].split() == ["65534"] * 4
    assert no_capabilities(watching.process.pid)

    wire = exchange(play)
    client, served = play()  # not HTTP: only the kernel counts it
    client.sock.sendall(b"\x16\x03\x01 TLS")
    served.recv(100)
    client.sock.close()
    client, served = play()
    sent = client.send("GET", "/long")
    served.recv(65536)
    served.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        served.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    served.sendall(b"0\r\n\r\n")
    long_wire = client.receive(sent)
    time.sleep(0.5)
    first, long, last = watching.stop()
    check_wire(first, wire, cgroup)
    check_wire(long, long_wire, cgroup)
    assert "sweep" in last["summary"]["capabilities"]
    stats = last["summary"]["stats"]
    assert (stats["delivered"], stats["connections_skipped"], stats["outstanding"]) == (2, 1, 0)
    assert stats["exchanges_seen"] == 2


@pytest.mark.parametrize("missing", NEEDED)
def test_missing_capability_is_named(missing, public_cli, cgroup):
    caps = [c for c in NEEDED if c != missing]
    done = subprocess.run(as_user(caps) + [public_cli, "watch", "--cgroup", cgroup.path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stdout == ""
    what, _, todo = done.stderr.partition(": run as root")
    assert f"CAP_{missing.upper()} " in what
    for other in caps:
        assert f"CAP_{other.upper()} " not in what
    assert "setcap" in todo
    assert done.stderr.count("\n") == 1


def test_root_gives_up_its_capabilities(cgroup, tmp_path, play):
    """The recording and its events were opened before; replay has no use for any either."""
    recording, events = tmp_path / "recording", tmp_path / "events"
    watching = Plain([cli(), "watch", "--json", "--cgroup", cgroup.path, "--record", recording,
                      "--output", events])
    assert no_capabilities(watching.process.pid)
    exchange(play)
    time.sleep(0.2)
    watching.stop()
    event, last = map(json.loads, events.read_text().splitlines())
    assert event["request_target"] == "/a" and last["summary"]["stats"]["delivered"] == 1

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen([cli(), "replay", "--json", pipe], stdout=subprocess.PIPE)
    with open(pipe, "wb") as f:
        f.write(recording.read_bytes())
        f.flush()
        deadline = time.monotonic() + 10
        while not no_capabilities(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    out, _ = process.communicate(timeout=10)
    assert json.loads(out.splitlines()[0]) == event


# ---- what is shown ------------------------------------------------------------------------------

# Control characters of 7 and 8 bits and of UTF-8, sequences of them that terminals act on, what
# changes the order or hides text, and what is no UTF-8. C0 and DEL make a head malformed, except
# for the tab in fields: start lines are told with them, fields are not.
TRICKS = {
    "csi": "\u009b31m".encode(), "csi 8 bit": b"\x9b31m", "osc": "\u009d0;title\u009c".encode(),
    "nel": "\u0085".encode(), "dcs": b"\x90q\x9c", "bidi": "\u202e/exe.gpj".encode(),
    "isolate": "\u2066x\u2069".encode(), "zero width": "a\u200bb".encode(),
    "soft hyphen": "\u00ad".encode(), "bom": "\ufeff".encode(), "tag": "\U000e0041".encode(),
    "line separator": "\u2028x".encode(), "overlong": b"\xc0\x9b\xe0\x80\x9b\xf0\x80\x80\x9b",
    "surrogate": b"\xed\xa0\x9b\xed\xb0\x80", "beyond": b"\xf4\x90\x80\x80", "cut": b"\xe2\x80",
    "continuation": b"\x80\xbf", "private": "\ue000\uf8ff".encode(),
    "filler": "\u3164\uffa0".encode(), "noncharacter": "\uffff\ufffe".encode(), "combining": ("e" + "\u0301" * 50).encode(),
}
CONTROLS = {"esc": b"\x1b[2J", "osc 52": b"\x1b]52;c;Zm9v\x07", "cr": b"x\rGET", "bs": b"\x08\x08",
            "nul": b"\0", "del": b"\x7f", "bell": b"\x07", "so": b"\x0e"}

SGR = re.compile(rb"\x1b\[[0-9;]*m")


def odd_request(trick):
    return (b"GET /p" + trick + b"?q" + trick + b" HTTP/1.1\r\nHost: h" + trick
            + b"\r\nUser-Agent: u" + trick + b"\r\n\r\n",
            b"HTTP/1.1 200 r" + trick + b"\r\nContent-Type: t" + trick
            + b"\r\nContent-Length: 2\r\n\r\nok")


def show(cgroup, play, tricks, terminal, locale, args=()):
    """All that the command writes about one exchange for each trick."""
    if terminal:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        attributes = termios.tcgetattr(theirs)
        attributes[1] &= ~termios.OPOST  # the bytes as they are written
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    else:
        ours, theirs = os.pipe()
    process = subprocess.Popen([cli(), "watch", "--cgroup", cgroup.path, *args], stdout=theirs,
                               stderr=theirs, env={**os.environ, "TERM": "xterm",
                                                   "LC_ALL": locale})
    os.close(theirs)
    out = b""
    while b"watching" not in out:
        out += os.read(ours, 65536)
    while not out.endswith(b"\n"):
        out += os.read(ours, 65536)
    for trick in tricks.values():
        client, served = play()
        request, response = odd_request(trick)
        client.sock.sendall(request)
        served.recv(65536)
        served.sendall(response)
        client._take_until(b"ok")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # a pty without its other end
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert process.wait(10) == 0
    return shown


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_people_see_no_control_characters(terminal, locale, cgroup, play):
    """Nothing that a terminal acts on, in either encoding, but the colours that we set."""
    shown = show(cgroup, play, TRICKS, terminal, locale)
    assert (b"\x1b[" in shown) == terminal
    text = SGR.sub(b"", shown)
    lines = text.split(b"\n")
    assert sum(b" GET /p" in line for line in lines) == len(TRICKS)
    assert all(b == 0x0a or (0x20 <= b and b != 0x7f) for b in text), text
    if locale == "C":
        assert all(b < 0x7f for b in text)
    for c in text.decode("utf-8"):  # strict: what is no UTF-8 was escaped
        assert c == "\n" or c.isprintable() or c == "\u0301", hex(ord(c))
    # An escape looks like one: a backslash of the network's own is escaped as well.
    assert b"\\x" in text


def test_json_is_ascii(cgroup, play):
    """Each line is one object, whatever was in it, and ASCII without control characters."""
    shown = show(cgroup, play, TRICKS, True, "C.UTF-8", ["--json"])
    lines = shown.splitlines()
    assert all(0x20 <= b < 0x7f for line in lines for b in line)
    *events, last = map(json.loads, lines)
    assert [e["operation"] for e in events] == ["GET"] * len(TRICKS)
    for event, trick in zip(events, TRICKS.values()):
        text = event["message"][1:]
        assert event["request_target"] == f"/p{text}?q{text}"
        assert event["headers"]["request"]["user-agent"] == [f"u{text}"]
        assert event["headers"]["response"]["content-type"] == [f"t{text}"]
        assert text.encode() == trick or "\ufffd" in text
    assert last["summary"]["stats"]["delivered"] == len(TRICKS)


@pytest.mark.parametrize("args", [[], ["--json"]], ids=["people", "json"])
def test_control_bytes_are_malformed(args, cgroup, play):
    """RFC 9110 section 5.5, RFC 9112 section 3: fields with them are not read, and start lines are
    shown without what a terminal acts on."""
    shown = SGR.sub(b"", show(cgroup, play, CONTROLS, True, "C.UTF-8", args))
    assert all(b == 0x0a or 0x20 <= b < 0x7f for b in shown), shown
    lines = [line for line in shown.splitlines() if b"/p" in line]
    assert len(lines) == len(CONTROLS)
    if args:
        for line, trick in zip(lines, CONTROLS.values()):
            event = json.loads(line)
            assert event["request_target"].encode() == b"/p" + trick + b"?q" + trick
            assert "malformed" in event["flags"]
            assert "user-agent" not in str(event["headers"])


def test_names_of_cgroups_are_escaped(cgroup, play):
    """A workload may name the cgroups below its own as it likes."""
    with Cgroup(cgroup, "a\x1b[31mb\u202e") as odd:
        listener = odd.listener()
        for args in ([], ["--json"]):
            process = subprocess.Popen([cli(), "watch", "--count", "1", "--cgroup", odd.path, *args],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while b"watching" not in process.stderr.readline():
                assert process.poll() is None
            with socket.create_connection(listener.getsockname()) as client:
                served, _ = listener.accept()
                client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                served.recv(100)
                served.sendall(OK)
                out, err = process.communicate(timeout=10)
                served.close()
            assert b"\x1b" not in out + err
            assert all(b == 0x0a or 0x20 <= b < 0x7f for b in out)
            if args:
                assert json.loads(out.splitlines()[0])["app"] == odd.name
            else:
                assert rb"a\x1b[31mb\xe2\x80\xae" in out
        listener.close()


# ---- what is kept -------------------------------------------------------------------------------

SENSITIVE = ["authorization", "cookie", "set-cookie", "proxy-authorization"]


@pytest.mark.parametrize("asked", [None] + SENSITIVE)
def test_sensitive_fields(asked, cgroup, play, watch):
    """Never, unless asked for by name, and then that one only."""
    watching = watch(cgroup, args=["--header", asked] if asked else [])
    client, served = play()
    client.sock.sendall(b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"".join(
        f"{name.title()}: secret-{name}\r\n".encode() for name in SENSITIVE) + b"\r\n")
    served.recv(65536)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + b"".join(
        f"{name.upper()}: secret-{name}\r\n".encode() for name in SENSITIVE) + b"\r\nok")
    client._take_until(b"ok")
    watching.wait(1)
    event, = watching.stop()
    expected = {asked: [f"secret-{asked}"]} if asked else {}
    assert event["headers"] == {"request": expected, "response": expected}
    assert str(event).count("secret") == 2 * len(expected)


def test_sensitive_fields_for_people(cgroup, play):
    trick = {"": b"x\r\nAuthorization: secret\r\nCookie: secret"}
    assert b"secret" not in show(cgroup, play, trick, False, "C.UTF-8")
