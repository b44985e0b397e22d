/* SPDX-License-Identifier: BSD-2-Clause */
/* Trace ids in header fields; expectations and examples are the specifications'. */
#include <stdio.h>
#include <string.h>

#include "guard.h"
#include "exchange/trace.h"
#include "unit.h"

static struct appmon_trace t;

static struct trace_value text(const char *s)
{
	return (struct trace_value){s, s ? strlen(s) : 0};
}

static void hex(const uint8_t *bytes, size_t n, const char *expected)
{
	char s[33];

	for (size_t i = 0; i < n; i++)
		snprintf(s + 2 * i, 3, "%02x", bytes[i]);
	ck_assert_str_eq(s, expected);
}

static void ids(const char *trace, const char *span, const char *parent)
{
	hex(t.trace_id, sizeof(t.trace_id), trace);
	hex(t.span_id, sizeof(t.span_id), span);
	hex(t.parent_span_id, sizeof(t.parent_span_id), parent);
}

#define NO_PARENT "0000000000000000"
#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static bool w3c(const char *s)
{
	return trace_parse_w3c(text(s), &t);
}

START_TEST(w3c_valid)
{
	ck_assert(w3c("00-" TRACE "-" SPAN "-01"));
	ids(TRACE, SPAN, NO_PARENT);
	ck_assert_uint_eq(t.format, APPMON_TRACE_W3C);
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED);
	ck_assert(w3c("00-" TRACE "-" SPAN "-00"));
	ck_assert_uint_eq(t.flags, 0);
	/* Other flags are unknown; only the lowest bit is "sampled". */
	ck_assert(w3c("00-" TRACE "-" SPAN "-fe"));
	ck_assert_uint_eq(t.flags, 0);
	ck_assert(w3c("00-" TRACE "-" SPAN "-09"));
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED);
	/* Section 3.2.4: a later version, perhaps with more behind a dash. */
	ck_assert(w3c("cc-" TRACE "-" SPAN "-01"));
	ck_assert(w3c("cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like"));
	ids(TRACE, SPAN, NO_PARENT);
}
END_TEST

START_TEST(w3c_invalid)
{
	memset(&t, 0x55, sizeof(t));
	ck_assert(!w3c(""));
	ck_assert(!w3c("00-" TRACE "-" SPAN));
	ck_assert(!w3c("00-" TRACE "-" SPAN "-1"));
	ck_assert(!w3c("00-" TRACE "-" SPAN "-01-"));
	ck_assert(!w3c("00-" TRACE "-" SPAN "-01-more"));
	ck_assert(!w3c("cc-" TRACE "-" SPAN "-01.more"));
	ck_assert(!w3c("ff-" TRACE "-" SPAN "-01"));
	ck_assert(!w3c("0-" TRACE "-" SPAN "-011"));
	ck_assert(!w3c("0g-" TRACE "-" SPAN "-01"));
	ck_assert(!w3c("00-00000000000000000000000000000000-" SPAN "-01"));
	ck_assert(!w3c("00-" TRACE "-0000000000000000-01"));
	ck_assert(!w3c("00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01"));
	ck_assert(!w3c("00-" TRACE "-B7AD6B7169203331-01"));
	ck_assert(!w3c("00-" TRACE "-" SPAN "-0X"));
	ck_assert(!w3c("00_" TRACE "-" SPAN "-01"));
	ck_assert(!w3c("00-" TRACE "_" SPAN "-01"));
	ck_assert(!w3c("00-" TRACE "-" SPAN "_01"));
	ck_assert(!w3c(" 0-" TRACE "-" SPAN "-01"));
	hex(t.trace_id, sizeof(t.trace_id), "55555555555555555555555555555555");
}
END_TEST

static bool b3(const char *s)
{
	return trace_parse_b3(text(s), &t);
}

