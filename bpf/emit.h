/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 6. Records into the ring. */
#ifndef APPMON_EMIT_H
#define APPMON_EMIT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "head.h"
#include "identity.h"

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

/* socket.wide: so much of a message is captured. Where messages are known to follow each other it
 * is as much as can be counted, but not of a tunnel, nor of the stream to a replica. */
#define WIDE_WINDOW (1 << 20)
#define WIDE_ALWAYS_WINDOW (1 << 30)

static __always_inline __u64 submit_flags(void)
{
	if (!reader_waits)
		return BPF_RB_NO_WAKEUP;
	reader_waits = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* Records that one segment takes at most: the largest there are have 8 * 65535 bytes
 * (GSO_MAX_SIZE), and some bytes of the first record may be carried over from another. */
#define PARTS_MAX (8 * 65536 / REC_BYTES_MAX + 1)

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
static __always_inline void reach_by_tcp(struct bpf_tcp_sock *tp, struct socket *sk,
					 struct extent *x)
{
	__u32 rcv_nxt;

	if (!tp)
		return;
	rcv_nxt = READ_ONCE(tp->rcv_nxt);
	if ((__s32)(rcv_nxt - x->next) > sk->dir_in.fin) {
		widen(sk); /* perhaps the listening socket met it: there may be requests in it */
		x->next = x->whole = rcv_nxt;
		x->holes = HOLE_NONE;
	} else {
		extent_reach(x, rcv_nxt);
	}
}

static __always_inline bool is_followed(const struct socket *sk, int dir)
{
	return sk->request_dir == 1 + dir && sk->framing.phase != FRAMING_UNKNOWN;
}

static __always_inline void take_snapshot(struct __sk_buff *skb, struct socket *sk,
					  struct emission *e)
{
	struct snapshot *now = &e->now;
	const __u8 dir = e->dir;
	struct bpf_sock *ss = skb->sk;
	struct extent x;

	/* In this order: publish() writes them in the same. A time implies that there was data. */
	now->other_ts_ns = dir == DIR_OUT ? sk->ts_ns[DIR_IN] : sk->ts_ns[DIR_OUT];
	keep_order();
	x = dir == DIR_OUT ? sk->passed[DIR_IN] : sk->passed[DIR_OUT];
	now->whole = e->whole;
	if (sk->held_state && sk->request_dir == 1 + dir && (__s32)(e->whole - sk->held.seq) > 0)
		now->whole = sk->held.seq;
	now->srtt_us = 0;
	/* Under the socket's lock TCP's word is exact, and once for an exchange is enough. */
	if (dir == DIR_OUT && ss) {
		struct bpf_tcp_sock *tp = bpf_tcp_sock(ss);

		if (tp) {
			if (sk->retrans != tp->total_retrans)
				sk->retrans = tp->total_retrans;
			now->srtt_us = tp->srtt_us >> 3; /* the kernel keeps it times eight */
		}
		reach_by_tcp(tp, sk, &x);
	}
	now->other_next = x.next;
	now->other_whole = x.whole;
}

static __always_inline __u32 flags_of(const struct socket *sk, const struct emission *e)
{
	return e->flags | (e->dir == DIR_OUT ? REC_OUT : 0) | (sk->fresh ? REC_FRESH : 0) |
	       (e->s.flags & TCP_PSH ? REC_PSH : 0) | (e->s.flags & TCP_FIN ? REC_FIN : 0) |
	       (e->s.flags & TCP_RST ? REC_RST : 0) | (sk->closed ? REC_CLOSED : 0) |
	       (sk->suspect ? REC_WIDE : 0) | (sk->alone ? REC_ALONE : 0) |
	       (e->ends && !(e->flags & REC_PART) ? REC_ENDS : 0) |
	       (is_followed(sk, e->dir) ? REC_FOLLOWED : 0);
}

static __always_inline void fill_seg(struct __sk_buff *skb, struct socket *sk, struct rec_seg *r,
				     struct emission *e)
{
	const struct snapshot *now = &e->now;
	struct direction *self = DIRECTION(sk, e->dir);
	__u64 last;

	r->ts_ns = e->ts_ns;
	r->other_ts_ns = now->other_ts_ns;
	r->flags = flags_of(sk, e);
	r->seq = e->seq;
	r->len = e->len;
	r->start = now->whole == e->whole ? self->start : now->whole;
	r->whole = now->whole;
	r->other_next = now->other_next;
	r->other_whole = now->other_whole;
	r->lost = sk->lost;
	r->srtt_us = now->srtt_us;
	r->retrans = sk->retrans;
	r->dup = sk->dup;
	r->sample = sk->sample;
	last = e->part ? 0 : self->last;
	__builtin_memcpy(r->before, &last, sizeof(r->before));
	/* Else it is not read: a cache line less for either side. */
	if (e->captured < e->len) {
		__builtin_memset(r->tail, 0, sizeof(r->tail));
		fill_tail(skb, r->tail);
	}
	e->reported = 1;
	self->progress_ts_ns = e->ts_ns;
}

static __always_inline void tell_owner(struct __sk_buff *skb, struct socket *sk,
				       const struct emission *e, struct rec_seg *seg,
				       struct rec_owner *r)
{
	if (!identity)
		return;
	seg->flags |= REC_OWNER;
	fill_owner(skb, sk, &e->s, OWNER_HOW(e->dir, e->look), r);
}

/* What every record begins with. */
static __always_inline void fill_begin(const struct socket *sk, struct rec_hdr *hdr,
				       struct rec_conn *conn, __u16 kind, __u32 size)
{
	hdr->version = REC_VERSION;
	hdr->kind = kind;
	hdr->size = size;
	*conn = sk->conn;
}

static __always_inline void count_lost(struct socket *sk, bool request)
{
	__sync_fetch_and_add(&sk->lost, 1);
	COUNT(sk->conn.slot, records_lost);
	if (request)
		COUNT(sk->conn.slot, requests_lost);
}

/* ---- a whole message with one small segment ----------------------------------------------- */

/*
 * Most requests, and the heads of most responses, are looked at before they go into the ring:
 * reading its memory back, which the reader's CPU had last, costs as much as all else. A request
 * that is whole stays in the socket until a response takes it along.
 */
#define SMALL_BYTES HELD_BYTES
#define SMALL_SIZE (sizeof(struct rec_data) + SMALL_BYTES)

/*
 * Set before the programs are loaded. It needs the sweep, which reports a request that waits for
 * long.
 */
#ifdef HOLD /* the tests try both */
#define hold HOLD
#else
const volatile __u32 hold = 1;
#endif

/* A request has been waiting since the reader looked. */
volatile __u32 holding;

/* The sweep takes those that are older. */
volatile __u64 hold_ns;

static __always_inline void fill_small(const struct socket *sk, struct rec_data *r,
				       const __u8 *bytes, __u32 n)
{
	fill_begin(sk, &r->hdr, &r->conn, REC_DATA, SMALL_SIZE);
	r->captured = n;
	r->pad = 0;
	for (__u32 i = 0; i < SMALL_BYTES; i += 32) {
		const __u64 *from;
		__u64 *to;

		if (i >= n)
			break;
		/* Else there would be addresses before the begin, which Linux 7.3 refuses. */
		barrier_var(i);
		from = (const __u64 *)(bytes + i);
		to = (__u64 *)(r->bytes + i);
		to[0] = from[0];
		to[1] = from[1];
		to[2] = from[2];
		to[3] = from[3];
	}
}

static __always_inline void fill_held(const struct socket *sk, struct rec_data *r)
{
	const struct held *h = &sk->held;

	r->seg.ts_ns = h->ts_ns;
	r->seg.other_ts_ns = h->other_ts_ns;
	r->seg.flags = h->flags;
	r->seg.seq = r->seg.start = h->seq;
	r->seg.len = h->len;
	r->seg.whole = h->seq + h->len;
	r->seg.other_next = r->seg.other_whole = h->other_next;
	r->seg.lost = sk->lost;
	r->seg.srtt_us = 0;
	r->seg.retrans = sk->retrans;
	r->seg.dup = sk->dup;
	r->seg.sample = sk->sample;
	__builtin_memset(r->seg.before, 0, sizeof(r->seg.before));
	fill_small(sk, r, h->bytes, h->len);
}

/*
 * One program at a time has a request that is held. A response takes it along; so the request's
 * record is in the ring when that of the response gets its place. If the request's direction
 * sends again first (pipelining), that record reports the stream as whole only up to the waiting
 * request (take_snapshot()). The reader then treats the request as a late segment.
 */
static __always_inline bool take_held(struct socket *sk)
{
	return sk->held_state == HELD_FULL &&
	       __sync_val_compare_and_swap(&sk->held_state, HELD_FULL, HELD_TAKEN) == HELD_FULL;
}

/* In a record of its own, by who has taken it. Returns 0 if the ring is full. */
static __noinline int flush_taken(struct socket *sk)
{
	struct rec_data *r = bpf_ringbuf_reserve(&ring, SMALL_SIZE, 0);

	if (r) {
		fill_held(sk, r);
		bpf_ringbuf_submit(r, submit_flags());
	}
	sk->held_state = HELD_NONE;
	return !!r;
}

/* Not static: verified once. */
__noinline int flush_held(struct socket *sk)
{
	if (sk && take_held(sk) && !flush_taken(sk))
		count_lost(sk, true);
	return 0;
}

static __always_inline bool is_small_request(const struct socket *sk, const struct emission *e)
{
	return e->total == e->len && e->len <= SMALL_BYTES && !(e->flags & REC_OLD) &&
	       e->seq == DIRECTION(sk, e->dir)->start &&
	       !(e->s.flags & (TCP_SYN | TCP_FIN | TCP_RST)) && !sk->held_state &&
	       (sk->request_dir ? sk->request_dir == 1 + e->dir
				: sk->fresh && is_first(sk, e->dir)) &&
	       (e->dir == DIR_IN || !identity); /* one that is sent needs its sender at once */
}

/* Not static: verified once. */
__noinline int emit_small_request(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	__u32 n, end;
	struct held *h;
	int ret;

	if (!sk || !e)
		return EMIT_OTHER;
	h = &sk->held;
	if (__sync_val_compare_and_swap(&sk->held_state, HELD_NONE, HELD_TAKEN) != HELD_NONE)
		return EMIT_OTHER;
	h->seq = e->seq;
	n = e->captured = e->total;
	barrier_var(n);
	n = ((n - 1) & (SMALL_BYTES - 1)) + 1;
	take_snapshot(skb, sk, e);
	ret = EMIT_NO_HEAD;
	/* It is scanned where its times are put then. */
	if (!bpf_skb_load_bytes(skb, e->s.payload + (e->seq - e->s.seq), h->bytes, n))
		ret = examine(skb, sk, e, h->bytes, n, SMALL_BYTES, (struct scan *)h);
	if (ret == EMIT_NO_HEAD || e->now.other_next != e->now.other_whole) {
		sk->held_state = HELD_NONE;
		return ret == EMIT_NO_HEAD ? ret : EMIT_OTHER;
	}
	h->ts_ns = e->ts_ns;
	h->other_ts_ns = e->now.other_ts_ns;
	h->flags = flags_of(sk, e);
	h->len = e->len;
	h->other_next = e->now.other_next;
	DIRECTION(sk, e->dir)->progress_ts_ns = e->ts_ns;
	e->reported = 1;
	end = e->seq + e->len;
	/* Who sleeps without a timer learns of the request now. */
	if (hold && !reader_waits && e->request && !sk->wide && sk->framing.phase == FRAMING_HEAD &&
	    sk->framing.due == end) {
		if (!holding)
			holding = 1;
		__sync_lock_test_and_set(&sk->held_state, HELD_FULL);
		if (reader_waits)
			flush_held(sk);
	} else if (!flush_taken(sk)) {
		return EMIT_FULL;
	}
	return ret;
}

/*
 * For a response that is looked at: the CPU has it in its caches. Whoever interrupts a program that
 * is busy with it does without.
 */
struct scratch {
	__u32 busy;
	__u32 pad;
	struct scan scan;
	__u8 bytes[SMALL_BYTES + SCAN_SLACK];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* The response's record behind the request's, if that waits. Returns 0 if the ring is full. */
static __always_inline int write_response(struct __sk_buff *skb, struct socket *sk,
					  struct emission *e, const __u8 *bytes,
					  const bool with_request)
{
	const __u32 front = with_request ? SMALL_SIZE : 0;
	struct rec_data *r;
	void *p;

	take_snapshot(skb, sk, e);
	p = bpf_ringbuf_reserve(&ring, front + SMALL_SIZE, 0);
	if (!p)
		return 0;
	r = p + front;
	if (with_request)
		fill_held(sk, p);
	fill_seg(skb, sk, &r->seg, e);
	tell_owner(skb, sk, e, &r->seg, &r->owner);
	fill_small(sk, r, bytes, e->captured);
	bpf_ringbuf_submit(p, submit_flags());
	return 1;
}

/* Not static: verified once. */
__noinline int emit_small_response(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	__u32 zero = 0, n, end;
	struct scratch *s;
	int ret = EMIT_OTHER;

	if (!sk || !e)
		return EMIT_OTHER;
	s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s || s->busy)
		return EMIT_OTHER;
	s->busy = 1;
	n = e->total < SMALL_BYTES ? e->total : SMALL_BYTES;
	e->captured = n;
	barrier_var(n);
	n = ((n - 1) & (SMALL_BYTES - 1)) + 1;
	if (bpf_skb_load_bytes(skb, e->s.payload + (e->seq - e->s.seq), s->bytes, n))
		goto out;
	ret = examine(skb, sk, e, s->bytes, n, SMALL_BYTES, &s->scan);
	if (ret == EMIT_NO_HEAD)
		goto out;
	end = e->seq + e->len;
	if (e->captured < e->len) {
		/* The head will do if all that follows is the body. */
		if (ret != EMIT_ENDED ||
		    (sk->reply_phase == FRAMING_HEAD && (__s32)(sk->reply_due - end) < 0)) {
			ret = EMIT_OTHER;
			goto out;
		}
		e->captured = e->scan.end;
	}
	if (!take_held(sk)) {
		ret = write_response(skb, sk, e, s->bytes, false) ? ret : EMIT_FULL;
	} else {
		if (!write_response(skb, sk, e, s->bytes, true)) {
			count_lost(sk, true);
			ret = EMIT_FULL;
		}
		sk->held_state = HELD_NONE;
	}
out:
	s->busy = 0;
	return ret;
}

/* EMIT_OTHER if the segment is not such a one. */
static __always_inline int emit_small(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	int ret = EMIT_OTHER;

	if (sk->wide || !e->start || !e->framed || e->holes)
		return EMIT_OTHER;
	if (is_small_request(sk, e))
		ret = emit_small_request(skb, sk, e);
	else if (sk->request_dir == 1 + !e->dir)
		ret = emit_small_response(skb, sk, e);
	if (ret > EMIT_NO_HEAD) {
		e->seq += e->captured;
		e->len -= e->captured;
		e->flags &= ~(REC_FLIP | REC_START | REC_BEGINS);
	}
	return ret;
}

/* ---- any other segment -------------------------------------------------------------------- */

/* Longer than the capture was a request's head, which has ended here. */
static __always_inline bool is_beyond(struct socket *sk, const struct emission *e)
{
	return e->request && e->part && !e->holes && !sk->wide &&
	       e->seq + e->captured - DIRECTION(sk, e->dir)->start >= sk->capture;
}

/* bytes: one of REC_BYTES_*, a constant after inlining. */
static __always_inline int emit_sized(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				      const __u32 bytes)
{
	__u32 n = e->captured, carry = e->carry;
	struct rec_data *r;
	int ret;

	take_snapshot(skb, sk, e);
	r = bpf_ringbuf_reserve(&ring, sizeof(*r) + bytes + SCAN_SLACK, 0);
	if (!r)
		return EMIT_FULL;
	if (carry) {
		UNROLL
		for (__u32 i = 0; i < LINE_BYTES; i += 8)
			*(__u64 *)(r->bytes + i) = *(const __u64 *)(sk->line + i);
	}
	/* 1 <= n <= bytes, in a form that the verifier follows and the compiler does not undo. */
	barrier_var(n);
	n = ((n - 1) & (bytes - 1)) + 1;
	barrier_var(carry);
	carry &= LINE_BYTES - 1;
	ret = EMIT_NO_HEAD;
	/* It is scanned where fill_seg() writes then. */
	if (!bpf_skb_load_bytes(skb, e->s.payload + (e->seq - e->s.seq), r->bytes + carry, n))
		ret = examine(skb, sk, e, r->bytes, n, bytes, (struct scan *)&r->seg);
	if (ret == EMIT_NO_HEAD) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return ret;
	}
	if (!e->request || sk->framing.phase != FRAMING_IN_HEAD)
		e->framed = 0;
	e->start = 0;
	if ((sk->wide || e->framed || (e->request && sk->chunked)) && e->captured < e->len &&
	    e->part + 1 < PARTS_MAX) {
		e->flags |= REC_PART;
	} else if (is_beyond(sk, e)) {
		e->flags &= ~REC_PART;
		e->total = 0;
	}
	fill_begin(sk, &r->hdr, &r->conn, REC_DATA, sizeof(*r) + bytes + SCAN_SLACK);
	fill_seg(skb, sk, &r->seg, e);
	tell_owner(skb, sk, e, &r->seg, &r->owner);
	r->captured = e->captured;
	r->pad = 0;
	bpf_ringbuf_submit(r, submit_flags());
	return ret;
}

