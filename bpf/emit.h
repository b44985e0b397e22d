/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 6. Records into the ring. */
#ifndef APPMON_EMIT_H
#define APPMON_EMIT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "head.h"
#include "identity.h"

/*
 * A ring for each CPU, or for a few: its lock, its position and the header of a record change hands
 * where CPUs share one, which costs as much as all else. The library makes them, and puts their
 * records in order: capture/ring.c.
 */
struct ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, RINGS_MAX);
	__type(key, __u32);
	__array(values, struct ring_map);
} rings SEC(".maps");

/* Their number, a power of two, less one. */
const volatile __u32 ring_mask;

/* What the reader waits on: it holds no records. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} bell SEC(".maps");

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
/* Behind 101, as much as an HTTP/2 server may send before the client's preface: 65,535 bytes of data
 * (RFC 9113 section 6.9.2), and heads. */
#define SWITCHED_WINDOW (1 << 17)

static __always_inline void *ring_of_cpu(void)
{
	__u32 key = bpf_get_smp_processor_id() & ring_mask;

	return bpf_map_lookup_elem(&rings, &key);
}

/* Behind a record: the reader looks into the rings once more when it has set reader_waits. */
static __always_inline void ring_bell(void)
{
	void *p;

	if (!reader_waits || !__sync_lock_test_and_set(&reader_waits, 0))
		return;
	p = bpf_ringbuf_reserve(&bell, 8, 0);
	if (p)
		bpf_ringbuf_discard(p, BPF_RB_FORCE_WAKEUP);
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

/* Keeps the compiler from computing an address in a socket, which the verifier forbids. */
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

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

static __always_inline void count_lost(struct socket *sk, bool request)
{
	__sync_fetch_and_add(&sk->lost, 1);
	COUNT(sk->conn.slot, records_lost);
	if (request)
		COUNT(sk->conn.slot, requests_lost);
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

/*
 * A record is made in memory that the CPU has in its caches, and goes into the ring as a whole: to
 * read the ring's memory, which the reader's CPU had last, costs as much as all else. In front of
 * the bytes there is room for all that can stand there. A program can be interrupted by another
 * one, or a thread that runs one by another thread: there are some such places for each CPU.
 */
struct draft {
	__u32 busy;
	__u32 pad;
	struct scan scan;
	__u8 front[REC_FRONT_MAX] __attribute__((aligned(8)));
	__u8 bytes[REC_BYTES_MAX + SCAN_SLACK];
	__u8 behind[REC_EXTRAS_MAX]; /* see emit_front() */
};

#define DRAFTS 4

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DRAFTS);
	__type(key, __u32);
	__type(value, struct draft);
} drafts SEC(".maps");

/* A place in a map of DRAFTS; what it holds begins with `busy`. */
static __always_inline void *draft_claim(void *map)
{
	UNROLL
	for (__u32 i = 0; i < DRAFTS; i++) {
		__u32 key = i, *busy = bpf_map_lookup_elem(map, &key);

		if (busy && !__sync_lock_test_and_set(busy, 1))
			return busy;
	}
	return 0;
}

