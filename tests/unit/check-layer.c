/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plaintext above a socket's bytes, from a source that this test plays. The socket's own bytes are
 * a tunnel's: packets of which the programs tell how many there are.
 */
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2], cookie;
static const struct appmon_event *ev;

static void pump(void)
{
	const void *rec;
	size_t size;

	while ((rec = sim_record(&size)))
		ck_assert(fixture_record(&p, rec, size));
	ck_assert(fixture_adds_up(&p));
}

static void packet(int dir, const char *text, uint32_t flags)
{
	sim_now_ns += 1000000;
	sim_packet(sk, dir, next_pos[dir], text, (uint32_t)strlen(text), flags | SIM_PSH);
	next_pos[dir] += strlen(text);
	pump();
}

static void next(void)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
}

static void nothing(void)
{
	ck_assert_ptr_null(fixture_event(&p));
}

static void begin(const struct appmon_opts *opts)
{
	struct sim_opts so = {.target = 1, .capture = 4096};

	fixture_init(&p, opts);
	sim_start(&so);
	sk = sim_connect(false, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
	packet(DIR_IN, "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 0);
	packet(DIR_OUT, "HTTP/1.1 200 OK\r\n\r\n", 0);
	next();
	ck_assert_uint_eq(ev->end, APPMON_END_UPGRADED);
	ck_assert_uint_eq(ev->ordinal, 1);
	cookie = ev->connection_id;
}

static void setup(void)
{
	begin(&(struct appmon_opts){.protocols =
					    1U << APPMON_PROTO_HTTP1 | 1U << APPMON_PROTO_RESP});
}

static void teardown(void)
{
	sim_forget(sk);
	sim_stop();
	ck_assert(fixture_adds_up(&p));
	fixture_free(&p);
}

static void restart(const struct appmon_opts *opts)
{
	teardown();
	begin(opts);
}

static bool give(struct plain plain)
{
	sim_now_ns += 1000000;
	plain.cookie = cookie;
	plain.ts_ns = sim_now_ns;
	if (!layer_plain(&p.flows, &plain))
		return false;
	ck_assert(fixture_adds_up(&p));
	return true;
}

/* A record of the tunnel's, and what it holds. */
static void plain(int dir, const char *text)
{
	packet(dir, "\x17\x03\x03", 0);
	ck_assert(give((struct plain){.dir = dir,
				      .fresh = true,
				      .bytes = text,
				      .captured = (uint32_t)strlen(text),
				      .len = (uint32_t)strlen(text)}));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void complete(const char *path, uint64_t ordinal)
{
	next();
	ck_assert_str_eq(ev->path.data, path);
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_eq(ev->ordinal, ordinal);
	ck_assert_uint_eq(ev->connection_id, cookie);
	ck_assert_uint_eq(ev->role, APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->target_id, 1);
	ck_assert_uint_eq(ev->local.port, 80);
	/* TCP's numbers are those of other bytes. */
	ck_assert_uint_eq(ev->wire_id, 0);
	ck_assert_uint_gt(ev->duration_ns, 0);
}

START_TEST(http)
{
	for (uint64_t i = 0; i < 3; i++) {
		plain(DIR_IN, GET("/a"));
		nothing();
		plain(DIR_OUT, OK);
		complete("/a", 2 + i);
		ck_assert_uint_eq(ev->response_body_bytes, 2);
	}
	nothing();
	ck_assert_uint_eq(p.pl.stats.connections_seen, 1);
	ck_assert_uint_eq(p.pl.stats.connections_open, 1);
}
END_TEST

/* Cut anywhere; several in one piece. */
START_TEST(pieces)
{
	static const char requests[] = GET("/a") GET("/a"), responses[] = OK OK;
	char c[2] = {0};

	for (const char *b = requests; (c[0] = *b); b++)
		plain(DIR_IN, c);
	for (const char *b = responses; (c[0] = *b); b++)
		plain(DIR_OUT, c);
	complete("/a", 2);
	complete("/a", 3);
	ck_assert(ev->flags & APPMON_EVF_PIPELINED);
	plain(DIR_IN, requests);
	plain(DIR_OUT, responses);
	complete("/a", 4);
	complete("/a", 5);
	nothing();
}
END_TEST

/* A body of which the source gives the begin only. */
START_TEST(cut_body)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nbegin";

	plain(DIR_IN, GET("/a"));
	ck_assert(give((struct plain){.dir = DIR_OUT,
				      .bytes = head,
				      .captured = sizeof(head) - 1,
				      .len = sizeof(head) - 1 - 5 + 9000}));
	complete("/a", 2);
	ck_assert_uint_eq(ev->response_body_bytes, 9000);
	plain(DIR_IN, GET("/b"));
	plain(DIR_OUT, OK);
	complete("/b", 3);
}
END_TEST

/* Which protocol it is, its first bytes say, as on a socket. */
START_TEST(resp)
{
	plain(DIR_IN, "PI");
	plain(DIR_IN, "NG\r\n");
	plain(DIR_OUT, "+PONG\r\n");
	next();
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_RESP);
	ck_assert_str_eq(ev->operation.data, "PING");
	ck_assert_uint_eq(ev->ordinal, 2);
	plain(DIR_IN, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
	plain(DIR_OUT, "$-1\r\n");
	next();
	ck_assert_str_eq(ev->resource.data, "k");
	nothing();
}
END_TEST

START_TEST(from_the_middle)
{
	ck_assert(give((struct plain){.dir = DIR_OUT, .bytes = "rest", .captured = 4, .len = 4}));
	plain(DIR_IN, GET("/a"));
	plain(DIR_OUT, OK);
	complete("/a", 2);
	nothing();
}
END_TEST

/* The plaintext's end ends its messages, that of the socket ends all. */
START_TEST(ends)
{
	plain(DIR_IN, GET("/a"));
	plain(DIR_OUT, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
	nothing();
	ck_assert(give((struct plain){.dir = DIR_OUT, .ends = true}));
	complete("/a", 2);
	ck_assert_uint_eq(ev->response_body_bytes, 13);
	restart(&(struct appmon_opts){0});
	plain(DIR_IN, GET("/b"));
	packet(DIR_OUT, "", SIM_RST);
	next();
	ck_assert_str_eq(ev->path.data, "/b");
	ck_assert_uint_eq(ev->end, APPMON_END_RESET_BY_US);
	nothing();
	ck_assert_uint_eq(p.pl.stats.connections_open, 0);
	ck_assert_uint_eq(p.flows.count, 0);
	ck_assert(!give((struct plain){.dir = DIR_IN, .bytes = "x", .captured = 1, .len = 1}));
}
END_TEST

static int count(void *ctx, const struct appmon_event *event)
{
	*(int *)ctx += !strcmp(event->path.data, "/open");
	return 0;
}

/* Shown while it is open; ended by age; dropped with its target. */
START_TEST(lives_with_the_socket)
{
	int shown = 0;

	plain(DIR_IN, GET("/open"));
	ck_assert_int_eq(flows_active(&p.flows, count, &shown), 0);
	ck_assert_int_eq(shown, 1);
	flows_expire(&p.flows, sim_now_ns + 3600 * NSEC_PER_SEC);
	next();
	ck_assert_str_eq(ev->path.data, "/open");
	ck_assert_uint_eq(ev->end, APPMON_END_TIMEOUT);
	nothing();
	restart(&(struct appmon_opts){0});
	plain(DIR_IN, GET("/a"));
	flows_drop_target(&p.flows, &p.target[0]);
	nothing();
	ck_assert_uint_eq(p.pl.stats.dropped[APPMON_DROP_DETACHED], 1);
	ck_assert_uint_eq(p.flows.count, 0);
}
END_TEST

START_TEST(no_memory)
{
	struct plain first = {.dir = DIR_IN, .bytes = "G", .captured = 1, .len = 1};
	uint64_t limit = p.pl.pool.limit;

	pool_destroy(&p.pl.pool);
	p.pl.pool.limit = 0;
	ck_assert(!give(first));
	p.pl.pool.limit = limit;
	ck_assert_uint_eq(p.flows.count, 1); /* its socket is still there */
	plain(DIR_IN, GET("/a"));
	plain(DIR_OUT, OK);
	complete("/a", 2);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		http,	   pieces, cut_body, resp, from_the_middle, ends, lives_with_the_socket,
		no_memory, NULL};

	return unit_run("layer", tests, setup, teardown);
}
