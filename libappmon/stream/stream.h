/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: records of all sockets in, two ordered streams of bytes for each out. */
#ifndef APPMON_STREAM_H
#define APPMON_STREAM_H

#include "exchange/exchange.h"

/* What a record says of a segment: as struct rec_seg, with what follows that. */
struct segment {
	uint64_t ts_ns;
	uint32_t flags; /* REC_* */
	uint32_t seq, len;
	uint32_t start; /* with REC_FRAME: rec_piece.skipped */
	uint32_t whole, ack, written, srtt_us;
	uint32_t captured;		     /* bytes that follow, from seq on, or pieces */
	uint32_t sample, lost, retrans, dup; /* as in struct rec_conn_told */
	struct rec_before before;
};

/* What was captured, in the order in which it came. */
struct record {
	struct rec_conn conn; /* without REC_CONN: the cookie alone, until flow_record() */
	struct segment seg;
	struct rec_owner owner;
	/* In the ring: valid until the record is released. */
	const char *bytes; /* seg.captured */
	const char *tail;  /* the segment's last TAIL_BYTES; NULL: see REC_TAIL */
	uint32_t size;	   /* in the ring */
	bool framed;	   /* REC_FRAMES: the bytes are pieces */
	bool called;	   /* REC_PLAIN: call is valid, in place of conn, seg and owner */
	bool process;	   /* REC_PROCESS: owner.task is valid, and no more */
	uint64_t order_ns; /* when it was made */
	struct rec_plain call;
};

/* Who the connection is, as the record tells. */
static inline struct rec_conn_told record_told(const struct record *rec)
{
	return (struct rec_conn_told){.conn = rec->conn,
				      .sample = rec->seg.sample,
				      .lost = rec->seg.lost,
				      .retrans = rec->seg.retrans,
				      .dup = rec->seg.dup};
}

/* ... as the reader knows. */
static inline struct rec_conn_told conn_told(const struct conn *c)
{
	return (struct rec_conn_told){.conn = c->id,
				      .sample = c->sample,
				      .lost = c->lost,
				      .retrans = c->retrans,
				      .dup = c->dup};
}

/* Has the segment the other direction's numbers? Not before there is a connection. */
static inline bool seg_acknowledges(const struct segment *seg)
{
	return !(seg->flags & (REC_ALONE | REC_LISTENER));
}

/* How far the other direction was when a segment came, how far its sender had received that, and
 * when it last had data. */
struct heard {
	uint64_t pos, received, ts_ns;
};

/* A captured piece that came before its predecessor. */
struct piece {
	struct piece *next;
	uint64_t pos;
	struct segment seg;
	struct heard heard;
	char tail[TAIL_BYTES];
	char bytes[];
};

#define REMEMBERED 128

struct flows {
	struct pipeline *pl;
	uint32_t exchange_timeout_ms, idle_timeout_ms; /* UINT32_MAX: never */
	struct conn **bucket;
	uint32_t buckets; /* power of two */
	uint32_t count;
	uint32_t state_size;	     /* of a connection: protocol_state_size() */
	struct list_node busy, idle; /* connections with and without exchanges */
	uint32_t stray_count;	     /* connections that are strays */
	uint64_t strays_met;	     /* ever */
	struct conn *current;	     /* whose record is looked at: not to be forgotten */
	uint32_t awaiting;	     /* connections inside a response whose end is due */
	bool look_soon;		     /* there is one more of these */
	uint64_t ordinal_max;	     /* of connections that were forgotten */
	struct sessions *sessions;   /* NULL: plaintext is not looked for */
	uint32_t records_pid;	     /* the records of this process would tell sockets; 0: none */
	uint32_t forgotten;	     /* the last reason of flows_forgot() */
	/* Of those for which there was no memory, as they were told last, by cookie. */
	struct rec_conn_told remembered[REMEMBERED];
};

int flows_init(struct flows *f, struct pipeline *pl, const struct appmon_opts *opts);
void flows_destroy(struct flows *f);
/* What the record does not say of its connection, because an earlier one has, is filled in. */
void flow_record(struct flows *f, struct record *rec);
/* A connection is not known any more that may go on. reason: APPMON_DROP_*, for what it tells before
 * it says who it is. */
void flows_forgot(struct flows *f, uint32_t reason);
/* The same for lack of memory. The last ones are known all the same, if they are found. */
void flows_forgot_one(struct flows *f, struct rec_conn_told told);
bool flows_remember(const struct flows *f, uint64_t cookie, struct rec_conn_told *ret);
/* Ends what has been silent for too long. */
void flows_expire(struct flows *f, uint64_t now_ns);
/* Forgets everything that belongs to a target. */
void flows_drop_target(struct flows *f, struct target *target);
/* Forgets the connections that are not watched any more. */
void flows_drop_unsampled(struct flows *f);
/* Tells what is in progress; ends with what fn returned if that is not 0, or -ENOMEM. */
int flows_active(struct flows *f, appmon_event_fn fn, void *ctx);

/* ---- connections.c --------------------------------------------------------------------------- */

struct conn *conn_find(struct flows *f, uint64_t cookie);
/* Zeroed, with room for any protocol's state; NULL: no memory. */
struct conn *conn_alloc(struct flows *f);
/* Found by key from now on. seg: its first. */
struct conn *conn_new(struct flows *f, const struct rec_conn *id, uint64_t key,
		      const struct segment *seg);
