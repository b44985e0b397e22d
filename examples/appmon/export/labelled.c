/* SPDX-License-Identifier: BSD-2-Clause */
#include "labelled.h"
#include "../names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"

/* ---- Labels as text ------------------------------------------------------------- */

/* Both formats escape the same; the bytes have to be UTF-8. */
static void put_value(FILE *out, const struct appmon_str *value)
{
	uint32_t character, begin = 0;

	for (uint32_t i = 0; i < value->len;) {
		size_t len = utf8_decode(value->data + i, value->len - i, &character);

		if (len > 0 && character != '\\' && character != '"' && character != '\n') {
			i += (uint32_t)len;
			continue;
		}
		fwrite(value->data + begin, 1, i - begin, out);
		if (len == 0)
			fputs("\xef\xbf\xbd", out); /* U+FFFD, REPLACEMENT CHARACTER */
		else
			fprintf(out, "\\%c", character == '\n' ? 'n' : (char)character);
		begin = ++i;
	}
	fwrite(value->data + begin, 1, value->len - begin, out);
}

void put_labels(FILE *out, const struct attributes *attributes, const char **separator)
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

const struct histogram_metric histogram_metrics[HISTOGRAM_METRICS] = {
	{SIDE_SERVER, APPMON_TIME_DURATION, "http.server.request.duration",
	 "First byte of the request received to last byte of the response sent."},
	{SIDE_CLIENT, APPMON_TIME_DURATION, "http.client.request.duration",
	 "First byte of the request sent to last byte of the response received."},
	{SIDE_RPC_SERVER, APPMON_TIME_DURATION, "rpc.server.call.duration",
	 "First byte of the call received to last byte of the answer sent."},
	{SIDE_RPC_CLIENT, APPMON_TIME_DURATION, "rpc.client.call.duration",
	 "First byte of the call sent to last byte of the answer received."},
	{SIDE_DATABASE_SERVER, APPMON_TIME_DURATION, "db.server.operation.duration",
	 "First byte of the operation received to last byte of the answer sent."},
	{SIDE_DATABASE_CLIENT, APPMON_TIME_DURATION, "db.client.operation.duration",
	 "First byte of the operation sent to last byte of the answer received."},
	{SIDE_TLS_SERVER, APPMON_TIME_DURATION, "tls.server.exchange.duration",
	 "First record received to last record sent."},
	{SIDE_TLS_CLIENT, APPMON_TIME_DURATION, "tls.client.exchange.duration",
	 "First record sent to last record received."},
	{SIDE_SERVER, APPMON_TIME_QUEUE, "http.server.request.queue_time",
	 "First byte of the request received to its first byte read by the application."},
	{SIDE_SERVER, APPMON_TIME_SERVICE, "http.server.request.service_time",
	 "Last byte of the request read by the application to first byte of the response sent."},
	{SIDE_RPC_SERVER, APPMON_TIME_QUEUE, "rpc.server.call.queue_time",
	 "First byte of the call received to its first byte read by the application."},
	{SIDE_RPC_SERVER, APPMON_TIME_SERVICE, "rpc.server.call.service_time",
	 "Last byte of the call read by the application to first byte of the answer sent."},
	{SIDE_DATABASE_SERVER, APPMON_TIME_QUEUE, "db.server.operation.queue_time",
	 "First byte of the operation received to its first byte read by the database."},
	{SIDE_DATABASE_SERVER, APPMON_TIME_SERVICE, "db.server.operation.service_time",
	 "Last byte of the operation read by the database to first byte of the answer sent."},
};

static uint32_t side_of(uint32_t role, const struct appmon_str *system)
{
	static const uint32_t servers[] = {
		[SPOKEN_HTTP] = SIDE_SERVER,
		[SPOKEN_RPC] = SIDE_RPC_SERVER,
		[SPOKEN_DATABASE] = SIDE_DATABASE_SERVER,
		[SPOKEN_TLS] = SIDE_TLS_SERVER,
	};

	if (role == APPMON_ROLE_UNKNOWN)
		return 0;
	return servers[spoken(system)] + (role == APPMON_ROLE_CLIENT);
}

/* Returns its side. */
static uint32_t put_series(FILE *out, const struct appmon_snapshot *snapshot, uint32_t index,
			   struct instances *instances)
{
	struct appmon_series series = {.size = sizeof(series)};
	struct attributes attributes;
	const char *separator = "";

	appmon_snapshot_series(snapshot, index, &series);
	attributes_of_resource(&attributes, &series, instances);
	put_labels(out, &attributes, &separator);
	attributes_of_series(&attributes, &series);
	put_labels(out, &attributes, &separator);
	return side_of(series.role, &series.system);
}

static uint32_t put_active(FILE *out, const struct appmon_snapshot *snapshot, uint32_t index,
			   struct instances *instances)
{
	struct appmon_active active = {.size = sizeof(active)};
	struct attributes attributes;
	struct appmon_series series;
	const char *separator = "";

	appmon_snapshot_active(snapshot, index, &active);
	series = (struct appmon_series){.app = active.app, .cgroup_id = active.cgroup_id};
	attributes_of_resource(&attributes, &series, instances);
	put_labels(out, &attributes, &separator);
	attributes_of_active(&attributes, &active);
	put_labels(out, &attributes, &separator);
	/* The conventions have a name for HTTP's only. */
	return is_http(active.protocol) ? active.role : 0;
}

