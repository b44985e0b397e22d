/* SPDX-License-Identifier: BSD-2-Clause */
/* From records to chunks: here TCP's numbers and the records' flags end. */
#include <stdio.h>

#include "stream/stream.h"

_Static_assert(CHUNK_TAIL == TAIL_BYTES, "a chunk's tail is what a record has of it");
_Static_assert(CHUNK_BEFORE == sizeof(((struct rec_before *)0)->bytes), "likewise");

static uint32_t chunk_flags(const struct segment *seg)
{
	return (seg->flags & REC_FLIP ? CHUNK_TURN : 0) |
	       (seg->flags & REC_START ? CHUNK_STARTS : 0) |
	       (seg->flags & REC_BEGINS ? CHUNK_BEGINS : 0) |
	       (seg->flags & REC_ENDS ? CHUNK_ENDS : 0) |
	       (seg->flags & REC_FOLLOWED ? CHUNK_FOLLOWED : 0) |
	       (seg->flags & REC_PART ? CHUNK_MORE : 0) | (seg->lost ? CHUNK_LOST : 0) |
	       (seg->flags & REC_FRAME ? CHUNK_FRAME : 0) |
	       (seg->flags & REC_UNWALKED ? CHUNK_UNWALKED : 0);
}

struct heard heard_by(const struct conn *c, int dir, const struct segment *seg)
{
	const struct stream *other = &c->stream[!dir];
	struct heard heard = {.pos = other->seen, .ts_ns = other->seen_ns};

	if (!other->known || !seg_acknowledges(seg))
		return (struct heard){0};
	heard.received = stream_pos(other, seg->ack);
	if ((int64_t)(heard.received - heard.pos) > 0)
		heard.pos = heard.received;
	/* What had been written before it came does not answer it. */
	if (seg->written && (int64_t)(stream_pos(other, seg->written) - heard.pos) > 0)
		heard.pos = stream_pos(other, seg->written);
	return heard;
}

struct chunk chunk_of(uint64_t pos, const struct segment *seg, const struct heard *heard,
		      const char *bytes, const char *tail)
{
	struct chunk chunk = {.pos = pos,
			      .bytes = bytes,
			      .captured = seg->captured,
			      .len = seg->len,
			      .flags = chunk_flags(seg),
			      .skipped = seg->flags & REC_FRAME ? seg->start : 0,
			      .tail_len = seg->len < CHUNK_TAIL ? seg->len : CHUNK_TAIL,
			      .before = (const char *)seg->before.bytes,
			      .ts_ns = seg->ts_ns,
			      .other_ts_ns = heard->ts_ns,
			      .other_pos = heard->pos,
			      .received = heard->received};
	static const char unknown[CHUNK_TAIL];
	const char *end = bytes + seg->captured;

	if (seg->captured < seg->len) {
		if (seg->flags & REC_PART) /* between the pieces of a segment */
			chunk.tail_len = 0;
		else
			end = (seg->flags & REC_TAIL ? tail : unknown) + CHUNK_TAIL;
	}
	chunk.tail = end - chunk.tail_len;
	return chunk;
}

void record_explain(struct pipeline *pl, const struct record *rec)
{
	/* By their bits, as bpf/records.h has them. */
	static const char *const name[] = {
		"out",	"flip",	  "start",    "fresh",	  "alone", "old",      "psh",
		"fin",	"rst",	  "listener", "part",	  "swept", "not_http", "closed",
		"wide", "begins", "ends",     "followed", "read",  "blocking", "owner",
		"tail", "heard",  "due",      "conn",	  "before"};
	const struct segment *seg = &rec->seg;
	char flags[192];
	size_t len = 0;

	if (rec->called) {
		explain(APPMON_LOG_TRACE, pl->log, &rec->conn,
			"call %s of thread %u: session %llx, at %llu, %u bytes, %u captured",
			rec->call.flags & PLAIN_OUT ? "out" : "in", rec->call.tid,
			(unsigned long long)rec->call.session, (unsigned long long)rec->call.pos,
			rec->call.len, rec->call.captured);
		return;
	}

	_Static_assert(REC_BEFORE == 1 << (sizeof(name) / sizeof(name[0]) - 1),
		       "a flag has no name");
	flags[0] = '\0';
	for (size_t i = 1; i < sizeof(name) / sizeof(name[0]); i++)
		if (seg->flags & 1U << i)
			len += (size_t)snprintf(flags + len, sizeof(flags) - len, " %s", name[i]);
	explain(APPMON_LOG_TRACE, pl->log, &rec->conn,
		"record %s: seq %u, %u bytes, %u captured, whole to %u, ack %u, %u lost:%s",
		seg->flags & REC_OUT ? "out" : "in", seg->seq, seg->len, seg->captured, seg->whole,
		seg->ack, seg->lost, flags);
}
