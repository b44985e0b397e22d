/* SPDX-License-Identifier: BSD-2-Clause */
/* Who a connection is: told once by each direction, and again when that changed or may be forgotten. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
/* Longer than REC_TELL_TICKS, on any kernel. */
#define LONG_NS (1100 * NSEC_PER_MSEC)

struct talk {
	struct sim_socket *sk;
	uint64_t pos[2];
};

static struct fixture p;
static struct talk one;
static uint32_t told[2], untold[2]; /* records, by DIR_*, since this was set to 0 */
static struct rec_conn_told last;   /* what the last one told */
static uint64_t before_ns;	    /* rec_before.last_ts_ns of the last record of what is sent */
static struct recording *recording;

static void start(const struct appmon_opts *opts)
{
	fixture_init(&p, opts);
	p.pl.ask_programs = sim_ask;
	sim_start(&(struct sim_opts){.target = 1, .capture = 4096, .cgroup_id = 4711});
	one = (struct talk){.sk = sim_connect(false, 1000, 2000)};
	memset(told, 0, sizeof(told));
	memset(untold, 0, sizeof(untold));
}

static void setup(void)
{
	start(&(struct appmon_opts){0});
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	if (one.sk)
		sim_forget(one.sk);
	sim_stop();
	fixture_free(&p);
}

static void restart(const struct appmon_opts *opts)
{
	teardown();
	start(opts);
}

/* The program's records, as the loop takes them. */
static void pump(void)
{
	const void *bytes;
	size_t size;

	while ((bytes = sim_record(&size))) {
		struct record rec;
		int dir;

		ck_assert_int_eq(record_decode(bytes, size, &rec), 0);
		dir = rec.seg.flags & REC_OUT ? DIR_OUT : DIR_IN;
		if (dir == DIR_OUT)
			before_ns = rec.seg.before.last_ts_ns;
		if (rec.seg.flags & REC_CONN) {
			told[dir]++;
			memcpy(&last, (const char *)bytes + sizeof(struct rec), sizeof(last));
		} else {
			untold[dir]++;
			/* A cache line, and the bytes. */
			if (!(rec.seg.flags & REC_BEFORE))
				ck_assert_uint_eq(size, 64 + rec.seg.captured);
		}
		p.pl.stats.records++;
		flow_record(&p.flows, &rec);
		recording_record(recording, &rec);
	}
	ck_assert(fixture_adds_up(&p));
}

static void say(struct talk *t, int dir, const char *text)
{
	sim_now_ns += 10000;
	sim_packet(t->sk, dir, t->pos[dir], text, (uint32_t)strlen(text), SIM_PSH);
	t->pos[dir] += strlen(text);
}

static void counts(uint32_t in_told, uint32_t in_untold, uint32_t out_told, uint32_t out_untold)
{
	ck_assert_uint_eq(told[DIR_IN], in_told);
	ck_assert_uint_eq(untold[DIR_IN], in_untold);
	ck_assert_uint_eq(told[DIR_OUT], out_told);
	ck_assert_uint_eq(untold[DIR_OUT], out_untold);
	memset(told, 0, sizeof(told));
	memset(untold, 0, sizeof(untold));
}

/* Its event, with all that says who the connection is. */
static const struct appmon_event *complete(const struct talk *t, const char *target)
{
	const struct appmon_event *ev = fixture_event(&p);

	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->status, 200);
	ck_assert_str_eq(ev->target_name.data, target);
	ck_assert_uint_eq(ev->connection_id, sim_cookie(t->sk));
	ck_assert_uint_eq(ev->local.port, 80);
	ck_assert_uint_eq(ev->remote.port, 40000 + sim_cookie(t->sk));
	ck_assert_uint_eq(ev->remote.addr[0], 192);
	ck_assert_ptr_null(fixture_event(&p));
	return ev;
}

static void exchange(struct talk *t)
{
	say(t, DIR_IN, GET("/"));
	say(t, DIR_OUT, OK);
	pump();
	ck_assert_uint_eq(complete(t, "one")->cgroup_id, 4711);
}

/* A request whose connection is not known any more. */
static void dropped(struct talk *t, uint32_t reason)
{
	const uint64_t before = p.pl.stats.dropped[reason];

	say(t, DIR_IN, GET("/lost"));
	say(t, DIR_OUT, OK);
	pump();
	ck_assert_ptr_null(fixture_event(&p));
	ck_assert_uint_eq(p.pl.stats.dropped[reason], before + 1);
}

/* Its record finds the ring full; that of the answer says so. */
static void lose_request(void)
{
	sim_lose = 1;
	say(&one, DIR_IN, GET("/lost"));
	say(&one, DIR_OUT, OK);
	pump();
	counts(0, 0, 1, 0);
	ck_assert_uint_eq(last.lost, 1);
	while (fixture_event(&p))
		;
}

