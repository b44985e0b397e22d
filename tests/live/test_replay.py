# SPDX-License-Identifier: BSD-2-Clause
"""A recording gives the same events again, without the kernel and without privileges."""
import json
import re
import struct
import subprocess

from watch import cli

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def replay(*args):
    return subprocess.run([cli(), "replay", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=30)


def test_same_events(cgroup, watch, play, tmp_path):
    recording = tmp_path / "recording"
    live = tmp_path / "live"
    watching = watch(cgroup, args=["--record", str(recording)], output=live)
    for i in range(20):
        client, served = play()
        for n in range(3):
            sent = client.send("GET", f"/{i}/{n}?q=1")
            served.recv(65536)
            served.sendall(OK)
            client.receive(sent)
    client, served = play()
    client.send("GET", "/unanswered")
    served.recv(65536)
    served.close()
    watching.stop()
    watching.check_sums(delivered=61)
    again = replay("--json", str(recording))
    assert again.returncode == 0, again.stderr
    *events, summary = live.read_bytes().splitlines(keepends=True)
    *replayed, last = again.stdout.splitlines(keepends=True)
    assert len(events) == 61
    assert replayed == events
    live_stats, stats = (json.loads(line)["summary"]["stats"] for line in (summary, last))
    for name in ("exchanges_seen", "delivered", "dropped", "requests", "responses", "records"):
        assert stats[name] == live_stats[name]


def frame(kind, flags, stream, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") +
            payload)


def test_same_events_of_frames(cgroup, watch, play, tmp_path):
    """HTTP/2: the programs write pieces of frames; heads and bodies of any size, cut anywhere."""
    recording = tmp_path / "recording"
    live = tmp_path / "live"
    watching = watch(cgroup, args=["--record", str(recording), "--protocols", "http1,http2"],
                     output=live)
    for most in (1, 100, 70000):
        client, served = play()
        client.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
        served.recv(65536)
        served.sendall(frame(4, 0, 0) + frame(4, 1, 0))
        client.sock.recv(65536)
        for n in range(20):
            stream = 1 + 2 * n
            path = b"/%d/" % n + b"p" * (n * 6)
            # RFC 7541: GET, http, and :path as a literal that is not indexed.
            head = frame(1, 5, stream, b"\x82\x86\x04" + bytes([len(path)]) + path)
            # WINDOW_UPDATE is counted only.
            data = frame(8, 0, 0, b"\0\0\1\0") * n + head
            for at in range(0, len(data), most):
                client.sock.sendall(data[at:at + most])
            got = 0
            while got < len(data):
                got += len(served.recv(65536))
            data = frame(1, 4, stream, b"\x88") + frame(0, 0, stream, b"d" * (n * 800)) * 3 + \
                frame(0, 1, stream)
            for at in range(0, len(data), 400 * most):
                served.sendall(data[at:at + 400 * most])
            got = 0
            while got < len(data):
                got += len(client.sock.recv(65536))
    watching.stop()
    watching.check_sums(delivered=60)
    again = replay("--json", "--protocols", "http1,http2", str(recording))
    assert again.returncode == 0, again.stderr
    *events, summary = live.read_bytes().splitlines(keepends=True)
    *replayed, last = again.stdout.splitlines(keepends=True)
    assert replayed == events
    for n, event in enumerate(json.loads(line) for line in events):
        n %= 20
        assert (event["protocol"], event["status"]) == ("http2", 200)
        assert event["path"] == f"/{n}/" + "p" * (n * 6)
        assert event["response_body_bytes"] == n * 2400
    live_stats, stats = (json.loads(line)["summary"]["stats"] for line in (summary, last))
    for name in ("exchanges_seen", "delivered", "dropped", "requests", "responses", "records"):
        assert stats[name] == live_stats[name]


def test_damaged_recordings(cgroup, watch, play, tmp_path):
    """Cut anywhere a recording gives what is whole in it; other files are refused."""
    recording = tmp_path / "recording"
    watching = watch(cgroup, args=["--record", str(recording)])
    client, served = play()
    sent = client.send("GET", "/one")
    served.recv(65536)
    served.sendall(OK)
    client.receive(sent)
    watching.stop()
    whole = recording.read_bytes()
    cut = tmp_path / "cut"
    for size in range(0, len(whole), 37):
        cut.write_bytes(whole[:size])
        done = replay("--json", str(cut))
        assert done.returncode == (0 if size >= 24 else 1), done.stderr
    cut.write_bytes(whole[:24] + b"\xff" * 64)
    assert replay(str(cut)).returncode == 1
    # What is said of ports: slot, port and protocol, behind the slot's target.
    port = struct.Struct("=IIQ")
    for entries, right in (([1], True), ([1] * 64, True), ([1] * 65, False), ([99], False),
                           ([1 << 48 | 1], False), ([0xffff << 48 | 1], False)):
        cut.write_bytes(whole + b"".join(port.pack(7, 8, 80 << 32 | entry) for entry in entries))
        assert (replay(str(cut)).returncode == 0) == right
    assert b"no recording" in replay("/etc/passwd").stderr


def test_explain(cgroup, watch, play, tmp_path):
    """A line for each record and each decision, in front of the request that they make; what has
    no event has its reason."""
    recording = tmp_path / "recording"
    watching = watch(cgroup, args=["--record", str(recording)])
    client, served = play()
    sent = client.send("GET", "/good?key=hunter2", fields=["Authorization: hunter2"])
    served.recv(65536)
    served.sendall(OK)
    client.receive(sent)
    client.sock.sendall(b"GET /bad\r\nHost: h\r\n\r\n")
    served.recv(65536)
    served.close()
    watching.stop()
    done = replay("--explain", "--no-query", str(recording))
    assert done.returncode == 0, done.stderr
    assert b"hunter2" not in done.stdout
    lines = done.stdout.decode().splitlines()
    stats = json.loads(replay("--json", str(recording)).stdout.splitlines()[-1])["summary"]["stats"]
    assert sum(bool(re.match(r"connection \d+: record (in|out): ", line))
               for line in lines) == stats["records"]
    assert stats["dropped"]["parse"] == 1
    steps = [r"connection \d+: record in: ", r".*: exchange 1 begins: GET /good \(heads.c:\d+\)$",
             r".*: exchange 1 is answered with 200 \(", r".*: exchange 1 is told \(",
             r"\d\d:.* 200 .* GET /good$",
             r".*: exchange 2 is dropped, parse: its request cannot be read \(heads.c:\d+\)$"]
    places = [[i for i, line in enumerate(lines) if re.match(step, line)] for step in steps]
    assert all(places), done.stdout
    assert [place[0] for place in places] == sorted(place[0] for place in places)
    assert [len(place) for place in places[1:]] == [1, 1, 1, 1, 1]
    refused = replay("--explain", "--json", str(recording))
    assert refused.returncode == 2 and b"--explain" in refused.stderr
