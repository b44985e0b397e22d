/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MySQL from records to events. The bytes are those of the "MySQL Client/Server Protocol" in MySQL's
 * internals documentation, and of MariaDB's "Client/Server Protocol".
 */
#include <stdio.h>
#include <string.h>

#include "talk.h"

static const struct appmon_event *ev;
static char built[1 << 17];
static uint32_t built_len;
static uint8_t sequence;
static const char *server = "8.0.36";

/* The password and the literal of all scenes. */
static void secretive(const char *line)
{
	ck_assert_msg(!strstr(line, "hunter2"), "the log says: %s", line);
}

static void setup(void)
{
	struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_MYSQL};

	talk_begin(&opts);
	p.line = secretive;
}

static void teardown(void)
{
	talk_end();
}

static void put(const char *bytes, uint32_t n)
{
	built[built_len++] = (char)n;
	built[built_len++] = (char)(n >> 8);
	built[built_len++] = (char)(n >> 16);
	built[built_len++] = (char)sequence++;
	memcpy(built + built_len, bytes, n);
	built_len += n;
}

#define PUT(literal) put(literal, sizeof(literal) - 1)

static void send_to(int dir)
{
	message(dir, built, built_len);
	built_len = 0;
}

static void command(char code, const char *bytes, uint32_t n)
{
	char packet[4096];

	sequence = 0;
	packet[0] = code;
	memcpy(packet + 1, bytes, n);
	put(packet, n + 1);
	send_to(DIR_IN);
}

static void query(const char *text)
{
	command(3, text, (uint32_t)strlen(text));
}

static void out(void)
{
	send_to(DIR_OUT);
}

/* OK without news: so many rows affected. */
static void ok(uint8_t affected, uint16_t status)
{
	char packet[7] = {0, (char)affected, 0, (char)status, (char)(status >> 8), 0, 0};

	put(packet, sizeof(packet));
}

static void eof(uint16_t status)
{
	char packet[5] = {(char)0xfe, 0, 0, (char)status, (char)(status >> 8)};

	put(packet, sizeof(packet));
}

/* The OK that takes EOF's place: CLIENT_DEPRECATE_EOF. */
static void final(uint16_t status)
{
	char packet[7] = {(char)0xfe, 0, 0, (char)status, (char)(status >> 8), 0, 0};

	put(packet, sizeof(packet));
}

static void columns(uint8_t n)
{
	char count = (char)n;

	put(&count, 1);
	while (n--)
		PUT("\3def\4shop\1t\1t\1a\1a\x0c\x21\0\x50\0\0\0\xfd\0\0\0\0\0");
}

static void rows_of(int n)
{
	while (n--)
		PUT("\7hunter2\3bob");
}

static bool is(struct appmon_str str, const char *text)
{
	return str.len == strlen(text) && !memcmp(str.data, text, str.len);
}

static void event(const char *operation, const char *text, uint32_t outcome)
{
	ev = fixture_event(&p);
	ck_assert_msg(ev != NULL, "no event for %s", operation);
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_MYSQL);
	ck_assert_msg(is(ev->operation, operation), "%s, not %s", ev->operation.data, operation);
	ck_assert_msg(is(ev->query_text, text), "%s", ev->query_text.data);
	ck_assert_uint_eq(ev->outcome, outcome);
	ck_assert_uint_eq(ev->role, mirrored ? APPMON_ROLE_CLIENT : APPMON_ROLE_SERVER);
	ck_assert(is(ev->system, strstr(server, "MariaDB") ? "mariadb" : "mysql") || !fresh);
}

