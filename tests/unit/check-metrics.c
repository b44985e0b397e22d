/* SPDX-License-Identifier: BSD-2-Clause */
/* The aggregator's series and snapshots, against a simple model and by what the header says. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "events.h"

#define SEC UINT64_C(1000000000)
#define MSEC UINT64_C(1000000)

static struct appmon_metrics *m;
static uint64_t seed;

static void setup(void)
{
	m = NULL;
	seed = 4711;
}

static void teardown(void)
{
	appmon_metrics_close(m);
}

static uint32_t next_random(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % below;
}

static void open_with(struct appmon_metrics_opts opts)
{
	opts.size = sizeof(opts);
	opts.flags |= APPMON_METRICS_NO_JOIN;
	ck_assert_int_eq(appmon_metrics_open(&m, &opts), 0);
}

#define OPEN(...) open_with((struct appmon_metrics_opts){__VA_ARGS__})

static void add(const char *app, uint32_t role, const char *path, uint32_t status, uint64_t start,
		uint64_t duration)
{
	struct appmon_event ev = event(app, role, path, status, start, duration);

	ck_assert_int_eq(appmon_metrics_add(m, &ev), 0);
}

static uint64_t total(const struct appmon_snapshot *s, uint32_t kind)
{
	uint64_t requests = 0;

	for (uint32_t i = 0; i < appmon_snapshot_count(s, kind); i++)
		requests += figures(s, kind, i, NULL).requests;
	return requests;
}

START_TEST(one_series)
{
	struct appmon_snapshot *s;
	struct appmon_series key;
	struct appmon_figures f;

	OPEN(.idle_ms = UINT32_MAX);
	add("shop", APPMON_ROLE_SERVER, "/cart/17", 200, 10 * SEC, 8 * MSEC);
	add("shop", APPMON_ROLE_SERVER, "/cart/18", 200, 11 * SEC, 4 * MSEC);
	s = snap(m, 12 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_time(s), 12 * SEC);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 1);
	key = series(s, 0);
	ck_assert_str_eq(key.app.data, "shop");
	ck_assert_str_eq(key.route.data, "/cart/{id}");
	ck_assert_str_eq(key.method_name.data, "GET");
	ck_assert_str_eq(key.peer_app.data, "");
	ck_assert_uint_eq(key.route.len, 10);
	ck_assert_uint_eq(key.role, APPMON_ROLE_SERVER);
	ck_assert_uint_eq(key.protocol, APPMON_PROTO_HTTP1);
	ck_assert_uint_eq(key.status, 200);
	ck_assert_uint_eq(key.outcome, APPMON_OUTCOME_OK);
	ck_assert_str_eq(key.status_text.data, "200");
	ck_assert_uint_eq(key.cgroup_id, 77);
	ck_assert_uint_eq(key.peer.family, 0);
	f = figures(s, APPMON_SNAPSHOT_SERIES, 0, NULL);
	ck_assert_uint_eq(f.requests, 2);
	ck_assert_uint_eq(f.errors, 0);
	ck_assert_uint_eq(f.request_bytes, 220);
	ck_assert_uint_eq(f.response_bytes, 6400);
	ck_assert_uint_eq(f.duration_count, 2);
	ck_assert_uint_eq(f.duration_sum, 12 * MSEC);
	ck_assert_uint_eq(f.duration_max, 8 * MSEC);
	ck_assert_uint_eq(f.request_sum, 3 * MSEC);
	ck_assert_uint_eq(f.wait_count, 2);
	ck_assert_uint_eq(f.wait_sum, 3 * MSEC);
	ck_assert_uint_eq(f.response_sum, 6 * MSEC);
	ck_assert_uint_eq(f.first_ns, 10 * SEC + 8 * MSEC);
	ck_assert_uint_eq(f.last_ns, 11 * SEC + 4 * MSEC);
	appmon_snapshot_free(s);
}
END_TEST

/* Queue and service time: of the events where the read was seen. */
START_TEST(queue_and_service)
{
	struct appmon_event ev = event("a", APPMON_ROLE_SERVER, "/", 200, SEC, 10 * MSEC);
	struct appmon_snapshot *s;
	struct appmon_figures f;

	OPEN(0);
	appmon_metrics_add(m, &ev);
	ev.read_start_ns = ev.read_end_ns = SEC + 3 * MSEC;
	ev.queue_ns = 3 * MSEC;
	ev.service_ns = 2 * MSEC;
	appmon_metrics_add(m, &ev);
	s = snap(m, 2 * SEC, 0);
	f = figures(s, APPMON_SNAPSHOT_SERIES, 0, NULL);
	ck_assert_uint_eq(f.requests, 2);
	ck_assert_uint_eq(f.service_count, 1);
	ck_assert_uint_eq(f.queue_sum, 3 * MSEC);
	ck_assert_uint_eq(f.service_sum, 2 * MSEC);
	appmon_snapshot_free(s);
}
END_TEST

static struct appmon_histogram *histogram_of(const struct appmon_snapshot *s,
					     const struct appmon_snapshot *since, uint32_t time)
{
	struct appmon_histogram *h;

	ck_assert_int_eq(appmon_histogram_new(&h), 0);
	ck_assert_int_eq(appmon_snapshot_histogram(s, APPMON_SNAPSHOT_SERIES, 0, since, time, h),
			 0);
	return h;
}

static void check_histogram(const struct appmon_snapshot *s, const struct appmon_snapshot *since,
			    uint32_t time, uint64_t count, uint64_t sum)
{
	struct appmon_histogram *h = histogram_of(s, since, time);

	ck_assert_uint_eq(appmon_histogram_count(h), count);
	ck_assert_uint_eq(appmon_histogram_sum(h), sum);
	appmon_histogram_free(h);
}

