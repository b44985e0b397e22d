/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for connections and exchanges: size classes over malloc, kept for reuse so that
 * a request costs no malloc once warm, with one bound on the sum. There are four classes from a
 * power of two to the next, so that a fifth of a block at most lies idle.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define EVICT_MAX 16 /* what is given up to make room for one block */

/* Stands before each block. 16 bytes keep the block aligned as malloc does. */
struct block {
	struct block *next;
	uint64_t size_class;
};

static size_t class_bytes(unsigned int k)
{
	return (size_t)(4 + k % 4) << (5 + k / 4);
}

/* The smallest that has room. */
static unsigned int class_of(size_t size)
{
	unsigned int shift;

	if (size <= 128)
		return 0;
	shift = 63 - (unsigned int)__builtin_clzll(size - 1); /* 2^shift < size <= 2^(shift + 1) */
	return 4 * (shift - 7) + ((size - 1) >> (shift - 2)) % 4 + 1;
}

static void reclaim(struct pool *pool)
{
	for (unsigned int k = 0; k < POOL_CLASSES; k++) {
		struct block *b = pool->free[k];

		while (b) {
			struct block *next = b->next;

			pool->held -= class_bytes(k);
			free(b);
			b = next;
		}
		pool->free[k] = NULL;
	}
}

bool pool_charge(struct pool *pool, size_t bytes)
{
	/* Free blocks, of another size, may be what fills the pool. */
	if (pool->held + bytes > pool->limit)
		reclaim(pool);
	if (pool->held + bytes > pool->limit)
		return false;
	pool->held += bytes;
	return true;
}

void *pool_alloc(struct pool *pool, size_t size)
{
	unsigned int k = class_of(size + sizeof(struct block));
	struct block *b;

	if (k >= POOL_CLASSES)
		return NULL;
	b = pool->free[k];
	if (b) {
		pool->free[k] = b->next;
	} else {
		if (!pool_charge(pool, class_bytes(k)))
			return NULL;
		b = malloc(class_bytes(k));
		if (!b) {
			pool->held -= class_bytes(k);
			return NULL;
		}
	}
	b->size_class = k;
	return b + 1;
}

static __attribute__((noinline)) void *alloc_evicting(struct pool *pool, size_t size)
{
	void *p = NULL;

	for (int i = 0; !p && i < EVICT_MAX && pool->evict && pool->evict(pool->evict_ctx); i++)
		p = pool_alloc(pool, size);
	return p;
}

void *pool_alloc_evicting(struct pool *pool, size_t size)
{
	void *p = pool_alloc(pool, size);

	return p ? p : alloc_evicting(pool, size);
}

void *pool_zalloc_evicting(struct pool *pool, size_t size)
{
	void *p = pool_alloc_evicting(pool, size);

	return p ? memset(p, 0, size) : NULL;
}

void pool_free(struct pool *pool, void *ptr)
{
	struct block *b;

	if (!ptr)
		return;
	b = (struct block *)ptr - 1;
	b->next = pool->free[b->size_class];
	pool->free[b->size_class] = b;
}

size_t pool_size(const void *ptr)
{
	const struct block *b = (const struct block *)ptr - 1;

	return class_bytes((unsigned int)b->size_class) - sizeof(*b);
}

void pool_destroy(struct pool *pool)
{
	reclaim(pool);
}
