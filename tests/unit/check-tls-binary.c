/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Probe places in TLS libraries. What instructions there are comes from objdump, over all code of
 * the libraries that are installed; those that are not are left out, with a line that says so.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/tls-binary.h"
#include "probe/x86-arguments.h"
#include "probe/x86.h"
#include "unit.h"

#define LIBRARIES "/usr/lib/x86_64-linux-gnu/"

/* ---- every instruction ----------------------------------------------------------------------- */

/* Lines of objdump that are no instruction as it is executed: data, a prefix alone, two at once. */
static bool is_code(const char *text)
{
	static const char *const alone[] = {"rex", "data16", "repz", "repnz", "lock",
					    "cs",  "ds",     "es",   "fs",    "gs",
					    "ss",  "addr32", ".byte"};
	size_t word = strcspn(text, " .\n");

	if (strstr(text, "(bad)") || !*text)
		return false;
	if (text[0] == '.')
		return false;
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++)
		if (strlen(alone[i]) == word && !strncmp(alone[i], text, word)) {
			const char *rest = text + strcspn(text, " \n");

			return rest[strspn(rest, " \n")] != '\0';
		}
	return true;
}

static bool begins(const char *text, const char *word)
{
	return !strncmp(text, word, strlen(word));
}

/* "  3548b:\t48 63 d2 \tmovslq %edx,%rdx" */
static void check_line(const char *line, uint64_t *count)
{
	uint8_t code[X86_INSTRUCTION_MAX + 1];
	struct x86_instruction i;
	uint64_t address, target;
	char *at;
	const char *text;
	size_t n = 0;

	address = strtoull(line, &at, 16);
	if (at == line || strncmp(at, ":\t", 2) != 0)
		return;
	at += 2;
	text = strchr(at, '\t');
	if (!text || !is_code(text + 1))
		return;
	text++;
	for (char *end; n < sizeof(code); n++, at = end) {
		code[n] = (uint8_t)strtoul(at, &end, 16);
		if (end == at || end > text)
			break;
	}
	ck_assert_msg(x86_decode(code, n, &i), "%s", line);
	ck_assert_msg(i.len == n, "%u: %s", i.len, line);
	for (size_t less = 0; less < n; less++)
		ck_assert(!x86_decode(code, less, &(struct x86_instruction){0}));
	if (begins(text, "call ") || text[0] == 'j') {
		const char *to = text + strcspn(text, " ");

		to += strspn(to, " ");
		target = strtoull(to, &at, 16);
		/* An indirect one has '*' in front. */
		ck_assert_msg(i.direct == (at != to), "%s", line);
		if (i.direct)
			ck_assert_msg(address + (uint64_t)i.target == target, "%s", line);
	}
	ck_assert_msg((i.kind == X86_PUSH) == (begins(text, "push   %r") && n <= 2), "%s", line);
	ck_assert_msg((i.kind == X86_CALL) == (begins(text, "call ") && i.direct && n == 5), "%s",
		      line);
	if (begins(text, "ret"))
		ck_assert_msg(i.kind == X86_END, "%s", line);
	++*count;
}

static void check_all(const char *path, const char *options, uint64_t at_least)
{
	char command[512], line[512];
	uint64_t count = 0;
	FILE *f;

	if (access(path, R_OK) || system("objdump --version >/dev/null 2>&1")) {
		printf("no %s, or no objdump: left out\n", path);
		return;
	}
	snprintf(command, sizeof(command), "objdump -d -w --insn-width=16 %s %s", options, path);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		check_line(line, &count);
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_uint_ge(count, at_least);
}

START_TEST(instructions)
{
	check_all(LIBRARIES "libssl.so.3", "", 50000);
	check_all(LIBRARIES "libgnutls.so.30", "", 100000);
}
END_TEST

/* ---- places ---------------------------------------------------------------------------------- */

struct site {
	bool found, returns;
	uint32_t at;
};

static struct site site_of(const char *code, size_t n, uint32_t arguments)
{
	struct x86_site s = {0};
	bool found = x86_find_site((const uint8_t *)code, n, arguments, &s);

	return (struct site){found, s.returns, s.at};
}

#define SITE(code, arguments) site_of(code, sizeof(code) - 1, arguments)

