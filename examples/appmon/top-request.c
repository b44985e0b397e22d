/* SPDX-License-Identifier: BSD-2-Clause */
/* One request for `appmon top`: where its time went, what it was made for, all that its event has. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "names.h"
#include "text.h"
#include "top.h"

#define BAR_WIDTH 40
#define KEY_WIDTH 24

static void put_text(FILE *out, const char *text)
{
	put_escaped(out, text, strlen(text), SIZE_MAX);
}

/* ---- where the time went --------------------------------------------------------------------- */

static void put_part(FILE *out, const struct top *top, const char *name, uint64_t ns,
		     uint64_t duration_ns)
{
	char text[TEXT_UNIT_SIZE];
	double share = duration_ns > 0 ? (double)ns / (double)duration_ns : 0;
	int width = (int)(share * BAR_WIDTH + 0.5);

	fprintf(out, "  %-12s%8s  %3.0f%%  ", name, format_duration(ns, text), 100 * share);
	for (int i = 0; i < width && i < BAR_WIDTH; i++)
		fputs(top->utf8 ? "█" : "#", out);
	fputc('\n', out);
}

static void put_times(FILE *out, const struct top *top, const struct appmon_event *ev)
{
	char text[TEXT_UNIT_SIZE];

	fprintf(out, "\nWhere the time went: %s\n",
		ev->duration_ns > 0 ? format_duration(ev->duration_ns, text)
				    : "not known, as an end is missing");
	if (ev->connect_ns > 0)
		put_part(out, top, "connect", ev->connect_ns, ev->duration_ns);
	if (ev->read_start_ns != 0) {
		put_part(out, top, "queue", ev->queue_ns, ev->duration_ns);
		put_part(out, top, "read", ev->read_end_ns - ev->read_start_ns, ev->duration_ns);
		put_part(out, top, "service", ev->service_ns, ev->duration_ns);
	} else if (ev->duration_ns > 0) {
		put_part(out, top, "request", ev->request_ns, ev->duration_ns);
		put_part(out, top, "wait", ev->wait_ns, ev->duration_ns);
	}
	if (ev->duration_ns > 0)
		put_part(out, top, "transfer", ev->response_ns, ev->duration_ns);
}

/* ---- what it belongs to ---------------------------------------------------------------------- */

static void put_sample(FILE *out, const struct sample *sample)
{
	const struct appmon_event *ev = sample->event;
	char what[512], text[TEXT_UNIT_SIZE];

	sample_what(ev, what, sizeof(what));
	fputs("  ", out);
	put_text(out, ev->target_name.data);
	fprintf(out, " (%s): ", role_name(ev->role));
	put_text(out, what);
	fputs(", ", out);
	put_text(out, sample_status(sample));
	fprintf(out, ", %s\n", format_duration(ev->duration_ns, text));
}

static void put_cause(FILE *out, const struct top *top, const struct appmon_event *ev)
{
	const struct sample *sample;

	if (ev->link == APPMON_LINK_NONE)
		return;
	fprintf(out, "\n%s (%s)\n", ev->role == APPMON_ROLE_CLIENT ? "Made for" : "Sent as",
		appmon_link_name(ev->link));
	sample = samples_by_id(&top->samples, ev->link_connection_id, ev->link_ordinal);
	if (sample)
		put_sample(out, sample);
	else
		fprintf(out,
			"  %" PRIu64 ".%" PRIu64 ", which is not kept: neither failed nor slow\n",
			ev->link_connection_id, ev->link_ordinal);
}

static void put_effects(FILE *out, const struct top *top, const struct appmon_event *ev)
{
	const struct sample *effect = samples_next_effect(&top->samples, ev, NULL);

	if (effect)
		fprintf(out, "\n%s\n",
			ev->role == APPMON_ROLE_CLIENT ? "Came as" : "Failed or slow, made for it");
	for (; effect; effect = samples_next_effect(&top->samples, ev, effect))
		put_sample(out, effect);
}

/* ---- all that the event has, as JSON has it -------------------------------------------------- */

static bool is_one_of(const char *key, const char *const keys[])
{
	while (*keys && strcmp(*keys, key) != 0)
		keys++;
	return *keys;
}

