// SPDX-License-Identifier: BSD-2-Clause
"use strict";

const pages = { map: mapPage, apps: appsPage, app: appPage, request: requestPage, alerts: alertsPage };
let page = null, loading = false, loaded = 0;

/* ---- What is shown ---- */

async function load() {
	if (loading)
		return;
	loading = true;
	const asked = location.hash;
	try {
		await page.load();
		document.querySelector("#problem")?.remove();
	} catch (error) {
		document.querySelector("#problem")?.remove();
		byId("main").prepend(el("p", { id: "problem", class: "card error" }, error.message));
	}
	loading = false;
	loaded = Date.now();
	document.documentElement.dataset.loaded = asked;
	/* Another page was asked for meanwhile. */
	if (asked !== location.hash)
		load();
}

let shown = "";

function openPage() {
	const here = route(), known = pages[here.page] || mapPage;
	const same = here.page + "/" + here.name;
	tip(null, "");
	if (known !== page || same !== shown) {
		page = known;
		shown = same;
		byId("search").value = here.args.get("q") || "";
		page.open(byId("main"));
		scrollTo(0, 0);
	}
	document.title = (here.name || page.title) + " – appmon";
	for (const a of document.querySelectorAll("nav a")) {
		a.classList.toggle("here", a.dataset.page === here.page || (a.dataset.page === "apps" && here.page === "app"));
		a.href = link(a.dataset.page);
	}
	byId("range").value = here.args.has("from") ? "part" : here.args.get("range") || DEFAULT_RANGE;
	byId("range").querySelector("[value=part]").hidden = !here.args.has("from");
	load();
}

/* An overview comes every two seconds; a long time is asked for less often. A part of the past stays as it is. */
function onEvent(name, data) {
	if (name === "overview") {
		byId("firing").hidden = data.alerts_firing === 0;
		byId("firing").textContent = data.alerts_firing;
	}
	const often = Number(route().args.get("range") || DEFAULT_RANGE) <= 900 ? 1500 : 9000;
	if (document.hidden || page === requestPage || (route().args.has("to") && page !== alertsPage))
		return;
	/* Whoever drags, reads a tip or marks a text is not disturbed. */
	if (name === "alert" ? page === alertsPage : Date.now() - loaded > often && byId("tip").hidden && !String(getSelection()))
		load();
}

async function live() {
	const mark = byId("live");
	for (;;) {
		try {
			await follow(onEvent, () => { mark.className = "on"; mark.title = "Figures come as they are counted"; });
		} catch (error) {
			/* It is tried again. */
		}
		mark.className = "off";
		mark.title = "The console does not answer";
		await new Promise((resolve) => setTimeout(resolve, 2000));
	}
}

/* ---- Light and dark ---- */

const darkSystem = matchMedia("(prefers-color-scheme: dark)");

function applyTheme() {
	document.documentElement.dataset.theme = localStorage.getItem("theme") || (darkSystem.matches ? "dark" : "light");
	if (page && page.show)
		page.show();
}

function switchTheme() {
	localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
	applyTheme();
}

/* ---- Keys ---- */

function changeRange(by) {
	const values = [...byId("range").options].map((o) => o.value).filter((v) => v !== "part");
	const at = Math.max(0, values.indexOf(byId("range").value)) + by;
	if (values[at])
		setArgs({ from: null, to: null, range: values[at] });
}

function moveFocus(by) {
	const all = [...document.querySelectorAll("[data-row], #canvas .node")];
	const at = all.indexOf(document.activeElement);
	const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
	if (next)
		next.focus();
}

const keys = {
	m: () => { location.hash = link("map"); },
	a: () => { location.hash = link("apps"); },
	l: () => { location.hash = link("alerts"); },
	t: switchTheme,
	"?": () => byId("keys").showModal(),
	"/": () => byId("search").focus(),
	"[": () => changeRange(-1),
	"]": () => changeRange(1),
	ArrowDown: () => moveFocus(1),
	ArrowUp: () => moveFocus(-1),
	Escape: () => history.back(),
};

document.addEventListener("keydown", (event) => {
	if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]"))
		return;
	if (event.target.matches("input, select")) {
		if (event.key === "Escape")
			event.target.blur();
		return;
	}
	if (page.key && page.key(event)) {
		event.preventDefault();
	} else if (keys[event.key]) {
		event.preventDefault();
		keys[event.key]();
	}
});

/* ---- The head of the page ---- */

byId("search").addEventListener("input", () => {
	setArgs({ q: byId("search").value || null }, true);
	page.show();
});
byId("search").addEventListener("keydown", (event) => {
	if (event.key !== "Enter")
		return;
	const text = byId("search").value.toLowerCase();
	const found = (page.data && page.data.applications || []).find((a) => a.name.toLowerCase().includes(text));
	if (!found)
		return;
	event.target.blur();
	if (page === mapPage)
		setArgs({ focus: found.name, q: null }, true), byId("search").value = "", page.show();
	else
		location.hash = link("app", found.name, { role: found.role });
});
byId("range").addEventListener("change", () => setArgs({ from: null, to: null, range: byId("range").value }));
byId("theme").addEventListener("click", switchTheme);
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("login").addEventListener("close", () => {
	sessionStorage.setItem("token", byId("token").value);
	byId("token").value = "";
	load();
});
addEventListener("hashchange", openPage);
addEventListener("resize", () => page && page.show && page.show());
darkSystem.addEventListener("change", applyTheme);
applyTheme();
openPage();
live();
