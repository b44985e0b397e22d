/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of which both ends may be monitored: what the two sockets have in common is the pair
 * of addresses and ports, if these are not translated on the way, and the numbers that TCP gives to
 * the bytes. The pair alone proves little, as ports are used again and network namespaces have
 * the same addresses; so ends are joined where both have seen the same exchange at the same time,
 * by its wire_id. Two exchanges that have the same by chance: of n that wait for their other end,
 * one in 2^64 / n; with 10,000 events a second and as many that wait that is one in 5,000 years.
 * Where it is not known, the ends are joined by the pair, and only if each has a socket that the
 * other's present one was in use with at the same time.
 *
 * A cache: sets of a few connections each, the least recently active one makes room. Beside it one
 * of exchanges of which the other end has not been seen.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "metrics/aggregate.h"

#define WAYS 8

#define PROBES 4

/* An exchange as one end saw it. */
struct half {
	uint64_t wire_id; /* 0: free */
	uint64_t connection_id;
	uint64_t start_ns, end_ns;
	struct connection *connection; /* if it is that of connection_id still */
	uint64_t side;
};

struct connections {
	uint64_t used;	 /* counts events */
	uint32_t sets;	 /* power of two */
	uint32_t halves; /* likewise */
	struct half *half;
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
	       (size_t)sets_for(max) * WAYS *
		       (sizeof(uint64_t) + sizeof(struct connection) + sizeof(struct half));
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
	cs->halves = cs->sets * WAYS;
	cs->half = (void *)(cs->connection + cs->sets);
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

static struct half *half_at(struct connections *cs, uint64_t wire_id, uint32_t i)
{
	uint64_t hash = XXH3_64bits(&wire_id, sizeof(wire_id));

	return &cs->half[((uint32_t)hash + i) & (cs->halves - 1)];
}

static void remember(struct connections *cs, const struct sample *s, struct connection *c)
{
	struct half *to = half_at(cs, s->wire_id, 0);

	for (uint32_t i = 0; i < PROBES; i++) {
		struct half *h = half_at(cs, s->wire_id, i);

		if (!h->wire_id || h->end_ns < to->end_ns)
			to = h;
		if (!h->wire_id)
			break;
	}
	*to = (struct half){.wire_id = s->wire_id,
			    .connection_id = s->connection_id,
			    .start_ns = s->start_ns,
			    .end_ns = s->end_ns,
			    .connection = c,
			    .side = s->side};
}

/* The connection of the socket at the other end, which has seen the same exchange; NULL: it is not
 * known. */
static struct connection *find_peer(struct connections *cs, const struct sample *s)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		struct half *h = half_at(cs, s->wire_id, i);

		if (h->wire_id == s->wire_id && h->side != s->side &&
		    h->connection->end[h->side].connection_id == h->connection_id &&
		    h->start_ns <= s->end_ns && s->start_ns <= h->end_ns) {
			h->wire_id = 0;
			return h->connection;
		}
	}
	return NULL;
}

/* Each has the end of the other's socket; they are one where no address is translated. */
static void join(struct connection *c, struct connection *peer, uint32_t side)
{
	if (peer != c) {
		c->end[!side] = peer->end[!side];
		peer->end[side] = c->end[side];
		c->translated = peer->translated = 1;
	}
	c->joined = peer->joined = 1;
	/* From here on they are those between two applications. */
	c->end[side].edge = peer->end[!side].edge = NULL;
}

/* The connection as the other end has it, once that is known. */
static struct connection *peer_of(struct connections *cs, const struct sample *s,
				  struct connection *c)
{
	struct connection *peer;
	struct end *mine = &c->end[s->side], *other = &c->end[!s->side];

	if (!s->wire_id)
		return other->connection_id && overlap(mine, other) ? c : NULL;
	peer = find_peer(cs, s);
	if (!peer)
		remember(cs, s, c);
	return peer;
}

struct connection *connection_event(struct connections *cs, const struct sample *s,
				    struct appmon_metrics_stats *stats, uint64_t *ret_waiting)
{
	struct connection *c = find(cs, s), *peer;
	struct end *mine;

	if (!c)
		c = make(cs, s, stats);
	c->used = ++cs->used;
	mine = &c->end[s->side];
	if (mine->connection_id != s->connection_id) {
		/* The ports are used again: what is known of the other end is of old, too. */
		if (mine->connection_id) {
			memset(c->end, 0, sizeof(c->end));
			c->joined = c->translated = 0;
		}
		mine->connection_id = s->connection_id;
		mine->app_len = (uint8_t)s->key.len[TEXT_APP];
		memcpy(mine->app, s->key.text, mine->app_len);
	}
	mine->start_ns = s->start_ns;
	mine->end_ns = s->end_ns;
	if (c->joined) {
		/* The other end may have been forgotten; then it looks for this one. */
		if (c->translated && s->wire_id)
			remember(cs, s, c);
		return c;
	}
	peer = peer_of(cs, s, c);
	if (peer) {
		*ret_waiting = peer->end[!s->side].waiting;
		join(c, peer, s->side);
		stats->joined_connections++;
	}
	return c;
}

struct connection *connection_find(struct connections *cs, const struct sample *s)
{
	struct connection *c = find(cs, s);

	return c && c->end[s->side].connection_id == s->connection_id ? c : NULL;
}
