/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames out of chunks, without the programs. Expected is what the generator has written: it knows
 * each frame before the stream is cut anywhere.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "protocol/frames.h"
#include "protocol/protocol.h"
#include "unit.h"
#include "walker.h"

#define FRAMES_MAX 1200
#define STREAM_MAX (1 << 20)

static struct fixture p;
static struct conn c;
static struct frames frames;

struct made {
	uint32_t pos, total, type, copied; /* copied: payload bytes that are told */
	bool counted;			   /* COPY_NONE */
};

static uint8_t stream[STREAM_MAX];
static uint32_t stream_len;
static struct made made[FRAMES_MAX];
static uint32_t made_count, told, skipped, lost, passed_bytes;
static uint64_t missed, told_all;
static uint64_t state = 1;

static uint32_t rnd(uint32_t below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % below;
}

static uint32_t min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void frame(struct pipeline *pl, struct conn *conn, int dir, const struct frame *f)
{
	uint64_t skip = f->skipped;
	const struct made *m;

	(void)pl;
	(void)conn;
	(void)dir;
	if (f->flags & FRAME_AFTER_UNKNOWN) {
		for (; told < made_count && made[told].pos < f->pos; told++)
			missed++;
		skip = 0;
	}
	while (told < made_count && made[told].counted) {
		ASSERT_OFTEN(skip > 0);
		skip--;
		skipped++;
		told++;
	}
	ASSERT_OFTEN(skip == 0);
	ASSERT_OFTEN(told < made_count);
	m = &made[told++];
	told_all++;
	ASSERT_OFTEN(f->pos == m->pos);
	ASSERT_OFTEN(f->total == m->total);
	ASSERT_OFTEN(f->type == m->type);
	ASSERT_OFTEN(f->captured == m->copied);
	ASSERT_OFTEN(!memcmp(f->head, stream + m->pos, f->header));
	ASSERT_OFTEN(!memcmp(f->bytes, stream + m->pos + f->header, f->captured));
	ASSERT_OFTEN(f->begin_ns <= f->end_ns);
}

static void passed(struct pipeline *pl, struct conn *conn, int dir, const struct passed *s)
{
	(void)pl;
	(void)conn;
	(void)dir;
	passed_bytes += s->len;
	lost += s->lost;
}

static struct frame_ops ops = {.frame = frame, .passed = passed};

static void begin(uint32_t row, bool fresh, int side)
{
	ops.row = row;
	memset(&frames, 0, sizeof(frames));
	c.fresh = fresh;
	c.request_dir = side == SIDE_REQUEST ? 1 + DIR_IN : 1 + DIR_OUT;
	frames_init(&frames, &ops, &c, (uint64_t[2]){0, 0});
	stream_len = made_count = told = skipped = lost = passed_bytes = 0;
}

static void put(const void *bytes, uint32_t n)
{
	memcpy(stream + stream_len, bytes, n);
	stream_len += n;
}

/* header: with the type if that lies behind it. want: bytes of the whole frame that are copied. */
static void add(const uint8_t *header, uint32_t n, uint32_t header_len, uint32_t total,
		uint32_t type, uint32_t want)
{
	struct made *m = &made[made_count++];

	*m = (struct made){.pos = stream_len, .total = total, .type = type, .counted = !want};
	want = min(want, total);
	m->copied = want > header_len ? want - header_len : 0;
	put(header, n);
	while (stream_len < m->pos + total)
		stream[stream_len++] = (uint8_t)rnd(256);
}