static __always_inline int emit_any(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	__u32 need = e->captured + e->carry;

	if (sk->request_dir != 1 + e->dir)
		flush_held(sk);
	if (need <= REC_BYTES_0)
		return emit_sized(skb, sk, e, REC_BYTES_0);
	return emit_sized(skb, sk, e, REC_BYTES_1);
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
	e->carry = e->framed && !e->start ? sk->line_len & (LINE_BYTES - 1) : 0;
	e->captured = REC_BYTES_MAX - e->carry;
	if (e->captured > e->total)
		e->captured = e->total;
	e->total -= e->captured;
	if ((e->total || e->proxy == PROXY_HEADER) && e->part + 1 < PARTS_MAX)
		e->flags |= REC_PART;
	else
		e->flags &= ~REC_PART;
	ret = emit_any(skb, sk, e);
	if (ret == EMIT_FULL || ret == EMIT_NO_HEAD)
		return ret;
	e->seq += e->captured;
	e->len -= e->captured;
	e->flags &= ~(REC_FLIP | REC_START | REC_BEGINS);
	if (e->proxy != PROXY_HEADER &&
	    (sk->wide || e->framed || (!e->part && (e->flags & REC_PART))))
		e->total = e->len; /* it turned out only now */
	e->part++;
	return ret;
}

