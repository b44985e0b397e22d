/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for TLS on the wire, from segments to events. The input decides about the version,
 * the handshake, the applications' records, where tickets come, how all is cut into segments, what
 * records find the ring full, and where bytes come that are no TLS.
 *
 * Always: the counters add up, and no exchange has more bytes than its connection. If everything came
 * through the ring, each burst of the client's with the server's answer is one event, with the bytes that
 * were sent: that is the model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "tls-wire.h"

#define BYTES_MAX (1 << 18)
#define TURNS_MAX 24
#define HELLO_MIN 6

static const uint8_t *input;
static size_t input_left;

static struct fixture p;
static struct wire w;
static uint8_t bytes[BYTES_MAX]; /* what the side that speaks is about to send */
static size_t made;
static uint64_t total[2];
static bool exact, new_version, sha384;
static struct {
	uint64_t request, response;
} turn[TURNS_MAX];
static unsigned int turns, told;

static unsigned int choose(unsigned int n)
{
	unsigned int value = 0;

	for (unsigned int range = 1; range < n && input_left; range <<= 8, input_left--)
		value = value << 8 | *input++;
	return value % n;
}

static void put(const uint8_t *data, size_t n)
{
	CHECK(made + n <= BYTES_MAX);
	memcpy(bytes + made, data, n);
	made += n;
}

/* Returns what it takes on the wire. */
static uint64_t put_record(uint8_t type, uint32_t len)
{
	/* What is in it looks like heads of records. */
	static const uint8_t bait[] = {0x17, 3, 3, 0, 1, 0x15, 3, 3, 0, 2, 2, 40, 0x16, 3, 1, 0, 4};
	const uint8_t head[5] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};

	put(head, sizeof(head));
	for (uint32_t i = 0; i < len; i++)
		put(&bait[i % sizeof(bait)], 1);
	return sizeof(head) + (uint64_t)len;
}

/* The side's turn goes out, cut anywhere. */
static void send_all(int dir)
{
	unsigned int most = 1 + choose(4) * choose(2000);
	size_t at = 0;

	while (at < made) {
		uint32_t n = 1 + choose(most), rest = (uint32_t)(made - at);

		if (!choose(64)) {
			sim_lose++;
			exact = false;
		}
		if (!most || input_left == 0)
			n = rest;
		/* Of fewer bytes the programs do not tell what it is. */
		if (!at && !total[DIR_IN] && n < HELLO_MIN)
			n = HELLO_MIN;
		wire_segment(&w, dir, bytes + at, n < rest ? n : rest, 0);
		at += n < rest ? n : rest;
	}
	total[dir] += made;
	made = 0;
}

/* A message of the handshake, in one record or in several. */
static void put_hello(const uint8_t *message, uint32_t n)
{
	uint32_t at = 0, most = 1 + choose(n);

	while (at < n) {
		uint32_t m = n - at < most ? n - at : most;
		const uint8_t head[5] = {22, 3, 1, (uint8_t)(m >> 8), (uint8_t)m};

		put(head, sizeof(head));
		put(message + at, m);
		at += m;
	}
}

static void client_hello(void)
{
	uint8_t m[600] = {1, 0, 0, 0, 3, 3};
	static const uint8_t name[] = {0,   0,	 0,   14,  0,	12,  0,	  0,   9,
				       'f', 'u', 'z', 'z', '.', 't', 'e', 's', 't'};
	static const uint8_t versions[] = {0, 43, 0, 5, 4, 3, 4, 3, 3};
	uint32_t n = 4 + 2 + 32, extensions, padding = choose(400);

	m[n++] = 0; /* session */
	m[n + 1] = 2;
	n += 4; /* a cipher */
	m[n] = 1;
	n += 2; /* a method */
	extensions = n;
	n += 2;
	memcpy(m + n, name, sizeof(name));
	n += sizeof(name);
	if (new_version) {
		memcpy(m + n, versions, sizeof(versions));
		n += sizeof(versions);
	}
	m[n + 1] = 21;
	m[n + 2] = (uint8_t)(padding >> 8);
	m[n + 3] = (uint8_t)padding;
	n += 4 + padding;
	m[extensions] = (uint8_t)((n - extensions - 2) >> 8);
	m[extensions + 1] = (uint8_t)(n - extensions - 2);
	m[2] = (uint8_t)((n - 4) >> 8);
	m[3] = (uint8_t)(n - 4);
	put_hello(m, n);
}

