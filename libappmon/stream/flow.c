/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections: from the records of all sockets to two ordered byte streams each. Here sequence
 * numbers become 64-bit positions, records that come early wait for their predecessors, and
 * connections are made, aged and forgotten. What the bytes mean is protocol/'s.
 *
 * Order. Each record says how far its stream and the other one are whole (rec_seg.whole): the
 * programs know it from the segments, TCP from what it has received. The programs say so only of
 * segments whose records are in the ring already. So a piece that lies beyond waits; once
 * the stream is whole up to it, whatever had no record before it was not captured, and never will
 * be: nothing has to be guessed from the order in which packets came.
 */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "protocol/protocol.h"
#include "stream/stream.h"

#define BUCKETS_MIN 64
#define PIECES_MAX 1024
#define STRAY_AHEAD_MAX (1 << 20) /* bytes: the largest first window, and more */
/* Connection ids of strays: the kernel's cookies are counted from both ends of their range. */
#define STRAY_ID (UINT64_C(1) << 62)
/* How long a stray waits where not all connections are watched: it may be none of those. */
#define UNSAMPLED_NS (10 * NSEC_PER_SEC)
/* How long a closed connection waits for bytes that the network delivers late. */
#define LINGER_NS (2 * NSEC_PER_SEC)

/* ---- table ----------------------------------------------------------------------------------- */

static uint32_t bucket_of(const struct flows *f, uint64_t key)
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
			uint32_t k = bucket_of(f, c->key);

			c->hash_next = bigger[k];
			bigger[k] = c;
			c = next;
		}
	}
	pool_free(&f->pl->pool, bucket);
}

static struct conn *conn_find(struct flows *f, uint64_t cookie)
{
	struct conn *c = f->bucket[bucket_of(f, cookie)];

	while (c && c->id.cookie != cookie)
		c = c->hash_next;
	return c;
}

static void bucket_add(struct flows *f, struct conn *c)
{
	uint32_t k = bucket_of(f, c->key);

	c->hash_next = f->bucket[k];
	f->bucket[k] = c;
}

static void bucket_remove(struct flows *f, struct conn *c)
{
	struct conn **p = &f->bucket[bucket_of(f, c->key)];

	while (*p != c)
		p = &(*p)->hash_next;
	*p = c->hash_next;
}

static void pieces_free(struct flows *f, struct stream *s)
{
	while (s->pieces) {
		struct piece *p = s->pieces;

		s->pieces = p->next;
		pool_free(&f->pl->pool, p);
	}
	s->piece_count = 0;
}

/* The exchanges must be gone. */
static void conn_free(struct flows *f, struct conn *c)
{

	EXPLAIN_CONN(f->pl, &c->id, "is forgotten");
	bucket_remove(f, c);
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
	c->protocol->release(f->pl, c);
	for (int dir = 0; dir < 2; dir++)
		pieces_free(f, &c->stream[dir]);
	pool_free(&f->pl->pool, c);
}

/* The least recently active is forgotten first, and met again by its next request. */
static bool evict_idle(void *ctx)
{
	struct flows *f = ctx;
	struct list_node *n = f->idle.next;

	if (n != &f->idle && list_entry(n, struct conn, link) == f->current)
		n = n->next;
	if (n == &f->idle)
		return false;
	conn_free(f, list_entry(n, struct conn, link));
	return true;
}

int flows_init(struct flows *f, struct pipeline *pl, const struct appmon_opts *opts)
{
	f->pl = pl;
	f->exchange_timeout_ms = opts->exchange_timeout_ms;
	f->idle_timeout_ms = opts->idle_timeout_ms;

	list_init(&f->busy);
	list_init(&f->idle);
	f->bucket = pool_alloc(&pl->pool, BUCKETS_MIN * sizeof(struct conn *));
	if (!f->bucket)
		return -1;
	memset(f->bucket, 0, BUCKETS_MIN * sizeof(struct conn *));
	f->buckets = BUCKETS_MIN;
	pl->pool.evict = evict_idle;
	pl->pool.evict_ctx = f;
	return 0;
}

