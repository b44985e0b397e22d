/* SPDX-License-Identifier: BSD-2-Clause */
/* The public interface against the running kernel. Needs root; exits 77 where it cannot run. */
#include <appmon/appmon.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "traffic.h"
#include "../unit/unit.h"

/* Longer than anything here takes; nothing is concluded from how long it was. */
#define PATIENCE_MS 5000
/* After the last event: more than the library's batching of 2 ms. */
#define QUIET_MS 200

static char mount_point[PATH_MAX], base[PATH_MAX];
static struct place a, b, outer, inner;

/* ---- what the callback saw ----------------------------------------------------- */

struct seen {
	struct appmon *mon;
	int events;
	int by_user[8]; /* target_user is an index */
	int stop_at;	/* return value "stop" after so many; 0: never */
	int stop_with;
	void (*hook)(struct seen *seen, const struct appmon_event *ev);
	struct appmon_event last; /* its pointers are dead */
	char path[256], name[64];
};

static void *user(uintptr_t index)
{
	return (void *)index;
}

static int on_event(void *ctx, const struct appmon_event *ev)
{
	struct seen *seen = ctx;
	uintptr_t index = (uintptr_t)ev->target_user;

	ck_assert_uint_eq(ev->size, sizeof(*ev));
	ck_assert_uint_lt(index, 8);
	seen->events++;
	seen->by_user[index]++;
	seen->last = *ev;
	snprintf(seen->path, sizeof(seen->path), "%s", ev->path.data);
	snprintf(seen->name, sizeof(seen->name), "%s", ev->target_name.data);
	if (seen->hook)
		seen->hook(seen, ev);
	return seen->stop_at && seen->events >= seen->stop_at ? seen->stop_with : 0;
}

/* Open ones, so that a test that fails leaves none behind for the next. */
static struct appmon *handles[4];

static struct appmon *open_with(struct appmon_opts *opts)
{
	struct appmon *mon = NULL;
	char text[512] = "";
	int err;

	opts->size = sizeof(*opts);
	opts->error_text = text;
	opts->error_text_size = sizeof(text);
	err = appmon_open(&mon, opts);
	ck_assert_msg(!err, "appmon_open: %d, %s", err, text);
	for (int i = 0; i < 4; i++) {
		if (!handles[i]) {
			handles[i] = mon;
			break;
		}
	}
	return mon;
}

static void done(struct appmon *mon)
{
	for (int i = 0; i < 4; i++)
		if (handles[i] == mon)
			handles[i] = NULL;
	ck_assert_int_eq(appmon_close(mon), 0);
}

static void teardown(void)
{
	for (int i = 0; i < 4; i++) {
		if (handles[i])
			appmon_close(handles[i]);
		handles[i] = NULL;
	}
}

static void open_push(struct seen *seen)
{
	struct appmon_opts opts = {.event_fn = on_event, .event_ctx = seen};

	memset(seen, 0, sizeof(*seen));
	seen->mon = open_with(&opts);
}

