/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of connections: they are found, made, ended and forgotten here. The least recently
 * active make room where memory ends, and go by age.
 */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "protocol/protocol.h"
#include "stream/stream.h"

#define BUCKETS_MIN 64
/* How long a stray waits where not all connections are watched: it may be none of those. */
#define UNSAMPLED_NS (10 * NSEC_PER_SEC)
/* How long a closed connection waits for bytes that the network delivers late. */
#define LINGER_NS (2 * NSEC_PER_SEC)
/* Who was silent for a second says who it is: see REC_TELL_TICKS. Twice that, to be sure. */
#define FORGET_NS (2 * NSEC_PER_SEC)

/* ---- table ----------------------------------------------------------------------------------- */

uint32_t flows_bucket(const struct flows *f, uint64_t key)
{
	return (uint32_t)XXH3_64bits(&key, sizeof(key)) & (f->buckets - 1);
}

/* Fails silently: a crowded table is slower, not wrong. */
static void grow(struct flows *f)
{
	uint32_t old = f->buckets;
	struct conn **bucket = f->bucket, **bigger;

	bigger = pool_alloc(&f->pl->pool, 2 * (size_t)old * sizeof(struct conn *));
	if (!bigger)
		return;
	memset(bigger, 0, 2 * (size_t)old * sizeof(struct conn *));
	f->bucket = bigger;
	f->buckets = 2 * old;
	for (uint32_t i = 0; i < old; i++) {
		struct conn *c = bucket[i];

		while (c) {
			struct conn *next = c->hash_next;
			uint32_t k = flows_bucket(f, c->key);

			c->hash_next = bigger[k];
			bigger[k] = c;
			c = next;
		}
	}
	pool_free(&f->pl->pool, bucket);
}

struct conn *conn_find(struct flows *f, uint64_t cookie)
{
	struct conn *c = f->bucket[flows_bucket(f, cookie)];

	while (c && c->id.cookie != cookie)
		c = c->hash_next;
	return c;
}

void conn_insert(struct flows *f, struct conn *c)
{
	uint32_t k = flows_bucket(f, c->key);

	c->hash_next = f->bucket[k];
	f->bucket[k] = c;
}

void conn_remove(struct flows *f, struct conn *c)
{
	struct conn **p = &f->bucket[flows_bucket(f, c->key)];

	while (*p != c)
		p = &(*p)->hash_next;
	*p = c->hash_next;
}

/* ---- one connection -------------------------------------------------------------------------- */

struct conn *conn_alloc(struct flows *f)
{
	/* One block: that the protocol changes must not fail. */
	struct conn *c = pool_alloc_evicting(&f->pl->pool, sizeof(*c) + f->state_size);

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->state = c + 1;
	list_init(&c->exchanges);
	return c;
}

struct conn *conn_new(struct flows *f, const struct rec_conn *id, uint64_t key,
		      const struct segment *seg)
{
	struct conn *c = conn_alloc(f);

	if (!c)
		return NULL;
	if (f->count >= f->buckets)
		grow(f);
	c->id = *id;
	c->key = key;
	c->fresh = !!(seg->flags & REC_FRESH);
	/* Followed from its first byte, and yet there were others. */
	c->gapped = c->fresh && (seg->flags & REC_HEARD);
	c->sample = seg->sample;
	/* It may have been known, and forgotten: its ordinals stay unique. */
	if (!c->fresh || c->gapped)
		c->ordinal_base = f->ordinal_max;
	c->retrans = seg->retrans;
	c->dup = seg->dup;
	conn_speaks(c, &PROTOCOL_FIRST, (uint64_t[2]){0});
	list_append(&f->idle, &c->link);
	conn_insert(f, c);
	f->count++;
	EXPLAIN_CONN(f->pl, &c->id, "is new, of local port %u and remote port %u, %s",
		     id->local_port, id->remote_port,
		     c->fresh ? "from its first byte on" : "met in its middle");
	return c;
}

void conn_release(struct flows *f, struct conn *c)
{
	c->protocol->release(f->pl, c);
	sessions_forget(f, c);
	ids_free(f->pl, c);
	for (int dir = 0; dir < 2; dir++)
		pieces_free(f, &c->stream[dir]);
	pool_free(&f->pl->pool, c);
}

/* The exchanges must be gone. */
void conn_free(struct flows *f, struct conn *c)
{
	EXPLAIN_CONN(f->pl, &c->id, "is forgotten");
	conn_remove(f, c);
	f->count--;
	f->stray_count -= c->stray;
	if (c->ordinal_base + c->ordinal > f->ordinal_max)
		f->ordinal_max = c->ordinal_base + c->ordinal;
	if (c->awaits_end)
		f->awaiting--;
	if (c->counted) {
		struct target *target = target_of(f->pl, &c->id);

		f->pl->stats.connections_open--;
		if (target)
			target->stats.connections_open--;
	}
	list_remove(&c->link);
	if (c->above)
		conn_release(f, c->above);
	conn_release(f, c);
}

