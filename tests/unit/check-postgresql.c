/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PostgreSQL from records to events. The bytes are those of the manual's chapter 55,
 * "Frontend/Backend Protocol": its message formats, and the flows of section 55.2.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "talk.h"

/* The password and the literal of all scenes. */
static void secretive(const char *line)
{
	ck_assert_msg(!strstr(line, "hunter2"), "the log says: %s", line);
}

static void setup_with(uint32_t flags)
{
	struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_POSTGRESQL, .flags = flags};

	talk_begin(&opts);
	if (!(flags & APPMON_OPEN_QUERY_TEXT))
		p.line = secretive;
}

static void setup(void)
{
	setup_with(APPMON_OPEN_TRACE);
}

static void teardown(void)
{
	talk_end();
}

static char built[1 << 25];
static uint32_t built_len;

/* A message: its type (0: none), then what the format says: 's' a string with NUL, 'i' 32 bits, 'h'
 * 16 bits, 'b' a byte. */
static void put(char type, const char *format, ...)
{
	uint32_t at = built_len, len;
	va_list args;

	va_start(args, format);
	if (type)
		built[at++] = type;
	at += 4;
	for (; *format; format++) {
		const char *s;
		uint32_t n;

		switch (*format) {
		case 's':
			s = va_arg(args, const char *);
			strcpy(built + at, s);
			at += (uint32_t)strlen(s) + 1;
			break;
		case 'i':
			n = va_arg(args, uint32_t);
			for (int i = 3; i >= 0; i--)
				built[at++] = (char)(n >> 8 * i);
			break;
		case 'h':
			n = va_arg(args, uint32_t);
			built[at++] = (char)(n >> 8);
			built[at++] = (char)n;
			break;
		default:
			built[at++] = (char)va_arg(args, int);
		}
	}
	va_end(args);
	len = at - built_len - (type ? 1 : 0);
	for (int i = 0; i < 4; i++)
		built[built_len + (type ? 1 : 0) + (uint32_t)i] = (char)(len >> (24 - 8 * i));
	built_len = at;
}

static void send_to(int dir)
{
	message(dir, built, built_len);
	built_len = 0;
}

static void in(void)
{
	send_to(DIR_IN);
}

static void out(void)
{
	send_to(DIR_OUT);
}

static void startup(void)
{
	put(0, "issssb", 196608, "user", "alice", "database", "shop", 0);
	in();
}

static void ready(void)
{
	put('Z', "b", 'I');
}

static void row(const char *value)
{
	put('D', "his", 1, (uint32_t)strlen(value) + 1, value);
}

static void error(const char *code, const char *text)
{
	put('E', "bsbsbsbsb", 'S', "ERROR", 'V', "ERROR", 'C', code, 'M', text, 0);
}

static bool is(struct appmon_str str, const char *text)
{
	return str.len == strlen(text) && !memcmp(str.data, text, str.len);
}

static void event(const char *summary, const char *text, uint32_t outcome)
{
	ev = fixture_event(&p);
	ck_assert_msg(ev != NULL, "no event for %s", summary);
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_POSTGRESQL);
	ck_assert(is(ev->system, "postgresql"));
	ck_assert_msg(is(ev->query_summary, summary) || is(ev->operation, summary), "%s, not %s",
		      ev->query_summary.data, summary);
	ck_assert_msg(is(ev->query_text, text), "%s", ev->query_text.data);
	ck_assert_uint_eq(ev->outcome, outcome);
	ck_assert_uint_eq(ev->role, mirrored ? APPMON_ROLE_CLIENT : APPMON_ROLE_SERVER);
	ck_assert_int_eq(ev->status_number, -1);
}

