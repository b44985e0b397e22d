/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/2 and gRPC: whole connections, as the plaintext that a socket carries. What the frames hold is
 * what the test writes.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2], cookie, ordinal;
static const struct appmon_event *ev;
static bool fresh, bytewise;

/* ---- a connection ---------------------------------------------------------------------------- */

static void pump(void)
{
	const void *rec;
	size_t size;

	while ((rec = sim_record(&size)))
		ck_assert(fixture_record(&p, rec, size));
	ck_assert(fixture_adds_up(&p));
}

static void packet(int dir, const char *text)
{
	sim_now_ns += 1000000;
	sim_packet(sk, dir, next_pos[dir], text, (uint32_t)strlen(text), SIM_PSH);
	next_pos[dir] += strlen(text);
	pump();
}

/* The socket's own bytes are a tunnel's: what HTTP/2 gets comes from above. */
static void begin(uint32_t flags)
{
	struct sim_opts so = {.target = 1, .capture = 4096};

	fixture_init(&p, &(struct appmon_opts){.flags = flags,
					       .protocols = 1U << APPMON_PROTO_HTTP1 |
							    1U << APPMON_PROTO_HTTP2});
	sim_start(&so);
	sk = sim_connect(false, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
	packet(DIR_IN, "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n");
	packet(DIR_OUT, "HTTP/1.1 200 OK\r\n\r\n");
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	cookie = ev->connection_id;
	ordinal = 1;
	fresh = true;
	bytewise = false;
}

static void setup(void)
{
	begin(0);
}

static void teardown(void)
{
	ck_assert_ptr_null(fixture_event(&p));
	sim_forget(sk);
	sim_stop();
	ck_assert(fixture_adds_up(&p));
	fixture_free(&p);
}

static void give(int dir, const uint8_t *bytes, uint32_t captured, uint32_t len)
{
	struct plain plain = {.cookie = cookie,
			      .dir = dir,
			      .fresh = fresh,
			      .bytes = (const char *)bytes,
			      .captured = captured,
			      .len = len};

	plain.ts_ns = sim_now_ns += 1000000;
	ck_assert(layer_plain(&p.flows, &plain));
	ck_assert(fixture_adds_up(&p));
}

/* ---- frames ---------------------------------------------------------------------------------- */

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION
};
enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8, WITH_PRIORITY = 0x20 };
#define WHOLE (END_STREAM | END_HEADERS)

static uint8_t wire[1 << 20];
static uint32_t wire_len;

static void put(const void *bytes, uint32_t n)
{
	memcpy(wire + wire_len, bytes, n);
	wire_len += n;
}

