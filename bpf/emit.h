/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 4. Records into the ring. */
#ifndef APPMON_EMIT_H
#define APPMON_EMIT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "identity.h"
#include "look.h"
#include "state.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* Set when progress was held back: the reader may want a sweep. */
volatile __u32 held_back;

/*
 * 1 while the reader sleeps without a timer. A wakeup costs the application more than everything
 * else here together, so it is sent only then; a busy reader looks by its own timer.
 */
volatile __u32 reader_waits;

/* Progress within this time of the last record may wait for the sweep. */
#define PROGRESS_INTERVAL_NS 1000000
#define PROGRESS_BURST 8

/* After a sign of pipelining, for so many more requests, so much of a message is captured. */
#define WIDE_REQUESTS 8
#define WIDE_WINDOW (1 << 20)

static __always_inline __u64 submit_flags(void)
{
	if (!reader_waits)
		return BPF_RB_NO_WAKEUP;
	reader_waits = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* What emit_data() is to write; on the stack because BPF functions take five arguments. */
struct emission {
	struct segment s;
	__u32 seq;	/* of the first byte to capture */
	__u32 len;	/* bytes from there to the end of the segment */
	__u32 total;	/* bytes to capture, in as many records as it takes */
	__u32 captured; /* of the present record */
	__u32 flags;	/* REC_* */
	__u32 whole;	/* the direction's, with this segment */
	__u8 dir;
	__u8 look;     /* in: required look of the first bytes, LOOK_NO: any; out: what they are */
	__u8 start;    /* a message may begin here */
	__u8 part;     /* number among the records that one segment takes */
	__u8 reported; /* a record says how far the direction is */
	__u8 filled;   /* bytes that had come early are whole now */
	__u8 holes;    /* bytes are missing, or there are some behind it */
	__u8 pad;
	__u64 ts_ns;
};

/* Records that one segment takes at most. */
#define PARTS_MAX (CAPTURE_MAX / REC_BYTES_MAX)

/* Results of emit_data(); ENDED: a response's head, and what follows need not be captured. */
enum { EMIT_FULL = -1, EMIT_NO_HEAD = 0, EMIT_OPEN = 1, EMIT_ENDED = 2 };

/* Does the segment end with an empty line? */
static __always_inline bool ends_with_blank(struct __sk_buff *skb)
{
	__u8 tail[4];

	return skb->len >= sizeof(tail) &&
	       !bpf_skb_load_bytes(skb, skb->len - sizeof(tail), tail, sizeof(tail)) &&
	       tail[0] == '\r' && tail[1] == '\n' && tail[3] == '\n';
}

static __always_inline void fill_tail(struct __sk_buff *skb, __u8 tail[TAIL_BYTES])
{
	/* With the headers that any TCP packet has. */
	const __u32 least = 40;

	if (skb->len >= TAIL_BYTES)
		bpf_skb_load_bytes(skb, skb->len - TAIL_BYTES, tail, TAIL_BYTES);
	else if (skb->len >= least)
		bpf_skb_load_bytes(skb, skb->len - least, tail + TAIL_BYTES - least, least);
}

/* Keeps the compiler from computing an address in a socket, which the verifier forbids. */
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

/* TCP may know more of what it has received: what passed before the attach, too. */
static __always_inline void reach_by_tcp(struct bpf_tcp_sock *tp, const struct socket *sk,
					 struct extent *x)
{
	__u32 rcv_nxt;

	if (!tp)
		return;
	rcv_nxt = READ_ONCE(tp->rcv_nxt);
	if ((__s32)(rcv_nxt - x->next) > sk->dir[DIR_IN].fin) {
		x->next = x->whole = rcv_nxt;
		x->holes = HOLE_NONE;
	} else {
		extent_reach(x, rcv_nxt);
	}
}

static __always_inline void fill_seg(struct __sk_buff *skb, struct socket *sk, struct rec_seg *r,
				     struct emission *e)
{
	struct direction *other = &sk->dir[e->dir == DIR_OUT ? DIR_IN : DIR_OUT];
	struct direction *self = &sk->dir[e->dir == DIR_OUT ? DIR_OUT : DIR_IN];
	struct bpf_sock *ss = skb->sk;
	struct bpf_tcp_sock *tp = ss ? bpf_tcp_sock(ss) : 0;
	__u64 last;

	r->ts_ns = e->ts_ns;
	r->other_ts_ns = other->ts_ns;
	r->flags = e->flags | (e->dir == DIR_OUT ? REC_OUT : 0) | (sk->fresh ? REC_FRESH : 0) |
		   (e->s.flags & TCP_PSH ? REC_PSH : 0) | (e->s.flags & TCP_FIN ? REC_FIN : 0) |
		   (e->s.flags & TCP_RST ? REC_RST : 0) | (sk->closed ? REC_CLOSED : 0) |
		   (sk->wide ? REC_WIDE : 0) | (sk->alone ? REC_ALONE : 0);
	r->seq = e->seq;
	r->len = e->len;
	r->start = self->start;
	r->whole = e->whole;
	r->other_next = other->passed.next;
	r->other_whole = other->passed.whole;
	/* Under the socket's lock TCP's word is exact. */
	if (e->dir == DIR_OUT) {
		struct extent x = other->passed;

		reach_by_tcp(tp, sk, &x);
		r->other_next = x.next;
		r->other_whole = x.whole;
	}
	r->lost = sk->lost;
	r->srtt_us = tp ? tp->srtt_us >> 3 : 0; /* the kernel keeps it times eight */
	r->retrans = tp ? tp->total_retrans : 0;
	r->dup = sk->dir[DIR_IN].dup;
	r->pad = 0;
	last = e->part ? 0 : self->last;
	__builtin_memcpy(r->before, &last, sizeof(r->before));
	__builtin_memset(r->tail, 0, sizeof(r->tail));
	if (e->captured < e->len)
		fill_tail(skb, r->tail);
	e->reported = 1;
	self->progress_ts_ns = e->ts_ns;
}

static __always_inline void count_lost(struct socket *sk, bool request)
{
	__sync_fetch_and_add(&sk->lost, 1);
	COUNT(sk->conn.slot, records_lost);
	if (request)
		COUNT(sk->conn.slot, requests_lost);
}

static __always_inline enum look look_of(const struct socket *sk, int dir)
{
	if (!sk->request_dir)
		return LOOK_EITHER;
	return sk->request_dir == dir + 1 ? LOOK_REQUEST : LOOK_RESPONSE;
}

/*
 * Is there a second request in the segment? Then its answers may share segments too, and heads
 * will begin anywhere in them: the window is no help, whole segments are captured. This looks at
 * the first head only: behind it there may be a body. It costs some 50 ns for a usual request.
 */
static __always_inline int scan(const __u8 *b, __u32 n, const __u32 bytes)
{
	int found = SCAN_NOTHING;

	for (__u32 off = 0; off < SCAN_MAX && off + sizeof(struct block) <= bytes;
	     off += BLOCK_STEP) {
		if (off >= n)
			break;
		found |= scan_block((const struct block *)(b + off), n - off);
		if (found & ~SCAN_CHUNKED)
			break;
	}
	return found;
}

/* bytes: one of REC_BYTES_*, a constant after inlining. */
static __always_inline int emit_sized(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				      const __u32 bytes)
{
	__u32 n = e->captured, look = LOOK_NO;
	struct rec_data *r = bpf_ringbuf_reserve(&ring, sizeof(*r) + bytes, 0);
	bool whole = sk->wide;
	int ret = EMIT_OPEN;

	if (!r)
		return EMIT_FULL;
	/* 1 <= n <= bytes, in a form that the verifier follows and the compiler does not undo. */
	barrier_var(n);
	n = ((n - 1) & (bytes - 1)) + 1;
	if (bpf_skb_load_bytes(skb, e->s.payload + (e->seq - e->s.seq), r->bytes, n)) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return EMIT_NO_HEAD;
	}
	if (!e->part) {
		look = look_at(*(__u32 *)r->bytes, n);
		if (e->look && !(look & e->look)) {
			bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
			return EMIT_NO_HEAD;
		}
		if (!e->start)
			look = n >= 8 ? look_strict(r->bytes) : look == LOOK_BLANK ? LOOK_NO : look;
		if (look & look_of(sk, e->dir))
			e->flags |= REC_START;
		/* A request behind another that has no answer yet. */
		if (!e->start && n >= 8 && look == LOOK_REQUEST && sk->request_dir == 1 + e->dir &&
		    !sk->answered)
			sk->wide = WIDE_REQUESTS;
		/* Which of the two a few letters do not tell. */
		e->look = look && n < 4 ? LOOK_EITHER : look;
	}
	if (!e->part) {
		bool request =
			sk->request_dir ? sk->request_dir == 1 + e->dir : look == LOOK_REQUEST;
		int found = SCAN_NOTHING;

		if (request || (e->start && n == e->len && ends_with_blank(skb)))
			found = scan(r->bytes, n, bytes);
		if (request && (found & ~SCAN_CHUNKED) == SCAN_SECOND)
			sk->wide = WIDE_REQUESTS;
		/* A head that is not at its end may turn out to be chunked. */
		if (request && e->start)
			sk->chunked = found >= SCAN_CHUNKED ||
				      (found == SCAN_NOTHING && n == e->len && n < SCAN_MAX);
		whole = sk->wide || (request && sk->chunked);
		/* After an interim response (1xx) another head comes. */
		if (!request && found == SCAN_END && r->bytes[9] != '1')
			ret = EMIT_ENDED;
	}
	if (whole && n < e->len && e->part + 1 < PARTS_MAX)
		e->flags |= REC_PART;
	r->hdr.version = REC_VERSION;
	r->hdr.kind = REC_DATA;
	r->hdr.size = sizeof(*r) + bytes;
	r->conn = sk->conn;
	fill_seg(skb, sk, &r->seg, e);
	fill_owner(skb, sk, &e->s, e->dir,
		   sk->request_dir ? sk->request_dir == 1 + e->dir : look == LOOK_REQUEST,
		   &r->owner);
	r->captured = n;
	r->pad = 0;
	bpf_ringbuf_submit(r, submit_flags());
	return ret;
}

