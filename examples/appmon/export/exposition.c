/* SPDX-License-Identifier: BSD-2-Clause */
#include "exposition.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../text.h"

static const struct {
	const char *media; /* in Accept */
	const char *type;
} formats[] = {
	[EXPOSITION_TEXT] = {"text/plain", "text/plain; version=0.0.4; charset=utf-8"},
	[EXPOSITION_OPENMETRICS] = {"application/openmetrics-text",
				    "application/openmetrics-text; version=1.0.0; charset=utf-8"},
	[EXPOSITION_PROTOBUF] = {"application/vnd.google.protobuf",
				 "application/vnd.google.protobuf; "
				 "proto=io.prometheus.client.MetricFamily; encoding=delimited"},
};

/* ---- Which format ------------------------------------------------------------------ */

const char *exposition_type(enum exposition_format format)
{
	return formats[format].type;
}

/* One of a list: "text/plain;version=0.0.4;q=0.5". */
static bool is_media(const char *item, size_t len, const char *media)
{
	size_t media_len = strlen(media);

	return len >= media_len && strncasecmp(item, media, media_len) == 0 &&
	       strcspn(item + media_len, ",; \t") == 0;
}

/* RFC 9110 section 12.4.2; 1 where there is none. */
static double quality(const char *item, size_t len)
{
	const char *end = item + len;

	while ((item = memchr(item, ';', (size_t)(end - item)))) {
		item += 1 + strspn(item + 1, " \t");
		if (end - item > 2 && (*item == 'q' || *item == 'Q') && item[1] == '=')
			return strtod(item + 2, NULL);
	}
	return 1;
}

enum exposition_format exposition_choose(const char *accept)
{
	enum exposition_format best = EXPOSITION_TEXT;
	double best_quality = 0;
	size_t len;

	for (; accept && *accept != '\0'; accept += len + (accept[len] == ',')) {
		accept += strspn(accept, " \t");
		len = strcspn(accept, ",");
		for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
			if (!is_media(accept, len, formats[i].media) ||
			    quality(accept, len) <= best_quality)
				continue;
			best = (enum exposition_format)i;
			best_quality = quality(accept, len);
		}
	}
	return best;
}

/* ---- Text --------------------------------------------------------------------------- */

/* le: the bound of a bucket; NULL: it is none. */
static void put_sample_begin(const struct exposition *page, const char *suffix, const char *labels,
			     const char *le)
{
	fprintf(page->out, "%s%s", page->name, suffix);
	if (le)
		fprintf(page->out, "{%s%sle=\"%s\"}", labels, *labels != '\0' ? "," : "", le);
	else if (*labels != '\0')
		fprintf(page->out, "{%s}", labels);
	fputc(' ', page->out);
}

static void put_exemplar(FILE *out, const struct exposition_exemplar *exemplar)
{
	fprintf(out, " # {trace_id=\"%s\",span_id=\"%s\"} %.9g %.3f", exemplar->trace_id,
		exemplar->span_id, exemplar->seconds, (double)exemplar->realtime_ns / NSEC_PER_SEC);
}

static double sum_of(const struct appmon_histogram *values)
{
	return (double)appmon_histogram_sum(values) / NSEC_PER_SEC;
}

/* Where the exemplar belongs; behind all of them: there is none. */
static unsigned exemplar_bucket(const struct exposition_histogram *histogram)
{
	return histogram->exemplar
		       ? durations_bound_of(histogram->bounds, histogram->exemplar->seconds)
		       : histogram->bounds->count + 1;
}

static void put_text_histogram(const struct exposition *page, const char *labels,
			       const struct exposition_histogram *histogram)
{
	uint64_t counts[DURATIONS_BOUNDS_MAX], total = appmon_histogram_count(histogram->values);
	const struct durations_bounds *bounds = histogram->bounds;
	unsigned exemplar_at = exemplar_bucket(histogram);
	char bound[32];

	durations_at_most(bounds, histogram->values, counts);
	for (unsigned i = 0; i <= bounds->count; i++) {
		strcpy(bound, "+Inf");
		if (i < bounds->count)
			snprintf(bound, sizeof(bound), "%.12g", bounds->seconds[i]);
		put_sample_begin(page, "_bucket", labels, bound);
		fprintf(page->out, "%" PRIu64, i < bounds->count ? counts[i] : total);
		if (i == exemplar_at && page->format == EXPOSITION_OPENMETRICS)
			put_exemplar(page->out, histogram->exemplar);
		fputc('\n', page->out);
	}
	put_sample_begin(page, "_sum", labels, NULL);
	fprintf(page->out, "%.9g\n", sum_of(histogram->values));
	put_sample_begin(page, "_count", labels, NULL);
	fprintf(page->out, "%" PRIu64 "\n", total);
}

