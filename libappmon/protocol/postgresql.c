/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PostgreSQL, version 3 of its protocol: which answers belong to which statement.
 *
 * The server answers in order. Whatever the client sends belongs to a cycle, which ends with its
 * Query, Sync or FunctionCall, and with the server's ReadyForQuery. A Query is one exchange with all
 * its results. In the extended protocol each Execute is one; Parse, Bind and Describe are part of
 * what comes next. After an error the server passes over everything up to the cycle's end.
 *
 * Rows are not looked at.
 *
 * Secrets: passwords are not copied (see the row), nor is what Bind carries behind the names. See
 * sql.h for literals.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <string.h>

#include "protocol/frames.h"
#include "protocol/protocol.h"
#include "protocol/sql.h"
#include "protocol/statement.h"

#define DATABASE_MAX 63 /* NAMEDATALEN - 1 */
#define SQLSTATE_LEN 5

/* Codes in place of a version, in a client's first message. */
enum { CODE_CANCEL = 80877102, CODE_SSL = 80877103, CODE_GSS = 80877104 };

enum kind { KIND_QUERY, KIND_EXECUTE, KIND_LOGIN };

/* conn.state */
struct postgresql {
	struct frames frames;
	struct statements prepared, portals; /* by a hash of their names */
	struct statement *parsed;	     /* by the last Parse of the cycle at hand */
	struct start parsed_start;
	uint64_t parsed_end_ns;
	uint32_t parsed_cycle;
	uint32_t asked;	   /* cycles that the client has ended */
	uint32_t answered; /* that the server has ended */
	uint32_t strings;  /* SQL_BACKSLASH, SQL_UNSURE */
	uint32_t database_len;
	char database[DATABASE_MAX];
	uint64_t ready_end;  /* the server's bytes end there, with ReadyForQuery; 0: otherwise */
	uint64_t ready_told; /* where the last one ends that was told as a frame */
	bool broken;	     /* which answer belongs to which statement is lost until a silence, */
	bool waits;  /* or until the client goes on: it has asked for one ReadyForQuery at most */
	bool synced; /* a first statement has been seen: cycles count */
	bool secure; /* encryption was asked for */
};

/* exchange.own */
struct pending {
	struct asked asked;
	uint32_t cycle;
	uint8_t kind; /* KIND_* */
	uint8_t results;
	uint8_t copies; /* the client sends data */
	uint8_t pad;
};

static struct postgresql *state_of(const struct conn *c)
{
	return c->state;
}

static struct pending *pending(const struct exchange *ex)
{
	return (struct pending *)(void *)(uintptr_t)ex->own;
}

