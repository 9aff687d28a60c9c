/* SPDX-License-Identifier: MIT
 *
 * Closing: at once when nothing can be lost, otherwise when the peer has finished, when it is due, when
 * too much or too many have come, or when the server ends.
 */
#include "engine/door/linger.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../desk.h"
#include "engine/client/claim.h"
#include "engine/run/stats.h"
#include "os/clock.h"
#include "os/poll.h"
#include "os/socket.h"

enum { FEW = 16, LARGE = 200000 };

static mts_server *server;
static int listener;

/* A server that does not run: the test is its keeper. */
static void setup(void)
{
	server = desk_server();
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	mtsi_base_floor(server)->poll = mtsi_poll_open();
	listener = mtsi_door_floor(server)->listeners.list[0].fd;
	mtsi_door_prepare(server);
	mtsi_door_open(server);
}

static void teardown(void)
{
	ck_assert_uint_eq(mtsi_door_clients(server), 0);
	(void)mtsi_linger_finish(server);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

/* A client that a worker has served, and its peer. */
static struct mts_client *open_client(int *peer)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	*peer = peer_connect(server, 0);
	int fd = -1;
	while ((fd = mtsi_socket_accept(listener, (struct sockaddr *)&address, &size)) < 0) {
		poll(NULL, 0, 1);
	}
	struct mts_client *client = mtsi_clients_open(
		server, fd, (const struct sockaddr *)&address, (unsigned)size);
	ck_assert_ptr_nonnull(client);
	client->stage = MTSI_CLIENT_SERVED;
	client->opened = true;
	ck_assert_int_eq(mtsi_door_enter(server, client), MTSI_LET_IN);
	return client;
}

/* As its worker, at the end. */
static void leave(struct mts_client *client, bool given_up)
{
	mtsi_linger_or_close(client, given_up, 0);
	mtsi_door_leave(server, false);
}

static size_t lingering(void)
{
	return atomic_load(&mtsi_door_floor(server)->linger.count);
}

/* Something is unread, so it cannot be closed at once. */
static uint64_t linger(int *peer)
{
	struct mts_client *client = open_client(peer);
	const uint64_t id = client->id;
	const size_t before = lingering();
	peer_puts(*peer, "unread");
	while (mtsi_socket_unread(client->fd) < 6) {
	}
	leave(client, false);
	ck_assert_uint_eq(lingering(), before + 1);
	return id;
}

/* What who polls does: waits for an event, claims the client, which is parked, and hands it on. */
static void handle_event(void)
{
	struct epoll_event event;
	ck_assert_int_eq(mtsi_poll_wait(mtsi_base_floor(server)->poll, &event, 1, MTSI_NEVER), 1);
	struct mts_client *client = mtsi_clients_lock(server, event.data.u64);
	ck_assert_ptr_nonnull(client);
	ck_assert_int_eq(client->stage, MTSI_CLIENT_LINGERING);
	mtsi_lock_release(&client->lock);
	ck_assert(mtsi_claim(client));
	mtsi_linger_event(client);
}

static bool is_gone(uint64_t id)
{
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client != NULL) {
		mtsi_lock_release(&client->lock);
	}
	return client == NULL;
}

START_TEST(nothing_to_lose)
{
	int peer;
	struct mts_client *client = open_client(&peer);
	const uint64_t id = client->id;
	leave(client, false);
	ck_assert(is_gone(id));
	ck_assert_uint_eq(lingering(), 0);
	peer_expect_end(peer);
	close(peer);
}
END_TEST

START_TEST(a_short_reply)
{
	int peer;
	struct mts_client *client = open_client(&peer);
	const uint64_t id = client->id;
	struct iovec reply = {(char[]){'h', 'i'}, 2};
	ck_assert_int_eq(mtsi_socket_send_now(client->fd, &reply, 1, false), 2);
	leave(client, false);
	ck_assert(is_gone(id));
	peer_expect_text(peer, "hi");
	peer_expect_end(peer);
	close(peer);
}
END_TEST

START_TEST(given_up)
{
	int peer;
	struct mts_client *client = open_client(&peer);
	const uint64_t id = client->id;
	peer_puts(peer, "unread");
	while (mtsi_socket_unread(client->fd) < 6) {
	}
	leave(client, true);
	ck_assert(is_gone(id));
	peer_expect_gone(peer);
	close(peer);
}
END_TEST

