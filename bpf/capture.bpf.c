/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The capture: one program per direction at the attached cgroups, and the sweep. A packet goes
 * through packet.h, state.h, look.h, framing.h, head.h and emit.h in that order and always passes.
 *
 * What is captured: the first bytes ("window") of each message, a message being what follows when
 * a direction first sends after the other one, or a segment that begins like a message. Anything
 * else is described by sequence numbers only. The reader knows from the heads where bodies
 * end, so that a needless capture costs time but never a wrong result.
 */
#include "kernel.h"
#include "emit.h"
#include "listener.h"
#include "protocol/segment.h"
#include "tls-calls.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* "HTTP/1.1 200" and the CRLF that ends it: a response that is shorter goes on. */
#define STATUS_LINE_MIN 14

/* Flips in a row that do not look like HTTP, on a connection met in the middle, until it is
 * ignored. */
#define OTHER_FLIPS_MAX 8

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
	UNROLL
	for (int i = 0; i < PARTS_MAX; i++) {
		if (!e->total)
			break;
		ret = emit_data(skb, sk, e);
		if (ret <= EMIT_NO_HEAD)
			break;
	}
	return ret;
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
		else if (look == LOOK_RESPONSE)
			sk->request_dir = 1 + !dir;
	}
	if (look == LOOK_RESPONSE && !sk->confirmed)
		sk->confirmed = CONFIRMED_HTTP;
	DIRECTION(sk, dir)->begun_ack = e->ack;
	if (sk->request_dir == 1 + dir)
		sk->request_start = DIRECTION(sk, dir)->start;
}

/*
 * The length of the PROXY protocol header at the begin of the segment (haproxy's
 * proxy-protocol.txt, sections 2.1 and 2.2); 0: there is none, or its end is not here, or it is
 * longer than a record. Not static: verified once.
 */
__noinline int proxy_header(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	__u32 n, len = 0;
	struct draft *d;
	__u8 *b;

	if (!sk || !e)
		return 0;
	d = draft_claim(&drafts);
	if (!d)
		return 0;
	b = d->bytes;
	n = e->len < 107 ? e->len : 107;
	barrier_var(n);
	n = ((n - 1) & 127) + 1;
	if (n < 16 || bpf_skb_load_bytes(skb, e->s.payload + (e->seq - e->s.seq), b, n))
		goto out;
	if (b[0] == '\r') {
		if (*(__u32 *)b == CRLF_CRLF && !b[4] && b[5] == '\r' && b[6] == '\n' &&
		    b[7] == 'Q' && b[8] == 'U' && b[9] == 'I' && b[10] == 'T' && b[11] == '\n' &&
		    b[12] >> 4 == 2)
			len = 16 + (b[14] << 8 | b[15]);
	} else if (b[4] == 'Y' && b[5] == ' ' && (b[6] == 'T' || b[6] == 'U')) {
		for (__u32 i = 7; i < 107; i++) {
			if (i >= n)
				break;
			if (b[i] == '\n') {
				len = i + 1;
				break;
			}
		}
	}
out:
	draft_release(&d->busy);
	return len <= e->len && len <= REC_BYTES_MAX ? len : 0;
}

/*
 * The header goes to the reader in a record of its own, and counts as a message that has been
 * answered. The first request begins behind it, in this segment or a later one.
 */
static __always_inline void pass_proxy_header(struct __sk_buff *skb, struct socket *sk,
					      struct emission *e, __u32 len, const int dir)
{
	__u32 end = e->seq + e->len;

	e->proxy = len < e->len ? PROXY_HEADER : PROXY_PASSED;
	e->start = e->framed = 0;
	e->look = LOOK_NO;
	sk->framing.due = e->seq + len;
	if (emit_all(skb, sk, e, len) == EMIT_FULL)
		count_lost(sk, false);
	e->proxy = PROXY_PASSED;
	e->flags &= ~(REC_FLIP | REC_START);
	e->seq = sk->framing.due;
	e->len = end - e->seq;
	sk->speaks = SPEAKS_HTTP;
	sk->request_dir = 1 + dir;
	DIRECTION(sk, dir)->begun_ack = e->ack - 1;
	sk->request_start = DIRECTION(sk, !dir)->begun_ack - 1;
	sk->framing.phase = FRAMING_HEAD;
	sk->framing.left = 0;
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

/* The message that the direction is in has a length, and ends with this segment. */
static __always_inline bool ends_counted(const struct socket *sk, const struct emission *e)
{
	const __u32 end = e->s.seq + e->s.len;

	if (sk->request_dir == 1 + e->dir)
		return sk->framing.phase == FRAMING_HEAD && sk->framing.due == end;
	return sk->reply_phase == FRAMING_HEAD && sk->reply_due == end;
}

/*
 * Says how far a direction has come, where the reader may wait for it: at the end of a write of
 * the application (PSH), of the stream, or of a chunked body. Rate-limited; what is held back
 * stays visible to the sweep.
 */
static __always_inline void progress(struct __sk_buff *skb, struct socket *sk,
				     struct direction *self, struct emission *e)
{
	bool blank;