START_TEST(places)
{
	struct site s = SITE("\xf3\x0f\x1e\xfa\x55\xc3", X86_ARGUMENTS_4); /* endbr64; push %rbp */

	ck_assert(s.found && s.at == 4 && s.returns);
	/* sub $24,%rsp; test %edx,%edx; js */
	s = SITE("\x48\x83\xec\x18\x85\xd2\x78\x01\x90\xc3", X86_ARGUMENTS_3);
	ck_assert(s.found && s.at == 6 && !s.returns);
	/* mov %rdx,%rcx; je: the fourth argument is lost, if it is one. */
	s = SITE("\x48\x89\xd1\x74\x00\xc3", X86_ARGUMENTS_3);
	ck_assert(s.found && s.at == 3 && s.returns);
	ck_assert(!SITE("\x48\x89\xd1\x74\x00\xc3", X86_ARGUMENTS_4).found);
	/* The same with a conditional move, a division, and a call that is not direct. */
	ck_assert(!SITE("\x48\x0f\x44\xf8\x55\xc3", X86_ARGUMENTS_3).found);
	ck_assert(!SITE("\xf7\xf3\x55\xc3", X86_ARGUMENTS_3).found);
	ck_assert(!SITE("\xff\xd0\x55\xc3", X86_ARGUMENTS_3).found);
	/* xor %eax,%eax; ret */
	ck_assert(!SITE("\x31\xc0\xc3\x55", X86_ARGUMENTS_3).found);
	/* A loop that comes back: dec %eax; jne to the dec, and one to its begin, which is a call. */
	ck_assert(!SITE("\x90\xff\xc8\x75\xfc\xc3", X86_ARGUMENTS_3).found);
	ck_assert(SITE("\xff\xc8\x75\xfc\xc3", X86_ARGUMENTS_3).found);
	/* Cut off, and what is no instruction. */
	ck_assert(!SITE("\x48\x83\xec", X86_ARGUMENTS_3).found);
	ck_assert(!SITE("\x06\x55", X86_ARGUMENTS_3).found);
	ck_assert(!site_of("", 0, X86_ARGUMENTS_3).found);
	/* An operand size in front of a branch: the kernel would step it. */
	ck_assert(!SITE("\x66\x74\x00\x55\xc3", X86_ARGUMENTS_3).found);
}
END_TEST

static bool address_of(const char *code, size_t n, uint32_t into, int64_t holder, int64_t offset)
{
	struct x86_address a = {0};

	return x86_find_address((const uint8_t *)code, n, into, &a) && a.holder == holder &&
	       a.offset == offset;
}

#define ADDRESS(code, into, holder, offset) address_of(code, sizeof(code) - 1, into, holder, offset)

