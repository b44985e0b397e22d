/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets that servers of the command listen on. */
#ifndef APPMON_EXPORT_LISTEN_H
#define APPMON_EXPORT_LISTEN_H

#include <netdb.h>
#include <stdbool.h>

#define LISTEN_ADDRESS_SIZE (NI_MAXHOST + 16)

/*
 * ADDRESS:PORT, [ADDRESS]:PORT or NAME:PORT; port 0: a free one. The descriptor, or a negative
 * errno value: the user has been told then.
 */
int listen_open(const char *text);

/* The address that it listens on: "127.0.0.1:9464". */
void listen_address(int fd, char text[LISTEN_ADDRESS_SIZE]);

/* Whether no other machine can reach it. */
bool listen_is_loopback(int fd);

#endif /* APPMON_EXPORT_LISTEN_H */
