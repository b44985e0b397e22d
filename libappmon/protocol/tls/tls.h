/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS on the wire: what its files share. */
#ifndef APPMON_TLS_H
#define APPMON_TLS_H

#include <string.h>

#include "protocol/frames.h"
#include "protocol/protocol.h"
#include "protocol/tls/hello.h"

#define RECORD_HEAD 5
/* As much of a hello as is kept. */
#define HELLO_MAX 16384
#define NAME_BYTES 255
#define ALPN_BYTES 255

/* Content types of records. */
enum { TLS_CCS = 20, TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_DATA = 23 };

struct tls_record {
	struct start start;
	uint64_t end_ns;
	uint32_t len; /* without its head */
	uint8_t type; /* TLS_* */
};

/* A message of the handshake while it comes. */
struct message_buffer {
	uint32_t len, room;
	uint8_t bytes[];
};

/* One direction. */
struct tls_side {
	struct tls_record record; /* the last one */
	struct message_buffer *hello;
	bool lost : 1;	   /* where the next record begins is not known */
	bool cut : 1;	   /* the last record did not come to its end */
	bool encrypts : 1; /* records of the handshake cannot be read any more */
	bool finished : 1; /* TLS 1.2: the handshake's last message has come */
	bool hello_done : 1;
};

enum tls_phase {
	TLS_HELLOS, /* the server's hello is to come */
	TLS_OLD,    /* TLS 1.2 and before: its handshake is in records of their own */
	TLS_HIDDEN, /* TLS 1.3: the client's Finished is to come */
	TLS_OPEN,   /* what comes is the applications' */
	TLS_FAILED
};

/* What the hellos said, in words. */
struct tls_told {
	uint16_t version, cipher;
	uint32_t flags; /* APPMON_TLS_* */
	uint32_t name_len, offered_len, alpn_len;
	char name[NAME_BYTES], offered[ALPN_BYTES], alpn[ALPN_BYTES];
};

/* conn.state */
struct tls {
	struct frames frames;
	struct tls_side side[2]; /* by DIR_* */
	enum tls_phase phase;
	struct tls_told *told; /* NULL: no hello was seen */
	uint64_t server_ns;    /* when the server's hello came; 0: it has not */
	uint64_t server_end_ns;
	struct start client; /* the client's hello */
	uint64_t client_end_ns;
	/* TLS_HIDDEN: what the client has sent behind its first record. */
	struct start flight;
	uint64_t flight_bytes, flight_end_ns;
	/* By DIR_*: TLS 1.3, a record of data that can be the alert which says that no more comes;
	 * len 0: there is none. */
	struct tls_record closing[2];
	bool first;  /* TLS 1.3: no exchange has been seen since the handshake */
	bool spoken; /* TLS_HIDDEN: the client has sent its first encrypted record */
	bool early;  /* the client has sent before the server's hello */
	bool hidden; /* the client's first encrypted record is as long as an alert */
	bool orphan; /* a response to no known request has been counted */
};

/* exchange.request */
struct tls_asked {
	uint16_t version, cipher;
	uint32_t flags;
	uint32_t handshake; /* it is one that failed */
	uint32_t name_len, offered_len, alpn_len;
	char bytes[];
};

enum { ALERT_NONE = -1, ALERT_HIDDEN = -2 /* encrypted */ };

/* exchange.response */
struct tls_answer {
	int alert; /* or ALERT_* */
	uint32_t by_client;
};

static inline struct tls *tls_of(const struct conn *c)
{
	return c->state;
}

/* ---- records.c ------------------------------------------------------------------------------- */

extern const struct frame_ops records_ops;
void records_forget(struct pipeline *pl, struct tls_side *s);

/* ---- tls.c: what the records are ------------------------------------------------------------- */

/* side.record has passed, or, with side.cut, has begun. n bytes of its body are known. */
void tls_record(struct pipeline *pl, struct conn *c, int dir, const uint8_t *body, uint32_t n);
/* The place is lost. why: WHY() */
void tls_lose(struct pipeline *pl, struct conn *c, int dir, const char *why);
/* A whole hello, or what was captured of it. */
void tls_hello(struct pipeline *pl, struct conn *c, int dir, const struct tls_hello *hello,
	       uint64_t ts_ns);

/* ---- tls-event.c: see struct protocol -------------------------------------------------------- */

struct tls_asked *tls_keep(struct pipeline *pl, const struct conn *c, bool handshake);
void *tls_carry(struct pipeline *pl, const struct conn *c);
size_t tls_carried_bytes(const struct exchange *ex);
void tls_fill_carried(struct event_writer *w, const struct exchange *ex);
size_t tls_event_bytes(const struct pipeline *pl, const struct exchange *ex);
void tls_fill(struct event_writer *w, const struct exchange *ex);

#endif /* APPMON_TLS_H */
