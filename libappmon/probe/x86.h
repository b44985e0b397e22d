/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine code of x86-64, as far as it takes to choose the place of a uprobe. */
#ifndef APPMON_X86_H
#define APPMON_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define X86_INSTRUCTION_MAX 15

/* What the kernel does itself, so that a uprobe there costs one trap: the first four. */
enum x86_kind {
	X86_PUSH,
	X86_CALL,
	X86_JUMP,
	X86_BRANCH,
	X86_END,
	X86_JUMP_INDIRECT,
	X86_CALL_INDIRECT,
	X86_OTHER
};

/* What is known of an instruction that moves words around. */
enum x86_move {
	X86_MOVE_OTHER,
	X86_MOVE_ADDRESS,     /* lea value(base), reg */
	X86_MOVE_LOAD,	      /* mov value(base), reg */
	X86_MOVE_STORE,	      /* mov reg, value(base) */
	X86_MOVE_REGISTER,    /* mov base, reg */
	X86_MOVE_CONSTANT,    /* mov $value, reg */
	X86_MOVE_ADD,	      /* add $value, reg */
	X86_MOVE_ADD_LOAD,    /* add value(base), reg */
	X86_MOVE_ADD_REGISTER /* add base, reg */
};

struct x86_instruction {
	uint32_t len;
	enum x86_kind kind; /* X86_END: what follows is not reached from here */
	bool direct;	    /* it is a call, jump or branch to: */
	int64_t target;	    /* relative to the instruction's first byte */
	uint32_t writes;    /* bit n: may change the general register n, as machine code numbers
			      * them; of those that are not known all are set */
	enum x86_move move;
	bool half;	    /* it moves 32 bits */
	uint32_t stores;    /* so many bytes at value(base) it may change, other than by a move */
	int32_t pushes;	    /* bytes that it puts on the stack; less than 0: takes from it */
	uint32_t reg, base; /* of move; reg: also what is pushed or popped */
	int64_t value;
};

enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI, X86_R8, X86_R9 };
#define X86_REGISTERS 16
/* The first arguments of a function in the System V ABI. */
#define X86_ARGUMENTS_3 (1U << X86_RDI | 1U << X86_RSI | 1U << X86_RDX)
#define X86_ARGUMENTS_4 (X86_ARGUMENTS_3 | 1U << X86_RCX)
#define X86_ARGUMENTS_5 (X86_ARGUMENTS_4 | 1U << X86_R8)

/* False: there is no such instruction, or it is not all here. */
bool x86_decode(const uint8_t *code, size_t n, struct x86_instruction *ret);

struct x86_site {
	uint32_t at; /* relative to the function */
	bool returns; /* the return address is on top of the stack: a return probe can be here, too */
};

/*
 * The first place in a function that every call of it passes once, with its arguments still in
 * their registers (a mask as x86_instruction.writes), and that the kernel emulates. n: bytes of
 * the function, or of as much as is at hand. False: there is none.
 */
bool x86_find_site(const uint8_t *code, size_t n, uint32_t arguments, struct x86_site *ret);

/* Calls fn with the target of each direct call, and of each jump that leaves the function, relative
 * to its first byte. False: not all of it could be decoded. */
bool x86_each_call(const uint8_t *code, size_t n, void (*fn)(void *ctx, int64_t target), void *ctx);

/* An address: offset bytes behind the first argument, or behind the pointer that stands holder bytes
 * behind that. */
struct x86_address {
	int64_t holder; /* 0: there is no pointer between */
	int64_t offset;
};

/*
 * Follows the addresses that a function makes of its first argument. into: X86_RSI or X86_RDX: which
 * one it stores where its second or third argument points; X86_RDI: the first one that it makes by an
 * addition, or hands to another function as second argument. False: there is no such address.
 */
bool x86_find_address(const uint8_t *code, size_t n, uint32_t into, struct x86_address *ret);

#endif /* APPMON_X86_H */