static void server_hello(void)
{
	uint8_t m[64] = {2, 0, 0, 0, 3, 3};
	static const uint8_t version[] = {0, 6, 0, 43, 0, 2, 3, 4};
	uint32_t n = 4 + 2 + 32 + 1;

	m[n++] = new_version ? 0x13 : 0xc0;
	m[n++] = new_version ? 1 + sha384 : 0x2f;
	n++;
	if (new_version) {
		memcpy(m + n, version, sizeof(version));
		n += sizeof(version);
	}
	m[3] = (uint8_t)(n - 4);
	put_hello(m, n);
}

/* Returns how many tickets come behind the first request. */
static unsigned int handshake(void)
{
	const uint32_t finished = 4 + (sha384 ? 48 : 32) + 1 + 16;
	unsigned int tickets = 0;

	client_hello();
	send_all(DIR_IN);
	server_hello();
	if (choose(2))
		put_record(20, 1);
	if (!new_version) {
		put_record(22, 900);
		send_all(DIR_OUT);
		put_record(22, 70);
		put_record(20, 1);
		put_record(22, 40);
		send_all(DIR_IN);
		put_record(20, 1);
		put_record(22, 40);
		send_all(DIR_OUT);
		return 0;
	}
	for (unsigned int n = 1 + choose(4); n--;)
		put_record(23, 40 + choose(2000));
	send_all(DIR_OUT);
	if (choose(2))
		put_record(20, 1);
	if (choose(2)) {
		put_record(23, 300 + choose(500)); /* its certificate */
		put_record(23, 120);
	}
	put_record(23, finished + 16 * choose(2));
	if (choose(2)) {
		send_all(DIR_IN);
		for (unsigned int n = choose(3); n--;)
			put_record(23, 200 + choose(1000));
		send_all(DIR_OUT);
	} else { /* they come after the request, which stands behind Finished */
		tickets = choose(3);
	}
	return tickets;
}

/* Of data: no alert's length, which would wait. */
static uint32_t data_len(void)
{
	return choose(8) ? 40 + choose(3000) : 16384;
}

static void take_events(bool done)
{
	const struct appmon_event *ev;

	while ((ev = fixture_event(&p))) {
		CHECK(ev->request_bytes <= total[DIR_IN] && ev->response_bytes <= total[DIR_OUT]);
		CHECK(ev->protocol == APPMON_PROTO_TLS || !exact);
		if (!exact)
			continue;
		CHECK(told < turns);
		CHECK(ev->request_bytes == turn[told].request);
		CHECK(ev->response_bytes == turn[told].response);
		CHECK(ev->tls_server_name.len == 9);
		CHECK(ev->tls_version == (new_version ? 0x0304 : 0x0303));
		CHECK(!(ev->flags & APPMON_EVF_AMBIGUOUS) == !(new_version && !told));
		CHECK((ev->response_bytes && ev->end == APPMON_END_COMPLETE) ||
		      (!ev->response_bytes && (ev->flags & APPMON_EVF_NO_RESPONSE)));
		told++;
	}
	if (done && exact)
		CHECK(told == turns);
}

static void converse(void)
{
	unsigned int late = handshake();

	for (unsigned int count = choose(TURNS_MAX); count--;) {
		turn[turns].request = turn[turns].response = 0;
		for (unsigned int n = 1 + choose(3); n--;)
			turn[turns].request += put_record(23, data_len());
		send_all(DIR_IN);
		if (!choose(40)) { /* what is no TLS */
			static const uint8_t other[] = "HTTP/1.1 200 OK\r\n\r\n";

			put(other, sizeof(other));
			exact = false;
		}
		if (count || choose(2)) {
			while (late) {
				turn[turns].response += put_record(23, 200 + choose(1000));
				late--;
			}
			for (unsigned int n = 1 + choose(3); n--;)
				turn[turns].response += put_record(23, data_len());
			send_all(DIR_OUT);
		}
		turns++;
		if (!choose(4))
			take_events(false);
	}
	send_all(DIR_IN); /* a Finished behind which no request came */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_TLS};
	unsigned int how;

	input = data;
	input_left = len;
	sim_lose = 0;
	made = turns = told = 0;
	total[DIR_IN] = total[DIR_OUT] = 0;
	exact = true;
	fixture_init(&p, &opts);
	wire_start(&w, &p);
	wire_begin(&w, false);
	new_version = choose(2);
	sha384 = new_version && choose(2);
	converse();
	how = choose(4);
	if (how == 1) { /* close_notify */
		put_record(new_version ? 23 : 21, new_version ? 19 : 26);
		send_all(DIR_OUT);
	}
	if (how == 2) {
		wire_segment(&w, DIR_IN, NULL, 0, SIM_RST);
	} else {
		wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
		wire_segment(&w, DIR_IN, NULL, 0, SIM_FIN);
	}
	take_events(true);
	CHECK(fixture_adds_up(&p));
	wire_stop(&w);
	fixture_free(&p);
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
