/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the pipeline is fed, written to a file. All that decides about events is in it: records as
 * the kernel wrote them (captured bytes only), targets, and the times at which silence was looked
 * for. The layout is in recording.h; replay.c reads it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/capture.h"

struct recording {
	struct log *log;
	int fd;	       /* -1: it has ended */
	uint64_t left; /* bytes up to the bound */
	size_t used;
	char buf[64 * 1024];
};

void recording_flush(struct recording *r)
{
	size_t done = 0;

	while (r && r->fd >= 0 && done < r->used) {
		ssize_t n = write(r->fd, r->buf + done, r->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fail(r->log, -errno, "the recording stops, it cannot be written: %s",
			     strerror(errno));
			r->fd = -1;
			return;
		}
		done += (size_t)n;
	}
	if (r)
		r->used = 0;
}

static void put(struct recording *r, const void *data, size_t size)
{
	const char *p = data;

	while (size && r->fd >= 0) {
		size_t n = sizeof(r->buf) - r->used;

		n = n < size ? n : size;
		memcpy(r->buf + r->used, p, n);
		r->used += n;
		p += n;
		size -= n;
		if (r->used == sizeof(r->buf))
			recording_flush(r);
	}
}

static void put_entry(struct recording *r, uint32_t type, const void *fixed, size_t fixed_size,
		      const void *bytes, size_t size)
{
	struct recording_entry entry = {.type = type, .size = (uint32_t)(fixed_size + size)};
	size_t whole = sizeof(entry) + entry.size;

	if (whole > r->left) {
		recording_flush(r);
		if (r->fd >= 0)
			log_line(r->log, APPMON_LOG_WARN,
				 "the recording ends here: record_max_bytes is reached");
		r->fd = -1;
		return;
	}
	r->left -= whole;
	put(r, &entry, sizeof(entry));
	put(r, fixed, fixed_size);
	put(r, bytes, size);
}

static void recording_call(struct recording *r, const struct record *rec)
{
	struct rec_call call = {.hdr = {.version = REC_VERSION,
					.kind = REC_PLAIN,
					.size = (uint32_t)sizeof(call) + rec->call.captured,
					.order_ns = rec->order_ns},
				.plain = rec->call};

	put_entry(r, RECORDING_RECORD, &call, sizeof(call), rec->bytes, rec->call.captured);
}

static size_t append(char *to, size_t at, const void *part, size_t size)
{
	memcpy(to + at, part, size);
	return at + size;
}

void recording_record(struct recording *r, const struct record *rec)
{
	const struct segment *seg = &rec->seg;
	struct rec_conn_told told;
	char fixed[sizeof(struct rec) + REC_EXTRAS_MAX];
	size_t size = sizeof(struct rec);
	struct rec out;

	if (!r)
		return;
	if (rec->called) {
		recording_call(r, rec);
		return;
	}
	told = record_told(rec);
	if (seg->flags & REC_CONN)
		size = append(fixed, size, &told, sizeof(told));
	if (seg->flags & REC_BEFORE)
		size = append(fixed, size, &seg->before, sizeof(seg->before));
	if (seg->flags & REC_OWNER)
		size = append(fixed, size, &rec->owner, sizeof(rec->owner));
	if (seg->flags & REC_TAIL)
		size = append(fixed, size, rec->tail, TAIL_BYTES);
	out = (struct rec){.hdr = {.version = REC_VERSION,
				   .order_ns = rec->order_ns,
				   .kind = rec->framed ? REC_FRAMES : REC_DATA,
				   .size = (uint32_t)size + seg->captured},
			   .cookie = rec->conn.cookie,
			   .seg = {.ts_ns = seg->ts_ns,
				   .flags = seg->flags,
				   .seq = seg->seq,
				   .len = seg->len,
				   .start = seg->start,
				   .whole = seg->whole,
				   .ack = seg->ack,
				   .written = seg->written,
				   .srtt_us = seg->srtt_us}};
	memcpy(fixed, &out, sizeof(out));
	put_entry(r, RECORDING_RECORD, fixed, size, rec->bytes, seg->captured);
}

void recording_target(struct recording *r, const struct target *t)
{
	struct recording_target target = {.id = t->id,
					  .slot = t->slot,
					  .cgroup_id = t->cgroup_id,
					  .capture = t->capture,
					  .protocols = t->protocols};

	if (!r)
		return;
	put_entry(r, RECORDING_TARGET, &target, sizeof(target), t->name, strlen(t->name));
	for (uint32_t i = 0; i < t->port_count; i++)
		recording_number(r, RECORDING_PORT,
				 (uint64_t)t->slot << 48 | (uint64_t)t->ports[i].port << 32 |
					 t->ports[i].protocol);
}

void recording_number(struct recording *r, uint32_t type, uint64_t number)
{
	if (r)
		put_entry(r, type, &number, sizeof(number), NULL, 0);
}

struct recording *recording_new(struct log *log, int fd, uint64_t max_bytes)
{
	static const struct recording_header header = {
		.magic = RECORDING_MAGIC,
		.byte_order = RECORDING_BYTE_ORDER,
		.version = RECORDING_VERSION,
		.record_version = REC_VERSION,
	};
	struct recording *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->log = log;
	r->fd = fd;
	r->left = max_bytes ? max_bytes : UINT64_MAX;
	if (r->left < sizeof(header)) {
		r->fd = -1;
		return r;
	}
	r->left -= sizeof(header);
	put(r, &header, sizeof(header));
	return r;
}

bool recording_works(const struct recording *r)
{
	return r->fd >= 0;
}

void recording_free(struct recording *r)
{
	recording_flush(r);
	free(r);
}