static void done(const char *operation, const char *text, int64_t items)
{
	event(operation, text, APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_int_eq(ev->response_items, items);
}

static void nothing(void)
{
	ev = fixture_event(&p);
	ck_assert_msg(!ev, "%s", ev ? ev->operation.data : "");
}

static void greeting(void)
{
	char packet[128];
	uint32_t n = 0;

	packet[n++] = 0x0a;
	strcpy(packet + n, server);
	n += (uint32_t)strlen(server) + 1;
	memcpy(packet + n, "\x0b\0\0\0saltsalt\0\xff\xff\x21\2\0\xff\xdf\x15", 20);
	n += 20;
	memset(packet + n, 0, 10);
	n += 10;
	memcpy(packet + n, "saltsaltsalt\0mysql_native_password", 35);
	n += 35;
	sequence = 0;
	put(packet, n);
	out();
}

static void login(uint32_t capabilities)
{
	char packet[128] = {(char)capabilities, (char)(capabilities >> 8),
			    (char)(capabilities >> 16), (char)(capabilities >> 24)};

	packet[8] = 0x21;
	memcpy(packet + 32, "alice\0\7hunter2shop\0mysql_native_password", 41);
	sequence = 1;
	put(packet, 32 + 41);
	send_to(DIR_IN);
}

#define CAN 0x01bfa68d /* what a client of MySQL 8 says, without compression and TLS */

static void log_in(void)
{
	greeting();
	login(CAN);
	ok(0, 2);
	out();
	done("CONNECT", "", -1);
	ck_assert(ev->operation_type == APPMON_OP_SESSION);
	nothing();
}

static void simple(void)
{
	query("SELECT a, b FROM users WHERE pass = \"hunter2\" AND id = 17");
	columns(2);
	rows_of(5);
	final(2);
	out();
	done("SELECT", "SELECT a, b FROM users WHERE pass = ? AND id = ?", 5);
	ck_assert(is(ev->resource, "users") && is(ev->query_summary, "SELECT users"));
	ck_assert(is(ev->resource_namespace, fresh ? "shop" : ""));
	ck_assert_uint_eq(ev->first_item_ns != 0, 1);
	ck_assert_uint_ne(ev->digest, 0);
	nothing();
}

START_TEST(queries)
{
	static const char *const servers[] = {"8.0.36", "5.5.5-10.11.6-MariaDB-0+deb12u1"};

	for (int i = 0; i < 2; i++) {
		server = servers[i];
		connection(true);
		log_in();
		simple();
		/* With EOF behind the columns, as before CLIENT_DEPRECATE_EOF. */
		query("SELECT * FROM t");
		columns(1);
		eof(2);
		rows_of(3);
		eof(2);
		out();
		done("SELECT", "SELECT * FROM t", 3);
		query("UPDATE t SET a = 'it\\'s hunter2'");
		ok(7, 2);
		out();
		done("UPDATE", "UPDATE t SET a = ?", 7);
		/* With query attributes: none. */
		command(3, "\0\1SELECT 1", 10);
		columns(1);
		rows_of(1);
		final(2);
		out();
		done("SELECT", "SELECT ?", 1);
		nothing();
	}
	server = servers[0];
}
END_TEST

START_TEST(cut_anywhere)
{
	for (uint32_t piece = 1; piece < 30; piece++) {
		cut = 0;
		connection(true);
		log_in();
		cut = piece;
		simple();
	}
}
END_TEST

START_TEST(errors)
{
	log_in();
	query("INSERT INTO t VALUES ('hunter2')");
	PUT("\xff\x26\x04#23000Duplicate entry 'hunter2' for key 'PRIMARY'");
	out();
	event("INSERT", "INSERT INTO t VALUES (?)", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->status_text, "1062") && is(ev->message, ""));
	ck_assert_int_eq(ev->status_number, 1062);
	query("SELECT 1");
	PUT("\xff\xbd\x04#40001Deadlock found");
	out();
	event("SELECT", "SELECT ?", APPMON_OUTCOME_SERVER_ERROR);
	/* In the middle of rows. */
	query("SELECT * FROM t");
	columns(1);
	rows_of(2);
	PUT("\xff\x25\x05#70100Query execution was interrupted");
	out();
	event("SELECT", "SELECT * FROM t", APPMON_OUTCOME_CANCELLED);
	simple();
}
END_TEST

START_TEST(login_fails)
{
	greeting();
	login(CAN);
	PUT("\xfe"
	    "caching_sha2_password\0saltsaltsaltsaltsalt");
	out();
	sequence = 3;
	PUT("hunter2");
	send_to(DIR_IN);
	PUT("\xff\x15\x04#28000Access denied for user 'alice'@'localhost'");
	out();
	event("CONNECT", "", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->status_text, "1045"));
	nothing();
}
END_TEST

