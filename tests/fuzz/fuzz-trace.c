/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for trace.c and container.c: the input as the value of each field and as a
 * cgroup's path. What is accepted has to be what the specifications demand.
 */
#include "exchange/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

static bool any(const uint8_t *id, size_t n)
{
	while (n--)
		if (id[n])
			return true;
	return false;
}

static void put_hex(char *to, const uint8_t *id, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sprintf(to + 2 * i, "%02x", id[i]);
}

/* The value, written anew from what was read of it. */
static void check_w3c(struct trace_value v, const struct appmon_trace *t)
{
	char trace[33], span[17];

	put_hex(trace, t->trace_id, 16);
	put_hex(span, t->span_id, 8);
	CHECK(!memcmp(v.data + 3, trace, 32) && !memcmp(v.data + 36, span, 16));
	CHECK(t->format == APPMON_TRACE_W3C && !(t->flags & ~APPMON_TRACE_SAMPLED));
}

static void check_b3(struct trace_value v, const struct appmon_trace *t)
{
	const char *dash = memchr(v.data, '-', v.len);
	char trace[33];

	put_hex(trace, t->trace_id, 16);
	CHECK(dash && (dash - v.data == 16 || dash - v.data == 32));
	CHECK(!memcmp(v.data, trace + 32 - (dash - v.data), (size_t)(dash - v.data)));
}

static void check_container(const char *path)
{
	struct appmon_container c = {.size = sizeof(c)};

	if (appmon_cgroup_container(path, &c))
		return;
	CHECK(strlen(c.id) == 0 || strlen(c.id) == 64);
	CHECK(strlen(c.pod_uid) == 0 || strlen(c.pod_uid) == 32 || strlen(c.pod_uid) == 36);
	CHECK(c.id[0] || c.pod_uid[0]);
	CHECK(!c.id[0] || strstr(path, c.id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* Exactly as large as its content, so that AddressSanitizer sees any over-read. */
	char *copy = malloc(len + 1), *text;
	struct trace_value v = {copy, len}, id, fields[TRACE_FIELDS];
	struct appmon_endpoint ep;
	struct appmon_trace t;

	CHECK(copy);
	memcpy(copy, data, len);
	copy[len] = '\0';
	text = malloc(len + 1);
	CHECK(text);
	check_container(copy);
	copy = realloc(copy, len ? len : 1);
	CHECK(copy);
	v.data = copy;
	if (trace_parse_w3c(v, &t))
		check_w3c(v, &t);
	if (trace_parse_b3(v, &t))
		check_b3(v, &t);
	if (trace_parse_jaeger(v, &t))
		CHECK(any(t.trace_id, 16) && any(t.span_id, 8));
	if (trace_parse_sw8(v, &t, &id))
		CHECK(id.data > copy && id.data + id.len < copy + len &&
		      trace_base64(id.data, id.len, text) > 0);
	if (trace_parse_forwarded(v, &ep))
		CHECK((ep.family == 4 || ep.family == 6) && ep.port);
	for (int i = 0; i < TRACE_FIELDS; i++)
		fields[i] = v;
	if (trace_parse(fields, &t, &id))
		CHECK(t.format >= APPMON_TRACE_W3C && t.format <= APPMON_TRACE_SW8);
	free(text);
	free(copy);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	return fuzz_files(argc, argv);
}
#endif
