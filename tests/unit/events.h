/* SPDX-License-Identifier: BSD-2-Clause */
/* Events as a monitor would deliver them, for the aggregator's tests. */
#ifndef APPMON_UNIT_EVENTS_H
#define APPMON_UNIT_EVENTS_H

#include <stdio.h>
#include <string.h>

#include <appmon/metrics.h>

#include "unit.h"

static inline struct appmon_str str(const char *s)
{
	return (struct appmon_str){.data = s, .len = (uint32_t)strlen(s)};
}

/* 10.0.0.host:port */
static inline struct appmon_endpoint ipv4(uint8_t host, uint16_t port)
{
	return (struct appmon_endpoint){.family = 4, .port = port, .addr = {10, 0, 0, host}};
}

/* A GET that was answered with this status, from start_ns for duration_ns. */
static inline struct appmon_event event(const char *app, uint32_t role, const char *path,
					uint32_t status, uint64_t start_ns, uint64_t duration_ns)
{
	/* By class of the status. */
	static const uint32_t outcomes[] = {
		APPMON_OUTCOME_NO_RESPONSE,  APPMON_OUTCOME_OK,
		APPMON_OUTCOME_OK,	     APPMON_OUTCOME_OK,
		APPMON_OUTCOME_CLIENT_ERROR, APPMON_OUTCOME_SERVER_ERROR};
	static char texts[1000][4];

	snprintf(texts[status], sizeof(texts[status]), "%.3u", status);

	return (struct appmon_event){
		.size = sizeof(struct appmon_event),
		.protocol = APPMON_PROTO_HTTP1,
		.role = role,
		.flags = status ? 0 : APPMON_EVF_NO_RESPONSE,
		.cgroup_id = 77,
		.connection_id = 1,
		.request_start_ns = start_ns,
		.request_end_ns = start_ns + duration_ns / 4,
		.response_start_ns = status ? start_ns + duration_ns / 2 : 0,
		.response_end_ns = status ? start_ns + duration_ns : 0,
		.duration_ns = status ? duration_ns : 0,
		.request_ns = duration_ns / 4,
		.wait_ns = status ? duration_ns / 2 - duration_ns / 4 : 0,
		.response_ns = status ? duration_ns - duration_ns / 2 : 0,
		.request_bytes = 110,
		.response_bytes = status ? 3200 : 0,
		.request_head_bytes = 100,
		.request_body_bytes = 10,
		.response_head_bytes = status ? 200 : 0,
		.response_body_bytes = status ? 3000 : 0,
		.method = APPMON_METHOD_GET,
		.status = status,
		.status_number = status ? (int64_t)status : -1,
		.status_text = str(status ? texts[status] : ""),
		.outcome = outcomes[status < 600 ? status / 100 : 5],
		.local = role == APPMON_ROLE_CLIENT ? ipv4(1, 40000) : ipv4(2, 80),
		.remote = role == APPMON_ROLE_CLIENT ? ipv4(2, 80) : ipv4(1, 40000),
		.target_name = str(app),
		.operation = str("GET"),
		.path = str(path),
		.query = str(""),
	};
}

static inline struct appmon_snapshot *snap(struct appmon_metrics *m, uint64_t now_ns,
					   uint32_t flags)
{
	struct appmon_snapshot_opts opts = {.size = sizeof(opts), .now_ns = now_ns, .flags = flags};
	struct appmon_snapshot *s;

	ck_assert_int_eq(appmon_metrics_snapshot(m, &opts, &s), 0);
	return s;
}

static inline struct appmon_figures figures(const struct appmon_snapshot *s, uint32_t kind,
					    uint32_t index, const struct appmon_snapshot *since)
{
	struct appmon_figures f = {.size = sizeof(f)};

	ck_assert_int_eq(appmon_snapshot_figures(s, kind, index, since, &f), 0);
	ck_assert_uint_eq(f.size, sizeof(f));
	return f;
}

static inline struct appmon_series series(const struct appmon_snapshot *s, uint32_t index)
{
	struct appmon_series out = {.size = sizeof(out)};

	ck_assert_int_eq(appmon_snapshot_series(s, index, &out), 0);
	return out;
}

static inline struct appmon_active active(const struct appmon_snapshot *s, uint32_t index)
{
	struct appmon_active out = {.size = sizeof(out)};

	ck_assert_int_eq(appmon_snapshot_active(s, index, &out), 0);
	return out;
}

static inline struct appmon_edge edge(const struct appmon_snapshot *s, uint32_t index)
{
	struct appmon_edge out = {.size = sizeof(out)};

	ck_assert_int_eq(appmon_snapshot_edge(s, index, &out), 0);
	return out;
}

static inline struct appmon_metrics_stats stats(struct appmon_metrics *m)
{
	struct appmon_metrics_stats out = {.size = sizeof(out)};

	ck_assert_int_eq(appmon_metrics_get_stats(m, &out), 0);
	return out;
}

#endif /* APPMON_UNIT_EVENTS_H */
