/* SPDX-License-Identifier: BSD-2-Clause */
/* What the console keeps, within which bounds, and whom it answers. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/access.h"
#include "console/buckets.h"
#include "console/figures.h"
#include "console/history.h"
#include "console/requests.h"
#include "console/views.h"
#include "events.h"
#include "machine-names.h"

/* ---- Buckets ------------------------------------------------------------------------------ */

START_TEST(buckets)
{
	uint32_t before = 0;

	for (uint32_t i = 0; i < BUCKETS; i++) {
		ck_assert_uint_eq(bucket_of(bucket_least(i)), i);
		if (i > 0)
			ck_assert_uint_eq(bucket_of(bucket_least(i) - 1), i - 1);
	}
	ck_assert_uint_eq(bucket_of(UINT64_MAX), BUCKETS - 1);
	for (uint64_t value = 1; value < UINT64_MAX / 3; value = value * 3 / 2 + 1) {
		ck_assert_uint_ge(bucket_of(value), before);
		before = bucket_of(value);
	}
}
END_TEST

static int rising(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

START_TEST(quantiles)
{
	static uint32_t counts[BUCKETS];
	static uint64_t values[10000];
	const double shares[] = {0, 0.01, 0.5, 0.95, 0.99, 1};
	const size_t count = sizeof(values) / sizeof(values[0]);

	memset(counts, 0, sizeof(counts));
	ck_assert_uint_eq(buckets_quantile(counts, 0.5), 0);
	srandom(7);
	for (size_t i = 0; i < count; i++) {
		values[i] = ((uint64_t)random() << 10) >> (random() % 20);
		counts[bucket_of(values[i])]++;
	}
	qsort(values, count, sizeof(*values), rising);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		double exact = (double)values[(size_t)(shares[i] * (double)(count - 1))];

		ck_assert_double_le_tol((double)buckets_quantile(counts, shares[i]),
					exact * 33 / 32, 1);
		ck_assert_double_ge_tol((double)buckets_quantile(counts, shares[i]),
					exact * 31 / 32, 1);
	}
}
END_TEST

/* ---- The history -------------------------------------------------------------------------- */

static struct appmon_metrics *metrics;
static struct history kept;
static struct instances instances;
static uint64_t now;

static void setup(void)
{
	struct appmon_metrics_opts opts = {.size = sizeof(opts),
					   .flags = APPMON_METRICS_NO_JOIN | APPMON_METRICS_ACTIVE,
					   .idle_ms = 20000};

	ck_assert_int_eq(appmon_metrics_open(&metrics, &opts), 0);
	now = 1000 * NSEC_PER_SEC;
	history_init(&kept, 64 << 20, now);
}

static void teardown(void)
{
	history_free(&kept);
	appmon_metrics_close(metrics);
}

static void serve(unsigned count, const char *app, const char *path, uint32_t status,
		  uint64_t duration_ms)
{
	struct appmon_event ev =
		event(app, APPMON_ROLE_SERVER, path, status, now, duration_ms * NSEC_PER_MSEC);

	/* The aggregator looks at headers, too. */
	ev.authority = ev.message = ev.comm = ev.request_target = str("");
	while (count-- > 0)
		ck_assert_int_eq(appmon_metrics_add(metrics, &ev), 0);
}

static void update_after(unsigned seconds)
{
	now += seconds * NSEC_PER_SEC;
	ck_assert_int_eq(history_update(&kept, snap(metrics, now, 0), &instances, NULL, NULL), 0);
}

static struct period since(unsigned seconds)
{
	return (struct period){
		.history = &kept, .from_ns = now - seconds * NSEC_PER_SEC, .to_ns = UINT64_MAX};
}

/* The figures of the group with this text; those that are all 0 if there is none. */
static struct figures of(enum figures_per per, enum subject_text text, const char *name,
			 unsigned seconds)
{
	struct period period = since(seconds);
	struct figures_groups groups;
	struct figures found = {0};

	ck_assert_int_eq(groups_make(&groups, &period, per, NULL), 0);
	for (size_t i = 0; i < groups.count; i++) {
		if (strcmp(groups.list[i]->subject->texts[text], name) == 0) {
			ck_assert_uint_eq(found.requests, 0);
			found = groups.list[i]->figures;
		}
	}
	groups_release(&groups);
	return found;
}

