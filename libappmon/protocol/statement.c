/* SPDX-License-Identifier: BSD-2-Clause */
/* Statements: read once, kept by what they were prepared as, and told. */
#include <string.h>

#include "protocol/sql.h"
#include "protocol/statement.h"

struct statement *statement_of(struct pipeline *pl, const char *operation)
{
	uint32_t len = (uint32_t)strlen(operation);
	struct statement *st = pool_zalloc_evicting(&pl->pool, sizeof(*st) + len);

	if (!st)
		return NULL;
	st->refs = 1;
	st->operation = len;
	memcpy(st->bytes, operation, len);
	return st;
}

static char *append(char *at, const char *bytes, uint32_t n)
{
	memcpy(at, bytes, n);
	return at + n;
}

struct statement *statement_new(struct pipeline *pl, const char *text, uint32_t len, uint32_t flags)
{
	char *told = pool_alloc_evicting(&pl->pool, len + !len), *at;
	bool raw = pl->flags & APPMON_OPEN_QUERY_TEXT;
	struct statement *st;
	uint32_t targets = 0, size;
	struct sql sql;

	if (!told)
		return NULL;
	sql_read(text, len, flags, told, &sql);
	for (uint32_t i = 0; i < sql.target_count; i++)
		targets += 1 + sql.target_len[i];
	size = 2 * sql.operation_len + sql.target_len[0] + targets + (raw ? len : sql.text_len) +
	       sql.traceparent_len;
	st = pool_zalloc_evicting(&pl->pool, sizeof(*st) + size);
	if (st) {
		st->refs = 1;
		st->digest = sql.digest;
		st->operation = sql.operation_len;
		st->resource = sql.target_len[0];
		st->summary = sql.operation_len + targets;
		st->text = raw ? len : sql.text_len;
		st->text_cut = raw ? flags & SQL_CUT : sql.text_cut;
		st->trace = sql.traceparent_len;
		at = append(st->bytes, sql.operation, sql.operation_len);
		at = append(at, sql.target[0], sql.target_len[0]);
		at = append(at, sql.operation, sql.operation_len);
		for (uint32_t i = 0; i < sql.target_count; i++) {
			*at++ = ' ';
			at = append(at, sql.target[i], sql.target_len[i]);
		}
		at = append(at, raw ? text : told, st->text);
		if (sql.traceparent)
			append(at, sql.traceparent, sql.traceparent_len);
	}
	pool_free(&pl->pool, told);
	return st;
}

void statement_release(struct pipeline *pl, struct statement *st)
{
	if (st && !--st->refs)
		pool_free(&pl->pool, st);
}

struct statement *statement_ask(struct pipeline *pl, const struct statement *st,
				const char *operation, const char *database, uint32_t database_len)
{
	static const struct statement unknown = {.unknown = 1};
	uint32_t operation_len, rest;
	struct statement *copy;
	const char *behind;
	char *at;

	if (!st)
		st = &unknown;
	operation_len = operation ? (uint32_t)strlen(operation) : st->operation;
	behind = st->bytes + st->operation;
	rest = st->resource + st->summary + st->text;
	copy = pool_alloc_evicting(&pl->pool,
				   sizeof(*copy) + operation_len + rest + database_len + st->trace);
	if (!copy)
		return NULL;
	*copy = *st;
	copy->operation = operation_len;
	copy->database = database_len;
	at = append(copy->bytes, operation ? operation : st->bytes, operation_len);
	at = append(at, behind, rest);
	at = append(at, database ? database : "", database_len);
	append(at, behind + rest, st->trace);
	return copy;
}

/* The fields that say where it belongs. */
static void statement_trace(const struct statement *st, struct trace_fields *fields)
{
	const char *at =
		st->bytes + st->operation + st->resource + st->summary + st->text + st->database;

	if (st->trace)
		trace_add(fields, TRACE_FIELD_TRACEPARENT, (struct trace_value){at, st->trace});
}

void statement_request(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		       struct statement *request, const struct start *start, uint64_t end_ns,
		       uint64_t bytes)
{
	ex->request = request;
	if (!request)
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its statement"));
	exchange_request(pl, c, ex, dir, start);
	if (pl->causes.buckets) {
		struct trace_fields fields = {0};

		if (request)
			statement_trace(request, &fields);
		cause_request(pl, c, ex, dir, &fields);
	}
	ex->request_end_ns = end_ns;
	ex->request_body = bytes;
	ex->request_done = 1;
	EXPLAIN_EXCHANGE(pl, ex, "begins: %s",
			 request ? word_of(request->bytes, request->operation).text : "");
}

/* ---- by name or number ----------------------------------------------------------------------- */

