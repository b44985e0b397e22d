/* SPDX-License-Identifier: BSD-2-Clause */
#include "address-names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <appmon/metrics.h>

#include "machine-names.h"

/* Others have no names of listeners. */
#define MAX_DESTINATIONS 1024
#define TCP_LISTEN_STATE 10 /* of the kernel's include/net/tcp_states.h */

static size_t address_len(const struct appmon_endpoint *endpoint)
{
	return endpoint->family == 4 ? 4 : 16;
}

static bool same_address(const struct appmon_endpoint *a, const struct appmon_endpoint *b)
{
	return a->family == b->family && memcmp(a->addr, b->addr, address_len(a)) == 0;
}

static bool is_wildcard(const struct appmon_endpoint *endpoint)
{
	static const uint8_t any[16];

	return memcmp(endpoint->addr, any, address_len(endpoint)) == 0;
}

static bool is_loopback(const struct appmon_endpoint *endpoint)
{
	if (endpoint->family == 4)
		return endpoint->addr[0] == 127;
	return memcmp(endpoint->addr, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
}

static void add(struct address_name **list, size_t *count, const struct appmon_endpoint *endpoint,
		const char *name, bool watched)
{
	struct address_name *grown = reallocarray(*list, *count + 1, sizeof(*grown));

	if (!grown)
		return;
	*list = grown;
	grown[*count] = (struct address_name){
		.endpoint = *endpoint, .watched = watched, .name = strdup(name)};
	*count += grown[*count].name != NULL;
}

/* ---- hosts(5) -------------------------------------------------------------------------------- */

void address_names_read_hosts(struct address_names *names, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL, address[64], name[256];
	size_t size = 0;

	if (!file)
		return;
	while (getline(&line, &size, file) >= 0) {
		struct appmon_endpoint endpoint = {.family = 4};

		line[strcspn(line, "#")] = '\0';
		if (sscanf(line, "%63s %255s", address, name) != 2)
			continue;
		if (inet_pton(AF_INET, address, endpoint.addr) != 1) {
			endpoint.family = 6;
			if (inet_pton(AF_INET6, address, endpoint.addr) != 1)
				continue;
		}
		/* "localhost" says no more than the address, which has the port's listener, too. */
		if (!is_loopback(&endpoint))
			add(&names->hosts, &names->host_count, &endpoint, name, false);
	}
	free(line);
	fclose(file);
}

/* ---- listeners ------------------------------------------------------------------------------- */

/* Whether path is a directory or below it. */
static bool is_below(const char *path, const struct appmon_str *directory)
{
	return directory->len > 0 && strncmp(path, directory->data, directory->len) == 0 &&
	       (path[directory->len] == '/' || path[directory->len] == '\0');
}

/* Targets have the names that the user gave them. */
static bool name_of_target(struct appmon *mon, uint64_t cgroup_id, char *buf, size_t size,
			   bool *ret_named)
{
	struct appmon_target target = {.size = sizeof(target)};
	char path[4096];
	bool found = false;

	if (appmon_cgroup_path(cgroup_id, path, sizeof(path)) < 0)
		return false;
	for (uint32_t id = 0; !found && appmon_next_target(mon, id, &target) > 0; id = target.id)
		found = is_below(path, &target.path);
	if (found)
		snprintf(buf, size, "%s", target.name.data);
	*ret_named = found && !target.user;
	return found;
}

static void add_listener(struct address_names *names, struct appmon *mon,
			 const struct appmon_endpoint *endpoint, uint64_t cgroup_id)
{
	const char *container = NULL;
	struct appmon_str path;
	bool watched, named = false;
	char name[256];

	watched = name_of_target(mon, cgroup_id, name, sizeof(name), &named);
	if (appmon_find_cgroup(mon, cgroup_id, &path) < 0)
		path = (struct appmon_str){.data = "/", .len = 1};
	if (!named)
		container = container_names_find(names->containers, cgroup_id, path.data);
	if (container)
		snprintf(name, sizeof(name), "%s", container);
	/* The top of the hierarchy is many programs. */
	else if (!watched && strcmp(path.data, "/") == 0)
		return;
	else if (!watched)
		machine_name(path.data, "", name, sizeof(name));
	add(&names->listeners, &names->listener_count, endpoint, name, watched);
}

static void take_socket(struct address_names *names, struct appmon *mon, struct nlmsghdr *header)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct inet_diag_msg *msg = NLMSG_DATA(header);
	int len = (int)NLMSG_PAYLOAD(header, sizeof(*msg));
	struct appmon_endpoint endpoint = {.family = msg->idiag_family == AF_INET ? 4 : 6,
					   .port = ntohs(msg->id.idiag_sport)};
	struct rtattr *attr = (struct rtattr *)(msg + 1);
	uint64_t cgroup_id;

	memcpy(endpoint.addr, msg->id.idiag_src, address_len(&endpoint));
	/* ::ffff:127.0.0.1 of an IPv6 socket. */
	if (endpoint.family == 6 && memcmp(endpoint.addr, mapped, sizeof(mapped)) == 0) {
		memmove(endpoint.addr, endpoint.addr + 12, 4);
		endpoint.family = 4;
	}
	for (; RTA_OK(attr, len); attr = RTA_NEXT(attr, len)) {
		if (attr->rta_type != INET_DIAG_CGROUP_ID)
			continue;
		memcpy(&cgroup_id, RTA_DATA(attr), sizeof(cgroup_id));
		add_listener(names, mon, &endpoint, cgroup_id);
	}
}

