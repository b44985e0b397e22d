/* SPDX-License-Identifier: BSD-2-Clause */
#include "alerts.h"

#include <err.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../text.h"
#include "silences.h"

/* A window is as long as it should be within this part of it; snapshots are kept for that. */
#define PIECES_OF_A_WINDOW 12
/* What had no requests for this long is not watched any more. */
#define FORGET_NS (3600 * NSEC_PER_SEC)
/* Of all rules together: a rule per route of a hostile client must not eat the memory. */
#define MAX_GROUPS 4096

/* What a rule is evaluated for: an application, one instance of it or one route. */
struct group {
	struct group *next;
	char *application, *route;
	uint64_t cgroup_id;
	bool named; /* by the rule: never forgotten */
	struct alert_state state;
	bool told;	/* that it fires */
	bool has_value; /* at the last evaluation */
	double value;
	uint64_t begin_ns; /* its requests are counted from here on */
	uint64_t seen_ns;
	uint64_t fired_ns;
	/* Over the window. */
	uint64_t requests, errors, matched;
	/* At the moment. */
	uint64_t active, oldest_ns;
	struct appmon_histogram *durations; /* of ALERT_LATENCY; else NULL */
};

/* A rule and its groups. */
struct rule_groups {
	const struct alert_rule *rule;
	struct group *groups;
};

struct alerts {
	alerts_notice_fn notice;
	void *ctx;
	const struct silences *silences; /* NULL: none */
	struct rule_groups *rules;
	size_t rule_count;
	size_t group_count, firing;
	bool full_is_told;
	uint64_t start_ns, evaluated_ns;
	uint64_t shortest_ns, longest_ns; /* of all windows */
	struct appmon_snapshot **history; /* oldest first */
	size_t history_count;
};

/* ---- Groups --------------------------------------------------------------------- */

static void free_group(struct group *group)
{
	appmon_histogram_free(group->durations);
	free(group->application);
	free(group->route);
	free(group);
}

static struct group *add_group(struct alerts *alerts, struct rule_groups *rule,
			       const struct appmon_str *application, const struct appmon_str *route,
			       uint64_t cgroup_id)
{
	struct group *group;

	if (alerts->group_count == MAX_GROUPS) {
		if (!alerts->full_is_told)
			warnx("alerts are evaluated for %d applications, instances and routes; "
			      "there are more: say per: application, or be more specific",
			      MAX_GROUPS);
		alerts->full_is_told = true;
		return NULL;
	}
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->application = strndup(application->data, application->len);
	group->route = strndup(route->data, route->len);
	group->cgroup_id = cgroup_id;
	group->begin_ns = group->seen_ns = alerts->evaluated_ns;
	if (!group->application || !group->route ||
	    (rule->rule->condition.metric == ALERT_LATENCY &&
	     appmon_histogram_new(&group->durations) < 0)) {
		free_group(group);
		return NULL;
	}
	group->next = rule->groups;
	rule->groups = group;
	alerts->group_count++;
	return group;
}

static bool is_text(const char *text, const struct appmon_str *str)
{
	return strlen(text) == str->len && memcmp(text, str->data, str->len) == 0;
}

static struct group *find_group(struct alerts *alerts, struct rule_groups *rule,
				const struct appmon_series *series)
{
	static const struct appmon_str none = {.data = ""};
	enum alert_per per = rule->rule->per;
	const struct appmon_str *route = per == ALERT_PER_ROUTE ? &series->route : &none;
	uint64_t cgroup_id = per == ALERT_PER_INSTANCE ? series->cgroup_id : 0;

	for (struct group *group = rule->groups; group; group = group->next) {
		if (group->cgroup_id == cgroup_id && is_text(group->application, &series->app) &&
		    is_text(group->route, route))
			return group;
	}
	return add_group(alerts, rule, &series->app, route, cgroup_id);
}

static bool is_silenced(const struct alerts *alerts, const struct rule_groups *rule,
			const struct group *group)
{
	return alerts->silences && silences_until(alerts->silences, rule->rule->name,
						  group->application, now_ns()) != 0;
}

static void tell(struct alerts *alerts, const struct rule_groups *rule, struct group *group,
		 bool firing, const double *value, const char *reason)
{
	bool was_told = group->told;

	group->told = firing && !is_silenced(alerts, rule, group);
	struct alert_notice notice = {
		.rule = rule->rule,
		.firing = firing,
		.silenced = firing ? !group->told : !was_told,
		.reason = reason,
		.application = {.data = group->application,
				.len = (uint32_t)strlen(group->application)},
		.route = {.data = group->route, .len = (uint32_t)strlen(group->route)},
		.cgroup_id = group->cgroup_id,
		.has_value = value != NULL,
		.value = value ? *value : 0,
		.now_ns = now_ns(),
		.since_ns = group->fired_ns,
	};

	alerts->notice(alerts->ctx, &notice);
}