/* Histograms of them, where they are asked for: of the same events, all and since. A time of 0 counts. */
START_TEST(queue_and_service_histograms)
{
	static const uint64_t queues[] = {0, 1, 40, 3 * MSEC, 2 * SEC};
	struct appmon_event ev = event("a", APPMON_ROLE_SERVER, "/", 200, SEC, 10 * MSEC);
	struct appmon_snapshot *then = NULL, *s;
	struct appmon_histogram *h;

	for (unsigned on = 0; on <= 1; on++) {
		appmon_metrics_close(m);
		OPEN(.flags = on ? APPMON_METRICS_SERVICE : 0);
		ev.read_start_ns = 0;
		appmon_metrics_add(m, &ev);
		for (unsigned i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
			if (i == 2)
				then = snap(m, 2 * SEC, 0);
			ev.read_start_ns = ev.request_start_ns + queues[i];
			ev.queue_ns = queues[i];
			ev.service_ns = 7 * SEC - queues[i];
			appmon_metrics_add(m, &ev);
		}
		s = snap(m, 3 * SEC, 0);
		check_histogram(s, NULL, APPMON_TIME_DURATION, 6, 60 * MSEC);
		check_histogram(s, NULL, APPMON_TIME_QUEUE, on ? 5 : 0,
				on ? 41 + 3 * MSEC + 2 * SEC : 0);
		check_histogram(s, NULL, APPMON_TIME_SERVICE, on ? 5 : 0,
				on ? 33 * SEC - 3 * MSEC - 41 : 0);
		check_histogram(s, then, APPMON_TIME_DURATION, 3, 30 * MSEC);
		check_histogram(s, then, APPMON_TIME_QUEUE, on ? 3 : 0,
				on ? 40 + 3 * MSEC + 2 * SEC : 0);
		h = histogram_of(s, NULL, APPMON_TIME_QUEUE);
		ck_assert_uint_eq(appmon_histogram_count_at_most(h, 39), on ? 2 : 0);
		ck_assert_uint_eq(appmon_histogram_quantile(h, 0.6), on ? 40 : 0);
		ck_assert_int_eq(appmon_snapshot_histogram(s, APPMON_SNAPSHOT_SERIES, 0, NULL,
							   APPMON_TIME_SERVICE + 1, h),
				 -EINVAL);
		appmon_histogram_free(h);
		appmon_snapshot_free(then);
		appmon_snapshot_free(s);
	}
}
END_TEST

/* Each part of the key makes a series of its own, if it is asked for. */
START_TEST(dimensions)
{
	static const struct {
		uint32_t dimensions, series;
	} table[] = {
		{APPMON_DIM_NONE, 1},
		{APPMON_DIM_INSTANCE, 2},
		{APPMON_DIM_PID, 2},
		{APPMON_DIM_PEER, 2},
		{APPMON_DIM_METHOD, 2},
		{APPMON_DIM_ROUTE, 2},
		{APPMON_DIM_STATUS, 2},
		{APPMON_DIM_CLIENT, 1},
		{APPMON_DIM_METHOD | APPMON_DIM_ROUTE, 3},
		{APPMON_DIM_DEFAULT, 6},
		{APPMON_DIM_DEFAULT | APPMON_DIM_PID, 7},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct appmon_event ev[7];
		struct appmon_snapshot *s;

		OPEN(.dimensions = table[i].dimensions);
		for (int j = 0; j < 7; j++)
			ev[j] = event("a", APPMON_ROLE_CLIENT, "/", 200, SEC, MSEC);
		ev[1].cgroup_id++;
		ev[2].pid++;
		ev[3].remote.port++;
		ev[4].method = APPMON_METHOD_PUT;
		ev[5].path = str("/other");
		ev[6].status = 204;
		for (int j = 0; j < 7; j++)
			appmon_metrics_add(m, &ev[j]);
		s = snap(m, 2 * SEC, 0);
		ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES),
				  table[i].series);
		ck_assert_uint_eq(total(s, APPMON_SNAPSHOT_SERIES), 7);
		appmon_snapshot_free(s);
		appmon_metrics_close(m);
		m = NULL;
	}
}
END_TEST

/* A sender chooses method names: they must not make series. */
START_TEST(unknown_methods)
{
	struct appmon_event ev = event("a", APPMON_ROLE_SERVER, "/", 200, SEC, MSEC);
	struct appmon_snapshot *s;

	OPEN(0);
	ev.method = APPMON_METHOD_OTHER;
	ev.operation = str("BREW");
	appmon_metrics_add(m, &ev);
	ev.operation = str("PROPFIND");
	appmon_metrics_add(m, &ev);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 1);
	ck_assert_str_eq(series(s, 0).method_name.data, "_OTHER");
	appmon_snapshot_free(s);
}
END_TEST

static void check_asked(uint32_t index, const struct appmon_snapshot *s, const char *system,
			const char *operation, const char *route, const char *resource,
			const char *database)
{
	struct appmon_series key = series(s, index);

	ck_assert_str_eq(key.system.data, system);
	ck_assert_str_eq(key.operation.data, operation);
	ck_assert_str_eq(key.route.data, route);
	ck_assert_str_eq(key.resource.data, resource);
	ck_assert_str_eq(key.resource_namespace.data, database);
}

/* HTTP, gRPC and databases are told apart, and each by what it is asked. */
START_TEST(systems)
{
	struct appmon_event http = event("a", APPMON_ROLE_SERVER, "/shop.Cart/Add", 200, SEC, MSEC);
	struct appmon_event grpc = http, sql = http, redis = http;
	struct appmon_snapshot *s;

	OPEN(0);
	http.protocol = grpc.protocol = APPMON_PROTO_HTTP2;
	appmon_metrics_add(m, &http);
	grpc.system = str("grpc");
	grpc.operation_type = APPMON_OP_CALL;
	grpc.operation = str("shop.Cart/Add");
	appmon_metrics_add(m, &grpc);
	sql.protocol = APPMON_PROTO_POSTGRESQL;
	sql.path = str("");
	sql.system = str("postgresql");
	sql.operation = str("SELECT");
	sql.query_summary = str("SELECT orders customers");
	sql.resource = str("orders");
	sql.resource_namespace = str("shop");
	appmon_metrics_add(m, &sql);
	sql.resource_namespace = str("archive");
	appmon_metrics_add(m, &sql);
	sql.operation = str("COMMIT");
	sql.query_summary = sql.resource = str("");
	appmon_metrics_add(m, &sql);
	redis.protocol = APPMON_PROTO_RESP;
	redis.path = str("");
	redis.system = str("redis");
	redis.operation = str("get");
	redis.operation_type = APPMON_OP_READ;
	redis.resource = str("secret:17");
	appmon_metrics_add(m, &redis);
	redis.operation = str("Get");
	appmon_metrics_add(m, &redis);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 6);
	check_asked(0, s, "", "", "/shop.Cart/Add", "", "");
	check_asked(1, s, "grpc", "shop.Cart/Add", "shop.Cart/Add", "", "");
	check_asked(2, s, "postgresql", "SELECT", "SELECT orders customers", "orders", "shop");
	check_asked(3, s, "postgresql", "SELECT", "SELECT orders customers", "orders", "archive");
	check_asked(4, s, "postgresql", "COMMIT", "COMMIT", "", "archive");
	check_asked(5, s, "redis", "GET", "GET", "", "");
	ck_assert_uint_eq(figures(s, APPMON_SNAPSHOT_SERIES, 5, NULL).requests, 2);
	appmon_snapshot_free(s);
}
END_TEST

