/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor as one descriptor of a host's own epoll loop: sudo ./epoll CGROUP-DIRECTORY */
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <appmon/appmon.h>

static int on_event(void *ctx, const struct appmon_event *ev)
{
	++*(unsigned long *)ctx;
	printf("%u in %.3f ms\n", ev->status, (double)ev->duration_ns / 1e6);
	return 0;
}

static int add(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int loop(struct appmon *mon)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), signals, ret = 0;
	struct epoll_event event;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (add(epoll, signals) < 0 || add(epoll, appmon_fd(mon)) < 0)
		ret = -1;
	while (ret >= 0 && epoll_wait(epoll, &event, 1, -1) == 1) {
		if (event.data.fd == signals)
			break;
		/* Does not block; at most 256 events, so that the others get their turn. */
		ret = appmon_poll(mon, 0, 256);
		fflush(stdout);
	}
	close(signals);
	close(epoll);
	return ret;
}

int main(int argc, char **argv)
{
	unsigned long count = 0;
	char error[256] = "";
	APPMON_OPTS(appmon_opts, opts, .event_fn = on_event, .event_ctx = &count,
		    .error_text = error, .error_text_size = sizeof(error));
	struct appmon *mon;
	int ret;

	if (argc != 2)
		return 2;
	if (appmon_open(&mon, &opts) < 0) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	ret = appmon_attach_cgroup(mon, argv[1], NULL, NULL);
	if (ret >= 0)
		ret = loop(mon);
	if (ret < 0)
		fprintf(stderr, "%s\n", appmon_last_error(mon));
	appmon_close(mon);
	printf("%lu requests\n", count);
	return ret < 0;
}
