// SPDX-License-Identifier: BSD-2-Clause
"use strict";

/* The map: who asks whom. */
const mapPage = {
	title: "Map",
	zoom: null,
	shape: "",

	open(root) {
		this.zoom = null;
		this.shape = "";
		this.namespaces = el("select", { "aria-label": "Namespace", onchange: () => setArgs({ ns: this.namespaces.value || null }) });
		this.about = el("span", { class: "soft" });
		this.canvas = el("div", { id: "canvas" });
		this.side = el("aside", { id: "side", class: "card", hidden: true, "aria-label": "The chosen application" });
		const zoomBy = (factor) => () => this.setZoom(this.zoom * factor);
		renew(root, el("div", { class: "row note" }, this.namespaces, this.about),
			el("div", { class: "mapbox" }, el("div", { class: "canvasbox" }, this.canvas, el("div", { class: "zoom" },
				el("button", { type: "button", title: "Smaller (-)", "aria-label": "Smaller", onclick: zoomBy(1 / 1.25) }, "−"),
				el("button", { type: "button", title: "Larger (+)", "aria-label": "Larger", onclick: zoomBy(1.25) }, "+"),
				el("button", { type: "button", title: "As a whole (0)", onclick: () => this.setZoom(this.fit()) }, "fit"))), this.side));
		this.canvas.addEventListener("click", (event) => {
			if (!event.target.closest(".node"))
				setArgs({ focus: null }, true), this.show();
		});
	},

	async load() {
		this.data = await api("overview", period());
		this.show();
	},

	key(event) {
		if (event.key === "+" || event.key === "=")
			this.setZoom(this.zoom * 1.25);
		else if (event.key === "-")
			this.setZoom(this.zoom / 1.25);
		else if (event.key === "0")
			this.setZoom(this.fit());
		else if (event.key === "Escape" && route().args.has("focus"))
			setArgs({ focus: null }, true), this.show();
		else
			return false;
		return true;
	},

	/* Boxes and arrows of what the server counted. */
	graph() {
		const nodes = new Map(), edges = new Map();
		const node = (name, watched) => {
			const key = (watched ? "a " : "x ") + name;
			if (!nodes.has(key))
				nodes.set(key, { key, name, watched, index: nodes.size });
			return nodes.get(key);
		};
		for (const application of this.data.applications) {
			const n = node(application.name, true);
			if (!n.figures || application.role === "server")
				n.figures = application;
		}
		for (const edge of this.data.edges) {
			const from = node(edge.client, edge.client_watched), to = node(edge.server, edge.server_watched);
			const key = from.key + "\n" + to.key, known = edges.get(key);
			/* Several protocols between two are one arrow: with the figures of the busiest. */
			if (!known || known.figures.requests < edge.requests)
				edges.set(key, { key, from, to, figures: edge });
		}
		return this.filter([...nodes.values()], [...edges.values()]);
	},

	/* Of one namespace, and what its applications ask or are asked by. */
	filter(nodes, edges) {
		const spaces = [...new Set(nodes.filter((n) => n.watched && n.name.includes("/")).map((n) => namespaceOf(n.name)))].sort();
		const wanted = route().args.get("ns");
		this.namespaces.hidden = spaces.length === 0 && !wanted;
		if (this.namespaces.dataset.all !== spaces.join("\n")) {
			this.namespaces.dataset.all = spaces.join("\n");
			renew(this.namespaces, el("option", { value: "" }, "all namespaces"), spaces.map((s) => el("option", { value: s }, s)));
		}
		this.namespaces.value = wanted || "";
		if (wanted) {
			const inside = (n) => n.watched && namespaceOf(n.name) === wanted;
			edges = edges.filter((e) => inside(e.from) || inside(e.to));
			const kept = new Set(edges.flatMap((e) => [e.from, e.to]));
			nodes = nodes.filter((n) => inside(n) || kept.has(n));
		}
		nodes.sort((a, b) => a.key < b.key ? -1 : 1);
		nodes.forEach((n, i) => { n.index = i; });
		edges.sort((a, b) => a.key < b.key ? -1 : 1);
		return { nodes, edges };
	},

	show() {
		if (!this.data)
			return;
		const graph = this.graph(), shape = JSON.stringify([graph.nodes.map((n) => n.key), graph.edges.map((e) => e.key)]);
		this.about.textContent = graph.nodes.length + " boxes, " + graph.edges.length + " arrows, over " +
			duration(this.data.length_ms * 1e6) + (this.data.history_cut ? "; the history begins at " + clock(this.data.history_from_ms) + ", as there is no room for more" : "") +
			(this.data.dropped ? "; " + this.data.dropped + " requests were seen and are in no figure" : "");
		if (graph.nodes.length === 0) {
			this.shape = "";
			this.canvas.replaceChildren(el("p", { class: "note", "data-empty": true }, " No request was seen in this time."));
			this.side.hidden = true;
			return;
		}
		if (shape !== this.shape) {
			this.shape = shape;
			this.place = layoutGraph(graph.nodes, graph.edges.map((e) => ({ from: e.from.index, to: e.to.index })));
		}
		this.side.hidden = !this.chosen(graph); // the map has the rest of the width
		this.draw(graph);
		this.light(graph);
	},

	fit() {
		const wide = (this.canvas.clientWidth - 4) / this.place.width, high = (this.canvas.clientHeight - 4) / this.place.height;
		return Math.min(1.25, Math.max(0.25, Math.min(wide, high)));
	},

	setZoom(zoom) {
		this.zoom = Math.min(3, Math.max(0.2, zoom));
		const picture = this.canvas.querySelector("svg");
		if (picture) {
			picture.setAttribute("width", this.place.width * this.zoom);
			picture.setAttribute("height", this.place.height * this.zoom);
		}
	},

	draw(graph) {
		const { place } = this, ms = this.data.length_ms;
		/* At first as a whole, but not so small that it cannot be read. */
		const first = this.zoom === null;
		if (first)
			this.zoom = Math.max(0.62, this.fit());
		const key = document.activeElement.dataset && document.activeElement.dataset.key;
		const picture = svg("svg", { viewBox: `0 0 ${place.width} ${place.height}`, width: place.width * this.zoom,
			height: place.height * this.zoom, role: "group", "aria-label": "Who asks whom" },
			svg("defs", null, svg("marker", { id: "tip-arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
				svg("path", { d: "M0 0L8 4L0 8z", fill: "context-stroke" }))));
		graph.edges.forEach((edge, i) => picture.append(this.arrow(edge, place.paths[i])));
		graph.edges.forEach((edge, i) => picture.append(this.label(edge, place.paths[i], ms)));
		graph.nodes.forEach((node, i) => picture.append(this.box(node, place.boxes[i], ms)));
		this.canvas.replaceChildren(picture);
		if (first)
			this.canvas.scrollTop = (this.canvas.scrollHeight - this.canvas.clientHeight) / 2;
		if (key) {
			const again = [...picture.querySelectorAll("[data-key]")].find((e) => e.dataset.key === key);
			if (again)
				again.focus({ preventScroll: true });
		}
	},

	arrow(edge, path) {
		let d = "";
		const points = path.turned ? [...path.points].reverse() : path.points;
		points.forEach((p, i) => {
			if (i === 0) {
				d = `M${p.x} ${p.y}`;
			} else if (i % 2 === 1) {
				const a = points[i - 1], bend = (p.x - a.x) / 2;
				d += `C${a.x + bend} ${a.y} ${p.x - bend} ${p.y} ${p.x} ${p.y}`;
			} else {
				d += `L${p.x} ${p.y}`;
			}
		});
		return svg("path", { class: "edge" + (failsMuch(edge.figures) ? " fails" : ""), d, "marker-end": "url(#tip-arrow)", "data-edge": edge.key });
	},

	label(edge, path, ms) {
		const f = edge.figures, crowded = !path.label;
		const middle = onCurve(path.points[0], path.points[1], 0.5);
		const box = path.label || { x: middle.x - LABEL.width / 2, y: middle.y - LABEL.height / 2, width: LABEL.width, height: LABEL.height };
		const x = box.x + box.width / 2;
		return svg("g", { class: "label" + (crowded ? " crowded" : ""), "data-edge": edge.key },
			svg("title", null, edge.from.name + " → " + edge.to.name + " (" + f.protocol + ")\n" + f.requests + " requests, " + f.errors +
				" errors\np50 " + duration(f.p50_ns) + ", p95 " + duration(f.p95_ns) + ", p99 " + duration(f.p99_ns)),
			svg("rect", { ...box, rx: 4 }),
			svg("text", { x, y: box.y + 11 }, rate(f.requests, ms), f.errors ? svg("tspan", { class: "bad" }, " " + percent(f.errors, f.requests)) : null),
			svg("text", { class: "second", x, y: box.y + 23 }, duration(f.p95_ns)));
	},

	box(node, box, ms) {
		const f = node.figures, bad = f && failsMuch(f);
		const short = node.name.length > 20 ? node.name.slice(0, 8) + "…" + node.name.slice(-11) : node.name;
		const choose = () => { setArgs({ focus: node.name }, true); this.show(); };
		return svg("g", { class: "node" + (node.watched ? "" : " outside") + (bad ? " fails" : ""), tabindex: 0, role: "button",
			"data-key": "node " + node.key, "data-name": node.name, "aria-label": node.name,
			onclick: choose, ondblclick: () => node.watched && (location.hash = link("app", node.name, { role: f.role })),
			onkeydown: (event) => {
				if (event.key === "Enter" && route().args.get("focus") === node.name && node.watched)
					location.hash = link("app", node.name, { role: f.role });
				else if (event.key === "Enter" || event.key === " ")
					choose();
				else
					return;
				event.preventDefault();
			} },
			svg("title", null, node.name), svg("rect", { ...box, rx: 8 }),
			svg("text", { class: "name", x: box.x + 10, y: box.y + (f ? 20 : 30) }, short),
			f ? svg("text", { class: "figures", x: box.x + 10, y: box.y + 38 }, rate(f.requests, ms) + "  ",
				svg("tspan", { class: f.errors ? "bad figures" : "" }, percent(f.errors, f.requests)), "  " + duration(f.p95_ns)) : null);
	},

	chosen(graph) {
		const focus = route().args.get("focus"), all = graph.nodes.filter((n) => n.name === focus);
		return all.find((n) => n.watched) || all[0];
	},

	/* What leads to the chosen one and what it leads to; the rest, and what is not searched for, is dim. */
	light(graph) {
		const search = byId("search").value.toLowerCase(), chosen = this.chosen(graph);
		const lit = new Set(), edges = new Set();
		const walk = (node, next) => {
			const todo = [node], seen = new Set(todo);
			while (todo.length > 0) {
				const here = todo.pop();
				lit.add(here.key);
				for (const edge of graph.edges) {
					const [from, to] = next === "to" ? [edge.from, edge.to] : [edge.to, edge.from];
					if (from !== here)
						continue;
					edges.add(edge.key);
					if (!seen.has(to)) {
						seen.add(to);
						todo.push(to);
					}
				}
			}
		};
		if (chosen) {
			walk(chosen, "to");
			walk(chosen, "from");
		}
		for (const box of this.canvas.querySelectorAll(".node")) {
			const name = box.dataset.name.toLowerCase();
			box.classList.toggle("dim", (chosen ? !lit.has(box.dataset.key.slice(5)) : false) || (search !== "" && !name.includes(search)));
			box.classList.toggle("chosen", Boolean(chosen) && box.dataset.key === "node " + chosen.key);
		}
		for (const part of this.canvas.querySelectorAll("[data-edge]")) {
			part.classList.toggle("dim", (Boolean(chosen) && !edges.has(part.dataset.edge)) || search !== "");
			part.classList.toggle("lit", Boolean(chosen) && edges.has(part.dataset.edge));
		}
		this.describe(graph, chosen);
	},

	describe(graph, chosen) {
		const ms = this.data.length_ms;
		this.side.hidden = !chosen;
		if (!chosen)
			return;
		const f = chosen.figures;
		const list = (title, edges, other) => [el("h2", null, title), edges.length === 0 ? el("p", { class: "soft" }, "–") :
			el("ul", null, edges.sort((a, b) => b.figures.requests - a.figures.requests).map((e) => el("li", null,
				el("a", { href: link("map", "", { ...(route().args.has("ns") ? { ns: route().args.get("ns") } : {}), focus: e[other].name }), "data-key": "side " + e.key }, e[other].name),
				el("span", { class: failsMuch(e.figures) ? "bad" : null }, rate(e.figures.requests, ms) + ", " + percent(e.figures.errors, e.figures.requests) +
					" errors, p95 " + duration(e.figures.p95_ns)))))];
		renew(this.side, el("h1", null, chosen.name),
			f ? [el("p", { class: "soft" }, rate(f.requests, ms) + ", " + percent(f.errors, f.requests) + " errors, p95 " + duration(f.p95_ns) +
				(f.active ? ", " + f.active + " in progress" : "")),
			el("a", { href: link("app", chosen.name, { role: f.role }), "data-key": "open" }, "Open this application →")]
				: el("p", { class: "soft" }, "It is not watched here."),
			list("Upstream: is asked by", graph.edges.filter((e) => e.to === chosen), "from"),
			list("Downstream: asks", graph.edges.filter((e) => e.from === chosen), "to"));
	},
};

const namespaceOf = (name) => name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "";
