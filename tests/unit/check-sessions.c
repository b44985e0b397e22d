/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plaintext of TLS libraries' calls, joined with its socket. Handshakes and records go through the
 * programs, as segments; calls are records that this test makes, as uprobes would.
 */
#include <string.h>

#include "protocol/tls/hello.h"
#include "tls-wire.h"
#include "unit.h"

#define AES_128 0x1301
#define OVERHEAD 17
#define MSEC UINT64_C(1000000)

static struct fixture p;
static struct wire w;
static const struct appmon_event *ev;

/* A session of a process, and how far its calls are. */
struct made {
	uint64_t address, since_ns;
	uint32_t tgid, tid, lost, lost_before;
	struct tls_tag tag;
	uint8_t record[TLS_RECORD_BYTES]; /* of writes */
	uint64_t pos[2];
};

static struct made s;
/* Whether handshakes are of TLS 1.2. */
static bool old;
/* What the ciphertext of records consists of. */
static uint8_t cipher;

static void setup(void)
{
	static const struct appmon_opts opts = {.flags = APPMON_OPEN_TLS,
						.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_TLS};

	old = false;
	cipher = 0;
	fixture_init(&p, &opts);
	wire_start(&w, &p);
	sim_owner = (struct rec_owner){.source = OWNER_SENT, .sender_pid = 100, .sender_tid = 101};
	sim_owner.task.pid = 100;
	sim_owner.task.tid = 101;
}

static void teardown(void)
{
	wire_stop(&w);
	fixture_free(&p);
	sim_owner = (struct rec_owner){0};
}

/* ---- the wire -------------------------------------------------------------------------------- */

static uint32_t put_record(uint8_t *to, uint8_t type, uint32_t len)
{
	to[0] = type;
	to[1] = to[2] = 3;
	to[3] = (uint8_t)(len >> 8);
	to[4] = (uint8_t)len;
	return 5 + len;
}

static void hello(struct wire *on, int dir, uint8_t type, const uint8_t random[TLS_RANDOM])
{
	static const uint8_t client_end[] = {0, 0, 2, 0x13, 1, 1, 0, 0, 7, 0, 43, 0, 3, 2, 3, 4};
	static const uint8_t server_end[] = {0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4};
	const bool client = type == TLS_CLIENT_HELLO;
	uint32_t end = client ? sizeof(client_end) : sizeof(server_end);
	uint8_t b[256] = {0};

	if (old)
		end = client ? 6 : 4; /* no extensions */

	b[5] = type;
	b[8] = (uint8_t)(2 + TLS_RANDOM + end);
	b[9] = b[10] = 3;
	memcpy(b + 11, random, TLS_RANDOM);
	memcpy(b + 11 + TLS_RANDOM, client ? client_end : server_end, end);
	wire_segment(on, dir, b, put_record(b, 22, 4 + 2 + TLS_RANDOM + end), SIM_PSH);
}

/* Records of data, of a plaintext of so many bytes. */
static void records(struct wire *on, int dir, uint32_t len)
{
	static uint8_t b[1 << 20];
	uint32_t at = 0;

	while (len) {
		uint32_t n = len < 16384 ? len : 16384;

		memset(b + at + 5, cipher, OVERHEAD);
		at += put_record(b + at, 23, n + OVERHEAD);
		len -= n;
	}
	wire_segment(on, dir, b, at, SIM_PSH);
}

static void random_of(uint8_t random[TLS_RANDOM], uint8_t seed)
{
	for (int i = 0; i < TLS_RANDOM; i++)
		random[i] = (uint8_t)(seed + i);
}

/* TLS 1.2: keys, change_cipher_spec and Finished of both. Behind a handshake: another one. */
static void keys(struct wire *on)
{
	static const int order[] = {DIR_IN, DIR_OUT};
	uint8_t b[256] = {0};

	for (size_t i = 0; i < 2; i++) {
		wire_segment(on, order[i], b, put_record(b, 22, 100), SIM_PSH);
		wire_segment(on, order[i], b, put_record(b, 20, 1), SIM_PSH);
		wire_segment(on, order[i], b, put_record(b, 22, 40), SIM_PSH);
	}
}

/* Hellos and Finished. seed: of the randoms. */
static void handshake(struct wire *on, bool active, uint8_t seed)
{
	const int client = active ? DIR_OUT : DIR_IN;
	uint8_t random[TLS_RANDOM];

	random_of(random, seed);
	hello(on, client, TLS_CLIENT_HELLO, random);
	random_of(random, (uint8_t)(seed + 100));
	hello(on, !client, TLS_SERVER_HELLO, random);
	if (old)
		keys(on);
	else
		records(on, client, 4 + 32); /* Finished, with SHA-256 */
}

static struct made made(uint64_t address, uint8_t seed)
{
	struct made ret = {.address = address, .since_ns = 1, .tgid = 100, .tid = 101};
	uint8_t random[TLS_RANDOM];

