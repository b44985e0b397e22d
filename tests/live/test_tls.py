# SPDX-License-Identifier: BSD-2-Clause
"""
TLS as it is on the wire, without its plaintext: exchanges of several libraries' servers and clients,
against nginx's log and what the client has asked.
"""
import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time

import pytest

from programs import wait_for_port

HERE = os.path.dirname(os.path.abspath(__file__))
TLS = ["--protocols", "http1,tls"]
REQUESTS = 6
VERSION = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# A record's head, tag, and what else an AEAD cipher of the version puts in.
OVERHEAD = {"1.2": 5 + 8 + 16, "1.3": 5 + 1 + 16}

PYTHON = """
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *args):
        pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""

NODE = """
const fs = require('fs'), base = process.argv[3];
require('https').createServer({cert: fs.readFileSync(base + '.pem'),
  key: fs.readFileSync(base + '.key')}, (q, r) => r.end('hello')).listen(process.argv[2], '127.0.0.1');
"""

GO = """package main
import ("fmt"; "net/http"; "os")
func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	fmt.Println(http.ListenAndServeTLS("127.0.0.1:" + os.Args[1], os.Args[2] + ".pem",
		os.Args[2] + ".key", nil))
}
"""


@pytest.fixture
def serve(cgroup, certificate, tmp_path):
    """serve(name): the port of a server in the cgroup that answers anything with "hello"."""
    started = []

    def command(name, port):
        if name == "nginx":
            (tmp_path / "big").write_bytes(b"b" * 100000)
            config = tmp_path / "nginx.conf"
            config.write_text(f"""
daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error; user root;
events {{}}
http {{
  log_format l "$request_length $bytes_sent"; access_log {tmp_path}/log l;
  server {{ listen 127.0.0.1:{port} ssl; keepalive_timeout 60;
    ssl_certificate {certificate}.pem; ssl_certificate_key {certificate}.key;
    ssl_protocols TLSv1.2 TLSv1.3; root {tmp_path};
    location / {{ return 200 "hello"; }} location = /big {{ }} }} }}
""")
            return ["nginx", "-c", str(config), "-p", str(tmp_path)]
        if name == "go":
            (tmp_path / "main.go").write_text(GO)
            subprocess.run(["go", "build", "-o", "server", "main.go"], cwd=tmp_path, check=True)
            return [str(tmp_path / "server"), str(port), certificate]
        script = tmp_path / name
        script.write_text({"python": PYTHON, "node": NODE}[name])
        return [name if name == "node" else sys.executable, str(script), str(port), certificate]

    def start(name):
        if name != "python" and not shutil.which(name):
            pytest.skip(f"{name} is not installed")
        port = low_port()
        process = cgroup.spawn(command(name, port), stdout=subprocess.DEVNULL)
        started.append(process)
        wait_for_port(port, process)
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait()


def low_port():
    """As servers have it: below those that clients get."""
    for port in range(21000, 22000):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def client(port, version="1.3"):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = VERSION[version]
    return http.client.HTTPSConnection("localhost", port, context=context)


def ask(connection, path):
    connection.request("GET", path)
    return len(connection.getresponse().read())


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_nginx(version, serve, cgroup, watch, tmp_path):
    """Bytes of each exchange: nginx's, and so much more for each record."""
    port = serve("nginx")
    watching = watch(cgroup, args=TLS)
    connection = client(port, version)
    paths = ["/small", "/small", "/big", "/small"]
    for path in paths:
        ask(connection, path)
    connection.close()
    events = watching.wait(len(paths))
    log = [[int(number) for number in line.split()]
           for line in (tmp_path / "log").read_text().splitlines()]
    assert len(events) == len(log) == len(paths)
    for i, (event, (asked, sent)) in enumerate(zip(events, log)):
        assert (event["protocol"], event["role"], event["end"]) == ("tls", "server", "complete")
        assert (event["operation"], event["resource"]) == ("exchange", "localhost")
        assert event["tls_server_name"] == "localhost"
        assert event["tls_version"] == {"1.2": 0x303, "1.3": 0x304}[version]
        assert event["comm"] == "nginx"
        assert event["request_bytes"] == asked + OVERHEAD[version]
        records, rest = divmod(event["response_bytes"] - sent, OVERHEAD[version])
        if version == "1.3" and not i: # the server's tickets may be in it
            assert event["flags"] == ["ambiguous"] and event["response_bytes"] > sent
            continue
        assert event["flags"] == [] and not rest and records >= 1 + sent // 16384
    watching.stop()
    watching.check_sums(delivered=len(paths))


