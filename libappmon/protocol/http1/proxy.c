/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of the PROXY protocol, versions 1 and 2, which proxies write in front of a
 * connection's first request (haproxy's proxy-protocol.txt, sections 2.1 and 2.2).
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/http1/proxy.h"

/* The longest line of version 1, with CRLF. */
#define LINE_MAX_V1 107

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* The next word, which one blank ends; NULL: it is too long, or the line is over. */
static const char *word(const char *p, const char *end, char *out, size_t size)
{
	size_t n = 0;

	while (p + n < end && p[n] != ' ')
		n++;
	if (!n || n >= size)
		return NULL;
	memcpy(out, p, n);
	out[n] = '\0';
	return p + n < end ? p + n + 1 : end;
}

/* "TCP4 192.0.2.1 192.0.2.2 40000 80". What cannot be read tells no client. */
static void read_addresses(const char *p, const char *end, struct proxied *out)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], port[6];
	bool v6 = p[3] == '6';
	unsigned long number;
	char *last;

	p = word(p + 5, end, source, sizeof(source));
	p = p ? word(p, end, destination, sizeof(destination)) : NULL;
	p = p ? word(p, end, port, sizeof(port)) : NULL;
	if (!p || inet_pton(v6 ? AF_INET6 : AF_INET, source, out->addr) != 1)
		return;
	number = strtoul(port, &last, 10);
	if (*last || number > UINT16_MAX)
		return;
	out->port = (uint16_t)number;
	out->family = v6 ? 6 : 4;
}

static enum proxy_result read_line(const char *b, uint32_t n, uint32_t *len, struct proxied *out)
{
	static const char *const begins[] = {"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN"};
	uint32_t most = n < LINE_MAX_V1 ? n : LINE_MAX_V1;
	const char *lf, *end;

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		size_t fixed = strlen(begins[i]);

		if (memcmp(b, begins[i], n < fixed ? n : fixed))
			continue;
		lf = memchr(b, '\n', most);
		if (!lf)
			return n < LINE_MAX_V1 ? PROXY_PARTIAL : PROXY_ABSENT;
		*len = (uint32_t)(lf + 1 - b);
		end = lf[-1] == '\r' ? lf - 1 : lf;
		if (i < 2)
			read_addresses(b + 6, end, out);
		return PROXY_FOUND;
	}
	return PROXY_ABSENT;
}

/* Command, family and length follow the signature, then addresses and ports, then what else there
 * is. */
static enum proxy_result read_binary(const char *b, uint32_t n, uint32_t *len, struct proxied *out)
{
	const unsigned char *u = (const unsigned char *)b;
	uint32_t bytes, size;

	if (n < 16)
		return PROXY_PARTIAL;
	if (u[12] >> 4 != 2)
		return PROXY_ABSENT;
	bytes = (uint32_t)(u[14] << 8 | u[15]);
	*len = 16 + bytes;
	/* LOCAL (0): the proxy's own connection; a family that is not known, or a UNIX socket. */
	size = (u[12] & 15) != 1 ? 0 : u[13] >> 4 == 1 ? 4 : u[13] >> 4 == 2 ? 16 : 0;
	if (!size || bytes < 2 * size + 4)
		return PROXY_FOUND;
	if (n < 16 + 2 * size + 4)
		return PROXY_PARTIAL;
	memcpy(out->addr, u + 16, size);
	out->port = (uint16_t)(u[16 + 2 * size] << 8 | u[17 + 2 * size]);
	out->family = size == 4 ? 4 : 6;
	return PROXY_FOUND;
}

enum proxy_result proxy_read(const char *b, uint32_t n, uint32_t *len, struct proxied *out)
{
	memset(out, 0, sizeof(*out));
	if (!memcmp(b, signature, n < sizeof(signature) ? n : sizeof(signature)))
		return read_binary(b, n, len, out);
	return read_line(b, n, len, out);
}
