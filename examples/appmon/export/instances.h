/* SPDX-License-Identifier: BSD-2-Clause */
/* The names of instances: the paths of cgroups by their ids, which outlive the cgroups. */
#ifndef APPMON_EXPORT_INSTANCES_H
#define APPMON_EXPORT_INSTANCES_H

#include <stddef.h>
#include <stdint.h>

struct instance;

/* Zeroed: empty. */
struct instances {
	struct instance *list;
	size_t count;
	char mount[256]; /* of the hierarchy: what paths begin with and names do not */
};

/* Where the names begin. Returns 0 or a negative errno value and has told the user then. */
int instances_init(struct instances *instances);

/*
 * "/system.slice/nginx.service"; the id, written into buf, if the cgroup was gone when it was
 * first asked for. Valid until the next call.
 */
const char *instances_name(struct instances *instances, uint64_t cgroup_id, char *buf, size_t size);

/* The cgroup's directory; NULL if it was gone when it was first asked for. */
const char *instances_path(struct instances *instances, uint64_t cgroup_id);

void instances_free(struct instances *instances);

#endif /* APPMON_EXPORT_INSTANCES_H */
