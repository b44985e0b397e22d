/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Follows the arguments of a function through registers and the frame, on all ways through its code:
 * where ways meet, only what is true on each of them is kept, and loops are gone through until
 * nothing changes any more. What an instruction does that is not known makes everything unknown.
 *
 * A compiler keeps what it spills apart from what the program can point to. So stores go into the
 * frame only where their address is made of the stack pointer.
 */
#include "probe/x86-arguments.h"

#include <stdlib.h>
#include <string.h>

#define CELLS 160 /* of the frame, 4 bytes each */
#define TARGETS_MAX 384
#define SWEEPS_MAX 32
#define CELL 4
#define WORD 8

/* What is known of a register or a cell: one of these, and the register of the argument. */
enum kind {
	UNKNOWN,
	WHOLE,	/* the argument; of a cell: its lower half, with UPPER in the next one */
	LOWER,	/* the lower half of the argument */
	UPPER,	/* of a cell: the upper half */
	POINTS, /* into the same bytes */
	FRAME	/* an address in the frame; not in cells */
};

struct value {
	uint8_t kind, argument;
	int16_t at; /* of FRAME: relative to the stack pointer at the begin */
};

struct state {
	uint32_t at;
	bool reached;
	struct value reg[X86_REGISTERS];
	struct value cell[CELLS]; /* from the begin downwards */
};

struct function {
	const uint8_t *code;
	size_t n;
	uint32_t targets;
	bool changed;
	struct state now;
	struct state target[TARGETS_MAX]; /* where jumps lead, by address */
};

/* ---- values ---------------------------------------------------------------------------------- */

static const struct value unknown;

static bool same(const struct value *a, const struct value *b)
{
	return a->kind == b->kind && a->argument == b->argument && a->at == b->at;
}

/* What is true of both. Returns whether that is less than a. */
static bool meet(struct value *a, const struct value *b)
{
	struct value was = *a;

	if (same(a, b) || a->kind == UNKNOWN)
		return false;
	if (a->argument != b->argument || a->kind == FRAME || b->kind == FRAME)
		*a = unknown;
	else if ((a->kind == WHOLE && b->kind == LOWER) || (a->kind == LOWER && b->kind == WHOLE))
		a->kind = LOWER;
	else if ((a->kind == WHOLE && b->kind == POINTS) || (a->kind == POINTS && b->kind == WHOLE))
		a->kind = POINTS;
	else
		*a = unknown;
	return !same(a, &was);
}

static struct value half_of(struct value v)
{
	if (v.kind == WHOLE)
		v.kind = LOWER;
	return v.kind == LOWER ? v : unknown;
}

static struct value moved(struct value v, int64_t by)
{
	if (v.kind == FRAME && by >= INT16_MIN / 2 && by <= INT16_MAX / 2 &&
	    v.at + by >= INT16_MIN && v.at + by <= INT16_MAX)
		v.at = (int16_t)(v.at + by);
	else if (by && (v.kind == WHOLE || v.kind == POINTS))
		v.kind = POINTS;
	else if (by)
		v = unknown;
	return v;
}

/* ---- the frame ------------------------------------------------------------------------------- */

static struct value *cell(struct state *s, int64_t at)
{
	const int64_t n = -at / CELL - 1;

	return n >= 0 && n < CELLS && !(at % CELL) ? &s->cell[n] : NULL;
}

static void forget(struct state *s, int64_t at, int64_t bytes)
{
	for (int64_t i = at - (at & (CELL - 1)); i < at + bytes; i += CELL)
		if (cell(s, i))
			*cell(s, i) = unknown;
}

static void store(struct state *s, int64_t at, struct value v, bool half)
{
	struct value *lower = cell(s, at), *upper = cell(s, at + CELL);

	forget(s, at, half ? CELL : WORD);
	if (half)
		v = half_of(v);
	if (!lower || v.kind == UNKNOWN || v.kind == FRAME)
		return;
	*lower = v;
	if (!half && upper && v.kind != LOWER) {
		v.kind = UPPER;
		*upper = v;
	}
}

static struct value load(struct state *s, int64_t at, bool half)
{
	const struct value *lower = cell(s, at), *upper = cell(s, at + CELL);

	if (!lower)
		return unknown;
	if (!half && upper && upper->kind == UPPER && upper->argument == lower->argument)
		return *lower;
	return half_of(*lower);
}

