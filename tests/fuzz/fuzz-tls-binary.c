/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for the places in TLS libraries: the input is a file, and is code. With
 * -DFUZZ_STANDALONE it has a main() that runs the files named on the command line.
 */
#include "probe/tls-binary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/x86-arguments.h"
#include "probe/x86.h"
#include "target.h"

static const uint8_t *input;
static size_t input_len;

/* The kernel emulates these: push, call, jmp, jcc. */
static bool is_emulated(const uint8_t *code, size_t n)
{
	if (n > 1 && code[0] == 0x41)
		return code[1] >= 0x50 && code[1] <= 0x57;
	if (n > 1 && code[0] == 0x0f)
		return code[1] >= 0x80 && code[1] <= 0x8f;
	return n && ((code[0] >= 0x50 && code[0] <= 0x57) || code[0] == 0xe8 || code[0] == 0xe9 ||
		     code[0] == 0xeb || (code[0] >= 0x70 && code[0] <= 0x7f));
}

static void check_sites(const struct tls_site *s)
{
	for (int i = 0; i < TLS_SITES; i++)
		if (s[i].call != TLS_CALL_NONE)
			CHECK(s[i].begin <= s[i].offset && s[i].offset < input_len &&
			      is_emulated(input + s[i].offset, input_len - s[i].offset));
	CHECK(s[0].call != TLS_CALL_NONE);
}

/* A shorter input is no instruction; a longer one changes nothing. */
static void check_instruction(const uint8_t *code, size_t n)
{
	struct x86_instruction i, again;

	if (!x86_decode(code, n, &i))
		return;
	CHECK(i.len && i.len <= n && i.len <= X86_INSTRUCTION_MAX);
	CHECK(x86_decode(code, i.len, &again) && again.len == i.len && again.kind == i.kind);
	for (uint32_t less = 0; less < i.len; less++)
		CHECK(!x86_decode(code, less, &again));
	CHECK(i.kind > X86_BRANCH || is_emulated(code, n));
}

static void check_handed(const uint8_t *code, size_t n)
{
	static const struct x86_argument wanted[X86_WANTED] = {
		{X86_RDI, false}, {X86_RSI, true}, {X86_R9, true}};
	struct x86_handed handed[TLS_SITES];
	uint32_t count = x86_find_handed(code, n, X86_RCX, wanted, handed, TLS_SITES);

	CHECK(count <= TLS_SITES);
	for (uint32_t i = 0; i < count; i++) {
		CHECK(handed[i].at < n && is_emulated(code + handed[i].at, n - handed[i].at));
		for (int k = 0; k < X86_WANTED; k++)
			CHECK(handed[i].place[k] < X86_PLACES_STACK + X86_REGISTERS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	struct x86_address address;
	struct x86_site site;
	struct tls_binary b;
	const char *why = NULL;
	int err;

	if (fd < 0)
		fd = memfd_create("library", MFD_CLOEXEC);
	CHECK(fd >= 0 && !ftruncate(fd, 0));
	CHECK(pwrite(fd, data, len, 0) == (ssize_t)len);
	input = data;
	input_len = len;
	err = tls_binary_read(fd, &b, &why);
	CHECK(!err || err == -ENOEXEC || err == -EOPNOTSUPP);
	CHECK(err != -EOPNOTSUPP || why);
	if (!err) {
		CHECK(b.build_id_len <= ELF_BUILD_ID_MAX);
		check_sites(b.read);
		check_sites(b.write);
		CHECK(b.randoms.client != b.randoms.server);
	}
	for (size_t at = 0; at < len && at < 64; at++)
		check_instruction(data + at, len - at);
	if (x86_find_site(data, len, X86_ARGUMENTS_4, &site))
		CHECK(site.at < len && is_emulated(data + site.at, len - site.at));
	if (x86_find_address(data, len, X86_RDI, &address))
		CHECK(address.holder >= 0);
	x86_find_address(data, len, X86_RDX, &address);
	check_handed(data, len);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	return fuzz_files(argc, argv);
}
#endif
