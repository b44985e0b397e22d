/* SPDX-License-Identifier: BSD-2-Clause */
#include "pods.h"

#include <err.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include <appmon/appmon.h>

#include "../text.h"
#include "json-stream.h"

#define BUCKETS 256
#define LINGER_NS (60 * NSEC_PER_SEC)
/* Of a static pod the API has a mirror with a uid of its own; this is the one of the cgroup. */
#define MIRROR "kubernetes.io/config.mirror"

static const char *const fact_keys[] = {"namespace", "name", "workload"};

struct pod {
	struct pod *next;
	/* What is kept: fact_keys, labels, annotations, and containers: names by ids. */
	struct json_object *facts;
	size_t bytes;
	uint64_t gone_ns; /* 0: it is there */
	bool listed;
	char uid[];
};

struct pods {
	struct pod *bucket[BUCKETS];
	size_t bytes, max_bytes;
	uint64_t refused;
	bool changed;
};

/* ---- What owns a pod ------------------------------------------------------------ */

/* Without "-suffix", if it ends so. */
static size_t without(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	return suffix_len > 0 && len > suffix_len + 1 && name[len - suffix_len - 1] == '-' &&
			       strcmp(name + len - suffix_len, suffix) == 0
		       ? len - suffix_len - 1
		       : len;
}

/* A CronJob calls its jobs NAME-TIME, the time in minutes since 1970: eight digits from 1989 on. */
static size_t without_time(const char *name)
{
	size_t len = strlen(name), digits = 0;

	while (digits < len && name[len - digits - 1] >= '0' && name[len - digits - 1] <= '9')
		digits++;
	return digits == 8 && len > 9 && name[len - 9] == '-' ? len - 9 : len;
}

static struct json_object *controller(struct json_object *metadata)
{
	struct json_object *owners = json_member(metadata, "ownerReferences");

	for (size_t i = 0;
	     json_object_is_type(owners, json_type_array) && i < json_object_array_length(owners);
	     i++) {
		struct json_object *owner = json_object_array_get_idx(owners, i);

		if (json_object_get_boolean(json_member(owner, "controller")))
			return owner;
	}
	return NULL;
}

/*
 * The Deployment of a ReplicaSet and the CronJob of a Job are told from the names that these give:
 * that needs no right to read them. A pod that no one manages is its own workload, without the
 * node's name if the node's kubelet has made it.
 */
static struct json_object *workload(struct json_object *metadata, struct json_object *spec,
				    const char *name)
{
	struct json_object *owner = controller(metadata);
	const char *kind = json_member_text(owner, "kind"),
		   *owner_name = json_member_text(owner, "name"), *more;
	size_t len;

	if (!kind || !owner_name)
		return json_object_new_string(name);
	len = strlen(owner_name);
	if (strcmp(kind, "ReplicaSet") == 0) {
		more = json_member_text(json_member(metadata, "labels"), "pod-template-hash");
		len = without(owner_name, more ? more : "");
	} else if (strcmp(kind, "Job") == 0) {
		len = without_time(owner_name);
	} else if (strcmp(kind, "Node") == 0) {
		more = json_member_text(spec, "nodeName");
		owner_name = name;
		len = without(name, more ? more : "");
	}
	return json_object_new_string_len(owner_name, (int)len);
}

/* ---- What is kept ----------------------------------------------------------------- */

/* Those texts of a mapping that are not too long. */
static struct json_object *texts(struct json_object *map)
{
	struct json_object *kept = json_object_new_object();

	if (!json_object_is_type(map, json_type_object))
		return kept;
	json_object_object_foreach(map, key, value)
	{
		if (json_object_is_type(value, json_type_string) &&
		    json_object_get_string_len(value) <= POD_VALUE_MAX)
			json_object_object_add(kept, key, json_object_get(value));
	}
	return kept;
}

/* "containerd://ID" of each container, those that are not started yet have none. */
static void add_containers(struct json_object *kept, struct json_object *statuses)
{
	for (size_t i = 0; json_object_is_type(statuses, json_type_array) &&
			   i < json_object_array_length(statuses);
	     i++) {
		struct json_object *status = json_object_array_get_idx(statuses, i);
		const char *name = json_member_text(status, "name"),
			   *id = json_member_text(status, "containerID");
		const char *scheme = id ? strstr(id, "://") : NULL;

		if (name && scheme)
			json_object_object_add(kept, scheme + 3, json_object_new_string(name));
	}
}