static void frame(uint32_t type, uint32_t flags, uint32_t stream, const void *payload, uint32_t n)
{
	const uint8_t head[9] = {
		(uint8_t)(n >> 16),	 (uint8_t)(n >> 8),	 (uint8_t)n,
		(uint8_t)type,		 (uint8_t)flags,	 (uint8_t)(stream >> 24),
		(uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};

	put(head, sizeof(head));
	put(payload, n);
}

/* Sends what has been written. */
static void sent(int dir)
{
	uint32_t len = wire_len;

	wire_len = 0;
	if (!bytewise) {
		give(dir, wire, len, len);
		return;
	}
	for (uint32_t i = 0; i < len; i++)
		give(dir, wire + i, 1, 1);
}

static void client_begins(void)
{
	put("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	frame(SETTINGS, 0, 0, "\0\3\0\0\0\144", 6);
	frame(WINDOW_UPDATE, 0, 0, "\0\0\377\377", 4);
	sent(DIR_IN);
	frame(SETTINGS, 0, 0, "", 0);
	frame(SETTINGS, 1, 0, "", 0);
	sent(DIR_OUT);
	frame(SETTINGS, 1, 0, "", 0);
	sent(DIR_IN);
}

/* ---- header blocks --------------------------------------------------------------------------- */

static uint8_t block[1 << 17];
static uint32_t block_len;

static void byte(uint32_t b)
{
	block[block_len++] = (uint8_t)b;
}

static void string(const char *s)
{
	size_t len = strlen(s);

	if (len < 127) {
		byte((uint32_t)len);
	} else {
		byte(127);
		for (len -= 127; len > 127; len >>= 7)
			byte((len & 127) | 128);
		byte((uint32_t)len);
		len = strlen(s);
	}
	memcpy(block + block_len, s, len);
	block_len += (uint32_t)len;
}

/* Without indexing, and with it. */
static void field(const char *name, const char *value)
{
	byte(0x00);
	string(name);
	string(value);
}

static void indexed_field(const char *name, const char *value)
{
	byte(0x40);
	string(name);
	string(value);
}

static void index_of(uint32_t n)
{
	byte(0x80 | n);
}

static void headers(uint32_t flags, uint32_t stream)
{
	frame(HEADERS, flags, stream, block, block_len);
	block_len = 0;
}

/* RFC 7541 appendix A: 2 is GET, 3 POST, 6 http, 8 the status 200. */
static void get(uint32_t stream, const char *path)
{
	index_of(2);
	index_of(6);
	field(":path", path);
	field(":authority", "h:80");
	headers(WHOLE, stream);
	sent(DIR_IN);
}

static void ok(uint32_t stream, const char *body)
{
	index_of(8);
	field("content-type", "text/plain");
	headers(END_HEADERS, stream);
	frame(DATA, END_STREAM, stream, body, (uint32_t)strlen(body));
	sent(DIR_OUT);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void next(void)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP2);
}

static void nothing(void)
{
	ck_assert_ptr_null(fixture_event(&p));
}

static void complete(uint32_t stream, const char *path, uint32_t status)
{
	next();
	ck_assert_uint_eq(ev->key, stream);
	ck_assert_str_eq(ev->path.data, path);
	ck_assert_uint_eq(ev->status, status);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_eq(ev->role, APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->request_http_version, 20);
	ck_assert_uint_eq(ev->response_http_version, 20);
	ck_assert_uint_gt(ev->response_start_ns, ev->request_start_ns);
	ck_assert_uint_ge(ev->response_end_ns, ev->response_start_ns);
}

/* ---- streams --------------------------------------------------------------------------------- */

START_TEST(one)
{
	for (int round = 0; round < 2; round++) {
		bytewise = round;
		client_begins();
		get(1, "/a?x=1&password=p");
		nothing();
		ok(1, "hello");
		complete(1, "/a", 200);
		ck_assert_uint_eq(ev->method, APPMON_METHOD_GET);
		ck_assert_str_eq(ev->operation.data, "GET");
		ck_assert_str_eq(ev->query.data, "x=1&password=REDACTED");
		ck_assert_str_eq(ev->authority.data, "h:80");
		ck_assert_str_eq(ev->status_text.data, "200");
		ck_assert_str_eq(ev->system.data, "");
		ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_OK);
		ck_assert_uint_eq(ev->flags, 0);
		ck_assert_uint_eq(ev->request_body_bytes, 0);
		ck_assert_uint_eq(ev->response_body_bytes, 5);
		ck_assert_int_eq(ev->request_items, -1);
		ck_assert_uint_eq(ev->header_count, 1);
		ck_assert_str_eq(ev->headers[0].name.data, "content-type");
		ck_assert_str_eq(ev->headers[0].value.data, "text/plain");
		ck_assert_uint_eq(ev->headers[0].response, 1);
		teardown();
		setup();
	}
}
END_TEST

START_TEST(server_speaks_first)
{
	frame(SETTINGS, 0, 0, "\0\3\0\0\0\144", 6);
	sent(DIR_OUT);
	put("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	frame(SETTINGS, 0, 0, "", 0);
	get(1, "/a");
	ok(1, "hello");
	complete(1, "/a", 200);
	ck_assert_uint_eq(ev->flags, 0);
}
END_TEST

/* As many as servers mostly allow at once, answered in another order. */
START_TEST(many)
{
	char path[16];

	client_begins();
	for (uint32_t i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		get(2 * i + 1, path);
	}
	nothing();
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t n = i * 389 % 1000;

		snprintf(path, sizeof(path), "/%u", n);
		ok(2 * n + 1, path);
		complete(2 * n + 1, path, 200);
		ck_assert_uint_eq(ev->response_body_bytes, strlen(path));
	}
}
END_TEST

