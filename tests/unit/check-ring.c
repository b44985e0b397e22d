/* SPDX-License-Identifier: BSD-2-Clause */
/* The consumer of rings, on rings in files: laid out and mapped as the kernel's are. */
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/capture.h"
#include "unit.h"

#define SIZE 4096
#define RINGS RINGS_MAX

static struct rings rings;
/* Of the producers: the data is mapped once. */
static unsigned long *producer[RINGS];
static uint8_t *data[RINGS];
static size_t page;

/*
 * ring_map() maps the data twice in one call, which only the kernel's ring can do. So the test
 * sets up the same layout by hand.
 */
static void setup_ring(uint32_t n)
{
	struct ring *ring = &rings.ring[n];
	int fd = memfd_create("ring", MFD_CLOEXEC);
	uint8_t *all;

	ck_assert_int_eq(ftruncate(fd, (off_t)(2 * page + SIZE)), 0);
	*ring = (struct ring){.size = SIZE, .page = page};
	ring->consumer_pos = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	producer[n] = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)page);
	data[n] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(2 * page));
	all = mmap(NULL, page + 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(mmap(all, page + SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)page) !=
		  MAP_FAILED);
	ck_assert(mmap(all + page + SIZE, SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
		       (off_t)(2 * page)) != MAP_FAILED);
	ring->producer_pos = (unsigned long *)(void *)all;
	ring->data = all + page;
	close(fd);
}

static void setup(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	rings = (struct rings){.count = 1}; /* the others, where a test says so */
	for (uint32_t i = 0; i < RINGS; i++)
		setup_ring(i);
}

static void teardown(void)
{
	for (uint32_t i = 0; i < RINGS; i++) {
		ring_unmap(&rings.ring[i]);
		ck_assert_ptr_null(rings.ring[i].consumer_pos);
		ring_unmap(&rings.ring[i]); /* a second time is harmless */
		munmap(producer[i], page);
		munmap(data[i], SIZE);
	}
}

static unsigned long consumed(uint32_t n)
{
	return __atomic_load_n(rings.ring[n].consumer_pos, __ATOMIC_ACQUIRE);
}

static void put(uint32_t n, unsigned long pos, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[n][(pos + i) & (SIZE - 1)] = ((const uint8_t *)from)[i];
}

static void submit(uint32_t n, unsigned long pos, uint32_t word)
{
	uint32_t *at = (uint32_t *)(void *)(data[n] + (pos & (SIZE - 1)));

	__atomic_store_n(at, word, __ATOMIC_RELEASE);
}

/* What the kernel's reserve does: a record that is being written. */
static unsigned long reserve(uint32_t n, uint32_t len)
{
	unsigned long pos = *producer[n];

	ck_assert_uint_le(pos + len + BPF_RINGBUF_HDR_SZ - consumed(n), SIZE);
	submit(n, pos, len | BPF_RINGBUF_BUSY_BIT);
	__atomic_store_n(producer[n], pos + ((len + BPF_RINGBUF_HDR_SZ + 7) & ~7u),
			 __ATOMIC_RELEASE);
	return pos;
}

/* What its reserve and submit do. flags: BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT */
static unsigned long produce(uint32_t len, uint8_t fill, uint32_t flags)
{
	unsigned long pos = reserve(0, len);

	for (uint32_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)(fill + i);

		put(0, pos + BPF_RINGBUF_HDR_SZ + i, &byte, 1);
	}
	submit(0, pos, len | flags);
	return pos;
}

/* A record in one of several rings. number: that the test knows it by */
struct numbered {
	struct rec_hdr hdr;
	uint64_t number;
};

static void fill_number(uint32_t n, unsigned long pos, uint64_t order_ns, uint64_t number)
{
	struct numbered record = {.hdr = {.order_ns = order_ns}, .number = number};

	put(n, pos + BPF_RINGBUF_HDR_SZ, &record, sizeof(record));
	submit(n, pos, sizeof(record));
}

static void produce_number(uint32_t n, uint64_t order_ns, uint64_t number)
{
	fill_number(n, reserve(n, sizeof(struct numbered)), order_ns, number);
}

