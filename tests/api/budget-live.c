/* SPDX-License-Identifier: BSD-2-Clause */
/* Sampling and pausing on the running kernel. Needs root; exits 77 where it cannot run. */
#include <appmon/appmon.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "traffic.h"
#include "../unit/unit.h"

#define CONNECTIONS 200
/* After the last event: more than the library's batching of 2 ms. */
#define QUIET_MS 200

static struct appmon *mon;
static struct place place;
static char mount_point[PATH_MAX];
static uint64_t events, ids[4096], wires[4096];
static uint32_t ppm; /* of the last event */
static char path[64];

static int on_event(void *ctx, const struct appmon_event *ev)
{
	(void)ctx;
	wires[events % 4096] = ev->wire_id;
	ids[events++ % 4096] = ev->connection_id;
	ppm = ev->sampling_ppm;
	snprintf(path, sizeof(path), "%s", ev->path.data);
	if (ev->path.len)
		ck_assert_uint_eq(ev->status, 200);
	return 0;
}

static void setup(void)
{
	struct appmon_opts opts = {.size = sizeof(opts), .event_fn = on_event};
	char name[64];

	snprintf(name, sizeof(name), "appmon-budget-%d", (int)getpid());
	place_make(&place, mount_point, name);
	place_serve(&place);
	events = 0;
	ck_assert_int_eq(appmon_open(&mon, &opts), 0);
	ck_assert_int_eq(appmon_attach_cgroup(mon, place.path, NULL, NULL), 0);
}

static void teardown(void)
{
	appmon_close(mon);
	place_remove(&place);
}

static struct appmon_stats stats(void)
{
	struct appmon_stats s = {.size = sizeof(s)};
	uint64_t sum;

	ck_assert_int_eq(appmon_get_stats(mon, 0, &s), 0);
	sum = s.delivered + s.outstanding;
	for (int i = 0; i < APPMON_DROP_MAX; i++)
		sum += s.dropped[i];
	ck_assert_uint_eq(s.exchanges_seen, sum);
	return s;
}

static void poll_quiet(void)
{
	while (appmon_poll(mon, QUIET_MS, 0) > 0)
		;
}

START_TEST(share)
{
	uint64_t connections;

	ck_assert_int_eq(appmon_set_sampling(mon, 500000, 0), 0);
	ck_assert_uint_eq(stats().sampling_ppm, 500000);
	for (int i = 0; i < CONNECTIONS; i++)
		client_burst(&place, "/x", 3);
	poll_quiet();
	ck_assert_uint_eq(ppm, 500000);
	/* Whole connections, about half of them. */
	connections = stats().connections_seen;
	ck_assert_uint_eq(events, 3 * connections);
	ck_assert_uint_ge(connections, CONNECTIONS / 4);
	ck_assert_uint_le(connections, CONNECTIONS * 3 / 4);
	for (uint64_t i = 0; i < events; i += 3)
		ck_assert(ids[i] == ids[i + 1] && ids[i] == ids[i + 2]);

	ck_assert_int_eq(appmon_set_sampling(mon, APPMON_SAMPLING_ALL, 0), 0);
	events = 0;
	for (int i = 0; i < CONNECTIONS; i++)
		client_burst(&place, "/x", 3);
	poll_quiet();
	ck_assert_uint_eq(events, 3 * CONNECTIONS);
	ck_assert_uint_eq(ppm, APPMON_SAMPLING_ALL);
	ck_assert_uint_eq(stats().dropped[APPMON_DROP_SAMPLED], 0);
}
END_TEST

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Client and server are both watched: each exchange is told by both, or by none; on connections
 * that are new, and on those that are there when the share is set. */
