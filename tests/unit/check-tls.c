/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS on the wire, from segments to events. The conversations in tests/corpus/tls are those of real
 * libraries, recorded by a relay; what is expected of them comes from the scenes that
 * tests/corpus/tls/record plays, and from what `openssl s_client` and the like print.
 */
#include <stdio.h>
#include <string.h>

#include "protocol/tls/hello.h"
#include "tls-wire.h"
#include "unit.h"

#define MANY 200000

static struct fixture p;
static struct wire w;
static const struct appmon_event *ev;

static void setup(void)
{
	static const struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_TLS};

	fixture_init(&p, &opts);
	wire_start(&w, &p);
	wire_begin(&w, false);
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	wire_stop(&w);
	fixture_free(&p);
}

static bool is(struct appmon_str str, const char *text)
{
	return str.len == strlen(text) && !memcmp(str.data, text, str.len) && !str.data[str.len];
}

/* ---- conversations of real libraries --------------------------------------------------------- */

struct scene {
	const char *file, *name, *offered, *alpn;
	uint32_t version, cipher, flags;
	uint32_t exchanges;
	uint32_t request, response; /* bytes of each exchange but the first's response */
	uint32_t first_response;    /* with tickets, which come before it */
	const char *alert;	    /* of a handshake that failed */
	uint32_t outcome;
};

#define AES_256 0x1302
#define AES_128 0x1301
#define ECDSA_AES_256 0xc02c

static const struct scene scenes[] = {
	{"openssl-1.3", "openssl.test", "h2,http/1.1", "", TLS_1_3, AES_256, 0, 3, 50, 160, 160,
	 NULL, 0},
	{"openssl-1.3-aes128", "openssl.test", "", "", TLS_1_3, AES_128, 0, 2, 50, 160, 160, NULL,
	 0},
	{"openssl-1.2", "openssl.test", "h2,http/1.1", "http/1.1", TLS_1_2, ECDSA_AES_256, 0, 3, 57,
	 174, 174, NULL, 0},
	{"openssl-1.2-cbc", "openssl.test", "", "", TLS_1_2, 0xc009, 0, 2, 73, 210, 210, NULL, 0},
	{"openssl-retry", "openssl.test", "", "", TLS_1_3, AES_256, APPMON_TLS_RETRY, 2, 50, 160,
	 160, NULL, 0},
	{"openssl-mutual", "openssl.test", "", "", TLS_1_3, AES_256, 0, 2, 50, 160, 160, NULL, 0},
	{"gnutls-1.3", "gnutls.test", "", "", TLS_1_3, AES_256, 0, 2, 50, 160, 160, NULL, 0},
	{"gnutls-1.2", "gnutls.test", "", "", TLS_1_2, ECDSA_AES_256, 0, 2, 57, 174, 174, NULL, 0},
	/* The tickets come before, between and behind the first request. */
	{"curl", "curl.test", "h2,http/1.1", "", TLS_1_3, AES_256, 0, 3, 96, 160, 160 + 2 * 271,
	 NULL, 0},
	{"node", "node.test", "", "", TLS_1_3, AES_256, 0, 3, 88, 160, 160 + 2 * 255, NULL, 0},
	{"go", "go.test", "", "", TLS_1_3, AES_256, 0, 3, 119, 160, 160 + 255, NULL, 0},
	{"go-1.2", "go.test", "", "", TLS_1_2, ECDSA_AES_256, 0, 3, 126, 174, 174, NULL, 0},
	{"jdk-server", "curl.test", "h2,http/1.1", "", TLS_1_3, AES_256, 0, 3, 96, 156, 156 + 695,
	 NULL, 0},
	{"openssl-refuses-1.3", "openssl.test", "", "", TLS_1_3, AES_256, 0, 0, 0, 0, 0,
	 "unknown_ca", APPMON_OUTCOME_SERVER_ERROR},
	{"openssl-refuses-1.2", "openssl.test", "", "", TLS_1_2, ECDSA_AES_256, 0, 0, 0, 0, 0,
	 "unknown_ca", APPMON_OUTCOME_SERVER_ERROR},
	/* The client's alert is encrypted. */
	{"gnutls-refuses", "gnutls.test", "", "", TLS_1_3, AES_256, 0, 0, 0, 0, 0, "",
	 APPMON_OUTCOME_SERVER_ERROR},
	{"go-refuses", "go.test", "", "", TLS_1_3, AES_256, 0, 0, 0, 0, 0, "",
	 APPMON_OUTCOME_SERVER_ERROR},
	/* The server's hello did not come: the version is what the client offers at most. */
	{"openssl-old-version", "openssl.test", "", "", TLS_1_2, 0, 0, 0, 0, 0, 0,
	 "protocol_version", APPMON_OUTCOME_CLIENT_ERROR},
};