struct statement_entry *statements_find(const struct statements *s, uint64_t key)
{
	for (uint32_t i = 0; s->entry && i < STATEMENTS_MAX; i++)
		if (s->entry[i].st && s->entry[i].key == key)
			return &s->entry[i];
	return NULL;
}

void statements_drop(struct pipeline *pl, struct statements *s, uint64_t key)
{
	struct statement_entry *entry = statements_find(s, key);

	if (!entry)
		return;
	statement_release(pl, entry->st);
	entry->st = NULL;
}

void statements_put(struct pipeline *pl, struct statements *s, uint64_t key, struct statement *st)
{
	struct statement_entry *entry = statements_find(s, key);

	if (!st) {
		statements_drop(pl, s, key);
		return;
	}
	if (!s->entry) {
		s->entry = pool_zalloc_evicting(&pl->pool, STATEMENTS_MAX * sizeof(*s->entry));
		if (!s->entry)
			return;
	}
	for (uint32_t i = 0; !entry && i < STATEMENTS_MAX; i++)
		if (!s->entry[i].st)
			entry = &s->entry[i];
	if (!entry)
		entry = &s->entry[s->next++ % STATEMENTS_MAX];
	st->refs++;
	statement_release(pl, entry->st);
	*entry = (struct statement_entry){.key = key, .st = st};
}

void statements_clear(struct pipeline *pl, struct statements *s)
{
	for (uint32_t i = 0; s->entry && i < STATEMENTS_MAX; i++)
		statement_release(pl, s->entry[i].st);
	pool_free(&pl->pool, s->entry);
	*s = (struct statements){0};
}

/* ---- answers ---------------------------------------------------------------------------------- */

void answer_begin(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		  const struct start *start)
{
	if (ex->response_begun)
		return;
	STAT_ADD(pl, target_of(pl, &c->id), responses, 1);
	exchange_response(pl, c, ex, dir, start);
	((struct asked *)(void *)ex->own)->response_pos = start->pos;
}

void answer_goes_on(struct exchange *ex, uint64_t pos, uint64_t ts_ns)
{
	ex->response_body = pos - ((struct asked *)(void *)ex->own)->response_pos;
	ex->response_end_ns = ts_ns;
}

struct answer *answer_of(struct pipeline *pl, struct exchange *ex, uint32_t message_len)
{
	struct answer *before = ex->response, *answer;

	if (before && !message_len)
		return before;
	answer = pool_zalloc_evicting(&pl->pool, sizeof(*answer) + message_len);
	if (!answer) {
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its answer"));
		return NULL;
	}
	answer->rows = before ? before->rows : -1;
	answer->message_len = message_len;
	pool_free(&pl->pool, before);
	ex->response = answer;
	return answer;
}

void answer_ends(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t ts_ns)
{
	answer_of(pl, ex, 0);
	ex->response_end_ns = ts_ns;
	ex->response_done = 1;
	exchanges_settle(pl, c);
}

/* ---- the event ------------------------------------------------------------------------------- */

size_t statement_event_bytes(const struct pipeline *pl, const struct exchange *ex)
{
	const struct statement *st = ex->request;
	const struct answer *answer = ex->response;

	(void)pl;
	return (st ? st->operation + st->resource + st->summary + st->text + st->database : 0) +
	       (answer ? answer->message_len + sizeof(answer->code) : 0) + 7;
}

static struct appmon_str put_next(struct event_writer *w, const char **at, uint32_t len)
{
	*at += len;
	return put_copy(w, *at - len, len);
}

void statement_fill(struct event_writer *w, const struct exchange *ex)
{
	const struct statement *st = ex->request;
	const struct answer *answer = ex->response;
	struct appmon_event *ev = w->ev;
	const char *at = st ? st->bytes : "";

	if (st) {
		ev->operation = put_next(w, &at, st->operation);
		ev->resource = put_next(w, &at, st->resource);
		ev->query_summary = put_next(w, &at, st->summary);
		ev->query_text = put_next(w, &at, st->text);
		ev->query_text.truncated = st->text_cut != 0;
		ev->resource_namespace = put_next(w, &at, st->database);
		ev->digest = st->digest;
		ev->operation_type = sql_operation_type(ev->operation.data);
		if (st->unknown)
			ev->flags |= APPMON_EVF_PARTIAL;
		if (st->trace && (w->pl->flags & APPMON_OPEN_TRACE)) {
			struct trace_fields fields = {0};
			struct trace t;

			statement_trace(st, &fields);
			trace_read(&fields, &t);
			ev->trace = t.ids;
		}
	}
	if (!answer) {
		ev->outcome = outcome_unanswered(ex);
		return;
	}
	ev->response_items = answer->rows;
	ev->message = put_copy(w, answer->message, answer->message_len);
	ev->status_text = put_copy(w, answer->code, strnlen(answer->code, sizeof(answer->code)));
}
