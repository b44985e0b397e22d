/* SPDX-License-Identifier: BSD-2-Clause */
#include "otlp-json.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "../names.h"
#include "../text.h"
#include "durations.h"
#include "labelled.h"

/* opentelemetry-proto: enum values are numbers in JSON. */
#define AGGREGATION_TEMPORALITY_CUMULATIVE 2
#define SPAN_KIND_SERVER 2
#define SPAN_KIND_CLIENT 3
#define STATUS_CODE_ERROR 2

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

/* 64-bit integers are decimal strings. */
static struct json_object *new_uint64(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_object_new_string(text);
}

static void add_uint64(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, new_uint64(value));
}

static void add_time(struct json_object *object, const char *key, struct appmon *mon, uint64_t ns)
{
	add_uint64(object, key, appmon_realtime_ns(mon, ns));
}

static struct json_object *add_array(struct json_object *object, const char *key)
{
	struct json_object *array = json_object_new_array();

	json_object_object_add(object, key, array);
	return array;
}

/* A KeyValue; type is stringValue or intValue. */
static void add_attribute(struct json_object *list, const char *name, const char *type,
			  struct json_object *value)
{
	struct json_object *key_value = json_object_new_object();
	struct json_object *any_value = json_object_new_object();

	json_object_object_add(any_value, type, value);
	add_text(key_value, "key", name);
	json_object_object_add(key_value, "value", any_value);
	json_object_array_add(list, key_value);
}

static void add_str_attribute(struct json_object *list, const char *name,
			      const struct appmon_str *value)
{
	if (value && value->len > 0)
		add_attribute(list, name, "stringValue", json_new_str(value));
}

static void add_int_attribute(struct json_object *list, const char *name, uint64_t value)
{
	add_attribute(list, name, "intValue", new_uint64(value));
}

static bool is_number(const char *name)
{
	return strcmp(name, "http.response.status_code") == 0 || strcmp(name, "server.port") == 0;
}

static void add_attributes(struct json_object *object, const struct attributes *attributes)
{
	struct json_object *list = add_array(object, "attributes");

	for (unsigned i = 0; i < attributes->count; i++) {
		const struct attribute *at = &attributes->list[i];

		add_attribute(list, at->name, is_number(at->name) ? "intValue" : "stringValue",
			      json_new_str(&at->value));
	}
}

/* A ResourceMetrics or ResourceSpans; *ret_list gets the array of what it holds. */
static struct json_object *new_resource(const struct attributes *attributes, const char *scopes_key,
					const char *list_key, struct json_object **ret_list)
{
	struct json_object *top = json_object_new_object();
	struct json_object *resource = json_object_new_object();
	struct json_object *scopes = add_array(top, scopes_key);
	struct json_object *scope_item = json_object_new_object();
	struct json_object *scope = json_object_new_object();

	add_attributes(resource, attributes);
	json_object_object_add(top, "resource", resource);
	add_text(scope, "name", "appmon");
	add_text(scope, "version", appmon_version_string());
	json_object_object_add(scope_item, "scope", scope);
	*ret_list = add_array(scope_item, list_key);
	json_object_array_add(scopes, scope_item);
	return top;
}

/* ---- Metrics ----------------------------------------------------------------- */

/* What one pass over the series works with. */
struct metrics_build {
	struct appmon *mon;
	const struct appmon_snapshot *snapshot;
	struct instances *instances;
	const struct durations_bounds *bounds;
	struct labelled_list series, active;
	struct appmon_histogram *histogram; /* reused */
	struct json_object *list;	    /* of ResourceMetrics */
	struct resource *resources;
	size_t resource_count;
};

static void add_exemplars(struct json_object *point, const struct metrics_build *build, size_t i)
{
	struct appmon_exemplar exemplar = {.size = sizeof(exemplar)};
	struct json_object *object;
	char id[33];

	if (appmon_snapshot_exemplar(build->snapshot, APPMON_SNAPSHOT_SERIES,
				     build->series.list[i].index, &exemplar) < 0)
		return;
	object = json_object_new_object();
	add_time(object, "timeUnixNano", build->mon, exemplar.end_ns);
	json_object_object_add(object, "asDouble",
			       json_object_new_double((double)exemplar.duration_ns / NSEC_PER_SEC));
	format_hex(exemplar.trace_id, sizeof(exemplar.trace_id), id);
	add_text(object, "traceId", id);
	format_hex(exemplar.span_id, sizeof(exemplar.span_id), id);
	add_text(object, "spanId", id);
	json_object_array_add(add_array(point, "exemplars"), object);
}

