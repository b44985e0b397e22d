/* SPDX-License-Identifier: BSD-2-Clause */
/* llhttp.h and http_parser.h define the same names, so that each has a file of its own. */
#ifndef APPMON_BENCH_PARSERS_H
#define APPMON_BENCH_PARSERS_H

#include <stdbool.h>
#include <stddef.h>

struct message {
	const char *name;
	bool response;
	const char *bytes;
	size_t len;
};

struct span {
	const char *at;
	size_t len;
};

/* Each returns the length of the head, 0 if it is not valid. */
size_t llhttp_head(const struct message *m);
size_t pico_sse42(const struct message *m);

#endif /* APPMON_BENCH_PARSERS_H */
