/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Plaintext of TLS: uprobes where a library reads and writes it. A record says what one call has
 * passed, and names the session by the randoms of its hellos, which the reader has seen on the wire:
 * so it finds the socket. The programs at the cgroup know of none of this.
 *
 * A write's record is written when the call returns, for only then it is known how much was accepted.
 * The buffer is still the caller's. What the call has sent stands in front of the record; what it makes
 * another thread send comes behind it.
 *
 * A read's is written where the library copies the bytes to its caller, if that place is known: a read
 * that finds none, of which a server makes one for each message, then costs nothing. Else it is
 * written at the return, too.
 */
#ifndef APPMON_TLS_CALLS_H
#define APPMON_TLS_CALLS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"
#include "goroutine.h"
#include "identity.h"
#include "look.h"
#include "protocol/plain.h"

/* Bytes of a message that are copied: set before the programs are loaded. */
const volatile __u32 plain_capture = 4096;

#define TLS_PROCESSES_MAX 8192
#define TLS_SESSIONS_MAX 16384

/* By file: its last probe was in place by then, CLOCK_MONOTONIC; while the reader attaches some: never. */
__u64 tls_since[TLS_FILES] = {};
/* Another process was put into tls_processes: what threads remember of it is no more certain. */
__u64 tls_generation = 1;

/* Everybody who maps the library runs into its probes: whose calls are told. The reader puts in those
 * that it finds in the cgroup. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TLS_PROCESSES_MAX);
	__type(key, __u32);
	__type(value, struct tls_process);
} tls_processes SEC(".maps");

/* A thread: the call that it is in, and since when its process's calls are told. */
struct tls_thread {
	__u64 session; /* 0: it is in none */
	__u64 buf;
	__u64 done; /* address of the length; 0: the result is the length */
	__u64 layout;
	__u64 entry_ns;
	__u64 stack;		       /* where its return address is */
	__u64 since_ns;		       /* 0: they are not told */
	__u64 generation;	       /* that is true of this one; 0: it is not known */
	__u8 record[TLS_RECORD_BYTES]; /* as in struct rec_plain */
	__u32 blocks;		       /* its last read of a socket waits if there is nothing */
	__u32 pad;
};

/* As long as its thread, however many there are. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tls_thread);
} tls_threads SEC(".maps");

struct tls_session {
	struct tls_tag tag;
	__u64 pos[2]; /* by DIR_*: bytes so far */
	struct plain_follow in, out;
	__u32 window; /* bytes of the message at hand that are still copied */
	__u32 lost;
	__u32 lost_before; /* under the tags before this one */
	__u8 turn;	   /* 1 + DIR_* of the last call; 0: there was none */
	__u8 heads;	   /* speaks HTTP/1: heads are enough */
	__u8 carried;	   /* its records are bytes of another session: its calls are not told */
	__u8 pad;
};

static const struct tls_session no_session;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TLS_SESSIONS_MAX);
	__type(key, struct tls_session_key);
	__type(value, struct tls_session);
} tls_sessions SEC(".maps");

/* What a call has passed. */
struct plain_call {
	struct tls_session_key key;
	struct tls_tag tag;
	__u64 cookie; /* of the socket; 0: not known */
	__u64 buf, len;
	__u64 entry_ns;
	__u64 since_ns;
	__u32 flags; /* PLAIN_* */
	__u32 copy;  /* bytes of it that are to be copied, where no frames are followed */
	__u32 whole; /* its length */
	__u32 last;  /* the next record tells all that is left */
};

/*
 * Made here, and written into the ring as a whole: a record that is reserved stops the reader while
 * its thread does not run. A thread can lose its CPU inside a program: there are some places for each
 * CPU, and they are not those of the packets.
 */
struct plain_draft {
	__u32 busy;
	__u32 pad;
	struct plain_part part; /* on the stack the verifier would follow its values */
	struct rec_call rec;
	__u8 bytes[REC_BYTES_MAX + 16]; /* ring_put() copies 32 at a time */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DRAFTS);
	__type(key, __u32);
	__type(value, struct plain_draft);
} plain_drafts SEC(".maps");