static void put_text_family(const struct exposition *page, const char *unit, const char *help)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	bool openmetrics = page->format == EXPOSITION_OPENMETRICS;
	/* OpenMetrics has it at the samples of a counter only. */
	const char *suffix = page->type == FAMILY_COUNTER && !openmetrics ? "_total" : "";

	fprintf(page->out, "# HELP %s%s %s\n", page->name, suffix, help);
	fprintf(page->out, "# TYPE %s%s %s\n", page->name, suffix, types[page->type]);
	if (openmetrics && unit)
		fprintf(page->out, "# UNIT %s %s\n", page->name, unit);
}

/* ---- Protobuf: numbers of fields in metrics.proto --------------------------------------- */

enum { FAMILY_NAME = 1, FAMILY_HELP, FAMILY_TYPE, FAMILY_METRIC };
enum { METRIC_LABEL = 1, METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM = 7 };
enum { LABEL_NAME = 1, LABEL_VALUE };
enum { NUMBER_VALUE = 1 }; /* of a Gauge or Counter */
enum {
	HISTOGRAM_COUNT = 1,
	HISTOGRAM_SUM,
	HISTOGRAM_BUCKET,
	HISTOGRAM_SCHEMA = 5,
	HISTOGRAM_ZERO_THRESHOLD,
	HISTOGRAM_ZERO_COUNT,
	HISTOGRAM_POSITIVE_SPAN = 12,
	HISTOGRAM_POSITIVE_DELTA
};
enum { BUCKET_COUNT = 1, BUCKET_BOUND, BUCKET_EXEMPLAR };
enum { SPAN_OFFSET = 1, SPAN_LENGTH };
enum { EXEMPLAR_LABEL = 1, EXEMPLAR_VALUE, EXEMPLAR_TIMESTAMP };
enum { TIMESTAMP_SECONDS = 1, TIMESTAMP_NANOS };

static void put_message_family(struct exposition *page, const char *help)
{
	static const unsigned types[] = {0, 1, 4};
	struct protobuf *out = &page->message;
	size_t begin = protobuf_begin(out, FAMILY_NAME);

	protobuf_put(out, page->name, strlen(page->name));
	if (page->type == FAMILY_COUNTER)
		protobuf_put(out, "_total", strlen("_total"));
	protobuf_end(out, begin);
	protobuf_bytes(out, FAMILY_HELP, help, strlen(help));
	protobuf_uint(out, FAMILY_TYPE, types[page->type]);
}

/* A family without samples is left out. Each has its length in front. */
static void end_message_family(struct exposition *page)
{
	struct protobuf *message = &page->message, delimited = {0};

	if (page->samples > 0 && !message->failed) {
		protobuf_put_varint(&delimited, message->len);
		fwrite(delimited.data, 1, delimited.len, page->out);
		fwrite(message->data, 1, message->len, page->out);
		message->failed = delimited.failed;
		free(delimited.data);
	}
	message->len = 0;
}

/* Up to the quote that ends it. Returns what follows that. */
static const char *put_label_value(struct protobuf *out, const char *text)
{
	size_t begin = protobuf_begin(out, LABEL_VALUE);

	while (*text != '"') {
		size_t len = strcspn(text, "\\\"");

		protobuf_put(out, text, len);
		text += len;
		if (*text == '\\') {
			protobuf_put(out, text[1] == 'n' ? "\n" : &text[1], 1);
			text += 2;
		}
	}
	protobuf_end(out, begin);
	return text + 1;
}

