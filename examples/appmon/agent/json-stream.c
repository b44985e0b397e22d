/* SPDX-License-Identifier: BSD-2-Clause */
#include "json-stream.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool append(struct json_text *text, const char *data, size_t len, size_t max)
{
	if (len > max - text->len)
		return false;
	if (len > text->capacity - text->len) {
		size_t capacity = text->capacity ? text->capacity : 4096;
		char *grown;

		while (capacity < text->len + len)
			capacity *= 2;
		grown = realloc(text->data, capacity);
		if (!grown)
			return false;
		text->data = grown;
		text->capacity = capacity;
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
	return true;
}

/* The one value that a text is; NULL: it is no such. */
static struct json_object *parse(const struct json_text *text)
{
	struct json_tokener *tokener;
	struct json_object *value;

	if (text->len > INT_MAX)
		return NULL;
	tokener = json_tokener_new();
	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	value = json_tokener_parse_ex(tokener, text->data, (int)text->len);
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		json_object_put(value);
		value = NULL;
	}
	json_tokener_free(tokener);
	return value;
}

static bool hand_over(struct json_stream *stream)
{
	struct json_object *object = parse(&stream->text);
	bool more = object && stream->object(stream->ctx, object);

	json_object_put(object);
	stream->text.len = 0;
	return more;
}

static bool begins_object(const struct json_stream *stream, char c)
{
	if (c != '{' || stream->inside)
		return false;
	return stream->elements ? stream->depth > 0 && stream->depth == stream->array_depth
				: stream->depth == 0;
}

/* Follows strings and brackets. Whether an object ends with this character. */
static bool follow(struct json_stream *stream, char c)
{
	if (stream->in_string) {
		if (!stream->escaped && c == '"')
			stream->in_string = false;
		stream->escaped = !stream->escaped && c == '\\';
		return false;
	}
	switch (c) {
	case '"':
		stream->in_string = true;
		break;
	case '{':
	case '[':
		stream->depth++;
		if (c == '[' && stream->array_depth == 0 && stream->depth <= 2)
			stream->array_depth = stream->depth;
		break;
	case '}':
	case ']':
		if (stream->depth == stream->array_depth)
			stream->array_depth = 0;
		if (stream->depth > 0)
			stream->depth--;
		return stream->inside &&
		       stream->depth == (stream->elements ? stream->array_depth : 0);
	default:
		break;
	}
	return false;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool json_stream_feed(struct json_stream *stream, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!stream->in_string && begins_object(stream, data[i])) {
			stream->inside = true;
			if (!append(&stream->rest, "null", stream->elements ? 4 : 0, stream->max))
				return false;
		}
		/* White space between documents would add up. */
		if ((stream->inside || stream->depth > 0 || !is_space(data[i])) &&
		    !append(stream->inside ? &stream->text : &stream->rest, data + i, 1,
			    stream->max))
			return false;
		if (follow(stream, data[i])) {
			stream->inside = false;
			if (!hand_over(stream))
				return false;
		}
	}
	return true;
}

struct json_object *json_stream_rest(struct json_stream *stream)
{
	return stream->rest.len > 0 && stream->depth == 0 ? parse(&stream->rest) : NULL;
}

void json_stream_free(struct json_stream *stream)
{
	free(stream->text.data);
	free(stream->rest.data);
	stream->text = stream->rest = (struct json_text){0};
}

struct json_object *json_member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(object, key, &value) ? value : NULL;
}

const char *json_member_text(struct json_object *object, const char *key)
{
	struct json_object *value = json_member(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}
