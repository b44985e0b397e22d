// SPDX-License-Identifier: BSD-2-Clause
// http2.js PORT LOG: the contract of http2_servers.py on node's http2 module.
'use strict';
const fs = require('fs');
const http2 = require('http2');

const log = fs.openSync(process.argv[3], 'a');

function answer(req, read) {
	const [, what, arg] = req.url.split('?')[0].split('/');

	switch (what) {
	case 'hello': return [200, 'hello\n'];
	case 'bytes': return [200, 'z'.repeat(Number(arg))];
	case 'echo': return [200, String(read)];
	case 'status': return [Number(arg), 'status\n'];
	}
}

http2.createServer((req, res) => {
	let read = 0;

	req.on('data', (d) => { read += d.length; });
	req.on('end', () => {
		const [status, body] = answer(req, read);

		fs.writeSync(log, JSON.stringify([req.method, req.url, status]) + '\n');
		res.writeHead(status, { 'Content-Length': body.length });
		res.end(body);
	});
}).listen(Number(process.argv[2]), '127.0.0.1');
