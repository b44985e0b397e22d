/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections whose protocol has frames, from packets through the programs to what a module gets.
 * Expected is what the generator has written: it knows each frame before packets are cut, held
 * back, sent again or lost. Whatever happens, a frame that is told is one of those, and in order;
 * if others are missing before it, it says so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "protocol/frames.h"
#include "protocol/protocol.h"
#include "sim.h"
#include "unit.h"

#define FRAMES_MAX 2000
#define STREAM_MAX (4 << 20)
#define MESSAGES_MAX 400

static struct fixture p;
static struct sim_socket *sk;
static struct conn *conn;
static uint64_t state = 7;

struct made {
	uint32_t pos, total;
	uint32_t copied; /* payload bytes that are told */
	bool counted;	 /* COPY_NONE */
};

/* By direction. */
static struct {
	uint8_t bytes[STREAM_MAX];
	uint32_t len;
	struct made made[FRAMES_MAX];
	uint32_t made_count, told, missed;
} side[2];

/* What is written at once. */
static struct {
	int dir;
	uint32_t from, to;
} message[MESSAGES_MAX];
static uint32_t messages;
static int asking; /* DIR_* of the client */
static uint64_t told_all, missed_all, cut_all, copied_all, bytes_all;

static uint32_t rnd(uint32_t below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % below;
}

static uint32_t min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- the module ----------------------------------------------------------------------------- */

static void frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *f)
{
	const struct made *m;
	uint64_t skip = f->skipped;

	(void)pl;
	(void)c;
	if (f->flags & FRAME_AFTER_UNKNOWN) {
		for (; side[dir].told < side[dir].made_count &&
		       side[dir].made[side[dir].told].pos < f->pos;
		     side[dir].told++)
			side[dir].missed += !side[dir].made[side[dir].told].counted;
		skip = 0;
		/* It may have been taken for the first of a turn. */
		if (side[dir].made[side[dir].told].counted) {
			ASSERT_OFTEN(f->pos == side[dir].made[side[dir].told++].pos);
			return;
		}
	}
	for (; side[dir].told < side[dir].made_count && side[dir].made[side[dir].told].counted;
	     side[dir].told++) {
		ASSERT_OFTEN(skip > 0);
		skip--;
	}
	ASSERT_OFTEN(skip == 0);
	ASSERT_OFTEN(side[dir].told < side[dir].made_count);
	m = &side[dir].made[side[dir].told++];
	ASSERT_OFTEN(f->pos == m->pos);
	ASSERT_OFTEN(f->total == m->total);
	ASSERT_OFTEN(!memcmp(f->head, side[dir].bytes + m->pos, f->header));
	ASSERT_OFTEN(f->captured <= m->copied);
	ASSERT_OFTEN(!memcmp(f->bytes, side[dir].bytes + m->pos + f->header, f->captured));
	told_all++;
	cut_all += f->captured < m->copied;
}

static struct frame_ops ops = {.frame = frame};

static void init(struct conn *c, const uint64_t pos[2])
{
	frames_init(c->state, &ops, c, pos);
}

static void release(struct pipeline *pl, struct conn *c)
{
	frames_release(pl, c->state);
}

static void role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	(void)c;
	(void)dir;
	(void)bytes;
	(void)n;
}

static void nothing_lost(struct pipeline *pl, struct conn *c, bool lost)
{
	(void)pl;
	(void)c;
	(void)lost;
}

static void missed(struct pipeline *pl, struct conn *c)
{
	(void)pl;
	(void)c;
}

static void end(struct pipeline *pl, struct conn *c, uint32_t how, uint64_t flags)
{
	(void)how;
	(void)flags;
	frames_end(pl, c);
}

static const struct protocol framed = {
	.id = APPMON_PROTO_HTTP1, /* that it is asked for */
	.conn_size = sizeof(struct frames),
	.init = init,
	.release = release,
	.role = role,
	.data = frames_data,
	.progress = frames_progress,
	.framed = frames_framed,
	.doubt = nothing_lost,
	.missed = missed,
	.end = end,
};

/* ---- what is said ---------------------------------------------------------------------------- */

static void put(int dir, const void *bytes, uint32_t n)
{
	memcpy(side[dir].bytes + side[dir].len, bytes, n);
	side[dir].len += n;
}

/* header: bytes of it that the module gets; n: those here. want: of the whole frame. */
static void add(int dir, const uint8_t *h, uint32_t n, uint32_t header, uint32_t total,
		uint32_t want)
{
	struct made *m = &side[dir].made[side[dir].made_count++];

	ASSERT_OFTEN(side[dir].made_count <= FRAMES_MAX);
	ASSERT_OFTEN(side[dir].len + total <= STREAM_MAX);
	*m = (struct made){.pos = side[dir].len, .total = total, .counted = !want};
	want = min(want, total);
	m->copied = want > header ? want - header : 0;
	put(dir, h, n);
	while (side[dir].len < m->pos + total)
		side[dir].bytes[side[dir].len++] = (uint8_t)rnd(256);
}