START_TEST(addresses)
{
	struct x86_address a;

	/* lea 0x160(%rdi),%rsi */
	ck_assert(ADDRESS("\x48\x8d\xb7\x60\x01\x00\x00\xc3", X86_RDI, 0, 0x160));
	/* mov 0xa8(%rdi),%rdi; lea 0xb8(%rdi),%rcx */
	ck_assert(ADDRESS("\x48\x8b\xbf\xa8\x00\x00\x00\x48\x8d\x8f\xb8\x00\x00\x00", X86_RDI, 0xa8,
			  0xb8));
	/* mov 0x30(%rdi),%rsi; sub $-128,%rsi; jmp away */
	ck_assert(ADDRESS("\x48\x8b\x77\x30\x48\x83\xee\x80\xe9\x00\x10\x00\x00", X86_RDI, 0x30,
			  128));
	/* mov $0xd0,%esi; add 0x30(%rdi),%rsi; call */
	ck_assert(ADDRESS("\xbe\xd0\x00\x00\x00\x48\x03\x77\x30\xe8\x00\x10\x00\x00", X86_RDI, 0x30,
			  0xd0));
	/* mov 0x30(%rdi),%rsi; call: there is nothing to add. */
	ck_assert(ADDRESS("\x48\x8b\x77\x30\xe8\x00\x10\x00\x00", X86_RDI, 0x30, 0));
	/* mov %rdi,%rbx; push; call; lea 0x10(%rbx),%rsi: it is kept over a call. */
	ck_assert(ADDRESS("\x48\x89\xfb\x53\x48\x8d\x73\x10\xc3", X86_RDI, 0, 0x10));
	/* test %rdi,%rdi; je over; ret; lea 8(%rdi),%rax */
	ck_assert(ADDRESS("\x48\x85\xff\x74\x01\xc3\x48\x8d\x47\x08\xc3", X86_RDI, 0, 8));
	/* The same without a branch to it: it is never run. */
	ck_assert(!ADDRESS("\x48\x85\xff\x90\x90\xc3\x48\x8d\x47\x08\xc3", X86_RDI, 0, 8));
	/* je over; xor %edi,%edi; over: lea 8(%rdi),%rax */
	ck_assert(ADDRESS("\x74\x02\x31\xff\x48\x8d\x47\x08\xc3", X86_RDI, 0, 8));
	/* lea 0x50(%rdi),%rax; mov %rax,(%rsi); add $0x70,%rdi; mov %rdi,(%rdx) */
	ck_assert(ADDRESS("\x48\x8d\x47\x50\x48\x89\x06\x48\x83\xc7\x70\x48\x89\x3a\xc3", X86_RSI,
			  0, 0x50));
	ck_assert(ADDRESS("\x48\x8d\x47\x50\x48\x89\x06\x48\x83\xc7\x70\x48\x89\x3a\xc3", X86_RDX,
			  0, 0x70));
	/* With an index, of another argument, of what was loaded twice; and no code. */
	ck_assert(!ADDRESS("\x48\x8d\x74\x07\x10\xc3", X86_RDI, 0, 0x10));
	ck_assert(!ADDRESS("\x48\x8d\x46\x10\xc3", X86_RDI, 0, 0x10));
	ck_assert(
		!ADDRESS("\x48\x8b\x7f\x08\x48\x8b\x7f\x08\x48\x8d\x47\x10\xc3", X86_RDI, 8, 0x10));
	ck_assert(!x86_find_address((const uint8_t *)"\x06\x48\x8d\x47", 4, X86_RDI, &a));
	ck_assert(!x86_find_address((const uint8_t *)"", 0, X86_RDI, &a));
}
END_TEST

/* Where a function with seven arguments hands its fourth one on, and there has the first, the second
 * and the sixth. */
static uint32_t handed_of(const char *code, size_t n, struct x86_handed ret[2])
{
	static const struct x86_argument wanted[X86_WANTED] = {
		{X86_RDI, false}, {X86_RSI, true}, {X86_R9, true}};

	return x86_find_handed((const uint8_t *)code, n, X86_RCX, wanted, ret, 2);
}

#define HANDED(code, ret) handed_of(code, sizeof(code) - 1, ret)
#define IN(reg) (X86_PLACES_STACK + (reg))
/* push %rbx; sub $32,%rsp; mov %rdi,%rbx; mov %esi,4(%rsp); mov %r9d,(%rsp) */
#define BEGIN "\x53\x48\x83\xec\x20\x48\x89\xfb\x89\x74\x24\x04\x44\x89\x0c\x24"
#define COPY "\xe8\xfb\x0f\x00\x00"	  /* call memcpy */
#define RETURN "\x48\x83\xc4\x20\x5b\xc3" /* add $32,%rsp; pop %rbx; ret */

