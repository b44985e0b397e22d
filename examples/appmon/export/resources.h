/* SPDX-License-Identifier: BSD-2-Clause */
/* What each instance that has series uses of the machine. */
#ifndef APPMON_EXPORT_RESOURCES_H
#define APPMON_EXPORT_RESOURCES_H

#include <appmon/metrics.h>

#include "instances.h"

struct instance_resources {
	struct appmon_series series; /* one of the instance's: app and cgroup_id */
	struct appmon_resources resources;
};

/* *ret is to be freed and valid as long as the snapshot. Returns how many, or -ENOMEM. */
int resources_read(const struct appmon_snapshot *snapshot, struct instances *instances,
		   struct instance_resources **ret);

#endif /* APPMON_EXPORT_RESOURCES_H */
