/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1's heads: put together, parsed, and made into requests and responses. */
#include <string.h>

#include "protocol/http1/http1-conn.h"

/* Begins of start lines that are looked at again with more. */
#define SHORT_START 16

/* ---- what is kept ---------------------------------------------------------------------------- */

void head_forget(struct pipeline *pl, struct http1_side *s)
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

/* ---- whole heads ----------------------------------------------------------------------------- */

/* The query may hold secrets, and so may a user with a password. */
static void say_request(struct pipeline *pl, const struct exchange *ex)
{
	const struct head *head = ex->request;
	const char *target = head->bytes + head->h.target.off;
	const char *method = appmon_method_name(head->h.method);
	struct http1_span path, query, authority;

	http1_split_target(target, head->h.target.len, head->h.method, &path, &query, &authority);
	if (!path.len)
		path = authority; /* CONNECT's */
	EXPLAIN_EXCHANGE(pl, ex, "begins: %s %s", *method ? method : "another method",
			 word_of(target + path.off, path.len).text);
}

/* kept: what the host gets of it, which may be less. */
static void request_head(struct pipeline *pl, struct conn *c, int dir, const struct http1_head *h,
			 const struct http1_head *kept, const char *bytes,
			 const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir), *other = http1_side(c, !dir);
	struct start start = head_start(s);
	struct exchange *ex;
	uint64_t length = 0;
	enum http1_framing framing = http1_request_framing(h, &length);
	bool inside;

	c->request_dir = (uint8_t)(1 + dir);
	s->over = 0;
	/* Met in the middle of its method, or of a body: then an answer came inside its head. */
	inside = s->guessed && (int64_t)(other->in->seen - s->head_floor) > 0;
	if (!c->fresh && h->method == APPMON_METHOD_OTHER && (!c->ordinal || inside)) {
		/* That may be to a request before this. One that has begun, and is not complete, is. */
		if (inside || (other->head_len && http1_look(HTTP1_RESPONSE, other->head,
							     other->head_len) != HTTP1_LOOK_NO))
			pairing_suspect(c);
		else
			pairing_missed(c);
		message_lose(s);
		return;
	}
	if (!pairing_request(pl, c, dir)) {
		exchange_refuse(pl, c, APPMON_DROP_GAP,
				WHY("a request, and pairing has been given up"));
		pairing_of(c)->refused++;
		body_begin(pl, c, dir, h, framing, length, chunk->ts_ns);
		return;
	}
	ex = exchange_new(pl, c);
	STAT_ADD(pl, target_of(pl, &c->id), requests, 1);
	if (!ex) {
		pairing_unqueued(pl, c);
	} else {
		http1_own(ex)->method = (uint8_t)h->method;
		ex->request = head_keep(pl, kept, bytes, h->head_len);
		if (!ex->request)
			exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its request"));
		exchange_request(pl, c, ex, dir, &start);
		if (EXPLAINS(APPMON_LOG_TRACE, pl) && ex->request)
			say_request(pl, ex);
		ex->request_end_ns = chunk->ts_ns;
		ex->retrans = s->head_retrans;
		ex->dup = s->head_dup;
		ex->flags |= head_flags(h) | head_flags(kept);
		if (s->head_pipelined)
			ex->flags |= APPMON_EVF_PIPELINED;
		if (h->flags & HTTP1_CHUNKED)
			ex->flags |= APPMON_EVF_CHUNKED_REQUEST;
		if (pl->causes.bucket && ex->request) {
			struct trace_fields fields;

			http1_trace_fields(pl, ex->request, &fields);
			cause_request(pl, c, ex, dir, &fields);
		}
	}
	body_begin(pl, c, dir, h, framing, length, chunk->ts_ns);
}