START_TEST(arguments)
{
	struct x86_handed h[2];

	/* mov %rcx,%rdi; and if another argument is copied: mov %rdx,%rdi */
	ck_assert_uint_eq(HANDED(BEGIN "\x48\x89\xcf" COPY RETURN, h), 1);
	ck_assert_uint_eq(h[0].at, 19);
	ck_assert_uint_eq(h[0].place[0], IN(X86_RBX));
	ck_assert_uint_eq(h[0].place[1], 1);
	ck_assert_uint_eq(h[0].place[2], 0);
	ck_assert_uint_eq(HANDED(BEGIN "\x48\x89\xd7" COPY RETURN, h), 0);
	/* movl $0,4(%rsp): the second argument is gone. */
	ck_assert_uint_eq(HANDED(BEGIN "\xc7\x44\x24\x04\x00\x00\x00\x00"
				       "\x48\x89\xcf" COPY RETURN,
				 h),
			  0);
	/* test %edx,%edx; je over; xor %ebx,%ebx: on one way the first one is. */
	ck_assert_uint_eq(HANDED(BEGIN "\x85\xd2\x74\x02\x31\xdb\x48\x89\xcf" COPY RETURN, h), 0);
	/* mov %rcx,%r12; loop: mov %r12,%rdi; call; add %rbp,%r12; jne loop */
	ck_assert_uint_eq(
		HANDED(BEGIN "\x49\x89\xcc\x4c\x89\xe7" COPY "\x49\x01\xec\x75\xf3" RETURN, h), 1);
	ck_assert_uint_eq(h[0].at, 22);
	/* The same with mov %eax,%ebx in the loop: only its first round knows the first argument. */
	ck_assert_uint_eq(
		HANDED(BEGIN "\x49\x89\xcc\x4c\x89\xe7" COPY "\x89\xc3\x75\xf4" RETURN, h), 0);
	/* mov %rax,%rdi: memcpy() returns what it was given. A third one is one too many. */
	ck_assert_uint_eq(HANDED(BEGIN "\x48\x89\xcf" COPY "\x48\x89\xc7" COPY RETURN, h), 2);
	ck_assert_uint_eq(h[1].at, 27);
	ck_assert_uint_eq(
		HANDED(BEGIN "\x48\x89\xcf" COPY "\x48\x89\xc7" COPY "\x48\x89\xc7" COPY RETURN, h),
		0);
	/* With a frame pointer: push %rbp; mov %rsp,%rbp; push %r13; sub $40,%rsp;
	 * mov %rdi,-48(%rbp); mov %esi,-20(%rbp); mov %r9d,-24(%rbp); mov %rcx,%rdi;
	 * movb $0,-25(%rbp); call; leave; ret */
	ck_assert_uint_eq(HANDED("\x55\x48\x89\xe5\x41\x55\x48\x83\xec\x28\x48\x89\x7d\xd0"
				 "\x89\x75\xec\x44\x89\x4d\xe8\x48\x89\xcf\xc6\x45\xe7"
				 "\x00" COPY "\xc9\xc3",
				 h),
			  1);
	ck_assert_uint_eq(h[0].place[0], 0);
	ck_assert_uint_eq(h[0].place[1], 7);
	ck_assert_uint_eq(h[0].place[2], 6);
	/* What is not seen: call *%rax; jmp *%rax behind it; a branch far away; no end. */
	ck_assert_uint_eq(HANDED(BEGIN "\x48\x89\xcf\xff\xd0" RETURN, h), 0);
	ck_assert_uint_eq(HANDED(BEGIN "\x48\x89\xcf" COPY "\xff\xe0", h), 0);
	ck_assert_uint_eq(HANDED(BEGIN "\x48\x89\xcf" COPY "\x0f\x85\xfa\xff\x00\x00" RETURN, h),
			  0);
	ck_assert_uint_eq(HANDED(BEGIN "\x48\x89\xcf" COPY, h), 0);
	ck_assert_uint_eq(handed_of("", 0, h), 0);
}
END_TEST

/* The instruction at an offset of a library, as objdump prints it. Its code is where it is in the
 * file, as linkers lay out libraries. */
static void text_at(const char *path, uint64_t offset, char *text, size_t size)
{
	char command[512], line[512];
	FILE *f;

	snprintf(command, sizeof(command),
		 "objdump -d -w --no-show-raw-insn --start-address=0x%" PRIx64
		 " --stop-address=0x%" PRIx64 " %s",
		 offset, offset + X86_INSTRUCTION_MAX, path);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	text[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		char *at = strchr(line, '\t');

		if (at && strtoull(line, NULL, 16) == offset)
			snprintf(text, size, "%s", at + 1);
	}
	pclose(f);
}

static void check_site(const char *path, const struct tls_site *s)
{
	char text[256];

	if (s->call == TLS_CALL_NONE)
		return;
	text_at(path, s->offset, text, sizeof(text));
	ck_assert_msg(begins(text, "push") || begins(text, "call") || text[0] == 'j',
		      "%s, 0x%" PRIx64 ": %s", path, s->offset, text);
	if (s->call == TLS_CALL_COPY)
		ck_assert_msg(strstr(text, "<mem") != NULL, "%s, 0x%" PRIx64 ": %s", path,
			      s->offset, text);
}

struct datum {
	const uint8_t *data;
	unsigned int size;
};

/* By name; the library is not linked, for most machines lack most of them. */
static void *function(void *library, const char *name)
{
	void *fn = dlsym(library, name);

	ck_assert_msg(fn != NULL, "%s", name);
	return fn;
}

