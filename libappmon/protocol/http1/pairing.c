/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which response answers which request, and what of that is still known after a loss: see struct
 * pairing.
 */
#include "protocol/http1/http1-conn.h"

/* Where a slow server may still owe an answer, only a much longer silence tells that it does not. */
#define QUIET_REFUSED_NS (30 * NSEC_PER_SEC)

/* ---- what happens to the doubts -------------------------------------------------------------- */

/* Bytes of requests passed unseen: with pipelining, of how many cannot be told. */
void pairing_missed(struct conn *c)
{
	pairing_of(c)->doubts |= DOUBT_MISSED;
}

/* There are signs of requests among what was missed. */
void pairing_suspect(struct conn *c)
{
	pairing_of(c)->pipelined = 1;
	pairing_missed(c);
}

static void say_lost(struct pipeline *pl, const struct conn *c, const char *why)
{
	if (!pairing_is_lost(c))
		EXPLAIN(APPMON_LOG_DEBUG, pl, &c->id, "pairing is given up: %s", why);
}

/* A request was counted and dropped: its answer must not go to another one. */
void pairing_unqueued(struct pipeline *pl, struct conn *c)
{
	c->gapped = 1;
	pairing_of(c)->refused++;
	if (exchange_awaiting(c)) {
		say_lost(pl, c, WHY("a request was not kept, and an earlier one has no answer"));
		pairing_of(c)->doubts |= DOUBT_LOST;
	} else {
		pairing_of(c)->doubts |= DOUBT_UNQUEUED;
	}
}

/* Which response answers which request cannot be told any more on this connection. */
void pairing_lost(struct pipeline *pl, struct conn *c, const char *why)
{
	say_lost(pl, c, why);
	for (struct list_node *n = c->exchanges.next; n != &c->exchanges; n = n->next)
		pairing_of(c)->refused += !exchange_at(c, n)->response_begun;
	messages_end(pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	pairing_of(c)->doubts |= DOUBT_LOST;
}

void pairing_requests_missed(struct pipeline *pl, struct conn *c)
{
	pairing_of(c)->pipelined = 1;
	pairing_lost(pl, c, WHY("pipelined requests were missed"));
}

void pairing_doubt(struct pipeline *pl, struct conn *c, bool lost)
{
	/* The programs see signs of pipelining where there may be none, such as a body that looks
	 * like requests; where messages are missing, signs are all there is. */
	if (c->wide && !conn_accounted(c, lost || c->lost))
		pairing_of(c)->pipelined = 1;
	if (lost && pairing_of(c)->pipelined)
		pairing_requests_missed(pl, c);
}

/* ---- signs ----------------------------------------------------------------------------------- */

/* The shortest response: HTTP/1.1 200, and the empty line. */
#define RESPONSE_MIN (sizeof("HTTP/1.1 200\r\n\r\n") - 1)

/* Since the last request fewer bytes have come, up to `received`, than a response has: that has no
 * whole one yet. */
static bool unanswered(struct conn *c, uint64_t received)
{
	struct exchange *last = exchange_at(c, c->exchanges.prev);

	return last && last->request_done && !last->response_begun &&
	       (int64_t)(received - last->asked) < (int64_t)RESPONSE_MIN;
}

/* Response bytes have passed where a head is due that has not come: its record was lost. */
bool pairing_response_missed(const struct http1_side *s)
{
	return s->missed ||
	       (s->phase == PHASE_HEAD && (int64_t)(s->in->seen - (s->pos + s->head_len)) > 0);
}

/* Does a request, or part of it, come before the answer to an earlier one? received: so much of the
 * answers had come to its sender, at most. */
bool pairing_is_pipelined(struct conn *c, int dir, uint64_t received)
{
	return (exchange_awaiting(c) || pairing_of(c)->doubts & DOUBT_UNQUEUED) &&
	       (!pairing_response_missed(http1_side(c, !dir)) || unanswered(c, received));
}

#define TRACE_NAME UINT64_C(0x54502f312e) /* TP/1. */

/* Does what ends with these bytes show a request: its line, or a letter behind an empty line? */
static bool is_trace(uint64_t recent)
{
	uint8_t last = (uint8_t)recent;

	if (last < 'A')
		return (recent & UINT64_C(0xffffffffff)) == TRACE_NAME;
	return last < 0x80 &&
	       ((recent >> 8 & 0xffffff) == 0x0a0d0a || (recent >> 8 & 0xffff) == 0x0a0a);
}

/*
 * Bytes of requests that cannot be placed. Two traces of requests since the last head that
 * was understood, or bytes that come before the last request's answer, are pipelining.
 */
void pairing_ignored(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	struct http1_side *s = http1_side(c, dir);

	if ((!n && s->lines < 2) || (c->request_dir && dir != request_dir(c)))
		return;
	for (uint32_t i = 0; i < n && s->lines < 2; i++) {
		s->recent = s->recent << 8 | (unsigned char)bytes[i];
		s->lines += is_trace(s->recent);
	}
	if (pairing_of(c)->pipelined
		    ? !s->lines
		    : s->lines < 2 && !pairing_is_pipelined(c, dir, c->stream[!dir].seen))
		return;
	pairing_suspect(c);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* It follows an answer, and a long silence. */
bool pairing_is_quiet(const struct conn *c, const struct chunk *chunk)
{
	const struct pairing *p = pairing_of(c);
	bool due = p->refused || ((p->doubts & DOUBT_MISSED) && p->pipelined);

	return c->active_ns && conn_was_quiet(c, chunk, due ? QUIET_REFUSED_NS : QUIET_NS);
}

/*
 * A request after a long silence: what was asked before has been answered, or nobody waits for it
 * any more. Pairing begins anew here.
 */
static void heal(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir), *other = http1_side(c, !dir);
	struct exchange *ex;

	if (!pairing_is_quiet(c, chunk))
		return;
	EXPLAIN_CONN(pl, &c->id, "a silence: pairing begins anew");
	/* Those would get the answers of others. */
	while ((ex = exchange_at(c, c->exchanges.next))) {
		bool done = ex->response_done;

		measure_partial(c, ex);
		exchange_finish(pl, c, ex, done ? APPMON_END_COMPLETE : APPMON_END_GAP,
				done ? 0 : APPMON_EVF_GAP);
	}
	*pairing_of(c) = (struct pairing){0};
	c->wide = 0;
	s->guessed = 0;
	if (other->phase == PHASE_TUNNEL)
		return;
	head_forget(pl, other);
	message_next(other, s->head_floor);
}

/* A request begins with this chunk. */
void pairing_begin(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir);
	struct exchange *ex;

	if ((pairing_of(c)->doubts & DOUBT_LOST) || list_empty(&c->exchanges))
		heal(pl, c, dir, chunk);
	/* Without pipelining the answer that fitted no request was to the one that waits. */
	while ((pairing_of(c)->doubts & DOUBT_UNMATCHED) && !pairing_of(c)->pipelined &&
	       (ex = exchange_awaiting(c)))
		exchange_finish(pl, c, ex, APPMON_END_GAP, APPMON_EVF_GAP);
	s->head_pipelined = pairing_is_pipelined(c, dir, s->head_received);
	pairing_of(c)->pipelined |= s->head_pipelined;
}

