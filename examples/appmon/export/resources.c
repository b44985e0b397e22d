/* SPDX-License-Identifier: BSD-2-Clause */
#include "resources.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* A series of an instance, and its place in the snapshot. */
struct of_instance {
	uint64_t id;
	uint32_t index;
};

static int by_instance(const void *a, const void *b)
{
	const struct of_instance *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Returns how many there are. */
static uint32_t list_instances(const struct appmon_snapshot *snapshot, struct of_instance *list)
{
	uint32_t series_count = appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_SERIES), count = 0;

	for (uint32_t i = 0; i < series_count; i++) {
		struct appmon_series series = {.size = sizeof(series)};

		appmon_snapshot_series(snapshot, i, &series);
		if (series.cgroup_id != 0)
			list[count++] = (struct of_instance){series.cgroup_id, i};
	}
	qsort(list, count, sizeof(*list), by_instance);
	return count;
}

int resources_read(const struct appmon_snapshot *snapshot, struct instances *instances,
		   struct instance_resources **ret)
{
	uint32_t series_count = appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_SERIES);
	struct instance_resources *list = calloc(series_count + 1, sizeof(*list));
	struct of_instance *of = calloc(series_count + 1, sizeof(*of));
	uint32_t of_count;
	int count = 0;

	if (!list || !of) {
		free(list);
		free(of);
		return -ENOMEM;
	}
	of_count = list_instances(snapshot, of);
	for (uint32_t i = 0; i < of_count; i++) {
		struct appmon_resources resources = {.size = sizeof(resources)};
		struct appmon_series series = {.size = sizeof(series)};

		/* The latest of its series has the name that it has now. */
		if (i + 1 < of_count && of[i + 1].id == of[i].id)
			continue;
		appmon_snapshot_series(snapshot, of[i].index, &series);
		if (instances_read_resources(instances, of[i].id, &resources) == 0)
			list[count++] = (struct instance_resources){series, resources};
	}
	free(of);
	*ret = list;
	return count;
}