START_TEST(prepared)
{
	log_in();
	command(0x16, "SELECT a FROM t WHERE b = ? AND c = 'hunter2'", 45);
	PUT("\0\5\0\0\0\1\0\1\0\0\0\0");
	PUT("\3def\0\0\0\1?\0\x0c\x3f\0\0\0\0\0\xfd\x80\0\0\0\0");
	eof(2);
	PUT("\3def\4shop\1t\1t\1a\1a\x0c\x21\0\x50\0\0\0\xfd\0\0\0\0\0");
	eof(2);
	out();
	nothing();
	for (int i = 0; i < 3; i++) {
		command(0x17, "\5\0\0\0\0\1\0\0\0\0\1\xfd\0\7hunter2", 21);
		columns(1);
		eof(2);
		rows_of(2);
		eof(2);
		out();
		done("SELECT", "SELECT a FROM t WHERE b = ? AND c = ?", 2);
		ck_assert(!(ev->flags & APPMON_EVF_PARTIAL));
	}
	/* A cursor: rows come when they are fetched. */
	command(0x17, "\5\0\0\0\1\1\0\0\0\0\1\xfd\0\7hunter2", 21);
	columns(1);
	eof(0x42);
	out();
	done("SELECT", "SELECT a FROM t WHERE b = ? AND c = ?", -1);
	command(0x1c, "\5\0\0\0\2\0\0\0", 8);
	PUT("\0\0\7hunter2");
	PUT("\0\0\7hunter2");
	eof(0x42);
	out();
	done("FETCH", "SELECT a FROM t WHERE b = ? AND c = ?", 2);
	/* Closed without an answer: then its number means something else. */
	command(0x19, "\5\0\0\0", 4);
	command(0x17, "\5\0\0\0\0\1\0\0\0", 9);
	PUT("\xff\xdb\x04#HY000Unknown prepared statement handler");
	out();
	event("", "", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	/* An error of what is only prepared is told. */
	command(0x16, "SELEC 1", 7);
	PUT("\xff\x28\x04#42000You have an error in your SQL syntax");
	out();
	event("SELEC", "SELEC ?", APPMON_OUTCOME_CLIENT_ERROR);
	nothing();
}
END_TEST

/* What a statement is prepared as: one parameter, so many columns, with EOFs or without. */
static void prepare_ok(uint8_t number, uint8_t n, bool eofs)
{
	char packet[12] = {0, (char)number, 0, 0, 0, (char)n, 0, 1};

	put(packet, sizeof(packet));
	PUT("\3def\0\0\0\1?\0\x0c\x3f\0\0\0\0\0\xfd\x80\0\0\0\0");
	if (eofs)
		eof(2);
	for (int i = 0; i < n; i++)
		PUT("\3def\4shop\1t\1t\1a\1a\x0c\x21\0\x50\0\0\0\xfd\0\0\0\0\0");
	if (eofs && n)
		eof(2);
}

/* MariaDB's clients execute what they have prepared last without knowing its number. */
START_TEST(last_prepared)
{
	static const char select[] = "SELECT a FROM t WHERE b = ?", update[] = "UPDATE t SET a = ?";
	static const char last[] = "\xff\xff\xff\xff\0\1\0\0\0\0\1\xfd\0\7hunter2";

	log_in();
	for (int eofs = 0; eofs < 2; eofs++) {
		/* Behind the answer to the preparing. */
		command(0x16, select, sizeof(select) - 1);
		prepare_ok(5, 1, eofs);
		out();
		command(0x17, last, sizeof(last) - 1);
		columns(1);
		if (eofs)
			eof(2);
		rows_of(2);
		eofs ? eof(2) : final(2);
		out();
		done("SELECT", select, 2);
		/* Before it: the answers come together. */
		command(0x16, select, sizeof(select) - 1);
		command(0x17, last, sizeof(last) - 1);
		prepare_ok(6, 1, eofs);
		out();
		nothing();
		sequence = 1;
		columns(1);
		if (eofs)
			eof(2);
		rows_of(2);
		eofs ? eof(2) : final(2);
		out();
		done("SELECT", select, 2);
		ck_assert(!(ev->flags & APPMON_EVF_PARTIAL));
		/* From then on by its number. */
		command(0x17, "\6\0\0\0\0\1\0\0\0", 9);
		columns(1);
		rows_of(3);
		final(2);
		out();
		done("SELECT", select, 3);
		nothing();
	}
	command(0x16, update, sizeof(update) - 1);
	command(0x17, last, sizeof(last) - 1);
	prepare_ok(7, 0, false);
	sequence = 1;
	ok(3, 2);
	out();
	done("UPDATE", update, 3);
	/* An error of what is executed, and one of what is prepared: both are told. */
	command(0x16, update, sizeof(update) - 1);
	command(0x17, last, sizeof(last) - 1);
	prepare_ok(8, 0, true);
	sequence = 1;
	PUT("\xff\x26\x04#23000Duplicate entry 'hunter2' for key 'PRIMARY'");
	out();
	event("UPDATE", update, APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->status_text, "1062"));
	command(0x16, "SELEC ?", 7);
	command(0x17, last, sizeof(last) - 1);
	PUT("\xff\x28\x04#42000You have an error in your SQL syntax");
	sequence = 1;
	PUT("\xff\xdb\x04#HY000Unknown prepared statement handler");
	out();
	event("SELEC", "SELEC ?", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->status_text, "1243"));
	event("SELEC", "SELEC ?", APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert(is(ev->status_text, "1064"));
	simple();
	nothing();
}
END_TEST

