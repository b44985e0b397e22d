/* SPDX-License-Identifier: BSD-2-Clause */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

static const char *const kept[] = {"content-type", "user-agent", "x-request-id",
				   "traceparent",  "tracestate", "x-forwarded-for"};

void pipeline_init(struct pipeline *p, const struct appmon_opts *opts)
{
	struct appmon *mon = &p->mon;

	memset(p, 0, sizeof(*p));
	mon->opts = *opts;
	if (!mon->opts.memory_limit)
		mon->opts.memory_limit = 64 << 20;
	if (!mon->opts.capture_bytes)
		mon->opts.capture_bytes = 4096;
	if (!mon->opts.exchange_timeout_ms)
		mon->opts.exchange_timeout_ms = 300000;
	if (!mon->opts.idle_timeout_ms)
		mon->opts.idle_timeout_ms = 3600000;
	list_init(&mon->ready);
	mon->sampling.ppm = APPMON_SAMPLING_ALL;
	mon->sampling.below = SAMPLE_ALL;
	mon->pool.limit = mon->opts.memory_limit;
	mon->headers = calloc(2 * HTTP1_FIELDS_MAX, sizeof(*mon->headers));
	if (!mon->headers)
		abort();
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (!http1_keep_add(&mon->keep, kept[i]))
			abort();
	for (uint32_t i = 0; i < opts->header_count; i++)
		if (!http1_keep_add(&mon->keep, opts->headers[i]))
			abort();
	if (mon->opts.flags & APPMON_OPEN_LINKS)
		mon->opts.flags |= APPMON_OPEN_IDENTITY | APPMON_OPEN_TRACE;
	for (const char *const *name = trace_field_names; *name; name++)
		if ((mon->opts.flags & APPMON_OPEN_TRACE) && !http1_keep_add(&mon->keep, *name))
			abort();
	for (uint32_t i = 0; i < mon->keep.count; i++)
		mon->trace_fields[i] = (uint8_t)trace_field_of(mon->keep.name[i]);
	for (uint32_t slot = 0; slot < 2; slot++) {
		struct target *t = &p->target[slot];

		t->id = slot + 1;
		t->slot = slot;
		t->capture = mon->opts.capture_bytes;
		t->name = slot ? "two" : "one";
		mon->target[slot] = t;
	}
	if (flows_init(mon))
		mon->flows.buckets = 0; /* only where an allocation was made to fail */
	if (mon->opts.flags & APPMON_OPEN_LINKS)
		links_init(mon);
}

void pipeline_free(struct pipeline *p)
{
	struct appmon *mon = &p->mon;

	if (mon->flows.buckets)
		flows_destroy(mon);
	while (!list_empty(&mon->ready)) {
		struct exchange *ex = list_entry(mon->ready.next, struct exchange, link);

		list_remove(&ex->link);
		exchange_release(mon, ex);
	}
	event_forget(mon);
	links_destroy(mon);
	pool_destroy(&mon->pool);
	free(mon->arena.buf);
	free(mon->headers);
}

bool pipeline_record(struct pipeline *p, const void *data, size_t size)
{
	struct record rec;

	if (record_decode(data, size, &rec))
		return false;
	p->mon.stats.records++;
	flow_record(&p->mon, &rec);
	return true;
}

const struct appmon_event *pipeline_event(struct pipeline *p)
{
	return event_next(&p->mon) ? &p->mon.event : NULL;
}

static bool adds_up(const struct appmon_stats *s)
{
	uint64_t sum = s->delivered + s->outstanding;

	for (int i = 0; i < APPMON_DROP_MAX; i++)
		sum += s->dropped[i];
	return s->exchanges_seen == sum;
}

bool pipeline_adds_up(const struct pipeline *p)
{
	return adds_up(&p->mon.stats) && adds_up(&p->target[0].stats) &&
	       adds_up(&p->target[1].stats);
}
