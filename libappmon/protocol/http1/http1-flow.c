/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.x on a connection: two streams of messages, and which response answers which request
 * (RFC 9112 sections 6 and 9.3).
 *
 * Responses come in the order of the requests, so that a queue pairs them. Where bytes were missed,
 * order alone would lie; then causality decides: a response cannot begin at a position that the
 * server had sent before the request arrived (exchange.floor). Where that does not decide
 * either, nothing is paired.
 *
 * STREAM_OPEN is a message whose end cannot be counted: its head was longer than the capture
 * limit, or a chunk header lay outside the captured bytes, or what delimits it cannot be read. It
 * ends with the last chunk at the end of a segment, with the next message of this direction, with
 * the answer of the other one, or with FIN.
 */
#include <string.h>

#include "protocol/http1/http1-event.h"
#include "protocol/http1/proxy.h"
#include "protocol/protocol.h"

static void head_feed(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n,
		      bool final, const struct chunk *chunk);

/* Begins of start lines that are looked at again with more. */
#define SHORT_START 16

/* A connection that is silent for so long has nothing outstanding. */
#define QUIET_NS (2 * NSEC_PER_SEC)
#define QUIET_REFUSED_NS (30 * NSEC_PER_SEC)

static int request_dir(const struct conn *c)
{
	return c->request_dir - 1;
}

/* ---- the connection as a whole --------------------------------------------------------------- */

/* How far a message got that will not be complete. */
static void measure_partial(struct conn *c, struct exchange *ex)
{
	struct stream *s;

	if (!c->request_dir)
		return;
	s = &c->stream[request_dir(c)];
	if (ex == exchange_requesting(c) && ex->request && s->state != STREAM_HEAD) {
		ex->request_body = s->seen > s->pos ? s->seen - s->pos : 0;
		ex->request_end_ns = 0;
	}
	s = &c->stream[!request_dir(c)];
	if (ex == exchange_awaiting(c) && ex->response_begun && s->state != STREAM_HEAD)
		ex->response_body = s->seen > s->pos ? s->seen - s->pos : 0;
}

/* Go on with the next head that can be found. */
static void stream_lose(struct stream *s)
{
	s->state = STREAM_SYNC;
	s->missed = 1;
}

static void head_forget(struct pipeline *pl, struct stream *s)
{
	pool_free(&pl->pool, s->head);
	s->head = NULL;
	s->head_len = 0;
}

/* Most bytes of a head that the host gets. */
static uint32_t capture_of(struct pipeline *pl, const struct conn *c)
{
	const struct target *target = target_of(pl, &c->id);

	return target ? target->capture : CAPTURE_MAX;
}

/* No more of a head that has begun will come: make do with what is here. */
static void head_close(struct pipeline *pl, struct conn *c, int dir)
{
	struct stream *s = &c->stream[dir];
	struct chunk chunk = {.ts_ns = s->head_ns, .other_pos = c->stream[!dir].seen};

	if (s->state == STREAM_HEAD && s->head_len)
		head_feed(pl, c, dir, "", 0, true, &chunk);
}

/* What has come of a head after the last answer, and was to be more of what that answered. */
static bool is_rest(struct conn *c, int dir)
{
	const struct stream *s = &c->stream[dir];

	return s->over && s->state == STREAM_HEAD && s->head_len &&
	       http1_look(HTTP1_REQUEST, s->head, s->head_len) != HTTP1_LOOK_YES;
}

/* An answer to what there is of a request's head: the rest of it may still come. */
static void head_answered(struct pipeline *pl, struct conn *c, int dir)
{
	struct stream *s = &c->stream[dir];
	bool partial = s->state == STREAM_HEAD && s->head_len;

	head_close(pl, c, dir);
	s->over = partial;
}

static void http1_flow_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	struct exchange *ex;
	struct stream *reply;

	/* The connection may end inside its first head. */
	for (int dir = 0; dir < 2 && !c->request_dir; dir++) {
		struct stream *s = &c->stream[dir];

		if (s->state == STREAM_HEAD && s->head_len &&
		    http1_look(HTTP1_REQUEST, s->head, s->head_len) != HTTP1_LOOK_NO)
			c->request_dir = (uint8_t)(1 + dir);
	}
	if (c->request_dir && !is_rest(c, request_dir(c)))
		head_close(pl, c, request_dir(c));
	/* Of a response that has begun the status counts, unless it is not certain whose it is. */
	reply = c->request_dir && end != APPMON_END_GAP ? &c->stream[!request_dir(c)] : NULL;
	if (reply && reply->head_len >= sizeof("HTTP/1.1 200") - 1)
		head_close(pl, c, !request_dir(c));
	while ((ex = exchange_at(c, c->exchanges.next))) {
		measure_partial(c, ex);
		if (ex == exchange_awaiting(c) && !ex->response_begun)
			exchange_owner(pl, ex);
		/* An answer given in full counts, whatever became of the request. */
		exchange_finish(pl, c, ex, ex->response_done ? APPMON_END_COMPLETE : end, flags);
	}
	for (int dir = 0; dir < 2; dir++) {
		struct stream *s = &c->stream[dir];

		head_forget(pl, s);
		if (s->state == STREAM_TUNNEL)
			continue;
		stream_lose(s);
	}
}

/* ---- ends of messages ------------------------------------------------------------------------ */

