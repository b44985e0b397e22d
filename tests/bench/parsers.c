/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our head parser beside picohttpparser, llhttp and http_parser, on the same bytes in one run,
 * alternating. Built by the script beside it, which gets the others; they are not in this tree.
 *     parsers [ROUNDS]       a JSON line for each message and parser: best ns a head
 *     parsers PARSER MESSAGE COUNT    so many times, for callgrind
 * All are asked for the same: is it valid, how long is it, where are method, target and fields.
 */
#include <http_parser.h>
#include <picohttpparser.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/http1/http1.h"
#include "messages.h"
#include "parsers.h"

#define HEADS_PER_ROUND 20000

static const struct message messages[] = {
	{"request 400 B", false, BENCH_REQUEST, sizeof(BENCH_REQUEST) - 1},
	{"request 78 B", false, BENCH_SMALL, sizeof(BENCH_SMALL) - 1},
	{"request 1056 B", false, BENCH_LARGE, sizeof(BENCH_LARGE) - 1},
	{"response 200 B", true, BENCH_RESPONSE_HEAD, sizeof(BENCH_RESPONSE_HEAD) - 1},
};

/* ---- ours ------------------------------------------------------------------------------ */

static struct field_names keep;

static size_t ours(const struct message *m, const struct field_names *names)
{
	struct http1_head head;
	int n = http1_parse_head(m->response ? HTTP1_RESPONSE : HTTP1_REQUEST, m->bytes, m->len, 0,
				 false, names, &head);

	return n < 0 ? 0 : (size_t)n;
}

/* With a host's list of fields to keep. */
static size_t ours_keeping(const struct message *m)
{
	return ours(m, &keep);
}

static size_t ours_bare(const struct message *m)
{
	return ours(m, NULL);
}

/* ---- picohttpparser: this build of it, and the one with SSE 4.2 --------------------------- */

static size_t pico(const struct message *m)
{
	struct phr_header headers[64];
	size_t count = 64, len;
	const char *s, *target;
	int version, status, n;

	if (m->response)
		n = phr_parse_response(m->bytes, m->len, &version, &status, &s, &len, headers,
				       &count, 0);
	else
		n = phr_parse_request(m->bytes, m->len, &s, &len, &target, &len, &version, headers,
				      &count, 0);
	return n < 0 ? 0 : (size_t)n;
}

/* ---- http_parser ----------------------------------------------------------------------------- */

static struct span spans[256];
static uint32_t span_count;

static int hp_span(http_parser *parser, const char *at, size_t len)
{
	(void)parser;
	spans[span_count++ & 255] = (struct span){at, len};
	return 0;
}

/* No body is wanted: what follows is not a message of this benchmark. */
static int hp_headers_complete(http_parser *parser)
{
	(void)parser;
	return 1;
}

static size_t hp(const struct message *m)
{
	static const http_parser_settings settings = {.on_url = hp_span,
						      .on_status = hp_span,
						      .on_header_field = hp_span,
						      .on_header_value = hp_span,
						      .on_headers_complete = hp_headers_complete};
	http_parser parser;

	span_count = 0;
	http_parser_init(&parser, m->response ? HTTP_RESPONSE : HTTP_REQUEST);
	return http_parser_execute(&parser, &settings, m->bytes, m->len);
}

/* ---- the run --------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t (*parse)(const struct message *m);
} parsers[] = {
	{"libappmon", ours_keeping}, {"libappmon, nothing kept", ours_bare},
	{"picohttpparser", pico},    {"picohttpparser SSE4.2", pico_sse42},
	{"llhttp", llhttp_head},     {"http_parser", hp},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

__attribute__((noinline)) static double measure(size_t parser, const struct message *m,
						uint32_t heads)
{
	double from = now();

	for (uint32_t i = 0; i < heads; i++) {
		if (parsers[parser].parse(m) != m->len) {
			fprintf(stderr, "%s does not take the %s\n", parsers[parser].name, m->name);
			exit(1);
		}
		/* The next round is not the same to the compiler. */
		__asm__ volatile("" ::: "memory");
	}
	return (now() - from) / heads;
}

int main(int argc, char **argv)
{
	static const char *const kept[] = {"content-type", "user-agent", "x-request-id",
					   "traceparent",  "tracestate", "x-forwarded-for"};
	int rounds = argc > 1 ? atoi(argv[1]) : 50;

	for (size_t i = 0; i < COUNT(kept); i++)
		field_names_add(&keep, kept[i]);
	if (argc == 4) {
		measure((size_t)atoi(argv[1]) % COUNT(parsers),
			&messages[(size_t)atoi(argv[2]) % COUNT(messages)],
			(uint32_t)atoi(argv[3]));
		return 0;
	}
	for (size_t k = 0; k < COUNT(messages); k++) {
		double best[COUNT(parsers)] = {0};

		for (int round = 0; round < rounds; round++)
			for (size_t i = 0; i < COUNT(parsers); i++) {
				double ns = measure(i, &messages[k], HEADS_PER_ROUND);

				if (!round || ns < best[i])
					best[i] = ns;
			}
		for (size_t i = 0; i < COUNT(parsers); i++)
			printf("{\"message\": \"%s\", \"parser\": \"%s\", \"ns\": %.1f, "
			       "\"of_ours\": %.2f}\n",
			       messages[k].name, parsers[i].name, best[i], best[i] / best[0]);
	}
	return 0;
}
