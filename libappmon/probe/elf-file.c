/* SPDX-License-Identifier: BSD-2-Clause */
#include "probe/elf-file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Some times what the largest programs need. */
#define READ_MAX (UINT64_C(512) << 20)
#define WINDOW_BYTES 65536
#define SECTIONS_MAX 4096
#define NOTES_MAX 4096
/* Places of one name in a table of strings: tails of longer names share their bytes. */
#define PLACES 8

/* All n bytes, or nothing. */
static bool read_at(struct elf_file *f, uint64_t at, void *to, size_t n)
{
	if (at > INT64_MAX - n || n > f->left)
		return false;
	f->left -= n;
	return pread(f->fd, to, n, (off_t)at) == (ssize_t)n;
}

/* ---- heads ----------------------------------------------------------------------------------- */

/* Notes of a segment or section, of which there is one that matters. */
static void read_build_id(struct elf_file *f, uint64_t at, uint64_t size)
{
	uint8_t notes[NOTES_MAX];
	size_t n = size < sizeof(notes) ? (size_t)size : sizeof(notes), i = 0;
	Elf64_Nhdr h;

	if (f->build_id_len || !read_at(f, at, notes, n))
		return;
	while (n - i >= sizeof(h)) {
		uint64_t name, data;

		memcpy(&h, notes + i, sizeof(h));
		name = ((uint64_t)h.n_namesz + 3) & ~UINT64_C(3);
		data = ((uint64_t)h.n_descsz + 3) & ~UINT64_C(3);
		i += sizeof(h);
		if (name + data > n - i)
			return;
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 &&
		    !memcmp(notes + i, "GNU", 4) && h.n_descsz && h.n_descsz <= ELF_BUILD_ID_MAX) {
			f->build_id_len = h.n_descsz;
			memcpy(f->build_id, notes + i + name, h.n_descsz);
			return;
		}
		i += name + data;
	}
}

static bool read_segments(struct elf_file *f, const Elf64_Ehdr *h)
{
	Elf64_Phdr p;

	if (h->e_phentsize != sizeof(p))
		return false;
	for (uint32_t i = 0; i < h->e_phnum; i++) {
		if (!read_at(f, h->e_phoff + i * sizeof(p), &p, sizeof(p)))
			return false;
		if (p.p_offset > INT64_MAX || p.p_filesz > INT64_MAX - p.p_offset)
			continue;
		if (p.p_type == PT_NOTE)
			read_build_id(f, p.p_offset, p.p_filesz);
		if (p.p_type != PT_LOAD || p.p_vaddr > UINT64_MAX - p.p_filesz ||
		    f->segment_count == ELF_SEGMENTS)
			continue;
		f->segment[f->segment_count++] = (struct elf_segment){.address = p.p_vaddr,
								      .offset = p.p_offset,
								      .size = p.p_filesz,
								      .code = p.p_flags & PF_X};
	}
	return true;
}

/* Without section headers it has no functions that could be found, which is no error. */
static void read_sections(struct elf_file *f, const Elf64_Ehdr *h)
{
	uint32_t count = h->e_shnum < SECTIONS_MAX ? h->e_shnum : SECTIONS_MAX;
	Elf64_Shdr s, strings;

	if (h->e_shentsize != sizeof(s))
		return;
	for (uint32_t i = 0; i < count; i++) {
		if (!read_at(f, h->e_shoff + i * sizeof(s), &s, sizeof(s)))
			return;
		/* With SHF_INFO_LINK: those of the procedure linkage table. */
		if (s.sh_type == SHT_RELA && s.sh_flags == SHF_ALLOC &&
		    s.sh_entsize == sizeof(Elf64_Rela))
			f->relocations = s;
		if ((s.sh_type != SHT_DYNSYM && s.sh_type != SHT_SYMTAB) ||
		    s.sh_entsize != sizeof(Elf64_Sym) || s.sh_link >= count ||
		    !read_at(f, h->e_shoff + s.sh_link * sizeof(s), &strings, sizeof(strings)) ||
		    strings.sh_type != SHT_STRTAB)
			continue;
		if (s.sh_type == SHT_DYNSYM) {
			f->dynsym = s;
			f->dynstr = strings;
		} else {
			f->symtab = s;
			f->strtab = strings;
		}
	}
}

int elf_file_read(int fd, struct elf_file *ret)
{
	Elf64_Ehdr h;

	memset(ret, 0, sizeof(*ret));
	ret->fd = fd;
	ret->left = READ_MAX;
	if (!read_at(ret, 0, &h, sizeof(h)) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
	    h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
	    h.e_machine != EM_X86_64 || (h.e_type != ET_EXEC && h.e_type != ET_DYN) ||
	    !read_segments(ret, &h))
		return -ENOEXEC;
	read_sections(ret, &h);
	return 0;
}

/* ---- functions ------------------------------------------------------------------------------- */

struct places {
	uint32_t at[PLACES]; /* in the table of strings */
	uint32_t count;
};

