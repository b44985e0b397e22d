# SPDX-License-Identifier: BSD-2-Clause
"""PostgreSQL: what its clients sent and were told, against the server's log of statements and errors
(log_statement, jsonlog), pg_stat_statements, and what the clients say themselves."""
import collections
import json
import re
import socket
import struct
import subprocess
import time
import urllib.request

import pytest

from databases import POSTGRESQL_CLIENTS, Pgbouncer, Postgresql, client, python_with, running, start_shop
from programs import Missing, free_port
from watch import cli

PROTOCOLS = ["--protocols", "http1,postgresql,mysql"]
RAW = PROTOCOLS + ["--query-text"]


@pytest.fixture(scope="module")
def postgresql():
    with running(Postgresql) as server:
        yield server


def begin(postgresql):
    """What the server counts and logs begins here; returns the number of lines that its log has. Another
    process writes them: those of statements before may still come."""
    text = f"SELECT pg_stat_statements_reset() AS at{time.monotonic_ns()}"
    postgresql.sql(text)
    deadline = time.monotonic() + 5
    while text not in str(postgresql.log()[-1:]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return len(postgresql.log())


def statements(events):
    """(text, SQLSTATE or "") of each statement that was not passed over."""
    return [(event["query_text"], event["status_text"]) for event in events
            if event["operation"] not in ("CONNECT", "CANCEL") and event["end"] != "abandoned"
            and (event["query_text"] or event["status_text"])]


def check_log(postgresql, since, watching, timeout=10):
    """Waits until each statement of the log has its event and each event its statement."""
    deadline = time.monotonic() + timeout
    while True:
        logged, logins = postgresql.statements(since)
        told = statements(watching.wait(0))
        if collections.Counter(told) == collections.Counter(logged):
            break
        if time.monotonic() > deadline:
            more = collections.Counter(logged) - collections.Counter(told)
            raise AssertionError(f"{len(told)} of {len(logged)}; not told: {more}; not logged: "
                                 f"{collections.Counter(told) - collections.Counter(logged)}")
        time.sleep(0.1)
    events = watching.wait(0)
    connects = [event for event in events if event["operation"] == "CONNECT"]
    assert sum(event["outcome"] == "ok" for event in connects) == logins
    return events


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(postgresql, watch, mode):
    """Each of its statements, without its data, and as often as the server has counted."""
    if mode == "simple":
        postgresql.ask("pgbench", "-q", "-i", "postgres")
    postgresql.sql("SELECT pg_stat_statements_reset()")
    watching = watch(postgresql.cgroup, args=PROTOCOLS)
    done = postgresql.ask("pgbench", "-n", "-M", mode, "-c", "3", "-t", "100", "postgres")
    assert "actually processed: 300/300" in done
    counts = collections.Counter(BEGIN=300, END=300)
    for line in postgresql.sql("SELECT calls, query FROM pg_stat_statements "
                               "WHERE query ~ 'pgbench_.*[$]1'").splitlines():
        calls, query = line.split("|", 1)
        # A list of literals is one.
        counts[re.sub(r"\?(, \?)+", "?", re.sub(r"\$\d+", "?", query))] += int(calls)
    assert sum(counts.values()) == 300 * 7
    deadline = time.monotonic() + 10
    while True:
        events = watching.wait(0)
        seen = collections.Counter(e["query_text"] for e in events if e["query_text"] in counts)
        if seen == counts or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert seen == counts
    for event in events:
        assert (event["outcome"], event["end"], event["role"]) == ("ok", "complete", "server")
        assert event["system"] == "postgresql" and event["resource_namespace"] == "postgres"
        assert not re.search(r"= ?-?\d", event["query_text"])  # literals are not told
    delivered = len(watching.stop())
    watching.check_sums(delivered=delivered)


def check_rows(postgresql, events):
    """Of each operation as many rows as pg_stat_statements has. What a cursor of the protocol fetches are
    rows of its SELECT there."""
    def name(operation):
        return "SELECT" if operation == "FETCH" else operation

    told = collections.Counter()
    for event in events:
        if event["response_items"] > 0 and not event["status_text"]:
            told[name(event["operation"])] += event["response_items"]
    deadline = time.monotonic() + 5
    while True:
        counted = collections.Counter()
        for line in postgresql.sql("SELECT rows, upper(substring(query FROM '[A-Za-z]+')) FROM pg_stat_statements "
                                   "WHERE rows > 0 AND query !~ 'pg_stat_statements'").splitlines():
            rows, operation = line.split("|")
            counted[name(operation)] += int(rows)
        if told == counted:
            return
        assert time.monotonic() < deadline, (told - counted, counted - told)
        time.sleep(0.1)


@pytest.mark.parametrize("name", POSTGRESQL_CLIENTS)
def test_clients(postgresql, watch, name):
    """Texts, rows and errors, as both ends have them."""
    try:
        argv = client(name, postgresql)
    except Missing as reason:
        pytest.skip(str(reason))
    since = begin(postgresql)
    watching = watch(postgresql.cgroup, args=RAW)
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    events = check_log(postgresql, since, watching)
    told = collections.Counter()
    for event in events:
        told[event["query_text"], None, event["status_text"]] += 1
        if not event["status_text"]:
            told[event["query_text"], event["response_items"], ""] += 1
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) > 20
    counts = collections.Counter((one["text"], one["rows"], one["error"]) for one in said)
    assert counts <= told, counts - told
    for event in events:
        assert event["status_text"] == "" or event["outcome"] != "ok"
        assert "partial" not in event["flags"] and "gap" not in event["flags"]
    check_rows(postgresql, events)
    if name == "psycopg":
        cancelled, = [e for e in events if e["query_text"] == "SELECT pg_sleep(20)"]
        assert (cancelled["status_text"], cancelled["outcome"]) == ("57014", "cancelled")
        assert [e["outcome"] for e in events if e["operation"] == "CANCEL"] == ["ok"]
        # One of four fails: the server passes over the next one.
        piped = [e for e in events if e["query_text"].startswith("SELECT 1 / $1::int")]
        assert [(e["end"], e["outcome"]) for e in piped] == [
            ("complete", "ok"), ("complete", "ok"), ("complete", "client_error"),
            ("abandoned", "cancelled")]
    delivered = len(watching.stop())
    watching.check_sums(delivered=delivered)


