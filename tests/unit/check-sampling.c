/* SPDX-License-Identifier: BSD-2-Clause */
/* Which connections are watched, and what becomes of those that leave the sample or come into it.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

#define CONNECTIONS 1000
#define PPM (1000 * 1000)

static struct fixture p;
static struct sim_socket *sk;
static uint64_t pos[2];
static uint32_t generation;

/* TCP's initial sequence numbers of the n-th connection: at random (RFC 6528), by splitmix64. */
static uint32_t number(uint64_t n)
{
	n *= UINT64_C(0x9e3779b97f4a7c15);
	n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(n >> 31);
}

static void setup(void)
{
	struct sim_opts opts = {.target = 1, .slot = 0, .capture = 4096, .cgroup_id = 4711};

	fixture_init(&p, &(struct appmon_opts){0});
	sim_start(&opts);
	generation = 1;
	pos[0] = pos[1] = 0;
	sk = sim_connect(false, 1000, 2000);
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	sim_forget(sk);
	sim_stop();
	fixture_free(&p);
}

static void pump(void)
{
	const void *record;
	size_t size;

	while ((record = sim_record(&size)))
		ck_assert(fixture_record(&p, record, size));
	ck_assert(fixture_adds_up(&p));
}

static void say(int dir, const char *text)
{
	sim_now_ns += NSEC_PER_MSEC;
	sim_packet(sk, dir, pos[dir], text, (uint32_t)strlen(text), SIM_PSH);
	pos[dir] += strlen(text);
	pump();
}

static void ask(const char *path)
{
	char text[256];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
	say(DIR_IN, text);
}

static void answer(int status)
{
	char text[256];

	snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", status);
	say(DIR_OUT, text);
}

/* What sampling.c does, in its order. */
static void share(uint32_t ppm)
{
	p.pl.sample.ppm = ppm;
	p.pl.sample.below = SAMPLE_ALL * ppm / APPMON_SAMPLING_ALL;
	sim_budget(++generation, 1, p.pl.sample.below);
	pump();
	flows_drop_unsampled(&p.flows);
}

static void pause_capture(void)
{
	sim_budget(generation, 0, p.pl.sample.below);
	pump();
	p.pl.sample.from = generation + 1;
	flows_drop_unsampled(&p.flows);
}

static void resume(void)
{
	generation++;
	p.pl.sample.from = generation;
	sim_budget(generation, generation, p.pl.sample.below);
}

static const struct appmon_event *event(const char *path, uint32_t status)
{
	const struct appmon_event *ev = fixture_event(&p);

	ck_assert_ptr_nonnull(ev);
	ck_assert_str_eq(ev->path.data, path);
	ck_assert_uint_eq(ev->status, status);
	return ev;
}

static void no_event(void)
{
	ck_assert_ptr_null(fixture_event(&p));
}

/* The paths of one exchange on each of many connections; true where it was reported. */
static void watched(bool seen[CONNECTIONS], uint32_t ppm)
{
	const struct appmon_event *ev;

	memset(seen, 0, CONNECTIONS * sizeof(*seen));
	/* The same numbers each time. */
	teardown();
	setup();
	share(ppm);
	for (int i = 0; i < CONNECTIONS; i++) {
		char path[32];

		sim_forget(sk);
		sk = sim_connect(false, number(2 * (uint64_t)i), number(2 * (uint64_t)i + 1));
		pos[0] = pos[1] = 0;
		snprintf(path, sizeof(path), "/%d", i);
		ask(path);
		answer(200);
		ask("/again");
		answer(201);
		ev = fixture_event(&p);
		if (!ev)
			continue;
		seen[i] = true;
		ck_assert_str_eq(ev->path.data, path);
		ck_assert_uint_eq(ev->sampling_ppm, ppm);
		event("/again", 201); /* all of a connection, or nothing */
		no_event();
	}
}

static int count(const bool seen[CONNECTIONS])
{
	int n = 0;

	for (int i = 0; i < CONNECTIONS; i++)
		n += seen[i];
	return n;
}

START_TEST(shares)
{
	static bool all[CONNECTIONS], half[CONNECTIONS], tenth[CONNECTIONS], again[CONNECTIONS];

	watched(all, PPM);
	watched(half, PPM / 2);
	watched(tenth, PPM / 10);
	watched(again, PPM / 10);
	ck_assert_int_eq(count(all), CONNECTIONS);
	ck_assert_int_ge(count(half), 450);
	ck_assert_int_le(count(half), 550);
	ck_assert_int_ge(count(tenth), 70);
	ck_assert_int_le(count(tenth), 130);
	for (int i = 0; i < CONNECTIONS; i++) {
		ck_assert(!tenth[i] || half[i]);
		ck_assert(again[i] == tenth[i]);
	}
}
END_TEST

/* Whether each end of a connection is watched, when it is met first and after exchanges that were
 * not watched. */
