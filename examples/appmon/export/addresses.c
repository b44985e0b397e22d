/* SPDX-License-Identifier: BSD-2-Clause */
#include "addresses.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"

#define BUCKETS 4096
#define LINGER_NS (60 * NSEC_PER_SEC)
/* Gone ones are looked for this often. */
#define EXPIRE_NS (10 * NSEC_PER_SEC)

struct address {
	struct address *next_bucket, *next_own;
	const struct address_owner *owner;
	struct appmon_endpoint endpoint;
	uint64_t gone_ns; /* 0: it is there */
};

struct address_owner {
	struct address_owner *next;
	struct address *own;
	char *name;
	uint64_t gone_ns; /* 0: it is there */
	unsigned kind;
	bool listed;
	char id[];
};

struct addresses {
	struct address *by_address[BUCKETS];
	struct address_owner *by_id[BUCKETS];
	size_t count; /* of those that are there */
	size_t bytes, max_bytes;
	uint64_t refused, expired_ns;
};

static size_t bucket_of(const void *bytes, size_t size)
{
	return hash_bytes(bytes, size) % BUCKETS;
}

static size_t address_bucket(const struct appmon_endpoint *endpoint)
{
	return bucket_of(endpoint->addr, endpoint->family == 4 ? 4 : 16);
}

static bool same_address(const struct appmon_endpoint *a, const struct appmon_endpoint *b)
{
	return a->family == b->family && memcmp(a->addr, b->addr, a->family == 4 ? 4 : 16) == 0;
}

static bool take(struct addresses *addresses, size_t bytes)
{
	if (bytes <= addresses->max_bytes - addresses->bytes) {
		addresses->bytes += bytes;
		return true;
	}
	if (addresses->refused++ == 0)
		warnx("names of addresses take more than %zu bytes: those beyond are not kept",
		      addresses->max_bytes);
	return false;
}

static struct address_owner **find_owner(struct addresses *addresses, const char *id)
{
	struct address_owner **link = &addresses->by_id[bucket_of(id, strlen(id))];

	while (*link && strcmp((*link)->id, id) != 0)
		link = &(*link)->next;
	return link;
}

static void set_gone(struct addresses *addresses, struct address *address, uint64_t now_ns)
{
	if (address->gone_ns != 0)
		return;
	addresses->count--;
	address->gone_ns = now_ns;
}

static void owner_gone(struct addresses *addresses, struct address_owner *owner, uint64_t now_ns)
{
	owner->gone_ns = now_ns;
	for (struct address *a = owner->own; a; a = a->next_own)
		set_gone(addresses, a, now_ns);
}

static size_t owner_bytes(const char *id, const char *name)
{
	return sizeof(struct address_owner) + strlen(id) + strlen(name) + 2;
}

static struct address_owner *new_owner(struct addresses *addresses, const char *id,
				       const char *name)
{
	struct address_owner *owner;

	if (!take(addresses, owner_bytes(id, name)))
		return NULL;
	owner = calloc(1, sizeof(*owner) + strlen(id) + 1);
	if (owner)
		owner->name = strdup(name);
	if (owner && owner->name) {
		strcpy(owner->id, id);
		return owner;
	}
	addresses->bytes -= owner_bytes(id, name);
	addresses->refused++;
	free(owner);
	return NULL;
}

static void forget(struct addresses *addresses, struct address **own)
{
	struct address *a = *own, **link = &addresses->by_address[address_bucket(&a->endpoint)];

	while (*link != a)
		link = &(*link)->next_bucket;
	*link = a->next_bucket;
	*own = a->next_own;
	if (a->gone_ns == 0)
		addresses->count--;
	addresses->bytes -= sizeof(*a);
	free(a);
}

static void free_owner(struct addresses *addresses, struct address_owner **link)
{
	struct address_owner *owner = *link;

	while (owner->own)
		forget(addresses, &owner->own);
	*link = owner->next;
	addresses->bytes -= owner_bytes(owner->id, owner->name);
	free(owner->name);
	free(owner);
}

struct address_owner *addresses_own(struct addresses *addresses, unsigned kind, const char *id,
				    const char *name, uint64_t now_ns)
{
	struct address_owner **link = find_owner(addresses, id);

	if (*link && strcmp((*link)->name, name) != 0)
		free_owner(addresses, link);
	link = find_owner(addresses, id);
	if (!*link)
		*link = new_owner(addresses, id, name);
	if (!*link)
		return NULL;
	owner_gone(addresses, *link, now_ns);
	(*link)->kind = kind;
	(*link)->listed = true;
	(*link)->gone_ns = 0;
	return *link;
}

