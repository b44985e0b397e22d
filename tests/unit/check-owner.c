/* SPDX-License-Identifier: BSD-2-Clause */
/* What the records say of a socket's owner goes to the right exchange, and to no other. */
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

#define MS UINT64_C(1000000)

static struct fixture p;
static struct sim_socket *sk;
static uint64_t next_pos[2];
static const struct appmon_event *ev;

static void setup(void)
{
	struct sim_opts so = {.target = 1, .slot = 0, .cgroup_id = 4242, .capture = 4096};

	fixture_init(&p, &(struct appmon_opts){0});
	sim_start(&so);
	memset(&sim_owner, 0, sizeof(sim_owner));
	sk = sim_connect(false, 1000, 2000);
	next_pos[DIR_IN] = next_pos[DIR_OUT] = 0;
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	sim_forget(sk);
	sim_stop();
	fixture_free(&p);
}

static void be_client(void)
{
	sim_forget(sk);
	sk = sim_connect(true, 1000, 2000);
}

static void packet(int dir, const char *text, uint32_t flags)
{
	uint32_t len = (uint32_t)strlen(text);
	const void *rec;
	size_t size;

	sim_now_ns += MS;
	sim_packet(sk, dir, next_pos[dir], text, len, flags);
	next_pos[dir] += len;
	while ((rec = sim_record(&size)))
		ck_assert(fixture_record(&p, rec, size));
}

static void in(const char *text)
{
	packet(DIR_IN, text, SIM_PSH);
}

static void out(const char *text)
{
	packet(DIR_OUT, text, SIM_PSH);
}

#define REQUEST "GET / HTTP/1.1\r\n\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* A thread of process 100 reads now. */
static void reads(uint32_t tid)
{
	sim_now_ns += MS;
	sim_owner = (struct rec_owner){
		.task = {.start_ns = 77,
			 .pid = 100,
			 .tid = tid,
			 .inner_pid = 1,
			 .inner_tid = 2,
			 .uid = 33,
			 .comm = "fifteen letters"},
		.read_first_ns = sim_now_ns,
		.read_last_ns = sim_now_ns,
		.netns_cookie = 5,
		.netns = 6,
		.source = OWNER_READ,
		.sender_pid = 100,
		.sender_tid = 103,
	};
}

static void sends(uint32_t tid)
{
	sim_owner = (struct rec_owner){
		.task = {.pid = 200, .tid = tid, .comm = "sender"},
		.connect_ns = 3 * MS,
		.source = OWNER_SENT,
		.sender_pid = 200,
		.sender_tid = tid,
	};
}

static void event(void)
{
	ev = fixture_event(&p);
	ck_assert_ptr_nonnull(ev);
}

#define OWNER(owner_, pid_, tid_)                                                                  \
	do {                                                                                       \
		ck_assert_uint_eq(ev->owner, owner_);                                              \
		ck_assert_uint_eq(ev->pid, pid_);                                                  \
		ck_assert_uint_eq(ev->tid, tid_);                                                  \
	} while (0)

START_TEST(server)
{
	in(REQUEST);
	reads(102);
	sim_now_ns += 4 * MS;
	out(RESPONSE);
	event();
	OWNER(APPMON_OWNER_READ, 100, 102);
	ck_assert_str_eq(ev->comm.data, "fifteen letters");
	ck_assert_uint_eq(ev->comm.len, 15);
	ck_assert_uint_eq(ev->process_start_ns, 77);
	ck_assert_uint_eq(ev->inner_pid, 1);
	ck_assert_uint_eq(ev->inner_tid, 2);
	ck_assert_uint_eq(ev->uid, 33);
	ck_assert_uint_eq(ev->netns_cookie, 5);
	ck_assert_uint_eq(ev->netns_inum, 6);
	ck_assert_uint_eq(ev->response_pid, 100);
	ck_assert_uint_eq(ev->response_tid, 103);
	ck_assert_uint_eq(ev->queue_ns, 1 * MS);
	ck_assert_uint_eq(ev->service_ns, 5 * MS);
	ck_assert_uint_eq(ev->connect_ns, 0);
}
END_TEST

/* A name without NUL is possible in a record. */
START_TEST(unterminated)
{
	in(REQUEST);
	reads(102);
	memset(sim_owner.task.comm, 'x', sizeof(sim_owner.task.comm));
	out(RESPONSE);
	event();
	ck_assert_str_eq(ev->comm.data, "xxxxxxxxxxxxxxxx");
}
END_TEST

