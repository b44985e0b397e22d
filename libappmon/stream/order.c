/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Order. Each record says how far its stream and the other one are whole (rec_seg.whole): the
 * programs know it from the segments, TCP from what it has received. The programs say so only of
 * segments whose records are in the ring already. So a piece that lies beyond waits; once
 * the stream is whole up to it, whatever had no record before it was not captured, and never will
 * be: the order in which packets came does not matter.
 */
#include <string.h>

#include "protocol/protocol.h"
#include "stream/stream.h"

#define PIECES_MAX 1024

void stream_begin(struct stream *s, uint32_t seq)
{
	s->known = 1;
	s->base_seq = seq;
}

/* All bytes below seq_end have passed. */
void stream_saw(struct stream *s, uint32_t seq_end, uint64_t ts_ns)
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

void pieces_free(struct flows *f, struct stream *s)
{
	while (s->pieces) {
		struct piece *p = s->pieces;

		s->pieces = p->next;
		pool_free(&f->pl->pool, p);
	}
	s->piece_count = 0;
}

/* False: no memory, or too many. */
static bool piece_keep(struct flows *f, struct stream *s, uint64_t pos, const struct segment *seg,
		       const struct heard *heard, const char *bytes, const char *tail)
{
	struct piece **at = &s->pieces, *p;

	if (s->piece_count >= PIECES_MAX)
		return false;
	p = pool_alloc_evicting(&f->pl->pool, sizeof(*p) + seg->captured);
	if (!p)
		return false;
	p->pos = pos;
	p->seg = *seg;
	p->heard = *heard;
	if (tail)
		memcpy(p->tail, tail, TAIL_BYTES);
	memcpy(p->bytes, bytes, seg->captured);
	while (*at && (int64_t)((*at)->pos - pos) <= 0)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	s->piece_count++;
	return true;
}

/* Are all of these bytes in pieces that came before? */
static bool is_kept(const struct stream *s, uint64_t pos, uint32_t len)
{
	uint64_t end = pos + len;

	for (const struct piece *p = s->pieces; p && (int64_t)(p->pos - pos) <= 0; p = p->next)
		if ((int64_t)(p->pos + p->seg.len - pos) > 0)
			pos = p->pos + p->seg.len;
	return (int64_t)(pos - end) >= 0;
}

/* A segment in its turn, captured or not. */
static void segment_apply(struct flows *f, struct conn *c, int dir, uint64_t pos,
			  const struct segment *seg, const struct heard *heard, const char *bytes,
			  const char *tail)
{
	struct stream *s = &c->stream[dir];
	struct chunk chunk = chunk_of(pos, seg, heard, bytes, tail);

	/* The kernel may have learned only later that nothing is missing before it. */
	stream_saw(s, seg->seq + seg->len, seg->ts_ns);
	chunk_tells(f, c, dir, &chunk);
	/* Another request stands before it in the stream and has not been answered. */
	if (seg->captured && (seg->lost != s->lost || !s->begun) &&
	    (seg->flags & (REC_START | REC_FLIP | REC_OLD)) == REC_START &&
	    c->request_dir != 1 + !dir)
		c->protocol->missed(f->pl, c);
	if (seg->captured) {
		s->begun = 1;
		s->lost = seg->lost;
	}
	c->protocol->data(f->pl, c, dir, &chunk);
}

void pieces_take(struct flows *f, struct conn *c, int dir, uint64_t until)
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
		segment_apply(f, c, dir, p->pos, &p->seg, &p->heard, p->bytes, p->tail);
		pool_free(&f->pl->pool, p);
	}
}

/* What is missing will not come: go on with what is here. */
void pieces_flush(struct flows *f, struct conn *c, int dir)
{
	struct stream *s = &c->stream[dir];

	while (s->pieces) {
		struct piece *p = s->pieces;

		stream_saw(s, p->seg.seq + p->seg.len, p->seg.ts_ns);
		pieces_drain(f, c, dir, ANY);
	}
}

void stream_framed(struct conn *c, int dir, uint32_t seq, uint32_t skipped)
{
	if (c->protocol->framed)
		c->protocol->framed(c, dir, stream_pos(&c->stream[dir], seq), skipped);
}

/* A segment as it comes. */
void stream_segment(struct flows *f, struct conn *c, int dir, const struct segment *seg,
		    const char *bytes, const char *tail)
{
	struct stream *s = &c->stream[dir];
	struct heard heard = heard_by(c, dir, seg);
	uint64_t pos = stream_pos(s, seg->seq);

	stream_saw(s, seg->whole, seg->ts_ns);
	if (seg->flags & REC_DUE)
		stream_framed(c, dir, seg->before.due, 0);
	if (seg->len) {
		pieces_drain(f, c, dir, pos);
		if ((int64_t)(pos - s->seen) > 0) {
			/* Sent again: what it lacks can be in the pieces of the first one. */
			if (!seg->captured && is_kept(s, pos, seg->len))
				return;
			if (piece_keep(f, s, pos, seg, &heard, bytes, tail))
				return;
			pieces_flush(f, c, dir);
			/* The bytes in between can come later, as if they were the next request. */
			if (c->request_dir != 1 + !dir)
				c->protocol->missed(f->pl, c);
		}
		segment_apply(f, c, dir, pos, seg, &heard, bytes, tail);
	}
	pieces_drain(f, c, dir, ANY);
}
