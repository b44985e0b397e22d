/* SPDX-License-Identifier: BSD-2-Clause */
/* The public headers are all that this file includes: they must be complete, in every dialect. */
#include <appmon/metrics.h>
#include <appmon/metrics.h>
#include <appmon/appmon.h>

int header_complete(const struct appmon_event *ev);

int header_complete(const struct appmon_event *ev)
{
#ifdef __cplusplus
	APPMON_OPTS(appmon_attach_opts, opts);
#else
	APPMON_OPTS(appmon_stats, stats);
	APPMON_OPTS(appmon_attach_opts, opts, .name = "x");

	if (stats.size != sizeof(stats))
		return 0;
#endif
	if (opts.size != sizeof(opts) || opts.capture_bytes)
		return 0;
	/* The macro's comparison is unsigned, its constants have their types everywhere. */
	return APPMON_HAS(ev, struct appmon_event, outcome) &&
	       (ev->flags & APPMON_EVF_MALFORMED) != 0 && APPMON_PROTO_HTTP1 == 1;
}
