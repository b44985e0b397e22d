# SPDX-License-Identifier: BSD-2-Clause
"""
Requests inside of TLS, by the plaintext that the TLS library of a program reads and writes: against
nginx's log and what clients have asked.
"""
import collections
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request

import pytest
import yaml

from databases import Postgresql, running
from exporting import Monitor, wait_for
from kubernetes import EXAMPLE
from network import Veth
from programs import building, free_port, let_in, wait_for_port
from test_grpc import CALLS, GIVEN_UP, HERE, STATUSES, built, grpc_go, grpcio, needs
from test_tls import VERSION, low_port
from watch import replayed

TLS = ["--tls", "--protocols", "http1,http2,tls"]
BIG = 1000000

THREADS = """
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        n = %d if self.path == "/big" else 5
        self.send_response(200)
        self.send_header("Content-Length", str(n))
        self.end_headers()
        self.wfile.write(b"b" * n)
    do_GET = do_POST = answer
    def log_message(self, *args):
        pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.options |= 1 << 8 # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
""" % BIG

ASYNCIO = """
import asyncio, ssl, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            n = %d if head.split()[1] == b"/big" else 5
            length = [line for line in head.split(b"\\r\\n") if line.startswith(b"Content-Length:")]
            await reader.readexactly(int(length[0].split()[1]) if length else 0)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %%d\\r\\n\\r\\n" %% n)
            writer.write(b"b" * n)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= 1 << 8 # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
    context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), ssl=context)
    await server.serve_forever()
asyncio.run(main())
""" % BIG

NODE = """
const fs = require('fs'), base = process.argv[3];
require('https').createServer({cert: fs.readFileSync(base + '.pem'),
  key: fs.readFileSync(base + '.key')}, (q, r) => {
    q.resume().on('end', () => {
      const n = q.url == '/big' ? %d : 5;
      r.setHeader('Content-Length', n);
      r.end(Buffer.alloc(n, 98)); }); }).listen(process.argv[2], '127.0.0.1');
""" % BIG

ASKS = """
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
import http.client
connection = http.client.HTTPSConnection("localhost", int(sys.argv[1]), context=context)
for path in sys.argv[2:]:
    connection.request("GET", path)
    connection.getresponse().read()
connection.close()
"""

REQUESTS = """
import sys, warnings, requests
warnings.simplefilter("ignore")
with requests.Session() as session:
    for url in sys.argv[1:]:
        session.get(url, verify=False)
"""

HTTPX = """
import asyncio, httpx, sys
async def ask():
    async with httpx.AsyncClient(verify=False) as client:
        for url in sys.argv[1:]:
            await client.get(url)
asyncio.run(ask())
"""

AGENT_JS = """
const https = require('https'), urls = process.argv.slice(1);
const agent = new https.Agent({keepAlive: true, maxSockets: 1, rejectUnauthorized: false});
const ask = () => urls.length ? https.get(urls.shift(), {agent}, (r) => r.resume().on('end', ask))
                              : agent.destroy();
ask();
"""

# A connection for each.
URLLIB = """
import ssl, sys, urllib.request
for url in sys.argv[1:]:
    urllib.request.urlopen(url, context=ssl._create_unverified_context()).read()
"""

APACHE = """
ServerRoot {dir}
ServerName localhost
PidFile {dir}/pid
DefaultRuntimeDir {dir}
ErrorLog {dir}/error
Listen {host}:{port}
LoadModule mpm_{mpm}_module /usr/lib/apache2/modules/mod_mpm_{mpm}.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
User nobody
Group nogroup
SSLEngine on
SSLCertificateFile {certificate}.pem
SSLCertificateKeyFile {certificate}.key
DocumentRoot {dir}
<Location /asks>
SSLVerifyClient optional_no_ca
</Location>
LogFormat "%m %U %>s %B" truth
CustomLog {dir}/log truth
"""

PROXY = """
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
def copy(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)
def serve(plain):
    with context.wrap_socket(plain, server_side=True) as client:
        head = b""
        while not head.endswith(b"\\r\\n\\r\\n"):
            head += client.recv(4096)
        host, port = head.split()[1].split(b":")
        with socket.create_connection((host.decode(), int(port))) as server:
            client.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
            threading.Thread(target=copy, args=(server, client), daemon=True).start()
            copy(client, server)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

# What it says on standard output is its log.
HAPROXY = """
global
	log stdout format raw local0
defaults
	mode http
	timeout connect 10s
	timeout client 10s
	timeout server 10s
frontend all
	bind {host}:{port} ssl crt {dir}/haproxy.pem
	log global
	log-format "%HM %HP %ST"
	http-request return status 200 content-type text/plain file {dir}/big if {{ path /big }}
	http-request return status 404 content-type text/plain string no if {{ path /missing }}
	http-request return status 200 content-type text/plain string hello
"""

WSGI = """
def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"b" * (%d if path == "/big" else 5)
    start_response("404 No" if path == "/missing" else "200 OK",
                   [("Content-Length", str(len(body)))])
    return [body]
