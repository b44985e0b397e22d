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
#include "labelled.h"
#include "resources.h"

struct writer {
	struct exposition page;
	const struct prometheus_input *input;
	struct appmon_histogram *histogram; /* reused */
	struct labelled_list series, edges, active;
};

/* ---- Requests -------------------------------------------------------------- */

/* The latest of those that are one; false: none of them has any. */
static bool get_exemplar(const struct writer *writer, size_t i, struct exposition_exemplar *ret)
{
	size_t next = labelled_next(&writer->series, i);
	struct appmon_exemplar latest = {0};

	for (; i < next; i++) {
		struct appmon_exemplar one = {.size = sizeof(one)};

		if (appmon_snapshot_exemplar(writer->input->snapshot, APPMON_SNAPSHOT_SERIES,
					     writer->series.list[i].index, &one) == 0 &&
		    one.end_ns > latest.end_ns)
			latest = one;
	}
	if (latest.end_ns == 0)
		return false;
	format_hex(latest.trace_id, sizeof(latest.trace_id), ret->trace_id);
	format_hex(latest.span_id, sizeof(latest.span_id), ret->span_id);
	ret->seconds = (double)latest.duration_ns / NSEC_PER_SEC;
	ret->realtime_ns = appmon_realtime_ns(writer->input->mon, latest.end_ns);
	return true;
}

static int put_histogram(struct writer *writer, enum appmon_time time, size_t index)
{
	struct exposition_histogram histogram = {.values = writer->histogram,
						 .bounds = writer->input->bounds};
	struct exposition_exemplar exemplar;

	appmon_histogram_clear(writer->histogram);
	if (labelled_times(&writer->series, index, time, writer->histogram) < 0)
		return -ENOMEM;
	/* Not every request is seen to be read, and where nobody asked for it none is. */
	if (time != APPMON_TIME_DURATION && appmon_histogram_count(writer->histogram) == 0)
		return 0;
	if (time == APPMON_TIME_DURATION && get_exemplar(writer, index, &exemplar))
		histogram.exemplar = &exemplar;
	exposition_histogram(&writer->page, writer->series.list[index].labels, &histogram);
	return 0;
}

static int put_histograms(struct writer *writer, const struct histogram_metric *metric)
{
	const struct labelled_list *series = &writer->series;
	char name[64];
	int ret = 0;

	/* As OpenTelemetry's exporters name it for Prometheus. */
	snprintf(name, sizeof(name), "%s_seconds", metric->name);
	for (char *c = name; *c != '\0'; c++)
		if (*c == '.')
			*c = '_';
	exposition_family(&writer->page, name, FAMILY_HISTOGRAM, "seconds", metric->description);
	for (size_t i = 0; ret == 0 && i < series->count; i = labelled_next(series, i)) {
		if (series->list[i].side == metric->side)
			ret = put_histogram(writer, metric->time, i);
	}
	return ret;
}

