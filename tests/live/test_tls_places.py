# SPDX-License-Identifier: BSD-2-Clause
"""
The places that the library finds in TLS libraries, with uprobes of tracefs on them. What programs
write is seen once, as plaintext: requests of clients, responses of servers. Of GnuTLS's reads only the
calls are counted, since their bytes come at the return, which is not probed here; where OpenSSL copies
what it has read, and of Go's, the bytes are compared, too. What they should be is what was asked, and what nginx, Go and
http.server answer.
"""

import contextlib
import glob
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from programs import free_port, wait_for_port

PLACES = os.path.join(os.environ.get("APPMON_BUILD", "build"), "tests/unit/probe-places")
BYTES = 14
REQUESTS = 7

GO_SERVER = """package main
import ("fmt"; "net/http"; "os")
func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	fmt.Println(http.ListenAndServeTLS("127.0.0.1:" + os.Args[1], os.Args[2], os.Args[3], nil))
}
"""

# Registers with the buffer: the second argument, which is memcpy()'s source, and Go's second.
REGISTER = {"result": "si", "pointer": "si", "copy": "si", "go": "bx"}


def library(name):
    found = glob.glob(f"/usr/lib/x86_64-linux-gnu/{name}.so.*")
    if not found:
        pytest.skip(f"no {name} is installed")
    return os.path.realpath(found[0])


@pytest.fixture(scope="module")
def tracefs(tmp_path_factory):
    point = str(tmp_path_factory.mktemp("tracefs"))
    if subprocess.run(["mount", "-t", "tracefs", "none", point], check=False).returncode:
        pytest.skip("tracefs cannot be mounted here")
    yield point
    subprocess.run(["umount", point], check=True)


class Hits:
    """Uprobes on all places of a file, for one process or for all, in an instance of tracefs."""

    def __init__(self, tracefs, file, pid=None):
        said = subprocess.run([PLACES, file], check=True, capture_output=True, text=True).stdout
        self.places = [line.split() for line in said.splitlines()]
        assert {place[1] for place in self.places} == {"read", "write"}
        self.events = os.path.join(tracefs, "uprobe_events")
        self.group = f"appmon_test_{os.getpid()}"
        self.instance = os.path.join(tracefs, "instances", self.group)
        self.pid = pid

    def __enter__(self):
        os.mkdir(self.instance)
        try:
            self.enable()
        except OSError:
            self.__exit__()
            raise
        return self

    def enable(self):
        for n, (path, what, offset, call) in enumerate(self.places):
            self.write(self.events, f"p:{self.group}/{what}{n} {path}:{int(offset):#x} "
                                    f"bytes=+0(%{REGISTER[call]}):x8[{BYTES}]")
            event = os.path.join(self.instance, "events", self.group, f"{what}{n}")
            if self.pid:
                self.write(os.path.join(event, "filter"), f"common_pid == {self.pid}")
            self.write(os.path.join(event, "enable"), "1")

    def __exit__(self, *_):
        names = [f"{what}{n}" for n, (_, what, _, _) in enumerate(self.places)]
        for name in names:
            with contextlib.suppress(OSError):
                self.write(os.path.join(self.instance, "events", self.group, name, "enable"), "0")
        os.rmdir(self.instance)
        for name in names:
            with contextlib.suppress(OSError):
                self.write(self.events, f"-:{self.group}/{name}")

    @staticmethod
    def write(path, text):
        # These files cannot seek to their end, as open() does to append.
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, text.encode() + b"\n")
        finally:
            os.close(fd)

    def seen(self):
        """(read or write, the bytes), in order."""
        with open(os.path.join(self.instance, "trace"), encoding="ascii", errors="replace") as f:
            lines = re.findall(r": (read|write)\d+: .*bytes=\{([^}]*)\}", f.read())
        return [(what, bytes(int(b, 16) for b in data.split(","))) for what, data in lines]

    def count(self, what, begins):
        return sum(1 for w, data in self.seen() if w == what and data.startswith(begins))


