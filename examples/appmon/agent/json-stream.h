/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cuts JSON that comes in pieces into objects, so that no more than one of them is in memory:
 * documents one after the other, as Kubernetes tells what it watches, or the elements of the array
 * in one large document, as it lists.
 */
#ifndef APPMON_AGENT_JSON_STREAM_H
#define APPMON_AGENT_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

struct json_text {
	char *data;
	size_t len, capacity;
};

struct json_stream {
	/* false: the objects are documents; true: they are elements of an array that is the one
	 * document, or one of its members. */
	bool elements;
	size_t max; /* bytes of one object, and of all the rest of a document */
	/* Borrows the object. false: no more is wanted. */
	bool (*object)(void *ctx, struct json_object *object);
	void *ctx;
	/* The stream's own, zero at its begin. */
	size_t depth, array_depth;
	bool in_string, escaped, inside;
	struct json_text text, rest;
};

/* false: an object is too long or not JSON, memory is short, or object() said so. */
bool json_stream_feed(struct json_stream *stream, const char *data, size_t len);

/*
 * The document whose elements were cut out, null in place of each; to be put. NULL: it is not
 * whole.
 */
struct json_object *json_stream_rest(struct json_stream *stream);

void json_stream_free(struct json_stream *stream);

/* A member of an object, borrowed. NULL: it is no object, has none of this name, or null. */
struct json_object *json_member(struct json_object *object, const char *key);
/* The text of one, borrowed. NULL: there is no such member that is a text. */
const char *json_member_text(struct json_object *object, const char *key);

#endif /* APPMON_AGENT_JSON_STREAM_H */
