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
	struct rec_conn_told told;
	struct rec_before before;
	struct rec_owner owner;
	uint8_t tail[TAIL_BYTES];
	char bytes[BYTES];
} data;
static struct {
	struct rec rec;
	struct rec_owner owner;
} progress;
/* Two pieces of a segment of 100 bytes: 5 of them at 10, and the 16 from 30 on. */
static struct {
	struct rec rec;
	uint8_t tail[TAIL_BYTES];
	struct rec_piece first;
	char bytes[8];
	struct rec_piece second;
	char more[16];
} frames;
static struct guard guard;

#define TEXT "GET / HTTP/1.1\r\n\r\n"
#define TEXT_LEN (sizeof(TEXT) - 1)
#define DATA_SIZE (offsetof(typeof(data), bytes) + TEXT_LEN)

static void setup(void)
{
	const uint64_t cookie = 0x1122334455667788;
	struct rec_conn_told told = {.conn = {.cookie = cookie,
					      .cgroup_id = 42,
					      .target = 7,
					      .family = 4,
					      .local_port = 80,
					      .remote_port = 40000,
					      .slot = 3},
				     .sample = 11,
				     .lost = 12,
				     .retrans = 13,
				     .dup = 14};
	struct rec_seg seg = {.ts_ns = 1000,
			      .flags = REC_OWNER,
			      .seq = 0xfffffff0,
			      .start = 0xffffff00,
			      .whole = 21,
			      .ack = 22,
			      .written = 23,
			      .srtt_us = 24};
	struct rec_owner owner = {.task = {.pid = 4711, .tid = 4712, .comm = "fifteen letters"},
				  .read_first_ns = 900,
				  .source = OWNER_READ};

	memset(&data, 0, sizeof(data));
	data.rec.hdr = (struct rec_hdr){REC_VERSION, REC_DATA, DATA_SIZE, 99};
	data.rec.cookie = cookie;
	data.rec.seg = seg;
	data.rec.seg.flags |= REC_CONN | REC_BEFORE | REC_TAIL;
	data.rec.seg.len = TEXT_LEN;
	data.told = told;
	data.before = (struct rec_before){.last_ts_ns = 800, .bytes = "before!", .due = 15};
	data.owner = owner;
	memset(data.tail, 't', sizeof(data.tail));
	memcpy(data.bytes, TEXT, TEXT_LEN);
	progress.rec.hdr = (struct rec_hdr){REC_VERSION, REC_PROGRESS, sizeof(progress), 0};
	progress.rec.cookie = cookie;
	progress.rec.seg = seg;
	progress.owner = owner;
	memset(&frames, 0, sizeof(frames));
	frames.rec.hdr = (struct rec_hdr){REC_VERSION, REC_FRAMES, sizeof(frames), 0};
	frames.rec.cookie = cookie;
	frames.rec.seg = seg;
	frames.rec.seg.flags = REC_TAIL;
	frames.rec.seg.len = 100;
	frames.first = (struct rec_piece){.at = 10, .n = 5};
	frames.second = (struct rec_piece){.at = 30, .skipped = 2, .n = 16, .flags = PIECE_FRAME};
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

static int decode_frames(void)
{
	struct record rec;

	return decode(&frames, frames.rec.hdr.size, &rec);
}

static void seg_is(const struct segment *seg, const struct rec_seg *said)
{
	ck_assert_uint_eq(seg->ts_ns, said->ts_ns);
	ck_assert_uint_eq(seg->flags, said->flags);
	ck_assert_uint_eq(seg->seq, said->seq);
	ck_assert_uint_eq(seg->len, said->len);
	ck_assert_uint_eq(seg->start, said->start);
	ck_assert_uint_eq(seg->whole, said->whole);
	ck_assert_uint_eq(seg->ack, said->ack);
	ck_assert_uint_eq(seg->written, said->written);
	ck_assert_uint_eq(seg->srtt_us, said->srtt_us);
}

START_TEST(golden_data)
{
	struct record rec;

	ck_assert_int_eq(decode_data(&rec), 0);
	ck_assert_uint_eq(rec.order_ns, 99);
	ck_assert_uint_eq(rec.size, DATA_SIZE);
	ck_assert_uint_eq(rec.seg.captured, TEXT_LEN);
	ck_assert(!rec.framed);
	ck_assert_mem_eq(rec.bytes, TEXT, TEXT_LEN);
	ck_assert_mem_eq(rec.tail, data.tail, TAIL_BYTES);
	ck_assert_mem_eq(&rec.conn, &data.told.conn, sizeof(rec.conn));
	ck_assert_uint_eq(rec.seg.sample, 11);
	ck_assert_uint_eq(rec.seg.lost, 12);
	ck_assert_uint_eq(rec.seg.retrans, 13);
	ck_assert_uint_eq(rec.seg.dup, 14);
	ck_assert_mem_eq(&rec.seg.before, &data.before, sizeof(data.before));
	seg_is(&rec.seg, &data.rec.seg);
	ck_assert_mem_eq(&rec.owner, &data.owner, sizeof(rec.owner));
}
END_TEST

START_TEST(golden_progress)
{
	static const struct rec_before unknown;
	struct record rec;

	ck_assert_int_eq(decode(&progress, sizeof(progress), &rec), 0);
	ck_assert_uint_eq(rec.seg.captured, 0);
	ck_assert_ptr_nonnull(rec.bytes);
	ck_assert_ptr_null(rec.tail);
	ck_assert_uint_eq(rec.conn.cookie, progress.rec.cookie);
	ck_assert_mem_eq(&rec.seg.before, &unknown, sizeof(unknown));
	seg_is(&rec.seg, &progress.rec.seg);
	ck_assert_mem_eq(&rec.owner, &progress.owner, sizeof(rec.owner));
}
END_TEST

START_TEST(golden_frames)
{
	struct record rec;

	ck_assert_int_eq(decode(&frames, sizeof(frames), &rec), 0);
	ck_assert(rec.framed);
	ck_assert_uint_eq(rec.seg.captured, sizeof(frames) - offsetof(typeof(frames), first));
	ck_assert_mem_eq(rec.bytes, &frames.first, rec.seg.captured);
	ck_assert_mem_eq(rec.tail, frames.tail, TAIL_BYTES);
}
END_TEST

/* The pieces of a segment: in order, inside it, and as long together as the record says. */
START_TEST(odd_pieces)
{
	static const struct rec_piece odd_first[] = {
		{.at = 10, .n = 17},	     /* the second one begins in its bytes */
		{.at = 10, .n = 9},	     /* likewise */
		{.at = 10},		     /* in its padding */
		{.at = 10, .n = UINT32_MAX}, /* as large as all together, and more */
		{.at = 10, .n = UINT32_MAX - 7},
		{.at = 10, .n = sizeof(frames)},
		{.at = 26, .n = 5}, /* behind the second one */
		{.at = 96, .n = 5}, /* beyond the segment */
		{.at = UINT32_MAX, .n = 5},
		{.at = UINT32_MAX - 4, .n = 5},
	};
	static const struct rec_piece odd_second[] = {
		{.at = 30, .n = 17}, /* beyond the record */
		{.at = 30, .n = 8},  /* bytes behind it */
		{.at = 30, .n = 0},
		{.at = 14, .n = 16}, /* in the first one */
		{.at = 0, .n = 16},
		{.at = 85, .n = 16}, /* beyond the segment */
		{.at = UINT32_MAX - 15, .n = 16},
	};

	for (size_t i = 0; i < sizeof(odd_first) / sizeof(odd_first[0]); i++) {
		frames.first = odd_first[i];
		ck_assert_int_eq(decode_frames(), -EPROTO);
	}
	frames.first = (struct rec_piece){.at = 10, .n = 5};
	for (size_t i = 0; i < sizeof(odd_second) / sizeof(odd_second[0]); i++) {
		frames.second = odd_second[i];
		ck_assert_int_eq(decode_frames(), -EPROTO);
	}
	/* One behind the other, and up to the end, is none. */
	frames.first.at = 25;
	frames.second = (struct rec_piece){.at = 30, .n = 16};
	ck_assert_int_eq(decode_frames(), 0);
	frames.second.at = 84;
	ck_assert_int_eq(decode_frames(), 0);
	frames.rec.seg.len = 99;
	ck_assert_int_eq(decode_frames(), -EPROTO);
}
END_TEST

START_TEST(cut_pieces)
{
	const uint32_t front = offsetof(typeof(frames), first);
	const uint32_t one = front + sizeof(frames.first) + sizeof(frames.bytes);

	for (uint32_t size = 0; size < sizeof(frames); size++) {
		const int want = size == front || size == one ? 0 : -EPROTO;
		struct record rec;

		ck_assert_int_eq(decode(&frames, size, &rec), -EPROTO);
		frames.rec.hdr.size = size;
		ck_assert_int_eq(decode(&frames, size, &rec), want);
		frames.rec.hdr.size = sizeof(frames);
	}
}
END_TEST

/* A part of a segment has no tail, all else has. */
START_TEST(pieces_without_tail)
{
	struct record rec;
	struct {
		struct rec rec;
		struct rec_piece piece;
		char bytes[8];
	} part = {.rec = frames.rec, .piece = {.at = 92, .n = 8}};

	part.rec.hdr.size = sizeof(part);
	part.rec.seg.flags = REC_PART;
	ck_assert_int_eq(decode(&part, sizeof(part), &rec), 0);
	ck_assert_ptr_null(rec.tail);
	part.rec.seg.flags = 0;
	ck_assert_int_eq(decode(&part, sizeof(part), &rec), -EPROTO);
}
END_TEST

/* Only what its flags promise stands in front of the bytes. */
START_TEST(parts_left_out)
{
	static const struct rec_owner nobody;
	struct record rec;
	struct {
		struct rec rec;
		char bytes[TEXT_LEN];
	} bare = {.rec = data.rec};

	memcpy(bare.bytes, TEXT, TEXT_LEN);
	bare.rec.hdr.size = sizeof(bare.rec) + TEXT_LEN;
	bare.rec.seg.flags = 0;
	ck_assert_int_eq(decode(&bare, bare.rec.hdr.size, &rec), 0);
	ck_assert_uint_eq(rec.conn.cookie, data.rec.cookie);
	ck_assert_mem_eq(rec.bytes, TEXT, TEXT_LEN);
	ck_assert_mem_eq(&rec.owner, &nobody, sizeof(nobody));
	ck_assert_ptr_null(rec.tail);
	/* Where a line begins stands in struct rec_before, whose listening socket in rec_conn_told. */
	bare.rec.seg.flags = REC_DUE;
	ck_assert_int_eq(decode(&bare, bare.rec.hdr.size, &rec), -EPROTO);
	bare.rec.seg.flags = REC_LISTENER;
	ck_assert_int_eq(decode(&bare, bare.rec.hdr.size, &rec), -EPROTO);
	/* Of a message that has a length, bytes can be missing without a tail. */
	bare.rec.seg.flags = 0;
	bare.rec.seg.len = TEXT_LEN + 1;
	ck_assert_int_eq(decode(&bare, bare.rec.hdr.size, &rec), 0);
	ck_assert_ptr_null(rec.tail);
}
END_TEST

/* Each part is cut off alone. */
START_TEST(parts_cut)
{
	static const struct {
		uint32_t flag, size;
	} part[] = {{REC_CONN, sizeof(struct rec_conn_told)},
		    {REC_BEFORE, sizeof(struct rec_before)},
		    {REC_OWNER, sizeof(struct rec_owner)},
		    {REC_TAIL, TAIL_BYTES}};
	struct record rec;

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		struct {
			struct rec rec;
			char room[sizeof(struct rec_owner) + 1];
		} one = {.rec = data.rec};

		one.rec.seg.flags = part[i].flag;
		one.rec.seg.len = 0;
		if (part[i].flag == REC_CONN)
			memcpy(one.room, &data.told, sizeof(data.told));
		for (uint32_t size = 0; size <= part[i].size; size++) {
			one.rec.hdr.size = sizeof(one.rec) + size;
			ck_assert_int_eq(decode(&one, one.rec.hdr.size, &rec),
					 size == part[i].size ? 0 : -EPROTO);
		}
	}
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

	for (size_t size = 0; size < DATA_SIZE; size++)
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
	for (size_t size = 0; size < DATA_SIZE - TEXT_LEN; size++) {
		data.rec.hdr.size = (uint32_t)size;
		ck_assert_int_eq(decode_data(&rec), -EPROTO);
	}
	/* With a tail, fewer bytes than the segment has are no error; more of them are. */
	for (uint32_t n = 0; n <= TEXT_LEN + 1; n++) {
		data.rec.hdr.size = (uint32_t)(DATA_SIZE - TEXT_LEN) + n;
		ck_assert_int_eq(decode_data(&rec), n <= TEXT_LEN ? 0 : -EPROTO);
	}
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
		if (kind == REC_PLAIN) /* other members, of which these bytes can be some */
			continue;
		data.rec.hdr.kind = (uint16_t)kind;
		ck_assert_int_eq(decode_data(&rec),
				 kind == REC_DATA || kind == REC_PROGRESS ? 0 : -EPROTO);
		frames.rec.hdr.kind = (uint16_t)kind;
		if (kind < REC_DATA || kind > REC_FRAMES)
			ck_assert_int_eq(decode_frames(), -EPROTO);
	}
}
END_TEST

