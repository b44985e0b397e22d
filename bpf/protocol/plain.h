/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * HTTP/2 in the plaintext of a TLS session (RFC 9113): which of a call's bytes are copied. Of each frame
 * it is what rows.h says, as on the wire, so of a body hardly more than its frames' headers. It knows no
 * session and no ring.
 *
 * A direction is followed from its first byte on, if that begins the client's preface, or the SETTINGS
 * of either side (section 3.4). Where what is due is no frame all is copied from there on.
 */
#ifndef APPMON_PLAIN_H
#define APPMON_PLAIN_H

#include "protocol/walk.h"

#define HTTP2_HEADER 9
#define HTTP2_SETTINGS 4 /* a frame's type */

/* So many bytes of a frame, or of its end, are copied: the record goes on behind them. */
#define PLAIN_SMALL 64
/* Frames in one record. */
#define PLAIN_FRAMES 64

struct plain_follow {
	__u32 left;   /* bytes to come of the frame that passes */
	__u32 wanted; /* the first of them: to be copied */
	__u8 follows; /* else all is copied */
	__u8 have;    /* bytes of a header that a call cut */
	__u8 pad[6];
	__u8 head[2 * FRAME_HEAD_MAX]; /* twice: for the verifier */
};

/* The begin of a call's bytes, that one record tells: `copied` of them, from the first one on. */
struct plain_part {
	__u64 buf;
	__u32 left; /* bytes of the call from buf on */
	__u32 len, copied;
	__u32 room; /* most that may be copied */
};

struct plain_ctx {
	struct plain_follow *f;
	struct plain_part *part;
};

/* Is a direction whose first bytes stand at buf to be followed? f is all zeros. Not static: verified
 * once. */
__noinline int plain_begins(struct plain_follow *f, __u64 buf, __u64 len)
{
	const struct row *row = &rows[ROW_HTTP2];
	__u8 b[FRAME_HEAD_MAX] __attribute__((aligned(8))) = {};
	struct frame_head h, magic;
	__u32 type;

	if (!frames || !f || len < HTTP2_HEADER)
		return 0;
	/* So much of the preface is enough. */
	if (bpf_probe_read_user(b, len < sizeof(b) ? HTTP2_HEADER : sizeof(b), (const void *)buf))
		return 0;
	h.word[0] = frame_word(b);
	h.word[1] = frame_word(b + 8);
	magic.word[0] = frame_word((const __u8 *)row->magic);
	magic.word[1] = frame_word((const __u8 *)row->magic + 8);
	if (h.word[0] == magic.word[0] && h.word[1] == magic.word[1]) {
		f->left = f->wanted = row->preface;
		f->follows = 1;
	} else if (frame_total(row, SIDE_REQUEST, &h, HTTP2_HEADER, TRUST_FULL, &type) !=
			   FRAME_ODD &&
		   type == HTTP2_SETTINGS && !frame_byte(&h, 4)) {
		f->follows = 1;
	}
	return f->follows;
}

/* A header, or more of one. Returns 1 if the part ends in front of it, or with it. */
static __always_inline int plain_header(struct plain_follow *f, struct plain_part *part)
{
	const struct row *row = &rows[ROW_HTTP2];
	__u32 rest = part->left - part->len, have = f->have, n, total, type, class, copy;
	struct frame_head h;

	/* Behind bytes that are not copied another record begins. */
	if (part->len != part->copied || part->copied + HTTP2_HEADER > part->room)
		return 1;
	have &= FRAME_HEAD_MAX - 1;
	n = HTTP2_HEADER - have;
	if (n > rest)
		n = rest;
	barrier_var(n);
	n = ((n - 1) & (FRAME_HEAD_MAX - 1)) + 1;
	if (bpf_probe_read_user(f->head + have, n, (const void *)(part->buf + part->len))) {
		f->follows = 0;
		return 1;
	}
	part->len += n;
	part->copied += n;
	f->have = have + n;
	if (f->have < HTTP2_HEADER)
		return 1;
	f->have = 0;
	h.word[0] = frame_word(f->head);
	h.word[1] = frame_word(f->head + 8);
	total = frame_total(row, SIDE_REQUEST, &h, HTTP2_HEADER, TRUST_FULL, &type);
	class = total == FRAME_ODD ? COPY_ODD : frame_class(row, SIDE_REQUEST, &h, type, 0);
	if (!class) {
		f->follows = 0;
		return 1;
	}
	copy = frame_copy(class, total, 0);
	f->left = total - HTTP2_HEADER;
	f->wanted = copy > HTTP2_HEADER ? copy - HTTP2_HEADER : 0;
	if (total <= PLAIN_SMALL)
		f->wanted = f->left;
	return 0;
}

/* Returns 1 at the end of the part. */
static long plain_step(__u32 i, void *ctx)
{
	struct plain_follow *f = ((struct plain_ctx *)ctx)->f;
	struct plain_part *part = ((struct plain_ctx *)ctx)->part;
	__u32 rest = part->left - part->len, n;

	(void)i;
	if (!rest)
		return 1;
	if (!f->left)
		return plain_header(f, part);
	if (!part->len && f->left <= PLAIN_SMALL)
		f->wanted = f->left;
	n = f->wanted ? f->wanted : f->left;
	if (n > rest)
		n = rest;
	if (f->wanted) {
		if (part->len != part->copied)
			return 1;
		if (n > part->room - part->copied)
			n = part->room - part->copied;
		if (!n)
			return 1;
		part->copied += n;
		f->wanted -= n;
	}
	part->len += n;
	f->left -= n;
	return 0;
}

/* What the next record tells: part->len and part->copied. */
static __always_inline void plain_walk(struct plain_follow *f, struct plain_part *part)
{
	struct plain_ctx ctx = {.f = f, .part = part};

	part->len = part->copied = 0;
	bpf_loop(PLAIN_FRAMES, plain_step, &ctx, 0);
}

#endif /* APPMON_PLAIN_H */