@contextlib.contextmanager
def running(command):
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def ask(port):
    """REQUESTS of them on one connection, in another process: so this one's library is not in it."""
    code = ("import http.client, ssl, sys\n"
            "c = http.client.HTTPSConnection('127.0.0.1', int(sys.argv[1]),"
            " context=ssl._create_unverified_context())\n"
            f"for i in range({REQUESTS}):\n"
            "    c.request('GET', f'/asked/{i}'); assert c.getresponse().read()\n")
    subprocess.run([sys.executable, "-c", code, str(port)], check=True, timeout=30)


def test_nginx(tracefs, certificate, tmp_path):
    if not shutil.which("nginx"):
        pytest.skip("no nginx")
    port = free_port("127.0.0.1")
    config = tmp_path / "nginx.conf"
    config.write_text(f"""
daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error;
events {{}}
http {{ access_log off; server {{ listen 127.0.0.1:{port} ssl;
  ssl_certificate {certificate}.pem; ssl_certificate_key {certificate}.key;
  location / {{ return 200 "hello"; }} }} }}
""")
    with running([shutil.which("nginx"), "-c", str(config), "-p", str(tmp_path)]) as server:
        wait_for_port(port, server)
        with Hits(tracefs, library("libssl"), server.pid) as hits:
            ask(port)
            assert hits.count("write", b"HTTP/1.1 200 O") == REQUESTS
            assert hits.count("read", b"GET /asked/") == REQUESTS


def test_go(tracefs, certificate, tmp_path):
    if not shutil.which("go"):
        pytest.skip("no Go")
    (tmp_path / "main.go").write_text(GO_SERVER)
    subprocess.run(["go", "build", "-ldflags", "-s -w", "-o", "server", "main.go"], cwd=tmp_path,
                   check=True)
    port = free_port("127.0.0.1")
    server = str(tmp_path / "server")
    with running([server, str(port), certificate + ".pem", certificate + ".key"]) as process:
        wait_for_port(port, process)
        with Hits(tracefs, server) as hits:
            ask(port)
            assert hits.count("write", b"HTTP/1.1 200 O") == REQUESTS
            # There the bytes have come. Of a later request the server has read the first byte
            # ahead, or the bytes are still there when it reads the next ones.
            heads = {re.search(rb"ET /asked/\d", data)[0] for what, data in hits.seen()
                     if what == "read" and b"ET /asked/" in data}
            assert len(heads) == REQUESTS


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


@pytest.mark.parametrize("program, name", [("curl", "libssl"), ("wget", "libgnutls"),
                                           ("gnutls-cli", "libgnutls")])
def test_client(tracefs, certificate, program, name):
    if not shutil.which(program):
        pytest.skip(f"no {program}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate + ".pem", certificate + ".key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}/asked"
    command = {"curl": ["curl", "-sk", "--http1.1", url],
               "wget": ["wget", "-q", "-O", "/dev/null", "--no-check-certificate", url],
               "gnutls-cli": ["gnutls-cli", "--insecure", "-p", str(server.server_port),
                              "127.0.0.1"]}[program]
    try:
        with Hits(tracefs, library(name)) as hits:
            subprocess.run(command, input=b"GET /asked HTTP/1.0\r\n\r\n", check=False, timeout=30,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            assert hits.count("write", b"GET /asked HTT") == 1
            assert sum(1 for what, _ in hits.seen() if what == "read") >= 1
    finally:
        server.shutdown()


def test_node(tracefs, certificate, tmp_path):
    node = shutil.which("node")
    if not node:
        pytest.skip("no node")
    script = tmp_path / "server.js"
    script.write_text("""
const fs = require('fs');
require('https').createServer({cert: fs.readFileSync(process.argv[3] + '.pem'),
  key: fs.readFileSync(process.argv[3] + '.key')}, (q, r) => r.end('hello'))
  .listen(process.argv[2], '127.0.0.1');
""")
    port = free_port("127.0.0.1")
    with running([node, str(script), str(port), certificate]) as server:
        wait_for_port(port, server)
        try:
            hits = Hits(tracefs, os.path.realpath(node), server.pid)
        except AssertionError:
            pytest.skip("not on this machine: node has its OpenSSL in a library")
        with hits:
            ask(port)
            assert hits.count("write", b"HTTP/1.1 200 O") == REQUESTS
            assert hits.count("read", b"GET /asked/") == REQUESTS
