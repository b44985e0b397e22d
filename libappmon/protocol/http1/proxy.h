/* SPDX-License-Identifier: BSD-2-Clause */
/* The header of the PROXY protocol. */
#ifndef APPMON_PROXY_H
#define APPMON_PROXY_H

#include "exchange/exchange.h"

enum proxy_result { PROXY_ABSENT, PROXY_PARTIAL, PROXY_FOUND };

/* Enough of a header to be read. */
#define PROXY_BYTES 107

/* Do the n > 0 bytes begin with a header, and how long is it? Its end need not be there. */
enum proxy_result proxy_read(const char *b, uint32_t n, uint32_t *len, struct proxied *out);

#endif /* APPMON_PROXY_H */