START_TEST(both_ends)
{
	struct place top = {0};
	int old[CONNECTIONS];

	strcpy(top.path, mount_point);
	place_enter(&place);
	for (int i = 0; i < CONNECTIONS; i++) {
		old[i] = client_connect(&place);
		client_get(old[i], "/x");
		client_get(old[i], "/x");
		appmon_poll(mon, 0, 0);
	}
	poll_quiet();
	ck_assert_uint_eq(events, 4 * CONNECTIONS);
	ck_assert_int_eq(appmon_set_sampling(mon, 1, 0), 0);
	for (int i = 0; i < CONNECTIONS; i++)
		client_get(old[i], "/unseen");
	ck_assert_int_eq(appmon_set_sampling(mon, 500000, 0), 0);
	poll_quiet();
	events = 0;
	for (int i = 0; i < CONNECTIONS; i++) {
		client_get(old[i], "/x");
		close(old[i]);
		client_burst(&place, "/x", 3);
		appmon_poll(mon, 0, 0);
	}
	place_enter(&top);
	poll_quiet();
	ck_assert_uint_ge(events, 2 * CONNECTIONS);
	ck_assert_uint_le(events, 6 * CONNECTIONS);
	qsort(wires, events, sizeof(*wires), by_number);
	ck_assert_uint_eq(events % 2, 0);
	for (uint64_t i = 0; i < events; i += 2) {
		ck_assert_uint_ne(wires[i], 0);
		ck_assert_uint_eq(wires[i], wires[i + 1]);
		ck_assert(!i || wires[i] != wires[i - 1]);
	}
}
END_TEST

START_TEST(pause_and_resume)
{
	int fd = client_connect(&place);

	client_get(fd, "/one");
	client_send(fd, "/slow"); /* under way when it is switched off */
	poll_quiet();
	ck_assert_uint_eq(events, 1);
	ck_assert_int_eq(appmon_pause(mon), 0);
	ck_assert_int_eq(appmon_pause(mon), 0);
	ck_assert_uint_eq(stats().sampling_ppm, 0);
	ck_assert_uint_eq(stats().dropped[APPMON_DROP_SAMPLED], 1);
	client_answer(fd);
	for (int i = 0; i < 10; i++)
		client_get(fd, "/unseen");
	poll_quiet();
	ck_assert_uint_eq(events, 1);
	ck_assert_int_eq(appmon_resume(mon), 0);
	ck_assert_int_eq(appmon_resume(mon), 0);
	ck_assert_uint_eq(stats().sampling_ppm, APPMON_SAMPLING_ALL);
	client_get(fd, "/two");
	poll_quiet();
	ck_assert_uint_eq(events, 2);
	ck_assert_str_eq(path, "/two");
	ck_assert_uint_eq(ids[1], ids[0]);
	client_burst(&place, "/three", 2);
	poll_quiet();
	ck_assert_uint_eq(events, 4);
	ck_assert_uint_eq(stats().records_lost, 0);
	close(fd);
}
END_TEST

/* More than the ceiling: fewer connections; and all again once there is less. */
START_TEST(ceiling)
{
	struct appmon_stats s;
	int rounds = 0;

	ck_assert_int_eq(appmon_set_sampling(mon, APPMON_SAMPLING_ALL, 100), 0);
	do {
		for (int i = 0; i < 100; i++) {
			client_burst(&place, "/x", 3);
			appmon_poll(mon, 0, 0);
		}
		s = stats();
	} while (s.sampling_ppm == APPMON_SAMPLING_ALL && ++rounds < 100);
	ck_assert_uint_lt(s.sampling_ppm, APPMON_SAMPLING_ALL);
	ck_assert_uint_gt(s.sampling_ppm, 0);
	for (rounds = 0; stats().sampling_ppm < APPMON_SAMPLING_ALL && rounds < 100; rounds++)
		appmon_poll(mon, 200, 0);
	ck_assert_uint_eq(stats().sampling_ppm, APPMON_SAMPLING_ALL);
	events = 0;
	client_burst(&place, "/x", 3);
	poll_quiet();
	ck_assert_uint_eq(events, 3);
}
END_TEST

START_TEST(wrong_arguments)
{
	ck_assert_int_eq(appmon_set_sampling(mon, 0, 0), -EINVAL);
	ck_assert_ptr_nonnull(strstr(appmon_last_error(mon), "appmon_pause"));
	ck_assert_int_eq(appmon_set_sampling(mon, APPMON_SAMPLING_ALL + 1, 0), -EINVAL);
	ck_assert_int_eq(appmon_set_sampling(NULL, 1, 0), -EINVAL);
	ck_assert_int_eq(appmon_pause(NULL), -EINVAL);
	ck_assert_int_eq(appmon_resume(NULL), -EINVAL);
	ck_assert_uint_eq(stats().sampling_ppm, APPMON_SAMPLING_ALL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {share,   both_ends,	pause_and_resume,
				      ceiling, wrong_arguments, NULL};

	if (!can_run(mount_point))
		return SKIPPED;
	signal(SIGPIPE, SIG_IGN);
	return unit_run("budget", tests, setup, teardown);
}