/* The thread's call has just ended. Go's has not, and is no such one. */
static __always_inline void plain_fill_record(struct rec_plain *r, __u32 flags)
{
	struct tls_thread *entered = 0;

	if ((flags & PLAIN_OUT) && !(flags & PLAIN_ENTRY))
		entered = bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), 0, 0);
	if (entered)
		__builtin_memcpy(r->record, entered->record, sizeof(r->record));
	else
		__builtin_memset(r->record, 0, sizeof(r->record));
}

static __always_inline struct plain_follow *plain_follow_of(struct tls_session *session,
							    const struct plain_call *call)
{
	return call->flags & PLAIN_OUT ? &session->out : &session->in;
}

/* How much of the call the next record tells, and copies. */
static __always_inline void plain_cut(struct plain_call *call, struct tls_session *session,
				      struct plain_part *part)
{
	struct plain_follow *f = plain_follow_of(session, call);

	part->buf = call->buf;
	part->left = (__u32)call->len;
	part->room = REC_BYTES_MAX;
	if (session->lost || call->last)
		f->follows = 0;
	if (f->follows) {
		plain_walk(f, part);
		return;
	}
	part->copied = call->copy < REC_BYTES_MAX ? call->copy : REC_BYTES_MAX;
	part->len = call->copy > REC_BYTES_MAX ? REC_BYTES_MAX : part->left;
}

/* One record. The call goes on behind it. Returns 0 if there is no room. */
static __always_inline int plain_write_record(struct plain_call *call, struct tls_session *session,
					      struct plain_draft *d)
{
	struct rec_plain *r = &d->rec.plain;
	const int dir = call->flags & PLAIN_OUT ? DIR_OUT : DIR_IN;
	__u32 n, len;

	plain_cut(call, session, &d->part);
	n = d->part.copied;
	len = d->part.len;
	r->flags = call->flags;
	if (len < call->len)
		r->flags |= PLAIN_MORE;
	barrier_var(n);
	if (n > REC_BYTES_MAX)
		return 0; /* never: asked for by the verifier */
	if (n && bpf_probe_read_user(d->bytes, n, (const void *)call->buf))
		n = 0;
	if (n < len && len >= TAIL_BYTES &&
	    !bpf_probe_read_user(r->tail, TAIL_BYTES, (const void *)(call->buf + len - TAIL_BYTES)))
		r->flags |= PLAIN_TAIL;
	r->session = call->key.session;
	r->cookie = call->cookie;
	r->pos = session->pos[dir];
	plain_fill_record(r, call->flags);
	r->entry_ns = call->entry_ns;
	r->since_ns = call->since_ns;
	r->tag = call->tag;
	r->start_ns = bpf_get_current_task_btf()->group_leader->start_boottime;
	r->tgid = call->key.tgid;
	r->tid = (__u32)bpf_get_current_pid_tgid();
	r->len = len;
	r->captured = n;
	r->whole = call->whole;
	r->lost = session->lost;
	r->lost_before = session->lost_before;
	session->pos[dir] += len;
	call->buf += len;
	call->len -= len;
	call->copy = call->copy > len ? call->copy - len : 0;
	d->rec.hdr.version = REC_VERSION;
	d->rec.hdr.kind = REC_PLAIN;
	barrier_var(n);
	if (n > REC_BYTES_MAX)
		return 0;
	d->rec.hdr.size = sizeof(d->rec) + n;
	d->rec.hdr.order_ns = bpf_ktime_get_ns();
	return ring_put(&d->rec, sizeof(d->rec) + n, sizeof(d->rec) + sizeof(d->bytes));
}

/* The next record of a call. Not static: verified once. */
__noinline int plain_part(struct plain_call *call)
{
	struct tls_session_key key; /* old kernels read keys from the stack only */
	struct tls_session *session;
	struct plain_draft *d;
	int ret = 0;

	if (!call)
		return 0;
	key = call->key;
	session = bpf_map_lookup_elem(&tls_sessions, &key);
	if (!session)
		return 0;
	d = draft_claim(&plain_drafts);
	if (d) {
		ret = plain_write_record(call, session, d);
		draft_release(&d->busy);
	}
	if (ret)
		return 1;
	/* The rest of the call is lost with it. */
	session->lost++;
	session->pos[call->flags & PLAIN_OUT ? DIR_OUT : DIR_IN] += call->len;
	call->len = 0;
	return 0;
}

