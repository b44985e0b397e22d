/* SPDX-License-Identifier: BSD-2-Clause */
/* Which protocols to watch: --protocols of every command, and protocols of the agent's file. */
#ifndef APPMON_CLI_PROTOCOLS_H
#define APPMON_CLI_PROTOCOLS_H

#include <argp.h>
#include <stdint.h>

/* For argp's children; the input is a uint32_t: bits as in appmon_opts.protocols. */
extern const struct argp protocols_argp;

/* Adds the bit of a name of len bytes. Returns 0, or -EINVAL if the library has no such protocol. */
int protocols_add(uint32_t *protocols, const char *name, size_t len);

/* The names that there are: "http1, resp". */
const char *protocols_known(void);

#endif /* APPMON_CLI_PROTOCOLS_H */
