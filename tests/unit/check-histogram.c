/* SPDX-License-Identifier: BSD-2-Clause */
/* The histogram against sorted samples. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <appmon/metrics.h>

#include "unit.h"

#define SAMPLES 20000

static uint64_t sample[SAMPLES];
static uint64_t seed;

static void setup(void)
{
	seed = 42;
}

static void teardown(void)
{
}

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Distributions of different shapes and magnitudes. */
static uint64_t draw(int shape)
{
	switch (shape) {
	case 0: /* small ones */
		return next_random() % 100;
	case 1: /* uniform, milliseconds */
		return next_random() % 50000000;
	case 2: /* of every magnitude */
		return next_random() >> next_random() % 64;
	case 3: /* two peaks */
		return next_random() % 10 ? 900000 + next_random() % 1000
					  : 5000000000 + next_random() % 1000000;
	default: /* always the same */
		return 123456789;
	}
}

static struct appmon_histogram *new_histogram(void)
{
	struct appmon_histogram *h;

	ck_assert_int_eq(appmon_histogram_new(&h), 0);
	return h;
}

START_TEST(quantiles)
{
	static const double q[] = {0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1};

	for (int shape = 0; shape < 5; shape++) {
		struct appmon_histogram *h = new_histogram();

		for (int i = 0; i < SAMPLES; i++) {
			sample[i] = draw(shape);
			ck_assert_int_eq(appmon_histogram_add(h, sample[i], 1), 0);
		}
		qsort(sample, SAMPLES, sizeof(sample[0]), by_value);
		ck_assert_uint_eq(appmon_histogram_count(h), SAMPLES);
		ck_assert_uint_eq(appmon_histogram_max(h), sample[SAMPLES - 1]);
		for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
			/* The nearest rank: the first that covers the share. */
			size_t rank = 0;
			uint64_t exact, got = appmon_histogram_quantile(h, q[i]);

			while ((double)(rank + 1) < q[i] * SAMPLES)
				rank++;
			exact = sample[rank];
			ck_assert_msg((got > exact ? got - exact : exact - got) <= exact / 64,
				      "shape %d, quantile %g: %llu, not %llu", shape, q[i],
				      (unsigned long long)got, (unsigned long long)exact);
		}
		appmon_histogram_free(h);
	}
}
END_TEST

START_TEST(at_most)
{
	for (int shape = 0; shape < 5; shape++) {
		struct appmon_histogram *h = new_histogram();

		for (int i = 0; i < SAMPLES; i++) {
			sample[i] = draw(shape);
			appmon_histogram_add(h, sample[i], 1);
		}
		/* Exact below powers of two. */
		for (int bit = 0; bit <= 64; bit++) {
			uint64_t bound = bit == 64 ? UINT64_MAX : (UINT64_C(1) << bit) - 1;
			uint64_t exact = 0;

			for (int i = 0; i < SAMPLES; i++)
				exact += sample[i] <= bound;
			ck_assert_uint_eq(appmon_histogram_count_at_most(h, bound), exact);
		}
		/* Elsewhere it is that of a bound within 1/64; and it never falls. */
		for (int n = 0; n < 200; n++) {
			uint64_t bound = draw(shape), least = 0, most = 0;
			uint64_t got = appmon_histogram_count_at_most(h, bound);

			for (int i = 0; i < SAMPLES; i++) {
				least += sample[i] < bound - bound / 64;
				most += sample[i] <= bound + bound / 64;
			}
			ck_assert_uint_le(least, got);
			ck_assert_uint_le(got, most);
			ck_assert_uint_le(got,
					  appmon_histogram_count_at_most(h, bound + bound / 8));
		}
		appmon_histogram_free(h);
	}
}
END_TEST

static void assert_same(const struct appmon_histogram *a, const struct appmon_histogram *b)
{
	uint32_t i = 0, j = 0;
	uint64_t least[2], greatest[2], count[2];

	ck_assert_uint_eq(appmon_histogram_count(a), appmon_histogram_count(b));
	ck_assert_uint_eq(appmon_histogram_sum(a), appmon_histogram_sum(b));
	ck_assert_uint_eq(appmon_histogram_max(a), appmon_histogram_max(b));
	while (appmon_histogram_next(a, &i, &least[0], &greatest[0], &count[0]) == 1) {
		ck_assert_int_eq(appmon_histogram_next(b, &j, &least[1], &greatest[1], &count[1]),
				 1);
		ck_assert_uint_eq(least[0], least[1]);
		ck_assert_uint_eq(greatest[0], greatest[1]);
		ck_assert_uint_eq(count[0], count[1]);
	}
	ck_assert_int_eq(appmon_histogram_next(b, &j, &least[1], &greatest[1], &count[1]), 0);
}