/* Clients choose the words of RESP's commands, too: what no server took makes no series. */
START_TEST(unknown_commands)
{
	struct appmon_event ev = event("a", APPMON_ROLE_SERVER, "", 200, SEC, MSEC);
	struct appmon_snapshot *s;

	OPEN(0);
	ev.protocol = APPMON_PROTO_RESP;
	ev.system = str("redis");
	ev.operation_type = APPMON_OP_OTHER;
	ev.operation = str("info");
	appmon_metrics_add(m, &ev);
	ev.outcome = APPMON_OUTCOME_CLIENT_ERROR;
	ev.operation = str("brew");
	appmon_metrics_add(m, &ev);
	ev.operation = str("pour");
	appmon_metrics_add(m, &ev);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 2);
	check_asked(0, s, "redis", "INFO", "INFO", "", "");
	check_asked(1, s, "redis", "_OTHER", "_OTHER", "", "");
	appmon_snapshot_free(s);
}
END_TEST

static int teapots(void *ctx, const struct appmon_event *ev)
{
	ck_assert_ptr_eq(ctx, &seed);
	return ev->status == 418 ? 1 : ev->status == 500 ? 0 : -1;
}

START_TEST(errors)
{
	static const uint32_t statuses[] = {0, 101, 200, 302, 404, 418, 500, 503};
	static const struct {
		struct appmon_metrics_opts opts;
		uint32_t role;
		const char *wrong; /* by the statuses above */
	} table[] = {
		{{0}, APPMON_ROLE_SERVER, "x.....xx"},
		{{0}, APPMON_ROLE_CLIENT, "x...xxxx"},
		{{.server_errors = APPMON_ERROR_CLIENT}, APPMON_ROLE_SERVER, "....xx.."},
		{{.server_errors = APPMON_ERROR_CLIENT}, APPMON_ROLE_CLIENT, "x...xxxx"},
		{{.client_errors = APPMON_ERROR_NO_RESPONSE | APPMON_ERROR_SERVER},
		 APPMON_ROLE_CLIENT,
		 "x.....xx"},
		{{.server_errors = APPMON_ERROR_NEVER}, APPMON_ROLE_SERVER, "........"},
		{{.error_fn = teapots, .error_ctx = &seed}, APPMON_ROLE_SERVER, "x....x.x"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct appmon_snapshot *s;

		open_with(table[i].opts);
		for (size_t j = 0; j < 8; j++)
			add("a", table[i].role, "/", statuses[j], SEC + j, MSEC);
		s = snap(m, 2 * SEC, 0);
		for (uint32_t j = 0; j < 8; j++) {
			ck_assert_uint_eq(series(s, j).status, statuses[j]);
			ck_assert_uint_eq(figures(s, APPMON_SNAPSHOT_SERIES, j, NULL).errors,
					  table[i].wrong[j] == 'x');
		}
		appmon_snapshot_free(s);
		appmon_metrics_close(m);
		m = NULL;
	}
}
END_TEST

/* No status tells whether an answer is an error, but the outcome that the protocol sets. */
START_TEST(outcomes)
{
	struct appmon_snapshot *s;
	struct appmon_event ev;

	OPEN(0);
	/* One that a newer library may have is none of those that are counted. */
	for (uint32_t i = 0; i <= APPMON_OUTCOME_NO_RESPONSE + 1; i++) {
		ev = event("cache", APPMON_ROLE_SERVER, "", 0, SEC + i, MSEC);
		ev.protocol = APPMON_PROTO_RESP;
		ev.outcome = i;
		ev.status_text = str("WRONGTYPE");
		ck_assert_int_eq(appmon_metrics_add(m, &ev), 0);
		s = snap(m, 2 * SEC, 0);
		ck_assert_uint_eq(series(s, i).outcome, i);
		ck_assert_str_eq(series(s, i).status_text.data, "WRONGTYPE");
		ck_assert_uint_eq(figures(s, APPMON_SNAPSHOT_SERIES, i, NULL).errors,
				  i >= APPMON_OUTCOME_SERVER_ERROR &&
					  i <= APPMON_OUTCOME_NO_RESPONSE);
		appmon_snapshot_free(s);
	}
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(total(s, APPMON_SNAPSHOT_SERIES), APPMON_OUTCOME_NO_RESPONSE + 2);
	appmon_snapshot_free(s);
}
END_TEST

static int by_host(void *ctx, const struct appmon_event *ev, char *buf, size_t size)
{
	ck_assert_ptr_eq(ctx, &seed);
	ck_assert_uint_eq(size, 255);
	if (ev->path.data[1] == 'x')
		return -1;
	if (ev->path.data[1] == 'l') {
		memset(buf, 'r', size);
		return (int)size + 100;
	}
	memcpy(buf, "mine", 4);
	return 4;
}

static void assert_route(const char *path, const char *route)
{
	struct appmon_snapshot *s;
	uint32_t count;

	add("a", APPMON_ROLE_SERVER, path, 200, SEC, MSEC);
	s = snap(m, 2 * SEC, 0);
	count = appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES);
	ck_assert_str_eq(series(s, count - 1).route.data, route);
	appmon_snapshot_free(s);
}

START_TEST(routes)
{
	char longest[300], most[256];

	memset(longest, 'r', sizeof(longest));
	longest[0] = '/';
	longest[299] = '\0';
	OPEN(.route_fn = by_host, .route_ctx = &seed);
	assert_route("/x/17", "/x/{id}");
	assert_route("/y/17", "mine");
	memset(most, 'r', sizeof(most));
	most[255] = '\0';
	assert_route("/l", most);
	appmon_metrics_close(m);

	OPEN(.flags = APPMON_METRICS_RAW_ROUTES);
	assert_route("/x/17", "/x/17");
	most[0] = '/';
	assert_route(longest, most);
	appmon_metrics_close(m);

	OPEN(0);
	for (int i = 0; i < 64; i++) {
		char path[8];

		snprintf(path, sizeof(path), "/u/n%d", i);
		assert_route(path, path);
	}
	assert_route("/u/eve", "/u/{param}");
	assert_route("/u/n0", "/u/{param}");
	assert_route(longest, "/*");
}
END_TEST

