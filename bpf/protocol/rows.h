/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Protocols whose messages are frames with a length in front: a row says how to cut them, and how
 * much of each is worth a copy. Compiled into the programs, which copy no more than that, and into
 * the library, which cuts by the same row what was copied whole.
 *
 * What a frame means is the protocol module's business. A row is right if it finds where each frame
 * ends, and if it refuses what cannot be one, so that a wrong start ends at once.
 */
#ifndef APPMON_ROWS_H
#define APPMON_ROWS_H

#include <linux/types.h>
#include <stdbool.h>

/* What the programs and the library call a row; 0: none. */
enum { ROW_NONE, ROW_HTTP2, ROW_MYSQL, ROW_POSTGRESQL, ROW_TLS, ROWS };

/* Who sends: the index of row.type and row.first. */
enum { SIDE_REQUEST, SIDE_RESPONSE };

/* How much of a frame is copied, its header included. 0: there are no frames of this type. */
enum {
	COPY_ODD,
	COPY_NONE, /* not even the header: such frames are counted only */
	COPY_5,
	COPY_16,
	COPY_32,
	COPY_64,
	COPY_96,
	COPY_128,
	COPY_256,
	COPY_512,
	COPY_TEXT,  /* as many bytes as the target asks for (capture) */
	COPY_WHOLE, /* up to FRAME_COPY_MAX */
	COPY_CLASSES = 16,

	COPY_SHORT = 0x10 /* only if the frame has FRAME_SHORT bytes at most, else none */
};

#define FRAME_HEAD_MAX 16    /* bytes of a header at most, the type included */
#define FRAME_COPY_MAX 16393 /* most copied bytes of one frame: 16 KiB and a header */
#define FRAME_SHORT 64
#define PREFACE_MAX 24

struct row {
	__u8 protocol; /* its APPMON_PROTO_* */
	__u8 header;   /* bytes that each frame has at least */
	__u8 len_off, len_width;
	__u8 little;	/* the length is little endian */
	__u8 type_off;	/* of the byte that tells the type; may lie behind the header (MySQL) */
	__u8 begin_off; /* where the sequence byte is, which begins at 0; 0: there is none */
	__u8 alt;	/* a frame whose first byte is 0 has its length there, and the type 0 */
	__u8 single;  /* instead of a frame one byte may come alone, before the other side speaks */
	__u8 turns;   /* the sides take turns: a frame begins at a turn */
	__u8 alike;   /* the sides' frames look the same */
	__u8 preface; /* bytes in front of the client's first frame */
	__u8 server_first;
	__u8 hello;	   /* COPY_* of a direction's first frame, if seen from its first byte */
	__u8 first[2];	   /* by side: COPY_* of the first frame of a turn; 0: as its type says */
	__s32 adjust;	   /* the frame occupies its length and so much more */
	__u32 least, most; /* one of the most bytes goes on in the next, and is not counted */
	__u32 likely;	   /* most, where it is not sure that a frame begins */
	char magic[PREFACE_MAX];
	__u8 type[2][256]; /* by side: COPY_* */
};

/* In place of a frame's length. */
#define FRAME_ODD 0U	       /* it is none */
#define FRAME_MORE 0xffffffffU /* too few bytes to tell */

/* The first 16 bytes of what may be a frame, as two words whose most significant byte is the first.
 * `have` of them are valid. */
struct frame_head {
	__u64 word[2];
};

