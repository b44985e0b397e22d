/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of `appmon top`: top.c changes it, top-screen.c draws it, top-request.c describes one request. */
#ifndef APPMON_CLI_TOP_H
#define APPMON_CLI_TOP_H

#include "collect.h"
#include "rows.h"
#include "samples.h"
#include "trends.h"
#include "usage.h"

enum { PAIR_BAD = 1, PAIR_WARN, PAIR_GOOD };

/* Snapshots that are kept, the latest first: the longest time that figures are over. */
#define TOP_HISTORY 11
#define TOP_FILTER 40
#define TOP_KEY 512

enum view {
	VIEW_APPS,
	VIEW_INTERFACES,
	VIEW_INSTANCES,
	VIEW_PEERS,
	VIEW_STATUS,
	VIEW_SAMPLES,
	VIEW_ERRORS,
	VIEWS_ALL
};

struct top {
	struct collect collect;
	size_t targets;
	uint64_t begin_ns; /* CLOCK_MONOTONIC */
	struct samples samples;
	struct usages usages;
	struct trends trends;
	struct address_names names; /* of peers */
	bool utf8;		    /* the terminal's characters */

	struct appmon_snapshot *history[TOP_HISTORY];
	size_t history_count;
	size_t window; /* snapshots back; SIZE_MAX: since the beginning */

	enum view view;
	char *app; /* of the views below VIEW_APPS */
	uint32_t role;
	enum column sort;
	bool reverse;
	bool paused;
	bool typing; /* the filter */
	char filter[TOP_FILTER];
	/* Help or one request, shown in place of the table; NULL: the table. */
	char *page;
	size_t page_first; /* line at the top of the screen */

	/* What is shown. */
	struct rows rows;
	const struct sample *sample[SAMPLES_ERRORS + SAMPLES_SLOW];
	/* Their ids, as places are taken by others before the screen is drawn again. */
	struct {
		uint64_t connection_id, ordinal;
	} shown[SAMPLES_ERRORS + SAMPLES_SLOW];
	size_t sample_count;
	double seconds; /* that the figures are over */
	uint64_t total_requests, total_errors;
	uint64_t total_active, oldest_ns; /* in progress now */
	/* The row under the cursor, which follows it: to top_key(). "": the first one. */
	char cursor[TOP_KEY];
	size_t selected, first; /* rows: under the cursor, at the top of the screen */
	unsigned activity;	/* counts looks and what came, for the sign that it is alive */
};

/* The lines of the table that fit on the screen. */
size_t top_lines(void);
bool top_has_column(const struct top *top, enum column column);
/* Lines of the page that do not fit on the screen. */
size_t top_page_rest(const struct top *top);
void top_draw(const struct top *top);

/* All that a request's event has, as lines for a page; to be freed. NULL: no memory. */
char *top_describe(const struct top *top, const struct sample *sample);

#endif /* APPMON_CLI_TOP_H */
