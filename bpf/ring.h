/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * 8. Where records go: a ring for each CPU, or for a few. The reader puts their records in order, and
 * has a program's half of the agreement: capture/ring.c.
 *
 * The kernel's own ring (BPF_MAP_TYPE_RINGBUF) costs twice as much: a lock with interrupts off, two
 * headers, and an exchange behind the copy that waits until the reader's CPU has given up every line
 * of the record. Here a program takes its place with one instruction, and the record's first word,
 * which no other place has, is written last.
 */
#ifndef APPMON_RING_H
#define APPMON_RING_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "order.h"
#include "records.h"

/* What makes room for records, and what takes them: a line of each. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RINGS_MAX);
	__type(key, __u32);
	__type(value, struct ring_place);
} ring_places SEC(".maps");

/* The records. The library sets the size. Behind the end there is room for a record that begins in
 * front of it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RINGS_MAX);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 4096 + RING_RECORD_MAX);
} rings SEC(".maps");

/* Set before the programs are loaded: the number of rings and the bytes of one, each a power of two,
 * less one; what marks a record that is whole. */
#ifndef RING_RODATA
#define RING_RODATA const volatile
#endif
RING_RODATA __u32 ring_mask, ring_bytes_mask = 4095;
RING_RODATA __u64 ring_key;

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

/* Behind a record: when the reader has set reader_waits it looks once more whether a place was taken
 * in a ring. */
static __always_inline void ring_bell(void)
{
	void *p;

	if (!reader_waits || !__sync_lock_test_and_set(&reader_waits, 0))
		return;
	p = bpf_ringbuf_reserve(&bell, 8, 0);
	if (p)
		bpf_ringbuf_discard(p, BPF_RB_FORCE_WAKEUP);
}

/* Programs that meet at one ring: an interrupt's, those of the CPUs that share it. */
#define RING_TRIES 16

/* In place of a position, which is a multiple of 64. TAKEN: another program was faster. */
#define RING_FULL (~0ULL)
#define RING_TAKEN (~1ULL)

static __always_inline __u64 ring_try(volatile struct ring_place *place, __u64 room)
{
	const __u64 pos = place->end;

	if (pos + room - place->begin > ring_bytes_mask + 1ULL)
		return RING_FULL;
	return __sync_val_compare_and_swap(&place->end, pos, pos + room) == pos ? pos : RING_TAKEN;
}

/* Not static: verified once. */
__noinline __u64 ring_try_again(struct ring_place *place, __u64 room)
{
	if (!place) /* never: asked for by the verifier */
		return RING_FULL;
	for (int i = 0; i < RING_TRIES; i++) {
		__u64 pos = ring_try(place, room);

		if (pos != RING_TAKEN)
			return pos;
	}
	return RING_FULL;
}

/* So much of a record is copied here: for that a call costs as much. */
#define PUT_BYTES 512

/*
 * A record of size bytes, RING_RECORD_MAX at most, which begins with struct rec_hdr. False: the ring
 * is full. `most` bytes can be read at it, a constant that 32 divides.
 */
static __always_inline bool ring_put(const void *record, __u32 size, const __u32 most)
{
	const __u32 here = most < PUT_BYTES ? most : PUT_BYTES;
	__u32 key = bpf_get_smp_processor_id() & ring_mask;
	struct ring_place *place = bpf_map_lookup_elem(&ring_places, &key);
	__u8 *at = bpf_map_lookup_elem(&rings, &key), *to;
	const __u64 room = RING_ROOM(size);
	__u64 pos;

	if (!place || !at)
		return false; /* never: asked for by the verifier */
	pos = ring_try(place, room);
	if (pos == RING_TAKEN)
		pos = ring_try_again(place, room);
	if (pos == RING_FULL)
		return false;
	at += pos & ring_bytes_mask;
	to = at + RING_WORD;
	for (__u32 i = 0; i < here && i < size; i += 32) {
		*(__u64 *)(to + i) = *(const __u64 *)(record + i);
		*(__u64 *)(to + i + 8) = *(const __u64 *)(record + i + 8);
		*(__u64 *)(to + i + 16) = *(const __u64 *)(record + i + 16);
		*(__u64 *)(to + i + 24) = *(const __u64 *)(record + i + 24);
	}
	if (most > PUT_BYTES) {
		__u32 rest = size - PUT_BYTES;

		barrier_var(rest);
		if (rest <= most - PUT_BYTES)
			bpf_probe_read_kernel(to + PUT_BYTES, rest, record + PUT_BYTES);
	}
	STORE_RELEASE((__u64 *)at, pos ^ ring_key);
	ring_bell();
	return true;
}

#endif /* APPMON_RING_H */
