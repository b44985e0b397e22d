/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole pipeline without a kernel: a ring full of records, as the BPF programs write them for
 * keep-alive connections, is read again and again, each request ending in the host's callback.
 *     replay [SECONDS [CONNECTIONS [small]]]      requests a second, allocations a request
 *     replay instructions [CONNECTIONS [small]]   one pass for valgrind --tool=callgrind
 * --toggle-collect=pass
 * A browser asks; with "small" a load generator.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "messages.h"
#include "fixture.h"
#include "sim.h"

#define RING_MIN ((size_t)8 << 20)
/* What a connection takes in it at least: a few requests, and its end. */
#define CONNECTION_BYTES 6144
#define CONNECTIONS_MAX 200000

static struct fixture p;
static struct rings rings = {.count = 1, .key = 1};
static struct ring_place *place;
static uint8_t *bytes;
static uint64_t requests;  /* that one pass over the ring holds */
static uint64_t delivered; /* events */
static uint64_t checksum;  /* the callback reads what hosts read */

/* ---- allocations: the linker sends the pipeline's calls here ---------------------- */

static uint64_t allocations;

void *__real_malloc(size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *ptr, size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
	allocations++;
	return __real_realloc(ptr, size);
}

/* ---- the ring, laid out as the programs do it ------------------------------------------ */

/* All zeros, and mapped here, too. */
static void *memory(size_t size, int *fd)
{
	void *m;

	*fd = memfd_create("ring", MFD_CLOEXEC);
	m = *fd < 0 || ftruncate(*fd, (off_t)size)
		    ? MAP_FAILED
		    : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (m == MAP_FAILED) {
		perror("memory of the ring");
		exit(1);
	}
	return m;
}

static void ring_create(uint32_t connections)
{
	int places_fd, bytes_fd;

	rings.size = RING_MIN;
	while (rings.size < (size_t)connections * CONNECTION_BYTES)
		rings.size *= 2;
	place = memory(sizeof(*place), &places_fd);
	bytes = memory(rings.size + RING_RECORD_MAX, &bytes_fd);
	if (rings_map(&rings, places_fd, bytes_fd)) {
		perror("mmap");
		exit(1);
	}
	close(places_fd);
	close(bytes_fd);
}

/* Moves what the programs wrote into the ring. False: it is full. */
static bool ring_take(void)
{
	const void *record;
	size_t size;

	while ((record = sim_record(&size))) {
		const uint64_t word = place->end ^ rings.key;

		if (place->end + RING_ROOM(size) > rings.size)
			return false;
		memcpy(bytes + place->end, &word, sizeof(word));
		memcpy(bytes + place->end + RING_WORD, record, size);
		place->end += RING_ROOM(size);
	}
	return true;
}

/* ---- the traffic ------------------------------------------------------------------------ */

/*
 * Connections live from their first byte to a FIN of both sides within the ring, so that a pass
 * over it leaves the pipeline as it found it.
 */
static void record_traffic(uint32_t connections, const char *request)
{
	static const char response[] = BENCH_RESPONSE_HEAD BENCH_BODY;
	const uint32_t in = (uint32_t)strlen(request), out = sizeof(response) - 1;
	struct sim_opts opts = {.target = 1, .slot = 0, .capture = 4096, .cgroup_id = 4711};
	struct sim_socket **sk = calloc(connections, sizeof(struct sim_socket *));
	uint64_t pass = 0, most;

	if (!sk)
		abort();
	sim_start(&opts);
	for (uint32_t i = 0; i < connections; i++)
		sk[i] = sim_connect(false, i * 7919, i * 104729);
	/* Room for the ends: two progress records for each connection. */
	most = rings.size - connections * 2 * RING_ROOM(sizeof(struct rec) + TAIL_BYTES) - 65536;
	while (place->end < most - connections * (uint64_t)2048) {
		for (uint32_t i = 0; i < connections; i++) {
			sim_packet(sk[i], DIR_IN, pass * in, request, in, SIM_PSH);
			sim_now_ns += 5000;
			sim_packet(sk[i], DIR_OUT, pass * out, response, out, SIM_PSH);
			sim_now_ns += 2000;
			requests++;
		}
		if (!ring_take())
			abort();
		pass++;
	}
	for (uint32_t i = 0; i < connections; i++) {
		sim_packet(sk[i], DIR_IN, pass * in, "", 0, SIM_FIN);
		sim_packet(sk[i], DIR_OUT, pass * out, "", 0, SIM_FIN);
		sim_forget(sk[i]);
	}
	if (!ring_take())
		abort();
	free(sk);
}

