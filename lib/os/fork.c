/* SPDX-License-Identifier: MIT
 *
 * Whether this process has had children. A child has copies of all descriptors, and may change what
 * they have in common: options of sockets. Children that share the memory until they call exec
 * (vfork, posix_spawn) are not noticed, and need not be: descriptors are closed by exec, unless the
 * program has asked for one in this process.
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
	/* Before the fork, so that no child is sooner; when there is no memory for that: who knows. */
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
