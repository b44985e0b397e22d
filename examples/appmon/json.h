/* SPDX-License-Identifier: BSD-2-Clause */
/* Events and the summary as JSON, one object per line. */
#ifndef APPMON_CLI_JSON_H
#define APPMON_CLI_JSON_H

#include <stdint.h>
#include <stdio.h>

#include <appmon/appmon.h>

#include "summary.h"

struct json_object;

/* realtime_ns: wall time at which it began, 0 if unknown. */
void json_event(FILE *out, const struct appmon_event *ev, uint64_t realtime_ns);
void json_summary(FILE *out, const struct summary *summary, const struct appmon_stats *stats,
		  uint64_t capabilities);

/* Bytes as a string; what is not UTF-8 becomes U+FFFD. NULL if there is no memory. */
struct json_object *json_new_str(const struct appmon_str *str);

/*
 * Writes the object as one line and frees it. The line is ASCII (RFC 8259 allows
 * every character to be escaped): no byte from the network can steer a terminal.
 */
void json_write_line(FILE *out, struct json_object *object);

#endif /* APPMON_CLI_JSON_H */