static void next_head(struct stream *s, uint64_t pos)
{
	s->state = STREAM_HEAD;
	s->pos = pos;
	s->head_len = 0;
	s->open_chunked = s->assumed = s->missed = s->guessed = s->lines = s->unread = 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The message of this direction ends at pos; ts_ns is when that byte passed. */
static void message_end(struct pipeline *pl, struct conn *c, int dir, uint64_t pos, uint64_t ts_ns,
			uint64_t flags)
{
	struct stream *s = &c->stream[dir];
	struct exchange *ex;

	if (dir == request_dir(c)) {
		ex = exchange_requesting(c);
		if (ex) {
			ex->request_body = pos - s->pos;
			ex->request_end_ns = later(ts_ns, ex->request_start_ns);
			ex->request_done = 1;
			ex->asked = c->stream[!dir].seen;
			ex->flags |= flags;
		}
	} else {
		ex = exchange_awaiting(c);
		if (ex && ex->response_begun) {
			ex->response_body = pos - s->pos;
			ex->response_end_ns = later(ts_ns, ex->response_start_ns);
			ex->response_done = 1;
			ex->flags |= flags;
		}
	}
	next_head(s, pos);
	exchanges_settle(pl, c);
}

/* From stream.pos on bytes are the tunnel's. */
static void tunnel_count(struct pipeline *pl, struct conn *c, struct stream *s)
{
	if (s->seen <= s->pos)
		return;
	STAT_ADD(pl, target_of(pl, &c->id), tunnel_bytes, s->seen - s->pos);
	s->pos = s->seen;
}

static void tunnel_begin(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t pos)
{
	c->stream[!request_dir(c)].pos = pos;
	for (int dir = 0; dir < 2; dir++) {
		c->stream[dir].state = STREAM_TUNNEL;
		tunnel_count(pl, c, &c->stream[dir]);
	}
	if (!ex)
		return;
	ex->response_end_ns = ex->response_end_ns ? ex->response_end_ns : ex->response_start_ns;
	ex->response_done = 1;
	while (!list_empty(&c->exchanges)) {
		struct exchange *first = exchange_at(c, c->exchanges.next);

		exchange_finish(pl, c, first, first == ex ? APPMON_END_UPGRADED : APPMON_END_CLOSED,
				first == ex ? APPMON_EVF_UPGRADED : 0);
	}
}

/* ---- heads ----------------------------------------------------------------------------------- */

/* Which response answers which request cannot be told any more on this connection. */
static void pairing_lost(struct pipeline *pl, struct conn *c)
{
	for (struct list_node *n = c->exchanges.next; n != &c->exchanges; n = n->next)
		c->refused += !exchange_at(c, n)->response_begun;
	http1_flow_end(pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	c->broken = 1;
}

/* Bytes of requests passed unseen: with pipelining, of how many cannot be told. */
static void request_missed(struct conn *c)
{
	c->request_missed = 1;
}

/* A request was counted and dropped: its answer must not go to another one. */
static void unqueued(struct conn *c)
{
	c->gapped = 1;
	c->refused++;
	if (exchange_awaiting(c))
		c->broken = 1;
	else
		c->unqueued = 1;
}

/* h: what is kept of a head of len bytes. */
static struct head *head_keep(struct pipeline *pl, const struct http1_head *h, const char *bytes,
			      uint32_t len)
{
	size_t fields = offsetof(struct http1_head, field) + h->field_count * sizeof(h->field[0]);
	struct head *head =
		pool_alloc_evicting(&pl->pool, offsetof(struct head, h) + fields + h->head_len + 1);

	if (!head)
		return NULL;
	memcpy(&head->h, h, fields);
	head->len = len;
	head->bytes = (char *)&head->h + fields;
	memcpy(head->bytes, bytes, h->head_len);
	return head;
}

static uint64_t head_flags(const struct http1_head *h)
{
	uint64_t flags = 0;

	if (h->truncated)
		flags |= APPMON_EVF_TRUNCATED;
	if (h->flags & HTTP1_AMBIGUOUS)
		flags |= APPMON_EVF_AMBIGUOUS;
	if (h->flags & HTTP1_MALFORMED)
		flags |= APPMON_EVF_MALFORMED;
	return flags;
}

/* Where the body begins that framing describes, the stream goes on. */
static void body_begin(struct pipeline *pl, struct conn *c, int dir, const struct http1_head *h,
		       enum http1_framing framing, uint64_t length, uint64_t ts_ns)
{
	struct stream *s = &c->stream[dir];
	uint64_t begin = s->pos + h->head_len;

	s->head_len = 0;
	s->pos = begin;
	if (h->truncated) {
		/* The head goes on behind what was captured: where its body begins is not known. */
		s->state = STREAM_OPEN;
		s->open_chunked = !!(h->flags & HTTP1_CHUNKED);
		return;
	}
	switch (framing) {
	case HTTP1_BODY_NONE:
		message_end(pl, c, dir, begin, ts_ns, 0);
		break;
	case HTTP1_BODY_LENGTH:
		s->state = STREAM_BODY;
		s->end = begin + length;
		break;
	case HTTP1_BODY_CHUNKED:
		s->state = STREAM_CHUNKED;
		s->end = begin; /* next byte of the framing to look at */
		memset(&s->chunks, 0, sizeof(s->chunks));
		break;
	case HTTP1_BODY_CLOSE:
		/* A request cannot end so: what delimits it is not understood (RFC 9112
		 * section 6.3). */
		s->state = dir == request_dir(c) ? STREAM_OPEN : STREAM_CLOSE;
		s->unread = 1;
		/* To some the length still counts. */
		s->end = h->content_length < 0 ? UINT64_MAX : begin + (uint64_t)h->content_length;
		break;
	case HTTP1_BODY_UNREAD:
		s->state = STREAM_OPEN;
		s->unread = 1;
		break;
	case HTTP1_BODY_TUNNEL:
		break; /* the caller's */
	}
}

/* Inside a body of which bytes have passed that were not looked at: its end may be among them. */
static bool is_uncounted(const struct stream *s)
{
	return s->state == STREAM_OPEN ||
	       (s->state == STREAM_CHUNKED && (int64_t)(s->seen - s->end) > 0);
}

/*
 * An upload ends without its last chunk having been seen. Requests may have passed unseen inside
 * it: what comes now is paired, nothing after it.
 */
static void unproven(struct conn *c, int dir)
{
	const struct stream *s = &c->stream[dir];

	/* A head that is longer than the capture is no reason to doubt the client, nor is framing
	 * that cannot be read where all of it was seen. */
	if (dir != request_dir(c) ||
	    (s->state == STREAM_OPEN && (!s->open_chunked || s->unread) && !s->missed))
		return;
	c->pipelined = 1;
	c->request_missed = 1;
}

/* Response bytes have passed where a head is due that has not come: its record was lost. */
static bool response_missed(const struct stream *s)
{
	return s->missed ||
	       (s->state == STREAM_HEAD && (int64_t)(s->seen - (s->pos + s->head_len)) > 0);
}

/* kept: what the host gets of it, which may be less. */
static void request_head(struct pipeline *pl, struct conn *c, int dir, const struct http1_head *h,
			 const struct http1_head *kept, const char *bytes,
			 const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];
	bool guessed = s->guessed;
	struct exchange *ex;
	uint64_t length = 0;
	enum http1_framing framing = http1_request_framing(h, &length);

	c->request_dir = (uint8_t)(1 + dir);
	s->over = 0;
	if (!c->fresh && !c->ordinal && h->method == APPMON_METHOD_OTHER) {
		/* Met in the middle of its method. */
		request_missed(c);
		stream_lose(s);
		return;
	}
	/* A missed request that has not been answered by now would get the answer to this one. */
	if (((c->unqueued || guessed) && s->head_pipelined) ||
	    (guessed && c->stream[!dir].head_len) || /* which answers one that was missed */
	    ((c->unqueued || c->request_missed) && c->pipelined) ||
	    (c->request_missed && !c->answer_unmatched && !response_missed(&c->stream[!dir])))
		c->broken = 1; /* those before it have their answers for sure */
	c->unqueued = c->request_missed = c->answer_unmatched = 0;
	if (c->broken) {
		exchange_refuse(pl, c, APPMON_DROP_GAP);
		c->refused++;
		body_begin(pl, c, dir, h, framing, length, chunk->ts_ns);
		return;
	}
	ex = exchange_new(pl, c);
	STAT_ADD(pl, target_of(pl, &c->id), requests, 1);
	if (!ex) {
		unqueued(c);
	} else {
		ex->method = (uint8_t)h->method;
		ex->request = head_keep(pl, kept, bytes, h->head_len);
		if (!ex->request) {
			/* Stays in the queue so that its response finds it. */
			ex->bad = 1 + APPMON_DROP_MEMORY;
		}
		ex->request_start_ns = s->head_ns;
		ex->request_end_ns = chunk->ts_ns;
		ex->floor = s->head_floor;
		exchange_number(c, ex, dir);
		ex->retrans = s->head_retrans;
		ex->dup = s->head_dup;
		ex->flags |= head_flags(h) | head_flags(kept);
		if (s->head_pipelined)
			ex->flags |= APPMON_EVF_PIPELINED;
		if (h->flags & HTTP1_CHUNKED)
			ex->flags |= APPMON_EVF_CHUNKED_REQUEST;
		if (dir == DIR_OUT)
			exchange_owner(pl, ex);
		cause_request(pl, c, ex, dir);
	}
	body_begin(pl, c, dir, h, framing, length, chunk->ts_ns);
}

/*
 * A response begins at pos after response bytes were missed. Without pipelining all earlier
 * responses were complete when a request came, so that its own begins exactly at its floor: that
 * exchange is meant, and the others, whose floor lies below, have lost theirs. Anything less than
 * that is no proof: the request that is meant may have been missed as well.
 */
static void resync_response(struct pipeline *pl, struct conn *c, uint64_t pos)
{
	struct exchange *ex = exchange_awaiting(c);
	bool lost = false;

	if (ex && pos == ex->floor)
		return; /* met in the middle, and nothing is missing between the two */
	c->gapped = 1;
	if (c->pipelined || c->broken) {
		pairing_lost(pl, c);
		return;
	}
	while ((ex = exchange_at(c, c->exchanges.next)) &&
	       (ex->response_done || (int64_t)(pos - ex->floor) > 0)) {
		lost |= !ex->response_done;
		exchange_finish(pl, c, ex, ex->response_done ? APPMON_END_COMPLETE : APPMON_END_GAP,
				ex->response_done ? 0 : APPMON_EVF_GAP);
	}
	/* If this is no response but more of the one before, the last one's is still to come. */
	if (lost && !ex)
		c->unqueued = 1;
}

static void response_head(struct pipeline *pl, struct conn *c, int dir, const struct http1_head *h,
			  const struct http1_head *kept, const char *bytes,
			  const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];
	struct exchange *ex = exchange_awaiting(c);
	struct stream *req = &c->stream[!dir];
	struct target *target = target_of(pl, &c->id);
	enum http1_framing framing;
	uint64_t length = 0;

	if (!c->request_dir)
		c->request_dir = (uint8_t)(1 + !dir);
	if (h->status < 200 && h->status != 101) {
		if (ex) {
			ex->flags |= APPMON_EVF_CONTINUED;
			if (dir == DIR_OUT)
				exchange_owner(pl, ex);
		}
		next_head(s, s->pos + h->head_len);
		return;
	}
	STAT_ADD(pl, target, responses, 1);
	/* All requests before it are answered: this answers what there is of another, as 408. */
	if (!ex && !c->unqueued && !c->refused && !c->broken && !req->guessed &&
	    (int64_t)(s->pos - req->head_floor) >= 0 && req->state == STREAM_HEAD &&
	    req->head_len) {
		head_answered(pl, c, !dir);
		ex = exchange_awaiting(c);
	}
	if (c->unqueued || (ex && (int64_t)(s->pos - ex->floor) < 0))
		ex = NULL; /* to a request that is not in the queue */
	c->unqueued = 0;
	if (ex && c->pipelined && exchange_requesting(c) == ex && req->state == STREAM_OPEN &&
	    !req->over) {
		/* Requests may have passed unseen behind the upload that it answers. */
		pairing_lost(pl, c);
		ex = NULL;
	}
	if (!ex && !c->ordinal && !c->fresh) {
		/* The request passed before the attach. */
		ex = exchange_new(pl, c);
		if (ex) {
			ex->flags |= APPMON_EVF_MID_MESSAGE;
			ex->request_done = 1;
			/* In front of requests that came since. */
			list_remove(&ex->link);
			list_prepend(&c->exchanges, &ex->link);
		}
	} else if (!ex && c->refused) {
		c->refused--;
	} else if (!ex && !(chunk->flags & CHUNK_LOST)) {
		/* Such as 408 on an idle connection; or its request passed uncaptured behind
		 * another. One whose record was lost is counted by the programs. */
		exchange_refuse(pl, c, c->gapped ? APPMON_DROP_GAP : APPMON_DROP_ORPHAN);
	}
	if (!ex)
		c->answer_unmatched = 1;
	framing = http1_response_framing(h, ex ? ex->method : APPMON_METHOD_UNKNOWN, &length);
	if (ex) {
		/* The end of an upload that was not counted is told by its answer. */
		if (exchange_requesting(c) == ex && is_uncounted(req)) {
			unproven(c, !dir);
			message_end(pl, c, !dir, chunk->other_pos,
				    chunk->other_ts_ns ? chunk->other_ts_ns : ex->request_end_ns,
				    APPMON_EVF_INFERRED_END);
			req->guessed = 1;
		}
		if (!ex->request_done)
			ex->flags |= APPMON_EVF_EARLY_RESPONSE;
		ex->response = head_keep(pl, kept, bytes, h->head_len);
		if (!ex->response && !ex->bad)
			ex->bad = 1 + APPMON_DROP_MEMORY;
		if (dir == DIR_OUT)
			exchange_owner(pl, ex);
		cause_response(pl, c, ex);
		exchange_number_response(c, ex, dir);
		/* After a loss it may be taken for the answer to a request that came after it. */
		ex->response_start_ns = later(s->head_ns, ex->request_start_ns);
		ex->response_begun = 1;
		ex->flags |= head_flags(h) | head_flags(kept);
		if (h->flags & HTTP1_CHUNKED)
			ex->flags |= APPMON_EVF_CHUNKED_RESPONSE;
		if (http1_persists(h) && (!ex->request || http1_persists(&ex->request->h)) &&
		    framing != HTTP1_BODY_CLOSE)
			ex->flags |= APPMON_EVF_KEEP_ALIVE;
	}
	/* Was it a HEAD request? Then this has no body, whatever it says. */
	s->assumed = framing != HTTP1_BODY_NONE && !(ex && ex->method);
	if (s->assumed && c->pipelined && !conn_accounted(c, chunk->flags & CHUNK_LOST))
		pairing_lost(pl, c);
	if (framing == HTTP1_BODY_TUNNEL) {
		s->head_len = 0;
		tunnel_begin(pl, c, ex, s->pos + h->head_len);
		return;
	}
	body_begin(pl, c, dir, h, framing, length, chunk->ts_ns);
}

