/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RESP from packets to events. What is expected comes from the protocol's specification
 * (redis.io, "Redis serialization protocol") and the public header.
 */
#include <stdio.h>
#include <string.h>

#include "pipeline.h"
#include "sim.h"
#include "unit.h"

static struct pipeline p;
static struct sim_socket *sk;
static uint64_t next_pos[2];
static const struct appmon_event *ev;

static void setup(void)
{
	static const struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_RESP};
	struct sim_opts so = {.target = 1, .capture = 4096};

	pipeline_init(&p, &opts);
	sim_start(&so);
	sk = sim_connect(false, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
}

static void teardown(void)
{
	ck_assert(pipeline_adds_up(&p));
	sim_forget(sk);
	sim_stop();
	pipeline_free(&p);
}

static void packet(int dir, const char *data, size_t len, uint32_t flags)
{
	const void *rec;
	size_t size;

	sim_now_ns += 1000000;
	sim_packet(sk, dir, next_pos[dir], data, (uint32_t)len, flags);
	next_pos[dir] += len;
	while ((rec = sim_record(&size)))
		ck_assert(pipeline_record(&p, rec, size));
	ck_assert(pipeline_adds_up(&p));
}

static void send_bytes(int dir, const char *data, size_t len)
{
	packet(dir, data, len, SIM_PSH);
}

static void in(const char *text)
{
	send_bytes(DIR_IN, text, strlen(text));
}

static void out(const char *text)
{
	send_bytes(DIR_OUT, text, strlen(text));
}

static bool is(struct appmon_str str, const char *text)
{
	return str.len == strlen(text) && !memcmp(str.data, text, str.len);
}

static void event(const char *command, const char *argument, const char *error)
{
	ev = pipeline_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_RESP);
	ck_assert_uint_eq(ev->method, APPMON_METHOD_OTHER);
	ck_assert_msg(is(ev->method_name, command), "%s", ev->method_name.data);
	ck_assert_msg(is(ev->request_target, argument), "%s", ev->request_target.data);
	ck_assert_msg(is(ev->reason, error ? error : ""), "%s", ev->reason.data);
	ck_assert_int_eq(!!(ev->flags & APPMON_EVF_ERROR), !!error);
	ck_assert_uint_eq(ev->status, 0);
	ck_assert_uint_eq(ev->role, APPMON_ROLE_SERVER);
}

static void done(const char *command, const char *argument, const char *error)
{
	event(command, argument, error);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_gt(ev->duration_ns, 0);
}

static void nothing(void)
{
	ck_assert_ptr_null(pipeline_event(&p));
}

START_TEST(one_by_one)
{
	in("*2\r\n$4\r\nLLEN\r\n$6\r\nmylist\r\n");
	out(":48293\r\n");
	done("LLEN", "mylist", NULL);
	ck_assert_uint_eq(ev->request_body_bytes, 26);
	ck_assert_uint_eq(ev->response_body_bytes, 8);
	ck_assert_uint_eq(ev->request_head_bytes + ev->response_head_bytes, 0);
	in("*1\r\n$4\r\nPING\r\n");
	out("+PONG\r\n");
	done("PING", "", NULL);
	in("*2\r\n$3\r\nGET\r\n$1\r\nx\r\n");
	out("$-1\r\n");
	done("GET", "x", NULL);
	in("*2\r\n$3\r\nGET\r\n$1\r\ny\r\n");
	out("$0\r\n\r\n");
	done("GET", "y", NULL);
	in("*1\r\n$6\r\nfoobar\r\n");
	out("-ERR unknown command 'asdf'\r\n");
	done("foobar", "", "ERR unknown command 'asdf'");
	in("PING  hello\r\n"); /* inline, as typed */
	out("$5\r\nhello\r\n");
	done("PING", "hello", NULL);
	nothing();
}
END_TEST

/* Every kind of reply in RESP2 and RESP3, also inside others. */
START_TEST(reply_kinds)
{
	static const char *const reply[] = {
		"*0\r\n",
		"*-1\r\n",
		"*2\r\n$5\r\nhello\r\n$5\r\nworld\r\n",
		"*5\r\n:1\r\n:2\r\n:3\r\n:4\r\n$5\r\nhello\r\n",
		"*2\r\n*3\r\n:1\r\n:2\r\n:3\r\n*2\r\n+Hello\r\n-World\r\n",
		"*3\r\n$5\r\nhello\r\n$-1\r\n$5\r\nworld\r\n",
		"_\r\n",
		"#t\r\n",
		",1.23\r\n",
		"(3492890328409238509324850943850943825024385\r\n",
		"=15\r\ntxt:Some string\r\n",
		"%2\r\n+first\r\n:1\r\n+second\r\n:2\r\n",
		"~5\r\n+a\r\n:1\r\n#f\r\n,2\r\n_\r\n",
		"%1\r\n$1\r\nk\r\n*2\r\n%0\r\n~1\r\n$2\r\n\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(reply) / sizeof(reply[0]); i++) {
		char key[16], command[64];

		snprintf(key, sizeof(key), "k%zu", i);
		snprintf(command, sizeof(command), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key),
			 key);
		in(command);
		/* Whole, then byte by byte. */
		if (i % 2) {
			out(reply[i]);
		} else {
			for (const char *c = reply[i]; *c; c++)
				send_bytes(DIR_OUT, c, 1);
		}
		done("GET", key, NULL);
		ck_assert_uint_eq(ev->response_body_bytes, strlen(reply[i]));
	}
	in("*1\r\n$4\r\nFAIL\r\n");
	out("!21\r\nSYNTAX invalid syntax\r\n");
	done("FAIL", "", "SYNTAX invalid syntax");
}
END_TEST

