/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Whose a connection is: the thread that reads from it or sends on it, and when it read. Only hooks
 * in that thread's own context show it: recvmsg() and its kin end up in tcp_rcv_space_adjust(),
 * which has a tracepoint; connect() and sendmsg() in the egress program, as long as it is not a
 * softirq that sends. Who created, accepted or merely holds the socket does not count.
 */
#ifndef APPMON_IDENTITY_H
#define APPMON_IDENTITY_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "goroutine.h"
#include "look.h"
#include "packet.h"
#include "state.h"
#include "tls-go.h"

/* Set before the programs are loaded: 0 takes all of this out of them. */
const volatile __u32 identity = 1;
/* The same for telling the reader at once who reads a request. */
const volatile __u32 links = 1;

#ifndef O_NONBLOCK
#define O_NONBLOCK 04000
#endif

/* The number of a process or thread in its innermost namespace. */
static __always_inline __u32 inner_number(struct task_struct *task)
{
	struct pid *pid = task->thread_pid;
	__u64 level;
	int nr = 0;

	if (!pid)
		return 0;
	level = pid->level & 31;
	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (void *)__builtin_preserve_access_index(&pid->numbers[0]) +
				      level * sizeof(struct upid));
	return nr;
}

static __always_inline void fill_task(struct rec_task *r, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	const struct cred *cred = task->cred;
	struct pid *pid = task->thread_pid;

	r->start_ns = leader->start_boottime;
	r->pid = task->tgid;
	r->tid = task->pid;
	r->inner_pid = r->pid;
	r->inner_tid = r->tid;
	if (pid && pid->level) {
		r->inner_pid = inner_number(leader);
		r->inner_tid = inner_number(task);
	}
	r->uid = cred->euid.val;
	r->pad = 0;
	((__u64 *)r->comm)[0] = ((const __u64 *)leader->comm)[0];
	((__u64 *)r->comm)[1] = ((const __u64 *)leader->comm)[1];
}

/* Does r say of the thread what fill_task() would? */
static __always_inline bool is_task(const struct rec_task *r, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	const __u64 *known = (const __u64 *)r->comm, *comm = (const __u64 *)leader->comm;

	return r->tid == (__u32)task->pid && r->start_ns == leader->start_boottime &&
	       r->uid == task->cred->euid.val && known[0] == comm[0] && known[1] == comm[1];
}

/*
 * Is this code run by a thread that uses the socket? A softirq leaves alone what a thread has
 * locked, but a thread that lets go of the lock does the work that came up meanwhile: that can send
 * what another thread wrote.
 */
static __always_inline bool in_senders_context(struct tcp_sock *tp)
{
	struct sock *sk = (struct sock *)tp;

	return sk->sk_lock.owned && !sk->sk_backlog.len;
}

static __always_inline __u64 time_of(const struct __sk_buff *skb, int dir)
{
	__u64 ts = dir == DIR_OUT ? skb->tstamp : 0;

	return ts ? ts : bpf_ktime_get_ns();
}

/* A segment with SYN: a client's connect() and its answer. */
static __always_inline void see_handshake(struct __sk_buff *skb, struct bpf_sock *ss,
					  const struct segment *s, int dir)
{
	struct tcp_sock *tp;
	struct socket *sk;
	struct owner *o;

	if (ss->state != BPF_TCP_SYN_SENT)
		return;
	if (dir == DIR_IN) {
		sk = bpf_sk_storage_get(&sockets, ss, 0, 0);
		o = sk ? &sk->owner : 0;
		if (o && o->syn_ns && !o->connect_ns && (s->flags & TCP_ACK))
			o->connect_ns = time_of(skb, dir) - o->syn_ns;
		return;
	}
	sk = storage_made(&sockets, ss);
	o = sk ? &sk->owner : 0;
	if (!o || (o->syn_ns && o->syn_seq == s->seq))
		return;
	__builtin_memset(o, 0, sizeof(*o));
	o->syn_seq = s->seq;
	o->syn_ns = time_of(skb, dir);
	tp = bpf_skc_to_tcp_sock(ss);
	if (tp && in_senders_context(tp)) {
		fill_task(&o->task, bpf_get_current_task_btf());
		o->source = OWNER_CONNECTED;
	}
}

/* Does a read wait if there is nothing to read? */
static __always_inline bool reads_block(struct sock *sk)
{
	struct socket___kernel *socket = sk->sk_socket;
	struct file *file = socket ? socket->file : 0;

	return file && !(file->f_flags & O_NONBLOCK);
}

/*
 * A thread has taken bytes out of the socket. Returns who, if it is a message's first reader, or
 * another than before.
 */