/* clang-format off */
static const struct row rows[ROWS] = {
	/* RFC 9113 section 4.1. */
	[ROW_HTTP2] = {
		.protocol = 3,
		.header = 9,
		.len_width = 3,
		.type_off = 3,
		.adjust = 9,
		.least = 9,
		.most = 9 + 0xffffff,
		.likely = 9 + 16384,
		.alike = 1,
		.preface = 24,
		.magic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		.type = {
			[SIDE_REQUEST ... SIDE_RESPONSE] = {
				[0x0] = COPY_16, /* DATA: its header, and what gRPC puts first */
				[0x1] = COPY_WHOLE, /* HEADERS */
				[0x2] = COPY_NONE, /* PRIORITY */
				[0x3] = COPY_16, /* RST_STREAM */
				[0x4] = COPY_64, /* SETTINGS */
				[0x5] = COPY_WHOLE, /* PUSH_PROMISE */
				[0x6] = COPY_NONE, /* PING */
				[0x7] = COPY_64, /* GOAWAY */
				[0x8] = COPY_NONE, /* WINDOW_UPDATE */
				[0x9] = COPY_WHOLE, /* CONTINUATION */
				[0xa] = COPY_NONE, /* ALTSVC (RFC 7838) */
				[0xc] = COPY_NONE, /* ORIGIN (RFC 8336) */
				[0x10] = COPY_NONE, /* PRIORITY_UPDATE (RFC 9218) */
				/* Reserved, so that peers learn to pass over unknown types. */
				[0x0b] = COPY_NONE,
				[0x2a] = COPY_NONE,
				[0x49] = COPY_NONE,
				[0x68] = COPY_NONE,
				[0x87] = COPY_NONE,
				[0xa6] = COPY_NONE,
				[0xc5] = COPY_NONE,
				[0xe4] = COPY_NONE,
			},
		},
	},
	/* A packet of 0xffffff bytes goes on in the next one. The type is a command's only in a
	 * packet with sequence number 0. */
	[ROW_MYSQL] = {
		.protocol = 5,
		.header = 4,
		.len_width = 3,
		.little = 1,
		.type_off = 4,
		.begin_off = 3,
		.turns = 1,
		.server_first = 1,
		.hello = COPY_256,
		.first = {0, COPY_128},
		.adjust = 4,
		.least = 4,
		.most = 4 + 0xffffff,
		.likely = 4 + (1 << 20),
		.type = {
			[SIDE_REQUEST] = {
				[0x00 ... 0x01] = COPY_16, /* SLEEP, QUIT */
				[0x02] = COPY_128, /* INIT_DB */
				[0x03] = COPY_TEXT, /* QUERY */
				[0x04 ... 0x10] = COPY_16, /* FIELD_LIST ... */
				[0x11] = COPY_16, /* CHANGE_USER: has a password */
				[0x12 ... 0x15] = COPY_16, /* BINLOG_DUMP ... */
				[0x16] = COPY_TEXT, /* STMT_PREPARE */
				[0x17] = COPY_16, /* STMT_EXECUTE */
				[0x18 ... 0x19] = COPY_16, /* STMT_SEND_LONG_DATA, STMT_CLOSE */
				[0x1a ... 0x1f] = COPY_16, /* STMT_RESET ... */
				[0xfa] = COPY_16, /* MariaDB's STMT_BULK_EXECUTE */
			},
			[SIDE_RESPONSE] = {
				[0x00 ... 0xfd] = COPY_NONE, /* rows, columns */
				[0xfe] = COPY_32 | COPY_SHORT, /* EOF, or the OK that ends rows */
				[0xff] = COPY_64, /* ERR */
			},
		},
	},
	/* The frontend's first message has no type: alt. A single byte answers SSLRequest. */
	[ROW_POSTGRESQL] = {
		.protocol = 4,
		.header = 5,
		.len_off = 1,
		.len_width = 4,
		.alt = 1,
		.single = 1,
		.turns = 1,
		.adjust = 1,
		.least = 5,
		.most = 1U << 30,
		.likely = 1 << 20,
		.type = {
			[SIDE_REQUEST] = {
				[0] = COPY_512, /* startup: user, database; also SSLRequest, ... */
				['Q'] = COPY_TEXT,
				['P'] = COPY_TEXT,
				['B'] = COPY_96,
				['E'] = COPY_96,
				['C'] = COPY_96,
				['D'] = COPY_96,
				['F'] = COPY_16,
				['S'] = COPY_16,
				['H'] = COPY_16,
				['X'] = COPY_16,
				['c'] = COPY_16,
				['f'] = COPY_16,
				['d'] = COPY_NONE,
				['p'] = COPY_5, /* a password */
			},
			[SIDE_RESPONSE] = {
				['C'] = COPY_64,
				['E'] = COPY_256,
				['Z'] = COPY_16,
				['I'] = COPY_16,
				['s'] = COPY_16,
				['G'] = COPY_16,
				['H'] = COPY_16,
				['W'] = COPY_16,
				['1' ... '3'] = COPY_16,
				['n'] = COPY_16,
				['T'] = COPY_16,
				['t'] = COPY_16,
				['R'] = COPY_16,
				['S'] = COPY_64,
				['v'] = COPY_16,
				['c'] = COPY_16,
				['A'] = COPY_64,
				['K'] = COPY_5, /* the key to cancel with */
				['D'] = COPY_NONE,
				['d'] = COPY_NONE,
				['N'] = COPY_NONE,
				['V'] = COPY_NONE,
			},
		},
	},
	/* RFC 8446 section 5.1; 2,048 bytes that encryption may add: RFC 5246 section 6.2.3. */
	[ROW_TLS] = {
		.protocol = 6,
		.header = 5,
		.len_off = 3,
		.len_width = 2,
		.turns = 1,
		.alike = 1,
		.adjust = 5,
		.least = 5,
		.most = 5 + 16384 + 2048,
		.likely = 5 + 16384 + 2048,
		.type = {
			[SIDE_REQUEST ... SIDE_RESPONSE] = {
				[20] = COPY_5, /* change_cipher_spec */
				[21] = COPY_16, /* alert */
				[22] = COPY_WHOLE, /* handshake */
				[23] = COPY_16, /* application_data */
				[24] = COPY_5, /* heartbeat (RFC 6520) */
			},
		},
	},
};
/* clang-format on */

