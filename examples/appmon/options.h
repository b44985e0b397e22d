/* SPDX-License-Identifier: BSD-2-Clause */
/* The options that `appmon watch` and `appmon run` share. */
#ifndef APPMON_CLI_OPTIONS_H
#define APPMON_CLI_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "filter.h"

#define OPTIONS_MAX_HEADERS 64
#define OPTIONS_MAX_REQUEST_IDS 8
#define OPTIONS_MAX_REDACT 64

enum color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct options {
	struct filter filter;

	bool json;
	bool quiet;
	bool no_identity;
	enum color color;
	const char *output;  /* NULL: stdout */
	const char *record;  /* NULL: no recording is made */
	uint64_t record_max; /* 0: no bound */
	const char *replay;  /* NULL: the kernel is the source */
	bool explain;	     /* the log of all decisions, between the requests */
	uint64_t count;	     /* 0: no end */
	uint64_t duration_ns;

	uint64_t memory_limit;
	uint32_t flags;	    /* APPMON_OPEN_* */
	uint32_t protocols; /* 0: the library's default */
	uint32_t ring_bytes;
	uint32_t capture_bytes;
	uint32_t exchange_timeout_ms;
	uint32_t idle_timeout_ms;
	uint32_t log_level; /* 0: warnings only */
	uint32_t header_count;
	const char *headers[OPTIONS_MAX_HEADERS];
	const char *request_ids[OPTIONS_MAX_REQUEST_IDS];
	uint32_t request_id_count;
	const char *redact[OPTIONS_MAX_REDACT];
	uint32_t redact_count;
};

/* For argp's children; the input is a struct options. */
extern const struct argp options_argp;
/* --redact: another name of OPTIONS_MAX_REDACT. */
void options_add_redact(struct argp_state *state, const char **names, uint32_t *count,
			const char *name);

#endif /* APPMON_CLI_OPTIONS_H */
