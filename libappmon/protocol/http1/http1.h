/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.x heads and chunked framing (RFC 9112). Pure functions over caller's
 * memory: no allocation, no I/O, no state but what is passed in.
 */
#ifndef APPMON_HTTP1_H
#define APPMON_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange/field-names.h"

/* A part of the head, as an offset from its first byte: survives a copy of the head. */
struct http1_span {
	uint32_t off;
	uint32_t len;
};

struct http1_field {
	struct http1_span value;
	uint32_t keep; /* index into struct field_names */
};

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

enum {
	/* What the head says about framing and persistence. */
	HTTP1_CHUNKED = 1 << 0,		  /* the last transfer coding is chunked */
	HTTP1_TRANSFER_ENCODING = 1 << 1, /* there is a Transfer-Encoding field */
	HTTP1_CLOSE = 1 << 2,		  /* Connection: close */
	HTTP1_KEEP_ALIVE = 1 << 3,	  /* Connection: keep-alive */
	HTTP1_UPGRADE = 1 << 4,		  /* Connection: upgrade */
	HTTP1_EXPECT_CONTINUE = 1 << 5,	  /* Expect: 100-continue */
	HTTP1_AMBIGUOUS = 1 << 6,   /* Content-Length with Transfer-Encoding, or two that differ
				       (the smallest counts); a request's Transfer-Encoding
				       without chunked at its end, or with HTTP/1.0; chunked
				       twice; either field with a blank before its colon,
				       folded, or beside a bare LF; or in a line that cannot be
				       read */
	HTTP1_FIELDS_LOST = 1 << 7, /* more kept fields than FIELDS_MAX */
	HTTP1_MALFORMED = 1 << 8,   /* a line was passed over, or there is a control byte in the
				       start line, or a version that is none */
	HTTP1_UNREAD = 1 << 9,	    /* Content-Length is no number, or beyond int64; or it, or
				       Transfer-Encoding, is in a line that was passed over */
	HTTP1_H2C = 1 << 10,	    /* Upgrade: h2c */
};

struct http1_head {
	uint32_t head_len; /* bytes up to and including the empty line; all that was given if
			      truncated */
	uint32_t flags;	   /* HTTP1_* above */
	uint32_t version;  /* 10 * major + minor, which counts up to 9 (RFC 9112 2.3: HTTP/1.x
			      with x > 1 counts as 11); 0: a request line cut off before it, or
			      with one that is none */
	uint32_t method;   /* APPMON_METHOD_* */
	uint32_t status;   /* 100..999 */
	uint32_t field_count;
	int64_t content_length; /* -1: none */
	struct http1_span method_name;
	struct http1_span target;
	struct http1_span reason;
	struct http1_span host; /* value of the first Host field */
	bool target_truncated;	/* the input ended inside the request-target */
	bool truncated;		/* parsed with final = true and the empty line was not there */
	struct http1_field field[FIELDS_MAX]; /* last: a copy keeps field_count of them */
};

/* Results of http1_parse_head() below zero. */
enum {
	HTTP1_PARTIAL = -1,   /* well-formed so far: call again with more */
	HTTP1_BAD_START = -2, /* request line or status line */
	HTTP1_BAD_VERSION = -3,
	HTTP1_BAD_STATUS = -4,
};

/*
 * Parses one head at the start of buf. Returns its length in bytes, or HTTP1_PARTIAL,
 * or HTTP1_BAD_*. scanned is how many bytes an earlier call with a shorter prefix of the
 * same buffer has seen (0 at first): it makes re-parsing linear; errors may then be found no
 * sooner than the empty line. With final = true no more
 * bytes will come (the capture limit): what is there is parsed, out->truncated is set,
 * and the result is the number of bytes given; HTTP1_PARTIAL only if not even the
 * start line is usable (a request line cut inside the target is usable: target_truncated).
 * A value that the cut goes through ends at head_len, blanks included; it counts as kept, but
 * says nothing about framing, which may as well be in the part that is missing.
 *
 * Lenient (RFC 9112 2.2, 3, 5): empty lines before the start line (counted into head_len),
 * bare LF, several spaces or tabs between the parts of the start line, a missing reason phrase,
 * white space around values, obs-text, obs-fold, space before the colon,
 * any octets but line ends in the target and the reason phrase, blanks too (the version is the last
 * word of the line). A folded value keeps its line breaks, as sent. A head whose start line can be
 * read is never refused: a line without a colon or a name, with a control byte, or that begins with
 * a blank and continues no other, is passed over, and the head is HTTP1_MALFORMED.
 */
