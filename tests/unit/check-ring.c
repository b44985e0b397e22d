/* SPDX-License-Identifier: BSD-2-Clause */
/* Both halves of the rings: what the programs put there, and the reader. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/capture.h"
#include "unit.h"
#include "writer.h"

#define SIZE 4096
#define RINGS RINGS_MAX
#define KEY 0x123456789abcdef0

static struct rings rings;
/* The same memory, as the programs have it. */
static struct ring_place *places;
static uint8_t *bytes;

static void *memory(size_t size, int *fd)
{
	void *m;

	*fd = memfd_create("ring", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(*fd, (off_t)size), 0);
	m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	ck_assert_ptr_ne(m, MAP_FAILED);
	return m;
}

static void start(uint32_t count, size_t size)
{
	int places_fd, bytes_fd;

	rings = (struct rings){.count = count, .size = size, .key = KEY};
	places = memory(count * sizeof(*places), &places_fd);
	bytes = memory(count * (size + RING_RECORD_MAX), &bytes_fd);
	ck_assert_int_eq(rings_map(&rings, places_fd, bytes_fd), 0);
	close(places_fd);
	close(bytes_fd);
	writer_start(places, bytes, count, size, KEY);
	writer_rung = 0;
}

static void setup(void)
{
	start(RINGS, SIZE);
}

static void teardown(void)
{
	munmap(places, rings.count * sizeof(*places));
	munmap(bytes, rings.count * (rings.size + RING_RECORD_MAX));
	rings_unmap(&rings);
	ck_assert_ptr_null(rings.ring[0].place);
	rings_unmap(&rings); /* a second time is harmless */
}

static void again(uint32_t count, size_t size)
{
	teardown();
	start(count, size);
}

static uint64_t read_so_far(uint32_t n)
{
	return __atomic_load_n(&places[n].begin, __ATOMIC_ACQUIRE);
}

/* As long as it says, and then some. */
union numbered {
	struct {
		struct rec_hdr hdr;
		uint64_t number;
	};
	uint8_t bytes[WRITER_RECORD_MAX];
};

#define NUMBERED (sizeof(struct rec_hdr) + sizeof(uint64_t))

static uint8_t byte_of(uint64_t number, uint32_t i)
{
	return (uint8_t)(number * 31 + i);
}

/* size: NUMBERED at least */
static bool put(uint32_t cpu, uint64_t order_ns, uint64_t number, uint32_t size)
{
	static _Thread_local union numbered r;

	r.hdr = (struct rec_hdr){.size = size, .order_ns = order_ns};
	r.number = number;
	for (uint32_t i = NUMBERED; i < size; i++)
		r.bytes[i] = byte_of(number, i);
	return writer_put(cpu, &r, size);
}

static void produce(uint32_t cpu, uint64_t order_ns, uint64_t number)
{
	ck_assert(put(cpu, order_ns, number, NUMBERED));
}

/* libcheck notes each assertion in a file: one is enough. */
static void check(const void *record, size_t size, uint64_t number)
{
	const union numbered *r = record;
	bool same = r->number == number && r->hdr.size == size;

	for (uint32_t i = NUMBERED; i < size; i++)
		same &= r->bytes[i] == byte_of(number, i);
	if (!same)
		ck_abort_msg("record %llu", (unsigned long long)number);
}

static void expect(uint64_t number, uint32_t size)
{
	bool busy = true;
	size_t got = 0;
	const void *p = rings_peek(&rings, &got, &busy);

	ck_assert_ptr_nonnull(p);
	ck_assert(!busy);
	ck_assert_uint_eq(got, size);
	check(p, got, number);
	rings_release(&rings);
}

static void expect_number(uint64_t number)
{
	expect(number, NUMBERED);
}

static void expect_nothing(bool is_busy)
{
	bool busy = !is_busy;
	size_t size = 0;

	ck_assert_ptr_null(rings_peek(&rings, &size, &busy));
	ck_assert(busy == is_busy);
}

/* What a program does first: its record is not there yet. */
static uint64_t take_place(uint32_t n, uint32_t size)
{
	uint64_t pos = places[n].end;

	places[n].end += RING_ROOM(size);
	return pos;
}

static uint8_t *at(uint32_t n, uint64_t pos)
{
	return bytes + n * (rings.size + RING_RECORD_MAX) + (pos & (rings.size - 1));
}

static void write_record(uint32_t n, uint64_t pos, uint64_t order_ns, uint64_t number)
{
	const uint64_t word = pos ^ KEY;
	union numbered r = {.hdr = {.size = NUMBERED, .order_ns = order_ns}, .number = number};

	memcpy(at(n, pos) + RING_WORD, &r, NUMBERED);
	memcpy(at(n, pos), &word, sizeof(word));
}

START_TEST(empty)
{
	expect_nothing(false);
	ck_assert_uint_eq(read_so_far(0), 0);
}
END_TEST