static void watched_ends(uint64_t n, bool seen[2][2])
{
	for (int active = 0; active < 2; active++) {
		uint32_t client = number(2 * n) + 1, server = number(2 * n + 1) + 1;
		int asks = active ? DIR_OUT : DIR_IN;

		share(PPM / 2);
		sim_forget(sk);
		sk = sim_connect(active, active ? server : client, active ? client : server);
		pos[0] = pos[1] = 0;
		for (int late = 0; late < 2; late++) {
			say(asks, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
			say(!asks, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
			seen[late][active] = false;
			while (fixture_event(&p))
				seen[late][active] = true;
			share(1);
			say(asks, "GET /unseen HTTP/1.1\r\nHost: h\r\n\r\n");
			say(!asks, "HTTP/1.1 204 N\r\n\r\n");
			share(PPM / 2);
			while (fixture_event(&p))
				; /* at this share, one of a million */
		}
	}
}

/* So that edges and links between them survive. */
START_TEST(both_ends_alike)
{
	int seen_at_first = 0;

	for (uint64_t n = 0; n < CONNECTIONS; n++) {
		bool seen[2][2];

		watched_ends(n, seen);
		ck_assert_msg(seen[0][0] == seen[0][1], "connection %d", (int)n);
		ck_assert_msg(seen[1][0] == seen[0][0], "connection %d, met later", (int)n);
		ck_assert_msg(seen[1][1] == seen[0][0], "connection %d, met later", (int)n);
		seen_at_first += seen[0][0];
	}
	ck_assert_int_ge(seen_at_first, 440);
	ck_assert_int_le(seen_at_first, 560);
}
END_TEST

/* What is under way when it is switched off counts, and nothing is paired across the pause. */
START_TEST(pause_inside)
{
	ask("/before");
	answer(200);
	ask("/inside");
	pause_capture();
	event("/before", 200);
	no_event();
	ck_assert_uint_eq(p.pl.stats.dropped[APPMON_DROP_SAMPLED], 1);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	ck_assert_uint_eq(p.flows.count, 0);
	answer(500);
	ask("/unseen");
	resume();
	answer(404); /* to a request that nobody saw */
	ask("/after");
	answer(201);
	for (const struct appmon_event *ev; (ev = fixture_event(&p));) {
		if (ev->flags & APPMON_EVF_MID_MESSAGE) {
			ck_assert_uint_eq(ev->status, 404);
			ck_assert_uint_eq(ev->path.len, 0);
			continue;
		}
		ck_assert_str_eq(ev->path.data, "/after");
		ck_assert_uint_eq(ev->status, 201);
	}
	ask("/more");
	answer(202);
	event("/more", 202);
	no_event();
	ck_assert_uint_eq(p.pl.stats.dropped[APPMON_DROP_SAMPLED], 1);
}
END_TEST

/* Off between two exchanges: the next one is exact. */
START_TEST(pause_between)
{
	ask("/one");
	answer(200);
	pause_capture();
	event("/one", 200);
	ask("/unseen");
	answer(500);
	resume();
	ask("/two");
	answer(201);
	ck_assert_uint_eq(event("/two", 201)->response_body_bytes, 2);
	no_event();
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 2);
}
END_TEST

/* Records that were written before the pause and read after it are not taken for new ones. */
START_TEST(late_records)
{
	const char *text = "GET /late HTTP/1.1\r\nHost: h\r\n\r\n";

	ask("/one");
	answer(200);
	event("/one", 200);
	sim_packet(sk, DIR_IN, pos[DIR_IN], text, (uint32_t)strlen(text), SIM_PSH);
	pos[DIR_IN] += strlen(text);
	p.pl.sample.from = ++generation; /* paused and resumed before the ring was read */
	flows_drop_unsampled(&p.flows);
	sim_budget(generation, generation, SAMPLE_ALL);
	pump();
	ck_assert_uint_eq(p.flows.count, 0);
	answer(500);
	ask("/two");
	answer(201);
	for (const struct appmon_event *ev; (ev = fixture_event(&p));)
		if (ev->path.len)
			ck_assert(!strcmp(ev->path.data, "/two") && ev->status == 201);
}
END_TEST

/* A connection leaves the sample inside an exchange and comes back inside another one. */
START_TEST(leaves_and_returns)
{
	ask("/one");
	answer(200);
	event("/one", 200);
	ask("/left");
	share(1);
	ck_assert_uint_eq(p.pl.stats.dropped[APPMON_DROP_SAMPLED], 1);
	ck_assert_uint_eq(p.flows.count, 0);
	answer(500);
	ask("/unseen");
	share(PPM);
	answer(404);
	ask("/two");
	answer(201);
	for (const struct appmon_event *ev; (ev = fixture_event(&p));)
		if (ev->path.len)
			ck_assert(!strcmp(ev->path.data, "/two") && ev->status == 201);
	ask("/three");
	answer(202);
	event("/three", 202);
	no_event();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {shares,	    pause_inside,	pause_between,
				      late_records, leaves_and_returns, both_ends_alike,
				      NULL};

	return unit_run("sampling", tests, setup, teardown);
}
