/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults and floods on the running kernel: what a host loses is counted to the last request, and
 * what it used is given back. Needs root; exits 77 where it cannot run.
 *
 *  APPMON_CONNECTIONS  opened and closed, default 50,000
 *  APPMON_LIVE         open at the same time, default 20,000
 */
#include <appmon/appmon.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "flood.h"
#include "../unit/unit.h"

#define PATIENCE_MS 20000
/* After the last event: more than the library's batching of 2 ms. */
#define QUIET_MS 100

static char mount_point[PATH_MAX], base[PATH_MAX];
static struct place a, b;
static const struct flood_counts *at_a, *at_b;

/* ---- the host ------------------------------------------------------------------ */

#define IDS (1 << 21)

struct seen {
	struct appmon *mon;
	unsigned long events, whole;
	unsigned int slow_us; /* in each callback */
	void (*hook)(struct seen *seen, const struct appmon_event *ev);
	uint8_t met[IDS / 8]; /* ids whose exchange was delivered whole */
};

/* Large, and one at a time. */
static struct seen seen;
static atomic_ulong next_id;

static int on_event(void *ctx, const struct appmon_event *ev)
{
	const struct appmon_str *id = appmon_event_header(ev, "x-id", 1);
	struct seen *s = ctx;
	unsigned long n = 0;

	s->events++;
	/* No request ever gets another one's answer. */
	if (ev->method && ev->status) {
		ck_assert_ptr_nonnull(id);
		ck_assert_str_eq(id->data, ev->path.data);
	}
	if (sscanf(ev->path.data, "/id/%lu", &n) == 1 && ev->end == APPMON_END_COMPLETE) {
		ck_assert_uint_lt(n, IDS);
		ck_assert_msg(!(s->met[n / 8] & 1 << n % 8), "id %lu came twice", n);
		s->met[n / 8] |= (uint8_t)(1 << n % 8);
		s->whole++;
	}
	if (s->slow_us)
		usleep(s->slow_us);
	if (s->hook)
		s->hook(s, ev);
	return 0;
}

static void open_host(struct appmon_opts *opts)
{
	static const char *const headers[] = {"x-id"};
	char text[512] = "";
	int err;

	memset(&seen, 0, sizeof(seen));
	next_id = 0;
	opts->size = sizeof(*opts);
	opts->event_fn = on_event;
	opts->event_ctx = &seen;
	opts->headers = headers;
	opts->header_count = 1;
	opts->error_text = text;
	opts->error_text_size = sizeof(text);
	err = appmon_open(&seen.mon, opts);
	ck_assert_msg(!err, "appmon_open: %d, %s", err, text);
}

static void close_host(void)
{
	ck_assert_int_eq(appmon_close(seen.mon), 0);
	seen.mon = NULL;
}

/* So that a test that fails leaves none behind for the next. */
static void teardown(void)
{
	if (seen.mon)
		appmon_close(seen.mon);
	seen.mon = NULL;
}