static void conn_speaks(struct conn *c, const struct protocol *protocol, const uint64_t pos[2])
{
	memset(c->state, 0, protocol->conn_size);
	c->protocol = protocol;
	protocol->begin(c, pos);
}

static struct conn *conn_new(struct flows *f, const struct rec_conn *id, uint64_t key,
			     const struct rec_seg *seg)
{
	/* One block: that the protocol changes must not fail. */
	struct conn *c = pool_alloc_evicting(&f->pl->pool, sizeof(*c) + protocol_state_size());

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->state = c + 1;
	if (f->count >= f->buckets)
		grow(f);
	c->id = *id;
	c->key = key;
	c->fresh = !!(seg->flags & REC_FRESH);
	/* Followed from its first byte, and yet there were others. */
	c->gapped = c->fresh && seg->other_ts_ns;
	c->sample = seg->sample;
	/* It may have been known, and forgotten: its ordinals stay unique. */
	if (!c->fresh || c->gapped)
		c->ordinal_base = f->ordinal_max;
	c->retrans = seg->retrans;
	c->dup = seg->dup;
	list_init(&c->exchanges);
	conn_speaks(c, &PROTOCOL_FIRST, (uint64_t[2]){0});
	list_append(&f->idle, &c->link);
	bucket_add(f, c);
	f->count++;
	EXPLAIN_CONN(f->pl, &c->id, "is new, of local port %u and remote port %u, %s",
		     id->local_port, id->remote_port,
		     c->fresh ? "from its first byte on" : "met in its middle");
	return c;
}

/* With its exchanges. why: WHY() */
static void conn_drop(struct flows *f, struct conn *c, uint32_t reason, const char *why)
{
	while (!list_empty(&c->exchanges))
		exchange_drop(f->pl, list_entry(c->exchanges.next, struct exchange, link), reason,
			      why);
	conn_free(f, c);
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
	if (f->buckets)
		pool_free(&f->pl->pool, f->bucket);
	f->buckets = 0;
}

/* ---- streams --------------------------------------------------------------------------------- */

static void stream_begin(struct stream *s, uint32_t seq)
{
	s->known = 1;
	s->base_seq = seq;
}

/* All bytes below seq_end have passed. */
static void stream_saw(struct stream *s, uint32_t seq_end, uint64_t ts_ns)
{
	uint64_t pos = stream_pos(s, seq_end);

	if (s->fin && pos == s->fin_pos + 1) { /* TCP counts FIN */
		pos--;
		seq_end--;
	}
	if ((int64_t)(pos - s->seen) <= 0)
		return;
	s->seen = pos;
	if (ts_ns)
		s->seen_ns = ts_ns;
	/* Keeps the distance within 31 bits. */
	s->base = pos;
	s->base_seq = seq_end;
}

/* ---- order: what comes early waits for what is missing before it ----------------------------- */

/* False: no memory, or too many. */
static bool piece_keep(struct flows *f, struct stream *s, uint64_t pos, const char *bytes,
		       uint32_t captured, const struct rec_seg *seg)
{
	struct piece **at = &s->pieces, *p;

	if (s->piece_count >= PIECES_MAX)
		return false;
	p = pool_alloc_evicting(&f->pl->pool, sizeof(*p) + captured);
	if (!p)
		return false;
	p->pos = pos;
	p->captured = captured;
	p->seg = *seg;
	memcpy(p->bytes, bytes, captured);
	while (*at && (int64_t)((*at)->pos - pos) <= 0)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	s->piece_count++;
	return true;
}

/* As much of a first message that comes in pieces as is looked at. */
#define FIRST_BYTES 256

/* The first message of a connection tells what it speaks: this chunk begins it, or continues what
 * there is of it. */
