/* SPDX-License-Identifier: BSD-2-Clause */
/* The formats of /metrics: which one a scraper gets, and bytes of Prometheus' protobuf. */
#include <stdlib.h>
#include <string.h>

#include "export/exposition.h"
#include "unit.h"

START_TEST(choice)
{
	static const struct {
		const char *accept;
		enum exposition_format format;
	} cases[] = {
		{NULL, EXPOSITION_TEXT},
		{"", EXPOSITION_TEXT},
		{"*/*", EXPOSITION_TEXT},
		{"text/html, text/plain;q=0.9, */*;q=0.8", EXPOSITION_TEXT},
		/* Prometheus 2.42, without and with native histograms. */
		{"application/openmetrics-text;version=1.0.0,"
		 "application/openmetrics-text;version=0.0.1;q=0.75,"
		 "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		 EXPOSITION_OPENMETRICS},
		{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
		 "encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,"
		 "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,"
		 "*/*;q=0.1",
		 EXPOSITION_PROTOBUF},
		/* The order of the list does not matter where it says how good each is. */
		{"application/vnd.google.protobuf;encoding=delimited;q=0.3,"
		 "application/openmetrics-text; version=1.0.0; q=0.6, text/plain;q=0.5",
		 EXPOSITION_OPENMETRICS},
		{"application/openmetrics-text;q=0", EXPOSITION_TEXT},
		{"application/openmetrics-textual, text/plainer", EXPOSITION_TEXT},
		{" Text/Plain , APPLICATION/OpenMetrics-Text;Q=0.2", EXPOSITION_TEXT},
		{",,application/openmetrics-text,", EXPOSITION_OPENMETRICS},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(exposition_choose(cases[i].accept) == cases[i].format, "%s",
			      cases[i].accept);
}
END_TEST

static void begin(struct exposition *page, enum exposition_format format, char **text, size_t *len)
{
	*page = (struct exposition){.out = open_memstream(text, len), .format = format};
	ck_assert_ptr_nonnull(page->out);
}

static void end(struct exposition *page, const char *bytes, size_t bytes_len, char **text,
		const size_t *len)
{
	ck_assert_int_eq(exposition_end(page), 0);
	ck_assert_int_eq(fclose(page->out), 0);
	ck_assert_uint_eq(*len, bytes_len);
	ck_assert_mem_eq(*text, bytes, bytes_len);
	free(*text);
}

/*
 * What google.protobuf writes of a MetricFamily with these values, with its length in front. Labels lose
 * the escapes of text, a counter has its _total, and a family without samples is left out.
 */
START_TEST(message_labels)
{
	static const char bytes[] = "\x2f\n\x07"
				    "c_total"
				    "\x12\x01h\x18\x00\"\x1f\n\x0b\n\x01"
				    "a"
				    "\x12\x06x\"\n\\,=\n\x05\n\x01"
				    "b\x12\x00\x1a\t\t"
				    "\x00\x00\x00\x00\x00\x00\xf0?";
	struct exposition page;
	char *text;
	size_t len;

	begin(&page, EXPOSITION_PROTOBUF, &text, &len);
	exposition_family(&page, "none", FAMILY_GAUGE, NULL, "Nothing");
	exposition_family(&page, "c", FAMILY_COUNTER, NULL, "h");
	exposition_uint(&page, "a=\"x\\\"\\n\\\\,=\",b=\"\"", 1);
	exposition_family(&page, "none", FAMILY_GAUGE, NULL, "Nothing");
	end(&page, bytes, sizeof(bytes) - 1, &text, &len);
}
END_TEST

/*
 * The same of a histogram: of one bucket and the rest; native with schema 3, of which bucket -16 ends at
 * 0.25, -8 at 0.5 and -7 at 0.545 seconds.
 */
START_TEST(message_histogram)
{
	static const char bytes[] = "\x58\x0a\x09\x68\x5f\x73\x65\x63\x6f\x6e\x64\x73"
				    "\x12\x01\x68\x18\x04\x22\x46\x3a\x44\x08\x05\x11"
				    "\x52\xb8\x1e\x85\xeb\x51\xfc\x3f\x1a\x0b\x08\x02"
				    "\x11\x00\x00\x00\x00\x00\x00\xd0\x3f\x1a\x0b\x08"
				    "\x05\x11\x00\x00\x00\x00\x00\x00\xf0\x7f\x28\x06"
				    "\x31\x00\x00\x00\x00\x00\x00\x10\x3e\x38\x01\x62"
				    "\x04\x08\x1f\x10\x01\x62\x04\x08\x0e\x10\x02\x68"
				    "\x02\x68\x00\x68\x02";
	static const uint64_t values_ms[] = {0, 240, 480, 520, 530};
	const struct durations_bounds bounds = {.count = 1, .seconds = {0.25}};
	struct exposition_histogram histogram = {.bounds = &bounds};
	struct appmon_histogram *values;
	struct exposition page;
	char *text;
	size_t len;

	ck_assert_int_eq(appmon_histogram_new(&values), 0);
	for (unsigned i = 0; i < sizeof(values_ms) / sizeof(values_ms[0]); i++)
		appmon_histogram_add(values, values_ms[i] * 1000000, 1);
	histogram.values = values;
	begin(&page, EXPOSITION_PROTOBUF, &text, &len);
	exposition_family(&page, "h_seconds", FAMILY_HISTOGRAM, "seconds", "h");
	exposition_histogram(&page, "", &histogram);
	end(&page, bytes, sizeof(bytes) - 1, &text, &len);
	appmon_histogram_free(values);
}
END_TEST

/* All that a histogram can hold has a place. */
START_TEST(message_extremes)
{
	static const uint64_t extremes[] = {1, 2, UINT64_MAX};
	struct exposition_histogram histogram = {.bounds = &durations_default};
	struct appmon_histogram *values;
	struct exposition page;
	char *text;
	size_t len;

	ck_assert_int_eq(appmon_histogram_new(&values), 0);
	for (unsigned i = 0; i < 3; i++)
		appmon_histogram_add(values, extremes[i], 1);
	histogram.values = values;
	begin(&page, EXPOSITION_PROTOBUF, &text, &len);
	exposition_family(&page, "h", FAMILY_HISTOGRAM, NULL, "h");
	exposition_histogram(&page, "", &histogram);
	ck_assert_int_eq(exposition_end(&page), 0);
	fclose(page.out);
	free(text);
	appmon_histogram_free(values);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {choice, message_labels, message_histogram, message_extremes,
				      NULL};

	return unit_run("exposition", tests, NULL, NULL);
}
