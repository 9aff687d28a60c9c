/* SPDX-License-Identifier: MIT
 *
 * Telling a service manager how this process does, without its library.
 *
 * The socket is connected when it is first needed, and stays so: then the manager is reached also
 * after chroot(2), setuid(2) or a change of the path. If it has gone meanwhile, and has come back with
 * a socket of the same name, the kernel says that the old one is no more, and it is looked for anew.
 *
 * A program must not hang because its manager does, so nothing here waits for room.
 */
#include "os/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/thread.h"

static int refuse(const char **why, int error, const char *clause)
{
	*why = clause;
	return error;
}

int mtsi_notify_place(const char *text, struct mtsi_notify_place *place, const char **why)
{
	if (text == NULL) {
		return 0;
	}
	const size_t size = strlen(text);
	const bool is_abstract = text[0] == '@';
	if (strncmp(text, "vsock:", 6) == 0) {
		return refuse(why, -EAFNOSUPPORT, "NOTIFY_SOCKET is not a Unix socket");
	}
	if ((text[0] != '/' && !is_abstract) || size == 1) {
		return refuse(
			why, -EINVAL, "NOTIFY_SOCKET is neither a path from the root nor an abstract name");
	}
	if (size >= sizeof(place->name.sun_path)) {
		return refuse(why, -ENAMETOOLONG, "NOTIFY_SOCKET is longer than 107 bytes");
	}
	memset(place, 0, sizeof(*place));
	place->name.sun_family = AF_UNIX;
	memcpy(place->name.sun_path, text, size);
	if (is_abstract) {
		place->name.sun_path[0] = '\0';
	}
	/* A path ends with the NUL; in an abstract name it would be one more byte of the name. */
	place->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size
		+ (is_abstract ? 0 : 1));
	return 1;
}

/* A number of digits alone, no larger than `most`: false when it is something else. */
static bool number(const char *text, uint64_t most, uint64_t *value)
{
	*value = 0;
	if (*text == '\0') {
		return false;
	}
	for (; *text >= '0' && *text <= '9'; text++) {
		const unsigned digit = (unsigned)(*text - '0');
		if (*value > (most - digit) / 10) {
			return false;
		}
		*value = 10 * *value + digit;
	}
	return *text == '\0';
}

int mtsi_notify_period(
	const char *usec, const char *pid, pid_t self, uint64_t *period, const char **why)
{
	uint64_t value;
	*period = 0;
	if (usec == NULL) {
		return 0;
	}
	/* The largest number stands for none (sd_watchdog_enabled(3)). */
	if (!number(usec, UINT64_MAX - 1, &value) || value == 0) {
		return refuse(why, -EINVAL, "WATCHDOG_USEC is not a number of microseconds");
	}
	*period = value < UINT64_MAX / MTSI_MICROSECOND ? value * MTSI_MICROSECOND : MTSI_NEVER;
	if (pid == NULL) {
		return 1;
	}
	if (!number(pid, INT32_MAX, &value)) {
		*period = 0;
		return refuse(why, -EINVAL, "WATCHDOG_PID is not the number of a process");
	}
	*period = value == (uint64_t)self ? *period : 0;
	return *period != 0 ? 1 : 0;
}

int mtsi_notify_get(struct mtsi_notify_place *place, uint64_t *period, const char **why)
{
	*period = 0;
	const int asked = mtsi_notify_place(getenv("NOTIFY_SOCKET"), place, why);
	if (asked <= 0) {
		return asked;
	}
	const int result = mtsi_notify_period(
		getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid(), period, why);
	return result < 0 ? result : 1;
}

int mtsi_notify_open(void)
{
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

void mtsi_notify_close(int fd)
{
	(void)close(fd);
}

static int send_now(int fd, const char *text)
{
	ssize_t sent;
	do {
		sent = send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 1;
}

int mtsi_notify_send(int fd, const struct mtsi_notify_place *place, const char *text)
{
	const int result = send_now(fd, text);
	if (result != -ENOTCONN && result != -ECONNREFUSED) {
		return result;
	}
	return connect(fd, (const struct sockaddr *)&place->name, place->size) == 0 ? send_now(fd, text)
																				: -errno;
}

int mtsi_notify_once(const char *text)
{
	struct mtsi_notify_place place;
	const char *why;
	int result = mtsi_notify_place(getenv("NOTIFY_SOCKET"), &place, &why);
	if (result <= 0) {
		return result;
	}
	const int state = mtsi_thread_shield();
	const int fd = mtsi_notify_open();
	result = fd < 0 ? fd : mtsi_notify_send(fd, &place, text);
	if (fd >= 0) {
		mtsi_notify_close(fd);
	}
	mtsi_thread_unshield(state);
	return result;
}