	random_of(random, seed);
	memcpy(ret.tag.client, random, TLS_TAG_BYTES);
	random_of(random, (uint8_t)(seed + 100));
	memcpy(ret.tag.server, random, TLS_TAG_BYTES);
	return ret;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* One that began at entry_ns and returns now. */
static void call_of(struct made *m, int dir, const char *text, uint32_t len, uint32_t captured,
		    uint64_t entry_ns)
{
	static struct {
		struct rec_call call;
		char bytes[REC_BYTES_MAX];
	} rec;
	struct rec_plain *r = &rec.call.plain;

	memset(&rec, 0, sizeof(rec));
	sim_now_ns += 1000;
	rec.call.hdr = (struct rec_hdr){.version = REC_VERSION,
					.kind = REC_PLAIN,
					.size = (uint32_t)sizeof(rec.call) + captured,
					.order_ns = sim_now_ns};
	r->session = m->address;
	r->tgid = m->tgid;
	r->tid = m->tid;
	r->tag = m->tag;
	r->since_ns = m->since_ns;
	r->entry_ns = entry_ns;
	r->pos = m->pos[dir];
	r->flags = dir == DIR_OUT ? PLAIN_OUT : 0;
	r->len = r->whole = len;
	r->captured = captured;
	if (dir == DIR_OUT)
		memcpy(r->record, m->record, sizeof(r->record));
	r->lost = m->lost;
	r->lost_before = m->lost_before;
	memcpy(rec.bytes, text, captured);
	m->pos[dir] += len;
	ck_assert(fixture_record(&p, &rec, sizeof(rec.call) + captured));
	ck_assert(fixture_adds_up(&p));
}

/* Bytes come on the wire, and are read. */
static void reads(struct wire *on, struct made *m, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);

	records(on, DIR_IN, len);
	call_of(m, DIR_IN, text, len, len, sim_now_ns);
}

/* Bytes are written, and leave inside of the call. */
static void writes(struct wire *on, struct made *m, const char *text)
{
	uint64_t entry_ns = sim_now_ns + 1;
	uint32_t len = (uint32_t)strlen(text);

	records(on, DIR_OUT, len);
	call_of(m, DIR_OUT, text, len, len, entry_ns);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void next(void)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
}

static void nothing(void)
{
	ck_assert_ptr_null(fixture_event(&p));
}

/* Exchanges are paired again. */
static void told_behind_silence(void)
{
	sim_now_ns += 3000 * MSEC;
	reads(&w, &s, GET("/behind"));
	writes(&w, &s, OK);
	while ((ev = fixture_event(&p)) && ev->end != APPMON_END_COMPLETE)
		;
	ck_assert_ptr_nonnull(ev);
	ck_assert_str_eq(ev->path.data, "/behind");
	nothing();
}

static void complete(const char *path, uint32_t role)
{
	next();
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP1);
	ck_assert_str_eq(ev->path.data, path);
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_eq(ev->role, role);
	ck_assert_uint_eq(ev->tls_version, TLS_1_3);
	ck_assert_uint_eq(ev->tls_cipher, AES_128);
	ck_assert(!(ev->flags & APPMON_EVF_CALL_TIMES));
}

static void begin(bool active)
{
	static uint8_t seed;

	/* No two handshakes have the same randoms. */
	seed = (uint8_t)(seed + 3);
	wire_begin(&w, active);
	handshake(&w, active, seed);
	s = made(0x1000, seed);
}

/* A request in TLS is told as any other, with the wire's times, and once. */
START_TEST(server)
{
	begin(false);
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t came, left;

		reads(&w, &s, GET("/a"));
		came = sim_now_ns - 1000;
		nothing();
		sim_now_ns += 5 * MSEC;
		left = sim_now_ns + MSEC;
		writes(&w, &s, OK);
		complete("/a", APPMON_ROLE_SERVER);
		ck_assert_uint_eq(ev->ordinal, 1 + i);
		ck_assert_uint_eq(ev->request_start_ns, came);
		ck_assert_uint_eq(ev->response_start_ns, left);
		ck_assert_uint_eq(ev->duration_ns, left - came);
		ck_assert_uint_eq(ev->connection_id, sim_cookie(w.sk));
		ck_assert_uint_eq(ev->pid, 100);
		ck_assert_uint_eq(ev->owner, APPMON_OWNER_READ);
		nothing();
	}
	ck_assert_uint_eq(p.pl.stats.plain_calls, 6);
	ck_assert_uint_eq(p.pl.stats.plain_dropped, 0);
}
END_TEST

START_TEST(client)
{
	begin(true);
	for (uint64_t i = 0; i < 3; i++) {
		writes(&w, &s, GET("/a"));
		nothing();
		reads(&w, &s, OK);
		complete("/a", APPMON_ROLE_CLIENT);
		ck_assert_uint_eq(ev->ordinal, 1 + i);
		ck_assert_uint_eq(ev->owner, APPMON_OWNER_SENT);
	}
	nothing();
}
END_TEST