static void detect(struct flows *f, struct conn *c, int dir, const struct chunk *chunk,
		   const struct first *first)
{
	uint64_t skip = first->start.pos + first->len - chunk->pos; /* a cut line is repeated */
	uint32_t len = first->len, n;
	const char *bytes;
	static const char unknown[CHUNK_BEFORE];
	const struct protocol *protocol;
	struct chunk before = *chunk;
	char joined[FIRST_BYTES];
	uint64_t pos[2] = {0};

	if (len >= sizeof(joined) || skip >= chunk->captured)
		return;
	bytes = chunk->bytes + skip;
	n = chunk->captured - (uint32_t)skip;
	if (len) {
		if (n > sizeof(joined) - len)
			n = (uint32_t)sizeof(joined) - len;
		memcpy(joined, first->bytes, len);
		memcpy(joined + len, bytes, n);
		bytes = joined;
		n += len;
	}
	protocol = protocol_detect(f->pl->protocols, bytes, n);
	if (!protocol)
		return;
	pos[dir] = first->start.pos;
	before.ts_ns = first->start.ts_ns;
	c->protocol->release(f->pl, c);
	conn_speaks(c, protocol, pos);
	if (chunk->flags & CHUNK_LOST)
		protocol->doubt(f->pl, c, true);
	EXPLAIN_CONN(f->pl, &c->id, "speaks %s", appmon_protocol_name(protocol->id));
	protocol->role(c, dir, bytes, n);
	if (!len)
		return;
	before.pos = first->start.pos;
	before.bytes = joined;
	before.captured = before.len = len;
	before.tail_len = len < CHUNK_TAIL ? len : CHUNK_TAIL;
	before.tail = joined + len - before.tail_len;
	before.before = unknown;
	protocol->data(f->pl, c, dir, &before);
}

/* Nothing of the connection has been understood, and there may be another protocol to try. */
static void detect_first(struct flows *f, struct conn *c, int dir, const struct chunk *chunk)
{
	struct first here = {0}, there = {0};
	bool begun = c->protocol->first(c, dir, &here);

	c->protocol->first(c, !dir, &there);
	if (!c->request_dir && (chunk->flags & CHUNK_STARTS)) {
		/* What it begins stands alone, wherever on the connection. */
		if (here.len || there.len)
			return;
		here.start.pos = chunk->pos;
	} else if (!c->fresh || !begun || c->request_dir == 1 + !dir) {
		return;
	}
	detect(f, c, dir, chunk, &here);
}

/* A segment in its turn, captured or not. */
static void segment_apply(struct flows *f, struct conn *c, int dir, uint64_t pos, const char *bytes,
			  uint32_t captured, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	struct chunk chunk = chunk_of(c, dir, pos, bytes, captured, seg);

	/* The kernel may have learned only later that nothing is missing before it. */
	stream_saw(s, seg->seq + seg->len, seg->ts_ns);
	if (captured && !c->ordinal && c->protocol->first &&
	    (f->pl->protocols & ~(1U << c->protocol->id)))
		detect_first(f, c, dir, &chunk);
	if (captured && !c->request_dir && (seg->flags & REC_START))
		c->protocol->role(c, dir, bytes, captured);
	if ((seg->flags & REC_START) && (seg->flags & REC_FLIP) && c->protocol->turn)
		c->protocol->turn(f->pl, c, !dir, &chunk);
	/* Another request stands before it in the stream and has not been answered. */
	if (captured && (seg->lost != s->lost || !s->begun) &&
	    (seg->flags & (REC_START | REC_FLIP | REC_OLD)) == REC_START &&
	    c->request_dir != 1 + !dir)
		c->protocol->missed(f->pl, c);
	if (captured) {
		s->begun = 1;
		s->lost = seg->lost;
	}
	c->protocol->data(f->pl, c, dir, &chunk);
}

#define ANY ((uint64_t)INT64_MAX)

static void pieces_take(struct flows *f, struct conn *c, int dir, uint64_t until)
{
	struct stream *s = &c->stream[dir];

	while (s->pieces && (int64_t)(s->pieces->pos - s->seen) <= 0 &&
	       (int64_t)(s->pieces->pos - until) < 0) {
		struct piece *p = s->pieces;

		s->pieces = p->next;
		s->piece_count--;
		/* To the application it comes only now. */
		if (p->seg.ts_ns < s->seen_ns)
			p->seg.ts_ns = s->seen_ns;
		segment_apply(f, c, dir, p->pos, p->bytes, p->captured, &p->seg);
		pool_free(&f->pl->pool, p);
	}
}

