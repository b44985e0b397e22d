# SPDX-License-Identifier: BSD-2-Clause
"""The servers and clients of README.md: how each is built, started and what its log says."""
import contextlib
import fcntl
import glob
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SERVERS = ["nginx", "node", "python-threading", "python-asyncio", "go", "java", "rust", "uring"]
CLIENTS = ["curl", "node", "python", "go", "java", "rust"]
SIZES = [0, 100, 5000, 100000, 20000000]  # of the bodies that are asked for
WRK_CONNECTIONS = 32
PATTERN = b"HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n"

NEEDS = {"nginx": ["nginx"], "node": ["node"], "go": ["go"], "java": ["java", "javac"],
         "rust": ["cargo"], "uring": ["cc"], "curl": ["curl"], "load": ["cc"]}
GO_BUILDS = {"": [], "stripped": ["-ldflags=-s -w"], "pie": ["-buildmode=pie", "-ldflags=-s -w"],
             "cgo": []}
CRATES = "/usr/share/cargo/registry"  # where Debian's librust-*-dev packages put their sources


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


class Missing(Exception):
    """Something that a program needs is not installed."""


@contextlib.contextmanager
def building(directory):
    """Two tests at a time may want the same: the second waits until it is there."""
    os.makedirs(directory, exist_ok=True)
    with open(f"{directory}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_certificate(base):
    """Of localhost, which it has signed itself: BASE.pem, and BASE.key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", base + ".key", "-out",
                    base + ".pem"], check=True, stderr=subprocess.DEVNULL)


class Programs:
    """Builds each program once, outside the source tree."""

    def __init__(self, directory):
        self.directory = str(directory)
        self._built = {}

    def command(self, kind, name):
        """The start of the command line of a server or client."""
        for tool in NEEDS.get(name.partition("-")[0], []):
            if not shutil.which(tool):
                raise Missing(f"{tool} is not installed")
        if (kind, name) not in self._built:
            build = getattr(self, "_" + name.partition("-")[0])
            with building(self.directory):
                self._built[kind, name] = build(kind, name)
        return self._built[kind, name]

    def nginx_root(self):
        """The files that nginx serves; made once."""
        root = f"{self.directory}/root"
        with building(self.directory):
            for path in [f"{root}/{sub}/{n}" for sub in ("bytes", "chunked") for n in SIZES]:
                if not os.path.exists(path):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, "wb") as f:
                        f.write(pattern(int(os.path.basename(path))))
        return root

    def _run(self, argv, **env):
        done = subprocess.run(argv, env={**os.environ, **env}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}:\n{done.stdout}")

    def _python(self, kind, name):
        script = "client" if kind == "client" else name.partition("-")[2] + "_server"
        return [sys.executable, f"{HERE}/{kind}s/{script}.py"]

    def _curl(self, kind, name):
        return [sys.executable, f"{HERE}/clients/curl.py"]

    def _node(self, kind, name):
        return ["node", f"{HERE}/{kind}s/node.js"]

    def _go(self, kind, name):
        """go, or go-NAME; a way to build it may follow: go-NAME-stripped."""
        out = f"{self.directory}/{name}-{kind}"
        source, _, how = name.removeprefix("go-").partition("-")
        self._run(["go", "build", *GO_BUILDS[how], "-o", out, f"{HERE}/{kind}s/{source}.go"],
                  GO111MODULE="off", GOCACHE=f"{self.directory}/go-cache",
                  CGO_ENABLED="1" if how == "cgo" else "0")
        return [out]

    def _java(self, kind, name):
        out, name = f"{self.directory}/java-{kind}", kind.capitalize()
        source, built = f"{HERE}/{kind}s/{name}.java", f"{out}/{name}.class"
        # Not over what may run.
        if not os.path.exists(built) or os.path.getmtime(built) < os.path.getmtime(source):
            self._run(["javac", "-d", out, source])
        return ["java", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m",
                "-cp", out, name]

    def _rust(self, kind, name):
        """rust, of the directory of that name; or rust-NAME, of NAME."""
        project = name.removeprefix("rust-")
        crate = {"rust": "tiny-http", "hyper": "hyper"}[project]
        if not glob.glob(f"{CRATES}/{crate.replace('-', '_')}-[0-9]*"):
            raise Missing(f"no {crate} crate in {CRATES} (Debian: librust-{crate}-dev)")
        source = f"{self.directory}/{project}"  # cargo writes Cargo.lock beside the sources
        shutil.copytree(f"{HERE}/{project}", source, dirs_exist_ok=True)
        self._run(["cargo", "build", "--quiet", "--offline", "--manifest-path",
                   f"{source}/Cargo.toml", "--target-dir", f"{source}/target",
                   "--config", 'source.crates-io.replace-with="debian"',
                   "--config", f'source.debian.directory="{CRATES}"'])
        return [f"{source}/target/debug/{kind}"]

    def _uring(self, kind, name):
        if not os.path.exists("/usr/include/liburing.h"):
            raise Missing("liburing.h is not installed")
        out = f"{self.directory}/uring"
        self._run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", f"{HERE}/servers/uring.c", "-o", out,
                   "-luring"])
        return [out]

    def load(self, name):
        """The same for a program of load/."""
        return self.command("load", "load-" + name)

    def _load(self, kind, name):
        out = f"{self.directory}/{name}"
        self._run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", out,
                   f"{HERE}/load/{name.partition('-')[2]}.c"])
        return [out]


class Log:
    """A program's own log: JSON lines."""

    def __init__(self, path):
        self.path = path

    def lines(self, count, timeout=5):
        """All records, as soon as there are `count` (a server may log after it has answered)."""
        deadline = time.monotonic() + timeout
        while True:
            with open(self.path) as f:
                text = f.read()
            if text.count("\n") >= count:
                return [json.loads(line) for line in text.splitlines()]
            assert time.monotonic() < deadline, f"{count} lines expected in the log:\n{text}"
            time.sleep(0.01)


def let_in(directory):
    """Servers that give up being root read what is in this directory of pytest's."""
    while not os.stat(directory).st_mode & stat.S_IXOTH:
        os.chmod(directory, 0o755)
        directory = directory.parent


def free_port(host):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.bind((host, 0))
        return sock.getsockname()[1]


def wait_for_port(port, process):
    """Until the process listens there."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)


class Server:
    """A server of SERVERS that runs inside a cgroup and listens on host ("::": dual-stack)."""

    def __init__(self, programs, name, cgroup, directory, host="127.0.0.1", log_buffer="",
                 log_format="truth", workers=1):
        self.name = name
        self.cgroup = cgroup
        self.port = free_port(host)
        self.log = Log(f"{directory}/access.log")
        open(self.log.path, "w").close()
        if name == "nginx":
            argv = self._nginx(programs, str(directory), host, log_buffer, log_format, workers)
        else:
            argv = programs.command("server", name) + [host, str(self.port), self.log.path]
        self._output = open(f"{directory}/output", "w+")
        self.process = cgroup.spawn(argv, stdout=self._output, stderr=self._output)
        self._wait_port("127.0.0.1" if host == "::" else host)

    def _nginx(self, programs, directory, host, log_buffer, log_format, workers):
        if not shutil.which("nginx"):
            raise Missing("nginx is not installed")
        modules = "/usr/lib/nginx/modules"
        if not os.path.exists(f"{modules}/ngx_http_echo_module.so"):
            raise Missing("nginx has no echo module (Debian: nginx-light)")
        listen = f"[{host}]:{self.port} ipv6only={'off' if host == '::' else 'on'}"
        if ":" not in host:
            listen = f"{host}:{self.port}"
        with open(f"{HERE}/servers/nginx.conf.in") as f:
            text = f.read()
        for key, value in {"DIR": directory, "LOG": self.log.path, "LISTEN": listen,
                           "MODULES": modules, "BUFFER": log_buffer, "FORMAT": log_format, "WORKERS": str(workers),
                           "ROOT": programs.nginx_root()}.items():
            text = text.replace(f"@{key}@", value)
        with open(f"{directory}/nginx.conf", "w") as f:
            f.write(text)
        os.chmod(directory, 0o755)
        return ["nginx", "-e", f"{directory}/error.log", "-p", directory,
                "-c", f"{directory}/nginx.conf"]

    def _wait_port(self, host):
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((host, self.port), timeout=1).close()
                return
            except OSError:
                self._output.seek(0)
                assert self.process.poll() is None and time.monotonic() < deadline, \
                    f"{self.name} does not serve: {self._output.read()}"
                time.sleep(0.02)

    def stop(self):
        """Ends the server the ordinary way, so that it flushes its log."""
        self.process.terminate()
        self.process.wait(10)


def run_client(programs, name, cgroup, directory, address, plan):
    """Runs a client of CLIENTS inside a cgroup over `plan`; returns its own log."""
    host, port = address
    plan_path, log = f"{directory}/plan", Log(f"{directory}/client.log")
    argv = programs.command("client", name) + [host, str(port), plan_path, log.path]
    with open(plan_path, "w") as f:
        f.writelines(f"{method} {target} {length} {framing}\n"
                     for method, target, length, framing in plan)
    process = cgroup.spawn(argv, stderr=subprocess.PIPE, text=True)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    # One that starts another program logs the other's.
    return [{"pid": process.pid, **line} for line in log.lines(len(plan))]