	if (!speaks_known(sk))
		return;
	if (e->s.flags & (TCP_FIN | TCP_RST)) {
		if (e->s.flags & TCP_FIN) {
			if (self->marks & MARK_FIN)
				return;
			self->marks |= MARK_FIN;
		}
		emit_progress(skb, sk, e);
		return;
	}
	if (!(e->s.flags & TCP_PSH) && !e->filled)
		return;
	/* A message ends here, or perhaps: an empty line may be the last chunk, with or without
	 * trailers (RFC 9112 section 7.1). */
	blank = e->ends || e->s.len < 4 || ends_counted(sk, e) || ends_with_blank(skb);
	/* Before there is an answer the reader waits for that. (Frames may go either way.) */
	if (sk->request_dir == 1 + e->dir && sk->speaks == SPEAKS_HTTP && !is_answered(sk, e) &&
	    !e->filled && !blank)
		return;
	if (self->burst) {
		self->burst--;
	} else if (passed_ns(e) - self->progress_ts_ns < PROGRESS_INTERVAL_NS && !blank) {
		if (!held_back)
			held_back = 1;
		return;
	}
	emit_progress(skb, sk, e);
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

/* Returns false if nothing was captured. */
static __always_inline bool capture(struct __sk_buff *skb, struct socket *sk,
				    struct direction *self, struct emission *e, const int dir)
{
	const struct extent *passed = &self->passed;
	__u32 end = e->s.seq + e->s.len;
	int part = PART_UNKNOWN, ret;
	__u32 limit, offset, room;
	bool request = sk->request_dir == 1 + e->dir, reply = sk->request_dir && !request;
	bool start = false;
	enum look look;

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
		return false;
	}
	if (part == PART_BEGIN) {
		self->start = e->seq = sk->framing.due;
		e->len = end - e->seq;
		e->flags |= REC_BEGINS;
		look_for_pipelining(sk, e, dir);
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
		start = e->start = 1;
		self->window = WINDOW_HEAD;
		self->burst = PROGRESS_BURST;
		e->look = LOOK_REQUEST;
	} else if ((self->window != WINDOW_CLOSED || e->holes) && (__s32)e->len > 0 &&
		   offset < limit) {
		start = e->start = part == PART_UNKNOWN && e->seq == self->start;
		/* With pipelining the rest of a head can follow an answer, but not the first one.
		 * Behind a hole the rest of any can, whose begin is late. */
		e->look = start && self->window == WINDOW_NEW && !e->holes &&
					  (!sk->wide || (sk->fresh && !sk->confirmed))
				  ? look_of(sk, e->dir)
				  : LOOK_NO;
	} else {
		if (part == PART_HEAD)
			sk->framing.phase = FRAMING_UNKNOWN; /* longer than the capture */
		if (part == PART_UNKNOWN &&
		    (sk->speaks == SPEAKS_HTTP || !sk->fresh || e->holes || passed->holes))
			start = peek_strict(skb, sk, &e->s, look_of(sk, e->dir));
		if (!start) {
			e->seq = e->s.seq;
			e->len = e->s.len;
			return false;
		}
		/* A few bytes with a capital in front are not proof enough. */
		if (request && !is_answered(sk, e) && e->s.len >= 8)
			suspect(sk);
		e->start = 1;
		self->start = e->seq = e->s.seq;
		self->window = WINDOW_HEAD;
		self->burst = PROGRESS_BURST;
		e->len = e->s.len;
		e->look = LOOK_NO;
		offset = 0;
	}
	/* Requests are followed from where one begins for sure. */
	if (sk->wide != WIDE_ALWAYS)
		e->framed =
			part >= PART_HEAD ||
			(start &&
			 (reply || ((e->flags & REC_FLIP) && !e->holes && e->seq == self->turn)));
	if (start && !e->framed && !reply)
		widen(sk);
	room = limit - offset;
	ret = emit_all(skb, sk, e, e->len < room ? e->len : room);
	if (ret == EMIT_NO_HEAD && e->proxy == PROXY_SEEN) {
		int header = e->holes ? 0 : proxy_header(skb, sk, e);

		e->proxy = PROXY_PASSED;
		if (header > 0) {
			pass_proxy_header(skb, sk, e, header, dir);
			self->window = WINDOW_HEAD;
			if (!e->len)
				return true;
			self->start = e->seq;
			e->flags |= REC_BEGINS;
			e->look = LOOK_REQUEST;
			e->start = e->framed = 1;
			e->part = 0;
			room = limit;
		}
		ret = emit_all(skb, sk, e, e->len < room ? e->len : room);
	}
	if (ret == EMIT_FULL) {
		self->window = WINDOW_HEAD;
		window_full(skb, sk, e, start);
		return true;
	}
	if (ret == EMIT_NO_HEAD) {
		self->window = WINDOW_CLOSED;
		e->flags &= ~(REC_START | REC_BEGINS);
		if (request)
			sk->framing.phase = FRAMING_UNKNOWN;
		message_is_other(skb, sk, e);
		/* An odd first answer is for the reader. */
		if (sk->speaks == SPEAKS_OTHER ||
		    (!sk->wide && (sk->confirmed || !sk->proper || !reply)))
			return false;
		self->window = WINDOW_HEAD;
		e->look = LOOK_NO;
		e->framed = 0;
		ret = emit_all(skb, sk, e, e->len < room ? e->len : room);
		if (ret == EMIT_FULL)
			window_full(skb, sk, e, false);
		return true;
	}
	look = e->look & look_of(sk, e->dir);
	if (start && look)
		message_began(sk, e, look);
	if (!sk->request_dir)
		widen(sk); /* the reader may know what is a request, and where it ends */
	self->window = ret == EMIT_ENDED && !sk->wide && !e->holes ? WINDOW_CLOSED : WINDOW_HEAD;
	if (e->request && sk->framing.phase == FRAMING_IN_HEAD && sk->framing.due != end)
		frame_lost(sk); /* even longer: its end is not looked for */
	if (e->s.flags & TCP_FIN)
		self->marks |= MARK_FIN;
	return true;
}

/* A segment that meets a listening socket: see listener.h. */
static __always_inline void observe_listener(struct __sk_buff *skb, struct emission *e,
					     struct target_conf *conf)
{
	const struct segment *s = &e->s;
	struct bpf_sock *ss = skb->sk;
	struct listener *l;
	struct socket *sk;
	__u32 zero = 0, total = s->len < conf->capture ? s->len : conf->capture;
	int ret;