/*
 * The first answer on a connection is no status line, but what else could it be? Nothing was
 * missed, one request is open, and these are the first bytes that its server says.
 */
static bool answers_oddly(struct conn *c)
{
	struct exchange *ex = exchange_awaiting(c);

	return ex && c->ordinal == 1 && !ex->response_begun && !ex->floor &&
	       !(ex->flags & APPMON_EVF_CONTINUED) && c->fresh && !c->gapped && !c->lost &&
	       !c->pipelined && !c->broken;
}

/* HTTP/0.9 (RFC 1945 section 6), ICY: a body without a head, up to FIN or the next request. */
static void odd_answer(struct pipeline *pl, struct conn *c, int dir)
{
	struct stream *s = &c->stream[dir];
	struct exchange *ex = exchange_awaiting(c);

	s->state = STREAM_OPEN;
	s->pos = ex->floor; /* empty lines in front of it, too */
	s->missed = 0;
	if (!ex->request_done)
		ex->flags |= APPMON_EVF_EARLY_RESPONSE;
	if (dir == DIR_OUT)
		exchange_owner(pl, ex);
	cause_response(pl, c, ex);
	ex->flags |= APPMON_EVF_NO_STATUS_LINE;
	ex->response_start_ns = later(s->head_ns, ex->request_start_ns);
	ex->response_begun = 1;
}

