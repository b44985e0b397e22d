/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Follows the frames of a connection's direction by its row, and picks the bytes of each that are
 * worth a copy. It knows no socket and no ring: segments go in, pieces come out. The reader cuts
 * the same frames out of the pieces (libappmon/protocol/frames.c), by the same row.
 *
 * A segment is walked in one call of bpf_loop(). Headers are found in a window, which one load fills
 * for many small frames. A header that a segment cuts waits in struct follow; what there is of it is
 * copied, whatever its type will be. Where it is not known where frames begin, all is copied (WIDE).
 *
 * Every row of a result is walked. Its end could be found in the last bytes before the other side
 * speaks, but a client may ask again while rows come: then only their lengths lead to the end.
 */
#ifndef APPMON_WALK_H
#define APPMON_WALK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "protocol/rows.h"
#include "records.h"

/* Set before the programs are loaded: a protocol with frames is asked for. If not the verifier does
 * not see what is here. */
const volatile __u32 frames = 1;

/*
 * WIDE: all is copied, copy_left bytes at most, until it is known where a frame begins. FRAME: one
 * begins at due.
 */
enum { FOLLOW_WIDE, FOLLOW_FRAME };

enum {
	FOLLOW_HELLO = 1,    /* the direction's first frame is still to come */
	FOLLOW_FIRST = 2,    /* the next frame is the first of a turn */
	FOLLOW_UNWALKED = 4, /* before it frames have passed that are not counted */
	FOLLOW_LATE = 8,     /* WIDE: a frame begins at due, in bytes that come late */
	FOLLOW_UNTOLD = 16   /* the reader does not know that yet */
};

struct follow {
	__u32 due;	 /* FRAME: sequence number where one begins, cut (have) or not */
	__u32 copy_left; /* bytes that are still to be copied of the frame that passes */
	__u32 skipped;	 /* frames that were not copied, since the last piece; see row.most */
	__u8 phase;	 /* FOLLOW_* */
	__u8 flags;	 /* FOLLOW_* */
	__u8 have;	 /* bytes of a header that a segment cut */
	__u8 odd;	 /* how often what was due turned out to be no frame */
	__u8 head[FRAME_HEAD_MAX];
	__u32 pad[2];
};

/* So much is copied while it is not known where frames begin. */
#define FOLLOW_WIDE_MAX 65536
/* The same behind a hole, and behind a turn to HTTP/2: the reader knows where, and has to say it
 * before that has passed. */
#define FOLLOW_LATE_MAX (1 << 24)
/* Then, where sides do not take turns, of what comes behind the other side's bytes. */
#define FOLLOW_TURN_MAX 1024

/* Frames in one segment: of the largest, some 4 bytes each. */
#define WALK_MAX 32768
/* Frames that are looked at in one step, unless one is to be copied. */
#define WALK_STEP 4
/* More that are only counted, behind one of these. */
#define WALK_ROWS 128

/* Bytes of a window: of a segment's first; of others; of those behind frames that have more than
 * WINDOW_DENSE on average, where most of what is loaded would be of no use. */
#define WINDOW_FIRST 512
#define WINDOW_BYTES 4096
#define WINDOW_SMALL 32
#define WINDOW_DENSE 2048

/* A piece begins below OUT_BYTES, and has so many bytes at most. (What is by CPU has 32 KiB.) */
#define OUT_BYTES 8192

/* Work on one segment, in memory of its own: see struct walks. Offsets count from its first byte. */
struct walk {
	__u32 busy;
	__u32 payload; /* where in the packet the first byte is */
	__u32 seq;     /* its sequence number */
	__u32 at, end; /* what is still to be looked at */
	__u32 capture; /* the target's */
	__u32 row;
	__u32 side;
	__u32 window_at, window_len;
	__u32 count;  /* pieces */
	__u32 len;    /* bytes that they take */
	__u32 told;   /* where the bytes begin that no record has told of */
	__u32 off;    /* of the frame at hand in the window */
	__u32 n;      /* bytes of it to copy, or of a header that is cut */
	__u32 frames; /* that began in the window */
	__u8 window[WINDOW_BYTES + FRAME_HEAD_MAX];
	__u8 front[REC_FRONT_MAX] __attribute__((aligned(8))); /* of the record */
	__u8 out[2 * OUT_BYTES + 64]; /* struct rec_piece with its bytes, one behind the other */
	__u8 behind[REC_EXTRAS_ROOM]; /* see emit_front() */
};

