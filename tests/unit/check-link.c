/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which exchange was made for which: records made by hand, so that the test says which thread did
 * what. Expectations are those of APPMON_LINK_* in the public header.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "unit.h"

#define MS UINT64_C(1000000)

/* One end of a connection; the other is not monitored. */
struct end {
	struct rec_conn id;
	uint32_t next[2]; /* sequence numbers by direction */
};

static struct fixture p;
static uint64_t clock_ns, cookies;
static const struct appmon_event *ev;
/* What the programs say that is sent is for. */
static struct rec_cause sent_for;

static void start(uint32_t flags)
{
	fixture_init(&p, &(struct appmon_opts){.flags = flags});
	clock_ns = 1000 * MS;
	cookies = 0;
	sent_for = (struct rec_cause){0};
}

static void setup(void)
{
	start(APPMON_OPEN_LINKS);
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	fixture_free(&p);
}

static struct end end_of(uint64_t cgroup_id)
{
	const uint64_t cookie = ++cookies;
	struct end e = {.id = {.cookie = cookie,
			       .cgroup_id = cgroup_id,
			       .target = 1,
			       .family = 4,
			       .local_port = 80,
			       .remote_port = (uint16_t)(40000 + cookie),
			       .local_addr = {127, 0, 0, 1},
			       .remote_addr = {127, 0, 0, 1}},
			.next = {(uint32_t)(1000 * cookie), (uint32_t)(1000000 * cookie)}};

	return e;
}

static void segment(struct end *e, int dir, const char *text, uint32_t pid, uint32_t tid,
		    uint32_t flags)
{
	struct {
		struct rec rec;
		struct rec_conn_told told;
		struct rec_owner owner;
		char bytes[1024];
	} r = {.rec.hdr = {.version = REC_VERSION, .kind = REC_DATA}};
	uint32_t len = (uint32_t)strlen(text);

	ck_assert_uint_le(len, sizeof(r.bytes));
	r.rec.hdr.size = (uint32_t)(offsetof(typeof(r), bytes) + len);
	r.rec.cookie = e->id.cookie;
	r.told.conn = e->id;
	r.rec.seg.ts_ns = clock_ns += MS;
	r.rec.seg.flags = REC_FRESH | REC_CONN | REC_OWNER | flags | (dir == DIR_OUT ? REC_OUT : 0);
	r.rec.seg.seq = r.rec.seg.start = e->next[dir];
	r.rec.seg.len = len;
	e->next[dir] += len;
	r.rec.seg.whole = e->next[dir];
	r.rec.seg.ack = e->next[!dir];
	r.owner.sender_pid = pid;
	r.owner.sender_tid = tid;
	r.owner.task.pid = pid;
	r.owner.task.start_ns = 7;
	r.owner.cause = sent_for;
	memcpy(r.bytes, text, len);
	ck_assert(fixture_record(&p, &r, r.rec.hdr.size));
}

#define MESSAGE (REC_FLIP | REC_START)

static void receive(struct end *e, const char *text)
{
	segment(e, DIR_IN, text, 0, 0, MESSAGE);
}

static void send_as(struct end *e, const char *text, uint32_t pid, uint32_t tid)
{
	segment(e, DIR_OUT, text, pid, tid, MESSAGE);
}

/* The thread has begun to read the last len bytes that came. */
static void read_len(struct end *e, uint32_t len, uint32_t pid, uint32_t tid, bool blocks)
{
	struct {
		struct rec rec;
		struct rec_owner owner;
	} r = {.rec.hdr = {.version = REC_VERSION, .kind = REC_PROGRESS, .size = sizeof(r)}};

	r.rec.cookie = e->id.cookie;
	r.rec.seg.ts_ns = clock_ns += MS;
	r.rec.seg.flags = REC_READ | REC_FRESH | REC_OWNER | (blocks ? REC_BLOCKING : 0);
	r.rec.seg.seq = e->next[DIR_IN] - len;
	r.rec.seg.whole = e->next[DIR_IN];
	r.rec.seg.ack = e->next[DIR_OUT];
	r.owner.task.pid = pid;
	r.owner.task.tid = tid;
	r.owner.task.start_ns = 7;
	ck_assert(fixture_record(&p, &r, sizeof(r)));
}

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* A request that comes in and is read. */
static struct end serve(const char *request, uint32_t pid, uint32_t tid, bool blocks)
{
	struct end e = end_of(4242);

