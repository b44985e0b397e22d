/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an event costs the aggregator: bench-metrics [EVENTS]. Prints nanoseconds and allocations
 * per event, once it is warm. Instructions, on a machine that is too noisy for times: valgrind
 * --tool=callgrind --toggle-collect=appmon_metrics_add bench-metrics 100000 and divide what it
 * collected by twice the number of events (two scenes).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <appmon/metrics.h>

#define CONNECTIONS 256

static uint64_t allocations;

/* The linker puts these in the place of malloc(): -Wl,--wrap=malloc. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

static struct appmon_str str(const char *s)
{
	return (struct appmon_str){.data = s, .len = (uint32_t)strlen(s)};
}

static const char *const paths[] = {"/",
				    "/health",
				    "/api/v1/users/1742",
				    "/api/v1/users/1742/orders/99",
				    "/static/js/main.3f9a8c1d.js",
				    "/search",
				    "/api/v1/items/f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
				    "/cart/checkout"};
#define PATHS (sizeof(paths) / sizeof(paths[0]))

/* The i-th exchange: at its server, or with both a second one at its client. */
static void make(struct appmon_event *ev, uint32_t role, uint64_t i)
{
	uint64_t start = 1000000000 + i * 1000, duration = 50000 + i * 7919 % 900000;
	struct appmon_endpoint server = {.family = 4, .port = 80, .addr = {10, 0, 0, 2}};
	struct appmon_endpoint client = {
		.family = 4, .port = (uint16_t)(20000 + i % CONNECTIONS), .addr = {10, 0, 0, 1}};
	bool sent = role == APPMON_ROLE_CLIENT;

	memset(ev, 0, sizeof(*ev));
	ev->size = sizeof(*ev);
	ev->protocol = APPMON_PROTO_HTTP1;
	ev->role = role;
	ev->cgroup_id = 1000 + role;
	ev->connection_id = role * CONNECTIONS + i % CONNECTIONS + 1;
	ev->request_start_ns = sent ? start : start + 1000;
	ev->request_end_ns = ev->request_start_ns + 500;
	ev->response_end_ns = start + duration + (sent ? 1000 : 0);
	ev->response_start_ns = ev->response_end_ns - 500;
	ev->duration_ns = ev->response_end_ns - ev->request_start_ns;
	ev->request_ns = ev->response_ns = 500;
	ev->wait_ns = ev->duration_ns - 1000;
	ev->request_bytes = 400;
	ev->response_bytes = 3200;
	ev->method = i % 10 ? APPMON_METHOD_GET : APPMON_METHOD_POST;
	ev->operation = str(i % 10 ? "GET" : "POST");
	ev->status = i % 100 ? 200 : 503;
	ev->status_text = str(i % 100 ? "200" : "503");
	ev->outcome = i % 100 ? APPMON_OUTCOME_OK : APPMON_OUTCOME_SERVER_ERROR;
	ev->local = sent ? client : server;
	ev->remote = sent ? server : client;
	ev->target_name = sent ? str("frontend") : str("inventory-service");
	ev->path = str(paths[i % PATHS]);
}

/* Without what other processes take. */
static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

enum scene { SERVER_ONLY, BOTH_ENDS, ALL_PATHS_DIFFER };

static void run(const char *name, enum scene scene, uint64_t count)
{
	static char path[64][64];
	bool both = scene == BOTH_ENDS;
	uint64_t begin = 0, spent = 0, before = 0;
	struct appmon_metrics *m;
	struct appmon_event *ev;
	uint64_t batch = 64; /* few enough to be in the cache, as the only event of a monitor is */

	if (appmon_metrics_open(&m, NULL))
		abort();
	ev = calloc(batch, sizeof(*ev));
	/* The first tenth warms it up. */
	for (uint64_t i = 0; i < count + count / 10; i += batch) {
		for (uint64_t j = 0; j < batch; j++)
			make(&ev[j], both && j % 2 ? APPMON_ROLE_CLIENT : APPMON_ROLE_SERVER,
			     both ? (i + j) / 2 : i + j);
		for (uint64_t j = 0; scene == ALL_PATHS_DIFFER && j < batch; j++) {
			snprintf(path[j], sizeof(path[j]),
				 "/api/v1/users/%" PRIu64 "/orders/%" PRIu64, i, i + j);
			ev[j].path = str(path[j]);
		}
		if (i >= count / 10 && !before)
			before = allocations + 1;
		begin = now();
		for (uint64_t j = 0; j < batch; j++)
			appmon_metrics_add(m, &ev[j]);
		if (before)
			spent += now() - begin;
	}
	printf("%s: %.1f ns an event, %" PRIu64 " allocations once warm\n", name,
	       (double)spent / (double)(count / batch * batch), allocations + 1 - before);
	appmon_metrics_close(m);
	free(ev);
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;

	run("server only", SERVER_ONLY, count);
	run("both ends", BOTH_ENDS, count);
	run("every path another", ALL_PATHS_DIFFER, count);
	return 0;
}
