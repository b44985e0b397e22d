/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Is a protocol with frames spoken on a connection? From its first byte on, a greeting of rows.h
 * tells, which one side begins with; in the middle, a chain of frames that fit a row.
 */
#ifndef APPMON_START_H
#define APPMON_START_H

#include "head.h"
#include "protocol/walk.h"

/* socket.sure: both sides speak it. */
#define SURE_BOTH 3

static __always_inline struct follow *follow_of(struct socket *sk, int dir)
{
	return dir == DIR_OUT ? &sk->follow_out : &sk->follow_in;
}

/* In the middle of a connection: places are to be found yet. */
static __always_inline void begin_anywhere(struct socket *sk)
{
	struct follow *in = follow_of(sk, DIR_IN), *out = follow_of(sk, DIR_OUT);

	__builtin_memset(in, 0, sizeof(*in));
	__builtin_memset(out, 0, sizeof(*out));
	in->copy_left = out->copy_left = FOLLOW_WIDE_MAX;
}

/* From the first byte on: both directions begin with a frame, the client's with a preface perhaps,
 * which is copied. */
static __always_inline void begin_fresh(struct socket *sk, __u32 request_dir, __u32 preface)
{
	struct follow *in = follow_of(sk, DIR_IN), *out = follow_of(sk, DIR_OUT);
	__u32 of_in = request_dir == 1 + DIR_IN ? preface : 0;

	begin_anywhere(sk);
	in->phase = out->phase = FOLLOW_FRAME;
	in->flags = out->flags = FOLLOW_HELLO | FOLLOW_FIRST;
	in->copy_left = of_in;
	out->copy_left = preface - of_in;
	in->due = sk->dir_in.passed.whole + in->copy_left;
	out->due = sk->dir_out.passed.whole + out->copy_left;
	sk->sure = SURE_BOTH;
}

/* Last: the other direction may look at this moment. */
static __always_inline int speak_frames(struct socket *sk, struct emission *e, __u32 row,
					__u32 request_dir)
{
	sk->request_dir = request_dir;
	e->flags |= REC_START;
	__sync_lock_test_and_set(&sk->row, row); /* keeps the order of the stores */
	sk->speaks = SPEAKS_FRAMES;
	return 1;
}

/* 1 + the number of the greeting that a segment begins with; 0: none. h: its first bytes, `have` of
 * them, and `len` in all. asked: ASKED_*. Not static: verified once. */
__noinline int greeting_of(const struct frame_head *h, __u32 have, __u32 len, __u32 asked)
{
	if (!frames || !h) /* never: asked for by the verifier */
		return 0;
	for (__u32 i = 0; i < GREETINGS; i++) {
		const struct greeting *g = &greetings[i];

		if ((asked & 1U << row_at(g->row)->protocol) && is_greeting(g, h, have, len))
			return 1 + i;
	}
	return 0;
}

/* The same of a packet, from an offset on. */
static __always_inline const struct greeting *load_greeting(struct __sk_buff *skb, __u32 at,
							    __u32 len, __u32 asked)
{
	__u8 head[FRAME_HEAD_MAX] __attribute__((aligned(8))) = {};
	__u32 n = len < FRAME_HEAD_MAX ? len : FRAME_HEAD_MAX;
	struct frame_head h;
	__u32 found;

	if (!n)
		return 0;
	barrier_var(n);
	n = ((n - 1) & (FRAME_HEAD_MAX - 1)) + 1;
	if (bpf_skb_load_bytes(skb, at, head, n))
		return 0;
	h.word[0] = frame_word(head);
	h.word[1] = frame_word(head + 8);
	found = greeting_of(&h, n, len, asked) - 1;
	barrier_var(found);
	return found < GREETINGS ? &greetings[found] : 0;
}

/* Does a segment begin with what a client sends first? Not static: verified once. */
__noinline int begins_frames(struct __sk_buff *skb, __u32 at, __u32 len, __u32 asked)
{
	const struct greeting *g;

	if (!frames)
		return 0;
	g = load_greeting(skb, at, len, asked);
	return g && g->side == SIDE_REQUEST;
}

/*
 * The first segment of a turn, on a connection of which it is not known what it speaks: 1 if it is
 * a protocol with frames, as far as one side tells. Not static: verified once.
 */
__noinline int detect_frames(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	__u32 row, request_dir, asked;
	const struct greeting *g;

	if (!frames || !sk || !e || !(e->flags & REC_FLIP) || e->holes || e->s.len < 5 ||
	    DIRECTION(sk, e->dir)->passed.whole != e->s.seq)
		return 0;
	asked = sk->protocols;
	if (sk->fresh) {
		g = is_first(sk, e->dir) ? load_greeting(skb, e->s.payload, e->s.len, asked) : 0;
		if (!g)
			return 0;
		request_dir = 1 + (g->side == SIDE_REQUEST ? e->dir : !e->dir);
		begin_fresh(sk, request_dir, row_at(g->row)->preface);
		return speak_frames(sk, e, g->row, request_dir);
	}
	for (row = ROW_HTTP2; row < ROWS; row++) {
		int request = -1, response = -1;

		if (!(asked & 1U << row_at(row)->protocol))
			continue;
		if (sk->request_dir != 1 + !e->dir)
			request = probe_frames(skb, e->s.payload, e->s.len, row, SIDE_REQUEST);
		if (sk->request_dir != 1 + e->dir)
			response = probe_frames(skb, e->s.payload, e->s.len, row, SIDE_RESPONSE);
		/* A chain, or frames that end with the segment. */
		if (request < PROBE_MAX && response < PROBE_MAX)
			continue;
		request_dir = sk->request_dir;
		/* A frame may be of either side: another turn will tell. */
		if (!request_dir && !row_at(row)->alike) {
			if (request >= PROBE_MAX && response >= PROBE_MAX)
				continue;
			request_dir = request >= PROBE_MAX ? 1 + e->dir : 1 + !e->dir;
		}
		begin_anywhere(sk);
		/* The host's word is as good as the other side's. */
		sk->sure = sk->request_dir ? SURE_BOTH : 0;
		return speak_frames(sk, e, row, request_dir);
	}
	return 0;
}

/*
 * Behind 101: the client turns to HTTP/2 with its preface (RFC 7540 section 3.2). If its server has not
 * sent a frame yet its first one begins behind the 101. Else all that it sent was copied: the reader
 * tells where the next one begins. Not static: verified once.
 */
__noinline int turn_to_http2(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	struct follow *f;

	if (!frames || !sk || !e || !may_be_http2(sk) || sk->request_dir != 1 + e->dir ||
	    !(e->flags & REC_FLIP) || e->holes || DIRECTION(sk, e->dir)->passed.whole != e->s.seq ||
	    !begins_frames(skb, e->s.payload, e->s.len, ASKED_HTTP2))
		return 0;
	begin_anywhere(sk);
	follow_of(sk, !e->dir)->copy_left = FOLLOW_LATE_MAX;
	f = follow_of(sk, e->dir);
	f->phase = FOLLOW_FRAME;
	f->flags = FOLLOW_HELLO | FOLLOW_FIRST;
	f->copy_left = rows[ROW_HTTP2].preface;
	f->due = e->s.seq + f->copy_left;
	sk->sure = SURE_BOTH;
	sk->confirmed = CONFIRMED_NO; /* there are no requests of HTTP/1 to look for any more */
	return speak_frames(sk, e, ROW_HTTP2, sk->request_dir);
}

#endif /* APPMON_START_H */
