/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The n-th allocation fails, for every n, on the way from packets to events: nothing crashes,
 * nothing leaks (the sanitizer says), the counters add up, and no request gets another's response.
 */
#include <stdio.h>
#include <string.h>

#include "failing-alloc.h"
#include "fixture.h"
#include "sim.h"
#include "unit.h"

/* ---- the script --------------------------------------------------------------------- */

static struct fixture p;
static unsigned int events;

static void check_event(const struct appmon_event *ev)
{
	unsigned int n = 0, status;

	events++;
	if (!ev->status || !ev->method || ev->request_target.truncated)
		return;
	ck_assert_int_eq(sscanf(ev->path.data, "/%u", &n), 1);
	status = ev->status;
	ck_assert_uint_eq(status, 400 + n);
}

/* Only the library's allocations count, not the simulated kernel's. */
static void pump(void)
{
	const struct appmon_event *ev;
	const void *rec;
	size_t size;
	bool good;

	while ((rec = sim_record(&size))) {
		armed = true;
		good = fixture_record(&p, rec, size);
		armed = false;
		ck_assert(good);
	}
	for (;;) {
		armed = true;
		ev = fixture_event(&p);
		armed = false;
		if (!ev)
			break;
		check_event(ev);
	}
	ck_assert(fixture_adds_up(&p));
}

struct talk {
	struct sim_socket *sk;
	uint64_t pos[2];
};

static void give(struct talk *t, int dir, const char *bytes, uint32_t n)
{
	sim_now_ns += NSEC_PER_MSEC;
	sim_packet(t->sk, dir, t->pos[dir], bytes, n, SIM_PSH);
	t->pos[dir] += n;
	pump();
}

static void say(struct talk *t, int dir, const char *text)
{
	give(t, dir, text, (uint32_t)strlen(text));
}

static void numbered(struct talk *t, int dir, unsigned int n)
{
	static char text[4096];
	static char field[3000];

	/* Sizes of several pool classes. */
	memset(field, 'x', sizeof(field));
	if (dir == DIR_IN)
		snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\nUser-Agent: %.*s\r\n\r\n", n,
			 (int)(n * 397 % 2500), field);
	else
		snprintf(text, sizeof(text), "HTTP/1.1 %u X\r\nContent-Length: 2\r\n\r\nok",
			 400 + n);
	say(t, dir, text);
}

/* HTTP/1.1 that turns into HTTP/2: /80 is answered by stream 1, and /81 is stream 3. */
static void turn(struct talk *t)
{
	static const char switches[] = "HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n"
				       "\0\0\0\4\0\0\0\0\0"
				       "\0\0\5\1\5\0\0\0\1\x08\x03"
				       "480";
	static const char asks[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				   "\0\0\0\4\0\0\0\0\0"
				   "\0\0\7\1\5\0\0\0\3\x82\x86\x04\x03"
				   "/81";
	static const char answers[] = "\0\0\5\1\5\0\0\0\3\x08\x03"
				      "481";

	say(t, DIR_IN, "GET /80 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
	give(t, DIR_OUT, switches, sizeof(switches) - 1);
	give(t, DIR_IN, asks, sizeof(asks) - 1);
	give(t, DIR_OUT, answers, sizeof(answers) - 1);
}

/* Plain, split, early, pipelined, chunked, strays, many connections, ends of all kinds. */
static void run_script(void)
{
	struct talk talks[81] = {0};
	static const char late[] = "GET /70 HTTP/1.1\r\nHost: h\r\n\r\n";

	for (unsigned int i = 0; i < 81; i++)
		talks[i].sk = sim_connect(false, 1, 1);
	for (unsigned int i = 0; i < 5; i++) {
		numbered(&talks[0], DIR_IN, i);
		numbered(&talks[0], DIR_OUT, i);
	}
	for (unsigned int i = 10; i < 15; i++)
		numbered(&talks[1], DIR_IN, i);
	for (unsigned int i = 10; i < 15; i++)
		numbered(&talks[1], DIR_OUT, i);
	say(&talks[2], DIR_IN, "GET /6");
	say(&talks[2], DIR_IN, "0 HTTP/1.1\r\nHo");
	say(&talks[2], DIR_IN, "st: h\r\n\r\n");
	say(&talks[2], DIR_OUT, "HTTP/1.1 46");
	say(&talks[2], DIR_OUT, "0 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	say(&talks[2], DIR_OUT, "2\r\nok\r\n0\r\n\r\n");
	numbered(&talks[2], DIR_IN, 61);
	numbered(&talks[2], DIR_OUT, 61);
	/* Out of order. */
	sim_packet(talks[3].sk, DIR_IN, 10, late + 10, sizeof(late) - 11, SIM_PSH);
	pump();
	sim_packet(talks[3].sk, DIR_IN, 0, late, 10, 0);
	pump();
	talks[3].pos[DIR_IN] = sizeof(late) - 1;
	numbered(&talks[3], DIR_OUT, 70);
	numbered(&talks[3], DIR_IN, 71);
	numbered(&talks[3], DIR_OUT, 71);
	/* A listener's data. */
	sim_listener_packet(talks[4].sk, 0, late, sizeof(late) - 1);
	talks[4].pos[DIR_IN] = sizeof(late) - 1;
	pump();
	numbered(&talks[4], DIR_OUT, 70);
	/* More connections than the table's first size. */
	for (unsigned int i = 5; i < 80; i++)
		numbered(&talks[i], DIR_IN, i);
	for (unsigned int i = 5; i < 70; i++)
		numbered(&talks[i], DIR_OUT, i);
	turn(&talks[80]);
	sim_packet(talks[70].sk, DIR_IN, talks[70].pos[DIR_IN], NULL, 0, SIM_RST);
	sim_packet(talks[71].sk, DIR_OUT, 0, NULL, 0, SIM_FIN);
	pump();
	armed = true;
	flows_expire(&p.flows, sim_now_ns + 400 * NSEC_PER_SEC);
	armed = false;
	pump();
	for (unsigned int i = 0; i < 81; i++)
		sim_forget(talks[i].sk);
}

/* Returns how many allocations there were. */
static unsigned long run_once(unsigned long at, bool all_after)
{
	const uint64_t protocols = 1U << APPMON_PROTO_HTTP1 | 1U << APPMON_PROTO_HTTP2;
	struct sim_opts so = {.target = 1, .capture = 4096, .protocols = protocols};

	events = 0;
	count = 0;
	fail_at = at;
	for_ever = all_after;
	fixture_init(&p, &(struct appmon_opts){.flags = APPMON_OPEN_LINKS, .protocols = protocols});
	sim_start(&so);
	run_script();
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	sim_stop();
	fixture_free(&p);
	return count;
}

START_TEST(each_allocation_fails)
{
	unsigned long n = run_once(0, false);
	unsigned int all = events;

	ck_assert_uint_gt(n, 100);
	ck_assert_uint_eq(all, 5 + 5 + 2 + 2 + 1 + 75 + 2);
	for (unsigned long at = 1; at <= n; at++) {
		run_once(at, false);
		/* One failure costs few events. */
		ck_assert_uint_ge(events + 8, all);
	}
}
END_TEST

START_TEST(memory_runs_out)
{
	unsigned long n = run_once(0, false);

	for (unsigned long at = 1; at <= n; at++)
		run_once(at, true);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {each_allocation_fails, memory_runs_out, NULL};

	return unit_run("oom", tests, NULL, NULL);
}