/* The answer and the server's end come before the call has returned that asked: one event all the
 * same. Whose calls do not come at all, that is told when its own end comes. */
START_TEST(closed_early)
{
	uint64_t entry_ns;

	begin(true);
	entry_ns = sim_now_ns + 1;
	records(&w, DIR_OUT, sizeof(GET("/a")) - 1);
	records(&w, DIR_IN, sizeof(OK) - 1);
	wire_segment(&w, DIR_IN, NULL, 0, SIM_FIN);
	nothing();
	call_of(&s, DIR_OUT, GET("/a"), sizeof(GET("/a")) - 1, sizeof(GET("/a")) - 1, entry_ns);
	call_of(&s, DIR_IN, OK, sizeof(OK) - 1, sizeof(OK) - 1, sim_now_ns);
	complete("/a", APPMON_ROLE_CLIENT);
	ck_assert_uint_eq(ev->ordinal, 1);
	wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
	nothing();
	begin(true);
	records(&w, DIR_OUT, 100);
	records(&w, DIR_IN, 200);
	wire_segment(&w, DIR_IN, NULL, 0, SIM_FIN);
	nothing();
	wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
	next();
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	nothing();
}
END_TEST

/* Through memory, as in asyncio and node: the bytes leave when the call is over. */
START_TEST(memory)
{
	uint64_t left;

	begin(false);
	reads(&w, &s, GET("/a"));
	call_of(&s, DIR_OUT, OK, sizeof(OK) - 1, sizeof(OK) - 1, sim_now_ns);
	nothing();
	sim_now_ns += 7 * MSEC;
	records(&w, DIR_OUT, sizeof(OK) - 1);
	left = sim_now_ns;
	complete("/a", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->response_start_ns, left);
	/* The next request waits for what stands in front of it. */
	reads(&w, &s, GET("/b"));
	call_of(&s, DIR_OUT, OK, sizeof(OK) - 1, sizeof(OK) - 1, sim_now_ns);
	reads(&w, &s, GET("/c"));
	nothing();
	records(&w, DIR_OUT, sizeof(OK) - 1);
	complete("/b", APPMON_ROLE_SERVER);
	writes(&w, &s, OK);
	complete("/c", APPMON_ROLE_SERVER);
	nothing();
}
END_TEST

/* The bytes of one write leave in several records: its end is that of the last one. */
START_TEST(long_write)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n";
	const uint32_t len = (uint32_t)sizeof(head) - 1 + 40000;
	uint64_t entry_ns, first, last;

	begin(false);
	reads(&w, &s, GET("/a"));
	entry_ns = sim_now_ns + 1;
	records(&w, DIR_OUT, 16384);
	first = sim_now_ns;
	call_of(&s, DIR_OUT, head, len, sizeof(head) - 1, entry_ns);
	nothing();
	records(&w, DIR_OUT, 16384);
	nothing();
	records(&w, DIR_OUT, len - 2 * 16384);
	last = sim_now_ns;
	complete("/a", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->response_start_ns, first);
	ck_assert_uint_eq(ev->response_end_ns, last);
	ck_assert_uint_eq(ev->response_body_bytes, 40000);
}
END_TEST

/* ... of so many that the first are not remembered, behind a head of its own. */
START_TEST(longer_write)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 983040\r\n\r\n";
	uint64_t entry_ns;

	begin(false);
	reads(&w, &s, GET("/a"));
	writes(&w, &s, head);
	entry_ns = sim_now_ns + 1;
	for (int i = 0; i < 15; i++)
		records(&w, DIR_OUT, 4 * 16384);
	call_of(&s, DIR_OUT, "x", 983040, 1, entry_ns);
	complete("/a", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->response_end_ns, sim_now_ns - 1000);
	ck_assert_uint_eq(ev->response_body_bytes, 983040);
	nothing();
}
END_TEST

/* ... or are forgotten while the rest leaves, and behind tickets, so that nothing was sent before of
 * which the place is known. */
START_TEST(long_write_behind_tickets)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 983040\r\n\r\n";
	const uint32_t len = (uint32_t)sizeof(head) - 1;
	uint64_t left;

	begin(false);
	reads(&w, &s, GET("/a"));
	records(&w, DIR_OUT, 250);
	call_of(&s, DIR_OUT, head, len + 983040, len, sim_now_ns + 1);
	records(&w, DIR_OUT, 16384);
	left = sim_now_ns;
	for (int i = 1; i < 60; i++)
		records(&w, DIR_OUT, 16384);
	nothing();
	records(&w, DIR_OUT, len);
	complete("/a", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->response_start_ns, left);
	ck_assert_uint_eq(ev->response_end_ns, sim_now_ns);
	nothing();
}
END_TEST