static __always_inline void draft_release(__u32 *busy)
{
	*(volatile __u32 *)busy = 0;
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

/*
 * Returns 0 if the ring is full. front: REC_FRONT_MAX bytes, aligned to eight, n bytes of
 * `bytes` behind them, and REC_EXTRAS_MAX more, which are not used.
 */
static __always_inline int emit_front(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				      __u8 *front, __u32 n, const __u32 bytes, __u16 kind)
{
	const bool tail = e->captured < e->len;
	const bool owner = identity && (e->dir == DIR_OUT || (e->s.flags & (TCP_FIN | TCP_RST)));
	const __u32 off = (tail ? 0 : TAIL_BYTES) + (owner ? 0 : sizeof(struct rec_owner));
	struct rec *r = (struct rec *)(front + off);
	struct tcp_sock *tp = 0;
	struct bpf_sock *ss;
	__u32 size;
	void *ring;

	/* First what would wait on the stack: old verifiers count that of all callers. */
	fill_begin(sk, r, kind, REC_FRONT_MAX - off + n);
	r->seg.captured = n;
	r->seg.flags = flags_of(sk, e) | (tail ? REC_TAIL : 0) | (owner ? REC_OWNER : 0);
	if (tail)
		fill_tail(skb, front + REC_FRONT_MAX - TAIL_BYTES);
	if (owner)
		fill_owner(skb, sk, &e->s, OWNER_HOW(e->dir, e->look), (struct rec_owner *)(r + 1));
	ss = skb->sk;
	if (e->dir == DIR_OUT && ss)
		tp = bpf_skc_to_tcp_sock(ss);
	fill_seg(tp, sk, &r->seg, e);
	/* Last: behind all that this program has read. */
	r->hdr.order_ns = bpf_ktime_get_ns();
	if (!e->ts_ns)
		e->ts_ns = r->hdr.order_ns;
	r->seg.ts_ns = e->ts_ns;
	ring = ring_of_cpu();
	/*
	 * Read from memory: a size that is worked out in front of fill_owner() would have a verifier
	 * before 6.5, which does not look for its origin behind a call, tell all values apart.
	 */
	size = READ_ONCE(r->hdr.size);
	if (size > REC_FRONT_MAX + bytes)
		return 0; /* never: asked for by the verifier */
	if (!ring || bpf_ringbuf_output(ring, r, size, BPF_RB_NO_WAKEUP))
		return 0;
	ring_bell();
	e->reported = 1;
	DIRECTION(sk, e->dir)->progress_ts_ns = e->ts_ns;
	return 1;
}

/* The same of a draft: the captured bytes are in it. */
static __always_inline int draft_write(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				       struct draft *d, __u16 kind)
{
	return emit_front(skb, sk, e, d->front, e->captured, REC_BYTES_MAX, kind);
}

/* Loads the next e->captured bytes behind e->carry, and looks at them. EMIT_* */
static __always_inline int draft_load(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				      struct draft *d)
{
	__u32 n = e->captured, carry = e->carry;

	if (carry) {
		UNROLL
		for (__u32 i = 0; i < LINE_BYTES; i += 8)
			*(__u64 *)(d->bytes + i) = *(const __u64 *)(sk->line + i);
	}
	/* 1 <= n <= REC_BYTES_MAX, in a form that the verifier follows and the compiler does not
	 * undo. */
	barrier_var(n);
	n = ((n - 1) & (REC_BYTES_MAX - 1)) + 1;
	barrier_var(carry);
	carry &= LINE_BYTES - 1;
	if (bpf_skb_load_bytes(skb, e->s.payload + (e->seq - e->s.seq), d->bytes + carry, n))
		return EMIT_NO_HEAD;
	return examine(skb, sk, e, d->bytes, n, REC_BYTES_MAX, &d->scan);
}

static __always_inline void emitted(struct emission *e)
{
	e->seq += e->captured;
	e->len -= e->captured;
	e->flags &= ~(REC_FLIP | REC_START | REC_BEGINS | REC_DUE);
}

/* The heads of most responses are shorter. */
#define SMALL_BYTES 512

/*
 * A response of which its head will do: all that follows is its body. EMIT_OTHER if it is not such
 * a one. Not static: verified once.
 */
__noinline int emit_head(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	int ret = EMIT_OTHER;
	struct draft *d;

	if (!sk || !e)
		return EMIT_OTHER;
	d = draft_claim(&drafts);
	if (!d)
		return EMIT_FULL;
	e->captured = SMALL_BYTES;
	ret = draft_load(skb, sk, e, d);
	if (ret == EMIT_NO_HEAD)
		goto out;
	if (ret != EMIT_ENDED ||
	    (sk->reply_phase == FRAMING_HEAD && (__s32)(sk->reply_due - (e->seq + e->len)) < 0)) {
		ret = EMIT_OTHER;
		goto out;
	}
	e->captured = e->scan.end;
	if (!draft_write(skb, sk, e, d, REC_DATA))
		ret = EMIT_FULL;
	else
		emitted(e);
out:
	draft_release(&d->busy);
	return ret;
}

/* Longer than the capture was a request's head, which has ended here. */
static __always_inline bool is_beyond(struct socket *sk, const struct emission *e)
{
	return e->request && e->part && !e->holes && !sk->wide &&
	       e->seq + e->captured - DIRECTION(sk, e->dir)->start >= sk->capture;
}

/*
 * The next record of e->total bytes. Not static: verified once, for any arguments. The caller's
 * loop has no branches of its own that old verifiers would follow in each round.
 */
__noinline int emit_data(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	struct draft *d;
	bool all;
	int ret;

	if (!sk || !e) /* never: asked for by the verifier */
		return EMIT_FULL;
	d = draft_claim(&drafts);
	if (!d)
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
	ret = draft_load(skb, sk, e, d);
	if (ret == EMIT_NO_HEAD)
		goto out;
	if (!e->request || sk->framing.phase != FRAMING_IN_HEAD)
		e->framed = 0;
	e->start = 0;
	all = sk->wide || e->framed || (!e->request && may_be_http2(sk));
	if ((all || (e->request && sk->chunked)) && e->captured < e->len &&
	    e->part + 1 < PARTS_MAX) {
		e->flags |= REC_PART;
	} else if (is_beyond(sk, e)) {
		e->flags &= ~REC_PART;
		e->total = 0;
	}
	if (!draft_write(skb, sk, e, d, REC_DATA)) {
		ret = EMIT_FULL;
		goto out;
	}
	emitted(e);
	if (e->proxy != PROXY_HEADER && (all || (!e->part && (e->flags & REC_PART))))
		e->total = e->len; /* it turned out only now */
	e->part++;
out:
	draft_release(&d->busy);
	return ret;
}

/* Not static: verified once. */
__noinline int emit_progress(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	struct draft *d;

	if (!sk || !e)
		return 0;
	d = draft_claim(&drafts);
	e->captured = 0;
	if (!d || !draft_write(skb, sk, e, d, REC_PROGRESS))
		count_lost(sk, false);
	if (d)
		draft_release(&d->busy);
	return 0;
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

/* The same into the ring, for a direction as it is. */
static __always_inline void emit_state(struct socket *sk, const int dir, __u32 flags)
{
	struct extent passed = DIRECTION(sk, dir)->passed;
	__u64 now_ns = bpf_ktime_get_ns();
	void *ring = ring_of_cpu();
	struct rec *r = ring ? bpf_ringbuf_reserve(ring, sizeof(*r), 0) : 0;

	if (!r) {
		count_lost(sk, false);
		return;
	}
	fill_state(r, sk, dir, &passed, flags);
	r->hdr.order_ns = now_ns;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	ring_bell();
}

struct rec_read {
	struct rec rec;
	struct rec_owner owner;
};

/* A thread begins to read a request. */
static __always_inline void emit_read(struct socket *sk, const struct owner *o, bool blocks)
{
	struct extent passed;
	struct rec_read *r;
	__u64 now_ns;
	void *ring;

	if (!sk || sk->request_dir != 1 + DIR_IN ||
	    (__s32)(sk->dir_out.ack - sk->dir_in.start) > 0) /* it is answered */
		return;
	passed = sk->dir_in.passed;
	now_ns = bpf_ktime_get_ns();
	ring = ring_of_cpu();
	r = ring ? bpf_ringbuf_reserve(ring, sizeof(*r), 0) : 0;
	if (!r) {
		COUNT(sk->conn.slot, records_lost); /* evidence only: no exchange is harmed */
		return;
	}
	fill_state(&r->rec, sk, DIR_IN, &passed,
		   REC_READ | REC_OWNER | (blocks ? REC_BLOCKING : 0));
	r->rec.hdr.size = sizeof(*r);
	r->rec.hdr.order_ns = now_ns;
	r->rec.seg.seq = o->turn;
	__builtin_memset(&r->owner, 0, sizeof(r->owner));
	r->owner.task = o->task;
	r->owner.source = o->source;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	ring_bell();
}

#endif /* APPMON_EMIT_H */
