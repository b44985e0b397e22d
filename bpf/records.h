/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The protocol of the BPF programs and the library: ring records, the configuration of an
 * attachment, kernel counters. Private to one build, never installed; the version is
 * checked all the same. No implicit padding: compiled with -Wpadded on both sides.
 */
#ifndef APPMON_RECORDS_H
#define APPMON_RECORDS_H

#include <linux/types.h>

#define REC_VERSION 12

enum rec_kind {
	REC_DATA = 1,	  /* captured bytes of one direction */
	REC_PROGRESS = 2, /* a direction moved on; no bytes */
	REC_FRAMES = 3,	  /* pieces of frames: struct rec_piece */
	REC_PLAIN = 4,	  /* plaintext of a TLS session: struct rec_call */
	REC_PROCESS = 5	  /* a process makes its first socket: struct rec_process */
};

/* Directions, seen from the monitored socket. */
enum { DIR_IN = 0, DIR_OUT = 1 };

enum rec_flag {
	REC_OUT = 1 << 0,   /* direction: sent by the monitored socket */
	REC_FLIP = 1 << 1,  /* has the first byte since the other direction had data */
	REC_START = 1 << 2, /* begins like a request or status line */
	REC_FRESH = 1 << 3, /* the connection has been followed from its first byte */
	REC_ALONE = 1 << 4, /* sent with SYN: the other direction is not known yet */
	REC_OLD = 1 << 5,   /* (partly) bytes that lie below the highest seen so far */
	REC_PSH = 1 << 6,
	REC_FIN = 1 << 7,
	REC_RST = 1 << 8,
	REC_LISTENER =
		1 << 9,	     /* met the listening socket: the connection's own does not exist yet */
	REC_PART = 1 << 10,  /* more captured bytes of the same segment follow */
	REC_SWEPT = 1 << 11, /* from the sweep, not from the ring: out of order with it */
	REC_NOT_HTTP = 1 << 12, /* given up: the last record of this connection */
	REC_CLOSED = 1 << 13,	/* the application has closed the socket: it reads no more */
	REC_WIDE = 1 << 14,	/* there are signs of pipelining */
	REC_BEGINS = 1 << 15,	/* a message begins with the first byte: counted, not guessed */
	REC_ENDS = 1 << 16,	/* a message ends with the segment: likewise */
	REC_FOLLOWED = 1 << 17, /* REC_ENDS will mark where messages of this direction end */
	REC_READ = 1 << 18, /* progress: the owner's thread has begun to read the message at seq */
	REC_BLOCKING = 1 << 19, /* ... and waits in reading if there is nothing to read */
	REC_OWNER = 1 << 20,	/* a struct rec_owner follows */
	REC_TAIL = 1 << 21,	/* the segment's last TAIL_BYTES bytes follow: not all are captured,
				 * and the message has no length */
	REC_HEARD = 1 << 22,	/* the other direction has had data before */
	REC_DUE = 1 << 23,  /* chunks were followed as far as the stream is whole: see rec_before */
	REC_CONN = 1 << 24, /* a struct rec_conn_told follows: see struct rec */
	REC_BEFORE = 1 << 25, /* a struct rec_before follows */
	/* Only in the reader, of a piece of REC_FRAMES: PIECE_FRAME, PIECE_UNWALKED. */
	REC_FRAME = 1 << 29,
	REC_UNWALKED = 1 << 30
};

/* As long as it says: what its flags promise, and the captured bytes. */
struct rec_hdr {
	__u16 version;
	__u16 kind;
	__u32 size;	/* of the whole record */
	__u64 order_ns; /* CLOCK_MONOTONIC, when all the rest was known: capture/ring.c */
};

/* Whose packet it was. Family is 4 or 6; IPv4 uses the first four bytes. */
struct rec_conn {
	__u64 cookie;	 /* of the socket: as in struct rec */
	__u64 cgroup_id; /* leaf */
	__u32 target;
	__u16 family;
	__u16 local_port; /* host byte order */
	__u16 remote_port;
	__u16 slot;	  /* of the target */
	__u32 generation; /* in which it was met: what came before it is not known */
	__u8 local_addr[16];
	__u8 remote_addr[16];
};

