/* SPDX-License-Identifier: BSD-2-Clause */
/* The names of instances: the paths of cgroups by their ids, which outlive the cgroups. */
#ifndef APPMON_EXPORT_INSTANCES_H
#define APPMON_EXPORT_INSTANCES_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

struct instances {
	struct appmon *mon;
	char *mount; /* of the hierarchy */
	char path[PATH_MAX];
};

/* Returns 0 or a negative errno value and has told the user then. */
int instances_init(struct instances *instances, struct appmon *mon);

/*
 * "/system.slice/nginx.service"; the id, written into buf, if the cgroup was gone when it was
 * first asked for. Valid until the next call.
 */
const char *instances_name(struct instances *instances, uint64_t cgroup_id, char *buf, size_t size);

/* The cgroup's directory, likewise; NULL if it was gone. */
const char *instances_path(struct instances *instances, uint64_t cgroup_id);

void instances_free(struct instances *instances);

#endif /* APPMON_EXPORT_INSTANCES_H */