START_TEST(not_known)
{
	in(REQUEST);
	out(RESPONSE);
	event();
	OWNER(APPMON_OWNER_UNKNOWN, 0, 0);
	ck_assert_str_eq(ev->comm.data, "");
	ck_assert_uint_eq(ev->queue_ns | ev->service_ns | ev->read_start_ns, 0);
	/* What is known of one exchange says nothing of the next. */
	in(REQUEST);
	reads(102);
	out(RESPONSE);
	event();
	OWNER(APPMON_OWNER_READ, 100, 102);
	memset(&sim_owner, 0, sizeof(sim_owner));
	in(REQUEST);
	out(RESPONSE);
	event();
	OWNER(APPMON_OWNER_UNKNOWN, 0, 0);
}
END_TEST

/* What was read before the request came was another one. */
START_TEST(read_before)
{
	reads(102);
	in(REQUEST);
	out(RESPONSE);
	event();
	ck_assert_uint_eq(ev->queue_ns | ev->service_ns | ev->read_start_ns | ev->read_end_ns, 0);
}
END_TEST

START_TEST(interim)
{
	uint64_t first;

	in("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	reads(102);
	first = sim_now_ns;
	out("HTTP/1.1 100 Continue\r\n\r\n");
	in("body");
	reads(102);
	out(RESPONSE);
	event();
	OWNER(APPMON_OWNER_READ, 100, 102);
	ck_assert_uint_eq(ev->read_start_ns, first);
	ck_assert_uint_eq(ev->read_end_ns, sim_owner.read_last_ns);
	ck_assert_uint_eq(ev->service_ns, ev->response_start_ns - ev->read_end_ns);
}
END_TEST

START_TEST(interim_shared)
{
	in("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	reads(102);
	out("HTTP/1.1 100 Continue\r\n\r\n");
	in("body");
	reads(107);
	out(RESPONSE);
	event();
	OWNER(APPMON_OWNER_READ_SHARED, 100, 107);
}
END_TEST

/* The head was seen to be read, the body was not. */
START_TEST(interim_unread)
{
	in("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	reads(102);
	out("HTTP/1.1 100 Continue\r\n\r\n");
	in("body");
	sends(9);
	out(RESPONSE);
	event();
	OWNER(APPMON_OWNER_READ, 100, 102);
	ck_assert_uint_eq(ev->response_tid, 9);
}
END_TEST

START_TEST(pipelined)
{
	in(REQUEST REQUEST);
	reads(102);
	out(RESPONSE);
	out(RESPONSE);
	event();
	ck_assert_uint_eq(ev->queue_ns, 1 * MS);
	event();
	OWNER(APPMON_OWNER_READ, 100, 102);
	ck_assert_uint_eq(ev->queue_ns | ev->service_ns | ev->read_start_ns | ev->read_end_ns, 0);
}
END_TEST

START_TEST(no_answer)
{
	in(REQUEST);
	reads(102);
	packet(DIR_IN, "", SIM_RST);
	event();
	OWNER(APPMON_OWNER_READ, 100, 102);
	ck_assert_uint_eq(ev->end, APPMON_END_RESET_BY_PEER);
	ck_assert_uint_eq(ev->queue_ns, 1 * MS);
	ck_assert_uint_eq(ev->service_ns, 0);
	ck_assert_uint_eq(ev->response_tid, 0);
}
END_TEST

START_TEST(client)
{
	be_client();
	sends(201);
	out("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n");
	sends(202); /* the head decides */
	out("body");
	in(RESPONSE);
	event();
	OWNER(APPMON_OWNER_SENT, 200, 201);
	ck_assert_uint_eq(ev->connect_ns, 3 * MS);
	ck_assert_uint_eq(ev->response_tid, 0);
	ck_assert_uint_eq(ev->queue_ns | ev->service_ns, 0);
	/* The next one found the connection made. */
	sends(203);
	out(REQUEST);
	in(RESPONSE);
	event();
	OWNER(APPMON_OWNER_SENT, 200, 203);
	ck_assert_uint_eq(ev->connect_ns, 0);
}
END_TEST

/* A client reads responses: that does not make it serve. */
START_TEST(client_reads)
{
	be_client();
	reads(102);
	out(REQUEST);
	in(RESPONSE);
	event();
	OWNER(APPMON_OWNER_UNKNOWN, 0, 0);
}
END_TEST

START_TEST(client_without_answer)
{
	be_client();
	sends(201);
	out(REQUEST);
	sends(202);
	sim_owner.source = OWNER_CONNECTED;
	packet(DIR_IN, "", SIM_RST);
	event();
	OWNER(APPMON_OWNER_SENT, 200, 201);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		server,		unterminated,	       not_known, read_before, interim,
		interim_shared, interim_unread,	       pipelined, no_answer,   client,
		client_reads,	client_without_answer, NULL};

	return unit_run("owner", tests, setup, teardown);
}