/* ... and what of it changes seldom. */
struct rec_conn_told {
	struct rec_conn conn;
	__u32 sample;  /* the connection's place in the sample: see sample_hash() */
	__u32 lost;    /* records of it that found the ring full so far */
	__u32 retrans; /* segments this host sent again so far */
	__u32 dup;     /* segments that arrived again so far */
};

/*
 * A direction tells its connection with its first record, when something of that has changed, when
 * the reader asks for it, and when it did so more than REC_TELL_TICKS ago: a second at most. So the
 * reader may forget who was silent for longer.
 */
#define REC_TELL_TICKS 100
#define REC_TELL_AGAIN (2 * REC_TELL_TICKS)

/* Enough for the last chunk with a short trailer section. */
#define TAIL_BYTES 64

/* What was before the segment. */
struct rec_before {
	__u64 last_ts_ns; /* when the bytes before seq had passed; 0: not known, or never */
	__u8 bytes[8];	  /* the last of them; 0: not known */
	__u32 due;	  /* REC_DUE: where a chunk-size line begins */
	__u32 pad;
};

/*
 * Where this direction is. What is known of the other one stands in ack: TCP says how far the
 * sender of the segment had received it. The rest follows from the order of records: what one
 * program has put into its ring before another one began is read first.
 */
struct rec_seg {
	__u64 ts_ns;   /* CLOCK_MONOTONIC: ingress: now; egress: TCP's send time */
	__u32 flags;   /* REC_* */
	__u32 seq;     /* TCP sequence number of the first byte described */
	__u32 len;     /* bytes described, to the segment's end, captured or not */
	__u32 start;   /* where the message that this direction is in began */
	__u32 whole;   /* all bytes below have passed, these included; TCP delivers no others */
	__u32 ack;     /* all bytes of the other direction below had been received */
	__u32 written; /* of what arrives: so far our application had written; 0: not known */
	__u32 srtt_us; /* of what is sent; 0: not known */
};

/* A thread, by the numbers of the initial namespaces. */
struct rec_task {
	__u64 start_ns;	 /* of its process, CLOCK_BOOTTIME */
	__u32 pid;	 /* thread group; 0: unknown */
	__u32 tid;	 /* thread */
	__u32 inner_pid; /* both in the innermost pid namespace */
	__u32 inner_tid;
	__u32 uid; /* effective */
	__u32 pad;
	__u8 comm[16]; /* of the process: its main thread's; aligned to eight bytes */
};

/* How the thread in a rec_owner is known; the values are APPMON_OWNER_*. */
enum { OWNER_UNKNOWN, OWNER_READ, OWNER_READ_SHARED, OWNER_SENT, OWNER_CONNECTED };

/* The request that one was made for, by goroutines: goroutine.h. */
struct rec_cause {
	__u64 cookie;	  /* of the connection on which it came; 0: not known */
	__u64 started_at; /* 0: sent by the goroutine that serves it; else the address of the go
			     statement that started the one which sends */
	__u32 seq;	  /* TCP sequence number of its first byte */
	__u32 followed;	  /* 1: the sender is a goroutine of a program that is followed */
};

/*
 * Whose connection it is, as far as known when the record was written. In records of what is sent,
 * and of FIN and RST that arrive, if it was asked for.
 */
struct rec_owner {
	struct rec_task task;
	__u64 read_first_ns; /* OWNER_READ*: when it read of what came last, CLOCK_MONOTONIC */
	__u64 read_last_ns;
	__u64 connect_ns; /* from SYN to SYN-ACK; 0: not seen */
	__u64 netns_cookie;
	__u32 netns;	  /* inode number of the network namespace */
	__u32 source;	  /* OWNER_* */
	__u32 sender_pid; /* the thread that sends this; 0: sent by TCP on its own */
	__u32 sender_tid;
	struct rec_cause cause; /* of a request that is sent */
	__u64 tls_session;	/* Go: rec_plain.session of what it writes to; 0: not known */
};