	if (!ss)
		return;
	l = bpf_sk_storage_get(&listeners, ss, 0, 0);
	if (l && !owns_listener(skb, l, conf))
		return;
	/* Ingress runs do not interrupt each other. */
	sk = bpf_map_lookup_elem(&embryo, &zero);
	if (!sk)
		return;
	__builtin_memset(sk, 0, sizeof(*sk));
	sk->fresh = sk->alone = 1;
	sk->dir_in.start = stream_start(skb, s);
	sk->conn.target = conf->target;
	sk->conn.slot = conf->slot;
	e->flags = REC_LISTENER;
	e->start = 1;
	e->whole = sk->dir_in.start;
	e->proxy = PROXY_PASSED; /* the reader knows one, too */
	fill_conn(skb, &sk->conn, s, DIR_IN, bpf_get_socket_cookie(skb));
	sk->protocols =
		asked_protocols(conf, hint_of(conf, sk->conn.local_port, sk->conn.remote_port));
	if (!s->len) {
		emit_progress(skb, sk, e);
		return;
	}
	if (s->seq == sk->dir_in.start) {
		e->flags |= REC_FLIP;
		e->whole = s->seq + s->len;
		e->look = look_of(sk, DIR_IN);
	}
	/* All of it is for the reader, who cuts the frames: the first request may be among them. */
	if ((e->flags & REC_FLIP) && (sk->protocols & ASKED_FRAMES) &&
	    begins_frames(skb, s->payload, s->len, sk->protocols)) {
		sk->request_dir = 1 + DIR_IN;
		sk->wide = WIDE_ALWAYS;
		e->flags |= REC_START;
		e->look = LOOK_NO;
		e->start = 0;
	}
	ret = emit_all(skb, sk, e, total);
	if (ret == EMIT_NO_HEAD)
		return;
	if (ret == EMIT_FULL)
		count_lost(sk, peek(skb, sk, s) == LOOK_REQUEST);
	if (!l)
		l = storage_made(&listeners, ss);
	if (l)
		mark_listener(skb, l, conf, sk->protocols);
}

/*
 * A connection of MPTCP has a socket for each path (RFC 8684). As long as there is one, its stream
 * is the application's. When another has data, the programs cannot know which path carries what:
 * then neither is followed. Not inlined: its stack is of use to the rest.
 */
static __noinline int is_path_of_several(struct __sk_buff *skb)
{
	struct bpf_sock *ss = skb->sk;
	struct mptcp_sock *mp;
	struct sock *first;
	struct socket *sk;

	if (!ss || !bpf_core_type_exists(struct mptcp_sock))
		return 0;
	mp = bpf_skc_to_mptcp_sock(ss);
	if (!mp || mp->conn_list.next == mp->conn_list.prev)
		return 0;
	first = mp->first;
	sk = first ? bpf_sk_storage_get(&sockets, first, 0, 0) : 0;
	if (!sk || sk->speaks == SPEAKS_OTHER || !is_current(sk))
		return 1;
	sk->speaks = SPEAKS_OTHER;
	COUNT(sk->conn.slot, skipped);
	emit_state(sk, DIR_OUT, REC_NOT_HTTP);
	return 1;
}

/* The listening socket has met the first request, which begins at `first`. */
static __always_inline void inherit(struct socket *sk, __u32 first)
{
	/* One listening socket may serve several protocols: the next segment tells. */
	sk->speaks = frames && (sk->protocols & ASKED_FRAMES) ? SPEAKS_UNKNOWN : SPEAKS_HTTP;
	sk->request_dir = 1 + DIR_IN;
	sk->wide = WIDE_UNSURE;
	sk->dir_in.turn = first;
}

/*
 * The connection's place in the sample. TCP counts what both directions have delivered, so that the
 * initial sequence numbers follow at any time. (While another CPU moves them on the result can be
 * wrong; then this end is drawn by chance, once and for all.) With data in the SYN the peer's is
 * not known yet: such a connection is drawn by its cookie, apart from its other end.
 */
static __always_inline __u32 sample_of(struct __sk_buff *skb, struct bpf_sock *ss)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(ss);
	__u32 theirs, ours;

