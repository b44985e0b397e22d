/* SPDX-License-Identifier: BSD-2-Clause */
/* Executables and cgroup paths: what /proc says, kept beyond its end. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/host.h"
#include "unit.h"

static struct appmon mon;
static uint32_t alive = 1;

static void setup(void)
{
	memset(&mon, 0, sizeof(mon));
	mon.alive = &alive;
	mon.pl.pool.limit = 1 << 20;
	lookups_init(&mon.lookups);
}

static void teardown(void)
{
	lookups_free(&mon);
	pool_destroy(&mon.pl.pool);
	ck_assert_uint_eq(mon.pl.pool.held, 0);
}

/* Field 22 of /proc/PID/stat, as a CLOCK_BOOTTIME of that tick. */
static uint64_t start_of(pid_t pid)
{
	char path[64], comm[64];
	unsigned long long ticks = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	/* None of ours has a parenthesis in its name. */
	ck_assert_int_eq(fscanf(f,
				"%*d (%63[^)]) %*c %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d "
				"%*d %*d %*d %*d %*d %*d %*d %llu",
				comm, &ticks),
			 2);
	fclose(f);
	return ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK)) + 5;
}

static struct appmon_process unset(void)
{
	return (struct appmon_process){.size = sizeof(struct appmon_process)};
}

START_TEST(own)
{
	uint64_t start_ns = start_of(getpid());
	struct appmon_process process = unset();
	char exe[PATH_MAX] = "";
	struct stat st;

	ck_assert_int_gt(readlink("/proc/self/exe", exe, sizeof(exe) - 1), 0);
	ck_assert_int_eq(stat(exe, &st), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(appmon_find_process(&mon, (uint32_t)getpid(), start_ns, &process),
				 0);
		ck_assert_str_eq(process.exe.data, exe);
		ck_assert_uint_eq(process.exe.len, strlen(exe));
		ck_assert_uint_eq(process.exe_inode, st.st_ino);
		ck_assert_uint_eq(process.exe_device, st.st_dev);
		ck_assert_uint_eq(process.pid, (uint32_t)getpid());
		ck_assert_uint_eq(process.start_ns, start_ns);
	}
}
END_TEST

