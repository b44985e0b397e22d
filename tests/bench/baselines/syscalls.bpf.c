/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How most agents watch: tracepoints at the system calls that move bytes. On entry the buffer's
 * address is kept for the thread; on exit, if the process belongs to the cgroup and the bytes begin
 * like HTTP, the first of them go into the ring. One look-up finds the connection by process and
 * descriptor. Wakeups are batched as libappmon's are.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual BSD/GPL";

#define CAPTURE_SMALL 256
#define CAPTURE_LARGE 4096

struct call {
	__u64 buf;
	__u64 enter_ns;
	__u32 fd;
	__u32 vector; /* buf is of struct iovec */
};

struct conn {
	__u64 messages[2];
};

struct record {
	__u64 ts_ns, enter_ns;
	__u64 conn;
	__u64 number;
	__u64 pid_tgid;
	__u64 cgroup_id;
	__u32 dir, len, captured, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, __u64);
	__type(value, struct conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} watched SEC(".maps");

volatile __u32 reader_waits;

/* Layouts of the tracepoints' contexts: include/trace/syscall.h in the kernel. */
struct enter {
	__u64 common;
	__u64 number;
	__u64 args[6];
};

struct leave {
	__u64 common;
	__u64 number;
	__s64 ret;
};

struct iovec {
	__u64 base;
	__u64 len;
};

static __always_inline int enter(struct enter *ctx, __u32 vector)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct call call = {.fd = (__u32)ctx->args[0], .buf = ctx->args[1], .vector = vector};

	if (bpf_current_task_under_cgroup(&watched, 0) != 1)
		return 0;
	call.enter_ns = bpf_ktime_get_ns();
	bpf_map_update_elem(&calls, &id, &call, BPF_ANY);
	return 0;
}

static __always_inline bool begins_http(__u32 first)
{
	return first == 0x20544547 /* "GET " */ || first == 0x50545448 /* "HTTP" */ ||
	       first == 0x54534f50 /* "POST" */ || first == 0x20545550 /* "PUT " */ ||
	       first == 0x44414548 /* "HEAD" */ || first == 0x454c4544 /* "DELE" */ ||
	       first == 0x4954504f /* "OPTI" */ || first == 0x43544150 /* "PATC" */;
}

static __always_inline void emit(struct call *call, const void *buf, __u32 len, __u32 dir, __u64 id,
				 struct conn *conn, __u64 key, const __u32 room)
{
	struct record *r = bpf_ringbuf_reserve(&ring, sizeof(*r) + room, 0);
	__u32 n = len < room ? len : room;

	if (!r)
		return;
	r->ts_ns = bpf_ktime_get_ns();
	r->enter_ns = call->enter_ns;
	r->conn = key;
	r->number = conn->messages[dir]++;
	r->pid_tgid = id;
	r->cgroup_id = bpf_get_current_cgroup_id();
	r->dir = dir;
	r->len = len;
	r->captured = n;
	r->pad = 0;
	barrier_var(n);
	n = ((n - 1) & (room - 1)) + 1;
	bpf_probe_read_user(r + 1, n, buf);
	if (reader_waits) {
		reader_waits = 0;
		bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
	} else {
		bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	}
}

static __always_inline int leave(struct leave *ctx, __u32 dir)
{
	__u64 id = bpf_get_current_pid_tgid(), key;
	struct call *call = bpf_map_lookup_elem(&calls, &id), copy;
	__u32 first = 0, len = (__u32)ctx->ret;
	struct conn *conn, none = {};
	const void *buf;

	if (!call)
		return 0;
	copy = *call;
	bpf_map_delete_elem(&calls, &id);
	if (ctx->ret < 4)
		return 0;
	buf = (const void *)copy.buf;
	if (copy.vector) {
		struct iovec iov;

		if (bpf_probe_read_user(&iov, sizeof(iov), buf))
			return 0;
		buf = (const void *)iov.base;
		if (iov.len < len)
			len = (__u32)iov.len;
	}
	if (!len || bpf_probe_read_user(&first, sizeof(first), buf) || !begins_http(first))
		return 0;
	key = id >> 32 << 32 | copy.fd;
	conn = bpf_map_lookup_elem(&conns, &key);
	if (!conn) {
		bpf_map_update_elem(&conns, &key, &none, BPF_NOEXIST);
		conn = bpf_map_lookup_elem(&conns, &key);
		if (!conn)
			return 0;
	}
	if (len <= CAPTURE_SMALL)
		emit(&copy, buf, len, dir, id, conn, key, CAPTURE_SMALL);
	else
		emit(&copy, buf, len, dir, id, conn, key, CAPTURE_LARGE);
	return 0;
}

#define CALL(name, dir, vector)                                                                    \
	SEC("tracepoint/syscalls/sys_enter_" #name)                                                \
	int enter_##name(struct enter *ctx)                                                        \
	{                                                                                          \
		return enter(ctx, vector);                                                         \
	}                                                                                          \
	SEC("tracepoint/syscalls/sys_exit_" #name)                                                 \
	int exit_##name(struct leave *ctx)                                                         \
	{                                                                                          \
		return leave(ctx, dir);                                                            \
	}

CALL(read, 0, 0)
CALL(recvfrom, 0, 0)
CALL(readv, 0, 1)
CALL(write, 1, 0)
CALL(sendto, 1, 0)
CALL(writev, 1, 1)
