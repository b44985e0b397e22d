/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The budget: which connections are watched. By the hash of what both ends know (records.h), so
 * that a connection is watched as a whole or not at all, at both ends or at neither, and the same
 * ones at a smaller share are among those at a larger one. The programs look at a bound and a
 * generation number; whoever leaves the sample, or is there when capture is switched off, is
 * forgotten here and met again later.
 */
#include <errno.h>

#include "host/host.h"

/* The ceiling is looked after so often. */
#define CONTROL_EVERY_NS (100 * NSEC_PER_MSEC)

void budget_init(struct appmon *mon)
{
	struct budget *b = &mon->budget;

	b->most_ppm = APPMON_SAMPLING_ALL;
	b->generation = 1;
	if (mon->replay)
		return;
	capture_sample(&mon->cap, mon->pl.sample.below, b->generation);
	capture_from(&mon->cap, b->generation);
}

void budget_apply(struct appmon *mon, uint32_t ppm, uint32_t from)
{
	mon->pl.sample.ppm = ppm;
	mon->pl.sample.below = SAMPLE_ALL * ppm / APPMON_SAMPLING_ALL;
	mon->pl.sample.from = from;
	flows_drop_unsampled(&mon->flows);
}

/* After the programs know: what they wrote before counts, what they write meanwhile does not. */
static void follow(struct appmon *mon, uint32_t ppm, uint32_t from)
{
	loop_catch_up(mon);
	recording_number(mon->recording, RECORDING_SAMPLING, (uint64_t)from << 32 | ppm);
	budget_apply(mon, ppm, from);
}

static void set_share(struct appmon *mon, uint32_t ppm)
{
	struct budget *s = &mon->budget;

	if (ppm == mon->pl.sample.ppm)
		return;
	capture_sample(&mon->cap, SAMPLE_ALL * ppm / APPMON_SAMPLING_ALL, ++s->generation);
	follow(mon, ppm, mon->pl.sample.from);
}

void budget_control(struct appmon *mon)
{
	struct budget *s = &mon->budget;
	uint64_t seen = mon->pl.stats.exchanges_seen, made = seen - s->seen;
	uint64_t took = mon->now_ns - s->looked_ns, want;

	if (!s->ceiling || s->paused || mon->now_ns < s->look_ns)
		return;
	s->seen = seen;
	s->looked_ns = mon->now_ns;
	s->look_ns = mon->now_ns + CONTROL_EVERY_NS;
	if (took > 10 * CONTROL_EVERY_NS)
		return; /* the first look, or the host has not polled */
	/* The share at which as many would have been made as may be. */
	want = made ? mon->pl.sample.ppm * (s->ceiling * took / (double)NSEC_PER_SEC) / made
		    : s->most_ppm;
	if (want > 2 * (uint64_t)mon->pl.sample.ppm)
		want = 2 * (uint64_t)mon->pl.sample.ppm;
	if (want > s->most_ppm)
		want = s->most_ppm;
	if (!want)
		want = 1;
	/* Up only if it is worth it: whoever leaves the sample loses what is under way. */
	if (want < mon->pl.sample.ppm || want > mon->pl.sample.ppm + mon->pl.sample.ppm / 4 ||
	    want == s->most_ppm)
		set_share(mon, (uint32_t)want);
}

static int check(struct appmon *mon, const char *call)
{
	int err = handle_check(mon);

	if (err)
		return err;
	return mon->replay ? fail(&mon->log, -EOPNOTSUPP,
				  "%s: this handle replays a recording: it captures nothing", call)
			   : 0;
}

int appmon_set_sampling(struct appmon *mon, uint32_t connections_ppm, uint64_t events_per_second)
{
	struct budget *s;
	int err = check(mon, "appmon_set_sampling()");

	if (err)
		return err;
	if (!connections_ppm || connections_ppm > APPMON_SAMPLING_ALL)
		return fail(&mon->log, -EINVAL,
			    "connections_ppm is %u, it must be 1 to %u; appmon_pause() stops "
			    "everything",
			    connections_ppm, APPMON_SAMPLING_ALL);
	s = &mon->budget;
	s->most_ppm = connections_ppm;
	s->ceiling = events_per_second;
	s->look_ns = s->looked_ns = 0;
	set_share(mon, connections_ppm);
	return 0;
}

int appmon_pause(struct appmon *mon)
{
	struct budget *s;
	int err = check(mon, "appmon_pause()");

	if (err)
		return err;
	s = &mon->budget;
	if (s->paused)
		return 0;
	s->paused = true;
	capture_from(&mon->cap, 0);
	follow(mon, mon->pl.sample.ppm, s->generation + 1);
	return 0;
}

int appmon_resume(struct appmon *mon)
{
	struct budget *s;
	int err = check(mon, "appmon_resume()");

	if (err)
		return err;
	s = &mon->budget;
	if (!s->paused)
		return 0;
	s->paused = false;
	s->look_ns = s->looked_ns = 0;
	capture_sample(&mon->cap, mon->pl.sample.below, ++s->generation);
	follow(mon, mon->pl.sample.ppm, s->generation);
	capture_from(&mon->cap, s->generation);
	return 0;
}
