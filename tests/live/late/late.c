/* SPDX-License-Identifier: BSD-2-Clause */
/* late URL: GET of each path that a line of standard input names, one after the other, on one
 * connection that turns to HTTP/2, with libcurl. Prints the status of each. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static size_t discard(char *bytes, size_t size, size_t n, void *ctx)
{
	(void)bytes;
	(void)ctx;
	return size * n;
}

int main(int argc, char **argv)
{
	char path[256], url[512];
	CURL *curl = curl_easy_init();
	long status;

	if (argc < 2 || !curl)
		return 2;
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_0);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
	while (fgets(path, sizeof(path), stdin)) {
		path[strcspn(path, "\n")] = '\0';
		snprintf(url, sizeof(url), "%s%s", argv[1], path);
		curl_easy_setopt(curl, CURLOPT_URL, url);
		if (curl_easy_perform(curl))
			return 1;
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		printf("%ld\n", status);
		fflush(stdout);
	}
	curl_easy_cleanup(curl);
	return 0;
}
