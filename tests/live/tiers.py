# SPDX-License-Identifier: BSD-2-Clause
"""Three tiers in a row: clients -> a middle tier of some runtime -> a backend. Each request has an
id in its path, which the middle tier passes on: so what was made for what is known."""
import asyncio
import collections
import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time

from programs import HERE, Missing, free_port

# What a middle tier is started with; the others are built like servers (programs.py).
TOOLS = {"webrick": ["ruby"], "php": ["php"], "nginx": ["nginx"], "haproxy": ["haproxy"]}
FORWARDED = {
    "nginx": 'proxy_set_header Forwarded "for=\\"$remote_addr:$remote_port\\"";',
    "haproxy": 'http-request set-header Forwarded for=\\"%[src]:%[src_port]\\"',
}


class Backend:
    """Answers each request after a moment, in a thread of the test: nobody watches it."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self.ids = collections.Counter()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader, writer):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            self.ids[head.split()[1].rpartition(b"/")[2].decode()] += 1
            await asyncio.sleep(random.uniform(0, 0.02))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            if b"connection: close" in head.lower() or b" HTTP/1.0" in head:
                break
        writer.close()

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.close()


class Middle:
    """A middle tier that runs inside a cgroup."""

    def __init__(self, programs, name, cgroup, directory, backend, forwarded=False):
        self.port = free_port("127.0.0.1")
        self._directory = str(directory)
        env = dict(os.environ)
        for tool in TOOLS.get(name, []):
            if not shutil.which(tool):
                raise Missing(f"{tool} is not installed")
        address = ["127.0.0.1", str(self.port), str(backend.port)]
        if name == "webrick":
            if subprocess.run(["ruby", "-e", "require 'webrick'"], stderr=subprocess.DEVNULL,
                              check=False).returncode:
                raise Missing("ruby has no webrick (Debian: ruby-webrick)")
            argv = ["ruby", f"{HERE}/tiers/webrick.rb"] + address
        elif name == "php":
            argv = ["php", "-S", f"127.0.0.1:{self.port}", "-t", f"{HERE}/tiers/php",
                    f"{HERE}/tiers/php/index.php"]
            env.update(BACKEND=str(backend.port), PHP_CLI_SERVER_WORKERS="8")
        elif name in FORWARDED:
            argv = self._proxy(name, backend, forwarded)
        else:
            argv = programs.command("tier", name) + address
        self._output = open(f"{directory}/output", "w+")
        self.process = cgroup.spawn(argv, stdout=self._output, stderr=self._output, env=env)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                self._output.seek(0)
                assert self.process.poll() is None and time.monotonic() < deadline, \
                    f"{name} does not serve: {self._output.read()}"
                time.sleep(0.02)

    def _proxy(self, name, backend, forwarded):
        config = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[name]
        with open(f"{HERE}/tiers/{config}.in") as f:
            text = f.read()
        for key, value in {"DIR": self._directory, "HOST": "127.0.0.1", "PORT": str(self.port),
                           "BACKEND": str(backend.port),
                           "FORWARDED": FORWARDED[name] if forwarded else ""}.items():
            text = text.replace(f"@{key}@", value)
        with open(f"{self._directory}/{config}", "w") as f:
            f.write(text)
        if name == "haproxy":
            return ["haproxy", "-db", "-f", f"{self._directory}/{config}"]
        os.chmod(self._directory, 0o755)
        return ["nginx", "-e", f"{self._directory}/error.log", "-p", self._directory,
                "-c", f"{self._directory}/{config}"]


def headers_for(kind, number):
    """The fields that a client sends with a request, unlike those of any other."""
    if kind == "traceparent":
        return {"traceparent": f"00-{0xabcd0000 + number:032x}-{1 + number:016x}-01"}
    if kind == "request id":
        return {"X-Request-Id": f"request-{number}"}
    return {}


def load(port, clients, requests, kind=None, path="/x/"):
    """clients connections at a time send requests in all; returns the ids of those answered."""
    done, numbers, lock = set(), iter(range(requests)), threading.Lock()

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            connection.request("GET", f"{path}{number}", headers=headers_for(kind, number))
            response = connection.getresponse()
            body = response.read()
            if response.status == 200 and body == b"ok":
                with lock:
                    done.add(str(number))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


class Links:
    """What the events say about which request was made for which, against the ids in the paths."""

    def __init__(self, events):
        self.received = {(e["connection_id"], e["ordinal"]): e for e in events
                         if e["role"] == "server"}
        self.sent = [e for e in events if e["role"] == "client"]
        self.right, self.wrong = collections.Counter(), collections.Counter()
        self.errors = []
        for event in self.sent:
            link = event.get("link")
            if not link:
                continue
            cause = self.received.get((link["connection_id"], link["ordinal"]))
            if cause and self.id_of(cause) == self.id_of(event):
                self.right[link["evidence"]] += 1
            else:
                self.wrong[link["evidence"]] += 1
                self.errors.append((event, cause))

    @staticmethod
    def id_of(event):
        return event["path"].rpartition("/")[2]

    def report(self, name):
        """A line of precision and recall for each kind of evidence."""
        total = len(self.sent)
        parts = []
        for kind in sorted(self.right.keys() | self.wrong.keys()):
            right, wrong = self.right[kind], self.wrong[kind]
            parts.append(f"{kind}: {right / total:.1%} of them, precision "
                         f"{right / (right + wrong):.2%}")
        recall = sum(self.right.values()) / total if total else 0
        print(f"{name}: {total} requests sent, {recall:.1%} linked right, "
              f"{sum(self.wrong.values())} wrong; " + "; ".join(parts), file=sys.stderr)
        return recall
