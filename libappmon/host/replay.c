/* SPDX-License-Identifier: BSD-2-Clause */
/* Recordings: made of what the loop takes, and played in its place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"

int appmon_record(struct appmon *mon, int fd)
{
	int err = handle_check(mon);

	if (err)
		return err;
	recording_free(mon->recording);
	mon->recording = NULL;
	if (fd < 0)
		return 0;
	mon->recording = recording_new(&mon->log, fd, mon->opts.record_max_bytes);
	if (!mon->recording)
		return fail(&mon->log, -ENOMEM, "out of memory");
	recording_number(mon->recording, RECORDING_CLOCK, mon->realtime_offset_ns);
	recording_number(mon->recording, RECORDING_SAMPLING,
			 (uint64_t)mon->pl.sample.from << 32 | mon->pl.sample.ppm);
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		if (mon->pl.target[slot])
			recording_target(mon->recording, mon->pl.target[slot]);
	recording_flush(mon->recording);
	return recording_works(mon->recording)
		       ? 0
		       : fail(&mon->log, -EIO,
			      "the recording cannot be written, or record_max_bytes is too small");
}

static int play_target(struct appmon *mon, const struct replay_entry *entry)
{
	const struct recording_target *in = &entry->target;
	struct target *t;

	if (mon->pl.target[in->slot])
		return fail(&mon->log, -EPROTO, "the recording is damaged: a target stands twice");
	t = target_new(in->id, in->slot, strndup(entry->name, entry->name_len));
	if (!t)
		return fail(&mon->log, -ENOMEM, "out of memory");
	t->cgroup_id = in->cgroup_id;
	t->capture = in->capture;
	t->protocols = in->protocols ? in->protocols & mon->opts.protocols : mon->opts.protocols;
	mon->pl.target[in->slot] = t;
	return 0;
}

static int play_port(struct appmon *mon, uint64_t number)
{
	uint32_t slot = (uint32_t)(number >> 48), protocol = (uint32_t)number;
	struct target *t = slot < SLOTS ? mon->pl.target[slot] : NULL;
	struct appmon_port_hint *ports;

	if (!t || t->port_count == HINTS_MAX || !appmon_protocol_name(protocol))
		return fail(&mon->log, -EPROTO, "the recording is damaged: a port has no place");
	if (!(t->protocols & 1U << protocol))
		return 0; /* this handle does not ask for it */
	ports = reallocarray(t->ports, t->port_count + 1, sizeof(*ports));
	if (!ports)
		return fail(&mon->log, -ENOMEM, "out of memory");
	t->ports = ports;
	ports[t->port_count++] = (struct appmon_port_hint){
		.port = (uint32_t)(number >> 32) & UINT16_MAX, .protocol = protocol};
	return 0;
}

static int play_detach(struct appmon *mon, uint64_t id)
{
	struct target *t = target_by_id(mon, (uint32_t)id);

	if (!t)
		return fail(&mon->log, -EPROTO,
			    "the recording is damaged: a target is detached that is not there");
	target_remove(mon, t);
	return 0;
}

static int play(struct appmon *mon, struct replay_entry *entry)
{
	switch (entry->type) {
	case RECORDING_RECORD:
		mon->pl.stats.records++;
		flow_record(&mon->flows, &entry->record);
		return 0;
	case RECORDING_TARGET:
		return play_target(mon, entry);
	case RECORDING_PORT:
		return play_port(mon, entry->number);
	case RECORDING_DETACH:
		return play_detach(mon, entry->number);
	case RECORDING_CLOCK:
		mon->realtime_offset_ns = entry->number;
		return 0;
	case RECORDING_EXPIRE:
		flows_expire(&mon->flows, entry->number);
		return 0;
	default: /* RECORDING_SAMPLING */
		budget_apply(mon, (uint32_t)entry->number, (uint32_t)(entry->number >> 32));
		return 0;
	}
}

bool replay_step(struct appmon *mon)
{
	struct replay_entry entry;
	bool bad;
	int r;

	if (mon->replay_end)
		return false;
	r = replay_next(mon->replay, &entry, &bad);
	mon->pl.stats.records_bad += bad;
	if (r > 0)
		r = play(mon, &entry);
	mon->replay_end = r < 0 ? r : 0;
	return !mon->replay_end;
}
