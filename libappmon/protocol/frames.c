/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From chunks to frames. Where the programs follow frames, each chunk says whether one begins with
 * it (CHUNK_FRAME), and how many passed before it uncopied. What was copied whole, because the
 * programs did not know, is cut here by the same row. After a loss a chain of frames is looked for.
 */
#include <string.h>

#include "protocol/frames.h"
#include "protocol/protocol.h"

/* PASSING: a frame began at due, and was not copied; so did others, perhaps. */
enum { PHASE_SYNC, PHASE_HEAD, PHASE_BODY, PHASE_PASSING };

/* Frames in a row that cannot well be anything else; one less will do if the last one ends where
 * the bytes end. */
#define CHAIN_MIN 3

#define NO_SIDE 2

static const struct row *row_of(const struct frames *f)
{
	return &rows[f->ops->row];
}

static uint32_t side_of(const struct frames *f, const struct conn *c, int dir)
{
	if (c->request_dir)
		return c->request_dir == 1 + dir ? SIDE_REQUEST : SIDE_RESPONSE;
	return row_of(f)->alike ? SIDE_REQUEST : NO_SIDE;
}

static enum trust trust_of(const struct frame_cutter *d)
{
	return d->frame.flags & FRAME_GUESSED ? TRUST_CHAIN : TRUST_FULL;
}

static uint64_t word_at(const uint8_t *p)
{
	uint64_t word = 0;

	for (int i = 0; i < 8; i++)
		word = word << 8 | p[i];
	return word;
}

static struct frame_head head_at(const uint8_t *p, uint32_t n)
{
	uint8_t head[FRAME_HEAD_MAX] = {0};

	memcpy(head, p, n < sizeof(head) ? n : sizeof(head));
	return (struct frame_head){{word_at(head), word_at(head + 8)}};
}

int frames_chain(uint32_t row, uint32_t side, const void *bytes, uint32_t n, bool *exact)
{
	const uint8_t *p = bytes;
	uint32_t at = 0, type, total;
	int count = 0;

	*exact = false;
	for (; at < n; count++) {
		struct frame_head head = head_at(p + at, n - at);

		total = frame_total(&rows[row], side, &head, n - at,
				    count ? TRUST_CHAIN : TRUST_NONE, &type);
		if (total == FRAME_MORE)
			return count;
		if (total == FRAME_ODD || !frame_class(&rows[row], side, &head, type, 0))
			return -1;
		if (total > n - at)
			return count;
		at += total;
	}
	*exact = n > 0;
	return count;
}

/* The next frame stands at pos, after others or not. */
static void expect(struct frame_cutter *d, uint64_t pos)
{
	d->phase = PHASE_HEAD;
	d->due = d->pos = pos;
	d->have = 0;
}

static void lose(struct frame_cutter *d)
{
	d->phase = PHASE_SYNC;
	d->have = d->preface = d->hello = d->single = 0;
	d->frame.flags |= FRAME_AFTER_UNKNOWN;
	d->frame.skipped = 0;
}

void frames_lose(struct frames *f, int dir)
{
	/* A frame that is being told: the bytes behind it are looked at next. */
	if (f->cutter[dir].phase != PHASE_BODY)
		lose(&f->cutter[dir]);
}

void frames_ignore(struct frames *f)
{
	f->ignored = true;
}

void frames_begin(struct frames *f, const struct conn *c, int dir, uint64_t pos, bool preface)
{
	struct frame_cutter *d = &f->cutter[dir];

	expect(d, pos);
	d->hello = 1;
	d->turned = 1;
	d->single = row_of(f)->single;
	d->preface = preface && side_of(f, c, dir) == SIDE_REQUEST ? row_of(f)->preface : 0;
}

void frames_init(struct frames *f, const struct frame_ops *ops, const struct conn *c,
		 const uint64_t pos[2])
{
	f->ops = ops;
	for (int dir = 0; dir < 2; dir++) {
		if (c->fresh)
			frames_begin(f, c, dir, pos[dir], true);
		else
			lose(&f->cutter[dir]);
		f->cutter[dir].pos = pos[dir];
	}
}

