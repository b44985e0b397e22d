/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * 16. Data that meets a listening socket. It can arrive with the ACK that completes the handshake
 * (TCP_DEFER_ACCEPT, a lost first ACK, SYN cookies) or in the SYN (Fast Open, RFC 7413); the
 * connection's own socket is made only then. So its first request is reported by its
 * addresses, and the connection's socket is born with a mark: by that its first reader,
 * its FIN and its reset are reported, although it has had no data of its own.
 */
#ifndef APPMON_LISTENER_H
#define APPMON_LISTENER_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "attachment.h"
#include "protocol/segment.h"
#include "window.h"

/* On a listening socket that has met a request: whose it is. */
struct listener {
	__u64 cgroup_id; /* leaf */
	__u32 target;
	__u32 slot;
	__u32 capture;
	__u32 depth; /* of the attachment: as in struct socket */
	__u32 protocols;
	__u32 pad;
};

/* The kernel copies it to each connection that the listening socket makes. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct listener);
} listeners SEC(".maps");

static __always_inline bool is_attached(const struct listener *l)
{
	__u32 *id, slot = l->slot;

	id = bpf_map_lookup_elem(&live, &slot);
	return id && *id == l->target;
}

/* As for connections: of nested attachments the innermost has the listening socket. */
static __always_inline bool owns_listener(struct __sk_buff *skb, const struct listener *l,
					  struct target_conf *conf)
{
	return l->target == conf->target || !is_attached(l) ||
	       l->depth < attachment_depth(skb, conf);
}

static __always_inline void mark_listener(struct __sk_buff *skb, struct listener *l,
					  struct target_conf *conf, __u32 protocols)
{
	if (l->target == conf->target)
		return;
	l->cgroup_id = bpf_skb_cgroup_id(skb);
	l->slot = conf->slot;
	l->capture = conf->capture;
	l->protocols = protocols;
	l->depth = attachment_depth(skb, conf);
	l->target = conf->target;
}

/*
 * A segment without data that ends a connection of which no data was seen: had its listening socket
 * met some? Not inlined: its stack is of use to the rest.
 */
static __noinline int is_heir(struct __sk_buff *skb)
{
	struct bpf_sock *ss = skb->sk;
	struct bpf_tcp_sock *tp;

	if (!ss || !bpf_sk_storage_get(&listeners, ss, 0, 0))
		return 0;
	tp = bpf_tcp_sock(ss);
	return tp && tp->bytes_received;
}

/*
 * Where the stream begins of which a listening socket meets a segment. With SYN cookies the kernel
 * does not know it: then the segment is taken for the first one.
 */
static __noinline __u32 stream_start(struct __sk_buff *skb, const struct segment *s)
{
	struct bpf_sock_tuple tuple = {};
	struct tcp_request_sock *request;
	__u32 start = s->seq, size;
	struct bpf_sock *ss;

	if (s->flags & TCP_SYN)
		return start;
	if (s->family == 4) {
		size = sizeof(tuple.ipv4);
		bpf_skb_load_bytes(skb, 12, &tuple.ipv4.saddr, 8);
		bpf_skb_load_bytes(skb, s->tcp, &tuple.ipv4.sport, 4);
	} else {
		size = sizeof(tuple.ipv6);
		bpf_skb_load_bytes(skb, 8, &tuple.ipv6.saddr, 32);
		bpf_skb_load_bytes(skb, s->tcp, &tuple.ipv6.sport, 4);
	}
	ss = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!ss)
		return start;
	request = bpf_skc_to_tcp_request_sock(ss);
	if (request)
		start = request->rcv_isn + 1;
	bpf_sk_release(ss);
	return start;
}

/* A segment that meets a listening socket. */
static __always_inline void observe_listener(struct __sk_buff *skb, struct emission *e)
{
	struct target_conf *conf = bpf_get_local_storage(&targets, 0);
	const struct segment *s = &e->s;
	struct bpf_sock *ss = skb->sk;
	struct listener *l;
	struct socket *sk;
	__u32 zero = 0, total = s->len < conf->capture ? s->len : conf->capture;
	int ret;

	if (!ss || !conf->target)
		return;
	l = bpf_sk_storage_get(&listeners, ss, 0, 0);
	if (l ? !owns_listener(skb, l, conf) : !s->len)
		return;
	/* Ingress runs do not interrupt each other. */
	sk = bpf_map_lookup_elem(&embryo, &zero);
	if (!sk)
		return;
	forget_socket(sk);
	sk->fresh = sk->alone = 1;
	sk->dir_in.start = stream_start(skb, s);
	sk->dir_in.told = tell_never();
	sk->conn.target = conf->target;
	sk->conn.slot = conf->slot;
	e->flags = REC_LISTENER;
	e->start = 1;
	e->whole = sk->dir_in.start;
	e->proxy = PROXY_PASSED; /* the reader knows one, too */
	fill_conn(skb, &sk->conn, s, DIR_IN, bpf_get_socket_cookie(skb));
	sk->protocols =
		asked_protocols(conf, hint_of(conf, sk->conn.local_port, sk->conn.remote_port));
	if (!s->len) {
		emit_progress(skb, sk, e);
		return;
	}
	if (s->seq == sk->dir_in.start) {
		e->flags |= REC_FLIP;
		e->whole = s->seq + s->len;
		e->look = look_of(sk, DIR_IN);
	}
	/* All of it is for the reader, who cuts the frames: the first request may be among them. */
	if ((e->flags & REC_FLIP) && (sk->protocols & ASKED_FRAMES) &&
	    begins_frames(skb, s->payload, s->len, sk->protocols)) {
		sk->request_dir = 1 + DIR_IN;
		sk->wide = WIDE_ALWAYS;
		e->flags |= REC_START;
		e->look = LOOK_NO;
		e->start = 0;
	}
	ret = emit_all(skb, sk, e, total);
	if (ret == EMIT_NO_HEAD)
		return;
	if (ret == EMIT_FULL)
		count_lost(sk, peek(skb, sk, s) == LOOK_REQUEST);
	if (!l)
		l = storage_made(&listeners, ss);
	if (l)
		mark_listener(skb, l, conf, sk->protocols);
}

#endif /* APPMON_LISTENER_H */
