/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * 15. Most of all packets: a request, or a response, that is one segment, begins where the message
 * before it ended, and comes in its turn on a connection of which all is known. These go a
 * shorter way, with the same outcome: observe_packet() asks for all that can be else. A CPU that
 * serves requests has that code in no near cache, so it costs by its size.
 *
 * The tests' kernel sends each packet that goes this way the other one, too, and compares the
 * records and all that is remembered.
 */
#ifndef APPMON_HEALTHY_H
#define APPMON_HEALTHY_H

#include "emit.h"
#include "pipelining.h"
#include "progress.h"
#include "track.h"
#include "window.h"

/* Requests are looked at so far. Of a response its head is captured, if all of it is longer than
 * SMALL_BYTES. */
#define HEALTHY_BYTES 2048

/*
 * A response that is one short segment is not scanned: all of it is captured, and the reader knows
 * where it ends. It is believed to be whole until more of it comes. On a connection where that has
 * been so responses are scanned from then on.
 */
static __always_inline bool is_believed(const struct socket *sk, const struct emission *e)
{
	return !e->request && e->s.len <= SMALL_BYTES && !sk->in_parts;
}

/*
 * More comes from the server, whose responses were at next. One was whole if the server has received
 * more since it sent that, and another one begins here. Else not: the reader gets what follows, as
 * of any response whose end is not known. Not static: verified once.
 */
__noinline int recall_reply(struct __sk_buff *skb, struct socket *sk, struct emission *e,
			    __u32 next, __u32 turns)
{
	struct direction *self;

	if (!sk || !e) /* never: asked for by the verifier */
		return 0;
	self = DIRECTION(sk, e->dir);
	if (!turns && next - self->start <= SMALL_BYTES)
		sk->in_parts = 1;
	if (sk->reply_phase != FRAMING_WHOLE)
		return 0;
	if (turns && e->s.seq == next && peek_strict(skb, sk, &e->s, LOOK_RESPONSE))
		sk->reply_phase = FRAMING_HEAD;
	else
		sk->reply_phase = FRAMING_UNKNOWN;
	return 0;
}

/* The response before has ended at seq, or is believed to. */
static __always_inline bool reply_ended(const struct socket *sk, __u32 seq)
{
	return (sk->reply_phase == FRAMING_HEAD || sk->reply_phase == FRAMING_WHOLE) &&
	       (__s32)(sk->reply_due - seq) <= 0;
}

/* So far as is known without its bytes. */
static __always_inline bool is_healthy(struct bpf_sock *ss, const struct socket *sk,
				       const struct direction *self, struct emission *e,
				       const int dir)
{
	const struct direction *other = DIRECTION(sk, !dir);
	const struct segment *s = &e->s;

	/* In few branches. */
	if ((sk->speaks ^ SPEAKS_HTTP) | (sk->confirmed ^ CONFIRMED_HTTP) | sk->other_flips |
	    sk->closed | sk->wide | sk->suspect | sk->alone | sk->switched | self->passed.holes |
	    (self->passed.next ^ s->seq) | !self->ts_ns |
	    ((s->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK)) ^ (TCP_PSH | TCP_ACK)))
		return false;
	if (s->len < REQUEST_MIN || (s->len > SMALL_BYTES ? SMALL_BYTES + 1 : s->len) > sk->capture)
		return false;
	e->ack = acked(ss, s, dir, self->ack);
	if ((__s32)(e->ack - self->ack) <= 0)
		return false;
	if (sk->request_dir == 1 + dir)
		return s->len <= HEALTHY_BYTES && s->len <= sk->capture &&
		       sk->framing.phase == FRAMING_HEAD && sk->framing.due == s->seq &&
		       !sk->framing.left && !sk->chunked && !sk->line_len &&
		       (dir == DIR_IN ? is_answered(sk, e)
				      : (__s32)(other->passed.next - e->ack) <= 0 &&
						(__s32)(other->begun_ack - sk->request_start) > 0 &&
						reply_ended(sk, other->passed.next));
	return sk->request_dir && reply_ended(sk, s->seq) && !sk->head_only &&
	       (self->window != WINDOW_HEAD || s->seq - self->start >= STATUS_LINE_MIN);
}

/* A status line, of no interim response. */
static __always_inline bool is_final(const __u8 *b)
{
	return *(const __u32 *)b == FIRST('H', 'T', 'T', 'P') && b[4] == '/' && b[8] == ' ' &&
	       b[9] >= '2';
}

/* Such a response has no body: see frame_response(). */
static __always_inline bool is_bodiless(const __u8 *b)
{
	return (b[9] == '2' || b[9] == '3') && b[10] == '0' && b[11] == '4';
}

static __always_inline bool is_method(const __u8 *b)
{
	const __u32 first = *(const __u32 *)b;

	return first == FIRST('G', 'E', 'T', ' ') || first == FIRST('P', 'O', 'S', 'T');
}

