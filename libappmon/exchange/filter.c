/* SPDX-License-Identifier: BSD-2-Clause */
/* Which events the host wants. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"

#define ROLES (1U << (APPMON_ROLE_CLIENT + 1))
#define OUTCOMES (1U << (APPMON_OUTCOME_NO_RESPONSE + 1))

bool filter_passes(const struct filter *f, const struct appmon_event *ev)
{
	if (f->roles && !(f->roles & 1U << ev->role))
		return false;
	if (f->outcomes && !(f->outcomes & 1U << ev->outcome))
		return false;
	if (ev->duration_ns && ev->duration_ns < f->min_duration_ns)
		return false;
	return !f->path_prefix || (ev->path.len >= f->path_prefix_len &&
				   !memcmp(ev->path.data, f->path_prefix, f->path_prefix_len));
}

int filter_set(struct filter *f, const struct appmon_filter *user, struct log *log)
{
	struct appmon_filter in = {0};
	char *prefix = NULL;
	int err = user ? opts_read(&in, sizeof(in), user) : 0;

	if (err)
		return fail(log, err, "appmon_filter.size is %u, this library knows %zu bytes",
			    user->size, sizeof(in));
	if (in.roles >= ROLES || in.outcomes >= OUTCOMES || in.reserved)
		return fail(log, -EINVAL,
			    "unknown bits in appmon_filter: roles 0x%x, outcomes 0x%x", in.roles,
			    in.outcomes);
	if (in.path_prefix && *in.path_prefix) {
		prefix = strdup(in.path_prefix);
		if (!prefix)
			return fail(log, -ENOMEM, "out of memory");
	}
	free(f->path_prefix);
	*f = (struct filter){
		.roles = in.roles,
		.outcomes = in.outcomes,
		.min_duration_ns = in.min_duration_ns,
		.path_prefix = prefix,
		.path_prefix_len = prefix ? strlen(prefix) : 0,
	};
	return 0;
}
