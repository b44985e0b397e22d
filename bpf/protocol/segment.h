/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Segments of connections whose protocol has frames: keeps the place in the stream over turns, holes
 * and the reader's word, and writes the pieces that walk.h picks. That it has frames is found out in
 * start.h.
 */
#ifndef APPMON_SEGMENT_H
#define APPMON_SEGMENT_H

#include "emit.h"
#include "protocol/start.h"
#include "protocol/walk.h"

/* Records that one segment takes at most: see PARTS_MAX. */
#define FRAMES_PARTS_MAX (8 * 65536 / OUT_BYTES + 8)

/* Turns in a row that begin with no frame, until the connection is given up. */
#define ODD_TURNS_MAX 8

/* A sender can be preempted inside a program, and interrupted: who comes third does without. */
#define WALKS 3

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WALKS);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

/* The reader's word. Looked up only where the place in the stream is lost. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, VERDICTS);
	__type(key, __u64);
	__type(value, struct verdict);
} verdicts SEC(".maps");

static __always_inline __u32 frame_side(const struct socket *sk, int dir)
{
	return !sk->request_dir || sk->request_dir == 1 + dir ? SIDE_REQUEST : SIDE_RESPONSE;
}

/* Where does a frame begin in this segment, in a direction whose place was lost? */
static __always_inline void find_frames(struct __sk_buff *skb, struct socket *sk,
					struct emission *e, struct follow *f,
					const struct direction *self)
{
	const struct row *row = row_at(sk->row);
	__u32 at = e->s.payload + (e->seq - e->s.seq), side = frame_side(sk, e->dir);
	/* Where sides do not take turns one of them is proof enough. */
	__u32 needed = row->turns ? 1U << (e->dir & 1) : SURE_BOTH;
	int least = row->turns || !sk->sure ? PROBE_EXACT + 2 : PROBE_EXACT + 1;
	__u64 cookie = sk->conn.cookie; /* old kernels read keys from the stack only */
	bool turn = row->turns && (e->flags & REC_FLIP) && e->seq == self->turn;
	struct verdict *v;
	int found;

	if (sk->switched && side == SIDE_RESPONSE && e->seq == sk->reply_due) {
		follow_found(f, e->seq, e->seq); /* behind the 101 */
		return;
	}
	found = probe_frames(skb, at, e->len, sk->row, side);
	if (found >= least || (found == PROBE_MAX && !row->turns) || (turn && found >= 0)) {
		/* What was copied before the reader has cut itself. */
		if (!f->copy_left)
			f->flags |= FOLLOW_UNWALKED;
		follow_found(f, e->seq, e->seq);
		f->odd = 0;
		sk->sure |= 1 << (e->dir & 1);
		return;
	}
	if (turn)
		follow_odd(f);
	v = bpf_map_lookup_elem(&verdicts, &cookie);
	if (v && v->ignore) {
		sk->speaks = SPEAKS_OTHER;
	} else if (v && v->known[e->dir & 1]) {
		__u32 due = v->due[e->dir & 1];

		v->known[e->dir & 1] = 0;
		/* Not what has passed meanwhile. The reader has cut all before it. */
		if ((__s32)(due - e->seq) >= 0) {
			follow_found(f, due, e->seq);
			f->flags &= ~FOLLOW_UNWALKED;
		}
		f->odd = 0;
		sk->sure |= 1 << (e->dir & 1);
	} else if (f->odd >= ODD_TURNS_MAX || ((turn || !f->copy_left) && !(sk->sure & needed))) {
		e->flags |= REC_NOT_HTTP; /* follow_segment() tells */
		sk->speaks = SPEAKS_OTHER;
		COUNT(sk->conn.slot, skipped);
	} else if (!f->copy_left && (e->flags & REC_FLIP)) {
		/* Long bodies go on; but a head may come. */
		f->copy_left = FOLLOW_TURN_MAX;
		f->flags |= FOLLOW_UNWALKED;
	}
}

/* A segment that comes early, behind a hole, or late, into one: e->seq is `whole` then. */
static __always_inline void meet_hole(struct follow *f, const struct row *row,
				      const struct emission *e, __u32 whole, __u32 end)
{
	if (f->phase == FOLLOW_FRAME) {
		if (!f->have && (__s32)(f->due - end) >= 0)
			f->copy_left = 0; /* a long frame passes */
		else if (f->have || f->copy_left || (__s32)(f->due - e->seq) < 0)
			follow_late(f);
		return;
	}
	if ((e->flags & REC_FLIP) && f->copy_left < FOLLOW_WIDE_MAX)
		f->copy_left = FOLLOW_WIDE_MAX;
	if (e->seq != whole)
		return;
	/* The reader goes on with what comes late, and here, too, where each frame is told. */
	if (f->copy_left < e->len)
		f->copy_left = e->len;
	if ((f->flags & FOLLOW_LATE) && !row->turns && (__s32)(f->due - e->seq) >= 0 &&
	    (__s32)(f->due - end) < 0) {
		f->phase = FOLLOW_FRAME;
		f->copy_left = 0;
		f->flags &= ~(FOLLOW_UNWALKED | FOLLOW_LATE | FOLLOW_UNTOLD);
	}
}

/* Behind a segment that came late: others had passed, in which the next frame may begin. */
static __always_inline void leave_hole(struct follow *f, const struct emission *e, __u32 next)
{
	if (f->phase != FOLLOW_FRAME || (__s32)(next - (e->s.seq + e->s.len)) <= 0)
		return;
	if ((__s32)(f->due - next) < 0)
		follow_late(f);
	else
		f->copy_left = 0;
}

