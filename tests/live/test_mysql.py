# SPDX-License-Identifier: BSD-2-Clause
"""MariaDB: what its clients sent and were told, against the server's general log, its
performance_schema, and what the clients say themselves."""
import collections
import json
import re
import shutil
import subprocess
import time

import pytest

from databases import MYSQL_CLIENTS, Mariadb, client, python_with, running
from programs import Missing

PROTOCOLS = ["--protocols", "http1,postgresql,mysql"]
RAW = PROTOCOLS + ["--query-text"]


@pytest.fixture(scope="module")
def mariadb():
    with running(Mariadb) as server:
        yield server


def as_prepared(told, logged):
    """What the log has with its values, with marks as it was prepared: the longest that fits."""
    marked = {text: re.compile(re.escape(text).replace(r"\?", ".*"), re.S)
              for text in sorted(told, key=len, reverse=True) if "?" in text}
    found = collections.Counter()
    for text, count in logged.items():
        text = text if text in told else next((t for t, p in marked.items() if p.fullmatch(text)), text)
        found[text] += count
    return found


def check_log(mariadb, watching, refused=(), timeout=10):
    """Each statement that the server has logged has its event, and each event its statement; refused are
    those that it would not prepare, of which it logs nothing. (It trims what it logs.)"""
    logged = collections.Counter(text for command, text in mariadb.log()
                                 if command in ("Query", "Execute"))
    logged.update(refused)
    deadline = time.monotonic() + timeout
    while True:
        told = collections.Counter(e["query_text"].strip() for e in watching.wait(0) if e["query_text"])
        sent = as_prepared(told, logged)
        if told == sent:
            return watching.wait(0)
        assert time.monotonic() < deadline, (f"not told: {sent - told}; not logged: "
                                             f"{told - sent}")
        time.sleep(0.1)


def check_rows(mariadb, events):
    """Rows and errors are those that performance_schema has. Of several statements in one, and of a
    procedure's, no rows are told."""
    several = [e["query_text"] for e in events if "multi" in e["flags"]]
    parts = sum(1 if text.startswith("CALL") else text.count("; ") + 1 for text in several)
    told = collections.Counter((None, e["status_text"]) if e["status_text"] else (e["response_items"], "")
                               for e in events if e["operation"] != "CONNECT" and
                               (e["status_text"] or e["response_items"] >= 0))
    deadline = time.monotonic() + 5
    while True:
        counted = collections.Counter(mariadb.statements())
        if not told - counted and (counted - told).total() == parts:
            return
        assert time.monotonic() < deadline, (told - counted, counted - told, several)
        time.sleep(0.1)


@pytest.mark.parametrize("name", MYSQL_CLIENTS)
def test_clients(mariadb, watch, tmp_path, name):
    """Texts, rows and errors, as both ends have them."""
    infile = tmp_path / "infile"
    infile.write_text("".join(f"{i}\tsomeone\n" for i in range(2000, 12000)))
    try:
        argv = client(name, mariadb, infile)
    except Missing as reason:
        pytest.skip(str(reason))
    mariadb.begin()
    watching = watch(mariadb.cgroup, args=RAW)
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) > 15
    events = check_log(mariadb, watching, [one["text"] for one in said
                                           if one["error"] == "1146" and "?" in one["text"]])
    told = collections.Counter()
    for event in events:
        told[event["query_text"], None, event["status_text"]] += 1
        if not event["status_text"]:
            told[event["query_text"], event["response_items"], ""] += 1
        assert "gap" not in event["flags"] and event["end"] == "complete"
        assert (event["outcome"] == "ok") == (event["status_text"] == "")
        assert (event["system"], event["resource_namespace"]) == ("mariadb", "shop") \
            or event["operation"] == "CONNECT"
    # How many columns or parameters a statement has is no number of rows.
    counts = collections.Counter(
        (one["text"], None if one["text"].startswith(("CREATE", "DROP", "CALL")) else one["rows"],
         one["error"]) for one in said)
    assert counts <= told, counts - told
    check_rows(mariadb, events)
    if name == "pymysql":
        load, = [e for e in events if e["operation"] == "LOAD"]
        assert load["request_bytes"] > infile.stat().st_size
    delivered = len(watching.stop())
    watching.check_sums(delivered=delivered)


