/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of a table: the series of a snapshot put together by application, interface ... */
#ifndef APPMON_CLI_ROWS_H
#define APPMON_CLI_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

enum grouping { BY_APP, BY_INTERFACE, BY_INSTANCE, BY_PEER, BY_STATUS };

struct row {
	char *label; /* as it came: escape it */
	char *app;
	uint32_t role;	    /* APPMON_ROLE_* */
	uint64_t cgroup_id; /* BY_INSTANCE */
	uint64_t requests, errors, bytes;
	struct appmon_histogram *durations;
	uint64_t p50, p95, p99;
	double cpu;	 /* share of one CPU; below 0: unknown */
	uint64_t memory; /* UINT64_MAX: unknown */
	/* BY_APP, BY_INSTANCE: requests in progress, and when the oldest began. */
	uint64_t active, oldest_ns;
};

struct rows {
	struct row *list;
	size_t count;
};

/* Which series are taken; NULL: all. */
struct selection {
	const char *app;
	uint32_t role;
};

/*
 * The rows of one table: what came between since (NULL: the beginning) and now. Rows without any
 * request since then are there, too. Returns 0 or -ENOMEM.
 */
int rows_make(struct rows *rows, enum grouping by, const struct selection *only,
	      const struct appmon_snapshot *now, const struct appmon_snapshot *since);
void rows_free(struct rows *rows);
/* What a single row owns. */
void row_free(struct row *row);

/* Sort keys, in the order of the columns. */
enum column {
	COLUMN_NAME,
	COLUMN_RATE,
	COLUMN_ERRORS,
	COLUMN_P50,
	COLUMN_P95,
	COLUMN_P99,
	COLUMN_BYTES,
	COLUMN_CPU,
	COLUMN_MEMORY,
	COLUMN_ACTIVE,
	COLUMN_OLDEST,
	COLUMNS_ALL
};

/* Greatest first; names from a to z. Equal ones by name. */
void rows_sort(struct rows *rows, enum column column, bool reverse);

#endif /* APPMON_CLI_ROWS_H */
