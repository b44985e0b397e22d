/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * 14. What of a segment is captured: the first bytes ("window") of each message, a message
 * being what follows when a direction first sends after the other one, or a segment that begins like
 * a message. Anything else is described by sequence numbers only. The reader knows from the heads
 * where bodies end, so that a needless capture costs time but never a wrong result.
 */
#ifndef APPMON_WINDOW_H
#define APPMON_WINDOW_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"
#include "pipelining.h"
#include "progress.h"
#include "proxy.h"

/* "HTTP/1.1 200" and the CRLF that ends it: a response that is shorter goes on. */
#define STATUS_LINE_MIN 14

/* Flips in a row that do not look like HTTP, on a connection met in the middle, until it is
 * ignored. */
#define OTHER_FLIPS_MAX 8

/* socket.wide: so much of a message is captured. Where messages are known to follow each other it
 * is as much as can be counted, but not of a tunnel, nor of the stream to a replica. */
#define WIDE_WINDOW (1 << 20)
#define WIDE_ALWAYS_WINDOW (1 << 30)
/* Behind 101, as much as an HTTP/2 server may send before the client's preface: 65,535 bytes of data
 * (RFC 9113 section 6.9.2), and heads. */
#define SWITCHED_WINDOW (1 << 17)

/* Who is silent for so long has sent all of a message. */
#define QUIET_NS 2000000000ULL

/*
 * The sender has received more since it sent last, or it sends for the first time. next: how far its
 * direction was. Not static: verified once.
 */
__noinline int begin_turn(struct socket *sk, struct direction *self, struct emission *e, __u32 next)
{
	__u32 begun;

	if (!sk || !self || !e) /* never: asked for by the verifier */
		return 0;
	if ((__s32)(e->ack - self->ack) > 0) {
		self->ack = e->ack;
		self->marks |= MARK_HEARD;
	}
	/* The listening socket met some, on another CPU, while this one was made. */
	if (e->dir == DIR_OUT && !self->ts_ns && sk->fresh &&
	    (__s32)(e->ack - sk->dir_in.passed.next) > 0)
		widen(sk);
	if (sk->request_dir == 1 + !e->dir)
		look_for_overtaking(sk, self, next);
	begun = self->start;
	/* Not e->s.seq: an earlier segment may be late. */
	self->start = self->turn = next;
	/* A head that is not at its end goes on, whatever it looks like. */
	if (self->window != WINDOW_HEAD ||
	    (sk->request_dir != 1 + e->dir && next - begun >= STATUS_LINE_MIN))
		self->window = WINDOW_NEW;
	self->burst = PROGRESS_BURST;
	/* Not for pieces of a head that answers to others come between. */
	if (sk->wide && sk->wide != WIDE_ALWAYS && sk->request_dir == 1 + e->dir &&
	    sk->framing.phase != FRAMING_IN_HEAD && !--sk->wide)
		sk->suspect = 0;
	return 0;
}

static __always_inline enum look peek(struct __sk_buff *skb, const struct socket *sk,
				      const struct segment *s)
{
	__u32 first = 0, n = s->len < sizeof(first) ? 1 : sizeof(first);
	enum look look;

	bpf_skb_load_bytes(skb, s->payload, &first, n);
	look = look_asked(sk, look_at(first, n), LOOK_BYTE(first, 1));
	if (look & LOOK_RESP)
		return look & LOOK_REQUEST ? LOOK_REQUEST : LOOK_RESPONSE;
	return look;
}

/* Inside a message: a body of upper-case text is no reason to copy it. */
static __always_inline bool peek_strict(struct __sk_buff *skb, const struct socket *sk,
					const struct segment *s, enum look wanted)
{
	__u8 b[8] __attribute__((aligned(4)));
	enum look look;

	if (s->len < sizeof(b)) {
		/* Too short to tell: a letter will do, the end of a chunk will not. */
		look = peek(skb, sk, s);
		return look != LOOK_BLANK && (look & wanted);
	}
	if (bpf_skb_load_bytes(skb, s->payload, b, sizeof(b)))
		return false;
	return look_strict(b) & wanted;
}

static __always_inline void message_began(struct socket *sk, const struct emission *e,
					  enum look look)
{
	const int dir = e->dir;

