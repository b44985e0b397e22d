/* SPDX-License-Identifier: BSD-2-Clause */
/* From records to chunks: here TCP's numbers and the records' flags end. */
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
	       (seg->flags & REC_PART ? CHUNK_MORE : 0) | (seg->lost ? CHUNK_LOST : 0);
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
			      .tail_len = seg->len < CHUNK_TAIL ? seg->len : CHUNK_TAIL,
			      .before = (const char *)seg->before,
			      .ts_ns = seg->ts_ns,
			      .other_ts_ns = seg->other_ts_ns};
	const char *end =
		captured == seg->len ? bytes + captured : (const char *)seg->tail + CHUNK_TAIL;

	chunk.tail = end - chunk.tail_len;
	/* Before there was a connection the other direction had not said anything, and the segment
	 * does not have its numbers. */
	if (other->known && !(seg->flags & (REC_ALONE | REC_LISTENER)))
		chunk.other_pos = stream_pos(other, seg->other_next);
	return chunk;
}
