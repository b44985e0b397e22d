/* SPDX-License-Identifier: BSD-2-Clause */
#include "http-daemon.h"

#include <err.h>
#include <unistd.h>

struct MHD_Daemon *http_daemon_start(int fd, const struct http_daemon_opts *opts)
{
	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_EPOLL | opts->flags, 0, NULL, NULL, opts->handle, opts->ctx,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, opts->max_connections,
		MHD_OPTION_CONNECTION_TIMEOUT, opts->idle_seconds, MHD_OPTION_NOTIFY_COMPLETED,
		opts->completed, NULL, MHD_OPTION_END);

	if (!daemon) {
		warnx("cannot serve %s: out of memory or descriptors", opts->what);
		close(fd);
	}
	return daemon;
}

int http_daemon_fd(struct MHD_Daemon *daemon, int *ret_timeout_ms)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	MHD_UNSIGNED_LONG_LONG timeout;

	*ret_timeout_ms = -1;
	if (MHD_get_timeout(daemon, &timeout) == MHD_YES)
		*ret_timeout_ms = timeout < 60000 ? (int)timeout : 60000;
	return info->epoll_fd;
}
