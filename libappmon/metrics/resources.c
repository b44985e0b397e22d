/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a cgroup uses, from its files. On a hybrid system the controllers belong to version 1
 * hierarchies; there the one of the same processes is used, at the same path or where
 * /proc/PID/cgroup of one of them has it.
 */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "metrics/aggregate.h"

#define NSEC_PER_USEC UINT64_C(1000)
/* "No limit" in version 1: the greatest number of whole pages. */
#define NO_LIMIT_V1 (UINT64_C(1) << 62)

/* ---- files ----------------------------------------------------------------------------------- */

static FILE *open_in(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return NULL;
	return fopen(path, "re");
}

/* A file of one number; "max": UINT64_MAX. */
static bool read_number(const char *dir, const char *name, uint64_t *ret)
{
	FILE *file = open_in(dir, name);
	char word[32];
	bool good;

	if (!file)
		return false;
	good = fscanf(file, "%31s", word) == 1;
	fclose(file);
	if (!good)
		return false;
	*ret = strcmp(word, "max") == 0 ? UINT64_MAX : strtoull(word, NULL, 10);
	return true;
}

/* A file of "key number" lines: the value of one. */
static bool read_key(const char *dir, const char *name, const char *key, uint64_t *ret)
{
	FILE *file = open_in(dir, name);
	unsigned long long value;
	bool found = false;
	char word[64];

	if (!file)
		return false;
	while (!found && fscanf(file, "%63s %llu", word, &value) == 2)
		found = strcmp(word, key) == 0;
	fclose(file);
	if (found)
		*ret = value;
	return found;
}

/* ---- mounts ---------------------------------------------------------------------------------- */

static bool in_list(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (;; list++) {
		size_t n = strcspn(list, ",\n");

		if (n == len && memcmp(list, word, n) == 0)
			return true;
		list += n;
		if (*list != ',')
			return false;
	}
}

/*
 * Where the whole hierarchy of a version 1 controller is mounted. *ret_ups: so far below its top
 * this process's cgroup namespace begins.
 */
static bool find_mount(const char *controller, char point[PATH_MAX], unsigned *ret_ups)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, root[PATH_MAX];
	bool found = false;
	size_t size = 0;

	if (!file)
		return false;
	while (!found && getline(&line, &size, file) >= 0) {
		const char *type = strstr(line, " - cgroup ");
		const char *options = type ? strrchr(type, ' ') : NULL;

		/* Three fields, the root and the mount point. */
		found = options && in_list(options + 1, controller) &&
			sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) == 2;
		if (!found)
			continue;
		mountinfo_unescape(point);
		*ret_ups = cgroup_ups(root);
		found = cgroup_is_top(point, CGROUP_SUPER_MAGIC);
	}
	free(line);
	fclose(file);
	return found;
}

/* ---- the same cgroup in a version 1 hierarchy ------------------------------------------------ */

