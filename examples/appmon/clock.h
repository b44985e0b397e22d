/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef APPMON_CLI_CLOCK_H
#define APPMON_CLI_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

#endif /* APPMON_CLI_CLOCK_H */