/*
 * New bytes of a direction. Returns 1 + the number of the struct walk that is theirs now, if there
 * is anything to walk, else 0. Not static: verified once.
 */
__noinline int begin_walk(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	struct follow *f;
	struct walk *w = 0;
	__u32 end, whole, i;

	if (!frames || !sk || !e)
		return 0;
	f = follow_of(sk, e->dir);
	end = e->s.seq + e->s.len;
	e->seq = e->s.seq;
	whole = DIRECTION(sk, e->dir)->passed.whole;
	if ((__s32)(e->seq - whole) < 0)
		e->seq = whole;
	e->len = end - e->seq;
	if ((__s32)e->len <= 0)
		return 0;
	if (e->flags & REC_FLIP) {
		f->flags |= FOLLOW_FIRST;
		/* A byte alone, before any frame: the answer to SSLRequest. */
		if (f->phase == FOLLOW_FRAME && f->have == 1 && (f->flags & FOLLOW_HELLO) &&
		    row_at(sk->row)->single) {
			f->have = 0;
			f->due++;
		}
	}
	if (e->holes)
		meet_hole(f, row_at(sk->row), e, whole, end);
	else if (f->phase != FOLLOW_FRAME)
		find_frames(skb, sk, e, f, DIRECTION(sk, e->dir));
	if (sk->speaks != SPEAKS_FRAMES || (f->phase == FOLLOW_WIDE && !f->copy_left))
		return 0;
	/* A long frame passes. */
	if (f->phase == FOLLOW_FRAME && !f->have && !f->copy_left && (__s32)(f->due - end) >= 0)
		return 0;
	for (i = 0; i < WALKS; i++) {
		__u32 key = i;

		w = bpf_map_lookup_elem(&walks, &key);
		if (w && !__sync_lock_test_and_set(&w->busy, 1))
			break;
	}
	if (!w || i == WALKS) {
		follow_lost(f);
		count_lost(sk, false);
		return 0;
	}
	w->payload = e->s.payload;
	w->seq = e->s.seq;
	w->at = w->told = e->seq - e->s.seq;
	w->end = e->s.len;
	w->capture = sk->capture;
	w->row = sk->row;
	w->side = frame_side(sk, e->dir);
	return 1 + i;
}

/*
 * As much of a segment as one record has room for, in the struct walk that begin_walk() has found.
 * 1: there is more. Not static: verified once.
 */
__noinline int walk_on(struct __sk_buff *skb, struct socket *sk, __u32 dir, __u32 key)
{
	struct walk *w;

	if (!frames || !sk)
		return 0;
	w = bpf_map_lookup_elem(&walks, &key);
	return w ? walk_frames(skb, follow_of(sk, dir), w) : 0;
}

/* Tells what walk_on() has found. Not static: verified once. */
__noinline int tell_walk(struct __sk_buff *skb, struct socket *sk, struct emission *e, __u32 key,
			 int more)
{
	struct walk *w;

	if (!frames || !sk || !e)
		return 0;
	w = bpf_map_lookup_elem(&walks, &key);
	if (!w)
		return 0;
	if (w->count) {
		/* What was passed over stands in front of the pieces, or behind the last ones. */
		e->seq = e->s.seq + w->told;
		w->told = more ? w->at : e->s.len;
		e->len = e->s.seq + w->told - e->seq;
		e->captured = more ? e->len : 0;
		if (more)
			e->flags |= REC_PART;
		if (!emit_front(skb, sk, e, w->front, w->len, sizeof(w->out), REC_FRAMES)) {
			follow_of(sk, e->dir)->flags |= FOLLOW_UNWALKED;
			follow_of(sk, e->dir)->flags &= ~FOLLOW_LATE;
			count_lost(sk, false);
		}
		e->part = 1;
		e->flags &= ~(REC_FLIP | REC_START | REC_PART);
	}
	if (more)
		return 0;
	e->seq = e->s.seq + w->told;
	e->len = e->s.len - w->told;
	/* A record of what the segment begins with does not tell of its end. */
	if (e->len)
		e->reported = 0;
	*(volatile __u32 *)&w->busy = 0;
	if (e->holes)
		leave_hole(follow_of(sk, e->dir), e, DIRECTION(sk, e->dir)->passed.next);
	return 0;
}

enum { FRAMES_NO, FRAMES_UNTOLD, FRAMES_TOLD };

/*
 * A segment where HTTP/1 or RESP is not known to be spoken. FRAMES_NO: it is not of a protocol with
 * frames. UNTOLD: no record tells of the segment's end. Not static: verified once.
 */
__noinline int follow_segment(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	int walk, more = 1;

	if (!frames || !sk || !e)
		return FRAMES_NO;
	if (sk->speaks == SPEAKS_UNKNOWN &&
	    !((sk->protocols & ASKED_FRAMES) && detect_frames(skb, sk, e)))
		return FRAMES_NO;
	if (sk->speaks == SPEAKS_HTTP && !turn_to_http2(skb, sk, e))
		return FRAMES_NO;
	walk = begin_walk(skb, sk, e);
	/* Here, where begin_walk() takes no stack any more. */
	if (e->flags & REC_NOT_HTTP)
		emit_progress(skb, sk, e);
	if (walk <= 0)
		return FRAMES_UNTOLD;
	for (int i = 0; i < FRAMES_PARTS_MAX && more; i++) {
		/* The last one frees it. */
		more = walk_on(skb, sk, e->dir, walk - 1) && i < FRAMES_PARTS_MAX - 1;
		tell_walk(skb, sk, e, walk - 1, more);
	}
	return e->len ? FRAMES_UNTOLD : FRAMES_TOLD;
}

#endif /* APPMON_SEGMENT_H */
