/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header blocks, made into heads as HTTP/1's are: so the event, the redaction and the trace ids of
 * both versions are the same code.
 */
#include <string.h>

#include "protocol/http2/http2.h"

static bool is(struct hpack_str s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.data, text, s.len);
}

/* Keeps a string, as far as the capture limit allows. */
static struct http1_span put(struct h2_fields *f, struct hpack_str s)
{
	struct http1_span span = {f->used, s.len};

	if (f->h.truncated)
		return (struct http1_span){0};
	if (s.len >= f->room - f->used) {
		span.len = f->room - f->used;
		f->h.truncated = true;
	}
	memcpy(f->bytes + span.off, s.data, span.len);
	f->used += span.len;
	f->h.head_len = f->used;
	if (!f->h.truncated)
		f->bytes[f->used++] = ' ';
	return span;
}

/* Up to 18 digits; -1: it is no such number. */
static int64_t number(struct hpack_str s)
{
	int64_t n = 0;

	if (!s.len || s.len > 18)
		return -1;
	for (uint32_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return -1;
		n = n * 10 + (s.data[i] - '0');
	}
	return n;
}

static void pseudo_field(struct h2_fields *f, struct hpack_str name, struct hpack_str value)
{
	if (is(name, ":status")) {
		int64_t status = number(value);

		f->h.status = status >= 100 && status <= 999 ? (uint32_t)status : 0;
		return;
	}
	f->is_request = true;
	if (is(name, ":method")) {
		f->h.method = http1_method(value.data, value.len);
		f->h.method_name = put(f, value);
	} else if (is(name, ":path")) {
		f->h.target = put(f, value);
		f->h.target_truncated = f->h.truncated;
	} else if (is(name, ":authority")) {
		f->h.host = put(f, value);
	} else if (is(name, ":protocol")) {
		f->has_protocol = true;
	}
}

static void content_type(struct h2_fields *f, struct hpack_str value)
{
	if (value.len >= 16 && !memcmp(value.data, "application/grpc", 16) &&
	    (value.len == 16 || memchr("+;-", value.data[16], 3)))
		f->is_grpc = true;
	else
		f->is_other = true;
}

static void known_field(struct h2_fields *f, struct hpack_str name, struct hpack_str value)
{
	if (is(name, "host") && !f->h.host.len)
		f->h.host = put(f, value);
	else if (is(name, "content-length"))
		f->h.content_length = number(value);
	else if (is(name, "content-type"))
		content_type(f, value);
	else if (is(name, "grpc-status"))
		f->is_grpc = true, f->grpc_status = (int32_t)(number(value) & INT32_MAX);
	else if (is(name, "grpc-message"))
		f->message = put(f, value);
}

static void take_field(const struct pipeline *pl, struct h2_fields *f, const struct hpack_field *in)
{
	uint32_t keep;

	if (!in->name.data || !in->value.data) {
		f->unknown++;
		return;
	}
	if (in->name.len && in->name.data[0] == ':') {
		pseudo_field(f, in->name, in->value);
		return;
	}
	known_field(f, in->name, in->value);
	keep = http1_field_kept(&pl->keep, in->name.data, in->name.len);
	if (!keep)
		return;
	if (f->h.field_count == FIELDS_MAX) {
		f->h.flags |= HTTP1_FIELDS_LOST;
		return;
	}
	f->h.field[f->h.field_count].value = put(f, in->value);
	f->h.field[f->h.field_count++].keep = keep - 1;
}

bool fields_read(struct pipeline *pl, const struct conn *c, struct hpack *table, const char *block,
		 uint32_t len, struct h2_fields *ret)
{
	const struct target *target = target_of(pl, &c->id);
	const uint8_t *from = (const uint8_t *)block;
	struct hpack_block b = {from, from + len, NULL, false};
	struct hpack_field field;
	int r;

	memset(ret, 0, offsetof(struct h2_fields, h.field));
	memset((char *)ret + sizeof(ret->h), 0, sizeof(*ret) - sizeof(ret->h));
	ret->h.content_length = -1;
	ret->h.version = 20;
	ret->grpc_status = -1;
	ret->room = target ? target->capture : 0;
	/* What is kept, and behind it room for what is decoded. */
	ret->bytes = pool_alloc_evicting(&pl->pool, ret->room + 1 + HPACK_SCRATCH(len));
	if (!ret->bytes) {
		hpack_lose(table);
		return false;
	}
	b.scratch = ret->bytes + ret->room + 1;
	while ((r = hpack_next(&pl->pool, table, &b, &field)) == HPACK_FIELD)
		take_field(pl, ret, &field);
	/* RFC 9113 section 8.5: it asks for a tunnel to the authority. */
	if (ret->h.method == APPMON_METHOD_CONNECT && !ret->has_protocol && !ret->h.target.len)
		ret->h.target = ret->h.host;
	if (r == HPACK_END)
		return true;
	hpack_lose(table);
	return false;
}

void fields_free(struct pipeline *pl, struct h2_fields *f)
{
	pool_free(&pl->pool, f->bytes);
	f->bytes = NULL;
}

struct head *head_with_trailers(struct pipeline *pl, struct head *head, const struct h2_fields *f,
				uint32_t *by)
{
	struct http1_head h = {0};
	struct head *joined;
	char *bytes;

	/* A blank between them: the strings of both end with one. */
	*by = head->h.head_len + 1;
	memcpy(&h, &head->h, offsetof(struct http1_head, field));
	memcpy(h.field, head->h.field, head->h.field_count * sizeof(h.field[0]));
	for (uint32_t i = 0; i < f->h.field_count && h.field_count < FIELDS_MAX; i++) {
		h.field[h.field_count] = f->h.field[i];
		h.field[h.field_count++].value.off += *by;
	}
	h.head_len = *by + f->h.head_len;
	bytes = pool_alloc_evicting(&pl->pool, h.head_len);
	if (!bytes)
		return NULL;
	memcpy(bytes, head->bytes, head->h.head_len);
	bytes[head->h.head_len] = ' ';
	memcpy(bytes + *by, f->bytes, f->h.head_len);
	joined = head_keep(pl, &h, bytes, head->len);
	pool_free(&pl->pool, bytes);
	if (joined)
		pool_free(&pl->pool, head);
	return joined;
}
