/* SPDX-License-Identifier: BSD-2-Clause */
/* Alerts over series that are made up: conditions, durations, hysteresis, windows. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/alerts.h"
#include "agent/silences.h"
#include "clock.h"
#include "text.h"
#include "unit.h"

START_TEST(conditions)
{
	static const struct {
		const char *text;
		enum alert_metric metric;
		bool below;
		double threshold;
	} valid[] = {
		{"rate < 1/s", ALERT_RATE, true, 1},
		{"rate>2.5", ALERT_RATE, false, 2.5},
		{" error_ratio > 5% ", ALERT_ERROR_RATIO, false, 0.05},
		{"error_ratio > 0.05", ALERT_ERROR_RATIO, false, 0.05},
		{"p99 > 250ms", ALERT_LATENCY, false, 0.25},
		{"p50 < 1us", ALERT_LATENCY, true, 1e-6},
		{"status(503) > 1%", ALERT_STATUS_RATIO, false, 0.01},
		{"status(4xx,none) > 3/s", ALERT_STATUS_RATE, false, 3},
		{"active_requests > 50", ALERT_ACTIVE, false, 50},
		{"active_age > 1.5s", ALERT_ACTIVE_AGE, false, 1.5},
	};
	static const char *const invalid[] = {
		"",
		"rate",
		"rate >",
		"rate = 5",
		"rate > 5/m",
		"rate > -1",
		"rate > 5 6",
		"rate > 5%",
		"error_ratio > 2",
		"error_ratio > 5s",
		"p0 > 1s",
		"p100 > 1s",
		"p99 > 5",
		"p99 > 5%",
		"99 > 1s",
		"p > 1s",
		"status() > 1/s",
		"status(6) > 1/s",
		"status(503 > 1%",
		"latency > 1s",
		"rate > inf",
		"rate > nan",
		"active_requests > 5%",
		"active_requests > 5/s",
		"active_requests > -1",
		"active_age > 5",
		"active_age > 5%",
	};
	struct alert_condition condition = {0};

	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
		ck_assert_msg(alert_condition_parse(&condition, valid[i].text) == 0, "%s",
			      valid[i].text);
		ck_assert_int_eq(condition.metric, valid[i].metric);
		ck_assert_int_eq(condition.below, valid[i].below);
		ck_assert_double_eq_tol(condition.threshold, valid[i].threshold, 1e-12);
	}
	ck_assert_int_eq(alert_condition_parse(&condition, "status(4xx,none) > 3/s"), 0);
	ck_assert(condition.status.status[0] && condition.status.status[404]);
	ck_assert(!condition.status.status[200] && !condition.status.status[503]);
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		ck_assert_msg(alert_condition_parse(&condition, invalid[i]) == -EINVAL, "%s",
			      invalid[i]);
}
END_TEST

/* ---- One rule over a series of values, one a second; -1: there is none ---------- */

static void expect(const struct alert_rule *rule, const double *values, const char *changes)
{
	struct alert_state state = {0};

	for (size_t i = 0; changes[i] != '\0'; i++) {
		uint64_t now = (100 + i) * NSEC_PER_SEC;
		enum alert_change change =
			alert_step(&state, rule, now, values[i] < 0 ? NULL : &values[i]);

		ck_assert_msg(change == (changes[i] == 'F'   ? ALERT_FIRED
					 : changes[i] == 'C' ? ALERT_CLEARED
							     : ALERT_UNCHANGED),
			      "second %zu of %s: %d", i, changes, change);
	}
}

static struct alert_rule rule_of(const char *when, double clear, unsigned for_s, unsigned clear_s)
{
	struct alert_rule rule = {.for_ns = for_s * NSEC_PER_SEC,
				  .clear_for_ns = clear_s * NSEC_PER_SEC,
				  .clear = clear};

	ck_assert_int_eq(alert_condition_parse(&rule.condition, when), 0);
	return rule;
}

START_TEST(at_once)
{
	struct alert_rule rule = rule_of("error_ratio > 10%", 0.1, 0, 0);

	expect(&rule, (double[]){0, 0.1, 0.11, 0.5, 0.1, 0.2, -1, 0.2}, "..F.CFCF");
}
END_TEST

