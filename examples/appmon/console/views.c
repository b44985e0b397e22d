/* SPDX-License-Identifier: BSD-2-Clause */
#include "views.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../names.h"
#include "json-fields.h"

/* Of the heat map: four of the history's buckets are one. */
#define HEAT_BUCKETS 4
/* Of an instance: names of Kubernetes are shorter. */
#define LABEL_SIZE 512

/* ---- Parts of documents ---------------------------------------------------------------- */

static void put_mean(struct json_line *json, const char *key, uint64_t sum, uint64_t count)
{
	if (count > 0)
		put_uint(json, key, sum / count);
}

static void put_figures(struct json_line *json, const struct figures *f)
{
	put_uint(json, "requests", f->requests);
	put_uint(json, "errors", f->errors);
	if (f->durations == 0)
		return;
	put_uint(json, "p50_ns", buckets_quantile(f->counts, 0.5));
	put_uint(json, "p95_ns", buckets_quantile(f->counts, 0.95));
	put_uint(json, "p99_ns", buckets_quantile(f->counts, 0.99));
	put_uint(json, "time_ns", f->duration_sum);
	put_mean(json, "mean_ns", f->duration_sum, f->durations);
	put_mean(json, "request_ns", f->request_sum, f->durations);
	put_mean(json, "wait_ns", f->wait_sum, f->waits);
	put_mean(json, "response_ns", f->response_sum, f->durations);
	put_mean(json, "queue_ns", f->queue_sum, f->services);
	put_mean(json, "service_ns", f->service_sum, f->services);
}

static void put_period(struct json_line *json, const struct view *view)
{
	const struct history *history = view->period.history;
	uint64_t from_ns = 0, to_ns = 0;

	for (size_t i = 0; i < history->count; i++) {
		const struct step *step = history->steps[i];

		if (!period_has(&view->period, step))
			continue;
		if (from_ns == 0)
			from_ns = step->begin_ns;
		to_ns = step->end_ns;
	}
	put_time(json, "from_ms", view->mon, from_ns);
	put_time(json, "to_ms", view->mon, to_ns);
	put_uint(json, "length_ms", period_length_ns(&view->period) / NSEC_PER_MSEC);
}

static void begin_list(struct json_line *json, const char *key)
{
	json_line_key(json, key);
	json_line_open(json, '[');
}

static void begin_element(struct json_line *json)
{
	json_line_element(json);
	json_line_open(json, '{');
}

/* In progress when the latest step of the period ended. */
static uint64_t active_of(const struct step *step, const struct which *which, uint64_t instance,
			  uint64_t *ret_oldest_ns)
{
	uint64_t requests = 0, oldest_ns = 0;

	for (size_t i = 0; i < step->gauge_count; i++) {
		const struct gauge *gauge = &step->gauges[i];

		if (!which_has(which, gauge->subject) ||
		    (instance != 0 && gauge->subject->instance != instance))
			continue;
		requests += gauge->requests;
		if (gauge->oldest_ns != 0 && (oldest_ns == 0 || gauge->oldest_ns < oldest_ns))
			oldest_ns = gauge->oldest_ns;
	}
	*ret_oldest_ns = oldest_ns;
	return requests;
}

static const struct step *latest_of(const struct period *period)
{
	for (size_t i = period->history->count; i-- > 0;) {
		if (period_has(period, period->history->steps[i]))
			return period->history->steps[i];
	}
	return NULL;
}

static void put_active(struct json_line *json, const struct view *view, const struct which *which,
		       uint64_t instance)
{
	const struct step *latest = latest_of(&view->period);
	uint64_t oldest_ns = 0, active;

	if (!latest)
		return;
	active = active_of(latest, which, instance, &oldest_ns);
	put_uint(json, "active", active);
	if (active > 0 && oldest_ns != 0 && oldest_ns < latest->end_ns)
		put_uint(json, "oldest_ns", latest->end_ns - oldest_ns);
}

/* ---- Overview -------------------------------------------------------------------------- */

static void put_application(struct json_line *json, const struct view *view,
			    const struct figures_group *group)
{
	const struct which which = {group->subject->texts[TEXT_APPLICATION], group->subject->role};

	begin_element(json);
	put_text(json, "name", which.application);
	put_text(json, "role", role_name(which.role));
	put_figures(json, &group->figures);
	put_active(json, view, &which, 0);
	json_line_close(json, '}');
}

static void put_edge(struct json_line *json, const struct figures_group *group)
{
	const struct subject *subject = group->subject;

	begin_element(json);
	put_text(json, "client", subject->texts[TEXT_APPLICATION]);
	put_bool(json, "client_watched", subject->ends & SUBJECT_APPLICATION_WATCHED);
	put_text(json, "server", subject->texts[TEXT_PEER]);
	put_bool(json, "server_watched", subject->ends & SUBJECT_PEER_WATCHED);
	put_text(json, "protocol", protocol_name(subject->protocol));
	put_figures(json, &group->figures);
	json_line_close(json, '}');
}

