/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Families of metrics in Prometheus' formats: its text, OpenMetrics with exemplars, and its protobuf,
 * which alone has native histograms (Prometheus' client model, metrics.proto).
 */
#ifndef APPMON_EXPORT_EXPOSITION_H
#define APPMON_EXPORT_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <appmon/metrics.h>

#include "durations.h"
#include "protobuf.h"

enum exposition_format {
	EXPOSITION_TEXT,	/* 0.0.4 */
	EXPOSITION_OPENMETRICS, /* 1.0 */
	EXPOSITION_PROTOBUF	/* delimited */
};

/* The one that the header field Accept (NULL: it is not there) likes best. */
enum exposition_format exposition_choose(const char *accept);
/* Its Content-Type. */
const char *exposition_type(enum exposition_format format);

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM };

struct exposition {
	FILE *out;
	enum exposition_format format;
	/* The family that is being written. */
	const char *name; /* as given */
	enum family_type type;
	struct protobuf message; /* of it; EXPOSITION_PROTOBUF only */
	size_t samples;
};

/*
 * Begins a family; samples of it follow. name is used until the next one begins, and is without
 * _total, which a counter gets where the format has it. unit: NULL: none.
 */
void exposition_family(struct exposition *page, const char *name, enum family_type type,
		       const char *unit, const char *help);

/* labels: name="value",... with the escapes of the text format; "": none. */
void exposition_uint(struct exposition *page, const char *labels, uint64_t value);
void exposition_double(struct exposition *page, const char *labels, double value);

/* One value out of a histogram, with its trace. */
struct exposition_exemplar {
	char trace_id[33], span_id[17];
	double seconds;
	uint64_t realtime_ns;
};

struct exposition_histogram {
	const struct appmon_histogram *values; /* nanoseconds */
	const struct durations_bounds *bounds;
	const struct exposition_exemplar *exemplar; /* NULL: none */
};

void exposition_histogram(struct exposition *page, const char *labels,
			  const struct exposition_histogram *histogram);

/* Ends the page. Returns 0 or -ENOMEM. To be called once, whatever happened before. */
int exposition_end(struct exposition *page);

#endif /* APPMON_EXPORT_EXPOSITION_H */