static void forget_payload(struct pipeline *pl, struct frame_cutter *d)
{
	pool_free(&pl->pool, d->payload);
	d->payload = NULL;
}

void frames_release(struct pipeline *pl, struct frames *f)
{
	forget_payload(pl, &f->cutter[DIR_IN]);
	forget_payload(pl, &f->cutter[DIR_OUT]);
}

static void tell_passed(struct pipeline *pl, struct conn *c, int dir, uint64_t pos, uint64_t len,
			const struct chunk *chunk, bool lost)
{
	struct frames *f = c->state;
	struct passed passed = {.pos = pos, .len = len, .ts_ns = chunk->ts_ns, .lost = lost};
	uint64_t end = chunk->pos + chunk->len;

	if (!len || f->ignored || !f->ops->passed)
		return;
	if (pos + len == end) {
		passed.tail_len = chunk->tail_len < len ? chunk->tail_len : (uint32_t)len;
		passed.tail = (const uint8_t *)chunk->tail + (chunk->tail_len - passed.tail_len);
	} else {
		passed.tail = (const uint8_t *)"";
	}
	f->ops->passed(pl, c, dir, &passed);
}

/* The frame is over, or as much of it as will come. */
static void frame_ends(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns, bool cut)
{
	struct frames *f = c->state;
	struct frame_cutter *d = &f->cutter[dir];
	struct frame frame = d->frame;
	uint8_t *payload = d->payload;
	uint8_t head[FRAME_HEAD_MAX];

	frame.end_ns = ts_ns;
	if (cut)
		frame.flags |= FRAME_CUT;
	/* The callback may begin anew. */
	memcpy(head, d->head, sizeof(head));
	frame.head = head;
	if (payload)
		frame.bytes = payload;
	d->payload = NULL;
	d->frame = (struct frame){.flags = cut ? FRAME_AFTER_UNKNOWN : 0};
	expect(d, frame.pos + frame.total);
	if (!f->ignored)
		f->ops->frame(pl, c, dir, &frame);
	pool_free(&pl->pool, payload);
}

/* The same, or it was one that is only counted. */
static void frame_is_over(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns, bool cut)
{
	struct frames *f = c->state;
	struct frame_cutter *d = &f->cutter[dir];
	struct passed passed = {.pos = d->frame.pos,
				.len = d->frame.total,
				.ts_ns = ts_ns,
				.tail = (const uint8_t *)""};

	if (d->frame.header) {
		frame_ends(pl, c, dir, ts_ns, cut);
		return;
	}
	d->frame.skipped += d->frame.total < row_of(f)->most;
	expect(d, d->frame.pos + d->frame.total);
	if (!f->ignored && f->ops->passed)
		f->ops->passed(pl, c, dir, &passed);
}

/* A header is here. Returns false if it is none. */
static bool frame_begins(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct frames *f = c->state;
	const struct row *row = row_of(f);
	const struct target *target = target_of(pl, &c->id);
	struct frame_cutter *d = &f->cutter[dir];
	struct frame_head head = head_at(d->head, d->have);
	uint32_t side = side_of(f, c, dir), type, total, class, copy;

	total = frame_total(row, side, &head, d->have, trust_of(d), &type);
	if (total == FRAME_ODD)
		return false;
	class = frame_class(row, side, &head, type,
			    (d->hello ? FRAME_HELLO : 0) | (d->turned ? FRAME_FIRST : 0));
	if (!class)
		return false;
	copy = frame_copy(class, total, target ? target->capture : 0);
	d->frame.pos = d->due;
	d->frame.total = total;
	d->frame.type = type;
	/* The alternative has no type in front. */
	d->frame.header = row->alt && !d->head[0] && side == SIDE_REQUEST ? 4 : row->header;
	d->room = copy > d->frame.header ? copy - d->frame.header : 0;
	d->frame.captured = 0;
	d->frame.bytes = (const uint8_t *)"";
	if (d->turned)
		d->frame.flags |= FRAME_TURN;
	d->hello = d->turned = d->single = 0;
	d->phase = PHASE_BODY;
	/* COPY_NONE: it is only counted. */
	if (!copy)
		d->frame.header = 0;
	return true;
}

