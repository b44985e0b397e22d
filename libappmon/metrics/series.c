/* SPDX-License-Identifier: BSD-2-Clause */
/* Series by key: open addressing in a table of fixed size, the series themselves from a pool. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "metrics/aggregate.h"

int table_init(struct table *t, struct pool *pool, uint32_t max)
{
	uint32_t slots = 64;
	size_t bytes;

	/* At most half full: a search looks at one or two slots. */
	while (slots < 2 * max)
		slots *= 2;
	bytes = slots * sizeof(t->slot[0]);
	*t = (struct table){.mask = slots - 1, .next_id = 1, .pool = pool};
	if (!pool_charge(pool, bytes))
		return -ENOMEM;
	t->slot = calloc(1, bytes);
	if (!t->slot) {
		pool->held -= bytes;
		return -ENOMEM;
	}
	return 0;
}

static void series_free(struct table *t, struct series *s)
{
	for (unsigned i = 0; i < TIMES; i++)
		histogram_clear(&s->figures.times[i], t->pool);
	pool_free(t->pool, s);
}

void table_destroy(struct table *t)
{
	if (!t->slot)
		return;
	for (uint32_t i = 0; i <= t->mask; i++)
		if (t->slot[i].series)
			series_free(t, t->slot[i].series);
	for (uint32_t i = 0; i < SHARE_BUCKETS; i++) {
		for (struct share *share = t->share[i], *next; share; share = next) {
			next = share->next;
			pool_free(t->pool, share);
		}
	}
	t->pool->held -= (t->mask + 1) * sizeof(t->slot[0]);
	free(t->slot);
	t->slot = NULL;
}

/* The application's share, made if it has none. NULL: no memory. */
static struct share *share_get(struct table *t, uint64_t app)
{
	struct share **bucket = &t->share[app % SHARE_BUCKETS], *share;

	for (share = *bucket; share; share = share->next)
		if (share->app == app)
			return share;
	share = pool_alloc(t->pool, sizeof(*share));
	if (!share)
		return NULL;
	*share = (struct share){.next = *bucket, .app = app};
	*bucket = share;
	return share;
}

static void share_remove(struct table *t, struct share *share)
{
	struct share **link = &t->share[share->app % SHARE_BUCKETS];

	while (*link != share)
		link = &(*link)->next;
	*link = share->next;
	pool_free(t->pool, share);
}

/* Who has more series than there is room left leaves that room to others. */
static bool is_fair(const struct share *share, const struct table *t, uint32_t limit)
{
	return !share || share->count < limit - t->count;
}

struct series *table_get(struct table *t, const void *key, size_t len, uint32_t limit, uint64_t app,
			 bool fair)
{
	uint64_t hash = XXH3_64bits(key, len);
	uint32_t i = (uint32_t)hash & t->mask;
	struct share *share = NULL;
	struct series *s;

	for (; (s = t->slot[i].series); i = (i + 1) & t->mask)
		if (t->slot[i].hash == hash && s->key_len == len && memcmp(s->key, key, len) == 0)
			return s;
	if (t->count >= limit)
		return NULL;
	share = app ? share_get(t, app) : NULL;
	s = (share || !app) && (!fair || is_fair(share, t, limit))
		    ? pool_alloc(t->pool, sizeof(*s) + len)
		    : NULL;
	if (!s) {
		if (share && !share->count)
			share_remove(t, share);
		return NULL;
	}
	memset(s, 0, sizeof(*s));
	if (share)
		share->count++;
	s->share = share;
	s->id = t->next_id++;
	s->key_len = len;
	memcpy(s->key, key, len);
	t->slot[i] = (struct slot){.hash = hash, .series = s};
	t->count++;
	return s;
}

/* Closes the gap at a slot, so that every search still finds what lies behind it. */
static void remove_slot(struct table *t, uint32_t gap)
{
	for (uint32_t i = (gap + 1) & t->mask; t->slot[i].series; i = (i + 1) & t->mask) {
		uint32_t home = (uint32_t)t->slot[i].hash & t->mask;

		if (((i - home) & t->mask) < ((i - gap) & t->mask))
			continue;
		t->slot[gap] = t->slot[i];
		gap = i;
	}
	t->slot[gap].series = NULL;
	t->count--;
}

uint32_t table_expire(struct table *t, uint64_t since_ns, uint64_t *ret_requests)
{
	uint32_t before = t->count;

	*ret_requests = 0;
	for (uint32_t i = 0; i <= t->mask;) {
		struct series *s = t->slot[i].series;

		if (!s || !s->share || s->figures.last_ns >= since_ns) {
			i++;
			continue;
		}
		*ret_requests += s->figures.requests;
		t->expiries++;
		remove_slot(t, i); /* another one may have moved here */
		if (!--s->share->count)
			share_remove(t, s->share);
		series_free(t, s);
	}
	return before - t->count;
}
