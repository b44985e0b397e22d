/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Consumer of several BPF_MAP_TYPE_RINGBUF. libbpf's own (ring_buffer__poll) has no bound on what
 * it delivers, no pull form, and no order among rings, and the library needs all three. The layout
 * is the kernel's (Documentation/bpf/ringbuf.rst): a consumer page, a producer page, the data twice
 * in a row.
 *
 * The positions are cache lines that the watched applications' CPUs use for each record. So the
 * kernel's is read only when what was known of it is used up, and ours is written when the rings
 * are found empty, or a part of one has been read: a line that changes hands costs more than all
 * else that a record takes.
 *
 * The order. Record A comes before B if A was in its ring before B's program read the last of what
 * it put into B. That is what a single ring would give, and all that the pipeline asks for: a
 * response behind its request, a segment behind the one that says where it begins, a count of
 * losses behind what was in the ring before. Records of which neither can have known of the other
 * come in any order.
 *
 * A program reads the clock (order_ns) when it knows all else that it writes, and takes its place in
 * the ring then. So, with the clock's one time for all CPUs:
 *
 *  1. A's place was taken before A was in the ring, and that was before B's order_ns. What stands in
 *     front of A in its ring took its place even earlier, and had read the clock before. So A and
 *     all in front of it have a smaller order_ns than B. (A ring itself need not be in the order of
 *     its order_ns, for programs interrupt each other.)
 *  2. The reader takes the record with the smallest order_ns of those in front of a ring. By (1) it
 *     takes A before B, if it can see A when it takes B.
 *  3. It looks at the positions of all rings, then once more. All that the first look found (seen)
 *     has its As within the second (end): they took their places before B did. The reader goes on
 *     while there is something that the first look found. On the way it can take a C of which only
 *     the second look knows. If it could not see an A of that, A took its place after the second
 *     look began, and C has a larger order_ns than whatever the first look found: it is not taken
 *     before all of that has been. The second look is the first one of the next round.
 *
 * A record that is being written hides its order_ns, and what is behind it. Then the reader stops
 * altogether, as it would at a single ring: this takes the kernel less than a microsecond.
 *
 * The clock's resolution is finer than the time that a program takes from reading it to the end, but
 * for clocksources that are a last resort (acpi_pm has 280 ns). So no A has B's order_ns. Where NTP
 * slows the clock, a CPU can see it some nanoseconds behind another one (see
 * ktime_get_mono_fast_ns() in the kernel): less than a CPU needs to learn anything from another.
 *
 * A ring that is full loses what its CPUs see while another one has room. The program counts this in
 * the socket (rec_seg.lost), whatever its CPU, before it leaves. Each record that was filled later
 * has the number, and comes behind all that was in any ring before: the first record that says more
 * than the one before it stands where the lost one would, or it was written at the same time. What
 * is lost is, as with one ring, a range of the direction in which the program ran, between two
 * records that are in order, for by (1) those of one direction are.
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
	ring->pos = ring->seen = ring->end = *ring->consumer_pos;
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

static const void *record_at(const struct ring *ring, unsigned long pos)
{
	return ring->data + (pos & (ring->size - 1)) + BPF_RINGBUF_HDR_SZ;
}

static void publish(struct ring *ring)
{
	if (*ring->consumer_pos != ring->pos)
		__atomic_store_n(ring->consumer_pos, ring->pos, __ATOMIC_RELEASE);
}

static unsigned long produced(const struct ring *ring)
{
	return __atomic_load_n(ring->producer_pos, __ATOMIC_ACQUIRE);
}

void ring_skip(struct ring *ring)
{
	ring->pos = produced(ring);
	publish(ring);
}

static void pass(struct ring *ring)
{
	ring->pos += stride(header_at(ring, ring->pos));
	ring->known = false;
	if (ring->pos - *ring->consumer_pos >= ring->size / 8)
		publish(ring);
}

/* Looks at the record in front. False: it is being written. */
static bool look_at_front(struct ring *ring)
{
	while (!ring->known && ring->pos != ring->end) {
		uint32_t word = header_at(ring, ring->pos);

		if (word & BPF_RINGBUF_BUSY_BIT)
			return false;
		if (word & BPF_RINGBUF_DISCARD_BIT) {
			pass(ring);
		} else {
			const struct rec_hdr *hdr = record_at(ring, ring->pos);

			ring->order_ns = word < sizeof(*hdr) ? 0 : hdr->order_ns;
			ring->known = true;
		}
	}
	return true;
}

/* Is there a record in front that had been seen before all rings were looked at? */
static bool has_seen(const struct ring *ring)
{
	return (long)(ring->seen - ring->pos) > 0;
}

/* Looks how far the kernel is. False: all has been read. */
static bool look(struct rings *rings)
{
	bool found = false;

	for (uint32_t i = 0; i < rings->count; i++) {
		struct ring *ring = &rings->ring[i];

		ring->seen = ring->end;
		ring->end = produced(ring);
		found |= ring->pos != ring->end;
	}
	return found;
}

/* The ring with the next record, or NULL. */
static struct ring *choose(struct rings *rings, bool *busy)
{
	do {
		struct ring *first = NULL;
		bool seen = false;

		rings->next_until_ns = UINT64_MAX;
		for (uint32_t i = 0; i < rings->count; i++) {
			struct ring *ring = &rings->ring[i];

			if (!look_at_front(ring)) {
				*busy = true;
				return NULL;
			}
			seen |= has_seen(ring);
			if (!ring->known)
				continue;
			if (!first || ring->order_ns < first->order_ns) {
				if (first)
					rings->next_until_ns = first->order_ns;
				first = ring;
			} else if (ring->order_ns < rings->next_until_ns) {
				rings->next_until_ns = ring->order_ns;
			}
		}
		if (seen)
			return first;
	} while (look(rings));
	return NULL;
}

const void *rings_peek(struct rings *rings, size_t *size, bool *busy)
{
	struct ring *ring = rings->next;

	*busy = false;
	if (!ring)
		ring = rings->next = choose(rings, busy);
	if (!ring) {
		for (uint32_t i = 0; i < rings->count; i++)
			publish(&rings->ring[i]);
		return NULL;
	}
	*size = header_at(ring, ring->pos);
	return record_at(ring, ring->pos);
}

void rings_release(struct rings *rings)
{
	struct ring *ring = rings->next;

	pass(ring);
	if (!has_seen(ring) || !look_at_front(ring) || !ring->known ||
	    ring->order_ns >= rings->next_until_ns)
		rings->next = NULL;
}

bool rings_hold(const struct rings *rings)
{
	for (uint32_t i = 0; i < rings->count; i++)
		if (produced(&rings->ring[i]) != rings->ring[i].pos)
			return true;
	return false;
}

void rings_mark(struct rings *rings)
{
	for (uint32_t i = 0; i < rings->count; i++)
		rings->ring[i].mark = produced(&rings->ring[i]);
}

bool rings_behind(const struct rings *rings)
{
	for (uint32_t i = 0; i < rings->count; i++)
		if ((long)(rings->ring[i].mark - rings->ring[i].pos) > 0)
			return true;
	return false;
}
