/* SPDX-License-Identifier: BSD-2-Clause */
#include "past-alerts.h"

#include <stdlib.h>
#include <string.h>

#include "../names.h"
#include "json-fields.h"

static void clear(struct past_alert *alert)
{
	free(alert->name);
	free(alert->severity);
	free(alert->when);
	free(alert->application);
	free(alert->route);
	free(alert->reason);
	*alert = (struct past_alert){0};
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

void past_alerts_add(struct past_alerts *past, const struct alert_notice *notice)
{
	struct past_alert *to = &past->list[past->at % PAST_ALERTS_MAX];

	past->at++;
	clear(to);
	*to = (struct past_alert){
		.name = strdup(notice->rule->name),
		.severity = copy(notice->rule->severity),
		.when = strdup(notice->rule->when),
		.application = strndup(notice->application.data, notice->application.len),
		.route = strndup(notice->route.data, notice->route.len),
		.reason = copy(notice->reason),
		.role = notice->rule->role,
		.instance = notice->cgroup_id,
		.since_ns = notice->since_ns,
		.at_ns = notice->now_ns,
		.silenced = notice->silenced,
		.from_ns = notice->since_ns - notice->rule->for_ns - notice->rule->over_ns};
	if (!to->name || !to->when || !to->application || !to->route)
		clear(to);
}

void past_alerts_free(struct past_alerts *past)
{
	for (size_t i = 0; i < PAST_ALERTS_MAX; i++)
		clear(&past->list[i]);
}

/* ---- The document ------------------------------------------------------------------------- */

struct writing {
	struct json_line json;
	const struct view *view;
	const struct silences *silences;
	uint64_t now_ns;
};

static void put_subject(struct writing *w, const char *application, uint32_t role,
			const char *route, uint64_t instance)
{
	char number[24];

	put_text(&w->json, "application", application);
	put_text(&w->json, "role", role_name(role));
	if (*route != '\0')
		put_text(&w->json, "route", route);
	if (instance != 0)
		put_text(&w->json, "instance",
			 instances_name(w->view->instances, instance, number, sizeof(number)));
}

/* What an alert is about, and when. */
struct about {
	const char *when, *application, *route;
	uint32_t role;
	uint64_t instance; /* 0: all */
	uint64_t from_ns, to_ns;
};

/* Of a rate, or of how many are in progress, a single request shows nothing. */
static bool shows(const struct alert_condition *condition, const struct request *request)
{
	switch (condition->metric) {
	case ALERT_ERROR_RATIO:
		return request->kept & KEPT_FAILED;
	case ALERT_STATUS_RATE:
	case ALERT_STATUS_RATIO:
		return filter_matches(&condition->status, request->event);
	case ALERT_LATENCY:
	case ALERT_ACTIVE_AGE:
		return (double)request->event->duration_ns / 1e9 > condition->threshold;
	default:
		return false;
	}
}

static bool has_route(const struct appmon_event *ev, const char *route)
{
	char own[512];

	return *route == '\0' ||
	       (appmon_route(ev->path.data, ev->path.len, own, sizeof(own)) < sizeof(own) &&
		strcmp(own, route) == 0);
}

static bool is_about(const struct writing *w, const struct about *about,
		     const struct request *request)
{
	const struct appmon_event *ev = request->event;

	return ev->role == about->role && request->end_ns >= about->from_ns &&
	       request->end_ns <= about->to_ns &&
	       strcmp(ev->target_name.data, about->application) == 0 &&
	       has_route(ev, about->route) &&
	       (about->instance == 0 ||
		instances_of(w->view->instances, ev->cgroup_id) == about->instance);
}

/* The last request that shows it. */
static void put_sample(struct writing *w, const struct about *about)
{
	const struct request *request = w->view->requests->last;
	struct alert_condition condition;

	if (alert_condition_parse(&condition, about->when) < 0)
		return;
	while (request && !(is_about(w, about, request) && shows(&condition, request)))
		request = request->previous;
	if (request)
		put_uint(&w->json, "sample", request->number);
}

static void put_alert(void *ctx, const struct alert_view *alert)
{
	const struct alert_rule *rule = alert->rule;
	struct writing *w = ctx;
	char text[ALERT_VALUE_SIZE];
	uint64_t until_ns = silences_until(w->silences, rule->name, alert->application, w->now_ns);

	json_line_element(&w->json);
	json_line_open(&w->json, '{');
	put_text(&w->json, "alert", rule->name);
	put_text(&w->json, "status", alert->state->status == ALERT_FIRING ? "firing" : "pending");
	if (rule->severity)
		put_text(&w->json, "severity", rule->severity);
	put_text(&w->json, "when", rule->when);
	put_subject(w, alert->application, rule->role, alert->route, alert->cgroup_id);
	if (alert->has_value)
		put_text(&w->json, "value",
			 alert_value_format(&rule->condition, alert->value, text));
	put_time(&w->json, "since_ms", w->view->mon, alert->since_ns);
	if (until_ns != 0)
		put_time(&w->json, "silenced_until_ms", w->view->mon, until_ns);
	put_sample(w, &(struct about){.when = rule->when,
				      .application = alert->application,
				      .route = alert->route,
				      .role = rule->role,
				      .instance = alert->cgroup_id,
				      .to_ns = UINT64_MAX});
	json_line_close(&w->json, '}');
}

static void put_past(struct writing *w, const struct past_alert *alert)
{
	json_line_element(&w->json);
	json_line_open(&w->json, '{');
	put_text(&w->json, "alert", alert->name);
	put_text(&w->json, "status", "resolved");
	if (alert->severity)
		put_text(&w->json, "severity", alert->severity);
	put_text(&w->json, "when", alert->when);
	put_subject(w, alert->application, alert->role, alert->route, alert->instance);
	if (alert->reason)
		put_text(&w->json, "reason", alert->reason);
	put_time(&w->json, "since_ms", w->view->mon, alert->since_ns);
	put_time(&w->json, "resolved_ms", w->view->mon, alert->at_ns);
	put_bool(&w->json, "silenced", alert->silenced);
	put_sample(w, &(struct about){.when = alert->when,
				      .application = alert->application,
				      .route = alert->route,
				      .role = alert->role,
				      .instance = alert->instance,
				      .from_ns = alert->from_ns,
				      .to_ns = alert->at_ns});
	json_line_close(&w->json, '}');
}

static void put_rule(struct writing *w, const struct alert_rule *rule)
{
	json_line_element(&w->json);
	json_line_open(&w->json, '{');
	put_text(&w->json, "alert", rule->name);
	put_text(&w->json, "when", rule->when);
	put_text(&w->json, "application", rule->application ? rule->application : "*");
	put_uint(&w->json, "over_s", rule->over_ns / NSEC_PER_SEC);
	put_uint(&w->json, "for_s", rule->for_ns / NSEC_PER_SEC);
	json_line_close(&w->json, '}');
}

void view_alerts(FILE *out, const struct view *view, const struct alerts *alerts,
		 const struct silences *silences, const struct past_alerts *past, uint64_t now)
{
	struct writing w = {.view = view, .silences = silences, .now_ns = now};
	const struct alert_rule *rule;

	json_line_begin(&w.json, out);
	put_time(&w.json, "now_ms", view->mon, now);
	json_line_key(&w.json, "alerts");
	json_line_open(&w.json, '[');
	alerts_each(alerts, put_alert, &w);
	/* The latest first. */
	for (size_t i = 0; i < PAST_ALERTS_MAX && i < past->at; i++) {
		const struct past_alert *alert = &past->list[(past->at - 1 - i) % PAST_ALERTS_MAX];

		if (alert->name)
			put_past(&w, alert);
	}
	json_line_close(&w.json, ']');
	json_line_key(&w.json, "rules");
	json_line_open(&w.json, '[');
	for (size_t i = 0; (rule = alerts_rule(alerts, i)); i++)
		put_rule(&w, rule);
	json_line_close(&w.json, ']');
	json_line_end(&w.json);
}