/* What begins here is not a head that can be read: go on with the next that is. */
static void head_bad(struct pipeline *pl, struct conn *c, int dir, enum http1_kind kind,
		     uint32_t reason)
{
	struct stream *s = &c->stream[dir];
	bool guessed = s->guessed;
	struct exchange *ex;

	stream_lose(s);
	s->head_len = 0;
	if (!c->request_dir)
		c->request_dir = (uint8_t)(1 + (kind == HTTP1_REQUEST ? dir : !dir));
	if (dir != request_dir(c)) {
		if (answers_oddly(c)) {
			odd_answer(pl, c, dir);
			return;
		}
		c->gapped = 1;
		/* The rest of an unframed response, or no HTTP: nothing can be paired for sure. */
		if (c->pipelined)
			pairing_lost(pl, c);
		return;
	}
	if (c->broken)
		return;
	if (guessed) {
		request_missed(c);
		return;
	}
	/* A placeholder keeps the queue aligned with the responses, a 400 most likely. */
	ex = exchange_new(pl, c);
	if (!ex) {
		unqueued(c);
		return;
	}
	ex->bad = (uint8_t)(1 + reason);
	ex->request_start_ns = ex->request_end_ns = s->head_ns;
	ex->floor = s->head_floor;
	exchange_number(c, ex, dir);
	ex->request_done = 1;
}

static enum http1_kind kind_of(const struct conn *c, int dir, const char *bytes, size_t len)
{
	if (c->request_dir)
		return dir == request_dir(c) ? HTTP1_REQUEST : HTTP1_RESPONSE;
	return http1_look(HTTP1_RESPONSE, bytes, len) == HTTP1_LOOK_YES ? HTTP1_RESPONSE
									: HTTP1_REQUEST;
}

/* No byte of a response since the last request: that has no answer yet. */
static bool unanswered(struct conn *c, int dir)
{
	struct exchange *last = exchange_at(c, c->exchanges.prev);

	return last && last->request_done && !last->response_begun &&
	       last->asked == c->stream[!dir].seen;
}

/* Does a request that comes now, or part of it, come before the answer to an earlier one? */
static bool is_pipelined(struct conn *c, int dir)
{
	return (exchange_awaiting(c) || c->unqueued) &&
	       (!response_missed(&c->stream[!dir]) || unanswered(c, dir));
}

/*
 * Bytes of requests that cannot be placed. Two traces of request lines since the last head that
 * was understood, or bytes that come before the last request's answer, are pipelining.
 */
static void ignored(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	struct stream *s = &c->stream[dir];

	if (!n || (c->request_dir && dir != request_dir(c)))
		return;
	for (uint32_t i = 0; i + 5 <= n && s->lines < 2; i++)
		s->lines += !memcmp(bytes + i, "TP/1.", 5) ||
			    (!memcmp(bytes + i, "\r\n\r\n", 4) && bytes[i + 4] >= 'A');
	if (c->pipelined ? !s->lines : s->lines < 2 && !is_pipelined(c, dir))
		return;
	c->pipelined = 1;
	request_missed(c);
}

/* len bytes that begin with a head which was not taken for a request: others may follow. */
static void head_ignored(struct conn *c, int dir, const struct http1_head *h, const char *bytes,
			 uint32_t len)
{
	uint64_t length = 0, end = h->head_len;

	if (http1_request_framing(h, &length) == HTTP1_BODY_LENGTH)
		end = length < len - end ? end + length : len;
	c->stream[dir].lines = 1;
	ignored(c, dir, bytes + end, len - (uint32_t)end);
}

/* What there is of a head and n bytes more, in memory of its own; takes stream.head over. */
static char *head_join(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n)
{
	struct stream *s = &c->stream[dir];
	char *joined = pool_alloc_evicting(&pl->pool, s->head_len + n);

	if (joined) {
		if (s->head)
			memcpy(joined, s->head, s->head_len);
		memcpy(joined + s->head_len, bytes, n);
		pool_free(&pl->pool, s->head);
		s->head = NULL;
		return joined;
	}
	if (s->head)
		ignored(c, dir, s->head, s->head_len);
	head_forget(pl, s);
	stream_lose(s);
	c->gapped = 1;
	if (!c->request_dir || dir == request_dir(c)) {
		exchange_refuse(pl, c, APPMON_DROP_MEMORY);
		c->refused++;
		request_missed(c);
		ignored(c, dir, bytes, n);
	}
	return NULL;
}

