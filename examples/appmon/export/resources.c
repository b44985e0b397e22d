/* SPDX-License-Identifier: BSD-2-Clause */
#include "resources.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static bool is_known(const struct instance_resources *list, int count, uint64_t cgroup_id)
{
	for (int i = 0; i < count; i++) {
		if (list[i].series.cgroup_id == cgroup_id)
			return true;
	}
	return false;
}

int resources_read(const struct appmon_snapshot *snapshot, struct instances *instances,
		   struct instance_resources **ret)
{
	uint32_t series_count = appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_SERIES);
	struct instance_resources *list = calloc(series_count + 1, sizeof(*list));
	int count = 0;

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < series_count; i++) {
		struct appmon_resources resources = {.size = sizeof(resources)};
		struct appmon_series series = {.size = sizeof(series)};
		const char *path;

		appmon_snapshot_series(snapshot, i, &series);
		if (series.cgroup_id == 0 || is_known(list, count, series.cgroup_id))
			continue;
		path = instances_path(instances, series.cgroup_id);
		if (path && appmon_read_resources(path, &resources) == 0)
			list[count++] = (struct instance_resources){series, resources};
	}
	*ret = list;
	return count;
}