	receive(&e, request);
	read_len(&e, (uint32_t)strlen(request), pid, tid, blocks);
	return e;
}

static struct end ask(const char *request, uint32_t pid, uint32_t tid)
{
	struct end e = end_of(4242);

	send_as(&e, request, pid, tid);
	return e;
}

/* The event of the only exchange of that end. */
static void event_of(struct end *e, int dir)
{
	segment(e, dir, OK, 1, 1, MESSAGE);
	while ((ev = fixture_event(&p)) && ev->connection_id != e->id.cookie)
		;
	ck_assert_ptr_nonnull(ev);
}

/* It was made for the n-th exchange of the other end; NULL: for none that is known. */
static void is_for(struct end *e, const struct end *cause, uint64_t n, uint32_t evidence)
{
	event_of(e, DIR_IN);
	ck_assert_msg(ev->link == evidence, "\"%s\", not \"%s\"", appmon_link_name(ev->link),
		      appmon_link_name(evidence));
	ck_assert_uint_eq(ev->link_connection_id, cause ? cause->id.cookie : 0);
	ck_assert_uint_eq(ev->link_ordinal, cause ? n : 0);
}

static void is_for_none(struct end *e)
{
	is_for(e, NULL, 0, APPMON_LINK_NONE);
}

/* ---- threads ----------------------------------------------------------------------- */

START_TEST(thread)
{
	struct end a = serve(GET, 10, 11, true), b = serve(GET, 10, 12, true);
	struct end for_a = ask(GET, 10, 11), for_b = ask(GET, 10, 12), other = ask(GET, 10, 13);

	is_for(&for_a, &a, 1, APPMON_LINK_THREAD);
	is_for(&for_b, &b, 1, APPMON_LINK_THREAD);
	is_for_none(&other);
	/* The same thread number in another process of another namespace does not exist. */
	other = ask(GET, 20, 11);
	is_for_none(&other);
	/* TCP by itself: nobody's. */
	other = ask(GET, 0, 0);
	is_for_none(&other);
}
END_TEST

START_TEST(thread_next_request)
{
	struct end a = serve(GET, 10, 11, true), first = ask(GET, 10, 11), second, third;

	is_for(&first, &a, 1, APPMON_LINK_THREAD);
	segment(&a, DIR_OUT, OK, 10, 11, MESSAGE);
	second = ask(GET, 10, 11); /* after the answer */
	is_for_none(&second);
	receive(&a, GET);
	second = ask(GET, 10, 11); /* before the next one is read */
	is_for_none(&second);
	read_len(&a, sizeof(GET) - 1, 10, 11, true);
	second = ask(GET, 10, 11);
	third = ask(GET, 10, 11);
	is_for(&second, &a, 2, APPMON_LINK_THREAD);
	is_for(&third, &a, 2, APPMON_LINK_THREAD);
}
END_TEST

/* The answer has begun to stream: what the thread does now may be for anybody. */
START_TEST(thread_answer_begun)
{
	struct end a = serve(GET, 10, 11, true), o;

	segment(&a, DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 10, 11, MESSAGE);
	o = ask(GET, 10, 11);
	is_for_none(&o);
}
END_TEST

START_TEST(thread_reset)
{
	struct end a = serve(GET, 10, 11, true), b, o;

	segment(&a, DIR_IN, "", 0, 0, REC_RST);
	o = ask(GET, 10, 11);
	is_for_none(&o);
	/* It takes its next request, and that is no mixing. */
	b = serve(GET, 10, 11, true);
	o = ask(GET, 10, 11);
	is_for(&o, &b, 1, APPMON_LINK_THREAD);
}
END_TEST

/* It blocks in reading, and yet it reads for others. */
START_TEST(thread_reads_for_others)
{
	struct end a = serve(GET, 10, 11, true), b = serve(GET, 10, 11, true), o;

	o = ask(GET, 10, 11);
	is_for_none(&o);
	segment(&a, DIR_OUT, OK, 10, 12, MESSAGE);
	o = ask(GET, 10, 11); /* b alone: likely, but not certain */
	is_for(&o, &b, 1, APPMON_LINK_SOLE);
}
END_TEST

START_TEST(two_readers)
{
	struct end a = serve(GET, 10, 11, true), o;

	read_len(&a, sizeof(GET) - 1, 10, 12, true);
	o = ask(GET, 10, 11);
	is_for_none(&o);
	o = ask(GET, 10, 12);
	is_for_none(&o);
}
END_TEST