/* It follows an answer, and a long silence. Where requests are without an answer as far as is
 * known, a much longer one: a slow server may still give it. */
static bool is_quiet(const struct conn *c, const struct chunk *chunk)
{
	uint64_t last_ns = later(c->active_ns, chunk->other_ts_ns);
	bool due = c->refused || (c->request_missed && c->pipelined);

	return (chunk->flags & CHUNK_TURN) && c->active_ns &&
	       chunk->ts_ns >= last_ns + (due ? QUIET_REFUSED_NS : QUIET_NS);
}

/*
 * A request after a long silence: what was asked before has been answered, or nobody waits for it
 * any more. Pairing begins anew here.
 */
static void heal(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir], *other = &c->stream[!dir];
	struct exchange *ex;

	if (!is_quiet(c, chunk))
		return;
	/* Those would get the answers of others. */
	while ((ex = exchange_at(c, c->exchanges.next))) {
		bool done = ex->response_done;

		measure_partial(c, ex);
		exchange_finish(pl, c, ex, done ? APPMON_END_COMPLETE : APPMON_END_GAP,
				done ? 0 : APPMON_EVF_GAP);
	}
	c->broken = c->pipelined = c->wide = c->unqueued = c->request_missed = 0;
	c->answer_unmatched = s->guessed = 0;
	c->refused = 0;
	if (other->state == STREAM_TUNNEL)
		return;
	head_forget(pl, other);
	next_head(other, s->head_floor);
}

static void head_begin(struct pipeline *pl, struct conn *c, int dir, enum http1_kind kind,
		       const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];
	struct exchange *ex;

	s->head_ns = chunk->ts_ns;
	s->head_floor = chunk->other_pos;
	s->head_retrans = c->retrans;
	s->head_dup = c->dup;
	if (kind == HTTP1_RESPONSE)
		return;
	if (c->broken || list_empty(&c->exchanges))
		heal(pl, c, dir, chunk);
	/* Without pipelining the answer that fitted no request was to the one that waits. */
	while (c->answer_unmatched && !c->pipelined && (ex = exchange_awaiting(c)))
		exchange_finish(pl, c, ex, APPMON_END_GAP, APPMON_EVF_GAP);
	s->head_pipelined = is_pipelined(c, dir);
	c->pipelined |= s->head_pipelined;
}

/*
 * n more bytes of a head; final: no more of it will be seen. Most heads come whole and are parsed
 * where they lie in the ring.
 */
static void head_feed(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n,
		      bool final, const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];
	uint32_t before = s->head_len, len = before + n, limit = capture_of(pl, c);
	char *joined = NULL;
	struct http1_head h, cut, *kept = &h;
	enum http1_kind kind;
	int r;

	if (before && n) {
		joined = head_join(pl, c, dir, bytes, n);
		if (!joined)
			return;
	} else if (before) {
		joined = s->head;
		s->head = NULL;
	}
	if (joined)
		bytes = joined;
	final = final || len >= CAPTURE_MAX;
	kind = kind_of(c, dir, bytes, len);
	if (!before)
		head_begin(pl, c, dir, kind, chunk);
	/* Of a few bytes it was not to be seen that they begin no head. */
	r = http1_parse_head(kind, bytes, len, before < SHORT_START ? 0 : before, final, &pl->keep,
			     &h);
	if (r == HTTP1_PARTIAL && !final) {
		s->head = joined ? joined : head_join(pl, c, dir, bytes, n);
		s->head_len = s->head ? len : 0;
		return;
	}
	s->head_len = 0;
	if (r < 0 ? len > limit : h.head_len > limit) {
		/* Where its body begins is known all the same, if it is well-formed. */
		/* cppcheck-suppress uninitvar ; the next line writes it */
		kept = r < 0 ? &h : &cut;
		r = http1_parse_head(kind, bytes, limit, 0, true, &pl->keep, kept);
	}
	if (r < 0) {
		head_bad(pl, c, dir, kind,
			 r == HTTP1_PARTIAL ? APPMON_DROP_TRUNCATED : APPMON_DROP_PARSE);
	} else if (kind == HTTP1_REQUEST) {
		request_head(pl, c, dir, &h, kept, bytes, chunk);
		if (s->state == STREAM_SYNC)
			head_ignored(c, dir, &h, bytes, len);
	} else {
		response_head(pl, c, dir, &h, kept, bytes, chunk);
	}
	pool_free(&pl->pool, joined);
}

/*
 * n bytes at the begin of a connection. True: they belong to a PROXY protocol header, which passes
 * as a body does.
 */
static bool proxy_feed(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n,
		       const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];
	char first[PROXY_BYTES];
	uint32_t old = s->head_len < sizeof(first) ? s->head_len : sizeof(first), len = 0;
	uint32_t more = n < sizeof(first) - old ? n : (uint32_t)sizeof(first) - old;

	if (old)
		memcpy(first, s->head, old);
	memcpy(first + old, bytes, more);
	switch (proxy_read(first, old + more, &len, &c->proxied)) {
	case PROXY_FOUND:
		head_forget(pl, s);
		c->request_dir = (uint8_t)(1 + dir);
		s->state = STREAM_BODY;
		s->end = len;
		return true;
	case PROXY_PARTIAL:
		/* It may turn out to be a request. */
		if (!old)
			head_begin(pl, c, dir, HTTP1_REQUEST, chunk);
		s->head = head_join(pl, c, dir, bytes, n);
		s->head_len = s->head ? s->head_len + n : 0;
		return true;
	default:
		return false;
	}
}

/* The head here ends unseen, or was missed altogether. */
static void head_gap(struct pipeline *pl, struct conn *c, int dir)
{
	struct stream *s = &c->stream[dir];
	bool partial = s->head_len > 0;

	if (s->state != STREAM_HEAD)
		return;
	if (partial && s->head_len >= capture_of(pl, c)) {
		head_close(pl, c, dir); /* no more of it is captured */
		if (s->state != STREAM_HEAD)
			return;
		partial = false;
	}
	c->gapped = 1;
	if (partial) {
		struct exchange *ex;

		head_close(pl, c, dir);
		ex = c->request_dir && dir == request_dir(c) ? exchange_requesting(c)
							     : exchange_awaiting(c);
		if (ex)
			ex->flags |= APPMON_EVF_GAP;
	}
	if (s->state == STREAM_HEAD)
		stream_lose(s);
	else if (c->request_dir && dir == request_dir(c))
		s->missed = 1;
	/* Part of one request, or with pipelining more. */
	if ((!c->request_dir || dir == request_dir(c)) && (!partial || c->pipelined)) {
		c->pipelined |= is_pipelined(c, dir);
		request_missed(c);
	}
}

