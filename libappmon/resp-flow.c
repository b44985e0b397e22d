/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RESP, the protocol of Redis and its kin (RESP2 and RESP3): values in both directions, and which
 * reply answers which command. Replies come in the order of the commands.
 *
 * A value is a line, or a line that says how many bytes or how many values follow. The bytes are
 * counted, not looked at, except for a command's name and its first argument. Whoever misses a line
 * does not know where the next value begins, nor how many commands wait for a reply: then
 * everything outstanding ends, and the connection is taken up again after a silence. What comes
 * until then counts as dropped, one for each time that the client speaks.
 *
 * This is the smallest protocol that there is here: begin with it to see what one needs.
 */
#include <string.h>

#include "internal.h"

#define COMMAND_MAX 32
#define ARGUMENT_MAX 256
#define LINE_BYTES 256
#define BULK_MAX (INT64_C(512) << 20) /* what Redis accepts */
/* A connection that is silent for so long has nothing outstanding. */
#define QUIET_NS (2 * NSEC_PER_SEC)

/* What is kept of the value at hand; in stream.head. */
struct text {
	uint32_t line_len;
	uint32_t word_len[2];
	char line[LINE_BYTES];
	char word[2][ARGUMENT_MAX]; /* the command, its first argument or the text of an error */
};

static const uint32_t word_max[2] = {COMMAND_MAX, ARGUMENT_MAX};

static struct text *text_of(struct appmon *mon, struct stream *s)
{
	if (!s->head) {
		s->head = flow_alloc(mon, sizeof(struct text));
		if (s->head)
			memset(s->head, 0, sizeof(struct text));
	}
	return (struct text *)(void *)s->head;
}

static bool is_request(const struct conn *c, int dir)
{
	return dir == c->request_dir - 1;
}

/* ---- detection -------------------------------------------------------------------- */

/* A command is an array of bulk strings: "*2\r\n$3\r\nGET...". */
static bool resp_detect(const char *bytes, uint32_t n)
{
	return n && bytes[0] == '*' && (n == 1 || (bytes[1] >= '1' && bytes[1] <= '9'));
}

static void resp_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	if (resp_detect(bytes, n))
		c->request_dir = (uint8_t)(1 + dir);
}

/* ---- the connection as a whole -------------------------------------------------------- */

static void value_reset(struct stream *s)
{
	struct text *t = (struct text *)(void *)s->head;

	memset(&s->value, 0, sizeof(s->value));
	s->pos = s->end;
	if (t)
		t->line_len = t->word_len[0] = t->word_len[1] = 0;
}

static void begin_at(struct stream *s, uint64_t pos)
{
	s->state = STREAM_HEAD;
	s->end = pos;
	value_reset(s);
}

static void resp_end(struct appmon *mon, struct conn *c, uint32_t end, uint64_t flags)
{
	struct exchange *ex;

	while ((ex = exchange_at(c, c->exchanges.next)))
		exchange_finish(mon, c, ex, end, flags);
	for (int dir = 0; dir < 2; dir++) {
		struct stream *s = &c->stream[dir];

		pool_free(&mon->pool, s->head);
		s->head = NULL;
		if (s->state != STREAM_TUNNEL)
			s->state = STREAM_SYNC;
	}
}

/* A line was missed, or what came is no RESP. */
static void resp_lose(struct appmon *mon, struct conn *c)
{
	resp_end(mon, c, APPMON_END_GAP, APPMON_EVF_GAP);
	c->gapped = c->broken = 1;
}

/* Subscribers and replicas get messages from now on, not replies. */
static void resp_subscribe(struct appmon *mon, struct conn *c)
{
	resp_end(mon, c, APPMON_END_UPGRADED, APPMON_EVF_UPGRADED);
	c->stream[DIR_IN].state = c->stream[DIR_OUT].state = STREAM_TUNNEL;
}

/* ---- whole values ----------------------------------------------------------------------- */

/* n bytes as the text of an event, of which the first `name` are its command. */
static struct head *keep_words(struct appmon *mon, const char *first, uint32_t name,
			       const char *second, uint32_t n)
{
	struct head *head = flow_alloc(mon, sizeof(*head) + name + n + 1);

	if (!head)
		return NULL;
	memset(head, 0, sizeof(*head));
	head->bytes = (char *)(head + 1);
	memcpy(head->bytes, first, name);
	memcpy(head->bytes + name, second, n);
	head->h.head_len = name + n;
	head->h.method = APPMON_METHOD_OTHER;
	head->h.method_name.len = name;
	head->h.target.off = name;
	head->h.target.len = n;
	return head;
}

static bool subscribes(const struct text *t)
{
	static const char *const names[] = {"subscribe", "psubscribe", "ssubscribe",
					    "monitor",	 "sync",       "psync"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == t->word_len[0] &&
		    !strncasecmp(t->word[0], names[i], t->word_len[0]))
			return true;
	return false;
}