static __always_inline __u32 frame_byte(const struct frame_head *h, __u32 i)
{
	return (__u8)(i < 8 ? h->word[0] >> (56 - 8 * i) : h->word[1] >> (56 - 8 * (i & 7)));
}

/* By type: those that have a meaning. */
static const __u8 http2_flags[10] = {0x09, 0x2d, 0, 0, 0x01, 0x0c, 0x01, 0, 0, 0x04};

/* Where a frame is looked for: as the first of a chain, or behind one; or it is known to begin. */
enum trust { TRUST_NONE, TRUST_CHAIN, TRUST_FULL };

/* RFC 9113 section 6: sizes that are fixed, the reserved bit, and whether a stream is named. */
static __always_inline bool http2_is_odd(const struct frame_head *h, __u32 type, __u32 len,
					 enum trust trust)
{
	__u32 stream = (__u32)(h->word[0] & 0xffffff) << 8 | (__u32)(h->word[1] >> 56);
	__u32 flags = frame_byte(h, 4);
	bool of_stream = type <= 3 || type == 5 || type == 9;

	if (stream >> 31)
		return true;
	/* The end of a short frame, such as WINDOW_UPDATE, looks like an empty one. Senders leave
	 * flags unset that have no meaning, and a server names no stream of its own. */
	if (trust == TRUST_NONE) {
		if (!len && (type != 4 || flags != 1))
			return true;
		if (type > 9 || flags & ~http2_flags[type] || (of_stream && !(stream & 1)))
			return true;
	}
	if (of_stream ? !stream : stream && (type == 4 || type == 6 || type == 7 || type == 0x10))
		return true;
	switch (type) {
	case 2:
		return len != 5;
	case 3:
	case 8:
		return len != 4;
	case 4:
		return len % 6 || len > 6 * 64;
	case 6:
		return len != 8;
	case 7:
		return len < 8;
	}
	return false;
}

/* SSL 3.0 to what TLS 1.3 writes there. */
static __always_inline bool tls_is_odd(const struct frame_head *h)
{
	return frame_byte(h, 1) != 3 || frame_byte(h, 2) > 4;
}

/* PostgreSQL's protocol 3.x, and what asks to cancel or to encrypt: 1234.5678 to 5680. */
static __always_inline bool is_startup(__u32 code)
{
	return code >> 16 == 3 || code - 80877102 < 3;
}

/*
 * What a frame occupies whose first `have` bytes are here; FRAME_ODD: there is no such frame;
 * FRAME_MORE. Without full trust what is unlikely is odd, too. *type: as
 * row.type has it, 0 if the frame ends before.
 */
