/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for HTTP/2: what two peers send, as the plaintext that a socket carries. Whatever
 * it is, each exchange is counted once, memory stays within its bound, and the end leaves none open.
 *
 * The input: a byte of options, then pieces: a byte with direction (bit 0) and whether it was captured
 * (bit 1: it was not), two bytes of length, bytes.
 */
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "target.h"

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2], cookie;

/* A standalone program shows the events. */
static void (*shown)(const struct appmon_event *ev);

static void pump(void)
{
	const struct appmon_event *ev;
	const void *rec;
	size_t size;

	while ((rec = sim_record(&size)))
		CHECK(fixture_record(&p, rec, size));
	CHECK(fixture_adds_up(&p));
	while ((ev = fixture_event(&p))) {
		cookie = ev->connection_id;
		CHECK(ev->protocol != APPMON_PROTO_HTTP2 || ev->key);
		CHECK(strlen(ev->path.data) <= ev->path.len);
		if (shown)
			shown(ev);
	}
}

static void packet(int dir, const char *text, uint32_t flags)
{
	sim_now_ns += 1000000;
	sim_packet(sk, dir, next_pos[dir], text, (uint32_t)strlen(text), flags);
	next_pos[dir] += strlen(text);
	pump();
}

/* The socket's own bytes are a tunnel's. */
static void begin(uint8_t options)
{
	struct sim_opts so = {.target = 1, .capture = options & 1 ? 256 : 4096};
	struct appmon_opts opts = {
		.flags = APPMON_OPEN_TRACE | (options & 2 ? APPMON_OPEN_STREAM_HEADS : 0),
		.memory_limit = options & 4 ? 64 * 1024 : 0,
		.capture_bytes = so.capture,
		.protocols = 1U << APPMON_PROTO_HTTP1 | 1U << APPMON_PROTO_HTTP2};

	fixture_init(&p, &opts);
	sim_start(&so);
	sk = sim_connect(false, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
	packet(DIR_IN, "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", SIM_PSH);
	packet(DIR_OUT, "HTTP/1.1 200 OK\r\n\r\n", SIM_PSH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = data + len;
	uint8_t options;

	if (!len)
		return 0;
	options = *data++;
	begin(options);
	while (end - data >= 3) {
		uint32_t what = data[0], n = (uint32_t)data[1] << 8 | data[2];
		char *copy;

		data += 3;
		if (n > (size_t)(end - data))
			n = (uint32_t)(end - data);
		/* As large as it is, so that AddressSanitizer sees who goes beyond. */
		copy = malloc(n ? n : 1);
		CHECK(copy);
		memcpy(copy, data, n);
		data += n;
		sim_now_ns += 1000000;
		layer_plain(&p.flows, &(struct plain){.cookie = cookie,
						      .dir = what & 1,
						      .fresh = !(options & 8),
						      .bytes = copy,
						      .captured = what & 2 ? n / 2 : n,
						      .len = n,
						      .ts_ns = sim_now_ns});
		pump();
		free(copy);
	}
	sim_packet(sk, DIR_IN, next_pos[DIR_IN], NULL, 0, SIM_RST);
	pump();
	flows_expire(&p.flows, sim_now_ns += 10000 * NSEC_PER_SEC);
	pump();
	CHECK(!p.pl.stats.outstanding);
	sim_forget(sk);
	sim_stop();
	fixture_free(&p);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	return fuzz_files(argc, argv);
}
#endif
