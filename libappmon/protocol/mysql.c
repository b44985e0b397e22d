/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MySQL's and MariaDB's protocol: a command, and its answer. The server answers in order; clients
 * take turns with it, as a rule, but MariaDB's send batches without waiting.
 *
 * An answer is OK, an error, or results: columns, rows and a packet that ends them, which says
 * whether another result follows. Its packets are numbered from 1 on. Of rows the programs copy
 * nothing, but of every 256th, whose number is 1 again: they are counted. An answer whose end is not
 * seen ends with the next command of a client that has received it, or where the next one begins.
 *
 * Secrets: passwords are not looked at, nor are the parameters of what is executed. See sql.h for
 * literals.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/frames.h"
#include "protocol/protocol.h"
#include "protocol/sql.h"
#include "protocol/statement.h"

#define DATABASE_MAX 64

enum {
	CAN_CONNECT_WITH_DB = 1 << 3,
	CAN_COMPRESS = 1 << 5,
	CAN_ENCRYPT = 1 << 11,
	CAN_SECURE = 1 << 15,
	CAN_LENENC_AUTH = 1 << 21,
	CAN_ZSTD = 1 << 26,
};

enum { STATUS_MORE_RESULTS = 8, STATUS_CURSOR = 0x40, STATUS_PLAIN_BACKSLASH = 0x200 };

enum command {
	COM_QUIT = 1,
	COM_INIT_DB = 2,
	COM_QUERY = 3,
	COM_FIELD_LIST = 4,
	COM_STATISTICS = 9,
	COM_CHANGE_USER = 0x11,
	COM_BINLOG_DUMP = 0x12,
	COM_STMT_PREPARE = 0x16,
	COM_STMT_EXECUTE = 0x17,
	COM_STMT_SEND_LONG_DATA = 0x18,
	COM_STMT_CLOSE = 0x19,
	COM_STMT_FETCH = 0x1c,
	COM_BINLOG_DUMP_GTID = 0x1e,
	COM_RESET_CONNECTION = 0x1f,
	COM_LOGIN = 0x80, /* none of the protocol's */
	COM_STMT_BULK_EXECUTE = 0xfa,
};

/* MariaDB: in place of a number, what was prepared last. Its client need not know the number yet. */
#define LAST_PREPARED 0xffffffff

/* What the answer's next packet is. */
enum expect { EXPECT_RESULT, EXPECT_COLUMNS, EXPECT_ROWS };

/* A statement that is prepared: its answer is due, behind those to what came before. */
struct preparing {
	struct list_node link;
	struct statement *st; /* NULL: no memory */
	struct start start;
	uint64_t end_ns;
};

/* conn.state */
struct mysql {
	struct frames frames;
	struct statements prepared; /* by number */
	struct list_node preparing; /* struct preparing, in order, from the pool */
	uint32_t last_prepared;	    /* the number of what was prepared last */
	uint32_t definitions;	    /* parameters and columns of it that are still to be told */
	uint32_t can;		    /* CAN_* of the client */
	uint32_t strings;	    /* SQL_* */
	uint32_t database_len, wanted_len;
	char database[DATABASE_MAX], wanted[DATABASE_MAX]; /* wanted: once the answer is OK */
	bool mariadb;
	uint8_t eofs;	  /* that are still due behind these, if the server sends any */
	uint8_t sequence; /* of the next of these */
	bool greeted;	  /* the client's first packet is next */
	bool broken;	  /* what belongs to which command is lost until a turn */
};

/* exchange.own */
struct pending {
	struct asked asked;
	uint32_t columns;
	uint64_t between; /* packets since the columns' number, or the EOF behind them */
	uint8_t command;  /* COM_* */
	uint8_t expect;	  /* EXPECT_* */
	uint8_t mariadb;
	uint8_t uncounted; /* rows passed that were not */
	uint8_t sequence;  /* of the answer's next packet */
};

static struct mysql *state_of(const struct conn *c)
{
	return c->state;
}

static struct pending *pending(const struct exchange *ex)
{
	return (struct pending *)(void *)(uintptr_t)ex->own;
}

static uint32_t little(const uint8_t *p, uint32_t n)
{
	uint32_t value = 0;

	while (n--)
		value = value << 8 | p[n];
	return value;
}

