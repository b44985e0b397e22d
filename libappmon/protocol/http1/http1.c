/* SPDX-License-Identifier: BSD-2-Clause */
#include "protocol/http1/http1.h"

#include <endian.h>
#include <string.h>

#include <appmon/appmon.h>

#include "protocol/http1/scan.h"

/* ---- Character classes (RFC 5234 appendix B.1, RFC 9110 section 5.6.2) ----------------------- */

/* tchar: what methods and field names are made of. */
static const bool tchar[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
	['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
	['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,  ['7'] = 1, ['8'] = 1,
	['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1,  ['F'] = 1, ['G'] = 1,
	['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1,  ['N'] = 1, ['O'] = 1,
	['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1,  ['V'] = 1, ['W'] = 1,
	['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1,  ['d'] = 1, ['e'] = 1,
	['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1,  ['l'] = 1, ['m'] = 1,
	['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1,  ['t'] = 1, ['u'] = 1,
	['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

static inline bool is_tchar(char c)
{
	return tchar[(unsigned char)c];
}

static inline bool is_blank(char c)
{
	/* Text first: a single comparison for what is most common. */
	return (unsigned char)c <= ' ' && (c == ' ' || c == '\t');
}

/* Blanks, and the line breaks that obs-fold leaves inside a value. */
static inline bool is_space(char c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

static inline bool is_ctl(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* What no line of text holds: its end, or an error. */
static inline bool is_break(char c)
{
	return is_ctl(c) && c != '\t';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ---- Eight bytes at a time ------------------------------------------------------------------- */

#define ONES UINT64_C(0x0101010101010101)
#define HIGH UINT64_C(0x8080808080808080)

/* The byte at p is the least significant one on every machine. */
static inline uint64_t load8(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

static inline const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* Where the text [p, end) ends without its trailing blanks. */
static inline const char *trim_blanks(const char *p, const char *end)
{
	while (end > p && is_blank(end[-1]))
		end--;
	return end;
}

/* The bit that upper-case letters lack, for each letter of a word that has none in upper case. */
static inline uint64_t case_bits(uint64_t lower)
{
	uint64_t low = lower & ~HIGH;
	uint64_t from_a = low + ONES * (0x80 - 'a');
	uint64_t above_z = low + ONES * (0x7f - 'z');

	return (~lower & HIGH & (from_a ^ above_z)) >> 2;
}

static inline bool same8(const char *s, const char *lower)
{
	return (load8(s) | case_bits(load8(lower))) == load8(lower);
}

static inline uint32_t load4(const char *p)
{
	uint32_t word;

	memcpy(&word, p, sizeof(word));
	return le32toh(word);
}

static inline bool same4(const char *s, const char *lower)
{
	return (load4(s) | (uint32_t)case_bits(load4(lower))) == load4(lower);
}

/* Whether the len bytes at s are lower, but for the case of letters. Where lower is a constant, so
 * are the words that it is made of. */
static inline __attribute__((always_inline)) bool same_name(const char *s, const char *lower,
							    size_t len)
{
	size_t i;

	if (len >= 8) {
		for (i = 0; i + 8 < len; i += 8) {
			if (!same8(s + i, lower + i))
				return false;
		}
		return same8(s + len - 8, lower + len - 8);
	}
	if (len >= 4)
		return same4(s, lower) && same4(s + len - 4, lower + len - 4);
	for (i = 0; i < len; i++) {
		if (to_lower(s[i]) != lower[i])
			return false;
	}
	return true;
}

static inline __attribute__((always_inline)) bool is_word(const char *s, size_t len,
							  const char *lower)
{
	return len == strlen(lower) && same_name(s, lower, len);
}

/* ---- Kept field names ------------------------------------------------------------------------ */

/* Index + 1 of the name, 0 if it is not kept. */
static inline __attribute__((always_inline)) uint32_t keep_find(const struct field_names *keep,
								const char *name, size_t len)
{
	uint32_t i = keep->bucket[field_names_bucket(*name, len)];

	while (i && (keep->len[i - 1] != len || !same_name(name, keep->name[i - 1], len)))
		i = keep->next[i - 1];
	return i;
}

uint32_t http1_field_kept(const struct field_names *keep, const char *name, size_t len)
{
	return len ? keep_find(keep, name, len) : 0;
}

/* ---- Start line ------------------------------------------------------------------------------ */

static inline struct http1_span span(const char *base, const char *from, const char *to)
{
	return (struct http1_span){(uint32_t)(from - base), (uint32_t)(to - from)};
}

uint32_t http1_method(const char *s, size_t len)
{
#define IS(name) (!memcmp(s, name, sizeof(name) - 1))
	switch (len) {
	case 3:
		return IS("GET")   ? APPMON_METHOD_GET
		       : IS("PUT") ? APPMON_METHOD_PUT
				   : APPMON_METHOD_OTHER;
	case 4:
		return IS("POST")   ? APPMON_METHOD_POST
		       : IS("HEAD") ? APPMON_METHOD_HEAD
				    : APPMON_METHOD_OTHER;
	case 5:
		return IS("PATCH")   ? APPMON_METHOD_PATCH
		       : IS("TRACE") ? APPMON_METHOD_TRACE
				     : APPMON_METHOD_OTHER;
	case 6:
		return IS("DELETE") ? APPMON_METHOD_DELETE : APPMON_METHOD_OTHER;
	case 7:
		return IS("OPTIONS")   ? APPMON_METHOD_OPTIONS
		       : IS("CONNECT") ? APPMON_METHOD_CONNECT
				       : APPMON_METHOD_OTHER;
	default:
		return APPMON_METHOD_OTHER;
	}
#undef IS
}

#define VERSION_PREFIX "HTTP/1."
#define VERSION_LEN 8
#define HTTP_NAME "HTTP/"
#define HTTP_NAME_LEN 5
#define VERSION_MAX (HTTP_NAME_LEN + 8) /* more than any_version() takes */

/* 10, 11, or 0 if the VERSION_LEN bytes at s are not HTTP/1.x. */
static inline uint32_t version_of(const char *s)
{
	if (memcmp(s, VERSION_PREFIX, VERSION_LEN - 1) || !is_digit(s[VERSION_LEN - 1]))
		return 0;
	return s[VERSION_LEN - 1] == '0' ? 10 : 11;
}

/* The version that ends the text [target, end), if white space comes before it. */
static inline uint32_t version_at_end(const char *target, const char *end)
{
	if (end - target <= VERSION_LEN || !is_blank(end[-VERSION_LEN - 1]))
		return 0;
	return version_of(end - VERSION_LEN);
}

/* One to three digits at *pos. False: none, or more. */
static bool version_number(const char **pos, const char *end, uint32_t *n)
{
	const char *p = *pos;

	for (*n = 0; p < end && p - *pos < 3 && is_digit(*p); p++)
		*n = *n * 10 + (uint32_t)(*p - '0');
	if (p == *pos || (p < end && is_digit(*p)))
		return false;
	*pos = p;
	return true;
}

/* Any version: those that no HTTP/1.x has, with more digits than one, and without a minor number.
 * False: the text [s, end) is none. */
static bool any_version(const char *s, const char *end, uint32_t *version)
{
	const char *p = s + HTTP_NAME_LEN;
	uint32_t major, minor = 0;

	if (end - s <= HTTP_NAME_LEN || memcmp(s, HTTP_NAME, HTTP_NAME_LEN) ||
	    !version_number(&p, end, &major))
		return false;
	if (p < end && (*p++ != '.' || !version_number(&p, end, &minor)))
		return false;
	if (major == 1 && minor > 1)
		minor = 1; /* RFC 9112 2.3 */
	*version = major * 10 + (minor > 9 ? 9 : minor);
	return p == end;
}

static const char *last_word(const char *p, const char *end)
{
	while (end > p && !is_blank(end[-1]))
		end--;
	return end;
}

/* The first is_break() of the text from p on; end if there is none. */
static inline __attribute__((always_inline)) const char *find_break(const char *base, const char *p,
								    const char *end)
{
	for (;;) {
		p = scan_odd(base, p, end);
		if (p == end || is_break(*p))
			return p;
		p++;
	}
}

/* Where a line that starts before p ends: at an LF, and the CR in front of it. */
struct eol {
	const char *end;  /* of its text */
	const char *next; /* the next line begins here; NULL: the input ends before the line does */
	bool control;	  /* there is a control byte in it, a lone CR for one */
};

/* At the end of the input a CR ends the line, although the LF is missing. */
static inline __attribute__((always_inline)) struct eol find_eol(const char *base, const char *p,
								 const char *end)
{
	struct eol eol = {end, NULL, false};

	for (;;) {
		p = find_break(base, p, end);
		if (p == end)
			return eol;
		if (*p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n')))
			break;
		eol.control = true;
		p++;
	}
	eol.end = p;
	eol.next = *p == '\r' && p + 1 < end ? p + 2 : p + 1;
	return eol;
}

/* The line was cut off: end is where the input ends, not the line. */
static void request_line_cut(const char *base, const char *target, const char *end,
			     struct http1_head *out)
{
	const char *text_end = trim_blanks(target, end);
	const char *word = last_word(target, end);
	const char *last = last_word(target, text_end);
	size_t word_len = (size_t)(end - word);

	out->version = version_at_end(target, text_end);
	if (out->version)
		text_end = trim_blanks(target, text_end - VERSION_LEN);
	else if (last > target && text_end < end && any_version(last, text_end, &out->version))
		text_end = trim_blanks(target, last);
	else if (word > target &&
		 !memcmp(word, HTTP_NAME, word_len < HTTP_NAME_LEN ? word_len : HTTP_NAME_LEN))
		text_end = trim_blanks(target, word);
	else
		out->target_truncated = true;
	out->target = span(base, target, text_end);
}

/* The preface of HTTP/2 (RFC 9113 3.4): no method is called PRI. */
static bool is_preface(const struct http1_head *head, const char *method)
{
	return head->version == 20 && head->method_name.len == 3 && !memcmp(method, "PRI", 3);
}

/* The last word of the request line, where it is not HTTP/1.x. What claims to be a version is one:
 * servers answer it, if only with an error. False: it is a part of the target. */
static bool odd_version(const char *word, const char *end, struct http1_head *out)
{
	if (any_version(word, end, &out->version))
		return true;
	if (end - word < HTTP_NAME_LEN || !same_name(word, "http/", HTTP_NAME_LEN))
		return false;
	out->flags |= HTTP1_MALFORMED;
	return true;
}

/*
 * The start lines and the fields share this contract: they return 0 and set *pos after what they
 * read, or HTTP1_PARTIAL, or HTTP1_BAD_*. With final, *pos becomes end where the input was cut.
 */
static int parse_request_line(const char *base, const char **pos, const char *end, bool final,
			      struct http1_head *out)
{
	const char *method = *pos;
	const char *p = method;
	const char *target;
	const char *text_end;
	struct eol eol;

	if (end - p >= 4 && !memcmp(p, "GET ", 4)) {
		/* As most do. */
		p += 3;
		out->method = APPMON_METHOD_GET;
	} else {
		while (p < end && is_tchar(*p))
			p++;
		if (p == end)
			return HTTP1_PARTIAL;
		if (p == method || !is_blank(*p))
			return HTTP1_BAD_START;
		out->method = http1_method(method, (size_t)(p - method));
	}
	out->method_name = span(base, method, p);

	target = skip_blanks(p, end);
	if (target == end)
		return HTTP1_PARTIAL;
	eol = find_eol(base, target, end);
	if (!eol.next) {
		if (!final)
			return HTTP1_PARTIAL;
		request_line_cut(base, target, end, out);
		*pos = end;
		return is_preface(out, method) ? HTTP1_BAD_VERSION : 0;
	}

	/* The version is the last word, all before it the target: real ones have spaces. */
	text_end = trim_blanks(target, eol.end);
	out->version = version_at_end(target, text_end);
	if (out->version) {
		text_end -= VERSION_LEN;
	} else {
		const char *word = last_word(target, text_end);

		/* A CR that ends the input may be one inside the line. */
		bool open = *eol.end == '\r' && eol.end + 1 == end;

		if (word == target || !odd_version(word, text_end, out)) {
			if (!open)
				return HTTP1_BAD_START;
			if (!final)
				return HTTP1_PARTIAL;
			request_line_cut(base, target, eol.end, out);
			*pos = end;
			return 0;
		}
		if (is_preface(out, method) && (final || !open))
			return HTTP1_BAD_VERSION;
		text_end = word;
	}
	if (eol.control)
		out->flags |= HTTP1_MALFORMED;
	out->target = span(base, target, trim_blanks(target, text_end));
	*pos = eol.next;
	return 0;
}

static int parse_status_line(const char *base, const char **pos, const char *end, bool final,
			     struct http1_head *out)
{
	const char *p = *pos;
	size_t avail = (size_t)(end - p);
	const char *reason;
	uint32_t status = 0;
	struct eol eol;
	int i;

	out->version = avail >= VERSION_LEN ? version_of(p) : 0;
	if (out->version && (avail == VERSION_LEN || !is_digit(p[VERSION_LEN]))) {
		p += VERSION_LEN;
	} else {
		const char *word = p;

		if (memcmp(p, HTTP_NAME, avail < HTTP_NAME_LEN ? avail : HTTP_NAME_LEN))
			return HTTP1_BAD_START;
		for (p += avail < HTTP_NAME_LEN ? avail : HTTP_NAME_LEN;
		     p < end && p - word < VERSION_MAX && (is_digit(*p) || *p == '.');)
			p++;
		if (p == end && avail < VERSION_MAX)
			return HTTP1_PARTIAL;
		if (!any_version(word, p, &out->version))
			return HTTP1_BAD_VERSION;
	}
	if (p == end)
		return HTTP1_PARTIAL;
	if (!is_space(*p))
		return HTTP1_BAD_VERSION;

	p = skip_blanks(p, end);
	for (i = 0; i < 3; i++, p++) {
		if (p == end)
			return HTTP1_PARTIAL;
		if (!is_digit(*p) || (!i && *p == '0'))
			return HTTP1_BAD_STATUS;
		status = status * 10 + (uint32_t)(*p - '0');
	}
	out->status = status;
	if (p < end && !is_space(*p)) {
		if (is_digit(*p))
			return HTTP1_BAD_STATUS;
		out->flags |= HTTP1_MALFORMED; /* "200OK" */
	}

	reason = skip_blanks(p, end);
	eol = find_eol(base, reason, end);
	if (!eol.next) {
		if (!final)
			return HTTP1_PARTIAL;
		out->reason = span(base, reason, end);
		*pos = end;
		return 0;
	}
	if (eol.control)
		out->flags |= HTTP1_MALFORMED;
	out->reason = span(base, reason, trim_blanks(reason, eol.end));
	*pos = eol.next;
	return 0;
}

static inline int parse_start_line(enum http1_kind kind, const char *base, const char *end,
				   bool final, const char **pos, struct http1_head *out)
{
	const char *p = base;
	int r;

	memset(out, 0, offsetof(struct http1_head, field));
	out->content_length = -1;

	/* RFC 9112 2.2: empty lines before the start line are ignored, however they end. */
	while (p < end && (*p == '\r' || *p == '\n'))
		p++;
	if (p == end)
		return HTTP1_PARTIAL;
	*pos = p;
	r = kind == HTTP1_REQUEST ? parse_request_line(base, pos, end, final, out)
				  : parse_status_line(base, pos, end, final, out);
	/* A CR that ends the input: the text of the line was there, its end was not. */
	if (!r && !final && (*pos)[-1] != '\n')
		return HTTP1_PARTIAL;
	return r;
}

/* ---- Fields ---------------------------------------------------------------------------------- */

/* What the head says while it is read; judged once all of it is there. */
struct framing {
	bool bad_length;
	bool skipped; /* Content-Length or Transfer-Encoding in a line that was passed over */
	bool chunked_seen;
	bool odd; /* Content-Length or Transfer-Encoding is there for some readers only */
};

/* The next element of a comma-separated list (RFC 9110 5.6.1), without white space around it.
 * False at the end of the list. Empty elements are passed over. */
static bool next_element(const char **pos, const char *end, const char **elem, size_t *len)
{
	const char *p = *pos;
	const char *from;

	while (p < end && (is_space(*p) || *p == ','))
		p++;
	if (p == end)
		return false;
	for (from = p; p < end && *p != ','; p++) {
		if (*p != '"')
			continue;
		/* RFC 9110 5.6.4: a comma inside a quoted-string separates nothing. */
		for (p++; p < end && *p != '"'; p++) {
			if (*p == '\\' && p + 1 < end)
				p++;
		}
		if (p == end)
			break;
	}
	*pos = p;
	while (is_space(p[-1]))
		p--;
	*elem = from;
	*len = (size_t)(p - from);
	return true;
}

/* RFC 9110 8.6: 1*DIGIT, and by way of leniency a list of them that are all the same. Where they
 * differ the smallest counts: what follows too early is found not to be a start line, while too
 * large a length would swallow the messages behind it. */
static bool parse_content_length(const char *p, const char *end, struct http1_head *out)
{
	const int64_t before = out->content_length;

	for (;;) {
		int64_t n = 0;

		while (p < end && is_space(*p))
			p++;
		if (p == end || !is_digit(*p))
			break;
		for (; p < end && is_digit(*p); p++) {
			if (__builtin_mul_overflow(n, 10, &n) ||
			    __builtin_add_overflow(n, *p - '0', &n))
				goto bad;
		}
		if (out->content_length >= 0 && out->content_length != n)
			out->flags |= HTTP1_AMBIGUOUS;
		if (out->content_length < 0 || n < out->content_length)
			out->content_length = n;

		while (p < end && is_space(*p))
			p++;
		if (p == end)
			return true;
		if (*p++ != ',')
			break;
	}
bad:
	out->content_length = before;
	return false;
}

static void parse_transfer_encoding(const char *p, const char *end, struct framing *fr,
				    struct http1_head *out)
{
	const char *elem;
	size_t len;

	out->flags |= HTTP1_TRANSFER_ENCODING;
	while (next_element(&p, end, &elem, &len)) {
		out->flags &= ~(uint32_t)HTTP1_CHUNKED;
		/* RFC 9112 7.1: it has no parameters, so "chunked;a=b" is something else. */
		if (!is_word(elem, len, "chunked"))
			continue;
		out->flags |= HTTP1_CHUNKED;
		/* RFC 9112 6.1: chunked must not be applied twice. */
		if (fr->chunked_seen)
			out->flags |= HTTP1_AMBIGUOUS;
		fr->chunked_seen = true;
	}
}

static void parse_connection(const char *p, const char *end, struct http1_head *out)
{
	const char *elem;
	size_t len;

	/* All that most say. */
	if (is_word(p, (size_t)(end - p), "keep-alive")) {
		out->flags |= HTTP1_KEEP_ALIVE;
		return;
	}
	while (next_element(&p, end, &elem, &len)) {
		if (is_word(elem, len, "close"))
			out->flags |= HTTP1_CLOSE;
		else if (is_word(elem, len, "keep-alive"))
			out->flags |= HTTP1_KEEP_ALIVE;
		else if (is_word(elem, len, "upgrade"))
			out->flags |= HTTP1_UPGRADE;
	}
}

static void parse_expect(const char *p, const char *end, struct http1_head *out)
{
	const char *elem;
	size_t len;

	while (next_element(&p, end, &elem, &len)) {
		if (is_word(elem, len, "100-continue"))
			out->flags |= HTTP1_EXPECT_CONTINUE;
	}
}

/* A field line. */
struct line {
	const char *name, *name_end;
	const char *value, *value_end; /* without white space around it */
	bool cut;		       /* the value goes on after the input */
	bool odd;		       /* folded, ended by a bare LF, or a blank before the colon */
};

/* RFC 9112 2.2, 5.1, 5.2: what we read on, others reject, join or pass over. */
static bool is_odd(struct line l)
{
	return l.odd || l.name[-2] != '\r';
}

/* The fields that the head itself depends on. Of a value that is cut half a length or half a list
 * would be misread. */
static __attribute__((noinline)) void known_field(const char *base, struct line l,
						  struct framing *fr, struct http1_head *out)
{
	size_t len = (size_t)(l.name_end - l.name);

	switch (len) {
	case sizeof("host") - 1:
		if (!out->host.off && same_name(l.name, "host", len))
			out->host = span(base, l.value, l.value_end);
		break;
	case sizeof("expect") - 1:
		if (!l.cut && same_name(l.name, "expect", len))
			parse_expect(l.value, l.value_end, out);
		break;
	case sizeof("upgrade") - 1:
		if (!l.cut && same_name(l.name, "upgrade", len) &&
		    is_word(l.value, (size_t)(l.value_end - l.value), "h2c"))
			out->flags |= HTTP1_H2C;
		break;
	case sizeof("connection") - 1:
		if (!l.cut && same_name(l.name, "connection", len))
			parse_connection(l.value, l.value_end, out);
		break;
	case sizeof("content-length") - 1:
		if (l.cut || !same_name(l.name, "content-length", len))
			break;
		fr->odd |= is_odd(l);
		if (!parse_content_length(l.value, l.value_end, out))
			fr->bad_length = true;
		break;
	case sizeof("transfer-encoding") - 1:
		if (l.cut || !same_name(l.name, "transfer-encoding", len))
			break;
		fr->odd |= is_odd(l);
		parse_transfer_encoding(l.value, l.value_end, fr, out);
		break;
	}
}

static __attribute__((noinline)) void keep_field(const struct field_names *keep, const char *base,
						 struct line l, struct http1_head *out)
{
	uint32_t i = keep_find(keep, l.name, (size_t)(l.name_end - l.name));

	if (!i)
		return;
	if (out->field_count == FIELDS_MAX) {
		out->flags |= HTTP1_FIELDS_LOST;
		return;
	}
	out->field[out->field_count].value = span(base, l.value, l.value_end);
	out->field[out->field_count].keep = i - 1;
	out->field_count++;
}

/* What known_field() looks for: first letters by length of the name. */
static const uint32_t known_letters[32] = {
	[sizeof("host") - 1] = LETTER('h'),
	[sizeof("expect") - 1] = LETTER('e'),
	[sizeof("upgrade") - 1] = LETTER('u'),
	[sizeof("connection") - 1] = LETTER('c'),
	[sizeof("content-length") - 1] = LETTER('c'),
	[sizeof("transfer-encoding") - 1] = LETTER('t'),
};

/*
 * A line of printable ASCII as nearly all are: a name, a colon, a value, CRLF, and behind it no
 * blank that would continue the value. Returns the begin of the next line, NULL if it is none such.
 */
static inline const char *plain_line(const char *base, const char *name, const char *end,
				     struct line *l)
{
	struct scan scan = scan_at(base, name, end);
	const char *colon, *value, *value_end, *eol;

	if (!scan.colon || (scan.odd & (scan.colon - 1)))
		return NULL;
	colon = name + __builtin_ctz(scan.colon);
	if (colon == name || colon[-1] == ' ')
		return NULL;
	eol = scan.odd ? name + __builtin_ctz(scan.odd) : scan_odd(base, name + SCAN_BYTES, end);
	if (end - eol <= 2 || memcmp(eol, "\r\n", 2) || is_blank(eol[2]))
		return NULL;
	value = colon + 1;
	while (*value == ' ')
		value++;
	value_end = eol;
	while (value_end > value && value_end[-1] == ' ')
		value_end--;
	*l = (struct line){name, colon, value, value_end, false, false};
	return eol + 2;
}

/* A line that was passed over: is it a length or a coding to others (RFC 9112 11.2)? They may see
 * the end of a line where there is a lone CR. */
static bool names_framing(const char *p, const char *end)
{
	for (; p < end; p++) {
		if ((end - p >= 14 && same_name(p, "content-length", 14)) ||
		    (end - p >= 17 && same_name(p, "transfer-encoding", 17)))
			return true;
	}
	return false;
}

enum { LINE_READ, LINE_SKIPPED };

/*
 * Any other line: with obs-text, tabs, white space before the colon, LF at its end, or one that
 * goes on in further lines (obs-fold, RFC 9112 section 5.2), whose breaks stay inside the value, as
 * sent. *pos becomes the begin of the next line. What is no field line, or has a control byte, is
 * passed over. Returns LINE_*, or HTTP1_PARTIAL where the input ends and is not final.
 */
static int odd_line(const char *base, const char **pos, const char *end, bool final, struct line *l,
		    struct framing *fr, struct http1_head *out)
{
	const char *name = *pos, *colon, *text;
	struct eol eol = find_eol(base, name, end);
	bool control = eol.control, named;

	*pos = end;
	if (!eol.next && !final)
		return HTTP1_PARTIAL;
	colon = memchr(name, ':', (size_t)(eol.end - name));
	/* White space in front continues a line only if there is one (RFC 9112 2.2). */
	named = colon && colon > name && !is_blank(*name);
	if (!colon)
		colon = eol.end;
	text = skip_blanks(colon < eol.end ? colon + 1 : colon, eol.end);
	*l = (struct line){name, trim_blanks(name, colon), text, eol.end, !eol.next, false};
	if (eol.next) {
		const char *p = eol.next;

		l->odd = l->name_end != colon || *eol.end == '\n' || (p < end && is_blank(*p));
		l->value_end = trim_blanks(l->value, eol.end);
		while (p < end && is_blank(*p)) {
			text = skip_blanks(p, end);
			eol = find_eol(base, text, end);
			control |= eol.control;
			if (l->value == l->value_end)
				l->value = text;
			l->cut = !eol.next;
			if (l->cut) {
				if (!final)
					return HTTP1_PARTIAL;
				l->value_end = end;
				p = end;
				break;
			}
			p = eol.next;
			if (text < eol.end || l->value == text)
				l->value_end = trim_blanks(text, eol.end);
		}
		/* At the end of the input the next line might still belong to it. */
		if (!final && p == end)
			return HTTP1_PARTIAL;
		*pos = p;
	}
	if (named && !control)
		return LINE_READ;
	if (l->cut && !control && !is_blank(*name) && colon == eol.end)
		return LINE_SKIPPED; /* a name without its colon says nothing */
	out->flags |= HTTP1_MALFORMED;
	fr->skipped |= names_framing(name, *pos);
	return LINE_SKIPPED;
}

/* The head ends with this line. */
static inline bool is_empty_line(const char *p, const char *end)
{
	return *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n'));
}

/* Reads the field lines and the empty line after them. */
static int parse_fields(const char *base, const char **pos, const char *end, bool final,
			const struct field_names *keep, struct framing *fr, struct http1_head *out)
{
	const char *p = *pos;
	int r;

	*pos = end;
	out->truncated = true;
	while (p < end) {
		struct line l;
		const char *next = NULL;
		uint32_t letter;
		size_t len;

		if ((unsigned char)*p > ' ')
			next = plain_line(base, p, end, &l);
		else if (is_empty_line(p, end))
			break;
		if (!next) {
			struct line odd;

			next = p;
			r = odd_line(base, &next, end, final, &odd, fr, out);
			if (r == HTTP1_PARTIAL)
				return r;
			if (r == LINE_SKIPPED) {
				p = next;
				continue;
			}
			l = odd;
		}
		letter = LETTER(*p);
		len = (size_t)(l.name_end - p) % 32;
		p = next;
		if (!((known_letters[len] | keep->letters[len]) & letter))
			continue; /* as most are */
		if (known_letters[len] & letter)
			known_field(base, l, fr, out);
		if (keep->letters[len] & letter)
			keep_field(keep, base, l, out);
	}
	if (p == end || (*p == '\r' && p + 1 == end))
		return final ? 0 : HTTP1_PARTIAL;
	p += *p == '\r' ? 2 : 1;
	out->truncated = false;
	*pos = p;
	return 0;
}

/* ---- Head ------------------------------------------------------------------------------------ */

/* Whether the bytes from scanned on hold the end of an empty line. */
static bool has_empty_line(const char *buf, size_t len, size_t scanned)
{
	const char *end = buf + len;
	const char *p = buf + scanned;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		if (p - buf >= 1 && p[-1] == '\n')
			return true;
		if (p - buf >= 2 && p[-1] == '\r' && p[-2] == '\n')
			return true;
		p++;
	}
	return false;
}

int http1_parse_head(enum http1_kind kind, const char *buf, size_t len, size_t scanned, bool final,
		     const struct field_names *keep, struct http1_head *out)
{
	static const struct field_names none;
	struct framing fr = {0};
	const char *p;
	int r;

	if (len > INT32_MAX)
		len = INT32_MAX;
	if (scanned && !final && (scanned >= len || !has_empty_line(buf, len, scanned)))
		return HTTP1_PARTIAL;

	r = parse_start_line(kind, buf, buf + len, final, &p, out);
	if (!r)
		r = parse_fields(buf, &p, buf + len, final, keep ? keep : &none, &fr, out);
	if (r)
		return r;

	if (fr.bad_length)
		out->flags |= HTTP1_MALFORMED | HTTP1_AMBIGUOUS;
	if (fr.odd || fr.skipped)
		out->flags |= HTTP1_AMBIGUOUS;
	if (fr.bad_length || fr.skipped)
		out->flags |= HTTP1_UNREAD;
	if (out->flags & HTTP1_TRANSFER_ENCODING) {
		/* RFC 9112 6.1 and 6.3: each of these is an attempt at smuggling, or a bug. */
		if (out->content_length >= 0 || out->version == 10 ||
		    (kind == HTTP1_REQUEST && !(out->flags & HTTP1_CHUNKED)))
			out->flags |= HTTP1_AMBIGUOUS;
	}
	out->head_len = (uint32_t)(p - buf);
	return (int)out->head_len;
}

enum http1_look http1_look(enum http1_kind kind, const char *buf, size_t len)
{
	struct http1_head head;
	const char *p;

	switch (parse_start_line(kind, buf, buf + len, false, &p, &head)) {
	case 0:
		return HTTP1_LOOK_YES;
	case HTTP1_PARTIAL:
		return HTTP1_LOOK_MAYBE;
	default:
		return HTTP1_LOOK_NO;
	}
}

/* ---- Body length and persistence (RFC 9112 sections 6.3 and 9.3) ----------------------------- */

enum http1_framing http1_request_framing(const struct http1_head *head, uint64_t *length)
{
	if (head->flags & HTTP1_TRANSFER_ENCODING)
		/* Without chunked at the end the server has to answer 400 and close. */
		return head->flags & HTTP1_CHUNKED ? HTTP1_BODY_CHUNKED : HTTP1_BODY_CLOSE;
	if (head->content_length >= 0) {
		*length = (uint64_t)head->content_length;
		return HTTP1_BODY_LENGTH;
	}
	return head->flags & HTTP1_UNREAD ? HTTP1_BODY_UNREAD : HTTP1_BODY_NONE;
}

enum http1_framing http1_response_framing(const struct http1_head *head, uint32_t method,
					  uint64_t *length)
{
	if (head->status == 101)
		return HTTP1_BODY_TUNNEL;
	if (method == APPMON_METHOD_CONNECT && head->status / 100 == 2)
		return HTTP1_BODY_TUNNEL;
	if (method == APPMON_METHOD_HEAD || head->status / 100 == 1 || head->status == 204 ||
	    head->status == 304)
		return HTTP1_BODY_NONE;
	if (head->flags & HTTP1_TRANSFER_ENCODING)
		return head->flags & HTTP1_CHUNKED ? HTTP1_BODY_CHUNKED : HTTP1_BODY_CLOSE;
	if (head->content_length >= 0) {
		*length = (uint64_t)head->content_length;
		return HTTP1_BODY_LENGTH;
	}
	return head->flags & HTTP1_UNREAD ? HTTP1_BODY_UNREAD : HTTP1_BODY_CLOSE;
}

bool http1_persists(const struct http1_head *head)
{
	if (head->flags & HTTP1_CLOSE)
		return false;
	return head->version > 10 || !head->version || (head->flags & HTTP1_KEEP_ALIVE);
}

/* ---- Request target (RFC 9112 section 3.2) --------------------------------------------------- */

/* Where "://" stands after a scheme (RFC 3986 section 3.1), or NULL. */
static const char *scheme_end(const char *target, const char *end)
{
	const char *p = target;

	if (p == end || !is_alpha(*p))
		return NULL;
	while (p < end && (is_alpha(*p) || is_digit(*p) || *p == '+' || *p == '-' || *p == '.'))
		p++;
	return end - p >= 3 && !memcmp(p, "://", 3) ? p : NULL;
}

void http1_split_target(const char *target, size_t len, uint32_t method, struct http1_span *path,
			struct http1_span *query, struct http1_span *authority)
{
	const char *end = target + len;
	const char *p = target;
	const char *scheme;
	const char *mark;

	*path = (struct http1_span){0};
	*query = (struct http1_span){0};
	*authority = (struct http1_span){0};
	if (method == APPMON_METHOD_CONNECT) {
		/* What comes before it may be a password, as below. */
		while ((mark = memchr(p, '@', (size_t)(end - p))))
			p = mark + 1;
		*authority = span(target, p, end);
		return;
	}
	/* No fragment belongs here, but some clients send it. */
	mark = memchr(p, '#', len);
	if (mark)
		end = mark;

	scheme = scheme_end(target, end);
	if (scheme) {
		const char *host = scheme + 3;

		for (p = host; p < end && *p != '/' && *p != '?'; p++) {
			if (*p == '@') /* what comes before it may be a password */
				host = p + 1;
		}
		*authority = span(target, host, p);
	}
	mark = memchr(p, '?', (size_t)(end - p));
	if (mark) {
		*query = span(target, mark + 1, end);
		end = mark;
	}
	*path = span(target, p, end);
	/* The "/" of an empty path: borrowed from "://". */
	if (scheme && p == end)
		*path = span(target, scheme + 1, scheme + 2);
}

/* ---- Chunked transfer coding (RFC 9112 section 7.1) ------------------------------------------ */

/* RFC 9112 section 3 recommends that lines of 8000 bytes work. */
#define CHUNK_LINE_MAX 8192

enum {
	CHUNK_SIZE_FIRST, /* 0: where a body begins */
	CHUNK_SIZE,
	CHUNK_SIZE_BLANK,
	CHUNK_EXT,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_FIRST,
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER_COLON,
	CHUNK_TRAILER_VALUE,
	CHUNK_TRAILER_LF,
	CHUNK_TRAILER_ODD,
	CHUNK_END_LF,
	CHUNK_DONE,
	CHUNK_BAD,
};

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c = to_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What receivers disagree about. */
static uint32_t chunk_odd(struct http1_chunks *c, uint32_t state)
{
	c->odd = 1;
	return state;
}

static uint32_t chunk_size_ends(struct http1_chunks *c)
{
	c->line = 0;
	return c->left ? CHUNK_DATA : CHUNK_TRAILER_FIRST;
}

/*
 * A line of the trailer section that is no field line is passed over. A message that follows a body
 * without its last empty line is none such: it has "HTTP/" in its first line. left counts how much
 * of that is here.
 */
static uint32_t chunk_trailer_odd(struct http1_chunks *c, char ch)
{
	if (ch == '\n') {
		c->line = 0;
		c->left = 0;
		return chunk_odd(c, CHUNK_TRAILER_FIRST);
	}
	if (ch == HTTP_NAME[c->left]) {
		if (++c->left == HTTP_NAME_LEN)
			return CHUNK_BAD;
	} else {
		c->left = ch == *HTTP_NAME;
	}
	return CHUNK_TRAILER_ODD;
}

/* The state after c, which is not chunk data. RFC 9112 2.2 lets a single LF end field lines only;
 * senders end the others with it, too, and receivers take it. */
static uint32_t chunk_step(struct http1_chunks *c, char ch)
{
	int digit;

	switch (c->state) {
	case CHUNK_SIZE_FIRST:
		c->left = 0;
		/* fall through */
	case CHUNK_SIZE:
		digit = hex_value(ch);
		if (digit >= 0) {
			if (c->left > INT64_MAX / 16)
				return CHUNK_BAD;
			c->left = c->left * 16 + (uint64_t)digit;
			return CHUNK_SIZE;
		}
		if (c->state == CHUNK_SIZE_FIRST)
			return is_blank(ch) ? chunk_odd(c, CHUNK_SIZE_FIRST) : CHUNK_BAD;
		/* fall through */
	case CHUNK_SIZE_BLANK:
		if (ch == '\r')
			return CHUNK_SIZE_LF;
		if (ch == '\n')
			return chunk_odd(c, chunk_size_ends(c));
		if (ch == ';')
			return CHUNK_EXT;
		return is_blank(ch) ? CHUNK_SIZE_BLANK : CHUNK_BAD;
	case CHUNK_EXT:
		if (ch == '\r')
			return CHUNK_SIZE_LF;
		if (ch == '\n')
			return chunk_odd(c, chunk_size_ends(c));
		return !is_ctl(ch) || ch == '\t' ? CHUNK_EXT : chunk_odd(c, CHUNK_EXT);
	case CHUNK_SIZE_LF:
		return ch == '\n' ? chunk_size_ends(c) : CHUNK_BAD;

	case CHUNK_DATA_CR:
		if (ch == '\r')
			return CHUNK_DATA_LF;
		c->line = 0;
		return ch == '\n' ? chunk_odd(c, CHUNK_SIZE_FIRST) : CHUNK_BAD;
	case CHUNK_DATA_LF:
		c->line = 0;
		return ch == '\n' ? CHUNK_SIZE_FIRST : CHUNK_BAD;

	case CHUNK_TRAILER_FIRST:
		if (ch == '\r')
			return CHUNK_END_LF;
		if (ch == '\n')
			return CHUNK_DONE;
		if (is_blank(ch))
			return CHUNK_TRAILER_VALUE;
		c->left = ch == *HTTP_NAME;
		return is_tchar(ch) ? CHUNK_TRAILER_NAME : chunk_trailer_odd(c, ch);
	case CHUNK_TRAILER_NAME:
		if (is_tchar(ch)) {
			c->left = c->left < 4 && ch == HTTP_NAME[c->left] ? c->left + 1
									  : ch == *HTTP_NAME;
			return CHUNK_TRAILER_NAME;
		}
		/* fall through */
	case CHUNK_TRAILER_COLON:
		if (ch == ':') {
			c->left = 0;
			return CHUNK_TRAILER_VALUE;
		}
		return is_blank(ch) ? CHUNK_TRAILER_COLON : chunk_trailer_odd(c, ch);
	case CHUNK_TRAILER_VALUE:
		if (ch == '\r')
			return CHUNK_TRAILER_LF;
		if (ch != '\n')
			return !is_ctl(ch) || ch == '\t' ? CHUNK_TRAILER_VALUE
							 : chunk_odd(c, CHUNK_TRAILER_VALUE);
		/* fall through */
	case CHUNK_TRAILER_LF:
		if (ch != '\n')
			return chunk_odd(c, ch == '\r' ? CHUNK_TRAILER_LF : CHUNK_TRAILER_VALUE);
		c->line = 0;
		return CHUNK_TRAILER_FIRST;
	case CHUNK_TRAILER_ODD:
		return chunk_trailer_odd(c, ch);
	case CHUNK_END_LF:
		if (ch == '\n')
			return CHUNK_DONE;
		return ch == '\r' ? chunk_odd(c, CHUNK_END_LF) : CHUNK_BAD;
	default:
		return CHUNK_BAD;
	}
}

int http1_chunks_feed(struct http1_chunks *c, const char *buf, size_t len, size_t *used)
{
	const char *end = buf + len;
	const char *p = buf;

	while (p < end && c->state < CHUNK_DONE) {
		if (c->state == CHUNK_DATA) {
			size_t n = (size_t)(end - p);

			if (n > c->left)
				n = (size_t)c->left;
			p += n;
			c->left -= n;
			if (!c->left)
				c->state = CHUNK_DATA_CR;
			continue;
		}
		if (++c->line > CHUNK_LINE_MAX) {
			c->state = CHUNK_BAD;
			break;
		}
		c->state = chunk_step(c, *p);
		if (c->state != CHUNK_BAD)
			p++;
	}
	*used = (size_t)(p - buf);
	if (c->state == CHUNK_BAD)
		return HTTP1_CHUNKS_BAD;
	return c->state == CHUNK_DONE ? HTTP1_CHUNKS_DONE : HTTP1_CHUNKS_MORE;
}

int http1_chunks_skip(struct http1_chunks *c, uint64_t n)
{
	if (!n && c->state < CHUNK_DONE)
		return HTTP1_CHUNKS_MORE;
	if (c->state != CHUNK_DATA || n > c->left) {
		c->state = CHUNK_BAD;
		return HTTP1_CHUNKS_BAD;
	}
	c->left -= n;
	if (!c->left)
		c->state = CHUNK_DATA_CR;
	return HTTP1_CHUNKS_MORE;
}
