/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection to a server as the programs would tell it, for tests of one protocol. */
#ifndef APPMON_UNIT_TALK_H
#define APPMON_UNIT_TALK_H

#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "unit.h"

#define SEQ_IN 1000
#define SEQ_OUT 2000000

static struct fixture p;
static const struct appmon_event *ev;
static uint64_t now, last_ns[2];
static uint32_t pos[2], cut, cookie;
static uint32_t lost;
static int last_dir;
static bool fresh;
static uint16_t talk_port; /* where the server listens */

static inline void connection(bool from_its_begin)
{
	cookie++;
	fresh = from_its_begin;
	pos[0] = pos[1] = lost = 0;
	last_ns[0] = last_ns[1] = 0;
	last_dir = -1;
}

/* One record: so many of the bytes are captured. */
static inline void record(int dir, const char *bytes, uint32_t len, uint32_t captured,
			  uint32_t flags)
{
	char *buf = calloc(1, sizeof(struct rec_data) + captured);
	struct rec_data *r = (struct rec_data *)(void *)buf;
	const uint32_t base[2] = {SEQ_IN, SEQ_OUT};

	now += 1000000;
	r->hdr = (struct rec_hdr){
		.version = REC_VERSION, .kind = REC_DATA, .size = (uint32_t)sizeof(*r) + captured};
	r->conn = (struct rec_conn){.cookie = cookie,
				    .cgroup_id = 77,
				    .target = 1,
				    .family = 4,
				    .local_port = talk_port,
				    .remote_port = 40000};
	r->seg.ts_ns = now;
	r->seg.other_ts_ns = last_ns[!dir];
	r->seg.flags = flags | (fresh ? REC_FRESH : 0) | (dir == DIR_OUT ? REC_OUT : 0);
	if (len && last_dir != dir)
		r->seg.flags |= REC_FLIP | REC_START;
	r->seg.seq = r->seg.start = base[dir] + pos[dir];
	r->seg.len = len;
	r->seg.whole = r->seg.seq + len;
	r->seg.other_next = r->seg.other_whole = base[!dir] + pos[!dir];
	r->seg.lost = lost;
	r->captured = captured;
	memcpy(r->bytes, bytes, captured);
	if (len)
		memcpy(r->seg.tail + TAIL_BYTES - (len < TAIL_BYTES ? len : TAIL_BYTES),
		       bytes + len - (len < TAIL_BYTES ? len : TAIL_BYTES),
		       len < TAIL_BYTES ? len : TAIL_BYTES);
	ck_assert(fixture_record(&p, buf, r->hdr.size));
	free(buf);
	ck_assert(fixture_adds_up(&p));
	pos[dir] += len;
	if (len) {
		last_ns[dir] = now;
		last_dir = dir;
	}
}

static inline void message(int dir, const char *bytes, uint32_t len)
{
	for (uint32_t at = 0, n; at < len; at += n) {
		n = cut && cut < len - at ? cut : len - at;
		record(dir, bytes + at, n, n, 0);
	}
}

#endif /* APPMON_UNIT_TALK_H */