/* Records of a call: two for a frame at most. Where no frames are followed CAPTURE_MAX bytes are copied. */
#define PLAIN_PARTS 2048

/* How much of a call is to be copied. */
static __always_inline __u32 plain_copied(struct tls_session *session,
					  const struct plain_call *call)
{
	const __u8 turn = 1 + !!(call->flags & PLAIN_OUT);
	const bool first = session->turn != turn;
	__u8 b[8] __attribute__((aligned(8))) = {};
	__u32 most = call->len < CAPTURE_MAX ? (__u32)call->len : CAPTURE_MAX, n;
	enum look look = LOOK_NO;

	session->turn = turn;
	if (call->len >= sizeof(b) && !bpf_probe_read_user(b, sizeof(b), (const void *)call->buf))
		look = look_strict(b) & LOOK_EITHER;
	if (!session->heads && !look)
		return most;
	session->heads = 1;
	if (first || look)
		session->window = plain_capture;
	n = most < session->window ? most : session->window;
	session->window -= n;
	return n;
}

/* The session is the one that had this address before, unless its tag says another. */
static __always_inline struct tls_session *plain_session(struct plain_call *call)
{
	struct tls_session *session = bpf_map_lookup_elem(&tls_sessions, &call->key);
	__u64 *was, *is = (__u64 *)&call->tag;
	__u32 lost;

	if (session) {
		was = (__u64 *)&session->tag;
		if (was[0] != is[0] || was[1] != is[1] || was[2] != is[2] || was[3] != is[3]) {
			lost = session->lost_before + session->lost;
			*session = no_session;
			session->tag = call->tag;
			session->lost_before = lost;
		}
		return session;
	}
	bpf_map_update_elem(&tls_sessions, &call->key, (const void *)&no_session, BPF_ANY);
	session = bpf_map_lookup_elem(&tls_sessions, &call->key);
	if (session)
		session->tag = call->tag;
	return session;
}

/* Returns 1 when the call is told. */
static long plain_next(__u32 i, void *ctx)
{
	struct plain_call *call = ctx;

	call->last = i == PLAIN_PARTS - 1;
	return !plain_part(call) || !call->len;
}

/* Tells of a call: key.session, tag, buf, len, flags, and what else is known of it. Go's programs
 * use it, too. */
static __always_inline void plain_tell(struct plain_call *call)
{
	struct tls_session *session;

	if (!call->len)
		return;
	session = plain_session(call);
	if (!session)
		return;
	if (session->carried) {
		session->lost++;
		return;
	}
	call->whole = (__u32)call->len;
	call->copy = plain_copied(session, call);
	if (!session->pos[call->flags & PLAIN_OUT ? DIR_OUT : DIR_IN])
		plain_begins(plain_follow_of(session, call), call->buf, call->len);
	bpf_loop(PLAIN_PARTS, plain_next, call, 0);
}

#ifndef SOCK_STREAM
#define SOCK_STREAM 1
#endif

/* Ancestors that are asked whether their calls are told. */
#define TLS_ANCESTORS 3

static __always_inline struct tls_process *tls_find(struct task_struct *leader)
{
	__u32 tgid = leader->tgid;
	struct tls_process *p = bpf_map_lookup_elem(&tls_processes, &tgid);

	return p && p->start == leader->start_boottime / TLS_START_NS ? p : 0;
}

/* A process that was started by one whose calls are told is in the same cgroup. */
static __always_inline __u64 tls_inherit(struct task_struct *leader)
{
	struct tls_process own = {.start = leader->start_boottime / TLS_START_NS}, *p;
	struct task_struct *ancestor = leader;
	__u32 tgid = leader->tgid;

	UNROLL
	for (int i = 0; i < TLS_ANCESTORS; i++) {
		ancestor = ancestor->real_parent;
		if (!ancestor)
			return 0;
		ancestor = ancestor->group_leader;
		if (!ancestor)
			return 0;
		p = tls_find(ancestor);
		if (!p)
			continue;
		own.since_ns = p->since_ns > leader->start_time ? p->since_ns : leader->start_time;
		bpf_map_update_elem(&tls_processes, &tgid, &own, BPF_ANY);
		__sync_fetch_and_add(&tls_generation, 1);
		return own.since_ns;
	}
	return 0;
}