/* ---- instructions ---------------------------------------------------------------------------- */

#define BIT(n) (1U << (n))
/* A callee may change all others. */
#define KEPT (BIT(X86_RBX) | BIT(X86_RSP) | BIT(X86_RBP) | BIT(12) | BIT(13) | BIT(14) | BIT(15))

static struct value result_of(struct state *s, const struct x86_instruction *i)
{
	const struct value base = s->reg[i->base], reg = s->reg[i->reg];

	switch (i->move) {
	case X86_MOVE_REGISTER:
		return i->half ? half_of(base) : base;
	case X86_MOVE_ADDRESS:
		return moved(base, i->value);
	case X86_MOVE_ADD:
		return moved(reg, i->value);
	case X86_MOVE_ADD_REGISTER:
		return base.kind == UNKNOWN && reg.kind != FRAME ? moved(reg, 1) : unknown;
	case X86_MOVE_LOAD:
		return base.kind == FRAME ? load(s, base.at + i->value, i->half) : unknown;
	default:
		return unknown;
	}
}

static void push_or_pop(struct state *s, const struct x86_instruction *i, struct value *ret)
{
	struct value *sp = &s->reg[X86_RSP];

	if (i->pushes < 0 && sp->kind == FRAME)
		*ret = load(s, sp->at, false);
	*sp = moved(*sp, -i->pushes);
	if (i->pushes > 0 && sp->kind == FRAME)
		store(s, sp->at, i->kind == X86_PUSH ? *ret : unknown, false);
}

static void execute(struct state *s, const struct x86_instruction *i)
{
	const bool call = i->kind == X86_CALL || i->kind == X86_CALL_INDIRECT;
	const struct value base = s->reg[i->base], first = s->reg[X86_RDI];
	struct value result = result_of(s, i);

	if (i->move == X86_MOVE_STORE && base.kind == FRAME)
		store(s, base.at + i->value, s->reg[i->reg], i->half);
	if (i->stores && base.kind == FRAME)
		forget(s, base.at + i->value, i->stores);
	if (i->pushes) {
		result = s->reg[i->reg];
		push_or_pop(s, i, &result);
	}
	for (uint32_t r = 0; r < X86_REGISTERS; r++)
		if (call ? !(KEPT & BIT(r)) : i->pushes > 0 ? false : i->writes & BIT(r))
			s->reg[r] = unknown;
	/* memcpy() returns what it was given, and compilers count on that. */
	if (call && (first.kind == WHOLE || first.kind == POINTS))
		s->reg[X86_RAX] = (struct value){.kind = POINTS, .argument = first.argument};
	if (i->pushes < 0 ? i->writes == BIT(i->reg)
			  : i->move != X86_MOVE_OTHER && i->move != X86_MOVE_STORE)
		s->reg[i->reg] = result;
}

/* ---- ways through the code ------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct state *s = a, *t = b;

	return s->at < t->at ? -1 : s->at > t->at;
}

static struct state *target_at(struct function *f, uint32_t at)
{
	const struct state key = {.at = at};

	return bsearch(&key, f->target, f->targets, sizeof(key), compare);
}

/* Notes where jumps lead, and ends behind the last instruction that can be reached. */
static bool find_targets(struct function *f)
{
	struct x86_instruction i;
	size_t last = 0, n = 0;

	for (size_t at = 0;; at += i.len) {
		int64_t to;

		if (!x86_decode(f->code + at, f->n - at, &i) || i.kind == X86_JUMP_INDIRECT)
			return false;
		to = (int64_t)at + i.target;
		if (i.direct && i.kind != X86_CALL) {
			/* What is out of sight may come back. */
			if (to < 0 || to >= (int64_t)f->n || f->targets == TARGETS_MAX)
				return false;
			f->target[f->targets++].at = (uint32_t)to;
			last = (size_t)to > last ? (size_t)to : last;
		}
		if ((i.kind == X86_END || i.kind == X86_JUMP) && at + i.len > last) {
			f->n = at + i.len;
			break;
		}
	}
	qsort(f->target, f->targets, sizeof(f->target[0]), compare);
	for (uint32_t k = 0; k < f->targets; k++)
		if (!n || f->target[n - 1].at != f->target[k].at)
			f->target[n++].at = f->target[k].at;
	f->targets = (uint32_t)n;
	return true;
}

