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
#define EVICT_MAX 16		  /* idle connections forgotten to make room for one block */
#define STRAY_AHEAD_MAX (1 << 20) /* bytes: the largest first window, and more */
/* Connection ids of strays: the kernel's cookies are counted from both ends of their range. */
#define STRAY_ID (UINT64_C(1) << 62)
/* How long a stray waits where not all connections are watched: it may be none of those. */
#define UNSAMPLED_NS (10 * NSEC_PER_SEC)
/* How long a closed connection waits for bytes that the network delivers late. */
#define LINGER_NS (2 * NSEC_PER_SEC)

/* ---- table ---------------------------------------------------------------- */

static uint32_t bucket_of(const struct flows *f, uint64_t key)
{
	return (uint32_t)XXH3_64bits(&key, sizeof(key)) & (f->buckets - 1);
}

int flows_init(struct appmon *mon)
{
	struct flows *f = &mon->flows;

	list_init(&f->busy);
	list_init(&f->idle);
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
			uint32_t k = bucket_of(f, c->key);

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

	bucket_remove(f, c);
	f->count--;
	f->stray_count -= c->stray;
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

static struct conn *conn_new(struct appmon *mon, const struct rec_conn *id, uint64_t key,
			     const struct rec_seg *seg)
{
	struct flows *f = &mon->flows;
	struct conn *c = flow_zalloc(mon, sizeof(*c));

	if (!c)
		return NULL;
	if (f->count >= f->buckets)
		grow(mon);
	c->protocol = &protocol_http1;
	c->id = *id;
	c->key = key;
	c->fresh = !!(seg->flags & REC_FRESH);
	/* Followed from its first byte, and yet there were others: they are counted already. */
	c->gapped = c->fresh && seg->other_ts_ns;
	c->refused = c->gapped;
	c->sample = seg->sample;
	/* It may have been known, and forgotten: its ordinals stay unique. */
	if (!c->fresh || c->gapped)
		c->ordinal_base = f->ordinal_max;
	c->retrans = seg->retrans;
	c->dup = seg->dup;
	list_init(&c->exchanges);
	list_append(&f->idle, &c->link);
	bucket_add(f, c);
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
	if (f->buckets)
		pool_free(&mon->pool, f->bucket);
	f->buckets = 0;
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

/* As much of a first line that comes in pieces as is looked at. */
#define FIRST_LINE_BYTES 256

/* The first message has not told yet what the connection speaks: with these bytes it may. */
static void detect_again(struct appmon *mon, struct conn *c, int dir, uint64_t pos,
			 const char *bytes, uint32_t n, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	uint32_t len = s->head_len, more;
	uint64_t begin = s->pos,
		 skip = begin + len - pos; /* the programs repeat a line that is cut */
	char line[FIRST_LINE_BYTES], *head = s->head;
	struct rec_seg first = *seg;

	if (len >= sizeof(line) || skip >= n)
		return;
	more = n - (uint32_t)skip < sizeof(line) - len ? n - (uint32_t)skip
						       : (uint32_t)sizeof(line) - len;
	if (len)
		memcpy(line, head, len);
	memcpy(line + len, bytes + skip, more);
	s->head = NULL;
	detect(mon, c, line, len + more, seg->lost);
	if (c->protocol == &protocol_http1) {
		s->head = head;
		return;
	}
	c->protocol->role(c, dir, line, len + more);
	s->head_len = 0;
	s->end = begin;
	first.ts_ns = s->head_ns;
	if (len)
		c->protocol->data(mon, c, dir, begin, head, len, len, &first);
	pool_free(&mon->pool, head);
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
	} else if (c->protocol == &protocol_http1 && c->fresh && !c->ordinal && captured &&
		   c->request_dir != 1 + !dir && s->state == STREAM_HEAD &&
		   (mon->opts.protocols & ~(1U << APPMON_PROTO_HTTP1))) {
		detect_again(mon, c, dir, pos, bytes, captured, seg);
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
	if (!other->known && !(seg->flags & (REC_ALONE | REC_LISTENER)))
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

/* ---- strays: connections whose own socket has not shown up yet --------------------- */

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
static void conn_lose(struct appmon *mon, struct conn *c)
{
	c->protocol->end(mon, c, APPMON_END_GAP, APPMON_EVF_GAP);
	conn_free(mon, c);
}

/* The connection of a record that met a listening socket, if it is known. */
static struct conn *stray_meet(struct appmon *mon, const struct record *rec)
{
	struct conn *c = stray_find(&mon->flows, &rec->conn);

	if (!c || c->first_seq == rec->seg.start)
		return c;
	conn_lose(mon, c);
	return NULL;
}

static struct conn *stray_new(struct appmon *mon, const struct record *rec)
{
	struct flows *f = &mon->flows;
	struct rec_conn id = rec->conn;
	struct conn *c;

	id.cookie = STRAY_ID + f->strays_met++;
	c = conn_new(mon, &id, peers_hash(&id), &rec->seg);
	if (!c)
		return NULL;
	c->stray = 1;
	c->first_seq = rec->seg.start;
	f->stray_count++;
	return c;
}

/* The first record of a connection's own socket: is it a stray's? */
static struct conn *stray_join(struct appmon *mon, const struct record *rec)
{
	struct flows *f = &mon->flows;
	struct conn *c = stray_find(f, &rec->conn);
	bool out = rec->seg.flags & REC_OUT;

	if (!c)
		return NULL;
	if ((out ? rec->seg.other_next : rec->seg.start) - c->first_seq > STRAY_AHEAD_MAX) {
		conn_lose(mon, c);
		return NULL;
	}
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
		link_rename(mon, ex);
	}
	/* An answer has passed whose record was lost. */
	if (!out && rec->seg.other_ts_ns)
		c->protocol->end(mon, c, APPMON_END_GAP, APPMON_EVF_GAP);
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

/* Data that meets a listening socket says nothing of the connection's place in the sample. */
static bool is_watched(const struct appmon *mon, const struct rec_conn *conn, uint32_t sample,
		       bool listener)
{
	return (int32_t)(conn->generation - mon->sampling.from) >= 0 &&
	       (listener || sample < mon->sampling.below);
}

static bool begins_request(const struct record *rec)
{
	return (rec->seg.flags & REC_START) &&
	       http1_look(HTTP1_REQUEST, rec->bytes, rec->captured) == HTTP1_LOOK_YES;
}

void flow_record(struct appmon *mon, const struct record *rec)
{
	struct target *target = target_of(mon, &rec->conn);
	bool listener = rec->seg.flags & REC_LISTENER;
	struct conn *c;

	if (!target) {
		if (begins_request(rec)) {
			mon->stats.exchanges_seen++;
			mon->stats.dropped[APPMON_DROP_DETACHED]++;
		}
		return;
	}
	target->stats.records++;
	if (!is_watched(mon, &rec->conn, rec->seg.sample, listener))
		return; /* written while the connection left the sample */
	c = listener ? stray_meet(mon, rec) : conn_find(&mon->flows, rec->conn.cookie);
	if (c && c->id.generation != rec->conn.generation) {
		/* It was away meanwhile. */
		conn_drop(mon, c, APPMON_DROP_SAMPLED);
		c = NULL;
	}
	if (!c && !listener)
		c = stray_join(mon, rec);
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
		c = listener ? stray_new(mon, rec)
			     : conn_new(mon, &rec->conn, rec->conn.cookie, &rec->seg);
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
	if (!listener)
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

	for (struct list_node *n = f->busy.next, *next; n != &f->busy; n = next) {
		struct conn *c = list_entry(n, struct conn, link);
		bool closed = c->stream[DIR_IN].fin && c->stream[DIR_OUT].fin;

		next = n->next;
		if (!older(c->active_ns, now, busy_ns < LINGER_NS ? busy_ns : LINGER_NS))
			break;
		if (c->stray && mon->sampling.ppm < APPMON_SAMPLING_ALL &&
		    older(c->active_ns, now, busy_ns < UNSAMPLED_NS ? busy_ns : UNSAMPLED_NS)) {
			conn_drop(mon, c, APPMON_DROP_SAMPLED);
		} else if (closed && older(c->active_ns, now, LINGER_NS)) {
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
			if (target ? c->id.target == target->id
				   : !is_watched(mon, &c->id, c->sample, c->stray))
				conn_drop(mon, c, reason);
		}
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
