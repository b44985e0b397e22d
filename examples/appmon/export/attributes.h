/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a series is called outside: attributes by OpenTelemetry's semantic conventions 1.40
 * for HTTP, RPC and databases, which Prometheus has with underscores.
 */
#ifndef APPMON_EXPORT_ATTRIBUTES_H
#define APPMON_EXPORT_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

#include "addresses.h"
#include "instances.h"

#define ATTRIBUTES_MAX 12
#define ADDRESS_SIZE 64

struct attribute {
	const char *name; /* "http.request.method" */
	struct appmon_str value;
};

/* Valid as long as what it was made of, and in one place. */
struct attributes {
	unsigned count;
	struct attribute list[ATTRIBUTES_MAX];
	/* Numbers and addresses as text. */
	char instance[24], address[ADDRESS_SIZE], port[8];
};

/* service.name and service.instance.id: OpenTelemetry's resource. */
void attributes_of_resource(struct attributes *ret, const struct appmon_series *series,
			    struct instances *instances);

/* What else tells a series apart. */
void attributes_of_series(struct attributes *ret, const struct appmon_series *series);

/* What tells apart what is in progress. */
void attributes_of_active(struct attributes *ret, const struct appmon_active *active);

/*
 * Who calls whom, with names as OpenTelemetry's service graph connector has them: client, server,
 * and connection_type "virtual_node" where one of them is not monitored. A server that is not, and
 * whose name addresses (NULL: there are no names) has, also has its address and port: so the figures
 * of two addresses are never one, and a counter stays whole while addresses get and lose names.
 */
struct edge_attributes {
	struct attributes attributes;
	char client[ADDRESS_SIZE], server[ADDRESS_SIZE];
};
void attributes_of_edge(struct edge_attributes *ret, const struct appmon_edge *edge,
			const struct addresses *addresses);

/* text outlives the attributes; "" adds nothing. */
void attributes_add(struct attributes *attributes, const char *name, const char *text);

/* The name of a gRPC status; HTTP's are numbers. */
bool is_rpc_status(const struct appmon_str *status);

/* The address alone: no port, no brackets. */
const char *format_address(const struct appmon_endpoint *endpoint, char buf[ADDRESS_SIZE]);

/*
 * error.type: the status of an answer that is an error for this role (one may be the client's
 * mistake), "timeout", "cancelled", "no_response", or "" where no error is known.
 */
const char *error_type(uint32_t role, uint32_t outcome, const struct appmon_str *status);

#endif /* APPMON_EXPORT_ATTRIBUTES_H */
