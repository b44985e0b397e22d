/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections: from the records of all sockets to two ordered byte streams each. Here sequence
 * numbers become 64-bit positions, records that come early wait for their predecessors, and
 * connections are made, aged and forgotten. What the bytes mean is http1-flow.c's.
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

#include "internal.h"

#define BUCKETS_MIN 64
#define PIECES_MAX 1024
#define STRAYS_MAX 1024
#define EVICT_MAX 16		  /* idle connections forgotten to make room for one block */
#define STRAY_AHEAD_MAX (1 << 20) /* bytes: the largest first window, and more */
#define STRAY_AGE_NS (10 * NSEC_PER_SEC)
/* How long a closed connection waits for bytes that the network delivers late. */
#define LINGER_NS (2 * NSEC_PER_SEC)

/* ---- table ---------------------------------------------------------------- */

static uint32_t bucket_of(const struct flows *f, uint64_t cookie)
{
	return (uint32_t)XXH3_64bits(&cookie, sizeof(cookie)) & (f->buckets - 1);
}

int flows_init(struct appmon *mon)
{
	struct flows *f = &mon->flows;

	list_init(&f->busy);
	list_init(&f->idle);
	list_init(&f->strays);
	f->bucket = pool_alloc(&mon->pool, BUCKETS_MIN * sizeof(struct conn *));
	if (!f->bucket)
		return -1;
	memset(f->bucket, 0, BUCKETS_MIN * sizeof(struct conn *));
	f->buckets = BUCKETS_MIN;
	return 0;
}

/* Fails silently: a crowded table is slower, not wrong. */
static void grow(struct appmon *mon)
{
	struct flows *f = &mon->flows;
	uint32_t old = f->buckets;
	struct conn **bucket = f->bucket, **bigger;

	bigger = pool_alloc(&mon->pool, 2 * (size_t)old * sizeof(struct conn *));
	if (!bigger)
		return;
	memset(bigger, 0, 2 * (size_t)old * sizeof(struct conn *));
	f->bucket = bigger;
	f->buckets = 2 * old;
	for (uint32_t i = 0; i < old; i++) {
		struct conn *c = bucket[i];

		while (c) {
			struct conn *next = c->hash_next;
			uint32_t k = bucket_of(f, c->id.cookie);

			c->hash_next = bigger[k];
			bigger[k] = c;
			c = next;
		}
	}
	pool_free(&mon->pool, bucket);
}

static struct conn *conn_find(struct flows *f, uint64_t cookie)
{
	struct conn *c = f->bucket[bucket_of(f, cookie)];

	while (c && c->id.cookie != cookie)
		c = c->hash_next;
	return c;
}

static void pieces_free(struct appmon *mon, struct stream *s)
{
	while (s->pieces) {
		struct piece *p = s->pieces;

		s->pieces = p->next;
		pool_free(&mon->pool, p);
	}
	s->piece_count = 0;
}

/* The exchanges must be gone. */
static void conn_free(struct appmon *mon, struct conn *c)
{
	struct flows *f = &mon->flows;
	struct conn **p = &f->bucket[bucket_of(f, c->id.cookie)];

	while (*p != c)
		p = &(*p)->hash_next;
	*p = c->hash_next;
	f->count--;
	if (c->ordinal_base + c->ordinal > f->ordinal_max)
		f->ordinal_max = c->ordinal_base + c->ordinal;
	if (c->awaits_end)
		f->awaiting--;
	if (c->http) {
		struct target *target = target_of(mon, &c->id);

		mon->stats.connections_open--;
		if (target)
			target->stats.connections_open--;
	}
	list_remove(&c->link);
	for (int dir = 0; dir < 2; dir++) {
		pieces_free(mon, &c->stream[dir]);
		pool_free(&mon->pool, c->stream[dir].head);
	}
	pool_free(&mon->pool, c);
}

/* The least recently active are forgotten first, and met again by their next request. */
static __attribute__((noinline)) void *alloc_evicting(struct appmon *mon, size_t size)
{
	struct list_node *idle = &mon->flows.idle, *n;
	void *p = NULL;

	for (int i = 0; !p && i < EVICT_MAX; i++) {
		n = idle->next;
		if (n != idle && list_entry(n, struct conn, link) == mon->flows.current)
			n = n->next;
		if (n == idle)
			break;
		conn_free(mon, list_entry(n, struct conn, link));
		p = pool_alloc(&mon->pool, size);
	}
	return p;
}

