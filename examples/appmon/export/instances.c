/* SPDX-License-Identifier: BSD-2-Clause */
#include "instances.h"

#include <err.h>
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../cgroup.h"

/* What the instance's cgroups used. */
struct usage {
	uint64_t cgroup_id; /* of the one that last is of */
	struct appmon_resources last;
	struct appmon_resources former; /* counters of those before it */
};

/* A cgroup. */
struct instance {
	struct instance *next_cgroup, *next_path;
	uint64_t cgroup_id;
	uint64_t id;	     /* of the instance: of the first cgroup with this path */
	uint64_t used_ns;    /* of the first cgroup, too, when a later one is used */
	char *path;	     /* below the mount; NULL: not known */
	struct usage *usage; /* of the first cgroup; NULL: never read */
};

int instances_init(struct instances *instances, struct appmon *mon)
{
	struct appmon_str top = {.data = "/"};
	struct stat st;
	int ret;

	instances->mon = mon;
	ret = cgroup_mount(&instances->mount);
	if (ret < 0)
		return ret;
	if (stat(instances->mount, &st) == 0)
		appmon_find_cgroup(mon, st.st_ino, &top);
	instances->prefix = strdup(strcmp(top.data, "/") == 0 ? "" : top.data);
	if (instances->prefix)
		return 0;
	warnx("out of memory");
	return -ENOMEM;
}

static size_t bucket_of_path(const char *path)
{
	uint64_t hash = 14695981039346656037U; /* FNV-1a */

	for (; *path != '\0'; path++)
		hash = (hash ^ (unsigned char)*path) * 1099511628211U;
	return hash % INSTANCES_BUCKETS;
}

static struct instance *find(const struct instances *instances, uint64_t cgroup_id)
{
	struct instance *i = instances->by_cgroup[cgroup_id % INSTANCES_BUCKETS];

	while (i && i->cgroup_id != cgroup_id)
		i = i->next_cgroup;
	return i;
}

/* The first cgroup that had this path. */
static struct instance *find_path(const struct instances *instances, const char *path)
{
	struct instance *i = instances->by_path[bucket_of_path(path)];

	while (i && strcmp(i->path, path) != 0)
		i = i->next_path;
	return i ? find(instances, i->id) : NULL;
}

/* The path of a cgroup that is there; NULL: it is gone. */
static char *look_up(struct instances *instances, uint64_t cgroup_id)
{
	struct appmon_str path;

	return appmon_find_cgroup(instances->mon, cgroup_id, &path) == 0 ? strdup(path.data) : NULL;
}

/* Takes path over, also on failure; NULL: it is not known. */
static struct instance *add(struct instances *instances, uint64_t cgroup_id, char *path)
{
	struct instance **bucket = &instances->by_cgroup[cgroup_id % INSTANCES_BUCKETS];
	struct instance *i = calloc(1, sizeof(*i)), *first = NULL;

	if (!i) {
		free(path);
		return NULL;
	}
	i->cgroup_id = cgroup_id;
	i->path = path;
	if (i->path)
		first = find_path(instances, i->path);
	i->id = first ? first->id : cgroup_id;
	i->next_cgroup = *bucket;
	*bucket = i;
	if (!i->path)
		return i;
	bucket = &instances->by_path[bucket_of_path(i->path)];
	i->next_path = *bucket;
	*bucket = i;
	return i;
}

static void use(struct instances *instances, struct instance *i)
{
	i->used_ns = instances->now_ns;
	if (i->id != i->cgroup_id)
		find(instances, i->id)->used_ns = instances->now_ns;
}

uint64_t instances_of(struct instances *instances, uint64_t cgroup_id)
{
	struct instance *i = find(instances, cgroup_id);

	if (!i)
		i = add(instances, cgroup_id, look_up(instances, cgroup_id));
	if (!i)
		return UINT64_MAX;
	use(instances, i);
	return i->id;
}

/* One whose directory is at hand. */
static void see(struct instances *instances, uint64_t cgroup_id, const char *directory)
{
	struct instance *i = find(instances, cgroup_id);
	size_t len = strlen(instances->mount);
	const char *below = directory + len;
	char *path = NULL;

	if (!i && strncmp(directory, instances->mount, len) == 0 &&
	    asprintf(&path, "%s%s", instances->prefix,
		     *below == '\0' && *instances->prefix == '\0' ? "/" : below) >= 0)
		i = add(instances, cgroup_id, path);
	if (i)
		use(instances, i);
}