uint32_t flows_bucket(const struct flows *f, uint64_t key);
void conn_insert(struct flows *f, struct conn *c);
void conn_remove(struct flows *f, struct conn *c);
/* Orders the connection by activity, among those with or without exchanges. */
void conn_active(struct flows *f, struct conn *c, uint64_t ts_ns);
/* Our side has closed, and no more is due. */
bool conn_over(const struct conn *c);
/* With nested targets the owner can change. */
void conn_moves(struct flows *f, struct conn *c, struct target *to);
/* Data that meets a listening socket (listener) does not tell the connection's place in the
 * sample. */
bool conn_is_watched(const struct flows *f, const struct rec_conn *conn, uint32_t sample,
		     bool listener);
/* Ends every exchange of the connection. */
void conn_end(struct flows *f, struct conn *c, uint32_t end, uint64_t flags);
/* With its exchanges. why: WHY() */
void conn_drop(struct flows *f, struct conn *c, uint32_t reason, const char *why);
/* Frees what belongs to the connection alone. */
void conn_release(struct flows *f, struct conn *c);
/* The exchanges must be gone. */
void conn_free(struct flows *f, struct conn *c);

/* ---- detect.c -------------------------------------------------------------------------------- */

/* What the next chunk tells before its protocol gets it: what is spoken, who asks, and that what is
 * open in the other direction has ended. */
void chunk_tells(struct flows *f, struct conn *c, int dir, const struct chunk *chunk);

/* ---- order.c --------------------------------------------------------------------------------- */

#define ANY ((uint64_t)INT64_MAX)

void stream_begin(struct stream *s, uint32_t seq);
/* All bytes below seq_end have passed. */
void stream_saw(struct stream *s, uint32_t seq_end, uint64_t ts_ns);
/* Behind what has been seen a message goes on in bytes that come late: see protocol.framed. */
void stream_framed(struct conn *c, int dir, uint32_t seq, uint32_t skipped);
/* A segment as it comes. tail: as in struct record. */
void stream_segment(struct flows *f, struct conn *c, int dir, const struct segment *seg,
		    const char *bytes, const char *tail);
/* Hands over the pieces before which all has passed, those below `until` only. */
void pieces_take(struct flows *f, struct conn *c, int dir, uint64_t until);
/* The same: mostly there are none. */
static inline void pieces_drain(struct flows *f, struct conn *c, int dir, uint64_t until)
{
	if (c->stream[dir].pieces)
		pieces_take(f, c, dir, until);
}
/* What is missing will not come: go on with what is here. */
void pieces_flush(struct flows *f, struct conn *c, int dir);
void pieces_free(struct flows *f, struct stream *s);

/* ---- strays.c -------------------------------------------------------------------------------- */

/* The connection of a record that met a listening socket, if it is known. */
struct conn *stray_meet(struct flows *f, const struct record *rec);
struct conn *stray_new(struct flows *f, const struct record *rec);
/* The first record of a connection's own socket: is it a stray's? */
struct conn *stray_join(struct flows *f, const struct record *rec);

/* ---- layer.c: plaintext above a socket's bytes ----------------------------------------------- */

/* Bytes of one direction of the plaintext that a socket carries. They come in order, without gaps
 * but for what is not captured. */
struct plain {
	uint64_t cookie; /* of the socket */
	int dir;	 /* DIR_* */
	bool fresh;	 /* of the first that comes: it is the first byte of the plaintext */
	bool ends;	 /* none follows in this direction */
	bool more;	 /* the next one continues this one */
	bool call_times; /* the wire has not told when it passed */
	const char *bytes;
	uint32_t captured, len;
	const char *tail; /* the last CHUNK_TAIL bytes; NULL: they are captured, or not known */
	/* TCP's numbers that stand for the first `numbered` bytes. */
	uint32_t seq, numbered;
	uint64_t ts_ns;		       /* when the first byte passed */
	uint64_t end_ns;	       /* and the last one; 0: at the same time */
	const struct rec_owner *owner; /* NULL: not known */
};

/* False: the socket is not known, or there is no memory; then the plaintext is not followed. */
bool layer_plain(struct flows *f, const struct plain *plain);
/* So many bytes of one direction were missed. */
void layer_lose(struct flows *f, struct conn *c, int dir, uint64_t missing);

/* ---- sessions.c: plaintext of TLS libraries finds its socket ---------------------------------- */

bool sessions_init(struct flows *f);
void sessions_free(struct flows *f);
/* A record that is `called`. */
void sessions_call(struct flows *f, const struct record *rec);
/* A record of the connection has been looked at. */
void sessions_wire(struct flows *f, struct conn *c, const struct record *rec);
/* The connection goes. */
void sessions_forget(struct flows *f, struct conn *c);
void sessions_expire(struct flows *f, uint64_t now_ns);

/* ---- chunk.c --------------------------------------------------------------------------------- */

/* How far the other direction is, as far as a record tells that comes now. */
struct heard heard_by(const struct conn *c, int dir, const struct segment *seg);
/* What a protocol sees of a segment whose first byte is at pos. It points to bytes, tail and seg. */
struct chunk chunk_of(uint64_t pos, const struct segment *seg, const struct heard *heard,
		      const char *bytes, const char *tail);
/* What a record says, as a line of log. */
void record_explain(struct pipeline *pl, const struct record *rec);

#endif /* APPMON_STREAM_H */
