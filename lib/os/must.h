/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_MUST_H
#define MTSI_OS_MUST_H

#include <stdlib.h>

/*
 * mtsi_must() is for what cannot be false unless the library itself is wrong. It stays in every
 * build, and NDEBUG does not touch it. It is never used for what a peer, the machine, a sandbox or
 * the caller can cause: nearly every system call can be denied (seccomp(2)), and that is a value.
 * mtsi_debug_must() is for checks that cost too much for every build; only --enable-debug has them.
 *
 * Debug builds print on the standard error what was false, and where, and then call
 * mtsi_must_report, which the engine sets, for whatever else is to be printed. Other builds just
 * end: there the core dump tells, and the standard error belongs to the program.
 */
#ifdef MTSI_DEBUG

#include <stdatomic.h>

extern void (*_Atomic mtsi_must_report)(int fd); /* NULL: nothing more is printed */

/* Prints what was false, in debug builds, and ends the process. */
__attribute__((noreturn)) void mtsi_must_fail(const char *what, const char *file, int line);

#define mtsi_must(condition) \
	do { \
		if (!(condition)) { \
			mtsi_must_fail("this must be true: " #condition, __FILE__, __LINE__); \
		} \
	} while (0)
#define mtsi_debug_must mtsi_must

#else

#define mtsi_must(condition) \
	do { \
		if (!(condition)) { \
			abort(); \
		} \
	} while (0)
#define mtsi_debug_must(condition) ((void)0)

#endif

#endif
