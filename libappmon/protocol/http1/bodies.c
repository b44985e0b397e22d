/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1's bodies, and where they end (RFC 9112 section 6).
 *
 * PHASE_OPEN is a message whose end cannot be counted: its head was longer than the capture
 * limit, or a chunk header lay outside the captured bytes, or what delimits it cannot be read. It
 * ends with the last chunk at the end of a segment, with the next message of this direction, with
 * the answer of the other one, or with FIN.
 */
#include <string.h>

#include "protocol/http1/http1-conn.h"

/* Where the body begins that framing describes, the stream goes on. */
void body_begin(struct pipeline *pl, struct conn *c, int dir, const struct http1_head *h,
		enum http1_framing framing, uint64_t length, uint64_t ts_ns)
{
	struct http1_side *s = http1_side(c, dir);
	uint64_t begin = s->pos + h->head_len;

	s->head_len = 0;
	s->pos = begin;
	if (h->truncated) {
		/* The head goes on behind what was captured: where its body begins is not known. */
		s->phase = PHASE_OPEN;
		s->open_chunked = !!(h->flags & HTTP1_CHUNKED);
		return;
	}
	switch (framing) {
	case HTTP1_BODY_NONE:
		message_end(pl, c, dir, begin, ts_ns, 0);
		break;
	case HTTP1_BODY_LENGTH:
		s->phase = PHASE_BODY;
		s->end = begin + length;
		break;
	case HTTP1_BODY_CHUNKED:
		s->phase = PHASE_CHUNKS;
		s->end = begin; /* next byte of the framing to look at */
		memset(&s->chunks, 0, sizeof(s->chunks));
		break;
	case HTTP1_BODY_CLOSE:
		/* A request cannot end so: what delimits it is not understood (RFC 9112
		 * section 6.3). */
		s->phase = dir == request_dir(c) ? PHASE_OPEN : PHASE_CLOSE;
		s->unread = 1;
		/* To some the length still counts. */
		s->end = h->content_length < 0 ? UINT64_MAX : begin + (uint64_t)h->content_length;
		break;
	case HTTP1_BODY_UNREAD:
		s->phase = PHASE_OPEN;
		s->unread = 1;
		break;
	case HTTP1_BODY_TUNNEL:
		break; /* the caller's */
	}
}

/* Inside a body of which bytes have passed that were not looked at: its end may be among them. */
bool body_is_uncounted(const struct http1_side *s)
{
	return s->phase == PHASE_OPEN ||
	       (s->phase == PHASE_CHUNKS && (int64_t)(s->in->seen - s->end) > 0);
}

/*
 * An upload ends without its last chunk having been seen. Requests may have passed unseen inside
 * it: what comes now is paired, nothing after it.
 */
void body_unproven(struct conn *c, int dir)
{
	const struct http1_side *s = http1_side(c, dir);

	/* A head that is longer than the capture is no reason to doubt the client, nor is framing
	 * that cannot be read where all of it was seen. */
	if (dir != request_dir(c) ||
	    (s->phase == PHASE_OPEN && (!s->open_chunked || s->unread) && !s->missed))
		return;
	pairing_suspect(c);
}

/* ---- broken off ------------------------------------------------------------------------------ */

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
uint64_t body_ended(struct conn *c, int dir, const struct chunk *chunk)
{
	const struct http1_side *s = http1_side(c, dir);
	struct exchange *ex = exchange_awaiting(c), *next;

	if (!c->request_dir || dir == request_dir(c) || !ex)
		return 0;
	if (s->phase == PHASE_HEAD && s->pos < ex->floor)
		next = ex; /* what came is no answer to it: that begins here */
	else
		next = exchange_at(c, ex->link.next);
	if (!next)
		return 0;
	if (s->phase == PHASE_CLOSE &&
	    answer_begins(s->end, chunk->pos, chunk->bytes, chunk->captured))
		return s->end;
	if (!(chunk->flags & CHUNK_STARTS) || chunk->pos != next->floor ||
	    chunk->pos != s->turn_pos || chunk->pos <= s->pos ||
	    !answer_begins(chunk->pos, chunk->pos, chunk->bytes, chunk->captured))
		return 0;
	if (s->phase != PHASE_CLOSE && s->phase != PHASE_HEAD &&
	    (s->turn_pipelined || next->request_start_ns < s->turn_ns + QUIET_NS))
		return 0;
	return chunk->pos;
}

