/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SQL without a grammar: one pass over words, names, literals and punctuation. The lexical rules are
 * those of PostgreSQL's manual (4.1 Lexical Structure) and of MySQL's (11.1 Literal Values, 11.2
 * Schema Object Names, 11.7 Comments).
 *
 * Literals never leave. Where text has two readings, by a setting of the server that is not known,
 * the sanitised text ends: otherwise a literal could be taken for what is between two others.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>

#include <appmon/appmon.h>

#include "protocol/sql.h"

#define LEVELS 64 /* of brackets; further inside lists are not shortened */
#define NAMES_MAX 16

enum keyword {
	KW_NONE,
	KW_ARRAY,
	KW_AS,
	KW_CALL,
	KW_DELETE,
	KW_DISTINCT,
	KW_EXPLAINS, /* a statement may follow */
	KW_FROM,
	KW_IN,
	KW_INSERT, /* a table may follow at once */
	KW_INTO,
	KW_JOIN,
	KW_LOCK,
	KW_MERGE,
	KW_MODIFIER, /* stands between the word that announces a table, and the table */
	KW_NEVER,    /* no table's name, nor an alias */
	KW_RECURSIVE,
	KW_REVOKE,
	KW_SELECT,
	KW_TABLE,
	KW_TABLES,
	KW_UPDATE,
	KW_USING,
	KW_VALUES,
	KW_WITH,
};

/* In order. */
static const struct keyword_entry {
	const char *word;
	enum keyword keyword;
} keywords[] = {
	{"ANALYZE", KW_EXPLAINS},
	{"ARRAY", KW_ARRAY},
	{"AS", KW_AS},
	{"CALL", KW_CALL},
	{"CONCURRENTLY", KW_MODIFIER},
	{"COPY", KW_INSERT},
	{"CROSS", KW_NEVER},
	{"DELAYED", KW_MODIFIER},
	{"DELETE", KW_DELETE},
	{"DESC", KW_INSERT},
	{"DESCRIBE", KW_INSERT},
	{"DISTINCT", KW_DISTINCT},
	{"DUAL", KW_NEVER},
	{"DUMPFILE", KW_NEVER},
	{"EXCEPT", KW_NEVER},
	{"EXISTS", KW_MODIFIER},
	{"EXPLAIN", KW_EXPLAINS},
	{"FETCH", KW_NEVER},
	{"FOR", KW_NEVER},
	{"FROM", KW_FROM},
	{"FULL", KW_NEVER},
	{"GROUP", KW_NEVER},
	{"HAVING", KW_NEVER},
	{"HIGH_PRIORITY", KW_MODIFIER},
	{"IF", KW_MODIFIER},
	{"IGNORE", KW_MODIFIER},
	{"IN", KW_IN},
	{"INNER", KW_NEVER},
	{"INSERT", KW_INSERT},
	{"INTERSECT", KW_NEVER},
	{"INTO", KW_INTO},
	{"JOIN", KW_JOIN},
	{"LATERAL", KW_MODIFIER},
	{"LEFT", KW_NEVER},
	{"LIMIT", KW_NEVER},
	{"LOCK", KW_LOCK},
	{"LOW_PRIORITY", KW_MODIFIER},
	{"MERGE", KW_MERGE},
	{"NATURAL", KW_NEVER},
	{"NOT", KW_MODIFIER},
	{"OFFSET", KW_NEVER},
	{"ON", KW_NEVER},
	{"ONLY", KW_MODIFIER},
	{"ORDER", KW_NEVER},
	{"OUTFILE", KW_NEVER},
	{"QUICK", KW_MODIFIER},
	{"RECURSIVE", KW_RECURSIVE},
	{"REPLACE", KW_INSERT},
	{"RETURNING", KW_NEVER},
	{"REVOKE", KW_REVOKE},
	{"RIGHT", KW_NEVER},
	{"SELECT", KW_SELECT},
	{"SET", KW_NEVER},
	{"STDIN", KW_NEVER},
	{"STDOUT", KW_NEVER},
	{"STRAIGHT_JOIN", KW_NEVER},
	{"TABLE", KW_TABLE},
	{"TABLES", KW_TABLES},
	{"TEMP", KW_MODIFIER},
	{"TEMPORARY", KW_MODIFIER},
	{"TO", KW_NEVER},
	{"TRUNCATE", KW_INSERT},
	{"UNION", KW_NEVER},
	{"UPDATE", KW_UPDATE},
	{"USING", KW_USING},
	{"VALUE", KW_VALUES},
	{"VALUES", KW_VALUES},
	{"WHERE", KW_NEVER},
	{"WINDOW", KW_NEVER},
	{"WITH", KW_WITH},
};

