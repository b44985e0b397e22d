/* SPDX-License-Identifier: BSD-2-Clause */
/* Where in a TLS library plaintext can be seen. x86-64 only: other machines have other rules. */
#ifndef APPMON_TLS_BINARY_H
#define APPMON_TLS_BINARY_H

#include "probe/elf-file.h"
#include "records.h"

enum tls_library { TLS_OPENSSL = 1, TLS_GNUTLS };

/* The programs: at the begin of a call, and at its return, or at both; in Go, where the bytes are. */
enum {
	TLS_HOOK_ENTER,
	TLS_HOOK_LEAVE,
	TLS_HOOK_CALL, /* since Linux 6.13, in place of these two */
	TLS_HOOK_RECORD,
	TLS_HOOK_GO_WRITE,
	TLS_HOOK_GO_READ,
	TLS_HOOKS
};

/* Linux 6.13: BPF_TRACE_UPROBE_SESSION, of programs that see both, and how they are attached. */
#define UPROBE_SESSION 57

/* A place that costs one trap. */
struct tls_site {
	uint64_t offset; /* in the file */
	uint64_t begin;	 /* of its function */
	uint32_t call;	 /* TLS_CALL_*; NONE: there is no such place */
	bool returns;	 /* a return probe can be there, too; else only at begin, which is dear */
	uint64_t places; /* of TLS_CALL_COPY: TLS_LAYOUT_PLACES() */
};

/* Where a session keeps the randoms of its two hellos. */
struct tls_randoms {
	uint16_t holder; /* offset of the pointer to what has them; 0: the session itself has */
	uint16_t client, server;
};

/* Two of each: a library's functions share one that does the work, or each does it. */
#define TLS_SITES 2

struct tls_binary {
	uint32_t library;      /* TLS_* */
	uint32_t build_id_len; /* 0: it has none */
	/* What is found here is true of each file that has it. */
	uint8_t build_id[ELF_BUILD_ID_MAX];
	struct tls_site read[TLS_SITES], write[TLS_SITES];
	struct tls_randoms randoms;
};

/*
 * Reads a file, which may be anything.
 *  -ENOEXEC     it is no file for x86-64, or has no functions of a TLS library
 *  -EOPNOTSUPP  it has, but there is one that is not understood: *ret_why is its name
 *  -ENOMEM
 */
int tls_binary_read(int fd, struct tls_binary *ret, const char **ret_why);

/* Where OpenSSL's BIO_write() is in a file, which may be anything. False: it is not there. */
bool tls_record_site(int fd, struct tls_site *ret);

#endif /* APPMON_TLS_BINARY_H */
