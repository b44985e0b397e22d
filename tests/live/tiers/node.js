// SPDX-License-Identifier: BSD-2-Clause
// HOST PORT BACKEND-PORT: GET /x/ID is GET /y/ID at the backend, with the request's trace.
const http = require('http');

const [host, port, backend] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

http.createServer((request, response) => {
  const headers = {};
  const trace = request.headers.traceparent;
  if (trace) headers.traceparent = trace.slice(0, 36) + '00000000000000ff-01';
  const path = '/y/' + request.url.split('/').pop();
  http.get({ host: '127.0.0.1', port: backend, path, agent, headers }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => response.end(Buffer.concat(parts)));
  });
}).listen(Number(port), host);
