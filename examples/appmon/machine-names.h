/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of a machine's applications that need no configuration. */
#ifndef APPMON_CLI_MACHINE_NAMES_H
#define APPMON_CLI_MACHINE_NAMES_H

#include <stddef.h>

/*
 * By a cgroup's path and the name of a process in it (comm; "": not known): the systemd service
 * without its .service; of a container the first 12 digits of its id; what runs in a session, a
 * user's scope or at the top of the hierarchy has the process's name; else the last part of the path.
 */
const char *machine_name(const char *path, const char *comm, char *buf, size_t size);

#endif /* APPMON_CLI_MACHINE_NAMES_H */
