/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A uprobe on a symbol is cheap only if the kernel emulates the function's first instruction; most
 * libraries are built so that it does not, and a virtual machine takes ten times as long. So a place
 * further on is chosen.
 *
 * In OpenSSL SSL_read() and SSL_read_ex() call one internal function with the same arguments, and the
 * two for writing do so, too: its place stands for both. SSL_peek() calls another one. Where a
 * compiler has put that into each of them, each has its own.
 *
 * Most calls of SSL_read() by a server that waits for many sockets find nothing. The bytes that others
 * deliver pass one place, where OpenSSL copies them out of its buffer: it is cheaper to see these.
 *
 * Where a session keeps the randoms of its hellos differs between builds of one version. The functions
 * that tell them say it by their code.
 */
#include "probe/tls-binary.h"

#include <errno.h>
#include <string.h>

#include "probe/x86-arguments.h"
#include "probe/x86.h"

#define CODE_MAX 4096
#define READ_CODE_MAX 8192
#define CALLS_MAX 32
#define METHOD_WORDS 24

enum {
	SSL_READ,
	SSL_READ_EX,
	SSL_WRITE,
	SSL_WRITE_EX,
	SSL_WRITE_EX2,
	RECORD_RECV,
	RECORD_SEND,
	RECORD_SEND2,
	CLIENT_RANDOM,
	SERVER_RANDOM,
	METHOD,
	GET_RANDOM,
	NAMES
};

static const char *const names[NAMES] = {
	[SSL_READ] = "SSL_read",
	[SSL_READ_EX] = "SSL_read_ex",
	[SSL_WRITE] = "SSL_write",
	[SSL_WRITE_EX] = "SSL_write_ex",
	[SSL_WRITE_EX2] = "SSL_write_ex2",
	[RECORD_RECV] = "gnutls_record_recv",
	[RECORD_SEND] = "gnutls_record_send",
	[RECORD_SEND2] = "gnutls_record_send2",
	[CLIENT_RANDOM] = "SSL_get_client_random",
	[SERVER_RANDOM] = "SSL_get_server_random",
	[METHOD] = "TLS_method",
	[GET_RANDOM] = "gnutls_session_get_random",
};

struct calls {
	uint64_t from;
	uint64_t target[CALLS_MAX];
	uint32_t count;
};

static void add_call(void *ctx, int64_t target)
{
	struct calls *calls = ctx;

	if (calls->count < CALLS_MAX)
		calls->target[calls->count++] = calls->from + (uint64_t)target;
}

static size_t code_of(struct elf_file *f, const struct elf_function *fn, uint8_t *code)
{
	return elf_file_code(f, fn->address, code,
			     fn->size && fn->size < CODE_MAX ? (size_t)fn->size : CODE_MAX);
}

/* Entries of the procedure linkage table are jumps through memory, with endbr64 or bnd in front. */
static bool is_linkage(struct elf_file *f, uint64_t address)
{
	uint8_t code[16];
	size_t n = elf_file_code(f, address, code, sizeof(code));
	size_t at = n == sizeof(code) && !memcmp(code, "\xf3\x0f\x1e\xfa", 4) ? 4 : 0;

	if (n < sizeof(code))
		return true; /* whatever it is */
	at += code[at] == 0xf2;
	return code[at] == 0xff && code[at + 1] == 0x25;
}

/* The one function in the same file that both call; 0: none, or several. */
static uint64_t common_call(struct elf_file *f, const struct elf_function *a,
			    const struct elf_function *b)
{
	uint8_t code[CODE_MAX];
	struct calls calls[2] = {{.from = a->address}, {.from = b->address}};
	uint64_t common = 0;

	if (!a->address || !b->address || !a->size || !b->size ||
	    !x86_each_call(code, code_of(f, a, code), add_call, &calls[0]) ||
	    !x86_each_call(code, code_of(f, b, code), add_call, &calls[1]))
		return 0;
	for (uint32_t i = 0; i < calls[0].count; i++)
		for (uint32_t k = 0; k < calls[1].count; k++) {
			uint64_t target = calls[0].target[i];

			if (target != calls[1].target[k] || target == common ||
			    is_linkage(f, target))
				continue;
			if (common)
				return 0;
			common = target;
		}
	return common;
}

static bool find_site(struct elf_file *f, const struct elf_function *fn, uint32_t call,
		      struct tls_site *ret)
{
	static const uint32_t arguments[] = {[TLS_CALL_RESULT] = X86_ARGUMENTS_3,
					     [TLS_CALL_POINTER] = X86_ARGUMENTS_4,
					     [TLS_CALL_POINTER5] = X86_ARGUMENTS_5};
	uint8_t code[CODE_MAX];
	struct x86_site site;