static uint32_t attach(struct appmon *mon, const struct place *place, uintptr_t index)
{
	struct appmon_attach_opts opts = {.size = sizeof(opts), .user = user(index)};
	uint32_t target = 0;
	int err = appmon_attach_cgroup(mon, place->path, &opts, &target);

	ck_assert_msg(!err, "%s: %s", place->path, appmon_last_error(mon));
	ck_assert_uint_ne(target, 0);
	return target;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Until n events are there. */
static void poll_for(struct seen *seen, int n)
{
	uint64_t until = now_ms() + PATIENCE_MS;

	while (seen->events < n && now_ms() < until)
		ck_assert_int_ge(appmon_poll(seen->mon, 100, 0), 0);
	ck_assert_int_ge(seen->events, n);
}

/* Until nothing more comes. */
static void poll_quiet(struct seen *seen)
{
	int before;

	do {
		before = seen->events;
		ck_assert_int_ge(appmon_poll(seen->mon, QUIET_MS, 0), 0);
	} while (seen->events != before);
}

static void get_stats(struct appmon *mon, uint32_t target, struct appmon_stats *stats)
{
	stats->size = sizeof(*stats);
	ck_assert_int_eq(appmon_get_stats(mon, target, stats), 0);
	ck_assert_uint_eq(stats->size, sizeof(*stats));
}

static void adds_up(struct appmon *mon, uint32_t target)
{
	struct appmon_stats s, all;
	uint64_t sum;

	get_stats(mon, 0, &all);
	get_stats(mon, target, &s);
	sum = s.delivered + s.outstanding;
	for (int i = 0; i < APPMON_DROP_MAX; i++)
		sum += s.dropped[i];
	ck_assert_uint_eq(s.exchanges_seen, sum);
	ck_assert_uint_eq(s.records_bad, 0);
	/* Not s.connections_seen: with nested targets an open connection can change its owner. */
	ck_assert_uint_le(s.connections_open, all.connections_seen);
}

static uint64_t inode(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_ino;
}

/* ---- targets -------------------------------------------------------------------- */

START_TEST(two_targets)
{
	struct appmon_attach_opts named = {.size = sizeof(named), .name = "bee", .user = user(2)};
	struct appmon_stats all, one, two;
	uint32_t ta, tb = 0;
	struct seen seen;

	open_push(&seen);
	ta = attach(seen.mon, &a, 1);
	ck_assert_int_eq(appmon_attach_cgroup(seen.mon, b.path, &named, &tb), 0);
	ck_assert_uint_ne(ta, tb);
	client_burst(&a, "/a?x=1", 10);
	poll_for(&seen, 10);
	ck_assert_str_eq(seen.path, "/a");
	ck_assert_str_eq(seen.name, "a"); /* the last part of the path */
	ck_assert_uint_eq(seen.last.target_id, ta);
	ck_assert_uint_eq(seen.last.cgroup_id, inode(a.path));
	ck_assert_uint_eq(seen.last.role, APPMON_ROLE_SERVER);
	ck_assert_uint_eq(seen.last.local.port, a.port);
	ck_assert_uint_eq(seen.last.status, 200);
	ck_assert_uint_eq(seen.last.ordinal, 10);
	ck_assert_uint_eq(seen.last.end, APPMON_END_COMPLETE);
	ck_assert_uint_gt(seen.last.duration_ns, 0);
	client_burst(&b, "/b", 7);
	poll_for(&seen, 17);
	ck_assert_str_eq(seen.name, "bee");
	ck_assert_uint_eq(seen.last.target_id, tb);
	poll_quiet(&seen);
	ck_assert_int_eq(seen.by_user[1], 10);
	ck_assert_int_eq(seen.by_user[2], 7);
	adds_up(seen.mon, 0);
	adds_up(seen.mon, ta);
	adds_up(seen.mon, tb);
	get_stats(seen.mon, 0, &all);
	get_stats(seen.mon, ta, &one);
	get_stats(seen.mon, tb, &two);
	ck_assert_uint_eq(one.delivered, 10);
	ck_assert_uint_eq(two.delivered, 7);
	ck_assert_uint_eq(all.delivered, 17);
	ck_assert_uint_eq(all.records, one.records + two.records);
	ck_assert_uint_eq(all.connections_seen, 2);
	done(seen.mon);
}
END_TEST

/* Who serves: what /proc says of the server, whose executable is this one. */
START_TEST(identity)
{
	struct seen seen = {0};
	struct appmon_opts opts = {
		.flags = APPMON_OPEN_IDENTITY, .event_fn = on_event, .event_ctx = &seen};
	struct appmon_capabilities caps = {.size = sizeof(caps)};
	struct appmon_process process = {.size = sizeof(process)};
	struct appmon_str path = {0};
	char exe[PATH_MAX] = "", full[2 * PATH_MAX];

	seen.mon = open_with(&opts);
	ck_assert_int_eq(appmon_get_capabilities(seen.mon, &caps), 0);
	ck_assert(caps.supported & APPMON_CAP_IDENTITY);
	attach(seen.mon, &a, 1);
	client_burst(&a, "/who", 2);
	poll_for(&seen, 2);
	ck_assert_uint_eq(seen.last.owner, APPMON_OWNER_READ);
	ck_assert_int_eq((pid_t)seen.last.pid, a.server);
	ck_assert_uint_ne(seen.last.tid, 0); /* it has a thread for each connection */
	ck_assert_uint_ge(seen.last.read_start_ns, seen.last.request_start_ns);
	ck_assert_int_eq(
		appmon_find_process(seen.mon, seen.last.pid, seen.last.process_start_ns, &process),
		0);
	ck_assert_int_gt(readlink("/proc/self/exe", exe, sizeof(exe) - 1), 0);
	ck_assert_str_eq(process.exe.data, exe);
	ck_assert_uint_eq(process.exe_inode, inode(exe));
	ck_assert_int_eq(appmon_find_process(seen.mon, seen.last.pid,
					     seen.last.process_start_ns + 1000000000, &process),
			 -ESRCH);
	ck_assert_int_eq(appmon_find_cgroup(seen.mon, seen.last.cgroup_id, &path), 0);
	snprintf(full, sizeof(full), "%s%s", mount_point, path.data);
	ck_assert_str_eq(full, a.path);
	done(seen.mon);

	/* Only who asks pays. */
	open_push(&seen);
	ck_assert_int_eq(appmon_get_capabilities(seen.mon, &caps), 0);
	ck_assert(!(caps.supported & APPMON_CAP_IDENTITY));
	attach(seen.mon, &a, 1);
	client_burst(&a, "/", 1);
	poll_for(&seen, 1);
	ck_assert_uint_eq(seen.last.owner, APPMON_OWNER_UNKNOWN);
	ck_assert_uint_eq(seen.last.pid | seen.last.tid | seen.last.netns_inum, 0);
	done(seen.mon);
}
END_TEST

START_TEST(innermost_owns)
{
	struct seen seen;
	uint32_t inside;

	open_push(&seen);
	attach(seen.mon, &outer, 1);
	inside = attach(seen.mon, &inner, 2);
	client_burst(&inner, "/inner", 5);
	poll_for(&seen, 5);
	poll_quiet(&seen);
	ck_assert_int_eq(seen.by_user[2], 5);
	ck_assert_int_eq(seen.by_user[1], 0);
	ck_assert_int_eq(appmon_detach(seen.mon, inside), 0);
	/* Now it is the outer one's, with the leaf's id. */
	client_burst(&inner, "/outer", 5);
	poll_for(&seen, 10);
	poll_quiet(&seen);
	ck_assert_int_eq(seen.by_user[1], 5);
	ck_assert_int_eq(seen.events, 10);
	ck_assert_uint_eq(seen.last.cgroup_id, inode(inner.path));
	adds_up(seen.mon, 0);
	done(seen.mon);
}
END_TEST

/* A connection that is open changes its owner with the attachments. */
START_TEST(owner_changes)
{
	uint32_t outside, inside;
	struct seen seen;
	int fd;

	open_push(&seen);
	outside = attach(seen.mon, &outer, 1);
	fd = client_connect(&inner);
	client_get(fd, "/1");
	poll_for(&seen, 1);
	inside = attach(seen.mon, &inner, 2);
	client_get(fd, "/2");
	poll_for(&seen, 2);
	poll_quiet(&seen);
	ck_assert_int_eq(seen.by_user[1], 1);
	ck_assert_int_eq(seen.by_user[2], 1);
	adds_up(seen.mon, 0);
	adds_up(seen.mon, outside);
	adds_up(seen.mon, inside);
	/* The connection goes on under the outer one. */
	ck_assert_int_eq(appmon_detach(seen.mon, inside), 0);
	client_get(fd, "/3");
	client_get(fd, "/4");
	poll_for(&seen, 4);
	ck_assert_int_eq(seen.by_user[1], 3);
	close(fd);
	poll_quiet(&seen);
	adds_up(seen.mon, 0);
	adds_up(seen.mon, outside);
	done(seen.mon);
}
END_TEST

struct load {
	const struct place *place;
	atomic_bool stop;
	atomic_int done;
};

static void *load_run(void *arg)
{
	struct load *load = arg;

	while (!load->stop) {
		client_burst(load->place, "/load", 20);
		load->done += 20;
	}
	return NULL;
}

START_TEST(detach_under_load)
{
	struct load load = {.place = &a};
	pthread_t threads[3];
	struct seen seen;
	int last = 0;

	open_push(&seen);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, load_run, &load);
	for (uintptr_t round = 1; round < 8; round++) {
		uint32_t target = attach(seen.mon, &a, round);
		int before;

		poll_for(&seen, seen.events + 50);
		ck_assert_int_gt(seen.by_user[round], 0);
		adds_up(seen.mon, target);
		ck_assert_int_eq(appmon_detach(seen.mon, target), 0);
		before = seen.by_user[round];
		for (int i = 0; i < 20; i++)
			ck_assert_int_ge(appmon_poll(seen.mon, 5, 0), 0);
		ck_assert_int_eq(seen.by_user[round], before);
		adds_up(seen.mon, 0);
	}
	load.stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	last = seen.events;
	poll_quiet(&seen);
	ck_assert_int_eq(seen.events, last);
	done(seen.mon);
}
END_TEST

static uint32_t hook_target, hook_other;
static int hook_calls;

static void hook_everything(struct seen *seen, const struct appmon_event *ev)
{
	struct appmon_capabilities caps = {.size = sizeof(caps)};
	const struct appmon_event *next = NULL;

	ck_assert_int_eq(appmon_poll(seen->mon, 0, 0), -EBUSY);
	ck_assert_str_ne(appmon_last_error(seen->mon), "");
	ck_assert_int_eq(appmon_next(seen->mon, &next), -EBUSY);
	ck_assert_ptr_null(next);
	ck_assert_int_eq(appmon_close(seen->mon), -EBUSY);
	adds_up(seen->mon, 0);
	ck_assert_int_eq(appmon_get_capabilities(seen->mon, &caps), 0);
	if (!hook_calls++) {
		ck_assert_int_eq(appmon_detach(seen->mon, ev->target_id), 0);
		hook_other = attach(seen->mon, &b, 2);
		/* The event outlives its target. */
		ck_assert_str_eq(ev->target_name.data, "a");
		ck_assert_str_eq(ev->path.data, "/1");
		ck_assert_int_eq(appmon_detach(seen->mon, ev->target_id), -ENOENT);
	}
}

START_TEST(inside_callback)
{
	struct seen seen;
	int fd;

	hook_calls = 0;
	open_push(&seen);
	hook_target = attach(seen.mon, &a, 1);
	seen.hook = hook_everything;
	fd = client_connect(&a);
	client_get(fd, "/1");
	client_get(fd, "/2");
	client_get(fd, "/3");
	poll_for(&seen, 1);
	client_get(fd, "/4");
	close(fd);
	poll_quiet(&seen);
	/* The rest belonged to a target that is gone. */
	ck_assert_int_eq(seen.by_user[1], 1);
	client_burst(&b, "/b", 3);
	poll_for(&seen, 4);
	ck_assert_int_eq(seen.by_user[2], 3);
	ck_assert_uint_eq(seen.last.target_id, hook_other);
	adds_up(seen.mon, 0);
	done(seen.mon);
}
END_TEST

