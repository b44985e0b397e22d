/* SPDX-License-Identifier: BSD-2-Clause */
/* What client.c and server.c share: buffers, bodies, heads, and how a socket is used. */
#ifndef HTTP_H
#define HTTP_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include "load.h"

/* Bytes that were received and not yet used, or that are to be sent. */
struct bytes {
	char *data;
	size_t start, end, size;
};

static inline size_t have(const struct bytes *b)
{
	return b->end - b->start;
}

/* Room for n more bytes at the end. */
static inline char *room(struct bytes *b, size_t n)
{
	if (b->start == b->end)
		b->start = b->end = 0;
	if (b->end + n > b->size) {
		b->size = 2 * (b->end + n);
		b->data = realloc(b->data, b->size);
		if (!b->data)
			die("memory");
	}
	return b->data + b->end;
}

static inline void put(struct bytes *b, const void *data, size_t n)
{
	memcpy(room(b, n), data, n);
	b->end += n;
}

#define put_text(b, ...)                                                                           \
	do {                                                                                       \
		char text_[8192];                                                                  \
		put(b, text_, (size_t)snprintf(text_, sizeof(text_), __VA_ARGS__));                \
	} while (0)

/* What bodies consist of; LOOKALIKE, wherever it is cut, looks like the start of a message. */
#define PLAIN "the quick brown fox jumps over the lazy dog, 0123456789 times; "
#define LOOKALIKE                                                                                  \
	"HTTP/1.1 500 No\r\nX-Request-Id: body\r\nContent-Length: 0\r\n\r\n"                       \
	"GET /body HTTP/1.1\r\nHost: h\r\n\r\n"

static const char *pattern = PLAIN;
static size_t pattern_len = sizeof(PLAIN) - 1;

static inline void put_content(struct bytes *b, size_t from, size_t n)
{
	char *to = room(b, n);

	for (size_t i = 0; i < n; i++)
		to[i] = pattern[(from + i) % pattern_len];
	b->end += n;
}

/* Content with a length or chunked; returns the bytes of the stream. */
static inline size_t put_body(struct bytes *b, size_t n, int chunked, uint64_t *dice)
{
	size_t before = have(b), part;

	if (!chunked) {
		put_content(b, 0, n);
		return n;
	}
	for (size_t done = 0; done < n; done += part) {
		part = 1 + below(dice, 4 + n / (1 + below(dice, 8)));
		if (part > n - done)
			part = n - done;
		put_text(b, "%zx\r\n", part);
		put_content(b, done, part);
		put(b, "\r\n", 2);
	}
	put(b, "0\r\n\r\n", 5);
	return have(b) - before;
}

/* How a body is framed, and how far it has been read. */
struct body {
	int chunked;
	int until_end;	/* of the connection */
	size_t left;	/* of the content, or of this chunk */
	size_t content; /* read so far; checked against the pattern */
	size_t wire;	/* the same with framing */
	int last;	/* the last chunk's size line was read */
};

static inline void take(struct bytes *b, struct body *body, size_t n)
{
	b->start += n;
	body->wire += n;
}

/* Reads what is there of a body. 1: it is complete, 0: more is needed, -1: it is not the body
 * that was sent. */
static inline int read_body(struct bytes *b, struct body *body)
{
	char *line, *end;
	size_t n;

	for (;;) {
		n = body->until_end || have(b) < body->left ? have(b) : body->left;
		for (size_t i = 0; i < n; i++)
			if (b->data[b->start + i] != pattern[(body->content + i) % pattern_len])
				return -1;
		body->content += n;
		body->left -= body->until_end ? 0 : n;
		take(b, body, n);
		if (!body->chunked)
			return !body->until_end && body->left == 0;
		if (body->left > 0 || have(b) == 0)
			return 0;
		/* The line ends of the last chunk and of its data, or a size line. */
		line = b->data + b->start;
		end = memchr(line, '\n', have(b));
		if (!end)
			return 0;
		if (line[0] != '\r') {
			body->left = strtoul(line, NULL, 16);
			body->last = body->left == 0;
		} else if (body->last) {
			take(b, body, 2);
			return 1;
		}
		take(b, body, (size_t)(end - line) + 1);
	}
}

/* The length of the head that is there with its empty line; 0: it is not complete. */
static inline size_t head_len(const struct bytes *b)
{
	const char *end = NULL;

	if (have(b))
		end = memmem(b->data + b->start, have(b), "\r\n\r\n", 4);
	return end ? (size_t)(end + 4 - b->data) - b->start : 0;
}

/* The value of a field of the head at the start of b; NULL: it has none. */
static inline const char *field(const struct bytes *b, size_t head, const char *name)
{
	const char *line = b->data + b->start, *end = line + head;
	size_t len = strlen(name);

	while ((line = memchr(line, '\n', (size_t)(end - line))) && ++line < end)
		if (!strncasecmp(line, name, len) && line[len] == ':')
			return line + len + 2;
	return NULL;
}

/* Where the next write ends, out of n bytes: mostly all, sometimes anywhere, often early. */
static inline size_t piece(uint64_t *dice, size_t n)
{
	size_t cut = 1 + below(dice, (size_t)1 << below(dice, 17));

	return below(dice, 5) > 1 || cut > n ? n : cut;
}

static inline void sleep_ms(size_t ms)
{
	struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

/* How a socket is used; 0 in any member: as usual. */
struct habits {
	int rcvbuf;	 /* SO_RCVBUF */
	int clamp;	 /* TCP_WINDOW_CLAMP */
	size_t stall_ms; /* the longest pause in reading a large body: the window closes */
};

/* Both ends have to agree on lookalike=1. */
static inline struct habits read_habits(int argc, char **argv)
{
	if (option(argc, argv, "lookalike", 0) > 0) {
		pattern = LOOKALIKE;
		pattern_len = sizeof(LOOKALIKE) - 1;
	}
	return (struct habits){.rcvbuf = (int)option(argc, argv, "rcvbuf", 0),
			       .clamp = (int)option(argc, argv, "clamp", 0),
			       .stall_ms = (size_t)option(argc, argv, "stall", 0)};
}

static inline void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		die("setsockopt");
}

/* Before listen() or connect(). */
static inline void prepare(int fd, const struct habits *habits)
{
	if (habits->rcvbuf)
		set_int(fd, SOL_SOCKET, SO_RCVBUF, habits->rcvbuf);
	if (habits->clamp)
		set_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, habits->clamp);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* recv() that now and then pauses. */
static inline ssize_t receive(int fd, struct bytes *b, const struct habits *habits, uint64_t *dice,
			      int large)
{
	ssize_t n;

	if (habits->stall_ms && large && below(dice, 20) == 0)
		sleep_ms(below(dice, habits->stall_ms));
	n = recv(fd, room(b, 16384 + 1), 16384, 0);
	if (n > 0)
		b->end += (size_t)n;
	b->data[b->end] = '\0'; /* for sscanf() */
	return n;
}

#endif