static void expect(uint32_t len, uint8_t fill)
{
	bool busy = true;
	size_t size = 0;
	const uint8_t *p = rings_peek(&rings, &size, &busy);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(size, len);
	ck_assert(!busy);
	for (uint32_t i = 0; i < len; i++)
		ck_assert_uint_eq(p[i], (uint8_t)(fill + i));
	rings_release(&rings);
}

static void expect_number(uint64_t number)
{
	bool is_busy;
	size_t size;
	const struct numbered *p = rings_peek(&rings, &size, &is_busy);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(p->number, number);
	rings_release(&rings);
}

static void expect_nothing(bool is_busy)
{
	bool busy = !is_busy;
	size_t size = 0;

	ck_assert_ptr_null(rings_peek(&rings, &size, &busy));
	ck_assert(busy == is_busy);
}

START_TEST(empty)
{
	expect_nothing(false);
	ck_assert_uint_eq(consumed(0), 0);
}
END_TEST

START_TEST(in_order)
{
	produce(1, 10, 0);
	produce(8, 20, 0);
	produce(77, 30, 0);
	expect(1, 10);
	expect(8, 20);
	expect(77, 30);
	expect_nothing(false);
	ck_assert_uint_eq(consumed(0), *producer[0]);
}
END_TEST

/* Peeking is no taking. */
START_TEST(peek_twice)
{
	bool busy;
	size_t size;
	const void *p;

	produce(16, 1, 0);
	p = rings_peek(&rings, &size, &busy);
	ck_assert_ptr_eq(rings_peek(&rings, &size, &busy), p);
	ck_assert_uint_eq(consumed(0), 0);
	expect(16, 1);
}
END_TEST

START_TEST(wrap_around)
{
	/* 4,096 is no multiple of the stride: records lie across the end at many offsets. */
	for (unsigned int i = 0; i < 1000; i++) {
		produce(200 + i % 300, (uint8_t)i, 0);
		produce(31, (uint8_t)(i + 1), 0);
		expect(200 + i % 300, (uint8_t)i);
		expect(31, (uint8_t)(i + 1));
	}
	expect_nothing(false);
}
END_TEST

START_TEST(discarded)
{
	produce(40, 0, BPF_RINGBUF_DISCARD_BIT);
	produce(9, 5, 0);
	produce(100, 0, BPF_RINGBUF_DISCARD_BIT);
	produce(100, 0, BPF_RINGBUF_DISCARD_BIT);
	expect(9, 5);
	expect_nothing(false);
	/* Their memory is given back, too. */
	ck_assert_uint_eq(consumed(0), *producer[0]);
}
END_TEST

START_TEST(busy)
{
	unsigned long pos;

	produce(24, 1, 0);
	pos = produce(24, 2, BPF_RINGBUF_BUSY_BIT);
	produce(24, 3, 0);
	expect(24, 1);
	/* What comes after it has to wait: the order is the kernel's. */
	expect_nothing(true);
	expect_nothing(true);
	ck_assert_uint_eq(consumed(0), pos);
	submit(0, pos, 24);
	expect(24, 2);
	expect(24, 3);
	expect_nothing(false);
}
END_TEST

START_TEST(busy_then_discarded)
{
	unsigned long pos = produce(24, 2, BPF_RINGBUF_BUSY_BIT);

	produce(24, 3, 0);
	expect_nothing(true);
	submit(0, pos, 24 | BPF_RINGBUF_DISCARD_BIT);
	expect(24, 3);
}
END_TEST

/* The kernel gets memory back in large pieces, and all of it when nothing is left. */
START_TEST(given_back)
{
	unsigned long before = 0;

	for (unsigned int i = 0; i < 20; i++)
		produce(56, (uint8_t)i, 0);
	for (unsigned int i = 0; i < 20; i++) {
		expect(56, (uint8_t)i);
		ck_assert_uint_lt(rings.ring[0].pos - consumed(0), SIZE / 8);
		ck_assert(consumed(0) == before || consumed(0) - before >= SIZE / 8);
		before = consumed(0);
	}
	expect_nothing(false);
	ck_assert_uint_eq(consumed(0), *producer[0]);
}
END_TEST