void *flow_alloc(struct appmon *mon, size_t size)
{
	void *p = pool_alloc(&mon->pool, size);

	return p ? p : alloc_evicting(mon, size);
}

void *flow_zalloc(struct appmon *mon, size_t size)
{
	void *p = flow_alloc(mon, size);

	return p ? memset(p, 0, size) : NULL;
}

static struct conn *conn_new(struct appmon *mon, const struct record *rec)
{
	struct flows *f = &mon->flows;
	struct conn *c = flow_zalloc(mon, sizeof(*c));
	uint32_t k;

	if (!c)
		return NULL;
	if (f->count >= f->buckets)
		grow(mon);
	c->protocol = &protocol_http1;
	c->id = rec->conn;
	c->fresh = !!(rec->seg.flags & REC_FRESH);
	/* Followed from its first byte, and yet there were others: they are counted already. */
	c->gapped = c->fresh && rec->seg.other_ts_ns;
	c->refused = c->gapped;
	/* It may have been known, and forgotten: its ordinals stay unique. */
	if (!c->fresh || c->gapped)
		c->ordinal_base = f->ordinal_max;
	c->retrans = rec->seg.retrans;
	c->dup = rec->seg.dup;
	list_init(&c->exchanges);
	list_append(&f->idle, &c->link);
	k = bucket_of(f, c->id.cookie);
	c->hash_next = f->bucket[k];
	f->bucket[k] = c;
	f->count++;
	return c;
}

/* With its exchanges. */
static void conn_drop(struct appmon *mon, struct conn *c, uint32_t reason)
{
	while (!list_empty(&c->exchanges))
		exchange_drop(mon, list_entry(c->exchanges.next, struct exchange, link), reason);
	conn_free(mon, c);
}

void flows_destroy(struct appmon *mon)
{
	struct flows *f = &mon->flows;

	/* What is allocated dies with the pool; blocks in use are not in its lists. */
	for (uint32_t i = 0; i < f->buckets; i++) {
		while (f->bucket[i]) {
			struct conn *c = f->bucket[i];

			conn_drop(mon, c, APPMON_DROP_DETACHED);
		}
	}
	while (!list_empty(&f->strays)) {
		struct stray *s = list_entry(f->strays.next, struct stray, link);

		list_remove(&s->link);
		pool_free(&mon->pool, s);
	}
	if (f->buckets)
		pool_free(&mon->pool, f->bucket);
	f->buckets = 0;
}

/* ---- strays: data that met the listening socket ------------------------------- */

static bool same_peers(const struct rec_conn *a, const struct rec_conn *b)
{
	return a->target == b->target && a->local_port == b->local_port &&
	       a->remote_port == b->remote_port && a->family == b->family &&
	       !memcmp(a->local_addr, b->local_addr, sizeof(a->local_addr)) &&
	       !memcmp(a->remote_addr, b->remote_addr, sizeof(a->remote_addr));
}

static void stray_free(struct appmon *mon, struct stray *s)
{
	list_remove(&s->link);
	mon->flows.stray_count--;
	pool_free(&mon->pool, s);
}

static struct stray *stray_find(struct flows *f, const struct rec_conn *conn)
{
	for (struct list_node *n = f->strays.prev; n != &f->strays; n = n->prev) {
		struct stray *s = list_entry(n, struct stray, link);

		if (same_peers(&s->conn, conn))
			return s;
	}
	return NULL;
}

static void stray_lose(struct appmon *mon, struct stray *s, uint32_t reason)
{
	struct target *target = target_of(mon, &s->conn);

	if (s->piece.seg.flags & REC_START) {
		STAT_ADD(mon, target, exchanges_seen, 1);
		STAT_ADD(mon, target, dropped[reason], 1);
	}
	stray_free(mon, s);
}

