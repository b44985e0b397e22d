/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go programs: finds their executables among the processes of the attached cgroups and those that
 * records name, and attaches the uprobes of bpf/goroutine.h to each executable once.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "probe/go-binary.h"
#include "probe/probe.h"

#define EXECUTABLES_MAX 64

/* A file, by what of it stays the same however it is mounted. */
struct file_id {
	uint64_t device, inode, size, mtime_ns;
};

/* One that a Go compiler has made. */
struct executable {
	struct file_id id;
	int link_fd[GO_HOOKS]; /* -1: not attached */
	uint32_t pid;	       /* the last process that was seen to run it */
};

bool go_init(struct go_programs *go, struct log *log, struct pool *pool)
{
	const size_t size = EXECUTABLES_MAX * sizeof(struct executable);

	go->log = log;
	go->pool = pool;
	if (!pool_charge(go->pool, size))
		return false;
	go->executable = calloc(1, size);
	return go->executable;
}

static void detach(struct executable *e)
{
	for (int i = 0; i < GO_HOOKS; i++) {
		if (e->link_fd[i] >= 0)
			close(e->link_fd[i]);
		e->link_fd[i] = -1;
	}
}

void go_free(struct go_programs *go)
{
	for (uint32_t i = 0; i < go->executables; i++)
		detach(&go->executable[i]);
	free(go->executable);
	go->executable = NULL;
	go->executables = 0;
}

/* ---- executables ----------------------------------------------------------------------------- */

/* Returns a descriptor of what the process runs. */
static int open_executable(uint32_t pid, struct file_id *ret)
{
	struct statfs fs;
	struct stat st;
	char name[32];
	int fd, err;

	snprintf(name, sizeof(name), "/proc/%u/exe", pid);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || fstatfs(fd, &fs)) {
		err = -errno;
		close(fd);
		return err;
	}
	ret->device = st.st_dev;
	ret->inode = st.st_ino;
	ret->size = (uint64_t)st.st_size;
	ret->mtime_ns = (uint64_t)st.st_mtim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec;
	/* Containers of one image: each has a device of its own, and a uprobe hits them all. */
	if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
		ret->device = 0;
	return fd;
}

/* Is the process gone that was the last one seen to run it? */
static bool is_gone(const struct executable *e)
{
	struct file_id id;
	int fd = open_executable(e->pid, &id);

	if (fd < 0)
		return fd != -EACCES && fd != -EPERM;
	close(fd);
	return memcmp(&id, &e->id, sizeof(id)) != 0;
}

/* A free place; NULL: there is none. */
static struct executable *make_room(struct go_programs *go)
{

	if (go->executables < EXECUTABLES_MAX) {
		struct executable *e = &go->executable[go->executables++];

		memset(e->link_fd, 0xff, sizeof(e->link_fd)); /* -1 */
		return e;
	}
	for (uint32_t i = 0; i < EXECUTABLES_MAX; i++) {
		struct executable *e = &go->executable[i];

		if (!is_gone(e))
			continue;
		detach(e);
		return e;
	}
	return NULL;
}

/* The number of the uprobes among the kinds of perf events; negative: there are none. */
static int uprobe_type(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -1;

	if (!f)
		return -EOPNOTSUPP;
	if (fscanf(f, "%d", &type) != 1)
		type = -EOPNOTSUPP;
	fclose(f);
	return type;
}

/*
 * In every process that runs the file at path, also those that will. Returns a link: all there is,
 * so that closing it detaches, and closing a forked child's copy does not. (libbpf's would
 * disable the parent's event.)
 */
static int attach_uprobe(int prog_fd, uint32_t type, const char *path, uint64_t offset,
			 uint64_t cookie)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = cookie);
	struct perf_event_attr attr = {
		.type = type, .size = sizeof(attr), .config1 = (uintptr_t)path, .config2 = offset};
	int event, link;

	event = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return -errno;
	link = bpf_link_create(prog_fd, event, BPF_PERF_EVENT, &opts);
	if (link < 0)
		link = -errno;
	close(event);
	return link;
}