static uint32_t attach(const struct place *place)
{
	uint32_t target = 0;
	int err = appmon_attach_cgroup(seen.mon, place->path, NULL, &target);

	ck_assert_msg(!err, "%s: %s", place->path, appmon_last_error(seen.mon));
	return target;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void poll_quiet(void)
{
	unsigned long before;

	do {
		before = seen.events;
		ck_assert_int_ge(appmon_poll(seen.mon, QUIET_MS, 0), 0);
	} while (seen.events != before);
}

static struct appmon_stats stats_of(uint32_t target)
{
	struct appmon_stats s = {.size = sizeof(s)};

	ck_assert_int_eq(appmon_get_stats(seen.mon, target, &s), 0);
	return s;
}

static uint64_t dropped(const struct appmon_stats *s)
{
	uint64_t sum = 0;

	for (int i = 0; i < APPMON_DROP_MAX; i++)
		sum += s->dropped[i];
	return sum;
}

/* Until no exchange is under way. */
static void poll_settled(void)
{
	uint64_t until = now_ms() + PATIENCE_MS;

	do
		poll_quiet();
	while (stats_of(0).outstanding && now_ms() < until);
	ck_assert_uint_eq(stats_of(0).outstanding, 0);
}

/* What the server counted is what was seen, and every one of it is delivered or dropped. */
static void equals(uint32_t target, unsigned long served)
{
	struct appmon_stats s = stats_of(target);

	ck_assert_uint_eq(s.exchanges_seen, served);
	ck_assert_uint_eq(s.exchanges_seen, s.delivered + dropped(&s) + s.outstanding);
	ck_assert_uint_eq(s.records_bad, 0);
}

/* A request without an answer is told within a second or so. */
static void poll_seen(uint32_t target, unsigned long served)
{
	uint64_t until = now_ms() + 20000;

	do
		poll_quiet();
	while (stats_of(target).exchanges_seen < served && now_ms() < until);
}

static void get_id(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/id/%lu", (unsigned long)next_id++);
	ck_assert(flood_get(fd, path));
}

static unsigned long env_number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

/* ---- a ring that is full ----------------------------------------------------------- */

struct load {
	const struct place *place;
	unsigned int requests, per_connection;
	bool reset;
	atomic_bool done;
	pthread_t thread;
};

static void *load_run(void *arg)
{
	struct load *load = arg;
	int fd = -1;

	for (unsigned int i = 0; i < load->requests; i++) {
		char path[32];

		if (fd < 0)
			fd = flood_connect(load->place, i);
		snprintf(path, sizeof(path), "/id/%lu", (unsigned long)next_id++);
		/* Not ck_assert: this is no test's thread. The counts tell. */
		if (!flood_get(fd, path))
			abort();
		if ((i + 1) % load->per_connection)
			continue;
		if (load->reset)
			flood_reset(fd);
		else
			close(fd);
		fd = -1;
	}
	if (fd >= 0)
		close(fd);
	load->done = true;
	return NULL;
}

static void loads_run(struct load *loads, int n)
{
	for (int i = 0; i < n; i++)
		pthread_create(&loads[i].thread, NULL, load_run, &loads[i]);
	for (int i = 0; i < n; i++)
		while (!loads[i].done)
			ck_assert_int_ge(appmon_poll(seen.mon, 10, 0), 0);
	for (int i = 0; i < n; i++)
		pthread_join(loads[i].thread, NULL);
}

/* From a ring that takes three records to one that is full now and then. */
static const struct {
	uint32_t ring_bytes;
	unsigned int slow_us;
} ring_cases[] = {{4096, 1000}, {16384, 1000}, {65536, 200}};

/* A host that is slower than the traffic, and then is not. */
START_TEST(ring_full)
{
	/* A lost close leaves an exchange to its timeout. */
	struct appmon_opts opts = {.ring_bytes = ring_cases[_i].ring_bytes,
				   .exchange_timeout_ms = 500};
	unsigned long before_a = at_a->requests, before_b = at_b->requests, delivered;
	struct load loads[] = {
		{.place = &a, .requests = 3000, .per_connection = 1, .reset = true},
		{.place = &a, .requests = 3000, .per_connection = 3000},
		{.place = &a, .requests = 3000, .per_connection = 7},
		{.place = &b, .requests = 3000, .per_connection = 100},
		{.place = &b, .requests = 3000, .per_connection = 10, .reset = true}};
	struct appmon_stats s, after;
	int kept[20], n = sizeof(loads) / sizeof(loads[0]);
	uint32_t ta, tb;

	open_host(&opts);
	ta = attach(&a);
	tb = attach(&b);
	for (int i = 0; i < 20; i++) {
		kept[i] = flood_connect(i % 2 ? &a : &b, (unsigned long)i);
		get_id(kept[i]);
		poll_quiet();
	}
	ck_assert_uint_eq(seen.whole, 20);
	seen.slow_us = ring_cases[_i].slow_us;
	loads_run(loads, n);
	/* These lose some, too. */
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 20; i++)
			get_id(kept[i]);
	seen.slow_us = 0;
	poll_settled();
	equals(ta, at_a->requests - before_a);
	equals(tb, at_b->requests - before_b);
	equals(0, at_a->requests - before_a + at_b->requests - before_b);
	s = stats_of(ta);
	ck_assert_uint_gt(s.dropped[APPMON_DROP_RING_FULL], 0);
	s = stats_of(tb);
	ck_assert_uint_gt(s.dropped[APPMON_DROP_RING_FULL], 0);
	/* Whoever was answered is not a matter of memory or of the parser. */
	s = stats_of(0);
	ck_assert_uint_eq(s.delivered, seen.events);
	ck_assert_uint_eq(s.dropped[APPMON_DROP_RING_FULL] + s.dropped[APPMON_DROP_GAP],
			  dropped(&s));
	fprintf(stderr,
		"ring_full: %llu seen, %llu delivered, %lu whole, %llu ring_full, %llu gap\n",
		(unsigned long long)s.exchanges_seen, (unsigned long long)s.delivered, seen.whole,
		(unsigned long long)s.dropped[APPMON_DROP_RING_FULL],
		(unsigned long long)s.dropped[APPMON_DROP_GAP]);

	/* The host keeps up again: everything is whole, on the old connections and on new ones. */
	delivered = seen.whole;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 20; i++) {
			int fd = flood_connect(i % 2 ? &a : &b, (unsigned long)i);

			get_id(kept[i]);
			ck_assert_int_ge(appmon_poll(seen.mon, 0, 0), 0);
			get_id(fd);
			ck_assert_int_ge(appmon_poll(seen.mon, 0, 0), 0);
			flood_reset(fd);
		}
	}
	poll_quiet();
	after = stats_of(0);
	ck_assert_uint_eq(after.records_lost, s.records_lost);
	ck_assert_uint_eq(dropped(&after), dropped(&s));
	ck_assert_uint_eq(seen.whole, delivered + 800);
	equals(ta, at_a->requests - before_a);
	equals(tb, at_b->requests - before_b);
	for (int i = 0; i < 20; i++)
		close(kept[i]);
	close_host();
}
END_TEST