/* A flood of keys: the bound holds, every event is counted, applications keep their sums. */
START_TEST(bounded)
{
	uint64_t by_app[2] = {0}, other = 0;
	struct appmon_snapshot *s;
	struct appmon_metrics_stats st;

	OPEN(.max_series = 64, .memory_limit = 1 << 20);
	for (int i = 0; i < 100000; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/p%u", next_random(1000000));
		add(i % 4 ? "big" : "small", APPMON_ROLE_SERVER, path, 100 + next_random(900), SEC,
		    next_random(UINT32_MAX));
	}
	st = stats(m);
	ck_assert_uint_eq(st.events, 100000);
	ck_assert_uint_le(st.series, 64);
	ck_assert_uint_le(st.memory_bytes, st.memory_limit);
	ck_assert_uint_eq(st.memory_limit, 1 << 20);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_le(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 64);
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES); i++) {
		struct appmon_series key = series(s, i);
		uint64_t requests = figures(s, APPMON_SNAPSHOT_SERIES, i, NULL).requests;

		by_app[strcmp(key.app.data, "small") == 0] += requests;
		if (key.flags & APPMON_SERIES_OTHER) {
			ck_assert_uint_eq(key.status, 0);
			ck_assert_str_eq(key.route.data, "");
			ck_assert_uint_eq(key.role, APPMON_ROLE_SERVER);
			other += requests;
		}
	}
	ck_assert_uint_eq(by_app[0], 75000);
	ck_assert_uint_eq(by_app[1], 25000);
	ck_assert_uint_eq(other, st.other_events);
	ck_assert_uint_gt(other, 0);
	appmon_snapshot_free(s);
}
END_TEST

/* Many applications, too, and edges. */
START_TEST(bounded_applications)
{
	struct appmon_snapshot *s;
	struct appmon_metrics_stats st;
	uint64_t other = 0;

	OPEN(.max_series = 32, .memory_limit = 1 << 20);
	for (int i = 0; i < 1000; i++) {
		char app[16];

		snprintf(app, sizeof(app), "app%d", i);
		add(app, APPMON_ROLE_SERVER, "/", 200, SEC, MSEC);
	}
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_le(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 32);
	ck_assert_uint_le(appmon_snapshot_count(s, APPMON_SNAPSHOT_EDGES), 16);
	ck_assert_uint_eq(total(s, APPMON_SNAPSHOT_SERIES), 1000);
	ck_assert_uint_eq(total(s, APPMON_SNAPSHOT_EDGES), 1000);
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_EDGES); i++)
		if (edge(s, i).flags & APPMON_SERIES_OTHER)
			other += figures(s, APPMON_SNAPSHOT_EDGES, i, NULL).requests;
	st = stats(m);
	ck_assert_uint_eq(other, st.other_exchanges);
	ck_assert_uint_eq(other, 1000 - 15);
	appmon_snapshot_free(s);
}
END_TEST

/* Where memory ends before the number of series does. */
START_TEST(memory_bound)
{
	struct appmon_snapshot *s;
	struct appmon_metrics_stats st;

	OPEN(.max_series = 5000, .memory_limit = 1 << 20, .flags = APPMON_METRICS_RAW_ROUTES);
	for (int i = 0; i < 20000; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/%d", i % 4000);
		/* of every magnitude: histograms grow as far as they can */
		add("a", APPMON_ROLE_SERVER, path, 200, SEC, UINT64_C(1) << next_random(40));
	}
	st = stats(m);
	ck_assert_uint_le(st.memory_bytes, 1 << 20);
	ck_assert_uint_lt(st.series, 4000);
	ck_assert_uint_gt(st.series, 100);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(total(s, APPMON_SNAPSHOT_SERIES), 20000);
	appmon_snapshot_free(s);
}
END_TEST

/* The tables leave most of any limit to series, and of one that means "any" take little. */
START_TEST(tables_fit)
{
	static const uint64_t limits[] = {1 << 20, (1 << 20) + 1, 17 << 20, 64 << 20, UINT64_MAX};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct appmon_metrics_opts opts = {
			.size = sizeof(opts), .memory_limit = limits[i], .max_series = 16};

		ck_assert_int_eq(appmon_metrics_open(&m, &opts), 0);
		ck_assert_uint_le(stats(m).memory_bytes, limits[i] / 4);
		ck_assert_uint_le(stats(m).memory_bytes, 128 << 20);
		appmon_metrics_close(m);
	}
	m = NULL;
}
END_TEST

START_TEST(expiry)
{
	struct appmon_snapshot *first, *s;
	uint64_t id;

	OPEN(.idle_ms = 1000, .max_series = 16);
	add("a", APPMON_ROLE_SERVER, "/old", 200, 10 * SEC, MSEC);
	add("a", APPMON_ROLE_SERVER, "/new", 200, 11 * SEC, MSEC);
	first = snap(m, 11 * SEC, 0);
	id = series(first, 0).id;
	s = snap(m, 11 * SEC + 500 * MSEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 1);
	ck_assert_str_eq(series(s, 0).route.data, "/new");
	/* The edge had an event meanwhile. */
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_EDGES), 1);
	ck_assert_uint_eq(stats(m).expired_series, 1);
	ck_assert_uint_eq(stats(m).expired_events, 1);
	appmon_snapshot_free(s);
	/* It comes back as another one, and counts from 0. */
	add("a", APPMON_ROLE_SERVER, "/old", 200, 12 * SEC, MSEC);
	s = snap(m, 12 * SEC, 0);
	ck_assert_uint_ne(series(s, 1).id, id);
	ck_assert_uint_eq(figures(s, APPMON_SNAPSHOT_SERIES, 1, first).requests, 1);
	ck_assert_uint_eq(figures(first, APPMON_SNAPSHOT_SERIES, 0, NULL).requests, 1);
	appmon_snapshot_free(s);
	appmon_snapshot_free(first);
	/* A full table gets room from what is idle, without a snapshot. */
	for (int i = 0; i < 15; i++) {
		char path[8];

		snprintf(path, sizeof(path), "/f%c", 'a' + i);
		add("a", APPMON_ROLE_SERVER, path, 200, 13 * SEC, MSEC);
	}
	add("a", APPMON_ROLE_SERVER, "/late", 200, 20 * SEC, MSEC);
	s = snap(m, 20 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 1);
	ck_assert_str_eq(series(s, 0).route.data, "/late");
	appmon_snapshot_free(s);
}
END_TEST

