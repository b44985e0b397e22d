/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the records of all sockets to two ordered byte streams of each: here sequence numbers become
 * 64-bit positions. connections.c keeps the connections, order.c puts their bytes in order,
 * strays.c has those that are known by a listening socket only. What the bytes mean is protocol/'s.
 */
#include <string.h>

#include "protocol/protocol.h"
#include "stream/stream.h"

static void conn_follow(struct conn *c, const struct segment *seg)
{
	struct stream *self = &c->stream[!!(seg->flags & REC_OUT)];
	struct stream *other = &c->stream[!(seg->flags & REC_OUT)];

	if (!self->known)
		stream_begin(self, seg->start);
	if (!other->known && seg_acknowledges(seg))
		stream_begin(other, seg->written ? seg->written : seg->ack);
	if (seg->srtt_us)
		c->srtt_us = seg->srtt_us;
	if (seg->retrans > c->retrans)
		c->retrans = seg->retrans;
	if (seg->dup > c->dup)
		c->dup = seg->dup;
}

/* seg_end: where the segment ends, parts that follow in other records included. */
static void flow_before(struct flows *f, struct conn *c, const struct segment *seg,
			uint32_t seg_end)
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
	if (other->known && seg_acknowledges(seg))
		stream_saw(other, seg->ack, 0);
	pieces_drain(f, c, !dir, ANY);
	c->protocol->progress(f->pl, c, !dir, seg->ts_ns);
	if (seg->before.last_ts_ns && seg->len && seg->whole == seg->seq + seg->len &&
	    !(seg->flags & REC_OLD)) {
		stream_saw(self, seg->seq, seg->before.last_ts_ns);
		pieces_drain(f, c, dir, ANY);
		c->protocol->progress(f->pl, c, dir, seg->before.last_ts_ns);
	}
	if ((seg->flags & REC_FIN) && self->fin != FIN_HANDLED) {
		self->fin = FIN_NOTED;
		self->fin_pos = stream_pos(self, seg_end);
	}
}

static void flow_after(struct flows *f, struct conn *c, const struct segment *seg)
{
	c->protocol->progress(f->pl, c, seg->flags & REC_OUT ? DIR_OUT : DIR_IN, seg->ts_ns);
	if ((f->pl->flags & APPMON_OPEN_STREAM_HEADS) && !(seg->flags & REC_PART) &&
	    c->protocol->stream)
		c->protocol->stream(f->pl, c);
}

static void flow_segment(struct flows *f, struct conn *c, const struct segment *seg,
			 const char *bytes, const char *tail, uint32_t seg_end)
{
	flow_before(f, c, seg, seg_end);
	stream_segment(f, c, seg->flags & REC_OUT ? DIR_OUT : DIR_IN, seg, bytes, tail);
	flow_after(f, c, seg);
}

/* One piece of a record, or what passed between two: bytes from `at` to `next`, which is the end if
 * that is so. */
static void flow_piece(struct flows *f, struct conn *c, const struct record *rec, uint32_t at,
		       uint32_t next, const struct rec_piece *piece, const char *bytes)
{
	struct segment seg = rec->seg;
	uint32_t end = rec->seg.seq + next;

	seg.seq += at;
	seg.len = next - at;
	seg.captured = piece ? piece->n : 0;
	if (next < rec->seg.len || (rec->seg.flags & REC_PART)) {
		seg.flags |= REC_PART;
		if ((int32_t)(seg.whole - end) > 0)
			seg.whole = end;
	}
	if (at) {
		seg.flags &= ~(uint32_t)(REC_FLIP | REC_START);
		memset(seg.before.bytes, 0, sizeof(seg.before.bytes));
	}
	if (piece && (piece->flags & PIECE_FRAME)) {
		seg.flags |= REC_FRAME;
		seg.start = piece->skipped;
		if (piece->flags & PIECE_UNWALKED)
			seg.flags |= REC_UNWALKED;
	}
	stream_segment(f, c, seg.flags & REC_OUT ? DIR_OUT : DIR_IN, &seg, bytes, rec->tail);
}

/* The piece whose place in the record is `from`; behind the last one the end of the segment. */
static struct rec_piece piece_at(const struct record *rec, uint32_t from)
{
	struct rec_piece piece = {.at = rec->seg.len};

	if (from < rec->seg.captured)
		memcpy(&piece, rec->bytes + from, sizeof(piece));
	return piece;
}

static void flow_frames(struct flows *f, struct conn *c, const struct record *rec)
{
	struct rec_piece piece = piece_at(rec, 0), next;
	uint32_t from = 0;

	flow_before(f, c, &rec->seg, rec->seg.seq + rec->seg.len);
	if (piece.flags & PIECE_DUE) {
		stream_framed(c, rec->seg.flags & REC_OUT ? DIR_OUT : DIR_IN,
			      rec->seg.seq + piece.at, piece.skipped);
		from = sizeof(piece);
		piece = piece_at(rec, from);
	}
	if (piece.at)
		flow_piece(f, c, rec, 0, piece.at, NULL, "");
	while (from < rec->seg.captured) {
		const char *bytes = rec->bytes + from + sizeof(piece);

		from += sizeof(piece) + ((piece.n + 7) & ~7U);
		next = piece_at(rec, from);
		flow_piece(f, c, rec, piece.at, next.at, &piece, bytes);
		piece = next;
	}
	flow_after(f, c, &rec->seg);
}

