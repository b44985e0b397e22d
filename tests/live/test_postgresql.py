# SPDX-License-Identifier: BSD-2-Clause
"""PostgreSQL: the statements of pgbench in its three modes, against what the server counts itself
(pg_stat_statements), and the rows of a long result."""
import collections
import glob
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

PROTOCOLS = ["--protocols", "http1,postgresql,mysql"]
USER = "postgres"


class Server:
    def __init__(self, cgroup, bindir):
        self.bindir = bindir
        self.directory = tempfile.mkdtemp(prefix="appmon-pg-")
        shutil.chown(self.directory, USER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        data = f"{self.directory}/data"
        self.run("initdb", "-D", data, "-A", "trust")
        self.process = cgroup.spawn(
            ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", f"{bindir}/postgres",
             "-D", data, "-p", str(self.port), "-k", self.directory, "-c", "listen_addresses=127.0.0.1",
             "-c", "shared_preload_libraries=pg_stat_statements"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while subprocess.run([f"{bindir}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode:
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.1)

    def run(self, program, *args):
        done = subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
                               f"{self.bindir}/{program}", *args], cwd="/", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, program, *args):
        return self.run(program, "-h", "127.0.0.1", "-p", str(self.port), *args)

    def sql(self, text):
        return self.ask("psql", "-qAt", "-c", text, "postgres")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)


@pytest.fixture
def postgresql(cgroup):
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    if not found or os.geteuid() != 0:
        pytest.skip("postgresql is not installed, or this is not root")
    server = Server(cgroup, os.path.dirname(found[-1]))
    yield server
    server.stop()


def without_data(statement):
    """As the server has it, with $1 in place of what is '?' in events."""
    return re.sub(r"\$\d+", "?", statement)


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(postgresql, cgroup, watch, mode):
    postgresql.ask("pgbench", "-q", "-i", "postgres")
    postgresql.sql("CREATE EXTENSION pg_stat_statements")
    watching = watch(cgroup, args=PROTOCOLS + ["--record", "/tmp/live.rec"])
    postgresql.sql("SELECT pg_stat_statements_reset()")
    postgresql.ask("pgbench", "-n", "-M", mode, "-c", "3", "-t", "200", "postgres")
    counts = collections.Counter()
    for line in postgresql.sql("SELECT calls, query FROM pg_stat_statements "
                               "WHERE query ~ 'pgbench_.*[$]1|^(BEGIN|END)$'").splitlines():
        calls, query = line.split("|", 1)
        counts[without_data(query)] += int(calls)
    watching.wait(sum(counts.values()))
    time.sleep(1)
    events = watching.stop()
    seen = collections.Counter(event["query_text"] for event in events if event.get("query_text") in counts)
    # psql's own, in no transaction, are not among them.
    assert seen == counts and sum(counts.values()) == 3 * 200 * 7
    assert all(event["outcome"] == "ok" and event["end"] == "complete" for event in events)
    # Literals are not told.
    assert not any(re.search(r"= ?\d", event.get("query_text", "")) for event in events)


def test_rows(postgresql, cgroup, watch):
    """As many rows as the server says, whatever the programs looked at."""
    watching = watch(cgroup, args=PROTOCOLS + ["--record", "/tmp/live.rec"])
    for n in (0, 1, 3, 1000, 100000):
        assert len(postgresql.sql(f"SELECT repeat('x', 20) FROM generate_series(1, {n})").split()) == n
    watching.wait(2 * 5)
    events = [event for event in watching.stop() if event["operation"] == "SELECT"]
    assert [event["response_items"] for event in events] == [0, 1, 3, 1000, 100000]


def test_error(postgresql, cgroup, watch):
    watching = watch(cgroup, args=PROTOCOLS + ["--record", "/tmp/live.rec"])
    with pytest.raises(AssertionError):
        postgresql.sql("SELECT * FROM nowhere WHERE a = 'hunter2'")
    time.sleep(2)
    failed, = [event for event in watching.stop() if event["operation"] == "SELECT"]
    assert (failed["outcome"], failed["status_text"]) == ("client_error", "42P01")
    assert failed["query_text"] == "SELECT * FROM nowhere WHERE a = ?"
    assert "hunter2" not in str(failed)