	if (!tp || ss->state == BPF_TCP_SYN_SENT)
		return sample_hash(bpf_get_socket_cookie(skb));
	theirs = READ_ONCE(tp->rcv_nxt) - (__u32)READ_ONCE(tp->bytes_received);
	ours = READ_ONCE(tp->snd_una) - (__u32)READ_ONCE(tp->bytes_acked);
	return sample_hash(sample_key(theirs - ours));
}

/*
 * The first packet of a socket since it is watched. That of the other direction may be on another
 * CPU at this moment (data behind a SYN that is answered at once), or interrupted by this one: one
 * of them sets the state, all at once. Not inlined: its stack is of use to the rest.
 */
static __noinline struct socket *meet(struct __sk_buff *skb, struct bpf_sock *ss,
				      const struct segment *s, int dir, struct target_conf *conf)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct direction *self, *other;
	struct bpf_tcp_sock *tp;
	struct rec_conn conn = {};
	struct storage *storage;
	struct socket *sk;
	__u32 depth, start, other_start, retrans, met_in, sample, hint;
	bool silent, fresh, heir;

	storage = storage_made(&sockets, ss);
	if (!storage) {
		COUNT(conf->slot, records_lost); /* the kernel is out of memory */
		return 0;
	}
	sk = &storage->socket;
	sample = sample_of(skb, ss);
	tp = bpf_tcp_sock(ss);
	fill_conn(skb, &conn, s, dir, cookie);
	conn.target = conf->target;
	conn.slot = conf->slot;
	met_in = conn.generation;
	conn.generation = 0;
	depth = attachment_depth(skb, conf);
	hint = hint_of(conf, conn.local_port, conn.remote_port);
	retrans = tp ? tp->total_retrans : 0;
	/* Not the segment's own number: an earlier one may be late. */
	start = s->seq;
	other_start = s->ack;
	if (dir == DIR_IN && tp) {
		start = READ_ONCE(tp->rcv_nxt);
		other_start = READ_ONCE(tp->snd_nxt);
	}
	/* TCP moves snd_nxt after the segment has been here; bytes_acked counts the SYN of an
	 * active open. */
	silent = tp && tp->bytes_acked <= 1 &&
		 (dir == DIR_IN ? other_start : start) == READ_ONCE(tp->snd_una);
	fresh = silent && tp->bytes_received == 0;
	heir = silent && !fresh && bpf_sk_storage_get(&listeners, ss, 0, 0);
	if (dir == DIR_OUT && tp && (__s32)(READ_ONCE(tp->snd_nxt) - start) > 0)
		start = READ_ONCE(tp->snd_nxt); /* sent again, and answered perhaps */

	bpf_spin_lock(&storage->lock);
	if (is_current(sk) && sk->conn.target == conf->target)
		goto met;
	/* Not new if its owner was detached: what passed since is unknown. */
	__builtin_memset(sk, 0, sizeof(*sk));
	self = DIRECTION(sk, dir);
	other = DIRECTION(sk, !dir);
	sk->sample = sample;
	sk->retrans = retrans;
	sk->fresh = fresh;
	self->start = start;
	other->start = other_start;
	/* A peer may acknowledge later what had been sent before: that is no turn. */
	self->ack = other_start;
	other->ack = start;
	self->marks = other->marks = fresh ? 0 : MARK_HEARD;
	if (!fresh) /* else who speaks first asks */
		sk->request_dir = hinted_dir(&conn, hint);
	/* A server that has not said anything: there is a first request, which its listening socket
	 * met or which began before the attach. */
	if (silent && !fresh) {
		sk->wide = WIDE_UNSURE;
		sk->dir_in.ack = dir == DIR_IN ? other_start : start;
		sk->dir_in.marks = 0;
		if (dir == DIR_IN) {
			self->window = WINDOW_HEAD;
			sk->request_dir = 1 + DIR_IN;
		}
	}
	sk->alone = dir == DIR_OUT && !(s->flags & TCP_ACK);
	self->passed.next = self->passed.whole = start;
	other->passed.next = other->passed.whole = other_start;
	sk->capture = conf->capture;
	sk->protocols = asked_protocols(conf, hint);
	if (heir)
		inherit(sk, tp->rcv_nxt - (__u32)tp->bytes_received);
	sk->depth = depth;
	sk->conn = conn;
	/* Last: it marks the rest as complete. */
	__sync_lock_test_and_set(&sk->conn.generation, met_in);
