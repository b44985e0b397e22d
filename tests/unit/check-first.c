/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands first: methods that are any token (RFC 9110 section 9.1), the PROXY protocol
 * (haproxy's proxy-protocol.txt), answers without a status line, heads longer than the capture,
 * requests that come when there was an answer already; and what other protocols begin with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2];
static const struct appmon_event *ev;
static uint32_t records; /* that were written */

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void begin(const struct appmon_opts *opts)
{
	struct sim_opts so = {.target = 1, .slot = 0, .cgroup_id = 4242, .no_resp = true};

	fixture_init(&p, opts);
	so.capture = p.target[0].capture;
	so.protocols = opts->protocols;
	sim_start(&so);
}

static void connection(bool active)
{
	sim_forget(sk);
	sk = sim_connect(active, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
}

static void setup(void)
{
	begin(&(struct appmon_opts){0});
	connection(false);
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	sim_forget(sk);
	sk = NULL;
	sim_stop();
	fixture_free(&p);
}

static void pump(void)
{
	const void *rec;
	size_t size;

	while ((rec = sim_record(&size))) {
		ck_assert(fixture_record(&p, rec, size));
		records++;
	}
	ck_assert(fixture_adds_up(&p));
}

static void bytes(int dir, const void *data, size_t len, uint32_t flags)
{
	sim_now_ns += 1000000;
	sim_packet(sk, dir, next_pos[dir], data, (uint32_t)len, flags);
	pump();
	next_pos[dir] += len;
}

static void say(int dir, const char *text)
{
	bytes(dir, text, strlen(text), SIM_PSH);
}

static void in(const char *text)
{
	say(DIR_IN, text);
}

static void out(const char *text)
{
	say(DIR_OUT, text);
}

static void close_both(void)
{
	bytes(DIR_OUT, NULL, 0, SIM_FIN);
	bytes(DIR_IN, NULL, 0, SIM_FIN);
	sim_close(sk);
	pump();
}

static void nothing(void)
{
	ck_assert_ptr_null(fixture_event(&p));
}

static void told(const char *method, const char *path, uint32_t status)
{
	ev = fixture_event(&p);
	ck_assert_msg(ev, "no event for %s %s", method, path);
	ck_assert_str_eq(ev->operation.data, method);
	ck_assert_str_eq(ev->path.data, path);
	ck_assert_uint_eq(ev->status, status);
}

/* Seen: delivered, and so many dropped. */
static void counted(uint64_t delivered, uint64_t dropped)
{
	ck_assert_uint_eq(p.pl.stats.delivered, delivered);
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, delivered + dropped);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
}

/* ---- methods ---------------------------------------------------------------------------- */

static void method_works(const char *method, bool active)
{
	int ask = active ? DIR_OUT : DIR_IN;
	char request[1200];

	for (int first = 1; first >= 0; first--) {
		connection(active);
		if (!first) {
			say(ask, GET("/before"));
			say(!ask, OK);
			told("GET", "/before", 200);
		}
		snprintf(request, sizeof(request), "%s /m HTTP/1.1\r\nHost: h\r\n\r\n", method);
		say(ask, request);
		say(!ask, OK);
		told(method, "/m", 200);
		say(ask, GET("/after"));
		say(!ask, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
		told("GET", "/after", 404);
		nothing();
	}
}

static const char tchars[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
			     "stuvwxyz";

START_TEST(any_method)
{
	static const char *const methods[] = {
		"get",	    "patch",  "Get",  "M2",	"X",	 "x",	     "HT",
		"HTM",	    "HTTX",   "HTTP", "HTTPX",	"HTTPS", "HEADER",   "GET1",
		"GE",	    "a-b",    "SSH",  "PRIX",	"PROXY", "PROX",     "PROXYING",
		"M-SEARCH", "POSTED", "V1.0", "prefix", "H",	 "CONNECTED"};
	char name[3] = "", longer[1001];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		method_works(methods[i], false);
		method_works(methods[i], true);
	}
	/* "*1" and its like begin a command of RESP, which this kernel looks for. */
	for (size_t i = 0; i < sizeof(tchars) - 1; i++) {
		name[0] = tchars[i];
		for (size_t k = 0; k < sizeof(tchars) - 1; k++) {
			name[1] = tchars[k];
			if (name[0] != '*')
				method_works(name, i & 1);
		}
	}
	for (size_t len = 1; len <= 1000; len += len < 20 ? 1 : 49) {
		memset(longer, len & 1 ? 'L' : 'l', len);
		longer[len] = '\0';
		method_works(longer, false);
		n++;
	}
	ck_assert_uint_gt(n, 30);
}
END_TEST

/* Cut at any byte, and both the first and a later one. */
START_TEST(method_cut)
{
	static const char *const methods[] = {"get", "Get", "HTML", "HTTPX", "x", "PATCH", "m2"};
	char request[100];

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		int len = snprintf(request, sizeof(request), "%s /m HTTP/1.1\r\nHost: h\r\n\r\n",
				   methods[i]);

		for (int cut = 1; cut < len; cut++) {
			connection(false);
			for (int k = 0; k < 3; k++) {
				bytes(DIR_IN, request, (size_t)cut, SIM_PSH);
				bytes(DIR_IN, request + cut, (size_t)(len - cut), SIM_PSH);
				out(OK);
				told(methods[i], "/m", 200);
			}
			nothing();
		}
	}
}
END_TEST

