/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: records of all sockets in, two ordered streams of bytes for each out. */
#ifndef APPMON_STREAM_H
#define APPMON_STREAM_H

#include "exchange/exchange.h"

/* What was captured, in the order in which it came. */
struct record {
	struct rec_conn conn;
	struct rec_seg seg;
	struct rec_owner owner;
	const char *bytes; /* in the ring: valid until the record is released */
	uint32_t captured;
	uint32_t size; /* in the ring; another record may follow */
};

/* A captured piece that came before its predecessor. */
struct piece {
	struct piece *next;
	uint64_t pos;
	struct rec_seg seg;
	uint32_t captured;
	char bytes[];
};

struct flows {
	struct pipeline *pl;
	uint32_t exchange_timeout_ms, idle_timeout_ms; /* UINT32_MAX: never */
	struct conn **bucket;
	uint32_t buckets; /* power of two */
	uint32_t count;
	struct list_node busy, idle; /* connections with and without exchanges */
	uint32_t stray_count;	     /* connections that are strays */
	uint64_t strays_met;	     /* ever */
	struct conn *current;	     /* whose record is looked at: not to be forgotten */
	uint32_t awaiting;	     /* connections inside a response whose end is due */
	bool look_soon;		     /* there is one more of these */
	uint64_t ordinal_max;	     /* of connections that were forgotten */
};

int flows_init(struct flows *f, struct pipeline *pl, const struct appmon_opts *opts);
void flows_destroy(struct flows *f);
void flow_record(struct flows *f, const struct record *rec);
/* Ends what has been silent for too long. */
void flows_expire(struct flows *f, uint64_t now_ns);
/* Forgets everything that belongs to a target. */
void flows_drop_target(struct flows *f, struct target *target);
/* Forgets the connections that are not watched any more. */
void flows_drop_unsampled(struct flows *f);
/* Tells what is in progress; ends with what fn returned if that is not 0, or -ENOMEM. */
int flows_active(struct flows *f, appmon_event_fn fn, void *ctx);

/* ---- chunk.c --------------------------------------------------------------------------------- */

/* What a protocol sees of a segment whose first byte is at pos. It points to bytes and to seg. */
struct chunk chunk_of(const struct conn *c, int dir, uint64_t pos, const char *bytes,
		      uint32_t captured, const struct rec_seg *seg);
/* What a record says, as a line of log. */
void record_explain(struct pipeline *pl, const struct record *rec);

#endif /* APPMON_STREAM_H */
