/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lengths of instructions (Intel's manual, volume 2, chapter 2 and appendix A), and what a few of
 * them do. A length that is wrong would put a breakpoint into the middle of an instruction: what is
 * not known is no instruction here, and the search ends before it.
 */
#include "probe/x86.h"

#include <string.h>

struct cursor {
	const uint8_t *at, *end;
	bool operand16; /* prefix 66 */
	bool address32; /* prefix 67 */
	bool prefixed;	/* any but REX */
	uint8_t rex;
	uint8_t modrm;
	bool has_modrm;
	uint8_t sib;
	uint32_t displacement; /* bytes of it */
	const uint8_t *after;  /* behind the displacement */
};

static bool take(struct cursor *c, uint32_t n)
{
	if ((size_t)(c->end - c->at) < n)
		return false;
	c->at += n;
	return true;
}

static bool take_modrm(struct cursor *c)
{
	uint32_t mod, rm, displacement = 0;

	if (!take(c, 1))
		return false;
	c->modrm = c->at[-1];
	c->has_modrm = true;
	mod = c->modrm >> 6;
	rm = c->modrm & 7;
	if (mod == 3)
		return true;
	if (mod == 1)
		displacement = 1;
	else if (mod == 2 || rm == 5)
		displacement = 4;
	if (rm == 4) {
		if (!take(c, 1))
			return false;
		c->sib = c->at[-1];
		if (!mod && (c->sib & 7) == 5)
			displacement = 4;
	}
	c->displacement = displacement;
	c->after = c->at + displacement;
	return take(c, displacement);
}

/* Bytes of an immediate that follows the operand size. */
static uint32_t operand(const struct cursor *c)
{
	return c->operand16 && !(c->rex & 8) ? 2 : 4;
}

static uint32_t reg_of(const struct cursor *c)
{
	return (c->modrm >> 3 & 7) | (c->rex & 4) << 1;
}

static uint32_t rm_of(const struct cursor *c)
{
	return (c->modrm & 7) | (c->rex & 1) << 3;
}

/* ---- what is written ------------------------------------------------------------------------- */

#define ALL 0xffffU
#define BIT(n) (1U << (n))

/* To a register or to memory. */
static uint32_t writes_rm(const struct cursor *c)
{
	return c->modrm >> 6 == 3 ? BIT(rm_of(c)) : 0;
}

static uint32_t writes_1(const struct cursor *c, uint8_t op)
{
	uint32_t group = c->modrm >> 3 & 7;

	if (op < 0x40) {
		if (op >> 3 == 7) /* cmp */
			return 0;
		switch (op & 7) {
		case 0:
		case 1:
			return writes_rm(c);
		case 2:
		case 3:
			return BIT(reg_of(c));
		default:
			return BIT(0);
		}
	}
	if (op >= 0x50 && op <= 0x57) /* push */
		return 0;
	if (op >= 0x58 && op <= 0x5f)
		return BIT((op & 7) | (c->rex & 1) << 3);
	if (op >= 0xb0 && op <= 0xbf)
		return BIT((op & 7) | (c->rex & 1) << 3);
	switch (op) {
	case 0x63:
	case 0x69:
	case 0x6b:
	case 0x8a:
	case 0x8b:
	case 0x8d:
		return BIT(reg_of(c));
	case 0x68:
	case 0x6a:
	case 0x84:
	case 0x85:
	case 0x90:
	case 0xa8:
	case 0xa9:
		return op == 0x90 && (c->rex & 1) ? ALL : 0;
	case 0x80:
	case 0x81:
	case 0x83:
		return group == 7 ? 0 : writes_rm(c);
	case 0x88:
	case 0x89:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0xc7:
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return writes_rm(c);
	case 0xf6:
	case 0xf7:
		if (group < 2)
			return 0;
		return group < 4 ? writes_rm(c) : BIT(0) | BIT(X86_RDX);
	case 0xfe:
	case 0xff:
		return group < 2 ? writes_rm(c) : ALL;
	default:
		return ALL;
	}
}

static uint32_t writes_0f(const struct cursor *c, uint8_t op)
{
	if ((op >= 0x18 && op <= 0x1f) || (op >= 0x80 && op <= 0x8f))
		return 0; /* hints, endbr64, branches */
	if (op >= 0x40 && op <= 0x4f)
		return BIT(reg_of(c));
	if (op >= 0x90 && op <= 0x9f)
		return writes_rm(c);
	switch (op) {
	case 0xb6:
	case 0xb7:
	case 0xbe:
	case 0xbf:
	case 0xaf:
		return BIT(reg_of(c));
	case 0x10: /* moves of vectors, and what clears one */
	case 0x11:
	case 0x28:
	case 0x29:
	case 0x57:
	case 0x6e:
	case 0x6f:
	case 0x7f:
	case 0xd6:
	case 0xef:
		return 0;
	default:
		return ALL;
	}
}

/* ---- lengths --------------------------------------------------------------------------------- */

static bool has_modrm_1(uint8_t op)
{
	if (op < 0x40)
		return (op & 7) < 4;
	return op == 0x63 || op == 0x69 || op == 0x6b || (op >= 0x80 && op <= 0x8f) || op == 0xc0 ||
	       op == 0xc1 || op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3) ||
	       (op >= 0xd8 && op <= 0xdf) || op == 0xf6 || op == 0xf7 || op >= 0xfe;
}

