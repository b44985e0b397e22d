/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One JSON object as one line, written while it is made: an event has sixty members, and a busy
 * server makes tens of thousands of events a second. No memory is taken, so only the output can
 * fail; ferror() tells that.
 *
 * The line is ASCII (RFC 8259 allows every character to be escaped): no byte from the network can
 * steer a terminal.
 */
#ifndef APPMON_CLI_JSON_LINE_H
#define APPMON_CLI_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_line {
	FILE *out;
	size_t len;	  /* of text, which goes out when it is full, and at the end of the line */
	bool first;	  /* the next member or element has no comma in front */
	char text[16384]; /* longer than most lines */
};

void json_line_begin(struct json_line *line, FILE *out);
void json_line_end(struct json_line *line);

/* A member's name, which needs no escapes; its value follows. */
void json_line_key(struct json_line *line, const char *key);

/* Values. Those of an array need a call of json_line_element() before each. */
void json_line_open(struct json_line *line, char bracket);
void json_line_close(struct json_line *line, char bracket);
void json_line_element(struct json_line *line);
void json_line_uint(struct json_line *line, uint64_t value);
void json_line_int(struct json_line *line, int64_t value);
void json_line_bool(struct json_line *line, bool value);
/* Bytes as a string; what is not UTF-8 becomes U+FFFD. */
void json_line_string(struct json_line *line, const char *s, size_t len);

#endif /* APPMON_CLI_JSON_LINE_H */
