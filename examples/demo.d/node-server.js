// SPDX-License-Identifier: BSD-2-Clause
// node-server.js DIR: an ordinary node service, a small JSON API. Writes its port to DIR/node.port
// and, when it is stopped, its access log to DIR/node.access.log.
"use strict";
const fs = require("fs");
const http = require("http");

const dir = process.argv[2];
const lines = [];

function json(res, status, value) {
	const body = JSON.stringify(value);
	res.writeHead(status, {
		"content-type": "application/json",
		"content-length": Buffer.byteLength(body),
	});
	res.end(body);
}

function stream(res) {
	let left = 5;
	res.writeHead(200, { "content-type": "text/plain" });
	const timer = setInterval(() => {
		res.write(`line ${left}\n`);
		if (--left === 0) {
			clearInterval(timer);
			res.end();
		}
	}, 10);
}

function answer(req, res, received) {
	const { pathname, searchParams } = new URL(req.url, "http://localhost");
	switch (pathname) {
	case "/api/orders":
		if (req.method === "POST")
			return json(res, 201, { id: 8, bytes: received });
		return json(res, 200, Array.from({ length: 20 }, (_, id) => ({ id, item: "tea" })));
	case "/api/orders/7":
		if (req.method === "DELETE")
			return res.writeHead(204).end();
		return json(res, 200, { id: 7, item: "tea", bytes: received });
	case "/api/search":
		return json(res, 200, { query: searchParams.get("q"), found: 0 });
	case "/api/upload":
		return json(res, 200, { bytes: received });
	case "/api/report":
		return setTimeout(() => json(res, 200, { total: 42 }), 400);
	case "/api/stream":
		return stream(res);
	case "/api/broken":
		return json(res, 500, { error: "broken" });
	case "/api/busy":
		return json(res, 503, { error: "busy" });
	}
	json(res, 404, { error: "not found" });
}

// Bytes of the connection that were counted for an earlier request.
function counted(socket) {
	socket.counted ??= { read: 0, written: 0 };
	return socket.counted;
}

const server = http.createServer((req, res) => {
	const start = process.hrtime.bigint();
	const socket = req.socket;
	let received = 0;

	req.on("data", (chunk) => (received += chunk.length));
	req.on("end", () => answer(req, res, received));
	res.on("close", () => {
		const before = counted(socket);
		lines.push(JSON.stringify({
			port: socket.port,
			method: req.method,
			target: req.url,
			// 0: the client left before it had an answer.
			status: res.writableFinished ? res.statusCode : 0,
			received: socket.bytesRead - before.read,
			sent: socket.bytesWritten - before.written,
			agent: req.headers["user-agent"] ?? "",
			seconds: Number(process.hrtime.bigint() - start) / 1e9,
		}));
		before.read = socket.bytesRead;
		before.written = socket.bytesWritten;
	});
});
// A closed socket does not know its peer any more.
server.on("connection", (socket) => (socket.port = socket.remotePort));
server.listen(0, "127.0.0.1", () => {
	fs.writeFileSync(`${dir}/node.port.new`, String(server.address().port));
	fs.renameSync(`${dir}/node.port.new`, `${dir}/node.port`);
});
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {
	fs.writeFileSync(`${dir}/node.access.log`, lines.map((line) => line + "\n").join(""));
	process.exit();
});
