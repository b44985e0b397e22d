/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HPACK (RFC 7541), decoded by a reader that may have come late. Pure functions over caller's memory
 * and the pool.
 *
 * An index counts from the newest entry of the dynamic table. So the entries that came since the
 * reader looks are known for sure by their index, whatever came before; what lies behind them is
 * known to be older, and its field is told without name and value. After a block that was not seen
 * it is not known how many entries came: the table begins anew, as on a connection that was met in
 * the middle.
 *
 * The decoder's SETTINGS_HEADER_TABLE_SIZE does not matter here: an encoder says by itself, in a
 * block, which size it uses.
 */
#ifndef APPMON_HPACK_H
#define APPMON_HPACK_H

#include "base/base.h"

/* RFC 9113 section 6.5.2 */
#define HPACK_SIZE_DEFAULT 4096
/* Of a larger table the newest entries are kept. */
#define HPACK_SIZE_KEPT 65536

/* How much room the decoded strings of a block of len bytes take at most: the shortest code of
 * Huffman's has five bits. */
#define HPACK_SCRATCH(len) ((size_t)(len)*8 / 5 + 1)

struct hpack_entry {
	uint32_t at; /* of its strings: see struct hpack */
	uint32_t name_len;
	uint32_t value_len;
	uint8_t name_known;
	uint8_t pad[3];
};

/* The dynamic table of one direction. */
struct hpack {
	char *bytes;		   /* the strings of the entries, one behind the other */
	struct hpack_entry *entry; /* a ring */
	uint32_t room;		   /* bytes that `bytes` has */
	uint32_t used;		   /* of these */
	uint32_t ring;		   /* entries that `entry` has: a power of two, or 0 */
	uint32_t oldest;	   /* its place in the ring */
	uint32_t count;
	uint32_t size; /* RFC 7541 section 4.1; a name that is not known counts 0 */
	uint32_t max;  /* the encoder's, HPACK_SIZE_KEPT at most; that, too, if it is not known */
	bool whole;    /* the encoder has no entry that is not here */
	bool pad[3];
};

/* A string; data NULL: not known. */
struct hpack_str {
	const char *data;
	uint32_t len;
};

struct hpack_field {
	struct hpack_str name, value;
	bool never_indexed; /* its sender takes it for a secret */
};

/* A header block. */
struct hpack_block {
	const uint8_t *at, *end;
	char *scratch; /* HPACK_SCRATCH() bytes */
	bool begun;    /* a field has come: the size of the table cannot change any more */
};

enum { HPACK_FIELD = 1, HPACK_END = 0, HPACK_BAD = -1 };

/* whole: the encoder begins now, too. */
void hpack_init(struct hpack *h, bool whole);
void hpack_free(struct pool *pool, struct hpack *h);
/* A block was not seen: it is not known what entries there are. */
void hpack_lose(struct hpack *h);
/*
 * The next field of a block, whose strings are valid until the next call; HPACK_END at its end. All
 * fields must be taken. HPACK_BAD: this is no header block; hpack_lose() must follow.
 */
int hpack_next(struct pool *pool, struct hpack *h, struct hpack_block *block,
	       struct hpack_field *ret);

#endif /* APPMON_HPACK_H */