static void put_edge(FILE *out, const struct appmon_snapshot *snapshot, uint32_t index,
		     const struct addresses *addresses)
{
	struct appmon_edge edge = {.size = sizeof(edge)};
	struct edge_attributes attributes;
	const char *separator = "";

	appmon_snapshot_edge(snapshot, index, &edge);
	attributes_of_edge(&attributes, &edge, addresses);
	put_labels(out, &attributes.attributes, &separator);
}

/* ---- The list ---------------------------------------------------------------------- */

static int compare(const struct labelled *x, const struct labelled *y)
{
	if (x->side != y->side)
		return x->side < y->side ? -1 : 1;
	return strcmp(x->labels, y->labels);
}

static int by_labels(const void *a, const void *b)
{
	const struct labelled *x = a, *y = b;
	int ret = compare(x, y);

	return ret != 0 ? ret : (x->index > y->index) - (x->index < y->index);
}

/* All labels go into one text, whose place is known at its end. */
static void put_all(struct labelled_list *labelled, struct instances *instances,
		    const struct addresses *addresses, FILE *out)
{
	uint32_t count = appmon_snapshot_count(labelled->snapshot, labelled->kind);

	for (uint32_t i = 0; i < count; i++) {
		struct labelled *item = &labelled->list[labelled->count];

		*item = (struct labelled){.index = i, .offset = (size_t)ftell(out)};
		if (labelled->kind == APPMON_SNAPSHOT_EDGES)
			put_edge(out, labelled->snapshot, i, addresses);
		else if (labelled->kind == APPMON_SNAPSHOT_ACTIVE)
			item->side = put_active(out, labelled->snapshot, i, instances);
		else
			item->side = put_series(out, labelled->snapshot, i, instances);
		fputc('\0', out);
		if (item->side != 0 || labelled->kind == APPMON_SNAPSHOT_EDGES)
			labelled->count++;
	}
}

int labelled_open(struct labelled_list *ret, const struct appmon_snapshot *snapshot, uint32_t kind,
		  struct instances *instances, const struct addresses *addresses)
{
	struct labelled_list labelled = {.snapshot = snapshot, .kind = kind};
	size_t size = 0;
	FILE *out;

	labelled.list = calloc(appmon_snapshot_count(snapshot, kind) + 1, sizeof(*labelled.list));
	out = labelled.list ? open_memstream(&labelled.text, &size) : NULL;
	if (out)
		put_all(&labelled, instances, addresses, out);
	if (!out || ferror(out) | fclose(out)) {
		labelled_free(&labelled);
		return -ENOMEM;
	}
	for (size_t i = 0; i < labelled.count; i++)
		labelled.list[i].labels = labelled.text + labelled.list[i].offset;
	qsort(labelled.list, labelled.count, sizeof(*labelled.list), by_labels);
	*ret = labelled;
	return 0;
}

void labelled_free(struct labelled_list *labelled)
{
	free(labelled->list);
	free(labelled->text);
	*labelled = (struct labelled_list){0};
}

size_t labelled_next(const struct labelled_list *labelled, size_t i)
{
	const struct labelled *first = &labelled->list[i];

	for (i++; i < labelled->count && compare(first, &labelled->list[i]) == 0;)
		i++;
	return i;
}

static void add_figures(struct appmon_figures *to, const struct appmon_figures *from)
{
	to->requests += from->requests;
	to->errors += from->errors;
	to->request_bytes += from->request_bytes;
	to->response_bytes += from->response_bytes;
	to->duration_count += from->duration_count;
	to->duration_sum += from->duration_sum;
	if (to->first_ns == 0 || from->first_ns < to->first_ns)
		to->first_ns = from->first_ns;
}

void labelled_figures(const struct labelled_list *labelled, size_t i,
		      struct appmon_figures *figures)
{
	size_t next = labelled_next(labelled, i);

	*figures = (struct appmon_figures){.size = sizeof(*figures)};
	for (; i < next; i++) {
		struct appmon_figures one = {.size = sizeof(one)};

		appmon_snapshot_figures(labelled->snapshot, labelled->kind, labelled->list[i].index,
					NULL, &one);
		add_figures(figures, &one);
	}
}

int labelled_times(const struct labelled_list *labelled, size_t i, enum appmon_time time,
		   struct appmon_histogram *histogram)
{
	size_t next = labelled_next(labelled, i);
	int ret = 0;

	for (; ret == 0 && i < next; i++)
		ret = appmon_snapshot_histogram(labelled->snapshot, labelled->kind,
						labelled->list[i].index, NULL, time, histogram);
	return ret;
}

void labelled_active(const struct labelled_list *labelled, size_t i, uint64_t *ret_requests,
		     uint64_t *ret_oldest_ns)
{
	size_t next = labelled_next(labelled, i);

	*ret_requests = *ret_oldest_ns = 0;
	for (; i < next; i++) {
		struct appmon_active one = {.size = sizeof(one)};

		appmon_snapshot_active(labelled->snapshot, labelled->list[i].index, &one);
		*ret_requests += one.requests;
		if (one.oldest_ns != 0 && (*ret_oldest_ns == 0 || one.oldest_ns < *ret_oldest_ns))
			*ret_oldest_ns = one.oldest_ns;
	}
}