/* field: of the list in what holds it. */
static void put_message_labels(struct protobuf *out, unsigned field, const char *labels)
{
	while (*labels != '\0') {
		size_t begin = protobuf_begin(out, field), len = strcspn(labels, "=");

		protobuf_bytes(out, LABEL_NAME, labels, len);
		labels = put_label_value(out, labels + len + strlen("=\""));
		protobuf_end(out, begin);
		labels += *labels == ',';
	}
}

static void put_message_number(struct exposition *page, const char *labels, double value)
{
	struct protobuf *out = &page->message;
	size_t metric = protobuf_begin(out, FAMILY_METRIC), number;

	put_message_labels(out, METRIC_LABEL, labels);
	number = protobuf_begin(out, page->type == FAMILY_COUNTER ? METRIC_COUNTER : METRIC_GAUGE);
	protobuf_double(out, NUMBER_VALUE, value);
	protobuf_end(out, number);
	protobuf_end(out, metric);
}

static void put_message_exemplar(struct protobuf *out, const struct exposition_exemplar *exemplar)
{
	size_t begin = protobuf_begin(out, BUCKET_EXEMPLAR), timestamp;
	char labels[96];

	snprintf(labels, sizeof(labels), "trace_id=\"%s\",span_id=\"%s\"", exemplar->trace_id,
		 exemplar->span_id);
	put_message_labels(out, EXEMPLAR_LABEL, labels);
	protobuf_double(out, EXEMPLAR_VALUE, exemplar->seconds);
	timestamp = protobuf_begin(out, EXEMPLAR_TIMESTAMP);
	protobuf_uint(out, TIMESTAMP_SECONDS, exemplar->realtime_ns / NSEC_PER_SEC);
	protobuf_uint(out, TIMESTAMP_NANOS, exemplar->realtime_ns % NSEC_PER_SEC);
	protobuf_end(out, timestamp);
	protobuf_end(out, begin);
}

static void put_message_buckets(struct protobuf *out, const struct exposition_histogram *histogram)
{
	uint64_t counts[DURATIONS_BOUNDS_MAX], total = appmon_histogram_count(histogram->values);
	const struct durations_bounds *bounds = histogram->bounds;
	unsigned exemplar_at = exemplar_bucket(histogram);

	durations_at_most(bounds, histogram->values, counts);
	for (unsigned i = 0; i <= bounds->count; i++) {
		size_t begin = protobuf_begin(out, HISTOGRAM_BUCKET);

		protobuf_uint(out, BUCKET_COUNT, i < bounds->count ? counts[i] : total);
		protobuf_double(out, BUCKET_BOUND,
				i < bounds->count ? bounds->seconds[i] : INFINITY);
		if (i == exemplar_at)
			put_message_exemplar(out, histogram->exemplar);
		protobuf_end(out, begin);
	}
}

/*
 * Native histograms: bucket i of schema n has the values up to 2^(i / 2^n) seconds that bucket i - 1 has
 * not. With schema 3 each bound is 9 % above the one before it, so that a value of ours, which is known
 * to 1.6 %, is in its bucket or in the next one.
 */
#define NATIVE_SCHEMA 3
#define NATIVE_PER_OCTAVE (1 << NATIVE_SCHEMA)
/* What is less than a nanosecond is 0: 2^-30 seconds. */
#define NATIVE_LEAST_OCTAVE (-30)
#define NATIVE_FIRST (NATIVE_LEAST_OCTAVE * NATIVE_PER_OCTAVE)
/* Up to 2^64 nanoseconds, which are less than 2^35 seconds. */
#define NATIVE_BUCKETS ((35 - NATIVE_LEAST_OCTAVE) * NATIVE_PER_OCTAVE + 1)

static unsigned native_bucket(uint64_t least, uint64_t greatest)
{
	double seconds = ((double)least + (double)greatest) / 2 / NSEC_PER_SEC;

	return (unsigned)((int)ceil(log2(seconds) * NATIVE_PER_OCTAVE) - NATIVE_FIRST);
}

/* Buckets that hold something, run by run: where each begins behind the one before it, and its length;
 * then the counts, each as its difference to the one before it. */
