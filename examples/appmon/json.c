/* SPDX-License-Identifier: BSD-2-Clause */
#include "json.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "names.h"
#include "text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD in UTF-8 */

/* For keys that are literals and are added once: no copy, no look-up. */
static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add_ex(object, key, value,
				  JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY);
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	add(object, key, json_object_new_string(text));
}

static void add_uint(struct json_object *object, const char *key, uint64_t value)
{
	add(object, key, json_object_new_uint64(value));
}

static void add_int(struct json_object *object, const char *key, int64_t value)
{
	add(object, key, json_object_new_int64(value));
}

struct json_object *json_new_str(const struct appmon_str *str)
{
	struct json_object *object;
	char *text, *to;
	uint32_t c;

	/* The worst case: every byte is replaced. */
	to = text = malloc((size_t)str->len * strlen(REPLACEMENT) + 1);
	if (!text)
		return NULL;
	for (size_t i = 0; i < str->len;) {
		size_t n = utf8_decode(str->data + i, str->len - i, &c);

		if (n > 0) {
			memcpy(to, str->data + i, n);
			to += n;
			i += n;
		} else {
			memcpy(to, REPLACEMENT, strlen(REPLACEMENT));
			to += strlen(REPLACEMENT);
			i++;
		}
	}
	object = json_object_new_string_len(text, (int)(to - text));
	free(text);
	return object;
}

static void add_str(struct json_object *object, const char *key, const struct appmon_str *str)
{
	add(object, key, json_new_str(str));
}

/* RFC 3339 in UTC. */
static void add_time(struct json_object *object, const char *key, uint64_t ns)
{
	time_t sec = (time_t)(ns / NSEC_PER_SEC);
	char text[64], date[32];
	struct tm tm;

	if (ns == 0)
		return;
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&sec, &tm));
	snprintf(text, sizeof(text), "%s.%09uZ", date, (unsigned)(ns % NSEC_PER_SEC));
	add_text(object, key, text);
}

static void add_endpoint(struct json_object *object, const char *key,
			 const struct appmon_endpoint *endpoint)
{
	char text[56];

	appmon_format_endpoint(endpoint, text, sizeof(text));
	add_text(object, key, text);
}

static void add_http_version(struct json_object *object, const char *key, uint32_t version)
{
	char text[16];

	if (version == 0)
		return;
	snprintf(text, sizeof(text), "%u.%u", version / 10, version % 10);
	add_text(object, key, text);
}

static void add_bits(struct json_object *object, const char *key, const struct bit_name *names,
		     uint64_t bits)
{
	struct json_object *array = json_object_new_array();

	for (; names->name; names++) {
		if (bits & names->bit)
			json_object_array_add(array, json_object_new_string(names->name));
	}
	add(object, key, array);
}

/* A field may come more than once, so every name has a list of values. */
static void add_headers(struct json_object *object, const struct appmon_event *ev)
{
	struct json_object *messages = json_object_new_object();
	struct json_object *sides[2] = {json_object_new_object(), json_object_new_object()};

	for (uint32_t i = 0; i < ev->header_count; i++) {
		const struct appmon_header *header = &ev->headers[i];
		struct json_object *side = sides[header->response ? 1 : 0];
		struct json_object *values;

		/* A field name is a token (RFC 9110 section 5.1): ASCII without NUL. */
		if (!json_object_object_get_ex(side, header->name.data, &values)) {
			values = json_object_new_array();
			json_object_object_add(side, header->name.data, values);
		}
		json_object_array_add(values, json_new_str(&header->value));
	}
	add(messages, "request", sides[0]);
	add(messages, "response", sides[1]);
	add(object, "headers", messages);
}

static void add_hex(struct json_object *object, const char *key, const uint8_t *bytes, size_t size)
{
	char text[FORMAT_HEX_SIZE(16)];

	if (format_hex(bytes, size, text))
		add_text(object, key, text);
}

