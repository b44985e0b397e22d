/* SPDX-License-Identifier: BSD-2-Clause */
#include "histogram.h"

/* How many low bits the bucket of this value ignores. */
static unsigned shift_of(uint64_t value)
{
	if (value >> (HISTOGRAM_BITS + 1) == 0)
		return 0;
	return 63 - HISTOGRAM_BITS - (unsigned)__builtin_clzll(value);
}

void histogram_add(struct histogram *h, uint64_t value)
{
	unsigned shift = shift_of(value);

	if (h->total == 0 || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->total++;
	h->buckets[((uint64_t)shift << HISTOGRAM_BITS) + (value >> shift)]++;
}

/* The middle of a bucket: the inverse of the index that histogram_add() computes. */
static uint64_t middle_of(unsigned bucket)
{
	unsigned shift;

	if (bucket >> (HISTOGRAM_BITS + 1) == 0)
		return bucket;
	shift = (bucket >> HISTOGRAM_BITS) - 1;
	return ((uint64_t)(bucket - (shift << HISTOGRAM_BITS)) << shift) +
	       (UINT64_C(1) << shift) / 2;
}

uint64_t histogram_percentile(const struct histogram *h, unsigned percent)
{
	uint64_t rank, seen = 0;

	if (h->total == 0)
		return 0;
	/* total * percent / 100, rounded up, without overflow. */
	rank = h->total / 100 * percent + (h->total % 100 * percent + 99) / 100;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= rank && h->buckets[i] > 0) {
			uint64_t value = middle_of(i);

			if (value < h->min)
				return h->min;
			return value > h->max ? h->max : value;
		}
	}
	return h->max;
}
