/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a protocol fills its part of an event in with. The strings of an event end with NUL. One that
 * lies where it is kept mostly has a blank or a line's end behind it, which nobody needs any more: it
 * is ended there. What ends inside another string is copied.
 */
#ifndef APPMON_EVENT_H
#define APPMON_EVENT_H

#include "exchange/exchange.h"

struct event_writer {
	struct pipeline *pl;
	struct appmon_event *ev; /* its common part is there; strings are "" */
	char *at; /* where the next copy goes: there is room for what protocol.event_bytes says */
};

struct appmon_str put_copy(struct event_writer *w, const char *data, size_t len);
/* len bytes that were written to w->at. */
struct appmon_str put_written(struct event_writer *w, size_t len);
/* A part of another string of the event, from off on: its end can be shared. */
struct appmon_str put_part(struct event_writer *w, const struct appmon_str *whole, size_t off,
			   size_t len);
/* Lies in a head, with room for one more byte behind it. */
struct appmon_str put_in_place(char *data, uint32_t len);
/* keep: index into pipeline.keep. The value is one of the functions' above. */
void put_header(struct event_writer *w, uint32_t keep, struct appmon_str value, uint32_t response);

/* The outcome of an exchange without a response, in any protocol. */
uint32_t outcome_unanswered(const struct exchange *ex);

#endif /* APPMON_EVENT_H */
