/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segments above 64 KiB: loopback and hosts with BIG TCP make them, up to 8 * 65535 bytes
 * (GSO_MAX_SIZE). Whatever stands in one is told, of either protocol, and whichever way messages
 * follow each other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

#define BYTES_MAX (8 << 20)

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2];
static char *bytes[2];
static size_t made[2];

static const size_t segments[] = {100000, 262144, 524280};

static void setup(void)
{
	static const struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_RESP};
	struct sim_opts so = {.target = 1, .capture = 4096};

	fixture_init(&p, &opts);
	sim_start(&so);
	sk = sim_connect(false, 0u - 100000, 0u - 3000000);
	for (int dir = 0; dir < 2; dir++) {
		bytes[dir] = malloc(BYTES_MAX);
		ck_assert_ptr_nonnull(bytes[dir]);
		made[dir] = next_pos[dir] = 0;
	}
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	free(bytes[0]);
	free(bytes[1]);
	sim_forget(sk);
	sim_stop();
	fixture_free(&p);
}

static void add(int dir, const char *text)
{
	size_t n = strlen(text);

	ck_assert_uint_lt(made[dir] + n, BYTES_MAX);
	memcpy(bytes[dir] + made[dir], text, n);
	made[dir] += n;
}

/* Text that looks like messages of both protocols. */
static void add_body(int dir, size_t n)
{
	static const char bait[] =
		"HTTP/1.1 500 No\r\n\r\nGET /no HTTP/1.1\r\n\r\n*1\r\n$2\r\nNO\r\n-NO\r\n";

	ck_assert_uint_lt(made[dir] + n, BYTES_MAX);
	for (size_t i = 0; i < n; i++)
		bytes[dir][made[dir]++] = bait[i % (sizeof(bait) - 1)];
}

/* All that was made, in segments of so many bytes. */
static void send_all(int dir, size_t segment)
{
	const void *rec;
	size_t size;

	for (size_t at = 0, n; at < made[dir]; at += n) {
		n = made[dir] - at < segment ? made[dir] - at : segment;
		sim_now_ns += 1000000;
		sim_packet(sk, dir, next_pos[dir], bytes[dir] + at, (uint32_t)n, SIM_PSH);
		next_pos[dir] += n;
		while ((rec = sim_record(&size)))
			ck_assert(fixture_record(&p, rec, size));
		ck_assert(fixture_adds_up(&p));
	}
	made[dir] = 0;
}

static void told(uint32_t protocol, const char *target, uint64_t body)
{
	const struct appmon_event *ev = fixture_event(&p);

	ck_assert_msg(ev, "%s is missing", target);
	ck_assert_uint_eq(ev->protocol, protocol);
	ck_assert_str_eq(ev->protocol == APPMON_PROTO_HTTP1 ? ev->request_target.data
							    : ev->resource.data,
			 target);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_eq(ev->response_bytes - ev->response_head_bytes, body);
	if (protocol == APPMON_PROTO_HTTP1)
		ck_assert_uint_eq(ev->status, 200);
}

/* Many small messages, or few large ones: in all some MB of answers. */
static const struct {
	unsigned int messages;
	size_t body;
} mixes[] = {{1000, 1000}, {12, 100000}, {3, 1000000}, {1, 4000000}, {50, 2600}};

START_TEST(http_pipelines)
{
	size_t segment = segments[_i % 3], body = mixes[_i / 3].body;
	unsigned int n = mixes[_i / 3].messages;
	char text[4096];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\nHost: a\r\nX-Pad: %0*d\r\n\r\n",
			 i, 200, 0);
		add(DIR_IN, text);
	}
	send_all(DIR_IN, segment);
	for (unsigned int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
			 body);
		add(DIR_OUT, text);
		add_body(DIR_OUT, body);
	}
	send_all(DIR_OUT, segment);
	for (unsigned int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "/%u", i);
		told(APPMON_PROTO_HTTP1, text, body);
	}
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

