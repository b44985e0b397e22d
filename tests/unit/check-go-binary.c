/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * go_binary_read() on executables made by hand, as small as they can be. The layouts of struct g
 * are what the debug information of programs says that each version's compiler made.
 */
#include "probe/go-binary.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

#define TEXT 0x400
#define TEXT_SIZE 0x900
#define TABLE 0xd00
#define TABLE_SIZE 0x300
#define INFO 0x1000
#define INFO_SIZE 0x60
#define NAMES 0x1060
#define HEADS 0x1100
#define SECTIONS 5
#define FILE_SIZE (HEADS + SECTIONS * sizeof(Elf64_Shdr))

enum { CLOSURE, RUNQPUT, SERVE, ASK, WRITE, FUNCTIONS };

/* An executable's parts, and what of them a test wants otherwise. */
static struct {
	const char *version;
	const char *name[FUNCTIONS];
	uint32_t begin;	   /* of Go's code in .text */
	uint32_t call;	   /* in the closure */
	uint32_t call_too; /* 0: none */
	uint32_t magic;
} sample;
static const uint32_t place[FUNCTIONS] = {0x100, 0x200, 0x300, 0x400, 0x500};

static uint8_t image[FILE_SIZE];
static struct go_binary binary;
static const char *why;

static void setup(void)
{
	memset(&sample, 0, sizeof(sample));
	sample.version = "go1.26.8";
	sample.name[CLOSURE] = "runtime.newproc.func1";
	sample.name[RUNQPUT] = "runtime.runqput";
	sample.name[SERVE] = "net/http.serverHandler.ServeHTTP";
	sample.name[ASK] = "net/http.(*persistConn).roundTrip";
	sample.name[WRITE] = "net/http.(*Request).write";
	sample.call = 0x20;
	sample.magic = 0xfffffff1;
	memset(&binary, 0xee, sizeof(binary));
	why = NULL;
}

static void put(size_t at, const void *data, size_t size)
{
	ck_assert_uint_le(at + size, sizeof(image));
	memcpy(image + at, data, size);
}

static void put_code(void)
{
	/* cmp 0x10(%r14),%rsp; jbe; push %rbp; mov %rsp,%rbp */
	static const uint8_t small[] = {0x49, 0x3b, 0x66, 0x10, 0x76, 0x40, 0x55, 0x48, 0x89, 0xe5};
	/* lea -0x1d0(%rsp),%r12; cmp 0x10(%r14),%r12; jbe, a long one; push ... */
	static const uint8_t large[] = {0x4c, 0x8d, 0xa4, 0x24, 0x30, 0xfe, 0xff, 0xff,
					0x4d, 0x3b, 0x66, 0x10, 0x0f, 0x86, 0x94, 0x0e,
					0,    0,    0x55, 0x48, 0x89, 0xe5};
	const uint32_t calls[] = {sample.call, sample.call_too};

	for (int i = 0; i < FUNCTIONS; i++) {
		bool is_large = i == ASK || i == WRITE;

		put(TEXT + sample.begin + place[i], is_large ? large : small,
		    is_large ? sizeof(large) : sizeof(small));
	}
	for (int i = 0; i < 2; i++) {
		uint8_t call[5] = {0xe8};
		int32_t distance =
			(int32_t)(place[RUNQPUT] - (place[CLOSURE] + calls[i] + sizeof(call)));

		memcpy(call + 1, &distance, sizeof(distance));
		if (calls[i])
			put(TEXT + sample.begin + place[CLOSURE] + calls[i], call, sizeof(call));
	}
}

/* runtime.pcHeader, the functions, then the names. */
static void put_table(void)
{
	const uint64_t entries = 80, names = 0x200;
	uint64_t head[9] = {sample.magic | 1ULL << 48 | 8ULL << 56,
			    FUNCTIONS,
			    0,
			    0,
			    names,
			    TABLE_SIZE,
			    0,
			    0,
			    entries};
	uint32_t at = 1;

	put(TABLE, head, sizeof(head));
	for (uint32_t i = 0; i <= FUNCTIONS; i++) {
		uint32_t entry[2] = {i < FUNCTIONS ? place[i] : 0x600, 0x80 + i * 8};
		uint32_t function[2] = {entry[0], at};

		put(TABLE + entries + i * sizeof(entry), entry, sizeof(entry));
		put(TABLE + entries + entry[1], function, sizeof(function));
		if (i == FUNCTIONS || !sample.name[i])
			continue;
		put(TABLE + names + at, sample.name[i], strlen(sample.name[i]) + 1);
		at += (uint32_t)strlen(sample.name[i]) + 1;
	}
}

static void put_info(void)
{
	uint8_t head[33] = "\xff Go buildinf:\x08\x02";

	head[32] = (uint8_t)strlen(sample.version);
	put(INFO, head, sizeof(head));
	put(INFO + sizeof(head), sample.version, strlen(sample.version));
}

static void put_section(uint32_t i, const char *name, uint32_t at, uint32_t size)
{
	Elf64_Shdr section = {.sh_name = 1 + 16 * i,
			      .sh_type = SHT_PROGBITS,
			      .sh_addr = 0x400000 + at,
			      .sh_offset = at,
			      .sh_size = size};

	put(NAMES + section.sh_name, name, strlen(name) + 1);
	put(HEADS + i * sizeof(section), &section, sizeof(section));
}