static void add_http2(void)
{
	static const struct {
		uint8_t type;
		uint32_t least, spread, copy;
		bool stream;
	} kinds[] = {{0, 0, 16385, 16, true},  {1, 1, 16384, 16393, true}, {2, 5, 1, 0, true},
		     {3, 4, 1, 16, true},      {4, 0, 1, 64, false},	   {6, 8, 1, 0, false},
		     {7, 8, 90, 64, false},    {8, 4, 1, 0, false},	   {9, 1, 200, 16393, true},
		     {1, 20, 60, 16393, true}, {0, 0, 100, 16, true}};
	uint32_t k = rnd(sizeof(kinds) / sizeof(kinds[0]));
	uint32_t len = kinds[k].least + rnd(kinds[k].spread);
	uint8_t h[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, kinds[k].type, 0};

	if (kinds[k].type <= 1)
		h[4] = (uint8_t)rnd(2); /* END_STREAM */
	h[8] = kinds[k].stream ? (uint8_t)(1 + 2 * rnd(100)) : 0;
	add(h, 9, 9, 9 + len, kinds[k].type, kinds[k].copy);
}

static void add_mysql_row(uint32_t i)
{
	uint32_t len = rnd(300);
	uint8_t h[5] = {(uint8_t)len, (uint8_t)(len >> 8), 0, (uint8_t)(i + 1), (uint8_t)rnd(250)};

	if (!rnd(3))
		h[4] = 0xff;
	add(h, len ? 5 : 4, 4, 4 + len, len ? h[4] : 0, !i ? 128 : len && h[4] == 0xff ? 64 : 0);
}

