/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RESP, the protocol of Redis and its kin (RESP2 and RESP3): values in both directions, and which
 * reply answers which command. Replies come in the order of the commands.
 *
 * A value is a line, or a line that says how many bytes or how many values follow. The bytes are
 * counted, not looked at, except for a command's name, its first argument and the first word of a
 * reply. Of nested values one number is kept: how many are to come. Whoever misses a line
 * does not know where the next value begins, nor how many commands wait for a reply: then
 * everything outstanding ends, and the connection is taken up again after a silence. What comes
 * until then counts as dropped, one for each time that the client speaks.
 *
 * One command has one reply, but for CLIENT REPLY, and for subscriptions: these are confirmed one
 * by one, by arrays in RESP2 and by pushes in RESP3, among messages that answer nothing.
 *
 * Secrets: the arguments of AUTH and HELLO stay here, and of any command all but the first. Errors
 * may repeat arguments: see told_of_error().
 *
 * This is the smaller protocol of two: begin with it to see what one needs.
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/protocol.h"

#define COMMAND_MAX 32
#define ARGUMENT_MAX 256
#define OPTION_MAX 8
#define LINE_BYTES 256
#define BULK_MAX (INT64_C(512) << 20) /* what Redis accepts */

/* Words of a command. The second's place is also that of an error's text, the first's that of the
 * first word of a reply. */
enum { NAME, ARGUMENT, OPTION, WORDS };

/* What is kept of the value at hand. */
struct text {
	uint32_t line_len;
	uint32_t line_cut; /* bytes of the line that found no room */
	uint32_t word_len[WORDS];
	char line[LINE_BYTES];
	char word[WORDS][ARGUMENT_MAX];
};

#define STREAMED_MAX 6

enum { FIRST_NO, FIRST_NEXT, FIRST_HERE };

/* A value of which not all has come. */
struct value {
	uint64_t bulk;			 /* bytes of a string that are to come, with its CRLF */
	uint64_t left;			 /* values that are to come, at all levels together */
	uint64_t streamed[STREAMED_MAX]; /* left when such an aggregate without a count began */
	uint32_t items; /* of an aggregate: how many it says; of a command: its words so far */
	uint32_t count; /* counted: of a confirmation, the subscriptions that there are */
	uint8_t depth;	/* streamed aggregates that are open */
	uint8_t begun;
	uint8_t type; /* the first byte of the value, not of an attribute before it; 0: to come */
	uint8_t error;
	uint8_t first;	 /* FIRST_*: is the first item of an aggregate next? Its text is kept */
	uint8_t inner;	 /* 0: that aggregate is the value; else its type: it is part of it */
	uint8_t counted; /* a number stood in it */
	uint8_t chunks;	 /* a string without a length: pieces of it come */
	uint8_t hidden;	 /* a command's name is not all here: its argument may be a secret */
	uint8_t nested;	 /* CMD_* of the subscription that it confirms */
};

enum phase {
	PHASE_SYNC, /* position unknown: wait for a command */
	PHASE_VALUES,
	PHASE_TUNNEL, /* replication: no commands and replies any more */
};

/* One direction. */
struct side {
	const struct stream *in;
	struct start start; /* of the value at hand */
	uint64_t end;	    /* up to here all is taken */
	enum phase phase;
	struct value value;
	struct text *text;
};

/* What a connection's commands have set up. */
struct setup {
	/* Subscriptions, as the server counts them: */
	uint32_t channels, patterns, shards;
	/* The transaction that is being queued: */
	int32_t extra; /* replies that EXEC's array has beside one for each command */
	uint8_t multi;
	uint8_t confirms; /* some of its commands are confirmed, not answered: CONFIRMS ... */
	uint8_t exec_off, exec_skip; /* CLIENT REPLY in it */
	uint8_t off;		     /* CLIENT REPLY OFF */
	uint8_t skip;		     /* CLIENT REPLY SKIP: the next command has no reply */
	uint8_t resp3;		     /* messages are pushes */
	uint8_t monitor;	     /* every command of the server is told */
};

/* conn.state */
struct resp {
	struct side side[2]; /* by DIR_* */
	struct setup setup;
	bool broken; /* which reply answers which command is lost until a silence */
};

/* exchange.own */
struct pending {
	int32_t replies;  /* confirmations to come; EXEC: beside one for each command */
	uint8_t command;  /* CMD_* */
	uint8_t confirms; /* EXEC: as in struct setup */
	uint8_t secret;	  /* an error could repeat what is not to be told */
	uint8_t error;	  /* the reply is one */
};

/* exchange.request: a command's name and its first argument; exchange.response: an error's text. */
struct kept {
	uint32_t len[2];
	char bytes[];
};

