/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where records come from: the programs in the kernel through their ring, the sweep over sockets, a
 * recording. The host pulls; a source calls no other part.
 */
#ifndef APPMON_CAPTURE_H
#define APPMON_CAPTURE_H

#include "base/base.h"
#include "capture/recording.h"
#include "exchange/exchange.h"
#include "probe/go-binary.h"
#include "probe/tls-binary.h"
#include "stream/stream.h"

struct bpf_link;
struct capture_bpf;
struct recording;
struct replay;

/* ---- record.c -------------------------------------------------------------------------------- */

/* The first of the records in data. 0, or -EPROTO: its size, version or kind is not what this build
 * writes. */
int record_decode(const void *data, size_t size, struct record *ret);

/* ---- ring.c: the reader's side of the rings, one for each CPU -------------------------------- */

struct ring {
	struct ring_place *place; /* shared with the programs, as the bytes are */
	uint8_t *bytes;		  /* mapped to be read only */
	uint64_t size;		  /* these two: see struct rings */
	uint64_t key;
	uint64_t pos;	   /* read so far; place->begin follows now and then */
	uint64_t seen;	   /* place->end, the last but one time that it was looked at */
	uint64_t end;	   /* ... the last time */
	uint64_t mark;	   /* ... at rings_mark() */
	uint64_t order_ns; /* of the record at pos */
	bool known;	   /* it has been looked at */
};

struct rings {
	struct ring ring[RINGS_MAX];
	size_t size;		/* bytes of one: a power of two */
	uint64_t key;		/* what the words of whole records have, beside their position */
	uint32_t count;		/* a power of two */
	struct ring *next;	/* that with the next record; NULL: to be found out */
	uint64_t next_until_ns; /* ... as long as its records come before this */
};

/* Maps what the two maps have; size, key and count are set. */
int rings_map(struct rings *rings, int places_fd, int bytes_fd);
void rings_unmap(struct rings *rings);

/* The kernel's ring that wakes the reader: without records. */
struct bell {
	unsigned long *consumer_pos; /* a page each */
	const unsigned long *producer_pos;
	size_t page;
};

int bell_map(struct bell *bell, int map_fd);
void bell_unmap(struct bell *bell);
void bell_quiet(struct bell *bell);

/* The next record of all rings, or NULL. *busy: one is being written at this moment. */
const void *rings_peek(struct rings *rings, size_t *size, bool *busy);
/* Done with the record that rings_peek() returned. The programs get its memory back when all has been
 * read, or an eighth of its ring has. */
void rings_release(struct rings *rings);
/* Is there what has not been read? */
bool rings_hold(const struct rings *rings);
/* Notes how far the kernel is; and is there what has not been read of that? */
void rings_mark(struct rings *rings);
bool rings_behind(const struct rings *rings);

/* ---- programs.c: the programs and their maps ------------------------------------------------- */

struct capture {
	struct log *log;
	struct capture_bpf *skel;
	struct bpf_link *sweep; /* NULL: this kernel has none */
	struct bpf_link *reads;
	struct rings rings;
	struct bell bell;
	struct slot_counters *per_cpu; /* room for one slot's, of every CPU */
	int cpus;
	uint64_t capabilities; /* APPMON_CAP_* */
	uint32_t attached;     /* targets that have programs */
};

/* opts: with defaults filled in. An error is in the log; capture_close() frees what there is. */
int capture_open(struct capture *cap, const struct appmon_opts *opts, struct log *log);
void capture_close(struct capture *cap);
/* Readable when there is a record, after capture_wait(): until capture_awake(). */
int capture_fd(const struct capture *cap);
/* False: there is a record already. */
bool capture_wait(struct capture *cap);
void capture_awake(struct capture *cap);
/* pipeline.tell_programs; ctx: the struct capture. */
void capture_verdict(void *ctx, uint64_t cookie, const struct verdict *verdict);
/* pipeline.ask_programs, likewise. */
void capture_ask(void *ctx);
/* Has a progress record been held back for the rate limit since this was asked last? */
bool capture_held_back(struct capture *cap);
/* Watches the connections whose hash lies below. Those met from now on are of the generation. */
void capture_sample(struct capture *cap, uint64_t below, uint32_t generation);
/* Connections of earlier generations are met again. 0: the programs capture nothing. */
void capture_from(struct capture *cap, uint32_t generation);
/* The programs for goroutines, by GO_*: with APPMON_CAP_GOROUTINES only. */
void capture_go_programs(const struct capture *cap, int fd[GO_HOOKS]);
/* The programs for TLS libraries, by TLS_HOOK_*: with APPMON_CAP_TLS only. Negative: not loaded, for
 * others are in its place. */
