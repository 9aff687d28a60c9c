/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_MUST_H
#define MTSI_OS_MUST_H

#include <stdlib.h>

/*
 * mtsi_must() is for what cannot be false unless the library itself is wrong: it stays in every
 * build, and NDEBUG does not touch it. It is never used for what a peer, the machine, a sandbox or
 * the caller can cause: nearly every system call can be denied (seccomp(2)), and that is a value.
 * mtsi_debug_must() is for checks that cost too much for that; only --enable-debug has them.
 */
#define mtsi_must(condition) \
	do { \
		if (!(condition)) { \
			abort(); \
		} \
	} while (0)

#ifdef MTSI_DEBUG
#define mtsi_debug_must(condition) mtsi_must(condition)
#else
#define mtsi_debug_must(condition) ((void)0)
#endif

#endif
