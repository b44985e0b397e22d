/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for connections and exchanges: power-of-two classes over malloc, kept for reuse so that
 * a request costs no malloc once warm, with one bound on the sum.
 */
#include <stdlib.h>

#include "internal.h"

/* Stands before each block. 16 bytes keep the block aligned as malloc does. */
struct block {
	struct block *next;
	uint64_t size_class;
};

#define CLASS_BYTES(k) ((size_t)128 << (k))

/* The smallest class of blocks of that size. */
static unsigned int class_of(size_t size)
{
	return size <= CLASS_BYTES(0) ? 0 : 64u - (unsigned int)__builtin_clzll((size - 1) / 128);
}

static void reclaim(struct pool *pool)
{
	for (unsigned int k = 0; k < POOL_CLASSES; k++) {
		struct block *b = pool->free[k];

		while (b) {
			struct block *next = b->next;

			pool->held -= CLASS_BYTES(k);
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
	struct block *b;
	unsigned int k;

	size += sizeof(*b);
	if (size > CLASS_BYTES(POOL_CLASSES - 1))
		return NULL;
	k = class_of(size);
	b = pool->free[k];
	if (b) {
		pool->free[k] = b->next;
	} else {
		if (!pool_charge(pool, CLASS_BYTES(k)))
			return NULL;
		b = malloc(CLASS_BYTES(k));
		if (!b) {
			pool->held -= CLASS_BYTES(k);
			return NULL;
		}
	}
	b->size_class = k;
	return b + 1;
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

void pool_destroy(struct pool *pool)
{
	reclaim(pool);
}