/* The peer gets all of a long reply although it has not been read to the end, and then the end. */
START_TEST(a_long_reply)
{
	int peer;
	static char bytes[LARGE];
	struct mts_client *client = open_client(&peer);
	struct iovec reply = {bytes, sizeof(bytes)};
	pattern_fill(bytes, sizeof(bytes), 0);
	peer_puts(peer, "unread");
	while (mtsi_socket_unread(client->fd) < 6) {
	}
	const ssize_t sent = mtsi_socket_send_now(client->fd, &reply, 1, false);
	ck_assert_int_gt(sent, 0);
	leave(client, false);
	ck_assert_uint_eq(lingering(), 1);
	ck_assert_uint_eq(mtsi_door_clients(server), 0);
	peer_puts(peer, "and more");
	peer_expect_pattern(peer, (size_t)sent, 0);
	peer_expect_end(peer);
	ck_assert_uint_eq(lingering(), 1);
	close(peer);
	while (lingering() > 0) {
		handle_event();
	}
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_TIMEOUTS), 0);
}
END_TEST

/* A peer that sends for ever is cut off after a megabyte. */
START_TEST(a_flood)
{
	int peer;
	static char bytes[16384];
	const uint64_t id = linger(&peer);
	size_t sent = 0;
	while (lingering() > 0) {
		const ssize_t count = send(peer, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += count > 0 ? (size_t)count : 0;
		handle_event();
	}
	ck_assert(is_gone(id));
	ck_assert_uint_ge(sent + 6, 1024 * 1024);
	ck_assert_uint_le(sent, 16 * 1024 * 1024);
	close(peer);
}
END_TEST

/* Sends as much as the socket takes. */
static size_t fill(struct mts_client *client)
{
	static char bytes[LARGE];
	size_t sent = 0;
	ssize_t count = 0;
	pattern_fill(bytes, sizeof(bytes), 0);
	struct iovec reply = {bytes, sizeof(bytes)};
	while ((count = mtsi_socket_send_now(client->fd, &reply, 1, false)) > 0) {
		sent += (size_t)count;
		pattern_fill(bytes, sizeof(bytes), sent);
		reply = (struct iovec){bytes, sizeof(bytes)};
	}
	ck_assert_uint_gt(mtsi_socket_unacknowledged(client->fd), 0);
	return sent;
}

static void shut_by_the_library(int fd)
{
	mtsi_socket_shut_receiving(fd);
}

static void shut_by_the_program(int fd)
{
	ck_assert_int_eq(shutdown(fd, SHUT_RD), 0);
}

/*
 * Its receiving side is shut: what the peer sends now would be answered with a reset if the sending side
 * were shut too. So it sends on, is looked at every few milliseconds, and closes when all has arrived.
 */
START_TEST(it_does_not_listen)
{
	static void (*const shut[])(int fd) = {shut_by_the_library, shut_by_the_program};
	int peer;
	struct mts_client *client = open_client(&peer);
	const uint64_t id = client->id;
	const size_t sent = fill(client);
	const uint64_t start = mtsi_clock_now();
	shut[_i](client->fd);
	leave(client, false);
	ck_assert_uint_eq(lingering(), 1);
	ck_assert_uint_eq(atomic_load(&mtsi_door_floor(server)->linger.sending), 1);
	const uint64_t again = mtsi_linger_expire(server, start);
	ck_assert_uint_eq(again, start + 10 * MTSI_MILLISECOND);
	ck_assert_uint_eq(mtsi_linger_expire(server, again - 1), again);
	peer_puts(peer, "a late request");
	peer_expect_pattern(peer, sent, 0);
	ck_assert(!is_gone(id));
	while (!is_gone(id)) { /* the kernel takes its time to acknowledge */
		mtsi_door_floor(server)->linger.look_at = 0;
		(void)mtsi_linger_expire(server, start);
		poll(NULL, 0, 1);
	}
	ck_assert_uint_eq(mtsi_linger_expire(server, mtsi_clock_now()), MTSI_NEVER);
	ck_assert_uint_eq(atomic_load(&mtsi_door_floor(server)->linger.sending), 0);
	peer_expect_end(peer);
	close(peer);
}
END_TEST

/* One that listens is told of everything by events: nobody looks. */
START_TEST(it_listens)
{
	int peer;
	const uint64_t id = linger(&peer);
	const uint64_t due = mtsi_door_floor(server)->linger.usual.first->lingers_since
		+ 2 * MTSI_SECOND;
	ck_assert_uint_eq(atomic_load(&mtsi_door_floor(server)->linger.sending), 0);
	ck_assert_uint_eq(mtsi_linger_expire(server, due - 1), due);
	close(peer);
	while (!is_gone(id)) {
		handle_event();
	}
}
END_TEST

/* Two seconds, and in the order in which they came. */
START_TEST(when_they_are_due)
{
	int peers[3];
	uint64_t ids[3];
	uint64_t dues[3];
	const uint64_t start = mtsi_clock_now();
	for (int i = 0; i < 3; i++) {
		ids[i] = linger(&peers[i]);
		dues[i] = mtsi_door_floor(server)->linger.usual.last->lingers_since + 2 * MTSI_SECOND;
		ck_assert_uint_ge(dues[i], start + 2 * MTSI_SECOND);
		ck_assert_uint_le(dues[i], mtsi_clock_now() + 2 * MTSI_SECOND);
	}
	ck_assert_uint_eq(mtsi_linger_expire(server, dues[0] - 1), dues[0]);
	ck_assert_uint_eq(lingering(), 3);
	for (int i = 0; i < 3; i++) {
		const uint64_t next = mtsi_linger_expire(server, dues[i]);
		ck_assert(is_gone(ids[i]));
		ck_assert_uint_eq(next, i < 2 ? dues[i + 1] : MTSI_NEVER);
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_TIMEOUTS), 3);
}
END_TEST

