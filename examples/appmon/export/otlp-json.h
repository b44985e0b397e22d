/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of OTLP 1 as JSON (opentelemetry-proto, "JSON Protobuf Encoding"). */
#ifndef APPMON_EXPORT_OTLP_JSON_H
#define APPMON_EXPORT_OTLP_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

#include "attributes.h"
#include "durations.h"
#include "instances.h"

struct json_object;

/* ExportMetricsServiceRequest; NULL: no memory. */
struct json_object *otlp_json_metrics(struct appmon *mon, const struct appmon_snapshot *snapshot,
				      struct instances *instances,
				      const struct durations_bounds *bounds);

/* ids as OTLP has them: hexadecimal. */
struct otlp_ids {
	char trace_id[33];
	char span_id[17];
	char parent_id[17]; /* "": none */
};

/* A Span of an exchange without its ids; NULL: no memory. route: NULL: that of the path. */
struct json_object *otlp_json_span(struct appmon *mon, const struct appmon_event *ev,
				   const char *route);
void otlp_json_set_ids(struct json_object *span, const struct otlp_ids *ids);

/*
 * A request is {"resourceSpans": [...]}: ResourceSpans of an application's instance with no span
 * in it yet, and the array for them, which belongs to it. NULL: no memory.
 */
struct json_object *otlp_json_resource_spans(const struct appmon_str *app, uint64_t cgroup_id,
					     struct instances *instances,
					     struct json_object **ret_spans);

#endif /* APPMON_EXPORT_OTLP_JSON_H */
