/* SPDX-License-Identifier: BSD-2-Clause */
#include "otlp-protobuf.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protobuf.h"

/* How a member of a JSON object is written. */
enum kind {
	KIND_STRING,
	KIND_HEX,     /* bytes, which JSON has in hexadecimal */
	KIND_VARINT,  /* also an enum, a bool, and a string of digits */
	KIND_FIXED64, /* a string of digits */
	KIND_DOUBLE,
	KIND_MESSAGE,
};

struct field {
	const char *name; /* in JSON; NULL: the end of the list */
	unsigned number;
	enum kind kind;
	const struct field *message;
};

/* ---- opentelemetry-proto 1: the fields that otlp-json.c uses ------------------------- */

static const struct field any_value[] = {
	{"stringValue", 1, KIND_STRING, NULL}, {"intValue", 3, KIND_VARINT, NULL}, {0}};

static const struct field key_value[] = {
	{"key", 1, KIND_STRING, NULL}, {"value", 2, KIND_MESSAGE, any_value}, {0}};

static const struct field scope[] = {
	{"name", 1, KIND_STRING, NULL}, {"version", 2, KIND_STRING, NULL}, {0}};

static const struct field resource[] = {{"attributes", 1, KIND_MESSAGE, key_value}, {0}};

static const struct field exemplar[] = {
	{"timeUnixNano", 2, KIND_FIXED64, NULL},
	{"asDouble", 3, KIND_DOUBLE, NULL},
	{"spanId", 4, KIND_HEX, NULL},
	{"traceId", 5, KIND_HEX, NULL},
	{0},
};

static const struct field number_data_point[] = {
	{"startTimeUnixNano", 2, KIND_FIXED64, NULL}, {"timeUnixNano", 3, KIND_FIXED64, NULL},
	{"asDouble", 4, KIND_DOUBLE, NULL},	      {"asInt", 6, KIND_FIXED64, NULL},
	{"attributes", 7, KIND_MESSAGE, key_value},   {0},
};

static const struct field histogram_data_point[] = {
	{"startTimeUnixNano", 2, KIND_FIXED64, NULL},
	{"timeUnixNano", 3, KIND_FIXED64, NULL},
	{"count", 4, KIND_FIXED64, NULL},
	{"sum", 5, KIND_DOUBLE, NULL},
	{"bucketCounts", 6, KIND_FIXED64, NULL},
	{"explicitBounds", 7, KIND_DOUBLE, NULL},
	{"exemplars", 8, KIND_MESSAGE, exemplar},
	{"attributes", 9, KIND_MESSAGE, key_value},
	{0},
};

static const struct field gauge[] = {{"dataPoints", 1, KIND_MESSAGE, number_data_point}, {0}};

static const struct field sum[] = {
	{"dataPoints", 1, KIND_MESSAGE, number_data_point},
	{"aggregationTemporality", 2, KIND_VARINT, NULL},
	{"isMonotonic", 3, KIND_VARINT, NULL},
	{0},
};

static const struct field histogram[] = {
	{"dataPoints", 1, KIND_MESSAGE, histogram_data_point},
	{"aggregationTemporality", 2, KIND_VARINT, NULL},
	{0},
};

static const struct field metric[] = {
	{"name", 1, KIND_STRING, NULL},
	{"description", 2, KIND_STRING, NULL},
	{"unit", 3, KIND_STRING, NULL},
	{"gauge", 5, KIND_MESSAGE, gauge},
	{"sum", 7, KIND_MESSAGE, sum},
	{"histogram", 9, KIND_MESSAGE, histogram},
	{0},
};

static const struct field scope_metrics[] = {
	{"scope", 1, KIND_MESSAGE, scope}, {"metrics", 2, KIND_MESSAGE, metric}, {0}};

static const struct field resource_metrics[] = {
	{"resource", 1, KIND_MESSAGE, resource},
	{"scopeMetrics", 2, KIND_MESSAGE, scope_metrics},
	{0},
};

static const struct field status[] = {{"code", 3, KIND_VARINT, NULL}, {0}};

