/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 13. The PROXY protocol's header, in front of a connection's first request. */
#ifndef APPMON_PROXY_H
#define APPMON_PROXY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"

/*
 * The length of the PROXY protocol header at the begin of the segment (haproxy's
 * proxy-protocol.txt, sections 2.1 and 2.2); 0: there is none, or its end is not here, or it is
 * longer than a record. Not static: verified once.
 */
__noinline int proxy_header(struct __sk_buff *skb, struct socket *sk, struct emission *e)
{
	__u32 n, len = 0;
	struct draft *d;
	__u8 *b;

	if (!sk || !e)
		return 0;
	d = draft_claim(&drafts);
	if (!d)
		return 0;
	b = d->bytes;
	n = e->len < 107 ? e->len : 107;
	barrier_var(n);
	n = ((n - 1) & 127) + 1;
	if (n < 16 || bpf_skb_load_bytes(skb, e->s.payload + (e->seq - e->s.seq), b, n))
		goto out;
	if (b[0] == '\r') {
		if (*(__u32 *)b == CRLF_CRLF && !b[4] && b[5] == '\r' && b[6] == '\n' &&
		    b[7] == 'Q' && b[8] == 'U' && b[9] == 'I' && b[10] == 'T' && b[11] == '\n' &&
		    b[12] >> 4 == 2)
			len = 16 + (b[14] << 8 | b[15]);
	} else if (b[4] == 'Y' && b[5] == ' ' && (b[6] == 'T' || b[6] == 'U')) {
		for (__u32 i = 7; i < 107; i++) {
			if (i >= n)
				break;
			if (b[i] == '\n') {
				len = i + 1;
				break;
			}
		}
	}
out:
	draft_release(&d->busy);
	return len <= e->len && len <= REC_BYTES_MAX ? len : 0;
}

/*
 * The header goes to the reader in a record of its own, and counts as a message that has been
 * answered. The first request begins behind it, in this segment or a later one.
 */
static __always_inline void pass_proxy_header(struct __sk_buff *skb, struct socket *sk,
					      struct emission *e, __u32 len, const int dir)
{
	__u32 end = e->seq + e->len;

	e->proxy = len < e->len ? PROXY_HEADER : PROXY_PASSED;
	e->start = e->framed = 0;
	e->look = LOOK_NO;
	sk->framing.due = e->seq + len;
	if (emit_all(skb, sk, e, len) == EMIT_FULL)
		count_lost(sk, false);
	e->proxy = PROXY_PASSED;
	e->flags &= ~(REC_FLIP | REC_START);
	e->seq = sk->framing.due;
	e->len = end - e->seq;
	sk->speaks = SPEAKS_HTTP;
	sk->request_dir = 1 + dir;
	DIRECTION(sk, dir)->begun_ack = e->ack - 1;
	sk->request_start = DIRECTION(sk, !dir)->begun_ack - 1;
	sk->framing.phase = FRAMING_HEAD;
	sk->framing.left = 0;
}

#endif /* APPMON_PROXY_H */
