/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a request that a Go program sends was made for. A goroutine is on whatever thread there is,
 * so that threads prove nothing; but the runtime keeps the goroutine of a thread at a known place
 * (g), and numbers them without ever using a number again (goid). Followed is:
 *
 *   - which goroutine reads a request: in the hook where TCP hands the bytes over (identity.h);
 *   - that net/http now serves what this goroutine has read (a goroutine that reads ahead, as
 *     net/http has them, never serves);
 *   - which goroutines are started meanwhile: they work for the same request;
 *   - who asks net/http's client, and which goroutine writes that request to the socket.
 *
 * The last three are uprobes in executables that the library has looked at. A uprobe can be missed
 * (the kernel runs no program inside of another), so nothing here counts: what is kept
 * is one request's or nobody's. Requests are named by their connection and place in its
 * stream, and it is the reader who knows whether that one is still open.
 */
#ifndef APPMON_GOROUTINE_H
#define APPMON_GOROUTINE_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "records.h"

/* Set before the programs are loaded: 0 takes all of this out of them. */
const volatile __u32 goroutines = 1;

/* Many more than run at a time; the least recently used are forgotten. */
#define GOROUTINES_MAX 16384
#define GO_PROCESSES_MAX 1024

/* x86-64: the registers at a uprobe, as struct pt_regs of the UAPI has them. In Go's own calling
 * convention (Go 1.17) arguments come in ax, bx, cx, di, and r14 is g. */
struct registers {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
};

struct goroutine {
	struct rec_cause read;	 /* a request of which it has read, until it serves it */
	struct rec_cause serves; /* what it works for */
	struct rec_cause served; /* the last one that it had read when it began to serve it */
	struct rec_cause writes; /* what the request that it writes for another one was made for */
	__u64 request;		 /* http.Request that it began to serve or write last */
	__u64 cookie;		 /* of the socket to which it was written */
	__u32 turn;		 /* and where there; cookie 0: not yet */
	__u32 writer;		 /* it writes for others: never on its own account */
};

static const struct goroutine no_goroutine;

/* By goroutine_key(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GOROUTINES_MAX);
	__type(key, __u64);
	__type(value, struct goroutine);
} goroutine_map SEC(".maps");

/* Requests on their way from who asks to who writes: one at a time for each connection. */
struct asked_key {
	__u64 writer; /* address of the connection's bufio.Writer */
	__u32 tgid;
	__u32 pad;
};

struct asked {
	struct rec_cause cause;
	__u64 request; /* address of the http.Request */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GOROUTINES_MAX);
	__type(key, struct asked_key);
	__type(value, struct asked);
} asked_map SEC(".maps");

/* Processes that have run into a uprobe: struct go_layout by tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GO_PROCESSES_MAX);
	__type(key, __u32);
	__type(value, __u64);
} go_processes SEC(".maps");

/* PID_MAX_LIMIT is 2^22, and no process starts 2^42 goroutines. */
static __always_inline __u64 goroutine_key(__u32 tgid, __u64 goid)
{
	return goid << 22 | (tgid & 0x3fffff);
}

static __always_inline __u64 read_word(__u64 address)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

/* g of the current thread; but while C code runs, where it is another one without a number. */
static __always_inline __u64 present_g(struct task_struct *task)
{
	return read_word(task->thread.fsbase + GO_TLS_OFFSET);
}

/* The goroutine that is in a system call now; 0: it is none of a known program. */
static __always_inline __u64 present_goroutine(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 tgid = task->tgid;
	__u64 *layout = bpf_map_lookup_elem(&go_processes, &tgid), goid;

	if (!layout || (task->flags & PF_IO_WORKER))
		return 0;
	goid = read_word(present_g(task) + GO_LAYOUT_GOID(*layout));
	return goid ? goroutine_key(tgid, goid) : 0;
}

/* In a uprobe: remembers how this process keeps its goroutines, and returns the cookie, which says that. */
static __always_inline __u64 go_layout(void *ctx, __u64 g)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 cookie = bpf_get_attach_cookie(ctx), *known;
	__u64 layout = (__u32)cookie; /* without the file */
	__u32 tgid = task->tgid;

	known = bpf_map_lookup_elem(&go_processes, &tgid);
	if ((!known || *known != layout) && present_g(task) == g)
		bpf_map_update_elem(&go_processes, &tgid, &layout, BPF_ANY);
	return cookie;
}

static __always_inline __u64 running_goroutine(struct registers *regs, __u64 layout)
{
	__u64 goid = read_word(regs->r14 + GO_LAYOUT_GOID(layout));

	return goroutine_key(bpf_get_current_pid_tgid() >> 32, goid);
}

static __always_inline struct goroutine *goroutine_get(__u64 key)
{
	struct goroutine *g = bpf_map_lookup_elem(&goroutine_map, &key);

	if (g)
		return g;
	bpf_map_update_elem(&goroutine_map, &key, (const void *)&no_goroutine, BPF_NOEXIST);
	return bpf_map_lookup_elem(&goroutine_map, &key);
}

/* The current goroutine has read of the message at turn, a request. */
static __always_inline void goroutine_reads(__u64 cookie, __u32 turn)
{
	__u64 key = present_goroutine();
	struct goroutine *g;

	if (!key)
		return;
	g = goroutine_get(key);
	if (!g || (g->read.cookie == cookie && g->read.seq == turn))
		return;
	g->read.cookie = cookie;
	g->read.seq = turn;
}

