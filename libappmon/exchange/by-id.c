/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exchanges whose messages carry an id. A few are found in the queue of their connection; from
 * LIST_MAX on there is a table, which grows with its longest chain. Peers choose the ids: the hash
 * is another one on each connection.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "exchange/exchange.h"

#define LIST_MAX 8
#define BUCKETS_MIN 64
#define BUCKETS_MAX 4096 /* further on chains grow */

static struct list_node *bucket_of(const struct conn *c, uint64_t id)
{
	uint64_t hash = XXH3_64bits_withSeed(&id, sizeof(id), (uintptr_t)c);

	return &c->ids.bucket[hash & (c->ids.buckets - 1)];
}

/* Fails silently: it is slower, not wrong. */
static void grow(struct pipeline *pl, struct conn *c, uint32_t buckets)
{
	struct list_node *old = c->ids.bucket;
	struct list_node *bucket = pool_alloc(&pl->pool, buckets * sizeof(*bucket));
	struct exchange *ex;

	if (!bucket)
		return;
	for (uint32_t i = 0; i < buckets; i++)
		list_init(&bucket[i]);
	c->ids = (struct ids){bucket, buckets};
	for (struct list_node *n = c->exchanges.next; (ex = exchange_at(c, n)); n = n->next) {
		list_remove(&ex->id_node);
		list_append(bucket_of(c, ex->message_id), &ex->id_node);
	}
	pool_free(&pl->pool, old);
}

static uint32_t length(const struct list_node *list)
{
	uint32_t n = 0;

	for (const struct list_node *i = list->next; i != list && n <= LIST_MAX; i = i->next)
		n++;
	return n;
}

void exchange_identify(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t id)
{
	ex->message_id = id;
	if (!c->ids.buckets) {
		if (length(&c->exchanges) > LIST_MAX)
			grow(pl, c, BUCKETS_MIN);
		return;
	}
	list_append(bucket_of(c, id), &ex->id_node);
	if (length(bucket_of(c, id)) > LIST_MAX && c->ids.buckets < BUCKETS_MAX)
		grow(pl, c, 2 * c->ids.buckets);
}

struct exchange *exchange_by_id(struct conn *c, uint64_t id)
{
	struct list_node *list = c->ids.buckets ? bucket_of(c, id) : &c->exchanges;

	for (struct list_node *n = list->next; n != list; n = n->next) {
		struct exchange *ex = c->ids.buckets ? list_entry(n, struct exchange, id_node)
						     : list_entry(n, struct exchange, link);

		if (ex->message_id == id && !ex->response_done)
			return ex;
	}
	return NULL;
}

void ids_free(struct pipeline *pl, struct conn *c)
{
	pool_free(&pl->pool, c->ids.bucket);
	c->ids = (struct ids){0};
}
