// SPDX-License-Identifier: BSD-2-Clause
// 30 applications in three namespaces, and 60 edges by a random generator that begins with SEED.
(() => {
	let seed = SEED;
	const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
	const spaces = ["shop", "billing", "infra/data"];
	const words = ["checkout", "catalog", "cart", "payment", "ledger", "users", "search", "stock", "mailer", "gateway"];
	const names = Array.from({ length: 30 }, (_, i) => spaces[i % 3] + "/" + words[i % 10] + "-" + i);
	const edges = [], seen = new Set();
	while (edges.length < 60) {
		let a = Math.floor(random() * 30), b = Math.floor(random() * 30);
		/* Most ask onwards; some back, in a circle; few themselves. */
		if (random() < 0.93 && a > b)
			[a, b] = [b, a];
		if ((a === b && random() < 0.9) || seen.has(a + "," + b))
			continue;
		seen.add(a + "," + b);
		const requests = Math.floor(10 ** (1 + random() * 4));
		edges.push({ client: names[a], client_watched: true, server: names[b], server_watched: true, protocol: "http1",
			requests, errors: random() < 0.3 ? Math.floor(requests * random() * 0.2) : 0,
			p50_ns: 1e6, p95_ns: 10 ** (5 + random() * 4), p99_ns: 1e8 });
	}
	const applications = names.map((name) => ({ name, role: "server", requests: Math.floor(random() * 10000),
		errors: Math.floor(random() * 50), p95_ns: 10 ** (5 + random() * 4), active: 1 }));
	mapPage.load = async function () {
		this.data = { applications, edges, length_ms: 60000, dropped: 0 };
		this.show();
	};
	mapPage.zoom = null;
	mapPage.load();
})()
