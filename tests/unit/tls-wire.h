/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection after the other, from segments through the programs to the pipeline. */
#ifndef APPMON_TEST_TLS_WIRE_H
#define APPMON_TEST_TLS_WIRE_H

#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"

struct wire {
	struct fixture *p;
	struct sim_socket *sk;
	uint64_t next[2]; /* positions by direction */
	bool deferred;	  /* the first segment meets the listening socket */
};

/* active: the monitored end is the client. */
static inline void wire_begin(struct wire *w, bool active)
{
	sim_forget(w->sk);
	w->sk = sim_connect(active, 1000, 4294967000);
	w->next[DIR_IN] = w->next[DIR_OUT] = 0;
}

static inline void wire_start(struct wire *w, struct fixture *p)
{
	struct sim_opts so = {.target = 1,
			      .cgroup_id = 4242,
			      .capture = p->target[0].capture,
			      .protocols = 1U << APPMON_PROTO_HTTP1 | 1U << APPMON_PROTO_TLS};

	*w = (struct wire){.p = p};
	sim_start(&so);
}

static inline void wire_stop(struct wire *w)
{
	sim_forget(w->sk);
	sim_stop();
}

/* A segment passes, a millisecond after the one before. */
static inline void wire_segment(struct wire *w, int dir, const uint8_t *bytes, uint32_t len,
				uint32_t flags)
{
	const void *rec;
	size_t size;

	sim_now_ns += 1000000;
	if (w->deferred) {
		sim_listener_packet(w->sk, 0, bytes, len);
		w->deferred = false;
	} else {
		sim_packet(w->sk, dir, w->next[dir], bytes, len, flags);
	}
	w->next[dir] += len;
	while ((rec = sim_record(&size)))
		if (!fixture_record(w->p, rec, size))
			abort();
}

#endif /* APPMON_TEST_TLS_WIRE_H */
