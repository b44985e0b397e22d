# SPDX-License-Identifier: BSD-2-Clause
"""
Which TLS libraries are found, and whose plaintext is told: compared with the paths that a server has
noted, and with the lines that say what was attached to.
"""
import glob
import os
import re
import shutil
import ssl
import struct
import subprocess
import sys

import pytest

from exporting import Monitor, wait_for
from programs import free_port, wait_for_port

# Says when it listens; notes each path that it is asked for. It speaks TLS in WORKERS processes, which
# are forked behind listen(); 0: in the first one.
SERVER = """
import os, socket, ssl, sys
port, base, workers, notes = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(base + ".pem", base + ".key")
listener = socket.create_server(("127.0.0.1", port))
for _ in range(workers):
    if os.fork() == 0:
        break
else:
    if workers:
        os.wait()
out = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while True:
    try:
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as conn:
            head = b""
            while not head.endswith(b"\\r\\n\\r\\n"):
                piece = conn.recv(4096)
                if not piece:
                    raise ConnectionError
                head += piece
            os.write(out, head.split()[1] + b"\\n")
            conn.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
    except (OSError, ssl.SSLError):
        pass
"""

# It has made a socket, and sent a hello that it was given, before it loads libssl. Then it asks for the
# paths that it reads, each on a connection of its own.
LATE = """
import socket, sys
connect = lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])))
with connect() as plain:
    plain.sendall(bytes.fromhex(sys.argv[2]))
    plain.recv(1)
assert "libssl" not in open("/proc/self/maps").read()
for line in sys.stdin:
    import ssl
    with ssl._create_unverified_context().wrap_socket(connect()) as conn:
        conn.sendall(f"GET {line.strip()} HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n".encode())
        while conn.recv(4096):
            pass
    print(line, end="", flush=True)
"""

GO = """package main
import ("crypto/tls"; "fmt"; "io"; "net/http"; "os"; "strings")
func main() {
	if os.Args[1] == "ask" {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2: os.Args[3] == "2"}
		for _, path := range strings.Split(os.Args[4], ",") {
			r, err := (&http.Client{Transport: tr}).Get("https://127.0.0.1:" + os.Args[2] + path)
			if err != nil { fmt.Println(err); os.Exit(1) }
			io.Copy(io.Discard, r.Body); r.Body.Close()
		}
		return
	}
	out, _ := os.OpenFile(os.Args[3], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0600)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(out, r.URL.Path); fmt.Fprint(w, "hello")
	})
	http.ListenAndServeTLS("127.0.0.1:"+os.Args[1], os.Args[2]+".pem", os.Args[2]+".key", nil)
}
"""
READ = "the plaintext of TLS in "


class Place:
    """A server, and the environment in which it finds its library."""

    def __init__(self, certificate, tmp_path):
        self.certificate = certificate
        self.tmp_path = tmp_path
        self.number = 0

    def command(self, workers=0):
        self.number += 1
        self.notes = str(self.tmp_path / f"notes{self.number}")
        self.port = free_port("127.0.0.1")
        return [sys.executable, "-c", SERVER, str(self.port), self.certificate, str(workers),
                self.notes]

    def noted(self):
        with open(self.notes, encoding="ascii") as f:
            return sorted(f.read().split())


@pytest.fixture
def place(certificate, tmp_path):
    return Place(certificate, tmp_path)


@pytest.fixture
def library(tmp_path):
    """A copy of libssl in a directory of its own, for LD_LIBRARY_PATH."""
    found = glob.glob("/usr/lib/x86_64-linux-gnu/libssl.so.3")
    if not found:
        pytest.skip("no libssl.so.3 is installed")
    directory = tmp_path / "library"
    directory.mkdir()
    shutil.copy(os.path.realpath(found[0]), directory / "libssl.so.3")
    return directory


def serve(place, cgroup, library):
    """A server with the library that is in the directory now."""
    process = cgroup.spawn(place.command(), env={**os.environ, "LD_LIBRARY_PATH": str(library)})
    wait_for_port(place.port, process)
    return process