static const uint32_t word_max[WORDS] = {COMMAND_MAX, ARGUMENT_MAX, OPTION_MAX};

/* ---- commands that are not like others ------------------------------------------------------- */

enum command {
	CMD_OTHER,
	CMD_SUBSCRIBE, /* these are confirmed: see is_confirmed() */
	CMD_PSUBSCRIBE,
	CMD_SSUBSCRIBE,
	CMD_UNSUBSCRIBE,
	CMD_PUNSUBSCRIBE,
	CMD_SUNSUBSCRIBE,
	CMD_PING,
	CMD_QUIT,
	CMD_RESET,
	CMD_MULTI,
	CMD_EXEC,
	CMD_DISCARD,
	CMD_WATCH,
	CMD_CLIENT,
	CMD_MONITOR,
	CMD_SYNC,
	CMD_HELLO
};

enum { SECRET_ARGUMENT = 1, SECRET_ERROR = 2 };

static const struct {
	const char *name;
	uint8_t command;
	uint8_t secret;
} commands[] = {
	{"subscribe", CMD_SUBSCRIBE, 0},
	{"psubscribe", CMD_PSUBSCRIBE, 0},
	{"ssubscribe", CMD_SSUBSCRIBE, 0},
	{"unsubscribe", CMD_UNSUBSCRIBE, 0},
	{"punsubscribe", CMD_PUNSUBSCRIBE, 0},
	{"sunsubscribe", CMD_SUNSUBSCRIBE, 0},
	{"ping", CMD_PING, 0},
	{"quit", CMD_QUIT, 0},
	{"reset", CMD_RESET, 0},
	{"multi", CMD_MULTI, 0},
	{"exec", CMD_EXEC, 0},
	{"discard", CMD_DISCARD, 0},
	{"watch", CMD_WATCH, 0},
	{"client", CMD_CLIENT, 0},
	{"monitor", CMD_MONITOR, 0},
	{"sync", CMD_SYNC, 0},
	{"psync", CMD_SYNC, 0},
	{"hello", CMD_HELLO, SECRET_ARGUMENT | SECRET_ERROR},
	{"auth", CMD_OTHER, SECRET_ARGUMENT | SECRET_ERROR},
	{"config", CMD_OTHER, SECRET_ERROR},
	{"acl", CMD_OTHER, SECRET_ERROR},
	{"migrate", CMD_OTHER, SECRET_ERROR},
	{"sentinel", CMD_OTHER, SECRET_ERROR},
	/* Last: for all others. */
	{"", CMD_OTHER, 0},
};

static bool is_word(const char *word, uint32_t len, const char *text)
{
	return strlen(text) == len && !strncasecmp(word, text, len);
}

static size_t command_find(const char *name, uint32_t len)
{
	size_t i;

	for (i = 0; commands[i].name[0]; i++)
		if (is_word(name, len, commands[i].name))
			break;
	return i;
}

static bool is_confirmed(uint32_t command)
{
	return command >= CMD_SUBSCRIBE && command <= CMD_SUNSUBSCRIBE;
}

static bool ends_subscriptions(uint32_t command)
{
	return command >= CMD_UNSUBSCRIBE && command <= CMD_SUNSUBSCRIBE;
}

/* How many subscriptions a command without arguments ends: it is confirmed as often, or once. */
static int32_t subscribed(const struct setup *r, uint32_t command)
{
	uint32_t n = command == CMD_UNSUBSCRIBE	   ? r->channels
		     : command == CMD_PUNSUBSCRIBE ? r->patterns
						   : r->shards;

	return n ? (int32_t)n : 1;
}

/* Of a transaction: some of its commands are confirmed. For each kind, by the bits of ends(): one
 * ends all subscriptions that there are then, and one ends some. */
enum { CONFIRMS = 1, ENDS_ALL = 2, ENDS_SOME = 16 };

static uint32_t ends(uint32_t command, bool all, uint32_t already)
{
	uint32_t kind;

	if (!ends_subscriptions(command))
		return 0;
	kind = command - CMD_UNSUBSCRIBE;
	if (all && (already & ENDS_ALL << kind))
		all = false;
	return (all ? ENDS_ALL : ENDS_SOME) << kind;
}

/* Then how often the first is confirmed is not known. */
static bool ends_unclear(uint32_t confirms)
{
	return confirms / ENDS_ALL & confirms / ENDS_SOME & 7;
}

/* A confirmation says how many there are now: channels and patterns together, shards' apart. */
static void subscriptions(struct setup *r, uint32_t command, uint32_t count)
{
	if (command == CMD_SSUBSCRIBE || command == CMD_SUNSUBSCRIBE)
		r->shards = count;
	else if (command == CMD_SUBSCRIBE || command == CMD_UNSUBSCRIBE)
		r->channels = count > r->patterns ? count - r->patterns : 0;
	else
		r->patterns = count > r->channels ? count - r->channels : 0;
}

