/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests/bench/overhead and its kin compare, one at a time: probe VARIANT CGROUP...
 * Attaches, says "ready" and how long that took, reads until SIGTERM or SIGINT, and prints what it
 * got; libappmon's also at SIGUSR1. It sleeps as long as libappmon's own poll does; its CPU is the
 * reader's cost.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <appmon/appmon.h>

#include "empty.skel.h"
#include "syscalls.skel.h"

static volatile sig_atomic_t stop, report;
static struct appmon *mon;
static uint64_t events, http, bytes;
static double scaled; /* exchanges that the events stand for */

static void on_signal(int signal)
{
	if (signal == SIGUSR1)
		report = 1;
	else
		stop = 1;
	appmon_wakeup(mon);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static void ready(double open_ms, double attach_ms)
{
	printf("{\"ready\": true, \"open_ms\": %.1f, \"attach_ms\": %.2f}\n", open_ms, attach_ms);
	fflush(stdout);
}

static int on_event(void *ctx, const struct appmon_event *ev)
{
	(void)ctx;
	events++;
	http += ev->protocol == APPMON_PROTO_HTTP1 || ev->protocol == APPMON_PROTO_HTTP2;
	bytes += ev->request_head_bytes + ev->response_body_bytes;
	scaled += (double)APPMON_SAMPLING_ALL / ev->sampling_ppm;
	return 0;
}

static void print_usage(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("\"cpu_ms\": %.1f, \"max_rss_kb\": %ld}\n",
	       (double)usage.ru_utime.tv_sec * 1e3 + (double)usage.ru_utime.tv_usec / 1e3 +
		       (double)usage.ru_stime.tv_sec * 1e3 + (double)usage.ru_stime.tv_usec / 1e3,
	       usage.ru_maxrss);
	fflush(stdout);
}

static void print_stats(void)
{
	struct appmon_stats stats = {.size = sizeof(stats)};

	appmon_get_stats(mon, 0, &stats);
	printf("{\"events\": %llu, \"http\": %llu, \"seen\": %llu, \"records\": %llu, "
	       "\"records_lost\": %llu, "
	       "\"memory_bytes\": %llu, \"open\": %llu, "
	       "\"scaled\": %.0f, \"sampling_ppm\": %llu, \"sampled_out\": %llu, ",
	       (unsigned long long)events, (unsigned long long)http,
	       (unsigned long long)stats.exchanges_seen, (unsigned long long)stats.records,
	       (unsigned long long)stats.records_lost, (unsigned long long)stats.memory_bytes,
	       (unsigned long long)stats.connections_open, scaled,
	       (unsigned long long)stats.sampling_ppm,
	       (unsigned long long)stats.dropped[APPMON_DROP_SAMPLED]);
}

#define HTTP_AND_TLS (1U << APPMON_PROTO_HTTP1 | 1U << APPMON_PROTO_HTTP2 | 1U << APPMON_PROTO_TLS)

/* protocols: 0 is the library's choice. ceiling: events a second, 0: as many as there are. */
static void run_appmon(uint32_t flags, uint32_t protocols, uint64_t ceiling, bool paused, int count,
		       char **cgroups)
{
	char error[512] = "";
	struct appmon_opts opts = {.size = sizeof(opts),
				   .flags = flags,
				   .protocols = protocols,
				   .event_fn = on_event,
				   .error_text = error,
				   .error_text_size = sizeof(error)};
	double begin = now_ms(), opened;
	int err = appmon_open(&mon, &opts);

	if (err) {
		fprintf(stderr, "probe: %s\n", error);
		exit(1);
	}
	opened = now_ms();
	err = appmon_set_sampling(mon, APPMON_SAMPLING_ALL, ceiling);
	if (!err && paused)
		err = appmon_pause(mon);
	if (err)
		fail("budget", err);
	for (int i = 0; i < count; i++)
		if (appmon_attach_cgroup(mon, cgroups[i], NULL, NULL)) {
			fprintf(stderr, "probe: %s\n", appmon_last_error(mon));
			exit(1);
		}
	ready(opened - begin, (now_ms() - opened) / count);
	while (!stop) {
		err = appmon_poll(mon, -1, 0);
		if (err < 0 && err != -EINTR)
			fail("poll", err);
		if (report) {
			report = 0;
			print_stats();
			print_usage();
		}
	}
	print_stats();
	begin = now_ms();
	appmon_close(mon);
	printf("\"close_ms\": %.1f, ", now_ms() - begin);
}

static int open_cgroup(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? fail(path, errno) : fd;
}

static void run_empty(int count, char **cgroups)
{
	double begin = now_ms(), opened;
	struct empty_bpf *skel = empty_bpf__open_and_load();

	if (!skel)
		fail("loading empty programs", errno);
	opened = now_ms();
	for (int i = 0; i < count; i++) {
		int fd = open_cgroup(cgroups[i]);

		if (!bpf_program__attach_cgroup(skel->progs.empty_ingress, fd) ||
		    !bpf_program__attach_cgroup(skel->progs.empty_egress, fd))
			fail("attaching", errno);
		close(fd);
	}
	ready(opened - begin, (now_ms() - opened) / count);
	while (!stop)
		pause();
	printf("{");
}

static int on_record(void *ctx, void *data, size_t size)
{
	(void)ctx;
	(void)data;
	events++;
	bytes += size;
	return 0;
}

static void run_syscalls(char *cgroup)
{
	double begin = now_ms(), opened;
	struct syscalls_bpf *skel = syscalls_bpf__open_and_load();
	struct timespec batch = {.tv_nsec = 2000000};
	struct ring_buffer *ring;
	uint32_t zero = 0;
	int fd = open_cgroup(cgroup), err;

	if (!skel)
		fail("loading tracepoints", errno);
	opened = now_ms();
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.watched), &zero, &fd, BPF_ANY))
		fail("cgroup", errno);
	err = syscalls_bpf__attach(skel);
	if (err)
		fail("attaching tracepoints (is tracefs mounted?)", err);
	ring = ring_buffer__new(bpf_map__fd(skel->maps.ring), on_record, NULL, NULL);
	if (!ring)
		fail("ring", errno);
	ready(opened - begin, now_ms() - opened);
	while (!stop) {
		/* Batches as libappmon's: by timer while there is something, else woken. */
		if (ring_buffer__consume(ring) > 0) {
			nanosleep(&batch, NULL);
			continue;
		}
		skel->bss->reader_waits = 1;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		ring_buffer__poll(ring, 100);
	}
	printf("{\"records\": %llu, ", (unsigned long long)events);
}

