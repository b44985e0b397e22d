/* SPDX-License-Identifier: BSD-2-Clause */
/* A log-linear histogram: percentiles of any number of values in fixed memory. */
#ifndef APPMON_CLI_HISTOGRAM_H
#define APPMON_CLI_HISTOGRAM_H

#include <stdint.h>

/*
 * Every power of two is split into 2^HISTOGRAM_BITS buckets of equal width, so a
 * bucket's middle is within 1/64 (1.6 %) of every value in it.
 */
#define HISTOGRAM_BITS 5
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
	uint64_t total;
	uint64_t min;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/* The value that percent of all values do not exceed; 0 if there are none. */
uint64_t histogram_percentile(const struct histogram *h, unsigned percent);

#endif /* APPMON_CLI_HISTOGRAM_H */