	/* What does not change is not written: see struct socket. */
	if (sk->speaks != SPEAKS_HTTP)
		sk->speaks = SPEAKS_HTTP;
	if (sk->other_flips)
		sk->other_flips = 0;
	/* The end that sends first is the client. */
	if (!sk->request_dir && sk->fresh && is_first(sk, dir))
		sk->request_dir = 1 + dir;
	if (!sk->request_dir) {
		if (look == LOOK_REQUEST)
			sk->request_dir = 1 + dir;
		else if (look == LOOK_RESPONSE) {
			sk->request_dir = 1 + !dir;
			sk->request_start = e->ack - 1; /* unseen */
		}
	}
	if (look == LOOK_RESPONSE && !sk->confirmed)
		sk->confirmed = CONFIRMED_HTTP;
	DIRECTION(sk, dir)->begun_ack = e->ack;
	if (sk->request_dir == 1 + dir)
		sk->request_start = DIRECTION(sk, dir)->start;
}

/* A record of TLS (RFC 8446 section 5.1), such as the alert that a client gets for its mistake. */
static __always_inline bool is_tls(struct __sk_buff *skb, const struct segment *s)
{
	__u8 b[2] = {};

	return s->len >= sizeof(b) && !bpf_skb_load_bytes(skb, s->payload, b, sizeof(b)) &&
	       b[0] >= 20 && b[0] <= 23 && b[1] == 3;
}

/* Bytes that had to look like HTTP did not. */
static __always_inline void message_is_other(struct __sk_buff *skb, struct socket *sk,
					     struct emission *e)
{
	if (sk->confirmed) {
		/* A response goes on after bytes of a request: that can be the next one. A tunnel
		 * does this, too, but for ever. */
		if (sk->request_dir != 1 + e->dir && sk->other_flips < OTHER_FLIPS_MAX) {
			sk->other_flips++;
			suspect(sk);
		}
		return;
	}
	/* A request alone is no proof: many protocols begin with an upper-case word. So does a
	 * PROXY header, behind which TLS may begin. */
	if (sk->speaks == SPEAKS_HTTP && sk->request_dir == 1 + e->dir &&
	    (sk->proper || !is_answered(sk, e)))
		return;
	/* Its line is better proof: the answer may be of HTTP/0.9, or of a relative such as ICY. */
	if (sk->proper && sk->request_dir == 1 + !e->dir && sk->other_flips < OTHER_FLIPS_MAX &&
	    !is_tls(skb, &e->s)) {
		sk->other_flips++;
		sk->reply_phase = FRAMING_UNKNOWN;
		DIRECTION(sk, e->dir)->begun_ack = e->ack;
		return;
	}
	if (!sk->fresh && ++sk->other_flips < OTHER_FLIPS_MAX)
		return;
	if (sk->speaks == SPEAKS_HTTP) {
		e->flags |= REC_NOT_HTTP;
		emit_progress(skb, sk, e);
	}
	sk->speaks = SPEAKS_OTHER;
	COUNT(sk->conn.slot, skipped);
}

static __always_inline void window_full(struct __sk_buff *skb, struct socket *sk,
					struct emission *e, bool start)
{
	enum look wanted = look_of(sk, e->dir), look;

	if (start)
		look = peek(skb, sk, &e->s) & wanted;
	else if (e->s.len < 8) /* part of a head, most likely */
		look = LOOK_NO;
	else
		look = peek_strict(skb, sk, &e->s, wanted) ? wanted : LOOK_NO;
	if (look)
		message_began(sk, e, look);
	if (look == LOOK_REQUEST && !(e->flags & REC_FLIP))
		suspect(sk); /* so that the reader knows of pipelining */
	if (sk->request_dir == 1 + e->dir)
		frame_lost(sk);
	count_lost(sk, look == LOOK_REQUEST);
}

enum { PART_UNKNOWN, PART_BODY, PART_HEAD, PART_BEGIN };

/*
 * A chunk-size line has not come yet, or not in its turn. The reader gets all that comes from here
 * on, and where that line stands: it can go on. Not in the middle of a line, of which it would lack
 * the begin.
 */
static __always_inline void hand_over_chunks(struct socket *sk, struct emission *e)
{
	struct direction *self = DIRECTION(sk, e->dir);

	if (!sk->line_len)
		e->flags |= REC_DUE;
	self->start = self->passed.whole - 1; /* the window's begin, and no message's */
	frame_lost(sk);
}