/* ---- random operations against a model ------------------------------------------------ */

#define KEYS 40
#define KEPT 4
#define EVENTS_MAX 60000

struct model {
	uint64_t requests, errors, bytes, sum, last_ns;
	uint32_t values; /* of durations of this life */
	bool alive;
};

/* What was true when a snapshot was taken. */
static struct kept {
	struct appmon_snapshot *snapshot;
	struct model model[KEYS];
	uint32_t life[KEYS];
} kept[KEPT];
static struct model model[KEYS];
static uint32_t life[KEYS];
static uint64_t duration_of[KEYS][EVENTS_MAX];

static uint32_t key_of(const struct appmon_series *s)
{
	return (uint32_t)atoi(s->route.data + strlen("/key")) * 2 + (s->role == APPMON_ROLE_CLIENT);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void compare_durations(const struct appmon_snapshot *s, uint32_t i,
			      const struct appmon_snapshot *since, uint32_t key, uint32_t from,
			      uint32_t to)
{
	static uint64_t sorted[EVENTS_MAX];
	struct appmon_histogram *h;
	uint32_t n = to - from;

	ck_assert_int_eq(appmon_histogram_new(&h), 0);
	ck_assert_int_eq(appmon_snapshot_durations(s, APPMON_SNAPSHOT_SERIES, i, since, h), 0);
	ck_assert_uint_eq(appmon_histogram_count(h), n);
	if (n) {
		uint64_t exact, got = appmon_histogram_quantile(h, 0.5), most;

		memcpy(sorted, duration_of[key] + from, n * sizeof(sorted[0]));
		qsort(sorted, n, sizeof(sorted[0]), by_value);
		exact = sorted[(n + 1) / 2 - 1];
		most = sorted[n - 1];
		ck_assert_uint_le(got > exact ? got - exact : exact - got, exact / 64);
		got = appmon_histogram_max(h);
		ck_assert_uint_le(got > most ? got - most : most - got, most / 64);
	}
	appmon_histogram_free(h);
}

static void compare(const struct kept *now, const struct kept *then)
{
	const struct appmon_snapshot *s = now->snapshot, *since = then ? then->snapshot : NULL;
	uint32_t alive = 0, found = appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES);

	for (uint32_t k = 0; k < KEYS; k++)
		alive += now->model[k].alive;
	ck_assert_uint_eq(found, alive);
	for (uint32_t i = 0; i < found; i++) {
		struct appmon_series key = series(s, i);
		struct appmon_figures f = figures(s, APPMON_SNAPSHOT_SERIES, i, since);
		uint32_t k = key_of(&key);
		struct model zero = {0}, a = now->model[k], b = zero;

		ck_assert(a.alive);
		if (then && then->model[k].alive && then->life[k] == now->life[k])
			b = then->model[k];
		ck_assert_uint_eq(f.requests, a.requests - b.requests);
		ck_assert_uint_eq(f.errors, a.errors - b.errors);
		ck_assert_uint_eq(f.response_bytes, a.bytes - b.bytes);
		ck_assert_uint_eq(f.duration_sum, a.sum - b.sum);
		ck_assert_uint_eq(f.duration_count, a.values - b.values);
		ck_assert_uint_eq(f.last_ns, a.last_ns);
		/* The values are kept for the present life only. */
		if (now->life[k] == life[k])
			compare_durations(s, i, since, k, b.values, a.values);
	}
}

static void model_event(uint64_t now)
{
	/* Status classes are always told apart: one for each key. */
	uint32_t k = next_random(KEYS), class = k / 2 % 6, status = 100 * class + next_random(2);
	uint64_t duration = (uint64_t)1 << next_random(34);
	struct model *mo = &model[k];
	struct appmon_event ev;
	char path[16];

	duration += next_random((uint32_t)(duration < UINT32_MAX ? duration : UINT32_MAX));
	if (!class)
		status = 0;
	snprintf(path, sizeof(path), "/key%u", k / 2);
	ev = event("a", k & 1 ? APPMON_ROLE_CLIENT : APPMON_ROLE_SERVER, path, status,
		   now - duration, duration);
	if (!status)
		ev.request_end_ns = now;
	ev.response_bytes = next_random(100000);
	ck_assert_int_eq(appmon_metrics_add(m, &ev), 0);
	if (!mo->alive) {
		*mo = (struct model){.alive = true};
		life[k]++;
	}
	mo->requests++;
	mo->errors += !status || status >= 500 || (status >= 400 && k & 1);
	mo->bytes += ev.response_bytes;
	mo->last_ns = now;
	if (status) {
		mo->sum += duration;
		duration_of[k][mo->values++] = duration;
	}
}

START_TEST(random_operations)
{
	uint64_t now = 1000 * SEC, events = 0, requests = 0;
	struct appmon_metrics_stats st;

	OPEN(.dimensions = APPMON_DIM_ROUTE, .idle_ms = 3000);
	for (int step = 0; step < 400; step++) {
		struct kept *k = &kept[next_random(KEPT)];

		for (uint32_t i = next_random(200); i; i--, events++)
			model_event(now += next_random(5) * MSEC);
		if (next_random(10) == 0)
			now += 4 * SEC;
		appmon_snapshot_free(k->snapshot);
		k->snapshot = snap(m, now, 0);
		for (uint32_t i = 0; i < KEYS; i++)
			if (model[i].last_ns < now - 3 * SEC)
				model[i].alive = false;
		memcpy(k->model, model, sizeof(model));
		memcpy(k->life, life, sizeof(life));
		compare(k, NULL);
		for (int j = 0; j < KEPT; j++)
			if (kept[j].snapshot)
				compare(k, &kept[j]);
		st = stats(m);
		requests = total(k->snapshot, APPMON_SNAPSHOT_SERIES);
		ck_assert_uint_eq(st.events, events);
		ck_assert_uint_eq(st.events, requests + st.waiting + st.expired_events);
	}
	for (int j = 0; j < KEPT; j++) {
		appmon_snapshot_free(kept[j].snapshot);
		kept[j].snapshot = NULL;
	}
}
END_TEST