static __always_inline __u32 frame_total(const struct row *row, __u32 side,
					 const struct frame_head *h, __u32 have, enum trust trust,
					 __u32 *type)
{
	__u32 off = row->len_off, width = row->len_width, total, len;
	bool alt = row->alt && have && !frame_byte(h, 0) && side == SIDE_REQUEST;
	__u64 least;

	if (have < row->header)
		return FRAME_MORE;
	if (alt) {
		__u32 code = (__u32)h->word[0];

		len = (__u32)(h->word[0] >> 32);
		*type = 0;
		/* The middle of another frame can begin with a zero, too. */
		if (trust != TRUST_FULL) {
			if (have < 8)
				return FRAME_MORE;
			if (!is_startup(code))
				return FRAME_ODD;
		}
		/* 8: a request to encrypt or to cancel has so many at least; 10,000 is the server's
		 * bound. */
		return len < 8 || len > 10000 ? FRAME_ODD : len;
	}
	len = (__u32)((h->word[0] << (8 * off)) >> (64 - 8 * width));
	if (row->little)
		len = __builtin_bswap32(len) >> (32 - 8 * width);
	least = row->least - (__u64)(__s64)row->adjust;
	if (len < least ||
	    len > (trust == TRUST_FULL ? row->most : row->likely) - (__u64)(__s64)row->adjust)
		return FRAME_ODD;
	/* An empty packet only ends what has 16 MiB. */
	if (row->begin_off && trust != TRUST_FULL && !len)
		return FRAME_ODD;
	total = len + (__u32)row->adjust;
	*type = 0;
	if (total > row->type_off) {
		if (have <= row->type_off)
			return FRAME_MORE;
		*type = frame_byte(h, row->type_off);
	}
	if (row->protocol == rows[ROW_HTTP2].protocol && http2_is_odd(h, *type, len, trust))
		return FRAME_ODD;
	if (row->protocol == rows[ROW_TLS].protocol && tls_is_odd(h))
		return FRAME_ODD;
	return total;
}

enum {
	FRAME_HELLO = 1, /* the first of a direction, seen from its first byte */
	FRAME_FIRST = 2	 /* the first since the other side has spoken */
};

/* COPY_* with its flags of a frame that frame_total() found; COPY_ODD: there is no such frame. */
static __always_inline __u32 frame_class(const struct row *row, __u32 side,
					 const struct frame_head *h, __u32 type, __u32 flags)
{
	__u32 class = row->type[side & 1][type & 0xff];

	if ((flags & FRAME_HELLO) && row->hello)
		return row->hello;
	if ((flags & FRAME_FIRST) && row->first[side & 1])
		return row->first[side & 1];
	/* Data of LOAD DATA LOCAL, or an answer in a log-in: no command. */
	if (row->begin_off && side == SIDE_REQUEST && frame_byte(h, row->begin_off))
		return COPY_16;
	/* The first of an answer, also behind another one: clients may not wait. */
	if (row->begin_off && side == SIDE_RESPONSE && class == COPY_NONE &&
	    frame_byte(h, row->begin_off) == 1)
		return COPY_32;
	return class;
}

/* At a turn, of a protocol that takes turns: can a frame be the first of it? */
static __always_inline bool frame_begins_turn(const struct row *row, __u32 side,
					      const struct frame_head *h)
{
	return !row->begin_off || frame_byte(h, row->begin_off) == side;
}

/* By COPY_*; TEXT is the target's. (Not of 16 bits: the compiler puts 32 bytes into a section that
 * libbpf does not know.) */
static const __u32 copy_bytes[COPY_CLASSES] = {
	[COPY_5] = 5,	  [COPY_16] = 16,   [COPY_32] = 32,
	[COPY_64] = 64,	  [COPY_96] = 96,   [COPY_128] = 128,
	[COPY_256] = 256, [COPY_512] = 512, [COPY_WHOLE] = FRAME_COPY_MAX,
};

/* How many bytes of a frame are copied. capture: the target's. */
static __always_inline __u32 frame_copy(__u32 class, __u32 total, __u32 capture)
{
	__u32 n = copy_bytes[class & (COPY_CLASSES - 1)];

	if ((class & (COPY_CLASSES - 1)) == COPY_TEXT)
		n = capture < FRAME_COPY_MAX ? capture : FRAME_COPY_MAX;
	if ((class & COPY_SHORT) && total > FRAME_SHORT)
		return 0;
	return n < total ? n : total;
}

/* ---- how connections begin -------------------------------------------------------------------- */

/* Where what it begins with ends. PREFACE: it is no frame, but stands in front of the first one. */
enum { GREETING_ANYWHERE, GREETING_WITHIN_SEGMENT, GREETING_WITH_SEGMENT, GREETING_PREFACE };

