/* SPDX-License-Identifier: MIT
 *
 * Threads. A new thread inherits the signal mask of the one that makes it (pthread_create(3)), so
 * the maker blocks all signals around the call. Except those that a faulty instruction raises: to
 * block these would be undefined (pthread_sigmask(3p)), and the program's crash handler wants them.
 *
 * The C library takes a share for itself out of the stack that it is asked for: the thread's own
 * data, and room for the thread-local variables of the program, its libraries, and such as may be
 * loaded later (glibc.rtld.optional_static_tls). This may be large. So it is asked for more than
 * the caller wants, by as much as a thread costs. How much that is, glibc tells by a function that
 * others use as well. It is looked up by name, since it belongs to no version that a program could
 * be linked against (GLIBC_PRIVATE). Elsewhere it is computed from what the loaded modules declare
 * (dl_iterate_phdr(3)). If the C library still finds it too little, it returns EINVAL and makes no
 * thread; then twice as much is tried.
 *
 * Below each stack lie 64 KiB that cannot be touched (mmap(2), PROT_NONE), instead of the usual
 * page. A function with a large frame that starts near the end of the stack faults there, where it
 * would jump over a single page and write into the stack of another thread. They cost only address
 * space.
 */
#include "os/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/must.h"
#include "os/pause.h"

enum {
	OWN_DATA = 16 * 1024,
	GUARD = 64 * 1024,
	MOST_SHARE = 64 * 1024 * 1024, /* if that does not suffice, it is not the share that is wrong */
	HUGE_PAGE = 2 * 1024 * 1024
};

static pthread_once_t share_is_known = PTHREAD_ONCE_INIT;
static _Atomic size_t share; /* what the C library takes of each stack; it only grows */

static void asynchronous_signals(sigset_t *set)
{
	static const int raised_by_faults[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	mtsi_must(sigfillset(set) == 0);
	for (size_t i = 0; i < sizeof(raised_by_faults) / sizeof(raised_by_faults[0]); i++) {
		mtsi_must(sigdelset(set, raised_by_faults[i]) == 0);
	}
}

static int add_thread_locals(struct dl_phdr_info *module, size_t size, void *sum)
{
	(void)size;
	for (size_t i = 0; i < module->dlpi_phnum; i++) {
		if (module->dlpi_phdr[i].p_type == PT_TLS) {
			*(size_t *)sum += module->dlpi_phdr[i].p_memsz + module->dlpi_phdr[i].p_align;
		}
	}
	return 0;
}

/* What the C library says that a thread costs; 0: it does not say. */
static size_t told_share(void)
{
	size_t told = 0;
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 34) /* before that dlsym(3) is in a library of its own */
	size_t (*least_stack)(const pthread_attr_t *) = NULL;
	pthread_attr_t attributes;
	*(void **)&least_stack = dlsym(RTLD_DEFAULT, "__pthread_get_minstack");
	if (least_stack != NULL && pthread_attr_init(&attributes) == 0) {
		told = least_stack(&attributes);
		mtsi_must(pthread_attr_destroy(&attributes) == 0);
	}
#endif
#endif
	return told;
}

static void reckon_share(void)
{
	size_t sum = told_share();
	if (sum == 0) {
		sum = OWN_DATA;
		(void)dl_iterate_phdr(add_thread_locals, &sum);
	}
	atomic_store(&share, sum);
}

static size_t whole_pages(size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (bytes + page - 1) / page * page;
}

/* As pthread_create(), with a stack of this size, guard excluded. */
static int create(pthread_t *thread, size_t stack, void *(*body)(void *), void *argument)
{
	pthread_attr_t attributes;
	int result = pthread_attr_init(&attributes);
	if (result != 0) {
		return result;
	}
	size_t guard_inside = 0;
#ifdef __GLIBC__
#if !__GLIBC_PREREQ(2, 27)
	guard_inside = GUARD;
#endif
#endif
	result = pthread_attr_setguardsize(&attributes, GUARD);
	if (result == 0) {
		result = pthread_attr_setstacksize(&attributes, stack + guard_inside);
	}
	if (result == 0) {
		result = pthread_create(thread, &attributes, body, argument);
	}
	mtsi_must(pthread_attr_destroy(&attributes) == 0);
	return result;
}

/* The same for what the caller wants of the stack; the C library's share comes on top. */
static int create_beside_share(
	pthread_t *thread, size_t stack, void *(*body)(void *), void *argument)
{
	size_t own = atomic_load(&share);
	const size_t known = own;
	int result;
	while ((result = create(thread, whole_pages(stack + own), body, argument)) == EINVAL
		&& own < MOST_SHARE) {
		own *= 2;
	}
	if (result == 0 && own != known) {
		atomic_store(&share, own);
	}
	return result;
}

/*
 * If a sandbox denies changing the signal mask, the thread starts with its maker's mask: better
 * than no thread.
 */
int mtsi_thread_start(pthread_t *thread, size_t stack, void *(*body)(void *), void *argument)
{
	sigset_t blocked;
	sigset_t before;
	mtsi_must(pthread_once(&share_is_known, reckon_share) == 0);
	asynchronous_signals(&blocked);
	const bool shielded = pthread_sigmask(SIG_SETMASK, &blocked, &before) == 0;
	const int result = create_beside_share(thread, stack, body, argument);
	if (shielded) {
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	return -result;
}

/* A thread that the program has detached cannot be joined, which is no mistake of ours. */
void mtsi_thread_join(pthread_t thread)
{
	(void)pthread_join(thread, NULL);
}

/*
 * Not every C library can wait for a thread on the monotonic clock. So the thread is looked at,
 * first at once and then every millisecond; after all, it is about to end.
 */
bool mtsi_thread_join_until(pthread_t thread, uint64_t deadline)
{
	int result;
	while ((result = pthread_tryjoin_np(thread, NULL)) == EBUSY && mtsi_clock_now() < deadline) {
		mtsi_pause_for(MTSI_MILLISECOND);
	}
	return result != EBUSY;
}

int mtsi_thread_shield(void)
{
	int before;
	mtsi_must(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
	return before;
}

void mtsi_thread_unshield(int before)
{
	mtsi_must(pthread_setcancelstate(before, NULL) == 0);
}

void mtsi_thread_yield(void)
{
	(void)sched_yield();
}

void mtsi_thread_pause(unsigned milliseconds)
{
	mtsi_pause_for(milliseconds * MTSI_MILLISECOND);
}

/*
 * Linux itself does that for stacks that the C library maps as such (MAP_STACK, since 6.7); and a
 * huge page does not fit into smaller stacks, between their guards. What lies above has been
 * touched already. Below nothing has been, unless the top came in a huge page, which ends here.
 */
void mtsi_thread_small_pages(size_t stack)
{
#ifdef MADV_NOHUGEPAGE
	if (stack >= HUGE_PAGE) {
		const size_t page = (size_t)sysconf(_SC_PAGESIZE);
		const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
		const uintptr_t first = (here - stack) / page * page + page;
		(void)madvise((void *)first, here / page * page - first, MADV_NOHUGEPAGE);
	}
#else
	(void)stack;
#endif
}

void mtsi_thread_name(const char *name)
{
	(void)pthread_setname_np(pthread_self(), name);
}
