/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests with their responses, what each was made for, and the event that the host gets. Here is
 * also what all stages of the pipeline share: memory, names, targets, counters.
 */
#ifndef APPMON_EXCHANGE_H
#define APPMON_EXCHANGE_H

#include "base/base.h"
#include "exchange/trace.h"
#include "protocol/http1/http1.h"
#include "records.h"

struct cause;
struct exchange;
struct piece;
struct protocol;

/* ---- targets --------------------------------------------------------------------------------- */

/* Ingress, egress, release. */
#define LINKS 3

struct target {
	uint32_t id;
	uint32_t slot;
	uint32_t capture;
	uint32_t protocols; /* bit n: APPMON_PROTO_n */
	uint32_t port_count;
	struct appmon_port_hint *ports;
	uint64_t cgroup_id;
	char *name;
	void *user;
	int link_fd[LINKS];
	char *directory; /* NULL: not known, or hidden from this process */
	bool removed;	 /* its cgroup, and its last socket is gone */
	struct appmon_stats stats;
};

/* ---- the pipeline: what its stages share ----------------------------------------------------- */

#define PROCESS_BUCKETS 64

struct causes {
	struct list_node *bucket; /* of open exchanges; NULL: not asked for */
	uint32_t buckets;	  /* power of two */
	uint32_t process_count;
	uint64_t seed; /* so that nobody who writes header fields can fill one bucket */
	struct list_node process[PROCESS_BUCKETS];
	struct list_node processes; /* the longest without a read first */
};

/* Which connections are watched. */
struct sample {
	uint32_t ppm;	/* share of connections in force */
	uint32_t from;	/* records of earlier generations are not wanted any more */
	uint64_t below; /* of sample_hash(), at this share */
};

struct arena {
	char *buf;
	size_t size;
};

#define REDACT_NAME_MAX 127

/* What the host asked for by appmon_set_filter(); 0 and NULL: whatever it is. */
struct filter {
	uint32_t roles, outcomes; /* bit n: the n-th constant */
	uint64_t min_duration_ns;
	char *path_prefix;
	size_t path_prefix_len;
};

struct redact {
	char **name; /* query parameters that the host has added, lower case */
	uint32_t count;
};

struct pipeline {
	struct log *log;
	struct pool pool;
	uint32_t flags; /* APPMON_OPEN_* */
	struct sample sample;
	struct target *target[SLOTS];
	struct appmon_stats stats;
	struct causes causes;
	struct list_node ready;	       /* finished exchanges, not delivered yet */
	const struct rec_owner *owner; /* what the record at hand says of the owner */

	char **names; /* kept header names, lower case */
	uint32_t name_count;
	struct http1_keep keep;
	uint8_t trace_fields[HTTP1_KEEP_MAX]; /* enum trace_field of each kept name */
	struct redact redact;
	struct filter filter;

	struct appmon_event event;
	struct exchange *shown; /* the one that event is about */
	struct appmon_header *headers;
	struct arena arena;
};

/* opts: with defaults filled in. An error is in the log; pipeline_close() frees what there is. */
int pipeline_open(struct pipeline *pl, const struct appmon_opts *opts, struct log *log);
/* The connections must be gone. */
void pipeline_close(struct pipeline *pl);

/* Counts for the handle and, if there is one, the target. */
#define STAT_ADD(pl_, target_, member, n)                                                          \
	do {                                                                                       \
		struct target *t_ = (target_);                                                     \
		uint64_t n_ = (n);                                                                 \
		(pl_)->stats.member += n_;                                                         \
		if (t_)                                                                            \
			t_->stats.member += n_;                                                    \
	} while (0)

/* NULL if the record's target has been detached. */
static inline struct target *target_of(struct pipeline *pl, const struct rec_conn *conn)
{
	struct target *t = conn->slot < SLOTS ? pl->target[conn->slot] : NULL;

	return t && t->id == conn->target ? t : NULL;
}

/* ---- connections: stream/ finds them and puts their bytes in order --------------------------- */

enum {
	CHUNK_TURN = 1 << 0,	 /* has the first byte since the other direction had data */
	CHUNK_STARTS = 1 << 1,	 /* begins like a message */
	CHUNK_BEGINS = 1 << 2,	 /* a message begins with the first byte: counted, not guessed */
	CHUNK_ENDS = 1 << 3,	 /* a message ends with the last byte: likewise */
	CHUNK_FOLLOWED = 1 << 4, /* where messages of this direction end will be told so */
	CHUNK_MORE = 1 << 5,	 /* the next chunk continues this one */
	CHUNK_LOST = 1 << 6,	 /* records of the connection had been lost by then */
};

#define CHUNK_BEFORE 8 /* bytes */
#define CHUNK_TAIL 64