def test_both_ends(mariadb, cgroup, watch):
    """The client's socket says what the server's says, also of batches that do not wait for answers."""
    try:
        argv = client("jdbc-prepared", mariadb)
    except Missing as reason:
        pytest.skip(str(reason))
    mariadb.begin()
    watching = watch(cgroup, args=RAW)
    process = cgroup.spawn(argv, stdout=subprocess.DEVNULL)
    assert process.wait(60) == 0
    events = check_log(mariadb, watching)
    for event in events:
        assert (event["role"], event["remote"]) == ("client", f"127.0.0.1:{mariadb.port}")
        assert event["end"] == "complete"
    assert sum("pipelined" in event["flags"] for event in events) > 300


def test_sysbench(mariadb, watch):
    """Point selects, prepared and not: as many as the tool and the server count."""
    if not shutil.which("sysbench"):
        pytest.skip("sysbench is not installed")

    def bench(script, *args):
        return mariadb.run("sysbench", script, "--db-driver=mysql", "--mysql-host=127.0.0.1",
                           f"--mysql-port={mariadb.port}", "--mysql-user=alice",
                           "--mysql-password=hunter2", "--mysql-db=shop", "--tables=1",
                           "--table-size=1000", *args)

    bench("oltp_point_select", "prepare")
    for mode, count in (("auto", 1500), ("disable", 1500)):
        watching = watch(mariadb.cgroup, args=PROTOCOLS)
        before = int(mariadb.sql("SHOW GLOBAL STATUS LIKE 'Com_select'").split()[1])
        said = bench("oltp_point_select", "--threads=3", f"--events={count}", "--time=0",
                     f"--db-ps-mode={mode}", "run")
        after = int(mariadb.sql("SHOW GLOBAL STATUS LIKE 'Com_select'").split()[1])
        assert after - before == count == int(re.search(r"read:\s+(\d+)", said)[1])
        events = watching.wait(count, timeout=20)
        time.sleep(0.5)
        events = [event for event in watching.stop() if event["operation"] == "SELECT"]
        assert len(events) == count
        for event in events:
            assert event["query_text"] == "SELECT c FROM sbtest1 WHERE id=?"
            assert event["query_summary"] == "SELECT sbtest1"
            assert (event["outcome"], event["end"], event["response_items"]) == ("ok", "complete", 1)
        watching.check_sums(delivered=watching.stats["delivered"])