met:
	bpf_spin_unlock(&storage->lock);
	return sk;
}

#ifndef AF_INET6
#define AF_INET6 10
#endif

/* Of a connection that has had no packet of its own, from the kernel's socket. */
static __always_inline void fill_conn_of(struct rec_conn *conn, struct sock *sk)
{
	const struct sock_common *c = &sk->__sk_common;
	const __u32 *remote = (const __u32 *)conn->remote_addr;

	conn->family = 4;
	if (c->skc_family == AF_INET6) {
		bpf_probe_read_kernel(conn->local_addr, 16, &c->skc_v6_rcv_saddr);
		bpf_probe_read_kernel(conn->remote_addr, 16, &c->skc_v6_daddr);
		if (remote[0] || remote[1] || remote[2] != bpf_htonl(0xffff)) /* not v4-mapped */
			conn->family = 6;
	}
	if (conn->family == 4) {
		__builtin_memset(conn->local_addr, 0, sizeof(conn->local_addr));
		__builtin_memset(conn->remote_addr, 0, sizeof(conn->remote_addr));
		*(__u32 *)conn->local_addr = c->skc_rcv_saddr;
		*(__u32 *)conn->remote_addr = c->skc_daddr;
	}
	conn->local_port = c->skc_num;
	conn->remote_port = bpf_ntohs(c->skc_dport);
}

/*
 * A thread reads from a socket of which no packet was seen: what its listening socket has met. As
 * meet(); not inlined for the same reason.
 */
static __noinline struct socket *meet_in_read(struct sock *ksk)
{
	struct rec_conn conn = {};
	struct storage *storage;
	struct listener *l;
	struct tcp_sock *tp;
	struct socket *sk;
	__u32 in, out, first, retrans, sample, met_in = generation;

	l = bpf_sk_storage_get(&listeners, ksk, 0, 0);
	tp = l ? bpf_skc_to_tcp_sock(ksk) : 0;
	if (!tp || !capture_from || !is_attached(l))
		return 0;
	in = tp->rcv_nxt;
	out = tp->snd_nxt;
	first = in - (__u32)tp->bytes_received;
	retrans = tp->total_retrans;
	conn.cookie = bpf_get_socket_cookie(ksk);
	/* As in sample_of(). */
	sample = sample_hash(sample_key(first - (out - (__u32)tp->bytes_acked)));
	if (tp->bytes_acked > 1 || out != tp->snd_una || !is_sampled(sample))
		return 0;
	conn.cgroup_id = l->cgroup_id;
	conn.target = l->target;
	conn.slot = l->slot;
	fill_conn_of(&conn, ksk);
	storage = storage_made(&sockets, ksk);
	if (!storage)
		return 0; /* the first packet will meet it */
	sk = &storage->socket;
	bpf_spin_lock(&storage->lock);
	if (is_current(sk))
		goto met;
	__builtin_memset(sk, 0, sizeof(*sk));
	sk->retrans = retrans;
	sk->sample = sample;
	sk->dir_in.start = sk->dir_in.passed.next = sk->dir_in.passed.whole = in;
	sk->dir_out.start = sk->dir_out.passed.next = sk->dir_out.passed.whole = out;
	sk->dir_out.marks = MARK_HEARD;
	sk->dir_in.ack = out;
	sk->dir_out.ack = in;
	sk->dir_in.window = WINDOW_HEAD;
	sk->capture = l->capture;
	sk->protocols = l->protocols;
	inherit(sk, first);
	sk->depth = l->depth;
	sk->conn = conn;
	/* Last: it marks the rest as complete. */
	__sync_lock_test_and_set(&sk->conn.generation, met_in);
met:
	bpf_spin_unlock(&storage->lock);
	return sk;
}