START_TEST(interleaved_bodies)
{
	client_begins();
	for (uint32_t id = 1; id <= 3; id += 2) {
		index_of(3);
		field(":path", id == 1 ? "/1" : "/3");
		field("content-length", "30");
		headers(END_HEADERS, id);
	}
	for (int i = 0; i < 3; i++) {
		frame(DATA, i == 2, 1, "0123456789", 10);
		frame(DATA, i == 2, 3, "0123456789", 10);
	}
	sent(DIR_IN);
	ok(3, "");
	complete(3, "/3", 200);
	ck_assert_uint_eq(ev->request_body_bytes, 30);
	ck_assert_int_eq(ev->request_content_length, 30);
	ok(1, "b");
	complete(1, "/1", 200);
	ck_assert_uint_eq(ev->request_body_bytes, 30);
	ck_assert_uint_eq(ev->response_body_bytes, 1);
}
END_TEST

/* Padding and priority are no part of a block or a body; CONTINUATION goes on with a block. */
START_TEST(frames_of_all_kinds)
{
	uint8_t padded[] = {3, 0x80, 0, 0, 0, 15, 0x82, 0x86, 0x84, 0, 0, 0};

	client_begins();
	frame(HEADERS, WHOLE | PADDED | WITH_PRIORITY, 1, padded, sizeof(padded));
	frame(PRIORITY, 0, 3, "\0\0\0\1\0", 5);
	frame(0x42, 0, 0, "unknown", 7);
	sent(DIR_IN);
	ok(1, "");
	complete(1, "/", 200);

	index_of(2);
	headers(END_STREAM, 3);
	field(":path", "/long");
	frame(CONTINUATION, 0, 3, block, 4);
	frame(CONTINUATION, 0, 3, block + 4, 0);
	frame(CONTINUATION, END_HEADERS, 3, block + 4, block_len - 4);
	block_len = 0;
	sent(DIR_IN);
	index_of(8);
	headers(END_HEADERS, 3);
	frame(DATA, END_STREAM | PADDED, 3, "\2ab\0\0", 5);
	sent(DIR_OUT);
	complete(3, "/long", 200);
	ck_assert_uint_eq(ev->response_body_bytes, 2);
}
END_TEST

START_TEST(interim_responses_and_trailers)
{
	client_begins();
	get(1, "/a");
	field(":status", "103");
	headers(END_HEADERS, 1);
	index_of(8);
	headers(END_HEADERS, 1);
	frame(DATA, 0, 1, "ab", 2);
	field("x-request-id", "late");
	headers(WHOLE, 1);
	sent(DIR_OUT);
	complete(1, "/a", 200);
	ck_assert(ev->flags & APPMON_EVF_CONTINUED);
	ck_assert_uint_eq(ev->header_count, 1);
	ck_assert_str_eq(ev->headers[0].value.data, "late");
	ck_assert_uint_eq(p.pl.stats.responses, 2); /* with the tunnel's */
}
END_TEST

START_TEST(given_up)
{
	client_begins();
	get(1, "/client");
	frame(RST_STREAM, 0, 1, "\0\0\0\10", 4);
	sent(DIR_IN);
	next();
	ck_assert_uint_eq(ev->end, APPMON_END_ABANDONED);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_CANCELLED);
	/* What the server had sent by then tells of no other exchange. */
	ok(1, "late");
	nothing();
	get(3, "/server");
	frame(RST_STREAM, 0, 3, "\0\0\0\7", 4);
	sent(DIR_OUT);
	next();
	ck_assert_uint_eq(ev->end, APPMON_END_ABANDONED);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_NO_RESPONSE);
	get(5, "/5");
	get(7, "/7");
	frame(GOAWAY, 0, 0, "\0\0\0\5\0\0\0\0", 8);
	sent(DIR_OUT);
	next();
	ck_assert_str_eq(ev->path.data, "/7");
	ck_assert_uint_eq(ev->end, APPMON_END_ABANDONED);
	ok(5, "");
	complete(5, "/5", 200);
}
END_TEST

