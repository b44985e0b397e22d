/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for http1.c. The input is taken as a request head, as a
 * response head, as a request-target and as a chunked body, so that every file
 * of tests/corpus/http1 is a seed. What it finds with the processor's vector instructions is
 * compared with what it finds without (http1-portable.c). With -DFUZZ_STANDALONE it has a main()
 * that runs the files named on the command line.
 */
#include "protocol/http1/http1.h"

#include <appmon/appmon.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

/* http1-portable.c */
int portable_parse_head(enum http1_kind kind, const char *buf, size_t len, size_t scanned,
			bool final, const struct field_names *keep, struct http1_head *out);
enum http1_look portable_look(enum http1_kind kind, const char *buf, size_t len);

static const char *const kept[] = {"host",   "content-type",	  "user-agent", "x-request-id",
				   "cookie", "transfer-encoding", "a",		"x^~|`_!"};

/* Exactly as large as its content, so that AddressSanitizer sees any over-read. */
static char *exact(const char *data, size_t len)
{
	char *copy = malloc(len ? len : 1);

	CHECK(copy);
	memcpy(copy, data, len);
	return copy;
}

static void check_span(struct http1_span span, size_t len)
{
	CHECK(span.off <= len && span.len <= len - span.off);
}

static void check_head(const struct http1_head *head, const struct field_names *keep, size_t len)
{
	uint32_t i;

	CHECK(head->head_len && head->head_len <= len);
	CHECK(head->field_count <= FIELDS_MAX);
	CHECK(head->content_length >= -1);
	check_span(head->method_name, head->head_len);
	check_span(head->target, head->head_len);
	check_span(head->reason, head->head_len);
	check_span(head->host, head->head_len);
	for (i = 0; i < head->field_count; i++) {
		check_span(head->field[i].value, head->head_len);
		CHECK(head->field[i].keep < keep->count);
	}
	CHECK(!head->target_truncated || head->truncated);
	CHECK(head->version < 10000 && (head->version / 10 != 1 || head->version <= 11));
}

static void check_same(const struct http1_head *a, const struct http1_head *b)
{
	uint32_t i;

	CHECK(a->head_len == b->head_len && a->flags == b->flags && a->version == b->version);
	CHECK(a->method == b->method && a->status == b->status);
	CHECK(a->content_length == b->content_length && a->field_count == b->field_count);
	CHECK(!memcmp(&a->method_name, &b->method_name, sizeof(a->method_name)));
	CHECK(!memcmp(&a->target, &b->target, sizeof(a->target)));
	CHECK(!memcmp(&a->reason, &b->reason, sizeof(a->reason)));
	CHECK(!memcmp(&a->host, &b->host, sizeof(a->host)));
	for (i = 0; i < a->field_count; i++) {
		CHECK(!memcmp(&a->field[i].value, &b->field[i].value, sizeof(a->field[i].value)));
		CHECK(a->field[i].keep == b->field[i].keep);
	}
	CHECK(a->target_truncated == b->target_truncated && a->truncated == b->truncated);
}

/* With and without vector instructions. */
static void check_portable(enum http1_kind kind, const char *buf, size_t len, bool final,
			   const struct field_names *keep, int r, const struct http1_head *head)
{
	struct http1_head portable;

	CHECK(portable_parse_head(kind, buf, len, 0, final, keep, &portable) == r);
	if (r > 0)
		check_same(&portable, head);
}

/* All prefixes of a small input, some of a large one. */
static size_t next_prefix(size_t at, size_t len)
{
	size_t step = len <= 256 ? 1 : len / 64;

	return at < len && at + step > len ? len : at + step;
}

static void check_prefix(enum http1_kind kind, const char *data, size_t len, size_t *scanned,
			 const struct field_names *keep, int whole,
			 const struct http1_head *whole_head, enum http1_look whole_look)
{
	struct http1_head head;
	char *buf = exact(data, len);
	enum http1_look look = http1_look(kind, buf, len);
	int plain;
	int resumed;
	int final;

	CHECK(look == HTTP1_LOOK_MAYBE || look == whole_look);

	plain = http1_parse_head(kind, buf, len, 0, false, keep, &head);
	if (whole > 0) {
		CHECK(plain == (len < (size_t)whole ? HTTP1_PARTIAL : whole));
		if (plain > 0)
			check_same(&head, whole_head);
	} else if (whole == HTTP1_PARTIAL) {
		CHECK(plain == HTTP1_PARTIAL);
	} else {
		CHECK(plain < 0);
	}

	resumed = http1_parse_head(kind, buf, len, *scanned, false, keep, &head);
	if (whole > 0) {
		CHECK(resumed == plain);
		if (resumed > 0)
			check_same(&head, whole_head);
	} else {
		CHECK(resumed == plain || (resumed == HTTP1_PARTIAL && *scanned));
	}
	if (resumed == HTTP1_PARTIAL)
		*scanned = len;

	final = http1_parse_head(kind, buf, len, 0, true, keep, &head);
	check_portable(kind, buf, len, true, keep, final, &head);
	if (plain == HTTP1_PARTIAL) {
		/* BAD_VERSION: the preface of HTTP/2, known by its words before its line ends. */
		CHECK(final == HTTP1_PARTIAL || ((size_t) final == len && head.truncated) ||
		      (kind == HTTP1_REQUEST && final == HTTP1_BAD_VERSION));
	} else {
		CHECK(final == plain);
		CHECK(final < 0 || !head.truncated);
	}
	if (final > 0)
		check_head(&head, keep, len);
	free(buf);
}

