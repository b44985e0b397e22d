/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that processes run, uprobes in them, and the processes of a cgroup. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "probe/probe.h"

int file_identify(int fd, struct file_id *ret)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return -errno;
	ret->device = st.st_dev;
	ret->inode = st.st_ino;
	ret->size = (uint64_t)st.st_size;
	ret->mtime_ns = (uint64_t)st.st_mtim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec;
	/* Containers of one image: each has a device of its own, and a uprobe hits them all. */
	if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
		ret->device = 0;
	return 0;
}

bool file_same(const struct file_id *a, const struct file_id *b)
{
	/* Images of containers can have one number for several files. */
	return a->device && a->device == b->device && a->inode == b->inode;
}

int executable_open(uint32_t pid, struct file_id *ret)
{
	char name[32];
	int fd, err;

	snprintf(name, sizeof(name), "/proc/%u/exe", pid);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	err = file_identify(fd, ret);
	if (!err)
		return fd;
	close(fd);
	return err;
}

int uprobe_type(void)
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

/* A link is all there is, so that closing it detaches, and closing a forked child's copy does not.
 * (libbpf's would disable the parent's event.) */
int uprobe_attach(int type, int prog_fd, int file_fd, uint64_t offset, bool at_return,
		  uint64_t cookie, uint32_t pid)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = cookie);
	char path[32];
	struct perf_event_attr attr = {.type = (uint32_t)type,
				       .size = sizeof(attr),
				       .config = at_return, /* format/retprobe: the lowest bit */
				       .config1 = (uintptr_t)path,
				       .config2 = offset};
	int event, link;

	if (type < 0)
		return type;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
	event = (int)syscall(SYS_perf_event_open, &attr, pid ? (int)pid : -1, pid ? -1 : 0, -1,
			     PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return -errno;
	link = bpf_link_create(prog_fd, event, BPF_PERF_EVENT, &opts);
	if (link < 0)
		link = -errno;
	close(event);
	return link;
}

/* By the system call itself: headers and libbpf can be older than the kernel. */
int uprobe_attach_session(int prog_fd, int file_fd, const uint64_t *offset, const uint64_t *cookie,
			  uint32_t count)
{
	char path[32];
	const struct {
		uint32_t prog_fd, target_fd, attach_type, flags;
		uint64_t path, offsets, ref_ctr_offsets, cookies;
		uint32_t count, uprobe_flags, pid, pad;
	} attr = {.prog_fd = (uint32_t)prog_fd,
		  .attach_type = UPROBE_SESSION,
		  .path = (uintptr_t)path,
		  .offsets = (uintptr_t)offset,
		  .cookies = (uintptr_t)cookie,
		  .count = count};
	long link;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
	link = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return link < 0 ? -errno : (int)link;
}

const char *uprobe_error(int err)
{
	if (err == -EPERM || err == -EACCES)
		return "attaching uprobes needs CAP_SYS_ADMIN, or before Linux 6.16 CAP_PERFMON";
	return strerror(-err);
}

uint32_t seen_count(struct seen *seen, const struct rec_task *task)
{
	struct seen_process *set = seen->set[task->pid % SEEN_SETS];

	for (int i = 0; i < SEEN_WAYS; i++)
		if (set[i].pid == task->pid && set[i].start_ns == task->start_ns)
			return ++set[i].times;
	set += seen->turn++ % SEEN_WAYS;
	set->pid = task->pid;
	set->start_ns = task->start_ns;
	return set->times = 1;
}

static void see_directory(const char *directory, void (*fn)(void *ctx, uint32_t pid), void *ctx)
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
			fn(ctx, pid);
	fclose(f);
}

void each_process(int cgroup_fd, void (*fn)(void *ctx, uint32_t pid), void *ctx)
{
	char top[32];
	char *const roots[] = {top, NULL};
	FTSENT *e;
	FTS *fts;

	snprintf(top, sizeof(top), "/proc/self/fd/%d/.", cgroup_fd);
	fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	while (fts && (e = fts_read(fts)))
		if (e->fts_info == FTS_D && e->fts_pathlen < PATH_MAX)
			see_directory(e->fts_path, fn, ctx);
	if (fts)
		fts_close(fts);
}