/*
 * Bytes of one direction, as a protocol gets them: in order. What it points to is valid during the
 * call.
 */
struct chunk {
	uint64_t pos;	   /* of the first byte */
	const char *bytes; /* the first `captured` of `len`; the others passed unseen */
	uint32_t captured, len;
	uint32_t flags;	      /* CHUNK_* */
	uint32_t tail_len;    /* len, CHUNK_TAIL at most */
	const char *tail;     /* the last tail_len bytes, captured or not */
	const char *before;   /* CHUNK_BEFORE bytes that stood before the first; 0: not known */
	uint64_t ts_ns;	      /* when it passed, CLOCK_MONOTONIC */
	uint64_t other_ts_ns; /* when the other direction last had data; 0: never */
	uint64_t other_pos;   /* how far the other direction was; 0: it had not begun */
};

enum stream_state {
	STREAM_SYNC, /* position unknown: wait for something that begins like a message */
	STREAM_HEAD, /* a head is due at pos, or head_len bytes of it are here */
	STREAM_BODY, /* body up to end */
	STREAM_CHUNKED,
	STREAM_OPEN,   /* body whose end cannot be counted: see protocol/http1/ */
	STREAM_CLOSE,  /* body up to FIN */
	STREAM_TUNNEL, /* no HTTP any more */
};

enum { FIN_NONE, FIN_NOTED, FIN_HANDLED };

#define RESP_STREAMED 6

enum { FIRST_NO, FIRST_NEXT, FIRST_HERE };

/* protocol/resp.c: a value of which not all has come. */
struct resp_value {
	uint64_t bulk;			  /* bytes of a string that are to come, with its CRLF */
	uint64_t left;			  /* values that are to come, at all levels together */
	uint64_t streamed[RESP_STREAMED]; /* left when such an aggregate without a count began */
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
	uint8_t nested;	 /* resp-flow.c: CMD_* of the subscription that it confirms */
	uint8_t pad[6];
};

/* resp-flow.c: what a connection's commands have set up. */
struct resp_state {
	/* Subscriptions, as the server counts them: */
	uint32_t channels, patterns, shards;
	/* The transaction that is being queued: */
	int32_t extra; /* replies that EXEC's array has beside one for each command */
	uint8_t multi;
	uint8_t confirms; /* some of its commands are confirmed, not answered: resp-flow.c's bits */
	uint8_t exec_off, exec_skip; /* CLIENT REPLY in it */
	uint8_t off;		     /* CLIENT REPLY OFF */
	uint8_t skip;		     /* CLIENT REPLY SKIP: the next command has no reply */
	uint8_t resp3;		     /* messages are pushes */
	uint8_t monitor;	     /* every command of the server is told */
};

/* One direction of a connection, in positions: 64-bit, 0 is the first byte described. */
struct stream {
	uint64_t base; /* position that base_seq stands for */
	uint32_t base_seq;
	uint8_t known;	  /* base is valid */
	uint8_t fin;	  /* FIN_* */
	uint16_t state;	  /* enum stream_state */
	uint64_t seen;	  /* all bytes below this have passed */
	uint64_t seen_ns; /* when seen last grew */
	uint64_t pos; /* HEAD: of its first byte; TUNNEL: counted up to here; else: body begin */
	uint64_t end; /* BODY: where it ends; CHUNKED: next byte of the framing to look at;
			 CLOSE: where a length that is overridden ends */
	uint64_t fin_pos; /* fin: where the stream ends */
	/* When the first byte of the head came: */
	uint64_t head_floor; /* how far the other direction was */
	uint32_t head_retrans, head_dup;
	uint8_t head_pipelined; /* an earlier answer was due */
	uint8_t pad0[7];
	uint64_t head_ns; /* first byte of the head */
	char *head;	  /* head_len bytes of an incomplete head */
	uint32_t head_len;
	uint32_t lost; /* conn.lost when this stream was last whole */
	union {
		struct http1_chunks chunks;
		struct resp_value value;
	};
	struct piece *pieces; /* that came early, by pos */
	uint32_t piece_count;
	uint8_t begun;	      /* data has come */
	uint8_t open_chunked; /* OPEN: a last chunk would end it */
	uint8_t assumed;      /* the body of a response to an unknown request: perhaps none */
	uint8_t missed;	      /* SYNC, OPEN: messages have passed unseen */
	uint8_t guessed;      /* HEAD: it may begin elsewhere */
	uint8_t lines;	      /* request lines among what could not be placed */
	uint8_t over; /* the last request was answered before its head was whole, or no answer can
			 come any more: only a whole request line begins another */
	uint8_t pad[5];
	/* When the other direction last began a message: */
	uint64_t turn_pos;	/* seen */
	uint64_t turn_ns;	/* seen_ns */
	uint8_t turn_pipelined; /* conn.pipelined */
	uint8_t unread;		/* OPEN, CLOSE: not all readers see the same end of the body */
	uint8_t pad1[6];
};