/* Tickets are records like any other, and no response. */
START_TEST(tickets)
{
	uint64_t left;

	begin(false);
	records(&w, DIR_OUT, 265);
	reads(&w, &s, GET("/a"));
	sim_now_ns += 3 * MSEC;
	left = sim_now_ns + MSEC;
	writes(&w, &s, OK);
	complete("/a", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->response_start_ns, left);
	nothing();
	begin(true);
	writes(&w, &s, GET("/a"));
	records(&w, DIR_IN, 265);
	records(&w, DIR_IN, 265);
	sim_now_ns += 3 * MSEC;
	left = sim_now_ns + MSEC;
	reads(&w, &s, OK);
	complete("/a", APPMON_ROLE_CLIENT);
	ck_assert_uint_eq(ev->response_start_ns, left);
	nothing();
}
END_TEST

/* ... and whose process is not known need not be the response's. */
START_TEST(tickets_of_nobody)
{
	const struct rec_owner owner = sim_owner;

	begin(false);
	records(&w, DIR_IN, sizeof(GET("/a")) - 1);
	sim_owner = (struct rec_owner){0};
	records(&w, DIR_OUT, 250);
	sim_owner = owner;
	call_of(&s, DIR_IN, GET("/a"), sizeof(GET("/a")) - 1, sizeof(GET("/a")) - 1, sim_now_ns);
	writes(&w, &s, OK);
	complete("/a", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->pid, 100);
	nothing();
}
END_TEST

/* While the socket has other work the programs do not know who sends. The call does: the thread that
 * sent before. */
START_TEST(sent_by_nobody)
{
	const struct rec_owner owner = sim_owner;

	for (uint32_t tid = 101; tid < 103; tid++) {
		begin(false);
		reads(&w, &s, GET("/a"));
		writes(&w, &s, OK);
		complete("/a", APPMON_ROLE_SERVER);
		ck_assert_uint_eq(ev->pid, 100);
		sim_owner = (struct rec_owner){0};
		s.tid = tid;
		reads(&w, &s, GET("/b"));
		writes(&w, &s, OK);
		sim_owner = owner;
		complete("/b", APPMON_ROLE_SERVER);
		ck_assert_uint_eq(ev->pid, tid == 101 ? 100 : 0);
		s.tid = 101;
		reads(&w, &s, GET("/c"));
		writes(&w, &s, OK);
		complete("/c", APPMON_ROLE_SERVER);
		ck_assert_uint_eq(ev->pid, 100);
	}
}
END_TEST

/* Several calls read one record, and one call several messages. */
START_TEST(cut)
{
	static const char request[] = GET("/a"), responses[] = OK OK;

	begin(false);
	records(&w, DIR_IN, sizeof(request) - 1);
	for (const char *b = request; *b; b++)
		call_of(&s, DIR_IN, b, 1, 1, sim_now_ns);
	reads(&w, &s, GET("/b"));
	writes(&w, &s, responses);
	complete("/a", APPMON_ROLE_SERVER);
	complete("/b", APPMON_ROLE_SERVER);
	nothing();
}
END_TEST

/* Both ends are watched: their sessions have the same randoms. */
START_TEST(both_ends)
{
	struct wire other = w;

	for (int same_process = 0; same_process < 2; same_process++) {
		const uint8_t seed = (uint8_t)(1 + same_process);
		struct made of_client = made(0x1000, seed), of_server = made(0x2000, seed);
		uint8_t random[TLS_RANDOM];
		uint64_t asks, serves;

		other.sk = NULL;
		wire_begin(&w, true);
		wire_begin(&other, false);
		of_server.tgid = same_process ? 100 : 200;
		random_of(random, seed);
		hello(&w, DIR_OUT, TLS_CLIENT_HELLO, random);
		hello(&other, DIR_IN, TLS_CLIENT_HELLO, random);
		random_of(random, (uint8_t)(seed + 100));
		sim_owner.sender_pid = of_server.tgid;
		hello(&other, DIR_OUT, TLS_SERVER_HELLO, random);
		sim_owner.sender_pid = 100;
		hello(&w, DIR_IN, TLS_SERVER_HELLO, random);
		records(&w, DIR_OUT, 36);
		records(&other, DIR_IN, 36);
		asks = sim_cookie(w.sk);
		serves = sim_cookie(other.sk);
		writes(&w, &of_client, GET("/a"));
		reads(&other, &of_server, GET("/a"));
		writes(&other, &of_server, OK);
		complete("/a", APPMON_ROLE_SERVER);
		ck_assert_uint_eq(ev->connection_id, serves);
		reads(&w, &of_client, OK);
		complete("/a", APPMON_ROLE_CLIENT);
		ck_assert_uint_eq(ev->connection_id, asks);
		nothing();
		sim_forget(other.sk);
	}
}
END_TEST