static void fuzz_head(enum http1_kind kind, const char *data, size_t len,
		      const struct field_names *keep)
{
	struct http1_head head;
	char *buf = exact(data, len);
	enum http1_look look = http1_look(kind, buf, len);
	int r = http1_parse_head(kind, buf, len, 0, false, keep, &head);
	size_t scanned = 0;
	size_t i;

	check_portable(kind, buf, len, false, keep, r, &head);
	CHECK(look == portable_look(kind, buf, len));
	CHECK(r > 0 || (r >= HTTP1_BAD_STATUS && r <= HTTP1_PARTIAL));
	if (r > 0) {
		uint64_t length = UINT64_MAX;
		uint32_t method;

		CHECK((size_t)r == head.head_len);
		check_head(&head, keep, len);
		CHECK(look == HTTP1_LOOK_YES);
		if (http1_request_framing(&head, &length) == HTTP1_BODY_LENGTH)
			CHECK(length == (uint64_t)head.content_length);
		for (method = 0; method <= APPMON_METHOD_PATCH; method++) {
			length = UINT64_MAX;
			if (http1_response_framing(&head, method, &length) == HTTP1_BODY_LENGTH)
				CHECK(length == (uint64_t)head.content_length);
			else
				CHECK(length == UINT64_MAX);
		}
		CHECK(!(head.flags & HTTP1_CLOSE) || !http1_persists(&head));
	}
	CHECK(look != HTTP1_LOOK_NO || r < HTTP1_PARTIAL);
	CHECK(look != HTTP1_LOOK_MAYBE || r == HTTP1_PARTIAL);

	for (i = 0; i <= len; i = next_prefix(i, len))
		check_prefix(kind, data, i, &scanned, keep, r, &head, look);
	free(buf);
}

static void fuzz_target(const char *data, size_t len)
{
	char *buf = exact(data, len);
	uint32_t method;

	for (method = 0; method <= APPMON_METHOD_PATCH; method++) {
		struct http1_span path;
		struct http1_span query;
		struct http1_span authority;

		http1_split_target(buf, len, method, &path, &query, &authority);
		check_span(path, len);
		check_span(query, len);
		check_span(authority, len);
	}
	free(buf);
}

static void fuzz_chunks(const char *data, size_t len)
{
	struct http1_chunks whole = {0};
	struct http1_chunks bytes = {0};
	struct http1_chunks skips = {0};
	char *buf = exact(data, len);
	size_t used = SIZE_MAX;
	size_t at = 0;
	size_t n;
	int r = http1_chunks_feed(&whole, buf, len, &used);
	int one = HTTP1_CHUNKS_MORE;

	CHECK(used <= len);
	CHECK(r != HTTP1_CHUNKS_MORE || used == len);
	while (at < len && one == HTTP1_CHUNKS_MORE) {
		one = http1_chunks_feed(&bytes, buf + at, 1, &n);
		CHECK(n == 1 || one == HTTP1_CHUNKS_BAD);
		at += n;
	}
	CHECK(at == used && one == r);
	CHECK(!memcmp(&whole, &bytes, sizeof(whole)));

	/* What lies inside chunk data may as well be passed over. */
	for (at = 0, one = HTTP1_CHUNKS_MORE; at < len && one == HTTP1_CHUNKS_MORE; at += n) {
		struct http1_chunks probe = skips;

		n = len - at > 3 ? 3 : len - at;
		if (http1_chunks_skip(&probe, n) == HTTP1_CHUNKS_MORE)
			skips = probe;
		else
			one = http1_chunks_feed(&skips, buf + at, n, &n);
	}
	CHECK(at == used && one == r);
	CHECK(!memcmp(&whole, &skips, sizeof(whole)));
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct field_names keep = {0};
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		CHECK(field_names_add(&keep, kept[i]));
	fuzz_head(HTTP1_REQUEST, (const char *)data, len, &keep);
	fuzz_head(HTTP1_RESPONSE, (const char *)data, len, &keep);
	fuzz_target((const char *)data, len);
	fuzz_chunks((const char *)data, len);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	return fuzz_files(argc, argv);
}
#endif