void instances_see(struct instances *instances, const char *directory)
{
	struct stat st;

	/* The inode's number is the cgroup's. */
	if (stat(directory, &st) == 0)
		see(instances, st.st_ino, directory);
}

void instances_see_tree(struct instances *instances, const char *directory)
{
	char *real = realpath(directory, NULL), *const roots[] = {real, NULL};
	FTS *fts;
	FTSENT *entry;

	if (!real)
		return;
	fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	while (fts && (entry = fts_read(fts))) {
		if (entry->fts_info == FTS_D)
			see(instances, entry->fts_statp->st_ino, entry->fts_path);
	}
	if (fts)
		fts_close(fts);
	free(real);
}

const char *instances_name(const struct instances *instances, uint64_t cgroup_id, char *buf,
			   size_t size)
{
	const struct instance *i = find(instances, cgroup_id);

	if (i && i->path)
		return i->path;
	snprintf(buf, size, "%" PRIu64, cgroup_id);
	return buf;
}

unsigned instances_restarts(const struct instances *instances, uint64_t id)
{
	const struct instance *first = find(instances, id), *i;
	unsigned count = 0;

	if (!first || !first->path)
		return 0;
	for (i = instances->by_path[bucket_of_path(first->path)]; i; i = i->next_path)
		count += i != first && strcmp(i->path, first->path) == 0;
	return count;
}

static void add_counters(struct appmon_resources *to, const struct appmon_resources *from)
{
	to->cpu_ns += from->cpu_ns;
	to->cpu_user_ns += from->cpu_user_ns;
	to->cpu_system_ns += from->cpu_system_ns;
	to->periods += from->periods;
	to->throttled_periods += from->throttled_periods;
	to->throttled_ns += from->throttled_ns;
	to->read_bytes += from->read_bytes;
	to->write_bytes += from->write_bytes;
	to->reads += from->reads;
	to->writes += from->writes;
}

/* False: it is not known, or outside of what the mount shows. */
static bool directory_of(const struct instances *instances, const struct instance *i,
			 char path[PATH_MAX])
{
	size_t prefix_len;

	if (!i || !i->path)
		return false;
	prefix_len = strlen(instances->prefix);
	return strncmp(i->path, instances->prefix, prefix_len) == 0 &&
	       snprintf(path, PATH_MAX, "%s%s", instances->mount, i->path + prefix_len) < PATH_MAX;
}

const char *instances_why_no_memory(const struct instances *instances, uint64_t id)
{
	char path[PATH_MAX];

	if (!directory_of(instances, find(instances, id), path))
		return "its cgroup is not known";
	return cgroup_why_no_memory(path);
}

int instances_read_resources(struct instances *instances, uint64_t id,
			     struct appmon_resources *resources)
{
	struct instance *i = find(instances, id);
	char path[PATH_MAX];
	struct usage *usage;
	struct stat st;
	int ret;

	if (!directory_of(instances, i, path))
		return -ENOENT;
	if (stat(path, &st) < 0)
		return -errno;
	ret = appmon_read_resources(path, resources);
	if (ret < 0)
		return ret;
	if (!i->usage)
		i->usage = calloc(1, sizeof(*i->usage));
	usage = i->usage;
	if (!usage)
		return -ENOMEM;
	if (usage->cgroup_id != st.st_ino)
		add_counters(&usage->former, &usage->last);
	usage->cgroup_id = st.st_ino;
	usage->last = *resources;
	add_counters(resources, &usage->former);
	return 0;
}

static void unlink_path(struct instances *instances, const struct instance *instance)
{
	struct instance **link = &instances->by_path[bucket_of_path(instance->path)];

	while (*link != instance)
		link = &(*link)->next_path;
	*link = instance->next_path;
}

static void forget(struct instances *instances, struct instance **link)
{
	struct instance *i = *link;

	*link = i->next_cgroup;
	if (i->path)
		unlink_path(instances, i);
	free(i->path);
	free(i->usage);
	free(i);
}

/* The first cgroup of a path is used whenever a later one is: it never goes before that. */
void instances_forget(struct instances *instances, uint64_t since_ns)
{
	for (size_t b = 0; b < INSTANCES_BUCKETS; b++) {
		for (struct instance **link = &instances->by_cgroup[b]; *link;) {
			if ((*link)->used_ns < since_ns)
				forget(instances, link);
			else
				link = &(*link)->next_cgroup;
		}
	}
}

void instances_free(struct instances *instances)
{
	instances_forget(instances, UINT64_MAX);
	free(instances->mount);
	free(instances->prefix);
	instances->mount = instances->prefix = NULL;
}
