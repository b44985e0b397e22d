/* SPDX-License-Identifier: BSD-2-Clause */
#include "container-names.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/applications.h"
#include "agent/docker.h"
#include "agent/kubernetes.h"
#include "agent/pods.h"
#include "clock.h"
#include "export/addresses.h"
#include "export/http-client.h"
#include "text.h"

#define PODS_MAX_BYTES (16 << 20)
#define ADDRESSES_MAX_BYTES (4 << 20)
#define FIRST_ANSWER_NS NSEC_PER_SEC
/* An engine tells of a container before it starts its processes. */
#define NEWS_NS (200 * NSEC_PER_MSEC)
#define CACHED 256
#define ENGINES_MAX 2

/* One that is asked, and what it has said. */
struct engine {
	struct pods *pods;
	struct docker *docker;
	struct kubernetes *kubernetes;
};

struct cached {
	uint64_t cgroup_id; /* 0: the slot is free */
	char *name;	    /* NULL: it has none */
};

struct container_names {
	struct http_client *client;
	struct engine engines[ENGINES_MAX];
	size_t engine_count;
	struct addresses *addresses; /* of Kubernetes */
	struct cached cache[CACHED];
};

static char any[] = "*", compose_service[] = "com.docker.compose.service",
	    compose_name[] =
		    "{label:com.docker.compose.project}/{label:com.docker.compose.service}",
	    pod_name[] = "{namespace}/{workload}", container_name[] = "{container}";
static struct application_match is_compose = {
	.kind = MATCH_LABEL, .key = compose_service, .value = any};
static struct application_rule rules[] = {
	{.matches = &is_compose, .match_count = 1, .name = compose_name},
	{.name = pod_name},
	{.name = container_name},
};
static const struct applications applications = {.rules = rules,
						 .count = sizeof(rules) / sizeof(rules[0])};

/* ---- Who is asked --------------------------------------------------------------------------- */

static int add_engine(struct container_names *names, struct engine **ret)
{
	struct engine *engine = &names->engines[names->engine_count];

	engine->pods = pods_new(PODS_MAX_BYTES);
	if (!engine->pods) {
		warnx("out of memory");
		return -ENOMEM;
	}
	names->engine_count++;
	*ret = engine;
	return 0;
}

static int add_kubernetes(struct container_names *names)
{
	struct kubernetes_opts opts = {.client = names->client, .quiet = true};
	struct engine *engine;
	int ret = add_engine(names, &engine);

	if (ret < 0)
		return ret;
	names->addresses = addresses_new(ADDRESSES_MAX_BYTES);
	if (!names->addresses) {
		warnx("out of memory");
		return -ENOMEM;
	}
	opts.pods = engine->pods;
	opts.addresses = names->addresses;
	return kubernetes_open(&engine->kubernetes, &opts);
}

static int add_docker(struct container_names *names, const char *socket)
{
	struct engine *engine;
	int ret;

	if (access(socket, F_OK) < 0)
		return 0;
	ret = add_engine(names, &engine);
	return ret < 0 ? ret
		       : docker_open(&engine->docker, socket, names->client, engine->pods, true);
}

static int add_engines(struct container_names *names)
{
	static const char scheme[] = "unix://";
	const char *host = getenv("DOCKER_HOST");
	int ret;

	if (kubernetes_is_around())
		return add_kubernetes(names);
	if (host)
		return strncmp(host, scheme, strlen(scheme)) == 0
			       ? add_docker(names, host + strlen(scheme))
			       : 0;
	ret = add_docker(names, "/run/docker.sock");
	return ret < 0 ? ret : add_docker(names, "/run/podman/podman.sock");
}

static bool has_answered(const struct engine *engine)
{
	if (engine->kubernetes)
		return kubernetes_is_up(engine->kubernetes) ||
		       kubernetes_failures(engine->kubernetes) > 0;
	return docker_source(engine->docker)->up || docker_source(engine->docker)->failures > 0;
}

static bool have_all_answered(const struct container_names *names)
{
	for (size_t i = 0; i < names->engine_count; i++) {
		if (!has_answered(&names->engines[i]))
			return false;
	}
	return true;
}

static void forget_names(struct container_names *names)
{
	for (size_t i = 0; i < CACHED; i++)
		free(names->cache[i].name);
	memset(names->cache, 0, sizeof(names->cache));
}

