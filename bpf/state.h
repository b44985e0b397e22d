/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 2. What the programs remember: per socket, per attachment, per CPU. */
#ifndef APPMON_STATE_H
#define APPMON_STATE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stddef.h>

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

/* hint_of(): the protocol's number, and whose port it is said of. */
enum { HINT_PROTOCOL = 31, HINT_LOCAL = 32, HINT_REMOTE = 64 };

/* What the program of one direction works with: a cache line, which the other one does not read on
 * the way of a healthy exchange. */
struct direction {
	struct extent passed; /* written when the segment's record is in the ring */
	__u64 ts_ns;	      /* of the last data; 0: there was none */
	__u64 progress_ts_ns; /* of the last record */
	__u64 last;	      /* eight bytes in the order of the stream; 0: not known */
	__u32 start;	      /* where the present message, and with it the window, begins */
	__u32 turn;	      /* first byte sent since its sender received any */
	__u32 ack;	      /* of the segment that had it: what its sender had received */
	__u32 begun_ack;      /* when the present message began */
	__u8 window;	      /* WINDOW_* */
	__u8 burst;	      /* progress records left before the rate limit */
	__u8 pending;	      /* the reader lacks a progress record; the sweep writes it, too */
	__u8 marks;	      /* MARK_* */
	__u32 busy;	      /* a program is at work: take_turn() */
};

enum { WINDOW_CLOSED, WINDOW_NEW, WINDOW_HEAD };

/* A FIN has passed; the sender has received data. */
enum { MARK_FIN = 1, MARK_HEARD = 2 };

/* FRAMES: socket.row tells which. */
enum { SPEAKS_UNKNOWN, SPEAKS_HTTP, SPEAKS_OTHER, SPEAKS_FRAMES };

/* A status line has been seen, or a value in RESP: SPEAKS_HTTP stands for either. */
enum { CONFIRMED_NO, CONFIRMED_HTTP, CONFIRMED_RESP };

/*
 * Where the messages of one direction end, as far as that is known: see framing.h. HEAD: one
 * begins at due. IN_HEAD: it has begun, and goes on at due. CHUNK: a chunk-size line stands at due.
 */
struct framing {
	__u64 left; /* bytes of a body beyond due; IN_HEAD: the Content-Length so far */
	__u32 due;  /* sequence number */
	__u8 phase; /* FRAMING_* */
	__u8 found; /* IN_HEAD: HEAD_* so far */
	__u8 pad[2];
};

enum { FRAMING_UNKNOWN, FRAMING_HEAD, FRAMING_IN_HEAD, FRAMING_CHUNK };

/* What is kept of a line that a segment cuts. */
#define LINE_BYTES 64

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
	__u8 pad[11];

	struct direction dir_in;
	struct follow follow_in; /* SPEAKS_FRAMES */
	__u8 pad5[24];

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
	__u32 reply_due;  /* where the response ends */
	__u8 reply_phase; /* FRAMING_*; CHUNK: it is chunked, and not followed */
	__u8 pad4[3];

	struct follow follow_out; /* SPEAKS_FRAMES: of dir_out */
	__u8 pad6[16];
};

static __always_inline bool speaks_known(const struct socket *sk)
{
	return sk->speaks == SPEAKS_HTTP || (frames && sk->speaks == SPEAKS_FRAMES);
}

#define DIRECTION(sk, dir) ((dir) == DIR_OUT ? &(sk)->dir_out : &(sk)->dir_in)

/* Each costs some 30 ns: ten times as long as a program takes. */
#define TURN_TRIES 512

/*
 * Ingress runs of one socket work on the same lines: one waits for the other on another CPU. (They
 * do not interrupt each other, and TCP's lock keeps egress runs apart.) The wait has a bound, for
 * the host of a virtual machine can take the other CPU away: then a segment can go untold.
 */
static __always_inline void take_turn(struct direction *self)
{
	for (int i = 0; i < TURN_TRIES; i++) {
		if (!__sync_lock_test_and_set(&self->busy, 1))
			return;
		bpf_ktime_get_ns();
	}
}

static __always_inline void end_turn(struct direction *self)
{
	__sync_lock_test_and_set(&self->busy, 0);
}

/* Requests may have passed unseen: for so many more. There is pipelining: always. */
#define WIDE_UNSURE 8
#define WIDE_ALWAYS 255

static __always_inline void widen(struct socket *sk)
{
	if (sk->wide < WIDE_UNSURE)
		sk->wide = WIDE_UNSURE;
}

/* Who is silent for so long has sent all of a message. */
#define QUIET_NS 2000000000ULL

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

/* Tells a program which attachment it is running for. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct target_conf);
} targets SEC(".maps");

/* Slot -> target id that uses it now: shows whether a socket's owner is still attached. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} live SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct slot_counters);
} counters SEC(".maps");

#define COUNT(slot_, member)                                                                       \
	do {                                                                                       \
		__u32 key_ = (slot_);                                                              \
		struct slot_counters *c_ = bpf_map_lookup_elem(&counters, &key_);                  \
		/* Atomic although per CPU: a softirq may interrupt an egress run. */              \
		if (c_)                                                                            \
			__sync_fetch_and_add(&c_->member, 1);                                      \
	} while (0)