START_TEST(b3_single)
{
	ck_assert(b3("80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90"));
	ids("80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", "05e3ac9a4f6e3b90");
	ck_assert_uint_eq(t.format, APPMON_TRACE_B3);
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED);
	ck_assert(b3("64fe8b2a57d3eff7-e457b5a2e4d86bd1"));
	ids("000000000000000064fe8b2a57d3eff7", "e457b5a2e4d86bd1", NO_PARENT);
	ck_assert_uint_eq(t.flags, APPMON_TRACE_UNDECIDED);
	ck_assert(b3("64fe8b2a57d3eff7-e457b5a2e4d86bd1-0"));
	ck_assert_uint_eq(t.flags, 0);
	ck_assert(b3("64fe8b2a57d3eff7-e457b5a2e4d86bd1-d"));
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED | APPMON_TRACE_DEBUG);
	ck_assert(!b3("0")); /* a decision, no ids */
	ck_assert(!b3("d"));
	ck_assert(!b3(""));
	ck_assert(!b3("64fe8b2a57d3eff7"));
	ck_assert(!b3("64fe8b2a57d3eff7-"));
	ck_assert(!b3("64fe8b2a57d3eff7-e457b5a2e4d86bd1-"));
	ck_assert(!b3("64fe8b2a57d3eff7-e457b5a2e4d86bd1-x"));
	ck_assert(!b3("64fe8b2a57d3eff7-e457b5a2e4d86bd1-1-"));
	ck_assert(!b3("64fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90-"));
	ck_assert(!b3("64fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b9"));
	ck_assert(!b3("64fe8b2a57d3eff-e457b5a2e4d86bd1-1"));
	ck_assert(!b3("64FE8B2A57D3EFF7-e457b5a2e4d86bd1-1"));
	ck_assert(!b3("0000000000000000-e457b5a2e4d86bd1-1"));
	ck_assert(!b3("64fe8b2a57d3eff7-0000000000000000-1"));
}
END_TEST

static bool multi(const char *trace, const char *span, const char *parent, const char *sampled,
		  const char *flags)
{
	struct trace_value value[TRACE_FIELDS] = {
		[TRACE_FIELD_B3_TRACE_ID] = text(trace),
		[TRACE_FIELD_B3_SPAN_ID] = text(span),
		[TRACE_FIELD_B3_PARENT_SPAN_ID] = text(parent),
		[TRACE_FIELD_B3_SAMPLED] = text(sampled),
		[TRACE_FIELD_B3_FLAGS] = text(flags),
	};

	return trace_parse_b3_multi(value, &t);
}

START_TEST(b3_multi)
{
	ck_assert(multi("80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", "05e3ac9a4f6e3b90",
			"1", NULL));
	ids("80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", "05e3ac9a4f6e3b90");
	ck_assert_uint_eq(t.format, APPMON_TRACE_B3_MULTI);
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED);
	ck_assert(multi("64fe8b2a57d3eff7", "e457b5a2e4d86bd1", NULL, NULL, NULL));
	ids("000000000000000064fe8b2a57d3eff7", "e457b5a2e4d86bd1", NO_PARENT);
	ck_assert_uint_eq(t.flags, APPMON_TRACE_UNDECIDED);
	ck_assert(multi("64fe8b2a57d3eff7", "e457b5a2e4d86bd1", NULL, "false", NULL));
	ck_assert_uint_eq(t.flags, 0);
	ck_assert(multi("64fe8b2a57d3eff7", "e457b5a2e4d86bd1", NULL, "true", NULL));
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED);
	ck_assert(multi("64fe8b2a57d3eff7", "e457b5a2e4d86bd1", NULL, NULL, "1"));
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED | APPMON_TRACE_DEBUG);
	ck_assert(!multi("64fe8b2a57d3eff7", NULL, NULL, "1", NULL));
	ck_assert(!multi(NULL, "e457b5a2e4d86bd1", NULL, "1", NULL));
	ck_assert(!multi("64fe8b2a57d3eff7", "e457b5a2e4d86bd1", "xyz", "1", NULL));
	ck_assert(!multi("64fe8b2a57d3eff7", "e457b5a2e4d86bd1", NULL, "yes", NULL));
	ck_assert(!multi("", "", "", "", ""));
}
END_TEST

static bool jaeger(const char *s)
{
	return trace_parse_jaeger(text(s), &t);
}

START_TEST(jaeger_value)
{
	ck_assert(jaeger("3a2fb4a1d1a96d312a2fb4a1d1a96d31:5e7b2a1d1a96d312:0:1"));
	ids("3a2fb4a1d1a96d312a2fb4a1d1a96d31", "5e7b2a1d1a96d312", NO_PARENT);
	ck_assert_uint_eq(t.format, APPMON_TRACE_JAEGER);
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED);
	/* Variable length, padded on the left. */
	ck_assert(jaeger("deadbeef:DEAD:1:03"));
	ids("000000000000000000000000deadbeef", "000000000000dead", "0000000000000001");
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED | APPMON_TRACE_DEBUG);
	ck_assert(jaeger("abc:def:0:0"));
	ck_assert_uint_eq(t.flags, 0);
	/* Clients that encode it as in a URL. */
	ck_assert(jaeger("abc%3Adef%3a0%3A1"));
	ids("00000000000000000000000000000abc", "0000000000000def", NO_PARENT);
	ck_assert(!jaeger(""));
	ck_assert(!jaeger("0:def:0:1")); /* "value of 0 is invalid" */
	ck_assert(!jaeger("abc:0:0:1"));
	ck_assert(!jaeger("abc:def:0"));
	ck_assert(!jaeger("abc:def:0:1:"));
	ck_assert(!jaeger("abc:def::1"));
	ck_assert(!jaeger("abc:def:0:100"));
	ck_assert(!jaeger("123456789012345678901234567890123:def:0:1"));
	ck_assert(!jaeger("abc:12345678901234567:0:1"));
	ck_assert(!jaeger("abg:def:0:1"));
}
END_TEST