/* Hands over the pieces that nothing is missing before, those below `until` only. Mostly there are
 * none. */
static inline void pieces_drain(struct flows *f, struct conn *c, int dir, uint64_t until)
{
	if (c->stream[dir].pieces)
		pieces_take(f, c, dir, until);
}

/* What is missing will not come: go on with what is here. */
static void pieces_flush(struct flows *f, struct conn *c, int dir)
{
	struct stream *s = &c->stream[dir];

	while (s->pieces) {
		struct piece *p = s->pieces;

		stream_saw(s, p->seg.seq + p->seg.len, p->seg.ts_ns);
		pieces_drain(f, c, dir, ANY);
	}
}

/* A segment as it comes. */
static void stream_segment(struct flows *f, struct conn *c, int dir, const char *bytes,
			   uint32_t captured, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	uint64_t pos = stream_pos(s, seg->seq);

	stream_saw(s, seg->whole, seg->ts_ns);
	if (seg->len) {
		pieces_drain(f, c, dir, pos);
		if ((int64_t)(pos - s->seen) > 0) {
			if (piece_keep(f, s, pos, bytes, captured, seg))
				return;
			pieces_flush(f, c, dir);
		}
		segment_apply(f, c, dir, pos, bytes, captured, seg);
	}
	pieces_drain(f, c, dir, ANY);
}

/* ---- records --------------------------------------------------------------------------------- */

/* Orders the connection by activity, among those with or without exchanges. */
static void conn_active(struct flows *f, struct conn *c, uint64_t ts_ns)
{
	struct exchange *first;
	bool awaits = false;

	c->active_ns = ts_ns;
	list_remove(&c->link);
	list_append(list_empty(&c->exchanges) ? &f->idle : &f->busy, &c->link);
	if (!list_empty(&c->exchanges)) {
		first = list_entry(c->exchanges.next, struct exchange, link);
		awaits = first->response_begun && !first->response_done;
	}
	awaits |= c->stream[DIR_IN].pieces != NULL;
	if (awaits && !c->awaits_end)
		f->look_soon = true;
	f->awaiting += awaits - c->awaits_end;
	c->awaits_end = awaits;
}

static void conn_follow(struct conn *c, const struct rec_seg *seg)
{
	struct stream *self = &c->stream[!!(seg->flags & REC_OUT)];
	struct stream *other = &c->stream[!(seg->flags & REC_OUT)];

	if (!self->known)
		stream_begin(self, seg->start);
	if (!other->known && !(seg->flags & (REC_ALONE | REC_LISTENER)))
		stream_begin(other, seg->other_next);
	if (seg->srtt_us)
		c->srtt_us = seg->srtt_us;
	if (seg->retrans > c->retrans)
		c->retrans = seg->retrans;
	if (seg->dup > c->dup)
		c->dup = seg->dup;
}

/*
 * Our side has closed and nothing is due. The peer's FIN is not waited for: it meets a time-wait
 * socket, which the programs do not see. But a server's socket that was only shut down can meet
 * requests until it is closed, which a record tells.
 */
static bool conn_over(const struct conn *c)
{
	return c->stream[DIR_OUT].fin == FIN_HANDLED && list_empty(&c->exchanges) &&
	       !c->stream[DIR_IN].pieces && !c->stream[DIR_OUT].pieces &&
	       (c->request_dir != 1 + DIR_IN || c->stream[DIR_IN].fin == FIN_HANDLED);
}

