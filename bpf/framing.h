/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * 5. Where a message ends (RFC 9112 section 6): the fields of its head that frame it are found, and
 * chunks are followed from one size line to the next. So the programs know where the next
 * request begins, wherever in a segment that is, without looking at bodies. Only what is plain is
 * followed: anything odd is FRAMING_UNKNOWN, and then the reader gets all bytes and decides.
 */
#ifndef APPMON_FRAMING_H
#define APPMON_FRAMING_H

#include "state.h"

#ifdef __bpf__
/* Before 6.2 a loop must not end with a call ("back-edge"). */
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL /* the tests compile this for the host */
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FIRST(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
#define CRLF_CRLF 0x0a0d0a0d
#define WORD(a, b, c, d, e, f, g, h)                                                               \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |   \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#else
#define FIRST(a, b, c, d) ((__u32)(d) | (__u32)(c) << 8 | (__u32)(b) << 16 | (__u32)(a) << 24)
#define CRLF_CRLF 0x0d0a0d0a
#define WORD(a, b, c, d, e, f, g, h)                                                               \
	((__u64)(h) | (__u64)(g) << 8 | (__u64)(f) << 16 | (__u64)(e) << 24 | (__u64)(d) << 32 |   \
	 (__u64)(c) << 40 | (__u64)(b) << 48 | (__u64)(a) << 56)
#endif
#define LOWER_CASE 0x2020202020202020ULL

/* ---- heads ----------------------------------------------------------------------- */

/* How a head frames the body. ODD: readers may differ about it (RFC 9112 section 11.2). */
enum { HEAD_LENGTH = 1, HEAD_CHUNKED = 2, HEAD_ODD = 4 };

struct scan {
	__u64 length; /* of the body, HEAD_LENGTH */
	__u32 end;    /* bytes of the head; 0: it goes on */
	__u32 found;  /* HEAD_* */
};

/* As much of a field line as is looked at, and a piece of a head. Pieces overlap so that no such
 * line is cut. */
#define FIELD_BYTES 48
#define BLOCK_STEP 192
struct field {
	__u8 b[FIELD_BYTES];
};
struct block {
	__u8 b[256];
};

static __always_inline bool is_blank(__u8 c)
{
	return c == ' ' || c == '\t';
}

/* The value stands at `from`: digits and the end of the line. */
static __always_inline void scan_length(const __u8 *b, __u32 from, struct scan *scan, __u32 n)
{
	__u64 length = 0;
	__u32 i;

	for (i = from; i < from + 19; i++) {
		__u8 digit = b[i] - '0';

		if (digit > 9)
			break;
		length = length * 10 + digit;
	}
	if (i + 1 >= n)
		return; /* cut: the rest comes with the next segment */
	if (b[i] != '\r' || b[i + 1] != '\n' || i == from || i == from + 19 ||
	    ((scan->found & HEAD_LENGTH) && scan->length != length))
		scan->found |= HEAD_ODD;
	scan->length = length;
	scan->found |= HEAD_LENGTH;
}

/* One field line, of which n bytes are here. Not static: verified once. */
__noinline int scan_field(const struct field *field, struct scan *scan, __u32 n)
{
	const __u64 length = WORD('l', 'e', 'n', 'g', 't', 'h', ' ', ' ') | LOWER_CASE;
	const __u64 six = WORD(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0);
	const __u64 seven = WORD(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0);
	const __u8 *b;
	__u64 first, second;

	if (!field || !scan) /* never: asked for by the verifier */
		return 0;
	b = field->b;
	first = *(const __u64 *)b | LOWER_CASE;
	second = *(const __u64 *)(b + 8) | LOWER_CASE;
	if (n > 0 && is_blank(b[0])) {
		scan->found |= HEAD_ODD; /* the line before goes on (section 5.2) */
	} else if (n >= 15 && first == WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-') &&
		   (second & six) == (length & six)) {
		if (b[14] == ':' && b[15] == ' ')
			scan_length(b, 16, scan, n);
		else if (b[14] == ':')
			scan_length(b, 15, scan, n);
		else if (is_blank(b[14]))
			scan->found |= HEAD_ODD;
	} else if (n >= 18 && first == WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r') &&
		   second == WORD('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n') &&
		   (b[16] | 0x20) == 'g') {
		const __u8 *value = is_blank(b[18]) ? b + 19 : b + 18;

		if (value + 9 > b + n)
			return 0; /* cut */
		if (b[17] == ':' && value[7] == '\r' && value[8] == '\n' &&
		    ((*(const __u64 *)value | LOWER_CASE) & seven) ==
			    (WORD('c', 'h', 'u', 'n', 'k', 'e', 'd', 0) & seven))
			scan->found |= HEAD_CHUNKED;
		else
			scan->found |= HEAD_ODD;
	}
	return 0;
}

/* Is a line that begins so any of scan_field()'s business? Most are not; Content-Type is in most
 * heads. */
static __always_inline bool is_framing(const __u8 *b)
{
	const __u64 first = *(const __u64 *)b | LOWER_CASE;

	return (first == WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-') && (b[8] | 0x20) == 'l') ||
	       first == WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r') || is_blank(b[0]);
}

#define ONES 0x0101010101010101ULL

/* The high bit of each byte that is a line feed; only the first of them is certain. */
static __always_inline __u64 line_feeds(const __u8 *b)
{
	__u64 word = *(const __u64 *)b ^ '\n' * ONES;

	return (word - ONES) & ~word & 0x80 * ONES;
}

enum { LINE_PASSED, LINE_LAST, LINE_FURTHER };

/* May a line that begins so be of is_framing(), or the empty one? Most are not. */
static __always_inline bool may_matter(__u8 c)
{
	const __u64 low = 1ULL << '\r' | 1ULL << ' ' | 1ULL << '\t';
	const __u64 high =
		1ULL << ('C' & 63) | 1ULL << ('c' & 63) | 1ULL << ('T' & 63) | 1ULL << ('t' & 63);

	return (c & 0x40 ? high : low) >> (c & 63) & 1;
}

/*
 * The first line that ends among the eight bytes behind the one at i (found: their line feeds).
 * PASSED: with CRLF, and no other one ends there. This is so of most. LAST: the head ends behind it,
 * at scan->end. Inlined: a function's return is slow where the kernel guards it.
 */
static __always_inline int line_at(const struct block *block, struct scan *scan, __u32 i,
				   __u64 found, __u32 n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	const __u64 lowest = found & -found;
	const __u8 *b;
	__u64 at; /* 64 bits: else the verifier loses sight of it */

	/* The last three bits are all that it can have: so much for the verifier. */
	at = i + ((lowest >> 7) * 0x0001020304050607ULL >> 56 & 7);
	barrier_var(at);
	/* at + 4 > n, without telling the verifier more of n: it would follow each value apart. */
	if ((__s32)(n - (__u32)at - 4) < 0)
		return LINE_FURTHER;
	b = block->b + at;
	if (b[0] != '\r')
		return LINE_FURTHER;
	if (may_matter(b[2])) {
		if (b[2] == '\r' && b[3] == '\n') {
			scan->end = at + 4;
			return LINE_LAST;
		}
		if (found != lowest || b[2] == '\r')
			return LINE_FURTHER;
		if (is_framing(b + 2))
			scan_field((const struct field *)(b + 2), scan, n - (__u32)at - 2);
		return LINE_PASSED;
	}
	return found == lowest ? LINE_PASSED : LINE_FURTHER;
#else
	return LINE_FURTHER;
#endif
}

/* Line ends among the eight bytes behind the one at i. Returns 1 at the end of the head. */
__noinline int scan_word(const struct block *block, struct scan *scan, __u32 i, __u32 n)
{
	if (!block || !scan || i >= BLOCK_STEP)
		return 0;
	UNROLL
	for (__u32 k = 0; k < 8; k++) {
		const __u8 *b = block->b + i + k;
		__u32 line = i + k + 2; /* where the next one begins */

		if (line > n)
			return 0;
		if (b[1] != '\n')
			continue;
		if (b[0] != '\r') { /* allowed (RFC 9112 section 2.2), but few send that */
			scan->found |= HEAD_ODD;
		} else if (line + 2 <= n && b[2] == '\r' && b[3] == '\n') {
			scan->end = line + 2;
			return 1;
		} else if (is_framing(b + 2)) {
			scan_field((const struct field *)(b + 2), scan, n - line);
		}
	}
	return 0;
}

/*
 * Field lines that begin in the block, and the empty line that ends the head. n: bytes that are
 * valid, may be more. Returns 1 at the end of the head. A line that is looked at twice does no
 * harm.
 */
__noinline int scan_block(const struct block *block, struct scan *scan, __u32 n)
{
	__u64 found, second;
	int line;

	if (!block || !scan)
		return 0;
	for (__u32 i = 0; i < BLOCK_STEP; i += 16) {
		if (i >= n)
			break;
		found = line_feeds(block->b + i + 1);
		second = line_feeds(block->b + i + 9);
		if (!(found | second))
			continue;
		line = found ? line_at(block, scan, i, found, n) : LINE_PASSED;
		if (line == LINE_LAST || (line == LINE_FURTHER && scan_word(block, scan, i, n)))
			return 1;
		line = second ? line_at(block, scan, i + 8, second, n) : LINE_PASSED;
		if (line == LINE_LAST || (line == LINE_FURTHER && scan_word(block, scan, i + 8, n)))
			return 1;
	}
	return 0;
}

/* Bytes behind those of a record that the last block may look at; they do not count. */
#define SCAN_SLACK 64

/* b: n bytes of a head, in a record with room for `bytes`, a constant, and SCAN_SLACK. */
static __always_inline void scan_head(const __u8 *b, __u32 n, const __u32 bytes, struct scan *scan)
{
	const __u32 last = bytes + SCAN_SLACK - sizeof(struct block);

	scan->end = 0;
	UNROLL
	for (__u32 off = 0; off < bytes; off += BLOCK_STEP) {
		const __u32 at = off < last ? off : last;

		if (off >= n)
			break;
		if (scan_block((const struct block *)(b + at), scan, n - at)) {
			scan->end += at;
			break;
		}
	}
}

/* ---- bodies ----------------------------------------------------------------------- */

/* Sequence numbers have an order within 2 GiB: longer bodies are passed in steps. */
#define FRAMING_STEP (1U << 30)

static __always_inline void framing_pass(struct framing *f, __u64 bytes)
{
	__u32 step = bytes < FRAMING_STEP ? bytes : FRAMING_STEP;

	f->due += step;
	f->left = bytes - step;
}

/* The stream has come to `end`. */
static __always_inline void framing_reach(struct framing *f, __u32 end)
{
	if (f->left && (__s32)(end - f->due) > 0)
		framing_pass(f, f->left);
}

/* Chunk-size lines of one segment that are followed, and what is read for each. */
#define CHUNKS_MAX 16
#define CHUNK_LINE (LINE_BYTES / 2)

struct line {
	__u8 b[CHUNK_LINE + 4]; /* CHUNK_LINE are looked at */
};

/* The size at the begin of n bytes. Returns its digits. */
__noinline int chunk_size(const struct line *line, __u64 *size, __u32 n)
{
	__u64 value = 0;
	__u32 i;

	if (!line || !size)
		return 0;
	for (i = 0; i < 16; i++) {
		__u8 c = line->b[i], letter = (c | 0x20) - 'a';

		if (i >= n)
			break;
		c -= '0';
		if (c > 9 && letter > 5)
			break;
		value = value << 4 | (c > 9 ? letter + 10 : c);
	}
	*size = value;
	return i;
}

/* Where the first line ends, and where the first empty one begins: at a CR, or where an LF without
 * one is before it; CHUNK_LINE: nowhere. */
__noinline int line_end(const struct line *line)
{
	__u32 i;

	if (!line)
		return CHUNK_LINE;
	for (i = 1; i < CHUNK_LINE; i++)
		if (line->b[i] == '\r' || line->b[i] == '\n')
			break;
	return i;
}

__noinline int section_end(const struct line *line)
{
	__u32 i;

	if (!line)
		return CHUNK_LINE;
	for (i = 1; i < CHUNK_LINE; i++)
		if (*(const __u32 *)(line->b + i) == CRLF_CRLF ||
		    (line->b[i] == '\n' && line->b[i - 1] != '\r'))
			break;
	return i;
}

enum { CHUNK_FOLLOWED, CHUNK_CUT, CHUNK_ODD };

/*
 * The chunk-size line at framing.due (RFC 9112 section 7.1), n bytes of which are in sk->line.
 * After the last chunk also the trailer section, if it is short.
 */
static __always_inline int chunk_line(struct socket *sk, __u32 n)
{
	const struct line *line = (const struct line *)sk->line;
	struct framing *f = &sk->framing;
	__u32 digits, end;
	__u64 size = 0;
	__u8 next;

	digits = chunk_size(line, &size, n);
	if (!digits || digits >= 16)
		return CHUNK_ODD;
	barrier_var(digits);
	digits &= 15;
	next = sk->line[digits];
	/* Extensions stand between the size and the end of the line. */
	if (digits < n && next != '\r' && next != ';' && !is_blank(next))
		return CHUNK_ODD;
	end = line_end(line) & (2 * CHUNK_LINE - 1);
	if (end + 2 <= n && line->b[end + 1] != '\n')
		return CHUNK_ODD;
	if (!size)
		end = section_end(line) & (2 * CHUNK_LINE - 1);
	if (end < n && line->b[end] == '\n') /* peers differ about it */
		return CHUNK_ODD;
	end += size ? 2 : 4;
	if (end > n)
		return n < CHUNK_LINE ? CHUNK_CUT : CHUNK_ODD;
	f->due += end;
	if (size)
		framing_pass(f, size + 2);
	else
		f->phase = FRAMING_HEAD;
	return CHUNK_FOLLOWED;
}

/*
 * FRAMING_CHUNK: follows the chunks up to `end`, the sequence number after the segment. base:
 * what is to be added to a sequence number for its offset in the packet. A line that the segment
 * cuts waits in sk->line. Not static: verified once.
 */
__noinline int follow_chunks(struct __sk_buff *skb, struct socket *sk, __u32 base, __u32 end)
{
	struct framing *f;

	if (!sk)
		return 0;
	f = &sk->framing;
	UNROLL
	for (int i = 0; i < CHUNKS_MAX; i++) {
		__u32 have = sk->line_len, n, at;
		int ret;

		framing_reach(f, end);
		at = f->due + have;
		n = end - at;
		if ((__s32)n <= 0)
			return 0;
		if (have >= CHUNK_LINE)
			break;
		if (n > CHUNK_LINE)
			n = CHUNK_LINE;
		barrier_var(have);
		barrier_var(n);
		have &= CHUNK_LINE - 1;
		n = ((n - 1) & (CHUNK_LINE - 1)) + 1;
		if (bpf_skb_load_bytes(skb, base + at, sk->line + have, n))
			break;
		ret = chunk_line(sk, have + n);
		if (ret == CHUNK_ODD)
			break;
		if (ret == CHUNK_CUT) {
			sk->line_len = have + n;
			return 0;
		}
		sk->line_len = 0;
		if (f->phase != FRAMING_CHUNK)
			return 0;
	}
	f->phase = FRAMING_UNKNOWN;
	return 0;
}

#endif /* APPMON_FRAMING_H */