/* ---- the rest ---------------------------------------------------------------------------- */

START_TEST(exemplars)
{
	static const struct appmon_header header = {
		.name = {.data = "traceparent", .len = 11},
		.value = {.data = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			  .len = 55}};
	static const char *const bad[] = {
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
		"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01"};
	struct appmon_event ev = event("a", APPMON_ROLE_SERVER, "/", 200, SEC, 5 * MSEC);
	struct appmon_exemplar ex = {.size = sizeof(ex)};
	struct appmon_header wrong = header;
	struct appmon_snapshot *s;

	OPEN(0);
	ev.headers = &wrong;
	ev.header_count = 1;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		wrong.value = str(bad[i]);
		ev.request_start_ns += 2 * SEC;
		ev.response_end_ns += 2 * SEC;
		appmon_metrics_add(m, &ev);
	}
	s = snap(m, ev.response_end_ns, 0);
	ck_assert_int_eq(appmon_snapshot_exemplar(s, APPMON_SNAPSHOT_SERIES, 0, &ex), -ENODATA);
	appmon_snapshot_free(s);
	ev.headers = &header;
	ev.response_end_ns += 2 * SEC;
	appmon_metrics_add(m, &ev);
	s = snap(m, ev.response_end_ns, 0);
	ck_assert_int_eq(appmon_snapshot_exemplar(s, APPMON_SNAPSHOT_SERIES, 0, &ex), 0);
	ck_assert_uint_eq(ex.trace_id[0], 0x0a);
	ck_assert_uint_eq(ex.trace_id[15], 0x9c);
	ck_assert_uint_eq(ex.span_id[0], 0xb7);
	ck_assert_uint_eq(ex.span_id[7], 0x31);
	ck_assert_uint_eq(ex.duration_ns, 5 * MSEC);
	ck_assert_uint_eq(ex.end_ns, ev.response_end_ns);
	ck_assert_int_eq(appmon_snapshot_exemplar(s, APPMON_SNAPSHOT_SERIES, 1, &ex), -ENOENT);
	appmon_snapshot_free(s);
}
END_TEST

START_TEST(refusals)
{
	struct appmon_metrics *const poison = (void *)0x5a5a;
	struct appmon_metrics *bad = poison, *two;
	struct appmon_snapshot *s, *later, *foreign, *kept_snapshot = (void *)0x5a5a;
	struct appmon_figures f = {.size = 3};
	struct appmon_series key = {.size = sizeof(key)};
	struct appmon_snapshot_opts take = {.size = sizeof(take), .flags = 0x80};
	struct {
		struct appmon_metrics_opts opts;
		uint64_t newer;
	} o = {.opts.size = sizeof(o), .newer = 1};
	static const struct appmon_metrics_opts out_of_range[] = {
		{.size = sizeof(*out_of_range), .flags = 0x80},
		{.size = sizeof(*out_of_range), .dimensions = 0x100},
		{.size = sizeof(*out_of_range), .max_series = 15},
		{.size = sizeof(*out_of_range), .max_series = 1000001},
		{.size = sizeof(*out_of_range), .memory_limit = (1 << 20) - 1},
		{.size = sizeof(*out_of_range), .server_errors = 0x80},
		{.size = 3},
	};

	ck_assert_int_eq(appmon_metrics_open(NULL, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(out_of_range) / sizeof(out_of_range[0]); i++)
		ck_assert_int_eq(appmon_metrics_open(&bad, &out_of_range[i]), -EINVAL);
	ck_assert_int_eq(appmon_metrics_open(&bad, &o.opts), -E2BIG);
	o.newer = 0;
	o.opts.memory_limit = 1 << 20;
	o.opts.max_series = 1000000;
	ck_assert_int_eq(appmon_metrics_open(&bad, &o.opts), -ENOMEM);
	ck_assert_ptr_eq(bad, poison);

	OPEN(0);
	ck_assert_int_eq(appmon_metrics_open(&two, NULL), 0);
	add("a", APPMON_ROLE_SERVER, "/", 200, SEC, MSEC);
	ck_assert_int_eq(appmon_metrics_add(m, NULL), -EINVAL);
	ck_assert_int_eq(appmon_metrics_add(NULL, NULL), -EINVAL);
	ck_assert_int_eq(appmon_metrics_snapshot(m, &take, &kept_snapshot), -EINVAL);
	ck_assert_ptr_eq(kept_snapshot, (void *)0x5a5a);
	s = snap(m, 2 * SEC, 0);
	later = snap(m, 2 * SEC, 0);
	foreign = snap(two, 2 * SEC, 0);
	ck_assert_int_eq(appmon_snapshot_figures(s, APPMON_SNAPSHOT_SERIES, 0, NULL, &f), -EINVAL);
	f.size = sizeof(f);
	ck_assert_int_eq(appmon_snapshot_figures(s, APPMON_SNAPSHOT_SERIES, 0, later, &f), -EINVAL);
	ck_assert_int_eq(appmon_snapshot_figures(s, APPMON_SNAPSHOT_SERIES, 0, foreign, &f),
			 -EINVAL);
	ck_assert_int_eq(appmon_snapshot_figures(s, APPMON_SNAPSHOT_SERIES, 1, NULL, &f), -ENOENT);
	ck_assert_int_eq(appmon_snapshot_figures(s, 2, 0, NULL, &f), -ENOENT);
	ck_assert_int_eq(appmon_snapshot_series(s, 1, &key), -ENOENT);
	ck_assert_int_eq(appmon_snapshot_series(s, 0, NULL), -EINVAL);
	ck_assert_uint_eq(appmon_snapshot_count(s, 2), 0);
	ck_assert_uint_eq(appmon_snapshot_count(NULL, 0), 0);
	ck_assert_uint_eq(f.requests, 0);
	/* An older host's struct gets what it has room for. */
	f.size = offsetof(struct appmon_figures, errors);
	f.errors = 99;
	ck_assert_int_eq(appmon_snapshot_figures(s, APPMON_SNAPSHOT_SERIES, 0, NULL, &f), 0);
	ck_assert_uint_eq(f.requests, 1);
	ck_assert_uint_eq(f.errors, 99);
	appmon_metrics_close(two);
	appmon_snapshot_free(s);
	appmon_snapshot_free(later);
	appmon_snapshot_free(foreign);
	appmon_snapshot_free(NULL);
	appmon_metrics_close(NULL);
}
END_TEST

/* A snapshot outlives the aggregator. */
START_TEST(independent)
{
	struct appmon_snapshot *s;

	OPEN(0);
	add("a", APPMON_ROLE_SERVER, "/x", 200, SEC, MSEC);
	s = snap(m, 2 * SEC, 0);
	add("a", APPMON_ROLE_SERVER, "/x", 200, SEC, MSEC);
	ck_assert_uint_eq(figures(s, APPMON_SNAPSHOT_SERIES, 0, NULL).requests, 1);
	appmon_metrics_close(m);
	m = NULL;
	ck_assert_str_eq(series(s, 0).route.data, "/x");
	appmon_snapshot_free(s);
}
END_TEST

/* ---- series are told apart by what they are called outside --------------------------- */

/* A method that could not be read is "_OTHER" outside, as one that is not known. */
START_TEST(unread_method)
{
	struct appmon_event ev = event("a", APPMON_ROLE_SERVER, "", 400, SEC, MSEC);
	struct appmon_snapshot *s;

	OPEN(0);
	ev.method = APPMON_METHOD_OTHER;
	appmon_metrics_add(m, &ev);
	ev.method = APPMON_METHOD_UNKNOWN;
	ev.flags = APPMON_EVF_MALFORMED;
	appmon_metrics_add(m, &ev);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 1);
	ck_assert_str_eq(series(s, 0).method_name.data, "_OTHER");
	ck_assert_uint_eq(figures(s, APPMON_SNAPSHOT_SERIES, 0, NULL).requests, 2);
	appmon_snapshot_free(s);
}
END_TEST

