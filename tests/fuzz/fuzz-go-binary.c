/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for go-binary.c: the input is an executable. With -DFUZZ_STANDALONE it has a
 * main() that runs the files named on the command line.
 */
#include "probe/go-binary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	struct go_binary binary;
	struct go_tls tls;
	const char *why = NULL;
	int err;

	if (fd < 0)
		fd = memfd_create("program", MFD_CLOEXEC);
	CHECK(fd >= 0 && !ftruncate(fd, 0));
	CHECK(pwrite(fd, data, len, 0) == (ssize_t)len);
	err = go_tls_read(fd, &tls, &why);
	CHECK(!err || err == -ENOEXEC || err == -EOPNOTSUPP);
	if (!err)
		CHECK(tls.write < len && data[tls.write] == 0x55 && tls.read < len &&
		      data[tls.read] == 0xe8);
	err = go_binary_read(fd, &binary, &why);
	CHECK(!err || err == -ENOEXEC || err == -EOPNOTSUPP);
	CHECK(err != -EOPNOTSUPP || why);
	if (err)
		return 0;
	/* What a uprobe is put on is in the file, and what it has to be. */
	for (int i = 0; i < GO_HOOKS; i++) {
		CHECK(binary.hook[i] || i == GO_ASK || i == GO_WRITE);
		CHECK(binary.hook[i] < len);
		CHECK(!binary.hook[i] || data[binary.hook[i]] == (i == GO_START ? 0xe8 : 0x55));
	}
	CHECK(binary.goid && binary.parent && binary.minor >= 21);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	return fuzz_files(argc, argv);
}
#endif