START_TEST(once)
{
	for (int i = 0; i < 10; i++)
		exchange(&one);
	counts(1, 9, 1, 9);
	ck_assert_uint_eq(last.conn.cookie, sim_cookie(one.sk));
	ck_assert_uint_eq(last.lost, 0);
	/* However busy it is: the reader may have forgotten it, for lack of memory. */
	for (int i = 0; i < 300; i++) {
		sim_now_ns += LONG_NS / 100;
		exchange(&one);
	}
	ck_assert_uint_ge(told[DIR_IN], 3);
	ck_assert_uint_le(told[DIR_IN], 9);
	ck_assert_uint_eq(told[DIR_IN], told[DIR_OUT]);
}
END_TEST

START_TEST(after_silence)
{
	for (int i = 0; i < 5; i++) {
		exchange(&one);
		counts(1, 0, 1, 0);
		sim_now_ns += LONG_NS;
	}
}
END_TEST

START_TEST(after_a_loss)
{
	exchange(&one);
	exchange(&one);
	counts(1, 1, 1, 1);
	lose_request();
	/* Whoever told it in the tick of the loss tells it once more. */
	sim_now_ns += 50 * NSEC_PER_MSEC;
	exchange(&one);
	counts(1, 0, 1, 0);
	ck_assert_uint_eq(last.lost, 1);
	exchange(&one);
	counts(0, 1, 0, 1);
}
END_TEST

/* The first record of a direction is lost: the next one has all that it would have said. */
START_TEST(first_lost)
{
	lose_request();
	exchange(&one);
	counts(1, 0, 1, 0);
}
END_TEST

START_TEST(sent_again)
{
	const struct appmon_event *ev;

	exchange(&one);
	sim_now_ns += 50 * NSEC_PER_MSEC;
	exchange(&one);
	counts(1, 1, 1, 1);
	say(&one, DIR_IN, GET("/"));
	sim_packet(one.sk, DIR_OUT, one.pos[DIR_OUT] - 2, "ok", 2, SIM_PSH);
	say(&one, DIR_OUT, OK);
	pump();
	ev = complete(&one, "one");
	ck_assert_uint_eq(ev->retransmits, 1);
	counts(0, 1, 1, 0);
	ck_assert_uint_eq(last.retrans, 1);
	/* And what arrives again. */
	sim_now_ns += 50 * NSEC_PER_MSEC;
	exchange(&one);
	exchange(&one);
	memset(&last, 0, sizeof(last));
	say(&one, DIR_IN, GET("/"));
	sim_packet(one.sk, DIR_IN, one.pos[DIR_IN] - 4, "\r\n\r\n", 4, SIM_PSH);
	say(&one, DIR_OUT, OK);
	pump();
	ck_assert_uint_eq(complete(&one, "one")->peer_retransmits, 1);
	ck_assert_uint_eq(last.dup, 1);
}
END_TEST

START_TEST(another_owner)
{
	exchange(&one);
	sim_nest(&(struct sim_opts){.target = 2, .slot = 1, .capture = 4096, .cgroup_id = 4712});
	sim_now_ns += 50 * NSEC_PER_MSEC;
	say(&one, DIR_IN, GET("/"));
	say(&one, DIR_OUT, OK);
	pump();
	complete(&one, "two");
	counts(2, 0, 2, 0);
}
END_TEST

/* A record tells when the bytes before it passed, if none has told of those: what TCP did not push. */
START_TEST(untold_before)
{
	static char body[6000];

	/* After this one its responses are scanned. */
	say(&one, DIR_IN, GET("/"));
	say(&one, DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
	say(&one, DIR_OUT, "ok");
	pump();
	complete(&one, "one");
	ck_assert_uint_eq(before_ns, 0);
	for (int pushed = 0; pushed < 2; pushed++) {
		say(&one, DIR_IN, GET("/"));
		say(&one, DIR_OUT, "HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n");
		sim_now_ns += NSEC_PER_MSEC;
		sim_packet(one.sk, DIR_OUT, one.pos[DIR_OUT], body, sizeof(body),
			   pushed ? SIM_PSH : 0);
		one.pos[DIR_OUT] += sizeof(body);
		pump();
		sim_now_ns += 5 * NSEC_PER_MSEC;
		say(&one, DIR_IN, GET("/"));
		say(&one, DIR_OUT, OK);
		pump();
		ck_assert_uint_eq(before_ns, pushed ? 0 : sim_now_ns - 5 * NSEC_PER_MSEC - 20000);
		ck_assert_ptr_nonnull(fixture_event(&p));
		complete(&one, "one");
	}
}
END_TEST

/* More connections than there is memory for: each is met again by its next request. */
START_TEST(little_memory)
{
	static struct talk many[300];
	const uint32_t count = sizeof(many) / sizeof(many[0]);

	restart(&(struct appmon_opts){.memory_limit = 65536});
	for (uint32_t i = 0; i < count; i++)
		many[i] = (struct talk){.sk = sim_connect(false, i, 7 * i)};
	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t i = 0; i < count; i++)
			exchange(&many[i]);
	ck_assert_uint_lt(p.flows.count, count);
	ck_assert_uint_eq(p.pl.stats.delivered, 3 * count);
	for (uint32_t i = 0; i < count; i++)
		sim_forget(many[i].sk);
}
END_TEST

