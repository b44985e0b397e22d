/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host that skew.py compiles with headers whose structs are shorter (an older version's) and
 * longer (a newer version's: NEWER) than those of the library that it runs with. Arguments: a
 * recording; a cgroup to attach to, if there may be one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <appmon/appmon.h>

#define EXPECT(expr)                                                                               \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "host.c:%d: %s\n", __LINE__, #expr);                       \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

#define GUARD 0x5a5a5a5a5a5a5a5aU

struct guarded_stats {
	struct appmon_stats stats;
	uint64_t guard;
};

struct guarded_capabilities {
	struct appmon_capabilities caps;
	uint64_t guard;
};

static int on_event(void *ctx, const struct appmon_event *ev)
{
	++*(int *)ctx;
	printf("%.*s %.*s %u %llu %s\n", (int)ev->operation.len, ev->operation.data,
	       (int)ev->path.len, ev->path.data, ev->status, (unsigned long long)ev->duration_ns,
	       ev->target_name.data);
#ifdef NEWER
	if (APPMON_HAS(ev, struct appmon_event, added))
		return -EPROTO;
#endif
	return 0;
}

static int check_stats(struct appmon *mon, uint64_t delivered)
{
	struct guarded_stats s;
	struct guarded_capabilities c;

	memset(&s, 0xff, sizeof(s));
	memset(&c, 0xff, sizeof(c));
	s.guard = c.guard = GUARD;
	s.stats.size = sizeof(s.stats);
	c.caps.size = sizeof(c.caps);
	EXPECT(appmon_get_stats(mon, 0, &s.stats) == 0);
	EXPECT(appmon_get_capabilities(mon, &c.caps) == 0);
	EXPECT(s.stats.delivered == delivered && s.stats.exchanges_seen == delivered);
	EXPECT(s.guard == GUARD && c.guard == GUARD);
#ifdef NEWER
	EXPECT(s.stats.size < sizeof(s.stats) && s.stats.added == 0);
	EXPECT(c.caps.size < sizeof(c.caps) && c.caps.added == 0);
#else
	EXPECT(s.stats.size == sizeof(s.stats) && c.caps.size == sizeof(c.caps));
#endif
	return 0;
}

static int replays(int fd)
{
	int events = 0, ret;
	struct appmon_opts opts = {.size = sizeof(opts), .event_fn = on_event};
	struct appmon *mon = NULL;

	opts.event_ctx = &events;
#ifdef NEWER
	opts.added = 1;
	EXPECT(appmon_open_replay(&mon, fd, &opts) == -E2BIG && !mon);
	opts.added = 0;
#endif
	EXPECT(appmon_open_replay(&mon, fd, &opts) == 0);
	do {
		ret = appmon_poll(mon, 0, 0);
	} while (ret >= 0);
	EXPECT(ret == -ENODATA && events == 1);
	EXPECT(check_stats(mon, 1) == 0);
	EXPECT(appmon_close(mon) == 0);
	return 0;
}

/* Needs privileges. */
static int attaches(const char *cgroup)
{
	struct appmon_opts opts = {.size = sizeof(opts)};
	struct appmon_attach_opts attach = {.size = sizeof(attach), .capture_bytes = 512};
	struct appmon *mon = NULL;
	uint32_t target = 0;

	EXPECT(appmon_open(&mon, &opts) == 0);
#ifdef NEWER
	attach.added = 1;
	EXPECT(appmon_attach_cgroup(mon, cgroup, &attach, &target) == -E2BIG && !target);
	attach.added = 0;
#endif
	EXPECT(appmon_attach_cgroup(mon, cgroup, &attach, &target) == 0 && target);
	EXPECT(check_stats(mon, 0) == 0);
	EXPECT(appmon_detach(mon, target) == 0);
	EXPECT(appmon_close(mon) == 0);
	return 0;
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

	EXPECT(fd >= 0);
	if (replays(fd))
		return 1;
	return argc > 2 ? attaches(argv[2]) : 0;
}