/* Sessions side by side, whose calls come as they like. */
START_TEST(interleaved)
{
	struct wire other = w;
	struct made t;

	other.sk = NULL;
	begin(false);
	wire_begin(&other, false);
	handshake(&other, false, 150);
	t = made(0x2000, 150);
	reads(&w, &s, GET("/s"));
	reads(&other, &t, GET("/t"));
	writes(&other, &t, OK);
	complete("/t", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->connection_id, sim_cookie(other.sk));
	writes(&w, &s, OK);
	complete("/s", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->connection_id, sim_cookie(w.sk));
	nothing();
	sim_forget(other.sk);
}
END_TEST

/* A call is lost: what was open has no answer, and the next one gets none of its. */
START_TEST(lost)
{
	begin(false);
	reads(&w, &s, GET("/a"));
	writes(&w, &s, OK);
	complete("/a", APPMON_ROLE_SERVER);
	reads(&w, &s, GET("/b"));
	/* The response, and the request behind it. */
	records(&w, DIR_OUT, 30);
	s.pos[DIR_OUT] += 30;
	records(&w, DIR_IN, 40);
	s.pos[DIR_IN] += 40;
	s.lost += 2;
	writes(&w, &s, OK);
	next();
	ck_assert_str_eq(ev->path.data, "/b");
	ck_assert_uint_eq(ev->end, APPMON_END_GAP);
	ck_assert_uint_eq(ev->status, 0);
	while ((ev = fixture_event(&p)))
		ck_assert_uint_eq(ev->path.len, 0);
	/* Whose the next ones are, only silence tells. */
	reads(&w, &s, GET("/d"));
	writes(&w, &s, OK);
	while ((ev = fixture_event(&p)))
		ck_assert_uint_ne(ev->end, APPMON_END_COMPLETE);
	told_behind_silence();
}
END_TEST

/* The allocator gives the address of a session to the next one. */
START_TEST(address_again)
{
	uint64_t first;

	begin(false);
	first = sim_cookie(w.sk);
	reads(&w, &s, GET("/a"));
	wire_begin(&w, false);
	handshake(&w, false, 170);
	s = made(0x1000, 170);
	reads(&w, &s, GET("/b"));
	writes(&w, &s, OK);
	complete("/b", APPMON_ROLE_SERVER);
	ck_assert_uint_ne(ev->connection_id, first);
	ck_assert_uint_eq(ev->ordinal, 1);
	nothing();
}
END_TEST

/* After a fork the child has the session, at the same address. */
START_TEST(forked)
{
	begin(false);
	reads(&w, &s, GET("/a"));
	writes(&w, &s, OK);
	complete("/a", APPMON_ROLE_SERVER);
	s.tgid = 300;
	s.pos[DIR_IN] = s.pos[DIR_OUT] = 0;
	reads(&w, &s, GET("/b"));
	writes(&w, &s, OK);
	complete("/b", APPMON_ROLE_SERVER);
	nothing();
}
END_TEST

/* A socket that is not known, or not for certain: the calls are counted, the records told as
 * such. */
START_TEST(unknown)
{
	begin(false);
	s = made(0x1000, 199);
	reads(&w, &s, GET("/a"));
	writes(&w, &s, OK);
	memset(&s.tag, 0, sizeof(s.tag));
	reads(&w, &s, GET("/a"));
	writes(&w, &s, OK);
	nothing();
	flows_expire(&p.flows, sim_now_ns + 6000 * MSEC);
	ck_assert_uint_eq(p.pl.stats.plain_calls, 0);
	ck_assert_uint_eq(p.pl.stats.plain_dropped, 4);
	wire_segment(&w, DIR_IN, NULL, 0, SIM_FIN);
	wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
	for (int i = 0; i < 2; i++) {
		next();
		ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	}
	nothing();
}
END_TEST

/* Much waits for a socket that does not come: memory has a bound. */
START_TEST(unknown_much)
{
	static char body[REC_BYTES_MAX];

	begin(false);
	s = made(0x1000, 199);
	for (int i = 0; i < 2000; i++)
		call_of(&s, DIR_IN, body, sizeof(body), sizeof(body), sim_now_ns);
	ck_assert_uint_gt(p.pl.stats.plain_dropped, 1000);
	ck_assert_uint_lt(p.pl.pool.held, 4 << 20);
	flows_expire(&p.flows, sim_now_ns + 6000 * MSEC);
	ck_assert_uint_eq(p.pl.stats.plain_dropped, 2000);
}
END_TEST

