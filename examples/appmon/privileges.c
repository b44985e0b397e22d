/* SPDX-License-Identifier: BSD-2-Clause */
#include "privileges.h"

#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bits of the capabilities from 32 on, as CAP_BPF is. */
#define BPF_BIT (1U << (CAP_BPF - 32))

/* Nothing but what is given, which are bits from 32 on. */
static int set_capabilities(unsigned permitted, unsigned effective)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0},
						 {.permitted = permitted, .effective = effective}};

	return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}

static bool is_permitted_bpf(void)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	return syscall(SYS_capget, &hdr, data) == 0 && data[1].permitted & BPF_BIT;
}

/*
 * Before Linux 5.19 kernel.unprivileged_bpf_disabled (1 or 2, as distributions set it) closes
 * bpf(2) as a whole, and counters could not be read any more. The descriptor is none: where the
 * call is open, it says so.
 */
static bool is_bpf_closed(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (unsigned)-1;
	return syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) < 0 && errno == EPERM;
}

int privileges_drop(void)
{
	unsigned keep = is_permitted_bpf() ? BPF_BIT : 0;
	int ret;

	/* Nor does a program that is executed bring any back. */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	ret = set_capabilities(keep, 0);
	if (ret == 0 && keep)
		ret = is_bpf_closed() ? set_capabilities(keep, keep) : set_capabilities(0, 0);
	if (ret < 0)
		warnx("cannot give up the capabilities: %s", strerror(-ret));
	return ret;
}
