/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes a recording of one exchange to standard output: events without a kernel or privileges. */
#include <stdio.h>
#include <string.h>

#include "records.h"

#include "capture/recording.h"

#define REQUEST "GET /old?q=1 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test\r\n\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void put(const void *data, size_t size)
{
	fwrite(data, size, 1, stdout);
}

static void put_entry(__u32 type, const void *fixed, size_t fixed_size, const char *bytes)
{
	struct recording_entry entry = {type, (__u32)(fixed_size + strlen(bytes))};

	put(&entry, sizeof(entry));
	put(fixed, fixed_size);
	put(bytes, strlen(bytes));
}

static void put_segment(__u64 ts_ns, __u32 flags, __u32 seq, __u32 ack, const char *bytes)
{
	__u32 len = (__u32)strlen(bytes);
	struct rec_state rec = {
		.rec = {.hdr = {REC_VERSION, REC_DATA, (__u32)sizeof(rec) + len, 0},
			.cookie = 1,
			.seg = {.ts_ns = ts_ns,
				.flags = flags | REC_CONN | REC_FLIP | REC_START | REC_PSH,
				.seq = seq,
				.start = seq,
				.len = len,
				.whole = seq + len,
				.ack = ack}},
		.told.conn = {.cookie = 1,
			      .cgroup_id = 7,
			      .target = 1,
			      .family = 4,
			      .local_port = 80,
			      .remote_port = 40000,
			      .local_addr = {127, 0, 0, 1},
			      .remote_addr = {127, 0, 0, 2}},
	};

	put_entry(RECORDING_RECORD, &rec, sizeof(rec), bytes);
}

int main(void)
{
	struct recording_header header = {RECORDING_MAGIC, RECORDING_BYTE_ORDER, RECORDING_VERSION,
					  REC_VERSION};
	struct recording_target target = {.id = 1, .cgroup_id = 7, .capture = 4096};

	put(&header, sizeof(header));
	put_entry(RECORDING_TARGET, &target, sizeof(target), "shop");
	put_segment(1000000, REC_FRESH, 100, 500, REQUEST);
	put_segment(3000000, REC_OUT, 500, 100 + sizeof(REQUEST) - 1, RESPONSE);
	return fflush(stdout) ? 1 : 0;
}