static void http1_flow_missed(struct pipeline *pl, struct conn *c)
{
	c->pipelined = 1;
	pairing_lost(pl, c);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* Does a status line begin at `at`? Of one that the segment cuts as much must be there as makes it
 * one. */
static bool answer_begins(uint64_t at, uint64_t pos, const char *bytes, uint32_t captured)
{
	uint64_t off = at - pos;

	return at >= pos && off < captured && captured - off > sizeof("HTTP/") - 1 &&
	       bytes[off] == 'H' && /* no empty line: that may be the end of a head */
	       http1_look(HTTP1_RESPONSE, bytes + off, captured - off) != HTTP1_LOOK_NO;
}

/*
 * A response seems to go on, whose end was not counted, or not rightly. Peers that have agreed on
 * another end go on with the next exchange: where a request has come since, and the server begins
 * an answer exactly where it was when that came, the response had ended there. What a head says
 * about a body outweighs this until there was a silence; "until close" does not, nor does a head
 * without its empty line. To a body until close that has a length (RFC 9112 section 6.3 overrides
 * it, not all peers do) a status line behind that length is proof as well. Returns where it ended,
 * or 0.
 */
static uint64_t response_ended(struct conn *c, int dir, const struct chunk *chunk)
{
	const struct stream *s = &c->stream[dir];
	struct exchange *ex = exchange_awaiting(c), *next;

	if (!c->request_dir || dir == request_dir(c) || !ex)
		return 0;
	if (s->state == STREAM_HEAD && s->pos < ex->floor)
		next = ex; /* what came is no answer to it: that begins here */
	else
		next = exchange_at(c, ex->link.next);
	if (!next)
		return 0;
	if (s->state == STREAM_CLOSE &&
	    answer_begins(s->end, chunk->pos, chunk->bytes, chunk->captured))
		return s->end;
	if (!(chunk->flags & CHUNK_STARTS) || chunk->pos != next->floor ||
	    chunk->pos != s->turn_pos || chunk->pos <= s->pos ||
	    !answer_begins(chunk->pos, chunk->pos, chunk->bytes, chunk->captured))
		return 0;
	if (s->state != STREAM_CLOSE && s->state != STREAM_HEAD &&
	    (s->turn_pipelined || next->request_start_ns < s->turn_ns + QUIET_NS))
		return 0;
	return chunk->pos;
}

/* The response ended at `at`, before the request behind it came. */
static void response_end(struct pipeline *pl, struct conn *c, int dir, uint64_t at)
{
	struct stream *s = &c->stream[dir];
	uint64_t ts_ns = s->turn_ns ? s->turn_ns : s->seen_ns;
	struct exchange *last = exchange_at(c, c->exchanges.prev);

	/* The request behind it was sent after its end. */
	if (last && last->floor == at && last->link.prev != &c->exchanges &&
	    last->link.prev == &exchange_awaiting(c)->link) {
		last->flags &= ~APPMON_EVF_PIPELINED;
		c->pipelined = s->turn_pipelined;
	}
	if (s->state == STREAM_HEAD)
		head_close(pl, c, dir); /* perhaps no head at all */
	head_forget(pl, s);
	if (s->state == STREAM_HEAD || s->state == STREAM_SYNC || s->state == STREAM_TUNNEL)
		s->pos = at;
	else
		message_end(pl, c, dir, at, ts_ns,
			    APPMON_EVF_INFERRED_END |
				    (s->state == STREAM_CLOSE ? 0 : APPMON_EVF_AMBIGUOUS));
}

/*
 * A request's body seems to go on, but its answer is complete, there was a long silence, and now a
 * request line follows: the client never sent the rest.
 */
static bool request_ended(struct conn *c, int dir, const struct chunk *chunk)
{
	struct exchange *ex;

	if (!c->request_dir || dir != request_dir(c) || !(chunk->flags & CHUNK_STARTS) ||
	    !is_quiet(c, chunk) || chunk->pos <= c->stream[dir].pos)
		return false;
	ex = exchange_requesting(c);
	return (!ex || ex->response_done) &&
	       http1_look(HTTP1_REQUEST, chunk->bytes, chunk->captured) == HTTP1_LOOK_YES;
}

/* A body whose end is counted, and yet the next message begins. */
static bool body_broken_off(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];

	if (!(chunk->flags & CHUNK_STARTS) || !(chunk->flags & CHUNK_TURN) ||
	    (s->state == STREAM_BODY && chunk->pos >= s->end))
		return false;
	if (response_ended(c, dir, chunk)) {
		response_end(pl, c, dir, chunk->pos);
		return true;
	}
	if (!request_ended(c, dir, chunk))
		return false;
	message_end(pl, c, dir, chunk->pos, s->turn_ns ? s->turn_ns : s->seen_ns,
		    APPMON_EVF_INFERRED_END | APPMON_EVF_AMBIGUOUS);
	return true;
}

/*
 * Does the segment end with the last chunk and perhaps a trailer section (RFC 9112 section 7.1)?
 * Only its end is at hand: the empty line, and before it, after a line that says "0", fields.
 */
static bool ends_with_last_chunk(const struct chunk *chunk)
{
	char buf[CHUNK_BEFORE + CHUNK_TAIL];
	size_t before = chunk->tail_len < CHUNK_TAIL ? CHUNK_BEFORE : 0;
	const char *end = buf + before + chunk->tail_len, *p;

	memcpy(buf, chunk->before, before);
	memcpy(buf + before, chunk->tail, chunk->tail_len);
	if (end - buf < 7 || memcmp(end - 4, "\r\n\r\n", 4))
		return false;
	for (p = end - 5; p >= buf + 2; p--)
		if (!memcmp(p - 2, "\r\n0\r\n", 5))
			return p == end - 5 || memchr(p + 3, ':', (size_t)(end - p - 3));
	return false;
}

