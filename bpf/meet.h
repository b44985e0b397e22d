/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * 17. A connection is met: by its first packet since it is watched, or in a thread that reads from
 * it. What has passed before is asked of TCP.
 */
#ifndef APPMON_MEET_H
#define APPMON_MEET_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"
#include "kernel.h"
#include "listener.h"

/*
 * A connection of MPTCP has a socket for each path (RFC 8684). As long as there is one, its stream
 * is the application's. When another has data, the programs cannot know which path carries what:
 * then neither is followed. Not inlined: its stack is of use to the rest.
 */
static __noinline int is_path_of_several(struct __sk_buff *skb)
{
	struct bpf_sock *ss = skb->sk;
	struct mptcp_sock *mp;
	struct sock *first;
	struct socket *sk;

	if (!ss || !bpf_core_type_exists(struct mptcp_sock))
		return 0;
	mp = bpf_skc_to_mptcp_sock(ss);
	if (!mp || mp->conn_list.next == mp->conn_list.prev)
		return 0;
	first = mp->first;
	sk = first ? bpf_sk_storage_get(&sockets, first, 0, 0) : 0;
	if (!sk || sk->speaks == SPEAKS_OTHER || !is_current(sk))
		return 1;
	sk->speaks = SPEAKS_OTHER;
	COUNT(sk->conn.slot, skipped);
	emit_state(sk, DIR_OUT, REC_NOT_HTTP);
	return 1;
}

/* The listening socket has met the first request, which begins at `first`. */
static __always_inline void inherit(struct socket *sk, __u32 first)
{
	/* One listening socket may serve several protocols: the next segment tells. */
	sk->speaks = frames && (sk->protocols & ASKED_FRAMES) ? SPEAKS_UNKNOWN : SPEAKS_HTTP;
	sk->request_dir = 1 + DIR_IN;
	sk->wide = WIDE_UNSURE;
	sk->dir_in.turn = sk->turn_in = first;
}

/* The present request began before all that is seen: no answer is seen that was sent before it. */
static __always_inline void request_before(struct socket *sk)
{
	sk->request_start =
		(sk->request_dir == 1 + DIR_OUT ? sk->dir_out.start : sk->dir_in.start) - 1;
}

/*
 * The connection's place in the sample. TCP counts what both directions have delivered, so that the
 * initial sequence numbers follow at any time. (While another CPU moves them on the result can be
 * wrong; then this end is drawn by chance, once and for all.) With data in the SYN the peer's is
 * not known yet: such a connection is drawn by its cookie, apart from its other end.
 */
static __always_inline __u32 sample_of(struct __sk_buff *skb, struct bpf_sock *ss)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(ss);
	__u32 theirs, ours;

	if (!tp || ss->state == BPF_TCP_SYN_SENT)
		return sample_hash(bpf_get_socket_cookie(skb));
	theirs = READ_ONCE(tp->rcv_nxt) - (__u32)READ_ONCE(tp->bytes_received);
	ours = READ_ONCE(tp->snd_una) - (__u32)READ_ONCE(tp->bytes_acked);
	return sample_hash(sample_key(theirs - ours));
}

/*
 * The first packet of a socket since it is watched. That of the other direction may be on another
 * CPU at this moment (data behind a SYN that is answered at once), or interrupted by this one: one
 * of them sets the state, all at once. Not inlined: its stack is of use to the rest.
 */
static __noinline struct socket *meet(struct __sk_buff *skb, struct bpf_sock *ss,
				      const struct segment *s, int dir, struct target_conf *conf)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct direction *self, *other;
	struct bpf_tcp_sock *tp;
	struct rec_conn conn = {};
	struct storage *storage;
	struct socket *sk;
	__u32 depth, start, other_start, retrans, met_in, sample, hint, never = tell_never();
	bool again, silent, fresh, heir;

	storage = storage_made(&sockets, ss);
	if (!storage) {
		COUNT(conf->slot, records_lost); /* the kernel is out of memory */
		return 0;
	}
	sk = &storage->socket;
	sample = sample_of(skb, ss);
	tp = bpf_tcp_sock(ss);
	if (!tp)
		return 0; /* never: asked for by the verifier */
	fill_conn(skb, &conn, s, dir, cookie);
	conn.target = conf->target;
	conn.slot = conf->slot;
	met_in = conn.generation;
	conn.generation = 0;
	depth = attachment_depth(skb, conf);
	hint = hint_of(conf, conn.local_port, conn.remote_port);
	retrans = tp->total_retrans;
	/* Not the segment's own number: an earlier one may be late. */
	start = s->seq;
	other_start = s->ack;
	if (dir == DIR_IN) {
		start = READ_ONCE(tp->rcv_nxt);
		other_start = READ_ONCE(tp->snd_nxt);
	}
	/* TCP moves snd_nxt after the segment has been here; bytes_acked counts the SYN of an
	 * active open. */
	again = dir == DIR_OUT && (__s32)(READ_ONCE(tp->snd_nxt) - start) > 0;
	silent = tp->bytes_acked <= 1 && !again &&
		 (dir == DIR_IN ? other_start : start) == READ_ONCE(tp->snd_una);
	fresh = silent && tp->bytes_received == 0;
	heir = silent && !fresh && bpf_sk_storage_get(&listeners, ss, 0, 0);
	if (again)
		start = READ_ONCE(tp->snd_nxt); /* and answered perhaps */

	bpf_spin_lock(&storage->lock);
	if (is_current(sk) && sk->conn.target == conf->target)
		goto met;
	/* Not new if its owner was detached: what passed since is unknown. */
	forget_socket(sk);
	self = DIRECTION(sk, dir);
	other = DIRECTION(sk, !dir);
	sk->sample = sample;
	sk->retrans = retrans;
	sk->fresh = fresh;
	self->told = other->told = never;
	self->start = start;
	other->start = other_start;
	/* A peer may acknowledge later what had been sent before: that is no turn. */
	self->ack = self->begun_ack = other_start;
	other->ack = other->begun_ack = start;
	self->marks = other->marks = fresh ? 0 : MARK_HEARD;
	if (!fresh) /* else who speaks first asks */
		sk->request_dir = hinted_dir(&conn, hint);
	/* A server that has not said anything: there is a first request, which its listening socket
	 * met or which began before the attach. */
	if (silent && !fresh) {
		sk->wide = WIDE_UNSURE;
		sk->dir_in.ack = sk->dir_in.begun_ack = dir == DIR_IN ? other_start : start;
		sk->dir_in.marks = 0;
		if (dir == DIR_IN) {
			self->window = WINDOW_HEAD;
			sk->request_dir = 1 + DIR_IN;
		}
	}
	sk->alone = dir == DIR_OUT && !(s->flags & TCP_ACK);
	self->passed.next = self->passed.whole = start;
	other->passed.next = other->passed.whole = other_start;
	sk->capture = conf->capture;
	sk->protocols = asked_protocols(conf, hint);
	if (heir)
		inherit(sk, tp->rcv_nxt - (__u32)tp->bytes_received);
	request_before(sk);
	sk->depth = depth;
	sk->conn = conn;
	/* Last: it marks the rest as complete. */
	__sync_lock_test_and_set(&sk->conn.generation, met_in);