enum token { TOKEN_NONE, TOKEN_WORD, TOKEN_LITERAL, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_OTHER };

/* What a name would be, if one came next. */
enum expect {
	EXPECT_NONE,
	EXPECT_TARGET,
	EXPECT_DOT,  /* a target's name has come, perhaps its first part */
	EXPECT_PART, /* behind the dot */
	EXPECT_ALIAS,
	EXPECT_COMMA, /* another target */
};

struct scan {
	const char *at, *end;
	uint32_t flags;
	struct sql *ret;
	bool over;   /* the sanitised text ends here */
	bool failed; /* the text cannot be split */

	/* What is written. */
	char *out;
	uint32_t len;
	bool blank;	  /* white space stood before the token at hand */
	char held;	  /* ',' or ';': told with what follows. 0: none */
	bool held_blank;  /* white space stood before it */
	uint32_t silence; /* 1 + the level of which a part is not told; 0: all is told */
	bool in_element;  /* that part is an element of a list, else a row in brackets */

	/* Levels of brackets; bit n: of level n. */
	uint32_t level;
	uint64_t fresh;	 /* no word has stood there yet */
	uint64_t list;	 /* elements that begin with a literal are one ... */
	uint64_t led;	 /* ... if the one before does */
	uint64_t rows;	 /* a row has ended, and another may follow */
	uint64_t query;	 /* FROM has tables behind it */
	uint64_t tables; /* WITH has begun, the statement that it is for has not */

	enum token last;
	enum keyword last_keyword; /* of the last token, if it was a word */
	bool in_comment;	   /* that MySQL executes */