/* start_ns 0: a gauge has no begin. */
static struct json_object *new_point(const struct metrics_build *build,
				     const struct attributes *attributes, uint64_t start_ns)
{
	struct json_object *point = json_object_new_object();

	add_attributes(point, attributes);
	if (start_ns != 0)
		add_time(point, "startTimeUnixNano", build->mon, start_ns);
	add_time(point, "timeUnixNano", build->mon, appmon_snapshot_time(build->snapshot));
	return point;
}

/* Reads one of the times of a series. */
static bool read_times(const struct metrics_build *build, size_t i, enum appmon_time time)
{
	appmon_histogram_clear(build->histogram);
	return labelled_times(&build->series, i, time, build->histogram) == 0;
}

/* A HistogramDataPoint of what read_times() read. */
static struct json_object *new_histogram_point(const struct metrics_build *build, size_t i,
					       enum appmon_time time,
					       const struct attributes *attributes)
{
	uint64_t total = appmon_histogram_count(build->histogram);
	uint64_t sum_ns = appmon_histogram_sum(build->histogram);
	uint64_t at_most[DURATIONS_BOUNDS_MAX], before = 0;
	struct json_object *point, *counts, *bounds;
	struct appmon_figures figures;

	labelled_figures(&build->series, i, &figures);
	durations_at_most(build->bounds, build->histogram, at_most);
	point = new_point(build, attributes, figures.first_ns);
	add_uint64(point, "count", total);
	json_object_object_add(point, "sum", json_object_new_double((double)sum_ns / NSEC_PER_SEC));
	counts = add_array(point, "bucketCounts");
	bounds = add_array(point, "explicitBounds");
	for (unsigned bound = 0; bound < build->bounds->count; bound++) {
		json_object_array_add(counts, new_uint64(at_most[bound] - before));
		json_object_array_add(bounds,
				      json_object_new_double(build->bounds->seconds[bound]));
		before = at_most[bound];
	}
	json_object_array_add(counts, new_uint64(total - before));
	if (time == APPMON_TIME_DURATION)
		add_exemplars(point, build, i);
	return point;
}

/* The metrics of one application's instance. */
struct resource {
	struct appmon_str app;
	uint64_t instance;
	struct json_object *metrics; /* the array of them */
	/* Arrays of data points: of a histogram once there is one, of the others by whether they are
	 * of a client. */
	struct json_object *histograms[HISTOGRAM_METRICS], *active[2], *ages[2];
};

static struct json_object *add_metric(struct json_object *metrics, const char *name,
				      const char *description, const char *unit, const char *kind,
				      struct json_object *data)
{
	struct json_object *metric = json_object_new_object();
	struct json_object *points = add_array(data, "dataPoints");

	add_text(metric, "name", name);
	add_text(metric, "description", description);
	add_text(metric, "unit", unit);
	json_object_object_add(metric, kind, data);
	json_object_array_add(metrics, metric);
	return points;
}

/* A Histogram, or a Sum that goes up and down. */
static struct json_object *new_cumulative(bool sum)
{
	struct json_object *data = json_object_new_object();

	json_object_object_add(data, "aggregationTemporality",
			       json_object_new_int(AGGREGATION_TEMPORALITY_CUMULATIVE));
	if (sum)
		json_object_object_add(data, "isMonotonic", json_object_new_boolean(false));
	return data;
}

