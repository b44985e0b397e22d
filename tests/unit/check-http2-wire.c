/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2 from packets through the programs: how a connection begins. check-http2.c has the rest. */
#include <stdio.h>

#include "talk.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define SETTINGS_ACK "\0\0\0\4\1\0\0\0\0"
/* HEADERS of a stream, whole: GET / of http, and 200 (RFC 7541 appendix A). */
#define ASKS(stream) "\0\0\3\1\5\0\0\0" stream "\x82\x84\x86"
#define ANSWERS(stream) "\0\0\1\1\5\0\0\0" stream "\x88"

#define SAY(dir, text) message(dir, text, sizeof(text) - 1)

static uint32_t records;

static void count_records(void)
{
	size_t size;

	records = 0;
	while (sim_record(&size))
		records++;
}

static void setup(void)
{
	sk = NULL;
	talk_begin(&(struct appmon_opts){.protocols = 1U << APPMON_PROTO_HTTP1 |
						      1U << APPMON_PROTO_HTTP2});
}

static void told(uint64_t stream)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP2);
	ck_assert_uint_eq(ev->key, stream);
	ck_assert_str_eq(ev->path.data, "/");
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_eq(ev->flags, 0);
}

START_TEST(preface)
{
	for (cut = 0; cut < 70; cut += 23) {
		connection(true);
		SAY(DIR_IN, PREFACE SETTINGS ASKS("\1"));
		SAY(DIR_OUT, SETTINGS SETTINGS_ACK ANSWERS("\1"));
		told(1);
		SAY(DIR_IN, SETTINGS_ACK ASKS("\3"));
		SAY(DIR_OUT, ANSWERS("\3"));
		told(3);
		ck_assert_ptr_null(fixture_event(&p));
	}
}
END_TEST

/* Behind its preface there is no HTTP/2: the programs are told, and leave the connection alone. */
START_TEST(preface_alone)
{
	static const char *const others[] = {"and now for something else",
					     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
					     "GET / HTTP/1.1\r\nHost: h\r\n\r\n"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		for (int joined = 0; joined < 2; joined++) {
			char first[128];
			int n = snprintf(first, sizeof(first), PREFACE "%s", others[i]);

			connection(true);
			message(DIR_IN, first, joined ? (uint32_t)n : sizeof(PREFACE) - 1);
			if (!joined)
				message(DIR_IN, others[i], (uint32_t)strlen(others[i]));
			for (int turn = 0; turn < 3; turn++) {
				SAY(DIR_OUT, "what a server may say to that, whatever it is");
				SAY(DIR_IN, "and the client goes on with something like this");
			}
			sim_now_ns += 1000000;
			sim_packet(sk, DIR_IN, pos[DIR_IN], "more", 4, SIM_PSH);
			sim_packet(sk, DIR_OUT, pos[DIR_OUT], "more", 4, SIM_PSH);
			count_records();
			ck_assert_uint_eq(records, 0);
			ck_assert_ptr_null(fixture_event(&p));
			ck_assert_uint_eq(p.pl.stats.outstanding, 0);
		}
	}
}
END_TEST

/* The preface and the first request met the listening socket, as with deferred accept. */
START_TEST(deferred)
{
	static const char first[] = PREFACE SETTINGS ASKS("\1");
	static const char http1[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

	for (int i = 0; i < 8; i++) {
		connection(true);
		if (i & 1) { /* such a listening socket may serve HTTP/1, too */
			sim_listener_packet(sk, 0, http1, sizeof(http1) - 1);
			pos[DIR_IN] = sizeof(http1) - 1;
			SAY(DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
			ev = fixture_event(&p);
			ck_assert_ptr_nonnull(ev);
			ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP1);
			ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
			connection(true);
		}
		sim_listener_packet(sk, 0, first, sizeof(first) - 1);
		pos[DIR_IN] = sizeof(first) - 1;
		if (i & 2)
			SAY(DIR_OUT, SETTINGS);
		else
			SAY(DIR_OUT, SETTINGS SETTINGS_ACK ANSWERS("\1"));
		if (i & 4)
			SAY(DIR_IN, SETTINGS_ACK);
		if (i & 2)
			SAY(DIR_OUT, SETTINGS_ACK ANSWERS("\1"));
		told(1);
		SAY(DIR_IN, ASKS("\3"));
		SAY(DIR_OUT, ANSWERS("\3"));
		told(3);
		SAY(DIR_IN, ASKS("\5") ASKS("\7"));
		SAY(DIR_OUT, ANSWERS("\7") ANSWERS("\5"));
		told(7);
		told(5);
		ck_assert_ptr_null(fixture_event(&p));
	}
}
END_TEST

/* ---- HTTP/1.1 that turns into it (RFC 7540 section 3.2) --------------------------------------- */

#define UPGRADE                                                                                    \
	"GET /first HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"                \
	"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
#define SWITCHES "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

/* The first request has its head in HTTP/1.1 and its answer in HTTP/2. */
static void told_first(uint64_t body)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP2);
	ck_assert_uint_eq(ev->key, 1);
	ck_assert_str_eq(ev->path.data, "/first");
	ck_assert_str_eq(ev->authority.data, "h");
	ck_assert_uint_eq(ev->request_http_version, 11);
	ck_assert_uint_eq(ev->response_http_version, 20);
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_OK);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_eq(ev->flags, APPMON_EVF_CONTINUED);
	ck_assert_uint_eq(ev->response_body_bytes, body);
}

