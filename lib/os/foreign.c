/* SPDX-License-Identifier: MIT
 *
 * Touching the program's memory before it matters. MADV_POPULATE_READ (madvise(2), Linux 5.14)
 * reads pages in as an access would, but returns an error where an access would raise a signal. It
 * returns EINVAL for memory that it cannot handle, such as a device's; and so do older kernels for
 * any memory.
 *
 * Pages that have been read in may be gone again when they are touched, if somebody has truncated
 * the file in between. So they are touched not by us, but by the kernel: process_vm_readv(2), on
 * this very process, which needs no special right for that.
 */
#include "os/foreign.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

int mtsi_foreign_fault_in(const void *data, size_t size)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t first = (uintptr_t)data & ~(page - 1);
	const size_t all = ((uintptr_t)data - first + size + page - 1) & ~(page - 1);
	if (size == 0 || madvise((void *)first, all, MADV_POPULATE_READ) == 0) {
		return 0;
	}
	switch (errno) {
	case EFAULT:
	case ENOMEM: /* nothing is mapped there */
#ifdef EHWPOISON
	case EHWPOISON:
#endif
		return -EFAULT;
	default:
		return -ENOSYS;
	}
}

int mtsi_foreign_copy(void *to, const void *from, size_t size)
{
	size_t done = 0;
	while (done < size) {
		const struct iovec ours = {(char *)to + done, size - done};
		const struct iovec theirs = {(char *)(uintptr_t)from + done, size - done};
		const ssize_t count = process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0);
		if (count < 0 && errno != EFAULT && errno != EINTR) {
			memcpy((char *)to + done, (const char *)from + done, size - done);
			return 0;
		}
		if (count == 0 || (count < 0 && errno == EFAULT)) {
			return -EFAULT;
		}
		done += count > 0 ? (size_t)count : 0;
	}
	return 0;
}
