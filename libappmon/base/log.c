/* SPDX-License-Identifier: BSD-2-Clause */
/* One preformatted line a call to the host; the last error as a sentence. */
#include <stdio.h>

#include "base/base.h"

static void send(struct log *log, int level, const char *line)
{
	if (log->fn && (uint32_t)level <= log->level)
		log->fn(log->ctx, level, line);
}

void log_line(struct log *log, int level, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	if (!log->fn || (uint32_t)level > log->level)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	send(log, level, line);
}

int fail(struct log *log, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(log->error, sizeof(log->error), fmt, args);
	va_end(args);
	send(log, APPMON_LOG_ERROR, log->error);
	return err;
}

int log_answer(struct log *log, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(log->error, sizeof(log->error), fmt, args);
	va_end(args);
	send(log, APPMON_LOG_DEBUG, log->error);
	return err;
}
