/* SPDX-License-Identifier: BSD-2-Clause */
/* What embedders ask for beside events. Needs root; exits 77 where it cannot run. */
#include <appmon/appmon.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "traffic.h"
#include "../unit/unit.h"

#define PATIENCE_MS 5000
#define REQUESTS 20
#define RECORD_MAX 100000

static char mount_point[PATH_MAX];
static struct place place;

static void places_make(void)
{
	char name[64];

	snprintf(name, sizeof(name), "appmon-embed-%d", (int)getpid());
	place_make(&place, mount_point, name);
	place_serve(&place);
}

static void places_remove(void)
{
	place_remove(&place);
}

/* On a thread of its own, which ends before the handle is used. */
static void *open_there(void *arg)
{
	APPMON_OPTS(appmon_opts, opts, .record_max_bytes = RECORD_MAX);
	struct appmon **mon = arg;

	ck_assert_int_eq(appmon_open(mon, &opts), 0);
	return NULL;
}

static void *free_there(void *arg)
{
	struct appmon_event *ev = arg;

	ck_assert_str_eq(ev->target_name.data, "shop");
	ck_assert_str_eq(ev->operation.data, "GET");
	ck_assert_uint_eq(ev->status, 200);
	appmon_event_free(ev);
	return NULL;
}

static void on_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, fn, arg), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static struct appmon *open_and_attach(uint32_t *ret_target)
{
	APPMON_OPTS(appmon_attach_opts, opts, .name = "shop", .user = &place);
	struct appmon *mon = NULL;

	on_thread(open_there, &mon);
	ck_assert_int_eq(appmon_attach_cgroup(mon, place.path, &opts, ret_target), 0);
	return mon;
}

/* Until the server's exchanges are all there. */
static int pull(struct appmon *mon, struct appmon_event **events, int want)
{
	int n = 0;

	while (n < want) {
		/* Not all at once: the bound holds. */
		uint32_t room = want - n < 7 ? (uint32_t)(want - n) : 7;
		int r = appmon_next_batch(mon, events + n, room);

		ck_assert_int_ge(r, 0);
		ck_assert_int_le(r, (int)room);
		n += r;
		if (!r && !appmon_poll(mon, PATIENCE_MS, 0))
			break;
	}
	return n;
}

/* Opened on one thread, used on another; copies outlive the handle and are freed on a third. */
START_TEST(handed_over)
{
	struct appmon_event *events[REQUESTS];
	struct appmon *mon = open_and_attach(NULL);

	client_burst(&place, "/x", REQUESTS);
	ck_assert_int_eq(pull(mon, events, REQUESTS), REQUESTS);
	ck_assert_int_eq(appmon_next_batch(mon, NULL, 1), -EINVAL);
	ck_assert_int_eq(appmon_close(mon), 0);
	for (int i = 0; i < REQUESTS; i++) {
		ck_assert_uint_eq(events[i]->ordinal, (uint64_t)i + 1);
		on_thread(free_there, events[i]);
	}
}
END_TEST

START_TEST(filtered)
{
	APPMON_OPTS(appmon_filter, filter, .path_prefix = "/wanted");
	APPMON_OPTS(appmon_stats, stats);
	struct appmon_event *events[REQUESTS];
	struct appmon *mon = open_and_attach(NULL);

	ck_assert_int_eq(appmon_set_filter(mon, &filter), 0);
	client_burst(&place, "/other", REQUESTS);
	client_burst(&place, "/wanted/1", 3);
	ck_assert_int_eq(pull(mon, events, 3), 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_str_eq(events[i]->path.data, "/wanted/1");
		appmon_event_free(events[i]);
	}
	ck_assert_int_eq(appmon_get_stats(mon, 0, &stats), 0);
	ck_assert_uint_eq(stats.delivered, 3);
	ck_assert_uint_eq(stats.filtered, REQUESTS);
	ck_assert_uint_eq(stats.exchanges_seen, REQUESTS + 3);
	ck_assert_int_eq(appmon_set_filter(mon, NULL), 0);
	client_burst(&place, "/other", 1);
	ck_assert_int_eq(pull(mon, events, 1), 1);
	ck_assert_str_eq(events[0]->path.data, "/other");
	appmon_event_free(events[0]);
	ck_assert_int_eq(appmon_close(mon), 0);
}
END_TEST

