/* SPDX-License-Identifier: BSD-2-Clause */
/* What a ClientHello and a ServerHello say (RFC 8446 section 4.1, RFC 5246 section 7.4.1). */
#ifndef APPMON_TLS_HELLO_H
#define APPMON_TLS_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#define TLS_1_2 0x0303
#define TLS_1_3 0x0304
#define TLS_RANDOM 32

enum { TLS_CLIENT_HELLO = 1, TLS_SERVER_HELLO = 2 };

struct tls_text {
	const uint8_t *at; /* in the message */
	uint32_t len;
};

struct tls_hello {
	uint8_t type; /* TLS_*_HELLO */
	bool cut;     /* its end is not here: what follows is what stood in front */
	bool retry;   /* HelloRetryRequest: another ClientHello follows */
	bool ech;     /* offers an encrypted hello: the names in this one are the outer ones; of a
		       * client also GREASE (RFC 9849 section 6.2) */
	bool early;   /* offers early data: it may stand behind this message */
	bool resumes; /* offers a ticket, or, of a server, takes it: TLS 1.3 only */
	uint16_t version; /* the highest offered, or the chosen one */
	uint16_t cipher;  /* chosen; 0: of a client */
	uint8_t random[TLS_RANDOM];
	struct tls_text name; /* server_name; NULL: none */
	/* application_layer_protocol_negotiation: names, a byte of length before each. Of a server:
	 * the chosen one. */
	struct tls_text alpn;
};

/* Values that say nothing but that unknown ones are ignored (RFC 8701). */
static inline bool tls_is_grease(uint16_t value)
{
	return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

/*
 * A handshake message: n bytes of it, with its header of four, may be more, or fewer. False: it is
 * no hello, or so little of one that its random is not here, or it contradicts itself.
 */
bool tls_hello_parse(const uint8_t *bytes, uint32_t n, struct tls_hello *ret);

#endif /* APPMON_TLS_HELLO_H */