/* Heads that one record does not hold, from the first request of a connection on. */
START_TEST(http_long_heads)
{
	static const int pads[] = {4200, 10000, 40000};
	size_t segment = segments[_i % 3], body = 700000;
	/* The programs do not follow a request with a bare LF in its head. */
	const char *end = _i < 9 ? "\r\n" : "\n";
	char text[50000];

	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "GET /%d HTTP/1.1\r\nHost: a%sX-Pad: %0*d\r\n\r\n", i,
			 end, pads[_i / 3 % 3], 0);
		add(DIR_IN, text);
	}
	send_all(DIR_IN, segment);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
			 body);
		add(DIR_OUT, text);
		add_body(DIR_OUT, body);
	}
	send_all(DIR_OUT, segment);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "/%d", i);
		told(APPMON_PROTO_HTTP1, text, body);
	}
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

/* Bodies go up, in the same segments as requests. */
START_TEST(http_uploads)
{
	size_t segment = segments[_i % 3], body = mixes[_i / 3].body;
	unsigned int n = mixes[_i / 3].messages;
	char text[200];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "PUT /%u HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", i,
			 body);
		add(DIR_IN, text);
		add_body(DIR_IN, body);
	}
	send_all(DIR_IN, segment);
	for (unsigned int i = 0; i < n; i++)
		add(DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	send_all(DIR_OUT, segment);
	for (unsigned int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "/%u", i);
		told(APPMON_PROTO_HTTP1, text, 2);
	}
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

START_TEST(redis_pipelines)
{
	size_t segment = segments[_i % 3], body = mixes[_i / 3].body, length;
	unsigned int n = mixes[_i / 3].messages;
	char text[200], key[16];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%u", i);
		snprintf(text, sizeof(text), "*3\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n$%zu\r\n",
			 strlen(key), key, body);
		add(DIR_IN, text);
		add_body(DIR_IN, body);
		add(DIR_IN, "\r\n");
	}
	send_all(DIR_IN, segment);
	length = 0;
	for (unsigned int i = 0; i < n; i++) {
		size_t before = made[DIR_OUT];

		/* Lines and strings, both where segments are cut. */
		snprintf(text, sizeof(text), "*102\r\n$%zu\r\n", body);
		add(DIR_OUT, text);
		add_body(DIR_OUT, body);
		add(DIR_OUT, "\r\n*1\r\n:1\r\n");
		for (int k = 0; k < 100; k++)
			add(DIR_OUT, "$1\r\nx\r\n");
		length = made[DIR_OUT] - before;
	}
	send_all(DIR_OUT, segment);
	for (unsigned int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%u", i);
		told(APPMON_PROTO_RESP, key, length);
	}
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

/* LRANGE: nothing but short strings. */
START_TEST(redis_lists)
{
	static const unsigned int items[] = {10000, 13000, 19000, 50000, 400000};
	size_t length;
	char text[32];

	for (int i = 0; i < 8; i++)
		add(DIR_IN, "*4\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$1\r\n0\r\n$2\r\n-1\r\n");
	send_all(DIR_IN, 1 << 16);
	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "*%u\r\n", items[_i / 3]);
		add(DIR_OUT, text);
		for (unsigned int k = 0; k < items[_i / 3]; k++)
			add(DIR_OUT, "$4\r\nitem\r\n");
		length = made[DIR_OUT];
		send_all(DIR_OUT, segments[_i % 3]);
		told(APPMON_PROTO_RESP, "l", length);
	}
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("large");
	TCase *tc = tcase_create("large");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, http_pipelines, 0, 15);
	tcase_add_loop_test(tc, http_long_heads, 0, 18);
	tcase_add_loop_test(tc, http_uploads, 0, 15);
	tcase_add_loop_test(tc, redis_pipelines, 0, 15);
	tcase_add_loop_test(tc, redis_lists, 0, 15);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
