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

	return e->flags | e->dir * REC_OUT | sk->fresh * REC_FRESH |
	       (tcp & TCP_PSH) * (REC_PSH / TCP_PSH) | (tcp & TCP_FIN) * (REC_FIN / TCP_FIN) |
	       (tcp & TCP_RST) * (REC_RST / TCP_RST) | sk->closed * REC_CLOSED |
	       sk->suspect * REC_WIDE | sk->alone * REC_ALONE |
	       (e->ends * REC_ENDS & ~(e->flags * (REC_ENDS / REC_PART))) |
	       (DIRECTION(sk, e->dir)->marks & MARK_HEARD) * (REC_HEARD / MARK_HEARD) |
	       (is_followed(sk, e->dir) ? REC_FOLLOWED : 0);
}

/* What every record begins with. */
static __always_inline void fill_begin(const struct socket *sk, struct rec *r, __u16 kind,
				       __u32 size)
{
	r->hdr.version = REC_VERSION;
	r->hdr.kind = kind;
	r->hdr.size = size;
	r->conn = sk->conn;
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

static __always_inline void fill_seg(const struct tcp_sock *tp, struct socket *sk,
				     struct rec_seg *r, struct emission *e)
{
	struct direction *self = DIRECTION(sk, e->dir);
	__u64 last = e->part ? 0 : self->last;

	r->last_ts_ns = e->seq == e->s.seq ? self->ts_ns : 0;
	r->seq = e->seq;
	r->len = e->len;
	r->start = self->start;
	r->whole = e->whole;
	r->ack = e->ack;
	r->written = e->written;
	r->lost = sk->lost;
	r->srtt_us = 0;
	/* Under the socket's lock TCP's word is exact, and once for an exchange is enough. */
	if (tp) {
		if (sk->retrans != tp->total_retrans)
			sk->retrans = tp->total_retrans;
		r->srtt_us = tp->srtt_us >> 3; /* the kernel keeps it times eight */
	}
	r->retrans = sk->retrans;
	r->dup = sk->dup;
	r->sample = sk->sample;
	r->due = e->flags & REC_DUE ? sk->framing.due : 0;
	__builtin_memcpy(r->before, &last, sizeof(r->before));
}

/* A progress record without a packet: how far the directions are. */
static __always_inline void fill_state(struct rec *r, const struct socket *sk, const int dir,
				       const struct extent *passed, __u32 flags)
{
	const struct direction *self = DIRECTION(sk, dir), *other = DIRECTION(sk, !dir);

	__builtin_memset(r, 0, sizeof(*r));
	fill_begin(sk, r, REC_PROGRESS, sizeof(*r));
	r->seg.ts_ns = self->ts_ns;
	r->seg.flags = flags | (dir == DIR_OUT ? REC_OUT : 0) | (sk->fresh ? REC_FRESH : 0) |
		       (self->marks & MARK_HEARD ? REC_HEARD : 0) |
		       (is_followed(sk, dir) ? REC_FOLLOWED : 0);
	r->seg.seq = passed->next;
	r->seg.start = self->start;
	r->seg.whole = passed->whole;
	r->seg.ack = dir == DIR_OUT ? other->passed.whole : self->ack;
	r->seg.lost = sk->lost;
	r->seg.dup = sk->dup;
	r->seg.sample = sk->sample;
}

#endif /* APPMON_RECORD_H */