START_TEST(upgrade)
{
	for (int i = 0; i < 16; i++) {
		cut = i & 8 ? 17 : 0;
		connection(!(i & 4));
		if (i & 2) { /* not the first request of its connection */
			SAY(DIR_IN, "GET /before HTTP/1.1\r\nHost: h\r\n\r\n");
			SAY(DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
			ev = fixture_event(&p);
			ck_assert_ptr_nonnull(ev);
			ck_assert_str_eq(ev->path.data, "/before");
			ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP1);
		}
		SAY(DIR_IN, UPGRADE);
		if (i & 1) { /* the answer waits for the preface, or does not */
			SAY(DIR_OUT, SWITCHES SETTINGS);
			SAY(DIR_IN, PREFACE SETTINGS);
			SAY(DIR_OUT, SETTINGS_ACK ANSWERS("\1"));
		} else {
			SAY(DIR_OUT, SWITCHES);
			SAY(DIR_OUT, SETTINGS ANSWERS("\1"));
			SAY(DIR_IN, PREFACE SETTINGS);
			SAY(DIR_OUT, SETTINGS_ACK);
		}
		told_first(0);
		SAY(DIR_IN, SETTINGS_ACK ASKS("\3") ASKS("\5"));
		SAY(DIR_OUT, ANSWERS("\5") ANSWERS("\3"));
		told(5);
		told(3);
		SAY(DIR_IN, ASKS("\7"));
		SAY(DIR_OUT, ANSWERS("\7"));
		told(7);
		ck_assert_ptr_null(fixture_event(&p));
		ck_assert_uint_eq(p.pl.stats.outstanding, 0);
		ck_assert_uint_eq(p.pl.stats.tunnel_bytes, 0);
	}
}
END_TEST

/* What a server sends in front of the body, and how long a frame of that is. */
#define FIRST_FRAMES SETTINGS "\0\0\1\1\4\0\0\0\1\x88"
#define BODY_FRAME (9U + 16384)

/* DATA of stream 1, which the last one ends. Returns the bytes. */
static uint32_t put_body(char *to, int frames)
{
	for (int i = 0; i < frames; i++, to += BODY_FRAME) {
		memcpy(to, i == frames - 1 ? "\0\x40\0\0\1\0\0\0\1" : "\0\x40\0\0\0\0\0\0\1", 9);
		memset(to + 9, 'a' + i, BODY_FRAME - 9);
	}
	return (uint32_t)frames * BODY_FRAME;
}

