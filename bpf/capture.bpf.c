/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The programs: one at both hooks of the attached cgroups, which sees each packet and always lets
 * it pass, one for threads that read, one for sockets that are closed, and the sweep. observe() has
 * what becomes of a packet: its connection is met (meet.h), the place in its stream followed
 * (track.h), what is worth it captured (window.h, protocol/segment.h).
 */
#include "attachment.h"
#include "kernel.h"
#include "listener.h"
#include "meet.h"
#include "healthy.h"
#include "protocol/segment.h"
#include "tls-calls.h"
#include "track.h"
#include "window.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* A packet of a socket that is followed. */
static __always_inline void observe_packet(struct __sk_buff *skb, struct socket *sk,
					   struct direction *self, struct emission *e,
					   const int dir)
{
	struct bpf_sock *ss = skb->sk;
	struct bpf_tcp_sock *tp = 0;
	struct extent x;
	int told = FRAMES_NO;
	__u32 end;
	__s32 ahead;

	if (!ss)
		return; /* never: asked for by the verifier */
	if (sk->alone && (e->s.flags & TCP_ACK)) {
		/* TCP takes no data before the peer's SYN. */
		if (dir == DIR_IN && ss->state == BPF_TCP_SYN_SENT && !(e->s.flags & TCP_SYN))
			return;
		peer_answers(sk, ss, &e->s, dir);
	}
	x = self->passed;
	e->ack = acked(ss, &e->s, dir, self->ack);
	e->holes = !!x.holes;
	if (dir == DIR_IN && (x.holes || !sk->fresh)) {
		tp = bpf_tcp_sock(ss);
		reach_by_tcp(tp, sk, &x);
	}
	if (dir == DIR_IN &&
	    ((__s32)(e->ack - self->ack) > 0 || ((self->marks & MARK_HEARD) && !self->ts_ns))) {
		see_written(ss, e);
		if (!is_plausible(e))
			return;
	}
	if (!e->s.len) {
		e->whole = x.whole;
		if (dir == DIR_IN && (e->s.flags & TCP_RST) &&
		    !reset_is_obeyed(ss, &e->s, &self->passed))
			return;
		progress(skb, sk, self, e);
		return;
	}

	end = e->s.seq + e->s.len;
	ahead = e->s.seq - x.next;
	if (ahead < 0) {
		e->flags |= REC_OLD;
		if (dir == DIR_IN) {
			sk->dup++;
			conn_changes(sk);
		}
	}
	if ((__s32)(end - x.next) > 0) {
		const bool turns = (__s32)(e->ack - self->ack) > 0 || !self->ts_ns;

		if (sk->request_dir == 1 + !dir)
			recall_reply(skb, sk, e, x.next, turns);
		if (turns)
			begin_turn(sk, self, e, x.next);
	} else if (!e->holes || (__s32)(end - x.whole) <= 0) {
		return; /* sent again: every byte has been looked at */
	}
	if ((__s32)(self->turn - e->s.seq) >= 0 && (__s32)(end - self->turn) > 0)
		e->flags |= REC_FLIP;
	extent_add(&x, e->s.seq, end);
	if (dir == DIR_OUT)
		x.whole = x.next;
	else if (tp && x.holes)
		reach_by_tcp(tp, sk, &x);
	e->whole = x.whole;
	e->filled = e->holes && e->whole != self->passed.whole;
	e->holes = x.holes || end != x.next;
	if (frames && (sk->speaks != SPEAKS_HTTP || sk->switched))
		told = follow_segment(skb, sk, e);
	if (told == FRAMES_NO)
		told = capture(skb, sk, self, e) ? FRAMES_TOLD : FRAMES_UNTOLD;
	if (told == FRAMES_UNTOLD)
		progress(skb, sk, self, e);
	/* A message whose end is counted needs no last bytes. */
	if (sk->wide ||
	    (sk->request_dir == 1 + dir ? sk->framing.phase : sk->reply_phase) != FRAMING_HEAD)
		keep_last(skb, self, e, self->passed.next);
	else
		self->last = 0;
	publish(self, e, end, dir);
}

/*
 * The socket that a packet is of, if it is this attachment's. Else NULL: it is another one's, or
 * nobody's. Not inlined: the verifier goes on behind it in fewer ways.
 */
static __noinline struct socket *find_socket(struct __sk_buff *skb, struct emission *e, int dir)
{
	struct target_conf *conf = bpf_get_local_storage(&targets, 0);
	struct bpf_sock *ss = skb->sk;
	struct socket *sk;

	if (!ss || !conf->target)
		return 0;
	sk = bpf_sk_storage_get(&sockets, ss, 0, 0);
	if (sk && !is_sampled(sk->sample)) {
		if (sk->conn.generation)
			sk->conn.generation = 0; /* met again when it is */
		return 0;
	}
	if (!sk || !is_current(sk) || orphaned(sk, conf) || asks_for_more(skb, sk, conf)) {
		if (!e->s.len && !is_heir(skb))
			return 0;
		if (!is_sampled(sample_of(skb, ss)))
			return 0; /* most, if the host has set a ceiling */
		if (is_path_of_several(skb))
			return 0;
		sk = meet(skb, ss, &e->s, dir, conf);
		if (!sk)
			return 0;
	}
	return owns(skb, sk, conf) ? sk : 0;
}

