/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 10. Records of a segment, or of a socket as it is, into the ring. */
#ifndef APPMON_EMIT_H
#define APPMON_EMIT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "attachment.h"
#include "record.h"
#include "ring.h"

/* Records that one segment takes at most: the largest there are have 8 * 65535 bytes
 * (GSO_MAX_SIZE), and some bytes of the first record may be carried over from another. */
#define PARTS_MAX (8 * 65536 / REC_BYTES_MAX + 1)

static __always_inline void count_lost(struct socket *sk, bool request)
{
	__sync_fetch_and_add(&sk->lost, 1);
	conn_changes(sk);
	COUNT(sk->conn.slot, records_lost);
	if (request)
		COUNT(sk->conn.slot, requests_lost);
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
	__u8 behind[REC_EXTRAS_ROOM]; /* see emit_front() */
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
	STORE_RELEASE(busy, 0);
}

/*
 * By which the reader puts records in order (capture/ring.c): the clock, read behind all that the
 * program has read of what other programs write. known: all of that was there when TCP began to send;
 * then the time of that will do, for it costs nothing. Not where a record was lost: losses are told
 * in order.
 */
static __always_inline __u64 order_of(const struct tcp_sock *tp, const struct socket *sk,
				      const bool known)
{
	__u64 sent_ns = known && tp && !sk->lost ? tp->tcp_clock_cache : 0;

	return sent_ns ? sent_ns : bpf_ktime_get_ns();
}

/* What stands in front of captured bytes, and some of these. */
struct front {
	__u8 byte[REC_FRONT_MAX + REC_EXTRAS_ROOM];
};

/* A place in it, in a form that verifiers before 6.5 ask for. */
static __always_inline void *front_at(struct front *front, __u32 off)
{
	_Static_assert(REC_FRONT_MAX < REC_EXTRAS_ROOM, "");
	barrier_var(off);
	return front->byte + (off & (REC_EXTRAS_ROOM - 1));
}

/* TCP, under its lock, where its word is exact. */
static __always_inline struct tcp_sock *tcp_sending(struct __sk_buff *skb, struct socket *sk,
						    const struct emission *e)
{
	struct bpf_sock *ss = skb->sk;
	struct tcp_sock *tp = e->dir == DIR_OUT && ss ? bpf_skc_to_tcp_sock(ss) : 0;

	if (tp && sk->retrans != tp->total_retrans) {
		sk->retrans = tp->total_retrans;
		conn_changes(sk);
	}
	return tp;
}

/* Writes a record, and what follows it, in front of n captured bytes. Returns where it begins. Not
 * static: verified once. */
__noinline int fill_front(struct __sk_buff *skb, struct socket *sk, struct emission *e,
			  struct front *front, __u32 n)
{
	__u32 at = REC_FRONT_MAX - sizeof(struct rec), flags;
	struct direction *self;
	struct tcp_sock *tp;
	struct rec *r;

	if (!sk || !e || !front) /* never: asked for by the verifier */
		return 0;
	self = DIRECTION(sk, e->dir);
	tp = tcp_sending(skb, sk, e);
	flags = tells_conn(sk, self, tell_time()) * REC_CONN |
		tells_before(sk, self, e) * REC_BEFORE | tells_owner(e) * REC_OWNER |
		tells_tail(sk, e) * REC_TAIL;
	barrier_var(flags);
	at -= flags / REC_CONN % 2 * sizeof(struct rec_conn_told) +
	      flags / REC_BEFORE % 2 * sizeof(struct rec_before) +
	      flags / REC_OWNER % 2 * sizeof(struct rec_owner) + flags / REC_TAIL % 2 * TAIL_BYTES;
	/* First what would wait on the stack: old verifiers count that of all callers. */
	r = front_at(front, at);
	fill_rec(sk, tp, e, r, REC_FRONT_MAX - at + n, flags);
	barrier();
	r->seg.flags |= flags_of(sk, e);
	at += sizeof(*r);
	if (r->seg.flags & REC_CONN) {
		self->told = tell_time();
		fill_conn_told(sk, front_at(front, at));
	}
	at += r->seg.flags / REC_CONN % 2 * sizeof(struct rec_conn_told);
	if (r->seg.flags & REC_BEFORE)
		fill_before(sk, self, e, front_at(front, at));
	at += r->seg.flags / REC_BEFORE % 2 * sizeof(struct rec_before);
	if (r->seg.flags & REC_OWNER)
		fill_owner(skb, sk, &e->s, OWNER_HOW(e->dir, e->look), front_at(front, at));
	if (r->seg.flags & REC_TAIL)
		fill_tail(skb, front->byte + REC_FRONT_MAX - TAIL_BYTES);
	return REC_FRONT_MAX + n - r->hdr.size;
}

