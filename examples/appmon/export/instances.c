/* SPDX-License-Identifier: BSD-2-Clause */
#include "instances.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <appmon/metrics.h>

#include "../cgroup.h"

/* Where cgroups come and go without end, those that are gone are forgotten with the rest. */
#define MAX_INSTANCES 16384

struct instance {
	uint64_t cgroup_id;
	char *path; /* NULL: it was gone */
};

int instances_init(struct instances *instances)
{
	char *mount;
	int ret;

	*instances = (struct instances){0};
	ret = cgroup_mount(&mount);
	if (ret < 0)
		return ret;
	snprintf(instances->mount, sizeof(instances->mount), "%s", mount);
	free(mount);
	return 0;
}

static char *find_path(uint64_t cgroup_id)
{
	char path[PATH_MAX];

	return appmon_cgroup_path(cgroup_id, path, sizeof(path)) < 0 ? NULL : strdup(path);
}

static struct instance *find(struct instances *instances, uint64_t cgroup_id)
{
	struct instance *grown;

	for (size_t i = 0; i < instances->count; i++) {
		if (instances->list[i].cgroup_id == cgroup_id)
			return &instances->list[i];
	}
	if (instances->count == MAX_INSTANCES)
		instances_free(instances);
	grown = reallocarray(instances->list, instances->count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	instances->list = grown;
	grown += instances->count++;
	*grown = (struct instance){cgroup_id, find_path(cgroup_id)};
	return grown;
}

const char *instances_path(struct instances *instances, uint64_t cgroup_id)
{
	const struct instance *instance = find(instances, cgroup_id);

	return instance ? instance->path : NULL;
}

const char *instances_name(struct instances *instances, uint64_t cgroup_id, char *buf, size_t size)
{
	const char *path = instances_path(instances, cgroup_id);
	size_t mount_len = strlen(instances->mount);

	if (!path) {
		snprintf(buf, size, "%" PRIu64, cgroup_id);
		return buf;
	}
	if (strncmp(path, instances->mount, mount_len) == 0)
		path += mount_len;
	return *path != '\0' ? path : "/";
}

void instances_free(struct instances *instances)
{
	for (size_t i = 0; i < instances->count; i++)
		free(instances->list[i].path);
	free(instances->list);
	instances->list = NULL;
	instances->count = 0;
}
