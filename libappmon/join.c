/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of which both ends may be monitored: what the two sockets have in common is the pair
 * of addresses and ports. Such a pair says little by itself, as ports are used again and
 * network namespaces have the same addresses; so the ends are joined only where each has a socket
 * that the other's present one was in use with at the same time.
 *
 * A cache: sets of a few connections each, the least recently active one makes room.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "aggregate.h"

#define WAYS 8

struct connections {
	uint64_t used;		/* counts events */
	uint32_t sets;		/* power of two */
	uint64_t (*hash)[WAYS]; /* 0: free */
	struct connection (*connection)[WAYS];
};

static uint32_t sets_for(uint32_t max)
{
	uint32_t sets = 8;

	while (sets * WAYS < max)
		sets *= 2;
	return sets;
}

size_t connections_bytes(uint32_t max)
{
	return sizeof(struct connections) +
	       (size_t)sets_for(max) * WAYS * (sizeof(uint64_t) + sizeof(struct connection));
}

/* One block: free() frees all of it. */
int connections_init(struct connections **ret, uint32_t max)
{
	struct connections *cs = calloc(1, connections_bytes(max));

	if (!cs)
		return -ENOMEM;
	cs->sets = sets_for(max);
	cs->hash = (void *)(cs + 1);
	cs->connection = (void *)(cs->hash + cs->sets);
	*ret = cs;
	return 0;
}

static struct connection *find(struct connections *cs, const struct sample *s)
{
	uint32_t set = (uint32_t)s->tuple_hash & (cs->sets - 1);

	for (int i = 0; i < WAYS; i++) {
		struct connection *c = &cs->connection[set][i];

		if (cs->hash[set][i] == s->tuple_hash &&
		    memcmp(&c->tuple, &s->tuple, sizeof(c->tuple)) == 0)
			return c;
	}
	return NULL;
}

static struct connection *make(struct connections *cs, const struct sample *s,
			       struct appmon_metrics_stats *stats)
{
	uint32_t set = (uint32_t)s->tuple_hash & (cs->sets - 1);
	struct connection *c;
	int oldest = 0;

	for (int i = 0; i < WAYS; i++) {
		if (!cs->hash[set][i]) {
			oldest = i;
			break;
		}
		if (cs->connection[set][i].used < cs->connection[set][oldest].used)
			oldest = i;
	}
	if (cs->hash[set][oldest])
		stats->evicted_connections++;
	c = &cs->connection[set][oldest];
	cs->hash[set][oldest] = s->tuple_hash;
	memset(c, 0, sizeof(*c));
	c->tuple = s->tuple;
	return c;
}

static bool overlap(const struct end *a, const struct end *b)
{
	return a->start_ns <= b->end_ns && b->start_ns <= a->end_ns;
}

struct connection *connection_event(struct connections *cs, const struct sample *s,
				    struct appmon_metrics_stats *stats, uint64_t *ret_waiting)
{
	struct connection *c = find(cs, s);
	struct end *mine, *other;

	if (!c)
		c = make(cs, s, stats);
	c->used = ++cs->used;
	mine = &c->end[s->side];
	other = &c->end[!s->side];
	if (mine->connection_id != s->connection_id) {
		/* The ports are used again: what is known of the other end is of old, too. */
		if (mine->connection_id) {
			memset(c->end, 0, sizeof(c->end));
			c->joined = 0;
		}
		mine->connection_id = s->connection_id;
		mine->app_len = (uint8_t)s->key.app_len;
		memcpy(mine->app, s->key.text, s->key.app_len);
	}
	mine->start_ns = s->start_ns;
	mine->end_ns = s->end_ns;
	if (!c->joined && other->connection_id && overlap(mine, other)) {
		c->joined = 1;
		stats->joined_connections++;
		*ret_waiting = other->waiting;
	}
	return c;
}

struct connection *connection_find(struct connections *cs, const struct sample *s)
{
	struct connection *c = find(cs, s);

	return c && c->end[s->side].connection_id == s->connection_id ? c : NULL;
}
