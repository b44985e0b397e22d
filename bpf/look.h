/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 4. Does a segment begin like HTTP/1.x? A cheap superset: the reader parses and decides. */
#ifndef APPMON_LOOK_H
#define APPMON_LOOK_H

#include <linux/types.h>
#include <stdbool.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOOK_BYTE(word, i) ((__u8)((word) >> (8 * (i))))
/* Eight bytes of memory move by some bits towards its begin, those of new follow. */
#define APPEND(old, new, bits) (((old) >> (bits)) | ((new) << (64 - (bits))))
#else
#define LOOK_BYTE(word, i) ((__u8)((word) >> (24 - 8 * (i))))
#define APPEND(old, new, bits) (((old) << (bits)) | ((new) >> (64 - (bits))))
#endif

/* LOOK_BLANK: an empty line, which may stand before either. */
enum look {
	LOOK_NO,
	LOOK_REQUEST = 1,
	LOOK_RESPONSE = 2,
	LOOK_EITHER = 3,
	LOOK_BLANK = 7,
	LOOK_RESP = 8,	  /* of the two behind it, beside the bit of the direction */
	LOOK_COMMAND = 9, /* a request in RESP: an array of strings */
	LOOK_REPLY = 10,
	LOOK_ARRAY = 11, /* either of them */
	LOOK_INLINE = 13 /* a command that people type; recognised as the first of a connection */
};

/* Set before the programs are loaded: RESP is looked for, too, for targets that ask for it. The
 * tests set it at any time. */
#ifndef LOOK_RODATA
#define LOOK_RODATA const volatile
#endif
LOOK_RODATA __u32 resp;

