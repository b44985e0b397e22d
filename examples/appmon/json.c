/* SPDX-License-Identifier: BSD-2-Clause */
#include "json.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json-line.h"
#include "names.h"
#include "text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD in UTF-8 */

static void add_text(struct json_line *object, const char *key, const char *text)
{
	json_line_key(object, key);
	json_line_string(object, text, strlen(text));
}

static void add_uint(struct json_line *object, const char *key, uint64_t value)
{
	json_line_key(object, key);
	json_line_uint(object, value);
}

static void add_int(struct json_line *object, const char *key, int64_t value)
{
	json_line_key(object, key);
	json_line_int(object, value);
}

static void add_str(struct json_line *object, const char *key, const struct appmon_str *str)
{
	json_line_key(object, key);
	json_line_string(object, str->data, str->len);
}

static void begin_object(struct json_line *object, const char *key)
{
	json_line_key(object, key);
	json_line_open(object, '{');
}

static void end_object(struct json_line *object)
{
	json_line_close(object, '}');
}

/* Of what 0 is no value of. */
static void add_known(struct json_line *object, const char *key, uint64_t value)
{
	if (value != 0)
		add_uint(object, key, value);
}

/* RFC 3339 in UTC. */
static void add_time(struct json_line *object, const char *key, uint64_t ns)
{
	/* Most events are of the same second as the one before. */
	static char text[] = "1970-01-01T00:00:00.000000000Z";
	static time_t last;
	char *const digits = text + strlen("1970-01-01T00:00:00.");
	time_t sec = (time_t)(ns / NSEC_PER_SEC);
	uint64_t rest = ns % NSEC_PER_SEC;

	if (ns == 0)
		return;
	if (sec != last) {
		struct tm tm;

		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&sec, &tm));
		digits[-1] = '.';
		digits[9] = 'Z';
		last = sec;
	}
	for (int i = 8; i >= 0; i--, rest /= 10)
		digits[i] = (char)('0' + rest % 10);
	add_text(object, key, text);
}

static void add_endpoint(struct json_line *object, const char *key,
			 const struct appmon_endpoint *endpoint)
{
	char text[56];

	if (endpoint->family == 0)
		return;
	appmon_format_endpoint(endpoint, text, sizeof(text));
	add_text(object, key, text);
}

static void add_http_version(struct json_line *object, const char *key, uint32_t version)
{
	char text[16];

	if (version == 0)
		return;
	/* As OpenTelemetry's network.protocol.version has it: HTTP/2 has no minor one. */
	snprintf(text, sizeof(text), version < 20 ? "%u.%u" : "%u", version / 10, version % 10);
	add_text(object, key, text);
}

static void add_bits(struct json_line *object, const char *key, const struct bit_name *names,
		     uint64_t bits)
{
	json_line_key(object, key);
	json_line_open(object, '[');
	for (; names->name; names++) {
		if (!(bits & names->bit))
			continue;
		json_line_element(object);
		json_line_string(object, names->name, strlen(names->name));
	}
	json_line_close(object, ']');
}

static bool same_field(const struct appmon_header *a, const struct appmon_header *b)
{
	return !a->response == !b->response && strcmp(a->name.data, b->name.data) == 0;
}

/* The values of the i-th field and of all later ones of its name, unless it is a later one. */
static void add_field(struct json_line *object, const struct appmon_event *ev, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (same_field(&ev->headers[k], &ev->headers[i]))
			return;
	/* A field name is a token (RFC 9110 section 5.1): ASCII without quotes. */
	json_line_key(object, ev->headers[i].name.data);
	json_line_open(object, '[');
	for (uint32_t k = i; k < ev->header_count; k++) {
		if (!same_field(&ev->headers[k], &ev->headers[i]))
			continue;
		json_line_element(object);
		json_line_string(object, ev->headers[k].value.data, ev->headers[k].value.len);
	}
	json_line_close(object, ']');
}

/* A field may come more than once, so every name has a list of values. */
static void add_headers(struct json_line *object, const struct appmon_event *ev)
{
	begin_object(object, "headers");
	for (int response = 0; response <= 1; response++) {
		begin_object(object, response ? "response" : "request");
		for (uint32_t i = 0; i < ev->header_count; i++)
			if (!ev->headers[i].response == !response)
				add_field(object, ev, i);
		end_object(object);
	}
	end_object(object);
}

static void add_hex(struct json_line *object, const char *key, const uint8_t *bytes, size_t size)
{
	char text[FORMAT_HEX_SIZE(16)];

	if (format_hex(bytes, size, text))
		add_text(object, key, text);
}