static void command_done(struct appmon *mon, struct conn *c, int dir, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	const struct text *t = (const struct text *)(const void *)s->head;
	bool pipelined = exchange_awaiting(c);
	struct exchange *ex;

	ex = exchange_new(mon, c);
	STAT_ADD(mon, target_of(mon, &c->id), requests, 1);
	if (!ex) {
		resp_lose(mon, c); /* its reply would go to another */
		return;
	}
	ex->request = keep_words(mon, t->word[0], t->word_len[0], t->word[1], t->word_len[1]);
	if (!ex->request)
		ex->bad = 1 + APPMON_DROP_MEMORY;
	ex->request_start_ns = s->head_ns;
	ex->request_end_ns = seg->ts_ns;
	ex->request_body = s->end - s->pos;
	ex->request_done = 1;
	ex->floor = s->head_floor;
	exchange_number(c, ex, dir);
	ex->method = subscribes(t) ? APPMON_METHOD_CONNECT : APPMON_METHOD_OTHER;
	if (pipelined)
		ex->flags |= APPMON_EVF_PIPELINED;
	if (dir == DIR_OUT)
		exchange_owner(mon, ex);
}

static void reply_done(struct appmon *mon, struct conn *c, int dir, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	const struct text *t = (const struct text *)(const void *)s->head;
	struct exchange *ex = exchange_awaiting(c);
	uint32_t len = s->value.error ? t->word_len[1] : 0;

	if (s->value.push)
		return;
	STAT_ADD(mon, target_of(mon, &c->id), responses, 1);
	if (!ex || (int64_t)(s->pos - ex->floor) < 0) {
		/* To a command from before the attach, or to none. */
		if (c->fresh)
			exchange_refuse(mon, c, c->gapped ? APPMON_DROP_GAP : APPMON_DROP_ORPHAN);
		return;
	}
	ex->response = keep_words(mon, "", 0, t->word[1], len);
	if (!ex->response && !ex->bad)
		ex->bad = 1 + APPMON_DROP_MEMORY;
	else if (ex->response)
		ex->response->h.reason.len = len;
	if (s->value.error)
		ex->flags |= APPMON_EVF_ERROR;
	exchange_number_response(c, ex, dir);
	ex->response_start_ns = s->head_ns;
	ex->response_end_ns = seg->ts_ns;
	ex->response_body = s->end - s->pos;
	ex->response_begun = ex->response_done = 1;
	if (dir == DIR_OUT)
		exchange_owner(mon, ex);
	if (ex->method == APPMON_METHOD_CONNECT && !s->value.error)
		resp_subscribe(mon, c);
	else
		exchanges_settle(mon, c);
}

static void value_begin(struct conn *c, int dir, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir], *other = &c->stream[!dir];

	s->value.begun = 1;
	s->head_ns = seg->ts_ns;
	s->head_floor = other->known ? stream_pos(other, seg->other_next) : 0;
}

/* One value is complete, and with it perhaps those that it is part of. */
static void value_done(struct appmon *mon, struct conn *c, int dir, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	struct resp_value *v = &s->value;

	while (v->depth) {
		if (--v->left[v->depth - 1])
			return;
		v->depth--;
	}
	if (is_request(c, dir))
		command_done(mon, c, dir, seg);
	else
		reply_done(mon, c, dir, seg);
	if (s->state == STREAM_HEAD)
		value_reset(s);
}

/* ---- lines and bytes ------------------------------------------------------------------------ */

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

/* A command as a line of words, as people type it. */
static void inline_command(struct text *t, const char *line, uint32_t len)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < 2; i++) {
		uint32_t from;

		while (at < len && line[at] == ' ')
			at++;
		for (from = at; at < len && line[at] != ' ';)
			at++;
		word_add(t, i, line + from, at - from);
	}
}

/* len bytes without the CRLF. False: this is not RESP. */
static bool line_done(struct appmon *mon, struct conn *c, int dir, const char *line, uint32_t len,
		      const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	struct text *t = (struct text *)(void *)s->head;
	struct resp_value *v = &s->value;
	bool top = !v->depth;
	int64_t n = 0;

	if (!len)
		return false;
	switch (line[0]) {
	case '$': /* strings of so many bytes */
	case '=':
	case '!':
		if (!number(line + 1, len - 1, &n) || n > BULK_MAX)
			return false;
		v->error |= top && line[0] == '!';
		v->words += v->depth == 1;
		if (n >= 0) {
			v->bulk = (uint64_t)n + 2;
			return true;
		}
		break; /* null */
	case '>':      /* a message that answers nothing */
		v->push |= top;
		/* fall through */
	case '*': /* so many values */
	case '~':
	case '%': /* pairs of them */
		if (!number(line + 1, len - 1, &n) || n > BULK_MAX || v->depth == RESP_DEPTH)
			return false;
		if (n > 0) {
			v->left[v->depth++] = (uint64_t)n * (line[0] == '%' ? 2 : 1);
			return true;
		}
		break;
	case '-':
		if (top) {
			v->error = 1;
			word_add(t, 1, line + 1, len - 1);
		}
		break;
	case '+':
	case ':':
	case '_':
	case ',':
	case '#':
	case '(':
		break;
	default:
		if (!top || !is_request(c, dir))
			return false;
		inline_command(t, line, len);
	}
	value_done(mon, c, dir, seg);
	return true;
}