static struct resp *resp_of(const struct conn *c)
{
	return c->state;
}

static struct side *side_of(const struct conn *c, int dir)
{
	return &resp_of(c)->side[dir];
}

static struct pending *pending(const struct exchange *ex)
{
	_Static_assert(sizeof(struct pending) <= sizeof(ex->own), "an exchange has no more room");
	return (struct pending *)(void *)(uintptr_t)ex->own;
}

static struct text *text_of(struct pipeline *pl, struct side *s)
{
	if (!s->text)
		s->text = pool_zalloc_evicting(&pl->pool, sizeof(struct text));
	return s->text;
}

static bool is_request(const struct conn *c, int dir)
{
	return dir == c->request_dir - 1;
}

/* ---- detection ------------------------------------------------------------------------------- */

/* A command is an array of bulk strings: "*2\r\n$3\r\nGET...". */
static bool is_array(const char *bytes, uint32_t n)
{
	return n && bytes[0] == '*' &&
	       (n == 1 || (bytes[1] >= '0' && bytes[1] <= '9') || bytes[1] == '-');
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * A line of words, as people type it and proxies ask whether a server is alive: "PING\r\n". HTTP's
 * request line ends with its version; what HTTP/0.9 sent without one begins with a path.
 */
static bool is_inline(const char *bytes, uint32_t n)
{
	const char *lf = memchr(bytes, '\n', n), *space;

	if (!lf && n && bytes[n - 1] == '\r')
		lf = bytes + n - 1; /* it comes with the next segment */
	if (!lf || !is_letter(bytes[0]))
		return false;
	n = (uint32_t)(lf - bytes);
	for (uint32_t i = 0; i < n; i++)
		if (n - i >= 6 && (bytes[i] == ' ' || bytes[i] == '\t') &&
		    !strncasecmp(bytes + i + 1, "HTTP/", 5))
			return false;
	space = memchr(bytes, ' ', n);
	return !space || space + 1 == lf || space[1] != '/';
}

static bool resp_detect(const char *bytes, uint32_t n)
{
	while (n && (*bytes == '\r' || *bytes == '\n')) {
		bytes++;
		n--;
	}
	return is_array(bytes, n) || is_inline(bytes, n);
}

/* On a connection that was met in the middle an array can also be a reply. A command is a word. */
static bool is_command(const char *bytes, uint32_t n)
{
	const char *end = bytes + n, *p = memchr(bytes, '\n', n), *name;

	if (!p || p + 1 >= end || p[1] != '$')
		return false;
	name = memchr(p + 1, '\n', (size_t)(end - p) - 1);
	for (p = name ? name + 1 : end; p < end && is_letter(*p); p++)
		;
	return name && p - name > 2 && p < end && strchr("\r._-|", *p);
}

static void resp_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	if (resp_detect(bytes, n) && (c->fresh || is_command(bytes, n)))
		c->request_dir = (uint8_t)(1 + dir);
}

/* ---- the connection as a whole --------------------------------------------------------------- */

static void value_reset(struct side *s)
{
	struct text *t = s->text;

	memset(&s->value, 0, sizeof(s->value));
	s->start.pos = s->end;
	if (t)
		t->line_len = t->line_cut = t->word_len[NAME] = t->word_len[ARGUMENT] =
			t->word_len[OPTION] = 0;
}

static void begin_at(struct side *s, uint64_t pos)
{
	s->phase = PHASE_VALUES;
	s->end = pos;
	value_reset(s);
}

static void resp_begin(struct conn *c, const uint64_t pos[2])
{
	for (int dir = 0; dir < 2; dir++) {
		struct side *s = side_of(c, dir);

		s->in = &c->stream[dir];
		if (c->fresh)
			begin_at(s, pos[dir]);
	}
}

static void resp_release(struct pipeline *pl, struct conn *c)
{
	pool_free(&pl->pool, side_of(c, DIR_IN)->text);
	pool_free(&pl->pool, side_of(c, DIR_OUT)->text);
}

static void resp_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	struct exchange *ex;

	while ((ex = exchange_at(c, c->exchanges.next)))
		exchange_finish(pl, c, ex, end, flags);
	for (int dir = 0; dir < 2; dir++) {
		struct side *s = side_of(c, dir);

		pool_free(&pl->pool, s->text);
		s->text = NULL;
		if (s->phase != PHASE_TUNNEL)
			s->phase = PHASE_SYNC;
	}
}