START_TEST(head_in_parts)
{
	struct end a = end_of(4242), o;

	segment(&a, DIR_IN, "GET / HTTP/1.1\r\n", 0, 0, MESSAGE);
	read_len(&a, 16, 10, 11, true);
	segment(&a, DIR_IN, "Host: h\r\n\r\n", 0, 0, 0);
	o = ask(GET, 10, 11);
	is_for(&o, &a, 1, APPMON_LINK_THREAD);
}
END_TEST

START_TEST(pipelined)
{
	struct end a = end_of(4242), o;

	receive(&a, GET);
	segment(&a, DIR_IN, GET, 0, 0, REC_START);
	read_len(&a, 2 * (sizeof(GET) - 1), 10, 11, true);
	o = ask(GET, 10, 11);
	is_for_none(&o);
	a = end_of(4242);
	receive(&a, GET);
	read_len(&a, sizeof(GET) - 1, 10, 21, true);
	segment(&a, DIR_IN, GET, 0, 0, REC_START);
	o = ask(GET, 10, 21);
	is_for_none(&o);
}
END_TEST

/* ---- event loops and pools ------------------------------------------------------------ */

START_TEST(sole)
{
	struct end a = serve(GET, 10, 10, false), b, waits = end_of(4242), o = ask(GET, 10, 10);

	is_for(&o, &a, 1, APPMON_LINK_SOLE);
	/* Another process's, and one that nobody has read, do not matter. */
	serve(GET, 20, 20, false);
	receive(&waits, GET);
	o = ask(GET, 10, 10);
	is_for(&o, &a, 1, APPMON_LINK_SOLE);
	o = ask(GET, 10, 12); /* another thread of the process */
	is_for_none(&o);
	b = serve(GET, 10, 10, false);
	o = ask(GET, 10, 10);
	is_for_none(&o);
	segment(&a, DIR_OUT, OK, 10, 10, MESSAGE);
	o = ask(GET, 10, 10);
	is_for(&o, &b, 1, APPMON_LINK_SOLE);
}
END_TEST

/* Of a share of the connections nobody can say that a request is the only one. */
START_TEST(sole_of_a_share)
{
	struct end a, o;

	p.pl.sample.ppm = APPMON_SAMPLING_ALL - 1;
	a = serve(GET, 10, 10, false);
	o = ask(GET, 10, 10);
	is_for_none(&o);
	p.pl.sample.ppm = APPMON_SAMPLING_ALL;
	o = ask(GET, 10, 10);
	is_for(&o, &a, 1, APPMON_LINK_SOLE);
}
END_TEST

/* While an answer streams, the process has two in progress. */
START_TEST(sole_answer_begun)
{
	struct end a = serve(GET, 10, 10, false), o;

	segment(&a, DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 10, 10, MESSAGE);
	serve(GET, 10, 10, false);
	o = ask(GET, 10, 10);
	is_for_none(&o);
}
END_TEST

START_TEST(worker_proven)
{
	struct end busy = serve(GET, 10, 99, false), a, o;

	a = serve(GET, 10, 11, false);
	o = ask(GET, 10, 11);
	is_for_none(&o); /* not yet */
	segment(&a, DIR_OUT, OK, 10, 11, MESSAGE);
	for (int i = 0; i < 40; i++) {
		a = serve(GET, 10, 11, false);
		o = ask(GET, 10, 11);
		segment(&a, DIR_OUT, OK, 10, 11, MESSAGE);
	}
	while (fixture_event(&p))
		;
	a = serve(GET, 10, 11, false);
	o = ask(GET, 10, 11);
	is_for(&o, &a, 1, APPMON_LINK_WORKER);
	/* Answered by another thread: nothing is proven any more. */
	segment(&a, DIR_OUT, OK, 10, 12, MESSAGE);
	a = serve(GET, 10, 11, false);
	o = ask(GET, 10, 11);
	is_for_none(&o);
	segment(&busy, DIR_OUT, OK, 10, 99, MESSAGE);
}
END_TEST

