/* SPDX-License-Identifier: BSD-2-Clause */
#include "flood.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 1024

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* ---- the server ------------------------------------------------------------------ */

/* What a connection has sent of an incomplete head, by descriptor. */
static char **partial;
static struct flood_counts *served;
static unsigned int processes;

static bool answer(int fd, char *head)
{
	char *path = strchr(head, ' '), *end = path ? strchr(path + 1, ' ') : NULL;
	char text[HEAD_MAX + 128];
	int n;

	if (!end)
		return false;
	path++;
	*end = '\0';
	served->requests++;
	if (!strncmp(path, "/hang", 5))
		return true;
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: 2\r\n\r\nok", path);
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		return false;
	return end - path < 6 || memcmp(end - 6, "/close", 6) != 0;
}

/* False: close it. */
static bool serve(int fd)
{
	char buf[2 * HEAD_MAX], *at = buf, *end;
	size_t have = partial[fd] ? strlen(partial[fd]) : 0;
	ssize_t n;

	if (have)
		memcpy(buf, partial[fd], have);
	n = recv(fd, buf + have, HEAD_MAX, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	buf[have + (size_t)n] = '\0';
	while ((end = strstr(at, "\r\n\r\n"))) {
		*end = '\0';
		if (!answer(fd, at))
			return false;
		at = end + 4;
	}
	free(partial[fd]);
	partial[fd] = NULL;
	if (*at && (strlen(at) >= HEAD_MAX || !(partial[fd] = strdup(at))))
		return false;
	return true;
}

/* False: the others have to take the rest. */
static bool meet(int epoll_fd, int listener)
{
	struct epoll_event ev = {.events = EPOLLIN};

	while ((ev.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		no_delay(ev.data.fd);
		served->connections++;
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, ev.data.fd, &ev);
	}
	return errno != EMFILE;
}

static void serve_all(int listener, unsigned long limit)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener},
			   ready[256];
	int epoll_fd = epoll_create1(0);
	bool full = false;

	partial = calloc(limit, sizeof(*partial));
	if (!partial || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev))
		_exit(1);
	for (;;) {
		int n = epoll_wait(epoll_fd, ready, 256, -1);

		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd;

			if (fd == listener && !meet(epoll_fd, fd)) {
				full = true;
				epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
			} else if (fd != listener && !serve(fd)) {
				free(partial[fd]);
				partial[fd] = NULL;
				close(fd);
				if (full)
					epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev);
				full = false;
			}
		}
	}
}

static void server(const struct place *place, int port_fd)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	unsigned long limit = flood_limit();
	socklen_t len = sizeof(addr);
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	place_enter(place);
	/* After that: a socket belongs to the cgroup that its maker is in. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    write(port_fd, &addr.sin_port, 2) != 2)
		_exit(1);
	close(port_fd);
	while (--processes && fork())
		;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	serve_all(fd, limit);
}

const struct flood_counts *flood_serve(struct place *place, unsigned int n)
{
	processes = n;
	served = mmap(NULL, sizeof(*served), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ck_assert_ptr_ne(served, MAP_FAILED);
	place_start(place, server);
	return served;
}

/* ---- clients ------------------------------------------------------------------------ */

unsigned long flood_limit(void)
{
	struct rlimit limit, most;
	unsigned long nr_open = 0;
	FILE *f = fopen("/proc/sys/fs/nr_open", "re");

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (f && fscanf(f, "%lu", &nr_open) == 1) {
		most.rlim_cur = most.rlim_max = nr_open;
		if (!setrlimit(RLIMIT_NOFILE, &most)) /* needs CAP_SYS_RESOURCE */
			limit = most;
	}
	if (f)
		fclose(f);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

int flood_connect(const struct place *place, unsigned long n)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons(place->port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK + n % 16)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	no_delay(fd);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

bool flood_send(int fd, const char *path)
{
	char request[HEAD_MAX];
	int n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);

	return send(fd, request, (size_t)n, MSG_NOSIGNAL) == n;
}

bool flood_answer(int fd, const char *path)
{
	char expected[HEAD_MAX + 128], buf[HEAD_MAX + 128];
	int want = snprintf(expected, sizeof(expected),
			    "HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: 2\r\n\r\nok", path);
	ssize_t n;

	for (int have = 0; have < want; have += (int)n) {
		n = recv(fd, buf + have, (size_t)(want - have), 0);
		if (n <= 0)
			return false;
	}
	return !memcmp(buf, expected, (size_t)want);
}

bool flood_get(int fd, const char *path)
{
	return flood_send(fd, path) && flood_answer(fd, path);
}

void flood_reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}