/* What of a request a segment is, from e->seq on. Not static: verified once. */
__noinline int request_part(struct __sk_buff *skb, struct socket *sk, struct emission *e, __u32 end)
{
	struct framing *f;

	if (!sk || !e)
		return PART_UNKNOWN;
	f = &sk->framing;
	if (sk->wide == WIDE_ALWAYS)
		f->phase = FRAMING_UNKNOWN;
	if (f->phase == FRAMING_UNKNOWN)
		return PART_UNKNOWN;
	/* What comes early cannot be followed, unless it is all body. */
	if (f->phase == FRAMING_CHUNK) {
		framing_reach(f, end);
		if ((__s32)(f->due - end) >= 0)
			return PART_BODY;
		if (e->holes) {
			hand_over_chunks(sk, e);
			return PART_UNKNOWN;
		}
		if ((__s32)(f->due + sk->line_len - e->seq) >= 0) {
			follow_chunks(skb, sk, e->s.payload - e->s.seq, end);
			e->ends = f->phase == FRAMING_HEAD && f->due == end;
			if (f->phase == FRAMING_CHUNK)
				return PART_BODY;
		}
	}
	if (f->phase == FRAMING_HEAD) {
		framing_reach(f, end);
		if ((__s32)(f->due - end) >= 0)
			return PART_BODY;
		if (!e->holes && (__s32)(f->due - e->seq) >= 0)
			return PART_BEGIN;
	} else if (f->phase == FRAMING_IN_HEAD && !e->holes && f->due == e->seq) {
		return PART_HEAD;
	}
	frame_lost(sk);
	return PART_UNKNOWN;
}

/*
 * What of a segment is captured: from e->seq on, so many bytes as are returned, or all that is left of
 * it; 0: no bytes. Not static: verified once.
 */
__noinline int choose_window(struct __sk_buff *skb, struct socket *sk, struct direction *self,
			     struct emission *e)
{
	const struct extent *passed;
	__u32 end, limit, offset;
	int part = PART_UNKNOWN;
	bool request, reply;

	if (!sk || !self || !e) /* never: asked for by the verifier */
		return 0;
	passed = &self->passed;
	end = e->s.seq + e->s.len;
	request = sk->request_dir == 1 + e->dir;
	reply = sk->request_dir && !request;

	e->seq = e->s.seq;
	if ((__s32)(e->seq - passed->whole) < 0)
		e->seq = passed->whole; /* what is below has been looked at */
	if ((__s32)(e->seq - self->turn) > 0)
		e->flags &= ~REC_FLIP;
	e->len = end - e->seq;
	if (request && (__s32)e->len > 0)
		part = request_part(skb, sk, e, end);
	/* The rest of a body, or the client never sent it and goes on with the next request. */
	if (part == PART_BODY && (e->flags & REC_FLIP) &&
	    (__s64)(passed_ns(e) - sk->dir_in.ts_ns) > (__s64)QUIET_NS &&
	    (__s64)(passed_ns(e) - sk->dir_out.ts_ns) > (__s64)QUIET_NS) {
		frame_lost(sk);
		part = PART_UNKNOWN;
	}
	if (part == PART_BODY && !sk->wide && !sk->chunked) {
		e->seq = e->s.seq;
		e->len = e->s.len;
		return 0;
	}
	if (part == PART_BEGIN) {
		self->start = e->seq = sk->framing.due;
		e->len = end - e->seq;
		e->flags |= REC_BEGINS;
		look_for_pipelining(sk, e, e->dir);
	}
	if (reply && sk->wide != WIDE_ALWAYS && sk->reply_phase == FRAMING_HEAD && !sk->switched &&
	    !(e->flags & REC_FLIP))
		look_for_answers(skb, sk, e, self->turn);
	/* What comes early may be anything. */
	limit = e->holes || (request && sk->chunked) ? CAPTURE_MAX : sk->capture;
	if (sk->wide)
		limit = sk->wide == WIDE_ALWAYS && !sk->switched ? WIDE_ALWAYS_WINDOW : WIDE_WINDOW;
	else if (reply && may_be_http2(sk))
		limit = SWITCHED_WINDOW;
	offset = e->seq - self->start;
	if ((__s32)offset < 0)
		offset = 0;
	/* A head that is longer: the reader needs its end, where the next request may begin. */
	if (part == PART_HEAD && offset >= limit && offset < CAPTURE_MAX)
		limit = offset + REC_BYTES_MAX;
	if (part == PART_BEGIN) {
		e->start = 1;
		self->window = WINDOW_HEAD;
		self->burst = PROGRESS_BURST;
		e->look = LOOK_REQUEST;
	} else if ((self->window != WINDOW_CLOSED || e->holes) && (__s32)e->len > 0 &&
		   offset < limit) {
		e->start = part == PART_UNKNOWN && e->seq == self->start;
		/* With pipelining the rest of a head can follow an answer, but not the first one.
		 * Behind a hole the rest of any can, whose begin is late. */
		e->look = e->start && self->window == WINDOW_NEW && !e->holes &&
					  (!sk->wide || (sk->fresh && !sk->confirmed))
				  ? look_of(sk, e->dir)
				  : LOOK_NO;
	} else {
		if (part == PART_HEAD)
			sk->framing.phase = FRAMING_UNKNOWN; /* longer than the capture */
		if (part == PART_UNKNOWN &&
		    (sk->speaks == SPEAKS_HTTP || !sk->fresh || e->holes || passed->holes))
			e->start = peek_strict(skb, sk, &e->s, look_of(sk, e->dir));
		if (!e->start) {
			e->seq = e->s.seq;
			e->len = e->s.len;
			return 0;
		}
		/* A few bytes with a capital in front are not proof enough. */
		if (request && !is_answered(sk, e) && e->s.len >= 8)
			suspect(sk);
		self->start = e->seq = e->s.seq;
		self->window = WINDOW_HEAD;
		self->burst = PROGRESS_BURST;
		e->len = e->s.len;
		e->look = LOOK_NO;
		offset = 0;
	}
	/* Requests are followed from where one begins for sure. In the middle of a response, with no
	 * more received since, what looks like a head is its body's. */
	if (sk->wide != WIDE_ALWAYS)
		e->framed = part >= PART_HEAD ||
			    (e->start &&
			     (reply ? (e->flags & REC_FLIP) || bytes_due(sk, e) < 0
				    : (e->flags & REC_FLIP) && !e->holes && e->seq == self->turn));
	if (e->start && !e->framed && !reply)
		widen(sk);
	return limit - offset;
}

