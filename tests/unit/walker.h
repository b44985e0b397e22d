/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs' walker over frames, compiled for this machine, without sockets and ring. */
#ifndef APPMON_TEST_WALKER_H
#define APPMON_TEST_WALKER_H

#include <stdbool.h>
#include <stdint.h>

struct walked {
	uint32_t at, n, skipped, flags; /* as struct rec_piece; at: from the begin of the segment */
	const uint8_t *bytes;
};

/* Frames begin at this sequence number. fresh: with what a connection begins with. */
void walker_begin(uint32_t row, uint32_t side, uint32_t seq, bool fresh);
/* From now on all is copied. */
void walker_lose(void);
/* It is known where a frame begins, at seq; the next segment begins at `from`. */
void walker_found(uint32_t seq, uint32_t from);
/* The other direction has spoken. */
void walker_turn(void);
bool walker_follows(void);
/* One segment: calls back for each piece, and for the bytes that each record was of. */
void walker_segment(uint32_t seq, const uint8_t *bytes, uint32_t len,
		    void (*piece)(const struct walked *piece),
		    void (*record)(uint32_t from, uint32_t to));

/* The plaintext of a TLS session, which begins with these bytes. False: it is not followed. */
bool walker_session(const uint8_t *bytes, uint32_t len);
bool walker_session_follows(void);
/* One call: calls back for each record, of `room` copied bytes at most. */
void walker_call(const uint8_t *bytes, uint32_t len, uint32_t room,
		 void (*record)(uint32_t at, uint32_t copied, uint32_t len));

#endif /* APPMON_TEST_WALKER_H */
