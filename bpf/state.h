/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 2. What the programs remember of a socket. */
#ifndef APPMON_STATE_H
#define APPMON_STATE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stddef.h>

#include "order.h"
#include "packet.h"
#include "protocol/walk.h"
#include "records.h"

/*
 * Which bytes have passed. What arrives above next leaves a hole, which the peer fills when it
 * sends again. The lowest one is followed here; where there are several, TCP itself knows how far
 * the stream is whole, a packet later.
 */
struct extent {
	__u32 next;	/* sequence number after the highest byte */
	__u32 whole;	/* all below has passed; without holes the same as next */
	__u32 hole_end; /* HOLE_ONE: where it ends */
	__u32 holes;	/* HOLE_* */
};

enum { HOLE_NONE, HOLE_ONE, HOLE_MANY };

/* What the program of one direction works with: a cache line, which the other one does not read on
 * the way of a healthy exchange. */
struct direction {
	struct extent passed; /* written when the segment's record is in the ring */
	__u64 ts_ns;	      /* of the last data; 0: there was none */
	__u32 progress;	      /* time of the last record, in PROGRESS_UNIT */
	__u32 told;	      /* ... of the last that says who the connection is: tell_time() */
	__u64 last;	      /* eight bytes in the order of the stream; 0: not known */
	__u32 start;	      /* where the present message, and with it the window, begins */
	__u32 turn;	      /* first byte sent since its sender received any */
	__u32 ack;	      /* of the segment that had it: what its sender had received */
	__u32 begun_ack;      /* when the present message began */
	__u8 window;	      /* WINDOW_* */
	__u8 burst;	      /* progress records left before the rate limit */
	__u8 pending;	      /* PENDING_* */
	__u8 marks;	      /* MARK_* */
	__u32 busy;	      /* a program is at work: take_turn() */
};

enum { WINDOW_CLOSED, WINDOW_NEW, WINDOW_HEAD };

/* The reader lacks a progress record. The sweep writes it, too; then it has been SWEPT. */
enum { PENDING_NO, PENDING, PENDING_SWEPT };

/* A FIN has passed; the sender has received data. */
enum { MARK_FIN = 1, MARK_HEARD = 2 };

/* FRAMES: socket.row tells which. */
enum { SPEAKS_UNKNOWN, SPEAKS_HTTP, SPEAKS_OTHER, SPEAKS_FRAMES };

/* A status line has been seen, or a value in RESP: SPEAKS_HTTP stands for either. */
enum { CONFIRMED_NO, CONFIRMED_HTTP, CONFIRMED_RESP };

/*
 * Where the messages of one direction end, as far as that is known: see framing.h. HEAD: one
 * begins at due. IN_HEAD: it has begun, and goes on at due. CHUNK: a chunk-size line stands at due.
 * WHOLE, of a response: it was one segment so far, which all of it is believed to be (healthy.h).
 */
struct framing {
	__u64 left; /* bytes of a body beyond due; IN_HEAD: the Content-Length so far */
	__u32 due;  /* sequence number */
	__u8 phase; /* FRAMING_* */
	__u8 found; /* IN_HEAD: HEAD_* so far */
	__u8 pad[2];
};

enum { FRAMING_UNKNOWN, FRAMING_HEAD, FRAMING_IN_HEAD, FRAMING_CHUNK, FRAMING_WHOLE };

/* What is kept of a line that a segment cuts. */
#define LINE_BYTES 64

/* Whose the socket is: identity.h. */
struct owner {
	struct rec_task task; /* who read the present message, or who connected */
	__u64 read_first_ns;
	__u64 read_last_ns;
	__u64 syn_ns;
	__u64 connect_ns;
	__u32 turn;    /* the message that was read: direction.turn */
	__u32 copied;  /* up to here it was read */
	__u32 syn_seq; /* tells another connect() from a SYN that is sent again */
	__u32 source;  /* OWNER_* */
	__u32 pad;
	__u32 changes; /* odd while task is written: ingress reads it without the socket's lock */
};

