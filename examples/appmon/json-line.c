/* SPDX-License-Identifier: BSD-2-Clause */
#include "json-line.h"

#include <string.h>

#include "text.h"

#define REPLACEMENT 0xfffd
#define UINT_DIGITS 20

/* 1: stands for itself in a string. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void send(struct json_line *line)
{
	fwrite_unlocked(line->text, 1, line->len, line->out);
	line->len = 0;
}

static void put(struct json_line *line, const char *s, size_t len)
{
	while (len > sizeof(line->text) - line->len) {
		size_t part = sizeof(line->text) - line->len;

		memcpy(line->text + line->len, s, part);
		line->len += part;
		send(line);
		s += part;
		len -= part;
	}
	memcpy(line->text + line->len, s, len);
	line->len += len;
}

static void put_char(struct json_line *line, char c)
{
	if (line->len == sizeof(line->text))
		send(line);
	line->text[line->len++] = c;
}

static void separate(struct json_line *line)
{
	if (!line->first)
		put_char(line, ',');
	line->first = false;
}

void json_line_open(struct json_line *line, char bracket)
{
	put_char(line, bracket);
	line->first = true;
}

void json_line_close(struct json_line *line, char bracket)
{
	put_char(line, bracket);
	line->first = false;
}

void json_line_begin(struct json_line *line, FILE *out)
{
	line->out = out;
	line->len = 0;
	json_line_open(line, '{');
}

void json_line_end(struct json_line *line)
{
	json_line_close(line, '}');
	put_char(line, '\n');
	send(line);
}

void json_line_key(struct json_line *line, const char *key)
{
	separate(line);
	put_char(line, '"');
	put(line, key, strlen(key));
	put(line, "\":", 2);
}

void json_line_element(struct json_line *line)
{
	separate(line);
}

void json_line_uint(struct json_line *line, uint64_t value)
{
	char digits[UINT_DIGITS], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	put(line, p, (size_t)(digits + sizeof(digits) - p));
}

void json_line_int(struct json_line *line, int64_t value)
{
	if (value < 0)
		put_char(line, '-');
	/* Also right for INT64_MIN, which has no positive counterpart. */
	json_line_uint(line, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void json_line_bool(struct json_line *line, bool value)
{
	if (value)
		put(line, "true", 4);
	else
		put(line, "false", 5);
}

static void put_unit(struct json_line *line, uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	const char text[] = {
		'\\',	       'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15],
		hex[unit & 15]};

	put(line, text, sizeof(text));
}

static void put_escaped_char(struct json_line *line, uint32_t c)
{
	static const char shorthand[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
					 ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};

	if (c < sizeof(shorthand) && shorthand[c] != '\0') {
		put_char(line, '\\');
		put_char(line, shorthand[c]);
	} else if (c >= 0x10000) {
		/* UTF-16's surrogate pair (RFC 8259 section 7). */
		put_unit(line, 0xd800 + ((c - 0x10000) >> 10));
		put_unit(line, 0xdc00 + ((c - 0x10000) & 0x3ff));
	} else {
		put_unit(line, c);
	}
}

void json_line_string(struct json_line *line, const char *s, size_t len)
{
	put_char(line, '"');
	while (len > 0) {
		uint32_t c = REPLACEMENT;
		size_t n = 0;

		while (n < len && is_plain((unsigned char)s[n]))
			n++;
		put(line, s, n);
		s += n;
		len -= n;
		if (len == 0)
			break;
		n = utf8_decode(s, len, &c);
		put_escaped_char(line, n > 0 ? c : REPLACEMENT);
		n = n > 0 ? n : 1;
		s += n;
		len -= n;
	}
	put_char(line, '"');
}