/* A response to HEAD has no body, wherever the method was cut. */
START_TEST(head_cut)
{
	static const char request[] = "HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n";

	for (size_t cut = 1; cut < sizeof(request) - 1; cut++) {
		connection(false);
		for (int k = 0; k < 3; k++) {
			in(GET("/before"));
			out(OK);
			told("GET", "/before", 200);
			bytes(DIR_IN, request, cut, SIM_PSH);
			bytes(DIR_IN, request + cut, sizeof(request) - 1 - cut, SIM_PSH);
			out("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n");
			told("HEAD", "/h", 200);
			in(GET("/behind"));
			out(OK);
			told("GET", "/behind", 200);
		}
		nothing();
		/* Nor does it look like pipelining, for which all bytes would be captured. */
		ck_assert(!list_entry(p.flows.idle.next, struct conn, link)->wide);
	}
}
END_TEST

START_TEST(method_pipelined)
{
	in("get /1 HTTP/1.1\r\nHost: h\r\n\r\nHTx /2 HTTP/1.1\r\nHost: h\r\n\r\n"
	   "q /3 HTTP/1.1\r\nHost: h\r\n\r\n");
	out(OK OK "HTTP/1.1 201 C\r\nContent-Length: 0\r\n\r\n");
	told("get", "/1", 200);
	told("HTx", "/2", 200);
	told("q", "/3", 201);
	in("pUt /4 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyget /5 HTTP/1.1\r\n\r\n");
	out(OK OK);
	told("pUt", "/4", 200);
	ck_assert_uint_eq(ev->request_body_bytes, 4);
	told("get", "/5", 200);
	nothing();
	counted(5, 0);
}
END_TEST

/* ---- what other protocols begin with ------------------------------------------------------ */