START_TEST(steps)
{
	struct figures f;

	serve(10, "shop", "/a", 200, 5);
	update_after(3);
	/* The step under way is made again, and counts once. */
	serve(5, "shop", "/a", 500, 50);
	update_after(3);
	update_after(4);
	ck_assert_uint_eq(kept.count, 1);
	f = of(PER_APPLICATION, TEXT_APPLICATION, "shop", 60);
	ck_assert_uint_eq(f.requests, 15);
	ck_assert_uint_eq(f.errors, 5);
	ck_assert_uint_eq(f.durations, 15);
	ck_assert_uint_eq(f.duration_sum, (10 * 5 + 5 * 50) * NSEC_PER_MSEC);
	ck_assert_uint_eq(bucket_of(buckets_quantile(f.counts, 0.5)), bucket_of(5 * NSEC_PER_MSEC));
	ck_assert_uint_eq(bucket_of(buckets_quantile(f.counts, 0.9)),
			  bucket_of(50 * NSEC_PER_MSEC));
	serve(7, "shop", "/b", 200, 5);
	update_after(10);
	ck_assert_uint_eq(kept.count, 2);
	/* By time, by interface, by error, by edge. */
	ck_assert_uint_eq(of(PER_APPLICATION, TEXT_APPLICATION, "shop", 9).requests, 7);
	ck_assert_uint_eq(of(PER_APPLICATION, TEXT_APPLICATION, "shop", 60).requests, 22);
	ck_assert_uint_eq(of(PER_INTERFACE, TEXT_ROUTE, "/a", 60).requests, 15);
	ck_assert_uint_eq(of(PER_INTERFACE, TEXT_ROUTE, "/b", 60).requests, 7);
	ck_assert_uint_eq(of(PER_ERROR, TEXT_STATUS, "500", 60).errors, 5);
	ck_assert_uint_eq(of(PER_EDGE, TEXT_PEER, "shop", 60).requests, 22);
	ck_assert_uint_eq(of(PER_EDGE, TEXT_APPLICATION, "(clients)", 60).requests, 22);
}
END_TEST

/* What the aggregator has forgotten is known as long as a step has it, and then no longer. */
START_TEST(an_hour)
{
	serve(3, "shop", "/once", 200, 5);
	update_after(10);
	for (unsigned i = 1; i < 360; i++) {
		serve(1, "shop", "/again", 200, 5);
		update_after(10);
	}
	ck_assert_uint_eq(kept.count, 360);
	ck_assert_uint_eq(of(PER_INTERFACE, TEXT_ROUTE, "/once", 3600).requests, 3);
	ck_assert_uint_eq(of(PER_INTERFACE, TEXT_ROUTE, "/again", 3600).requests, 359);
	ck_assert(!history_is_cut(&kept));
	for (unsigned i = 0; i < 400; i++)
		update_after(10);
	ck_assert_uint_eq(kept.count, HISTORY_STEPS);
	ck_assert_uint_eq(of(PER_INTERFACE, TEXT_ROUTE, "/again", 10000).requests, 0);
	/* Empty steps alone are left. */
	ck_assert_uint_eq(kept.bytes, kept.count * sizeof(struct step));
	ck_assert_uint_eq(kept.free_count, kept.numbers);
}
END_TEST

START_TEST(bounded)
{
	static const size_t bound = 200000;

	kept.max_bytes = bound;
	for (unsigned i = 0; i < 200; i++) {
		char path[32];

		for (char c = 'a'; c <= 'z'; c++) {
			snprintf(path, sizeof(path), "/%c", c);
			serve(1 + i % 7, "shop", path, 200, 1 + i % 50);
		}
		update_after(10);
		ck_assert_uint_le(kept.bytes, bound);
	}
	ck_assert(history_is_cut(&kept));
	ck_assert_uint_gt(kept.count, 10);
	/* What is left is whole. */
	ck_assert_uint_eq(of(PER_INTERFACE, TEXT_ROUTE, "/a", 9).requests, 1 + 199 % 7);
}
END_TEST