/*
 * A cache line. Behind it, where its flags say so: struct rec_conn_told, struct rec_before, struct
 * rec_owner, the tail. The rest are the captured bytes, from seg.seq on, or pieces.
 */
struct rec {
	struct rec_hdr hdr;
	__u64 cookie; /* of the socket: by that the reader knows the connection */
	struct rec_seg seg;
};

/* Of a direction as it is, without a packet. */
struct rec_state {
	struct rec rec;
	struct rec_conn_told told;
};

/* All that can stand in front of the captured bytes, and what of it need not. */
#define REC_EXTRAS_MAX                                                                             \
	(sizeof(struct rec_conn_told) + sizeof(struct rec_before) + sizeof(struct rec_owner) +     \
	 TAIL_BYTES)
#define REC_EXTRAS_ROOM 512 /* a power of two, for the verifier */
/* With it, and a bit more: see ring_put(). */
#define REC_FRONT_MAX ((sizeof(struct rec) + REC_EXTRAS_MAX + 31) / 32 * 32)

/*
 * REC_FRAMES: a segment of a protocol whose frames the programs follow, or a part of one (REC_PART).
 * Its bytes are pieces, one behind the other. It describes seg.len bytes, with REC_PART, too; what
 * lies between the pieces was not copied. Without REC_PART it has the segment's tail.
 */
enum {
	PIECE_FRAME = 1,    /* a frame begins with the first byte */
	PIECE_UNWALKED = 2, /* before it frames may have passed that are not counted */
	PIECE_DUE = 4 /* no bytes, and the first one: a frame begins before the segment, in bytes
			       that come late, `skipped` frames behind the last piece */
};

/* n bytes follow, with padding to a multiple of 8. */
struct rec_piece {
	__u32 at;      /* from seg.seq; PIECE_DUE: a signed number */
	__u32 skipped; /* PIECE_FRAME: frames not copied between the piece before and this one */
	__u32 n;
	__u32 flags; /* PIECE_* */
};

/* How a function of a TLS library takes (session, buffer, length), and says how much it did. */
enum tls_call {
	TLS_CALL_NONE,
	TLS_CALL_RESULT,   /* the result is the length; 0 and less: none */
	TLS_CALL_POINTER,  /* the result is a truth value, the length is at the fourth argument */
	TLS_CALL_POINTER5, /* the same with the fifth */
	TLS_CALL_COPY /* the place is a call of memcpy(), to where the caller wants the bytes */
};

#define TLS_RANDOM_BYTES 32

/*
 * The cookie of a uprobe in a TLS library: whether it writes, TLS_CALL_*, and where a session keeps the
 * randoms of the two hellos, which stand side by side. holder: offset of the pointer to what has
 * them; 0: the session itself.
 */
#define TLS_LAYOUT(out, call, holder, client, server)                                              \
	((__u64) !!(out) << 63 | (__u64)((call)&7) << 60 | (__u64)((server) < (client)) << 32 |    \
	 (__u64)(__u16)(holder) << 16 | (__u16)(client))
#define TLS_LAYOUT_OUT(layout) ((layout) >> 63)
#define TLS_LAYOUT_CALL(layout) ((layout) >> 60 & 7)
#define TLS_LAYOUT_HOLDER(layout) ((__u16)((layout) >> 16))
#define TLS_LAYOUT_SWAPPED(layout) ((layout) >> 32 & 1) /* the server's stands first */
#define TLS_LAYOUT_RANDOMS(layout)                                                                 \
	((__u16)(layout) - (TLS_LAYOUT_SWAPPED(layout) ? TLS_RANDOM_BYTES : 0))