/* The response ended at `at`, before the request behind it came. */
void body_end(struct pipeline *pl, struct conn *c, int dir, uint64_t at)
{
	struct http1_side *s = http1_side(c, dir);
	uint64_t ts_ns = s->turn_ns ? s->turn_ns : s->in->seen_ns;
	struct exchange *last = exchange_at(c, c->exchanges.prev);

	/* The request behind it was sent after its end. */
	if (last && last->floor == at && last->link.prev != &c->exchanges &&
	    last->link.prev == &exchange_awaiting(c)->link) {
		last->flags &= ~APPMON_EVF_PIPELINED;
		pairing_of(c)->pipelined = s->turn_pipelined;
	}
	if (s->phase == PHASE_HEAD)
		head_close(pl, c, dir); /* perhaps no head at all */
	head_forget(pl, s);
	if (s->phase == PHASE_HEAD || s->phase == PHASE_SYNC || s->phase == PHASE_TUNNEL)
		s->pos = at;
	else
		message_end(pl, c, dir, at, ts_ns,
			    APPMON_EVF_INFERRED_END |
				    (s->phase == PHASE_CLOSE ? 0 : APPMON_EVF_AMBIGUOUS));
}

/*
 * A request's body seems to go on, but its answer is complete, there was a long silence, and now a
 * request line follows: the client never sent the rest.
 */
static bool request_ended(struct conn *c, int dir, const struct chunk *chunk)
{
	struct exchange *ex;

	if (!c->request_dir || dir != request_dir(c) || !(chunk->flags & CHUNK_STARTS) ||
	    !pairing_is_quiet(c, chunk) || chunk->pos <= http1_side(c, dir)->pos)
		return false;
	ex = exchange_requesting(c);
	return (!ex || ex->response_done) &&
	       http1_look(HTTP1_REQUEST, chunk->bytes, chunk->captured) == HTTP1_LOOK_YES;
}

/* A body whose end is counted, and yet the next message begins. */
bool body_broken_off(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);

	if (!(chunk->flags & CHUNK_STARTS) || !(chunk->flags & CHUNK_TURN) ||
	    (s->phase == PHASE_BODY && chunk->pos >= s->end))
		return false;
	if (body_ended(c, dir, chunk)) {
		body_end(pl, c, dir, chunk->pos);
		return true;
	}
	if (!request_ended(c, dir, chunk))
		return false;
	message_end(pl, c, dir, chunk->pos, s->turn_ns ? s->turn_ns : s->in->seen_ns,
		    APPMON_EVF_INFERRED_END | APPMON_EVF_AMBIGUOUS);
	return true;
}

/* ---- chunked --------------------------------------------------------------------------------- */

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
	for (p = end - 5; p >= buf + 2; p--) {
		if (memcmp(p - 2, "\r\n0\r\n", 5))
			continue;
		/* Behind an empty line the next message begins, with fields of its own. */
		return p == end - 5 || (!memmem(p + 1, (size_t)(end - p) - 2, "\r\n\r\n", 4) &&
					memchr(p + 3, ':', (size_t)(end - p - 3)));
	}
	return false;
}

/*
 * Bytes of the body that were not captured, to the end of a segment. Of a few, as when what came late
 * fills a hole, its last bytes are all: then they are read. Returns HTTP1_CHUNKS_*.
 */
static int chunked_rest(struct http1_side *s, const struct chunk *chunk)
{
	const size_t left = (size_t)(chunk->pos + chunk->len - s->end);
	struct http1_chunks chunks = s->chunks;
	size_t used = 0;
	int r;

	s->end += left;
	if (left <= chunk->tail_len) {
		r = http1_chunks_feed(&chunks, chunk->tail + chunk->tail_len - left, left, &used);
		if (r == HTTP1_CHUNKS_MORE || (r == HTTP1_CHUNKS_DONE && used == left)) {
			s->chunks = chunks;
			return r;
		}
	}
	return http1_chunks_skip(&s->chunks, left);
}

