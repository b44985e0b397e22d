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
	char *name; /* NULL: it was gone */
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

static char *find_name(const struct instances *instances, uint64_t cgroup_id)
{
	size_t mount_len = strlen(instances->mount);
	char path[PATH_MAX];

	if (appmon_cgroup_path(cgroup_id, path, sizeof(path)) < 0)
		return NULL;
	if (strncmp(path, instances->mount, mount_len) != 0)
		mount_len = 0;
	return strdup(path[mount_len] != '\0' ? path + mount_len : "/");
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
	*grown = (struct instance){cgroup_id, find_name(instances, cgroup_id)};
	return grown;
}

const char *instances_name(struct instances *instances, uint64_t cgroup_id, char *buf, size_t size)
{
	const struct instance *instance = find(instances, cgroup_id);

	if (instance && instance->name)
		return instance->name;
	snprintf(buf, size, "%" PRIu64, cgroup_id);
	return buf;
}

void instances_free(struct instances *instances)
{
	for (size_t i = 0; i < instances->count; i++)
		free(instances->list[i].name);
	free(instances->list);
	instances->list = NULL;
	instances->count = 0;
}
