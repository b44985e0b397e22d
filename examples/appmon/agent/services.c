/* SPDX-License-Identifier: BSD-2-Clause */
#include "services.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "json-stream.h"

/* Of NAMESPACE/SERVICE: both are DNS labels, of up to 63 bytes. */
#define NAME_SIZE 256
/* The label that says whose an EndpointSlice is. */
#define SERVICE_NAME "kubernetes.io/service-name"

/* A slice or service whose addresses are being read. */
struct reading {
	struct addresses *addresses;
	struct address_owner *owner;
};

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* owner is NULL where there is no room, or the object lacks one of these names. An EndpointSlice
 * whose label is taken away has no addresses any more. */
static struct reading begin(struct addresses *addresses, unsigned kind, struct json_object *object,
			    const char *service, uint64_t now_ns)
{
	struct json_object *metadata = json_member(object, "metadata");
	const char *space = json_member_text(metadata, "namespace"),
		   *uid = json_member_text(metadata, "uid");
	struct reading reading = {.addresses = addresses};
	char name[NAME_SIZE];

	if (space && uid && service && *uid != '\0' &&
	    (size_t)snprintf(name, sizeof(name), "%s/%s", space, service) < sizeof(name))
		reading.owner = addresses_own(addresses, kind, uid, name, now_ns);
	else if (uid)
		addresses_remove(addresses, uid, now_ns);
	return reading;
}

/* The API says "None" where a Service has no address, and has names of hosts beside addresses. */
static void add(const struct reading *reading, const char *text, uint16_t port)
{
	struct appmon_endpoint endpoint = {.port = port};

	if (inet_pton(AF_INET, text, endpoint.addr) == 1)
		endpoint.family = 4;
	else if (inet_pton(AF_INET6, text, endpoint.addr) == 1)
		endpoint.family = 6;
	else
		return;
	addresses_add(reading->addresses, reading->owner, &endpoint);
}

/* With its ports: pods with the network of their node, and Services at the addresses of nodes, share
 * an address with others. */
static void add_ports(const struct reading *reading, struct json_object *address,
		      struct json_object *ports)
{
	if (!json_object_is_type(address, json_type_string))
		return;
	for (size_t i = 0; i < length(ports); i++) {
		struct json_object *port = json_object_array_get_idx(ports, i);
		const char *protocol = json_member_text(port, "protocol");
		int number = json_object_get_int(json_member(port, "port"));

		/* A port that is not set stands for all of them. */
		if ((!protocol || strcmp(protocol, "TCP") == 0) && number >= 0 &&
		    number <= UINT16_MAX)
			add(reading, json_object_get_string(address), (uint16_t)number);
	}
}

static void add_all(const struct reading *reading, struct json_object *texts,
		    struct json_object *ports)
{
	for (size_t i = 0; i < length(texts); i++)
		add_ports(reading, json_object_array_get_idx(texts, i), ports);
}

void services_put(struct addresses *addresses, struct json_object *service, uint64_t now_ns)
{
	struct json_object *spec = json_member(service, "spec"),
			   *ports = json_member(spec, "ports");
	struct json_object *balancer = json_member(json_member(service, "status"), "loadBalancer");
	struct json_object *ingress = json_member(balancer, "ingress");
	struct reading reading =
		begin(addresses, ADDRESSES_OF_SERVICES, service,
		      json_member_text(json_member(service, "metadata"), "name"), now_ns);

	if (!reading.owner)
		return;
	add_all(&reading, json_member(spec, "clusterIPs"), ports);
	add_all(&reading, json_member(spec, "externalIPs"), ports);
	for (size_t i = 0; i < length(ingress); i++)
		add_ports(&reading, json_member(json_object_array_get_idx(ingress, i), "ip"),
			  ports);
}

void services_put_slice(struct addresses *addresses, struct json_object *slice, uint64_t now_ns)
{
	struct json_object *labels = json_member(json_member(slice, "metadata"), "labels");
	struct json_object *endpoints = json_member(slice, "endpoints");
	struct reading reading = begin(addresses, ADDRESSES_OF_SLICES, slice,
				       json_member_text(labels, SERVICE_NAME), now_ns);

	for (size_t i = 0; reading.owner && i < length(endpoints); i++)
		add_all(&reading, json_member(json_object_array_get_idx(endpoints, i), "addresses"),
			json_member(slice, "ports"));
}

void services_remove(struct addresses *addresses, struct json_object *object, uint64_t now_ns)
{
	const char *uid = json_member_text(json_member(object, "metadata"), "uid");

	if (uid)
		addresses_remove(addresses, uid, now_ns);
}
