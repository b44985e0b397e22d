/* SPDX-License-Identifier: BSD-2-Clause */
/* The same conversation with other initial sequence numbers (RFC 9293 section 3.4.1), and with other bytes
 * in the programs' memory: they say the same of it. */
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

/* What a record says, with numbers that count from the first bytes. */
struct said {
	uint32_t flags, seq, len, start, whole, ack, captured;
};

struct said_all {
	struct said said[256];
	uint32_t count;
};

static struct sim_socket *sk;
static uint64_t pos[2];
static uint32_t first[2];

static void send_bytes(int dir, const char *bytes, size_t len)
{
	sim_now_ns += 100000;
	sim_packet(sk, dir, pos[dir], bytes, (uint32_t)len, SIM_PSH);
	pos[dir] += len;
}

static void say(int dir, const char *text)
{
	send_bytes(dir, text, strlen(text));
}

static void say_body(int dir, size_t len)
{
	static const char body[8192];

	ck_assert_uint_le(len, sizeof(body));
	send_bytes(dir, body, len);
}

static void take(struct said_all *all)
{
	const void *bytes;
	size_t size;

	while ((bytes = sim_record(&size))) {
		struct said *said = &all->said[all->count++];
		struct record rec;
		int dir;

		ck_assert_uint_lt(all->count, sizeof(all->said) / sizeof(all->said[0]));
		ck_assert_int_eq(record_decode(bytes, size, &rec), 0);
		dir = rec.seg.flags & REC_OUT ? DIR_OUT : DIR_IN;
		*said = (struct said){.flags = rec.seg.flags,
				      .seq = rec.seg.seq - first[dir],
				      .len = rec.seg.len,
				      .start = rec.seg.start - first[dir],
				      .whole = rec.seg.whole - first[dir],
				      .ack = rec.seg.ack - first[!dir],
				      .captured = rec.seg.captured};
	}
}

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define PUT "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n"
#define LONG "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void exchanges(int ask)
{
	for (int i = 0; i < 3; i++) {
		say(ask, GET);
		say(!ask, LONG);
		for (int n = 0; n < 20000; n += 5000)
			say_body(!ask, 5000);
	}
}

/* A client that asks again before it has an answer. */
static void pipelined(int ask)
{
	say(ask, GET);
	sim_acks(sk, 0);
	say(ask, GET);
	sim_acks(sk, UINT64_MAX);
	say(!ask, CHUNKED "1388\r\n");
	say_body(!ask, 5000);
	say(!ask, "\r\n0\r\n\r\n");
	say(!ask, CHUNKED "0\r\n\r\n");
}

/* Met in the middle of a response, beside which an upload goes on. */
static void met_in_response(int ask)
{
	sim_detached = true;
	say(ask, PUT);
	say_body(ask, 5000);
	sim_detached = false;
	say(!ask, LONG);
	say_body(!ask, 5000);
	say_body(ask, 5000);
	say_body(!ask, 5000);
	say_body(ask, 5000);
	say_body(!ask, 5000);
}

/* Met in the middle of an upload. */
static void met_in_upload(int ask)
{
	sim_detached = true;
	say(ask, PUT);
	say_body(ask, 5000);
	sim_detached = false;
	for (int i = 0; i < 3; i++)
		say_body(ask, 5000);
	say(!ask, LONG);
	say_body(!ask, 5000);
	say(ask, GET);
}

static uint32_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

/* Cut anywhere, out of order or sent again now and then, before and behind the attach. */
static void say_somehow(int dir, const char *text)
{
	const size_t len = strlen(text), cut = below(3) ? 0 : below((uint32_t)len);
	const uint64_t at = pos[dir];

	if (cut && !below(4)) {
		sim_packet(sk, dir, at + cut, text + cut, (uint32_t)(len - cut), SIM_PSH);
		sim_packet(sk, dir, at, text, (uint32_t)cut, SIM_PSH);
		pos[dir] += len;
	} else {
		if (cut)
			send_bytes(dir, text, cut);
		send_bytes(dir, text + cut, len - cut);
	}
	if (!below(5))
		sim_packet(sk, dir, at, text, (uint32_t)len, SIM_PSH);
}

static void at_random(int ask)
{
	static const char *const texts[] = {
		GET,	     GET,
		PUT,	     "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
		"0\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n"};
	static const char *const answers[] = {LONG,
					      CHUNKED "3\r\nabc\r\n",
					      "0\r\n\r\n",
					      "HTTP/1.1 100 Continue\r\n\r\n",
					      "HTTP/1.1 204 No\r\n\r\n",
					      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};

	sim_detached = !below(3);
	for (uint32_t step = 0; step < 24; step++) {
		const int dir = below(2) ? ask : !ask;

		if (step == 4)
			sim_detached = false;
		sim_acks(sk,
			 below(4) ? UINT64_MAX : pos[DIR_OUT] - below(200) % (pos[DIR_OUT] + 1));
		if (below(4))
			say_somehow(dir, (dir == ask ? texts : answers)[below(6)]);
		else
			say_body(dir, 1 + below(5000));
	}
}

static void same_with_all_numbers(void (*talk)(int ask), int ask, uint32_t least)
{
	static const uint32_t numbers[] = {1,	       0x40000000, 0x7fffffff,
					   0x80000001, 0xc0000000, 0xffffff00};
	const size_t count = sizeof(numbers) / sizeof(numbers[0]);
	static const char *const left_behind[] = {NULL,
						  "HEAD / HTTP/1.1\r\n\r\n",
						  "HTTP/1.1 101 S\r\n\r\n",
						  "\r\n0\r\n\r\n",
						  "Content-Length: 9\r\n",
						  "EAD ",
						  "\xff"};
	const uint32_t seeded = seed;
	static struct said_all want;

	for (size_t i = 0; i < count * count; i++) {
		struct said_all all = {0};

		sim_start(&(struct sim_opts){.target = 1, .capture = 4096, .cgroup_id = 4711});
		first[DIR_IN] = numbers[i % count];
		first[DIR_OUT] = numbers[i / count];
		pos[0] = pos[1] = 0;
		seed = seeded;
		sim_left_behind = left_behind[i % (sizeof(left_behind) / sizeof(left_behind[0]))];
		sk = sim_connect(ask == DIR_OUT, first[DIR_IN], first[DIR_OUT]);
		talk(ask);
		take(&all);
		ASSERT_OFTEN(all.count >= least);
		if (!i)
			want = all;
		ASSERT_OFTEN(!memcmp(&all, &want, sizeof(all)));
		sim_forget(sk);
	}
	sim_stop();
}

START_TEST(conversations)
{
	static void (*const talk[])(int ask) = {exchanges, pipelined, met_in_response,
						met_in_upload};

	same_with_all_numbers(talk[_i / 2], _i % 2 ? DIR_OUT : DIR_IN, 3);
}
END_TEST

START_TEST(random_conversations)
{
	for (uint32_t run = 0; run < 200; run++) {
		seed = 1000 * (uint32_t)_i + run;
		same_with_all_numbers(at_random, run % 2 ? DIR_OUT : DIR_IN, 0);
	}
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("numbers");

	tcase_add_loop_test(tcase, conversations, 0, 8);
	tcase_add_loop_test(tcase, random_conversations, 0, 10);
	return unit_run_case("numbers", tcase);
}
