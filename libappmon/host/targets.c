/* SPDX-License-Identifier: BSD-2-Clause */
/* The cgroups that the host watches: their begin and end, and what happens to them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/host.h"

/* An application with many cgroups shall not notice that they are looked at. */
#define TARGETS_PER_LOOK 64

struct target *target_by_id(struct appmon *mon, uint32_t id)
{
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		if (mon->pl.target[slot] && mon->pl.target[slot]->id == id)
			return mon->pl.target[slot];
	return NULL;
}

static int check_cgroup(struct appmon *mon, int fd, const char *what, uint64_t *ret_id)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) || fstat(fd, &st))
		return fail(&mon->log, -errno, "%s: %s", what, strerror(errno));
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return fail(
			&mon->log, -EINVAL,
			"%s is not in a cgroup v2 hierarchy: 'grep cgroup2 /proc/self/mountinfo' "
			"shows where that is mounted",
			what);
	if (!S_ISDIR(st.st_mode))
		return fail(&mon->log, -ENOTDIR, "%s is not a directory: name the cgroup itself",
			    what);
	*ret_id = st.st_ino;
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		if (mon->pl.target[slot] && mon->pl.target[slot]->cgroup_id == *ret_id)
			return fail(&mon->log, -EEXIST, "%s is attached already (target %u)", what,
				    mon->pl.target[slot]->id);
	return 0;
}

static int replays(struct appmon *mon)
{
	return fail(&mon->log, -EOPNOTSUPP, "this handle replays a recording: it has no cgroups");
}

/* As this process sees it; NULL: no memory. */
static char *directory_of(int fd, const char *path)
{
	char link[64], real[4096];
	ssize_t n = -1;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, sizeof(real) - 1);
	if (n < 0 && path)
		n = snprintf(real, sizeof(real), "%s", path);
	real[n < 0 ? 0 : (size_t)n < sizeof(real) ? (size_t)n : sizeof(real) - 1] = '\0';
	return strdup(real);
}

static char *default_name(const char *directory)
{
	const char *slash = directory ? strrchr(directory, '/') : NULL;

	if (!directory)
		return NULL;
	return strdup(slash && slash[1] ? slash + 1 : directory);
}

/* False: no memory. */
static bool keep_ports(struct target *t, const struct appmon_attach_opts *opts)
{
	size_t size = opts->port_count * sizeof(*t->ports);

	if (!size)
		return true;
	t->ports = malloc(size);
	if (!t->ports)
		return false;
	memcpy(t->ports, opts->ports, size);
	t->port_count = opts->port_count;
	return true;
}

static int attach(struct appmon *mon, int fd, const char *path,
		  const struct appmon_attach_opts *user_opts, uint32_t *ret_target)
{
	const char *what = path ? path : "the cgroup of the descriptor";
	struct appmon_attach_opts opts = {0};
	struct target *t;
	uint64_t cgroup_id = 0;
	uint32_t slot = 0;
	char *directory;
	int err;

	if (mon->replay)
		return replays(mon);
	err = attach_options_take(&opts, user_opts, &mon->opts, &mon->log);
	if (!err)
		err = check_cgroup(mon, fd, what, &cgroup_id);
	if (err)
		return err;
	while (slot < SLOTS && mon->pl.target[slot])
		slot++;
	if (slot == SLOTS)
		return fail(&mon->log, -ENOSPC,
			    "%d cgroups are attached, the most that one handle takes", SLOTS);
	directory = directory_of(fd, path);
	t = target_new(mon->next_target_id + 1, slot,
		       opts.name ? strdup(opts.name) : default_name(directory));
	if (!t || !keep_ports(t, &opts)) {
		free(directory);
		target_free(t, true);
		return fail(&mon->log, -ENOMEM, "out of memory");
	}
	t->directory = directory;
	t->cgroup_id = cgroup_id;
	t->capture = opts.capture_bytes;
	t->protocols = opts.protocols;
	t->user = opts.user;
	err = attach_programs(&mon->cap, t, fd, what);
	if (err) {
		target_free(t, true);
		return err;
	}
	mon->next_target_id = t->id;
	mon->pl.target[slot] = t;
	recording_target(mon->recording, t);
	lookup_see_cgroup(mon, cgroup_id, fd);
	go_see_cgroup(&mon->go, fd);
	tls_see_cgroup(&mon->tls, fd);
	loop_look_after_targets(mon);
	if (ret_target)
		*ret_target = t->id;
	log_line(&mon->log, APPMON_LOG_INFO, "attached to %s as \"%s\", target %u, cgroup id %llu",
		 what, t->name, t->id, (unsigned long long)cgroup_id);
	unwatched_tell(mon, fd, cgroup_id);
	return 0;
}

int appmon_attach_cgroup_fd(struct appmon *mon, int cgroup_fd,
			    const struct appmon_attach_opts *opts, uint32_t *ret_target)
{
	int err = handle_check(mon);

	if (err)
		return err;
	if (cgroup_fd < 0)
		return fail(&mon->log, -EBADF, "%d is not a descriptor", cgroup_fd);
	return attach(mon, cgroup_fd, NULL, opts, ret_target);
}

