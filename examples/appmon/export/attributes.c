/* SPDX-License-Identifier: BSD-2-Clause */
#include "attributes.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "../names.h"

static void add(struct attributes *attributes, const char *name, struct appmon_str value)
{
	if (value.len == 0)
		return;
	assert(attributes->count < ATTRIBUTES_MAX);
	attributes->list[attributes->count++] = (struct attribute){name, value};
}

void attributes_add(struct attributes *attributes, const char *name, const char *text)
{
	add(attributes, name, (struct appmon_str){.data = text, .len = (uint32_t)strlen(text)});
}

void attributes_of_resource(struct attributes *ret, const struct appmon_series *series,
			    struct instances *instances)
{
	ret->count = 0;
	add(ret, "service.name", series->app);
	if (series->cgroup_id != 0)
		attributes_add(ret, "service.instance.id",
			       instances_name(instances, series->cgroup_id, ret->instance,
					      sizeof(ret->instance)));
}

const char *format_address(const struct appmon_endpoint *endpoint, char buf[ADDRESS_SIZE])
{
	appmon_format_endpoint(endpoint, buf, ADDRESS_SIZE);
	if (*buf == '[') {
		buf++;
		buf[strcspn(buf, "]")] = '\0';
	} else {
		buf[strcspn(buf, ":")] = '\0';
	}
	return buf;
}

bool is_rpc_status(const struct appmon_str *status)
{
	return status->len > 0 && *status->data >= 'A' && *status->data <= 'Z';
}

const char *error_type(uint32_t role, uint32_t outcome, const struct appmon_str *status)
{
	if (!outcome_is_error(outcome, role))
		return "";
	/* What was given up behind a good head. */
	if (outcome == APPMON_OUTCOME_CANCELLED && !is_rpc_status(status))
		return outcome_name(outcome);
	return status->len > 0 ? status->data : outcome_name(outcome);
}

static void add_server_address(struct attributes *attributes, const struct appmon_endpoint *server)
{
	attributes_add(attributes, "server.address", format_address(server, attributes->address));
	if (server->port != 0) {
		snprintf(attributes->port, sizeof(attributes->port), "%u", server->port);
		attributes_add(attributes, "server.port", attributes->port);
	}
}

static void add_peer(struct attributes *attributes, const struct appmon_series *series)
{
	add(attributes, "peer.service", series->peer_app);
	if (series->peer.family == 0)
		return;
	if (series->role == APPMON_ROLE_CLIENT)
		add_server_address(attributes, &series->peer);
	else
		attributes_add(attributes, "client.address",
			       format_address(&series->peer, attributes->address));
}

static const char *status_attribute(const struct appmon_series *series)
{
	switch (spoken(&series->system)) {
	case SPOKEN_DATABASE:
		return "db.response.status_code";
	case SPOKEN_TLS:
		return "tls.alert";
	default:
		/* Of a call without a status of its own it is HTTP's. */
		return is_rpc_status(&series->status_text) ? "rpc.response.status_code"
							   : "http.response.status_code";
	}
}

static void add_asked(struct attributes *ret, const struct appmon_series *series)
{
	switch (spoken(&series->system)) {
	case SPOKEN_HTTP:
		/* A method that is none of the known ones could be anything. */
		attributes_add(ret, "http.request.method",
			       series->method > APPMON_METHOD_OTHER
				       ? appmon_method_name(series->method)
				       : "_OTHER");
		add(ret, "http.route", series->route);
		break;
	case SPOKEN_RPC:
		add(ret, "rpc.system.name", series->system);
		add(ret, "rpc.method", series->operation);
		break;
	case SPOKEN_DATABASE:
		add(ret, "db.system.name", series->system);
		add(ret, "db.operation.name", series->operation);
		add(ret, "db.collection.name", series->resource);
		add(ret, "db.namespace", series->resource_namespace);
		/* Of Redis the operation says it all. */
		if (series->protocol != APPMON_PROTO_RESP)
			add(ret, "db.query.summary", series->route);
		break;
	case SPOKEN_TLS:
		break;
	}
}

void attributes_of_series(struct attributes *ret, const struct appmon_series *series)
{
	ret->count = 0;
	if (series->flags & APPMON_SERIES_OTHER) {
		attributes_add(ret, "otel.metric.overflow", "true");
		return;
	}
	add_asked(ret, series);
	add(ret, status_attribute(series), series->status_text);
	attributes_add(ret, "error.type",
		       error_type(series->role, series->outcome, &series->status_text));
	add_peer(ret, series);
}

void attributes_of_active(struct attributes *ret, const struct appmon_active *active)
{
	ret->count = 0;
	if (active->flags & APPMON_SERIES_OTHER) {
		attributes_add(ret, "otel.metric.overflow", "true");
		return;
	}
	add(ret, "http.request.method", active->method_name);
	attributes_add(ret, "url.scheme", "http");
}

/* One end that is not monitored. */
static void add_virtual(struct attributes *attributes, const char *name, const char *nobody,
			const struct appmon_endpoint *endpoint, char *buf)
{
	appmon_format_endpoint(endpoint, buf, ADDRESS_SIZE);
	attributes_add(attributes, name, endpoint->family != 0 ? buf : nobody);
}

void attributes_of_edge(struct edge_attributes *ret, const struct appmon_edge *edge,
			const struct addresses *addresses)
{
	struct attributes *attributes = &ret->attributes;
	const char *name = addresses_find(addresses, &edge->server);

	attributes->count = 0;
	if (edge->flags & APPMON_SERIES_OTHER) {
		attributes_add(attributes, "otel.metric.overflow", "true");
		return;
	}
	if (edge->client_app.len > 0)
		add(attributes, "client", edge->client_app);
	else
		add_virtual(attributes, "client", "user", &edge->client, ret->client);
	if (edge->server_app.len > 0) {
		add(attributes, "server", edge->server_app);
	} else if (name) {
		attributes_add(attributes, "server", name);
		add_server_address(attributes, &edge->server);
	} else {
		add_virtual(attributes, "server", "unknown", &edge->server, ret->server);
	}
	/* Tells an address, the name of one, "user" and "unknown" from applications of that name. */
	if (edge->client_app.len == 0 || edge->server_app.len == 0)
		attributes_add(attributes, "connection.type", "virtual_node");
}
