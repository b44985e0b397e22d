/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From packets to events: the capture programs (sim.c) and the pipeline. What is expected comes
 * from RFC 9110, RFC 9112 and the public header.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2];
static const struct appmon_event *ev;

#define MS UINT64_C(1000000)

/* ---- the conversation ------------------------------------------------------------ */

static void start(const struct appmon_opts *opts)
{
	struct sim_opts so = {.target = 1, .slot = 0, .cgroup_id = 4242};

	fixture_init(&p, opts);
	so.capture = p.target[0].capture;
	sim_start(&so);
}

static void stop(void)
{
	ck_assert(fixture_adds_up(&p));
	sim_forget(sk);
	sk = NULL;
	sim_stop();
	fixture_free(&p);
}

static void restart(struct appmon_opts opts)
{
	stop();
	start(&opts);
}

/* The next connection; the one before it is left as it is. */
static void connection_at(bool active, uint32_t in_seq, uint32_t out_seq)
{
	sim_forget(sk);
	sk = sim_connect(active, in_seq, out_seq);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
}

static void server(void)
{
	connection_at(false, 1000, 2000);
}

static void client(void)
{
	connection_at(true, 1000, 2000);
}

static void setup(void)
{
	start(&(struct appmon_opts){0});
	server();
}

static void pump(void)
{
	const void *rec;
	size_t size;

	while ((rec = sim_record(&size)))
		ck_assert(fixture_record(&p, rec, size));
	ck_assert(fixture_adds_up(&p));
}

/* Each packet comes a millisecond after the one before it. */
static void at(int dir, uint64_t pos, const char *data, size_t len, uint32_t flags)
{
	sim_now_ns += MS;
	sim_packet(sk, dir, pos, data, (uint32_t)len, flags);
	pump();
	if (pos + len > next_pos[dir])
		next_pos[dir] = pos + len;
}

static void in(const char *text)
{
	at(DIR_IN, next_pos[DIR_IN], text, strlen(text), SIM_PSH);
}

static void out(const char *text)
{
	at(DIR_OUT, next_pos[DIR_OUT], text, strlen(text), SIM_PSH);
}

/* n bytes of body in segments of at most 1,000. */
static void body(int dir, size_t n)
{
	static char x[1000];

	memset(x, 'x', sizeof(x));
	while (n) {
		size_t len = n < sizeof(x) ? n : sizeof(x);

		n -= len;
		at(dir, next_pos[dir], x, len, n ? 0 : SIM_PSH);
	}
}

static void fin(int dir)
{
	at(dir, next_pos[dir], NULL, 0, SIM_FIN);
}

static void rst(int dir)
{
	at(dir, next_pos[dir], NULL, 0, SIM_RST);
}

/* ---- what comes of it --------------------------------------------------------------- */

static void nothing(void)
{
	ck_assert_ptr_null(fixture_event(&p));
}

static bool is(struct appmon_str str, const char *text)
{
	return str.len == strlen(text) && !memcmp(str.data, text, str.len) && !str.data[str.len];
}

#define IS(str, text)                                                                              \
	ck_assert_msg(is((str), (text)), #str " is \"%s\", not \"%s\"", (str).data, (text))

#define HEADER(name, response, text)                                                               \
	do {                                                                                       \
		const struct appmon_str *value = appmon_event_header(ev, name, response);          \
		ck_assert_ptr_nonnull(value);                                                      \
		IS(*value, text);                                                                  \
	} while (0)

static void event(void)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
}

/* What becomes of a request that a server did not answer. */
static const uint32_t unanswered[] = {
	[APPMON_END_CLOSED] = APPMON_OUTCOME_NO_RESPONSE,
	[APPMON_END_RESET_BY_PEER] = APPMON_OUTCOME_CANCELLED,
	[APPMON_END_RESET_BY_US] = APPMON_OUTCOME_NO_RESPONSE,
	[APPMON_END_TIMEOUT] = APPMON_OUTCOME_TIMEOUT,
	[APPMON_END_GAP] = APPMON_OUTCOME_UNKNOWN,
	[APPMON_END_UPGRADED] = APPMON_OUTCOME_UNKNOWN,
};

/* The next event, of that path and status, and how it ended. */
static void ended(const char *path, uint32_t status, uint32_t end)
{
	event();
	IS(ev->path, path);
	ck_assert_uint_eq(ev->status, status);
	ck_assert_int_eq(ev->status_number, status ? (int64_t)status : -1);
	if (status)
		ck_assert_int_eq(ev->outcome == APPMON_OUTCOME_OK, status < 400);
	else if (ev->role == APPMON_ROLE_SERVER)
		ck_assert_uint_eq(ev->outcome, unanswered[end]);
	ck_assert_str_eq(appmon_end_name(ev->end), appmon_end_name(end));
	ck_assert_int_eq(!(ev->flags & APPMON_EVF_NO_RESPONSE), !!status);
}

static void complete(const char *path, uint32_t status)
{
	ended(path, status, APPMON_END_COMPLETE);
}

static void flagged(uint64_t set, uint64_t clear)
{
	ck_assert_msg((ev->flags & set) == set && !(ev->flags & clear),
		      "flags are 0x%llx, not 0x%llx without 0x%llx", (unsigned long long)ev->flags,
		      (unsigned long long)set, (unsigned long long)clear);
}

static void bodies(uint64_t request, uint64_t response)
{
	ck_assert_uint_eq(ev->request_body_bytes, request);
	ck_assert_uint_eq(ev->response_body_bytes, response);
}

static void counts(uint64_t seen, uint64_t delivered)
{
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, seen);
	ck_assert_uint_eq(p.pl.stats.delivered, delivered);
}

static void dropped(uint32_t reason, uint64_t n)
{
	ck_assert_msg(p.pl.stats.dropped[reason] == n, "dropped[%s] is %llu, not %llu",
		      appmon_drop_name(reason), (unsigned long long)p.pl.stats.dropped[reason],
		      (unsigned long long)n);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path, length)                                                                         \
	"POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " #length "\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define ANSWER(status, length) "HTTP/1.1 " #status " X\r\nContent-Length: " #length "\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/* ---- plain exchanges ------------------------------------------------------------------- */

START_TEST(plain_exchange)
{
	static const char request[] = "GET /a/b?x=1&y HTTP/1.1\r\nHost: example.org:8080\r\n"
				      "User-Agent:  curl/8 \r\nCookie: secret\r\n"
				      "Authorization: Basic secret\r\nX-Request-Id: 7\r\n\r\n";
	static const char response[] = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
				       "Set-Cookie: secret\r\nContent-Length: 5\r\n\r\nhello";

	in(request);
	nothing();
	ck_assert_uint_eq(p.pl.stats.outstanding, 1);
	out(response);
	complete("/a/b", 404);
	ck_assert_uint_eq(ev->size, sizeof(*ev));
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP1);
	ck_assert_uint_eq(ev->flags, APPMON_EVF_KEEP_ALIVE);
	ck_assert_uint_eq(ev->role, APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->target_id, 1);
	ck_assert_uint_eq(ev->cgroup_id, 4242);
	ck_assert_uint_eq(ev->connection_id, sim_cookie(sk));
	ck_assert_uint_eq(ev->ordinal, 1);
	ck_assert_uint_eq(ev->request_start_ns, 1000000000 + MS);
	ck_assert_uint_eq(ev->request_end_ns, 1000000000 + MS);
	ck_assert_uint_eq(ev->response_start_ns, 1000000000 + 2 * MS);
	ck_assert_uint_eq(ev->response_end_ns, 1000000000 + 2 * MS);
	ck_assert_uint_eq(ev->duration_ns, MS);
	ck_assert_uint_eq(ev->request_ns, 0);
	ck_assert_uint_eq(ev->wait_ns, MS);
	ck_assert_uint_eq(ev->response_ns, 0);
	ck_assert_uint_eq(ev->request_head_bytes, sizeof(request) - 1);
	ck_assert_uint_eq(ev->response_head_bytes, sizeof(response) - 1 - 5);
	bodies(0, 5);
	ck_assert_int_eq(ev->request_content_length, -1);
	ck_assert_int_eq(ev->response_content_length, 5);
	ck_assert_uint_eq(ev->method, APPMON_METHOD_GET);
	ck_assert_uint_eq(ev->request_http_version, 11);
	ck_assert_uint_eq(ev->response_http_version, 11);
	ck_assert_uint_eq(ev->srtt_us, 100);
	ck_assert_uint_eq(ev->retransmits, 0);
	ck_assert_uint_eq(ev->peer_retransmits, 0);
	ck_assert_uint_eq(ev->local.family, 4);
	ck_assert_uint_eq(ev->local.port, 80);
	ck_assert_mem_eq(ev->local.addr, "\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	ck_assert_mem_eq(ev->remote.addr, "\xc0\0\2\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	IS(ev->operation, "GET");
	IS(ev->request_target, "/a/b?x=1&y");
	IS(ev->query, "x=1&y");
	IS(ev->authority, "example.org:8080");
	IS(ev->message, "Not Found");
	IS(ev->target_name, "one");
	IS(ev->comm, "");
	/* Nothing but what is on the list. */
	ck_assert_uint_eq(ev->header_count, 3);
	HEADER("user-agent", 0, "curl/8");
	HEADER("x-request-id", 0, "7");
	HEADER("content-type", 1, "text/plain");
	nothing();
	counts(1, 1);
	ck_assert_uint_eq(p.pl.stats.requests, 1);
	ck_assert_uint_eq(p.pl.stats.responses, 1);
	ck_assert_uint_eq(p.pl.stats.connections_seen, 1);
	ck_assert_uint_eq(p.pl.stats.connections_open, 1);
}
END_TEST

START_TEST(client_role)
{
	client();
	out(GET("/out"));
	in(ANSWER(200, 3) "abc");
	complete("/out", 200);
	ck_assert_uint_eq(ev->role, APPMON_ROLE_CLIENT);
	ck_assert_uint_eq(ev->remote.port, 80);
	bodies(0, 3);
	flagged(APPMON_EVF_KEEP_ALIVE, 0);
}
END_TEST

START_TEST(keep_alive)
{
	for (unsigned int i = 1; i <= 100; i++) {
		char request[64], path[16];

		snprintf(path, sizeof(path), "/%u", i);
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n\r\n", path);
		in(request);
		out(ANSWER(200, 1) "x");
		complete(path, 200);
		ck_assert_uint_eq(ev->ordinal, i);
		flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_PIPELINED | APPMON_EVF_GAP);
	}
	nothing();
	ck_assert_uint_eq(p.pl.stats.connections_seen, 1);
}
END_TEST

