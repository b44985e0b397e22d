/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for libbpf's header where sim.c compiles the BPF programs for this machine. */
#ifndef APPMON_SHIM_BPF_HELPERS_H
#define APPMON_SHIM_BPF_HELPERS_H

#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name)
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define __noinline __attribute__((noinline))
#define __uint(name, value) int(*name)[value]
#define __array(name, value) __typeof__(value) *name
#define __type(name, value) __typeof__(value) *name
#define barrier() __asm__ volatile("" ::: "memory")
#define barrier_var(var) __asm__ volatile("" : "+r"(var))

void *bpf_map_lookup_elem(void *map, const void *key);
void *bpf_get_local_storage(void *map, __u64 flags);
void *bpf_sk_storage_get(void *map, void *sk, void *value, __u64 flags);
void *bpf_ringbuf_reserve(void *ring, __u64 size, __u64 flags);
void bpf_ringbuf_discard(void *data, __u64 flags);
__u32 bpf_get_smp_processor_id(void);
long bpf_loop(__u32 count, long (*step)(__u32, void *), void *ctx, __u64 flags);
long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 len);
__u64 bpf_skb_cgroup_id(struct __sk_buff *skb);
__u64 bpf_skb_ancestor_cgroup_id(struct __sk_buff *skb, int level);
__u64 bpf_get_socket_cookie(void *ctx);
__u64 bpf_ktime_get_ns(void);
__u64 bpf_jiffies64(void);
struct bpf_tcp_sock *bpf_tcp_sock(struct bpf_sock *sk);
struct tcp_sock *bpf_skc_to_tcp_sock(void *sk);
struct bpf_sock *bpf_skc_lookup_tcp(void *ctx, struct bpf_sock_tuple *tuple, __u32 size,
				    __u64 netns, __u64 flags);
struct tcp_request_sock *bpf_skc_to_tcp_request_sock(void *sk);
struct mptcp_sock *bpf_skc_to_mptcp_sock(void *sk);
long bpf_sk_release(void *sk);
long bpf_probe_read_kernel(void *to, __u32 size, const void *from);
long bpf_probe_read_user(void *to, __u32 size, const void *from);
void bpf_spin_lock(struct bpf_spin_lock *lock);
void bpf_spin_unlock(struct bpf_spin_lock *lock);
struct seq_file;
long bpf_seq_write(struct seq_file *seq, const void *data, __u32 len);

#endif /* APPMON_SHIM_BPF_HELPERS_H */