/* seg_end: where the segment ends, parts that follow in other records included. */
static void flow_segment(struct flows *f, struct conn *c, const char *bytes, uint32_t captured,
			 const struct rec_seg *seg, uint32_t seg_end)
{
	int dir = seg->flags & REC_OUT ? DIR_OUT : DIR_IN;
	struct stream *self = &c->stream[dir], *other = &c->stream[!dir];

	conn_follow(c, seg);
	if (seg->flags & REC_WIDE)
		c->wide = 1;
	if (seg->lost != c->lost)
		EXPLAIN(APPMON_LOG_DEBUG, f->pl, &c->id,
			WHY("%u records have found the ring full; requests in them count as "
			    "ring_full"),
			seg->lost);
	if (c->wide || seg->lost != c->lost)
		c->protocol->doubt(f->pl, c, seg->lost != c->lost);
	c->lost = seg->lost;
	/* First what had happened before this segment. */
	if (other->known)
		stream_saw(other, seg->other_whole, seg->other_ts_ns);
	pieces_drain(f, c, !dir, ANY);
	c->protocol->progress(f->pl, c, !dir, seg->ts_ns);
	if ((seg->flags & REC_FIN) && self->fin != FIN_HANDLED) {
		self->fin = FIN_NOTED;
		self->fin_pos = stream_pos(self, seg_end);
	}
	stream_segment(f, c, dir, bytes, captured, seg);
	c->protocol->progress(f->pl, c, dir, seg->ts_ns);
	if ((f->pl->flags & APPMON_OPEN_STREAM_HEADS) && !(seg->flags & REC_PART) &&
	    c->protocol->stream)
		c->protocol->stream(f->pl, c);
}

/* The rest of the segment is in the records that follow. */
static void flow_part(struct flows *f, struct conn *c, const struct record *rec)
{
	struct rec_seg part = rec->seg;
	uint32_t seg_end = part.seq + part.len;

	part.len = rec->captured;
	if ((int32_t)(part.whole - (part.seq + part.len)) > 0)
		part.whole = part.seq + part.len;
	flow_segment(f, c, rec->bytes, rec->captured, &part, seg_end);
}

/* ---- strays: connections whose own socket has not shown up yet ------------------------------- */

/*
 * What meets a listening socket is a connection from that moment, with its requests. It is known
 * by its peers and by where its stream begins: ports are used again. The application may take long
 * to answer, or never do so; then the end of the connection tells its cookie, if any.
 */

static bool same_peers(const struct rec_conn *a, const struct rec_conn *b)
{
	return a->cgroup_id == b->cgroup_id && a->local_port == b->local_port &&
	       a->remote_port == b->remote_port && a->family == b->family &&
	       !memcmp(a->local_addr, b->local_addr, sizeof(a->local_addr)) &&
	       !memcmp(a->remote_addr, b->remote_addr, sizeof(a->remote_addr));
}

static uint64_t peers_hash(const struct rec_conn *conn)
{
	struct {
		uint64_t cgroup_id;
		uint16_t port[4];
		uint8_t addr[2][16];
	} peers = {conn->cgroup_id, {conn->local_port, conn->remote_port}, {{0}}};

	memcpy(peers.addr[0], conn->local_addr, sizeof(conn->local_addr));
	memcpy(peers.addr[1], conn->remote_addr, sizeof(conn->remote_addr));
	return XXH3_64bits(&peers, sizeof(peers));
}

static struct conn *stray_find(struct flows *f, const struct rec_conn *conn)
{
	struct conn *c;

	if (!f->stray_count)
		return NULL;
	c = f->bucket[bucket_of(f, peers_hash(conn))];
	while (c && !(c->stray && same_peers(&c->id, conn)))
		c = c->hash_next;
	return c;
}