START_TEST(durations)
{
	struct alert_rule rule = rule_of("error_ratio > 10%", 0.1, 3, 2);

	/* It has to hold for three seconds without a break ... */
	expect(&rule, (double[]){.2, .2, .2, .1, .2, .2, .2, .2, .2}, ".......F.");
	/* ... none breaks it ... */
	expect(&rule, (double[]){.2, .2, .2, -1, .2, .2, .2, .2}, ".......F");
	/* ... and to be over for two. */
	expect(&rule, (double[]){.2, .2, .2, .2, .1, .1, .2, .1, .1, .1, .1}, "...F.....C.");
	expect(&rule, (double[]){.2, .2, .2, .2, -1, 0, -1, 0}, "...F..C.");
}
END_TEST

START_TEST(hysteresis)
{
	struct alert_rule above = rule_of("error_ratio > 10%", 0.05, 0, 1);
	struct alert_rule below = rule_of("rate < 10/s", 20, 0, 1);

	/* Between the two it neither begins nor ends. */
	expect(&above, (double[]){.08, .11, .08, .08, .05, .08, .05, .05, .08, .11}, ".F.....C.F");
	expect(&below, (double[]){15, 9, 15, 19, 20, 19, 20, 25, 15, 9}, ".F.....C.F");
}
END_TEST

/* ---- Rules over the aggregator ---------------------------------------------------- */

#define NOTICES 64

static struct appmon_metrics *metrics;
static struct alerts *alerts;
static uint64_t now;
static struct notice {
	bool firing, silenced, has_value;
	char application[32], route[32], reason[64];
	uint64_t cgroup_id;
	double value;
} notices[NOTICES];
static size_t notice_count;

static void note(void *ctx, const struct alert_notice *notice)
{
	struct notice *to = &notices[notice_count++];

	(void)ctx;
	ck_assert_uint_le(notice_count, NOTICES);
	*to = (struct notice){.firing = notice->firing,
			      .silenced = notice->silenced,
			      .has_value = notice->has_value,
			      .value = notice->value,
			      .cgroup_id = notice->cgroup_id};
	snprintf(to->application, sizeof(to->application), "%s", notice->application.data);
	snprintf(to->route, sizeof(to->route), "%s", notice->route.data);
	snprintf(to->reason, sizeof(to->reason), "%s", notice->reason ? notice->reason : "");
}

static void setup(void)
{
	struct appmon_metrics_opts opts = {.size = sizeof(opts), .flags = APPMON_METRICS_NO_JOIN};

	now = now_ns();
	notice_count = 0;
	ck_assert_int_eq(appmon_metrics_open(&metrics, &opts), 0);
}

static void teardown(void)
{
	alerts_close(alerts);
	alerts = NULL;
	appmon_metrics_close(metrics);
}

static struct appmon_str str(const char *text)
{
	return (struct appmon_str){.data = text, .len = (uint32_t)strlen(text)};
}

/* count exchanges that end now. */
static void serve(unsigned count, const char *app, uint64_t cgroup_id, const char *path,
		  unsigned status, uint64_t duration_ms)
{
	struct appmon_event ev = {
		.size = sizeof(ev),
		.protocol = APPMON_PROTO_HTTP1,
		.role = APPMON_ROLE_SERVER,
		.cgroup_id = cgroup_id,
		.connection_id = 1,
		.request_start_ns = now - duration_ms * NSEC_PER_MSEC,
		.request_end_ns = now - duration_ms * NSEC_PER_MSEC,
		.response_start_ns = now,
		.response_end_ns = now,
		.duration_ns = duration_ms * NSEC_PER_MSEC,
		.method = APPMON_METHOD_GET,
		.operation = str("GET"),
		.status = status,
		.outcome = status < 400	  ? APPMON_OUTCOME_OK
			   : status < 500 ? APPMON_OUTCOME_CLIENT_ERROR
					  : APPMON_OUTCOME_SERVER_ERROR,
		.status_text = str(""),
		.path = str(path),
		.request_target = str(path),
		.target_name = str(app),
		.query = str(""),
		.authority = str(""),
		.message = str(""),
		.comm = str(""),
	};

	while (count-- > 0)
		ck_assert_int_eq(appmon_metrics_add(metrics, &ev), 0);
}

static void evaluate_after(unsigned seconds)
{
	struct appmon_snapshot_opts opts = {.size = sizeof(opts)};
	struct appmon_snapshot *snapshot;

	now += seconds * NSEC_PER_SEC;
	opts.now_ns = now;
	ck_assert_int_eq(appmon_metrics_snapshot(metrics, &opts, &snapshot), 0);
	ck_assert_int_eq(alerts_evaluate(alerts, snapshot), 0);
}

