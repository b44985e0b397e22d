/* SPDX-License-Identifier: BSD-2-Clause */
#include "traces.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../clock.h"
#include "../trace-context.h"

#define BUCKETS 1024
/* More do not wait, but are in traces of their own. */
#define MAX_WAITING 4096
/* Exchanges of late whose ids are known: for what ends behind that which it was made for. */
#define MAX_KNOWN 8192
/* Deeper ones are cut when they expire. */
#define LONGEST_CHAIN 64

struct exchange {
	uint64_t connection_id, ordinal;
};

struct waiting {
	struct waiting *next;
	struct exchange own, cause;
	uint64_t since_ns, cgroup_id;
	struct json_object *span;
	uint32_t app_len;
	char app[];
};

struct traces {
	traces_ready_fn ready;
	void *ctx;
	struct waiting *waiting[BUCKETS]; /* by cause, the latest first */
	unsigned waiting_count;
	struct known {
		struct exchange exchange; /* connection_id 0: there is none */
		struct otlp_ids ids;
	} known[MAX_KNOWN]; /* each has one place: a later one takes it */
};

static uint64_t hash(const struct exchange *e)
{
	/* Fibonacci hashing; cookies and ordinals count up. */
	return (e->connection_id * UINT64_C(0x9e3779b97f4a7c15) + e->ordinal) *
		       UINT64_C(0x9e3779b97f4a7c15) >>
	       32;
}

static bool is_same(const struct exchange *a, const struct exchange *b)
{
	return a->connection_id == b->connection_id && a->ordinal == b->ordinal;
}

static void random_hex(char *text, size_t bytes)
{
	uint8_t random[16];

	/* Up to 256 bytes come whole (getrandom(2)). */
	if (getrandom(random, bytes, 0) < 0)
		memset(random, 1, bytes);
	for (size_t i = 0; i < bytes; i++)
		snprintf(text + 2 * i, 3, "%02x", random[i]);
}

static void begin_trace(struct otlp_ids *ids)
{
	random_hex(ids->trace_id, 16);
	ids->parent_id[0] = '\0';
}

static void below(struct otlp_ids *ids, const struct otlp_ids *parent)
{
	memcpy(ids->trace_id, parent->trace_id, sizeof(ids->trace_id));
	memcpy(ids->parent_id, parent->span_id, sizeof(ids->parent_id));
}

/* Trace and parent of a span are known, and so are those of the spans that waited for it. */
static void ready(struct traces *traces, const struct exchange *own, const struct appmon_str *app,
		  uint64_t cgroup_id, struct otlp_ids *ids, struct json_object *span)
{
	struct waiting **link = &traces->waiting[hash(own) % BUCKETS], *list = NULL, *w;

	random_hex(ids->span_id, 8);
	traces->known[hash(own) % MAX_KNOWN] = (struct known){*own, *ids};
	traces->ready(traces->ctx, app, cgroup_id, ids, span);
	/* Turned over: the earliest comes first. */
	while ((w = *link)) {
		if (!is_same(&w->cause, own)) {
			link = &w->next;
			continue;
		}
		*link = w->next;
		w->next = list;
		list = w;
	}
	while ((w = list)) {
		struct otlp_ids child;

		list = w->next;
		traces->waiting_count--;
		below(&child, ids);
		ready(traces, &w->own, &(struct appmon_str){.data = w->app, .len = w->app_len},
		      w->cgroup_id, &child, w->span);
		free(w);
	}
}

/* False: there is no room for it. */
static bool wait_for(struct traces *traces, const struct exchange *own,
		     const struct exchange *cause, const struct appmon_event *ev,
		     struct json_object *span)
{
	struct waiting **bucket = &traces->waiting[hash(cause) % BUCKETS], *w;