""" % BIG

# Its log is what it says.
ASGI = """
async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    path = scope["path"]
    body, status = b"b" * (%d if path == "/big" else 5), 404 if path == "/missing" else 200
    print(scope["method"], path, status, len(body), flush=True)
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
""" % BIG


SCRIPTS = {"threads": THREADS, "asyncio": ASYNCIO, "node": NODE, "proxy": PROXY}


def netty(directory):
    """What runs netty with the BoringSSL of its jar."""
    needs("javac")
    needs("mvn")
    out = f"{directory}/netty"
    if not os.path.exists(f"{out}/jars"):
        built(f"{HERE}/netty", ["mvn", "-q", "-B", "dependency:copy-dependencies",
                                f"-DoutputDirectory={out}/jars.part"])
        os.rename(f"{out}/jars.part", f"{out}/jars")
    built(directory, ["javac", "-encoding", "UTF-8", "-cp", f"{out}/jars/*", "-d", out,
                      f"{HERE}/netty/Netty.java"])
    return ["java", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp",
            f"{out}/jars/*:{out}", "Netty"]


class Scene:
    def __init__(self, cgroup, certificate, directory, programs):
        self.cgroup, self.certificate, self.directory = cgroup, certificate, directory
        self.programs = programs
        self.started = []

    def start(self, name, host="127.0.0.1", wrapper=()):
        """The port of a server in the cgroup: of "/big" it has a million bytes."""
        port = low_port()
        if hasattr(self, name):
            command = getattr(self, name)(port, host)
        else:
            script = self.directory / name
            script.write_text(SCRIPTS[name])
            command = ["node" if name == "node" else sys.executable, str(script), str(port),
                       self.certificate]
        if not shutil.which(command[0]):
            pytest.skip(f"{command[0]} is not installed")
        with open(self.directory / "output", "w") as output:
            process = self.cgroup.spawn([*wrapper, *command], stdout=output, stderr=subprocess.DEVNULL,
                                         start_new_session=True)  # apache signals its group
        self.started.append(process)
        wait_for_port(port, process)
        return port

    def nginx(self, port, host):
        (self.directory / "big").write_bytes(b"b" * BIG)
        config = self.directory / "nginx.conf"
        config.write_text(f"""
daemon off; master_process off; pid {self.directory}/pid; error_log {self.directory}/error;
user root; events {{}}
http {{
  log_format l "$request_method $request_uri $status $request_length $body_bytes_sent";
  access_log {self.directory}/log l;
  ssl_certificate {self.certificate}.pem; ssl_certificate_key {self.certificate}.key;
  ssl_protocols TLSv1.2 TLSv1.3;
  server {{ listen {host}:{port} ssl http2; keepalive_timeout 60; root {self.directory};
    location / {{ return 200 "hello"; }} location = /big {{ }} location /git/ {{ }}
    location /through {{ proxy_pass https://127.0.0.1:{port}/big; proxy_http_version 1.1;
                         proxy_set_header Connection ""; }} }} }}
""")
        return ["nginx", "-c", str(config), "-p", str(self.directory)]

    def prefork(self, port, host):
        return self.apache(port, host, "prefork")

    def apache(self, port, host, mpm="event"):
        let_in(self.directory)
        (self.directory / "big").write_bytes(b"b" * BIG)
        (self.directory / "small").write_text("hello")
        (self.directory / "asks").write_text("hello")
        (self.directory / "conf").write_text(APACHE.format(
            dir=self.directory, host=host, port=port, certificate=self.certificate, mpm=mpm))
        return [shutil.which("apache2", path="/usr/sbin:/usr/bin") or "apache2", "-f",
                f"{self.directory}/conf", "-DFOREGROUND"]

    def haproxy(self, port, host):
        # The limit of a file that it answers with is its buffer's.
        (self.directory / "big").write_bytes(b"b" * 15000)
        with open(self.directory / "haproxy.pem", "w") as both:
            for name in "pem", "key":
                with open(f"{self.certificate}.{name}") as part:
                    both.write(part.read())
        (self.directory / "conf").write_text(HAPROXY.format(dir=self.directory, host=host,
                                                                     port=port))
        return [shutil.which("haproxy", path="/usr/sbin:/usr/bin") or "haproxy", "-db", "-f",
                f"{self.directory}/conf"]

    def gunicorn(self, port, host):
        (self.directory / "app.py").write_text(WSGI)
        return ["gunicorn", "--chdir", str(self.directory), "--worker-class", "gthread", "--threads", "2",
                "--bind", f"{host}:{port}", "--certfile", f"{self.certificate}.pem", "--keyfile",
                f"{self.certificate}.key", "--access-logfile", str(self.directory / "log"),
                "--access-logformat", "%(m)s %(U)s %(s)s %(B)s", "app"]

    def uvicorn(self, port, host):
        (self.directory / "app.py").write_text(ASGI)
        return ["uvicorn", "--app-dir", str(self.directory), "--host", host, "--port", str(port),
                "--ssl-certfile", f"{self.certificate}.pem", "--ssl-keyfile",
                f"{self.certificate}.key", "--log-level", "warning", "app:application"]

    def netty(self, port, host):
        return [*netty(self.programs.directory), str(port), f"{self.certificate}.pem",
                f"{self.certificate}.key"]

    def log(self):
        """What nginx has served: method, path, status, bytes of the request, of the body sent."""
        lines = [line.split() for line in (self.directory / "log").read_text().splitlines()]
        return [(method, path, int(status), int(asked), int(sent))
                for method, path, status, asked, sent in lines]


@pytest.fixture
def scene(cgroup, certificate, tmp_path, programs):
    made = Scene(cgroup, certificate, tmp_path, programs)
    yield made
    for process in made.started:
        process.terminate()
        process.wait()


def client(port, version="1.3", host="localhost"):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = VERSION[version]
    return http.client.HTTPSConnection(host, port, context=context)


def told(event):
    """As nginx logs it."""
    return (event["operation"], event["path"], event["status"], event["request_bytes"],
            event["response_body_bytes"])


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_nginx(version, scene, watch):
    """One event a request, with nginx's bytes and the wire's times; and no opaque one beside it."""
    port = scene.start("nginx")
    watching = watch(scene.cgroup, args=TLS)
    paths = ["/small", "/big", "/small?a=b", "/other"]
    for _ in range(2):
        connection = client(port, version)
        for path in paths:
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()
    events = watching.wait(2 * len(paths))
    watching.stop()
    watching.check_sums(delivered=2 * len(paths))
    log = [(method, path.split("?")[0], *rest) for method, path, *rest in scene.log()]
    assert [told(e) for e in events] == log
    for event in events:
        assert (event["protocol"], event["role"], event["end"]) == ("http1", "server", "complete")
        assert event["tls_server_name"] == "localhost"
        assert event["tls_version"] == {"1.2": 0x303, "1.3": 0x304}[version]
        assert event["comm"] == "nginx" and event["pid"] == scene.started[0].pid
        assert set(event["flags"]) <= {"keep_alive"}
        assert (event["request_start_ns"] <= event["request_end_ns"] <= event["read_start_ns"]
                <= event["response_start_ns"] <= event["response_end_ns"])


@pytest.mark.parametrize("name", ["threads", "asyncio", "node"])
def test_servers(name, scene, watch):
    """Calls on the socket, and through memory; requests with bodies, responses of several calls."""
    port = scene.start(name)
    watching = watch(scene.cgroup, args=TLS)
    asked = []
    for _ in range(3):
        connection = client(port)
        for path, body in ("/a", None), ("/big", None), ("/b", b"z" * 100000), ("/c", None):
            connection.request("POST" if body else "GET", path, body=body)
            assert connection.getresponse().read() == b"b" * (BIG if path == "/big" else 5)
            asked.append((path, 200, len(body or b""), BIG if path == "/big" else 5))
        connection.close()
    events = watching.wait(len(asked))
    watching.stop()
    watching.check_sums(delivered=len(asked))
    assert sorted((e["path"], e["status"], e["request_body_bytes"], e["response_body_bytes"])
                  for e in events) == sorted(asked)
    assert all((e["protocol"], e["role"], e["end"]) == ("http1", "server", "complete")
               for e in events)
    assert not any("call_times" in e["flags"] for e in events)


@pytest.mark.parametrize("name", ["asyncio", "node"])
def test_long_first(name, scene, watch):
    """The first answer of a connection leaves in many records, behind tickets: it and those behind it
    are told with the wire's times, while the connection is open."""
    port = scene.start(name)
    watching = watch(scene.cgroup, args=TLS)
    connections = [client(port) for _ in range(8)]
    paths = ["/big", "/a"]
    for connection in connections:
        for path in paths:
            connection.request("GET", path)
            connection.getresponse().read()
    watching.wait(len(connections) * len(paths))
    for connection in connections:
        connection.close()
    events = watching.stop()
    watching.check_sums(delivered=len(connections) * len(paths))
    assert [(e["path"], e["end"]) for e in events] == [
        (path, "complete") for path in paths] * len(connections)
    assert not any("call_times" in e["flags"] for e in events)