/* Beside the histogram, which has only requests that were answered. */
static const struct {
	const char *name;
	enum side side;
	size_t member; /* of struct appmon_figures */
	const char *unit;
	const char *help;
} sums[] = {
	{"http_server_requests", SIDE_SERVER, offsetof(struct appmon_figures, requests), NULL,
	 "Requests received, answered or not."},
	{"http_client_requests", SIDE_CLIENT, offsetof(struct appmon_figures, requests), NULL,
	 "Requests sent, answered or not."},
	{"http_server_request_size_bytes", SIDE_SERVER,
	 offsetof(struct appmon_figures, request_bytes), "bytes",
	 "Bytes of requests received, heads and bodies."},
	{"http_server_response_size_bytes", SIDE_SERVER,
	 offsetof(struct appmon_figures, response_bytes), "bytes",
	 "Bytes of responses sent, heads and bodies."},
	{"http_client_request_size_bytes", SIDE_CLIENT,
	 offsetof(struct appmon_figures, request_bytes), "bytes",
	 "Bytes of requests sent, heads and bodies."},
	{"http_client_response_size_bytes", SIDE_CLIENT,
	 offsetof(struct appmon_figures, response_bytes), "bytes",
	 "Bytes of responses received, heads and bodies."},
	{"rpc_server_calls", SIDE_RPC_SERVER, offsetof(struct appmon_figures, requests), NULL,
	 "Calls received, answered or not."},
	{"rpc_client_calls", SIDE_RPC_CLIENT, offsetof(struct appmon_figures, requests), NULL,
	 "Calls sent, answered or not."},
	{"rpc_server_request_size_bytes", SIDE_RPC_SERVER,
	 offsetof(struct appmon_figures, request_bytes), "bytes", "Bytes of calls received."},
	{"rpc_server_response_size_bytes", SIDE_RPC_SERVER,
	 offsetof(struct appmon_figures, response_bytes), "bytes", "Bytes of answers sent."},
	{"rpc_client_request_size_bytes", SIDE_RPC_CLIENT,
	 offsetof(struct appmon_figures, request_bytes), "bytes", "Bytes of calls sent."},
	{"rpc_client_response_size_bytes", SIDE_RPC_CLIENT,
	 offsetof(struct appmon_figures, response_bytes), "bytes", "Bytes of answers received."},
	{"db_server_operations", SIDE_DATABASE_SERVER, offsetof(struct appmon_figures, requests),
	 NULL, "Operations received, answered or not."},
	{"db_client_operations", SIDE_DATABASE_CLIENT, offsetof(struct appmon_figures, requests),
	 NULL, "Operations sent, answered or not."},
	{"tls_server_exchanges", SIDE_TLS_SERVER, offsetof(struct appmon_figures, requests), NULL,
	 "Exchanges in TLS and failed handshakes, received."},
	{"tls_client_exchanges", SIDE_TLS_CLIENT, offsetof(struct appmon_figures, requests), NULL,
	 "Exchanges in TLS and failed handshakes, sent."},
};

static uint64_t member_at(const void *object, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)object + offset, sizeof(value));
	return value;
}

static void put_sums(struct writer *writer, size_t which)
{
	const struct labelled_list *series = &writer->series;

	exposition_family(&writer->page, sums[which].name, FAMILY_COUNTER, sums[which].unit,
			  sums[which].help);
	for (size_t i = 0; i < series->count; i = labelled_next(series, i)) {
		struct appmon_figures figures;

		if (series->list[i].side != sums[which].side)
			continue;
		labelled_figures(series, i, &figures);
		exposition_uint(&writer->page, series->list[i].labels,
				member_at(&figures, sums[which].member));
	}
}

/* age: of the oldest one, in place of how many there are. */
static void put_active(struct writer *writer, enum side side, bool age, const char *name,
		       const char *help)
{
	uint64_t now = appmon_snapshot_time(writer->input->snapshot), requests, oldest_ns;
	const struct labelled_list *active = &writer->active;

	exposition_family(&writer->page, name, FAMILY_GAUGE, age ? "seconds" : NULL, help);
	for (size_t i = 0; i < active->count; i = labelled_next(active, i)) {
		if (active->list[i].side != side)
			continue;
		labelled_active(active, i, &requests, &oldest_ns);
		if (age)
			exposition_double(&writer->page, active->list[i].labels,
					  oldest_ns != 0 && oldest_ns < now
						  ? (double)(now - oldest_ns) / NSEC_PER_SEC
						  : 0);
		else
			exposition_uint(&writer->page, active->list[i].labels, requests);
	}
}

static int put_requests(struct writer *writer)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < HISTOGRAM_METRICS; i++)
		ret = put_histograms(writer, &histogram_metrics[i]);
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		put_sums(writer, i);
	put_active(writer, SIDE_SERVER, false, "http_server_active_requests",
		   "Requests in progress.");
	put_active(writer, SIDE_CLIENT, false, "http_client_active_requests",
		   "Requests that were sent and are in progress.");
	put_active(writer, SIDE_SERVER, true, "http_server_active_request_age_seconds",
		   "The time since the oldest request in progress began; 0: there is none.");
	put_active(writer, SIDE_CLIENT, true, "http_client_active_request_age_seconds",
		   "The same of those that were sent.");
	return ret;
}

/* ---- Who calls whom ----------------------------------------------------------- */

static void put_edges(struct writer *writer, const char *name, size_t member, const char *help)
{
	const struct labelled_list *edges = &writer->edges;

	exposition_family(&writer->page, name, FAMILY_COUNTER, NULL, help);
	for (size_t i = 0; i < edges->count; i = labelled_next(edges, i)) {
		struct appmon_figures figures;

		labelled_figures(edges, i, &figures);
		exposition_uint(&writer->page, edges->list[i].labels, member_at(&figures, member));
	}
}

