/* SPDX-License-Identifier: MIT
 *
 * Each service is a process of its own, and what the service manager would say to it is not said to the
 * test.
 */
#include "service.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

int manager_open(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t size = strlen(name);
	const int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(manager, 0);
	ck_assert_uint_lt(size, sizeof(address.sun_path));
	memcpy(address.sun_path, name, size);
	if (name[0] == '@') {
		address.sun_path[0] = '\0';
	}
	const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	ck_assert_int_eq(bind(manager, (const struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
	ck_assert_int_eq(unsetenv("WATCHDOG_USEC"), 0);
	ck_assert_int_eq(unsetenv("WATCHDOG_PID"), 0);
	return manager;
}

static void next_message(int manager, char *text, size_t size)
{
	struct pollfd one = {.fd = manager, .events = POLLIN};
	ck_assert_int_eq(poll(&one, 1, PATIENCE * 1000), 1);
	const ssize_t count = recv(manager, text, size - 1, 0);
	ck_assert_int_gt(count, 0);
	text[count] = '\0';
}

void manager_expect(int manager, const char *text)
{
	char got[2048];
	next_message(manager, got, sizeof(got));
	ck_assert_str_eq(got, text);
}

void manager_expect_stopping(int manager, unsigned most)
{
	char got[2048];
	unsigned clients = 0;
	int end = 0;
	next_message(manager, got, sizeof(got));
	ck_assert_int_eq(
		sscanf(got, "STOPPING=1\nSTATUS=stopping, %u clients are connected%n", &clients, &end), 1);
	ck_assert_str_eq(got + end, "");
	ck_assert_uint_le(clients, most);
}

void manager_wait_for(int manager, const char *text)
{
	char got[2048];
	do {
		next_message(manager, got, sizeof(got));
	} while (strcmp(got, text) != 0);
}

size_t manager_drain(int manager)
{
	char byte;
	size_t count = 0;
	while (recv(manager, &byte, 1, MSG_DONTWAIT) >= 0) {
		count++;
	}
	return count;
}

bool manager_hears_nothing(int manager, int milliseconds)
{
	struct pollfd one = {.fd = manager, .events = POLLIN};
	return poll(&one, 1, milliseconds) == 0;
}