/* A length-encoded number. Returns what is behind it; NULL: it is not here, or is none. */
static const uint8_t *lenenc(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
	uint32_t n;

	if (p >= end || *p == 0xfb || *p == 0xff)
		return NULL;
	n = *p == 0xfc ? 2 : *p == 0xfd ? 3 : *p == 0xfe ? 8 : 0;
	*ret = *p++;
	if (!n)
		return p;
	if ((uint64_t)(end - p) < n)
		return NULL;
	*ret = n == 8 ? little(p, 4) | (uint64_t)little(p + 4, 4) << 32 : little(p, n);
	return p + n;
}

/* ---- detection ------------------------------------------------------------------------------- */

static bool greets(const uint8_t *p, uint32_t n)
{
	uint32_t len, at;

	if (n < 24 || p[3] || p[4] != 0x0a)
		return false;
	len = little(p, 3);
	if (len < 20 || len > 250)
		return false;
	for (at = 5; at < n && p[at] > ' ' && p[at] < 0x7f; at++)
		;
	return at > 8 && at < n && !p[at];
}

/* In the middle of a connection: a statement. The programs may not have copied all of it. */
static bool is_asking(const uint8_t *p, uint32_t n)
{
	uint32_t total, at;

	if (n < 10 || p[3])
		return false;
	total = little(p, 3) + 4;
	if (total < n)
		return false;
	if (p[4] == COM_STMT_EXECUTE)
		return n >= 14 && p[9] <= 8 && little(p + 10, 4) == 1;
	if ((p[4] != COM_QUERY && p[4] != COM_STMT_PREPARE) || (total > n && n < 64))
		return false;
	/* Behind the counts of attributes, if the client sends these. */
	at = p[4] == COM_QUERY && !p[5] && p[6] == 1 ? 7 : 5;
	for (uint32_t end = total > n ? 48 : at + 3; at < end; at++)
		if ((p[at] < ' ' && !memchr("\t\r\n", p[at], 3)) || p[at] == 0x7f)
			return false;
	return true;
}

static bool mysql_detect(const char *bytes, uint32_t n)
{
	return greets((const uint8_t *)bytes, n) || is_asking((const uint8_t *)bytes, n);
}

static enum message mysql_begins(const char *bytes, uint32_t n)
{
	if (is_asking((const uint8_t *)bytes, n))
		return MESSAGE_REQUEST;
	return greets((const uint8_t *)bytes, n) ? MESSAGE_RESPONSE : MESSAGE_NONE;
}

static void mysql_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	enum message message = mysql_begins(bytes, n);

	if (c->serves)
		c->request_dir = c->serves;
	else if (message != MESSAGE_NONE)
		c->request_dir = (uint8_t)(1 + (message == MESSAGE_REQUEST ? dir : !dir));
}

/* ---- losses ---------------------------------------------------------------------------------- */

static struct preparing *preparing_at(const struct mysql *my, struct list_node *n)
{
	return n == &my->preparing ? NULL : list_entry(n, struct preparing, link);
}

static void preparing_free(struct pipeline *pl, struct preparing *preparing)
{
	list_remove(&preparing->link);
	statement_release(pl, preparing->st);
	pool_free(&pl->pool, preparing);
}

static void forget_preparing(struct pipeline *pl, struct mysql *my)
{
	while (!list_empty(&my->preparing))
		preparing_free(pl, preparing_at(my, my->preparing.next));
}

static void end_all(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	exchanges_finish(pl, c, end, flags);
	forget_preparing(pl, state_of(c));
}

