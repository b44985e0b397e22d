/* SPDX-License-Identifier: BSD-2-Clause */
/* What PostgreSQL and MySQL share: statements that are kept, and what an event says of them. */
#ifndef APPMON_STATEMENT_H
#define APPMON_STATEMENT_H

#include "exchange/event.h"

/* A statement, from the pool. The strings stand one behind the other, without NUL. */
struct statement {
	uint32_t refs;
	uint32_t text_cut;
	uint64_t digest;
	uint32_t operation, resource, summary, text, database; /* their lengths */
	uint32_t trace;	  /* of sqlcommenter's traceparent, behind them */
	uint32_t unknown; /* what was prepared is not */
	char bytes[];
};

/* What the server answered: exchange.response. */
struct answer {
	int64_t rows; /* -1: not counted */
	uint32_t message_len;
	char code[5]; /* of an error; NULs: there is none */
	char message[];
};

/* One reference, to be given back; NULL: no memory. flags: SQL_*. */
struct statement *statement_new(struct pipeline *pl, const char *text, uint32_t len,
				uint32_t flags);
/* The same of what is no text: an operation only. */
struct statement *statement_of(struct pipeline *pl, const char *operation);
void statement_release(struct pipeline *pl, struct statement *st);
/* A copy for exchange.request, with the database. operation: in place of its own, or NULL. st may be
 * NULL: what was prepared is not known. */
struct statement *statement_ask(struct pipeline *pl, const struct statement *st,
				const char *operation, const char *database, uint32_t database_len);
/* The exchange of that copy, which can be NULL; its request has been sent. */
void statement_request(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		       struct statement *request, const struct start *start, uint64_t end_ns,
		       uint64_t bytes);

/* Statements by name, or by number; the oldest is forgotten. */
#define STATEMENTS_MAX 256

struct statement_entry {
	uint64_t key;
	struct statement *st; /* NULL: free */
	bool used;	      /* PostgreSQL's portals: it has been executed */
};

struct statements {
	struct statement_entry *entry; /* STATEMENTS_MAX, from the pool; NULL: none yet */
	uint32_t next;
};

/* Takes a reference. Without memory, or for st NULL, the key is not known afterwards. */
void statements_put(struct pipeline *pl, struct statements *s, uint64_t key, struct statement *st);
struct statement_entry *statements_find(const struct statements *s, uint64_t key);
void statements_drop(struct pipeline *pl, struct statements *s, uint64_t key);
void statements_clear(struct pipeline *pl, struct statements *s);

/* exchange.own begins with it. */
struct asked {
	uint64_t response_pos; /* where the answer begins */
	uint64_t first_row_ns;
};

/* Its response begins, if it has not. */
void answer_begin(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		  const struct start *start);
/* It goes on up to this position: of what passes uncopied not every byte is told. */
void answer_goes_on(struct exchange *ex, uint64_t pos, uint64_t ts_ns);
/* What is in ex->response, or is there from now on, with room for a message. NULL: no memory; then
 * the exchange will be dropped. */
struct answer *answer_of(struct pipeline *pl, struct exchange *ex, uint32_t message_len);

/* It is over. */
void answer_ends(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t ts_ns);

size_t statement_event_bytes(const struct pipeline *pl, const struct exchange *ex);
void statement_fill(struct event_writer *w, const struct exchange *ex);

#endif /* APPMON_STATEMENT_H */
