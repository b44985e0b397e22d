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
	FILE *out;
	const struct prometheus_input *input;
	bool openmetrics;
	struct appmon_histogram *histogram; /* reused */
	struct labelled_list series, edges, active;
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

/* le: the bound of a bucket; NULL: it is none. */
static void put_sample_begin(FILE *out, const char *name, const char *suffix, const char *labels,
			     const char *le)
{
	fprintf(out, "%s%s{%s", name, suffix, labels);
	if (le)
		fprintf(out, "%sle=\"%s\"", *labels != '\0' ? "," : "", le);
	fputs("} ", out);
}

/* ---- Requests -------------------------------------------------------------- */

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

/* The latest of those that are one; false: none of them has any. */
static bool get_exemplar(const struct writer *writer, size_t i, struct appmon_exemplar *ret)
{
	size_t next = labelled_next(&writer->series, i);
	bool found = false;

	for (; i < next; i++) {
		struct appmon_exemplar one = {.size = sizeof(one)};

		if (appmon_snapshot_exemplar(writer->input->snapshot, APPMON_SNAPSHOT_SERIES,
					     writer->series.list[i].index, &one) < 0 ||
		    (found && one.end_ns < ret->end_ns))
			continue;
		*ret = one;
		found = true;
	}
	return found;
}

static double seconds(uint64_t ns)
{
	return (double)ns / NSEC_PER_SEC;
}

static int put_histogram(const struct writer *writer, const char *name, enum appmon_time time,
			 size_t index)
{
	const struct durations_bounds *bounds = writer->input->bounds;
	const char *labels = writer->series.list[index].labels;
	uint64_t counts[DURATIONS_BOUNDS_MAX], total;
	struct appmon_exemplar exemplar = {0};
	/* The bucket that the exemplar is of; none. */
	unsigned exemplar_at = bounds->count + 1;
	char bound[32];

	appmon_histogram_clear(writer->histogram);
	if (labelled_times(&writer->series, index, time, writer->histogram) < 0)
		return -ENOMEM;
	total = appmon_histogram_count(writer->histogram);
	/* Not every request is seen to be read, and where nobody asked for it none is. */
	if (total == 0 && time != APPMON_TIME_DURATION)
		return 0;
	durations_at_most(bounds, writer->histogram, counts);
	if (writer->openmetrics && time == APPMON_TIME_DURATION &&
	    get_exemplar(writer, index, &exemplar))
		exemplar_at = durations_bound_of(bounds, seconds(exemplar.duration_ns));
	for (unsigned i = 0; i <= bounds->count; i++) {
		uint64_t count = total;

		strcpy(bound, "+Inf");
		if (i < bounds->count) {
			snprintf(bound, sizeof(bound), "%.12g", bounds->seconds[i]);
			count = counts[i];
		}
		put_sample_begin(writer->out, name, "_bucket", labels, bound);
		fprintf(writer->out, "%" PRIu64, count);
		if (i == exemplar_at)
			put_exemplar(writer, &exemplar);
		fputc('\n', writer->out);
	}
	put_sample_begin(writer->out, name, "_sum", labels, NULL);
	fprintf(writer->out, "%.9g\n", seconds(appmon_histogram_sum(writer->histogram)));
	put_sample_begin(writer->out, name, "_count", labels, NULL);
	fprintf(writer->out, "%" PRIu64 "\n", total);
	return 0;
}