/* Its records are not seen to leave: the event says so. */
START_TEST(call_times)
{
	uint64_t entry_ns;

	begin(false);
	reads(&w, &s, GET("/a"));
	entry_ns = sim_now_ns + 10 * MSEC;
	sim_now_ns += 11 * MSEC;
	call_of(&s, DIR_OUT, OK, sizeof(OK) - 1, sizeof(OK) - 1, entry_ns);
	nothing();
	flows_expire(&p.flows, sim_now_ns + 6000 * MSEC);
	next();
	ck_assert_str_eq(ev->path.data, "/a");
	ck_assert_uint_eq(ev->status, 200);
	ck_assert(ev->flags & APPMON_EVF_CALL_TIMES);
	ck_assert_uint_eq(ev->response_start_ns, entry_ns);
	nothing();
	/* It may have been behind the first of these. */
	for (int i = 0; i < 2; i++) {
		reads(&w, &s, GET("/b"));
		writes(&w, &s, OK);
		next();
		ck_assert_str_eq(ev->path.data, "/b");
		ck_assert_uint_eq(!(ev->flags & APPMON_EVF_CALL_TIMES), i);
	}
	nothing();
}
END_TEST

/* Of a write only the begin is seen to leave. */
START_TEST(call_end)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n";
	const uint32_t len = (uint32_t)sizeof(head) - 1 + 40000;
	uint64_t entry_ns, left;

	begin(false);
	reads(&w, &s, GET("/a"));
	entry_ns = sim_now_ns + 1;
	records(&w, DIR_OUT, 16384);
	left = sim_now_ns;
	call_of(&s, DIR_OUT, head, len, sizeof(head) - 1, entry_ns);
	for (int i = 0; i < 10; i++) { /* it moves on */
		sim_now_ns += 4000 * MSEC;
		records(&w, DIR_OUT, 1);
		flows_expire(&p.flows, sim_now_ns + 4000 * MSEC);
		nothing();
	}
	flows_expire(&p.flows, sim_now_ns + 6000 * MSEC);
	next();
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_uint_eq(ev->response_start_ns, left);
	ck_assert(ev->flags & APPMON_EVF_CALL_TIMES);
	nothing();
}
END_TEST

/* Most of the session's requests are told, on the connection of w. */
static void is_found(void)
{
	uint32_t found = 0;

	while ((ev = fixture_event(&p))) {
		ck_assert_uint_eq(ev->connection_id, sim_cookie(w.sk));
		found += ev->protocol == APPMON_PROTO_HTTP1 && ev->end == APPMON_END_COMPLETE &&
			 !strcmp(ev->path.data, "/a") && ev->status == 200;
	}
	ck_assert_uint_ge(found, 3);
}

/* w was open before the attach, with a session that has said something. */
static void open_before(void)
{
	wire_begin(&w, false);
	sim_detached = true;
	handshake(&w, false, 1);
	sim_detached = false;
	s = made(0x1000, 1);
	s.pos[DIR_IN] = s.pos[DIR_OUT] = 1000;
}

/* Open at the attach: a thread that sends inside of a write tells the socket. */
START_TEST(nested)
{
	open_before();
	for (int i = 0; i < 4; i++) {
		reads(&w, &s, GET("/a"));
		writes(&w, &s, OK);
	}
	is_found();
}
END_TEST

/* Bytes are written to memory, which another call sends. made_of: what its ciphertext consists of. */
static void writes_memory(struct made *m, uint32_t n, uint8_t made_of)
{
	uint8_t record[5 + OVERHEAD];

	put_record(record, 23, n + OVERHEAD);
	memset(record + 5, made_of, OVERHEAD);
	memcpy(m->record, record, sizeof(m->record));
	call_of(m, DIR_OUT, OK, sizeof(OK) - 1, sizeof(OK) - 1, sim_now_ns);
	records(&w, DIR_OUT, sizeof(OK) - 1);
}

/* Open at the attach: the record that a session has made leaves from a socket of its process. */
START_TEST(in_memory)
{
	const uint32_t n = sizeof(OK) - 1;

	open_before();
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(p.flows.records_pid, 0);
		cipher = (uint8_t)(1 + i);
		reads(&w, &s, GET("/unknown"));
		writes_memory(&s, n, 0); /* another record */
	}
	ck_assert_uint_eq(p.flows.records_pid, 100);
	sim_owner.sender_pid = 99;
	reads(&w, &s, GET("/unknown"));
	writes_memory(&s, n, cipher); /* another process */
	sim_owner.sender_pid = 100;
	ck_assert_uint_eq(p.pl.stats.plain_calls, 0);
	flows_expire(&p.flows, sim_now_ns + 60000 * MSEC);
	for (int i = 0; i < 4; i++) {
		cipher = (uint8_t)(10 + i);
		reads(&w, &s, GET("/a"));
		writes_memory(&s, n, cipher);
	}
	is_found();
}
END_TEST

/* w and another one, both open at the attach; the session is w's. */
static void two_open(struct wire *other)
{
	*other = w;
	other->sk = NULL;
	wire_begin(&w, false);
	wire_begin(other, false);
	sim_detached = true;
	handshake(&w, false, 1);
	handshake(other, false, 50);
	sim_detached = false;
	s = made(0x1000, 1);
}