/* Replies come in the order of the commands, however both are cut. */
START_TEST(pipelined)
{
	const char *commands = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$11\r\n*1\r\n$3\r\nBAD\r\n"
			       "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n";
	const char *answers = "+OK\r\n$11\r\n*1\r\n$3\r\nBAD\r\n-ERR no\r\n";

	for (size_t cut = 1; cut < 30; cut++) {
		for (size_t at = 0; at < strlen(commands); at += cut)
			send_bytes(DIR_IN, commands + at, strnlen(commands + at, cut));
		for (size_t at = 0; at < strlen(answers); at += cut)
			send_bytes(DIR_OUT, answers + at, strnlen(answers + at, cut));
		done("SET", "a", NULL);
		done("GET", "a", NULL);
		ck_assert(ev->flags & APPMON_EVF_PIPELINED);
		done("DEL", "b", "ERR no");
		nothing();
	}
}
END_TEST

/* Strings beyond what is captured are counted. */
START_TEST(large_strings)
{
	static char x[60000];

	memset(x, '*', sizeof(x));
	in("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$3000000\r\n");
	for (int i = 0; i < 50; i++)
		send_bytes(DIR_IN, x, sizeof(x));
	in("\r\n");
	out("+OK\r\n");
	done("SET", "big", NULL);
	ck_assert_uint_eq(ev->request_body_bytes, 32 + 3000002);
	in("*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n");
	out("$3000000\r\n");
	for (int i = 0; i < 50; i++)
		send_bytes(DIR_OUT, x, sizeof(x));
	out("\r\n");
	done("GET", "big", NULL);
	in("*1\r\n$4\r\nPING\r\n");
	out("+PONG\r\n");
	done("PING", "", NULL);
}
END_TEST

/* From SUBSCRIBE on there are messages, not replies; a RESP3 push answers nothing. */
START_TEST(messages)
{
	in("*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
	out(">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n");
	nothing();
	out("$1\r\nv\r\n");
	done("GET", "a", NULL);
	in("*2\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n");
	out("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
	event("subscribe", "news", NULL);
	ck_assert_uint_eq(ev->end, APPMON_END_UPGRADED);
	out("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
	nothing();
}
END_TEST

/* A record that was lost: nothing is paired wrongly, and the connection is taken up again. */
START_TEST(lost)
{
	in("*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
	sim_lose = 1;
	out("$1\r\n1\r\n");
	in("*2\r\n$3\r\nGET\r\n$1\r\nb\r\n");
	event("GET", "a", NULL);
	ck_assert_uint_eq(ev->end, APPMON_END_GAP);
	out("$1\r\n2\r\n");
	nothing();
	/* How many wait for a reply nobody knows, until it was silent. */
	in("*2\r\n$3\r\nGET\r\n$1\r\nx\r\n");
	out("$1\r\n2\r\n");
	nothing();
	ck_assert_uint_ge(p.mon.stats.dropped[APPMON_DROP_GAP], 1);
	sim_now_ns += 3 * NSEC_PER_SEC;
	in("*2\r\n$3\r\nGET\r\n$1\r\nc\r\n");
	out("$1\r\n3\r\n");
	done("GET", "c", NULL);
}
END_TEST

START_TEST(not_resp)
{
	in("*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
	out("HTTP/1.1 400 Bad Request\r\n\r\n");
	event("GET", "a", NULL);
	ck_assert_uint_eq(ev->end, APPMON_END_GAP);
	nothing();
}
END_TEST

START_TEST(closed)
{
	in("*1\r\n$4\r\nQUIT\r\n");
	packet(DIR_OUT, NULL, 0, SIM_FIN);
	event("QUIT", "", NULL);
	ck_assert_uint_eq(ev->end, APPMON_END_CLOSED);
	ck_assert(ev->flags & APPMON_EVF_NO_RESPONSE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {one_by_one, reply_kinds, pipelined, large_strings, messages,
				      lost,	  not_resp,    closed,	  NULL};

	return unit_run("resp", tests, setup, teardown);
}
