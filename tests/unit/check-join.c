/* SPDX-License-Identifier: BSD-2-Clause */
/* Both ends of a connection: the application at the other end, and edges that count once. */
#include <string.h>

#include "events.h"

#define SEC UINT64_C(1000000000)
#define MSEC UINT64_C(1000000)

static struct appmon_metrics *m;
static struct appmon_snapshot *s;

static void setup(void)
{
	/* 256 connections, of which 64 may wait. */
	struct appmon_metrics_opts opts = {.size = sizeof(opts), .memory_limit = 2 << 20};

	ck_assert_int_eq(appmon_metrics_open(&m, &opts), 0);
	s = NULL;
}

static void teardown(void)
{
	appmon_snapshot_free(s);
	appmon_metrics_close(m);
}

/* An exchange that takes 4 ms at its client, 2 ms in the middle of that at its server. */
static struct appmon_event at_client(uint64_t start, uint64_t socket)
{
	struct appmon_event ev = event("web", APPMON_ROLE_CLIENT, "/item", 200, start, 4 * MSEC);

	ev.connection_id = socket;
	return ev;
}

static struct appmon_event at_server(uint64_t start, uint64_t socket)
{
	struct appmon_event ev =
		event("stock", APPMON_ROLE_SERVER, "/item", 200, start + MSEC, 2 * MSEC);

	ev.connection_id = socket;
	return ev;
}

static void add(struct appmon_event ev)
{
	ck_assert_int_eq(appmon_metrics_add(m, &ev), 0);
}

static void take(uint64_t now, uint32_t flags)
{
	appmon_snapshot_free(s);
	s = snap(m, now, flags);
}

/* The requests of the only series of an application with this peer; 0: there is none. */
static uint64_t requests(const char *app, const char *peer_app)
{
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES); i++) {
		struct appmon_series key = series(s, i);

		if (strcmp(key.app.data, app) == 0 && strcmp(key.peer_app.data, peer_app) == 0)
			return figures(s, APPMON_SNAPSHOT_SERIES, i, NULL).requests;
	}
	return 0;
}

static uint64_t exchanges(const char *client, const char *server)
{
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_EDGES); i++) {
		struct appmon_edge e = edge(s, i);

		if (strcmp(e.client_app.data, client) == 0 &&
		    strcmp(e.server_app.data, server) == 0)
			return figures(s, APPMON_SNAPSHOT_EDGES, i, NULL).requests;
	}
	return 0;
}

static void assert_counts(uint32_t series_count, uint32_t edge_count)
{
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES), series_count);
	ck_assert_uint_eq(appmon_snapshot_count(s, APPMON_SNAPSHOT_EDGES), edge_count);
}

/* The server's end is reported first, as it is over first. */
START_TEST(both_ends)
{
	for (uint64_t i = 0; i < 3; i++) {
		add(at_server(SEC + i * 10 * MSEC, 20));
		add(at_client(SEC + i * 10 * MSEC, 10));
	}
	take(SEC + 40 * MSEC, 0);
	assert_counts(2, 1);
	ck_assert_uint_eq(requests("web", "stock"), 3);
	ck_assert_uint_eq(requests("stock", "web"), 3);
	ck_assert_uint_eq(exchanges("web", "stock"), 3);
	/* As the client saw it. */
	ck_assert_uint_eq(figures(s, APPMON_SNAPSHOT_EDGES, 0, NULL).duration_sum, 12 * MSEC);
	ck_assert_uint_eq(edge(s, 0).client.family, 0);
	ck_assert_uint_eq(edge(s, 0).server.family, 0);
	ck_assert_uint_eq(stats(m).joined_connections, 1);
	ck_assert_uint_eq(stats(m).waiting, 0);
}
END_TEST

START_TEST(client_first)
{
	add(at_client(SEC, 10));
	add(at_server(SEC, 20));
	take(SEC + 40 * MSEC, 0);
	assert_counts(2, 1);
	ck_assert_uint_eq(requests("web", "stock"), 1);
	ck_assert_uint_eq(requests("stock", "web"), 1);
	ck_assert_uint_eq(exchanges("web", "stock"), 1);
}
END_TEST