/* More of one duration in a step than a bucket's count has room for. */
START_TEST(large_counts)
{
	serve(200000, "shop", "/a", 200, 5);
	update_after(10);
	ck_assert_uint_eq(of(PER_APPLICATION, TEXT_APPLICATION, "shop", 60)
				  .counts[bucket_of(5 * NSEC_PER_MSEC)],
			  200000);
}
END_TEST

START_TEST(in_progress)
{
	struct appmon_event ev = event("shop", APPMON_ROLE_SERVER, "/", 0, now, 0);
	const struct step *step;

	for (unsigned i = 0; i < 3; i++) {
		/* Two methods of one instance are one. */
		ev.method = i ? APPMON_METHOD_GET : APPMON_METHOD_POST;
		ev.operation = str(i ? "GET" : "POST");
		ev.request_start_ns = now - i;
		ck_assert_int_eq(appmon_metrics_active(metrics, &ev), 0);
	}
	update_after(10);
	step = kept.steps[0];
	ck_assert_uint_eq(step->gauge_count, 1);
	ck_assert_uint_eq(step->gauges[0].requests, 3);
	ck_assert_uint_eq(step->gauges[0].oldest_ns, 1000 * NSEC_PER_SEC - 2);
}
END_TEST

static uint64_t member(struct json_object *object, const char *key)
{
	return json_object_get_uint64(json_object_object_get(object, key));
}

static uint64_t sum(struct json_object *list, const char *key)
{
	uint64_t all = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++)
		all += member(json_object_array_get_idx(list, i), key);
	return all;
}

/* 500 series for an hour: the document has all of them, and its parts add up. */
START_TEST(document)
{
	const struct which which = {"shop", APPMON_ROLE_SERVER};
	struct view view = {.instances = &instances};
	static const char *const parts[] = {"steps", "interfaces", "instances", "peers"};
	struct json_object *object;
	char *text = NULL;
	size_t len;
	FILE *out;

	for (unsigned step = 0; step < 360; step++) {
		for (unsigned i = 0; i < 500; i++) {
			char path[32];

			snprintf(path, sizeof(path), "/%c%c", 'a' + i % 25, 'a' + i % 5);
			serve(1, "shop", path, 200 + i / 25, 1 + (i + step) % 40);
		}
		serve(1, "other", "/", 200, 1);
		update_after(10);
	}
	ck_assert_uint_lt(kept.bytes, 40 << 20);
	view.period = since(3600);
	out = open_memstream(&text, &len);
	ck_assert_int_eq(view_application(out, &view, &which), 0);
	fclose(out);
	object = json_tokener_parse(text);
	free(text);
	ck_assert_ptr_nonnull(object);
	ck_assert_uint_eq(member(json_object_object_get(object, "total"), "requests"), 500 * 360);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		ck_assert_uint_eq(sum(json_object_object_get(object, parts[i]), "requests"),
				  500 * 360);
	ck_assert_uint_eq(json_object_array_length(json_object_object_get(object, "interfaces")),
			  25);
	json_object_put(object);
}
END_TEST

/* ---- Requests ------------------------------------------------------------------------------ */

static struct appmon_event request(const char *app, uint32_t role, uint64_t connection,
				   uint32_t status, uint64_t duration_ms)
{
	struct appmon_event ev = event(app, role, "/x", status, now, duration_ms * NSEC_PER_MSEC);

	ev.connection_id = connection;
	ev.ordinal = 1;
	ev.authority = ev.message = ev.comm = ev.request_target = str("");
	ev.resource = ev.request_id = ev.trace_text = ev.system = str("");
	return ev;
}