static struct json_object *facts_of(struct json_object *object)
{
	struct json_object *metadata = json_member(object, "metadata"),
			   *status = json_member(object, "status");
	struct json_object *facts = json_object_new_object();
	struct json_object *containers = json_object_new_object();
	const char *space = json_member_text(metadata, "namespace"),
		   *name = json_member_text(metadata, "name");

	if (!name)
		name = "";
	add_containers(containers, json_member(status, "initContainerStatuses"));
	add_containers(containers, json_member(status, "containerStatuses"));
	add_containers(containers, json_member(status, "ephemeralContainerStatuses"));
	json_object_object_add(facts, fact_keys[POD_NAMESPACE],
			       json_object_new_string(space ? space : ""));
	json_object_object_add(facts, fact_keys[POD_NAME], json_object_new_string(name));
	json_object_object_add(facts, fact_keys[POD_WORKLOAD],
			       workload(metadata, json_member(object, "spec"), name));
	json_object_object_add(facts, "labels", texts(json_member(metadata, "labels")));
	json_object_object_add(facts, "annotations", texts(json_member(metadata, "annotations")));
	json_object_object_add(facts, "containers", containers);
	return facts;
}

/* The name has a slash in front. */
static struct json_object *facts_of_container(struct json_object *container, const char *id)
{
	struct json_object *facts = json_object_new_object();
	struct json_object *containers = json_object_new_object(),
			   *names = json_member(container, "Names");
	const char *name = NULL;

	if (json_object_is_type(names, json_type_array))
		name = json_object_get_string(json_object_array_get_idx(names, 0));
	if (name)
		json_object_object_add(containers, id,
				       json_object_new_string(name + (*name == '/')));
	json_object_object_add(facts, "labels", texts(json_member(container, "Labels")));
	json_object_object_add(facts, "containers", containers);
	return facts;
}

/* About what it takes; json-c makes a table of 16 places for each mapping. */
static size_t bytes_of(struct json_object *value)
{
	size_t bytes = 64;

	if (!json_object_is_type(value, json_type_object))
		return bytes + (size_t)json_object_get_string_len(value);
	bytes += (size_t)16 * 40;
	json_object_object_foreach(value, key, member) bytes += strlen(key) + bytes_of(member);
	return bytes;
}

/* ---- The table --------------------------------------------------------------------- */

static struct pod **bucket_of(struct pods *pods, const char *uid)
{
	return &pods->bucket[hash_bytes(uid, strlen(uid)) % BUCKETS];
}

const struct pod *pods_find(const struct pods *pods, const char *uid)
{
	const struct pod *pod = *bucket_of((struct pods *)pods, uid);

	while (pod && strcmp(pod->uid, uid) != 0)
		pod = pod->next;
	return pod;
}

static const char *uid_of(struct json_object *object)
{
	struct json_object *metadata = json_member(object, "metadata");
	const char *mirror = json_member_text(json_member(metadata, "annotations"), MIRROR);

	return mirror ? mirror : json_member_text(metadata, "uid");
}

static struct pod *add(struct pods *pods, const char *uid)
{
	struct pod **bucket = bucket_of(pods, uid);
	struct pod *pod = calloc(1, sizeof(*pod) + strlen(uid) + 1);

	if (!pod)
		return NULL;
	strcpy(pod->uid, uid);
	pod->next = *bucket;
	*bucket = pod;
	return pod;
}

static void forget(struct pods *pods, struct pod **link)
{
	struct pod *pod = *link;

	*link = pod->next;
	pods->bytes -= pod->bytes;
	json_object_put(pod->facts);
	free(pod);
}

static void refuse(struct pods *pods, struct json_object *facts)
{
	if (pods->refused++ == 0)
		warnx("what is said of pods is more than %zu bytes: the names of those beyond are "
		      "not known",
		      pods->max_bytes);
	json_object_put(facts);
}

/* Takes facts over. */
static void keep(struct pods *pods, const char *uid, struct json_object *facts)
{
	struct pod *pod = (struct pod *)pods_find(pods, uid);
	size_t bytes = sizeof(*pod) + strlen(uid) + bytes_of(facts);

	if (pods->bytes - (pod ? pod->bytes : 0) + bytes > pods->max_bytes) {
		refuse(pods, facts);
		return;
	}
	if (!pod)
		pod = add(pods, uid);
	if (!pod) {
		refuse(pods, facts);
		return;
	}
	pod->listed = true;
	pod->gone_ns = 0;
	pods->changed |= !json_object_equal(pod->facts, facts);
	json_object_put(pod->facts);
	pod->facts = facts;
	pods->bytes += bytes - pod->bytes;
	pod->bytes = bytes;
}