	if (!fn->address || !x86_find_site(code, code_of(f, fn, code), arguments[call], &site) ||
	    !elf_file_offset(f, fn->address + site.at, &ret->offset) ||
	    !elf_file_offset(f, fn->address, &ret->begin))
		return false;
	ret->call = call;
	ret->returns = site.returns;
	return true;
}

/*
 * In all libraries the two stand side by side: that proves that the code was understood. into: see
 * x86_find_address().
 */
static bool find_randoms(struct elf_file *f, const struct elf_function *client,
			 const struct elf_function *server, const uint32_t into[2],
			 struct tls_randoms *ret)
{
	uint8_t code[CODE_MAX];
	struct x86_address c, s;

	if (!client->address || !server->address ||
	    !x86_find_address(code, code_of(f, client, code), into[0], &c) ||
	    !x86_find_address(code, code_of(f, server, code), into[1], &s))
		return false;
	if (c.holder != s.holder || c.holder > UINT16_MAX || c.offset < 0 || s.offset < 0 ||
	    c.offset > UINT16_MAX || s.offset > UINT16_MAX ||
	    (c.offset - s.offset != TLS_RANDOM_BYTES && s.offset - c.offset != TLS_RANDOM_BYTES))
		return false;
	*ret = (struct tls_randoms){.holder = (uint16_t)c.holder,
				    .client = (uint16_t)c.offset,
				    .server = (uint16_t)s.offset};
	return true;
}

/* plain and ex: two ways into the same work. */
static bool find_pair(struct elf_file *f, const struct elf_function *plain,
		      const struct elf_function *ex, struct tls_site *ret)
{
	struct elf_function inner = {.address = common_call(f, plain, ex)};

	if (find_site(f, &inner, TLS_CALL_POINTER, &ret[0]))
		return true;
	return find_site(f, plain, TLS_CALL_RESULT, &ret[0]) &&
	       (!ex->address || find_site(f, ex, TLS_CALL_POINTER, &ret[1]));
}

/* OpenSSL 3.3: the work that SSL_write() and SSL_write_ex2() share takes flags, too, in front of the
 * pointer; SSL_write_ex() gets there in one way or the other. */
static bool find_write(struct elf_file *f, const struct elf_function *fn, struct tls_site *ret)
{
	struct elf_function inner = {0};

	if (!fn[SSL_WRITE_EX2].address)
		return find_pair(f, &fn[SSL_WRITE], &fn[SSL_WRITE_EX], ret);
	inner.address = common_call(f, &fn[SSL_WRITE], &fn[SSL_WRITE_EX2]);
	if (find_site(f, &inner, TLS_CALL_POINTER5, &ret[0]))
		return true;
	return find_site(f, &fn[SSL_WRITE], TLS_CALL_RESULT, &ret[0]) &&
	       find_site(f, &fn[SSL_WRITE_EX], TLS_CALL_POINTER, &ret[1]);
}

/* The address that a function returns, whatever it is given; 0: it does something else. */
static uint64_t constant_of(struct elf_file *f, const struct elf_function *fn)
{
	uint8_t code[32];
	size_t n = elf_file_code(f, fn->address, code, sizeof(code));
	struct x86_instruction i;
	uint64_t found = 0;
	int32_t value;

	for (size_t at = 0; x86_decode(code + at, n - at, &i) && !i.direct; at += i.len) {
		if (i.kind == X86_END)
			return found;
		if (i.len <= sizeof(value))
			continue;
		memcpy(&value, code + at + i.len - sizeof(value), sizeof(value));
		if (i.len == 7 && !memcmp(code + at, "\x48\x8d\x05", 3)) /* lea value(%rip),%rax */
			found = fn->address + at + i.len + (uint64_t)value;
		else if (i.len == 5 && code[at] == 0xb8) /* mov $value,%eax */
			found = (uint32_t)value;
	}
	return 0;
}

/*
 * (session, type, &type, to, length, peek, &done), behind all of OpenSSL's functions that read: where it
 * copies bytes to what it was given.
 */