@pytest.mark.parametrize("name", ["apache", "prefork", "haproxy", "gunicorn", "uvicorn"])
def test_other_servers(name, scene, watch):
    """Against their own logs and what the client got."""
    port = scene.start(name)
    watching = watch(scene.cgroup, args=TLS)
    paths = ["/small", "/big", "/missing", "/small"]
    received = []
    for _ in range(3):
        connection = client(port)
        for path in paths:
            connection.request("GET", path)
            answer = connection.getresponse()
            received.append(("GET", path, answer.status, len(answer.read())))
        connection.close()
    events = watching.wait(len(received))
    watching.stop()
    watching.check_sums(delivered=len(received))
    assert [(e["operation"], e["path"], e["status"], e["response_body_bytes"])
            for e in events] == received
    log = scene.directory / ("output" if name in ("haproxy", "uvicorn") else "log")
    lines = lambda: [line for line in log.read_text().splitlines() if line.startswith("GET ")]
    wait_for(lambda: len(lines()) >= len(received))
    # haproxy's log has the size of what it keeps, not of what it sends.
    count = 3 if name == "haproxy" else 4
    assert sorted(" ".join(map(str, line[:count])) for line in received) == sorted(lines())
    assert all((e["protocol"], e["role"], e["end"]) == ("http1", "server", "complete")
               for e in events)


def test_netty(scene, watch):
    """BoringSSL in a library of no name any more: by what the client got."""
    port = scene.start("netty")
    watching = watch(scene.cgroup, args=[*TLS, "-v"])

    def ask(connection, paths):
        for path in paths:
            connection.request("GET", path)
            received.append((path, len(connection.getresponse().read())))
    received = []
    connection = client(port)
    ask(connection, ["/a", "/big", "/b"])
    connection.close()
    connection = client(port, "1.2")
    ask(connection, ["/c", "/big"])
    connection.close()
    watching.wait(len(received))
    events = watching.stop()
    watching.check_sums(delivered=len(received))
    assert [(e["path"], e["response_body_bytes"]) for e in events] == received
    assert {(e["protocol"], e["role"], e["end"], e["status"]) for e in events} == {
        ("http1", "server", "complete", 200)}
    assert re.search(r"netty_tcnative\S*\.so \(deleted\) is read", "".join(watching.log()))


@pytest.mark.parametrize("program", ["curl", "httpx", "node", "python", "requests", "urllib",
                                     "wget"])