/* The rest of the segment is in the records that follow. */
static void flow_part(struct flows *f, struct conn *c, const struct record *rec)
{
	struct segment part = rec->seg;
	uint32_t seg_end = part.seq + part.len;

	part.len = part.captured;
	if ((int32_t)(part.whole - (part.seq + part.len)) > 0)
		part.whole = part.seq + part.len;
	flow_segment(f, c, &part, rec->bytes, rec->tail, seg_end);
}

static bool begins_request(const struct flows *f, const struct record *rec)
{
	if (rec->framed)
		return false; /* a module counts its own */
	return (rec->seg.flags & REC_START) &&
	       protocol_begins(f->pl->protocols, rec->bytes, rec->seg.captured) == MESSAGE_REQUEST;
}

/* If the record begins one: of no target that is known. why: WHY() */
static bool drop_request(struct flows *f, const struct record *rec, uint32_t reason,
			 const char *why)
{
	if (!begins_request(f, rec))
		return false;
	f->pl->stats.exchanges_seen++;
	f->pl->stats.dropped[reason]++;
	EXPLAIN_DROP(f->pl, &rec->conn, reason, why, "a request is dropped, %s: %s");
	return true;
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

static void fill_told(struct record *rec, const struct rec_conn_told *told)
{
	rec->conn = told->conn;
	rec->seg.sample = told->sample;
	rec->seg.lost = told->lost;
	rec->seg.retrans = told->retrans;
	rec->seg.dup = told->dup;
	rec->seg.flags |= REC_CONN;
}

/* An earlier record has said who the connection is: see REC_TELL_TICKS. False: that is forgotten. */
static bool identify(struct flows *f, struct record *rec, struct conn **ret)
{
	struct conn *c = *ret = conn_find(f, rec->conn.cookie);
	struct rec_conn_told told;

	if (c)
		told = conn_told(c);
	if (c || flows_remember(f, rec->conn.cookie, &told)) {
		fill_told(rec, &told);
		return true;
	}
	if (!drop_request(f, rec, f->forgotten, WHY("its connection was forgotten a moment ago")))
		EXPLAIN_CONN(f->pl, &rec->conn, "has been forgotten");
	return false;
}

void flow_record(struct flows *f, struct record *rec)
{
	bool listener = rec->seg.flags & REC_LISTENER, told = rec->seg.flags & REC_CONN;
	struct conn *c = NULL;
	struct target *target;

	if (EXPLAINS(APPMON_LOG_TRACE, f->pl))
		record_explain(f->pl, rec);
	if (rec->called) {
		sessions_call(f, rec);
		return;
	}
	if (!told && !identify(f, rec, &c))
		return;
	target = target_of(f->pl, &rec->conn);
	if (!target) {
		drop_request(f, rec, APPMON_DROP_DETACHED, WHY("its target is detached"));
		return;
	}
	target->stats.records++;
	if (!conn_is_watched(f, &rec->conn, rec->seg.sample, listener)) {
		/* Written while the connection left the sample. */
		EXPLAIN_CONN(f->pl, &rec->conn, "is not in the sample");
		return;
	}
	if (told)
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
		if (!rec->seg.captured ||
		    ((rec->seg.flags & (REC_CLOSED | REC_OUT)) == REC_CLOSED &&
		     !begins_request(f, rec))) {
			EXPLAIN_CONN(f->pl, &rec->conn,
				     "is not known: what begins no message is passed over");
			return;
		}
		c = listener ? stray_new(f, rec)
			     : conn_new(f, &rec->conn, rec->conn.cookie, &rec->seg);
		if (!c) {
			if (!listener)
				flows_forgot_one(f, record_told(rec));
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
	if (told && !listener)
		c->id = rec->conn;
	if (rec->framed)
		flow_frames(f, c, rec);
	else if (rec->seg.flags & REC_PART)
		flow_part(f, c, rec);
	else
		flow_segment(f, c, &rec->seg, rec->bytes, rec->tail, rec->seg.seq + rec->seg.len);
	if (c->wire)
		sessions_wire(f, c, rec);
	if (rec->seg.flags & REC_PART) { /* whatever it ends, its last part does */
		conn_active(f, c, rec->seg.ts_ns);
	} else if (rec->seg.flags & REC_RST) {
		bool by_us = rec->seg.flags & REC_OUT;

		/* What arrived early reached no application: nothing was missed. */
		pieces_flush(f, c, DIR_OUT);
		conn_end(f, c, by_us ? APPMON_END_RESET_BY_US : APPMON_END_RESET_BY_PEER,
			 by_us ? APPMON_EVF_RESET_BY_US : APPMON_EVF_RESET_BY_PEER);
		conn_free(f, c);
	} else if (rec->seg.flags & REC_NOT_HTTP) {
		conn_drop(f, c, APPMON_DROP_PARSE,
			  WHY("the programs gave the connection up: no protocol that is followed"));
	} else if (rec->seg.flags & REC_CLOSED && c->stream[DIR_OUT].fin) {
		/* Whatever answer is still due, nobody will read it. */
		conn_end(f, c, APPMON_END_CLOSED, 0);
		conn_free(f, c);
	} else if (conn_over(c)) {
		conn_free(f, c);
	} else {
		conn_active(f, c, rec->seg.ts_ns);
	}
	f->pl->owner = NULL;
}
