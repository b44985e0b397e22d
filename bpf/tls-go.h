/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which socket a crypto/tls.Conn writes to. It keeps no random of its hellos, but the goroutine that
 * is inside of Conn.Write() sends the record that this makes. It may be on another thread by then, so
 * the goroutine counts.
 */
#ifndef APPMON_TLS_GO_H
#define APPMON_TLS_GO_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "goroutine.h"
#include "packet.h"
#include "state.h"

/* Set before the programs are loaded: 0 takes all of this out of them. */
const volatile __u32 tls_go = 1;

#define TLS_APPLICATION_DATA 0x17

struct tls_session_key {
	__u64 session;
	__u32 tgid;
	__u32 pad;
};

/* What each goroutine has begun to write to last. By goroutine_key(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GOROUTINES_MAX);
	__type(key, __u64);
	__type(value, struct tls_session_key);
} tls_go_writes SEC(".maps");

/* By the cookie of its socket: so that the next one at the address is another. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GOROUTINES_MAX);
	__type(key, __u64);
	__type(value, struct tls_session_key);
} tls_go_sockets SEC(".maps");

/* A thread sends: the address of the Conn that its goroutine writes to; 0: not known. A handshake is
 * sent outside of Conn.Write(), but begins with records of other kinds. */
static __always_inline __u64 tls_go_writing(struct __sk_buff *skb, const struct socket *sk,
					    const struct segment *s)
{
	struct tls_session_key *write;
	__u64 key, cookie = sk->conn.cookie;
	__u8 kind = 0;

	if (sk->speaks != SPEAKS_FRAMES || !s->len ||
	    bpf_skb_load_bytes(skb, s->payload, &kind, 1) || kind != TLS_APPLICATION_DATA)
		return 0;
	key = present_goroutine();
	write = key ? bpf_map_lookup_elem(&tls_go_writes, &key) : 0;
	if (!write)
		return 0;
	bpf_map_update_elem(&tls_go_sockets, &cookie, write, BPF_ANY);
	return write->session;
}

#endif /* APPMON_TLS_GO_H */