/* (a + b) + c, a + (b + c) and all values at once are the same. */
START_TEST(merging)
{
	for (int shape = 0; shape < 5; shape++) {
		struct appmon_histogram *part[3], *left = new_histogram(), *right = new_histogram(),
						  *all = new_histogram();

		for (int p = 0; p < 3; p++) {
			part[p] = new_histogram();
			for (int i = 0; i < 1000; i++) {
				uint64_t value = draw((shape + p) % 5);

				appmon_histogram_add(part[p], value, 2);
				appmon_histogram_add(all, value, 1);
				appmon_histogram_add(all, value, 1);
			}
		}
		for (int p = 0; p < 3; p++)
			ck_assert_int_eq(appmon_histogram_merge(left, part[p]), 0);
		for (int p = 2; p >= 0; p--)
			ck_assert_int_eq(appmon_histogram_merge(right, part[p]), 0);
		assert_same(left, right);
		assert_same(left, all);
		/* With nothing it stays what it is. */
		appmon_histogram_clear(right);
		ck_assert_uint_eq(appmon_histogram_count(right), 0);
		ck_assert_int_eq(appmon_histogram_merge(left, right), 0);
		assert_same(left, all);
		for (int p = 0; p < 3; p++)
			appmon_histogram_free(part[p]);
		appmon_histogram_free(left);
		appmon_histogram_free(right);
		appmon_histogram_free(all);
	}
}
END_TEST

/* Buckets lie side by side, each as narrow as was promised, and have all values in them. */
START_TEST(buckets)
{
	struct appmon_histogram *h = new_histogram();
	uint64_t least, greatest, count, last = 0, total = 0;
	uint32_t cursor = 0;

	for (int bit = 0; bit < 64; bit++)
		for (int i = 0; i < 100; i++)
			appmon_histogram_add(h,
					     (UINT64_C(1) << bit) +
						     (next_random() >> (64 - bit) % 64) * (bit > 0),
					     1);
	while (appmon_histogram_next(h, &cursor, &least, &greatest, &count) == 1) {
		ck_assert(total == 0 || least > last);
		ck_assert_uint_ge(greatest, least);
		ck_assert_uint_le((greatest - least) / 2, least / 64);
		last = greatest;
		total += count;
	}
	ck_assert_uint_eq(total, 6400);
	appmon_histogram_free(h);
}
END_TEST

START_TEST(extremes)
{
	struct appmon_histogram *h = new_histogram(), *none = NULL;
	uint64_t least, greatest, count;
	uint32_t cursor = 0;

	ck_assert_uint_eq(appmon_histogram_quantile(h, 0.5), 0);
	ck_assert_int_eq(appmon_histogram_next(h, &cursor, &least, &greatest, &count), 0);
	ck_assert_int_eq(appmon_histogram_add(h, 7, 0), 0);
	ck_assert_uint_eq(appmon_histogram_count(h), 0);
	ck_assert_int_eq(appmon_histogram_add(h, UINT64_MAX, 1), 0);
	ck_assert_int_eq(appmon_histogram_add(h, 0, 3), 0);
	ck_assert_uint_eq(appmon_histogram_quantile(h, 0.5), 0);
	ck_assert_uint_eq(appmon_histogram_quantile(h, 1), UINT64_MAX);
	ck_assert_uint_eq(appmon_histogram_quantile(h, -1), 0);
	ck_assert_uint_eq(appmon_histogram_quantile(h, 0.0 / 0.0), 0);
	ck_assert_uint_eq(appmon_histogram_count_at_most(h, 0), 3);
	ck_assert_int_eq(appmon_histogram_new(NULL), -EINVAL);
	ck_assert_int_eq(appmon_histogram_merge(h, none), -EINVAL);
	ck_assert_int_eq(appmon_histogram_add(none, 1, 1), -EINVAL);
	appmon_histogram_free(h);
	appmon_histogram_free(none);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {quantiles, at_most, merging, buckets, extremes, NULL};

	return unit_run("histogram", tests, setup, teardown);
}