static bool find_strings(struct elf_file *f, const Elf64_Shdr *table, const char *const *names,
			 uint32_t count, struct places *ret, uint8_t *window)
{
	size_t longest = 0, keep = 0;

	for (uint32_t i = 0; i < count; i++)
		if (strlen(names[i]) + 1 > longest)
			longest = strlen(names[i]) + 1;
	if (table->sh_offset > INT64_MAX || table->sh_size > UINT32_MAX)
		return false;
	for (uint64_t at = 0; at < table->sh_size;) {
		uint64_t rest = table->sh_size - at;
		size_t n = rest < WINDOW_BYTES - keep ? (size_t)rest : WINDOW_BYTES - keep;

		if (!read_at(f, table->sh_offset + at, window + keep, n))
			return false;
		for (uint32_t i = 0; i < count; i++) {
			size_t len = strlen(names[i]) + 1, from = keep >= len ? keep - len + 1 : 0;
			const uint8_t *found;

			while (ret[i].count < PLACES &&
			       (found = memmem(window + from, keep + n - from, names[i], len))) {
				from = (size_t)(found - window) + 1;
				ret[i].at[ret[i].count++] =
					(uint32_t)(at - keep + (size_t)(found - window));
			}
		}
		at += n;
		/* One may lie across the end. */
		n += keep;
		keep = n < longest ? n : longest;
		memmove(window, window + n - keep, keep);
	}
	return true;
}

static bool is_at(const struct places *p, uint32_t at)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->at[i] == at)
			return true;
	return false;
}

static bool find_symbols(struct elf_file *f, const Elf64_Shdr *table, const struct places *places,
			 uint32_t count, struct elf_function *ret, uint8_t *window)
{
	const size_t size = sizeof(Elf64_Sym), most = WINDOW_BYTES / size * size;

	for (uint64_t at = 0; at + size <= table->sh_size; at += most) {
		uint64_t rest = table->sh_size - at;
		size_t n = rest < most ? (size_t)rest / size * size : most;

		if (!read_at(f, table->sh_offset + at, window, n))
			return false;
		for (size_t i = 0; i < n; i += size) {
			Elf64_Sym s;
			uint64_t offset;

			memcpy(&s, window + i, size);
			if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || !s.st_value ||
			    !elf_file_offset(f, s.st_value, &offset))
				continue;
			for (uint32_t k = 0; k < count; k++)
				if (!ret[k].address && is_at(&places[k], s.st_name))
					ret[k] = (struct elf_function){s.st_value, s.st_size};
		}
	}
	return true;
}

static bool find_in(struct elf_file *f, const Elf64_Shdr *symbols, const Elf64_Shdr *strings,
		    const char *const *names, uint32_t count, struct elf_function *ret,
		    struct places *places, uint8_t *window)
{
	memset(places, 0, count * sizeof(*places));
	return find_strings(f, strings, names, count, places, window) &&
	       find_symbols(f, symbols, places, count, ret, window);
}

int elf_file_find(struct elf_file *f, const char *const *names, uint32_t count,
		  struct elf_function *ret)
{
	uint8_t *window = malloc(WINDOW_BYTES);
	struct places *places = calloc(count, sizeof(*places));
	int err = window && places ? 0 : -ENOMEM;
	bool all = true;

	memset(ret, 0, count * sizeof(*ret));
	if (!err && f->dynsym.sh_size &&
	    !find_in(f, &f->dynsym, &f->dynstr, names, count, ret, places, window))
		err = -EIO;
	for (uint32_t i = 0; i < count; i++)
		all &= ret[i].address != 0;
	if (!err && !all && f->symtab.sh_size &&
	    !find_in(f, &f->symtab, &f->strtab, names, count, ret, places, window))
		err = -EIO;
	free(window);
	free(places);
	return err;
}

/* ---- code and data --------------------------------------------------------------------------- */

static const struct elf_segment *segment_of(const struct elf_file *f, uint64_t address, bool code)
{
	for (uint32_t i = 0; i < f->segment_count; i++) {
		const struct elf_segment *s = &f->segment[i];

		if (s->code == code && address >= s->address && address - s->address < s->size)
			return s;
	}
	return NULL;
}

bool elf_file_offset(const struct elf_file *f, uint64_t address, uint64_t *ret)
{
	const struct elf_segment *s = segment_of(f, address, true);

	if (s)
		*ret = s->offset + (address - s->address);
	return s;
}

size_t elf_file_code(struct elf_file *f, uint64_t address, uint8_t *code, size_t n)
{
	const struct elf_segment *s = segment_of(f, address, true);

	if (!s)
		return 0;
	if (n > s->size - (address - s->address))
		n = (size_t)(s->size - (address - s->address));
	return read_at(f, s->offset + (address - s->address), code, n) ? n : 0;
}

static bool relocate(struct elf_file *f, uint64_t address, uint64_t *pointer, uint32_t count)
{
	const size_t size = sizeof(Elf64_Rela), most = WINDOW_BYTES / size * size;
	uint8_t *window = malloc(WINDOW_BYTES);
	bool ok = window;

	for (uint64_t at = 0; ok && at + size <= f->relocations.sh_size; at += most) {
		uint64_t rest = f->relocations.sh_size - at;
		size_t n = rest < most ? (size_t)rest / size * size : most;

		ok = f->relocations.sh_offset <= INT64_MAX - at &&
		     read_at(f, f->relocations.sh_offset + at, window, n);
		for (size_t i = 0; ok && i < n; i += size) {
			Elf64_Rela r;
			uint64_t k;

			memcpy(&r, window + i, size);
			k = (r.r_offset - address) / sizeof(*pointer);
			if (r.r_offset >= address && k < count &&
			    ELF64_R_TYPE(r.r_info) == R_X86_64_RELATIVE)
				pointer[k] = (uint64_t)r.r_addend;
		}
	}
	free(window);
	return ok;
}

bool elf_file_pointers(struct elf_file *f, uint64_t address, uint64_t *ret, uint32_t count)
{
	const struct elf_segment *s = segment_of(f, address, false);
	const size_t n = count * sizeof(*ret);

	return s && n <= s->size - (address - s->address) &&
	       read_at(f, s->offset + (address - s->address), ret, n) &&
	       relocate(f, address, ret, count);
}
