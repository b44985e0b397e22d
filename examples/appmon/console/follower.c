/* SPDX-License-Identifier: BSD-2-Clause */
#include "follower.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WAITING (4 << 20)

struct follower *follower_new(struct MHD_Connection *connection)
{
	struct follower *follower = calloc(1, sizeof(*follower));

	if (follower)
		follower->connection = connection;
	return follower;
}

void follower_free(struct follower *follower)
{
	free(follower->waiting);
	free(follower);
}

static void wake(struct follower *follower)
{
	if (follower->suspended)
		MHD_resume_connection(follower->connection);
	follower->suspended = false;
}

void follower_send(struct follower *follower, const char *event, const char *data, size_t len)
{
	size_t left = follower->len - follower->sent, room = left + len + strlen(event) + 32;
	char *fresh;
	int head;

	if (left > 0 && room > MAX_WAITING)
		return;
	fresh = malloc(room);
	if (!fresh)
		return;
	memcpy(fresh, follower->waiting ? follower->waiting + follower->sent : "", left);
	head = snprintf(fresh + left, room - left, "event: %s\ndata: ", event);
	memcpy(fresh + left + head, data, len);
	memcpy(fresh + left + head + len, "\n\n", 2);
	free(follower->waiting);
	follower->waiting = fresh;
	follower->sent = 0;
	follower->len = left + (size_t)head + len + 2;
	wake(follower);
}

void follower_end(struct follower *follower)
{
	follower->ended = true;
	wake(follower);
}

ssize_t follower_read(void *ctx, uint64_t at, char *to, size_t max)
{
	struct follower *follower = ctx;
	size_t left = follower->len - follower->sent, part = left < max ? left : max;

	(void)at;
	if (part > 0) {
		memcpy(to, follower->waiting + follower->sent, part);
		follower->sent += part;
		return (ssize_t)part;
	}
	if (follower->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	/* The next event wakes it. */
	MHD_suspend_connection(follower->connection);
	follower->suspended = true;
	return 0;
}
