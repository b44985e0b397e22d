// SPDX-License-Identifier: BSD-2-Clause
// node.js HOST PORT LOG: the contract of ../README.md on node's http module.
'use strict';
const fs = require('fs');
const http = require('http');

const [host, port, logPath] = process.argv.slice(2);
const log = fs.openSync(logPath, 'a');
const PATTERN = 'HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n';
const pattern = (n) => PATTERN.repeat(n / PATTERN.length + 1).slice(0, n);

function answer(req, res, read) {
	const [, what, arg] = req.url.split('?')[0].split('/');
	let sent = 0;
	const finish = (status, body) => {
		if (!(status === 204 || status === 304))
			res.setHeader('Content-Length', body.length);
		res.writeHead(status);
		if (req.method !== 'HEAD')
			sent += body.length;
		res.end(body);
	};

	res.on('close', () => fs.writeSync(log, JSON.stringify({
		method: req.method, target: req.url, status: res.statusCode, sent, read,
		port: req.socket.remotePort ?? req.savedPort, pid: process.pid, tid: process.pid,
	}) + '\n'));
	if (what === 'hello') {
		finish(200, 'hello\n');
	} else if (what === 'bytes') {
		finish(200, pattern(Number(arg)));
	} else if (what === 'chunked') {
		const body = pattern(Number(arg));
		const step = Math.ceil(body.length / 4);
		if (req.method !== 'HEAD')
			sent = body.length;
		for (let i = 0; i < body.length; i += step)
			res.write(body.slice(i, i + step));
		res.end();
	} else if (what === 'echo') {
		finish(200, String(read));
	} else if (what === 'status') {
		finish(Number(arg), arg === '204' || arg === '304' ? '' : 'status\n');
	} else if (what === 'slow') {
		setTimeout(() => finish(200, 'slow\n'), Number(arg));
	} else {
		finish(404, 'no\n');
	}
}

http.createServer({ keepAliveTimeout: 60000 }, (req, res) => {
	let read = 0;
	req.savedPort = req.socket.remotePort;
	req.on('data', (d) => { read += d.length; });
	req.on('end', () => answer(req, res, read));
}).listen(Number(port), host);