/* With its exchanges. */
void conn_drop(struct flows *f, struct conn *c, uint32_t reason, const char *why)
{
	for (struct conn *layer = c; layer; layer = layer->above)
		while (!list_empty(&layer->exchanges))
			exchange_drop(f->pl, exchange_at(layer, layer->exchanges.next), reason,
				      why);
	conn_free(f, c);
}

/* Ends every exchange of the connection. */
void conn_end(struct flows *f, struct conn *c, uint32_t end, uint64_t flags)
{
	for (struct conn *layer = c; layer; layer = layer->above)
		layer->protocol->end(f->pl, layer, end, flags);
}

static bool has_exchanges(const struct conn *c)
{
	return !list_empty(&c->exchanges) || (c->above && !list_empty(&c->above->exchanges));
}

/* Orders the connection by activity, among those with or without exchanges. */
void conn_active(struct flows *f, struct conn *c, uint64_t ts_ns)
{
	struct exchange *first;
	bool awaits = false;

	c->active_ns = ts_ns;
	list_remove(&c->link);
	list_append(has_exchanges(c) ? &f->busy : &f->idle, &c->link);
	if (!list_empty(&c->exchanges)) {
		first = list_entry(c->exchanges.next, struct exchange, link);
		awaits = first->response_begun && !first->response_done;
	}
	awaits |= c->stream[DIR_IN].pieces != NULL || (c->wire && c->wire->session);
	if (awaits && !c->awaits_end)
		f->look_soon = true;
	f->awaiting += awaits - c->awaits_end;
	c->awaits_end = awaits;
}

/*
 * Our side has closed and nothing is due. The peer's FIN is not waited for: it meets a time-wait
 * socket, which the programs do not see. But a socket that was only shut down can meet requests until
 * it is closed, which a record tells: a server's, and one of which that is not known.
 */
bool conn_over(const struct conn *c)
{
	return c->stream[DIR_OUT].fin == FIN_HANDLED && !has_exchanges(c) &&
	       !c->stream[DIR_IN].pieces && !c->stream[DIR_OUT].pieces &&
	       (c->request_dir == 1 + DIR_OUT || c->stream[DIR_IN].fin == FIN_HANDLED);
}

/* With nested targets the owner can change. */
void conn_moves(struct flows *f, struct conn *c, struct target *to)
{
	struct target *from = target_of(f->pl, &c->id);

	if (!c->counted)
		return;
	if (from)
		from->stats.connections_open--;
	to->stats.connections_open++;
}

/* Data that meets a listening socket says nothing of the connection's place in the sample. */
bool conn_is_watched(const struct flows *f, const struct rec_conn *conn, uint32_t sample,
		     bool listener)
{
	return (int32_t)(conn->generation - f->pl->sample.from) >= 0 &&
	       (listener || sample < f->pl->sample.below);
}

/* ---- all of them ----------------------------------------------------------------------------- */

void flows_forgot(struct flows *f, uint32_t reason)
{
	f->forgotten = reason;
	if (f->pl->ask_programs)
		f->pl->ask_programs(f->pl->programs);
}

void flows_forgot_one(struct flows *f, struct rec_conn_told told)
{
	f->remembered[told.conn.cookie % REMEMBERED] = told;
	flows_forgot(f, APPMON_DROP_MEMORY);
}

bool flows_remember(const struct flows *f, uint64_t cookie, struct rec_conn_told *ret)
{
	*ret = f->remembered[cookie % REMEMBERED];
	return ret->conn.cookie == cookie;
}

/* The least recently active is forgotten first, and met again by its next request. */
static bool evict_idle(void *ctx)
{
	struct flows *f = ctx;
	struct list_node *n = f->idle.next;
	struct conn *c;

	if (n != &f->idle && list_entry(n, struct conn, link) == f->current)
		n = n->next;
	if (n == &f->idle)
		return false;
	c = list_entry(n, struct conn, link);
	if (!c->stray)
		flows_forgot_one(f, conn_told(c));
	conn_free(f, c);
	return true;
}

