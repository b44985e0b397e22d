/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plaintext that the calls of TLS libraries tell, joined with its socket and fed to its layer.
 *
 * A session is joined by what cannot be wrong, or not at all: it has the random of the hello that
 * the socket has sent; or the program knows the socket; or, on a connection whose hellos passed
 * before the attach, a thread has sent from that socket inside a write of that session.
 *
 * Bytes and their order are the calls', times are the wire's. What is read came with the first
 * record of its turn. What is written waits until a record leaves that was not there when the call
 * began; so it does not overtake what the wire has of the other direction.
 */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "protocol/protocol.h"
#include "stream/stream.h"

#define SESSION_BUCKETS 1024
#define SENDERS 256
/* What waits for its socket, or its time: longer, or more, and it is given up. */
#define HELD_NS (5 * NSEC_PER_SEC)
#define HELD_BYTES (1 << 20)

/* A call that waits. */
struct held {
	struct held *next;
	uint64_t end_ns;
	struct rec_plain call;
	bool hole;   /* calls before it are missing */
	bool renews; /* the first one behind another handshake */
	char bytes[];
};

struct session {
	struct list_node link; /* in sessions.used, least recently used first */
	struct session *next;  /* in a bucket */
	uint64_t address;
	uint32_t tgid;
	struct tls_tag tag;
	uint8_t record[TLS_RECORD_BYTES]; /* the last that it has made; 0: not known */
	uint64_t cookie;		  /* of the socket; 0: not joined */
	uint32_t lost;			  /* calls at this address that could not be told so far */
	uint32_t turn;			  /* 1 + DIR_* of the last call that was fed */
	uint64_t fed[2]; /* by DIR_*: bytes below have been fed, or are known to be missing */
	bool whole;	 /* it has been fed from its first byte on */
	bool begun;	 /* a call of it has been fed */
	bool hole;	 /* of the next call: as held.hole, */
	bool renews;	 /* as held.renews */
	struct held *held, **held_end;
	size_t held_bytes;
	/* Of the last turn that was read. */
	uint64_t read_first_ns, read_last_ns;
	uint32_t read_tid;
	/* Of the last call: whether and when its record passed, and there is more of it. */
	bool timed, more;
	/* Of the one that waits: times and due have the first record that it has become. It is kept, for
	 * the wire forgets its records. */
	bool placed;
	struct carrier times;
	uint32_t left;	 /* bytes of the record `taken` that are still to be read */
	uint32_t offset; /* in the record: where the part of the call begins that is fed next */
	/* Plaintext in records that left: behind the last call; behind the present one, 0: that is not
	 * known. */
	uint64_t sent, due;
	uint64_t taken; /* records of the wire whose bytes have been read */
};

/* The last that a thread has sent on a TLS connection whose hellos are not known. */
struct sender {
	uint64_t cookie, order_ns;
	uint64_t other_ns; /* until then it may have sent on another one */
	uint32_t tid;
};

/* Which session has made a record whose socket is looked for: 0: none. */
struct made {
	uint64_t session;
	uint32_t tgid, pad;
};

struct sessions {
	struct list_node used;
	struct made made[SENDERS]; /* by the record */
	struct session *bucket[SESSION_BUCKETS];
	struct tls_wire *tag[SESSION_BUCKETS]; /* connections by tag */
	struct sender sender[SENDERS];
};

bool sessions_init(struct flows *f)
{
	f->sessions = pool_zalloc_evicting(&f->pl->pool, sizeof(*f->sessions));
	if (f->sessions)
		list_init(&f->sessions->used);
	return f->sessions;
}

static uint32_t tag_bucket(const uint8_t tag[TLS_TAG_BYTES])
{
	return (uint32_t)XXH3_64bits(tag, TLS_TAG_BYTES) % SESSION_BUCKETS;
}

static struct session **session_bucket(struct sessions *all, uint64_t address, uint32_t tgid)
{
	uint64_t key[2] = {address, tgid};

	return &all->bucket[XXH3_64bits(key, sizeof(key)) % SESSION_BUCKETS];
}

static struct session *session_find(struct sessions *all, uint64_t address, uint32_t tgid)
{
	struct session *s = *session_bucket(all, address, tgid);

	while (s && (s->address != address || s->tgid != tgid))
		s = s->next;
	return s;
}

/* ---- what waits ------------------------------------------------------------------------------ */

