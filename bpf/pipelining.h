/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 12. Does a client ask again before it has its answer? Then only the reader can tell which answer is
 * whose, and gets all bytes. */
#ifndef APPMON_PIPELINING_H
#define APPMON_PIPELINING_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "head.h"

enum { REPLY_ENDED, REPLY_GOES_ON, REPLY_UNKNOWN };

/* Chunks end with "0" and an empty line. That alone tells nothing: it can be the end of a trailer
 * section, or of a chunk whose data ends with a line. Bytes that are not known are 0. */
static __always_inline int chunks_state(const __u8 last[8])
{
	if (*(const __u32 *)(last + 4) != CRLF_CRLF)
		return last[4] ? REPLY_GOES_ON : REPLY_UNKNOWN;
	return last[3] == '0' && last[2] == '\n' ? REPLY_ENDED : REPLY_UNKNOWN;
}

/* The response that came last, whose direction has come to `next`. */
static __always_inline int reply_state(const struct socket *sk, const struct direction *reply,
				       __u32 next)
{
	const __u64 last = reply->last;

	switch (sk->reply_phase) {
	case FRAMING_HEAD:
		return (__s32)(sk->reply_due - next) > 0 ? REPLY_GOES_ON : REPLY_ENDED;
	case FRAMING_CHUNK:
		if (!last)
			return REPLY_UNKNOWN; /* its end came out of order */
		return chunks_state((const __u8 *)&last);
	case FRAMING_IN_HEAD: /* behind an interim response */
		return REPLY_GOES_ON;
	case FRAMING_WHOLE: /* as is believed: see recall_reply() */
		return REPLY_ENDED;
	default:
		return REPLY_UNKNOWN; /* its head came in pieces */
	}
}

/*
 * Another request begins: does the server owe more to those before? A client that has received
 * nothing since it asked is owed an answer; nor does it have all of one if the server has written
 * more. If it has all that was sent, the response may still go on: look_for_overtaking() sees that.
 * A client that is watched itself knows what it has received: here one direction reads the other's
 * line.
 */
static __always_inline void look_for_pipelining(struct socket *sk, const struct emission *e,
						const int dir)
{
	const struct direction *reply = DIRECTION(sk, !dir);

	if (dir == DIR_IN) {
		if (!is_answered(sk, e) || (e->written && (__s32)(e->written - e->ack) > 0))
			pipelines(sk);
	} else if ((__s32)(reply->begun_ack - sk->request_start) <= 0) {
		pipelines(sk); /* no response has begun whose sender had any of that request */
	} else {
		switch (reply_state(sk, reply, reply->passed.next)) {
		case REPLY_GOES_ON:
			pipelines(sk);
			break;
		case REPLY_UNKNOWN:
			widen(sk);
			break;
		}
	}
}

/*
 * A response goes on, or another one begins, and more of the requests had been received since: is
 * it another request? next: how far the responses were.
 */
static __always_inline void look_for_overtaking(struct socket *sk, const struct direction *self,
						__u32 next)
{
	if (sk->wide == WIDE_ALWAYS || !self->ts_ns || !sk->confirmed)
		return;
	switch (reply_state(sk, self, next)) {
	case REPLY_GOES_ON:
		if ((__s32)(sk->request_start - self->begun_ack) >= 0)
			pipelines(sk);
		break;
	case REPLY_UNKNOWN:
		widen(sk);
		break;
	}
}

/*
 * Requests that are not followed may be several. They were if a status line stands right behind a
 * response, and no request came between the two. Not static: verified once.
 */
__noinline int look_for_answers(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				__u32 turn)
{
	__u32 first = 0, left, n;
	enum look look;

	if (!sk || !e)
		return 0;
	left = e->s.seq + e->s.len - sk->reply_due;
	if ((__s32)left <= 0 || (__s32)(sk->reply_due - turn) <= 0 ||
	    (__s32)(sk->reply_due - e->s.seq) < 0)
		return 0;
	n = left < sizeof(first) ? 1 : sizeof(first);
	if (bpf_skb_load_bytes(skb, e->s.payload + (sk->reply_due - e->s.seq), &first, n))
		return 0;
	look = look_at(first, n);
	if (look != LOOK_RESPONSE && look != LOOK_EITHER)
		return 0;
	/* No suspicion: the reader sees for itself, unless it began before the attach. */
	sk->wide = WIDE_ALWAYS;
	return 0;
}

#endif /* APPMON_PIPELINING_H */
