/* SPDX-License-Identifier: BSD-2-Clause */
#include "usage.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"

static void look(struct usage *u)
{
	struct appmon_resources r = {.size = sizeof(r)};

	if (!u->path || appmon_read_resources(u->path, &r) < 0) {
		u->cpu = -1;
		u->memory = UINT64_MAX;
		u->memory_why = "its cgroup is gone";
		return;
	}
	u->cpu = -1;
	if (r.valid & u->now.valid & APPMON_RES_CPU && r.time_ns > u->now.time_ns)
		u->cpu = (double)(r.cpu_ns - u->now.cpu_ns) / (double)(r.time_ns - u->now.time_ns);
	u->memory = r.valid & APPMON_RES_MEMORY ? r.memory_bytes : UINT64_MAX;
	u->memory_why = r.valid & APPMON_RES_MEMORY ? NULL : cgroup_why_no_memory(u->path);
	u->now = r;
}

void usages_refresh(struct usages *usages)
{
	for (size_t i = 0; i < usages->count; i++)
		look(&usages->list[i]);
}

const struct usage *usages_get(struct usages *usages, uint64_t cgroup_id)
{
	struct usage *u, *list;
	char path[PATH_MAX];

	for (size_t i = 0; i < usages->count; i++)
		if (usages->list[i].cgroup_id == cgroup_id)
			return &usages->list[i];
	list = reallocarray(usages->list, usages->count + 1, sizeof(*list));
	if (!list)
		return NULL;
	usages->list = list;
	u = &list[usages->count++];
	*u = (struct usage){.cgroup_id = cgroup_id};
	if (appmon_cgroup_path(cgroup_id, path, sizeof(path)) > 0)
		u->path = strdup(path);
	look(u);
	return u;
}

void usages_free(struct usages *usages)
{
	for (size_t i = 0; i < usages->count; i++)
		free(usages->list[i].path);
	free(usages->list);
	*usages = (struct usages){0};
}