static bool is_invalid_1(uint8_t op)
{
	static const uint8_t invalid[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f,
					  0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82,
					  0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea};

	return memchr(invalid, op, sizeof(invalid));
}

static uint32_t immediate_1(const struct cursor *c, uint8_t op)
{
	uint32_t group = c->modrm >> 3 & 7;

	if (op < 0x40)
		return (op & 7) == 4 ? 1 : (op & 7) == 5 ? operand(c) : 0;
	if ((op >= 0x70 && op <= 0x7f) || (op >= 0xb0 && op <= 0xb7) || (op >= 0xe0 && op <= 0xe7))
		return 1;
	if (op >= 0xb8 && op <= 0xbf)
		return c->rex & 8 ? 8 : operand(c);
	if (op >= 0xa0 && op <= 0xa3)
		return c->address32 ? 4 : 8;
	switch (op) {
	case 0x68:
	case 0x69:
	case 0x81:
	case 0xa9:
	case 0xc7:
		return operand(c);
	case 0x6a:
	case 0x6b:
	case 0x80:
	case 0x83:
	case 0xa8:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0xcd:
	case 0xeb:
		return 1;
	case 0xc2:
	case 0xca:
		return 2;
	case 0xc8:
		return 3;
	case 0xe8:
	case 0xe9:
		return 4;
	case 0xf6:
		return group < 2 ? 1 : 0;
	case 0xf7:
		return group < 2 ? operand(c) : 0;
	default:
		return 0;
	}
}

static bool is_plain_0f(uint8_t op)
{
	return op == 0x05 || op == 0x06 || op == 0x07 || op == 0x08 || op == 0x09 || op == 0x0b ||
	       op == 0x0e || (op >= 0x30 && op <= 0x37) || op == 0x77 ||
	       (op >= 0xa0 && op <= 0xa2) || (op >= 0xa8 && op <= 0xaa) ||
	       (op >= 0xc8 && op <= 0xcf);
}

static bool is_invalid_0f(uint8_t op)
{
	return op == 0x04 || op == 0x0a || op == 0x0c || (op >= 0x24 && op <= 0x27) || op == 0x36 ||
	       op == 0x39 || (op >= 0x3b && op <= 0x3f) || op == 0x78 || op == 0x79 || op == 0x7a ||
	       op == 0x7b;
}

static uint32_t immediate_0f(uint8_t op)
{
	return op == 0x0f || (op >= 0x70 && op <= 0x73) || op == 0xa4 || op == 0xac || op == 0xba ||
	       op == 0xc2 || (op >= 0xc4 && op <= 0xc6);
}

/* VEX, EVEX and AMD's XOP: vectors, for the most part. map: 1 to 3 are those behind 0f, 0f 38 and
 * 0f 3a; 8 to 10 are XOP's. */
static bool vector(struct cursor *c, uint8_t escape)
{
	int bytes = escape == 0x62 ? 3 : escape == 0xc5 ? 1 : 2;
	uint32_t map = 1, immediate;
	uint8_t op;

	if (c->rex || !take(c, (uint32_t)bytes + 1))
		return false;
	op = c->at[-1];
	if (bytes > 1)
		map = c->at[-1 - bytes] & (bytes == 3 ? 7 : 31);
	if (escape == 0x8f) {
		if (map < 8 || map > 10)
			return false;
		immediate = map == 8 ? 1 : map == 10 ? 4 : 0;
	} else {
		if (map < 1 || map == 4 || map > (bytes == 3 ? 6 : 3))
			return false;
		immediate = map == 3 || (map == 1 && immediate_0f(op));
		if (bytes < 3 && map == 1 && op == 0x77) /* vzeroupper */
			return true;
	}
	return take_modrm(c) && take(c, immediate);
}

