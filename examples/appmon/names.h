/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of the interface's bits, for every output of the CLI. */
#ifndef APPMON_CLI_NAMES_H
#define APPMON_CLI_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <appmon/appmon.h>

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

/* "ok", "client_error" ... for APPMON_OUTCOME_*; "read", "write" ... for APPMON_OP_*. Both "unknown"
 * otherwise. */
const char *outcome_name(uint32_t outcome);
const char *operation_type_name(uint32_t type);

/* What counts as an error where one end of a connection is looked at: APPMON_OUTCOME_* but OK, and of
 * a server what is its client's mistake. As the aggregator has it by default. */
bool outcome_is_error(uint32_t outcome, uint32_t role);

/* What an event or a series is about, by its system: names outside are chosen by it. */
enum spoken { SPOKEN_HTTP, SPOKEN_RPC, SPOKEN_DATABASE, SPOKEN_TLS };
enum spoken spoken(const struct appmon_str *system);

/* HTTP of any version, or what is not known. */
bool is_http(uint32_t protocol);

/* As appmon_protocol_name() has it, or "unknown". */
const char *protocol_name(uint32_t protocol);

#endif /* APPMON_CLI_NAMES_H */