static uint32_t number(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- detection ------------------------------------------------------------------------------- */

static bool begins_session(const uint8_t *p, uint32_t n)
{
	uint32_t len, code;

	if (n < 8)
		return false;
	len = number(p);
	code = number(p + 4);
	if (code == CODE_SSL || code == CODE_GSS)
		return len == 8;
	if (code == CODE_CANCEL)
		return len >= 16 && len <= 268;
	return code >> 16 == 3 && len >= 9 && len <= 10000;
}

/* A string that ends with NUL. Returns what is behind it, or NULL: its end is not here. */
static const uint8_t *string_end(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *nul = p ? memchr(p, '\0', (size_t)(end - p)) : NULL;

	return nul ? nul + 1 : NULL;
}

static const uint8_t *skip(const uint8_t *p, const uint8_t *end, uint64_t n)
{
	return p && (uint64_t)(end - p) >= n ? p + n : NULL;
}

static uint32_t short_number(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* Codes of formats, 0 or 1: so many as a number in front says. */
static const uint8_t *skip_formats(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *code = skip(p, end, 2);
	uint32_t n = code ? short_number(p) : 0;

	for (; code && n; n--) {
		p = code;
		code = skip(p, end, 2);
		if (code && short_number(p) > 1)
			return NULL;
	}
	return code;
}

/* Does what Bind says fill it? */
static bool is_bind(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *values;
	uint32_t n;

	p = skip_formats(string_end(string_end(p, end), end), end);
	values = skip(p, end, 2);
	n = values ? short_number(p) : 0;
	for (p = values; p && n; n--) {
		values = skip(p, end, 4);
		p = values && number(p) != UINT32_MAX ? skip(values, end, number(p)) : values;
	}
	return p && skip_formats(p, end) == end;
}

/* Is this what such a message holds? cut: there was more of it. */
static bool holds(uint32_t type, const uint8_t *p, const uint8_t *end, bool cut)
{
	const uint8_t *text;

	switch (type) {
	case 'Q':
		text = string_end(p, end);
		return cut ? !text && end - p > 32 : text == end;
	case 'P':
		p = string_end(p, end);
		text = string_end(p, end);
		if (cut)
			return p && (text || end - p > 32);
		return text && end - text >= 2 &&
		       (uint64_t)(end - text) == 2 + 4 * (uint64_t)short_number(text);
	case 'B':
		/* Of a long one the names are here, as a rule, and the formats. */
		return cut ? skip_formats(string_end(string_end(p, end), end), end) != NULL
			   : is_bind(p, end);
	case 'E':
		text = string_end(p, end);
		return text && end - text == 4;
	default:
		return false;
	}
}

/* In the middle of a connection: a message that begins what has an answer. The programs may have
 * copied that one alone, and not all of it. */
static bool is_asking(const uint8_t *p, uint32_t n)
{
	uint32_t total;
	bool exact;

	if (n < 6 || frames_chain(ROW_POSTGRESQL, SIDE_REQUEST, p, n, &exact) < 0)
		return false;
	total = 1 + number(p + 1);
	return holds(p[0], p + 5, p + (total < n ? total : n), total > n);
}

static bool pg_detect(const char *bytes, uint32_t n)
{
	return begins_session((const uint8_t *)bytes, n) || is_asking((const uint8_t *)bytes, n);
}

static enum message pg_begins(const char *bytes, uint32_t n)
{
	bool exact;

	if (pg_detect(bytes, n))
		return MESSAGE_REQUEST;
	if (n < 11 || !memchr("TC123sIE", bytes[0], 8))
		return MESSAGE_NONE;
	return frames_chain(ROW_POSTGRESQL, SIDE_RESPONSE, bytes, n, &exact) >= 2 && exact
		       ? MESSAGE_RESPONSE
		       : MESSAGE_NONE;
}

static void pg_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	if (c->serves)
		c->request_dir = c->serves;
	else if (pg_begins(bytes, n) == MESSAGE_REQUEST)
		c->request_dir = (uint8_t)(1 + dir);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static void forget_parsed(struct pipeline *pl, struct postgresql *pg)
{
	statement_release(pl, pg->parsed);
	pg->parsed = NULL;
}

static void end_all(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	exchanges_finish(pl, c, end, flags);
	forget_parsed(pl, state_of(c));
}

/* Statements were missed: a name may have been given anew. */
static void forget_names(struct pipeline *pl, struct postgresql *pg)
{
	statements_clear(pl, &pg->prepared);
	statements_clear(pl, &pg->portals);
	pg->waits = false;
}

/* why: WHY() */
static void pg_lose(struct pipeline *pl, struct conn *c, const char *why)
{
	struct postgresql *pg = state_of(c);

	if (!pg->broken)
		EXPLAIN(APPMON_LOG_DEBUG, pl, &c->id, "pairing is given up: %s", why);
	end_all(pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	forget_names(pl, pg);
	c->gapped = 1;
	pg->broken = true;
}

/* All that the client has sent is known, but not what was answered. */
static void lose_answers(struct pipeline *pl, struct conn *c)
{
	struct postgresql *pg = state_of(c);

	if (pg->asked - pg->answered > 1) {
		pg_lose(pl, c, WHY("bytes of answers to several statements were missed"));
		return;
	}
	EXPLAIN(APPMON_LOG_DEBUG, pl, &c->id,
		"bytes of an answer were missed: pairing waits for its end");
	end_all(pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	c->gapped = 1;
	pg->broken = pg->waits = true;
}

static void pg_doubt(struct pipeline *pl, struct conn *c, bool lost)
{
	if (!lost)
		return;
	pg_lose(pl, c, WHY("a record was lost"));
	frames_lose(&state_of(c)->frames, DIR_IN);
	frames_lose(&state_of(c)->frames, DIR_OUT);
}

static void pg_missed(struct pipeline *pl, struct conn *c)
{
	pg_lose(pl, c, WHY("statements were missed"));
}

static void pg_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	frames_end(pl, c);
	end_all(pl, c, end, flags);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* What an exchange is made of: takes the request. NULL: it was not kept, and its answers would go to
 * another. */
static struct exchange *ask(struct pipeline *pl, struct conn *c, int dir, enum kind kind,
			    const struct statement *st, const char *operation,
			    const struct start *start, uint64_t end_ns, uint64_t bytes)
{
	struct postgresql *pg = state_of(c);
	bool pipelined = exchange_awaiting(c);
	struct exchange *ex = exchange_new(pl, c);

	STAT_ADD(pl, target_of(pl, &c->id), requests, 1);
	if (!ex) {
		pg_lose(pl, c, WHY("a statement was not kept"));
		return NULL;
	}
	statement_request(pl, c, ex, dir,
			  statement_ask(pl, st, operation, pg->database, pg->database_len), start,
			  end_ns, bytes);
	if (pipelined)
		ex->flags |= APPMON_EVF_PIPELINED;
	pending(ex)->kind = (uint8_t)kind;
	pending(ex)->cycle = pg->asked;
	return ex;
}

static uint64_t name_key(const uint8_t *name, const uint8_t *end)
{
	return XXH64(name, (size_t)(end - name), 0);
}

static struct statement *read_statement(struct pipeline *pl, const struct conn *c, const uint8_t *p,
					const uint8_t *end, bool cut)
{
	const uint8_t *nul = memchr(p, '\0', (size_t)(end - p));

	return statement_new(pl, (const char *)p, (uint32_t)((nul ? nul : end) - p),
			     state_of(c)->strings | (cut && !nul ? SQL_CUT : 0));
}

static void meet_query(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	struct statement *st = read_statement(pl, c, frame->bytes, frame->bytes + frame->captured,
					      frame->captured < frame->total - frame->header);
	struct start start = frame_start(frame);

	ask(pl, c, dir, KIND_QUERY, st, NULL, &start, frame->end_ns, frame->total);
	statement_release(pl, st);
	state_of(c)->asked++;
}

static void meet_parse(struct pipeline *pl, struct conn *c, const struct frame *frame)
{
	struct postgresql *pg = state_of(c);
	const uint8_t *end = frame->bytes + frame->captured, *p = string_end(frame->bytes, end);
	struct statement *st;

	if (!p)
		return;
	/* Behind the text are the types of its parameters. */
	st = read_statement(pl, c, p, end, frame->captured < frame->total - frame->header);
	statements_put(pl, &pg->prepared, name_key(frame->bytes, p), st);
	forget_parsed(pl, pg);
	pg->parsed = st;
	pg->parsed_start = frame_start(frame);
	pg->parsed_end_ns = frame->end_ns;
	pg->parsed_cycle = pg->asked;
}

static void meet_bind(struct pipeline *pl, struct conn *c, const struct frame *frame)
{
	struct postgresql *pg = state_of(c);
	const uint8_t *end = frame->bytes + frame->captured, *name = string_end(frame->bytes, end);
	const uint8_t *behind = name ? string_end(name, end) : NULL;
	struct statement_entry *prepared = NULL;

	if (!name)
		return;
	if (behind)
		prepared = statements_find(&pg->prepared, name_key(name, behind));
	statements_put(pl, &pg->portals, name_key(frame->bytes, name),
		       prepared ? prepared->st : NULL);
}

static void meet_execute(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	struct postgresql *pg = state_of(c);
	const uint8_t *end = frame->bytes + frame->captured, *p = string_end(frame->bytes, end);
	struct statement_entry *portal = NULL;
	struct start start = frame_start(frame);

	if (p)
		portal = statements_find(&pg->portals, name_key(frame->bytes, p));
	ask(pl, c, dir, KIND_EXECUTE, portal ? portal->st : NULL,
	    portal && portal->used ? "FETCH" : NULL, &start, frame->end_ns, frame->total);
	if (portal && !pg->broken)
		portal->used = true;
}

static void meet_close(struct pipeline *pl, struct conn *c, const struct frame *frame)
{
	struct postgresql *pg = state_of(c);
	const uint8_t *end = frame->bytes + frame->captured, *p;

	if (!frame->captured)
		return;
	p = string_end(frame->bytes + 1, end);
	if (p)
		statements_drop(pl, frame->bytes[0] == 'S' ? &pg->prepared : &pg->portals,
				name_key(frame->bytes + 1, p));
}

/* The pairs of a startup message: only the database is told. Its default is the user's name. */
static void read_database(struct postgresql *pg, const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p) {
		const uint8_t *value = string_end(p, end), *next;
		bool database, user;
		size_t len;

		if (!value)
			return;
		next = string_end(value, end);
		if (!next)
			return;
		database = !strcmp((const char *)p, "database");
		user = !strcmp((const char *)p, "user");
		len = (size_t)(next - value) - 1;
		if ((database || (user && !pg->database_len)) && len <= DATABASE_MAX) {
			memcpy(pg->database, value, len);
			pg->database_len = (uint32_t)len;
		}
		p = next;
	}
}

static void meet_startup(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	static const struct answer none = {.rows = -1};
	struct postgresql *pg = state_of(c);
	struct exchange *ex = exchange_awaiting(c);
	struct start start = frame_start(frame);
	uint32_t code = frame->captured >= 4 ? number(frame->bytes) : 0;
	struct statement *st;

	if (code != CODE_CANCEL && code != CODE_SSL && code != CODE_GSS)
		read_database(pg, frame->bytes + 4, frame->bytes + frame->captured);
	pg->secure = code == CODE_SSL || code == CODE_GSS;
	/* It was refused, and now comes the log-in proper, or another kind is asked for. */
	if (ex && pending(ex)->kind == KIND_LOGIN) {
		pool_free(&pl->pool, ex->request);
		ex->request = NULL;
		st = statement_of(pl, "CONNECT");
		if (st)
			ex->request = statement_ask(pl, st, NULL, pg->database, pg->database_len);
		if (!ex->request)
			exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its statement"));
		ex->request_end_ns = frame->end_ns;
		ex->request_body = frame->pos + frame->total - ex->request_pos;
		statement_release(pl, st);
		return;
	}
	st = statement_of(pl, code == CODE_CANCEL ? "CANCEL" : "CONNECT");
	ex = ask(pl, c, dir, KIND_LOGIN, st, NULL, &start, frame->end_ns, frame->total);
	statement_release(pl, st);
	if (!ex || code != CODE_CANCEL)
		return;
	/* The server closes without a word. */
	ex->response = pool_alloc_evicting(&pl->pool, sizeof(struct answer));
	if (ex->response)
		memcpy(ex->response, &none, sizeof(none));
	else
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its answer"));
	ex->response_done = 1;
	exchanges_settle(pl, c);
}

/* The oldest that belongs to the cycle which the server is in. */
static struct exchange *answered(struct conn *c)
{
	struct exchange *ex = exchange_awaiting(c);

	return ex && pending(ex)->cycle == state_of(c)->answered ? ex : NULL;
}

/* Data of COPY up to this position, or its end, or a password. */
static void goes_on(struct conn *c, uint64_t pos, uint64_t ts_ns)
{
	struct exchange *ex = answered(c);

	if (!ex || (!pending(ex)->copies && pending(ex)->kind != KIND_LOGIN))
		return;
	ex->request_body = pos - ex->request_pos;
	if (pending(ex)->copies)
		ex->request_end_ns = ts_ns;
}

static void meet_request(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	struct postgresql *pg = state_of(c);
	struct exchange *ex;

	if (pg->broken)
		return;
	if (!pg->synced && frame->type && !memchr("QPBECDFS", (int)frame->type, 8))
		return;
	pg->synced = true;
	switch (frame->type) {
	case 0:
		meet_startup(pl, c, dir, frame);
		if (!pg->secure)
			pg->asked++;
		break;
	case 'Q':
		meet_query(pl, c, dir, frame);
		break;
	case 'F': {
		struct statement *st = statement_of(pl, "CALL");
		struct start start = frame_start(frame);

		ask(pl, c, dir, KIND_QUERY, st, NULL, &start, frame->end_ns, frame->total);
		statement_release(pl, st);
		pg->asked++;
		break;
	}
	case 'P':
		meet_parse(pl, c, frame);
		break;
	case 'B':
		meet_bind(pl, c, frame);
		break;
	case 'E':
		meet_execute(pl, c, dir, frame);
		break;
	case 'C':
		meet_close(pl, c, frame);
		break;
	case 'S':
		pg->asked++;
		break;
	case 'c':
	case 'f':
		goes_on(c, frame->pos + frame->total, frame->end_ns);
		ex = answered(c);
		/* A Sync during COPY does not count. */
		if (ex && pending(ex)->copies && pending(ex)->kind == KIND_EXECUTE)
			pg->asked = pending(ex)->cycle;
		break;
	case 'p':
		goes_on(c, frame->pos + frame->total, frame->end_ns);
		break;
	default:
		break;
	}
}

/* ---- responses ------------------------------------------------------------------------------- */

/* The server agrees, and what follows is no protocol of ours. */
static void leave(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame,
		  uint32_t end, uint64_t flags)
{
	struct exchange *ex = answered(c);
	struct start start = frame_start(frame);

	if (ex) {
		answer_begin(pl, c, ex, dir, &start);
		answer_of(pl, ex, 0);
		ex->response_end_ns = frame->end_ns;
	}
	end_all(pl, c, end, flags);
	frames_ignore(&state_of(c)->frames);
}

/* "SELECT 5", "INSERT 0 3", "CREATE TABLE": a number at the end counts rows. */
static int64_t rows_of(const uint8_t *tag, uint32_t n)
{
	const uint8_t *nul = memchr(tag, '\0', n);
	uint32_t at;
	int64_t count = 0;

	if (!nul)
		return -1;
	n = at = (uint32_t)(nul - tag);
	while (at && tag[at - 1] >= '0' && tag[at - 1] <= '9' && n - at < 18)
		at--;
	if (at == n || !at || tag[at - 1] != ' ')
		return -1;
	for (; at < n; at++)
		count = count * 10 + (tag[at] - '0');
	return count;
}

static void meet_complete(struct pipeline *pl, struct conn *c, const struct frame *frame)
{
	struct exchange *ex = answered(c);
	struct answer *answer;
	int64_t count;

	if (!ex)
		return;
	answer = answer_of(pl, ex, 0);
	count = rows_of(frame->bytes, frame->captured);
	if (answer && count >= 0)
		answer->rows = answer->rows < 0 ? count : answer->rows + count;
	if (pending(ex)->results < UINT8_MAX && ++pending(ex)->results == 2)
		ex->flags |= APPMON_EVF_MULTI;
	pending(ex)->copies = 0;
	if (pending(ex)->kind == KIND_EXECUTE)
		answer_ends(pl, c, ex, frame->end_ns);
}

/* An error of what was only to be prepared is an exchange as well. */
static struct exchange *prepared_only(struct pipeline *pl, struct conn *c, int dir)
{
	struct postgresql *pg = state_of(c);
	struct exchange *ex;

	if (!pg->parsed || pg->parsed_cycle != pg->answered)
		return NULL;
	ex = ask(pl, c, !dir, KIND_EXECUTE, pg->parsed, NULL, &pg->parsed_start, pg->parsed_end_ns,
		 0);
	if (ex)
		pending(ex)->cycle = pg->answered;
	return ex;
}

static void meet_error(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	struct exchange *ex = answered(c);
	const uint8_t *p = frame->bytes, *end = p + frame->captured, *code = NULL, *text = NULL;
	uint32_t text_len = 0;
	struct answer *answer;
	struct start start = frame_start(frame);

	while (p < end && *p) {
		const uint8_t *next = string_end(p + 1, end);

		if (*p == 'C' && next == p + 2 + SQLSTATE_LEN)
			code = p + 1;
		if (*p == 'M') {
			text = p + 1;
			text_len = (uint32_t)((next ? next - 1 : end) - text);
		}
		if (!next)
			break;
		p = next;
	}
	if (!ex)
		ex = prepared_only(pl, c, dir);
	if (!ex) {
		EXPLAIN_CONN(pl, &c->id, "an error that answers no statement");
		return;
	}
	answer_begin(pl, c, ex, dir, &start);
	if (!(pl->flags & APPMON_OPEN_QUERY_TEXT))
		text_len = 0; /* it may repeat literals */
	answer = answer_of(pl, ex, text_len);
	if (answer && answer->message_len)
		memcpy(answer->message, text, answer->message_len);
	if (answer)
		memcpy(answer->code, code ? code : (const uint8_t *)"XX000", SQLSTATE_LEN);
	EXPLAIN_EXCHANGE(pl, ex, "is answered with an error");
	ex->response_end_ns = frame->end_ns;
	/* A Query ends with ReadyForQuery; a log-in that has failed with the connection. */
	if (pending(ex)->kind != KIND_QUERY) {
		ex->response_done = 1;
		exchanges_settle(pl, c);
	}
}

static void meet_ready(struct pipeline *pl, struct conn *c, uint64_t ts_ns)
{
	struct postgresql *pg = state_of(c);
	struct exchange *ex;

	/* To what came before the attach. */
	if (pg->answered == pg->asked)
		return;
	while ((ex = answered(c))) {
		if (pending(ex)->kind == KIND_EXECUTE) {
			exchange_finish(pl, c, ex, APPMON_END_ABANDONED, 0);
			continue;
		}
		answer_ends(pl, c, ex, ts_ns);
	}
	if (pg->parsed && pg->parsed_cycle == pg->answered)
		forget_parsed(pl, pg);
	pg->answered++;
}

/* standard_conforming_strings says what a backslash is. */
static void meet_parameter(struct postgresql *pg, const struct frame *frame)
{
	static const char name[] = "standard_conforming_strings";
	const uint8_t *end = frame->bytes + frame->captured;

	if (frame->captured < sizeof(name) + 2 || memcmp(frame->bytes, name, sizeof(name)) != 0 ||
	    !string_end(frame->bytes + sizeof(name), end))
		return;
	pg->strings =
		strcmp((const char *)frame->bytes + sizeof(name), "on") != 0 ? SQL_BACKSLASH : 0;
}

static void meet_single(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	struct postgresql *pg = state_of(c);

	if (pg->secure && (frame->type == 'S' || frame->type == 'G'))
		leave(pl, c, dir, frame, APPMON_END_ENCRYPTED, 0);
	pg->secure = false;
}

static void meet_response(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	struct postgresql *pg = state_of(c);
	struct exchange *ex = answered(c);
	struct start start = frame_start(frame);

	if (pg->broken)
		return;
	if (frame->flags & FRAME_SINGLE) {
		meet_single(pl, c, dir, frame);
		return;
	}
	if (frame->type == 'A')
		return; /* a notification can come at any time */
	if (ex && !exchange_answered(c, &start))
		return; /* what it sent before */
	if (ex) {
		answer_begin(pl, c, ex, dir, &start);
		answer_goes_on(ex, frame->pos + frame->total, frame->end_ns);
	}
	switch (frame->type) {
	case 'C':
		meet_complete(pl, c, frame);
		break;
	case 'E':
		meet_error(pl, c, dir, frame);
		break;
	case 'I':
	case 's':
		if (ex && pending(ex)->kind == KIND_EXECUTE)
			answer_ends(pl, c, ex, frame->end_ns);
		break;
	case 'G':
		if (ex)
			pending(ex)->copies = 1;
		break;
	case 'W':
		leave(pl, c, dir, frame, APPMON_END_UPGRADED,
		      APPMON_EVF_REPLICATION | APPMON_EVF_UPGRADED);
		break;
	case 'S':
		meet_parameter(pg, frame);
		break;
	case 'Z':
		meet_ready(pl, c, frame->end_ns);
		break;
	default:
		break;
	}
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* No more than one statement waits: whatever is answered, it is that one. */
static bool is_alone(struct conn *c)
{
	const struct postgresql *pg = state_of(c);
	struct exchange *ex = exchange_awaiting(c);

	return pg->asked - pg->answered <= 1 && (!ex || ex->link.next == &c->exchanges);
}

/* Before this frame others may have passed that nobody saw. */
static void meet_after_unknown(struct pipeline *pl, struct conn *c, int dir)
{
	struct postgresql *pg = state_of(c);

	if (!pg->synced || pg->broken)
		return;
	if (is_request(c, dir))
		pg_lose(pl, c, WHY("statements may have been missed"));
	else if (!is_alone(c))
		lose_answers(pl, c);
}

static void pg_frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame)
{
	if (frame->flags & FRAME_AFTER_UNKNOWN)
		meet_after_unknown(pl, c, dir);
	if (frame->type == 'Z' && !is_request(c, dir))
		state_of(c)->ready_told = frame->pos + frame->total;
	if (is_request(c, dir))
		meet_request(pl, c, dir, frame);
	else
		meet_response(pl, c, dir, frame);
}

static void pg_passed(struct pipeline *pl, struct conn *c, int dir, const struct passed *passed)
{
	struct postgresql *pg = state_of(c);
	struct start start = {.pos = passed->pos, .ts_ns = passed->ts_ns};
	bool paired = pg->synced && !pg->broken;
	struct exchange *ex;

	if (passed->lost) {
		if (!is_request(c, dir) && paired)
			lose_answers(pl, c);
		else if (is_request(c, dir) && paired)
			pg_lose(pl, c, WHY("bytes were missed"));
		else if (is_request(c, dir))
			forget_names(pl, pg);
		return;
	}
	if (pg->broken)
		return;
	if (is_request(c, dir)) {
		goes_on(c, passed->pos + passed->len, passed->ts_ns);
		return;
	}
	ex = answered(c);
	if (!ex || passed->pos < ex->floor)
		return;
	answer_begin(pl, c, ex, dir, &start);
	answer_goes_on(ex, passed->pos + passed->len, passed->ts_ns);
	if (!pending(ex)->asked.first_row_ns)
		pending(ex)->asked.first_row_ns = passed->ts_ns;
}

static const struct frame_ops ops = {
	.row = ROW_POSTGRESQL,
	.frame = pg_frame,
	.passed = pg_passed,
};

/* ---- the connection -------------------------------------------------------------------------- */

static void pg_init(struct conn *c, const uint64_t pos[2])
{
	struct postgresql *pg = state_of(c);

	pg->strings = SQL_UNSURE;
	frames_init(&pg->frames, &ops, c, pos);
}

static void pg_release(struct pipeline *pl, struct conn *c)
{
	struct postgresql *pg = state_of(c);

	frames_release(pl, &pg->frames);
	statements_clear(pl, &pg->prepared);
	statements_clear(pl, &pg->portals);
	forget_parsed(pl, pg);
}

/* Do the server's bytes end with ReadyForQuery? */
static bool ends_ready(const struct chunk *chunk)
{
	static const char ready[] = "Z\0\0\0\5";
	const char *message = chunk->tail + chunk->tail_len - sizeof(ready);

	return chunk->tail_len >= sizeof(ready) && !(chunk->flags & CHUNK_MORE) &&
	       !memcmp(message, ready, sizeof(ready) - 1) &&
	       memchr("ITE", message[sizeof(ready) - 1], 3);
}

/* The client goes on after a loss. */
static void take_up(struct pipeline *pl, struct conn *c, const struct chunk *chunk)
{
	struct postgresql *pg = state_of(c);

	if (pg->waits && pg->ready_end && chunk->received == pg->ready_end) {
		EXPLAIN_CONN(pl, &c->id, "it has the end of the answer: pairing begins anew");
	} else if (!(chunk->flags & CHUNK_TURN)) {
		forget_names(pl, pg);
		return;
	} else if (conn_was_quiet(c, chunk, QUIET_NS)) {
		EXPLAIN_CONN(pl, &c->id, "a silence: pairing begins anew");
		pg->synced = false;
	} else {
		forget_names(pl, pg);
		exchange_refuse(pl, c, APPMON_DROP_GAP,
				WHY("statements, and pairing has been given up"));
		return;
	}
	pg->broken = pg->waits = false;
	pg->asked = pg->answered;
	pg->ready_told = pg->ready_end;
}

static void pg_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct postgresql *pg = state_of(c);

	if (!is_request(c, dir)) {
		pg->ready_end = ends_ready(chunk) ? chunk->pos + chunk->len : 0;
	} else {
		/* The programs had lost their place. */
		if (pg->ready_end > pg->ready_told && pg->synced && !pg->broken)
			lose_answers(pl, c);
		if (pg->broken)
			take_up(pl, c, chunk);
	}
	frames_data(pl, c, dir, chunk);
}

static void pg_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	frames_progress(pl, c, dir, ts_ns);
	if (stream_ends(&c->stream[dir]) && !is_request(c, dir))
		pg_end(pl, c, APPMON_END_CLOSED, 0);
}

/* ---- the event ------------------------------------------------------------------------------- */

static uint32_t outcome_of(const char *sqlstate)
{
	static const char elsewhere[][3] = {"08", "53", "57", "58", "XX"};

	if (!*sqlstate)
		return APPMON_OUTCOME_OK;
	if (!strcmp(sqlstate, "57014"))
		return APPMON_OUTCOME_CANCELLED;
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (!memcmp(sqlstate, elsewhere[i], 2))
			return APPMON_OUTCOME_SERVER_ERROR;
	return APPMON_OUTCOME_CLIENT_ERROR;
}

static void pg_fill(struct event_writer *w, const struct exchange *ex)
{
	struct appmon_event *ev = w->ev;

	ev->system = (struct appmon_str){.data = "postgresql", .len = 10};
	statement_fill(w, ex);
	if (ex->response)
		ev->outcome = outcome_of(ev->status_text.data);
	else if (ex->end == APPMON_END_ABANDONED)
		ev->outcome = APPMON_OUTCOME_CANCELLED;
	/* What passes uncopied can be a notice as well. */
	ev->first_item_ns = ev->response_items > 0 ? pending(ex)->asked.first_row_ns : 0;
}

const struct protocol protocol_postgresql = {
	.id = APPMON_PROTO_POSTGRESQL,
	.conn_size = sizeof(struct postgresql),
	.exchange_size = sizeof(struct pending),
	.detect = pg_detect,
	.begins = pg_begins,
	.init = pg_init,
	.release = pg_release,
	.role = pg_role,
	.data = pg_data,
	.progress = pg_progress,
	.framed = frames_framed,
	.doubt = pg_doubt,
	.missed = pg_missed,
	.end = pg_end,
	.event_bytes = statement_event_bytes,
	.fill = pg_fill,
};
