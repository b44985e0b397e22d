/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where field names and lines end. A mask says which of the next SCAN_BYTES bytes are no plain
 * text: control bytes, colons, bytes beyond ASCII. It is kept from call to call, since the colon,
 * the end of the line and the next colon mostly lie in one block. It has SCAN_BITS bits a byte, the
 * first byte lowest.
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

#if defined(__SSE2__) && !defined(SCAN_PORTABLE)
#include <emmintrin.h>

#define SCAN_BYTES 64
#define SCAN_BITS 1

/* The mask of 16 bytes: what is plain text. Signed: 0x20 to 0x7e is what lies above 0x20 with 1
 * added. */
static inline uint64_t scan_text(const char *p)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i plain = _mm_cmpgt_epi8(_mm_add_epi8(bytes, _mm_set1_epi8(1)), _mm_set1_epi8(0x20));
	__m128i colon = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(':'));

	return (uint32_t)_mm_movemask_epi8(_mm_andnot_si128(colon, plain));
}

static inline uint64_t scan_block(const char *p)
{
	return ~(scan_text(p) | scan_text(p + 16) << 16 | scan_text(p + 32) << 32 |
		 scan_text(p + 48) << 48);
}
#else
#define SCAN_BYTES 8
#define SCAN_BITS 8

static inline uint64_t scan_block(const char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), low = 0x7f * ones;
	uint64_t word, ascii;

	memcpy(&word, p, sizeof(word));
	word = le64toh(word);
	ascii = word & low;
	/* The high bit of each byte: beyond ASCII, 0x7f, below 0x20, a colon. No sum carries. */
	return (word | (ascii + ones) | ~(ascii + 0x60 * ones) | ~((ascii ^ ':' * ones) + low)) &
	       ~low;
}
#endif

struct scan {
	const char *begin, *end; /* of the text: nothing outside is read */
	const char *at;		 /* what the mask stands for */
	uint64_t mask;
};

static inline __attribute__((always_inline)) void scan_load(struct scan *s, const char *p)
{
	if ((size_t)(s->end - p) >= SCAN_BYTES) {
		s->at = p;
		s->mask = scan_block(p);
	} else if ((size_t)(s->end - s->begin) >= SCAN_BYTES) {
		/* The last block overlaps the one before. */
		s->at = s->end - SCAN_BYTES;
		s->mask = scan_block(s->at);
	} else {
		char copy[SCAN_BYTES];

		memset(copy, ' ', sizeof(copy));
		memcpy(copy, s->begin, (size_t)(s->end - s->begin));
		s->at = s->begin;
		s->mask = scan_block(copy);
	}
}

static inline void scan_init(struct scan *s, const char *begin, const char *end)
{
	s->begin = begin;
	s->end = end;
	s->at = begin;
	s->mask = 0;
	if (begin < end)
		scan_load(s, begin);
}

/* The first control byte other than a tab from p on, with colon the first colon if that comes
 * before; end if there is none. p never lies before the last call's. */
static inline __attribute__((always_inline)) const char *scan_next(struct scan *s, const char *p,
								   bool colon)
{
	while (p < s->end) {
		uint64_t mask;

		if (p - s->at >= SCAN_BYTES)
			scan_load(s, p);
		mask = s->mask >> ((p - s->at) * SCAN_BITS);
		if (!mask) {
			p = s->at + SCAN_BYTES;
			continue;
		}
		p += __builtin_ctzll(mask) / SCAN_BITS;
		if (*p == ':' ? colon : (unsigned char)*p < 0x80 && *p != '\t')
			return p;
		p++;
	}
	return s->end;
}

#endif /* APPMON_SCAN_H */
