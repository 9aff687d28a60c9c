/* SPDX-License-Identifier: MIT
 *
 * Each service is a process of its own, and what the service manager would say to it is not said to the
 * test.
 */
#include "service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { FIRST = 3, ASIDE = 100, MOST = 16 };

void service_require(bool holds, const char *what, const char *file, int line)
{
	if (!holds) {
		fprintf(stderr, "%s:%d: in a service: not so: %s\n", file, line, what);
		_exit(EXIT_FAILURE);
	}
}

void service_reserve(void)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd < FIRST + MOST);
	(void)close(fd);
}

static void put_in_place(const int *fds, int count)
{
	int aside[MOST];
	service_must(count <= MOST);
	for (int i = 0; i < count; i++) {
		aside[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, ASIDE);
	}
	for (int i = 0; i < count; i++) {
		(void)close(FIRST + i);
		service_must(aside[i] < 0 || dup2(aside[i], FIRST + i) == FIRST + i);
		(void)close(aside[i]);
	}
}

static void set_number(const char *name, int value)
{
	char text[16];
	(void)snprintf(text, sizeof(text), "%d", value);
	service_must(setenv(name, text, 1) == 0);
}

static void be_a_service(const int *fds, int count, const char *names)
{
	(void)alarm(PATIENCE);
	put_in_place(fds, count);
	set_number("LISTEN_PID", (int)getpid());
	set_number("LISTEN_FDS", count);
	service_must(
		(names == NULL ? unsetenv("LISTEN_FDNAMES") : setenv("LISTEN_FDNAMES", names, 1)) == 0);
}

void in_a_service(const int *fds, int count, const char *names, void (*body)(void))
{
	int status = -1;
	const pid_t child = fork();
	if (child == 0) {
		be_a_service(fds, count, names);
		body();
		_exit(EXIT_SUCCESS);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "the service ended with status 0x%x", (unsigned)status);
}