static void stray_keep(struct appmon *mon, const struct record *rec)
{
	struct flows *f = &mon->flows;
	struct stray *s;

	s = stray_find(f, &rec->conn);
	if (s && s->piece.seg.seq == rec->seg.seq)
		return; /* sent again */
	if (f->stray_count >= STRAYS_MAX)
		stray_lose(mon, list_entry(f->strays.next, struct stray, link), APPMON_DROP_MEMORY);
	s = flow_alloc(mon, sizeof(*s) + rec->captured);
	if (!s) {
		if (rec->seg.flags & REC_START) {
			STAT_ADD(mon, target_of(mon, &rec->conn), exchanges_seen, 1);
			STAT_ADD(mon, target_of(mon, &rec->conn), dropped[APPMON_DROP_MEMORY], 1);
		}
		return;
	}
	s->at_ns = rec->seg.ts_ns;
	s->conn = rec->conn;
	s->piece.seg = rec->seg;
	s->piece.captured = rec->captured;
	memcpy(s->piece.bytes, rec->bytes, rec->captured);
	list_append(&f->strays, &s->link);
	f->stray_count++;
}

/* ---- streams -------------------------------------------------------------------- */

static void stream_begin(const struct conn *c, struct stream *s, uint32_t seq)
{
	s->known = 1;
	s->base_seq = seq;
	s->state = c->fresh ? STREAM_HEAD : STREAM_SYNC;
}

/* All bytes below seq_end have passed. */
static void stream_saw(struct stream *s, uint32_t seq_end, uint64_t ts_ns)
{
	uint64_t pos = stream_pos(s, seq_end);

	if ((int64_t)(pos - s->seen) <= 0)
		return;
	s->seen = pos;
	if (ts_ns)
		s->seen_ns = ts_ns;
	/* Keeps the distance within 31 bits. */
	s->base = pos;
	s->base_seq = seq_end;
}

/* ---- order: what comes early waits for what is missing before it ------------------- */

/* False: no memory, or too many. */
static bool piece_keep(struct appmon *mon, struct stream *s, uint64_t pos, const char *bytes,
		       uint32_t captured, const struct rec_seg *seg)
{
	struct piece **at = &s->pieces, *p;

	if (s->piece_count >= PIECES_MAX)
		return false;
	p = flow_alloc(mon, sizeof(*p) + captured);
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

/* The first message tells what a connection speaks; HTTP/1 unless another protocol knows it. */
static void detect(struct appmon *mon, struct conn *c, const char *bytes, uint32_t n, bool lost)
{
	static const struct protocol *const others[] = {&protocol_resp};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if ((mon->opts.protocols & 1U << others[i]->id) && others[i]->detect(bytes, n))
			c->protocol = others[i];
	if (lost && c->protocol->counts)
		c->protocol->missed(mon, c);
}

/* A segment in its turn, captured or not. */
static void segment_apply(struct appmon *mon, struct conn *c, int dir, uint64_t pos,
			  const char *bytes, uint32_t captured, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];

	/* The kernel may have learned only later that nothing is missing before it. */
	stream_saw(s, seg->seq + seg->len, seg->ts_ns);
	if (!c->request_dir && captured && (seg->flags & REC_START)) {
		if (!c->ordinal && !s->head && !c->stream[!dir].head)
			detect(mon, c, bytes, captured, seg->lost);
		c->protocol->role(c, dir, bytes, captured);
	}
	if ((seg->flags & REC_START) && (seg->flags & REC_FLIP) &&
	    (int64_t)(pos - (s->pos + s->head_len)) >= 0 && c->protocol->turn)
		c->protocol->turn(mon, c, !dir, seg);
	/* Another request stands before it in the stream and has not been answered. */
	if (captured && (seg->lost != s->lost || !s->begun) &&
	    (seg->flags & (REC_START | REC_FLIP | REC_OLD)) == REC_START &&
	    c->request_dir != 1 + !dir)
		c->protocol->missed(mon, c);
	if (captured) {
		s->begun = 1;
		s->lost = seg->lost;
	}
	c->protocol->data(mon, c, dir, pos, bytes, captured, seg->len, seg);
}

#define ANY ((uint64_t)INT64_MAX)

static void pieces_take(struct appmon *mon, struct conn *c, int dir, uint64_t until)
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
		segment_apply(mon, c, dir, p->pos, p->bytes, p->captured, &p->seg);
		pool_free(&mon->pool, p);
	}
}

/* Hands over the pieces that nothing is missing before, those below `until` only. Mostly there are
 * none. */
static inline void pieces_drain(struct appmon *mon, struct conn *c, int dir, uint64_t until)
{
	if (c->stream[dir].pieces)
		pieces_take(mon, c, dir, until);
}

