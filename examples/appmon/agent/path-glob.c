/* SPDX-License-Identifier: BSD-2-Clause */
#include "path-glob.h"

#include <fnmatch.h>
#include <limits.h>
#include <string.h>

/* The first part of a path: up to the next slash. */
static size_t part_length(const char *path)
{
	return strcspn(path, "/");
}

static const char *skip_slashes(const char *path)
{
	return path + strspn(path, "/");
}

static bool part_matches(const char *pattern, size_t pattern_len, const char *part, size_t part_len)
{
	char p[NAME_MAX + 1], s[NAME_MAX + 1];

	if (pattern_len > NAME_MAX || part_len > NAME_MAX)
		return false;
	memcpy(p, pattern, pattern_len);
	p[pattern_len] = '\0';
	memcpy(s, part, part_len);
	s[part_len] = '\0';
	return fnmatch(p, s, 0) == 0;
}

bool path_glob_matches(const char *pattern, const char *path)
{
	/* Where to go on if what follows the last ** does not fit here. */
	const char *retry_pattern = NULL, *retry_path = NULL;

	pattern = skip_slashes(pattern);
	path = skip_slashes(path);
	while (*path != '\0' || *pattern != '\0') {
		size_t pattern_len = part_length(pattern), path_len = part_length(path);

		if (pattern_len == 2 && pattern[0] == '*' && pattern[1] == '*') {
			retry_pattern = pattern = skip_slashes(pattern + pattern_len);
			retry_path = path;
		} else if (pattern_len > 0 && path_len > 0 &&
			   part_matches(pattern, pattern_len, path, path_len)) {
			pattern = skip_slashes(pattern + pattern_len);
			path = skip_slashes(path + path_len);
		} else if (retry_pattern && *retry_path != '\0') {
			/* The ** takes one part more. */
			retry_path = skip_slashes(retry_path + part_length(retry_path));
			path = retry_path;
			pattern = retry_pattern;
		} else {
			return false;
		}
	}
	return true;
}
