/* SPDX-License-Identifier: BSD-2-Clause */
/* Cgroups, a small HTTP server in each, and clients for it. */
#ifndef APPMON_API_TRAFFIC_H
#define APPMON_API_TRAFFIC_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The exit status of a test that this machine cannot run. */
#define SKIPPED 77

/* Where cgroup v2 is mounted; false: nowhere. */
bool cgroup2_mount(char path[PATH_MAX]);

/* Whether this machine can run the test, and where cgroup v2 is mounted. Else writes why not. */
bool can_run(char mount_point[PATH_MAX]);

struct place {
	char path[PATH_MAX];
	pid_t server;
	uint16_t port;
};

/* Makes the cgroup; fails the test if that is not possible. */
void place_make(struct place *place, const char *parent, const char *name);
/*
 * Starts a server process in it. "/hang..." is never answered, "/slow..." after 300 ms; all else is
 * "200 OK" with the body "ok". Start it before a handle is opened: a child inherits descriptors.
 */
void place_serve(struct place *place);
/* The same with a server of one's own, which writes its port (network order) and does not return.
 */
void place_start(struct place *place, void (*serve_fn)(const struct place *place, int port_fd));
/* Moves this process into the cgroup. */
void place_enter(const struct place *place);
/* Ends the server and removes the cgroup. */
void place_remove(struct place *place);

/* A connection to the server, from this process. */
int client_connect(const struct place *place);
void client_send(int fd, const char *path);
/* Waits for one answer. */
void client_answer(int fd);
void client_get(int fd, const char *path);
/* One connection with n requests. */
void client_burst(const struct place *place, const char *path, int n);

#endif /* APPMON_API_TRAFFIC_H */
