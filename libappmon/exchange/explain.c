/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of log that tell what became of a connection's bytes: see EXPLAIN(). */
#include <stdio.h>

#include "exchange/exchange.h"

void explain(int level, struct log *log, const struct rec_conn *id, const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	log_line(log, level, "connection %llu: %s", (unsigned long long)id->cookie, line);
}

struct word word_of(const char *bytes, size_t len)
{
	static const char more[] = "...";
	struct word word;
	size_t max = sizeof(word.text) - sizeof(more), n = len < max ? len : max;

	for (size_t i = 0; i < n; i++)
		word.text[i] = bytes[i] > ' ' && bytes[i] < 0x7f ? bytes[i] : '?';
	snprintf(word.text + n, sizeof(word.text) - n, "%s", len > n ? more : "");
	return word;
}
