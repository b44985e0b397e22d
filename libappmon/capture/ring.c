/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Consumer of a BPF_MAP_TYPE_RINGBUF. libbpf's own (ring_buffer__poll) has no bound on what it
 * delivers and no pull form, and the library needs both. The layout is the kernel's
 * (Documentation/bpf/ringbuf.rst): a consumer page, a producer page, the data twice in a row.
 *
 * The positions are cache lines that the watched applications' CPUs use for each record. So the
 * kernel's is read only when what was known of it is used up, and ours is written when the ring
 * is found empty, or a part of it has been read: a line that changes hands costs more than all
 * else that a record takes.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/capture.h"

int ring_map(struct ring *ring, int map_fd, size_t size)
{
	void *p;

	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	p = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	ring->consumer_pos = p;
	p = mmap(NULL, ring->page + 2 * size, PROT_READ, MAP_SHARED, map_fd, (off_t)ring->page);
	if (p == MAP_FAILED) {
		int err = -errno;

		munmap(ring->consumer_pos, ring->page);
		ring->consumer_pos = NULL;
		return err;
	}
	ring->producer_pos = p;
	ring->data = (const uint8_t *)p + ring->page;
	ring->size = size;
	ring->pos = ring->end = *ring->consumer_pos;
	return 0;
}

void ring_unmap(struct ring *ring)
{
	if (!ring->consumer_pos)
		return;
	munmap(ring->consumer_pos, ring->page);
	munmap(ring->producer_pos, ring->page + 2 * ring->size);
	ring->consumer_pos = NULL;
}

/* Length in the ring of the record whose header word is given. */
static unsigned long stride(uint32_t word)
{
	uint32_t len = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	return ((unsigned long)len + BPF_RINGBUF_HDR_SZ + 7) & ~7UL;
}

static uint32_t header_at(const struct ring *ring, unsigned long pos)
{
	const uint32_t *word = (const uint32_t *)(ring->data + (pos & (ring->size - 1)));

	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void publish(struct ring *ring)
{
	if (*ring->consumer_pos != ring->pos)
		__atomic_store_n(ring->consumer_pos, ring->pos, __ATOMIC_RELEASE);
}

const void *ring_peek(struct ring *ring, size_t *size, bool *busy)
{
	*busy = false;
	for (;;) {
		uint32_t word;

		if (ring->pos == ring->end) {
			ring->end = __atomic_load_n(ring->producer_pos, __ATOMIC_ACQUIRE);
			if (ring->pos == ring->end)
				break;
		}
		word = header_at(ring, ring->pos);
		if (word & BPF_RINGBUF_BUSY_BIT) {
			*busy = true;
			break;
		}
		if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
			*size = word;
			return ring->data + (ring->pos & (ring->size - 1)) + BPF_RINGBUF_HDR_SZ;
		}
		ring_release(ring);
	}
	publish(ring);
	return NULL;
}

void ring_release(struct ring *ring)
{
	ring->pos += stride(header_at(ring, ring->pos));
	if (ring->pos - *ring->consumer_pos >= ring->size / 8)
		publish(ring);
}

unsigned long ring_produced(const struct ring *ring)
{
	return __atomic_load_n(ring->producer_pos, __ATOMIC_ACQUIRE);
}

unsigned long ring_consumed(const struct ring *ring)
{
	return ring->pos;
}