/* What is missing will not come: go on with what is here. */
static void pieces_flush(struct appmon *mon, struct conn *c, int dir)
{
	struct stream *s = &c->stream[dir];

	while (s->pieces) {
		struct piece *p = s->pieces;

		stream_saw(s, p->seg.seq + p->seg.len, p->seg.ts_ns);
		pieces_drain(mon, c, dir, ANY);
	}
}

/* A segment as it comes. */
static void stream_segment(struct appmon *mon, struct conn *c, int dir, const char *bytes,
			   uint32_t captured, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	uint64_t pos = stream_pos(s, seg->seq);

	stream_saw(s, seg->whole, seg->ts_ns);
	if (seg->len) {
		pieces_drain(mon, c, dir, pos);
		if ((int64_t)(pos - s->seen) > 0) {
			if (piece_keep(mon, s, pos, bytes, captured, seg))
				return;
			pieces_flush(mon, c, dir);
		}
		segment_apply(mon, c, dir, pos, bytes, captured, seg);
	}
	pieces_drain(mon, c, dir, ANY);
}

/* ---- records ---------------------------------------------------------------------- */

/* Orders the connection by activity, among those with or without exchanges. */
static void conn_active(struct appmon *mon, struct conn *c, uint64_t ts_ns)
{
	struct flows *f = &mon->flows;
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
		mon->sweep_every_ns = 0; /* look soon */
	f->awaiting += awaits - c->awaits_end;
	c->awaits_end = awaits;
}

