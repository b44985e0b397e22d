/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool: a bound that holds, memory that is used again. */
#include <string.h>

#include "base/base.h"
#include "unit.h"

static struct pool pool;

static void setup(void)
{
	memset(&pool, 0, sizeof(pool));
	pool.limit = 64 << 10;
}

static void teardown(void)
{
	pool_destroy(&pool);
	ck_assert_uint_eq(pool.held, 0);
}

START_TEST(aligned_and_whole)
{
	for (size_t size = 1; size < 5000; size += 7) {
		char *p = pool_alloc(&pool, size);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % _Alignof(max_align_t), 0);
		memset(p, 0x5a, size); /* the sanitizer watches the end */
		pool_free(&pool, p);
	}
}
END_TEST

START_TEST(bound)
{
	void *block[1024];
	size_t n = 0;

	while (n < 1024 && (block[n] = pool_alloc(&pool, 1000))) {
		n++;
		ck_assert_uint_le(pool.held, pool.limit);
		ck_assert_uint_ge(pool.held, n * 1000);
	}
	/* Less than half of it is lost to rounding. */
	ck_assert_uint_ge(n, (64 << 10) / 2 / 1024);
	ck_assert_uint_lt(n, 66);
	ck_assert_ptr_null(pool_alloc(&pool, 1000));
	/* One back, one out. */
	pool_free(&pool, block[--n]);
	block[n] = pool_alloc(&pool, 1000);
	ck_assert_ptr_nonnull(block[n]);
	for (size_t i = 0; i <= n; i++)
		pool_free(&pool, block[i]);
}
END_TEST

START_TEST(reuse)
{
	void *a = pool_alloc(&pool, 300), *b;
	uint64_t held = pool.held;

	pool_free(&pool, a);
	for (int i = 0; i < 1000; i++) {
		b = pool_alloc(&pool, 300);
		ck_assert_ptr_eq(a, b);
		pool_free(&pool, b);
	}
	ck_assert_uint_eq(pool.held, held);
}
END_TEST

/* Free blocks of one size do not starve another. */
START_TEST(reclaim)
{
	void *block[1024], *large;
	size_t n = 0;

	while (n < 1024 && (block[n] = pool_alloc(&pool, 100)))
		n++;
	ck_assert_ptr_null(pool_alloc(&pool, 20000));
	while (n)
		pool_free(&pool, block[--n]);
	large = pool_alloc(&pool, 20000);
	ck_assert_ptr_nonnull(large);
	ck_assert_uint_le(pool.held, pool.limit);
	pool_free(&pool, large);
}
END_TEST

START_TEST(absurd)
{
	pool.limit = UINT64_MAX;
	ck_assert_ptr_null(pool_alloc(&pool, (size_t)1 << 40));
	ck_assert_ptr_null(pool_alloc(&pool, SIZE_MAX / 2));
	ck_assert_uint_eq(pool.held, 0);
	pool_free(&pool, NULL);
	pool.limit = 0;
	ck_assert_ptr_null(pool_alloc(&pool, 1));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {aligned_and_whole, bound, reuse, reclaim, absurd, NULL};

	return unit_run("pool", tests, setup, teardown);
}
