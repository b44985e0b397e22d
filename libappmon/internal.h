/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handle and what its parts say to each other. In pipeline order:
 *
 *   ring.c     bytes of the kernel ring        -> record.c  checked records
 *   flow.c     records of one connection       -> a protocol's messages: http1-flow.c (with
 *                                                 http1.c), resp-flow.c
 *   exchange.c requests with their responses   -> event.c  the host's callback (with redact.c)
 *
 * and beside it handle.c (open, poll, close), kernel.c (what the kernel gives), programs.c
 * (loading), attach.c (targets), pool.c (bounded memory), recording.c (input to a file and back),
 * lookup.c (executables, cgroup paths), cgroup-mount.c (where cgroup v2 is), go.c with go-binary.c
 * (uprobes in Go programs), unwatched.c (sockets of other cgroups), opts.c (structs across the ABI),
 * text.c (names), log.c (log, last error).
 */
#ifndef APPMON_INTERNAL_H
#define APPMON_INTERNAL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

#include "http1.h"
#include "list.h"
#include "records.h"
#include "trace.h"

#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC UINT64_C(1000000000)

struct capture_bpf;
struct bpf_link;
struct conn;

/* ---- pool.c: memory with a bound ------------------------------------------- */

#define POOL_CLASSES 69 /* 128 bytes to 16 MiB: pool.c */

struct pool {
	uint64_t limit;
	uint64_t held; /* handed out and kept for reuse, in bytes */
	void *free[POOL_CLASSES];
};

/* NULL when the limit is reached or malloc fails. Not cleared. */
void *pool_alloc(struct pool *pool, size_t size);
void pool_free(struct pool *pool, void *ptr);
/* Counts memory that is got elsewhere; false if it does not fit. */
bool pool_charge(struct pool *pool, size_t bytes);
void pool_destroy(struct pool *pool);

/* ---- record.c: what the kernel wrote, checked ------------------------------- */

struct record {
	struct rec_conn conn;
	struct rec_seg seg;
	struct rec_owner owner;
	const char *bytes; /* in the ring: valid until the record is released */
	uint32_t captured;
	uint32_t size; /* in the ring; another record may follow */
};

/* The first of the records in data. 0, or -EPROTO: its size, version or kind is not what this build
 * writes. */
int record_decode(const void *data, size_t size, struct record *ret);

/* ---- ring.c: the consumer side of the BPF ring buffer ------------------------ */

struct ring {
	unsigned long *consumer_pos; /* one page, shared with the kernel */
	unsigned long *producer_pos; /* one page, then the data mapped twice */
	const uint8_t *data;
	size_t size;
	size_t page;
	unsigned long pos; /* read so far; consumer_pos follows now and then */
	unsigned long end; /* producer_pos when it was last looked at */
};

int ring_map(struct ring *ring, int map_fd, size_t size);
void ring_unmap(struct ring *ring);
/* The next record, or NULL. *busy: one is being written at this moment. */
const void *ring_peek(struct ring *ring, size_t *size, bool *busy);
/* Done with the record that ring_peek() returned. The kernel gets its memory back when nothing is
 * left to read, or an eighth of the ring has been. */
void ring_release(struct ring *ring);
/* Positions of the kernel and of the reader: what lies between them has not been read. */
unsigned long ring_produced(const struct ring *ring);
unsigned long ring_consumed(const struct ring *ring);

/* ---- attach.c ----------------------------------------------------------------- */

/* Ingress, egress, release. */
#define LINKS 3

struct target {
	uint32_t id;
	uint32_t slot;
	uint32_t capture;
	uint64_t cgroup_id;
	char *name;
	void *user;
	int link_fd[LINKS];
	char *directory; /* NULL: not known, or hidden from this process */
	bool removed;	 /* its cgroup, and its last socket is gone */
	struct appmon_stats stats;
};

struct target *target_by_id(struct appmon *mon, uint32_t id);
void targets_free(struct appmon *mon);
/* Takes name over, also on failure; NULL: no memory. */
struct target *target_new(uint32_t id, uint32_t slot, char *name);
/* Detaches, with all that belongs to it. */
void target_remove(struct appmon *mon, struct target *t);
/* Notices what happens to targets: a cgroup is removed, the ring was full. False: there is no
 * target to which anything could happen. */
bool targets_look(struct appmon *mon);

