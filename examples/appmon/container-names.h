/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What containers are called, for the commands that have no configuration: asked of Kubernetes' API
 * server where this runs in a pod that may, else of docker and podman where their sockets are. The
 * agent has the same names by rules of its own.
 */
#ifndef APPMON_CLI_CONTAINER_NAMES_H
#define APPMON_CLI_CONTAINER_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

struct container_names;

/*
 * Waits for the first answer, up to a second: names are there when requests come. *ret is NULL where
 * there is nobody to ask; all calls below take that. Returns 0 or a negative errno value and has told
 * the user then. Who does not answer is asked again, and nothing is said of it.
 */
int container_names_open(struct container_names **ret);
void container_names_close(struct container_names *names);

/* Takes what has been answered, and asks again if it is time to: to be called each second or so. */
void container_names_run(struct container_names *names);

/*
 * The application of a cgroup that is in a container: PROJECT/SERVICE of docker compose,
 * NAMESPACE/WORKLOAD of a pod, else the container's name. NULL: it is in none, or nobody knows it;
 * a container that was not told of yet is waited for, a moment. Valid until the next call.
 */
const char *container_names_find(struct container_names *names, uint64_t cgroup_id,
				 const char *path);

/* The same for an event of a target without a name of its own (target_user, see targets.h); else
 * the target's name. */
const char *container_names_of_event(struct container_names *names, struct appmon *mon,
				     const struct appmon_event *ev);

/* The event under that name. Valid as long as both. */
struct appmon_event container_names_event(struct container_names *names, struct appmon *mon,
					  const struct appmon_event *ev);

/* One container of several with this name, as pods_describe() has it. */
bool container_names_instance(struct container_names *names, const char *path, char *buf,
			      size_t size);

/* The labels of the container that path is in, or of its pod. */
void container_names_each_label(struct container_names *names, const char *path,
				void (*fn)(void *ctx, const char *key, const char *value),
				void *ctx);

#endif /* APPMON_CLI_CONTAINER_NAMES_H */