/* A line was missed, or what came is no RESP. why: WHY() */
static void resp_lose(struct pipeline *pl, struct conn *c, const char *why)
{
	if (!resp_of(c)->broken)
		EXPLAIN(APPMON_LOG_DEBUG, pl, &c->id, "pairing is given up: %s", why);
	resp_end(pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	c->gapped = 1;
	resp_of(c)->broken = true;
}

/* Replies are paired by counting: any record that is lost may have held some. */
static void resp_doubt(struct pipeline *pl, struct conn *c, bool lost)
{
	if (lost)
		resp_lose(pl, c, WHY("a record was lost"));
}

static void resp_missed(struct pipeline *pl, struct conn *c)
{
	resp_lose(pl, c, WHY("commands were missed"));
}

/* Replicas get a stream of commands from now on, not replies. */
static void resp_replicate(struct pipeline *pl, struct conn *c)
{
	resp_end(pl, c, APPMON_END_UPGRADED, APPMON_EVF_UPGRADED);
	side_of(c, DIR_IN)->phase = side_of(c, DIR_OUT)->phase = PHASE_TUNNEL;
}

/* ---- whole values ---------------------------------------------------------------------------- */

/* NULL: no memory. */
static struct kept *keep(struct pipeline *pl, const char *first, uint32_t first_len,
			 const char *second, uint32_t second_len)
{
	struct kept *kept = pool_alloc_evicting(&pl->pool, sizeof(*kept) + first_len + second_len);

	if (!kept)
		return NULL;
	kept->len[0] = first_len;
	kept->len[1] = second_len;
	memcpy(kept->bytes, first, first_len);
	memcpy(kept->bytes + first_len, second, second_len);
	return kept;
}

/* What CLIENT REPLY and transactions do to the replies of this command, and of those behind it.
 * Returns false if it has none. */
static bool has_reply(struct setup *r, struct exchange *ex, const struct text *t, uint32_t words)
{
	bool silent = r->off || r->skip, confirmed = is_confirmed(pending(ex)->command);
	bool queued =
		r->multi && (pending(ex)->command < CMD_QUIT || pending(ex)->command > CMD_WATCH);
	bool reply = pending(ex)->command == CMD_CLIENT && words == 3 &&
		     is_word(t->word[ARGUMENT], t->word_len[ARGUMENT], "reply");
	bool on = reply && is_word(t->word[OPTION], t->word_len[OPTION], "on");
	bool off = reply && is_word(t->word[OPTION], t->word_len[OPTION], "off");
	bool skip = reply && is_word(t->word[OPTION], t->word_len[OPTION], "skip");

	r->skip = 0;
	if (confirmed)
		pending(ex)->replies = (int32_t)words - 1;
	if (queued) {
		/* These come with EXEC's reply, or do not. SSUBSCRIBE is refused there. */
		if (on)
			r->exec_off = 0;
		r->exec_off |= off;
		r->exec_skip |= skip;
		if (confirmed && pending(ex)->command != CMD_SSUBSCRIBE) {
			r->confirms |=
				CONFIRMS | ends(pending(ex)->command, words == 1, r->confirms);
			r->extra += words > 1 ? pending(ex)->replies - 1 : 0;
		} else if (r->exec_off || skip) {
			r->extra--;
		}
		return !silent;
	}
	switch (pending(ex)->command) {
	case CMD_RESET:
		silent &= !r->off;
		r->off = 0;
		r->multi = 0;
		break;
	case CMD_EXEC:
		pending(ex)->replies = r->extra;
		pending(ex)->confirms = r->confirms;
		r->off |= r->exec_off;
		r->skip = r->exec_skip;
		r->multi = 0;
		break;
	case CMD_DISCARD:
		r->multi = 0;
		break;
	case CMD_MULTI:
		if (!r->multi) {
			r->multi = 1;
			r->extra = 0;
			r->confirms = r->exec_off = r->exec_skip = 0;
		}
		break;
	case CMD_CLIENT:
		r->skip = skip && !r->off;
		if (on || off)
			r->off = off;
		return reply ? on || (!off && !skip && !silent) : !silent;
	default:
		break;
	}
	return confirmed || !silent;
}

static void command_done(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);
	const struct text *t = s->text;
	size_t known = command_find(t->word[NAME], t->word_len[NAME]);
	bool hidden = s->value.hidden || (commands[known].secret & SECRET_ARGUMENT);
	bool pipelined = exchange_awaiting(c);
	struct exchange *ex;

	ex = exchange_new(pl, c);
	STAT_ADD(pl, target_of(pl, &c->id), requests, 1);
	if (!ex) {
		/* Its reply would go to another. */
		resp_lose(pl, c, WHY("a command was not kept"));
		return;
	}
	ex->request = keep(pl, t->word[NAME], t->word_len[NAME], t->word[ARGUMENT],
			   hidden ? 0 : t->word_len[ARGUMENT]);
	if (!ex->request)
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its command"));
	exchange_request(pl, c, ex, dir, &s->start);
	ex->request_end_ns = ts_ns;
	ex->request_body = s->end - s->start.pos;
	ex->request_done = 1;
	pending(ex)->command = commands[known].command;
	pending(ex)->secret = s->value.hidden || (commands[known].secret & SECRET_ERROR);
	EXPLAIN_EXCHANGE(pl, ex, "begins: %s", word_of(t->word[NAME], t->word_len[NAME]).text);
	if (pipelined)
		ex->flags |= APPMON_EVF_PIPELINED;
	if (!has_reply(&resp_of(c)->setup, ex, t, s->value.items)) {
		/* That is how the client wants it, and no error. */
		ex->response = keep(pl, "", 0, "", 0);
		if (!ex->response)
			exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its reply"));
		ex->response_start_ns = ex->response_end_ns = ts_ns;
		ex->response_done = 1;
		exchanges_settle(pl, c);
	}
}

