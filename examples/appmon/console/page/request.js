// SPDX-License-Identifier: BSD-2-Clause
"use strict";

const whatOf = (event) => [event.operation || "?", event.request_target || event.resource || ""].join(" ").trim();
const statusOf = (event) => event.status_text || (event.outcome || "").replaceAll("_", " ");
const isError = (event) => !["ok", "unknown"].includes(event.outcome) && !(event.role === "server" && event.outcome === "client_error");

const TLS_VERSIONS = { 0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2", 0x304: "TLS 1.3" };

/* Its parts in the order in which they came: [class, name, from, to], nanoseconds. */
function partsOf(event) {
	const { request_start_ns: a, request_end_ns: b, response_start_ns: c, response_end_ns: d, read_start_ns: r, read_end_ns: e } = event;
	const parts = [];
	const put = (kind, name, from, to) => { if (from && to && to >= from) parts.push([kind, name, from, to]); };
	if (r && e) {
		put("queue", "queue", a, r);
		put("transfer", "read", r, e);
		put("service", "service", e, c);
	} else {
		put("transfer", "request", a, b);
		put("service", "wait", b, c);
	}
	put("transfer", "response", c, d);
	return parts;
}

function requestTable(id, requests) {
	return table(id, [
		{ name: "request", text: true, name_like: true, value: (r) => whatOf(r.event), show: (r) => whatOf(r.event) },
		{ name: "status", text: true, value: (r) => statusOf(r.event), mark: (r) => isError(r.event) ? "bad" : "", show: (r) => statusOf(r.event) },
		{ name: "duration", first: id.endsWith("slow"), value: (r) => r.event.duration_ns, show: (r) => duration(r.event.duration_ns) },
		{ name: "time goes to", value: (r) => r.event.queue_ns, show: (r) => splitBar(partsOf(r.event).map(([kind, name, from, to]) => [kind, name, to - from])) },
		{ name: "at", first: !id.endsWith("slow"), value: (r) => Date.parse(r.event.time), show: (r) => clock(Date.parse(r.event.time)) },
		{ name: "peer", text: true, value: (r) => r.event.remote, show: (r) => r.event.remote || "–" },
		{ name: "process", text: true, value: (r) => r.event.comm || "", show: (r) => r.event.comm ? r.event.comm + " " + r.event.pid : "–" },
	], requests, (r) => link("request", String(r.number)), "No such request is kept of this time.");
}

/* One request, what it was made for, and what it caused. */
const requestPage = {
	title: "Request",

	open(root) {
		this.root = root;
		this.data = null;
	},

	async load() {
		/* It does not change; what it caused may still come. */
		this.data = await api("request", { number: route().name });
		this.show();
	},

	show() {
		const { data } = this;
		if (!data)
			return;
		const here = data.requests.find((r) => r.number === data.number).event;
		renew(this.root, el("div", { class: "row" }, el("h1", null, whatOf(here)),
			el("span", { class: "tag" + (isError(here) ? " bad" : "") }, statusOf(here)), el("span", null, duration(here.duration_ns)),
			el("a", { href: link("app", here.app, { role: here.role }) }, here.app),
			el("span", { class: "soft" }, here.role + ", " + moment(Date.parse(here.time)))),
			this.statement(here), this.tls(here), this.fall(), this.fields(here));
	},

	/* Those without a cause first, each with what it caused below it. */
	tree() {
		const { requests, causes } = this.data, rows = [];
		const begin = (r) => r.event.request_start_ns || r.event.response_start_ns || 0;
		const below = (number, depth) => {
			for (const r of requests.filter((x) => (causes[x.number] || 0) === number).sort((a, b) => begin(a) - begin(b))) {
				if (rows.some((row) => row.r === r))
					continue;
				rows.push({ r, depth });
				below(r.number, depth + 1);
			}
		};
		below(0, 0);
		/* One whose causes go round in a circle. */
		for (const r of requests)
			if (!rows.some((row) => row.r === r))
				rows.push({ r, depth: 0 });
		return rows;
	},

	fall() {
		const rows = this.tree(), all = rows.flatMap(({ r }) => partsOf(r.event));
		if (all.length === 0)
			return null;
		const from = Math.min(...all.map((p) => p[2])), to = Math.max(...all.map((p) => p[3]), from + 1);
		const grid = el("div", { class: "fall" });
		for (const { r, depth } of rows) {
			const track = el("div", { class: "track" });
			for (const [kind, name, a, b] of partsOf(r.event)) {
				const piece = el("i", { class: kind, title: name + " " + duration(b - a) });
				piece.style.left = 100 * (a - from) / (to - from) + "%";
				piece.style.width = 100 * (b - a) / (to - from) + "%";
				track.append(piece);
			}
			const name = el("a", { href: link("request", String(r.number)), class: r.number === this.data.number ? "here" : null,
				"data-key": "fall " + r.number, title: whatOf(r.event) },
				r.event.app + (r.event.role === "client" ? " sends " : " serves ") + whatOf(r.event));
			name.style.paddingLeft = depth * 1.1 + "rem";
			grid.append(el("div", { class: "line" }, name, track,
				el("span", { class: "long" + (isError(r.event) ? " bad" : "") }, duration(r.event.duration_ns))));
		}
		return el("section", { class: "card" }, el("h2", null, "Where the time went",
			el("span", { class: "legend" }, ["queue", "service", "transfer"].map((kind) => [el("i", { class: kind }), kind]))), grid,
			rows.length === 1 ? el("p", { class: "note" }, "No other request is known that it was made for, or that it caused.") : null);
	},

	/* Of a statement its text, and what came of it. */
	statement(event) {
		if (!event.query_text)
			return null;
		const list = el("dl", { class: "fields" });
		for (const [name, value] of [["system", event.system], ["database", event.resource_namespace], ["table", event.resource],
			["rows", event.response_items], ["error", event.status_text], ["message", event.message]])
			if (value !== undefined && value !== "")
				list.append(el("dt", null, name), el("dd", null, String(value)));
		return el("section", { class: "card", id: "statement" }, el("h2", null, "Statement"),
			el("pre", { class: "statement" }, event.query_text), list);
	},

	/* What is known of the encryption, by the names that people use. */
	tls(event) {
		if (!event.tls_version && !event.tls_server_name)
			return null;
		const list = el("dl", { class: "fields" });
		for (const [name, value] of [["server name", event.tls_server_name], ["version", TLS_VERSIONS[event.tls_version]],
			["application protocol", event.tls_alpn || (event.tls_alpn_offered ? "offered: " + event.tls_alpn_offered : "")],
			["cipher", event.tls_cipher && "0x" + event.tls_cipher.toString(16).padStart(4, "0")]])
			if (value)
				list.append(el("dt", null, name), el("dd", null, value));
		return el("section", { class: "card", id: "tls" }, el("h2", null, "TLS"), list);
	},

	/* All that the event has. */
	fields(event) {
		const list = el("dl", { class: "fields" });
		const put = (key, value) => {
			if (value !== null && typeof value === "object" && !Array.isArray(value)) {
				for (const [inner, v] of Object.entries(value))
					put(key + "." + inner, v);
				return;
			}
			const text = Array.isArray(value) ? value.join(", ") : String(value);
			if (text === "")
				return;
			const ns = /_ns$/.test(key) && !/(start|end)_ns$/.test(key);
			list.append(el("dt", null, key), el("dd", null, ns ? duration(value) + " (" + text + ")" : text));
		};
		for (const [key, value] of Object.entries(event))
			put(key, value);
		return el("section", { class: "card" }, el("h2", null, "All that was seen"), list);
	},
};
