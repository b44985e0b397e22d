/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals that end appmon. A handler may do next to nothing; appmon_wakeup() is
 * made for it: appmon_poll() returns and the main loop asks here what came.
 */
#ifndef APPMON_CLI_SIGNALS_H
#define APPMON_CLI_SIGNALS_H

#include <stdbool.h>

struct appmon;

/* SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGCHLD wake mon; SIGPIPE becomes EPIPE. */
void signals_catch(struct appmon *mon);

/* What was before signals_catch(): for a child before exec, and before mon is closed. */
void signals_restore(void);

/* Returns the signal (not SIGCHLD) that came since the last call, or 0. */
int signals_take(void);

/* Of the signal last taken: sent by kill(2), not by the terminal to the whole group. */
bool signals_was_sent(void);

#endif /* APPMON_CLI_SIGNALS_H */
