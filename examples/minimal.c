/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints every request of a cgroup: sudo ./minimal /sys/fs/cgroup/system.slice */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include <appmon/appmon.h>

static struct appmon *mon;
static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
	appmon_wakeup(mon);
}

/* The strings are bytes from the network: a real program escapes them before it prints. */
static int on_event(void *ctx, const struct appmon_event *ev)
{
	(void)ctx;
	if (ev->operation.len > 0) /* else its request passed before the attach */
		printf("%s %s %s %.3f ms\n", ev->operation.data, ev->resource.data,
		       ev->status_text.data, (double)ev->duration_ns / 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	char error[256] = "";
	APPMON_OPTS(appmon_opts, opts, .event_fn = on_event, .error_text = error,
		    .error_text_size = sizeof(error));
	int ret;

	if (argc != 2) {
		fprintf(stderr, "usage: %s CGROUP-DIRECTORY\n", argv[0]);
		return 2;
	}
	ret = appmon_open(&mon, &opts);
	if (ret < 0) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	signal(SIGINT, on_signal);
	ret = appmon_attach_cgroup(mon, argv[1], NULL, NULL);
	while (ret >= 0 && !stop) {
		ret = appmon_poll(mon, -1, 0);
		fflush(stdout);
		ret = ret == -EINTR ? 0 : ret;
	}
	if (ret < 0)
		fprintf(stderr, "%s\n", appmon_last_error(mon));
	signal(SIGINT, SIG_DFL); /* the handler uses mon */
	appmon_close(mon);
	return ret < 0;
}
