/* SPDX-License-Identifier: BSD-2-Clause */
/* Header fields for the OpenTelemetry receiver: authentication, tenants. They may be secrets. */
#ifndef APPMON_EXPORT_OTLP_HEADERS_H
#define APPMON_EXPORT_OTLP_HEADERS_H

#include <stddef.h>

struct otlp_headers {
	char **list; /* "Name: value" */
	size_t count;
};

/* From "NAME=VALUE", in place of one with the same name. NULL, or what is wrong with it: a
 * sentence that does not have the value in it. */
const char *otlp_headers_add(struct otlp_headers *headers, const char *text);

/* For names that are not there, lines of "NAME=VALUE" or "NAME: VALUE"; empty ones, and those that
 * begin with '#', are left out. Returns 0 or a negative errno value, and has told the user then. */
int otlp_headers_add_file(struct otlp_headers *headers, const char *path);

/* What OTEL_EXPORTER_OTLP_HEADERS says, for names that are not there: "NAME=VALUE,NAME=VALUE", in
 * which what is percent-encoded is decoded. Returns as above. */
int otlp_headers_add_environment(struct otlp_headers *headers);

void otlp_headers_free(struct otlp_headers *headers);

#endif /* APPMON_EXPORT_OTLP_HEADERS_H */