met:
	bpf_spin_unlock(&storage->lock);
	return sk;
}

#ifndef AF_INET6
#define AF_INET6 10
#endif

/* Of a connection that has had no packet of its own, from the kernel's socket. */
static __always_inline void fill_conn_of(struct rec_conn *conn, struct sock *sk)
{
	const struct sock_common *c = &sk->__sk_common;
	const __u32 *remote = (const __u32 *)conn->remote_addr;

	conn->family = 4;
	if (c->skc_family == AF_INET6) {
		bpf_probe_read_kernel(conn->local_addr, 16, &c->skc_v6_rcv_saddr);
		bpf_probe_read_kernel(conn->remote_addr, 16, &c->skc_v6_daddr);
		if (remote[0] || remote[1] || remote[2] != bpf_htonl(0xffff)) /* not v4-mapped */
			conn->family = 6;
	}
	if (conn->family == 4) {
		__builtin_memset(conn->local_addr, 0, sizeof(conn->local_addr));
		__builtin_memset(conn->remote_addr, 0, sizeof(conn->remote_addr));
		*(__u32 *)conn->local_addr = c->skc_rcv_saddr;
		*(__u32 *)conn->remote_addr = c->skc_daddr;
	}
	conn->local_port = c->skc_num;
	conn->remote_port = bpf_ntohs(c->skc_dport);
}

/*
 * A thread reads from a socket of which no packet was seen: what its listening socket has met. As
 * meet(); not inlined for the same reason.
 */
static __noinline struct socket *meet_in_read(struct sock *ksk)
{
	struct rec_conn conn = {};
	struct storage *storage;
	struct listener *l;
	struct tcp_sock *tp;
	struct socket *sk;
	__u32 in, out, first, retrans, sample, never, met_in = generation;

	l = bpf_sk_storage_get(&listeners, ksk, 0, 0);
	tp = l ? bpf_skc_to_tcp_sock(ksk) : 0;
	if (!tp || !capture_from || !is_attached(l))
		return 0;
	never = tell_never(); /* no helper is called under the lock */
	in = tp->rcv_nxt;
	out = tp->snd_nxt;
	first = in - (__u32)tp->bytes_received;
	retrans = tp->total_retrans;
	conn.cookie = bpf_get_socket_cookie(ksk);
	/* As in sample_of(). */
	sample = sample_hash(sample_key(first - (out - (__u32)tp->bytes_acked)));
	if (tp->bytes_acked > 1 || out != tp->snd_una || !is_sampled(sample))
		return 0;
	conn.cgroup_id = l->cgroup_id;
	conn.target = l->target;
	conn.slot = l->slot;
	fill_conn_of(&conn, ksk);
	storage = storage_made(&sockets, ksk);
	if (!storage)
		return 0; /* the first packet will meet it */
	sk = &storage->socket;
	bpf_spin_lock(&storage->lock);
	if (is_current(sk))
		goto met;
	forget_socket(sk);
	sk->retrans = retrans;
	sk->sample = sample;
	sk->dir_in.told = sk->dir_out.told = never;
	sk->dir_in.start = sk->dir_in.passed.next = sk->dir_in.passed.whole = in;
	sk->dir_out.start = sk->dir_out.passed.next = sk->dir_out.passed.whole = out;
	sk->dir_out.marks = MARK_HEARD;
	sk->dir_in.ack = sk->dir_in.begun_ack = out;
	sk->dir_out.ack = sk->dir_out.begun_ack = in;
	sk->dir_in.window = WINDOW_HEAD;
	sk->capture = l->capture;
	sk->protocols = l->protocols;
	inherit(sk, first);
	request_before(sk);
	sk->depth = l->depth;
	sk->conn = conn;
	/* Last: it marks the rest as complete. */
	__sync_lock_test_and_set(&sk->conn.generation, met_in);
met:
	bpf_spin_unlock(&storage->lock);
	return sk;
}

#endif /* APPMON_MEET_H */
