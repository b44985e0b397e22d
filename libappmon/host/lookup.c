/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the numbers in an event stand for: the executable of a process, the path of a cgroup. Asked
 * for by the host, kept so that the answer outlives the process or the cgroup.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"

/* As many answers as are kept of each kind. */
#define KEPT_MAX 1024
/* A process may run another program, a cgroup may be renamed: how long an answer is good. */
#define FRESH_NS NSEC_PER_SEC

void lookups_init(struct lookups *l)
{
	list_init(&l->processes);
	list_init(&l->cgroups);
}

static void forget(struct appmon *mon, struct kept *k)
{
	list_remove(&k->link);
	pool_free(&mon->pl.pool, k);
}

static void forget_all(struct appmon *mon, struct list_node *list)
{
	while (!list_empty(list))
		forget(mon, list_entry(list->next, struct kept, link));
}

void lookups_free(struct appmon *mon)
{
	forget_all(mon, &mon->lookups.processes);
	forget_all(mon, &mon->lookups.cgroups);
}

/* Moves what is found to the front. */
static struct kept *find(struct list_node *list, uint64_t id, uint64_t start_ns)
{
	for (struct list_node *n = list->next; n != list; n = n->next) {
		struct kept *k = list_entry(n, struct kept, link);

		if (k->id != id || k->start_ns != start_ns)
			continue;
		list_remove(n);
		list_prepend(list, n);
		return k;
	}
	return NULL;
}

/* In place of old, which may be NULL. NULL: no memory. */
static struct kept *keep(struct appmon *mon, struct list_node *list, struct kept *old,
			 const struct kept *head, const char *path)
{
	size_t len = strlen(path);
	struct kept *k = pool_alloc(&mon->pl.pool, sizeof(*k) + len + 1);
	uint32_t count = 0;

	if (!k)
		return NULL;
	if (old)
		forget(mon, old);
	*k = *head;
	k->len = (uint32_t)len;
	memcpy(k->path, path, len + 1);
	list_prepend(list, &k->link);
	for (struct list_node *n = list->next; n != list; n = n->next)
		count++;
	if (count > KEPT_MAX)
		forget(mon, list_entry(list->prev, struct kept, link));
	return k;
}

static struct appmon_str string_of(const struct kept *k)
{
	return (struct appmon_str){.data = k->path, .len = k->len};
}

static bool is_fresh(const struct kept *k, uint64_t now)
{
	return k && now - k->checked_ns < FRESH_NS;
}

/* ---- processes ------------------------------------------------------------------------------- */

/* Is the process of this directory of /proc the one that started then? */
static bool started_at(int dir_fd, uint64_t start_ns)
{
	const uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	int fd = openat(dir_fd, "stat", O_RDONLY | O_CLOEXEC);
	unsigned long long ticks = 0;
	char text[1024];
	const char *p;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* The second field is the command in parentheses, with anything in it. */
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, " %llu", &ticks) == 1 && ticks == start_ns / tick_ns;
}

/* Reads head and path[PATH_MAX]. */
static int read_process(uint32_t pid, uint64_t start_ns, struct kept *head, char *path)
{
	char name[32];
	struct stat st;
	int fd, err = 0;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/%u", pid);
	/* Whatever is opened below belongs to this process, also after its number is used again. */
	fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (!started_at(fd, start_ns)) {
		close(fd);
		return -ESRCH;
	}
	n = readlinkat(fd, "exe", path, PATH_MAX - 1);
	if (n < 0 || fstatat(fd, "exe", &st, 0))
		err = errno == ENOENT ? -ESRCH : -errno; /* also of a kernel thread */
	close(fd);
	if (err)
		return err;
	path[n] = '\0';
	head->inode = st.st_ino;
	head->device = st.st_dev;
	return 0;
}

int appmon_find_process(struct appmon *mon, uint32_t pid, uint64_t start_ns,
			struct appmon_process *ret)
{
	struct kept head = {.id = pid, .start_ns = start_ns}, *k, *fresh;
	struct appmon_process process = {0};
	int err = handle_check(mon);
	char path[PATH_MAX];