@pytest.fixture
def places(place):
    """Of two servers at a time."""
    other = Place(place.certificate, place.tmp_path / "other")
    other.tmp_path.mkdir()
    return place, other


def ask(port, name, count=4):
    """Requests on connections of their own, from outside of any cgroup that is watched."""
    paths = [f"/{name}/{i}" for i in range(count)]
    for path in paths:
        subprocess.run(["curl", "-skf", "--http1.1", "-o", "/dev/null",
                        f"https://127.0.0.1:{port}{path}"], check=True, timeout=20)
    return sorted(paths)


def told(events):
    return sorted(e["path"] for e in events if e["protocol"] == "http1" and e["status"] == 200)


def files(watching):
    """Those that are read, by the log."""
    return [m[1] for m in re.finditer(re.escape(READ) + r"(.*) is read", "".join(watching.log()))]


def test_one_file_two_processes(cgroup, watch, place):
    first = cgroup.spawn(place.command())
    port, notes = place.port, place.notes
    wait_for_port(port, first)
    watching = watch(cgroup, args=["--tls", "-v"])
    paths = ask(port, "first")
    second = cgroup.spawn(place.command())
    wait_for_port(place.port, second)
    paths += ask(place.port, "second")
    watching.wait(len(paths), timeout=10)
    events = watching.stop()
    with open(notes, encoding="ascii") as f:
        assert sorted(f.read().split() + place.noted()) == sorted(paths) == told(events)
    assert len(files(watching)) == 1
    assert watching.stats["tls_refused"] == 0


def test_forked_after_listen(cgroup, watch, place):
    """Each worker's first request is told, though none of them made a socket before."""
    watching = watch(cgroup, args=["--tls", "-v"])
    server = cgroup.spawn(place.command(workers=3))
    wait_for_port(place.port, server)
    watching.wait_stderr(READ, timeout=10)
    paths = ask(place.port, "forked", count=9)
    watching.wait(len(paths), timeout=10)
    assert told(watching.stop()) == place.noted() == paths


def test_outside(cgroup, watch, place):
    """The library is probed for the sake of a process inside; what others say is not read."""
    inside = cgroup.spawn(place.command())
    wait_for_port(place.port, inside)
    watching = watch(cgroup, args=["--tls", "-v"])
    outside = Place(place.certificate, place.tmp_path / "outside")
    outside.tmp_path.mkdir()
    with subprocess.Popen(outside.command()) as process:
        try:
            wait_for_port(outside.port, process)
            assert ask(outside.port, "secret") == outside.noted()
            paths = ask(place.port, "inside", count=2)
        finally:
            process.kill()
    watching.wait(len(paths), timeout=10)
    events = watching.stop()
    assert told(events) == paths == place.noted()
    # A read and a write of each; no record of others has come.
    assert watching.stats["plain_calls"] == 2 * len(paths)
    assert watching.stats["plain_dropped"] == 0


def test_replaced_and_deleted(cgroup, watch, place, library):
    """An upgrade in place: a process has the old file, which has no name any more, another the new
    one."""
    serve(place, cgroup, library)
    shutil.copy(library / "libssl.so.3", library / "new")
    os.rename(library / "new", library / "libssl.so.3")
    watching = watch(cgroup, args=["--tls", "-v"])
    paths = ask(place.port, "old")
    serve(place, cgroup, library)
    watching.wait_stderr(f"{library}/libssl.so.3 is read", timeout=10)
    paths += ask(place.port, "new")
    watching.wait(len(paths), timeout=10)
    assert told(watching.stop()) == sorted(paths)
    assert files(watching) == [f"{library}/libssl.so.3 (deleted)", f"{library}/libssl.so.3"]