static void done(const char *summary, const char *text, int64_t items)
{
	event(summary, text, APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_gt(ev->response_end_ns, 0);
	ck_assert_int_eq(ev->response_items, items);
}

static void nothing(void)
{
	ev = fixture_event(&p);
	ck_assert_msg(!ev, "%s", ev ? ev->operation.data : "");
}

/* 55.2.1 with a password. */
static void log_in(void)
{
	startup();
	put('R', "ii", 5, 0x12345678);
	out();
	put('p', "s", "hunter2");
	in();
	put('R', "i", 0);
	put('S', "ss", "server_version", "15.6");
	put('S', "ss", "standard_conforming_strings", "on");
	put('K', "ii", 1234, 5678);
	ready();
	out();
	event("CONNECT", "", APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert(is(ev->resource_namespace, "shop"));
	ck_assert_uint_eq(ev->operation_type, APPMON_OP_SESSION);
	nothing();
}

/* 55.2.2 */
static void simple(void)
{
	put('Q', "s", "SELECT name FROM users WHERE id = 17 AND pass = 'hunter2'");
	in();
	put('T', "hsihihih", 1, "name", 16385, 1, 25, 65535, -1, 0);
	row("bob");
	row("carol");
	put('C', "s", "SELECT 2");
	ready();
	out();
	done("SELECT users", "SELECT name FROM users WHERE id = ? AND pass = ?", 2);
	ck_assert(is(ev->operation, "SELECT") && is(ev->resource, "users"));
	ck_assert(is(ev->resource_namespace, fresh ? "shop" : ""));
	ck_assert_uint_eq(ev->operation_type, APPMON_OP_READ);
	ck_assert_uint_ne(ev->digest, 0);
	ck_assert_uint_eq(ev->request_bytes, 5 + 58);
	ck_assert_uint_ge(ev->first_item_ns, ev->response_start_ns);
	ck_assert_uint_le(ev->first_item_ns, ev->response_end_ns);
	ck_assert(!ev->query_text.truncated);
	nothing();
}

START_TEST(simple_query)
{
	log_in();
	simple();
	put('Q', "s", "INSERT INTO t VALUES (1); DELETE FROM u");
	in();
	put('C', "s", "INSERT 0 1");
	put('C', "s", "DELETE 5");
	ready();
	out();
	done("INSERT t u", "INSERT INTO t VALUES (?); DELETE FROM u", 6);
	ck_assert(ev->flags & APPMON_EVF_MULTI);
	put('Q', "s", "");
	in();
	put('I', "");
	ready();
	out();
	done("", "", -1);
	put('Q', "s", "CREATE TABLE t (a int)");
	in();
	put('N', "bsbsb", 'S', "NOTICE", 'M', "a notice", 0);
	put('C', "s", "CREATE TABLE");
	ready();
	out();
	done("CREATE t", "CREATE TABLE t (a int)", -1);
	ck_assert_uint_eq(ev->first_item_ns, 0);
	nothing();
}
END_TEST

START_TEST(cut_anywhere)
{
	for (cut = 1; cut < 40; cut++) {
		uint32_t piece = cut;

		connection(true);
		/* The first packet tells what is spoken. */
		cut = 0;
		startup();
		cut = piece;
		put('R', "i", 0);
		ready();
		out();
		event("CONNECT", "", APPMON_OUTCOME_OK);
		simple();
	}
}
END_TEST

/* The client's first message met the listening socket, as with deferred accept (pgbouncer): a
 * startup, or a request to encrypt that is refused. */
START_TEST(deferred)
{
	static const uint32_t requests[] = {0, 80877103, 80877104};

	for (int i = 0; i < 6; i++) {
		uint32_t request = requests[i / 2];

		connection(true);
		if (request)
			put(0, "i", request);
		else
			put(0, "issssb", 196608, "user", "alice", "database", "shop", 0);
		sim_listener_packet(sk, 0, built, built_len);
		pos[DIR_IN] = built_len;
		built_len = 0;
		pump();
		if (request) {
			message(DIR_OUT, "N", 1);
			startup();
		}
		if (i & 1) { /* asks for a password */
			put('R', "ii", 5, 0x12345678);
			out();
			put('p', "s", "hunter2");
			in();
		}
		put('R', "i", 0);
		put('S', "ss", "server_version", "1.18.0/bouncer");
		put('K', "ii", 1234, 5678);
		ready();
		out();
		event("CONNECT", "", APPMON_OUTCOME_OK);
		ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
		ck_assert(is(ev->resource_namespace, "shop"));
		nothing();
		simple();
		simple();
	}
}
END_TEST

/* The same of a request to cancel, which has no answer, and of one to encrypt that is granted. */
START_TEST(deferred_alone)
{
	static const char sealed[] = {23, 3, 3, 0, 5, 'a', 'b', 'c', 'd', 'e'};

	put(0, "iii", 80877102, 1234, 5678);
	sim_listener_packet(sk, 0, built, built_len);
	built_len = 0;
	pump();
	event("CANCEL", "", APPMON_OUTCOME_OK);
	nothing();
	connection(true);
	put(0, "i", 80877103);
	sim_listener_packet(sk, 0, built, built_len);
	pos[DIR_IN] = built_len;
	built_len = 0;
	pump();
	message(DIR_OUT, "S", 1);
	message(DIR_IN, "\x16\x03\x01\x00\x05hello", 10);
	event("CONNECT", "", APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->end, APPMON_END_ENCRYPTED);
	for (int i = 0; i < 20; i++) {
		message(DIR_OUT, sealed, sizeof(sealed));
		message(DIR_IN, sealed, sizeof(sealed));
	}
	nothing();
}
END_TEST

START_TEST(errors)
{
	log_in();
	put('Q', "s", "SELECT * FROM nowhere WHERE a = 'hunter2'");
	in();
	error("42P01", "relation \"nowhere\" does not exist, hunter2");
	ready();
	out();
	event("SELECT nowhere", "SELECT * FROM nowhere WHERE a = ?", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->status_text, "42P01") && is(ev->message, ""));
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	put('Q', "s", "SELECT pg_sleep(100)");
	in();
	error("57014", "canceling statement due to user request");
	ready();
	out();
	event("SELECT", "SELECT pg_sleep(?)", APPMON_OUTCOME_CANCELLED);
	put('Q', "s", "SELECT 1");
	in();
	error("53300", "sorry, too many clients already");
	ready();
	out();
	event("SELECT", "SELECT ?", APPMON_OUTCOME_SERVER_ERROR);
	simple();
}
END_TEST

START_TEST(login_fails)
{
	startup();
	put('R', "ii", 5, 0x12345678);
	out();
	put('p', "s", "hunter2");
	in();
	error("28P01", "password authentication failed for user \"alice\"");
	out();
	event("CONNECT", "", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->status_text, "28P01"));
	nothing();
}
END_TEST