/* "a" "aa" "aaa": with two, one and no '='. */
#define REST "-c2Vn-3-c2VydmljZQ==-aW5zdGFuY2U=-L2VuZHBvaW50-MTI3LjAuMC4xOjgw"

static struct trace_value id;

static bool sw8(const char *s)
{
	return trace_parse_sw8(text(s), &t, &id);
}

START_TEST(sw8_value)
{
	char out[64];

	/* 0af76519-16cd-43dd-8448-eb211c80319c, then without dashes. */
	ck_assert(sw8("1-MGFmNzY1MTktMTZjZC00M2RkLTg0NDgtZWIyMTFjODAzMTlj" REST));
	ids(TRACE, "0000000000000003", NO_PARENT);
	ck_assert_uint_eq(t.format, APPMON_TRACE_SW8);
	ck_assert_uint_eq(t.flags, APPMON_TRACE_SAMPLED);
	ck_assert(sw8("0-MGFmNzY1MTkxNmNkNDNkZDg0NDhlYjIxMWM4MDMxOWM=" REST));
	ids(TRACE, "0000000000000003", NO_PARENT);
	ck_assert_uint_eq(t.flags, 0);
	/* An agent's own kind of id: "1.2.3". */
	ck_assert(sw8("1-MS4yLjM=" REST));
	ids("00000000000000000000000000000000", "0000000000000003", NO_PARENT);
	ck_assert_int_eq(trace_base64(id.data, id.len, out), 5);
	ck_assert_mem_eq(out, "1.2.3", 5);
	ck_assert(!sw8(""));
	ck_assert(!sw8("2-MS4yLjM=" REST));
	ck_assert(!sw8("1-MS4yLjM" REST));
	ck_assert(!sw8("1-MS4y.jM=" REST));
	ck_assert(!sw8("1-" REST));
	ck_assert(!sw8("1-MS4yLjM=" REST "-"));
	ck_assert(!sw8("1-MS4yLjM=-c2Vn-x-c2Vn-c2Vn-c2Vn-c2Vn"));
	ck_assert(!sw8("1-MS4yLjM=-c2Vn--c2Vn-c2Vn-c2Vn-c2Vn"));
	ck_assert(!sw8("1-MS4yLjM=-c2Vn-3-c2Vn-c2Vn-c2Vn"));
}
END_TEST

/* RFC 4648 section 10. */
START_TEST(base64)
{
	static const char *const vector[][2] = {
		{"", ""},
		{"Zg==", "f"},
		{"Zm8=", "fo"},
		{"Zm9v", "foo"},
		{"Zm9vYg==", "foob"},
		{"Zm9vYmE=", "fooba"},
		{"Zm9vYmFy", "foobar"},
	};
	char out[16];

	for (size_t i = 0; i < sizeof(vector) / sizeof(vector[0]); i++) {
		int n = trace_base64(vector[i][0], strlen(vector[i][0]), out);

		ck_assert_int_eq(n, (int)strlen(vector[i][1]));
		ck_assert_mem_eq(out, vector[i][1], (size_t)n);
	}
	ck_assert_int_eq(trace_base64("Zg", 2, out), -1);
	ck_assert_int_eq(trace_base64("Z===", 4, out), -1);
	ck_assert_int_eq(trace_base64("Zg=v", 4, out), -1);
	ck_assert_int_eq(trace_base64("Zg==Zm8=", 8, out), -1);
	ck_assert_int_eq(trace_base64("Z-8_", 4, out), -1);
}
END_TEST

