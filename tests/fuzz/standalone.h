/* SPDX-License-Identifier: BSD-2-Clause */
/* A fuzz target without libFuzzer: runs the files named on the command line. */
#ifndef APPMON_FUZZ_STANDALONE_H
#define APPMON_FUZZ_STANDALONE_H

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Returns the exit status. */
static int fuzz_files(int argc, char **argv)
{
	static uint8_t data[1 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		size_t len;

		if (!file) {
			perror(argv[i]);
			return 1;
		}
		len = fread(data, 1, sizeof(data), file);
		fclose(file);
		LLVMFuzzerTestOneInput(data, len);
	}
	return 0;
}

#endif /* APPMON_FUZZ_STANDALONE_H */