static __always_inline int emit_any(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	if (e->captured <= REC_BYTES_0)
		return emit_sized(skb, sk, e, REC_BYTES_0);
	if (e->captured <= REC_BYTES_1)
		return emit_sized(skb, sk, e, REC_BYTES_1);
	if (e->captured <= REC_BYTES_2)
		return emit_sized(skb, sk, e, REC_BYTES_2);
	if (e->captured <= REC_BYTES_3)
		return emit_sized(skb, sk, e, REC_BYTES_3);
	return emit_sized(skb, sk, e, REC_BYTES_4);
}

/*
 * The next record of e->total bytes. Not static: verified once, for any arguments. The caller's
 * loop has no branches of its own that old verifiers would follow in each round.
 */
__noinline int emit_data(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	int ret;

	if (!sk || !e) /* never: asked for by the verifier */
		return EMIT_FULL;
	if (sk->wide)
		e->total = e->len;
	e->captured = e->total < REC_BYTES_MAX ? e->total : REC_BYTES_MAX;
	e->total -= e->captured;
	if (e->total && e->part + 1 < PARTS_MAX)
		e->flags |= REC_PART;
	else
		e->flags &= ~REC_PART;
	ret = emit_any(skb, sk, e);
	if (ret == EMIT_FULL || ret == EMIT_NO_HEAD)
		return ret;
	e->seq += e->captured;
	e->len -= e->captured;
	e->flags &= ~(REC_FLIP | REC_START);
	if (sk->wide || (!e->part && (e->flags & REC_PART)))
		e->total = e->len; /* it turned out only now */
	e->part++;
	return ret;
}

