/* SPDX-License-Identifier: BSD-2-Clause */
/* record_decode(): no byte of the ring is trusted. */
#include <errno.h>
#include <string.h>

#include "capture/capture.h"
#include "guard.h"
#include "unit.h"

#define BYTES 256

/* As the programs write them, with all that can stand in front of the bytes. */
static struct {
	struct rec rec;
	struct rec_owner owner;
	uint8_t tail[TAIL_BYTES];
	char bytes[BYTES];
} data;
static struct {
	struct rec rec;
	struct rec_owner owner;
} progress;
static struct guard guard;

static void setup(void)
{
	static const char text[] = "GET / HTTP/1.1\r\n\r\n";
	struct rec_conn conn = {.cookie = 0x1122334455667788,
				.cgroup_id = 42,
				.target = 7,
				.family = 4,
				.local_port = 80,
				.remote_port = 40000,
				.slot = 3};
	struct rec_seg seg = {.ts_ns = 1000, .flags = REC_OWNER, .seq = 0xfffffff0};
	struct rec_owner owner = {.task = {.pid = 4711, .tid = 4712, .comm = "fifteen letters"},
				  .read_first_ns = 900,
				  .source = OWNER_READ};

	memset(&data, 0, sizeof(data));
	data.rec.hdr = (struct rec_hdr){REC_VERSION, REC_DATA, sizeof(data)};
	data.rec.conn = conn;
	data.rec.seg = seg;
	data.rec.seg.flags |= REC_TAIL;
	data.rec.seg.len = data.rec.seg.captured = sizeof(text) - 1;
	data.owner = owner;
	memset(data.tail, 't', sizeof(data.tail));
	memcpy(data.bytes, text, sizeof(text) - 1);
	progress.rec.hdr = (struct rec_hdr){REC_VERSION, REC_PROGRESS, sizeof(progress)};
	progress.rec.conn = conn;
	progress.rec.seg = seg;
	progress.owner = owner;
	guard_init(&guard, 4096);
}

static void teardown(void)
{
	guard_free(&guard);
}

/* Read from a copy that ends where no byte may be touched. */
static int decode(const void *rec, size_t size, struct record *ret)
{
	return record_decode(guard_copy(&guard, rec, size), size, ret);
}

static int decode_data(struct record *ret)
{
	return decode(&data, sizeof(data), ret);
}

START_TEST(golden_data)
{
	struct record rec;

	ck_assert_int_eq(decode_data(&rec), 0);
	ck_assert_uint_eq(rec.seg.captured, 18);
	ck_assert_mem_eq(rec.bytes, "GET / HTTP/1.1\r\n\r\n", 18);
	ck_assert_mem_eq(rec.tail, data.tail, TAIL_BYTES);
	ck_assert_mem_eq(&rec.conn, &data.rec.conn, sizeof(rec.conn));
	ck_assert_mem_eq(&rec.seg, &data.rec.seg, sizeof(rec.seg));
	ck_assert_mem_eq(&rec.owner, &data.owner, sizeof(rec.owner));
}
END_TEST

START_TEST(golden_progress)
{
	struct record rec;

	ck_assert_int_eq(decode(&progress, sizeof(progress), &rec), 0);
	ck_assert_uint_eq(rec.seg.captured, 0);
	ck_assert_ptr_nonnull(rec.bytes);
	ck_assert_ptr_null(rec.tail);
	ck_assert_mem_eq(&rec.conn, &progress.rec.conn, sizeof(rec.conn));
	ck_assert_mem_eq(&rec.seg, &progress.rec.seg, sizeof(rec.seg));
	ck_assert_mem_eq(&rec.owner, &progress.owner, sizeof(rec.owner));
}
END_TEST