def upgrade(file):
    """As a package manager does it: a file of another build id takes the name."""
    with open(file, "rb") as f:
        data = f.read()
    # A note of GNU with 20 bytes of a build id, or of Go with its 83.
    note = re.search(b"|".join(re.escape(struct.pack("<3I4s", 4, size, kind, name)) for size, kind, name
                               in ((20, 3, b"GNU"), (83, 4, b"Go"))), data)
    shutil.copy(file, f"{file}.new")
    with open(f"{file}.new", "r+b") as f:
        f.seek(note.end())
        f.write(b"another")
    os.rename(f"{file}.new", file)


def test_upgraded(cgroup, watch, places, library):
    """While they are watched: a process keeps the old library, the next one has the new, and all that
    either serves is told."""
    old, new = places
    serve(old, cgroup, library)
    watching = watch(cgroup, args=["--tls", "-v"])
    paths = ask(old.port, "before")
    upgrade(library / "libssl.so.3")
    paths += ask(old.port, "old")
    serve(new, cgroup, library)
    wait_for(lambda: len(files(watching)) == 2)
    paths += ask(new.port, "new") + ask(old.port, "still")
    watching.wait(len(paths), timeout=10)
    events = watching.stop()
    watching.check_sums(delivered=len(paths))
    assert sorted(old.noted() + new.noted()) == sorted(paths) == told(events)
    assert len(files(watching)) == 2


@pytest.mark.parametrize("how", ["touched", "written"])
def test_changed_in_place(how, cgroup, watch, places, library):
    """The file is the same one, with another time: it is attached to anew, and not twice. Who has it
    while it is written loses his relocated pages and dies, whether it is watched or not."""
    file, (old, new) = library / "libssl.so.3", places
    process = serve(old, cgroup, library)
    watching = watch(cgroup, args=["--tls", "-v"])
    paths = ask(old.port, "before")
    if how == "touched":
        os.utime(file)
    else:
        process.kill()
        process.wait()
        file.write_bytes(file.read_bytes())
    serve(new, cgroup, library)
    wait_for(lambda: len(files(watching)) == 2)
    paths += ask(new.port, "new")
    if how == "touched":
        paths += ask(old.port, "still")
    watching.wait(len(paths), timeout=10)
    events = watching.stop()
    watching.check_sums(delivered=len(paths))
    assert sorted(old.noted() + new.noted()) == sorted(paths) == told(events)
    assert watching.stats["plain_calls"] == 2 * len(paths) and not watching.stats["plain_dropped"]


def test_other_mounts(cgroup, watch, place, library):
    """A container: its library is in a file system that is mounted for it alone."""
    inner = ["unshare", "--mount", "sh", "-c",
             'cp "$0/libssl.so.3" "$0/../kept" && mount -t tmpfs none "$0" && '
             'cp "$0/../kept" "$0/libssl.so.3" && export LD_LIBRARY_PATH="$0" && exec "$@"',
             str(library)]
    server = cgroup.spawn(inner + place.command())
    wait_for_port(place.port, server)
    os.unlink(library / "libssl.so.3")
    watching = watch(cgroup, args=["--tls", "-v"])
    paths = ask(place.port, "container")
    watching.wait(len(paths), timeout=10)
    assert told(watching.stop()) == place.noted() == paths
    assert len(files(watching)) == 1


def test_not_understood(cgroup, watch, place, library):
    """A library that has lost a function's name is refused, with the reason, and counted; what its
    processes say is opaque, and the application does not notice."""
    data = (library / "libssl.so.3").read_bytes()
    assert b"\0SSL_get_client_random\0" in data
    # Nobody here calls it, and by its name alone it would be found.
    (library / "libssl.so.3").write_bytes(
        data.replace(b"\0SSL_get_client_random\0", b"\0SSL_get_Client_random\0"))
    serve(place, cgroup, library)
    watching = watch(cgroup, args=["--tls", "-v"])
    paths = ask(place.port, "opaque", count=2)
    watching.wait(len(paths), timeout=10)
    events = watching.stop()
    assert place.noted() == paths
    assert {e["protocol"] for e in events} == {"tls"}
    assert watching.stats["tls_refused"] == 1
    assert watching.stats["tls_refused_processes"] == 0
    assert "is not read: SSL_get_client_random is not understood" in "".join(watching.log())
    monitor = Monitor("export", "--listen", "127.0.0.1:0", "--cgroup", cgroup.path, "--tls")
    try:
        assert monitor.counted("appmon_tls_refused_total", "reason") == {"file": 1, "process": 0}
        ask(place.port, "opaque", count=2)
        assert monitor.counted("appmon_tls_calls_total") == {(): 0}
        monitor.stop()
    finally:
        monitor.kill()


