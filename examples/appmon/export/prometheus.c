/* SPDX-License-Identifier: BSD-2-Clause */
#include "prometheus.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"
#include "attributes.h"
#include "durations.h"
#include "resources.h"

struct writer {
	FILE *out;
	const struct prometheus_input *input;
	bool openmetrics;
	struct appmon_histogram *histogram; /* reused */
};

/* ---- The format ----------------------------------------------------------- */

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM };

/* name is without _total, which OpenMetrics has at the samples of a counter only. */
static void put_family(const struct writer *writer, const char *name, enum family_type type,
		       const char *unit, const char *help)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	const char *suffix = type == FAMILY_COUNTER && !writer->openmetrics ? "_total" : "";

	fprintf(writer->out, "# HELP %s%s %s\n", name, suffix, help);
	fprintf(writer->out, "# TYPE %s%s %s\n", name, suffix, types[type]);
	if (writer->openmetrics && unit)
		fprintf(writer->out, "# UNIT %s %s\n", name, unit);
}

/* Both formats escape the same; the bytes have to be UTF-8. */
static void put_value(FILE *out, const struct appmon_str *value)
{
	uint32_t character;

	for (uint32_t i = 0; i < value->len;) {
		size_t len = utf8_decode(value->data + i, value->len - i, &character);

		if (len == 0) {
			fputs("\xef\xbf\xbd", out); /* U+FFFD, REPLACEMENT CHARACTER */
			len = 1;
		} else if (character == '\\' || character == '"') {
			fprintf(out, "\\%c", (char)character);
		} else if (character == '\n') {
			fputs("\\n", out);
		} else {
			fwrite(value->data + i, 1, len, out);
		}
		i += (uint32_t)len;
	}
}

/* The labels between { and }, in parts. */
static void put_labels(FILE *out, const struct attributes *attributes, const char **separator)
{
	for (unsigned i = 0; i < attributes->count; i++) {
		fputs(*separator, out);
		for (const char *c = attributes->list[i].name; *c != '\0'; c++)
			fputc(*c == '.' ? '_' : *c, out);
		fputs("=\"", out);
		put_value(out, &attributes->list[i].value);
		fputc('"', out);
		*separator = ",";
	}
}

static void put_sample_begin(FILE *out, const char *name, const char *suffix,
			     const struct attributes *resource, const struct attributes *series,
			     const char *bound)
{
	const char *separator = "";

	fprintf(out, "%s%s{", name, suffix);
	put_labels(out, resource, &separator);
	if (series)
		put_labels(out, series, &separator);
	if (bound)
		fprintf(out, "%sle=\"%s\"", separator, bound);
	fputs("} ", out);
}

/* ---- Requests -------------------------------------------------------------- */

struct labels {
	struct attributes resource, series;
};

/* A series of this role: its labels; false for the others. */
static bool get_series(const struct writer *writer, uint32_t index, uint32_t role,
		       struct labels *labels)
{
	struct appmon_series series = {.size = sizeof(series)};

	if (appmon_snapshot_series(writer->input->snapshot, index, &series) < 0 ||
	    series.role != role)
		return false;
	attributes_of_resource(&labels->resource, &series, writer->input->instances);
	attributes_of_series(&labels->series, &series);
	return true;
}

static void put_exemplar(const struct writer *writer, const struct appmon_exemplar *exemplar)
{
	uint64_t realtime_ns = appmon_realtime_ns(writer->input->mon, exemplar->end_ns);

	fputs(" # {trace_id=\"", writer->out);
	for (unsigned i = 0; i < sizeof(exemplar->trace_id); i++)
		fprintf(writer->out, "%02x", exemplar->trace_id[i]);
	fputs("\",span_id=\"", writer->out);
	for (unsigned i = 0; i < sizeof(exemplar->span_id); i++)
		fprintf(writer->out, "%02x", exemplar->span_id[i]);
	fprintf(writer->out, "\"} %.9g %.3f", (double)exemplar->duration_ns / NSEC_PER_SEC,
		(double)realtime_ns / NSEC_PER_SEC);
}

