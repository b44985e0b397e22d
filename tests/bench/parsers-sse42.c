/* SPDX-License-Identifier: BSD-2-Clause */
/* picohttpparser once more, compiled with -msse4.2 and under names of its own. */
#define phr_parse_request sse42_parse_request
#define phr_parse_response sse42_parse_response
#define phr_parse_headers sse42_parse_headers
#define phr_decode_chunked sse42_decode_chunked
#define phr_decode_chunked_is_in_data sse42_decode_chunked_is_in_data
#include <picohttpparser.c>

#include "parsers.h"

size_t pico_sse42(const struct message *m)
{
	struct phr_header headers[64];
	size_t count = 64, len;
	const char *s, *target;
	int version, status, n;

	if (m->response)
		n = phr_parse_response(m->bytes, m->len, &version, &status, &s, &len, headers,
				       &count, 0);
	else
		n = phr_parse_request(m->bytes, m->len, &s, &len, &target, &len, &version, headers,
				      &count, 0);
	return n < 0 ? 0 : (size_t)n;
}
