/* SPDX-License-Identifier: BSD-2-Clause */
#include "protobuf.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 4096
/* Of 64 bits: seven in a byte. */
#define VARINT_MAX 10

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2 };

/* Room for len bytes more; false: there is no memory. */
static bool reserve(struct protobuf *out, size_t len)
{
	size_t size = out->size ? out->size : FIRST_SIZE;
	char *data;

	if (out->failed)
		return false;
	if (out->size - out->len >= len)
		return true;
	while (size - out->len < len)
		size *= 2;
	data = realloc(out->data, size);
	if (!data) {
		out->failed = true;
		return false;
	}
	out->data = data;
	out->size = size;
	return true;
}

static size_t encode_varint(uint64_t value, char bytes[VARINT_MAX])
{
	size_t len = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[len++] = (char)(value | 0x80);
	bytes[len++] = (char)value;
	return len;
}

void protobuf_put(struct protobuf *out, const void *data, size_t len)
{
	if (len == 0 || !reserve(out, len))
		return;
	memcpy(out->data + out->len, data, len);
	out->len += len;
}

void protobuf_put_varint(struct protobuf *out, uint64_t value)
{
	char bytes[VARINT_MAX];
	size_t len = encode_varint(value, bytes);

	protobuf_put(out, bytes, len);
}

void protobuf_put_fixed64(struct protobuf *out, uint64_t value)
{
	char bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(value >> 8 * i);
	protobuf_put(out, bytes, sizeof(bytes));
}

void protobuf_put_double(struct protobuf *out, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	protobuf_put_fixed64(out, bits);
}

static void put_tag(struct protobuf *out, unsigned field, enum wire_type type)
{
	protobuf_put_varint(out, (uint64_t)field << 3 | type);
}

void protobuf_uint(struct protobuf *out, unsigned field, uint64_t value)
{
	put_tag(out, field, WIRE_VARINT);
	protobuf_put_varint(out, value);
}

void protobuf_sint(struct protobuf *out, unsigned field, int64_t value)
{
	put_tag(out, field, WIRE_VARINT);
	/* ZigZag: numbers near 0 are short, negative ones, too. */
	protobuf_put_varint(out, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

void protobuf_fixed64(struct protobuf *out, unsigned field, uint64_t value)
{
	put_tag(out, field, WIRE_FIXED64);
	protobuf_put_fixed64(out, value);
}

void protobuf_double(struct protobuf *out, unsigned field, double value)
{
	put_tag(out, field, WIRE_FIXED64);
	protobuf_put_double(out, value);
}

void protobuf_bytes(struct protobuf *out, unsigned field, const void *data, size_t len)
{
	put_tag(out, field, WIRE_LEN);
	protobuf_put_varint(out, len);
	protobuf_put(out, data, len);
}

size_t protobuf_begin(struct protobuf *out, unsigned field)
{
	put_tag(out, field, WIRE_LEN);
	return out->len;
}

/* The length, which is known only now, goes in front of what is there. */
void protobuf_end(struct protobuf *out, size_t begin)
{
	size_t len = out->len - begin, length_len;
	char length[VARINT_MAX];

	length_len = encode_varint(len, length);
	if (!reserve(out, length_len))
		return;
	memmove(out->data + begin + length_len, out->data + begin, len);
	memcpy(out->data + begin, length, length_len);
	out->len += length_len;
}