/* What lies in the address of a peer whose family is not known tells no series apart. */
START_TEST(unknown_peer)
{
	struct appmon_event ev = event("a", APPMON_ROLE_CLIENT, "/", 200, SEC, MSEC);
	struct appmon_snapshot *s;

	OPEN(0);
	ev.local.family = ev.remote.family = 0;
	appmon_metrics_add(m, &ev);
	ev.remote.port = 81;
	ev.remote.addr[0] = 11;
	appmon_metrics_add(m, &ev);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 1);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_EDGES), 1);
	appmon_snapshot_free(s);
}
END_TEST

/* A response whose request nobody saw is no request. */
START_TEST(without_request)
{
	struct appmon_event ev = event("a", APPMON_ROLE_SERVER, "", 203, SEC, MSEC);
	struct appmon_snapshot *s;

	OPEN(0);
	ev.method = APPMON_METHOD_UNKNOWN;
	ev.operation = str("");
	ev.request_start_ns = ev.request_end_ns = ev.duration_ns = ev.request_ns = 0;
	ev.flags = APPMON_EVF_MID_MESSAGE;
	appmon_metrics_add(m, &ev);
	add("a", APPMON_ROLE_SERVER, "/x", 200, SEC, MSEC);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 1);
	ck_assert_uint_eq(total(s, APPMON_SNAPSHOT_EDGES), 1);
	ck_assert_str_eq(series(s, 0).route.data, "/x");
	ck_assert_uint_eq(stats(m).events, 2);
	ck_assert_uint_eq(stats(m).without_request, 1);
	appmon_snapshot_free(s);
}
END_TEST

static uint64_t even(void *ctx, const struct appmon_event *ev)
{
	(void)ctx;
	return ev->cgroup_id / 2 * 2;
}

/* A cgroup that takes the place of another one: the host says that they are one instance. */
START_TEST(instances)
{
	struct appmon_event ev = event("a", APPMON_ROLE_SERVER, "/", 200, SEC, MSEC);
	struct appmon_snapshot *s;

	OPEN(.instance_fn = even, .flags = APPMON_METRICS_ACTIVE);
	for (ev.cgroup_id = 10; ev.cgroup_id < 14; ev.cgroup_id++) {
		appmon_metrics_add(m, &ev);
		appmon_metrics_active(m, &ev);
	}
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), 2);
	ck_assert_uint_eq(series(s, 0).cgroup_id, 10);
	ck_assert_uint_eq(series(s, 1).cgroup_id, 12);
	ck_assert_uint_eq(figures(s, APPMON_SNAPSHOT_SERIES, 0, NULL).requests, 2);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_ACTIVE), 2);
	ck_assert_uint_eq(active(s, 1).cgroup_id, 12);
	ck_assert_uint_eq(active(s, 1).requests, 2);
	appmon_snapshot_free(s);
}
END_TEST

/* The series of an application that have a route, and what went to its "other". */
static uint32_t own_series(const struct appmon_snapshot *s, const char *app, uint64_t *ret_other)
{
	uint32_t own = 0;

	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES); i++) {
		if (strcmp(series(s, i).app.data, app) != 0)
			continue;
		if (series(s, i).flags & APPMON_SERIES_OTHER)
			*ret_other += figures(s, APPMON_SNAPSHOT_SERIES, i, NULL).requests;
		else
			own++;
	}
	return own;
}

/* Several applications flood the table with paths, one after the other; others that come later have
 * their series all the same, and so do edges. */
START_TEST(shares)
{
	struct appmon_event ev = event("crawler", APPMON_ROLE_CLIENT, "/", 200, SEC, MSEC);
	struct appmon_snapshot *s;
	uint64_t other = 0;
	char text[32];

	OPEN(.flags = APPMON_METRICS_RAW_ROUTES);
	for (int i = 0; i < 40000; i++) {
		char app[2] = {(char)('a' + i / 10000), '\0'};

		snprintf(text, sizeof(text), "/p%d", i);
		add(app, APPMON_ROLE_SERVER, text, 200, SEC, MSEC);
		ev.remote.port = (uint16_t)(i + 1);
		appmon_metrics_add(m, &ev);
	}
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "/quiet%d", i);
		add("quiet", APPMON_ROLE_SERVER, text, 200, SEC, MSEC);
	}
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(own_series(s, "quiet", &other), 20);
	ck_assert_uint_eq(other, 0);
	ck_assert_uint_gt(own_series(s, "a", &other), 1000);
	ck_assert_uint_gt(other, 0);
	ck_assert_uint_eq(total(s, APPMON_SNAPSHOT_SERIES), 80020);
	other = 0;
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_EDGES); i++)
		other += strcmp(edge(s, i).server_app.data, "quiet") == 0;
	ck_assert_uint_eq(other, 1);
	appmon_snapshot_free(s);
}
END_TEST

