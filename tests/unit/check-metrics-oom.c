/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The n-th allocation fails, for every n, on the way from events to figures: nothing crashes or
 * leaks, and every event is counted somewhere.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "failing-alloc.h"

/* ---- the script -------------------------------------------------------------------- */

#define EVENTS 60

static void setup(void)
{
	armed = for_ever = false;
}

static void teardown(void)
{
	armed = false;
}

static void add_events(struct appmon_metrics *m)
{
	for (unsigned int i = 0; i < EVENTS; i++) {
		char path[16];
		struct appmon_event ev;

		snprintf(path, sizeof(path), "/p%c", 'a' + i % 7);
		ev = event(i % 3 ? "shop" : "bank", i % 2 ? APPMON_ROLE_CLIENT : APPMON_ROLE_SERVER,
			   path, 200, 1000000000 + i, UINT64_C(1) << i % 40);
		ev.connection_id = i + 1;
		/* check's own assertions allocate. */
		if (appmon_metrics_add(m, &ev))
			abort();
	}
}

static void check_sums(struct appmon_metrics *m)
{
	struct appmon_snapshot *s = snap(m, 2000000000, APPMON_TAKE_WAITING);
	uint64_t requests = 0, exchanges = 0;

	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES); i++) {
		struct appmon_figures f = figures(s, APPMON_SNAPSHOT_SERIES, i, NULL);

		requests += f.requests;
		ck_assert_uint_eq(f.requests, f.duration_count);
	}
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_EDGES); i++)
		exchanges += figures(s, APPMON_SNAPSHOT_EDGES, i, NULL).requests;
	ck_assert_uint_eq(requests, EVENTS);
	ck_assert_uint_ge(exchanges, 1);
	ck_assert_uint_eq(stats(m).events, EVENTS);
	appmon_snapshot_free(s);
}

/* Returns how many allocations there were. */
static unsigned long run(unsigned long at, bool all)
{
	struct appmon_metrics *const poison = (void *)0x5a5a;
	struct appmon_metrics *m = poison;
	struct appmon_snapshot_opts opts = {.size = sizeof(opts), .now_ns = 2000000000};
	struct appmon_snapshot *s = NULL;
	int err;

	fail_at = at;
	for_ever = all;
	count = 0;
	armed = true;
	err = appmon_metrics_open(&m, NULL);
	if (err) {
		armed = false;
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_ptr_eq(m, poison);
		return count;
	}
	add_events(m);
	err = appmon_metrics_snapshot(m, &opts, &s);
	armed = false;
	ck_assert(err == 0 || (err == -ENOMEM && !s));
	appmon_snapshot_free(s);
	check_sums(m);
	appmon_metrics_close(m);
	return count;
}

START_TEST(each)
{
	unsigned long total = run(0, false);

	ck_assert_uint_gt(total, 20);
	for (unsigned long at = 1; at <= total; at++)
		run(at, false);
}
END_TEST

START_TEST(each_and_all_after)
{
	unsigned long total = run(0, false);

	for (unsigned long at = 1; at <= total; at++)
		run(at, true);
}
END_TEST

/* Once it knows what there is, an event allocates nothing. */
START_TEST(warm)
{
	struct appmon_metrics *m;

	fail_at = 0;
	ck_assert_int_eq(appmon_metrics_open(&m, NULL), 0);
	for (int pass = 0; pass < 2; pass++) {
		add_events(m);
		appmon_snapshot_free(snap(m, 2000000000, APPMON_TAKE_WAITING));
	}
	count = 0;
	armed = true;
	for (int pass = 0; pass < 100; pass++)
		add_events(m);
	armed = false;
	ck_assert_uint_eq(count, 0);
	appmon_metrics_close(m);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {each, each_and_all_after, warm, NULL};

	return unit_run("metrics-oom", tests, setup, teardown);
}
