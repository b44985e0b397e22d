/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser as machines without SSE2 get it, under names of its own: fuzz-http1.c compares. */
#define SCAN_PORTABLE
#define http1_parse_head portable_parse_head
#define http1_request_framing portable_request_framing
#define http1_response_framing portable_response_framing
#define http1_persists portable_persists
#define http1_look portable_look
#define http1_split_target portable_split_target
#define http1_chunks_feed portable_chunks_feed
#define http1_chunks_skip portable_chunks_skip
#define http1_method portable_method
#define http1_field_kept portable_field_kept

#include "../../libappmon/protocol/http1/http1.c"
