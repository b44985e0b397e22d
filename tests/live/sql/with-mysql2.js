// SPDX-License-Identifier: BSD-2-Clause
// node's mysql2 PORT: as with-pymysql.py.
const mysql = require("mysql2/promise");

const tell = (text, rows, error) =>
  console.log(JSON.stringify({text, rows, error: error ? String(error.errno) : ""}));

const pool = mysql.createPool({host: "127.0.0.1", port: +process.argv[2], user: "alice",
                               password: "hunter2", database: "shop", connectionLimit: 4});

// query: as text; execute: prepared, and kept by its text.
const run = async (conn, how, text, args) => {
  try {
    const [result] = await conn[how](text, args);
    tell(text, Array.isArray(result) ? result.length : result.affectedRows);
  } catch (error) {
    tell(text, null, error);
  }
};

(async () => {
  const conn = await pool.getConnection();
  await run(conn, "query", "CREATE TABLE nodes (id int PRIMARY KEY, name text)");
  await run(conn, "query", "INSERT INTO nodes SELECT seq, 'node' FROM seq_1_to_400");
  await run(conn, "query", "SELECT * FROM nodes");
  for (let i = 0; i < 10; i++)
    await run(conn, "execute", "SELECT name FROM nodes WHERE id > ?", [40 * i]);
  await run(conn, "query", "SELECT * FROM nowhere");
  await run(conn, "execute", "SELECT * FROM nowhere WHERE id = ?", [1]);
  await run(conn, "execute", "INSERT INTO nodes VALUES (?, 'twice')", [1]);
  conn.unprepare("SELECT name FROM nodes WHERE id > ?");
  await run(conn, "execute", "SELECT name FROM nodes WHERE id > ?", [390]);
  await conn.beginTransaction();
  tell("START TRANSACTION", 0);
  await run(conn, "execute", "UPDATE nodes SET name = ? WHERE id < 11", ["x"]);
  await conn.rollback();
  tell("ROLLBACK", 0);
  conn.release();
  await Promise.all(Array.from({length: 100}, (_, i) =>
    run(pool, i % 2 ? "query" : "execute", i % 2 ? `SELECT id FROM nodes WHERE id <= ${i}`
      : "SELECT id FROM nodes WHERE id BETWEEN ? AND 60", i % 2 ? [] : [i])));
  await run(pool, "query", "DROP TABLE nodes");
  await pool.end();
})();
