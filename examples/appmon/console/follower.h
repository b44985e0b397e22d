/* SPDX-License-Identifier: BSD-2-Clause */
/* One who follows the stream of server-sent events: what waits to be sent. */
#ifndef APPMON_CONSOLE_FOLLOWER_H
#define APPMON_CONSOLE_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct MHD_Connection;

#define FOLLOWER_BLOCK 16384

struct follower {
	struct follower *next, **list;
	size_t *count;
	struct MHD_Connection *connection;
	char *waiting;
	size_t len, sent;
	bool suspended, ended;
};

struct follower *follower_new(struct MHD_Connection *connection);
void follower_free(struct follower *follower);

/* For one that does not keep up the event is left out: a later one has all of it. */
void follower_send(struct follower *follower, const char *event, const char *data, size_t len);

/* No more will come. */
void follower_end(struct follower *follower);

/* An MHD_ContentReaderCallback; ctx is a follower. */
ssize_t follower_read(void *ctx, uint64_t at, char *to, size_t max);

#endif /* APPMON_CONSOLE_FOLLOWER_H */