static void execute(uint8_t number)
{
	command(0x17, (char[]){(char)number, 0, 0, 0, 0, 1, 0, 0, 0}, 9);
}

/* Statements that are prepared without waiting for each other's answer, which come in order. One has
 * so many columns that the numbers of its packets begin anew. */
START_TEST(prepared_at_once)
{
	static const char last[] = "\xff\xff\xff\xff\0\1\0\0\0\0\1\xfd\0\7hunter2";
	static const char *const texts[] = {"SELECT a FROM t WHERE b = ?", "SELEC ?",
					    "SELECT b FROM u WHERE c = ?"};
	static const uint8_t columns_of[] = {1, 0, 253, 254, 255};

	for (uint32_t i = 0; i < 20; i++) {
		bool eofs = i & 1, one_by_one = i & 2;
		uint8_t n = columns_of[i / 4];

		connection(true);
		log_in();
		for (int k = 0; k < 3; k++)
			command(0x16, texts[k], (uint32_t)strlen(texts[k]));
		command(0x17, last, sizeof(last) - 1);
		for (int k = 0; k < 4; k++) {
			sequence = 1;
			if (k == 1)
				PUT("\xff\x28\x04#42000You have an error in your SQL syntax");
			else if (k == 3)
				ok(3, 2);
			else
				prepare_ok((uint8_t)(5 + k), k ? 1 : n, eofs);
			if (one_by_one)
				out();
		}
		out();
		done("SELECT", texts[2], 3);
		event("SELEC", texts[1], APPMON_OUTCOME_CLIENT_ERROR);
		ck_assert(is(ev->status_text, "1064"));
		nothing();
		for (int k = 0; k < 3; k += 2) {
			execute((uint8_t)(5 + k));
			sequence = 1;
			ok((uint8_t)(8 + k), 2);
			out();
			done("SELECT", texts[k], 8 + k);
			ck_assert(!(ev->flags & (APPMON_EVF_PARTIAL | APPMON_EVF_INFERRED_END)));
		}
		nothing();
	}
}
END_TEST

static void select_of(int n, bool eofs, uint16_t status)
{
	columns(1);
	if (eofs)
		eof(2);
	rows_of(n);
	eofs ? eof(status) : final(status);
}

/* Commands that do not wait for answers, as MariaDB's connectors send batches: each has its own. */
START_TEST(pipelined)
{
	for (int i = 0; i < 24; i++) {
		bool eofs = i & 1, one_by_one = i & 2, late = i & 4;
		int n = i < 8 ? 3 : i < 16 ? 253 : 1000; /* the numbers begin anew behind 255 */

		connection(true);
		log_in();
		query("SELECT 1");
		query("INSERT INTO t VALUES (2)");
		query("SELECT a");
		if (late) { /* two of the answers are there when the client goes on */
			sequence = 1;
			select_of(n, eofs, 2);
			out();
			sequence = 1;
			ok(5, 2);
			out();
		}
		query("SELECT b");
		query("SELECT c");
		for (int k = late ? 2 : 0; k < 5; k++) {
			sequence = 1;
			if (k == 1)
				ok(5, 2);
			else if (k == 3)
				PUT("\xff\x7a\x04#42S02Table 'shop.hunter2' doesn't exist");
			else
				select_of(n + k, eofs, 2);
			if (one_by_one)
				out();
		}
		out();
		done("SELECT", "SELECT ?", n);
		done("INSERT", "INSERT INTO t VALUES (?)", 5);
		ck_assert(ev->flags & APPMON_EVF_PIPELINED);
		done("SELECT", "SELECT a", n + 2);
		event("SELECT", "SELECT b", APPMON_OUTCOME_CLIENT_ERROR);
		ck_assert(is(ev->status_text, "1146"));
		done("SELECT", "SELECT c", n + 4);
		ck_assert(!(ev->flags & APPMON_EVF_INFERRED_END));
		nothing();
		simple();
	}
}
END_TEST

