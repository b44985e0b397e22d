/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1 on a connection: what its files share. */
#ifndef APPMON_HTTP1_FLOW_H
#define APPMON_HTTP1_FLOW_H

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
};

/* The messages of one direction. Positions are those of its stream. */
struct http1_side {
	const struct stream *in;
	enum phase phase;
	uint64_t pos; /* HEAD: of its first byte; TUNNEL: counted up to here; else: body begin */
	uint64_t end; /* BODY: where it ends; CHUNKS: next byte of the framing to look at;
			 UNTIL_CLOSE: where a length that is overridden ends */
	/* When the first byte of the head came: */
	uint64_t head_floor; /* how far the other direction was */
	uint64_t head_ns;
	uint32_t head_retrans, head_dup;
	char *head; /* head_len bytes of an incomplete head */
	uint32_t head_len;
	uint8_t head_pipelined; /* an earlier answer was due */
	uint8_t open_chunked;	/* OPEN: a last chunk would end it */
	uint8_t assumed;	/* the body of a response to an unknown request: perhaps none */
	uint8_t missed;		/* SYNC, OPEN: messages have passed unseen */
	uint8_t guessed;	/* HEAD: it may begin elsewhere */
	uint8_t lines;		/* request lines among what could not be placed */
	uint8_t over;	/* the last request was answered before its head was whole, or no answer can
			 come any more: only a whole request line begins another */
	uint8_t unread; /* OPEN, UNTIL_CLOSE: not all readers see the same end of the body */
	struct http1_chunks chunks;
	/* When the other direction last began a message: */
	uint64_t turn_pos;	/* in->seen */
	uint64_t turn_ns;	/* in->seen_ns */
	uint8_t turn_pipelined; /* http1.pipelined */
};

/* conn.state */
struct http1 {
	struct http1_side side[2]; /* by DIR_* */
	uint32_t refused;  /* requests that are counted, but have no exchange to answer any more */
	uint8_t pipelined; /* ever */
	uint8_t broken;	   /* requests were missed while pipelining: nothing can be paired */
	uint8_t unqueued; /* a request without an exchange, for lack of memory, awaits its answer */
	uint8_t request_missed;	  /* request bytes were missed since the last request */
	uint8_t answer_unmatched; /* since then a response came that belongs to none known */
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
	_Static_assert(sizeof(struct http1_exchange) <= sizeof(ex->own), "");
	return (struct http1_exchange *)(void *)(uintptr_t)ex->own;
}

#endif /* APPMON_HTTP1_FLOW_H */