static __always_inline void emit_progress(struct __sk_buff *skb, struct socket *sk,
					  struct emission *e)
{
	struct rec_progress *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);

	if (!r) {
		count_lost(sk, false);
		return;
	}
	r->hdr.version = REC_VERSION;
	r->hdr.kind = REC_PROGRESS;
	r->hdr.size = sizeof(*r);
	r->conn = sk->conn;
	fill_seg(skb, sk, &r->seg, e);
	fill_owner(skb, sk, &e->s, e->dir, sk->request_dir == 1 + e->dir, &r->owner);
	bpf_ringbuf_submit(r, submit_flags());
}

/* A progress record without a packet: where the direction is. */
static __always_inline void fill_state(struct rec_progress *r, const struct socket *sk,
				       const int dir, __u32 flags)
{
	const struct direction *self = &sk->dir[dir], *other = &sk->dir[!dir];

	__builtin_memset(r, 0, sizeof(*r));
	r->hdr.version = REC_VERSION;
	r->hdr.kind = REC_PROGRESS;
	r->hdr.size = sizeof(*r);
	r->conn = sk->conn;
	r->seg.ts_ns = self->ts_ns;
	r->seg.other_ts_ns = other->ts_ns;
	r->seg.flags = flags | (dir == DIR_OUT ? REC_OUT : 0) | (sk->fresh ? REC_FRESH : 0);
	r->seg.seq = self->passed.next;
	r->seg.start = self->start;
	r->seg.whole = self->passed.whole;
	r->seg.other_next = other->passed.next;
	r->seg.other_whole = other->passed.whole;
	r->seg.lost = sk->lost;
	r->seg.dup = sk->dir[DIR_IN].dup;
}

/* A thread begins to read a request. */
static __always_inline void emit_read(struct socket *sk, const struct owner *o, bool blocks)
{
	struct rec_progress *r;

	if (!sk || sk->request_dir != 1 + DIR_IN || sk->answered)
		return;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		COUNT(sk->conn.slot, records_lost); /* evidence only: no exchange is harmed */
		return;
	}
	fill_state(r, sk, DIR_IN, REC_READ | (blocks ? REC_BLOCKING : 0));
	r->seg.seq = o->turn;
	r->owner.task = o->task;
	r->owner.source = o->source;
	bpf_ringbuf_submit(r, submit_flags());
}

#endif /* APPMON_EMIT_H */