/* Behind answers of which the end is not seen, and with a statement that is prepared among them. */
START_TEST(pipelined_mixed)
{
	static const char select[] = "SELECT a FROM t WHERE b = ?";
	static const char last[] = "\xff\xff\xff\xff\0\1\0\0\0\0\1\xfd\0\7hunter2";

	for (int eofs = 0; eofs < 2; eofs++) {
		connection(true);
		log_in();
		query("SELECT 1; UPDATE t SET a = 2");
		command(0x16, select, sizeof(select) - 1);
		command(0x17, last, sizeof(last) - 1);
		command(0x17, last, sizeof(last) - 1);
		command(0x0e, "", 0);
		sequence = 1;
		select_of(1, eofs, 2 | 8);
		ok(0, 2); /* of the second statement: it is not copied */
		sequence = 1;
		prepare_ok(5, 1, eofs);
		for (int k = 0; k < 2; k++) {
			sequence = 1;
			select_of(k, eofs, 2);
		}
		sequence = 1;
		ok(0, 2);
		out();
		done("SELECT", "SELECT ?; UPDATE t SET a = ?", -1);
		ck_assert(ev->flags & APPMON_EVF_INFERRED_END);
		done("SELECT", select, 0);
		done("SELECT", select, 1);
		done("PING", "", -1);
		nothing();
		simple();
	}
	/* An answer that does not begin with its first packet belongs to none of them. */
	query("SELECT 1");
	query("SELECT 2");
	sequence = 7;
	rows_of(1);
	out();
	event("SELECT", "SELECT ?", APPMON_OUTCOME_UNKNOWN);
	ck_assert_uint_eq(ev->end, APPMON_END_GAP);
	event("SELECT", "SELECT ?", APPMON_OUTCOME_UNKNOWN);
	fresh = false; /* nor is the database known any more */
	simple();
	/* In the middle of an answer all that was said has been received: it is taken for over. */
	query("SELECT a");
	columns(1);
	rows_of(2);
	out();
	query("SELECT b");
	done("SELECT", "SELECT a", -1);
	ck_assert(ev->flags & APPMON_EVF_INFERRED_END);
	sequence = 4;
	rows_of(2);
	final(2);
	sequence = 1;
	select_of(1, false, 2);
	out();
	event("SELECT", "SELECT b", APPMON_OUTCOME_UNKNOWN);
	ck_assert_uint_eq(ev->end, APPMON_END_GAP);
	simple();
}
END_TEST

/* Conversations by chance: how many commands are under way, where answers are cut, and what they are. */
START_TEST(pipelined_by_chance)
{
	static const int counts[] = {0, 1, 2, 5, 253, 254, 255, 256, 257, 600};
	static const uint32_t cuts[] = {0, 0, 1460, 333, 50};

	srandom(7);
	for (int i = 0; i < 200; i++) {
		struct {
			char text[32];
			int rows; /* -1: an error */
			bool is_ok;
		} asked[40], *a;
		uint32_t sent = 0, answered = 0, told = 0;
		bool eofs;

		connection(true);
		cut = 0;
		log_in();
		eofs = random() & 1;
		cut = cuts[random() % 5];
		while (answered < 40) {
			if (sent < 40 && sent - answered < 8 && random() % 3) {
				a = &asked[sent];
				a->is_ok = random() % 3 == 0;
				a->rows = random() % 8 ? counts[random() % 10] : -1;
				if (a->is_ok && a->rows > 250)
					a->rows = 5;
				snprintf(a->text, sizeof(a->text), "%s t%u_",
					 a->is_ok ? "DROP TABLE" : "SELECT", sent++);
				query(a->text);
				continue;
			}
			/* Several come together. */
			for (long n = random() % 4; n && answered < sent; n--) {
				a = &asked[answered++];
				sequence = 1;
				if (a->rows < 0)
					PUT("\xff\x7a\x04#42S02No");
				else if (a->is_ok)
					ok((uint8_t)a->rows, 2);
				else
					select_of(a->rows, eofs, 2);
			}
			out();
		}
		for (; told < 40; told++) {
			a = &asked[told];
			if (a->rows < 0)
				event(a->is_ok ? "DROP" : "SELECT", a->text,
				      APPMON_OUTCOME_CLIENT_ERROR);
			else
				done(a->is_ok ? "DROP" : "SELECT", a->text, a->rows);
		}
		nothing();
	}
	cut = 0;
}
END_TEST

