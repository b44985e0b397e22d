/* SPDX-License-Identifier: BSD-2-Clause */
#include "rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

static bool is_other(const struct appmon_series *series)
{
	return series->flags & APPMON_SERIES_OTHER;
}

static const char *status_of(const struct appmon_series *series)
{
	return series->status_text.len > 0 ? series->status_text.data
					   : outcome_name(series->outcome);
}

/* A new string, NULL: no memory. */
static char *label_of(const struct appmon_series *series, enum grouping by,
		      const struct address_names *names)
{
	char address[300] = "(not monitored)", *label = NULL;
	int n = 0;

	if (is_other(series) && by != BY_APP)
		return strdup("(other)");
	switch (by) {
	case BY_APP:
		n = asprintf(&label, "%s", series->app.len > 0 ? series->app.data : "(other)");
		break;
	case BY_INTERFACE:
	case BY_ERROR:
		/* The method is HTTP's. Of others the route mostly says it all: a call, a command,
		 * a statement's summary. */
		if (series->system.len > 0 &&
		    strncmp(series->route.data, series->operation.data, series->operation.len) == 0)
			return strdup(series->route.data);
		if (series->system.len > 0)
			n = asprintf(&label, "%s %s", series->operation.data, series->route.data);
		else
			n = asprintf(&label, "%s %s", series->method_name.data, series->route.data);
		break;
	case BY_INSTANCE:
		n = asprintf(&label, "cgroup %llu", (unsigned long long)series->cgroup_id);
		break;
	case BY_PEER:
		if (series->peer_app.len > 0)
			return strdup(series->peer_app.data);
		if (series->peer.family)
			address_name_format(names ? address_names_find(names, &series->peer) : NULL,
					    &series->peer, address, sizeof(address));
		return strdup(address);
	case BY_STATUS:
		return strdup(status_of(series));
	}
	return n < 0 ? NULL : label;
}

static struct row *find(struct rows *rows, enum grouping by, const char *label,
			const struct appmon_series *series)
{
	for (size_t i = 0; i < rows->count; i++) {
		struct row *row = &rows->list[i];

		if (row->role == series->role && strcmp(row->label, label) == 0 &&
		    strcmp(row->app, series->app.data) == 0 &&
		    (by != BY_ERROR || strcmp(row->status, status_of(series)) == 0))
			return row;
	}
	return NULL;
}

/* Takes the label over, also on failure. */
static struct row *find_or_add(struct rows *rows, enum grouping by, char *label,
			       const struct appmon_series *series)
{
	struct row *row = label ? find(rows, by, label, series) : NULL, *list;

	if (row || !label) {
		free(label);
		return row;
	}
	list = reallocarray(rows->list, rows->count + 1, sizeof(*list));
	if (!list) {
		free(label);
		return NULL;
	}
	rows->list = list;
	row = &list[rows->count++];
	*row = (struct row){.label = label,
			    .role = series->role,
			    .cgroup_id = series->cgroup_id,
			    .cpu = -1,
			    .memory = UINT64_MAX};
	row->app = strdup(series->app.data);
	row->status = by == BY_ERROR ? strdup(status_of(series)) : NULL;
	if (!row->app || (by == BY_ERROR && !row->status) ||
	    appmon_histogram_new(&row->durations) < 0)
		return NULL;
	return row;
}

static int add(struct rows *rows, enum grouping by, const struct appmon_series *series,
	       uint32_t index, const struct appmon_snapshot *now,
	       const struct appmon_snapshot *since, const struct trends *trends,
	       const struct address_names *names)
{
	struct appmon_figures f = {.size = sizeof(f)}, all = {.size = sizeof(all)};
	struct row *row;
	int ret;

	ret = appmon_snapshot_figures(now, APPMON_SNAPSHOT_SERIES, index, since, &f);
	if (ret == 0)
		ret = appmon_snapshot_figures(now, APPMON_SNAPSHOT_SERIES, index, NULL, &all);
	if (ret < 0 || (by == BY_ERROR && all.errors == 0))
		return ret;
	row = find_or_add(rows, by, label_of(series, by, names), series);
	if (!row)
		return -ENOMEM;
	row->requests += by == BY_ERROR ? all.errors : f.requests;
	row->errors += f.errors;
	row->bytes += f.request_bytes + f.response_bytes;
	row->served += f.service_count;
	row->queue_ns += f.queue_sum;
	row->service_ns += f.service_sum;
	if (all.last_ns > row->last_ns)
		row->last_ns = all.last_ns;
	trends_sum(trends, series->id, &row->trend);
	return appmon_snapshot_durations(now, APPMON_SNAPSHOT_SERIES, index, since, row->durations);
}