/*
 * The record at `at`, with its times, into the ring. Returns 0 if that is full. front: REC_FRONT_MAX
 * bytes, aligned to eight, `bytes` behind them, and REC_EXTRAS_ROOM more, which are not used. tp,
 * known: as for order_of().
 */
static __always_inline int put_front(const struct tcp_sock *tp, struct socket *sk,
				     struct emission *e, __u8 *front, __u32 at, const __u32 bytes,
				     __u16 kind, const bool known)
{
	struct rec *r = front_at((struct front *)front, at);
	struct direction *self = DIRECTION(sk, e->dir);
	__u32 size;

	r->hdr.kind = kind;
	r->hdr.order_ns = order_of(tp, sk, known);
	if (!e->ts_ns)
		e->ts_ns = r->hdr.order_ns;
	r->seg.ts_ns = e->ts_ns;
	/* Read from memory: a verifier before 6.5 would tell all values apart. */
	size = READ_ONCE(r->hdr.size);
	if (size > REC_FRONT_MAX + bytes)
		return 0; /* never: asked for by the verifier */
	if (!ring_put(r, size, REC_FRONT_MAX + bytes)) {
		self->told = tell_never();
		return 0;
	}
	e->reported = 1;
	self->progress = progress_time(e);
	return 1;
}

/* A record of n bytes behind front, into the ring, likewise. */
static __always_inline int emit_front(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				      __u8 *front, __u32 n, const __u32 bytes, __u16 kind)
{
	const __u32 at = fill_front(skb, sk, e, (struct front *)front, n);

	return put_front(0, sk, e, front, at, bytes, kind, false);
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

/* Captures total bytes from e->seq on, in as many records as it takes. Not static: verified once.
 */
__noinline int emit_all(struct __sk_buff *skb, struct socket *sk, struct emission *e, __u32 total)
{
	int ret;

	if (!sk || !e)
		return EMIT_FULL;
	e->total = total;
	if (total > SMALL_BYTES && !sk->wide && e->start && e->framed && !e->holes &&
	    sk->request_dir == 1 + !e->dir) {
		ret = emit_head(skb, sk, e);
		if (ret != EMIT_OTHER)
			return ret;
	}
	ret = EMIT_OPEN;
	for (int i = 0; i < PARTS_MAX && e->total; i++) {
		ret = emit_data(skb, sk, e);
		if (ret <= EMIT_NO_HEAD)
			break;
	}
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

/* The same into the ring, for a direction as it is. */
static __always_inline void emit_state(struct socket *sk, const int dir, __u32 flags)
{
	struct extent passed = DIRECTION(sk, dir)->passed;
	struct {
		struct rec_state state;
		__u8 room[16]; /* for ring_put() */
	} r;

	fill_state(&r.state, sk, dir, &passed, flags);
	__builtin_memset(r.room, 0, sizeof(r.room));
	r.state.rec.hdr.order_ns = bpf_ktime_get_ns();
	if (!ring_put(&r, sizeof(r.state), sizeof(r)))
		count_lost(sk, false);
}

struct rec_read {
	struct rec_state state;
	struct rec_owner owner;
	__u8 room[16]; /* for ring_put() */
};

/* A thread begins to read a request. Which socket it reads from may not have been told yet: data can
 * meet a listening socket. */
static __always_inline void emit_read(struct socket *sk, const struct owner *o, bool blocks)
{
	const __u32 size = offsetof(struct rec_read, room);
	struct extent passed;
	struct rec_read r;

	if (!sk || sk->request_dir != 1 + DIR_IN ||
	    (__s32)(sk->dir_out.ack - sk->dir_in.start) > 0) /* it is answered */
		return;
	passed = sk->dir_in.passed;
	fill_state(&r.state, sk, DIR_IN, &passed,
		   REC_READ | REC_OWNER | (blocks ? REC_BLOCKING : 0));
	r.state.rec.hdr.size = size;
	r.state.rec.seg.seq = o->turn;
	__builtin_memset(&r.owner, 0, sizeof(r.owner));
	__builtin_memset(r.room, 0, sizeof(r.room));
	r.owner.task = o->task;
	r.owner.source = o->source;
	r.state.rec.hdr.order_ns = bpf_ktime_get_ns();
	if (!ring_put(&r, size, sizeof(r)))
		COUNT(sk->conn.slot, records_lost); /* evidence only: no exchange is harmed */
}

#endif /* APPMON_EMIT_H */