static __always_inline struct tls_thread *tls_current(void)
{
	return bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), 0,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/*
 * Since when all calls of the current process are told; 0: they are not. Not static, to be verified
 * once: the verifier looks up the names of the kernel's types for each pointer that is followed.
 */
__noinline __u64 tls_process_since(void)
{
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;
	struct tls_process *p;

	if (!leader)
		return 0;
	p = tls_find(leader);
	return p ? p->since_ns : tls_inherit(leader);
}

/* The same, as of its thread, of calls to the file that a cookie names. Whoever maps a library asks this
 * at each hit. */
static __always_inline __u64 tls_told_since(struct tls_thread *t, __u64 layout)
{
	__u64 generation = *(volatile __u64 *)&tls_generation;
	__u64 since, all = *(volatile __u64 *)&tls_since[LAYOUT_FILE(layout)];

	if (t && t->generation == generation) {
		since = t->since_ns;
	} else {
		since = tls_process_since();
		if (t) {
			t->since_ns = since;
			t->generation = generation;
		}
	}
	return since && since < all ? all : since;
}

/* A process of the cgroup makes a socket: its first one is early enough to look at what it maps. */
SEC("cgroup/sock_create")
int appmon_socket(struct bpf_sock *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf(), *leader = task->group_leader;
	struct tls_process own = {};
	struct rec_process r = {};
	__u32 tgid = task->tgid;

	if (!leader || ctx->type != SOCK_STREAM || tls_find(leader))
		return 1;
	own.since_ns = bpf_ktime_get_ns();
	own.start = leader->start_boottime / TLS_START_NS;
	bpf_map_update_elem(&tls_processes, &tgid, &own, BPF_ANY);
	__sync_fetch_and_add(&tls_generation, 1);
	r.hdr.version = REC_VERSION;
	r.hdr.kind = REC_PROCESS;
	r.hdr.size = sizeof(r);
	fill_task(&r.task, task);
	r.hdr.order_ns = bpf_ktime_get_ns();
	ring_put(&r, sizeof(r), sizeof(r));
	return 1;
}

/* The registers at a uprobe, with the stack. */
struct call_registers {
	struct registers r;
	__u64 orig_ax, ip, cs, flags, sp;
};

/* A call of a session of this process is not told. */
static __always_inline void tls_lose(__u64 address)
{
	struct tls_session_key key = {.session = address, .tgid = bpf_get_current_pid_tgid() >> 32};
	struct tls_session *session = bpf_map_lookup_elem(&tls_sessions, &key);

	if (session)
		session->lost++;
}

/* What is known of a session by its layout. */
static __always_inline void tls_identify(struct plain_call *call, __u64 layout)
{
	const bool swapped = TLS_LAYOUT_SWAPPED(layout);
	__u64 holder = call->key.session;
	struct tls_tag two[2] = {}; /* each as long as a random */

	call->key.tgid = bpf_get_current_pid_tgid() >> 32;
	if (TLS_LAYOUT_HOLDER(layout))
		holder = read_word(holder + TLS_LAYOUT_HOLDER(layout));
	bpf_probe_read_user(two, sizeof(two), (const void *)(holder + TLS_LAYOUT_RANDOMS(layout)));
	__builtin_memcpy(call->tag.client, two[swapped].client, TLS_TAG_BYTES);
	__builtin_memcpy(call->tag.server, two[!swapped].client, TLS_TAG_BYTES);
}

/* Inside of the thread's call another session passes bytes: those of its records. */
static __always_inline void tls_carry(const struct tls_thread *t)
{
	struct plain_call call = {.key.session = t->session};
	struct tls_session *session;

	tls_identify(&call, t->layout);
	session = plain_session(&call);
	if (session) {
		session->carried = 1;
		session->lost++;
	}
}

/* The stack that TLS_LAYOUT_PLACES() can name, and the upper half of its last word. */
struct tls_frame {
	__u32 cell[TLS_PLACES_STACK + 2];
};

