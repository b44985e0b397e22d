/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.x on a connection: two streams of messages (RFC 9112 sections 6 and 9.3). Begin here:
 * http1_data() goes from head to body to head. heads.c and bodies.c have the two, pairing.c tells
 * which response answers which request.
 */
#include <string.h>

#include "protocol/http1/http1-conn.h"
#include "protocol/http1/proxy.h"
#include "protocol/http2/upgrade.h"

/* ---- ends of messages ------------------------------------------------------------------------ */

void message_next(struct http1_side *s, uint64_t pos)
{
	s->phase = PHASE_HEAD;
	s->pos = pos;
	s->head_len = 0;
	s->open_chunked = s->assumed = s->missed = s->guessed = s->lines = s->unread = 0;
}

/* Go on with the next head that can be found. */
void message_lose(struct http1_side *s)
{
	s->phase = PHASE_SYNC;
	s->missed = 1;
}

/* How far a message got that will not be complete. */
void measure_partial(struct conn *c, struct exchange *ex)
{
	struct http1_side *s;

	if (!c->request_dir)
		return;
	s = http1_side(c, request_dir(c));
	if (ex == exchange_requesting(c) && ex->request && s->phase != PHASE_HEAD) {
		ex->request_body = s->in->seen > s->pos ? s->in->seen - s->pos : 0;
		ex->request_end_ns = 0;
	}
	s = http1_side(c, !request_dir(c));
	if (ex == exchange_awaiting(c) && ex->response_begun && s->phase != PHASE_HEAD)
		ex->response_body = s->in->seen > s->pos ? s->in->seen - s->pos : 0;
}

/* The message of this direction ends at pos; ts_ns is when that byte passed. */
void message_end(struct pipeline *pl, struct conn *c, int dir, uint64_t pos, uint64_t ts_ns,
		 uint64_t flags)
{
	struct http1_side *s = http1_side(c, dir);
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
	message_next(s, pos);
	exchanges_settle(pl, c);
}

/* From stream.pos on bytes are the tunnel's. */
static void tunnel_count(struct pipeline *pl, struct conn *c, struct http1_side *s)
{
	if (s->in->seen <= s->pos)
		return;
	STAT_ADD(pl, target_of(pl, &c->id), tunnel_bytes, s->in->seen - s->pos);
	s->pos = s->in->seen;
}

