/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RESP from packets to events. What is expected comes from the protocol's specification
 * (redis.io, "Redis serialization protocol") and the public header.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2];
static const struct appmon_event *ev;

/* The password of all scenes. */
static void secretive(const char *line)
{
	ck_assert_msg(!strstr(line, "hunter2"), "the log says: %s", line);
}

static void setup(void)
{
	static const struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_RESP};
	struct sim_opts so = {.target = 1, .capture = 4096};

	fixture_init(&p, &opts);
	p.line = secretive;
	sim_start(&so);
	sk = sim_connect(false, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	sim_forget(sk);
	sim_stop();
	fixture_free(&p);
}

static void packet(int dir, const char *data, size_t len, uint32_t flags)
{
	const void *rec;
	size_t size;

	sim_now_ns += 1000000;
	sim_packet(sk, dir, next_pos[dir], data, (uint32_t)len, flags);
	next_pos[dir] += len;
	while ((rec = sim_record(&size)))
		ck_assert(fixture_record(&p, rec, size));
	ck_assert(fixture_adds_up(&p));
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
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_RESP);
	ck_assert(is(ev->system, "redis"));
	ck_assert_msg(is(ev->operation, command), "%s", ev->operation.data);
	ck_assert_msg(is(ev->resource, argument), "%s", ev->resource.data);
	ck_assert_msg(is(ev->message, error ? error : ""), "%s", ev->message.data);
	/* HTTP's own members are empty. */
	ck_assert(is(ev->request_target, "") && is(ev->path, "") && is(ev->authority, ""));
	ck_assert(!ev->method && !ev->status && !ev->request_body_bytes &&
		  !ev->response_body_bytes);
	ck_assert_int_eq(ev->status_number, -1);
	ck_assert_uint_eq(ev->role, APPMON_ROLE_SERVER);
}

static void done(const char *command, const char *argument, const char *error)
{
	event(command, argument, error);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_gt(ev->duration_ns, 0);
	ck_assert_int_eq(ev->outcome == APPMON_OUTCOME_OK, !error);
}

static void nothing(void)
{
	ck_assert_ptr_null(fixture_event(&p));
}

