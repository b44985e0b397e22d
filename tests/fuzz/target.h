/* SPDX-License-Identifier: BSD-2-Clause */
/* What every fuzz target has. */
#ifndef APPMON_FUZZ_TARGET_H
#define APPMON_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(expr)                                                                                \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif /* APPMON_FUZZ_TARGET_H */