static void add_postgresql(void)
{
	static const struct {
		char type;
		uint32_t least, spread, copy;
	} kinds[] = {{'D', 6, 300, 0}, {'C', 12, 10, 64}, {'Z', 5, 1, 16},    {'T', 6, 200, 16},
		     {'1', 4, 1, 16},  {'2', 4, 1, 16},	  {'E', 20, 500, 256}};
	uint32_t k = rnd(7), len = kinds[k].least + rnd(kinds[k].spread);
	uint8_t h[5] = {(uint8_t)kinds[k].type, 0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	add(h, 5, 5, 1 + len, (uint8_t)kinds[k].type, kinds[k].copy);
}

/* Rows of a result, or lines of a COPY: most of few bytes, and what may come between them. */
static void add_postgresql_row(void)
{
	static const struct {
		char type;
		uint32_t least, spread, copy;
	} others[] = {{'C', 12, 10, 64}, {'Z', 5, 1, 16},     {'N', 20, 90, 0},
		      {'A', 12, 90, 64}, {'E', 20, 500, 256}, {'c', 4, 1, 16}};
	uint32_t len = rnd(50) ? 4 + rnd(40) : 4 + rnd(6000), k = rnd(40);
	uint8_t h[5] = {rnd(2) ? 'D' : 'd', 0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	if (k >= sizeof(others) / sizeof(others[0])) {
		add(h, 5, 5, 1 + len, h[0], 0);
		return;
	}
	len = others[k].least + rnd(others[k].spread);
	h[0] = (uint8_t)others[k].type;
	h[3] = (uint8_t)(len >> 8);
	h[4] = (uint8_t)len;
	add(h, 5, 5, 1 + len, h[0], others[k].copy);
}

/* Of one answer, whose numbers wrap. */
static void add_mysql_small_row(uint32_t i)
{
	static const uint8_t lasts[] = {0xfe, 0xff, 0xfd, 0xfb};
	uint32_t len = rnd(50) ? rnd(40) : rnd(6000), copy = 0;
	uint8_t h[5] = {(uint8_t)len, (uint8_t)(len >> 8), 0, (uint8_t)(i + 1), (uint8_t)rnd(0xfe)};

	if (!rnd(40))
		h[4] = lasts[rnd(4)];
	if (!i)
		copy = 128;
	else if (len && h[4] == 0xff)
		copy = 64;
	else if (len && h[4] == 0xfe)
		copy = 4 + len <= 64 ? 32 : 0;
	else if (h[3] == 1)
		copy = 32;
	add(h, len ? 5 : 4, 4, 4 + len, len ? h[4] : 0, copy);
}

static void make_rows(uint32_t row)
{
	uint32_t n = 1 + rnd(1200);

	for (uint32_t i = 0; i < n && stream_len < STREAM_MAX - 10000; i++) {
		if (row == ROW_MYSQL)
			add_mysql_small_row(i);
		else
			add_postgresql_row();
	}
}

static void make(uint32_t row)
{
	uint32_t n = 1 + rnd(60);

	for (uint32_t i = 0; i < n; i++) {
		if (row == ROW_HTTP2)
			add_http2();
		else if (row == ROW_MYSQL)
			add_mysql_row(i);
		else
			add_postgresql();
	}
}

static void feed_at(uint32_t pos, uint32_t captured, uint32_t len, uint32_t flags, uint32_t skip)
{
	struct chunk chunk = {.pos = pos,
			      .bytes = (const char *)stream + pos,
			      .captured = captured,
			      .len = len,
			      .flags = flags,
			      .skipped = skip,
			      .tail_len = min(len, CHUNK_TAIL),
			      .ts_ns = 1000 + pos};

	/* As it is in the ring: no byte behind what is captured may be read. */
	char *copy = malloc(captured ? captured : 1);

	memcpy(copy, chunk.bytes, captured);
	chunk.bytes = copy;
	chunk.tail = (const char *)stream + pos + len - chunk.tail_len;
	c.stream[DIR_IN].seen = pos + len;
	c.stream[DIR_IN].seen_ns = chunk.ts_ns;
	frames_data(&p.pl, &c, DIR_IN, &chunk);
	free(copy);
	frames_progress(&p.pl, &c, DIR_IN, chunk.ts_ns);
}

static void feed_cut(void)
{
	uint32_t most = rnd(3) ? 1 + rnd(5000) : 1 + rnd(12), at = 0;

	while (at < stream_len) {
		uint32_t n = min(1 + rnd(most), stream_len - at);

		feed_at(at, n, n, 0, 0);
		at += n;
	}
}

static void finish(void)
{
	while (told < made_count && made[told].counted)
		told++;
	ck_assert_uint_eq(told, made_count);
	frames_end(&p.pl, &c);
	ck_assert_uint_eq(told, made_count);
	frames_release(&p.pl, &frames);
}

static void setup(void)
{
	fixture_init(&p, &(struct appmon_opts){0});
	memset(&c, 0, sizeof(c));
	c.state = &frames;
	c.id.target = 1;
	c.stream[DIR_IN].known = c.stream[DIR_OUT].known = 1;
}

static void teardown(void)
{
	fixture_free(&p);
}

START_TEST(cut_anywhere)
{
	for (uint32_t i = 0; i < 600; i++) {
		uint32_t row = ROW_HTTP2 + i % 3;

		begin(row, true, row == ROW_HTTP2 && i % 2 ? SIDE_REQUEST : SIDE_RESPONSE);
		if (row == ROW_HTTP2 && i % 2)
			put(rows[ROW_HTTP2].magic, 24);
		else
			frames.cutter[DIR_IN].hello = 0;
		frames.cutter[DIR_IN].hello = 0;
		make(row);
		feed_cut();
		ck_assert_uint_eq(lost, 0);
		finish();
	}
}
END_TEST

/* As the programs copy: the begin of each frame that is worth it, and how many were not. */
START_TEST(copied_by_the_programs)
{
	for (uint32_t i = 0; i < 300; i++) {
		uint32_t skip = 0, at = 0;

		begin(ROW_HTTP2, true, SIDE_RESPONSE);
		make(ROW_HTTP2);
		for (uint32_t k = 0; k < made_count; k++) {
			const struct made *m = &made[k];

			if (m->counted) {
				skip++;
				continue;
			}
			if (at < m->pos)
				feed_at(at, 0, m->pos - at, 0, 0);
			feed_at(m->pos, 9 + m->copied, m->total, CHUNK_FRAME, skip);
			at = m->pos + m->total;
			skip = 0;
		}
		ck_assert_uint_eq(lost, 0);
		finish();
	}
}
END_TEST

/* A connection that is met in the middle: the first frames may be missed, none is made up. */
START_TEST(found_in_the_middle)
{
	for (uint32_t i = 0; i < 300; i++) {
		uint32_t from;

		begin(ROW_HTTP2, false, SIDE_REQUEST);
		make(ROW_HTTP2);
		from = rnd(stream_len);
		while (told < made_count && made[told].pos < from)
			told++;
		if (told + 3 > made_count)
			continue;
		frames.cutter[DIR_IN].pos = from;
		feed_at(from, stream_len - from, stream_len - from, 0, 0);
		finish();
	}
}
END_TEST

/* ---- through the programs' walker ---------------------------------------------------------- */

static struct walked piece[20000];
static uint32_t pieces, segment_at, copied;

static void on_piece(const struct walked *w)
{
	ASSERT_OFTEN(pieces < sizeof(piece) / sizeof(piece[0]));
	ASSERT_OFTEN(!memcmp(w->bytes, stream + segment_at + w->at, w->n));
	piece[pieces++] = *w;
	copied += w->n;
}

static void on_record(uint32_t from, uint32_t to)
{
	uint32_t at = from;

	for (uint32_t i = 0; i < pieces; i++) {
		const struct walked *w = &piece[i];
		uint32_t next = i + 1 < pieces ? piece[i + 1].at : to;

		ASSERT_OFTEN(w->at >= at);
		ASSERT_OFTEN(w->at + w->n <= next);
		if (w->at > at)
			feed_at(segment_at + at, 0, w->at - at, 0, 0);
		feed_at(segment_at + w->at, w->n, next - w->at,
			(w->flags & PIECE_FRAME ? CHUNK_FRAME : 0) |
				(w->flags & PIECE_UNWALKED ? CHUNK_UNWALKED : 0),
			w->skipped);
		at = next;
	}
	if (at < to)
		feed_at(segment_at + at, 0, to - at, 0, 0);
	pieces = 0;
}

static uint32_t next_frame(uint32_t pos)
{
	for (uint32_t i = 0; i < made_count; i++)
		if (made[i].pos >= pos)
			return made[i].pos;
	return stream_len;
}

/* Sequence numbers wrap. */
#define SEQ 0xffffff00U

static void walk_cut(bool lose)
{
	uint32_t most = rnd(4) ? 1 + rnd(70000) : 1 + rnd(14), at = 0;
	bool whole = !rnd(8);

	while (at < stream_len) {
		uint32_t n = min(whole ? stream_len : 1 + rnd(most), stream_len - at);

		if (lose && walker_follows() && !rnd(20))
			walker_lose();
		else if (!walker_follows() && !rnd(4))
			walker_found(SEQ + next_frame(at), SEQ + at);
		segment_at = at;
		walker_segment(SEQ + at, stream + at, n, on_piece, on_record);
		at += n;
	}
}

static void walk_streams(uint32_t count, bool lose, bool result)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t row = result ? ROW_MYSQL + i % 2 : ROW_HTTP2 + i % 3, want = 0;

		begin(row, true, SIDE_RESPONSE);
		frames.cutter[DIR_IN].hello = 0;
		(result ? make_rows : make)(row);
		walker_begin(row, SIDE_RESPONSE, SEQ, false);
		walker_turn();
		copied = 0;
		walk_cut(lose);
		if (lose) {
			frames_end(&p.pl, &c);
			missed += made_count - told;
			frames_release(&p.pl, &frames);
			continue;
		}
		ck_assert_uint_eq(lost, 0);
		finish();
		for (uint32_t k = 0; k < made_count; k++)
			want += made[k].copied + (made[k].counted ? 0 : 9);
		if (!lose && stream_len > 100000)
			ck_assert_uint_le(copied, want + stream_len / 20 + 1000);
	}
}

