/* SPDX-License-Identifier: BSD-2-Clause */
/* Open and close. Everything happens inside the host's calls, on its thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/host.h"

int handle_check(struct appmon *mon)
{
	if (!mon)
		return -EINVAL;
	return *mon->alive ? 0 : -ECHILD;
}

static int open_alive(struct appmon *mon)
{
	void *p = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return fail(&mon->log, -ENOMEM, "out of memory");
	mon->alive = p;
	*mon->alive = 1;
	madvise(p, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK); /* Linux 4.14 */
	return 0;
}

static void handle_free(struct appmon *mon)
{
	recording_free(mon->recording);
	replay_free(mon->replay);
	flows_destroy(&mon->flows);
	lookups_free(mon);
	targets_free(mon);
	go_free(&mon->go);
	tls_free(&mon->tls);
	loop_close(mon);
	free(mon->cgroup_mount);
	capture_close(&mon->cap);
	pipeline_close(&mon->pl);
	if (mon->alive)
		munmap(mon->alive, (size_t)sysconf(_SC_PAGESIZE));
	free(mon);
}

static int keep_cgroup_mount(struct appmon *mon)
{
	const char *path = mon->opts.cgroup_mount;
	struct statfs fs;

	if (!path)
		return 0;
	if (statfs(path, &fs))
		return fail(&mon->log, -errno, "cgroup_mount %s: %s", path, strerror(errno));
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return fail(&mon->log, -EINVAL, "cgroup_mount %s is not in a cgroup v2 hierarchy",
			    path);
	/* The kernel reports the path of a directory below without symbolic links. */
	mon->cgroup_mount = realpath(path, NULL);
	return mon->cgroup_mount ? 0 : fail(&mon->log, -ENOMEM, "out of memory");
}

static int open_kernel(struct appmon *mon)
{
	int err = keep_cgroup_mount(mon);

	if (!err)
		err = capture_open(&mon->cap, &mon->opts, &mon->log);
	if (err)
		return err;
	mon->pl.tell_programs = capture_verdict;
	mon->pl.ask_programs = capture_ask;
	mon->pl.programs = &mon->cap;
	if (mon->cap.capabilities & APPMON_CAP_GOROUTINES) {
		capture_go_programs(&mon->cap, mon->go.program_fd);
		if (!go_init(&mon->go, &mon->log, &mon->pl.pool))
			return fail(&mon->log, -ENOMEM, "out of memory");
	}
	if (mon->cap.capabilities & APPMON_CAP_TLS) {
		capture_tls_programs(&mon->cap, mon->tls.program_fd);
		mon->tls.processes_fd = capture_tls_processes(&mon->cap);
		mon->tls.since = capture_tls_since(&mon->cap);
		mon->tls.generation = capture_tls_generation(&mon->cap);
		if (!tls_programs_init(&mon->tls, &mon->log, &mon->pl.pool))
			return fail(&mon->log, -ENOMEM, "out of memory");
	}
	return 0;
}

/* replay_fd -1: the kernel is the source. */
static int open_parts(struct appmon *mon, int replay_fd, const struct appmon_opts *opts)
{
	int err = options_take(&mon->opts, opts, &mon->log);

	if (!err)
		err = open_alive(mon);
	if (!err)
		err = pipeline_open(&mon->pl, &mon->opts, &mon->log);
	if (!err && flows_init(&mon->flows, &mon->pl, &mon->opts))
		err = fail(&mon->log, -ENOMEM, "out of memory");
	if (!err)
		err = replay_fd < 0 ? open_kernel(mon)
				    : replay_open(&mon->replay, replay_fd, &mon->log);
	if (!err)
		err = loop_open(mon);
	return err;
}

static int open_handle(struct appmon **ret, int replay_fd, const struct appmon_opts *opts)
{
	struct appmon *mon;
	int err;

	if (!ret)
		return -EINVAL;
	mon = calloc(1, sizeof(*mon));
	if (!mon)
		return -ENOMEM;
	mon->epoll_fd = mon->timer_fd = mon->wake_fd = mon->more_fd = -1;
	list_init(&mon->pl.ready);
	lookups_init(&mon->lookups);
	err = open_parts(mon, replay_fd, opts);
	if (err) {
		if (mon->opts.error_text && mon->opts.error_text_size) {
			size_t n = strnlen(mon->log.error, mon->opts.error_text_size - 1);

			memcpy(mon->opts.error_text, mon->log.error, n);
			mon->opts.error_text[n] = '\0';
		}
		handle_free(mon);
		return err;
	}
	budget_init(mon);
	mon->now_ns = mon->read_ns = now_ns();
	mon->realtime_offset_ns = realtime_offset();
	*ret = mon;
	return 0;
}

int appmon_open(struct appmon **ret, const struct appmon_opts *opts)
{
	return open_handle(ret, -1, opts);
}

int appmon_open_replay(struct appmon **ret, int fd, const struct appmon_opts *opts)
{
	return fd < 0 ? -EBADF : open_handle(ret, fd, opts);
}

int appmon_close(struct appmon *mon)
{
	if (!mon)
		return 0;
	/* In a forked child *alive is 0: closing its copies of the descriptors detaches nothing. */
	if (*mon->alive && mon->in_callback)
		return fail(&mon->log, -EBUSY, "appmon_close() was called from inside a callback");
	handle_free(mon);
	return 0;
}