/* A client that nobody monitors: counted after a while, the connection's next ones at once. */
START_TEST(server_only)
{
	add(at_server(SEC, 20));
	take(SEC + 100 * MSEC, 0);
	assert_counts(0, 0);
	ck_assert_uint_eq(stats(m).waiting, 1);
	take(SEC + 600 * MSEC, 0);
	assert_counts(1, 1);
	add(at_server(SEC + 610 * MSEC, 20));
	take(SEC + 620 * MSEC, 0);
	ck_assert_uint_eq(requests("stock", ""), 2);
	ck_assert_uint_eq(exchanges("", "stock"), 2);
	ck_assert_uint_eq(stats(m).waiting, 0);
	/* Without APPMON_DIM_CLIENT clients are one. */
	ck_assert_uint_eq(edge(s, 0).client.family, 0);
}
END_TEST

START_TEST(client_only)
{
	add(at_client(SEC, 10));
	take(SEC + 100 * MSEC, APPMON_TAKE_WAITING);
	assert_counts(1, 1);
	ck_assert_uint_eq(requests("web", ""), 1);
	ck_assert_uint_eq(series(s, 0).peer.family, 4);
	ck_assert_uint_eq(series(s, 0).peer.port, 80);
	ck_assert_uint_eq(series(s, 0).peer.addr[3], 2);
	ck_assert_uint_eq(edge(s, 0).server.port, 80);
	ck_assert_uint_eq(edge(s, 0).server.addr[3], 2);
	ck_assert_str_eq(edge(s, 0).client_app.data, "web");
}
END_TEST

/* Another client got the same port later: what the old one was is not told of it. */
START_TEST(ports_used_again)
{
	struct appmon_event other = at_client(5 * SEC, 11);

	add(at_server(SEC, 20));
	add(at_client(SEC, 10));
	other.target_name = str("batch");
	add(at_server(5 * SEC, 21));
	add(other);
	/* And one that is not monitored. */
	add(at_server(9 * SEC, 22));
	take(10 * SEC, APPMON_TAKE_WAITING);
	ck_assert_uint_eq(requests("stock", "web"), 1);
	ck_assert_uint_eq(requests("stock", "batch"), 1);
	ck_assert_uint_eq(requests("stock", ""), 1);
	ck_assert_uint_eq(exchanges("web", "stock"), 1);
	ck_assert_uint_eq(exchanges("batch", "stock"), 1);
	ck_assert_uint_eq(exchanges("", "stock"), 1);
}
END_TEST

/* The same addresses and ports in two network namespaces, at different times. */
START_TEST(same_addresses_elsewhere)
{
	add(at_server(SEC, 20));
	add(at_client(SEC + 100 * MSEC, 10));
	take(2 * SEC, 0);
	ck_assert_uint_eq(requests("stock", "web"), 0);
	ck_assert_uint_eq(requests("web", "stock"), 0);
	ck_assert_uint_eq(requests("stock", ""), 1);
	ck_assert_uint_eq(requests("web", ""), 1);
	ck_assert_uint_eq(stats(m).joined_connections, 0);
}
END_TEST

/* A client that is monitored from the second exchange on. */
START_TEST(monitored_later)
{
	add(at_server(SEC, 20));
	take(2 * SEC, 0);
	add(at_server(3 * SEC, 20));
	add(at_client(3 * SEC, 10));
	add(at_server(4 * SEC, 20));
	add(at_client(4 * SEC, 10));
	take(5 * SEC, 0);
	/* The second one was known to be alone when it was counted. */
	ck_assert_uint_eq(requests("stock", ""), 2);
	ck_assert_uint_eq(requests("stock", "web"), 1);
	ck_assert_uint_eq(requests("web", "stock"), 2);
	ck_assert_uint_eq(exchanges("web", "stock"), 2);
}
END_TEST

/* An application that calls itself. */
START_TEST(itself)
{
	struct appmon_event ev = at_server(SEC, 20);

	ev.target_name = str("web");
	add(ev);
	add(at_client(SEC, 10));
	take(SEC + 10 * MSEC, 0);
	assert_counts(2, 1);
	ck_assert_uint_eq(exchanges("web", "web"), 1);
}
END_TEST