START_TEST(survives)
{
	struct appmon_process process = unset();
	pid_t pid = fork(), never;
	uint64_t start_ns;

	if (!pid) {
		pause();
		_exit(0);
	}
	start_ns = start_of(pid);
	ck_assert_int_eq(appmon_find_process(&mon, (uint32_t)pid, start_ns, &process), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* Not fresh any more: it is looked for, and gone. */
	list_entry(mon.lookups.processes.next, struct kept, link)->checked_ns = 0;
	process = unset();
	ck_assert_int_eq(appmon_find_process(&mon, (uint32_t)pid, start_ns, &process), 0);
	ck_assert_uint_gt(process.exe.len, 0);

	never = fork();
	if (!never)
		_exit(0);
	waitpid(never, NULL, 0);
	process = unset();
	process.exe_inode = 4711;
	ck_assert_int_eq(appmon_find_process(&mon, (uint32_t)never, start_ns, &process), -ESRCH);
	ck_assert_uint_eq(process.exe_inode, 4711);
}
END_TEST

/* The same number, another process. */
START_TEST(used_again)
{
	uint64_t start_ns = start_of(getpid()), tick_ns = 2 * NSEC_PER_SEC;
	struct appmon_process process = unset();

	ck_assert_int_eq(
		appmon_find_process(&mon, (uint32_t)getpid(), start_ns - tick_ns, &process),
		-ESRCH);
	ck_assert_int_eq(
		appmon_find_process(&mon, (uint32_t)getpid(), start_ns + tick_ns, &process),
		-ESRCH);
	ck_assert_int_eq(appmon_find_process(&mon, 0, start_ns, &process), -ESRCH);
}
END_TEST

START_TEST(cgroup)
{
	char point[PATH_MAX] = "", line[PATH_MAX + 64], group[PATH_MAX] = "", dir[2 * PATH_MAX];
	FILE *f = fopen("/proc/self/mountinfo", "r");
	struct appmon_str path = {.data = "untouched"};
	struct stat st;

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 "))
			sscanf(line, "%*s %*s %*s / %4095s", point);
	fclose(f);
	f = fopen("/proc/self/cgroup", "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3))
			sscanf(line, "0::%4095s", group);
	fclose(f);
	ck_assert_int_eq(appmon_find_cgroup(&mon, 1ULL << 60, &path), -ENOENT);
	ck_assert_int_eq(appmon_find_cgroup(&mon, 0, &path), -ENOENT);
	ck_assert_str_eq(path.data, "untouched");
	snprintf(dir, sizeof(dir), "%s%s", point, group);
	if (!*point || stat(dir, &st))
		return; /* no cgroup v2 here, or not ours */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(appmon_find_cgroup(&mon, st.st_ino, &path), 0);
		ck_assert_str_eq(path.data, group);
		ck_assert_uint_eq(path.len, strlen(group));
	}
	if (geteuid() || (strlen(group) > 1 && dir[strlen(dir) - 1] == '/'))
		return;
	/* One that is removed. */
	strcat(dir, strcmp(group, "/") ? "/appmon-lookup" : "appmon-lookup");
	if (mkdir(dir, 0755) || stat(dir, &st))
		return;
	ck_assert_int_eq(appmon_find_cgroup(&mon, st.st_ino, &path), 0);
	ck_assert_str_eq(path.data, dir + strlen(point));
	rmdir(dir);
	list_entry(mon.lookups.cgroups.next, struct kept, link)->checked_ns = 0;
	ck_assert_int_eq(appmon_find_cgroup(&mon, st.st_ino, &path), 0);
	ck_assert_str_eq(path.data, dir + strlen(point));
}
END_TEST

/* Bounded, and the last asked for stays. */
START_TEST(bounded)
{
	uint64_t start_ns = start_of(getpid());
	struct appmon_process process = unset();
	struct appmon_str path;
	uint32_t count = 0;

	mon.pl.pool.limit = 0;
	ck_assert_int_eq(appmon_find_cgroup(&mon, 1ULL << 61, &path), -ENOMEM);
	ck_assert_int_eq(appmon_find_process(&mon, (uint32_t)getpid(), start_ns, &process),
			 -ENOMEM);
	mon.pl.pool.limit = 1 << 20;
	ck_assert_int_eq(appmon_find_process(&mon, (uint32_t)getpid(), start_ns, &process), 0);
	for (uint64_t id = 1; id <= 1500; id++)
		appmon_find_cgroup(&mon, (1ULL << 60) + id, &path);
	for (struct list_node *n = mon.lookups.cgroups.next; n != &mon.lookups.cgroups; n = n->next)
		count++;
	ck_assert_uint_eq(count, 1024);
	ck_assert_int_eq(appmon_find_process(&mon, (uint32_t)getpid(), start_ns, &process), 0);
}
END_TEST

START_TEST(wrong_use)
{
	struct appmon_process process = {.size = 0};
	uint64_t start_ns = start_of(getpid());
	struct appmon_str path;

	ck_assert_int_eq(appmon_find_process(NULL, 1, 1, &process), -EINVAL);
	ck_assert_int_eq(appmon_find_process(&mon, 1, 1, NULL), -EINVAL);
	ck_assert_int_eq(appmon_find_process(&mon, (uint32_t)getpid(), start_ns, &process),
			 -EINVAL);
	ck_assert_int_eq(appmon_find_cgroup(NULL, 1, &path), -EINVAL);
	ck_assert_int_eq(appmon_find_cgroup(&mon, 1, NULL), -EINVAL);
	alive = 0;
	ck_assert_int_eq(appmon_find_cgroup(&mon, 1, &path), -ECHILD);
	alive = 1;
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {own, survives, used_again, cgroup, bounded, wrong_use, NULL};

	return unit_run("lookup", tests, setup, teardown);
}
