/* SPDX-License-Identifier: BSD-2-Clause */
#include "otlp.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../clock.h"
#include "../text.h"
#include "otlp-json.h"
#include "otlp-protobuf.h"
#include "traces.h"

/* Kept between two pushes; more are lost, and counted. */
#define MAX_SPANS 4096
#define MAX_RESOURCES 256
/* So long a span waits for the event of what it was made for. */
#define WAIT_NS (60 * NSEC_PER_SEC)

/* A message that the receiver cannot take now is tried again: after twice the time each time, but
 * for as much of it as chance says, so that many senders do not come back at once. */
#define FIRST_RETRY_NS (500 * NSEC_PER_MSEC)
#define MAX_TRIES 6
#define GIVE_UP_NS (60 * NSEC_PER_SEC)
/* A receiver that names a later time is not believed. */
#define LONGEST_REST_NS (3600 * NSEC_PER_SEC)

/* Where one kind of message goes. */
struct signal {
	struct otlp *otlp;
	const char *name;
	char *url;
	char *shown; /* the same without user and password */
	bool on_its_way;
	bool failing;	/* the user has been told */
	uint64_t spans; /* in the message */
	/* The message: on its way, or to be tried again at retry_ns. NULL: there is none. */
	char *body;
	size_t len;
	unsigned tries;
	uint64_t first_ns;	/* when it was tried first */
	uint64_t retry_ns;	/* 0: not */
	uint64_t not_before_ns; /* by Retry-After: of any message */
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
	enum otlp_protocol protocol;
	struct otlp_headers headers;
	struct signal metrics, traces;
	/* Spans that wait: an ExportTraceServiceRequest in the making. */
	struct json_object *request;
	struct resource resources[MAX_RESOURCES];
	unsigned resource_count;
	unsigned span_count;
	uint64_t lost_spans;
	struct traces *traces_of; /* spans that wait for what they are below */
};

int otlp_protocol_parse(const char *text, enum otlp_protocol *ret)
{
	if (strcmp(text, "http/json") == 0)
		*ret = OTLP_HTTP_JSON;
	else if (strcmp(text, "http/protobuf") == 0)
		*ret = OTLP_HTTP_PROTOBUF;
	else
		return -EINVAL;
	return 0;
}

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
	if (asprintf(&signal->url, "%.*s/v1/%s", (int)len, endpoint, name) < 0) {
		signal->url = NULL;
		return false;
	}
	signal->shown = url_without_user(signal->url);
	return signal->shown != NULL;
}

static void on_ready(void *ctx, const struct appmon_str *app, uint64_t cgroup_id,
		     const struct otlp_ids *ids, struct json_object *span);

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
	otlp->protocol = opts->protocol;
	otlp->share = opts->spans;
	otlp->headers = opts->headers;
	otlp->traces_of = traces_new(on_ready, otlp);
	if (otlp->traces_of && set_url(&otlp->metrics, otlp, opts->endpoint, "metrics") &&
	    set_url(&otlp->traces, otlp, opts->endpoint, "traces") && start_request(otlp) == 0) {
		*ret = otlp;
		return 0;
	}
	otlp_close(otlp);
	warnx("out of memory");
	return -ENOMEM;
}

static void free_signal(struct signal *signal)
{
	free(signal->url);
	free(signal->shown);
	free(signal->body);
}

void otlp_close(struct otlp *otlp)
{
	if (!otlp)
		return;
	http_client_cancel(otlp->client, &otlp->metrics);
	http_client_cancel(otlp->client, &otlp->traces);
	json_object_put(otlp->request);
	traces_free(otlp->traces_of);
	free_signal(&otlp->metrics);
	free_signal(&otlp->traces);
	free(otlp);
}

/* ---- Spans -------------------------------------------------------------------- */

/* By the trace id's last 56 bits, as OpenTelemetry samples: a trace is sent whole or not at all. */
static bool is_sampled(const struct otlp *otlp, const char *trace_id)
{
	uint64_t threshold = (uint64_t)(otlp->share * (double)(UINT64_C(1) << 56));

	return strtoull(trace_id + 32 - 14, NULL, 16) < threshold;
}