START_TEST(two_handles)
{
	struct seen one, two;

	open_push(&one);
	open_push(&two);
	attach(one.mon, &a, 1);
	attach(two.mon, &a, 2);
	client_burst(&a, "/both", 20);
	poll_for(&one, 20);
	poll_for(&two, 20);
	ck_assert_uint_eq(one.last.connection_id, two.last.connection_id);
	ck_assert_uint_eq(one.last.request_start_ns / 1000000000,
			  two.last.request_start_ns / 1000000000);
	done(one.mon);
	client_burst(&a, "/rest", 5);
	poll_for(&two, 25);
	poll_quiet(&two);
	ck_assert_int_eq(two.events, 25);
	done(two.mon);
}
END_TEST

START_TEST(many_targets)
{
	static struct place places[1025];
	struct seen seen;
	uint32_t target = 77;

	open_push(&seen);
	for (int i = 0; i < 1025; i++) {
		char name[16];

		snprintf(name, sizeof(name), "t%d", i);
		place_make(&places[i], base, name);
		if (i < 1024)
			ck_assert_int_eq(appmon_attach_cgroup(seen.mon, places[i].path, NULL, NULL),
					 0);
	}
	ck_assert_int_eq(appmon_attach_cgroup(seen.mon, places[1024].path, NULL, &target), -ENOSPC);
	ck_assert_uint_eq(target, 77);
	ck_assert_str_ne(appmon_last_error(seen.mon), "");
	/* A place is free again, the id is not used again. */
	ck_assert_int_eq(appmon_detach(seen.mon, 500), 0);
	ck_assert_int_eq(appmon_attach_cgroup(seen.mon, places[1024].path, NULL, &target), 0);
	ck_assert_uint_gt(target, 1024);
	done(seen.mon);
	for (int i = 0; i < 1025; i++)
		place_remove(&places[i]);
}
END_TEST

START_TEST(attach_detach_leaks_nothing)
{
	struct appmon_stats stats;
	uint64_t held = 0;
	struct seen seen;
	int fds = 0;
	size_t heap = 0;

	for (int round = 0; round < 4; round++) {
		int n = 0;
		DIR *dir;

		open_push(&seen);
		for (int i = 0; i < 50; i++) {
			uint32_t target = attach(seen.mon, &a, 1);

			client_burst(&a, "/", 1);
			if (i % 2)
				poll_for(&seen, seen.events + 1);
			ck_assert_int_eq(appmon_detach(seen.mon, target), 0);
		}
		poll_quiet(&seen);
		get_stats(seen.mon, 0, &stats);
		adds_up(seen.mon, 0);
		ck_assert_uint_eq(stats.connections_open, 0);
		ck_assert_uint_eq(stats.outstanding, 0);
		done(seen.mon);
		dir = opendir("/proc/self/fd");
		while (readdir(dir))
			n++;
		closedir(dir);
		if (round == 1) {
			fds = n;
			heap = mallinfo2().uordblks;
			held = stats.memory_bytes;
		} else if (round > 1) {
			ck_assert_int_eq(n, fds);
			ck_assert_uint_le(mallinfo2().uordblks, heap + 4096);
			ck_assert_uint_le(stats.memory_bytes, held + 4096);
		}
	}
}
END_TEST

START_TEST(cgroup_removed)
{
	struct place gone;
	struct seen seen;
	uint32_t target, again;

	place_make(&gone, base, "gone");
	place_serve(&gone);
	open_push(&seen);
	target = attach(seen.mon, &gone, 1);
	client_burst(&gone, "/", 3);
	poll_for(&seen, 3);
	place_remove(&gone);
	ck_assert_int_ne(access(gone.path, F_OK), 0);
	ck_assert_int_ge(appmon_poll(seen.mon, 10, 0), 0);
	adds_up(seen.mon, target);
	ck_assert_int_eq(appmon_attach_cgroup(seen.mon, gone.path, NULL, NULL), -ENOENT);
	/* A new one of the same name is another cgroup. */
	place_make(&gone, base, "gone");
	again = attach(seen.mon, &gone, 2);
	ck_assert_int_eq(appmon_detach(seen.mon, target), 0);
	ck_assert_int_eq(appmon_detach(seen.mon, target), -ENOENT);
	ck_assert_int_eq(appmon_detach(seen.mon, again), 0);
	place_remove(&gone);
	done(seen.mon);
}
END_TEST

/* Counts the lines of one kind. */
struct lines {
	const char *part;
	int level, count;
};

static void count_lines(void *ctx, int level, const char *line)
{
	struct lines *lines = ctx;

	if (level == lines->level && strstr(line, lines->part))
		lines->count++;
}

/* Waits on the descriptor as an event loop does, until the target's flags are these. */
static void wait_for_flags(struct appmon *mon, uint32_t target, uint32_t flags)
{
	struct pollfd pollfd = {.fd = appmon_fd(mon), .events = POLLIN};
	uint64_t until = now_ms() + PATIENCE_MS;
	struct appmon_stats stats;

	do {
		if (poll(&pollfd, 1, 100) > 0)
			ck_assert_int_ge(appmon_poll(mon, 0, 0), 0);
		get_stats(mon, target, &stats);
	} while (stats.flags != flags && now_ms() < until);
	ck_assert_uint_eq(stats.flags, flags);
}

/* A cgroup that is gone is told once, in the log and in its target's flags; others are not. */
START_TEST(removal_is_told)
{
	struct lines lines = {.part = "was removed", .level = APPMON_LOG_INFO};
	struct seen seen = {0};
	struct appmon_opts opts = {.event_fn = on_event,
				   .event_ctx = &seen,
				   .log_fn = count_lines,
				   .log_ctx = &lines,
				   .log_level = APPMON_LOG_INFO};
	struct appmon_stats stats;
	struct place gone, again;
	uint32_t target, second, other;

	place_make(&gone, base, "gone");
	seen.mon = open_with(&opts);
	other = attach(seen.mon, &a, 1);
	target = attach(seen.mon, &gone, 2);
	place_serve(&gone);
	client_burst(&gone, "/", 3);
	poll_for(&seen, 3);
	get_stats(seen.mon, target, &stats);
	ck_assert_uint_eq(stats.flags, 0);
	place_remove(&gone);
	wait_for_flags(seen.mon, target, APPMON_STATS_REMOVED);
	wait_for_flags(seen.mon, 0, APPMON_STATS_REMOVED);
	ck_assert_int_eq(lines.count, 1);
	/* What was counted stays, and its place may be taken. */
	adds_up(seen.mon, target);
	get_stats(seen.mon, target, &stats);
	ck_assert_uint_eq(stats.delivered, 3);
	place_make(&again, base, "gone");
	second = attach(seen.mon, &again, 3);
	ck_assert_int_eq(appmon_detach(seen.mon, target), 0);
	poll_quiet(&seen);
	wait_for_flags(seen.mon, second, 0);
	wait_for_flags(seen.mon, other, 0);
	wait_for_flags(seen.mon, 0, 0);
	ck_assert_int_eq(lines.count, 1);
	place_remove(&again);
	done(seen.mon);
}
END_TEST