/* APPMON_FRAMES: so many streams, for a longer look. */
static uint32_t streams(void)
{
	const char *env = getenv("APPMON_FRAMES");

	return env ? (uint32_t)atoi(env) : 1000;
}

START_TEST(walked)
{
	told_all = 0;
	walk_streams(streams(), false, false);
	if (getenv("APPMON_FRAMES"))
		printf("%llu frames told\n", (unsigned long long)told_all);
}
END_TEST

/* The programs lose their place, and copy all until they know it again. */
START_TEST(walked_and_lost)
{
	missed = told_all = 0;
	walk_streams(streams(), true, false);
	if (getenv("APPMON_FRAMES"))
		printf("%llu frames told, %llu missed\n", (unsigned long long)told_all,
		       (unsigned long long)missed);
	ck_assert_uint_gt(told_all, 4 * missed);
}
END_TEST

/* Long results: see pass_counted(). */
START_TEST(rows_walked)
{
	walk_streams(streams() / 5, false, true);
}
END_TEST

START_TEST(rows_walked_and_lost)
{
	told_all = 0;
	walk_streams(streams() / 5, true, true);
	ck_assert_uint_gt(told_all, 0);
}
END_TEST

/* ---- and through that of the calls of TLS ------------------------------------------------------ */

static void on_told(uint32_t at, uint32_t n, uint32_t len)
{
	feed_at(segment_at + at, n, len, 0, 0);
	copied += n;
}

