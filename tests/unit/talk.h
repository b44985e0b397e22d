/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection to a server, from packets through programs and pipeline, for tests of one protocol. */
#ifndef APPMON_UNIT_TALK_H
#define APPMON_UNIT_TALK_H

#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "unit.h"

#define SEQ_IN 1000
#define SEQ_OUT 2000000

static struct fixture p;
static const struct appmon_event *ev;
static struct sim_socket *sk;
static uint64_t pos[2];
static uint32_t cut; /* bytes of a packet at most; 0: as many as it takes */
static bool fresh;
static bool mirrored;	      /* the client is watched: requests go out */
static bool away;	      /* the reader is: records wait in the ring */
static uint64_t record_bytes; /* bytes of all records so far */

static inline void pump(void)
{
	const void *rec;
	size_t size;

	while (!away && (rec = sim_record(&size))) {
		ck_assert(fixture_record(&p, rec, size));
		record_bytes += size;
	}
	ck_assert(fixture_adds_up(&p));
}

static inline void packet(int dir, const char *bytes, uint32_t len, uint32_t flags)
{
	dir ^= mirrored;
	sim_now_ns += 1000000;
	sim_packet(sk, dir, pos[dir], bytes, len, flags);
	pos[dir] += len;
	pump();
}

/* In segments of `segment` bytes, of which number `late` comes behind the `by` that follow it. */
static inline void in_disorder(int dir, const char *bytes, uint32_t len, uint32_t segment,
			       uint32_t late, uint32_t by)
{
	uint32_t count = (len + segment - 1) / segment;

	dir ^= mirrored;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t k = i, at, n;

		if (late + by < count && i >= late && i <= late + by)
			k = i == late + by ? late : i + 1;
		at = k * segment;
		n = len - at < segment ? len - at : segment;
		sim_now_ns += 1000000;
		sim_packet(sk, dir, pos[dir] + at, bytes + at, n, k + 1 == count ? SIM_PSH : 0);
		pump();
	}
	pos[dir] += len;
}

static inline void connection(bool from_its_begin)
{
	if (sk)
		sim_forget(sk);
	sk = sim_connect(mirrored, SEQ_IN, SEQ_OUT);
	fresh = from_its_begin;
	pos[0] = pos[1] = 0;
	if (fresh)
		return;
	sim_detached = true;
	packet(DIR_IN, "before", 6, SIM_PSH);
	packet(DIR_OUT, "before", 6, SIM_PSH);
	sim_detached = false;
}

static inline void message(int dir, const char *bytes, uint32_t len)
{
	for (uint32_t at = 0, n; at < len; at += n) {
		n = cut && cut < len - at ? cut : len - at;
		packet(dir, bytes + at, n, at + n == len ? SIM_PSH : 0);
	}
}

static void on_verdict(void *ctx, uint64_t cookie, const struct verdict *verdict)
{
	(void)ctx;
	sim_verdict(cookie, verdict);
}

static inline void talk_begin(const struct appmon_opts *opts)
{
	struct sim_opts so = {.target = 1, .capture = 4096, .protocols = opts->protocols};

	fixture_init(&p, opts);
	p.pl.tell_programs = on_verdict;
	sim_start(&so);
	sk = NULL;
	cut = 0;
	mirrored = away = false;
	record_bytes = 0;
	connection(true);
}

static inline void talk_end(void)
{
	while (fixture_event(&p))
		;
	sim_forget(sk);
	sim_stop();
	ck_assert(fixture_adds_up(&p));
	fixture_free(&p);
}

#endif /* APPMON_UNIT_TALK_H */
