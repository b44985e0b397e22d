/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1 as peers write it who do not keep to RFC 9110 and RFC 9112: an observer tells what they
 * did. Each odd message is tried whole and cut at every byte, seen by the server and by the client,
 * with the request told at once and with its response. Two ordinary exchanges follow, which have to
 * be exact.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2];
static int asks; /* the direction of the requests */
static const struct appmon_event *ev;
static char what[400]; /* which case it is */

struct text {
	const char *data;
	size_t len;
};

#define T(literal)                                                                                 \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}

static void setup(void)
{
	struct sim_opts so = {.target = 1, .slot = 0, .cgroup_id = 4242, .capture = 4096};

	fixture_init(&p, &(struct appmon_opts){0});
	sim_start(&so);
}

static void teardown(void)
{
	sim_forget(sk);
	sk = NULL;
	sim_stop();
	fixture_free(&p);
}

static void connection(bool active)
{
	sim_forget(sk);
	sk = sim_connect(active, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
	asks = active ? DIR_OUT : DIR_IN;
}

static void packet(int dir, const char *data, size_t len, uint32_t flags)
{
	const void *rec;
	size_t size;

	sim_now_ns += MS;
	sim_packet(sk, dir, next_pos[dir], data, (uint32_t)len, flags);
	next_pos[dir] += len;
	while ((rec = sim_record(&size)))
		ck_assert(fixture_record(&p, rec, size));
	ck_assert_msg(fixture_adds_up(&p), "%s: counters do not add up", what);
}

/* In two segments if cut is not 0. */
static void say(int dir, const char *data, size_t len, size_t cut)
{
	if (cut)
		packet(dir, data, cut, SIM_PSH);
	packet(dir, data + cut, len - cut, SIM_PSH);
}

static void ask(const char *text)
{
	say(asks, text, strlen(text), 0);
}

static void answer(const char *text)
{
	say(!asks, text, strlen(text), 0);
}

static bool is(struct appmon_str str, const char *text)
{
	return str.len == strlen(text) && !memcmp(str.data, text, str.len);
}

static void event(void)
{
	ev = fixture_event(&p);
	ck_assert_msg(ev != NULL, "%s: no event", what);
}

static void nothing(void)
{
	ck_assert_msg(!fixture_event(&p), "%s: an event too many", what);
}

static void told(const char *method, const char *path, uint32_t status)
{
	event();
	ck_assert_msg(is(ev->operation, method) && is(ev->path, path) && ev->status == status,
		      "%s: %s %s -> %u", what, ev->operation.data, ev->path.data, ev->status);
	ck_assert_msg(ev->end == APPMON_END_COMPLETE, "%s: %s ends %s", what, path,
		      appmon_end_name(ev->end));
	ck_assert_msg(!(ev->flags & (APPMON_EVF_GAP | APPMON_EVF_NO_RESPONSE |
				     APPMON_EVF_TRUNCATED | APPMON_EVF_MID_MESSAGE)),
		      "%s: flags 0x%llx", what, (unsigned long long)ev->flags);
}

static void flagged(uint64_t set, uint64_t clear)
{
	ck_assert_msg((ev->flags & set) == set && !(ev->flags & clear), "%s: flags 0x%llx", what,
		      (unsigned long long)ev->flags);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ANSWER(status, length) "HTTP/1.1 " #status " X\r\nContent-Length: " #length "\r\n\r\n"

/* Two ordinary exchanges; the event of the one before comes with them at the latest. */
static void follow(const char *method, const char *path, uint32_t status, uint64_t set,
		   uint64_t clear)
{
	ask(GET("/2"));
	answer(ANSWER(202, 5) "hello");
	told(method, path, status);
	flagged(set, clear);
	told("GET", "/2", 202);
	ck_assert_msg(ev->flags == APPMON_EVF_KEEP_ALIVE, "%s: flags 0x%llx", what,
		      (unsigned long long)ev->flags);
	ck_assert_uint_eq(ev->ordinal, 2);
	ask("POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	answer(ANSWER(203, 0));
	told("POST", "/3", 203);
	ck_assert_msg(ev->flags == APPMON_EVF_KEEP_ALIVE, "%s: flags 0x%llx", what,
		      (unsigned long long)ev->flags);
	ck_assert_uint_eq(ev->request_body_bytes, 3);
	nothing();
}

struct exchange_case {
	const char *name;
	struct text request, response;
	const char *method, *path;
	uint32_t status;
	uint64_t flags; /* that the event has */
	uint64_t clear; /* and has not */
};

static void one(const struct exchange_case *c, bool active, size_t request_cut, size_t response_cut)
{
	snprintf(what, sizeof(what), "%s, %s, cut at %zu and %zu", c->name,
		 active ? "client" : "server", request_cut, response_cut);
	connection(active);
	say(asks, c->request.data, c->request.len, request_cut);
	say(!asks, c->response.data, c->response.len, response_cut);
	follow(c->method, c->path, c->status, c->flags, c->clear);
}

static void try_case(const struct exchange_case *c)
{
	for (int active = 0; active < 2; active++) {
		for (size_t cut = 0; cut < c->request.len; cut++)
			one(c, active, cut, 0);
		for (size_t cut = 1; cut < c->response.len; cut++)
			one(c, active, 0, cut);
	}
}

/* Lines that are none: RFC 9110 5.1 and 5.5, RFC 9112 2.2 and 5. */
static const struct text odd_lines[] = {
	T("X-A: a\001b\r\n"), /* control bytes */
	T("X-A: a\0b\r\n"),
	T("X-A: \033[31m\r\n"),
	T("X-A: \177\r\n"),
	T("X\001A: b\r\n"),
	T("X-A\0: b\r\n"),
	T("\001\002\003\r\n"),
	T("X-A: a\rb\r\n"), /* a lone CR */
	T("X-A: a\r\r\n"),
	T("\rX-A: a\r\n"),
	T("this is no field\r\n"), /* no colon */
	T("X\r\n"),
	T("HTTP/1.1 500 Twice\r\n"),
	T("GET /twice HTTP/1.1\r\n"), /* has a colon in no place */
	T(": b\r\n"),		      /* no name */
	T(":\r\n"),
	T("X-A: a\r\n b\001c\r\n"),
	T("no colon\r\n folded\r\n"),
	T("no colon\n"),
	T("\x80\xff\r\n"),
};

static size_t put(char *buf, size_t at, const char *data, size_t len)
{
	memcpy(buf + at, data, len);
	return at + len;
}

static size_t puts_to(char *buf, size_t at, const char *text)
{
	return put(buf, at, text, strlen(text));
}

/* A head with the line in front, between and behind its other fields. */
static size_t put_head(char *buf, const char *start, const char *field, const char *last,
		       struct text line, int place, const char *body)
{
	size_t n = puts_to(buf, 0, start);

	n = place == 0 ? put(buf, n, line.data, line.len) : n;
	n = puts_to(buf, n, field);
	n = place == 1 ? put(buf, n, line.data, line.len) : n;
	n = puts_to(buf, n, last);
	n = place == 2 ? put(buf, n, line.data, line.len) : n;
	n = puts_to(buf, n, "\r\n");
	return puts_to(buf, n, body);
}

static void try_line(struct text line, size_t number)
{
	char name[64], buf[400];

	for (int place = 0; place < 3; place++) {
		struct exchange_case c = {
			.name = name, .method = "PUT", .path = "/1", .status = 201};

		snprintf(name, sizeof(name), "request line %zu at place %d", number, place);
		c.request.data = buf;
		c.request.len = put_head(buf, "PUT /1 HTTP/1.1\r\n", "Host: h\r\n",
					 "Content-Length: 4\r\n", line, place, "body");
		c.response = (struct text)T(ANSWER(201, 2) "ok");
		c.flags = APPMON_EVF_MALFORMED | APPMON_EVF_KEEP_ALIVE;
		c.clear = APPMON_EVF_INFERRED_END;
		if (line.len > 1 && line.data[line.len - 2] == '\r') /* not a bare LF */
			c.clear |= APPMON_EVF_AMBIGUOUS;
		try_case(&c);
		snprintf(name, sizeof(name), "response line %zu at place %d", number, place);
		c.request = (struct text)T(
			"PUT /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
		c.response.data = buf;
		c.response.len = put_head(buf, "HTTP/1.1 201 OK\r\n", "X: y\r\n",
					  "Content-Length: 2\r\n", line, place, "ok");
		try_case(&c);
	}
}

START_TEST(lines)
{
	for (size_t i = 0; i < sizeof(odd_lines) / sizeof(odd_lines[0]); i++)
		try_line(odd_lines[i], i);
}
END_TEST

/* RFC 9112 2.2: white space in front of the first field belongs to no line. */
START_TEST(blank_first)
{
	static const struct exchange_case cases[] = {
		{"request", T("GET /1 HTTP/1.1\r\n X: y\r\nHost: h\r\n\r\n"), T(OK), "GET", "/1",
		 200, APPMON_EVF_MALFORMED, APPMON_EVF_AMBIGUOUS},
		{"tab", T("GET /1 HTTP/1.1\r\n\tX: y\r\n z\r\nHost: h\r\n\r\n"), T(OK), "GET", "/1",
		 200, APPMON_EVF_MALFORMED, APPMON_EVF_AMBIGUOUS},
		{"response", T(GET("/1")),
		 T("HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 2\r\n\r\nok"), "GET", "/1", 200,
		 APPMON_EVF_MALFORMED, APPMON_EVF_AMBIGUOUS},
		{"a blank line", T(GET("/1")),
		 T("HTTP/1.1 200 OK\r\n \r\nContent-Length: 2\r\n\r\nok"), "GET", "/1", 200,
		 APPMON_EVF_MALFORMED, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		try_case(&cases[i]);
}
END_TEST

START_TEST(start_lines)
{
	static const struct exchange_case cases[] = {
		{"control in the reason", T(GET("/1")),
		 T("HTTP/1.1 404 a\001b\r\nContent-Length: 2\r\n\r\nok"), "GET", "/1", 404,
		 APPMON_EVF_MALFORMED, 0},
		{"NUL in the reason", T(GET("/1")),
		 T("HTTP/1.1 404 a\0b\r\nContent-Length: 2\r\n\r\nok"), "GET", "/1", 404,
		 APPMON_EVF_MALFORMED, 0},
		{"CR in the reason", T(GET("/1")),
		 T("HTTP/1.1 404 a\rb\r\nContent-Length: 2\r\n\r\nok"), "GET", "/1", 404,
		 APPMON_EVF_MALFORMED, 0},
		{"a second CR", T(GET("/1")), T("HTTP/1.1 404 X\r\r\nContent-Length: 2\r\n\r\nok"),
		 "GET", "/1", 404, APPMON_EVF_MALFORMED, 0},
		{"no blank before the reason", T(GET("/1")),
		 T("HTTP/1.1 404Not Found\r\nContent-Length: 2\r\n\r\nok"), "GET", "/1", 404,
		 APPMON_EVF_MALFORMED, 0},
		{"control in the target", T("GET /1?\001 HTTP/1.1\r\nHost: h\r\n\r\n"),
		 T(ANSWER(400, 2) "ok"), "GET", "/1", 400, APPMON_EVF_MALFORMED, 0},
		/* Versions: RFC 9112 2.3 */
		{"HTTP/2.0", T("GET /1 HTTP/2.0\r\nHost: h\r\n\r\n"), T(ANSWER(505, 2) "ok"), "GET",
		 "/1", 505, APPMON_EVF_KEEP_ALIVE, APPMON_EVF_MALFORMED},
		{"HTTP/0.9", T("GET /1 HTTP/0.9\r\nHost: h\r\n\r\n"), T(OK), "GET", "/1", 200, 0,
		 APPMON_EVF_KEEP_ALIVE | APPMON_EVF_MALFORMED},
		{"HTTP/1.10", T("GET /1 HTTP/1.10\r\nHost: h\r\n\r\n"), T(OK), "GET", "/1", 200,
		 APPMON_EVF_KEEP_ALIVE, APPMON_EVF_MALFORMED},
		{"HTTP/9.9", T("GET /1 HTTP/9.9\r\nHost: h\r\n\r\n"), T(OK), "GET", "/1", 200, 0,
		 APPMON_EVF_MALFORMED},
		{"HTTP/11.1", T("GET /1 HTTP/11.1\r\nHost: h\r\n\r\n"), T(OK), "GET", "/1", 200, 0,
		 APPMON_EVF_MALFORMED},
		{"HTTP/2", T("GET /1 HTTP/2\r\nHost: h\r\n\r\n"), T(OK), "GET", "/1", 200, 0,
		 APPMON_EVF_MALFORMED},
		{"HTTP/x", T("GET /1 HTTP/x\r\nHost: h\r\n\r\n"), T(ANSWER(400, 2) "ok"), "GET",
		 "/1", 400, APPMON_EVF_MALFORMED, 0},
		{"http/1.1", T("GET /1 http/1.1\r\nHost: h\r\n\r\n"), T(ANSWER(400, 2) "ok"), "GET",
		 "/1", 400, APPMON_EVF_MALFORMED, 0},
		{"2.0 answers", T(GET("/1")), T("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		 "GET", "/1", 200, APPMON_EVF_KEEP_ALIVE, APPMON_EVF_MALFORMED},
		{"2 answers", T(GET("/1")), T("HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		 "GET", "/1", 200, APPMON_EVF_KEEP_ALIVE, APPMON_EVF_MALFORMED},
		{"0.9 answers", T(GET("/1")), T("HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		 "GET", "/1", 200, 0, APPMON_EVF_KEEP_ALIVE | APPMON_EVF_MALFORMED},
		{"1.10 answers", T(GET("/1")), T("HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		 "GET", "/1", 200, APPMON_EVF_KEEP_ALIVE, APPMON_EVF_MALFORMED},
		{"9.9 answers", T(GET("/1")), T("HTTP/9.9 404 X\r\nContent-Length: 2\r\n\r\nok"),
		 "GET", "/1", 404, 0, APPMON_EVF_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		try_case(&cases[i]);
}
END_TEST

/* What a Content-Length has that is no length (RFC 9110 8.6). */
static const char *const bad_lengths[] = {
	"",
	" ",
	"-1",
	"-0",
	"+2",
	"2.0",
	"2,",
	",2",
	"2, x",
	"two",
	"0x2",
	"2 2",
	"2;a",
	"2\n 2",
	"\"2\"",
	"nan",
	"99999999999999999999",
};

/* Of a response that has a body: it ends where the next head begins. */
START_TEST(response_lengths)
{
	char buf[200];

	for (size_t i = 0; i < sizeof(bad_lengths) / sizeof(bad_lengths[0]); i++) {
		struct exchange_case c = {
			.name = bad_lengths[i],
			.request = T(GET("/1")),
			.response = {buf, 0},
			.method = "GET",
			.path = "/1",
			.status = 200,
			.flags = APPMON_EVF_MALFORMED | APPMON_EVF_AMBIGUOUS,
		};

		for (size_t n = 0; n < 3; n++) {
			static const char *const bodies[] = {"", "ok", "0123456789\r\n\r\nabc"};

			c.response.len = (size_t)snprintf(
				buf, sizeof(buf),
				"HTTP/1.1 200 OK\r\nContent-Length: %s\r\nX: y\r\n\r\n%s",
				bad_lengths[i], bodies[n]);
			try_case(&c);
		}
	}
}
END_TEST

/* Whatever the length says, these have no body (RFC 9112 6.3). */
START_TEST(response_lengths_without_a_body)
{
	static const struct {
		const char *method, *line;
		uint32_t status;
	} kinds[] = {
		{"GET", "HTTP/1.1 204 No Content", 204},
		{"GET", "HTTP/1.1 304 Not Modified", 304},
		{"HEAD", "HTTP/1.1 200 OK", 200},
		{"GET", "HTTP/1.1 103 X\r\nContent-Length: x\r\n\r\nHTTP/1.1 204 No Content", 204},
	};
	char request[100], buf[300];

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (size_t i = 0; i < sizeof(bad_lengths) / sizeof(bad_lengths[0]); i++) {
			struct exchange_case c = {
				.name = kinds[k].line,
				.request = {request, 0},
				.response = {buf, 0},
				.method = kinds[k].method,
				.path = "/1",
				.status = kinds[k].status,
				.flags = APPMON_EVF_MALFORMED | APPMON_EVF_KEEP_ALIVE,
				.clear = APPMON_EVF_INFERRED_END,
			};

			c.request.len = (size_t)snprintf(request, sizeof(request),
							 "%s /1 HTTP/1.1\r\nHost: h\r\n\r\n",
							 kinds[k].method);
			c.response.len = (size_t)snprintf(buf, sizeof(buf),
							  "%s\r\nContent-Length: %s\r\n\r\n",
							  kinds[k].line, bad_lengths[i]);
			try_case(&c);
		}
	}
}
END_TEST

/* The answer belongs to it, whether the server took a body or not. */
START_TEST(request_lengths)
{
	char buf[200];

	for (size_t i = 0; i < sizeof(bad_lengths) / sizeof(bad_lengths[0]); i++) {
		for (size_t n = 0; n < 2; n++) {
			struct exchange_case c = {
				.name = bad_lengths[i],
				.request = {buf, 0},
				.response = T(ANSWER(400, 3) "bad"),
				.method = "POST",
				.path = "/1",
				.status = 400,
				.flags = APPMON_EVF_MALFORMED | APPMON_EVF_AMBIGUOUS,
			};

			c.request.len = (size_t)snprintf(
				buf, sizeof(buf),
				"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: %s\r\n\r\n%s",
				bad_lengths[i], n ? "{\"a\": 1}" : "");
			try_case(&c);
		}
	}
}
END_TEST

/* HEAD and CONNECT mean what they mean with an odd line, too. */
START_TEST(methods_keep_their_meaning)
{
	static const struct exchange_case head = {
		"HEAD",
		T("HEAD /1 HTTP/1.1\r\nno colon\r\nHost: h\r\n\r\n"),
		T("HTTP/1.1 200 OK\r\nX: \001\r\nContent-Length: 1234\r\n\r\n"),
		"HEAD",
		"/1",
		200,
		APPMON_EVF_MALFORMED | APPMON_EVF_KEEP_ALIVE,
		APPMON_EVF_INFERRED_END};
	static const char connect[] = "CONNECT h:443 HTTP/1.1\r\nno colon\r\nHost: h:443\r\n\r\n";
	static const char established[] = "HTTP/1.1 200 OK\r\nX: \001\r\nContent-Length: x\r\n\r\n";

	try_case(&head);
	for (size_t cut = 0; cut < sizeof(connect) - 1; cut++) {
		snprintf(what, sizeof(what), "CONNECT, cut at %zu", cut);
		connection(false);
		say(asks, connect, sizeof(connect) - 1, cut);
		say(!asks, established, sizeof(established) - 1, cut % 20);
		ask(GET("/inside"));
		answer(OK);
		event();
		ck_assert_msg(ev->method == APPMON_METHOD_CONNECT && ev->status == 200, "%s", what);
		ck_assert_uint_eq(ev->end, APPMON_END_UPGRADED);
		flagged(APPMON_EVF_UPGRADED | APPMON_EVF_MALFORMED, APPMON_EVF_GAP);
		nothing();
	}
}
END_TEST

/* RFC 9112 6.3 has the body go on until close; peers go on after the length. */
START_TEST(transfer_encoding_and_length)
{
	static const struct exchange_case cases[] = {
		{"identity", T(GET("/1")),
		 T("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok"),
		 "GET", "/1", 200, APPMON_EVF_AMBIGUOUS, 0},
		{"gzip", T(GET("/1")),
		 T("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"),
		 "GET", "/1", 200, APPMON_EVF_AMBIGUOUS, 0},
		{"length first", T(GET("/1")),
		 T("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: identity\r\n\r\nok"),
		 "GET", "/1", 200, APPMON_EVF_AMBIGUOUS, 0},
		{"no body", T(GET("/1")),
		 T("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n"),
		 "GET", "/1", 200, APPMON_EVF_AMBIGUOUS, 0},
		{"no length", T(GET("/1")),
		 T("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok"), "GET", "/1", 200, 0,
		 0},
		{"no length at all", T(GET("/1")), T("HTTP/1.1 200 OK\r\nServer: s\r\n\r\nok"),
		 "GET", "/1", 200, 0, 0},
		{"HTTP/1.0", T("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
		 T("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok"), "GET", "/1", 200, 0, 0},
		{"a wrong length", T(GET("/1")),
		 T("HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\nContent-Length: 9\r\n\r\nok"), "GET",
		 "/1", 200, APPMON_EVF_AMBIGUOUS, 0},
		{"of a request",
		 T("POST /1 HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: "
		   "2\r\n\r\nok"),
		 T(OK), "POST", "/1", 200, APPMON_EVF_AMBIGUOUS, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		try_case(&cases[i]);

	/* Pipelined: the status line behind the length. */
	for (int active = 0; active < 2; active++) {
		snprintf(what, sizeof(what), "pipelined, %d", active);
		connection(active);
		ask(GET("/1") GET("/2") GET("/3"));
		answer("HTTP/1.1 201 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n"
		       "ok" ANSWER(202, 0) ANSWER(203, 2) "ok");
		told("GET", "/1", 201);
		ck_assert_uint_eq(ev->response_body_bytes, 2);
		told("GET", "/2", 202);
		told("GET", "/3", 203);
		nothing();
	}

	/* Until close it is, where nobody asks for more. */
	connection(false);
	ask(GET("/1"));
	answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok");
	answer("and more");
	answer("HTTP/1.1 500 of the body\r\n\r\n");
	packet(!asks, NULL, 0, SIM_FIN);
	told("GET", "/1", 200);
	ck_assert_uint_eq(ev->response_body_bytes, 10 + 28);
	nothing();
}
END_TEST

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define UPLOAD "POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

/* What is a length, or a coding, to some readers only: the answer belongs to it all the same. */
START_TEST(two_readings)
{
	static const struct text fields[] = {
		T("Transfer-Encoding: \vchunked\r\n"),	T("Transfer-Encoding\0: chunked\r\n"),
		T("Transfer-Encoding: chunked\0\r\n"),	T("X: x\rTransfer-Encoding: chunked\r\n"),
		T("Transfer-Encoding chunked\r\n"),	T("\rTransfer-Encoding: chunked\r\n"),
		T("Content-Length\001: 14\r\n"),	T("Content-Length: 14\rX: y\r\n"),
		T("X: x\r\n \rContent-Length: 14\r\n"), T("CONTENT-LENGTH: 14\001\r\n"),
	};
	char buf[300];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct exchange_case c = {.name = fields[i].data, .status = 200, .path = "/1"};
		size_t n;

		c.flags = APPMON_EVF_MALFORMED | APPMON_EVF_AMBIGUOUS;
		c.method = "POST";
		n = puts_to(buf, 0, "POST /1 HTTP/1.1\r\nHost: h\r\n");
		n = put(buf, n, fields[i].data, fields[i].len);
		c.request.data = buf;
		c.request.len = puts_to(buf, n, "\r\n4\r\nabcd\r\n0\r\n\r\n");
		c.response = (struct text)T(OK);
		try_case(&c);
		c.method = "GET";
		n = puts_to(buf, 0, "HTTP/1.1 200 OK\r\nServer: s\r\n");
		n = put(buf, n, fields[i].data, fields[i].len);
		c.request = (struct text)T(GET("/1"));
		c.response.data = buf;
		c.response.len = puts_to(buf, n, "\r\n4\r\nabcd\r\n0\r\n\r\n");
		try_case(&c);
	}
}
END_TEST

START_TEST(chunks)
{
	static const struct {
		struct text body;
		uint64_t flags;
	} bodies[] = {
		{T("2\nok\n0\n\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\r\nok\r\n0\n\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\r\nok\r\n0\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\nok\r\n0\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\r\nok\n0\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2;a=b\nok\r\n0\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2;a=\001\r\nok\r\n0\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T(" 2\r\nok\r\n0\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\r\nok\r\n0\r\n\n"), 0},
		{T("2\r\nok\r\n0\r\nA: b\n\n"), 0},
		{T("2\r\nok\r\n0\r\nno field\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\r\nok\r\n0\r\n: no name\r\nB: c\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\r\nok\r\n0\r\nA: \001\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\r\nok\r\n0\r\nA b: c\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
		{T("2\r\nok\r\n0\r\nA: b\rc\r\n\r\n"), APPMON_EVF_AMBIGUOUS},
	};
	char buf[300];

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct exchange_case c = {.name = bodies[i].body.data,
					  .path = "/1",
					  .status = 200,
					  .flags = bodies[i].flags | APPMON_EVF_KEEP_ALIVE,
					  .clear = APPMON_EVF_INFERRED_END};

		c.method = "GET";
		c.request = (struct text)T(GET("/1"));
		c.response.data = buf;
		c.response.len =
			put(buf, puts_to(buf, 0, CHUNKED), bodies[i].body.data, bodies[i].body.len);
		try_case(&c);
		c.method = "POST";
		c.request.data = buf;
		c.request.len =
			put(buf, puts_to(buf, 0, UPLOAD), bodies[i].body.data, bodies[i].body.len);
		c.response = (struct text)T(OK);
		try_case(&c);
	}
}
END_TEST

/* RFC 9112 2.2: a server ignores one empty line; servers ignore any number, however they end. */
START_TEST(empty_lines)
{
	static const char *const blanks[] = {"\n",   "\r\n",	    "\n\r\n",	"\r\n\r\n",
					     "\n\n", "\n\n\n",	    "\r\n\n\n", "\r\r\n",
					     "\r",   "\r\n\r\n\r\n"};
	char buf[200], name[32];

	for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
		struct exchange_case c = {
			.name = name, .method = "GET", .path = "/1", .status = 200};

		snprintf(name, sizeof(name), "empty lines %zu", i);
		c.request.data = buf;
		c.request.len = (size_t)snprintf(buf, sizeof(buf), "%s%s", blanks[i], GET("/1"));
		c.response = (struct text)T(OK);
		try_case(&c);
		c.request = (struct text)T(GET("/1"));
		c.response.data = buf;
		c.response.len = (size_t)snprintf(buf, sizeof(buf), "%s%s", blanks[i], OK);
		try_case(&c);
		/* Before a later request. */
		for (int active = 0; active < 2; active++) {
			snprintf(what, sizeof(what), "empty lines %zu", i);
			connection(active);
			ask(GET("/0"));
			answer(OK);
			told("GET", "/0", 200);
			snprintf(buf, sizeof(buf), "%s%s", blanks[i], GET("/1"));
			ask(buf);
			answer(OK);
			told("GET", "/1", 200);
			ask(blanks[i]);
			ask(GET("/2"));
			answer(OK);
			told("GET", "/2", 200);
			nothing();
		}
	}
}
END_TEST

/* Bytes that belong to no message: the next exchange is right. */
START_TEST(junk_behind_a_response)
{
	static const char *const junk[] = {
		"hello",       "H",	   "HT",   "HTTP",
		"HTTP/1.1 20", "\r\n\r\n", "GET ", "HTTP/1.1 200 OK\r\nX"};

	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		for (int active = 0; active < 2; active++) {
			for (int apart = 0; apart < 2; apart++) {
				char buf[200];

				snprintf(what, sizeof(what), "%s, %d", junk[i], apart);
				connection(active);
				ask(GET("/1"));
				snprintf(buf, sizeof(buf), "%s%s", ANSWER(204, 5),
					 apart ? "" : junk[i]);
				answer(buf);
				if (apart)
					answer(junk[i]);
				told("GET", "/1", 204);
				ask(GET("/2"));
				answer(ANSWER(202, 2) "ok");
				told("GET", "/2", 202);
				ask(GET("/3"));
				answer(ANSWER(203, 2) "ok");
				told("GET", "/3", 203);
				nothing();
			}
		}
	}
}
END_TEST

/* The connection ends behind n bytes of a response's head, in each way. The event has this status. */
static void cut_off(const char *head, size_t n, uint32_t status)
{
	for (int active = 0; active < 2; active++) {
		for (int reset = 0; reset < 2; reset++) {
			snprintf(what, sizeof(what), "%zu bytes, %d", n, reset);
			connection(active);
			ask(GET("/0"));
			answer(OK);
			told("GET", "/0", 200);
			ask(GET("/1"));
			say(!asks, head, n, 0);
			packet(!asks, NULL, 0, reset ? SIM_RST : SIM_FIN);
			event();
			ck_assert_msg(is(ev->path, "/1") && ev->status == status, "%s: %u", what,
				      ev->status);
			ck_assert_msg(ev->end != APPMON_END_COMPLETE, "%s", what);
			if (status)
				flagged(APPMON_EVF_TRUNCATED,
					APPMON_EVF_GAP | APPMON_EVF_NO_RESPONSE);
			nothing();
		}
	}
}

/* Its status is told as soon as all of it has come. */
START_TEST(head_cut_off)
{
	static const char head[] = "HTTP/1.1 503 Busy\r\nServer: s\r\nContent-Length: 2\r\n";

	for (size_t n = 1; n < sizeof(head); n++)
		cut_off(head, n, n < sizeof("HTTP/1.1 503") - 1 ? 0 : 503);
}
END_TEST

/* Where it is not known how many answers are due, it takes longer. */
static void silence(bool unknown)
{
	sim_now_ns += (unknown ? 31 : 3) * SECOND;
}

/* A message that never ends as it said: behind a silence the connection is told again. */
START_TEST(heals)
{
	static const struct {
		const char *name, *request, *response;
	} cases[] = {
		{"request shorter than its length",
		 "POST /1 HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc", ANSWER(400, 2) "ok"},
		{"request without its last chunk", UPLOAD "5\r\nabcde\r\n", ANSWER(400, 2) "ok"},
		{"request inside a chunk", UPLOAD "5\r\na", ANSWER(400, 2) "ok"},
		{"request with a bad chunk", UPLOAD "zz\r\na", ANSWER(400, 2) "ok"},
		{"request without its empty line", "GET /1 HTTP/1.1\r\nHost: h\r\n",
		 ANSWER(400, 2) "ok"},
		{"response shorter than its length", GET("/1"), ANSWER(400, 100) "ok"},
		{"response without its last chunk", GET("/1"), CHUNKED "5\r\nabcde\r\n"},
		{"response inside a chunk", GET("/1"), CHUNKED "5\r\na"},
		{"response with a bad chunk", GET("/1"), CHUNKED "zz\r\na"},
		{"response without its empty line", GET("/1"), "HTTP/1.1 400 X\r\nX: y\r\n"},
		{"response until close", GET("/1"), "HTTP/1.1 400 X\r\nX: y\r\n\r\nabc"},
		{"pipelined with an unread length",
		 "POST /1 HTTP/1.1\r\nContent-Length: x\r\n\r\n" GET("/x"),
		 ANSWER(400, 2) "ok" ANSWER(400, 2) "ok"},
		{"pipelined behind an odd chunk", UPLOAD "2;a\nok\r\n0\r\n\r\n" GET("/x"),
		 ANSWER(400, 2) "ok" ANSWER(400, 2) "ok"},
		{"request that is none", "GET /1\r\n\r\n", ANSWER(400, 2) "ok"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int active = 0; active < 2; active++) {
			snprintf(what, sizeof(what), "%s, %d", cases[i].name, active);
			connection(active);
			ask(cases[i].request);
			answer(cases[i].response);
			for (int n = 2; n < 5; n++) {
				char request[100], response[100], path[8];

				silence(strstr(cases[i].name, "pipelined"));
				snprintf(path, sizeof(path), "/%d", n);
				snprintf(request, sizeof(request),
					 "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
				snprintf(response, sizeof(response),
					 "HTTP/1.1 20%d OK\r\nContent-Length: 2\r\n\r\nok", n);
				ask(request);
				answer(response);
				do
					event();
				while (!is(ev->path, path) && n == 2);
				ck_assert_msg(is(ev->path, path) &&
						      ev->status == 200u + (uint32_t)n &&
						      ev->end == APPMON_END_COMPLETE,
					      "%s: %s -> %u", what, ev->path.data, ev->status);
				ck_assert_msg(ev->flags == APPMON_EVF_KEEP_ALIVE,
					      "%s: %s has flags 0x%llx", what, path,
					      (unsigned long long)ev->flags);
			}
			nothing();
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {lines,
				      blank_first,
				      start_lines,
				      response_lengths,
				      response_lengths_without_a_body,
				      request_lengths,
				      methods_keep_their_meaning,
				      transfer_encoding_and_length,
				      two_readings,
				      chunks,
				      empty_lines,
				      junk_behind_a_response,
				      head_cut_off,

				      heals,
				      NULL};

	return unit_run("lenient", tests, setup, teardown);
}
