# SPDX-License-Identifier: BSD-2-Clause
"""MySQL's own client for Python PORT: as with-pymysql.py."""
import json
import sys
import threading

import mysql.connector


lock = threading.Lock()


def tell(text, rows=None, error=""):
    with lock:
        print(json.dumps({"text": text, "rows": rows, "error": str(error)}))


def connect():
    return mysql.connector.connect(host="127.0.0.1", port=int(sys.argv[1]), user="alice",
                                   password="hunter2", database="shop", use_pure=True,
                                   ssl_disabled=True, autocommit=True)


def run(cursor, text, args=()):
    try:
        cursor.execute(text, args)
        rows = cursor.rowcount if not cursor.with_rows else len(cursor.fetchall())
    except mysql.connector.Error as error:
        tell(text, None, error.errno)
        return
    tell(text, rows)


conn = connect()
with conn.cursor() as cursor:
    run(cursor, "CREATE TABLE snakes (id int PRIMARY KEY, name text)")
    run(cursor, "INSERT INTO snakes SELECT seq, 'snake' FROM seq_1_to_400")
    run(cursor, "SELECT * FROM snakes")
    run(cursor, "SELECT * FROM nowhere")
    run(cursor, "INSERT INTO snakes VALUES (3, 'again')")
    # Rewritten to one statement with all rows.
    cursor.executemany("INSERT INTO snakes VALUES (%s, %s)", [(i, "many") for i in range(1000, 1200)])
    tell("INSERT INTO snakes VALUES " + ",".join(f"({i}, 'many')" for i in range(1000, 1200)), 200)
with conn.cursor(prepared=True) as cursor:
    for i in range(10):
        run(cursor, "SELECT name FROM snakes WHERE id > ?", (i * 100,))
    run(cursor, "SELECT name FROM nowhere WHERE id = ?", (1,))
    run(cursor, "INSERT INTO snakes VALUES (?, ?)", (1, "twice"))
    cursor.execute("INSERT INTO snakes VALUES (?, ?)", (2000, "x" * 5000))
    tell("INSERT INTO snakes VALUES (?, ?)", 1)  # its own count is 0
conn.start_transaction()
tell("START TRANSACTION", 0)
with conn.cursor() as cursor:
    run(cursor, "UPDATE snakes SET name = 'x' WHERE id < 11")
conn.rollback()
tell("ROLLBACK", 0)
conn.ping()


def other():
    conn = connect()
    with conn.cursor(prepared=True) as prepared, conn.cursor() as cursor:
        for i in range(25):
            run(prepared, "SELECT id FROM snakes WHERE id BETWEEN ? AND 40", (i,))
            run(cursor, f"SELECT id FROM snakes WHERE id <= {i}")
    conn.close()


threads = [threading.Thread(target=other) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with conn.cursor() as cursor:
    run(cursor, "DROP TABLE snakes")
conn.close()