/* A head as kept with its exchange: fields used only, then the bytes. */
struct head {
	char *bytes;	     /* and room for one more */
	uint32_t len;	     /* on the wire: what is kept may be less */
	struct http1_head h; /* last: truncated to field_count */
};

/* The client that a PROXY protocol header tells. */
struct proxied {
	uint8_t addr[16];
	uint16_t port;
	uint8_t family; /* 4 or 6; 0: none was told */
	uint8_t pad;
};

struct exchange {
	struct list_node link; /* in conn.exchanges, later in pipeline.ready */
	const struct protocol *protocol;
	struct rec_conn id;
	uint64_t ordinal;
	uint64_t flags; /* APPMON_EVF_* */
	uint64_t floor; /* the response cannot begin below this position */
	uint64_t asked; /* where the responses were when the request ended */
	uint64_t request_start_ns, request_end_ns, response_start_ns, response_end_ns;
	uint64_t request_body, response_body; /* bytes */
	struct rec_owner owner;
	struct head *request, *response;
	struct cause *cause; /* NULL: links are not asked for */
	uint32_t role;
	uint32_t end;			/* APPMON_END_* */
	uint32_t sampling_ppm;		/* when the request began */
	uint32_t srtt_us, retrans, dup; /* of the connection: at the start, then differences */
	uint8_t request_done, response_begun, response_done;
	uint8_t bad;	  /* 1 + APPMON_DROP_* if the request could not be read or kept */
	uint8_t method;	  /* APPMON_METHOD_*, also of a request that could not be kept */
	uint8_t told;	  /* the host has had its event: this only waits for the end */
	uint8_t command;  /* resp-flow.c: CMD_* */
	uint8_t confirms; /* EXEC: as in struct resp_state */
	uint8_t secret;	  /* protocol/resp.c: an error could repeat what is not to be told */
	uint8_t error;	  /* protocol/resp.c: the reply is one */
	int32_t replies;  /* confirmations to come; EXEC: beside one for each command */
	uint32_t request_seq, response_seq; /* TCP's numbers of the first bytes; see below */
	uint8_t numbered;		    /* which of them are known: NUMBERED_* */
	struct proxied proxied;
};

/* Before there is a response its number is that of where it would begin: both ends say the same,
 * unless there is pipelining. */
enum { NUMBERED_REQUEST = 1, NUMBERED_RESPONSE = 2, NUMBERED_BOTH = 3 };

/* The thread that has begun to read a request, from REC_READ. tid 0: none is known. */
struct reader {
	uint64_t start_ns; /* of its process */
	uint32_t pid, tid;
	uint32_t seq;	 /* TCP's number of the first byte of what it reads */
	uint32_t blocks; /* it waits in reading */
};

struct conn {
	struct conn *hash_next;
	const struct protocol *protocol;
	struct list_node link;	    /* in flows.busy or flows.idle, least recently active first */
	struct list_node exchanges; /* oldest first */
	struct rec_conn id;
	struct stream stream[2]; /* by DIR_* */
	struct reader reader;	 /* since the last response */
	uint64_t active_ns;
	uint64_t ordinal;
	uint32_t srtt_us, retrans, dup;
	uint32_t lost;	  /* records of it that were lost, as the last one says */
	uint32_t sample;  /* its place in the sample: see sample_hash() */
	uint32_t refused; /* requests that are counted, but have no exchange to answer any more */
	uint8_t request_dir; /* 1 + DIR_*; 0: unknown */
	uint8_t fresh;
	uint8_t pipelined; /* ever */
	uint8_t broken;	   /* requests were missed while pipelining: nothing can be paired */
	uint8_t http;	   /* counted as a connection */
	uint8_t unqueued; /* a request without an exchange, for lack of memory, awaits its answer */
	uint8_t request_missed;	  /* request bytes were missed since the last request */
	uint8_t answer_unmatched; /* since then a response came that belongs to none known */
	uint8_t gapped;		  /* messages were missed: orphans are no surprise */
	uint8_t awaits_end;	  /* counted in flows.awaiting */
	uint8_t wide;		  /* the programs saw signs of pipelining */
	uint8_t stray;	/* known by what met its listening socket: its own has not shown up yet */
	uint8_t serves; /* as request_dir, if a hint says so of a connection met in the middle */
	uint8_t pad[3];
	uint64_t key;	    /* what it is found by: its cookie; of a stray, a hash of its peers */
	uint32_t first_seq; /* of a stray: TCP's number of the client's first byte */
	uint32_t pad1;
	struct resp_state resp;
	struct proxied proxied;
	uint32_t pad2;
	uint64_t ordinal_base; /* exchanges of it may have been told before it was forgotten */
};

