/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1's part of an event, made of the heads that are kept with an exchange. */
#ifndef APPMON_HTTP1_EVENT_H
#define APPMON_HTTP1_EVENT_H

#include "exchange/event.h"
#include "protocol/http1/http1.h"

/* exchange.request and .response: fields used only, then the bytes. */
struct head {
	char *bytes;	     /* and room for one more */
	uint32_t len;	     /* on the wire: what is kept may be less */
	uint32_t redacted;   /* of the target without its secrets; http1_event_bytes() sets it */
	struct http1_head h; /* last: truncated to field_count */
};

/* h: what is kept of a head of len bytes. NULL: no memory. */
struct head *head_keep(struct pipeline *pl, const struct http1_head *h, const char *bytes,
		       uint32_t len);

/* See struct protocol. */
size_t http1_event_bytes(const struct pipeline *pl, const struct exchange *ex);
void http1_event_fill(struct event_writer *w, const struct exchange *ex);

/* The fields of a request that say where it belongs. */
void http1_trace_fields(const struct pipeline *pl, const struct head *head,
			struct trace_fields *fields);

/* ---- redact.c: secrets in request-targets ---------------------------------------------------- */

/* Writes a target without its secrets to out and returns the length; out NULL: the length only.
 * 0: it has none, and out is left alone. */
size_t redact_target(const struct redact *r, const char *target, size_t len, uint32_t method,
		     char *out);

#endif /* APPMON_HTTP1_EVENT_H */