/* ---- callbacks that change the targets ------------------------------------------------- */

static unsigned int churns;

static void hook_churn(struct seen *s, const struct appmon_event *ev)
{
	bool at_target_a = !strcmp(ev->target_name.data, "a");

	(void)s;
	/* Its own away, the other one there: now and then its own once more. */
	ck_assert_int_eq(appmon_detach(seen.mon, ev->target_id), 0);
	if (++churns % 3)
		at_target_a = !at_target_a;
	attach(at_target_a ? &a : &b);
}

START_TEST(callback_churns)
{
	struct load loads[] = {{.place = &a, .requests = 2000, .per_connection = 10},
			       {.place = &b, .requests = 2000, .per_connection = 2000},
			       {.place = &a, .requests = 2000, .per_connection = 2000},
			       {.place = &b, .requests = 2000, .per_connection = 10}};
	struct appmon_opts opts = {0};
	struct appmon_stats s;

	churns = 0;
	open_host(&opts);
	attach(&a);
	seen.hook = hook_churn;
	loads_run(loads, 4);
	poll_settled();
	s = stats_of(0);
	ck_assert_uint_eq(s.exchanges_seen, s.delivered + dropped(&s));
	ck_assert_uint_eq(s.delivered, churns);
	ck_assert_uint_eq(s.dropped[APPMON_DROP_DETACHED], dropped(&s));
	ck_assert_uint_gt(churns, 10);
	close_host();
}
END_TEST

/* ---- a child that lives on ---------------------------------------------------------------- */

static unsigned int programs_on(const struct place *place)
{
	static const enum bpf_attach_type types[] = {
		BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS, BPF_CGROUP_INET_SOCK_RELEASE};
	int fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned int sum = 0;

	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < 3; i++) {
		__u32 ids[64], n = 64;

		ck_assert_int_eq(bpf_prog_query(fd, types[i], 0, NULL, ids, &n), 0);
		sum += n;
	}
	close(fd);
	return sum;
}