/* RFC 9112 section 9.3 */
START_TEST(persistence)
{
	in("GET /1 HTTP/1.0\r\n\r\n");
	out("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
	complete("/1", 200);
	ck_assert_uint_eq(ev->request_http_version, 10);
	flagged(0, APPMON_EVF_KEEP_ALIVE);
	in("GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	out("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n");
	complete("/2", 200);
	flagged(APPMON_EVF_KEEP_ALIVE, 0);
	in(GET("/3"));
	out("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	complete("/3", 200);
	flagged(0, APPMON_EVF_KEEP_ALIVE);
	in("GET /4 HTTP/1.1\r\nConnection: close\r\n\r\n");
	out(OK);
	complete("/4", 200);
	flagged(0, APPMON_EVF_KEEP_ALIVE);
}
END_TEST

START_TEST(methods)
{
	static const char *const names[] = {"HEAD",  "POST",  "PUT",	 "DELETE",
					    "TRACE", "PATCH", "OPTIONS", "PROPFIND"};
	static const uint32_t values[] = {APPMON_METHOD_HEAD,	 APPMON_METHOD_POST,
					  APPMON_METHOD_PUT,	 APPMON_METHOD_DELETE,
					  APPMON_METHOD_TRACE,	 APPMON_METHOD_PATCH,
					  APPMON_METHOD_OPTIONS, APPMON_METHOD_OTHER};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char request[64];

		snprintf(request, sizeof(request), "%s /m HTTP/1.1\r\nHost: h\r\n\r\n", names[i]);
		in(request);
		out(OK);
		complete("/m", 200);
		IS(ev->operation, names[i]);
		ck_assert_uint_eq(ev->method, values[i]);
	}
	in("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
	out(OK);
	complete("*", 200);
	in("GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
	out(OK);
	complete("/p", 200);
	IS(ev->authority, "other:81");
	IS(ev->query, "q");
	IS(ev->request_target, "http://other:81/p?q");
}
END_TEST

/* ---- pipelining: RFC 9112 section 9.3.2 --------------------------------------------------- */

START_TEST(pipelined_one_segment)
{
	in(GET("/1") GET("/2") GET("/3"));
	out(ANSWER(201, 1) "a" ANSWER(202, 2) "bb" ANSWER(203, 3) "ccc");
	complete("/1", 201);
	flagged(0, APPMON_EVF_PIPELINED);
	bodies(0, 1);
	complete("/2", 202);
	flagged(APPMON_EVF_PIPELINED, 0);
	bodies(0, 2);
	complete("/3", 203);
	flagged(APPMON_EVF_PIPELINED, 0);
	bodies(0, 3);
	in(GET("/4"));
	out(OK);
	complete("/4", 200);
	flagged(0, APPMON_EVF_PIPELINED);
	nothing();
	counts(4, 4);
}
END_TEST

START_TEST(pipelined_segments)
{
	in(GET("/1"));
	in(POST("/2", 4) "body");
	in(GET("/3"));
	out(ANSWER(201, 0));
	complete("/1", 201);
	in(GET("/4"));
	out(ANSWER(202, 0));
	out(ANSWER(203, 0));
	out(ANSWER(204, 0));
	complete("/2", 202);
	bodies(4, 0);
	complete("/3", 203);
	complete("/4", 204);
	flagged(APPMON_EVF_PIPELINED, 0);
	nothing();
}
END_TEST

START_TEST(pipelined_split_anywhere)
{
	static const char requests[] = GET("/1") GET("/2") GET("/3");
	static const char responses[] = ANSWER(201, 1) "a" ANSWER(202, 2) "bb" ANSWER(203, 3) "ccc";

	for (size_t i = 1; i < sizeof(requests) - 1; i++) {
		server();
		at(DIR_IN, 0, requests, i, SIM_PSH);
		at(DIR_IN, i, requests + i, sizeof(requests) - 1 - i, SIM_PSH);
		out(responses);
		complete("/1", 201);
		complete("/2", 202);
		complete("/3", 203);
		nothing();
	}
	for (size_t i = 1; i < sizeof(responses) - 1; i++) {
		server();
		in(requests);
		at(DIR_OUT, 0, responses, i, SIM_PSH);
		at(DIR_OUT, i, responses + i, sizeof(responses) - 1 - i, SIM_PSH);
		complete("/1", 201);
		complete("/2", 202);
		complete("/3", 203);
		nothing();
	}
}
END_TEST

/* One to three requests ahead of the answers, for as long as the client likes. */
START_TEST(pipelined_for_long)
{
	for (unsigned int ahead = 1; ahead < 4; ahead++) {
		server();
		for (unsigned int i = 0; i < 50 + ahead; i++) {
			char text[80], path[16];

			snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\n\r\n", i);
			in(text);
			if (i < ahead)
				continue;
			snprintf(text, sizeof(text), "HTTP/1.1 %u X\r\nContent-Length: 2\r\n\r\nok",
				 400 + i - ahead);
			out(text);
			snprintf(path, sizeof(path), "/%u", i - ahead);
			complete(path, 400 + i - ahead);
		}
		nothing();
		rst(DIR_IN);
		while (fixture_event(&p))
			;
	}
}
END_TEST

/* More requests at once than the capture limit holds. */
START_TEST(pipelined_beyond_capture)
{
	char requests[100 * 64] = "";
	uint64_t sum;

	for (int i = 0; i < 100; i++) {
		size_t len = strlen(requests);

		snprintf(requests + len, sizeof(requests) - len, GET("/many/%03d"), i);
	}
	in(requests);
	for (int i = 0; i < 100; i++)
		out(ANSWER(200, 0));
	while ((ev = fixture_event(&p))) {
		char path[32];

		/* Whatever is reported is reported right. */
		snprintf(path, sizeof(path), "/many/%03d", (int)ev->ordinal - 1);
		if (ev->status)
			IS(ev->path, path);
	}
	sum = p.pl.stats.delivered;
	ck_assert_uint_gt(sum, 0);
}
END_TEST

/* ---- heads ---------------------------------------------------------------------------------- */

START_TEST(heads_split_anywhere)
{
	static const char request[] = POST("/split?q", 4) "body";
	static const char response[] = ANSWER(200, 3) "abc";

	for (size_t i = 1; i < sizeof(request) - 1; i++) {
		server();
		at(DIR_IN, 0, request, i, SIM_PSH);
		at(DIR_IN, i, request + i, sizeof(request) - 1 - i, SIM_PSH);
		out(response);
		complete("/split", 200);
		ck_assert_uint_eq(ev->request_head_bytes, sizeof(request) - 1 - 4);
		bodies(4, 3);
		ck_assert_uint_eq(ev->flags, APPMON_EVF_KEEP_ALIVE);
		ck_assert_uint_eq(ev->request_ns, MS);
		nothing();
	}
	for (size_t i = 1; i < sizeof(response) - 1; i++) {
		server();
		in(request);
		at(DIR_OUT, 0, response, i, SIM_PSH);
		at(DIR_OUT, i, response + i, sizeof(response) - 1 - i, SIM_PSH);
		complete("/split", 200);
		ck_assert_uint_eq(ev->response_head_bytes, sizeof(response) - 1 - 3);
		bodies(4, 3);
		ck_assert_uint_eq(ev->flags, APPMON_EVF_KEEP_ALIVE);
		ck_assert_uint_eq(ev->response_ns, MS);
		nothing();
	}
}
END_TEST

START_TEST(heads_byte_by_byte)
{
	static const char request[] = POST("/bytes", 4) "body";
	static const char response[] = ANSWER(200, 3) "abc";

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(request) - 1; i++)
			at(DIR_IN, next_pos[DIR_IN], request + i, 1, SIM_PSH);
		for (size_t i = 0; i < sizeof(response) - 1; i++)
			at(DIR_OUT, next_pos[DIR_OUT], response + i, 1, SIM_PSH);
		complete("/bytes", 200);
		bodies(4, 3);
		nothing();
	}
}
END_TEST

/* A head of 4,000 bytes in one record of 4,096 and one of 3,000 in three segments. */
START_TEST(heads_long)
{
	char request[4096], field[3700];

	memset(field, 'f', sizeof(field));
	snprintf(request, sizeof(request), "GET /long HTTP/1.1\r\nX: %.*s\r\nUser-Agent: u\r\n\r\n",
		 3700, field);
	in(request);
	out(OK);
	complete("/long", 200);
	flagged(0, APPMON_EVF_TRUNCATED);
	ck_assert_uint_eq(ev->request_head_bytes, strlen(request));
	HEADER("user-agent", 0, "u");
	at(DIR_IN, next_pos[DIR_IN], request, 1400, 0);
	at(DIR_IN, next_pos[DIR_IN], request + 1400, 1400, 0);
	at(DIR_IN, next_pos[DIR_IN], request + 2800, strlen(request) - 2800, SIM_PSH);
	out(OK);
	complete("/long", 200);
	HEADER("user-agent", 0, "u");
}
END_TEST

static void long_request(const char *line, size_t field_bytes, const char *rest)
{
	static char request[1 << 17];
	int n = snprintf(request, sizeof(request), "%s\r\nX: ", line);

	memset(request + n, 'x', field_bytes);
	snprintf(request + n + field_bytes, sizeof(request) - (size_t)n - field_bytes, "\r\n%s\r\n",
		 rest);
	for (size_t i = 0, len = strlen(request); i < len; i += 1448)
		at(DIR_IN, next_pos[DIR_IN], request + i, len - i < 1448 ? len - i : 1448, SIM_PSH);
}

START_TEST(head_truncated)
{
	long_request("GET /cut?q HTTP/1.1", 8000, "User-Agent: lost\r\n");
	out(ANSWER(200, 2) "ok");
	complete("/cut", 200);
	flagged(APPMON_EVF_TRUNCATED, APPMON_EVF_GAP);
	ck_assert_uint_eq(ev->request_target.truncated, 0);
	ck_assert_ptr_null(appmon_event_header(ev, "user-agent", 0));
	bodies(ev->request_body_bytes, 2);
	/* The connection goes on as if nothing had been. */
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_TRUNCATED | APPMON_EVF_GAP);
	nothing();
}
END_TEST

START_TEST(value_truncated)
{
	static char request[8192];
	int n = snprintf(request, sizeof(request),
			 "GET /v HTTP/1.1\r\nX-Request-Id: 1\r\nUser-Agent: ");

	memset(request + n, 'u', 5000);
	strcpy(request + n + 5000, "\r\n\r\n");
	in(request);
	out(OK);
	complete("/v", 200);
	flagged(APPMON_EVF_TRUNCATED, 0);
	HEADER("x-request-id", 0, "1");
	ck_assert_uint_eq(appmon_event_header(ev, "x-request-id", 0)->truncated, 0);
	ck_assert_uint_eq(appmon_event_header(ev, "user-agent", 0)->len, 4096 - (uint32_t)n);
	ck_assert_uint_eq(appmon_event_header(ev, "user-agent", 0)->truncated, 1);
}
END_TEST

START_TEST(target_truncated)
{
	char line[8000] = "GET /";

	memset(line + 5, 'p', 6000);
	long_request(line, 1, "");
	out(OK);
	event();
	flagged(APPMON_EVF_TRUNCATED, 0);
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_uint_eq(ev->path.truncated, 1);
	ck_assert_uint_eq(ev->request_target.truncated, 1);
	ck_assert_uint_eq(ev->path.len, 4096 - 4);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
}
END_TEST

START_TEST(response_head_truncated)
{
	static char response[8192];
	int n = snprintf(response, sizeof(response), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: ");

	memset(response + n, 'x', 6000);
	strcpy(response + n + 6000, "\r\n\r\nabc");
	in(GET("/a"));
	for (size_t i = 0, len = strlen(response); i < len; i += 1448)
		at(DIR_OUT, next_pos[DIR_OUT], response + i, len - i < 1448 ? len - i : 1448,
		   SIM_PSH);
	in(GET("/b"));
	complete("/a", 200);
	flagged(APPMON_EVF_TRUNCATED, 0);
	out(OK);
	complete("/b", 200);
	flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_TRUNCATED);
}
END_TEST

START_TEST(capture_smallest)
{
	restart((struct appmon_opts){.capture_bytes = 128});
	server();
	for (int i = 0; i < 10; i++) {
		long_request("GET /small HTTP/1.1", 300, "User-Agent: lost\r\n");
		out(ANSWER(200, 2) "ok");
		complete("/small", 200);
		flagged(APPMON_EVF_TRUNCATED, APPMON_EVF_GAP);
	}
	nothing();
}
END_TEST

/* RFC 9112 section 2.2: an empty line before a request line is ignored. */
START_TEST(empty_lines)
{
	in(POST("/1", 4) "body\r\n");
	out(ANSWER(201, 0));
	complete("/1", 201);
	in(GET("/2"));
	out(ANSWER(202, 0));
	complete("/2", 202);
	flagged(0, APPMON_EVF_PIPELINED);
	in(POST("/3", 4) "body");
	in("\r\n");
	out(ANSWER(203, 0));
	complete("/3", 203);
	in("\r\n" GET("/4"));
	out(ANSWER(204, 0));
	complete("/4", 204);
	bodies(0, 0);
	fin(DIR_IN);
	fin(DIR_OUT);
	nothing();
	counts(4, 4);
}
END_TEST

START_TEST(malformed)
{
	in("GET /bad\r\nHost: h\r\n\r\n");
	out(ANSWER(400, 0));
	event();
	ck_assert_uint_eq(ev->status, 400);
	flagged(APPMON_EVF_MALFORMED, APPMON_EVF_NO_RESPONSE);
	ck_assert_uint_eq(ev->method, APPMON_METHOD_UNKNOWN);
	IS(ev->path, "");
	server();
	in("GET /bad\r\nHost: h\r\n\r\n");
	fin(DIR_OUT);
	fin(DIR_IN);
	nothing();
	dropped(APPMON_DROP_PARSE, 1);
	counts(2, 1);
}
END_TEST

/* ---- bodies: RFC 9112 section 6 -------------------------------------------------------------- */

START_TEST(body_by_length)
{
	in(POST("/up", 12345));
	body(DIR_IN, 12344);
	nothing();
	body(DIR_IN, 1);
	out(ANSWER(200, 54321));
	body(DIR_OUT, 54320);
	nothing();
	body(DIR_OUT, 1);
	complete("/up", 200);
	bodies(12345, 54321);
	ck_assert_int_eq(ev->request_content_length, 12345);
	ck_assert_int_eq(ev->response_content_length, 54321);
	/* 1 + 13 packets up, 1 + 55 + 1 down */
	ck_assert_uint_eq(ev->request_ns, 14 * MS);
	ck_assert_uint_eq(ev->wait_ns, MS);
	ck_assert_uint_eq(ev->response_ns, 56 * MS);
	flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_INFERRED_END);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
}
END_TEST

/* The event comes after the last byte, not with the next request, although it has no PSH. */
START_TEST(body_end_by_sweep)
{
	in(GET("/swept"));
	out(ANSWER(200, 100000));
	for (int i = 0; i < 100; i++) {
		static const char x[1000];

		at(DIR_OUT, next_pos[DIR_OUT], x, sizeof(x), 0);
	}
	nothing();
	sim_sweep(sk);
	pump();
	complete("/swept", 200);
	bodies(0, 100000);
}
END_TEST

