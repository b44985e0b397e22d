/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw ring bytes to checked records. No length from the ring is trusted. */
#include <errno.h>
#include <string.h>

#include "capture/capture.h"

static bool pieces_are_valid(const struct record *rec)
{
	uint32_t at = 0, passed = 0;
	struct rec_piece piece;

	for (; at < rec->captured; at += sizeof(piece) + ((piece.n + 7) & ~7U)) {
		if (rec->captured - at < sizeof(piece))
			return false;
		memcpy(&piece, rec->bytes + at, sizeof(piece));
		if (piece.n > rec->captured - at - sizeof(piece) || piece.n > rec->seg.len ||
		    piece.at < passed || piece.at > rec->seg.len - piece.n)
			return false;
		passed = piece.at + piece.n;
	}
	return at == rec->captured;
}

int record_decode(const void *data, size_t size, struct record *ret)
{
	const uint8_t *p = data;
	struct rec_hdr hdr;
	size_t fixed;

	if (size < sizeof(hdr))
		return -EPROTO;
	memcpy(&hdr, p, sizeof(hdr));
	if (hdr.version != REC_VERSION || hdr.size > size)
		return -EPROTO;
	if (hdr.kind != REC_DATA && hdr.kind != REC_PROGRESS && hdr.kind != REC_FRAMES)
		return -EPROTO;
	fixed = hdr.kind == REC_PROGRESS ? sizeof(struct rec_progress) : sizeof(struct rec_data);
	if (hdr.size < fixed)
		return -EPROTO;
	/* All kinds begin alike. */
	memcpy(&ret->conn, p + offsetof(struct rec_progress, conn), sizeof(ret->conn));
	memcpy(&ret->seg, p + offsetof(struct rec_progress, seg), offsetof(struct rec_seg, tail));
	ret->size = hdr.size;
	ret->bytes = "";
	ret->captured = 0;
	ret->framed = hdr.kind == REC_FRAMES;
	if (hdr.kind != REC_PROGRESS) {
		memcpy(&ret->captured, p + offsetof(struct rec_data, captured),
		       sizeof(ret->captured));
		if (ret->captured > hdr.size - fixed ||
		    (!ret->framed && ret->captured > ret->seg.len))
			return -EPROTO;
		ret->bytes = (const char *)p + fixed;
		if (ret->framed && !pieces_are_valid(ret))
			return -EPROTO;
	}
	/* The programs do not clear the parts that their flags leave out. */
	if (ret->seg.flags & REC_OWNER)
		memcpy(&ret->owner, p + offsetof(struct rec_progress, owner), sizeof(ret->owner));
	else
		memset(&ret->owner, 0, sizeof(ret->owner));
	if (ret->framed ? !(ret->seg.flags & REC_PART) : ret->captured < ret->seg.len)
		memcpy(ret->seg.tail, p + offsetof(struct rec_progress, seg.tail), TAIL_BYTES);
	else
		memset(ret->seg.tail, 0, TAIL_BYTES);
	if ((ret->conn.family != 4 && ret->conn.family != 6) || ret->seg.len > INT32_MAX ||
	    ret->owner.source > OWNER_CONNECTED)
		return -EPROTO;
	return 0;
}
