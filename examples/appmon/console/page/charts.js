// SPDX-License-Identifier: BSD-2-Clause
"use strict";

const CHART = { left: 52, right: 8, top: 8, bottom: 20 };

/* The times of a chart: where a moment is between its sides. */
function timeScale(data, width) {
	const from = data.shown_from_ms, to = data.shown_to_ms;
	const inner = width - CHART.left - CHART.right;
	return {
		at: (ms) => CHART.left + inner * Math.min(1, Math.max(0, (ms - from) / Math.max(1, to - from))),
		when: (x) => from + (to - from) * Math.min(1, Math.max(0, (x - CHART.left) / inner)),
	};
}

/* 1, 2 or 5 times a power of ten that is at least as much. */
function niceTop(value) {
	if (!(value > 0))
		return 1;
	const power = 10 ** Math.floor(Math.log10(value));
	return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value);
}

function timeAxis(data, scale, height) {
	return [0, 0.5, 1].map((part) => {
		const ms = data.shown_from_ms + part * (data.shown_to_ms - data.shown_from_ms);
		return svg("text", { x: scale.at(ms), y: height - 5,
			"text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" }, clock(ms));
	});
}

/* The step that is drawn at a place; its middle is the nearest. */
function stepAt(data, ms) {
	let best = null;
	for (const step of data.steps) {
		if (!best || Math.abs((step.from_ms + step.to_ms) / 2 - ms) < Math.abs((best.from_ms + best.to_ms) / 2 - ms))
			best = step;
	}
	return best;
}

/* Hovering says what a step has; dragging takes a part of the time. */
function chartActions(box, data, say) {
	let begin = null, mark = null;
	const place = (event) => event.clientX - box.getBoundingClientRect().left;
	box.addEventListener("pointermove", (event) => {
		const scale = timeScale(data, box.clientWidth), step = stepAt(data, scale.when(place(event)));
		tip(event, step && clock(step.from_ms) + " – " + clock(step.to_ms) + "\n" + say(step));
		if (begin === null || event.buttons !== 1)
			return;
		if (!mark)
			box.firstChild.append(mark = svg("rect", { class: "marked", y: CHART.top, height: box.clientHeight - CHART.top - CHART.bottom }));
		mark.setAttribute("x", Math.min(begin, place(event)));
		mark.setAttribute("width", Math.abs(begin - place(event)));
	});
	box.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") begin = place(event); });
	box.addEventListener("pointerup", (event) => {
		const scale = timeScale(data, box.clientWidth);
		const [a, b] = [begin, place(event)].sort((x, y) => x - y);
		begin = null;
		if (mark && b - a > 8)
			setArgs({ range: null, from: Math.floor(scale.when(a) / 1000), to: Math.ceil(scale.when(b) / 1000) });
	});
	box.addEventListener("pointerleave", () => {
		tip(null, "");
		if (mark)
			mark.remove();
		mark = begin = null;
	});
}

/* A line with gaps where there is no value; a value that stands alone is a dot. */
function linePath(data, scale, line, y) {
	const points = data.steps.map((step) => {
		const v = line.value(step);
		return v === undefined || v === null ? null : [scale.at((step.from_ms + step.to_ms) / 2).toFixed(1), y(v).toFixed(1)];
	});
	let path = "";
	const dots = [];
	points.forEach((p, i) => {
		if (p && !points[i - 1] && !points[i + 1])
			dots.push(svg("circle", { class: "s-" + line.kind, cx: p[0], cy: p[1], r: 2.5 }));
		else if (p)
			path += (points[i - 1] ? "L" : "M") + p.join(" ");
	});
	return [svg("path", { class: "s-" + line.kind, d: path, "stroke-linecap": "round" }), dots];
}

/* "50/s" for "50.0/s": at an axis. */
const short = (text) => text.replace(/\.(\d*?)0+(?=\D|$)/, (_, digits) => digits ? "." + digits : "");

