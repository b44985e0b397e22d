/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers without a handle. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include <appmon/metrics.h>

#include "base/base.h"
#include "unit.h"

static void formats(const struct appmon_endpoint *ep, const char *expected)
{
	char buf[80];
	int len = (int)strlen(expected);

	memset(buf, 'x', sizeof(buf));
	ck_assert_int_eq(appmon_format_endpoint(ep, buf, sizeof(buf)), len);
	ck_assert_str_eq(buf, expected);
	/* Every size: cut, always terminated, nothing written behind. */
	for (size_t size = 1; size < 64; size++) {
		memset(buf, 'x', sizeof(buf));
		ck_assert_int_eq(appmon_format_endpoint(ep, buf, size), len);
		ck_assert_uint_eq(strlen(buf), (size_t)len < size ? (size_t)len : size - 1);
		ck_assert_int_eq(strncmp(buf, expected, strlen(buf)), 0);
		ck_assert_int_eq(buf[size], 'x');
	}
	ck_assert_int_eq(appmon_format_endpoint(ep, NULL, 0), len);
}

START_TEST(endpoints)
{
	struct appmon_endpoint ep = {.family = 4, .port = 80, .addr = {192, 0, 2, 1}};

	formats(&ep, "192.0.2.1:80");
	ep = (struct appmon_endpoint){.family = 4, .port = 65535, .addr = {255, 255, 255, 255}};
	formats(&ep, "255.255.255.255:65535");
	ep = (struct appmon_endpoint){
		.family = 6, .port = 443, .addr = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	formats(&ep, "[2001:db8::1]:443");
	ep = (struct appmon_endpoint){.family = 6};
	formats(&ep, "[::]:0");
	/* The longest there is fits into the 56 bytes that the header names. */
	memset(&ep, 0xff, sizeof(ep));
	ep.family = 6;
	formats(&ep, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	ep.family = 0;
	formats(&ep, "?");
	ep.family = 10; /* AF_INET6, not ours */
	formats(&ep, "?");
	formats(NULL, "?");
	ck_assert_int_eq(appmon_format_endpoint(&ep, NULL, 10), -EINVAL);
}
END_TEST

START_TEST(errors)
{
	static const int named[] = {EPERM,  EOPNOTSUPP, EINVAL, E2BIG,	ENOMEM, ENOENT, ENOTDIR,
				    EEXIST, ENOSPC,	EBUSY,	ECHILD, EINTR,	EBADF,	ENODEV};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		const char *text = appmon_strerror(-named[i]);

		ck_assert_str_ne(text, "");
		ck_assert_str_ne(text, appmon_strerror(-12345));
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(text, appmon_strerror(-named[k]));
	}
	ck_assert_str_ne(appmon_strerror(0), "");
	ck_assert_str_ne(appmon_strerror(-12345), "");
	ck_assert_str_ne(appmon_strerror(INT_MAX), "");
	ck_assert_str_ne(appmon_strerror(INT_MIN), "");
}
END_TEST

START_TEST(methods)
{
	static const char *const name[] = {"",	     "",	"GET",	   "HEAD",  "POST", "PUT",
					   "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

	for (uint32_t i = 0; i <= APPMON_METHOD_PATCH; i++)
		ck_assert_str_eq(appmon_method_name(i), name[i]);
	ck_assert_str_eq(appmon_method_name(APPMON_METHOD_PATCH + 1), "");
	ck_assert_str_eq(appmon_method_name(UINT32_MAX), "");
}
END_TEST

START_TEST(ends)
{
	static const char *const name[] = {"complete",	"closed",   "reset by peer", "reset by us",
					   "timeout",	"gap",	    "upgraded",	     "at head",
					   "abandoned", "encrypted"};

	for (uint32_t i = 0; i <= APPMON_END_ENCRYPTED; i++)
		ck_assert_str_eq(appmon_end_name(i), name[i]);
	ck_assert_str_eq(appmon_end_name(APPMON_END_ENCRYPTED + 1), "unknown");
	ck_assert_str_eq(appmon_end_name(UINT32_MAX), "unknown");
}
END_TEST

START_TEST(drops)
{
	static const char *const name[] = {"ring_full", "memory",   "gap",    "truncated",
					   "parse",	"detached", "orphan", "sampled"};

	for (uint32_t i = 0; i <= APPMON_DROP_SAMPLED; i++)
		ck_assert_str_eq(appmon_drop_name(i), name[i]);
	for (uint32_t i = APPMON_DROP_SAMPLED + 1; i <= APPMON_DROP_MAX; i++)
		ck_assert_str_eq(appmon_drop_name(i), "unknown");
}
END_TEST

static uint64_t clock_of(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

START_TEST(wall_time)
{
	uint64_t before, mono, after;

	ck_assert_uint_eq(appmon_realtime_ns(NULL, 0), 0);
	before = clock_of(CLOCK_REALTIME);
	mono = clock_of(CLOCK_MONOTONIC);
	after = clock_of(CLOCK_REALTIME);
	/* The clocks run on while they are read: a second is far more than that takes. */
	ck_assert_uint_ge(appmon_realtime_ns(NULL, mono) + NSEC_PER_SEC, before);
	ck_assert_uint_le(appmon_realtime_ns(NULL, mono), after + NSEC_PER_SEC);
	/* Earlier and later by the same distance. */
	ck_assert_uint_le(appmon_realtime_ns(NULL, mono - 5 * NSEC_PER_SEC),
			  appmon_realtime_ns(NULL, mono) - 4 * NSEC_PER_SEC);
	ck_assert_uint_ge(appmon_realtime_ns(NULL, mono + 5 * NSEC_PER_SEC),
			  appmon_realtime_ns(NULL, mono) + 4 * NSEC_PER_SEC);
}
END_TEST

#define STR(s)                                                                                     \
	{                                                                                          \
		.data = (s), .len = sizeof(s) - 1                                                  \
	}

START_TEST(headers)
{
	static const struct appmon_header h[] = {
		{.name = STR("user-agent"), .value = STR("a")},
		{.name = STR("x-id"), .value = STR("first")},
		{.name = STR("x-id"), .value = STR("second")},
		{.name = STR("x-id"), .value = STR("answer"), .response = 1},
	};
	struct appmon_event ev = {.headers = h, .header_count = 4};

	ck_assert_str_eq(appmon_event_header(&ev, "x-id", 0)->data, "first");
	ck_assert_str_eq(appmon_event_header(&ev, "x-id", 1)->data, "answer");
	ck_assert_str_eq(appmon_event_header(&ev, "user-agent", 0)->data, "a");
	ck_assert_ptr_null(appmon_event_header(&ev, "user-agent", 1));
	ck_assert_ptr_null(appmon_event_header(&ev, "x-i", 0));
	ck_assert_ptr_null(appmon_event_header(&ev, "", 0));
	ck_assert_ptr_null(appmon_event_header(&ev, NULL, 0));
	ck_assert_ptr_null(appmon_event_header(NULL, "x-id", 0));
	ev.header_count = 0;
	ev.headers = NULL;
	ck_assert_ptr_null(appmon_event_header(&ev, "x-id", 0));
}
END_TEST

START_TEST(version)
{
	ck_assert_uint_eq(appmon_version(), APPMON_VERSION_NUM);
	ck_assert_uint_eq(appmon_version(), (APPMON_VERSION_MAJOR << 16) |
						    (APPMON_VERSION_MINOR << 8) |
						    APPMON_VERSION_PATCH);
	ck_assert_str_eq(appmon_version_string(), APPMON_VERSION_STRING);
}
END_TEST

/* All of them: the tests of the bindings. */
START_TEST(struct_sizes)
{
	ck_assert_uint_eq(appmon_struct_size("appmon_str"), sizeof(struct appmon_str));
	ck_assert_uint_eq(appmon_struct_size("appmon_event"), sizeof(struct appmon_event));
	ck_assert_uint_eq(appmon_struct_size("appmon_figures"), sizeof(struct appmon_figures));
	ck_assert_uint_eq(appmon_struct_size("appmon_trace"), sizeof(struct appmon_trace));
	ck_assert_uint_eq(appmon_struct_size("appmon_container"), sizeof(struct appmon_container));
	ck_assert_uint_eq(appmon_struct_size("appmon_event "), 0);
	ck_assert_uint_eq(appmon_struct_size("appmon"), 0);
	ck_assert_uint_eq(appmon_struct_size(""), 0);
	ck_assert_uint_eq(appmon_struct_size(NULL), 0);
}
END_TEST

START_TEST(protocols)
{
	uint32_t count = 0;

	ck_assert_str_eq(appmon_protocol_name(APPMON_PROTO_HTTP1), "http1");
	ck_assert_str_eq(appmon_protocol_name(APPMON_PROTO_RESP), "resp");
	ck_assert_str_eq(appmon_protocol_name(APPMON_PROTO_TLS), "tls");
	ck_assert_uint_eq(appmon_protocol_by_name("http1"), APPMON_PROTO_HTTP1);
	ck_assert_uint_eq(appmon_protocol_by_name("resp"), APPMON_PROTO_RESP);
	while (appmon_protocol_name(count + 1)) {
		count++;
		ck_assert_uint_eq(appmon_protocol_by_name(appmon_protocol_name(count)), count);
	}
	ck_assert_uint_eq(count, APPMON_PROTO_TLS);
	ck_assert_ptr_null(appmon_protocol_name(APPMON_PROTO_UNKNOWN));
	ck_assert_ptr_null(appmon_protocol_name(UINT32_MAX));
	ck_assert_uint_eq(appmon_protocol_by_name("RESP"), APPMON_PROTO_UNKNOWN);
	ck_assert_uint_eq(appmon_protocol_by_name("http"), APPMON_PROTO_UNKNOWN);
	ck_assert_uint_eq(appmon_protocol_by_name("http11"), APPMON_PROTO_UNKNOWN);
	ck_assert_uint_eq(appmon_protocol_by_name(""), APPMON_PROTO_UNKNOWN);
	ck_assert_uint_eq(appmon_protocol_by_name(NULL), APPMON_PROTO_UNKNOWN);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {endpoints, errors,  methods,	ends,	   drops, wall_time,
				      headers,	 version, struct_sizes, protocols, NULL};

	return unit_run("text", tests, NULL, NULL);
}
