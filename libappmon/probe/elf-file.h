/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executables and libraries for x86-64: functions by name, their code, the build id. The file may be
 * anything, and may change while it is read: every offset is checked, no part of it is mapped, and
 * the bytes that are read are bounded.
 */
#ifndef APPMON_ELF_FILE_H
#define APPMON_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS 32
#define ELF_BUILD_ID_MAX 32

struct elf_segment {
	uint64_t address, offset, size; /* what of it is in the file */
	bool code;
};

struct elf_file {
	int fd;
	uint32_t segment_count;
	uint64_t left; /* bytes that may still be read */
	struct elf_segment segment[ELF_SEGMENTS];
	Elf64_Shdr dynsym, dynstr, symtab, strtab; /* sh_size 0: not there */
	Elf64_Shdr relocations;			   /* of data */
	uint32_t build_id_len;			   /* 0: it has none */
	uint8_t build_id[ELF_BUILD_ID_MAX];
};

struct elf_function {
	uint64_t address; /* 0: not there */
	uint64_t size;	  /* 0: not known */
};

/* -ENOEXEC: it is no ELF file for x86-64. Keeps fd, does not close it. */
int elf_file_read(int fd, struct elf_file *ret);
/* Finds functions by their names, count of them, in what is exported, then in what is not. -EIO: the
 * tables cannot be read. */
int elf_file_find(struct elf_file *f, const char *const *names, uint32_t count,
		  struct elf_function *ret);
/* Reads code at an address, n bytes or as far as its segment goes. Returns how many. */
size_t elf_file_code(struct elf_file *f, uint64_t address, uint8_t *code, size_t n);
/* Reads pointers that lie side by side, as a loader that puts the file at its own addresses would set
 * them; those to other files are 0. False: there are none, or not all of them. */
bool elf_file_pointers(struct elf_file *f, uint64_t address, uint64_t *ret, uint32_t count);
/* Where in the file an address of code is; false: nowhere. */
bool elf_file_offset(const struct elf_file *f, uint64_t address, uint64_t *ret);

#endif /* APPMON_ELF_FILE_H */