static int64_t displacement(const uint8_t *end, uint32_t n)
{
	int32_t wide;

	if (n == 1)
		return (int8_t)end[-1];
	memcpy(&wide, end - 4, sizeof(wide));
	return wide;
}

static void direct(struct x86_instruction *ret, const struct cursor *c, const uint8_t *code,
		   uint32_t n)
{
	ret->direct = true;
	ret->target = (c->at - code) + displacement(c->at, n);
}

/* Is the operand in memory at a register and a displacement? */
static bool is_based(const struct cursor *c, struct x86_instruction *ret)
{
	uint32_t mod = c->modrm >> 6, rm = c->modrm & 7;

	if (mod == 3 || (!mod && rm == 5)) /* the latter: relative to the instruction */
		return false;
	ret->base = rm_of(c);
	if (rm == 4) {
		if ((c->sib >> 3 & 7) != 4 || (c->rex & 2) || (!mod && (c->sib & 7) == 5))
			return false;
		ret->base = (c->sib & 7) | (c->rex & 1) << 3;
	}
	ret->value = c->displacement ? displacement(c->after, c->displacement) : 0;
	return true;
}

static enum x86_move move_memory(const struct cursor *c, uint8_t op, struct x86_instruction *ret)
{
	ret->reg = reg_of(c);
	if (!is_based(c, ret))
		return X86_MOVE_OTHER;
	return op == 0x8d   ? X86_MOVE_ADDRESS
	       : op == 0x8b ? X86_MOVE_LOAD
	       : op == 0x89 ? X86_MOVE_STORE
			    : X86_MOVE_ADD_LOAD;
}

static enum x86_move move_register(const struct cursor *c, uint8_t op, struct x86_instruction *ret)
{
	const uint32_t group = c->modrm >> 3 & 7;

	const bool to_reg = op == 0x03 || op == 0x8b;

	ret->reg = to_reg ? reg_of(c) : rm_of(c);
	ret->base = to_reg ? rm_of(c) : reg_of(c);
	if (op == 0x89 || op == 0x8b)
		return X86_MOVE_REGISTER;
	if (op == 0x01 || op == 0x03)
		return X86_MOVE_ADD_REGISTER;
	ret->value = displacement(c->at, op == 0x83 ? 1 : 4);
	if (op == 0xc7)
		return group ? X86_MOVE_OTHER : X86_MOVE_CONSTANT;
	if (group == 5) /* sub: -128 is shorter so */
		ret->value = -ret->value;
	return group == 0 || group == 5 ? X86_MOVE_ADD : X86_MOVE_OTHER;
}

static enum x86_move move_of(const struct cursor *c, uint8_t op, struct x86_instruction *ret)
{
	const bool wide = c->rex & 8;

	if (c->prefixed)
		return X86_MOVE_OTHER;
	ret->half = !wide && (op == 0x89 || op == 0x8b);
	if (op >= 0xb8 && op <= 0xbf && !wide) { /* the upper half becomes 0 */
		ret->reg = (op & 7) | (c->rex & 1) << 3;
		ret->value = (uint32_t)displacement(c->at, 4);
		return X86_MOVE_CONSTANT;
	}
	if (!wide && !ret->half)
		return X86_MOVE_OTHER;
	if (op == 0x05) {
		ret->reg = X86_RAX;
		ret->value = displacement(c->at, 4);
		return X86_MOVE_ADD;
	}
	if (op == 0x8d || ((op == 0x03 || op == 0x89 || op == 0x8b) && c->modrm >> 6 != 3))
		return move_memory(c, op, ret);
	if ((op == 0x01 || op == 0x03 || op == 0x81 || op == 0x83 || op == 0x89 || op == 0x8b ||
	     op == 0xc7) &&
	    c->modrm >> 6 == 3)
		return move_register(c, op, ret);
	return X86_MOVE_OTHER;
}

