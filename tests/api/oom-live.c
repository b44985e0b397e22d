/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The n-th allocation fails, for every n, in whatever a host does on the running kernel: open,
 * attach, record, poll, stats, detach, replay, pull. A call then fails cleanly or a loss is
 * counted; nothing crashes and no descriptor or memory stays. malloc() and its kin are this
 * program's own, so that the allocations of libbpf, libelf and libc fail as well. Needs root; exits
 * 77 where it cannot run.
 *
 *  APPMON_OOM_STEP  every so many-th allocation of appmon_open(), default 8; later ones always
 */
#include <appmon/appmon.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "traffic.h"
#include "../unit/failing.h"
#include "../unit/unit.h"

static char mount_point[PATH_MAX];

/* ---- allocations that fail ------------------------------------------------------ */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *ptr, size_t size)
{
	return fails() ? NULL : __libc_realloc(ptr, size);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (fails())
		return MAP_FAILED;
	/* NOLINTNEXTLINE: the system call returns an address */
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}

/* The value of a call of the library during which allocations may fail. */
#define ARMED(call)                                                                                \
	({                                                                                         \
		__typeof__(call) ret_;                                                             \
		armed = true;                                                                      \
		ret_ = (call);                                                                     \
		armed = false;                                                                     \
		ret_;                                                                              \
	})

/* ---- one run, in a child: libbpf keeps what it found out about the kernel --------------- */

#define REQUESTS 12

static struct place a, b;
static char base[PATH_MAX];

struct run {
	struct appmon *mon;
	unsigned int events;
	int failed;	       /* calls */
	unsigned long opening; /* allocations of appmon_open() */
};

/* What a child says of itself. */
struct report {
	unsigned long opening, all;
	size_t kept; /* bytes of the heap that were in use at the end and not before */
};

#define EXPECT(expr)                                                                               \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int on_event(void *ctx, const struct appmon_event *ev)
{
	struct run *run = ctx;

	(void)ev;
	run->events++;
	return 0;
}

static int fds_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* A failure says why. */
static int clean(struct run *run, int err)
{
	if (err >= 0)
		return 0;
	run->failed++;
	if (err != -ENOMEM)
		fprintf(stderr, "allocation %lu: error %d, %s\n", fail_at, err,
			appmon_last_error(run->mon));
	EXPECT(err == -ENOMEM);
	EXPECT(*appmon_last_error(run->mon));
	return 0;
}

static int adds_up(struct run *run, uint32_t target, uint64_t seen)
{
	struct appmon_stats s = {.size = sizeof(s)}, again = {.size = sizeof(again)};
	uint64_t sum = 0;
	int err;

	EXPECT(!appmon_get_stats(run->mon, target, &s));
	for (int i = 0; i < APPMON_DROP_MAX; i++)
		sum += s.dropped[i];
	if (s.exchanges_seen != seen)
		fprintf(stderr, "allocation %lu: target %u: %llu seen of %llu\n", fail_at, target,
			(unsigned long long)s.exchanges_seen, (unsigned long long)seen);
	EXPECT(s.exchanges_seen == seen);
	EXPECT(s.delivered + s.outstanding + sum == s.exchanges_seen);
	/* Never wrong counters: right ones or none. */
	err = ARMED(appmon_get_stats(run->mon, target, &again));
	EXPECT(!clean(run, err));
	EXPECT(err || !memcmp(&s, &again, sizeof(s)));
	return 0;
}

static int poll_all(struct run *run)
{
	for (int idle = 0; idle < 2;) {
		int r = ARMED(appmon_poll(run->mon, 10, 0));

		if (r < 0) {
			EXPECT(!clean(run, r));
			break;
		}
		idle = r ? 0 : idle + 1;
	}
	return 0;
}

static void send_requests(const struct place *place)
{
	client_burst(place, "/some/path?x=1", REQUESTS / 2);
	client_burst(place, "/some/path?x=1", REQUESTS / 2);
}