/*
 * The directions are worked on by different CPUs, as a rule, at the same time: ingress runs before
 * the socket lock is taken, beside egress or in the middle of it. Two ingress runs of a socket meet
 * where its packets come to two CPUs, as when ksoftirqd still has some of a sender that has moved:
 * take_turn(). A cache line that changes hands costs as much as all else that is done for a packet.
 * So each direction has lines of its own, and both read the first two, which are seldom written.
 * (The value of a socket storage begins 8 bytes into a cache line of 64.)
 */
struct socket {
	struct rec_conn conn;
	__u32 capture;
	__u32 lost;
	__u32 depth;	  /* of the owning attachment: the innermost owns the socket */
	__u32 retrans;	  /* as TCP counted at our last segment */
	__u32 dup;	  /* segments that came again */
	__u8 speaks;	  /* SPEAKS_* */
	__u8 fresh;	  /* followed from the first byte */
	__u8 request_dir; /* 1 + DIR_*; 0: unknown */
	__u8 other_flips; /* messages that did not begin like HTTP */
	__u8 confirmed;	  /* CONFIRMED_* */
	__u8 closed;	  /* by the application */
	__u8 wide;	  /* capture whole segments for so many more requests, or WIDE_ALWAYS */
	__u8 suspect;	  /* wide: there are signs of pipelining */
	__u8 alone;	  /* sent with SYN (Fast Open): the peer's sequence numbers are not known */
	__u8 switched;	  /* another protocol follows: behind 101, or to a Redis replica */
	__u8 proper;	  /* not confirmed: a line that ends like a request's has been seen, or
			     what begins like an answer */
	__u8 head_only;	  /* the last request is HEAD: its response has no body */
	__u32 sample;	  /* sample_hash(): stays the same */
	__u32 protocols;  /* that are looked for: asked_protocols() */
	__u32 row;	  /* SPEAKS_FRAMES: ROW_* */
	__u8 sure;	  /* ... bit DIR_*: frames were found in this direction */
	__u8 pad[3];
	__u32 changed; /* when: something of what rec_conn_told has */
	__u8 pad7[4];

	struct direction dir_in;
	struct follow follow_in; /* SPEAKS_FRAMES */
	/* dir_in.turn, for threads that read: they would take the other line away from the CPU that
	 * works with it. */
	__u32 turn_in;
	__u8 pad5[20];

	/* Of the requests. */
	struct framing framing;
	__u32 request_start; /* where the present one begins */
	__u32 line_len;
	__u8 chunked; /* the present request: the reader follows its chunks, too */
	__u8 pad2[3];
	__u8 line[LINE_BYTES]; /* the last line_len bytes of requests: a line that was cut */
	__u8 behind[8];	       /* a line is shorter than old verifiers believe */
	__u8 pad3[28];

	struct direction dir_out;

	/* Of the responses. */
	__u32 reply_due;  /* where the response ends, and where 101 did */
	__u8 reply_phase; /* FRAMING_*; CHUNK: it is chunked, and not followed */
	__u8 in_parts;	  /* one began with a short segment, and went on */
	__u8 pad4[2];

	struct follow follow_out; /* SPEAKS_FRAMES: of dir_out */
	__u8 pad6[16];

	/* Last: it is there from the SYN on, which is before the socket is met. */
	struct owner owner;
};

/* All but that. */
static __always_inline void forget_socket(struct socket *sk)
{
	__builtin_memset(sk, 0, offsetof(struct socket, owner));
}

static __always_inline bool speaks_known(const struct socket *sk)
{
	return sk->speaks == SPEAKS_HTTP || (frames && sk->speaks == SPEAKS_FRAMES);
}

#define DIRECTION(sk, dir) ((dir) == DIR_OUT ? &(sk)->dir_out : &(sk)->dir_in)

/* Requests may have passed unseen: for so many more. There is pipelining: always. */
#define WIDE_UNSURE 8
#define WIDE_ALWAYS 255

static __always_inline void widen(struct socket *sk)
{
	if (sk->wide < WIDE_UNSURE)
		sk->wide = WIDE_UNSURE;
}

