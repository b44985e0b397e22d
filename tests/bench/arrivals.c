/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open-loop load: arrivals PORT PATH RATE SECONDS CONNECTIONS [HEADER...]
 * Requests are due at fixed times, whatever the server does. One for which no connection is free
 * waits; its latency counts from when it was due. Prints JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 4096
#define BATCH 64

struct conn {
	uint64_t due_ns;
	uint64_t body_left;
	int fd;
	uint32_t head_len;
	bool in_body;
	char head[HEAD_MAX];
};

static char request[HEAD_MAX];
static size_t request_len;
static struct conn **idle; /* a queue: those that wait longest ask first */
static uint32_t idle_count, idle_first, connections;
static uint32_t *latency_ns;
static uint64_t done;

static void die(const char *what)
{
	fprintf(stderr, "arrivals: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void make_request(char **argv, int argc)
{
	FILE *f = fmemopen(request, sizeof(request), "w");

	if (!f)
		die("memory");
	fprintf(f, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", argv[2]);
	for (int i = 6; i < argc; i++)
		fprintf(f, "%s\r\n", argv[i]);
	fputs("\r\n", f);
	if (fclose(f))
		die("the request is too long");
	request_len = strlen(request);
}

static void rest(struct conn *c)
{
	idle[(idle_first + idle_count++) % connections] = c;
}

static void open_connection(struct conn *c, int poll, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &ev))
		die("connecting");
	rest(c);
}

static void ask(uint64_t due_ns)
{
	struct conn *c = idle[idle_first];

	idle_first = (idle_first + 1) % connections;
	idle_count--;
	c->due_ns = due_ns;
	c->head_len = 0;
	c->in_body = false;
	if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
		die("sending");
}

/* The head is whole: how long is the body? */
static void read_head(struct conn *c, const char *end)
{
	const char *length = strcasestr(c->head, "\r\nContent-Length:");

	errno = 0;
	if (strncmp(c->head, "HTTP/1.1 200 ", 13) || !length || length > end)
		die("the response");
	c->body_left = strtoull(length + strlen("\r\nContent-Length:"), NULL, 10);
	c->in_body = true;
}

static void answered(struct conn *c)
{
	uint64_t ns = now_ns() - c->due_ns;

	if (c->body_left)
		return;
	latency_ns[done++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
	rest(c);
}

static void receive(struct conn *c)
{
	static char body[1 << 18];
	uint64_t behind;
	char *end;
	ssize_t n;

	if (c->in_body) {
		n = recv(c->fd, body, sizeof(body), 0);
		if (n <= 0 || (uint64_t)n > c->body_left)
			die("receiving");
		c->body_left -= (uint64_t)n;
		answered(c);
		return;
	}
	n = recv(c->fd, c->head + c->head_len, sizeof(c->head) - 1 - c->head_len, 0);
	if (n <= 0)
		die("receiving");
	c->head_len += (uint32_t)n;
	c->head[c->head_len] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return;
	read_head(c, end);
	behind = c->head_len - (uint64_t)(end + 4 - c->head);
	if (behind > c->body_left)
		die("receiving");
	c->body_left -= behind;
	answered(c);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	double rate = argc > 5 ? atof(argv[3]) : 0, seconds = argc > 5 ? atof(argv[4]) : 0;
	uint64_t total = (uint64_t)(rate * seconds), asked = 0, begin, until;
	int poll = epoll_create1(EPOLL_CLOEXEC);
	struct conn *conns;

	connections = argc > 5 ? (uint32_t)atoi(argv[5]) : 0;
	if (!total || !connections) {
		fprintf(stderr, "usage: arrivals PORT PATH RATE SECONDS CONNECTIONS [HEADER...]\n");
		return 2;
	}
	make_request(argv, argc);
	conns = calloc(connections, sizeof(*conns));
	idle = calloc(connections, sizeof(struct conn *));
	latency_ns = calloc(total, sizeof(*latency_ns));
	if (poll < 0 || !conns || !idle || !latency_ns)
		die("memory");
	for (uint32_t i = 0; i < connections; i++)
		open_connection(&conns[i], poll, (uint16_t)atoi(argv[1]));
	begin = now_ns();
	while (done < total) {
		struct epoll_event ev[BATCH];
		struct timespec wait = {0}, *timeout = NULL;
		uint64_t due = begin + (uint64_t)((double)asked * 1e9 / rate), now;
		int n;

		if (asked < total && idle_count) {
			now = now_ns();
			if (due <= now) {
				ask(due);
				asked++;
				continue;
			}
			wait.tv_sec = (time_t)((due - now) / 1000000000);
			wait.tv_nsec = (long)((due - now) % 1000000000);
			timeout = &wait;
		}
		n = epoll_pwait2(poll, ev, BATCH, timeout, NULL);
		if (n < 0 && errno != EINTR)
			die("epoll_pwait2()");
		for (int i = 0; i < n; i++)
			receive(ev[i].data.ptr);
	}
	until = now_ns();
	qsort(latency_ns, total, sizeof(*latency_ns), by_size);
	printf("{\"count\": %llu, \"rate\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
	       (unsigned long long)total, (double)total * 1e9 / (double)(until - begin),
	       latency_ns[total / 2] / 1e3, latency_ns[total * 99 / 100] / 1e3);
	return 0;
}