/* ... but not if it has sent on two, nor before or behind the call. */
START_TEST(not_nested)
{
	struct wire other;

	two_open(&other);
	for (int i = 0; i < 4; i++) {
		uint64_t entry_ns = sim_now_ns + 1;

		records(&other, DIR_IN, 100);
		records(&w, DIR_IN, 100);
		records(&other, DIR_OUT, 100);
		records(&w, DIR_OUT, sizeof(OK) - 1);
		call_of(&s, DIR_OUT, OK, sizeof(OK) - 1, sizeof(OK) - 1, entry_ns);
		call_of(&s, DIR_OUT, OK, sizeof(OK) - 1, sizeof(OK) - 1, sim_now_ns);
	}
	ck_assert_uint_eq(p.pl.stats.plain_calls, 0);
	while ((ev = fixture_event(&p)))
		ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	sim_forget(other.sk);
}
END_TEST

/* ... nor if another thread had its place in between, for so it is not known what it has sent. */
START_TEST(not_nested_shared_place)
{
	const uint32_t tid = sim_owner.sender_tid;
	struct wire other;

	two_open(&other);
	for (int i = 0; i < 4; i++) {
		uint64_t entry_ns = sim_now_ns + 1;

		records(&other, DIR_IN, 100);
		records(&w, DIR_IN, 100);
		records(&other, DIR_OUT, 100);
		sim_owner.sender_tid = tid + 1024;
		records(&other, DIR_OUT, 100);
		sim_owner.sender_tid = tid;
		records(&w, DIR_OUT, sizeof(OK) - 1);
		call_of(&s, DIR_OUT, OK, sizeof(OK) - 1, sizeof(OK) - 1, entry_ns);
	}
	ck_assert_uint_eq(p.pl.stats.plain_calls, 0);
	flows_expire(&p.flows, sim_now_ns + 60000 * MSEC);
	ck_assert_uint_eq(p.pl.stats.plain_dropped, 4);
	while ((ev = fixture_event(&p)))
		ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	sim_forget(other.sk);
}
END_TEST

/* The session has other randoms, of which one can be left. */
static void renew(uint8_t seed, bool half)
{
	struct made as = made(s.address, seed);

	s.tag.client[0] ^= 0xff;
	if (!half)
		s.tag = as.tag;
	s.pos[DIR_IN] = s.pos[DIR_OUT] = 0;
	s.lost_before += s.lost;
	s.lost = 0;
}

static void is_told(const char *path)
{
	next();
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_HTTP1);
	ck_assert_str_eq(ev->path.data, path);
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
	ck_assert_uint_eq(ev->connection_id, sim_cookie(w.sk));
}

/* Another handshake, between requests and inside of one. Which cipher it chose is not known. */
START_TEST(renewed)
{
	old = true;
	begin(false);
	reads(&w, &s, GET("/a"));
	writes(&w, &s, OK);
	is_told("/a");
	ck_assert_uint_eq(ev->tls_cipher, AES_128);
	keys(&w);
	renew(201, false);
	reads(&w, &s, GET("/b"));
	writes(&w, &s, OK);
	is_told("/b");
	ck_assert_uint_eq(ev->tls_version, TLS_1_2);
	ck_assert_uint_eq(ev->tls_cipher, 0);
	reads(&w, &s, GET("/c"));
	renew(0, true); /* it sends its hello, while the rest is read */
	keys(&w);
	renew(210, false);
	writes(&w, &s, OK);
	is_told("/c");
	nothing();
	ck_assert_uint_eq(p.pl.stats.plain_dropped, 0);
}
END_TEST

/* A call that was lost just before is not paired over. */
START_TEST(renewed_lost)
{
	old = true;
	begin(false);
	reads(&w, &s, GET("/a"));
	writes(&w, &s, OK);
	is_told("/a");
	reads(&w, &s, GET("/b"));
	records(&w, DIR_OUT, sizeof(OK) - 1);
	records(&w, DIR_IN, sizeof(GET("/lost")) - 1);
	s.lost += 2;
	keys(&w);
	renew(201, false);
	writes(&w, &s, OK);
	while ((ev = fixture_event(&p)))
		ck_assert(!ev->path.len || !ev->status);
	ck_assert_uint_eq(p.pl.stats.plain_dropped, 2);
	told_behind_silence();
}
END_TEST

/* Without a handshake on the wire, and of TLS 1.3, another session has the address. */
START_TEST(not_renewed)
{
	for (int i = 0; i < 2; i++) {
		old = !i;
		begin(false);
		reads(&w, &s, GET("/a"));
		writes(&w, &s, OK);
		is_told("/a");
		if (!old)
			keys(&w);
		renew(201, false);
		reads(&w, &s, GET("/b"));
		writes(&w, &s, OK);
		while ((ev = fixture_event(&p)))
			ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
		flows_expire(&p.flows, sim_now_ns + 60000 * MSEC);
	}
	ck_assert_uint_eq(p.pl.stats.plain_dropped, 4);
}
END_TEST

