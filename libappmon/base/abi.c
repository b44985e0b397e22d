/* SPDX-License-Identifier: BSD-2-Clause */
/* Structs that cross the ABI: old hosts on new libraries, new hosts on old ones. */
#include <errno.h>
#include <string.h>

#include "base/base.h"

int opts_read(void *dst, size_t known, const void *src)
{
	const uint8_t *tail = src;
	uint32_t size;

	memcpy(&size, src, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	memset(dst, 0, known);
	memcpy(dst, src, size < known ? size : known);
	for (size_t i = known; i < size; i++)
		if (tail[i])
			return -E2BIG;
	return 0;
}

int opts_write(void *dst, const void *src, size_t known)
{
	uint32_t size, filled;

	memcpy(&size, dst, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	filled = size < known ? size : (uint32_t)known;
	memcpy((char *)dst + sizeof(filled), (const char *)src + sizeof(filled),
	       filled - sizeof(filled));
	memset((char *)dst + filled, 0, size - filled);
	memcpy(dst, &filled, sizeof(filled));
	return 0;
}
