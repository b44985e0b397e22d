/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands, their replies, and which belongs to which. */
#include "protocol/resp/resp.h"

/* ---- commands that are not like others ------------------------------------------------------- */

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

static size_t command_find(const char *name, uint32_t len)
{
	size_t i;

	for (i = 0; commands[i].name[0]; i++)
		if (is_word(name, len, commands[i].name))
			break;
	return i;
}

uint32_t command_of(const struct text *t)
{
	return commands[command_find(t->word[NAME], t->word_len[NAME])].command;
}

bool is_confirmed(uint32_t command)
{
	return command >= CMD_SUBSCRIBE && command <= CMD_SUNSUBSCRIBE;
}

static bool ends_subscriptions(uint32_t command)
{
	return command >= CMD_UNSUBSCRIBE && command <= CMD_SUNSUBSCRIBE;
}

/* How many subscriptions a command without arguments ends: it is confirmed as often, or once. */
int32_t subscribed(const struct setup *r, uint32_t command)
{
	uint32_t n = command == CMD_UNSUBSCRIBE	   ? r->channels
		     : command == CMD_PUNSUBSCRIBE ? r->patterns
						   : r->shards;

	return n ? (int32_t)n : 1;
}

uint32_t ends(uint32_t command, bool all, uint32_t already)
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
bool ends_unclear(uint32_t confirms)
{
	return confirms / ENDS_ALL & confirms / ENDS_SOME & 7;
}

/* A confirmation says how many there are now: channels and patterns together, shards' apart. */
void subscriptions(struct setup *r, uint32_t command, uint32_t count)
{
	if (command == CMD_SSUBSCRIBE || command == CMD_SUNSUBSCRIBE)
		r->shards = count;
	else if (command == CMD_SUBSCRIBE || command == CMD_UNSUBSCRIBE)
		r->channels = count > r->patterns ? count - r->patterns : 0;
	else
		r->patterns = count > r->channels ? count - r->channels : 0;
}

/* ---- commands -------------------------------------------------------------------------------- */

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
	struct pending *p = pending(ex);
	bool silent = r->off || r->skip, confirmed = is_confirmed(p->command);
	bool queued = r->multi && (p->command < CMD_QUIT || p->command > CMD_WATCH);
	bool reply = p->command == CMD_CLIENT && words == 3 &&
		     is_word(t->word[ARGUMENT], t->word_len[ARGUMENT], "reply");
	bool on = reply && is_word(t->word[OPTION], t->word_len[OPTION], "on");
	bool off = reply && is_word(t->word[OPTION], t->word_len[OPTION], "off");
	bool skip = reply && is_word(t->word[OPTION], t->word_len[OPTION], "skip");

	r->skip = 0;
	if (confirmed)
		p->replies = (int32_t)words - 1;
	if (queued) {
		/* These come with EXEC's reply, or do not. SSUBSCRIBE is refused there. */
		if (on)
			r->exec_off = 0;
		r->exec_off |= off;
		r->exec_skip |= skip;
		if (confirmed && p->command != CMD_SSUBSCRIBE) {
			r->confirms |= CONFIRMS | ends(p->command, words == 1, r->confirms);
			r->extra += words > 1 ? p->replies - 1 : 0;
		} else if (r->exec_off || skip) {
			r->extra--;
		}
		return !silent;
	}
	switch (p->command) {
	case CMD_RESET:
		silent &= !r->off;
		r->off = 0;
		r->multi = 0;
		break;
	case CMD_EXEC:
		p->replies = r->extra;
		p->confirms = r->confirms;
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

void command_done(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);
	const struct text *t = s->text;
	size_t known = command_find(t->word[NAME], t->word_len[NAME]);
	bool hidden = s->value.hidden || (commands[known].secret & SECRET_ARGUMENT);
	bool pipelined = exchange_awaiting(c);
	struct exchange *ex;
	struct pending *p;

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
	p = pending(ex);
	p->command = commands[known].command;
	p->secret = s->value.hidden || (commands[known].secret & SECRET_ERROR);
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
void command_bad(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
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

/* ---- replies --------------------------------------------------------------------------------- */

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

void reply_done(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);
	const struct text *t = s->text;
	const struct value *v = &s->value;
	struct exchange *ex = exchange_answered(c, &s->start);
	bool confirms = v->counted && v->items == 3 && is_confirmed(v->nested) &&
			(v->type == '>' || v->type == '*');
	bool asked = ex && pending(ex)->command == v->nested; /* if it confirms */
	bool upgraded, accepted;
	uint32_t len;

	confirms &= v->type == '>' || asked || is_message(c, ex, s);
	if (confirms && !asked) {
		/* That the server ended it, say: it answers nothing. */
		subscriptions(&resp_of(c)->setup, v->nested, v->count);
		return;
	}
	if (!confirms && (v->type == '>' || is_message(c, ex, s)))
		return;
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