void capture_tls_programs(const struct capture *cap, int fd[TLS_HOOKS]);
/* The map of processes whose calls are told, and by file when its last probe was attached. */
int capture_tls_processes(const struct capture *cap);
volatile uint64_t *capture_tls_since(const struct capture *cap);
/* Counts changes of that map: what the programs remember of a process ends with each. */
uint64_t *capture_tls_generation(const struct capture *cap);
/* Adds what the kernel counts for one slot. */
void capture_counters(struct capture *cap, uint32_t slot, struct appmon_stats *stats);

/* ---- kernel.c: what the kernel and the process must give ------------------------------------- */

/* What a kernel may lack. SWEEP_FILES: in place of SWEEP, where that is refused. */
enum {
	WITH_SWEEP = 1,
	WITH_IDENTITY = 2,
	WITH_GOROUTINES = 4,
	WITH_SWEEP_FILES = 8,
	WITH_TLS = 16,
	WITH_UPROBE_SESSIONS = 32
};

/* Takes from *with what this kernel lacks; fails if what must be there is not. */
int kernel_check(struct log *log, uint32_t ring_bytes, int *with);
/* Says what an error of bpf(2) means, and returns it or -EOPNOTSUPP. */
int kernel_refused(struct log *log, int err);

/* ---- sweep.c: what the programs hold back, socket by socket ---------------------------------- */

struct sweep {
	int fd;
	size_t at, have;
	char buf[8192]; /* a record that is cut is completed by the next read */
};

/* 0 or an error. */
int sweep_open(struct sweep *sweep, const struct capture *cap);
/* Reads the records of the next sockets. False: there are no more; the sweep is closed. */
bool sweep_read(struct sweep *sweep);
/* The next of them. False: there are no more. *ret_err: 0, or as record_decode(). */
bool sweep_next(struct sweep *sweep, struct record *ret, int *ret_err);

/* ---- attach.c: the programs on a cgroup ------------------------------------------------------ */

struct target *target_new(uint32_t id, uint32_t slot, char *name);
/* detach: now, although a forked child may hold copies of the descriptors. Not so in that child,
 * where the attachments are the parent's. */
void target_free(struct target *t, bool detach);
/* Puts the programs on the cgroup for a target. what: how an error names the cgroup. */
int attach_programs(struct capture *cap, struct target *t, int cgroup_fd, const char *what);
/* Takes them off; they return at once from now on. */
void detach_programs(struct capture *cap, struct target *t);
/* No socket is the target's any more: whoever meets one may take it over. */
void attach_forget(struct capture *cap, const struct target *t);

/* Its cgroup was removed, and has no socket any more. */
bool target_was_removed(const struct target *t);

/* ---- recording.c: records and what else decides about events, to a file ---------------------- */

/* NULL: no memory. fd is borrowed. max_bytes 0: no bound. */
struct recording *recording_new(struct log *log, int fd, uint64_t max_bytes);
/* These do nothing for NULL, and after a write has failed or the bound was met, which they log. */
void recording_record(struct recording *r, const struct record *rec);
void recording_target(struct recording *r, const struct target *t);
void recording_number(struct recording *r, uint32_t type, uint64_t number);
void recording_flush(struct recording *r);
/* Has all been written? */
bool recording_works(const struct recording *r);
void recording_free(struct recording *r);

/* ---- replay.c: the same from a file ---------------------------------------------------------- */

/* fd is borrowed. An error is in the log. */
int replay_open(struct replay **ret, int fd, struct log *log);
void replay_free(struct replay *r);

/* An entry: RECORDING_*, and what belongs to it. */
struct replay_entry {
	uint32_t type;
	uint64_t number;
	struct record record;
	struct recording_target target;
	const char *name; /* of the target, name_len bytes */
	size_t name_len;
};

/* 1: an entry; 0: one that this version does not know, or a record that is not understood
 * (*ret_bad); -ENODATA at the end; another error, in the log. */
int replay_next(struct replay *r, struct replay_entry *ret, bool *ret_bad);

#endif /* APPMON_CAPTURE_H */