/* The server will say that this is no RESP, and close. */
static void command_bad(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);
	struct exchange *ex = exchange_new(pl, c);

	s->phase = PHASE_SYNC;
	resp_of(c)->broken = true;
	if (!ex) {
		resp_lose(pl, c, WHY("what is no command was not kept"));
		return;
	}
	STAT_ADD(pl, target_of(pl, &c->id), requests, 1);
	exchange_spoil(ex, APPMON_DROP_PARSE, WHY("no command"));
	ex->request = keep(pl, "", 0, "", 0);
	exchange_request(pl, c, ex, dir, &s->start);
	ex->request_end_ns = ts_ns;
	ex->request_body = s->end - s->start.pos;
	ex->request_done = 1;
	pending(ex)->secret = 1;
}

static const char *find(const char *text, uint32_t len, const char *what)
{
	return memmem(text, len, what, strlen(what));
}

/*
 * How much of an error's text is told: it may repeat arguments. An unknown command's first one is
 * told anyway ("ERR unknown command 'x', with args beginning with: 'a' 'b' "); of commands that can
 * hold secrets nothing is that stands in quotes or behind a colon.
 */
static uint32_t told_of_error(const struct exchange *ex, const char *text, uint32_t len)
{
	static const char args[] = "with args beginning with: ";
	const char *from = find(text, len, args), *end = text + len, *p;

	if (pending(ex)->secret) {
		for (p = text; p < end && !strchr("'`\":", *p); p++)
			;
		if (from && from < p)
			p = from;
		return (uint32_t)(p - text);
	}
	if (!from)
		return len;
	from += strlen(args);
	if (from < end && (*from == '\'' || *from == '`'))
		p = memchr(from + 1, *from, (size_t)(end - from) - 1);
	else
		p = memchr(from, ' ', (size_t)(end - from));
	if (!p)
		return len;
	p++;
	if (p < end && *p == ' ')
		p++;
	return (uint32_t)(p - text);
}

/* "+1339518083.107412 [0 127.0.0.1:60866] ..." */
static bool is_monitored(const struct text *t)
{
	const char *p = t->word[NAME], *end = p + t->word_len[NAME];

	while (p < end && ((*p >= '0' && *p <= '9') || *p == '.'))
		p++;
	return p > t->word[NAME] && end - p >= 2 && p[0] == ' ' && p[1] == '[';
}

/* A message to a subscriber, in RESP2: an array like any other. */
static bool is_message(const struct conn *c, const struct exchange *ex, const struct side *s)
{
	const struct text *t = s->text;
	const struct setup *r = &resp_of(c)->setup;
	bool subscriber = !r->resp3 && (r->channels || r->patterns || r->shards);

	if (s->value.type != '*')
		return false;
	if (is_confirmed(s->value.nested) && s->value.items == 3 && s->value.counted)
		return subscriber && !(ex && pending(ex)->command == CMD_EXEC);
	/* These are not answered so. */
	if (ex && (is_confirmed(pending(ex)->command) ||
		   (pending(ex)->command >= CMD_PING && pending(ex)->command <= CMD_RESET)))
		subscriber = true;
	return subscriber &&
	       (s->value.items == 4
			? is_word(t->word[NAME], t->word_len[NAME], "pmessage")
			: s->value.items == 3 &&
				  (is_word(t->word[NAME], t->word_len[NAME], "message") ||
				   is_word(t->word[NAME], t->word_len[NAME], "smessage")));
}