static void parse(const char *name, const char *text)
{
	put('P', "ssh", name, text, 0);
}

static void bind_to(const char *portal, const char *name)
{
	put('B', "sshhish", portal, name, 0, 1, 8, "hunter2", 0);
}

static void execute(const char *portal, uint32_t limit)
{
	put('E', "si", portal, limit);
}

/* 55.2.3 */
START_TEST(extended)
{
	log_in();
	parse("", "SELECT * FROM users WHERE pass = $1");
	bind_to("", "");
	put('D', "bs", 'P', "");
	execute("", 0);
	put('S', "");
	in();
	put('1', "");
	put('2', "");
	put('n', "");
	row("bob");
	put('C', "s", "SELECT 1");
	ready();
	out();
	done("SELECT users", "SELECT * FROM users WHERE pass = ?", 1);
	/* Prepared once, named when it is executed. */
	parse("s1", "UPDATE users SET pass = $1");
	put('D', "bs", 'S', "s1");
	put('S', "");
	in();
	put('1', "");
	put('t', "hi", 1, 25);
	put('n', "");
	ready();
	out();
	nothing();
	for (int i = 0; i < 3; i++) {
		bind_to("", "s1");
		execute("", 0);
		put('S', "");
		in();
		put('2', "");
		put('C', "s", "UPDATE 7");
		ready();
		out();
		done("UPDATE users", "UPDATE users SET pass = ?", 7);
		ck_assert(!(ev->flags & APPMON_EVF_PARTIAL));
	}
	/* An error of what is only prepared is told. */
	parse("s2", "SELEC 1");
	put('S', "");
	in();
	error("42601", "syntax error");
	ready();
	out();
	event("SELEC", "SELEC ?", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->status_text, "42601"));
	/* Closed, and never prepared. */
	put('C', "bs", 'S', "s1");
	bind_to("", "s1");
	execute("", 0);
	put('S', "");
	in();
	put('3', "");
	error("26000", "prepared statement \"s1\" does not exist");
	ready();
	out();
	event("", "", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	nothing();
}
END_TEST

