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

/* The protocol of a port; NULL: the host says nothing of it. */
static const struct protocol *hint_of(const struct target *target, uint16_t port)
{
	for (uint32_t i = 0; i < target->port_count; i++)
		if (target->ports[i].port == port)
			return known[target->ports[i].protocol].protocol;
	return NULL;
}

/* Either end can be the server: its port is the one that a hint names. NULL: none does, or they
 * differ. */
static const struct protocol *hinted(const struct target *target, const struct conn *c)
{
	const struct protocol *local = hint_of(target, c->id.local_port);
	const struct protocol *remote = hint_of(target, c->id.remote_port);

	if (local && remote && local != remote)
		return NULL;
	return local ? local : remote;
}

bool protocol_may_follow(const struct target *target, const struct conn *c,
			 const struct protocol *protocol)
{
	/* As the programs have it: where a hint says HTTP/1 nothing else is looked for. */
	return target && (target->protocols & 1U << protocol->id) &&
	       hinted(target, c) != &PROTOCOL_FIRST;
}

/* A client's own port can be a hinted one by chance; it is the higher of the two, as a rule. */
static const struct protocol *detect_hinted(const struct target *target, struct conn *c,
					    const char *bytes, uint32_t n)
{
	const struct protocol *hint = hinted(target, c);
	bool local = hint_of(target, c->id.local_port), remote = hint_of(target, c->id.remote_port);

	if (!hint || (hint->detect && !hint->detect(bytes, n)))
		return NULL;
	if (!c->fresh && local && c->id.local_port < c->id.remote_port)
		c->serves = 1 + DIR_IN;
	if (!c->fresh && remote && c->id.remote_port < c->id.local_port)
		c->serves = 1 + DIR_OUT;
	return hint;
}

const struct protocol *protocol_detect(const struct target *target, struct conn *c,
				       const char *bytes, uint32_t n)
{
	const struct protocol *hinted = detect_hinted(target, c, bytes, n);

	if (hinted)
		return hinted;
	for (uint32_t id = 1; id < COUNT; id++) {
		const struct protocol *protocol = known[id].protocol;

		if ((target->protocols & 1U << id) && protocol->detect &&
		    protocol->detect(bytes, n))
			return protocol;
	}
	return NULL;
}

void conn_speaks(struct conn *c, const struct protocol *protocol, const uint64_t pos[2])
{
	memset(c->state, 0, protocol->conn_size);
	c->protocol = protocol;
	protocol->init(c, pos);
}

uint32_t protocol_state_size(uint32_t protocols)
{
	uint32_t size = PROTOCOL_FIRST.conn_size;

	for (uint32_t id = 1; id < COUNT; id++)
		if ((protocols & 1U << id) && known[id].protocol->conn_size > size)
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