/* True: the body ended and the stream is at a head again. */
static bool chunked_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];
	uint64_t end = chunk->pos + chunk->len;
	size_t used = 0;
	int r = HTTP1_CHUNKS_MORE;

	if ((int64_t)(end - s->end) <= 0)
		return false; /* seen before */
	if ((int64_t)(chunk->pos - s->end) > 0) {
		r = http1_chunks_skip(&s->chunks, chunk->pos - s->end);
		s->end = chunk->pos;
	}
	if (!r && s->end < chunk->pos + chunk->captured) {
		size_t off = s->end - chunk->pos;

		r = http1_chunks_feed(&s->chunks, chunk->bytes + off, chunk->captured - off, &used);
		s->end += used;
		if (r == HTTP1_CHUNKS_DONE) {
			bool odd = s->chunks.odd;

			message_end(pl, c, dir, s->end, chunk->ts_ns,
				    odd ? APPMON_EVF_AMBIGUOUS : 0);
			/* To the server it may have ended elsewhere. */
			s->guessed = odd && dir == request_dir(c);
			return true;
		}
		s->unread = r != HTTP1_CHUNKS_MORE;
	}
	if (!r && s->end < end) {
		r = http1_chunks_skip(&s->chunks, end - s->end);
		s->end = end;
	}
	if (!r)
		return false;
	s->state = STREAM_OPEN;
	s->open_chunked = 1;
	return false;
}

/*
 * An open message seems to end at pos. If it is a response and others are due behind it, or a
 * request with others right behind it, it may have swallowed some of them: which response answers
 * which request is lost.
 */
static void open_end(struct pipeline *pl, struct conn *c, int dir, uint64_t pos, uint64_t ts_ns)
{
	struct exchange *last = exchange_at(c, c->exchanges.prev);
	bool ambiguous =
		dir == request_dir(c) ? c->pipelined : last && last != exchange_awaiting(c);

	message_end(pl, c, dir, pos, ts_ns,
		    APPMON_EVF_INFERRED_END | (ambiguous ? APPMON_EVF_GAP : 0));
	if (ambiguous)
		pairing_lost(pl, c);
	c->stream[dir].guessed = 1;
}

/* Does the next message begin here? Bodies hold lines that look like it. */
static bool ends_open(struct conn *c, int dir, const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];
	struct exchange *ex = exchange_awaiting(c);

	if (!(chunk->flags & CHUNK_STARTS) || (int64_t)(chunk->pos - s->pos) <= 0)
		return false;
	if (s->over && http1_look(HTTP1_REQUEST, chunk->bytes, chunk->captured) != HTTP1_LOOK_YES)
		return false;
	if (chunk->flags & (CHUNK_TURN | CHUNK_BEGINS))
		return true;
	if (http1_look(kind_of(c, dir, chunk->bytes, chunk->captured), chunk->bytes,
		       chunk->captured) != HTTP1_LOOK_YES)
		return false;
	if (c->request_dir && dir == request_dir(c)) {
		s->missed = 1;
		return c->pipelined;
	}
	return ex && exchange_at(c, ex->link.next); /* another answer is due */
}

/* A request whose length cannot be read has others in it, perhaps: what answers which is not
 * certain behind it. */
static void search_requests(struct stream *s, const struct chunk *chunk)
{
	uint32_t from = chunk->pos < s->pos ? (uint32_t)(s->pos - chunk->pos) : 0;

	s->missed |= chunk->captured < chunk->len;
	for (uint32_t i = from; i + 5 <= chunk->captured && !s->missed; i++)
		s->missed = !memcmp(chunk->bytes + i, "TP/1.", 5);
}

static void open_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];

	if (s->unread && dir == request_dir(c))
		search_requests(s, chunk);
	if (!s->open_chunked || (chunk->flags & CHUNK_MORE))
		return;
	if (chunk->flags & CHUNK_ENDS) {
		message_end(pl, c, dir, chunk->pos + chunk->len, chunk->ts_ns, 0);
		return;
	}
	if ((chunk->flags & CHUNK_FOLLOWED) || !ends_with_last_chunk(chunk))
		return;
	if (s->missed)
		unproven(c, dir);
	open_end(pl, c, dir, chunk->pos + chunk->len, chunk->ts_ns);
}

/* Can the stream go on here? */
static bool begins_message(const struct conn *c, int dir, const struct chunk *chunk)
{
	enum http1_look look;

	if (!(chunk->flags & CHUNK_STARTS) || (int64_t)(chunk->pos - c->stream[dir].pos) < 0)
		return false;
	look = http1_look(kind_of(c, dir, chunk->bytes, chunk->captured), chunk->bytes,
			  chunk->captured);
	if (c->stream[dir].over)
		return look == HTTP1_LOOK_YES;
	if (chunk->flags & (CHUNK_TURN | CHUNK_BEGINS))
		return look != HTTP1_LOOK_NO;
	/* The first that is seen, behind lost records, or behind a request of which that much was
	 * seen: perhaps the text of a body. */
	if ((chunk->flags & CHUNK_LOST) && (!c->ordinal || c->stream[dir].lines))
		return false;
	return c->pipelined && look == HTTP1_LOOK_YES;
}