static struct json_object *find_spans(struct otlp *otlp, const struct appmon_str *app,
				      uint64_t cgroup_id)
{
	uint64_t instance = instances_of(otlp->instances, cgroup_id);
	struct json_object *list, *resource_spans;
	struct resource *resource;

	for (unsigned i = 0; i < otlp->resource_count; i++) {
		resource = &otlp->resources[i];
		if (resource->instance == instance &&
		    strncmp(resource->name, app->data, sizeof(resource->name) - 1) == 0)
			return resource->spans;
	}
	if (otlp->resource_count == MAX_RESOURCES)
		return NULL;
	resource = &otlp->resources[otlp->resource_count];
	resource_spans =
		otlp_json_resource_spans(app, cgroup_id, otlp->instances, &resource->spans);
	if (!resource_spans)
		return NULL;
	list = json_object_object_get(otlp->request, "resourceSpans");
	json_object_array_add(list, resource_spans);
	snprintf(resource->name, sizeof(resource->name), "%s", app->data);
	resource->instance = instance;
	otlp->resource_count++;
	return resource->spans;
}

static void on_ready(void *ctx, const struct appmon_str *app, uint64_t cgroup_id,
		     const struct otlp_ids *ids, struct json_object *span)
{
	struct json_object *spans = NULL;
	struct otlp *otlp = ctx;

	if (!is_sampled(otlp, ids->trace_id)) {
		json_object_put(span);
		return;
	}
	if (otlp->span_count < MAX_SPANS)
		spans = find_spans(otlp, app, cgroup_id);
	if (!spans) {
		json_object_put(span);
		otlp->lost_spans++;
		return;
	}
	otlp_json_set_ids(span, ids);
	json_object_array_add(spans, span);
	otlp->span_count++;
}

void otlp_add_event(struct otlp *otlp, const struct appmon_event *ev, const char *route)
{
	struct json_object *span;

	if (otlp->share <= 0)
		return;
	span = otlp_json_span(otlp->mon, ev, route);
	if (span)
		traces_add(otlp->traces_of, ev, span);
	else
		otlp->lost_spans++;
}

bool otlp_is_busy(const struct otlp *otlp)
{
	return otlp->metrics.body || otlp->traces.body;
}

uint64_t otlp_lost_spans(const struct otlp *otlp)
{
	return otlp->lost_spans;
}

/* ---- Pushing -------------------------------------------------------------------- */