/* ---- The monitor itself ------------------------------------------------------ */

static void put_number(struct writer *writer, const char *name, enum family_type type,
		       const char *unit, const char *help, uint64_t value)
{
	exposition_family(&writer->page, name, type, unit, help);
	exposition_uint(&writer->page, "", value);
}

/* What stays opaque of TLS, and why. */
static void put_tls(struct writer *writer, const struct appmon_stats *stats)
{
	put_number(writer, "appmon_tls_calls", FAMILY_COUNTER, NULL,
		   "Reads and writes of TLS libraries that were understood.", stats->plain_calls);
	put_number(writer, "appmon_tls_calls_dropped", FAMILY_COUNTER, NULL,
		   "Reads and writes of TLS libraries that were not: of sessions whose socket was "
		   "not found, or for want of memory or room in the ring.",
		   stats->plain_dropped);
	exposition_family(&writer->page, "appmon_tls_refused", FAMILY_COUNTER, NULL,
			  "Files with a TLS library that is not understood or could not be probed, "
			  "and processes that could not be looked at: their sessions stay opaque.");
	exposition_uint(&writer->page, "reason=\"file\"",
			stats->tls_refused - stats->tls_refused_processes);
	exposition_uint(&writer->page, "reason=\"process\"", stats->tls_refused_processes);
}

static void put_dropped(struct writer *writer, const struct appmon_stats *stats)
{
	char labels[64];

	exposition_family(&writer->page, "appmon_exchanges_dropped", FAMILY_COUNTER, NULL,
			  "Exchanges that were seen and could not be reported.");
	for (uint32_t i = 0; i < APPMON_DROP_MAX; i++) {
		const char *reason = appmon_drop_name(i);

		snprintf(labels, sizeof(labels), "reason=\"%s\"", reason);
		if (strcmp(reason, "unknown") != 0)
			exposition_uint(&writer->page, labels, stats->dropped[i]);
	}
}

