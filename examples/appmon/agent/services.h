/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The addresses of Kubernetes' Services, and of the pods and other endpoints behind them, called
 * NAMESPACE/SERVICE.
 */
#ifndef APPMON_AGENT_SERVICES_H
#define APPMON_AGENT_SERVICES_H

#include <stdint.h>

#include "../export/addresses.h"

struct json_object;

/* The kinds that addresses_list_begin() tells apart. */
enum { ADDRESSES_OF_SERVICES, ADDRESSES_OF_SLICES };

/* A Service or an EndpointSlice as the API has it is there, or has changed. Other objects are left
 * out. */
void services_put(struct addresses *addresses, struct json_object *service, uint64_t now_ns);
void services_put_slice(struct addresses *addresses, struct json_object *slice, uint64_t now_ns);

/* One of either is gone. */
void services_remove(struct addresses *addresses, struct json_object *object, uint64_t now_ns);

#endif /* APPMON_AGENT_SERVICES_H */
