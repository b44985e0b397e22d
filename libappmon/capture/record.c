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

int record_decode(const void *data, size_t size, struct record *ret)
{
	const uint8_t *p = data;
	struct rec_hdr hdr;
	size_t at;

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
	at = sizeof(struct rec);
	if (hdr.size < at)
		return -EPROTO;
	memcpy(&ret->conn, p + offsetof(struct rec, conn), sizeof(ret->conn));
	memcpy(&ret->seg, p + offsetof(struct rec, seg), sizeof(ret->seg));
	ret->size = hdr.size;
	ret->framed = hdr.kind == REC_FRAMES;
	ret->tail = NULL;
	if (ret->seg.flags & REC_OWNER) {
		if (hdr.size - at < sizeof(ret->owner))
			return -EPROTO;
		memcpy(&ret->owner, p + at, sizeof(ret->owner));
		at += sizeof(ret->owner);
	} else {
		memset(&ret->owner, 0, sizeof(ret->owner));
	}
	if (ret->seg.flags & REC_TAIL) {
		if (hdr.size - at < TAIL_BYTES)
			return -EPROTO;
		ret->tail = (const char *)p + at;
		at += TAIL_BYTES;
	}
	ret->bytes = (const char *)p + at;
	if (ret->seg.captured > hdr.size - at)
		return -EPROTO;
	if (ret->framed ? !pieces_are_valid(ret)
			: ret->seg.captured > ret->seg.len ||
				  (!ret->tail && ret->seg.captured < ret->seg.len))
		return -EPROTO;
	if ((ret->conn.family != 4 && ret->conn.family != 6) || ret->seg.len > INT32_MAX ||
	    (ret->seg.flags & (REC_FRAME | REC_UNWALKED)) || ret->owner.source > OWNER_CONNECTED)
		return -EPROTO;
	return 0;
}