/* ---- receiving -------------------------------------------------------------------- */

START_TEST(pull_mode)
{
	struct appmon_opts opts = {0};
	const struct appmon_event *ev = NULL;
	struct appmon *mon = open_with(&opts);
	uint64_t until = now_ms() + PATIENCE_MS;
	int n = 0;

	attach(mon, &a, 3);
	ck_assert_int_eq(appmon_next(mon, &ev), 0);
	ck_assert_ptr_null(ev);
	ck_assert_int_eq(appmon_next(mon, NULL), -EINVAL);
	ck_assert_int_eq(appmon_poll(mon, 0, 0), 0);
	client_burst(&a, "/pull", 30);
	while (n < 30 && now_ms() < until) {
		int r = appmon_poll(mon, 1000, 0);

		ck_assert(r == 0 || r == 1);
		while ((r = appmon_next(mon, &ev)) == 1) {
			n++;
			ck_assert_ptr_eq(ev->target_user, user(3));
			ck_assert_str_eq(ev->path.data, "/pull");
			ck_assert_uint_eq(ev->ordinal, (uint64_t)n);
		}
		ck_assert_int_eq(r, 0);
	}
	ck_assert_int_eq(n, 30);
	adds_up(mon, 0);
	/* With events waiting poll() says so again and again. */
	client_burst(&a, "/pull", 3);
	ck_assert_int_eq(appmon_poll(mon, PATIENCE_MS, 0), 1);
	ck_assert_int_eq(appmon_poll(mon, PATIENCE_MS, 0), 1);
	done(mon);
}
END_TEST

START_TEST(next_needs_pull_mode)
{
	const struct appmon_event *ev = NULL;
	struct seen seen;

	open_push(&seen);
	ck_assert_int_eq(appmon_next(seen.mon, &ev), -EINVAL);
	ck_assert_ptr_null(ev);
	done(seen.mon);
}
END_TEST

static bool readable(int epoll_fd, int timeout_ms)
{
	struct epoll_event ev;

	return epoll_wait(epoll_fd, &ev, 1, timeout_ms) == 1;
}

START_TEST(foreign_loop)
{
	int loop = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event want = {.events = EPOLLIN};
	uint64_t until;
	struct seen seen;

	open_push(&seen);
	ck_assert_int_eq(epoll_ctl(loop, EPOLL_CTL_ADD, appmon_fd(seen.mon), &want), 0);
	attach(seen.mon, &a, 1);
	ck_assert(!readable(loop, 50));
	until = now_ms() + PATIENCE_MS;
	client_burst(&a, "/", 5);
	/* Level-triggered: readable until the work is done. */
	ck_assert(readable(loop, PATIENCE_MS));
	ck_assert(readable(loop, PATIENCE_MS));
	while (seen.events < 5 && now_ms() < until) {
		int before = seen.events;

		ck_assert(readable(loop, PATIENCE_MS));
		ck_assert_int_le(appmon_poll(seen.mon, 0, 1), 1);
		ck_assert_int_le(seen.events, before + 1);
	}
	ck_assert_int_eq(seen.events, 5);
	/* A wakeup makes it readable, too, until it is taken. */
	poll_quiet(&seen);
	ck_assert_int_eq(appmon_wakeup(seen.mon), 0);
	ck_assert(readable(loop, PATIENCE_MS));
	ck_assert(readable(loop, 0));
	ck_assert_int_eq(appmon_poll(seen.mon, 0, 0), 0);
	close(loop);
	done(seen.mon);
}
END_TEST

START_TEST(bounded_dispatch)
{
	struct load load = {.place = &a};
	pthread_t thread;
	struct seen seen;
	int before, r;

	open_push(&seen);
	attach(seen.mon, &a, 1);
	client_burst(&a, "/", 50);
	for (uint32_t max = 1; seen.events < 50; max++) {
		before = seen.events;
		r = appmon_poll(seen.mon, PATIENCE_MS, max);
		ck_assert_int_eq(r, seen.events - before);
		ck_assert_int_le(r, (int)max);
		ck_assert_int_gt(r, 0);
	}
	/* More keeps coming while it delivers: the call returns all the same. */
	pthread_create(&thread, NULL, load_run, &load);
	for (int i = 0; i < 50; i++) {
		before = seen.events;
		r = appmon_poll(seen.mon, PATIENCE_MS, 3);
		ck_assert_int_eq(r, seen.events - before);
		ck_assert_int_le(r, 3);
	}
	load.stop = true;
	pthread_join(thread, NULL);
	poll_quiet(&seen);
	adds_up(seen.mon, 0);
	done(seen.mon);
}
END_TEST

START_TEST(callback_returns)
{
	struct appmon_stats stats;
	struct seen seen;
	int fd;

	open_push(&seen);
	attach(seen.mon, &a, 1);
	fd = client_connect(&a);
	for (int i = 0; i < 6; i++)
		client_get(fd, "/");
	poll_for(&seen, 6);
	for (int i = 0; i < 6; i++)
		client_get(fd, "/");
	poll_quiet(&(struct seen){.mon = seen.mon}); /* nothing is lost by waiting */
	poll_for(&seen, 12);

	/* > 0: stop. */
	seen.stop_at = 14;
	seen.stop_with = 1;
	for (int i = 0; i < 6; i++)
		client_get(fd, "/");
	while (seen.events < 14) {
		int before = seen.events, r = appmon_poll(seen.mon, PATIENCE_MS, 0);

		ck_assert_int_eq(r, seen.events - before);
	}
	ck_assert_int_eq(seen.events, 14);
	/* < 0: stop, and the value comes back. */
	seen.stop_with = -EIO;
	for (int i = 15; i <= 18; i++) {
		ck_assert_int_eq(appmon_poll(seen.mon, PATIENCE_MS, 0), -EIO);
		ck_assert_int_eq(seen.events, i);
	}
	seen.stop_at = 0;
	poll_quiet(&seen);
	/* The event counts as delivered in every case. */
	get_stats(seen.mon, 0, &stats);
	ck_assert_uint_eq(stats.delivered, 18);
	adds_up(seen.mon, 0);
	close(fd);
	done(seen.mon);
}
END_TEST

/* An exchange without an answer: the timer is in the descriptor. */
START_TEST(timeout_event)
{
	struct seen seen;
	struct appmon_opts opts = {
		.event_fn = on_event, .event_ctx = &seen, .exchange_timeout_ms = 300};
	int fd;

	memset(&seen, 0, sizeof(seen));
	seen.mon = open_with(&opts);
	attach(seen.mon, &a, 1);
	fd = client_connect(&a);
	client_send(fd, "/hang");
	/* One call: nothing else wakes it. */
	ck_assert_int_eq(appmon_poll(seen.mon, PATIENCE_MS, 0), 1);
	ck_assert_uint_eq(seen.last.end, APPMON_END_TIMEOUT);
	ck_assert_uint_eq(seen.last.flags & APPMON_EVF_NO_RESPONSE, APPMON_EVF_NO_RESPONSE);
	ck_assert_str_eq(seen.path, "/hang");
	ck_assert_uint_eq(seen.last.status, 0);
	close(fd);
	adds_up(seen.mon, 0);
	done(seen.mon);
}
END_TEST

/* ---- wakeup ------------------------------------------------------------------------ */

static void *wake_later(void *arg)
{
	usleep(100000);
	ck_assert_int_eq(appmon_wakeup(arg), 0);
	return NULL;
}