def test_both_ends(postgresql, cgroup, watch):
    """The client's socket says what the server's says."""
    try:
        argv = client("psycopg", postgresql)
    except Missing as reason:
        pytest.skip(str(reason))
    since = begin(postgresql)
    watching = watch(cgroup, args=RAW)
    process = cgroup.spawn(argv, stdout=subprocess.DEVNULL)
    assert process.wait(60) == 0
    for event in check_log(postgresql, since, watching):
        assert (event["role"], event["remote"]) == ("client", f"127.0.0.1:{postgresql.port}")


POOLED = """
import sys, threading
import psycopg

def work(n):
    with psycopg.connect(sys.argv[1], prepare_threshold=None) as conn:
        for i in range(20):
            with conn.transaction():
                conn.execute("SELECT i FROM generate_series(1, %s) i", [10 * n + i]).fetchall()
                conn.execute(f"SELECT {n}")
        with conn.pipeline(), conn.transaction():
            for i in range(50):
                conn.execute("SELECT %s::int + 1", [i])
        for text, code in ("SELECT * FROM nowhere", "42P01"), ("SELECT 1 / %s::int", "22012"):
            try:
                conn.execute(text, [0] if "%s" in text else None)
            except psycopg.Error as error:
                assert error.sqlstate == code
                conn.rollback()
        conn.execute("SELECT repeat('x', 100) FROM generate_series(1, 400)").fetchall()

threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_pgbouncer(postgresql, watch):
    """Many clients share few connections to the server: what they sent is told of each leg, with its
    rows and errors. Its listening socket defers accept, so that it meets the clients' log-ins."""
    with running(Pgbouncer, postgresql) as bouncer:
        postgresql.ask("pgbench", "-q", "-i", "postgres")
        since = begin(postgresql)
        watching = watch(bouncer.cgroup, postgresql.cgroup, args=RAW)
        try:
            python = python_with("psycopg")
        except Missing as reason:
            pytest.skip(str(reason))
        subprocess.run([python, "-c", POOLED, f"host=127.0.0.1 port={bouncer.port} user=postgres "
                                              "dbname=postgres"], check=True, timeout=60)
        for mode in "simple", "extended":
            done = bouncer.run(f"{postgresql.bindir}/pgbench", "-h", "127.0.0.1", "-p", str(bouncer.port),
                               "-n", "-M", mode, "-c", "5", "-t", "20", "postgres")
            assert "actually processed: 100/100" in done
        legs, deadline = {}, time.monotonic() + 10
        while True:
            logged, logins = postgresql.statements(since)
            logged = collections.Counter(logged)
            events = watching.wait(0)
            legs["clients"] = [e for e in events if e["local"] == f"127.0.0.1:{bouncer.port}"]
            legs["bouncer"] = [e for e in events if e["remote"] == f"127.0.0.1:{postgresql.port}"]
            legs["server"] = [e for e in events if e["local"] == f"127.0.0.1:{postgresql.port}"]
            told = {name: collections.Counter(statements(leg)) for name, leg in legs.items()}
            # What it says itself for its clients, whose settings differ.
            told["clients"].update({one: n for one, n in logged.items() if one[0].startswith("SET ")})
            if all(leg == logged for leg in told.values()) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        for name, leg in told.items():
            assert leg == logged, (name, logged - leg, leg - logged)
        assert sum(logged.values()) > 6 * 20 * 4 + 2 * 100 * 7
        delivered = len(watching.stop())
        watching.check_sums(delivered=delivered)

    whole = {name: collections.Counter((e["query_text"], e["response_items"], e["status_text"], e["end"])
                                       for e in leg if not e["query_text"].startswith("SET ")
                                       and e["operation"] != "CONNECT") for name, leg in legs.items()}
    assert whole["clients"] == whole["bouncer"] == whole["server"]
    for name, leg in legs.items():
        assert {e["role"] for e in leg} == {"client" if name == "bouncer" else "server"}
        assert not any({"gap", "partial"} & set(e["flags"]) for e in leg)
        connects = [e["outcome"] for e in leg if e["operation"] == "CONNECT"]
        assert connects == ["ok"] * (6 + 2 * (5 + 1) if name == "clients" else logins)
    assert 1 <= logins <= 3