	enum expect expect;
	bool callable;		/* a bracket behind the name makes it a function */
	bool named;		/* a name of WITH is next */
	bool qualified, spoilt; /* of the target at hand */
	uint32_t name_len;
	char name[SQL_TARGET_MAX + 1];
	uint32_t with_count;
	uint64_t with[NAMES_MAX]; /* hashes of names that are no tables */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool begins_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool in_word(char c)
{
	return begins_word(c) || is_digit(c) || c == '$';
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char peek(const struct scan *s, uint32_t n)
{
	return s->end - s->at > (int64_t)n ? s->at[n] : '\0';
}

static bool is_mysql(const struct scan *s)
{
	return s->flags & SQL_MYSQL;
}

static uint64_t level_bit(const struct scan *s)
{
	return s->level < LEVELS ? UINT64_C(1) << s->level : 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put(struct scan *s, const char *bytes, uint32_t n)
{
	if (!s->silence) {
		if (s->held) {
			if (s->held_blank)
				s->out[s->len++] = ' ';
			s->out[s->len++] = s->held;
		}
		if (s->blank && s->len)
			s->out[s->len++] = ' ';
		memcpy(s->out + s->len, bytes, n);
		s->len += n;
	}
	if (s->held == ',')
		s->led &= ~level_bit(s);
	s->held = 0;
	s->blank = false;
}

static void unput(struct scan *s)
{
	s->held = 0;
	s->blank = false;
}

/* The statement goes on, but is not told. */
static void cut(struct scan *s)
{
	s->over = true;
	s->ret->text_cut = true;
}

/* No end of a literal, a name or a comment is in the text. */
static void endless(struct scan *s)
{
	if (s->flags & SQL_CUT)
		cut(s);
	else
		s->failed = true;
}

/* ---- targets --------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *name, uint32_t len)
{
	char low[SQL_TARGET_MAX + 1];

	for (uint32_t i = 0; i < len; i++)
		low[i] = lower(name[i]);
	return XXH64(low, len, 0);
}

static void name_add(struct scan *s, const char *bytes, uint32_t n)
{
	if (n > SQL_TARGET_MAX - s->name_len) {
		s->spoilt = true;
		return;
	}
	memcpy(s->name + s->name_len, bytes, n);
	s->name_len += n;
}

/* A word, or a name without its quotes, each of which may stand there twice for one. */
static void name_read(struct scan *s, const char *bytes, uint32_t n, char quote)
{
	for (uint32_t i = 0; i < n; i++) {
		name_add(s, bytes + i, 1);
		if (quote && bytes[i] == quote)
			i++;
	}
}

static void target_begin(struct scan *s)
{
	s->name_len = 0;
	s->qualified = s->spoilt = false;
}

static void target_done(struct scan *s)
{
	struct sql *ret = s->ret;

	if (s->expect != EXPECT_DOT || s->spoilt || !s->name_len ||
	    ret->target_count == SQL_TARGETS)
		return;
	for (uint32_t i = 0; i < s->with_count && !s->qualified; i++)
		if (s->with[i] == hash_of(s->name, s->name_len))
			return;
	for (uint32_t i = 0; i < ret->target_count; i++)
		if (ret->target_len[i] == s->name_len &&
		    !memcmp(ret->target[i], s->name, s->name_len))
			return;
	memcpy(ret->target[ret->target_count], s->name, s->name_len);
	ret->target_len[ret->target_count++] = s->name_len;
}

static void expect(struct scan *s, bool callable)
{
	s->expect = EXPECT_TARGET;
	s->callable = callable;
}

/* A name that is no keyword. */
static void meet_name(struct scan *s, const char *bytes, uint32_t n, char quote)
{
	if (s->named && (s->tables & level_bit(s))) {
		target_begin(s);
		name_read(s, bytes, n, quote);
		if (s->with_count < NAMES_MAX && !s->spoilt)
			s->with[s->with_count++] = hash_of(s->name, s->name_len);
		s->named = false;
		s->expect = EXPECT_NONE;
		return;
	}
	switch (s->expect) {
	case EXPECT_TARGET:
		target_begin(s);
		name_read(s, bytes, n, quote);
		s->expect = EXPECT_DOT;
		break;
	case EXPECT_PART:
		name_add(s, ".", 1);
		name_read(s, bytes, n, quote);
		s->qualified = true;
		s->expect = EXPECT_DOT;
		break;
	case EXPECT_DOT:
		target_done(s);
		s->expect = EXPECT_COMMA;
		break;
	case EXPECT_ALIAS:
		s->expect = EXPECT_COMMA;
		break;
	default:
		s->expect = EXPECT_NONE;
		break;
	}
}

/* What is neither name nor keyword. */
static void meet_sign(struct scan *s, char c)
{
	bool follows =
		s->expect == EXPECT_DOT || s->expect == EXPECT_ALIAS || s->expect == EXPECT_COMMA;

	if (c == '.' && s->expect == EXPECT_DOT) {
		s->expect = EXPECT_PART;
		return;
	}
	if (c != '(' || !s->callable)
		target_done(s);
	s->expect = c == ',' && follows ? EXPECT_TARGET : EXPECT_NONE;
	if (c == ',')
		s->named = s->tables & level_bit(s);
}

/* ---- words ----------------------------------------------------------------------------------- */

static int keyword_compare(const void *word, const void *entry)
{
	return strcmp(word, ((const struct keyword_entry *)entry)->word);
}

/* word: has room for SQL_OPERATION_MAX characters and NUL, and gets it in upper case. */
static enum keyword keyword_of(const char *bytes, uint32_t n, char *word)
{
	const struct keyword_entry *found;

	if (n > SQL_OPERATION_MAX)
		return KW_NONE;
	for (uint32_t i = 0; i < n; i++)
		word[i] = upper(bytes[i]);
	word[n] = '\0';
	found = bsearch(word, keywords, sizeof(keywords) / sizeof(keywords[0]), sizeof(keywords[0]),
			keyword_compare);
	return found ? found->keyword : KW_NONE;
}

static bool begins_statement(enum keyword keyword)
{
	return keyword == KW_SELECT || keyword == KW_INSERT || keyword == KW_UPDATE ||
	       keyword == KW_DELETE || keyword == KW_MERGE || keyword == KW_VALUES ||
	       keyword == KW_TABLE;
}

static bool operation_is(const struct scan *s, const char *word)
{
	return !strcmp(s->ret->operation, word);
}

/* What a keyword says of the targets. verb: it begins a statement. */
static void meet_keyword(struct scan *s, enum keyword keyword, bool verb)
{
	bool expected = s->expect == EXPECT_TARGET, callable = s->callable;

	target_done(s);
	s->expect = keyword == KW_AS && s->expect == EXPECT_DOT ? EXPECT_ALIAS : EXPECT_NONE;
	switch (keyword) {
	case KW_MODIFIER:
		if (expected)
			expect(s, callable);
		break;
	case KW_SELECT:
		s->query |= level_bit(s);
		break;
	case KW_DELETE:
		if (verb)
			s->query |= level_bit(s);
		break;
	case KW_UPDATE:
		if (verb) {
			s->query |= level_bit(s);
			expect(s, false);
		}
		break;
	case KW_FROM:
		if ((s->query & level_bit(s)) && s->last_keyword != KW_DISTINCT &&
		    !operation_is(s, "REVOKE"))
			expect(s, true);
		break;
	case KW_JOIN:
		expect(s, true);
		break;
	case KW_USING:
		if (operation_is(s, "MERGE") || operation_is(s, "DELETE"))
			expect(s, true);
		break;
	case KW_INTO:
		if (!operation_is(s, "FETCH"))
			expect(s, false);
		break;
	case KW_TABLE:
		expect(s, false);
		break;
	case KW_TABLES:
		if (operation_is(s, "LOCK"))
			expect(s, false);
		break;
	case KW_CALL:
	case KW_INSERT:
	case KW_LOCK:
		if (verb)
			expect(s, false);
		break;
	case KW_WITH:
		if (verb) {
			s->tables |= level_bit(s);
			s->named = true;
		}
		break;
	default:
		break;
	}
}

static void meet_word(struct scan *s, const char *bytes, uint32_t n)
{
	char word[SQL_OPERATION_MAX + 1];
	enum keyword keyword = keyword_of(bytes, n, word);
	struct sql *ret = s->ret;
	uint64_t bit = level_bit(s);
	bool verb = (s->fresh & bit) || s->last_keyword == KW_AS || s->last_keyword == KW_EXPLAINS;

	s->fresh &= ~bit;
	s->rows &= ~bit;
	if ((s->tables & bit) && !s->named && begins_statement(keyword)) {
		s->tables &= ~bit;
		verb = true;
	}
	if (!ret->operation_len && n <= SQL_OPERATION_MAX && !s->tables && keyword != KW_WITH) {
		memcpy(ret->operation, word, n + 1);
		ret->operation_len = n;
	}
	/* Behind a dot, and where WITH has its names, any word is one. */
	if (s->expect == EXPECT_PART || keyword == KW_NONE ||
	    (s->named && (s->tables & bit) && keyword != KW_RECURSIVE)) {
		meet_name(s, bytes, n, 0);
		keyword = KW_NONE;
	} else if (keyword != KW_RECURSIVE) {
		meet_keyword(s, keyword, verb);
	}
	put(s, bytes, n);
	s->last = TOKEN_WORD;
	s->last_keyword = keyword;
}

/* ---- literals and names in quotes ------------------------------------------------------------ */

static void literal(struct scan *s)
{
	uint64_t bit = level_bit(s);
	bool begins = s->last == TOKEN_OPEN || s->held == ',';
	bool again = s->held == ',' && (s->list & s->led & bit);
	bool joined = s->last == TOKEN_LITERAL && !s->held;

	meet_sign(s, '?');
	if (again || joined)
		unput(s);
	else
		put(s, "?", 1);
	if (again && !s->silence) {
		s->silence = 1 + s->level;
		s->in_element = true;
	}
	if (begins)
		s->led |= bit;
	s->fresh &= ~bit;
	s->rows &= ~bit;
	s->last = TOKEN_LITERAL;
	s->last_keyword = KW_NONE;
}

/* An element of a list ends. */
static void element_done(struct scan *s)
{
	if (s->in_element && s->silence == 1 + s->level)
		s->silence = 0;
}

/*
 * Goes behind a string whose first character is next. False: the text ends before it, or it has two
 * readings. In some encodings (GBK, Shift JIS) a byte that looks like a backslash is the second of a
 * character.
 */
static bool quoted(struct scan *s, char quote, bool escapes, bool sure)
{
	for (; s->at < s->end; s->at++) {
		if (*s->at == quote) {
			s->at++;
			if (s->at == s->end || *s->at != quote)
				return true;
		} else if (*s->at == '\\' && !sure && peek(s, 1) == quote) {
			cut(s);
			return false;
		} else if (*s->at == '\\' && escapes) {
			if (s->at[-1] & 0x80) {
				cut(s);
				return false;
			}
			if (++s->at == s->end)
				break;
		}
	}
	endless(s);
	return false;
}

static void string(struct scan *s, bool escapes, bool sure)
{
	char quote = *s->at++;

	quoted(s, quote, escapes, sure);
	literal(s);
}

/* By the setting. */
static void plain_string(struct scan *s)
{
	string(s, s->flags & SQL_BACKSLASH, !(s->flags & SQL_UNSURE));
}

static void name(struct scan *s, char quote)
{
	const char *from = s->at++;
	uint32_t n;

	if (!quoted(s, quote, false, true))
		return;
	if (s->at == s->end && (s->flags & SQL_CUT)) {
		cut(s);
		return;
	}
	n = (uint32_t)(s->at - from);
	s->fresh &= ~level_bit(s);
	s->rows &= ~level_bit(s);
	meet_name(s, from + 1, n - 2, quote);
	put(s, from, n);
	s->last = TOKEN_WORD;
	s->last_keyword = KW_NONE;
}

/* A number, or what begins like one: of a name that begins with digits it is not told. */
static void number(struct scan *s)
{
	bool hex = peek(s, 0) == '0' && (peek(s, 1) | 0x20) == 'x';

	while (s->at < s->end) {
		char c = *s->at;

		if (!in_word(c) && c != '.')
			break;
		s->at++;
		if (!hex && (c | 0x20) == 'e' && (peek(s, 0) == '+' || peek(s, 0) == '-'))
			s->at++;
	}
	if (s->at == s->end && (s->flags & SQL_CUT))
		cut(s);
	literal(s);
}

static void word(struct scan *s)
{
	const char *from = s->at;
	bool mysql = is_mysql(s);
	char first = upper(*from);
	uint32_t n;

	while (s->at < s->end && in_word(*s->at))
		s->at++;
	n = (uint32_t)(s->at - from);
	if (s->at == s->end && (s->flags & SQL_CUT)) {
		cut(s);
		return;
	}
	if (n == 1 && peek(s, 0) == '\'' && strchr(mysql ? "BNX" : "BENX", first)) {
		if (first == 'N')
			plain_string(s);
		else
			string(s, first == 'E', true);
		return;
	}
	if (n == 1 && first == 'U' && !mysql && peek(s, 0) == '&') {
		if (s->end - s->at == 1 && (s->flags & SQL_CUT)) {
			cut(s);
			return;
		}
		/* A quote in it is written twice, whatever its escapes. */
		if (peek(s, 1) == '\'') {
			s->at++;
			string(s, false, true);
			return;
		}
	}
	meet_word(s, from, n);
}

/* $1, $$text$$ or $tag$text$tag$. */
static void dollar(struct scan *s)
{
	const char *from = s->at, *p = from + 1;
	size_t tag;

	if (is_digit(peek(s, 1))) {
		s->at++;
		number(s);
		return;
	}
	while (p < s->end && in_word(*p) && *p != '$')
		p++;
	if (p == s->end || *p != '$' || is_mysql(s)) {
		/* MySQL's names may begin so; what is between two of them may be a literal. */
		if (p == s->end && (s->flags & SQL_CUT))
			cut(s);
		else
			s->failed = true;
		return;
	}
	tag = (size_t)(p + 1 - from);
	p = memmem(p + 1, (size_t)(s->end - p) - 1, from, tag);
	if (p)
		s->at = p + tag;
	else
		endless(s);
	literal(s);
}

/* ---- comments -------------------------------------------------------------------------------- */

/* sqlcommenter: key='value' pairs between commas. */
static void comment_read(struct scan *s, const char *from, const char *to)
{
	static const char key[] = "traceparent='";
	const char *at = memmem(from, (size_t)(to - from), key, strlen(key)), *end;

	if (!at)
		return;
	at += strlen(key);
	end = memchr(at, '\'', (size_t)(to - at));
	if (!end)
		return;
	s->ret->traceparent = at;
	s->ret->traceparent_len = (uint32_t)(end - at);
}

/* Whether MySQL executes it depends on the server's version: what could begin or end a literal in
 * it has two readings. */
static void executed(struct scan *s, const char *end)
{
	for (const char *p = s->at; p < end; p++)
		if (strchr("'\"`#\\;", *p) || (*p == '-' && p[1] == '-') ||
		    (*p == '/' && p[1] == '*')) {
			s->failed = true;
			return;
		}
	while (s->at < end && is_digit(*s->at))
		s->at++;
	s->in_comment = true;
}

static void comment(struct scan *s)
{
	const char *from = s->at + 2, *p = from;
	uint32_t depth = 1;

	while (s->end - p >= 2 && depth) {
		if (p[0] == '*' && p[1] == '/') {
			depth--;
			p += 2;
		} else if (p[0] == '/' && p[1] == '*' && !is_mysql(s)) {
			depth++;
			p += 2;
		} else {
			p++;
		}
	}
	s->blank = true;
	if (depth) {
		endless(s);
		return;
	}
	if (is_mysql(s) && (*from == '!' || (*from == 'M' && from[1] == '!'))) {
		s->at = from + (*from == '!' ? 1 : 2);
		executed(s, p - 2);
		return;
	}
	comment_read(s, from, p - 2);
	s->at = p;
}

static void line_comment(struct scan *s)
{
	const char *lf = memchr(s->at, '\n', (size_t)(s->end - s->at));

	s->blank = true;
	if (!lf && (s->flags & SQL_CUT))
		cut(s);
	s->at = lf ? lf : s->end;
}

/* Is it one? Else false. */
static bool comment_begins(struct scan *s)
{
	char c = *s->at, next = peek(s, 1);

	if (c == '/' && next == '*') {
		comment(s);
		return true;
	}
	if (c == '*' && next == '/' && s->in_comment) {
		s->in_comment = false;
		s->blank = true;
		s->at += 2;
		return true;
	}
	/* MySQL wants a blank behind it. */
	if (c == '-' && next == '-' &&
	    (!is_mysql(s) || s->end - s->at == 2 || (unsigned char)s->at[2] <= ' ')) {
		line_comment(s);
		return true;
	}
	if (c == '#' && is_mysql(s)) {
		line_comment(s);
		return true;
	}
	return false;
}

/* ---- punctuation ----------------------------------------------------------------------------- */

static void open_bracket(struct scan *s, char c)
{
	uint64_t bit = level_bit(s), inner;
	bool first = s->last == TOKEN_OPEN && (s->list & bit);
	bool again = (s->rows & bit) && s->held == ',';
	bool row = again || first || (s->last_keyword == KW_VALUES && s->last == TOKEN_WORD);
	bool list = row || s->last_keyword == KW_IN || (c == '[' && s->last_keyword == KW_ARRAY);

	meet_sign(s, c);
	if (again) {
		unput(s);
		if (!s->silence) {
			s->silence = 1 + s->level;
			s->in_element = false;
		}
	}
	put(s, &c, 1);
	s->rows = row ? s->rows | bit : s->rows & ~bit;
	s->fresh &= ~bit;
	s->level++;
	inner = level_bit(s);
	s->fresh |= inner;
	s->list = list ? s->list | inner : s->list & ~inner;
	s->led &= ~inner;
	s->rows &= ~inner;
	s->query &= ~inner;
	s->tables &= ~inner;
	s->last = TOKEN_OPEN;
	s->last_keyword = KW_NONE;
}

static void close_bracket(struct scan *s, char c)
{
	meet_sign(s, c);
	element_done(s);
	if (s->level)
		s->level--;
	put(s, &c, 1);
	if (!s->in_element && s->silence == 1 + s->level)
		s->silence = 0;
	s->named = false;
	s->last = TOKEN_CLOSE;
	s->last_keyword = KW_NONE;
}

static void separator(struct scan *s, char c)
{
	meet_sign(s, c);
	element_done(s);
	if (s->held)
		put(s, "", 0);
	s->held = c;
	s->held_blank = s->blank && s->len;
	s->blank = false;
	if (c == ',') {
		s->last = TOKEN_OTHER;
	} else {
		s->rows = s->list = s->query = s->tables = 0;
		s->level = s->silence = 0;
		s->fresh = 1;
		s->with_count = 0;
		s->named = false;
		s->last = TOKEN_NONE;
	}
	s->last_keyword = KW_NONE;
}

static void other(struct scan *s)
{
	char c = *s->at;
	bool operand = s->last == TOKEN_WORD || s->last == TOKEN_CLOSE || s->last == TOKEN_LITERAL;
	bool numeric = is_digit(peek(s, 1)) || (peek(s, 1) == '.' && is_digit(peek(s, 2)));

	s->at++;
	/* It may be the beginning of more. */
	if ((s->flags & SQL_CUT) &&
	    (s->at == s->end || (s->end - s->at == 1 && *s->at == '.' && !operand))) {
		cut(s);
		return;
	}
	if ((c == '-' || c == '+') && !operand && numeric) {
		number(s);
		return;
	}
	meet_sign(s, c);
	put(s, &c, 1);
	if (c != '.')
		s->rows &= ~level_bit(s);
	s->last = TOKEN_OTHER;
	s->last_keyword = KW_NONE;
}

/* ---- one token after the other --------------------------------------------------------------- */

static void token(struct scan *s)
{
	char c = *s->at;
	bool mysql = is_mysql(s);

	if (is_blank(c)) {
		s->blank = true;
		s->at++;
	} else if ((unsigned char)c < ' ' || c == 0x7f) {
		s->failed = true;
	} else if (comment_begins(s)) {
		return;
	} else if (c == '\'' || (c == '"' && mysql)) {
		plain_string(s);
	} else if (c == '"' || (c == '`' && mysql)) {
		name(s, c);
	} else if (is_digit(c) || (c == '.' && is_digit(peek(s, 1)) && s->last != TOKEN_WORD &&
				   s->last != TOKEN_CLOSE)) {
		number(s);
	} else if (begins_word(c)) {
		word(s);
	} else if (c == '$') {
		dollar(s);
	} else if (c == '?' && mysql) {
		s->at++;
		literal(s);
	} else if (c == '(' || c == '[') {
		s->at++;
		open_bracket(s, c);
	} else if (c == ')' || c == ']') {
		s->at++;
		close_bracket(s, c);
	} else if (c == ',' || c == ';') {
		s->at++;
		separator(s, c);
	} else {
		other(s);
	}
}

static uint64_t digest_of(const char *text, uint32_t len)
{
	char low[256];
	XXH64_state_t state;

	XXH64_reset(&state, 0);
	for (uint32_t at = 0; at < len;) {
		uint32_t n = len - at < sizeof(low) ? len - at : (uint32_t)sizeof(low);

		for (uint32_t i = 0; i < n; i++)
			low[i] = lower(text[at + i]);
		XXH64_update(&state, low, n);
		at += n;
	}
	return XXH64_digest(&state);
}

void sql_read(const char *text, uint32_t len, uint32_t flags, char *out, struct sql *ret)
{
	struct scan s = {
		.at = text,
		.end = text + len,
		.flags = flags,
		.ret = ret,
		.out = out,
		.fresh = 1,
	};

	memset(ret, 0, sizeof(*ret));
	while (s.at < s.end && !s.over && !s.failed)
		token(&s);
	if (s.failed || s.in_comment) {
		ret->target_count = 0;
		ret->text_cut = false;
		return;
	}
	if (flags & SQL_CUT)
		ret->text_cut = true;
	else if (!s.over)
		target_done(&s);
	ret->text_len = s.len;
	if (s.len)
		ret->digest = digest_of(out, s.len);
}

/* ---- what kind of operation ------------------------------------------------------------------ */

uint32_t sql_operation_type(const char *operation)
{
	static const struct {
		const char *word;
		uint32_t type;
	} types[] = {
		{"SELECT", APPMON_OP_READ},	{"INSERT", APPMON_OP_WRITE},
		{"UPDATE", APPMON_OP_WRITE},	{"DELETE", APPMON_OP_WRITE},
		{"BEGIN", APPMON_OP_SESSION},	{"COMMIT", APPMON_OP_SESSION},
		{"FETCH", APPMON_OP_READ},	{"SET", APPMON_OP_SESSION},
		{"SHOW", APPMON_OP_READ},	{"ROLLBACK", APPMON_OP_SESSION},
		{"CALL", APPMON_OP_CALL},	{"EXECUTE", APPMON_OP_CALL},
		{"DO", APPMON_OP_CALL},		{"REPLACE", APPMON_OP_WRITE},
		{"MERGE", APPMON_OP_WRITE},	{"LOAD", APPMON_OP_WRITE},
		{"TRUNCATE", APPMON_OP_WRITE},	{"VALUES", APPMON_OP_READ},
		{"TABLE", APPMON_OP_READ},	{"EXPLAIN", APPMON_OP_READ},
		{"DESCRIBE", APPMON_OP_READ},	{"DESC", APPMON_OP_READ},
		{"START", APPMON_OP_SESSION},	{"END", APPMON_OP_SESSION},
		{"ABORT", APPMON_OP_SESSION},	{"SAVEPOINT", APPMON_OP_SESSION},
		{"RELEASE", APPMON_OP_SESSION}, {"USE", APPMON_OP_SESSION},
		{"RESET", APPMON_OP_SESSION},	{"DISCARD", APPMON_OP_SESSION},
		{"PREPARE", APPMON_OP_SESSION}, {"DEALLOCATE", APPMON_OP_SESSION},
		{"DECLARE", APPMON_OP_SESSION}, {"CLOSE", APPMON_OP_SESSION},
		{"CONNECT", APPMON_OP_SESSION}, {"PING", APPMON_OP_SESSION},
		{"LISTEN", APPMON_OP_RECEIVE},	{"UNLISTEN", APPMON_OP_RECEIVE},
		{"NOTIFY", APPMON_OP_PUBLISH},
	};

	for (uint32_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(operation, types[i].word))
			return types[i].type;
	return APPMON_OP_OTHER;
}
