/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes messages of Protocol Buffers: https://protobuf.dev/programming-guides/encoding/. */
#ifndef APPMON_EXPORT_PROTOBUF_H
#define APPMON_EXPORT_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, it is empty. */
struct protobuf {
	char *data; /* to be freed by free() */
	size_t len, size;
	bool failed; /* there was no memory: data is of no use */
};

/* Fields. field is its number. */
void protobuf_uint(struct protobuf *out, unsigned field, uint64_t value);
/* sint32 and sint64. */
void protobuf_sint(struct protobuf *out, unsigned field, int64_t value);
void protobuf_fixed64(struct protobuf *out, unsigned field, uint64_t value);
void protobuf_double(struct protobuf *out, unsigned field, double value);
void protobuf_bytes(struct protobuf *out, unsigned field, const void *data, size_t len);

/*
 * A field with a length: a message, packed values, or bytes. Between the two calls stand the fields of
 * the message, the values, or the bytes. end() gets what begin() returned.
 */
size_t protobuf_begin(struct protobuf *out, unsigned field);
void protobuf_end(struct protobuf *out, size_t begin);

/* Without a field number: bytes, and packed values. */
void protobuf_put(struct protobuf *out, const void *data, size_t len);
void protobuf_put_varint(struct protobuf *out, uint64_t value);
void protobuf_put_fixed64(struct protobuf *out, uint64_t value);
void protobuf_put_double(struct protobuf *out, double value);

#endif /* APPMON_EXPORT_PROTOBUF_H */