/* What is absent is left out. */
static void add_trace(struct json_object *object, const struct appmon_event *ev)
{
	const struct appmon_trace *trace = &ev->trace;
	struct json_object *value;

	if (ev->request_id.len > 0)
		add_str(object, "request_id", &ev->request_id);
	if (trace->format == APPMON_TRACE_NONE)
		return;
	value = json_object_new_object();
	add_text(value, "format", appmon_trace_format_name(trace->format));
	add_hex(value, "trace_id", trace->trace_id, sizeof(trace->trace_id));
	if (ev->trace_text.len > 0)
		add_str(value, "trace_text", &ev->trace_text);
	add_hex(value, "span_id", trace->span_id, sizeof(trace->span_id));
	add_hex(value, "parent_span_id", trace->parent_span_id, sizeof(trace->parent_span_id));
	add_bits(value, "flags", trace_flag_names, trace->flags);
	add(object, "trace", value);
}

static void add_link(struct json_object *object, const struct appmon_event *ev)
{
	struct json_object *value;

	if (ev->link == APPMON_LINK_NONE)
		return;
	value = json_object_new_object();
	add_text(value, "evidence", appmon_link_name(ev->link));
	add_uint(value, "connection_id", ev->link_connection_id);
	add_uint(value, "ordinal", ev->link_ordinal);
	add(object, "link", value);
}

void json_event(FILE *out, const struct appmon_event *ev, uint64_t realtime_ns)
{
	struct json_object *object = json_object_new_object();

	add_time(object, "time", realtime_ns);
	add_text(object, "protocol", protocol_name(ev->protocol));
	add_text(object, "role", role_name(ev->role));
	add_str(object, "method", &ev->method_name);
	add_str(object, "target", &ev->request_target);
	add_str(object, "path", &ev->path);
	add_str(object, "query", &ev->query);
	add_str(object, "authority", &ev->authority);
	add_uint(object, "status", ev->status);
	add_str(object, "reason", &ev->reason);
	add_http_version(object, "request_http_version", ev->request_http_version);
	add_http_version(object, "response_http_version", ev->response_http_version);
	add_text(object, "end", appmon_end_name(ev->end));
	add_bits(object, "flags", flag_names, ev->flags);
	add_str(object, "app", &ev->target_name);
	add_uint(object, "target_id", ev->target_id);
	add_uint(object, "cgroup_id", ev->cgroup_id);
	add_uint(object, "connection_id", ev->connection_id);
	add_uint(object, "ordinal", ev->ordinal);
	add_endpoint(object, "local", &ev->local);
	add_endpoint(object, "remote", &ev->remote);
	if (ev->client.family)
		add_endpoint(object, "client", &ev->client);
	add_uint(object, "request_start_ns", ev->request_start_ns);
	add_uint(object, "request_end_ns", ev->request_end_ns);
	add_uint(object, "response_start_ns", ev->response_start_ns);
	add_uint(object, "response_end_ns", ev->response_end_ns);
	add_uint(object, "duration_ns", ev->duration_ns);
	add_uint(object, "request_ns", ev->request_ns);
	add_uint(object, "wait_ns", ev->wait_ns);
	add_uint(object, "response_ns", ev->response_ns);
	add_uint(object, "request_head_bytes", ev->request_head_bytes);
	add_uint(object, "request_body_bytes", ev->request_body_bytes);
	add_uint(object, "response_head_bytes", ev->response_head_bytes);
	add_uint(object, "response_body_bytes", ev->response_body_bytes);
	add_int(object, "request_content_length", ev->request_content_length);
	add_int(object, "response_content_length", ev->response_content_length);
	add_uint(object, "srtt_us", ev->srtt_us);
	add_uint(object, "retransmits", ev->retransmits);
	add_uint(object, "peer_retransmits", ev->peer_retransmits);
	add_uint(object, "pid", ev->pid);
	add_uint(object, "tid", ev->tid);
	add_str(object, "comm", &ev->comm);
	add_text(object, "owner", owner_name(ev->owner));
	add_uint(object, "uid", ev->uid);
	add_uint(object, "inner_pid", ev->inner_pid);
	add_uint(object, "inner_tid", ev->inner_tid);
	add_uint(object, "process_start_ns", ev->process_start_ns);
	add_uint(object, "response_pid", ev->response_pid);
	add_uint(object, "response_tid", ev->response_tid);
	add_uint(object, "netns_cookie", ev->netns_cookie);
	add_uint(object, "netns_inum", ev->netns_inum);
	add_uint(object, "read_start_ns", ev->read_start_ns);
	add_uint(object, "read_end_ns", ev->read_end_ns);
	add_uint(object, "queue_ns", ev->queue_ns);
	add_uint(object, "service_ns", ev->service_ns);
	add_uint(object, "connect_ns", ev->connect_ns);
	add_trace(object, ev);
	add_link(object, ev);
	add_headers(object, ev);
	json_write_line(out, object);
}

