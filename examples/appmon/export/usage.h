/* SPDX-License-Identifier: BSD-2-Clause */
/* What each instance that has series uses of the machine. */
#ifndef APPMON_EXPORT_USAGE_H
#define APPMON_EXPORT_USAGE_H

#include <stddef.h>

#include <appmon/metrics.h>

struct usage {
	struct appmon_series series; /* one of the instance's: app and cgroup_id */
	struct appmon_resources resources;
};

/* *ret is to be freed and valid as long as the snapshot. Returns how many, or -ENOMEM. */
int usage_read(const struct appmon_snapshot *snapshot, struct usage **ret);

#endif /* APPMON_EXPORT_USAGE_H */