/* Bytes of the payload: where they are if all that is wanted is there, else they are gathered. */
static void gather(struct pipeline *pl, struct frame_cutter *d, const uint8_t *bytes, uint32_t n)
{
	if (n > d->room - d->frame.captured)
		n = d->room - d->frame.captured;
	if (!n)
		return;
	if (!d->payload) {
		d->payload = pool_alloc_evicting(&pl->pool, d->room);
		if (!d->payload) {
			d->room = d->frame.captured; /* it is as if it had not been copied */
			return;
		}
	}
	memcpy(d->payload + d->frame.captured, bytes, n);
	d->frame.captured += n;
}

/* Inside a frame. Returns the position behind what was taken. */
static uint64_t take_body(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk,
			  uint64_t at)
{
	struct frame_cutter *d = &((struct frames *)c->state)->cutter[dir];
	uint64_t end = chunk->pos + chunk->len, captured_end = chunk->pos + chunk->captured;
	uint64_t frame_end = d->frame.pos + d->frame.total, wanted;
	const uint8_t *bytes = (const uint8_t *)chunk->bytes + (at - chunk->pos);
	uint32_t n;

	wanted = d->frame.pos + d->frame.header + d->frame.captured;
	if (d->room > d->frame.captured) {
		n = at < captured_end ? (uint32_t)(captured_end - at) : 0;
		if (at != wanted || !n)
			d->room = d->frame.captured; /* bytes are missing */
		else if (!d->frame.captured && n >= d->room && end >= frame_end)
			d->frame.bytes = bytes, d->frame.captured = d->room;
		else
			gather(pl, d, bytes, n);
	} else if (at < captured_end && !(chunk->flags & CHUNK_FRAME)) {
		d->raw = 1; /* nobody wants these: the programs do not know where they are */
	}
	if (end < frame_end) {
		d->pos = end;
		return end;
	}
	frame_is_over(pl, c, dir, chunk->ts_ns, false);
	return frame_end;
}

/* At a header, or inside one. Returns the position behind what was taken. */
static uint64_t take_head(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk,
			  uint64_t at)
{
	struct frames *f = c->state;
	struct frame_cutter *d = &f->cutter[dir];
	uint64_t end = chunk->pos + chunk->len, captured_end = chunk->pos + chunk->captured;
	uint32_t side = side_of(f, c, dir), type;
	struct frame_head head;

	if (at >= captured_end || at != d->due + d->have) {
		/* Frames that are not copied, or lost: the next that is copied tells. */
		d->phase = PHASE_PASSING;
		d->have = 0;
		d->pos = at;
		return at;
	}
	if (side == NO_SIDE) {
		lose(d);
		return at;
	}
	if (d->preface) {
		uint32_t n = (uint32_t)(captured_end - at);

		if (n > d->preface)
			n = d->preface;
		if (memcmp(chunk->bytes + (at - chunk->pos),
			   row_of(f)->magic + row_of(f)->preface - d->preface, n) != 0) {
			lose(d);
			return at;
		}
		d->preface -= n;
		expect(d, at + n);
		return at + n;
	}
	if (!d->have) {
		if (at > chunk->pos || !(chunk->flags & CHUNK_FRAME))
			d->raw = 1;
		d->frame.begin_ns = chunk->ts_ns;
		d->frame.other_pos = chunk->other_pos;
		d->frame.received = chunk->received;
	}
	do {
		d->head[d->have++] = (uint8_t)chunk->bytes[at++ - chunk->pos];
		head = head_at(d->head, d->have);
		if (frame_total(row_of(f), side, &head, d->have, trust_of(d), &type) !=
		    FRAME_MORE) {
			uint64_t pos = at;

			if (!frame_begins(pl, c, dir, chunk)) {
				uint64_t due = d->due;

				lose(d);
				/* What of it came before is gone. */
				return due > chunk->pos ? due : chunk->pos;
			}
			/* The type can be the payload's first byte. */
			if (d->frame.header && d->have > d->frame.header)
				pos -= d->have - d->frame.header;
			d->pos = pos;
			if (pos == d->frame.pos + d->frame.total)
				return take_body(pl, c, dir, chunk, pos);
			return pos;
		}
	} while (at < captured_end);
	d->pos = at;
	return at < end ? at : end;
}

