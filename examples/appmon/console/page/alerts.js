// SPDX-License-Identifier: BSD-2-Clause
"use strict";

const SILENCES = [["15 min", 900], ["1 h", 3600], ["1 day", 86400]];

const alertsPage = {
	title: "Alerts",

	open(root) {
		this.root = root;
	},

	async load() {
		this.data = await api("alerts");
		this.show();
	},

	show() {
		const { data } = this;
		if (!data)
			return;
		const section = (status, title) => {
			const list = data.alerts.filter((a) => a.status === status);
			return [el("h2", null, title + " (" + list.length + ")"), list.map((a) => this.card(a))];
		};
		renew(this.root, section("firing", "Firing"), section("pending", "Pending"), section("resolved", "Resolved"),
			el("section", { class: "card" }, el("h2", null, "Rules"), data.rules.length === 0
				? el("p", { class: "note" }, "There are no rules: see alerts: in the agent's configuration.")
				: table("rules", [
					{ name: "rule", text: true, first: true, value: (r) => r.alert, show: (r) => r.alert },
					{ name: "when", text: true, value: (r) => r.when, show: (r) => r.when },
					{ name: "application", text: true, value: (r) => r.application, show: (r) => r.application },
					{ name: "over", value: (r) => r.over_s, show: (r) => r.over_s + " s" },
					{ name: "for", value: (r) => r.for_s, show: (r) => r.for_s + " s" },
				], data.rules)));
	},

	card(alert) {
		const until = alert.silenced_until_ms;
		const since = alert.resolved_ms
			? moment(alert.since_ms) + ", for " + duration((alert.resolved_ms - alert.since_ms) * 1e6)
			: "since " + clock(alert.since_ms) + ", " + duration(Math.max(0, this.data.now_ms - alert.since_ms) * 1e6);
		return el("article", { class: "card alert " + alert.status + (until ? " silenced" : "") },
			el("div", { class: "row" }, el("b", null, alert.alert),
				alert.severity ? el("span", { class: "tag" + (alert.status === "firing" ? " bad" : "") }, alert.severity) : null,
				el("a", { href: link("app", alert.application, { role: alert.role }) }, alert.application),
				alert.instance ? el("span", { class: "soft" }, alert.instance) : null,
				alert.route ? el("span", { class: "soft" }, alert.route) : null,
				el("span", { class: "soft" }, since)),
			el("p", { class: "note" }, alert.when, alert.value ? ["; it is ", el("b", null, alert.value)] : null,
				alert.reason ? "; " + alert.reason : null, alert.silenced ? "; it was silenced" : null),
			el("div", { class: "row" },
				alert.sample ? el("a", { href: link("request", String(alert.sample)) }, "a request that shows it") : null,
				alert.status === "resolved" ? null : until
					? [el("span", { class: "soft" }, "silenced until " + clock(until)), this.silencer(alert, "end it", 0)]
					: [el("span", { class: "soft" }, "silence for"), SILENCES.map(([name, seconds]) => this.silencer(alert, name, seconds))]));
	},

	silencer(alert, name, seconds) {
		return el("button", { type: "button", "data-key": "silence " + alert.alert + alert.application + name, onclick: async () => {
			this.data = await api("silence", null, { alert: alert.alert, application: alert.application, seconds });
			this.show();
		} }, name);
	},
};
