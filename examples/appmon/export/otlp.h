/* SPDX-License-Identifier: BSD-2-Clause */
/* Pushes metrics and spans to an OpenTelemetry receiver: OTLP/HTTP with JSON or protobuf, version 1. */
#ifndef APPMON_EXPORT_OTLP_H
#define APPMON_EXPORT_OTLP_H

#include <stdbool.h>
#include <stdint.h>

#include <appmon/metrics.h>

#include "durations.h"
#include "http-client.h"
#include "instances.h"
#include "otlp-headers.h"

struct otlp;

/* How messages are written. */
enum otlp_protocol { OTLP_HTTP_JSON, OTLP_HTTP_PROTOBUF };

/* "http/json", "http/protobuf": OpenTelemetry's names. Returns 0 or -EINVAL. */
int otlp_protocol_parse(const char *text, enum otlp_protocol *ret);

/* What is told where otlp_protocol_parse() fails. */
#define OTLP_PROTOCOL_WRONG "'%s' is neither http/json nor http/protobuf"

struct otlp_opts {
	const char *endpoint; /* http://HOST:PORT; /v1/metrics and /v1/traces are appended */
	enum otlp_protocol protocol;
	double spans; /* share of traces whose spans are sent, by their trace ids */
	struct appmon *mon;
	struct http_client *client;
	struct instances *instances;
	const struct durations_bounds *bounds;
	struct otlp_headers headers; /* its list is borrowed */
};

int otlp_open(struct otlp **ret, const struct otlp_opts *opts);
void otlp_close(struct otlp *otlp);

/* Keeps a span of the exchange, if its trace is among those that are sent. route: of a request of
 * HTTP; NULL: that of its path. */
void otlp_add_event(struct otlp *otlp, const struct appmon_event *ev, const char *route);

/* Sends what was kept, and the figures since the begin. */
void otlp_push(struct otlp *otlp, const struct appmon_snapshot *snapshot);

/* Tries again what is due. Returns the milliseconds to the next time; negative: there is none. */
int otlp_retry(struct otlp *otlp);

/* At the end: goes on with what has not been sent, until otlp_is_busy() is false. */
void otlp_flush(struct otlp *otlp);

/* Whether a push is on its way, or waits to be tried again. */
bool otlp_is_busy(const struct otlp *otlp);

/* Spans that were not sent: the receiver did not take them, or too many came at once. */
uint64_t otlp_lost_spans(const struct otlp *otlp);

#endif /* APPMON_EXPORT_OTLP_H */