/* Looks for a chain of frames in what is captured, from `at` on. Returns where it begins, or the
 * end of the chunk. */
static uint64_t find_chain(struct frames *f, const struct conn *c, int dir,
			   const struct chunk *chunk, uint64_t at)
{
	struct frame_cutter *d = &f->cutter[dir];
	const struct row *row = row_of(f);
	uint64_t end = chunk->pos + chunk->len, captured_end = chunk->pos + chunk->captured;
	uint32_t side = side_of(f, c, dir);
	bool turn = row->turns && (chunk->flags & CHUNK_TURN);

	for (; side != NO_SIDE && at < captured_end; at++) {
		const uint8_t *p = (const uint8_t *)chunk->bytes + (at - chunk->pos);
		uint32_t n = (uint32_t)(captured_end - at);
		struct frame_head head = head_at(p, n);
		bool exact, first = turn && at == chunk->pos && frame_begins_turn(row, side, &head);
		int count = frames_chain(f->ops->row, side, p, n, &exact);

		exact = exact && captured_end == end;
		if (count >= CHAIN_MIN || (exact && (count >= CHAIN_MIN - 1 || first))) {
			expect(d, at);
			d->frame.flags = FRAME_AFTER_UNKNOWN | FRAME_GUESSED;
			d->turned = first;
			return at;
		}
	}
	return end;
}

/* The programs say that a frame begins with this chunk. */
static void frame_is_told(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct frame_cutter *d = &((struct frames *)c->state)->cutter[dir];

	if (d->phase == PHASE_BODY) {
		if (chunk->pos == d->frame.pos)
			return; /* known */
		frame_is_over(pl, c, dir, chunk->ts_ns, d->frame.pos + d->frame.total > chunk->pos);
	} else if (d->phase == PHASE_SYNC) {
		d->frame.flags = FRAME_AFTER_UNKNOWN;
		d->frame.skipped = 0;
	}
	if (chunk->flags & CHUNK_UNWALKED || (d->due < chunk->pos && !chunk->skipped))
		d->frame.flags |= FRAME_AFTER_UNKNOWN;
	d->frame.flags &= ~(uint32_t)FRAME_GUESSED;
	d->frame.skipped += chunk->skipped;
	d->preface = 0;
	expect(d, chunk->pos);
}

/* The other side speaks: what of this one waited for more was all. */
static void other_speaks(struct pipeline *pl, struct conn *c, int dir)
{
	struct frames *f = c->state;
	struct frame_cutter *d = &f->cutter[dir];

	d->turned = 1;
	if (side_of(f, c, dir) != SIDE_RESPONSE || !d->single || d->phase != PHASE_HEAD ||
	    d->have != 1)
		return;
	d->frame.pos = d->due;
	d->frame.total = d->frame.header = 1;
	d->frame.type = d->head[0];
	d->frame.flags |= FRAME_SINGLE | FRAME_TURN;
	d->frame.captured = 0;
	d->frame.bytes = (const uint8_t *)"";
	d->turned = 0;
	frame_ends(pl, c, dir, d->frame.begin_ns, false);
	d->turned = 1;
}

void frames_framed(struct conn *c, int dir, uint64_t pos, uint32_t skipped)
{
	struct frame_cutter *d = &((struct frames *)c->state)->cutter[dir];

	d->late = pos;
	d->late_skipped = skipped;
	d->is_late = 1;
}

