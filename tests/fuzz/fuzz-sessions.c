/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for plaintext of TLS libraries' calls that is joined with sockets. The input decides
 * which of some connections speaks, how requests and responses are cut into calls, whether bytes leave
 * inside of a call or later, which calls and records are lost, when a session's address is used again,
 * when another handshake renews its randoms, and when silence is looked for.
 *
 * Always: the counters add up, and a response is told with its own request: its length says which that
 * is. If all was told, each request that was answered is one event, on its own connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "tls-wire.h"

#define ENDS 3
#define OVERHEAD 17
#define ASKED_MAX 400

static const uint8_t *input;
static size_t input_left;
static struct fixture p;
static uint8_t seed; /* of the next handshake */
static bool exact;
static uint32_t asked, answered, told;
static uint64_t cookie_of[ASKED_MAX];

static struct end {
	struct wire w;
	struct rec_plain call; /* what its calls have in common */
	bool old;	       /* TLS 1.2 */
	uint64_t pos[2];
	uint32_t first, next; /* requests that have no answer yet: first .. next - 1 */
} ends[ENDS];

static unsigned int choose(unsigned int n)
{
	unsigned int value = 0;

	for (unsigned int range = 1; range < n && input_left; range <<= 8, input_left--)
		value = value << 8 | *input++;
	return value % n;
}

static uint32_t put_record(uint8_t *to, uint8_t type, uint32_t len)
{
	const uint8_t head[5] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};

	memcpy(to, head, sizeof(head));
	return 5 + len;
}

static void segment(struct end *e, int dir, const uint8_t *bytes, uint32_t len)
{
	if (choose(64) == 1) {
		sim_lose++;
		exact = false;
	}
	wire_segment(&e->w, dir, bytes, len, choose(2) ? SIM_PSH : 0);
}

static void records(struct end *e, int dir, uint32_t len)
{
	static uint8_t b[1 << 16];
	uint32_t most = 1 + choose(16384), n = len < most ? len : most;

	if (choose(4))
		n = len;
	if (n)
		segment(e, dir, b, put_record(b, 23, n + OVERHEAD));
	if (len > n)
		segment(e, dir, b, put_record(b, 23, len - n + OVERHEAD));
}

/* TLS 1.2: keys, change_cipher_spec and Finished of both. */
static void keys(struct end *e)
{
	uint8_t b[128] = {0};

	for (int dir = DIR_IN; dir <= DIR_OUT; dir++) {
		segment(e, dir, b, put_record(b, 22, 100));
		segment(e, dir, b, put_record(b, 20, 1));
		segment(e, dir, b, put_record(b, 22, 40));
	}
}

static void handshake(struct end *e)
{
	static const uint8_t client_end[] = {0, 0, 2, 0x13, 1, 1, 0, 0, 7, 0, 43, 0, 3, 2, 3, 4};
	static const uint8_t server_end[] = {0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4};
	uint8_t b[128] = {0};

	seed += 2;
	for (int server = 0; server < 2; server++) {
		/* Without extensions it is TLS 1.2. */
		const uint32_t n = server ? (e->old ? 4 : sizeof(server_end))
					  : (e->old ? 6 : sizeof(client_end));
		uint8_t *tag = server ? e->call.tag.server : e->call.tag.client;

		memset(b, 0, sizeof(b));
		b[5] = (uint8_t)(1 + server);
		b[8] = (uint8_t)(34 + n);
		b[9] = b[10] = 3;
		memset(b + 11, seed + server, 32);
		memset(tag, seed + server, TLS_TAG_BYTES);
		memcpy(b + 43, server ? server_end : client_end, n);
		wire_segment(&e->w, server ? DIR_OUT : DIR_IN, b, put_record(b, 22, 38 + n),
			     SIM_PSH);
	}
	if (e->old)
		keys(e);
	else
		wire_segment(&e->w, DIR_IN, b, put_record(b, 23, 36 + OVERHEAD), SIM_PSH);
	e->pos[DIR_IN] = e->pos[DIR_OUT] = 0;
	e->call.lost_before += e->call.lost;
	e->call.lost = 0;
	e->call.since_ns = 1;
}

/* Another handshake on the connection, once its session is known. */
static void renew(struct end *e)
{
	if (!e->old || !e->pos[DIR_IN])
		return;
	keys(e);
	seed += 2;
	memset(e->call.tag.client, seed, TLS_TAG_BYTES);
	memset(e->call.tag.server, seed + 1, TLS_TAG_BYTES);
	e->pos[DIR_IN] = e->pos[DIR_OUT] = 0;
	e->call.lost_before += e->call.lost;
	e->call.lost = 0;
}

static void connect_again(struct end *e)
{
	/* Its answers are still to come, or never will. */
	if (e->first != e->next)
		exact = false;
	e->first = e->next = asked;
	e->old = choose(2);
	wire_begin(&e->w, false);
	handshake(e);
}