/* One of the confirmations that a command waits for. Returns true if it is the last. */
static bool confirmed(struct conn *c, struct exchange *ex, const struct value *v)
{
	bool all = !pending(ex)->replies;

	if (all)
		pending(ex)->replies = subscribed(&resp_of(c)->setup, pending(ex)->command);
	subscriptions(&resp_of(c)->setup, v->nested, v->count);
	return --pending(ex)->replies == 0;
}

/* What an answer tells of the connection. */
static void reply_changes(struct conn *c, const struct exchange *ex, const struct value *v,
			  bool accepted)
{
	struct setup *r = &resp_of(c)->setup;

	switch (pending(ex)->command) {
	case CMD_HELLO:
		if (!v->error)
			r->resp3 = v->type == '%';
		break;
	case CMD_RESET:
		if (v->type == '+') {
			r->channels = r->patterns = r->shards = 0;
			r->resp3 = r->monitor = 0;
		}
		break;
	case CMD_MONITOR:
		r->monitor |= accepted;
		break;
	default:
		break;
	}
}

static void reply_done(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);
	const struct text *t = s->text;
	const struct value *v = &s->value;
	struct exchange *ex = exchange_answered(c, s->start.pos);
	bool confirms = v->counted && v->items == 3 && is_confirmed(v->nested) &&
			(v->type == '>' || v->type == '*');
	bool upgraded, accepted;
	uint32_t len;

	confirms &=
		v->type == '>' || (ex && pending(ex)->command == v->nested) || is_message(c, ex, s);
	if (confirms && !(ex && pending(ex)->command == v->nested))
		subscriptions(&resp_of(c)->setup, v->nested, v->count);
	else if (!confirms && (v->type == '>' || is_message(c, ex, s)))
		return;
	if (confirms && !(ex && pending(ex)->command == v->nested))
		return; /* that the server ended it, say: it answers nothing */
	if (resp_of(c)->setup.monitor && v->type == '+' && is_monitored(t))
		return;
	STAT_ADD(pl, target_of(pl, &c->id), responses, 1);
	if (!ex) {
		/* To a command from before the attach, or to none: CLIENT REPLY OFF was refused. */
		if (v->error)
			resp_of(c)->setup.off = 0;
		if (c->fresh)
			exchange_refuse(pl, c, c->gapped ? APPMON_DROP_GAP : APPMON_DROP_ORPHAN,
					WHY("a reply that answers no command which is known"));
		else
			EXPLAIN_CONN(pl, &c->id, "a reply to a command that was not seen");
		return;
	}
	if (!ex->response_begun)
		exchange_response(pl, c, ex, dir, &s->start);
	ex->response_end_ns = ts_ns;
	ex->response_body += s->end - s->start.pos;
	if (confirms && !confirmed(c, ex, v))
		return;
	len = v->error ? told_of_error(ex, t->word[ARGUMENT], t->word_len[ARGUMENT]) : 0;
	ex->response = keep(pl, "", 0, t->word[ARGUMENT], len);
	if (!ex->response)
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for its reply"));
	EXPLAIN_EXCHANGE(pl, ex, "is answered%s", v->error ? " with an error" : "");
	pending(ex)->error = v->error;
	ex->response_done = 1;
	accepted = !v->error && !is_word(t->word[NAME], t->word_len[NAME], "queued");
	reply_changes(c, ex, v, accepted);
	if (pending(ex)->command == CMD_SYNC && accepted) {
		resp_replicate(pl, c);
		return;
	}
	/* Messages may come from now on. */
	upgraded = (confirms && !ends_subscriptions(pending(ex)->command)) ||
		   (pending(ex)->command == CMD_MONITOR && resp_of(c)->setup.monitor);
	if (upgraded && ex == exchange_at(c, c->exchanges.next))
		exchange_finish(pl, c, ex, APPMON_END_UPGRADED, APPMON_EVF_UPGRADED);
	exchanges_settle(pl, c);
}

static void value_begin(struct conn *c, int dir, const struct chunk *chunk)
{
	struct side *s = side_of(c, dir);

	s->value.begun = 1;
	s->value.left = 1;
	s->start.ts_ns = chunk->ts_ns;
	s->start.other_pos = chunk->other_pos;
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
	uint32_t command = commands[command_find(t->word[NAME], t->word_len[NAME])].command;
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
		if (t->line_cut &&
		    is_confirmed(commands[command_find(t->word[NAME], t->word_len[NAME])].command))
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
static bool pass(struct pipeline *pl, struct conn *c, int dir, uint64_t to, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);

	while (s->phase == PHASE_VALUES && s->end < to) {
		if (!s->value.bulk)
			return false;
		string_bytes(pl, c, dir, "", 0, smaller(s->value.bulk, to - s->end), ts_ns);
	}
	return true;
}