START_TEST(wakeup_thread)
{
	pthread_t thread;
	struct seen seen;
	uint64_t began;

	open_push(&seen);
	pthread_create(&thread, NULL, wake_later, seen.mon);
	ck_assert_int_eq(appmon_poll(seen.mon, -1, 0), 0);
	pthread_join(thread, NULL);
	/* Before the call: the next one returns. */
	ck_assert_int_eq(appmon_wakeup(seen.mon), 0);
	ck_assert_int_eq(appmon_wakeup(seen.mon), 0);
	ck_assert_int_eq(appmon_poll(seen.mon, -1, 0), 0);
	/* They do not add up. */
	began = now_ms();
	ck_assert_int_eq(appmon_poll(seen.mon, 100, 0), 0);
	ck_assert_uint_ge(now_ms() - began, 100);
	done(seen.mon);
}
END_TEST

static struct appmon *signal_mon;

static void on_alarm(int signal)
{
	(void)signal;
	appmon_wakeup(signal_mon);
}

START_TEST(wakeup_signal)
{
	struct itimerval soon = {.it_value.tv_usec = 50000};
	struct sigaction act = {.sa_handler = on_alarm}, old;
	struct seen seen;
	int r;

	open_push(&seen);
	signal_mon = seen.mon;
	sigaction(SIGALRM, &act, &old);
	setitimer(ITIMER_REAL, &soon, NULL);
	r = appmon_poll(seen.mon, -1, 0);
	if (r == -EINTR)
		r = appmon_poll(seen.mon, -1, 0);
	ck_assert_int_eq(r, 0);
	sigaction(SIGALRM, &old, NULL);
	done(seen.mon);
}
END_TEST

START_TEST(wakeup_not_lost_by_next)
{
	const struct appmon_event *ev = NULL;
	struct appmon_opts opts = {0};
	struct appmon *mon = open_with(&opts);
	uint64_t began;

	ck_assert_int_eq(appmon_wakeup(mon), 0);
	ck_assert_int_eq(appmon_next(mon, &ev), 0);
	began = now_ms();
	ck_assert_int_eq(appmon_poll(mon, PATIENCE_MS, 0), 0);
	ck_assert_uint_lt(now_ms() - began, PATIENCE_MS);
	done(mon);
}
END_TEST

/* ---- fork() --------------------------------------------------------------------------- */

