/* SPDX-License-Identifier: MIT
 *
 * The end of a reply that is still here when its client closes, because the peer's receive window is
 * closed: it has not read yet. Whatever the peer sends now would make the kernel reset a connection whose
 * socket is closed, and throw away what it has not sent; so the socket must not be closed yet.
 *
 * The handler writes piece by piece until the window is closed beyond doubt: all that was sent has been
 * acknowledged, and there is still something to send. How much that is depends on the kernel, so it tells.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* The kernel's number for how much has not been sent, which only its own headers name. */
#ifndef SIOCOUTQNSD
#define SIOCOUTQNSD 0x894B
#endif

enum { PIECE = 1024 }; /* little enough to be sent at once, were it not for the window */

static _Atomic size_t written;
static _Atomic int served; /* the client's socket in the server */
static struct endings endings = {.all = GATE};

static int queued(int fd, unsigned long which)
{
	int count = -1;
	ck_assert_int_eq(ioctl(fd, which, &count), 0);
	return count;
}

/*
 * Whether all that was sent has been acknowledged, and something is left. It is looked at again a moment
 * later: the kernel may have been about to send it.
 */
static bool window_closed(int fd)
{
	const int unsent = queued(fd, SIOCOUTQNSD);
	for (int looks = 0; looks < 3; looks++) {
		if (unsent == 0 || queued(fd, TIOCOUTQ) != unsent || queued(fd, SIOCOUTQNSD) != unsent) {
			return false;
		}
		poll(NULL, 0, 1);
	}
	return true;
}

static int fill_the_window(mts_client *client, const void *request, size_t size, void *user)
{
	char piece[PIECE];
	const int fd = mts_client_fd(client);
	const uint64_t start = now_ms();
	(void)request;
	(void)size;
	(void)user;
	served = fd;
	while (!window_closed(fd)) {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "the window does not close");
		if (queued(fd, SIOCOUTQNSD) == 0) {
			pattern_fill(piece, sizeof(piece), written);
			ck_assert_int_eq(mts_client_write(client, piece, sizeof(piece)), 0);
			ck_assert_int_eq(mts_client_flush(client), 0);
			written += sizeof(piece);
		}
	}
	return MTS_CLOSE;
}

/* Waits until the server is through with the client: its socket lingers, or is no more. */
static void wait_for_the_close(mts_server *server)
{
	const uint64_t start = now_ms();
	while (mts_server_stat(server, MTS_STAT_LINGERING) == 0 && fcntl(served, F_GETFD) >= 0) {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "the socket is not closed");
		poll(NULL, 0, 1);
	}
}

/* A peer whose window is closed by a reply that the server is through with. */
static int full_peer(mts_server *server, int window)
{
	const int peer = peer_socket();
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	peer_connect_socket(peer, server);
	peer_puts(peer, "x");
	endings_expect(&endings, MTS_CLOSED_BY_HANDLER, 1);
	wait_for_the_close(server);
	return peer;
}

static mts_server *new_server(void)
{
	mts_server *server = server_new(fill_the_window, NULL);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

static const int windows[] = {1024, 16 * 1024, 128 * 1024};

START_TEST(one_more_byte_from_the_peer)
{
	mts_server *server = new_server();
	server_start(server);
	const int peer = full_peer(server, windows[_i]);
	peer_puts(peer, "y");
	peer_expect_pattern(peer, written, 0);
	peer_expect_end(peer);
	close(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	server_end(server);
}
END_TEST

/* A stop waits for such a peer, as it does for any output. */
START_TEST(one_more_byte_while_the_server_stops)
{
	mts_server *server = new_server();
	server_start(server);
	const int peer = full_peer(server, windows[_i]);
	mts_server_stop(server);
	peer_puts(peer, "y");
	peer_expect_pattern(peer, written, 0);
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	enum { WINDOWS = sizeof(windows) / sizeof(windows[0]) };
	TCase *tcase = suite_begin("closed window");
	tcase_add_loop_test(tcase, one_more_byte_from_the_peer, 0, WINDOWS);
	tcase_add_loop_test(tcase, one_more_byte_while_the_server_stops, 0, WINDOWS);
	return suite_run();
}