@pytest.mark.parametrize("name", ["python", "node", "go"])
def test_servers(name, serve, cgroup, watch):
    """An exchange for each request, on connections one behind the other."""
    port = serve(name)
    watching = watch(cgroup, args=TLS)
    for _ in range(2):
        connection = client(port)
        for i in range(REQUESTS):
            assert ask(connection, f"/{i}") == 5
        connection.close()
    events = watching.wait(2 * REQUESTS)
    watching.stop()
    watching.check_sums(delivered=2 * REQUESTS)
    assert {(e["end"], e["outcome"], e["tls_server_name"]) for e in events} == {
        ("complete", "unknown", "localhost")}
    assert all(e["request_end_ns"] < e["response_start_ns"] for e in events)
    # The first of a connection may be the tickets' before the answer's.
    assert sum("ambiguous" in e["flags"] for e in events) == 2


@pytest.mark.parametrize("program", ["curl", "wget", "gnutls-cli"])
def test_clients(program, serve, cgroup, watch):
    """Of OpenSSL and of GnuTLS: what a client asks, and the same as its server sees it."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    url = f"https://localhost:{serve('python')}/"
    command = {"curl": ["curl", "-sk", "--http1.1", url],
               "wget": ["wget", "-qO-", "--no-check-certificate", url],
               "gnutls-cli": ["gnutls-cli", "--insecure", "-p", url.split(":")[2][:-1],
                              "localhost"]}[program]
    watching = watch(cgroup, args=TLS)
    process = cgroup.spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = process.communicate(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", timeout=30)
    assert b"hello" in out
    events = watching.wait(2)
    assert sorted(e["role"] for e in events) == ["client", "server"]
    assert {e["tls_server_name"] for e in events} == {"localhost"}
    assert len({(e["request_bytes"], e["tls_version"], e["tls_cipher"]) for e in events}) == 1


def test_jdk(certificate, cgroup, watch, tmp_path):
    """JSSE has no library to look into: at both ends a closed exchange for each request."""
    if not shutil.which("javac"):
        pytest.skip("javac is not installed")
    subprocess.run(["openssl", "pkcs12", "-export", "-in", f"{certificate}.pem", "-inkey",
                    f"{certificate}.key", "-out", tmp_path / "store", "-passout", "pass:secret"],
                   check=True)
    watching = watch(cgroup, args=[*TLS, "--tls"])
    process = cgroup.spawn(["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                            f"{HERE}/servers/JdkTls.java", str(low_port()), tmp_path / "store",
                            str(REQUESTS)], stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert out.split() == REQUESTS * [b"5"]
    events = watching.wait(2 * REQUESTS)
    watching.stop()
    watching.check_sums(delivered=2 * REQUESTS)
    assert sorted(e["role"] for e in events) == REQUESTS * ["client"] + REQUESTS * ["server"]
    assert {(e["protocol"], e["operation"], e["end"], e["tls_server_name"]) for e in events} == {
        ("tls", "exchange", "complete", "localhost")}
    assert watching.stats["plain_calls"] == 0


def test_handshake_fails(serve, cgroup, watch):
    """A client that does not know who has signed."""
    port = serve("python")
    watching = watch(cgroup, args=TLS)
    done = subprocess.run(["curl", "-s", f"https://localhost:{port}/"], check=False)
    assert done.returncode == 60
    event, = watching.wait(1)
    assert (event["operation"], event["outcome"]) == ("handshake", "server_error")
    assert event["resource"] == "localhost"


def test_open_before_the_attach(serve, cgroup, watch):
    """Who asks says the hint; the hellos have passed."""
    port = serve("nginx")
    connection = client(port)
    ask(connection, "/before")
    watching = watch(cgroup, args=TLS + ["--port", f"{port}=tls"])
    for i in range(REQUESTS):
        ask(connection, f"/{i}")
    connection.close()
    events = watching.wait(REQUESTS)
    assert all((e["protocol"], e["role"]) == ("tls", "server") for e in events)
    assert {e["tls_server_name"] for e in events} == {""}


def test_not_asked_for(serve, cgroup, watch):
    port = serve("nginx")
    watching = watch(cgroup)
    connection = client(port)
    ask(connection, "/")
    connection.close()
    time.sleep(0.5)
    watching.stop()
    watching.check_sums(delivered=0)