static void make(void)
{
	Elf64_Ehdr head = {.e_ident = ELFMAG,
			   .e_machine = EM_X86_64,
			   .e_shoff = HEADS,
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = SECTIONS,
			   .e_shstrndx = 4};

	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	memset(image, 0, sizeof(image));
	put_code();
	put_table();
	put_info();
	put_section(1, ".text", TEXT, TEXT_SIZE);
	put_section(2, ".gopclntab", TABLE, TABLE_SIZE);
	put_section(3, ".go.buildinfo", INFO, INFO_SIZE);
	put_section(4, ".shstrtab", NAMES, HEADS - NAMES);
	put(0, &head, sizeof(head));
}

static int read_bytes(size_t size)
{
	int fd = memfd_create("program", MFD_CLOEXEC), err;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, image, size), (ssize_t)size);
	err = go_binary_read(fd, &binary, &why);
	close(fd);
	return err;
}

static int read_sample(void)
{
	make();
	return read_bytes(sizeof(image));
}

/* The uprobes are at the push of each function, and at the call. */
static void is_whole(void)
{
	ck_assert_uint_eq(binary.hook[GO_SERVE], TEXT + sample.begin + place[SERVE] + 6);
	ck_assert_uint_eq(binary.hook[GO_ASK], TEXT + sample.begin + place[ASK] + 18);
	ck_assert_uint_eq(binary.hook[GO_WRITE], TEXT + sample.begin + place[WRITE] + 18);
	ck_assert_uint_eq(binary.hook[GO_START],
			  TEXT + sample.begin + place[CLOSURE] + sample.call);
}

static void is_unsupported(void)
{
	struct go_binary before = binary;

	why = NULL;
	ck_assert_int_eq(read_sample(), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(why);
	ck_assert_mem_eq(&binary, &before, sizeof(binary));
}

/* SAMPLE=FILE: a seed for the fuzzer. */
static void keep_sample(void)
{
	const char *path = getenv("SAMPLE");
	FILE *f = path ? fopen(path, "wb") : NULL;

	if (!f)
		return;
	ck_assert_uint_eq(fwrite(image, 1, sizeof(image), f), sizeof(image));
	fclose(f);
}

START_TEST(places)
{
	ck_assert_int_eq(read_sample(), 0);
	is_whole();
	keep_sample();
	/* Startup code of a C library in front, and the older table. */
	sample.begin = 0x230;
	sample.magic = 0xfffffff0;
	sample.version = "go1.21.13";
	ck_assert_int_eq(read_sample(), 0);
	is_whole();
	ck_assert_uint_eq(binary.minor, 21);
}
END_TEST

START_TEST(versions)
{
	static const struct {
		const char *text;
		uint32_t goid, parent;
	} known[] = {
		{"go1.21", 152, 272},	 {"go1.21.13", 152, 272},    {"go1.22.12", 152, 272},
		{"go1.23.12", 160, 280}, {"go1.24.13", 160, 280},    {"go1.25.7", 152, 272},
		{"go1.26.8", 152, 280},	 {"go1.26.8 X:a", 152, 280}, {"go1.24 (vendor)", 160, 280}};
	static const char *const unknown[] = {
		"go1.20.14",	    "go1.27.0", "go1.9.1", "go1.260", "go1.26rc1",  "go1.26beta1",
		"devel go1.26-abc", "go2.20.1", "go1.",	   "",	      "go1.-2.1-1", "1.26.8"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		sample.version = known[i].text;
		ck_assert_int_eq(read_sample(), 0);
		ck_assert_uint_eq(binary.goid, known[i].goid);
		ck_assert_uint_eq(binary.parent, known[i].parent);
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		sample.version = unknown[i];
		is_unsupported();
	}
}
END_TEST

START_TEST(without)
{
	/* It sends nothing with net/http. */
	sample.name[ASK] = sample.name[WRITE] = NULL;
	ck_assert_int_eq(read_sample(), 0);
	ck_assert_uint_eq(binary.hook[GO_ASK] | binary.hook[GO_WRITE], 0);
	ck_assert_uint_ne(binary.hook[GO_SERVE], 0);
	/* It serves nothing. */
	sample.name[SERVE] = NULL;
	ck_assert_int_eq(read_sample(), -ENOEXEC);
	/* A name that only begins so. */
	sample.name[SERVE] = "net/http.serverHandler.ServeHTTP.func1";
	ck_assert_int_eq(read_sample(), -ENOEXEC);
	setup();
	sample.name[RUNQPUT] = NULL;
	is_unsupported();
	setup();
	sample.magic = 0xfffffffa; /* Go 1.16 */
	is_unsupported();
	/* Which of two calls is it? */
	setup();
	sample.call_too = 0x30;
	is_unsupported();
	/* It calls something else. */
	setup();
	sample.call = sample.call_too = 0;
	is_unsupported();
	/* A function that does not begin as it should. */
	setup();
	make();
	image[TEXT + place[SERVE] + 6] = 0x90;
	ck_assert_int_eq(read_bytes(sizeof(image)), -EOPNOTSUPP);
}
END_TEST

START_TEST(others)
{
	make();
	image[EI_CLASS] = ELFCLASS32;
	ck_assert_int_eq(read_bytes(sizeof(image)), -ENOEXEC);
	make();
	image[offsetof(Elf64_Ehdr, e_machine)] = EM_AARCH64;
	ck_assert_int_eq(read_bytes(sizeof(image)), -ENOEXEC);
	make();
	image[INFO + 15] = 0; /* the format before Go 1.18 */
	ck_assert_int_eq(read_bytes(sizeof(image)), -EOPNOTSUPP);
	/* Cut anywhere: the section headers are at the end. */
	make();
	for (size_t n = 0; n < sizeof(image); n += 7)
		ck_assert_int_eq(read_bytes(n), -ENOEXEC);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {places, versions, without, others, NULL};

	return unit_run("go-binary", tests, setup, NULL);
}
