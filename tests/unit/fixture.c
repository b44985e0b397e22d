/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "host/options.h"

static void read_log(void *ctx, int level, const char *line)
{
	static const char mark[] = " is dropped, ";
	const char *reason = strstr(line, mark);
	struct fixture *p = ctx;

	if (p->line)
		p->line(line);
	if (level != APPMON_LOG_DEBUG || !reason)
		return;
	reason += strlen(mark);
	for (uint32_t i = 0; i < APPMON_DROP_MAX; i++) {
		size_t len = strlen(appmon_drop_name(i));

		if (!strncmp(reason, appmon_drop_name(i), len) && reason[len] == ':')
			p->said[i]++;
	}
}

void fixture_init(struct fixture *p, const struct appmon_opts *opts)
{
	struct appmon_opts user = *opts, all;

	memset(p, 0, sizeof(*p));
	user.size = sizeof(user);
	if (!user.log_level) {
		user.log_fn = read_log;
		user.log_ctx = p;
		user.log_level = APPMON_LOG_TRACE;
	}
	if (options_take(&all, &user, &p->log) || pipeline_open(&p->pl, &all, &p->log))
		abort();
	for (uint32_t slot = 0; slot < 2; slot++) {
		struct target *t = &p->target[slot];

		t->id = slot + 1;
		t->slot = slot;
		t->capture = all.capture_bytes;
		t->protocols = all.protocols;
		t->name = slot ? "two" : "one";
		p->pl.target[slot] = t;
	}
	if (flows_init(&p->flows, &p->pl, &all))
		p->flows.buckets = 0; /* only where an allocation was made to fail */
}

void fixture_free(struct fixture *p)
{
	if (p->flows.buckets)
		flows_destroy(&p->flows);
	pipeline_close(&p->pl);
}

bool fixture_record(struct fixture *p, const void *data, size_t size)
{
	struct record rec;

	if (record_decode(data, size, &rec))
		return false;
	p->pl.stats.records++;
	flow_record(&p->flows, &rec);
	return true;
}

const struct appmon_event *fixture_event(struct fixture *p)
{
	return event_next(&p->pl) ? &p->pl.event : NULL;
}

static bool adds_up(const struct appmon_stats *s)
{
	uint64_t sum = s->delivered + s->filtered + s->outstanding;

	for (int i = 0; i < APPMON_DROP_MAX; i++)
		sum += s->dropped[i];
	return s->exchanges_seen == sum;
}

bool fixture_adds_up(const struct fixture *p)
{
	return !memcmp(p->said, p->pl.stats.dropped, sizeof(p->said)) && adds_up(&p->pl.stats) &&
	       adds_up(&p->target[0].stats) && adds_up(&p->target[1].stats);
}