/* Bytes that other protocols send first; `silent` ones are not even looked at by the reader. */
static const struct {
	const char *bytes;
	size_t len;
	bool silent;
} others[] = {
#define SILENT(text)                                                                               \
	{                                                                                          \
		text, sizeof(text) - 1, true                                                       \
	}
#define WORD(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1, false                                                      \
	}
	SILENT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	SILENT("\x16\x03\x03\x00\x7a\x02\x00\x00\x76"),
	SILENT("\x80\x2e\x01\x03\x01\x00\x15"),
	SILENT("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
	SILENT("SSH-1.99-Cisco-1.25\n"),
	SILENT("\x4a\x00\x00\x00\x0a"
	       "8.0.36\x00"),
	SILENT("\x00\x00\x00\x08\x04\xd2\x16\x2f"),
	SILENT("\x00\x00\x00\x29\x00\x03\x00\x00user\x00me\x00"),
	SILENT("\x3a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00"),
	SILENT("ping\r\n"),
	SILENT("get key\r\n"),
	SILENT("get /a/path HTTP\r\n"),
	SILENT("set key 0 0 5\r\nhello\r\n"),
	SILENT("mg key v\r\n"),
	SILENT("version\r\n"),
	SILENT("220 mail.example.org ESMTP Postfix\r\n"),
	SILENT("ehlo me\r\n"),
	SILENT("helo me\r\nmail from:<a@b>\r\n"),
	SILENT("a1 login user word\r\n"),
	SILENT("a001 CAPABILITY\r\n"),
	SILENT("nick me\r\nuser me 0 * :me\r\n"),
	SILENT("+OK ready\r\n"),
	SILENT("-ERR no\r\n"),
	SILENT("$5\r\nhello\r\n"),
	SILENT(":100\r\n"),
	SILENT("{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n"),
	SILENT("<?xml version=\"1.0\"?><stream:stream>"),
	SILENT("pub subject 5\r\nhello\r\n"),
	SILENT("options rtsp://h/ RTSP/1.0\r\n\r\n"),
	SILENT("register sip:h SIP/2.0\r\n\r\n"),
	SILENT("\x04\x00\x00\x00\x05\x00\x00\x00\x16"),
	SILENT("\x10\x0e\x00\x04MQTT\x04\x02"),
	SILENT("\x30\x0c\x02\x01\x01\x60\x07"),
	SILENT("\x03\x00\x00\x13\x0e\xe0\x00\x00"),
	SILENT("\x05\x01\x00"),
	SILENT("\x00\x00\x00\x00\x00\x12\x00\x03"),
	SILENT("\x00\x1d\x01\x20\x00\x01\x00\x00"),
	SILENT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
	SILENT("\xff\xfd\x18\xff\xfd\x20"),
	SILENT("@RSYNCD: 31.0\n"),
	WORD("JRMI\x00\x02K"),
	WORD("RFB 003.008\n"),
	SILENT("\x13"
	       "BitTorrent protocol"),
	SILENT("stats\n"),
	SILENT("my.metric.name 42 1700000000\n"),
	SILENT("metric:1|c\n"),
	/* Upper-case words are taken for methods until the answer. */
	WORD("EHLO me\r\n"),
	WORD("HELO me\r\n"),
	WORD("NICK me\r\nUSER me 0 * :me\r\n"),
	WORD("USER anonymous\r\n"),
	WORD("PING\r\n"),
	WORD("CONNECT {\"verbose\":false}\r\nPING\r\n"),
	WORD("OPTIONS rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
	WORD("INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n"),
	WORD("AMQP\x00\x00\x09\x01"),
	WORD("STAT\r\n"),
};

static void other(const void *data, size_t len, bool silent, const char *answer)
{
	uint32_t before;

	connection(false);
	before = records;
	bytes(DIR_IN, data, len, SIM_PSH);
	ck_assert_msg(!silent || records == before, "\"%.8s\" is looked at", (const char *)data);
	out(answer);
	/* Given up: whatever comes now costs nothing. */
	before = records;
	bytes(DIR_IN, data, len, SIM_PSH);
	in(GET("/hidden"));
	out(OK);
	ck_assert_msg(records == before, "\"%.8s\" is not given up", (const char *)data);
}

static void all_others(uint32_t protocols)
{
	static const char *const answers[] = {"\1\2\3\4", "+OK\r\n", "250 mail\r\n",
					      "\x15\x03\x01\0\2", "RTSP/1.0 200 OK\r\n\r\n"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if ((protocols & 1U << APPMON_PROTO_HTTP2) && !strncmp(others[i].bytes, "PRI ", 4))
			continue;
		/* PostgreSQL's SSLRequest. */
		if ((protocols & 1U << APPMON_PROTO_POSTGRESQL) &&
		    !memcmp(others[i].bytes, "\0\0\0\10\4\xd2", 6))
			continue;
		for (size_t k = 0; k < sizeof(answers) / sizeof(answers[0]); k++)
			other(others[i].bytes, others[i].len, others[i].silent, answers[k]);
	}
	nothing();
	ck_assert_uint_eq(p.pl.stats.delivered, 0);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
}

START_TEST(other_protocols)
{
	all_others(0);
}
END_TEST

static const struct appmon_opts with_frames = {
	.protocols = 1U << APPMON_PROTO_HTTP1 | 1U << APPMON_PROTO_HTTP2 |
		     1U << APPMON_PROTO_POSTGRESQL | 1U << APPMON_PROTO_MYSQL};

/* Likewise where protocols with frames are looked for. */
START_TEST(other_protocols_with_frames)
{
	fixture_free(&p);
	begin(&with_frames);
	all_others(with_frames.protocols);
}
END_TEST

/* Nor is any of it a statement, or what answers one, where a connection is met in the middle. */
static void met_in_the_middle(bool active, const void *data, size_t len)
{
	int ask = active ? DIR_OUT : DIR_IN;

	connection(active);
	sim_detached = true;
	bytes(ask, "before", 6, SIM_PSH);
	bytes(!ask, "before", 6, SIM_PSH);
	sim_detached = false;
	for (int i = 0; i < 3; i++) {
		bytes(ask, data, len, SIM_PSH);
		bytes(!ask, "\2\1\1\1\1\1\1\1", 8, SIM_PSH);
	}
}

START_TEST(others_in_the_middle)
{
	uint64_t seed = 88172645463325252ULL;
	uint8_t data[64];

	fixture_free(&p);
	begin(&with_frames);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strncmp(others[i].bytes, "PRI ", 4) &&
		    memcmp(others[i].bytes, "\0\0\0\10\4\xd2", 6))
			met_in_the_middle(i & 1, others[i].bytes, others[i].len);
	for (uint32_t i = 0; i < 200000; i++) {
		size_t len = 1 + i % sizeof(data);

		for (size_t k = 0; k < len; k++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			/* Numbers that are small, little and big endian, between them. */
			data[k] = i & 4 && k % 4 != (i & 8 ? 3 : 0) ? 0 : (uint8_t)(seed >> 24);
		}
		met_in_the_middle(i & 2, data, len);
	}
	nothing();
	ck_assert_uint_eq(p.pl.stats.delivered, 0);
}
END_TEST

