/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests with their responses, what each was made for, and the event that the host gets. Here is
 * also what all stages of the pipeline share: memory, names, targets, counters.
 */
#ifndef APPMON_EXCHANGE_H
#define APPMON_EXCHANGE_H

#include "base/base.h"
#include "exchange/field-names.h"
#include "exchange/trace.h"
#include "records.h"

struct cause;
struct exchange;
struct piece;
struct protocol;

/* ---- targets --------------------------------------------------------------------------------- */

/* Ingress, egress, release, and with APPMON_OPEN_TLS new sockets. */
#define LINKS 4

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
	uint32_t letters; /* LETTER() of what they begin with */
};

struct pipeline {
	struct log *log;
	struct pool pool;
	uint32_t flags;	    /* APPMON_OPEN_* */
	uint32_t protocols; /* bit n: APPMON_PROTO_n, those of any target */
	struct sample sample;
	struct target *target[SLOTS];
	struct appmon_stats stats;
	struct causes causes;
	/* Tells the programs what is known of a connection that they have lost; NULL: there are
	 * none. */
	void (*tell_programs)(void *ctx, uint64_t cookie, const struct verdict *verdict);
	/* Has them say once more who each connection is; NULL: likewise. */
	void (*ask_programs)(void *ctx);
	void *programs;		       /* ctx of both */
	struct list_node ready;	       /* finished exchanges, not delivered yet */
	const struct rec_owner *owner; /* what the record at hand says of the owner */

