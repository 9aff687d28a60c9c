/* SPDX-License-Identifier: MIT
 *
 * Messages by id, step by step: who takes them, what is refused and when, that each is whole and in its
 * place, and whom the keeper is told about.
 */
#include "engine/serve/mailbox.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../desk.h"
#include "engine/client/claim.h"
#include "engine/run/stats.h"
#include "os/poll.h"

enum { LIMIT = 40000, MOST = 1 << 20 };

static struct desk desk;
static char bytes[MOST];

static void setup(void)
{
	mts_server *server = desk_server();
	ck_assert_int_eq(mts_server_set_max_output(server, LIMIT), 0);
	desk_open(&desk, server);
	const int size = 4096;
	ck_assert_int_eq(setsockopt(desk.client->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	desk.client->opened = true;
}

static void teardown(void)
{
	desk_close(&desk);
}

/* Sends a piece of the pattern. */
static int post(size_t size, uint64_t position)
{
	ck_assert_uint_le(size, MOST);
	pattern_fill(bytes, size, position);
	return mts_server_send(desk.server, desk.client->id, bytes, size);
}

/* Fills the socket, until something waits; how much was sent in all. */
static uint64_t fill(void)
{
	uint64_t done = 0;
	while (desk_queued(&desk) == 0) {
		ck_assert_int_eq(post(1000, done), 0);
		done += 1000;
	}
	return done;
}

static void send_on(void)
{
	mtsi_lock_take(&desk.client->lock);
	(void)mtsi_output_continue_locked(desk.client);
	mtsi_lock_release(&desk.client->lock);
}

/* The peer reads all there is, however much of it waits. */
static void expect(uint64_t from, uint64_t to)
{
	unsigned char got[1000];
	unsigned char wanted[sizeof(got)];
	while (from < to) {
		const ssize_t count = recv(desk.peer, got, sizeof(got), MSG_DONTWAIT);
		if (count < 0) {
			ck_assert_uint_gt(desk_queued(&desk), 0);
			send_on();
			continue;
		}
		pattern_fill(wanted, (size_t)count, from);
		ck_assert_mem_eq(got, wanted, (size_t)count);
		from += (uint64_t)count;
	}
	ck_assert_uint_eq(from, to);
	ck_assert_int_lt(recv(desk.peer, got, 1, MSG_DONTWAIT), 0);
	ck_assert_uint_eq(desk_queued(&desk), 0);
}

static uint64_t unsent(void)
{
	return mtsi_stats_read(desk.server, MTS_STAT_UNSENT);
}

START_TEST(sent_at_once)
{
	ck_assert_int_eq(post(100, 0), 0);
	ck_assert_int_eq(post(0, 0), 0);
	ck_assert_int_eq(post(200, 100), 0);
	ck_assert_uint_eq(desk_queued(&desk), 0);
	peer_expect_pattern(desk.peer, 300, 0);
	ck_assert_uint_eq(mtsi_stats_read(desk.server, MTS_STAT_BYTES_OUT), 300);
	ck_assert_uint_eq(unsent(), 0);
	ck_assert_uint_eq(desk.client->watched & MTSI_POLL_OUT, 0);
}
END_TEST

/* To the byte: what fits is taken, one byte more is not, and none of it is sent. */
START_TEST(at_the_limit)
{
	struct epoll_event event;
	uint64_t done = fill();
	const size_t room = LIMIT - desk_queued(&desk);
	ck_assert_uint_ne(desk.client->watched & MTSI_POLL_OUT, 0);
	ck_assert_int_eq(mtsi_poll_wait(mtsi_base_floor(desk.server)->poll, &event, 1, 0), 0);
	ck_assert_int_eq(post(room + 1, done), -ENOBUFS);
	ck_assert_int_eq(post(MOST, done), -ENOBUFS);
	ck_assert_int_eq(mts_server_send(desk.server, desk.client->id, bytes, SIZE_MAX), -ENOBUFS);
	ck_assert_uint_eq(desk_queued(&desk), LIMIT - room);
	ck_assert_uint_eq(unsent(), 3);
	ck_assert_int_eq(post(room, done), 0);
	done += room;
	ck_assert_uint_eq(desk_queued(&desk), LIMIT);
	ck_assert_int_eq(post(1, done), -ENOBUFS);
	ck_assert_int_eq(mts_server_broadcast(desk.server, bytes, 1), 0);
	ck_assert_uint_eq(unsent(), 5);
	expect(0, done);
	ck_assert_int_eq(post(10, done), 0);
	expect(done, done + 10);
}
END_TEST

/* A message above the limit is taken where nothing waits, and then nothing more until it has gone. */
START_TEST(above_the_limit)
{
	ck_assert_int_eq(post(3 * LIMIT, 0), 0);
	ck_assert_uint_gt(desk_queued(&desk), LIMIT);
	ck_assert_int_eq(post(1, 3 * LIMIT), -ENOBUFS);
	expect(0, 3 * LIMIT);
	ck_assert_int_eq(post(2 * LIMIT, 3 * LIMIT), 0);
	expect(3 * LIMIT, 5 * LIMIT);
}
END_TEST

/* Whoever polls may be late: a sender that finds too much waiting looks what the socket takes. */
START_TEST(room_that_nobody_has_noticed)
{
	uint64_t done = fill();
	const size_t room = LIMIT - desk_queued(&desk);
	ck_assert_int_eq(post(room, done), 0);
	done += room;
	ck_assert_int_eq(post(1, done), -ENOBUFS);
	peer_expect_pattern(desk.peer, 2000, 0);
	ck_assert_int_eq(post(1, done), 0);
	expect(2000, done + 1);
}
END_TEST

/* What the handler has not sent yet comes later; what it has sent comes first. */
START_TEST(beside_replies)
{
	pattern_fill(bytes, 100, 100);
	ck_assert_int_eq(mtsi_output_write(&desk.worker, bytes, 100), 0);
	ck_assert_int_eq(post(100, 0), 0);
	ck_assert_int_eq(mtsi_output_flush(&desk.worker, true), 0);
	ck_assert_int_eq(post(100, 200), 0);
	peer_expect_pattern(desk.peer, 300, 0);
}
END_TEST

static struct gate waits;

static void *write_much(void *size)
{
	static char reply[MOST];
	pattern_fill(reply, *(size_t *)size, 0);
	gate_add(&waits);
	ck_assert_int_eq(mtsi_output_write(&desk.worker, reply, *(size_t *)size), 0);
	return NULL;
}

static bool writing(void)
{
	mtsi_lock_take(&desk.client->lock);
	const bool is = desk.client->writing;
	mtsi_lock_release(&desk.client->lock);
	return is;
}

/* Nothing gets into one write of the handler's that waits in the middle, however small it is. */
START_TEST(not_within_a_write)
{
	pthread_t writer;
	size_t all = 5 * LIMIT;
	waits = (struct gate)GATE;
	ck_assert_int_eq(pthread_create(&writer, NULL, write_much, &all), 0);
	gate_wait(&waits, 1);
	for (uint64_t done = 0; done < all; done += 1000) {
		if (done < all - LIMIT - 20000) {
			while (!writing()) {
			}
			ck_assert_int_eq(mts_server_send(desk.server, desk.client->id, "?", 1), -ENOBUFS);
		}
		peer_expect_pattern(desk.peer, 1000, done);
		send_on();
	}
	ck_assert_int_eq(pthread_join(writer, NULL), 0);
	ck_assert(!writing());
	ck_assert_int_eq(post(10, all), 0);
	expect(all, all + 10);
	ck_assert_uint_gt(unsent(), 0);
}
END_TEST

static int broadcast_one(void)
{
	return mts_server_broadcast(desk.server, "x", 1) == 1 ? 0 : -ENOENT;
}

/* Neither before it is open, nor once it ends or is lost. */
START_TEST(who_takes_none)
{
	struct mts_client *client = desk.client;
	ck_assert_int_eq(post(1, 0), 0);
	ck_assert_int_eq(broadcast_one(), 0);
	for (int stage = MTSI_CLIENT_FREE; stage <= MTSI_CLIENT_LINGERING; stage++) {
		client->stage = (unsigned char)stage;
		if (stage != MTSI_CLIENT_SERVED) {
			ck_assert_int_eq(post(1, 0), -ENOENT);
			ck_assert_int_eq(broadcast_one(), -ENOENT);
		}
		if (!mtsi_client_may(client, MTSI_MAY_DROP)) {
			ck_assert_int_eq(mts_server_kick(desk.server, client->id), -ENOENT);
		}
	}
	client->stage = MTSI_CLIENT_SERVED;
	ck_assert_int_eq(mts_server_send(desk.server, client->id + MTSI_FIRST_ID, "x", 1), -ENOENT);
	ck_assert_int_eq(mts_server_kick(desk.server, client->id + MTSI_FIRST_ID), -ENOENT);
	ck_assert_int_eq(post(1, 0), 0);
	ck_assert_int_eq(mts_server_kick(desk.server, client->id), 0);
	ck_assert_int_eq(post(1, 0), -ENOENT);
	ck_assert_int_eq(broadcast_one(), -ENOENT);
	ck_assert_int_eq(mts_server_kick(desk.server, client->id), -ENOENT);
	ck_assert_uint_eq(unsent(), 0);
}
END_TEST

/* Whether the client is with the keeper. */
static bool handed_over(void)
{
	const struct mtsi_list *claimed = &mtsi_serve_floor(desk.server)->mailbox.claimed;
	return claimed->count == 1 && claimed->first == desk.client;
}

/* Takes it back; nobody may want it twice. */
static void take_back(void)
{
	ck_assert(handed_over());
	ck_assert_int_eq(atomic_load(&desk.client->claim), MTSI_OWNED);
	ck_assert_ptr_eq(mtsi_list_take(&mtsi_serve_floor(desk.server)->mailbox.claimed), desk.client);
}

START_TEST(a_kick_claims)
{
	uint64_t done = fill();
	ck_assert(mtsi_claim_release(desk.client));
	ck_assert_int_eq(post(10, done), 0);
	ck_assert(!handed_over()); /* a message is no reason to wake anybody */
	ck_assert_int_eq(mts_server_kick(desk.server, desk.client->id), 0);
	take_back();
	ck_assert_uint_eq(desk_queued(&desk), 0);
	ck_assert_int_eq(atomic_load(&desk.client->cause), MTS_CLOSED_KICKED);
	ck_assert_uint_eq(desk.client->watched, 0);
	ck_assert_int_eq(mtsi_output_write(&desk.worker, "x", 1), -EPIPE);
	ck_assert_int_eq(mts_client_gone(desk.client), MTS_GONE_KICKED);
}
END_TEST

/* One that is owned stays with its owner, who is told to look again. */
START_TEST(a_kick_of_one_that_is_served)
{
	ck_assert_int_eq(mts_server_kick(desk.server, desk.client->id), 0);
	ck_assert_uint_eq(mtsi_serve_floor(desk.server)->mailbox.claimed.count, 0);
	ck_assert(mtsi_claim_again(desk.client));
}
END_TEST

/* It is parked until less waits; the message of another makes room by itself, and so wakes it. */
START_TEST(a_message_fulfils_the_wish)
{
	const size_t much = LIMIT + 30000;
	ck_assert_int_eq(post(much, 0), 0);
	ck_assert_uint_gt(desk_queued(&desk), LIMIT);
	ck_assert(mtsi_output_throttles(desk.client));
	ck_assert(mtsi_claim_release(desk.client));
	ck_assert_int_eq(post(1, much), -ENOBUFS);
	ck_assert(!handed_over());
	uint64_t read = 0;
	while (!handed_over()) {
		peer_expect_pattern(desk.peer, 1000, read);
		read += 1000;
		ck_assert_int_eq(post(LIMIT, much), -ENOBUFS);
	}
	ck_assert_uint_le(desk_queued(&desk), LIMIT);
	take_back();
	expect(read, much);
}
END_TEST

/* A sender finds the connection lost: it does not keep that to itself. */
START_TEST(a_message_finds_it_lost)
{
	ck_assert(mtsi_claim_release(desk.client));
	close(desk.peer);
	desk.peer = -1;
	ck_assert_int_eq(post(10, 0), -ENOENT);
	take_back();
	ck_assert(atomic_load(&desk.client->lost));
	ck_assert_int_eq(atomic_load(&desk.client->cause), MTSI_NO_CAUSE);
	ck_assert_int_eq(post(10, 0), -ENOENT);
	ck_assert(!handed_over());
	ck_assert_uint_eq(unsent(), 0);
}
END_TEST

START_TEST(wrong_arguments)
{
	const uint64_t id = desk.client->id;
	ck_assert_int_eq(mts_server_send(NULL, id, "x", 1), -EINVAL);
	ck_assert_int_eq(mts_server_send(desk.server, id, NULL, 1), -EINVAL);
	ck_assert_int_eq(mts_server_send(desk.server, id, NULL, 0), 0);
	ck_assert_int_eq(mts_server_send(desk.server, 0, "x", 1), -ENOENT);
	ck_assert_int_eq(mts_server_send(desk.server, UINT64_MAX, "x", 1), -ENOENT);
	ck_assert_int_eq(mts_server_broadcast(NULL, "x", 1), -EINVAL);
	ck_assert_int_eq(mts_server_broadcast(desk.server, NULL, 1), -EINVAL);
	ck_assert_int_eq(mts_server_broadcast(desk.server, NULL, 0), 1);
	ck_assert_int_eq(mts_server_kick(NULL, id), -EINVAL);
	ck_assert_int_eq(mts_server_kick(desk.server, 0), -ENOENT);
	ck_assert_int_eq(mts_server_kick(desk.server, UINT64_MAX), -ENOENT);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("post");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, sent_at_once);
	tcase_add_test(cases, at_the_limit);
	tcase_add_test(cases, above_the_limit);
	tcase_add_test(cases, room_that_nobody_has_noticed);
	tcase_add_test(cases, beside_replies);
	tcase_add_test(cases, not_within_a_write);
	tcase_add_test(cases, who_takes_none);
	tcase_add_test(cases, a_kick_claims);
	tcase_add_test(cases, a_kick_of_one_that_is_served);
	tcase_add_test(cases, a_message_fulfils_the_wish);
	tcase_add_test(cases, a_message_finds_it_lost);
	tcase_add_test(cases, wrong_arguments);
	return suite_run();
}