/* Not static: verified once. */
__noinline int emit_progress(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	struct rec_progress *r;

	if (!sk || !e)
		return 0;
	if (sk->request_dir != 1 + e->dir || (e->s.flags & (TCP_FIN | TCP_RST)))
		flush_held(sk);
	take_snapshot(skb, sk, e);
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		count_lost(sk, false);
		return 0;
	}
	fill_begin(sk, &r->hdr, &r->conn, REC_PROGRESS, sizeof(*r));
	fill_seg(skb, sk, &r->seg, e);
	tell_owner(skb, sk, e, &r->seg, &r->owner);
	bpf_ringbuf_submit(r, submit_flags());
	return 0;
}

/* A progress record without a packet: how far the directions are, by `passed`. */
static __always_inline void fill_state(struct rec_progress *r, const struct socket *sk,
				       const int dir, const struct extent passed[2], __u32 flags)
{
	const struct direction *self = DIRECTION(sk, dir);

	__builtin_memset(r, 0, sizeof(*r));
	fill_begin(sk, &r->hdr, &r->conn, REC_PROGRESS, sizeof(*r));
	r->seg.ts_ns = sk->ts_ns[dir];
	r->seg.other_ts_ns = sk->ts_ns[!dir];
	r->seg.flags = flags | (dir == DIR_OUT ? REC_OUT : 0) | (sk->fresh ? REC_FRESH : 0) |
		       (is_followed(sk, dir) ? REC_FOLLOWED : 0);
	r->seg.seq = passed[dir].next;
	r->seg.start = self->start;
	r->seg.whole = passed[dir].whole;
	r->seg.other_next = passed[!dir].next;
	r->seg.other_whole = passed[!dir].whole;
	r->seg.lost = sk->lost;
	r->seg.dup = sk->dup;
	r->seg.sample = sk->sample;
}

/* A thread begins to read a request. */
static __always_inline void emit_read(struct socket *sk, const struct owner *o, bool blocks)
{
	struct extent passed[2];
	struct rec_progress *r;

	if (!sk || sk->request_dir != 1 + DIR_IN || sk->answered)
		return;
	passed[DIR_IN] = sk->passed[DIR_IN];
	passed[DIR_OUT] = sk->passed[DIR_OUT];
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		COUNT(sk->conn.slot, records_lost); /* evidence only: no exchange is harmed */
		return;
	}
	fill_state(r, sk, DIR_IN, passed, REC_READ | (blocks ? REC_BLOCKING : 0));
	r->seg.seq = o->turn;
	r->seg.flags |= REC_OWNER;
	r->owner.task = o->task;
	r->owner.source = o->source;
	bpf_ringbuf_submit(r, submit_flags());
}

#endif /* APPMON_EMIT_H */