/* Random bytes, and TLS: no event, and most are not even looked at. */
START_TEST(random_first_bytes)
{
	uint64_t seed = 88172645463325252ULL, looked;
	uint8_t data[64];

	records = 0;
	for (uint32_t i = 0; i < 1000000; i++) {
		size_t len = 1 + i % sizeof(data);

		for (size_t k = 0; k < len; k++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			data[k] = (uint8_t)(seed >> 24);
		}
		if (i & 1)
			memcpy(data, "\x16\x03\x01", len < 3 ? len : 3);
		connection(i & 2);
		bytes(i & 2 ? DIR_OUT : DIR_IN, data, len, SIM_PSH);
		bytes(i & 2 ? DIR_IN : DIR_OUT, "\2\1\1\1\1\1\1\1", 8, SIM_PSH);
		if (i % 1000 == 0)
			nothing();
	}
	nothing();
	looked = records;
	ck_assert_uint_eq(p.pl.stats.delivered, 0);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
	/* One in a hundred: of one or two bytes too little can be told. */
	ck_assert_uint_lt(looked, 30000);
}
END_TEST

/* ---- the PROXY protocol ---------------------------------------------------------------------- */

struct header {
	char b[70000];
	uint32_t len;
};

static void v2(struct header *h, int command, int family, uint32_t extra)
{
	static const uint8_t v4[12] = {192, 0, 2, 7, 192, 0, 2, 8, 0x9c, 0x41, 0, 80};
	uint32_t size = family == 1 ? 12 : family == 2 ? 36 : family == 3 ? 216 : 0;
	uint32_t len = size + extra;

	memset(h->b, 'T', sizeof(h->b));
	memcpy(h->b, "\r\n\r\n\0\r\nQUIT\n", 12);
	h->b[12] = (char)(0x20 | command);
	h->b[13] = (char)(family << 4 | !!family);
	h->b[14] = (char)(len >> 8);
	h->b[15] = (char)len;
	if (family == 1) {
		memcpy(h->b + 16, v4, sizeof(v4));
	} else if (family == 2) {
		memset(h->b + 16, 0, 36);
		memcpy(h->b + 16, "\x20\x01\x0d\xb8", 4);
		h->b[31] = 9;
		memcpy(h->b + 48, "\x9c\x42\0P", 4);
	} else if (family == 3) {
		memset(h->b + 16, 0, 216);
		strcpy(h->b + 16, "/run/x.sock");
	}
	h->len = 16 + len;
}

static void client_is(int family, const void *addr, uint16_t port)
{
	ck_assert_uint_eq(ev->client.family, family);
	ck_assert_uint_eq(ev->client.port, port);
	if (family)
		ck_assert_mem_eq(ev->client.addr, addr, family == 4 ? 4 : 16);
}