static void says(int dir, uint32_t from)
{
	ASSERT_OFTEN(messages < MESSAGES_MAX);
	message[messages].dir = dir;
	message[messages].from = from;
	message[messages++].to = side[dir].len;
}

static void http2_frame(int dir, uint8_t type, uint8_t stream, uint32_t len, uint32_t want)
{
	const uint8_t h[9] = {
		(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, 0, 0, 0, 0, stream};

	add(dir, h, 9, 9, 9 + len, want);
}

static void mysql(int dir, uint8_t sequence, uint8_t type, uint32_t len, uint32_t want)
{
	const uint8_t h[5] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), sequence,
			      type};

	add(dir, h, 5, 4, 4 + len, want);
}

static void postgresql(int dir, char type, uint32_t len, uint32_t want)
{
	const uint8_t h[5] = {(uint8_t)type, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
			      (uint8_t)(len >> 8), (uint8_t)len};

	add(dir, h, 5, 5, 1 + len, want);
}

static void http2_talk(int client, uint32_t rounds)
{
	uint32_t from[2] = {0};

	put(client, rows[ROW_HTTP2].magic, 24);
	http2_frame(client, 4, 0, 18, 64);
	says(client, 0);
	http2_frame(!client, 4, 0, 6, 64);
	says(!client, 0);
	while (rounds--) {
		int dir = (int)rnd(2);
		uint32_t n = 1 + rnd(6);

		from[dir] = side[dir].len;
		while (n--) {
			switch (rnd(5)) {
			case 0:
				http2_frame(dir, 0, 1, rnd(16385), 16);
				break;
			case 1:
				http2_frame(dir, 8, 0, 4, 0);
				break;
			case 2:
				http2_frame(dir, 0, 3, rnd(40), 16);
				break;
			default:
				http2_frame(dir, 1, 5, 1 + rnd(rnd(9) ? 200 : 16000),
					    FRAME_COPY_MAX);
			}
		}
		says(dir, from[dir]);
	}
}

static void mysql_talk(int client, uint32_t rounds)
{
	uint32_t from;

	mysql(!client, 0, 10, 70, 256);
	/* "5.7" behind the protocol version. */
	side[!client].bytes[5] = '5';
	says(!client, 0);
	mysql(client, 1, 0x85, 180, 256);
	says(client, 0);
	from = side[!client].len;
	mysql(!client, 2, 0, 7, 128);
	says(!client, from);
	while (rounds--) {
		uint32_t n = rnd(3) ? rnd(8) : rnd(60);

		from = side[client].len;
		mysql(client, 0, 3, 2 + rnd(rnd(5) ? 100 : 20000), 4096);
		says(client, from);
		from = side[!client].len;
		mysql(!client, 1, (uint8_t)(1 + rnd(20)), 1 + rnd(3), 128);
		for (uint32_t i = 0; i < n; i++)
			mysql(!client, (uint8_t)(2 + i), (uint8_t)rnd(250), 1 + rnd(400), 0);
		mysql(!client, (uint8_t)(2 + n), 0xfe, 5, 32);
		says(!client, from);
	}
}

static void postgresql_talk(int client, uint32_t rounds)
{
	static const uint8_t startup[8] = {0, 0, 0, 40, 0, 3, 0, 0};
	uint32_t from;

	add(client, startup, 8, 4, 40, 512);
	says(client, 0);
	postgresql(!client, 'R', 8, 16);
	postgresql(!client, 'S', 30, 64);
	postgresql(!client, 'K', 12, 5);
	postgresql(!client, 'Z', 5, 16);
	says(!client, 0);
	while (rounds--) {
		uint32_t n = rnd(3) ? rnd(8) : rnd(60);

		from = side[client].len;
		if (rnd(2)) {
			postgresql(client, 'Q', 5 + rnd(rnd(5) ? 100 : 20000), 4096);
		} else {
			postgresql(client, 'B', 20 + rnd(2000), 96);
			postgresql(client, 'E', 9, 96);
			postgresql(client, 'S', 4, 16);
		}
		says(client, from);
		from = side[!client].len;
		postgresql(!client, 'T', 20 + rnd(100), 16);
		for (uint32_t i = 0; i < n; i++)
			postgresql(!client, 'D', 6 + rnd(400), 0);
		postgresql(!client, 'C', 12, 64);
		postgresql(!client, 'Z', 5, 16);
		says(!client, from);
	}
}