struct walk_ctx {
	struct __sk_buff *skb;
	struct walk *w;
	struct follow *f;
};

static __always_inline __u64 frame_word(const __u8 *p)
{
	__u64 word = *(const __u64 *)p;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

static __always_inline const struct row *row_at(__u32 row)
{
	barrier_var(row);
	return &rows[row < ROWS ? row : ROW_NONE];
}

/* So many bytes at w->at, OUT_BYTES at most and within the segment. first: the first 16 bytes
 * or more, already loaded; NULL: they are not. Returns false if they cannot be read. */
static __always_inline bool put_piece(struct __sk_buff *skb, struct walk *w, struct follow *f,
				      __u32 n, __u32 flags, const __u8 *first)
{
	__u32 pos = w->len, rest = n, at = w->payload + w->at;
	struct rec_piece *piece;
	__u8 *to;

	barrier_var(pos);
	pos &= OUT_BYTES - 1;
	piece = (struct rec_piece *)(w->out + pos);
	piece->at = w->at - w->told;
	piece->skipped = 0;
	piece->n = n;
	if (flags & PIECE_FRAME) {
		if (f->flags & FOLLOW_UNWALKED)
			flags |= PIECE_UNWALKED;
		f->flags &= ~FOLLOW_UNWALKED;
		piece->skipped = f->skipped;
		f->skipped = 0;
	}
	piece->flags = flags;
	to = w->out + pos + sizeof(*piece);
	if (first) {
		((__u64 *)to)[0] = ((const __u64 *)first)[0];
		((__u64 *)to)[1] = ((const __u64 *)first)[1];
		if (n <= FRAME_HEAD_MAX)
			goto out;
		to += FRAME_HEAD_MAX;
		at += FRAME_HEAD_MAX;
		rest -= FRAME_HEAD_MAX;
	}
	barrier_var(rest);
	rest = ((rest - 1) & (OUT_BYTES - 1)) + 1;
	if (bpf_skb_load_bytes(skb, at, to, rest))
		return false;
out:
	w->len += sizeof(*piece) + ((n + 7) & ~7U);
	w->count++;
	return true;
}

/* Where a frame begins that comes late. */
static __always_inline void put_due(struct walk *w, struct follow *f)
{
	struct rec_piece *piece = (struct rec_piece *)w->out;

	piece->at = f->due - (w->seq + w->told);
	piece->skipped = f->skipped;
	piece->n = 0;
	piece->flags = PIECE_DUE;
	f->skipped = 0;
	f->flags &= ~FOLLOW_UNTOLD;
	w->len = sizeof(*piece);
	w->count = 1;
}

static __always_inline void follow_lost(struct follow *f)
{
	f->phase = FOLLOW_WIDE;
	f->copy_left = FOLLOW_WIDE_MAX;
	f->have = 0;
	f->skipped = 0;
	f->flags = FOLLOW_UNWALKED;
}

/* The next frame begins in bytes that come late. The reader, who has not seen those that were not
 * copied, does not know where. */
static __always_inline void follow_late(struct follow *f)
{
	__u32 skipped = f->skipped;
	bool known = !f->have && !(f->flags & FOLLOW_UNWALKED);

	follow_lost(f);
	f->copy_left = FOLLOW_LATE_MAX;
	if (known) {
		f->skipped = skipped;
		f->flags |= FOLLOW_LATE | FOLLOW_UNTOLD;
	}
}

/* What was due there was no frame. */
static __always_inline void follow_odd(struct follow *f)
{
	follow_lost(f);
	if (f->odd < 255)
		f->odd++;
}

/* It is known again where a frame begins: at due, not below `from`. The reader may be inside the one
 * before. */
static __always_inline void follow_found(struct follow *f, __u32 due, __u32 from)
{
	f->phase = FOLLOW_FRAME;
	f->due = due;
	f->copy_left = due - from < FRAME_COPY_MAX ? due - from : FRAME_COPY_MAX;
	f->have = 0;
	f->skipped = 0;
	f->flags &= ~(FOLLOW_LATE | FOLLOW_UNTOLD);
}

/* How much of a frame is copied. */
static __always_inline __u32 take_frame(const struct row *row, const struct walk *w,
					struct follow *f, const struct frame_head *h, __u32 total,
					__u32 type, __u32 *class)
{
	*class = frame_class(row, w->side, h, type, f->flags & (FOLLOW_HELLO | FOLLOW_FIRST));
	f->flags &= ~(FOLLOW_HELLO | FOLLOW_FIRST);
	return frame_copy(*class, total, w->capture);
}

/* Moves w->at to the next frame, or to the end of the segment. */
static __always_inline void walk_to(struct walk *w, const struct follow *f)
{
	__u32 left = w->end - w->at, ahead = f->due - (w->seq + w->at);

	w->at += ahead < left ? ahead : left;
}

/* In the window from off on: takes frames that are only counted, as read_frames() would, in few
 * instructions. row is a constant. */
static __always_inline void pass_counted(const struct row *row, struct walk *w, struct follow *f,
					 __u32 off)
{
	const __u32 len_off = row->len_off, width = row->len_width;
	/* Not those that end in front of their type, or go on in the next. */
	const __u32 least = row->least > row->type_off ? row->least : row->type_off + 1U;
	const __u8 *class = row->type[w->side & 1];
	__u32 begin = off, n = 0, total;

	for (; n < WALK_ROWS && off + 8 <= w->window_len; n++) {
		__u64 word = frame_word(w->window + (off & (WINDOW_BYTES - 1)));

		total = (__u32)((word << (8 * len_off)) >> (64 - 8 * width));
		if (row->little)
			total = __builtin_bswap32(total) >> (32 - 8 * width);
		total += (__u32)row->adjust;
		if (total - least >= row->most - least ||
		    class[(__u8)(word >> (56 - 8 * row->type_off))] != COPY_NONE)
			break;
		/* It may be the first of an answer: see frame_class(). */
		if (row->begin_off && (__u8)(word >> (56 - 8 * row->begin_off)) == 1)
			break;
		off += total;
	}
	f->due += off - begin;
	f->skipped += n;
	w->frames += n;
}

/* Behind a frame that is only counted: a result can have 100,000 rows of 16 bytes. Not static:
 * verified once. */
__noinline int pass_rows(struct walk *w, struct follow *f, __u32 off)
{
	if (!frames || !w || !f)
		return 0;
	if (w->row == ROW_POSTGRESQL)
		pass_counted(&rows[ROW_POSTGRESQL], w, f, off);
	else if (w->row == ROW_MYSQL)
		pass_counted(&rows[ROW_MYSQL], w, f, off);
	return 0;
}

/* What is to be done. */
enum { STEP_ON, STEP_LOAD, STEP_CUT, STEP_COPY, STEP_LOST, STEP_END };

/* Some frames in the window, until one is to be copied. Not static: verified once. */
__noinline int read_frames(struct walk *w, struct follow *f)
{
	const struct row *row;
	struct frame_head h;
	__u32 off, total, type, class, have;

	if (!frames || !w || !f)
		return STEP_END;
	row = row_at(w->row);
	for (int k = 0; k < WALK_STEP; k++) {
		barrier_var(row); /* what it says would be kept on the stack */
		if (w->at == w->end)
			return STEP_END;
		off = w->at - w->window_at;
		have = w->window_len - off;
		if (off + FRAME_HEAD_MAX > w->window_len && w->window_at + w->window_len != w->end)
			return STEP_LOAD;
		if (have > FRAME_HEAD_MAX)
			have = FRAME_HEAD_MAX;
		barrier_var(off);
		off &= WINDOW_BYTES - 1;
		h.word[0] = frame_word(w->window + off);
		h.word[1] = frame_word(w->window + off + 8);
		w->off = off;
		total = frame_total(row, w->side, &h, have, TRUST_FULL, &type);
		if (total == FRAME_MORE) {
			w->n = have;
			return STEP_CUT;
		}
		if (total == FRAME_ODD)
			return STEP_LOST;
		w->n = take_frame(row, w, f, &h, total, type, &class);
		if (!class)
			return STEP_LOST;
		f->due += total;
		w->frames++;
		if (w->n)
			return STEP_COPY;
		f->skipped += total < row->most;
		if (row->turns)
			pass_rows(w, f, off + total);
		walk_to(w, f);
	}
	return STEP_ON;
}

/* Returns 1 when the segment is through, or the record full. */
static long walk_step(__u32 i, void *ctx)
{
	struct walk_ctx *x = ctx;
	struct walk *w = x->w;
	struct follow *f = x->f;
	__u32 n, left, off;
	int step;

	(void)i;
	if (w->len >= OUT_BYTES)
		return 1;
	step = read_frames(w, f);
	left = w->end - w->at;
	switch (step) {
	case STEP_ON:
		return 0;
	case STEP_LOAD:
		n = WINDOW_BYTES;
		if (!w->window_len)
			n = WINDOW_FIRST;
		else if (w->at - w->window_at > w->frames * WINDOW_DENSE)
			n = WINDOW_SMALL;
		if (n > left)
			n = left;
		w->window_at = w->at;
		w->window_len = n;
		w->frames = 0;
		barrier_var(n);
		n = ((n - 1) & (WINDOW_BYTES - 1)) + 1;
		if (!bpf_skb_load_bytes(x->skb, w->payload + w->at, w->window, n))
			return 0;
		break;
	case STEP_CUT:
	case STEP_COPY:
		off = w->off & (WINDOW_BYTES - 1);
		n = w->n;
		if (step == STEP_CUT) {
			*(__u64 *)f->head = *(__u64 *)(w->window + off);
			*(__u64 *)(f->head + 8) = *(__u64 *)(w->window + off + 8);
			f->have = n;
		} else {
			f->copy_left = n;
			if (n > left)
				n = left;
			if (n > OUT_BYTES)
				n = OUT_BYTES;
			f->copy_left -= n;
		}
		if (!put_piece(x->skb, w, f, n, PIECE_FRAME, w->window + off))
			break;
		w->at += n;
		if (f->have || f->copy_left)
			return 1;
		walk_to(w, f);
		return 0;
	case STEP_END:
		return 1;
	case STEP_LOST:
		follow_odd(f);
		return 1;
	}
	follow_lost(f);
	return 1;
}

/* Of a frame whose begin has passed. */
static __always_inline void walk_rest(struct __sk_buff *skb, struct walk *w, struct follow *f)
{
	__u32 n = w->end - w->at;

	if (n > f->copy_left)
		n = f->copy_left;
	if (n > OUT_BYTES)
		n = OUT_BYTES;
	if (!n)
		return;
	if (!put_piece(skb, w, f, n, 0, 0)) {
		follow_lost(f);
		return;
	}
	f->copy_left -= n;
	w->at += n;
}

/* The header that the segment before has cut goes on. */
static __always_inline void walk_head(struct __sk_buff *skb, struct walk *w, struct follow *f)
{
	const struct row *row = row_at(w->row);
	__u32 had = f->have & (FRAME_HEAD_MAX - 1), left = w->end - w->at, have, n, total, type,
	      class;
	struct frame_head h;

	n = FRAME_HEAD_MAX - had;
	if (n > left)
		n = left;
	barrier_var(n);
	n = ((n - 1) & (FRAME_HEAD_MAX - 1)) + 1;
	((__u64 *)w->window)[0] = ((__u64 *)f->head)[0];
	((__u64 *)w->window)[1] = ((__u64 *)f->head)[1];
	if (bpf_skb_load_bytes(skb, w->payload + w->at, w->window + had, n)) {
		follow_lost(f);
		return;
	}
	have = had + n;
	((__u64 *)f->head)[0] = ((__u64 *)w->window)[0];
	((__u64 *)f->head)[1] = ((__u64 *)w->window)[1];
	h.word[0] = frame_word(f->head);
	h.word[1] = frame_word(f->head + 8);
	total = frame_total(row, w->side, &h, have, TRUST_FULL, &type);
	if (total == FRAME_MORE) {
		f->have = have;
		if (!put_piece(skb, w, f, n, 0, 0))
			follow_lost(f);
		w->at = w->end;
		return;
	}
	f->have = 0;
	if (total == FRAME_ODD) {
		follow_odd(f);
		return;
	}
	n = take_frame(row, w, f, &h, total, type, &class);
	if (!class) {
		follow_odd(f);
		return;
	}
	f->due += total;
	/* The reader sees the header in any case: it counts the frame. */
	have = row->type_off + 1U > row->header ? row->type_off + 1U : row->header;
	if (have > total)
		have = total;
	if (n < have)
		n = have;
	if (n <= had)
		return;
	f->copy_left = n - had;
	walk_rest(skb, w, f);
}

/*
 * Takes a segment, or as much of it as one record has room for; 1: there is more. The pieces are in
 * w->out, for the bytes from w->told to w->at.
 */
static __always_inline int walk_frames(struct __sk_buff *skb, struct follow *f, struct walk *w)
{
	struct walk_ctx x = {.skb = skb, .w = w, .f = f};

	w->count = w->len = 0;
	if (w->end == w->at)
		return 0;
	if (f->phase == FOLLOW_FRAME) {
		if (f->copy_left) {
			walk_rest(skb, w, f);
		} else if (f->have) {
			walk_head(skb, w, f);
		}
	}
	/* Longer than a record. */
	if (f->phase == FOLLOW_FRAME && f->copy_left && w->end != w->at)
		return 1;
	if (f->phase == FOLLOW_FRAME && !f->have) {
		walk_to(w, f);
		w->window_at = w->at;
		w->window_len = 0;
		if (w->end != w->at)
			bpf_loop(WALK_MAX, walk_step, &x, 0);
		if (f->phase == FOLLOW_FRAME && f->copy_left)
			return w->end != w->at;
		/* What is behind is lost: such small frames are no traffic. */
		if (f->phase == FOLLOW_FRAME && w->end != w->at && w->len < OUT_BYTES)
			follow_lost(f);
		if (w->end != w->at)
			return 1;
	}
	if (f->phase == FOLLOW_WIDE && f->copy_left) {
		if (f->flags & FOLLOW_UNTOLD)
			put_due(w, f);
		walk_rest(skb, w, f);
		if (w->end != w->at && f->copy_left)
			return 1;
	}
	w->at = w->end;
	return 0;
}

/* Frames that are believed where it is not sure that one begins: see CHAIN_MIN of the reader. */
#define PROBE_MAX 3
#define PROBE_EXACT 16

/*
 * Do frames of this row begin at an offset of the packet, `left` bytes before its end? Returns how
 * many whole ones, PROBE_MAX at most, with PROBE_EXACT if they end where the packet ends; -1: they
 * do not. Not static: verified once.
 */
__noinline int probe_frames(struct __sk_buff *skb, __u32 at, __u32 left, __u32 row_id, __u32 side)
{
	const struct row *row = row_at(row_id);
	int count = 0;

	if (!frames)
		return -1;
	side &= 1;
	for (int k = 0; k < PROBE_MAX; k++) {
		__u8 head[FRAME_HEAD_MAX] __attribute__((aligned(8))) = {};
		__u32 n = left < FRAME_HEAD_MAX ? left : FRAME_HEAD_MAX, total, type;
		struct frame_head h;

		barrier_var(row);
		if (!left)
			return count | PROBE_EXACT;
		barrier_var(n);
		n = ((n - 1) & (FRAME_HEAD_MAX - 1)) + 1;
		if (bpf_skb_load_bytes(skb, at, head, n))
			return -1;
		h.word[0] = frame_word(head);
		h.word[1] = frame_word(head + 8);
		total = frame_total(row, side, &h, n, TRUST_NONE, &type);
		if (total == FRAME_MORE)
			return count;
		if (total == FRAME_ODD || !frame_class(row, side, &h, type, 0))
			return -1;
		if (!k && row->turns && !frame_begins_turn(row, side, &h))
			return -1;
		if (total > left)
			return count;
		count++;
		at += total;
		left -= total;
	}
	return left ? count : count | PROBE_EXACT;
}

#endif /* APPMON_WALK_H */
