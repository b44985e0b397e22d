// SPDX-License-Identifier: BSD-2-Clause
// node.js HOST PORT PLAN LOG: the plan on one keep-alive agent. See ../README.md.
'use strict';
const fs = require('fs');
const http = require('http');

const [host, port, planPath, logPath] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const log = fs.openSync(logPath, 'w');

function exchange(method, target, length, framing) {
	return new Promise((resolve, reject) => {
		const headers = framing === 'length' ? { 'Content-Length': length } : {};
		const start = process.hrtime.bigint();
		const req = http.request({ host, port, method, path: target, agent, headers }, (res) => {
			let body = 0;
			res.on('data', (d) => { body += d.length; });
			res.on('end', () => {
				const end = process.hrtime.bigint();
				fs.writeSync(log, `{"method":"${method}","target":"${target}",` +
					`"status":${res.statusCode},"body":${body},` +
					`"start":${start},"end":${end}}\n`);
				resolve();
			});
		});
		req.on('error', reject);
		if (framing === 'chunked') {
			for (let i = 0; i < length; i += 1000)
				req.write('x'.repeat(1000));
			req.end();
		} else {
			req.end('x'.repeat(length));
		}
	});
}

(async () => {
	for (const line of fs.readFileSync(planPath, 'utf8').trim().split('\n')) {
		const [method, target, length, framing] = line.split(' ');
		await exchange(method, target, Number(length), framing);
	}
	agent.destroy();
})();
