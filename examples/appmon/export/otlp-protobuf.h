/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of OTLP 1, as otlp-json.h makes them, in protobuf. */
#ifndef APPMON_EXPORT_OTLP_PROTOBUF_H
#define APPMON_EXPORT_OTLP_PROTOBUF_H

#include <stddef.h>

struct json_object;

#define OTLP_PROTOBUF_TYPE "application/x-protobuf"

/*
 * An ExportMetricsServiceRequest or ExportTraceServiceRequest: which one its members say. NULL: no
 * memory. To be freed by free().
 */
char *otlp_protobuf(struct json_object *request, size_t *ret_len);

#endif /* APPMON_EXPORT_OTLP_PROTOBUF_H */