/* All below seq has passed. */
static __always_inline void extent_reach(struct extent *x, __u32 seq)
{
	if (!x->holes || (__s32)(seq - x->whole) <= 0)
		return;
	x->whole = seq;
	if (x->holes == HOLE_ONE && (__s32)(seq - x->hole_end) >= 0)
		x->whole = x->next;
	if ((__s32)(x->whole - x->next) >= 0) { /* TCP counts FIN */
		x->whole = x->next;
		x->holes = HOLE_NONE;
	}
}

static __always_inline void extent_add(struct extent *x, __u32 seq, __u32 end)
{
	if ((__s32)(seq - x->next) > 0) {
		x->holes = x->holes ? HOLE_MANY : HOLE_ONE;
		x->hole_end = seq;
	} else if (x->holes && (__s32)(seq - x->whole) > 0) {
		/* Somewhere above the lowest missing byte: perhaps it splits the hole. */
		x->holes = HOLE_MANY;
	}
	if ((__s32)(end - x->next) > 0)
		x->next = end;
	if (!x->holes)
		x->whole = x->next;
	else if ((__s32)(seq - x->whole) <= 0)
		extent_reach(x, end);
}

/* Not static: verified once. */
__noinline int find_depth(struct __sk_buff *skb, struct target_conf *conf)
{
	if (!conf)
		return 0;
	for (int level = 0; level < 32; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (!id)
			break;
		if (id == conf->cgroup_id) {
			conf->depth = level + 1;
			break;
		}
	}
	return 0;
}

/* The level of the attached cgroup above the packet's leaf; the root is 0. */
static __always_inline __u32 attachment_depth(struct __sk_buff *skb, struct target_conf *conf)
{
	if (!conf->depth)
		find_depth(skb, conf);
	return conf->depth;
}

/*
 * What the host says of a connection's ports: a protocol, and the end or ends that it is said of;
 * 0: nothing, or different things of both, as in the reader's detection. Not static: verified once.
 */
__noinline int hint_of(struct target_conf *conf, __u32 local_port, __u32 remote_port)
{
	__u32 local = 0, remote = 0;

	if (!conf)
		return 0;
	for (__u32 i = 0; i < HINTS_MAX; i++) {
		if (i >= conf->hint_count)
			break;
		if (conf->hint[i].port == local_port)
			local = conf->hint[i].protocol;
		if (conf->hint[i].port == remote_port)
			remote = conf->hint[i].protocol;
	}
	if (local && remote && local != remote)
		return 0;
	return (local ? local | HINT_LOCAL : 0) | (remote ? remote | HINT_REMOTE : 0);
}

/* What is looked for: as the target asks, but where HTTP/1 is spoken nothing else. */
static __always_inline __u32 asked_protocols(const struct target_conf *conf, __u32 hint)
{
	return 1U << (hint & HINT_PROTOCOL) == ASKED_HTTP1 ? ASKED_HTTP1 : conf->protocols;
}

/* 1 + DIR_* of the requests, as a hint tells; 0: it does not. A client's own port can be a hinted
 * one by chance: it is the higher of the two, as a rule. */
static __always_inline __u8 hinted_dir(const struct rec_conn *conn, __u32 hint)
{
	if ((hint & HINT_LOCAL) && conn->local_port < conn->remote_port)
		return 1 + DIR_IN;
	if ((hint & HINT_REMOTE) && conn->remote_port < conn->local_port)
		return 1 + DIR_OUT;
	return 0;
}

static __always_inline void adopt(struct __sk_buff *skb, struct socket *sk,
				  struct target_conf *conf)
{
	sk->conn.target = conf->target;
	sk->conn.slot = conf->slot;
	sk->capture = conf->capture;
	sk->protocols =
		asked_protocols(conf, hint_of(conf, sk->conn.local_port, sk->conn.remote_port));
	sk->depth = attachment_depth(skb, conf);
}

/* The owner is not this attachment and no other one either: it was detached. */
static __always_inline bool orphaned(struct socket *sk, struct target_conf *conf)
{
	__u32 *id, slot = sk->conn.slot;

	if (sk->conn.target == conf->target)
		return false;
	id = bpf_map_lookup_elem(&live, &slot);
	return !id || *id != sk->conn.target;
}

/*
 * With nested attachments the program runs once for each, innermost first, and the
 * innermost owns the socket.
 */
static __always_inline bool owns(struct __sk_buff *skb, struct socket *sk, struct target_conf *conf)
{
	if (sk->conn.target == conf->target)
		return true;
	if (sk->depth >= attachment_depth(skb, conf))
		return false;
	adopt(skb, sk, conf);
	return true;
}

/* Given up for an attachment that does not ask for as much as this one, which is further inside. */
static __always_inline bool asks_for_more(struct __sk_buff *skb, const struct socket *sk,
					  struct target_conf *conf)
{
	return sk->speaks == SPEAKS_OTHER && (conf->protocols & ~sk->protocols) &&
	       sk->depth < attachment_depth(skb, conf);
}

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
