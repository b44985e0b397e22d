/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log-linear buckets: each power of two is a block of 2^HISTOGRAM_BITS buckets of equal width, so
 * that the middle of a bucket is within 2^-(HISTOGRAM_BITS + 1) of every value in it. Of the 60
 * blocks that 64-bit values need, only those from the first to the last in use are kept.
 */
#ifndef APPMON_HISTOGRAM_H
#define APPMON_HISTOGRAM_H

#include "base/base.h"

#define HISTOGRAM_BITS 5
#define HISTOGRAM_BLOCK (1u << HISTOGRAM_BITS)
#define HISTOGRAM_BLOCKS (64 - HISTOGRAM_BITS + 1)

/* Zeroed, it is an empty one. */
struct appmon_histogram {
	uint64_t count, sum, max;
	uint32_t first;	  /* block that bucket[0] begins */
	uint32_t blocks;  /* how many there are */
	uint64_t *bucket; /* blocks * HISTOGRAM_BLOCK counts */
};

static inline uint32_t histogram_index(uint64_t value)
{
	uint32_t shift;

	if (value >> (HISTOGRAM_BITS + 1) == 0)
		return (uint32_t)value;
	shift = 63 - HISTOGRAM_BITS - (uint32_t)__builtin_clzll(value);
	return (shift << HISTOGRAM_BITS) + (uint32_t)(value >> shift);
}

static inline bool histogram_has_room(const struct appmon_histogram *h, uint64_t value)
{
	return (histogram_index(value) >> HISTOGRAM_BITS) - h->first < h->blocks;
}

/* Where the memory of the buckets comes from: a pool, or malloc() where it is NULL. */
void histogram_clear(struct appmon_histogram *h, struct pool *pool);
/* Makes room for a value or for those of another histogram. -ENOMEM: nothing has changed. */
int histogram_reserve(struct appmon_histogram *h, struct pool *pool, uint64_t value);
int histogram_reserve_all(struct appmon_histogram *h, struct pool *pool);
/* Room has been reserved. */
static inline void histogram_record(struct appmon_histogram *h, uint64_t value, uint64_t count)
{
	h->bucket[histogram_index(value) - (h->first << HISTOGRAM_BITS)] += count;
	h->count += count;
	h->sum += value * count;
	if (value > h->max)
		h->max = value;
}

/* Bytes that the buckets take. */
size_t histogram_bytes(const struct appmon_histogram *h);
/* Adds what a holds beyond b, an earlier state of it; b may be NULL. */
int histogram_add_difference(struct appmon_histogram *h, const struct appmon_histogram *a,
			     const struct appmon_histogram *b);
/* The greatest value that a holds beyond b, as well as it is known; 0 if there is none. */
uint64_t histogram_max_difference(const struct appmon_histogram *a,
				  const struct appmon_histogram *b);

#endif /* APPMON_HISTOGRAM_H */
