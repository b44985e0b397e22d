/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "exchange/field-names.h"

/* RFC 9110 section 5.6.2 */
static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'A' && s[i] <= 'Z') ||
		      (s[i] >= 'a' && s[i] <= 'z') || strchr("!#$%&'*+-.^_`|~", s[i])))
			return false;
	return len > 0;
}

bool field_names_add(struct field_names *names, const char *name)
{
	size_t len = strlen(name);
	unsigned int bucket;
	uint32_t i;

	if (!is_token(name, len) || len > UINT8_MAX)
		return false;
	for (i = 0; i < names->count; i++)
		if (!strcmp(name, names->name[i]))
			return true;
	if (i == FIELD_NAMES_MAX)
		return false;
	bucket = field_names_bucket(*name, len);
	names->count++;
	names->name[i] = name;
	names->len[i] = (uint8_t)len;
	names->next[i] = names->bucket[bucket];
	names->bucket[bucket] = (uint8_t)(i + 1);
	names->letters[len % 32] |= LETTER(*name);
	return true;
}
