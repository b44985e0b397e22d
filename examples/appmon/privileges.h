/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef APPMON_CLI_PRIVILEGES_H
#define APPMON_CLI_PRIVILEGES_H

/*
 * Gives up every capability, for good: all cgroups are attached, and what is read from now on
 * comes from the network. Everything else goes on without: events, the sweep, counters, the end.
 * Returns 0, or a negative errno value after telling the user.
 */
int privileges_drop(void);

#endif /* APPMON_CLI_PRIVILEGES_H */