/* Is this a command that the connection can be taken up at again? */
static bool resume(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct side *other = side_of(c, !dir);

	if (!is_request(c, dir) || !(chunk->flags & CHUNK_TURN) ||
	    !is_array(chunk->bytes, chunk->captured))
		return false;
	if (resp_of(c)->broken && !conn_was_quiet(c, chunk, QUIET_NS)) {
		exchange_refuse(pl, c, APPMON_DROP_GAP,
				WHY("commands, and pairing has been given up"));
		return false;
	}
	if (resp_of(c)->broken)
		EXPLAIN_CONN(pl, &c->id, "a silence: pairing begins anew");
	resp_of(c)->broken = false;
	begin_at(side_of(c, dir), chunk->pos);
	if (other->in->known && other->phase != PHASE_TUNNEL)
		begin_at(other, chunk->other_pos);
	return true;
}

static void resp_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct side *s = side_of(c, dir);
	const char *bytes = chunk->bytes;
	uint64_t pos = chunk->pos, have = pos + chunk->captured, end = pos + chunk->len;

	if (s->phase == PHASE_SYNC && !resume(pl, c, dir, chunk))
		return;
	if (s->phase != PHASE_VALUES)
		return;
	if (!text_of(pl, s) || !pass(pl, c, dir, smaller(pos, end), chunk->ts_ns)) {
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

static void resp_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);

	if (s->phase == PHASE_VALUES && s->in->seen > s->end &&
	    (!text_of(pl, s) || !pass(pl, c, dir, s->in->seen, ts_ns)))
		resp_lose(pl, c, WHY("no memory, or a line was not captured"));
	if (s->in->fin == FIN_NOTED && (int64_t)(s->in->seen - s->in->fin_pos) >= 0) {
		c->stream[dir].fin = FIN_HANDLED;
		if (!is_request(c, dir))
			resp_end(pl, c, APPMON_END_CLOSED, 0);
	}
}

/* ---- the event ------------------------------------------------------------------------------- */

/* By the flags and categories that Redis gives its commands (COMMAND); in order. */
/* clang-format off */
static const char *const reading[] = {
	"bitcount", "bitfield_ro", "bitpos", "dbsize", "dump", "exists", "expiretime",
	"geodist", "geohash", "geopos", "georadius_ro", "georadiusbymember_ro", "geosearch",
	"get", "getbit", "getrange", "hexists", "hget", "hgetall", "hkeys", "hlen", "hmget",
	"hrandfield", "hscan", "hstrlen", "hvals", "keys", "lcs", "lindex", "llen", "lpos",
	"lrange", "mget", "pexpiretime", "pfcount", "pttl", "randomkey", "scan", "scard",
	"sdiff", "sinter", "sintercard", "sismember", "smembers", "smismember", "sort_ro",
	"srandmember", "sscan", "strlen", "substr", "sunion", "touch", "ttl", "type", "xlen",
	"xpending", "xrange", "xread", "xrevrange", "zcard", "zcount", "zdiff", "zinter",
	"zintercard", "zlexcount", "zmscore", "zrandmember", "zrange", "zrangebylex",
	"zrangebyscore", "zrank", "zrevrange", "zrevrangebylex", "zrevrangebyscore", "zrevrank",
	"zscan", "zscore", "zunion",
};
static const char *const writing[] = {
	"append", "bitfield", "bitop", "blmove", "blmpop", "blpop", "brpop", "brpoplpush",
	"bzmpop", "bzpopmax", "bzpopmin", "copy", "decr", "decrby", "del", "expire", "expireat",
	"flushall", "flushdb", "geoadd", "georadius", "georadiusbymember", "geosearchstore",
	"getdel", "getex", "getset", "hdel", "hincrby", "hincrbyfloat", "hmset", "hset",
	"hsetnx", "incr", "incrby", "incrbyfloat", "linsert", "lmove", "lmpop", "lpop", "lpush",
	"lpushx", "lrem", "lset", "ltrim", "migrate", "move", "mset", "msetnx", "persist",
	"pexpire", "pexpireat", "pfadd", "pfdebug", "pfmerge", "psetex", "rename", "renamenx",
	"restore", "restore-asking", "rpop", "rpoplpush", "rpush", "rpushx", "sadd",
	"sdiffstore", "set", "setbit", "setex", "setnx", "setrange", "sinterstore", "smove",
	"sort", "spop", "srem", "sunionstore", "swapdb", "unlink", "xack", "xadd", "xautoclaim",
	"xclaim", "xdel", "xreadgroup", "xsetid", "xtrim", "zadd", "zdiffstore", "zincrby",
	"zinterstore", "zmpop", "zpopmax", "zpopmin", "zrangestore", "zrem", "zremrangebylex",
	"zremrangebyrank", "zremrangebyscore", "zunionstore",
};
/* clang-format on */
static const char *const calling[] = {"eval",	    "eval_ro", "evalsha",
				      "evalsha_ro", "fcall",   "fcall_ro"};
