/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pods of this node, or the containers of docker, each as a pod of its own: what is kept of what
 * is said of each. Within a bound: what is beyond it is not kept, told once and counted.
 */
#ifndef APPMON_AGENT_PODS_H
#define APPMON_AGENT_PODS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;
struct pod;
struct pods;

/* Longer annotations are not kept: they are in no name. */
#define POD_VALUE_MAX 255

/* max_bytes: of all that is kept. NULL: out of memory. */
struct pods *pods_new(size_t max_bytes);
void pods_free(struct pods *pods);

/* A pod as the API has it is there, or has changed. What is no pod is left out. */
void pods_put(struct pods *pods, struct json_object *object);

/* The same for a container as docker lists it. */
void pods_put_container(struct pods *pods, struct json_object *container);

/* It is gone: it stays known for a minute, as its cgroup may be there, or its last requests. */
void pods_remove(struct pods *pods, struct json_object *object, uint64_t now_ns);

/* Those that were put in between are all that there are. */
void pods_list_begin(struct pods *pods);
void pods_list_end(struct pods *pods, uint64_t now_ns);

/* Forgets what has been gone for a minute. */
void pods_expire(struct pods *pods, uint64_t now_ns);

/* Whether something that was kept has changed since it was asked last. */
bool pods_changed(struct pods *pods);

/* How many there are, and how many were not kept. */
size_t pods_count(const struct pods *pods);
uint64_t pods_refused(const struct pods *pods);

/* uid: as its cgroup has it, which is another one for a static pod; of a container that is in no pod
 * its id. NULL: it is not known. */
const struct pod *pods_find(const struct pods *pods, const char *uid);

/* That of a cgroup's pod, or of its container that is in none. NULL: it is in neither, or not known. */
const struct pod *pods_of_cgroup(const struct pods *pods, const char *path);

/* What tells a cgroup from others of its application: "shop/web-7d4b9/nginx", a pod's namespace, name
 * and container; a container's name. False: nothing is known. */
bool pods_describe(const struct pods *pods, const char *path, char *buf, size_t size);

enum pod_fact { POD_NAMESPACE, POD_NAME, POD_WORKLOAD };

/* NULL: it has none, as it is a container. */
const char *pod_fact(const struct pod *pod, enum pod_fact fact);

/* NULL: it has none. */
const char *pod_label(const struct pod *pod, const char *key);
void pod_each_label(const struct pod *pod,
		    void (*fn)(void *ctx, const char *key, const char *value), void *ctx);
const char *pod_annotation(const struct pod *pod, const char *key);

/* The name of one of its containers, by the runtime's id; NULL: it is not known (yet). */
const char *pod_container(const struct pod *pod, const char *id);

#endif /* APPMON_AGENT_PODS_H */
