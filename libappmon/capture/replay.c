/* SPDX-License-Identifier: BSD-2-Clause */
/* What recording.c has written, entry by entry. The host does with each what it did then. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/capture.h"

/* Larger than any entry, so that one always fits. */
#define REPLAY_BYTES (256 * 1024)

struct replay {
	struct log *log;
	int fd;
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

static int bad(struct replay *r, const char *what)
{
	return fail(r->log, -EPROTO, "the recording is damaged: %s", what);
}

static int take_target(struct replay *r, const char *data, size_t size, struct replay_entry *ret)
{
	if (size < sizeof(ret->target))
		return bad(r, "a target is too short");
	memcpy(&ret->target, data, sizeof(ret->target));
	if (ret->target.slot >= SLOTS || !ret->target.id)
		return bad(r, "a target has no place");
	ret->name = data + sizeof(ret->target);
	ret->name_len = size - sizeof(ret->target);
	return 1;
}

static int take_number(struct replay *r, const char *data, size_t size, struct replay_entry *ret)
{
	if (size != sizeof(ret->number))
		return bad(r, "an entry has the wrong size");
	memcpy(&ret->number, data, sizeof(ret->number));
	if (ret->type == RECORDING_SAMPLING && (uint32_t)ret->number > APPMON_SAMPLING_ALL)
		return bad(r, "a share is beyond all");
	return 1;
}

int replay_next(struct replay *r, struct replay_entry *ret, bool *ret_bad)
{
	struct recording_entry entry;
	const void *data;
	bool cut = false;

	*ret_bad = false;
	data = take(r, sizeof(entry), &cut);
	if (data) {
		memcpy(&entry, data, sizeof(entry));
		if (entry.size > REPLAY_BYTES / 2)
			return bad(r, "an entry is too long");
		data = take(r, entry.size, &cut);
	}
	if (!data) {
		if (cut)
			log_line(r->log, APPMON_LOG_WARN,
				 "the recording ends inside an entry: its writer was stopped");
		return -ENODATA;
	}
	ret->type = entry.type;
	switch (entry.type) {
	case RECORDING_RECORD:
		*ret_bad = record_decode(data, entry.size, &ret->record) != 0;
		return !*ret_bad;
	case RECORDING_TARGET:
		return take_target(r, data, entry.size, ret);
	case RECORDING_CLOCK:
	case RECORDING_EXPIRE:
	case RECORDING_SAMPLING:
	case RECORDING_DETACH:
	case RECORDING_PORT:
		return take_number(r, data, entry.size, ret);
	default:
		return 0; /* of a later minor version */
	}
}

int replay_open(struct replay **ret, int fd, struct log *log)
{
	const struct recording_header *header;
	struct replay *r = calloc(1, sizeof(*r));
	bool cut;

	*ret = r;
	if (!r)
		return fail(log, -ENOMEM, "out of memory");
	r->log = log;
	r->fd = fd;
	header = take(r, sizeof(*header), &cut);
	if (!header || memcmp(header->magic, RECORDING_MAGIC, sizeof(header->magic)))
		return fail(log, -EPROTO, "this is no recording of appmon");
	if (header->byte_order != RECORDING_BYTE_ORDER || header->version != RECORDING_VERSION ||
	    header->record_version != REC_VERSION)
		return fail(
			log, -EPROTO,
			"the recording comes from another version of the library or another kind "
			"of machine");
	return 0;
}

void replay_free(struct replay *r)
{
	free(r);
}
