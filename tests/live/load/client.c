/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client HOST PORT LOG [name=value...]: sends a random mix of requests to server.c, each with an
 * id of its own, over many connections that live for one to a hundred of them, cut anywhere into
 * writes. LOG is as the server's, of the exchanges of which the whole response came.
 *
 *   requests=N  how many (about); connections=N  at a time; keep=N  most on a connection
 *   upload=N download=N  longest bodies
 *   seed=N      of the dice
 *   depth=N     most requests under way on a connection: 1 is no pipelining
 *   rcvbuf= clamp= stall= lookalike=   see http.h
 *   fastopen=1  the first request goes with the SYN
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "http.h"

#define MAX_DEPTH 16
#define PATIENCE_MS 60000

enum ending { CLIENT_CLOSES, CLIENT_HALF_CLOSES, SERVER_CLOSES };

struct exchange {
	size_t id;
	char method[8], target[64];
	size_t request_head, request_body;
};

struct conn {
	int fd;
	uint64_t *dice;
	struct bytes in, out;
	size_t left; /* requests that are not made yet */
	enum ending ending;
	size_t depth;
	struct exchange waiting[MAX_DEPTH]; /* for a response, the first at [first] */
	size_t first, count;
	/* Of the response that is being read. */
	int in_body, status;
	size_t response_head;
	struct body body;
};

static struct sockaddr_in server;
static struct habits habits;
static FILE *log_file;
static size_t depth, keep, upload, download, last_id;
static long budget;
static int fastopen, failed;

static void fail(struct conn *c, const char *what)
{
	fprintf(stderr, "%s: %s (%s)\n", c->count ? c->waiting[c->first].target : "-", what,
		strerror(errno));
	failed = 1;
}

/* Mostly small, up to max. */
static size_t size(uint64_t *dice, size_t max)
{
	size_t limits[] = {1, 100, 2000, 2000, 8000, 30000, max};
	size_t limit = limits[below(dice, 7 - (below(dice, 3) > 0))];

	return below(dice, 1 + (limit < max ? limit : max));
}

/* Appends a request to what is to be sent. */
static void make_request(struct conn *c)
{
	struct exchange *x = &c->waiting[(c->first + c->count++) % MAX_DEPTH];
	static const char *const methods[] = {"GET", "GET", "GET", "POST", "POST", "HEAD"};
	static const struct {
		char kind;
		size_t status;
	} kinds[] = {{'l', 0}, {'l', 0}, {'c', 0}, {'c', 0}, {'s', 204}, {'s', 304}};
	size_t k = below(c->dice, 6), n = kinds[k].status, before = have(&c->out), content = 0;
	int last = --c->left == 0, chunked = 0, half = last && c->ending == CLIENT_HALF_CLOSES;
	int close = last && c->ending == SERVER_CLOSES;
	char kind = kinds[k].kind;

	if (close && below(c->dice, 2))
		kind = 'e';
	if (kind != 's')
		n = size(c->dice, download);
	x->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
	strcpy(x->method, methods[below(c->dice, 6)]);
	snprintf(x->target, sizeof(x->target), "/%zu/%c/%zu%s", x->id, kind, n,
		 half || below(c->dice, 30) == 0 ? "?wait=20" : "");
	put_text(&c->out, "%s %s HTTP/1.1\r\nHost: load\r\n", x->method, x->target);
	if (below(c->dice, 10) == 0)
		put_text(&c->out, "X-Pad: %0*d\r\n", (int)below(c->dice, 2500) + 1, 0);
	if (!strcmp(x->method, "POST")) {
		content = size(c->dice, upload);
		chunked = below(c->dice, 2) == 0;
		if (chunked)
			put_text(&c->out, "Transfer-Encoding: chunked\r\n");
		else
			put_text(&c->out, "Content-Length: %zu\r\n", content);
	}
	put_text(&c->out, close ? "Connection: close\r\n\r\n" : "\r\n");
	x->request_head = have(&c->out) - before;
	x->request_body = put_body(&c->out, content, chunked, c->dice);
}

/* What is sent with the SYN, if the cookie is known; else the handshake comes first. */
static int open_connection(struct conn *c)
{
	ssize_t n;

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0)
		die("socket");
	prepare(c->fd, &habits);
	if (!fastopen)
		return connect(c->fd, (struct sockaddr *)&server, sizeof(server));
	n = sendto(c->fd, c->out.data + c->out.start, piece(c->dice, have(&c->out)),
		   MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&server, sizeof(server));
	if (n < 0)
		return -1;
	c->out.start += (size_t)n;
	return 0;
}

/* Reads the start of the next response: 1, or 0 if it is not there yet, -1 if it is none. */
static int begin_response(struct conn *c)
{
	struct exchange *x = &c->waiting[c->first];
	size_t head = head_len(&c->in);
	const char *id, *value;

	if (!head)
		return 0;
	id = field(&c->in, head, "X-Request-Id");
	if (sscanf(c->in.data + c->in.start, "HTTP/1.1 %d ", &c->status) != 1 || !id ||
	    strtoul(id, NULL, 10) != x->id)
		return -1;
	memset(&c->body, 0, sizeof(c->body));
	if (strcmp(x->method, "HEAD") && c->status == 200) {
		value = field(&c->in, head, "Content-Length");
		c->body.left = value ? strtoul(value, NULL, 10) : 0;
		c->body.chunked = field(&c->in, head, "Transfer-Encoding") != NULL;
		c->body.until_end = !value && !c->body.chunked;
	}
	c->in.start += head;
	c->response_head = head;
	c->in_body = 1;
	return 1;
}

