/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a target asks for, and what the host says of ports. Expected is what the public header says
 * of struct appmon_attach_opts; that the programs capture nothing of it the ring shows.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

#define HTTP1 (1U << APPMON_PROTO_HTTP1)
#define RESP (1U << APPMON_PROTO_RESP)

#define GET "GET /page HTTP/1.1\r\nHost: a\r\n\r\n"
#define PAGE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define COMMAND "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
#define VALUE "$1\r\nv\r\n"

/* Of a socket that sim_connect() makes for an accepted connection. */
#define SERVER_PORT 80

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2], records;

static void connected(bool active)
{
	if (sk)
		sim_forget(sk);
	sk = sim_connect(active, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
}

/* The handle watches both protocols, the target in slot 0 these. */
static void target(uint32_t protocols)
{
	struct sim_opts so = {
		.target = 1, .capture = 4096, .cgroup_id = 100, .protocols = protocols};

	p.target[0].protocols = protocols;
	sim_start(&so);
	connected(false);
}

/* Another one attaches to a cgroup in that of the first. */
static void inner_target(uint32_t protocols)
{
	struct sim_opts so = {
		.target = 2, .slot = 1, .capture = 4096, .cgroup_id = 200, .protocols = protocols};

	p.target[1].protocols = protocols;
	sim_nest(&so);
}

static void hint(uint32_t port, uint16_t protocol)
{
	static struct appmon_port_hint hints[2];

	sim_hint((uint16_t)port, protocol);
	hints[p.target[0].port_count++] =
		(struct appmon_port_hint){.port = port, .protocol = protocol};
	p.target[0].ports = hints;
}

static void setup(void)
{
	static const struct appmon_opts opts = {.protocols = HTTP1 | RESP};

	fixture_init(&p, &opts);
	target(HTTP1 | RESP);
	records = 0;
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	sim_forget(sk);
	sk = NULL;
	sim_stop();
	fixture_free(&p);
}

static void packet(int dir, const char *text)
{
	const void *rec;
	size_t size;

	sim_now_ns += 1000000;
	sim_packet(sk, dir, next_pos[dir], text, (uint32_t)strlen(text), SIM_PSH);
	next_pos[dir] += strlen(text);
	while ((rec = sim_record(&size))) {
		ck_assert(fixture_record(&p, rec, size));
		records++;
	}
	ck_assert(fixture_adds_up(&p));
}

static void in(const char *text)
{
	packet(DIR_IN, text);
}

static void out(const char *text)
{
	packet(DIR_OUT, text);
}

/* Before the attach. */
static void unseen(int dir, const char *text)
{
	sim_detached = true;
	packet(dir, text);
	sim_detached = false;
}

static const struct appmon_event *event(uint32_t protocol, const char *operation)
{
	const struct appmon_event *ev = fixture_event(&p);

	ck_assert_msg(ev, "%s is missing", operation);
	ck_assert_uint_eq(ev->protocol, protocol);
	ck_assert_str_eq(ev->operation.data, operation);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	return ev;
}

static void nothing(void)
{
	ck_assert_ptr_null(fixture_event(&p));
}

/* ---- what a target asks for ---------------------------------------------------------------- */

START_TEST(http_alone)
{
	static const char *const first[] = {COMMAND, "ping\r\n", "\n*1\r\n$4\r\nPING\r\n",
					    "+PONG\r\n"};

	target(HTTP1);
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		for (int k = 0; k < 20; k++) {
			in(k ? COMMAND : first[i]);
			out(VALUE);
		}
		ck_assert_uint_eq(sim_skipped(0), i + 1);
		connected(false);
	}
	ck_assert_uint_eq(records, 0);
	nothing();
	/* What looks like RESP inside of HTTP is no reason to capture it, either. */
	in("PUT /page HTTP/1.1\r\nContent-Length: 20\r\n\r\n");
	in(COMMAND);
	out(PAGE);
	in(GET);
	out(PAGE);
	event(APPMON_PROTO_HTTP1, "PUT");
	event(APPMON_PROTO_HTTP1, "GET");
	nothing();
	ck_assert_uint_eq(p.target[0].stats.filtered, 0);
}
END_TEST

/* HTTP/1 is followed in any case. */
START_TEST(resp_alone)
{
	target(RESP);
	in(GET);
	out(PAGE);
	nothing();
	ck_assert_uint_eq(p.target[0].stats.filtered, 1);
	connected(false);
	in(COMMAND);
	out(VALUE);
	event(APPMON_PROTO_RESP, "GET");
	nothing();
}
END_TEST

