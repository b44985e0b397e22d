/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where field names and lines end. Two masks say of SCAN_BYTES bytes which are odd, that is no
 * printable ASCII, and which are colons, the first byte lowest: as much as most field lines are
 * long.
 *
 * With SCAN_PORTABLE no processor's own instructions are used; tests/fuzz/fuzz-http1.c holds that
 * both ways parse alike.
 */
#ifndef APPMON_SCAN_H
#define APPMON_SCAN_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SCAN_BYTES 32

struct scan {
	uint32_t odd, colon;
};

#if defined(__SSE2__) && !defined(SCAN_PORTABLE)
#include <emmintrin.h>

static inline __m128i scan_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Signed: 0x20 to 0x7e is what lies above 0x20 with 1 added. */
static inline uint32_t scan_text(__m128i bytes)
{
	bytes = _mm_add_epi8(bytes, _mm_set1_epi8(1));
	return (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(0x20)));
}

static inline uint32_t scan_equal(__m128i bytes, char c)
{
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
}

static inline struct scan scan_block(const char *p)
{
	__m128i a = scan_load(p), b = scan_load(p + 16);

	return (struct scan){
		.odd = ~(scan_text(a) | scan_text(b) << 16),
		.colon = scan_equal(a, ':') | scan_equal(b, ':') << 16,
	};
}
#else
/* The high bits of eight bytes, side by side. */
static inline uint32_t scan_gather(uint64_t word)
{
	word &= UINT64_C(0x8080808080808080);
	return (uint32_t)(word * UINT64_C(0x0002040810204081) >> 56);
}

static inline struct scan scan_block(const char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), low = 0x7f * ones;
	struct scan s = {0};

	for (int i = 0; i < SCAN_BYTES; i += 8) {
		uint64_t word, ascii;

		memcpy(&word, p + i, sizeof(word));
		word = le64toh(word);
		ascii = word & low;
		/* Beyond ASCII, 0x7f, below 0x20. No sum carries. */
		s.odd |= scan_gather(word | (ascii + ones) | ~(ascii + 0x60 * ones)) << i;
		s.colon |= scan_gather(~(word | ((ascii ^ ':' * ones) + low))) << i;
	}
	return s;
}
#endif

/* All of a text that is shorter than a block, from p on. */
static __attribute__((noinline)) struct scan scan_short(const char *p, const char *end)
{
	char copy[SCAN_BYTES];

	memset(copy, ' ', sizeof(copy));
	memcpy(copy, p, (size_t)(end - p));
	return scan_block(copy);
}

/* The block that begins with p, below end, in the text [begin, end): nothing outside is read, and
 * no byte outside is marked. */
static inline struct scan scan_at(const char *begin, const char *p, const char *end)
{
	struct scan s;

	if (end - p >= SCAN_BYTES)
		return scan_block(p);
	if (end - begin < SCAN_BYTES)
		return scan_short(p, end);
	s = scan_block(end - SCAN_BYTES);
	s.odd >>= SCAN_BYTES - (end - p);
	s.colon >>= SCAN_BYTES - (end - p);
	return s;
}

/* The first odd byte of the text from p on; end if there is none. */
static inline const char *scan_odd(const char *begin, const char *p, const char *end)
{
	for (; p < end; p += SCAN_BYTES) {
		uint32_t odd = scan_at(begin, p, end).odd;

		if (odd)
			return p + __builtin_ctz(odd);
	}
	return end;
}

#endif /* APPMON_SCAN_H */