/* More new connections than can be waited for: nothing is lost, and joined where it was known. */
START_TEST(many)
{
	struct appmon_metrics_stats st;
	uint64_t counted = 0;

	for (uint16_t i = 0; i < 5000; i++) {
		struct appmon_event ev = at_server(SEC + i * 1000, 100000 + i);

		ev.remote.port = (uint16_t)(10000 + i);
		add(ev);
		if (i % 2)
			continue;
		ev = at_client(SEC + i * 1000, 200000 + i);
		ev.local.port = (uint16_t)(10000 + i);
		add(ev);
	}
	st = stats(m);
	ck_assert_uint_gt(st.unwaited, 0);
	ck_assert_uint_gt(st.evicted_connections, 0);
	ck_assert_uint_le(st.waiting, 64);
	take(2 * SEC, 0);
	ck_assert_uint_eq(stats(m).waiting, 0);
	ck_assert_uint_eq(requests("web", "stock"), 2500);
	ck_assert_uint_eq(requests("stock", "web"), 2500);
	ck_assert_uint_eq(requests("stock", ""), 2500);
	ck_assert_uint_eq(exchanges("web", "stock"), 2500);
	ck_assert_uint_eq(exchanges("", "stock"), 2500);
	for (uint32_t i = 0; i < appmon_snapshot_count(s, APPMON_SNAPSHOT_SERIES); i++)
		counted += figures(s, APPMON_SNAPSHOT_SERIES, i, NULL).requests;
	ck_assert_uint_eq(counted, st.events);
}
END_TEST

START_TEST(switched_off)
{
	struct appmon_metrics_opts opts = {.size = sizeof(opts), .flags = APPMON_METRICS_NO_JOIN};

	appmon_metrics_close(m);
	ck_assert_int_eq(appmon_metrics_open(&m, &opts), 0);
	add(at_server(SEC, 20));
	add(at_client(SEC, 10));
	take(SEC + 10 * MSEC, 0);
	assert_counts(2, 2);
	ck_assert_uint_eq(requests("web", ""), 1);
	ck_assert_uint_eq(requests("stock", ""), 1);
}
END_TEST

/* Clients by address; what has no addresses or no role does not wait, and has no edge. */
START_TEST(addresses)
{
	struct appmon_metrics_opts opts = {.size = sizeof(opts), .dimensions = APPMON_DIM_CLIENT};
	struct appmon_event ev = at_server(SEC, 20);

	appmon_metrics_close(m);
	ck_assert_int_eq(appmon_metrics_open(&m, &opts), 0);
	add(ev);
	ev.role = APPMON_ROLE_UNKNOWN;
	ev.connection_id = 21;
	add(ev);
	take(SEC + 10 * MSEC, APPMON_TAKE_WAITING);
	assert_counts(2, 1);
	ck_assert_uint_eq(edge(s, 0).client.family, 4);
	ck_assert_uint_eq(edge(s, 0).client.addr[3], 1);
	ck_assert_uint_eq(edge(s, 0).client.port, 0);
	ck_assert_uint_eq(series(s, 1).peer.addr[3], 1);
	ck_assert_uint_eq(series(s, 1).peer.port, 0);
	ck_assert_uint_eq(series(s, 0).role, APPMON_ROLE_UNKNOWN);
}
END_TEST

/* ---- translated addresses: the ends have TCP's numbers in common ---- */

/* 10.96.0.10:80 at the client is 10.0.0.2:21077 at the server. */
static struct appmon_event dnat(struct appmon_event ev, uint64_t wire_id)
{
	ev.wire_id = wire_id;
	if (ev.role == APPMON_ROLE_CLIENT)
		ev.remote =
			(struct appmon_endpoint){.family = 4, .port = 80, .addr = {10, 96, 0, 10}};
	else
		ev.local = ipv4(2, 21077);
	return ev;
}

/* And the client is 10.0.0.254:1027 there. */
static struct appmon_event masquerade(struct appmon_event ev, uint64_t wire_id)
{
	ev = dnat(ev, wire_id);
	if (ev.role == APPMON_ROLE_SERVER)
		ev.remote = ipv4(254, 1027);
	return ev;
}

START_TEST(translated)
{
	struct appmon_event (*const translate[])(struct appmon_event, uint64_t) = {dnat,
										   masquerade};

	for (int kind = 0; kind < 2; kind++) {
		teardown();
		setup();
		for (uint64_t i = 0; i < 3; i++) {
			add(translate[kind](at_server(SEC + i * 10 * MSEC, 20), 7000 + i));
			add(translate[kind](at_client(SEC + i * 10 * MSEC, 10), 7000 + i));
		}
		take(SEC + 40 * MSEC, 0);
		assert_counts(2, 1);
		ck_assert_uint_eq(requests("web", "stock"), 3);
		ck_assert_uint_eq(requests("stock", "web"), 3);
		ck_assert_uint_eq(exchanges("web", "stock"), 3);
		ck_assert_uint_eq(stats(m).joined_connections, 1);
		ck_assert_uint_eq(stats(m).waiting, 0);
	}
}
END_TEST

