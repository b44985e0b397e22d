/* SPDX-License-Identifier: BSD-2-Clause */
/* Values: out of lines and counted bytes, cut anywhere. */
#include "protocol/resp/resp.h"

#define BULK_MAX (INT64_C(512) << 20) /* what Redis accepts */

static const uint32_t word_max[WORDS] = {COMMAND_MAX, ARGUMENT_MAX, OPTION_MAX};

/* ---- one value ------------------------------------------------------------------------------- */

struct text *text_of(struct pipeline *pl, struct side *s)
{
	if (!s->text)
		s->text = pool_zalloc_evicting(&pl->pool, sizeof(struct text));
	return s->text;
}

static void value_reset(struct side *s)
{
	struct text *t = s->text;

	memset(&s->value, 0, sizeof(s->value));
	s->start.pos = s->end;
	if (t)
		t->line_len = t->line_cut = t->word_len[NAME] = t->word_len[ARGUMENT] =
			t->word_len[OPTION] = 0;
}

void values_begin(struct side *s, uint64_t pos)
{
	s->phase = PHASE_VALUES;
	s->end = pos;
	value_reset(s);
}

static void value_begin(struct conn *c, int dir, const struct chunk *chunk)
{
	struct side *s = side_of(c, dir);

	s->value.begun = 1;
	s->value.left = 1;
	s->start.ts_ns = chunk->ts_ns;
	s->start.other_pos = chunk->other_pos;
	s->start.received = chunk->received;
}

/* Is the value at hand one of those that are counted? Not in an aggregate without a count. */
static bool is_counted(const struct value *v)
{
	return !v->depth || v->left > v->streamed[v->depth - 1];
}

/* One value is complete, and with it perhaps those that it is part of. */
static void value_done(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);
	struct value *v = &s->value;

	if (is_counted(v))
		v->left--;
	if (v->left || v->depth)
		return;
	if (is_request(c, dir))
		command_done(pl, c, dir, ts_ns);
	else
		reply_done(pl, c, dir, ts_ns);
	if (s->phase == PHASE_VALUES)
		value_reset(s);
}

/* ---- lines and bytes ------------------------------------------------------------------------- */

static bool number(const char *line, uint32_t len, int64_t *ret)
{
	bool negative = len && line[0] == '-';
	int64_t n = 0;

	for (uint32_t i = negative; i < len; i++) {
		if (line[i] < '0' || line[i] > '9' || n > BULK_MAX)
			return false;
		n = n * 10 + (line[i] - '0');
	}
	*ret = negative ? -n : n;
	return len > negative;
}