void tunnel_begin(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t pos)
{
	http1_side(c, !request_dir(c))->pos = pos;
	for (int dir = 0; dir < 2; dir++) {
		http1_side(c, dir)->phase = PHASE_TUNNEL;
		tunnel_count(pl, c, http1_side(c, dir));
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

bool http2_follows(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t pos)
{
	struct http1_side *req = http1_side(c, request_dir(c));

	/* Its client sends nothing before it has the answer. */
	if (!ex || !ex->request_done || c->exchanges.next != &ex->link ||
	    c->exchanges.prev != &ex->link || pairing_of(c)->doubts || pairing_of(c)->refused ||
	    req->phase != PHASE_HEAD || req->head_len ||
	    !protocol_may_follow(target_of(pl, &c->id), c, &protocol_http2))
		return false;
	http1_side(c, !request_dir(c))->pos = pos;
	http1_side(c, DIR_IN)->phase = http1_side(c, DIR_OUT)->phase = PHASE_HTTP2;
	return true;
}

/* Here, where nothing of HTTP/1 is at work any more: its state goes. */
static void turn_to_http2(struct pipeline *pl, struct conn *c)
{
	const uint64_t pos[2] = {http1_side(c, DIR_IN)->pos, http1_side(c, DIR_OUT)->pos};

	EXPLAIN_CONN(pl, &c->id, "turns to HTTP/2");
	c->protocol->release(pl, c);
	/* All of that is seen from its first byte on, whatever was before. */
	c->fresh = 1;
	c->gapped = 0;
	conn_speaks(c, &protocol_http2, pos);
	http2_upgraded(pl, c);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/*
 * n bytes at the begin of a connection. True: they belong to a PROXY protocol header, which passes
 * as a body does.
 */
static bool proxy_feed(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n,
		       const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);
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
		s->phase = PHASE_BODY;
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

/* Line ends may be those of a head: before an answer, or alone. */
static bool ends_head(const struct conn *c, int dir, const struct chunk *chunk)
{
	uint32_t i = 0;

	while (i < chunk->captured && (chunk->bytes[i] == '\r' || chunk->bytes[i] == '\n'))
		i++;
	return i == chunk->captured || (i && c->request_dir == 1 + !dir);
}

/* Can the stream go on here? */
static bool begins_message(const struct conn *c, int dir, const struct chunk *chunk)
{
	enum http1_look look;

	if (!(chunk->flags & CHUNK_STARTS) || (int64_t)(chunk->pos - http1_side(c, dir)->pos) < 0 ||
	    ends_head(c, dir, chunk))
		return false;
	look = http1_look(head_kind(c, dir, chunk->bytes, chunk->captured), chunk->bytes,
			  chunk->captured);
	if (http1_side(c, dir)->over)
		return look == HTTP1_LOOK_YES;
	if (chunk->flags & (CHUNK_TURN | CHUNK_BEGINS))
		return look != HTTP1_LOOK_NO;
	/* The first that is seen, behind lost records, or behind a request of which that much was
	 * seen: perhaps the text of a body. */
	if ((chunk->flags & CHUNK_LOST) && (!c->ordinal || http1_side(c, dir)->lines))
		return false;
	return pairing_of(c)->pipelined && look == HTTP1_LOOK_YES;
}

static void http1_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);
	const char *bytes = chunk->bytes;
	uint64_t pos = chunk->pos, have = pos + chunk->captured, end = pos + chunk->len;
	uint8_t lines;

	for (;;) {
		uint64_t due = s->pos + s->head_len;

		switch (s->phase) {
		case PHASE_SYNC:
			if (!begins_message(c, dir, chunk)) {
				if (chunk->flags & CHUNK_TURN)
					s->recent = 0;
				pairing_ignored(c, dir, bytes, chunk->captured);
				return;
			}
			if (c->request_dir && dir != request_dir(c))
				pairing_resync(pl, c, pos);
			else if (c->lost && !(chunk->flags & (CHUNK_TURN | CHUNK_BEGINS)) &&
				 !exchange_awaiting(c))
				pairing_missed(c); /* the one that is due next began unseen */
			lines = s->lines;
			message_next(s, pos);
			s->lines = lines; /* until this one is understood */
			s->guessed = 1;
			break;
		case PHASE_HEAD:
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
				if (s->phase == PHASE_BODY)
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
			    body_ended(c, dir, chunk)) {
				body_end(pl, c, dir, pos);
				break;
			}
			head_feed(pl, c, dir, bytes + (due - pos), (uint32_t)(have - due),
				  have != end, chunk);
			if (s->phase == PHASE_HEAD && s->head_len)
				return; /* incomplete */
			if (s->phase == PHASE_SYNC)
				return;
			break;
		case PHASE_BODY:
			if (body_broken_off(pl, c, dir, chunk))
				break;
			if ((int64_t)(s->in->seen - s->end) < 0 || (int64_t)(end - s->end) < 0)
				return;
			message_end(pl, c, dir, s->end, s->in->seen_ns, 0);
			break;
		case PHASE_CHUNKS:
			if (body_broken_off(pl, c, dir, chunk))
				break;
			if (!chunked_data(pl, c, dir, chunk) && s->phase != PHASE_OPEN)
				return;
			break;
		case PHASE_OPEN:
			if (body_ended(c, dir, chunk)) {
				body_end(pl, c, dir, pos);
				break;
			}
			if (open_ends(c, dir, chunk)) {
				if (chunk->flags & CHUNK_BEGINS) {
					message_end(pl, c, dir, pos, s->in->seen_ns, 0);
					break;
				}
				body_unproven(c, dir);
				open_end(pl, c, dir, pos, s->in->seen_ns);
				break;
			}
			open_data(pl, c, dir, chunk);
			return;
		case PHASE_CLOSE: {
			uint64_t at = body_ended(c, dir, chunk);

			if (!at)
				return;
			body_end(pl, c, dir, at);
			break;
		}
		case PHASE_HTTP2:
			turn_to_http2(pl, c);
			c->protocol->data(pl, c, dir, chunk);
			return;
		default:
			return;
		}
	}
}

/* ---- what needs no captured bytes ------------------------------------------------------------ */

