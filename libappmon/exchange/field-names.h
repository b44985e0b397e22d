/* SPDX-License-Identifier: BSD-2-Clause */
/* The names of header fields whose values the host gets. Built once per handle, read-only after. */
#ifndef APPMON_FIELD_NAMES_H
#define APPMON_FIELD_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIELD_NAMES_MAX 96
/* Fields of one message that are kept. */
#define FIELDS_MAX 32

struct field_names {
	const char *name[FIELD_NAMES_MAX]; /* lower case, borrowed */
	uint8_t len[FIELD_NAMES_MAX];
	uint8_t next[FIELD_NAMES_MAX]; /* chain in a bucket: index + 1, 0 ends it */
	uint8_t bucket[32];
	uint32_t letters[32]; /* that names begin with, by the length of the name */
	uint32_t count;
};

/* Of a set of letters, any case; other characters fall on one of the 32, too. */
#define LETTER(c) (1u << ((c)&31))

/* Any case of the first letter gives the same. */
static inline unsigned int field_names_bucket(char first, size_t len)
{
	return ((unsigned char)first + (unsigned int)len * 5) % 32;
}

/* Adds a name that is already lower case and outlives the names. False: full, not a token (RFC 9110
 * section 5.1), or over 255 bytes; adding a name twice is accepted and has no effect. */
bool field_names_add(struct field_names *names, const char *name);

#endif /* APPMON_FIELD_NAMES_H */
