/* SPDX-License-Identifier: BSD-2-Clause */
/* Exchanges that are answered in any order, by the ids of their messages. */
#include <string.h>

#include "fixture.h"
#include "protocol/protocol.h"
#include "unit.h"

#define MANY 1000

static struct fixture p;
static struct conn c;

static size_t no_bytes(const struct pipeline *pl, const struct exchange *ex)
{
	(void)pl;
	(void)ex;
	return 0;
}

static void fill(struct event_writer *w, const struct exchange *ex)
{
	w->ev->status_number = (int64_t)ex->message_id;
}

static const struct protocol numbered = {
	.id = APPMON_PROTO_HTTP1, /* that it is asked for */
	.event_bytes = no_bytes,
	.fill = fill,
};

static void setup(void)
{
	fixture_init(&p, &(struct appmon_opts){0});
	memset(&c, 0, sizeof(c));
	c.protocol = &numbered;
	c.id.target = 1;
	list_init(&c.exchanges);
}

static void teardown(void)
{
	while (!list_empty(&c.exchanges))
		exchange_drop(&p.pl, exchange_at(&c, c.exchanges.next), APPMON_DROP_GAP,
			      WHY("over"));
	ids_free(&p.pl, &c);
	while (fixture_event(&p))
		;
	ck_assert(fixture_adds_up(&p));
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	fixture_free(&p);
}

static struct exchange *ask(uint64_t id)
{
	struct exchange *ex = exchange_new(&p.pl, &c);

	ck_assert_ptr_nonnull(ex);
	exchange_identify(&p.pl, &c, ex, id);
	return ex;
}

static void answer(uint64_t id)
{
	struct exchange *ex = exchange_by_id(&c, id);

	ck_assert_ptr_nonnull(ex);
	ck_assert_uint_eq(ex->message_id, id);
	ex->response_done = 1;
	exchange_finish(&p.pl, &c, ex, APPMON_END_COMPLETE, 0);
}

static void told(uint64_t id, uint64_t ordinal)
{
	const struct appmon_event *ev = fixture_event(&p);

	ck_assert_ptr_nonnull(ev);
	ck_assert_int_eq(ev->status_number, (int64_t)id);
	ck_assert_uint_eq(ev->ordinal, ordinal);
}

START_TEST(few)
{
	ask(7);
	ask(3);
	ask(5);
	ck_assert_ptr_null(exchange_by_id(&c, 4));
	answer(5);
	answer(7);
	ck_assert_ptr_null(exchange_by_id(&c, 7));
	answer(3);
	told(5, 3);
	told(7, 1);
	told(3, 2);
	ck_assert_uint_eq(c.ids.buckets, 0);
}
END_TEST

/* Ids as HTTP/2 numbers its streams, and as many as its servers mostly allow at once. */
START_TEST(many)
{
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < MANY; i++)
			ask(2 * i + 1);
		ck_assert_ptr_null(exchange_by_id(&c, 2));
		/* 389 and 1,000 have no divisor in common: each once, in no order. */
		for (uint64_t i = 0; i < MANY; i++)
			answer(2 * (i * 389 % MANY) + 1);
		for (uint64_t i = 0; i < MANY; i++) {
			uint64_t n = i * 389 % MANY;

			ck_assert_ptr_null(exchange_by_id(&c, 2 * n + 1));
			told(2 * n + 1, (uint64_t)round * MANY + n + 1);
		}
	}
	/* No chain is long: the table has grown. */
	ck_assert_uint_ge(c.ids.buckets, MANY / 8);
}
END_TEST

/* A peer that uses an id twice: the first is answered first. */
START_TEST(twice)
{
	for (uint64_t i = 0; i < 20; i++)
		ask(i % 10);
	for (uint64_t i = 0; i < 20; i++)
		answer(i % 10);
	for (uint64_t i = 0; i < 20; i++)
		told(i % 10, i + 1);
}
END_TEST

/* One id for all of them: no table helps, and none grows without end. */
START_TEST(all_alike)
{
	for (int i = 0; i < MANY; i++)
		ask(1);
	ck_assert_uint_le(c.ids.buckets, 4096);
	for (int i = 0; i < MANY; i++)
		answer(1);
}
END_TEST

START_TEST(no_memory_for_a_table)
{
	struct exchange *ex[64];

	for (uint64_t i = 0; i < 64; i++) {
		uint64_t limit = p.pl.pool.limit;

		ex[i] = exchange_new(&p.pl, &c);
		ck_assert_ptr_nonnull(ex[i]);
		p.pl.pool.limit = 0;
		exchange_identify(&p.pl, &c, ex[i], i);
		p.pl.pool.limit = limit;
	}
	ck_assert_uint_eq(c.ids.buckets, 0);
	for (uint64_t i = 64; i--;)
		ck_assert_ptr_eq(exchange_by_id(&c, i), ex[i]);
	ask(64); /* now there is some */
	ck_assert_uint_gt(c.ids.buckets, 0);
	for (uint64_t i = 65; i--;)
		answer(i);
}
END_TEST

/* Told at its head, it is found until its end. */
START_TEST(told_before_its_end)
{
	struct exchange *ex;

	for (uint64_t i = 0; i < 40; i++) {
		ex = ask(i);
		ex->request_start_ns = 1;
		exchange_tell(&p.pl, &c, ex);
	}
	for (uint64_t i = 0; i < 40; i++)
		told(i, i + 1);
	for (uint64_t i = 40; i--;)
		answer(i);
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		few, many, twice, all_alike, no_memory_for_a_table, told_before_its_end, NULL};

	return unit_run("by-id", tests, setup, teardown);
}
