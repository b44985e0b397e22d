/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uring HOST PORT LOG: GET and HEAD of /hello and /bytes/N, where every accept, recv and send
 * goes through an io_uring. One operation per connection is in flight at any time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
	int fd;
	int sending;
	int keep;
	unsigned int port;
	size_t in_len;
	size_t out_len;
	size_t out_done;
	char *out;
	char in[16384];
};

static struct io_uring ring;
static int listener;
static struct sockaddr_in6 peer;
static socklen_t peer_len;
static FILE *log_file;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe)
		die("submission queue");
	return sqe;
}

static void queue_accept(void)
{
	struct io_uring_sqe *sqe = get_sqe();

	peer_len = sizeof(peer);
	io_uring_prep_accept(sqe, listener, (struct sockaddr *)&peer, &peer_len, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

static void queue_recv(struct conn *c)
{
	struct io_uring_sqe *sqe = get_sqe();

	c->sending = 0;
	io_uring_prep_recv(sqe, c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len, 0);
	io_uring_sqe_set_data(sqe, c);
}

static void queue_send(struct conn *c)
{
	struct io_uring_sqe *sqe = get_sqe();

	c->sending = 1;
	io_uring_prep_send(sqe, c->fd, c->out + c->out_done, c->out_len - c->out_done,
			   MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, c);
}

static void end_conn(struct conn *c)
{
	close(c->fd);
	free(c->out);
	free(c);
}

static void answer(struct conn *c, char *head_end)
{
	static const char text[] = "HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n";
	char method[16], target[1024];
	size_t body = 0, head, i;
	int status = 200, n;

	*head_end = '\0';
	if (sscanf(c->in, "%15s %1023s", method, target) != 2)
		die("request line");
	if (!strncmp(target, "/bytes/", 7))
		body = strtoul(target + 7, NULL, 10);
	else if (!strncmp(target, "/hello", 6))
		body = 6;
	else
		status = 404;
	c->keep = !strstr(c->in, "Connection: close");
	c->out = malloc(body + 256);
	if (!c->out)
		die("malloc");
	n = sprintf(c->out, "HTTP/1.1 %d Uring\r\nContent-Length: %zu\r\n%s\r\n", status, body,
		    c->keep ? "" : "Connection: close\r\n");
	head = (size_t)n;
	if (!strcmp(method, "HEAD"))
		body = 0;
	for (i = 0; i < body; i++)
		c->out[head + i] = text[i % (sizeof(text) - 1)];
	c->out_len = head + body;
	c->out_done = 0;
	head_end += 4;
	c->in_len -= (size_t)(head_end - c->in);
	memmove(c->in, head_end, c->in_len);
	fprintf(log_file,
		"{\"method\":\"%s\",\"target\":\"%s\",\"status\":%d,\"sent\":%zu,\"read\":0,"
		"\"port\":%u,\"pid\":%d,\"tid\":%d}\n",
		method, target, status, body, c->port, getpid(), gettid());
	queue_send(c);
}

static void serve_input(struct conn *c)
{
	char *end;

	c->in[c->in_len] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (end)
		answer(c, end);
	else
		queue_recv(c);
}

static void handle(struct conn *c, int res)
{
	if (res <= 0) {
		end_conn(c);
	} else if (!c->sending) {
		c->in_len += (size_t)res;
		serve_input(c);
	} else if ((c->out_done += (size_t)res) < c->out_len) {
		queue_send(c);
	} else {
		free(c->out);
		c->out = NULL;
		if (c->keep)
			serve_input(c);
		else
			end_conn(c);
	}
}

static void accepted(int fd)
{
	struct conn *c;

	if (fd < 0) {
		errno = -fd;
		die("accept");
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		die("calloc");
	c->fd = fd;
	c->port = ntohs(peer.sin6_port); /* at the same offset in a sockaddr_in */
	queue_recv(c);
	queue_accept();
}

static int listen_on(const char *host, const char *port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = a6.sin6_port};
	int one = 1, fd, err;

	fd = socket(strchr(host, ':') ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (inet_pton(AF_INET6, host, &a6.sin6_addr) == 1)
		err = bind(fd, (struct sockaddr *)&a6, sizeof(a6));
	else if (inet_pton(AF_INET, host, &a4.sin_addr) == 1)
		err = bind(fd, (struct sockaddr *)&a4, sizeof(a4));
	else
		err = -1;
	if (err || listen(fd, 128))
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	struct io_uring_cqe *cqe;
	struct conn *c;
	int err, res;

	if (argc != 4)
		return 2;
	err = io_uring_queue_init(256, &ring, 0);
	if (err) {
		fprintf(stderr, "io_uring: %s\n", strerror(-err));
		return 1;
	}
	log_file = fopen(argv[3], "a");
	if (!log_file)
		die(argv[3]);
	setvbuf(log_file, NULL, _IOLBF, 0);
	listener = listen_on(argv[1], argv[2]);
	queue_accept();
	for (;;) {
		err = io_uring_submit_and_wait(&ring, 1);
		if (err < 0)
			continue;
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			c = io_uring_cqe_get_data(cqe);
			res = cqe->res;
			io_uring_cqe_seen(&ring, cqe);
			if (c)
				handle(c, res);
			else
				accepted(res);
		}
	}
}