static void held_free(struct flows *f, struct session *s)
{
	struct held *h = s->held;

	s->held = h->next;
	if (!s->held)
		s->held_end = &s->held;
	s->held_bytes -= sizeof(*h) + h->call.captured;
	s->placed = false;
	pool_free(&f->pl->pool, h);
}

/* What waits is not told. Whatever comes next has a hole in front of it. */
static void held_drop(struct flows *f, struct session *s, const char *why)
{
	const struct rec_conn id = {.cookie = s->cookie};

	if (!s->held)
		return;
	EXPLAIN(APPMON_LOG_DEBUG, f->pl, &id, "plaintext of process %u is not told: %s", s->tgid,
		why);
	s->hole = true;
	while (s->held) {
		f->pl->stats.plain_dropped++;
		held_free(f, s);
	}
}

static bool held_add(struct flows *f, struct session *s, const struct rec_plain *call,
		     uint64_t end_ns, const char *bytes)
{
	size_t size = sizeof(struct held) + call->captured;
	struct held *h;

	if (s->held_bytes + size > HELD_BYTES)
		held_drop(f, s, WHY("too much waits for its socket"));
	h = pool_alloc(&f->pl->pool, size);
	if (!h) {
		held_drop(f, s, WHY("no memory"));
		s->hole = true;
		f->pl->stats.plain_dropped++;
		return false;
	}
	h->next = NULL;
	h->end_ns = end_ns;
	h->call = *call;
	h->hole = s->hole;
	h->renews = s->renews;
	s->hole = s->renews = false;
	memcpy(h->bytes, bytes, call->captured);
	*s->held_end = h;
	s->held_end = &h->next;
	s->held_bytes += size;
	return true;
}

/* ---- connections by tag ----------------------------------------------------------------------- */

void sessions_forget(struct flows *f, struct conn *c)
{
	struct tls_wire **p;

	if (!c->wire)
		return;
	if (c->wire->tagged) {
		p = &f->sessions->tag[tag_bucket(c->wire->tag)];
		while (*p != c->wire)
			p = &(*p)->next;
		*p = c->wire->next;
	}
	pool_free(&f->pl->pool, c->wire);
	c->wire = NULL;
}

static void wire_tag(struct flows *f, struct tls_wire *w)
{
	struct tls_wire **bucket = &f->sessions->tag[tag_bucket(w->tag)];

	w->next = *bucket;
	*bucket = w;
	w->tagged = true;
}

