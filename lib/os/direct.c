/* SPDX-License-Identifier: MIT
 *
 * The two system calls that every request needs, without the C library's way into them: there each
 * of them first says that the thread may be cancelled from now on, and afterwards that it may not.
 * That takes longer than preparing the call itself. The library's threads are never cancelled inside
 * a call (run/work.c), so nothing is lost.
 *
 * Somebody may have put functions of their own in place of the C library's: a sanitizer that watches
 * what they do, or a network stack in user space. They are to see every call. So it is found out once
 * where recv and send come from, and unless that is the C library, they are called. Where a program is
 * not position-independent, their addresses may be those of stubs in the program, entries of its
 * procedure linkage table, which tell nothing about what is behind them. There they are called, too, and
 * so they are where all is one static program, which may have been linked with functions of its own.
 */
#include "os/direct.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a call of the C library has returned, with the error instead of -1. */
static inline ssize_t or_error(ssize_t result)
{
	return result >= 0 ? result : -errno;
}

/* Where these are parts of another system call, only the C library knows which one there is. */
#if defined(SYS_recvfrom) && defined(SYS_sendto) && !defined(SYS_socketcall)

enum known { UNKNOWN, DIRECT, REPLACED };

static _Atomic int known;

/* Where the object that has this function begins in memory; NULL: that cannot be told. */
static const void *home_of(uintptr_t function)
{
	Dl_info info;
	return dladdr((const void *)function, &info) != 0 ? info.dli_fbase : NULL;
}

/*
 * Whether they are the C library's own. Nobody replaces getppid(2), so that tells where it is, unless it
 * seems to be in the program.
 */
static bool find_out(void)
{
	const void *program = home_of((uintptr_t)getauxval(AT_ENTRY));
	const void *library = home_of((uintptr_t)getppid);
	const bool known_library = program != NULL && library != NULL && library != program;
	const bool own = known_library && home_of((uintptr_t)recv) == library
		&& home_of((uintptr_t)send) == library;
	atomic_store_explicit(&known, own ? DIRECT : REPLACED, memory_order_relaxed);
	return own;
}

static inline bool is_direct(void)
{
	return atomic_load_explicit(&known, memory_order_relaxed) == DIRECT;
}

/* Not inlined, to keep the usual case short, like the next one. */
__attribute__((noinline)) static ssize_t receive_else(int fd, void *buffer, size_t size, int flags)
{
	const bool unknown = atomic_load_explicit(&known, memory_order_relaxed) == UNKNOWN;
	return unknown && find_out() ? mtsi_direct_recv(fd, buffer, size, flags)
								 : or_error(recv(fd, buffer, size, flags));
}

__attribute__((noinline)) static ssize_t send_else(int fd, const void *data, size_t size, int flags)
{
	const bool unknown = atomic_load_explicit(&known, memory_order_relaxed) == UNKNOWN;
	return unknown && find_out() ? mtsi_direct_send(fd, data, size, flags)
								 : or_error(send(fd, data, size, flags));
}

/*
 * One of the two calls, with its four arguments, and two that are zero. Where this is said in the
 * processor's own words, nothing has to be moved about for it. The kernel returns errors as negative
 * numbers, all above -4096.
 */
static inline ssize_t direct(long number, int fd, const void *data, size_t size, int flags)
{
#if defined(__x86_64__) && defined(__LP64__)
	register long fourth __asm__("r10") = flags;
	register long fifth __asm__("r8") = 0;
	register long sixth __asm__("r9") = 0;
	long result = number;
	__asm__ volatile("syscall"
					 : "+a"(result)
					 : "D"((long)fd), "S"(data), "d"(size), "r"(fourth), "r"(fifth), "r"(sixth)
					 : "rcx", "r11", "memory");
	return result;
#else
	return or_error(syscall(number, fd, data, size, flags, NULL, 0));
#endif
}

ssize_t mtsi_direct_recv(int fd, void *buffer, size_t size, int flags)
{
	return is_direct() ? direct(SYS_recvfrom, fd, buffer, size, flags)
					   : receive_else(fd, buffer, size, flags);
}

ssize_t mtsi_direct_send(int fd, const void *data, size_t size, int flags)
{
	return is_direct() ? direct(SYS_sendto, fd, data, size, flags)
					   : send_else(fd, data, size, flags);
}

#else

ssize_t mtsi_direct_recv(int fd, void *buffer, size_t size, int flags)
{
	return or_error(recv(fd, buffer, size, flags));
}

ssize_t mtsi_direct_send(int fd, const void *data, size_t size, int flags)
{
	return or_error(send(fd, data, size, flags));
}

#endif
