/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions are found in .gopclntab, which a stripped program has, too: the runtime needs it. It
 * gives their places relative to the start of Go's own code; that start is where one known function
 * is found to call another. The reader holds the pages at hand only, and reads a bounded number of
 * them, whatever is in the file.
 */
#include "probe/go-binary.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES 16384
/* 64 MiB: several times what the largest programs need. */
#define READS_MAX 4096

/* Where something is read from front to back. */
struct window {
	uint64_t at;
	size_t len;
	uint8_t bytes[WINDOW_BYTES];
};

enum {
	FN_START_CLOSURE,
	FN_RUNQPUT,
	FN_SERVE,
	FN_ASK,
	FN_WRITE,
	FN_MEMMOVE,
	FN_TLS_READ,
	FN_TLS_WRITE,
	FUNCTIONS
};

/* As .gopclntab has them, each between two NULs. */
static const struct {
	const char *text;
	size_t len;
} function_name[FUNCTIONS] = {
#define NAME(name)                                                                                 \
	{                                                                                          \
		"\0" name, sizeof(name) + 1                                                        \
	}
	[FN_START_CLOSURE] = NAME("runtime.newproc.func1"),
	[FN_RUNQPUT] = NAME("runtime.runqput"),
	[FN_SERVE] = NAME("net/http.serverHandler.ServeHTTP"),
	[FN_ASK] = NAME("net/http.(*persistConn).roundTrip"),
	[FN_WRITE] = NAME("net/http.(*Request).write"),
	[FN_MEMMOVE] = NAME("runtime.memmove"),
	[FN_TLS_READ] = NAME("crypto/tls.(*Conn).Read"),
	[FN_TLS_WRITE] = NAME("crypto/tls.(*Conn).Write"),
#undef NAME
};

#define NAME_MAX_BYTES 64

struct function {
	uint64_t name; /* offset of its name in the table of names; 0: not there */
	uint32_t at;   /* from the start of Go's code */
	uint32_t size;
	bool found;
	uint8_t pad[7];
};

struct file {
	int fd;
	uint32_t reads;
	struct window heads, entries, functions;
};

/* From where struct g has what we need, by the first minor version that has it there. */
static const struct {
	uint32_t minor, goid, parent;
} layouts[] = {{21, 152, 272}, {23, 160, 280}, {25, 152, 272}, {26, 152, 280}, {27, 0, 0}};

static bool read_at(struct file *f, struct window *w, uint64_t at, void *to, size_t n)
{
	if (at < w->at || at - w->at > w->len || w->len - (size_t)(at - w->at) < n) {
		ssize_t got;

		if (at > INT64_MAX || f->reads++ == READS_MAX)
			return false;
		got = pread(f->fd, w->bytes, sizeof(w->bytes), (off_t)at);
		w->at = at;
		w->len = got > 0 ? (size_t)got : 0;
		if (w->len < n)
			return false;
	}
	memcpy(to, w->bytes + (at - w->at), n);
	return true;
}

/* ---- sections -------------------------------------------------------------------------------- */

struct sections {
	Elf64_Shdr text, pclntab, buildinfo; /* sh_size 0: not there */
};

static bool is_named(struct file *f, const Elf64_Shdr *names, const Elf64_Shdr *section,
		     const char *name)
{
	char text[NAME_MAX_BYTES];
	size_t n = strlen(name) + 1;

	return read_at(f, &f->entries, names->sh_offset + section->sh_name, text, n) &&
	       !memcmp(text, name, n);
}

static bool find_sections(struct file *f, struct sections *ret)
{
	Elf64_Shdr names, section;
	Elf64_Ehdr h;

	memset(ret, 0, sizeof(*ret));
	if (!read_at(f, &f->heads, 0, &h, sizeof(h)) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
	    h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
	    h.e_machine != EM_X86_64 || h.e_shentsize != sizeof(section) ||
	    !read_at(f, &f->heads, h.e_shoff + h.e_shstrndx * sizeof(names), &names, sizeof(names)))
		return false;
	for (uint32_t i = 0; i < h.e_shnum; i++) {
		if (!read_at(f, &f->heads, h.e_shoff + i * sizeof(section), &section,
			     sizeof(section)))
			return false;
		/* So that a place in it is one in the file. */
		if (section.sh_type != SHT_PROGBITS || section.sh_size > INT64_MAX ||
		    section.sh_offset > INT64_MAX - section.sh_size)
			continue;
		if (is_named(f, &names, &section, ".text"))
			ret->text = section;
		else if (is_named(f, &names, &section, ".go.buildinfo"))
			ret->buildinfo = section;
		else if (is_named(f, &names, &section, ".gopclntab") ||
			 is_named(f, &names, &section, ".data.rel.ro.gopclntab"))
			ret->pclntab = section;
	}
	return true;
}