static void run_off(void)
{
	ready(0, 0);
	while (!stop)
		pause();
	printf("{");
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	unsigned long long ceiling;
	uint32_t protocols = 0;
	char *protocol;

	if (argc < 3) {
		fprintf(stderr,
			"usage: probe appmon|identity|links|goroutines|wire|plaintext|"
			"ceiling=EVENTS_PER_SECOND|paused|empty|syscalls|off CGROUP...\n"
			"appmon:PROTOCOL, identity:PROTOCOL, links:PROTOCOL: this one only\n");
		return 2;
	}
	protocol = strchr(argv[1], ':');
	if (protocol) {
		*protocol++ = '\0';
		protocols = 1U << appmon_protocol_by_name(protocol);
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	if (!strcmp(argv[1], "appmon"))
		run_appmon(0, protocols, 0, false, argc - 2, argv + 2);
	else if (!strcmp(argv[1], "identity"))
		run_appmon(APPMON_OPEN_IDENTITY, protocols, 0, false, argc - 2, argv + 2);
	else if (!strcmp(argv[1], "links"))
		run_appmon(APPMON_OPEN_LINKS, protocols, 0, false, argc - 2, argv + 2);
	else if (!strcmp(argv[1], "goroutines"))
		run_appmon(APPMON_OPEN_GOROUTINES, 0, 0, false, argc - 2, argv + 2);
	else if (!strcmp(argv[1], "wire"))
		run_appmon(0, HTTP_AND_TLS, 0, false, argc - 2, argv + 2);
	else if (!strcmp(argv[1], "plaintext"))
		run_appmon(APPMON_OPEN_TLS, HTTP_AND_TLS, 0, false, argc - 2, argv + 2);
	else if (sscanf(argv[1], "ceiling=%llu", &ceiling) == 1)
		run_appmon(0, 0, ceiling, false, argc - 2, argv + 2);
	else if (!strcmp(argv[1], "paused"))
		run_appmon(0, 0, 0, true, argc - 2, argv + 2);
	else if (!strcmp(argv[1], "empty"))
		run_empty(argc - 2, argv + 2);
	else if (!strcmp(argv[1], "syscalls"))
		run_syscalls(argv[2]);
	else
		run_off();
	print_usage();
	return 0;
}
