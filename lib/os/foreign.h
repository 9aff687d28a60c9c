/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_FOREIGN_H
#define MTSI_OS_FOREIGN_H

#include <stddef.h>

/*
 * The program's memory. It may be a mapped file on a slow disk, which takes seconds to read; or one
 * that has been truncated since, so that touching it raises SIGBUS.
 */

/*
 * Reads in the pages that are not in memory: 0, and touching them takes no time for now. -EFAULT:
 * they cannot be read. -ENOSYS: the kernel cannot tell. May wait for long.
 */
int mtsi_foreign_fault_in(const void *data, size_t size);

/*
 * Copies from the program's memory: 0; or -EFAULT, and no signal. May wait for long, unless it was
 * faulted in. Where a sandbox denies the kernel's copy, this is memcpy(3).
 */
int mtsi_foreign_copy(void *to, const void *from, size_t size);

#endif