static __always_inline void observe(struct __sk_buff *skb, int dir)
{
	struct emission e = {};
	struct bpf_sock *ss;
	struct socket *sk;

	if (!capture_from || !parse_segment(skb, &e.s))
		return;
	ss = skb->sk;
	if (!ss)
		return;
	if (e.s.flags & TCP_SYN) {
		if (identity && is_armed())
			see_handshake(skb, ss, &e.s, dir);
		if (!e.s.len && !(e.s.flags & (TCP_FIN | TCP_RST)))
			return;
	}
	e.dir = dir;
	e.seq = e.s.seq;
	e.len = e.s.len;
	sk = only_target ? bpf_sk_storage_get(&sockets, ss, 0, 0) : 0;
	if (!sk || sk->conn.target != only_target || !is_current(sk)) {
		if (ss->state == BPF_TCP_LISTEN) {
			/* Resets for others are sent in its name. */
			if (dir == DIR_IN)
				observe_listener(skb, &e);
			return;
		}
		sk = find_socket(skb, &e, dir);
	}
	if (!sk || sk->speaks == SPEAKS_OTHER)
		return;

	if (dir == DIR_IN)
		take_turn(sk);
	/* TCP stamps what it sends with its own monotonic clock, perhaps with a time to come. */
	e.ts_ns = dir == DIR_OUT ? skb->tstamp : 0;
	if (!is_healthy(ss, sk, DIRECTION(sk, dir), &e, dir) || !pass_healthy(skb, sk, &e))
		observe_packet(skb, sk, DIRECTION(sk, dir), &e, dir);
	if (dir == DIR_IN) {
		if (identity && sk->turn_in != sk->dir_in.turn)
			sk->turn_in = sk->dir_in.turn;
		end_turn(sk);
	}
}

/*
 * Attached to both hooks, so that the verifier works through what they share once. A packet that the
 * machine sends itself has come in by no interface, loopback's neither. Both ways are written out:
 * with the direction in a variable Linux 6.1 refuses the program.
 */
SEC("cgroup_skb/ingress")
int appmon_packet(struct __sk_buff *skb)
{
	if (skb->ingress_ifindex)
		observe(skb, DIR_IN);
	else
		observe(skb, DIR_OUT);
	return 1;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int appmon_read(__u64 *ctx)
{
	struct sock *ksk = (struct sock *)ctx[0];
	struct socket *sk;
	struct owner *o;

	/* This runs for every socket of the machine: most leave before a helper is called. */
	if (!ksk->sk_bpf_storage)
		return 0;
	sk = bpf_sk_storage_get(&sockets, ksk, 0, 0);
	if (!sk)
		sk = meet_in_read(ksk);
	if (!sk)
		return 0;
	if (links && tls_go && sk->speaks == SPEAKS_FRAMES)
		tls_see_read(ksk);
	o = see_read(ksk, sk);
	if (o && links)
		emit_read(sk, o, reads_block(ksk));
	return 0;
}

/*
 * The application closes the socket. TCP reports this by what it sends (FIN, RST), but
 * not if the FIN is out already, or if the socket closes silently: the kernel replaces a
 * closed socket by a time-wait one, which the programs above do not see.
 */
SEC("cgroup/sock_release")
int appmon_release(struct bpf_sock *ctx)
{
	struct socket *sk = bpf_sk_storage_get(&sockets, ctx, 0, 0);

	if (!sk || sk->closed)
		return 1;
	sk->closed = 1;
	if (tls_go)
		tls_go_closed(sk->conn.cookie);
	if (speaks_known(sk) && (sk->dir_out.marks & MARK_FIN) && is_current(sk))
		emit_state(sk, DIR_OUT, REC_CLOSED);
	return 1;
}

/*
 * The library reads this when it waits for the end of a body whose last progress was held back by
 * the rate limit, if no packet has followed.
 */
static __always_inline int sweep_socket(struct seq_file *seq, struct socket *sk, struct sock *ksk)
{
	struct rec_state r;
	struct extent passed;
	struct tcp_sock *tp;

	if (!speaks_known(sk) || !is_current(sk))
		return 0;
	tp = bpf_skc_to_tcp_sock(ksk);
	for (int dir = 0; dir < 2; dir++) {
		struct direction *self = DIRECTION(sk, dir);

		if (self->pending != PENDING)
			continue;
		self->pending = PENDING_SWEPT;
		passed = self->passed;
		if (dir == DIR_IN && tp)
			extent_reach(&passed, tp->rcv_nxt);
		fill_state(&r, sk, dir, &passed, REC_SWEPT);
		bpf_seq_write(seq, &r, sizeof(r));
	}
	return 0;
}

/* Every socket that has a state. */
SEC("iter/bpf_sk_storage_map")
int appmon_sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct socket *sk = ctx->value;
	struct sock *ksk = ctx->sk;

	return ksk && sk ? sweep_socket(ctx->meta->seq, sk, ksk) : 0;
}

/* Where the kernel refuses that: every socket among the open files of every process. */
SEC("iter/task_file")
int appmon_sweep_files(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket___kernel *socket;
	struct socket *sk;
	struct sock *ksk;

	if (!file)
		return 0;
	socket = (void *)bpf_sock_from_file(file);
	ksk = socket ? socket->sk : NULL;
	if (!ksk)
		return 0;
	sk = bpf_sk_storage_get(&sockets, ksk, 0, 0);
	return sk ? sweep_socket(ctx->meta->seq, sk, ksk) : 0;
}