/* Sent in pieces of `piece` bytes, then another request. */
static void proxied(const char *header, uint32_t len, uint32_t piece, bool active, int family,
		    const void *addr, uint16_t port)
{
	static const char first[] = "HEAD /first HTTP/1.1\r\nHost: h\r\n\r\n";
	static char all[80000];
	uint32_t total = len + sizeof(first) - 1;
	int ask = active ? DIR_OUT : DIR_IN;

	memcpy(all, header, len);
	memcpy(all + len, first, sizeof(first) - 1);
	connection(active);
	for (uint32_t at = 0; at < total; at += piece)
		bytes(ask, all + at, at + piece < total ? piece : total - at, SIM_PSH);
	say(!ask, "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n");
	told("HEAD", "/first", 200);
	client_is(family, addr, port);
	ck_assert_uint_eq(ev->ordinal, 1);
	ck_assert_uint_eq(ev->request_head_bytes, sizeof(first) - 1);
	ck_assert_uint_eq(ev->request_body_bytes, 0);
	ck_assert_uint_eq(ev->flags, APPMON_EVF_KEEP_ALIVE);
	say(ask, GET("/second"));
	say(!ask, OK);
	told("GET", "/second", 200);
	client_is(family, addr, port);
	ck_assert_uint_eq(ev->flags, APPMON_EVF_KEEP_ALIVE);
	nothing();
}

static void proxied_any(const char *header, uint32_t len, int family, const void *addr,
			uint16_t port)
{
	for (uint32_t cut = 1; cut < len + 20 && cut < 400; cut++)
		proxied(header, len, cut, cut & 1, family, addr, port);
	proxied(header, len, len, false, family, addr, port);
	proxied(header, len, len, true, family, addr, port);
	proxied(header, len, 100000, false, family, addr, port);
	proxied(header, len, 100000, true, family, addr, port);
	proxied(header, len, 1448, false, family, addr, port);
}

START_TEST(proxy_line)
{
	static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1},
			     ones[16] = {255, 255, 255, 255, 255, 255, 255, 255,
					 255, 255, 255, 255, 255, 255, 255, 255};
	/* The longest that the specification has: 107 bytes. */
	static const char longest[] = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
				      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
	static const char longest6[] = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
				       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
#define LINE(text, family, addr, port)                                                             \
	proxied_any("PROXY " text "\r\n", sizeof("PROXY " text "\r\n") - 1, family, addr, port)

	LINE("TCP4 192.0.2.1 192.0.2.2 40000 80", 4, "\xc0\0\2\1", 40000);
	LINE("TCP6 2001:db8::1 2001:db8::2 1 65535", 6, v6, 1);
	LINE("UNKNOWN", 0, NULL, 0);
	LINE("UNKNOWN ffff::1 ffff::2 1 2", 0, NULL, 0);
	LINE("TCP4 not.an.address 192.0.2.2 40000 80", 0, NULL, 0);
	ck_assert_uint_eq(sizeof(longest) - 1, 107);
	proxied_any(longest, sizeof(longest) - 1, 0, NULL, 0);
	proxied_any(longest6, sizeof(longest6) - 1, 6, ones, 65535);
}
END_TEST

START_TEST(proxy_binary)
{
	static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};
	static const uint32_t extra[] = {0, 1, 7, 200, 1000, 4060, 4080, 5000, 20000, 65000};
	static struct header h;

	for (size_t i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
		v2(&h, 1, 1, extra[i]);
		proxied_any(h.b, h.len, 4, "\xc0\0\2\7", 0x9c41);
		v2(&h, 1, 2, extra[i]);
		proxied_any(h.b, h.len, 6, v6, 0x9c42);
		v2(&h, 1, 3, extra[i]);
		proxied_any(h.b, h.len, 0, NULL, 0);
		v2(&h, 0, 0, extra[i]); /* LOCAL: a health check of the proxy */
		proxied_any(h.b, h.len, 0, NULL, 0);
		v2(&h, 0, 1, extra[i]);
		proxied_any(h.b, h.len, 0, NULL, 0);
		v2(&h, 1, 0, extra[i]);
		proxied_any(h.b, h.len, 0, NULL, 0);
	}
}
END_TEST

/* A pipeline behind it, with a body; and the smallest capture. */
START_TEST(proxy_pipelined)
{
	static struct header h;
	static char all[8000];

	for (int small = 0; small < 2; small++) {
		teardown();
		begin(&(struct appmon_opts){.capture_bytes = small ? 128 : 0});
		for (int version = 1; version <= 2; version++) {
			if (version == 2)
				v2(&h, 1, 1, 300);
			else
				h.len = (uint32_t)sprintf(
					h.b, "PROXY TCP4 192.0.2.7 192.0.2.8 40001 80\r\n");
			memcpy(all, h.b, h.len);
			strcpy(all + h.len, "POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody" GET(
						    "/2") GET("/3"));
			connection(false);
			bytes(DIR_IN, all, h.len + strlen(all + h.len), SIM_PSH);
			out(OK OK OK);
			told("POST", "/1", 200);
			ck_assert_uint_eq(ev->request_body_bytes, 4);
			told("GET", "/2", 200);
			told("GET", "/3", 200);
			client_is(4, "\xc0\0\2\7", 40001);
			nothing();
		}
	}
}
END_TEST