START_TEST(several)
{
	log_in();
	query("SELECT 1; SELECT a FROM t");
	columns(1);
	rows_of(1);
	final(2 | 8);
	out();
	nothing();
	ok(0, 2);
	out();
	nothing();
	/* That this was the last is known when the client goes on. */
	command(0x0e, "", 0);
	done("SELECT", "SELECT ?; SELECT a FROM t", -1);
	ck_assert(ev->flags & APPMON_EVF_MULTI);
	ck_assert(ev->flags & APPMON_EVF_INFERRED_END);
	ok(0, 2);
	out();
	done("PING", "", -1);
	query("SELECT 1; SELECT a FROM t");
	columns(1);
	eof(2 | 8);
	rows_of(1);
	eof(2 | 8);
	columns(2);
	eof(2);
	rows_of(4);
	eof(2);
	out();
	done("SELECT", "SELECT ?; SELECT a FROM t", -1);
	ck_assert(!(ev->flags & APPMON_EVF_INFERRED_END));
	simple();
}
END_TEST

START_TEST(other_commands)
{
	log_in();
	command(2, "other", 5);
	ok(0, 2);
	out();
	done("USE", "", -1);
	query("SELECT 1 FROM x");
	columns(1);
	rows_of(1);
	final(2);
	out();
	done("SELECT", "SELECT ? FROM x", 1);
	ck_assert(is(ev->resource_namespace, "other"));
	command(0x0e, "", 0);
	ok(0, 2);
	out();
	done("PING", "", -1);
	command(9, "", 0);
	PUT("Uptime: 3");
	out();
	done("SHOW", "", -1);
	query("LOAD DATA LOCAL INFILE 'hunter2' INTO TABLE t");
	PUT("\xfbhunter2");
	out();
	sequence = 2;
	PUT("a\tb\nhunter2\n");
	put("", 0);
	send_to(DIR_IN);
	ok(2, 2);
	out();
	done("LOAD", "LOAD DATA LOCAL INFILE ? INTO TABLE t", 2);
	ck_assert_uint_eq(ev->request_bytes, 4 + 46 + 4 + 12 + 4);
	command(0x12, "\4\0\0\0\0\0\1\0\0\0binlog", 16);
	PUT("\0event of the log");
	out();
	event("BINLOG_DUMP", "", APPMON_OUTCOME_OK);
	ck_assert(ev->flags & APPMON_EVF_REPLICATION);
	PUT("\0event of the log");
	out();
	nothing();
}
END_TEST