	if (traces->waiting_count == MAX_WAITING)
		return false;
	w = calloc(1, sizeof(*w) + ev->target_name.len + 1);
	if (!w)
		return false;
	*w = (struct waiting){.next = *bucket,
			      .own = *own,
			      .cause = *cause,
			      .since_ns = now_ns(),
			      .cgroup_id = ev->cgroup_id,
			      .span = span,
			      .app_len = ev->target_name.len};
	memcpy(w->app, ev->target_name.data, w->app_len);
	*bucket = w;
	traces->waiting_count++;
	return true;
}

/* What is likely only is no parent. */
static bool is_certain(uint32_t link)
{
	switch (link) {
	case APPMON_LINK_THREAD:
	case APPMON_LINK_PEER:
	case APPMON_LINK_FORWARDED:
	case APPMON_LINK_REQUEST_ID:
	case APPMON_LINK_TRACE_ID:
	case APPMON_LINK_GOROUTINE:
		return true;
	default:
		return false;
	}
}

static bool is_named(const struct appmon_event *ev, struct otlp_ids *ids)
{
	const struct appmon_str *header = appmon_event_header(ev, "traceparent", 0);

	return header && trace_context_parse(header, ids->trace_id, ids->parent_id) == 0;
}

void traces_add(struct traces *traces, const struct appmon_event *ev, struct json_object *span)
{
	struct exchange own = {ev->connection_id, ev->ordinal};
	struct exchange cause = {ev->link_connection_id, ev->link_ordinal};
	const struct known *known = &traces->known[hash(&cause) % MAX_KNOWN];
	bool certain = is_certain(ev->link);
	struct otlp_ids ids;

	if (!is_named(ev, &ids)) {
		if (certain && is_same(&known->exchange, &cause))
			below(&ids, &known->ids);
		else if (certain && wait_for(traces, &own, &cause, ev, span))
			return;
		else
			begin_trace(&ids);
	}
	ready(traces, &own, &ev->target_name, ev->cgroup_id, &ids, span);
}

static struct waiting **find_old(struct traces *traces, uint64_t since_ns)
{
	for (size_t b = 0; traces->waiting_count > 0 && b < BUCKETS; b++)
		for (struct waiting **link = &traces->waiting[b]; *link; link = &(*link)->next)
			if ((*link)->since_ns < since_ns)
				return link;
	return NULL;
}

/* That which this one waits for, if it waits itself. */
static struct waiting **find_cause(struct traces *traces, const struct waiting *w)
{
	for (size_t b = 0; b < BUCKETS; b++)
		for (struct waiting **link = &traces->waiting[b]; *link; link = &(*link)->next)
			if (is_same(&(*link)->own, &w->cause))
				return link;
	return NULL;
}

/* Of those that wait for one another the first one begins the trace. */
static struct waiting *take_first(struct waiting **link, struct traces *traces)
{
	struct waiting **cause, *w;

	for (unsigned i = 0; i < LONGEST_CHAIN && (cause = find_cause(traces, *link)); i++)
		link = cause;
	w = *link;
	*link = w->next;
	traces->waiting_count--;
	return w;
}

void traces_expire(struct traces *traces, uint64_t since_ns)
{
	struct waiting **link;
	struct otlp_ids ids;

	while ((link = find_old(traces, since_ns))) {
		struct waiting *w = take_first(link, traces);

		begin_trace(&ids);
		ready(traces, &w->own, &(struct appmon_str){.data = w->app, .len = w->app_len},
		      w->cgroup_id, &ids, w->span);
		free(w);
	}
}

struct traces *traces_new(traces_ready_fn ready_fn, void *ctx)
{
	struct traces *traces = calloc(1, sizeof(*traces));

	if (traces) {
		traces->ready = ready_fn;
		traces->ctx = ctx;
	}
	return traces;
}

void traces_free(struct traces *traces)
{
	struct waiting *next;

	if (!traces)
		return;
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct waiting *w = traces->waiting[b]; w; w = next) {
			next = w->next;
			json_object_put(w->span);
			free(w);
		}
	}
	free(traces);
}
