/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 5. Records into the ring. */
#ifndef APPMON_EMIT_H
#define APPMON_EMIT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "framing.h"
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

/* socket.wide: so much of a message is captured. */
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
	__u8 framed;   /* a head, or more of it: to be scanned */
	__u8 carry;    /* bytes in front that an earlier record has, too: a line that was cut */
	__u8 ends;     /* a message ends with the segment */
	__u8 pad[2];
	__u8 begin[4]; /* of a head: the first bytes of the method, or the status code */
	struct scan scan;
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
static __always_inline void reach_by_tcp(struct bpf_tcp_sock *tp, struct socket *sk,
					 struct extent *x)
{
	__u32 rcv_nxt;

	if (!tp)
		return;
	rcv_nxt = READ_ONCE(tp->rcv_nxt);
	if ((__s32)(rcv_nxt - x->next) > sk->dir[DIR_IN].fin) {
		widen(sk); /* the listening socket met it, say: there may be requests in it */
		x->next = x->whole = rcv_nxt;
		x->holes = HOLE_NONE;
	} else {
		extent_reach(x, rcv_nxt);
	}
}

static __always_inline bool is_first(const struct socket *sk, int dir)
{
	return !(dir == DIR_OUT ? sk->dir[DIR_IN].ts_ns : sk->dir[DIR_OUT].ts_ns);
}

static __always_inline bool is_followed(const struct socket *sk, int dir)
{
	return sk->request_dir == 1 + dir && sk->framing.phase != FRAMING_UNKNOWN;
}

/*
 * Before a record has its place in the ring: what the other direction publishes after that has its
 * records behind it.
 */
struct snapshot {
	__u32 other_next;
	__u32 other_whole;
	__u32 srtt_us;
};

static __always_inline void take_snapshot(struct __sk_buff *skb, struct socket *sk, __u8 dir,
					  struct snapshot *now)
{
	struct extent x = sk->dir[dir == DIR_OUT ? DIR_IN : DIR_OUT].passed;
	struct bpf_sock *ss = skb->sk;

	now->srtt_us = 0;
	/* Under the socket's lock TCP's word is exact, and once for an exchange is enough. */
	if (dir == DIR_OUT && ss) {
		struct bpf_tcp_sock *tp = bpf_tcp_sock(ss);

		if (tp) {
			sk->retrans = tp->total_retrans;
			now->srtt_us = tp->srtt_us >> 3; /* the kernel keeps it times eight */
		}
		reach_by_tcp(tp, sk, &x);
	}
	now->other_next = x.next;
	now->other_whole = x.whole;
}

static __always_inline void fill_seg(struct __sk_buff *skb, struct socket *sk, struct rec_seg *r,
				     struct emission *e, const struct snapshot *now)
{
	struct direction *other = &sk->dir[e->dir == DIR_OUT ? DIR_IN : DIR_OUT];
	struct direction *self = &sk->dir[e->dir == DIR_OUT ? DIR_OUT : DIR_IN];
	__u64 last;