/*
 * What a side sends that speaks first. Its frame is cut by the row, and has so much more in it as
 * makes it unlikely that it is of another protocol.
 */
struct greeting {
	__u8 row;
	__u8 side; /* who sends it */
	__u8 ends; /* GREETING_* */
	__u8 at;   /* to: this byte of it is one of from ... to */
	__u8 from, to;
	__u8 pad[2];
	struct frame_head mask, value; /* of the first 16 bytes */
};

#define GREETING_BYTE(i, value) ((__u64)(value) << (56 - (i) % 8 * 8))

/* clang-format off */
static const struct greeting greetings[] = {
	/* The first 16 bytes of the preface: no HTTP/1 begins with them. */
	{
		.row = ROW_HTTP2,
		.side = SIDE_REQUEST,
		.ends = GREETING_PREFACE,
		.mask = {{~0ULL, ~0ULL}},
		.value = {{0x505249202a204854ULL /* "PRI * HT" */, 0x54502f322e300d0aULL /* "TP/2.0\r\n" */}},
	},
	/* HTTP/2's server may be the first to speak, with SETTINGS: below 256 bytes, and the first one
	 * is one of those that there are. */
	{
		.row = ROW_HTTP2,
		.side = SIDE_RESPONSE,
		.ends = GREETING_WITHIN_SEGMENT,
		.mask = {{~GREETING_BYTE(2, 0xff), GREETING_BYTE(8, 0xff) | GREETING_BYTE(9, 0xff)}},
		.value = {{GREETING_BYTE(3, 0x4), 0}},
		.at = 10, .from = 1, .to = 9,
	},
	/* ... or none, and it is alone. */
	{
		.row = ROW_HTTP2,
		.side = SIDE_RESPONSE,
		.ends = GREETING_WITH_SEGMENT,
		.mask = {{~0ULL, GREETING_BYTE(8, 0xff)}},
		.value = {{GREETING_BYTE(3, 0x4), 0}},
	},
	/* A client's startup, or what it asks before. */
	{
		.row = ROW_POSTGRESQL,
		.side = SIDE_REQUEST,
		.ends = GREETING_WITH_SEGMENT,
		.mask = {{GREETING_BYTE(0, 0xff), 0}},
	},
	/* A client's hello, in one record or several, which can be longer than the segment. */
	{
		.row = ROW_TLS,
		.side = SIDE_REQUEST,
		.mask = {{GREETING_BYTE(0, 0xff) | GREETING_BYTE(5, 0xff), 0}},
		.value = {{GREETING_BYTE(0, 22) | GREETING_BYTE(5, 1), 0}},
	},
	/* A server's greeting: protocol version 10, and the server's own in digits. */
	{
		.row = ROW_MYSQL,
		.side = SIDE_RESPONSE,
		.ends = GREETING_WITH_SEGMENT,
		.mask = {{GREETING_BYTE(3, 0xff) | GREETING_BYTE(4, 0xff), 0}},
		.value = {{GREETING_BYTE(4, 10), 0}},
		.at = 5, .from = '0', .to = '9',
	},
};
/* clang-format on */

#define GREETINGS (sizeof(greetings) / sizeof(greetings[0]))

/* Does a segment of `len` bytes begin with it? h: its first bytes, `have` of them, and zeros. */
static __always_inline bool is_greeting(const struct greeting *g, const struct frame_head *h,
					__u32 have, __u32 len)
{
	__u32 total, type;

	if ((h->word[0] & g->mask.word[0]) != g->value.word[0] ||
	    (h->word[1] & g->mask.word[1]) != g->value.word[1])
		return false;
	if (g->to && (frame_byte(h, g->at) < g->from || frame_byte(h, g->at) > g->to))
		return false;
	if (g->ends == GREETING_PREFACE)
		return true;
	total = frame_total(&rows[g->row], g->side, h, have, TRUST_CHAIN, &type);
	if (total == FRAME_ODD || total == FRAME_MORE)
		return false;
	return g->ends == GREETING_ANYWHERE ||
	       (g->ends == GREETING_WITH_SEGMENT ? total == len : total <= len);
}

#endif /* APPMON_ROWS_H */
