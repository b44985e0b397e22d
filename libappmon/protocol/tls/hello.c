/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hellos. What is not here, because it was not captured, is no error: what stands before it is told.
 * What is here must fit together, as the peers would have it; both of them read it, so that a lenient
 * reading gains nothing.
 */
#include "protocol/tls/hello.h"

#include <string.h>

enum {
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_PRE_SHARED_KEY = 41,
	EXT_EARLY_DATA = 42,
	EXT_SUPPORTED_VERSIONS = 43,
	EXT_ECH = 0xfe0d
};

/* SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3). */
static const uint8_t retry_random[TLS_RANDOM] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
						 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
						 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
						 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

/* What is left of a message, or of a list in it. */
struct reader {
	const uint8_t *at, *end; /* of what is here */
	uint64_t missing;	 /* bytes behind the end that are not here */
	bool bad;
};

/* A number of n bytes. What is not here counts as 0; the reader stands at its end, then. */
static uint32_t take(struct reader *r, uint32_t n)
{
	uint32_t value = 0;

	if ((uint64_t)(r->end - r->at) + r->missing < n)
		r->bad = true;
	if (r->bad || (uint64_t)(r->end - r->at) < n) {
		uint64_t absent = n - (uint64_t)(r->end - r->at);

		r->at = r->end;
		r->missing = r->missing > absent ? r->missing - absent : 0;
		return 0;
	}
	while (n--)
		value = value << 8 | *r->at++;
	return value;
}

/* The next len bytes, as something to be read on its own. */
static struct reader part(struct reader *r, uint32_t len)
{
	uint64_t here = (uint64_t)(r->end - r->at);
	struct reader ret = {.at = r->at, .end = r->end, .bad = r->bad};

	if (here + r->missing < len)
		ret.bad = r->bad = true;
	if (here >= len) {
		ret.end = r->at + len;
	} else {
		ret.missing = len - here;
		r->missing = r->missing > ret.missing ? r->missing - ret.missing : 0;
	}
	r->at = ret.end;
	return ret;
}

/* With its length in front, a number of n bytes. */
static struct reader vector(struct reader *r, uint32_t n)
{
	/* If the length is cut off, all that stands behind it is, too. */
	if ((uint64_t)(r->end - r->at) < n && !r->bad) {
		struct reader ret = {.at = r->end, .end = r->end, .missing = r->missing};

		if ((uint64_t)(r->end - r->at) + r->missing < n)
			r->bad = ret.bad = true;
		r->at = r->end;
		r->missing = UINT32_MAX; /* how much of that is its own is not known */
		return ret;
	}
	return part(r, take(r, n));
}

static bool is_here(const struct reader *r)
{
	return !r->bad && r->at < r->end;
}

static bool is_whole(const struct reader *r)
{
	return !r->bad && !r->missing;
}

/* ---- extensions ------------------------------------------------------------------------------ */

static void read_server_name(struct reader *r, struct tls_hello *h)
{
	struct reader list = vector(r, 2);

	while (is_here(&list)) {
		uint32_t type = take(&list, 1);
		struct reader name = vector(&list, 2);

		if (type == 0 && is_whole(&name) && !h->name.at)
			h->name = (struct tls_text){name.at, (uint32_t)(name.end - name.at)};
		r->bad |= name.bad;
	}
	r->bad |= list.bad;
}

static void read_alpn(struct reader *r, struct tls_hello *h)
{
	struct reader list = vector(r, 2);
	const uint8_t *from = list.at;

	while (is_here(&list)) {
		struct reader name = vector(&list, 1);

		r->bad |= name.bad;
		if (!is_whole(&name))
			break;
		h->alpn = (struct tls_text){from, (uint32_t)(name.end - from)};
	}
	r->bad |= list.bad;
}

static void read_versions(struct reader *r, struct tls_hello *h)
{
	struct reader list = {0};
	uint16_t version, highest = 0;

	if (h->type == TLS_SERVER_HELLO) {
		version = (uint16_t)take(r, 2);
		if (version)
			h->version = version;
		return;
	}
	list = vector(r, 1);
	while (is_here(&list)) {
		version = (uint16_t)take(&list, 2);
		if (!tls_is_grease(version) && version > highest)
			highest = version;
	}
	r->bad |= list.bad;
	if (highest)
		h->version = highest;
}

static void read_extension(uint32_t type, struct reader *r, struct tls_hello *h)
{
	switch (type) {
	case EXT_SERVER_NAME:
		/* A server's is empty: it says that it has used the name. */
		if (h->type == TLS_CLIENT_HELLO)
			read_server_name(r, h);
		break;
	case EXT_ALPN:
		read_alpn(r, h);
		break;
	case EXT_SUPPORTED_VERSIONS:
		read_versions(r, h);
		break;
	case EXT_PRE_SHARED_KEY:
		h->resumes = true;
		break;
	case EXT_EARLY_DATA:
		h->early = true;
		break;
	case EXT_ECH:
		h->ech = true;
		break;
	default:
		break;
	}
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool read_body(struct reader *r, struct tls_hello *h)
{
	struct reader session, ciphers = {0}, methods = {0}, extensions;

	h->version = (uint16_t)take(r, 2);
	if (r->bad || r->end - r->at < TLS_RANDOM || h->version >> 8 != 3)
		return false;
	memcpy(h->random, r->at, TLS_RANDOM);
	r->at += TLS_RANDOM;
	session = vector(r, 1);
	if (h->type == TLS_CLIENT_HELLO) {
		ciphers = vector(r, 2);
		methods = vector(r, 1);
	} else {
		h->cipher = (uint16_t)take(r, 2);
		take(r, 1);
		h->retry = !memcmp(h->random, retry_random, TLS_RANDOM);
	}
	if (session.bad || ciphers.bad || methods.bad || r->bad)
		return false;
	if (r->at == r->end)
		return true; /* before TLS 1.2 there need not be extensions; or they are cut off */
	extensions = vector(r, 2);
	while (is_here(&extensions)) {
		uint32_t type = take(&extensions, 2);
		struct reader extension = vector(&extensions, 2);

		if (!extension.bad)
			read_extension(type, &extension, h);
		if (extension.bad)
			return false;
	}
	return !extensions.bad && !r->bad;
}

bool tls_hello_parse(const uint8_t *bytes, uint32_t n, struct tls_hello *ret)
{
	struct reader r = {.at = bytes, .end = bytes + n}, body;
	uint32_t len;

	memset(ret, 0, sizeof(*ret));
	if (n < 4)
		return false;
	ret->type = (uint8_t)take(&r, 1);
	len = take(&r, 3);
	if (ret->type != TLS_CLIENT_HELLO && ret->type != TLS_SERVER_HELLO)
		return false;
	if (len > n - 4) {
		r.missing = len - (n - 4);
		ret->cut = true;
	}
	body = part(&r, len);
	return read_body(&body, ret);
}
