/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine-names.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <appmon/appmon.h>

#define SHORT_ID 12

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t end_len = strlen(end);

	return len > end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

/* The innermost part that ends so; NULL: there is none. */
static const char *innermost(const char *path, const char *end, size_t *ret_len)
{
	const char *found = NULL;

	while (*path == '/') {
		size_t len = strcspn(++path, "/");

		if (ends_with(path, len, end)) {
			found = path;
			*ret_len = len - strlen(end);
		}
		path += len;
	}
	return found;
}

const char *machine_name(const char *path, const char *comm, char *buf, size_t size)
{
	struct appmon_container container = {.size = sizeof(container)};
	const char *service, *scope, *leaf = strrchr(path, '/');
	size_t len = 0, scope_len = 0;

	leaf = leaf ? leaf + 1 : path;
	if (appmon_cgroup_container(path, &container) == 0 && container.id[0] != '\0') {
		snprintf(buf, size, "%.*s", SHORT_ID, container.id);
		return buf;
	}
	service = innermost(path, ".service", &len);
	scope = innermost(path, ".scope", &scope_len);
	/* user@1000.service has the scopes of a desktop's programs below it. */
	if (service && service > scope && strncmp(service, "user@", 5) != 0)
		snprintf(buf, size, "%.*s", (int)len, service);
	else if ((service || scope || *leaf == '\0') && *comm != '\0')
		snprintf(buf, size, "%s", comm);
	else
		snprintf(buf, size, "%s", *leaf != '\0' ? leaf : "(top)");
	return buf;
}
