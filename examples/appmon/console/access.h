/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may ask the console. Pages of other sites may not: the browser says in Host, Origin and
 * Sec-Fetch-Site whose page asks. A token, where there is one, has to be in a header field, which
 * no page of another site can send.
 */
#ifndef APPMON_CONSOLE_ACCESS_H
#define APPMON_CONSOLE_ACCESS_H

#include <stdbool.h>

/* Header fields of a request; NULL: it has none. */
struct access_fields {
	const char *host, *origin, *fetch_site, *authorization, *content_type;
};

enum access_to {
	ACCESS_PAGE,   /* which has no data */
	ACCESS_DATA,   /* is read */
	ACCESS_CHANGE, /* a silence */
};

/* token NULL: none is needed. Returns 200, or the status to refuse with and why. */
unsigned access_check(const char *token, enum access_to to, const struct access_fields *fields,
		      const char **ret_why);

/* The first line of a file. NULL: the user has been told why not; else to be freed. */
char *access_read_token(const char *path);

#endif /* APPMON_CONSOLE_ACCESS_H */