/* Takes it out of its list; what fires ends, for a reason. */
static void drop_group(struct alerts *alerts, struct rule_groups *rule, struct group **link,
		       const char *reason)
{
	struct group *group = *link;

	*link = group->next;
	if (group->state.status == ALERT_FIRING) {
		alerts->firing--;
		tell(alerts, rule, group, false, NULL, reason);
	}
	alerts->group_count--;
	free_group(group);
}

/* ---- Rules ---------------------------------------------------------------------- */

/* An application without requests has no series: one that is named is there all the same. */
static void add_named_group(struct alerts *alerts, struct rule_groups *rule)
{
	const char *name = rule->rule->application;
	struct appmon_series series = {.route.data = ""};
	struct group *group;

	if (!name || strpbrk(name, "*?[\\") || rule->rule->per != ALERT_PER_APPLICATION)
		return;
	series.app = (struct appmon_str){.data = name, .len = (uint32_t)strlen(name)};
	group = find_group(alerts, rule, &series);
	if (group)
		group->named = true;
}

static bool is_same_rule(const struct alert_rule *a, const struct alert_rule *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->when, b->when) == 0 && a->per == b->per &&
	       a->role == b->role;
}

/* The groups of a former rule go to the one that is the same. */
static void take_groups(struct alerts *alerts, struct rule_groups *from, struct rule_groups *rules,
			size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!rules[i].groups && is_same_rule(rules[i].rule, from->rule)) {
			rules[i].groups = from->groups;
			return;
		}
	}
	while (from->groups)
		drop_group(alerts, from, &from->groups, "the rule is gone");
}

static void measure_windows(struct alerts *alerts)
{
	alerts->shortest_ns = UINT64_MAX;
	alerts->longest_ns = 0;
	for (size_t i = 0; i < alerts->rule_count; i++) {
		uint64_t over_ns = alerts->rules[i].rule->over_ns;

		if (over_ns < alerts->shortest_ns)
			alerts->shortest_ns = over_ns;
		if (over_ns > alerts->longest_ns)
			alerts->longest_ns = over_ns;
	}
}

int alerts_set_rules(struct alerts *alerts, const struct alert_rule *rules, size_t count)
{
	struct rule_groups *fresh = calloc(count + 1, sizeof(*fresh));

	if (!fresh) {
		warnx("out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		fresh[i].rule = &rules[i];
	for (size_t i = 0; i < alerts->rule_count; i++)
		take_groups(alerts, &alerts->rules[i], fresh, count);
	free(alerts->rules);
	alerts->rules = fresh;
	alerts->rule_count = count;
	for (size_t i = 0; i < count; i++)
		add_named_group(alerts, &fresh[i]);
	measure_windows(alerts);
	return 0;
}

int alerts_open(struct alerts **ret_alerts, const struct alert_rule *rules, size_t count,
		alerts_notice_fn notice, void *ctx)
{
	struct alerts *alerts = calloc(1, sizeof(*alerts));
	int ret = -ENOMEM;

	if (!alerts) {
		warnx("out of memory");
		return ret;
	}
	alerts->notice = notice;
	alerts->ctx = ctx;
	alerts->start_ns = alerts->evaluated_ns = now_ns();
	ret = alerts_set_rules(alerts, rules, count);
	if (ret < 0)
		free(alerts);
	else
		*ret_alerts = alerts;
	return ret;
}

void alerts_close(struct alerts *alerts)
{
	if (!alerts)
		return;
	for (size_t i = 0; i < alerts->rule_count; i++) {
		struct group *group, *next;

		for (group = alerts->rules[i].groups; group; group = next) {
			next = group->next;
			free_group(group);
		}
	}
	for (size_t i = 0; i < alerts->history_count; i++)
		appmon_snapshot_free(alerts->history[i]);
	free(alerts->history);
	free(alerts->rules);
	free(alerts);
}

/* ---- Values --------------------------------------------------------------------- */

static bool is_app(const struct alert_rule *rule, const struct appmon_str *app)
{
	char text[256];

	snprintf(text, sizeof(text), "%.*s", (int)app->len, app->data);
	return !rule->application || fnmatch(rule->application, text, 0) == 0;
}

static bool rule_concerns(const struct alert_rule *rule, const struct appmon_series *series)
{
	char text[256];

	if (series->role != rule->role)
		return false;
	/* What found no room in a series of its own has no route, instance or status. */
	if (series->flags & APPMON_SERIES_OTHER &&
	    (rule->per != ALERT_PER_APPLICATION || rule->route))
		return false;
	if (!is_app(rule, &series->app))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)series->route.len, series->route.data);
	return !rule->route || fnmatch(rule->route, text, 0) == 0;
}