static int watch(struct run *run, int recording)
{
	const char *headers[] = {"x-one", "x-two"};
	char text[512] = "";
	/* So small that the kernel has to count, too. */
	struct appmon_opts opts = {.size = sizeof(opts),
				   .event_fn = on_event,
				   .event_ctx = run,
				   .ring_bytes = 4096,
				   .headers = headers,
				   .header_count = 2,
				   .error_text = text,
				   .error_text_size = sizeof(text)};
	static const struct appmon_port_hint port = {80, APPMON_PROTO_HTTP1};
	struct appmon_attach_opts named = {
		.size = sizeof(named), .name = "bee", .ports = &port, .port_count = 1};
	struct appmon *const poison = (struct appmon *)0x5a5a;
	uint32_t ta = 0, tb = 0;
	uint64_t seen = 0;
	int err, fd;

	run->mon = poison;
	err = ARMED(appmon_open(&run->mon, &opts));
	run->opening = count;
	if (err) {
		EXPECT(run->mon == poison);
		EXPECT(*text || fail_at == 1); /* without a handle there is no place to say it */
		/* libbpf takes a failure while it asks what the kernel can do for a no. */
		EXPECT(err == -ENOMEM || (err == -EOPNOTSUPP && !for_ever));
		run->failed++;
		return 0;
	}
	err = ARMED(appmon_record(run->mon, recording));
	EXPECT(!clean(run, err));
	err = ARMED(appmon_attach_cgroup(run->mon, a.path, NULL, &ta));
	EXPECT(!clean(run, err));
	EXPECT(!err == !!ta);
	fd = open(b.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = ARMED(appmon_attach_cgroup_fd(run->mon, fd, &named, &tb));
	close(fd);
	EXPECT(!clean(run, err));
	EXPECT(!err == !!tb);
	for (int round = 0; round < 2; round++) {
		send_requests(&a);
		send_requests(&b);
		seen += REQUESTS;
		EXPECT(!poll_all(run));
		if (ta)
			EXPECT(!adds_up(run, ta, seen));
		if (tb)
			EXPECT(!adds_up(run, tb, seen));
		EXPECT(!adds_up(run, 0, (!!ta + !!tb) * seen));
	}
	if (ta) {
		EXPECT(ARMED(appmon_detach(run->mon, ta)) == 0);
		EXPECT(!adds_up(run, 0, (!!ta + !!tb) * seen));
	}
	/* What failed works when there is memory again. */
	EXPECT(!appmon_attach_cgroup(run->mon, a.path, NULL, &ta));
	send_requests(&a);
	EXPECT(!poll_all(run));
	EXPECT(!adds_up(run, ta, REQUESTS));
	EXPECT(ARMED(appmon_close(run->mon)) == 0);
	return 0;
}

static int replay(struct run *run, int recording)
{
	struct appmon_opts opts = {.size = sizeof(opts)};
	const struct appmon_event *ev;
	int r;

	EXPECT(lseek(recording, 0, SEEK_SET) == 0);
	run->mon = NULL;
	r = ARMED(appmon_open_replay(&run->mon, recording, &opts));
	if (r) {
		/* What stopped the recording was the same failure. */
		EXPECT(r == -ENOMEM || (r == -EPROTO && run->failed));
		return 0;
	}
	while ((r = ARMED(appmon_next(run->mon, &ev))) >= 0)
		if (!r)
			ARMED(appmon_poll(run->mon, 0, 0));
	EXPECT(r == -ENODATA || r == -ENOMEM);
	EXPECT(ARMED(appmon_close(run->mon)) == 0);
	return 0;
}

static int run_once(struct report *report)
{
	struct run run = {0};
	FILE *file = tmpfile();
	int fds = fds_open();
	size_t heap;

	EXPECT(file);
	setbuf(stderr, NULL);
	heap = mallinfo2().uordblks;
	EXPECT(!watch(&run, fileno(file)));
	EXPECT(!replay(&run, fileno(file)));
	EXPECT(fds_open() == fds);
	report->opening = run.opening;
	report->all = count;
	report->kept = mallinfo2().uordblks - heap;
	fclose(file);
	return 0;
}

/* False: something was wrong. */
static bool run_in_child(unsigned long at, bool all_after, struct report *report)
{
	int fds[2], status = 0;
	bool good;
	pid_t pid;

	memset(report, 0, sizeof(*report));
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		fail_at = at;
		for_ever = all_after;
		close(fds[0]);
		if (run_once(report))
			_exit(1);
		_exit(write(fds[1], report, sizeof(*report)) != sizeof(*report));
	}
	close(fds[1]);
	good = read(fds[0], report, sizeof(*report)) == sizeof(*report);
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (!good)
		fprintf(stderr, "allocation %lu%s: %s %d\n", at, all_after ? " and all later" : "",
			WIFSIGNALED(status) ? "signal" : "exit",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return good;
}

static unsigned long env_number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

/* With these, libc and libbpf keep in all cases what they keep in a run without failures. */
#define KEPT_MORE 512

static void every(bool all_after)
{
	unsigned long step = env_number("APPMON_OOM_STEP", 8), bad = 0;
	struct report whole, r;

	ck_assert(run_in_child(0, false, &whole));
	fprintf(stderr, "%lu allocations, %lu of them to open; %zu bytes kept\n", whole.all,
		whole.opening, whole.kept);
	ck_assert_uint_gt(whole.opening, 100);
	ck_assert_uint_gt(whole.all, whole.opening + 20);
	/* Others in each run. */
	for (unsigned long at = 1 + (unsigned long)getpid() % step; at <= whole.all;
	     at += at < whole.opening ? step : 1) {
		if (!run_in_child(at, all_after, &r)) {
			bad++;
		} else if ((long)r.kept > (long)whole.kept + KEPT_MORE) {
			fprintf(stderr, "allocation %lu: %zu bytes kept\n", at, r.kept);
			bad++;
		}
	}
	ck_assert_uint_eq(bad, 0);
}

START_TEST(each_allocation_fails)
{
	every(false);
}
END_TEST

START_TEST(memory_runs_out)
{
	every(true);
}
END_TEST

static void places_make(void)
{
	struct place root;
	char name[32];

	snprintf(name, sizeof(name), "appmon-oom-%d", (int)getpid());
	place_make(&root, mount_point, name);
	memcpy(base, root.path, sizeof(base));
	place_make(&a, base, "a");
	place_make(&b, base, "b");
	place_serve(&a);
	place_serve(&b);
}

static void places_remove(void)
{
	place_remove(&a);
	place_remove(&b);
	rmdir(base);
}

int main(int argc, char **argv)
{
	TCase *tcase = tcase_create("live");

	(void)argc;
	/* malloc's cache per thread would count as memory in use. */
	if (!getenv("GLIBC_TUNABLES")) {
		setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
		execv("/proc/self/exe", argv);
	}
#ifdef __SANITIZE_ADDRESS__
	fputs("skipped: the sanitizer has a malloc() of its own\n", stderr);
	return SKIPPED;
#endif
	libbpf_set_print(NULL); /* it complains a lot */
	if (!can_run(mount_point))
		return SKIPPED;
	signal(SIGPIPE, SIG_IGN);
	tcase_add_unchecked_fixture(tcase, places_make, places_remove);
	tcase_add_test(tcase, each_allocation_fails);
	tcase_add_test(tcase, memory_runs_out);
	return unit_run_case("oom", tcase);
}