int http1_parse_head(enum http1_kind kind, const char *buf, size_t len, size_t scanned, bool final,
		     const struct field_names *keep, struct http1_head *out);

/* APPMON_METHOD_* of a method's name. */
uint32_t http1_method(const char *s, size_t len);
/* Index + 1 of a field's name among those that are kept, 0: it is not. */
uint32_t http1_field_kept(const struct field_names *keep, const char *name, size_t len);

/* How the body that follows a head is delimited (RFC 9112 section 6.3). */
enum http1_framing {
	HTTP1_BODY_NONE,
	HTTP1_BODY_LENGTH,
	HTTP1_BODY_CHUNKED,
	HTTP1_BODY_CLOSE,
	HTTP1_BODY_TUNNEL,
	HTTP1_BODY_UNREAD /* HTTP1_UNREAD, and no other field says it */
};

/* *length is set for HTTP1_BODY_LENGTH only, and may be 0. */
enum http1_framing http1_request_framing(const struct http1_head *head, uint64_t *length);
/* method: APPMON_METHOD_* of the request. 1xx other than 101 have no body; 101 and 2xx to CONNECT:
 * a tunnel. */
enum http1_framing http1_response_framing(const struct http1_head *head, uint32_t method,
					  uint64_t *length);

/* Whether the sender lets the connection persist after this message (RFC 9112 section 9.3). It
 * cannot after a body that is HTTP1_BODY_CLOSE, which depends on more than the head. */
bool http1_persists(const struct http1_head *head);

/* Does this look like the start of a request or status line? A line cut short is "maybe". */
enum http1_look { HTTP1_LOOK_NO, HTTP1_LOOK_MAYBE, HTTP1_LOOK_YES };
enum http1_look http1_look(enum http1_kind kind, const char *buf, size_t len);

/*
 * Splits a request-target (RFC 9112 section 3.2) into path, query and authority.
 * Offsets are relative to the start of target. origin-form "/a?b", absolute-form
 * "http://h/a?b" (path "/" if it has none), authority-form "h:p" for CONNECT (no path),
 * asterisk-form "*" (path "*"). Neither user:password@ nor a #fragment is in any of them.
 */
void http1_split_target(const char *target, size_t len, uint32_t method, struct http1_span *path,
			struct http1_span *query, struct http1_span *authority);

/* Chunked transfer coding (RFC 9112 section 7.1), trailer section included. Zero-initialise. */
struct http1_chunks {
	uint64_t left; /* bytes of chunk data still to pass */
	uint32_t state;
	uint32_t line; /* bytes of the present line, bounds chunk extensions and trailers */
	uint32_t odd;  /* receivers may disagree: a bare LF, a control byte, a blank in front of a
			  size, a trailer line that is no field line */
	uint32_t pad;
};

enum { HTTP1_CHUNKS_MORE = 0, HTTP1_CHUNKS_DONE = 1, HTTP1_CHUNKS_BAD = -1 };

/* Takes bytes of a chunked body. *used is how many belong to it (< len only when done or bad). */
int http1_chunks_feed(struct http1_chunks *c, const char *buf, size_t len, size_t *used);

/* Passes over n bytes that nobody saw. HTTP1_CHUNKS_MORE if they all lie inside chunk data (the
 * data's own CRLF excluded), else HTTP1_CHUNKS_BAD: the position inside the body is lost. */
int http1_chunks_skip(struct http1_chunks *c, uint64_t n);

#endif /* APPMON_HTTP1_H */