/* After data in the SYN: now the peer's sequence numbers are known. */
static __always_inline void peer_answers(struct socket *sk, struct bpf_sock *ss,
					 const struct segment *s, int dir)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(ss);
	struct storage *storage = (struct storage *)sk;
	struct extent *in = &sk->dir_in.passed;
	__u32 start = s->ack;

	if (dir == DIR_IN)
		start = tp && !(s->flags & TCP_SYN) ? READ_ONCE(tp->rcv_nxt) : s->seq;
	bpf_spin_lock(&storage->lock);
	if (sk->alone) {
		sk->dir_in.start = in->next = in->whole = start;
		sk->dir_out.ack = sk->dir_out.begun_ack = start;
		sk->alone = 0;
	}
	bpf_spin_unlock(&storage->lock);
}

/*
 * TCP obeys a reset only at the very sequence number that it expects (RFC 5961 section 3.2). What
 * waits in the socket's backlog has passed here, but not there.
 */
static __always_inline bool reset_is_obeyed(struct bpf_sock *ss, const struct segment *s,
					    const struct extent *passed)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(ss);

	return !tp || s->seq == READ_ONCE(tp->rcv_nxt) || s->seq == passed->next;
}

/* The end of a chunked body can be cut by segments: keeps the last bytes of one for the next. */
static __always_inline void keep_last(struct __sk_buff *skb, struct direction *self,
				      const struct emission *e, __u32 next)
{
	__u32 old = next - e->s.seq; /* bytes sent again in front of the others */
	__u32 len = e->s.len;
	__u64 last = 0;

	if ((__s32)old > 0)
		len -= old;
	if (e->holes || (__s32)len <= 0) {
		self->last = 0;
	} else if (len >= sizeof(last)) {
		bpf_skb_load_bytes(skb, skb->len - sizeof(last), &last, sizeof(last));
		self->last = last;
	} else {
		barrier_var(len);
		len = ((len - 1) & 7) + 1;
		bpf_skb_load_bytes(skb, skb->len - len, &last, len);
		self->last = APPEND(self->last, last, 8 * len);
	}
}

/* The reader learns of all that is in the ring; the sweep reports the rest. */
static __always_inline void publish(struct direction *self, struct emission *e, __u32 end,
				    const int dir)
{
	struct extent x = self->passed;

	if ((__s32)(end - x.next) > 0 || e->filled)
		self->ts_ns = passed_ns(e);
	extent_add(&x, e->s.seq, end);
	extent_reach(&x, e->whole);
	if (dir == DIR_OUT) {
		x.whole = x.next; /* what was sent unseen is not sent again */
		x.holes = HOLE_NONE;
	}
	self->passed = x;
	self->pending = !e->reported || x.whole != e->whole || x.holes == HOLE_MANY;
	if (x.holes == HOLE_MANY || (e->reported && x.whole != e->whole))
		held_back = 1;
}

/* TCP may know more of what it has received: what passed before the attach, too. */
static __always_inline void reach_by_tcp(struct bpf_tcp_sock *tp, struct socket *sk,
					 struct extent *x)
{
	__u32 rcv_nxt;

	if (!tp)
		return;
	rcv_nxt = READ_ONCE(tp->rcv_nxt);
	if ((__s32)(rcv_nxt - x->next) > (sk->dir_in.marks & MARK_FIN)) {
		widen(sk); /* perhaps the listening socket met it: there may be requests in it */
		x->next = x->whole = rcv_nxt;
		x->holes = HOLE_NONE;
	} else {
		extent_reach(x, rcv_nxt);
	}
}

/*
 * How far the sender of a segment had received the other direction; known: as far as it has said. A
 * FIN takes a number (RFC 9293 section 3.4), but is no byte.
 */
static __always_inline __u32 acked(const struct bpf_sock *ss, const struct segment *s, int dir,
				   __u32 known)
{
	const __u32 state = ss->state;

	if (!(s->flags & TCP_ACK)) /* a SYN, or a reset for a socket that is gone */
		return known;
	return s->ack - (dir == DIR_OUT && (state == BPF_TCP_CLOSE_WAIT ||
					    state == BPF_TCP_LAST_ACK || state == BPF_TCP_CLOSING));
}

/*
 * A peer acknowledges more than it had before: can it have that? If not TCP drops the segment (RFC
 * 9293 section 3.10.7.4).
 */
static __always_inline bool is_plausible(struct bpf_sock *ss, struct emission *e)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(ss);

	if (!tp)
		return true;
	e->written = tp->write_seq;
	return (__s32)(e->ack - e->written) <= 0;
}