/* Returns false at the end. */
static bool take_messages(struct address_names *names, struct appmon *mon, int fd)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	ssize_t got = recv(fd, buf, sizeof(buf), 0);
	unsigned len = got > 0 ? (unsigned)got : 0;

	if (got <= 0)
		return got < 0 && errno == EINTR;
	for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, len);
	     h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return false;
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			take_socket(names, mon, h);
	}
	return true;
}

/* sock_diag(7): the listening sockets of this network namespace, with their cgroups. */
void address_names_read_listeners(struct address_names *names, struct appmon *mon)
{
	const uint8_t families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < sizeof(families); i++) {
		struct {
			struct nlmsghdr header;
			struct inet_diag_req_v2 req;
		} ask = {
			.header = {.nlmsg_len = sizeof(ask),
				   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
				   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
			.req = {.sdiag_family = families[i],
				.sdiag_protocol = IPPROTO_TCP,
				.idiag_states = 1 << TCP_LISTEN_STATE},
		};
		int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

		if (fd < 0)
			return;
		if (send(fd, &ask, sizeof(ask), 0) == (ssize_t)sizeof(ask))
			while (take_messages(names, mon, fd))
				;
		close(fd);
	}
}

/* ---- whose addresses ------------------------------------------------------------------------- */

static struct destination *find_destination(const struct address_names *names,
					    const struct appmon_endpoint *endpoint)
{
	for (size_t i = 0; i < names->destination_count; i++)
		if (names->destinations[i].endpoint.port == endpoint->port &&
		    same_address(&names->destinations[i].endpoint, endpoint))
			return &names->destinations[i];
	return NULL;
}

static struct destination *add_destination(struct address_names *names,
					   const struct appmon_endpoint *endpoint)
{
	struct destination *grown;

	if (names->destination_count == MAX_DESTINATIONS)
		return NULL;
	grown = reallocarray(names->destinations, names->destination_count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	names->destinations = grown;
	grown += names->destination_count++;
	*grown = (struct destination){.endpoint = *endpoint};
	return grown;
}

void address_names_event(struct address_names *names, const struct appmon_event *ev)
{
	static ino_t own;
	struct destination *destination;
	struct stat st;

	host_names_event(&names->asked, ev);
	if (ev->role != APPMON_ROLE_CLIENT || ev->netns_inum == 0)
		return;
	if (own == 0 && stat("/proc/self/ns/net", &st) == 0)
		own = st.st_ino;
	destination = find_destination(names, &ev->remote);
	if (!destination)
		destination = add_destination(names, &ev->remote);
	if (destination && ev->netns_inum == own)
		destination->from_here = true;
	else if (destination)
		destination->from_elsewhere = true;
}

static bool is_from_here(const struct address_names *names, const struct appmon_endpoint *endpoint)
{
	const struct destination *destination = find_destination(names, endpoint);

	return destination && destination->from_here && !destination->from_elsewhere;
}

static bool is_own(const struct appmon_endpoint *endpoint)
{
	struct ifaddrs *list, *at;
	bool found = is_loopback(endpoint);

	if (found || getifaddrs(&list) < 0)
		return found;
	for (at = list; at && !found; at = at->ifa_next) {
		const struct sockaddr *address = at->ifa_addr;

		if (address && address->sa_family == AF_INET && endpoint->family == 4)
			found = memcmp(&((const struct sockaddr_in *)address)->sin_addr,
				       endpoint->addr, 4) == 0;
		else if (address && address->sa_family == AF_INET6 && endpoint->family == 6)
			found = memcmp(&((const struct sockaddr_in6 *)address)->sin6_addr,
				       endpoint->addr, 16) == 0;
	}
	freeifaddrs(list);
	return found;
}

/* The latest that was read, one of this address before one of all. */
static const struct address_name *find_listener(const struct address_names *names,
						const struct appmon_endpoint *endpoint)
{
	const struct address_name *any = NULL;

	for (size_t i = names->listener_count; i-- > 0;) {
		const struct address_name *l = &names->listeners[i];

		if (l->endpoint.port != endpoint->port)
			continue;
		if (same_address(&l->endpoint, endpoint))
			return l;
		/* One of "::" takes IPv4, too, unless it was asked not to. */
		if (!any && is_wildcard(&l->endpoint) && l->endpoint.family >= endpoint->family)
			any = l;
	}
	return any;
}

const struct address_name *address_names_find(const struct address_names *names,
					      const struct appmon_endpoint *endpoint)
{
	const struct address_name *listener = find_listener(names, endpoint);

	if (listener && is_from_here(names, endpoint) && is_own(endpoint))
		return listener;
	for (size_t i = 0; i < names->host_count; i++)
		if (same_address(&names->hosts[i].endpoint, endpoint))
			return &names->hosts[i];
	return host_names_find(&names->asked, endpoint);
}

void address_name_format(const struct address_name *name, const struct appmon_endpoint *endpoint,
			 char *buf, size_t size)
{
	char text[56];

	if (name && (name->watched || endpoint->port == 0)) {
		snprintf(buf, size, "%s", name->name);
	} else if (name) {
		snprintf(buf, size, "%s:%u", name->name, endpoint->port);
	} else {
		appmon_format_endpoint(endpoint, text, sizeof(text));
		if (endpoint->port == 0)
			*strrchr(text, ':') = '\0';
		snprintf(buf, size, "%s", text);
	}
}

static void free_list(struct address_name *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].name);
	free(list);
}

void address_names_forget_listeners(struct address_names *names)
{
	free_list(names->listeners, names->listener_count);
	names->listeners = NULL;
	names->listener_count = 0;
}

void address_names_free(struct address_names *names)
{
	free_list(names->hosts, names->host_count);
	address_names_forget_listeners(names);
	host_names_free(&names->asked);
	free(names->destinations);
	*names = (struct address_names){0};
}
