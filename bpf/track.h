/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * 7. How far a direction has come: which bytes have passed, what its sender had received, and what
 * TCP itself knows of both.
 */
#ifndef APPMON_TRACK_H
#define APPMON_TRACK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "head.h"

/* Set when progress was held back: the reader may want a sweep. */
volatile __u32 held_back;

/* Each costs some 30 ns: ten times as long as a program takes. */
#define TURN_TRIES 512

static long try_turn(__u32 i, void *ctx)
{
	__u32 **busy = ctx;

	(void)i;
	bpf_ktime_get_ns();
	return !__sync_lock_test_and_set(*busy, 1);
}

/* Not static: verified once. */
__noinline int wait_turn(struct socket *sk)
{
	__u32 *busy;

	if (!sk) /* never: asked for by the verifier */
		return 0;
	busy = &sk->dir_in.busy;
	bpf_loop(TURN_TRIES, try_turn, &busy, 0);
	return 0;
}

/*
 * Ingress runs of one socket work on the same lines: one waits for the other on another CPU. (They
 * do not interrupt each other, and TCP's lock keeps egress runs apart.) The wait has a bound, for
 * the host of a virtual machine can take the other CPU away: then a segment can go untold.
 */
static __always_inline void take_turn(struct socket *sk)
{
	if (__sync_lock_test_and_set(&sk->dir_in.busy, 1))
		wait_turn(sk);
}

static __always_inline void end_turn(struct socket *sk)
{
	STORE_RELEASE(&sk->dir_in.busy, 0);
}

/* All below seq has passed. */
static __always_inline void extent_reach(struct extent *x, __u32 seq)
{
	if (!x->holes || (__s32)(seq - x->whole) <= 0)
		return;
	x->whole = seq;
	if (x->holes == HOLE_ONE && (__s32)(seq - x->hole_end) >= 0)
		x->whole = x->next;
	if ((__s32)(x->whole - x->next) >= 0) { /* TCP counts FIN */
		x->whole = x->next;
		x->holes = HOLE_NONE;
	}
}

static __always_inline void extent_add(struct extent *x, __u32 seq, __u32 end)
{
	if ((__s32)(seq - x->next) > 0) {
		x->holes = x->holes ? HOLE_MANY : HOLE_ONE;
		x->hole_end = seq;
	} else if (x->holes && (__s32)(seq - x->whole) > 0) {
		/* Somewhere above the lowest missing byte: perhaps it splits the hole. */
		x->holes = HOLE_MANY;
	}
	if ((__s32)(end - x->next) > 0)
		x->next = end;
	if (!x->holes)
		x->whole = x->next;
	else if ((__s32)(seq - x->whole) <= 0)
		extent_reach(x, end);
}

/* After data in the SYN: now the peer's sequence numbers are known. */
static __always_inline void peer_answers(struct socket *sk, struct bpf_sock *ss,
					 const struct segment *s, int dir)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(ss);
	struct storage *storage = (struct storage *)sk;
	struct extent *in = &sk->dir_in.passed;
	__u32 start = s->ack;

	if (dir == DIR_IN)
		start = tp && !(s->flags & TCP_SYN) ? READ_ONCE(tp->rcv_nxt) : s->seq;
	bpf_spin_lock(&storage->lock);
	if (sk->alone) {
		sk->dir_in.start = in->next = in->whole = start;
		sk->dir_out.ack = sk->dir_out.begun_ack = start;
		sk->alone = 0;
	}
	bpf_spin_unlock(&storage->lock);
}

/*
 * How far the sender of a segment had received the other direction; known: as far as it has said. A
 * FIN takes a number (RFC 9293 section 3.4), but is no byte.
 */
static __always_inline __u32 acked(const struct bpf_sock *ss, const struct segment *s, int dir,
				   __u32 known)
{
	const __u32 state = ss->state;

	if (!(s->flags & TCP_ACK)) /* a SYN, or a reset for a socket that is gone */
		return known;
	return s->ack - (dir == DIR_OUT && (state == BPF_TCP_CLOSE_WAIT ||
					    state == BPF_TCP_LAST_ACK || state == BPF_TCP_CLOSING));
}

/* Of what arrives: how far has our application written? */
static __always_inline void see_written(struct bpf_sock *ss, struct emission *e)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(ss);

	if (tp)
		e->written = READ_ONCE(tp->write_seq);
}

/*
 * Behind that: a peer acknowledges more than it had before, can it have that? If not TCP drops the
 * segment (RFC 9293 section 3.10.7.4).
 */
static __always_inline bool is_plausible(const struct emission *e)
{
	return !e->written || (__s32)(e->ack - e->written) <= 0;
}

/*
 * TCP obeys a reset only at the very sequence number that it expects (RFC 5961 section 3.2). What
 * waits in the socket's backlog has passed here, but not there.
 */
static __always_inline bool reset_is_obeyed(struct bpf_sock *ss, const struct segment *s,
					    const struct extent *passed)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(ss);

	return !tp || s->seq == READ_ONCE(tp->rcv_nxt) || s->seq == passed->next;
}

/* TCP may know more of what it has received: what passed before the attach, too. */
static __always_inline void reach_by_tcp(struct bpf_tcp_sock *tp, struct socket *sk,
					 struct extent *x)
{
	__u32 rcv_nxt;

	if (!tp)
		return;
	rcv_nxt = READ_ONCE(tp->rcv_nxt);
	if ((__s32)(rcv_nxt - x->next) > (sk->dir_in.marks & MARK_FIN)) {
		widen(sk); /* perhaps the listening socket met it: there may be requests in it */
		x->next = x->whole = rcv_nxt;
		x->holes = HOLE_NONE;
	} else {
		extent_reach(x, rcv_nxt);
	}
}

/* The end of a chunked body can be cut by segments: keeps the last bytes of one for the next. */
static __always_inline void keep_last(struct __sk_buff *skb, struct direction *self,
				      const struct emission *e, __u32 next)
{
	__u32 old = next - e->s.seq; /* bytes sent again in front of the others */
	__u32 len = e->s.len;
	__u64 last = 0;

	if ((__s32)old > 0)
		len -= old;
	if (e->holes || (__s32)len <= 0) {
		self->last = 0;
	} else if (len >= sizeof(last)) {
		bpf_skb_load_bytes(skb, skb->len - sizeof(last), &last, sizeof(last));
		self->last = last;
	} else {
		barrier_var(len);
		len = ((len - 1) & 7) + 1;
		bpf_skb_load_bytes(skb, skb->len - len, &last, len);
		self->last = APPEND(self->last, last, 8 * len);
	}
}

/* The reader learns of all that is in the ring; the sweep reports the rest. */
static __always_inline void publish(struct direction *self, struct emission *e, __u32 end,
				    const int dir)
{
	struct extent x = self->passed;

	if ((__s32)(end - x.next) > 0 || e->filled)
		self->ts_ns = passed_ns(e);
	extent_add(&x, e->s.seq, end);
	extent_reach(&x, e->whole);
	if (dir == DIR_OUT) {
		x.whole = x.next; /* what was sent unseen is not sent again */
		x.holes = HOLE_NONE;
	}
	self->passed = x;
	self->pending =
		!e->reported || x.whole != e->whole || x.holes == HOLE_MANY ? PENDING : PENDING_NO;
	if (x.holes == HOLE_MANY || (e->reported && x.whole != e->whole))
		held_back = 1;
}

#endif /* APPMON_TRACK_H */