/* Instructions with an operand in memory that they leave as it is. */
static bool only_reads_1(const struct cursor *c, uint8_t op)
{
	const uint32_t group = c->modrm >> 3 & 7;

	if (op < 0x40)
		return (op & 7) >= 2 || op >> 3 == 7;
	return op == 0x63 || op == 0x69 || op == 0x6b || op == 0x84 || op == 0x85 || op == 0x8a ||
	       op == 0x8b || op == 0x8d ||
	       ((op == 0x80 || op == 0x81 || op == 0x83) && group == 7) ||
	       ((op == 0xf6 || op == 0xf7) && (group < 2 || group > 3)) ||
	       (op == 0xff && group >= 2);
}

static int32_t pushes_1(const struct cursor *c, uint8_t op)
{
	const uint32_t group = c->modrm >> 3 & 7;

	if ((op >= 0x50 && op <= 0x57) || op == 0x68 || op == 0x6a || (op == 0xff && group == 6))
		return 8;
	return (op >= 0x58 && op <= 0x5f) || (op == 0x8f && !group) ? -8 : 0;
}

static bool decode_1(struct cursor *c, const uint8_t *code, uint8_t op, struct x86_instruction *ret)
{
	if (is_invalid_1(op) || (has_modrm_1(op) && !take_modrm(c)) || !take(c, immediate_1(c, op)))
		return false;
	ret->writes = writes_1(c, op);
	ret->move = move_of(c, op, ret);
	ret->pushes = pushes_1(c, op);
	if (op >= 0x50 && op <= 0x5f)
		ret->reg = (op & 7) | (c->rex & 1) << 3;
	if (ret->move == X86_MOVE_OTHER && c->has_modrm && is_based(c, ret) && !only_reads_1(c, op))
		ret->stores = !(op & 1) ? 1 : c->rex & 8 ? 8 : 4;
	if (op >= 0x50 && op <= 0x57 && !c->prefixed && (!c->rex || c->rex == 0x41)) {
		ret->kind = X86_PUSH;
	} else if (op == 0xe8 || op == 0xe9 || op == 0xeb || (op >= 0x70 && op <= 0x7f)) {
		direct(ret, c, code, op == 0xe8 || op == 0xe9 ? 4 : 1);
		ret->kind = op == 0xe8 ? X86_CALL : op >= 0xe9 ? X86_JUMP : X86_BRANCH;
		ret->writes = op == 0xe8 ? ALL : 0;
		if (c->prefixed || c->rex)
			ret->kind = X86_OTHER; /* the kernel may not take it as one */
	} else if (op >= 0xe0 && op <= 0xe3) { /* loop, jrcxz */
		direct(ret, c, code, 1);
	} else if (op == 0xc2 || op == 0xc3 || op == 0xca || op == 0xcb || op == 0xcc ||
		   op == 0xcf || op == 0xf4) {
		ret->kind = X86_END;
	} else if (op == 0xff && (c->modrm >> 3 & 6) == 4) {
		ret->kind = X86_JUMP_INDIRECT;
	} else if (op == 0xff && (c->modrm >> 3 & 7) == 2) {
		ret->kind = X86_CALL_INDIRECT;
	}
	return true;
}

static bool only_reads_0f(uint8_t op)
{
	return op == 0x10 || op == 0x16 || (op >= 0x18 && op <= 0x1f) || op == 0x28 ||
	       (op >= 0x40 && op <= 0x4f) || op == 0x6e || op == 0x6f || op == 0xaf || op == 0xb6 ||
	       op == 0xb7 || op == 0xbe || op == 0xbf || op == 0xef;
}

static bool decode_0f(struct cursor *c, const uint8_t *code, struct x86_instruction *ret)
{
	uint8_t op;

	if (!take(c, 1))
		return false;
	op = c->at[-1];
	if (op == 0x38 || op == 0x3a)
		return take(c, 1) && take_modrm(c) && take(c, op == 0x3a);
	if (op >= 0x80 && op <= 0x8f) {
		if (!take(c, 4))
			return false;
		direct(ret, c, code, 4);
		ret->kind = c->prefixed || c->rex ? X86_OTHER : X86_BRANCH;
		ret->writes = 0;
		return true;
	}
	if (is_invalid_0f(op) || (!is_plain_0f(op) && !take_modrm(c)) || !take(c, immediate_0f(op)))
		return false;
	ret->writes = is_plain_0f(op) ? ALL : writes_0f(c, op);
	if (c->has_modrm && is_based(c, ret) && !only_reads_0f(op))
		ret->stores = (op & 0xf0) == 0x90 ? 1 : 16;
	if (op == 0x0b)
		ret->kind = X86_END;
	return true;
}