/* More applications than there is room for: what is left over is by role. */
START_TEST(other_by_role)
{
	struct appmon_snapshot *s;
	uint64_t other[3] = {0};

	OPEN(.max_series = 16);
	for (int i = 0; i < 100; i++) {
		char app[16];

		snprintf(app, sizeof(app), "app%d", i);
		add(app, i % 4 ? APPMON_ROLE_SERVER : APPMON_ROLE_CLIENT, "/", 200, SEC, MSEC);
	}
	s = snap(m, 2 * SEC, 0);
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES); i++)
		other[series(s, i).role] += figures(s, APPMON_SNAPSHOT_SERIES, i, NULL).requests;
	ck_assert_uint_eq(other[APPMON_ROLE_CLIENT], 25);
	ck_assert_uint_eq(other[APPMON_ROLE_SERVER], 75);
	appmon_snapshot_free(s);
}
END_TEST

/* ---- what is in progress ------------------------------------------------------------- */

static struct appmon_event hanging(const char *app, uint64_t start_ns)
{
	struct appmon_event ev = event(app, APPMON_ROLE_SERVER, "/", 0, start_ns, 0);

	ev.request_end_ns = 0;
	return ev;
}

static struct appmon_snapshot *snap_active(uint64_t now_ns, const struct appmon_event *ev,
					   int count)
{
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(appmon_metrics_active(m, ev), 0);
	return snap(m, now_ns, 0);
}

START_TEST(active_requests)
{
	struct appmon_event ev = hanging("hangs", 3 * SEC);
	struct appmon_active row = {.size = sizeof(row)};
	struct appmon_figures f = {.size = sizeof(f)};
	struct appmon_snapshot *s;

	OPEN(.flags = APPMON_METRICS_ACTIVE, .idle_ms = 60000);
	add("well", APPMON_ROLE_SERVER, "/a", 200, SEC, MSEC);
	add("well", APPMON_ROLE_SERVER, "/b", 500, SEC, MSEC);
	ck_assert_int_eq(appmon_metrics_active(m, &ev), 0);
	ev.request_start_ns = 2 * SEC;
	s = snap_active(10 * SEC, &ev, 4);
	/* One row an instance and method, with what has no event yet, and with 0. */
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_ACTIVE), 2);
	row = active(s, 0);
	ck_assert_str_eq(row.app.data, "hangs");
	ck_assert_uint_eq(row.requests, 5);
	ck_assert_uint_eq(row.oldest_ns, 2 * SEC);
	ck_assert_uint_eq(row.cgroup_id, 77);
	ck_assert_uint_eq(row.role, APPMON_ROLE_SERVER);
	ck_assert_str_eq(row.method_name.data, "GET");
	ck_assert_str_eq(active(s, 1).app.data, "well");
	ck_assert_uint_eq(active(s, 1).requests, 0);
	ck_assert_uint_eq(active(s, 1).oldest_ns, 0);
	ck_assert_uint_eq(total(s, APPMON_SNAPSHOT_SERIES), 2);
	ck_assert_int_eq(appmon_snapshot_active(s, 2, &row), -ENOENT);
	ck_assert_int_eq(appmon_snapshot_figures(s, APPMON_SNAPSHOT_ACTIVE, 0, NULL, &f), -ENOENT);
	appmon_snapshot_free(s);
	/* It counts for one snapshot; the row stays for a while. */
	s = snap_active(11 * SEC, &ev, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_ACTIVE), 2);
	ck_assert_uint_eq(active(s, 0).requests, 0);
	appmon_snapshot_free(s);
	/* One that hangs is not idle, however long. */
	for (uint64_t at = 30; at < 300; at += 30) {
		s = snap_active(at * SEC, &ev, 1);
		ck_assert_uint_eq(active(s, 0).requests, 1);
		appmon_snapshot_free(s);
	}
	s = snap_active(400 * SEC, &ev, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_ACTIVE), 0);
	appmon_snapshot_free(s);
	/* Nor one that is new on a machine that has been up for long. */
	s = snap_active(4000 * SEC, &ev, 1);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_ACTIVE), 1);
	appmon_snapshot_free(s);
}
END_TEST

/* The bound holds; what is in progress is counted. */
START_TEST(active_bounded)
{
	struct appmon_snapshot *s;
	uint64_t sum = 0;

	OPEN(.flags = APPMON_METRICS_ACTIVE, .max_series = 64);
	for (int i = 0; i < 1000; i++) {
		char app[16];
		struct appmon_event ev;

		snprintf(app, sizeof(app), "app%d", i);
		ev = hanging(app, SEC);
		ck_assert_int_eq(appmon_metrics_active(m, &ev), 0);
	}
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_le(appmon_snapshot_count(s, APPMON_SNAPSHOT_ACTIVE), 16);
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_ACTIVE); i++)
		sum += active(s, i).requests;
	ck_assert_uint_eq(sum, 1000);
	appmon_snapshot_free(s);
}
END_TEST

START_TEST(active_refused)
{
	struct appmon_event ev = hanging("a", SEC);
	struct appmon_snapshot *s;

	OPEN(0);
	ck_assert_int_eq(appmon_metrics_active(m, &ev), -EINVAL);
	s = snap(m, 2 * SEC, 0);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_ACTIVE), 0);
	appmon_snapshot_free(s);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {one_series,
				      queue_and_service,
				      queue_and_service_histograms,
				      dimensions,
				      unknown_methods,
				      systems,
				      unknown_commands,
				      errors,
				      outcomes,
				      routes,
				      bounded,
				      bounded_applications,
				      memory_bound,
				      tables_fit,
				      expiry,
				      random_operations,
				      exemplars,
				      refusals,
				      independent,
				      unread_method,
				      unknown_peer,
				      without_request,
				      instances,
				      shares,
				      other_by_role,
				      active_requests,
				      active_bounded,
				      active_refused,
				      NULL};

	return unit_run("metrics", tests, setup, teardown);
}
