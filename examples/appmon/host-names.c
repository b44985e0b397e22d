/* SPDX-License-Identifier: BSD-2-Clause */
#include "host-names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define SLOTS (sizeof(((struct host_names *)NULL)->table) / sizeof(struct address_name))
#define NAME_SIZE 254 /* of DNS, with its NUL */

static size_t address_len(const struct appmon_endpoint *endpoint)
{
	return endpoint->family == 4 ? 4 : 16;
}

static bool is_same(const struct appmon_endpoint *a, const struct appmon_endpoint *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->addr, b->addr, address_len(a)) == 0;
}

/* Where the address is, or would be: there are twice as many slots as addresses. */
static size_t slot_of(const struct host_names *names, const struct appmon_endpoint *endpoint)
{
	size_t slot = (hash_bytes(endpoint->addr, address_len(endpoint)) ^ endpoint->port) % SLOTS;

	while (names->table[slot].endpoint.family != 0 &&
	       !is_same(&names->table[slot].endpoint, endpoint))
		slot = (slot + 1) % SLOTS;
	return slot;
}

/* The host of "HOST:PORT" in small letters; false: it is an address, or no name. */
static bool read_host(const char *text, char host[NAME_SIZE])
{
	unsigned char address[sizeof(struct in_addr)];
	size_t len = 0;

	for (; text[len] != '\0' && text[len] != ':'; len++) {
		unsigned char c = (unsigned char)text[len];

		if (len + 1 >= NAME_SIZE || !(isalnum(c) || c == '-' || c == '.' || c == '_'))
			return false;
		host[len] = (char)tolower(c);
	}
	host[len] = '\0';
	/* "localhost" says no more than the address. */
	return len > 0 && strcmp(host, "localhost") != 0 && inet_pton(AF_INET, host, address) != 1;
}

/* A request to a proxy names another server than the one that gets it. */
static bool is_for_itself(const struct appmon_event *ev)
{
	return ev->request_target.len == 0 || ev->request_target.data[0] == '/';
}

void host_names_event(struct host_names *names, const struct appmon_event *ev)
{
	const struct appmon_str *said =
		ev->authority.len > 0 ? &ev->authority : &ev->tls_server_name;
	char host[NAME_SIZE];
	struct address_name *at;

	if (ev->role != APPMON_ROLE_CLIENT || ev->remote.family == 0 || said->len == 0 ||
	    !is_for_itself(ev) || !read_host(said->data, host))
		return;
	at = &names->table[slot_of(names, &ev->remote)];
	if (at->endpoint.family != 0) {
		if (at->name && strcmp(at->name, host) != 0) {
			free(at->name);
			at->name = NULL;
		}
		return;
	}
	if (names->count == HOST_NAMES_MAX)
		return;
	names->count++;
	*at = (struct address_name){.endpoint = ev->remote, .name = strdup(host)};
}

const struct address_name *host_names_find(const struct host_names *names,
					   const struct appmon_endpoint *endpoint)
{
	const struct address_name *at = &names->table[slot_of(names, endpoint)];

	return endpoint->family != 0 && at->name ? at : NULL;
}

void host_names_free(struct host_names *names)
{
	for (size_t i = 0; i < SLOTS; i++)
		free(names->table[i].name);
	*names = (struct host_names){0};
}
