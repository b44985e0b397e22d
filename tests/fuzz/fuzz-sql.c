/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for sql.c. The first byte of the input says whose rules hold; the rest is a
 * statement as it is, and then a recipe for one that is put together of words, punctuation,
 * comments, names and literals. With -DFUZZ_STANDALONE it has a main() that runs the files named on
 * the command line, or makes inputs of its own.
 */
#include <string.h>

#include "protocol/sql.h"
#include "target.h"

#define TEXT_MAX 4096

/* Stands in every literal and in nothing else. */
#define SECRET "QZJ"

/* Exactly as large as its content, so that AddressSanitizer sees any over-read. */
static char *exact(const char *data, size_t len)
{
	char *copy = malloc(len ? len : 1);

	CHECK(copy);
	memcpy(copy, data, len);
	return copy;
}

static uint32_t told(const char *text, uint32_t len, uint32_t flags, char *out, struct sql *sql)
{
	char *in = exact(text, len), *room = exact(text, len);

	sql_read(in, len, flags, room, sql);
	CHECK(sql->text_len <= len);
	CHECK((sql->text_len != 0) == (sql->digest != 0));
	CHECK(sql->operation_len <= SQL_OPERATION_MAX && !sql->operation[sql->operation_len]);
	CHECK(sql->target_count <= SQL_TARGETS);
	for (uint32_t i = 0; i < sql->target_count; i++)
		CHECK(sql->target_len[i] && sql->target_len[i] <= SQL_TARGET_MAX);
	CHECK(!sql->traceparent ||
	      (sql->traceparent >= in && sql->traceparent + sql->traceparent_len <= in + len));
	memcpy(out, room, sql->text_len);
	free(room);
	free(in);
	return sql->text_len;
}

/* Cut anywhere, it tells the beginning of the same. */
static void check_cuts(const char *text, uint32_t len, uint32_t flags)
{
	char whole[TEXT_MAX], part[TEXT_MAX];
	struct sql all, some;
	uint32_t n = told(text, len, flags, whole, &all);

	if (!n)
		return;
	for (uint32_t cut = 0; cut < len; cut++) {
		uint32_t m = told(text, cut, flags | SQL_CUT, part, &some);

		CHECK(some.text_cut);
		CHECK(m <= n && !memcmp(part, whole, m));
	}
}

struct recipe {
	const uint8_t *at, *end;
	char text[TEXT_MAX];
	uint32_t len;
	char last;
};

static uint32_t next(struct recipe *r)
{
	return r->at < r->end ? *r->at++ : 0;
}

static void add(struct recipe *r, const char *bytes, size_t n)
{
	if (!n || r->len + n > sizeof(r->text))
		return;
	memcpy(r->text + r->len, bytes, n);
	r->len += (uint32_t)n;
}

static void add_text(struct recipe *r, const char *text)
{
	add(r, text, strlen(text));
}

/* What stands between two quotes; all of it is written as the rules want it. */
static void add_content(struct recipe *r, char quote, bool escapes)
{
	static const char *const odd[] = {"--", "/*", "*/",	"#", "$$", "$1", ";",  "(", ")",
					  ",",	"\n", "SELECT", "1", " ",  "`",	 "\"", "'", "x"};
	uint32_t n = next(r) % 6;

	add_text(r, SECRET);
	while (n--) {
		uint32_t pick = next(r);
		const char *piece = odd[pick % (sizeof(odd) / sizeof(odd[0]))];

		if (*piece == quote)
			add(r, escapes && pick & 128 ? "\\" : &quote, 1);
		else if (pick & 64)
			add_text(r, escapes ? "\\\\" : "\\x");
		add_text(r, piece);
	}
	add_text(r, SECRET);
}

static void add_quoted(struct recipe *r, const char *before, char quote, bool escapes)
{
	add_text(r, before);
	add(r, &quote, 1);
	add_content(r, quote, escapes);
	add(r, &quote, 1);
}