/* Exchanges that ask for nothing, or have no other beside them, prove nothing. */
START_TEST(worker_unproven)
{
	struct end a, o;

	for (int i = 0; i < 100; i++) {
		a = serve(GET, 10, 11, false);
		o = ask(GET, 10, 11);
		segment(&a, DIR_OUT, OK, 10, 11, MESSAGE);
	}
	serve(GET, 10, 99, false);
	for (int i = 0; i < 100; i++) {
		a = serve(GET, 10, 11, false);
		segment(&a, DIR_OUT, OK, 10, 11, MESSAGE);
	}
	while (fixture_event(&p))
		;
	serve(GET, 10, 11, false);
	o = ask(GET, 10, 11);
	is_for_none(&o);
}
END_TEST

/* A process of the same number that was started later has to prove itself. */
START_TEST(many_processes)
{
	for (uint32_t pid = 1; pid < 3000; pid++) {
		struct end a = serve(GET, pid, pid, false), o = ask(GET, pid, pid);

		is_for(&o, &a, 1, APPMON_LINK_SOLE);
		event_of(&a, DIR_OUT);
	}
	ck_assert_uint_le(p.pl.causes.process_count, 1024);
}
END_TEST

/* ---- header fields ---------------------------------------------------------------------- */

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define WITH(field) "GET / HTTP/1.1\r\nHost: h\r\n" field "\r\n\r\n"

START_TEST(request_id)
{
	struct end a = serve(WITH("X-Request-Id: one"), 10, 10, false), other, o;
	struct end b = serve(WITH("X-Request-Id: two"), 10, 10, false);

	o = ask(WITH("x-request-id: two"), 10, 10);
	is_for(&o, &b, 1, APPMON_LINK_REQUEST_ID);
	ck_assert_str_eq(ev->request_id.data, "two");
	o = ask(WITH("X-REQUEST-ID: one"), 0, 0); /* whoever sends it */
	is_for(&o, &a, 1, APPMON_LINK_REQUEST_ID);
	o = ask(WITH("x-request-id: onetwo"), 10, 10);
	is_for_none(&o);
	o = ask(GET, 10, 10);
	is_for_none(&o);
	/* In another cgroup it is another application's. */
	other = end_of(5);
	send_as(&other, WITH("x-request-id: two"), 10, 10);
	is_for_none(&other);
	serve(WITH("X-Request-Id: two"), 10, 10, false);
	o = ask(WITH("x-request-id: two"), 10, 10);
	is_for_none(&o); /* two of them */
	segment(&a, DIR_OUT, OK, 10, 10, MESSAGE);
	o = ask(WITH("x-request-id: one"), 10, 10);
	is_for_none(&o); /* answered */
}
END_TEST

START_TEST(trace_id)
{
	struct end a = serve(WITH("traceparent: 00-" TRACE "-b7ad6b7169203331-01"), 10, 10, false);
	struct end b = serve(WITH("b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"), 10,
			     10, false);
	struct end c = serve(WITH("sw8: 1-MS4yLjM=-c2Vn-3-c2Vy-aW5z-L2Vu-MTI3"), 10, 10, false), o;

	o = ask(WITH("traceparent: 00-" TRACE "-00f067aa0ba902b7-01"), 10, 10);
	is_for(&o, &a, 1, APPMON_LINK_TRACE_ID);
	ck_assert_uint_eq(ev->trace.format, APPMON_TRACE_W3C);
	ck_assert_uint_eq(ev->trace.flags, APPMON_TRACE_SAMPLED);
	ck_assert_uint_eq(ev->trace.trace_id[0], 0x0a);
	ck_assert_uint_eq(ev->trace.span_id[7], 0xb7);
	/* Another format, the same trace. */
	o = ask(WITH("uber-trace-id: 80f198ee56343ba864fe8b2a57d3eff7:1:2:1"), 10, 10);
	is_for(&o, &b, 1, APPMON_LINK_TRACE_ID);
	o = ask(WITH("sw8: 1-MS4yLjM=-c2Vn-4-c2Vy-aW5z-L2Vu-MTI3"), 10, 10);
	is_for(&o, &c, 1, APPMON_LINK_TRACE_ID);
	ck_assert_str_eq(ev->trace_text.data, "1.2.3");
	ck_assert_uint_eq(ev->trace_text.len, 5);
	o = ask(WITH("sw8: 1-MS4yLjQ=-c2Vn-4-c2Vy-aW5z-L2Vu-MTI3"), 10, 10);
	is_for_none(&o);
	o = ask(WITH("traceparent: 00-" TRACE), 10, 10); /* not well formed */
	is_for_none(&o);
	ck_assert_uint_eq(ev->trace.format, APPMON_TRACE_NONE);
	ck_assert_str_eq(appmon_event_header(ev, "traceparent", 0)->data, "00-" TRACE);
	o = ask(WITH("traceparent: 00-" TRACE "-00f067aa0ba902b7-01\r\n"
		     "traceparent: 00-" TRACE "-00f067aa0ba902b8-01"),
		10, 10);
	is_for_none(&o); /* two of them are none */
	ck_assert_uint_eq(ev->trace.format, APPMON_TRACE_NONE);
}
END_TEST