/* What looks like a header and is none; and what is no HTTP behind one. */
START_TEST(proxy_not)
{
	in("PROXY / HTTP/1.1\r\nHost: h\r\n\r\n");
	out(OK);
	told("PROXY", "/", 200);
	client_is(0, NULL, 0);
	connection(false);
	in("\r\n\r\n" GET("/blank"));
	out(OK);
	told("GET", "/blank", 200);
	other("PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\n\x16\x03\x01\x02\x00\x01", 47, false,
	      "\x16\x03\x03\x00\x7a\x02");
	connection(false);
	in("PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\n");
	in("\x16\x03\x01\x02\x01\x01\x01\x01");
	records = 0;
	in("\x16\x03\x01\x02\x01\x01\x01\x01");
	out("\x16\x03\x01\x02\x01\x01\x01\x01");
	ck_assert_uint_eq(records, 0);
	/* A health check. */
	connection(false);
	in("PROXY UNKNOWN\r\n");
	close_both();
	nothing();
	counted(2, 0);
	ck_assert_uint_eq(p.pl.stats.connections_seen, 2);
}
END_TEST

/* It met the listening socket. */
START_TEST(proxy_deferred)
{
	static const char both[] = "PROXY TCP4 192.0.2.7 192.0.2.8 40001 80\r\n" GET("/d");

	sim_listener_packet(sk, 0, both, sizeof(both) - 1);
	next_pos[DIR_IN] = sizeof(both) - 1;
	out(OK);
	told("GET", "/d", 200);
	client_is(4, "\xc0\0\2\7", 40001);
	in(GET("/e"));
	out(OK);
	told("GET", "/e", 200);
	client_is(4, "\xc0\0\2\7", 40001);
}
END_TEST

/* ---- answers without a status line ---------------------------------------------------------- */

START_TEST(odd_answers)
{
	static const char *const answers[] = {"ICY 200 OK\r\nicy-name: a\r\n\r\nxxxx",
					      "<html>hello</html>",
					      "hello",
					      "h",
					      "H",
					      "\n",
					      "HTT",
					      "HTTPS? no\r\n",
					      "200 OK\r\n\r\n",
					      "\x89PNG\r\n\x1a\n",
					      "SOURCETABLE 200 OK\r\n",
					      "GET / HTTP/1.1\r\n\r\n"};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		for (int active = 0; active < 2; active++) {
			int ask = active ? DIR_OUT : DIR_IN;
			uint64_t seen = p.pl.stats.connections_seen;

			connection(active);
			say(ask, "GET /odd HTTP/1.0\r\n\r\n");
			say(!ask, answers[i]);
			for (int k = 0; k < 3; k++)
				say(!ask, "more of the same, of many bytes");
			bytes(!ask, NULL, 0, SIM_FIN);
			told("GET", "/odd", 0);
			ck_assert_msg(ev->end == APPMON_END_COMPLETE, "%s: %s", answers[i],
				      appmon_end_name(ev->end));
			ck_assert_msg(ev->flags & APPMON_EVF_NO_STATUS_LINE, "%s", answers[i]);
			ck_assert(!(ev->flags & (APPMON_EVF_NO_RESPONSE | APPMON_EVF_GAP)));
			ck_assert_uint_eq(ev->response_body_bytes, strlen(answers[i]) + 3 * 31);
			ck_assert_uint_gt(ev->response_start_ns, ev->request_end_ns);
			bytes(ask, NULL, 0, SIM_FIN);
			sim_close(sk);
			pump();
			nothing();
			ck_assert_uint_eq(p.pl.stats.connections_seen, seen + 1);
		}
	}
}
END_TEST