START_TEST(push)
{
	client_begins();
	get(1, "/a");
	memcpy(block, "\0\0\0\2", 4);
	block_len = 4;
	index_of(2);
	field(":path", "/pushed");
	frame(PUSH_PROMISE, END_HEADERS, 1, block, block_len);
	block_len = 0;
	sent(DIR_OUT);
	ok(1, "");
	complete(1, "/a", 200);
	ok(2, "xyz");
	complete(2, "/pushed", 200);
	ck_assert(ev->flags & APPMON_EVF_SERVER_BEGAN);
	ck_assert_uint_eq(ev->response_body_bytes, 3);
}
END_TEST

/* RFC 8441: WebSocket; and a plain CONNECT. */
START_TEST(tunnels)
{
	client_begins();
	field(":method", "CONNECT");
	field(":protocol", "websocket");
	field(":path", "/chat?token=1");
	field(":authority", "h");
	headers(END_HEADERS, 1);
	field(":method", "CONNECT");
	field(":authority", "other:443");
	headers(END_HEADERS, 3);
	sent(DIR_IN);
	index_of(8);
	headers(END_HEADERS, 1);
	index_of(8);
	headers(END_HEADERS, 3);
	sent(DIR_OUT);
	next();
	ck_assert_uint_eq(ev->end, APPMON_END_UPGRADED);
	ck_assert_uint_eq(ev->method, APPMON_METHOD_CONNECT);
	ck_assert_str_eq(ev->path.data, "/chat");
	ck_assert_str_eq(ev->authority.data, "h");
	ck_assert_uint_eq(ev->flags, APPMON_EVF_UPGRADED);
	next();
	ck_assert_uint_eq(ev->end, APPMON_END_UPGRADED);
	ck_assert_str_eq(ev->path.data, "");
	ck_assert_str_eq(ev->authority.data, "other:443");
	frame(DATA, 0, 1, "any", 3);
	sent(DIR_IN);
	nothing();
}
END_TEST

START_TEST(heads_of_streams)
{
	teardown();
	begin(APPMON_OPEN_STREAM_HEADS);
	client_begins();
	get(1, "/events");
	index_of(8);
	headers(END_HEADERS, 1);
	sent(DIR_OUT);
	next();
	ck_assert_uint_eq(ev->end, APPMON_END_AT_HEAD);
	ck_assert_str_eq(ev->path.data, "/events");
	frame(DATA, 0, 1, "data", 4);
	field("x-request-id", "1");
	headers(WHOLE, 1);
	sent(DIR_OUT);
	nothing();
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
}
END_TEST

/* ---- gRPC ------------------------------------------------------------------------------------ */

static void call(uint32_t stream, const char *path)
{
	index_of(3);
	field(":path", path);
	field("content-type", "application/grpc+proto");
	field("te", "trailers");
	headers(END_HEADERS, stream);
}

