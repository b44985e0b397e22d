/* SPDX-License-Identifier: BSD-2-Clause */
#include "access.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIN_TOKEN 16
#define MAX_TOKEN 255

/* Whether the name in a Host field, without its port, can only be this machine's own. A page of
 * another site whose name was made to lead here (DNS rebinding) has its name in there. */
static bool is_loopback_name(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i]);

		if (strncasecmp(host, names[i], len) == 0 &&
		    (host[len] == '\0' ||
		     (host[len] == ':' &&
		      strspn(host + len + 1, "0123456789") == strlen(host + len + 1))))
			return true;
	}
	return false;
}

static bool is_origin_of(const char *origin, const char *host)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i]);

		if (strncmp(origin, schemes[i], len) == 0 && strcasecmp(origin + len, host) == 0)
			return true;
	}
	return false;
}

/* Takes as long for each wrong token of a length. */
static bool is_token(const char *authorization, const char *token)
{
	static const char scheme[] = "Bearer ";
	unsigned char differs = 0;
	const char *given;

	if (!authorization || strncasecmp(authorization, scheme, strlen(scheme)) != 0)
		return false;
	given = authorization + strlen(scheme);
	if (strlen(given) != strlen(token))
		return false;
	for (size_t i = 0; token[i] != '\0'; i++)
		differs |= (unsigned char)(given[i] ^ token[i]);
	return differs == 0;
}

static bool is_json(const char *type)
{
	static const char json[] = "application/json";

	return type && strncasecmp(type, json, strlen(json)) == 0 &&
	       strchr(" ;", type[strlen(json)]) != NULL;
}

unsigned access_check(const char *token, enum access_to to, const struct access_fields *fields,
		      const char **ret_why)
{
	const char *site = fields->fetch_site;

	*ret_why = "the request is one of another site's page";
	if (!fields->host || (!token && !is_loopback_name(fields->host))) {
		*ret_why =
			"the Host field is not one of this machine: localhost, 127.0.0.1 or [::1]";
		return 403;
	}
	if (fields->origin && !is_origin_of(fields->origin, fields->host))
		return 403;
	/* A link on another site's page may lead to the page, which has no data. */
	if (to != ACCESS_PAGE && site && strcmp(site, "same-origin") != 0 &&
	    strcmp(site, "none") != 0)
		return 403;
	if (to == ACCESS_CHANGE && !is_json(fields->content_type)) {
		*ret_why = "Content-Type: application/json is wanted";
		return 415;
	}
	if (to != ACCESS_PAGE && token && !is_token(fields->authorization, token)) {
		*ret_why = "the token is wanted: Authorization: Bearer TOKEN";
		return 401;
	}
	return 200;
}

char *access_read_token(const char *path)
{
	char line[MAX_TOKEN + 2] = "";
	FILE *file = fopen(path, "re");
	size_t len;

	if (!file) {
		warn("the token of the console cannot be read from %s", path);
		return NULL;
	}
	if (!fgets(line, sizeof(line), file))
		*line = '\0';
	fclose(file);
	len = strcspn(line, "\r\n");
	line[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if (line[i] <= ' ' || line[i] > '~') {
			warnx("%s: the token may have visible ASCII characters only", path);
			return NULL;
		}
	}
	if (len < MIN_TOKEN || len > MAX_TOKEN) {
		warnx("%s: the token has %zu characters; %d to %d are wanted, such as of "
		      "'openssl rand -hex 16'",
		      path, len, MIN_TOKEN, MAX_TOKEN);
		return NULL;
	}
	return strdup(line);
}