static pid_t sleeping_child(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* A child that neither runs another program nor closes its copy holds the descriptors, too. */
START_TEST(child_lives_on)
{
	struct appmon_opts opts = {0};
	unsigned int before = programs_on(&a);
	uint32_t target;
	pid_t pid, other;
	int fd;

	open_host(&opts);
	target = attach(&a);
	attach(&b);
	ck_assert_uint_eq(programs_on(&a), before + 3);
	fd = flood_connect(&a, 0);
	pid = sleeping_child();
	get_id(fd);
	/* Its end harms nothing. */
	other = sleeping_child();
	end_child(other);
	other = fork();
	if (!other)
		exit(0); /* NOLINT: with all that atexit() and the sanitizers do */
	ck_assert_int_eq(waitpid(other, NULL, 0), other);
	get_id(fd);
	poll_quiet();
	ck_assert_uint_eq(seen.whole, 2);
	ck_assert_int_eq(appmon_detach(seen.mon, target), 0);
	ck_assert_uint_eq(programs_on(&a), before);
	ck_assert_uint_eq(programs_on(&b), before + 3);
	close_host();
	ck_assert_uint_eq(programs_on(&b), before);
	end_child(pid);
	close(fd);
}
END_TEST

static int close_in_child(void)
{
	return appmon_close(seen.mon) != 0 || programs_on(&a) != 3;
}

/* The child's copy is not the parent's attachment. */
START_TEST(child_closes)
{
	struct appmon_opts opts = {0};
	int status = 1;
	pid_t pid;
	int fd;

	open_host(&opts);
	attach(&a);
	pid = fork();
	if (!pid)
		_exit(close_in_child());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(programs_on(&a), 3);
	fd = flood_connect(&a, 0);
	get_id(fd);
	poll_quiet();
	ck_assert_uint_eq(seen.whole, 1);
	close(fd);
	close_host();
}
END_TEST

/* ---- a cgroup that is made again --------------------------------------------------------- */

/* Listens in the cgroup, then leaves it: the directory can go while its sockets stay. */
static struct place leaver_home;
static int leave_fds[2];

static void leaver_goes(int signal)
{
	(void)signal;
	place_enter(&leaver_home);
	if (write(leave_fds[1], "", 1) != 1)
		_exit(1);
}

START_TEST(cgroup_made_again)
{
	struct appmon_opts opts = {0};
	struct place again, old;
	const struct flood_counts *counts;
	uint32_t first, second;
	int open_before, fd;
	char byte;

	place_make(&leaver_home, base, "leaver");
	place_make(&old, base, "again");
	again = old;
	ck_assert_int_eq(pipe2(leave_fds, O_CLOEXEC), 0);
	signal(SIGUSR1, leaver_goes);
	counts = flood_serve(&old, 1);
	signal(SIGUSR1, SIG_DFL);
	open_host(&opts);
	first = attach(&old);
	open_before = flood_connect(&old, 0);
	get_id(open_before);
	kill(old.server, SIGUSR1);
	ck_assert_int_eq(read(leave_fds[0], &byte, 1), 1);
	for (int i = 0; i < 1000 && rmdir(old.path) && errno == EBUSY; i++)
		usleep(1000);
	ck_assert_int_ne(access(old.path, F_OK), 0);

	/* Its sockets live, and those that come from its listener: they are the target's still. */
	get_id(open_before);
	fd = flood_connect(&old, 1);
	get_id(fd);
	close(fd);
	poll_quiet();
	ck_assert_uint_eq(seen.whole, 3);
	equals(first, counts->requests);

	/* A new one of the same name is another cgroup: nobody watches it yet. */
	place_make(&again, base, "again");
	flood_serve(&again, 1);
	fd = flood_connect(&again, 0);
	get_id(fd);
	poll_quiet();
	ck_assert_uint_eq(seen.whole, 3);
	second = attach(&again);
	ck_assert_uint_ne(second, first);
	get_id(fd);
	get_id(open_before);
	poll_quiet();
	ck_assert_uint_eq(seen.whole, 5);
	equals(first, 4);
	equals(second, 1);

	/* Detaching the dead one works, and hurts neither the other nor a third attach. */
	ck_assert_int_eq(appmon_detach(seen.mon, first), 0);
	get_id(open_before);
	get_id(fd);
	poll_quiet();
	ck_assert_uint_eq(seen.whole, 6);
	equals(second, 2);
	ck_assert_int_eq(appmon_detach(seen.mon, second), 0);
	second = attach(&again);
	get_id(fd);
	poll_quiet();
	equals(second, 1);
	equals(0, 7);
	close(fd);
	close(open_before);
	close_host();
	place_remove(&again);
	old.path[0] = '\0'; /* its directory is gone */
	place_remove(&old);
	place_remove(&leaver_home);
	close(leave_fds[0]);
	close(leave_fds[1]);
}
END_TEST

/* ---- what is given back -------------------------------------------------------------------- */

static unsigned long meminfo_kb(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long kb = 0;

	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			kb = strtoul(line + strlen(name) + 1, NULL, 10);
	fclose(f);
	return kb;
}

static unsigned long rss_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	ck_assert_int_eq(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

static void flood_of(unsigned long connections)
{
	struct load loads[] = {{.place = &a,
				.requests = (unsigned int)connections / 2,
				.per_connection = 1,
				.reset = true},
			       {.place = &a,
				.requests = (unsigned int)connections / 2,
				.per_connection = 1,
				.reset = true}};

	loads_run(loads, 2);
	poll_settled();
}

/* A leak of 32 bytes a connection would show, in this process or in the kernel. */
START_TEST(many_connections)
{
	struct appmon_opts opts = {.ring_bytes = 64 << 20};
	unsigned long n = env_number("APPMON_CONNECTIONS", 50000), before = at_a->requests;
	unsigned long rss, slab, rss_after = 0, slab_after = 0, allowed = 4096 + n * 32 / 1024;
	uint64_t held, began, until;
	struct appmon_stats s;
	uint32_t target;

	ck_assert_uint_lt(n + 5000, IDS);
	open_host(&opts);
	target = attach(&a);
	flood_of(5000);
	rss = rss_kb();
	slab = meminfo_kb("SUnreclaim");
	held = stats_of(0).memory_bytes;
	began = now_ms();
	flood_of(n);
	fprintf(stderr, "many_connections: %lu in %.1f s\n", n, (double)(now_ms() - began) / 1e3);
	/* The kernel frees sockets and their storage a while later. */
	until = now_ms() + PATIENCE_MS;
	do {
		usleep(100000);
		rss_after = rss_kb();
		slab_after = meminfo_kb("SUnreclaim");
	} while (slab_after > slab + allowed && now_ms() < until);
	s = stats_of(0);
	fprintf(stderr,
		"many_connections: RSS %lu -> %lu KiB, SUnreclaim %lu -> %lu KiB, pool %llu -> "
		"%llu "
		"bytes\n",
		rss, rss_after, slab, slab_after, (unsigned long long)held,
		(unsigned long long)s.memory_bytes);
	equals(target, at_a->requests - before);
	ck_assert_uint_eq(s.connections_open, 0);
	ck_assert_uint_eq(s.connections_seen, n + 5000);
	ck_assert_uint_eq(s.delivered, seen.events);
	/* The ring's pages and the pool stay. */
	ck_assert_uint_le(rss_after,
			  rss + 4096 + (s.memory_bytes > held ? s.memory_bytes - held : 0) / 1024);
	ck_assert_uint_le(slab_after, slab + allowed);
	close_host();
}
END_TEST

enum { LINK, PROG, MAP, KINDS };

/* The kernel's objects that this process holds, and its descriptors. */
struct held {
	uint32_t id[4096];
	uint8_t kind[4096];
	int count, fds;
};

static void look_held(struct held *held)
{
	static const char *const key[KINDS] = {"link_id:", "prog_id:", "map_id:"};
	DIR *dir = opendir("/proc/self/fdinfo");
	struct dirent *entry;

	held->count = held->fds = 0;
	while ((entry = readdir(dir))) {
		char path[64], line[256];
		bool found = false; /* what it is; a link's program stands there, too */
		FILE *f;

		held->fds++;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%.16s", entry->d_name);
		f = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f && !found && fgets(line, sizeof(line), f)) {
			for (int kind = 0; kind < KINDS; kind++) {
				size_t n = strlen(key[kind]);

				if (strncmp(line, key[kind], n) || held->count == 4096)
					continue;
				held->kind[held->count] = (uint8_t)kind;
				held->id[held->count++] = (uint32_t)strtoul(line + n, NULL, 10);
				found = true;
				break;
			}
		}
		if (f)
			fclose(f);
	}
	closedir(dir);
}

static bool exists(int kind, uint32_t id)
{
	int fd = kind == LINK	? bpf_link_get_fd_by_id(id)
		 : kind == PROG ? bpf_prog_get_fd_by_id(id)
				: bpf_map_get_fd_by_id(id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* How many of the kernel's objects are still there, a moment later at the latest. */
static int left(const struct held *held, int only_kind)
{
	uint64_t until = now_ms() + PATIENCE_MS;
	int n;

	do {
		n = 0;
		for (int i = 0; i < held->count; i++)
			if (only_kind == KINDS || held->kind[i] == only_kind)
				n += exists(held->kind[i], held->id[i]);
		if (n)
			usleep(10000);
	} while (n && now_ms() < until);
	return n;
}

#define TARGETS 200
#define ROUNDS 5

START_TEST(many_targets)
{
	static struct place places[TARGETS];
	static struct held held, with, now;
	struct appmon_opts opts = {0};
	unsigned long rss = 0, slab = 0, rss_after, slab_after;
	uint64_t pool = 0;
	uint32_t ids[TARGETS];
	int fd;

	for (int i = 0; i < TARGETS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "t%d", i);
		place_make(&places[i], base, name);
	}
	open_host(&opts);
	fd = flood_connect(&a, 0);
	look_held(&held);
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t ta = attach(&a);

		for (int i = 0; i < TARGETS; i++)
			ids[i] = attach(&places[i]);
		get_id(fd);
		poll_quiet();
		equals(ta, 1);
		look_held(&with);
		ck_assert_int_eq(with.count, held.count + 3 * (TARGETS + 1));
		for (int i = 0; i < TARGETS; i++)
			ck_assert_int_eq(appmon_detach(seen.mon, ids[i]), 0);
		ck_assert_int_eq(appmon_detach(seen.mon, ta), 0);
		look_held(&now);
		ck_assert_int_eq(now.fds, held.fds);
		ck_assert_int_eq(now.count, held.count);
		for (int i = 0; i < TARGETS; i++)
			ck_assert_uint_eq(programs_on(&places[i]), 0);
		/* All links are gone; held has none but the sweep's. */
		for (int i = 0; i < with.count; i++)
			for (int k = 0; k < held.count; k++)
				if (held.kind[k] == with.kind[i] && held.id[k] == with.id[i])
					with.kind[i] = KINDS; /* stays */
		ck_assert_int_eq(left(&with, LINK), 0);
		if (round == 1) {
			rss = rss_kb();
			slab = meminfo_kb("SUnreclaim");
			pool = stats_of(0).memory_bytes;
		}
	}
	rss_after = rss_kb();
	slab_after = meminfo_kb("SUnreclaim");
	fprintf(stderr, "many_targets: RSS %lu -> %lu KiB, SUnreclaim %lu -> %lu KiB\n", rss,
		rss_after, slab, slab_after);
	ck_assert_uint_le(rss_after, rss + 64);
	ck_assert_uint_le(slab_after, slab + 4096);
	ck_assert_uint_eq(stats_of(0).memory_bytes, pool);
	close_host();
	/* With the handle everything goes: programs, maps, the sweep's link. */
	ck_assert_int_eq(left(&held, KINDS), 0);
	close(fd);
	for (int i = 0; i < TARGETS; i++)
		place_remove(&places[i]);
}
END_TEST

/* ---- the bound on memory --------------------------------------------------------------------- */

#define LIMIT (8 << 20)

static unsigned long live(void)
{
	return env_number("APPMON_LIVE", 20000);
}

/* So that each of them has descriptors to spare. */
static unsigned int processes_for(unsigned long connections)
{
	return 1 + (unsigned int)(connections / (flood_limit() - 500));
}

/* One of the processes that hold the clients' ends. What it does next is one byte from the test. */
struct crowd {
	unsigned long from, to;
	pid_t pid;
	int order[2], done[2];
};

/* Every other one waits for an answer, the rest have had theirs. */
static bool crowd_member(unsigned long i, int *fd, char order)
{
	char path[32];

	switch (order) {
	case 'o':
		*fd = flood_connect(&a, i);
		snprintf(path, sizeof(path), "/id/%lu", i);
		if (*fd < 0)
			return false;
		return i % 2 ? flood_send(*fd, "/hang") : flood_get(*fd, path);
	case 'a': /* the idle ones again */
		snprintf(path, sizeof(path), "/id/%lu", live() + i);
		return i % 2 || flood_get(*fd, path);
	default:
		if (i % 4 < 2)
			flood_reset(*fd);
		else
			close(*fd);
		return true;
	}
}

static void crowd_run(struct crowd *crowd)
{
	int *fd = calloc(crowd->to - crowd->from, sizeof(*fd));
	char order;

	while (read(crowd->order[0], &order, 1) == 1) {
		for (unsigned long i = crowd->from; i < crowd->to; i++)
			if (!crowd_member(i, &fd[i - crowd->from], order)) {
				fprintf(stderr, "connection %lu: %s\n", i, strerror(errno));
				_exit(1);
			}
		if (write(crowd->done[1], &order, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void crowd_start(struct crowd *crowd, unsigned long from, unsigned long to)
{
	crowd->from = from;
	crowd->to = to;
	ck_assert_int_eq(pipe2(crowd->order, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(crowd->done, O_CLOEXEC | O_NONBLOCK), 0);
	crowd->pid = fork();
	ck_assert_int_ge(crowd->pid, 0);
	if (!crowd->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(crowd->order[1]);
		close(crowd->done[0]);
		crowd_run(crowd);
	}
	close(crowd->order[0]);
	close(crowd->done[1]);
}

static void check_bound(void)
{
	struct appmon_stats s;

	ck_assert_int_ge(appmon_poll(seen.mon, 1, 0), 0);
	s = stats_of(0);
	ck_assert_uint_le(s.memory_bytes, LIMIT);
	ck_assert_uint_eq(s.memory_limit, LIMIT);
}

static void crowds_do(struct crowd *crowds, unsigned int n, char order)
{
	for (unsigned int i = 0; i < n; i++)
		ck_assert_int_eq(write(crowds[i].order[1], &order, 1), 1);
	for (unsigned int i = 0; i < n; i++) {
		ssize_t got;
		char byte;

		while ((got = read(crowds[i].done[0], &byte, 1)) < 0)
			check_bound();
		ck_assert_int_eq(got, 1);
	}
}

static void show(const char *what, uint64_t began)
{
	struct appmon_stats s = stats_of(0);

	fprintf(stderr,
		"memory_bound, %s after %.1f s: %llu seen, %llu delivered, %llu outstanding, %llu "
		"memory, %llu gap, %llu connections open, %llu of %llu bytes\n",
		what, (double)(now_ms() - began) / 1e3, (unsigned long long)s.exchanges_seen,
		(unsigned long long)s.delivered, (unsigned long long)s.outstanding,
		(unsigned long long)s.dropped[APPMON_DROP_MEMORY],
		(unsigned long long)s.dropped[APPMON_DROP_GAP],
		(unsigned long long)s.connections_open, (unsigned long long)s.memory_bytes,
		(unsigned long long)s.memory_limit);
}

/* More connections than there is memory for, each with an exchange in flight or idle after one. */
START_TEST(memory_bound)
{
	struct appmon_opts opts = {.memory_limit = LIMIT, .ring_bytes = 64 << 20};
	unsigned long n = live(), before = at_a->requests, whole;
	unsigned int m = processes_for(n);
	struct crowd *crowds = calloc(m, sizeof(*crowds));
	struct appmon_stats s, after;
	uint64_t began = now_ms();
	uint32_t target;

	ck_assert_uint_lt(3 * n, IDS);
	for (unsigned int i = 0; i < m; i++)
		crowd_start(&crowds[i], n * i / m, n * (i + 1) / m);
	open_host(&opts);
	next_id = 2 * n;
	target = attach(&a);
	crowds_do(crowds, m, 'o');
	while (at_a->requests - before < n)
		usleep(1000);
	poll_seen(target, n);
	check_bound();
	show("open", began);
	equals(target, n);
	s = stats_of(target);
	ck_assert_uint_gt(s.dropped[APPMON_DROP_MEMORY], 0);
	ck_assert_uint_gt(s.outstanding, 0);
	ck_assert_uint_eq(s.dropped[APPMON_DROP_MEMORY], dropped(&s));
	/* A second exchange on the idle ones: what has no place is counted again. */
	crowds_do(crowds, m, 'a');
	poll_seen(target, n + (n + 1) / 2);
	show("again", began);
	equals(target, n + (n + 1) / 2);

	crowds_do(crowds, m, 'c');
	poll_settled();
	show("closed", began);
	equals(target, n + (n + 1) / 2);
	s = stats_of(target);
	ck_assert_uint_eq(s.connections_open, 0);
	/* There is room again, and everything is delivered. */
	whole = seen.whole;
	for (int i = 0; i < 1000; i++) {
		int fd = flood_connect(&a, (unsigned long)i);

		get_id(fd);
		get_id(fd);
		flood_reset(fd);
		check_bound();
	}
	poll_settled();
	after = stats_of(target);
	ck_assert_uint_eq(seen.whole, whole + 2000);
	ck_assert_uint_eq(dropped(&after), dropped(&s));
	equals(target, n + (n + 1) / 2 + 2000);
	close_host();
	for (unsigned int i = 0; i < m; i++) {
		close(crowds[i].order[1]);
		close(crowds[i].done[0]);
		end_child(crowds[i].pid);
	}
	free(crowds);
}
END_TEST

/* ---- main ------------------------------------------------------------------------------ */

static void places_make(void)
{
	struct place root;
	char name[32];

	snprintf(name, sizeof(name), "appmon-faults-%d", (int)getpid());
	place_make(&root, mount_point, name);
	memcpy(base, root.path, sizeof(base));
	place_make(&a, base, "a");
	place_make(&b, base, "b");
	at_a = flood_serve(&a, processes_for(live()));
	at_b = flood_serve(&b, 1);
}

static void places_remove(void)
{
	place_remove(&a);
	place_remove(&b);
	rmdir(base);
}

int main(void)
{
	const TTest *const tests[] = {callback_churns,	 child_lives_on,   child_closes,
				      cgroup_made_again, many_connections, many_targets,
				      memory_bound};
	TCase *tcase = tcase_create("live");

	if (!can_run(mount_point))
		return SKIPPED;
	signal(SIGPIPE, SIG_IGN);
	tcase_add_unchecked_fixture(tcase, places_make, places_remove);
	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_loop_test(tcase, ring_full, 0, sizeof(ring_cases) / sizeof(ring_cases[0]));
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	return unit_run_case("faults", tcase);
}
