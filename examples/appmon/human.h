/* SPDX-License-Identifier: BSD-2-Clause */
/* Events and the summary as lines for people. */
#ifndef APPMON_CLI_HUMAN_H
#define APPMON_CLI_HUMAN_H

#include <stdbool.h>
#include <stdio.h>

#include <appmon/appmon.h>

#include "options.h"
#include "summary.h"

struct human {
	FILE *out;
	bool terminal;
	bool color;
	bool links; /* each line says its exchange's id */
	/* The widest seen so far: columns grow, they do not jump back. */
	int app_width;
	int process_width;
	int remote_width;
};

void human_init(struct human *human, FILE *out, enum color color);
/* realtime_ns: wall time at which it began, 0 if unknown. */
void human_event(struct human *human, const struct appmon_event *ev, uint64_t realtime_ns);
void human_summary(FILE *out, const struct summary *summary, const struct appmon_stats *stats);

#endif /* APPMON_CLI_HUMAN_H */