/* A packet of a socket that is followed. */
static __always_inline void observe_packet(struct __sk_buff *skb, struct socket *sk,
					   struct direction *self, struct emission *e,
					   const int dir)
{
	struct bpf_sock *ss = skb->sk;
	struct bpf_tcp_sock *tp = 0;
	struct extent x;
	int told = FRAMES_NO;
	__u32 end, begun;
	__s32 ahead;

	if (!ss)
		return; /* never: asked for by the verifier */
	if (sk->alone && (e->s.flags & TCP_ACK)) {
		/* TCP takes no data before the peer's SYN. */
		if (dir == DIR_IN && ss->state == BPF_TCP_SYN_SENT && !(e->s.flags & TCP_SYN))
			return;
		peer_answers(sk, ss, &e->s, dir);
	}
	/* TCP stamps what it sends with its own monotonic clock, perhaps with a time to come. */
	e->ts_ns = dir == DIR_OUT ? skb->tstamp : 0;
	x = self->passed;
	e->ack = acked(ss, &e->s, dir, self->ack);
	e->holes = !!x.holes;
	if (dir == DIR_IN && (x.holes || !sk->fresh)) {
		tp = bpf_tcp_sock(ss);
		reach_by_tcp(tp, sk, &x);
	}
	if (dir == DIR_IN &&
	    ((__s32)(e->ack - self->ack) > 0 || ((self->marks & MARK_HEARD) && !self->ts_ns)) &&
	    !is_plausible(ss, e))
		return;
	if (!e->s.len) {
		e->whole = x.whole;
		if (dir == DIR_IN && (e->s.flags & TCP_RST) &&
		    !reset_is_obeyed(ss, &e->s, &self->passed))
			return;
		progress(skb, sk, self, e);
		return;
	}

	end = e->s.seq + e->s.len;
	ahead = e->s.seq - x.next;
	if (ahead < 0) {
		e->flags |= REC_OLD;
		if (dir == DIR_IN)
			sk->dup++;
	}
	if ((__s32)(end - x.next) > 0) {
		if ((__s32)(e->ack - self->ack) > 0 || !self->ts_ns) {
			if ((__s32)(e->ack - self->ack) > 0) {
				self->ack = e->ack;
				self->marks |= MARK_HEARD;
			}
			/* The listening socket met some, on another CPU, while this one was made. */
			if (dir == DIR_OUT && !self->ts_ns && sk->fresh &&
			    (__s32)(e->ack - sk->dir_in.passed.next) > 0)
				widen(sk);
			if (sk->request_dir == 1 + !dir)
				look_for_overtaking(sk, self, x.next);
			begun = self->start;
			/* Not e->s.seq: an earlier segment may be late. */
			self->start = self->turn = x.next;
			/* A head that is not at its end goes on, whatever it looks like. */
			if (self->window != WINDOW_HEAD ||
			    (sk->request_dir != 1 + dir && x.next - begun >= STATUS_LINE_MIN))
				self->window = WINDOW_NEW;
			self->burst = PROGRESS_BURST;
			/* Not for pieces of a head that answers to others come between. */
			if (sk->wide && sk->wide != WIDE_ALWAYS && sk->request_dir == 1 + dir &&
			    sk->framing.phase != FRAMING_IN_HEAD && !--sk->wide)
				sk->suspect = 0;
		}
	} else if (!e->holes || (__s32)(end - x.whole) <= 0) {
		return; /* sent again: every byte has been looked at */
	}
	if ((__s32)(self->turn - e->s.seq) >= 0 && (__s32)(end - self->turn) > 0)
		e->flags |= REC_FLIP;
	extent_add(&x, e->s.seq, end);
	if (dir == DIR_OUT)
		x.whole = x.next;
	else if (tp && x.holes)
		reach_by_tcp(tp, sk, &x);
	e->whole = x.whole;
	e->filled = e->holes && e->whole != self->passed.whole;
	e->holes = x.holes || end != x.next;
	if (frames && (sk->speaks != SPEAKS_HTTP || sk->switched))
		told = follow_segment(skb, sk, e);
	if (told == FRAMES_NO)
		told = capture(skb, sk, self, e, dir) ? FRAMES_TOLD : FRAMES_UNTOLD;
	if (told == FRAMES_UNTOLD)
		progress(skb, sk, self, e);
	/* A message whose end is counted needs no last bytes. */
	if (sk->wide ||
	    (sk->request_dir == 1 + dir ? sk->framing.phase : sk->reply_phase) != FRAMING_HEAD)
		keep_last(skb, self, e, self->passed.next);
	else
		self->last = 0;
	publish(self, e, end, dir);
}