/* What was seen, and is in no figure. */
static void put_lost(struct json_line *json, struct appmon *mon)
{
	struct appmon_stats stats = {.size = sizeof(stats)};
	uint64_t lost = 0;

	if (appmon_get_stats(mon, 0, &stats) < 0)
		return;
	for (int i = 0; i < APPMON_DROP_MAX; i++)
		lost += stats.dropped[i];
	put_uint(json, "seen", stats.exchanges_seen);
	put_uint(json, "dropped", lost);
}

int view_overview(FILE *out, const struct view *view)
{
	const struct history *history = view->period.history;
	struct figures_groups applications, edges;
	struct json_line json;

	if (groups_make(&applications, &view->period, PER_APPLICATION, NULL) < 0)
		return -ENOMEM;
	if (groups_make(&edges, &view->period, PER_EDGE, NULL) < 0) {
		groups_release(&applications);
		return -ENOMEM;
	}
	json_line_begin(&json, out);
	put_period(&json, view);
	put_time(&json, "history_from_ms", view->mon,
		 history->count > 0 ? history->steps[0]->begin_ns : history->start_ns);
	put_bool(&json, "history_cut", history_is_cut(history));
	put_uint(&json, "history_bytes", history->bytes);
	put_lost(&json, view->mon);
	put_uint(&json, "alerts_firing", view->firing);
	put_uint(&json, "alerts_pending", view->pending);
	begin_list(&json, "applications");
	for (size_t i = 0; i < applications.count; i++)
		put_application(&json, view, applications.list[i]);
	json_line_close(&json, ']');
	begin_list(&json, "edges");
	for (size_t i = 0; i < edges.count; i++)
		put_edge(&json, edges.list[i]);
	json_line_close(&json, ']');
	json_line_end(&json);
	groups_release(&applications);
	groups_release(&edges);
	return 0;
}

/* ---- An application ----------------------------------------------------------------------- */

/* Pairs of a bucket's least duration and its count. */
static void put_heat(struct json_line *json, const struct figures *figures)
{
	begin_list(json, "heat");
	for (uint32_t i = 0; i < BUCKETS; i += HEAT_BUCKETS) {
		uint64_t count = 0;

		for (uint32_t k = 0; k < HEAT_BUCKETS; k++)
			count += figures->counts[i + k];
		if (count == 0)
			continue;
		json_line_element(json);
		json_line_uint(json, bucket_least(i));
		json_line_element(json);
		json_line_uint(json, count);
	}
	json_line_close(json, ']');
}

static void put_step(struct json_line *json, const struct view *view, const struct step *step,
		     const struct which *which, struct figures *total)
{
	struct figures figures = {0};
	uint64_t oldest_ns;

	for (size_t i = 0; i < step->cell_count; i++) {
		const struct cell *cell = &step->cells[i];

		if (cell->subject->kind != SUBJECT_SERIES || !which_has(which, cell->subject))
			continue;
		figures_add(&figures, step, cell);
		figures_add(total, step, cell);
	}
	begin_element(json);
	put_time(json, "from_ms", view->mon, step->begin_ns);
	put_time(json, "to_ms", view->mon, step->end_ns);
	put_uint(json, "requests", figures.requests);
	put_uint(json, "errors", figures.errors);
	if (figures.durations > 0) {
		put_uint(json, "p50_ns", buckets_quantile(figures.counts, 0.5));
		put_uint(json, "p95_ns", buckets_quantile(figures.counts, 0.95));
		put_uint(json, "p99_ns", buckets_quantile(figures.counts, 0.99));
	}
	put_uint(json, "active", active_of(step, which, 0, &oldest_ns));
	put_heat(json, &figures);
	json_line_close(json, '}');
}

static const struct consumption *consumption_of(const struct step *step, uint64_t instance)
{
	for (size_t i = 0; i < step->consumption_count; i++) {
		if (step->consumptions[i].instance == instance)
			return &step->consumptions[i];
	}
	return NULL;
}

/* The earliest and the latest reading; the one before the period counts as its beginning. */
static void put_consumption(struct json_line *json, const struct view *view, uint64_t instance)
{
	const struct history *history = view->period.history;
	const struct appmon_resources *first = NULL, *last = NULL;
	uint64_t elapsed_ns, valid;

	for (size_t i = 0; i < history->count; i++) {
		const struct step *step = history->steps[i];
		const struct consumption *here = consumption_of(step, instance);

		if (!here || step->begin_ns >= view->period.to_ns)
			continue;
		if (!first || step->end_ns <= view->period.from_ns)
			first = &here->resources;
		last = &here->resources;
	}
	if (!last || !(last->valid & APPMON_RES_MEMORY))
		put_text(json, "memory_unknown",
			 instances_why_no_memory(view->instances, instance));
	if (!last)
		return;
	valid = first->valid & last->valid;
	elapsed_ns = last->time_ns - first->time_ns;
	if (valid & APPMON_RES_CPU && elapsed_ns > 0) {
		put_uint(json, "elapsed_ns", elapsed_ns);
		put_uint(json, "cpu_ns", last->cpu_ns - first->cpu_ns);
		if (valid & APPMON_RES_THROTTLING)
			put_uint(json, "throttled_ns", last->throttled_ns - first->throttled_ns);
	}
	if (last->valid & APPMON_RES_MEMORY) {
		put_uint(json, "memory_bytes", last->memory_bytes);
		if (last->memory_limit != UINT64_MAX)
			put_uint(json, "memory_limit", last->memory_limit);
	}
	if (last->valid & APPMON_RES_PIDS)
		put_uint(json, "pids", last->pids);
}