	char **names; /* kept header names, lower case */
	uint32_t name_count;
	struct field_names keep;
	uint8_t trace_fields[FIELD_NAMES_MAX]; /* enum trace_field of each kept name */
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

/* ---- explain.c: why there is an event, or none ------------------------------------------------ */

#ifdef __FILE_NAME__ /* without its directories: GCC 12 and clang 9 */
#define SOURCE_FILE __FILE_NAME__
#else
#define SOURCE_FILE __FILE__
#endif
#define AS_TEXT_(x) #x
#define AS_TEXT(x) AS_TEXT_(x)

/* A sentence, and where in the source it was decided. */
#define WHY(text) text " (" SOURCE_FILE ":" AS_TEXT(__LINE__) ")"

/* Does the host want to know? */
#define EXPLAINS(level_, pl_) __builtin_expect((pl_)->log->level >= (level_), 0)

/* One line of log about a connection, by its struct rec_conn. The other arguments are looked at
 * only if the host wants to know. */
#define EXPLAIN(level_, pl_, id_, ...)                                                             \
	do {                                                                                       \
		if (EXPLAINS(level_, pl_))                                                         \
			explain((level_), (pl_)->log, (id_), __VA_ARGS__);                         \
	} while (0)

/* What happens to a connection, and to one of its exchanges. */
#define EXPLAIN_CONN(pl_, id_, text_, ...)                                                         \
	EXPLAIN(APPMON_LOG_TRACE, pl_, id_, WHY(text_), ##__VA_ARGS__)
#define EXPLAIN_EXCHANGE(pl_, ex_, text_, ...)                                                     \
	EXPLAIN_CONN(pl_, &(ex_)->id, "exchange %llu " text_, (unsigned long long)(ex_)->ordinal,  \
		     ##__VA_ARGS__)
/* One is dropped, once for each that is counted so. The rest: which one, as a format with %s for
 * the reason's name and %s for why_. */
#define EXPLAIN_DROP(pl_, id_, reason_, why_, ...)                                                 \
	EXPLAIN(APPMON_LOG_DEBUG, pl_, id_, __VA_ARGS__, appmon_drop_name(reason_), why_)

void explain(int level, struct log *log, const struct rec_conn *id, const char *fmt, ...)
	__attribute__((cold, format(printf, 4, 5)));

/* Bytes from the network as one word of a line; longer ones end with "...". */
struct word {
	char text[128];
};
struct word word_of(const char *bytes, size_t len);

/* ---- targets of records ---------------------------------------------------------------------- */

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
	CHUNK_FRAME = 1 << 7,	 /* a frame begins with the first byte: the programs follow them */
	CHUNK_UNWALKED = 1 << 8, /* before it frames may have passed that are not counted */
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
	uint32_t skipped;     /* CHUNK_FRAME: frames that passed uncopied since the one before */
	uint32_t tail_len;    /* len, CHUNK_TAIL at most */
	const char *tail;     /* the last tail_len bytes, captured or not */
	const char *before;   /* CHUNK_BEFORE bytes that stood before the first; 0: not known */
	uint64_t ts_ns;	      /* when it passed, CLOCK_MONOTONIC */
	uint64_t other_ts_ns; /* when the other direction last had data; 0: never */
	uint64_t other_pos;   /* how far the other direction was; 0: it had not begun */
	uint64_t received;    /* how far the sender had received it; 0: not known */
};

enum { FIN_NONE, FIN_NOTED, FIN_HANDLED };

/* One direction of a connection, in positions: 64-bit, 0 is the first byte described. */
struct stream {
	uint64_t base; /* position that base_seq stands for */
	uint32_t base_seq;
	uint8_t known;	      /* base is valid */
	uint8_t fin;	      /* FIN_* */
	uint8_t begun;	      /* data has come */
	uint8_t turned;	      /* of plaintext: the other direction had the last word */
	uint64_t seen;	      /* all bytes below this have passed */
	uint64_t seen_ns;     /* when seen last grew */
	uint64_t fin_pos;     /* fin: where the stream ends */
	struct piece *pieces; /* that came early, by pos */
	uint32_t piece_count;
	uint32_t lost; /* conn.lost when this stream was last whole */
};

/* Where a message begins. */
struct start {
	uint64_t pos;	    /* of its first byte */
	uint64_t other_pos; /* how far the other direction was by then */
	uint64_t received;  /* how far the sender had received it; 0: not known */
	uint64_t ts_ns;	    /* when that byte passed */
};

/* The client that a PROXY protocol header tells. */
struct proxied {
	uint8_t addr[16];
	uint16_t port;
	uint8_t family; /* 4 or 6; 0: none was told */
	uint8_t pad;
};

struct exchange {
	struct list_node link;	  /* in conn.exchanges, later in pipeline.ready */
	struct list_node id_node; /* in a bucket of conn.ids */
	uint64_t message_id;	  /* what both its messages carry: see exchange_identify() */
	const struct protocol *protocol;
	struct rec_conn id;
	uint64_t ordinal;
	uint64_t flags;	      /* APPMON_EVF_* */
	uint64_t request_pos; /* where the request begins */
	uint64_t floor;	      /* the response cannot begin below this position */
	uint64_t asked;	      /* where the responses were when the request ended */
	uint64_t request_start_ns, request_end_ns, response_start_ns, response_end_ns;
	uint64_t request_body, response_body; /* bytes */
	struct rec_owner owner;
	/* What its protocol keeps of the two messages, from the pool. NULL: they are not here. */
	void *request, *response;
	/* What the protocol below keeps of the connection; NULL: there is none below. */
	void *carried;
	const struct protocol *carrier;
	struct cause *cause; /* NULL: links are not asked for */
	uint32_t role;
	uint32_t end;			/* APPMON_END_* */
	uint32_t sampling_ppm;		/* when the request began */
	uint32_t srtt_us, retrans, dup; /* of the connection: at the start, then differences */
	uint8_t request_done, response_begun, response_done;
	uint8_t drop_reason;	   /* 1 + APPMON_DROP_* if the request could not be read or kept */
	uint8_t delivered_at_head; /* the host has had its event: this only waits for the end */
	uint8_t numbered;	   /* which of these are known: NUMBERED_*; see below */
	uint32_t request_seq, response_seq; /* TCP's numbers of the first bytes */
	struct proxied proxied;
	const char *drop_why; /* WHY() */
	/* What its protocol has to know of it, beside the messages: protocol.exchange_size bytes. */
	_Alignas(8) unsigned char own[];
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

/* A record on the wire that carries plaintext. */
struct carrier {
	uint64_t start_ns, end_ns;
	uint64_t pos; /* bytes of plaintext that such records had carried before */
	uint32_t len; /* of the plaintext; 0: not known */
	uint32_t seq; /* TCP's number of its first byte */
};

#define CARRIERS 32
#define WIRE_RECORDS 8

/*
 * What a connection that carries plaintext knows for it: who it is, and when its bytes passed. Made
 * by its protocol if APPMON_OPEN_TLS was asked for.
 */
struct tls_wire {
	struct tls_wire *next; /* in a bucket of sessions.tag */
	uint64_t cookie;
	uint64_t hello_ns;	    /* when its socket sent its hello; 0: that was not seen */
	uint8_t tag[TLS_TAG_BYTES]; /* the begin of that hello's random */
	uint32_t pid;		    /* the process that sent it; 0: not known */
	bool client;		    /* it is a client's */
	bool tagged;		    /* it can be found by its tag */
	struct carrier turn[2]; /* by DIR_*: the first one of the last turn, and when that ended */
	struct carrier carrier[2][CARRIERS]; /* the last ones, carried % CARRIERS is the next */
	uint64_t carried[2], bytes[2];
	uint32_t last;	  /* 1 + DIR_* of the last one */
	uint32_t tgid;	  /* the session that has something to tell when more has passed */
	uint64_t session; /* 0: there is none */
	bool lost;	  /* records pass that are not told here */
	uint32_t turns;	  /* that began without it being known which session is its own */
	uint32_t records; /* in `record` */
	uint8_t record[WIRE_RECORDS][TLS_RECORD_BYTES]; /* that left since it was looked for */
	bool renewed;		/* there was another handshake, whose hellos are encrypted */
	bool turned;		/* the next that is sent is the first of a turn */
	bool owner_before;	/* of this turn it is not known: owner is that of one before */
	struct rec_owner owner; /* as it was when that was sent last */
};

/* Since the last exchange that was alone on its connection; of the present piece of plaintext. */
enum { CALL_TIMES_BEFORE = 1, CALL_TIMES_NOW = 2 };

/* Bytes of plaintext have the numbers of the record that carried them, counted on from its first. */
struct numbers {
	uint64_t pos;
	uint32_t seq, len; /* of how many bytes they are known */
};

/* The exchanges of a connection whose messages carry ids, once they are many. */
struct ids {
	struct list_node *bucket;
	uint32_t buckets; /* power of two; 0: they are few */
};

struct conn {
	struct conn *hash_next;
	const struct protocol *protocol;
	void *state;	    /* the protocol's, of protocol.conn_size bytes */
	struct conn *above; /* the plaintext in what the socket carries; NULL: none is known */
	struct conn *below; /* of plaintext: the socket's own bytes */
	struct numbers numbers[2];  /* by DIR_*: of plaintext, of the piece at hand */
	struct tls_wire *wire;	    /* NULL: none, or no plaintext is looked for */
	struct list_node link;	    /* in flows.busy or flows.idle, least recently active first */
	struct list_node exchanges; /* oldest first */
	struct ids ids;
	struct rec_conn id;
	struct stream stream[2]; /* by DIR_* */
	struct reader reader;	 /* since the last response */
	uint64_t active_ns;
	uint64_t ordinal;
	uint32_t srtt_us, retrans, dup;
	uint32_t lost;	     /* records of it that were lost, as the last one says */
	uint32_t sample;     /* its place in the sample: see sample_hash() */
	uint8_t request_dir; /* 1 + DIR_*; 0: unknown */
	uint8_t fresh;	     /* known from its first byte on */
	uint8_t counted;     /* as a connection */
	uint8_t gapped;	     /* messages were missed: orphans are no surprise */
	uint8_t awaits_end;  /* counted in flows.awaiting */
	uint8_t wide;	     /* the programs saw signs of pipelining */
	uint8_t stray; /* known by what met its listening socket: its own has not shown up yet */
	uint8_t plain; /* its plaintext is known: its own bytes are no exchanges */
	uint8_t call_times; /* of plaintext, CALL_TIMES_*: times are the library's calls' */
	uint8_t serves; /* as request_dir, if a hint says so of a connection met in the middle */
	uint64_t key;	/* what it is found by: its cookie; of a stray, a hash of its peers */
	uint32_t first_seq; /* of a stray: TCP's number of the client's first byte */
	struct proxied proxied;
	uint64_t ordinal_base; /* exchanges of it may have been told before it was forgotten */
};

/* Is it the direction of the requests? Of neither while that is not known. */
static inline bool is_request(const struct conn *c, int dir)
{
	return dir == c->request_dir - 1;
}

static inline uint64_t stream_pos(const struct stream *s, uint32_t seq)
{
	return s->base + (uint64_t)(int64_t)(int32_t)(seq - s->base_seq);
}
/* All bytes before its FIN have come; true once. */
static inline bool stream_ends(struct stream *s)
{
	if (s->fin != FIN_NOTED || (int64_t)(s->seen - s->fin_pos) < 0)
		return false;
	s->fin = FIN_HANDLED;
	return true;
}
/* Every message of the connection has been seen. lost: had records of it been lost by then? */
static inline bool conn_accounted(const struct conn *c, bool lost)
{
	return c->fresh && !c->gapped && !lost;
}
/* The other side speaks, and for so long neither has: a shorter silence proves nothing. */
#define QUIET_NS (2 * NSEC_PER_SEC)
static inline bool conn_was_quiet(const struct conn *c, const struct chunk *chunk, uint64_t ns)
{
	uint64_t last_ns = c->active_ns > chunk->other_ts_ns ? c->active_ns : chunk->other_ts_ns;

	return (chunk->flags & CHUNK_TURN) && chunk->ts_ns >= last_ns + ns;
}
/* TCP's number of the byte at a position. */
static inline uint32_t stream_seq(const struct stream *s, uint64_t pos)
{
	return s->base_seq + (uint32_t)(pos - s->base);
}

/* ---- exchange.c: the queue of a connection --------------------------------------------------- */

/* Appended to the connection's queue; NULL: no memory, and counted as dropped for that. */
struct exchange *exchange_new(struct pipeline *pl, struct conn *c);
/* Counts one that is dropped before it was made. why: WHY(), here and below. */
void exchange_refuse(struct pipeline *pl, struct conn *c, uint32_t reason, const char *why);
/* Takes one out of its list and counts it as dropped. */
void exchange_drop(struct pipeline *pl, struct exchange *ex, uint32_t reason, const char *why);
/* It will be dropped at its end: until then it stays in the queue, so that its response finds it.
 * The first reason counts. */
void exchange_spoil(struct exchange *ex, uint32_t reason, const char *why);
/* Moves one to those that the host is to get. */
void exchange_finish(struct pipeline *pl, struct conn *c, struct exchange *ex, uint32_t end,
		     uint64_t flags);
/* The host gets the event now; what is left waits for the end of the response. */
void exchange_tell(struct pipeline *pl, struct conn *c, struct exchange *ex);
/* It goes on with another protocol, and what its own keeps of it is gone: returns it, at another
 * place in memory. NULL: no memory. */
struct exchange *exchange_turn(struct pipeline *pl, struct exchange *ex,
			       const struct protocol *protocol);
/* It was none: it leaves the queue, and was never counted. */
void exchange_withdraw(struct pipeline *pl, struct conn *c, struct exchange *ex);
/* Finishes those at the front that are complete. */
void exchanges_settle(struct pipeline *pl, struct conn *c);
/* Finishes all. */
void exchanges_finish(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags);
/* Its request begins. Its response cannot begin below start.other_pos: that had been sent before. */
void exchange_request(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		      const struct start *start);
/* Its final response begins. */
void exchange_response(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		       const struct start *start);
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

/* The same, if what begins there can be its response: it was not under way before the request, and
 * who sends it had received some of that. */
static inline struct exchange *exchange_answered(struct conn *c, const struct start *start)
{
	struct exchange *ex = exchange_awaiting(c);

	if (!ex || (int64_t)(start->pos - ex->floor) < 0 ||
	    (start->received && (int64_t)(start->received - ex->request_pos) <= 0))
		return NULL;
	return ex;
}

/* ---- by-id.c: answered in any order ---------------------------------------------------------- */

/*
 * Both its messages carry this id: an HTTP/2 stream, a correlation id. Such an exchange is
 * finished when it is complete, in whatever order. Ids are used again once their exchange is over.
 */
void exchange_identify(struct pipeline *pl, struct conn *c, struct exchange *ex, uint64_t id);
/* The oldest with this id whose response is not complete, or NULL. */
struct exchange *exchange_by_id(struct conn *c, uint64_t id);
/* The connection goes. */
void ids_free(struct pipeline *pl, struct conn *c);

/* ---- cause.c: what an exchange was made for -------------------------------------------------- */

bool causes_init(struct pipeline *pl);
void causes_destroy(struct pipeline *pl);
/* A request is known, with what its fields say of its origin. Only if pipeline.causes has buckets. */
void cause_request(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		   struct trace_fields *fields);
/* A thread has begun to read. */
void cause_read(struct pipeline *pl, struct conn *c, const struct reader *reader);
/* The final response begins. */
void cause_response(struct pipeline *pl, struct conn *c, struct exchange *ex);
/* The exchange is over: nothing is made for it any more. */
void cause_close(struct exchange *ex);
/* The exchange is at another place in memory now. */
void cause_move(struct exchange *ex);
/* The exchange's connection has another id now. */
void cause_rename(struct pipeline *pl, struct exchange *ex);
void cause_report(const struct exchange *ex, struct appmon_event *ev);

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