START_TEST(forwarded)
{
	struct end a = serve(GET, 10, 10, false), b = serve(GET, 10, 10, false), o;
	char head[256];

	snprintf(head, sizeof(head), WITH("Forwarded: for=\"127.0.0.1:%u\""), b.id.remote_port);
	o = ask(head, 10, 10);
	is_for(&o, &b, 1, APPMON_LINK_FORWARDED);
	snprintf(head, sizeof(head), WITH("Forwarded: for=\"127.0.0.2:%u\""), a.id.remote_port);
	o = ask(head, 10, 10);
	is_for_none(&o);
}
END_TEST

/* A thread that blocks knows better than a field that the client may have written. */
START_TEST(thread_before_fields)
{
	struct end a = serve(WITH("X-Request-Id: one"), 10, 11, true), o;

	serve(WITH("X-Request-Id: two"), 10, 12, true);
	o = ask(WITH("X-Request-Id: two"), 10, 11);
	is_for(&o, &a, 1, APPMON_LINK_THREAD);
}
END_TEST

/* ---- the other end ------------------------------------------------------------------------ */

static struct end peer_of(const struct end *e)
{
	struct end other = end_of(77);

	other.id.local_port = e->id.remote_port;
	other.id.remote_port = e->id.local_port;
	memcpy(other.id.local_addr, e->id.remote_addr, 16);
	memcpy(other.id.remote_addr, e->id.local_addr, 16);
	other.next[DIR_IN] = e->next[DIR_OUT];
	other.next[DIR_OUT] = e->next[DIR_IN];
	return other;
}

/* The service's address at the client, the pod's at the server; with source translation the client
 * has another one there, too. */
START_TEST(peer_translated)
{
	for (int masquerade = 0; masquerade < 2; masquerade++) {
		struct end client = end_of(4242), server = peer_of(&client), other = server;
		uint64_t wire_id;

		client.id.remote_addr[2] = 96;
		client.id.remote_port = 8080;
		if (masquerade) {
			server.id.remote_addr[1] = 254;
			server.id.remote_port = 1027;
		}
		other.id = server.id;
		other.id.cookie = ++cookies;
		other.next[DIR_OUT]++;
		send_as(&client, GET, 10, 10);
		/* The same numbers of the request, but another answer is due. */
		other.id = server.id;
		other.id.cookie = ++cookies;
		other.next[DIR_OUT]++;
		receive(&other, GET);
		event_of(&other, DIR_OUT);
		ck_assert_uint_eq(ev->link, APPMON_LINK_NONE);
		receive(&server, GET);
		event_of(&server, DIR_OUT);
		ck_assert_uint_eq(ev->link, APPMON_LINK_PEER);
		ck_assert_uint_eq(ev->link_connection_id, client.id.cookie);
		wire_id = ev->wire_id;
		ck_assert_uint_ne(wire_id, 0);
		event_of(&client, DIR_IN);
		ck_assert_uint_eq(ev->wire_id, wire_id);
	}
}
END_TEST

START_TEST(peer)
{
	struct end client = end_of(4242), server = peer_of(&client), other = server;

	send_as(&client, GET, 10, 10);
	/* The same addresses in another namespace. */
	other.id.cookie = ++cookies;
	other.next[DIR_IN]++;
	receive(&other, GET);
	event_of(&other, DIR_OUT);
	ck_assert_uint_eq(ev->link, APPMON_LINK_NONE);
	receive(&server, GET);
	segment(&server, DIR_OUT, OK, 20, 20, MESSAGE);
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->link, APPMON_LINK_PEER);
	ck_assert_uint_eq(ev->link_connection_id, client.id.cookie);
	ck_assert_uint_eq(ev->link_ordinal, 1);
	receive(&client, OK);
	/* The next one on the same connection. */
	send_as(&client, GET, 10, 10);
	receive(&server, GET);
	event_of(&server, DIR_OUT);
	ck_assert_uint_eq(ev->link, APPMON_LINK_PEER);
	ck_assert_uint_eq(ev->link_ordinal, 2);
}
END_TEST

