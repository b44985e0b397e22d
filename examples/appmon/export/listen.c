/* SPDX-License-Identifier: BSD-2-Clause */
#include "listen.h"

#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on(const struct addrinfo *address)
{
	int fd, err, on = 1;

	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Splits at the last colon and takes brackets away. */
static int resolve(const char *text, struct addrinfo **ret)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	char host[NI_MAXHOST], *name = host, *port;
	int err;

	snprintf(host, sizeof(host), "%s", text);
	port = strrchr(host, ':');
	if (!port || port == host) {
		warnx("cannot listen on %s: it is not like 127.0.0.1:9464 or [::]:9464", text);
		return -EINVAL;
	}
	*port++ = '\0';
	if (*name == '[' && name[strlen(name) - 1] == ']') {
		name[strlen(name) - 1] = '\0';
		name++;
	}
	err = getaddrinfo(name, port, &hints, ret);
	if (err != 0) {
		warnx("cannot listen on %s: %s", text, gai_strerror(err));
		return -EINVAL;
	}
	return 0;
}

int listen_open(const char *text)
{
	struct addrinfo *address;
	int fd, ret;

	ret = resolve(text, &address);
	if (ret < 0)
		return ret;
	fd = listen_on(address);
	freeaddrinfo(address);
	if (fd < 0)
		warnx("cannot listen on %s: %s", text, strerror(-fd));
	return fd;
}

void listen_address(int fd, char text[LISTEN_ADDRESS_SIZE])
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	*text = '\0';
	if (getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
	    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(text, LISTEN_ADDRESS_SIZE, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
			 port);
}

bool listen_is_loopback(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return false;
	if (address.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
	return address.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}
