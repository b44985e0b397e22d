/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Secrets in a request-target: user and password of an absolute one, and the values of query
 * parameters that are signatures, tokens or passwords. Each is replaced by "REDACTED", as
 * OpenTelemetry's url.full and url.query have it.
 *
 * Servers do not agree on what separates parameters and how often a name is decoded, and a
 * parameter can hold another URL. So a name counts wherever some server could see one: behind '?',
 * '&', ';' or '#', encoded or not. A value goes on to the next '&' that is not encoded.
 */
#include <string.h>

#include "protocol/http1/http1-event.h"

#define MASK "REDACTED"

/*
 * By length. Amazon Web Services, versions 4 and 2, and CloudFront: x-amz-*, awsaccesskeyid,
 * signature. Google Cloud Storage: x-goog-*. Azure's shared access signature: sig. OAuth 2.0 (RFC
 * 6749, RFC 6750) and OpenID Connect: *_token, client_secret, password. Of no standard, but of many
 * servers: apikey, api_key.
 */
static const char *const default_names[][2] = {
	[3] = {"sig"},
	[6] = {"apikey"},
	[7] = {"api_key"},
	[8] = {"id_token", "password"},
	[9] = {"signature"},
	[12] = {"access_token"},
	[13] = {"client_secret", "refresh_token"},
	[14] = {"awsaccesskeyid"},
	[15] = {"x-amz-signature"},
	[16] = {"x-amz-credential", "x-goog-signature"},
	[17] = {"x-goog-credential"},
	[20] = {"x-amz-security-token"},
};

#define LENGTHS (sizeof(default_names) / sizeof(default_names[0]))

/* That these begin with. */
#define DEFAULT_LETTERS                                                                            \
	(LETTER('a') | LETTER('c') | LETTER('i') | LETTER('p') | LETTER('r') | LETTER('s') |       \
	 LETTER('x'))

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Two hexadecimal digits; negative: they are not. */
static int hex_byte(const char *p, const char *end)
{
	int high, low;

	if (end - p < 2)
		return -1;
	high = hex_digit(p[0]);
	low = hex_digit(p[1]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* The character that '%' before *p stands for, however often it was encoded; *p moves behind it. */
static char decode(const char **p, const char *end)
{
	char c = '%';
	int byte;

	while (c == '%' && (byte = hex_byte(*p, end)) >= 0) {
		c = (char)byte;
		*p += 2;
	}
	return c;
}

static inline char take(const char **p, const char *end)
{
	char c = *(*p)++;

	return c == '%' ? decode(p, end) : c;
}

static bool separates(char c)
{
	return c == '?' || c == '&' || c == ';' || c == '#';
}

/* Where c stands first; end: nowhere. */
static const char *find(const char *p, const char *end, char c)
{
	const char *found = memchr(p, c, (size_t)(end - p));

	return found ? found : end;
}

/* Where the first byte from p on stands that separates, or that hides another one. */
static const char *skip_plain(const char *p, const char *end)
{
	static const bool plain_ends[256] = {
		['?'] = true, ['&'] = true, [';'] = true, ['#'] = true, ['%'] = true};

	while (p < end && !plain_ends[(unsigned char)*p])
		p++;
	return p;
}

static bool is_secret(const struct redact *r, const char *name, size_t len)
{
	for (size_t i = 0; len < LENGTHS && i < 2 && default_names[len][i]; i++)
		if (!memcmp(default_names[len][i], name, len))
			return true;
	for (uint32_t i = 0; i < r->count; i++)
		if (strlen(r->name[i]) == len && !memcmp(r->name[i], name, len))
			return true;
	return false;
}

/* The value of the parameter whose name begins at p; NULL: it is no secret, or has none. */
static const char *secret_value(const struct redact *r, const char *p, const char *end)
{
	char name[REDACT_NAME_MAX], c = 0;
	size_t len = 0;

	/* As most are: no secret's name begins so, and no encoded one. */
	if (p < end && *p != '%' && !((DEFAULT_LETTERS | r->letters) & LETTER(*p)))
		return NULL;
	while (p < end) {
		c = take(&p, end);
		if (c == '=' || c == '[' || separates(c))
			break;
		if (len == sizeof(name))
			return NULL;
		name[len++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
	}
	if ((c != '=' && c != '[') || !is_secret(r, name, len))
		return NULL;
	/* "name[0]": of an array */
	while (c != '=' && p < end && !separates(c))
		c = take(&p, end);
	return c == '=' ? p : NULL;
}

struct writer {
	char *out; /* NULL: the length is wanted only */
	size_t len;
};

static void write_bytes(struct writer *w, const char *from, const char *to)
{
	if (w->out)
		memcpy(w->out + w->len, from, (size_t)(to - from));
	w->len += (size_t)(to - from);
}

static void write_text(struct writer *w, const char *text)
{
	write_bytes(w, text, text + strlen(text));
}

/* Writes what comes before the host, and returns where it goes on; NULL: there is no user. */
static const char *redact_user(struct writer *w, const char *target, size_t len, uint32_t method)
{
	struct http1_span path, query, authority;
	const char *from = target, *at;

	if (method != APPMON_METHOD_CONNECT && len && *target == '/')
		return NULL; /* as nearly all are */
	http1_split_target(target, len, method, &path, &query, &authority);
	if (!authority.off)
		return NULL;
	at = target + authority.off - 1;
	if (method != APPMON_METHOD_CONNECT)
		from = (const char *)memchr(target, ':', len) + 3; /* "://" */
	if (at < from)
		return NULL;
	write_bytes(w, target, from);
	write_text(w, MASK);
	if (memchr(from, ':', (size_t)(at - from)))
		write_text(w, ":" MASK);
	return at;
}

size_t redact_target(const struct redact *r, const char *target, size_t len, uint32_t method,
		     char *out)
{
	const char *end = target + len, *p, *value, *copied;
	struct writer w = {.out = out};
	bool redacted;

	copied = redact_user(&w, target, len, method);
	redacted = copied != NULL;
	if (!copied)
		copied = target;
	p = find(copied, find(copied, end, '?'), '#');
	while ((p = skip_plain(p, end)) < end) {
		if (!separates(take(&p, end)))
			continue;
		value = secret_value(r, p, end);
		if (!value)
			continue;
		p = find(value, end, '&');
		if (p == value)
			continue;
		write_bytes(&w, copied, value);
		write_text(&w, MASK);
		copied = p;
		redacted = true;
	}
	if (!redacted)
		return 0;
	write_bytes(&w, copied, end);
	return w.len;
}