/* How a conversation is cut into segments: as recorded, or into so many bytes; what each side says
 * until the other speaks is one then. */
static uint8_t said[MANY];

/* to: room for MANY. */
static size_t load(const char *file, uint8_t *to)
{
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tls/%s", getenv("TEST_CORPUS"), file);
	f = fopen(path, "rb");
	ck_assert_msg(f != NULL, "%s", path);
	n = fread(to, 1, MANY, f);
	fclose(f);
	ck_assert_uint_lt(n, MANY);
	return n;
}

static uint32_t number(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* client: it is the monitored end. cut 0: as recorded. */
static void play(const char *file, bool client, uint32_t cut)
{
	static uint8_t all[MANY];
	size_t n = load(file, all), at = 0;

	while (at < n) {
		int side = all[at], dir = side == client ? DIR_IN : DIR_OUT;
		uint32_t len = 0;

		while (at < n && all[at] == side) {
			uint32_t more = number(all + at + 1);

			memcpy(said + len, all + at + 5, more);
			len += more;
			at += 5 + more;
			if (!cut)
				break;
		}
		for (uint32_t from = 0; from < len; from += cut ? cut : len) {
			uint32_t rest = len - from;

			wire_segment(&w, dir, said + from, cut && cut < rest ? cut : rest, 0);
		}
	}
	wire_segment(&w, client ? DIR_OUT : DIR_IN, NULL, 0, SIM_FIN);
	wire_segment(&w, client ? DIR_IN : DIR_OUT, NULL, 0, SIM_FIN);
}

static void check_hellos(const struct scene *s)
{
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	ck_assert(is(ev->system, "tls"));
	ck_assert_msg(is(ev->tls_server_name, s->name), "%s", ev->tls_server_name.data);
	ck_assert(is(ev->resource, s->name));
	ck_assert_msg(is(ev->tls_alpn_offered, s->offered), "%s", ev->tls_alpn_offered.data);
	ck_assert_msg(is(ev->tls_alpn, s->alpn), "%s", ev->tls_alpn.data);
	ck_assert_uint_eq(ev->tls_version, s->version);
	ck_assert_uint_eq(ev->tls_cipher, s->cipher);
	ck_assert_uint_eq(ev->tls_flags, s->flags);
	/* HTTP's own members are empty. */
	ck_assert(is(ev->request_target, "") && is(ev->path, "") && is(ev->authority, ""));
}

static void check_scene(const struct scene *s, bool client)
{
	for (uint32_t i = 0; i < s->exchanges; i++) {
		ev = fixture_event(&p);
		ck_assert_msg(ev != NULL, "%s, exchange %u", s->file, i);
		check_hellos(s);
		ck_assert_uint_eq(ev->role, client ? APPMON_ROLE_CLIENT : APPMON_ROLE_SERVER);
		ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
		ck_assert_uint_eq(ev->request_bytes, s->request);
		ck_assert_uint_eq(ev->response_bytes, i ? s->response : s->first_response);
		ck_assert_uint_eq(!!(ev->flags & APPMON_EVF_AMBIGUOUS),
				  !i && s->version == TLS_1_3);
		ck_assert_uint_le(ev->request_start_ns, ev->request_end_ns);
		ck_assert_uint_lt(ev->request_end_ns, ev->response_start_ns);
		ck_assert_uint_le(ev->response_start_ns, ev->response_end_ns);
		ck_assert(is(ev->operation, "exchange"));
		ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_UNKNOWN);
	}
	if (s->alert) {
		ev = fixture_event(&p);
		ck_assert_ptr_nonnull(ev);
		check_hellos(s);
		ck_assert(is(ev->operation, "handshake"));
		ck_assert_uint_eq(ev->operation_type, APPMON_OP_SESSION);
		ck_assert_msg(is(ev->status_text, s->alert), "%s", ev->status_text.data);
		ck_assert_uint_eq(ev->outcome, s->outcome);
		ck_assert_uint_gt(ev->duration_ns, 0);
	}
	ck_assert_ptr_null(fixture_event(&p));
}

