/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer.h"

#include <string.h>

#define RING_RODATA static
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include "ring.h"
#pragma GCC diagnostic pop

uint32_t writer_rung;

static struct ring_place *ring_place;
static uint8_t *ring_bytes;
static size_t ring_stride;
static _Thread_local uint32_t this_cpu;

__u32 bpf_get_smp_processor_id(void)
{
	return this_cpu;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
	const __u32 n = *(const __u32 *)key;

	return map == &rings ? (void *)(ring_bytes + n * ring_stride) : (void *)(ring_place + n);
}

long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

void *bpf_ringbuf_reserve(void *ring, __u64 size, __u64 flags)
{
	(void)size;
	(void)flags;
	return ring;
}

void bpf_ringbuf_discard(void *data, __u64 flags)
{
	(void)data;
	writer_rung += flags == BPF_RB_FORCE_WAKEUP;
}

void writer_start(struct ring_place *places, uint8_t *bytes, uint32_t count, size_t size,
		  uint64_t key)
{
	ring_place = places;
	ring_bytes = bytes;
	ring_stride = size + RING_RECORD_MAX;
	ring_mask = count - 1;
	ring_bytes_mask = (__u32)size - 1;
	ring_key = key;
}

void writer_expect_bell(void)
{
	reader_waits = 1;
}

bool writer_put(uint32_t cpu, const void *bytes, uint32_t size)
{
	this_cpu = cpu;
	return ring_put(bytes, size, WRITER_RECORD_MAX);
}
