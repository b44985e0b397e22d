/* SPDX-License-Identifier: BSD-2-Clause */
/* One end of a connection whose records are made by hand: everything is captured, up to a limit. */
#ifndef APPMON_TEST_TLS_WIRE_H
#define APPMON_TEST_TLS_WIRE_H

#include <stdlib.h>
#include <string.h>

#include "fixture.h"

struct wire {
	struct fixture *p;
	struct rec_conn id;
	uint32_t next[2]; /* sequence numbers by direction */
	int last;	  /* direction that spoke last; -1: neither has */
	uint32_t capture; /* bytes of a segment */
	uint32_t lost;	  /* records that found the ring full */
	uint64_t now_ns;
	bool fresh;
};

static inline struct wire wire_new(struct fixture *p, uint64_t cookie, uint16_t local_port,
				   uint16_t remote_port)
{
	return (struct wire){.p = p,
			     .id = {.cookie = cookie,
				    .cgroup_id = 1,
				    .target = 1,
				    .family = 4,
				    .local_port = local_port,
				    .remote_port = remote_port},
			     .next = {1000, 4294967000},
			     .last = -1,
			     .capture = UINT32_MAX,
			     .now_ns = UINT64_C(1000000000),
			     .fresh = true};
}

/* A segment passes; its record is written. */
static inline void wire_segment(struct wire *w, int dir, const uint8_t *bytes, uint32_t len,
				uint32_t flags)
{
	uint32_t captured = len < w->capture ? len : w->capture;
	uint32_t tail = len < TAIL_BYTES ? len : TAIL_BYTES;
	struct rec_data *r = calloc(1, sizeof(*r) + captured);

	if (!r)
		abort();
	r->hdr.version = REC_VERSION;
	r->hdr.kind = REC_DATA;
	r->hdr.size = (uint32_t)sizeof(*r) + captured;
	r->conn = w->id;
	r->seg.ts_ns = w->now_ns += 1000000;
	r->seg.flags = flags | (w->fresh ? REC_FRESH : 0) | (dir == DIR_OUT ? REC_OUT : 0) |
		       (w->last != dir && len ? REC_FLIP | REC_START : 0);
	r->seg.seq = r->seg.start = w->next[dir];
	r->seg.len = len;
	r->seg.lost = w->lost;
	w->next[dir] += len;
	r->seg.whole = w->next[dir];
	r->seg.other_next = r->seg.other_whole = w->next[!dir];
	r->captured = captured;
	if (len)
		memcpy(r->bytes, bytes, captured);
	if (captured < len)
		memcpy(r->seg.tail + TAIL_BYTES - tail, bytes + len - tail, tail);
	if (len)
		w->last = dir;
	if (!fixture_record(w->p, r, r->hdr.size))
		abort();
	free(r);
}

#endif /* APPMON_TEST_TLS_WIRE_H */
