/* SPDX-License-Identifier: BSD-2-Clause */
#include "otlp.h"

#include <err.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../trace-context.h"
#include "otlp-json.h"

/* Kept between two pushes; more are lost, and counted. */
#define MAX_SPANS 4096
#define MAX_RESOURCES 256

/* Where one kind of message goes. */
struct signal {
	struct otlp *otlp;
	const char *name;
	char *url;
	bool on_its_way;
	bool failing;	/* the user has been told */
	uint64_t spans; /* in the message on its way */
};

struct resource {
	char name[128]; /* of the application, as far as it tells them apart in figures, too */
	uint64_t instance;
	struct json_object *spans; /* inside of request */
};

struct otlp {
	struct appmon *mon;
	struct http_client *client;
	struct instances *instances;
	const struct durations_bounds *bounds;
	double share;
	struct signal metrics, traces;
	/* Spans that wait: an ExportTraceServiceRequest in the making. */
	struct json_object *request;
	struct resource resources[MAX_RESOURCES];
	unsigned resource_count;
	unsigned span_count;
	uint64_t lost_spans;
};

static int start_request(struct otlp *otlp)
{
	otlp->request = json_object_new_object();
	if (!otlp->request)
		return -ENOMEM;
	json_object_object_add(otlp->request, "resourceSpans", json_object_new_array());
	otlp->resource_count = 0;
	otlp->span_count = 0;
	return 0;
}

static bool set_url(struct signal *signal, struct otlp *otlp, const char *endpoint,
		    const char *name)
{
	size_t len = strlen(endpoint);

	signal->otlp = otlp;
	signal->name = name;
	/* "http://host:4318/" is meant as "http://host:4318". */
	if (len > 0 && endpoint[len - 1] == '/')
		len--;
	return asprintf(&signal->url, "%.*s/v1/%s", (int)len, endpoint, name) >= 0;
}

int otlp_open(struct otlp **ret, const struct otlp_opts *opts)
{
	struct otlp *otlp = calloc(1, sizeof(*otlp));

	if (!otlp) {
		warnx("out of memory");
		return -ENOMEM;
	}
	otlp->mon = opts->mon;
	otlp->client = opts->client;
	otlp->instances = opts->instances;
	otlp->bounds = opts->bounds;
	otlp->share = opts->spans;
	if (set_url(&otlp->metrics, otlp, opts->endpoint, "metrics") &&
	    set_url(&otlp->traces, otlp, opts->endpoint, "traces") && start_request(otlp) == 0) {
		*ret = otlp;
		return 0;
	}
	otlp_close(otlp);
	warnx("out of memory");
	return -ENOMEM;
}

void otlp_close(struct otlp *otlp)
{
	if (!otlp)
		return;
	http_client_cancel(otlp->client, &otlp->metrics);
	http_client_cancel(otlp->client, &otlp->traces);
	json_object_put(otlp->request);
	free(otlp->metrics.url);
	free(otlp->traces.url);
	free(otlp);
}

/* ---- Spans -------------------------------------------------------------------- */

static void random_hex(char *text, size_t bytes)
{
	uint8_t random[16];

	/* Up to 256 bytes come whole (getrandom(2)). */
	if (getrandom(random, bytes, 0) < 0)
		memset(random, 1, bytes);
	for (size_t i = 0; i < bytes; i++)
		snprintf(text + 2 * i, 3, "%02x", random[i]);
}

/* By the trace id's last 56 bits, as OpenTelemetry samples: a trace is sent whole or not at all. */
static bool is_sampled(const struct otlp *otlp, const char *trace_id)
{
	uint64_t threshold = (uint64_t)(otlp->share * (double)(UINT64_C(1) << 56));

	return strtoull(trace_id + 32 - 14, NULL, 16) < threshold;
}

static struct json_object *find_spans(struct otlp *otlp, const struct appmon_event *ev)
{
	uint64_t instance = instances_of(otlp->instances, ev->cgroup_id);
	struct json_object *list, *resource_spans;
	struct resource *resource;