START_TEST(first_well_formed)
{
	struct trace_value value[TRACE_FIELDS] = {
		[TRACE_FIELD_TRACEPARENT] = text("00-" TRACE "-" SPAN "-01"),
		[TRACE_FIELD_B3] = text("64fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
		[TRACE_FIELD_UBER_TRACE_ID] = text("abc:def:0:1"),
		[TRACE_FIELD_SW8] = text("1-MS4yLjM=" REST),
	};

	ck_assert(trace_parse(value, &t, &id));
	ck_assert_uint_eq(t.format, APPMON_TRACE_W3C);
	value[TRACE_FIELD_TRACEPARENT] = text("00-" TRACE);
	ck_assert(trace_parse(value, &t, &id));
	ck_assert_uint_eq(t.format, APPMON_TRACE_B3);
	value[TRACE_FIELD_B3] = text("0");
	ck_assert(trace_parse(value, &t, &id));
	ck_assert_uint_eq(t.format, APPMON_TRACE_JAEGER);
	ck_assert_ptr_null(id.data);
	value[TRACE_FIELD_UBER_TRACE_ID] = (struct trace_value){0};
	ck_assert(trace_parse(value, &t, &id));
	ck_assert_uint_eq(t.format, APPMON_TRACE_SW8);
	ck_assert_uint_eq(id.len, 8);
	value[TRACE_FIELD_SW8] = (struct trace_value){0};
	ck_assert(!trace_parse(value, &t, &id));
}
END_TEST

static struct appmon_endpoint ep;

static bool forwarded(const char *s)
{
	return trace_parse_forwarded(text(s), &ep);
}

static void endpoint(const char *expected)
{
	char s[64];

	appmon_format_endpoint(&ep, s, sizeof(s));
	ck_assert_str_eq(s, expected);
}

/* RFC 7239 sections 4, 6 and 7.1. */
START_TEST(forwarded_value)
{
	ck_assert(forwarded("for=\"192.0.2.43:47011\""));
	endpoint("192.0.2.43:47011");
	ck_assert(forwarded("For=\"[2001:db8:cafe::17]:4711\""));
	endpoint("[2001:db8:cafe::17]:4711");
	ck_assert(forwarded("for=192.0.2.43, for=\"198.51.100.17:80\";by=203.0.113.60;proto=http"));
	endpoint("198.51.100.17:80");
	ck_assert(forwarded("proto=http ; for=192.0.2.60:1 ;by=203.0.113.43"));
	endpoint("192.0.2.60:1");
	/* The last hop did not say, whatever those before it did. */
	ck_assert(!forwarded("for=\"192.0.2.43:47011\", for=unknown"));
	ck_assert(!forwarded("for=192.0.2.43"));
	ck_assert(!forwarded("for=\"[2001:db8:cafe::17]\""));
	ck_assert(!forwarded("for=_gazonk"));
	ck_assert(!forwarded("for=\"_gazonk:_port\""));
	ck_assert(!forwarded("for=\"192.0.2.43:_obf\""));
	ck_assert(!forwarded("for=\"192.0.2.43:0\""));
	ck_assert(!forwarded("for=\"192.0.2.43:65536\""));
	ck_assert(!forwarded("by=\"192.0.2.43:47011\""));
	ck_assert(!forwarded("for=2001:db8::1:80"));
	ck_assert(!forwarded("for="));
	ck_assert(!forwarded(""));
	ck_assert(!forwarded("for=\"192.0.2.43:47011\",\"for=192.0.2.1:1\""));
}
END_TEST

START_TEST(names)
{
	ck_assert_int_eq(trace_field_of("traceparent"), TRACE_FIELD_TRACEPARENT);
	ck_assert_int_eq(trace_field_of("x-b3-sampled"), TRACE_FIELD_B3_SAMPLED);
	ck_assert_int_eq(trace_field_of("x-request-id"), TRACE_FIELD_REQUEST_ID);
	ck_assert_int_eq(trace_field_of("tracestate"), TRACE_FIELD_NONE);
	ck_assert_int_eq(trace_field_of("host"), TRACE_FIELD_NONE);
}
END_TEST

/* No parser reads outside of its value: every part of valid ones at the edge of a page. */
START_TEST(cut)
{
	static const char *const values[] = {
		"cc-" TRACE "-" SPAN "-01-more",
		"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
		"abc%3Adef%3a0%3A1",
		"abc:def:0:1",
		("1-MGFmNzY1MTktMTZjZC00M2RkLTg0NDgtZWIyMTFjODAzMTlj" REST),
		"for=\"[2001:db8:cafe::17]:4711\";by=1, for=1.2.3.4:5",
	};
	struct guard g;

	guard_init(&g, 4096);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		size_t len = strlen(values[i]);

		for (size_t from = 0; from <= len; from++) {
			for (size_t to = from; to <= len; to++) {
				struct trace_value v = {guard_copy(&g, values[i] + from, to - from),
							to - from};

				trace_parse_w3c(v, &t);
				trace_parse_b3(v, &t);
				trace_parse_jaeger(v, &t);
				trace_parse_sw8(v, &t, &id);
				trace_parse_forwarded(v, &ep);
			}
		}
	}
	guard_free(&g);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {w3c_valid,       w3c_invalid, b3_single, b3_multi,
				      jaeger_value,    sw8_value,   base64,    first_well_formed,
				      forwarded_value, names,	    cut,       NULL};

	return unit_run("trace", tests, NULL, NULL);
}
