/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Says where plaintext can be seen in the files on the command line, a line a place: FILE, read or
 * write, offset, and how the function takes its arguments: result, pointer or go. tests/live uses it.
 * With --randoms: where sessions keep the randoms of their hellos, or why that is not known.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probe/go-binary.h"
#include "probe/tls-binary.h"

static void say(const char *file, const char *what, uint64_t offset, const char *call)
{
	printf("%s %s %" PRIu64 " %s\n", file, what, offset, call);
}

static void say_sites(const char *file, const char *what, const struct tls_site *sites)
{
	for (int i = 0; i < TLS_SITES; i++)
		if (sites[i].call != TLS_CALL_NONE)
			say(file, what, sites[i].offset,
			    sites[i].call == TLS_CALL_RESULT ? "result"
			    : sites[i].call == TLS_CALL_COPY ? "copy"
							     : "pointer");
}

static void say_randoms(const char *file, const struct tls_binary *b)
{
	printf("%s randoms holder %u client %u server %u\n", file, b->randoms.holder,
	       b->randoms.client, b->randoms.server);
}

int main(int argc, char **argv)
{
	const bool randoms = argc > 1 && !strcmp(argv[1], "--randoms");

	for (int i = 1 + randoms; i < argc; i++) {
		const char *why = "";
		struct tls_binary b;
		struct go_tls go;
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0) {
			perror(argv[i]);
			return 1;
		}
		if (randoms) {
			if (!tls_binary_read(fd, &b, &why))
				say_randoms(argv[i], &b);
			else
				printf("%s %s\n", argv[i], why);
		} else if (!tls_binary_read(fd, &b, &why)) {
			say_sites(argv[i], "read", b.read);
			say_sites(argv[i], "write", b.write);
		} else if (!go_tls_read(fd, &go, &why)) {
			say(argv[i], "read", go.read, "go");
			say(argv[i], "write", go.write, "go");
		}
		close(fd);
	}
	return 0;
}