static __always_inline bool is_method_char(__u8 c)
{
	return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static __always_inline bool is_letter(__u8 c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

#define REPLY(c) (1ULL << ((c) - '!'))

/* Commands that are typed in capitals ("PING\r\n") look like HTTP until their reply comes. */
static __always_inline enum look look_at_resp(const __u8 *b, __u32 n)
{
	const __u64 replies = REPLY('+') | REPLY('-') | REPLY(':') | REPLY('$') | REPLY('_') |
			      REPLY(',') | REPLY('#') | REPLY('!') | REPLY('=') | REPLY('(') |
			      REPLY('%') | REPLY('>');
	const __u8 c = b[0] - '!', second = n > 1 ? b[1] : '0';
	const bool digit = (second >= '0' && second <= '9') || second == '-';

	if (b[0] == '*')
		return digit ? LOOK_ARRAY : LOOK_NO;
	if ((c < 64 && (replies >> c & 1)) || b[0] == '~' || b[0] == '|')
		return digit || is_letter(second) || second == '\r' || second == '+' ||
				       second == '?'
			       ? LOOK_REPLY
			       : LOOK_NO;
	if (!is_letter(b[0]) || (n > 1 && !is_letter(b[1])) || (n > 2 && !is_letter(b[2])))
		return LOOK_NO;
	return (b[0] & 0x20) || (n > 1 && (b[1] & 0x20)) ? LOOK_INLINE : LOOK_NO;
}

/* "+FULLRESYNC ...": the whole data goes to a replica. */
static __always_inline bool look_at_fullresync(const __u8 *b, __u32 n)
{
	return n > 3 && b[0] == '+' && b[1] == 'F' && b[2] == 'U' && b[3] == 'L';
}

/*
 * The first four bytes in memory order, n >= 1 of them valid. A request line begins
 * with a method, which in practice is upper case; a status line with "HTTP". A server
 * should ignore empty lines before the request line (RFC 9112 section 2.2), so those pass too.
 */
static __always_inline enum look look_at_http(const __u8 *b, __u32 n)
{
	if (b[0] == '\r' || b[0] == '\n')
		return n == 1 || b[1] == '\r' || b[1] == '\n' || is_method_char(b[1]) ||
				       (resp && b[1] == '*')
			       ? LOOK_BLANK
			       : LOOK_NO;
	/* Methods may begin with "HT", too: see look_line(). */
	if (b[0] == 'H' && (n < 2 || b[1] == 'T') && (n < 3 || b[2] == 'T') &&
	    (n < 4 || b[3] == 'P'))
		return n < 4 ? LOOK_EITHER : LOOK_RESPONSE;
	if (b[0] < 'A' || b[0] > 'Z')
		return LOOK_NO;
	if (n > 1 && !is_method_char(b[1]))
		return LOOK_NO;
	if (n > 2 && !is_method_char(b[2]))
		return LOOK_NO;
	/* The preface of HTTP/2 (RFC 9113 section 3.4); no method is called PRI. */
	if (n > 3 && b[0] == 'P' && b[1] == 'R' && b[2] == 'I' && b[3] == ' ')
		return LOOK_NO;
	/* What SSH begins with (RFC 4253 section 4.2). */
	if (n > 3 && b[0] == 'S' && b[1] == 'S' && b[2] == 'H' && b[3] == '-')
		return LOOK_NO;
	/* The shortest methods have three letters (GET, PUT, ACL). Others: see look_line(). */
	if (n > 3 && !is_method_char(b[3]) && b[3] != ' ')
		return LOOK_NO;
	return LOOK_REQUEST;
}

/* Not static: a global function is verified once, not at every place that calls it. */
__noinline int look_at(__u32 first, __u32 n)
{
	const __u8 b[4] = {LOOK_BYTE(first, 0), LOOK_BYTE(first, 1), LOOK_BYTE(first, 2),
			   LOOK_BYTE(first, 3)};
	enum look look = look_at_http(b, n);

	return !look && resp ? look_at_resp(b, n) : look;
}

/* As much of a line as is looked at. */
#define LOOK_BYTES 512

struct look_bytes {
	__u8 b[LOOK_BYTES];
};

enum { LINE_OTHER, LINE_CUT, LINE_HTTP };

/* May a token hold this (RFC 9110 section 5.6.2)? Those that no text begins with are left out. */
static __always_inline bool is_token_char(__u8 c)
{
	/* By bits: a verifier follows each way through a chain of conditions. */
	const __u64 low = 0x03ff6cfa00000000ULL;  /* "!#$%&'*+-." and digits */
	const __u64 high = 0x57ffffffc7fffffeULL; /* letters, "^_`|~" */
	__u64 second = c >> 6 & 1;		  /* in two halves */

	barrier_var(second);
	return (low ^ (low ^ high) * second) >> (c & 0x3f) & 1 & ~(c >> 7);
}

/* "HTTP/" at the begin of eight bytes, and the mask of these five. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOOK_HTTP 0x2f50545448ULL
#define LOOK_FIVE 0xffffffffffULL
#else
#define LOOK_HTTP 0x485454502f000000ULL
#define LOOK_FIVE 0xffffffffff000000ULL
#endif

/* The high bit of each byte that is a line feed; only the first of them is certain. */
static __always_inline __u64 look_for_end(const __u8 *b)
{
	const __u64 ones = 0x0101010101010101ULL;
	__u64 word = *(const __u64 *)b ^ '\n' * ones;

	return (word - ones) & ~word & 0x80 * ones;
}

/* Its last eight bytes begin at i. Not static: verified once, and not for every i. */
__noinline int look_line_end(const struct look_bytes *line, __u32 n, __u32 i)
{
	__u32 end;

	if (!line || i > LOOK_BYTES - 8) /* never: asked for by the verifier */
		return LINE_CUT;
	for (end = 0; end < 7; end++)
		if (line->b[i + end] == '\n')
			break;
	end += i;
	barrier_var(end);
	if (end >= n || end >= LOOK_BYTES)
		return LINE_CUT;
	/* From "HTTP/2" to "HTTP/1.10", CR and some blanks. */
	for (__u32 back = 6; back < 16; back++) {
		__u32 at = end - back;

		barrier_var(at);
		if (at > LOOK_BYTES - 8)
			break;
		if ((*(const __u64 *)(line->b + at) & LOOK_FIVE) == LOOK_HTTP)
			return LINE_HTTP;
	}
	return LINE_OTHER;
}

/*
 * Does the first line end with the protocol's name and a version (RFC 9112 section 3)? n: bytes
 * that are valid, may be more. Not static: verified once.
 */
__noinline int look_line(const struct look_bytes *line, __u32 n)
{
	if (!line) /* never: asked for by the verifier */
		return LINE_OTHER;
	for (__u32 i = 0; i < LOOK_BYTES; i += 8) {
		/* i >= n, without telling the verifier more of n: see is_plain_line(). */
		if ((__s32)(n - i) <= 0)
			break;
		if (look_for_end(line->b + i))
			return look_line_end(line, n, i);
	}
	return LINE_CUT;
}

/* Tokens are looked at so far. */
#define TOKEN_BYTES 128

/* How long is the token that a line begins with? Not static: verified once. */
__noinline int look_token_end(const struct look_bytes *line, __u32 n)
{
	__u32 i;

	if (!line) /* never: asked for by the verifier */
		return 0;
	for (i = 0; i < TOKEN_BYTES && i < n; i++)
		if (!is_token_char(line->b[i]))
			break;
	return i;
}

/*
 * A method is any token (RFC 9110 section 9.1). Other protocols begin with words, too: the rest of
 * the line must be a request's as far as it is here. Not static: verified once.
 */
__noinline int look_token(const struct look_bytes *line, __u32 n)
{
	__u32 i, ends;
	__u8 c;

	if (!line || !is_token_char(line->b[0]))
		return LOOK_NO;
	if (n > 3 && line->b[0] == 'P' && line->b[1] == 'R' && line->b[2] == 'I' &&
	    line->b[3] == ' ')
		return LOOK_NO; /* HTTP/2 again */
	ends = look_line(line, n);
	if (ends == LINE_OTHER)
		return LOOK_NO;
	i = look_token_end(line, n);
	if (i >= n || i >= TOKEN_BYTES)
		return LOOK_REQUEST;
	c = line->b[i];
	if (c != ' ' && c != '\t')
		return LOOK_NO;
	if (ends == LINE_HTTP)
		return LOOK_REQUEST;
	c = line->b[i + 1];
	return i + 1 >= n || c == '/' || c == '*' || (c | 0x20) == 'h' ? LOOK_REQUEST : LOOK_NO;
}

/*
 * For where a head is not due: more of it must be there. Response: "HTTP/"; request: a
 * method of at most seven letters with its space. b: eight bytes, aligned to four.
 */
static __always_inline enum look look_strict(const __u8 *b)
{
	enum look look = look_at(*(const __u32 *)b, 4);

	if (look == LOOK_BLANK || (look & LOOK_RESP))
		return LOOK_NO;
	if (look == LOOK_RESPONSE)
		return b[4] == '/' ? look : LOOK_NO;
	if (b[3] == ' ' || b[4] == ' ' || b[5] == ' ' || b[6] == ' ' || b[7] == ' ')
		return look;
	return LOOK_NO;
}

#endif /* APPMON_LOOK_H */