START_TEST(unary)
{
	client_begins();
	call(1, "/pkg.Greeter/SayHello");
	frame(DATA, END_STREAM, 1, "\0\0\0\0\3abc", 8);
	sent(DIR_IN);
	index_of(8);
	field("content-type", "application/grpc");
	headers(END_HEADERS, 1);
	frame(DATA, 0, 1, "\0\0\0\0\2ab", 7);
	field("grpc-status", "0");
	headers(WHOLE, 1);
	sent(DIR_OUT);
	complete(1, "/pkg.Greeter/SayHello", 200);
	ck_assert_str_eq(ev->system.data, "grpc");
	ck_assert_str_eq(ev->operation.data, "pkg.Greeter/SayHello");
	ck_assert_uint_eq(ev->operation_type, APPMON_OP_CALL);
	ck_assert_str_eq(ev->resource.data, "");
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_OK);
	ck_assert_str_eq(ev->status_text.data, "OK");
	ck_assert_int_eq(ev->status_number, 0);
	ck_assert_int_eq(ev->request_items, 1);
	ck_assert_int_eq(ev->response_items, 1);

	/* Trailers only. */
	call(3, "/pkg.Greeter/Gone");
	frame(DATA, END_STREAM, 3, "\0\0\0\0\0", 5);
	sent(DIR_IN);
	index_of(8);
	field("content-type", "application/grpc");
	field("grpc-status", "5");
	field("grpc-message", "no%20such%20th%C3%AFng%2");
	headers(WHOLE, 3);
	sent(DIR_OUT);
	complete(3, "/pkg.Greeter/Gone", 200);
	ck_assert_str_eq(ev->status_text.data, "NOT_FOUND");
	ck_assert_str_eq(ev->message.data, "no such th\xc3\xafng%2");
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert_int_eq(ev->response_items, 0);
}
END_TEST

/* Messages that begin with a frame, or are cut by frames, can be counted; several in one, where the
 * second prefix is not copied, cannot. */
START_TEST(streaming)
{
	client_begins();
	call(1, "/s/M");
	for (int i = 0; i < 3; i++)
		frame(DATA, 0, 1, "\0\0\0\0\14abcdefghijkl", 17);
	frame(DATA, 0, 1, "\0\0\0", 3);
	frame(DATA, END_STREAM, 1, "\0\1x", 3);
	sent(DIR_IN);
	index_of(8);
	field("content-type", "application/grpc");
	headers(END_HEADERS, 1);
	frame(DATA, 0, 1, "\0\0\0\0\14abcdefghijkl\0\0\0\0\1x", 23);
	field("grpc-status", "14");
	field("grpc-message", "down");
	headers(WHOLE, 1);
	sent(DIR_OUT);
	complete(1, "/s/M", 200);
	ck_assert_int_eq(ev->request_items, 4);
	ck_assert_int_eq(ev->response_items, -1);
	ck_assert_str_eq(ev->status_text.data, "UNAVAILABLE");
	ck_assert_str_eq(ev->message.data, "down");
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_SERVER_ERROR);
	/* A deadline on the client's side: it gives up. */
	call(3, "/s/Slow");
	frame(RST_STREAM, 0, 3, "\0\0\0\10", 4);
	sent(DIR_IN);
	next();
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_CANCELLED);
	ck_assert_str_eq(ev->system.data, "grpc");
}
END_TEST

/* ---- met in the middle, and losses ----------------------------------------------------------- */

/* The path of the second request was indexed before; the one of the third came since. */
START_TEST(late)
{
	fresh = false;
	index_of(2);
	indexed_field(":path", "/new");
	headers(WHOLE, 11);
	index_of(2);
	index_of(70);
	headers(WHOLE, 13);
	index_of(2);
	index_of(62);
	headers(WHOLE, 15);
	sent(DIR_IN);
	for (uint32_t id = 11; id <= 15; id += 2) {
		index_of(8);
		headers(WHOLE, id);
	}
	sent(DIR_OUT);
	complete(11, "/new", 200);
	ck_assert(!(ev->flags & APPMON_EVF_PARTIAL));
	complete(13, "", 200);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	ck_assert_uint_eq(ev->method, APPMON_METHOD_GET);
	complete(15, "/new", 200);
	ck_assert(!(ev->flags & APPMON_EVF_PARTIAL));
}
END_TEST