static void put_instance(struct json_line *json, const struct view *view, uint64_t instance)
{
	char number[24], label[LABEL_SIZE];
	const char *path = instances_name(view->instances, instance, number, sizeof(number));

	put_text(json, "instance", path);
	if (view->label_instance && view->label_instance(view->ctx, path, label, sizeof(label)))
		put_text(json, "label", label);
}

static void put_labels(struct json_line *json, const struct view *view, enum figures_per per,
		       const struct which *which, const struct subject *subject)
{
	switch (per) {
	case PER_ERROR:
		put_text(json, "status", subject->texts[TEXT_STATUS]);
		put_text(json, "outcome", outcome_name(subject->outcome));
		/* fall through */
	case PER_INTERFACE:
		put_text(json, "system", subject->texts[TEXT_SYSTEM]);
		put_text(json, "operation", subject->texts[TEXT_OPERATION]);
		put_text(json, "route", subject->texts[TEXT_ROUTE]);
		put_text(json, "protocol", protocol_name(subject->protocol));
		break;
	case PER_INSTANCE:
		put_instance(json, view, subject->instance);
		put_active(json, view, which, subject->instance);
		put_uint(json, "restarts", instances_restarts(view->instances, subject->instance));
		put_consumption(json, view, subject->instance);
		break;
	case PER_PEER:
		put_text(json, "peer", subject->texts[TEXT_PEER]);
		put_bool(json, "peer_watched", subject->ends & SUBJECT_PEER_WATCHED);
		break;
	case PER_APPLICATION:
	case PER_EDGE:
		break;
	}
}

static int put_groups(struct json_line *json, const char *key, const struct view *view,
		      enum figures_per per, const struct which *which)
{
	struct figures_groups groups;

	if (groups_make(&groups, &view->period, per, which) < 0)
		return -ENOMEM;
	begin_list(json, key);
	for (size_t i = 0; i < groups.count; i++) {
		begin_element(json);
		put_labels(json, view, per, which, groups.list[i]->subject);
		put_figures(json, &groups.list[i]->figures);
		json_line_close(json, '}');
	}
	json_line_close(json, ']');
	if (groups.full)
		put_bool(json, "more", true);
	groups_release(&groups);
	return 0;
}

/* Whether it serves, and whether it sends. */
static void put_roles(struct json_line *json, const struct history *history, const char *name)
{
	static const uint32_t roles[] = {APPMON_ROLE_SERVER, APPMON_ROLE_CLIENT};

	begin_list(json, "roles");
	for (size_t r = 0; r < sizeof(roles) / sizeof(roles[0]); r++) {
		const struct which which = {name, roles[r]};
		bool found = false;

		for (size_t i = 0; !found && i < history->count; i++) {
			const struct step *step = history->steps[i];

			for (size_t k = 0; !found && k < step->cell_count; k++)
				found = step->cells[k].subject->kind == SUBJECT_SERIES &&
					which_has(&which, step->cells[k].subject);
			for (size_t k = 0; !found && k < step->gauge_count; k++)
				found = which_has(&which, step->gauges[k].subject);
		}
		if (!found)
			continue;
		json_line_element(json);
		json_line_string(json, role_name(roles[r]), strlen(role_name(roles[r])));
	}
	json_line_close(json, ']');
}

int view_application(FILE *out, const struct view *view, const struct which *which)
{
	const struct history *history = view->period.history;
	struct figures *total = calloc(1, sizeof(*total));
	struct json_line json;
	int ret;

	if (!total)
		return -ENOMEM;
	json_line_begin(&json, out);
	put_text(&json, "name", which->application);
	put_text(&json, "role", role_name(which->role));
	put_roles(&json, history, which->application);
	put_period(&json, view);
	begin_list(&json, "steps");
	for (size_t i = 0; i < history->count; i++) {
		if (period_has(&view->period, history->steps[i]))
			put_step(&json, view, history->steps[i], which, total);
	}
	json_line_close(&json, ']');
	json_line_key(&json, "total");
	json_line_open(&json, '{');
	put_figures(&json, total);
	put_active(&json, view, which, 0);
	json_line_close(&json, '}');
	ret = put_groups(&json, "interfaces", view, PER_INTERFACE, which);
	if (ret == 0)
		ret = put_groups(&json, "instances", view, PER_INSTANCE, which);
	if (ret == 0)
		ret = put_groups(&json, "peers", view, PER_PEER, which);
	if (ret == 0)
		ret = put_groups(&json, "errors", view, PER_ERROR, which);
	json_line_end(&json);
	free(total);
	return ret;
}
