/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 3. Which attachment a program runs for, and whose of several a socket is. */
#ifndef APPMON_ATTACHMENT_H
#define APPMON_ATTACHMENT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "state.h"

/* Tells a program which attachment it is running for. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct target_conf);
} targets SEC(".maps");

/*
 * The target that alone is attached, as the library says; 0: there are several. With one attachment a
 * packet has one run, and what is asked of `targets` for a socket of this target is known. That saves
 * a call a packet.
 */
volatile __u32 only_target;

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

/* hint_of(): the protocol's number, and whose port it is said of. */
enum { HINT_PROTOCOL = 31, HINT_LOCAL = 32, HINT_REMOTE = 64 };

/* Is the target of this attachment set? */
static __always_inline bool is_armed(void)
{
	struct target_conf *conf = bpf_get_local_storage(&targets, 0);

	return conf->target;
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
	conn_changes(sk);
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

#endif /* APPMON_ATTACHMENT_H */