static void http1_flow_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];
	const char *bytes = chunk->bytes;
	uint64_t pos = chunk->pos, have = pos + chunk->captured, end = pos + chunk->len;

	for (;;) {
		uint64_t due = s->pos + s->head_len;

		switch (s->state) {
		case STREAM_SYNC:
			if (!begins_message(c, dir, chunk)) {
				ignored(c, dir, bytes, chunk->captured);
				return;
			}
			if (c->request_dir && dir != request_dir(c))
				resync_response(pl, c, pos);
			next_head(s, pos);
			s->guessed = 1;
			break;
		case STREAM_HEAD:
			if ((int64_t)(end - due) <= 0)
				return;
			if ((int64_t)(due - pos) < 0) {
				/* Passed without being captured. */
				head_gap(pl, c, dir);
				s->pos = pos;
				break;
			}
			if ((int64_t)(have - due) <= 0) {
				head_gap(pl, c, dir);
				s->pos = end;
				return;
			}
			if (!s->pos && c->fresh && !c->ordinal && c->request_dir != 1 + !dir &&
			    proxy_feed(pl, c, dir, bytes + (due - pos), (uint32_t)(have - due),
				       chunk)) {
				if (s->state == STREAM_BODY)
					break;
				return;
			}
			/* Empty lines, such as the CRLF that some clients send after a body, belong
			 * to no message (RFC 9112 section 2.2). */
			if (!s->head_len &&
			    (bytes[due - pos] == '\r' || bytes[due - pos] == '\n')) {
				s->pos++;
				break;
			}
			if (s->head_len && due == pos && (chunk->flags & CHUNK_TURN) &&
			    response_ended(c, dir, chunk)) {
				response_end(pl, c, dir, pos);
				break;
			}
			head_feed(pl, c, dir, bytes + (due - pos), (uint32_t)(have - due),
				  have != end, chunk);
			if (s->state == STREAM_HEAD && s->head_len)
				return; /* incomplete */
			if (s->state == STREAM_SYNC)
				return;
			break;
		case STREAM_BODY:
			if (body_broken_off(pl, c, dir, chunk))
				break;
			if ((int64_t)(s->seen - s->end) < 0 || (int64_t)(end - s->end) < 0)
				return;
			message_end(pl, c, dir, s->end, s->seen_ns, 0);
			break;
		case STREAM_CHUNKED:
			if (body_broken_off(pl, c, dir, chunk))
				break;
			if (!chunked_data(pl, c, dir, chunk) && s->state != STREAM_OPEN)
				return;
			break;
		case STREAM_OPEN:
			if (response_ended(c, dir, chunk)) {
				response_end(pl, c, dir, pos);
				break;
			}
			if (ends_open(c, dir, chunk)) {
				if (chunk->flags & CHUNK_BEGINS) {
					message_end(pl, c, dir, pos, s->seen_ns, 0);
					break;
				}
				unproven(c, dir);
				open_end(pl, c, dir, pos, s->seen_ns);
				break;
			}
			open_data(pl, c, dir, chunk);
			return;
		case STREAM_CLOSE: {
			uint64_t at = response_ended(c, dir, chunk);

			if (!at)
				return;
			response_end(pl, c, dir, at);
			break;
		}
		default:
			return;
		}
	}
}

/* ---- what needs no captured bytes ------------------------------------------------------------ */

/* The stream has ended at s->fin_pos. */
static void stream_fin(struct pipeline *pl, struct conn *c, int dir, uint64_t now)
{
	struct stream *s = &c->stream[dir];
	uint64_t ts_ns = s->seen_ns ? s->seen_ns : now;

	switch (s->state) {
	case STREAM_CLOSE:
		message_end(pl, c, dir, s->fin_pos, ts_ns, 0);
		break;
	case STREAM_OPEN:
		message_end(pl, c, dir, s->fin_pos, ts_ns, APPMON_EVF_INFERRED_END);
		break;
	default:
		break;
	}
	if (!c->request_dir || dir != request_dir(c)) {
		http1_flow_end(pl, c, APPMON_END_CLOSED, 0);
		c->stream[!dir].over = 1;
	} else {
		struct exchange *ex = exchange_requesting(c);

		/* No more of the request; the answer may still come. */
		if (ex) {
			measure_partial(c, ex);
			ex->request_done = 1;
		}
	}
}

static __attribute__((noinline)) void stream_progress(struct pipeline *pl, struct conn *c, int dir,
						      uint64_t ts_ns)
{
	struct stream *s = &c->stream[dir];

	if (s->state == STREAM_BODY && (int64_t)(s->seen - s->end) >= 0)
		message_end(pl, c, dir, s->end, s->seen_ns, 0);
	else if (s->state == STREAM_TUNNEL)
		tunnel_count(pl, c, s);
	if (s->state == STREAM_HEAD &&
	    (int64_t)(s->seen - (s->pos + s->head_len)) > (s->head_len ? 0 : 2)) {
		/* More has passed than was captured. Two bytes may be an empty line. */
		head_gap(pl, c, dir);
		s->pos = s->seen;
	}
	if (s->fin == FIN_NOTED && (int64_t)(s->seen - s->fin_pos) >= 0) {
		s->fin = FIN_HANDLED;
		stream_fin(pl, c, dir, ts_ns);
	}
}

static void http1_flow_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	const struct stream *s = &c->stream[dir];

	/* Between two messages, as mostly when this is called, there is nothing to do. */
	if (s->state != STREAM_HEAD || s->seen != s->pos + s->head_len || s->fin == FIN_NOTED)
		stream_progress(pl, c, dir, ts_ns);
}

static void http1_flow_stream(struct pipeline *pl, struct conn *c)
{
	struct exchange *ex = exchange_awaiting(c);
	struct stream *s;

	if (!ex || !ex->response_begun)
		return;
	s = &c->stream[!request_dir(c)];
	if (s->state != STREAM_CHUNKED && s->state != STREAM_OPEN && s->state != STREAM_CLOSE)
		return;
	measure_partial(c, ex);
	exchange_tell(pl, c, ex);
}

static void http1_flow_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	if (http1_look(HTTP1_RESPONSE, bytes, n) == HTTP1_LOOK_YES)
		c->request_dir = (uint8_t)(1 + !dir);
	else if (http1_look(HTTP1_REQUEST, bytes, n) == HTTP1_LOOK_YES &&
		 (!c->serves || c->serves == 1 + dir)) /* a body can look like a request */
		c->request_dir = (uint8_t)(1 + dir);
}

static void http1_flow_turn(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct stream *s = &c->stream[dir];

	s->turn_pos = s->seen;
	s->turn_ns = s->seen_ns;
	s->turn_pipelined = c->pipelined;
	/* An answer to what came of a head, such as 408. */
	if (c->request_dir && dir == request_dir(c) && !exchange_awaiting(c)) {
		if (s->state == STREAM_HEAD && s->head_len && s->guessed) {
			/* It was none, or not the one that is answered. */
			c->pipelined = 1;
			request_missed(c);
			return;
		}
		head_answered(pl, c, dir);
	}
	/* The next request: without pipelining, and signs of it, the response before it is
	 * complete. A chunked one whose framing was seen up to here is not: then this is
	 * pipelining. */
	if (!(is_uncounted(s) || s->assumed) || !c->request_dir || dir == request_dir(c))
		return;
	if (!(c->pipelined || c->wide) ||
	    (s->assumed && conn_accounted(c, chunk->flags & CHUNK_LOST)))
		message_end(pl, c, dir, s->seen, s->seen_ns, APPMON_EVF_INFERRED_END);
	else if (s->assumed)
		pairing_lost(pl, c);
}

const struct protocol protocol_http1 = {
	.id = APPMON_PROTO_HTTP1,
	.role = http1_flow_role,
	.data = http1_flow_data,
	.progress = http1_flow_progress,
	.turn = http1_flow_turn,
	.stream = http1_flow_stream,
	.missed = http1_flow_missed,
	.end = http1_flow_end,
	.event_bytes = http1_event_bytes,
	.fill = http1_event_fill,
};
