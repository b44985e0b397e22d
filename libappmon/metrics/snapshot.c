/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of what the aggregator holds, to be read and compared in peace. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/aggregate.h"

#define KINDS 3

struct list {
	uint32_t count;
	struct series **series; /* by id; their histograms' buckets are in the same block */
};

struct appmon_snapshot {
	uint64_t origin;
	uint64_t number; /* among those of the same aggregator */
	uint64_t now_ns;
	struct list list[KINDS];
};

/* ---- taking one ------------------------------------------------------------------------------ */

static size_t rounded(size_t bytes)
{
	return (bytes + 7) / 8 * 8;
}

static size_t series_bytes(const struct series *s)
{
	size_t bytes = rounded(sizeof(*s) + s->key_len);

	for (unsigned i = 0; i < TIMES; i++)
		bytes += histogram_bytes(&s->figures.times[i]);
	return bytes;
}

/* The ones for what finds no room are there from the start, and shown once they counted something.
 * Of what is in progress 0 is shown, too. */
static bool is_shown(const struct series *s, uint32_t kind)
{
	return s && (s->figures.requests || (kind == APPMON_SNAPSHOT_ACTIVE && s->share));
}

static size_t table_bytes(const struct table *t, uint32_t kind)
{
	size_t bytes = 0;

	for (uint32_t i = 0; t->slot && i <= t->mask; i++)
		if (is_shown(t->slot[i].series, kind))
			bytes += sizeof(void *) + series_bytes(t->slot[i].series);
	return bytes;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = (*(struct series *const *)a)->id, y = (*(struct series *const *)b)->id;

	return x < y ? -1 : x > y;
}

static void *take(char **at, size_t bytes)
{
	void *p = *at;

	*at += bytes;
	return p;
}

static struct series *copy_series(char **at, const struct series *from)
{
	struct series *s = take(at, rounded(sizeof(*s) + from->key_len));

	memcpy(s, from, sizeof(*s) + from->key_len);
	for (unsigned i = 0; i < TIMES; i++) {
		struct appmon_histogram *h = &s->figures.times[i];

		if (!h->blocks)
			continue;
		h->bucket = take(at, histogram_bytes(h));
		memcpy(h->bucket, from->figures.times[i].bucket, histogram_bytes(h));
	}
	return s;
}

static void copy_table(char **at, const struct table *t, struct list *list, uint32_t kind)
{
	list->series = take(at, 0);
	for (uint32_t i = 0; t->slot && i <= t->mask; i++)
		if (is_shown(t->slot[i].series, kind))
			list->series[list->count++] = t->slot[i].series;
	take(at, list->count * sizeof(*list->series));
	if (!list->count)
		return;
	qsort(list->series, list->count, sizeof(*list->series), by_id);
	for (uint32_t i = 0; i < list->count; i++)
		list->series[i] = copy_series(at, list->series[i]);
}

int appmon_metrics_snapshot(struct appmon_metrics *m, const struct appmon_snapshot_opts *user_opts,
			    struct appmon_snapshot **ret)
{
	struct appmon_snapshot_opts opts = {0};
	const struct table *table[KINDS] = {NULL};
	struct appmon_snapshot *snapshot;
	size_t bytes = sizeof(*snapshot);
	char *at;
	int err;

	if (!m || !ret)
		return -EINVAL;
	err = user_opts ? opts_read(&opts, sizeof(opts), user_opts) : 0;
	if (err)
		return err;
	if (opts.flags & ~APPMON_TAKE_WAITING)
		return -EINVAL;
	if (!opts.now_ns)
		opts.now_ns = now_ns();
	metrics_settle(m, opts.now_ns, opts.flags & APPMON_TAKE_WAITING);
	if (m->active.slot)
		metrics_find_active(m, opts.now_ns); /* what is in progress is not idle */
	metrics_expire(m, opts.now_ns);
	table[APPMON_SNAPSHOT_SERIES] = &m->series;
	table[APPMON_SNAPSHOT_EDGES] = &m->edges;
	table[APPMON_SNAPSHOT_ACTIVE] = &m->active;
	for (uint32_t kind = 0; kind < KINDS; kind++)
		bytes += table_bytes(table[kind], kind);
	snapshot = malloc(bytes);
	if (!snapshot) {
		metrics_clear_active(m);
		return -ENOMEM;
	}
	*snapshot = (struct appmon_snapshot){
		.origin = m->origin, .number = ++m->taken, .now_ns = opts.now_ns};
	at = (char *)(snapshot + 1);
	for (uint32_t kind = 0; kind < KINDS; kind++)
		copy_table(&at, table[kind], &snapshot->list[kind], kind);
	metrics_clear_active(m);
	*ret = snapshot;
	return 0;
}