static bool find_copies(struct elf_file *f, uint64_t function, struct tls_site ret[TLS_SITES])
{
	_Static_assert(X86_PLACES_STACK == TLS_PLACES_STACK, "places are told as they are found");
	static const struct x86_argument wanted[X86_WANTED] = {
		{X86_RDI, false}, {X86_RSI, true}, {X86_R9, true}};
	struct x86_handed copy[TLS_SITES];
	uint8_t code[READ_CODE_MAX];
	size_t n = elf_file_code(f, function, code, sizeof(code));
	uint32_t count = x86_find_handed(code, n, X86_RCX, wanted, copy, TLS_SITES);

	for (uint32_t i = 0; i < count; i++) {
		const uint16_t *place = copy[i].place;

		if (!elf_file_offset(f, function + copy[i].at, &ret[i].offset))
			return false;
		ret[i].begin = ret[i].offset;
		ret[i].returns = false;
		ret[i].call = TLS_CALL_COPY;
		ret[i].places = TLS_LAYOUT_PLACES(place[0], place[1], place[2]);
	}
	return count;
}

/* The function has no name, but a table of all that TLS does has it. False: it is not clear. */
static bool find_read(struct elf_file *f, const struct elf_function *method,
		      struct tls_site ret[TLS_SITES])
{
	uint64_t word[METHOD_WORDS], at = method->address ? constant_of(f, method) : 0;
	struct tls_site found[TLS_SITES];
	uint64_t reader = 0;

	if (!at || !elf_file_pointers(f, at, word, METHOD_WORDS))
		return false;
	for (int i = 0; i < METHOD_WORDS; i++) {
		memset(found, 0, sizeof(found));
		if (word[i] == reader || !find_copies(f, word[i], found))
			continue;
		if (reader)
			return false;
		reader = word[i];
		memcpy(ret, found, sizeof(found));
	}
	return reader;
}

static int read_openssl(struct elf_file *f, const struct elf_function *fn, struct tls_binary *ret,
			const char **why)
{
	static const uint32_t into[2] = {X86_RDI, X86_RDI};

	ret->library = TLS_OPENSSL;
	*why = "SSL_get_client_random";
	if (!find_randoms(f, &fn[CLIENT_RANDOM], &fn[SERVER_RANDOM], into, &ret->randoms))
		return -EOPNOTSUPP;
	*why = "SSL_read";
	if (!find_read(f, &fn[METHOD], ret->read)) {
		memset(ret->read, 0, sizeof(ret->read));
		if (!find_pair(f, &fn[SSL_READ], &fn[SSL_READ_EX], ret->read))
			return -EOPNOTSUPP;
	}
	*why = "SSL_write";
	return find_write(f, fn, ret->write) ? 0 : -EOPNOTSUPP;
}

/* gnutls_record_send() goes on in gnutls_record_send2(), which has the same arguments and more. */
static int read_gnutls(struct elf_file *f, const struct elf_function *fn, struct tls_binary *ret,
		       const char **why)
{
	static const uint32_t into[2] = {X86_RSI, X86_RDX};
	const struct elf_function *send =
		&fn[fn[RECORD_SEND2].address ? RECORD_SEND2 : RECORD_SEND];

	ret->library = TLS_GNUTLS;
	*why = "gnutls_session_get_random";
	if (!find_randoms(f, &fn[GET_RANDOM], &fn[GET_RANDOM], into, &ret->randoms))
		return -EOPNOTSUPP;
	*why = "gnutls_record_recv";
	if (!find_site(f, &fn[RECORD_RECV], TLS_CALL_RESULT, &ret->read[0]))
		return -EOPNOTSUPP;
	*why = "gnutls_record_send";
	return find_site(f, send, TLS_CALL_RESULT, &ret->write[0]) ? 0 : -EOPNOTSUPP;
}

bool tls_record_site(int fd, struct tls_site *ret)
{
	static const char *const name[] = {"BIO_write"};
	struct elf_function fn;
	struct elf_file f;

	return !elf_file_read(fd, &f) && !elf_file_find(&f, name, 1, &fn) &&
	       find_site(&f, &fn, TLS_CALL_RESULT, ret);
}

int tls_binary_read(int fd, struct tls_binary *ret, const char **ret_why)
{
	struct elf_function fn[NAMES];
	struct tls_binary binary = {0};
	struct elf_file f;
	int err = elf_file_read(fd, &f);

	if (!err)
		err = elf_file_find(&f, names, NAMES, fn);
	if (err)
		return err == -ENOMEM ? err : -ENOEXEC;
	binary.build_id_len = f.build_id_len;
	memcpy(binary.build_id, f.build_id, f.build_id_len);
	if (fn[SSL_READ].address && fn[SSL_WRITE].address)
		err = read_openssl(&f, fn, &binary, ret_why);
	else if (fn[RECORD_RECV].address && fn[RECORD_SEND].address)
		err = read_gnutls(&f, fn, &binary, ret_why);
	else
		return -ENOEXEC;
	if (!err)
		*ret = binary;
	return err;
}