static void response_head(struct pipeline *pl, struct conn *c, int dir, const struct http1_head *h,
			  const struct http1_head *kept, const char *bytes,
			  const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);
	struct exchange *ex = exchange_awaiting(c);
	struct http1_side *req = http1_side(c, !dir);
	struct target *target = target_of(pl, &c->id);
	struct start start = head_start(s);
	enum http1_framing framing;
	uint64_t length = 0;

	if (!c->request_dir)
		c->request_dir = (uint8_t)(1 + !dir);
	if (h->status < 200 && h->status != 101) {
		EXPLAIN_CONN(pl, &c->id, "an interim response: %d", h->status);
		if (ex) {
			ex->flags |= APPMON_EVF_CONTINUED;
			if (dir == DIR_OUT)
				exchange_owner(pl, ex);
		}
		message_next(s, s->pos + h->head_len);
		return;
	}
	if (h->status == 101 && h->flags & HTTP1_H2C && ex == exchange_answered(c, &start) &&
	    http2_follows(pl, c, ex, s->pos + h->head_len)) {
		ex->flags |= APPMON_EVF_CONTINUED;
		if (dir == DIR_OUT)
			exchange_owner(pl, ex);
		return;
	}
	STAT_ADD(pl, target, responses, 1);
	ex = pairing_response(pl, c, dir, chunk);
	framing = http1_response_framing(h, ex ? http1_own(ex)->method : APPMON_METHOD_UNKNOWN,
					 &length);
	if (ex) {
		/* The end of an upload that was not counted is told by its answer. */
		if (exchange_requesting(c) == ex && body_is_uncounted(req)) {
			body_unproven(c, !dir);
			message_end(pl, c, !dir, chunk->received,
				    chunk->other_ts_ns ? chunk->other_ts_ns : ex->request_end_ns,
				    APPMON_EVF_INFERRED_END);
			req->guessed = 1;
		}
		if (!ex->request_done)
			ex->flags |= APPMON_EVF_EARLY_RESPONSE;
		ex->response = head_keep(pl, kept, bytes, h->head_len);
		if (!ex->response)
			exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its response"));
		exchange_response(pl, c, ex, dir, &start);
		EXPLAIN_EXCHANGE(pl, ex, "is answered with %d", h->status);
		ex->flags |= head_flags(h) | head_flags(kept);
		if (h->flags & HTTP1_CHUNKED)
			ex->flags |= APPMON_EVF_CHUNKED_RESPONSE;
		if (http1_persists(h) &&
		    (!ex->request || http1_persists(&((struct head *)ex->request)->h)) &&
		    framing != HTTP1_BODY_CLOSE)
			ex->flags |= APPMON_EVF_KEEP_ALIVE;
	}
	/* Was it a HEAD request? Then this has no body, whatever it says. */
	s->assumed = framing != HTTP1_BODY_NONE && !(ex && http1_own(ex)->method);
	if (s->assumed && pairing_of(c)->pipelined && !conn_accounted(c, chunk->flags & CHUNK_LOST))
		pairing_lost(pl, c, WHY("a response, and whether it has a body is not known"));
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
	       !pairing_of(c)->pipelined && !pairing_is_lost(c);
}

/* HTTP/0.9 (RFC 1945 section 6), ICY: a body without a head, up to FIN or the next request. */
static void odd_answer(struct pipeline *pl, struct conn *c, int dir)
{
	struct http1_side *s = http1_side(c, dir);
	struct exchange *ex = exchange_awaiting(c);
	struct start start;

	s->phase = PHASE_OPEN;
	s->pos = ex->floor; /* empty lines in front of it, too */
	s->missed = 0;
	if (!ex->request_done)
		ex->flags |= APPMON_EVF_EARLY_RESPONSE;
	start = head_start(s);
	exchange_response(pl, c, ex, dir, &start);
	ex->flags |= APPMON_EVF_NO_STATUS_LINE;
}

/* What begins here is not a head that can be read: go on with the next that is. */
static void head_bad(struct pipeline *pl, struct conn *c, int dir, enum http1_kind kind,
		     uint32_t reason)
{
	struct http1_side *s = http1_side(c, dir);
	bool guessed = s->guessed;
	struct exchange *ex;
	struct start start;

	message_lose(s);
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
		if (pairing_of(c)->pipelined)
			pairing_lost(pl, c, WHY("no status line where a response is due"));
		return;
	}
	if (pairing_is_lost(c))
		return;
	if (guessed) {
		pairing_missed(c);
		return;
	}
	/* A placeholder keeps the queue aligned with the responses, a 400 most likely. */
	ex = exchange_new(pl, c);
	if (!ex) {
		pairing_unqueued(pl, c);
		return;
	}
	exchange_spoil(ex, reason,
		       reason == APPMON_DROP_PARSE ? WHY("its request cannot be read")
						   : WHY("its request was not captured whole"));
	start = head_start(s);
	exchange_request(pl, c, ex, dir, &start);
	ex->request_end_ns = s->head_ns;
	ex->request_done = 1;
}

/* ---- bytes of heads -------------------------------------------------------------------------- */