/* ---- options ------------------------------------------------------------------------------- */

START_TEST(not_asked_for)
{
	struct end a, o;

	teardown();
	start(0);
	a = serve(WITH("traceparent: 00-" TRACE "-b7ad6b7169203331-01"), 10, 11, true);
	o = ask(GET, 10, 11);
	is_for_none(&o);
	event_of(&a, DIR_OUT);
	ck_assert_uint_eq(ev->trace.format, APPMON_TRACE_NONE);
	teardown();
	start(APPMON_OPEN_TRACE);
	a = serve(WITH("traceparent: 00-" TRACE "-b7ad6b7169203331-01\r\nx-request-id: r"), 10, 11,
		  true);
	o = ask(GET, 10, 11);
	is_for_none(&o);
	segment(&a, DIR_OUT, OK, 1, 1, MESSAGE);
	while ((ev = fixture_event(&p)) && ev->connection_id != a.id.cookie)
		;
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->trace.format, APPMON_TRACE_W3C);
	ck_assert_str_eq(ev->request_id.data, "r");
	ck_assert_str_eq(ev->trace_text.data, "");
}
END_TEST

/* Without memory for it an exchange is reported all the same. */
START_TEST(memory)
{
	struct end a[64];

	teardown();
	fixture_init(&p,
		     &(struct appmon_opts){.flags = APPMON_OPEN_LINKS, .memory_limit = 64 << 10});
	for (int i = 0; i < 64; i++)
		a[i] = serve(GET, 10, 100 + (uint32_t)i, true);
	ck_assert_uint_le(p.pl.pool.held, 64 << 10);
	for (int i = 0; i < 64; i++)
		segment(&a[i], DIR_OUT, OK, 10, 100 + (uint32_t)i, MESSAGE);
	while (fixture_event(&p))
		;
	ck_assert_uint_gt(p.pl.stats.delivered, 0);
	ck_assert_uint_eq(p.pl.stats.outstanding, 0);
}
END_TEST

/* ---- goroutines -------------------------------------------------------------------- */

static void setup_goroutines(void)
{
	teardown();
	start(APPMON_OPEN_LINKS | APPMON_OPEN_GOROUTINES);
}

/* A request that is sent for the last len bytes that came at the end. statement: which one started
 * the goroutine; 0: it serves that request itself. */
static struct end ask_for(const struct end *cause, uint32_t len, uint64_t statement)
{
	struct end o;

	sent_for = (struct rec_cause){.cookie = cause->id.cookie,
				      .seq = cause->next[DIR_IN] - len,
				      .started_at = statement,
				      .followed = 1};
	o = ask(GET, 10, 11);
	sent_for = (struct rec_cause){0};
	return o;
}

#define GET_LEN ((uint32_t)strlen(GET))

START_TEST(goroutine)
{
	struct end a, b, for_a, for_b, other;

	setup_goroutines();
	/* One thread has read both. */
	a = serve(GET, 10, 11, false);
	b = serve(GET, 10, 11, false);
	for_a = ask_for(&a, GET_LEN, 0);
	for_b = ask_for(&b, GET_LEN, 0);
	other = ask(GET, 10, 11);
	is_for(&for_a, &a, 1, APPMON_LINK_GOROUTINE);
	is_for(&for_b, &b, 1, APPMON_LINK_GOROUTINE);
	is_for_none(&other);
}
END_TEST

START_TEST(goroutine_stale)
{
	struct end a, b, o;

	setup_goroutines();
	a = serve(GET, 10, 11, false);
	/* Another place in the stream: the request before. */
	o = ask_for(&a, GET_LEN + 40, 0);
	is_for_none(&o);
	/* No such connection. */
	b = a;
	b.id.cookie = 999;
	o = ask_for(&b, GET_LEN, 0);
	is_for_none(&o);
	/* Its answer has begun, and then the next request has come. */
	send_as(&a, OK, 10, 11);
	o = ask_for(&a, GET_LEN, 0);
	is_for_none(&o);
	receive(&a, GET);
	o = ask_for(&a, 2 * GET_LEN, 0);
	is_for_none(&o);
	o = ask_for(&a, GET_LEN, 0);
	is_for(&o, &a, 2, APPMON_LINK_GOROUTINE);
}
END_TEST