static bool same_text(const struct appmon_str *a, const struct appmon_str *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static struct json_object *new_resource_metrics(struct resource *resource,
						const struct appmon_series *series,
						struct instances *instances)
{
	struct json_object *top, *metrics;
	struct attributes attributes;

	attributes_of_resource(&attributes, series, instances);
	top = new_resource(&attributes, "scopeMetrics", "metrics", &metrics);
	resource->instance = series->cgroup_id;
	resource->app = series->app;
	resource->metrics = metrics;
	resource->active[0] = add_metric(metrics, "http.server.active_requests",
					 "Number of active HTTP server requests.", "{request}",
					 "sum", new_cumulative(true));
	resource->active[1] = add_metric(metrics, "http.client.active_requests",
					 "Number of active HTTP requests.", "{request}", "sum",
					 new_cumulative(true));
	resource->ages[0] = add_metric(metrics, "http.server.active_request.age",
				       "Time since the oldest active request began.", "s", "gauge",
				       json_object_new_object());
	resource->ages[1] = add_metric(metrics, "http.client.active_request.age",
				       "Time since the oldest active request began.", "s", "gauge",
				       json_object_new_object());
	return top;
}

static bool is_resource(const struct metrics_build *build, const struct resource *resource,
			const struct appmon_series *series)
{
	char a[24], b[24];

	return same_text(&resource->app, &series->app) &&
	       (resource->instance == series->cgroup_id ||
		strcmp(instances_name(build->instances, resource->instance, a, sizeof(a)),
		       instances_name(build->instances, series->cgroup_id, b, sizeof(b))) == 0);
}

static struct resource *find_resource(struct metrics_build *build,
				      const struct appmon_series *series)
{
	struct resource *resource;

	/* They come sorted by it, the two kinds of points one after the other. */
	for (size_t i = build->resource_count; i-- > 0;) {
		if (is_resource(build, &build->resources[i], series))
			return &build->resources[i];
	}
	resource = &build->resources[build->resource_count++];
	json_object_array_add(build->list,
			      new_resource_metrics(resource, series, build->instances));
	return resource;
}

static struct json_object *histogram_points(struct resource *resource, unsigned metric)
{
	if (!resource->histograms[metric])
		resource->histograms[metric] =
			add_metric(resource->metrics, histogram_metrics[metric].name,
				   histogram_metrics[metric].description, "s", "histogram",
				   new_cumulative(false));
	return resource->histograms[metric];
}

/* Those with the labels of one series; false: no memory. */
static bool add_histograms(struct metrics_build *build, size_t i)
{
	struct appmon_series series = {.size = sizeof(series)};
	struct attributes attributes;
	struct resource *resource;

	appmon_snapshot_series(build->snapshot, build->series.list[i].index, &series);
	resource = find_resource(build, &series);
	attributes_of_series(&attributes, &series);
	for (unsigned metric = 0; metric < HISTOGRAM_METRICS; metric++) {
		enum appmon_time time = histogram_metrics[metric].time;

		if (histogram_metrics[metric].side != build->series.list[i].side)
			continue;
		if (!read_times(build, i, time))
			return false;
		if (time == APPMON_TIME_DURATION || appmon_histogram_count(build->histogram) > 0)
			json_object_array_add(histogram_points(resource, metric),
					      new_histogram_point(build, i, time, &attributes));
	}
	return true;
}

static void add_active(struct metrics_build *build, size_t i)
{
	uint64_t now = appmon_snapshot_time(build->snapshot), requests, oldest_ns;
	struct appmon_active active = {.size = sizeof(active)};
	struct attributes attributes;
	struct appmon_series series;
	struct json_object *point;
	struct resource *resource;
	bool client;

	appmon_snapshot_active(build->snapshot, build->active.list[i].index, &active);
	series = (struct appmon_series){.app = active.app, .cgroup_id = active.cgroup_id};
	resource = find_resource(build, &series);
	client = active.role == APPMON_ROLE_CLIENT;
	attributes_of_active(&attributes, &active);
	labelled_active(&build->active, i, &requests, &oldest_ns);
	point = new_point(build, &attributes, 0);
	add_uint64(point, "asInt", requests);
	json_object_array_add(resource->active[client], point);
	point = new_point(build, &attributes, 0);
	json_object_object_add(
		point, "asDouble",
		json_object_new_double(oldest_ns != 0 && oldest_ns < now
					       ? (double)(now - oldest_ns) / NSEC_PER_SEC
					       : 0));
	json_object_array_add(resource->ages[client], point);
}

static bool open_build(struct metrics_build *build)
{
	return labelled_open(&build->series, build->snapshot, APPMON_SNAPSHOT_SERIES,
			     build->instances, NULL) == 0 &&
	       labelled_open(&build->active, build->snapshot, APPMON_SNAPSHOT_ACTIVE,
			     build->instances, NULL) == 0 &&
	       appmon_histogram_new(&build->histogram) == 0;
}

struct json_object *otlp_json_metrics(struct appmon *mon, const struct appmon_snapshot *snapshot,
				      struct instances *instances,
				      const struct durations_bounds *bounds)
{
	struct metrics_build build = {
		.mon = mon, .snapshot = snapshot, .instances = instances, .bounds = bounds};
	struct json_object *request = json_object_new_object();
	bool complete = open_build(&build);

	build.list = add_array(request, "resourceMetrics");
	build.resources =
		calloc(build.series.count + build.active.count + 1, sizeof(*build.resources));
	complete = complete && build.resources;
	for (size_t i = 0; complete && i < build.series.count; i = labelled_next(&build.series, i))
		complete = add_histograms(&build, i);
	for (size_t i = 0; complete && i < build.active.count; i = labelled_next(&build.active, i))
		add_active(&build, i);
	appmon_histogram_free(build.histogram);
	labelled_free(&build.series);
	labelled_free(&build.active);
	free(build.resources);
	if (complete)
		return request;
	json_object_put(request);
	return NULL;
}

/* ---- Spans -------------------------------------------------------------------- */

struct json_object *otlp_json_resource_spans(const struct appmon_str *app, uint64_t cgroup_id,
					     struct instances *instances,
					     struct json_object **ret_spans)
{
	struct appmon_series series = {.app = *app, .cgroup_id = cgroup_id};
	struct attributes attributes;

	attributes_of_resource(&attributes, &series, instances);
	return new_resource(&attributes, "scopeSpans", "spans", ret_spans);
}

static void add_address(struct json_object *list, const char *name,
			const struct appmon_endpoint *endpoint)
{
	char text[ADDRESS_SIZE];

	if (endpoint->family != 0)
		add_attribute(list, name, "stringValue",
			      json_object_new_string(format_address(endpoint, text)));
}

static void add_database_attributes(struct json_object *list, const struct appmon_event *ev)
{
	add_str_attribute(list, "db.system.name", &ev->system);
	add_str_attribute(list, "db.operation.name", &ev->operation);
	/* Of Redis it is a key. */
	if (ev->protocol != APPMON_PROTO_RESP)
		add_str_attribute(list, "db.collection.name", &ev->resource);
	add_str_attribute(list, "db.namespace", &ev->resource_namespace);
	add_str_attribute(list, "db.query.text", &ev->query_text);
	add_str_attribute(list, "db.query.summary", &ev->query_summary);
	add_str_attribute(list, "db.response.status_code", &ev->status_text);
	if (ev->response_items >= 0)
		add_int_attribute(list, "db.response.returned_rows", (uint64_t)ev->response_items);
}

static void add_rpc_attributes(struct json_object *list, const struct appmon_event *ev)
{
	add_str_attribute(list, "rpc.system.name", &ev->system);
	add_str_attribute(list, "rpc.method", &ev->operation);
	/* Of a call without a status of its own it is HTTP's. */
	if (is_rpc_status(&ev->status_text))
		add_str_attribute(list, "rpc.response.status_code", &ev->status_text);
	else if (ev->status != 0)
		add_int_attribute(list, "http.response.status_code", ev->status);
}

static void add_http_attributes(struct json_object *list, const struct appmon_event *ev,
				const char *route)
{
	bool known = ev->method > APPMON_METHOD_OTHER;

	/* A method that is none of the known ones could be anything; what could not be parsed has
	 * none. */
	add_attribute(list, "http.request.method", "stringValue",
		      json_object_new_string(known ? appmon_method_name(ev->method) : "_OTHER"));
	if (!known)
		add_str_attribute(list, "http.request.method_original", &ev->operation);
	if (*route != '\0')
		add_attribute(list, "http.route", "stringValue", json_object_new_string(route));
	add_str_attribute(list, "url.path", &ev->path);
	add_str_attribute(list, "url.query", &ev->query);
	add_str_attribute(list, "user_agent.original", appmon_event_header(ev, "user-agent", 0));
	if (ev->status != 0)
		add_int_attribute(list, "http.response.status_code", ev->status);
	if (ev->protocol == APPMON_PROTO_HTTP2)
		add_attribute(list, "network.protocol.version", "stringValue",
			      json_object_new_string("2"));
	add_int_attribute(list, "http.request.body.size", ev->request_body_bytes);
	add_int_attribute(list, "http.response.body.size", ev->response_body_bytes);
}

static void add_span_attributes(struct json_object *span, const struct appmon_event *ev,
				const char *route, const char *error)
{
	struct json_object *list = add_array(span, "attributes");
	bool client = ev->role == APPMON_ROLE_CLIENT;
	const struct appmon_endpoint *server = client ? &ev->remote : &ev->local;

	switch (spoken(&ev->system)) {
	case SPOKEN_HTTP:
		add_http_attributes(list, ev, route);
		break;
	case SPOKEN_RPC:
		add_rpc_attributes(list, ev);
		break;
	case SPOKEN_DATABASE:
		add_database_attributes(list, ev);
		break;
	case SPOKEN_TLS:
		add_str_attribute(list, "tls.client.server_name", &ev->tls_server_name);
		add_str_attribute(list, "tls.next_protocol", &ev->tls_alpn);
		break;
	}
	add_address(list, "server.address", server);
	if (server->port != 0)
		add_int_attribute(list, "server.port", server->port);
	if (!client)
		add_address(list, "client.address", &ev->remote);
	if (*error != '\0')
		add_attribute(list, "error.type", "stringValue", json_object_new_string(error));
}

static uint64_t last_of(const struct appmon_event *ev)
{
	if (ev->response_end_ns != 0)
		return ev->response_end_ns;
	if (ev->response_start_ns != 0)
		return ev->response_start_ns;
	return ev->request_end_ns != 0 ? ev->request_end_ns : ev->request_start_ns;
}

#define SPAN_NAME_SIZE 512

/* "COMMIT shop", "GET 10.0.0.1:6379": what a database is asked, and of what, as far as that is
 * known. */
static void database_span_name(const struct appmon_event *ev, char text[SPAN_NAME_SIZE])
{
	const struct appmon_str *what = ev->operation.len > 0 ? &ev->operation : &ev->system;
	char server[ADDRESS_SIZE] = "";
	const char *of = server;

	if (ev->resource_namespace.len > 0)
		of = ev->resource_namespace.data;
	else
		appmon_format_endpoint(ev->role == APPMON_ROLE_CLIENT ? &ev->remote : &ev->local,
				       server, sizeof(server));
	snprintf(text, SPAN_NAME_SIZE, "%s %s", what->data, of);
}

/* By OpenTelemetry's conventions. */
static struct appmon_str span_name(const struct appmon_event *ev, const char *route,
				   char text[SPAN_NAME_SIZE])
{
	switch (spoken(&ev->system)) {
	case SPOKEN_HTTP:
		/* "HTTP" stands for a method that is not known. */
		snprintf(text, SPAN_NAME_SIZE, "%s%s%s",
			 ev->method > APPMON_METHOD_OTHER ? appmon_method_name(ev->method) : "HTTP",
			 *route != '\0' ? " " : "", route);
		break;
	case SPOKEN_DATABASE:
		if (ev->query_summary.len > 0)
			return ev->query_summary;
		database_span_name(ev, text);
		break;
	default:
		return ev->operation.len > 0 ? ev->operation : ev->system;
	}
	return (struct appmon_str){.data = text, .len = (uint32_t)strlen(text)};
}

void otlp_json_set_ids(struct json_object *span, const struct otlp_ids *ids)
{
	add_text(span, "traceId", ids->trace_id);
	add_text(span, "spanId", ids->span_id);
	if (ids->parent_id[0] != '\0')
		add_text(span, "parentSpanId", ids->parent_id);
}

struct json_object *otlp_json_span(struct appmon *mon, const struct appmon_event *ev,
				   const char *route)
{
	struct json_object *span = json_object_new_object(), *status;
	bool client = ev->role == APPMON_ROLE_CLIENT;
	const char *error = error_type(ev->role, ev->outcome, &ev->status_text);
	char of_path[256], text[SPAN_NAME_SIZE];
	struct appmon_str name;

	if (!route) {
		appmon_route(ev->path.data, ev->path.len, of_path, sizeof(of_path));
		route = of_path;
	}
	name = span_name(ev, route, text);
	json_object_object_add(span, "name", json_new_str(&name));
	json_object_object_add(span, "kind",
			       json_object_new_int(client ? SPAN_KIND_CLIENT : SPAN_KIND_SERVER));
	add_time(span, "startTimeUnixNano", mon,
		 ev->request_start_ns != 0 ? ev->request_start_ns : ev->response_start_ns);
	add_time(span, "endTimeUnixNano", mon, last_of(ev));
	add_span_attributes(span, ev, route, error);
	if (*error != '\0') {
		status = json_object_new_object();
		json_object_object_add(status, "code", json_object_new_int(STATUS_CODE_ERROR));
		json_object_object_add(span, "status", status);
	}
	return span;
}
