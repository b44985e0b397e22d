/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef APPMON_OPTIONS_H
#define APPMON_OPTIONS_H

#include "base/base.h"

/* Copies what the host has set (user may be NULL) and fills in the defaults; sets up the log. */
int options_take(struct appmon_opts *o, const struct appmon_opts *user, struct log *log);

/* The same for one target; what it leaves open is as in `handle`. */
int attach_options_take(struct appmon_attach_opts *o, const struct appmon_attach_opts *user,
			const struct appmon_opts *handle, struct log *log);

#endif /* APPMON_OPTIONS_H */
