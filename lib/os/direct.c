/* SPDX-License-Identifier: MIT
 *
 * The two system calls that every request needs, without the C library's way into them: there each
 * of them first says that the thread may be cancelled from now on, and afterwards that it may not.
 * That takes longer than preparing the call itself. The library's threads are never cancelled inside
 * a call (run/work.c), so nothing is lost.
 *
 * Somebody may have put functions of their own in place of the C library's: a sanitizer that watches
 * what they do, or a network stack in user space. They are to see every call. So it is found out once
 * where recv and send come from, and unless that is the C library, they are called.
 */
#include "os/direct.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Whether they are the C library's own. Nobody replaces getppid(2), so that tells where it is. */
static bool find_out(void)
{
	const void *library = home_of((uintptr_t)getppid);
	const bool own = library != NULL && home_of((uintptr_t)recv) == library
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
								 : recv(fd, buffer, size, flags);
}

__attribute__((noinline)) static ssize_t send_else(int fd, const void *data, size_t size, int flags)
{
	const bool unknown = atomic_load_explicit(&known, memory_order_relaxed) == UNKNOWN;
	return unknown && find_out() ? mtsi_direct_send(fd, data, size, flags)
								 : send(fd, data, size, flags);
}

ssize_t mtsi_direct_recv(int fd, void *buffer, size_t size, int flags)
{
	return is_direct() ? syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL)
					   : receive_else(fd, buffer, size, flags);
}

ssize_t mtsi_direct_send(int fd, const void *data, size_t size, int flags)
{
	return is_direct() ? syscall(SYS_sendto, fd, data, size, flags, NULL, 0)
					   : send_else(fd, data, size, flags);
}

#else

ssize_t mtsi_direct_recv(int fd, void *buffer, size_t size, int flags)
{
	return recv(fd, buffer, size, flags);
}

ssize_t mtsi_direct_send(int fd, const void *data, size_t size, int flags)
{
	return send(fd, data, size, flags);
}

#endif