/* ---- kernel.c: what the kernel and the process must give ------------------------- */

/* What a kernel may lack. SWEEP_FILES: in place of SWEEP, where that is refused. */
enum { WITH_SWEEP = 1, WITH_IDENTITY = 2, WITH_GOROUTINES = 4, WITH_SWEEP_FILES = 8 };

/* Takes from *with what this kernel lacks; fails if what must be there is not. */
int kernel_check(struct appmon *mon, int *with);
/* Says what an error of bpf(2) means, and returns it or -EOPNOTSUPP. */
int kernel_refused(struct appmon *mon, int err);

/* ---- unwatched.c ---------------------------------------------------------------- */

/* Logs which processes of a cgroup listen on sockets of others. */
void unwatched_tell(struct appmon *mon, int cgroup_fd, uint64_t cgroup_id);

/* ---- programs.c --------------------------------------------------------------- */

int programs_load(struct appmon *mon);
void programs_unload(struct appmon *mon);
/* Runs the sweep and hands its records to the flows. Returns how many there were, or an error. */
int programs_sweep(struct appmon *mon);
/* Adds what the kernel counts for one slot. */
void programs_counters(struct appmon *mon, uint32_t slot, struct appmon_stats *stats);

/* ---- recording.c: the pipeline's input to a file and back ------------------------ */

/* These do nothing unless the host asked for a recording. */
void recording_record(struct appmon *mon, const struct record *rec);
void recording_target(struct appmon *mon, const struct target *t);
void recording_number(struct appmon *mon, uint32_t type, uint64_t number);
void recording_flush(struct appmon *mon);
void recording_free(struct appmon *mon);
int replay_open(struct appmon *mon, int fd);
/* Feeds the pipeline one entry. False: there is no more, replay_status() says why. */
bool replay_step(struct appmon *mon);
/* 0, -ENODATA at the end, or what is wrong with the file. */
int replay_status(const struct appmon *mon);

/* ---- sampling.c: which connections are watched -------------------------------------- */

struct sampling {
	uint32_t ppm;		     /* share of connections in force */
	uint32_t most_ppm;	     /* what the host asked for */
	uint64_t below;		     /* of sample_hash(), at this share */
	uint32_t generation;	     /* of connections that are met now */
	uint32_t from;		     /* records of earlier generations are not wanted any more */
	uint64_t ceiling;	     /* events a second; 0: none */
	uint64_t seen;		     /* exchanges, at looked_ns */
	uint64_t looked_ns, look_ns; /* when the ceiling was looked after, and when next */
	bool paused;
};

void sampling_init(struct appmon *mon);
/* The pipeline's part of a change: forgets who is not watched any more. */
void sampling_apply(struct appmon *mon, uint32_t ppm, uint32_t from);
/* Keeps the events within the ceiling. */
void sampling_control(struct appmon *mon);

/* ---- lookup.c: executables and cgroup paths, kept ------------------------------- */

/* An answer. */
struct kept {
	struct list_node link; /* in lookups.processes or .cgroups, the last asked for first */
	uint64_t id;	       /* pid or cgroup id */
	uint64_t start_ns;     /* of a process */
	uint64_t checked_ns;
	uint64_t inode, device;
	int err; /* why there is none */
	uint32_t len;
	char path[];
};

struct lookups {
	struct list_node processes, cgroups;
};

void lookups_init(struct lookups *lookups);
void lookups_free(struct appmon *mon);

/* Keeps the path of a cgroup that is open, for when it is gone. */
void lookup_see_cgroup(struct appmon *mon, uint64_t cgroup_id, int fd);
/* The directory of a cgroup id, in PATH_MAX bytes. */
int cgroup_directory(const char *point, uint64_t id, char *path);

/* ---- cgroup-mount.c --------------------------------------------------------------- */

/* proc(5): white space and backslashes are octal escapes in mountinfo. */
void mountinfo_unescape(char *s);
/* How many "/.." a path begins with: so far above the process's cgroup namespace it is. */
unsigned cgroup_ups(const char *path);
/* Whether a hierarchy of this type is mounted there as a whole. */
bool cgroup_is_top(const char *point, long magic);
/*
 * The directory of a cgroup id, and its path in the hierarchy: PATH_MAX bytes each. point: where
 * that is mounted, NULL: wherever it is. 1: the path is that of the whole hierarchy, 0: of the part
 * that is mounted.
 */
