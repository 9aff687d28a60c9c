/* SPDX-License-Identifier: MIT
 *
 * Which process a thing belongs to.
 *
 * Asking for the process's number (getpid(2)) would cost a system call each time. A handler of
 * pthread_atfork(3) does not notice a process that is made with clone(2), vfork(2) or _Fork(3). So
 * the mark lies in a page that the kernel itself wipes in a new process (MADV_WIPEONFORK, Linux
 * 4.14). The kernel leaves the page alone where parent and child share their memory, as after
 * vfork(2); there the child counts as the parent. Where there is no such page, on an older kernel
 * or in a sandbox, the number is asked for after all.
 *
 * What is asked with each reply is cheaper still. One byte at a constant address, in another such
 * page, says that this is the first process of its line in which anything has settled. It is set
 * once in a line of processes: a child inherits the knowledge that this was done, but not the byte,
 * so no child ever sets it.
 */
#include "os/home.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/pages.h"

static _Atomic unsigned char everywhere = 1;
static _Atomic unsigned char unknown = 0; /* the process's number has to be asked for */

alignas(MTSI_HOME_PAGE) unsigned char mtsi_home_first[MTSI_HOME_PAGE];
static pthread_once_t first_is_known = PTHREAD_ONCE_INIT;

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* A page that reads as 0 in children; NULL: there is none. */
static void *take_page(void)
{
#ifdef MADV_WIPEONFORK
	void *page = mtsi_pages_take(page_size());
	if (page != NULL && madvise(page, page_size(), MADV_WIPEONFORK) != 0) {
		mtsi_pages_give(page, page_size());
		page = NULL;
	}
	return page;
#else
	return NULL;
#endif
}

pid_t mtsi_home_self(void)
{
	return getpid();
}

/* Only where pages are of this size: larger ones would be wiped with what lies beside the byte. */
static void mark_first(void)
{
#ifdef MADV_WIPEONFORK
	if (page_size() == MTSI_HOME_PAGE
		&& madvise(mtsi_home_first, MTSI_HOME_PAGE, MADV_WIPEONFORK) == 0) {
		mtsi_home_first[0] = 1;
	}
#endif
}

void mtsi_home_init(struct mtsi_home *home)
{
	home->page = NULL;
	home->process = 0;
	atomic_init(&home->mark, &everywhere);
}

void mtsi_home_free(struct mtsi_home *home)
{
	if (home->page != NULL) {
		mtsi_pages_give((void *)(uintptr_t)home->page, page_size());
	}
}

void mtsi_home_settle(struct mtsi_home *home)
{
	(void)pthread_once(&first_is_known, mark_first);
	home->process = mtsi_home_self();
	if (home->page == NULL) {
		home->page = take_page();
	}
	if (home->page != NULL) {
		atomic_store(home->page, 1);
	}
	atomic_store(&home->mark, home->page != NULL ? home->page : &unknown);
}

/* The page is kept: another thread may be reading it. */
void mtsi_home_unsettle(struct mtsi_home *home)
{
	atomic_store(&home->mark, &everywhere);
}

bool mtsi_home_differs(const struct mtsi_home *home)
{
	return home->page != NULL || mtsi_home_self() != home->process;
}
