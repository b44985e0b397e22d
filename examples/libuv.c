/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor in a libuv loop: sudo ./libuv CGROUP-DIRECTORY */
#include <stdio.h>

#include <uv.h>

#include <appmon/appmon.h>

static int on_event(void *ctx, const struct appmon_event *ev)
{
	++*(unsigned long *)ctx;
	printf("%u in %.3f ms\n", ev->status, (double)ev->duration_ns / 1e6);
	return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	/* Does not block; at most 256 events, so that the others get their turn. */
	if (status < 0 || appmon_poll(poll->data, 0, 256) < 0)
		uv_stop(poll->loop);
	fflush(stdout);
}

static void on_signal(uv_signal_t *signal, int signum)
{
	(void)signum;
	uv_stop(signal->loop);
}

static int loop(struct appmon *mon)
{
	uv_loop_t *uv = uv_default_loop();
	uv_poll_t poll;
	uv_signal_t signal;
	int ret = uv_poll_init(uv, &poll, appmon_fd(mon));

	if (ret < 0)
		return ret;
	poll.data = mon;
	uv_poll_start(&poll, UV_READABLE, on_readable);
	uv_signal_init(uv, &signal);
	uv_signal_start(&signal, on_signal, SIGINT);
	uv_run(uv, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_close((uv_handle_t *)&signal, NULL);
	uv_run(uv, UV_RUN_DEFAULT); /* until both are closed */
	return uv_loop_close(uv);
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
