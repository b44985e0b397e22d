/* SPDX-License-Identifier: BSD-2-Clause */
#include "docker.h"

#include <err.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../clock.h"
#include "json-stream.h"

#define OBJECT_MAX (1 << 20)
#define LIST_TIMEOUT_MS 30000
/* filters={"type":["container"]} */
#define EVENTS                                                                                     \
	"http://docker/"                                                                           \
	"events?filters=%%7B%%22type%%22%%3A%%5B%%22container%%22%%5D%%7D&since=%lld"

struct docker {
	struct http_client *client;
	struct pods *pods;
	char *socket;
	struct json_stream events, list;
	bool watching, listing;
	bool list_wanted;     /* something has changed since the last list began */
	bool told_containers; /* or there is nobody to tell */
	struct source source;
};

/* From the start again: what was told meanwhile is not known. */
static void fail(struct docker *docker, const char *error, uint64_t retry_after_ns)
{
	http_client_cancel(docker->client, docker);
	json_stream_free(&docker->events);
	json_stream_free(&docker->list);
	docker->watching = docker->listing = false;
	source_fails(&docker->source, error, "");
	source_schedule(&docker->source, retry_after_ns);
}

/* ---- The list ----------------------------------------------------------------------- */

static bool on_listed(void *ctx, struct json_object *container)
{
	struct docker *docker = ctx;

	pods_put_container(docker->pods, container);
	return true;
}

static bool on_list_data(void *ctx, const char *data, size_t len)
{
	struct docker *docker = ctx;

	return json_stream_feed(&docker->list, data, len);
}

static void on_list_done(void *ctx, const struct http_answer *answer)
{
	struct docker *docker = ctx;
	struct json_object *rest = answer->error ? NULL : json_stream_rest(&docker->list);
	bool whole = json_object_is_type(rest, json_type_array);

	json_object_put(rest);
	if (!whole) {
		fail(docker, answer->error ? answer->error : "its answer is no list of containers",
		     answer->retry_after_ns);
		return;
	}
	json_stream_free(&docker->list);
	docker->listing = false;
	docker->source.delay_ns = 0;
	source_works(&docker->source);
	pods_list_end(docker->pods, now_ns());
	if (!docker->told_containers)
		fprintf(stderr, "appmon: %s: %zu container(s)\n", docker->source.what,
			pods_count(docker->pods));
	docker->told_containers = true;
}

/* ---- The events ----------------------------------------------------------------------- */

static bool on_event(void *ctx, struct json_object *event)
{
	static const char *const actions[] = {"create", "rename", "destroy", "remove"};
	const char *action = json_object_get_string(json_member(event, "Action"));
	struct docker *docker = ctx;

	for (size_t i = 0; action && i < sizeof(actions) / sizeof(actions[0]); i++)
		docker->list_wanted |= strcmp(action, actions[i]) == 0;
	return true;
}

static bool on_events_data(void *ctx, const char *data, size_t len)
{
	struct docker *docker = ctx;

	return json_stream_feed(&docker->events, data, len);
}

static void on_events_done(void *ctx, const struct http_answer *answer)
{
	fail(ctx, answer->error ? answer->error : "it has ended", answer->retry_after_ns);
}

/* ---- How it asks ------------------------------------------------------------------------ */

static void watch(struct docker *docker)
{
	char url[sizeof(EVENTS) + 24];
	struct http_get get = {.url = url,
			       .unix_socket = docker->socket,
			       .data = on_events_data,
			       .done = on_events_done,
			       .ctx = docker};

	/* What happens while the answer begins is told, too. */
	snprintf(url, sizeof(url), EVENTS, (long long)time(NULL) - 1);
	docker->events = (struct json_stream){.max = OBJECT_MAX, .object = on_event, .ctx = docker};
	if (http_client_get(docker->client, &get) < 0) {
		fail(docker, "out of memory", 0);
		return;
	}
	docker->watching = docker->list_wanted = true;
}

static void list(struct docker *docker)
{
	struct http_get get = {.url = "http://docker/containers/json?all=1",
			       .unix_socket = docker->socket,
			       .timeout_ms = LIST_TIMEOUT_MS,
			       .data = on_list_data,
			       .done = on_list_done,
			       .ctx = docker};

	docker->list = (struct json_stream){
		.elements = true, .max = OBJECT_MAX, .object = on_listed, .ctx = docker};
	if (http_client_get(docker->client, &get) < 0) {
		fail(docker, "out of memory", 0);
		return;
	}
	docker->listing = true;
	docker->list_wanted = false;
	pods_list_begin(docker->pods);
}

int docker_run(struct docker *docker, uint64_t now)
{
	pods_expire(docker->pods, now);
	if (!docker->watching && now >= docker->source.due_ns)
		watch(docker);
	if (docker->watching && docker->list_wanted && !docker->listing)
		list(docker);
	return docker->watching ? -1 : source_timeout_ms(&docker->source, now);
}

const struct source *docker_source(const struct docker *docker)
{
	return &docker->source;
}

int docker_open(struct docker **ret, const char *socket, struct http_client *client,
		struct pods *pods, bool quiet)
{
	struct docker *docker = calloc(1, sizeof(*docker));

	if (docker) {
		docker->client = client;
		docker->pods = pods;
		docker->source.quiet = docker->told_containers = quiet;
		docker->socket = strdup(socket);
		if (docker->socket && asprintf(&docker->source.what, "docker at %s", socket) >= 0) {
			*ret = docker;
			return 0;
		}
		docker->source.what = NULL;
		docker_close(docker);
	}
	warnx("out of memory");
	return -ENOMEM;
}

void docker_close(struct docker *docker)
{
	if (!docker)
		return;
	http_client_cancel(docker->client, docker);
	json_stream_free(&docker->events);
	json_stream_free(&docker->list);
	free(docker->socket);
	free(docker->source.what);
	free(docker);
}