/* What the outer one has given up is met again for the inner one, which asks for it. */
START_TEST(nested_asks_for_more)
{
	target(HTTP1);
	for (int i = 0; i < 3; i++) {
		in(COMMAND);
		out(VALUE);
	}
	ck_assert_uint_eq(sim_skipped(0), 1);
	inner_target(RESP);
	for (int i = 0; i < 3; i++) {
		in(COMMAND);
		out(VALUE);
		ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->target_id, 2);
	}
	nothing();
	ck_assert_uint_eq(p.target[0].stats.exchanges_seen, 0);
	connected(false);
	in(COMMAND);
	out(VALUE);
	ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->target_id, 2);
	in("SET k v\r\n");
	out("+OK\r\n");
	event(APPMON_PROTO_RESP, "SET");
	/* Both are given up by the inner one: the outer one does not meet them again. */
	connected(false);
	for (int i = 0; i < 3; i++) {
		in("\x16\x03\x01\x02\x03");
		out("\x16\x03\x01\x02\x03");
	}
	ck_assert_uint_eq(sim_skipped(0) + sim_skipped(1), 2);
}
END_TEST

/* What the outer one follows goes on, without events. */
START_TEST(nested_asks_for_less)
{
	target(HTTP1 | RESP);
	in(COMMAND);
	out(VALUE);
	ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->target_id, 1);
	inner_target(HTTP1);
	for (int i = 0; i < 3; i++) {
		in(COMMAND);
		out(VALUE);
	}
	nothing();
	ck_assert_uint_eq(p.target[1].stats.filtered, 3);
	connected(false);
	records = 0;
	in(COMMAND);
	out(VALUE);
	ck_assert_uint_eq(records, 0);
	ck_assert_uint_eq(sim_skipped(1), 1);
	connected(false);
	in(GET);
	out(PAGE);
	ck_assert_uint_eq(event(APPMON_PROTO_HTTP1, "GET")->target_id, 2);
	nothing();
}
END_TEST

/* The connection that a listening socket makes asks for what its target does. */
START_TEST(listener)
{
	for (int with = 0; with < 2; with++) {
		target(with ? HTTP1 | RESP : HTTP1);
		sim_listener_packet(sk, 0, COMMAND, strlen(COMMAND));
		next_pos[DIR_IN] = strlen(COMMAND);
		out(VALUE);
		in(COMMAND);
		out(VALUE);
		if (!with) {
			nothing();
			ck_assert_uint_eq(p.target[0].stats.exchanges_seen, 0);
		} else {
			event(APPMON_PROTO_RESP, "GET");
			event(APPMON_PROTO_RESP, "GET");
		}
		teardown();
		setup();
	}
}
END_TEST

/* ---- what the host says of ports ----------------------------------------------------------- */

/* A command of which the first segment says no word: some clients write its parts one by one. */
START_TEST(hint_takes_up)
{
	for (int with = 0; with < 2; with++) {
		if (with)
			hint(SERVER_PORT, APPMON_PROTO_RESP);
		unseen(DIR_IN, COMMAND);
		unseen(DIR_OUT, VALUE);
		for (int i = 0; i < 3; i++) {
			in("*2\r\n");
			in("$3\r\nGET\r\n");
			in("$1\r\nk\r\n");
			out(VALUE);
			if (with)
				ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->role,
						  APPMON_ROLE_SERVER);
			nothing();
		}
		connected(false);
	}
}
END_TEST

/* The same, of the client's side: the hint is of the remote port. */
START_TEST(hint_of_remote_port)
{
	hint(SERVER_PORT, APPMON_PROTO_RESP);
	connected(true);
	unseen(DIR_OUT, COMMAND);
	unseen(DIR_IN, VALUE);
	out("*2\r\n");
	out("$3\r\nGET\r\n$1\r\nk\r\n");
	in(VALUE);
	ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->role, APPMON_ROLE_CLIENT);
	nothing();
}
END_TEST

/* Attached before a reply that is as good as a command. Without a hint it is taken for one. */
START_TEST(hint_knows_a_reply)
{
	hint(SERVER_PORT, APPMON_PROTO_RESP);
	unseen(DIR_IN, "*3\r\n$6\r\nLRANGE\r\n$1\r\n0\r\n$2\r\n-1\r\n");
	out("*2\r\n$3\r\nkey\r\n$5\r\nvalue\r\n");
	nothing();
	in(COMMAND);
	out("*1\r\n$5\r\nhello\r\n");
	ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->role, APPMON_ROLE_SERVER);
	nothing();
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 1);
}
END_TEST

