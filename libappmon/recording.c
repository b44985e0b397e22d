/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the pipeline is fed, written to a file, and a pipeline fed from such a file. All that
 * decides about events is in it: records as the kernel wrote them (captured bytes only), targets,
 * and the times at which silence was looked for. The layout is in recording.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "recording.h"

/* ---- writing -------------------------------------------------------------------- */

struct recording {
	int fd;
	size_t used;
	char buf[64 * 1024];
};

static void stop(struct appmon *mon)
{
	free(mon->recording);
	mon->recording = NULL;
}

void recording_flush(struct appmon *mon)
{
	struct recording *r = mon->recording;
	size_t done = 0;

	while (r && done < r->used) {
		ssize_t n = write(r->fd, r->buf + done, r->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fail(&mon->log, -errno, "the recording stops, it cannot be written: %s",
			     strerror(errno));
			stop(mon);
			return;
		}
		done += (size_t)n;
	}
	if (r)
		r->used = 0;
}

static void put(struct appmon *mon, const void *data, size_t size)
{
	const char *p = data;

	while (size && mon->recording) {
		struct recording *r = mon->recording;
		size_t n = sizeof(r->buf) - r->used;

		n = n < size ? n : size;
		memcpy(r->buf + r->used, p, n);
		r->used += n;
		p += n;
		size -= n;
		if (r->used == sizeof(r->buf))
			recording_flush(mon);
	}
}

static void put_entry(struct appmon *mon, uint32_t type, const void *fixed, size_t fixed_size,
		      const void *bytes, size_t size)
{
	struct recording_entry entry = {.type = type, .size = (uint32_t)(fixed_size + size)};

	put(mon, &entry, sizeof(entry));
	put(mon, fixed, fixed_size);
	put(mon, bytes, size);
}

void recording_record(struct appmon *mon, const struct record *rec)
{
	struct rec_data data;

	if (!mon->recording)
		return;
	data = (struct rec_data){
		.hdr = {.version = REC_VERSION,
			.kind = REC_DATA,
			.size = (uint32_t)(sizeof(data) + rec->captured)},
		.conn = rec->conn,
		.seg = rec->seg,
		.owner = rec->owner,
		.captured = rec->captured,
	};
	put_entry(mon, RECORDING_RECORD, &data, sizeof(data), rec->bytes, rec->captured);
}

void recording_target(struct appmon *mon, const struct target *t)
{
	struct recording_target target = {
		.id = t->id, .slot = t->slot, .cgroup_id = t->cgroup_id, .capture = t->capture};

	if (mon->recording)
		put_entry(mon, RECORDING_TARGET, &target, sizeof(target), t->name, strlen(t->name));
}

void recording_number(struct appmon *mon, uint32_t type, uint64_t number)
{
	if (mon->recording)
		put_entry(mon, type, &number, sizeof(number), NULL, 0);
}

int appmon_record(struct appmon *mon, int fd)
{
	static const struct recording_header header = {
		.magic = RECORDING_MAGIC,
		.byte_order = RECORDING_BYTE_ORDER,
		.version = RECORDING_VERSION,
		.record_version = REC_VERSION,
	};
	int err = handle_check(mon);

	if (err)
		return err;
	if (mon->recording) {
		recording_flush(mon);
		stop(mon);
	}
	if (fd < 0)
		return 0;
	mon->recording = calloc(1, sizeof(*mon->recording));
	if (!mon->recording)
		return fail(&mon->log, -ENOMEM, "out of memory");
	mon->recording->fd = fd;
	put(mon, &header, sizeof(header));
	recording_number(mon, RECORDING_CLOCK, mon->realtime_offset_ns);
	recording_number(mon, RECORDING_SAMPLING,
			 (uint64_t)mon->sampling.from << 32 | mon->sampling.ppm);
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		if (mon->target[slot])
			recording_target(mon, mon->target[slot]);
	recording_flush(mon);
	return mon->recording ? 0 : fail(&mon->log, -EIO, "the recording cannot be written");
}

/* ---- reading ---------------------------------------------------------------------- */

/* Larger than any entry, so that one always fits. */
#define REPLAY_BYTES (256 * 1024)

struct replay {
	int fd;
	int end; /* -ENODATA at the end of the file, or what was wrong with it */
	size_t at, have;
	char buf[REPLAY_BYTES] __attribute__((aligned(8)));
};

