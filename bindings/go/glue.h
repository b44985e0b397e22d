/* SPDX-License-Identifier: BSD-2-Clause */
/* What Go calls in place of the library, where C has to hand over a function. */
#include <appmon/appmon.h>

/* appmon_open(), or appmon_open_replay() if fd is not negative. log: a cgo.Handle, 0 for none. */
int glue_open(struct appmon **ret, int fd, struct appmon_opts *opts, uintptr_t log);