/* ---- how it comes ---------------------------------------------------------------------------- */

static void take_records(void)
{
	const void *data;
	size_t size;

	while ((data = sim_record(&size))) {
		struct record rec;

		ASSERT_OFTEN(record_decode(data, size, &rec) == 0);
		copied_all += rec.seg.captured;
		if (!conn) {
			conn = conn_new(&p.flows, &rec.conn, rec.conn.cookie, &rec.seg);
			ASSERT_OFTEN(conn);
			conn->protocol->release(&p.pl, conn);
			conn->request_dir = (uint8_t)(1 + asking);
			conn_speaks(conn, &framed, (uint64_t[2]){0, 0});
		}
		flow_record(&p.flows, &rec);
	}
}

static void packet(int dir, uint32_t from, uint32_t to, uint32_t flags)
{
	sim_now_ns += 1000 + rnd(100000);
	sim_packet(sk, dir, from, side[dir].bytes + from, to - from, flags);
	take_records();
}

enum { BAD_ORDER = 1, BAD_AGAIN = 2, BAD_RING = 4 };

static void say(uint32_t i, uint32_t bad)
{
	int dir = message[i].dir;
	uint32_t at = message[i].from, most = rnd(3) ? 1 + rnd(80000) : 1 + rnd(40), n;

	/* Before the first answer the position of the first byte must be known. */
	while (at < message[i].to) {
		n = min(1 + rnd(most), message[i].to - at);
		if ((bad & BAD_RING) && !rnd(30))
			sim_lose = 1;
		if ((bad & BAD_ORDER) && dir == DIR_IN && at + n < message[i].to && !rnd(10)) {
			uint32_t next = min(1 + rnd(most), message[i].to - at - n);

			packet(dir, at + n, at + n + next, 0);
			packet(dir, at, at + n, 0);
			n += next;
		} else {
			packet(dir, at, at + n, at + n == message[i].to ? SIM_PSH : 0);
		}
		if ((bad & BAD_AGAIN) && !rnd(10))
			packet(dir, at - min(at, rnd(100)), at + n, 0);
		at += n;
	}
	bytes_all += message[i].to - message[i].from;
}

static void talk(uint32_t row, int client, uint32_t bad)
{
	asking = client;
	memset(side, 0, offsetof(typeof(side[0]), len));
	for (int dir = 0; dir < 2; dir++)
		side[dir].len = side[dir].made_count = side[dir].told = side[dir].missed = 0;
	messages = 0;
	ops.row = row;
	if (row == ROW_HTTP2)
		http2_talk(client, 2 + rnd(40));
	else if (row == ROW_MYSQL)
		mysql_talk(client, 2 + rnd(20));
	else
		postgresql_talk(client, 2 + rnd(20));
	sk = sim_connect(client == DIR_OUT, 0xfffff000U + rnd(4096), rnd(1 << 30));
	conn = NULL;
	for (uint32_t i = 0; i < messages; i++) {
		if (!i) { /* what a connection speaks the first segment tells */
			packet(message[0].dir, message[0].from, message[0].to, SIM_PSH);
			ASSERT_OFTEN(conn);
		} else {
			say(i, bad);
		}
	}
	sim_sweep(sk);
	take_records();
	conn_end(&p.flows, conn, APPMON_END_CLOSED, 0);
	for (int dir = 0; dir < 2; dir++) {
		for (; side[dir].told < side[dir].made_count; side[dir].told++)
			side[dir].missed += !side[dir].made[side[dir].told].counted;
		missed_all += side[dir].missed;
	}
	conn_free(&p.flows, conn);
	sim_forget(sk);
}

static void on_verdict(void *ctx, uint64_t cookie, const struct verdict *verdict)
{
	(void)ctx;
	/* It takes its time. */
	if (rnd(4))
		sim_verdict(cookie, verdict);
}

static void setup(void)
{
	struct sim_opts so = {
		.target = 1, .capture = 4096, .cgroup_id = 100, .protocols = UINT32_MAX};

	/* HTTP/2: for the room that a connection has then. */
	fixture_init(&p, &(struct appmon_opts){.protocols = 1U << APPMON_PROTO_HTTP1 |
							    1U << APPMON_PROTO_HTTP2});
	ASSERT_OFTEN(p.flows.state_size >= sizeof(struct frames));
	p.pl.tell_programs = on_verdict;
	sim_start(&so);
	told_all = missed_all = cut_all = copied_all = bytes_all = 0;
}

static void teardown(void)
{
	sim_stop();
	fixture_free(&p);
}

/* APPMON_FRAMES: so many conversations, for a longer look. */
static uint32_t conversations(void)
{
	const char *env = getenv("APPMON_FRAMES");

	return env ? (uint32_t)atoi(env) : 150;
}