/* What is in progress, also of an application that has answered no request yet. */
static int add_active(struct rows *rows, enum grouping by, const struct selection *only,
		      const struct appmon_snapshot *now, uint32_t index)
{
	struct appmon_active active = {.size = sizeof(active)};
	struct appmon_series series = {.route.data = ""};
	struct row *row;

	appmon_snapshot_active(now, index, &active);
	if (active.role == APPMON_ROLE_UNKNOWN || active.flags & APPMON_SERIES_OTHER ||
	    (only && (active.role != only->role || strcmp(active.app.data, only->app) != 0)))
		return 0;
	series.app = active.app;
	series.cgroup_id = active.cgroup_id;
	series.role = active.role;
	row = find_or_add(rows, by, label_of(&series, by, NULL), &series);
	if (!row)
		return -ENOMEM;
	row->active += active.requests;
	if (active.oldest_ns != 0 && (row->oldest_ns == 0 || active.oldest_ns < row->oldest_ns))
		row->oldest_ns = active.oldest_ns;
	return 0;
}

int rows_make(struct rows *rows, enum grouping by, const struct selection *only,
	      const struct appmon_snapshot *now, const struct appmon_snapshot *since,
	      const struct trends *trends, const struct address_names *names)
{
	uint32_t count = appmon_snapshot_count(now, APPMON_SNAPSHOT_SERIES);
	int ret = 0;

	*rows = (struct rows){0};
	for (uint32_t i = 0; ret == 0 && i < count; i++) {
		struct appmon_series series = {.size = sizeof(series)};

		ret = appmon_snapshot_series(now, i, &series);
		if (ret == 0 && (!only || (series.role == only->role &&
					   strcmp(series.app.data, only->app) == 0)))
			ret = add(rows, by, &series, i, now, since, trends, names);
	}
	count = by == BY_APP || by == BY_INSTANCE
			? appmon_snapshot_count(now, APPMON_SNAPSHOT_ACTIVE)
			: 0;
	for (uint32_t i = 0; ret == 0 && i < count; i++)
		ret = add_active(rows, by, only, now, i);
	for (size_t i = 0; ret == 0 && i < rows->count; i++) {
		struct row *row = &rows->list[i];

		row->p50 = appmon_histogram_quantile(row->durations, 0.5);
		row->p95 = appmon_histogram_quantile(row->durations, 0.95);
		row->p99 = appmon_histogram_quantile(row->durations, 0.99);
	}
	if (ret < 0)
		rows_free(rows);
	return ret;
}

void row_free(struct row *row)
{
	free(row->label);
	free(row->app);
	free(row->status);
	appmon_histogram_free(row->durations);
}

void rows_free(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		row_free(&rows->list[i]);
	free(rows->list);
	*rows = (struct rows){0};
}

double row_mean(const struct row *row, uint64_t sum_ns)
{
	return row->served > 0 ? (double)sum_ns / (double)row->served : -1;
}

static double value_of(const struct row *row, enum column column)
{
	switch (column) {
	case COLUMN_RATE:
		return (double)row->requests;
	case COLUMN_ERRORS:
		return row->requests > 0 ? (double)row->errors / (double)row->requests : 0;
	case COLUMN_P50:
		return (double)row->p50;
	case COLUMN_P95:
		return (double)row->p95;
	case COLUMN_P99:
		return (double)row->p99;
	case COLUMN_QUEUE:
		return row_mean(row, row->queue_ns);
	case COLUMN_SERVICE:
		return row_mean(row, row->service_ns);
	case COLUMN_BYTES:
		return (double)row->bytes;
	case COLUMN_CPU:
		return row->cpu;
	case COLUMN_MEMORY:
		return row->memory == UINT64_MAX ? -1 : (double)row->memory;
	case COLUMN_ACTIVE:
		return (double)row->active;
	case COLUMN_OLDEST: /* the one that began first is the greatest */
		return row->oldest_ns != 0 ? -(double)row->oldest_ns : -1e20;
	default:
		return 0;
	}
}

struct order {
	enum column column;
	bool reverse;
};

static int compare(const void *a, const void *b, void *ctx)
{
	const struct row *x = a, *y = b;
	const struct order *order = ctx;
	double vx = value_of(x, order->column), vy = value_of(y, order->column);
	int result = (vx < vy) - (vx > vy);

	if (result == 0 && order->column != COLUMN_NAME)
		result = (x->p95 < y->p95) - (x->p95 > y->p95);
	if (result == 0)
		result = strcmp(x->label, y->label);
	if (result == 0)
		result = (x->role > y->role) - (x->role < y->role);
	return order->reverse ? -result : result;
}

void rows_sort(struct rows *rows, enum column column, bool reverse)
{
	struct order order = {.column = column, .reverse = reverse};

	if (rows->count > 0)
		qsort_r(rows->list, rows->count, sizeof(*rows->list), compare, &order);
}