START_TEST(process)
{
	struct rec_process seen = {
		.hdr = {.version = REC_VERSION, .kind = REC_PROCESS, .size = sizeof(seen)},
		.task = {.pid = 7, .tid = 8, .start_ns = 9}};
	struct record rec;

	ck_assert_int_eq(record_decode(&seen, sizeof(seen), &rec), 0);
	ck_assert(rec.process && !rec.called);
	ck_assert_uint_eq(rec.size, sizeof(seen));
	ck_assert_uint_eq(rec.owner.task.pid, 7);
	ck_assert_uint_eq(rec.owner.task.tid, 8);
	ck_assert_uint_eq(rec.owner.task.start_ns, 9);
	for (size_t n = 0; n < sizeof(seen); n++)
		ck_assert_int_eq(record_decode(&seen, n, &rec), -EPROTO);
	seen.hdr.size--;
	ck_assert_int_eq(record_decode(&seen, sizeof(seen), &rec), -EPROTO);
}
END_TEST

START_TEST(wrong_values)
{
	struct record rec;

	for (unsigned int family = 0; family <= UINT16_MAX; family++) {
		data.told.conn.family = (uint16_t)family;
		ck_assert_int_eq(decode_data(&rec), family == 4 || family == 6 ? 0 : -EPROTO);
	}
	data.told.conn.family = 6;
	data.told.conn.cookie++;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	data.rec.cookie++;
	ck_assert_int_eq(decode_data(&rec), 0);
	data.rec.seg.len = UINT32_C(1) << 31;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	data.rec.seg.len = TEXT_LEN;
	ck_assert_int_eq(decode_data(&rec), 0);
	data.owner.source = OWNER_CONNECTED + 1;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	/* What the reader alone says. */
	data.owner.source = OWNER_READ;
	data.rec.seg.flags |= REC_FRAME;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
	data.rec.seg.flags ^= REC_FRAME | REC_UNWALKED;
	ck_assert_int_eq(decode_data(&rec), -EPROTO);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {golden_data,    golden_progress,
				      golden_frames,  odd_pieces,
				      cut_pieces,     pieces_without_tail,
				      parts_left_out, parts_cut,
				      room_behind,    truncated,
				      size_lies,      other_version,
				      unknown_kind,   process,
				      wrong_values,   NULL};

	return unit_run("record", tests, setup, teardown);
}