/* What the message was made for that goroutine g sends now, and that stands at turn. */
static __always_inline struct rec_cause *cause_of(struct goroutine *g, __u64 cookie, __u32 turn)
{
	if (!g->writer)
		return &g->serves;
	/* For one message only, should the uprobe of the next one be missed. */
	if (!g->cookie) {
		g->cookie = cookie;
		g->turn = turn;
	}
	return g->cookie == cookie && g->turn == turn ? &g->writes : 0;
}

/* What the request was made for that is sent now, and stands at turn. */
static __always_inline void fill_cause(__u64 cookie, __u32 turn, struct rec_cause *r)
{
	__u64 key = present_goroutine();
	struct rec_cause *cause = 0;
	struct goroutine *g;

	if (!key)
		return;
	g = bpf_map_lookup_elem(&goroutine_map, &key);
	if (g)
		cause = cause_of(g, cookie, turn);
	if (cause)
		*r = *cause;
	r->followed = 1;
}

/*
 * net/http.serverHandler.ServeHTTP(h, w, r): the server has read a request, and lets it be served
 * by this goroutine. This comes twice where two names hide one file: see go.c.
 */
SEC("uprobe")
int appmon_go_serve(struct registers *regs)
{
	__u64 key = running_goroutine(regs, go_layout(regs, regs->r14));
	struct goroutine *g = bpf_map_lookup_elem(&goroutine_map, &key);

	if (!g || (!g->read.cookie && g->request == regs->di))
		return 0;
	/* With pipelining it may have read no byte of this one, or bytes behind one whose answer
	 * it has written and TCP has not sent yet: then the request is not known. */
	g->serves = g->read;
	if (g->read.cookie == g->served.cookie && g->read.seq == g->served.seq)
		g->serves = no_goroutine.serves;
	if (g->read.cookie)
		g->served = g->read;
	g->read = no_goroutine.read;
	g->request = regs->di;
	return 0;
}

/* In runtime.newproc, the call of runqput(p, g, true): g is the new goroutine. Runs on the thread's
 * own g. */
SEC("uprobe")
int appmon_go_start(struct registers *regs)
{
	__u64 layout = go_layout(regs, regs->r14), new = regs->bx, key;
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 parent = new + GO_LAYOUT_PARENT(layout);
	struct goroutine *g, started = {};

	key = goroutine_key(tgid, read_word(parent));
	g = bpf_map_lookup_elem(&goroutine_map, &key);
	if (!g || g->writer || !g->serves.cookie)
		return 0;
	started.serves = g->serves;
	started.serves.started_at = read_word(parent + GO_GOPC_BEHIND_PARENT);
	key = goroutine_key(tgid, read_word(new + GO_LAYOUT_GOID(layout)));
	bpf_map_update_elem(&goroutine_map, &key, &started, BPF_ANY);
	return 0;
}

/* net/http.(*persistConn).roundTrip(pc, r): this goroutine asks, and waits for the answer. */
SEC("uprobe")
int appmon_go_ask(struct registers *regs)
{
	__u64 key = running_goroutine(regs, go_layout(regs, regs->r14));
	struct asked_key where = {.writer = read_word(regs->ax + GO_PERSIST_CONN_BW),
				  .tgid = bpf_get_current_pid_tgid() >> 32};
	struct asked asked = {.request = read_word(regs->bx + GO_TRANSPORT_REQUEST)}, *before;
	struct goroutine *g = bpf_map_lookup_elem(&goroutine_map, &key);

	if (g)
		asked.cause = g->serves;
	/* Also without a request that it is for: the goroutine that writes it looks here. */
	before = bpf_map_lookup_elem(&asked_map, &where);
	if (before)
		*before = asked;
	else
		bpf_map_update_elem(&asked_map, &where, &asked, BPF_ANY);
	return 0;
}

/* net/http.(*Request).write(r, w, ...): this goroutine writes it, the connection's own or the one
 * that has it to itself. */
SEC("uprobe")
int appmon_go_write(struct registers *regs)
{
	__u64 key = running_goroutine(regs, go_layout(regs, regs->r14));
	struct asked_key where = {.writer = regs->cx, .tgid = bpf_get_current_pid_tgid() >> 32};
	struct asked *asked = bpf_map_lookup_elem(&asked_map, &where);
	struct rec_cause cause = {};
	struct goroutine *g;

	if (!asked || asked->request != regs->ax) {
		/* Either the probe fired twice, or no roundTrip was seen. The goroutine may write
		 * for itself, but not if it was started on behalf of some request. */
		g = bpf_map_lookup_elem(&goroutine_map, &key);
		if (g && (g->cookie || g->request != regs->ax))
			g->writes = cause;
		if (g && g->serves.started_at)
			g->writer = 1;
		return 0;
	}
	cause = asked->cause;
	asked->request = 0;
	g = cause.cookie ? goroutine_get(key) : bpf_map_lookup_elem(&goroutine_map, &key);
	if (!g)
		return 0;
	g->writes = cause;
	g->request = regs->ax;
	g->cookie = 0;
	g->writer = 1;
	return 0;
}

#endif /* APPMON_GOROUTINE_H */