static void run(struct container_names *names, int timeout_ms)
{
	uint64_t now = now_ns();
	bool changed = false;

	for (size_t i = 0; i < names->engine_count; i++) {
		if (names->engines[i].kubernetes)
			kubernetes_run(names->engines[i].kubernetes, now);
		else
			docker_run(names->engines[i].docker, now);
	}
	http_client_wait(names->client, NULL, 0, timeout_ms);
	for (size_t i = 0; i < names->engine_count; i++)
		changed |= pods_changed(names->engines[i].pods);
	if (changed)
		forget_names(names);
}

void container_names_run(struct container_names *names)
{
	if (names)
		run(names, 0);
}

int container_names_open(struct container_names **ret)
{
	struct container_names *names = calloc(1, sizeof(*names));
	uint64_t end_ns = now_ns() + FIRST_ANSWER_NS;
	int err;

	*ret = NULL;
	if (!names) {
		warnx("out of memory");
		return -ENOMEM;
	}
	err = http_client_open(&names->client);
	if (err == 0)
		err = add_engines(names);
	if (err < 0 || names->engine_count == 0) {
		container_names_close(names);
		return err;
	}
	while (!have_all_answered(names) && now_ns() < end_ns)
		run(names, 20);
	*ret = names;
	return 0;
}

void container_names_close(struct container_names *names)
{
	if (!names)
		return;
	for (size_t i = 0; i < ENGINES_MAX; i++) {
		kubernetes_close(names->engines[i].kubernetes);
		docker_close(names->engines[i].docker);
		pods_free(names->engines[i].pods);
	}
	addresses_free(names->addresses);
	http_client_close(names->client);
	forget_names(names);
	free(names);
}

/* ---- Names ------------------------------------------------------------------------------------ */

static const struct pod *find_pod(const struct container_names *names, const char *path)
{
	const struct pod *pod = NULL;

	for (size_t i = 0; !pod && i < names->engine_count; i++)
		pod = pods_of_cgroup(names->engines[i].pods, path);
	return pod;
}

/* A container that nobody has told of, which is a matter of moments. */
static void wait_for_news(struct container_names *names, const char *path)
{
	struct appmon_container container = {.size = sizeof(container)};
	uint64_t end_ns = now_ns() + NEWS_NS;

	if (appmon_cgroup_container(path, &container) < 0)
		return;
	while (!find_pod(names, path) && now_ns() < end_ns)
		run(names, 20);
}

static bool decide(const struct engine *engine, const char *path, char name[APPLICATION_NAME_SIZE])
{
	struct application_input input = {.top = "",
					  .path = path,
					  .pods = engine->pods,
					  .containers = engine->docker != NULL};
	const struct application_rule *by;

	return applications_decide(&applications, &input, name, &by) != APPLICATION_NONE;
}

const char *container_names_find(struct container_names *names, uint64_t cgroup_id,
				 const char *path)
{
	char name[APPLICATION_NAME_SIZE];
	struct cached *cached;
	bool found = false;

	if (!names)
		return NULL;
	cached = &names->cache[cgroup_id % CACHED];
	if (cached->cgroup_id == cgroup_id)
		return cached->name;
	wait_for_news(names, path);
	for (size_t i = 0; !found && i < names->engine_count; i++)
		found = decide(&names->engines[i], path, name);
	free(cached->name);
	*cached = (struct cached){.cgroup_id = cgroup_id, .name = found ? strdup(name) : NULL};
	return cached->name;
}

const char *container_names_of_event(struct container_names *names, struct appmon *mon,
				     const struct appmon_event *ev)
{
	const char *name = NULL;
	struct appmon_str path;

	if (names && ev->target_user && appmon_find_cgroup(mon, ev->cgroup_id, &path) == 0)
		name = container_names_find(names, ev->cgroup_id, path.data);
	return name ? name : ev->target_name.data;
}

struct appmon_event container_names_event(struct container_names *names, struct appmon *mon,
					  const struct appmon_event *ev)
{
	const char *name = container_names_of_event(names, mon, ev);
	struct appmon_event named = *ev;

	named.target_name = (struct appmon_str){.data = name, .len = (uint32_t)strlen(name)};
	return named;
}

bool container_names_instance(struct container_names *names, const char *path, char *buf,
			      size_t size)
{
	for (size_t i = 0; names && i < names->engine_count; i++) {
		if (pods_describe(names->engines[i].pods, path, buf, size))
			return true;
	}
	return false;
}

void container_names_each_label(struct container_names *names, const char *path,
				void (*fn)(void *ctx, const char *key, const char *value),
				void *ctx)
{
	const struct pod *pod = names ? find_pod(names, path) : NULL;

	if (pod)
		pod_each_label(pod, fn, ctx);
}
