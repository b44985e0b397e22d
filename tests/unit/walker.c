/* SPDX-License-Identifier: BSD-2-Clause */
#include "walker.h"

#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "../../bpf/protocol/plain.h"
#pragma GCC diagnostic pop

static struct follow follow;
static struct plain_follow plain;
static struct walk walk;
static uint32_t row_of_it, side_of_it;
static const uint8_t *packet;
static uint32_t packet_len;

/* Of a program that is linked with sim.c these are that's. */
__attribute__((weak)) long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 len)
{
	(void)skb;
	if (offset > packet_len || len > packet_len - offset)
		return -1;
	memcpy(to, packet + offset, len);
	return 0;
}

__attribute__((weak)) long bpf_loop(__u32 count, long (*step)(__u32, void *), void *ctx,
				    __u64 flags)
{
	(void)flags;
	for (uint32_t i = 0; i < count; i++)
		if (step(i, ctx))
			return i + 1;
	return count;
}

__attribute__((weak)) long bpf_probe_read_user(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

void walker_begin(uint32_t row, uint32_t side, uint32_t seq, bool fresh)
{
	row_of_it = row;
	side_of_it = side;
	memset(&follow, 0, sizeof(follow));
	follow.phase = FOLLOW_FRAME;
	follow.due = seq;
	follow.flags = fresh ? FOLLOW_HELLO | FOLLOW_FIRST : FOLLOW_FIRST;
}

void walker_lose(void)
{
	follow_lost(&follow);
}

void walker_found(uint32_t seq, uint32_t from)
{
	follow_found(&follow, seq, from);
}

void walker_turn(void)
{
	follow.flags |= FOLLOW_FIRST;
}

bool walker_follows(void)
{
	return follow.phase == FOLLOW_FRAME;
}

void walker_segment(uint32_t seq, const uint8_t *bytes, uint32_t len,
		    void (*piece)(const struct walked *piece),
		    void (*record)(uint32_t from, uint32_t to))
{
	int more;

	packet = bytes;
	packet_len = len;
	walk.at = walk.told = 0;
	walk.end = len;
	walk.seq = seq;
	walk.payload = 0;
	walk.capture = 4096;
	walk.row = row_of_it;
	walk.side = side_of_it;
	if (follow.phase == FOLLOW_WIDE)
		follow.copy_left = FOLLOW_WIDE_MAX * 16;
	do {
		uint32_t at = 0;

		more = walk_frames(NULL, &follow, &walk);
		if (walk.len > sizeof(walk.out))
			abort();
		for (uint32_t i = 0; i < walk.count; i++) {
			const struct rec_piece *p = (const void *)(walk.out + at);
			struct walked w = {.at = walk.told + p->at,
					   .n = p->n,
					   .skipped = p->skipped,
					   .flags = p->flags,
					   .bytes = walk.out + at + sizeof(*p)};

			at += sizeof(*p) + ((p->n + 7) & ~7U);
			piece(&w);
		}
		if (at != walk.len)
			abort();
		record(walk.told, walk.at);
		walk.told = walk.at;
	} while (more);
	if (walk.at != len)
		abort();
}

bool walker_session(const uint8_t *bytes, uint32_t len)
{
	memset(&plain, 0, sizeof(plain));
	return plain_begins(&plain, (uintptr_t)bytes, len);
}

bool walker_session_follows(void)
{
	return plain.follows;
}

void walker_call(const uint8_t *bytes, uint32_t len, uint32_t room,
		 void (*record)(uint32_t at, uint32_t copied, uint32_t len))
{
	struct plain_part part;

	for (uint32_t at = 0; at < len; at += part.len) {
		part = (struct plain_part){
			.buf = (uintptr_t)bytes + at, .left = len - at, .room = room};
		if (plain.follows) {
			plain_walk(&plain, &part);
		} else {
			part.len = part.left;
			part.copied = part.len;
		}
		if (!part.len || part.copied > part.len || part.len > part.left)
			abort();
		record(at, part.copied, part.len);
	}
}
