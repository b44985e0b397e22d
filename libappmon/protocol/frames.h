/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For protocols whose messages are frames with a length in front. A module embeds a struct frames
 * and gets one frame after the other; it sees neither segments nor where the programs stopped
 * copying. How frames are cut says the row (bpf/protocol/rows.h), in the kernel and here.
 *
 *	struct my_state {
 *		struct frames frames;	// first: conn.state points to it
 *		...
 *	};
 *	static const struct frame_ops ops = {.row = ROW_X, .frame = my_frame, .passed = my_passed};
 *
 *	const struct protocol protocol_x = {
 *		.conn_size = sizeof(struct my_state),
 *		.init = my_init,	  // calls frames_init()
 *		.release = my_release,	  // calls frames_release()
 *		.detect = my_detect,	  // may call frames_chain()
 *		.data = frames_data,
 *		.progress = my_progress,  // calls frames_progress(), or that itself
 *		.framed = frames_framed,
 *		.end = my_end,		  // calls frames_end() first
 *		...
 *	};
 *
 * What a module can rely on:
 * - Frames of a direction come in the order of the stream, each once, when its last byte has
 *   passed. A frame of 16 MiB is one call, with as much of it as the row says (COPY_*), not more.
 * - Frames of which the row copies nothing (COPY_NONE) are no calls: frame.skipped counts them, and
 *   passed() tells the bytes. It is the same whether the programs or the library have cut them.
 * - After a loss, or on a connection met in the middle, passed() tells the bytes as lost, until a
 *   chain of frames is found that cannot well be anything else. The first frame behind has
 *   FRAME_AFTER_UNKNOWN. Until c->request_dir is known, only a row whose sides are alike is looked
 *   for: see role() of struct protocol.
 * - HTTP/2's preface is no frame: it is passed over.
 * - MySQL: a payload of 0xffffff bytes goes on in the next frame, whose sequence number is one
 *   more. frame.type is the first byte of the payload, which `bytes` has, too; the sequence number
 *   is head[3].
 * - PostgreSQL: the first message of a client has type 0, a header of 4 bytes and its code in the
 *   payload. The server's answer to SSLRequest and GSSENCRequest, one byte, is a frame with
 *   FRAME_SINGLE, header and total 1, and that byte as type; it is told when the client speaks.
 */
#ifndef APPMON_FRAMES_H
#define APPMON_FRAMES_H

#include "exchange/exchange.h"
#include "protocol/rows.h"

enum {
	FRAME_TURN = 1 << 0,	      /* the first since the other side had spoken */
	FRAME_CUT = 1 << 1,	      /* it did not come to its end, or bytes of it were lost */
	FRAME_SINGLE = 1 << 2,	      /* one byte alone: see row.single */
	FRAME_AFTER_UNKNOWN = 1 << 3, /* frames may stand before it that are not told or counted */
	FRAME_GUESSED = 1 << 4,	      /* that it begins here: it looks so */
};

/* What it points to is valid during the call. */
struct frame {
	uint64_t pos;	    /* of its first byte */
	uint64_t other_pos; /* how far the other direction was then; 0: it had not begun */
	uint64_t received;  /* how far its sender had received it; 0: not known */
	uint64_t begin_ns;  /* when its first byte passed, CLOCK_MONOTONIC */
	uint64_t end_ns;    /* and its last one */
	uint64_t skipped;   /* frames of COPY_NONE between the one before and this one */
	uint32_t total;	    /* bytes on the wire, header and payload */
	uint32_t header;    /* of these */
	uint32_t captured;  /* the first bytes of the payload; the others passed unseen */
	uint32_t type;	    /* as the row has it */
	uint32_t flags;	    /* FRAME_* */
	uint32_t pad;
	const uint8_t *head;  /* `header` bytes */
	const uint8_t *bytes; /* `captured` bytes */
};

static inline struct start frame_start(const struct frame *frame)
{
	return (struct start){frame->pos, frame->other_pos, frame->received, frame->begin_ns};
}

/* Bytes of a direction that belong to no frame that is told: frames of COPY_NONE, or what was lost. */
struct passed {
	uint64_t pos, len;
	uint64_t ts_ns;	     /* when the last of them passed */
	const uint8_t *tail; /* the last tail_len bytes, CHUNK_TAIL at most */
	uint32_t tail_len;
	bool lost; /* where frames begin and end is not known any more */
};

struct frame_ops {
	uint32_t row; /* ROW_* */
	void (*frame)(struct pipeline *pl, struct conn *c, int dir, const struct frame *frame);
	/* Optional. */
	void (*passed)(struct pipeline *pl, struct conn *c, int dir, const struct passed *passed);
};

/* One direction. Only frames.c looks inside. */
struct frame_cutter {
	struct frame frame;    /* the one that is coming: PHASE_BODY; else flags and skipped of the
			       next one */
	uint64_t due;	       /* where that begins, or the next one */
	uint64_t pos;	       /* all below has been looked at */
	uint64_t late;	       /* a frame begins there, the programs say, in bytes that come late */
	uint32_t late_skipped; /* frames of COPY_NONE in front of that */
	uint8_t *payload;      /* gathered: a frame that came in pieces; from the pool */
	uint32_t room;	       /* bytes of the payload that are wanted */
	uint32_t have;	       /* of head */
	uint32_t preface;      /* bytes still to come in front of the first frame */
	uint8_t phase;	       /* PHASE_* */
	uint8_t hello;	       /* the first frame of the direction is still to come */
	uint8_t turned;	       /* the next frame is the first of a turn */
	uint8_t single;	       /* a byte may come alone */
	uint8_t is_late;       /* `late` is still to come */
	uint8_t raw;	       /* a header was found where the programs have not seen one */
	uint8_t head[FRAME_HEAD_MAX];
};

struct frames {
	const struct frame_ops *ops;
	struct frame_cutter cutter[2]; /* by DIR_* */
	struct verdict verdict;	       /* the last that the programs were told */
	uint64_t told[2];	       /* the positions of verdict.due */
	bool ignored;
};

/* pos: as protocol.init() gets it. c->fresh: frames begin there, a preface in front if there is
 * one; else they are looked for. */
void frames_init(struct frames *f, const struct frame_ops *ops, const struct conn *c,
		 const uint64_t pos[2]);
/* Frees what is gathered; tells nothing. */
void frames_release(struct pipeline *pl, struct frames *f);

/* protocol.data, progress and framed; conn.state begins with the struct frames. */
void frames_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk);
void frames_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns);
void frames_framed(struct conn *c, int dir, uint64_t pos, uint32_t skipped);
/* Tells the frames that will not come to their end (FRAME_CUT). */
void frames_end(struct pipeline *pl, struct conn *c);

/* For a module that knows better, also from inside its callbacks: a frame begins at pos, which has
 * not been looked at yet (preface: the row's preface does, e.g. behind an upgrade). */
void frames_begin(struct frames *f, const struct conn *c, int dir, uint64_t pos, bool preface);
/* What looked like frames is none: they are looked for anew in this direction. */
void frames_lose(struct frames *f, int dir);
/* The rest of the connection holds no frames (encrypted from here, replication, a tunnel): passed()
 * and frame() are not called any more. */
void frames_ignore(struct frames *f);

/*
 * Whole frames that stand at the begin of these bytes, the last one cut or not; -1: no frame can
 * begin so. *exact: the last one ends with the last byte. For detect(): a first frame that is
 * longer than what is here gives 0, which proves little.
 */
int frames_chain(uint32_t row, uint32_t side, const void *bytes, uint32_t n, bool *exact);

#endif /* APPMON_FRAMES_H */
