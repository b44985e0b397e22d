/* SPDX-License-Identifier: BSD-2-Clause */
#include "protocols.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

enum { KEY_PROTOCOLS = 0x500, KEY_PORT };

static const struct argp_option argp_options[] = {
	{"protocols", KEY_PROTOCOLS, "NAMES", 0,
	 "Watch these: http1 (the default), http2 (gRPC, too), resp (Redis), or several: "
	 "http1,http2",
	 4},
	{0},
};

int protocols_add(uint32_t *protocols, const char *name, size_t len)
{
	char text[32];
	uint32_t protocol;

	if (len >= sizeof(text))
		return -EINVAL;
	memcpy(text, name, len);
	text[len] = '\0';
	protocol = appmon_protocol_by_name(text);
	if (protocol == APPMON_PROTO_UNKNOWN)
		return -EINVAL;
	*protocols |= 1U << protocol;
	return 0;
}

const char *protocols_known(void)
{
	static char names[256];
	size_t len = 0;

	for (uint32_t id = 1; appmon_protocol_name(id); id++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
					id > 1 ? ", " : "", appmon_protocol_name(id));
	return names;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const char *at = arg;

	if (key != KEY_PROTOCOLS)
		return ARGP_ERR_UNKNOWN;
	for (;; at++) {
		size_t len = strcspn(at, ",");

		if (protocols_add(state->input, at, len) < 0)
			argp_error(state, "--protocols: '%.*s' is not among %s", (int)len, at,
				   protocols_known());
		at += len;
		if (*at == '\0')
			return 0;
	}
}

const struct argp protocols_argp = {.options = argp_options, .parser = parse};

/* ---- ports ------------------------------------------------------------------------ */

static const struct argp_option port_options[] = {
	{"port", KEY_PORT, "PORT=PROTOCOL", 0,
	 "What is spoken where a server listens: 6380=resp, 8080=http1 (repeatable)", 1},
	{0},
};

const char *ports_add(struct ports *ports, const char *port, const char *protocol)
{
	static char wrong[300];
	uint32_t id = appmon_protocol_by_name(protocol);
	uint64_t number;

	if (parse_count(port, UINT16_MAX, &number) < 0)
		return "a port is from 1 to 65535";
	if (id == APPMON_PROTO_UNKNOWN) {
		snprintf(wrong, sizeof(wrong), "the protocol is not among %s", protocols_known());
		return wrong;
	}
	if (ports->count == PORTS_MAX)
		return "there are more than 64 ports";
	for (uint32_t i = 0; i < ports->count; i++)
		if (ports->list[i].port == number)
			return "the port is given twice";
	ports->list[ports->count++] =
		(struct appmon_port_hint){.port = (uint32_t)number, .protocol = id};
	return NULL;
}

static error_t parse_port(int key, char *arg, struct argp_state *state)
{
	size_t len;
	char port[16];
	const char *wrong;

	if (key != KEY_PORT)
		return ARGP_ERR_UNKNOWN;
	len = strcspn(arg, "=");
	if (arg[len] == '\0' || len >= sizeof(port))
		argp_error(state, "--port: '%s' is not like 6380=resp", arg);
	memcpy(port, arg, len);
	port[len] = '\0';
	wrong = ports_add(state->input, port, arg + len + 1);
	if (wrong)
		argp_error(state, "--port: '%s': %s", arg, wrong);
	return 0;
}

const struct argp ports_argp = {.options = port_options, .parser = parse_port};