static int in_child(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status = 0;

	ck_assert_int_ge(pid, 0);
	if (!pid)
		_exit(fn(arg));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "the child died of signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

#define EXPECT(expr)                                                                               \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int child_of_fork(void *arg)
{
	struct appmon *mon = arg;
	struct appmon_stats stats = {.size = sizeof(stats)};
	struct appmon_capabilities caps = {.size = sizeof(caps)};
	const struct appmon_event *ev = NULL;
	uint32_t target = 9;

	EXPECT(appmon_poll(mon, 0, 0) == -ECHILD);
	EXPECT(appmon_next(mon, &ev) == -ECHILD && !ev);
	EXPECT(appmon_fd(mon) == -ECHILD);
	EXPECT(appmon_wakeup(mon) == -ECHILD);
	EXPECT(appmon_attach_cgroup(mon, b.path, NULL, &target) == -ECHILD && target == 9);
	EXPECT(appmon_attach_cgroup_fd(mon, 0, NULL, &target) == -ECHILD);
	EXPECT(appmon_detach(mon, 1) == -ECHILD);
	EXPECT(appmon_get_stats(mon, 0, &stats) == -ECHILD);
	EXPECT(appmon_get_capabilities(mon, &caps) == -ECHILD);
	EXPECT(appmon_last_error(mon));
	EXPECT(appmon_close(mon) == 0);
	/* The child may have a handle of its own. */
	EXPECT(appmon_open(&mon, NULL) == 0);
	EXPECT(appmon_attach_cgroup(mon, a.path, NULL, NULL) == 0);
	EXPECT(appmon_close(mon) == 0);
	return 0;
}

START_TEST(after_fork)
{
	struct seen seen;
	int fd;

	open_push(&seen);
	attach(seen.mon, &a, 1);
	fd = client_connect(&a);
	client_get(fd, "/before");
	poll_for(&seen, 1);
	client_send(fd, "/slow");
	ck_assert_int_eq(in_child(child_of_fork, seen.mon), 0);
	client_answer(fd);
	client_get(fd, "/after");
	poll_for(&seen, 3);
	ck_assert_str_eq(seen.path, "/after");
	poll_quiet(&seen);
	ck_assert_int_eq(seen.events, 3);
	adds_up(seen.mon, 0);
	close(fd);
	done(seen.mon);
}
END_TEST

/* ---- wrong arguments -------------------------------------------------------------------- */

/* Fails with err, a text, and without an id. */
static void attach_fails(struct appmon *mon, const char *path,
			 const struct appmon_attach_opts *opts, int err)
{
	uint32_t target = 4711;

	ck_assert_int_eq(appmon_attach_cgroup(mon, path, opts, &target), err);
	ck_assert_uint_eq(target, 4711);
	ck_assert_str_ne(appmon_last_error(mon), "");
	ck_assert_str_ne(appmon_strerror(err), "");
}

START_TEST(wrong_paths)
{
	char file[PATH_MAX + 32];
	uint32_t target = 4711;
	struct seen seen;
	int fd;

	open_push(&seen);
	ck_assert_str_eq(appmon_last_error(seen.mon), "");
	attach_fails(seen.mon, NULL, NULL, -EINVAL);
	attach_fails(seen.mon, "", NULL, -ENOENT);
	snprintf(file, sizeof(file), "%s/nothing", base);
	attach_fails(seen.mon, file, NULL, -ENOENT);
	ck_assert_ptr_nonnull(strstr(appmon_last_error(seen.mon), file));
	snprintf(file, sizeof(file), "%s/cgroup.procs", a.path);
	attach_fails(seen.mon, file, NULL, -ENOTDIR);
	attach_fails(seen.mon, "/tmp", NULL, -EINVAL);
	ck_assert_ptr_nonnull(strstr(appmon_last_error(seen.mon), "cgroup v2"));
	attach_fails(seen.mon, "/etc/passwd", NULL, -ENOTDIR);

	ck_assert_int_lt(appmon_attach_cgroup_fd(seen.mon, -1, NULL, &target), 0);
	ck_assert_int_lt(appmon_attach_cgroup_fd(seen.mon, 1000000, NULL, &target), 0);
	fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(appmon_attach_cgroup_fd(seen.mon, fd, NULL, &target), -EINVAL);
	close(fd);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	snprintf(file, sizeof(file), "%s/cgroup.procs", a.path);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(appmon_attach_cgroup_fd(seen.mon, fd, NULL, &target), -ENOTDIR);
	close(fd);
	ck_assert_uint_eq(target, 4711);

	/* Borrowed for the call only. */
	fd = open(a.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(appmon_attach_cgroup_fd(seen.mon, fd, NULL, &target), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	client_burst(&a, "/fd", 2);
	poll_for(&seen, 2);
	ck_assert_str_eq(seen.name, "a");
	attach_fails(seen.mon, a.path, NULL, -EEXIST);
	done(seen.mon);
}
END_TEST

START_TEST(wrong_structs)
{
	struct {
		struct appmon_attach_opts opts;
		uint64_t newer;
	} o = {.opts.size = sizeof(o), .newer = 1};
	struct appmon_stats stats, copy;
	struct appmon_capabilities caps = {0};
	struct seen seen;

	open_push(&seen);
	attach_fails(seen.mon, a.path, &o.opts, -E2BIG);
	o.opts.size = 3;
	attach_fails(seen.mon, a.path, &o.opts, -EINVAL);
	o.opts.size = sizeof(o.opts);
	o.opts.capture_bytes = 127;
	attach_fails(seen.mon, a.path, &o.opts, -EINVAL);
	o.opts.capture_bytes = 65537;
	attach_fails(seen.mon, a.path, &o.opts, -EINVAL);
	o.opts.capture_bytes = UINT32_MAX;
	attach_fails(seen.mon, a.path, &o.opts, -EINVAL);
	o.newer = 0;
	o.opts.capture_bytes = 65536;
	o.opts.size = sizeof(o);
	ck_assert_int_eq(appmon_attach_cgroup(seen.mon, a.path, &o.opts, NULL), 0);

	ck_assert_int_eq(appmon_detach(seen.mon, 0), -ENOENT);
	ck_assert_int_eq(appmon_detach(seen.mon, 99), -ENOENT);
	ck_assert_int_eq(appmon_detach(seen.mon, UINT32_MAX), -ENOENT);
	ck_assert_int_eq(appmon_get_stats(seen.mon, 0, NULL), -EINVAL);
	ck_assert_int_eq(appmon_get_capabilities(seen.mon, NULL), -EINVAL);
	memset(&stats, 0x5a, sizeof(stats));
	stats.size = 0;
	copy = stats;
	ck_assert_int_eq(appmon_get_stats(seen.mon, 0, &stats), -EINVAL);
	stats.size = copy.size = sizeof(stats);
	ck_assert_int_eq(appmon_get_stats(seen.mon, 99, &stats), -ENOENT);
	ck_assert_mem_eq(&stats, &copy, sizeof(stats));
	ck_assert_int_eq(appmon_get_capabilities(seen.mon, &caps), -EINVAL);
	caps.size = sizeof(caps);
	ck_assert_int_eq(appmon_get_capabilities(seen.mon, &caps), 0);
	ck_assert_uint_eq(caps.supported & APPMON_CAP_CAPTURE, APPMON_CAP_CAPTURE);
	/* A host that knows fewer counters. */
	memset(&stats, 0x5a, sizeof(stats));
	stats.size = offsetof(struct appmon_stats, outstanding);
	ck_assert_int_eq(appmon_get_stats(seen.mon, 0, &stats), 0);
	ck_assert_uint_eq(stats.size, offsetof(struct appmon_stats, outstanding));
	ck_assert_uint_eq(stats.outstanding, UINT64_C(0x5a5a5a5a5a5a5a5a));
	ck_assert_uint_eq(stats.delivered, 0);
	done(seen.mon);
}
END_TEST

/* What the text of the error names. */
static void ports_fail(struct appmon *mon, uint32_t protocols, const struct appmon_port_hint *ports,
		       uint32_t count, const char *text)
{
	struct appmon_attach_opts opts = {
		.size = sizeof(opts), .protocols = protocols, .ports = ports, .port_count = count};

	attach_fails(mon, a.path, &opts, -EINVAL);
	ck_assert_msg(strstr(appmon_last_error(mon), text), "%s", appmon_last_error(mon));
}

/* Protocols of a target, and of its ports: what is refused, and what is in force. */
START_TEST(protocols)
{
	static const uint32_t http1 = 1U << APPMON_PROTO_HTTP1, resp = 1U << APPMON_PROTO_RESP;
	struct appmon_opts both = {.protocols = http1 | resp};
	struct appmon_port_hint ports[65] = {{0}};
	struct appmon_attach_opts opts = {.size = sizeof(opts), .protocols = http1 | resp};
	struct appmon_target info = {.size = sizeof(info)};
	struct seen seen;

	open_push(&seen);
	attach_fails(seen.mon, a.path, &opts, -EINVAL);
	ck_assert_ptr_nonnull(strstr(appmon_last_error(seen.mon), "resp"));
	ports[0] = (struct appmon_port_hint){6379, APPMON_PROTO_RESP};
	ports_fail(seen.mon, 0, ports, 1, "6379 is resp");
	attach(seen.mon, &a, 1);
	ck_assert_int_eq(appmon_next_target(seen.mon, 0, &info), 1);
	ck_assert_uint_eq(info.protocols, http1);
	done(seen.mon);

	memset(&seen, 0, sizeof(seen));
	seen.mon = open_with(&both);
	ports_fail(seen.mon, 1U << 31 | http1, NULL, 0, "0x80000002");
	ports_fail(seen.mon, 1, NULL, 0, "0x1");
	ports_fail(seen.mon, 0, NULL, 1, "NULL");
	ports_fail(seen.mon, http1, ports, 1, "6379 is resp");
	ports[1] = (struct appmon_port_hint){6379, APPMON_PROTO_HTTP1};
	ports_fail(seen.mon, 0, ports, 2, "6379 stands twice");
	for (uint32_t protocol = 0; protocol < 70; protocol++) {
		ports[1] = (struct appmon_port_hint){80, protocol};
		if (!appmon_protocol_name(protocol))
			ports_fail(seen.mon, 0, ports, 2, "80 is");
	}
	ports[1] = (struct appmon_port_hint){0, APPMON_PROTO_HTTP1};
	ports_fail(seen.mon, 0, ports, 2, "1 to 65535");
	ports[1] = (struct appmon_port_hint){65536, APPMON_PROTO_HTTP1};
	ports_fail(seen.mon, 0, ports, 2, "1 to 65535");
	for (uint32_t i = 0; i < 65; i++)
		ports[i] = (struct appmon_port_hint){i + 1, APPMON_PROTO_HTTP1};
	ports_fail(seen.mon, 0, ports, 65, "port_count");

	opts.ports = ports;
	opts.port_count = 64;
	opts.protocols = http1;
	ck_assert_int_eq(appmon_attach_cgroup(seen.mon, a.path, &opts, NULL), 0);
	memset(ports, 0xff, sizeof(ports)); /* copied */
	ck_assert_int_eq(appmon_attach_cgroup(seen.mon, b.path, NULL, NULL), 0);
	info.size = sizeof(info);
	ck_assert_int_eq(appmon_next_target(seen.mon, 0, &info), 1);
	ck_assert_uint_eq(info.protocols, http1);
	ck_assert_int_eq(appmon_next_target(seen.mon, info.id, &info), 1);
	ck_assert_uint_eq(info.protocols, http1 | resp);
	done(seen.mon);
}
END_TEST

/* At the ends of every range. */
START_TEST(limits)
{
	static const struct appmon_opts smallest = {.memory_limit = 65536,
						    .ring_bytes = 4096,
						    .capture_bytes = 128,
						    .exchange_timeout_ms = 1,
						    .idle_timeout_ms = 1,
						    .log_level = APPMON_LOG_ERROR};
	static const struct appmon_opts largest = {.memory_limit = UINT64_MAX,
						   .ring_bytes = 64 << 20,
						   .capture_bytes = 65536,
						   .exchange_timeout_ms = UINT32_MAX,
						   .idle_timeout_ms = UINT32_MAX,
						   .log_level = APPMON_LOG_TRACE};
	struct appmon_stats stats;
	struct seen seen;

	for (int i = 0; i < 2; i++) {
		struct appmon_opts opts = i ? largest : smallest;

		memset(&seen, 0, sizeof(seen));
		opts.event_fn = on_event;
		opts.event_ctx = &seen;
		seen.mon = open_with(&opts);
		attach(seen.mon, &a, 1);
		for (int k = 0; k < 5; k++) {
			client_burst(&a, "/limits", 1);
			poll_for(&seen, k + 1);
		}
		poll_quiet(&seen);
		get_stats(seen.mon, 0, &stats);
		ck_assert_uint_le(stats.memory_bytes, stats.memory_limit);
		ck_assert_uint_eq(stats.memory_limit, opts.memory_limit);
		adds_up(seen.mon, 0);
		done(seen.mon);
	}
}
END_TEST

/* More requests than a ring of one page takes: the loss is counted. */
START_TEST(ring_full)
{
	struct seen seen;
	struct appmon_opts opts = {.event_fn = on_event, .event_ctx = &seen, .ring_bytes = 4096};
	struct appmon_stats stats;

	memset(&seen, 0, sizeof(seen));
	seen.mon = open_with(&opts);
	attach(seen.mon, &a, 1);
	client_burst(&a, "/flood", 200);
	client_burst(&a, "/flood", 200);
	poll_quiet(&seen);
	get_stats(seen.mon, 0, &stats);
	ck_assert_uint_gt(stats.records_lost, 0);
	ck_assert_uint_gt(stats.dropped[APPMON_DROP_RING_FULL], 0);
	ck_assert_int_lt(seen.events, 400);
	adds_up(seen.mon, 0);
	/* It goes on. */
	client_burst(&a, "/again", 1);
	poll_for(&seen, seen.events + 1);
	ck_assert_str_eq(seen.path, "/again");
	ck_assert_uint_eq(seen.last.status, 200);
	poll_quiet(&seen);
	get_stats(seen.mon, 0, &stats);
	ck_assert_uint_eq(stats.exchanges_seen, 401);
	done(seen.mon);
}
END_TEST

/* That the ring was full is said once, with its size. */
START_TEST(loss_is_told)
{
	struct lines lines = {.part = "4096 bytes was full", .level = APPMON_LOG_WARN};
	struct seen seen = {0};
	struct appmon_opts opts = {.event_fn = on_event,
				   .event_ctx = &seen,
				   .ring_bytes = 4096,
				   .log_fn = count_lines,
				   .log_ctx = &lines};
	uint64_t until;
	uint32_t target;

	seen.mon = open_with(&opts);
	target = attach(seen.mon, &a, 1);
	attach(seen.mon, &b, 2);
	client_burst(&a, "/few", 2);
	poll_for(&seen, 2);
	ck_assert_int_eq(lines.count, 0);
	until = now_ms() + PATIENCE_MS; /* opening takes longer on an emulated kernel */
	client_burst(&a, "/flood", 200);
	while (lines.count == 0 && now_ms() < until)
		ck_assert_int_ge(appmon_poll(seen.mon, 100, 0), 0);
	ck_assert_int_eq(lines.count, 1);
	client_burst(&a, "/flood", 200);
	client_burst(&b, "/flood", 200);
	poll_quiet(&seen);
	ck_assert_int_eq(appmon_detach(seen.mon, target), 0);
	ck_assert_int_eq(lines.count, 1);
	done(seen.mon);
}
END_TEST

/* Also where the target goes before anyone looked. */
START_TEST(loss_is_told_at_a_detach)
{
	struct lines lines = {.part = "was full", .level = APPMON_LOG_WARN};
	struct appmon_opts opts = {.ring_bytes = 4096, .log_fn = count_lines, .log_ctx = &lines};
	struct appmon *mon = open_with(&opts);
	uint32_t target = attach(mon, &a, 1);

	client_burst(&a, "/flood", 200);
	ck_assert_int_eq(appmon_detach(mon, target), 0);
	ck_assert_int_eq(lines.count, 1);
	done(mon);
}
END_TEST

static void one_line(void *ctx, int level, const char *line)
{
	int *count = ctx;

	ck_assert_int_ge(level, APPMON_LOG_ERROR);
	ck_assert_int_le(level, APPMON_LOG_DEBUG);
	ck_assert_ptr_null(strchr(line, '\n'));
	ck_assert_str_ne(line, "");
	++*count;
}

START_TEST(log_lines)
{
	int lines = 0, other = 0;
	struct appmon_opts opts = {
		.log_fn = one_line, .log_ctx = &lines, .log_level = APPMON_LOG_DEBUG};
	struct appmon *mon = open_with(&opts), *quiet;

	opts.log_ctx = &other;
	opts.log_level = 0; /* the default: nothing below a warning */
	quiet = open_with(&opts);
	attach(mon, &a, 1);
	attach(quiet, &a, 1);
	attach_fails(mon, "/nowhere", NULL, -ENOENT);
	ck_assert_int_ge(lines, 2);
	ck_assert_int_eq(other, 0);
	done(mon);
	done(quiet);
}
END_TEST

/* ---- what the process or the kernel lacks -------------------------------------------- */

/* In a child: opens, expects err and a text with the word. */
static int open_fails(int err, const char *word)
{
	struct appmon *const poison = (struct appmon *)0x5a5a;
	struct appmon *mon = poison;
	char text[512] = "";
	struct appmon_opts opts = {
		.size = sizeof(opts), .error_text = text, .error_text_size = sizeof(text)};
	int r = appmon_open(&mon, &opts);

	if (r == err && mon == poison && strstr(text, word))
		return 0;
	fprintf(stderr, "appmon_open() = %d, \"%s\"; expected %d and \"%s\"\n", r, text, err, word);
	return 1;
}

static int not_root_child(void *arg)
{
	(void)arg;
	EXPECT(!setresgid(65534, 65534, 65534));
	EXPECT(!setresuid(65534, 65534, 65534));
	return open_fails(-EPERM, "root");
}

START_TEST(not_root)
{
	ck_assert_int_eq(in_child(not_root_child, NULL), 0);
}
END_TEST

static int drop_capabilities(const int *caps, size_t n)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &hdr, data))
		return -1;
	for (size_t i = 0; i < n; i++) {
		data[caps[i] / 32].effective &= ~(1u << caps[i] % 32);
		data[caps[i] / 32].permitted &= ~(1u << caps[i] % 32);
	}
	return (int)syscall(SYS_capset, &hdr, data);
}

