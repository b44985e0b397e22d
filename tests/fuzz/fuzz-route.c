/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for route.c. The input is a list of paths, one a line; the first byte of a line
 * says which application's it is and how the request ended. With -DFUZZ_STANDALONE it has a main()
 * that runs the files named on the command line.
 */
#include "metrics/route.h"

#include <appmon/metrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

#define PLACES 200
#define CHILDREN 4

/* Exactly as large as its content, so that AddressSanitizer sees any over-read. */
static char *exact(const char *data, size_t len)
{
	char *copy = malloc(len ? len : 1);

	CHECK(copy);
	memcpy(copy, data, len);
	return copy;
}

/* Safe to show, and no number is left. */
static void check_route(const char *route, size_t len)
{
	size_t digits = 0, other = 0;

	for (size_t i = 0; i <= len; i++) {
		char c = i < len ? route[i] : '/';
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '%' ||
			      c == '{' || c == '}';

		CHECK(i == len || (c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != ';'));
		if (c >= '0' && c <= '9') {
			digits++;
		} else if (letter) {
			other++;
		} else {
			CHECK(!digits || other);
			digits = other = 0;
		}
		CHECK(i == 0 || i == len || c != '/' || route[i - 1] != '/');
	}
}

static void fuzz_looks(const char *path, size_t len)
{
	char route[ROUTE_MAX + 1], again[ROUTE_MAX + 1];
	char *copy = exact(path, len);
	size_t n = appmon_route(copy, len, route, sizeof(route));

	CHECK(n < sizeof(route) && route[n] == '\0');
	check_route(route, n);
	CHECK(!len || path[0] != '/' || route[0] == '/');
	/* A route is its own route. */
	CHECK(appmon_route(route, n, again, sizeof(again)) == n && memcmp(route, again, n) == 0);
	/* In any room: the same, or less with a mark. */
	for (size_t size = 1; size <= n + 1 && size < 64; size++) {
		char *small = malloc(size);
		size_t m = appmon_route(copy, len, small, size);

		CHECK(m < size && small[m] == '\0');
		CHECK(m == 0 || m == n || small[m - 1] == '*');
		free(small);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct route_cache cache;
	struct learner plain, cached;
	const char *at = (const char *)data, *end = at + len;

	memset(&cache, 0, sizeof(cache));
	CHECK(learner_init(&plain, PLACES, CHILDREN) == 0);
	CHECK(learner_init(&cached, PLACES, CHILDREN) == 0);
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((newline ? newline : end) - at);
		char route[ROUTE_MAX], again[ROUTE_MAX];
		size_t m;

		if (n > 0) {
			bool teaches = *at & 1;
			uint64_t app = 1 + (*at >> 1 & 3);
			char *path = exact(at + 1, n - 1);

			fuzz_looks(path, n - 1);
			/* What is at hand is what would be worked out. */
			m = route_of(&plain, app, path, n - 1, teaches, false, route, ROUTE_MAX);
			CHECK(m <= ROUTE_MAX);
			check_route(route, m);
			CHECK(route_cached(&cache, &cached, app, path, n - 1, teaches, again) == m);
			CHECK(memcmp(route, again, m) == 0);
			CHECK(plain.count == cached.count && plain.count <= PLACES);
			free(path);
		}
		at += n + (newline != NULL);
	}
	learner_destroy(&plain);
	learner_destroy(&cached);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	return fuzz_files(argc, argv);
}
#endif