static void log_response(struct conn *c)
{
	struct exchange *x = &c->waiting[c->first];

	fprintf(log_file, "%zu %s %s %d %zu %zu %zu %zu\n", x->id, x->method, x->target, c->status,
		x->request_head, x->request_body, c->response_head, c->body.wire);
	c->first = (c->first + 1) % MAX_DEPTH;
	c->count--;
	c->in_body = 0;
}

/* Takes the responses that are there; -1: one is wrong. */
static int take_responses(struct conn *c)
{
	int ret = 1;

	while (ret > 0 && c->count) {
		if (!c->in_body)
			ret = begin_response(c);
		if (c->in_body) {
			ret = read_body(&c->in, &c->body);
			if (ret > 0)
				log_response(c);
		}
	}
	if (ret >= 0 && !c->count && have(&c->in))
		return -1;
	return ret < 0 ? -1 : 0;
}

/* With the last request its FIN comes in the same segment, if there is room. */
static void half_close(struct conn *c)
{
	if (!c->left && c->ending == CLIENT_HALF_CLOSES && !have(&c->out))
		shutdown(c->fd, SHUT_WR);
}

static int send_some(struct conn *c)
{
	ssize_t n = send(c->fd, c->out.data + c->out.start, piece(c->dice, have(&c->out)),
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	c->out.start += (size_t)n;
	/* Now and then what was cut stays apart on the wire. */
	if (have(&c->out) && below(c->dice, 20) == 0)
		sleep_ms(1);
	half_close(c);
	return 0;
}

/* Makes the requests that the depth allows. */
static void refill(struct conn *c)
{
	if (!c->count)
		c->depth = 1 + below(c->dice, depth);
	while (c->left && c->count < c->depth)
		make_request(c);
}

/* Sends and receives until all is answered; 0, or -1. */
static int talk(struct conn *c)
{
	struct pollfd end = {.fd = c->fd};
	ssize_t n;

	half_close(c); /* if all of it went with the SYN */
	while (refill(c), c->count) {
		if (!c->left && c->ending == CLIENT_HALF_CLOSES)
			set_int(c->fd, IPPROTO_TCP, TCP_CORK, 1);
		end.events = POLLIN | (have(&c->out) ? POLLOUT : 0);
		if (poll(&end, 1, PATIENCE_MS) <= 0) {
			fail(c, "silence");
			return -1;
		}
		if (have(&c->out) && end.revents & POLLOUT && send_some(c)) {
			fail(c, "send");
			return -1;
		}
		if (!(end.revents & ~POLLOUT))
			continue;
		n = receive(c->fd, &c->in, &habits, c->dice, c->in_body && c->body.content > 9000);
		if (n == 0 && c->in_body && c->body.until_end) {
			log_response(c);
			return 0;
		}
		if (n <= 0 || take_responses(c)) {
			fail(c, n < 0 ? "recv" : n ? "a wrong response" : "closed");
			return -1;
		}
	}
	return 0;
}

static void run_connection(uint64_t *dice, size_t requests)
{
	struct conn c = {.dice = dice, .left = requests, .ending = (enum ending)below(dice, 3)};

	refill(&c);
	if (open_connection(&c))
		fail(&c, "connect");
	else
		talk(&c);
	close(c.fd);
	free(c.in.data);
	free(c.out.data);
}

/* The requests of the next connection: one, a few or many; 0: the budget is used up. */
static size_t next_connection(uint64_t *dice)
{
	size_t most[] = {1, 5, 30, keep}, n = 1 + below(dice, most[below(dice, 4)]);
	long before = __atomic_fetch_sub(&budget, (long)n, __ATOMIC_RELAXED);

	return before > 0 ? n : 0;
}

static void *run(void *arg)
{
	uint64_t *dice = arg;
	size_t n;

	while (!failed && (n = next_connection(dice)) > 0)
		run_connection(dice, n);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t connections = (size_t)option(argc, argv, "connections", 32);
	uint64_t dice = (uint64_t)option(argc, argv, "seed", 1), seeds[256];
	pthread_t threads[256];

	if (argc < 4 || connections > 256)
		return 2;
	habits = read_habits(argc, argv);
	budget = (long)option(argc, argv, "requests", 1000);
	depth = (size_t)option(argc, argv, "depth", 1);
	keep = (size_t)option(argc, argv, "keep", 100);
	upload = (size_t)option(argc, argv, "upload", 200000);
	download = (size_t)option(argc, argv, "download", 300000);
	fastopen = (int)option(argc, argv, "fastopen", 0);
	server.sin_family = AF_INET;
	inet_pton(AF_INET, argv[1], &server.sin_addr);
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	log_file = fopen(argv[3], "w");
	if (!log_file || depth > MAX_DEPTH)
		die("start");
	for (size_t i = 0; i < connections; i++) {
		seeds[i] = next_random(&dice);
		if (pthread_create(&threads[i], NULL, run, &seeds[i]))
			die("thread");
	}
	for (size_t i = 0; i < connections; i++)
		pthread_join(threads[i], NULL);
	fclose(log_file);
	return failed;
}
