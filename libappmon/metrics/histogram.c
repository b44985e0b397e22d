/* SPDX-License-Identifier: BSD-2-Clause */
#include "metrics/histogram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <appmon/metrics.h>

/* The width of a bucket is 2 to the power of this. */
static uint32_t shift_of(uint32_t index)
{
	return index >> (HISTOGRAM_BITS + 1) == 0 ? 0 : (index >> HISTOGRAM_BITS) - 1;
}

static uint64_t least_of(uint32_t index)
{
	uint32_t shift = shift_of(index);

	return (uint64_t)(index - (shift << HISTOGRAM_BITS)) << shift;
}

static uint64_t greatest_of(uint32_t index)
{
	return least_of(index) + ((UINT64_C(1) << shift_of(index)) - 1);
}

static uint64_t middle_of(uint32_t index)
{
	return least_of(index) + (UINT64_C(1) << shift_of(index)) / 2;
}

static uint32_t begin_of(const struct appmon_histogram *h)
{
	return h->first << HISTOGRAM_BITS;
}

static uint32_t end_of(const struct appmon_histogram *h)
{
	return (h->first + h->blocks) << HISTOGRAM_BITS;
}

/* The count of a bucket, whether its block is kept or not. */
static uint64_t count_of(const struct appmon_histogram *h, uint32_t index)
{
	return index >= begin_of(h) && index < end_of(h) ? h->bucket[index - begin_of(h)] : 0;
}

size_t histogram_bytes(const struct appmon_histogram *h)
{
	return (size_t)h->blocks * HISTOGRAM_BLOCK * sizeof(h->bucket[0]);
}

static void free_buckets(struct appmon_histogram *h, struct pool *pool)
{
	if (pool)
		pool_free(pool, h->bucket);
	else
		free(h->bucket);
}

void histogram_clear(struct appmon_histogram *h, struct pool *pool)
{
	free_buckets(h, pool);
	memset(h, 0, sizeof(*h));
}

/* Keeps the blocks from first up to, not including, last. */
static int reserve_blocks(struct appmon_histogram *h, struct pool *pool, uint32_t first,
			  uint32_t last)
{
	struct appmon_histogram wide = *h;

	if (h->blocks) {
		if (first >= h->first && last <= h->first + h->blocks)
			return 0;
		if (h->first < first)
			first = h->first;
		if (h->first + h->blocks > last)
			last = h->first + h->blocks;
	}
	wide.first = first;
	wide.blocks = last - first;
	wide.bucket =
		pool ? pool_alloc(pool, histogram_bytes(&wide)) : malloc(histogram_bytes(&wide));
	if (!wide.bucket)
		return -ENOMEM;
	memset(wide.bucket, 0, histogram_bytes(&wide));
	if (h->blocks)
		memcpy(wide.bucket + (begin_of(h) - begin_of(&wide)), h->bucket,
		       histogram_bytes(h));
	free_buckets(h, pool);
	*h = wide;
	return 0;
}

int histogram_reserve(struct appmon_histogram *h, struct pool *pool, uint64_t value)
{
	uint32_t block = histogram_index(value) >> HISTOGRAM_BITS;

	return reserve_blocks(h, pool, block, block + 1);
}

int histogram_reserve_all(struct appmon_histogram *h, struct pool *pool)
{
	return reserve_blocks(h, pool, 0, HISTOGRAM_BLOCKS);
}

uint64_t histogram_max_difference(const struct appmon_histogram *a,
				  const struct appmon_histogram *b)
{
	static const struct appmon_histogram none;

	if (!b)
		b = &none;
	/* A new maximum is known exactly. */
	if (a->max > b->max)
		return a->max;
	for (uint32_t i = end_of(a); i > begin_of(a); i--)
		if (count_of(a, i - 1) > count_of(b, i - 1))
			return middle_of(i - 1) < a->max ? middle_of(i - 1) : a->max;
	return 0;
}