static void conn_follow(struct conn *c, const struct rec_seg *seg)
{
	struct stream *self = &c->stream[!!(seg->flags & REC_OUT)];
	struct stream *other = &c->stream[!(seg->flags & REC_OUT)];

	if (!self->known)
		stream_begin(c, self, seg->start);
	if (!other->known && !(seg->flags & REC_ALONE))
		stream_begin(c, other, seg->other_next);
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
static void flow_segment(struct appmon *mon, struct conn *c, const char *bytes, uint32_t captured,
			 const struct rec_seg *seg, uint32_t seg_end)
{
	int dir = seg->flags & REC_OUT ? DIR_OUT : DIR_IN;
	struct stream *self = &c->stream[dir], *other = &c->stream[!dir];

	conn_follow(c, seg);
	/* The programs see signs of pipelining where there may be none, such as a body that looks
	 * like requests; where messages are missing, signs are all there is. */
	if (seg->flags & REC_WIDE)
		c->wide = 1;
	if (c->wide && !conn_accounted(c, seg))
		c->pipelined = 1;
	if ((c->pipelined || c->protocol->counts) && seg->lost != c->lost)
		c->protocol->missed(mon, c);
	c->lost = seg->lost;
	/* First what had happened before this segment. */
	if (other->known)
		stream_saw(other, seg->other_whole, seg->other_ts_ns);
	pieces_drain(mon, c, !dir, ANY);
	c->protocol->progress(mon, c, !dir, seg);
	if ((seg->flags & REC_FIN) && self->fin != FIN_HANDLED) {
		self->fin = FIN_NOTED;
		self->fin_pos = stream_pos(self, seg_end);
	}
	stream_segment(mon, c, dir, bytes, captured, seg);
	c->protocol->progress(mon, c, dir, seg);
	if ((mon->opts.flags & APPMON_OPEN_STREAM_HEADS) && !(seg->flags & REC_PART) &&
	    c->protocol->stream)
		c->protocol->stream(mon, c);
}

/* The rest of the segment is in the records that follow. */
static void flow_part(struct appmon *mon, struct conn *c, const struct record *rec)
{
	struct rec_seg part = rec->seg;
	uint32_t seg_end = part.seq + part.len;

	part.len = rec->captured;
	if ((int32_t)(part.whole - (part.seq + part.len)) > 0)
		part.whole = part.seq + part.len;
	flow_segment(mon, c, rec->bytes, rec->captured, &part, seg_end);
}

/* A connection that is met for the first time, with what had met its listening socket. */
static struct conn *conn_meet(struct appmon *mon, const struct record *rec)
{
	struct stray *s = stray_find(&mon->flows, &rec->conn);
	struct conn *c = conn_new(mon, rec);
	struct rec_seg seg;
	uint32_t in_next;
	int32_t ahead;

	mon->flows.current = c;
	if (!s || !c)
		return c;
	seg = s->piece.seg;
	in_next = rec->seg.flags & REC_OUT ? rec->seg.other_next : rec->seg.start;
	ahead = (int32_t)(seg.seq - in_next);
	/* An older connection between the same ports had other sequence numbers. */
	if (ahead + (int32_t)seg.len == 0 || ahead + (int32_t)seg.len == -1 /* FIN */ ||
	    (ahead >= 0 && ahead < STRAY_AHEAD_MAX)) {
		c->fresh = 1;
		seg.flags &= ~(uint32_t)(ahead > 0 ? REC_LISTENER | REC_FLIP : REC_LISTENER);
		seg.start = ahead > 0 ? in_next : seg.seq;
		seg.whole = ahead > 0 ? in_next : seg.seq + seg.len;
		seg.lost = rec->seg.lost;
		seg.other_next = rec->seg.flags & REC_OUT ? rec->seg.start : rec->seg.other_next;
		seg.other_whole = seg.other_next;
		flow_segment(mon, c, s->piece.bytes, s->piece.captured, &seg, seg.seq + seg.len);
		/* An answer has passed whose record was lost. */
		if (!(rec->seg.flags & REC_OUT) && rec->seg.other_ts_ns)
			c->protocol->end(mon, c, APPMON_END_GAP, APPMON_EVF_GAP);
	}
	stray_free(mon, s);
	return c;
}

/* With nested targets the owner can change. */
static void conn_moves(struct appmon *mon, struct conn *c, struct target *to)
{
	struct target *from = target_of(mon, &c->id);

	if (!c->http)
		return;
	if (from)
		from->stats.connections_open--;
	to->stats.connections_open++;
}

/* Data that meets a listening socket says nothing of the connection's own cookie. */
static bool is_watched(const struct appmon *mon, const struct rec_conn *conn, bool listener)
{
	return (int32_t)(conn->generation - mon->sampling.from) >= 0 &&
	       (listener || sample_hash(conn->cookie) < mon->sampling.below);
}

static bool begins_request(const struct record *rec)
{
	return (rec->seg.flags & REC_START) &&
	       http1_look(HTTP1_REQUEST, rec->bytes, rec->captured) == HTTP1_LOOK_YES;
}

void flow_record(struct appmon *mon, const struct record *rec)
{
	struct target *target = target_of(mon, &rec->conn);
	struct conn *c;

	if (!target) {
		if (begins_request(rec)) {
			mon->stats.exchanges_seen++;
			mon->stats.dropped[APPMON_DROP_DETACHED]++;
		}
		return;
	}
	target->stats.records++;
	if (!is_watched(mon, &rec->conn, rec->seg.flags & REC_LISTENER))
		return; /* written while the connection left the sample */
	if (rec->seg.flags & REC_LISTENER) {
		stray_keep(mon, rec);
		return;
	}
	c = conn_find(&mon->flows, rec->conn.cookie);
	if (c && c->id.generation != rec->conn.generation) {
		/* It was away meanwhile. */
		conn_drop(mon, c, APPMON_DROP_SAMPLED);
		c = NULL;
	}
	if (rec->seg.flags & REC_READ) {
		if (c)
			link_read(mon, c, rec);
		return;
	}
	if (!c) {
		/* Nothing to learn from the end of a connection that is not known, nor from what
		 * its application will not read. */
		if (!rec->captured || ((rec->seg.flags & (REC_CLOSED | REC_OUT)) == REC_CLOSED &&
				       !begins_request(rec)))
			return;
		c = conn_meet(mon, rec);
		if (!c) {
			if (begins_request(rec)) {
				STAT_ADD(mon, target, exchanges_seen, 1);
				STAT_ADD(mon, target, dropped[APPMON_DROP_MEMORY], 1);
			}
			return;
		}
	}
	mon->flows.current = c;
	mon->flows.owner = &rec->owner;
	if (c->id.target != rec->conn.target)
		conn_moves(mon, c, target);
	c->id = rec->conn;
	if (rec->seg.flags & REC_PART)
		flow_part(mon, c, rec);
	else
		flow_segment(mon, c, rec->bytes, rec->captured, &rec->seg,
			     rec->seg.seq + rec->seg.len);
	if (rec->seg.flags & REC_PART) { /* whatever it ends, its last part does */
		conn_active(mon, c, rec->seg.ts_ns);
	} else if (rec->seg.flags & REC_RST) {
		bool by_us = rec->seg.flags & REC_OUT;

		pieces_flush(mon, c, DIR_IN);
		pieces_flush(mon, c, DIR_OUT);
		c->protocol->end(mon, c, by_us ? APPMON_END_RESET_BY_US : APPMON_END_RESET_BY_PEER,
				 by_us ? APPMON_EVF_RESET_BY_US : APPMON_EVF_RESET_BY_PEER);
		conn_free(mon, c);
	} else if (rec->seg.flags & REC_NOT_HTTP) {
		conn_drop(mon, c, APPMON_DROP_PARSE);
	} else if (rec->seg.flags & REC_CLOSED && c->stream[DIR_OUT].fin) {
		/* Whatever answer is still due, nobody will read it. */
		c->protocol->end(mon, c, APPMON_END_CLOSED, 0);
		conn_free(mon, c);
	} else if (conn_over(c)) {
		conn_free(mon, c);
	} else {
		conn_active(mon, c, rec->seg.ts_ns);
	}
	mon->flows.owner = NULL;
}

/* ---- age ------------------------------------------------------------------------------ */

static bool older(uint64_t then_ns, uint64_t now, uint64_t age_ns)
{
	return now > then_ns && now - then_ns > age_ns;
}

void flows_expire(struct appmon *mon, uint64_t now)
{
	struct flows *f = &mon->flows;
	uint64_t busy_ns = mon->opts.exchange_timeout_ms * NSEC_PER_MSEC;
	uint64_t idle_ns = mon->opts.idle_timeout_ms * NSEC_PER_MSEC;

	while (!list_empty(&f->strays)) {
		struct stray *s = list_entry(f->strays.next, struct stray, link);

		if (!older(s->at_ns, now, STRAY_AGE_NS))
			break;
		stray_lose(mon, s,
			   mon->sampling.ppm < APPMON_SAMPLING_ALL ? APPMON_DROP_SAMPLED
								   : APPMON_DROP_GAP);
	}
	for (struct list_node *n = f->busy.next, *next; n != &f->busy; n = next) {
		struct conn *c = list_entry(n, struct conn, link);
		bool closed = c->stream[DIR_IN].fin && c->stream[DIR_OUT].fin;

		next = n->next;
		if (!older(c->active_ns, now, busy_ns < LINGER_NS ? busy_ns : LINGER_NS))
			break;
		if (closed && older(c->active_ns, now, LINGER_NS)) {
			pieces_flush(mon, c, DIR_IN);
			pieces_flush(mon, c, DIR_OUT);
			c->protocol->end(mon, c, APPMON_END_CLOSED, 0);
			conn_free(mon, c);
		} else if (mon->opts.exchange_timeout_ms != UINT32_MAX &&
			   older(c->active_ns, now, busy_ns)) {
			c->protocol->end(mon, c, APPMON_END_TIMEOUT, 0);
			conn_active(mon, c, now);
		}
	}
	while (!list_empty(&f->idle)) {
		struct conn *c = list_entry(f->idle.next, struct conn, link);

		if (!older(c->active_ns, now, idle_ns))
			break;
		conn_free(mon, c);
	}
}

/* Those of a target, or with NULL those that are not watched any more. */
static void drop_some(struct appmon *mon, const struct target *target, uint32_t reason)
{
	struct flows *f = &mon->flows;

	for (uint32_t i = 0; i < f->buckets; i++) {
		struct conn *c = f->bucket[i], *next;

		for (; c; c = next) {
			next = c->hash_next;
			if (target ? c->id.target == target->id : !is_watched(mon, &c->id, false))
				conn_drop(mon, c, reason);
		}
	}
	for (struct list_node *n = f->strays.next, *next; n != &f->strays; n = next) {
		struct stray *s = list_entry(n, struct stray, link);

		next = n->next;
		if (target ? s->conn.target == target->id : !is_watched(mon, &s->conn, true))
			stray_free(mon, s);
	}
}

void flows_drop_target(struct appmon *mon, struct target *target)
{
	drop_some(mon, target, APPMON_DROP_DETACHED);
}

void flows_drop_unsampled(struct appmon *mon)
{
	drop_some(mon, NULL, APPMON_DROP_SAMPLED);
}
