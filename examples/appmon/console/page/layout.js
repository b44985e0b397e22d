// SPDX-License-Identifier: BSD-2-Clause
"use strict";

/*
 * Where the boxes of the map are. Who asks is left of who is asked, in columns; long edges pass through
 * the columns between by places of their own; the order in a column is the one with the fewest crossings
 * that was found. Labels are beside each other, in the gaps between the columns: a gap where they find no
 * room is made wider.
 */
const BOX = { width: 184, height: 50, gap: 20, passage: 14 };
const LABEL = { width: 78, height: 26 };
const GAP = { least: 150, more: 50, most: 700 };

/* Edges that lead back to where they came from are turned round. */
function withoutCycles(count, edges) {
	const out = Array.from({ length: count }, () => []);
	const state = new Array(count).fill(0);
	edges.forEach((edge, i) => { if (edge.from !== edge.to) out[edge.from].push(i); });
	const turned = edges.map(() => false);
	const visit = (n) => {
		state[n] = 1;
		for (const i of out[n]) {
			const to = edges[i].to;
			if (state[to] === 1)
				turned[i] = true;
			else if (state[to] === 0)
				visit(to);
		}
		state[n] = 2;
	};
	/* Those that no one asks first. */
	const asked = new Set(edges.filter((e) => e.from !== e.to).map((e) => e.to));
	for (let n = 0; n < count; n++)
		if (!asked.has(n) && state[n] === 0)
			visit(n);
	for (let n = 0; n < count; n++)
		if (state[n] === 0)
			visit(n);
	return edges.map((edge, i) => turned[i] ? { from: edge.to, to: edge.from, turned: true } : { from: edge.from, to: edge.to, turned: false });
}

/* The column of each: one right of all that ask it. */
function columnsOf(count, edges) {
	const column = new Array(count).fill(0), waiting = new Array(count).fill(0);
	const out = Array.from({ length: count }, () => []);
	for (const edge of edges) {
		if (edge.from === edge.to)
			continue;
		out[edge.from].push(edge.to);
		waiting[edge.to]++;
	}
	const ready = [];
	for (let n = 0; n < count; n++)
		if (waiting[n] === 0)
			ready.push(n);
	while (ready.length > 0) {
		const n = ready.pop();
		for (const to of out[n]) {
			column[to] = Math.max(column[to], column[n] + 1);
			if (--waiting[to] === 0)
				ready.push(to);
		}
	}
	/* Who asks, and is not asked, stands beside the first that it asks. */
	const asked = new Set(edges.map((e) => e.to));
	for (let n = 0; n < count; n++)
		if (!asked.has(n) && out[n].length > 0)
			column[n] = Math.min(...out[n].map((to) => column[to])) - 1;
	return column;
}

function crossings(columns, links) {
	let count = 0;
	const place = new Map();
	columns.forEach((column) => column.forEach((n, i) => place.set(n, i)));
	for (const pairs of links) {
		for (let a = 0; a < pairs.length; a++)
			for (let b = a + 1; b < pairs.length; b++)
				if ((place.get(pairs[a][0]) - place.get(pairs[b][0])) * (place.get(pairs[a][1]) - place.get(pairs[b][1])) < 0)
					count++;
	}
	return count;
}

/* Orders each column by where the neighbours are, to and fro. */
function orderColumns(columns, links) {
	let best = columns.map((column) => [...column]), fewest = crossings(columns, links);
	for (let turn = 0; turn < 24 && fewest > 0; turn++) {
		const forth = turn % 2 === 0;
		for (let k = 1; k < columns.length; k++) {
			const c = forth ? k : columns.length - 1 - k, beside = forth ? c - 1 : c + 1;
			const place = new Map(columns[beside].map((n, i) => [n, i]));
			const pairs = links[forth ? beside : c];
			const middle = new Map(columns[c].map((n, i) => {
				const near = pairs.filter((pair) => pair[forth ? 1 : 0] === n).map((pair) => place.get(pair[forth ? 0 : 1]));
				return [n, near.length ? near.reduce((a, b) => a + b, 0) / near.length : i];
			}));
			columns[c].sort((a, b) => middle.get(a) - middle.get(b));
		}
		const now = crossings(columns, links);
		if (now < fewest) {
			fewest = now;
			best = columns.map((column) => [...column]);
		}
	}
	return best;
}

/* Heights: as near to the neighbours as the order allows. */
function placeRows(columns, links, heights) {
	const y = new Map(), near = new Map();
	const note = (a, b) => near.set(a, [...(near.get(a) || []), b]);
	links.flat().forEach(([a, b]) => { note(a, b); note(b, a); });
	const spread = (column, wish) => {
		/* Pushed down, then back up as far as there is room: the mean of both. */
		const down = [], up = [];
		column.forEach((n, i) => {
			const least = i > 0 ? down[i - 1] + (heights.get(column[i - 1]) + heights.get(n)) / 2 + BOX.gap : -Infinity;
			down[i] = Math.max(wish(n), least);
		});
		for (let i = column.length - 1; i >= 0; i--) {
			const most = i + 1 < column.length ? up[i + 1] - (heights.get(column[i + 1]) + heights.get(column[i])) / 2 - BOX.gap : Infinity;
			up[i] = Math.min(wish(column[i]), most);
		}
		column.forEach((n, i) => y.set(n, (down[i] + up[i]) / 2));
	};
	for (const column of columns) {
		const whole = column.reduce((sum, n) => sum + heights.get(n) + BOX.gap, 0);
		let at = -whole / 2;
		for (const n of column) {
			y.set(n, at + heights.get(n) / 2);
			at += heights.get(n) + BOX.gap;
		}
	}
	for (let turn = 0; turn < 10; turn++) {
		for (const column of turn % 2 ? [...columns].reverse() : columns) {
			const before = new Map(y);
			spread(column, (n) => {
				const list = near.get(n) || [];
				return list.length ? list.reduce((sum, other) => sum + before.get(other), 0) / list.length : before.get(n);
			});
		}
	}
	return y;
}