/* For lack of memory, while the programs do not hear that they are asked. */
static void forget(struct talk *other)
{
	exchange(&one);
	exchange(other);
	p.pl.ask_programs = NULL;
	ck_assert(p.pl.pool.evict(p.pl.pool.evict_ctx));
	ck_assert_uint_eq(p.flows.count, 1);
}

/* Who was forgotten a moment ago is known all the same. */
START_TEST(remembered)
{
	struct talk other = {.sk = sim_connect(false, 10, 20)};

	for (int i = 0; i < 3; i++) {
		forget(&other);
		exchange(&one);
	}
	sim_forget(other.sk);
}
END_TEST

/* And behind many others: what was in the ring when the reader forgot it is lost. */
START_TEST(forgotten_too_late)
{
	struct talk other = {.sk = sim_connect(false, 10, 20)};

	forget(&other);
	memset(p.flows.remembered, 0, sizeof(p.flows.remembered));
	dropped(&one, APPMON_DROP_MEMORY);
	p.pl.ask_programs = sim_ask;
	flows_forgot(&p.flows, APPMON_DROP_MEMORY);
	/* Without that a second is the longest time. */
	forget(&other);
	memset(p.flows.remembered, 0, sizeof(p.flows.remembered));
	dropped(&one, APPMON_DROP_MEMORY);
	sim_now_ns += LONG_NS;
	exchange(&one);
	sim_forget(other.sk);
}
END_TEST

START_TEST(detached_meanwhile)
{
	exchange(&one);
	say(&one, DIR_IN, GET("/late"));
	flows_drop_target(&p.flows, &p.target[0]);
	p.pl.target[0] = NULL;
	pump();
	ck_assert_uint_eq(p.pl.stats.dropped[APPMON_DROP_DETACHED], 1);
	p.pl.target[0] = &p.target[0];
}
END_TEST

/* Those that may still be silent about themselves are not forgotten for their age. */
START_TEST(idle_at_least)
{
	restart(&(struct appmon_opts){.idle_timeout_ms = 1});
	exchange(&one);
	flows_expire(&p.flows, sim_now_ns + 1900 * NSEC_PER_MSEC);
	ck_assert_uint_eq(p.flows.count, 1);
	flows_expire(&p.flows, sim_now_ns + 2100 * NSEC_PER_MSEC);
	ck_assert_uint_eq(p.flows.count, 0);
	sim_now_ns += 2100 * NSEC_PER_MSEC;
	exchange(&one);
}
END_TEST

/* A request that meets a socket which its application has closed. */
START_TEST(closed)
{
	exchange(&one);
	sim_packet(one.sk, DIR_OUT, one.pos[DIR_OUT], NULL, 0, SIM_FIN);
	sim_close(one.sk);
	pump();
	ck_assert_uint_eq(p.flows.count, 0);
	say(&one, DIR_IN, GET("/late"));
	pump();
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, 2);
	ck_assert_uint_eq(p.flows.count, 1);
}
END_TEST

/* It begins where all connections are known, and holds who they are. */
START_TEST(recorded_from_the_middle)
{
	struct replay_entry entry;
	struct replay *replay;
	uint32_t records = 0;
	int fd, err;
	bool bad;

	exchange(&one);
	counts(1, 0, 1, 0);
	fd = memfd_create("recording", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	recording = recording_new(&p.log, fd, 0);
	ck_assert_ptr_nonnull(recording);
	exchange(&one);
	exchange(&one);
	counts(0, 2, 0, 2);
	recording_free(recording);
	recording = NULL;
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(replay_open(&replay, fd, &p.log), 0);
	flows_destroy(&p.flows);
	ck_assert_int_eq(flows_init(&p.flows, &p.pl, &(struct appmon_opts){.idle_timeout_ms = 1}),
			 0);
	while ((err = replay_next(replay, &entry, &bad)) == 1) {
		ck_assert_uint_eq(entry.type, RECORDING_RECORD);
		ck_assert_uint_eq(entry.record.conn.remote_port, 40000 + sim_cookie(one.sk));
		flow_record(&p.flows, &entry.record);
		if (records++ % 2)
			complete(&one, "one");
	}
	ck_assert_int_eq(err, -ENODATA);
	ck_assert_uint_eq(records, 4);
	replay_free(replay);
	close(fd);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {once,
				      after_silence,
				      after_a_loss,
				      first_lost,
				      sent_again,
				      another_owner,
				      untold_before,
				      little_memory,
				      remembered,
				      forgotten_too_late,
				      detached_meanwhile,
				      idle_at_least,
				      closed,
				      recorded_from_the_middle,
				      NULL};

	return unit_run("known", tests, setup, teardown);
}
