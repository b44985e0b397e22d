/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server HOST PORT LOG [name=value...]: one thread for each connection. A target says what is to
 * come back, /ID/KIND/N?wait=MS: KIND l (Content-Length: N), c (chunked), e (to the end of the
 * connection) or s (the status N, without content). Each response carries X-Request-Id: ID.
 *
 *   seed=N      of the dice: where responses are cut into writes, which ones share a write
 *   rcvbuf= clamp= stall= lookalike=   see http.h
 *   fastopen=1  data is taken from a SYN
 *
 * The log has a line for each exchange: ID METHOD TARGET STATUS, then bytes of the stream: request
 * head, request body, response head, response body. It is complete at SIGTERM. Standard output gets
 * a line as soon as the server listens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "http.h"

struct conn {
	int fd;
	uint64_t dice;
	struct bytes in, out;
};

static struct habits habits;
static FILE *log_file;

static void *wait_for_end(void *arg)
{
	sigset_t *set = arg;
	int sig;

	sigwait(set, &sig);
	exit(0); /* flushes the log */
}

/* 0, or -1 when the peer is gone. */
static int flush(struct conn *c)
{
	ssize_t n;

	while (have(&c->out)) {
		n = send(c->fd, c->out.data + c->out.start, piece(&c->dice, have(&c->out)),
			 MSG_NOSIGNAL);
		if (n < 0)
			return -1;
		c->out.start += (size_t)n;
	}
	return 0;
}

/* The length of the next head, with responses sent before this waits for it; 0: no more. */
static size_t next_head(struct conn *c)
{
	size_t head;

	while (!(head = head_len(&c->in)))
		if (flush(c) || receive(c->fd, &c->in, &habits, &c->dice, 0) <= 0)
			return 0;
	return head;
}

static int next_body(struct conn *c, struct body *body)
{
	int ret;

	while (!(ret = read_body(&c->in, body)))
		if (flush(c) ||
		    receive(c->fd, &c->in, &habits, &c->dice, body->content > 9000) <= 0)
			return -1;
	return ret;
}

static const char *reason(int status)
{
	return status == 204 ? "No Content" : status == 304 ? "Not Modified" : "OK";
}

/* Appends the response; says how long its parts are. */
static void respond(struct conn *c, const char *id, const char *method, char kind, size_t n,
		    int last, size_t *head, size_t *body)
{
	int status = kind == 's' ? (int)n : 200, empty = kind == 's' || !strcmp(method, "HEAD");
	size_t before = have(&c->out), pad = below(&c->dice, 10) ? 0 : below(&c->dice, 2500);

	put_text(&c->out, "HTTP/1.1 %d %s\r\nX-Request-Id: %s\r\n", status, reason(status), id);
	if (pad)
		put_text(&c->out, "X-Pad: %0*d\r\n", (int)pad, 0);
	if (kind == 'l')
		put_text(&c->out, "Content-Length: %zu\r\n", n);
	if (kind == 'c')
		put_text(&c->out, "Transfer-Encoding: chunked\r\n");
	put_text(&c->out, last ? "Connection: close\r\n\r\n" : "\r\n");
	*head = have(&c->out) - before;
	*body = empty ? 0 : put_body(&c->out, n, kind == 'c', &c->dice);
}

/* One exchange. 1: another may follow, 0: that was the last, -1: the peer is gone or talks
 * nonsense. */
static int serve_one(struct conn *c)
{
	char method[16], target[128], id[32], kind;
	size_t head = next_head(c), n, response_head, response_body;
	unsigned int wait = 0;
	struct body body = {0};
	const char *value;
	int last;

	if (!head)
		return -1;
	if (sscanf(c->in.data + c->in.start, "%15s %127s", method, target) != 2 ||
	    sscanf(target, "/%31[^/]/%c/%zu?wait=%u", id, &kind, &n, &wait) < 3) {
		fprintf(stderr, "bad head: %.60s\n", c->in.data + c->in.start);
		return -1;
	}
	value = field(&c->in, head, "Connection");
	last = value && !strncmp(value, "close", 5);
	value = field(&c->in, head, "Content-Length");
	body.left = value ? strtoul(value, NULL, 10) : 0;
	body.chunked = field(&c->in, head, "Transfer-Encoding") != NULL;
	c->in.start += head;
	if (next_body(c, &body) < 0) {
		fprintf(stderr, "bad body of %s\n", target);
		return -1;
	}
	if (wait) {
		if (flush(c))
			return -1;
		sleep_ms(wait);
	}
	respond(c, id, method, kind, n, last, &response_head, &response_body);
	fprintf(log_file, "%s %s %s %zu %zu %zu %zu %zu\n", id, method, target,
		kind == 's' ? n : 200, head, body.wire, response_head, response_body);
	/* With the last one the FIN comes in the same segment, if there is room. */
	if (last)
		set_int(c->fd, IPPROTO_TCP, TCP_CORK, 1);
	if (last || !head_len(&c->in) || below(&c->dice, 4) == 0)
		if (flush(c))
			return -1;
	return !last;
}

static void *serve(void *arg)
{
	struct conn *c = arg;

	while (serve_one(c) > 0)
		continue;
	close(c->fd);
	free(c->in.data);
	free(c->out.data);
	free(c);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	uint64_t dice;
	pthread_t thread;
	pthread_attr_t detached;
	struct conn *c;
	sigset_t set;

	if (argc < 4)
		return 2;
	habits = read_habits(argc, argv);
	dice = (uint64_t)option(argc, argv, "seed", 1);
	log_file = fopen(argv[3], "w");
	inet_pton(AF_INET, argv[1], &address.sin_addr);
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	set_int(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!log_file || bind(listener, (struct sockaddr *)&address, sizeof(address)))
		die("start");
	prepare(listener, &habits);
	if (option(argc, argv, "fastopen", 0) > 0)
		set_int(listener, IPPROTO_TCP, TCP_FASTOPEN, 256);
	if (listen(listener, 1024))
		die("listen");
	puts("ready");
	fflush(stdout);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&thread, NULL, wait_for_end, &set);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		c = calloc(1, sizeof(*c));
		if (!c)
			die("memory");
		c->fd = fd;
		c->dice = next_random(&dice);
		if (pthread_create(&thread, &detached, serve, c))
			die("thread");
	}
	die("accept");
}
