/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 6. What captured bytes are: does a message begin with them, and what is in its head? */
#ifndef APPMON_HEAD_H
#define APPMON_HEAD_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "framing.h"
#include "look.h"
#include "state.h"

/* What is to be written; on the stack because BPF functions take five arguments. */
struct emission {
	struct segment s;
	__u32 seq;	/* of the first byte to capture */
	__u32 len;	/* bytes from there to the end of the segment */
	__u32 total;	/* bytes to capture, in as many records as it takes */
	__u32 captured; /* of the present record */
	__u32 flags;	/* REC_* */
	__u32 whole;	/* the direction's, with this segment */
	__u32 ack;	/* what the segment's sender had received: acked() */
	__u8 dir;
	__u8 look;     /* in: required look of the first bytes, LOOK_NO: any; out: what they are */
	__u8 start;    /* a message may begin here */
	__u8 part;     /* number among the records that one segment takes */
	__u8 reported; /* a record has how far the direction is */
	__u8 filled;   /* bytes that had come early are whole now */
	__u8 holes;    /* bytes are missing, or there are some behind it */
	__u8 framed;   /* a head, or more of it: to be scanned */
	__u8 carry;    /* bytes in front that an earlier record has, too: a line that was cut */
	__u8 ends;     /* a message ends with the segment */
	__u8 request;  /* out: it is of a request */
	__u8 proxy;    /* PROXY_* */
	__u8 begin[4]; /* of a head: the first bytes of the method, or the status code */
	__u32 written; /* what arrives: so far the application had written; 0: not looked up */
	struct scan scan;
	__u64 ts_ns; /* when the segment passed; 0: the clock has not been read: passed_ns() */
};

/* The header of the PROXY protocol in front of the first request. SEEN: it may be one. HEADER: it
 * is captured now, and more of the segment later. PASSED: it is not to be looked for. */
enum { PROXY_NONE, PROXY_SEEN, PROXY_HEADER, PROXY_PASSED };

/* What became of it. OTHER: not decided. ENDED: a response's head, and what follows need not be
 * captured. */
enum { EMIT_OTHER = -2, EMIT_FULL = -1, EMIT_NO_HEAD = 0, EMIT_OPEN = 1, EMIT_ENDED = 2 };

/* Not before it is needed: of most segments their record tells. */
static __always_inline __u64 passed_ns(struct emission *e)
{
	if (!e->ts_ns)
		e->ts_ns = bpf_ktime_get_ns();
	return e->ts_ns;
}

#define PROGRESS_UNIT (1 << 10) /* ns */

static __always_inline __u32 progress_time(struct emission *e)
{
	return passed_ns(e) / PROGRESS_UNIT;
}

/* The other direction has had no data before this one's. */
static __always_inline bool is_first(const struct socket *sk, int dir)
{
	return !(DIRECTION(sk, dir)->marks & MARK_HEARD);
}

/* 101 has been sent: what follows may be HTTP/2, whose frames only the reader can find. */
static __always_inline bool may_be_http2(const struct socket *sk)
{
	return frames && sk->switched && (sk->protocols & ASKED_HTTP2);
}

/* Of a request: its sender has received some of a response since it began. */
static __always_inline bool is_answered(const struct socket *sk, const struct emission *e)
{
	return (__s32)(e->ack - DIRECTION(sk, e->dir)->begun_ack) > 0;
}

/* Bytes of the message that a segment is in which come behind that segment. Negative: its length is not
 * known, or it has ended before. */
static __always_inline __s32 bytes_due(const struct socket *sk, const struct emission *e)
{
	const bool request = sk->request_dir == 1 + e->dir;
	const __u32 due = request ? sk->framing.due : sk->reply_due;

	if ((request ? sk->framing.phase : sk->reply_phase) != FRAMING_HEAD)
		return -1;
	return due - (e->s.seq + e->s.len);
}

static __always_inline enum look look_of(const struct socket *sk, int dir)
{
	if (!sk->request_dir)
		return LOOK_EITHER;
	return sk->request_dir == dir + 1 ? LOOK_REQUEST : LOOK_RESPONSE;
}

/* There is pipelining for sure: from here on the reader gets everything, and requests are not
 * followed any more. */
