/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1 on a connection: what its files share. */
#ifndef APPMON_HTTP1_CONN_H
#define APPMON_HTTP1_CONN_H

#include "protocol/http1/http1-event.h"
#include "protocol/protocol.h"

enum phase {
	PHASE_SYNC, /* position unknown: wait for something that begins like a message */
	PHASE_HEAD, /* a head is due at start.pos, or head_len bytes of it are here */
	PHASE_BODY, /* body up to end */
	PHASE_CHUNKS,
	PHASE_OPEN,   /* body whose end cannot be counted */
	PHASE_CLOSE,  /* body up to FIN */
	PHASE_TUNNEL, /* no HTTP any more */
	PHASE_HTTP2,  /* HTTP/2 begins at pos */
};

/* The messages of one direction. Positions are those of its stream. */
struct http1_side {
	const struct stream *in;
	enum phase phase;
	uint64_t pos; /* HEAD: of its first byte; TUNNEL: counted up to here; else: body begin */
	uint64_t end; /* BODY: where it ends; CHUNKS: next byte of the framing to look at;
			 CLOSE: where a length that is overridden ends */
	/* When the first byte of the head came: */
	uint64_t head_floor;	/* how far the other direction was */
	uint64_t head_received; /* how far its sender had received that */
	uint64_t head_ns;
	uint32_t head_retrans, head_dup;
	char *head; /* head_len bytes of an incomplete head */
	uint32_t head_len;
	uint8_t head_pipelined; /* an earlier answer was due */
	uint8_t open_chunked;	/* OPEN: a last chunk would end it */
	uint8_t assumed;	/* the body of a response to an unknown request: perhaps none */
	uint8_t missed;		/* SYNC, OPEN: messages have passed unseen */
	uint8_t guessed;	/* HEAD: it may begin elsewhere */
	uint8_t lines;		/* traces of requests among what could not be placed */
	uint8_t over;	/* the last request was answered before its head was whole, or no answer can
			 come any more: only a whole request line begins another */
	uint8_t unread; /* OPEN, CLOSE: not all readers see the same end of the body */
	uint64_t recent; /* last bytes of what could not be placed: a trace can be cut */
	struct http1_chunks chunks;
	/* When the other direction last began a message: */
	uint64_t turn_pos;	/* in->seen */
	uint64_t turn_ns;	/* in->seen_ns */
	uint8_t turn_pipelined; /* pairing.pipelined */
};

/*
 * Which response answers which request: responses come in the order of the requests, so that the
 * queue tells, as long as every request is in it. Where bytes were missed, order alone would lie;
 * then causality decides: a response cannot begin at a position that the server had sent before
 * the request arrived (exchange.floor). Where that does not decide either, pairing is lost.
 *
 * What is known is a set of doubts. It is empty while pairing is exact. A silence empties it:
 * pairing_begin().
 *
 *     what happens                                       doubt      until
 *     -------------------------------------------------  ---------  -----------------------------
 *     bytes of requests pass unseen                      MISSED     the next request
 *     a request is counted, and no memory to queue it    UNQUEUED   its answer, the next request
 *       and an earlier one has no answer yet             LOST       a silence
 *     a response begins that answers none in the queue   UNMATCHED  the next request
 *       MISSED, UNMATCHED, and no byte of a request      (same: there was pipelining)
 *         since the one before
 *     a request begins,
 *       it is pipelined, and UNQUEUED, or its begin is   LOST       a silence
 *         a guess
 *       UNQUEUED, or its begin is a guess, and a         LOST       a silence
 *         response has begun
 *       MISSED or UNQUEUED, and there was pipelining     LOST       a silence
 *       MISSED, no response was UNMATCHED or unseen      LOST       a silence
 *       else                                             (empty)
 *     a record is lost, and there was pipelining         LOST, and all exchanges end
 *     a response cannot be placed, or its end, and       LOST, and all exchanges end
 *       there was pipelining
 *     no memory for a response's head, which came in     LOST, and all exchanges end
 *       pieces
 *
 * While it is LOST requests are counted as dropped, and their answers pass.
 */
enum { DOUBT_MISSED = 1, DOUBT_UNQUEUED = 2, DOUBT_UNMATCHED = 4, DOUBT_LOST = 8 };

struct pairing {
	uint32_t refused; /* requests that are counted, but have no exchange to answer any more */
	uint8_t doubts;
	uint8_t pipelined;  /* since the last silence */
	uint64_t unmatched; /* how far the requests were when the last UNMATCHED response began */
};

/* conn.state */
struct http1 {
	struct http1_side side[2]; /* by DIR_* */
	struct pairing pairing;
};

/* exchange.own */
struct http1_exchange {
	uint8_t method; /* APPMON_METHOD_*, also of a request that could not be kept */
};

static inline struct http1 *http1_of(const struct conn *c)
{
	return c->state;
}

static inline struct http1_side *http1_side(const struct conn *c, int dir)
{
	return &http1_of(c)->side[dir];
}

static inline struct http1_exchange *http1_own(const struct exchange *ex)
{
	return (struct http1_exchange *)(void *)(uintptr_t)ex->own;
}

/* The direction of the requests; negative: not known yet. */
static inline int request_dir(const struct conn *c)
{
	return c->request_dir - 1;
}

static inline uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Where the head that is due, or is here in part, begins. */
static inline struct start head_start(const struct http1_side *s)
{
	return (struct start){s->pos, s->head_floor, s->head_received, s->head_ns};
}

