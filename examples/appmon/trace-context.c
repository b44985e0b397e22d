/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace-context.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* version "-" trace-id "-" parent-id "-" trace-flags; lower case hexadecimal. */
#define TRACE_ID_AT 3
#define PARENT_ID_AT 36
#define FLAGS_AT 53
#define LENGTH 55

static bool is_hex(const char *text, size_t len)
{
	return strspn(text, "0123456789abcdef") >= len;
}

static bool is_zero(const char *text, size_t len)
{
	return strspn(text, "0") >= len;
}

int trace_context_parse(const struct appmon_str *traceparent, char trace_id[33], char parent_id[17])
{
	const char *text = traceparent->data;

	if (traceparent->len < LENGTH || !is_hex(text, 2) || text[2] != '-' ||
	    !is_hex(text + TRACE_ID_AT, 32) || text[PARENT_ID_AT - 1] != '-' ||
	    !is_hex(text + PARENT_ID_AT, 16) || text[FLAGS_AT - 1] != '-' ||
	    !is_hex(text + FLAGS_AT, 2))
		return -EINVAL;
	/* Version ff is invalid; version 00 ends here, later ones may go on after a dash. */
	if (memcmp(text, "ff", 2) == 0 ||
	    (memcmp(text, "00", 2) == 0 && traceparent->len > LENGTH) ||
	    (traceparent->len > LENGTH && text[LENGTH] != '-'))
		return -EINVAL;
	if (is_zero(text + TRACE_ID_AT, 32) || is_zero(text + PARENT_ID_AT, 16))
		return -EINVAL;
	memcpy(trace_id, text + TRACE_ID_AT, 32);
	trace_id[32] = '\0';
	memcpy(parent_id, text + PARENT_ID_AT, 16);
	parent_id[16] = '\0';
	return 0;
}
