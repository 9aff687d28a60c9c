/* SPDX-License-Identifier: MIT
 *
 * Threads. A new thread inherits the signal mask of the one that makes it (pthread_create(3)), so
 * the maker blocks everything around the call. The signals that a faulty instruction raises stay
 * open: blocking them would be undefined (pthread_sigmask(3p)), and the host's crash handler wants
 * them.
 *
 * The C library takes its own share out of the stack that it is asked for: the thread's own data,
 * and a copy of every thread-local variable of the program and its libraries, which may be large.
 * So it is asked for more than the caller wants, by what the loaded modules declare
 * (dl_iterate_phdr(3)). That is reckoned once, before the first thread: modules that are loaded
 * later have theirs allocated elsewhere.
 */
#include "os/thread.h"

#include <errno.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/must.h"

enum { OWN_DATA = 16384 };

static pthread_once_t share_is_known = PTHREAD_ONCE_INIT;
static size_t share = OWN_DATA;

static void asynchronous_signals(sigset_t *set)
{
	static const int raised_by_faults[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	mtsi_must(sigfillset(set) == 0);
	for (size_t i = 0; i < sizeof(raised_by_faults) / sizeof(raised_by_faults[0]); i++) {
		mtsi_must(sigdelset(set, raised_by_faults[i]) == 0);
	}
}

static int add_thread_locals(struct dl_phdr_info *module, size_t size, void *user)
{
	(void)size;
	(void)user;
	for (size_t i = 0; i < module->dlpi_phnum; i++) {
		if (module->dlpi_phdr[i].p_type == PT_TLS) {
			share += module->dlpi_phdr[i].p_memsz + module->dlpi_phdr[i].p_align;
		}
	}
	return 0;
}

static void reckon_share(void)
{
	(void)dl_iterate_phdr(add_thread_locals, NULL);
}

static size_t whole_pages(size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (bytes + page - 1) / page * page;
}

int mtsi_thread_start(pthread_t *thread, size_t stack, void *(*body)(void *), void *argument)
{
	pthread_attr_t attributes;
	int result = pthread_attr_init(&attributes);
	if (result != 0) {
		return -result;
	}
	mtsi_must(pthread_once(&share_is_known, reckon_share) == 0);
	result = pthread_attr_setstacksize(&attributes, whole_pages(stack + share));
	if (result == 0) {
		sigset_t blocked;
		sigset_t before;
		asynchronous_signals(&blocked);
		mtsi_must(pthread_sigmask(SIG_SETMASK, &blocked, &before) == 0);
		result = pthread_create(thread, &attributes, body, argument);
		mtsi_must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	}
	mtsi_must(pthread_attr_destroy(&attributes) == 0);
	return -result;
}

/* One that the program has detached cannot be joined, and is not an error of ours. */
void mtsi_thread_join(pthread_t thread)
{
	(void)pthread_join(thread, NULL);
}

/*
 * There is no wait for a thread on the monotonic clock everywhere, so it is looked at, first at
 * once and then every millisecond; it is about to end, after all.
 */
bool mtsi_thread_join_until(pthread_t thread, uint64_t deadline)
{
	const struct timespec pause = {.tv_nsec = (long)MTSI_MILLISECOND};
	int result;
	while ((result = pthread_tryjoin_np(thread, NULL)) == EBUSY && mtsi_clock_now() < deadline) {
		(void)nanosleep(&pause, NULL);
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
	const struct timespec pause = {
		.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
	(void)nanosleep(&pause, NULL);
}

void mtsi_thread_name(const char *name)
{
	(void)pthread_setname_np(pthread_self(), name);
}