static void put_native_buckets(struct protobuf *out, const uint64_t counts[NATIVE_BUCKETS])
{
	int end = 0; /* of the last run: buckets are numbered from 0, which is 1 second */
	uint64_t before = 0;

	for (int i = 0; i < NATIVE_BUCKETS; i++) {
		int first = i;
		size_t begin;

		while (i < NATIVE_BUCKETS && counts[i] > 0)
			i++;
		if (i == first)
			continue;
		begin = protobuf_begin(out, HISTOGRAM_POSITIVE_SPAN);
		protobuf_sint(out, SPAN_OFFSET, first + NATIVE_FIRST - end);
		protobuf_uint(out, SPAN_LENGTH, (uint64_t)(i - first));
		protobuf_end(out, begin);
		end = i + NATIVE_FIRST;
	}
	for (int i = 0; i < NATIVE_BUCKETS; i++) {
		if (counts[i] == 0)
			continue;
		protobuf_sint(out, HISTOGRAM_POSITIVE_DELTA, (int64_t)(counts[i] - before));
		before = counts[i];
	}
}

static void put_native(struct protobuf *out, const struct appmon_histogram *values)
{
	uint64_t counts[NATIVE_BUCKETS] = {0}, zeros = 0, least, greatest, count;
	uint32_t cursor = 0;

	while (appmon_histogram_next(values, &cursor, &least, &greatest, &count) > 0) {
		if (greatest == 0)
			zeros += count;
		else
			counts[native_bucket(least, greatest)] += count;
	}
	protobuf_sint(out, HISTOGRAM_SCHEMA, NATIVE_SCHEMA);
	protobuf_double(out, HISTOGRAM_ZERO_THRESHOLD, ldexp(1, NATIVE_LEAST_OCTAVE));
	protobuf_uint(out, HISTOGRAM_ZERO_COUNT, zeros);
	put_native_buckets(out, counts);
}

static void put_message_histogram(struct exposition *page, const char *labels,
				  const struct exposition_histogram *histogram)
{
	struct protobuf *out = &page->message;
	size_t metric = protobuf_begin(out, FAMILY_METRIC), begin;

	put_message_labels(out, METRIC_LABEL, labels);
	begin = protobuf_begin(out, METRIC_HISTOGRAM);
	protobuf_uint(out, HISTOGRAM_COUNT, appmon_histogram_count(histogram->values));
	protobuf_double(out, HISTOGRAM_SUM, sum_of(histogram->values));
	put_message_buckets(out, histogram);
	put_native(out, histogram->values);
	protobuf_end(out, begin);
	protobuf_end(out, metric);
}

/* ---- All of them ------------------------------------------------------------------------ */

void exposition_family(struct exposition *page, const char *name, enum family_type type,
		       const char *unit, const char *help)
{
	if (page->format == EXPOSITION_PROTOBUF)
		end_message_family(page);
	page->name = name;
	page->type = type;
	page->samples = 0;
	if (page->format == EXPOSITION_PROTOBUF)
		put_message_family(page, help);
	else
		put_text_family(page, unit, help);
}

void exposition_uint(struct exposition *page, const char *labels, uint64_t value)
{
	page->samples++;
	if (page->format == EXPOSITION_PROTOBUF) {
		put_message_number(page, labels, (double)value);
		return;
	}
	put_sample_begin(page, page->type == FAMILY_COUNTER ? "_total" : "", labels, NULL);
	fprintf(page->out, "%" PRIu64 "\n", value);
}

void exposition_double(struct exposition *page, const char *labels, double value)
{
	page->samples++;
	if (page->format == EXPOSITION_PROTOBUF) {
		put_message_number(page, labels, value);
		return;
	}
	put_sample_begin(page, page->type == FAMILY_COUNTER ? "_total" : "", labels, NULL);
	fprintf(page->out, "%.15g\n", value);
}

void exposition_histogram(struct exposition *page, const char *labels,
			  const struct exposition_histogram *histogram)
{
	page->samples++;
	if (page->format == EXPOSITION_PROTOBUF)
		put_message_histogram(page, labels, histogram);
	else
		put_text_histogram(page, labels, histogram);
}

int exposition_end(struct exposition *page)
{
	bool failed;

	if (page->format == EXPOSITION_PROTOBUF)
		end_message_family(page);
	else if (page->format == EXPOSITION_OPENMETRICS)
		fputs("# EOF\n", page->out);
	failed = page->message.failed;
	free(page->message.data);
	page->message = (struct protobuf){0};
	return failed ? -ENOMEM : 0;
}
