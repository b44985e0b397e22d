/* SPDX-License-Identifier: BSD-2-Clause */
#include "traffic.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <appmon/appmon.h>

/* ---- what a test needs ------------------------------------------------------- */

bool cgroup2_mount(char path[PATH_MAX])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[8192];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, " - cgroup2 ") &&
			sscanf(line, "%*s %*s %*s %*s %4095s", path) == 1;
	if (f)
		fclose(f);
	return found;
}

static bool is_refused(void)
{
	char text[512] = "";
	APPMON_OPTS(appmon_opts, opts, .error_text = text, .error_text_size = sizeof(text));
	struct appmon *mon = NULL;
	int r = appmon_open(&mon, &opts);

	if (r != -EPERM && r != -EOPNOTSUPP)
		return false;
	fprintf(stderr, "skipped: %s\n", text);
	return true;
}

/* In a child: libbpf keeps what it found out about the kernel, and a test may count that. */
static bool kernel_refuses(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(is_refused());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status);
}

bool can_run(char mount_point[PATH_MAX])
{
	const char *why = geteuid()			? "not root"
			  : !cgroup2_mount(mount_point) ? "cgroup v2 is not mounted"
							: NULL;

	if (why)
		fprintf(stderr, "skipped: %s\n", why);
	return !why && !kernel_refuses();
}

/* ---- cgroups ---------------------------------------------------------------- */

void place_make(struct place *place, const char *parent, const char *name)
{
	int n = snprintf(place->path, sizeof(place->path), "%s/%s", parent, name);

	ck_assert_int_lt(n, (int)sizeof(place->path));
	place->server = 0;
	place->port = 0;
	if (mkdir(place->path, 0755) && errno != EEXIST)
		ck_abort_msg("mkdir %s: %s", place->path, strerror(errno));
}

void place_remove(struct place *place)
{
	if (place->server) {
		kill(place->server, SIGKILL);
		waitpid(place->server, NULL, 0);
		place->server = 0;
	}
	/* A cgroup is empty a moment after its last process is gone. */
	for (int i = 0; i < 1000 && rmdir(place->path) && errno == EBUSY; i++)
		usleep(1000);
}

/* ---- the server -------------------------------------------------------------- */

static void write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		left -= (size_t)n;
	}
}

/* Reads up to the empty line; the rest stays for the next call. */
static bool read_head(int fd, char *buf, size_t size, size_t *have)
{
	char *end;

	for (;;) {
		ssize_t n;

		buf[*have] = '\0';
		end = strstr(buf, "\r\n\r\n");
		if (end)
			break;
		n = *have + 1 < size ? recv(fd, buf + *have, size - 1 - *have, 0) : 0;
		if (n <= 0)
			return false;
		*have += (size_t)n;
	}
	end[2] = '\0';
	return true;
}

static void head_used(char *buf, size_t *have)
{
	size_t used = strlen(buf) + 2;

	memmove(buf, buf + used, *have - used);
	*have -= used;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[16384];
	size_t have = 0;

	while (read_head(fd, buf, sizeof(buf), &have)) {
		if (!strncmp(buf, "GET /slow", 9))
			usleep(300000);
		if (strncmp(buf, "GET /hang", 9))
			write_all(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				      "Content-Length: 2\r\n\r\nok");
		head_used(buf, &have);
	}
	close(fd);
	return NULL;
}

void place_enter(const struct place *place)
{
	char path[PATH_MAX + 16];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", place->path);
	f = fopen(path, "we");
	if (!f || fputs("0", f) < 0 || fclose(f))
		_exit(1);
}

static void server(const struct place *place, int port_fd)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	place_enter(place);
	/* After that: a socket belongs to the cgroup that its maker is in. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    write(port_fd, &addr.sin_port, 2) != 2)
		_exit(1);
	close(port_fd);
	for (;;) {
		int conn = accept(fd, NULL, NULL), one = 1;
		pthread_t thread;

		if (conn < 0)
			continue;
		setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)conn))
			_exit(1);
		pthread_detach(thread);
	}
}

void place_start(struct place *place, void (*serve_fn)(const struct place *place, int port_fd))
{
	uint16_t port = 0;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	place->server = fork();
	ck_assert_int_ge(place->server, 0);
	if (!place->server) {
		close(fds[0]);
		serve_fn(place, fds[1]);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &port, 2), 2);
	close(fds[0]);
	place->port = ntohs(port);
}

void place_serve(struct place *place)
{
	place_start(place, server);
}

/* ---- clients ------------------------------------------------------------------- */

int client_connect(const struct place *place)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons(place->port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	ck_assert_int_ge(fd, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		ck_abort_msg("connect: %s", strerror(errno));
	return fd;
}

void client_send(int fd, const char *path)
{
	char request[1024];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);
	write_all(fd, request);
}

void client_answer(int fd)
{
	char buf[4096];
	size_t have = 0;

	ck_assert(read_head(fd, buf, sizeof(buf), &have));
	head_used(buf, &have);
	while (have < 2) {
		ssize_t n = recv(fd, buf, 2 - have, 0);

		ck_assert_int_gt(n, 0);
		have += (size_t)n;
	}
}

void client_get(int fd, const char *path)
{
	client_send(fd, path);
	client_answer(fd);
}

void client_burst(const struct place *place, const char *path, int n)
{
	int fd = client_connect(place);

	while (n--)
		client_get(fd, path);
	close(fd);
}
