// SPDX-License-Identifier: BSD-2-Clause
// shop.js DIR CART ORDERS CATALOG...: the shop's API. Asks the services that listen on these ports;
// the catalog has several instances. Writes its own port to DIR/shop.port.
"use strict";
const fs = require("fs");
const http = require("http");

const [dir, cart, orders, ...catalog] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });
let next = 0;

// One request to a service; the trace that the customer's request belongs to goes on.
function ask(port, from, method, path, body) {
	const headers = {};
	if (from.headers.traceparent)
		headers.traceparent = from.headers.traceparent;
	if (body !== undefined)
		headers["content-length"] = Buffer.byteLength(body);
	return new Promise((resolve, reject) => {
		const req = http.request({ port, host: "127.0.0.1", agent, method, path, headers }, res => {
			const parts = [];
			res.on("data", part => parts.push(part));
			res.on("end", () => resolve({ status: res.statusCode, body: Buffer.concat(parts) }));
			res.on("error", reject);
		});
		req.on("error", reject);
		req.end(body);
	});
}

// The instances in turn; one that does not answer is left out.
async function askCatalog(from, path) {
	const first = next++;
	for (let i = 0; i < catalog.length; i++) {
		try {
			return await ask(catalog[(first + i) % catalog.length], from, "GET", path);
		} catch (error) {
			continue;
		}
	}
	return { status: 503, body: Buffer.from("no catalog\n") };
}

async function answer(req, body) {
	const part = req.url.split("/"); // "", "api", what, id
	switch (part[2]) {
	case "products":
		return askCatalog(req, `/products${part[3] ? "/" + part[3] : ""}`);
	case "cart":
		return ask(cart, req, req.method, `/cart/${part[3]}`, req.method === "POST" ? body : undefined);
	case "orders": {
		const product = await askCatalog(req, `/products/${body}`);
		if (product.status !== 200)
			return product;
		return ask(orders, req, "POST", "/orders", product.body);
	}
	default:
		return { status: 404, body: Buffer.from("no such page\n") };
	}
}

const server = http.createServer((req, res) => {
	const parts = [];
	req.on("data", part => parts.push(part));
	req.on("end", async () => {
		let done;
		try {
			done = await answer(req, Buffer.concat(parts).toString());
		} catch (error) {
			done = { status: 502, body: Buffer.from(`${error.message}\n`) };
		}
		res.writeHead(done.status, { "content-length": done.body.length });
		res.end(done.body);
	});
});
server.keepAliveTimeout = 60000;
server.listen(0, "127.0.0.1", () => {
	fs.writeFileSync(`${dir}/shop.port.new`, `${server.address().port}\n`);
	fs.renameSync(`${dir}/shop.port.new`, `${dir}/shop.port`);
});