/* lines: {name, kind, value(step)}; show(value) for people. */
function lineChart(title, data, lines, show) {
	const box = el("div", { class: "chart", role: "img", "aria-label": title });
	const width = data.width, height = 150;
	const scale = timeScale(data, width);
	const top = niceTop(Math.max(0, ...data.steps.flatMap((step) => lines.map((line) => line.value(step) || 0))));
	const y = (v) => CHART.top + (height - CHART.top - CHART.bottom) * (1 - v / top);
	const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
	for (const v of [0, top / 2, top]) {
		picture.append(svg("line", { class: "axis", x1: CHART.left, x2: width - CHART.right, y1: y(v), y2: y(v) }),
			svg("text", { x: CHART.left - 6, y: y(v) + 4, "text-anchor": "end" }, short(show(v))));
	}
	picture.append(...lines.flatMap((line) => linePath(data, scale, line, y)).flat());
	picture.append(...timeAxis(data, scale, height));
	box.append(picture);
	chartActions(box, data, (step) => lines.map((line) => {
		const v = line.value(step);
		return line.name + "  " + (v === undefined || v === null ? "–" : show(v));
	}).join("\n"));
	return el("div", { class: "card" }, el("h2", null, title,
		el("span", { class: "legend" }, lines.length > 1 ? lines.map((line) => [el("i", { class: "s-" + line.kind }), line.name]) : [])), box);
}

/* How many requests took how long, by time: a row is a quarter of a power of two. */
function heatChart(title, data) {
	const box = el("div", { class: "chart", role: "img", "aria-label": title });
	const width = data.width_wide, height = 150, ratio = devicePixelRatio || 1;
	const canvas = el("canvas", { width: Math.round(width * ratio), height: Math.round(height * ratio) });
	const scale = timeScale(data, width);
	const rows = data.steps.flatMap((step) => step.heat.filter((_, i) => i % 2 === 0));
	const row = (ns) => Math.log2(Math.max(1, ns)) * 4;
	const low = rows.length ? Math.floor(row(Math.min(...rows))) : 0, high = rows.length ? Math.ceil(row(Math.max(...rows))) + 4 : 1;
	const y = (r) => height - CHART.bottom - (height - CHART.top - CHART.bottom) * (r - low) / (high - low);
	const most = Math.max(1, ...data.steps.flatMap((step) => step.heat.filter((_, i) => i % 2 === 1)));
	const style = getComputedStyle(document.documentElement), pen = canvas.getContext("2d");
	pen.scale(ratio, ratio);
	for (const step of data.steps) {
		const x = scale.at(step.from_ms), w = Math.max(1.5, scale.at(step.to_ms) - x - 0.4);
		for (let i = 0; i < step.heat.length; i += 2) {
			const r = row(step.heat[i]), depth = 0.15 + 0.85 * Math.log(1 + step.heat[i + 1]) / Math.log(1 + most);
			pen.fillStyle = `rgba(${style.getPropertyValue("--heat")}, ${depth})`;
			pen.fillRect(x, y(r + 1), w, Math.max(1.5, y(r) - y(r + 1) - 0.3));
		}
	}
	pen.fillStyle = style.getPropertyValue("--faint");
	pen.font = "11px system-ui, sans-serif";
	pen.textAlign = "right";
	for (let part = 0; part <= 1; part += 0.5)
		pen.fillText(duration(2 ** ((low + part * (high - low)) / 4)), CHART.left - 6, y(low + part * (high - low)) + 4);
	const axis = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" }, timeAxis(data, scale, height));
	axis.style.position = "absolute";
	axis.style.inset = "0";
	box.append(axis, canvas);
	chartActions(box, data, (step) => {
		const text = [];
		for (let i = step.heat.length - 2; i >= 0 && text.length < 14; i -= 2)
			text.push("from " + duration(step.heat[i]) + ":  " + step.heat[i + 1]);
		return text.join("\n") || "no requests";
	});
	return el("div", { class: "card wide" }, el("h2", null, title), box);
}