/* n bytes of a string pass, the first `captured` of them are at bytes. */
static void string_bytes(struct appmon *mon, struct conn *c, int dir, const char *bytes,
			 uint64_t captured, uint64_t n, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	struct text *t = (struct text *)(void *)s->head;
	struct resp_value *v = &s->value;
	uint64_t payload = v->bulk > 2 ? v->bulk - 2 : 0; /* without the CRLF */

	if (captured > payload)
		captured = payload;
	if (is_request(c, dir) && v->depth == 1 && v->words && v->words <= 2)
		word_add(t, v->words - 1u, bytes, captured);
	else if (v->error && !v->depth)
		word_add(t, 1, bytes, captured);
	v->bulk -= n;
	s->end += n;
	if (!v->bulk)
		value_done(mon, c, dir, seg);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Bytes up to `to` have passed uncaptured: only a string's may. */
static bool pass(struct appmon *mon, struct conn *c, int dir, uint64_t to,
		 const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];

	while (s->state == STREAM_HEAD && s->end < to) {
		if (!s->value.bulk)
			return false;
		string_bytes(mon, c, dir, "", 0, smaller(s->value.bulk, to - s->end), seg);
	}
	return true;
}

/* Is this a command that the connection can be taken up at again? */
static bool resume(struct appmon *mon, struct conn *c, int dir, uint64_t pos, const char *bytes,
		   uint32_t captured, const struct rec_seg *seg)
{
	struct stream *other = &c->stream[!dir];
	uint64_t last_ns = c->active_ns > seg->other_ts_ns ? c->active_ns : seg->other_ts_ns;

	if (!is_request(c, dir) || !(seg->flags & REC_FLIP) || !resp_detect(bytes, captured))
		return false;
	if (c->broken && seg->ts_ns < last_ns + QUIET_NS) {
		exchange_refuse(mon, c, APPMON_DROP_GAP);
		return false;
	}
	c->broken = 0;
	begin_at(&c->stream[dir], pos);
	if (other->known && other->state != STREAM_TUNNEL)
		begin_at(other, stream_pos(other, seg->other_next));
	return true;
}

static void resp_data(struct appmon *mon, struct conn *c, int dir, uint64_t pos, const char *bytes,
		      uint32_t captured, uint32_t len, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];
	uint64_t have = pos + captured, end = pos + len;

	if (s->state == STREAM_SYNC && !resume(mon, c, dir, pos, bytes, captured, seg))
		return;
	if (s->state != STREAM_HEAD)
		return;
	if (!text_of(mon, s) || !pass(mon, c, dir, smaller(pos, end), seg)) {
		resp_lose(mon, c);
		return;
	}
	while (s->state == STREAM_HEAD && s->end < end) {
		const char *at = bytes + (s->end - pos), *lf;
		struct text *t = text_of(mon, s);
		uint32_t n, room;

		if (!t)
			break;
		if (s->value.bulk) {
			uint64_t some = smaller(s->value.bulk, end - s->end);
			uint64_t seen = s->end < have ? smaller(some, have - s->end) : 0;

			string_bytes(mon, c, dir, seen ? at : "", seen, some, seg);
			continue;
		}
		if (s->end >= have)
			break; /* a line that was not captured */
		if (!s->value.begun)
			value_begin(c, dir, seg);
		lf = memchr(at, '\n', have - s->end);
		n = (uint32_t)(lf ? lf - at + 1 : (int64_t)(have - s->end));
		room = LINE_BYTES - t->line_len;
		memcpy(t->line + t->line_len, at, n < room ? n : room);
		t->line_len += n < room ? n : room;
		s->end += n;
		if (!lf)
			continue;
		n = t->line_len;
		t->line_len = 0;
		while (n && (t->line[n - 1] == '\n' || t->line[n - 1] == '\r'))
			n--;
		if (!line_done(mon, c, dir, t->line, n, seg))
			break;
	}
	if (s->state == STREAM_HEAD && (s->end < end || !s->head))
		resp_lose(mon, c);
}

static void resp_progress(struct appmon *mon, struct conn *c, int dir, const struct rec_seg *seg)
{
	struct stream *s = &c->stream[dir];

	if (s->state == STREAM_HEAD && s->seen > s->end &&
	    (!text_of(mon, s) || !pass(mon, c, dir, s->seen, seg)))
		resp_lose(mon, c);
	if (s->fin == FIN_NOTED && (int64_t)(s->seen - s->fin_pos) >= 0) {
		s->fin = FIN_HANDLED;
		if (!is_request(c, dir))
			resp_end(mon, c, APPMON_END_CLOSED, 0);
	}
}

const struct protocol protocol_resp = {
	.id = APPMON_PROTO_RESP,
	.counts = true,
	.detect = resp_detect,
	.role = resp_role,
	.data = resp_data,
	.progress = resp_progress,
	.missed = resp_lose,
	.end = resp_end,
};
