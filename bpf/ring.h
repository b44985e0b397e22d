/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 8. Where records go. */
#ifndef APPMON_RING_H
#define APPMON_RING_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "records.h"

/*
 * A ring for each CPU, or for a few: its lock, its position and the header of a record change hands
 * where CPUs share one, which costs as much as all else. The library makes them, and puts their
 * records in order: capture/ring.c.
 */
struct ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, RINGS_MAX);
	__type(key, __u32);
	__array(values, struct ring_map);
} rings SEC(".maps");

/* Their number, a power of two, less one. */
const volatile __u32 ring_mask;

/* What the reader waits on: it holds no records. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} bell SEC(".maps");

/*
 * 1 while the reader sleeps without a timer. A wakeup costs the application more than everything
 * else here together, so it is sent only then; a busy reader looks by its own timer.
 */
volatile __u32 reader_waits;

static __always_inline void *ring_of_cpu(void)
{
	__u32 key = bpf_get_smp_processor_id() & ring_mask;

	return bpf_map_lookup_elem(&rings, &key);
}

/* Behind a record: the reader looks into the rings once more when it has set reader_waits. */
static __always_inline void ring_bell(void)
{
	void *p;

	if (!reader_waits || !__sync_lock_test_and_set(&reader_waits, 0))
		return;
	p = bpf_ringbuf_reserve(&bell, 8, 0);
	if (p)
		bpf_ringbuf_discard(p, BPF_RB_FORCE_WAKEUP);
}

#endif /* APPMON_RING_H */