static int by_pid(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

/* The processes of a cgroup, without those below it, sorted; the caller frees them. */
static bool read_pids(const char *dir, int **ret, size_t *ret_count)
{
	FILE *file = open_in(dir, "cgroup.procs");
	size_t count = 0, room = 0;
	int *pids = NULL, pid;
	bool good = file;

	while (good && fscanf(file, "%d", &pid) == 1) {
		if (count == room) {
			int *more = reallocarray(pids, room ? 2 * room : 64, sizeof(*pids));

			good = more;
			if (!good)
				break;
			pids = more;
			room = room ? 2 * room : 64;
		}
		pids[count++] = pid;
	}
	if (file)
		fclose(file);
	if (!good) {
		free(pids);
		return false;
	}
	if (count)
		qsort(pids, count, sizeof(*pids), by_pid);
	*ret = pids;
	*ret_count = count;
	return true;
}

static bool same_pids(const char *dir, const int *pids, size_t count)
{
	size_t other_count = 0;
	int *other = NULL;
	bool same;

	if (!read_pids(dir, &other, &other_count))
		return false;
	same = count == other_count && (!count || memcmp(pids, other, count * sizeof(*pids)) == 0);
	free(other);
	return same;
}

/* The path that /proc/PID/cgroup has for a controller; "/" would be the whole machine. */
static bool path_of_pid(int pid, const char *controller, char path[PATH_MAX])
{
	char *line = NULL, *list, *at, proc[32];
	bool found = false;
	size_t size = 0;
	FILE *file;

	snprintf(proc, sizeof(proc), "/proc/%d", pid);
	file = open_in(proc, "cgroup");
	if (!file)
		return false;
	while (!found && getline(&line, &size, file) >= 0) {
		list = strchr(line, ':');
		at = list ? strchr(list + 1, ':') : NULL;
		if (!at)
			continue;
		*at++ = '\0';
		at[strcspn(at, "\n")] = '\0';
		if (!in_list(list + 1, controller) || strcmp(at, "/") == 0)
			continue;
		found = snprintf(path, PATH_MAX, "%s", at) < PATH_MAX;
	}
	free(line);
	fclose(file);
	return found;
}

struct cgroup {
	const char *dir;      /* real path */
	const char *relative; /* to the mount, "" for its top; NULL: unknown */
	int *pids;	      /* of this level */
	size_t pid_count;
};

/* The directory of the same cgroup in a controller's version 1 hierarchy. */
static bool find_v1(const struct cgroup *cg, const char *controller, char dir[PATH_MAX])
{
	char point[PATH_MAX], path[PATH_MAX];
	unsigned ups;

	if (!find_mount(controller, point, &ups))
		return false;
	if (cg->relative && *cg->relative &&
	    snprintf(dir, PATH_MAX, "%s%s", point, cg->relative) < PATH_MAX &&
	    same_pids(dir, cg->pids, cg->pid_count))
		return true;
	/* A path that does not begin at the top has names in front that are not known here. */
	return cg->pid_count && path_of_pid(cg->pids[0], controller, path) &&
	       cgroup_ups(path) == ups && path[3 * ups] &&
	       snprintf(dir, PATH_MAX, "%s%s", point, path + 3 * ups) < PATH_MAX &&
	       same_pids(dir, cg->pids, cg->pid_count);
}

/* ---- one resource each ----------------------------------------------------------------------- */

static void read_cpu(const struct cgroup *cg, struct appmon_resources *r)
{
	uint64_t usage = 0, user = 0, system = 0;
	char dir[PATH_MAX];

	/* Version 2 counts this for every cgroup, whoever has the controller. */
	if (read_key(cg->dir, "cpu.stat", "usage_usec", &usage)) {
		read_key(cg->dir, "cpu.stat", "user_usec", &user);
		read_key(cg->dir, "cpu.stat", "system_usec", &system);
		r->cpu_ns = usage * NSEC_PER_USEC;
		r->cpu_user_ns = user * NSEC_PER_USEC;
		r->cpu_system_ns = system * NSEC_PER_USEC;
		r->valid |= APPMON_RES_CPU;
	} else if (find_v1(cg, "cpuacct", dir) && read_number(dir, "cpuacct.usage", &usage)) {
		uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);

		read_key(dir, "cpuacct.stat", "user", &user);
		read_key(dir, "cpuacct.stat", "system", &system);
		r->cpu_ns = usage;
		r->cpu_user_ns = user * tick_ns;
		r->cpu_system_ns = system * tick_ns;
		r->valid |= APPMON_RES_CPU;
		r->from_v1 |= APPMON_RES_CPU;
	}
}

static void read_throttling(const struct cgroup *cg, struct appmon_resources *r)
{
	uint64_t time = 0;
	char dir[PATH_MAX];

	if (read_key(cg->dir, "cpu.stat", "nr_periods", &r->periods)) {
		read_key(cg->dir, "cpu.stat", "nr_throttled", &r->throttled_periods);
		read_key(cg->dir, "cpu.stat", "throttled_usec", &time);
		r->throttled_ns = time * NSEC_PER_USEC;
		r->valid |= APPMON_RES_THROTTLING;
	} else if (find_v1(cg, "cpu", dir) &&
		   read_key(dir, "cpu.stat", "nr_periods", &r->periods)) {
		read_key(dir, "cpu.stat", "nr_throttled", &r->throttled_periods);
		read_key(dir, "cpu.stat", "throttled_time", &r->throttled_ns);
		r->valid |= APPMON_RES_THROTTLING;
		r->from_v1 |= APPMON_RES_THROTTLING;
	}
}

static void read_memory(const struct cgroup *cg, struct appmon_resources *r)
{
	char dir[PATH_MAX];

	if (read_number(cg->dir, "memory.current", &r->memory_bytes)) {
		if (!read_number(cg->dir, "memory.max", &r->memory_limit))
			r->memory_limit = UINT64_MAX;
		r->valid |= APPMON_RES_MEMORY;
	} else if (find_v1(cg, "memory", dir) &&
		   read_number(dir, "memory.usage_in_bytes", &r->memory_bytes)) {
		if (!read_number(dir, "memory.limit_in_bytes", &r->memory_limit) ||
		    r->memory_limit >= NO_LIMIT_V1)
			r->memory_limit = UINT64_MAX;
		r->valid |= APPMON_RES_MEMORY;
		r->from_v1 |= APPMON_RES_MEMORY;
	}
}