	r->ts_ns = e->ts_ns;
	r->other_ts_ns = other->ts_ns;
	r->flags = e->flags | (e->dir == DIR_OUT ? REC_OUT : 0) | (sk->fresh ? REC_FRESH : 0) |
		   (e->s.flags & TCP_PSH ? REC_PSH : 0) | (e->s.flags & TCP_FIN ? REC_FIN : 0) |
		   (e->s.flags & TCP_RST ? REC_RST : 0) | (sk->closed ? REC_CLOSED : 0) |
		   (sk->suspect ? REC_WIDE : 0) | (sk->alone ? REC_ALONE : 0) |
		   (e->ends && !(e->flags & REC_PART) ? REC_ENDS : 0) |
		   (is_followed(sk, e->dir) ? REC_FOLLOWED : 0);
	r->seq = e->seq;
	r->len = e->len;
	r->start = self->start;
	r->whole = e->whole;
	r->other_next = now->other_next;
	r->other_whole = now->other_whole;
	r->lost = sk->lost;
	r->srtt_us = now->srtt_us;
	r->retrans = sk->retrans;
	r->dup = sk->dir[DIR_IN].dup;
	r->pad = 0;
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

/* There is pipelining for sure: from here on the reader gets everything. */
static __always_inline void pipelines(struct socket *sk)
{
	sk->suspect = 1;
	sk->wide = WIDE_ALWAYS;
	sk->framing.phase = FRAMING_UNKNOWN;
}

static __always_inline void frame_lost(struct socket *sk)
{
	sk->framing.phase = FRAMING_UNKNOWN;
	widen(sk);
}

/* The last bytes of a head that goes on with the next segment. b: n bytes of `bytes`. */
static __always_inline void keep_line(struct socket *sk, const __u8 *b, __u32 n, const __u32 bytes)
{
	__u32 keep = n < LINE_BYTES - 8 ? n : LINE_BYTES - 8, off = n - keep;

	barrier_var(off);
	if (off > bytes)
		return;
	UNROLL
	for (__u32 i = 0; i < LINE_BYTES; i += 8)
		*(__u64 *)(sk->line + i) = *(const __u64 *)(b + off + i);
	sk->line_len = keep;
}

/* Minimal request line and the empty line: anything shorter is empty lines in front of it. */
#define REQUEST_MIN 16

/* A request's head, or more of it: where is the next request due? */
static __always_inline void frame_request(struct __sk_buff *skb, struct socket *sk,
					  struct emission *e)
{
	struct framing *f = &sk->framing;
	__u32 end = e->s.seq + e->s.len;