/* The positions are 64-bit and never reset. */
START_TEST(position_overflow)
{
	struct ring *ring = &rings.ring[0];

	*producer[0] = *ring->consumer_pos = ring->pos = ring->seen = ring->end = 0UL - 64;
	for (unsigned int i = 0; i < 20; i++) {
		produce(40, (uint8_t)i, 0);
		expect(40, (uint8_t)i);
	}
}
END_TEST

/* Records of different rings come in their order, and those of one as they stand there. */
START_TEST(several_rings)
{
	rings.count = RINGS;
	produce_number(0, 10, 0);
	produce_number(1, 20, 1);
	produce_number(1, 30, 2);
	produce_number(0, 40, 3);
	produce_number(2, 50, 4);
	produce_number(2, 49, 5); /* an interrupt came between */
	produce_number(1, 60, 6);
	for (uint64_t i = 0; i < 7; i++)
		expect_number(i);
	expect_nothing(false);
	for (uint32_t i = 0; i < RINGS; i++)
		ck_assert_uint_eq(consumed(i), *producer[i]);
	produce_number(2, 70, 7);
	expect_number(7);
	expect_nothing(false);
}
END_TEST

/* While a record is written, what stands behind it may have to come first. */
START_TEST(busy_ring)
{
	unsigned long pos;

	rings.count = RINGS;
	produce_number(0, 10, 0);
	pos = reserve(1, sizeof(struct numbered));
	produce_number(1, 20, 1);
	produce_number(2, 30, 2);
	expect_nothing(true);
	fill_number(1, pos, 5, 7);
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
	rings.count = RINGS;
	produce_number(0, 10, 0);
	expect_number(0);
	produce_number(0, 20, 1);
	produce_number(1, 30, 2);
	rings.ring[1].end = *producer[1];
	expect_number(1);
	expect_number(2);
	expect_nothing(false);
}
END_TEST

START_TEST(mark)
{
	rings.count = RINGS;
	rings_mark(&rings);
	ck_assert(!rings_behind(&rings) && !rings_hold(&rings));
	produce_number(0, 10, 0);
	ck_assert(!rings_behind(&rings) && rings_hold(&rings));
	produce_number(2, 20, 1);
	rings_mark(&rings);
	produce_number(1, 30, 2);
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
 * it takes turns faster than CPUs can.
 */
#define CAUSES 50000

static void *write_chain(void *arg)
{
	for (uint64_t i = 0; i < CAUSES; i++) {
		/* From one that the reader looks at early to one that it looks at late. */
		uint32_t turn = (uint32_t)(i / 2 % (RINGS / 2)),
			 n = i & 1 ? RINGS - 1 - turn : turn;

		while (*producer[n] - consumed(n) + 64 > SIZE)
			sched_yield();
		produce_number(n, now_ns(), i);
	}
	return arg;
}

START_TEST(causes_come_first)
{
	pthread_t thread;

	rings.count = RINGS;
	ck_assert_int_eq(pthread_create(&thread, NULL, write_chain, NULL), 0);
	for (uint64_t i = 0; i < CAUSES;) {
		bool is_busy;
		size_t size;
		const struct numbered *p = rings_peek(&rings, &size, &is_busy);

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

START_TEST(skip)
{
	produce(24, 1, 0);
	produce(24, 2, BPF_RINGBUF_DISCARD_BIT);
	ring_skip(&rings.ring[0]);
	ck_assert_uint_eq(consumed(0), *producer[0]);
}
END_TEST

START_TEST(map_fails)
{
	struct ring other = {0};

	ck_assert_int_lt(ring_map(&other, -1, SIZE), 0);
	ck_assert_ptr_null(other.consumer_pos);
	ring_unmap(&other);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {empty,
				      in_order,
				      peek_twice,
				      wrap_around,
				      discarded,
				      busy,
				      busy_then_discarded,
				      given_back,
				      position_overflow,
				      several_rings,
				      busy_ring,
				      half_a_look,
				      mark,
				      causes_come_first,
				      skip,
				      map_fails,
				      NULL};

	return unit_run("ring", tests, setup, teardown);
}
