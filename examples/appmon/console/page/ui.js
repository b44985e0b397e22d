// SPDX-License-Identifier: BSD-2-Clause
"use strict";

/* ---- Elements. All text goes in as text: markup in a path or a header stays what it is. ---- */

function fill(element, attributes, children) {
	for (const [key, value] of Object.entries(attributes || {})) {
		if (value === null || value === undefined || value === false)
			continue;
		if (key.startsWith("on"))
			element.addEventListener(key.slice(2), value);
		else
			element.setAttribute(key, value === true ? "" : value);
	}
	element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
	return element;
}

function el(name, attributes, ...children) {
	return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
	return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

const byId = (id) => document.getElementById(id);

/* ---- Figures for people ---- */

function round(value) {
	const size = Math.abs(value);
	return size === 0 ? "0" : size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function duration(ns) {
	if (ns === undefined || ns === null)
		return "–";
	if (ns >= 60e9)
		return round(ns / 60e9) + " min";
	return ns >= 1e9 ? round(ns / 1e9) + " s" : ns >= 1e6 ? round(ns / 1e6) + " ms" : round(ns / 1e3) + " µs";
}

function bytes(count) {
	if (count === undefined)
		return "–";
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let unit = 0;
	for (; count >= 1024 && unit < units.length - 1; unit++)
		count /= 1024;
	return (unit ? round(count) : count) + " " + units[unit];
}

const perSecond = (requests, ms) => ms > 0 ? requests * 1000 / ms : 0;
const rate = (requests, ms) => round(perSecond(requests, ms)) + "/s";
const share = (part, all) => all > 0 ? part / all : 0;

function percent(part, all) {
	const value = 100 * share(part, all);
	return value === 0 ? "0%" : value >= 10 ? value.toFixed(0) + "%" : value >= 0.1 ? value.toFixed(1) + "%" : "<0.1%";
}

const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
const moment = (ms) => new Date(ms).toLocaleString([], { hour12: false });
const failsMuch = (f) => f.errors > 0 && share(f.errors, f.requests) >= 0.05;

/* Where the time of an average request went: [class, name, ns]. */
function splitOf(f) {
	if (f.service_ns !== undefined)
		return [["queue", "queue", f.queue_ns], ["service", "service", f.service_ns],
			["transfer", "transfer", (f.request_ns || 0) + (f.response_ns || 0)]];
	if (f.wait_ns !== undefined)
		return [["service", "wait", f.wait_ns], ["transfer", "transfer", (f.request_ns || 0) + (f.response_ns || 0)]];
	return [];
}

function splitBar(parts) {
	const all = parts.reduce((sum, part) => sum + part[2], 0);
	const bar = el("span", { class: "split", title: parts.map((p) => p[1] + " " + duration(p[2])).join(", ") });
	for (const [kind, , ns] of parts) {
		const piece = el("i", { class: kind });
		piece.style.width = 100 * share(ns, all) + "%";
		bar.append(piece);
	}
	return bar;
}

/* ---- The address: #/page/name?key=value ---- */

function decode(text) {
	try {
		return decodeURIComponent(text);
	} catch (error) {
		return text; // it was made by hand
	}
}

function route() {
	const [path, query] = location.hash.slice(1).split("?");
	const [, page, ...rest] = path.split("/");
	return { page: page || "map", name: decode(rest.join("/")), args: new URLSearchParams(query || "") };
}

/* A link to a page; the time range goes along. */
function link(page, name, args) {
	const all = new URLSearchParams();
	for (const key of ["range", "from", "to"]) {
		if (route().args.has(key))
			all.set(key, route().args.get(key));
	}
	for (const [key, value] of Object.entries(args || {})) {
		if (value === null)
			all.delete(key);
		else
			all.set(key, value);
	}
	const query = all.toString();
	return "#/" + page + (name ? "/" + encodeURIComponent(name) : "") + (query ? "?" + query : "");
}

/* Changes arguments of this page; replace: without a step to go back to. */
function setArgs(args, replace) {
	const here = route();
	for (const [key, value] of Object.entries(args)) {
		if (value === null)
			here.args.delete(key);
		else
			here.args.set(key, value);
	}
	const query = here.args.toString();
	const hash = "#/" + here.page + (here.name ? "/" + encodeURIComponent(here.name) : "") + (query ? "?" + query : "");
	if (replace)
		history.replaceState(null, "", hash);
	else
		location.hash = hash;
}

const DEFAULT_RANGE = 300;

/* What of the address goes to the server. */
function period() {
	const args = route().args;
	if (args.has("from"))
		return { from: args.get("from"), ...(args.has("to") ? { to: args.get("to") } : {}) };
	return { range: args.get("range") || DEFAULT_RANGE };
}

/* ---- The server ---- */

const auth = () => {
	const token = sessionStorage.getItem("token");
	return token ? { Authorization: "Bearer " + token } : {};
};

function askForToken() {
	if (!byId("login").open)
		byId("login").showModal();
}

async function api(path, args, body) {
	const query = new URLSearchParams(args || {}).toString();
	const answer = await fetch("/api/" + path + (query ? "?" + query : ""), body
		? { method: "POST", headers: { ...auth(), "Content-Type": "application/json" }, body: JSON.stringify(body) }
		: { headers: auth() });
	if (answer.status === 401)
		askForToken();
	if (!answer.ok)
		throw new Error((await answer.text()).trim() || answer.statusText);
	return answer.json();
}

/* Server-sent events, by fetch(): EventSource sends no token. */
async function follow(onEvent, onState) {
	const answer = await fetch("/api/stream", { headers: auth() });
	if (answer.status === 401)
		askForToken();
	if (!answer.ok)
		throw new Error(answer.statusText);
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let text = "";
	onState(true);
	for (;;) {
		const { value, done } = await reader.read();
		if (done)
			return;
		text += value;
		for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
			const lines = text.slice(0, end).split("\n");
			onEvent(lines[0].slice("event: ".length), JSON.parse(lines[1].slice("data: ".length)));
		}
	}
}

/* ---- A table that is sorted by a click on its head ---- */

const sortings = {};

/* So many rows at first; all of them on demand. */
const ROWS = 15;

/*
 * columns: {name, value(row) to sort by, show(row) what is in it, text: true for words}. open(row): a link
 * that a row leads to.
 */
function table(id, columns, rows, open, empty) {
	if (rows.length === 0)
		return el("p", { class: "note" }, empty || "There are no requests in this time.");
	const first = columns.findIndex((column) => column.first);
	const by = sortings[id] = sortings[id] || { column: first < 0 ? 1 : first, down: true };
	const box = el("div", { class: "scroll" });
	const draw = () => {
		const { value, text } = columns[by.column];
		const sorted = [...rows].sort((a, b) => {
			const x = value(a), y = value(b);
			const order = text ? String(x).localeCompare(String(y)) : (y ?? -1) - (x ?? -1);
			return by.down ? order : -order;
		});
		const heads = columns.map((column, i) => el("th", {
			class: column.text ? "text" : null, scope: "col",
			"aria-sort": i === by.column ? (by.down === !column.text ? "descending" : "ascending") : null },
			el("button", { type: "button", "data-key": id + "/" + column.name, onclick: () => {
				by.down = i === by.column ? !by.down : true;
				by.column = i;
				draw();
			} }, column.name, i === by.column ? (by.down ? " ▾" : " ▴") : "")));
		const more = by.all ? 0 : Math.max(0, sorted.length - ROWS);
		const body = sorted.slice(0, sorted.length - more).map((row) => {
			const target = open && open(row);
			const go = () => { if (target && !String(getSelection())) location.hash = target; };
			return el("tr", target ? { tabindex: 0, "data-row": true, "data-key": id + "/" + target, onclick: go,
				onkeydown: (event) => { if (event.key === "Enter") location.hash = target; } } : null,
				columns.map((column) => el("td", {
					class: (column.text ? "text " : "") + (column.name_like ? "name " : "") + (column.mark ? column.mark(row) : "") },
					column.show(row))));
		});
		box.replaceChildren(el("table", null, el("thead", null, el("tr", null, heads)), el("tbody", null, body)),
			more ? el("button", { type: "button", "data-key": id + "/more", onclick: () => { by.all = true; draw(); } }, "show " + more + " more") : "");
	};
	draw();
	return box;
}

/* The columns that all tables of figures have. */
function figureColumns(ms) {
	return [
		{ name: "rate", first: true, value: (r) => r.requests, show: (r) => rate(r.requests, ms()) },
		{ name: "requests", value: (r) => r.requests, show: (r) => r.requests },
		{ name: "errors", value: (r) => share(r.errors, r.requests), mark: (r) => failsMuch(r) ? "bad" : "",
			show: (r) => r.errors ? r.errors + " (" + percent(r.errors, r.requests) + ")" : "0" },
		{ name: "p50", value: (r) => r.p50_ns, show: (r) => duration(r.p50_ns) },
		{ name: "p95", value: (r) => r.p95_ns, show: (r) => duration(r.p95_ns) },
		{ name: "p99", value: (r) => r.p99_ns, show: (r) => duration(r.p99_ns) },
	];
}

/* ---- What hovers ---- */

function tip(event, text) {
	const box = byId("tip");
	box.hidden = !text;
	if (!text)
		return;
	box.textContent = text;
	const left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 6);
	box.style.left = Math.max(4, left) + "px";
	box.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 6)) + "px";
}

/* Puts new content in place of old; what had the focus by its data-key gets it again. */
function renew(element, ...children) {
	const key = element.contains(document.activeElement) && document.activeElement.dataset.key;
	element.replaceChildren(...children.flat(Infinity).filter(Boolean));
	if (key) {
		for (const other of element.querySelectorAll("[data-key]")) {
			if (other.dataset.key === key)
				other.focus({ preventScroll: true });
		}
	}
}
