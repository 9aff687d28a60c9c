/* SPDX-License-Identifier: MIT
 *
 * Memory straight from mmap(2), for blocks of which usually only the first pages are used. malloc
 * would make an arena for each thread, and put its own data between such blocks. Arrays on a stack
 * would be touched as a whole, by compilers that probe stacks page by page. Huge pages are
 * declined: neighbouring blocks would share one, and each block would cost all of it (madvise(2)).
 */
#include "os/pages.h"

#include <sys/mman.h>

void *mtsi_pages_take(size_t size)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED) {
		return NULL;
	}
#ifdef MADV_NOHUGEPAGE
	(void)madvise(pages, size, MADV_NOHUGEPAGE);
#endif
	return pages;
}

void mtsi_pages_give(void *pages, size_t size)
{
	(void)munmap(pages, size);
}