static __always_inline __u64 tls_place(const struct call_registers *regs,
				       const struct tls_frame *frame, __u32 place)
{
	__u64 bx = regs->r.bx, bp = regs->r.bp, r12 = regs->r.r12, r13 = regs->r.r13;
	__u64 r14 = regs->r.r14, r15 = regs->r.r15;

	/* Read here: see tls_enter(). */
	barrier_var(bx);
	barrier_var(bp);
	barrier_var(r12);
	barrier_var(r13);
	barrier_var(r14);
	barrier_var(r15);
	switch (place) {
	case TLS_PLACES_STACK + 3:
		return bx;
	case TLS_PLACES_STACK + 5:
		return bp;
	case TLS_PLACES_STACK + 12:
		return r12;
	case TLS_PLACES_STACK + 13:
		return r13;
	case TLS_PLACES_STACK + 14:
		return r14;
	case TLS_PLACES_STACK + 15:
		return r15;
	default:
		place &= TLS_PLACES_STACK - 1;
		return (__u64)frame->cell[place + 1] << 32 | frame->cell[place];
	}
}

/* A thread reads of a socket that may be one of TLS: there it waits, if it does. */
static __always_inline void tls_see_read(struct sock *sk)
{
	struct tls_thread *t = tls_current();

	if (t)
		t->blocks = reads_block(sk);
}

/* memcpy(to, bytes, length), where a library hands over what it has read. */
static __always_inline void tls_copied(struct call_registers *regs, __u64 layout)
{
	struct tls_thread *t = tls_current();
	struct plain_call call = {.since_ns = tls_told_since(t, layout)};
	struct tls_frame frame = {};

	if (!call.since_ns || bpf_probe_read_user(&frame, sizeof(frame), (const void *)regs->sp) ||
	    (__u32)tls_place(regs, &frame, TLS_LAYOUT_TYPE(layout)) != TLS_APPLICATION_DATA ||
	    (__u32)tls_place(regs, &frame, TLS_LAYOUT_PEEK(layout)))
		return;
	call.key.session = tls_place(regs, &frame, TLS_LAYOUT_SESSION(layout));
	call.buf = regs->r.si;
	call.len = regs->r.dx;
	if (call.len > 0x7fffffff)
		return;
	/* When the read began is not known. One that waits had, for these bytes. */
	call.entry_ns = t && t->blocks ? 0 : bpf_ktime_get_ns();
	tls_identify(&call, layout);
	plain_tell(&call);
}

/* Returns 1 if the call is told at its return. */
static __always_inline int tls_enter(struct call_registers *regs)
{
	__u64 sp = regs->sp, layout = bpf_get_attach_cookie(regs);
	__u64 done = 0, fourth = regs->r.cx, fifth = regs->r.r8;
	struct tls_thread *t;

	if (TLS_LAYOUT_CALL(layout) == TLS_CALL_COPY) {
		tls_copied(regs, layout);
		return 0;
	}
	t = tls_current();
	if (!tls_told_since(t, layout))
		return 0;
	/* Read here, or the compiler reads either through one pointer, which the verifier refuses. */
	barrier_var(fourth);
	barrier_var(fifth);
	if (TLS_LAYOUT_CALL(layout) == TLS_CALL_POINTER)
		done = fourth;
	else if (TLS_LAYOUT_CALL(layout) == TLS_CALL_POINTER5)
		done = fifth;
	if (!t) {
		tls_lose(regs->r.di);
		return 0;
	}
	/* A coroutine that waits, or its return was not seen: of the call before no more is known.
	 * Inside of it the same session tells its bytes. */
	if (t->session && t->stack <= sp)
		tls_lose(t->session);
	else if (t->session && t->session != regs->r.di)
		tls_carry(t);
	t->session = regs->r.di;
	t->buf = regs->r.si;
	t->done = done;
	t->layout = layout;
	t->entry_ns = bpf_ktime_get_ns();
	t->stack = sp;
	__builtin_memset(t->record, 0, sizeof(t->record));
	return 1;
}

static __always_inline int tls_leave(struct call_registers *regs)
{
	struct tls_thread *t = bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), 0, 0);
	__u64 layout, done;
	struct plain_call call = {};
	__s32 result = (__s32)regs->r.ax;

	/* Processes outside of the cgroups end here. */
	if (!t || regs->sp != t->stack + sizeof(__u64))
		return 0;
	call.key.session = t->session;
	t->session = 0;
	/* A read that found no bytes: a server makes one for each message. */
	if (!call.key.session || result <= 0)
		return 0;
	call.buf = t->buf;
	call.entry_ns = t->entry_ns;
	done = (__u32)result;
	if (t->done)
		bpf_probe_read_user(&done, sizeof(done), (const void *)t->done);
	layout = t->layout;
	if (TLS_LAYOUT_OUT(layout))
		call.flags = PLAIN_OUT;
	call.since_ns = tls_told_since(t, layout);
	if (!call.since_ns || done > 0x7fffffff)
		return 0;
	call.len = done;
	tls_identify(&call, layout);
	plain_tell(&call);
	return 0;
}