/* ---- the host ----------------------------------------------------------------------------- */

static int on_event(void *ctx, const struct appmon_event *ev)
{
	(void)ctx;
	checksum += ev->duration_ns + ev->status + ev->path.len + ev->header_count +
		    (unsigned char)ev->path.data[0];
	delivered++;
	return 0;
}

/* As appmon_poll() does it. Not inlined, so that callgrind finds it. */
__attribute__((noinline)) void pass(void);
void pass(void)
{
	struct record rec;
	size_t size = 0;
	bool busy;
	const void *record;

	rings.ring[0].pos = rings.ring[0].seen = rings.ring[0].end = place->begin = 0;
	while ((record = rings_peek(&rings, &size, &busy))) {
		if (record_decode(record, size, &rec))
			abort();
		p.pl.stats.records++;
		flow_record(&p.flows, &rec);
		rings_release(&rings);
		while (event_next(&p.pl))
			on_event(NULL, &p.pl.event);
	}
}

int main(int argc, char **argv)
{
	bool instructions = argc > 1 && !strcmp(argv[1], "instructions");
	double seconds = argc > 1 && !instructions ? atof(argv[1]) : 2;
	uint32_t connections = argc > 2 ? (uint32_t)atoi(argv[2]) : 64;
	struct appmon_opts opts = {
		.size = sizeof(opts), .event_fn = on_event, .log_level = APPMON_LOG_WARN};
	const char *request = argc > 3 ? BENCH_SMALL : BENCH_REQUEST;
	uint64_t from, until, best = UINT64_MAX;

	if (seconds <= 0 || connections < 1 || connections > CONNECTIONS_MAX ||
	    (argc > 3 && strcmp(argv[3], "small"))) {
		fprintf(stderr, "usage: replay [SECONDS|instructions [CONNECTIONS [small]]]\n");
		return 2;
	}
	fixture_init(&p, &opts);
	ring_create(connections);
	record_traffic(connections, request);
	if (instructions) {
		pass();
		printf("%llu\n", (unsigned long long)requests);
		goto out;
	}
	pass(); /* warm: what is allocated once */
	if (delivered != requests || p.pl.stats.outstanding || p.flows.count) {
		fprintf(stderr, "%llu events of %llu requests\n", (unsigned long long)delivered,
			(unsigned long long)requests);
		return 1;
	}
	allocations = delivered = 0;
	from = until = now_ns();
	while (until - from < (uint64_t)(seconds * 1e9)) {
		uint64_t begin = until;

		pass();
		until = now_ns();
		if (until - begin < best)
			best = until - begin;
	}
	/* The best pass: a few milliseconds in which nobody else had the core. */
	printf("{\"requests\": %llu, \"requests_per_second\": %.0f, "
	       "\"requests_per_second_best_pass\": %.0f, \"allocations_per_request\": %g, "
	       "\"ring_bytes_per_request\": %.0f, \"connections\": %u, \"checksum\": %llu}\n",
	       (unsigned long long)delivered, (double)delivered * 1e9 / (double)(until - from),
	       (double)requests * 1e9 / (double)best, (double)allocations / (double)delivered,
	       (double)place->end / (double)requests, connections, (unsigned long long)checksum);
out:
	fixture_free(&p);
	sim_stop();
	return 0;
}