START_TEST(in_order)
{
	ck_assert(put(0, 1, 10, NUMBERED));
	ck_assert(put(0, 2, 20, NUMBERED + 1));
	ck_assert(put(0, 3, 30, 777));
	expect(10, NUMBERED);
	expect(20, NUMBERED + 1);
	expect(30, 777);
	expect_nothing(false);
	ck_assert_uint_eq(read_so_far(0), places[0].end);
}
END_TEST

/* Peeking is no taking. */
START_TEST(peek_twice)
{
	bool busy;
	size_t size;
	const void *p;

	produce(0, 1, 1);
	p = rings_peek(&rings, &size, &busy);
	ck_assert_ptr_eq(rings_peek(&rings, &size, &busy), p);
	ck_assert_uint_eq(read_so_far(0), 0);
	expect_number(1);
}
END_TEST

/* Records that begin in front of a ring's end go on behind it, the largest, too. */
START_TEST(end_of_ring)
{
	again(2, 64 << 10);
	for (uint32_t i = 0; i < 3000; i++) {
		const uint32_t size = NUMBERED + i * 7919 % (WRITER_RECORD_MAX - NUMBERED + 1);

		ck_assert(put(i & 1, i, i, size));
		ck_assert(put(i & 1, i, i + 1, NUMBERED + i % 300));
		expect(i, size);
		expect(i + 1, NUMBERED + i % 300);
	}
	expect_nothing(false);
}
END_TEST

START_TEST(full)
{
	uint32_t n = 0;

	while (put(0, 1, n, 200))
		n++;
	ck_assert_uint_eq(n, SIZE / RING_ROOM(200));
	ck_assert(!put(RINGS, 1, n, 200)); /* shares that ring */
	produce(1, 2, n);		   /* has another one */
	for (uint32_t i = 0; i < n; i++)
		expect(i, 200);
	expect_number(n);
	expect_nothing(false);
	ck_assert(put(0, 3, 5, 200));
	expect(5, 200);
	/* Larger than the ring. */
	ck_assert(!put(0, 4, 6, SIZE));
	expect_nothing(false);
}
END_TEST

START_TEST(busy)
{
	uint64_t pos;

	produce(0, 1, 1);
	pos = take_place(0, NUMBERED);
	produce(0, 3, 3);
	expect_number(1);
	/* What comes after it has to wait: the order is the programs'. */
	expect_nothing(true);
	expect_nothing(true);
	ck_assert_uint_eq(read_so_far(0), pos);
	write_record(0, pos, 2, 2);
	expect_number(2);
	expect_number(3);
	expect_nothing(false);
}
END_TEST

/* What an earlier turn has left in a place is no record, whatever bytes of applications it has. */
START_TEST(old_bytes)
{
	uint64_t words[SIZE / 8];
	uint64_t pos;

	for (uint32_t turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < SIZE / RING_ROOM(NUMBERED); i++)
			produce(0, i, i);
		for (uint32_t i = 0; i < SIZE / RING_ROOM(NUMBERED); i++)
			expect_number(i);
		pos = take_place(0, NUMBERED);
		expect_nothing(true);
		/* Who knows the position, and not the key. */
		for (uint32_t i = 0; i < SIZE / 8; i++)
			words[i] = pos;
		memcpy(at(0, 0), words, sizeof(words));
		expect_nothing(true);
		write_record(0, pos, 1, 7);
		expect_number(7);
		expect_nothing(false);
	}
}
END_TEST

/* The programs get memory back in large pieces, and all of it when the rings are empty. */
START_TEST(given_back)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < 20; i++)
		produce(0, i, i);
	for (uint32_t i = 0; i < 20; i++) {
		expect_number(i);
		ck_assert_uint_lt(rings.ring[0].pos - read_so_far(0), SIZE / 8);
		ck_assert(read_so_far(0) == before || read_so_far(0) - before >= SIZE / 8);
		before = read_so_far(0);
	}
	expect_nothing(false);
	ck_assert_uint_eq(read_so_far(0), places[0].end);
}
END_TEST

/* The positions have 64 bits and are never reset. */
START_TEST(position_overflow)
{
	struct ring *ring = &rings.ring[0];

	places[0].end = places[0].begin = ring->pos = ring->seen = ring->end = 0ULL - 128;
	for (uint32_t i = 0; i < 20; i++) {
		produce(0, i, i);
		expect_number(i);
	}
}
END_TEST

/* The bell rings once for a reader that waits, and not otherwise. */
START_TEST(wakes_the_reader)
{
	produce(0, 1, 1);
	ck_assert_uint_eq(writer_rung, 0);
	writer_expect_bell();
	produce(0, 2, 2);
	produce(1, 3, 3);
	ck_assert_uint_eq(writer_rung, 1);
}
END_TEST

/* Records of different rings come in their order, and those of one as they stand there. */
START_TEST(several_rings)
{
	produce(0, 10, 0);
	produce(1, 20, 1);
	produce(1, 30, 2);
	produce(0, 40, 3);
	produce(2, 50, 4);
	produce(2, 49, 5); /* an interrupt came between */
	produce(1, 60, 6);
	for (uint64_t i = 0; i < 7; i++)
		expect_number(i);
	expect_nothing(false);
	for (uint32_t i = 0; i < RINGS; i++)
		ck_assert_uint_eq(read_so_far(i), places[i].end);
	produce(2, 70, 7);
	expect_number(7);
	expect_nothing(false);
}
END_TEST