int appmon_attach_cgroup(struct appmon *mon, const char *path,
			 const struct appmon_attach_opts *opts, uint32_t *ret_target)
{
	int err = handle_check(mon), fd;

	if (err)
		return err;
	if (!path)
		return fail(&mon->log, -EINVAL, "no cgroup path was given");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return log_answer(&mon->log, -ENOENT, "%s: %s", path, strerror(ENOENT));
	if (fd < 0)
		return fail(&mon->log, -errno, "%s: %s", path, strerror(errno));
	err = attach(mon, fd, path, opts, ret_target);
	close(fd);
	return err;
}

static void tell_loss(struct appmon *mon, uint64_t lost)
{
	if (!lost || mon->loss_told)
		return;
	mon->loss_told = true;
	log_line(
		&mon->log, APPMON_LOG_WARN,
		"the ring of %u bytes was full, so requests are lost (%llu records so far; this is "
		"said once): read more often, open with a larger ring, or watch a share of the "
		"connections",
		mon->opts.ring_bytes, (unsigned long long)lost);
}

static void target_look(struct appmon *mon, struct target *t)
{
	struct appmon_stats stats = {0};

	if (!mon->loss_told) {
		capture_counters(&mon->cap, t->slot, &stats);
		tell_loss(mon, stats.records_lost);
	}
	if (t->removed || !target_was_removed(t))
		return;
	t->removed = true;
	log_line(
		&mon->log, APPMON_LOG_INFO,
		"the cgroup of target %u, \"%s\", was removed: no request of it will come any more",
		t->id, t->name);
}

bool targets_look(struct appmon *mon)
{
	uint32_t looked = 0;
	bool any = false;

	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t slot = (mon->target_turn + i) % SLOTS;

		if (!mon->pl.target[slot])
			continue;
		if (looked == TARGETS_PER_LOOK) {
			mon->target_turn = slot;
			return true;
		}
		looked++;
		target_look(mon, mon->pl.target[slot]);
		any |= !mon->pl.target[slot]->removed;
	}
	return any;
}

void target_remove(struct appmon *mon, struct target *t)
{
	struct list_node *n, *next;

	flows_drop_target(&mon->flows, t);
	for (n = mon->pl.ready.next; n != &mon->pl.ready; n = next) {
		struct exchange *ex = list_entry(n, struct exchange, link);

		next = n->next;
		if (ex->id.target == t->id)
			exchange_drop(&mon->pl, ex, APPMON_DROP_DETACHED,
				      WHY("its target was detached before its event"));
	}
	mon->pl.target[t->slot] = NULL;
	target_free(t, true);
}

int appmon_detach(struct appmon *mon, uint32_t target)
{
	int err = handle_check(mon);
	struct target *t;

	if (err)
		return err;
	if (mon->replay)
		return replays(mon);
	if (mon->in_walk)
		return fail(&mon->log, -EBUSY,
			    "appmon_detach() was called from inside appmon_each_active()");
	t = target ? target_by_id(mon, target) : NULL;
	if (!t)
		return fail(&mon->log, -ENOENT, "there is no target %u", target);
	detach_programs(&mon->cap, t);
	attach_forget(&mon->cap, t);
	capture_counters(&mon->cap, t->slot, &mon->pl.stats);
	tell_loss(mon, mon->pl.stats.records_lost);
	recording_number(mon->recording, RECORDING_DETACH, t->id);
	target_remove(mon, t);
	return 0;
}

static struct appmon_str str_of(const char *text)
{
	return text ? (struct appmon_str){.data = text, .len = (uint32_t)strlen(text)}
		    : (struct appmon_str){.data = ""};
}

int appmon_next_target(struct appmon *mon, uint32_t after, struct appmon_target *ret)
{
	int err = handle_check(mon);
	struct appmon_target out = {0};
	struct target *next = NULL;

	if (err)
		return err;
	if (!ret)
		return fail(&mon->log, -EINVAL,
			    "appmon_next_target() needs a place for the target");
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		struct target *t = mon->pl.target[slot];

		if (t && t->id > after && (!next || t->id < next->id))
			next = t;
	}
	if (!next)
		return 0;
	out.id = next->id;
	out.cgroup_id = next->cgroup_id;
	out.name = str_of(next->name);
	out.path = str_of(next->directory);
	out.user = next->user;
	out.capture_bytes = next->capture;
	out.protocols = next->protocols;
	out.flags = next->removed ? APPMON_STATS_REMOVED : 0;
	err = opts_write(ret, &out, sizeof(out));
	return err ? fail(&mon->log, err, "appmon_target.size is not set") : 1;
}

void targets_free(struct appmon *mon)
{
	bool parent = mon->alive && *mon->alive;

	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		target_free(mon->pl.target[slot], parent);
		mon->pl.target[slot] = NULL;
	}
}