def test_prepared_at_once(mariadb, watch):
    """Statements that are prepared without waiting for each other's answer, and executed later."""
    try:
        python = python_with("pymysql")
    except Missing as reason:
        pytest.skip(str(reason))
    mariadb.begin()
    watching = watch(mariadb.cgroup, args=RAW)
    many = "SELECT " + ", ".join(f"{i} AS c{i}" for i in range(300)) + " FROM seq_1_to_5 WHERE seq < ?"
    done = subprocess.run([python, "-c", f"""
import struct
import pymysql
conn = pymysql.connect(host="127.0.0.1", port={mariadb.port}, user="alice", password="hunter2",
                       database="shop")

def send(packet):
    conn._next_seq_id = 0
    conn.write_packet(packet)

def answer(*parts):
    conn._next_seq_id = 1
    first = conn._read_packet().get_all_data()
    for part in parts:
        for _ in range(part(first)):
            conn._read_packet()
    return first

def behind(first, at):
    n = struct.unpack_from("<H", first, at)[0]
    return n and n + 1

texts = "{many}", "SELECT seq AS b FROM seq_1_to_9 WHERE seq > ?", "SELECT COUNT(?) AS c"
for text in texts:
    send(b"\\x16" + text.encode())
ids = []
for text in texts:
    ids.append(struct.unpack_from("<I", answer(lambda f: behind(f, 7), lambda f: behind(f, 5)), 1)[0])
for id in ids:
    send(b"\\x17" + struct.pack("<IBI", id, 0, 1) + b"\\0\\1\\x03\\0" + struct.pack("<I", 4))
    rows, eofs = 0, 0
    conn._next_seq_id = 1
    conn._read_packet()
    while eofs < 2:
        eof = conn._read_packet().is_eof_packet()
        rows += eofs and not eof
        eofs += eof
    print(rows)
"""], check=True, timeout=60, stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == ["3", "5", "1"]
    events = [event for event in check_log(mariadb, watching) if event["operation"] == "SELECT"]
    assert [(event["query_text"][-6:], event["response_items"]) for event in events] == \
        [("eq < ?", 3), ("eq > ?", 5), (") AS c", 1)]
    watching.stop()
    watching.check_sums(delivered=watching.stats["delivered"])


def test_rows_and_long_statements(mariadb, watch):
    """As many rows as the server says, large ones too; 16 MiB of text, in several packets."""
    try:
        python = python_with("pymysql")
    except Missing as reason:
        pytest.skip(str(reason))
    watching = watch(mariadb.cgroup, args=PROTOCOLS)
    subprocess.run([python, "-c", f"""
import pymysql
conn = pymysql.connect(host="127.0.0.1", port={mariadb.port}, user="alice", password="hunter2",
                       database="shop")
with conn.cursor() as cursor:
    for n in 0, 1, 3, 1000, 100000:
        assert cursor.execute(f"SELECT seq, 'some text' FROM seq_1_to_100000 LIMIT {{n}}") == n
    cursor.execute("SELECT REPEAT('x', 20000000) FROM seq_1_to_2")
    for size in 1000, 5000, 70000, 16 << 20, (16 << 20) - 20, 40 << 20:
        cursor.execute("SELECT LENGTH('" + "x" * size + "') AS a")
        assert cursor.fetchone() == (size,)
    cursor.execute("SELECT 1 AS c")
"""], check=True, timeout=60)
    watching.wait(2 + 6 + 6 + 1, timeout=20)
    events = [event for event in watching.stop() if event["operation"] == "SELECT"]
    assert [event["response_items"] for event in events] == [0, 1, 3, 1000, 100000, 2] + [1] * 7
    assert events[5]["response_bytes"] > 40000000
    assert events[11]["request_bytes"] > 40 << 20
    assert [event["query_text"] for event in events[6:8]] == ["SELECT LENGTH(?) AS a",
                                                              "SELECT LENGTH(?"]
    assert events[12]["query_text"] == "SELECT ? AS c"
    watching.check_sums(delivered=watching.stats["delivered"])


def test_log_in(mariadb, watch):
    """A password that is wrong, a database that is not there, and TLS."""
    watching = watch(mariadb.cgroup, args=RAW)
    mariadb.ask("-ualice", "-phunter3", "-e", "SELECT 1", "shop", fails=True)
    mariadb.ask("-ualice", "-phunter2", "-e", "SELECT 2", "nowhere", fails=True)
    mariadb.ask("-ualice", "-phunter2", "-e", "SELECT 3", "shop")
    # A certificate that nobody has signed, which only one of the two minds.
    mariadb.ask("-ualice", "-phunter2", "--ssl", "--ssl-verify-server-cert", "-e", "SELECT 4", "shop",
                fails=True)
    said = mariadb.ask("-ualice", "-phunter2", "--ssl", "-e", "SHOW STATUS LIKE 'Ssl_cipher'", "shop")
    assert len(said.split()) == 2
    mariadb.ask("-ualice", "-phunter2", "-e", "SELECT 5", "shop")
    time.sleep(0.5)
    events = watching.stop()
    assert [(e["outcome"], e["status_text"], e["end"]) for e in events if e["operation"] == "CONNECT"] == [
        ("client_error", "1045", "complete"), ("client_error", "1044", "complete"), ("ok", "", "complete"),
        ("ok", "", "encrypted"), ("ok", "", "encrypted"), ("ok", "", "complete")]
    assert [e["query_text"] for e in events if e["query_text"]] == ["SELECT 3", "SELECT 5"]
    assert "hunter" not in str(events).replace("hunter2'@'", "")


def test_late(mariadb, watch):
    """A connection that was open before: the next statement is told."""
    try:
        python = python_with("pymysql")
    except Missing as reason:
        pytest.skip(str(reason))
    process = subprocess.Popen([python, "-c", f"""
import pymysql
conn = pymysql.connect(host="127.0.0.1", port={mariadb.port}, user="alice", password="hunter2",
                       database="shop")
print(flush=True)
input()
with conn.cursor() as cursor:
    for i in range(5):
        cursor.execute("SELECT 1 AS simple")
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    watching = watch(mariadb.cgroup, args=PROTOCOLS)
    process.communicate("\n", timeout=20)
    events = watching.wait(5)
    assert [(e["query_text"], e["outcome"], e["response_items"]) for e in events] == [
        ("SELECT ? AS simple", "ok", 1)] * 5
