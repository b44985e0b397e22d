/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* 11. Is it time to say how far a direction has come, if no record of its bytes does? */
#ifndef APPMON_PROGRESS_H
#define APPMON_PROGRESS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"
#include "track.h"

/* Progress within this time of the last record may wait for the sweep. */
#define PROGRESS_INTERVAL (1000000 / PROGRESS_UNIT)
#define PROGRESS_BURST 8

/* Does the segment end with an empty line? */
static __always_inline bool ends_with_blank(struct __sk_buff *skb)
{
	__u8 tail[4];

	return skb->len >= sizeof(tail) &&
	       !bpf_skb_load_bytes(skb, skb->len - sizeof(tail), tail, sizeof(tail)) &&
	       tail[0] == '\r' && tail[1] == '\n' && tail[3] == '\n';
}

/*
 * Says how far a direction has come, where the reader may wait for it: at the end of a write of
 * the application (PSH), of the stream, or of a chunked body. Rate-limited; what is held back
 * stays visible to the sweep.
 */
static __always_inline void progress(struct __sk_buff *skb, struct socket *sk,
				     struct direction *self, struct emission *e)
{
	bool blank;

	if (!speaks_known(sk))
		return;
	if (e->s.flags & (TCP_FIN | TCP_RST)) {
		if (e->s.flags & TCP_FIN) {
			if (self->marks & MARK_FIN)
				return;
			self->marks |= MARK_FIN;
		}
		emit_progress(skb, sk, e);
		return;
	}
	if (!(e->s.flags & TCP_PSH) && !e->filled)
		return;
	/* A message ends here, or perhaps: an empty line may be the last chunk, with or without
	 * trailers (RFC 9112 section 7.1). */
	blank = e->ends || e->s.len < 4 || !bytes_due(sk, e) || ends_with_blank(skb);
	/* Before there is an answer the reader waits for that. (Frames may go either way.) */
	if (sk->request_dir == 1 + e->dir && sk->speaks == SPEAKS_HTTP && !is_answered(sk, e) &&
	    !e->filled && !blank)
		return;
	if (self->burst) {
		self->burst--;
	} else if (progress_time(e) - self->progress < PROGRESS_INTERVAL && !blank) {
		if (!held_back)
			held_back = 1;
		return;
	}
	emit_progress(skb, sk, e);
}

#endif /* APPMON_PROGRESS_H */