static __always_inline void pipelines(struct socket *sk)
{
	sk->suspect = 1;
	sk->wide = WIDE_ALWAYS;
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

/* Minimal request line, or status line, and the empty line: anything shorter is empty lines in
 * front of it. */
#define REQUEST_MIN 16

static __always_inline bool is_head(const __u8 method[4])
{
	return method[0] == 'H' && method[1] == 'E' && method[2] == 'A' && method[3] == 'D';
}

/* A request's head, or more of it: where is the next request due? */
static __always_inline void frame_request(struct __sk_buff *skb, struct socket *sk,
					  struct emission *e)
{
	struct framing *f = &sk->framing;
	__u32 end = e->s.seq + e->s.len;

	/* A method that a segment cuts stands in the line that is kept. */
	if (e->seq == DIRECTION(sk, e->dir)->start && e->captured > 4 &&
	    sk->head_only != is_head(e->begin))
		sk->head_only = is_head(e->begin);
	f->due = e->seq + (e->scan.end ? e->scan.end : e->captured);
	f->left = e->scan.length;
	f->found = e->scan.found;
	f->phase = FRAMING_IN_HEAD;
	sk->chunked = e->scan.found & HEAD_CHUNKED;
	if (!e->scan.end) {
		/* With a bare LF in it its end may have passed. */
		if (e->scan.found & HEAD_ODD)
			frame_lost(sk);
		return;
	}
	f->left = 0;
	if (sk->line_len)
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

/* A response's head. Returns EMIT_*. */
static __always_inline int frame_response(struct socket *sk, struct emission *e)
{
	const __u8 *status = e->begin;
	__u64 length = 0;

	sk->reply_phase = FRAMING_UNKNOWN;
	if (status[0] == '1' && status[1] == '0' && status[2] == '1') {
		sk->switched = 1;
		if (e->scan.end)
			sk->reply_due = e->seq + e->scan.end; /* where the other protocol begins */
	}
	if (e->scan.end < REQUEST_MIN || !status[0]) /* it goes on, or is empty lines in front */
		return EMIT_OPEN;
	if (status[0] == '1') { /* interim (RFC 9110 section 15.2): another head comes */
		if (e->scan.end == e->captured)
			sk->reply_phase = FRAMING_IN_HEAD;
		return EMIT_OPEN;
	}
	if (sk->head_only || (status[0] == '2' && status[1] == '0' && status[2] == '4') ||
	    (status[0] == '3' && status[1] == '0' && status[2] == '4')) {
		sk->reply_phase = FRAMING_HEAD;
	} else if (e->scan.found == HEAD_LENGTH) {
		length = e->scan.length;
		if (length >= FRAMING_STEP)
			return EMIT_ENDED; /* the next request comes long after it, or is a surprise
					    */
		sk->reply_phase = FRAMING_HEAD;
	} else if (e->scan.found) {
		sk->reply_phase = e->scan.found == HEAD_CHUNKED ? FRAMING_CHUNK : FRAMING_UNKNOWN;
		return EMIT_OPEN;
	}
	sk->reply_due = e->seq + e->scan.end + length;
	return sk->reply_phase == FRAMING_HEAD || e->scan.end == e->len ? EMIT_ENDED : EMIT_OPEN;
}

/* What the bytes look like, without what the target does not ask for. second: the second byte; 0 if
 * there is none. */
static __always_inline __u32 look_asked(const struct socket *sk, __u32 look, __u8 second)
{
	if (((look & LOOK_RESP) || (look == LOOK_BLANK && second == '*')) &&
	    !(sk->protocols & ASKED_RESP))
		return LOOK_NO;
	return look;
}

/* What four bytes do not tell. */
static __always_inline __u32 look_further(const struct socket *sk, const struct emission *e,
					  const __u8 *b, __u32 n, __u32 look)
{
	if (look == LOOK_RESPONSE && (n == 4 || b[4] != '/'))
		return n == 4 ? LOOK_EITHER : LOOK_REQUEST; /* a method that begins like that */
	if (look != LOOK_NO || !e->start || !(look_of(sk, e->dir) & LOOK_REQUEST))
		return look;
	/* Where a request need not begin, as in a body, the whole line must be there, if it can. */
	if (n >= 8 && !(e->flags & REC_BEGINS) && !(sk->fresh && sk->speaks == SPEAKS_UNKNOWN) &&
	    look_line((const struct look_bytes *)b, n) != LINE_HTTP)
		return look;
	if (b[0] == '\n' && n > 1)
		return look_token((const struct look_bytes *)(b + 1), n - 1);
	return look_token((const struct look_bytes *)b, n);
}

/* What looks like RESP: is it, here? */
static __always_inline __u32 examine_resp(struct socket *sk, struct emission *e, const __u8 *b,
					  __u32 n, __u32 look)
{
	if (sk->confirmed == CONFIRMED_HTTP ||
	    (look == LOOK_INLINE && !(e->start && sk->fresh && is_first(sk, e->dir))))
		look = LOOK_NO;
	else /* who asks is known when there is a reply */
		look &= sk->request_dir ? look_of(sk, e->dir) : LOOK_REQUEST;
	if (look) {
		sk->confirmed = CONFIRMED_RESP;
		sk->wide = WIDE_ALWAYS; /* only the reader knows where its values end */
		e->framed = 0;
	}
	if (look_at_fullresync(b, n))
		sk->switched = 1;
	return look;
}

/* The first bytes of a connection: perhaps a PROXY protocol header, of version 1 or 2. */
static __always_inline bool may_be_proxied(const struct socket *sk, const struct emission *e,
					   const __u8 *b, __u32 n)
{
	return e->start && sk->speaks == SPEAKS_UNKNOWN && !sk->request_dir && sk->fresh &&
	       e->proxy == PROXY_NONE && n >= 16 &&
	       ((b[0] == 'P' && b[1] == 'R' && b[2] == 'O' && b[3] == 'X') ||
		(b[0] == '\r' && b[2] == '\r' && b[4] == '\0'));
}

/* Does the first line end as a request's does? Of a long one its begin must do. */
static __always_inline bool is_proper(const __u8 *b, __u32 n)
{
	const struct look_bytes *line = (const struct look_bytes *)b;
	int ends = look_line(line, n);

	return ends == LINE_HTTP ||
	       (ends == LINE_CUT && n >= TOKEN_BYTES && look_token(line, n) == LOOK_REQUEST);
}

/*
 * The first n bytes of what is captured next: b, with room for `bytes`, a constant, and SCAN_SLACK.
 * What e->carry counts stands in front of them. scan: where it is worked with. Not on the stack:
 * the verifier of Linux 7.3 follows each way on which an address on the stack comes to a function,
 * call by call, and gives up after 10,000.
 */
static __always_inline int examine(struct __sk_buff *skb, struct socket *sk, struct emission *e,
				   const __u8 *b, __u32 n, const __u32 bytes, struct scan *scan)
{
	__u32 look = LOOK_NO;
	bool request;

	if (!e->part && !e->carry) {
		const __u32 first = *(const __u32 *)b;
		__u32 seen;

		/* Most: without a call, which is dear where the kernel guards returns. */
		if (n > 4 && first == FIRST('G', 'E', 'T', ' '))
			seen = LOOK_REQUEST;
		else if (n > 4 && first == FIRST('H', 'T', 'T', 'P'))
			seen = LOOK_RESPONSE;
		else
			seen = look_asked(sk, look_at(first, n), n > 1 ? b[1] : 0);

		if ((seen & LOOK_RESP) &&
		    !(seen == LOOK_INLINE &&
		      look_line((const struct look_bytes *)b, n) == LINE_HTTP))
			look = examine_resp(sk, e, b, n, seen);
		if (!look)
			look = look_further(sk, e, b, n, seen & LOOK_RESP ? LOOK_NO : seen);
		if (may_be_proxied(sk, e, b, n)) {
			e->proxy = PROXY_SEEN;
			return EMIT_NO_HEAD;
		}
		if (e->look && !(look & e->look))
			return EMIT_NO_HEAD;
		if (!e->start)
			look = n >= 8 ? look_strict(b) : look == LOOK_BLANK ? LOOK_NO : look;
		if (look & look_of(sk, e->dir)) {
			e->flags |= REC_START;
			/* An answer's begin, behind what came early of it: a byte alone, perhaps. */
			if (!e->start && look_of(sk, e->dir) == LOOK_RESPONSE && !sk->proper)
				sk->proper = 1;
		}
		/* A request behind another that has no answer yet. */
		if (!e->start && n >= 8 && look == LOOK_REQUEST && sk->request_dir == 1 + e->dir &&
		    !is_answered(sk, e))
			suspect(sk);
		/* After an interim response the final one need not follow a request. */
		if (look == LOOK_RESPONSE && sk->reply_phase == FRAMING_IN_HEAD)
			e->framed = 1;
		/* A few letters do not decide which of the two. */
		e->look = look && n < 4 ? LOOK_EITHER : look;
	}
	/* If its answer is no status line: was it a request? */
	if (!sk->confirmed && !sk->proper && (e->carry || (e->start && (look & LOOK_REQUEST))))
		sk->proper = is_proper(b, n + e->carry);
	if (sk->request_dir)
		request = sk->request_dir == 1 + e->dir;
	else if (e->part)
		request = e->request; /* as its first record */
	else			      /* the end that sends first is the client */
		request = look == LOOK_REQUEST || (look && sk->fresh && is_first(sk, e->dir));
	if (e->start && !(look & (request ? LOOK_REQUEST : LOOK_RESPONSE)))
		e->framed = 0;
	e->request = request;
	e->captured += e->carry;
	e->seq -= e->carry;
	e->len += e->carry;
	if (!e->framed)
		return EMIT_OPEN;
	__builtin_memcpy(e->begin, b + (request ? 0 : 9), sizeof(e->begin));
	/* Cut; a longer method; a version with more digits, or fewer. */
	if (e->captured < (request ? 5 : 13) || b[request ? 4 : 8] != ' ')
		e->begin[0] = 0;
	scan->length = e->start ? 0 : sk->framing.left;
	scan->found = e->start ? 0 : sk->framing.found;
	scan_head(b, e->captured, bytes, scan);
	e->scan = *scan;
	if (request && !e->scan.end)
		keep_line(sk, b, e->captured, bytes);
	if (!request)
		return frame_response(sk, e);
	frame_request(skb, sk, e);
	return EMIT_OPEN;
}

#endif /* APPMON_HEAD_H */