/* A portal that is executed with a limit, and again. */
START_TEST(cursor)
{
	log_in();
	parse("", "SELECT * FROM big");
	bind_to("c1", "");
	execute("c1", 2);
	put('S', "");
	in();
	put('1', "");
	put('2', "");
	row("1");
	row("2");
	put('s', "");
	ready();
	out();
	done("SELECT big", "SELECT * FROM big", -1);
	execute("c1", 2);
	put('S', "");
	in();
	row("3");
	put('C', "s", "SELECT 1");
	ready();
	out();
	event("FETCH", "SELECT * FROM big", APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->operation_type, APPMON_OP_READ);
}
END_TEST

/* 55.2.4: several in one cycle, and several cycles at once; after an error the rest of its cycle is
 * passed over, the next one is not. */
START_TEST(pipelined)
{
	log_in();
	for (int i = 0; i < 3; i++) {
		parse("", "SELECT 1");
		bind_to("", "");
		execute("", 0);
		parse("", "INSERT INTO t VALUES ($1)");
		bind_to("", "");
		execute("", 0);
		parse("", "SELECT 2 FROM x");
		bind_to("", "");
		execute("", 0);
		put('S', "");
		in();
	}
	for (int i = 0; i < 3; i++) {
		put('1', "");
		put('2', "");
		row("1");
		put('C', "s", "SELECT 1");
		put('1', "");
		put('2', "");
		if (i == 1) {
			error("23505", "duplicate key value");
		} else {
			put('C', "s", "INSERT 0 1");
			put('1', "");
			put('2', "");
			put('C', "s", "SELECT 0");
		}
		ready();
		out();
		done("SELECT", "SELECT ?", 1);
		if (i != 1) {
			done("INSERT t", "INSERT INTO t VALUES (?)", 1);
			done("SELECT x", "SELECT ? FROM x", 0);
			continue;
		}
		event("INSERT t", "INSERT INTO t VALUES (?)", APPMON_OUTCOME_CLIENT_ERROR);
		event("SELECT x", "SELECT ? FROM x", APPMON_OUTCOME_CANCELLED);
		ck_assert_uint_eq(ev->end, APPMON_END_ABANDONED);
		ck_assert(ev->flags & APPMON_EVF_PIPELINED);
	}
	nothing();
}
END_TEST

/* 55.2.6 */
START_TEST(copy)
{
	log_in();
	put('Q', "s", "COPY t FROM STDIN");
	in();
	put('G', "bhh", 0, 1, 0);
	out();
	for (int i = 0; i < 100; i++)
		put('d', "s", "a row that is hunter2");
	put('c', "");
	in();
	put('C', "s", "COPY 100");
	ready();
	out();
	done("COPY t", "COPY t FROM STDIN", 100);
	ck_assert_uint_eq(ev->request_bytes, 23 + 100 * 27 + 5);
	put('Q', "s", "COPY t TO STDOUT");
	in();
	put('H', "bhh", 0, 1, 0);
	put('d', "s", "a row");
	put('c', "");
	put('C', "s", "COPY 1");
	ready();
	out();
	done("COPY t", "COPY t TO STDOUT", 1);
	/* A Sync behind Execute does not count while data is copied. */
	parse("", "COPY t FROM STDIN");
	bind_to("", "");
	execute("", 0);
	put('S', "");
	in();
	put('1', "");
	put('2', "");
	put('G', "bhh", 0, 1, 0);
	out();
	put('d', "s", "row");
	put('c', "");
	put('S', "");
	in();
	put('C', "s", "COPY 1");
	ready();
	out();
	done("COPY t", "COPY t FROM STDIN", 1);
	simple();
}
END_TEST

/* 55.2.10: encryption is refused, or begins. */
START_TEST(encryption)
{
	put(0, "i", 80877103);
	in();
	message(DIR_OUT, "N", 1);
	log_in();
	simple();
	connection(true);
	put(0, "i", 80877103);
	in();
	message(DIR_OUT, "S", 1);
	message(DIR_IN, "\x16\x03\x01\x00\x05hello", 10);
	event("CONNECT", "", APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->end, APPMON_END_ENCRYPTED);
	message(DIR_OUT, "\x16\x03\x03\x00\x05hello", 10);
	nothing();
}
END_TEST

/* 55.2.8: on a connection of its own. */
START_TEST(cancel)
{
	put(0, "iii", 80877102, 1234, 5678);
	in();
	event("CANCEL", "", APPMON_OUTCOME_OK);
	nothing();
}
END_TEST