static int add_series(struct alerts *alerts, struct rule_groups *rule,
		      const struct appmon_snapshot *now, const struct appmon_snapshot *since,
		      uint32_t index)
{
	struct appmon_figures figures = {.size = sizeof(figures)};
	struct appmon_series series = {.size = sizeof(series)};
	struct group *group;

	appmon_snapshot_series(now, index, &series);
	if (!rule_concerns(rule->rule, &series))
		return 0;
	group = find_group(alerts, rule, &series);
	if (!group)
		return 0;
	appmon_snapshot_figures(now, APPMON_SNAPSHOT_SERIES, index, since, &figures);
	if (figures.requests > 0)
		group->seen_ns = appmon_snapshot_time(now);
	group->requests += figures.requests;
	group->errors += figures.errors;
	if (!(series.flags & APPMON_SERIES_OTHER) &&
	    series.status < sizeof(rule->rule->condition.status.status) &&
	    rule->rule->condition.status.status[series.status])
		group->matched += figures.requests;
	if (!group->durations)
		return 0;
	return appmon_snapshot_durations(now, APPMON_SNAPSHOT_SERIES, index, since,
					 group->durations);
}

/* A row of what is in progress. */
static void add_active(struct alerts *alerts, struct rule_groups *rule,
		       const struct appmon_snapshot *now, uint32_t index)
{
	struct appmon_active active = {.size = sizeof(active)};
	struct appmon_series series = {.route.data = ""};
	struct group *group;

	appmon_snapshot_active(now, index, &active);
	if (active.role != rule->rule->role || active.flags & APPMON_SERIES_OTHER ||
	    !is_app(rule->rule, &active.app))
		return;
	series.app = active.app;
	series.cgroup_id = active.cgroup_id;
	group = find_group(alerts, rule, &series);
	if (!group)
		return;
	group->active += active.requests;
	if (active.oldest_ns != 0 && (group->oldest_ns == 0 || active.oldest_ns < group->oldest_ns))
		group->oldest_ns = active.oldest_ns;
	if (active.requests > 0)
		group->seen_ns = appmon_snapshot_time(now);
}

/* False: there is none. */
static bool value_of(const struct group *group, const struct alert_rule *rule, double seconds,
		     uint64_t now, double *ret)
{
	bool enough = group->requests >= rule->min_requests;
	double requests = (double)group->requests;

	switch (rule->condition.metric) {
	case ALERT_RATE:
		*ret = requests / seconds;
		return true;
	case ALERT_STATUS_RATE:
		*ret = (double)group->matched / seconds;
		return true;
	case ALERT_ERROR_RATIO:
		*ret = enough ? (double)group->errors / requests : 0;
		return enough;
	case ALERT_STATUS_RATIO:
		*ret = enough ? (double)group->matched / requests : 0;
		return enough;
	case ALERT_LATENCY:
		*ret = (double)appmon_histogram_quantile(group->durations,
							 rule->condition.quantile) /
		       NSEC_PER_SEC;
		return enough && appmon_histogram_count(group->durations) > 0;
	case ALERT_ACTIVE:
		*ret = (double)group->active;
		return true;
	case ALERT_ACTIVE_AGE:
		*ret = group->oldest_ns != 0 && group->oldest_ns < now
			       ? (double)(now - group->oldest_ns) / NSEC_PER_SEC
			       : 0;
		return true;
	}
	return false;
}

static void step_group(struct alerts *alerts, struct rule_groups *rule, struct group *group,
		       uint64_t now, uint64_t since)
{
	double value, seconds;
	const double *known;

	/* One that is new did not have the whole window. */
	if (group->begin_ns > since)
		since = group->begin_ns;
	if (now <= since)
		return;
	seconds = (double)(now - since) / NSEC_PER_SEC;
	known = value_of(group, rule->rule, seconds, now, &value) ? &value : NULL;
	group->has_value = known != NULL;
	group->value = known ? value : 0;
	switch (alert_step(&group->state, rule->rule, now, known)) {
	case ALERT_UNCHANGED:
		/* Its silence is over. */
		if (group->state.status == ALERT_FIRING && !group->told &&
		    !is_silenced(alerts, rule, group))
			tell(alerts, rule, group, true, known, NULL);
		break;
	case ALERT_FIRED:
		group->fired_ns = now;
		alerts->firing++;
		tell(alerts, rule, group, true, known, NULL);
		break;
	case ALERT_CLEARED:
		alerts->firing--;
		tell(alerts, rule, group, false, known, known ? NULL : "too few requests");
		break;
	}
}

/* ---- The window ------------------------------------------------------------------- */

/* The latest snapshot that is at least this old; NULL: there is none, all since the start counts.
 */
static const struct appmon_snapshot *window_begin(const struct alerts *alerts, uint64_t now,
						  uint64_t over_ns)
{
	for (size_t i = alerts->history_count; i-- > 0;) {
		if (now - appmon_snapshot_time(alerts->history[i]) >= over_ns)
			return alerts->history[i];
	}
	return NULL;
}

