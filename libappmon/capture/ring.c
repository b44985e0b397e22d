/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader's half of the rings in bpf/ring.h. They are arrays that both sides map: a line with the
 * position where the next record goes, one with the position up to which all has been read, and the
 * bytes. Positions count on for ever; a record lies at its position modulo the ring's size, in one
 * piece, for there is room for one behind the end.
 *
 * A program takes its place by moving `end`, copies the record, and writes the first word last: its
 * position, xor a secret number that nobody knows who sends bytes to be captured. So whatever lies
 * there before, from an earlier turn, is not taken for a record that is whole.
 *
 * The positions are cache lines that the watched applications' CPUs use for each record. So `end` is
 * read only when what was known of it is used up, and `begin` is written when the rings are found
 * empty, or a part of one has been read: a line that changes hands costs more than all else that a
 * record takes.
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
 * What is sent and goes the short way (bpf/healthy.h) has an earlier order_ns: when TCP began to send
 * it. For (1) and (3) this is as good. Whatever its program can know of was in its ring by then: what
 * the sender had received, for an ingress program saw it before TCP did; what the same direction had
 * sent before; and the state of the connection, for whoever changes that lets the next segment go the
 * other way. What another program put into its ring after TCP began comes in any order.
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
 * the socket (rec_conn_told.lost), whatever its CPU, before it leaves. Each record that was filled later
 * has the number, and comes behind all that was in any ring before: the first record that says more
 * than the one before it stands where the lost one would, or it was written at the same time. What
 * is lost is, as with one ring, a range of the direction in which the program ran, between two
 * records that are in order, for by (1) those of one direction are.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/capture.h"

static size_t places_size(const struct rings *rings)
{
	return rings->count * sizeof(struct ring_place);
}

/* Of one ring; they lie one behind the other. */
static size_t bytes_size(const struct rings *rings)
{
	return rings->size + RING_RECORD_MAX;
}

int rings_map(struct rings *rings, int places_fd, int bytes_fd)
{
	struct ring_place *places;
	uint8_t *bytes;

	places = mmap(NULL, places_size(rings), PROT_READ | PROT_WRITE, MAP_SHARED, places_fd, 0);
	if (places == MAP_FAILED)
		return -errno;
	bytes = mmap(NULL, rings->count * bytes_size(rings), PROT_READ, MAP_SHARED, bytes_fd, 0);
	if (bytes == MAP_FAILED) {
		int err = -errno;

		munmap(places, places_size(rings));
		return err;
	}
	for (uint32_t i = 0; i < rings->count; i++)
		rings->ring[i] = (struct ring){.place = &places[i],
					       .bytes = bytes + i * bytes_size(rings),
					       .size = rings->size,
					       .key = rings->key};
	return 0;
}

void rings_unmap(struct rings *rings)
{
	struct ring *first = &rings->ring[0];

	if (!first->place)
		return;
	munmap(first->place, places_size(rings));
	munmap(first->bytes, rings->count * bytes_size(rings));
	first->place = NULL;
}

int bell_map(struct bell *bell, int map_fd)
{
	void *p;

	bell->page = (size_t)sysconf(_SC_PAGESIZE);
	p = mmap(NULL, bell->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	bell->consumer_pos = p;
	p = mmap(NULL, bell->page, PROT_READ, MAP_SHARED, map_fd, (off_t)bell->page);
	if (p == MAP_FAILED) {
		int err = -errno;

		munmap(bell->consumer_pos, bell->page);
		bell->consumer_pos = NULL;
		return err;
	}
	bell->producer_pos = p;
	return 0;
}

void bell_unmap(struct bell *bell)
{
	if (!bell->consumer_pos)
		return;
	munmap(bell->consumer_pos, bell->page);
	munmap((void *)bell->producer_pos, bell->page);
	bell->consumer_pos = NULL;
}

void bell_quiet(struct bell *bell)
{
	*bell->consumer_pos = __atomic_load_n(bell->producer_pos, __ATOMIC_ACQUIRE);
}

static const uint8_t *front(const struct ring *ring)
{
	return ring->bytes + (ring->pos & (ring->size - 1));
}

/* If it is whole. */
static const struct rec_hdr *record(const struct ring *ring)
{
	return (const void *)(front(ring) + RING_WORD);
}

static void publish(struct ring *ring)
{
	if (ring->place->begin != ring->pos)
		__atomic_store_n(&ring->place->begin, ring->pos, __ATOMIC_RELEASE);
}

static uint64_t produced(const struct ring *ring)
{
	return __atomic_load_n(&ring->place->end, __ATOMIC_ACQUIRE);
}

static void pass(struct ring *ring)
{
	ring->pos += RING_ROOM(record(ring)->size);
	ring->known = false;
	if (ring->pos - ring->place->begin >= ring->size / 8)
		publish(ring);
}

/* Looks at the record in front. False: it is being written. */
static bool look_at_front(struct ring *ring)
{
	const uint64_t *word = (const void *)front(ring);

	if (ring->known || ring->pos == ring->end)
		return true;
	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != (ring->pos ^ ring->key))
		return false;
	ring->order_ns = record(ring)->order_ns;
	ring->known = true;
	return true;
}

/* Is there a record in front that had been seen before all rings were looked at? */
static bool has_seen(const struct ring *ring)
{
	return (int64_t)(ring->seen - ring->pos) > 0;
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
	*size = record(ring)->size;
	return record(ring);
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
		if ((int64_t)(rings->ring[i].mark - rings->ring[i].pos) > 0)
			return true;
	return false;
}
