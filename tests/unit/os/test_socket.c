/* SPDX-License-Identifier: MIT
 *
 * Connected sockets: what each call says of a connection that is idle, busy, half closed, ended or reset.
 */
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../api/support.h"
#include "os/clock.h"

static int listener;
static int ours; /* accepted by mtsi_socket_accept() */
static int theirs;

static struct sockaddr_in own_address(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return address;
}

static void setup(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 10), 0);
	address = own_address(listener);
	ck_assert_int_eq(mtsi_socket_accept(listener, (struct sockaddr *)&peer, &size), -EAGAIN);
	theirs = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(theirs, (struct sockaddr *)&address, sizeof(address)), 0);
	ours = mtsi_socket_accept(listener, (struct sockaddr *)&peer, &size);
	ck_assert_int_ge(ours, 0);
	ck_assert_uint_eq(size, sizeof(address));
	address = own_address(theirs);
	ck_assert_mem_eq(&peer, &address, sizeof(address));
}

static void teardown(void)
{
	close(listener);
	mtsi_socket_close(ours);
	close(theirs);
}

static void wait_for_input(int fd)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN | POLLRDHUP};
	ck_assert_int_eq(poll(&wanted, 1, PATIENCE * 1000), 1);
}

START_TEST(accepted_sockets)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	ck_assert_int_ne(fcntl(ours, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(fcntl(ours, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(mtsi_socket_accept(listener, (struct sockaddr *)&peer, &size), -EAGAIN);
	ck_assert_int_eq(mtsi_socket_accept(-1, (struct sockaddr *)&peer, &size), -EBADF);
	ck_assert_int_eq(mtsi_socket_accept(theirs, (struct sockaddr *)&peer, &size), -EINVAL);
}
END_TEST

START_TEST(receiving)
{
	char bytes[16];
	ck_assert_int_eq(mtsi_socket_receive_now(ours, bytes, sizeof(bytes)), -EAGAIN);
	ck_assert_int_eq(write(theirs, "hello", 5), 5);
	ck_assert_int_eq(mtsi_socket_receive(ours, bytes, 2), 2);
	ck_assert_uint_eq(mtsi_socket_unread(ours), 3);
	ck_assert_int_eq(mtsi_socket_receive_now(ours, bytes + 2, sizeof(bytes) - 2), 3);
	ck_assert_mem_eq(bytes, "hello", 5);
	ck_assert_uint_eq(mtsi_socket_unread(ours), 0);
	ck_assert_int_eq(shutdown(theirs, SHUT_WR), 0);
	ck_assert_int_eq(mtsi_socket_receive(ours, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(mtsi_socket_receive_now(ours, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(mtsi_socket_receive(-1, bytes, sizeof(bytes)), -EPIPE);
}
END_TEST

START_TEST(sending)
{
	char bytes[16];
	struct iovec one = {(char[]){'a', 'b', 'c'}, 3};
	struct iovec three[3] = {{(char[]){'d'}, 1}, {NULL, 0}, {(char[]){'e', 'f'}, 2}};
	ck_assert_int_eq(mtsi_socket_send_now(ours, &one, 1, false), 3);
	ck_assert_int_eq(mtsi_socket_send_now(ours, three, 3, false), 3);
	ck_assert_int_eq(recv(theirs, bytes, 6, MSG_WAITALL), 6);
	ck_assert_mem_eq(bytes, "abcdef", 6);
	mtsi_socket_shut_sending(ours);
	ck_assert_int_eq(mtsi_socket_send_now(ours, &one, 1, false), -EPIPE); /* and no SIGPIPE */
	ck_assert_int_eq(mtsi_socket_send_now(ours, three, 3, false), -EPIPE);
	ck_assert_int_eq(recv(theirs, bytes, 1, 0), 0);
}
END_TEST

/* Until the socket is full, and again once the peer has read. */
START_TEST(sending_more_than_it_takes)
{
	static char bytes[100000];
	struct iovec piece = {bytes, sizeof(bytes)};
	size_t sent = 0;
	ssize_t count;
	while ((count = mtsi_socket_send_now(ours, &piece, 1, false)) > 0) {
		sent += (size_t)count;
	}
	ck_assert_int_eq(count, -EAGAIN);
	ck_assert_uint_gt(mtsi_socket_unacknowledged(ours), 0);
	ck_assert_uint_gt(mtsi_socket_unsent(ours), 0);
	while (sent > 0) {
		const ssize_t got = recv(theirs, bytes, sizeof(bytes), 0);
		ck_assert_int_gt(got, 0);
		sent -= (size_t)got;
	}
	mtsi_socket_wait_writable(ours);
	ck_assert_int_gt(mtsi_socket_send_now(ours, &piece, 1, false), 0);
}
END_TEST

/* What there is to lose is told exactly. */
START_TEST(nothing_left_to_acknowledge)
{
	struct iovec piece = {(char[]){'x'}, 1};
	char byte;
	ck_assert_uint_eq(mtsi_socket_unacknowledged(ours), 0);
	ck_assert_uint_eq(mtsi_socket_unsent(ours), 0);
	ck_assert_int_eq(mtsi_socket_send_now(ours, &piece, 1, false), 1);
	ck_assert_int_eq(recv(theirs, &byte, 1, 0), 1);
	while (mtsi_socket_unacknowledged(ours) > 0) {
		poll(NULL, 0, 1);
	}
	ck_assert_uint_eq(mtsi_socket_unsent(ours), 0);
	ck_assert_uint_eq(mtsi_socket_unacknowledged(-1), 0);
	ck_assert_uint_eq(mtsi_socket_unread(-1), 0);
	ck_assert_uint_eq(mtsi_socket_unsent(-1), 0);
}
END_TEST

START_TEST(how_the_peer_stands)
{
	char bytes[4];
	ck_assert_int_eq(mtsi_socket_peer(ours), MTSI_PEER_SENDING);
	ck_assert_int_eq(mtsi_socket_state(ours), MTSI_SOCKET_ALIVE);
	mtsi_socket_shut_receiving(ours);
	ck_assert_int_eq(mtsi_socket_peer(ours), MTSI_PEER_SENDING);
	ck_assert_int_eq(write(theirs, "abc", 3), 3);
	while (mtsi_socket_unread(ours) < 3) {
	}
	ck_assert_int_eq(shutdown(theirs, SHUT_WR), 0);
	while (mtsi_socket_peer(ours) == MTSI_PEER_SENDING) {
	}
	ck_assert_int_eq(mtsi_socket_peer(ours), MTSI_PEER_FINISHED);
	ck_assert_int_eq(mtsi_socket_state(ours), MTSI_SOCKET_HALF_CLOSED);
	ck_assert_int_eq(mtsi_socket_receive(ours, bytes, sizeof(bytes)), 3);
	mtsi_socket_shut_sending(ours);
	while (mtsi_socket_peer(ours) == MTSI_PEER_FINISHED) {
	}
	ck_assert_int_eq(mtsi_socket_peer(ours), MTSI_PEER_CLOSED);
	ck_assert_int_eq(mtsi_socket_state(ours), MTSI_SOCKET_DEAD);
}
END_TEST

START_TEST(a_reset)
{
	char byte = 0;
	struct iovec piece = {&byte, 1};
	peer_reset(theirs);
	theirs = -1;
	wait_for_input(ours);
	ck_assert_int_eq(mtsi_socket_state(ours), MTSI_SOCKET_DEAD);
	ck_assert_int_eq(mtsi_socket_peer(ours), MTSI_PEER_CLOSED);
	ck_assert_int_eq(mtsi_socket_receive(ours, &byte, 1), -EPIPE);
	ck_assert_int_eq(mtsi_socket_send_now(ours, &piece, 1, false), -EPIPE);
	mtsi_socket_wait_writable(ours);
}
END_TEST

static void fill(int fd)
{
	static char bytes[100000];
	struct iovec piece = {bytes, sizeof(bytes)};
	while (mtsi_socket_send_now(fd, &piece, 1, false) > 0) {
	}
}

/*
 * The program asks for a note of each packet that is sent, and does not read them: from then on poll(2)
 * reports an error at once, whatever it is asked for. False: this system makes no such notes.
 */
static bool leave_notes(void)
{
	/* SOF_TIMESTAMPING_TX_SOFTWARE, TX_SCHED and SOFTWARE: only the kernel's headers name them. */
	const unsigned notes = 1U << 1 | 1U << 8 | 1U << 4;
	struct iovec piece = {(char[]){'x'}, 1};
	struct pollfd asked = {.fd = ours, .events = 0};
	if (setsockopt(ours, SOL_SOCKET, SO_TIMESTAMPING, &notes, sizeof(notes)) == 0
		&& mtsi_socket_send_now(ours, &piece, 1, false) == 1 && poll(&asked, 1, 1000) == 1
		&& asked.revents == POLLERR) {
		return true;
	}
	printf("socket: skipped, since nothing comes to the error queue here\n");
	return false;
}

/* Waiting pauses then, since asking again would spin; and the connection is well. */
START_TEST(something_in_the_error_queue)
{
	char byte;
	bool failed = true;
	if (!leave_notes()) {
		return;
	}
	ck_assert_int_eq(mtsi_socket_state(ours), MTSI_SOCKET_ALIVE);
	fill(ours);
	const uint64_t start = mtsi_clock_now();
	for (int i = 0; i < 10; i++) {
		mtsi_socket_wait_writable(ours);
	}
	ck_assert_uint_ge(mtsi_clock_now() - start, 20 * MTSI_MILLISECOND);
	mtsi_socket_wait_writable_for(ours, 20);
	ck_assert(!mtsi_socket_wait_closed_for(ours, 20, &failed));
	ck_assert(!failed);
	ck_assert_uint_ge(mtsi_clock_now() - start, 60 * MTSI_MILLISECOND);
	ck_assert(!mtsi_socket_wait_closed_for(ours, 0, &failed));
	ck_assert(!failed);
	/* What is waited for still ends the wait, and the end of the connection too. */
	ck_assert_int_eq(write(theirs, "a", 1), 1);
	ck_assert_int_eq(fcntl(ours, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(mtsi_socket_receive(ours, &byte, 1), 1);
	ck_assert_int_eq(shutdown(theirs, SHUT_WR), 0);
	wait_until(mtsi_socket_state(ours) == MTSI_SOCKET_HALF_CLOSED);
	peer_reset(theirs);
	theirs = -1;
	wait_until(mtsi_socket_wait_closed_for(ours, 1000, &failed));
	ck_assert(failed);
	ck_assert_int_eq(mtsi_socket_state(ours), MTSI_SOCKET_DEAD);
	mtsi_socket_wait_writable(ours);
}
END_TEST

/* No descriptor may be polled at all: poll(2). Every wait is a pause, and says nothing. */
START_TEST(without_poll)
{
	struct rlimit before;
	bool failed = true;
	fill(ours);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit none = {0, before.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &none) != 0
		|| poll(&(struct pollfd){.fd = ours, .events = POLLOUT}, 1, 0) >= 0) {
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		printf("socket: skipped, since the limit does not bind here\n"); /* under valgrind */
		return;
	}
	const uint64_t start = mtsi_clock_now();
	for (int i = 0; i < 10; i++) {
		mtsi_socket_wait_writable(ours);
	}
	mtsi_socket_wait_writable_for(ours, 20);
	ck_assert(!mtsi_socket_wait_closed_for(ours, 20, &failed));
	ck_assert(!failed);
	ck_assert_uint_ge(mtsi_clock_now() - start, 60 * MTSI_MILLISECOND);
	ck_assert_int_eq(mtsi_socket_state(ours), MTSI_SOCKET_ALIVE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

START_TEST(sockets_other_than_tcp)
{
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(mtsi_socket_peer(pair[0]), MTSI_PEER_UNKNOWN);
	ck_assert_int_eq(mtsi_socket_state(pair[0]), MTSI_SOCKET_ALIVE);
	ck_assert_int_eq(write(pair[1], "abc", 3), 3);
	ck_assert_uint_eq(mtsi_socket_unread(pair[0]), 3);
	close(pair[1]);
	ck_assert_int_eq(mtsi_socket_state(pair[0]), MTSI_SOCKET_DEAD);
	close(pair[0]);
}
END_TEST

static struct gate received = GATE;
static ssize_t result;

static void *receive(void *unused)
{
	char byte;
	result = mtsi_socket_receive(ours, &byte, 1);
	gate_add(&received);
	return unused;
}

/* Either way of ending it wakes whoever waits, or is about to. */
START_TEST(shutting_down_wakes)
{
	pthread_t receiver;
	ck_assert_int_eq(pthread_create(&receiver, NULL, receive, NULL), 0);
	poll(NULL, 0, _i % 2); /* it waits already, or not yet */
	if (_i < 2) {
		mtsi_socket_shut_receiving(ours);
	} else if (mtsi_socket_reset(ours) == -EBUSY) {
		mtsi_socket_shut_receiving(ours); /* kernels that do not do it to who waits */
	}
	gate_wait(&received, 1);
	ck_assert_int_eq(pthread_join(receiver, NULL), 0);
	ck_assert_int_le(result, 0);
}
END_TEST

/* The peer gets a reset, however often it is done; what waits in between is not sent. */
START_TEST(resetting)
{
	static char bytes[1 << 20];
	struct iovec all = {bytes, sizeof(bytes)};
	while (mtsi_socket_send_now(ours, &all, 1, false) > 0) {
	}
	if (_i == 1) {
		mtsi_socket_shut_receiving(ours);
	}
	ck_assert_int_eq(mtsi_socket_reset(ours), 0);
	ck_assert_int_eq(mtsi_socket_reset(ours), 0);
	ck_assert_int_lt(mtsi_socket_send_now(ours, &all, 1, false), 0);
	mtsi_socket_wait_writable(ours);
	ck_assert_int_eq(mtsi_socket_state(ours), MTSI_SOCKET_DEAD);
	(void)peer_expect_torn(theirs);
}
END_TEST

/* Also where somebody else has it open, and where there is none. */
START_TEST(aborting)
{
	int pair[2];
	const int other = dup(ours);
	mtsi_socket_abort(ours);
	ck_assert_uint_eq(peer_expect_torn(theirs), 0);
	ours = other;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(mtsi_socket_reset(pair[0]), -EINVAL);
	mtsi_socket_abort(pair[0]);
	peer_expect_end(pair[1]);
	close(pair[1]);
}
END_TEST

/* Whoever has set SO_PEEK_OFF: a peek sees what is there, again and again. */
START_TEST(a_peek_that_begins_elsewhere)
{
	int pair[2];
	const int far = 3;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_PEEK_OFF, &far, sizeof(far)), 0);
	ck_assert_int_eq(mtsi_socket_peek(pair[0]), -EAGAIN);
	peer_puts(pair[1], "a");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(mtsi_socket_peek(pair[0]), 1);
	}
	close(pair[1]);
	close(pair[0]);
}
END_TEST

/* An urgent byte outside of a Unix socket's stream counts as unread, but is nothing to receive. */
START_TEST(what_cannot_be_received)
{
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	if (send(pair[1], "!", 1, MSG_OOB) == 1) {
		ck_assert_int_eq(mtsi_socket_peek(pair[0]), -EAGAIN);
		mtsi_socket_keep_urgent(pair[0]);
		ck_assert_int_eq(send(pair[1], "!", 1, MSG_OOB), 1);
		ck_assert_int_eq(mtsi_socket_peek(pair[0]), 1);
	}
	close(pair[1]);
	close(pair[0]);
}
END_TEST

/* With as much on its way as the peer's window lets in, and more; it would wait for five minutes. */
START_TEST(close_does_not_wait)
{
	const struct linger long_time = {1, 300};
	static char much[1024 * 1024];
	struct iovec piece = {much, sizeof(much)};
	while (mtsi_socket_send_now(ours, &piece, 1, false) > 0) {
	}
	ck_assert_int_eq(setsockopt(ours, SOL_SOCKET, SO_LINGER, &long_time, sizeof(long_time)), 0);
	mtsi_socket_close_now(ours);
	ck_assert_int_eq(fcntl(ours, F_GETFD), -1);
	ours = dup(theirs);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("socket");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, accepted_sockets);
	tcase_add_test(cases, receiving);
	tcase_add_test(cases, sending);
	tcase_add_test(cases, sending_more_than_it_takes);
	tcase_add_test(cases, nothing_left_to_acknowledge);
	tcase_add_loop_test(cases, resetting, 0, 2);
	tcase_add_test(cases, aborting);
	tcase_add_test(cases, how_the_peer_stands);
	tcase_add_test(cases, a_reset);
	tcase_add_test(cases, sockets_other_than_tcp);
	tcase_add_test(cases, a_peek_that_begins_elsewhere);
	tcase_add_test(cases, what_cannot_be_received);
	tcase_add_test(cases, close_does_not_wait);
	tcase_add_test(cases, something_in_the_error_queue);
	tcase_add_test(cases, without_poll);
	tcase_add_loop_test(cases, shutting_down_wakes, 0, 4);
	return suite_run_once();
}
