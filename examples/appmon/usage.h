/* SPDX-License-Identifier: BSD-2-Clause */
/* What instances use of the machine, read from their cgroups now and then. */
#ifndef APPMON_CLI_USAGE_H
#define APPMON_CLI_USAGE_H

#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

struct usage {
	uint64_t cgroup_id;
	char *path; /* NULL: unknown, or gone */
	struct appmon_resources now;
	double cpu;		/* of one CPU, since the reading before; below 0: unknown */
	uint64_t memory;	/* UINT64_MAX: unknown */
	const char *memory_why; /* that is so; NULL: it is known */
};

struct usages {
	struct usage *list;
	size_t count;
};

/* Looks again at every cgroup that was asked for. */
void usages_refresh(struct usages *usages);

/* NULL only if there is no memory. Valid until the next call. */
const struct usage *usages_get(struct usages *usages, uint64_t cgroup_id);

void usages_free(struct usages *usages);

#endif /* APPMON_CLI_USAGE_H */