enum http1_kind head_kind(const struct conn *c, int dir, const char *bytes, size_t len)
{
	if (c->request_dir)
		return dir == request_dir(c) ? HTTP1_REQUEST : HTTP1_RESPONSE;
	return http1_look(HTTP1_RESPONSE, bytes, len) == HTTP1_LOOK_YES ? HTTP1_RESPONSE
									: HTTP1_REQUEST;
}

/* len bytes that begin with a head which was not taken for a request: others may follow. */
static void head_ignored(struct conn *c, int dir, const struct http1_head *h, const char *bytes,
			 uint32_t len)
{
	uint64_t length = 0, end = h->head_len;

	if (http1_request_framing(h, &length) == HTTP1_BODY_LENGTH)
		end = length < len - end ? end + length : len;
	http1_side(c, dir)->lines++;
	http1_side(c, dir)->recent = 0;
	pairing_ignored(c, dir, bytes + end, len - (uint32_t)end);
}

/* What there is of a head and n bytes more, in memory of its own; takes stream.head over. */
char *head_join(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n)
{
	struct http1_side *s = http1_side(c, dir);
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
		pairing_ignored(c, dir, s->head, s->head_len);
	head_forget(pl, s);
	message_lose(s);
	c->gapped = 1;
	if (!c->request_dir || dir == request_dir(c)) {
		exchange_refuse(pl, c, APPMON_DROP_MEMORY, WHY("no memory for part of a request"));
		pairing_of(c)->refused++;
		pairing_missed(c);
		pairing_ignored(c, dir, bytes, n);
	} else {
		/* Where its response ends is not known either: what comes next may be more of it. */
		pairing_lost(pl, c, WHY("no memory for part of a response"));
	}
	return NULL;
}

void head_begin(struct pipeline *pl, struct conn *c, int dir, enum http1_kind kind,
		const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);

	s->head_ns = chunk->ts_ns;
	s->head_floor = chunk->other_pos;
	s->head_received = chunk->received;
	s->head_retrans = c->retrans;
	s->head_dup = c->dup;
	if (kind == HTTP1_RESPONSE)
		return;
	pairing_begin(pl, c, dir, chunk);
}

/*
 * n more bytes of a head; final: no more of it will be seen. Most heads come whole and are parsed
 * where they lie in the ring.
 */
void head_feed(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n,
	       bool final, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);
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
	kind = head_kind(c, dir, bytes, len);
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
		/* It was none, as it seems: others may stand in it. */
		if (s->guessed)
			pairing_ignored(c, dir, bytes, len);
	} else if (kind == HTTP1_REQUEST) {
		request_head(pl, c, dir, &h, kept, bytes, chunk);
		if (s->phase == PHASE_SYNC)
			head_ignored(c, dir, &h, bytes, len);
	} else {
		response_head(pl, c, dir, &h, kept, bytes, chunk);
	}
	pool_free(&pl->pool, joined);
}

/* ---- heads that end otherwise ---------------------------------------------------------------- */

/* No more of a head that has begun will come: make do with what is here. */
void head_close(struct pipeline *pl, struct conn *c, int dir)
{
	struct http1_side *s = http1_side(c, dir);
	const uint64_t seen = c->stream[!dir].seen;
	struct chunk chunk = {.ts_ns = s->head_ns, .other_pos = seen, .received = seen};

	if (s->phase == PHASE_HEAD && s->head_len)
		head_feed(pl, c, dir, "", 0, true, &chunk);
}

/* An answer to what there is of a request's head: the rest of it may still come. */
void head_answered(struct pipeline *pl, struct conn *c, int dir)
{
	struct http1_side *s = http1_side(c, dir);
	bool partial = s->phase == PHASE_HEAD && s->head_len;

	head_close(pl, c, dir);
	s->over = partial;
}

/* The head here ends unseen, or was missed altogether. */
void head_gap(struct pipeline *pl, struct conn *c, int dir)
{
	struct http1_side *s = http1_side(c, dir);
	bool partial = s->head_len > 0;

	if (s->phase != PHASE_HEAD)
		return;
	if (partial && s->head_len >= capture_of(pl, c)) {
		head_close(pl, c, dir); /* no more of it is captured */
		if (s->phase != PHASE_HEAD)
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
	if (s->phase == PHASE_HEAD)
		message_lose(s);
	else if (c->request_dir && dir == request_dir(c))
		s->missed = 1;
	/* Part of one request, or with pipelining more. */
	if ((!c->request_dir || dir == request_dir(c)) && (!partial || pairing_of(c)->pipelined)) {
		pairing_of(c)->pipelined |= pairing_is_pipelined(c, dir, c->stream[!dir].seen);
		pairing_missed(c);
	}
}