static void read_pids_controller(const struct cgroup *cg, struct appmon_resources *r)
{
	const char *where = cg->dir;
	char dir[PATH_MAX];

	if (!read_number(where, "pids.current", &r->pids)) {
		where = dir;
		if (!find_v1(cg, "pids", dir) || !read_number(dir, "pids.current", &r->pids))
			return;
		r->from_v1 |= APPMON_RES_PIDS;
	}
	if (!read_number(where, "pids.max", &r->pids_limit))
		r->pids_limit = UINT64_MAX;
	r->valid |= APPMON_RES_PIDS;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0", a line per device. */
static bool read_io_stat(const char *dir, struct appmon_resources *r)
{
	FILE *file = open_in(dir, "io.stat");
	char word[64];

	if (!file)
		return false;
	while (fscanf(file, "%63s", word) == 1) {
		unsigned long long value;

		if (sscanf(word, "rbytes=%llu", &value) == 1)
			r->read_bytes += value;
		else if (sscanf(word, "wbytes=%llu", &value) == 1)
			r->write_bytes += value;
		else if (sscanf(word, "rios=%llu", &value) == 1)
			r->reads += value;
		else if (sscanf(word, "wios=%llu", &value) == 1)
			r->writes += value;
	}
	fclose(file);
	return true;
}

/* "8:0 Read 1", "8:0 Write 2" and others for a device; "Total 3" at the end. */
static bool read_blkio(const char *dir, const char *name, uint64_t *ret_read, uint64_t *ret_write)
{
	FILE *file = open_in(dir, name);
	unsigned long long value;
	char word[64], kind[16];

	if (!file)
		return false;
	while (fscanf(file, "%63s", word) == 1 && strcmp(word, "Total") != 0 &&
	       fscanf(file, "%15s %llu", kind, &value) == 2) {
		if (strcmp(kind, "Read") == 0)
			*ret_read += value;
		else if (strcmp(kind, "Write") == 0)
			*ret_write += value;
	}
	fclose(file);
	return true;
}

static void read_io(const struct cgroup *cg, struct appmon_resources *r)
{
	char dir[PATH_MAX];

	if (read_io_stat(cg->dir, r)) {
		r->valid |= APPMON_RES_IO;
	} else if (find_v1(cg, "blkio", dir) &&
		   read_blkio(dir, "blkio.throttle.io_service_bytes_recursive", &r->read_bytes,
			      &r->write_bytes) &&
		   read_blkio(dir, "blkio.throttle.io_serviced_recursive", &r->reads, &r->writes)) {
		r->valid |= APPMON_RES_IO;
		r->from_v1 |= APPMON_RES_IO;
	}
}

/* ---- the calls ------------------------------------------------------------------------------- */

int appmon_read_resources(const char *cgroup_path, struct appmon_resources *resources)
{
	struct appmon_resources r = {0};
	char real[PATH_MAX], dir[PATH_MAX], path[PATH_MAX];
	struct cgroup cg = {.dir = real};
	struct statfs fs;
	struct stat st;

	if (!cgroup_path || !resources || resources->size < sizeof(resources->size))
		return -EINVAL;
	if (!realpath(cgroup_path, real) || statfs(real, &fs) || stat(real, &st))
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EINVAL;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	/* Paths of both versions can be compared where both begin at the root. */
	if (cgroup_locate(NULL, st.st_ino, dir, path) == 1)
		cg.relative = strcmp(path, "/") == 0 ? "" : path;
	if (!read_pids(real, &cg.pids, &cg.pid_count))
		cg.pid_count = 0;
	r.time_ns = now_ns();
	read_cpu(&cg, &r);
	read_throttling(&cg, &r);
	read_memory(&cg, &r);
	read_pids_controller(&cg, &r);
	read_io(&cg, &r);
	free(cg.pids);
	return opts_write(resources, &r, sizeof(r));
}

int appmon_cgroup_path(uint64_t cgroup_id, char *buf, size_t size)
{
	char dir[PATH_MAX], path[PATH_MAX];
	size_t len;
	int err;

	if (!buf || !size || !cgroup_id)
		return -EINVAL;
	err = cgroup_locate(NULL, cgroup_id, dir, path);
	if (err < 0)
		return err;
	len = strlen(dir);
	if (len >= size)
		return -ENOSPC;
	memcpy(buf, dir, len + 1);
	return (int)len;
}
