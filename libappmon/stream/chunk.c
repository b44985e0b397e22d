/* SPDX-License-Identifier: BSD-2-Clause */
/* From records to chunks: here TCP's numbers and the records' flags end. */
#include <stdio.h>

#include "stream/stream.h"

_Static_assert(CHUNK_TAIL == TAIL_BYTES, "a chunk's tail is what a record has of it");
_Static_assert(CHUNK_BEFORE == sizeof(((struct rec_seg *)0)->before), "likewise");

static uint32_t chunk_flags(const struct rec_seg *seg)
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

struct chunk chunk_of(const struct conn *c, int dir, uint64_t pos, const char *bytes,
		      uint32_t captured, const struct rec_seg *seg)
{
	const struct stream *other = &c->stream[!dir];
	struct chunk chunk = {.pos = pos,
			      .bytes = bytes,
			      .captured = captured,
			      .len = seg->len,
			      .flags = chunk_flags(seg),
			      .skipped = seg->flags & REC_FRAME ? seg->start : 0,
			      .tail_len = seg->len < CHUNK_TAIL ? seg->len : CHUNK_TAIL,
			      .before = (const char *)seg->before,
			      .ts_ns = seg->ts_ns,
			      .other_ts_ns = seg->other_ts_ns};
	const char *end =
		captured == seg->len ? bytes + captured : (const char *)seg->tail + CHUNK_TAIL;

	/* Between the pieces of a segment. */
	if (captured < seg->len && (seg->flags & REC_PART))
		chunk.tail_len = 0;
	chunk.tail = end - chunk.tail_len;
	/* Before there was a connection the other direction had not said anything, and the segment
	 * does not have its numbers. */
	if (other->known && !(seg->flags & (REC_ALONE | REC_LISTENER)))
		chunk.other_pos = stream_pos(other, seg->other_next);
	return chunk;
}

void record_explain(struct pipeline *pl, const struct record *rec)
{
	/* By their bits, as bpf/records.h has them. */
	static const char *const name[] = {
		"out",	"flip",	  "start",    "fresh",	  "alone", "old",      "psh",
		"fin",	"rst",	  "listener", "part",	  "swept", "not_http", "closed",
		"wide", "begins", "ends",     "followed", "read",  "blocking", "owner"};
	const struct rec_seg *seg = &rec->seg;
	char flags[160];
	size_t len = 0;

	_Static_assert(REC_OWNER == 1 << (sizeof(name) / sizeof(name[0]) - 1),
		       "a flag has no name");
	flags[0] = '\0';
	for (size_t i = 1; i < sizeof(name) / sizeof(name[0]); i++)
		if (seg->flags & 1U << i)
			len += (size_t)snprintf(flags + len, sizeof(flags) - len, " %s", name[i]);
	explain(APPMON_LOG_TRACE, pl->log, &rec->conn,
		"record %s: seq %u, %u bytes, %u captured, whole to %u, other whole to %u, %u "
		"lost:%s",
		seg->flags & REC_OUT ? "out" : "in", seg->seq, seg->len, rec->captured, seg->whole,
		seg->other_whole, seg->lost, flags);
}