static inline uint64_t stream_pos(const struct stream *s, uint32_t seq)
{
	return s->base + (uint64_t)(int64_t)(int32_t)(seq - s->base_seq);
}
/* Every message of the connection has been seen. lost: had records of it been lost by then? */
static inline bool conn_accounted(const struct conn *c, bool lost)
{
	return c->fresh && !c->gapped && !lost;
}
/* TCP's number of the byte at a position. */
static inline uint32_t stream_seq(const struct stream *s, uint64_t pos)
{
	return s->base_seq + (uint32_t)(pos - s->base);
}

/* ---- exchange.c: the queue of a connection --------------------------------------------------- */

/* Appended to the connection's queue; NULL: no memory, and counted as dropped for that. */
struct exchange *exchange_new(struct pipeline *pl, struct conn *c);
/* Counts one that is dropped before it was made. */
void exchange_refuse(struct pipeline *pl, struct conn *c, uint32_t reason);
/* Takes one out of its list and counts it as dropped. */
void exchange_drop(struct pipeline *pl, struct exchange *ex, uint32_t reason);
/* Moves one to those that the host is to get. */
void exchange_finish(struct pipeline *pl, struct conn *c, struct exchange *ex, uint32_t end,
		     uint64_t flags);
/* The host gets the event now; what is left waits for the end of the response. */
void exchange_tell(struct pipeline *pl, struct conn *c, struct exchange *ex);
/* Finishes those at the front that are complete. */
void exchanges_settle(struct pipeline *pl, struct conn *c);
/* Where the request begins on the connection, and by ex->floor where its response would. */
void exchange_number(struct conn *c, struct exchange *ex, int dir);
/* Where its response begins. */
void exchange_number_response(struct conn *c, struct exchange *ex, int dir);
/* Keeps what the record at hand says of the socket's owner: at the head of a client's request, of a
 * server's response, and at the end of the connection. */
void exchange_owner(struct pipeline *pl, struct exchange *ex);
/* Frees what is in no list. */
void exchange_release(struct pipeline *pl, struct exchange *ex);

/* The one at a node of the queue, NULL at its end. */
static inline struct exchange *exchange_at(struct conn *c, struct list_node *n)
{
	return n == &c->exchanges ? NULL : list_entry(n, struct exchange, link);
}

/* The newest, if its request is still coming. */
static inline struct exchange *exchange_requesting(struct conn *c)
{
	struct exchange *ex = exchange_at(c, c->exchanges.prev);

	return ex && !ex->request_done ? ex : NULL;
}

/* The oldest without a complete response. */
static inline struct exchange *exchange_awaiting(struct conn *c)
{
	struct list_node *n = c->exchanges.next;
	struct exchange *ex;

	while ((ex = exchange_at(c, n)) && ex->response_done)
		n = n->next;
	return ex;
}

/* ---- cause.c: what an exchange was made for -------------------------------------------------- */

bool causes_init(struct pipeline *pl);
void causes_destroy(struct pipeline *pl);
/* A request's head is complete. */
void cause_request(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir);
/* A thread has begun to read. */
void cause_read(struct pipeline *pl, struct conn *c, const struct reader *reader);
/* The final response begins. */
void cause_response(struct pipeline *pl, struct conn *c, struct exchange *ex);
/* The exchange is over: nothing is made for it any more. */
void cause_close(struct exchange *ex);
/* The exchange's connection has another id now. */
void cause_rename(struct pipeline *pl, struct exchange *ex);
void cause_report(const struct exchange *ex, struct appmon_event *ev);

/* ---- redact.c: secrets in request-targets ---------------------------------------------------- */

/* Writes a target without its secrets to out and returns the length; out NULL: the length only.
 * 0: it has none, and out is left alone. */
size_t redact_target(const struct redact *r, const char *target, size_t len, uint32_t method,
		     char *out);

/* ---- filter.c --------------------------------------------------------------------------------- */

/* user may be NULL. On failure the filter stays as it is. */
int filter_set(struct filter *f, const struct appmon_filter *user, struct log *log);
bool filter_passes(const struct filter *f, const struct appmon_event *ev);

/* ---- event.c --------------------------------------------------------------------------------- */

/* Makes the oldest finished exchange that passes the filter pipeline.event. False: there is none. */
bool event_next(struct pipeline *pl);
/* Before the handle goes. */
void event_forget(struct pipeline *pl);
/* The host did not get pipeline.event after all: memory has ended. */
void event_lose(struct pipeline *pl);
/* Calls fn with the event of an exchange that is open. Returns what fn returned, or -ENOMEM. */
int event_show(struct pipeline *pl, struct exchange *ex, appmon_event_fn fn, void *ctx);

#endif /* APPMON_EXCHANGE_H */