static __always_inline void observe(struct __sk_buff *skb, int dir)
{
	struct target_conf *conf;
	struct direction *self;
	struct emission e = {};
	struct bpf_sock *ss;
	struct socket *sk;

	if (!capture_from || !parse_segment(skb, &e.s))
		return;
	conf = bpf_get_local_storage(&targets, 0);
	ss = skb->sk;
	if (!ss || !conf->target)
		return;
	if (e.s.flags & TCP_SYN) {
		if (identity)
			see_handshake(skb, ss, &e.s, dir);
		if (!e.s.len && !(e.s.flags & (TCP_FIN | TCP_RST)))
			return;
	}
	e.dir = dir;
	e.seq = e.s.seq;
	e.len = e.s.len;
	sk = bpf_sk_storage_get(&sockets, ss, 0, 0);
	if (sk && !is_sampled(sk->sample)) {
		if (sk->conn.generation)
			sk->conn.generation = 0; /* met again when it is */
		return;
	}
	if (!sk || !is_current(sk) || orphaned(sk, conf) || asks_for_more(skb, sk, conf)) {
		if (!e.s.len && !is_heir(skb))
			return;
		if (ss->state == BPF_TCP_LISTEN) {
			/* Resets for others are sent in its name. */
			if (dir == DIR_IN)
				observe_listener(skb, &e, conf);
			return;
		}
		if (!is_sampled(sample_of(skb, ss)))
			return; /* most, if the host has set a ceiling */
		if (is_path_of_several(skb))
			return;
		sk = meet(skb, ss, &e.s, dir, conf);
		if (!sk)
			return;
	}
	if (sk->speaks == SPEAKS_OTHER || !owns(skb, sk, conf))
		return;

	self = DIRECTION(sk, dir);
	if (dir == DIR_IN)
		take_turn(self);
	observe_packet(skb, sk, self, &e, dir);
	if (dir == DIR_IN)
		end_turn(self);
}

/*
 * Attached to both hooks, so that the verifier works through what they share once. A packet that the
 * machine sends itself has come in by no interface, loopback's neither. Both ways are written out:
 * with the direction in a variable Linux 6.1 refuses the program.
 */
SEC("cgroup_skb/ingress")
int appmon_packet(struct __sk_buff *skb)
{
	if (skb->ingress_ifindex)
		observe(skb, DIR_IN);
	else
		observe(skb, DIR_OUT);
	return 1;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int appmon_read(__u64 *ctx)
{
	struct sock *ksk = (struct sock *)ctx[0];
	struct socket *sk;
	struct owner *o;

	/* This runs for every socket of the machine: most leave before a helper is called. */
	if (!ksk->sk_bpf_storage)
		return 0;
	sk = bpf_sk_storage_get(&sockets, ksk, 0, 0);
	if (!sk)
		sk = meet_in_read(ksk);
	if (!sk)
		return 0;
	o = see_read(ksk, sk);
	if (o && links)
		emit_read(sk, o, reads_block(ksk));
	return 0;
}

/*
 * The application closes the socket. TCP reports this by what it sends (FIN, RST), but
 * not if the FIN is out already, or if the socket closes silently: the kernel replaces a
 * closed socket by a time-wait one, which the programs above do not see.
 */
SEC("cgroup/sock_release")
int appmon_release(struct bpf_sock *ctx)
{
	struct socket *sk = bpf_sk_storage_get(&sockets, ctx, 0, 0);

	if (!sk || sk->closed)
		return 1;
	sk->closed = 1;
	if (tls_go)
		tls_go_closed(sk->conn.cookie);
	if (speaks_known(sk) && (sk->dir_out.marks & MARK_FIN) && is_current(sk))
		emit_state(sk, DIR_OUT, REC_CLOSED);
	return 1;
}

/*
 * The library reads this when it waits for the end of a body whose last progress was held back by
 * the rate limit, if no packet has followed.
 */
static __always_inline int sweep_socket(struct seq_file *seq, struct socket *sk, struct sock *ksk)
{
	struct extent passed;
	struct tcp_sock *tp;
	struct rec r;

	if (!speaks_known(sk) || !is_current(sk))
		return 0;
	tp = bpf_skc_to_tcp_sock(ksk);
	for (int dir = 0; dir < 2; dir++) {
		struct direction *self = DIRECTION(sk, dir);

		if (!self->pending)
			continue;
		self->pending = 0;
		passed = self->passed;
		if (dir == DIR_IN && tp)
			extent_reach(&passed, tp->rcv_nxt);
		fill_state(&r, sk, dir, &passed, REC_SWEPT);
		bpf_seq_write(seq, &r, sizeof(r));
	}
	return 0;
}

/* Every socket that has a state. */
SEC("iter/bpf_sk_storage_map")
int appmon_sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct socket *sk = ctx->value;
	struct sock *ksk = ctx->sk;

	return ksk && sk ? sweep_socket(ctx->meta->seq, sk, ksk) : 0;
}

/* Where the kernel refuses that: every socket among the open files of every process. */
SEC("iter/task_file")
int appmon_sweep_files(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket___kernel *socket;
	struct socket *sk;
	struct sock *ksk;

	if (!file)
		return 0;
	socket = (void *)bpf_sock_from_file(file);
	ksk = socket ? socket->sk : NULL;
	if (!ksk)
		return 0;
	sk = bpf_sk_storage_get(&sockets, ksk, 0, 0);
	return sk ? sweep_socket(ctx->meta->seq, sk, ksk) : 0;
}