/* ---- version --------------------------------------------------------------------------------- */

/* The format that Go writes since 1.18: the version as a string, its length in front. */
static bool read_version(struct file *f, const Elf64_Shdr *buildinfo, struct go_binary *ret)
{
	char head[32 + 1 + 8] = "";
	uint8_t len;
	const char *version = head + 33;
	char behind = '.';

	if (buildinfo->sh_size < sizeof(head) ||
	    !read_at(f, &f->heads, buildinfo->sh_offset, head, sizeof(head) - 1) ||
	    memcmp(head, "\xff Go buildinf:", 14) != 0 || !(head[15] & 2))
		return false;
	len = (uint8_t)head[32];
	/* "go1.21", "go1.21.5 ...": no beta, whose structs may be others. */
	if (len < 6 || sscanf(version, "go1.%2u%c", &ret->minor, &behind) < 1 ||
	    (len > 6 && !strchr(".- ", behind)))
		return false;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		if (ret->minor < layouts[i].minor)
			break;
		ret->goid = layouts[i].goid;
		ret->parent = layouts[i].parent;
	}
	return ret->goid != 0;
}

/* ---- functions ------------------------------------------------------------------------------- */

/* runtime.pcHeader since Go 1.18; offsets from its start. */
struct pclntab {
	uint32_t magic;
	uint8_t zero[2];
	uint8_t quantum, pointer;
	uint64_t functions, files, text, names, units, file_table, pc_table, entries;
};

#define MAGIC_1_18 0xfffffff0
#define MAGIC_1_20 0xfffffff1

static void find_names(struct file *f, uint64_t from, uint64_t to, struct function *fn)
{
	struct window *w = &f->functions;
	char first;

	while (from < to && read_at(f, w, from, &first, 1)) {
		size_t off = (size_t)(from - w->at), n = w->len - off;

		if (n > to - from)
			n = (size_t)(to - from);
		for (int i = 0; i < FUNCTIONS; i++) {
			const uint8_t *at = memmem(w->bytes + off, n, function_name[i].text,
						   function_name[i].len);

			if (at && !fn[i].name)
				fn[i].name = w->at + (size_t)(at - w->bytes) + 1;
		}
		/* One may lie across the end. */
		if (n <= NAME_MAX_BYTES)
			break;
		from += n - NAME_MAX_BYTES;
		w->len = 0;
	}
}

static void find_functions(struct file *f, uint64_t table, uint64_t count, uint64_t names,
			   struct function *fn)
{
	struct {
		uint32_t at, function;
	} entry, next;
	uint32_t name;

	for (uint64_t i = 0; i < count; i++) {
		if (!read_at(f, &f->entries, table + i * sizeof(entry), &entry, sizeof(entry)) ||
		    !read_at(f, &f->functions, table + entry.function + 4, &name, sizeof(name)))
			return;
		for (int k = 0; k < FUNCTIONS; k++) {
			if (!fn[k].name || fn[k].found || fn[k].name != names + name)
				continue;
			if (!read_at(f, &f->entries, table + (i + 1) * sizeof(next), &next,
				     sizeof(next.at)))
				return;
			fn[k].found = next.at > entry.at;
			fn[k].at = entry.at;
			fn[k].size = next.at - entry.at;
		}
	}
}