/* While a record is written, what stands behind it may have to come first. */
START_TEST(busy_ring)
{
	uint64_t pos;

	produce(0, 10, 0);
	pos = take_place(1, NUMBERED);
	produce(1, 20, 1);
	produce(2, 30, 2);
	expect_nothing(true);
	write_record(1, pos, 5, 7);
	expect_number(7);
	for (uint64_t i = 0; i < 3; i++)
		expect_number(i);
	expect_nothing(false);
}
END_TEST

/* The reader had looked at one ring, a record came there, its effect into another, and the reader
 * looked at that. */
START_TEST(half_a_look)
{
	produce(0, 10, 0);
	expect_number(0);
	produce(0, 20, 1);
	produce(1, 30, 2);
	rings.ring[1].end = places[1].end;
	expect_number(1);
	expect_number(2);
	expect_nothing(false);
}
END_TEST

START_TEST(mark)
{
	rings_mark(&rings);
	ck_assert(!rings_behind(&rings) && !rings_hold(&rings));
	produce(0, 10, 0);
	ck_assert(!rings_behind(&rings) && rings_hold(&rings));
	produce(2, 20, 1);
	rings_mark(&rings);
	produce(1, 30, 2);
	expect_number(0);
	ck_assert(rings_behind(&rings));
	expect_number(1);
	ck_assert(!rings_behind(&rings) && rings_hold(&rings));
	expect_number(2);
	ck_assert(!rings_hold(&rings));
}
END_TEST

/*
 * Each record is the cause of the next, which another CPU writes. One thread is all of them, so that
 * it takes turns faster than CPUs can. For some a while passes between the clock and the ring, as for
 * what TCP sends.
 */
#define CAUSES 50000

static void *write_chain(void *arg)
{
	for (uint64_t i = 0; i < CAUSES; i++) {
		/* From one that the reader looks at early to one that it looks at late. */
		uint32_t turn = (uint32_t)(i / 2 % (RINGS / 2)),
			 n = i & 1 ? RINGS - 1 - turn : turn;
		const uint64_t order_ns = now_ns();

		if (i % 3 == 0)
			sched_yield();
		while (!put(n, order_ns, i, NUMBERED))
			sched_yield();
	}
	return arg;
}

START_TEST(causes_come_first)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_chain, NULL), 0);
	for (uint64_t i = 0; i < CAUSES;) {
		bool is_busy;
		size_t size;
		const union numbered *p = rings_peek(&rings, &size, &is_busy);

		if (!p) {
			sched_yield();
			continue;
		}
		ck_assert_uint_eq(p->number, i++);
		rings_release(&rings);
	}
	pthread_join(thread, NULL);
	expect_nothing(false);
}
END_TEST

/*
 * CPUs that share rings, each with a thread, and a reader that does not always keep up: each record
 * comes whole, once, and in the order of its writer.
 */
#define WRITERS 4
#define WRITES 100000

static void *write_many(void *arg)
{
	const uint64_t writer = (uint64_t)(uintptr_t)arg;

	for (uint64_t i = 0; i < WRITES; i++)
		while (!put((uint32_t)writer, now_ns(), writer << 32 | i,
			    NUMBERED + (uint32_t)(i * 13 % 700)))
			sched_yield();
	return NULL;
}

START_TEST(several_writers)
{
	uint64_t next[WRITERS] = {0};
	pthread_t thread[WRITERS];

	again(2, 16 << 10);
	for (uintptr_t i = 0; i < WRITERS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, write_many, (void *)i), 0);
	for (uint64_t n = 0; n < WRITERS * (uint64_t)WRITES;) {
		const union numbered *r;
		uint64_t writer;
		size_t size;
		bool is_busy;

		r = rings_peek(&rings, &size, &is_busy);
		if (!r) {
			sched_yield();
			continue;
		}
		writer = r->number >> 32;
		if (writer >= WRITERS)
			ck_abort();
		check(r, size, writer << 32 | next[writer]++);
		rings_release(&rings);
		n++;
	}
	for (uint32_t i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	expect_nothing(false);
}
END_TEST

START_TEST(map_fails)
{
	struct rings other = {.count = 1, .size = SIZE};

	ck_assert_int_lt(rings_map(&other, -1, -1), 0);
	ck_assert_ptr_null(other.ring[0].place);
	rings_unmap(&other);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {empty,
				      in_order,
				      peek_twice,
				      end_of_ring,
				      full,
				      busy,
				      old_bytes,
				      given_back,
				      position_overflow,
				      wakes_the_reader,
				      several_rings,
				      busy_ring,
				      half_a_look,
				      mark,
				      causes_come_first,
				      several_writers,
				      map_fails,
				      NULL};

	return unit_run("ring", tests, setup, teardown);
}