	for (unsigned i = 0; i < otlp->resource_count; i++) {
		resource = &otlp->resources[i];
		if (resource->instance == instance &&
		    strncmp(resource->name, ev->target_name.data, sizeof(resource->name) - 1) == 0)
			return resource->spans;
	}
	if (otlp->resource_count == MAX_RESOURCES)
		return NULL;
	resource = &otlp->resources[otlp->resource_count];
	resource_spans = otlp_json_resource_spans(ev, otlp->instances, &resource->spans);
	if (!resource_spans)
		return NULL;
	list = json_object_object_get(otlp->request, "resourceSpans");
	json_object_array_add(list, resource_spans);
	snprintf(resource->name, sizeof(resource->name), "%s", ev->target_name.data);
	resource->instance = instance;
	otlp->resource_count++;
	return resource->spans;
}

void otlp_add_event(struct otlp *otlp, const struct appmon_event *ev)
{
	const struct appmon_str *header = appmon_event_header(ev, "traceparent", 0);
	struct json_object *spans = NULL;
	struct otlp_ids ids;

	if (otlp->share <= 0)
		return;
	if (!header || trace_context_parse(header, ids.trace_id, ids.parent_id) < 0) {
		random_hex(ids.trace_id, 16);
		ids.parent_id[0] = '\0';
	}
	if (!is_sampled(otlp, ids.trace_id))
		return;
	random_hex(ids.span_id, 8);
	if (otlp->span_count < MAX_SPANS)
		spans = find_spans(otlp, ev);
	if (!spans) {
		otlp->lost_spans++;
		return;
	}
	json_object_array_add(spans, otlp_json_span(otlp->mon, ev, &ids));
	otlp->span_count++;
}

bool otlp_is_busy(const struct otlp *otlp)
{
	return otlp->metrics.on_its_way || otlp->traces.on_its_way;
}

uint64_t otlp_lost_spans(const struct otlp *otlp)
{
	return otlp->lost_spans;
}

/* ---- Pushing -------------------------------------------------------------------- */

static void on_done(void *ctx, const char *error)
{
	struct signal *signal = ctx;

	signal->on_its_way = false;
	if (error) {
		signal->otlp->lost_spans += signal->spans;
		/* Once, not every interval. */
		if (!signal->failing)
			warnx("%s: %s; %s", signal->url, error,
			      signal == &signal->otlp->metrics
				      ? "the next push has all of it"
				      : "these spans are lost, and will be until it is back");
	} else if (signal->failing) {
		warnx("%s: works again", signal->url);
	}
	signal->failing = error != NULL;
	signal->spans = 0;
}

/* Takes the message over. */
static void send_message(struct signal *signal, struct json_object *message)
{
	const char *text = NULL;
	char *body = NULL;

	if (message)
		text = json_object_to_json_string_ext(
			message, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		body = strdup(text);
	json_object_put(message);
	if (body && http_client_post(signal->otlp->client, signal->url, body, on_done, signal) == 0)
		signal->on_its_way = true;
	else
		on_done(signal, "out of memory");
}

void otlp_push(struct otlp *otlp, const struct appmon_snapshot *snapshot)
{
	struct json_object *request = otlp->request;

	/* The figures are cumulative: a push that is left out loses nothing. */
	if (!otlp->metrics.on_its_way &&
	    (appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_SERIES) > 0 ||
	     appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_ACTIVE) > 0))
		send_message(&otlp->metrics,
			     otlp_json_metrics(otlp->mon, snapshot, otlp->instances, otlp->bounds));
	if (otlp->traces.on_its_way || otlp->span_count == 0)
		return;
	otlp->traces.spans = otlp->span_count;
	if (start_request(otlp) == 0) {
		send_message(&otlp->traces, request);
	} else {
		otlp->request = request;
		otlp->traces.spans = 0;
	}
}