/* The body begins before the client has turned, and goes on behind; segments cut its frames. */
START_TEST(upgrade_with_a_long_body)
{
	static const char head[] = SWITCHES FIRST_FRAMES;
	static char wire[200 << 10];
	uint32_t n = sizeof(head) - 1;

	memcpy(wire, head, n);
	n += put_body(wire + n, 8);
	for (int i = 0; i < 6; i++) {
		uint32_t before = 20000 + 9001 * (uint32_t)i, size = i & 1 ? 60000 : 1448;

		connection(true);
		SAY(DIR_IN, UPGRADE);
		cut = size;
		message(DIR_OUT, wire, before);
		SAY(DIR_IN, PREFACE SETTINGS);
		message(DIR_OUT, wire + before, n - before);
		cut = 0;
		told_first(8 * 16384);
		SAY(DIR_IN, SETTINGS_ACK ASKS("\3"));
		SAY(DIR_OUT, SETTINGS_ACK ANSWERS("\3"));
		told(3);
		/* The programs follow: of a long body they copy little. */
		SAY(DIR_IN, ASKS("\5"));
		sim_now_ns += 1000000;
		for (uint32_t at = 0; at < 16384; at += 1024) {
			sim_packet(sk, DIR_OUT, pos[DIR_OUT], wire + sizeof(head) - 1 + at, 1024,
				   0);
			pos[DIR_OUT] += 1024;
		}
		count_records();
		ck_assert_uint_le(records, 1);
	}
}
END_TEST

/* A body of 300,000 bytes comes faster than the reader. If the client has turned before the server's
 * first frame, the programs know where that begins: they copy little. */
START_TEST(upgrade_before_the_reader_comes)
{
	static const char first[] = FIRST_FRAMES;
	static char wire[400 << 10];
	uint32_t n = sizeof(first) - 1;
	uint64_t from;

	memcpy(wire, first, n);
	n += put_body(wire + n, 20);
	for (int i = 0; i < 8; i++) {
		const bool faster = i & 1;
		const uint32_t before = faster ? 0 : 20000; /* the client's turn */

		mirrored = i & 4;
		connection(true);
		SAY(DIR_IN, UPGRADE);
		SAY(DIR_OUT, SWITCHES);
		cut = i & 2 ? 1448 : 32768;
		away = true;
		from = record_bytes;
		message(DIR_OUT, wire, before);
		SAY(DIR_IN, PREFACE SETTINGS);
		message(DIR_OUT, wire + before, n - before);
		away = false;
		cut = 0;
		pump();
		if (faster)
			ck_assert_uint_le(record_bytes - from, 16384);
		told_first(20 * 16384);
		SAY(DIR_IN, SETTINGS_ACK ASKS("\3"));
		SAY(DIR_OUT, SETTINGS_ACK ANSWERS("\3"));
		told(3);
		ck_assert_ptr_null(fixture_event(&p));
	}
}
END_TEST

/* 101 to something else, or where HTTP/2 is not looked for: a tunnel, as ever. */
START_TEST(other_upgrades)
{
	static const char websocket[] =
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
		"Upgrade: websocket\r\n\r\n";

	for (int i = 0; i < 2; i++) {
		if (i) {
			talk_end();
			talk_begin(&(struct appmon_opts){.protocols = 1U << APPMON_PROTO_HTTP1});
		}
		connection(true);
		SAY(DIR_IN, UPGRADE);
		if (i)
			SAY(DIR_OUT, SWITCHES SETTINGS);
		else
			SAY(DIR_OUT, websocket);
		ev = fixture_event(&p);
		ck_assert_ptr_nonnull(ev);
		ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP1);
		ck_assert_uint_eq(ev->end, APPMON_END_UPGRADED);
		ck_assert_uint_eq(ev->status, 101);
		SAY(DIR_IN, PREFACE SETTINGS ASKS("\3"));
		SAY(DIR_OUT, ANSWERS("\1") ANSWERS("\3"));
		ck_assert_ptr_null(fixture_event(&p));
	}
}
END_TEST

/* The connection ends before the answer. */
START_TEST(upgrade_and_no_answer)
{
	SAY(DIR_IN, UPGRADE);
	SAY(DIR_OUT, SWITCHES SETTINGS);
	SAY(DIR_IN, PREFACE SETTINGS);
	sim_packet(sk, DIR_OUT, pos[DIR_OUT], "", 0, SIM_FIN);
	pump();
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_str_eq(ev->path.data, "/first");
	ck_assert_uint_eq(ev->status, 0);
	ck_assert_uint_eq(ev->end, APPMON_END_CLOSED);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_NO_RESPONSE);
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {preface,
				      preface_alone,
				      deferred,
				      upgrade,
				      upgrade_with_a_long_body,
				      upgrade_before_the_reader_comes,
				      other_upgrades,
				      upgrade_and_no_answer,
				      NULL};

	return unit_run("http2-wire", tests, setup, talk_end);
}
