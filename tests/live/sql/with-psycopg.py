# SPDX-License-Identifier: BSD-2-Clause
"""psycopg 3 PORT: prints for each statement its text, rows and error, as it was told."""
import json
import sys
import threading
import time

import psycopg

conninfo = f"host=127.0.0.1 port={sys.argv[1]} dbname=postgres user=postgres"


def tell(text, rows=None, error=""):
    print(json.dumps({"text": text, "rows": rows, "error": error}), flush=True)


def run(conn, text, args=None, **how):
    try:
        cursor = conn.execute(text, args, **how)
    except psycopg.Error as error:
        tell(text.replace("%s", "$1"), None, error.sqlstate)
        return
    counted = cursor.rowcount >= 0 and not cursor.nextset()
    tell(text.replace("%s", "$1"), cursor.rowcount if counted else None)


with psycopg.connect(conninfo, autocommit=True) as conn:
    run(conn, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    run(conn, "INSERT INTO people SELECT i, 'person ' || i FROM generate_series(1, 50) i")
    run(conn, "SELECT * FROM people WHERE id < 11")
    run(conn, "SELECT name FROM people WHERE id = %s", [7])
    for i in range(8):  # prepared behind the fifth
        run(conn, "SELECT id FROM people WHERE id > %s", [i])
    run(conn, "SELECT name FROM people WHERE id > %s", [40], binary=True)
    run(conn, "SELECT 1; SELECT 2; SELECT 3")
    run(conn, "UPDATE people SET name = %s", ["hunter2"])
    # Errors
    run(conn, "SELECT * FROM nowhere WHERE a = 'hunter2'")
    run(conn, "SELEC 1")
    run(conn, "INSERT INTO people VALUES (%s)", [1])
    run(conn, "SELECT 1 / (id - 40) FROM people ORDER BY id")  # behind many rows
    with conn.cursor() as cursor:
        with cursor.copy("COPY people FROM STDIN") as copy:
            for i in range(100, 3100):
                copy.write_row((i, "x" * 50))
        tell("COPY people FROM STDIN", 3000)
        with cursor.copy("COPY people TO STDOUT") as copy:
            n = sum(len(bytes(data).splitlines()) for data in copy)
        tell("COPY people TO STDOUT", n)
        try:
            with cursor.copy("COPY people FROM STDIN") as copy:
                copy.write("no number\tx\n")
        except psycopg.Error as error:
            tell("COPY people FROM STDIN", None, error.sqlstate)
    with conn.transaction(), conn.cursor("c") as cursor:
        cursor.itersize = 1000
        cursor.execute("SELECT * FROM people")
        n = sum(1 for _ in cursor)
    # Cancelled
    def cancel():
        time.sleep(0.3)
        conn.cancel()
    thread = threading.Thread(target=cancel)
    thread.start()
    run(conn, "SELECT pg_sleep(20)")
    thread.join()
    with conn.pipeline():
        for i in range(100):
            conn.execute("SELECT name FROM people WHERE id = %s", [i])
    try:
        with conn.pipeline():
            for i in range(4):
                conn.execute(f"SELECT 1 / %s::int AS a{i}", [2 - i])
    except psycopg.Error:
        pass
    run(conn, "DELETE FROM people WHERE id < %s", [20])
    run(conn, "NOTIFY channel, 'hunter2'")
    run(conn, "DO $$ BEGIN RAISE NOTICE 'hunter2'; END $$")
    run(conn, "")
    run(conn, "DROP TABLE people")
