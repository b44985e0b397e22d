/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of servers as those that ask them call them: the Host of HTTP, the server name of TLS, which
 * a client has looked up before. An address that goes by several names, as a proxy's does, has none.
 */
#ifndef APPMON_CLI_HOST_NAMES_H
#define APPMON_CLI_HOST_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include <appmon/appmon.h>

struct address_name {
	struct appmon_endpoint endpoint; /* port 0: whatever the port */
	bool watched;			 /* the name is a target's */
	char *name;
};

#define HOST_NAMES_MAX 1024

struct host_names {
	/* family 0: the slot is free; no name: it goes by several. */
	struct address_name table[2 * HOST_NAMES_MAX];
	size_t count; /* further addresses have no names */
};

/* Each event. */
void host_names_event(struct host_names *names, const struct appmon_event *ev);

/* NULL: none is known. Valid until the next event. */
const struct address_name *host_names_find(const struct host_names *names,
					   const struct appmon_endpoint *endpoint);

void host_names_free(struct host_names *names);

#endif /* APPMON_CLI_HOST_NAMES_H */
