/*
 * In place of the C library's recv and send: says once that it has seen one of each, and does the same.
 */
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int seen;

static void note(int bit, const char *text, size_t size)
{
	if ((atomic_fetch_or(&seen, bit) & bit) == 0) {
		(void)!write(STDOUT_FILENO, text, size);
	}
}

/* Under other names here, since headers that check sizes have recv and send as inline functions. */
ssize_t noted_recv(int fd, void *buffer, size_t size, int flags) __asm__("recv");
ssize_t noted_send(int fd, const void *data, size_t size, int flags) __asm__("send");

ssize_t noted_recv(int fd, void *buffer, size_t size, int flags)
{
	note(1, "recv\n", 5);
	return syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

ssize_t noted_send(int fd, const void *data, size_t size, int flags)
{
	note(2, "send\n", 5);
	return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}