START_TEST(replication)
{
	log_in();
	put('Q', "s", "START_REPLICATION SLOT s LOGICAL 0/0");
	in();
	put('W', "bh", 0, 0);
	out();
	event("START_REPLICATION", "START_REPLICATION SLOT s LOGICAL ?/?", APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->end, APPMON_END_UPGRADED);
	ck_assert(ev->flags & APPMON_EVF_REPLICATION);
	put('d', "s", "wal");
	out();
	nothing();
}
END_TEST

/* Met in the middle: the first statement is seen, what was prepared before is not known. */
START_TEST(late)
{
	connection(false);
	simple();
	bind_to("", "s1");
	execute("", 0);
	put('S', "");
	in();
	put('2', "");
	put('C', "s", "SELECT 0");
	ready();
	out();
	done("", "", 0);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	/* A chain of more than three. */
	connection(false);
	bind_to("", "s1");
	put('D', "bs", 'P', "");
	execute("", 0);
	put('S', "");
	in();
	put('2', "");
	put('n', "");
	put('C', "s", "DELETE 3");
	ready();
	out();
	done("", "", 3);
	/* In the middle of a response. */
	connection(false);
	row("x");
	put('C', "s", "SELECT 1");
	ready();
	out();
	nothing();
	simple();
}
END_TEST

/* What a long result ends with is not missed. */
START_TEST(many_rows)
{
	log_in();
	put('Q', "s", "SELECT * FROM big");
	in();
	put('T', "hsihihih", 1, "name", 16385, 1, 25, 65535, -1, 0);
	out();
	for (int i = 0; i < 1000; i++)
		row("some value");
	put('C', "s", "SELECT 1000");
	ready();
	out();
	done("SELECT big", "SELECT * FROM big", 1000);
	ck_assert_uint_gt(ev->first_item_ns, 0);
	ck_assert_uint_gt(ev->response_bytes, 1000 * 17);
	put('Q', "s", "SELECT * FROM big");
	in();
	for (int i = 0; i < 1000; i++)
		row("some value");
	error("57014", "canceling statement due to user request");
	ready();
	out();
	event("SELECT big", "SELECT * FROM big", APPMON_OUTCOME_CANCELLED);
	simple();
}
END_TEST

/* The client asks again when a segment has ended with the first byte of a row. */
START_TEST(asked_amid_a_header)
{
	uint32_t at;

	p.pl.tell_programs = NULL; /* the reader is slow */
	log_in();
	put('Q', "s", "SELECT * FROM big");
	in();
	put('T', "hsihihih", 1, "name", 16385, 1, 25, 65535, -1, 0);
	for (int i = 0; i < 10; i++)
		row("some value");
	at = built_len + 1;
	for (int i = 0; i < 9990; i++)
		row("some value");
	put('C', "s", "SELECT 10000");
	ready();
	packet(DIR_OUT, built, at, SIM_PSH);
	packet(DIR_IN, "Q\0\0\0\15SELECT 1", 14, SIM_PSH);
	for (uint32_t n; at < built_len; at += n) {
		n = built_len - at < 20000 ? built_len - at : 20000;
		packet(DIR_OUT, built + at, n, SIM_PSH);
	}
	built_len = 0;
	done("SELECT big", "SELECT * FROM big", 10000);
	put('C', "s", "SELECT 1");
	ready();
	out();
	done("SELECT", "SELECT ?", 1);
	simple();
}
END_TEST

/* The client is watched, and segments of a result come late: its rows were not copied, and the reader
 * goes on in the bytes that come late. */
START_TEST(rows_in_disorder)
{
	mirrored = true;
	for (uint32_t k = 0; k < 24; k++) {
		for (uint32_t by = 1; by < 4; by++) {
			connection(true);
			log_in();
			put('Q', "s", "SELECT * FROM big");
			in();
			put('T', "hsihihih", 1, "name", 16385, 1, 25, 65535, -1, 0);
			for (int i = 0; i < 1000; i++)
				row("some value");
			put('C', "s", "SELECT 1000");
			ready();
			in_disorder(DIR_OUT, built, built_len, 1000, k, by);
			built_len = 0;
			done("SELECT big", "SELECT * FROM big", 1000);
			ck_assert(!(ev->flags & APPMON_EVF_PARTIAL));
			ck_assert_uint_gt(ev->response_bytes, 1000 * 17);
			simple();
		}
	}
}
END_TEST