static void add_literal(struct recipe *r, uint32_t flags)
{
	bool mysql = flags & SQL_MYSQL, escapes = flags & SQL_BACKSLASH;

	switch (next(r) % 6) {
	case 0:
		add_quoted(r, "", '\'', escapes);
		break;
	case 1:
		add_quoted(r, mysql ? "" : " E", mysql ? '"' : '\'', mysql ? escapes : true);
		break;
	case 2:
		add_quoted(r, " N", '\'', escapes);
		break;
	case 3:
		add_text(r, " 0x1" SECRET);
		break;
	case 4:
		add_text(r, " 1e-5" SECRET);
		break;
	default:
		if (mysql) {
			add_text(r, " 12" SECRET);
		} else {
			add_text(r, " $t$" SECRET " it's $ $$ \" /* -- " SECRET "$t$");
		}
		break;
	}
}

static void add_comment(struct recipe *r, bool mysql)
{
	switch (next(r) % 4) {
	case 0:
		add_text(r,
			 mysql ? "/* " SECRET "'\" /* */" : "/* " SECRET "'\" /* */ " SECRET "*/");
		break;
	case 1:
		add_text(r, "-- it's \"" SECRET "\n");
		break;
	case 2:
		add_text(r, mysql ? "# it's " SECRET "\n" : "--" SECRET "\n");
		break;
	default:
		add_text(r, mysql ? "/*!50100 WHERE */" : "/**/");
		break;
	}
}

/* No literal's content leaves, wherever the statement is cut. */
static void fuzz_recipe(const uint8_t *data, size_t len, uint32_t flags)
{
	static const char *const words[] = {"SELECT", "FROM",	"t",	  "JOIN",  "IN", "VALUES",
					    "INSERT", "INTO",	"UPDATE", "TABLE", "AS", "WITH",
					    "x",      "ARRAY",	"USING",  "e",	   "b",	 "u",
					    "n",      "DELETE", "MERGE",  "SET",   "u&", "row"};
	static const char *const signs[] = {"(", ")", ",", ";",	 "=",  "-", "+", "*",
					    ".", "[", "]", "::", "<>", "|", "@", ":"};
	struct recipe r = {.at = data, .end = data + len};
	char out[TEXT_MAX];
	struct sql sql;

	while (r.at < r.end && r.len < 1000) {
		uint32_t pick = next(&r);

		/* Of two tokens a third shall not come about. */
		if (pick & 0x80 || pick % 8 < 3)
			add_text(&r, " ");
		if (pick % 8 < 3)
			add_text(&r, words[next(&r) % (sizeof(words) / sizeof(words[0]))]);
		else if (pick % 8 < 5)
			add_literal(&r, flags);
		else if (pick % 8 == 5)
			add_comment(&r, flags & SQL_MYSQL);
		else if (pick % 8 == 6)
			add_text(&r, flags & SQL_MYSQL ? " `it's \"` " : " \"it's `\" ");
		else
			add_text(&r, signs[next(&r) % (sizeof(signs) / sizeof(signs[0]))]);
		/* A word may not be taken for a literal's first letter. */
		if (pick % 8 != 7)
			add_text(&r, " ");
	}
	for (uint32_t cut = 0; cut <= r.len; cut++) {
		uint32_t n = told(r.text, cut, cut < r.len ? flags | SQL_CUT : flags, out, &sql);

		CHECK(!memmem(out, n, SECRET, strlen(SECRET)));
		CHECK(!memmem(sql.operation, sql.operation_len, SECRET, strlen(SECRET)));
		for (uint32_t i = 0; i < sql.target_count; i++)
			CHECK(!memmem(sql.target[i], sql.target_len[i], SECRET, strlen(SECRET)));
	}
	check_cuts(r.text, r.len, flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t flags;

	if (!len || len > 512)
		return 0;
	flags = *data & (SQL_MYSQL | SQL_BACKSLASH | SQL_UNSURE);
	check_cuts((const char *)data + 1, (uint32_t)len - 1, flags);
	fuzz_recipe(data + 1, len - 1, flags);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	static uint8_t data[120];

	return fuzz_main(argc, argv, 5000, data, 2, sizeof(data));
}
#endif