bool x86_decode(const uint8_t *code, size_t n, struct x86_instruction *ret)
{
	struct cursor c = {.at = code,
			   .end = code + (n < X86_INSTRUCTION_MAX ? n : X86_INSTRUCTION_MAX)};
	bool ok;
	uint8_t op;

	*ret = (struct x86_instruction){.kind = X86_OTHER, .writes = ALL};
	for (;;) {
		if (!take(&c, 1))
			return false;
		op = c.at[-1];
		if (op == 0x66)
			c.operand16 = true;
		else if (op == 0x67)
			c.address32 = true;
		else if (op != 0xf0 && op != 0xf2 && op != 0xf3 && op != 0x2e && op != 0x36 &&
			 op != 0x3e && op != 0x26 && op != 0x64 && op != 0x65)
			break;
		c.prefixed = true;
	}
	if (op >= 0x40 && op <= 0x4f) {
		c.rex = op;
		if (!take(&c, 1))
			return false;
		op = c.at[-1];
		if (op >= 0x40 && op <= 0x4f)
			return false;
	}
	if (op == 0x0f)
		ok = decode_0f(&c, code, ret);
	else if (op == 0x62 || op == 0xc4 || op == 0xc5 ||
		 (op == 0x8f && c.at < c.end && (*c.at & 0x38)))
		ok = vector(&c, op);
	else
		ok = decode_1(&c, code, op, ret);
	ret->len = (uint32_t)(c.at - code);
	return ok;
}

/* ---- functions ------------------------------------------------------------------------------- */

/* Does anything in the function jump to a place behind its first byte, up to and including site? */
static bool is_passed_again(const uint8_t *code, size_t n, uint64_t site)
{
	struct x86_instruction i;

	for (size_t at = 0; at < n; at += i.len) {
		int64_t target;

		if (!x86_decode(code + at, n - at, &i))
			return at <= site; /* the rest is no code, or data in it */
		target = (int64_t)at + i.target;
		if (i.direct && i.kind != X86_CALL && target > 0 && target <= (int64_t)site)
			return true;
	}
	return false;
}

bool x86_find_site(const uint8_t *code, size_t n, uint32_t arguments, struct x86_site *ret)
{
	struct x86_instruction i;
	bool moved = false;

	for (size_t at = 0; at < n && x86_decode(code + at, n - at, &i); at += i.len) {
		if (i.kind <= X86_BRANCH) {
			*ret = (struct x86_site){.at = (uint32_t)at, .returns = !moved};
			return !is_passed_again(code, n, at);
		}
		if (i.kind == X86_END || i.direct || (i.writes & arguments))
			return false;
		moved |= (i.writes & BIT(X86_RSP)) != 0;
	}
	return false;
}

bool x86_each_call(const uint8_t *code, size_t n, void (*fn)(void *ctx, int64_t target), void *ctx)
{
	struct x86_instruction i;

	for (size_t at = 0; at < n; at += i.len) {
		int64_t target;

		if (!x86_decode(code + at, n - at, &i))
			return false;
		target = (int64_t)at + i.target;
		if (i.direct && (i.kind == X86_CALL || target < 0 || target >= (int64_t)n))
			fn(ctx, target);
	}
	return true;
}

/* ---- addresses ------------------------------------------------------------------------------- */

#define AHEAD_MAX 16

struct value {
	enum { UNKNOWN, CONSTANT, ARGUMENT, HELD } kind; /* HELD: relative to a loaded pointer */
	uint32_t argument;				 /* the register in which it came */
	struct x86_address address;			 /* of CONSTANT: offset */
};

struct state {
	size_t at; /* where the code goes on with this */
	struct value reg[X86_REGISTERS];
};

/* Branches forward: what the registers hold where they lead. */
struct ahead {
	struct state state[AHEAD_MAX];
	uint32_t count;
};

/* Where two ways meet: if one of them does not know, the other one does. */
static void meet(struct value *reg, const struct value *other)
{
	for (int r = 0; r < X86_REGISTERS; r++) {
		struct value *a = &reg[r];
		const struct value *b = &other[r];

		if (a->kind == UNKNOWN)
			*a = *b;
		else if (b->kind != UNKNOWN && (a->kind != b->kind || a->argument != b->argument ||
						a->address.holder != b->address.holder ||
						a->address.offset != b->address.offset))
			*a = (struct value){0};
	}
}