static void arrive(struct function *f, struct state *to)
{
	const uint32_t at = to->at;

	if (!to->reached) {
		*to = f->now;
		to->at = at;
		f->changed = true;
		return;
	}
	for (int r = 0; r < X86_REGISTERS; r++)
		f->changed |= meet(&to->reg[r], &f->now.reg[r]);
	for (int c = 0; c < CELLS; c++)
		f->changed |= meet(&to->cell[c], &f->now.cell[c]);
}

typedef void (*visit_fn)(void *ctx, size_t at, const struct x86_instruction *i, struct state *s);

static void sweep(struct function *f, visit_fn fn, void *ctx)
{
	struct x86_instruction i;

	f->now = (struct state){.reached = true};
	f->now.reg[X86_RSP] = (struct value){.kind = FRAME};
	for (uint8_t r = 0; r < X86_REGISTERS; r++)
		if (BIT(r) & (X86_ARGUMENTS_5 | BIT(X86_R9)))
			f->now.reg[r] = (struct value){.kind = WHOLE, .argument = r};
	for (size_t at = 0; at < f->n; at += i.len) {
		struct state *here = target_at(f, (uint32_t)at);

		if (here) {
			if (f->now.reached)
				arrive(f, here);
			f->now = *here;
		}
		if (!x86_decode(f->code + at, f->n - at, &i))
			return; /* never: they were decoded before */
		if (!f->now.reached)
			continue;
		if (fn)
			fn(ctx, at, &i, &f->now);
		execute(&f->now, &i);
		if (i.direct && i.kind != X86_CALL) {
			here = target_at(f, (uint32_t)((int64_t)at + i.target));
			if (here)
				arrive(f, here);
		}
		f->now.reached = i.kind != X86_END && i.kind != X86_JUMP;
	}
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct search {
	uint32_t pointer;
	const struct x86_argument *wanted;
	struct x86_handed *ret;
	uint32_t count, most;
	bool missing;
};

static bool holds(struct value v, const struct x86_argument *wanted)
{
	if (wanted->half)
		v = half_of(v);
	return v.kind == (wanted->half ? LOWER : WHOLE) && v.argument == wanted->reg;
}

static bool find_place(struct state *s, const struct x86_argument *wanted, uint16_t *ret)
{
	const struct value *sp = &s->reg[X86_RSP];

	for (uint32_t r = 0; r < X86_REGISTERS; r++)
		if ((KEPT & BIT(r)) && holds(s->reg[r], wanted)) {
			*ret = (uint16_t)(X86_PLACES_STACK + r);
			return true;
		}
	for (uint32_t i = 0; sp->kind == FRAME && i < X86_PLACES_STACK; i++)
		if (holds(load(s, sp->at + (int64_t)i * CELL, wanted->half), wanted)) {
			*ret = (uint16_t)i;
			return true;
		}
	return false;
}

static void look_at(void *ctx, size_t at, const struct x86_instruction *i, struct state *s)
{
	struct search *search = ctx;
	const struct value *first = &s->reg[X86_RDI];
	struct x86_handed handed = {.at = (uint32_t)at};

	if ((i->kind != X86_CALL && i->kind != X86_CALL_INDIRECT) ||
	    (first->kind != WHOLE && first->kind != POINTS) || first->argument != search->pointer)
		return;
	for (int k = 0; k < X86_WANTED; k++)
		search->missing |= !find_place(s, &search->wanted[k], &handed.place[k]);
	search->missing |= i->kind != X86_CALL || search->count == search->most;
	if (!search->missing)
		search->ret[search->count++] = handed;
}

uint32_t x86_find_handed(const uint8_t *code, size_t n, uint32_t pointer,
			 const struct x86_argument wanted[X86_WANTED], struct x86_handed *ret,
			 uint32_t most)
{
	struct search search = {.pointer = pointer, .wanted = wanted, .ret = ret, .most = most};
	struct function *f = calloc(1, sizeof(*f));
	int sweeps = 0;

	if (!f)
		return 0;
	f->code = code;
	f->n = n;
	if (find_targets(f)) {
		do {
			f->changed = false;
			sweep(f, NULL, NULL);
		} while (f->changed && ++sweeps < SWEEPS_MAX);
		if (!f->changed)
			sweep(f, look_at, &search);
	}
	free(f);
	return search.missing ? 0 : search.count;
}
