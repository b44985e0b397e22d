/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which trace the span of an exchange is of, and below which span it is. Of an exchange without a
 * traceparent that is decided by the one that it was made for (appmon_event.link), whose event
 * mostly comes later: a statement is over before the request that it was sent for. So its span waits.
 */
#ifndef APPMON_EXPORT_TRACES_H
#define APPMON_EXPORT_TRACES_H

#include <stdint.h>

#include <appmon/appmon.h>

#include "otlp-json.h"

struct json_object;
struct traces;

/* A span that is ready to be sent; span is the callee's. */
typedef void (*traces_ready_fn)(void *ctx, const struct appmon_str *app, uint64_t cgroup_id,
				const struct otlp_ids *ids, struct json_object *span);

/* NULL: out of memory. */
struct traces *traces_new(traces_ready_fn ready, void *ctx);
/* Spans that wait are gone. */
void traces_free(struct traces *traces);

/* Takes a span over (see otlp_json_span()), and gives it and those that waited for it to ready(),
 * unless it waits itself. */
void traces_add(struct traces *traces, const struct appmon_event *ev, struct json_object *span);

/*
 * Gives those to ready() that have waited since before since_ns (CLOCK_MONOTONIC): the event of what
 * they were made for did not come. Each is in a trace of its own.
 */
void traces_expire(struct traces *traces, uint64_t since_ns);

#endif /* APPMON_EXPORT_TRACES_H */
