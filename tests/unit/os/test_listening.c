/* SPDX-License-Identifier: MIT
 *
 * What a listening socket says before something is accepted from it, and that none of it waits.
 */
#include "os/listening.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../api/support.h"

static int listen_on(int family)
{
	const struct sockaddr_in inet = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	const void *address = family == AF_INET ? (const void *)&inet : (const void *)&unnamed;
	const size_t size = family == AF_INET ? sizeof(inet) : sizeof(sa_family_t);
	const int fd = socket(family, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, address, (socklen_t)size), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	return fd;
}

static int connect_to(int listener)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	const int fd = socket(address.ss_family, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, size), 0);
	return fd;
}

static const int families[] = {AF_INET, AF_UNIX};

START_TEST(how_many_wait)
{
	enum { SOME = 5 };
	int peers[SOME];
	const int listener = listen_on(families[_i]);
	const bool counts = mtsi_listening_counts(listener);
	ck_assert(!mtsi_listening_ready(listener));
	ck_assert_uint_eq(mtsi_listening_count(listener), 0);
	for (size_t i = 0; i < SOME; i++) {
		peers[i] = connect_to(listener);
		wait_until(mtsi_listening_ready(listener)
			&& mtsi_listening_count(listener) == (counts ? i + 1 : 0));
	}
	for (size_t i = SOME; i > 0; i--) {
		ck_assert(mtsi_listening_ready(listener));
		const int accepted = accept(listener, NULL, NULL);
		ck_assert_uint_eq(mtsi_listening_count(listener), counts ? i - 1 : 0);
		ck_assert(!mtsi_listening_counts(accepted));
		ck_assert_uint_eq(mtsi_listening_count(accepted), 0);
		close(accepted);
		close(peers[i - 1]);
	}
	ck_assert(!mtsi_listening_ready(listener));
	ck_assert(!counts || families[_i] == AF_INET);
	close(listener);
}
END_TEST

START_TEST(made_non_blocking)
{
	const int listener = listen_on(families[_i]);
	const int others = dup(listener);
	ck_assert(mtsi_listening_unblock(listener));
	ck_assert(!mtsi_listening_unblock(listener));
	ck_assert_int_ne(fcntl(others, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(others, F_SETFL, 0), 0);
	ck_assert(mtsi_listening_unblock(listener));
	close(others);
	close(listener);
	ck_assert(!mtsi_listening_unblock(listener));
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("listening");
	tcase_add_loop_test(cases, how_many_wait, 0, 2);
	tcase_add_loop_test(cases, made_non_blocking, 0, 2);
	return suite_run_once();
}