static void branch(struct ahead *ahead, size_t to, const struct value *reg)
{
	struct state *s;

	for (uint32_t i = 0; i < ahead->count; i++)
		if (ahead->state[i].at == to) {
			meet(ahead->state[i].reg, reg);
			return;
		}
	if (ahead->count == AHEAD_MAX)
		return;
	s = &ahead->state[ahead->count++];
	s->at = to;
	memcpy(s->reg, reg, sizeof(s->reg));
}

/* Is the code at this place reached, by what stands before it or by a branch? */
static bool arrive(const struct ahead *ahead, size_t at, bool reached, struct value *reg)
{
	for (uint32_t i = 0; i < ahead->count; i++) {
		if (ahead->state[i].at != at)
			continue;
		if (reached)
			meet(reg, ahead->state[i].reg);
		else
			memcpy(reg, ahead->state[i].reg, sizeof(ahead->state[i].reg));
		return true;
	}
	return reached;
}

static struct value loaded(const struct value *base, int64_t displacement)
{
	struct value v = {.kind = HELD, .argument = base->argument};

	v.address.holder = base->address.offset + displacement;
	if (base->kind != ARGUMENT || v.address.holder <= 0)
		v.kind = UNKNOWN;
	return v;
}

static struct value result_of(const struct x86_instruction *i, const struct value *reg)
{
	struct value v = {0};

	switch (i->move) {
	case X86_MOVE_REGISTER:
	case X86_MOVE_ADDRESS:
		v = reg[i->base];
		break;
	case X86_MOVE_ADD:
		v = reg[i->reg];
		break;
	case X86_MOVE_CONSTANT:
		v.kind = CONSTANT;
		break;
	case X86_MOVE_LOAD:
		return loaded(&reg[i->base], i->value);
	case X86_MOVE_ADD_LOAD:
		if (reg[i->reg].kind == CONSTANT)
			v = loaded(&reg[i->base], i->value);
		v.address.offset += reg[i->reg].address.offset;
		return v;
	default:
		return v;
	}
	v.address.offset += i->value;
	return v;
}

/* Does the instruction make, hand on or store the address that is looked for? */
static bool is_address(const struct x86_instruction *i, const struct value *reg, uint32_t into,
		       bool leaves, struct value *ret)
{
	if (into != X86_RDI) {
		const struct value *to = &reg[i->base];

		*ret = reg[i->reg];
		return i->move == X86_MOVE_STORE && to->kind == ARGUMENT && to->argument == into &&
		       to->address.offset + i->value == 0;
	}
	*ret = reg[X86_RSI];
	if (leaves)
		return true;
	*ret = result_of(i, reg);
	return i->move == X86_MOVE_ADDRESS || i->move == X86_MOVE_ADD ||
	       i->move == X86_MOVE_ADD_LOAD;
}

bool x86_find_address(const uint8_t *code, size_t n, uint32_t into, struct x86_address *ret)
{
	struct value reg[X86_REGISTERS] = {0}, found;
	struct ahead ahead = {.count = 0};
	struct x86_instruction i;
	bool reached = true;

	for (uint32_t r = X86_RDX; r <= X86_RDI; r++)
		if (r == X86_RDX || r >= X86_RSI)
			reg[r] = (struct value){.kind = ARGUMENT, .argument = r};
	for (size_t at = 0; at < n && x86_decode(code + at, n - at, &i); at += i.len) {
		const int64_t target = (int64_t)at + i.target;
		bool leaves;

		reached = arrive(&ahead, at, reached, reg);
		if (!reached)
			continue;
		if (i.half)
			i.move = X86_MOVE_OTHER;
		leaves = i.direct && (i.kind == X86_CALL || target < 0 || target >= (int64_t)n);
		if (is_address(&i, reg, into, leaves, &found) && found.argument == X86_RDI &&
		    (found.kind == ARGUMENT || found.kind == HELD)) {
			*ret = found.address;
			return true;
		}
		found = result_of(&i, reg);
		for (uint32_t r = 0; r < X86_REGISTERS; r++)
			if (i.writes & BIT(r))
				reg[r] = (struct value){0};
		if (i.move != X86_MOVE_OTHER && i.move != X86_MOVE_STORE)
			reg[i.reg] = found;
		if (i.direct && i.kind != X86_CALL && target > (int64_t)at && target < (int64_t)n)
			branch(&ahead, (size_t)target, reg);
		reached = i.kind != X86_END && i.kind != X86_JUMP && i.kind != X86_JUMP_INDIRECT;
	}
	return false;
}