static bool read_functions(struct file *f, const Elf64_Shdr *section, struct function *fn)
{
	struct pclntab h;

	if (section->sh_size < sizeof(h) ||
	    !read_at(f, &f->heads, section->sh_offset, &h, sizeof(h)) ||
	    (h.magic != MAGIC_1_18 && h.magic != MAGIC_1_20) || h.pointer != sizeof(uint64_t) ||
	    h.names > section->sh_size || h.units > section->sh_size ||
	    h.entries > section->sh_size || h.functions > section->sh_size / 8)
		return false;
	find_names(f, section->sh_offset + h.names, section->sh_offset + h.units, fn);
	find_functions(f, section->sh_offset + h.entries, h.functions, section->sh_offset + h.names,
		       fn);
	return true;
}

/* ---- code ------------------------------------------------------------------------------------ */

/*
 * A uprobe on `push` or `call` costs one trap: the kernel does what they do. For most other
 * instructions it takes a second one, to come back from a copy.
 */
#define CALL 0xe8
#define CODE_MAX 2048
/* Of a C library's startup code in front of Go's, with cgo. */
#define FOREIGN_MAX (1U << 20)

/* Behind the look at the stack's limit, which lets a function begin again. */
static uint32_t find_prologue(const uint8_t *code, uint32_t n)
{
	static const uint8_t limit[] = {0x3b, 0x66, 0x10};	 /* cmp 0x10(%r14), ... */
	static const uint8_t frame[] = {0x55, 0x48, 0x89, 0xe5}; /* push %rbp; mov %rsp,%rbp */
	const uint8_t *at = memmem(code, n < 16 ? n : 16, limit, sizeof(limit));
	uint32_t i = at ? (uint32_t)(at - code) + sizeof(limit) : n;

	if (i + 6 + sizeof(frame) > n)
		return 0;
	if (code[i] == 0x76) /* jbe: both are */
		i += 2;
	else if (code[i] == 0x0f && code[i + 1] == 0x86)
		i += 6;
	return memcmp(code + i, frame, sizeof(frame)) ? 0 : i;
}

/* The only call in one function of another. */
static uint32_t find_call(const uint8_t *code, uint32_t n, const struct function *from,
			  const struct function *to)
{
	uint32_t found = 0;

	for (uint32_t i = 1; i + 5 <= n; i++) {
		int32_t distance;

		memcpy(&distance, code + i + 1, sizeof(distance));
		if (code[i] != CALL || (int64_t)from->at + i + 5 + distance != to->at)
			continue;
		if (found)
			return 0;
		found = i;
	}
	return found;
}

/* Reads the first bytes of a function. 0: it is not all there. */
static uint32_t read_code(struct file *f, const Elf64_Shdr *text, uint64_t at, uint32_t size,
			  uint8_t *code)
{
	uint32_t n = size < CODE_MAX ? size : CODE_MAX;

	if (at > text->sh_size || text->sh_size - at < n ||
	    !read_at(f, &f->heads, text->sh_offset + at, code, n))
		return 0;
	return n;
}

/* Where Go's code begins. Of newproc() the closure hands the new goroutine on to runqput(): that call
 * is right for at most one place. call: its place in the closure. */
static bool find_begin(struct file *f, const Elf64_Shdr *text, const struct function *fn,
		       uint64_t *begin, uint32_t *call)
{
	const struct function *closure = &fn[FN_START_CLOSURE];
	uint8_t code[CODE_MAX];

	for (*begin = 0; *begin < FOREIGN_MAX; *begin += 16) {
		uint32_t n = read_code(f, text, *begin + closure->at, closure->size, code);

		if (!n)
			return false;
		*call = find_prologue(code, n) ? find_call(code, n, closure, &fn[FN_RUNQPUT]) : 0;
		if (*call)
			return true;
	}
	return false;
}

static bool find_places(struct file *f, const Elf64_Shdr *text, const struct function *fn,
			struct go_binary *ret)
{
	static const int functions[GO_HOOKS] = {
		[GO_SERVE] = FN_SERVE, [GO_ASK] = FN_ASK, [GO_WRITE] = FN_WRITE};
	uint64_t begin;
	uint8_t code[CODE_MAX];
	uint32_t at, n;

	if (!find_begin(f, text, fn, &begin, &at))
		return false;
	ret->hook[GO_START] = text->sh_offset + begin + fn[FN_START_CLOSURE].at + at;
	for (int i = 0; i < GO_HOOKS; i++) {
		const struct function *function = &fn[functions[i]];

		if (i == GO_START || !function->found)
			continue;
		n = read_code(f, text, begin + function->at, function->size, code);
		at = find_prologue(code, n);
		if (!at)
			return false;
		ret->hook[i] = text->sh_offset + begin + function->at + at;
	}
	return true;
}