/* More comes early than is copied: the answer is lost, and the next statement is not. What the first
 * one has prepared is still known. */
START_TEST(much_in_disorder)
{
	static char value[4000];

	memset(value, 'x', sizeof(value) - 1);
	mirrored = true;
	for (uint32_t k = 0; k < 2; k++) {
		connection(true);
		log_in();
		put('P', "ssh", "s1", "SELECT * FROM big WHERE a > $1", 0);
		bind_to("", "s1");
		execute("", 0);
		put('S', "");
		in();
		put('1', "");
		put('2', "");
		for (int i = 0; i < 5000; i++)
			row(value);
		put('C', "s", "SELECT 5000");
		ready();
		in_disorder(DIR_OUT, built, built_len, 1000000, k, 18);
		built_len = 0;
		bind_to("", "s1");
		execute("", 0);
		put('S', "");
		in();
		event("SELECT big", "SELECT * FROM big WHERE a > ?", APPMON_OUTCOME_UNKNOWN);
		ck_assert_uint_eq(ev->end, APPMON_END_GAP);
		put('2', "");
		put('C', "s", "SELECT 0");
		ready();
		out();
		done("SELECT big", "SELECT * FROM big WHERE a > ?", 0);
		simple();
	}
}
END_TEST

/* A record is lost: nothing is paired wrongly, and after a silence it goes on. */
START_TEST(losses)
{
	log_in();
	put('Q', "s", "SELECT a");
	in();
	sim_lose = 1;
	put('C', "s", "SELECT 1");
	ready();
	out();
	put('Q', "s", "SELECT b");
	in();
	event("SELECT", "SELECT a", APPMON_OUTCOME_UNKNOWN);
	ck_assert_uint_eq(ev->end, APPMON_END_GAP);
	put('C', "s", "SELECT 1");
	ready();
	out();
	nothing();
	ck_assert_uint_ge(p.pl.stats.dropped[APPMON_DROP_GAP], 1);
	sim_now_ns += 3 * NSEC_PER_SEC;
	simple();
}
END_TEST

START_TEST(closes)
{
	log_in();
	put('Q', "s", "SELECT a");
	in();
	packet(DIR_OUT, "", 0, SIM_FIN);
	event("SELECT", "SELECT a", APPMON_OUTCOME_NO_RESPONSE);
	ck_assert_uint_eq(ev->end, APPMON_END_CLOSED);
}
END_TEST

/* Two settings: what a backslash is, and whether text is told as it is. */
START_TEST(settings)
{
	startup();
	put('R', "i", 0);
	put('S', "ss", "standard_conforming_strings", "off");
	ready();
	out();
	event("CONNECT", "", APPMON_OUTCOME_OK);
	put('Q', "s", "SELECT 'it\\'s', hunter");
	in();
	put('C', "s", "SELECT 1");
	ready();
	out();
	done("SELECT", "SELECT ?, hunter", 1);
	teardown();
	setup_with(APPMON_OPEN_QUERY_TEXT);
	startup();
	put('R', "i", 0);
	ready();
	out();
	event("CONNECT", "", APPMON_OUTCOME_OK);
	put('Q', "s", "SELECT 'x' FROM t WHERE a = 5");
	in();
	error("22P02", "invalid input syntax: x");
	ready();
	out();
	event("SELECT t", "SELECT 'x' FROM t WHERE a = 5", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->message, "invalid input syntax: x"));
}
END_TEST

START_TEST(traceparent)
{
	log_in();
	put('Q', "s",
	    "SELECT 1 /*traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/");
	in();
	put('C', "s", "SELECT 1");
	ready();
	out();
	done("SELECT", "SELECT ?", 1);
	ck_assert_uint_eq(ev->trace.format, APPMON_TRACE_W3C);
	ck_assert_uint_eq(ev->trace.trace_id[0], 0x5b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {simple_query,
				      cut_anywhere,
				      deferred,
				      deferred_alone,
				      errors,
				      login_fails,
				      extended,
				      cursor,
				      pipelined,
				      copy,
				      encryption,
				      cancel,
				      replication,
				      late,
				      many_rows,
				      asked_amid_a_header,
				      rows_in_disorder,
				      much_in_disorder,
				      losses,
				      closes,
				      settings,
				      traceparent,
				      NULL};

	return unit_run("postgresql", tests, setup, teardown);
}