/* The end of a connection was missed. */
static void conn_lose(struct flows *f, struct conn *c)
{
	c->protocol->end(f->pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	conn_free(f, c);
}

/* The connection of a record that met a listening socket, if it is known. */
static struct conn *stray_meet(struct flows *f, const struct record *rec)
{
	struct conn *c = stray_find(f, &rec->conn);

	if (!c || c->first_seq == rec->seg.start)
		return c;
	conn_lose(f, c);
	return NULL;
}

static struct conn *stray_new(struct flows *f, const struct record *rec)
{
	struct rec_conn id = rec->conn;
	struct conn *c;

	id.cookie = STRAY_ID + f->strays_met++;
	c = conn_new(f, &id, peers_hash(&id), &rec->seg);
	if (!c)
		return NULL;
	c->stray = 1;
	c->first_seq = rec->seg.start;
	f->stray_count++;
	return c;
}

/* The first record of a connection's own socket: is it a stray's? */
static struct conn *stray_join(struct flows *f, const struct record *rec)
{
	struct conn *c = stray_find(f, &rec->conn);
	bool out = rec->seg.flags & REC_OUT;

	if (!c)
		return NULL;
	if ((out ? rec->seg.other_next : rec->seg.start) - c->first_seq > STRAY_AHEAD_MAX) {
		conn_lose(f, c);
		return NULL;
	}
	EXPLAIN_CONN(f->pl, &c->id, "is connection %llu from now on",
		     (unsigned long long)rec->conn.cookie);
	bucket_remove(f, c);
	c->key = c->id.cookie = rec->conn.cookie;
	c->id.generation = rec->conn.generation;
	c->sample = rec->seg.sample;
	bucket_add(f, c);
	c->stray = 0;
	f->stray_count--;
	for (struct list_node *n = c->exchanges.next; n != &c->exchanges; n = n->next) {
		struct exchange *ex = list_entry(n, struct exchange, link);

		ex->id.cookie = c->id.cookie;
		cause_rename(f->pl, ex);
	}
	/* An answer has passed whose record was lost. */
	if (!out && rec->seg.other_ts_ns)
		c->protocol->end(f->pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	return c;
}

/* With nested targets the owner can change. */
static void conn_moves(struct flows *f, struct conn *c, struct target *to)
{
	struct target *from = target_of(f->pl, &c->id);

	if (!c->counted)
		return;
	if (from)
		from->stats.connections_open--;
	to->stats.connections_open++;
}

/* Data that meets a listening socket says nothing of the connection's place in the sample. */
static bool is_watched(const struct flows *f, const struct rec_conn *conn, uint32_t sample,
		       bool listener)
{
	return (int32_t)(conn->generation - f->pl->sample.from) >= 0 &&
	       (listener || sample < f->pl->sample.below);
}

static bool begins_request(const struct flows *f, const struct record *rec)
{
	return (rec->seg.flags & REC_START) &&
	       protocol_asks(f->pl->protocols, rec->bytes, rec->captured);
}

static void conn_read(struct flows *f, struct conn *c, const struct record *rec)
{
	struct reader reader = {.start_ns = rec->owner.task.start_ns,
				.pid = rec->owner.task.pid,
				.tid = rec->owner.task.tid,
				.seq = rec->seg.seq,
				.blocks = !!(rec->seg.flags & REC_BLOCKING)};

	cause_read(f->pl, c, &reader);
}

void flow_record(struct flows *f, const struct record *rec)
{
	struct target *target = target_of(f->pl, &rec->conn);
	bool listener = rec->seg.flags & REC_LISTENER;
	struct conn *c;

	if (EXPLAINS(APPMON_LOG_TRACE, f->pl))
		record_explain(f->pl, rec);
	if (!target) {
		if (begins_request(f, rec)) {
			f->pl->stats.exchanges_seen++;
			f->pl->stats.dropped[APPMON_DROP_DETACHED]++;
			EXPLAIN_DROP(f->pl, &rec->conn, APPMON_DROP_DETACHED,
				     WHY("its target is detached"), "a request is dropped, %s: %s");
		}
		return;
	}
	target->stats.records++;
	if (!is_watched(f, &rec->conn, rec->seg.sample, listener)) {
		/* Written while the connection left the sample. */
		EXPLAIN_CONN(f->pl, &rec->conn, "is not in the sample");
		return;
	}
	c = listener ? stray_meet(f, rec) : conn_find(f, rec->conn.cookie);
	if (c && c->id.generation != rec->conn.generation) {
		/* It was away meanwhile. */
		conn_drop(f, c, APPMON_DROP_SAMPLED,
			  WHY("its connection had left the sample meanwhile"));
		c = NULL;
	}
	if (!c && !listener)
		c = stray_join(f, rec);
	if (rec->seg.flags & REC_READ) {
		if (c)
			conn_read(f, c, rec);
		return;
	}
	if (!c) {
		/* Nothing to learn from the end of a connection that is not known, nor from what
		 * its application will not read. */
		if (!rec->captured || ((rec->seg.flags & (REC_CLOSED | REC_OUT)) == REC_CLOSED &&
				       !begins_request(f, rec))) {
			EXPLAIN_CONN(f->pl, &rec->conn,
				     "is not known: what begins no message is passed over");
			return;
		}
		c = listener ? stray_new(f, rec)
			     : conn_new(f, &rec->conn, rec->conn.cookie, &rec->seg);
		if (!c) {
			if (begins_request(f, rec)) {
				STAT_ADD(f->pl, target, exchanges_seen, 1);
				STAT_ADD(f->pl, target, dropped[APPMON_DROP_MEMORY], 1);
				EXPLAIN_DROP(f->pl, &rec->conn, APPMON_DROP_MEMORY,
					     WHY("no memory for its connection"),
					     "a request is dropped, %s: %s");
			}
			return;
		}
	}
	f->current = c;
	f->pl->owner = &rec->owner;
	if (c->id.target != rec->conn.target)
		conn_moves(f, c, target);
	if (!listener)
		c->id = rec->conn;
	if (rec->seg.flags & REC_PART)
		flow_part(f, c, rec);
	else
		flow_segment(f, c, rec->bytes, rec->captured, &rec->seg,
			     rec->seg.seq + rec->seg.len);
	if (rec->seg.flags & REC_PART) { /* whatever it ends, its last part does */
		conn_active(f, c, rec->seg.ts_ns);
	} else if (rec->seg.flags & REC_RST) {
		bool by_us = rec->seg.flags & REC_OUT;

		pieces_flush(f, c, DIR_IN);
		pieces_flush(f, c, DIR_OUT);
		c->protocol->end(f->pl, c,
				 by_us ? APPMON_END_RESET_BY_US : APPMON_END_RESET_BY_PEER,
				 by_us ? APPMON_EVF_RESET_BY_US : APPMON_EVF_RESET_BY_PEER);
		conn_free(f, c);
	} else if (rec->seg.flags & REC_NOT_HTTP) {
		conn_drop(f, c, APPMON_DROP_PARSE,
			  WHY("the programs gave the connection up: no protocol that is followed"));
	} else if (rec->seg.flags & REC_CLOSED && c->stream[DIR_OUT].fin) {
		/* Whatever answer is still due, nobody will read it. */
		c->protocol->end(f->pl, c, APPMON_END_CLOSED, 0);
		conn_free(f, c);
	} else if (conn_over(c)) {
		conn_free(f, c);
	} else {
		conn_active(f, c, rec->seg.ts_ns);
	}
	f->pl->owner = NULL;
}

/* ---- age ------------------------------------------------------------------------------------- */

static bool older(uint64_t then_ns, uint64_t now, uint64_t age_ns)
{
	return now > then_ns && now - then_ns > age_ns;
}

void flows_expire(struct flows *f, uint64_t now)
{
	uint64_t busy_ns = f->exchange_timeout_ms * NSEC_PER_MSEC;
	uint64_t idle_ns = f->idle_timeout_ms * NSEC_PER_MSEC;

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
			c->protocol->end(f->pl, c, APPMON_END_CLOSED, 0);
			conn_free(f, c);
		} else if (f->exchange_timeout_ms != UINT32_MAX &&
			   older(c->active_ns, now, busy_ns)) {
			c->protocol->end(f->pl, c, APPMON_END_TIMEOUT, 0);
			conn_active(f, c, now);
		}
	}
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
	for (uint32_t i = 0; i < f->buckets; i++) {
		struct conn *c = f->bucket[i], *next;

		for (; c; c = next) {
			next = c->hash_next;
			if (target ? c->id.target == target->id
				   : !is_watched(f, &c->id, c->sample, c->stray))
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

/* ---- what is in progress --------------------------------------------------------------------- */

int flows_active(struct flows *f, appmon_event_fn fn, void *ctx)
{
	int err = 0;

	event_forget(f->pl);
	/* Those that have an exchange. */
	for (struct list_node *n = f->busy.next; n != &f->busy; n = n->next) {
		struct conn *c = list_entry(n, struct conn, link);
		struct exchange *ex;

		for (struct list_node *x = c->exchanges.next; (ex = exchange_at(c, x));
		     x = x->next) {
			if (!ex->told)
				err = event_show(f->pl, ex, fn, ctx);
			if (err)
				return err;
		}
	}
	return 0;
}