int cgroup_locate(const char *point, uint64_t id, char *dir, char *path);
/* The path of one that is open, if it was opened below the mount that shows most: 0, or an error. */
int cgroup_locate_fd(const char *point, int fd, char *path);

/* ---- go.c: uprobes in Go programs --------------------------------------------------- */

/* Sets of processes by number. */
#define GO_SEEN_SETS 128
#define GO_SEEN_WAYS 4

struct go_programs {
	struct executable *executable; /* NULL: not asked for */
	uint32_t executables;
	uint32_t turn;	  /* which of a set is forgotten next */
	uint32_t refused; /* processes whose executable could not be read */
	uint32_t pad;
	struct go_seen {
		uint64_t start_ns;
		uint32_t pid;
		uint32_t pad;
	} seen[GO_SEEN_SETS][GO_SEEN_WAYS]; /* processes that were looked at */
};

/* False: no memory. */
bool go_init(struct appmon *mon);
void go_free(struct appmon *mon);
/* Follows the goroutines of a process, or of all in a cgroup, as far as it can; these do nothing
 * unless that was asked for. */
void go_see_process(struct appmon *mon, const struct rec_task *task);
void go_see_cgroup(struct appmon *mon, int cgroup_fd);

/* ---- log.c ---------------------------------------------------------------------- */

#define ERROR_TEXT_MAX 512

struct log {
	appmon_log_fn fn;
	void *ctx;
	uint32_t level;
	char error[ERROR_TEXT_MAX];
};