static const struct field span[] = {
	{"traceId", 1, KIND_HEX, NULL},
	{"spanId", 2, KIND_HEX, NULL},
	{"parentSpanId", 4, KIND_HEX, NULL},
	{"name", 5, KIND_STRING, NULL},
	{"kind", 6, KIND_VARINT, NULL},
	{"startTimeUnixNano", 7, KIND_FIXED64, NULL},
	{"endTimeUnixNano", 8, KIND_FIXED64, NULL},
	{"attributes", 9, KIND_MESSAGE, key_value},
	{"status", 15, KIND_MESSAGE, status},
	{0},
};

static const struct field scope_spans[] = {
	{"scope", 1, KIND_MESSAGE, scope}, {"spans", 2, KIND_MESSAGE, span}, {0}};

static const struct field resource_spans[] = {
	{"resource", 1, KIND_MESSAGE, resource},
	{"scopeSpans", 2, KIND_MESSAGE, scope_spans},
	{0},
};

/* Both requests have but one field, with the same number. */
static const struct field request_fields[] = {
	{"resourceMetrics", 1, KIND_MESSAGE, resource_metrics},
	{"resourceSpans", 1, KIND_MESSAGE, resource_spans},
	{0},
};

/* ---- Writing ------------------------------------------------------------------------- */

static uint64_t uint_of(struct json_object *value)
{
	if (json_object_get_type(value) == json_type_string)
		return strtoull(json_object_get_string(value), NULL, 10);
	return json_object_get_uint64(value);
}

static unsigned digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void put_hex(struct protobuf *out, unsigned number, struct json_object *value)
{
	const char *hex = json_object_get_string(value);
	size_t len = (size_t)json_object_get_string_len(value) / 2;
	uint8_t bytes[16];

	assert(len <= sizeof(bytes));
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	protobuf_bytes(out, number, bytes, len);
}

/* Numbers of a list stand one after the other behind one field number. */
static void put_packed(struct protobuf *out, const struct field *field, struct json_object *list)
{
	size_t begin = protobuf_begin(out, field->number);

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *value = json_object_array_get_idx(list, i);

		if (field->kind == KIND_DOUBLE)
			protobuf_put_double(out, json_object_get_double(value));
		else
			protobuf_put_fixed64(out, uint_of(value));
	}
	protobuf_end(out, begin);
}

static void put_message(struct protobuf *out, const struct field *fields,
			struct json_object *object);

static void put_field(struct protobuf *out, const struct field *field, struct json_object *value)
{
	size_t begin;

	switch (field->kind) {
	case KIND_STRING:
		protobuf_bytes(out, field->number, json_object_get_string(value),
			       (size_t)json_object_get_string_len(value));
		break;
	case KIND_HEX:
		put_hex(out, field->number, value);
		break;
	case KIND_VARINT:
		protobuf_uint(out, field->number, uint_of(value));
		break;
	case KIND_FIXED64:
		protobuf_fixed64(out, field->number, uint_of(value));
		break;
	case KIND_DOUBLE:
		protobuf_double(out, field->number, json_object_get_double(value));
		break;
	case KIND_MESSAGE:
		begin = protobuf_begin(out, field->number);
		put_message(out, field->message, value);
		protobuf_end(out, begin);
		break;
	}
}

static const struct field *find_field(const struct field *fields, const char *name)
{
	while (fields->name && strcmp(fields->name, name) != 0)
		fields++;
	assert(fields->name);
	return fields;
}

static void put_message(struct protobuf *out, const struct field *fields,
			struct json_object *object)
{
	json_object_object_foreach(object, name, value)
	{
		const struct field *field = find_field(fields, name);

		if (json_object_get_type(value) != json_type_array)
			put_field(out, field, value);
		else if (field->kind != KIND_MESSAGE)
			put_packed(out, field, value);
		else
			for (size_t i = 0; i < json_object_array_length(value); i++)
				put_field(out, field, json_object_array_get_idx(value, i));
	}
}

char *otlp_protobuf(struct json_object *request, size_t *ret_len)
{
	struct protobuf out = {0};

	put_message(&out, request_fields, request);
	if (out.failed) {
		free(out.data);
		return NULL;
	}
	*ret_len = out.len;
	return out.data;
}