static int put_histograms(const struct writer *writer, const struct histogram_metric *metric)
{
	const struct labelled_list *series = &writer->series;
	char name[64];
	int ret = 0;

	/* As OpenTelemetry's exporters name it for Prometheus. */
	snprintf(name, sizeof(name), "%s_seconds", metric->name);
	for (char *c = name; *c != '\0'; c++)
		if (*c == '.')
			*c = '_';
	put_family(writer, name, FAMILY_HISTOGRAM, "seconds", metric->description);
	for (size_t i = 0; ret == 0 && i < series->count; i = labelled_next(series, i)) {
		if (series->list[i].side == metric->side)
			ret = put_histogram(writer, name, metric->time, i);
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

static void put_sums(const struct writer *writer, size_t which)
{
	const struct labelled_list *series = &writer->series;

	put_family(writer, sums[which].name, FAMILY_COUNTER, sums[which].unit, sums[which].help);
	for (size_t i = 0; i < series->count; i = labelled_next(series, i)) {
		struct appmon_figures figures;

		if (series->list[i].side != sums[which].side)
			continue;
		labelled_figures(series, i, &figures);
		put_sample_begin(writer->out, sums[which].name, "_total", series->list[i].labels,
				 NULL);
		fprintf(writer->out, "%" PRIu64 "\n", member_at(&figures, sums[which].member));
	}
}

/* age: of the oldest one, in place of how many there are. */
static void put_active(const struct writer *writer, enum side side, bool age, const char *name,
		       const char *help)
{
	uint64_t now = appmon_snapshot_time(writer->input->snapshot), requests, oldest_ns;
	const struct labelled_list *active = &writer->active;

	put_family(writer, name, FAMILY_GAUGE, age ? "seconds" : NULL, help);
	for (size_t i = 0; i < active->count; i = labelled_next(active, i)) {
		if (active->list[i].side != side)
			continue;
		labelled_active(active, i, &requests, &oldest_ns);
		put_sample_begin(writer->out, name, "", active->list[i].labels, NULL);
		if (age)
			fprintf(writer->out, "%.9g\n",
				oldest_ns != 0 && oldest_ns < now
					? (double)(now - oldest_ns) / NSEC_PER_SEC
					: 0);
		else
			fprintf(writer->out, "%" PRIu64 "\n", requests);
	}
}

static int put_requests(const struct writer *writer)
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

static void put_edges(const struct writer *writer, const char *name, size_t member,
		      const char *help)
{
	const struct labelled_list *edges = &writer->edges;

	put_family(writer, name, FAMILY_COUNTER, NULL, help);
	for (size_t i = 0; i < edges->count; i = labelled_next(edges, i)) {
		struct appmon_figures figures;

		labelled_figures(edges, i, &figures);
		put_sample_begin(writer->out, name, "_total", edges->list[i].labels, NULL);
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
		put_number(writer, "appmon_exchanges_outstanding", FAMILY_GAUGE, NULL,
			   "Exchanges in progress: seen, and neither delivered nor dropped yet.",
			   stats.outstanding);
		put_number(writer, "appmon_exchanges_filtered", FAMILY_COUNTER, NULL,
			   "Exchanges of protocols that were not asked for.", stats.filtered);
		put_number(writer, "appmon_connections_open", FAMILY_GAUGE, NULL,
			   "Connections that are followed.", stats.connections_open);
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

static void put_usages(const struct writer *writer, const struct resource_family *family,
		       const struct usage *usages, int count)
{
	const char *suffix = family->type == FAMILY_COUNTER ? "_total" : "", *last = NULL;

	put_family(writer, family->name, family->type, family->unit, family->help);
	for (int i = 0; i < count; i++) {
		const struct usage *usage = &usages[i];

		if (!(usage->resources->valid & family->source) ||
		    (last && strcmp(last, usage->labels) == 0))
			continue;
		last = usage->labels;
		put_sample_begin(writer->out, family->name, suffix, usage->labels, NULL);
		fprintf(writer->out, "%.15g\n",
			(double)member_at(usage->resources, family->member) * family->scale);
	}
}

static int put_resources(const struct writer *writer)
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

int prometheus_write(FILE *out, const struct prometheus_input *input, bool openmetrics)
{
	struct writer writer = {.out = out, .input = input, .openmetrics = openmetrics};
	int ret;

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
		if (openmetrics)
			fputs("# EOF\n", out);
	}
	close_writer(&writer);
	return ret;
}