/* A point of the curve between two places whose ends are level. */
function onCurve(a, b, t) {
	const bend = (b.x - a.x) / 2, s = 1 - t;
	return {
		x: s * s * s * a.x + 3 * s * s * t * (a.x + bend) + 3 * s * t * t * (b.x - bend) + t * t * t * b.x,
		y: s * s * (s + 3 * t) * a.y + t * t * (t + 3 * s) * b.y,
	};
}

const overlap = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/* Labels on their edges where no box and no other label is. Returns the paths that found no place. */
function placeLabels(paths, taken) {
	const tries = [0.5, 0.42, 0.58, 0.35, 0.65, 0.28, 0.72, 0.22, 0.78, 0.16, 0.84];
	const without = [];
	for (const path of paths) {
		path.label = null;
		for (let s = 0; s + 1 < path.points.length && !path.label; s += 2) {
			for (const t of tries) {
				const p = onCurve(path.points[s], path.points[s + 1], t);
				const box = { x: p.x - LABEL.width / 2, y: p.y - LABEL.height / 2, width: LABEL.width, height: LABEL.height };
				if (taken.some((other) => overlap(other, box)))
					continue;
				taken.push(box);
				path.label = box;
				break;
			}
		}
		if (!path.label)
			without.push(path);
	}
	return without;
}

/* The coordinates for columns that are that far apart. */
function withGaps(gaps, nodes, edges, columns, chains, y) {
	const x = new Map(), column = new Map();
	let left = 0;
	columns.forEach((list, c) => {
		list.forEach((n) => { x.set(n, left); column.set(n, c); });
		left += BOX.width + gaps[c];
	});
	const top = Math.min(...y.values()) - BOX.height, shift = 30 - top;
	const boxes = nodes.map((_, n) => ({ x: 20 + x.get(n), y: y.get(n) + shift - BOX.height / 2, width: BOX.width, height: BOX.height }));
	const paths = chains.map((chain, i) => {
		/* Two points a gap: where a box or a passage ends, and where the next one begins. */
		const points = [];
		if (chain.length === 1) {
			const box = boxes[chain[0]];
			points.push({ x: box.x + box.width, y: box.y + 12 }, { x: box.x + box.width + 46, y: box.y - 14 });
		}
		for (let k = 0; k + 1 < chain.length; k++) {
			points.push({ x: 20 + x.get(chain[k]) + BOX.width, y: y.get(chain[k]) + shift },
				{ x: 20 + x.get(chain[k + 1]), y: y.get(chain[k + 1]) + shift });
		}
		return { points, turned: edges[i].turned, column: column.get(chain[0]) };
	});
	const without = placeLabels(paths, boxes.map((box) => ({ x: box.x - 3, y: box.y - 3, width: box.width + 6, height: box.height + 6 })));
	const bottom = Math.max(...boxes.map((box) => box.y + box.height), ...paths.flatMap((path) => path.points.map((p) => p.y)));
	return { boxes, paths, without, width: 80 + left - gaps[gaps.length - 1], height: bottom + 30 };
}

/* nodes: a list; edges: {from, to} by index. */
function layoutGraph(nodes, given) {
	const edges = withoutCycles(nodes.length, given);
	const column = columnsOf(nodes.length, edges);
	const last = Math.max(0, ...column);
	const columns = Array.from({ length: last + 1 }, () => []), links = Array.from({ length: last + 1 }, () => []);
	const heights = new Map();
	nodes.forEach((_, n) => { columns[column[n]].push(n); heights.set(n, BOX.height); });
	let next = nodes.length;
	const chains = edges.map((edge) => {
		if (edge.from === edge.to)
			return [edge.from];
		const chain = [edge.from];
		for (let c = column[edge.from] + 1; c < column[edge.to]; c++) {
			columns[c].push(next);
			heights.set(next, BOX.passage);
			chain.push(next++);
		}
		chain.push(edge.to);
		for (let k = 0; k + 1 < chain.length; k++)
			links[column[edge.from] + k].push([chain[k], chain[k + 1]]);
		return chain;
	});
	const ordered = orderColumns(columns, links);
	const y = placeRows(ordered, links, heights);
	const gaps = ordered.map(() => GAP.least);
	for (;;) {
		const layout = withGaps(gaps, nodes, edges, ordered, chains, y);
		const narrow = new Set(layout.without.map((path) => path.column).filter((c) => gaps[c] < GAP.most));
		if (narrow.size === 0)
			return layout;
		for (const c of narrow)
			gaps[c] += GAP.more;
	}
}