/* What is absent is left out. */
static void add_trace(struct json_line *object, const struct appmon_event *ev)
{
	const struct appmon_trace *trace = &ev->trace;

	if (ev->request_id.len > 0)
		add_str(object, "request_id", &ev->request_id);
	if (trace->format == APPMON_TRACE_NONE)
		return;
	begin_object(object, "trace");
	add_text(object, "format", appmon_trace_format_name(trace->format));
	add_hex(object, "trace_id", trace->trace_id, sizeof(trace->trace_id));
	if (ev->trace_text.len > 0)
		add_str(object, "trace_text", &ev->trace_text);
	add_hex(object, "span_id", trace->span_id, sizeof(trace->span_id));
	add_hex(object, "parent_span_id", trace->parent_span_id, sizeof(trace->parent_span_id));
	add_bits(object, "flags", trace_flag_names, trace->flags);
	end_object(object);
}

static void add_link(struct json_line *object, const struct appmon_event *ev)
{
	if (ev->link == APPMON_LINK_NONE)
		return;
	begin_object(object, "link");
	add_text(object, "evidence", appmon_link_name(ev->link));
	add_uint(object, "connection_id", ev->link_connection_id);
	add_uint(object, "ordinal", ev->link_ordinal);
	end_object(object);
}

static void add_http(struct json_line *object, const struct appmon_event *ev)
{
	if (ev->method != APPMON_METHOD_UNKNOWN) {
		add_str(object, "request_target", &ev->request_target);
		add_str(object, "path", &ev->path);
		add_str(object, "query", &ev->query);
		add_str(object, "authority", &ev->authority);
	}
	add_known(object, "status", ev->status);
	add_http_version(object, "request_http_version", ev->request_http_version);
	add_http_version(object, "response_http_version", ev->response_http_version);
	if (ev->method != APPMON_METHOD_UNKNOWN)
		add_int(object, "request_content_length", ev->request_content_length);
	if (ev->response_start_ns != 0)
		add_int(object, "response_content_length", ev->response_content_length);
	if (ev->request_start_ns != 0) {
		add_uint(object, "request_head_bytes", ev->request_head_bytes);
		add_uint(object, "request_body_bytes", ev->request_body_bytes);
	}
	if (ev->response_start_ns != 0) {
		add_uint(object, "response_head_bytes", ev->response_head_bytes);
		add_uint(object, "response_body_bytes", ev->response_body_bytes);
	}
	add_headers(object, ev);
}

static void add_tls(struct json_line *object, const struct appmon_event *ev)
{
	add_str(object, "tls_server_name", &ev->tls_server_name);
	add_str(object, "tls_alpn_offered", &ev->tls_alpn_offered);
	add_str(object, "tls_alpn", &ev->tls_alpn);
	add_known(object, "tls_version", ev->tls_version);
	add_known(object, "tls_cipher", ev->tls_cipher);
	add_known(object, "tls_flags", ev->tls_flags);
}

/* Not as a number: readers keep 53 bits of those. */
static void add_wire_id(struct json_line *object, uint64_t wire_id)
{
	char text[17];

	if (!wire_id)
		return;
	snprintf(text, sizeof(text), "%016" PRIx64, wire_id);
	add_text(object, "wire_id", text);
}

