/* SPDX-License-Identifier: BSD-2-Clause */
/* Message heads that the benchmarks work on. */
#ifndef APPMON_BENCH_MESSAGES_H
#define APPMON_BENCH_MESSAGES_H

/* 400 bytes: what a browser's script asks an API for. */
#define BENCH_REQUEST                                                                              \
	"GET /api/customers/18342/orders?page=3&limit=9 HTTP/1.1\r\n"                              \
	"Host: shop.example.com\r\n"                                                               \
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"   \
	"Accept: application/json, text/plain, */*\r\n"                                            \
	"Accept-Language: en,en;q=0.5\r\n"                                                         \
	"Accept-Encoding: gzip, deflate, br\r\n"                                                   \
	"X-Request-Id: 6f1e2c9a-51b7-4c0d-9a3e-7d2f8b6c4e11\r\n"                                   \
	"Cookie: sid=8c1d7e0f5a2b\r\n"                                                             \
	"Connection: keep-alive\r\n"                                                               \
	"Sec-Fetch-Mode: cors\r\n"                                                                 \
	"\r\n"

/* 200 bytes, then a body of 36. */
#define BENCH_RESPONSE_HEAD                                                                        \
	"HTTP/1.1 200 OK\r\n"                                                                      \
	"Server: nginx/1.22\r\n"                                                                   \
	"Date: Tue, 24 Nov 2026 08:11:15 GMT\r\n"                                                  \
	"Content-Type: application/json\r\n"                                                       \
	"Content-Length: 36\r\n"                                                                   \
	"Connection: keep-alive\r\n"                                                               \
	"Cache-Control: no-store\r\n"                                                              \
	"Vary: Accept-Encoding\r\n"                                                                \
	"\r\n"
#define BENCH_BODY "{\"orders\":[],\"page\":3,\"total\":10293}"

/* What curl and load generators send. */
#define BENCH_SMALL                                                                                \
	"GET / HTTP/1.1\r\n"                                                                       \
	"Host: 127.0.0.1:8080\r\n"                                                                 \
	"User-Agent: curl/7.88.1\r\n"                                                              \
	"Accept: */*\r\n"                                                                          \
	"\r\n"

/* A browser with a cookie jar. */
#define BENCH_LARGE                                                                                \
	"GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg?size=large HTTP/1.1\r\n" \
	"Host: www.example.org\r\n"                                                                \
	"User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, "  \
	"like Gecko) Chrome/129.0.0.0 Safari/537.36\r\n"                                           \
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"     \
	"*/*;q=0.8\r\n"                                                                            \
	"Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7\r\n"                                 \
	"Accept-Encoding: gzip, deflate, br, zstd\r\n"                                             \
	"Upgrade-Insecure-Requests: 1\r\n"                                                         \
	"Cookie: session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI" \
	"6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV; "             \
	"consent=necessary%2Canalytics%2Cads; ab=B7; theme=dark; lastseen=1732435875; "            \
	"cart=17-2-9912-3-771-1-20931-1; "                                                         \
	"ref=https%3A%2F%2Fwww.example.net%2Fsearch%3Fq%3Dpink\r\n"                                \
	"Referer: https://www.example.org/gallery/2010/03/\r\n"                                    \
	"Sec-Fetch-Dest: image\r\n"                                                                \
	"Sec-Fetch-Mode: no-cors\r\n"                                                              \
	"Sec-Fetch-Site: same-origin\r\n"                                                          \
	"If-Modified-Since: Mon, 08 Mar 2010 10:51:05 GMT\r\n"                                     \
	"If-None-Match: \"2a1f-4814d5d2a3c40\"\r\n"                                                \
	"Cache-Control: max-age=0\r\n"                                                             \
	"Connection: keep-alive\r\n"                                                               \
	"\r\n"

#endif /* APPMON_BENCH_MESSAGES_H */