/* ---- messages.c ------------------------------------------------------------------------------ */

/* A head is due at pos. */
void message_next(struct http1_side *s, uint64_t pos);
/* Go on with the next head that can be found. */
void message_lose(struct http1_side *s);
/* The message of this direction ends at pos; ts_ns is when that byte passed. */
void message_end(struct pipeline *pl, struct conn *c, int dir, uint64_t pos, uint64_t ts_ns,
		 uint64_t flags);
/* How far a message got that will not be complete. */
void measure_partial(struct conn *c, struct exchange *ex);
/* Both directions are a tunnel's from here on; pos: where that of the responses begins. */
void tunnel_begin(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t pos);
/* HTTP/2 answers ex, the only request that is open (RFC 7540 section 3.2), and begins at pos. False:
 * that cannot be followed. */
bool http2_follows(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t pos);
/* Ends all exchanges: struct protocol's. */
void messages_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags);

/* ---- heads.c --------------------------------------------------------------------------------- */

enum http1_kind head_kind(const struct conn *c, int dir, const char *bytes, size_t len);
/* The first byte of a head has come. */
void head_begin(struct pipeline *pl, struct conn *c, int dir, enum http1_kind kind,
		const struct chunk *chunk);
void head_feed(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n,
	       bool final, const struct chunk *chunk);
/* What there is of a head and n bytes more, in memory of its own; takes side.head over. */
char *head_join(struct pipeline *pl, struct conn *c, int dir, const char *bytes, uint32_t n);
void head_forget(struct pipeline *pl, struct http1_side *s);
/* No more of a head that has begun will come: make do with what is here. */
void head_close(struct pipeline *pl, struct conn *c, int dir);
/* An answer to what there is of a request's head: the rest of it may still come. */
void head_answered(struct pipeline *pl, struct conn *c, int dir);
/* The head here ends unseen, or was missed altogether. */
void head_gap(struct pipeline *pl, struct conn *c, int dir);

/* ---- bodies.c -------------------------------------------------------------------------------- */

/* Where the body begins that framing describes, the stream goes on. */
void body_begin(struct pipeline *pl, struct conn *c, int dir, const struct http1_head *h,
		enum http1_framing framing, uint64_t length, uint64_t ts_ns);
/* Inside a body of which bytes have passed that were not looked at: its end may be among them. */
bool body_is_uncounted(const struct http1_side *s);
/* An upload ends without its last chunk having been seen. */
void body_unproven(struct conn *c, int dir);
/* Bytes of it have passed unseen, and behind them a chunk-size line stands at pos. */
void body_goes_on(struct http1_side *s, uint64_t pos);
/* Where a response ended that seemed to go on, or 0. */
uint64_t body_ended(struct conn *c, int dir, const struct chunk *chunk);
void body_end(struct pipeline *pl, struct conn *c, int dir, uint64_t at);
/* A body whose end is counted, and yet the next message begins. */
bool body_broken_off(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk);
/* True: the body ended and the stream is at a head again. */
bool chunked_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk);
/* PHASE_OPEN: does the next message begin here? */
bool open_ends(struct conn *c, int dir, const struct chunk *chunk);
void open_end(struct pipeline *pl, struct conn *c, int dir, uint64_t pos, uint64_t ts_ns);
void open_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk);

/* ---- pairing.c ------------------------------------------------------------------------------- */

static inline struct pairing *pairing_of(const struct conn *c)
{
	return &http1_of(c)->pairing;
}

static inline bool pairing_is_lost(const struct conn *c)
{
	return pairing_of(c)->doubts & DOUBT_LOST;
}

/* Bytes of requests passed unseen: with pipelining, of how many cannot be told. */
void pairing_missed(struct conn *c);
/* There are signs of requests among what was missed. */
void pairing_suspect(struct conn *c);
/* A request was counted and dropped: its answer must not go to another one. */
void pairing_unqueued(struct pipeline *pl, struct conn *c);
/* why: WHY() */
void pairing_lost(struct pipeline *pl, struct conn *c, const char *why);
/* Bytes of requests that cannot be placed: do they show pipelining? */
void pairing_ignored(struct conn *c, int dir, const char *bytes, uint32_t n);
/* Does a request that comes now, or part of it, come before the answer to an earlier one? */
bool pairing_is_pipelined(struct conn *c, int dir, uint64_t received);
/* Response bytes have passed where a head is due that has not come: its record was lost. */
bool pairing_response_missed(const struct http1_side *s);
/* The chunk follows an answer, and a long silence. */
bool pairing_is_quiet(const struct conn *c, const struct chunk *chunk);
/* A request begins with this chunk. */
void pairing_begin(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk);
/* Its head has come. False: which response answers it will not be known. */
bool pairing_request(struct pipeline *pl, struct conn *c, int dir);
/* The request that the final response answers whose head has come; NULL: none that is known. */
struct exchange *pairing_response(struct pipeline *pl, struct conn *c, int dir,
				  const struct chunk *chunk);
/* A response begins at pos after response bytes were missed. */
void pairing_resync(struct pipeline *pl, struct conn *c, uint64_t pos);
/* See struct protocol. */
void pairing_doubt(struct pipeline *pl, struct conn *c, bool lost);
void pairing_requests_missed(struct pipeline *pl, struct conn *c);

#endif /* APPMON_HTTP1_CONN_H */
