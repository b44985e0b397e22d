# SPDX-License-Identifier: BSD-2-Clause
"""asyncpg PORT: as with-psycopg.py."""
import asyncio
import json
import sys

import asyncpg


def tell(text, rows=None, error=""):
    print(json.dumps({"text": text, "rows": rows, "error": error}), flush=True)


async def fetch(conn, text, *args):
    try:
        tell(text, len(await conn.fetch(text, *args)))
    except asyncpg.PostgresError as error:
        tell(text, None, error.sqlstate)


async def main():
    conn = await asyncpg.connect(host="127.0.0.1", port=int(sys.argv[1]), user="postgres",
                                 database="postgres")
    await conn.execute("CREATE TABLE things (id int, name text)")
    await conn.executemany("INSERT INTO things VALUES ($1, $2)",
                           [(i, "x" * i) for i in range(200)])
    tell("INSERT INTO things VALUES ($1, $2)", 1)
    await fetch(conn, "SELECT * FROM things WHERE id < $1", 10)
    await fetch(conn, "SELECT * FROM things WHERE id < $1", 20)
    await fetch(conn, "SELECT * FROM nowhere")
    await fetch(conn, "SELECT 1 / ($1 - 5)", 5)
    async with conn.transaction():
        n = 0
        async for _ in conn.cursor("SELECT id FROM things", prefetch=50):
            n += 1
        assert n == 200
    await conn.copy_records_to_table("things", records=[(i, "y") for i in range(1000)])
    await conn.execute("DROP TABLE things")
    await conn.close()
    pool = await asyncpg.create_pool(host="127.0.0.1", port=int(sys.argv[1]), user="postgres",
                                     database="postgres", min_size=3, max_size=3)

    async def some():
        async with pool.acquire() as conn:
            for i in range(20):
                await fetch(conn, "SELECT generate_series(1, $1::int)", i)
    await asyncio.gather(*[some() for _ in range(3)])
    await pool.close()

asyncio.run(main())
