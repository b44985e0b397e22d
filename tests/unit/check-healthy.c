/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Healthy connections with random messages, of which most go the short way of bpf/healthy.h: sim.c ends
 * the process where the long way would have told or remembered anything else. Here each exchange is
 * told, with what was sent.
 */
#include <stdio.h>

#include "talk.h"

#define EXCHANGES 6000
#define MESSAGE_MAX 40000

static uint32_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

static char bytes[MESSAGE_MAX];
static uint32_t made;

static void add(const char *text)
{
	size_t n = strlen(text);

	ck_assert_uint_lt(made + n, sizeof(bytes));
	memcpy(bytes + made, text, n);
	made += (uint32_t)n;
}

/* Fields of all sorts, but for those that frame a body. */
static void add_fields(uint32_t most)
{
	static const char *const fields[] = {
		"Server: nginx\r\n",
		"Date: Tue, 24 Nov 2026 08:11:15 GMT\r\n",
		"Content-Type: text/html; charset=utf-8\r\n",
		"Content-Language: en\r\n",
		"Content-Location: /elsewhere\r\n",
		"Connection: keep-alive\r\n",
		"Cache-Control: no-store\r\n",
		"Cookie: sid=8c1d7e0f5a2b; theme=dark; cart=17-2-9912-3-771-1-20931-1\r\n",
		"TE: trailers\r\n",
		"Trailing: x\r\n",
		"X:\r\n",
		"a:b\r\n",
		"Vary: \xc3\xa4\x0b\t\r\n",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101\r\n",
	};

	for (uint32_t n = below(most + 1); n; n--)
		add(fields[below(sizeof(fields) / sizeof(fields[0]))]);
}

/* Text that looks like ends of heads, and begins of others. */
static void add_body(uint32_t n)
{
	static const char bait[] = "0\r\n\r\nHTTP/1.1 500 No\r\n\r\nGET /no HTTP/1.1\r\n\r\n";
	uint32_t from = below(sizeof(bait) - 1);

	ck_assert_uint_lt(made + n, sizeof(bytes));
	for (uint32_t i = 0; i < n; i++)
		bytes[made++] = bait[(from + i) % (sizeof(bait) - 1)];
}

static void add_length(uint32_t n)
{
	static const char *const forms[] = {"Content-Length: %u\r\n", "content-length:%u\r\n",
					    "CONTENT-LENGTH: %u \r\n", "Content-Length: 0%u\r\n"};
	char line[64];

	snprintf(line, sizeof(line), forms[below(20) < 18 ? 0 : below(4)], n);
	add(line);
}

/* The end of a head, and the body that it announces, if that is sent. Returns where the body begins. */
static uint32_t add_counted(uint32_t n, bool sent)
{
	uint32_t begin;

	add_length(n);
	add_fields(3);
	add("\r\n");
	begin = made;
	if (sent)
		add_body(n);
	return begin;
}

static uint32_t add_chunked(uint32_t n)
{
	uint32_t begin;
	char line[16];

	add("Transfer-Encoding: chunked\r\n\r\n");
	begin = made;
	snprintf(line, sizeof(line), "%x\r\n", n);
	add(line);
	add_body(n);
	add("\r\n0\r\n\r\n");
	return begin;
}

/* As one segment, or cut somewhere. */
static void send_message(int dir)
{
	cut = below(10) ? 0 : 1 + below(made);
	message(dir, bytes, made);
}

static const char *ask(uint32_t number)
{
	static const char *const methods[] = {"GET",  "GET",  "GET", "GET",    "POST",
					      "POST", "HEAD", "PUT", "DELETE", "M-SEARCH"};
	const char *method = methods[number % 100 ? below(10) : 0];
	uint32_t body = below(4) ? below(600) : below(4000);
	char line[64];

	made = 0;
	snprintf(line, sizeof(line), "%s /%u HTTP/1.1\r\n", method, number);
	add(line);
	add_fields(25);
	if (method[0] != 'P')
		add("\r\n");
	else if (below(8))
		add_counted(body, true);
	else
		add_chunked(body + 1);
	send_message(DIR_IN);
	return method;
}

/* Returns the status; *body: bytes behind the head. */
static uint32_t answer(const char *method, uint32_t *body)
{
	static const uint32_t statuses[] = {200, 200, 200, 200, 201, 204, 304, 404, 404, 500};
	uint32_t status = statuses[below(10)], length = below(4) ? below(700) : below(30000), head;
	char line[64];

	made = 0;
	snprintf(line, sizeof(line), "HTTP/1.1 %u Whatever\r\n", status);
	add(line);
	add_fields(12);
	if (status == 204 || status == 304) {
		add("\r\n");
		head = made;
	} else if (below(8) || method[0] == 'H') {
		head = add_counted(length, method[0] != 'H');
	} else {
		head = add_chunked(length + 1);
	}
	*body = made - head;
	send_message(DIR_OUT);
	return status;
}

