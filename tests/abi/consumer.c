/* SPDX-License-Identifier: BSD-2-Clause */
/* A host program outside the tree, as consumer.sh builds it: C and C++. */
#include <stdio.h>

#include <appmon/appmon.h>

int main(void)
{
	struct appmon_endpoint ep = {4, 80, 0, {127, 0, 0, 1}};
	char text[56];

	if (appmon_version() != APPMON_VERSION_NUM) {
		fprintf(stderr, "built with %s, runs with %s\n", APPMON_VERSION_STRING,
			appmon_version_string());
		return 1;
	}
	if (appmon_open(NULL, NULL) >= 0) /* links what loads BPF, needs no privilege */
		return 1;
	appmon_format_endpoint(&ep, text, sizeof(text));
	printf("%s %s\n", appmon_version_string(), text);
	return 0;
}
