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

int main(void)
{
	const TTest *const tests[] = {preface, preface_alone, deferred, NULL};

	return unit_run("http2-wire", tests, setup, talk_end);
}