def test_loaded_late(cgroup, watch, place):
    """A process that was looked at, and has sent a hello by other means, loads the library: its next
    hello tells. What it asks for once that was seen is told."""
    outgoing = ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="h")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    server = subprocess.Popen(place.command())
    try:
        wait_for_port(place.port, server)
        watching = watch(cgroup, args=["--tls", "-v"])
        asking = cgroup.spawn([sys.executable, "-c", LATE, str(place.port), outgoing.read().hex()],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        paths = ["/first", "/late/0", "/late/1"]
        for path in paths:
            asking.stdin.write(path + "\n")
            asking.stdin.flush()
            assert asking.stdout.readline() == path + "\n"
            watching.wait_stderr("libssl.so.3 is read", timeout=10)
        asking.stdin.close()
        assert asking.wait(10) == 0
        watching.wait(2, timeout=10)
        events = watching.stop()
        assert place.noted() == sorted(paths)
        assert [path for path in told(events) if path != "/first"] == paths[1:]
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def go_program(tmp_path_factory):
    """Static and stripped."""
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    directory = tmp_path_factory.mktemp("go")
    (directory / "main.go").write_text(GO)
    subprocess.run(["go", "build", "-ldflags", "-s -w", "-o", "program", "main.go"], cwd=directory,
                   check=True, env={**os.environ, "CGO_ENABLED": "0"})
    return str(directory / "program")


@pytest.mark.parametrize("version, protocol", [("1", "http1"), ("2", "http2")])
def test_go(cgroup, watch, certificate, tmp_path, go_program, version, protocol):
    """Server and client; each request has an event of either."""
    port, notes = free_port("127.0.0.1"), tmp_path / "notes"
    server = cgroup.spawn([go_program, str(port), certificate, str(notes)])
    wait_for_port(port, server)
    watching = watch(cgroup, args=["--tls", "-v", "--protocols", "http1,http2"])
    paths = [f"/go/{i}" for i in range(12)]
    assert cgroup.spawn([go_program, "ask", str(port), version, ",".join(paths)]).wait(20) == 0
    watching.wait(2 * len(paths), timeout=10)
    events = watching.stop()
    for role in "server", "client":
        mine = [e for e in events if e["role"] == role]
        assert [e["path"] for e in mine] == paths == notes.read_text().split()
        assert {(e["status"], e["protocol"]) for e in mine} == {(200, protocol)}
        assert {e["pid"] for e in mine} - {0} == {server.pid} or role == "client"
    assert watching.stats["plain_dropped"] == 0


def test_go_upgraded(cgroup, watch, certificate, tmp_path, go_program):
    """The program, too, is replaced while it is watched, and the old one still runs."""
    program = shutil.copy(go_program, tmp_path / "program")
    notes = [tmp_path / "old", tmp_path / "new"]
    ports = []
    watching = watch(cgroup, args=["--tls", "-v"])
    for i, note in enumerate(notes):
        ports.append(free_port("127.0.0.1"))
        server = cgroup.spawn([program, str(ports[i]), certificate, str(note)])
        wait_for_port(ports[i], server)
        wait_for(lambda i=i: len(files(watching)) == i + 1)
        upgrade(program)
    paths = [ask(port, name) for port, name in zip(ports, ("old", "new"))]
    watching.wait(sum(map(len, paths)), timeout=10)
    events = watching.stop()
    watching.check_sums(delivered=sum(map(len, paths)))
    assert [sorted(note.read_text().split()) for note in notes] == paths
    assert told(events) == sorted(sum(paths, []))