/* Events of each end come in batches; the one that is seen at both comes in the middle. */
START_TEST(translated_in_batches)
{
	for (uint64_t i = 0; i < 5; i++)
		add(dnat(at_server(SEC + i * 10 * MSEC, 20), 7000 + i));
	for (uint64_t i = 2; i < 7; i++)
		add(dnat(at_client(SEC + i * 10 * MSEC, 10), 7000 + i));
	take(SEC + 100 * MSEC, 0);
	ck_assert_uint_eq(requests("stock", "web"), 5);
	ck_assert_uint_eq(requests("web", "stock"), 5);
	ck_assert_uint_eq(exchanges("web", "stock"), 5);
}
END_TEST

/* The same number at another time, or twice at one side, joins no ends. */
START_TEST(translated_by_chance)
{
	add(dnat(at_server(SEC, 20), 7000));
	add(dnat(at_client(SEC + 100 * MSEC, 10), 7000));
	add(dnat(at_server(SEC, 21), 7001));
	add(dnat(at_server(SEC, 22), 7001));
	take(SEC + 200 * MSEC, APPMON_TAKE_WAITING);
	ck_assert_uint_eq(stats(m).joined_connections, 0);
	ck_assert_uint_eq(exchanges("web", "stock"), 0);
}
END_TEST

/* The same addresses in two network namespaces, at the same time: other numbers. */
START_TEST(same_addresses_at_once)
{
	struct appmon_event server = at_server(SEC, 20), client = at_client(SEC, 10);

	server.wire_id = 7000;
	client.wire_id = 8000;
	add(server);
	add(client);
	take(SEC + 10 * MSEC, APPMON_TAKE_WAITING);
	ck_assert_uint_eq(stats(m).joined_connections, 0);
	ck_assert_uint_eq(requests("web", ""), 1);
	ck_assert_uint_eq(requests("stock", ""), 1);
}
END_TEST

/* Another connection from the same port is not joined by what was known of the former. */
START_TEST(translated_ports_used_again)
{
	add(dnat(at_server(SEC, 20), 7000));
	add(dnat(at_client(SEC, 10), 7000));
	add(dnat(at_client(2 * SEC, 11), 7001));
	take(2 * SEC + 10 * MSEC, APPMON_TAKE_WAITING);
	ck_assert_uint_eq(exchanges("web", "stock"), 1);
	ck_assert_uint_eq(requests("web", ""), 1);
}
END_TEST

/* The server is watched later than the client: from then on it is one edge, also on a connection
 * that had one without it. */
START_TEST(edge_after_alone)
{
	for (int kind = 0; kind < 2; kind++) {
		teardown();
		setup();
		for (uint64_t i = 0; i < 4; i++) {
			struct appmon_event client = at_client((1 + i) * SEC, 10);
			struct appmon_event server = at_server((1 + i) * SEC, 20);

			if (i >= 2)
				add(kind ? dnat(server, 7000 + i) : server);
			add(kind ? dnat(client, 7000 + i) : client);
			take((1 + i) * SEC + 600 * MSEC, 0);
		}
		ck_assert_uint_eq(exchanges("web", ""), 2);
		ck_assert_uint_eq(exchanges("web", "stock"), 2);
		ck_assert_uint_eq(requests("web", "stock"), 2);
	}
}
END_TEST

/* One end is forgotten for lack of room, and finds the other again. */
START_TEST(translated_forgotten)
{
	uint64_t n = 7000;

	for (uint64_t round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 5; i++) {
			uint64_t at = (1 + round) * SEC + i * 10 * MSEC;

			add(dnat(at_client(at, 10), ++n));
			add(dnat(at_server(at, 20), n));
		}
		for (uint64_t i = 0; i < 2000; i++) {
			struct appmon_event ev = at_server((1 + round) * SEC, 1000 + i);

			/* All but the client's entry is pushed out. */
			ev.remote = ipv4(3, (uint16_t)(1000 + i));
			add(ev);
			if (i % 20 == 0)
				add(dnat(at_client((1 + round) * SEC + 60 * MSEC, 10), ++n));
		}
	}
	take(9 * SEC, 0);
	ck_assert_uint_gt(stats(m).evicted_connections, 0);
	ck_assert_uint_eq(requests("stock", "web"), 15);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {both_ends,
				      client_first,
				      server_only,
				      client_only,
				      ports_used_again,
				      same_addresses_elsewhere,
				      monitored_later,
				      itself,
				      many,
				      switched_off,
				      addresses,
				      translated,
				      translated_in_batches,
				      translated_by_chance,
				      same_addresses_at_once,
				      translated_ports_used_again,
				      edge_after_alone,
				      translated_forgotten,
				      NULL};

	return unit_run("join", tests, setup, teardown);
}