def test_rows(postgresql, watch):
    """As many rows as the server says, large ones too, and an error behind many."""
    watching = watch(postgresql.cgroup, args=PROTOCOLS)
    for n in (0, 1, 3, 1000, 100000):
        assert len(postgresql.sql(f"SELECT repeat('x', 20) FROM generate_series(1, {n})").split()) == n
    postgresql.sql("SELECT repeat('x', 5000000) FROM generate_series(1, 3)")
    postgresql.sql("SELECT 1 / (90000 - i) FROM generate_series(1, 100000) i", fails=True)
    watching.wait(2 * 7, timeout=20)
    events = [event for event in watching.stop() if event["operation"] == "SELECT"]
    assert [event["response_items"] for event in events] == [0, 1, 3, 1000, 100000, 3, -1]
    assert events[5]["response_bytes"] > 15000000
    assert events[6]["status_text"] == "22012"
    watching.check_sums(delivered=2 * 7)


def test_copied_rows(postgresql, watch):
    """Lines of a COPY, and a result in parts, as the server counts them."""
    watching = watch(postgresql.cgroup, args=PROTOCOLS)
    lines = postgresql.sql("COPY (SELECT generate_series(1, 100000)) TO STDOUT").split()
    assert len(lines) == 100000
    postgresql.sql("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 60000); FETCH 50000 FROM c; "
                   "FETCH ALL FROM c; COMMIT; SELECT generate_series(1, 7)")
    events = [event for event in watching.wait(2 * 2, timeout=20) if event["operation"] != "CONNECT"]
    assert [event["response_items"] for event in events] == [100000, 60007]
    assert "multi" in events[1]["flags"]
    watching.stop()
    watching.check_sums(delivered=2 * 2)