START_TEST(goroutine_pipelined)
{
	struct end a, o;

	setup_goroutines();
	a = serve(GET GET, 10, 11, false);
	o = ask_for(&a, 2 * GET_LEN, 0);
	is_for(&o, &a, 1, APPMON_LINK_GOROUTINE);
}
END_TEST

/* So many requests that a go statement counts, if it starts nothing else. */
static void prove(uint64_t statement, uint32_t evidence)
{
	for (int i = 0; i < 20; i++) {
		struct end a = serve(GET, 10, 11, false), o;

		/* Two for one request prove no more than one. */
		o = ask_for(&a, GET_LEN, statement);
		is_for(&o, i >= 7 && evidence ? &a : NULL, 1, i >= 7 ? evidence : 0);
		o = ask_for(&a, GET_LEN, statement);
		is_for(&o, i >= 7 && evidence ? &a : NULL, 1, i >= 7 ? evidence : 0);
		send_as(&a, OK, 10, 11);
	}
}

START_TEST(started)
{
	setup_goroutines();
	prove(0x1000, APPMON_LINK_STARTED);
}
END_TEST

START_TEST(started_and_kept)
{
	struct end a, o;

	setup_goroutines();
	a = serve(GET, 10, 11, false);
	send_as(&a, OK, 10, 11);
	/* It works on when the request is answered: what this statement starts proves nothing. */
	o = ask_for(&a, GET_LEN, 0x1000);
	is_for_none(&o);
	prove(0x1000, APPMON_LINK_NONE);
	prove(0x2000, APPMON_LINK_STARTED);
}
END_TEST

START_TEST(started_many)
{
	struct end a, o;

	setup_goroutines();
	/* More statements than are remembered. */
	for (uint64_t i = 1; i <= 200; i++) {
		a = serve(GET, 10, 11, false);
		o = ask_for(&a, GET_LEN, i);
		is_for_none(&o);
		send_as(&a, OK, 10, 11);
	}
	prove(0x1000, APPMON_LINK_STARTED);
}
END_TEST

/* What is said certainly stands before what header fields say, what is likely behind it. */
START_TEST(goroutine_and_fields)
{
	struct end a, b, o;

	setup_goroutines();
	prove(0x1000, APPMON_LINK_STARTED);
	a = serve(WITH("x-request-id: a"), 10, 11, false);
	b = serve(GET, 10, 11, false);
	sent_for = (struct rec_cause){.cookie = b.id.cookie, .seq = b.next[DIR_IN] - GET_LEN};
	o = ask(WITH("x-request-id: a"), 10, 11);
	is_for(&o, &b, 1, APPMON_LINK_GOROUTINE);
	sent_for.started_at = 0x1000;
	o = ask(WITH("x-request-id: a"), 10, 11);
	sent_for = (struct rec_cause){0};
	is_for(&o, &a, 1, APPMON_LINK_REQUEST_ID);
}
END_TEST

/* Threads have no say where goroutines have. */
START_TEST(goroutine_not_sole)
{
	struct end a, b, o;

	setup_goroutines();
	a = serve(GET, 10, 11, false);
	send_as(&a, OK, 10, 11);
	b = serve(GET, 10, 11, false);
	o = ask_for(&a, GET_LEN, 0x1000);
	is_for_none(&o);
	/* A goroutine that works for none; one of a program that is not followed. */
	sent_for = (struct rec_cause){.followed = 1};
	o = ask(GET, 10, 11);
	is_for_none(&o);
	sent_for = (struct rec_cause){0};
	o = ask(GET, 10, 11);
	is_for(&o, &b, 1, APPMON_LINK_SOLE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {thread,
				      thread_next_request,
				      thread_answer_begun,
				      thread_reset,
				      thread_reads_for_others,
				      two_readers,
				      head_in_parts,
				      pipelined,
				      sole,
				      sole_of_a_share,
				      sole_answer_begun,
				      worker_proven,
				      worker_unproven,
				      many_processes,
				      request_id,
				      trace_id,
				      forwarded,
				      thread_before_fields,
				      peer,
				      peer_translated,
				      not_asked_for,
				      memory,
				      goroutine,
				      goroutine_stale,
				      goroutine_pipelined,
				      started,
				      started_and_kept,
				      started_many,
				      goroutine_and_fields,
				      goroutine_not_sole,
				      NULL};

	return unit_run("link", tests, setup, teardown);
}