void log_line(struct log *log, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Keeps the text as the last error, logs it, returns err. */
int fail(struct log *log, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same for what is an ordinary answer, such as that something is gone: no error in the log. */
int log_answer(struct log *log, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- opts.c ---------------------------------------------------------------------- */

/* Copies a caller's struct of any size; -EINVAL: too short to have a size; -E2BIG: an unknown
 * member is set. The part that the caller does not have is 0. */
int opts_read(void *dst, size_t known, const void *src);
/* Writes what fits into the caller's struct and sets its size. -EINVAL: as above. */
int opts_write(void *dst, const void *src, size_t known);

/* ---- flow.c: connections ------------------------------------------------------------ */

/* A captured piece that came before its predecessor. */
struct piece {
	struct piece *next;
	uint64_t pos;
	struct rec_seg seg;
	uint32_t captured;
	char bytes[];
};

enum stream_state {
	STREAM_SYNC, /* position unknown: wait for something that begins like a message */
	STREAM_HEAD, /* a head is due at pos, or head_len bytes of it are here */
	STREAM_BODY, /* body up to end */
	STREAM_CHUNKED,
	STREAM_OPEN,   /* body whose end cannot be counted: see http1-flow.c */
	STREAM_CLOSE,  /* body up to FIN */
	STREAM_TUNNEL, /* no HTTP any more */
};

enum { FIN_NONE, FIN_NOTED, FIN_HANDLED };

#define RESP_STREAMED 6

enum { FIRST_NO, FIRST_NEXT, FIRST_HERE };

/* resp-flow.c: a value of which not all has come. */
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
	uint32_t lost; /* rec_seg.lost when this stream was last whole */
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

struct link;

/* The client that a PROXY protocol header tells. */
struct proxied {
	uint8_t addr[16];
	uint16_t port;
	uint8_t family; /* 4 or 6; 0: none was told */
	uint8_t pad;
};

struct exchange {
	struct list_node link; /* in conn.exchanges, later in appmon.ready */
	struct rec_conn id;
	uint64_t ordinal;
	uint64_t flags; /* APPMON_EVF_* */
	uint64_t floor; /* the response cannot begin below this position */
	uint64_t asked; /* where the responses were when the request ended */
	uint64_t request_start_ns, request_end_ns, response_start_ns, response_end_ns;
	uint64_t request_body, response_body; /* bytes */
	struct rec_owner owner;
	struct head *request, *response;
	struct link *cause; /* NULL: links are not asked for */
	uint32_t protocol;  /* APPMON_PROTO_* */
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
	uint8_t secret;	  /* resp-flow.c: an error could repeat what is not to be told */
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
	struct list_node link;	    /* in appmon.busy or appmon.idle, least recently active first */
	struct list_node exchanges; /* oldest first */
	struct rec_conn id;
	struct stream stream[2]; /* by DIR_* */
	struct reader reader;	 /* since the last response */
	uint64_t active_ns;
	uint64_t ordinal;
	uint32_t srtt_us, retrans, dup;
	uint32_t lost;	  /* rec_seg.lost of the last record */
	uint32_t sample;  /* rec_seg.sample */
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
	uint8_t stray; /* known by what met its listening socket: its own has not shown up yet */
	uint8_t pad[4];
	uint64_t key;	    /* what it is found by: its cookie; of a stray, a hash of its peers */
	uint32_t first_seq; /* of a stray: TCP's number of the client's first byte */
	uint32_t pad1;
	struct resp_state resp;
	struct proxied proxied;
	uint32_t pad2;
	uint64_t ordinal_base; /* exchanges of it may have been told before it was forgotten */
};

struct flows {
	struct conn **bucket;
	uint32_t buckets; /* power of two */
	uint32_t count;
	struct list_node busy, idle; /* connections with and without exchanges */
	uint32_t stray_count;	     /* connections that are strays */
	uint32_t pad;
	uint64_t strays_met;	       /* ever */
	struct conn *current;	       /* whose record is looked at: not to be forgotten */
	const struct rec_owner *owner; /* what that record says of the owner */
	uint32_t awaiting;	       /* connections inside a response whose end is due */
	uint64_t ordinal_max;	       /* of connections that were forgotten */
};

int flows_init(struct appmon *mon);
void flows_destroy(struct appmon *mon);
void flow_record(struct appmon *mon, const struct record *rec);
/* Ends what has been silent for too long. */
void flows_expire(struct appmon *mon, uint64_t now_ns);
/* Forgets everything that belongs to a target. */
void flows_drop_target(struct appmon *mon, struct target *target);
/* Forgets the connections that are not watched any more. */
void flows_drop_unsampled(struct appmon *mon);
static inline uint64_t stream_pos(const struct stream *s, uint32_t seq)
{
	return s->base + (uint64_t)(int64_t)(int32_t)(seq - s->base_seq);
}
/* Where the other direction was when a segment came. Before there was a connection it had not said
 * anything, and the segment does not have its numbers. */
static inline uint64_t other_pos(const struct stream *other, const struct rec_seg *seg)
{
	return other->known && !(seg->flags & (REC_ALONE | REC_LISTENER))
		       ? stream_pos(other, seg->other_next)
		       : 0;
}
/* Every message of the connection has been seen, up to this segment. */
static inline bool conn_accounted(const struct conn *c, const struct rec_seg *seg)
{
	return c->fresh && !c->gapped && !seg->lost;
}
/* TCP's number of the byte at a position. */
static inline uint32_t stream_seq(const struct stream *s, uint64_t pos)
{
	return s->base_seq + (uint32_t)(pos - s->base);
}
/* pool_alloc() for the connection at hand; idle ones are forgotten to make room. */
void *flow_alloc(struct appmon *mon, size_t size);
/* Cleared. */
void *flow_zalloc(struct appmon *mon, size_t size);

/* ---- exchange.c: the queue of a connection ------------------------------------------------ */

/* Appended to the connection's queue; NULL: no memory, and counted as dropped for that. */
struct exchange *exchange_new(struct appmon *mon, struct conn *c);
/* Counts one that is dropped before it was made. */
void exchange_refuse(struct appmon *mon, struct conn *c, uint32_t reason);
/* Takes one out of its list and counts it as dropped. */
void exchange_drop(struct appmon *mon, struct exchange *ex, uint32_t reason);
/* Moves one to those that the host is to get. */
void exchange_finish(struct appmon *mon, struct conn *c, struct exchange *ex, uint32_t end,
		     uint64_t flags);
/* The host gets the event now; what is left waits for the end of the response. */
void exchange_tell(struct appmon *mon, struct conn *c, struct exchange *ex);
/* Finishes those at the front that are complete. */
void exchanges_settle(struct appmon *mon, struct conn *c);
/* Where the request begins on the connection, and by ex->floor where its response would. */
void exchange_number(struct conn *c, struct exchange *ex, int dir);
/* Where its response begins. */
void exchange_number_response(struct conn *c, struct exchange *ex, int dir);
/* Keeps what the record at hand says of the socket's owner: at the head of a client's request, of a
 * server's response, and at the end of the connection. */
void exchange_owner(struct appmon *mon, struct exchange *ex);
/* Frees what is in no list. */
void exchange_release(struct appmon *mon, struct exchange *ex);

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

/* ---- protocols: http1-flow.c, resp-flow.c ------------------------------------------------ */

/*
 * What flow.c asks of a protocol: to find the messages in two streams of bytes, and to pair them
 * into exchanges. A connection has one from its first message on. Optional where so marked.
 */
struct protocol {
	uint32_t id; /* APPMON_PROTO_* */
	bool counts; /* pairs by counting alone: whatever record is lost, `missed` is called */
	/* Does a connection whose first message begins with these bytes speak it? NULL: what no
	 * other protocol wants. */
	bool (*detect)(const char *bytes, uint32_t n);
	/* A message begins with these bytes: do they tell which direction is the requests'? */
	void (*role)(struct conn *c, int dir, const char *bytes, uint32_t n);
	/* In order: len bytes at pos have passed, the first captured of them are at bytes. */
	void (*data)(struct appmon *mon, struct conn *c, int dir, uint64_t pos, const char *bytes,
		     uint32_t captured, uint32_t len, const struct rec_seg *seg);
	/* stream.seen has grown, or a FIN was noted. */
	void (*progress)(struct appmon *mon, struct conn *c, int dir, const struct rec_seg *seg);
	/* Optional. A message begins in the other direction: what is open here has ended. */
	void (*turn)(struct appmon *mon, struct conn *c, int dir, const struct rec_seg *seg);
	/* Optional. APPMON_OPEN_STREAM_HEADS: is there a response that goes on behind its head? */
	void (*stream)(struct appmon *mon, struct conn *c);
	/* Requests were missed that have no answer yet: which response answers which is lost. */
	void (*missed)(struct appmon *mon, struct conn *c);
	/* Ends every exchange of the connection; flags are added to their events. */
	void (*end)(struct appmon *mon, struct conn *c, uint32_t end, uint64_t flags);
};

extern const struct protocol protocol_http1, protocol_resp;

/* ---- proxy.c: the PROXY protocol --------------------------------------------------------- */

enum proxy_result { PROXY_ABSENT, PROXY_PARTIAL, PROXY_FOUND };

/* Enough of a header to be read. */
#define PROXY_BYTES 107

/* Is there a header in front of the n > 0 bytes, and of how many bytes? Its end need not be there.
 */
enum proxy_result proxy_read(const char *b, uint32_t n, uint32_t *len, struct proxied *out);

/* ---- link.c: what an exchange was made for -------------------------------------------------- */

#define PROCESS_BUCKETS 64

struct links {
	struct list_node *bucket; /* of open exchanges; NULL: not asked for */
	uint32_t buckets;	  /* power of two */
	uint32_t process_count;
	uint64_t seed; /* so that nobody who writes header fields can fill one bucket */
	struct list_node process[PROCESS_BUCKETS];
	struct list_node processes; /* the longest without a read first */
};

bool links_init(struct appmon *mon);
void links_destroy(struct appmon *mon);
/* A request's head is complete. */
void link_request(struct appmon *mon, struct conn *c, struct exchange *ex, int dir);
/* A record with REC_READ. */
void link_read(struct appmon *mon, struct conn *c, const struct record *rec);
/* The final response begins. */
void link_response(struct appmon *mon, struct conn *c, struct exchange *ex);
/* The exchange is over: nothing is made for it any more. */
void link_close(struct exchange *ex);
/* The exchange's connection has another id now. */
void link_rename(struct appmon *mon, struct exchange *ex);
void link_tell(const struct exchange *ex, struct appmon_event *ev);

/* ---- redact.c: secrets in request-targets ------------------------------------------------- */

#define REDACT_NAME_MAX 127

struct redact {
	char **name; /* query parameters that the host has added, lower case */
	uint32_t count;
};

/* Writes a target without its secrets to out and returns the length; out NULL: the length only.
 * 0: it has none, and out is left alone. */
size_t redact_target(const struct redact *r, const char *target, size_t len, uint32_t method,
		     char *out);

/* ---- event.c ------------------------------------------------------------------------------ */

struct arena {
	char *buf;
	size_t size;
};

/* Makes the oldest finished exchange mon->event. False: there is none. */
bool event_next(struct appmon *mon);
/* Before the handle goes. */
void event_forget(struct appmon *mon);
/* Tells what is in progress; ends with what fn returned if that is not 0, or -ENOMEM. */
int events_active(struct appmon *mon, appmon_event_fn fn, void *ctx);

/* ---- handle.c ------------------------------------------------------------------------------ */

struct appmon {
	struct log log;
	struct appmon_opts opts; /* with defaults filled in */
	char **names;		 /* kept header names, lower case */
	uint32_t name_count;
	struct http1_keep keep;
	uint8_t trace_fields[HTTP1_KEEP_MAX]; /* enum trace_field of each kept name */
	struct redact redact;

	struct capture_bpf *skel;
	struct bpf_link *sweep;
	struct bpf_link *reads;
	struct ring ring;
	struct slot_counters *per_cpu; /* room for one slot's, of every CPU */
	int cpus;
	uint64_t capabilities;

	struct target *target[SLOTS];
	uint32_t next_target_id;
	struct appmon_stats stats;

	struct pool pool;
	struct sampling sampling;
	struct flows flows;
	struct links links;
	struct lookups lookups;
	char *cgroup_mount; /* the one that the host names, or NULL */
	struct go_programs go;
	struct list_node ready; /* finished exchanges, not delivered yet */

	struct appmon_event event;
	struct exchange *shown; /* the one that event is about */
	struct appmon_header *headers;
	struct arena arena;

	int epoll_fd, timer_fd, wake_fd, more_fd;
	bool in_callback;
	bool batching;	   /* the ring is looked at by timer, the kernel does not wake us */
	bool more;	   /* more_fd is raised */
	bool woken;	   /* a wakeup that appmon_next() took is still appmon_poll()'s */
	bool ring_busy;	   /* a record was being written when we looked */
	uint64_t consumed; /* records since the last settle() */
	uint64_t batch_ns; /* batching: when to look next */
	uint64_t timer_ns; /* when timer_fd fires; 0: not armed */
	uint64_t now_ns;   /* at the last look; not after any record's time that passed since */
	uint64_t read_ns;  /* the ring has been read up to what passed at this time */
	uint64_t sweep_ns; /* earliest time of the next sweep */
	uint64_t sweep_every_ns;
	uint64_t held_ns; /* earliest time to look for requests that wait in their sockets */
	uint64_t expire_ns;
	uint64_t targets_ns;  /* when to look at some targets next; 0: there are none */
	uint32_t target_turn; /* the slot at which that goes on */
	bool loss_told;	      /* the host's log has that the ring was full */

	struct recording *recording; /* NULL: none is made */
	struct replay *replay;	     /* NULL: the kernel is the source */
	uint64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */

	uint32_t *alive; /* a page that fork() wipes: 0 in a child */
	bool in_walk;	 /* appmon_each_active(): targets stay */
};

/* Counts for the handle and, if there is one, the target. */
#define STAT_ADD(mon_, target_, member, n)                                                         \
	do {                                                                                       \
		struct target *t_ = (target_);                                                     \
		uint64_t n_ = (n);                                                                 \
		(mon_)->stats.member += n_;                                                        \
		if (t_)                                                                            \
			t_->stats.member += n_;                                                    \
	} while (0)

/* NULL if the record's target has been detached. */
static inline struct target *target_of(struct appmon *mon, const struct rec_conn *conn)
{
	struct target *t = conn->slot < SLOTS ? mon->target[conn->slot] : NULL;

	return t && t->id == conn->target ? t : NULL;
}

/* 0, or what every call answers: -EINVAL for NULL, -ECHILD after fork(). */
int handle_check(struct appmon *mon);
uint64_t now_ns(void);
/* CLOCK_REALTIME - CLOCK_MONOTONIC at this moment. */
uint64_t realtime_offset(void);
/* Takes from the ring all that is in it at the moment. False: one record is not finished. */
bool handle_catch_up(struct appmon *mon);
/* Takes from the sockets the requests that wait there: nobody will come for them. */
void handle_tell_held(struct appmon *mon);
/* How long a request may wait in its socket for the response. */
uint64_t handle_hold_ns(const struct appmon *mon);
/* There is a target to look after from now on. */
void handle_look_after_targets(struct appmon *mon);
/* One decoded record into the flows, its time not in the future. */
void handle_record(struct appmon *mon, struct record *rec);

#endif /* APPMON_INTERNAL_H */
