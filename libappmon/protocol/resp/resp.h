/* SPDX-License-Identifier: BSD-2-Clause */
/* RESP: what its files share. */
#ifndef APPMON_RESP_H
#define APPMON_RESP_H

#include <string.h>
#include <strings.h>

#include "protocol/protocol.h"

#define COMMAND_MAX 32
#define ARGUMENT_MAX 256
#define OPTION_MAX 8
#define LINE_BYTES 256

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

/* Of a transaction: some of its commands are confirmed. For each kind, by the bits of ends(): one
 * ends all subscriptions that there are then, and one ends some. */
enum { CONFIRMS = 1, ENDS_ALL = 2, ENDS_SOME = 16 };

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

static inline struct resp *resp_of(const struct conn *c)
{
	return c->state;
}

static inline struct side *side_of(const struct conn *c, int dir)
{
	return &resp_of(c)->side[dir];
}

static inline struct pending *pending(const struct exchange *ex)
{
	return (struct pending *)(void *)(uintptr_t)ex->own;
}

static inline bool is_word(const char *word, uint32_t len, const char *text)
{
	return strlen(text) == len && !strncasecmp(word, text, len);
}

/* ---- resp.c ---------------------------------------------------------------------------------- */

/* A line was missed, or what came is no RESP. why: WHY() */
void resp_lose(struct pipeline *pl, struct conn *c, const char *why);
/* Replicas get a stream of commands from now on, not replies. */
void resp_replicate(struct pipeline *pl, struct conn *c);

/* ---- values.c: lines and bytes --------------------------------------------------------------- */

/* NULL: no memory. */
struct text *text_of(struct pipeline *pl, struct side *s);
/* Values begin at pos. */
void values_begin(struct side *s, uint64_t pos);
/* Takes the bytes of a chunk from side.end on. */
void values_take(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk);
/* Bytes up to `to` have passed uncaptured: only a string's may. */
bool values_pass(struct pipeline *pl, struct conn *c, int dir, uint64_t to, uint64_t ts_ns);

/* ---- commands.c: whole values ---------------------------------------------------------------- */

/* CMD_* of the command that the text names. */
uint32_t command_of(const struct text *t);
bool is_confirmed(uint32_t command);
/* How many subscriptions a command without arguments ends: it is confirmed as often, or once. */
int32_t subscribed(const struct setup *r, uint32_t command);
uint32_t ends(uint32_t command, bool all, uint32_t already);
/* Then how often the first is confirmed is not known. */
bool ends_unclear(uint32_t confirms);
/* A confirmation says how many there are now: channels and patterns together, shards' apart. */
void subscriptions(struct setup *r, uint32_t command, uint32_t count);
void command_done(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns);
/* The server will say that this is no RESP, and close. */
void command_bad(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns);
void reply_done(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns);

/* ---- resp-event.c: see struct protocol ------------------------------------------------------- */

size_t resp_event_bytes(const struct pipeline *pl, const struct exchange *ex);
void resp_fill(struct event_writer *w, const struct exchange *ex);

#endif /* APPMON_RESP_H */