START_TEST(targets)
{
	APPMON_OPTS(appmon_target, target);
	struct appmon *mon = NULL;
	uint32_t id = 0, parent = 0;

	mon = open_and_attach(&id);
	ck_assert_int_eq(appmon_attach_cgroup(mon, mount_point, NULL, &parent), 0);
	ck_assert_int_eq(appmon_next_target(mon, 0, &target), 1);
	ck_assert_uint_eq(target.id, id);
	ck_assert_str_eq(target.name.data, "shop");
	ck_assert_str_eq(target.path.data, place.path);
	ck_assert_ptr_eq(target.user, &place);
	ck_assert_uint_eq(target.capture_bytes, 4096);
	ck_assert_int_eq(appmon_next_target(mon, id, &target), 1);
	ck_assert_uint_eq(target.id, parent);
	ck_assert_str_eq(target.path.data, mount_point);
	ck_assert_int_eq(appmon_next_target(mon, parent, &target), 0);
	/* The one before may be gone. A later target takes its slot, but comes last. */
	ck_assert_int_eq(appmon_detach(mon, id), 0);
	ck_assert_int_eq(appmon_next_target(mon, id, &target), 1);
	ck_assert_uint_eq(target.id, parent);
	ck_assert_int_eq(appmon_attach_cgroup(mon, place.path, NULL, &id), 0);
	ck_assert_int_eq(appmon_next_target(mon, 0, &target), 1);
	ck_assert_uint_eq(target.id, parent);
	ck_assert_int_eq(appmon_next_target(mon, parent, &target), 1);
	ck_assert_uint_eq(target.id, id);
	target.size = 0;
	ck_assert_int_eq(appmon_next_target(mon, 0, &target), -EINVAL);
	ck_assert_int_eq(appmon_next_target(mon, 0, NULL), -EINVAL);
	ck_assert_int_eq(appmon_close(mon), 0);
}
END_TEST

/* The recording ends at its bound with a whole entry; the host is told, and can replay it. */
START_TEST(record_bound)
{
	APPMON_OPTS(appmon_stats, stats);
	APPMON_OPTS(appmon_opts, opts);
	struct appmon *mon = NULL, *replay = NULL;
	struct appmon_event *ev;
	int fd = memfd_create("recording", MFD_CLOEXEC), n = 0, r;
	off_t size;

	on_thread(open_there, &mon);
	ck_assert_int_eq(appmon_record(mon, fd), 0);
	ck_assert_int_eq(appmon_attach_cgroup(mon, place.path, NULL, NULL), 0);
	ck_assert_int_eq(appmon_get_stats(mon, 0, &stats), 0);
	ck_assert_uint_eq(stats.flags, 0);
	for (int i = 0; i < 200; i++) {
		client_burst(&place, "/x", 1);
		ck_assert_int_eq(pull(mon, &ev, 1), 1); /* events go on */
		appmon_event_free(ev);
	}
	ck_assert_int_eq(appmon_get_stats(mon, 0, &stats), 0);
	ck_assert_uint_eq(stats.flags, APPMON_STATS_RECORD_ENDED);
	ck_assert_int_eq(appmon_record(mon, -1), 0);
	ck_assert_int_eq(appmon_get_stats(mon, 0, &stats), 0);
	ck_assert_uint_eq(stats.flags, 0);
	ck_assert_int_eq(appmon_close(mon), 0);
	size = lseek(fd, 0, SEEK_END);
	ck_assert_int_le(size, RECORD_MAX);
	ck_assert_int_gt(size, RECORD_MAX / 2);
	lseek(fd, 0, SEEK_SET);
	ck_assert_int_eq(appmon_open_replay(&replay, fd, &opts), 0);
	while ((r = appmon_next_batch(replay, &ev, 1)) > 0 ||
	       (!r && appmon_poll(replay, 0, 0) >= 0)) {
		if (!r)
			continue;
		ck_assert_str_eq(ev->path.data, "/x");
		appmon_event_free(ev);
		n++;
	}
	ck_assert_int_eq(appmon_poll(replay, 0, 0), -ENODATA);
	ck_assert_int_gt(n, 5);
	ck_assert_int_lt(n, 200);
	ck_assert_int_eq(appmon_close(replay), 0);
	close(fd);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {handed_over, filtered, targets, record_bound, NULL};

	if (!can_run(mount_point))
		return SKIPPED;
	signal(SIGPIPE, SIG_IGN);
	return unit_run("embed", tests, places_make, places_remove);
}