static bool find_tls(struct file *f, const Elf64_Shdr *text, const struct function *fn,
		     struct go_tls *ret)
{
	const struct function *read = &fn[FN_TLS_READ], *write = &fn[FN_TLS_WRITE];
	uint8_t code[CODE_MAX];
	uint64_t begin;
	uint32_t at, n;

	if (!find_begin(f, text, fn, &begin, &at))
		return false;
	n = read_code(f, text, begin + write->at, write->size, code);
	at = find_prologue(code, n);
	if (!at)
		return false;
	ret->write = text->sh_offset + begin + write->at + at;
	n = read_code(f, text, begin + read->at, read->size, code);
	/* All of it must be here, or another call could follow. */
	at = n == read->size ? find_call(code, n, read, &fn[FN_MEMMOVE]) : 0;
	ret->read = text->sh_offset + begin + read->at + at;
	return at;
}

/* What both kinds of places take: the version, and where functions are. */
static int read_program(struct file *f, struct sections *sections, struct function *fn,
			struct go_binary *ret, const char **ret_why)
{
	if (!find_sections(f, sections) || !sections->buildinfo.sh_size)
		return -ENOEXEC;
	*ret_why = "its version of Go is not known";
	if (!read_version(f, &sections->buildinfo, ret))
		return -EOPNOTSUPP;
	*ret_why = "it has no table of functions";
	if (!sections->pclntab.sh_size || !sections->text.sh_size ||
	    !read_functions(f, &sections->pclntab, fn))
		return -EOPNOTSUPP;
	return 0;
}

#define ODD_CODE "its code is not as the compiler makes it"

static int read_binary(struct file *f, struct go_binary *ret, const char **ret_why)
{
	struct function fn[FUNCTIONS] = {0};
	struct sections sections;
	int err = read_program(f, &sections, fn, ret, ret_why);

	if (err)
		return err;
	if (!fn[FN_SERVE].found)
		return -ENOEXEC;
	*ret_why = ODD_CODE;
	if (!fn[FN_START_CLOSURE].found || !fn[FN_RUNQPUT].found ||
	    !find_places(f, &sections.text, fn, ret))
		return -EOPNOTSUPP;
	return 0;
}

static int read_tls(struct file *f, struct go_tls *ret, const char **ret_why)
{
	struct function fn[FUNCTIONS] = {0};
	struct go_binary binary = {0};
	struct sections sections;
	int err = read_program(f, &sections, fn, &binary, ret_why);

	if (err)
		return err;
	if (!fn[FN_TLS_READ].found || !fn[FN_TLS_WRITE].found)
		return -ENOEXEC;
	*ret_why = ODD_CODE;
	if (!fn[FN_START_CLOSURE].found || !fn[FN_RUNQPUT].found || !fn[FN_MEMMOVE].found ||
	    !find_tls(f, &sections.text, fn, ret))
		return -EOPNOTSUPP;
	ret->goid = binary.goid;
	ret->parent = binary.parent;
	return 0;
}

int go_binary_read(int fd, struct go_binary *ret, const char **ret_why)
{
	struct file *f = calloc(1, sizeof(*f));
	struct go_binary binary = {0};
	const char *why = "";
	int err;

	if (!f)
		return -ENOMEM;
	f->fd = fd;
	err = read_binary(f, &binary, &why);
	free(f);
	if (err == -EOPNOTSUPP)
		*ret_why = why;
	if (!err)
		*ret = binary;
	return err;
}

int go_tls_read(int fd, struct go_tls *ret, const char **ret_why)
{
	struct file *f = calloc(1, sizeof(*f));
	struct go_tls tls = {0};
	const char *why = "";
	int err;

	if (!f)
		return -ENOMEM;
	f->fd = fd;
	err = read_tls(f, &tls, &why);
	free(f);
	if (err == -EOPNOTSUPP)
		*ret_why = why;
	if (!err)
		*ret = tls;
	return err;
}