static __always_inline void suspect(struct socket *sk)
{
	sk->suspect = 1;
	widen(sk);
}

/*
 * The budget, written by the library: who is watched. generation is that of connections met from
 * now on; those of generations before capture_from are met again. 0: the programs capture nothing.
 */
volatile __u32 generation, capture_from;
volatile __u64 sample_below;

static __always_inline bool is_sampled(__u32 sample)
{
	return sample < sample_below;
}

/* The reader adds REC_TELL_AGAIN when it has forgotten who a connection is that may go on. */
volatile __u32 conns_asked;

/* Ticks of the kernel's clock, a hundredth to a thousandth of a second each, and what the reader adds. */
static __always_inline __u32 tell_time(void)
{
	return (__u32)bpf_jiffies64() + conns_asked;
}

/* Something has just changed of what rec_conn_told has. */
static __always_inline void conn_changes(struct socket *sk)
{
	sk->changed = tell_time();
}

/* In a direction that has told no connection. */
static __always_inline __u32 tell_never(void)
{
	return tell_time() - REC_TELL_AGAIN;
}

/* Bits, 0 or 1, without the branches that a verifier would follow. */
static __always_inline __u32 is_less(__u64 a, __u64 b)
{
	__u64 less = a - b;

	barrier_var(less);
	return less >> 63;
}

static __always_inline __u32 has_bits(__u64 x)
{
	__u64 sign = x | -x;

	barrier_var(sign);
	return sign >> 63;
}

/* Has a record of this direction to say who the connection is? 0 or 1. */
static __always_inline __u32 tells_conn(const struct socket *sk, const struct direction *self,
					__u32 now)
{
	const __u32 told = now - self->told, changed = now - sk->changed;

	return is_less(REC_TELL_TICKS, told) | is_less(changed, told + 1ULL) | sk->closed;
}

/* Has all of the connection been looked at since it was met? */
static __always_inline bool is_current(const struct socket *sk)
{
	__u32 from = capture_from;

	return from && (__s32)(sk->conn.generation - from) >= 0 && is_sampled(sk->sample);
}

/* The lock is for who meets the socket first: see meet(). */
struct storage {
	struct socket socket;
	struct bpf_spin_lock lock;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct storage);
} sockets SEC(".maps");

/* A socket's storage, if there is memory. Creating it fails where another CPU does so at this
 * moment, even for another map. */
static __always_inline void *storage_made(void *map, void *sk)
{
	void *p = bpf_sk_storage_get(map, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!p)
		p = bpf_sk_storage_get(map, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!p)
		p = bpf_sk_storage_get(map, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return p;
}

/* In place of a socket's state for data that meets a listening one: too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct socket);
} embryo SEC(".maps");

static __always_inline void fill_conn(struct __sk_buff *skb, struct rec_conn *conn,
				      const struct segment *s, int dir, __u64 cookie)
{
	__u8 *src = dir == DIR_OUT ? conn->local_addr : conn->remote_addr;
	__u8 *dst = dir == DIR_OUT ? conn->remote_addr : conn->local_addr;
	__be16 port[2] = {};

	/* From the packet, not the socket: a v4-mapped socket speaks IPv4 on the wire. */
	if (s->family == 4) {
		bpf_skb_load_bytes(skb, 12, src, 4);
		bpf_skb_load_bytes(skb, 16, dst, 4);
	} else {
		bpf_skb_load_bytes(skb, 8, src, 16);
		bpf_skb_load_bytes(skb, 24, dst, 16);
	}
	bpf_skb_load_bytes(skb, s->tcp, port, sizeof(port));
	conn->local_port = bpf_ntohs(dir == DIR_OUT ? port[0] : port[1]);
	conn->remote_port = bpf_ntohs(dir == DIR_OUT ? port[1] : port[0]);
	conn->family = s->family;
	conn->cookie = cookie;
	conn->generation = generation;
	conn->cgroup_id = bpf_skb_cgroup_id(skb);
}

#endif /* APPMON_STATE_H */
