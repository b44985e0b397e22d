/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Loads and stores that programs on several CPUs, and the reader, see. */
#ifndef APPMON_ORDER_H
#define APPMON_ORDER_H

#include <bpf/bpf_helpers.h>

/* Keeps the compiler from computing an address in a socket, too, which the verifier forbids. */
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

/*
 * Behind all stores before it. x86 keeps their order by itself. There an exchange would wait until
 * other CPUs have given up the lines that were written, which takes longer than to write them.
 */
#ifdef __TARGET_ARCH_x86
#define STORE_RELEASE(at, value)                                                                   \
	do {                                                                                       \
		barrier();                                                                         \
		*(volatile typeof(*(at)) *)(at) = (value);                                         \
	} while (0)
#else
#define STORE_RELEASE(at, value) ((void)__sync_lock_test_and_set(at, value))
#endif

#endif /* APPMON_ORDER_H */