static void put_self(struct writer *writer)
{
	struct appmon_metrics_stats metrics = {.size = sizeof(metrics)};
	struct appmon_stats stats = {.size = sizeof(stats)};
	char labels[64];

	exposition_family(&writer->page, "appmon_build_info", FAMILY_GAUGE, NULL,
			  "The version of libappmon that is running.");
	snprintf(labels, sizeof(labels), "version=\"%s\"", appmon_version_string());
	exposition_uint(&writer->page, labels, 1);
	if (appmon_get_stats(writer->input->mon, 0, &stats) == 0) {
		put_number(writer, "appmon_exchanges_seen", FAMILY_COUNTER, NULL,
			   "Exchanges that passed the hooks.", stats.exchanges_seen);
		put_number(writer, "appmon_exchanges_delivered", FAMILY_COUNTER, NULL,
			   "Exchanges that were reported.", stats.delivered);
		put_dropped(writer, &stats);
		put_number(writer, "appmon_exchanges_outstanding", FAMILY_GAUGE, NULL,
			   "Exchanges in progress: seen, and neither delivered nor dropped yet.",
			   stats.outstanding);
		put_number(writer, "appmon_exchanges_filtered", FAMILY_COUNTER, NULL,
			   "Exchanges of protocols that were not asked for.", stats.filtered);
		put_number(writer, "appmon_connections_open", FAMILY_GAUGE, NULL,
			   "Connections that are followed.", stats.connections_open);
		put_tls(writer, &stats);
	}
	if (appmon_metrics_get_stats(writer->input->metrics, &metrics) == 0) {
		put_number(writer, "appmon_series", FAMILY_GAUGE, NULL, "Series that are held.",
			   metrics.series);
		put_number(writer, "appmon_overflow_events", FAMILY_COUNTER, NULL,
			   "Events that found no room in a series of their own.",
			   metrics.other_events);
		put_number(writer, "appmon_events_without_request", FAMILY_COUNTER, NULL,
			   "Events of which only a response was seen: in no series.",
			   metrics.without_request);
		put_number(writer, "appmon_metrics_memory_bytes", FAMILY_GAUGE, "bytes",
			   "Memory of the series.", metrics.memory_bytes);
	}
	for (size_t i = 0; i < writer->input->number_count; i++) {
		const struct prometheus_number *number = &writer->input->numbers[i];

		put_number(writer, number->name, number->counter ? FAMILY_COUNTER : FAMILY_GAUGE,
			   NULL, number->help, number->value);
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

/* A gauge of which two have the same labels is of the first one. */
static char *resource_labels(const struct writer *writer, const struct instance_resources *of)
{
	struct attributes attributes;
	const char *separator = "";
	char *labels = NULL;
	size_t size;
	FILE *out = open_memstream(&labels, &size);

	if (!out)
		return NULL;
	attributes_of_resource(&attributes, &of->series, writer->input->instances);
	put_labels(out, &attributes, &separator);
	if (fclose(out) == 0)
		return labels;
	free(labels);
	return NULL;
}

struct usage {
	char *labels;
	const struct appmon_resources *resources;
};

static int by_labels(const void *a, const void *b)
{
	const struct usage *x = a, *y = b;

	return strcmp(x->labels, y->labels);
}

static void put_usages(struct writer *writer, const struct resource_family *family,
		       const struct usage *usages, int count)
{
	const char *last = NULL;

	exposition_family(&writer->page, family->name, family->type, family->unit, family->help);
	for (int i = 0; i < count; i++) {
		const struct usage *usage = &usages[i];

		if (!(usage->resources->valid & family->source) ||
		    (last && strcmp(last, usage->labels) == 0))
			continue;
		last = usage->labels;
		exposition_double(&writer->page, usage->labels,
				  (double)member_at(usage->resources, family->member) *
					  family->scale);
	}
}

static int put_resources(struct writer *writer)
{
	struct instance_resources *list;
	struct usage *usages;
	int count, n = 0;

	count = resources_read(writer->input->snapshot, writer->input->instances, &list);
	if (count < 0)
		return count;
	usages = calloc((size_t)count + 1, sizeof(*usages));
	while (usages && n < count) {
		usages[n] = (struct usage){resource_labels(writer, &list[n]), &list[n].resources};
		if (!usages[n].labels)
			break;
		n++;
	}
	if (usages && n == count) {
		qsort(usages, (size_t)n, sizeof(*usages), by_labels);
		for (size_t i = 0; i < RESOURCE_FAMILY_COUNT; i++)
			put_usages(writer, &resource_families[i], usages, n);
	}
	for (int i = 0; usages && i < n; i++)
		free(usages[i].labels);
	free(usages);
	free(list);
	return n == count ? 0 : -ENOMEM;
}

/* ---- All of it --------------------------------------------------------------------- */

static void close_writer(struct writer *writer)
{
	labelled_free(&writer->series);
	labelled_free(&writer->edges);
	labelled_free(&writer->active);
	appmon_histogram_free(writer->histogram);
}

static int open_writer(struct writer *writer)
{
	const struct appmon_snapshot *snapshot = writer->input->snapshot;
	struct instances *instances = writer->input->instances;
	int ret = appmon_histogram_new(&writer->histogram);

	if (ret == 0)
		ret = labelled_open(&writer->series, snapshot, APPMON_SNAPSHOT_SERIES, instances,
				    NULL);
	if (ret == 0)
		ret = labelled_open(&writer->edges, snapshot, APPMON_SNAPSHOT_EDGES, instances,
				    writer->input->addresses);
	if (ret == 0)
		ret = labelled_open(&writer->active, snapshot, APPMON_SNAPSHOT_ACTIVE, instances,
				    NULL);
	return ret;
}

int prometheus_write(FILE *out, const struct prometheus_input *input, enum exposition_format format)
{
	struct writer writer = {.page = {.out = out, .format = format}, .input = input};
	int ret, end;

	ret = open_writer(&writer);
	if (ret == 0)
		ret = put_requests(&writer);
	if (ret == 0)
		ret = put_resources(&writer);
	if (ret == 0) {
		put_edges(&writer, "traces_service_graph_request",
			  offsetof(struct appmon_figures, requests),
			  "Requests from client to server.");
		put_edges(&writer, "traces_service_graph_request_failed",
			  offsetof(struct appmon_figures, errors),
			  "Those of them that failed, as the client sees it.");
		put_self(&writer);
	}
	end = exposition_end(&writer.page);
	close_writer(&writer);
	return ret < 0 ? ret : end;
}