/*
 * And of TLS_CALL_COPY: where the function has the session, the type of the bytes, and whether they
 * are only looked at. A place is so many times four bytes above the stack pointer, or from
 * TLS_PLACES_STACK on a register, as machine code numbers them.
 */
#define TLS_PLACES_STACK 32
#define TLS_LAYOUT_PLACES(session, type, peek)                                                     \
	((__u64)((session)&63) << 33 | (__u64)((type)&63) << 39 | (__u64)((peek)&63) << 45)
#define TLS_LAYOUT_SESSION(layout) ((layout) >> 33 & 63)
#define TLS_LAYOUT_TYPE(layout) ((layout) >> 39 & 63)
#define TLS_LAYOUT_PEEK(layout) ((layout) >> 45 & 63)

/* And which file it is, from 0 on: of TLS_LAYOUT() and of GO_LAYOUT(). */
#define TLS_FILES 512
#define LAYOUT_OF_FILE(file) ((__u64)(file) << 51)
#define LAYOUT_FILE(layout) ((layout) >> 51 & (TLS_FILES - 1))

/* So much of each random tells sessions apart. */
#define TLS_TAG_BYTES 16

/* The begin of a record on the wire: its head, and as much ciphertext as no other one begins with. */
#define TLS_RECORD_BYTES 16

/* The begins of both hellos' randoms; 0: not known. */
struct tls_tag {
	__u8 client[TLS_TAG_BYTES];
	__u8 server[TLS_TAG_BYTES];
};

/* A process whose calls are told. Value of the map `tls_processes`, by its tgid. */
struct tls_process {
	__u64 since_ns; /* CLOCK_MONOTONIC: from then on they are */
	__u64 start;	/* when it began, CLOCK_BOOTTIME: tells it from another with its number */
};

/* What /proc/PID/stat says of that: all a reader can know. */
#define TLS_START_NS 10000000

enum plain_flag {
	PLAIN_OUT = 1 << 0,  /* written; else read */
	PLAIN_MORE = 1 << 1, /* the next record continues this call */
	PLAIN_TAIL = 1 << 2, /* rec_plain.tail is valid */
	PLAIN_ENTRY = 1 << 3 /* told at the call's entry: it is not over yet */
};

/*
 * Bytes that a call has passed: when a write returns, with what was accepted, and when a read does, or
 * copies them.
 * A thread has one call at a time, and so has a session, but for those of Go: their order is that of
 * the records.
 */
struct rec_plain {
	__u64 session; /* its address */
	__u64 cookie;  /* of the socket, if the program knows it; else 0 */
	__u64 pos; /* of the first byte, in this direction of the session as far as it is known */
	/* When the call began, CLOCK_MONOTONIC; its end: rec_hdr.order_ns. Of a read that is told where
	 * it copies: now, or 0 if it may have waited for the bytes. */
	__u64 entry_ns;
	__u64 since_ns; /* of the process */
	__u64 start_ns; /* when that began, CLOCK_BOOTTIME */
	struct tls_tag tag;
	__u32 tgid, tid;
	__u32 flags;		       /* PLAIN_* */
	__u32 len;		       /* bytes described, captured or not */
	__u32 captured;		       /* bytes that follow */
	__u32 whole;		       /* bytes of the call, in all its records */
	__u32 lost;		       /* calls of this session that could not be told so far */
	__u32 lost_before;	       /* under the tags that its address had before */
	__u8 record[TLS_RECORD_BYTES]; /* what was written became this; 0: not known */
	__u8 tail[TAIL_BYTES];	       /* the last bytes described */
};

struct rec_process {
	struct rec_hdr hdr;
	struct rec_task task;
};

struct rec_call {
	struct rec_hdr hdr;
	struct rec_plain plain;
};

/* More CPUs share them. */
#define RINGS_MAX 16
/* A record's first word, which says that it is whole; the largest record (REC_FRAMES). */
#define RING_WORD 8
#define RING_RECORD_MAX (20 * 1024)
/* What a record of n bytes takes: it begins with a cache line, and is copied 32 bytes at a time. */
#define RING_ROOM(n) (((((__u64)(n) + 31) & ~31ULL) + RING_WORD + 63) & ~63ULL)

