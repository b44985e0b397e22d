/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1.1 that turns into HTTP/2 (RFC 7540 section 3.2). */
#ifndef APPMON_HTTP2_UPGRADE_H
#define APPMON_HTTP2_UPGRADE_H

#include "exchange/exchange.h"

/* conn.state is new. Stream 1 is half closed, and answers the request that is open. */
void http2_upgraded(struct pipeline *pl, struct conn *c);

#endif /* APPMON_HTTP2_UPGRADE_H */