static void put_number(FILE *out, const char *key, int64_t value, const struct appmon_event *ev)
{
	static const char *const lengths[] = {"duration_ns", "request_ns", "wait_ns",
					      "response_ns", "queue_ns",   "service_ns",
					      "connect_ns",  NULL};
	static const char *const times[] = {"request_start_ns",
					    "request_end_ns",
					    "response_start_ns",
					    "response_end_ns",
					    "read_start_ns",
					    "read_end_ns",
					    NULL};
	uint64_t begin_ns = ev->request_start_ns;
	char text[TEXT_UNIT_SIZE];

	if (is_one_of(key, lengths))
		fputs(format_duration((uint64_t)value, text), out);
	else if (is_one_of(key, times) && begin_ns != 0 && (uint64_t)value >= begin_ns)
		fprintf(out, "+%s", format_duration((uint64_t)value - begin_ns, text));
	else if (strcmp(key, "tls_version") == 0 && value >> 8 == 3 && (value & 0xff) > 0)
		fprintf(out, "TLS 1.%" PRId64, (value & 0xff) - 1);
	else if (strcmp(key, "tls_cipher") == 0)
		fprintf(out, "0x%04" PRIx64, (uint64_t)value);
	else
		fprintf(out, "%" PRId64, value);
}

static void put_value(FILE *out, const char *key, struct json_object *value,
		      const struct appmon_event *ev)
{
	if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			fputs(i > 0 ? ", " : "", out);
			put_value(out, key, json_object_array_get_idx(value, i), ev);
		}
	} else if (json_object_is_type(value, json_type_int)) {
		put_number(out, key, json_object_get_int64(value), ev);
	} else {
		put_text(out, json_object_get_string(value));
	}
}

static bool is_empty(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return true;
	case json_type_string:
		return json_object_get_string_len(value) == 0;
	case json_type_array:
		return json_object_array_length(value) == 0;
	case json_type_object:
		return json_object_object_length(value) == 0;
	default:
		return false;
	}
}

/* What stands behind the key. */
static void pad_key(FILE *out, const char *key, int depth)
{
	int left = KEY_WIDTH - 2 * depth - (int)strlen(key);

	fprintf(out, "%*s ", left > 0 ? left : 0, "");
}

static void put_members(FILE *out, struct json_object *object, int depth,
			const struct appmon_event *ev)
{
	json_object_object_foreach(object, key, value)
	{
		if (is_empty(value))
			continue;
		fprintf(out, "%*s", 2 * depth, "");
		/* Names of header fields are the clients' own. */
		put_text(out, key);
		if (json_object_is_type(value, json_type_object)) {
			fputc('\n', out);
			put_members(out, value, depth + 1, ev);
			continue;
		}
		pad_key(out, key, depth);
		put_value(out, key, value, ev);
		fputc('\n', out);
	}
}

static void put_label(void *ctx, const char *key, const char *value)
{
	FILE *out = ctx;

	fputs("  ", out);
	put_text(out, key);
	pad_key(out, key, 1);
	put_text(out, value);
	fputc('\n', out);
}

/* What docker, podman or Kubernetes says of it. */
static void put_container(FILE *out, const struct top *top, const struct appmon_event *ev)
{
	struct container_names *containers = top->collect.containers;
	struct appmon_str path;
	char name[512];

	if (!containers || appmon_find_cgroup(top->collect.mon, ev->cgroup_id, &path) < 0 ||
	    !container_names_instance(containers, path.data, name, sizeof(name)))
		return;
	fputs("\nContainer ", out);
	put_text(out, name);
	fputc('\n', out);
	container_names_each_label(containers, path.data, put_label, out);
}

static void put_event(FILE *out, const struct top *top, const struct appmon_event *ev)
{
	struct json_object *object = NULL;
	char *line = NULL;
	size_t size;
	FILE *memory = open_memstream(&line, &size);

	if (!memory)
		return;
	json_event(memory, ev, appmon_realtime_ns(top->collect.mon, ev->request_start_ns));
	if (fclose(memory) == 0)
		object = json_tokener_parse(line);
	free(line);
	fputs("\nAll that is known\n", out);
	if (object)
		put_members(out, object, 1, ev);
	json_object_put(object);
}

char *top_describe(const struct top *top, const struct sample *sample)
{
	const struct appmon_event *ev = sample->event;
	char what[4096], *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	sample_what(ev, what, sizeof(what));
	put_text(out, what);
	fputc('\n', out);
	put_text(out, sample_status(sample));
	if (ev->message.len > 0) {
		fputc(' ', out);
		put_text(out, ev->message.data);
	}
	fprintf(out, ", %s, %s, ", outcome_name(ev->outcome), appmon_end_name(ev->end));
	put_text(out, ev->target_name.data);
	fprintf(out, " as a %s", role_name(ev->role));
	if (ev->owner != APPMON_OWNER_UNKNOWN) {
		fputs("\nby ", out);
		put_text(out, ev->comm.data);
		fprintf(out, "[%" PRIu32 "/%" PRIu32 "]", ev->pid, ev->tid);
	}
	fputc('\n', out);
	put_times(out, top, ev);
	put_cause(out, top, ev);
	put_effects(out, top, ev);
	put_container(out, top, ev);
	put_event(out, top, ev);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
