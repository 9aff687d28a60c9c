/* SPDX-License-Identifier: MIT
 *
 * Sockets that a service manager has opened, and passed to this process when it started it:
 * descriptor 3 and up. How many they are, and their names, is in the environment, and so is the
 * number of the process that they are for, since children inherit both. So a child that becomes
 * another program finds the number of its parent there, and takes nothing.
 *
 * Numbers are decimal digits and nothing else: what is written otherwise was not written by a
 * service manager. A name may hold every byte but a colon (systemd.socket(5)), and is compared as it
 * is. Where there are no names, each is called "unknown", as by sd_listen_fds_with_names(3).
 *
 * The environment goes on naming a socket that was taken, and its number even when it is closed and
 * has become another file's. So whoever takes one puts it down here, for the whole process, and there it
 * stays: nobody takes a number twice.
 */
#include "os/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FIRST = 3, MOST = 65536, BITS = 64 };

/* Which numbers below MOST were taken, a bit each. Any thread. */
static _Atomic uint64_t taken[MOST / BITS];

static int refuse(const char **why, int error, const char *clause)
{
	*why = clause;
	return error;
}

/* A number of digits alone, no larger than `most`; -1: it is something else. */
static int number(const char *text, int most)
{
	long long value = *text == '\0' ? -1 : 0;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9') {
			return -1;
		}
		value = 10 * value + (*text - '0');
		if (value > most) {
			return -1;
		}
	}
	return (int)value;
}

void mtsi_passed_get(struct mtsi_passed *passed)
{
	memset(passed, 0, sizeof(*passed));
	passed->pid = getenv("LISTEN_PID");
	passed->count = getenv("LISTEN_FDS");
	passed->names = getenv("LISTEN_FDNAMES");
}

static int count_names(const char *names)
{
	int count = 1;
	for (; *names != '\0'; names++) {
		count += *names == ':' ? 1 : 0;
	}
	return count;
}

/* Goes over those before the first with that name. */
static int find(struct mtsi_passed *passed, const char *name, const char **why)
{
	if (*name == '\0') {
		passed->names = NULL; /* whatever they are called */
	}
	struct mtsi_passed rest = *passed;
	if (passed->names != NULL && count_names(passed->names) != passed->end - FIRST) {
		return refuse(why, -EINVAL, "LISTEN_FDNAMES has not as many names as LISTEN_FDS says");
	}
	if (mtsi_passed_next(&rest, name) < 0) {
		return refuse(why, -ENOENT,
			passed->names != NULL ? "no socket that was passed has this name (LISTEN_FDNAMES)"
								  : "the sockets were passed without names (LISTEN_FDNAMES)");
	}
	return 0;
}

int mtsi_passed_begin(struct mtsi_passed *passed, pid_t self, const char *name, const char **why)
{
	*why = NULL;
	if (passed->pid == NULL) {
		return refuse(why, -ENOENT, "no service manager has passed a socket (LISTEN_PID)");
	}
	const int pid = number(passed->pid, INT_MAX);
	if (pid < 0) {
		return refuse(why, -EINVAL, "LISTEN_PID is not the number of a process");
	}
	if (pid != self) {
		return refuse(why, -ENOENT, "the sockets were passed to another process (LISTEN_PID)");
	}
	if (passed->count == NULL) {
		return refuse(why, -ENOENT, "it is not said how many sockets were passed (LISTEN_FDS)");
	}
	const int count = number(passed->count, INT_MAX - FIRST);
	if (count < 0) {
		return refuse(why, -EINVAL, "LISTEN_FDS is not a number of descriptors");
	}
	if (count == 0) {
		return refuse(why, -ENOENT, "no socket was passed (LISTEN_FDS)");
	}
	passed->next = FIRST;
	passed->end = FIRST + count;
	return find(passed, name, why);
}

/* Whether the first of the names, which is taken off, is this one. */
static bool next_is(const char **names, const char *name)
{
	const size_t size = strcspn(*names, ":");
	const bool is = strlen(name) == size && memcmp(*names, name, size) == 0;
	*names += size + ((*names)[size] == ':' ? 1 : 0);
	return is;
}

int mtsi_passed_next(struct mtsi_passed *passed, const char *name)
{
	const bool all = *name == '\0' || (passed->names == NULL && strcmp(name, "unknown") == 0);
	if (passed->names == NULL && !all) {
		return -1;
	}
	while (passed->next < passed->end) {
		const int fd = passed->next++;
		if (all || next_is(&passed->names, name)) {
			return fd;
		}
	}
	return -1;
}

int mtsi_passed_fits(int fd, const char **why)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(int);
	int type = 0;
	int listens = 0;
	*why = NULL;
	if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
		return refuse(why, -EBADF, "it is not open");
	}
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
		return errno == ENOTSOCK ? refuse(why, -ENOTSOCK, "it is not a socket") : -errno;
	}
	if (type != SOCK_STREAM) {
		return refuse(why, -EINVAL, "it is not a stream socket");
	}
	size = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) {
		return -errno;
	}
	if (listens != 0) {
		return 0;
	}
	size = sizeof(peer);
	return getpeername(fd, (struct sockaddr *)&peer, &size) == 0
		? refuse(why, -EINVAL, "it is a connection, as with Accept=yes in the socket unit")
		: refuse(why, -EINVAL, "it does not listen");
}

int mtsi_passed_take(int fd, const char **why)
{
	const uint64_t bit = UINT64_C(1) << fd % BITS;
	*why = NULL;
	if (fd >= MOST) {
		return -EMFILE;
	}
	if ((atomic_fetch_or(&taken[fd / BITS], bit) & bit) != 0) {
		return refuse(why, -EBUSY, "it was taken before, by a server of this process");
	}
	return 0;
}

void mtsi_passed_put_back(int fd)
{
	const uint64_t bit = UINT64_C(1) << fd % BITS;
	(void)atomic_fetch_and(&taken[fd / BITS], ~bit);
}
