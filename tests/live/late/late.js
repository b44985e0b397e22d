// SPDX-License-Identifier: BSD-2-Clause
// late.js URL: GET of each path that a line of standard input names, one after the other, on one
// connection of HTTP/2. Prints the status of each.
"use strict";
const session = require("http2").connect(process.argv[2]);
require("readline").createInterface({ input: process.stdin })
  .on("line", (path) => { lines.push(path); next(); })
  .on("close", () => { over = true; next(); });
const lines = [];
let busy = false, over = false;

function next() {
  if (busy || !lines.length) {
    if (!busy && over)
      session.close();
    return;
  }
  busy = true;
  const request = session.request({ ":path": lines.shift() });
  request.on("response", (fields) => { console.log(fields[":status"]); });
  request.on("close", () => { busy = false; next(); });
  request.resume();
  request.end();
}