START_TEST(one_by_one)
{
	in("*2\r\n$4\r\nLLEN\r\n$6\r\nmylist\r\n");
	out(":48293\r\n");
	done("LLEN", "mylist", NULL);
	ck_assert_uint_eq(ev->request_bytes, 26);
	ck_assert_uint_eq(ev->response_bytes, 8);
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
		ck_assert_uint_eq(ev->response_bytes, strlen(reply[i]));
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
	ck_assert_uint_eq(ev->request_bytes, 32 + 3000002);
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
	ck_assert_uint_ge(p.pl.stats.dropped[APPMON_DROP_GAP], 1);
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

/* Not even where the segment ends with the line. */
START_TEST(not_resp_by_the_line)
{
	in("*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
	out("hello\r\n");
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

/* ---- what is never told ---------------------------------------------------------------- */

static void ask(const char *const words[])
{
	char text[2048];
	size_t n = 0, at;

	while (words[n])
		n++;
	at = (size_t)snprintf(text, sizeof(text), "*%zu\r\n", n);
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "$%zu\r\n%s\r\n",
				       strlen(words[i]), words[i]);
	send_bytes(DIR_IN, text, at);
}

#define ASK(...) ask((const char *const[]){__VA_ARGS__, NULL})

/* Passwords are the arguments of these, or stand behind the first; an error may repeat them. */
START_TEST(secrets)
{
	ASK("AUTH", "hunter2");
	out("+OK\r\n");
	done("AUTH", "", NULL);
	ASK("auth", "user", "hunter2");
	out("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
	done("auth", "", "WRONGPASS invalid username-password pair or user is disabled.");
	in("AUTH hunter2\r\n");
	out("+OK\r\n");
	done("AUTH", "", NULL);
	in(" \tAuth\thunter2 x\r\n");
	out("+OK\r\n");
	done("Auth", "", NULL);
	in("\"\\x41UT\"H hunter2\r\n"); /* refused by Redis: the quote has more behind it */
	out("-ERR Protocol error: unbalanced quotes in request\r\n");
	event("", "", "ERR Protocol error");
	ck_assert(ev->flags & APPMON_EVF_MALFORMED);
	sim_now_ns += 3 * NSEC_PER_SEC;
	ASK("PING");
	out("+PONG\r\n");
	done("PING", "", NULL);
	in("\"\\x41UTH\" 'hunter2'\r\n");
	out("+OK\r\n");
	done("AUTH", "", NULL);
	in("'auth' \"hunter2\"\n");
	out("+OK\r\n");
	done("auth", "", NULL);
	ASK("HELLO", "3", "AUTH", "user", "hunter2", "SETNAME", "me");
	out("-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `user`, "
	    "`hunter2`, \r\n");
	done("HELLO", "", "ERR unknown command ");
	ASK("HELLO", "hunter2");
	out("-NOPROTO unsupported protocol version\r\n");
	done("HELLO", "", "NOPROTO unsupported protocol version");
	ASK("MULTI");
	out("+OK\r\n");
	done("MULTI", "", NULL);
	ASK("AUTH", "hunter2");
	out("+QUEUED\r\n");
	done("AUTH", "", NULL);
	ASK("EXEC");
	out("*1\r\n-ERR hunter2\r\n");
	done("EXEC", "", NULL);
	ASK("CONFIG", "SET", "maxmemory", "1", "requirepass", "hunter2", "masterauth", "hunter2");
	out("-ERR CONFIG SET failed (possibly related to argument 'hunter2') - no\r\n");
	done("CONFIG", "SET", "ERR CONFIG SET failed (possibly related to argument ");
	ASK("ACL", "SETUSER", "me", "on", ">hunter2");
	out("-ERR Error in ACL SETUSER modifier '>hunter2': Syntax error\r\n");
	done("ACL", "SETUSER", "ERR Error in ACL SETUSER modifier ");
	ASK("MIGRATE", "host", "6379", "", "0", "5000", "AUTH2", "user", "hunter2", "KEYS", "k");
	out("-ERR Target instance replied with error: hunter2\r\n");
	done("MIGRATE", "host", "ERR Target instance replied with error");
	/* What an unknown command's first argument is, is told like any other's. */
	ASK("AUHT", "user", "hunter2");
	out("-ERR unknown command 'AUHT', with args beginning with: 'user' 'hunter2' \r\n");
	done("AUHT", "user", "ERR unknown command 'AUHT', with args beginning with: 'user' ");
	ASK("AUHT", "user", "hunter2");
	out("-ERR unknown command 'AUHT', with args beginning with: user hunter2\r\n");
	done("AUHT", "user", "ERR unknown command 'AUHT', with args beginning with: user ");
	ASK("AUHT", "user", "hunter2");
	out("!71\r\nERR unknown command `AUHT`, with args beginning with: `user`, `hunter2`\r\n");
	done("AUHT", "user", "ERR unknown command `AUHT`, with args beginning with: `user`");
}
END_TEST

/* A command's name of which bytes are missing may be AUTH. */
START_TEST(secret_in_pieces)
{
	const char *command = "*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n";

	ASK("PING");
	out("+PONG\r\n");
	done("PING", "", NULL);
	for (const char *c = command; *c; c++)
		send_bytes(DIR_IN, c, 1);
	out("+OK\r\n");
	done("AUTH", "", NULL);
	send_bytes(DIR_IN, command, 10);
	sim_lose = 1;
	send_bytes(DIR_IN, command + 10, 4);
	send_bytes(DIR_IN, command + 14, strlen(command) - 14);
	out("+OK\r\n");
	while ((ev = fixture_event(&p)))
		ck_assert_ptr_null(strstr(ev->resource.data, "hunter2"));
}
END_TEST

/* ---- outcomes --------------------------------------------------------------------------- */

/* The prefixes are those of Redis's own error statistics (INFO errorstats). */
START_TEST(outcomes)
{
	static const struct {
		const char *reply, *prefix;
		uint32_t outcome;
	} table[] = {
		{"+OK", "", APPMON_OUTCOME_OK},
		{"$-1", "", APPMON_OUTCOME_OK},
		{"-ERR syntax error", "ERR", APPMON_OUTCOME_CLIENT_ERROR},
		{"-WRONGTYPE Operation against a key", "WRONGTYPE", APPMON_OUTCOME_CLIENT_ERROR},
		{"-NOAUTH Authentication required.", "NOAUTH", APPMON_OUTCOME_CLIENT_ERROR},
		{"-LOADING Redis is loading the dataset in memory", "LOADING",
		 APPMON_OUTCOME_SERVER_ERROR},
		{"-OOM command not allowed", "OOM", APPMON_OUTCOME_SERVER_ERROR},
		{"-CLUSTERDOWN", "CLUSTERDOWN", APPMON_OUTCOME_SERVER_ERROR},
		{"-BUSYKEY Target key name already exists.", "BUSYKEY",
		 APPMON_OUTCOME_CLIENT_ERROR},
		{"-MOVED 3999 127.0.0.1:6381", "MOVED", APPMON_OUTCOME_OK},
		{"-what a script says", "", APPMON_OUTCOME_CLIENT_ERROR},
		{"-", "", APPMON_OUTCOME_CLIENT_ERROR},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *reply = table[i].reply;
		bool error = *reply == '-';

		ASK("GET", "k");
		out(reply);
		out("\r\n");
		event("GET", "k", error ? reply + 1 : NULL);
		ck_assert_msg(is(ev->status_text, table[i].prefix), "%s", ev->status_text.data);
		ck_assert_msg(ev->outcome == table[i].outcome, "%s: %u", reply, ev->outcome);
	}
}
END_TEST

/* The kinds are those of Redis's table of commands. */
START_TEST(operation_types)
{
	static const struct {
		const char *command;
		uint32_t type;
	} table[] = {{"get", APPMON_OP_READ},	       {"ZUNION", APPMON_OP_READ},
		     {"Bitcount", APPMON_OP_READ},     {"APPEND", APPMON_OP_WRITE},
		     {"zunionstore", APPMON_OP_WRITE}, {"eval", APPMON_OP_CALL},
		     {"PUBLISH", APPMON_OP_PUBLISH},   {"SELECT", APPMON_OP_SESSION},
		     {"INFO", APPMON_OP_OTHER},	       {"NOSUCH", APPMON_OP_OTHER}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		ASK(table[i].command, "k");
		out("+OK\r\n");
		event(table[i].command, "k", NULL);
		ck_assert_msg(ev->operation_type == table[i].type, "%s", table[i].command);
	}
}
END_TEST

/* ---- values ---------------------------------------------------------------------------- */

/* COMMAND DOCS of Redis 7 is 12 deep; a bound would be no good. */
START_TEST(deep_replies)
{
	static char reply[40000];
	size_t at = 0;

	for (int i = 0; i < 1000; i++)
		at += (size_t)sprintf(reply + at, "*3\r\n:1\r\n*0\r\n%%1\r\n+k\r\n");
	at += (size_t)sprintf(reply + at, "+end\r\n");
	ASK("COMMAND", "DOCS");
	for (size_t i = 0; i < at; i += 777)
		send_bytes(DIR_OUT, reply + i, at - i < 777 ? at - i : 777);
	done("COMMAND", "DOCS", NULL);
	ck_assert_uint_eq(ev->response_bytes, at);
	ASK("PING");
	out("+PONG\r\n");
	done("PING", "", NULL);
	nothing();
}
END_TEST

/* The rest of RESP3 (github.com/redis/redis-specifications, protocol/RESP3.md). */
START_TEST(resp3_kinds)
{
	static const char *const reply[] = {
		("|1\r\n+key-popularity\r\n%2\r\n$1\r\na\r\n,0.1923\r\n$1\r\nb\r\n,0.0012\r\n"
		 "*2\r\n:2039123\r\n:9543892\r\n"),
		"*3\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:3600\r\n:3\r\n",
		"|1\r\n+a\r\n|1\r\n+b\r\n:1\r\n*1\r\n:1\r\n+OK\r\n",
		"|0\r\n:1\r\n",
		"$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n",
		"*?\r\n:1\r\n:2\r\n:3\r\n.\r\n",
		"%?\r\n+a\r\n:1\r\n+b\r\n*2\r\n:1\r\n*?\r\n$?\r\n;0\r\n.\r\n.\r\n",
		"*2\r\n~?\r\n*2\r\n:1\r\n*0\r\n.\r\n:2\r\n",
		"*?\r\n|1\r\n+a\r\n:1\r\n:2\r\n.\r\n",
		",inf\r\n",
		",-inf\r\n",
		",nan\r\n",
		"#f\r\n",
		"(-3492890328409238509324850943850943825024385\r\n",
		"=8\r\nmkd:*1\r\n\r\n",
		"*-1\r\n",
		"~0\r\n",
		"%0\r\n",
		"*1\r\n!5\r\nERR x\r\n",
		"*2\r\n*1\r\n*1\r\n*1\r\n*0\r\n#t\r\n",
	};

	for (size_t i = 0; i < sizeof(reply) / sizeof(reply[0]); i++) {
		ASK("GET", "a");
		out(reply[i]);
		done("GET", "a", NULL);
		ck_assert_uint_eq(ev->response_bytes, strlen(reply[i]));
		ASK("GET", "b");
		for (const char *c = reply[i]; *c; c++)
			send_bytes(DIR_OUT, c, 1);
		done("GET", "b", NULL);
		nothing();
	}
	ASK("GET", "c");
	out("|1\r\n+a\r\n:1\r\n-ERR no\r\n");
	done("GET", "c", "ERR no");
}
END_TEST

/* Redis reads on behind these without a word. */
START_TEST(no_commands)
{
	in("\r\n*0\r\n*-1\r\n\r\n\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n\r\n");
	out("$1\r\n1\r\n");
	done("GET", "a", NULL);
	ck_assert_uint_eq(ev->request_bytes, 20);
	in("  \r\n");
	in("*0\r\n");
	ASK("GET", "b");
	out("-ERR b\r\n");
	done("GET", "b", "ERR b");
	nothing();
}
END_TEST

/* ---- which reply is whose --------------------------------------------------------------- */

/* Nothing is answered, as the client wants it. */
static void silent(const char *command, const char *argument)
{
	event(command, argument, NULL);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert(!(ev->flags & APPMON_EVF_NO_RESPONSE));
	ck_assert_uint_eq(ev->response_bytes, 0);
}

START_TEST(client_reply)
{
	/* Of the three the last has a reply. */
	in("*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$"
	   "1\r\n1\r\n"
	   "*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
	silent("CLIENT", "REPLY");
	silent("SET", "a");
	out("$1\r\n1\r\n");
	done("GET", "a", NULL);
	ASK("GET", "b");
	out("-ERR b\r\n");
	done("GET", "b", "ERR b");
	ASK("client", "reply", "off");
	silent("client", "reply");
	ASK("SET", "a", "1");
	silent("SET", "a");
	ASK("MULTI");
	silent("MULTI", "");
	ASK("SET", "a", "1");
	silent("SET", "a");
	ASK("EXEC");
	silent("EXEC", "");
	in("client reply on\r\n");
	out("+OK\r\n");
	done("client", "reply", NULL);
	ASK("GET", "c");
	out("-ERR c\r\n");
	done("GET", "c", "ERR c");
	/* No such word: an error. */
	ASK("CLIENT", "REPLY", "MAYBE");
	out("-ERR syntax error\r\n");
	done("CLIENT", "REPLY", "ERR syntax error");
	/* Refused. */
	ASK("CLIENT", "REPLY", "OFF");
	silent("CLIENT", "REPLY");
	out("-NOAUTH Authentication required.\r\n");
	ASK("GET", "d");
	out("-NOAUTH Authentication required.\r\n");
	done("GET", "d", "NOAUTH Authentication required.");
	/* RESET turns them on. */
	ASK("CLIENT", "REPLY", "OFF");
	silent("CLIENT", "REPLY");
	ASK("RESET");
	out("+RESET\r\n");
	done("RESET", "", NULL);
	ASK("GET", "e");
	out("-ERR e\r\n");
	done("GET", "e", "ERR e");
	nothing();
}
END_TEST

static void upgraded(const char *command, const char *argument)
{
	event(command, argument, NULL);
	ck_assert_uint_eq(ev->end, APPMON_END_UPGRADED);
}

START_TEST(subscriptions)
{
	ASK("SUBSCRIBE", "a", "b", "c");
	out("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
	out("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
	nothing();
	out("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:3\r\n");
	upgraded("SUBSCRIBE", "a");
	ASK("PING");
	out("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	done("PING", "", NULL);
	ASK("PSUBSCRIBE", "p*", "q*");
	out("*3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:4\r\n*4\r\n$8\r\npmessage\r\n$2\r\np*\r\n"
	    "$2\r\npq\r\n$1\r\nx\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\nq*\r\n:5\r\n");
	upgraded("PSUBSCRIBE", "p*");
	ASK("GET", "x");
	out("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n-ERR Can't execute 'get'\r\n");
	done("GET", "x", "ERR Can't execute 'get'");
	/* All channels, then the rest; pipelined. */
	in("*1\r\n$11\r\nUNSUBSCRIBE\r\n*1\r\n$12\r\nPUNSUBSCRIBE\r\n*1\r\n$11\r\nUNSUBSCRIBE\r\n"
	   "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
	out("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:4\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:"
	    "3\r\n"
	    "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:2\r\n");
	done("UNSUBSCRIBE", "", NULL);
	out("*3\r\n$12\r\npunsubscribe\r\n$2\r\np*\r\n:1\r\n*3\r\n$12\r\npunsubscribe\r\n$2\r\nq*"
	    "\r\n:0\r\n");
	done("PUNSUBSCRIBE", "", NULL);
	out("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n-ERR late\r\n");
	done("UNSUBSCRIBE", "", NULL);
	done("GET", "k", "ERR late");
	/* Not subscribed: this is a list. */
	ASK("LRANGE", "l", "0", "-1");
	out("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
	done("LRANGE", "l", NULL);
	ASK("SSUBSCRIBE", "s", "t");
	out("*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n*3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$"
	    "1\r\nx\r\n"
	    "*3\r\n$10\r\nssubscribe\r\n$1\r\nt\r\n:2\r\n");
	upgraded("SSUBSCRIBE", "s");
	ASK("SUNSUBSCRIBE", "s", "t");
	out("*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:1\r\n*3\r\n$12\r\nsunsubscribe\r\n$"
	    "1\r\nt\r\n:0\r\n");
	done("SUNSUBSCRIBE", "s", NULL);
	/* Refused as a whole. */
	ASK("SUBSCRIBE", "a", "b");
	out("-NOPERM no\r\n");
	done("SUBSCRIBE", "a", "NOPERM no");
	ASK("PING");
	out("+PONG\r\n");
	done("PING", "", NULL);
	nothing();
}
END_TEST

START_TEST(subscriptions_resp3)
{
	ASK("HELLO", "3");
	out("%1\r\n$5\r\nproto\r\n:3\r\n");
	done("HELLO", "", NULL);
	in("*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
	out(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
	    ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$"
	    "1\r\nx\r\n"
	    ">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n-ERR k\r\n");
	upgraded("SUBSCRIBE", "a");
	done("GET", "k", "ERR k");
	/* A list: messages are pushes. */
	ASK("LRANGE", "l", "0", "-1");
	out(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$"
	    "2\r\nhi\r\n");
	done("LRANGE", "l", NULL);
	ASK("UNSUBSCRIBE");
	out(">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:"
	    "0\r\n");
	done("UNSUBSCRIBE", "", NULL);
	/* The server ends one of its own accord (a slot moves). */
	ASK("SSUBSCRIBE", "s");
	out(">3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n");
	upgraded("SSUBSCRIBE", "s");
	ASK("GET", "k");
	out(">3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n$-1\r\n");
	done("GET", "k", NULL);
	ASK("HELLO", "2");
	out("*2\r\n$5\r\nproto\r\n:2\r\n");
	done("HELLO", "", NULL);
	ASK("SUBSCRIBE", "a");
	out("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
	upgraded("SUBSCRIBE", "a");
	ASK("RESET");
	out("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n+RESET\r\n");
	done("RESET", "", NULL);
	ASK("LRANGE", "l", "0", "-1");
	out("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
	done("LRANGE", "l", NULL);
	nothing();
}
END_TEST

/* As Redis 7 does it: EXEC's array says one value for SUBSCRIBE, and has one for each channel. */
START_TEST(subscribe_in_multi)
{
	in("*1\r\n$5\r\nMULTI\r\n*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n"
	   "*2\r\n$11\r\nUNSUBSCRIBE\r\n$1\r\na\r\n*1\r\n$12\r\nPUNSUBSCRIBE\r\n*1\r\n$"
	   "4\r\nEXEC\r\n"
	   "*1\r\n$4\r\nPING\r\n");
	out("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
	done("MULTI", "", NULL);
	done("SUBSCRIBE", "a", NULL);
	done("UNSUBSCRIBE", "a", NULL);
	done("PUNSUBSCRIBE", "", NULL);
	out("*3\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:"
	    "2\r\n"
	    "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n");
	nothing();
	out("*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:1\r\n");
	done("EXEC", "", NULL);
	out("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	done("PING", "", NULL);
	ASK("UNSUBSCRIBE");
	out("*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n");
	done("UNSUBSCRIBE", "", NULL);
	ASK("HELLO", "3");
	out("%1\r\n$5\r\nproto\r\n:3\r\n");
	done("HELLO", "", NULL);
	in("*1\r\n$5\r\nMULTI\r\n*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$"
	   "3\r\nGET\r\n$1\r\nk\r\n"
	   "*1\r\n$4\r\nEXEC\r\n*2\r\n$3\r\nGET\r\n$1\r\nz\r\n");
	out("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
	    ">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$"
	    "1\r\nx\r\n");
	done("MULTI", "", NULL);
	done("SUBSCRIBE", "a", NULL);
	done("GET", "k", NULL);
	nothing();
	out("$-1\r\n-ERR z\r\n");
	done("EXEC", "", NULL);
	done("GET", "z", "ERR z");
	/* Undone. */
	in("*1\r\n$5\r\nMULTI\r\n*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$"
	   "7\r\nDISCARD\r\n"
	   "*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nEXEC\r\n*2\r\n$"
	   "3\r\nGET\r\n$1\r\nz\r\n");
	out("+OK\r\n+QUEUED\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n-ERR z\r\n");
	for (int i = 0; i < 6; i++)
		ck_assert_ptr_nonnull(fixture_event(&p));
	done("GET", "z", "ERR z");
	nothing();
}
END_TEST

START_TEST(monitor)
{
	ASK("MONITOR");
	out("+OK\r\n");
	upgraded("MONITOR", "");
	out("+1339518083.107412 [0 127.0.0.1:60866] \"keys\" \"*\"\r\n");
	ASK("PING");
	out("+1339518083.207412 [0 127.0.0.1:60866] \"ping\"\r\n+PONG\r\n");
	done("PING", "", NULL);
	ck_assert_uint_eq(ev->response_bytes, 7);
	ASK("RESET");
	out("+RESET\r\n");
	done("RESET", "", NULL);
	ASK("GET", "a");
	out("-ERR a\r\n");
	done("GET", "a", "ERR a");
	nothing();
}
END_TEST

/* A replica's connection is a stream from here on, also where it begins with "$EOF:". */
START_TEST(replicas)
{
	in("PSYNC ? -1\r\n");
	out("+FULLRESYNC 8de1787ba490483314a4d30f1c628bc5025eb761 0\r\n");
	upgraded("PSYNC", "?");
	out("$EOF:8de1787ba490483314a4d30f1c628bc5025eb761\r\nREDIS0009");
	in("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n1\r\n");
	nothing();
}
END_TEST

/* ---- the first command --------------------------------------------------------------------- */

START_TEST(inline_first)
{
	in("PING\r\n");
	out("+PONG\r\n");
	done("PING", "", NULL);
	in("QUIT\r\n");
	out("+OK\r\n");
	done("QUIT", "", NULL);
	nothing();
}
END_TEST

START_TEST(inline_first_small)
{
	in("ping\r\nget key\r\n");
	out("+PONG\r\n$-1\r\n");
	done("ping", "", NULL);
	done("get", "key", NULL);
	nothing();
}
END_TEST

START_TEST(inline_first_secret)
{
	in("AUTH hunter2\r\nPING\r\n");
	out("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
	done("AUTH", "", "WRONGPASS invalid username-password pair or user is disabled.");
	out("-NOAUTH Authentication required.\r\n");
	done("PING", "", "NOAUTH Authentication required.");
	nothing();
}
END_TEST

START_TEST(blank_line_first)
{
	in("\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
	out("$-1\r\n");
	done("GET", "k", NULL);
	in("GET k\r\n");
	out(":1\r\n");
	done("GET", "k", NULL);
	nothing();
}
END_TEST

START_TEST(blank_line_apart)
{
	in("\r\n");
	in("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
	out("$-1\r\n");
	done("GET", "k", NULL);
	nothing();
}
END_TEST

/* Its command is counted, its reply is not. */
START_TEST(target_detached)
{
	p.pl.target[0] = NULL;
	ASK("GET", "a");
	out("$-1\r\n");
	nothing();
	ck_assert_uint_eq(p.pl.stats.dropped[APPMON_DROP_DETACHED], 1);
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 1);
	p.pl.target[0] = &p.target[0];
}
END_TEST

/* Byte by byte: until the line is whole it may be HTTP's. */
START_TEST(first_in_pieces)
{
	static const char *const first[] = {"PING\r\n", "ping\r\n", "\r\nPING\n",
					    "\r\n*1\r\n$4\r\nPING\r\n"};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		for (const char *c = first[i]; *c; c++)
			send_bytes(DIR_IN, c, 1);
		out("+PONG\r\n");
		ev = fixture_event(&p);
		ck_assert_msg(ev && !strcasecmp(ev->operation.data, "ping"), "%zu", i);
		ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
		ASK("GET", "a");
		out("-ERR a\r\n");
		done("GET", "a", "ERR a");
		nothing();
		teardown();
		setup();
	}
}
END_TEST

/* Attached before a reply that looks like a command. */
START_TEST(attached_before_reply)
{
	static const char *const reply[] = {
		"*2\r\n$1\r\n0\r\n*1\r\n$3\r\nkey\r\n", /* SCAN */
		"*2\r\n$-1\r\n$3\r\nkey\r\n", "*2\r\n$7\r\na b c d\r\n$1\r\nx\r\n",
		"*1\r\n$3\r\nkey\r\n", /* as good as a command */
	};

	for (size_t i = 0; i < sizeof(reply) / sizeof(reply[0]); i++) {
		sim_detached = true;
		ASK("LRANGE", "l", "0", "-1");
		sim_detached = false;
		out(reply[i]);
		nothing();
		for (int k = 0; k < 4; k++) {
			sim_now_ns += 3 * NSEC_PER_SEC;
			ASK("GET", "a");
			out("-ERR a\r\n");
			while (fixture_event(&p))
				;
		}
		ASK("GET", "b");
		out("-ERR b\r\n");
		done("GET", "b", "ERR b");
		nothing();
		teardown();
		setup();
	}
}
END_TEST

/* With RESP asked for, HTTP is still HTTP. */
START_TEST(http_beside)
{
	static const char first[] = "GET /key HTTP/1.1\r\nHost: a\r\n\r\n";

	for (const char *c = first; *c; c++)
		send_bytes(DIR_IN, c, 1);
	out("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->status, 200);
	for (int i = 0; i < 3; i++) {
		in(i == 1 ? "GET /key HTTP/1.1\r\nHost: a\r\n\r\n"
			  : "PUT /key HTTP/1.0\r\nContent-Length: 4\r\n\r\n*1\r\n");
		out("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n+OK\r");
		ev = fixture_event(&p);
		ck_assert_ptr_nonnull(ev);
		ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP1);
		ck_assert_uint_eq(ev->status, 200);
		ck_assert(is(ev->request_target, "/key"));
	}
	nothing();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {one_by_one,
				      reply_kinds,
				      pipelined,
				      large_strings,
				      messages,
				      lost,
				      not_resp,
				      not_resp_by_the_line,
				      closed,
				      secrets,
				      outcomes,
				      operation_types,
				      secret_in_pieces,
				      deep_replies,
				      resp3_kinds,
				      no_commands,
				      client_reply,
				      subscriptions,
				      subscriptions_resp3,
				      subscribe_in_multi,
				      monitor,
				      replicas,
				      inline_first,
				      inline_first_small,
				      inline_first_secret,
				      blank_line_first,
				      blank_line_apart,
				      target_detached,
				      first_in_pieces,
				      attached_before_reply,
				      http_beside,
				      NULL};

	return unit_run("resp", tests, setup, teardown);
}