	if (e->start)
		sk->head_only = e->begin[0] == 'H' && e->begin[1] == 'E' && e->begin[2] == 'A' &&
				e->begin[3] == 'D';
	f->due = e->seq + (e->scan.end ? e->scan.end : e->captured);
	f->left = e->scan.length;
	f->found = e->scan.found;
	/* Longer than the capture: where it ends nobody looks for. */
	f->phase = e->total || e->captured == e->len ? FRAMING_IN_HEAD : FRAMING_UNKNOWN;
	sk->chunked = e->scan.found & HEAD_CHUNKED;
	if (!e->scan.end)
		return;
	f->left = 0;
	sk->line_len = 0;
	switch (e->scan.found) {
	case 0:
	case HEAD_LENGTH:
		f->phase = FRAMING_HEAD;
		framing_pass(f, e->scan.found ? e->scan.length : 0);
		break;
	case HEAD_CHUNKED:
		f->phase = FRAMING_CHUNK;
		follow_chunks(skb, sk, e->s.payload - e->s.seq, end);
		e->ends = f->phase == FRAMING_HEAD && f->due == end;
		break;
	default:
		f->phase = FRAMING_UNKNOWN;
	}
	if (e->scan.end < REQUEST_MIN || f->phase == FRAMING_UNKNOWN)
		frame_lost(sk);
	else if (f->phase == FRAMING_HEAD && (__s32)(f->due - end) < 0)
		pipelines(sk); /* the next one is in this segment */
}

/* A response's head. Returns what emit_data() is to say. */
static __always_inline int frame_response(struct socket *sk, struct emission *e)
{
	const __u8 *status = e->begin;
	struct framing *f = &sk->reply;

	f->phase = FRAMING_UNKNOWN;
	if (!e->scan.end)
		return EMIT_OPEN;
	if (status[0] == '1') { /* interim (RFC 9110 section 15.2): another head comes */
		if (e->scan.end == e->captured)
			f->phase = FRAMING_IN_HEAD;
		return EMIT_OPEN;
	}
	f->due = e->seq + e->scan.end;
	f->left = 0;
	if (sk->head_only || (status[0] == '2' && status[1] == '0' && status[2] == '4') ||
	    (status[0] == '3' && status[1] == '0' && status[2] == '4')) {
		f->phase = FRAMING_HEAD;
	} else if (e->scan.found == HEAD_LENGTH) {
		f->phase = FRAMING_HEAD;
		framing_pass(f, e->scan.length);
	} else if (e->scan.found) {
		f->phase = e->scan.found == HEAD_CHUNKED ? FRAMING_CHUNK : FRAMING_UNKNOWN;
		return EMIT_OPEN;
	}
	return f->phase == FRAMING_HEAD || e->scan.end == e->len ? EMIT_ENDED : EMIT_OPEN;
}

/* Not static: verified once. */
__noinline int frame_head(struct __sk_buff *skb, struct socket *sk, struct emission *e, int request)
{
	if (!sk || !e)
		return EMIT_OPEN;
	if (!request)
		return frame_response(sk, e);
	frame_request(skb, sk, e);
	return EMIT_OPEN;
}

/* bytes: one of REC_BYTES_*, a constant after inlining. */
static __always_inline int emit_sized(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				      const __u32 bytes)
{
	__u32 n = e->captured, look = LOOK_NO, carry = e->carry;
	struct snapshot now;
	struct rec_data *r;
	int ret = EMIT_OPEN;
	bool request;

	take_snapshot(skb, sk, e->dir, &now);
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
	if (bpf_skb_load_bytes(skb, e->s.payload + (e->seq - e->s.seq), r->bytes + carry, n)) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return EMIT_NO_HEAD;
	}
	if (!e->part && !e->carry) {
		look = look_at(*(__u32 *)r->bytes, n);
		if (e->look && !(look & e->look)) {
			bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
			return EMIT_NO_HEAD;
		}
		if (look == LOOK_COMMAND && !sk->confirmed) {
			sk->wide = WIDE_ALWAYS; /* where its values end the reader tells */
			e->framed = 0;
			look = LOOK_REQUEST;
		}
		if (!e->start)
			look = n >= 8 ? look_strict(r->bytes) : look == LOOK_BLANK ? LOOK_NO : look;
		if (look & look_of(sk, e->dir))
			e->flags |= REC_START;
		/* A request behind another that has no answer yet. */
		if (!e->start && n >= 8 && look == LOOK_REQUEST && sk->request_dir == 1 + e->dir &&
		    !sk->answered)
			suspect(sk);
		/* After an interim response the final one need not follow a request. */
		if (look == LOOK_RESPONSE && sk->reply.phase == FRAMING_IN_HEAD)
			e->framed = 1;
		/* Which of the two a few letters do not tell. */
		e->look = look && n < 4 ? LOOK_EITHER : look;
	}
	if (sk->request_dir)
		request = sk->request_dir == 1 + e->dir;
	else /* who speaks first asks */
		request = look == LOOK_REQUEST || (look && sk->fresh && is_first(sk, e->dir));
	if (e->start && !(look & (request ? LOOK_REQUEST : LOOK_RESPONSE)))
		e->framed = 0;
	e->captured += e->carry;
	e->seq -= e->carry;
	e->len += e->carry;
	if (e->framed) {
		__builtin_memcpy(e->begin, r->bytes + (request ? 0 : 9), sizeof(e->begin));
		e->scan.length = e->start ? 0 : sk->framing.left;
		e->scan.found = e->start ? 0 : sk->framing.found;
		scan_head(r->bytes, e->captured, bytes, &e->scan);
		if (request && !e->scan.end)
			keep_line(sk, r->bytes, e->captured, bytes);
		ret = frame_head(skb, sk, e, request);
	}
	if (!request || sk->framing.phase != FRAMING_IN_HEAD)
		e->framed = 0;
	e->start = 0;
	if ((sk->wide || (request && sk->chunked)) && e->captured < e->len &&
	    e->part + 1 < PARTS_MAX)
		e->flags |= REC_PART;
	r->hdr.version = REC_VERSION;
	r->hdr.kind = REC_DATA;
	r->hdr.size = sizeof(*r) + bytes + SCAN_SLACK;
	r->conn = sk->conn;
	fill_seg(skb, sk, &r->seg, e, &now);
	fill_owner(skb, sk, &e->s, OWNER_HOW(e->dir, look), &r->owner);
	r->captured = e->captured;
	r->pad = 0;
	bpf_ringbuf_submit(r, submit_flags());
	return ret;
}

