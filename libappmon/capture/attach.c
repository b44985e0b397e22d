/* SPDX-License-Identifier: BSD-2-Clause */
/* Targets: a cgroup with the programs on it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "capture/capture.h"

#include "capture.skel.h"

void target_free(struct target *t, bool detach)
{
	if (!t)
		return;
	for (int i = 0; i < LINKS; i++) {
		if (t->link_fd[i] < 0)
			continue;
		if (detach)
			bpf_link_detach(t->link_fd[i]);
		close(t->link_fd[i]);
	}
	free(t->directory);
	free(t->ports);
	free(t->name);
	free(t);
}

struct target *target_new(uint32_t id, uint32_t slot, char *name)
{
	struct target *t = name ? calloc(1, sizeof(*t)) : NULL;

	if (!t) {
		free(name);
		return NULL;
	}
	t->id = id;
	t->slot = slot;
	t->name = name;
	for (int i = 0; i < LINKS; i++)
		t->link_fd[i] = -1;
	return t;
}

/* Sets the target that the programs on a cgroup run for; with target 0 they return at once. */
static int arm(struct capture *cap, const struct target *t, uint32_t id)
{
	struct target_conf conf = {
		.cgroup_id = t->cgroup_id,
		.target = id,
		.slot = t->slot,
		.capture = t->capture,
		.protocols = t->protocols,
		.hint_count = t->port_count,
	};

	for (uint32_t i = 0; i < t->port_count; i++)
		conf.hint[i] = (struct target_hint){.port = (__u16)t->ports[i].port,
						    .protocol = (__u16)t->ports[i].protocol};

	if (bpf_map_update_elem(bpf_map__fd(cap->skel->maps.targets), &t->cgroup_id, &conf,
				BPF_EXIST))
		return -errno;
	return 0;
}

/* Says whether a packet passes one attachment only. Before a second one is made, and before the one
 * goes. */
static void tell_only_target(struct capture *cap, uint32_t id)
{
	cap->skel->bss->only_target = id;
}

static int reset_slot(struct capture *cap, uint32_t slot, uint32_t id)
{
	memset(cap->per_cpu, 0, (size_t)cap->cpus * sizeof(*cap->per_cpu));
	if (bpf_map_update_elem(bpf_map__fd(cap->skel->maps.counters), &slot, cap->per_cpu,
				BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(cap->skel->maps.live), &slot, &id, BPF_ANY))
		return -errno;
	return 0;
}

static int link_programs(struct capture *cap, struct target *t, int cgroup_fd, const char *what)
{
	const struct {
		const struct bpf_program *prog;
		enum bpf_attach_type type;
	} link[LINKS] = {
		{cap->skel->progs.appmon_packet, BPF_CGROUP_INET_INGRESS},
		{cap->skel->progs.appmon_packet, BPF_CGROUP_INET_EGRESS},
		{cap->skel->progs.appmon_release, BPF_CGROUP_INET_SOCK_RELEASE},
		{cap->skel->progs.appmon_socket, BPF_CGROUP_INET_SOCK_CREATE},
	};
	int err;

	for (int i = 0; i < LINKS; i++) {
		if (!bpf_program__autoload(link[i].prog))
			continue;
		t->link_fd[i] = bpf_link_create(bpf_program__fd(link[i].prog), cgroup_fd,
						link[i].type, NULL);
		if (t->link_fd[i] >= 0)
			continue;
		err = -errno;
		if (err == -EPERM)
			return fail(cap->log, err,
				    "%s does not allow attaching: another program sits at or above "
				    "it without BPF_F_ALLOW_MULTI (bpftool cgroup tree shows it), "
				    "or CAP_NET_ADMIN is missing",
				    what);
		if (err == -ENODEV) /* between the host's look and this */
			return log_answer(cap->log, err, "attaching to %s: the cgroup was removed",
					  what);
		return fail(cap->log, err, "attaching to %s: %s", what, strerror(-err));
	}
	return 0;
}

int attach_programs(struct capture *cap, struct target *t, int cgroup_fd, const char *what)
{
	int err = reset_slot(cap, t->slot, t->id);

	if (err)
		return fail(cap->log, err, "attaching to %s: %s", what, strerror(-err));
	tell_only_target(cap, cap->attached ? 0 : t->id);
	err = link_programs(cap, t, cgroup_fd, what);
	if (err)
		return err;
	err = arm(cap, t, t->id);
	if (err == -ENOENT)
		return log_answer(cap->log, -ENODEV, "attaching to %s: the cgroup was removed",
				  what);
	if (err)
		return fail(cap->log, err, "attaching to %s: %s", what, strerror(-err));
	cap->attached++;
	return 0;
}

void detach_programs(struct capture *cap, struct target *t)
{
	/* Also where one is left: a packet may be on its way through both. */
	tell_only_target(cap, 0);
	cap->attached--;
	arm(cap, t, 0); /* fails if the cgroup is gone, and with it what is to be switched off */
	for (int i = 0; i < LINKS; i++) {
		if (t->link_fd[i] < 0)
			continue;
		bpf_link_detach(t->link_fd[i]);
		close(t->link_fd[i]);
		t->link_fd[i] = -1;
	}
}

void attach_forget(struct capture *cap, const struct target *t)
{
	uint32_t none = 0;

	bpf_map_update_elem(bpf_map__fd(cap->skel->maps.live), &t->slot, &none, BPF_ANY);
}

/* The kernel's answer is certain, but its lock is held while processes move between cgroups: it is
 * asked only if the directory is not where it was. */
bool target_was_removed(const struct target *t)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	struct stat st;
	bool hidden;

	if (t->directory && !stat(t->directory, &st) && st.st_ino == t->cgroup_id)
		return false;
	hidden = !t->directory;
	/* A link loses its cgroup when that was removed and has no socket any more. */
	if (bpf_obj_get_info_by_fd(t->link_fd[0], &info, &len))
		return !hidden; /* before Linux 5.19 without CAP_BPF */
	return !info.cgroup.cgroup_id;
}