static struct address *find_own(const struct addresses *addresses,
				const struct address_owner *owner,
				const struct appmon_endpoint *endpoint)
{
	struct address *a = addresses->by_address[address_bucket(endpoint)];

	while (a && (a->owner != owner || a->endpoint.port != endpoint->port ||
		     !same_address(&a->endpoint, endpoint)))
		a = a->next_bucket;
	return a;
}

static void new_address(struct addresses *addresses, struct address_owner *owner,
			const struct appmon_endpoint *endpoint)
{
	struct address **bucket = &addresses->by_address[address_bucket(endpoint)], *a;

	if (!take(addresses, sizeof(*a)))
		return;
	a = calloc(1, sizeof(*a));
	if (!a) {
		addresses->bytes -= sizeof(*a);
		addresses->refused++;
		return;
	}
	*a = (struct address){.next_bucket = *bucket,
			      .next_own = owner->own,
			      .owner = owner,
			      .endpoint = *endpoint};
	*bucket = owner->own = a;
	addresses->count++;
}

void addresses_add(struct addresses *addresses, struct address_owner *owner,
		   const struct appmon_endpoint *endpoint)
{
	struct address *a = find_own(addresses, owner, endpoint);

	if (!a) {
		new_address(addresses, owner, endpoint);
	} else if (a->gone_ns != 0) {
		a->gone_ns = 0;
		addresses->count++;
	}
}

void addresses_remove(struct addresses *addresses, const char *id, uint64_t now_ns)
{
	struct address_owner *owner = *find_owner(addresses, id);

	if (owner)
		owner_gone(addresses, owner, now_ns);
}

void addresses_list_begin(struct addresses *addresses, unsigned kind)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct address_owner *o = addresses->by_id[b]; o; o = o->next)
			o->listed &= o->kind != kind;
	}
}

void addresses_list_end(struct addresses *addresses, unsigned kind, uint64_t now_ns)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct address_owner *o = addresses->by_id[b]; o; o = o->next) {
			if (o->kind == kind && !o->listed && o->gone_ns == 0)
				owner_gone(addresses, o, now_ns);
		}
	}
}

static bool is_old(uint64_t gone_ns, uint64_t now_ns)
{
	return gone_ns != 0 && now_ns - gone_ns > LINGER_NS;
}

/* Returns whether the owner itself is to go. */
static bool expire_own(struct addresses *addresses, struct address_owner *owner, uint64_t now_ns)
{
	for (struct address **own = &owner->own; *own;) {
		if (is_old((*own)->gone_ns, now_ns))
			forget(addresses, own);
		else
			own = &(*own)->next_own;
	}
	return !owner->own && is_old(owner->gone_ns, now_ns);
}

void addresses_expire(struct addresses *addresses, uint64_t now_ns)
{
	if (now_ns - addresses->expired_ns < EXPIRE_NS)
		return;
	addresses->expired_ns = now_ns;
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct address_owner **link = &addresses->by_id[b]; *link;) {
			if (expire_own(addresses, *link, now_ns))
				free_owner(addresses, link);
			else
				link = &(*link)->next;
		}
	}
}

/* One that is there goes before one that is gone, one for the port before one for any, then the first
 * by the alphabet. */
static bool is_better(const struct address *a, const struct address *b)
{
	if (!b || (a->gone_ns == 0) != (b->gone_ns == 0))
		return !b || a->gone_ns == 0;
	if (a->gone_ns != b->gone_ns)
		return a->gone_ns > b->gone_ns;
	if ((a->endpoint.port != 0) != (b->endpoint.port != 0))
		return a->endpoint.port != 0;
	return strcmp(a->owner->name, b->owner->name) < 0;
}

const char *addresses_find(const struct addresses *addresses,
			   const struct appmon_endpoint *endpoint)
{
	const struct address *best = NULL;

	if (!addresses || endpoint->family == 0)
		return NULL;
	for (const struct address *a = addresses->by_address[address_bucket(endpoint)]; a;
	     a = a->next_bucket) {
		if ((a->endpoint.port == 0 || a->endpoint.port == endpoint->port) &&
		    same_address(&a->endpoint, endpoint) && is_better(a, best))
			best = a;
	}
	return best ? best->owner->name : NULL;
}

size_t addresses_count(const struct addresses *addresses)
{
	return addresses->count;
}

uint64_t addresses_refused(const struct addresses *addresses)
{
	return addresses->refused;
}

struct addresses *addresses_new(size_t max_bytes)
{
	struct addresses *addresses = calloc(1, sizeof(*addresses));

	if (addresses)
		addresses->max_bytes = max_bytes;
	return addresses;
}

void addresses_free(struct addresses *addresses)
{
	if (!addresses)
		return;
	for (size_t b = 0; b < BUCKETS; b++) {
		while (addresses->by_id[b])
			free_owner(addresses, &addresses->by_id[b]);
	}
	free(addresses);
}