static __always_inline int emit_any(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	__u32 need = e->captured + e->carry;

	if (need <= REC_BYTES_0)
		return emit_sized(skb, sk, e, REC_BYTES_0);
	if (need <= REC_BYTES_1)
		return emit_sized(skb, sk, e, REC_BYTES_1);
	if (need <= REC_BYTES_2)
		return emit_sized(skb, sk, e, REC_BYTES_2);
	if (need <= REC_BYTES_3)
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
	e->carry = e->framed && !e->start ? sk->line_len & (LINE_BYTES - 1) : 0;
	e->captured = REC_BYTES_MAX - e->carry;
	if (e->captured > e->total)
		e->captured = e->total;
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
	e->flags &= ~(REC_FLIP | REC_START | REC_BEGINS);
	if (sk->wide || (!e->part && (e->flags & REC_PART)))
		e->total = e->len; /* it turned out only now */
	e->part++;
	return ret;
}

static __noinline void emit_progress(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	struct rec_progress *r;
	struct snapshot now;

	take_snapshot(skb, sk, e->dir, &now);
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		count_lost(sk, false);
		return;
	}
	r->hdr.version = REC_VERSION;
	r->hdr.kind = REC_PROGRESS;
	r->hdr.size = sizeof(*r);
	r->conn = sk->conn;
	fill_seg(skb, sk, &r->seg, e, &now);
	fill_owner(skb, sk, &e->s, OWNER_HOW(e->dir, LOOK_NO), &r->owner);
	bpf_ringbuf_submit(r, submit_flags());
}

/* A progress record without a packet: where the directions are that `passed` tells of. */
static __always_inline void fill_state(struct rec_progress *r, const struct socket *sk,
				       const int dir, const struct extent passed[2], __u32 flags)
{
	const struct direction *self = &sk->dir[dir], *other = &sk->dir[!dir];

	__builtin_memset(r, 0, sizeof(*r));
	r->hdr.version = REC_VERSION;
	r->hdr.kind = REC_PROGRESS;
	r->hdr.size = sizeof(*r);
	r->conn = sk->conn;
	r->seg.ts_ns = self->ts_ns;
	r->seg.other_ts_ns = other->ts_ns;
	r->seg.flags = flags | (dir == DIR_OUT ? REC_OUT : 0) | (sk->fresh ? REC_FRESH : 0) |
		       (is_followed(sk, dir) ? REC_FOLLOWED : 0);
	r->seg.seq = passed[dir].next;
	r->seg.start = self->start;
	r->seg.whole = passed[dir].whole;
	r->seg.other_next = passed[!dir].next;
	r->seg.other_whole = passed[!dir].whole;
	r->seg.lost = sk->lost;
	r->seg.dup = sk->dir[DIR_IN].dup;
}

/* A thread begins to read a request. */
static __always_inline void emit_read(struct socket *sk, const struct owner *o, bool blocks)
{
	struct extent passed[2];
	struct rec_progress *r;

	if (!sk || sk->request_dir != 1 + DIR_IN || sk->answered)
		return;
	passed[DIR_IN] = sk->dir[DIR_IN].passed;
	passed[DIR_OUT] = sk->dir[DIR_OUT].passed;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		COUNT(sk->conn.slot, records_lost); /* evidence only: no exchange is harmed */
		return;
	}
	fill_state(r, sk, DIR_IN, passed, REC_READ | (blocks ? REC_BLOCKING : 0));
	r->seg.seq = o->turn;
	r->owner.task = o->task;
	r->owner.source = o->source;
	bpf_ringbuf_submit(r, submit_flags());
}

#endif /* APPMON_EMIT_H */