void json_event(FILE *out, const struct appmon_event *ev, uint64_t realtime_ns)
{
	struct json_line line, *object = &line;

	json_line_begin(object, out);
	add_time(object, "time", realtime_ns);
	add_text(object, "protocol", protocol_name(ev->protocol));
	add_text(object, "role", role_name(ev->role));
	if (ev->system.len > 0)
		add_str(object, "system", &ev->system);
	if (ev->operation.len > 0) {
		add_str(object, "operation", &ev->operation);
		add_text(object, "operation_type", operation_type_name(ev->operation_type));
		add_str(object, "resource", &ev->resource);
	}
	if (ev->resource_namespace.len > 0)
		add_str(object, "resource_namespace", &ev->resource_namespace);
	if (ev->query_text.len > 0)
		add_str(object, "query_text", &ev->query_text);
	if (ev->query_summary.len > 0)
		add_str(object, "query_summary", &ev->query_summary);
	add_text(object, "outcome", outcome_name(ev->outcome));
	if (ev->status_text.len > 0)
		add_str(object, "status_text", &ev->status_text);
	if (ev->status_number >= 0)
		add_int(object, "status_number", ev->status_number);
	if (ev->response_start_ns != 0)
		add_str(object, "message", &ev->message);
	if (ev->key != 0)
		add_uint(object, "key", ev->key);
	if (ev->request_items >= 0)
		add_int(object, "request_items", ev->request_items);
	if (ev->response_items >= 0)
		add_int(object, "response_items", ev->response_items);
	if (ev->request_start_ns != 0)
		add_uint(object, "request_bytes", ev->request_bytes);
	if (ev->response_start_ns != 0)
		add_uint(object, "response_bytes", ev->response_bytes);
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
	add_known(object, "request_start_ns", ev->request_start_ns);
	add_known(object, "request_end_ns", ev->request_end_ns);
	add_known(object, "response_start_ns", ev->response_start_ns);
	add_known(object, "response_end_ns", ev->response_end_ns);
	add_known(object, "duration_ns", ev->duration_ns);
	/* Of a part that was seen from end to end, 0 is a value. */
	if (ev->request_start_ns != 0 && ev->request_end_ns != 0)
		add_uint(object, "request_ns", ev->request_ns);
	if (ev->request_end_ns != 0 && ev->response_start_ns != 0)
		add_uint(object, "wait_ns", ev->wait_ns);
	if (ev->response_start_ns != 0 && ev->response_end_ns != 0)
		add_uint(object, "response_ns", ev->response_ns);
	add_known(object, "srtt_us", ev->srtt_us);
	add_uint(object, "retransmits", ev->retransmits);
	add_uint(object, "peer_retransmits", ev->peer_retransmits);
	add_known(object, "pid", ev->pid);
	add_known(object, "tid", ev->tid);
	if (ev->owner != APPMON_OWNER_UNKNOWN) {
		add_str(object, "comm", &ev->comm);
		add_text(object, "owner", owner_name(ev->owner));
		add_uint(object, "uid", ev->uid);
	}
	add_known(object, "inner_pid", ev->inner_pid);
	add_known(object, "inner_tid", ev->inner_tid);
	add_known(object, "process_start_ns", ev->process_start_ns);
	add_known(object, "response_pid", ev->response_pid);
	add_known(object, "response_tid", ev->response_tid);
	add_known(object, "netns_cookie", ev->netns_cookie);
	add_known(object, "netns_inum", ev->netns_inum);
	add_known(object, "read_start_ns", ev->read_start_ns);
	add_known(object, "read_end_ns", ev->read_end_ns);
	if (ev->read_start_ns != 0) {
		add_uint(object, "queue_ns", ev->queue_ns);
		add_uint(object, "service_ns", ev->service_ns);
	}
	add_known(object, "connect_ns", ev->connect_ns);
	add_trace(object, ev);
	add_link(object, ev);
	add_wire_id(object, ev->wire_id);
	if (ev->protocol == APPMON_PROTO_HTTP1 || ev->protocol == APPMON_PROTO_HTTP2)
		add_http(object, ev);
	if (ev->protocol == APPMON_PROTO_TLS || ev->tls_version)
		add_tls(object, ev);
	json_line_end(object);
}

static void add_stats(struct json_line *object, const struct appmon_stats *stats)
{
	begin_object(object, "stats");
	add_bits(object, "flags", stats_flag_names, stats->flags);
	add_uint(object, "valid", stats->valid);
	add_uint(object, "exchanges_seen", stats->exchanges_seen);
	add_uint(object, "delivered", stats->delivered);
	add_uint(object, "outstanding", stats->outstanding);
	add_uint(object, "filtered", stats->filtered);
	add_uint(object, "plain_calls", stats->plain_calls);
	add_uint(object, "plain_dropped", stats->plain_dropped);
	begin_object(object, "dropped");
	for (uint32_t i = 0; i < APPMON_DROP_MAX; i++) {
		const char *name = appmon_drop_name(i);

		/* What has no name yet can only matter if it was counted. */
		if (strcmp(name, "unknown") != 0)
			add_uint(object, name, stats->dropped[i]);
	}
	end_object(object);
	add_uint(object, "connections_seen", stats->connections_seen);
	add_uint(object, "connections_open", stats->connections_open);
	add_uint(object, "connections_skipped", stats->connections_skipped);
	add_uint(object, "requests", stats->requests);
	add_uint(object, "responses", stats->responses);
	add_uint(object, "tunnel_bytes", stats->tunnel_bytes);
	add_uint(object, "records", stats->records);
	add_uint(object, "records_lost", stats->records_lost);
	add_uint(object, "records_bad", stats->records_bad);
	add_uint(object, "plain_calls", stats->plain_calls);
	add_uint(object, "plain_dropped", stats->plain_dropped);
	add_uint(object, "tls_refused", stats->tls_refused);
	add_uint(object, "tls_refused_processes", stats->tls_refused_processes);
	add_uint(object, "memory_bytes", stats->memory_bytes);
	add_uint(object, "memory_limit", stats->memory_limit);
	end_object(object);
}

void json_summary(FILE *out, const struct summary *summary, const struct appmon_stats *stats,
		  uint64_t capabilities)
{
	struct json_line line, *object = &line;

	json_line_begin(object, out);
	begin_object(object, "summary");
	add_uint(object, "requests", summary->requests);
	add_uint(object, "errors", summary->errors);
	add_uint(object, "p50_ns", histogram_percentile(&summary->durations, 50));
	add_uint(object, "p95_ns", histogram_percentile(&summary->durations, 95));
	add_uint(object, "p99_ns", histogram_percentile(&summary->durations, 99));
	add_stats(object, stats);
	add_bits(object, "capabilities", capability_names, capabilities);
	end_object(object);
	json_line_end(object);
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
