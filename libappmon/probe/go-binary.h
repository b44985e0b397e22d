/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads from a Go executable its version, and where the functions are that matter. */
#ifndef APPMON_GO_BINARY_H
#define APPMON_GO_BINARY_H

#include <stdint.h>

/* Places in the code: see bpf/goroutine.h. */
enum { GO_SERVE, GO_START, GO_ASK, GO_WRITE, GO_HOOKS };

struct go_binary {
	uint64_t hook[GO_HOOKS]; /* offset in the file; 0: the program has no such place */
	uint32_t minor;		 /* it was built with Go 1.minor */
	uint32_t goid;		 /* in struct g: offset of the goroutine's number */
	uint32_t parent;	 /* and of the one that started it */
	uint32_t pad;
};

/*
 * Reads an executable, which may be anything.
 *  -ENOEXEC     it is no Go program for x86-64, or serves nothing with net/http
 *  -EOPNOTSUPP  it is one of which too little is known: *ret_why says what
 *  -ENOMEM
 */
int go_binary_read(int fd, struct go_binary *ret, const char **ret_why);

/* crypto/tls: where plaintext is at hand. Offsets in the file. */
struct go_tls {
	/* (*Conn).Write: ax is the connection, bx the bytes, cx their number; it returns when all is
	 * written, or the connection is broken. */
	uint64_t write;
	/* (*Conn).Read, where it copies to its caller, only if there is something: bx is where the
	 * bytes are, cx their number, and 16(%rbp) the connection. */
	uint64_t read;
	uint32_t goid, parent; /* as in struct go_binary */
};

/* As go_binary_read(). -ENOEXEC: it is no Go program for x86-64, or has no crypto/tls. */
int go_tls_read(int fd, struct go_tls *ret, const char **ret_why);

#endif /* APPMON_GO_BINARY_H */
