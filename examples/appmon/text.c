/* SPDX-License-Identifier: BSD-2-Clause */
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

size_t utf8_decode(const char *s, size_t len, uint32_t *ret_char)
{
	/* The smallest character that needs this many bytes: less is an overlong form. */
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)s;
	size_t need;
	uint32_t c;

	if (len == 0)
		return 0;
	if (p[0] < 0x80) {
		*ret_char = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		need = 2;
		c = p[0] & 0x1f;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		need = 3;
		c = p[0] & 0x0f;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		need = 4;
		c = p[0] & 0x07;
	} else {
		return 0;
	}
	if (len < need)
		return 0;
	for (size_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[need] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret_char = c;
	return need;
}

/* Characters that turn the direction of the text around them (Unicode Bidi_Control). */
static bool is_bidi_control(uint32_t c)
{
	return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* Characters that wcwidth() gives a column and that many terminals give none, or a blank: the soft
 * hyphen, the fillers of Hangul, private use. */
static bool is_invisible(uint32_t c)
{
	return c == 0xad || c == 0x115f || c == 0x1160 || c == 0x3164 || c == 0xffa0 ||
	       (c >= 0xe000 && c <= 0xf8ff) || c >= 0xf0000;
}

/* Printable ASCII, one column each. Without the backslash, else an escape could be forged. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '\\';
}

/* Columns of a character that may go to a terminal as it is; 0: escape it. */
static size_t visible_width(uint32_t c)
{
	int width;

	if (c < 0x80)
		return is_plain((unsigned char)c);
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0 || is_bidi_control(c) || is_invisible(c))
		return 0;
	/* No C1 control and nothing invisible has a positive width. */
	width = wcwidth((wchar_t)c);
	return width > 0 ? (size_t)width : 0;
}

static size_t plain_length(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && is_plain((unsigned char)s[n]))
		n++;
	return n;
}

uint32_t hash_bytes(const void *bytes, size_t size)
{
	const unsigned char *c = bytes;
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ c[i]) * 16777619U;
	return hash;
}

size_t put_escaped(FILE *out, const char *s, size_t len, size_t max_columns)
{
	size_t columns = 0;

	for (;;) {
		size_t n =
			plain_length(s, len < max_columns - columns ? len : max_columns - columns);
		size_t width;
		bool escape;
		uint32_t c;

		if (out && n > 0)
			fwrite_unlocked(s, 1, n, out);
		columns += n;
		s += n;
		len -= n;
		if (len == 0)
			break;
		n = utf8_decode(s, len, &c);
		width = n > 0 ? visible_width(c) : 0;
		escape = width == 0;
		if (n == 0)
			n = 1;
		if (escape)
			width = 4 * n;
		if (width > max_columns - columns)
			break;
		columns += width;
		if (out && escape) {
			for (size_t i = 0; i < n; i++)
				fprintf(out, "\\x%02x", (unsigned char)s[i]);
		} else if (out) {
			fwrite(s, 1, n, out);
		}
		s += n;
		len -= n;
	}
	return columns;
}

bool format_hex(const uint8_t *bytes, size_t size, char *buf)
{
	bool any = false;

	for (size_t i = 0; i < size; i++) {
		any |= bytes[i] != 0;
		snprintf(buf + 2 * i, 3, "%02x", bytes[i]);
	}
	return any;
}

/* Three significant digits, or more where the unit is the largest one. Each unit is 1000 times the
 * one before it; a value of the first is whole. */
static const char *format_scaled(uint64_t value, const char *const units[4], char *buf)
{
	double scaled = (double)value;
	int unit = 0, decimals;

	for (; unit < 3 && scaled >= 999.5; unit++)
		scaled /= 1000;
	decimals = unit == 0 || scaled >= 99.95 ? 0 : scaled < 9.995 ? 2 : 1;
	snprintf(buf, TEXT_UNIT_SIZE, "%.*f%s", decimals, scaled, units[unit]);
	return buf;
}

const char *format_duration(uint64_t ns, char *buf)
{
	return format_scaled(ns, (const char *const[]){"ns", "us", "ms", "s"}, buf);
}

const char *format_bytes(uint64_t bytes, char *buf)
{
	return format_scaled(bytes, (const char *const[]){"B", "kB", "MB", "GB"}, buf);
}

/* The number at the beginning, and what follows it; NULL: there is no number. strtod() and strtoull()
 * would take blanks and signs, too. */
static const char *parse_decimal(const char *text, double *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return NULL;
	*ret = strtod(text, &end);
	return end == text ? NULL : end;
}

static const char *parse_whole(const char *text, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return NULL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno ? NULL : end;
}

int parse_duration(const char *text, uint64_t default_unit_ns, uint64_t *ret_ns)
{
	double unit, value;
	const char *end = parse_decimal(text, &value);

	if (!end)
		return -EINVAL;
	if (strcmp(end, "ns") == 0)
		unit = 1;
	else if (strcmp(end, "us") == 0)
		unit = 1e3;
	else if (strcmp(end, "ms") == 0)
		unit = 1e6;
	else if (strcmp(end, "s") == 0)
		unit = 1e9;
	else if (strcmp(end, "m") == 0)
		unit = 60e9;
	else if (strcmp(end, "h") == 0)
		unit = 3600e9;
	else if (*end == '\0' && default_unit_ns > 0)
		unit = (double)default_unit_ns;
	else
		return -EINVAL;
	value *= unit;
	/* A hundred years are enough, and leave room for sums. */
	if (!isfinite(value) || value < 1 || value > 3.2e18)
		return -EINVAL;
	*ret_ns = (uint64_t)value;
	return 0;
}

int parse_size(const char *text, uint64_t max, uint64_t *ret_bytes)
{
	unsigned shift = 0;
	uint64_t value;
	const char *end = parse_whole(text, &value);

	if (!end)
		return -EINVAL;
	if (*end == 'K' || *end == 'k')
		shift = 10;
	else if (*end == 'M')
		shift = 20;
	else if (*end == 'G')
		shift = 30;
	if (shift > 0)
		end++;
	if (*end != '\0' || value == 0 || value > max >> shift)
		return -EINVAL;
	*ret_bytes = value << shift;
	return 0;
}

int parse_count(const char *text, uint64_t max, uint64_t *ret_count)
{
	uint64_t value;
	const char *end = parse_whole(text, &value);

	if (!end || *end != '\0' || value == 0 || value > max)
		return -EINVAL;
	*ret_count = value;
	return 0;
}

int parse_share(const char *text, double *ret)
{
	double share;
	const char *end = parse_decimal(text, &share);

	if (!end)
		return -EINVAL;
	if (*end == '%') {
		share /= 100;
		end++;
	}
	if (*end != '\0' || !(share <= 1))
		return -EINVAL;
	*ret = share;
	return 0;
}

char *url_without_user(const char *url)
{
	const char *host = strstr(url, "://"), *at = NULL;
	char *ret;

	if (!host)
		return strdup(url);
	host += 3;
	for (const char *p = host; *p != '\0' && !strchr("/?#", *p); p++)
		if (*p == '@')
			at = p;
	if (!at)
		return strdup(url);
	return asprintf(&ret, "%.*s%s", (int)(host - url), url, at + 1) < 0 ? NULL : ret;
}