static void word_add(struct text *t, uint32_t i, const char *bytes, uint64_t n)
{
	uint32_t room = word_max[i] - t->word_len[i];

	if (n > room)
		n = room;
	memcpy(t->word[i] + t->word_len[i], bytes, n);
	t->word_len[i] += (uint32_t)n;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A character behind a backslash, in double quotes. Returns how many were used. */
static uint32_t escape(const char *p, uint32_t n, char *ret)
{
	static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
	const char *at = strchr(from, *p);

	if (n >= 3 && *p == 'x' && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
		*ret = (char)(hex(p[1]) << 4 | hex(p[2]));
		return 3;
	}
	*ret = at && *at ? to[at - from] : *p;
	return 1;
}

/*
 * A command as a line of words, as people type it. Words can be quoted, as Redis has it: so
 * "\x41uth" is AUTH. False: a quote is open, or has more behind it.
 */
static bool inline_command(struct text *t, struct value *v, const char *line, uint32_t len)
{
	uint32_t at = 0;

	for (;;) {
		char quote = 0;

		while (at < len && is_space(line[at]))
			at++;
		if (at == len)
			return true;
		while (at < len && (quote || !is_space(line[at]))) {
			char c = line[at++];

			if (quote && c == quote) {
				if (at < len && !is_space(line[at]))
					return false;
				quote = 0;
				break;
			}
			if (!quote && (c == '"' || c == '\'')) {
				quote = c;
				continue;
			}
			if (c == '\\' && quote == '"' && at < len)
				at += escape(line + at, len - at, &c);
			else if (c == '\\' && quote == '\'' && at < len && line[at] == '\'')
				c = line[at++];
			if (v->items < WORDS)
				word_add(t, v->items, &c, 1);
		}
		if (quote && !t->line_cut)
			return false;
		v->items++;
	}
}

/* The first item of an aggregate: does it confirm a subscription? */
static void first_done(struct conn *c, const struct text *t, struct value *v)
{
	struct exchange *ex = exchange_awaiting(c);
	uint32_t command = command_of(t);
	uint32_t all;

	v->first = FIRST_NO;
	if (!is_confirmed(command))
		return;
	v->nested = (uint8_t)command;
	if (!v->inner)
		return;
	/* Part of EXEC's reply, where a push takes the place of a value. */
	if (v->inner == '>')
		v->left--;
	all = ends(command, true, 0);
	if (ex && (pending(ex)->confirms & all)) {
		v->left += (uint32_t)subscribed(&resp_of(c)->setup, command) - 1;
		pending(ex)->confirms &= (uint8_t)~all;
	}
}

/* n values begin, or with n < 0 none. */
static void aggregate(struct conn *c, int dir, char type, int64_t n, bool top)
{
	struct side *s = side_of(c, dir);
	struct value *v = &s->value;
	struct text *t = s->text;
	struct exchange *ex = is_request(c, dir) ? NULL : exchange_awaiting(c);
	bool exec = ex && pending(ex)->command == CMD_EXEC;

	if (top && !is_request(c, dir))
		v->items = n < 0 ? 0 : (uint32_t)n;
	if (top && exec && type == '*' && n >= 0)
		n += pending(ex)->replies;
	if (type == '%' || type == '|')
		n *= 2;
	/* An attribute is no value; nor is a push inside of one, but for first_done(). */
	if (type != '|' && (type != '>' || top) && is_counted(v))
		v->left--;
	v->left += n > 0 ? (uint64_t)n : 0;
	v->first = FIRST_NO;
	if (is_request(c, dir) || n <= 0 || type == '|' ||
	    !(top || (exec && pending(ex)->confirms)))
		return;
	v->first = FIRST_NEXT;
	v->inner = top ? 0 : (uint8_t)type;
	v->nested = v->counted = 0;
	t->word_len[NAME] = 0;
}

/* A line that is a value by itself. */
static void scalar(struct conn *c, int dir, const char *line, uint32_t len, bool top)
{
	struct side *s = side_of(c, dir);
	struct value *v = &s->value;
	struct text *t = s->text;
	int64_t n;

	if (top && line[0] == '-') {
		v->error = 1;
		word_add(t, ARGUMENT, line + 1, len - 1);
	} else if (line[0] == '+' && (top || v->first)) {
		word_add(t, NAME, line + 1, len - 1);
		if (v->first)
			first_done(c, t, v);
	} else if (line[0] == ':' && is_confirmed(v->nested) && number(line + 1, len - 1, &n)) {
		v->counted = 1;
		v->count = n < 0 || n > BULK_MAX ? 0 : (uint32_t)n;
		if (v->inner) {
			subscriptions(&resp_of(c)->setup, v->nested, v->count);
			v->nested = CMD_OTHER;
		}
	}
	v->first = FIRST_NO;
}

/* A line inside a value, or one that begins it. len bytes without the CRLF. False: this is not
 * RESP. */
static bool line_done(struct pipeline *pl, struct conn *c, int dir, const char *line, uint32_t len,
		      uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);
	struct text *t = s->text;
	struct value *v = &s->value;
	bool request = is_request(c, dir), top = !v->type && !v->depth && v->left == 1;
	struct exchange *ex = request ? NULL : exchange_awaiting(c);
	bool open = len == 2 && line[1] == '?' && !request; /* so long as nobody knows yet */
	int64_t n = 0;

	if (v->chunks) {
		if (!len || line[0] != ';' || !number(line + 1, len - 1, &n) || n < 0 ||
		    n > BULK_MAX)
			return false;
		v->bulk = n ? (uint64_t)n + 2 : 0;
		v->chunks = n > 0;
		if (!n)
			value_done(pl, c, dir, ts_ns);
		return true;
	}
	if (top && request && !c->fresh && len && memchr("+-:$_,#(=!%~>|", line[0], 14)) {
		c->request_dir = (uint8_t)(1 + !dir); /* these are replies */
		return false;
	}
	if (top && request && (!len || line[0] != '*')) {
		if (!inline_command(t, v, line, len))
			return false;
		/* How often it will be confirmed is not known. */
		if (t->line_cut && is_confirmed(command_of(t)))
			return false;
		if (v->items)
			value_done(pl, c, dir, ts_ns);
		else
			value_reset(s); /* an empty line */
		return true;
	}
	if (!len) {
		if (top)
			value_reset(s); /* masters send these while they prepare */
		return top;
	}
	t->line_cut = 0;
	if (top && line[0] != '|')
		v->type = (uint8_t)line[0];
	switch (line[0]) {
	case '$': /* strings of so many bytes */
	case '=':
	case '!':
		if (top && ex && pending(ex)->command == CMD_SYNC)
			break; /* the stream begins */
		v->chunks = open;
		if (open || !number(line + 1, len - 1, &n) || n > BULK_MAX)
			return open;
		v->error |= top && line[0] == '!';
		v->items += request;
		v->first = v->first && n >= 0 ? FIRST_HERE : FIRST_NO;
		if (n >= 0) {
			v->bulk = (uint64_t)n + 2;
			return true;
		}
		break; /* null */
	case '>':      /* so many values: a message that answers nothing */
	case '*':
	case '~':
	case '%': /* pairs of them */
	case '|': /* likewise, about the value behind them */
		if (open && line[0] != '|' && v->depth < STREAMED_MAX) {
			v->streamed[v->depth++] = v->left;
			return true;
		}
		if (!number(line + 1, len - 1, &n) || n > BULK_MAX)
			return false;
		if (request && top && n <= 0) {
			value_reset(s); /* no command */
			return true;
		}
		if (top && ex && ends_unclear(pending(ex)->confirms))
			return false;
		v->hidden |= request && !top;
		aggregate(c, dir, line[0], n, top);
		if (v->left || v->depth)
			return true;
		v->left = 1; /* it is empty, and the last */
		break;
	case '.': /* the end of those */
		if (!v->depth || v->left != v->streamed[v->depth - 1])
			return false;
		v->depth--;
		break;
	case '-':
	case '+':
	case ':':
	case '_':
	case ',':
	case '#':
	case '(':
		v->hidden |= request && !v->items;
		v->items += request;
		scalar(c, dir, line, len, top);
		break;
	default:
		return false;
	}
	value_done(pl, c, dir, ts_ns);
	return true;
}

