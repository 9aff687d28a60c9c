/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_FOREIGN_H
#define MTSI_OS_FOREIGN_H

#include <stddef.h>

/*
 * The program's memory. It may be a mapped file on a slow disk, which takes seconds to read; or one
 * that has been truncated since, and touching it raises SIGBUS.
 */

/*
 * Reads into memory what of it is not there: 0, and touching it takes no time for now. -EFAULT: it
 * cannot be read. -ENOSYS: the kernel cannot say. May wait for long.
 */
int mtsi_foreign_fault_in(const void *data, size_t size);

/*
 * Copies from it: 0; or -EFAULT, and no signal. May wait for long, unless it was faulted in. Where a
 * sandbox keeps the kernel from doing that it is memcpy(3).
 */
int mtsi_foreign_copy(void *to, const void *from, size_t size);

#endif
