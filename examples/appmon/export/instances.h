/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instances of applications: cgroups by their paths, which are taken while the cgroups are
 * there and outlive them. Cgroups that were made one after the other under one path, as those of a
 * service that is restarted, are one instance.
 */
#ifndef APPMON_EXPORT_INSTANCES_H
#define APPMON_EXPORT_INSTANCES_H

#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>
#include <appmon/metrics.h>

#define INSTANCES_BUCKETS 1024

struct instance;

struct instances {
	struct appmon *mon;
	char *mount;  /* of the hierarchy */
	char *prefix; /* what of it the mount shows: "" if it is all */
	struct instance *by_cgroup[INSTANCES_BUCKETS];
	struct instance *by_path[INSTANCES_BUCKETS];
	uint64_t now_ns; /* the present, as far as the caller keeps it up to date */
};

/* Returns 0 or a negative errno value and has told the user then. */
int instances_init(struct instances *instances, struct appmon *mon);

/*
 * The number of a cgroup's instance: the id of the first cgroup that was seen under its path, or
 * its own if it was gone when it was first asked for. Looks up what is not known yet: to be called
 * when a cgroup appears, or its first event comes. UINT64_MAX, the instance of all such: no memory.
 */
uint64_t instances_of(struct instances *instances, uint64_t cgroup_id);

/* The same for a directory, and for all directories below it; those that are gone are left out. */
void instances_see(struct instances *instances, const char *directory);
void instances_see_tree(struct instances *instances, const char *directory);

/*
 * "/system.slice/nginx.service" of a cgroup or instance, or the number, written into buf, if its
 * path is not known. Valid until instances_forget().
 */
const char *instances_name(const struct instances *instances, uint64_t cgroup_id, char *buf,
			   size_t size);

/*
 * What an instance uses. Counters go on where its cgroup was made again: what the one before had
 * used when it was last asked for is added. -ENOENT: it is gone, or its path is not known.
 */
int instances_read_resources(struct instances *instances, uint64_t id,
			     struct appmon_resources *resources);

/* Why there is no memory in them; a string that lasts. */
const char *instances_why_no_memory(const struct instances *instances, uint64_t id);

/* How often its cgroup was made again under its path since it was first seen. */
unsigned instances_restarts(const struct instances *instances, uint64_t id);

/* Forgets what was not asked for since. */
void instances_forget(struct instances *instances, uint64_t since_ns);

void instances_free(struct instances *instances);

#endif /* APPMON_EXPORT_INSTANCES_H */
