/* SPDX-License-Identifier: MIT
 *
 * Whether this process has had children. A child has copies of all descriptors, and may change what
 * they have in common: options of sockets. Children that share the memory until they call exec
 * (vfork, posix_spawn) are not noticed. They need not be: exec closes the descriptors, except those
 * that the program has asked for in this process.
 */
#include "os/fork.h"

#include <pthread.h>
#include <stdatomic.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool forked;

static void note(void)
{
	atomic_store_explicit(&forked, true, memory_order_relaxed);
}

static void notice(void)
{
	/*
	 * Noted before the fork, so before any child runs. If there is no memory for the handler,
	 * nobody can know, so a child is assumed.
	 */
	if (pthread_atfork(note, NULL, NULL) != 0) {
		note();
	}
}

void mtsi_fork_notice(void)
{
	(void)pthread_once(&once, notice);
}

bool mtsi_forked(void)
{
	return atomic_load_explicit(&forked, memory_order_relaxed);
}
