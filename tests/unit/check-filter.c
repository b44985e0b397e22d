/* SPDX-License-Identifier: BSD-2-Clause */
/* Which events pass a filter, and that the others are counted. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

static struct fixture p;

static void setup(void)
{
	struct sim_opts opts = {.target = 1, .slot = 0, .capture = 4096, .cgroup_id = 4711};

	fixture_init(&p, &(struct appmon_opts){0});
	sim_start(&opts);
}

static void teardown(void)
{
	ck_assert(fixture_adds_up(&p));
	sim_stop();
	fixture_free(&p);
}

static void say(struct sim_socket *sk, int dir, const char *text)
{
	const void *record;
	size_t size;

	sim_packet(sk, dir, 0, text, (uint32_t)strlen(text), SIM_PSH);
	while ((record = sim_record(&size)))
		ck_assert(fixture_record(&p, record, size));
}

static void exchange(bool client, const char *path, int status, uint64_t ms)
{
	struct sim_socket *sk = sim_connect(client, 1000, 2000);
	char text[256];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
	say(sk, client ? DIR_OUT : DIR_IN, text);
	sim_now_ns += ms * NSEC_PER_MSEC;
	snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", status);
	say(sk, client ? DIR_IN : DIR_OUT, text);
	sim_forget(sk);
}

static void all_kinds(void)
{
	exchange(false, "/api/fast", 200, 1);
	exchange(false, "/api/slow", 200, 100);
	exchange(false, "/api/bad", 404, 1);
	exchange(false, "/broken", 503, 100);
	exchange(true, "/out", 200, 1);
}

/* What is delivered under a filter, in order; the rest is counted. */
static void passes(const struct appmon_filter *filter, const char *const *paths)
{
	uint64_t seen = p.pl.stats.exchanges_seen, filtered = p.pl.stats.filtered;
	uint64_t delivered = p.pl.stats.delivered;
	const struct appmon_event *ev;

	ck_assert_int_eq(filter_set(&p.pl.filter, filter, &p.log), 0);
	all_kinds();
	for (; *paths; paths++) {
		ev = fixture_event(&p);
		ck_assert_msg(ev && !strcmp(ev->path.data, *paths), "%s", *paths);
		delivered++;
	}
	ck_assert_ptr_null(fixture_event(&p));
	ck_assert_uint_eq(p.pl.stats.exchanges_seen, seen + 5);
	ck_assert_uint_eq(p.pl.stats.delivered, delivered);
	ck_assert_uint_eq(p.pl.stats.filtered - filtered + p.pl.stats.delivered,
			  p.pl.stats.exchanges_seen - filtered);
	ck_assert_uint_eq(p.target[0].stats.filtered, p.pl.stats.filtered);
	ck_assert(fixture_adds_up(&p));
}

#define PASSES(filter, ...) passes(filter, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(each_member)
{
	APPMON_OPTS(appmon_filter, everything);
	APPMON_OPTS(appmon_filter, clients, .roles = 1U << APPMON_ROLE_CLIENT);
	APPMON_OPTS(appmon_filter, errors,
		    .outcomes =
			    1U << APPMON_OUTCOME_CLIENT_ERROR | 1U << APPMON_OUTCOME_SERVER_ERROR);
	APPMON_OPTS(appmon_filter, slow, .min_duration_ns = 50 * NSEC_PER_MSEC);
	APPMON_OPTS(appmon_filter, api, .path_prefix = "/api/");
	APPMON_OPTS(appmon_filter, several, .path_prefix = "/api/",
		    .outcomes = 1U << APPMON_OUTCOME_OK, .min_duration_ns = NSEC_PER_MSEC * 50);

	PASSES(&everything, "/api/fast", "/api/slow", "/api/bad", "/broken", "/out");
	PASSES(&clients, "/out");
	PASSES(&errors, "/api/bad", "/broken");
	PASSES(&slow, "/api/slow", "/broken");
	PASSES(&api, "/api/fast", "/api/slow", "/api/bad");
	PASSES(&several, "/api/slow");
	PASSES(NULL, "/api/fast", "/api/slow", "/api/bad", "/broken", "/out");
}
END_TEST

/* What has no duration is the slowest of all. */
START_TEST(without_duration)
{
	APPMON_OPTS(appmon_filter, slow, .min_duration_ns = 50 * NSEC_PER_MSEC);
	struct appmon_event ev = {.size = sizeof(ev), .end = APPMON_END_TIMEOUT};

	ck_assert_int_eq(filter_set(&p.pl.filter, &slow, &p.log), 0);
	ck_assert(filter_passes(&p.pl.filter, &ev));
	ev.duration_ns = 1;
	ck_assert(!filter_passes(&p.pl.filter, &ev));
}
END_TEST

START_TEST(outcomes)
{
	for (uint32_t outcome = 0; outcome <= APPMON_OUTCOME_NO_RESPONSE; outcome++) {
		struct appmon_event ev = {.size = sizeof(ev), .outcome = outcome};

		for (uint32_t bit = 0; bit <= APPMON_OUTCOME_NO_RESPONSE; bit++) {
			APPMON_OPTS(appmon_filter, one, .outcomes = 1U << bit);

			ck_assert_int_eq(filter_set(&p.pl.filter, &one, &p.log), 0);
			ck_assert_msg(filter_passes(&p.pl.filter, &ev) == (bit == outcome),
				      "outcome %u, bit %u", outcome, bit);
		}
	}
}
END_TEST

/* A filter that is refused leaves the one before. */
START_TEST(refused)
{
	APPMON_OPTS(appmon_filter, api, .path_prefix = "/api/s");
	APPMON_OPTS(appmon_filter, roles, .roles = 1U << 3);
	APPMON_OPTS(appmon_filter, unknown, .outcomes = 1U << (APPMON_OUTCOME_NO_RESPONSE + 1));
	struct appmon_filter no_size = {.roles = 1};

	ck_assert_int_eq(filter_set(&p.pl.filter, &api, &p.log), 0);
	ck_assert_int_eq(filter_set(&p.pl.filter, &roles, &p.log), -EINVAL);
	ck_assert_int_eq(filter_set(&p.pl.filter, &unknown, &p.log), -EINVAL);
	ck_assert_int_eq(filter_set(&p.pl.filter, &no_size, &p.log), -EINVAL);
	all_kinds();
	ck_assert_str_eq(fixture_event(&p)->path.data, "/api/slow");
	ck_assert_ptr_null(fixture_event(&p));
}
END_TEST

/* What appmon_next_batch() cannot copy: it was not delivered after all, and counts once. */
START_TEST(lost)
{
	all_kinds();
	ck_assert_ptr_nonnull(fixture_event(&p));
	event_lose(&p.pl);
	ck_assert_uint_eq(p.pl.stats.delivered, 0);
	ck_assert_uint_eq(p.pl.stats.dropped[APPMON_DROP_MEMORY], 1);
	ck_assert_uint_eq(p.target[0].stats.dropped[APPMON_DROP_MEMORY], 1);
	ck_assert(fixture_adds_up(&p));
	ck_assert_str_eq(fixture_event(&p)->path.data, "/api/slow");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {each_member, without_duration, outcomes, refused, lost, NULL};

	return unit_run("filter", tests, setup, teardown);
}
