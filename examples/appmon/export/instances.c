/* SPDX-License-Identifier: BSD-2-Clause */
#include "instances.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../cgroup.h"

int instances_init(struct instances *instances, struct appmon *mon)
{
	instances->mon = mon;
	return cgroup_mount(&instances->mount);
}

const char *instances_name(struct instances *instances, uint64_t cgroup_id, char *buf, size_t size)
{
	struct appmon_str path;

	if (appmon_find_cgroup(instances->mon, cgroup_id, &path) == 0)
		return path.data;
	snprintf(buf, size, "%" PRIu64, cgroup_id);
	return buf;
}

const char *instances_path(struct instances *instances, uint64_t cgroup_id)
{
	struct appmon_str path;

	if (appmon_find_cgroup(instances->mon, cgroup_id, &path) < 0)
		return NULL;
	snprintf(instances->path, sizeof(instances->path), "%s%s", instances->mount, path.data);
	return instances->path;
}

void instances_free(struct instances *instances)
{
	free(instances->mount);
	instances->mount = NULL;
}