/* One call, of whose bytes so many were copied. */
static void call(struct end *e, int dir, const char *bytes, uint32_t len, uint32_t captured,
		 uint64_t entry_ns)
{
	static struct {
		struct rec_call call;
		char bytes[REC_BYTES_MAX];
	} rec;
	struct rec_plain *r = &rec.call.plain;

	sim_now_ns += 1000;
	*r = e->call;
	r->flags = dir == DIR_OUT ? PLAIN_OUT : 0;
	r->pos = e->pos[dir];
	r->entry_ns = entry_ns;
	r->len = r->whole = len;
	r->captured = captured;
	e->pos[dir] += len;
	if (choose(64) == 1) {
		e->call.lost++;
		exact = false;
		return;
	}
	memcpy(rec.bytes, bytes, captured);
	rec.call.hdr = (struct rec_hdr){.version = REC_VERSION,
					.kind = REC_PLAIN,
					.size = (uint32_t)sizeof(rec.call) + captured,
					.order_ns = sim_now_ns};
	CHECK(fixture_record(&p, &rec, sizeof(rec.call) + captured));
}

/* A message passes, in one call or in several. */
static void message(struct end *e, int dir, const char *bytes, uint32_t len)
{
	uint64_t entry_ns = sim_now_ns + 1;
	const bool later = dir == DIR_OUT && choose(2);
	uint32_t most = choose(3) ? len : 1 + choose(len);

	if (!later)
		records(e, dir, len);
	for (uint32_t at = 0, n; at < len; at += n) {
		n = len - at < most ? len - at : most;
		call(e, dir, bytes + at, n, n, entry_ns);
	}
	if (later)
		records(e, dir, len);
}

static void ask(struct end *e)
{
	char text[64];

	if (asked == ASKED_MAX || e->next != asked || e->next - e->first > choose(3))
		return; /* its requests are numbered in a row */
	cookie_of[asked] = sim_cookie(e->w.sk);
	snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", asked++);
	e->next = asked;
	message(e, DIR_IN, text, (uint32_t)strlen(text));
}

static void answer(struct end *e)
{
	char text[64 + ASKED_MAX];
	uint32_t body;
	int n;

	if (e->first == e->next)
		return;
	body = e->first++;
	n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", body);
	memset(text + n, 'H', body);
	message(e, DIR_OUT, text, (uint32_t)n + body);
	answered++;
}

static void take_events(void)
{
	const struct appmon_event *ev;

	while ((ev = fixture_event(&p))) {
		uint32_t number = (uint32_t)atoi(ev->path.len ? ev->path.data + 1 : "0");

		if (ev->protocol != APPMON_PROTO_HTTP1)
			continue;
		if (ev->path.len && ev->end == APPMON_END_COMPLETE) {
			CHECK(number < asked);
			CHECK(ev->connection_id == cookie_of[number]);
			CHECK(!ev->status || ev->response_body_bytes <= number);
			CHECK(ev->end != APPMON_END_COMPLETE || !ev->status ||
			      ev->response_body_bytes == number);
		}
		told += ev->path.len && ev->status && ev->end == APPMON_END_COMPLETE;
	}
}

static void step(struct end *e)
{
	switch (choose(16)) {
	case 1:
		connect_again(e);
		break;
	case 2:
		records(e, DIR_OUT, 200 + choose(100)); /* a ticket */
		break;
	case 3:
		flows_expire(&p.flows, sim_now_ns + choose(10) * NSEC_PER_SEC);
		exact = false; /* what waits is given up */
		break;
	case 10:
		renew(e);
		break;
	case 4 ... 9:
		if (e->first == e->next)
			e->first = e->next = asked;
		ask(e);
		break;
	default:
		answer(e);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct appmon_opts opts = {.flags = APPMON_OPEN_TLS,
						.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_TLS};

	input = data;
	input_left = len;
	sim_lose = 0;
	seed = 0;
	asked = answered = told = 0;
	exact = true;
	fixture_init(&p, &opts);
	for (int i = 0; i < ENDS; i++) {
		struct end *e = &ends[i];

		memset(e, 0, sizeof(*e));
		if (!i)
			wire_start(&e->w, &p);
		e->w.p = &p;
		sim_owner = (struct rec_owner){
			.source = OWNER_SENT, .sender_pid = 100, .sender_tid = 101};
		e->call.session = 0x1000 * (1 + (uint64_t)i);
		e->call.tgid = 100;
		e->call.tid = 101;
		connect_again(e);
	}
	for (unsigned int steps = choose(200); steps && seed < 250; steps--) {
		step(&ends[choose(ENDS)]);
		if (!choose(4))
			take_events();
	}
	for (int i = 0; i < ENDS; i++)
		while (ends[i].first != ends[i].next)
			answer(&ends[i]);
	take_events();
	if (exact)
		CHECK(told == answered);
	CHECK(fixture_adds_up(&p));
	for (int i = 1; i < ENDS; i++)
		sim_forget(ends[i].w.sk);
	wire_stop(&ends[0].w);
	fixture_free(&p);
	sim_owner = (struct rec_owner){0};
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	static uint8_t data[4096];

	return fuzz_main(argc, argv, 5000, data, 16, sizeof(data));
}
#endif
