/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A socket belongs to the cgroup in which it was made. A process can listen on one that was made in
 * another cgroup (socket activation, a parent that was moved since): its connections pass the
 * programs of that cgroup. An attach logs the processes that do so. It does not ask for those
 * in cgroups below or in other network namespaces.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/host.h"

#define LISTENERS_MAX 1024
#define TCP_LISTEN_STATE 10

/* A listening socket of another cgroup. */
struct foreign {
	uint64_t cgroup_id;
	uint32_t inode;
	uint16_t port;
	uint16_t told;
};

struct foreigners {
	uint64_t own_id;
	uint32_t count;
	struct foreign socket[LISTENERS_MAX];
};

static void add_listener(struct foreigners *f, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*msg)));
	uint64_t id = 0;

	for (const struct rtattr *a = (const struct rtattr *)(msg + 1); RTA_OK(a, left);
	     a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(a) == sizeof(id))
			memcpy(&id, RTA_DATA(a), sizeof(id));
	if (id && id != f->own_id && msg->idiag_inode && f->count < LISTENERS_MAX)
		f->socket[f->count++] = (struct foreign){
			.cgroup_id = id,
			.inode = msg->idiag_inode,
			.port = ntohs(msg->id.idiag_sport),
		};
}

/* Asks for the listening sockets of one family. Linux reports their cgroups since 5.9. */
static void ask_listeners(struct foreigners *f, int netlink, uint8_t family)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 req;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask),
		      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.req = {.sdiag_family = family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1U << TCP_LISTEN_STATE},
	};
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n = send(netlink, &ask, sizeof(ask), 0);

	while (n > 0 && (n = recv(netlink, buf, sizeof(buf), 0)) > 0) {
		unsigned int left = (unsigned int)n;

		for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
				return; /* NLMSG_DONE, or an error */
			add_listener(f, h);
		}
	}
}

static bool is_below(const char *path, const char *above)
{
	size_t n = strcmp(above, "/") ? strlen(above) : 0;

	return !strncmp(path, above, n) && (path[n] == '/' || !path[n]);
}

static void tell(struct appmon *mon, struct foreign *s, const char *own, uint32_t pid)
{
	char dir[PATH_MAX], path[PATH_MAX];

	s->told = 1;
	if (cgroup_locate(mon->cgroup_mount, s->cgroup_id, dir, path) < 0)
		snprintf(path, sizeof(path), "cgroup id %llu", (unsigned long long)s->cgroup_id);
	else if (is_below(path, own))
		return; /* watched with it */
	log_line(&mon->log, APPMON_LOG_WARN,
		 "process %u of %s listens at port %u on a socket that was made in %s: its "
		 "requests are seen where that is attached",
		 pid, own, s->port, path);
}

static void look_at_process(struct appmon *mon, struct foreigners *f, const char *own, uint32_t pid)
{
	char name[64], link[64];
	struct dirent *entry;
	uint32_t inode;
	ssize_t n;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%u/fd", pid);
	dir = opendir(name);
	while (dir && (entry = readdir(dir))) {
		n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%u]", &inode) != 1)
			continue;
		for (uint32_t i = 0; i < f->count; i++)
			if (f->socket[i].inode == inode && !f->socket[i].told)
				tell(mon, &f->socket[i], own, pid);
	}
	if (dir)
		closedir(dir);
}

void unwatched_tell(struct appmon *mon, int cgroup_fd, uint64_t cgroup_id)
{
	int netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct foreigners *f = netlink < 0 ? NULL : calloc(1, sizeof(*f));
	char dir[PATH_MAX], own[PATH_MAX];
	FILE *procs = NULL;
	uint32_t pid;
	int fd;

	if (f) {
		f->own_id = cgroup_id;
		ask_listeners(f, netlink, AF_INET);
		ask_listeners(f, netlink, AF_INET6);
	}
	if (f && f->count && cgroup_locate(mon->cgroup_mount, cgroup_id, dir, own) >= 0) {
		fd = openat(cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
		procs = fd < 0 ? NULL : fdopen(fd, "r");
		while (procs && fscanf(procs, "%u", &pid) == 1)
			look_at_process(mon, f, own, pid);
		if (procs)
			fclose(procs);
		else if (fd >= 0)
			close(fd);
	}
	free(f);
	if (netlink >= 0)
		close(netlink);
}