/* As what begins a session: the client's preface, and either side's SETTINGS. */
static void make_session(bool client)
{
	const uint8_t len = (uint8_t)(6 * rnd(5)), h[9] = {0, 0, len, 4};

	begin(ROW_HTTP2, true, client ? SIDE_REQUEST : SIDE_RESPONSE);
	if (client)
		put(rows[ROW_HTTP2].magic, 24);
	add(h, 9, 9, 9U + len, 4, 64);
	make(ROW_HTTP2);
}

static void call_cut(uint32_t room, void (*record)(uint32_t at, uint32_t n, uint32_t len))
{
	/* Such as a TLS record takes, or a few bytes. */
	uint32_t most = rnd(4) ? 1 + rnd(40000) : 1 + rnd(30), at = 0;

	while (at < stream_len) {
		uint32_t n = min(1 + rnd(most), stream_len - at);

		segment_at = at;
		walker_call(stream + at, n, room, record);
		at += n;
	}
}

START_TEST(calls_walked)
{
	for (uint32_t i = 0; i < streams(); i++) {
		const bool client = i % 2;
		const uint32_t room = i % 3 ? 4096 : 9 + rnd(100);
		uint32_t want = 24, first;

		make_session(client);
		first = i % 5 ? stream_len : min(rnd(40), stream_len);
		ck_assert_int_eq(walker_session(stream, first),
				 first >= 9 && (!client || first >= 16));
		if (!walker_session_follows())
			walker_session(stream, stream_len);
		copied = 0;
		call_cut(room, on_told);
		ck_assert(walker_session_follows());
		ck_assert_uint_eq(lost, 0);
		finish();
		/* More than what is wanted are ends of frames, and frames that are only counted. */
		for (uint32_t k = 0; k < made_count; k++)
			want += made[k].copied + 9 + 64;
		if (room == 4096 && stream_len > 100000)
			ck_assert_uint_le(copied, want + stream_len / 20 + 1000);
	}
}
END_TEST

/* Behind what is no frame all is copied; what begins otherwise is not followed. */
START_TEST(calls_of_something_else)
{
	static const uint8_t bad[][9] = {{0, 0, 5, 3, 0, 0, 0, 0, 1},
					 {0, 0, 1, 0x33, 0, 0, 0, 0, 1},
					 {0, 0, 9, 1, 0, 0, 0, 0, 0},
					 {0, 0, 9, 0, 0, 0x80, 0, 0, 1},
					 {0, 0, 7, 4, 0, 0, 0, 0, 0}};
	static const char *const begins[] = {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n",
					     "\0\0\0\4\1\0\0\0\0-------", "PRI * HTTP/2.1\r\n\r\n"};

	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_session(i & 1);
		add(bad[i], 9, 9, 500, 0, 0);
		make(ROW_HTTP2);
		ck_assert(walker_session(stream, stream_len));
		call_cut(4096, on_told);
		ck_assert(!walker_session_follows());
		frames_release(&p.pl, &frames);
	}
	for (uint32_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		ck_assert(!walker_session((const uint8_t *)begins[i], 16));
}
END_TEST