static void made_for(struct appmon_event *ev, uint64_t connection, uint32_t link)
{
	ev->link = link;
	ev->link_connection_id = connection;
	ev->link_ordinal = 1;
}

static size_t count_kept(const struct requests *requests, unsigned why)
{
	size_t count = 0;

	for (const struct request *r = requests->first; r; r = r->next)
		count += (r->kept & why) != 0;
	return count;
}

/* web asks pay, which fails; web answers 200. The failure is kept with all of them, after a
 * thousand others, too. */
START_TEST(related)
{
	struct appmon_event web = request("web", APPMON_ROLE_SERVER, 1, 200, 30);
	struct appmon_event asks = request("web", APPMON_ROLE_CLIENT, 2, 503, 20);
	struct appmon_event pay = request("pay", APPMON_ROLE_SERVER, 3, 503, 10);
	struct appmon_event other;
	struct requests requests;

	requests_init(&requests, 16 << 20);
	made_for(&asks, 1, APPMON_LINK_THREAD);
	made_for(&pay, 2, APPMON_LINK_PEER);
	ck_assert(requests_is_effect(&web, &asks) && requests_is_effect(&asks, &pay));
	ck_assert(!requests_is_effect(&web, &pay) && !requests_is_effect(&pay, &web));
	requests_add(&requests, &pay);
	requests_add(&requests, &asks);
	requests_add(&requests, &web);
	for (uint64_t i = 0; i < 3000; i++) {
		/* The duration is one of those that are slow no more. */
		other = request("web", APPMON_ROLE_SERVER, 10 + i, 200, 1);
		other.response_end_ns += i * 20 * NSEC_PER_MSEC;
		requests_add(&requests, &other);
	}
	ck_assert_uint_eq(requests.latest_count, REQUESTS_LATEST);
	ck_assert_uint_eq(count_kept(&requests, KEPT_LATEST), REQUESTS_LATEST);
	ck_assert_uint_eq(count_kept(&requests, KEPT_FAILED), 2);
	ck_assert_uint_eq(requests.first->event->connection_id, 3);
	ck_assert_uint_eq(requests.first->next->event->connection_id, 2);
	ck_assert_uint_eq(requests.first->next->next->event->connection_id, 1);
	ck_assert(requests.first->next->next->kept & KEPT_RELATED);
	requests_forget(&requests, UINT64_MAX);
	ck_assert_ptr_null(requests.first);
	ck_assert_uint_eq(requests.bytes, 0);
	ck_assert_uint_eq(requests.latest_count, 0);
	requests_free(&requests);
}
END_TEST

START_TEST(requests_bounded)
{
	struct requests requests;

	requests_init(&requests, 100000);
	for (uint64_t i = 0; i < 5000; i++) {
		struct appmon_event ev = request("web", APPMON_ROLE_SERVER, i, 500, 1 + i);

		ev.response_end_ns += i * NSEC_PER_SEC;
		requests_add(&requests, &ev);
		ck_assert_uint_le(requests.bytes, 100000);
	}
	/* The latest is there. */
	ck_assert_uint_eq(requests.last->event->connection_id, 4999);
	ck_assert_ptr_nonnull(requests_find(&requests, requests.last->number));
	ck_assert_ptr_null(requests_find(&requests, 1));
	requests_free(&requests);
}
END_TEST

/* ---- Access and names ---------------------------------------------------------------------- */

#define TOKEN "0123456789abcdef"

