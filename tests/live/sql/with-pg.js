// SPDX-License-Identifier: BSD-2-Clause
// node's pg PORT: as with-psycopg.py.
const { Client } = require("pg");

const tell = (text, rows, error) => console.log(JSON.stringify({text, rows, error: error || ""}));

(async () => {
  const client = new Client({host: "127.0.0.1", port: +process.argv[2], user: "postgres",
                             database: "postgres"});
  await client.connect();
  const run = async (query) => {
    try {
      const result = await client.query(query);
      tell(query.text || query, Array.isArray(result) ? null : result.rowCount);
    } catch (error) {
      tell(query.text || query, null, error.code);
    }
  };
  await run("SELECT 1");
  await run({text: "SELECT generate_series(1, $1::int)", values: [30]});
  for (let i = 0; i < 4; i++)
    await run({name: "named", text: "SELECT generate_series(0, $1::int)", values: [i]});
  await run("SELECT * FROM nowhere");
  await run({text: "SELECT $1::int / 0", values: [1]});
  await Promise.all(Array.from({length: 30}, (_, i) => run(`SELECT ${i}`)));
  await run("SELECT 1; SELECT 2");
  await client.end();
})();
