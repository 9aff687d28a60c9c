/* SPDX-License-Identifier: MIT
 *
 * The two system calls that every request needs, without the C library's way into them: there each
 * first says that the thread may be cancelled from now on, and then that it may not, which takes
 * longer than to prepare the call itself. The library's threads are never cancelled in the middle of
 * something (run/work.c), so nothing is lost by that.
 *
 * Sanitizers watch what the C library's functions do with memory and descriptors: for them these are
 * called.
 */
#include "os/direct.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) \
	|| __has_feature(memory_sanitizer)
#define WATCHED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED 1
#endif

/* Where they are parts of another system call the C library knows how. */
#if defined(WATCHED) || !defined(SYS_recvfrom) || !defined(SYS_sendto)

ssize_t mtsi_direct_recv(int fd, void *buffer, size_t size, int flags)
{
	return recv(fd, buffer, size, flags);
}

ssize_t mtsi_direct_send(int fd, const void *data, size_t size, int flags)
{
	return send(fd, data, size, flags);
}

#else

ssize_t mtsi_direct_recv(int fd, void *buffer, size_t size, int flags)
{
	return syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

ssize_t mtsi_direct_send(int fd, const void *data, size_t size, int flags)
{
	return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

#endif
