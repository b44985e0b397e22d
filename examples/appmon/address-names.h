/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of addresses at which no watched application was seen: that of the unit, container or cgroup
 * that listens there on this machine, else that of /etc/hosts, else the one that its clients use.
 */
#ifndef APPMON_CLI_ADDRESS_NAMES_H
#define APPMON_CLI_ADDRESS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

#include "container-names.h"
#include "host-names.h"

/* Where a client went, and from which network namespaces. */
struct destination {
	struct appmon_endpoint endpoint;
	bool from_here, from_elsewhere;
};

struct address_names {
	struct container_names *containers; /* NULL: nobody knows any */
	struct address_name *hosts, *listeners;
	size_t host_count, listener_count;
	/* Who listens here is who was asked only if the clients were here, too. */
	struct destination *destinations;
	size_t destination_count;
	struct host_names asked;
};

/* Both may be called again, and add what is new. Without memory, names are missing. */
void address_names_read_hosts(struct address_names *names, const char *path);
void address_names_read_listeners(struct address_names *names, struct appmon *mon);

/* Each event, with APPMON_OPEN_IDENTITY. */
void address_names_event(struct address_names *names, const struct appmon_event *ev);

/* Listeners may be others by now. */
void address_names_forget_listeners(struct address_names *names);

/* NULL: it has no name. Valid until names are read again. */
const struct address_name *address_names_find(const struct address_names *names,
					      const struct appmon_endpoint *endpoint);

/*
 * A target's name; any other with the port behind it, as there may be several servers at one address;
 * else the address, without port if that is 0. NULL stands for what was not found.
 */
void address_name_format(const struct address_name *name, const struct appmon_endpoint *endpoint,
			 char *buf, size_t size);

void address_names_free(struct address_names *names);

#endif /* APPMON_CLI_ADDRESS_NAMES_H */