/* At random, half of it to all. */
static uint64_t some_of(uint64_t ns)
{
	uint32_t random = 0;

	/* Without chance all of it. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		return ns;
	return ns / 2 + (uint64_t)((double)random / UINT32_MAX * (double)(ns / 2));
}

/* When to try again; 0: no more. */
static uint64_t next_try(struct signal *signal, const struct http_answer *answer)
{
	uint64_t wait_ns = some_of(FIRST_RETRY_NS << (signal->tries - 1)), now = now_ns();

	if (!answer->temporary)
		return 0;
	if (answer->retry_after_ns > 0) {
		uint64_t rest_ns = answer->retry_after_ns;

		if (rest_ns > LONGEST_REST_NS)
			rest_ns = LONGEST_REST_NS;
		signal->not_before_ns = now + rest_ns;
		if (wait_ns < rest_ns)
			wait_ns = rest_ns;
	}
	if (signal->tries == MAX_TRIES || now + wait_ns > signal->first_ns + GIVE_UP_NS)
		return 0;
	return now + wait_ns;
}

static void drop_message(struct signal *signal)
{
	free(signal->body);
	signal->body = NULL;
	signal->retry_ns = 0;
	signal->tries = 0;
	signal->spans = 0;
}

static void on_failure(struct signal *signal, const char *error)
{
	bool metrics = signal == &signal->otlp->metrics;
	uint64_t spans = signal->spans;

	if (signal->retry_ns == 0) {
		signal->otlp->lost_spans += spans;
		drop_message(signal);
		if (!metrics && signal->failing)
			warnx("%s: %s; %" PRIu64 " spans are lost", signal->shown, error, spans);
	}
	/* Once, not every interval. */
	if (!signal->failing)
		warnx("%s: %s; %s", signal->shown, error,
		      metrics		 ? "the next push has all of it"
		      : signal->retry_ns ? "these spans are tried again"
					 : "these spans are lost");
	signal->failing = true;
}

static void on_done(void *ctx, const struct http_answer *answer)
{
	struct signal *signal = ctx;

	signal->on_its_way = false;
	if (answer->error) {
		signal->retry_ns = next_try(signal, answer);
		on_failure(signal, answer->error);
		return;
	}
	if (signal->failing)
		warnx("%s: works again", signal->shown);
	signal->failing = false;
	drop_message(signal);
}

static void try_message(struct signal *signal)
{
	const struct otlp *otlp = signal->otlp;
	struct http_post post = {.url = signal->url,
				 .fields = otlp->headers.list,
				 .field_count = otlp->headers.count,
				 .type = otlp->protocol == OTLP_HTTP_JSON ? HTTP_CLIENT_JSON
									  : OTLP_PROTOBUF_TYPE,
				 .body = malloc(signal->len),
				 .len = signal->len,
				 .done = on_done,
				 .ctx = signal};

	signal->retry_ns = 0;
	if (signal->tries++ == 0)
		signal->first_ns = now_ns();
	if (post.body)
		memcpy(post.body, signal->body, signal->len);
	if (post.body && http_client_post(otlp->client, &post) == 0)
		signal->on_its_way = true;
	else
		on_failure(signal, "out of memory");
}

/* NULL: no memory. */
static char *write_message(enum otlp_protocol protocol, struct json_object *message,
			   size_t *ret_len)
{
	const char *text;

	if (protocol == OTLP_HTTP_PROTOBUF)
		return otlp_protobuf(message, ret_len);
	text = json_object_to_json_string_length(
		message, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, ret_len);
	return text ? strdup(text) : NULL;
}

/* Takes the message over. */
static void send_message(struct signal *signal, struct json_object *message)
{
	char *body = NULL;
	size_t len;

	if (message)
		body = write_message(signal->otlp->protocol, message, &len);
	json_object_put(message);
	if (!body) {
		on_failure(signal, "out of memory");
		return;
	}
	/* Of figures that wait to be tried again these have all: with the tries so far. */
	free(signal->body);
	signal->body = body;
	signal->len = len;
	if (signal->retry_ns == 0)
		try_message(signal);
}

static void push_spans(struct otlp *otlp)
{
	struct json_object *request = otlp->request;

	if (otlp->traces.body || otlp->span_count == 0 || now_ns() < otlp->traces.not_before_ns)
		return;
	otlp->traces.spans = otlp->span_count;
	if (start_request(otlp) == 0) {
		send_message(&otlp->traces, request);
	} else {
		otlp->request = request;
		otlp->traces.spans = 0;
	}
}

void otlp_push(struct otlp *otlp, const struct appmon_snapshot *snapshot)
{
	/* The figures are cumulative: a push that is left out loses nothing. */
	if (!otlp->metrics.on_its_way &&
	    (otlp->metrics.body || now_ns() >= otlp->metrics.not_before_ns) &&
	    (appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_SERIES) > 0 ||
	     appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_ACTIVE) > 0))
		send_message(&otlp->metrics,
			     otlp_json_metrics(otlp->mon, snapshot, otlp->instances, otlp->bounds));
	traces_expire(otlp->traces_of, now_ns() - WAIT_NS);
	push_spans(otlp);
}

static int retry_signal(struct signal *signal, uint64_t now)
{
	if (signal->retry_ns == 0)
		return -1;
	if (signal->retry_ns > now)
		return (int)((signal->retry_ns - now) / NSEC_PER_MSEC) + 1;
	try_message(signal);
	return -1;
}

int otlp_retry(struct otlp *otlp)
{
	uint64_t now = now_ns();
	int metrics_ms = retry_signal(&otlp->metrics, now);
	int traces_ms = retry_signal(&otlp->traces, now);

	if (metrics_ms < 0)
		return traces_ms;
	return traces_ms < 0 || metrics_ms < traces_ms ? metrics_ms : traces_ms;
}

void otlp_flush(struct otlp *otlp)
{
	otlp_retry(otlp);
	traces_expire(otlp->traces_of, UINT64_MAX);
	push_spans(otlp);
}
