# SPDX-License-Identifier: BSD-2-Clause
"""pymysql PORT FILE: prints for each statement its text, rows and error, as it was told."""
import json
import sys

import pymysql


def tell(text, rows=None, error=""):
    print(json.dumps({"text": text, "rows": rows, "error": str(error)}), flush=True)


def run(cursor, text):
    try:
        rows = cursor.execute(text)
    except pymysql.MySQLError as error:
        tell(text, None, error.args[0])
        return
    results = 1
    while cursor.nextset():
        results += 1
    tell(text, rows if results == 1 else None)


conn = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="alice", password="hunter2",
                       database="shop", autocommit=True, local_infile=True,
                       client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
with conn.cursor() as cursor:
    run(cursor, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    run(cursor, "INSERT INTO people VALUES (1, 'hunter2'), (2, 'bob'), (3, NULL), (4, '')")
    run(cursor, "INSERT INTO people SELECT seq, 'someone' FROM seq_10_to_1000")
    run(cursor, "SELECT * FROM people")
    run(cursor, "SELECT name FROM people WHERE id < 5")
    run(cursor, "SELECT * FROM people WHERE id = 77777")
    run(cursor, "SELECT 1; SELECT 2, 3; UPDATE people SET name = 'x' WHERE id < 10")
    run(cursor, "UPDATE people SET name = 'y' WHERE id < 3; SELECT 1")
    run(cursor, "SELECT 5 UNION SELECT 6")
    run(cursor, "SELECT * FROM nowhere")
    run(cursor, "SELEC 1")
    run(cursor, "INSERT INTO people VALUES (1, 'twice')")
    run(cursor, "SELECT id, (SELECT seq FROM seq_1_to_1000 WHERE seq >= 990 AND id > 500) FROM people")
    run(cursor, "CREATE PROCEDURE two() BEGIN SELECT 1; SELECT 2 UNION SELECT 3; END")
    run(cursor, "CALL two()")
    run(cursor, f"LOAD DATA LOCAL INFILE '{sys.argv[2]}' INTO TABLE people")
    run(cursor, "DROP PROCEDURE two")
    conn.ping()
    conn.select_db("shop")
    run(cursor, "SELECT REPEAT('x', 70000) FROM seq_1_to_10")
    run(cursor, "DROP TABLE people")
conn.close()