int flows_init(struct flows *f, struct pipeline *pl, const struct appmon_opts *opts)
{
	f->pl = pl;
	f->state_size = protocol_state_size(pl->protocols);
	f->exchange_timeout_ms = opts->exchange_timeout_ms;
	f->idle_timeout_ms = opts->idle_timeout_ms;
	f->forgotten = APPMON_DROP_GAP;

	list_init(&f->busy);
	list_init(&f->idle);
	f->bucket = pool_alloc(&pl->pool, BUCKETS_MIN * sizeof(struct conn *));
	if (!f->bucket)
		return -1;
	memset(f->bucket, 0, BUCKETS_MIN * sizeof(struct conn *));
	f->buckets = BUCKETS_MIN;
	if ((pl->flags & APPMON_OPEN_TLS) && !sessions_init(f))
		return -1;
	pl->pool.evict = evict_idle;
	pl->pool.evict_ctx = f;
	return 0;
}

void flows_destroy(struct flows *f)
{

	/* What is allocated dies with the pool; blocks in use are not in its lists. */
	for (uint32_t i = 0; i < f->buckets; i++) {
		while (f->bucket[i]) {
			struct conn *c = f->bucket[i];

			conn_drop(f, c, APPMON_DROP_DETACHED, WHY("the handle is closed"));
		}
	}
	sessions_free(f);
	if (f->buckets)
		pool_free(&f->pl->pool, f->bucket);
	f->buckets = 0;
}

static bool older(uint64_t then_ns, uint64_t now, uint64_t age_ns)
{
	return now > then_ns && now - then_ns > age_ns;
}

void flows_expire(struct flows *f, uint64_t now)
{
	uint64_t busy_ns = f->exchange_timeout_ms * NSEC_PER_MSEC;
	uint64_t idle_ns = f->idle_timeout_ms * NSEC_PER_MSEC;

	if (idle_ns < FORGET_NS)
		idle_ns = FORGET_NS;
	for (struct list_node *n = f->busy.next, *next; n != &f->busy; n = next) {
		struct conn *c = list_entry(n, struct conn, link);
		bool closed = c->stream[DIR_IN].fin && c->stream[DIR_OUT].fin;

		next = n->next;
		if (!older(c->active_ns, now, busy_ns < LINGER_NS ? busy_ns : LINGER_NS))
			break;
		if (c->stray && f->pl->sample.ppm < APPMON_SAMPLING_ALL &&
		    older(c->active_ns, now, busy_ns < UNSAMPLED_NS ? busy_ns : UNSAMPLED_NS)) {
			conn_drop(f, c, APPMON_DROP_SAMPLED,
				  WHY("its connection did not come into the sample"));
		} else if (closed && older(c->active_ns, now, LINGER_NS)) {
			pieces_flush(f, c, DIR_IN);
			pieces_flush(f, c, DIR_OUT);
			conn_end(f, c, APPMON_END_CLOSED, 0);
			conn_free(f, c);
		} else if (f->exchange_timeout_ms != UINT32_MAX &&
			   older(c->active_ns, now, busy_ns)) {
			conn_end(f, c, APPMON_END_TIMEOUT, 0);
			conn_active(f, c, now);
		}
	}
	sessions_expire(f, now);
	while (!list_empty(&f->idle)) {
		struct conn *c = list_entry(f->idle.next, struct conn, link);

		if (!older(c->active_ns, now, idle_ns))
			break;
		conn_free(f, c);
	}
}

/* Those of a target, or with NULL those that are not watched any more. */
static void drop_some(struct flows *f, const struct target *target, uint32_t reason,
		      const char *why)
{
	flows_forgot(f, reason);
	for (uint32_t i = 0; i < f->buckets; i++) {
		struct conn *c = f->bucket[i], *next;

		for (; c; c = next) {
			next = c->hash_next;
			if (target ? c->id.target == target->id
				   : !conn_is_watched(f, &c->id, c->sample, c->stray))
				conn_drop(f, c, reason, why);
		}
	}
}

void flows_drop_target(struct flows *f, struct target *target)
{
	drop_some(f, target, APPMON_DROP_DETACHED, WHY("its target is detached"));
}

void flows_drop_unsampled(struct flows *f)
{
	drop_some(f, NULL, APPMON_DROP_SAMPLED, WHY("its connection leaves the sample"));
}

static int layer_active(struct flows *f, struct conn *layer, appmon_event_fn fn, void *ctx)
{
	struct exchange *ex;
	int err = 0;

	for (struct list_node *n = layer->exchanges.next; !err && (ex = exchange_at(layer, n));
	     n = n->next)
		if (!ex->delivered_at_head)
			err = event_show(f->pl, ex, fn, ctx);
	return err;
}

int flows_active(struct flows *f, appmon_event_fn fn, void *ctx)
{
	int err = 0;

	event_forget(f->pl);
	/* Those that have an exchange. */
	for (struct list_node *n = f->busy.next; n != &f->busy && !err; n = n->next) {
		struct conn *c = list_entry(n, struct conn, link);

		for (struct conn *layer = c; layer && !err; layer = layer->above)
			err = layer_active(f, layer, fn, ctx);
	}
	return err;
}
