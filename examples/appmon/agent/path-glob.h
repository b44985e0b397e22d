/* SPDX-License-Identifier: BSD-2-Clause */
/* Globs over slash-separated paths, as gitignore(5) has them. */
#ifndef APPMON_AGENT_PATH_GLOB_H
#define APPMON_AGENT_PATH_GLOB_H

#include <stdbool.h>

/*
 * Whether the whole path matches: *, ? and [...] as in glob(7) within one part of it, and a part
 * that is ** stands for any number of parts, also none.
 */
bool path_glob_matches(const char *pattern, const char *path);

#endif /* APPMON_AGENT_PATH_GLOB_H */
