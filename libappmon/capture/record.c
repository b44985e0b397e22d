/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw ring bytes to checked records. No length from the ring is trusted. */
#include <errno.h>
#include <string.h>

#include "capture/capture.h"

static bool pieces_are_valid(const struct record *rec)
{
	uint32_t at = 0, passed = 0;
	struct rec_piece piece;

	for (; at < rec->seg.captured; at += sizeof(piece) + ((piece.n + 7) & ~7U)) {
		if (rec->seg.captured - at < sizeof(piece))
			return false;
		memcpy(&piece, rec->bytes + at, sizeof(piece));
		if (piece.flags & PIECE_DUE) {
			if (at || piece.n)
				return false;
			continue;
		}
		if (piece.n > rec->seg.captured - at - sizeof(piece) || piece.n > rec->seg.len ||
		    piece.at < passed || piece.at > rec->seg.len - piece.n)
			return false;
		passed = piece.at + piece.n;
	}
	return at == rec->seg.captured && (rec->tail || (rec->seg.flags & REC_PART));
}

static int decode_call(const uint8_t *p, uint32_t size, struct record *ret)
{
	const struct rec_plain *call = &ret->call;

	if (size < sizeof(struct rec_call))
		return -EPROTO;
	memcpy(&ret->call, p + offsetof(struct rec_call, plain), sizeof(ret->call));
	memset(&ret->conn, 0, sizeof(ret->conn));
	memset(&ret->seg, 0, sizeof(ret->seg));
	memset(&ret->owner, 0, sizeof(ret->owner));
	ret->seg.ts_ns = ret->order_ns;
	ret->size = size;
	ret->framed = false;
	ret->tail = NULL;
	ret->bytes = (const char *)p + sizeof(struct rec_call);
	if (call->captured > size - sizeof(struct rec_call) || call->captured > call->len ||
	    call->len > INT32_MAX || ((call->flags & PLAIN_TAIL) && call->len < TAIL_BYTES))
		return -EPROTO;
	return 0;
}

static int decode_process(const uint8_t *p, uint32_t size, struct record *ret)
{
	if (size != sizeof(struct rec_process))
		return -EPROTO;
	memset(&ret->owner, 0, sizeof(ret->owner));
	memcpy(&ret->owner.task, p + offsetof(struct rec_process, task), sizeof(ret->owner.task));
	ret->size = size;
	return 0;
}

/* What its flags promise, and the captured bytes. */
static int decode_segment(const uint8_t *p, const struct rec_hdr *hdr, struct record *ret)
{
	uint32_t at = sizeof(struct rec);
	struct segment *seg = &ret->seg;
	struct rec_seg said;

	memcpy(&said, p + offsetof(struct rec, seg), sizeof(said));
	*seg = (struct segment){.ts_ns = said.ts_ns,
				.flags = said.flags,
				.seq = said.seq,
				.len = said.len,
				.start = said.start,
				.whole = said.whole,
				.ack = said.ack,
				.written = said.written,
				.srtt_us = said.srtt_us};
	memcpy(&ret->conn.cookie, p + offsetof(struct rec, cookie), sizeof(ret->conn.cookie));
	ret->size = hdr->size;
	ret->framed = hdr->kind == REC_FRAMES;
	ret->tail = NULL;
	if (said.flags & REC_CONN) {
		struct rec_conn_told told;

		if (hdr->size - at < sizeof(told))
			return -EPROTO;
		memcpy(&told, p + at, sizeof(told));
		at += sizeof(told);
		if (told.conn.cookie != ret->conn.cookie ||
		    (told.conn.family != 4 && told.conn.family != 6))
			return -EPROTO;
		ret->conn = told.conn;
		seg->sample = told.sample;
		seg->lost = told.lost;
		seg->retrans = told.retrans;
		seg->dup = told.dup;
	}
	if (said.flags & REC_BEFORE) {
		if (hdr->size - at < sizeof(seg->before))
			return -EPROTO;
		memcpy(&seg->before, p + at, sizeof(seg->before));
		at += sizeof(seg->before);
	}
	if (said.flags & REC_OWNER) {
		if (hdr->size - at < sizeof(ret->owner))
			return -EPROTO;
		memcpy(&ret->owner, p + at, sizeof(ret->owner));
		at += sizeof(ret->owner);
	} else {
		memset(&ret->owner, 0, sizeof(ret->owner));
	}
	if (said.flags & REC_TAIL) {
		if (hdr->size - at < TAIL_BYTES)
			return -EPROTO;
		ret->tail = (const char *)p + at;
		at += TAIL_BYTES;
	}
	ret->bytes = (const char *)p + at;
	seg->captured = hdr->size - at;
	if (ret->framed ? !pieces_are_valid(ret) : seg->captured > seg->len)
		return -EPROTO;
	if (seg->len > INT32_MAX || (said.flags & (REC_FRAME | REC_UNWALKED)) ||
	    (!(said.flags & REC_BEFORE) && (said.flags & REC_DUE)) ||
	    (!(said.flags & REC_CONN) && (said.flags & REC_LISTENER)) ||
	    ret->owner.source > OWNER_CONNECTED)
		return -EPROTO;
	return 0;
}

int record_decode(const void *data, size_t size, struct record *ret)
{
	const uint8_t *p = data;
	struct rec_hdr hdr;

	if (size < sizeof(hdr))
		return -EPROTO;
	memcpy(&hdr, p, sizeof(hdr));
	if (hdr.version != REC_VERSION || hdr.size > size)
		return -EPROTO;
	ret->order_ns = hdr.order_ns;
	ret->called = hdr.kind == REC_PLAIN;
	ret->process = hdr.kind == REC_PROCESS;
	if (ret->process)
		return decode_process(p, hdr.size, ret);
	if (ret->called)
		return decode_call(p, hdr.size, ret);
	if (hdr.kind != REC_DATA && hdr.kind != REC_PROGRESS && hdr.kind != REC_FRAMES)
		return -EPROTO;
	if (hdr.size < sizeof(struct rec))
		return -EPROTO;
	return decode_segment(p, &hdr, ret);
}