START_TEST(access_to_it)
{
	static const struct {
		const char *token;
		enum access_to to;
		struct access_fields fields;
		unsigned status;
	} cases[] = {
		{NULL, ACCESS_DATA, {.host = "127.0.0.1:9465"}, 200},
		{NULL, ACCESS_DATA, {.host = "localhost"}, 200},
		{NULL, ACCESS_DATA, {.host = "LocalHost:8000"}, 200},
		{NULL, ACCESS_DATA, {.host = "[::1]:9465"}, 200},
		{NULL, ACCESS_DATA, {.host = NULL}, 403},
		{NULL, ACCESS_PAGE, {.host = "example.com:9465"}, 403},
		{NULL, ACCESS_DATA, {.host = "localhost.example.com"}, 403},
		{NULL, ACCESS_DATA, {.host = "localhost:80.example.com"}, 403},
		{NULL, ACCESS_DATA, {.host = "127.0.0.1.example.com:9465"}, 403},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .origin = "http://localhost:1"}, 200},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .origin = "https://localhost:1"}, 200},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .origin = "http://localhost:2"}, 403},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .origin = "http://example.com"}, 403},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .origin = "null"}, 403},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .fetch_site = "same-origin"}, 200},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .fetch_site = "none"}, 200},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .fetch_site = "same-site"}, 403},
		{NULL, ACCESS_DATA, {.host = "localhost:1", .fetch_site = "cross-site"}, 403},
		{NULL, ACCESS_PAGE, {.host = "localhost:1", .fetch_site = "cross-site"}, 200},
		{NULL,
		 ACCESS_CHANGE,
		 {.host = "localhost", .content_type = "application/json"},
		 200},
		{NULL,
		 ACCESS_CHANGE,
		 {.host = "localhost", .content_type = "application/json; charset=utf-8"},
		 200},
		{NULL, ACCESS_CHANGE, {.host = "localhost", .content_type = "text/plain"}, 415},
		{NULL,
		 ACCESS_CHANGE,
		 {.host = "localhost", .content_type = "application/jsonx"},
		 415},
		{NULL, ACCESS_CHANGE, {.host = "localhost"}, 415},
		{TOKEN, ACCESS_PAGE, {.host = "node-7:9465"}, 200},
		{TOKEN, ACCESS_DATA, {.host = "node-7:9465"}, 401},
		{TOKEN, ACCESS_DATA, {.host = "node-7", .authorization = "Bearer " TOKEN}, 200},
		{TOKEN, ACCESS_DATA, {.host = "node-7", .authorization = "bearer " TOKEN}, 200},
		{TOKEN, ACCESS_DATA, {.host = "node-7", .authorization = "Bearer " TOKEN "0"}, 401},
		{TOKEN,
		 ACCESS_DATA,
		 {.host = "node-7", .authorization = "Bearer 0123456789abcdeg"},
		 401},
		{TOKEN, ACCESS_DATA, {.host = "node-7", .authorization = "Bearer "}, 401},
		{TOKEN, ACCESS_DATA, {.host = "node-7", .authorization = TOKEN}, 401},
		{TOKEN, ACCESS_DATA, {.host = "localhost"}, 401},
		{TOKEN,
		 ACCESS_DATA,
		 {.host = "node-7", .origin = "http://evil", .authorization = "Bearer " TOKEN},
		 403},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why;

		ck_assert_msg(access_check(cases[i].token, cases[i].to, &cases[i].fields, &why) ==
				      cases[i].status,
			      "case %zu", i);
	}
}
END_TEST

START_TEST(names)
{
	static const struct {
		const char *path, *comm, *name;
	} cases[] = {
		{"/system.slice/nginx.service", "nginx", "nginx"},
		{"/system.slice/nginx.service/worker", "nginx", "nginx"},
		{"/system.slice/docker-"
		 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope",
		 "node", "0123456789ab"},
		{"/user.slice/user-0.slice/session-4.scope", "python3", "python3"},
		{"/user.slice/user-0.slice/session-4.scope", "", "session-4.scope"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.service", "x",
		 "app-x"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope", "curl",
		 "curl"},
		{"/", "java", "java"},
		{"/", "", "(top)"},
		{"/batch/job7", "sh", "job7"},
		{"1234", "sh", "1234"},
	};
	char buf[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(machine_name(cases[i].path, cases[i].comm, buf, sizeof(buf)),
				 cases[i].name);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {buckets, quantiles,	 steps,	       an_hour,
				      bounded, large_counts,	 in_progress,  document,
				      related, requests_bounded, access_to_it, names,
				      NULL};

	return unit_run("console", tests, setup, teardown);
}