static void *new_session(void *library, uint32_t kind)
{
	void *session = NULL;

	if (kind == TLS_GNUTLS) {
		int (*init)(void **, unsigned int);

		*(void **)&init = function(library, "gnutls_init");
		ck_assert_int_eq(init(&session, 2), 0); /* of a client */
	} else {
		void *(*method)(void), *(*context_new)(void *), *(*ssl_new)(void *), *context;
		void (*context_free)(void *);

		*(void **)&method = function(library, "TLS_method");
		*(void **)&context_new = function(library, "SSL_CTX_new");
		*(void **)&ssl_new = function(library, "SSL_new");
		context = context_new(method());
		ck_assert_ptr_nonnull(context);
		session = ssl_new(context);
		*(void **)&context_free = function(library, "SSL_CTX_free");
		context_free(context); /* the session holds it */
	}
	ck_assert_ptr_nonnull(session);
	return session;
}

static void free_session(void *library, uint32_t kind, void *session)
{
	void (*release)(void *);

	*(void **)&release = function(library, kind == TLS_GNUTLS ? "gnutls_deinit" : "SSL_free");
	release(session);
}

static void get_randoms(void *library, uint32_t kind, void *session, uint8_t *client,
			uint8_t *server)
{
	if (kind == TLS_GNUTLS) {
		void (*get)(void *, struct datum *, struct datum *);
		struct datum c, s;

		*(void **)&get = function(library, "gnutls_session_get_random");
		get(session, &c, &s);
		memcpy(client, c.data, c.size);
		memcpy(server, s.data, s.size);
	} else {
		size_t (*get)(void *, uint8_t *, size_t);

		*(void **)&get = function(library, "SSL_get_client_random");
		ck_assert_uint_eq(get(session, client, 32), 32);
		*(void **)&get = function(library, "SSL_get_server_random");
		ck_assert_uint_eq(get(session, server, 32), 32);
	}
}

/* What stands there is what the library's own functions return. */
static void check_randoms(const char *path, uint32_t kind, const struct tls_randoms *randoms)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL), *session;
	uint8_t client[32], server[32], *place;

	if (!library) {
		printf("%s: its randoms are not asked for\n", dlerror());
		return;
	}
	session = new_session(library, kind);
	place = session;
	if (randoms->holder)
		memcpy(&place, place + randoms->holder, sizeof(place));
	for (uint8_t i = 0; i < 32; i++) {
		place[randoms->client + i] = (uint8_t)(i + 1);
		place[randoms->server + i] = (uint8_t)(i + 101);
	}
	get_randoms(library, kind, session, client, server);
	for (uint8_t i = 0; i < 32; i++) {
		ck_assert_uint_eq(client[i], i + 1);
		ck_assert_uint_eq(server[i], i + 101);
	}
	free_session(library, kind, session);
}

static void check_library(const char *path, uint32_t library)
{
	struct tls_binary b;
	const char *why = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0) {
		printf("no %s: left out\n", path);
		return;
	}
	err = tls_binary_read(fd, &b, &why);
	close(fd);
	ck_assert_msg(!err, "%s: %d, %s", path, err, why);
	ck_assert_uint_eq(b.library, library);
	ck_assert_uint_ge(b.build_id_len, 16);
	ck_assert_uint_ne(b.read[0].call, TLS_CALL_NONE);
	ck_assert_uint_ne(b.write[0].call, TLS_CALL_NONE);
	for (int i = 0; i < TLS_SITES; i++) {
		check_site(path, &b.read[i]);
		check_site(path, &b.write[i]);
	}
	check_randoms(path, library, &b.randoms);
}

START_TEST(libraries)
{
	struct tls_binary b;
	const char *why = "", *more = getenv("TLS_LIBRARIES");
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	check_library(LIBRARIES "libssl.so.3", TLS_OPENSSL);
	check_library(LIBRARIES "libssl.so.1.1", TLS_OPENSSL);
	check_library(LIBRARIES "libgnutls.so.30", TLS_GNUTLS);
	/* OpenSSL's of other systems, with colons between. */
	for (char path[512]; more && *more; more += strcspn(more, ":"), more += *more == ':') {
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(more, ":"), more);
		check_library(path, TLS_OPENSSL);
	}
	ck_assert_int_eq(tls_binary_read(fd, &b, &why), -ENOEXEC);
	close(fd);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {instructions, places, addresses, arguments, libraries, NULL};

	return unit_run("tls-binary", tests, NULL, NULL);
}