static int put_histogram(const struct writer *writer, const char *name, uint32_t index,
			 const struct labels *labels)
{
	const struct appmon_snapshot *snapshot = writer->input->snapshot;
	struct appmon_exemplar exemplar = {.size = sizeof(exemplar)};
	struct appmon_figures figures = {.size = sizeof(figures)};
	uint64_t counts[DURATIONS_BOUNDS];
	/* The bucket that the exemplar is of; none. */
	unsigned exemplar_at = DURATIONS_BOUNDS + 1;
	char bound[16];

	appmon_histogram_clear(writer->histogram);
	if (appmon_snapshot_durations(snapshot, APPMON_SNAPSHOT_SERIES, index, NULL,
				      writer->histogram) < 0)
		return -ENOMEM;
	appmon_snapshot_figures(snapshot, APPMON_SNAPSHOT_SERIES, index, NULL, &figures);
	durations_at_most(writer->histogram, counts);
	if (writer->openmetrics &&
	    appmon_snapshot_exemplar(snapshot, APPMON_SNAPSHOT_SERIES, index, &exemplar) == 0)
		exemplar_at = durations_bound_of((double)exemplar.duration_ns / NSEC_PER_SEC);
	for (unsigned i = 0; i <= DURATIONS_BOUNDS; i++) {
		uint64_t count = figures.duration_count;

		strcpy(bound, "+Inf");
		if (i < DURATIONS_BOUNDS) {
			snprintf(bound, sizeof(bound), "%g", durations_bounds[i]);
			count = counts[i];
		}
		put_sample_begin(writer->out, name, "_bucket", &labels->resource, &labels->series,
				 bound);
		fprintf(writer->out, "%" PRIu64, count);
		if (i == exemplar_at)
			put_exemplar(writer, &exemplar);
		fputc('\n', writer->out);
	}
	put_sample_begin(writer->out, name, "_sum", &labels->resource, &labels->series, NULL);
	fprintf(writer->out, "%.9g\n", (double)figures.duration_sum / NSEC_PER_SEC);
	put_sample_begin(writer->out, name, "_count", &labels->resource, &labels->series, NULL);
	fprintf(writer->out, "%" PRIu64 "\n", figures.duration_count);
	return 0;
}

static int put_durations(const struct writer *writer, uint32_t role, const char *name,
			 const char *help)
{
	uint32_t count = appmon_snapshot_count(writer->input->snapshot, APPMON_SNAPSHOT_SERIES);
	struct labels labels;
	int ret = 0;

	put_family(writer, name, FAMILY_HISTOGRAM, "seconds", help);
	for (uint32_t i = 0; ret == 0 && i < count; i++) {
		if (get_series(writer, i, role, &labels))
			ret = put_histogram(writer, name, i, &labels);
	}
	return ret;
}

/* Beside the histogram, which has only requests that were answered. */
static const struct {
	const char *name;
	uint32_t role;
	size_t member; /* of struct appmon_figures */
	const char *unit;
	const char *help;
} sums[] = {
	{"http_server_requests", APPMON_ROLE_SERVER, offsetof(struct appmon_figures, requests),
	 NULL, "Requests received, answered or not."},
	{"http_client_requests", APPMON_ROLE_CLIENT, offsetof(struct appmon_figures, requests),
	 NULL, "Requests sent, answered or not."},
	{"http_server_request_size_bytes", APPMON_ROLE_SERVER,
	 offsetof(struct appmon_figures, request_bytes), "bytes",
	 "Bytes of requests received, heads and bodies."},
	{"http_server_response_size_bytes", APPMON_ROLE_SERVER,
	 offsetof(struct appmon_figures, response_bytes), "bytes",
	 "Bytes of responses sent, heads and bodies."},
	{"http_client_request_size_bytes", APPMON_ROLE_CLIENT,
	 offsetof(struct appmon_figures, request_bytes), "bytes",
	 "Bytes of requests sent, heads and bodies."},
	{"http_client_response_size_bytes", APPMON_ROLE_CLIENT,
	 offsetof(struct appmon_figures, response_bytes), "bytes",
	 "Bytes of responses received, heads and bodies."},
};

static uint64_t member_at(const void *object, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)object + offset, sizeof(value));
	return value;
}

