/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording: recording_header, then entries, each a recording_entry and size bytes. In the
 * byte order of the machine that wrote it. A reader passes over entries of unknown type; a change
 * to the others, or to records.h, changes the version.
 */
#ifndef APPMON_RECORDING_H
#define APPMON_RECORDING_H

#include <stdint.h>

#define RECORDING_MAGIC "appmonR" /* with its NUL: 8 bytes */
#define RECORDING_BYTE_ORDER UINT64_C(0x0102030405060708)
#define RECORDING_VERSION 1

struct recording_header {
	char magic[8];
	uint64_t byte_order;
	uint32_t version;
	uint32_t record_version; /* REC_VERSION */
};

enum {
	RECORDING_RECORD = 1,	/* struct rec with what belongs to it */
	RECORDING_TARGET = 2,	/* struct recording_target, then the name; before its records */
	RECORDING_DETACH = 3,	/* uint64_t: target id */
	RECORDING_EXPIRE = 4,	/* uint64_t: CLOCK_MONOTONIC at which silence was looked for */
	RECORDING_SAMPLING = 6, /* uint64_t: generation << 32 | share: see sampling.c */
	RECORDING_CLOCK = 5,	/* uint64_t: CLOCK_REALTIME - CLOCK_MONOTONIC, ns, from here on */
	RECORDING_PORT = 7 /* uint64_t, behind its target: slot << 48 | port << 32 | protocol */
};

struct recording_entry {
	uint32_t type;
	uint32_t size; /* of what follows */
};

struct recording_target {
	uint32_t id;
	uint32_t slot;
	uint64_t cgroup_id;
	uint32_t capture;
	uint32_t protocols; /* 0: not told, by an earlier version */
};

#endif /* APPMON_RECORDING_H */
