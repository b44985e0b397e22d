/* SPDX-License-Identifier: BSD-2-Clause */
/* How many requests each series had in the last minute, step by step. */
#ifndef APPMON_CLI_TRENDS_H
#define APPMON_CLI_TRENDS_H

#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

#define TREND_STEPS 10
#define TREND_STEP_NS (6 * UINT64_C(1000000000))

/* By the number of the step, modulo TREND_STEPS. */
struct trend {
	double requests[TREND_STEPS], errors[TREND_STEPS];
};

struct trends {
	struct series_trend *list; /* by id, as snapshots have their series */
	size_t count;
	uint64_t end_ns; /* CLOCK_MONOTONIC: of the latest snapshot */
};

/*
 * What came between two snapshots (before NULL: all so far). A time that is longer than a step, as
 * that of a pause, is spread over its steps. Returns 0 or -ENOMEM.
 */
int trends_add(struct trends *trends, const struct appmon_snapshot *now,
	       const struct appmon_snapshot *before);

/* Adds the trend of a series to another one; trends may be NULL. */
void trends_sum(const struct trends *trends, uint64_t series_id, struct trend *trend);

/* Requests of a step, the oldest at 0; the latest, which is not over, as if it went on so. */
double trends_step(const struct trends *trends, const struct trend *trend, size_t step);
/* The share of them that failed. */
double trends_error_share(const struct trends *trends, const struct trend *trend, size_t step);

void trends_free(struct trends *trends);

#endif /* APPMON_CLI_TRENDS_H */
