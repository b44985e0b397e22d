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

struct end {
	uint64_t connection_id;	   /* 0: not seen */
	uint64_t start_ns, end_ns; /* of its last event */
	uint64_t waiting;	   /* number of its latest event that was made to wait; 0: none */
	uint8_t alone;		   /* the other end did not show up */
	uint8_t app_len;
	char app[APP_MAX];
};

struct connection {
	struct tuple tuple;
	struct end end[2];
	uint64_t used;
	uint8_t joined;
};

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

static enum verdict verdict_of(const struct connection *c, const struct sample *s)
{
	if (c->joined)
		return JOINED;
	return c->end[s->side].alone ? ALONE : WAIT;
}

enum verdict connection_event(struct connections *cs, const struct sample *s,
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
	return verdict_of(c, s);
}

/* The connection that a sample is of; NULL if that has been forgotten meanwhile. */
static struct connection *still(struct connections *cs, const struct sample *s)
{
	struct connection *c = find(cs, s);

	return c && c->end[s->side].connection_id == s->connection_id ? c : NULL;
}

void connection_waits(struct connections *cs, const struct sample *s, uint64_t number)
{
	find(cs, s)->end[s->side].waiting = number;
}

enum verdict connection_verdict(struct connections *cs, const struct sample *s, bool last)
{
	struct connection *c = still(cs, s);

	if (!c)
		return ALONE;
	if (last && !c->joined)
		c->end[s->side].alone = 1;
	return verdict_of(c, s);
}

size_t connection_peer(struct connections *cs, const struct sample *s, char app[APP_MAX])
{
	struct connection *c = still(cs, s);
	const struct end *other = &c->end[!s->side];

	memcpy(app, other->app, other->app_len);
	return other->app_len;
}