def test_asking_while_rows_come(postgresql, watch):
    """A client that speaks while it is answered: both answers are told, by their own ends."""

    def message(kind, body=b""):
        return kind + struct.pack("!I", 4 + len(body)) + body

    watching = watch(postgresql.cgroup, args=RAW)
    texts = [f"SELECT generate_series(1, {n})" for n in (200000, 70000, 3)]
    with socket.create_connection(("127.0.0.1", postgresql.port)) as client, \
            client.makefile("rb") as answers:
        client.sendall(message(b"", struct.pack("!I", 3 << 16) + b"user\0postgres\0\0"))
        asked, rows, complete = iter(texts), 0, []
        for _ in range(1 + len(texts)):
            kind = None
            while kind != b"Z":
                kind, length = struct.unpack("!cI", answers.read(5))
                body = answers.read(length - 4)
                rows += kind == b"D"
                if kind == b"C":
                    complete.append(body)
                # The log-in is over, or rows have begun to come.
                if kind == b"Z" and not complete or kind == b"D" and rows in (1000, 201000):
                    client.sendall(message(b"Q", next(asked).encode() + b"\0"))
        client.sendall(message(b"X"))
    assert complete == [b"SELECT 200000\0", b"SELECT 70000\0", b"SELECT 3\0"]
    events = [event for event in watching.wait(1 + 3, timeout=20) if event["operation"] == "SELECT"]
    assert [(event["query_text"], event["response_items"]) for event in events] == \
        list(zip(texts, (200000, 70000, 3)))
    assert not any({"gap", "partial", "inferred_end"} & set(event["flags"]) for event in events)
    watching.stop()
    watching.check_sums(delivered=1 + 3)


def test_long_statements(postgresql, watch):
    """16 MiB of text: its begin is told, and what follows is paired."""
    try:
        python = python_with("psycopg")
    except Missing as reason:
        pytest.skip(str(reason))
    watching = watch(postgresql.cgroup, args=PROTOCOLS)
    subprocess.run([python, "-c", f"""
import psycopg
with psycopg.connect("host=127.0.0.1 port={postgresql.port} user=postgres dbname=postgres",
                     autocommit=True) as conn:
    conn.execute("SET log_statement = none")
    for size in 1000, 5000, 70000, 16 << 20:
        assert conn.execute("SELECT length('" + "x" * size + "') AS a").fetchone() == (size,)
        assert conn.execute("SELECT length(%s) AS b", ["y" * size]).fetchone() == (size,)
    conn.execute("SELECT 1 AS c")
"""], check=True, timeout=60)
    watching.wait(1 + 1 + 4 * 2 + 1, timeout=20)
    events = [event for event in watching.stop() if event["operation"] == "SELECT"]
    assert [event["query_text"] for event in events] == [
        "SELECT length(?) AS a", "SELECT length(?) AS b", "SELECT length(?", "SELECT length(?) AS b",
        "SELECT length(?", "SELECT length(?) AS b", "SELECT length(?", "SELECT length(?) AS b",
        "SELECT ? AS c"]
    assert all(event["outcome"] == "ok" and event["response_items"] == 1 for event in events)
    assert events[6]["request_bytes"] > 16 << 20
    watching.check_sums(delivered=11)


