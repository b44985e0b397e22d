/* SPDX-License-Identifier: BSD-2-Clause */
/* Members of the console's JSON objects. */
#ifndef APPMON_CONSOLE_JSON_FIELDS_H
#define APPMON_CONSOLE_JSON_FIELDS_H

#include <string.h>

#include <appmon/appmon.h>

#include "../json-line.h"
#include "../text.h"

static inline void put_uint(struct json_line *json, const char *key, uint64_t value)
{
	json_line_key(json, key);
	json_line_uint(json, value);
}

static inline void put_text(struct json_line *json, const char *key, const char *text)
{
	json_line_key(json, key);
	json_line_string(json, text, strlen(text));
}

static inline void put_bool(struct json_line *json, const char *key, bool value)
{
	json_line_key(json, key);
	json_line_bool(json, value);
}

/* A CLOCK_MONOTONIC time as milliseconds since 1970. */
static inline void put_time(struct json_line *json, const char *key, struct appmon *mon,
			    uint64_t time_ns)
{
	put_uint(json, key, appmon_realtime_ns(mon, time_ns) / NSEC_PER_MSEC);
}

#endif /* APPMON_CONSOLE_JSON_FIELDS_H */
