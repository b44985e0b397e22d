/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What can be told of an SQL statement without its data. Pure functions over caller's memory.
 */
#ifndef APPMON_SQL_H
#define APPMON_SQL_H

#include <stdbool.h>
#include <stdint.h>

#define SQL_OPERATION_MAX 31
#define SQL_TARGETS 3
#define SQL_TARGET_MAX 127

enum {
	SQL_MYSQL = 1 << 0,	/* its lexical rules and MariaDB's; else PostgreSQL's */
	SQL_BACKSLASH = 1 << 1, /* a backslash escapes in '...' */
	SQL_UNSURE = 1 << 2,	/* SQL_BACKSLASH, or its absence, is a guess */
	SQL_CUT = 1 << 3,	/* the statement goes on behind the text */
};

struct sql {
	uint64_t digest;	/* of the sanitised text in lower case; 0: there is none */
	uint32_t text_len;	/* of the sanitised text; 0: the statement cannot be split */
	bool text_cut;		/* the statement goes on behind it */
	uint32_t operation_len; /* 0: the statement has no first word */
	uint32_t target_count;
	uint32_t target_len[SQL_TARGETS];
	char operation[SQL_OPERATION_MAX + 1]; /* upper case */
	/* What it is about: tables, or the procedure of CALL; without quotes, each once. */
	char target[SQL_TARGETS][SQL_TARGET_MAX + 1];
	const char *traceparent; /* in the text, as sqlcommenter has it; NULL: none */
	uint32_t traceparent_len;
};

/*
 * Reads the text once. out gets the sanitised text, which is never longer: it has room for len
 * bytes. In it literals and parameters are '?'; in lists behind IN and in VALUES those elements that
 * begin with one are one; rows behind the first are left out; comments and white space are a blank.
 * What is cut, or could be read in two ways, ends the sanitised text before it.
 */
void sql_read(const char *text, uint32_t len, uint32_t flags, char *out, struct sql *ret);

/* APPMON_OP_* of an operation in upper case. */
uint32_t sql_operation_type(const char *operation);

#endif /* APPMON_SQL_H */
