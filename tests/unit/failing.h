/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which allocation fails. Counted while armed; the one that reaches fail_at fails, and with it, if
 * asked for, all others.
 */
#ifndef APPMON_FAILING_H
#define APPMON_FAILING_H

#include <errno.h>
#include <stdbool.h>

static bool armed, for_ever;
static unsigned long count, fail_at;

static bool fails(void)
{
	if (!armed)
		return false;
	count++;
	if (count != fail_at && !(for_ever && count > fail_at))
		return false;
	errno = ENOMEM;
	return true;
}

#endif /* APPMON_FAILING_H */