/* Those before the one at which the longest window begins are not needed any more. */
static void forget_snapshots(struct alerts *alerts, uint64_t now)
{
	size_t old = 0;

	while (old + 1 < alerts->history_count &&
	       now - appmon_snapshot_time(alerts->history[old + 1]) >= alerts->longest_ns)
		appmon_snapshot_free(alerts->history[old++]);
	alerts->history_count -= old;
	memmove(alerts->history, alerts->history + old,
		alerts->history_count * sizeof(*alerts->history));
}

static int keep_snapshot(struct alerts *alerts, struct appmon_snapshot *snapshot)
{
	uint64_t now = appmon_snapshot_time(snapshot);
	size_t count = alerts->history_count;
	struct appmon_snapshot **grown;

	if (alerts->rule_count == 0 ||
	    (count > 0 && now - appmon_snapshot_time(alerts->history[count - 1]) <
				  alerts->shortest_ns / PIECES_OF_A_WINDOW)) {
		appmon_snapshot_free(snapshot);
		return 0;
	}
	grown = reallocarray(alerts->history, count + 1, sizeof(*grown));
	if (!grown) {
		appmon_snapshot_free(snapshot);
		return -ENOMEM;
	}
	alerts->history = grown;
	grown[alerts->history_count++] = snapshot;
	forget_snapshots(alerts, now);
	return 0;
}

static int evaluate_rule(struct alerts *alerts, struct rule_groups *rule,
			 const struct appmon_snapshot *snapshot)
{
	bool active = alert_is_active(rule->rule->condition.metric);
	uint32_t count = appmon_snapshot_count(snapshot, active ? APPMON_SNAPSHOT_ACTIVE
								: APPMON_SNAPSHOT_SERIES);
	uint64_t now = appmon_snapshot_time(snapshot);
	const struct appmon_snapshot *since = window_begin(alerts, now, rule->rule->over_ns);
	uint64_t since_ns = since ? appmon_snapshot_time(since) : alerts->start_ns;
	int ret = 0;

	for (struct group *group = rule->groups; group; group = group->next) {
		group->requests = group->errors = group->matched = 0;
		group->active = group->oldest_ns = 0;
		if (group->durations)
			appmon_histogram_clear(group->durations);
	}
	for (uint32_t i = 0; active && i < count; i++)
		add_active(alerts, rule, snapshot, i);
	for (uint32_t i = 0; !active && ret == 0 && i < count; i++)
		ret = add_series(alerts, rule, snapshot, since, i);
	for (struct group **link = &rule->groups; ret == 0 && *link;) {
		struct group *group = *link;

		step_group(alerts, rule, group, now, since_ns);
		if (!group->named && now > group->seen_ns && now - group->seen_ns > FORGET_NS)
			drop_group(alerts, rule, link, "nothing was seen of it for an hour");
		else
			link = &group->next;
	}
	return ret;
}

int alerts_evaluate(struct alerts *alerts, struct appmon_snapshot *snapshot)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < alerts->rule_count; i++)
		ret = evaluate_rule(alerts, &alerts->rules[i], snapshot);
	alerts->evaluated_ns = appmon_snapshot_time(snapshot);
	if (ret < 0)
		appmon_snapshot_free(snapshot);
	else
		ret = keep_snapshot(alerts, snapshot);
	return ret;
}

size_t alerts_firing(const struct alerts *alerts)
{
	return alerts->firing;
}

void alerts_use_silences(struct alerts *alerts, const struct silences *silences)
{
	alerts->silences = silences;
}

const struct alert_rule *alerts_rule(const struct alerts *alerts, size_t index)
{
	return index < alerts->rule_count ? alerts->rules[index].rule : NULL;
}

static void view_group(const struct rule_groups *rule, const struct group *group,
		       void (*fn)(void *ctx, const struct alert_view *view), void *ctx)
{
	bool firing = group->state.status == ALERT_FIRING;
	struct alert_view view = {.rule = rule->rule,
				  .state = &group->state,
				  .application = group->application,
				  .route = group->route,
				  .cgroup_id = group->cgroup_id,
				  .has_value = group->has_value,
				  .value = group->value,
				  .since_ns = firing ? group->fired_ns : group->state.since_ns};

	fn(ctx, &view);
}

void alerts_each(const struct alerts *alerts, void (*fn)(void *ctx, const struct alert_view *view),
		 void *ctx)
{
	for (size_t i = 0; i < alerts->rule_count; i++) {
		for (struct group *group = alerts->rules[i].groups; group; group = group->next) {
			if (group->state.status != ALERT_QUIET)
				view_group(&alerts->rules[i], group, fn, ctx);
		}
	}
}
