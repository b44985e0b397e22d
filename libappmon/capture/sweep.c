/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads from every watched socket what its programs have not reported: an iterator over their
 * storages. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "capture/capture.h"

int sweep_open(struct sweep *sweep, const struct capture *cap)
{
	sweep->at = sweep->have = 0;
	sweep->fd = bpf_iter_create(bpf_link__fd(cap->sweep));
	return sweep->fd < 0 ? -errno : 0;
}

bool sweep_read(struct sweep *sweep)
{
	ssize_t got;

	memmove(sweep->buf, sweep->buf + sweep->at, sweep->have - sweep->at);
	sweep->have -= sweep->at;
	sweep->at = 0;
	got = read(sweep->fd, sweep->buf + sweep->have, sizeof(sweep->buf) - sweep->have);
	if (got > 0) {
		sweep->have += (size_t)got;
		return true;
	}
	close(sweep->fd);
	return false;
}

bool sweep_next(struct sweep *sweep, struct record *ret, int *ret_err)
{
	if (sweep->have - sweep->at < sizeof(struct rec_state))
		return false;
	*ret_err = record_decode(sweep->buf + sweep->at, sizeof(struct rec_state), ret);
	sweep->at += sizeof(struct rec_state);
	return true;
}
