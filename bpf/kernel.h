/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The few kernel types that the programs read and that no UAPI header has. Only the named
 * members; CO-RE finds their offsets in the running kernel's BTF, so that the build
 * needs no kernel of its own.
 */
#ifndef APPMON_KERNEL_H
#define APPMON_KERNEL_H

#include <linux/in6.h>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded" /* offsets are the kernel's */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;
struct bpf_map;

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
	unsigned long long net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	unsigned int skc_daddr;
	unsigned int skc_rcv_saddr;
	unsigned short skc_dport; /* network byte order */
	unsigned short skc_num;
	unsigned short skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

typedef struct {
	int owned;
} socket_lock_t;

struct file {
	unsigned int f_flags;
};

struct sock;

/* The kernel's struct socket; there is one of ours. */
struct socket___kernel {
	struct file *file;
	struct sock *sk;
};

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct socket___kernel *sk_socket;
	struct {
		int len;
	} sk_backlog;
	void *sk_bpf_storage;
};

struct tcp_sock {
	unsigned int rcv_nxt;
	unsigned int copied_seq;
	unsigned int snd_nxt;
	unsigned int write_seq; /* behind all that the application has written */
	unsigned int snd_una;
	unsigned int total_retrans;
	unsigned int srtt_us;
	unsigned long long bytes_received;
	unsigned long long bytes_acked;
	unsigned long long tcp_clock_cache; /* CLOCK_MONOTONIC, as it began to send */
};

/* A connection that its listening socket has not made yet. */
struct tcp_request_sock {
	unsigned int rcv_isn;
};

struct list_head {
	struct list_head *next, *prev;
};

struct mptcp_sock {
	struct list_head conn_list; /* its paths */
	struct sock *first;
};

typedef struct {
	unsigned int val;
} kuid_t;

struct cred {
	kuid_t euid;
};

struct pid {
	unsigned int level;
	struct upid {
		int nr;
		void *ns;
	} numbers[1]; /* level + 1 of them */
};

/* x86 has it. */
struct thread_struct {
	unsigned long fsbase;
};

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	unsigned long long start_time; /* CLOCK_MONOTONIC */
	unsigned long long start_boottime;
	struct task_struct *real_parent;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	const struct cred *cred;
	char comm[16];
	struct thread_struct thread;
};

/* task_struct.flags: a thread of io_uring, with a copy of another one's registers. */
#define PF_IO_WORKER 0x10

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

/* Context of iter/task_file, Linux 5.8. */
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	unsigned int fd;
	struct file *file;
};

#pragma clang attribute pop
#pragma clang diagnostic pop

#endif /* APPMON_KERNEL_H */
