/* SPDX-License-Identifier: BSD-2-Clause */
/* Text in and out: escaping what came from the network, units of time and size. */
#ifndef APPMON_CLI_TEXT_H
#define APPMON_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC UINT64_C(1000000000)

/* Decodes one UTF-8 character of at most len bytes: its length, or 0 if it is invalid. */
size_t utf8_decode(const char *s, size_t len, uint32_t *ret_char);

/*
 * Writes bytes that nobody vouches for, so that a terminal displays them and obeys
 * none: what is not a visible character becomes \xNN. Stops before max_columns is
 * exceeded. Returns the columns used. out may be NULL, to measure only.
 */
size_t put_escaped(FILE *out, const char *s, size_t len, size_t max_columns);

/* FNV-1a, for tables. */
uint32_t hash_bytes(const void *bytes, size_t size);

/* "1.23ms" and "612B"; buf of TEXT_UNIT_SIZE bytes. */
#define TEXT_UNIT_SIZE 24
const char *format_duration(uint64_t ns, char *buf);
const char *format_bytes(uint64_t bytes, char *buf);

/* Hexadecimal digits; buf of FORMAT_HEX_SIZE(size) bytes. False: all bytes are 0. */
#define FORMAT_HEX_SIZE(size) (2 * (size) + 1)
bool format_hex(const uint8_t *bytes, size_t size, char *buf);

/*
 * "100ms", "1.5s" and so on (ns, us, ms, s, m, h). A number alone is in units of
 * default_unit_ns; if that is 0, it is refused. Returns 0 or -EINVAL.
 */
int parse_duration(const char *text, uint64_t default_unit_ns, uint64_t *ret_ns);

/* "65536", "64K", "8M", "1G" (powers of 1024); at least 1. Returns 0 or -EINVAL. */
int parse_size(const char *text, uint64_t max, uint64_t *ret_bytes);

/* "5%" or "0.05": from 0 to 1. Returns 0 or -EINVAL. */
int parse_share(const char *text, double *ret);

/* A whole number from 1 to max. Returns 0 or -EINVAL. */
int parse_count(const char *text, uint64_t max, uint64_t *ret_count);

/* An http:// or https:// URL without user and password, to be shown; to be freed. NULL: no memory.
 */
char *url_without_user(const char *url);

#endif /* APPMON_CLI_TEXT_H */