static void report(const char *name)
{
	if (getenv("APPMON_FRAMES"))
		printf("%s: %llu frames told, %llu missed, %llu cut; %llu of %llu bytes copied\n",
		       name, (unsigned long long)told_all, (unsigned long long)missed_all,
		       (unsigned long long)cut_all, (unsigned long long)copied_all,
		       (unsigned long long)bytes_all);
}

START_TEST(http2)
{
	for (uint32_t i = 0; i < conversations(); i++)
		talk(ROW_HTTP2, (int)(i % 2), 0);
	report("http2");
	ck_assert_uint_eq(missed_all, 0);
	ck_assert_uint_eq(cut_all, 0);
}
END_TEST

/* What asks is complete; of a response the rest may pass. */
START_TEST(turns)
{
	for (uint32_t i = 0; i < conversations(); i++) {
		int client = (int)(i % 2);

		talk(i % 4 < 2 ? ROW_MYSQL : ROW_POSTGRESQL, client, 0);
		ck_assert_uint_eq(side[client].missed, 0);
	}
	report("turns");
	ck_assert_uint_eq(cut_all, 0);
}
END_TEST

START_TEST(in_any_order)
{
	for (uint32_t i = 0; i < conversations(); i++)
		talk(ROW_HTTP2 + i % 3, (int)(i / 3 % 2), BAD_ORDER | BAD_AGAIN);
	report("in any order");
	ck_assert_uint_gt(told_all, 200 * missed_all);
}
END_TEST

START_TEST(lost)
{
	for (uint32_t i = 0; i < conversations(); i++)
		talk(ROW_HTTP2 + i % 3, (int)(i / 3 % 2), BAD_ORDER | BAD_AGAIN | BAD_RING);
	report("lost");
	ck_assert_uint_gt(told_all, 3 * missed_all);
}
END_TEST

/* ---- what is something else ------------------------------------------------------------------ */

enum { OTHER_RANDOM, OTHER_TLS, OTHER_TEXT, OTHER_ZEROS, OTHERS };

static uint32_t other_bytes(int kind, uint8_t *to, bool first)
{
	uint32_t n = 24 + rnd(1400);

	for (uint32_t i = 0; i < n; i++)
		to[i] = kind == OTHER_TEXT    ? (uint8_t)(' ' + rnd(95))
			: kind == OTHER_ZEROS ? (uint8_t)(rnd(4) ? 0 : rnd(256))
					      : (uint8_t)rnd(256);
	if (kind == OTHER_TLS) {
		to[0] = first ? 22 : 23;
		to[1] = 3;
		to[2] = first ? 1 : 3;
		to[3] = (uint8_t)((n - 5) >> 8);
		to[4] = (uint8_t)(n - 5);
		if (first)
			to[5] = 1;
	}
	return n;
}

/* Six segments by turns; are frames still followed with the last two? */
static uint32_t taken_for_frames(int kind, bool fresh)
{
	uint64_t pos[2] = {0};
	uint32_t count = 0;
	uint8_t bytes[1500];
	struct record rec;
	const void *data;
	size_t size;

	sk = sim_connect(false, 1000, 2000);
	for (uint32_t i = 0; i < 6; i++) {
		int dir = (int)(i % 2);
		uint32_t n = other_bytes(kind, bytes, i < 2);

		sim_detached = !fresh && i < 2;
		sim_packet(sk, dir, pos[dir], bytes, n, SIM_PSH);
		pos[dir] += n;
		while ((data = sim_record(&size))) {
			ck_assert_int_eq(record_decode(data, size, &rec), 0);
			count += rec.framed && i >= 4;
		}
	}
	sim_detached = false;
	sim_forget(sk);
	return count;
}

/* Zeros in plenty look like frames of HTTP/2 at times: of these few stay. */
START_TEST(something_else)
{
	struct sim_opts so = {.target = 1,
			      .capture = 4096,
			      .cgroup_id = 100,
			      .protocols = ~(1U << APPMON_PROTO_TLS)};

	sim_stop();
	sim_start(&so);
	for (int kind = 0; kind < OTHERS; kind++) {
		uint32_t taken[2] = {0};

		for (uint32_t i = 0; i < 20 * conversations(); i++)
			taken[i % 2] += taken_for_frames(kind, i % 2);
		if (getenv("APPMON_FRAMES"))
			printf("other %d: %u in the middle, %u from the first byte\n", kind,
			       taken[0], taken[1]);
		ck_assert_uint_eq(taken[1], 0);
		ck_assert_uint_le(taken[0], kind == OTHER_ZEROS ? conversations() / 10 : 0);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {http2, turns, in_any_order, lost, something_else, NULL};

	return unit_run("follow", tests, setup, teardown);
}