/* Met between its preface and its first request: a listening socket took what was before. */
START_TEST(late_by_the_preface)
{
	fresh = false;
	index_of(2);
	indexed_field(":path", "/new");
	headers(WHOLE, 1);
	sent(DIR_IN);
	frame(SETTINGS, 0, 0, "\0\3\0\0\0\144", 6);
	frame(SETTINGS, 1, 0, "", 0);
	frame(WINDOW_UPDATE, 0, 0, "\0\0\1\0", 4);
	sent(DIR_OUT);
	index_of(8);
	indexed_field("content-type", "text/new");
	headers(WHOLE, 1);
	sent(DIR_OUT);
	complete(1, "/new", 200);
	ck_assert_uint_eq(ev->flags, 0);
	/* The encoder has one entry, and there is no older one. */
	index_of(2);
	index_of(62);
	headers(WHOLE, 3);
	index_of(2);
	index_of(63);
	headers(WHOLE, 5);
	sent(DIR_IN);
	index_of(8);
	index_of(62);
	headers(WHOLE, 3);
	index_of(8);
	headers(WHOLE, 5);
	sent(DIR_OUT);
	complete(3, "/new", 200);
	ck_assert_uint_eq(ev->flags, 0);
	next();
	ck_assert_uint_eq(ev->key, 5);
	ck_assert_uint_eq(ev->path.len, 0);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
}
END_TEST

/* The first request of stream 1 is none of a connection's begin if answers came before it. */
START_TEST(late_with_answers_before)
{
	fresh = false;
	ok(9, "a");
	next();
	index_of(2);
	indexed_field(":path", "/new");
	headers(WHOLE, 11);
	index_of(2);
	index_of(63);
	headers(WHOLE, 13);
	sent(DIR_IN);
	ok(11, "");
	ok(13, "");
	complete(11, "/new", 200);
	complete(13, "", 200);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
}
END_TEST

/* Answers to requests from before. */
START_TEST(later)
{
	fresh = false;
	ok(9, "a");
	next();
	ck_assert_uint_eq(ev->key, 9);
	ck_assert_uint_eq(ev->status, 200);
	ck_assert(ev->flags & APPMON_EVF_MID_MESSAGE);
	ck_assert_uint_eq(ev->role, APPMON_ROLE_SERVER);
	ok(7, "b");
	next();
	ck_assert_uint_eq(ev->key, 7);
	get(11, "/a");
	ok(11, "c");
	complete(11, "/a", 200);
	ck_assert_uint_eq(ev->flags, 0);
}
END_TEST

/* Bytes with a request in them pass uncaptured. */
START_TEST(loss)
{
	client_begins();
	index_of(2);
	indexed_field(":path", "/a");
	headers(WHOLE, 1);
	sent(DIR_IN);
	index_of(2);
	indexed_field(":path", "/b");
	headers(WHOLE, 3);
	give(DIR_IN, wire, 0, wire_len);
	wire_len = 0;
	for (uint32_t id = 5; id <= 9; id += 2) {
		index_of(2);
		if (id == 5)
			index_of(62);
		else
			field(":path", "/c");
		headers(WHOLE, id);
	}
	sent(DIR_IN);
	for (uint32_t id = 1; id <= 9; id += 2)
		ok(id, "");
	complete(1, "/a", 200);
	ck_assert(ev->flags & APPMON_EVF_GAP);
	/* 3 is below the last that began: its answer is not told as another's. */
	complete(5, "", 200);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	complete(7, "/c", 200);
	complete(9, "/c", 200);
	ck_assert(!(ev->flags & (APPMON_EVF_PARTIAL | APPMON_EVF_GAP)));
}
END_TEST

/* A call, as the client of a connection sends it that was met in the middle: its path and its
 * content-type have been indexed before. */
static void late_call(uint32_t stream)
{
	index_of(3);
	index_of(80);
	index_of(81);
	headers(END_HEADERS, stream);
	frame(DATA, END_STREAM, stream, "\0\0\0\0\3abc", 8);
	sent(DIR_IN);
}