START_TEST(libraries)
{
	static const uint32_t cuts[] = {0, MANY, 6, 7, 100, 1448}; /* 6: what tells a hello */

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++)
			for (int client = 0; client < 2; client++) {
				/* Of what was recorded in one piece the order is that of turns. */
				wire_begin(&w, client);
				play(scenes[i].file, client, cuts[k]);
				check_scene(&scenes[i], client);
			}
}
END_TEST

/* The client's hello met the listening socket, as with deferred accept. */
START_TEST(deferred)
{
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		wire_begin(&w, false);
		w.deferred = true;
		play(scenes[i].file, false, 0);
		check_scene(&scenes[i], false);
	}
}
END_TEST

/* The client has no certificate, and speaks before the server has said that it wants one. */
START_TEST(refused_late)
{
	play("openssl-no-certificate", false, 0);
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->request_bytes, 50);
	ck_assert_uint_eq(ev->response_bytes, 0);
	ck_assert(ev->flags & APPMON_EVF_NO_RESPONSE);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_UNKNOWN);
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

/* ---- by hand --------------------------------------------------------------------------------- */

static void record(int dir, uint8_t type, uint32_t len)
{
	static uint8_t bytes[5 + 16384];

	memset(bytes, 0xa5, sizeof(bytes));
	bytes[0] = type;
	bytes[1] = bytes[2] = 3;
	bytes[3] = (uint8_t)(len >> 8);
	bytes[4] = (uint8_t)len;
	wire_segment(&w, dir, bytes, 5 + len, 0);
}

/* A client's hello and a server's, of TLS 1.2, without extensions. */
static void hellos(void)
{
	uint8_t client[5 + 4 + 41] = {22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3};
	uint8_t server[5 + 4 + 38] = {22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3};

	client[5 + 4 + 35 + 1] = 2; /* a cipher */
	client[5 + 4 + 35 + 4] = 1; /* a method */
	server[5 + 4 + 35] = 0xc0;
	server[5 + 4 + 36] = 0x2f;
	wire_segment(&w, DIR_IN, client, sizeof(client), 0);
	wire_segment(&w, DIR_OUT, server, sizeof(server), 0);
	record(DIR_IN, 20, 1);
	record(DIR_IN, 22, 40);
	record(DIR_OUT, 20, 1);
	record(DIR_OUT, 22, 40);
}

static void exchange(uint32_t request, uint32_t response, uint64_t flags)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	ck_assert_uint_eq(ev->request_bytes, request);
	ck_assert_uint_eq(ev->response_bytes, response);
	ck_assert_uint_eq(ev->flags, flags);
}

START_TEST(bursts)
{
	hellos();
	record(DIR_IN, 23, 100);
	record(DIR_IN, 23, 50);
	record(DIR_OUT, 23, 16384);
	record(DIR_OUT, 23, 16384);
	record(DIR_OUT, 23, 0);
	ck_assert_ptr_null(fixture_event(&p)); /* it may go on */
	record(DIR_IN, 23, 100);
	exchange(160, 2 * 16389 + 5, 0);
	ck_assert_uint_eq(ev->tls_version, TLS_1_2);
	ck_assert_uint_eq(ev->tls_cipher, 0xc02f);
	ck_assert(is(ev->tls_server_name, ""));
	wire_segment(&w, DIR_IN, NULL, 0, SIM_RST);
	exchange(105, 0, APPMON_EVF_NO_RESPONSE | APPMON_EVF_RESET_BY_PEER);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_CANCELLED);
}
END_TEST