	if (err)
		return err;
	if (!ret)
		return fail(&mon->log, -EINVAL,
			    "appmon_find_process() needs a place for the answer");
	if (!pid || mon->replay)
		return log_answer(&mon->log, -ESRCH, "the process is not known");
	k = find(&mon->lookups.processes, pid, start_ns);
	head.checked_ns = now_ns();
	if (!is_fresh(k, head.checked_ns)) {
		err = read_process(pid, start_ns, &head, path);
		if (!err) {
			fresh = keep(mon, &mon->lookups.processes, k, &head, path);
			if (!fresh)
				return fail(&mon->log, -ENOMEM, "memory_limit is reached");
			k = fresh;
		} else if (!k && err == -ESRCH) {
			return log_answer(&mon->log, err, "process %u has ended", pid);
		} else if (!k) {
			return fail(&mon->log, err, "the executable of process %u: %s", pid,
				    strerror(-err));
		} else {
			k->checked_ns = head.checked_ns; /* it is gone: what it was stays */
		}
	}
	process.pid = pid;
	process.start_ns = start_ns;
	process.exe = string_of(k);
	process.exe_inode = k->inode;
	process.exe_device = k->device;
	err = opts_write(ret, &process, sizeof(process));
	return err ? fail(&mon->log, err, "appmon_process.size is not set") : 0;
}

/* ---- cgroups --------------------------------------------------------------------------------- */

/* NULL: no memory. */
static const struct kept *kept_cgroup(struct appmon *mon, uint64_t cgroup_id)
{
	struct kept head = {.id = cgroup_id}, *k;
	char path[PATH_MAX] = "", dir[PATH_MAX];
	int err;

	k = find(&mon->lookups.cgroups, cgroup_id, 0);
	head.checked_ns = now_ns();
	if (is_fresh(k, head.checked_ns))
		return k;
	err = cgroup_locate(mon->cgroup_mount, cgroup_id, dir, path);
	head.err = err < 0 ? err : 0;
	if (!head.err || !k)
		return keep(mon, &mon->lookups.cgroups, k, &head, path);
	k->checked_ns = head.checked_ns; /* it is gone: what it was stays */
	return k;
}

void lookup_see_cgroup(struct appmon *mon, uint64_t cgroup_id, int fd)
{
	struct kept head = {.id = cgroup_id, .checked_ns = now_ns()};
	struct list_node *list = &mon->lookups.cgroups;
	char path[PATH_MAX];

	if (!cgroup_locate_fd(mon->cgroup_mount, fd, path))
		keep(mon, list, find(list, cgroup_id, 0), &head, path);
	else
		kept_cgroup(mon, cgroup_id);
}

int appmon_find_cgroup(struct appmon *mon, uint64_t cgroup_id, struct appmon_str *ret_path)
{
	int err = handle_check(mon);
	const struct kept *k;

	if (err)
		return err;
	if (!ret_path)
		return fail(&mon->log, -EINVAL, "appmon_find_cgroup() needs a place for the path");
	if (!cgroup_id || mon->replay)
		return log_answer(&mon->log, -ENOENT, "the cgroup is not known");
	k = kept_cgroup(mon, cgroup_id);
	if (!k)
		return fail(&mon->log, -ENOMEM, "memory_limit is reached");
	if (k->err == -ENOENT)
		return log_answer(&mon->log, k->err, "the path of cgroup %llu: it is gone",
				  (unsigned long long)cgroup_id);
	if (k->err)
		return fail(&mon->log, k->err, "the path of cgroup %llu: %s",
			    (unsigned long long)cgroup_id, strerror(-k->err));
	*ret_path = string_of(k);
	return 0;
}

uint64_t appmon_realtime_ns(struct appmon *mon, uint64_t monotonic_ns)
{
	if (!monotonic_ns)
		return 0;
	return monotonic_ns + (mon ? mon->realtime_offset_ns : realtime_offset());
}
