/* SPDX-License-Identifier: BSD-2-Clause */
/* Which protocols there are, and what they are called. */
#include <string.h>

#include "protocol/protocol.h"

static const struct {
	const char *name;
	const struct protocol *protocol;
} known[] = {
#define PROTOCOL(id_, name_, protocol_) [APPMON_PROTO_##id_] = {name_, &protocol_},
#include "protocol/protocols.def"
};

#define COUNT (sizeof(known) / sizeof(known[0]))

const struct protocol *protocol_detect(uint32_t protocols, const char *bytes, uint32_t n)
{
	for (uint32_t id = 1; id < COUNT; id++) {
		const struct protocol *protocol = known[id].protocol;

		if ((protocols & 1U << id) && protocol->detect && protocol->detect(bytes, n))
			return protocol;
	}
	return NULL;
}

uint32_t protocol_state_size(void)
{
	uint32_t size = 0;

	for (uint32_t id = 1; id < COUNT; id++)
		if (known[id].protocol->conn_size > size)
			size = known[id].protocol->conn_size;
	return size;
}

enum message protocol_begins(uint32_t protocols, const char *bytes, uint32_t n)
{
	enum message message = MESSAGE_NONE;

	for (uint32_t id = 1; id < COUNT && message == MESSAGE_NONE; id++)
		if (protocols & 1U << id)
			message = known[id].protocol->begins(bytes, n);
	return message;
}

const char *appmon_protocol_name(uint32_t protocol)
{
	return protocol < COUNT ? known[protocol].name : NULL;
}

uint32_t appmon_protocol_by_name(const char *name)
{
	for (uint32_t id = 1; name && id < COUNT; id++)
		if (!strcmp(known[id].name, name))
			return id;
	return APPMON_PROTO_UNKNOWN;
}