static void talk(uint32_t capture, bool as_client)
{
	static const struct appmon_opts opts = {0};
	struct sim_opts so = {.target = 1, .capture = capture};
	uint64_t before = sim_short_ways;

	fixture_init(&p, &opts);
	sim_start(&so);
	sk = NULL;
	mirrored = as_client;
	for (uint32_t i = 0; i < EXCHANGES; i++) {
		const char *method;
		uint32_t status, body;
		char target[32];

		/* New ones, and some that were there before. */
		if (i % 100 == 0)
			connection(i % 300 != 0);
		snprintf(target, sizeof(target), "/%u", i);
		method = ask(i);
		status = answer(method, &body);
		ev = fixture_event(&p);
		if (capture < 4096) /* of longer heads less is known */
			continue;
		if (!ev || strcmp(ev->request_target.data, target) || ev->status != status ||
		    strcmp(ev->operation.data, method) || ev->end != APPMON_END_COMPLETE ||
		    ev->response_bytes - ev->response_head_bytes != body)
			ck_abort_msg("exchange %u", i);
	}
	ck_assert_uint_gt(sim_short_ways - before, capture < 4096 ? 0 : EXCHANGES / 2);
	while (fixture_event(&p))
		;
	sim_forget(sk);
	sim_stop();
	fixture_free(&p);
}

START_TEST(server)
{
	seed = 1;
	talk(4096, false);
}
END_TEST

START_TEST(client)
{
	seed = 2;
	talk(4096, true);
}
END_TEST

/* What is captured ends before, and behind, what the short way looks at. */
START_TEST(short_capture)
{
	static const uint32_t captures[] = {128, 511, 512, 513, 700};

	for (size_t i = 0; i < sizeof(captures) / sizeof(captures[0]); i++) {
		seed = 3 + (uint32_t)i;
		talk(captures[i], i & 1);
	}
}
END_TEST

static void says(int dir, const char *text)
{
	message(dir, text, (uint32_t)strlen(text));
}

/* The next event, of a request for `target`. */
static void told(const char *target, uint32_t status, uint64_t body)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_str_eq(ev->request_target.data, target);
	ck_assert_uint_eq(ev->status, status);
	ck_assert_int_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_eq(ev->flags & APPMON_EVF_GAP, 0);
	ck_assert_uint_eq(ev->response_bytes - ev->response_head_bytes, body);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define SHORT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* Both ends, on a connection on which short responses are believed to be whole. */
static void believing(bool as_client)
{
	static const struct appmon_opts opts = {0};

	talk_begin(&opts);
	mirrored = as_client;
	connection(true);
	for (int i = 0; i < 3; i++) {
		says(DIR_IN, GET("/"));
		says(DIR_OUT, SHORT);
		told("/", 200, 2);
	}
	sim_short_ways = 0;
	says(DIR_IN, GET("/"));
	says(DIR_OUT, SHORT);
	told("/", 200, 2);
	ck_assert_uint_eq(sim_short_ways, 2);
}

/* More of a response comes, in this case a large body. */
static void goes_on(bool as_client)
{
	static char large[9000];

	believing(as_client);
	says(DIR_IN, GET("/large"));
	says(DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 18000\r\n\r\n");
	ck_assert_ptr_null(fixture_event(&p));
	message(DIR_OUT, large, sizeof(large));
	ck_assert_ptr_null(fixture_event(&p));
	message(DIR_OUT, large, sizeof(large));
	told("/large", 200, sizeof(large) * 2);
	for (int i = 0; i < 20; i++) {
		says(DIR_IN, GET("/chunks"));
		says(DIR_OUT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
		ck_assert_ptr_null(fixture_event(&p));
		says(DIR_OUT, "0\r\n\r\n");
		told("/chunks", 200, 7 + 5);
		says(DIR_IN, GET("/short"));
		says(DIR_OUT, SHORT);
		told("/short", 200, 2);
	}
	talk_end();
}

/* The client asks again meanwhile; the rest of one response and the next are one segment. */
static void overtaken(bool as_client)
{
	believing(as_client);
	says(DIR_IN, GET("/first"));
	says(DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
	says(DIR_IN, GET("/second"));
	says(DIR_OUT, "56789HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
	told("/first", 200, 10);
	told("/second", 404, 0);
	says(DIR_IN, GET("/"));
	says(DIR_OUT, SHORT);
	told("/", 200, 2);
	talk_end();
}

/* ... and what comes of the body looks like a response. */
static void misled(bool as_client)
{
	static const char bait[] = "HTTP/1.1 500 No\r\nContent-Length: 007\r\n\r\n";

	believing(as_client);
	says(DIR_IN, GET("/first"));
	says(DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n01234567890123456789");
	says(DIR_IN, GET("/second"));
	says(DIR_OUT, bait);
	ck_assert_uint_eq(sizeof(bait) - 1, 40);
	told("/first", 200, 60);
	says(DIR_OUT, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
	told("/second", 404, 0);
	says(DIR_IN, GET("/"));
	says(DIR_OUT, SHORT);
	told("/", 200, 2);
	talk_end();
}

START_TEST(believed)
{
	for (int as_client = 0; as_client < 2; as_client++) {
		goes_on(as_client);
		overtaken(as_client);
		misled(as_client);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {server, client, short_capture, believed, NULL};

	return unit_run("healthy", tests, NULL, NULL);
}