static int attach(struct go_programs *go, struct executable *e, int fd,
		  const struct go_binary *binary)
{
	int type = uprobe_type(), link;
	char path[32];

	if (type < 0)
		return type;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (int i = 0; i < GO_HOOKS; i++) {
		if (!binary->hook[i])
			continue;
		link = attach_uprobe(go->program_fd[i], (uint32_t)type, path, binary->hook[i],
				     GO_LAYOUT(binary->goid, binary->parent));
		if (link < 0) {
			detach(e);
			return link;
		}
		e->link_fd[i] = link;
	}
	return 0;
}

/* fd: of a file that was not looked at before. */
static void look_at(struct go_programs *go, uint32_t pid, int fd, const struct file_id *id)
{
	const char *why = "";
	struct go_binary binary;
	struct executable *e;
	char path[256] = "", link[32];
	int err = go_binary_read(fd, &binary, &why);

	if (err == -ENOEXEC)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		path[0] = '\0';
	e = make_room(go);
	if (!e) {
		log_line(go->log, APPMON_LOG_WARN,
			 "goroutines of %s are not followed: %d executables are already", path,
			 EXECUTABLES_MAX);
		return;
	}
	e->id = *id;
	e->pid = pid;
	if (!err) {
		err = attach(go, e, fd, &binary);
		why = err == -EPERM || err == -EACCES
			      ? "attaching uprobes needs CAP_SYS_ADMIN, or before Linux 6.16 "
				"CAP_PERFMON"
			      : strerror(-err);
	} else if (err != -EOPNOTSUPP) {
		why = strerror(-err);
	}
	if (err)
		log_line(go->log, APPMON_LOG_WARN, "goroutines of %s are not followed: %s", path,
			 why);
	else
		log_line(go->log, APPMON_LOG_INFO, "goroutines of %s (Go 1.%u) are followed", path,
			 binary.minor);
}

static void see_process(struct go_programs *go, uint32_t pid)
{
	struct file_id id;
	int fd = open_executable(pid, &id);

	if (fd < 0) {
		if (fd == -EACCES || fd == -EPERM)
			log_line(go->log, go->refused++ ? APPMON_LOG_DEBUG : APPMON_LOG_WARN,
				 "whether process %u is a Go program cannot be told: reading "
				 "another user's executable needs CAP_SYS_PTRACE",
				 pid);
		return;
	}
	for (uint32_t i = 0; i < go->executables; i++) {
		if (memcmp(&go->executable[i].id, &id, sizeof(id)) != 0)
			continue;
		go->executable[i].pid = pid;
		close(fd);
		return;
	}
	look_at(go, pid, fd, &id);
	close(fd);
}

/* ---- processes ------------------------------------------------------------------------------- */

void go_see_process(struct go_programs *go, const struct rec_task *task)
{
	struct go_seen *set = go->seen[task->pid % GO_SEEN_SETS];

	if (!go->executable || !task->pid)
		return;
	for (int i = 0; i < GO_SEEN_WAYS; i++)
		if (set[i].pid == task->pid && set[i].start_ns == task->start_ns)
			return;
	set += go->turn++ % GO_SEEN_WAYS;
	set->pid = task->pid;
	set->start_ns = task->start_ns;
	see_process(go, task->pid);
}

static void see_directory(struct go_programs *go, const char *directory)
{
	char name[PATH_MAX + 16];
	unsigned int pid;
	FILE *f;

	snprintf(name, sizeof(name), "%s/cgroup.procs", directory);
	f = fopen(name, "re");
	if (!f)
		return;
	/* A threaded cgroup gives no list: its processes are in the one above. */
	while (fscanf(f, "%u", &pid) == 1)
		if (pid) /* 0: outside of this pid namespace */
			see_process(go, pid);
	fclose(f);
}

void go_see_cgroup(struct go_programs *go, int cgroup_fd)
{
	char top[32];
	char *const roots[] = {top, NULL};
	FTSENT *e;
	FTS *fts;

	if (!go->executable)
		return;
	snprintf(top, sizeof(top), "/proc/self/fd/%d/.", cgroup_fd);
	fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	while (fts && (e = fts_read(fts)))
		if (e->fts_info == FTS_D && e->fts_pathlen < PATH_MAX)
			see_directory(go, e->fts_path);
	if (fts)
		fts_close(fts);
}
