// SPDX-License-Identifier: BSD-2-Clause
"use strict";

/* The list of all applications. */
const appsPage = {
	title: "Applications",

	open(root) {
		this.root = root;
	},

	async load() {
		this.data = await api("overview", period());
		this.show();
	},

	show() {
		if (!this.data)
			return;
		const search = byId("search").value.toLowerCase();
		const rows = this.data.applications.filter((a) => a.name.toLowerCase().includes(search));
		renew(this.root, el("div", { class: "card" }, table("apps", [
			{ name: "application", text: true, name_like: true, value: (r) => r.name, show: (r) => r.name },
			...figureColumns(() => this.data.length_ms),
			{ name: "role", text: true, value: (r) => r.role, show: (r) => r.role },
			{ name: "in progress", value: (r) => r.active, show: (r) => r.active ?? "–" },
		], rows, (r) => link("app", r.name, { role: r.role }), "No application with this name had a request in this time.")));
	},
};

/* What was asked for: method and route; of gRPC, databases and Redis the operation, and more only where the
 * summary of a statement says more. */
const interfaceOf = (r) => !r.system ? r.operation + " " + r.route
	: r.route.startsWith(r.operation) ? r.route : (r.operation + " " + r.route).trim();
/* Each reason once; "": it is known of all. */
const whyNoMemory = (instances) => {
	const reasons = [...new Set(instances.map((i) => i.memory_unknown).filter((reason) => reason))];
	return reasons.length === 0 ? "" : "Memory is not known" +
		(instances.some((i) => !i.memory_unknown) ? " of all: " : ": ") + reasons.join("; ");
};
const systemOf = (r) => r.system || "http";
/* Only where there is another one than HTTP. */
const systemColumn = (rows) => rows.some((r) => r.system) ? [{ name: "system", text: true, value: systemOf, show: systemOf }] : [];

