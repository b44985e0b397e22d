/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of a table: the series of a snapshot put together by application, interface ... */
#ifndef APPMON_CLI_ROWS_H
#define APPMON_CLI_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

#include "address-names.h"
#include "trends.h"

/* BY_ERROR: what failed only, by application, interface and status. */
enum grouping { BY_APP, BY_INTERFACE, BY_INSTANCE, BY_PEER, BY_STATUS, BY_ERROR };

struct row {
	char *label; /* as it came: escape it */
	char *app;
	char *status;	    /* BY_ERROR: the status, or how it ended without one; else NULL */
	uint32_t role;	    /* APPMON_ROLE_* */
	uint64_t cgroup_id; /* BY_INSTANCE */
	uint64_t requests, errors, bytes; /* BY_ERROR: requests are all errors so far */
	uint64_t last_ns;		  /* CLOCK_MONOTONIC: when the latest request ended */
	/* Sums over the requests of servers that were seen to read. */
	uint64_t served, queue_ns, service_ns;
	struct trend trend;
	struct appmon_histogram *durations;
	uint64_t p50, p95, p99;
	double cpu;		/* share of one CPU; below 0: unknown */
	uint64_t memory;	/* UINT64_MAX: unknown */
	const char *memory_why; /* of one of its cgroups the memory is not known; NULL: of all */
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
 * request since then are there, too. names, of peers, and trends may be NULL. Returns 0 or -ENOMEM.
 */
int rows_make(struct rows *rows, enum grouping by, const struct selection *only,
	      const struct appmon_snapshot *now, const struct appmon_snapshot *since,
	      const struct trends *trends, const struct address_names *names);
void rows_free(struct rows *rows);
/* The mean queue or service time in nanoseconds; below 0: not known. */
double row_mean(const struct row *row, uint64_t sum_ns);
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
	COLUMN_QUEUE,
	COLUMN_SERVICE,
	COLUMN_BYTES,
	COLUMN_CPU,
	COLUMN_MEMORY,
	COLUMN_ACTIVE,
	COLUMN_OLDEST,
	COLUMNS_SORT, /* the others are no sort keys */
	COLUMN_TREND = COLUMNS_SORT,
	COLUMNS_ALL
};

/* Greatest first; names from a to z. Equal ones: the slower first, then by name. */
void rows_sort(struct rows *rows, enum column column, bool reverse);

#endif /* APPMON_CLI_ROWS_H */