static struct json_object *new_stats(const struct appmon_stats *stats)
{
	struct json_object *object = json_object_new_object();
	struct json_object *dropped = json_object_new_object();

	for (uint32_t i = 0; i < APPMON_DROP_MAX; i++) {
		const char *name = appmon_drop_name(i);

		/* What has no name yet can only matter if it was counted. */
		if (strcmp(name, "unknown") != 0)
			add_uint(dropped, name, stats->dropped[i]);
	}
	add_uint(object, "valid", stats->valid);
	add_uint(object, "exchanges_seen", stats->exchanges_seen);
	add_uint(object, "delivered", stats->delivered);
	add_uint(object, "outstanding", stats->outstanding);
	add(object, "dropped", dropped);
	add_uint(object, "connections_seen", stats->connections_seen);
	add_uint(object, "connections_open", stats->connections_open);
	add_uint(object, "connections_skipped", stats->connections_skipped);
	add_uint(object, "requests", stats->requests);
	add_uint(object, "responses", stats->responses);
	add_uint(object, "tunnel_bytes", stats->tunnel_bytes);
	add_uint(object, "records", stats->records);
	add_uint(object, "records_lost", stats->records_lost);
	add_uint(object, "records_bad", stats->records_bad);
	add_uint(object, "memory_bytes", stats->memory_bytes);
	add_uint(object, "memory_limit", stats->memory_limit);
	return object;
}

void json_summary(FILE *out, const struct summary *summary, const struct appmon_stats *stats,
		  uint64_t capabilities)
{
	struct json_object *line = json_object_new_object();
	struct json_object *object = json_object_new_object();

	add_uint(object, "requests", summary->requests);
	add_uint(object, "errors", summary->errors);
	add_uint(object, "p50_ns", histogram_percentile(&summary->durations, 50));
	add_uint(object, "p95_ns", histogram_percentile(&summary->durations, 95));
	add_uint(object, "p99_ns", histogram_percentile(&summary->durations, 99));
	add(object, "stats", new_stats(stats));
	add_bits(object, "capabilities", capability_names, capabilities);
	add(line, "summary", object);
	json_write_line(out, line);
}

void json_write_line(FILE *out, struct json_object *object)
{
	size_t len;
	const char *text = json_object_to_json_string_length(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	while (text && len > 0) {
		size_t n = 0;
		uint32_t c;

		while (n < len && (unsigned char)text[n] < 0x7f)
			n++;
		fwrite(text, 1, n, out);
		text += n;
		len -= n;
		if (len == 0)
			break;
		/* All strings in it are valid UTF-8: n is never 0. */
		n = utf8_decode(text, len, &c);
		if (c >= 0x10000)
			fprintf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
				0xdc00 + ((c - 0x10000) & 0x3ff));
		else
			fprintf(out, "\\u%04x", c);
		text += n;
		len -= n;
	}
	fputc('\n', out);
	json_object_put(object);
}
