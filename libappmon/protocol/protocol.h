/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection can speak. */
#ifndef APPMON_PROTOCOL_H
#define APPMON_PROTOCOL_H

#include "exchange/event.h"
#include "exchange/exchange.h"

/* What has come of a connection's first message, too little to tell what it speaks. */
struct first {
	struct start start;
	const char *bytes;
	uint32_t len;
};

enum message { MESSAGE_NONE, MESSAGE_REQUEST, MESSAGE_RESPONSE };

/*
 * What stream/ asks of a protocol: to find the messages in two streams of bytes, and to pair them
 * into exchanges. A connection has one from its first message on. Optional where so marked.
 */
struct protocol {
	uint32_t id;		/* APPMON_PROTO_* */
	uint32_t conn_size;	/* bytes of conn.state, zeroed */
	uint32_t exchange_size; /* bytes of exchange.own, zeroed */
	/* Does a connection whose first message begins with these bytes speak it? NULL: what no
	 * other protocol wants. */
	bool (*detect)(const char *bytes, uint32_t n);
	/* Does a message begin with these bytes, wherever on a connection? */
	enum message (*begins)(const char *bytes, uint32_t n);
	/* conn.state is new. pos: by direction, where the first bytes come that this protocol gets
	 * to see, if the connection is fresh. */
	void (*init)(struct conn *c, const uint64_t pos[2]);
	/* Frees what conn.state refers to; the exchanges are gone. */
	void (*release)(struct pipeline *pl, struct conn *c);
	/* Optional: the connection can still turn out to speak another protocol. False: the
	 * direction is in the middle of something. */
	bool (*first)(const struct conn *c, int dir, struct first *ret);
	/* A message begins with these bytes: do they tell which direction is the requests'? */
	void (*role)(struct conn *c, int dir, const char *bytes, uint32_t n);
	/* The next bytes of a direction. */
	void (*data)(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk);
	/* stream.seen has grown, or a FIN was noted, at the latest at ts_ns. */
	void (*progress)(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns);
	/* Optional. Behind what has been seen a message that the programs followed goes on, in
	 * bytes that come out of order: its framing does at pos, `skipped` frames behind the last one
	 * that was told. */
	void (*framed)(struct conn *c, int dir, uint64_t pos, uint32_t skipped);
	/* Optional. This chunk of the other direction begins a message, or seems to: what is open in
	 * dir has ended. */
	void (*turn)(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk);
	/* Optional. APPMON_OPEN_STREAM_HEADS: is there a response that goes on behind its head? */
	void (*stream)(struct pipeline *pl, struct conn *c);
	/* Before the bytes of a record: others of the connection were lost since the last one (lost),
	 * or the programs have seen signs of pipelining (conn.wide). */
	void (*doubt)(struct pipeline *pl, struct conn *c, bool lost);
	/* Requests were missed that have no answer yet: which response answers which is lost. */
	void (*missed)(struct pipeline *pl, struct conn *c);
	/* Ends every exchange of the connection; flags are added to their events. */
	void (*end)(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags);
	/* These four are optional: of a protocol that carries the plaintext of another. What an
	 * exchange of that keeps of this connection, from the pool; NULL: nothing is known, or there
	 * is no memory. */
	void *(*carry)(struct pipeline *pl, const struct conn *c);
	/* As event_bytes() and fill(), of ex->carried. */
	size_t (*carried_bytes)(const struct exchange *ex);
	void (*fill_carried)(struct event_writer *w, const struct exchange *ex);
	/* The plaintext is known from now on (c->plain): what this protocol has taken for an
	 * exchange, and is not over, is told there; with `fresh` all that has not been told yet.
	 * written_ns: the first that is known was written then; 0: it was read. */
	void (*uncover)(struct pipeline *pl, struct conn *c, bool fresh, uint64_t written_ns);
	/* How many bytes fill() may copy at most, with a NUL for each string. */
	size_t (*event_bytes)(const struct pipeline *pl, const struct exchange *ex);
	/* The protocol's part of an event: what was asked and what became of it, and its own members.
	 * request_bytes and response_bytes have what the exchange counts as bodies. */
	void (*fill)(struct event_writer *w, const struct exchange *ex);
};

#define PROTOCOL(id_, name_, protocol_) extern const struct protocol protocol_;
#include "protocol/protocols.def"

/* Bit n: APPMON_PROTO_n, all that there are. */
enum {
	PROTOCOLS_KNOWN = 0
#define PROTOCOL(id_, name_, protocol_) | 1 << APPMON_PROTO_##id_
#include "protocol/protocols.def"
};

/* What connections are taken to speak until their first message tells. */
#define PROTOCOL_FIRST protocol_http1

/* Room for the state of any of `protocols`, bits as above. */
uint32_t protocol_state_size(uint32_t protocols);
/* From now on. What it knows of another protocol must be released. */
void conn_speaks(struct conn *c, const struct protocol *protocol, const uint64_t pos[2]);
/* Can a connection that has spoken HTTP/1 go on with this one? */
bool protocol_may_follow(const struct target *target, const struct conn *c,
			 const struct protocol *protocol);
/* Does a message of one of `protocols` begin with these bytes? */
enum message protocol_begins(uint32_t protocols, const char *bytes, uint32_t n);
/*
 * The first of those that the target asks for which knows these first bytes of a connection as its
 * own, or NULL. If the host says what the server's port speaks, that is asked before the others,
 * and tells c->serves.
 */
const struct protocol *protocol_detect(const struct target *target, struct conn *c,
				       const char *bytes, uint32_t n);

#endif /* APPMON_PROTOCOL_H */
