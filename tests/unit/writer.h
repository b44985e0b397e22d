/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs' half of the rings (bpf/ring.h), compiled for this machine. */
#ifndef APPMON_WRITER_H
#define APPMON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "records.h"

#define WRITER_RECORD_MAX (RING_RECORD_MAX - 64)

/* Where the rings are, as the library sets it before the programs are loaded. */
void writer_start(struct ring_place *places, uint8_t *bytes, uint32_t count, size_t size,
		  uint64_t key);
/* A record, from a program on that CPU. bytes: WRITER_RECORD_MAX. False: there is no room. */
bool writer_put(uint32_t cpu, const void *bytes, uint32_t size);
/* How often the bell has rung, with the reader waiting. */
extern uint32_t writer_rung;
void writer_expect_bell(void);

#endif /* APPMON_WRITER_H */