static uint32_t noise_left;

static void on_noise(uint32_t at, uint32_t n, uint32_t len)
{
	ASSERT_OFTEN(n <= len && len <= noise_left);
	(void)at;
	noise_left -= len;
}

/* Whatever comes, each byte is told once. */
START_TEST(calls_of_noise)
{
	for (uint32_t i = 0; i < streams(); i++) {
		make_session(i & 1);
		ck_assert(walker_session(stream, stream_len));
		for (uint32_t k = 0; k < 1 + i % 20; k++)
			stream[rnd(stream_len)] = (uint8_t)(rnd(3) ? rnd(256) : 0);
		noise_left = stream_len;
		call_cut(9 + rnd(4096), on_noise);
		ck_assert_uint_eq(noise_left, 0);
		frames_release(&p.pl, &frames);
	}
}
END_TEST

static void add_rows_of(uint32_t n, const uint8_t *header, uint32_t total)
{
	while (n--)
		add(header, 5, 5, total, header[0], 0);
}

static void piece_only(const struct walked *w)
{
	piece[pieces++] = *w;
}

static void record_only(uint32_t from, uint32_t to)
{
	(void)from;
	(void)to;
}

/* What cannot be a frame is noticed behind rows as well. */
START_TEST(rows_then_no_frame)
{
	static const uint8_t good[5] = {'D', 0, 0, 0, 15};
	static const uint8_t bad[][5] = {{0, 0, 0, 0, 15},     {'D', 0, 0, 0, 3},
					 {'D', 0, 0, 0, 0},    {'D', 0xff, 0xff, 0xff, 0xff},
					 {'D', 0x40, 0, 0, 0}, {'Q', 0, 0, 0, 15}};

	for (uint32_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		begin(ROW_POSTGRESQL, true, SIDE_RESPONSE);
		add_rows_of(200, good, 16);
		if (i)
			add(bad[i - 1], 5, 5, 16, 0, 0);
		add_rows_of(200, good, 16);
		walker_begin(ROW_POSTGRESQL, SIDE_RESPONSE, SEQ, false);
		walker_segment(SEQ, stream, stream_len, piece_only, record_only);
		ck_assert_int_eq(walker_follows(), !i);
		pieces = 0;
	}
}
END_TEST

/* A packet of MySQL that goes on in the next one is no row of its own. */
START_TEST(long_row_is_one)
{
	static const uint8_t row[] = {1,    0,	  0,	2, 'x', 1,   0,	  0,  3, 'x',
				      1,    0,	  0,	4, 'x', 1,   0,	  0,  5, 'x',
				      0xff, 0xff, 0xff, 6, 'x', 'x', 'x', 'x'};
	static const uint8_t behind[] = {2,   0, 0, 7, 'x', 'x',  1, 0, 0, 8,
					 'x', 5, 0, 0, 9,   0xfe, 0, 0, 2, 0};

	walker_begin(ROW_MYSQL, SIDE_RESPONSE, SEQ, false);
	walker_segment(SEQ, (const uint8_t[]){1, 0, 0, 1, 1}, 5, piece_only, record_only);
	walker_segment(SEQ + 5, row, sizeof(row), piece_only, record_only);
	walker_segment(SEQ + 5 + 20 + 4 + 0xffffff, behind, sizeof(behind), piece_only,
		       record_only);
	ck_assert_uint_eq(pieces, 2);
	ck_assert_uint_eq(piece[1].n, 9);
	ck_assert_uint_eq(piece[1].skipped, 4 + 2);
	pieces = 0;
}
END_TEST