void pods_put(struct pods *pods, struct json_object *object)
{
	const char *uid = uid_of(object);

	if (uid && *uid != '\0')
		keep(pods, uid, facts_of(object));
}

void pods_put_container(struct pods *pods, struct json_object *container)
{
	const char *id = json_member_text(container, "Id");

	if (id && *id != '\0')
		keep(pods, id, facts_of_container(container, id));
}

void pods_remove(struct pods *pods, struct json_object *object, uint64_t now_ns)
{
	const char *uid = uid_of(object);
	struct pod *pod = uid ? (struct pod *)pods_find(pods, uid) : NULL;

	if (pod)
		pod->gone_ns = now_ns;
}

void pods_list_begin(struct pods *pods)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct pod *pod = pods->bucket[b]; pod; pod = pod->next)
			pod->listed = false;
	}
}

void pods_list_end(struct pods *pods, uint64_t now_ns)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct pod *pod = pods->bucket[b]; pod; pod = pod->next) {
			if (!pod->listed && pod->gone_ns == 0)
				pod->gone_ns = now_ns;
		}
	}
}

void pods_expire(struct pods *pods, uint64_t now_ns)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct pod **link = &pods->bucket[b]; *link;) {
			if ((*link)->gone_ns != 0 && now_ns - (*link)->gone_ns > LINGER_NS)
				forget(pods, link);
			else
				link = &(*link)->next;
		}
	}
}

struct pods *pods_new(size_t max_bytes)
{
	struct pods *pods = calloc(1, sizeof(*pods));

	if (pods)
		pods->max_bytes = max_bytes;
	return pods;
}

void pods_free(struct pods *pods)
{
	if (!pods)
		return;
	for (size_t b = 0; b < BUCKETS; b++) {
		while (pods->bucket[b])
			forget(pods, &pods->bucket[b]);
	}
	free(pods);
}

bool pods_changed(struct pods *pods)
{
	bool changed = pods->changed;

	pods->changed = false;
	return changed;
}

size_t pods_count(const struct pods *pods)
{
	size_t count = 0;

	for (size_t b = 0; b < BUCKETS; b++) {
		for (const struct pod *pod = pods->bucket[b]; pod; pod = pod->next)
			count += pod->gone_ns == 0;
	}
	return count;
}

uint64_t pods_refused(const struct pods *pods)
{
	return pods->refused;
}

const char *pod_fact(const struct pod *pod, enum pod_fact fact)
{
	return json_member_text(pod->facts, fact_keys[fact]);
}

const char *pod_label(const struct pod *pod, const char *key)
{
	return json_member_text(json_member(pod->facts, "labels"), key);
}

const char *pod_annotation(const struct pod *pod, const char *key)
{
	return json_member_text(json_member(pod->facts, "annotations"), key);
}

const char *pod_container(const struct pod *pod, const char *id)
{
	return json_member_text(json_member(pod->facts, "containers"), id);
}

void pod_each_label(const struct pod *pod,
		    void (*fn)(void *ctx, const char *key, const char *value), void *ctx)
{
	json_object_object_foreach(json_member(pod->facts, "labels"), key, value)
	{
		fn(ctx, key, json_object_get_string(value));
	}
}

const struct pod *pods_of_cgroup(const struct pods *pods, const char *path)
{
	struct appmon_container container = {.size = sizeof(container)};

	if (appmon_cgroup_container(path, &container) < 0)
		return NULL;
	return pods_find(pods, container.pod_uid[0] != '\0' ? container.pod_uid : container.id);
}

bool pods_describe(const struct pods *pods, const char *path, char *buf, size_t size)
{
	struct appmon_container container = {.size = sizeof(container)};
	const struct pod *pod = pods_of_cgroup(pods, path);
	const char *namespace, *name, *inner;

	if (!pod || appmon_cgroup_container(path, &container) < 0)
		return false;
	namespace = pod_fact(pod, POD_NAMESPACE);
	name = pod_fact(pod, POD_NAME);
	inner = pod_container(pod, container.id);
	snprintf(buf, size, "%s%s%s%s%s", namespace ? namespace : "", namespace ? "/" : "",
		 name ? name : "", name && inner ? "/" : "", inner ? inner : "");
	return buf[0] != '\0';
}