/* The process was looked at when the session had begun: what passed before is told as opaque. */
START_TEST(late)
{
	begin(false);
	records(&w, DIR_IN, 30);
	records(&w, DIR_OUT, 40);
	s.since_ns = sim_now_ns;
	s.pos[DIR_IN] = s.pos[DIR_OUT] = 0;
	reads(&w, &s, GET("/a"));
	writes(&w, &s, OK);
	next();
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	complete("/a", APPMON_ROLE_SERVER);
	nothing();
}
END_TEST

/* ... in the middle of an answer: of that no more is known, but it is not lost. */
START_TEST(late_in_answer)
{
	begin(false);
	records(&w, DIR_IN, 30);
	records(&w, DIR_OUT, 40);
	s.since_ns = sim_now_ns;
	s.pos[DIR_IN] = s.pos[DIR_OUT] = 1000;
	sim_now_ns += MSEC;
	writes(&w, &s, "the rest of it");
	next();
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	ck_assert_uint_eq(ev->end, APPMON_END_GAP);
	for (int i = 0; i < 2; i++) {
		reads(&w, &s, GET("/a"));
		writes(&w, &s, OK);
		complete("/a", APPMON_ROLE_SERVER);
	}
	nothing();
}
END_TEST

/* The thread that waits for a request sends another one meanwhile: that is for it. */
START_TEST(linked)
{
	static const struct appmon_opts opts = {.flags = APPMON_OPEN_TLS | APPMON_OPEN_LINKS,
						.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_TLS};
	struct wire other = w;
	struct made t;
	uint64_t entry_ns;

	fixture_free(&p);
	fixture_init(&p, &opts);
	other.sk = NULL;
	begin(false);
	wire_begin(&other, true);
	handshake(&other, true, 190);
	t = made(0x2000, 190);
	entry_ns = sim_now_ns;
	records(&w, DIR_IN, sizeof(GET("/in")) - 1);
	call_of(&s, DIR_IN, GET("/in"), sizeof(GET("/in")) - 1, sizeof(GET("/in")) - 1, entry_ns);
	writes(&other, &t, GET("/out"));
	reads(&other, &t, OK);
	complete("/out", APPMON_ROLE_CLIENT);
	ck_assert_uint_eq(ev->link, APPMON_LINK_THREAD);
	ck_assert_uint_eq(ev->link_connection_id, sim_cookie(w.sk));
	writes(&w, &s, OK);
	complete("/in", APPMON_ROLE_SERVER);
	nothing();
	sim_forget(other.sk);
}
END_TEST

/* A response that ends with the connection. */
START_TEST(until_close)
{
	begin(false);
	reads(&w, &s, GET("/a"));
	writes(&w, &s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome");
	nothing();
	wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
	complete("/a", APPMON_ROLE_SERVER);
	ck_assert_uint_eq(ev->response_body_bytes, 4);
	nothing();
}
END_TEST

/* close_notify once, and again to who has closed meanwhile, is no request. */
START_TEST(closed_twice)
{
	for (uint32_t times = 1; times < 4; times++) {
		begin(true);
		records(&w, DIR_OUT, 100);
		records(&w, DIR_IN, 200);
		records(&w, DIR_OUT, 2);
		wire_segment(&w, DIR_IN, NULL, 0, SIM_FIN);
		for (uint32_t i = 1; i < times; i++)
			records(&w, DIR_OUT, 2);
		wire_segment(&w, DIR_IN, NULL, 0, SIM_RST);
		next();
		ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
		ck_assert_uint_eq(ev->request_bytes, 100 + 5 + OVERHEAD);
		ck_assert_uint_eq(ev->response_bytes, 200 + 5 + OVERHEAD);
		ck_assert_uint_eq(ev->end, APPMON_END_COMPLETE);
		nothing();
	}
}
END_TEST

/* Without the option such records say nothing to anybody. */
START_TEST(not_asked)
{
	static const struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_TLS};

	fixture_free(&p);
	fixture_init(&p, &opts);
	begin(false);
	reads(&w, &s, GET("/a"));
	writes(&w, &s, OK);
	wire_segment(&w, DIR_OUT, NULL, 0, SIM_FIN);
	next();
	ck_assert_uint_eq(ev->protocol, APPMON_PROTO_TLS);
	nothing();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {server,
				      client,
				      closed_early,
				      memory,
				      long_write,
				      tickets,
				      tickets_of_nobody,
				      sent_by_nobody,
				      cut,
				      both_ends,
				      interleaved,
				      lost,
				      forked,
				      unknown,
				      unknown_much,
				      call_times,
				      nested,
				      address_again,
				      not_nested,
				      not_nested_shared_place,
				      late,
				      late_in_answer,
				      until_close,
				      linked,
				      call_end,
				      longer_write,
				      long_write_behind_tickets,
				      closed_twice,
				      not_asked,
				      renewed,
				      in_memory,
				      renewed_lost,
				      not_renewed,
				      NULL};

	return unit_run("sessions", tests, setup, teardown);
}