/* why: WHY() */
static void give_up(struct pipeline *pl, struct conn *c, const char *why)
{
	struct mysql *my = state_of(c);

	if (!my->broken)
		EXPLAIN(APPMON_LOG_DEBUG, pl, &c->id, "pairing is given up: %s", why);
	end_all(pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	my->definitions = my->eofs = 0;
	c->gapped = 1;
	my->broken = true;
}

/* Commands were missed: a number may have been given anew, or another database be in use. */
static void forget_commands(struct pipeline *pl, struct mysql *my)
{
	statements_clear(pl, &my->prepared);
	my->database_len = 0;
}

static void mysql_lose(struct pipeline *pl, struct conn *c, const char *why)
{
	give_up(pl, c, why);
	forget_commands(pl, state_of(c));
}

/* All commands are known, but not what was answered. */
static void lose_answers(struct pipeline *pl, struct conn *c)
{
	struct mysql *my = state_of(c);

	give_up(pl, c, WHY("bytes of answers were missed"));
	if (my->wanted_len)
		my->database_len = my->wanted_len = 0;
}

static void mysql_doubt(struct pipeline *pl, struct conn *c, bool lost)
{
	if (!lost)
		return;
	mysql_lose(pl, c, WHY("a record was lost"));
	frames_lose(&state_of(c)->frames, DIR_IN);
	frames_lose(&state_of(c)->frames, DIR_OUT);
}

static void mysql_missed(struct pipeline *pl, struct conn *c)
{
	mysql_lose(pl, c, WHY("commands were missed"));
}

static void mysql_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	frames_end(pl, c);
	end_all(pl, c, end, flags);
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct exchange *ask(struct pipeline *pl, struct conn *c, int dir, uint32_t command,
			    const struct statement *st, const char *operation,
			    const struct start *start, uint64_t end_ns, uint64_t bytes)
{
	struct mysql *my = state_of(c);
	bool pipelined = exchange_awaiting(c);
	struct exchange *ex = exchange_new(pl, c);

	STAT_ADD(pl, target_of(pl, &c->id), requests, 1);
	if (!ex) {
		mysql_lose(pl, c, WHY("a command was not kept"));
		return NULL;
	}
	if (pipelined)
		ex->flags |= APPMON_EVF_PIPELINED;
	statement_request(pl, c, ex, dir,
			  statement_ask(pl, st, operation, my->database, my->database_len), start,
			  end_ns, bytes);
	pending(ex)->command = (uint8_t)command;
	pending(ex)->mariadb = my->mariadb;
	pending(ex)->sequence = 1;
	pending(ex)->expect = command == COM_STMT_FETCH ? EXPECT_ROWS : EXPECT_RESULT;
	return ex;
}

static void ask_plain(struct pipeline *pl, struct conn *c, int dir, uint32_t command,
		      const char *operation, const struct frame *frame)
{
	struct statement *st = statement_of(pl, operation);
	struct start start = frame_start(frame);

	ask(pl, c, dir, command, st, NULL, &start, frame->end_ns, frame->total);
	statement_release(pl, st);
}

/* Behind the command's byte. With CLIENT_QUERY_ATTRIBUTES two counts stand in front of a query: no
 * attributes, one set of them. */
static struct statement *read_statement(struct pipeline *pl, const struct conn *c,
					const struct frame *frame)
{
	const char *text = (const char *)frame->bytes + 1;
	uint32_t len = frame->captured - 1;
	bool cut = frame->captured < frame->total - frame->header || (frame->flags & FRAME_CUT);

	if (frame->type == COM_QUERY && len >= 2 && !text[0] && text[1] == 1) {
		text += 2;
		len -= 2;
	}
	return statement_new(pl, text, len, state_of(c)->strings | (cut ? SQL_CUT : 0));
}

static const struct statement *prepared_as(const struct mysql *my, const struct frame *frame)
{
	const struct preparing *last = preparing_at(my, my->preparing.prev);
	struct statement_entry *entry;
	uint32_t number;

	if (frame->captured < 5)
		return NULL;
	number = little(frame->bytes + 1, 4);
	if (number == LAST_PREPARED && last)
		return last->st;
	entry = statements_find(&my->prepared,
				number == LAST_PREPARED ? my->last_prepared : number);
	return entry ? entry->st : NULL;
}

static void want_database(struct mysql *my, const char *name, uint32_t len)
{
	my->wanted_len = len <= DATABASE_MAX ? len : 0;
	memcpy(my->wanted, name, my->wanted_len);
}

/* The client's first packet. */
static void meet_login(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	const uint8_t *p = frame->bytes, *end = p + frame->captured;
	struct mysql *my = state_of(c);
	uint64_t auth = 0;

	my->greeted = false;
	ask_plain(pl, c, dir, COM_LOGIN, "CONNECT", frame);
	if (frame->captured < 32)
		return;
	my->can = little(p, 4);
	if ((my->can & CAN_ENCRYPT) && frame->total == 36) {
		struct exchange *ex = exchange_awaiting(c);

		/* What the server answers is encrypted. */
		if (ex && answer_of(pl, ex, 0))
			ex->response_end_ns = frame->end_ns;
		end_all(pl, c, APPMON_END_ENCRYPTED, 0);
		frames_ignore(&my->frames);
		return;
	}
	p = memchr(p + 32, '\0', (size_t)(end - p) - 32);
	if (!p || ++p >= end || !(my->can & CAN_CONNECT_WITH_DB))
		return;
	if (my->can & CAN_LENENC_AUTH)
		p = lenenc(p, end, &auth);
	else if (my->can & CAN_SECURE)
		auth = *p++;
	else
		p = memchr(p, '\0', (size_t)(end - p));
	if (!p || auth >= (uint64_t)(end - p))
		return;
	p += auth + !(my->can & (CAN_LENENC_AUTH | CAN_SECURE));
	if (p < end && memchr(p, '\0', (size_t)(end - p)))
		want_database(my, (const char *)p, (uint32_t)strlen((const char *)p));
}

static const char *operation_of(uint32_t command)
{
	static const char *const names[] = {
		[COM_INIT_DB] = "USE",
		[COM_FIELD_LIST] = "SHOW",
		[5] = "CREATE",
		[6] = "DROP",
		[7] = "FLUSH",
		[8] = "SHUTDOWN",
		[COM_STATISTICS] = "SHOW",
		[0x0a] = "SHOW",
		[0x0c] = "KILL",
		[0x0e] = "PING",
		[COM_CHANGE_USER] = "CONNECT",
		[COM_BINLOG_DUMP] = "BINLOG_DUMP",
		[0x15] = "REGISTER_REPLICA",
		[0x1a] = "RESET",
		[0x1b] = "SET",
		[COM_BINLOG_DUMP_GTID] = "BINLOG_DUMP",
		[COM_RESET_CONNECTION] = "RESET",
	};

	return command < sizeof(names) / sizeof(names[0]) && names[command] ? names[command] : "";
}

/* Its end was not seen. */
static void end_unseen(struct pipeline *pl, struct conn *c, struct exchange *ex)
{
	answer_of(pl, ex, 0);
	ex->flags |= APPMON_EVF_INFERRED_END;
	pending(ex)->uncounted |= pending(ex)->expect != EXPECT_RESULT;
	ex->response_done = 1;
	exchanges_settle(pl, c);
}

/* A new command, whose sender has received all that the server has said: if an answer had begun it is
 * over. What has no answer yet will have it. */
static void settle_before(struct pipeline *pl, struct conn *c)
{
	struct exchange *ex = exchange_awaiting(c);

	if (ex && ex->response_begun)
		end_unseen(pl, c, ex);
}

static void meet_prepare(struct pipeline *pl, struct conn *c, const struct frame *frame)
{
	struct preparing *preparing = pool_alloc_evicting(&pl->pool, sizeof(*preparing));

	if (!preparing) {
		mysql_lose(pl, c, WHY("a statement was not kept"));
		return;
	}
	preparing->st = read_statement(pl, c, frame);
	preparing->start = frame_start(frame);
	preparing->end_ns = frame->end_ns;
	list_append(&state_of(c)->preparing, &preparing->link);
}

static void meet_command(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	bool waited = !frame->received || (int64_t)(frame->received - frame->other_pos) >= 0;
	struct mysql *my = state_of(c);
	struct start start = frame_start(frame);
	struct statement *st;

	if (waited)
		settle_before(pl, c);
	if (my->broken && !(waited && (frame->flags & FRAME_TURN))) {
		forget_commands(pl, my);
		exchange_refuse(pl, c, APPMON_DROP_GAP,
				WHY("a command, and pairing has been given up"));
		return;
	}
	my->broken = false;
	switch (frame->type) {
	case COM_QUIT:
	case COM_STMT_SEND_LONG_DATA:
		break;
	case COM_STMT_CLOSE:
		if (frame->captured >= 5)
			statements_drop(pl, &my->prepared, little(frame->bytes + 1, 4));
		break;
	case COM_QUERY:
		st = read_statement(pl, c, frame);
		ask(pl, c, dir, COM_QUERY, st, NULL, &start, frame->end_ns, frame->total);
		statement_release(pl, st);
		break;
	case COM_STMT_PREPARE:
		meet_prepare(pl, c, frame);
		break;
	case COM_STMT_EXECUTE:
	case COM_STMT_BULK_EXECUTE:
		ask(pl, c, dir, COM_STMT_EXECUTE, prepared_as(my, frame), NULL, &start,
		    frame->end_ns, frame->total);
		break;
	case COM_STMT_FETCH:
		ask(pl, c, dir, COM_STMT_FETCH, prepared_as(my, frame), "FETCH", &start,
		    frame->end_ns, frame->total);
		break;
	default:
		if (frame->type == COM_INIT_DB)
			want_database(my, (const char *)frame->bytes + 1, frame->captured - 1);
		ask_plain(pl, c, dir, frame->type, operation_of(frame->type), frame);
	}
}

static void meet_request(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	struct mysql *my = state_of(c);
	struct exchange *ex = exchange_awaiting(c);

	if (my->greeted) {
		meet_login(pl, c, dir, frame);
		return;
	}
	/* The rest of a long statement, data of LOCAL INFILE, a log-in that goes on. */
	if (frame->head[3]) {
		if (ex && !ex->response_begun)
			ex = exchange_at(c, c->exchanges.prev);
		if (ex) {
			ex->request_body = frame->pos + frame->total - ex->request_pos;
			pending(ex)->sequence = frame->head[3] + 1;
			if (pending(ex)->command == COM_QUERY)
				ex->request_end_ns = frame->end_ns;
		}
		return;
	}
	if (frame->captured)
		meet_command(pl, c, dir, frame);
}

/* ---- responses ------------------------------------------------------------------------------- */

static void meet_status(struct mysql *my, uint32_t status)
{
	my->strings = SQL_MYSQL | (status & STATUS_PLAIN_BACKSLASH ? 0 : SQL_BACKSLASH);
}

static void add_rows(struct pipeline *pl, struct exchange *ex, uint64_t rows_more)
{
	struct answer *answer = answer_of(pl, ex, 0);

	if (answer && !pending(ex)->uncounted)
		answer->rows = (answer->rows < 0 ? 0 : answer->rows) + (int64_t)rows_more;
}

/* A result is over. */
static void result_done(struct pipeline *pl, struct conn *c, struct exchange *ex, uint32_t status,
			uint64_t ts_ns)
{
	meet_status(state_of(c), status);
	if (!(status & STATUS_MORE_RESULTS)) {
		answer_ends(pl, c, ex, ts_ns);
		return;
	}
	/* Its first packet is not copied, as it does not begin a turn: if that is an OK, the next
	 * command tells that it was the last. */
	ex->flags |= APPMON_EVF_MULTI;
	pending(ex)->expect = EXPECT_COLUMNS;
	pending(ex)->columns = 0;
	pending(ex)->between = 0;
	pending(ex)->uncounted = 1;
}

static void meet_error(struct pipeline *pl, struct conn *c, struct exchange *ex,
		       const struct frame *frame)
{
	const uint8_t *text = frame->bytes + 3, *end = frame->bytes + frame->captured;
	uint32_t len, code;
	struct answer *answer;
	char digits[8];

	if (frame->captured < 3)
		return;
	code = little(frame->bytes + 1, 2);
	if (code == 0xffff)
		return; /* MariaDB tells how far it is */
	if (end - text >= 6 && *text == '#')
		text += 6;
	len = pl->flags & APPMON_OPEN_QUERY_TEXT ? (uint32_t)(end - text) : 0;
	answer = answer_of(pl, ex, len);
	snprintf(digits, sizeof(digits), "%u", code);
	if (answer) {
		memcpy(answer->code, digits, sizeof(answer->code));
		memcpy(answer->message, text, answer->message_len);
	}
	EXPLAIN_EXCHANGE(pl, ex, "is answered with an error");
	answer_ends(pl, c, ex, frame->end_ns);
}

/* 0: affected rows, last id, status, warnings. What was asked for is in force. */
static void meet_ok(struct pipeline *pl, struct conn *c, struct exchange *ex,
		    const struct frame *frame)
{
	const uint8_t *end = frame->bytes + frame->captured, *p = frame->bytes + 1;
	struct mysql *my = state_of(c);
	uint32_t command = pending(ex)->command;
	uint64_t affected, id;

	p = lenenc(p, end, &affected);
	p = p ? lenenc(p, end, &id) : NULL;
	if (!p || end - p < 2) {
		answer_ends(pl, c, ex, frame->end_ns);
		return;
	}
	if (command == COM_QUERY || command == COM_STMT_EXECUTE)
		add_rows(pl, ex, affected);
	if (my->wanted_len && (command == COM_LOGIN || command == COM_INIT_DB)) {
		memcpy(my->database, my->wanted, my->wanted_len);
		my->database_len = my->wanted_len;
	}
	my->wanted_len = 0;
	if (command == COM_RESET_CONNECTION || command == COM_CHANGE_USER)
		statements_clear(pl, &my->prepared);
	if (command == COM_LOGIN && (my->can & (CAN_COMPRESS | CAN_ZSTD)))
		ex->flags |= APPMON_EVF_COMPRESSED;
	result_done(pl, c, ex, little(p, 2), frame->end_ns);
	if (command == COM_LOGIN && (my->can & (CAN_COMPRESS | CAN_ZSTD)))
		frames_ignore(&my->frames);
}

/* An answer's first packet. */
static void meet_result(struct pipeline *pl, struct conn *c, struct exchange *ex,
			const struct frame *frame)
{
	const uint8_t *end = frame->bytes + frame->captured, *p;
	struct pending *pd = pending(ex);
	bool login = pd->command == COM_LOGIN || pd->command == COM_CHANGE_USER;
	uint64_t columns;

	if (pd->command == COM_STATISTICS) {
		answer_ends(pl, c, ex, frame->end_ns);
		return;
	}
	if (pd->command == COM_BINLOG_DUMP || pd->command == COM_BINLOG_DUMP_GTID) {
		answer_of(pl, ex, 0);
		end_all(pl, c, APPMON_END_UPGRADED, APPMON_EVF_UPGRADED | APPMON_EVF_REPLICATION);
		frames_ignore(&state_of(c)->frames);
		return;
	}
	if (frame->type == 0) {
		meet_ok(pl, c, ex, frame);
		return;
	}
	/* Another round of the log-in; LOCAL INFILE. */
	if (login || frame->type == 0xfb)
		return;
	if (frame->type == 0xfe) {
		answer_ends(pl, c, ex, frame->end_ns);
		return;
	}
	if (pd->command == COM_FIELD_LIST) {
		pd->expect = EXPECT_ROWS;
		pd->uncounted = 1;
		return;
	}
	p = lenenc(frame->bytes, end, &columns);
	if (!p)
		return;
	/* MariaDB may leave the columns out, and says so. */
	pd->columns = p < end && !*p ? 0 : (uint32_t)columns;
	pd->expect = EXPECT_COLUMNS;
}

static bool is_eof(const struct frame *frame)
{
	return frame->type == 0xfe && frame->total == frame->header + 5;
}

/* 0xfe in front of 4 bytes is EOF, behind the columns or behind the rows; before more it is an OK
 * that ends the rows. */
static void meet_eof(struct pipeline *pl, struct conn *c, struct exchange *ex,
		     const struct frame *frame)
{
	const uint8_t *end = frame->bytes + frame->captured, *p;
	struct pending *pd = pending(ex);
	uint64_t affected, id, between = pd->between + frame->skipped;
	bool eof = is_eof(frame);

	if (frame->captured < 5)
		return;
	pd->between = 0;
	if (eof && pd->expect == EXPECT_COLUMNS) {
		uint32_t status = little(frame->bytes + 3, 2);

		pd->expect = EXPECT_ROWS;
		pd->columns = 0;
		/* Rows come when they are fetched. */
		if (status & STATUS_CURSOR)
			result_done(pl, c, ex, status, frame->end_ns);
		return;
	}
	if ((frame->flags & FRAME_AFTER_UNKNOWN) || between < pd->columns)
		pd->uncounted = 1;
	else
		add_rows(pl, ex, between - pd->columns);
	if (eof) {
		result_done(pl, c, ex, little(frame->bytes + 3, 2), frame->end_ns);
		return;
	}
	p = lenenc(frame->bytes + 1, end, &affected);
	p = p ? lenenc(p, end, &id) : NULL;
	if (p && end - p >= 2)
		result_done(pl, c, ex, little(p, 2), frame->end_ns);
}

/* A row or a column: the first of what is fetched, like any first packet, or one whose number is 1
 * again. */
static void meet_row(struct exchange *ex, const struct frame *frame)
{
	struct pending *pd = pending(ex);

	pd->between += frame->skipped + 1;
	if (frame->flags & FRAME_AFTER_UNKNOWN)
		pd->uncounted = 1;
	if (pd->expect == EXPECT_ROWS && !pd->asked.first_row_ns)
		pd->asked.first_row_ns = frame->end_ns;
}

/* If the next answer is that to a preparing: to which. */
static struct preparing *prepared_next(struct conn *c, const struct start *start)
{
	struct mysql *my = state_of(c);
	struct preparing *preparing = preparing_at(my, my->preparing.next);
	struct exchange *ex = exchange_awaiting(c);

	if (!preparing || (ex && ex->request_pos < preparing->start.pos) ||
	    (int64_t)(start->pos - preparing->start.other_pos) < 0 ||
	    (start->received && (int64_t)(start->received - preparing->start.pos) <= 0))
		return NULL;
	return preparing;
}

static void meet_preparing(struct pipeline *pl, struct conn *c, int dir,
			   struct preparing *preparing, const struct frame *frame)
{
	struct mysql *my = state_of(c);
	struct start start = frame_start(frame);
	struct exchange *ex;

	list_remove(&preparing->link); /* a loss forgets those that are due */
	if (frame->type == 0 && frame->captured >= 5) {
		my->last_prepared = little(frame->bytes + 1, 4);
		statements_put(pl, &my->prepared, my->last_prepared, preparing->st);
		if (frame->captured >= 9) {
			uint32_t columns = little(frame->bytes + 5, 2);
			uint32_t parameters = little(frame->bytes + 7, 2);

			my->definitions = parameters + columns;
			my->eofs = !!parameters + !!columns;
			my->sequence = frame->head[3] + 1;
		}
	} else if (frame->type == 0xff) {
		/* An error of what was only to be prepared is an exchange as well. */
		ex = ask(pl, c, !dir, COM_STMT_PREPARE, preparing->st, NULL, &preparing->start,
			 preparing->end_ns, 0);
		if (ex) {
			answer_begin(pl, c, ex, dir, &start);
			answer_goes_on(ex, frame->pos + frame->total, frame->end_ns);
			meet_error(pl, c, ex, frame);
		}
	}
	preparing_free(pl, preparing);
}

/* Is it one of the packets that tell a prepared statement's parameters and columns? Most are not
 * copied: every 256th is, and EOFs. */
static bool is_definition(struct mysql *my, const struct frame *frame)
{
	uint64_t skipped = frame->skipped;
	bool eof = my->eofs && is_eof(frame);

	my->sequence += (uint8_t)skipped;
	my->definitions -= skipped < my->definitions ? (uint32_t)skipped : my->definitions;
	if (frame->head[3] != my->sequence || !(my->definitions || eof)) {
		my->definitions = my->eofs = 0;
		return false;
	}
	my->sequence++;
	if (eof)
		my->eofs--;
	else
		my->definitions--;
	return true;
}

/* A packet with number 1, where the answer at hand does not have it again: it belongs to the next. */
static bool begins_next(struct conn *c, struct exchange *ex, const struct frame *frame)
{
	const struct pending *pd = pending(ex);

	return frame->head[3] == 1 && ex->response_begun && pd->expect != EXPECT_RESULT &&
	       (uint8_t)(pd->sequence + frame->skipped) != 1 &&
	       (ex->link.next != &c->exchanges || !list_empty(&state_of(c)->preparing));
}

static void meet_greeting(struct conn *c, const struct frame *frame)
{
	struct mysql *my = state_of(c);

	my->greeted = true;
	my->mariadb = memmem(frame->bytes, frame->captured, "MariaDB", 7);
}

static void meet_response(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	struct mysql *my = state_of(c);
	struct start start = frame_start(frame);
	struct exchange *ex = exchange_answered(c, &start);
	struct preparing *preparing;
	struct pending *pd;

	if (my->broken || !frame->captured)
		return;
	if (c->fresh && !c->ordinal && !frame->head[3] && frame->type == 0x0a) {
		meet_greeting(c, frame);
		return;
	}
	if ((my->definitions || my->eofs) && is_definition(my, frame))
		return;
	if (ex && begins_next(c, ex, frame)) {
		end_unseen(pl, c, ex);
		ex = exchange_answered(c, &start);
	}
	preparing = prepared_next(c, &start);
	if (preparing) {
		meet_preparing(pl, c, dir, preparing, frame);
		return;
	}
	if (!ex)
		return;
	pd = pending(ex);
	if (!ex->response_begun && pd->command != COM_LOGIN && pd->command != COM_CHANGE_USER &&
	    frame->head[3] != pd->sequence) {
		mysql_lose(pl, c, WHY("an answer's first packet was not seen"));
		return;
	}
	pd->sequence = frame->head[3] + 1;
	answer_begin(pl, c, ex, dir, &start);
	answer_goes_on(ex, frame->pos + frame->total, frame->end_ns);
	if (frame->type == 0xff)
		meet_error(pl, c, ex, frame);
	else if (frame->type == 0xfe && pd->expect != EXPECT_RESULT)
		meet_eof(pl, c, ex, frame);
	else if (pd->expect == EXPECT_RESULT)
		meet_result(pl, c, ex, frame);
	else
		meet_row(ex, frame);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void mysql_frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	if (is_request(c, dir))
		meet_request(pl, c, dir, frame);
	else
		meet_response(pl, c, dir, frame);
}

static void mysql_passed(struct pipeline *pl, struct conn *c, int dir, const struct passed *passed)
{
	struct mysql *my = state_of(c);
	struct start start = {.pos = passed->pos, .ts_ns = passed->ts_ns};
	struct exchange *ex;

	if (passed->lost) {
		if (is_request(c, dir) && c->ordinal && !my->broken)
			mysql_lose(pl, c, WHY("bytes were missed"));
		else if (is_request(c, dir))
			forget_commands(pl, my);
		else if (c->ordinal && !my->broken)
			lose_answers(pl, c);
		return;
	}
	if (my->broken)
		return;
	ex = exchange_awaiting(c);
	if (!ex)
		return;
	if (is_request(c, dir)) {
		ex->request_body = passed->pos + passed->len - ex->request_pos;
		return;
	}
	/* Before its first packet comes what was told of a statement's preparing. */
	if (passed->pos < ex->floor || pending(ex)->expect == EXPECT_RESULT)
		return;
	answer_begin(pl, c, ex, dir, &start);
	answer_goes_on(ex, passed->pos + passed->len, passed->ts_ns);
	if (!pending(ex)->asked.first_row_ns)
		pending(ex)->asked.first_row_ns = passed->ts_ns;
}

static const struct frame_ops ops = {
	.row = ROW_MYSQL,
	.frame = mysql_frame,
	.passed = mysql_passed,
};

/* ---- the connection -------------------------------------------------------------------------- */

static void mysql_init(struct conn *c, const uint64_t pos[2])
{
	struct mysql *my = state_of(c);

	my->strings = SQL_MYSQL | SQL_BACKSLASH | SQL_UNSURE;
	list_init(&my->preparing);
	frames_init(&my->frames, &ops, c, pos);
}

static void mysql_release(struct pipeline *pl, struct conn *c)
{
	struct mysql *my = state_of(c);

	frames_release(pl, &my->frames);
	statements_clear(pl, &my->prepared);
	forget_preparing(pl, my);
}

static void mysql_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	frames_progress(pl, c, dir, ts_ns);
	if (stream_ends(&c->stream[dir]) && !is_request(c, dir))
		mysql_end(pl, c, APPMON_END_CLOSED, 0);
}

