/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP's part of an event: see struct protocol. */
#ifndef APPMON_HTTP1_EVENT_H
#define APPMON_HTTP1_EVENT_H

#include "exchange/event.h"

size_t http1_event_bytes(const struct pipeline *pl, const struct exchange *ex);
void http1_event_fill(struct event_writer *w, const struct exchange *ex);

#endif /* APPMON_HTTP1_EVENT_H */
