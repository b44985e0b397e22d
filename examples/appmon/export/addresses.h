/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of addresses at which no watched application listens, of Kubernetes' Services for example.
 * Within a bound: addresses beyond it are not kept, which is told once and counted.
 */
#ifndef APPMON_EXPORT_ADDRESSES_H
#define APPMON_EXPORT_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

struct addresses;
struct address_owner;

/* max_bytes: of all that is kept. NULL: out of memory. */
struct addresses *addresses_new(size_t max_bytes);
void addresses_free(struct addresses *addresses);

/*
 * An owner of addresses, by an id that tells it from all others. It has those that addresses_add()
 * says from here on; the ones that it had before and that are not said again are gone. kind: see
 * addresses_list_begin(). NULL: there is no room for it.
 */
struct address_owner *addresses_own(struct addresses *addresses, unsigned kind, const char *id,
				    const char *name, uint64_t now_ns);

/* Port 0: whatever the port. */
void addresses_add(struct addresses *addresses, struct address_owner *owner,
		   const struct appmon_endpoint *address);

/* The owner is gone. Its addresses stay known for a minute, as their last requests may not be
 * exported yet, unless another owner gets them. */
void addresses_remove(struct addresses *addresses, const char *id, uint64_t now_ns);

/* The owners of this kind that are said in between are all that there are. */
void addresses_list_begin(struct addresses *addresses, unsigned kind);
void addresses_list_end(struct addresses *addresses, unsigned kind, uint64_t now_ns);

/* Forgets addresses that have been gone for a minute. */
void addresses_expire(struct addresses *addresses, uint64_t now_ns);

/*
 * The name of the owner of this address and port. Of several that have it now it is the first one by
 * the alphabet, as a pod may be behind several Services. NULL: no owner has it. addresses may be
 * NULL. Valid until addresses change.
 */
const char *addresses_find(const struct addresses *addresses,
			   const struct appmon_endpoint *address);

/* How many addresses are there, and how often one was not kept. */
size_t addresses_count(const struct addresses *addresses);
uint64_t addresses_refused(const struct addresses *addresses);

#endif /* APPMON_EXPORT_ADDRESSES_H */