/* size bytes that stay valid until the next call; NULL at the end, *cut if inside something. */
static const void *take(struct replay *r, size_t size, bool *cut)
{
	while (r->have - r->at < size) {
		ssize_t n;

		memmove(r->buf, r->buf + r->at, r->have - r->at);
		r->have -= r->at;
		r->at = 0;
		n = read(r->fd, r->buf + r->have, sizeof(r->buf) - r->have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*cut = r->have > 0;
			return NULL;
		}
		r->have += (size_t)n;
	}
	r->at += size;
	return r->buf + r->at - size;
}

static bool bad(struct appmon *mon, const char *what)
{
	mon->replay->end = fail(&mon->log, -EPROTO, "the recording is damaged: %s", what);
	return false;
}

static bool replay_target(struct appmon *mon, const char *data, size_t size)
{
	struct recording_target in;
	struct target *t;

	if (size < sizeof(in))
		return bad(mon, "a target is too short");
	memcpy(&in, data, sizeof(in));
	if (in.slot >= SLOTS || mon->target[in.slot] || !in.id)
		return bad(mon, "a target stands twice or has no place");
	t = target_new(in.id, in.slot, strndup(data + sizeof(in), size - sizeof(in)));
	if (!t) {
		mon->replay->end = fail(&mon->log, -ENOMEM, "out of memory");
		return false;
	}
	t->cgroup_id = in.cgroup_id;
	t->capture = in.capture;
	mon->target[in.slot] = t;
	return true;
}

static bool replay_number(struct appmon *mon, uint32_t type, const char *data, size_t size)
{
	struct target *t;
	uint64_t number;

	if (size != sizeof(number))
		return bad(mon, "an entry has the wrong size");
	memcpy(&number, data, sizeof(number));
	switch (type) {
	case RECORDING_CLOCK:
		mon->realtime_offset_ns = number;
		break;
	case RECORDING_EXPIRE:
		flows_expire(mon, number);
		break;
	case RECORDING_SAMPLING:
		if ((uint32_t)number > APPMON_SAMPLING_ALL)
			return bad(mon, "a share is beyond all");
		sampling_apply(mon, (uint32_t)number, (uint32_t)(number >> 32));
		break;
	case RECORDING_DETACH:
		t = target_by_id(mon, (uint32_t)number);
		if (!t)
			return bad(mon, "a target is detached that is not there");
		target_remove(mon, t);
		break;
	}
	return true;
}

static bool replay_record(struct appmon *mon, const char *data, size_t size)
{
	struct record rec;

	if (record_decode(data, size, &rec)) {
		mon->stats.records_bad++;
		return true;
	}
	mon->stats.records++;
	flow_record(mon, &rec);
	return true;
}

int replay_status(const struct appmon *mon)
{
	return mon->replay->end;
}

bool replay_step(struct appmon *mon)
{
	struct replay *r = mon->replay;
	struct recording_entry entry;
	const void *data;
	bool cut = false;

	if (r->end)
		return false;
	data = take(r, sizeof(entry), &cut);
	if (data) {
		memcpy(&entry, data, sizeof(entry));
		if (entry.size > REPLAY_BYTES / 2)
			return bad(mon, "an entry is too long");
		data = take(r, entry.size, &cut);
	}
	if (!data) {
		if (cut)
			log_line(&mon->log, APPMON_LOG_WARN,
				 "the recording ends inside an entry: its writer was stopped");
		r->end = -ENODATA;
		return false;
	}
	switch (entry.type) {
	case RECORDING_RECORD:
		return replay_record(mon, data, entry.size);
	case RECORDING_TARGET:
		return replay_target(mon, data, entry.size);
	case RECORDING_CLOCK:
	case RECORDING_EXPIRE:
	case RECORDING_SAMPLING:
	case RECORDING_DETACH:
		return replay_number(mon, entry.type, data, entry.size);
	default:
		return true; /* of a later minor version */
	}
}

int replay_open(struct appmon *mon, int fd)
{
	const struct recording_header *header;
	bool cut;

	mon->replay = calloc(1, sizeof(*mon->replay));
	if (!mon->replay)
		return fail(&mon->log, -ENOMEM, "out of memory");
	mon->replay->fd = fd;
	header = take(mon->replay, sizeof(*header), &cut);
	if (!header || memcmp(header->magic, RECORDING_MAGIC, sizeof(header->magic)))
		return fail(&mon->log, -EPROTO, "this is no recording of appmon");
	if (header->byte_order != RECORDING_BYTE_ORDER || header->version != RECORDING_VERSION ||
	    header->record_version != REC_VERSION)
		return fail(
			&mon->log, -EPROTO,
			"the recording comes from another version of the library or another kind "
			"of machine");
	return 0;
}

void recording_free(struct appmon *mon)
{
	recording_flush(mon);
	free(mon->recording);
	free(mon->replay);
}
