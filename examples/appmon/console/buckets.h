/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log-linear buckets of durations: each power of two is split into 16, so that a quantile is within
 * 1/32 of the exact one. Those of libappmon's histograms, of which each power of two has 32, lie
 * inside of these.
 */
#ifndef APPMON_CONSOLE_BUCKETS_H
#define APPMON_CONSOLE_BUCKETS_H

#include <stdint.h>

#define BUCKETS 976

uint32_t bucket_of(uint64_t value);
uint64_t bucket_least(uint32_t bucket);

/* The middle of the bucket in which the share q of all values ends; 0: there are no values. */
uint64_t buckets_quantile(const uint32_t counts[BUCKETS], double q);

#endif /* APPMON_CONSOLE_BUCKETS_H */