static uint8_t single_type;

static void single(struct pipeline *pl, struct conn *conn, int dir, const struct frame *f)
{
	(void)pl;
	(void)conn;
	(void)dir;
	if (f->flags & FRAME_SINGLE)
		single_type = (uint8_t)f->type;
}

START_TEST(one_byte_answers)
{
	static const uint8_t ask[] = {0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f};
	struct frame_ops own = {.row = ROW_POSTGRESQL, .frame = single};
	struct chunk chunk = {.bytes = "N", .captured = 1, .len = 1, .tail = "N", .tail_len = 1};

	begin(ROW_POSTGRESQL, true, SIDE_REQUEST);
	frames.ops = &own;
	put(ask, 8);
	feed_at(0, 8, 8, CHUNK_TURN, 0);
	frames_data(&p.pl, &c, DIR_OUT, &chunk);
	ck_assert_uint_eq(single_type, 0);
	put(ask, 8);
	feed_at(8, 8, 8, CHUNK_TURN, 0);
	ck_assert_uint_eq(single_type, 'N');
	frames_release(&p.pl, &frames);
}
END_TEST

static struct verdict verdict;

static void verdict_is(void *ctx, uint64_t cookie, const struct verdict *v)
{
	(void)ctx;
	(void)cookie;
	verdict = *v;
}

/* Where a frame begins that is to come is told; no longer once it has passed. */
START_TEST(programs_are_told)
{
	static const uint8_t ack[] = {0, 0, 0, 4, 1, 0, 0, 0, 0};
	struct frame_ops own = {.row = ROW_HTTP2, .frame = single};
	struct chunk chunk = {.bytes = (const char *)ack,
			      .captured = sizeof(ack),
			      .len = sizeof(ack),
			      .tail = (const char *)ack,
			      .tail_len = sizeof(ack)};

	p.pl.tell_programs = verdict_is;
	begin(ROW_HTTP2, true, SIDE_RESPONSE);
	frames.ops = &own;
	put(ack, sizeof(ack));
	put(ack, sizeof(ack));
	frames.cutter[DIR_OUT].preface = 0;
	feed_at(0, 9, 9, 0, 0);
	ck_assert(verdict.known[DIR_IN] && !verdict.known[DIR_OUT]);
	ck_assert_uint_eq(verdict.due[DIR_IN], stream_seq(&c.stream[DIR_IN], 9));
	frames_data(&p.pl, &c, DIR_OUT, &chunk);
	ck_assert(verdict.known[DIR_IN] && verdict.known[DIR_OUT]);
	ck_assert_uint_eq(verdict.due[DIR_OUT], stream_seq(&c.stream[DIR_OUT], 9));
	/* The programs say where this one begins. */
	feed_at(9, 9, 9, CHUNK_FRAME, 0);
	chunk.pos = 9;
	frames_data(&p.pl, &c, DIR_OUT, &chunk);
	ck_assert(!verdict.known[DIR_IN] && verdict.known[DIR_OUT]);
	ck_assert_uint_eq(verdict.due[DIR_OUT], stream_seq(&c.stream[DIR_OUT], 18));
	frames_release(&p.pl, &frames);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {cut_anywhere,
				      copied_by_the_programs,
				      found_in_the_middle,
				      one_byte_answers,
				      programs_are_told,
				      walked,
				      walked_and_lost,
				      rows_walked,
				      rows_walked_and_lost,
				      rows_then_no_frame,
				      long_row_is_one,
				      calls_walked,
				      calls_of_something_else,
				      calls_of_noise,
				      NULL};

	mallopt(M_MMAP_THRESHOLD, 1 << 24); /* large chunks are many */
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	return unit_run("frames", tests, setup, teardown);
}