/* Attached inside a body that looks like RESP. */
START_TEST(hint_of_http)
{
	for (int with = 0; with < 2; with++) {
		if (with)
			hint(SERVER_PORT, APPMON_PROTO_HTTP1);
		unseen(DIR_IN, GET);
		unseen(DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
		out(COMMAND);
		for (int i = 0; i < 3; i++) {
			in(GET);
			out(PAGE);
			if (with)
				ck_assert_uint_eq(event(APPMON_PROTO_HTTP1, "GET")->status, 200);
		}
		if (with)
			nothing();
		while (fixture_event(&p))
			;
		connected(false);
	}
}
END_TEST

/* The same, but it looks like a request: also where the target asks for nothing but HTTP/1. */
START_TEST(hint_knows_a_body)
{
	target(HTTP1);
	hint(SERVER_PORT, APPMON_PROTO_HTTP1);
	unseen(DIR_IN, GET);
	unseen(DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n");
	out("GET /body/page HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 3; i++) {
		const struct appmon_event *ev;

		in(GET);
		out(PAGE);
		ev = event(APPMON_PROTO_HTTP1, "GET");
		ck_assert_uint_eq(ev->role, APPMON_ROLE_SERVER);
		ck_assert_str_eq(ev->path.data, "/page");
	}
	nothing();
}
END_TEST

/* A hint is no proof: what does not begin like its protocol is looked at as ever. */
START_TEST(wrong_hint)
{
	hint(SERVER_PORT, APPMON_PROTO_RESP);
	in(GET);
	out(PAGE);
	event(APPMON_PROTO_HTTP1, "GET");
	connected(false);
	unseen(DIR_IN, GET);
	unseen(DIR_OUT, PAGE);
	in(GET);
	out(PAGE);
	event(APPMON_PROTO_HTTP1, "GET");
	nothing();
}
END_TEST

/* It is the port of the client that is hinted: who asks shows when a reply is no command. */
START_TEST(hint_of_client_port)
{
	connected(true);
	hint(40000 + (uint32_t)sim_cookie(sk), APPMON_PROTO_RESP);
	unseen(DIR_OUT, COMMAND);
	unseen(DIR_IN, VALUE);
	for (int i = 0; i < 4; i++) {
		out(COMMAND);
		in(VALUE);
		while (fixture_event(&p))
			;
		sim_now_ns += 3 * NSEC_PER_SEC;
	}
	out(COMMAND);
	in(VALUE);
	ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->role, APPMON_ROLE_CLIENT);
	/* Of one that is followed from its first byte who speaks first asks. */
	connected(true);
	hint(40000 + (uint32_t)sim_cookie(sk), APPMON_PROTO_RESP);
	out(COMMAND);
	in(VALUE);
	ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->role, APPMON_ROLE_CLIENT);
	nothing();
}
END_TEST

/* Where the two ends' ports say different things, neither counts. */
START_TEST(hints_disagree)
{
	hint(SERVER_PORT, APPMON_PROTO_HTTP1);
	connected(true);
	hint(40000 + (uint32_t)sim_cookie(sk), APPMON_PROTO_RESP);
	out(COMMAND);
	in(VALUE);
	event(APPMON_PROTO_RESP, "GET");
	nothing();
}
END_TEST

/* HTTP/1 where Redis answers: nothing is made of it, also of a port whose listening socket has it
 * first. */
START_TEST(http_hint_of_redis)
{
	hint(SERVER_PORT, APPMON_PROTO_HTTP1);
	for (int i = 0; i < 5; i++) {
		in(COMMAND);
		out(VALUE);
	}
	ck_assert_uint_eq(records, 0);
	ck_assert_uint_eq(sim_skipped(0), 1);
	connected(false);
	sim_listener_packet(sk, 0, COMMAND, strlen(COMMAND));
	next_pos[DIR_IN] = strlen(COMMAND);
	for (int i = 0; i < 5; i++) {
		out(VALUE);
		in(COMMAND);
	}
	nothing();
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 0);
}
END_TEST

/* The inner target says nothing of the port: it is looked at anew. */
START_TEST(hint_of_outer)
{
	hint(SERVER_PORT, APPMON_PROTO_HTTP1);
	in(COMMAND);
	out(VALUE);
	ck_assert_uint_eq(sim_skipped(0), 1);
	inner_target(HTTP1 | RESP);
	in(COMMAND);
	out(VALUE);
	ck_assert_uint_eq(event(APPMON_PROTO_RESP, "GET")->target_id, 2);
	nothing();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		http_alone,	resp_alone,	    nested_asks_for_more, nested_asks_for_less,
		listener,	hint_takes_up,	    hint_of_remote_port,  hint_knows_a_reply,
		hint_of_http,	hint_knows_a_body,  wrong_hint,		  hint_of_client_port,
		hints_disagree, http_hint_of_redis, hint_of_outer,	  NULL};

	return unit_run("protocols", tests, setup, teardown);
}
