/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring's consumer, on a ring in a file: laid out and mapped as the kernel's is. */
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/capture.h"
#include "unit.h"

#define SIZE 4096

static struct ring ring;
static unsigned long *producer;
static uint8_t *data; /* of the producer, mapped once */
static size_t page;

/*
 * ring_map() maps the data twice in one call, which only the kernel's ring can do. So the test
 * sets up the same layout by hand.
 */
static void setup(void)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);
	uint8_t *all;

	page = (size_t)sysconf(_SC_PAGESIZE);
	ck_assert_int_eq(ftruncate(fd, (off_t)(2 * page + SIZE)), 0);
	ring = (struct ring){.size = SIZE, .page = page};
	ring.consumer_pos = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	producer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)page);
	data = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(2 * page));
	all = mmap(NULL, page + 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(mmap(all, page + SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)page) !=
		  MAP_FAILED);
	ck_assert(mmap(all + page + SIZE, SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
		       (off_t)(2 * page)) != MAP_FAILED);
	ring.producer_pos = (unsigned long *)(void *)all;
	ring.data = all + page;
	close(fd);
}

static void teardown(void)
{
	ring_unmap(&ring);
	ck_assert_ptr_null(ring.consumer_pos);
	ring_unmap(&ring); /* a second time is harmless */
	munmap(producer, page);
	munmap(data, SIZE);
}

static void put_byte(unsigned long pos, uint8_t byte)
{
	data[pos & (SIZE - 1)] = byte;
}

/* What the kernel's reserve and submit do. flags: BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT */
static unsigned long produce(uint32_t len, uint8_t fill, uint32_t flags)
{
	unsigned long pos = *producer;
	uint32_t word = len | flags;

	ck_assert_uint_le(pos + len + BPF_RINGBUF_HDR_SZ - *ring.consumer_pos, SIZE);
	memcpy(data + (pos & (SIZE - 1)), &word, sizeof(word));
	for (uint32_t i = 0; i < len; i++)
		put_byte(pos + BPF_RINGBUF_HDR_SZ + i, (uint8_t)(fill + i));
	*producer = pos + ((len + BPF_RINGBUF_HDR_SZ + 7) & ~7u);
	return pos;
}

static void submit(unsigned long pos, uint32_t word)
{
	memcpy(data + (pos & (SIZE - 1)), &word, sizeof(word));
}

static void expect(uint32_t len, uint8_t fill)
{
	bool busy = true;
	size_t size = 0;
	const uint8_t *p = ring_peek(&ring, &size, &busy);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(size, len);
	ck_assert(!busy);
	for (uint32_t i = 0; i < len; i++)
		ck_assert_uint_eq(p[i], (uint8_t)(fill + i));
	ring_release(&ring);
}

static void expect_nothing(bool is_busy)
{
	bool busy = !is_busy;
	size_t size = 0;

	ck_assert_ptr_null(ring_peek(&ring, &size, &busy));
	ck_assert(busy == is_busy);
}

START_TEST(empty)
{
	expect_nothing(false);
	ck_assert_uint_eq(*ring.consumer_pos, 0);
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
	ck_assert_uint_eq(*ring.consumer_pos, *producer);
}
END_TEST

/* Peeking is no taking. */
START_TEST(peek_twice)
{
	bool busy;
	size_t size;
	const void *p;

	produce(16, 1, 0);
	p = ring_peek(&ring, &size, &busy);
	ck_assert_ptr_eq(ring_peek(&ring, &size, &busy), p);
	ck_assert_uint_eq(*ring.consumer_pos, 0);
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
	ck_assert_uint_eq(*ring.consumer_pos, *producer);
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
	ck_assert_uint_eq(*ring.consumer_pos, pos);
	submit(pos, 24);
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
	submit(pos, 24 | BPF_RINGBUF_DISCARD_BIT);
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
		ck_assert_uint_lt(ring_consumed(&ring) - *ring.consumer_pos, SIZE / 8);
		ck_assert(*ring.consumer_pos == before || *ring.consumer_pos - before >= SIZE / 8);
		before = *ring.consumer_pos;
	}
	expect_nothing(false);
	ck_assert_uint_eq(*ring.consumer_pos, *producer);
}
END_TEST

/* The positions are 64-bit and never reset. */
START_TEST(position_overflow)
{
	*producer = *ring.consumer_pos = ring.pos = ring.end = 0UL - 64;
	for (unsigned int i = 0; i < 20; i++) {
		produce(40, (uint8_t)i, 0);
		expect(40, (uint8_t)i);
	}
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
				      map_fails,
				      NULL};

	return unit_run("ring", tests, setup, teardown);
}