/* The stream has ended at s->in->fin_pos. */
static void stream_fin(struct pipeline *pl, struct conn *c, int dir, uint64_t now)
{
	struct http1_side *s = http1_side(c, dir);
	uint64_t ts_ns = s->in->seen_ns ? s->in->seen_ns : now;

	switch (s->phase) {
	case PHASE_CLOSE:
		message_end(pl, c, dir, s->in->fin_pos, ts_ns, 0);
		break;
	case PHASE_OPEN:
		message_end(pl, c, dir, s->in->fin_pos, ts_ns, APPMON_EVF_INFERRED_END);
		break;
	default:
		break;
	}
	if (!c->request_dir || dir != request_dir(c)) {
		messages_end(pl, c, APPMON_END_CLOSED, 0);
		http1_side(c, !dir)->over = 1;
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
	struct http1_side *s = http1_side(c, dir);

	if (s->phase == PHASE_BODY && (int64_t)(s->in->seen - s->end) >= 0)
		message_end(pl, c, dir, s->end, s->in->seen_ns, 0);
	else if (s->phase == PHASE_TUNNEL)
		tunnel_count(pl, c, s);
	if (s->phase == PHASE_HEAD &&
	    (int64_t)(s->in->seen - (s->pos + s->head_len)) > (s->head_len ? 0 : 2)) {
		/* More has passed than was captured. Two bytes may be an empty line. */
		head_gap(pl, c, dir);
		s->pos = s->in->seen;
	}
	if (stream_ends(&c->stream[dir]))
		stream_fin(pl, c, dir, ts_ns);
}

static void http1_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	const struct http1_side *s = http1_side(c, dir);

	/* Between two messages, as mostly when this is called, there is nothing to do. */
	if (s->phase != PHASE_HEAD || s->in->seen != s->pos + s->head_len ||
	    s->in->fin == FIN_NOTED)
		stream_progress(pl, c, dir, ts_ns);
}

/* The programs followed an upload to a hole: there is no end, and no other request, before its
 * chunk-size line at pos. */
static void http1_framed(struct conn *c, int dir, uint64_t pos, uint32_t skipped)
{
	struct http1_side *s = http1_side(c, dir);

	(void)skipped;
	if (dir == request_dir(c) && (int64_t)(pos - s->in->seen) >= 0)
		body_goes_on(s, pos);
}

static void http1_stream(struct pipeline *pl, struct conn *c)
{
	struct exchange *ex = exchange_awaiting(c);
	struct http1_side *s;

	if (!ex || !ex->response_begun)
		return;
	s = http1_side(c, !request_dir(c));
	if (s->phase != PHASE_CHUNKS && s->phase != PHASE_OPEN && s->phase != PHASE_CLOSE)
		return;
	measure_partial(c, ex);
	exchange_tell(pl, c, ex);
}

static enum message http1_begins(const char *bytes, uint32_t n)
{
	if (http1_look(HTTP1_RESPONSE, bytes, n) == HTTP1_LOOK_YES)
		return MESSAGE_RESPONSE;
	return http1_look(HTTP1_REQUEST, bytes, n) == HTTP1_LOOK_YES ? MESSAGE_REQUEST
								     : MESSAGE_NONE;
}

static void http1_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	enum message message = http1_begins(bytes, n);

	/* A body can look like a request. */
	if (message == MESSAGE_REQUEST && c->serves && c->serves != 1 + dir)
		return;
	if (message != MESSAGE_NONE)
		c->request_dir = (uint8_t)(1 + (message == MESSAGE_REQUEST ? dir : !dir));
}