static void put_sums(const struct writer *writer, size_t which)
{
	uint32_t count = appmon_snapshot_count(writer->input->snapshot, APPMON_SNAPSHOT_SERIES);
	struct labels labels;

	put_family(writer, sums[which].name, FAMILY_COUNTER, sums[which].unit, sums[which].help);
	for (uint32_t i = 0; i < count; i++) {
		struct appmon_figures figures = {.size = sizeof(figures)};

		if (!get_series(writer, i, sums[which].role, &labels))
			continue;
		appmon_snapshot_figures(writer->input->snapshot, APPMON_SNAPSHOT_SERIES, i, NULL,
					&figures);
		put_sample_begin(writer->out, sums[which].name, "_total", &labels.resource,
				 &labels.series, NULL);
		fprintf(writer->out, "%" PRIu64 "\n", member_at(&figures, sums[which].member));
	}
}

static int put_requests(const struct writer *writer)
{
	int ret;

	ret = put_durations(writer, APPMON_ROLE_SERVER, "http_server_request_duration_seconds",
			    "First byte of the request received to last byte of the response "
			    "sent.");
	if (ret == 0)
		ret = put_durations(writer, APPMON_ROLE_CLIENT,
				    "http_client_request_duration_seconds",
				    "First byte of the request sent to last byte of the response "
				    "received.");
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		put_sums(writer, i);
	return ret;
}

/* ---- Who calls whom: names as OpenTelemetry's service graph connector has them -- */

static void add_end(struct attributes *attributes, const char *name, const char *other,
		    const struct appmon_str *app, const struct appmon_endpoint *endpoint, char *buf,
		    size_t size)
{
	if (app->len > 0) {
		attributes->list[attributes->count++] = (struct attribute){name, *app};
		return;
	}
	appmon_format_endpoint(endpoint, buf, size);
	attributes_add(attributes, name, endpoint->family != 0 ? buf : other);
}

static void put_edges(const struct writer *writer, const char *name, size_t member,
		      const char *help)
{
	const struct appmon_snapshot *snapshot = writer->input->snapshot;
	uint32_t count = appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_EDGES);
	struct appmon_figures figures = {.size = sizeof(figures)};
	struct appmon_edge edge = {.size = sizeof(edge)};
	char client[64], server[64];

	put_family(writer, name, FAMILY_COUNTER, NULL, help);
	for (uint32_t i = 0; i < count; i++) {
		struct attributes ends = {0};

		edge.size = sizeof(edge);
		appmon_snapshot_edge(snapshot, i, &edge);
		appmon_snapshot_figures(snapshot, APPMON_SNAPSHOT_EDGES, i, NULL, &figures);
		if (edge.flags & APPMON_SERIES_OTHER) {
			attributes_add(&ends, "otel.metric.overflow", "true");
		} else {
			add_end(&ends, "client", "user", &edge.client_app, &edge.client, client,
				sizeof(client));
			add_end(&ends, "server", "unknown", &edge.server_app, &edge.server, server,
				sizeof(server));
		}
		put_sample_begin(writer->out, name, "_total", &ends, NULL, NULL);
		fprintf(writer->out, "%" PRIu64 "\n", member_at(&figures, member));
	}
}

/* ---- The monitor itself ------------------------------------------------------ */

static void put_number(const struct writer *writer, const char *name, enum family_type type,
		       const char *unit, const char *help, uint64_t value)
{
	put_family(writer, name, type, unit, help);
	fprintf(writer->out, "%s%s %" PRIu64 "\n", name, type == FAMILY_COUNTER ? "_total" : "",
		value);
}

static void put_self(const struct writer *writer)
{
	struct appmon_metrics_stats metrics = {.size = sizeof(metrics)};
	struct appmon_stats stats = {.size = sizeof(stats)};
	const char *name = "appmon_exchanges_dropped";

	put_family(writer, "appmon_build_info", FAMILY_GAUGE, NULL,
		   "The version of libappmon that is running.");
	fprintf(writer->out, "appmon_build_info{version=\"%s\"} 1\n", appmon_version_string());
	if (appmon_get_stats(writer->input->mon, 0, &stats) == 0) {
		put_number(writer, "appmon_exchanges_seen", FAMILY_COUNTER, NULL,
			   "Exchanges that passed the hooks.", stats.exchanges_seen);
		put_number(writer, "appmon_exchanges_delivered", FAMILY_COUNTER, NULL,
			   "Exchanges that were reported.", stats.delivered);
		put_family(writer, name, FAMILY_COUNTER, NULL,
			   "Exchanges that were seen and could not be reported.");
		for (uint32_t i = 0; i < APPMON_DROP_MAX; i++) {
			const char *reason = appmon_drop_name(i);

			if (strcmp(reason, "unknown") != 0)
				fprintf(writer->out, "%s_total{reason=\"%s\"} %" PRIu64 "\n", name,
					reason, stats.dropped[i]);
		}
		put_number(writer, "appmon_connections_open", FAMILY_GAUGE, NULL,
			   "Connections that are followed.", stats.connections_open);
	}
	if (appmon_metrics_get_stats(writer->input->metrics, &metrics) == 0) {
		put_number(writer, "appmon_series", FAMILY_GAUGE, NULL, "Series that are held.",
			   metrics.series);
		put_number(writer, "appmon_overflow_events", FAMILY_COUNTER, NULL,
			   "Events that found no room in a series of their own.",
			   metrics.other_events);
		put_number(writer, "appmon_metrics_memory_bytes", FAMILY_GAUGE, "bytes",
			   "Memory of the series.", metrics.memory_bytes);
	}
}