/* The next request settles the doubts. Those before it have their answers for sure. */
bool pairing_request(struct pipeline *pl, struct conn *c, int dir)
{
	const struct http1_side *s = http1_side(c, dir), *other = http1_side(c, !dir);
	struct pairing *p = pairing_of(c);
	bool unqueued = p->doubts & DOUBT_UNQUEUED, missed = p->doubts & DOUBT_MISSED;

	/* A missed request that has not been answered by now would get the answer to this one. */
	if (((unqueued || s->guessed) && s->head_pipelined) ||
	    ((unqueued || s->guessed) && other->head_len) || /* which answers one of those */
	    ((unqueued || missed) && p->pipelined) ||
	    (missed && !(p->doubts & DOUBT_UNMATCHED) && !pairing_response_missed(other))) {
		say_lost(pl, c, WHY("earlier requests were missed, and may have no answer yet"));
		p->doubts = DOUBT_LOST;
	}
	p->doubts &= DOUBT_LOST;
	return !p->doubts;
}

/* ---- responses ------------------------------------------------------------------------------- */

/*
 * A response begins at pos after response bytes were missed. Without pipelining all earlier
 * responses were complete when a request came, so that its own begins exactly at its floor: that
 * exchange is meant, and the others, whose floor lies below, have lost theirs. Anything less than
 * that is no proof: the request that is meant may have been missed as well.
 */
void pairing_resync(struct pipeline *pl, struct conn *c, uint64_t pos)
{
	struct exchange *ex = exchange_awaiting(c);
	bool lost = false;

	if (ex && pos == ex->floor)
		return; /* met in the middle, and nothing is missing between the two */
	c->gapped = 1;
	if (pairing_of(c)->pipelined || pairing_is_lost(c)) {
		pairing_lost(pl, c, WHY("a response of several that were due was missed"));
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
		pairing_of(c)->doubts |= DOUBT_UNQUEUED;
}

/* The request that the final response answers whose head has come; NULL: none that is known. */
struct exchange *pairing_response(struct pipeline *pl, struct conn *c, int dir,
				  const struct chunk *chunk)
{
	struct http1_side *s = http1_side(c, dir), *req = http1_side(c, !dir);
	struct exchange *ex = exchange_awaiting(c);
	struct start start = head_start(s);
	struct pairing *p = pairing_of(c);

	/* All requests before it are answered: this answers what there is of another, as 408. */
	if (!ex && !(p->doubts & (DOUBT_UNQUEUED | DOUBT_LOST)) && !p->refused && !req->guessed &&
	    (int64_t)(s->pos - req->head_floor) >= 0 && req->phase == PHASE_HEAD && req->head_len)
		head_answered(pl, c, !dir);
	/* To a request that is not in the queue? */
	ex = p->doubts & DOUBT_UNQUEUED ? NULL : exchange_answered(c, &start);
	p->doubts &= (uint8_t)~DOUBT_UNQUEUED;
	if (ex && p->pipelined && exchange_requesting(c) == ex && req->phase == PHASE_OPEN &&
	    !req->over) {
		/* Requests may have passed unseen behind the upload that it answers. */
		pairing_lost(pl, c, WHY("requests may stand behind the upload that is answered"));
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
	} else if (!ex && p->refused) {
		EXPLAIN_CONN(pl, &c->id, "a response answers a request that was dropped");
		p->refused--;
	} else if (!ex && !(chunk->flags & CHUNK_LOST)) {
		/* Such as 408 on an idle connection; or its request passed uncaptured behind
		 * another. One whose record was lost is counted by the programs. */
		exchange_refuse(pl, c, c->gapped ? APPMON_DROP_GAP : APPMON_DROP_ORPHAN,
				WHY("a response that answers no request which is known"));
	} else if (!ex) {
		EXPLAIN_CONN(pl, &c->id, "a response answers a request whose record was lost");
	}
	if (ex)
		return ex;
	/* Two such answers, and no byte of a request between them. */
	if ((p->doubts & DOUBT_MISSED) && (p->doubts & DOUBT_UNMATCHED) &&
	    s->head_floor == p->unmatched)
		p->pipelined = 1;
	p->doubts |= DOUBT_UNMATCHED;
	p->unmatched = s->head_floor;
	return NULL;
}