/* One application in one role. */
const appPage = {
	title: "Application",

	open(root) {
		this.root = root;
		this.data = this.requests = null;
		this.kind = this.kind || "failed";
		renew(root, el("p", { class: "note" }, "Loading …"));
	},

	async load() {
		const { name, args } = route(), role = args.get("role") || "server";
		const [data, requests] = await Promise.all([
			api("application", { name, role, ...period() }),
			api("requests", { application: name, role, kind: this.kind, ...period() })]);
		/* It speaks in its other role only. */
		if (!args.has("role") && data.roles.length > 0 && !data.roles.includes(role)) {
			setArgs({ role: data.roles[0] }, true);
			return this.load();
		}
		this.data = data;
		this.requests = requests;
		this.show();
	},

	show() {
		if (!this.data)
			return;
		const { data } = this, ms = data.length_ms;
		const wanted = Number(route().args.get("range") || DEFAULT_RANGE) * 1000, part = route().args.has("from");
		data.shown_to_ms = part && route().args.has("to") ? Number(route().args.get("to")) * 1000 : data.to_ms || Date.now();
		/* A console that is younger than the time that is asked for shows what there is. */
		data.shown_from_ms = part ? Number(route().args.get("from")) * 1000
			: Math.max(data.shown_to_ms - wanted, Math.min(data.from_ms || 0, data.shown_to_ms - 60000));
		const wide = this.root.clientWidth - 36;
		data.width_wide = Math.max(260, wide);
		data.width = matchMedia("(max-width: 760px)").matches ? data.width_wide : Math.max(260, (wide - 50) / 2);
		renew(this.root, this.head(), this.tiles(ms), this.charts(), this.interfaces(ms), this.errors(), this.requestList(),
			this.instances(ms), this.peers(ms));
	},

	head() {
		const { data } = this;
		return el("div", { class: "row" }, el("h1", null, data.name),
			el("span", { class: "tabs", role: "group", "aria-label": "Role" }, data.roles.map((role) => el("button", {
				type: "button", "data-key": "role " + role, "aria-pressed": String(role === data.role), onclick: () => setArgs({ role }) },
				role === "server" ? "requests it serves" : "requests it sends"))),
			el("a", { href: link("map", "", { focus: data.name }) }, "on the map"),
			el("span", { class: "soft" }, clock(data.shown_from_ms) + " – " + clock(data.shown_to_ms)));
	},

	tiles(ms) {
		const f = this.data.total, sum = (key) => this.data.instances.reduce((all, i) => all + (i[key] || 0), 0);
		const cpu = this.data.instances.filter((i) => i.cpu_ns !== undefined).reduce((all, i) => all + i.cpu_ns / i.elapsed_ns, 0);
		const tile = (name, value, mark, title) => el("div", { class: "tile", title }, el("b", { class: mark }, value), el("span", null, name));
		return el("div", { class: "tiles" }, tile("requests", f.requests), tile("rate", rate(f.requests, ms)),
			tile("errors", percent(f.errors, f.requests), failsMuch(f) ? "bad" : null), tile("p50", duration(f.p50_ns)), tile("p95", duration(f.p95_ns)),
			tile("p99", duration(f.p99_ns)), tile("in progress", f.active ?? "–"),
			tile("CPU", cpu > 0 ? round(100 * cpu) + "%" : "–"), tile("memory", sum("memory_bytes") ? bytes(sum("memory_bytes")) : "–", "", whyNoMemory(this.data.instances)));
	},

	charts() {
		const { data } = this, ms = (step) => step.to_ms - step.from_ms;
		const ratio = (value) => round(value) + "/s";
		return el("div", { class: "charts" },
			lineChart("Rate", data, [{ name: "requests", kind: "rate", value: (s) => perSecond(s.requests, ms(s)) }], ratio),
			lineChart("Errors", data, [{ name: "errors", kind: "errors", value: (s) => perSecond(s.errors, ms(s)) }], ratio),
			lineChart("Latency", data, ["p50", "p95", "p99"].map((p) => ({ name: p, kind: p, value: (s) => s[p + "_ns"] })), duration),
			lineChart("In progress", data, [{ name: "requests", kind: "active", value: (s) => s.active }], round),
			heatChart("How long requests took", data));
	},

	interfaces(ms) {
		const search = byId("search").value.toLowerCase(), all = this.data.total.time_ns;
		const rows = this.data.interfaces.filter((r) => (systemOf(r) + " " + interfaceOf(r)).toLowerCase().includes(search));
		return el("section", { class: "card" }, el("h2", null, "Interfaces",
			el("span", { class: "legend" }, [["queue", "queue"], ["service", "service"], ["transfer", "transfer"]].map(([kind, name]) => [el("i", { class: kind }), name]))),
			table("interfaces", [
				{ name: "interface", text: true, name_like: true, value: interfaceOf, show: interfaceOf },
				...figureColumns(() => ms),
				...systemColumn(rows),
				{ name: "time", value: (r) => r.time_ns, show: (r) => duration(r.time_ns) },
				{ name: "share of time", value: (r) => r.time_ns, show: (r) => r.time_ns === undefined ? "–" : percent(r.time_ns, all) },
				{ name: "time goes to", value: (r) => r.queue_ns ?? 0, show: (r) => splitBar(splitOf(r)) },
				{ name: "queue", value: (r) => r.queue_ns, show: (r) => duration(r.queue_ns) },
				{ name: "service", value: (r) => r.service_ns ?? r.wait_ns, show: (r) => duration(r.service_ns ?? r.wait_ns) },
			], rows));
	},

	errors() {
		if (this.data.errors.length === 0)
			return null;
		return el("section", { class: "card" }, el("h2", null, "Errors"), table("errors", [
			{ name: "status", text: true, value: (r) => r.status, show: (r) => r.status || "–" },
			{ name: "count", first: true, value: (r) => r.errors, show: (r) => r.errors },
			{ name: "outcome", text: true, value: (r) => r.outcome, show: (r) => r.outcome.replaceAll("_", " ") },
			...systemColumn(this.data.errors),
			{ name: "interface", text: true, name_like: true, value: interfaceOf, show: interfaceOf },
			{ name: "p95", value: (r) => r.p95_ns, show: (r) => duration(r.p95_ns) },
		], this.data.errors));
	},

	requestList() {
		const kinds = [["failed", "failed"], ["slow", "slowest"], ["latest", "latest"]];
		const choose = (kind) => async () => {
			this.kind = kind;
			await this.load();
		};
		return el("section", { class: "card", id: "requests" }, el("div", { class: "row" }, el("h2", null, "Requests"),
			el("span", { class: "tabs", role: "group", "aria-label": "Which requests" }, kinds.map(([kind, name]) => el("button", {
				type: "button", "data-key": "kind " + kind, "aria-pressed": String(kind === this.kind), onclick: choose(kind) }, name)))),
			requestTable("requests-" + this.kind, this.requests.requests));
	},

	instances(ms) {
		const cpu = (r) => r.cpu_ns === undefined ? undefined : r.cpu_ns / r.elapsed_ns;
		const throttled = (r) => r.throttled_ns === undefined ? undefined : r.throttled_ns / r.elapsed_ns;
		const part = (value) => value === undefined ? "–" : round(100 * value) + "%";
		const why = whyNoMemory(this.data.instances);
		return el("section", { class: "card" }, el("h2", null, "Instances"),
			why ? el("p", { class: "soft" }, why) : null, table("instances", [
			{ name: "instance", text: true, name_like: true, value: (r) => r.label || r.instance,
				show: (r) => el("span", { title: r.instance }, r.label || r.instance) },
			...figureColumns(() => ms),
			{ name: "in progress", value: (r) => r.active, show: (r) => r.active ?? "–" },
			{ name: "CPU", value: cpu, show: (r) => part(cpu(r)) },
			{ name: "throttled", value: throttled, mark: (r) => throttled(r) > 0.01 ? "warn" : "", show: (r) => part(throttled(r)) },
			{ name: "memory", value: (r) => r.memory_bytes, show: (r) => r.memory_bytes === undefined ? el("span", { title: r.memory_unknown }, "–") : bytes(r.memory_bytes) + (r.memory_limit ? " of " + bytes(r.memory_limit) : "") },
			{ name: "tasks", value: (r) => r.pids, show: (r) => r.pids ?? "–" },
			{ name: "restarts", value: (r) => r.restarts, mark: (r) => r.restarts ? "warn" : "", show: (r) => r.restarts },
		], this.data.instances));
	},

	peers(ms) {
		return el("section", { class: "card" }, el("h2", null, this.data.role === "server" ? "Peers that ask it" : "Peers that it asks"), table("peers", [
			{ name: "peer", text: true, name_like: true, value: (r) => r.peer, show: (r) => r.peer || "not watched" },
			...figureColumns(() => ms),
		], this.data.peers, (r) => r.peer_watched ? link("app", r.peer, { role: this.data.role === "server" ? "client" : "server" }) : null));
	},
};