static __always_inline struct owner *see_read(struct sock *sk, struct socket *s)
{
	struct task_struct *task;
	struct tcp_sock *tp;
	struct owner *o;
	__u32 turn, copied;
	bool known;
	__u64 now;

	if (s->speaks != SPEAKS_HTTP || s->request_dir == 1 + DIR_OUT)
		return 0;
	/* Its line comes from another CPU, meanwhile the rest is asked for. */
	turn = READ_ONCE(s->turn_in);
	barrier();
	tp = bpf_skc_to_tcp_sock(sk);
	/* Not held: a strparser, in a softirq. */
	if (!tp || !sk->sk_lock.owned)
		return 0;
	copied = tp->copied_seq;
	o = &s->owner;
	task = bpf_get_current_task_btf();
	known = is_task(&o->task, task);
	if ((__s32)(copied - turn) <= 0)
		return 0; /* of an earlier message, or a peek */
	if (goroutines)
		goroutine_reads(s->conn.cookie, turn);
	now = bpf_ktime_get_ns();
	/* The listening socket met the begin of a message, the connection's own the rest. */
	if (o->turn != turn && !s->fresh && !s->dir_out.ts_ns)
		o->turn = turn;
	if (o->turn != turn || (o->source != OWNER_READ && o->source != OWNER_READ_SHARED)) {
		o->turn = turn;
		o->read_first_ns = now;
		o->source = OWNER_READ;
	} else if (o->copied == copied) {
		return 0;
	} else if (o->task.tid != (__u32)task->pid) {
		o->source = OWNER_READ_SHARED;
	}
	o->copied = copied;
	o->read_last_ns = now;
	if (known)
		return o->read_first_ns == now ? o : 0;
	__sync_fetch_and_add(&o->changes, 1);
	fill_task(&o->task, task);
	__sync_fetch_and_add(&o->changes, 1);
	return o;
}

/* The direction, and what the bytes of the record look like if that was asked: BPF functions take
 * five arguments. */
#define OWNER_HOW(dir, look) ((dir) | (look) << 1)

/*
 * Not inlined: before 6.7 the callers' stack has no room for it. Not static, to be verified once:
 * the verifier looks up the names of the kernel's types for each pointer that is followed.
 */
__noinline int fill_owner(struct __sk_buff *skb, const struct socket *sk, const struct segment *s,
			  __u32 how, struct rec_owner *r)
{
	struct bpf_sock *ss = skb->sk;
	struct task_struct *task;
	struct tcp_sock *tp;
	const struct owner *o;
	struct net *net;
	int dir = how & 1, look = how >> 1;
	bool request;
	__u32 changes;

	if (!sk || !s || !r)
		return 0;
	__builtin_memset(r, 0, sizeof(*r));
	if (!identity || !ss || (dir == DIR_IN && !(s->flags & (TCP_FIN | TCP_RST))))
		return 0;
	tp = bpf_skc_to_tcp_sock(ss);
	if (!tp)
		return 0;
	net = ((struct sock *)tp)->__sk_common.skc_net.net;
	r->netns_cookie = net->net_cookie;
	r->netns = net->ns.inum;
	request = dir == DIR_OUT &&
		  (sk->request_dir ? sk->request_dir == 1 + DIR_OUT : look == LOOK_REQUEST);
	o = &sk->owner;
	r->connect_ns = o->connect_ns;
	changes = *(volatile __u32 *)&o->changes;
	/* With pipelining the next message may have come, and moved the turn. An answer that is sent
	 * before anyone has read of that is to one that was read before. */
	if (o->source == OWNER_CONNECTED ||
	    (!request && (o->turn == sk->turn_in ||
			  (sk->wide == WIDE_ALWAYS && (__s32)(o->copied - sk->turn_in) <= 0)))) {
		r->task = o->task;
		r->read_first_ns = o->read_first_ns;
		r->read_last_ns = o->read_last_ns;
		r->source = o->source;
	}
	if ((changes & 1) || changes != *(volatile __u32 *)&o->changes) {
		__builtin_memset(&r->task, 0, sizeof(r->task));
		r->source = OWNER_UNKNOWN;
	}
	if (dir == DIR_IN || !in_senders_context(tp))
		return 0;
	task = bpf_get_current_task_btf();
	r->sender_pid = task->tgid;
	r->sender_tid = task->pid;
	if (tls_go)
		r->tls_session = tls_go_writing(skb, sk, s);
	if (goroutines && request)
		fill_cause(sk->conn.cookie, sk->dir_out.turn, &r->cause);
	if (r->source == OWNER_READ || r->source == OWNER_READ_SHARED)
		return 0;
	fill_task(&r->task, task);
	r->source = OWNER_SENT;
	return 0;
}

#endif /* APPMON_IDENTITY_H */