/* Nothing says that these are calls but what may be grpc-status, indexed before. */
START_TEST(late_calls)
{
	fresh = false;
	/* Trailers only. */
	late_call(11);
	index_of(8);
	index_of(70);
	index_of(71);
	headers(WHOLE, 11);
	sent(DIR_OUT);
	complete(11, "", 200);
	ck_assert_str_eq(ev->system.data, "");
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_UNKNOWN);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	/* Trailers behind a message. */
	late_call(13);
	index_of(8);
	index_of(70);
	headers(END_HEADERS, 13);
	frame(DATA, 0, 13, "\0\0\0\0\2ab", 7);
	index_of(71);
	headers(WHOLE, 13);
	sent(DIR_OUT);
	complete(13, "", 200);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_UNKNOWN);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	/* A status that comes in full makes it a call; what was counted before is not known. */
	late_call(15);
	index_of(8);
	index_of(70);
	headers(END_HEADERS, 15);
	indexed_field("grpc-status", "5");
	headers(WHOLE, 15);
	sent(DIR_OUT);
	complete(15, "", 200);
	ck_assert_str_eq(ev->system.data, "grpc");
	ck_assert_str_eq(ev->status_text.data, "NOT_FOUND");
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_CLIENT_ERROR);
	ck_assert_int_eq(ev->request_items, -1);
	ck_assert_int_eq(ev->response_items, 0);
	/* And so does the one that has been indexed since. */
	late_call(17);
	index_of(8);
	index_of(71);
	index_of(62);
	headers(WHOLE, 17);
	sent(DIR_OUT);
	complete(17, "", 200);
	ck_assert_str_eq(ev->status_text.data, "NOT_FOUND");
	/* Nor is there a field of gRPC's that is known. */
	late_call(19);
	index_of(8);
	index_of(71);
	field("content-type", "application/grpc");
	headers(WHOLE, 19);
	sent(DIR_OUT);
	complete(19, "", 200);
	ck_assert_str_eq(ev->system.data, "grpc");
	ck_assert_str_eq(ev->status_text.data, "");
	ck_assert_int_eq(ev->status_number, -1);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_UNKNOWN);
}
END_TEST

/* What cannot be a call has HTTP's outcome, whatever is not known of it. */
START_TEST(late_and_no_calls)
{
	fresh = false;
	/* GET */
	index_of(2);
	index_of(80);
	headers(WHOLE, 11);
	sent(DIR_IN);
	index_of(8);
	index_of(70);
	headers(WHOLE, 11);
	sent(DIR_OUT);
	complete(11, "", 200);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_OK);
	/* By its content-type. */
	late_call(13);
	index_of(8);
	index_of(70);
	field("content-type", "text/plain");
	headers(WHOLE, 13);
	sent(DIR_OUT);
	complete(13, "", 200);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_OK);
	/* It has no content-type. */
	late_call(15);
	index_of(8);
	headers(END_HEADERS, 15);
	index_of(70);
	headers(WHOLE, 15);
	sent(DIR_OUT);
	complete(15, "", 200);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_OK);
	/* Calls end with a header block. */
	late_call(17);
	index_of(8);
	index_of(70);
	headers(END_HEADERS, 17);
	frame(DATA, END_STREAM, 17, "ab", 2);
	sent(DIR_OUT);
	complete(17, "", 200);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_OK);
}
END_TEST

/* ---- hostile input --------------------------------------------------------------------------- */

START_TEST(continuation_flood)
{
	static uint8_t junk[16384];
	uint64_t held;

	client_begins();
	index_of(2);
	headers(END_STREAM, 1);
	sent(DIR_IN);
	held = p.pl.pool.held;
	for (int i = 0; i < 40; i++) {
		frame(CONTINUATION, 0, 1, junk, sizeof(junk));
		sent(DIR_IN);
	}
	ck_assert_uint_le(p.pl.pool.held, held + 4 * 65536 + 65536);
	frame(CONTINUATION, END_HEADERS, 1, junk, 1);
	sent(DIR_IN);
	ok(1, "");
	complete(1, "", 200);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	/* The connection goes on. */
	get(3, "/a");
	ok(3, "");
	complete(3, "/a", 200);
}
END_TEST

/* A field of 4 KB, told a thousand times by one byte each. */
START_TEST(header_bomb)
{
	static char value[4000];

	memset(value, 'x', sizeof(value) - 1);
	client_begins();
	index_of(2);
	field(":path", "/bomb");
	indexed_field("user-agent", value);
	for (int i = 0; i < 1000; i++)
		index_of(62);
	headers(WHOLE, 1);
	sent(DIR_IN);
	ok(1, "");
	complete(1, "/bomb", 200);
	ck_assert(ev->flags & APPMON_EVF_TRUNCATED);
	ck_assert_uint_le(p.pl.pool.held, 1 << 19);
}
END_TEST

