/* SPDX-License-Identifier: BSD-2-Clause */
/* What the command's two servers by libmicrohttpd have in common: they run in the caller's loop. */
#ifndef APPMON_EXPORT_HTTP_DAEMON_H
#define APPMON_EXPORT_HTTP_DAEMON_H

#include <microhttpd.h>

struct http_daemon_opts {
	const char *what; /* is served, for a message */
	unsigned flags;	  /* MHD_ALLOW_SUSPEND_RESUME or 0 */
	unsigned max_connections, idle_seconds;
	MHD_AccessHandlerCallback handle;
	void *ctx;				/* of handle */
	MHD_RequestCompletedCallback completed; /* may be NULL; its context is NULL */
};

/* Serves at a socket that listens, which it closes in the end. NULL: there is no memory or descriptor;
 * the socket is closed, and the user has been told. */
struct MHD_Daemon *http_daemon_start(int fd, const struct http_daemon_opts *opts);

/* Readable when MHD_run() has work; it is due after *ret_timeout_ms, too, if that is not negative. */
int http_daemon_fd(struct MHD_Daemon *daemon, int *ret_timeout_ms);

#endif /* APPMON_EXPORT_HTTP_DAEMON_H */