START_TEST(hidden)
{
	greeting();
	login(CAN | 0x20);
	ok(0, 2);
	out();
	done("CONNECT", "", -1);
	ck_assert(ev->flags & APPMON_EVF_COMPRESSED);
	message(DIR_IN, "\x20\0\0\0\0\0\0compressed", 17);
	nothing();
	connection(true);
	greeting();
	sequence = 1;
	put("\x8d\xae\xbf\x01\0\0\0\1\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32);
	send_to(DIR_IN);
	event("CONNECT", "", APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->end, APPMON_END_ENCRYPTED);
	message(DIR_IN, "\x16\x03\x01\x00\x05hello", 10);
	nothing();
}
END_TEST

START_TEST(late)
{
	/* A statement with many parameters, of which little is copied. */
	connection(false);
	command(0x17, "\7\0\0\0\0\1\0\0\0\0\1\xfd\0\x09hunter2zz", 23);
	ok(2, 2);
	out();
	done("", "", 2);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	connection(false);
	simple();
	command(0x17, "\5\0\0\0\0\1\0\0\0", 9);
	ok(3, 2);
	out();
	done("", "", 3);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
}
END_TEST

/* Rows are counted, however many, and no error behind them is missed. */
START_TEST(many_rows)
{
	log_in();
	for (int i = 0; i < 2; i++) {
		query("SELECT * FROM big");
		columns(1);
		if (i)
			eof(2);
		out();
		rows_of(2000);
		if (i)
			eof(2);
		else
			final(2);
		out();
		done("SELECT", "SELECT * FROM big", 2000);
		ck_assert_uint_gt(ev->response_bytes, 2000 * 16);
	}
	simple();
}
END_TEST

/* A row of more than 16 MiB takes several packets. */
START_TEST(long_rows)
{
	static char part[4 + 0xffffff];

	log_in();
	query("SELECT * FROM big");
	columns(1);
	out();
	cut = 500000;
	for (int i = 0; i < 2; i++) {
		memset(part, 'x', sizeof(part));
		memcpy(part, "\xff\xff\xff", 3);
		part[3] = (char)sequence++;
		message(DIR_OUT, part, sizeof(part));
		PUT("rest");
		out();
	}
	final(2);
	out();
	done("SELECT", "SELECT * FROM big", 2);
	ck_assert_uint_gt(ev->response_bytes, 2 * sizeof(part));
}
END_TEST

/* A statement of several packets, two of whose segments change places in a long one. */
START_TEST(long_statement_in_disorder)
{
	static char text[4 + 0xffffff + 4 + 100];
	const uint32_t piece = 60000;

	for (uint32_t early = 5; early < 280; early += 55) {
		connection(true);
		log_in();
		memset(text, 'x', sizeof(text));
		memcpy(text, "\xff\xff\xff\0\3SELECT '", 13);
		memcpy(text + 4 + 0xffffff, "\x64\0\0\1", 4);
		text[sizeof(text) - 1] = '\'';
		for (uint32_t i = 0; i * piece < sizeof(text); i++) {
			uint32_t k = i == early	      ? i + 1
				     : i == early + 1 ? i - 1
						      : i,
				 at = k * piece;
			uint32_t n =
				sizeof(text) - at < piece ? (uint32_t)sizeof(text) - at : piece;

			sim_now_ns += 1000000;
			sim_packet(sk, DIR_IN, pos[DIR_IN] + at, text + at, n, 0);
			pump();
		}
		pos[DIR_IN] += sizeof(text);
		sequence = 2;
		columns(1);
		rows_of(1);
		final(2);
		out();
		done("SELECT", "SELECT ?", 1);
		ck_assert_uint_eq(ev->request_bytes, sizeof(text));
		simple();
	}
}
END_TEST

/* The client is watched, and segments of a result come late. All rows are counted. */
START_TEST(rows_in_disorder)
{
	mirrored = true;
	for (uint32_t k = 0; k < 24; k++) {
		connection(true);
		log_in();
		query("SELECT * FROM big");
		columns(1);
		rows_of(3000);
		final(2);
		in_disorder(DIR_OUT, built, built_len, 1000, k, 1 + k % 3);
		built_len = 0;
		done("SELECT", "SELECT * FROM big", 3000);
		simple();
	}
}
END_TEST

START_TEST(losses)
{
	log_in();
	query("SELECT a");
	sim_lose = 1;
	ok(0, 2);
	out();
	query("SELECT b");
	event("SELECT", "SELECT a", APPMON_OUTCOME_UNKNOWN);
	ck_assert_uint_eq(ev->end, APPMON_END_GAP);
	connection(true);
	log_in();
	simple();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {queries,
				      cut_anywhere,
				      errors,
				      login_fails,
				      prepared,
				      last_prepared,
				      prepared_at_once,
				      pipelined,
				      pipelined_mixed,
				      pipelined_by_chance,
				      several,
				      other_commands,
				      hidden,
				      late,
				      many_rows,
				      long_rows,
				      long_statement_in_disorder,
				      rows_in_disorder,
				      losses,
				      NULL};

	return unit_run("mysql", tests, setup, teardown);
}