/* It goes on being looked at. */
START_TEST(odd_answer_and_next)
{
	for (int i = 0; i < 3; i++) {
		connection(i == 1);
		say(i == 1 ? DIR_OUT : DIR_IN, GET("/odd"));
		say(i == 1 ? DIR_IN : DIR_OUT, "ICY 200 OK\r\n\r\nmusic");
		if (i == 2)
			for (int k = 0; k < 20; k++)
				out("more music, and more of it");
		for (int k = 0; k < 5; k++) {
			say(i == 1 ? DIR_OUT : DIR_IN, GET("/next"));
			if (!k) {
				told("GET", "/odd", 0);
				ck_assert(ev->flags & APPMON_EVF_NO_STATUS_LINE);
			}
			say(i == 1 ? DIR_IN : DIR_OUT, OK);
			told("GET", "/next", 200);
			ck_assert_uint_eq(ev->ordinal, (uint64_t)k + 2);
			ck_assert(!(ev->flags & APPMON_EVF_GAP));
		}
		nothing();
	}
	counted(18, 0);
}
END_TEST

/* ---- heads longer than the capture ----------------------------------------------------------- */

static char stream[400000];
static size_t stream_len;
static unsigned int asked;

static void put_request(size_t padding, size_t body)
{
	stream_len +=
		(size_t)sprintf(stream + stream_len, "POST /%u HTTP/1.1\r\nCookie: ", asked++);
	memset(stream + stream_len, 'c', padding);
	stream_len += padding;
	stream_len += (size_t)sprintf(stream + stream_len, "\r\nContent-Length: %zu\r\n\r\n", body);
	memset(stream + stream_len, 'G', body);
	stream_len += body;
}

START_TEST(long_heads_pipelined)
{
	static const uint32_t pieces[] = {1448, 16384, 65000, 100000, 997};
	static const size_t paddings[] = {0, 100, 5000, 9000, 20000};
	static const uint32_t captures[] = {128, 1000, 4096, 8192};
	char path[16];

	for (unsigned int mix = 0; mix < 5 * 5 * 5; mix++) {
		const size_t pad[] = {paddings[mix % 5], paddings[mix / 5 % 5], paddings[mix / 25]};
		size_t body = mix % 3 == 1 ? 10 : mix % 3 == 2 ? 3000 : 0;

		for (unsigned int k = 0; k < 20; k++) {
			uint32_t piece = pieces[k % 5], capture = captures[k / 5];
			size_t head[3], at = 0;

			teardown();
			begin(&(struct appmon_opts){.capture_bytes = capture});
			connection(k & 1);
			stream_len = 0;
			asked = 0;
			for (int i = 0; i < 3; i++) {
				put_request(pad[i], body);
				head[i] = stream_len - at - body;
				at = stream_len;
			}
			for (at = 0; at < stream_len; at += piece)
				bytes(k & 1 ? DIR_OUT : DIR_IN, stream + at,
				      stream_len - at < piece ? stream_len - at : piece, SIM_PSH);
			say(k & 1 ? DIR_IN : DIR_OUT,
			    OK OK "HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n");
			for (int i = 0; i < 3; i++) {
				sprintf(path, "/%d", i);
				told("POST", path, i == 2 ? 404 : 200);
				ck_assert_uint_eq(ev->request_head_bytes, head[i]);
				ck_assert_uint_eq(ev->request_body_bytes, body);
				ck_assert_uint_eq(!!(ev->flags & APPMON_EVF_TRUNCATED),
						  head[i] > capture);
				ck_assert(!(ev->flags & APPMON_EVF_GAP));
			}
			nothing();
			say(k & 1 ? DIR_OUT : DIR_IN, GET("/after"));
			say(k & 1 ? DIR_IN : DIR_OUT, OK);
			told("GET", "/after", 200);
			counted(4, 0);
		}
	}
}
END_TEST

/* ---- requests that had their answer --------------------------------------------------------- */

#define TIMEOUT "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

/* A request, part of the next, their answers, then more bytes of it: two exchanges. */
START_TEST(partial_pipelined)
{
	static const char part[] = "GET /part HTTP/1.1\r\nHost: h\r\nX-Slow: 1\r\n";

	for (size_t n = 1; n <= sizeof(part) - 1; n++) {
		for (int how = 0; how < 8; how++) {
			char both[200];
			uint64_t seen = p.pl.stats.exchanges_seen;

			connection(false);
			memcpy(both, GET("/whole"), strlen(GET("/whole")));
			memcpy(both + strlen(GET("/whole")), part, n);
			bytes(DIR_IN, both, strlen(GET("/whole")) + n, SIM_PSH);
			if (how & 1) {
				out(OK TIMEOUT);
			} else {
				out(OK);
				out(TIMEOUT);
			}
			if (how & 2)
				bytes(DIR_OUT, NULL, 0, SIM_FIN);
			for (int k = 0; how & 4 && k < 5; k++)
				in(k & 1 ? "X-a: b\r\n" : "COOKIE: b\r\n");
			close_both();
			told("GET", "/whole", 200);
			ev = fixture_event(&p);
			if (ev)
				ck_assert_msg(ev->status == 408, "%zu bytes, %d: %u", n, how,
					      ev->status);
			nothing();
			ck_assert_msg(p.pl.stats.exchanges_seen == seen + 2, "%zu bytes, %d: %d", n,
				      how, (int)(p.pl.stats.exchanges_seen - seen));
			ck_assert_uint_eq(p.pl.stats.outstanding, 0);
		}
	}
}
END_TEST