/* ---- the event ------------------------------------------------------------------------------- */

static uint32_t outcome_of(int64_t code)
{
	if (code < 0)
		return APPMON_OUTCOME_OK;
	if (code == 1317) /* the query was interrupted */
		return APPMON_OUTCOME_CANCELLED;
	/* Too many connections, a lock that was not got in time, a deadlock, a lost server. */
	if (code == 1040 || code == 1205 || code == 1213 || code / 1000 == 2)
		return APPMON_OUTCOME_SERVER_ERROR;
	return APPMON_OUTCOME_CLIENT_ERROR;
}

static void mysql_fill(struct event_writer *w, const struct exchange *ex)
{
	struct appmon_event *ev = w->ev;

	ev->system = pending(ex)->mariadb ? (struct appmon_str){.data = "mariadb", .len = 7}
					  : (struct appmon_str){.data = "mysql", .len = 5};
	statement_fill(w, ex);
	if (!ex->response)
		return;
	if (ev->status_text.len)
		ev->status_number = atoi(ev->status_text.data);
	ev->outcome = outcome_of(ev->status_number);
	ev->first_item_ns = pending(ex)->asked.first_row_ns;
	if (pending(ex)->uncounted)
		ev->response_items = -1;
}

const struct protocol protocol_mysql = {
	.id = APPMON_PROTO_MYSQL,
	.conn_size = sizeof(struct mysql),
	.exchange_size = sizeof(struct pending),
	.detect = mysql_detect,
	.begins = mysql_begins,
	.init = mysql_init,
	.release = mysql_release,
	.role = mysql_role,
	.data = frames_data,
	.progress = mysql_progress,
	.framed = frames_framed,
	.doubt = mysql_doubt,
	.missed = mysql_missed,
	.end = mysql_end,
	.event_bytes = statement_event_bytes,
	.fill = mysql_fill,
};
