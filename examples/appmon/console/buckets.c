/* SPDX-License-Identifier: BSD-2-Clause */
#include "buckets.h"

#define PER_OCTAVE 16
#define OCTAVE_BITS 4

uint32_t bucket_of(uint64_t value)
{
	unsigned exponent;

	if (value < PER_OCTAVE)
		return (uint32_t)value;
	exponent = 63 - (unsigned)__builtin_clzll(value) - OCTAVE_BITS;
	return (exponent + 1) * PER_OCTAVE + (uint32_t)(value >> exponent) - PER_OCTAVE;
}

uint64_t bucket_least(uint32_t bucket)
{
	if (bucket < PER_OCTAVE)
		return bucket;
	return (uint64_t)(PER_OCTAVE + bucket % PER_OCTAVE) << (bucket / PER_OCTAVE - 1);
}

static uint64_t middle(uint32_t bucket)
{
	uint64_t next = bucket + 1 < BUCKETS ? bucket_least(bucket + 1) : UINT64_MAX;

	return bucket_least(bucket) + (next - bucket_least(bucket)) / 2;
}

uint64_t buckets_quantile(const uint32_t counts[BUCKETS], double q)
{
	uint64_t all = 0, below = 0, rank;

	for (uint32_t i = 0; i < BUCKETS; i++)
		all += counts[i];
	/* The least rank that is not below q * all. */
	rank = (uint64_t)(q * (double)all);
	if ((double)rank < q * (double)all || rank == 0)
		rank++;
	for (uint32_t i = 0; i < BUCKETS; i++) {
		below += counts[i];
		if (counts[i] > 0 && below >= rank)
			return middle(i);
	}
	return 0;
}
