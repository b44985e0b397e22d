# SPDX-License-Identifier: BSD-2-Clause
"""Runs `appmon export` and `appmon agent`, reads what they serve, and receives what they send."""
import collections
import http.server
import json
import re
import signal
import subprocess
import threading
import time
import urllib.request

from watch import cli

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def wait_for(condition, timeout=10, what="it"):
    """Returns the first true value of condition()."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


class Monitor:
    """A running `appmon export` or `appmon agent`, which watches when __init__ returns."""

    def __init__(self, command, *args, wrapper=(), program=None):
        self.process = subprocess.Popen([*wrapper, program or cli(), command, *map(str, args)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, errors="replace")
        self.lines = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.wait_line(r"appmon: watching \d+ cgroup\(s\)", 20)

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def find(self, pattern):
        return [found for found in (re.search(pattern, line) for line in self.lines) if found]

    def wait_line(self, pattern, timeout=10, count=1):
        """The count-th line that has the pattern, as soon as it is there."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.find(pattern)) >= count
                                   or not self._thread.is_alive(), timeout)
            found = self.find(pattern)
        assert len(found) >= count, f"no line has {pattern}:\n" + "\n".join(self.lines)
        return found[count - 1]

    @property
    def url(self):
        return self.find(r"appmon: (http://.*/metrics)$")[-1][1]

    def scrape(self, accept="text/plain"):
        request = urllib.request.Request(self.url, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.headers["Content-Type"], response.read().decode()

    def counted(self, name, *labels, **where):
        """The samples of a name, added up by the values of some labels (a tuple, or the value if
        it is one); only those that have all of where."""
        sums = collections.Counter()
        for sample, have, value in samples(self.scrape()[1]):
            if sample == name and where.items() <= have.items():
                key = tuple(have.get(label, "") for label in labels)
                sums[key[0] if len(key) == 1 else key] += value
        return sums

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """Ends it like `systemctl stop` does. Returns all that it said."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self._thread.join()
        assert self.process.returncode == 0, "\n".join(self.lines)
        return self.lines

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._thread.join()


LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def samples(text):
    """(name, labels, value) of each sample in Prometheus' text format."""
    for line in text.splitlines():
        if not line or line[0] == "#":
            continue
        name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)(?: # .*)?", line).groups()
        unescape = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
        yield name, {key: re.sub(r"\\.", lambda m: unescape[m[0]], quoted)
                     for key, quoted in LABEL.findall(labels or "")}, float(value)


class Receiver:
    """An HTTP server that keeps the JSON which is sent to it, by path, and OTLP's protobuf as JSON.
    It answers each path with the next of its `statuses`, then with 200. `requests` has all that
    came, with time and header fields, `sizes` the bytes of each body."""

    def __init__(self, port=0):
        self.received = collections.defaultdict(list)
        self.statuses = {}
        self.types = set()
        self.retry_after = None
        self.decode = None  # see otlp.decoder()
        self.sizes = collections.defaultdict(list)
        self.requests = []  # (path, time, fields)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.types.add(self.headers["Content-Type"])
                receiver.requests.append((self.path, time.monotonic(), self.headers))
                statuses = receiver.statuses.get(self.path)
                status = statuses.pop(0) if statuses else 200
                if status == 200:
                    receiver.sizes[self.path].append(len(body))
                    read = receiver.decode or (lambda path, body: json.loads(body))
                    receiver.received[self.path].append(read(self.path, body))
                self.send_response(status)
                if status != 200 and receiver.retry_after:
                    self.send_header("Retry-After", receiver.retry_after)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes(holder):
    """OTLP's list of attributes as a dict."""
    values = {}
    for pair in holder.get("attributes", []):
        (kind, value), = pair["value"].items()
        values[pair["key"]] = int(value) if kind == "intValue" else value
    return values
