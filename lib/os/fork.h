/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_FORK_H
#define MTSI_OS_FORK_H

#include <stdbool.h>

/* From now on forks of this process are noticed. Any thread; may be called again. */
void mtsi_fork_notice(void);

/*
 * Whether there has been a fork since, so that a child may have what this process has open. Any
 * thread.
 */
bool mtsi_forked(void);

#endif
