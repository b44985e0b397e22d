/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trace ids in header fields. Pure functions over caller's memory, like http1.h's: each takes one
 * field's value and returns false, with *ret untouched, if it is not well formed.
 */
#ifndef APPMON_TRACE_H
#define APPMON_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

/* Fields that say where a request belongs. */
enum trace_field {
	TRACE_FIELD_NONE,
	TRACE_FIELD_TRACEPARENT,
	TRACE_FIELD_B3,
	TRACE_FIELD_B3_TRACE_ID,
	TRACE_FIELD_B3_SPAN_ID,
	TRACE_FIELD_B3_PARENT_SPAN_ID,
	TRACE_FIELD_B3_SAMPLED,
	TRACE_FIELD_B3_FLAGS,
	TRACE_FIELD_UBER_TRACE_ID,
	TRACE_FIELD_SW8,
	TRACE_FIELD_FORWARDED,
	TRACE_FIELD_REQUEST_ID, /* x-request-id and what the host named */
	TRACE_FIELDS
};

/* A value; absent: data is NULL. */
struct trace_value {
	const char *data;
	size_t len;
};

/* By its name in lower case; TRACE_FIELD_NONE for others. */
enum trace_field trace_field_of(const char *name);
/* The names of all fields that are kept when the host asks for trace ids, NULL at the end. */
extern const char *const trace_field_names[];

/* traceparent, W3C Trace Context level 1 section 3.2; later versions by its rules for them. */
bool trace_parse_w3c(struct trace_value value, struct appmon_trace *ret);
/* b3: TRACE-SPAN[-SAMPLING[-PARENT]]. A decision without ids is none. */
bool trace_parse_b3(struct trace_value value, struct appmon_trace *ret);
/* x-b3-*; by enum trace_field. */
bool trace_parse_b3_multi(const struct trace_value value[TRACE_FIELDS], struct appmon_trace *ret);
/* uber-trace-id: TRACE:SPAN:PARENT:FLAGS, leading zeros left out, ':' perhaps as %3A. */
bool trace_parse_jaeger(struct trace_value value, struct appmon_trace *ret);
/* sw8 version 3. ret->trace_id is 0 unless the id is a UUID; the id's text is base64 in *id. */
bool trace_parse_sw8(struct trace_value value, struct appmon_trace *ret, struct trace_value *id);
/* The first that is there and well formed, in the order of enum trace_field. *id: as above, else
 * absent. */
bool trace_parse(const struct trace_value value[TRACE_FIELDS], struct appmon_trace *ret,
		 struct trace_value *id);

/* Decodes RFC 4648 section 4 into out, which has room for len / 4 * 3 bytes. Returns the length, or
 * -1 if it is not base64. */
int trace_base64(const char *s, size_t len, char *out);

/*
 * The client of the last hop, if it was named with its port: Forwarded (RFC 7239), the last
 * "for" with an address. An address without a port, or an obfuscated one, is none.
 */
bool trace_parse_forwarded(struct trace_value value, struct appmon_endpoint *ret);

/* The fields of a request that say where it belongs. Zero-initialise. */
struct trace_fields {
	struct trace_value value[TRACE_FIELDS];
	uint32_t count[TRACE_FIELDS];
};

/* The next field of the request, in their order. */
void trace_add(struct trace_fields *fields, enum trace_field field, struct trace_value value);

/* What they say, as parts of their values. */
struct trace {
	struct appmon_trace ids; /* format APPMON_TRACE_NONE: none */
	uint8_t key[16];	 /* of the trace: its id, or made of the id's text; 0: none */
	struct trace_value text; /* sw8's id in base64 */
	struct trace_value request_id;
	struct appmon_endpoint forwarded; /* family 0: none */
};

void trace_read(struct trace_fields *fields, struct trace *ret);

#endif /* APPMON_TRACE_H */
