/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The few kernel types that the programs read and that no UAPI header has. Only the named
 * members; CO-RE finds their offsets in the running kernel's BTF, so that the build
 * needs no kernel of its own.
 */
#ifndef APPMON_KERNEL_H
#define APPMON_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;
struct bpf_map;
struct sock;

struct tcp_sock {
	unsigned int rcv_nxt;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

/* Context of iter/bpf_sk_storage_map, Linux 5.9. */
struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

#pragma clang attribute pop

#endif /* APPMON_KERNEL_H */
