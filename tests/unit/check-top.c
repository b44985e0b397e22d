/* SPDX-License-Identifier: BSD-2-Clause */
/* What appmon top and topology keep beside the figures: the last minute, single requests, names. */
#include <stdlib.h>
#include <unistd.h>

#include "address-names.h"
#include "events.h"
#include "rows.h"
#include "samples.h"
#include "text.h"
#include "trends.h"

static struct appmon_metrics *metrics;
static struct appmon_snapshot *before, *now;
static struct trends trends;
static struct samples samples;

static void setup(void)
{
	before = now = NULL;
	ck_assert_int_eq(appmon_metrics_open(&metrics, NULL), 0);
}

static void teardown(void)
{
	appmon_snapshot_free(before);
	appmon_snapshot_free(now);
	appmon_metrics_close(metrics);
	trends_free(&trends);
	samples_free(&samples);
}

static void look(uint64_t seconds)
{
	appmon_snapshot_free(before);
	before = now;
	now = snap(metrics, seconds * NSEC_PER_SEC, APPMON_TAKE_WAITING);
	ck_assert_int_eq(trends_add(&trends, now, before), 0);
}

static void add(unsigned count, uint32_t status, uint64_t seconds)
{
	for (unsigned i = 0; i < count; i++) {
		struct appmon_event ev = event("web", APPMON_ROLE_SERVER, "/", status,
					       seconds * NSEC_PER_SEC, NSEC_PER_MSEC);

		ck_assert_int_eq(appmon_metrics_add(metrics, &ev), 0);
	}
}

/* Of all series together; the latest step is the last one. */
static void check_steps(const double expected[TREND_STEPS])
{
	struct trend sum = {0};

	for (uint32_t i = 0; i < appmon_snapshot_count(now, APPMON_SNAPSHOT_SERIES); i++)
		trends_sum(&trends, series(now, i).id, &sum);
	for (size_t i = 0; i < TREND_STEPS; i++)
		ck_assert_double_eq_tol(trends_step(&trends, &sum, i), expected[i], 0.001);
}

/* A minute is ten steps of six seconds; what is older is gone. */
START_TEST(minute)
{
	look(600);
	add(6, 200, 602);
	look(603);
	/* Half of the step is over: as if it went on so. */
	check_steps((double[]){0, 0, 0, 0, 0, 0, 0, 0, 0, 12});
	add(2, 500, 604);
	look(605);
	look(606);
	check_steps((double[]){0, 0, 0, 0, 0, 0, 0, 0, 8, 0});
	look(611);
	look(659);
	check_steps((double[]){8, 0, 0, 0, 0, 0, 0, 0, 0, 0});
	look(660);
	check_steps((double[]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
}
END_TEST

/* What came during a pause is spread over its steps, and what is older than a minute is not shown. */
START_TEST(paused)
{
	look(600);
	add(24, 200, 610);
	look(624);
	check_steps((double[]){0, 0, 0, 0, 0, 6, 6, 6, 6, 0});
	add(400, 200, 700);
	look(1024);
	/* 6 in each whole step; the first one that is kept began at 966. */
	check_steps((double[]){6, 6, 6, 6, 6, 6, 6, 6, 6, 6});
}
END_TEST

START_TEST(failed)
{
	struct trend sum = {0};

	look(600);
	add(3, 500, 601);
	look(602);
	trends_sum(&trends, series(now, 0).id, &sum);
	ck_assert_double_eq_tol(trends_error_share(&trends, &sum, TREND_STEPS - 1), 1, 0.001);
	ck_assert_double_eq_tol(trends_error_share(&trends, &sum, 0), 0, 0.001);
}
END_TEST

static void sample(const char *app, const char *path, uint32_t status, uint64_t seconds)
{
	struct appmon_event ev =
		event(app, APPMON_ROLE_SERVER, path, status, seconds * NSEC_PER_SEC, NSEC_PER_MSEC);

	samples_add(&samples, &ev);
}

static const struct sample *find(char *label, char *status)
{
	const struct row row = {
		.app = "web", .role = APPMON_ROLE_SERVER, .label = label, .status = status};

	return samples_find(&samples, &row);
}

/* An error's sample is the latest that its route fits. */
START_TEST(routes)
{
	sample("web", "/user/7/orders", 500, 1);
	sample("web", "/user/8/orders", 500, 2);
	sample("web", "/user/8", 500, 3);
	sample("web", "/user/9/orders", 503, 4);
	sample("pay", "/user/10/orders", 500, 5);
	ck_assert_str_eq(find("GET /user/{id}/orders", "500")->event->path.data, "/user/8/orders");
	ck_assert_str_eq(find("GET /user/{id}", "500")->event->path.data, "/user/8");
	ck_assert_str_eq(find("GET /user/*", "500")->event->path.data, "/user/8");
	ck_assert_str_eq(find("GET /user/{id}/orders", "503")->event->path.data, "/user/9/orders");
	ck_assert_ptr_null(find("GET /user", "500"));
	ck_assert_ptr_null(find("GET /user/{id}/orders/{id}", "500"));
	ck_assert_ptr_null(find("POST /user/{id}", "500"));
}
END_TEST

/* A storm of one error leaves the others their places. */
START_TEST(storm)
{
	const struct sample *list[SAMPLES_ERRORS + SAMPLES_SLOW];

	sample("web", "/rare", 500, 1);
	for (unsigned i = 0; i < 1000; i++)
		sample("web", "/common", 503, 2 + i);
	ck_assert_ptr_nonnull(find("GET /rare", "500"));
	ck_assert_uint_eq(find("GET /common", "503")->end_ns / NSEC_PER_SEC, 1001);
	ck_assert_uint_eq(samples_list(&samples, "web", APPMON_ROLE_SERVER, list), 17);
}
END_TEST

/* hosts(5): the first name of an address; loopback stays as it is. */
START_TEST(hosts)
{
	static const char text[] = "# a comment\n"
				   "127.0.0.1 localhost\n::1 ip6-localhost\n"
				   "  10.0.0.9\tdb.internal db # the database\n"
				   "10.0.0.9 second\n"
				   "fd00::9 six\n"
				   "10.0.0.300 nonsense\nalone\n#10.0.0.8 off\n";
	struct appmon_endpoint local = {.family = 4, .port = 80, .addr = {127, 0, 0, 1}};
	struct appmon_endpoint six = {.family = 6, .port = 1, .addr = {0xfd, [15] = 9}};
	struct appmon_endpoint db = ipv4(9, 5432), off = ipv4(8, 80);
	char path[] = "/tmp/check-top.XXXXXX";
	struct address_names names = {0};
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	address_names_read_hosts(&names, path);
	unlink(path);
	ck_assert_str_eq(address_names_find(&names, &db)->name, "db.internal");
	ck_assert_str_eq(address_names_find(&names, &six)->name, "six");
	ck_assert_ptr_null(address_names_find(&names, &local));
	ck_assert_ptr_null(address_names_find(&names, &off));
	address_names_free(&names);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {minute, paused, failed, routes, storm, hosts, NULL};

	return unit_run("top", tests, setup, teardown);
}