/* True: the body ended and the stream is at a head again. */
bool chunked_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);
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
		if (r != HTTP1_CHUNKS_DONE)
			s->unread = r != HTTP1_CHUNKS_MORE;
	}
	if (!r && s->end < end)
		r = chunked_rest(s, chunk);
	if (r == HTTP1_CHUNKS_DONE) {
		bool odd = s->chunks.odd;

		message_end(pl, c, dir, s->end, chunk->ts_ns, odd ? APPMON_EVF_AMBIGUOUS : 0);
		/* To the server it may have ended elsewhere. */
		s->guessed = odd && dir == request_dir(c);
		return true;
	}
	if (!r)
		return false;
	s->phase = PHASE_OPEN;
	s->open_chunked = 1;
	return false;
}

/* Bytes of it have passed unseen, and behind them a chunk-size line stands at pos. */
void body_goes_on(struct http1_side *s, uint64_t pos)
{
	if (!body_is_uncounted(s) || (s->phase == PHASE_OPEN && (!s->open_chunked || s->unread)))
		return;
	s->phase = PHASE_CHUNKS;
	s->chunks = (struct http1_chunks){.odd = s->chunks.odd};
	s->end = pos;
	s->missed = 0;
}

/* ---- open ------------------------------------------------------------------------------------ */

/*
 * An open message seems to end at pos. If it is a response and others are due behind it, or a
 * request with others right behind it, it may have swallowed some of them: which response answers
 * which request is lost.
 */
void open_end(struct pipeline *pl, struct conn *c, int dir, uint64_t pos, uint64_t ts_ns)
{
	struct exchange *last = exchange_at(c, c->exchanges.prev);
	bool ambiguous = dir == request_dir(c) ? pairing_of(c)->pipelined
					       : last && last != exchange_awaiting(c);

	message_end(pl, c, dir, pos, ts_ns,
		    APPMON_EVF_INFERRED_END | (ambiguous ? APPMON_EVF_GAP : 0));
	if (ambiguous)
		pairing_lost(pl, c, WHY("a message whose end is not known may have held others"));
	http1_side(c, dir)->guessed = 1;
}

/* Does the next message begin here? Bodies hold lines that look like it. */
bool open_ends(struct conn *c, int dir, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);
	struct exchange *ex = exchange_awaiting(c);

	if (!(chunk->flags & CHUNK_STARTS) || (int64_t)(chunk->pos - s->pos) <= 0)
		return false;
	if (s->over && http1_look(HTTP1_REQUEST, chunk->bytes, chunk->captured) != HTTP1_LOOK_YES)
		return false;
	if (chunk->flags & (CHUNK_TURN | CHUNK_BEGINS))
		return true;
	if (http1_look(head_kind(c, dir, chunk->bytes, chunk->captured), chunk->bytes,
		       chunk->captured) != HTTP1_LOOK_YES)
		return false;
	if (c->request_dir && dir == request_dir(c)) {
		s->missed = 1;
		return pairing_of(c)->pipelined;
	}
	return ex && exchange_at(c, ex->link.next); /* another answer is due */
}

/* A request whose length cannot be read has others in it, perhaps: what answers which is not
 * certain behind it. */
static void search_requests(struct http1_side *s, const struct chunk *chunk)
{
	uint32_t from = chunk->pos < s->pos ? (uint32_t)(s->pos - chunk->pos) : 0;

	s->missed |= chunk->captured < chunk->len;
	for (uint32_t i = from; i + 5 <= chunk->captured && !s->missed; i++)
		s->missed = !memcmp(chunk->bytes + i, "TP/1.", 5);
}

void open_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);

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
	body_unproven(c, dir);
	open_end(pl, c, dir, chunk->pos + chunk->len, chunk->ts_ns);
}