START_TEST(body_chunked)
{
	in("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
	out(CHUNKED "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n");
	complete("/c", 200);
	flagged(APPMON_EVF_CHUNKED_REQUEST | APPMON_EVF_CHUNKED_RESPONSE, APPMON_EVF_INFERRED_END);
	bodies(15, strlen("3;ext=1..abc..2..de..0..Trailer: x...."));
	ck_assert_int_eq(ev->response_content_length, -1);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	flagged(0, APPMON_EVF_CHUNKED_RESPONSE);
}
END_TEST

START_TEST(body_chunked_split_anywhere)
{
	static const char response[] =
		CHUNKED "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: x\r\n\r\n";

	for (size_t i = 1; i < sizeof(response) - 1; i++) {
		server();
		in(GET("/c"));
		at(DIR_OUT, 0, response, i, SIM_PSH);
		nothing();
		at(DIR_OUT, i, response + i, sizeof(response) - 1 - i, SIM_PSH);
		complete("/c", 200);
		bodies(0, sizeof(response) - sizeof(CHUNKED));
		in(GET("/next"));
		out(OK);
		complete("/next", 200);
		nothing();
	}
}
END_TEST

/* Chunks that go far beyond what is captured. */
static void chunked_long(const char *last)
{
	in(GET("/long"));
	out(CHUNKED);
	for (int i = 0; i < 50; i++) {
		static char chunk[1010];

		memcpy(chunk, "3e8\r\n", 5);
		memset(chunk + 5, 'x', 1000);
		memcpy(chunk + 1005, "\r\n", 2);
		at(DIR_OUT, next_pos[DIR_OUT], chunk, 1007, SIM_PSH);
	}
	nothing();
	out(last);
	complete("/long", 200);
	flagged(APPMON_EVF_CHUNKED_RESPONSE, APPMON_EVF_GAP);
	bodies(0, 50 * 1007 + strlen(last));
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	flagged(0, APPMON_EVF_PIPELINED);
}

START_TEST(body_chunked_long)
{
	chunked_long("0\r\n\r\n");
	chunked_long("1\r\nx\r\n0\r\n\r\n");
	chunked_long("0\r\nTrailer: value\r\n\r\n");
	nothing();
}
END_TEST

/* An upload in chunks, far longer than the capture: segment `late` comes behind all others. */
static void upload_with_hole(size_t chunk, size_t late)
{
	static char body[200000];
	const size_t segment = 1448;
	size_t len = 0, end;
	uint64_t begin;

	while (len < 150000) {
		len += (size_t)sprintf(body + len, "%zx\r\n", chunk);
		memset(body + len, 'x', chunk);
		memcpy(body + len + chunk, "\r\n", 2);
		len += chunk + 2;
	}
	len += (size_t)sprintf(body + len, "0\r\n\r\n");
	in("POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	begin = next_pos[DIR_IN];
	for (size_t off = 0; off < len; off += segment) {
		end = off + segment < len ? off + segment : len;
		if (off != late * segment)
			at(DIR_IN, begin + off, body + off, end - off, end == len ? SIM_PSH : 0);
	}
	nothing();
	at(DIR_IN, begin + late * segment, body + late * segment, segment, 0);
	out(OK);
	complete("/up", 200);
	flagged(APPMON_EVF_CHUNKED_REQUEST, APPMON_EVF_INFERRED_END | APPMON_EVF_GAP);
	bodies(len, 0);
	next_pos[DIR_IN] = begin + len;
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	flagged(0, APPMON_EVF_PIPELINED | APPMON_EVF_GAP);
}

START_TEST(body_chunked_hole)
{
	for (size_t late = 60; late < 100; late++) {
		server();
		upload_with_hole(1000, late);
		upload_with_hole(8000, late);
		nothing();
	}
}
END_TEST

/* A long answer in chunks, of which a part came early; its last segment is a line end alone. */
START_TEST(body_chunked_short_end)
{
	static char chunk[1010];
	uint64_t pos;

	memcpy(chunk, "3e8\r\n", 5);
	memset(chunk + 5, 'x', 1000);
	memcpy(chunk + 1005, "\r\n", 2);
	client();
	for (int i = 0; i < 2; i++) {
		out(GET("/long"));
		in(CHUNKED);
		for (int k = 0; k < 50; k++)
			at(DIR_IN, next_pos[DIR_IN], chunk, 1007, 0);
		pos = next_pos[DIR_IN];
		at(DIR_IN, pos + 1007, "0\r\n", 3, 0);
		at(DIR_IN, pos, chunk, 1007, 0);
		at(DIR_IN, pos + 1010, "\r\n", 2, SIM_PSH);
		next_pos[DIR_IN] = pos + 1012;
		out(GET("/next"));
		in(OK);
		complete("/long", 200);
		flagged(APPMON_EVF_CHUNKED_RESPONSE, APPMON_EVF_GAP);
		bodies(0, 51 * 1007 + 5);
		complete("/next", 200);
		flagged(0, APPMON_EVF_GAP | APPMON_EVF_PIPELINED);
	}
	nothing();
}
END_TEST

/* A long chunk ends with a line end that is cut, and what follows is sent again with what came early. */
START_TEST(body_chunked_cut_end)
{
	uint64_t pos;

	client();
	out(GET("/long"));
	in(CHUNKED "4e20\r\n");
	body(DIR_IN, 20000);
	pos = next_pos[DIR_IN];
	at(DIR_IN, pos, "\r", 1, SIM_PSH);
	at(DIR_IN, pos + 3, "\r\n\r\n", 4, SIM_PSH);
	nothing();
	at(DIR_IN, pos + 1, "\n0\r\n\r\n", 6, SIM_PSH);
	complete("/long", 200);
	flagged(APPMON_EVF_CHUNKED_RESPONSE, APPMON_EVF_GAP);
	bodies(0, 6 + 20000 + 7);
	nothing();
}
END_TEST

/* Bodies in tiny segments that begin like a method would, long after the captured part. */
START_TEST(body_tiny_capitals)
{
	in("POST /tiny HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	in("3e8\r\n");
	body(DIR_IN, 900);
	for (int i = 0; i < 20; i++)
		in("TRACE");
	in("\r\n");
	in("5\r\n");
	for (int i = 0; i < 5; i++)
		in("T");
	in("\r\n");
	in("0\r\n\r\n");
	out(CHUNKED);
	out("14\r\n");
	for (int i = 0; i < 20; i++)
		out("H");
	out("\r\n0\r\n\r\n");
	complete("/tiny", 200);
	flagged(APPMON_EVF_CHUNKED_REQUEST | APPMON_EVF_CHUNKED_RESPONSE,
		APPMON_EVF_GAP | APPMON_EVF_PIPELINED);
	bodies(1000 + 7 + 5 + 5 + 5, 31);
	nothing();
	counts(1, 1);
}
END_TEST

START_TEST(body_until_close)
{
	in("GET /close HTTP/1.0\r\n\r\n");
	out("HTTP/1.0 200 OK\r\n\r\n");
	body(DIR_OUT, 5000);
	nothing();
	fin(DIR_OUT);
	complete("/close", 200);
	bodies(0, 5000);
	flagged(0, APPMON_EVF_KEEP_ALIVE | APPMON_EVF_INFERRED_END);
	fin(DIR_IN);
	nothing();
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
}
END_TEST

START_TEST(body_none)
{
	in("HEAD /head HTTP/1.1\r\n\r\n");
	out(ANSWER(200, 12345));
	complete("/head", 200);
	bodies(0, 0);
	ck_assert_int_eq(ev->response_content_length, 12345);
	in("HEAD /chunked HTTP/1.1\r\n\r\n");
	out(CHUNKED);
	complete("/chunked", 200);
	in(GET("/204"));
	out(ANSWER(204, 5));
	complete("/204", 204);
	in(GET("/304"));
	out(ANSWER(304, 99));
	complete("/304", 304);
	bodies(0, 0);
	in(GET("/304"));
	out("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n");
	complete("/304", 304);
	in(GET("/last"));
	out(OK);
	complete("/last", 200);
	nothing();
	counts(6, 6);
}
END_TEST

/* RFC 9112 section 6.3: Transfer-Encoding overrides Content-Length. */
START_TEST(body_ambiguous)
{
	in("POST /te HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
	   "5\r\nhello\r\n0\r\n\r\n");
	out(OK);
	complete("/te", 200);
	flagged(APPMON_EVF_AMBIGUOUS, 0);
	bodies(15, 0);
}
END_TEST

/* RFC 9110 section 15.2 */
START_TEST(informational)
{
	in("POST /continue HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	out("HTTP/1.1 100 Continue\r\n\r\n");
	nothing();
	in("body");
	out(ANSWER(201, 0));
	complete("/continue", 201);
	flagged(APPMON_EVF_CONTINUED | APPMON_EVF_KEEP_ALIVE, APPMON_EVF_EARLY_RESPONSE);
	bodies(4, 0);
	ck_assert_uint_eq(ev->request_ns, 2 * MS);
	ck_assert_uint_eq(ev->wait_ns, MS);
	in(GET("/hints"));
	out("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	    "HTTP/1.1 103 Early Hints\r\n\r\n" ANSWER(200, 2) "ok");
	complete("/hints", 200);
	flagged(APPMON_EVF_CONTINUED, 0);
	bodies(0, 2);
	in(GET("/plain"));
	out(OK);
	complete("/plain", 200);
	flagged(0, APPMON_EVF_CONTINUED);
	ck_assert_uint_eq(p.pl.stats.responses, 3);
}
END_TEST

START_TEST(early_response)
{
	in(POST("/big", 5000));
	body(DIR_IN, 1000);
	out(ANSWER(413, 0));
	nothing();
	body(DIR_IN, 4000);
	complete("/big", 413);
	flagged(APPMON_EVF_EARLY_RESPONSE, 0);
	ck_assert_uint_eq(ev->wait_ns, 0);
	bodies(5000, 0);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	/* The client gives up sending. */
	in(POST("/big", 5000));
	body(DIR_IN, 1000);
	out("HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	fin(DIR_OUT);
	complete("/big", 413);
	flagged(APPMON_EVF_EARLY_RESPONSE, APPMON_EVF_KEEP_ALIVE);
	bodies(1000, 0);
	ck_assert_uint_eq(ev->request_end_ns, 0);
}
END_TEST

/* ---- tunnels --------------------------------------------------------------------------------- */

START_TEST(upgrade)
{
	in("GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
	out("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
	ended("/ws", 101, APPMON_END_UPGRADED);
	flagged(APPMON_EVF_UPGRADED, APPMON_EVF_CONTINUED | APPMON_EVF_NO_RESPONSE);
	in("\x81\x05hello");
	out("\x81\x05hello");
	/* What looks like a request is none any more. */
	in(GET("/no"));
	out(OK);
	fin(DIR_IN);
	fin(DIR_OUT);
	nothing();
	counts(1, 1);
	ck_assert_uint_eq(p.pl.stats.tunnel_bytes, 14 + strlen(GET("/no")) + strlen(OK));
}
END_TEST

START_TEST(connect)
{
	in("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
	out("HTTP/1.1 200 Connection established\r\n\r\n");
	ended("", 200, APPMON_END_UPGRADED);
	IS(ev->authority, "example.org:443");
	ck_assert_uint_eq(ev->method, APPMON_METHOD_CONNECT);
	in("\x16\x03\x01");
	out("\x16\x03\x03\x02");
	ck_assert_uint_eq(p.pl.stats.tunnel_bytes, 7);
	/* Refused: an ordinary response with a body. */
	server();
	in("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
	out(ANSWER(407, 4) "auth");
	complete("", 407);
	bodies(0, 4);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
}
END_TEST

/* ---- the network ----------------------------------------------------------------------------- */

/* Two segments, the second one first, wherever the boundary lies; with a body and without. */
static void request_out_of_order(const char *request, uint64_t body_len)
{
	size_t len = strlen(request);

	for (size_t i = 1; i < len; i++) {
		server();
		in(GET("/first"));
		out(OK);
		complete("/first", 200);
		at(DIR_IN, next_pos[DIR_IN] + i, request + i, len - i, SIM_PSH);
		at(DIR_IN, next_pos[DIR_IN] - len, request, i, 0);
		out(OK);
		complete("/late", 200);
		bodies(body_len, 0);
		flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_GAP | APPMON_EVF_MALFORMED);
		in(GET("/next"));
		out(OK);
		complete("/next", 200);
		nothing();
	}
}

START_TEST(out_of_order_request)
{
	request_out_of_order(POST("/late", 4) "body", 4);
	request_out_of_order(GET("/late"), 0);
}
END_TEST

static void response_out_of_order(const char *response, uint64_t body_len)
{
	size_t len = strlen(response);

	for (size_t i = 1; i < len; i++) {
		client();
		out(GET("/first"));
		in(OK);
		complete("/first", 200);
		out(GET("/late"));
		at(DIR_IN, next_pos[DIR_IN] + i, response + i, len - i, SIM_PSH);
		at(DIR_IN, next_pos[DIR_IN] - len, response, i, 0);
		complete("/late", 200);
		bodies(0, body_len);
		flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_GAP);
		out(GET("/next"));
		in(OK);
		complete("/next", 200);
		nothing();
	}
}

START_TEST(out_of_order_response)
{
	response_out_of_order(ANSWER(200, 4) "body", 4);
	response_out_of_order(OK, 0);
	response_out_of_order(CHUNKED "4\r\nbody\r\n0\r\n\r\n", 14);
}
END_TEST

/* Three segments in each of their orders. */
START_TEST(out_of_order_three)
{
	static const char request[] = "GET /three HTTP/1.1\r\nUser-Agent: abcdefghij\r\n\r\n";
	static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					 {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	static const size_t from[4] = {0, 10, 25, sizeof(request) - 1};

	for (int i = 0; i < 6; i++) {
		server();
		for (int k = 0; k < 3; k++) {
			int n = orders[i][k];

			at(DIR_IN, from[n], request + from[n], from[n + 1] - from[n], SIM_PSH);
		}
		out(OK);
		complete("/three", 200);
		HEADER("user-agent", 0, "abcdefghij");
		nothing();
	}
}
END_TEST

START_TEST(duplicates)
{
	uint64_t pos;

	in(GET("/1"));
	at(DIR_IN, 0, GET("/1"), strlen(GET("/1")), SIM_PSH);
	out(ANSWER(201, 2) "ok");
	at(DIR_OUT, 0, ANSWER(201, 2) "ok", strlen(ANSWER(201, 2) "ok"), SIM_PSH);
	complete("/1", 201);
	at(DIR_IN, 0, GET("/1"), strlen(GET("/1")), SIM_PSH);
	/* Half of it again, together with new bytes. */
	pos = next_pos[DIR_IN];
	at(DIR_IN, pos, GET("/2"), 10, SIM_PSH);
	at(DIR_IN, pos + 5, &GET("/2")[5], strlen(GET("/2")) - 5, SIM_PSH);
	out(ANSWER(202, 0));
	complete("/2", 202);
	flagged(0, APPMON_EVF_GAP | APPMON_EVF_PIPELINED);
	ck_assert_uint_gt(ev->peer_retransmits, 0);
	nothing();
	counts(2, 2);
}
END_TEST

/* Overlaps the end of the previous message: a client that sends again what was not acknowledged. */
START_TEST(retransmission_with_news)
{
	char both[256];

	in(GET("/1"));
	out(ANSWER(201, 0));
	complete("/1", 201);
	snprintf(both, sizeof(both), "%s%s", GET("/1"), GET("/2"));
	at(DIR_IN, 0, both, strlen(both), SIM_PSH);
	out(ANSWER(202, 0));
	complete("/2", 202);
	nothing();
	counts(2, 2);
}
END_TEST

START_TEST(sequence_wraps)
{
	/* The wrap at each byte of the head and the body, in both directions. */
	for (uint32_t i = 0; i < 150; i++) {
		connection_at(false, 0u - i, 0u - i - 7);
		in(POST("/wrap", 4) "body");
		out(ANSWER(200, 30) "012345678901234567890123456789");
		complete("/wrap", 200);
		bodies(4, 30);
		in(GET("/2"));
		out(OK);
		complete("/2", 200);
		flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_GAP | APPMON_EVF_PIPELINED);
	}
	/* At the sign bit. */
	connection_at(false, 0x7ffffff0, 0x7fffffe0);
	in(POST("/sign", 40) "0123456789012345678901234567890123456789");
	out(ANSWER(200, 40) "0123456789012345678901234567890123456789");
	complete("/sign", 200);
	bodies(40, 40);
}
END_TEST

/* A body of more than 2^32 bytes. */
START_TEST(body_of_gigabytes)
{
	static char block[64000];
	uint64_t left = UINT64_C(5000000000);

	in(GET("/huge"));
	out(ANSWER(200, 5000000000));
	while (left) {
		size_t n = left < sizeof(block) ? (size_t)left : sizeof(block);

		left -= n;
		at(DIR_OUT, next_pos[DIR_OUT], block, n, SIM_PSH);
	}
	complete("/huge", 200);
	bodies(0, UINT64_C(5000000000));
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
}
END_TEST

/* ---- lost records ---------------------------------------------------------------------------- */

/* Whatever is lost: status and path that belong together carry the same number. */
static void paired(void)
{
	while ((ev = fixture_event(&p))) {
		unsigned int n;

		if (!ev->status || !ev->method)
			continue;
		ck_assert_int_eq(sscanf(ev->path.data, "/%u", &n), 1);
		ck_assert_uint_eq(ev->status, 400 + n);
	}
}

static void numbered(int dir, unsigned int n)
{
	char text[80];

	if (dir == DIR_IN)
		snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\n\r\n", n);
	else
		snprintf(text, sizeof(text), "HTTP/1.1 %u X\r\nContent-Length: 2\r\n\r\nok",
			 400 + n);
	at(dir, next_pos[dir], text, strlen(text), SIM_PSH);
}

START_TEST(request_lost)
{
	numbered(DIR_IN, 1);
	numbered(DIR_OUT, 1);
	complete("/1", 401);
	sim_lose = 1;
	numbered(DIR_IN, 2);
	numbered(DIR_OUT, 2);
	numbered(DIR_IN, 3);
	numbered(DIR_OUT, 3);
	complete("/3", 403);
	nothing();
}
END_TEST

/* The first piece of a head is here, the rest of it lost; the answer in one piece or in two. */
START_TEST(request_partly_lost)
{
	for (int split = 0; split < 2; split++) {
		for (int before = 0; before < 2; before++) {
			server();
			if (before) {
				numbered(DIR_IN, 1);
				numbered(DIR_OUT, 1);
			}
			in("OPTIO");
			sim_lose = 1;
			in("NS /2 HTTP/1.1\r\nHost: h\r\n\r\n");
			if (split) {
				out("H");
				out(&ANSWER(402, 0)[1]);
			} else {
				numbered(DIR_OUT, 2);
			}
			numbered(DIR_IN, 3);
			numbered(DIR_OUT, 3);
			numbered(DIR_IN, 4);
			numbered(DIR_OUT, 4);
			paired();
			ck_assert_uint_eq(p.pl.stats.outstanding, 0);
		}
	}
}
END_TEST

START_TEST(response_lost)
{
	numbered(DIR_IN, 1);
	sim_lose = 1;
	numbered(DIR_OUT, 1);
	numbered(DIR_IN, 2);
	numbered(DIR_OUT, 2);
	ended("/1", 0, APPMON_END_GAP);
	flagged(APPMON_EVF_GAP | APPMON_EVF_NO_RESPONSE, 0);
	complete("/2", 402);
	nothing();
	counts(2, 2);
}
END_TEST

/*
 * What a request began with had passed before the attach, out of order, its first bytes are lost. Its
 * answer, until close as it seems, takes in the next one: that request has none, not the one after.
 */
START_TEST(answer_taken_in)
{
	static const char request[] = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";

	sim_detached = true;
	at(DIR_IN, 1, request + 1, sizeof(request) - 2, SIM_PSH);
	sim_detached = false;
	sim_lose = 1;
	at(DIR_IN, 0, request, 5, SIM_PSH);
	next_pos[DIR_IN] = sizeof(request) - 1;
	out("HTTP/1.1 401 Auth\r\nTransfer-Encoding: identity\r\n\r\nbody");
	in("PROPFIND /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n");
	in("body"); /* by then TCP knows that all of that has come */
	numbered(DIR_OUT, 2);
	numbered(DIR_IN, 3);
	numbered(DIR_OUT, 3);
	ended("/2", 0, APPMON_END_GAP);
	complete("/3", 403);
	nothing();
}
END_TEST

START_TEST(response_and_request_lost)
{
	numbered(DIR_IN, 1);
	sim_lose = 2;
	numbered(DIR_OUT, 1);
	numbered(DIR_IN, 2);
	numbered(DIR_OUT, 2);
	paired();
	numbered(DIR_IN, 3);
	numbered(DIR_OUT, 3);
	paired();
	ck_assert_uint_ge(p.pl.stats.delivered, 1);
}
END_TEST

/* Each pair of places where records can be lost, in a row of exchanges, sequential or pipelined. */
START_TEST(never_paired_wrongly)
{
	for (int ahead = 0; ahead < 4; ahead++) {
		for (int first = 0; first < 16; first++) {
			for (int second = first; second < 16; second++) {
				int step = 0;

				server();
				for (unsigned int i = 0; i < 8 + (unsigned int)ahead; i++) {
					if (i < 8) {
						sim_lose = step == first || step == second;
						numbered(DIR_IN, i);
						step++;
					}
					if (i >= (unsigned int)ahead) {
						sim_lose = step == first || step == second;
						numbered(DIR_OUT, i - (unsigned int)ahead);
						step++;
					}
				}
				sim_lose = 0;
				paired();
				numbered(DIR_IN, 9);
				numbered(DIR_OUT, 9);
				fin(DIR_IN);
				fin(DIR_OUT);
				paired();
			}
		}
	}
}
END_TEST

/* ---- met in the middle ----------------------------------------------------------------------- */

START_TEST(attached_between)
{
	sim_detached = true;
	in(GET("/before"));
	out(ANSWER(200, 2) "ok");
	sim_detached = false;
	in(GET("/after"));
	out(OK);
	complete("/after", 200);
	ck_assert_uint_eq(ev->ordinal, 1);
	flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_MID_MESSAGE | APPMON_EVF_GAP);
	nothing();
	counts(1, 1);
}
END_TEST

START_TEST(attached_before_response)
{
	sim_detached = true;
	in(GET("/unseen"));
	sim_detached = false;
	out(ANSWER(200, 2) "ok");
	event();
	flagged(APPMON_EVF_MID_MESSAGE, APPMON_EVF_NO_RESPONSE);
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_uint_eq(ev->method, APPMON_METHOD_UNKNOWN);
	ck_assert_uint_eq(ev->role, APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->request_start_ns, 0);
	ck_assert_uint_eq(ev->duration_ns, 0);
	IS(ev->path, "");
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	flagged(0, APPMON_EVF_MID_MESSAGE);
	nothing();
}
END_TEST

/* What a client sends again after the attach is not the first byte: its answer is no orphan. */
START_TEST(attached_before_resend)
{
	client();
	sim_detached = true;
	out(GET("/unseen"));
	sim_detached = false;
	at(DIR_OUT, 0, "G", 1, 0);
	in("HTTP/1.1 200 OK\r\n\r\nuntil the next one");
	out(GET("/next"));
	in(OK);
	event();
	flagged(APPMON_EVF_MID_MESSAGE, 0);
	IS(ev->path, "");
	complete("/next", 200);
	flagged(0, APPMON_EVF_MID_MESSAGE);
	nothing();
}
END_TEST

START_TEST(attached_inside_response)
{
	sim_detached = true;
	in(GET("/unseen"));
	out(ANSWER(200, 5000));
	body(DIR_OUT, 1000);
	sim_detached = false;
	body(DIR_OUT, 4000);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	flagged(0, APPMON_EVF_MID_MESSAGE | APPMON_EVF_PIPELINED);
	nothing();
}
END_TEST

START_TEST(attached_inside_request)
{
	sim_detached = true;
	in(POST("/unseen", 5000));
	body(DIR_IN, 1000);
	sim_detached = false;
	body(DIR_IN, 4000);
	out(ANSWER(200, 2) "ok");
	event();
	ck_assert_uint_eq(ev->status, 200);
	flagged(APPMON_EVF_MID_MESSAGE, 0);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	nothing();
}
END_TEST

/* Nothing is under way: a pipelining client is understood from the first request on. */
START_TEST(attached_idle_then_pipelined)
{
	sim_detached = true;
	numbered(DIR_IN, 1);
	numbered(DIR_OUT, 1);
	sim_detached = false;
	numbered(DIR_IN, 2);
	numbered(DIR_IN, 3);
	numbered(DIR_OUT, 2);
	numbered(DIR_IN, 4);
	numbered(DIR_OUT, 3);
	numbered(DIR_OUT, 4);
	paired();
	numbered(DIR_IN, 5);
	numbered(DIR_OUT, 5);
	fin(DIR_OUT);
	paired();
}
END_TEST

/*
 * The response under way belongs to a request that was not seen. Nothing on the wire says so, the
 * first pair is a guess; after it the connection is right.
 */
START_TEST(attached_while_pipelining)
{
	sim_detached = true;
	numbered(DIR_IN, 1);
	sim_detached = false;
	numbered(DIR_IN, 2);
	numbered(DIR_OUT, 1);
	numbered(DIR_OUT, 2);
	while (fixture_event(&p))
		;
	numbered(DIR_IN, 3);
	numbered(DIR_OUT, 3);
	complete("/3", 403);
	nothing();
}
END_TEST

/* The first method that is seen may be the end of one; other requests stand behind that one. */
START_TEST(attached_before_odd_method)
{
	sim_detached = true;
	numbered(DIR_IN, 1);
	numbered(DIR_OUT, 1);
	sim_detached = false;
	in("Q");
	in("QQ /2 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyXXXX /3 HTTP/1.1\r\n\r\n");
	in("PATCH /4 HTTP/1.1\r\n\r\n");
	out("HTTP/1.1 402 X\r\nContent-Length: 0\r\n\r\n"
	    "HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n");
	numbered(DIR_IN, 5);
	numbered(DIR_OUT, 4);
	numbered(DIR_OUT, 5);
	paired();
	/* After a silence all is well again. */
	sim_now_ns += 31 * NSEC_PER_SEC;
	numbered(DIR_IN, 6);
	numbered(DIR_OUT, 6);
	complete("/6", 406);
	nothing();
}
END_TEST

/* Met in the middle, and the end of a long answer comes early: the next request is no pipelining. */
START_TEST(attached_and_end_early)
{
	uint64_t hole;

	client();
	sim_detached = true;
	out(GET("/1"));
	in(OK);
	sim_detached = false;
	out(GET("/2"));
	in(CHUNKED "4e20\r\n");
	body(DIR_IN, 20000);
	in("\r\n3e8\r\n");
	hole = next_pos[DIR_IN];
	next_pos[DIR_IN] += 1000;
	in("\r\n0\r\n");
	in("\r\n");
	next_pos[DIR_IN] = hole;
	body(DIR_IN, 1000);
	next_pos[DIR_IN] += 7;
	out(GET("/3"));
	in(ANSWER(203, 0));
	complete("/2", 200);
	complete("/3", 203);
	flagged(0, APPMON_EVF_GAP | APPMON_EVF_PIPELINED);
	nothing();
}
END_TEST

/* The begin of a head was lost; the text of its body looks like a request. */
START_TEST(lost_before_text)
{
	sim_detached = true;
	numbered(DIR_IN, 1);
	numbered(DIR_OUT, 1);
	numbered(DIR_IN, 2);
	sim_detached = false;
	numbered(DIR_OUT, 2);
	complete("", 402);
	sim_lose = 1;
	in("PUT /");
	in("3 HTTP/1.1\r\nContent-Le");
	in("ngth: 41\r\n\r\n");
	in("GET /9 HTTP/1.1\r\n\r\nHTTP/1.1 999 R99\r\n\r\n");
	numbered(DIR_OUT, 3);
	paired();
	sim_now_ns += 31 * NSEC_PER_SEC;
	numbered(DIR_IN, 4);
	numbered(DIR_OUT, 4);
	complete("/4", 404);
	nothing();
}
END_TEST

/* ---- the end of connections ------------------------------------------------------------------ */

/* What a request and its response look like when the connection ends after some of their bytes. */
struct phase {
	const char *request, *response;
	uint32_t status; /* 0: no event with a response */
	bool complete, any;
};

static const struct phase phases[] = {
	{"", "", 0, false, false},
	{GET("/p"), "", 0, false, true},
	{POST("/p", 10) "half", "", 0, false, true},
	{GET("/p"), "HTTP/1.1 20", 0, false, true},
	{GET("/p"), "HTTP/1.1 200 OK\r\nContent-Le", 200, false, true},
	{GET("/p"), ANSWER(200, 10) "half", 200, false, true},
	{GET("/p"), CHUNKED "a\r\nhalf", 200, false, true},
	{GET("/p"), ANSWER(200, 4) "full", 200, true, true},
	{GET("/p"), CHUNKED "4\r\nfull\r\n0\r\n\r\n", 200, true, true},
};

static void end_in_phase(const struct phase *ph, int dir, bool reset, uint32_t end)
{
	server();
	if (*ph->request)
		in(ph->request);
	if (*ph->response)
		out(ph->response);
	if (reset) {
		rst(dir);
	} else {
		fin(dir);
		fin(!dir);
		sim_close(sk);
		pump();
		/* What is still awaited after both have closed is awaited for seconds only. */
		sim_now_ns += 10 * NSEC_PER_SEC;
		flows_expire(&p.flows, sim_now_ns);
	}
	if (ph->any) {
		ended("/p", ph->status, ph->complete ? APPMON_END_COMPLETE : end);
		if (!ph->complete && reset)
			flagged(dir == DIR_OUT ? APPMON_EVF_RESET_BY_US : APPMON_EVF_RESET_BY_PEER,
				0);
		ck_assert_int_eq(!ev->response_end_ns, !ph->complete);
		if (ph->status == 200 && !ph->complete && ev->response_content_length == 10)
			bodies(0, 4);
	}
	nothing();
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
	ck_assert_uint_eq(p.flows.count, 0);
}

START_TEST(ends_in_each_phase)
{
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		end_in_phase(&phases[i], DIR_OUT, false, APPMON_END_CLOSED);
		end_in_phase(&phases[i], DIR_IN, false, APPMON_END_CLOSED);
		end_in_phase(&phases[i], DIR_IN, true, APPMON_END_RESET_BY_PEER);
		end_in_phase(&phases[i], DIR_OUT, true, APPMON_END_RESET_BY_US);
	}
}
END_TEST

/* The client may close its side after the request: the answer still comes. */
START_TEST(half_closed)
{
	in(GET("/half"));
	fin(DIR_IN);
	nothing();
	out(ANSWER(200, 2) "ok");
	complete("/half", 200);
	fin(DIR_OUT);
	nothing();
	/* In one segment with it. */
	server();
	at(DIR_IN, 0, GET("/one"), strlen(GET("/one")), SIM_PSH | SIM_FIN);
	at(DIR_OUT, 0, ANSWER(200, 2) "ok", strlen(ANSWER(200, 2) "ok"), SIM_PSH | SIM_FIN);
	complete("/one", 200);
	nothing();
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
}
END_TEST

START_TEST(closed_with_pipeline)
{
	in(GET("/1") GET("/2") GET("/3"));
	out(ANSWER(201, 0));
	fin(DIR_OUT);
	complete("/1", 201);
	ended("/2", 0, APPMON_END_CLOSED);
	ended("/3", 0, APPMON_END_CLOSED);
	nothing();
}
END_TEST

/* ---- time ------------------------------------------------------------------------------------ */

START_TEST(exchange_timeout)
{
	in(GET("/silent"));
	flows_expire(&p.flows, sim_now_ns + 299 * NSEC_PER_SEC);
	nothing();
	flows_expire(&p.flows, sim_now_ns + 301 * NSEC_PER_SEC);
	ended("/silent", 0, APPMON_END_TIMEOUT);
	nothing();
	/* The answer comes after all: its request has been reported. */
	sim_now_ns += 302 * NSEC_PER_SEC;
	out(ANSWER(200, 2) "ok");
	in(GET("/next"));
	out(ANSWER(202, 0));
	complete("/next", 202);
	nothing();
}
END_TEST

START_TEST(exchange_timeout_short)
{
	restart((struct appmon_opts){.exchange_timeout_ms = 100});
	server();
	in(GET("/silent"));
	flows_expire(&p.flows, sim_now_ns + 99 * MS);
	nothing();
	flows_expire(&p.flows, sim_now_ns + 101 * MS);
	ended("/silent", 0, APPMON_END_TIMEOUT);
}
END_TEST

START_TEST(exchange_timeout_never)
{
	restart((struct appmon_opts){.exchange_timeout_ms = UINT32_MAX});
	server();
	in(GET("/silent"));
	flows_expire(&p.flows, sim_now_ns + UINT64_C(100) * 24 * 3600 * NSEC_PER_SEC);
	nothing();
	sim_now_ns += UINT64_C(100) * 24 * 3600 * NSEC_PER_SEC;
	out(OK);
	complete("/silent", 200);
}
END_TEST

START_TEST(idle_timeout)
{
	in(GET("/1"));
	out(OK);
	complete("/1", 200);
	flows_expire(&p.flows, sim_now_ns + 3599 * NSEC_PER_SEC);
	ck_assert_uint_eq(p.flows.count, 1);
	flows_expire(&p.flows, sim_now_ns + 3601 * NSEC_PER_SEC);
	ck_assert_uint_eq(p.flows.count, 0);
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
	/* It is found again. */
	sim_now_ns += 3602 * NSEC_PER_SEC;
	in(GET("/2"));
	out(ANSWER(202, 0));
	complete("/2", 202);
	flagged(0, APPMON_EVF_MID_MESSAGE);
	in(GET("/3"));
	out(ANSWER(203, 0));
	complete("/3", 203);
	nothing();
	ck_assert_uint_eq(p.pl.stats.connections_open, 1);
}
END_TEST

/* ---- what is no HTTP ------------------------------------------------------------------------- */

START_TEST(not_http)
{
	static const char *const first[] = {"\x16\x03\x01\x02", "SSH-2.0-x\r\n", "\0\0\0\1",
					    "hello\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		server();
		for (int k = 0; k < 20; k++) {
			at(DIR_IN, next_pos[DIR_IN], first[i], 4, SIM_PSH);
			at(DIR_OUT, next_pos[DIR_OUT], "\1\2\3\4", 4, SIM_PSH);
		}
		fin(DIR_OUT);
		fin(DIR_IN);
		sim_close(sk);
		pump();
	}
	flows_expire(&p.flows, sim_now_ns + 10 * NSEC_PER_SEC);
	nothing();
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	ck_assert_uint_eq(p.pl.stats.delivered, 0);
}
END_TEST

/* A protocol whose words look like methods. */
START_TEST(upper_case_protocol)
{
	out("+OK ready\r\n");
	for (int i = 0; i < 20; i++) {
		in("STAT\r\n");
		out("+OK 1 2\r\n");
	}
	fin(DIR_OUT);
	fin(DIR_IN);
	sim_close(sk);
	pump();
	flows_expire(&p.flows, sim_now_ns + 10 * NSEC_PER_SEC);
	nothing();
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
}
END_TEST

/* Answers without a request (RFC 9110 section 15.5.9). */
START_TEST(unasked_408)
{
	in(GET("/1"));
	out(OK);
	complete("/1", 200);
	out("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	fin(DIR_OUT);
	nothing();
	dropped(APPMON_DROP_ORPHAN, 1);
	counts(2, 1);
}
END_TEST

/* ---- listening sockets ----------------------------------------------------------------------- */

START_TEST(stray)
{
	sim_listener_packet(sk, 0, GET("/stray"), (uint32_t)strlen(GET("/stray")));
	pump();
	next_pos[DIR_IN] = strlen(GET("/stray"));
	nothing();
	out(OK);
	complete("/stray", 200);
	ck_assert_uint_eq(ev->connection_id, sim_cookie(sk));
	flagged(APPMON_EVF_KEEP_ALIVE, APPMON_EVF_MID_MESSAGE);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	flows_expire(&p.flows, sim_now_ns + 60 * NSEC_PER_SEC);
	nothing();
	counts(2, 2);
}
END_TEST

START_TEST(stray_twice)
{
	sim_listener_packet(sk, 0, GET("/stray"), (uint32_t)strlen(GET("/stray")));
	sim_listener_packet(sk, 0, GET("/stray"), (uint32_t)strlen(GET("/stray")));
	pump();
	next_pos[DIR_IN] = strlen(GET("/stray"));
	out(OK);
	complete("/stray", 200);
	flows_expire(&p.flows, sim_now_ns + 60 * NSEC_PER_SEC);
	nothing();
	counts(1, 1);
}
END_TEST

START_TEST(stray_alone)
{
	sim_listener_packet(sk, 0, GET("/stray"), (uint32_t)strlen(GET("/stray")));
	pump();
	counts(1, 0);
	ck_assert_uint_eq(p.pl.stats.outstanding, 1);
	flows_expire(&p.flows, sim_now_ns + 299 * NSEC_PER_SEC);
	nothing();
	flows_expire(&p.flows, sim_now_ns + 301 * NSEC_PER_SEC);
	ended("/stray", 0, APPMON_END_TIMEOUT);
	ck_assert_uint_eq(ev->method, APPMON_METHOD_GET);
	counts(1, 1);
}
END_TEST

START_TEST(stray_and_own)
{
	sim_stolen_packet(sk, 0, GET("/1"), (uint32_t)strlen(GET("/1")));
	pump();
	next_pos[DIR_IN] = strlen(GET("/1"));
	out(OK);
	complete("/1", 200);
	ck_assert_uint_eq(p.flows.stray_count, 0);
	in(GET("/2"));
	out(OK);
	complete("/2", 200);
	flows_expire(&p.flows, sim_now_ns + 60 * NSEC_PER_SEC);
	nothing();
	counts(2, 2);
}
END_TEST

/* A segment that meets the listening socket, which makes the connection. */
static void met(const char *text, uint32_t flags)
{
	uint32_t len = (uint32_t)strlen(text);

	sim_now_ns += MS;
	sim_listener_meets(sk, next_pos[DIR_IN], text, len, SIM_PSH | flags, true);
	next_pos[DIR_IN] += len + !!(flags & SIM_FIN);
	pump();
}

/* One that it drops: its queue is full. */
static void turned_away(uint64_t pos, const char *text, uint32_t flags)
{
	sim_now_ns += MS;
	sim_listener_meets(sk, pos, text, (uint32_t)strlen(text), flags, false);
	pump();
}

/* The first bytes come late, to the socket; the rest, and more requests, met the listening one. */
START_TEST(stray_behind_the_first)
{
	static const char first[] = "GET /1 HTTP/1.1\r\nHo";

	next_pos[DIR_IN] = strlen(first);
	met("st: h\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\n" GET("/3"), 0);
	at(DIR_IN, 0, first, strlen(first), SIM_PSH);
	/* As much as is captured of one answer, and a bit. */
	out(ANSWER(200, 4040));
	body(DIR_OUT, 4040);
	complete("/1", 200);
	out("HTTP");
	out("/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n");
	complete("/2", 200);
	out(OK);
	complete("/3", 200);
	flagged(0, APPMON_EVF_GAP);
	in(GET("/4"));
	out(OK);
	complete("/4", 200);
	nothing();
	counts(4, 4);
}
END_TEST

START_TEST(stray_answered_late)
{
	met(GET("/late"), 0);
	sim_now_ns += 60 * NSEC_PER_SEC;
	flows_expire(&p.flows, sim_now_ns);
	nothing();
	out(OK);
	complete("/late", 200);
	ck_assert_uint_eq(ev->connection_id, sim_cookie(sk));
	ck_assert_uint_eq(ev->response_start_ns - ev->request_start_ns, 60 * NSEC_PER_SEC + MS);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	ck_assert_uint_eq(ev->ordinal, 2);
	counts(2, 2);
}
END_TEST

START_TEST(stray_answered_after_timeout)
{
	uint64_t id;

	met(GET("/1"), 0);
	flows_expire(&p.flows, sim_now_ns + 301 * NSEC_PER_SEC);
	ended("/1", 0, APPMON_END_TIMEOUT);
	id = ev->connection_id;
	out(OK);
	in(GET("/2"));
	out(OK);
	complete("/2", 200);
	ck_assert(id != ev->connection_id || ev->ordinal != 1);
}
END_TEST

/* Without a word from the server, or with FIN. */
START_TEST(stray_closed)
{
	for (int i = 0; i < 2; i++) {
		server();
		met(GET("/given-up"), 0);
		fin(i ? DIR_OUT : DIR_IN);
		ck_assert_uint_eq(p.flows.stray_count, 0);
		if (!i)
			nothing(); /* it may still be answered */
		next_pos[DIR_IN] += !i;
		fin(i ? DIR_IN : DIR_OUT);
		ended("/given-up", 0, APPMON_END_CLOSED);
		ck_assert_uint_eq(ev->connection_id, sim_cookie(sk));
		flagged(0, APPMON_EVF_GAP);
	}
	counts(2, 2);
}
END_TEST

START_TEST(stray_half_closed)
{
	met(GET("/1"), 0);
	fin(DIR_IN);
	out(OK);
	complete("/1", 200);
	flagged(0, APPMON_EVF_GAP);
	counts(1, 1);
}
END_TEST

START_TEST(stray_reset)
{
	met(GET("/by-us"), 0);
	rst(DIR_OUT);
	ended("/by-us", 0, APPMON_END_RESET_BY_US);
	server();
	met(GET("/by-peer"), 0);
	rst(DIR_IN);
	ended("/by-peer", 0, APPMON_END_RESET_BY_PEER);
	counts(2, 2);
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
}
END_TEST

START_TEST(stray_with_fin)
{
	met(GET("/all"), SIM_FIN);
	out(OK);
	complete("/all", 200);
	flagged(0, APPMON_EVF_GAP);
	server();
	met("POST /part HTTP/1.1\r\nContent-Le", SIM_FIN);
	out(ANSWER(400, 0));
	fin(DIR_OUT);
	event();
	ck_assert_uint_eq(ev->status, 400);
	flagged(0, APPMON_EVF_GAP);
	nothing();
	counts(2, 2);
}
END_TEST

START_TEST(stray_in_pieces)
{
	met("GET /1 HT", 0);
	in("TP/1.1\r\n\r\n");
	out(OK);
	complete("/1", 200);
	server();
	met(POST("/2", 1500), 0);
	body(DIR_IN, 1500);
	out(OK);
	complete("/2", 200);
	bodies(1500, 0);
	flagged(0, APPMON_EVF_GAP | APPMON_EVF_INFERRED_END);
	server();
	met(GET("/3") GET("/4"), 0);
	out(OK OK);
	complete("/3", 200);
	complete("/4", 200);
	counts(4, 4);
}
END_TEST

/* Its first segment is late: what the listening socket meets is a part from the middle. */
START_TEST(stray_from_the_middle)
{
	const char *second = GET("/2");
	uint64_t at = strlen(GET("/1"));

	next_pos[DIR_IN] = at;
	met(second, 0);
	nothing();
	next_pos[DIR_IN] = 0;
	in(GET("/1"));
	next_pos[DIR_IN] = at + strlen(second);
	out(OK OK);
	complete("/1", 200);
	complete("/2", 200);
	counts(2, 2);
}
END_TEST

/* Wherever the server's sequence numbers begin, which the listening socket does not know. */
START_TEST(stray_from_the_middle_any_number)
{
	static const uint32_t numbers[] = {0, 1, 0x7fffff00, 0x80000001, 0xc0000000, 0xffffff00};
	const char *second = GET("/2") GET("/3");
	uint64_t at = strlen(GET("/1"));

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		connection_at(false, numbers[i] + 77, numbers[i]);
		next_pos[DIR_IN] = at;
		met(second, 0);
		next_pos[DIR_IN] = 0;
		in(GET("/1"));
		next_pos[DIR_IN] = at + strlen(second);
		out(ANSWER(201, 0));
		complete("/1", 201);
		out(ANSWER(202, 0) ANSWER(203, 0));
		complete("/2", 202);
		complete("/3", 203);
		in(GET("/4"));
		out(ANSWER(204, 0));
		complete("/4", 204);
		flagged(0, APPMON_EVF_GAP | APPMON_EVF_PIPELINED);
	}
	counts(24, 24);
	dropped(APPMON_DROP_ORPHAN, 0);
}
END_TEST

/* With SYN cookies that cannot be seen; no answer goes to the wrong one. */
START_TEST(stray_from_the_middle_unknown)
{
	uint64_t at = strlen(GET("/1"));

	sim_syn_cookies = true;
	next_pos[DIR_IN] = at;
	met(GET("/2"), 0);
	next_pos[DIR_IN] = 0;
	in(GET("/1"));
	next_pos[DIR_IN] = at + strlen(GET("/2"));
	out(ANSWER(201, 0) ANSWER(202, 0));
	fin(DIR_OUT);
	while ((ev = fixture_event(&p)))
		ck_assert(ev->status == 0 || ev->status == (is(ev->path, "/1") ? 201 : 202));
}
END_TEST

/* The queue of the listening socket is full: all is sent again, and the client may give up. */
START_TEST(stray_turned_away)
{
	uint64_t len = strlen(GET("/1"));

	turned_away(0, GET("/1"), SIM_PSH);
	turned_away(0, GET("/1"), SIM_PSH);
	counts(1, 0);
	turned_away(len, "", SIM_FIN);
	turned_away(len + 1, "", SIM_RST);
	ended("/1", 0, APPMON_END_RESET_BY_PEER);
	flagged(0, APPMON_EVF_GAP);
	server();
	turned_away(0, GET("/2"), SIM_PSH);
	turned_away(strlen(GET("/2")), GET("/3"), SIM_PSH);
	met(GET("/2") GET("/3"), 0);
	out(OK OK);
	complete("/2", 200);
	complete("/3", 200);
	counts(3, 3);
	ck_assert_uint_eq(p.flows.stray_count, 0);
}
END_TEST

/* The ports are used again after an end that was not seen. */
START_TEST(stray_ports_again)
{
	met(GET("/old"), 0);
	sk = sim_again(sk, 500000, 600000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
	met(GET("/new"), 0);
	ended("/old", 0, APPMON_END_GAP);
	out(OK);
	complete("/new", 200);
	/* And without meeting the listening socket. */
	server();
	met(GET("/old"), 0);
	sk = sim_again(sk, 5000000, 6000000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
	in(GET("/newer"));
	ended("/old", 0, APPMON_END_GAP);
	out(OK);
	complete("/newer", 200);
	counts(4, 4);
}
END_TEST

/* A reset of another connection, in the listening socket's name, makes no connection of that. */
START_TEST(stray_after_reset)
{
	met(GET("/1"), 0);
	out(OK);
	complete("/1", 200);
	server();
	sim_listener_resets(sk);
	server();
	met(GET("/2"), 0);
	out(OK);
	complete("/2", 200);
	counts(2, 2);
}
END_TEST

START_TEST(stray_detached)
{
	met(GET("/1"), 0);
	server();
	met(GET("/2"), 0);
	flows_drop_target(&p.flows, &p.target[0]);
	dropped(APPMON_DROP_DETACHED, 2);
	counts(2, 0);
	ck_assert_uint_eq(p.flows.stray_count, 0);
}
END_TEST

START_TEST(stray_of_another_protocol)
{
	met("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0);
	ck_assert_uint_eq(p.flows.count, 0);
	out("\x16\x03\x03\x00\x7a\x02");
	fin(DIR_OUT);
	counts(0, 0);
}
END_TEST

/* As many as there is memory for. */
START_TEST(strays_many)
{
	enum { N = 20000 };
	uint64_t told;

	for (int i = 0; i < N; i++) {
		server();
		met(GET("/many"), 0);
	}
	counts(N, 0);
	ck_assert_uint_eq(p.pl.stats.outstanding, N);
	out(OK);
	complete("/many", 200);
	restart((struct appmon_opts){.memory_limit = 4 << 20});
	for (int i = 0; i < N; i++) {
		server();
		met(GET("/many"), 0);
	}
	counts(N, 0);
	told = p.pl.stats.outstanding;
	ck_assert_uint_ge(told, 1024);
	dropped(APPMON_DROP_MEMORY, N - told);
	flows_expire(&p.flows, sim_now_ns + 301 * NSEC_PER_SEC);
	for (uint64_t i = 0; i < told; i++)
		ended("/many", 0, APPMON_END_TIMEOUT);
	nothing();
}
END_TEST

/* ---- what acknowledgements tell ---------------------------------------------------------------- */

/* A response with a body of n bytes, and `more` behind it: in one segment. */
static void answer_and(const char *head, size_t n, const char *more)
{
	static char text[32768];
	size_t len = strlen(head), all = len + n + strlen(more);

	ck_assert_uint_lt(all, sizeof(text));
	memcpy(text, head, len);
	memset(text + len, 'x', n);
	strcpy(text + len + n, more);
	at(DIR_OUT, next_pos[DIR_OUT], text, all, SIM_PSH);
}

/* A client asks on while an answer is on its way to it, and more of it comes each time. */
START_TEST(acks_of_one_on_its_way)
{
	in(GET("/1"));
	answer_and(ANSWER(201, 20000), 20000, "");
	sim_acks(sk, 3000);
	in(GET("/2"));
	sim_acks(sk, 9000);
	in(GET("/3"));
	complete("/1", 201);
	answer_and(ANSWER(202, 9000), 9000, ANSWER(203, 0));
	complete("/2", 202);
	bodies(0, 9000);
	complete("/3", 203);
	flagged(APPMON_EVF_PIPELINED, 0);
	nothing();
}
END_TEST

/* The client has all that was sent when it asks on, but the answer goes on. */
START_TEST(acks_of_half_an_answer)
{
	in(GET("/1"));
	answer_and(ANSWER(201, 20000), 9000, "");
	in(GET("/2"));
	answer_and("", 11000, ANSWER(202, 0));
	complete("/1", 201);
	bodies(0, 20000);
	complete("/2", 202);
	nothing();
}
END_TEST

/* The same, and what goes on looks like an answer. */
START_TEST(acks_of_half_a_chunk)
{
	static const char bait[] = "HTTP/1.1 999 R99\r\n\r\n";

	in(GET("/1"));
	answer_and("HTTP/1.1 201 R1\r\nTransfer-Encoding: chunked\r\n\r\n5000\r\n", 1, "");
	in(GET("/2"));
	answer_and(bait, 10000, "");
	answer_and("", 0x5000 - 1 - 10000 - (sizeof(bait) - 1), "\r\n0\r\n\r\n" ANSWER(202, 0));
	complete("/1", 201);
	bodies(0, 0x5000 + 13);
	complete("/2", 202);
	nothing();
}
END_TEST

/* Between the two nothing was sent, so that an acknowledgement cannot move. */
START_TEST(acks_without_an_answer)
{
	in(GET("/1"));
	in(GET("/2"));
	answer_and(ANSWER(201, 9000), 9000, ANSWER(202, 0));
	complete("/1", 201);
	complete("/2", 202);
	nothing();
}
END_TEST

/* A client that acknowledges late, without asking on: its next request is no sign of pipelining. */
START_TEST(acks_that_are_late)
{
	in(GET("/1"));
	answer_and(ANSWER(201, 20000), 20000, "");
	sim_acks(sk, 3000);
	at(DIR_IN, next_pos[DIR_IN], NULL, 0, 0);
	sim_acks(sk, next_pos[DIR_OUT]);
	complete("/1", 201);
	in(GET("/2"));
	answer_and(ANSWER(202, 20000), 20000, "");
	complete("/2", 202);
	flagged(0, APPMON_EVF_PIPELINED);
	nothing();
	ck_assert_uint_le(p.pl.stats.records, 8); /* not captured whole */
}
END_TEST

static void second_comes(void)
{
	sim_packet(sk, DIR_IN, next_pos[DIR_IN], GET("/2"), sizeof(GET("/2")) - 1, SIM_PSH);
	next_pos[DIR_IN] += sizeof(GET("/2")) - 1;
}

/*
 * The record of a request is lost. While its answer is sent the next one comes, whose record stands
 * before that of the answer. Who answered had not received it.
 */
START_TEST(acks_of_another_request)
{
	for (uint32_t after = 0; after < 12; after++) {
		server();
		in(GET("/0"));
		out(OK);
		complete("/0", 200);
		sim_lose = 1;
		in(GET("/lost"));
		sim_meanwhile = second_comes;
		sim_meanwhile_after = after;
		out(ANSWER(201, 0));
		if (sim_meanwhile) {
			sim_meanwhile = NULL;
			second_comes();
		}
		out(ANSWER(202, 0));
		fin(DIR_IN);
		fin(DIR_OUT);
		pump();
		/* Or it is counted as dropped: stop() looks whether all is. */
		ev = fixture_event(&p);
		if (ev) {
			IS(ev->path, "/2");
			ck_assert_uint_ne(ev->status, 201);
		}
		nothing();
	}
}
END_TEST

/* A FIN takes a number: what is acknowledged moves, but the client has not asked on. */
START_TEST(acks_of_fin)
{
	in(GET("/1"));
	answer_and(ANSWER(201, 20000), 9000, "");
	fin(DIR_IN);
	answer_and("HTTP/1.1 500 bait\r\n\r\n", 11000 - (sizeof("HTTP/1.1 500 bait\r\n\r\n") - 1),
		   "");
	fin(DIR_OUT);
	complete("/1", 201);
	bodies(0, 20000);
	flagged(0, APPMON_EVF_PIPELINED | APPMON_EVF_GAP);
	nothing();
}
END_TEST

/* ---- both directions at once ----------------------------------------------------------------- */

static unsigned int packets;

static void answer_goes(void)
{
	packets++;
	out(OK);
}

static void next_comes(void)
{
	packets++;
	in(GET("/2"));
}

static void rest_comes(void)
{
	packets++;
	in(" HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void first_came(void)
{
	in(GET("/1"));
}

/* With the SYN. */
static void stray_came(void)
{
	const char *begin = GET("/1") "GET /2";

	sim_listener_packet(sk, 0, begin, (uint32_t)strlen(begin));
	next_pos[DIR_IN] = strlen(begin);
	sim_storage_races = 2;
}

/* Helpers that a program calls for a packet, and more. */
#define HELPERS 60

/* `other` in the middle of the program for `packet`, after so many of the helpers that it calls. */
static void meet_after(uint32_t after, void (*begin)(void), void (*packet)(void),
		       void (*other)(void))
{
	stop();
	setup();
	begin();
	packets = 0;
	sim_meanwhile = other;
	sim_meanwhile_after = after;
	packet();
	if (packets == 1)
		other(); /* that many helpers were not called */
}

static void at_once(void (*begin)(void), void (*packet)(void), void (*other)(void))
{
	for (uint32_t after = 0; after < HELPERS; after++) {
		meet_after(after, begin, packet, other);
		complete("/1", 200);
		out(OK);
		complete("/2", 200);
		counts(2, 2);
	}
}

START_TEST(stray_answered_while_more_comes)
{
	at_once(stray_came, answer_goes, rest_comes);
}
END_TEST

START_TEST(more_comes_while_stray_answered)
{
	at_once(stray_came, rest_comes, answer_goes);
}
END_TEST

START_TEST(answered_while_next_comes)
{
	at_once(first_came, answer_goes, next_comes);
}
END_TEST

START_TEST(next_comes_while_answered)
{
	at_once(first_came, next_comes, answer_goes);
}
END_TEST

#define BAIT "HTTP/1.1 500 bait\r\n\r\n"

static void long_answer_began(void)
{
	in(GET("/1"));
	answer_and(ANSWER(201, 20000), 700, "");
}

static void bait_goes(void)
{
	packets++;
	out(BAIT);
}

static void head_comes(void)
{
	packets++;
	in("HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n");
}

/* A client that has all so far of a long answer asks for a head, while more of it goes that looks like
 * one. The next answer begins at the end of a long segment. */
START_TEST(bait_goes_while_next_comes)
{
	for (uint32_t after = 0; after < HELPERS; after++) {
		meet_after(after, long_answer_began, head_comes, bait_goes);
		out("\r\n" BAIT);
		answer_and("", 20000 - 700 - 2 * strlen(BAIT) - 2, OK);
		complete("/1", 201);
		bodies(0, 20000);
		complete("/2", 200);
		counts(2, 2);
	}
}
END_TEST

/* ---- targets
 * -----------------------------------------------------------------------------------------------
 */

START_TEST(target_detached)
{
	in(GET("/1"));
	out(OK);
	in(GET("/2"));
	/* As appmon_detach() does, with one event waiting. */
	flows_drop_target(&p.flows, &p.target[0]);
	p.pl.target[0] = NULL;
	nothing();
	counts(2, 0);
	dropped(APPMON_DROP_DETACHED, 2);
	/* Still in the ring: the rest of that exchange, and another one. */
	out(OK);
	counts(2, 0);
	in(GET("/3"));
	out(OK);
	counts(3, 0);
	dropped(APPMON_DROP_DETACHED, 3);
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
	p.pl.target[0] = &p.target[0];
}
END_TEST

/* ---- memory
 * ---------------------------------------------------------------------------------------------------
 */

START_TEST(memory_bound)
{
	struct sim_socket *sockets[500];

	restart((struct appmon_opts){.memory_limit = 65536});
	for (int i = 0; i < 500; i++) {
		sockets[i] = sim_connect(false, 1, 1);
		sim_packet(sockets[i], DIR_IN, 0, GET("/crowd"), (uint32_t)strlen(GET("/crowd")),
			   SIM_PSH);
		pump();
		ck_assert_uint_le(p.pl.pool.held, 65536);
	}
	ck_assert_uint_gt(p.pl.stats.dropped[APPMON_DROP_MEMORY], 0);
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 500);
	for (int i = 0; i < 500; i++) {
		sim_packet(sockets[i], DIR_OUT, 0, OK, (uint32_t)strlen(OK), SIM_PSH);
		pump();
		while ((ev = fixture_event(&p))) {
			IS(ev->path, "/crowd");
			ck_assert_uint_eq(ev->status, 200);
		}
		sim_packet(sockets[i], DIR_OUT, strlen(OK), NULL, 0, SIM_FIN);
		sim_packet(sockets[i], DIR_IN, strlen(GET("/crowd")), NULL, 0, SIM_FIN);
		pump();
		sim_forget(sockets[i]);
	}
	/* Each request counts once. */
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 500);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	/* Once they are gone there is room for others, with larger heads, too. */
	server();
	long_request("GET /large HTTP/1.1", 3000, "User-Agent: x\r\n");
	out(OK);
	complete("/large", 200);
	for (int i = 0; i < 50; i++) {
		in(GET("/after"));
		out(OK);
		complete("/after", 200);
	}
}
END_TEST

START_TEST(memory_arena_reclaims)
{
	void *block[1000];
	size_t n = 0;

	restart((struct appmon_opts){.memory_limit = 65536});
	server();
	in(GET("/small"));
	out(OK);
	complete("/small", 200);
	/* Free blocks that nothing asks for fill the pool. */
	while (n < 1000 && (block[n] = pool_alloc(&p.pl.pool, 100)))
		n++;
	while (n)
		pool_free(&p.pl.pool, block[--n]);
	long_request("GET /large HTTP/1.1", 3000, "User-Agent: x\r\n");
	out(OK);
	complete("/large", 200);
	ck_assert_uint_le(p.pl.pool.held, 65536);
}
END_TEST

/* A request for which there is no memory never lets its answer reach another one. */
START_TEST(memory_and_pairing)
{
	for (unsigned int lost = 0; lost < 4; lost++) {
		for (unsigned int ahead = 0; ahead < 4; ahead++) {
			server();
			numbered(DIR_IN, 50);
			numbered(DIR_OUT, 50);
			complete("/50", 450);
			for (unsigned int i = 0; i < 4 + ahead; i++) {
				uint64_t limit = p.pl.pool.limit;

				if (i == lost) {
					pool_destroy(&p.pl.pool);
					p.pl.pool.limit = 0;
				}
				if (i < 4)
					numbered(DIR_IN, i);
				p.pl.pool.limit = limit;
				if (i >= ahead)
					numbered(DIR_OUT, i - ahead);
			}
			paired();
			fin(DIR_OUT);
			fin(DIR_IN);
			paired();
			ck_assert_uint_eq(p.pl.stats.outstanding, 0);
		}
	}
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 16 * 5);
}
END_TEST

/* ---- options -------------------------------------------------------------------------------- */

START_TEST(drop_query)
{
	restart((struct appmon_opts){.flags = APPMON_OPEN_DROP_QUERY});
	server();
	in(GET("/p?token=secret"));
	out(OK);
	complete("/p", 200);
	IS(ev->query, "");
	IS(ev->request_target, "/p");
	in("GET http://h/p?token=secret HTTP/1.1\r\n\r\n");
	out(OK);
	complete("/p", 200);
	IS(ev->request_target, "http://h/p");
}
END_TEST

/* What request_target and query say of a target. */
static void target_told(const char *sent, const char *target, const char *query)
{
	char head[4000];

	snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", sent);
	in(head);
	out(OK);
	event();
	IS(ev->request_target, target);
	IS(ev->query, query);
}

/* Percent-encoding as RFC 3986 section 2.1 has it; names are compared without regard to case. */
START_TEST(secrets_in_queries)
{
	server();
	target_told("/p?a=1&sig=s3cret&b=2", "/p?a=1&sig=REDACTED&b=2", "a=1&sig=REDACTED&b=2");
	IS(ev->path, "/p");
	target_told("/p?X-Amz-Signature=0a1b", "/p?X-Amz-Signature=REDACTED",
		    "X-Amz-Signature=REDACTED");
	target_told("/p?x-AMZ-credential=AKIA%2F2026&X-Amz-Security-Token=t&X-Amz-Date=2026",
		    "/p?x-AMZ-credential=REDACTED&X-Amz-Security-Token=REDACTED&X-Amz-Date=2026",
		    "x-AMZ-credential=REDACTED&X-Amz-Security-Token=REDACTED&X-Amz-Date=2026");
	target_told("/p?X-Goog-Signature=1&AWSAccessKeyId=2&Signature=3&access_token=4",
		    "/p?X-Goog-Signature=REDACTED&AWSAccessKeyId=REDACTED&Signature=REDACTED&"
		    "access_token=REDACTED",
		    "X-Goog-Signature=REDACTED&AWSAccessKeyId=REDACTED&Signature=REDACTED&"
		    "access_token=REDACTED");
	/* The name is encoded, in part or whole, once or twice. */
	target_told("/p?%73ig=1&s%69%67=2&%2573ig=3",
		    "/p?%73ig=REDACTED&s%69%67=REDACTED&%2573ig=REDACTED",
		    "%73ig=REDACTED&s%69%67=REDACTED&%2573ig=REDACTED");
	target_told(
		"/p?access%5Ftoken=1&access_token[]=2&access_token%5B0%5D=3",
		"/p?access%5Ftoken=REDACTED&access_token[]=REDACTED&access_token%5B0%5D=REDACTED",
		"access%5Ftoken=REDACTED&access_token[]=REDACTED&access_token%5B0%5D=REDACTED");
	/* Other separators; a value goes on to the next '&'. */
	target_told("/p?a;sig=x;y=1&b", "/p?a;sig=REDACTED&b", "a;sig=REDACTED&b");
	target_told("/p?a?sig=x=y?z", "/p?a?sig=REDACTED", "a?sig=REDACTED");
	target_told("/p?a#access_token=x", "/p?a#access_token=REDACTED", "a");
	target_told("/p#access_token=x", "/p#access_token=REDACTED", "");
	/* A URL in a parameter. */
	target_told("/image?url=https%3A%2F%2Fb%2Fk%3Fx%3D1%26X-Amz-Signature%3Dabc%26y%3D2&w=3",
		    "/image?url=https%3A%2F%2Fb%2Fk%3Fx%3D1%26X-Amz-Signature%3DREDACTED&w=3",
		    "url=https%3A%2F%2Fb%2Fk%3Fx%3D1%26X-Amz-Signature%3DREDACTED&w=3");
	/* Others, and what has no value, stay as they are. */
	target_told("/p?signal=1&my_sig=2&sig&sig=&=x&%=&%zz=1",
		    "/p?signal=1&my_sig=2&sig&sig=&=x&%=&%zz=1",
		    "signal=1&my_sig=2&sig&sig=&=x&%=&%zz=1");
	target_told("/sig=1/x&sig=2", "/sig=1/x&sig=2", "");
}
END_TEST

/* RFC 3986 section 3.2.1; the names are those of OpenTelemetry's url.full. */
START_TEST(secrets_in_authorities)
{
	server();
	target_told("http://joe:pw@h:81/p?q", "http://REDACTED:REDACTED@h:81/p?q", "q");
	IS(ev->authority, "h:81");
	target_told("http://joe@h/p", "http://REDACTED@h/p", "");
	IS(ev->authority, "h");
	target_told("HTTPS://j:p@w@h?sig=1", "HTTPS://REDACTED:REDACTED@h?sig=REDACTED",
		    "sig=REDACTED");
	target_told("http://:pw@h/", "http://REDACTED:REDACTED@h/", "");
	target_told("http://h/a@b:c", "http://h/a@b:c", "");
	target_told("/a:b@c", "/a:b@c", "");
	in("CONNECT joe:pw@h:443 HTTP/1.1\r\nHost: joe:pw@h:443\r\n\r\n");
	out("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
	event();
	IS(ev->request_target, "REDACTED:REDACTED@h:443");
	IS(ev->authority, "h:443");
	in("GET / HTTP/1.1\r\nHost: joe:pw@h\r\n\r\n");
	out(OK);
	event();
	IS(ev->authority, "h");
}
END_TEST

START_TEST(secrets_by_the_host)
{
	static const char *const names[] = {"ticket", "a b"};

	restart((struct appmon_opts){.redact_names = names, .redact_name_count = 2});
	server();
	target_told("/p?Ticket=1&a%20b=2&c=3&sig=4",
		    "/p?Ticket=REDACTED&a%20b=REDACTED&c=3&sig=REDACTED",
		    "Ticket=REDACTED&a%20b=REDACTED&c=3&sig=REDACTED");
	restart((struct appmon_opts){.flags = APPMON_OPEN_KEEP_SECRETS});
	server();
	target_told("http://joe:pw@h/p?sig=4", "http://joe:pw@h/p?sig=4", "sig=4");
	IS(ev->authority, "h");
	restart((struct appmon_opts){.flags = APPMON_OPEN_DROP_QUERY});
	server();
	target_told("http://joe:pw@h/p?sig=4&a=1", "http://REDACTED:REDACTED@h/p", "");
	target_told("/p#access_token=1?a", "/p", "");
}
END_TEST

/* Short values make a target longer: the event has room for it. */
START_TEST(secrets_grow)
{
	char sent[3000] = "/?", told[9000] = "/?";

	for (int i = 0; i < 400; i++) {
		strcat(sent, "sig=1&");
		strcat(told, "sig=REDACTED&");
	}
	server();
	target_told(sent, told, told + 2);
}
END_TEST

START_TEST(stream_heads)
{
	restart((struct appmon_opts){.flags = APPMON_OPEN_STREAM_HEADS});
	server();
	/* A declared length: not before its end. */
	in(GET("/length"));
	out(ANSWER(200, 4) "le");
	nothing();
	out("ng");
	complete("/length", 200);
	/* None, but the end comes with the head. */
	in(GET("/short"));
	out("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
	complete("/short", 200);
	/* An event stream: once, at its head. */
	in(GET("/stream"));
	out("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	ended("/stream", 200, APPMON_END_AT_HEAD);
	ck_assert_uint_eq(ev->response_end_ns, 0);
	ck_assert_uint_eq(ev->duration_ns, 0);
	ck_assert_uint_gt(ev->response_start_ns, 0);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	out("5\r\ndata\n\r\n");
	out("0\r\n\r\n");
	nothing();
	/* The connection goes on, and another that is reset. */
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	in(GET("/events"));
	out("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	ended("/events", 200, APPMON_END_AT_HEAD);
	ck_assert_uint_eq(ev->response_body_bytes, 8);
	rst(DIR_IN);
	nothing();
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 5);
	ck_assert_uint_eq(p.pl.stats.delivered, 5);
}
END_TEST

/* A host that asks for Host gets it twice: as authority and as a header. */
START_TEST(host_kept_twice)
{
	static const char *const names[] = {"host"};
	static char host[3000], request[4096];

	restart((struct appmon_opts){.headers = names, .header_count = 1});
	server();
	memset(host, 'h', sizeof(host) - 1);
	snprintf(request, sizeof(request), "GET /h HTTP/1.1\r\nHost: %s\r\n\r\n", host);
	in(request);
	out(OK);
	complete("/h", 200);
	IS(ev->authority, host);
	HEADER("host", 0, host);
}
END_TEST

START_TEST(headers_repeated)
{
	in("GET /h HTTP/1.1\r\nX-Forwarded-For: a\r\nx-forwarded-for: "
	   "b\r\nX-FORWARDED-FOR:\r\n\r\n");
	out(OK);
	complete("/h", 200);
	ck_assert_uint_eq(ev->header_count, 3);
	IS(ev->headers[0].value, "a");
	IS(ev->headers[1].value, "b");
	IS(ev->headers[2].value, "");
	IS(ev->headers[2].name, "x-forwarded-for");
}
END_TEST

/* ---- what is in progress, and what has no request ------------------------------------- */

static uint32_t shown;
static char shown_path[32], shown_query[32];

static int show(void *ctx, const struct appmon_event *active)
{
	shown++;
	snprintf(shown_path, sizeof(shown_path), "%s", active->path.data);
	snprintf(shown_query, sizeof(shown_query), "%s", active->query.data);
	ck_assert_uint_eq(active->status, 0);
	ck_assert_uint_eq(active->cgroup_id, 4242);
	ck_assert_uint_eq(active->role, APPMON_ROLE_SERVER);
	ck_assert_uint_eq(active->method, APPMON_METHOD_GET);
	ck_assert_uint_eq(active->response_end_ns, 0);
	*(uint64_t *)ctx = active->request_start_ns;
	return shown > 2 ? -EDOM : 0;
}

START_TEST(active)
{
	uint64_t begin = 0;

	shown = 0;
	ck_assert_int_eq(flows_active(&p.flows, show, &begin), 0);
	ck_assert_uint_eq(shown, 0);
	in(GET("/first?a=1"));
	begin = 0;
	ck_assert_int_eq(flows_active(&p.flows, show, &begin), 0);
	ck_assert_uint_eq(begin, sim_now_ns);
	ck_assert_uint_eq(shown, 1);
	ck_assert_str_eq(shown_path, "/first");
	ck_assert_str_eq(shown_query, "a=1");
	/* A look changes nothing, and is no delivery. */
	ck_assert_uint_eq(p.pl.stats.outstanding, 1);
	ck_assert_uint_eq(p.pl.stats.delivered, 0);
	shown = 0;
	ck_assert_int_eq(flows_active(&p.flows, show, &begin), 0);
	ck_assert_str_eq(shown_query, "a=1");
	out(OK);
	ck_assert_int_eq(flows_active(&p.flows, show, &begin), 0);
	ck_assert_uint_eq(shown, 1); /* it is over */
	complete("/first", 200);
	IS(ev->request_target, "/first?a=1");
	IS(ev->query, "a=1");
	nothing();
	/* The caller ends it. */
	in(GET("/1") GET("/2") GET("/3") GET("/4"));
	shown = 0;
	ck_assert_int_eq(flows_active(&p.flows, show, &begin), -EDOM);
	ck_assert_uint_eq(shown, 3);
}
END_TEST

/* What the host does not want to have is not told twice either. */
START_TEST(active_without_query)
{
	uint64_t begin;

	restart((struct appmon_opts){.flags = APPMON_OPEN_DROP_QUERY});
	server();
	in(GET("/p?token=secret"));
	shown = 0;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(flows_active(&p.flows, show, &begin), 0);
		ck_assert_str_eq(shown_path, "/p");
		ck_assert_str_eq(shown_query, "");
	}
	out(OK);
	complete("/p", 200);
	IS(ev->request_target, "/p");
	IS(ev->query, "");
}
END_TEST

START_TEST(active_without_memory)
{
	uint64_t begin;

	in(GET("/p"));
	p.pl.pool.limit = 0;
	shown = 0;
	ck_assert_int_eq(flows_active(&p.flows, show, &begin), -ENOMEM);
	ck_assert_uint_eq(shown, 0);
	p.pl.pool.limit = 64 << 20;
	out(OK);
	complete("/p", 200);
}
END_TEST

START_TEST(only_requests)
{
	restart((struct appmon_opts){.flags = APPMON_OPEN_ONLY_REQUESTS});
	server();
	sim_detached = true;
	in(GET("/unseen"));
	sim_detached = false;
	out(ANSWER(200, 2) "ok");
	nothing();
	ck_assert_uint_eq(p.pl.stats.dropped[APPMON_DROP_ORPHAN], 1);
	in(GET("/next"));
	out(OK);
	complete("/next", 200);
	/* A request that could not be read is one. */
	in("GET  HTTP/1.1\r\nHost: a\r\n\r\n");
	out(ANSWER(400, 0));
	event();
	ck_assert_uint_eq(ev->status, 400);
	ck_assert_uint_gt(ev->request_start_ns, 0);
	nothing();
}
END_TEST

/* ---- the log --------------------------------------------------------------------------------- */

static char logged[16384];

/* Without the connection's id, and without the place in the source, which has to be there. */
static void keep_line(const char *line)
{
	const char *text = strstr(line, ": "), *place = strstr(line, " (");
	size_t len = strlen(logged);

	ck_assert(!strncmp(line, "connection ", 11) && text);
	if (!strncmp(text, ": record ", 9))
		return;
	ck_assert_msg(place && strstr(place, ".c:") && line[strlen(line) - 1] == ')', "%s", line);
	snprintf(logged + len, sizeof(logged) - len, "%.*s\n", (int)(place - text - 2), text + 2);
}

static void log_is(const char *text)
{
	ck_assert_str_eq(logged, text);
	logged[0] = '\0';
}

START_TEST(log_of_decisions)
{
	in("GET / HTTP/1.1\r\n\r\n");
	out(OK);
	complete("/", 200);
	logged[0] = '\0';
	p.line = keep_line;
	in("GET /a HTTP/1.1\r\n\r\n");
	out(OK);
	complete("/a", 200);
	in("GET /bad\r\nHost: h\r\n\r\n");
	fin(DIR_OUT);
	fin(DIR_IN);
	nothing();
	log_is("exchange 2 begins: GET /a\n"
	       "exchange 2 is answered with 200\n"
	       "exchange 2 is finished: complete\n"
	       "exchange 2 is told\n"
	       "exchange 3 is dropped, parse: its request cannot be read\n"
	       "is forgotten\n");
	p.line = NULL;
}
END_TEST

START_TEST(log_of_lost_pairing)
{
	in("GET /a HTTP/1.1\r\n\r\n");
	in("GET /b HTTP/1.1\r\n\r\n");
	out(OK);
	out(OK);
	complete("/a", 200);
	complete("/b", 200);
	logged[0] = '\0';
	p.line = keep_line;
	sim_lose = 1;
	in("GET /c HTTP/1.1\r\n\r\n");
	in("GET /d HTTP/1.1\r\n\r\n");
	in("GET /e HTTP/1.1\r\n\r\n");
	out(OK);
	out(OK);
	out(OK);
	sim_now_ns += 40000 * MS;
	in("GET /f HTTP/1.1\r\n\r\n");
	out(OK);
	complete("/f", 200);
	log_is("1 records have found the ring full; requests in them count as ring_full\n"
	       "pairing is given up: pipelined requests were missed\n"
	       "one at ordinal 2 is dropped, gap: a request, and pairing has been given up\n"
	       "one at ordinal 2 is dropped, gap: a request, and pairing has been given up\n"
	       "a response answers a request that was dropped\n"
	       "a response answers a request that was dropped\n"
	       "a response answers a request whose record was lost\n"
	       "a silence: pairing begins anew\n"
	       "exchange 3 begins: GET /f\n"
	       "exchange 3 is answered with 200\n"
	       "exchange 3 is finished: complete\n"
	       "exchange 3 is told\n");
	p.line = NULL;
}
END_TEST

/* What log lines hold of a request: method and path. */
START_TEST(log_without_secrets)
{
	logged[0] = '\0';
	p.line = keep_line;
	in("GET /a?token=hunter2#hunter2 HTTP/1.1\r\nAuthorization: hunter2\r\n\r\n");
	out("HTTP/1.1 200 hunter2\r\nSet-Cookie: hunter2\r\nContent-Length: 7\r\n\r\nhunter2");
	in("GET http://hunter2:hunter2@host/b?hunter2 HTTP/1.1\r\n\r\n");
	out(OK);
	in("GET /\xc3\xa4\x9b HTTP/1.1\r\n\r\n");
	out(OK);
	in("CONNECT hunter2@host:443 HTTP/1.1\r\n\r\n");
	out(OK);
	while (fixture_event(&p))
		;
	ck_assert_ptr_null(strstr(logged, "hunter2"));
	ck_assert_ptr_nonnull(strstr(logged, "exchange 1 begins: GET /a\n"));
	ck_assert_ptr_nonnull(strstr(logged, "exchange 2 begins: GET /b\n"));
	ck_assert_ptr_nonnull(strstr(logged, "exchange 3 begins: GET /???\n"));
	ck_assert_ptr_nonnull(strstr(logged, "exchange 4 begins: CONNECT host:443\n"));
	p.line = NULL;
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {client_role,
				      keep_alive,
				      persistence,
				      methods,
				      pipelined_one_segment,
				      pipelined_segments,
				      pipelined_split_anywhere,
				      pipelined_for_long,
				      pipelined_beyond_capture,
				      heads_split_anywhere,
				      heads_byte_by_byte,
				      heads_long,
				      head_truncated,
				      target_truncated,
				      value_truncated,
				      response_head_truncated,
				      capture_smallest,
				      empty_lines,
				      malformed,
				      body_by_length,
				      body_end_by_sweep,
				      body_chunked,
				      body_chunked_split_anywhere,
				      body_chunked_long,
				      body_chunked_hole,
				      body_chunked_short_end,
				      body_chunked_cut_end,
				      body_tiny_capitals,
				      body_until_close,
				      body_none,
				      body_ambiguous,
				      informational,
				      early_response,
				      upgrade,
				      connect,
				      out_of_order_request,
				      out_of_order_response,
				      out_of_order_three,
				      duplicates,
				      retransmission_with_news,
				      sequence_wraps,
				      body_of_gigabytes,
				      request_lost,
				      request_partly_lost,
				      response_and_request_lost,
				      never_paired_wrongly,
				      attached_between,
				      attached_before_response,
				      attached_before_resend,
				      attached_inside_response,
				      attached_inside_request,
				      attached_idle_then_pipelined,
				      attached_while_pipelining,
				      attached_before_odd_method,
				      lost_before_text,
				      attached_and_end_early,
				      ends_in_each_phase,
				      half_closed,
				      closed_with_pipeline,
				      exchange_timeout_never,
				      idle_timeout,
				      not_http,
				      upper_case_protocol,
				      unasked_408,
				      stray,
				      stray_twice,
				      stray_from_the_middle_any_number,
				      stray_alone,
				      stray_and_own,
				      stray_answered_while_more_comes,
				      more_comes_while_stray_answered,
				      answered_while_next_comes,
				      next_comes_while_answered,
				      bait_goes_while_next_comes,
				      memory_arena_reclaims,
				      memory_and_pairing,
				      drop_query,
				      secrets_in_queries,
				      secrets_in_authorities,
				      secrets_by_the_host,
				      secrets_grow,
				      stream_heads,
				      host_kept_twice,
				      headers_repeated,
				      only_requests,
				      log_without_secrets,
				      NULL};

	/* They look at a request before it has its response. */
	const TTest *const untold[] = {plain_exchange,
				       response_lost,
				       answer_taken_in,
				       exchange_timeout,
				       exchange_timeout_short,
				       target_detached,
				       memory_bound,
				       active,
				       active_without_query,
				       active_without_memory,
				       log_of_decisions,
				       log_of_lost_pairing,
				       NULL};
	const TTest *const acks[] = {acks_of_one_on_its_way,
				     acks_of_half_an_answer,
				     acks_of_half_a_chunk,
				     acks_without_an_answer,
				     acks_that_are_late,
				     acks_of_another_request,
				     acks_of_fin,
				     NULL};
	const TTest *const strays[] = {stray_behind_the_first,
				       stray_answered_late,
				       stray_answered_after_timeout,
				       stray_closed,
				       stray_half_closed,
				       stray_reset,
				       stray_with_fin,
				       stray_in_pieces,
				       stray_from_the_middle,
				       stray_from_the_middle_unknown,
				       stray_turned_away,
				       stray_ports_again,
				       stray_after_reset,
				       stray_detached,
				       stray_of_another_protocol,
				       strays_many,
				       NULL};
	int failed = unit_run("at once", untold, setup, stop);

	failed |= unit_run("strays", strays, setup, stop);
	failed |= unit_run("acks", acks, setup, stop);
	return failed | unit_run("flow", tests, setup, stop);
}