static struct alert_rule window_rule(const char *when, unsigned over_s)
{
	struct alert_rule rule = rule_of(when, 0, 0, 0);

	rule.name = "rule";
	rule.when = (char *)when;
	rule.clear = rule.condition.threshold;
	rule.over_ns = over_s * NSEC_PER_SEC;
	rule.role = APPMON_ROLE_SERVER;
	rule.min_requests = 1;
	return rule;
}

START_TEST(error_ratio_over_a_window)
{
	struct alert_rule rule = window_rule("error_ratio > 10%", 10);

	rule.min_requests = 20;
	ck_assert_int_eq(alerts_open(&alerts, &rule, 1, note, NULL), 0);
	serve(10, "shop", 1, "/a", 500, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 0); /* too few to say */
	serve(90, "shop", 1, "/a", 200, 1);
	serve(100, "other", 2, "/a", 200, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 0); /* 10 of 100: not more than 10 % */
	serve(5, "shop", 1, "/b", 503, 1);
	evaluate_after(5);
	/* The first ones have left the window: 5 of 95 from then on. */
	ck_assert_uint_eq(notice_count, 0);
	serve(20, "shop", 1, "/b", 500, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 1);
	ck_assert_str_eq(notices[0].application, "shop");
	ck_assert(notices[0].firing);
	ck_assert_double_eq_tol(notices[0].value, 1, 1e-9); /* 25 of 25 */
	ck_assert_uint_eq(alerts_firing(alerts), 1);
	serve(100, "shop", 1, "/b", 200, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 1); /* 20 of 120 */
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 2); /* 0 of 100 */
	ck_assert(!notices[1].firing && notices[1].has_value);
	ck_assert_uint_eq(alerts_firing(alerts), 0);
}
END_TEST

START_TEST(rate_of_what_is_gone)
{
	struct alert_rule rule = window_rule("rate < 2/s", 10);

	rule.per = ALERT_PER_INSTANCE;
	ck_assert_int_eq(alerts_open(&alerts, &rule, 1, note, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		serve(50, "shop", 1, "/", 200, 1);
		serve(50, "shop", 2, "/", 200, 1);
		evaluate_after(5);
	}
	ck_assert_uint_eq(notice_count, 0);
	for (unsigned i = 0; i < 3; i++) {
		serve(50, "shop", 1, "/", 200, 1);
		evaluate_after(5);
	}
	ck_assert_uint_eq(notice_count, 1);
	ck_assert(notices[0].firing);
	ck_assert_uint_eq(notices[0].cgroup_id, 2);
	ck_assert_double_eq_tol(notices[0].value, 0, 1e-9);
	serve(100, "shop", 2, "/", 200, 1);
	serve(50, "shop", 1, "/", 200, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 2);
	ck_assert(!notices[1].firing);
	ck_assert_double_eq_tol(notices[1].value, 10, 1e-9); /* 100 in 10 s */
}
END_TEST

/* A new instance did not have the whole window. */
START_TEST(rate_of_what_is_new)
{
	struct alert_rule rule = window_rule("rate < 5/s", 60);

	ck_assert_int_eq(alerts_open(&alerts, &rule, 1, note, NULL), 0);
	for (unsigned i = 0; i < 12; i++)
		evaluate_after(5);
	serve(50, "shop", 1, "/", 200, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 0); /* 50 in 5 s */
}
END_TEST

START_TEST(named_but_never_seen)
{
	struct alert_rule rule = window_rule("rate < 1/s", 10);

	rule.application = "checkout";
	rule.for_ns = 10 * NSEC_PER_SEC;
	ck_assert_int_eq(alerts_open(&alerts, &rule, 1, note, NULL), 0);
	serve(50, "shop", 1, "/", 200, 1);
	for (unsigned i = 0; i < 3; i++)
		evaluate_after(5);
	ck_assert_uint_eq(notice_count, 1);
	ck_assert_str_eq(notices[0].application, "checkout");
}
END_TEST

START_TEST(latency_and_routes)
{
	struct alert_rule rule = window_rule("p90 > 100ms", 10);

	rule.per = ALERT_PER_ROUTE;
	rule.application = "sh*";
	ck_assert_int_eq(alerts_open(&alerts, &rule, 1, note, NULL), 0);
	serve(89, "shop", 1, "/fast", 200, 10);
	serve(11, "shop", 2, "/fast", 200, 90);
	serve(89, "shop", 1, "/slow", 200, 10);
	serve(11, "shop", 2, "/slow", 200, 400);
	serve(100, "other", 3, "/slow", 200, 400);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 1);
	ck_assert_str_eq(notices[0].route, "/slow");
	ck_assert_double_eq_tol(notices[0].value, 0.4, 0.4 / 64);
	/* No requests, no quantile. */
	evaluate_after(5);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 2);
	ck_assert_str_eq(notices[1].reason, "too few requests");
}
END_TEST