static int without_bpf_child(void *arg)
{
	static const int caps[] = {CAP_SYS_ADMIN, CAP_BPF};

	(void)arg;
	EXPECT(!drop_capabilities(caps, 2));
	return open_fails(-EPERM, "CAP_BPF");
}

static int without_perfmon_child(void *arg)
{
	static const int caps[] = {CAP_SYS_ADMIN, CAP_PERFMON};

	(void)arg;
	EXPECT(!drop_capabilities(caps, 2));
	return open_fails(-EPERM, "CAP_PERFMON");
}

static int without_net_admin_child(void *arg)
{
	static const int caps[] = {CAP_NET_ADMIN};

	(void)arg;
	EXPECT(!drop_capabilities(caps, 1));
	return open_fails(-EPERM, "CAP_NET_ADMIN");
}

/* The three that the header names, and no more. */
static int become_ordinary(void)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	static const int caps[] = {CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN};

	for (size_t i = 0; i < 3; i++) {
		data[caps[i] / 32].effective |= 1u << caps[i] % 32;
		data[caps[i] / 32].permitted |= 1u << caps[i] % 32;
	}
	EXPECT(!prctl(PR_SET_KEEPCAPS, 1));
	EXPECT(!setresgid(65534, 65534, 65534));
	EXPECT(!setresuid(65534, 65534, 65534));
	EXPECT(!syscall(SYS_capset, &hdr, data));
	return 0;
}