/* An encrypted handshake inside the connection, and what ends it, are no data. */
START_TEST(renegotiation)
{
	hellos();
	record(DIR_IN, 23, 100);
	record(DIR_OUT, 22, 60);
	record(DIR_IN, 22, 300);
	record(DIR_OUT, 22, 1000);
	record(DIR_OUT, 23, 70);
	record(DIR_OUT, 21, 26);
	wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
	exchange(105, 75, 0);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
}
END_TEST

/* It closes, and no alert says why. */
START_TEST(abandoned)
{
	static uint8_t all[MANY];
	size_t n = load("openssl-1.3", all);

	ck_assert_uint_gt(n, 500);
	wire_segment(&w, DIR_IN, all + 5, number(all + 1), 0);
	wire_segment(&w, DIR_IN, NULL, 0, SIM_FIN);
	wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert(is(ev->operation, "handshake") && is(ev->tls_server_name, "openssl.test"));
	ck_assert(is(ev->status_text, ""));
	ck_assert_int_eq(ev->status_number, -1);
	ck_assert_uint_eq(ev->outcome, APPMON_OUTCOME_NO_RESPONSE);
	ck_assert_uint_eq(ev->end, APPMON_END_CLOSED);
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

/* A connection that was met in the middle, at a port whose protocol the host says. */
START_TEST(met_in_the_middle)
{
	struct appmon_port_hint hint = {80, APPMON_PROTO_TLS};
	uint8_t rest[100] = {0x17, 0x99};

	p.target[0].ports = &hint;
	p.target[0].port_count = 1;
	sim_hint(80, APPMON_PROTO_TLS);
	sim_detached = true;
	wire_segment(&w, DIR_IN, rest, sizeof(rest), 0);
	sim_detached = false;
	wire_segment(&w, DIR_OUT, rest, sizeof(rest), 0); /* inside a record */
	record(DIR_IN, 23, 100);
	record(DIR_OUT, 23, 200);
	record(DIR_IN, 23, 101);
	exchange(105, 205, 0);
	ck_assert_uint_eq(ev->tls_version, 0);
	record(DIR_OUT, 23, 201);
	wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
	exchange(106, 206, 0);
	p.target[0].port_count = 0;
}
END_TEST

/* The ring was full: what was open is not paired with what comes. */
START_TEST(lost)
{
	hellos();
	record(DIR_IN, 23, 100);
	sim_lose = 1;
	record(DIR_OUT, 23, 200);
	record(DIR_IN, 23, 101);
	exchange(105, 0, APPMON_EVF_NO_RESPONSE | APPMON_EVF_GAP);
	record(DIR_OUT, 23, 201);
	record(DIR_IN, 23, 102);
	exchange(106, 206, 0);
	wire_segment(&w, DIR_IN, NULL, 0, SIM_RST);
	exchange(107, 0, APPMON_EVF_NO_RESPONSE | APPMON_EVF_RESET_BY_PEER);
}
END_TEST

/* What begins like a record of TLS and is none. */
START_TEST(others)
{
	static const uint8_t wrong[] = {0x16, 3, 1, 0, 5, 2, 0, 0, 1, 0};
	struct tls_hello hello;
	static uint8_t all[MANY];
	size_t n = load("openssl-1.3", all);
	const uint8_t *message = all + 5 + 5;

	wire_segment(&w, DIR_IN, wrong, sizeof(wrong), 0);
	wire_segment(&w, DIR_IN, NULL, 0, SIM_RST);
	ck_assert_ptr_null(fixture_event(&p));
	ck_assert_uint_gt(n, 500);
	n = number(all + 1) - 5;
	ck_assert(tls_hello_parse(message, (uint32_t)n, &hello) && !hello.cut);
	ck_assert_uint_eq(hello.type, TLS_CLIENT_HELLO);
	ck_assert_uint_eq(hello.name.len, 12);
	for (uint32_t i = 0; i < n; i++)
		if (tls_hello_parse(message, i, &hello))
			ck_assert(hello.cut && i >= 38);
		else
			ck_assert_uint_lt(i, 38);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {libraries,     deferred,	refused_late,	   bursts,
				      renegotiation, abandoned, met_in_the_middle, lost,
				      others,	     NULL};

	return unit_run("tls", tests, setup, teardown);
}