static const char *const publishing[] = {"publish", "spublish"};
static const char *const receiving[] = {"psubscribe", "punsubscribe", "ssubscribe",
					"subscribe",  "sunsubscribe", "unsubscribe"};
static const char *const session[] = {"asking", "auth",	    "client",	 "echo",  "hello", "ping",
				      "quit",	"readonly", "readwrite", "reset", "select"};

#define WORDS_OF(list) list, sizeof(list) / sizeof(list[0])

static const struct {
	uint32_t type;
	const char *const *words;
	size_t count;
} operation_types[] = {
	{APPMON_OP_READ, WORDS_OF(reading)},	  {APPMON_OP_WRITE, WORDS_OF(writing)},
	{APPMON_OP_CALL, WORDS_OF(calling)},	  {APPMON_OP_PUBLISH, WORDS_OF(publishing)},
	{APPMON_OP_RECEIVE, WORDS_OF(receiving)}, {APPMON_OP_SESSION, WORDS_OF(session)},
};

static int compare_words(const void *key, const void *word)
{
	return strcasecmp(key, *(const char *const *)word);
}

static bool is_listed(const char *word, const char *const *list, size_t count)
{
	return bsearch(word, list, count, sizeof(*list), compare_words);
}

static uint32_t operation_type(const char *command)
{
	for (size_t i = 0; i < sizeof(operation_types) / sizeof(operation_types[0]); i++)
		if (is_listed(command, operation_types[i].words, operation_types[i].count))
			return operation_types[i].type;
	return APPMON_OP_OTHER;
}

/* "WRONGTYPE Operation against ...": the word in front, as Redis has it in its error statistics. */
static uint32_t error_prefix(const struct appmon_str *error)
{
	uint32_t n = 0;

	while (n < error->len &&
	       ((error->data[n] >= 'A' && error->data[n] <= 'Z') ||
		(error->data[n] >= '0' && error->data[n] <= '9') || error->data[n] == '_'))
		n++;
	return n == error->len || error->data[n] == ' ' ? n : 0;
}

static uint32_t error_outcome(const char *prefix)
{
	static const char *const elsewhere[] = {"ASK", "MOVED"};
	/* Whatever is asked, it is refused for the state that the server is in. */
	static const char *const unable[] = {"BUSY",	"CLUSTERDOWN", "LOADING", "MASTERDOWN",
					     "MISCONF", "NOREPLICAS",  "OOM",	  "TRYAGAIN"};

	if (is_listed(prefix, WORDS_OF(elsewhere)))
		return APPMON_OUTCOME_OK;
	return is_listed(prefix, WORDS_OF(unable)) ? APPMON_OUTCOME_SERVER_ERROR
						   : APPMON_OUTCOME_CLIENT_ERROR;
}

/* All is copied: there is no blank between the words that are kept. */
static size_t resp_event_bytes(const struct pipeline *pl, const struct exchange *ex)
{
	const struct kept *request = ex->request, *response = ex->response;

	(void)pl;
	/* An error's text and its prefix. Four strings. */
	return (request ? request->len[0] + request->len[1] : 0) +
	       (response ? 2 * (size_t)response->len[1] : 0) + 4;
}

static void resp_fill(struct event_writer *w, const struct exchange *ex)
{
	const struct kept *request = ex->request, *response = ex->response;
	struct appmon_event *ev = w->ev;

	ev->system = (struct appmon_str){.data = "redis", .len = 5};
	if (request) {
		ev->operation = put_copy(w, request->bytes, request->len[0]);
		ev->resource = put_copy(w, request->bytes + request->len[0], request->len[1]);
		ev->operation_type = operation_type(ev->operation.data);
	}
	if (!response) {
		ev->outcome = outcome_unanswered(ex);
		return;
	}
	ev->message = put_copy(w, response->bytes, response->len[1]);
	ev->status_text = put_copy(w, ev->message.data, error_prefix(&ev->message));
	ev->outcome = pending(ex)->error ? error_outcome(ev->status_text.data) : APPMON_OUTCOME_OK;
}

const struct protocol protocol_resp = {
	.id = APPMON_PROTO_RESP,
	.conn_size = sizeof(struct resp),
	.detect = resp_detect,
	.asks = is_command,
	.begin = resp_begin,
	.release = resp_release,
	.role = resp_role,
	.data = resp_data,
	.progress = resp_progress,
	.doubt = resp_doubt,
	.missed = resp_missed,
	.end = resp_end,
	.event_bytes = resp_event_bytes,
	.fill = resp_fill,
};
