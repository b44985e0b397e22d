/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of the interface's bits, for every output of the CLI. */
#ifndef APPMON_CLI_NAMES_H
#define APPMON_CLI_NAMES_H

#include <stdint.h>

struct bit_name {
	uint64_t bit;
	const char *name;
	const char *text; /* for people */
};

/* All end with a name of NULL. */
extern const struct bit_name flag_names[];	 /* APPMON_EVF_* */
extern const struct bit_name capability_names[]; /* APPMON_CAP_* */
extern const struct bit_name stats_flag_names[]; /* APPMON_STATS_* */
extern const struct bit_name trace_flag_names[]; /* APPMON_TRACE_SAMPLED ... */

/* "server", "client" or "unknown" for APPMON_ROLE_*. */
const char *role_name(uint32_t role);

/* "read", "sent" ... or "unknown" for APPMON_OWNER_*. */
const char *owner_name(uint32_t owner);

/* "http1" or "unknown" for APPMON_PROTO_*. */
const char *protocol_name(uint32_t protocol);

#endif /* APPMON_CLI_NAMES_H */