int histogram_add_difference(struct appmon_histogram *h, const struct appmon_histogram *a,
			     const struct appmon_histogram *b)
{
	static const struct appmon_histogram none;
	uint64_t max;
	int err;

	if (!b)
		b = &none;
	if (a->count == b->count)
		return 0;
	err = reserve_blocks(h, NULL, a->first, a->first + a->blocks);
	if (err)
		return err;
	for (uint32_t i = begin_of(a); i < end_of(a); i++)
		h->bucket[i - begin_of(h)] += count_of(a, i) - count_of(b, i);
	max = histogram_max_difference(a, b);
	if (max > h->max)
		h->max = max;
	h->count += a->count - b->count;
	h->sum += a->sum - b->sum;
	return 0;
}

int appmon_histogram_new(struct appmon_histogram **ret)
{
	struct appmon_histogram *h;

	if (!ret)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	*ret = h;
	return 0;
}

void appmon_histogram_free(struct appmon_histogram *h)
{
	if (!h)
		return;
	free(h->bucket);
	free(h);
}

void appmon_histogram_clear(struct appmon_histogram *h)
{
	if (h)
		histogram_clear(h, NULL);
}

int appmon_histogram_add(struct appmon_histogram *h, uint64_t value, uint64_t count)
{
	int err;

	if (!h)
		return -EINVAL;
	err = histogram_reserve(h, NULL, value);
	if (!err && count)
		histogram_record(h, value, count);
	return err;
}

int appmon_histogram_merge(struct appmon_histogram *h, const struct appmon_histogram *other)
{
	return h && other ? histogram_add_difference(h, other, NULL) : -EINVAL;
}

uint64_t appmon_histogram_count(const struct appmon_histogram *h)
{
	return h ? h->count : 0;
}

uint64_t appmon_histogram_sum(const struct appmon_histogram *h)
{
	return h ? h->sum : 0;
}

uint64_t appmon_histogram_max(const struct appmon_histogram *h)
{
	return h ? h->max : 0;
}

/* q * count, rounded up, at least 1. */
static uint64_t rank_of(uint64_t count, double q)
{
	double exact;
	uint64_t rank;

	if (!(q > 0))
		return 1;
	if (q >= 1)
		return count;
	exact = q * (double)count;
	rank = (uint64_t)exact;
	if ((double)rank < exact)
		rank++;
	return rank < 1 ? 1 : rank > count ? count : rank;
}

uint64_t appmon_histogram_quantile(const struct appmon_histogram *h, double q)
{
	uint64_t rank, seen = 0;

	if (!h || !h->count)
		return 0;
	rank = rank_of(h->count, q);
	if (rank == h->count)
		return h->max;
	for (uint32_t i = begin_of(h); i < end_of(h); i++) {
		seen += count_of(h, i);
		if (seen >= rank)
			return middle_of(i) < h->max ? middle_of(i) : h->max;
	}
	return h->max;
}

uint64_t appmon_histogram_count_at_most(const struct appmon_histogram *h, uint64_t value)
{
	uint64_t count = 0;

	if (!h)
		return 0;
	if (value >= h->max)
		return h->count;
	for (uint32_t i = begin_of(h); i < end_of(h) && least_of(i) <= value; i++)
		if (greatest_of(i) <= value || middle_of(i) <= value)
			count += count_of(h, i);
	return count;
}

int appmon_histogram_next(const struct appmon_histogram *h, uint32_t *cursor, uint64_t *ret_least,
			  uint64_t *ret_greatest, uint64_t *ret_count)
{
	if (!h || !cursor || !ret_least || !ret_greatest || !ret_count)
		return -EINVAL;
	for (uint32_t i = *cursor > begin_of(h) ? *cursor : begin_of(h); i < end_of(h); i++) {
		if (!count_of(h, i))
			continue;
		*cursor = i + 1;
		*ret_least = least_of(i);
		*ret_greatest = greatest_of(i);
		*ret_count = count_of(h, i);
		return 1;
	}
	return 0;
}