/* n bytes of a string pass, the first `captured` of them are at bytes. */
static void string_bytes(struct pipeline *pl, struct conn *c, int dir, const char *bytes,
			 uint64_t captured, uint64_t n, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);
	struct text *t = s->text;
	struct value *v = &s->value;
	uint64_t payload = v->bulk > 2 ? v->bulk - 2 : 0; /* without the CRLF */
	uint32_t i = WORDS;

	if (captured > payload)
		captured = payload;
	if (is_request(c, dir))
		i = v->items - 1;
	else if (v->first == FIRST_HERE)
		i = NAME;
	else if (v->error)
		i = ARGUMENT;
	if (i < WORDS && !v->chunks)
		word_add(t, i, bytes, captured);
	if (i == NAME && captured < n && captured < payload && t->word_len[NAME] < COMMAND_MAX)
		v->hidden = 1;
	v->bulk -= n;
	s->end += n;
	if (v->bulk || v->chunks)
		return;
	if (v->first == FIRST_HERE)
		first_done(c, t, v);
	value_done(pl, c, dir, ts_ns);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Bytes up to `to` have passed uncaptured: only a string's may. */
bool values_pass(struct pipeline *pl, struct conn *c, int dir, uint64_t to, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);

	while (s->phase == PHASE_VALUES && s->end < to) {
		if (!s->value.bulk)
			return false;
		string_bytes(pl, c, dir, "", 0, smaller(s->value.bulk, to - s->end), ts_ns);
	}
	return true;
}

void values_take(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct side *s = side_of(c, dir);
	const char *bytes = chunk->bytes;
	uint64_t pos = chunk->pos, have = pos + chunk->captured, end = pos + chunk->len;

	if (!text_of(pl, s) || !values_pass(pl, c, dir, smaller(pos, end), chunk->ts_ns)) {
		resp_lose(pl, c, WHY("no memory, or a line was missed"));
		return;
	}
	while (s->phase == PHASE_VALUES && s->end < end) {
		const char *at = bytes + (s->end - pos), *lf;
		struct text *t = text_of(pl, s);
		uint32_t n, room;

		if (!t)
			break;
		if (s->value.bulk) {
			uint64_t some = smaller(s->value.bulk, end - s->end);
			uint64_t seen = s->end < have ? smaller(some, have - s->end) : 0;

			string_bytes(pl, c, dir, seen ? at : "", seen, some, chunk->ts_ns);
			continue;
		}
		if (s->end >= have)
			break; /* a line that was not captured */
		if (!s->value.begun)
			value_begin(c, dir, chunk);
		lf = memchr(at, '\n', have - s->end);
		n = (uint32_t)(lf ? lf - at + 1 : (int64_t)(have - s->end));
		room = LINE_BYTES - t->line_len;
		memcpy(t->line + t->line_len, at, n < room ? n : room);
		t->line_len += n < room ? n : room;
		t->line_cut += n < room ? 0 : n - room;
		s->end += n;
		if (!lf)
			continue;
		n = t->line_len;
		t->line_len = 0;
		if (n && t->line[n - 1] == '\n')
			n--;
		if (n && t->line[n - 1] == '\r')
			n--;
		if (!line_done(pl, c, dir, t->line, n, chunk->ts_ns)) {
			if (is_request(c, dir) && conn_accounted(c, chunk->flags & CHUNK_LOST))
				command_bad(pl, c, dir, chunk->ts_ns);
			else
				resp_lose(pl, c, WHY("no RESP"));
		}
	}
	if (s->phase == PHASE_VALUES && (s->end < end || !s->text))
		resp_lose(pl, c, WHY("no memory, or a line was not captured"));
}