START_TEST(statuses)
{
	struct alert_rule rules[] = {window_rule("status(503) > 20%", 10),
				     window_rule("status(4xx) > 5/s", 10)};

	ck_assert_int_eq(alerts_open(&alerts, rules, 2, note, NULL), 0);
	serve(74, "shop", 1, "/", 200, 1);
	serve(26, "shop", 1, "/", 404, 1); /* 5.2 a second */
	serve(20, "shop", 1, "/", 503, 1); /* 20 of 120 */
	serve(80, "shop", 1, "/", 500, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 1);
	ck_assert_double_eq_tol(notices[0].value, 5.2, 0.01);
	serve(100, "shop", 1, "/", 503, 1); /* 120 of 300 */
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 3);
	ck_assert_double_eq_tol(notices[1].value, 0.4, 1e-9);
	ck_assert(notices[1].firing && !notices[2].firing);
}
END_TEST

/* With more series than there is room for, requests and errors are counted all the same; a status
 * that is not known is none of those that are asked for. */
START_TEST(too_many_series)
{
	struct alert_rule rules[] = {window_rule("rate > 0", 10),
				     window_rule("status(none) > 0", 10),
				     window_rule("error_ratio > 1%", 10)};
	struct appmon_metrics_opts opts = {
		.size = sizeof(opts), .flags = APPMON_METRICS_NO_JOIN, .max_series = 16};
	struct appmon_metrics_stats stats = {.size = sizeof(stats)};
	char path[16];

	appmon_metrics_close(metrics);
	ck_assert_int_eq(appmon_metrics_open(&metrics, &opts), 0);
	ck_assert_int_eq(alerts_open(&alerts, rules, 3, note, NULL), 0);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "/%c%c", 'a' + i / 10, 'a' + i % 10);
		serve(1, "shop", 1, path, i < 38 ? 200 : 500, 1);
	}
	ck_assert_int_eq(appmon_metrics_get_stats(metrics, &stats), 0);
	ck_assert_uint_gt(stats.other_events, 0);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 2);
	ck_assert_double_eq_tol(notices[0].value, 8, 0.01);
	ck_assert_double_eq_tol(notices[1].value, 0.05, 1e-9);
}
END_TEST

START_TEST(new_rules)
{
	struct alert_rule before = window_rule("error_ratio > 10%", 10);
	struct alert_rule same = before, other = window_rule("error_ratio > 20%", 10);

	ck_assert_int_eq(alerts_open(&alerts, &before, 1, note, NULL), 0);
	serve(10, "shop", 1, "/", 500, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 1);
	same.severity = "page";
	ck_assert_int_eq(alerts_set_rules(alerts, &same, 1), 0);
	evaluate_after(1);
	ck_assert_uint_eq(notice_count, 1); /* goes on */
	ck_assert_uint_eq(alerts_firing(alerts), 1);
	ck_assert_int_eq(alerts_set_rules(alerts, &other, 1), 0);
	ck_assert_uint_eq(notice_count, 2);
	ck_assert(!notices[1].firing);
	ck_assert_str_eq(notices[1].reason, "the rule is gone");
	evaluate_after(1);
	ck_assert_uint_eq(notice_count, 3); /* by the new rule */
	ck_assert(notices[2].firing);
}
END_TEST

