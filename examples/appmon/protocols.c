/* SPDX-License-Identifier: BSD-2-Clause */
#include "protocols.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <appmon/appmon.h>

enum { KEY_PROTOCOLS = 0x500 };

static const struct argp_option argp_options[] = {
	{"protocols", KEY_PROTOCOLS, "NAMES", 0,
	 "Watch these: http1 (the default), resp (Redis), or both: http1,resp", 4},
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