/* ---- Resources of the instances ------------------------------------------------ */

struct resource_family {
	const char *name;
	enum family_type type;
	const char *unit;
	const char *help;
	uint64_t source; /* APPMON_RES_* */
	size_t member;
	double scale;
};

static const struct resource_family resource_families[] = {
	{"container_cpu_time_seconds", FAMILY_COUNTER, "seconds", "CPU time used.", APPMON_RES_CPU,
	 offsetof(struct appmon_resources, cpu_ns), 1e-9},
	{"container_cpu_throttled_seconds", FAMILY_COUNTER, "seconds",
	 "Time that the CPU limit took away.", APPMON_RES_THROTTLING,
	 offsetof(struct appmon_resources, throttled_ns), 1e-9},
	{"container_memory_usage_bytes", FAMILY_GAUGE, "bytes", "Memory in use.", APPMON_RES_MEMORY,
	 offsetof(struct appmon_resources, memory_bytes), 1},
	{"container_processes", FAMILY_GAUGE, NULL, "Processes and threads.", APPMON_RES_PIDS,
	 offsetof(struct appmon_resources, pids), 1},
	{"container_disk_read_bytes", FAMILY_COUNTER, "bytes", "Bytes read from devices.",
	 APPMON_RES_IO, offsetof(struct appmon_resources, read_bytes), 1},
	{"container_disk_written_bytes", FAMILY_COUNTER, "bytes", "Bytes written to devices.",
	 APPMON_RES_IO, offsetof(struct appmon_resources, write_bytes), 1},
};
#define RESOURCE_FAMILY_COUNT (sizeof(resource_families) / sizeof(resource_families[0]))

static int put_resources(const struct writer *writer)
{
	struct attributes labels;
	struct instance_resources *list;
	int count;

	count = resources_read(writer->input->snapshot, writer->input->instances, &list);
	if (count < 0)
		return count;
	for (size_t i = 0; i < RESOURCE_FAMILY_COUNT; i++) {
		const struct resource_family *family = &resource_families[i];
		const char *suffix = family->type == FAMILY_COUNTER ? "_total" : "";

		put_family(writer, family->name, family->type, family->unit, family->help);
		for (int j = 0; j < count; j++) {
			if (!(list[j].resources.valid & family->source))
				continue;
			attributes_of_resource(&labels, &list[j].series, writer->input->instances);
			put_sample_begin(writer->out, family->name, suffix, &labels, NULL, NULL);
			fprintf(writer->out, "%.15g\n",
				(double)member_at(&list[j].resources, family->member) *
					family->scale);
		}
	}
	free(list);
	return 0;
}

int prometheus_write(FILE *out, const struct prometheus_input *input, bool openmetrics)
{
	struct writer writer = {.out = out, .input = input, .openmetrics = openmetrics};
	int ret;

	ret = appmon_histogram_new(&writer.histogram);
	if (ret < 0)
		return ret;
	ret = put_requests(&writer);
	if (ret == 0)
		ret = put_resources(&writer);
	appmon_histogram_free(writer.histogram);
	if (ret < 0)
		return ret;
	put_edges(&writer, "traces_service_graph_request",
		  offsetof(struct appmon_figures, requests), "Requests from client to server.");
	put_edges(&writer, "traces_service_graph_request_failed",
		  offsetof(struct appmon_figures, errors),
		  "Those of them that failed, as the client sees it.");
	put_self(&writer);
	if (openmetrics)
		fputs("# EOF\n", out);
	return 0;
}