/* Slowloris: a head that never ends. One exchange, whatever is sent after the answer. */
START_TEST(slow_head)
{
	static const char *const drips[] = {"X-a: b\r\n",
					    "COOKIE: a\r\n",
					    "a",
					    "Z",
					    "GET",
					    "\r\n",
					    "X-LONG-NAME-OF-A-FIELD: 1\r\n",
					    "H"};

	for (size_t i = 0; i < sizeof(drips) / sizeof(drips[0]); i++) {
		for (int how = 0; how < 8; how++) {
			uint64_t seen = p.pl.stats.exchanges_seen;

			connection(false);
			if (how & 1) {
				in(GET("/first"));
				out(OK);
				told("GET", "/first", 200);
				seen++;
			}
			in("GET /slow HTTP/1.1\r\nHost: h\r\n");
			in("X-a: 1\r\n");
			out(TIMEOUT);
			if (how & 2)
				bytes(DIR_OUT, NULL, 0, SIM_FIN);
			if (how & 4) {
				sim_close(sk);
				pump();
			}
			for (int k = 0; k < 5; k++)
				in(drips[i]);
			bytes(DIR_IN, NULL, 0, SIM_RST);
			told("GET", "/slow", 408);
			nothing();
			ck_assert_msg(p.pl.stats.exchanges_seen == seen + 1, "%s, %d: %d", drips[i],
				      how, (int)(p.pl.stats.exchanges_seen - seen));
			ck_assert_uint_eq(p.pl.stats.outstanding, 0);
		}
	}
}
END_TEST

/* The server has shut the connection down, or closed it, before the request came. */
START_TEST(ordinals_are_unique)
{
	for (int how = 0; how < 8; how++) {
		uint64_t last = 0, id = 0;

		connection(false);
		for (int k = 0; k < 5; k++) {
			in(GET("/x"));
			if (k < 2)
				out(OK);
			if (k == 1) {
				bytes(DIR_OUT, NULL, 0, SIM_FIN);
				if (how & 1)
					sim_close(sk);
				pump();
			}
			if (k == 3 && how & 2)
				flows_expire(&p.flows, sim_now_ns + 7200 * NSEC_PER_SEC);
		}
		if (how & 4)
			sim_close(sk);
		pump();
		bytes(DIR_IN, NULL, 0, SIM_RST);
		for (int k = 0; k < 5; k++) {
			told("GET", "/x", k < 2 ? 200 : 0);
			ck_assert(!id || ev->connection_id == id);
			ck_assert_uint_gt(ev->ordinal, last);
			id = ev->connection_id;
			last = ev->ordinal;
		}
		nothing();
	}
}
END_TEST

START_TEST(ordinals_after_idle)
{
	uint64_t last = 0;

	for (int k = 0; k < 6; k++) {
		in(GET("/x"));
		out(OK);
		told("GET", "/x", 200);
		ck_assert_uint_gt(ev->ordinal, last);
		last = ev->ordinal;
		if (k % 3 == 2) {
			flows_expire(&p.flows, sim_now_ns + 7200 * NSEC_PER_SEC);
			sim_now_ns += 7200 * NSEC_PER_SEC;
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		any_method,	      method_cut,	   head_cut,
		method_pipelined,     other_protocols,	   other_protocols_with_frames,
		others_in_the_middle, random_first_bytes,  proxy_line,
		proxy_binary,	      proxy_pipelined,	   proxy_not,
		proxy_deferred,	      odd_answers,	   odd_answer_and_next,
		long_heads_pipelined, partial_pipelined,   slow_head,
		ordinals_are_unique,  ordinals_after_idle, NULL};

	return unit_run("first", tests, setup, teardown);
}
