/* SPDX-License-Identifier: BSD-2-Clause */
/* W3C Trace Context: the ids in a traceparent field. */
#ifndef APPMON_CLI_TRACE_CONTEXT_H
#define APPMON_CLI_TRACE_CONTEXT_H

#include <appmon/appmon.h>

/* Hexadecimal, NUL-terminated. Returns 0, or -EINVAL if the field is not well formed. */
int trace_context_parse(const struct appmon_str *traceparent, char trace_id[33],
			char parent_id[17]);

#endif /* APPMON_CLI_TRACE_CONTEXT_H */
