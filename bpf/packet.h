/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 1. From a packet to its TCP segment. */
#ifndef APPMON_PACKET_H
#define APPMON_PACKET_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifndef ETH_P_IP
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#endif

#ifndef BPF_TCP_LISTEN
#define BPF_TCP_LISTEN 10
#define BPF_TCP_SYN_SENT 2
#endif

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10

struct segment {
	__u32 seq;     /* of the first payload byte */
	__u32 len;     /* payload bytes */
	__u32 payload; /* their offset in the packet */
	__u32 ack;
	__u32 tcp; /* offset of the TCP header */
	__u8 flags;
	__u8 family; /* 4 or 6 */
	__u8 pad[2];
};

/* IPv6 extension headers that may stand before TCP (RFC 8200 section 4); at most 4 are followed. */
static __always_inline __u32 skip_ipv6_extensions(struct __sk_buff *skb, __u8 next)
{
	__u32 off = sizeof(struct ipv6hdr);

	for (int i = 0; i < 4; i++) {
		struct {
			__u8 next;
			__u8 len; /* in units of 8 bytes, not counting the first 8 */
		} ext;

		if (next == IPPROTO_TCP)
			return off;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return 0;
		if (bpf_skb_load_bytes(skb, off, &ext, sizeof(ext)))
			return 0;
		off += (ext.len + 1) * 8;
		next = ext.next;
	}
	return next == IPPROTO_TCP ? off : 0;
}

/*
 * False for what carries no news: not TCP, or a pure ACK. skb->data is the IP header in
 * both hooks. The length comes from the packet, not from the IP header, whose field is
 * too narrow for BIG TCP.
 */
static __always_inline bool parse_segment(struct __sk_buff *skb, struct segment *s)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct tcphdr tcp_copy, *tcp;
	struct iphdr *ip = data;

	if ((void *)(ip + 1) > end)
		return false;
	if (ip->version == 4) {
		if (ip->protocol != IPPROTO_TCP)
			return false;
		s->family = 4;
		s->tcp = ip->ihl * 4;
	} else {
		struct ipv6hdr *ip6 = data;

		if ((void *)(ip6 + 1) > end)
			return false;
		s->family = 6;
		s->tcp = sizeof(*ip6);
		if (ip6->nexthdr != IPPROTO_TCP) {
			s->tcp = skip_ipv6_extensions(skb, ip6->nexthdr);
			if (!s->tcp)
				return false;
			/* A helper was called: packet pointers are stale for the verifier. */
			data = (void *)(long)skb->data;
			end = (void *)(long)skb->data_end;
		}
	}
	tcp = data + (s->tcp & 0xfff);
	if ((void *)(tcp + 1) > end) {
		if (bpf_skb_load_bytes(skb, s->tcp, &tcp_copy, sizeof(tcp_copy)))
			return false;
		tcp = &tcp_copy;
	}
	s->flags = ((__u8 *)tcp)[13];
	s->payload = s->tcp + tcp->doff * 4;
	if (skb->len < s->payload)
		return false;
	s->len = skb->len - s->payload;
	if (!s->len && !(s->flags & (TCP_FIN | TCP_RST | TCP_SYN)))
		return false;
	s->seq = bpf_ntohl(tcp->seq) + !!(s->flags & TCP_SYN);
	s->ack = bpf_ntohl(tcp->ack_seq);
	return true;
}

#endif /* APPMON_PACKET_H */
