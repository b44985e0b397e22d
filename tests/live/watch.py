# SPDX-License-Identifier: BSD-2-Clause
"""Runs the appmon CLI and collects the events that it prints as JSON."""
import itertools
import json
import os
import re
import signal
import subprocess
import threading


def cli():
    return os.path.join(os.environ["APPMON_BUILD"], "examples", "appmon")


def as_user(capabilities):
    """The start of a command line: nobody, with these capabilities and no way to more."""
    caps = ",".join(["-all"] + ["+" + c for c in capabilities])
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={caps}",
            f"--ambient-caps={caps}", f"--bounding-set={caps}", "--no-new-privs"]


class Event(dict):
    """A line about an exchange. What is left out as unknown reads as the library has it: "" or 0,
    and -1 for a length."""
    TEXTS = {"system", "operation", "resource", "status_text", "message", "request_target", "path",
             "query", "authority", "comm", "resource_namespace", "query_text", "query_summary",
             "tls_server_name", "tls_alpn_offered", "tls_alpn"}

    def __missing__(self, key):
        if key in self.TEXTS:
            return ""
        if key in ("local", "remote"):
            return "?"
        if key == "owner":
            return "unknown"
        if key.endswith(("_content_length", "_items")):
            return -1
        if key in ("status", "srtt_us", "pid", "tid", "uid", "netns_cookie", "netns_inum",
                   "tls_version", "tls_cipher", "tls_flags") \
                or key.endswith(("_ns", "_pid", "_tid", "_bytes")):
            return 0
        raise KeyError(key)


def replayed(recording, *args):
    """The events of `appmon replay --json`."""
    out = subprocess.run([cli(), "replay", "--json", *args, str(recording)],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    return [Event(e) for e in map(json.loads, out.splitlines()) if "summary" not in e]


COUNT = itertools.count()


def referee(args):
    """Options that keep a recording in $RECORDINGS, for tests/live/referee."""
    directory = os.environ.get("RECORDINGS")
    if not directory or "--record" in args:
        return []
    test = re.sub(r"[^\w.-]+", "_", os.environ.get("PYTEST_CURRENT_TEST", "").split("::", 1)[-1])
    path = os.path.join(directory, f"{test[:150]}-{next(COUNT)}.rec")
    with open(path + ".args", "w") as f:
        json.dump(list(args), f)
    return ["--record", path]


class Watch:
    """`appmon watch --json` on some cgroups: watching from __init__ until stop().

    With `output` the events go through that file and are read at stop(): for heavy load."""

    def __init__(self, *cgroups, args=(), output=None):
        argv = [cli(), "watch", "--json"]
        for cgroup in cgroups:
            argv += ["--cgroup", cgroup.path]
        if output:
            argv += ["--output", str(output)]
        self.process = subprocess.Popen(argv + list(args) + referee(args), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, errors="replace")
        self._output = output
        self.summary = None
        self._events = []
        self._stderr = []
        self._changed = threading.Condition()
        self._watching = False
        self._threads = [threading.Thread(target=self._read_stderr),
                         threading.Thread(target=self._read_stdout)]
        for thread in self._threads:
            thread.start()
        with self._changed:
            ready = self._changed.wait_for(lambda: self._watching or not self._running(), 20)
        if not ready or not self._watching:
            self.process.kill()
            self._join()
            raise AssertionError("appmon does not watch: " + "".join(self._stderr))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self._running():
            self.process.send_signal(signal.SIGINT)
        self._join()

    def _running(self):
        return self.process.poll() is None

    def _read_stderr(self):
        for line in self.process.stderr:
            with self._changed:
                self._stderr.append(line)
                if re.match(r"appmon: watching \d+ cgroup", line):
                    self._watching = True
                self._changed.notify_all()
        self.process.wait()
        with self._changed:
            self._changed.notify_all()

    def _read_stdout(self):
        for line in self.process.stdout:
            with self._changed:
                self._take(line)
                self._changed.notify_all()

    def _take(self, line):
        value = json.loads(line)
        if "summary" in value:
            self.summary = value["summary"]
        else:
            self._events.append(Event(value))

    def _join(self):
        for thread in self._threads:
            thread.join()
        self.process.wait()

    def wait(self, count, timeout=5):
        """The events so far, as soon as there are `count` of them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._events) >= count, timeout):
                raise AssertionError(f"{len(self._events)} of {count} events after {timeout} s: "
                                     + ", ".join(e.get("request_target", "?") for e in self._events))
            return list(self._events)

    def wait_stderr(self, text, timeout=5):
        """What was said on standard error, as soon as this is part of it."""
        with self._changed:
            if not self._changed.wait_for(lambda: text in "".join(self._stderr), timeout):
                raise AssertionError(f"not said: {text}, but: " + "".join(self._stderr))
            return "".join(self._stderr)

    def stop(self):
        """Ends the watch like Ctrl-C does. Returns all events; self.summary is set."""
        if self._running():
            self.process.send_signal(signal.SIGINT)
        self._join()
        assert self.process.returncode == 0, "".join(self._stderr)
        if self._output:
            with open(self._output) as f:
                for line in f:
                    self._take(line)
        assert self.summary is not None, "no summary line"
        return self._events

    def log(self):
        """The lines on standard error so far."""
        with self._changed:
            return list(self._stderr)

    @property
    def stats(self):
        return self.summary["stats"]

    def check_sums(self, delivered=None):
        """Every exchange that was seen is accounted for, and if a number is given none is lost."""
        s = self.stats
        assert s["exchanges_seen"] == (s["delivered"] + s["filtered"] + sum(s["dropped"].values())
                                       + s["outstanding"])
        assert s["records_bad"] == 0
        if delivered is not None:
            assert not any(s["dropped"].values()), s["dropped"]
            assert s["records_lost"] == 0
            assert s["delivered"] == delivered
