/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static int add_one_status(struct filter *filter, const char *text, size_t len)
{
	unsigned first, count = 1;

	if (len == 4 && strncmp(text, "none", 4) == 0) {
		filter->status[0] = true;
		return 0;
	}
	if (len != 3 || text[0] < '1' || text[0] > '9')
		return -EINVAL;
	first = (unsigned)(text[0] - '0') * 100;
	if (strncmp(text + 1, "xx", 2) == 0)
		count = 100;
	else if (isdigit((unsigned char)text[1]) && isdigit((unsigned char)text[2]))
		first += (unsigned)(text[1] - '0') * 10 + (unsigned)(text[2] - '0');
	else
		return -EINVAL;
	memset(filter->status + first, true, count);
	return 0;
}

int filter_add_status(struct filter *filter, const char *text)
{
	filter->by_status = true;
	for (;;) {
		size_t len = strcspn(text, ",");

		if (add_one_status(filter, text, len) < 0)
			return -EINVAL;
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

/* Methods are case-sensitive (RFC 9110 section 9.1). */
static bool in_list(const char *list, const struct appmon_str *name)
{
	for (;;) {
		size_t len = strcspn(list, ",");

		if (len == name->len && memcmp(list, name->data, len) == 0)
			return true;
		if (list[len] == '\0')
			return false;
		list += len + 1;
	}
}

static bool has_prefix(const struct appmon_str *str, const char *prefix)
{
	size_t len = strlen(prefix);

	return str->len >= len && memcmp(str->data, prefix, len) == 0;
}

bool filter_matches(const struct filter *filter, const struct appmon_event *ev)
{
	if (filter->by_status && (ev->status >= 1000 || !filter->status[ev->status]))
		return false;
	if (filter->role != APPMON_ROLE_UNKNOWN && filter->role != ev->role)
		return false;
	if (filter->slower_ns > ev->duration_ns)
		return false;
	if (filter->path && !has_prefix(&ev->path, filter->path))
		return false;
	return !filter->methods || in_list(filter->methods, &ev->operation);
}
