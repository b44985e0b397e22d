/* SPDX-License-Identifier: BSD-2-Clause */
#include "usage.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static bool is_known(const struct usage *list, size_t count, uint64_t cgroup_id)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].series.cgroup_id == cgroup_id)
			return true;
	}
	return false;
}

/* False if the cgroup is gone. */
static bool read_resources(struct usage *usage)
{
	char path[PATH_MAX];

	usage->resources = (struct appmon_resources){.size = sizeof(usage->resources)};
	return appmon_cgroup_path(usage->series.cgroup_id, path, sizeof(path)) >= 0 &&
	       appmon_read_resources(path, &usage->resources) == 0;
}

int usage_read(const struct appmon_snapshot *snapshot, struct usage **ret)
{
	uint32_t series_count = appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_SERIES);
	struct usage *list, usage;
	int count = 0;

	list = calloc(series_count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < series_count; i++) {
		usage.series = (struct appmon_series){.size = sizeof(usage.series)};
		if (appmon_snapshot_series(snapshot, i, &usage.series) < 0 ||
		    usage.series.cgroup_id == 0 ||
		    is_known(list, (size_t)count, usage.series.cgroup_id))
			continue;
		if (read_resources(&usage))
			list[count++] = usage;
	}
	*ret = list;
	return count;
}