/* Of one ring. Positions count all bytes that ever were in it. */
struct ring_place {
	__u64 end; /* where the next record goes; the programs' */
	__u8 pad[56];
	__u64 begin; /* what is before has been read; the reader's */
	__u8 pad2[56];
};

/* Captured bytes of one record at most, but for REC_FRAMES. */
#define REC_BYTES_MAX 4096
#define CAPTURE_MAX 65536 /* most captured bytes of one message */

/* Sampling: a connection is watched if this hash lies below a bound. */
#define SAMPLE_ALL (1ULL << 32)
static inline __u32 sample_hash(__u64 key)
{
	return (__u32)(key * 0x9e3779b97f4a7c15ULL >> 32);
}

/*
 * What both ends hash alike, whatever addresses are translated between them: the distance of their
 * initial sequence numbers. ahead: the peer's first byte has this number more than the first one
 * that TCP has counted as acknowledged. That is the first byte where the connection was accepted,
 * and the SYN before it where it was made. The socket does not know which: so one end has d where
 * the other has 1 - d.
 */
static inline __u64 sample_key(__u32 ahead)
{
	__u32 other = 1 - ahead;

	return ahead < other ? ahead : other;
}

/* What the host says of a server's port. */
struct target_hint {
	__u16 port;
	__u16 protocol; /* APPMON_PROTO_* */
};

#define HINTS_MAX 64

/* One attachment: value of the cgroup storage, written by the library after the link exists. */
struct target_conf {
	__u64 cgroup_id; /* of the attached directory */
	__u32 target;	 /* 0: not armed yet */
	__u32 slot;	 /* index into live and counters */
	__u32 capture;	 /* bytes, see CAPTURE_MAX */
	__u32 depth;	 /* 1 + ancestor level of cgroup_id; worked out by the programs */
	__u32 protocols; /* ASKED_* */
	__u32 hint_count;
	struct target_hint hint[HINTS_MAX];
};

/*
 * What the reader knows of a connection whose frames the programs have lost, or which holds none.
 * By the socket's cookie, in the map `verdicts`.
 */
struct verdict {
	__u32 due[2];  /* by DIR_*: sequence number at which a frame begins */
	__u8 known[2]; /* due is valid */
	__u8 ignore;   /* the rest is of no interest */
	__u8 pad[5];
};

#define VERDICTS 4096

/* Bit n: APPMON_PROTO_n. HTTP/1 is followed in any case. */
#define ASKED_HTTP1 (1U << 1)
#define ASKED_RESP (1U << 2)
#define ASKED_HTTP2 (1U << 3)
#define ASKED_FRAMES (15U << 3) /* those of protocol/rows.h */

#define SLOTS 1024

/* Per CPU and slot. Cold: a healthy exchange changes none of them. */
struct slot_counters {
	__u64 records_lost;
	__u64 requests_lost; /* of these, records that began a request */
	__u64 skipped;	     /* connections given up as not HTTP */
};

/* Go programs: where a goroutine (struct g) keeps its number and that of the one which started it,
 * as the cookie of an attached uprobe. The go statement's address stands behind the latter. */
#define GO_LAYOUT(goid, parent) ((__u64)(__u16)(goid) | (__u64)(__u16)(parent) << 16)
#define GO_LAYOUT_GOID(layout) ((__u16)(layout))
#define GO_LAYOUT_PARENT(layout) ((__u16)((layout) >> 16))
#define GO_GOPC_BEHIND_PARENT 8
/* net/http, all versions so far: persistConn.bw, and transportRequest.Request. */
#define GO_PERSIST_CONN_BW 112
#define GO_TRANSPORT_REQUEST 0
/* x86-64: from the thread pointer to the address of the present g. */
#define GO_TLS_OFFSET (-8)

#endif /* APPMON_RECORDS_H */
