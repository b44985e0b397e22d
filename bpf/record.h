/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 9. What a record says, beside the captured bytes. */
#ifndef APPMON_RECORD_H
#define APPMON_RECORD_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "head.h"
#include "identity.h"

static __always_inline bool is_followed(const struct socket *sk, int dir)
{
	return sk->request_dir == 1 + dir && sk->framing.phase != FRAMING_UNKNOWN &&
	       sk->wide != WIDE_ALWAYS;
}

/* With few branches: each can double the ways that old verifiers follow. Members that are multiplied
 * are 0 or 1. */
static __always_inline __u32 flags_of(const struct socket *sk, const struct emission *e)
{
	const __u32 tcp = e->s.flags;
	__u32 flags = is_followed(sk, e->dir) ? REC_FOLLOWED : 0;

	flags |= (DIRECTION(sk, e->dir)->marks & MARK_HEARD) * (REC_HEARD / MARK_HEARD);
	barrier(); /* what follows would wait on the stack */
	return flags | e->flags | e->dir * REC_OUT | sk->fresh * REC_FRESH |
	       (tcp & TCP_PSH) * (REC_PSH / TCP_PSH) | (tcp & TCP_FIN) * (REC_FIN / TCP_FIN) |
	       (tcp & TCP_RST) * (REC_RST / TCP_RST) | sk->closed * REC_CLOSED |
	       sk->suspect * REC_WIDE | sk->alone * REC_ALONE |
	       (e->ends * REC_ENDS & ~(e->flags * (REC_ENDS / REC_PART)));
}

static __always_inline void fill_conn_told(const struct socket *sk, struct rec_conn_told *told)
{
	told->conn = sk->conn;
	told->sample = sk->sample;
	told->lost = sk->lost;
	told->retrans = sk->retrans;
	told->dup = sk->dup;
}

/* tail: aligned to eight bytes. */
static __always_inline void fill_tail(struct __sk_buff *skb, __u8 *tail)
{
	/* With the headers that any TCP packet has. */
	const __u32 least = 40;

	if (skb->len >= TAIL_BYTES) {
		bpf_skb_load_bytes(skb, skb->len - TAIL_BYTES, tail, TAIL_BYTES);
		return;
	}
	UNROLL
	for (__u32 i = 0; i < TAIL_BYTES; i += 8)
		*(__u64 *)(tail + i) = 0;
	if (skb->len >= least)
		bpf_skb_load_bytes(skb, skb->len - least, tail + TAIL_BYTES - least, least);
}

/* Of the first record of a segment. What the record before it has told is not said again. */
static __always_inline __u32 tells_before(const struct socket *sk, const struct direction *self,
					  const struct emission *e)
{
	const __u32 first = is_less(e->part, 1),
		    unknown = is_less(0, self->pending | (__u64)sk->lost);

	return e->flags / REC_DUE % 2 |
	       (first & (has_bits(self->last) | (unknown & has_bits(self->ts_ns))));
}

static __always_inline void fill_before(const struct socket *sk, const struct direction *self,
					const struct emission *e, struct rec_before *before)
{
	before->last_ts_ns = e->seq == e->s.seq ? self->ts_ns : 0;
	*(__u64 *)before->bytes = e->part ? 0 : self->last;
	before->due = e->flags & REC_DUE ? sk->framing.due : 0;
	before->pad = 0;
}

/* In records of what is sent, and of what ends the connection. */
static __always_inline __u32 tells_owner(const struct emission *e)
{
	return identity && (e->dir == DIR_OUT || (e->s.flags & (TCP_FIN | TCP_RST)));
}

/* Where not all bytes are captured, and the last ones can tell an end. */
static __always_inline __u32 tells_tail(const struct socket *sk, const struct emission *e)
{
	return e->captured < e->len &&
	       (sk->wide || sk->speaks != SPEAKS_HTTP || bytes_due(sk, e) < 0);
}

/* The record without its times, which are told last. */
static __always_inline void fill_rec(const struct socket *sk, const struct tcp_sock *tp,
				     const struct emission *e, struct rec *r, __u32 size,
				     __u32 flags)
{
	r->hdr.version = REC_VERSION;
	r->hdr.size = size;
	r->cookie = sk->conn.cookie;
	r->seg.flags = flags;
	r->seg.seq = e->seq;
	r->seg.len = e->len;
	r->seg.start = DIRECTION(sk, e->dir)->start;
	r->seg.whole = e->whole;
	r->seg.ack = e->ack;
	r->seg.written = e->written;
	r->seg.srtt_us = tp ? tp->srtt_us >> 3 : 0; /* the kernel keeps it times eight */
}

/* A progress record without a packet: how far a direction is. */
static __always_inline void fill_state(struct rec_state *state, const struct socket *sk,
				       const int dir, const struct extent *passed, __u32 flags)
{
	const struct direction *self = DIRECTION(sk, dir), *other = DIRECTION(sk, !dir);
	struct rec *r = &state->rec;

	r->hdr.version = REC_VERSION;
	r->hdr.kind = REC_PROGRESS;
	r->hdr.size = sizeof(*state);
	r->hdr.order_ns = 0;
	r->cookie = sk->conn.cookie;
	r->seg.ts_ns = self->ts_ns;
	r->seg.flags = flags | REC_CONN | (dir == DIR_OUT ? REC_OUT : 0) |
		       (sk->fresh ? REC_FRESH : 0) | (self->marks & MARK_HEARD ? REC_HEARD : 0) |
		       (is_followed(sk, dir) ? REC_FOLLOWED : 0);
	r->seg.seq = passed->next;
	r->seg.len = 0;
	r->seg.start = self->start;
	r->seg.whole = passed->whole;
	r->seg.ack = dir == DIR_OUT ? other->passed.whole : self->ack;
	r->seg.written = 0;
	r->seg.srtt_us = 0;
	fill_conn_told(sk, &state->told);
}

#endif /* APPMON_RECORD_H */