/* Returns 0 if no bytes were captured. Not static: verified once. */
__noinline int capture(struct __sk_buff *skb, struct socket *sk, struct direction *self,
		       struct emission *e)
{
	__u32 asked, room; /* few: old verifiers count the stack of all callers */
	enum look look;
	bool start;
	int ret;

	if (!sk || !self || !e) /* never: asked for by the verifier */
		return 0;
	room = choose_window(skb, sk, self, e);
	if (!room)
		return 0;
	asked = sk->request_dir;
	start = e->start;
	ret = emit_all(skb, sk, e, e->len < room ? e->len : room);
	if (ret == EMIT_NO_HEAD && e->proxy == PROXY_SEEN) {
		int header = e->holes ? 0 : proxy_header(skb, sk, e);

		e->proxy = PROXY_PASSED;
		if (header > 0) {
			pass_proxy_header(skb, sk, e, header, e->dir);
			self->window = WINDOW_HEAD;
			if (!e->len)
				return 1;
			self->start = e->seq;
			e->flags |= REC_BEGINS;
			e->look = LOOK_REQUEST;
			e->start = e->framed = 1;
			e->part = 0;
		}
		ret = emit_all(skb, sk, e, e->len < room ? e->len : room);
	}
	if (ret == EMIT_FULL) {
		self->window = WINDOW_HEAD;
		window_full(skb, sk, e, start);
		return 1;
	}
	if (ret == EMIT_NO_HEAD) {
		self->window = WINDOW_CLOSED;
		e->flags &= ~(REC_START | REC_BEGINS);
		if (asked == 1 + e->dir)
			sk->framing.phase = FRAMING_UNKNOWN;
		message_is_other(skb, sk, e);
		/* An odd first answer is for the reader. */
		if (sk->speaks == SPEAKS_OTHER ||
		    (!sk->wide && (sk->confirmed || !sk->proper || asked != 1 + !e->dir)))
			return 0;
		self->window = WINDOW_HEAD;
		e->look = LOOK_NO;
		e->framed = 0;
		ret = emit_all(skb, sk, e, e->len < room ? e->len : room);
		if (ret == EMIT_FULL)
			window_full(skb, sk, e, false);
		return 1;
	}
	look = e->look & look_of(sk, e->dir);
	if (start && look)
		message_began(sk, e, look);
	if (!sk->request_dir)
		widen(sk); /* the reader may know what is a request, and where it ends */
	self->window = ret == EMIT_ENDED && !sk->wide && !e->holes ? WINDOW_CLOSED : WINDOW_HEAD;
	if (e->request && sk->framing.phase == FRAMING_IN_HEAD &&
	    sk->framing.due != e->s.seq + e->s.len)
		frame_lost(sk); /* even longer: its end is not looked for */
	if (e->s.flags & TCP_FIN)
		self->marks |= MARK_FIN;
	return 1;
}

#endif /* APPMON_WINDOW_H */
