/* SPDX-License-Identifier: BSD-2-Clause */
/* What the host may ask of a handle: counters, capabilities, the last error. */
#include <errno.h>

#include "host/host.h"

/* Bit of a member in appmon_stats.valid; dropped[] is one. */
#define STAT_BIT(member)                                                                           \
	(UINT64_C(1) << (((offsetof(struct appmon_stats, member) -                                 \
			   offsetof(struct appmon_stats, exchanges_seen)) /                        \
			  8) -                                                                     \
			 (offsetof(struct appmon_stats, member) >                                  \
					  offsetof(struct appmon_stats, dropped)                   \
				  ? APPMON_DROP_MAX - 1                                            \
				  : 0)))

int appmon_get_stats(struct appmon *mon, uint32_t target, struct appmon_stats *stats)
{
	const uint64_t handle_only = STAT_BIT(memory_bytes) | STAT_BIT(memory_limit) |
				     STAT_BIT(plain_calls) | STAT_BIT(plain_dropped) |
				     STAT_BIT(tls_refused) | STAT_BIT(tls_refused_processes);
	const uint64_t all = 2 * STAT_BIT(tls_refused_processes) - 1;
	int err = handle_check(mon);
	struct appmon_stats s;
	struct target *t;

	if (err)
		return err;
	if (!stats)
		return fail(&mon->log, -EINVAL,
			    "appmon_get_stats() needs a place for the counters");
	if (target) {
		t = target_by_id(mon, target);
		if (!t)
			return fail(&mon->log, -ENOENT, "there is no target %u", target);
		s = t->stats;
		s.flags = t->removed ? APPMON_STATS_REMOVED : 0;
		s.valid = all & ~handle_only;
		capture_counters(&mon->cap, t->slot, &s);
	} else {
		s = mon->pl.stats;
		s.valid = all;
		s.memory_bytes = mon->pl.pool.held;
		s.memory_limit = mon->pl.pool.limit;
		s.tls_refused = mon->tls.refused_files + mon->tls.refused_processes;
		s.tls_refused_processes = mon->tls.refused_processes;
		if (mon->recording && !recording_works(mon->recording))
			s.flags |= APPMON_STATS_RECORD_ENDED;
		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			if (!mon->pl.target[slot])
				continue;
			capture_counters(&mon->cap, slot, &s);
			if (mon->pl.target[slot]->removed)
				s.flags |= APPMON_STATS_REMOVED;
		}
	}
	s.sampling_ppm = mon->budget.paused ? 0 : mon->pl.sample.ppm;
	err = opts_write(stats, &s, sizeof(s));
	return err ? fail(&mon->log, err, "appmon_stats.size is not set") : 0;
}

int appmon_get_capabilities(struct appmon *mon, struct appmon_capabilities *caps)
{
	struct appmon_capabilities c = {0};
	int err = handle_check(mon);

	if (err)
		return err;
	if (!caps)
		return fail(&mon->log, -EINVAL, "appmon_get_capabilities() needs a place to write");
	c.supported = mon->cap.capabilities;
	err = opts_write(caps, &c, sizeof(c));
	return err ? fail(&mon->log, err, "appmon_capabilities.size is not set") : 0;
}

const char *appmon_last_error(struct appmon *mon)
{
	return mon ? mon->log.error : "there is no handle";
}
