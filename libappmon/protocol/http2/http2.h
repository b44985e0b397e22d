/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2 on a connection: what its files share. */
#ifndef APPMON_HTTP2_H
#define APPMON_HTTP2_H

#include "protocol/frames.h"
#include "protocol/http1/http1-event.h"
#include "protocol/http2/hpack.h"
#include "protocol/protocol.h"

/* RFC 9113 section 6 */
enum {
	H2_DATA = 0,
	H2_HEADERS = 1,
	H2_RST_STREAM = 3,
	H2_PUSH_PROMISE = 5,
	H2_GOAWAY = 7,
	H2_CONTINUATION = 9,
};
enum { H2_END_STREAM = 0x1, H2_END_HEADERS = 0x4, H2_PADDED = 0x8, H2_PRIORITY = 0x20 };

/* Of a header block with its CONTINUATION frames; a longer one is taken for one that was missed. */
#define H2_BLOCK_MAX 65536

/* A header block of which not all frames have come. */
struct h2_block {
	char *bytes;	 /* from the pool; NULL: there are none */
	uint32_t len;	 /* of these */
	uint32_t stream; /* of its frames; 0: no block is coming */
	uint32_t promised;
	uint32_t wire; /* bytes of its frames */
	bool end_stream;
	bool lost; /* not all of it is here */
	bool pad[6];
	struct start start;
	uint64_t end_ns;
};

struct h2_side {
	struct hpack table;
	struct h2_block block;
	bool lost;  /* where frames begin is not known */
	bool empty; /* of the bytes that were missed none can be of a header block */
	bool begun; /* a frame has come */
	bool pad[5];
};

/* conn.state */
struct http2 {
	struct frames frames;
	struct h2_side side[2]; /* by DIR_* */
	uint64_t first[2];	/* where the frames of a fresh connection begin */
	uint32_t last_stream;	/* the highest that a request began */
	uint32_t first_stream;	/* the first one that was seen to begin */
};

/* Length-prefixed messages of gRPC in the DATA frames of one direction. */
struct h2_messages {
	uint32_t count;
	uint32_t left;	   /* bytes of the message at hand that are to come */
	uint8_t prefix[5]; /* of the next one, as far as it is here */
	uint8_t have;	   /* bytes of that */
	uint8_t lost;	   /* a prefix was not captured: they cannot be counted any more */
	uint8_t pad;
};

/* exchange.own */
struct h2_stream {
	struct h2_messages messages[2]; /* request, response */
	struct http1_span message;	/* grpc-message, in the bytes of exchange.response */
	int32_t grpc_status;		/* -1: none */
	uint8_t grpc;			/* it is a call of gRPC */
	uint8_t other;			/* it is none: its method or a content-type say so */
	uint8_t end_unread;		/* the last header block has fields that cannot be told */
	uint8_t connect;		/* the method is CONNECT */
	uint8_t given_up_by;		/* H2_CLIENT, H2_SERVER */
	uint8_t pad[3];
};

enum { H2_CLIENT = 1, H2_SERVER = 2 };

/* What a header block says. */
struct h2_fields {
	struct http1_head h; /* spans in bytes */
	char *bytes;	     /* each string has room for a NUL behind it */
	uint32_t used, room;
	struct http1_span message; /* grpc-message */
	int32_t grpc_status;
	uint32_t unknown;  /* fields that cannot be told */
	bool is_request;   /* a pseudo-header field of requests is there */
	bool is_grpc;	   /* by content-type, or grpc-status is there */
	bool is_other;	   /* by content-type */
	bool has_protocol; /* extended CONNECT (RFC 8441) */
};

static inline struct http2 *http2_of(const struct conn *c)
{
	return c->state;
}

static inline struct h2_stream *h2_own(const struct exchange *ex)
{
	return (struct h2_stream *)(void *)(uintptr_t)ex->own;
}

/* ---- fields.c -------------------------------------------------------------------------------- */

/* Decodes a header block into ret. False: it is none, or there is no memory; then the table begins
 * anew. fields_free() in any case. */
bool fields_read(struct pipeline *pl, const struct conn *c, struct hpack *table, const char *block,
		 uint32_t len, struct h2_fields *ret);
void fields_free(struct pipeline *pl, struct h2_fields *f);
/* A head with the fields of trailers at its end, in place of head; NULL: no memory, and head stays.
 * *by: how far the spans of f have moved. */
struct head *head_with_trailers(struct pipeline *pl, struct head *head, const struct h2_fields *f,
				uint32_t *by);

/* ---- http2-event.c: see struct protocol ------------------------------------------------------ */

size_t http2_event_bytes(const struct pipeline *pl, const struct exchange *ex);
void http2_fill(struct event_writer *w, const struct exchange *ex);

#endif /* APPMON_HTTP2_H */