void appmon_snapshot_free(struct appmon_snapshot *snapshot)
{
	free(snapshot);
}

/* ---- reading it ------------------------------------------------------------------------------ */

uint64_t appmon_snapshot_time(const struct appmon_snapshot *snapshot)
{
	return snapshot ? snapshot->now_ns : 0;
}

uint32_t appmon_snapshot_count(const struct appmon_snapshot *snapshot, uint32_t kind)
{
	return snapshot && kind < KINDS ? snapshot->list[kind].count : 0;
}

static const struct series *at_index(const struct appmon_snapshot *snapshot, uint32_t kind,
				     uint32_t index)
{
	return index < appmon_snapshot_count(snapshot, kind) ? snapshot->list[kind].series[index]
							     : NULL;
}

static struct appmon_str text(const char *s, size_t offset, size_t len)
{
	return (struct appmon_str){.data = s + offset, .len = (uint32_t)len};
}

static struct appmon_str key_text(const struct series_key *key, unsigned which)
{
	return text(key->text, text_offset(key, which), key->len[which]);
}

static const struct appmon_str *method_name(uint32_t method, struct appmon_str *ret)
{
	/* What is not listed is one, as names are the sender's to choose. */
	ret->data = method == APPMON_METHOD_OTHER ? "_OTHER" : appmon_method_name(method);
	ret->len = (uint32_t)strlen(ret->data);
	return ret;
}

int appmon_snapshot_series(const struct appmon_snapshot *snapshot, uint32_t index,
			   struct appmon_series *ret)
{
	const struct series *s = at_index(snapshot, APPMON_SNAPSHOT_SERIES, index);
	const struct series_key *key;
	struct appmon_series out = {0};

	if (!ret)
		return -EINVAL;
	if (!s)
		return -ENOENT;
	key = (const void *)s->key;
	out.flags = key->flags;
	out.id = s->id;
	out.cgroup_id = key->cgroup_id;
	out.pid = key->pid;
	out.role = key->role;
	out.protocol = key->protocol;
	out.method = key->method;
	out.status = key->status;
	out.outcome = key->outcome;
	out.app = key_text(key, TEXT_APP);
	out.route = key_text(key, TEXT_ROUTE);
	out.peer_app = key_text(key, TEXT_PEER_APP);
	out.system = text(key->system, 0, strlen(key->system));
	out.operation = key_text(key, TEXT_OPERATION);
	out.resource = key_text(key, TEXT_RESOURCE);
	out.resource_namespace = key_text(key, TEXT_NAMESPACE);
	method_name(key->method, &out.method_name);
	out.status_text = text(key->status_text, 0, strlen(key->status_text));
	out.peer = key->peer;
	return opts_write(ret, &out, sizeof(out));
}

int appmon_snapshot_edge(const struct appmon_snapshot *snapshot, uint32_t index,
			 struct appmon_edge *ret)
{
	const struct series *s = at_index(snapshot, APPMON_SNAPSHOT_EDGES, index);
	const struct edge_key *key;
	struct appmon_edge out = {0};

	if (!ret)
		return -EINVAL;
	if (!s)
		return -ENOENT;
	key = (const void *)s->key;
	out.flags = key->flags;
	out.id = s->id;
	out.protocol = key->protocol;
	out.client_app = text(key->text, 0, key->client_app_len);
	out.server_app = text(key->text, key->client_app_len + 1u, key->server_app_len);
	out.client = key->client;
	out.server = key->server;
	return opts_write(ret, &out, sizeof(out));
}

int appmon_snapshot_active(const struct appmon_snapshot *snapshot, uint32_t index,
			   struct appmon_active *ret)
{
	const struct series *s = at_index(snapshot, APPMON_SNAPSHOT_ACTIVE, index);
	const struct series_key *key;
	struct appmon_active out = {0};

	if (!ret)
		return -EINVAL;
	if (!s)
		return -ENOENT;
	key = (const void *)s->key;
	out.flags = key->flags;
	out.cgroup_id = key->cgroup_id;
	out.role = key->role;
	out.protocol = key->protocol;
	out.method = key->method;
	out.app = key_text(key, TEXT_APP);
	method_name(key->method, &out.method_name);
	out.requests = s->figures.requests;
	out.oldest_ns = s->figures.first_ns;
	return opts_write(ret, &out, sizeof(out));
}

