/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a function of x86-64 keeps its arguments while it works. */
#ifndef APPMON_X86_ARGUMENTS_H
#define APPMON_X86_ARGUMENTS_H

#include "probe/x86.h"

/* An argument, by the register in which it comes. half: its lower 32 bits will do. */
struct x86_argument {
	uint32_t reg;
	bool half;
};

#define X86_WANTED 3

/* A call, and where the wanted arguments stand before it. */
struct x86_handed {
	uint32_t at; /* relative to the function */
	uint16_t place[X86_WANTED];
};

/* A place: less than this, so many times four bytes above the stack pointer; else a register. */
#define X86_PLACES_STACK 32

/*
 * Finds all calls by which a function hands one of its arguments, a pointer, or another pointer into
 * the same bytes, on as the callee's first one. n: as much code as is at hand; it ends by itself.
 * Returns how many, most at most; 0: none, more, one where a wanted argument has no place that is
 * the same on every way there, or code that is not understood.
 */
uint32_t x86_find_handed(const uint8_t *code, size_t n, uint32_t pointer,
			 const struct x86_argument wanted[X86_WANTED], struct x86_handed *ret,
			 uint32_t most);

#endif /* APPMON_X86_ARGUMENTS_H */