/* RFC 7541 section 6.3: a size below 31 is one byte. */
static void size_of_31(uint32_t more)
{
	byte(0x3f);
	for (; more > 127; more >>= 7)
		byte((more & 127) | 128);
	byte(more);
}

/* The encoder empties its table and grows it beyond what is kept, as often as it likes: what it still
 * has is told, nothing else, and memory stays bounded. */
START_TEST(table_sizes)
{
	static char value[3000];

	memset(value, 'x', sizeof(value) - 1);
	client_begins();
	get(1, "/a");
	index_of(2);
	indexed_field(":path", "/indexed");
	headers(WHOLE, 3);
	for (uint32_t i = 0; i < 1000; i++)
		byte(0x20);
	size_of_31(4096 - 31);
	index_of(2);
	index_of(62);
	headers(WHOLE, 5);
	sent(DIR_IN);
	for (uint32_t id = 1; id <= 5; id += 2)
		ok(id, "");
	complete(1, "/a", 200);
	complete(3, "/indexed", 200);
	/* The entry is gone: this is no block. */
	complete(5, "", 200);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	for (uint32_t i = 0; i < 100; i++) {
		byte(0x20);
		size_of_31(1U << 30);
		index_of(2);
		for (uint32_t n = 0; n < 4; n++)
			indexed_field("x-large", value);
		indexed_field(":path", "/large");
		headers(WHOLE, 7 + 4 * i);
		index_of(2);
		index_of(62);
		headers(WHOLE, 9 + 4 * i);
		sent(DIR_IN);
		ck_assert_uint_le(p.pl.pool.held, 1 << 20);
		ok(9 + 4 * i, "");
		ok(7 + 4 * i, "");
		complete(9 + 4 * i, "/large", 200);
		next();
	}
}
END_TEST

/* Blocks that are none: the streams are told, without fields. */
START_TEST(bad_block)
{
	client_begins();
	frame(HEADERS, WHOLE, 1, "\200", 1);
	sent(DIR_IN);
	ok(1, "");
	complete(1, "", 200);
	ck_assert(ev->flags & APPMON_EVF_PARTIAL);
	frame(HEADERS, WHOLE | PADDED, 3, "\377\202", 2);
	sent(DIR_IN);
	ok(3, "");
	complete(3, "", 200);
	/* A response whose head cannot be read is one all the same. */
	get(5, "/a");
	frame(HEADERS, WHOLE, 5, "\200", 1);
	sent(DIR_OUT);
	complete(5, "/a", 0);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_UNKNOWN);
	ck_assert(!(ev->flags & APPMON_EVF_NO_RESPONSE));
}
END_TEST

START_TEST(rapid_reset)
{
	client_begins();
	for (uint32_t i = 0; i < 10000; i++) {
		index_of(2);
		index_of(4);
		headers(WHOLE, 2 * i + 1);
		frame(RST_STREAM, 0, 2 * i + 1, "\0\0\0\10", 4);
		sent(DIR_IN);
		next();
		ck_assert_uint_eq(ev->end, APPMON_END_ABANDONED);
	}
	ck_assert_uint_eq(p.pl.stats.delivered, 10001);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {one,
				      many,
				      interleaved_bodies,
				      frames_of_all_kinds,
				      given_up,
				      push,
				      tunnels,
				      interim_responses_and_trailers,
				      unary,
				      streaming,
				      heads_of_streams,
				      late,
				      late_by_the_preface,
				      late_with_answers_before,
				      late_calls,
				      late_and_no_calls,
				      later,
				      loss,
				      continuation_flood,
				      header_bomb,
				      table_sizes,
				      bad_block,
				      rapid_reset,
				      server_speaks_first,
				      NULL};

	return unit_run("http2", tests, setup, teardown);
}