/* What is in progress at the moment, whatever the window. */
START_TEST(in_progress)
{
	struct alert_rule rules[] = {window_rule("active_requests > 2", 10),
				     window_rule("active_age > 20s", 10)};
	struct appmon_metrics_opts opts = {.size = sizeof(opts),
					   .flags = APPMON_METRICS_NO_JOIN | APPMON_METRICS_ACTIVE};
	struct appmon_event ev = {.role = APPMON_ROLE_SERVER,
				  .method = APPMON_METHOD_GET,
				  .target_name = str("shop")};

	appmon_metrics_close(metrics);
	ck_assert_int_eq(appmon_metrics_open(&metrics, &opts), 0);
	rules[1].per = ALERT_PER_INSTANCE;
	ck_assert_int_eq(alerts_open(&alerts, rules, 2, note, NULL), 0);
	serve(100, "shop", 1, "/", 200, 1);
	evaluate_after(5);
	ev.request_start_ns = now;
	for (unsigned at = 1; at <= 5; at++) {
		for (ev.cgroup_id = 1; ev.cgroup_id <= (at < 3 ? 2 : 3); ev.cgroup_id++)
			ck_assert_int_eq(appmon_metrics_active(metrics, &ev), 0);
		evaluate_after(5);
		ck_assert_uint_eq(notice_count, at < 3 ? 0 : at < 5 ? 1 : 4);
	}
	ck_assert_str_eq(notices[0].application, "shop");
	ck_assert(notices[0].firing && notices[0].cgroup_id == 0);
	ck_assert_double_eq_tol(notices[0].value, 3, 1e-9);
	ck_assert_double_eq_tol(notices[1].value, 25, 1e-9);
	ck_assert_uint_ne(notices[1].cgroup_id, 0);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 8);
	ck_assert_uint_eq(alerts_firing(alerts), 0);
}
END_TEST

/* What begins while it is silenced is told when the silence ends; of what ends silently no word. */
START_TEST(silences)
{
	struct alert_rule rule = window_rule("error_ratio > 10%", 5);
	static struct silences silent;
	size_t told = 0;

	ck_assert_int_eq(alerts_open(&alerts, &rule, 1, note, NULL), 0);
	alerts_use_silences(alerts, &silent);
	ck_assert_int_eq(silences_set(&silent, "rule", "shop", UINT64_MAX), 0);
	serve(10, "shop", 1, "/a", 500, 1);
	serve(10, "other", 1, "/a", 500, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 2);
	ck_assert_uint_eq(alerts_firing(alerts), 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert(notices[i].silenced == (strcmp(notices[i].application, "shop") == 0));
	/* It goes on, and the silence ends. */
	serve(10, "shop", 1, "/a", 500, 1);
	serve(10, "other", 1, "/a", 500, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 2);
	ck_assert_int_eq(silences_set(&silent, "rule", "shop", 0), 0);
	serve(10, "shop", 1, "/a", 500, 1);
	serve(10, "other", 1, "/a", 500, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 3);
	ck_assert_str_eq(notices[2].application, "shop");
	ck_assert(notices[2].firing && !notices[2].silenced);
	/* Both end; another one begins and ends in silence. */
	ck_assert_int_eq(silences_set(&silent, "rule", "quiet", UINT64_MAX), 0);
	serve(10, "shop", 1, "/a", 200, 1);
	serve(10, "other", 1, "/a", 200, 1);
	serve(10, "quiet", 1, "/a", 500, 1);
	evaluate_after(5);
	serve(10, "quiet", 1, "/a", 200, 1);
	evaluate_after(5);
	ck_assert_uint_eq(notice_count, 7);
	for (size_t i = 3; i < notice_count; i++) {
		ck_assert(notices[i].silenced == (strcmp(notices[i].application, "quiet") == 0));
		told += !notices[i].silenced;
	}
	ck_assert_uint_eq(told, 2);
	ck_assert_uint_eq(alerts_firing(alerts), 0);
	for (int i = 0; i < SILENCES_MAX - 1; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		ck_assert_int_eq(silences_set(&silent, "rule", name, UINT64_MAX), 0);
	}
	ck_assert_int_eq(silences_set(&silent, "rule", "one more", UINT64_MAX), -ENOSPC);
	silences_free(&silent);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {conditions,
				      at_once,
				      durations,
				      hysteresis,
				      error_ratio_over_a_window,
				      rate_of_what_is_gone,
				      rate_of_what_is_new,
				      named_but_never_seen,
				      latency_and_routes,
				      statuses,
				      too_many_series,
				      new_rules,
				      in_progress,
				      silences,
				      NULL};

	return unit_run("alerts", tests, setup, teardown);
}