/* The same series in an earlier snapshot; NULL: it is not there. */
static const struct series *find(const struct appmon_snapshot *snapshot, uint32_t kind, uint64_t id)
{
	const struct list *list = &snapshot->list[kind];
	uint32_t from = 0, to = list->count;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (list->series[middle]->id == id)
			return list->series[middle];
		if (list->series[middle]->id < id)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

/* A series now and then. */
static int look_up(const struct appmon_snapshot *snapshot, uint32_t kind, uint32_t index,
		   const struct appmon_snapshot *since, const struct series **ret_now,
		   const struct series **ret_then)
{
	*ret_now = kind == APPMON_SNAPSHOT_ACTIVE ? NULL : at_index(snapshot, kind, index);
	if (!*ret_now)
		return -ENOENT;
	if (since && (since->origin != snapshot->origin || since->number > snapshot->number))
		return -EINVAL;
	*ret_then = since ? find(since, kind, (*ret_now)->id) : NULL;
	return 0;
}

int appmon_snapshot_figures(const struct appmon_snapshot *snapshot, uint32_t kind, uint32_t index,
			    const struct appmon_snapshot *since, struct appmon_figures *ret)
{
	static const struct series none;
	const struct series *now_series, *then_series;
	const struct appmon_histogram *durations, *durations_then;
	const struct figures *now, *then;
	struct appmon_figures out = {0};
	int err;

	if (!ret)
		return -EINVAL;
	err = look_up(snapshot, kind, index, since, &now_series, &then_series);
	if (err)
		return err;
	now = &now_series->figures;
	then = then_series ? &then_series->figures : &none.figures;
	durations = &now->times[APPMON_TIME_DURATION];
	durations_then = &then->times[APPMON_TIME_DURATION];
	out.requests = now->requests - then->requests;
	out.errors = now->errors - then->errors;
	out.request_bytes = now->request_bytes - then->request_bytes;
	out.response_bytes = now->response_bytes - then->response_bytes;
	out.duration_count = durations->count - durations_then->count;
	out.duration_sum = durations->sum - durations_then->sum;
	out.duration_max = histogram_max_difference(durations, durations_then);
	out.request_sum = now->request_sum - then->request_sum;
	out.wait_count = now->wait_count - then->wait_count;
	out.wait_sum = now->wait_sum - then->wait_sum;
	out.response_sum = now->response_sum - then->response_sum;
	out.service_count = now->service_count - then->service_count;
	out.queue_sum = now->queue_sum - then->queue_sum;
	out.service_sum = now->service_sum - then->service_sum;
	out.retransmits = now->retransmits - then->retransmits;
	out.first_ns = now->first_ns;
	out.last_ns = now->last_ns;
	return opts_write(ret, &out, sizeof(out));
}

int appmon_snapshot_durations(const struct appmon_snapshot *snapshot, uint32_t kind, uint32_t index,
			      const struct appmon_snapshot *since,
			      struct appmon_histogram *histogram)
{
	return appmon_snapshot_histogram(snapshot, kind, index, since, APPMON_TIME_DURATION,
					 histogram);
}

int appmon_snapshot_histogram(const struct appmon_snapshot *snapshot, uint32_t kind, uint32_t index,
			      const struct appmon_snapshot *since, uint32_t time,
			      struct appmon_histogram *histogram)
{
	const struct series *now, *then;
	int err;

	if (!histogram || time >= TIMES)
		return -EINVAL;
	err = look_up(snapshot, kind, index, since, &now, &then);
	if (err)
		return err;
	return histogram_add_difference(histogram, &now->figures.times[time],
					then ? &then->figures.times[time] : NULL);
}

int appmon_snapshot_exemplar(const struct appmon_snapshot *snapshot, uint32_t kind, uint32_t index,
			     struct appmon_exemplar *ret)
{
	const struct series *s = at_index(snapshot, kind, index);
	struct appmon_exemplar out = {0};

	if (!ret)
		return -EINVAL;
	if (!s)
		return -ENOENT;
	if (!s->exemplar.end_ns)
		return -ENODATA;
	out.duration_ns = s->exemplar.duration_ns;
	out.end_ns = s->exemplar.end_ns;
	memcpy(out.trace_id, s->exemplar.trace_id, sizeof(out.trace_id));
	memcpy(out.span_id, s->exemplar.span_id, sizeof(out.span_id));
	return opts_write(ret, &out, sizeof(out));
}