/* Is the segment one whole message, or believed to be? */
static __always_inline bool is_whole(const struct socket *sk, struct draft *d,
				     const struct emission *e)
{
	struct scan *scan = &d->scan;

	if (e->request ? !is_method(d->bytes) : !is_final(d->bytes))
		return false;
	if (is_believed(sk, e))
		return true;
	if (!e->request && is_bodiless(d->bytes))
		return false;
	scan->length = 0;
	scan->found = 0;
	scan_head(d->bytes, e->captured, HEALTHY_BYTES, scan);
	return scan->end >= REQUEST_MIN && scan->end + scan->length == e->s.len &&
	       (scan->found == HEAD_LENGTH || (e->request && !scan->found));
}

/* Of what arrives: can it have, is the answer before it read, and is it the next that TCP expects? */
static __always_inline bool is_next(struct bpf_sock *ss, const struct socket *sk,
				    const struct emission *e)
{
	struct bpf_tcp_sock *tp;

	if (e->written && e->written != e->ack)
		return false;
	if (sk->fresh)
		return true;
	tp = ss ? bpf_tcp_sock(ss) : 0;
	return tp && (__s32)(READ_ONCE(tp->rcv_nxt) - e->seq) <= 0;
}

/* The record. Most stand alone: the reader knows the connection, and all that was before. Of flags_of()
 * these are what is_healthy() leaves open. */
static __always_inline int emit_healthy(struct __sk_buff *skb, struct socket *sk,
					struct emission *e, struct draft *d)
{
	const struct direction *self = DIRECTION(sk, e->dir);
	const struct tcp_sock *tp = tcp_sending(skb, sk, e);
	__u32 at = REC_FRONT_MAX - sizeof(struct rec), flags;

	if ((self->last | self->pending | sk->lost) || tells_conn(sk, self, tell_time())) {
		at = fill_front(skb, sk, e, (struct front *)d->front, e->captured);
	} else {
		flags = e->flags | e->dir * REC_OUT | sk->fresh * REC_FRESH | REC_PSH | REC_HEARD |
			e->request * REC_FOLLOWED;
		if (tells_owner(e)) {
			at -= sizeof(struct rec_owner);
			flags |= REC_OWNER;
			fill_owner(skb, sk, &e->s, OWNER_HOW(e->dir, e->look),
				   (void *)(d->front + at + sizeof(struct rec)));
		}
		fill_rec(sk, tp, e, (struct rec *)(d->front + at), REC_FRONT_MAX - at + e->captured,
			 flags);
	}
	return put_front(tp, sk, e, d->front, at, REC_BYTES_MAX, REC_DATA, true);
}

/* Returns 1 if the segment is told, and 0 if it has to go the other way. Not static: verified once. */
__noinline int pass_healthy(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	struct direction *self;
	__u32 n, start, due = 0, phase = 0;
	struct draft *d;

	if (!sk || !e) /* never: asked for by the verifier */
		return 0;
	d = draft_claim(&drafts);
	if (!d)
		return 0;
	/* The sender's CPU has had that line: it comes while the bytes are looked at. */
	if (e->dir == DIR_IN && skb->sk)
		see_written(skb->sk, e);
	self = DIRECTION(sk, e->dir);
	e->request = sk->request_dir == 1 + e->dir;
	n = e->s.len;
	if (!e->request && n > SMALL_BYTES)
		n = SMALL_BYTES;
	e->captured = n;
	barrier_var(n);
	n = ((n - 1) & (HEALTHY_BYTES - 1)) + 1;
	if (bpf_skb_load_bytes(skb, e->s.payload, d->bytes, n) || !is_whole(sk, d, e) ||
	    (e->dir == DIR_IN && !is_next(skb->sk, sk, e)))
		goto out;
	if (e->captured < e->s.len)
		e->captured = d->scan.end;
	start = self->start;
	self->start = e->seq;
	self->marks |= MARK_HEARD;
	e->whole = e->s.seq + e->s.len;
	e->look = e->request ? LOOK_REQUEST : LOOK_RESPONSE;
	e->flags = REC_FLIP | REC_START | (e->request ? REC_BEGINS : 0);
	if (!e->request) { /* its line is the sender's */
		due = sk->reply_due;
		phase = sk->reply_phase;
		sk->reply_due = e->whole;
		sk->reply_phase = is_believed(sk, e) ? FRAMING_WHOLE : FRAMING_HEAD;
	}
	if (!emit_healthy(skb, sk, e, d)) {
		self->start = start;
		if (!e->request) {
			sk->reply_due = due;
			sk->reply_phase = phase;
		}
		e->flags = e->look = 0;
		goto out;
	}
	self->turn = e->seq;
	self->ack = self->begun_ack = e->ack;
	self->burst = PROGRESS_BURST;
	self->window = e->request || sk->reply_phase == FRAMING_WHOLE ? WINDOW_HEAD : WINDOW_CLOSED;
	self->last = 0;
	self->ts_ns = e->ts_ns;
	self->pending = PENDING_NO;
	if (e->request) {
		sk->request_start = e->seq;
		sk->framing.due = e->whole;
		sk->framing.found = d->scan.found;
		if (sk->head_only)
			sk->head_only = 0;
	}
	self->passed.next = self->passed.whole = e->whole;
out:
	draft_release(&d->busy);
	return e->reported;
}

#endif /* APPMON_HEALTHY_H */