def test_clients(program, scene, watch):
    """Both ends are watched, and tell the same. wget has GnuTLS."""
    scripts = {"httpx": HTTPX, "requests": REQUESTS, "urllib": URLLIB}
    if program in ("httpx", "requests"):
        pytest.importorskip(program)
    elif program not in ("python", "urllib") and not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    port = scene.start("nginx")
    watching = watch(scene.cgroup, args=TLS)
    paths = ["/a", "/big", "/b"]
    urls = [f"https://localhost:{port}{path}" for path in paths]
    command = (["curl", "-sk", "--http1.1", *(part for url in urls for part in (url, "-o",
                                                                              "/dev/null"))]
               if program == "curl" else
               ["wget", "-qO", "/dev/null", "--no-check-certificate", *urls]
               if program == "wget" else
               [sys.executable, "-c", scripts[program], *urls] if program in scripts else
               ["node", "-e", AGENT_JS, *urls] if program == "node" else
               [sys.executable, "-c", ASKS, str(port), *paths])
    # Its library may be found only while the first one runs.
    for _ in range(2):
        process = scene.cgroup.spawn(command)
        assert process.wait(timeout=30) == 0
    watching.wait(3 * len(paths))
    events = watching.stop()
    watching.check_sums()
    log = scene.log()[len(paths):]
    events = [e for e in events if e["role"] == "server"][len(paths):] + [
        e for e in events if e["pid"] == process.pid]
    assert len(events) == 2 * len(paths)
    for role in "server", "client":
        assert [told(e) for e in events if e["role"] == role] == log
    # The numbers of the records: so both ends of an exchange are known as such.
    assert [e["wire_id"] for e in events if e["role"] == "client"] == [
        e["wire_id"] for e in events if e["role"] == "server"]
    assert len({e["wire_id"] for e in events}) == len(paths)


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_git(version, scene, watch):
    """Debian's git has libcurl with GnuTLS: each file that it asks for, as both ends tell it."""
    needs("git")
    port = scene.start("nginx")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t", "-c", "http.sslVerify=false", "-c",
           f"http.version={version}"]
    served, url = scene.directory / "git", f"https://localhost:{port}/git/.git"
    subprocess.run([*git, "init", "-q", served], check=True)
    for i in range(8):
        (served / str(i)).write_text(os.urandom(6 ** i).hex())
    for command in ["add", "."], ["commit", "-qm", "all"], ["update-server-info"]:
        subprocess.run([*git, "-C", served, *command], check=True)
    # So its library is found at the attach.
    idle = scene.cgroup.spawn([*git, "remote-https", "origin", url], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    idle.stdin.write(b"capabilities\n")
    idle.stdin.flush()
    assert idle.stdout.readline()
    watching = watch(scene.cgroup, args=TLS)
    clone = [*git, "clone", "-q", url, scene.directory / "clone"]
    assert scene.cgroup.spawn(clone).wait(timeout=30) == 0
    log = sorted((method, path.split("?")[0], status, sent)
                 for method, path, status, _, sent in scene.log())
    assert len(log) == 12  # info/refs, HEAD, a commit, a tree, the files
    watching.wait(2 * len(log))
    events = watching.stop()
    watching.check_sums(delivered=2 * len(log))
    for role, name in ("server", "nginx"), ("client", "git-remote-http"):
        mine = [e for e in events if e["role"] == role]
        assert sorted((e["operation"], e["path"], e["status"], e["response_body_bytes"])
                      for e in mine) == log
        assert {e["protocol"] for e in mine} == {"http1" if version == "HTTP/1.1" else "http2"}
        assert {e["comm"] for e in mine} == {name}
    idle.stdin.close()


STRICT = """
import ctypes, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
conn = context.wrap_socket(listener.accept()[0], server_side=True)
prctl, body, buffer = ctypes.CDLL(None).prctl, sys.argv[3].encode(), bytearray(4096)
def serve():
    conn.recv_into(buffer)
    conn.sendall(body)
serve()
prctl(22, 1) # PR_SET_SECCOMP, SECCOMP_MODE_STRICT: read(), write(), and no other call
while True:
    serve()
"""


def test_strict_seccomp(scene, watch):
    """A process that is killed for any call but read() and write() lives on, and is read."""
    release = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
    if (6, 11) <= release < (6, 14):
        pytest.skip("these kernels kill it for a return that is probed: appmon-security(7)")
    port = low_port()
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    process = scene.cgroup.spawn([sys.executable, "-c", STRICT, str(port), scene.certificate, answer],
                                 stdout=subprocess.PIPE)
    scene.started.append(process)
    assert process.stdout.readline() == b"listens\n"
    watching = watch(scene.cgroup, args=TLS)
    connection = client(port)
    paths = [f"/{i}" for i in range(6)]
    for path in paths:
        connection.request("GET", path)
        assert connection.getresponse().read() == b"ok"
    assert process.poll() is None
    watching.wait(len(paths))
    connection.close()
    assert [(e["path"], e["status"]) for e in watching.stop()] == [(path, 200) for path in paths]


def test_through(scene, watch):
    """nginx asks itself: of one process each end of a connection has a session of the same
    randoms."""
    port = scene.start("nginx")
    watching = watch(scene.cgroup, args=TLS)
    connection = client(port)
    for _ in range(3):
        connection.request("GET", "/through")
        assert len(connection.getresponse().read()) == BIG
    connection.close()
    events = watching.wait(9)
    watching.stop()
    watching.check_sums(delivered=9)
    assert sorted((e["role"], e["path"], e["response_body_bytes"]) for e in events) == sorted(
        3 * [("server", "/through", BIG), ("client", "/big", BIG), ("server", "/big", BIG)])


def test_tls_in_tls(scene, watch):
    """curl speaks TLS to a proxy, and inside of it to nginx. Of the proxy's connection CONNECT is told,
    and bytes of a tunnel; what was asked, of nginx's connection; and no request of a wrong one."""
    proxy, port = scene.start("proxy"), scene.start("nginx")
    watching = watch(scene.cgroup, args=TLS)
    paths = ["/a", "/big", "/b"]
    command = ["curl", "-sk", "--http1.1", "--proxy-insecure", "-x", f"https://localhost:{proxy}"]
    for path in paths:
        command += [f"https://localhost:{port}{path}", "-o", "/dev/null"]
    # Its library may be found only while the first one runs.
    for _ in range(2):
        process = scene.cgroup.spawn(command)
        assert process.wait(timeout=30) == 0
    # Of both: CONNECT at the proxy, nginx's requests, opaque ones between them. Of curl: its CONNECT.
    watching.wait(2 * (1 + 2 * len(paths)) + 1)
    events = watching.stop()
    watching.check_sums()
    http = [e for e in events if e["protocol"] == "http1"]
    assert [told(e) for e in http if e["comm"] == "nginx"] == scene.log()
    assert [e["operation"] for e in http if e["role"] == "server" and e["comm"] != "nginx"] == [
        "CONNECT"] * 2
    assert [(e["operation"], e["end"]) for e in http if e["pid"] == process.pid] == [
        ("CONNECT", "upgraded")]
    assert {e["operation"] for e in http if e["role"] == "client"} == {"CONNECT"}
    assert [e["comm"] for e in events if e["protocol"] == "tls"] == 2 * len(paths) * ["python3"]
    assert watching.stats["tunnel_bytes"] > 2 * BIG


PEEK = """
import ctypes, socket, ssl, sys
lib = ctypes.CDLL("libssl.so.%d" % ssl.OPENSSL_VERSION_INFO[0])
for name in "TLS_client_method", "SSL_CTX_new", "SSL_new":
    getattr(lib, name).restype = ctypes.c_void_p
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
session = ctypes.c_void_p(lib.SSL_new(ctypes.c_void_p(lib.SSL_CTX_new(ctypes.c_void_p(
    lib.TLS_client_method())))))
lib.SSL_set_fd(session, sock.fileno())
assert lib.SSL_connect(session) == 1
for path in sys.argv[2:]:
    request = f"GET {path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode()
    assert lib.SSL_write(session, request, len(request)) == len(request)
    buffer = ctypes.create_string_buffer(65536)
    got = b""
    while b"\\r\\n\\r\\n" not in got:
        assert lib.SSL_peek(session, buffer, 5) == 5
        n = lib.SSL_peek(session, buffer, len(buffer))
        assert lib.SSL_read(session, buffer, len(buffer)) == n
        got += buffer.raw[:n]
    head, _, body = got.partition(b"\\r\\n\\r\\n")
    left = int(head.lower().split(b"content-length: ")[1].split()[0]) - len(body)
    while left:
        n = lib.SSL_read(session, buffer, 5000)
        assert n > 0
        left -= n
"""


def test_peek(scene, watch):
    """What is only looked at is not read: it is told once, when it is."""
    port = scene.start("nginx")
    watching = watch(scene.cgroup, args=TLS)
    paths = ["/a", "/big", "/b"]
    # Its library is found before it speaks.
    assert scene.cgroup.spawn([sys.executable, "-c", PEEK, str(port), "/a"]).wait(timeout=30) == 0
    watching.wait(1)
    assert scene.cgroup.spawn([sys.executable, "-c", PEEK, str(port), *paths]).wait(timeout=30) == 0
    events = watching.wait(2 * len(paths) + 2)
    watching.stop()
    told_by = lambda role: [(e["path"], e["status"], e["response_body_bytes"]) for e in events
                            if e["protocol"] == "http1" and e["role"] == role][-len(paths):]
    asked = [(path, status, sent) for _, path, status, _, sent in scene.log()][-len(paths):]
    assert told_by("server") == told_by("client") == asked


def needs_http2_of_curl():
    if "HTTP2" not in subprocess.run(["curl", "-V"], stdout=subprocess.PIPE, text=True,
                                     check=True).stdout:
        pytest.skip("this curl has no HTTP/2")


def test_http2(scene, watch):
    needs_http2_of_curl()
    port = scene.start("nginx")
    watching = watch(scene.cgroup, args=TLS)
    paths = ["/a", "/big", "/b", "/big"]
    command = ["curl", "-sk", "--http2"]
    for path in paths:
        command += [f"https://localhost:{port}{path}", "-o", "/dev/null"]
    assert scene.cgroup.spawn(command).wait(timeout=30) == 0
    events = watching.wait(2 * len(paths))
    watching.stop()
    watching.check_sums(delivered=2 * len(paths))
    for role in "server", "client":
        assert [(e["operation"], e["path"], e["status"], e["response_body_bytes"])
                for e in events if e["role"] == role] == [
                    (method, path, status, sent) for method, path, status, _, sent in scene.log()]
    assert {e["protocol"] for e in events} == {"http2"}


def test_http2_bodies_are_not_told(scene, watch, tmp_path):
    """Of a body the library gets the frames' headers, at both ends."""
    needs_http2_of_curl()
    port = scene.start("nginx")
    watching = watch(scene.cgroup, args=[*TLS, "--record", str(tmp_path / "recording")])
    times = 20
    command = ["curl", "-sk", "--http2"]
    for _ in range(times):
        command += [f"https://localhost:{port}/big", "-o", "/dev/null"]
    assert scene.cgroup.spawn(command).wait(timeout=30) == 0
    events = watching.wait(2 * times)
    watching.stop()
    watching.check_sums(delivered=2 * times)
    assert {(e["protocol"], e["status"], e["response_body_bytes"]) for e in events
            } == {("http2", 200, BIG)}
    assert os.path.getsize(tmp_path / "recording") < 2 * times * BIG / 10


# A response of 200 frames is one write; who asks reads as much as there is.
H2_SERVER = """
import h2.config, h2.connection, h2.events, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
context.set_alpn_protocols(["h2"])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer = listener.accept()[0]
    try:
        sock = context.wrap_socket(peer, server_side=True)
    except OSError:  # wait_for_port()
        continue
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    conn.initiate_connection()
    sock.sendall(conn.data_to_send())
    while data := sock.recv(65536):
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                conn.send_headers(event.stream_id, [(":status", "200")])
                for _ in range(200):
                    conn.send_data(event.stream_id, b"b" * 16384)
                conn.end_stream(event.stream_id)
        if data := conn.data_to_send():
            sock.sendall(data)
    sock.close()
"""

H2_CLIENT = """
import h2.connection, h2.events, h2.settings, socket, ssl, sys
context = ssl._create_unverified_context()
context.set_alpn_protocols(["h2"])
sock = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
conn = h2.connection.H2Connection()
conn.local_settings = h2.settings.Settings(
    initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 26})
conn.initiate_connection()
conn.increment_flow_control_window(1 << 26)
for stream in 1, 3, 5:
    conn.send_headers(stream, [(":method", "GET"), (":scheme", "https"), (":authority", "h"),
                               (":path", f"/{stream}")], end_stream=True)
    sock.sendall(conn.data_to_send())
    got, ended = 0, False
    while not ended:
        for event in conn.receive_data(sock.recv(1 << 20)):
            got += len(event.data) if isinstance(event, h2.events.DataReceived) else 0
            ended |= isinstance(event, h2.events.StreamEnded)
        sock.sendall(conn.data_to_send())
    print(got)
sock.close()
"""


def test_http2_long_writes(scene, watch, tmp_path):
    """A write can have many frames: each is told, and little of it."""
    port = low_port()
    server = scene.cgroup.spawn([sys.executable, "-c", H2_SERVER, str(port), scene.certificate])
    scene.started.append(server)
    wait_for_port(port, server)
    watching = watch(scene.cgroup, args=[*TLS, "--record", str(tmp_path / "recording")])
    client = scene.cgroup.spawn([sys.executable, "-c", H2_CLIENT, str(port)], stdout=subprocess.PIPE,
                                text=True)
    told_by_client = [int(line) for line in client.communicate(timeout=30)[0].split()]
    assert told_by_client == 3 * [200 * 16384]
    events = watching.wait(6)
    watching.stop()
    watching.check_sums(delivered=6)
    for role in "client", "server":
        assert [(e["key"], e["path"], e["status"], e["response_body_bytes"], e["end"])
                for e in events if e["role"] == role] == [
                    (n, f"/{n}", 200, 200 * 16384, "complete") for n in (1, 3, 5)]
    assert os.path.getsize(tmp_path / "recording") < sum(told_by_client) / 5


@pytest.mark.parametrize("implementation", [grpc_go, grpcio])
def test_grpc(implementation, cgroup, certificate, programs, watch):
    """crypto/tls of Go, and OpenSSL below the C++ of Debian's grpcio, at both ends: each call against
    what its client was told."""
    command = implementation(programs.directory)
    watching = watch(cgroup, args=TLS)
    # The program may be found only while the first one runs.
    for _ in range(2):
        process = cgroup.spawn([*command, str(low_port()), certificate], stdout=subprocess.PIPE,
                               text=True)
        told = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
        assert process.returncode == 0 and len(told) == CALLS

    def mine():
        events = [e for e in watching.wait(0) if e["protocol"] == "http2"]
        ids = {e["connection_id"] for e in events if e["pid"] == process.pid}
        # A call without a response has no server's process.
        return [e for e in events if e["connection_id"] in ids]
    wait_for(lambda: len(mine()) >= 2 * len(told))
    events = mine()
    watching.stop()
    watching.check_sums()
    for role in "client", "server":
        ours = sorted((e for e in events if e["role"] == role), key=lambda e: e["key"])
        assert [e["path"] for e in ours] == [method for method, *_ in told]
        for event, (_, code, message, sent, received) in zip(ours, told):
            assert event["system"] == "grpc"
            if STATUSES[code] in GIVEN_UP:
                continue
            assert (event["end"], event["status_text"]) == ("complete", STATUSES[code])
            assert event["message"] == message or (code == 0 and event["message"] == "OK")
            assert (event["request_items"], event["response_items"]) == (sent, received)


def grpcio_of_pypi(directory):
    """Its BoringSSL has no symbols."""
    directory = f"{directory}/grpcio"
    with building(directory):
        if not os.path.exists(f"{directory}/grpc"):
            built(directory, [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target",
                              directory, "grpcio==1.68.1"])
    return ["env", f"PYTHONPATH={directory}", sys.executable, f"{HERE}/grpc/calls.py"]


def test_grpc_stripped(cgroup, certificate, programs, watch):
    """What cannot be looked into stays closed, is counted at both ends, and nothing is made of it."""
    command = grpcio_of_pypi(programs.directory)
    watching = watch(cgroup, args=[*TLS, "-v"])
    process = cgroup.spawn([*command, str(low_port()), certificate], stdout=subprocess.PIPE, text=True)
    assert len(process.communicate(timeout=60)[0].splitlines()) == CALLS and process.returncode == 0
    # A turn for each call at least: they follow one another.
    watching.wait(2 * CALLS)
    events = watching.stop()
    watching.check_sums(delivered=len(events))
    assert {(e["protocol"], e["operation"], e["resource"], e["tls_version"]) for e in events} == {
        ("tls", "exchange", "localhost", 0x304)}
    assert {e["pid"] for e in events} - {0} == {process.pid}
    assert watching.stats["plain_calls"] == 0
    assert "cygrpc" not in "".join(watching.log())
    for role in "client", "server":
        mine = [e for e in events if e["role"] == role]
        assert len({e["connection_id"] for e in mine}) == 1
        # One call sends so much, and gets it back: calls.py.
        for what in "request_bytes", "response_bytes":
            assert 300000 < sum(e[what] for e in mine) < 320000


def test_loss(scene, programs, watch):
    """Records that are lost, and sent again, belong to the request that they were of."""
    with Veth(programs.load("netem"), loss=1) as net:
        with net.server.inside():
            port = scene.start("nginx", "0.0.0.0")
        watching = watch(scene.cgroup, args=TLS)
        paths = ["/small", "/big", "/other"]
        for _ in range(4):
            connection = client(port, host=net.server.address)
            with net.client.inside():
                connection.connect()
            for path in paths:
                connection.request("GET", path)
                connection.getresponse().read()
            connection.close()
        events = watching.wait(4 * len(paths))
        net.stop()
        assert net.harmed["lost"] > 0
    watching.stop()
    watching.check_sums(delivered=4 * len(paths))
    assert [told(e) for e in events] == scene.log()
    assert all(e["end"] == "complete" for e in events)


def test_postgresql(watch):
    """Its TLS begins in the middle of a connection: it stays closed, and that is told."""
    with running(Postgresql) as server:
        server.sql("ALTER SYSTEM SET ssl = on")
        server.sql("SELECT pg_reload_conf()")
        wait_for(lambda: "on" in server.sql("SHOW ssl", env={"PGSSLMODE": "disable"}))
        watching = watch(server.cgroup, args=["--tls", "--protocols", "http1,postgresql"])
        for i in range(3):
            assert server.sql(f"SELECT {i}", env={"PGSSLMODE": "require"}) == f"{i}\n"
        server.sql("SELECT 9 AS plain", env={"PGSSLMODE": "disable"})
        watching.wait(4)
        events = watching.stop()
        watching.check_sums()
    encrypted = [e for e in events if e["end"] == "encrypted"]
    assert [e["operation"] for e in encrypted] == 3 * ["CONNECT"]
    assert [e["query_text"] for e in events if e.get("query_text")] == ["SELECT ? AS plain"]
    assert {e["protocol"] for e in events} <= {"postgresql", "tls"}


def test_redis(cgroup, certificate, watch, tmp_path):
    """Commands inside of TLS are those that Redis counts, also on a connection that was open before."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    port = free_port("127.0.0.1")
    cli = ["redis-cli", "--tls", "--insecure", "-p", str(port)]
    server = cgroup.spawn(["redis-server", "--port", "0", "--tls-port", str(port), "--save", "",
                           "--bind", "127.0.0.1", "--dir", str(tmp_path), "--tls-auth-clients", "no",
                           "--tls-cert-file", certificate + ".pem", "--tls-key-file",
                           certificate + ".key", "--tls-ca-cert-file", certificate + ".pem"],
                          stdout=subprocess.DEVNULL)
    wait_for_port(port, server)
    with subprocess.Popen(cli, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as before:
        def ask(command):
            before.stdin.write(command + "\n")
            before.stdin.flush()
            return before.stdout.readline()
        assert ask("PING") == "PONG\n"
        subprocess.run([*cli, "config", "resetstat"], check=True, stdout=subprocess.DEVNULL)
        watching = watch(cgroup, args=["--tls", "--protocols", "http1,resp,tls"])
        for i in range(5):
            assert ask(f"SET key {i}") == "OK\n"
        subprocess.run(["redis-benchmark", "--tls", "--insecure", "-p", str(port), "-n", "300", "-c",
                        "4", "-P", "8", "-t", "get,lpush"], check=True, stdout=subprocess.DEVNULL)
        said = subprocess.run([*cli, "info", "commandstats"], check=True, capture_output=True,
                              text=True).stdout
        before.stdin.close()
    counted = {name: int(n) for name, n in re.findall(r"cmdstat_(get|lpush|set):calls=(\d+)", said)}
    assert counted["set"] == 5
    watching.wait(sum(counted.values()), timeout=10)
    told_of = collections.Counter(e["operation"].lower() for e in watching.stop()
                                  if e["protocol"] == "resp" and e["end"] == "complete")
    assert {name: told_of[name] for name in counted} == counted


def test_replay(scene, watch, tmp_path):
    """Calls are recorded, too."""
    port = scene.start("threads")
    recording = tmp_path / "recording"
    watching = watch(scene.cgroup, args=[*TLS, "--record", str(recording)])
    connection = client(port)
    for path in "/a", "/big", "/b":
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()
    watching.wait(3)
    assert replayed(recording, *TLS) == watching.stop()


@pytest.mark.parametrize("name", ["nginx", "threads"])
def test_open_before_the_attach(name, scene, watch):
    """The hellos have passed: which socket it is, the thread tells that sends inside of a write. Until
    it has, and where it was reading already, requests are not told as such."""
    port = scene.start(name)
    connection = client(port)
    connection.request("GET", "/before")
    connection.getresponse().read()
    watching = watch(scene.cgroup, args=TLS)
    paths = [f"/{i}" for i in range(6)]
    for path in paths:
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()
    watching.wait(4)
    events = [e for e in watching.stop() if e["protocol"] == "http1" and e["path"]]
    assert [e["path"] for e in events if e["status"]] == paths[-len(events):]
    assert len(events) >= 4 and all(e["status"] == 200 for e in events)


@pytest.mark.parametrize("name", ["asyncio", "node", "netty"])
def test_open_before_the_attach_in_memory(name, scene, watch):
    """These sessions write to memory, and another call sends it: which socket it is, the begin of a
    record tells. So much is looked for once a few turns have passed."""
    port = scene.start(name)
    connections = [client(port), client(port, "1.2")]
    for connection in connections:
        connection.request("GET", "/before")
        connection.getresponse().read()
    watching = watch(scene.cgroup, args=[*TLS, "-v"])
    paths = [f"/{i}" for i in range(8)]
    for path in paths:
        for i, connection in enumerate(connections):
            connection.request("GET", f"{path}/{i}")
            assert len(connection.getresponse().read()) == 5
        if path == "/3":
            watching.wait_stderr("records of TLS are told", timeout=10)
    for connection in connections:
        connection.close()
    watching.wait(8)
    events = [e for e in watching.stop() if e["protocol"] == "http1" and e["path"]]
    for i in range(2):
        mine = [e for e in events if e["path"].endswith(f"/{i}")]
        assert [e["path"] for e in mine] == [f"{path}/{i}" for path in paths][-len(mine):]
        assert len(mine) >= 4 and len({e["connection_id"] for e in mine}) == 1
    assert {e["status"] for e in events} == {200}
    assert len({e["connection_id"] for e in events}) == 2


class Asker:
    """openssl s_client in the cgroup: a request at a time, and a renegotiation."""

    def __init__(self, scene, port):
        self.process = scene.cgroup.spawn(
            ["openssl", "s_client", "-connect", f"localhost:{port}", "-tls1_2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""

    def wait(self, what):
        while what not in self.said:
            self.said += os.read(self.process.stdout.fileno(), 65536) or pytest.fail(
                f"it ends behind {self.said}")
        self.said = b""

    def ask(self, path, body=b"b" * 5):
        self.process.stdin.write(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode())
        self.process.stdin.flush()
        self.wait(b"\r\n\r\n" + body)

    def renegotiate(self):
        self.process.stdin.write(b"R\n")
        self.process.stdin.flush()
        self.wait(b"RENEGOTIATING\n")

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("name", ["threads", "asyncio"])
def test_renegotiation(name, scene, watch):
    """TLS 1.2 shakes hands anew: the hellos are encrypted, the sessions have other randoms, and still
    tell of the same connection, at both ends."""
    port = scene.start(name)
    watching = watch(scene.cgroup, args=TLS)
    asker = Asker(scene, port)
    paths = [f"/{i}" for i in range(6)]
    for i, path in enumerate(paths):
        if i and not i % 2:
            asker.renegotiate()
        asker.ask(path)
    watching.wait(2 * len(paths))
    asker.close()
    events = watching.stop()
    watching.check_sums()
    for role in "server", "client":
        assert [(e["path"], e["status"], e["response_body_bytes"], e["end"])
                for e in events if e["role"] == role] == [
                    (path, 200, 5, "complete") for path in paths]
    assert len({e["connection_id"] for e in events}) == 2
    assert watching.stats["plain_dropped"] == 0


def test_renegotiation_by_server(scene, watch):
    """Apache asks for a certificate once it knows the path: between request and response. Its hellos
    meet the listening socket: which connection it is, a write tells before."""
    port = scene.start("apache")
    watching = watch(scene.cgroup, args=TLS)
    connection = client(port, "1.2")
    paths = ["/small", "/big", "/asks", "/small", "/asks"]
    for path in paths:
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()
    watching.wait(len(paths))
    events = watching.stop()
    watching.check_sums(delivered=len(paths))
    log = (scene.directory / "log").read_text().splitlines()
    assert [f"{e['operation']} {e['path']} {e['status']} {e['response_body_bytes']}"
            for e in events] == log
    assert [line.split()[1] for line in log] == paths
    assert watching.stats["plain_dropped"] == 0


AGENT = """
listen: 127.0.0.1:0
tls: true
applications:
  - cgroup: "/%s"
    name: shop
"""


@pytest.mark.parametrize("command", ["export", "agent"])
def test_figures(command, scene, watch, tmp_path):
    """Requests inside of TLS are in the figures of HTTP, with their routes and statuses."""
    port = scene.start("nginx")
    if command == "export":
        args = ["--listen", "127.0.0.1:0", "--cgroup", scene.cgroup.path, "--name", "shop", "--tls"]
    else:
        (tmp_path / "agent.yaml").write_text(AGENT % scene.cgroup.name)
        args = ["-c", tmp_path / "agent.yaml"]
    monitor = Monitor(command, *args)
    try:
        connection = client(port)
        for path in ["/small"] * 3 + ["/big"] * 2:
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()
        count = lambda: monitor.counted("http_server_request_duration_seconds_count", "http_route",
                                        "http_response_status_code", service_name="shop")
        wait_for(lambda: sum(count().values()) == 5)
        assert count() == {("/small", "200"): 3, ("/big", "200"): 2}
        if command == "agent":
            text = (tmp_path / "agent.yaml").read_text()
            (tmp_path / "agent.yaml").write_text(text.replace("tls: true", "tls: false"))
            monitor.hang_up()
            monitor.wait_line("tls: cannot change while it runs")
        monitor.stop()
    finally:
        monitor.kill()


def only(capabilities):
    caps = ",".join(["-all", *(f"+{name.lower()}" for name in capabilities)])
    return ["setpriv", "--inh-caps", caps, "--bounding-set", caps]


@pytest.mark.parametrize("who", ["user", "pod"])
def test_privileges(who, scene, watch, tmp_path, public_cli):
    """An agent that is not root sees inside of root's nginx with the capabilities of its manual; and
    one as examples/kubernetes/tls.yaml runs it inside of an ordinary user's."""
    let_in(tmp_path)
    if who == "user":
        names = "bpf", "perfmon", "net_admin", "sys_admin", "sys_ptrace", "dac_read_search"
        wrapper = only(names)
        wrapper += ["--reuid", "65534", "--clear-groups", "--ambient-caps", wrapper[2]]
        port = scene.start("nginx")
    else:
        with open(f"{EXAMPLE}/tls.yaml", encoding="ascii") as f:
            pod = yaml.safe_load(f)["spec"]["template"]["spec"]
        assert pod["hostPID"] # the test has the machine's processes, too
        capabilities = pod["containers"][0]["securityContext"]["capabilities"]
        wrapper = [*only(capabilities["add"]), "--no-new-privs"]
        for name in "pem", "key":
            shutil.copy(f"{scene.certificate}.{name}", tmp_path / f"own.{name}")
            os.chown(tmp_path / f"own.{name}", 65534, 65534)
        scene.certificate = str(tmp_path / "own")
        port = scene.start("threads", wrapper=["setpriv", "--reuid", "65534", "--clear-groups"])
    (tmp_path / "agent.yaml").write_text(AGENT % scene.cgroup.name)
    monitor = Monitor("agent", "-c", tmp_path / "agent.yaml", program=public_cli, wrapper=wrapper)
    try:
        monitor.wait_line(r"watching /.*: shop$")
        connection = client(port)
        for _ in range(3):
            connection.request("GET", "/small")
            connection.getresponse().read()
        connection.close()
        count = lambda: monitor.counted("http_server_requests_total", "http_route")
        wait_for(lambda: count() == {"/small": 3})
        assert not monitor.find("cannot be told")
    finally:
        monitor.kill()


def test_console(scene, watch):
    """A program that starts after the console is found, too: so privileges are kept."""
    monitor = Monitor("console", "--listen", "127.0.0.1:0", "--cgroup", scene.cgroup.path, "--name",
                      "shop", "--tls", "--protocols", "http1")
    try:
        base = monitor.find(r"appmon: console: (http://\S+/)$")[-1][1]
        port = scene.start("nginx")
        for _ in range(2):
            connection = client(port)
            for path in "/a", "/b":
                connection.request("GET", path)
                connection.getresponse().read()
            connection.close()

        def seen():
            with urllib.request.urlopen(base + "api/requests?kind=latest&application=shop") as answer:
                paths = [kept["event"].get("path") for kept in json.load(answer)["requests"]]
            return {"/a", "/b"} <= set(paths)
        wait_for(seen)
        monitor.stop()
    finally:
        monitor.kill()


def test_not_http(scene, watch):
    """What the plaintext is of no protocol that is followed makes no event of one."""
    port = scene.start("asyncio")
    watching = watch(scene.cgroup, args=TLS)
    context = ssl._create_unverified_context()
    with socket.create_connection(("localhost", port)) as sock, \
            context.wrap_socket(sock) as inner:
        inner.sendall(b"\x00\x01\x02\x03" * 100)
    connection = client(port)
    connection.request("GET", "/a")
    connection.getresponse().read()
    connection.close()
    watching.wait(1)
    assert [e["path"] for e in watching.stop() if e["protocol"] == "http1"] == ["/a"]
