/* SPDX-License-Identifier: BSD-2-Clause */
/* The encoder against the examples of https://protobuf.dev/programming-guides/encoding/. */
#include <stdlib.h>
#include <string.h>

#include "export/protobuf.h"
#include "unit.h"

static void check(struct protobuf *out, const char *bytes, size_t len)
{
	ck_assert(!out->failed);
	ck_assert_uint_eq(out->len, len);
	ck_assert_mem_eq(out->data, bytes, len);
	free(out->data);
	*out = (struct protobuf){0};
}

#define CHECK(out, bytes) check(out, bytes, sizeof(bytes) - 1)

START_TEST(values)
{
	struct protobuf out = {0};

	protobuf_uint(&out, 1, 150);
	CHECK(&out, "\x08\x96\x01");
	protobuf_bytes(&out, 2, "testing", 7);
	CHECK(&out, "\x12\x07testing");
	protobuf_put_varint(&out, UINT64_MAX - 1);
	CHECK(&out, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	protobuf_double(&out, 16, 1);
	CHECK(&out, "\x81\x01\x00\x00\x00\x00\x00\x00\xf0\x3f");
	protobuf_fixed64(&out, 1, 0x0102030405060708);
	CHECK(&out, "\x09\x08\x07\x06\x05\x04\x03\x02\x01");
}
END_TEST

/* The guide's table of ZigZag. */
START_TEST(signed_values)
{
	struct protobuf out = {0};

	for (int64_t value = 0; value >= -2; value--)
		protobuf_sint(&out, 1, value);
	protobuf_sint(&out, 1, 1);
	CHECK(&out, "\x08\x00\x08\x01\x08\x03\x08\x02");
	protobuf_sint(&out, 1, 0x7fffffff);
	CHECK(&out, "\x08\xfe\xff\xff\xff\x0f");
	protobuf_sint(&out, 1, -INT64_C(0x80000000));
	CHECK(&out, "\x08\xff\xff\xff\xff\x0f");
	protobuf_sint(&out, 1, INT64_MIN);
	CHECK(&out, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}
END_TEST

START_TEST(messages)
{
	struct protobuf out = {0};
	size_t outer, inner;

	inner = protobuf_begin(&out, 3);
	protobuf_uint(&out, 1, 150);
	protobuf_end(&out, inner);
	CHECK(&out, "\x1a\x03\x08\x96\x01");
	inner = protobuf_begin(&out, 6);
	protobuf_put_varint(&out, 3);
	protobuf_put_varint(&out, 270);
	protobuf_put_varint(&out, 86942);
	protobuf_end(&out, inner);
	CHECK(&out, "\x32\x06\x03\x8e\x02\x9e\xa7\x05");
	outer = protobuf_begin(&out, 1);
	inner = protobuf_begin(&out, 2);
	protobuf_end(&out, inner);
	protobuf_end(&out, outer);
	CHECK(&out, "\x0a\x02\x12\x00");
}
END_TEST

/* The length takes two bytes, and the message more than the buffer has at first. */
START_TEST(long_messages)
{
	static const char text[10000];
	struct protobuf out = {0};
	size_t begin = protobuf_begin(&out, 1);

	protobuf_bytes(&out, 1, text, sizeof(text));
	protobuf_end(&out, begin);
	ck_assert(!out.failed);
	/* 10000 is 0x4e * 128 + 0x10, and 10003 0x4e * 128 + 0x13. */
	ck_assert_uint_eq(out.len, 3 + 3 + sizeof(text));
	ck_assert_mem_eq(out.data, "\x0a\x93\x4e\x0a\x90\x4e", 6);
	ck_assert_mem_eq(out.data + 6, text, sizeof(text));
	free(out.data);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {values, signed_values, messages, long_messages, NULL};

	return unit_run("protobuf", tests, NULL, NULL);
}
