// SPDX-License-Identifier: BSD-2-Clause
// node's mysql PORT: as with-pymysql.py.
const mysql = require("mysql");

const tell = (text, rows, error) =>
  console.log(JSON.stringify({text, rows, error: error ? String(error.errno) : ""}));

const conn = mysql.createConnection({host: "127.0.0.1", port: +process.argv[2], user: "alice",
                                     password: "hunter2", database: "shop"});
const run = (text) => conn.query(text, (error, result) =>
  tell(text, error ? null : Array.isArray(result) ? result.length : result.affectedRows, error));

conn.connect();
for (let i = 0; i < 30; i++)
  run(`SELECT seq FROM seq_1_to_${i + 1}`);
run("SELECT * FROM nowhere");
run("CREATE TABLE things (id int)");
run("INSERT INTO things VALUES (1), (2), (3)");
conn.ping();
conn.changeUser({user: "alice", password: "hunter2", database: "shop"});
run("UPDATE things SET id = 5 WHERE id < 3");
run("DROP TABLE things");
conn.end();