/*
 * (session, buffer, length), and with TLS_CALL_POINTER (..., &done): TLS_LAYOUT() is the cookie. Two
 * programs; since Linux 6.13 one, without which the kernel does not trap a return that is not told.
 */
SEC("uprobe")
int appmon_tls_enter(struct call_registers *regs)
{
	tls_enter(regs);
	return 0;
}

SEC("uretprobe")
int appmon_tls_leave(struct call_registers *regs)
{
	return tls_leave(regs);
}

SEC("uprobe")
int appmon_tls_call(struct call_registers *regs)
{
	if (regs->ip == bpf_get_func_ip(regs))
		return !tls_enter(regs);
	tls_leave(regs);
	return 0;
}

/*
 * BIO_write(bio, bytes, length), where OpenSSL hands over a record to be sent; of a call's the first.
 * For processes whose sessions have sockets that are not known.
 */
SEC("uprobe")
int appmon_tls_record(struct call_registers *regs)
{
	struct tls_thread *entered =
		bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), 0, 0);

	if (!entered || !entered->session || !TLS_LAYOUT_OUT(entered->layout) ||
	    entered->record[0] || (__s32)regs->r.dx < TLS_RECORD_BYTES)
		return 0;
	bpf_probe_read_user(entered->record, sizeof(entered->record), (const void *)regs->r.si);
	if (entered->record[0] != TLS_APPLICATION_DATA)
		entered->record[0] = 0;
	return 0;
}

/* ---- Go: crypto/tls -------------------------------------------------------------------------- */

/* One Conn after the other can have an address: when it was met tells them apart. */
static __always_inline void tls_go_tell(struct plain_call *call)
{
	struct tls_session *session = bpf_map_lookup_elem(&tls_sessions, &call->key);

	if (session)
		call->tag = session->tag;
	else
		*(__u64 *)&call->tag = call->entry_ns;
	plain_tell(call);
}

/* (*Conn).Write(c, bytes): it returns when all is written, or the connection is broken. So it is
 * told at once. */
SEC("uprobe")
int appmon_tls_go_write(struct registers *regs)
{
	__u64 layout = go_layout(regs, regs->r14), key = running_goroutine(regs, layout);
	struct plain_call call = {
		.key = {.session = regs->ax, .tgid = bpf_get_current_pid_tgid() >> 32},
		.buf = regs->bx,
		.len = regs->cx,
		.entry_ns = bpf_ktime_get_ns(),
		.since_ns = tls_told_since(tls_current(), layout),
		.flags = PLAIN_OUT | PLAIN_ENTRY};

	if (!call.since_ns || call.len > 0x7fffffff)
		return 0;
	bpf_map_update_elem(&tls_go_writes, &key, &call.key, BPF_ANY);
	tls_go_tell(&call);
	return 0;
}

/* In (*Conn).Read, where it copies n bytes for its caller. */
SEC("uprobe")
int appmon_tls_go_read(struct registers *regs)
{
	struct plain_call call = {
		.key = {.session = read_word(regs->bp + 16),
			.tgid = bpf_get_current_pid_tgid() >> 32},
		.buf = regs->bx,
		.len = regs->cx,
		.entry_ns = bpf_ktime_get_ns(),
		.since_ns = tls_told_since(tls_current(), bpf_get_attach_cookie(regs))};

	if (!call.since_ns || call.len > 0x7fffffff)
		return 0;
	tls_go_tell(&call);
	return 0;
}

/* The socket is closed, and with it what wrote to it. */
static __always_inline void tls_go_closed(__u64 cookie)
{
	struct tls_session_key *key = bpf_map_lookup_elem(&tls_go_sockets, &cookie);

	if (!key)
		return;
	bpf_map_delete_elem(&tls_sessions, key);
	bpf_map_delete_elem(&tls_go_sockets, &cookie);
}

#endif /* APPMON_TLS_CALLS_H */