def test_log_in(postgresql, watch):
    """A password that is wrong, and TLS: refused, or used from then on."""
    watching = watch(postgresql.cgroup, args=RAW)
    postgresql.sql("SELECT 1", "-U", "alice", env={"PGPASSWORD": "hunter3"}, fails=True)
    postgresql.sql("SELECT 2", "-U", "alice", env={"PGPASSWORD": "hunter2"})
    postgresql.sql("ALTER SYSTEM SET ssl = on")
    postgresql.sql("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 10
    while "on" not in postgresql.sql("SHOW ssl", env={"PGSSLMODE": "disable"}):
        assert time.monotonic() < deadline
    postgresql.sql("SELECT 3", env={"PGSSLMODE": "require"})
    postgresql.sql("ALTER SYSTEM RESET ssl")
    postgresql.sql("SELECT pg_reload_conf()", env={"PGSSLMODE": "disable"})
    postgresql.sql("SELECT 4", env={"PGSSLMODE": "disable"})
    time.sleep(1)
    events = watching.stop()
    failed, *good = [e for e in events if e["operation"] == "CONNECT" and e["end"] == "complete"]
    assert (failed["outcome"], failed["status_text"]) == ("client_error", "28P01")
    assert all(event["outcome"] == "ok" for event in good)
    encrypted = [event for event in events if event["end"] == "encrypted"]
    assert encrypted and all(event["operation"] == "CONNECT" for event in encrypted)
    texts = [event["query_text"] for event in events]
    assert "SELECT 2" in texts and "SELECT 4" in texts and "SELECT 3" not in texts
    assert "hunter" not in str(events)


def test_late(postgresql, watch):
    """A connection that was open before, with what it had prepared: the next statement is told."""
    try:
        python = python_with("psycopg")
    except Missing as reason:
        pytest.skip(str(reason))
    process = subprocess.Popen([python, "-c", f"""
import psycopg
conn = psycopg.connect("host=127.0.0.1 port={postgresql.port} user=postgres dbname=postgres",
                       autocommit=True)
for i in range(3):
    conn.execute("SELECT %s AS before", [1], prepare=True)
print(flush=True)
input()
for i in range(3):
    conn.execute("SELECT %s AS before", [1], prepare=True)
    conn.execute("SELECT 1 AS simple")
    conn.execute("SELECT %s AS new", [1], prepare=True)
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    watching = watch(postgresql.cgroup, args=PROTOCOLS)
    process.communicate("\n", timeout=20)
    events = watching.wait(9)
    assert [(e["query_text"], "partial" in e["flags"]) for e in events] == [
        ("", True), ("SELECT ? AS simple", False), ("SELECT ? AS new", False)] * 3
    assert all(e["outcome"] == "ok" and e["response_items"] == 1 for e in events)


def test_export(postgresql):
    """Statements by what they do to which tables, under the conventions' names."""
    port = free_port("127.0.0.1")
    process = subprocess.Popen([cli(), "export", "--cgroup", postgresql.cgroup.path, *PROTOCOLS,
                                "--listen", f"127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True)
    try:
        while "watching" not in process.stderr.readline():
            assert process.poll() is None
        for i in range(5):
            postgresql.sql(f"SELECT * FROM pg_class WHERE oid = {i}")
        deadline = time.monotonic() + 10
        while True:
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
            found = re.search(r'^db_server_operation_duration_seconds_count\{.*db_system_name='
                              r'"postgresql",db_operation_name="SELECT",db_collection_name='
                              r'"pg_class",db_namespace="postgres",db_query_summary='
                              r'"SELECT pg_class"\} (\d+)$', page, re.M)
            if found and found[1] == "5":
                break
            assert time.monotonic() < deadline, page
            time.sleep(0.2)
        assert not re.search(r"^http_server_requests_total\{", page, re.M)
    finally:
        process.terminate()
        process.wait()


SHOP = """
import http.server, sys
import psycopg
conn = psycopg.connect(sys.argv[2], autocommit=True)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        conn.execute("SELECT count(*) FROM pg_class WHERE relname <> %s", [self.path])
        conn.execute("SELECT 1 AS second")
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_links(postgresql, cgroup, watch):
    """A statement was made for the request that its sender was serving, and is the one that the
    database was sent."""
    try:
        process, port = start_shop(SHOP, cgroup, postgresql)
    except Missing as reason:
        pytest.skip(str(reason))
    deadline = time.monotonic() + 20
    while subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/0"]).returncode:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    watching = watch(cgroup, postgresql.cgroup, args=PROTOCOLS + ["--links"])
    for path in "/1", "/2", "/3":
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").read()
    events = watching.wait(3 * 5)
    requests = [event for event in events if event["protocol"] == "http1"]
    sent = [event for event in events if event["role"] == "client"]
    received = [event for event in events if event["role"] == "server" and event not in requests]
    assert [event["path"] for event in requests] == ["/1", "/2", "/3"]
    assert [(e["link"]["connection_id"], e["link"]["ordinal"]) for e in sent] == [
        (event["connection_id"], event["ordinal"]) for event in requests for _ in range(2)]
    assert [(e["link"]["connection_id"], e["link"]["ordinal"]) for e in received] == [
        (event["connection_id"], event["ordinal"]) for event in sent]
