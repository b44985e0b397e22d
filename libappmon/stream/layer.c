/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layer above a socket's bytes: plaintext, which comes from elsewhere. To a protocol it is a
 * connection like any other, with positions of its own. It belongs to its socket: identity,
 * numbers of exchanges, age and end are the socket's.
 */
#include <string.h>

#include "protocol/protocol.h"
#include "stream/stream.h"

static struct conn *layer_open(struct flows *f, struct conn *c, bool fresh)
{
	struct conn *upper;

	f->current = c; /* not to be forgotten for this */
	upper = conn_alloc(f);
	if (!upper)
		return NULL;
	upper->below = c;
	upper->fresh = fresh;
	upper->stream[DIR_IN].known = upper->stream[DIR_OUT].known = 1;
	upper->ordinal_base = c->ordinal_base + c->ordinal;
	upper->proxied = c->proxied;
	conn_speaks(upper, &PROTOCOL_FIRST, (uint64_t[2]){0});
	c->above = upper;
	return upper;
}

static struct chunk chunk_of_plain(const struct flows *f, const struct conn *c,
				   const struct plain *p)
{
	static const char unknown[CHUNK_TAIL];
	const struct stream *self = &c->stream[p->dir], *other = &c->stream[!p->dir];
	struct chunk chunk = {.pos = self->seen,
			      .bytes = p->bytes,
			      .captured = p->captured,
			      .len = p->len,
			      .tail_len = p->len < CHUNK_TAIL ? p->len : CHUNK_TAIL,
			      .tail = unknown,
			      .before = unknown,
			      .ts_ns = p->ts_ns,
			      .other_ts_ns = other->seen_ns,
			      .other_pos = other->seen,
			      .received = other->seen};

	if (p->captured == p->len)
		chunk.tail = p->bytes + p->len - chunk.tail_len;
	else if (p->tail)
		chunk.tail = p->tail + CHUNK_TAIL - chunk.tail_len;
	if (p->more)
		chunk.flags |= CHUNK_MORE;
	if (!self->seen || self->turned)
		chunk.flags |= CHUNK_TURN;
	if (protocol_begins(f->pl->protocols | 1U << PROTOCOL_FIRST.id, p->bytes, p->captured) !=
	    MESSAGE_NONE)
		chunk.flags |= CHUNK_STARTS;
	return chunk;
}

static void layer_data(struct flows *f, struct conn *c, const struct plain *p)
{
	struct stream *self = &c->stream[p->dir];
	struct chunk chunk = chunk_of_plain(f, c, p);
	int dir = p->dir;

	if (c->lost)
		chunk.flags |= CHUNK_LOST;
	/* Another request stands before it, and has not been answered. */
	if (self->lost != c->lost && (chunk.flags & CHUNK_STARTS) && !(chunk.flags & CHUNK_TURN) &&
	    c->request_dir != 1 + !dir)
		c->protocol->missed(f->pl, c);
	if (p->captured)
		self->lost = c->lost;
	self->turned = 0;
	c->stream[!dir].turned = 1;
	self->seen += p->len;
	self->seen_ns = p->end_ns ? p->end_ns : p->ts_ns;
	self->begun = 1;
	chunk_tells(f, c, dir, &chunk);
	c->protocol->data(f->pl, c, dir, &chunk);
}

/* A chunk has one time: what began earlier than it ended is two. */
static void layer_pieces(struct flows *f, struct conn *c, const struct plain *p)
{
	struct plain first = *p, rest = *p;

	if (!p->end_ns || p->end_ns == p->ts_ns || p->len == 1) {
		layer_data(f, c, p);
		return;
	}
	first.len = p->captured < p->len ? p->captured : p->len - 1;
	if (first.len) {
		first.captured = first.len;
		first.end_ns = p->ts_ns;
		first.more = true;
		layer_data(f, c, &first);
	}
	rest.bytes += first.len;
	rest.captured -= first.len;
	rest.len -= first.len;
	rest.ts_ns = p->end_ns;
	layer_data(f, c, &rest);
}

bool layer_plain(struct flows *f, const struct plain *p)
{
	struct conn *c = conn_find(f, p->cookie), *upper;

	if (!c)
		return false;
	upper = c->above ? c->above : layer_open(f, c, p->fresh);
	if (!upper)
		return false;
	f->current = c;
	f->pl->owner = p->owner;
	upper->id = c->id;
	upper->srtt_us = c->srtt_us;
	upper->retrans = c->retrans;
	upper->dup = c->dup;
	if (p->call_times)
		upper->call_times = CALL_TIMES_NOW;
	else if (upper->call_times)
		upper->call_times = CALL_TIMES_BEFORE;
	upper->numbers[p->dir] = (struct numbers){
		.pos = upper->stream[p->dir].seen, .seq = p->seq, .len = p->numbered};
	if (p->len)
		layer_pieces(f, upper, p);
	if (p->ends && !upper->stream[p->dir].fin) {
		upper->stream[p->dir].fin = FIN_NOTED;
		upper->stream[p->dir].fin_pos = upper->stream[p->dir].seen;
	}
	upper->protocol->progress(f->pl, upper, p->dir, p->end_ns ? p->end_ns : p->ts_ns);
	if ((f->pl->flags & APPMON_OPEN_STREAM_HEADS) && upper->protocol->stream)
		upper->protocol->stream(f->pl, upper);
	upper->active_ns = p->ts_ns;
	conn_active(f, c, p->ts_ns > c->active_ns ? p->ts_ns : c->active_ns);
	f->pl->owner = NULL;
	return true;
}

void layer_lose(struct flows *f, struct conn *c, int dir, uint64_t missing)
{
	struct conn *upper = c->above ? c->above : layer_open(f, c, false);

	if (!upper)
		return;
	EXPLAIN(APPMON_LOG_DEBUG, f->pl, &c->id, WHY("%llu bytes of its plaintext were missed"),
		(unsigned long long)missing);
	upper->lost++;
	/* There may have been requests among them. */
	upper->protocol->doubt(f->pl, upper, true);
	upper->protocol->missed(f->pl, upper);
	upper->stream[dir].seen += missing;
}