static struct tls_wire *wire_tagged(const struct flows *f, const uint8_t tag[TLS_TAG_BYTES],
				    bool client)
{
	struct tls_wire *w = f->sessions->tag[tag_bucket(tag)];

	while (w && (w->client != client || memcmp(w->tag, tag, TLS_TAG_BYTES) != 0))
		w = w->next;
	return w;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void session_free(struct flows *f, struct session *s)
{
	struct session **p = session_bucket(f->sessions, s->address, s->tgid);

	held_drop(f, s, WHY("no socket was found for it"));
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	list_remove(&s->link);
	pool_free(&f->pl->pool, s);
}

void sessions_free(struct flows *f)
{
	if (!f->sessions)
		return;
	while (!list_empty(&f->sessions->used))
		session_free(f, list_entry(f->sessions->used.next, struct session, link));
	pool_free(&f->pl->pool, f->sessions);
	f->sessions = NULL;
}

static void note_lost(struct flows *f, struct session *s, uint32_t lost)
{
	if (lost > s->lost)
		f->pl->stats.plain_dropped += lost - s->lost;
	s->lost = lost;
}

/* Its address is another session's now. */
static void session_begin(struct flows *f, struct session *s, const struct rec_plain *call)
{
	held_drop(f, s, WHY("its session has ended"));
	note_lost(f, s, call->lost_before);
	s->tag = call->tag;
	memset(s->record, 0, sizeof(s->record));
	s->cookie = 0;
	s->fed[DIR_IN] = s->fed[DIR_OUT] = 0;
	s->turn = 0;
	s->begun = s->hole = s->renews = s->more = false;
	s->read_tid = 0;
	s->taken = s->left = 0;
	s->sent = s->due = 0;
}

static bool same_random(const uint8_t a[TLS_TAG_BYTES], const uint8_t b[TLS_TAG_BYTES])
{
	static const uint8_t unknown[TLS_TAG_BYTES];

	return !memcmp(a, b, TLS_TAG_BYTES) && memcmp(a, unknown, TLS_TAG_BYTES) != 0;
}

/*
 * Whether it has another tag because its connection was renegotiated, and keeps its socket. While the
 * handshake goes on, one random is still the old one. Behind it the wire has shown one, and nobody
 * else has sent a hello with the new randoms.
 */
static bool is_renewed(struct flows *f, const struct session *s, const struct rec_plain *call)
{
	const struct conn *c = s->cookie ? conn_find(f, s->cookie) : NULL;
	const struct tls_tag *tag = &call->tag;

	if (!c || !c->wire || c->stream[DIR_OUT].fin)
		return false;
	if (same_random(s->tag.client, tag->client) || same_random(s->tag.server, tag->server))
		return true;
	return c->wire->renewed && !wire_tagged(f, tag->server, false) &&
	       !wire_tagged(f, tag->client, true);
}

static void session_renew(struct flows *f, struct session *s, const struct rec_plain *call)
{
	struct conn *c = conn_find(f, s->cookie);

	EXPLAIN_CONN(f->pl, &c->id, "was renegotiated by process %u", s->tgid);
	c->wire->renewed = false;
	s->tag = call->tag;
	s->renews = true;
}

static struct session *session_of(struct flows *f, const struct rec_plain *call)
{
	struct session *s = session_find(f->sessions, call->session, call->tgid), **bucket;

	if (!s) {
		s = pool_alloc(&f->pl->pool, sizeof(*s));
		if (!s)
			return NULL;
		memset(s, 0, sizeof(*s));
		s->address = call->session;
		s->tgid = call->tgid;
		s->lost = call->lost_before;
		s->held_end = &s->held;
		bucket = session_bucket(f->sessions, s->address, s->tgid);
		s->next = *bucket;
		*bucket = s;
		list_init(&s->link);
		session_begin(f, s, call);
	} else if (memcmp(&s->tag, &call->tag, sizeof(s->tag)) != 0) {
		if (is_renewed(f, s, call))
			session_renew(f, s, call);
		else
			session_begin(f, s, call);
	}
	list_remove(&s->link);
	list_append(&f->sessions->used, &s->link);
	return s;
}

/* ---- the socket ------------------------------------------------------------------------------ */

/* Whether the session is a client's, as far as its first bytes tell: 1 + yes; 0: they do not. HTTP/2
 * says it by its preface only. */
static int role_told(const struct rec_plain *call, const char *bytes)
{
	static const char preface[] = "PRI * HTTP/2.0";
	const bool out = call->flags & PLAIN_OUT;
	enum message message;

	if (call->pos)
		return 0;
	if (call->captured >= sizeof(preface) - 1 && !memcmp(bytes, preface, sizeof(preface) - 1))
		return 1 + out;
	message = protocol_begins(1U << PROTOCOL_FIRST.id, bytes, call->captured);
	if (message == MESSAGE_NONE)
		return 0;
	return 1 + ((message == MESSAGE_REQUEST) == out);
}

/*
 * The connection that has sent one of the session's two hellos. Both ends can be watched: then each
 * has sent one of them, and its process tells which is the session's, or, where that has both ends or
 * was forked meanwhile, its first bytes do.
 */
static struct tls_wire *by_tag(const struct flows *f, const struct session *s,
			       const struct rec_plain *call, const char *bytes)
{
	static const struct tls_tag unknown;
	struct tls_wire *end[2];
	bool own[2];
	int role = role_told(call, bytes);

	if (!memcmp(&s->tag, &unknown, sizeof(unknown)))
		return NULL;
	end[0] = wire_tagged(f, s->tag.server, false);
	end[1] = wire_tagged(f, s->tag.client, true);
	for (int i = 0; i < 2; i++)
		own[i] = end[i] && end[i]->pid == s->tgid;
	if (own[0] != own[1])
		return !role || own[role - 1] ? end[own[1]] : NULL;
	return role ? end[role - 1] : NULL;
}

/*
 * A thread has sent on a TLS connection whose hello was not seen. Threads share places: what this one
 * has sent while another had its place is not known.
 */
static void note_sender(struct flows *f, const struct record *rec)
{
	struct sender *sender = &f->sessions->sender[rec->owner.sender_tid % SENDERS];

	if (sender->tid != rec->owner.sender_tid || sender->cookie != rec->conn.cookie)
		sender->other_ns = sender->order_ns;
	sender->tid = rec->owner.sender_tid;
	sender->cookie = rec->conn.cookie;
	sender->order_ns = rec->order_ns;
}

/* The thread has sent inside of this call, and on one connection only. */
static uint64_t by_nesting(const struct flows *f, const struct rec_plain *call, uint64_t end_ns)
{
	const struct sender *sender = &f->sessions->sender[call->tid % SENDERS];

	if (!(call->flags & PLAIN_OUT) || (call->flags & PLAIN_ENTRY) || sender->tid != call->tid ||
	    sender->order_ns <= call->entry_ns || sender->order_ns >= end_ns ||
	    sender->other_ns > call->entry_ns)
		return 0;
	return sender->cookie;
}

static struct made *made_place(const struct flows *f, const uint8_t record[TLS_RECORD_BYTES])
{
	return &f->sessions->made[XXH3_64bits(record, TLS_RECORD_BYTES) % SENDERS];
}

/* A session whose socket is not known has made a record. */
static void note_made(struct flows *f, struct session *s, const struct rec_plain *call)
{
	if (!call->record[0])
		return;
	memcpy(s->record, call->record, sizeof(s->record));
	*made_place(f, s->record) = (struct made){.session = s->address, .tgid = s->tgid};
}

static void session_join(struct flows *f, struct session *s, const struct rec_plain *call,
			 uint64_t end_ns, const char *bytes)
{
	const struct tls_wire *w = NULL;

	s->cookie = call->cookie;
	if (!s->cookie) {
		w = by_tag(f, s, call, bytes);
		s->cookie = w ? w->cookie : by_nesting(f, call, end_ns);
	}
}

/* ---- feeding --------------------------------------------------------------------------------- */

static const struct carrier *carrier_at(const struct tls_wire *w, int dir, uint64_t i)
{
	return &w->carrier[dir][i % CARRIERS];
}

static uint64_t first_carrier(const struct tls_wire *w, int dir)
{
	return w->carried[dir] < CARRIERS ? 0 : w->carried[dir] - CARRIERS;
}

/*
 * The first record that left after the call had begun, and has as many bytes as it can have of that
 * call; of unknown lengths, the first. Tickets and the like have others. False: none has left.
 */
static bool time_written(struct session *s, const struct tls_wire *w, const struct rec_plain *call,
			 struct carrier *ret)
{
	const uint32_t most = 16384, len = call->whole < most ? call->whole : most;
	const uint64_t first = first_carrier(w, DIR_OUT);
	const struct carrier *at = carrier_at(w, DIR_OUT, first);
	bool found = false;

	s->due = 0;
	*ret = w->turn[DIR_OUT];
	if (ret->start_ns >= call->entry_ns && (!ret->len || ret->len == len)) {
		s->due = ret->len ? ret->pos + call->whole : 0;
		return true;
	}
	/* So many have left meanwhile that the first ones are not here any more. */
	if (first && at->start_ns > call->entry_ns && s->sent && at->pos > s->sent) {
		*ret = *at;
		ret->len = 0;
		s->due = s->sent + call->whole;
		return true;
	}
	for (uint64_t i = first; i < w->carried[DIR_OUT]; i++) {
		at = carrier_at(w, DIR_OUT, i);
		if (at->start_ns < call->entry_ns || (found && at->len != len))
			continue;
		*ret = *at;
		found = true;
		if (!at->len || at->len == len) {
			s->due = at->len ? at->pos + call->whole : 0;
			return true;
		}
	}
	ret->len = 0; /* which one it was is not certain */
	return found;
}

/* When the last record passed that the call has become. False: it has not. */
static bool time_ended(const struct session *s, const struct tls_wire *w, struct carrier *times)
{
	if (!s->due)
		return true;
	for (uint64_t i = first_carrier(w, DIR_OUT); i < w->carried[DIR_OUT]; i++) {
		const struct carrier *at = carrier_at(w, DIR_OUT, i);

		if (at->pos + at->len < s->due)
			continue;
		times->end_ns = at->end_ns;
		return true;
	}
	return false;
}

/*
 * The record from which it was read: of those that came meanwhile the first that has as many bytes, or
 * one of which there is more to read. A call reads from one record only. False: none has come.
 */
static bool time_read(struct session *s, const struct tls_wire *w, const struct rec_plain *call,
		      uint64_t end_ns, struct carrier *ret)
{
	const uint64_t first = first_carrier(w, DIR_IN);
	uint64_t found = UINT64_MAX;

	if (s->taken < first) { /* so much has come: times within the turn are about right */
		s->taken = first;
		s->left = 0;
		found = first;
	}
	for (uint64_t i = s->taken; i < w->carried[DIR_IN]; i++) {
		const struct carrier *at = carrier_at(w, DIR_IN, i);
		uint32_t len = i == s->taken && s->left ? s->left : at->len;

		if (at->start_ns > end_ns)
			break;
		if (len < call->whole || (found != UINT64_MAX && len != call->whole))
			continue;
		found = i;
		/* In front of a turn's first there can be tickets. */
		if (len == call->whole || s->turn == 1 + DIR_IN || (i == s->taken && s->left))
			break;
	}
	*ret = w->turn[DIR_IN];
	if (found == UINT64_MAX) {
		/* The place is lost, or lengths are not known: with the turn's first, or the last
		 * one that had come. */
		s->left = 0;
		for (uint64_t i = s->turn == 1 + DIR_IN ? s->taken : w->carried[DIR_IN];
		     i < w->carried[DIR_IN] && carrier_at(w, DIR_IN, i)->start_ns <= end_ns; i++)
			*ret = *carrier_at(w, DIR_IN, i);
		ret->len = 0;
		return ret->start_ns && ret->start_ns <= end_ns;
	}
	*ret = *carrier_at(w, DIR_IN, found);
	if (found != s->taken || !s->left)
		s->left = ret->len;
	s->offset = ret->len - s->left;
	s->left = s->left > call->whole ? s->left - call->whole : 0;
	s->taken = s->left ? found : found + 1;
	return true;
}

/* Who sends, and when it had read, if that was the same thread. */
static void owner_of(const struct session *s, const struct conn *c, struct rec_owner *ret)
{
	*ret = c->wire->owner;
	if (!c->above || c->above->request_dir != 1 + DIR_IN)
		return;
	if (ret->source != OWNER_SENT || ret->task.pid != s->tgid || ret->task.tid != s->read_tid)
		return;
	ret->source = OWNER_READ;
	ret->read_first_ns = s->read_first_ns;
	ret->read_last_ns = s->read_last_ns;
}

static void note_read(struct session *s, const struct rec_plain *call, uint64_t end_ns)
{
	if (s->turn != 1 + DIR_IN || s->read_tid != call->tid)
		s->read_first_ns = end_ns;
	s->read_last_ns = end_ns;
	s->read_tid = call->tid;
}

/* A thread has read of a request. That it waited for it, the call tells that was there before. */
static void tell_reader(struct flows *f, const struct conn *c, const struct held *h,
			const struct plain *plain)
{
	const struct reader reader = {.start_ns = h->call.start_ns,
				      .pid = h->call.tgid,
				      .tid = h->call.tid,
				      .seq = plain->seq,
				      .blocks = h->call.entry_ns < plain->ts_ns};

	if (plain->dir == DIR_IN && plain->numbered && c->above && f->pl->causes.buckets)
		cause_read(f->pl, c->above, &reader);
}

/* It has the session's first bytes: its process was looked at before the handshake began. */
static bool is_first(const struct conn *c, const struct held *h)
{
	return c->fresh && !h->hole && c->wire && c->wire->hello_ns && h->call.since_ns &&
	       h->call.since_ns < c->wire->hello_ns && !h->call.pos && !h->call.lost;
}

/* False: it waits for the wire. late: not any longer. */
static bool feed(struct flows *f, struct session *s, struct conn *c, const struct held *h,
		 bool late)
{
	const struct rec_plain *call = &h->call;
	struct tls_wire *w = c->wire;
	struct carrier times = {0};
	struct rec_owner owner = {0};
	struct plain plain = {
		.cookie = s->cookie,
		.dir = call->flags & PLAIN_OUT ? DIR_OUT : DIR_IN,
		.bytes = h->bytes,
		.captured = call->captured,
		.len = call->len,
		.tail = call->flags & PLAIN_TAIL ? (const char *)call->tail : NULL,
		.more = call->flags & PLAIN_MORE,
		.fresh = is_first(c, h),
	};
	bool timed, ended = true;

	if (h->renews) {
		s->fed[DIR_IN] = s->fed[DIR_OUT] = 0;
		s->sent = s->left = 0;
		s->more = false;
	}
	if (s->more && !h->hole)
		timed = s->timed;
	else if (plain.dir == DIR_OUT)
		timed = w && (s->placed || time_written(s, w, call, &s->times));
	else
		timed = w && time_read(s, w, call, h->end_ns, &s->times);
	if (timed && plain.dir == DIR_OUT && !plain.more)
		ended = time_ended(s, w, &s->times);
	late |= !w || w->lost;
	if (plain.dir == DIR_OUT && !late && (!timed || !ended)) {
		s->placed = timed;
		return false;
	}
	times = s->times;
	if (!ended)
		times.end_ns = h->end_ns;
	if (!s->more && plain.dir == DIR_OUT)
		s->offset = 0;
	if (timed && s->offset < times.len) {
		plain.seq = times.seq + s->offset;
		plain.numbered = times.len - s->offset;
	}
	s->offset += call->len;
	if (plain.dir == DIR_OUT && !plain.more)
		s->sent = s->due;
	if (plain.more)
		times.end_ns = times.start_ns;
	s->timed = timed;
	s->more = plain.more;
	plain.call_times = !timed || !ended;
	plain.ts_ns = timed ? times.start_ns : plain.dir == DIR_OUT ? call->entry_ns : h->end_ns;
	plain.end_ns = timed && times.end_ns > plain.ts_ns ? times.end_ns : plain.ts_ns;
	if (plain.dir == DIR_IN)
		note_read(s, call, h->end_ns);
	if (w && w->owner.source && (!w->owner_before || w->owner.task.tid == call->tid)) {
		owner_of(s, c, &owner);
		plain.owner = &owner;
	}
	s->turn = 1U + (uint32_t)plain.dir;
	if (!s->begun)
		s->whole = plain.fresh;
	if (!s->whole && !s->fed[plain.dir]) /* what passed before is not known */
		s->fed[plain.dir] = call->pos;
	if (h->hole || call->pos != s->fed[plain.dir])
		layer_lose(f, c, plain.dir,
			   call->pos > s->fed[plain.dir] ? call->pos - s->fed[plain.dir] : 0);
	s->fed[plain.dir] = call->pos + call->len;
	s->begun = true;
	f->pl->stats.plain_calls += !(call->flags & PLAIN_MORE);
	if (layer_plain(f, &plain))
		tell_reader(f, c, h, &plain);
	else
		s->hole = true;
	return true;
}

/* Feeds what need not wait. */
static void session_drain(struct flows *f, struct session *s, bool late)
{
	struct conn *c = s->cookie ? conn_find(f, s->cookie) : NULL;

	if (!c)
		return;
	if (!c->plain && s->held) {
		c->plain = 1;
		EXPLAIN_CONN(f->pl, &c->id, "carries plaintext that process %u tells", s->tgid);
		if (c->protocol->uncover)
			c->protocol->uncover(
				f->pl, c, is_first(c, s->held),
				s->held->call.flags & PLAIN_OUT ? s->held->call.entry_ns : 0);
	}
	while (s->held && feed(f, s, c, s->held, late))
		held_free(f, s);
	if (!c->wire)
		return;
	c->wire->tgid = s->tgid;
	if (!s->held == !c->wire->session)
		return;
	c->wire->session = s->held ? s->address : 0;
	conn_active(f, c, c->active_ns);
}

void sessions_call(struct flows *f, const struct record *rec)
{
	const struct rec_plain *call = &rec->call;
	struct session *s;
	uint32_t lost;

	if (!f->sessions)
		return;
	s = session_of(f, call);
	if (!s) {
		f->pl->stats.plain_dropped++;
		return;
	}
	lost = call->lost_before + call->lost;
	s->hole |= lost != s->lost;
	note_lost(f, s, lost);
	if (!s->cookie)
		session_join(f, s, call, rec->order_ns, rec->bytes);
	if (!s->cookie)
		note_made(f, s, call);
	if (held_add(f, s, call, rec->order_ns, rec->bytes))
		session_drain(f, s, false);
}

/* What is closed on the wire ends the plaintext; what came may be read until our side closes. */
static void tell_ends(struct flows *f, struct conn *c, uint64_t ts_ns)
{
	for (int dir = 0; dir < 2; dir++) {
		struct plain end = {
			.cookie = c->id.cookie, .dir = dir, .ends = true, .ts_ns = ts_ns};

		if (c->above && c->stream[dir].fin && c->stream[DIR_OUT].fin)
			layer_plain(f, &end);
	}
}

/* What it has sent was written to this session: of Go's, which tell no randoms. */
static void join_writer(struct flows *f, struct conn *c, const struct record *rec)
{
	struct session *s =
		session_find(f->sessions, rec->owner.tls_session, rec->owner.sender_pid);

	if (!s || s->cookie)
		return;
	s->cookie = c->id.cookie;
	session_drain(f, s, false);
}

/*
 * Its hellos were not seen. A session has made a record that begins as this one: it writes to memory,
 * and its process sends that.
 */
static void join_maker(struct flows *f, struct conn *c, const struct record *rec)
{
	struct tls_wire *w = c->wire;

	for (uint32_t i = 0; i < w->records && !c->plain; i++) {
		const struct made *made = made_place(f, w->record[i]);
		struct session *s = session_find(f->sessions, made->session, made->tgid);

		if (!s || s->cookie || s->tgid != rec->owner.sender_pid ||
		    memcmp(s->record, w->record[i], sizeof(s->record)) != 0)
			continue;
		s->cookie = c->id.cookie;
		session_drain(f, s, false);
	}
	w->records = 0;
}

/* Turns without a session, until the records of a process are asked for. */
#define TURNS_UNKNOWN 3

/* A turn begins on a connection of which it is not known which session it has. */
static void note_unknown(struct flows *f, struct tls_wire *w, const struct record *rec)
{
	if (rec->owner.sender_pid && ++w->turns == TURNS_UNKNOWN)
		f->records_pid = rec->owner.sender_pid;
}

void sessions_wire(struct flows *f, struct conn *c, const struct record *rec)
{
	struct session *s;
	struct tls_wire *w = c->wire;

	if (!f->sessions || !w)
		return;
	if (rec->seg.len && !(rec->seg.flags & REC_OUT))
		w->turned = true;
	/* A turn can begin with tickets, or while the socket has other work: it is not known by whom. */
	if (rec->seg.len && (rec->seg.flags & REC_OUT) &&
	    (w->turned || w->owner_before || !w->owner.source)) {
		w->owner_before = !rec->owner.source && w->owner.task.pid == w->tgid;
		if (!w->owner_before)
			w->owner = rec->owner;
	}
	if (rec->seg.len && (rec->seg.flags & REC_OUT) && w->turned) {
		w->turned = false;
		if (!w->hello_ns && !c->plain)
			note_unknown(f, w, rec);
	}
	if (w->hello_ns && !w->tagged)
		wire_tag(f, w);
	if (!w->hello_ns && !c->plain && rec->owner.sender_tid && (rec->seg.flags & REC_OUT) &&
	    rec->seg.len)
		note_sender(f, rec);
	if (rec->owner.tls_session)
		join_writer(f, c, rec);
	if (w->records)
		join_maker(f, c, rec);
	if (!w->session) {
		if (c->plain && (rec->seg.flags & REC_FIN))
			tell_ends(f, c, rec->seg.ts_ns);
		return;
	}
	s = session_find(f->sessions, w->session, w->tgid);
	if (s && s->cookie == c->id.cookie)
		session_drain(f, s, rec->seg.flags & (REC_FIN | REC_RST));
	if (rec->seg.flags & REC_FIN)
		tell_ends(f, c, rec->seg.ts_ns);
}

void sessions_expire(struct flows *f, uint64_t now_ns)
{
	struct list_node *n, *next;

	if (!f->sessions)
		return;
	for (n = f->sessions->used.next; n != &f->sessions->used; n = next) {
		struct session *s = list_entry(n, struct session, link);
		const struct conn *c = s->cookie ? conn_find(f, s->cookie) : NULL;

		next = n->next;
		/* While its connection moves on, what waits for that may come yet. */
		if (s->held &&
		    (s->held->end_ns + HELD_NS > now_ns || (c && c->active_ns + HELD_NS > now_ns)))
			continue;
		if (s->held && c)
			session_drain(f, s, true);
		if (s->held || !c)
			session_free(f, s);
	}
}