/* Only what its flags promise stands in front of the bytes. */
START_TEST(parts_left_out)
{
	static const struct rec_owner nobody;
	struct record rec;
	struct {
		struct rec rec;
		char bytes[18];
	} bare = {.rec = data.rec};

	memcpy(bare.bytes, data.bytes, 18);
	bare.rec.hdr.size = sizeof(bare.rec) + 18;
	bare.rec.seg.flags = 0;
	ck_assert_int_eq(decode(&bare, bare.rec.hdr.size, &rec), 0);
	ck_assert_mem_eq(rec.bytes, "GET / HTTP/1.1\r\n\r\n", 18);
	ck_assert_mem_eq(&rec.owner, &nobody, sizeof(nobody));
	ck_assert_ptr_null(rec.tail);
	/* Bytes that are not captured have a tail. */
	bare.rec.seg.len = 19;
	ck_assert_int_eq(decode(&bare, bare.rec.hdr.size, &rec), -EPROTO);
}
END_TEST

/* The ring pads records to eight bytes: more room than the record says is no error. */
START_TEST(room_behind)
{
	char room[sizeof(progress) + 8] = {0};
	struct record rec;

	memcpy(room, &progress, sizeof(progress));
	ck_assert_int_eq(decode(room, sizeof(room), &rec), 0);
}
END_TEST

START_TEST(truncated)
{
	struct record rec;

	for (size_t size = 0; size < sizeof(data); size++)
		ck_assert_int_eq(decode(&data, size, &rec), -EPROTO);
	for (size_t size = 0; size < sizeof(progress); size++)
		ck_assert_int_eq(decode(&progress, size, &rec), -EPROTO);
}
END_TEST

START_TEST(size_lies)
{
	struct record rec;

	data.rec.hdr.size = sizeof(data) + 1;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	data.rec.hdr.size = UINT32_MAX;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	data.rec.hdr.size = 0;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	for (size_t size = 0; size < sizeof(data) - BYTES; size++) {
		data.rec.hdr.size = (uint32_t)size;
		ck_assert_int_eq(decode_data(&rec), -EPROTO);
	}
	/* Consistent, but there is no room for what was captured. */
	data.rec.hdr.size = sizeof(data) - BYTES + data.rec.seg.captured - 1;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	data.rec.hdr.size++;
	ck_assert_int_eq(decode_data(&rec), 0);
	progress.rec.hdr.size = sizeof(progress) - 1;
	ck_assert_int_eq(decode(&progress, sizeof(progress), &rec), -EPROTO);
}
END_TEST

START_TEST(other_version)
{
	struct record rec;

	for (unsigned int version = 0; version <= UINT16_MAX; version++) {
		data.rec.hdr.version = (uint16_t)version;
		ck_assert_int_eq(decode_data(&rec), version == REC_VERSION ? 0 : -EPROTO);
	}
}
END_TEST

START_TEST(unknown_kind)
{
	struct record rec;

	for (unsigned int kind = 0; kind <= UINT16_MAX; kind++) {
		data.rec.hdr.kind = (uint16_t)kind;
		ck_assert_int_eq(decode_data(&rec),
				 kind == REC_DATA || kind == REC_PROGRESS ? 0 : -EPROTO);
	}
}
END_TEST

START_TEST(captured_too_large)
{
	struct record rec;

	data.rec.seg.len = UINT16_MAX;
	data.rec.seg.captured = BYTES;
	ck_assert_int_eq(decode_data(&rec), 0);
	ck_assert_uint_eq(rec.seg.captured, BYTES);
	data.rec.seg.captured = BYTES + 1;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	data.rec.seg.captured = UINT32_MAX;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	/* Not more than the segment has. */
	data.rec.seg.len = 17;
	data.rec.seg.captured = 18;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
}
END_TEST

START_TEST(wrong_values)
{
	struct record rec;

	for (unsigned int family = 0; family <= UINT16_MAX; family++) {
		data.rec.conn.family = (uint16_t)family;
		ck_assert_int_eq(decode_data(&rec), family == 4 || family == 6 ? 0 : -EPROTO);
	}
	data.rec.conn.family = 6;
	data.rec.seg.len = UINT32_C(1) << 31;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	data.rec.seg.len = 18;
	ck_assert_int_eq(decode_data(&rec), 0);
	data.owner.source = OWNER_CONNECTED + 1;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		golden_data, golden_progress, parts_left_out, room_behind,	  truncated,
		size_lies,   other_version,   unknown_kind,   captured_too_large, wrong_values,
		NULL};

	return unit_run("record", tests, setup, teardown);
}