/* Far ahead all are due at once. */
START_TEST(all_at_once)
{
	int peers[5];
	for (int i = 0; i < 5; i++) {
		(void)linger(&peers[i]);
	}
	ck_assert_uint_eq(mtsi_linger_expire(server, MTSI_NEVER - 1), MTSI_NEVER);
	ck_assert_uint_eq(lingering(), 0);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_TIMEOUTS), 5);
	for (int i = 0; i < 5; i++) {
		close(peers[i]);
	}
}
END_TEST

/* More than there should be: the ones that have waited longest go. */
START_TEST(too_many)
{
	int peers[FEW + 3];
	uint64_t ids[FEW + 3];
	mtsi_door_set_max_clients(server, 8);
	for (int i = 0; i < FEW + 3; i++) {
		ids[i] = linger(&peers[i]);
	}
	(void)mtsi_linger_expire(server, 0);
	ck_assert_uint_eq(lingering(), FEW);
	for (int i = 0; i < FEW + 3; i++) {
		ck_assert_int_eq(is_gone(ids[i]), i < 3);
		close(peers[i]);
	}
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_TIMEOUTS), 0);
}
END_TEST

START_TEST(evicted)
{
	int peers[2];
	uint64_t ids[2];
	ck_assert(!mtsi_linger_evict(server));
	for (int i = 0; i < 2; i++) {
		ids[i] = linger(&peers[i]);
	}
	ck_assert(mtsi_linger_evict(server));
	ck_assert(is_gone(ids[0]) && !is_gone(ids[1]));
	ck_assert(mtsi_linger_evict(server));
	ck_assert(!mtsi_linger_evict(server));
	close(peers[0]);
	close(peers[1]);
}
END_TEST

/* From the middle of the list as well. */
START_TEST(in_any_order)
{
	static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
	int peers[4];
	uint64_t ids[4];
	for (int i = 0; i < 4; i++) {
		ids[i] = linger(&peers[i]);
	}
	for (size_t i = 0; i < 4; i++) {
		const int which = orders[_i][i];
		close(peers[which]);
		while (!is_gone(ids[which])) {
			handle_event();
		}
		ck_assert_uint_eq(lingering(), 3 - i);
	}
}
END_TEST

/* The end: all are closed, and nobody lingers any more. */
START_TEST(the_end)
{
	int peers[4];
	for (int i = 0; i < 3; i++) {
		(void)linger(&peers[i]);
	}
	ck_assert_uint_eq(mtsi_linger_finish(server), 3);
	struct mts_client *client = open_client(&peers[3]);
	const uint64_t id = client->id;
	peer_puts(peers[3], "unread");
	while (mtsi_socket_unread(client->fd) < 6) {
	}
	leave(client, false);
	ck_assert(is_gone(id));
	ck_assert_uint_eq(lingering(), 0);
	for (int i = 0; i < 4; i++) {
		close(peers[i]);
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("linger");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, nothing_to_lose);
	tcase_add_test(cases, a_short_reply);
	tcase_add_test(cases, given_up);
	tcase_add_test(cases, a_long_reply);
	tcase_add_test(cases, a_flood);
	tcase_add_loop_test(cases, it_does_not_listen, 0, 2);
	tcase_add_test(cases, it_listens);
	tcase_add_test(cases, when_they_are_due);
	tcase_add_test(cases, all_at_once);
	tcase_add_test(cases, too_many);
	tcase_add_test(cases, evicted);
	tcase_add_loop_test(cases, in_any_order, 0, 4);
	tcase_add_test(cases, the_end);
	return suite_run();
}