static void http1_turn(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir), *other = http1_side(c, !dir);
	struct exchange *ex;

	/* It is the rest of a head, or seen before. */
	if ((int64_t)(chunk->pos - (other->pos + other->head_len)) < 0)
		return;
	s->turn_pos = s->in->seen;
	s->turn_ns = s->in->seen_ns;
	s->turn_pipelined = pairing_of(c)->pipelined;
	/* An answer to what came of a head, such as 408. */
	if (c->request_dir && dir == request_dir(c) && !exchange_awaiting(c)) {
		if (s->phase == PHASE_HEAD && s->head_len && s->guessed) {
			/* It was none, or not the one that is answered. */
			pairing_suspect(c);
			return;
		}
		head_answered(pl, c, dir);
	}
	/* The next request: without pipelining, and signs of it, the response before it is
	 * complete. A chunked one whose framing was seen up to here is not: then this is
	 * pipelining. */
	if (s->assumed && s->in->seen > s->pos &&
	    (s->phase == PHASE_BODY || (s->phase == PHASE_CHUNKS && !body_is_uncounted(s)))) {
		/* It has a body, which goes on. */
		s->assumed = 0;
		pairing_of(c)->pipelined = 1;
	}
	if (!(body_is_uncounted(s) || s->assumed) || !c->request_dir || dir == request_dir(c))
		return;
	if (!(pairing_of(c)->pipelined || c->wide)) {
		message_end(pl, c, dir, s->in->seen, s->in->seen_ns, APPMON_EVF_INFERRED_END);
		/* It was taken to go on while another was answered. */
		while ((ex = exchange_awaiting(c)))
			exchange_finish(pl, c, ex, APPMON_END_GAP, APPMON_EVF_GAP);
	} else if (s->assumed && conn_accounted(c, chunk->flags & CHUNK_LOST)) {
		message_end(pl, c, dir, s->in->seen, s->in->seen_ns, APPMON_EVF_INFERRED_END);
	} else if (s->assumed) {
		pairing_lost(pl, c,
			     WHY("where a response of several that are due ends is not known"));
	}
}

/* ---- the connection -------------------------------------------------------------------------- */

static void http1_init(struct conn *c, const uint64_t pos[2])
{
	/* Followed from its first byte, and yet there were others: they are counted already. */
	pairing_of(c)->refused = c->gapped;
	for (int dir = 0; dir < 2; dir++) {
		struct http1_side *s = http1_side(c, dir);

		s->in = &c->stream[dir];
		s->phase = c->fresh ? PHASE_HEAD : PHASE_SYNC;
		s->pos = pos[dir];
	}
}

static void http1_release(struct pipeline *pl, struct conn *c)
{
	head_forget(pl, http1_side(c, DIR_IN));
	head_forget(pl, http1_side(c, DIR_OUT));
}

static bool http1_first(const struct conn *c, int dir, struct first *ret)
{
	const struct http1_side *s = http1_side(c, dir);

	ret->start = head_start(s);
	ret->bytes = s->head;
	ret->len = s->head_len;
	return s->phase == PHASE_HEAD;
}

/* What has come of a head after the last answer, and was to be more of what that answered. */
static bool is_rest(struct conn *c, int dir)
{
	const struct http1_side *s = http1_side(c, dir);

	return s->over && s->phase == PHASE_HEAD && s->head_len &&
	       http1_look(HTTP1_REQUEST, s->head, s->head_len) != HTTP1_LOOK_YES;
}

void messages_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	struct exchange *ex;
	struct http1_side *reply;

	/* The connection may end inside its first head. */
	for (int dir = 0; dir < 2 && !c->request_dir; dir++) {
		struct http1_side *s = http1_side(c, dir);

		if (s->phase == PHASE_HEAD && s->head_len &&
		    http1_look(HTTP1_REQUEST, s->head, s->head_len) != HTTP1_LOOK_NO)
			c->request_dir = (uint8_t)(1 + dir);
	}
	if (c->request_dir && !is_rest(c, request_dir(c)))
		head_close(pl, c, request_dir(c));
	/* Of a response that has begun the status counts, unless it is not certain whose it is. */
	reply = c->request_dir && end != APPMON_END_GAP ? http1_side(c, !request_dir(c)) : NULL;
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
		struct http1_side *s = http1_side(c, dir);

		head_forget(pl, s);
		if (s->phase == PHASE_TUNNEL)
			continue;
		message_lose(s);
	}
}

const struct protocol protocol_http1 = {
	.id = APPMON_PROTO_HTTP1,
	.conn_size = sizeof(struct http1),
	.exchange_size = sizeof(struct http1_exchange),
	.begins = http1_begins,
	.init = http1_init,
	.release = http1_release,
	.first = http1_first,
	.role = http1_role,
	.data = http1_data,
	.progress = http1_progress,
	.turn = http1_turn,
	.stream = http1_stream,
	.framed = http1_framed,
	.doubt = pairing_doubt,
	.missed = pairing_requests_missed,
	.end = messages_end,
	.event_bytes = http1_event_bytes,
	.fill = http1_event_fill,
};
