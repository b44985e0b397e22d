/* SPDX-License-Identifier: BSD-2-Clause */
/* Which protocols to watch, and what is spoken at ports: --protocols of every command, --port, and
 * protocols and ports of the agent's file. */
#ifndef APPMON_CLI_PROTOCOLS_H
#define APPMON_CLI_PROTOCOLS_H

#include <argp.h>
#include <stdint.h>

#include <appmon/appmon.h>

#define PORTS_MAX 64 /* that the library takes */

/* As in appmon_attach_opts. */
struct ports {
	struct appmon_port_hint list[PORTS_MAX];
	uint32_t count;
};

/* For argp's children; the input is a uint32_t: bits as in appmon_opts.protocols. */
extern const struct argp protocols_argp;

/* What --tls is, of each command that has it. */
#define TLS_HELP                                                                                   \
	"Requests inside of TLS too, by uprobes in the TLS libraries of the programs (x86-64)"

/* Adds the bit of a name of len bytes. Returns 0, or -EINVAL if the library has no such protocol. */
int protocols_add(uint32_t *protocols, const char *name, size_t len);

/* For argp's children; the input is a struct ports. */
extern const struct argp ports_argp;

/* Adds a port and the name of what is spoken there. Returns NULL, or what is wrong. */
const char *ports_add(struct ports *ports, const char *port, const char *protocol);

/* The names that there are: "http1, resp". */
const char *protocols_known(void);

#endif /* APPMON_CLI_PROTOCOLS_H */
