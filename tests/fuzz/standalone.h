/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fuzz target without libFuzzer: runs the files named on the command line, and those in the
 * directories.
 */
#ifndef APPMON_FUZZ_STANDALONE_H
#define APPMON_FUZZ_STANDALONE_H

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Returns the exit status. */
static int fuzz_files(int argc, char **argv)
{
	static uint8_t data[1 << 20];

	for (int i = 1; i < argc; i++) {
		struct dirent **entries;
		int count = scandir(argv[i], &entries, NULL, alphasort);

		for (int n = 0; n < (count < 0 ? 1 : count); n++) {
			char path[PATH_MAX];
			FILE *file;
			size_t len;

			if (count < 0)
				snprintf(path, sizeof(path), "%s", argv[i]);
			else
				snprintf(path, sizeof(path), "%s/%s", argv[i], entries[n]->d_name);
			if (count >= 0 && entries[n]->d_name[0] == '.')
				continue;
			file = fopen(path, "rb");
			if (!file) {
				perror(path);
				return 1;
			}
			len = fread(data, 1, sizeof(data), file);
			fclose(file);
			LLVMFuzzerTestOneInput(data, len);
		}
		for (int n = 0; n < count; n++)
			free(entries[n]);
		if (count >= 0)
			free(entries);
	}
	return 0;
}

/*
 * What main() does: the files on the command line, or so many random inputs, the same each time. data has
 * room for `most`; an input has `least` bytes at least, and fewer than `most`.
 */
static inline int fuzz_main(int argc, char **argv, unsigned int runs, uint8_t *data, size_t least,
			    size_t most)
{
	uint64_t state = 1;

	if (argc > 1)
		return fuzz_files(argc, argv);
	while (runs--) {
		for (size_t i = 0; i < most; i++) {
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
			data[i] = (uint8_t)(state >> 56);
		}
		LLVMFuzzerTestOneInput(data, least + (size_t)(state >> 40) % (most - least));
	}
	return 0;
}

#endif /* APPMON_FUZZ_STANDALONE_H */