/* Moves *at to the frame that comes late, or to the end of what is here. False: there is none ahead. */
static bool pass_late(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk,
		      uint64_t *at)
{
	struct frame_cutter *d = &((struct frames *)c->state)->cutter[dir];
	uint64_t end = chunk->pos + chunk->len, to = d->late;
	bool lost = d->phase == PHASE_SYNC;

	if (!d->is_late || (int64_t)(to - *at) < 0)
		return false;
	if ((int64_t)(to - end) > 0)
		to = end;
	d->pos = to;
	tell_passed(pl, c, dir, *at, to - *at, chunk, lost);
	*at = to;
	if (to == d->late) {
		d->is_late = 0;
		if (d->due < to && !d->late_skipped)
			d->frame.flags |= FRAME_AFTER_UNKNOWN;
		d->frame.flags &= ~(uint32_t)FRAME_GUESSED;
		d->frame.skipped = lost ? 0 : d->frame.skipped + d->late_skipped;
		expect(d, to);
	}
	return true;
}

/* The programs copy all, because they do not know where frames begin: as of now it is known. */
static void tell_programs(struct pipeline *pl, struct conn *c, int dir)
{
	struct frames *f = c->state;
	struct frame_cutter *d = &f->cutter[dir];
	uint64_t due = d->due;

	if (!pl->tell_programs || c->below)
		return;
	if (d->phase == PHASE_BODY)
		due = d->frame.pos + d->frame.total;
	else if (!f->ignored && (d->phase != PHASE_HEAD || d->have))
		return;
	f->verdict.known[dir] = 1;
	f->verdict.due[dir] = stream_seq(&c->stream[dir], due);
	f->told[dir] = due;
	/* What has passed could be taken for what is to come, once the numbers wrap. */
	if (f->told[!dir] < c->stream[!dir].seen)
		f->verdict.known[!dir] = 0;
	f->verdict.ignore = f->ignored;
	pl->tell_programs(pl->programs, c->id.cookie, &f->verdict);
}

void frames_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct frames *f = c->state;
	struct frame_cutter *d = &f->cutter[dir];
	uint64_t at = chunk->pos, end = chunk->pos + chunk->len, next;

	if (f->ignored && !f->verdict.ignore)
		tell_programs(pl, c, dir);
	if (f->ignored || !chunk->len || (int64_t)(end - d->pos) <= 0)
		return;
	d->raw = 0;
	if (chunk->flags & CHUNK_TURN)
		d->turned = 1;
	other_speaks(pl, c, !dir);
	if ((chunk->flags & CHUNK_FRAME) && at >= d->due)
		frame_is_told(pl, c, dir, chunk);
	if (at < d->pos)
		at = d->pos;
	while (at < end && !f->ignored) {
		switch (d->phase) {
		case PHASE_HEAD:
			at = take_head(pl, c, dir, chunk, at);
			break;
		case PHASE_BODY:
			if (at > d->frame.pos + d->frame.total) {
				frame_is_over(pl, c, dir, chunk->ts_ns, false);
				break;
			}
			at = take_body(pl, c, dir, chunk, at);
			break;
		case PHASE_PASSING:
			if (pass_late(pl, c, dir, chunk, &at))
				break;
			if (at >= chunk->pos + chunk->captured) {
				d->pos = end;
				tell_passed(pl, c, dir, at, end - at, chunk, false);
				return;
			}
			lose(d);
			break;
		default:
			if (pass_late(pl, c, dir, chunk, &at))
				break;
			next = find_chain(f, c, dir, chunk, at);
			d->pos = next;
			tell_passed(pl, c, dir, at, next - at, chunk, true);
			at = next;
		}
	}
	if (d->raw)
		tell_programs(pl, c, dir);
}

void frames_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	const struct stream *s = &c->stream[dir];
	struct frame_cutter *d = &((struct frames *)c->state)->cutter[dir];

	if (d->phase == PHASE_BODY && (int64_t)(s->seen - (d->frame.pos + d->frame.total)) >= 0)
		frame_is_over(pl, c, dir, s->seen_ns, false);
}

void frames_end(struct pipeline *pl, struct conn *c)
{
	for (int dir = 0; dir < 2; dir++) {
		struct frame_cutter *d = &((struct frames *)c->state)->cutter[dir];

		other_speaks(pl, c, dir);
		if (d->phase == PHASE_BODY && d->frame.header)
			frame_ends(pl, c, dir, c->stream[dir].seen_ns, true);
	}
}
