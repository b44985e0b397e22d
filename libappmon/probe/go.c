/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go programs: finds their executables among the processes of the attached cgroups and those that
 * records name, and attaches the uprobes of bpf/goroutine.h to each executable once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/go-binary.h"
#include "probe/probe.h"

#define EXECUTABLES_MAX 64

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
	go->uprobe_type = uprobe_type();
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

/* Is the process gone that was the last one seen to run it? */
static bool is_gone(const struct executable *e)
{
	struct file_id id;
	int fd = executable_open(e->pid, &id);

	if (fd < 0)
		return fd != -EACCES && fd != -EPERM;
	close(fd);
	return memcmp(&id, &e->id, sizeof(id)) != 0;
}

/* A free place; NULL: there is none. */
static struct executable *make_room(struct go_programs *go, const struct file_id *id)
{
	/* Written to, or touched, since it was attached: not twice. */
	for (uint32_t i = 0; i < go->executables; i++)
		if (file_same(&go->executable[i].id, id)) {
			detach(&go->executable[i]);
			return &go->executable[i];
		}
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

static int attach(struct go_programs *go, struct executable *e, int fd,
		  const struct go_binary *binary)
{
	int link;

	for (int i = 0; i < GO_HOOKS; i++) {
		if (!binary->hook[i])
			continue;
		link = uprobe_attach(go->uprobe_type, go->program_fd[i], fd, binary->hook[i], false,
				     GO_LAYOUT(binary->goid, binary->parent), 0);
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
	e = make_room(go, id);
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
		why = uprobe_error(err);
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
	int fd = executable_open(pid, &id);

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
	if (go->executable && task->pid && seen_count(&go->seen, task) == 1)
		see_process(go, task->pid);
}

static void see_each(void *ctx, uint32_t pid)
{
	see_process(ctx, pid);
}

void go_see_cgroup(struct go_programs *go, int cgroup_fd)
{
	if (go->executable)
		each_process(cgroup_fd, see_each, go);
}