static int three_capabilities_child(void *arg)
{
	struct appmon *mon;

	(void)arg;
	EXPECT(!become_ordinary());
	EXPECT(appmon_open(&mon, NULL) == 0);
	EXPECT(appmon_attach_cgroup(mon, a.path, NULL, NULL) == 0);
	EXPECT(appmon_close(mon) == 0);
	return 0;
}

START_TEST(capabilities)
{
	ck_assert_int_eq(in_child(without_bpf_child, NULL), 0);
	ck_assert_int_eq(in_child(without_perfmon_child, NULL), 0);
	ck_assert_int_eq(in_child(without_net_admin_child, NULL), 0);
	ck_assert_int_eq(in_child(three_capabilities_child, NULL), 0);
}
END_TEST

static int cleared_capabilities(void)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &hdr, data);
}

/* Speaks something else than HTTP to the server: only the kernel counts such connections. */
static void client_noise(const struct place *place)
{
	int fd = client_connect(place);

	ck_assert_int_eq(write(fd, "\x16\x03\x01 TLS\r\n\r\n", 11), 11);
	close(fd);
}

/*
 * What a host can do that has given up everything after the attach. user: as an ordinary one, which
 * before had the three capabilities only.
 */
static int dropped_child(void *arg)
{
	struct appmon_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
	struct appmon_capabilities caps = {.size = sizeof(caps)};
	struct seen seen = {0};
	struct appmon_opts opts = {.size = sizeof(opts), .event_fn = on_event, .event_ctx = &seen};
	const bool *user = arg;
	uint32_t target = 0, other = 0;
	int fd = client_connect(&a);

	if (*user)
		EXPECT(!become_ordinary());
	EXPECT(appmon_open(&seen.mon, &opts) == 0);
	EXPECT(appmon_attach_cgroup(seen.mon, a.path, NULL, &target) == 0);
	EXPECT(appmon_attach_cgroup(seen.mon, b.path, NULL, &other) == 0);
	EXPECT(!cleared_capabilities());

	/* Events and the kernel's counters. */
	client_get(fd, "/before");
	client_noise(&a);
	client_burst(&a, "/burst", 20);
	poll_for(&seen, 21);
	EXPECT(appmon_get_capabilities(seen.mon, &caps) == 0);
	EXPECT(appmon_get_stats(seen.mon, target, &before) == 0);
	EXPECT(before.delivered == 21 && before.connections_skipped == 1);
	adds_up(seen.mon, target);

	/* A cgroup more needs CAP_NET_ADMIN, and says so; what is attached stays. */
	EXPECT(appmon_attach_cgroup(seen.mon, inner.path, NULL, NULL) == -EPERM);
	EXPECT(strstr(appmon_last_error(seen.mon), "CAP_NET_ADMIN"));
	client_get(fd, "/still");
	poll_for(&seen, 22);

	/* The end of one target, not of the other. */
	EXPECT(appmon_detach(seen.mon, target) == 0);
	client_get(fd, "/unseen");
	client_burst(&b, "/b", 1);
	poll_for(&seen, 23);
	poll_quiet(&seen);
	EXPECT(seen.events == 23 && !strcmp(seen.path, "/b"));
	EXPECT(appmon_get_stats(seen.mon, 0, &after) == 0);
	EXPECT(after.delivered == 23);
	EXPECT(appmon_close(seen.mon) == 0);

	/* Another handle is refused with the names of what is missing. */
	close(fd);
	return open_fails(-EPERM, "CAP_BPF") || open_fails(-EPERM, "CAP_PERFMON") ||
	       open_fails(-EPERM, "CAP_NET_ADMIN");
}

START_TEST(capabilities_dropped)
{
	int fd = open("/proc/sys/kernel/osrelease", O_RDONLY | O_CLOEXEC);
	unsigned int major = 0, minor = 0;
	char text[64] = "";

	/* Until 5.19 bpf(2) is closed as a whole where unprivileged_bpf_disabled is set. */
	ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
	close(fd);
	ck_assert_int_eq(sscanf(text, "%u.%u", &major, &minor), 2);
	if (major < 5 || (major == 5 && minor < 19))
		return;
	ck_assert_int_eq(in_child(dropped_child, &(bool){false}), 0);
	ck_assert_int_eq(in_child(dropped_child, &(bool){true}), 0);
}
END_TEST

static int private_mounts(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int no_btf_child(void *arg)
{
	(void)arg;
	EXPECT(!private_mounts());
	EXPECT(!mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL));
	return open_fails(-EOPNOTSUPP, "BTF");
}

static int no_cgroup2_child(void *arg)
{
	char path[PATH_MAX];

	(void)arg;
	EXPECT(!private_mounts());
	while (cgroup2_mount(path))
		EXPECT(!umount2(path, MNT_DETACH));
	return open_fails(-EOPNOTSUPP, "cgroup v2");
}

START_TEST(missing_kernel_features)
{
	ck_assert_int_eq(in_child(no_btf_child, NULL), 0);
	ck_assert_int_eq(in_child(no_cgroup2_child, NULL), 0);
}
END_TEST

/* ---- main ------------------------------------------------------------------------------ */

static void places_make(void)
{
	struct place root;
	char name[32];

	snprintf(name, sizeof(name), "appmon-api-%d", (int)getpid());
	place_make(&root, mount_point, name);
	memcpy(base, root.path, sizeof(base));
	place_make(&a, base, "a");
	place_make(&b, base, "b");
	place_make(&outer, base, "outer");
	place_make(&inner, outer.path, "inner");
	place_serve(&a);
	place_serve(&b);
	place_serve(&inner);
}

static void places_remove(void)
{
	place_remove(&a);
	place_remove(&b);
	place_remove(&inner);
	place_remove(&outer);
	rmdir(base);
}

static int run_all(void)
{
	const TTest *const tests[] = {two_targets,
				      identity,
				      innermost_owns,
				      owner_changes,
				      detach_under_load,
				      inside_callback,
				      two_handles,
				      many_targets,
				      attach_detach_leaks_nothing,
				      cgroup_removed,
				      removal_is_told,
				      pull_mode,
				      next_needs_pull_mode,
				      foreign_loop,
				      bounded_dispatch,
				      callback_returns,
				      timeout_event,
				      wakeup_thread,
				      wakeup_signal,
				      wakeup_not_lost_by_next,
				      after_fork,
				      wrong_paths,
				      wrong_structs,
				      protocols,
				      limits,
				      ring_full,
				      loss_is_told,
				      loss_is_told_at_a_detach,
				      log_lines,
				      not_root,
				      capabilities,
				      capabilities_dropped,
				      missing_kernel_features};
	TCase *tcase = tcase_create("live");

	tcase_add_unchecked_fixture(tcase, places_make, places_remove);
	tcase_add_checked_fixture(tcase, NULL, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	return unit_run_case("api", tcase);
}

int main(int argc, char **argv)
{
	(void)argc;
	/* malloc's cache per thread would count as memory in use. */
	if (!getenv("GLIBC_TUNABLES")) {
		setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
		execv("/proc/self/exe", argv);
	}
	if (!can_run(mount_point))
		return SKIPPED;
	signal(SIGPIPE, SIG_IGN);
	return run_all();
}
