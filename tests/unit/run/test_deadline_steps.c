/* SPDX-License-Identifier: MIT
 *
 * A client whose owner blocks, and the keeper that comes when its time is up: step by step, with the time
 * that the test says. And the heap's node, which must not outlive its client.
 */
#include "engine/client/deadline.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../desk.h"
#include "engine/client/wait.h"
#include "engine/run/expiry.h"
#include "engine/run/stats.h"
#include "engine/serve/fill.h"
#include "os/clock.h"
#include "os/socket.h"

enum { EXPIRED = MTSI_WORD_EXPIRED };

static struct desk desk;
static uint64_t due; /* when the wait that has begun is over */

static void open_desk(void)
{
	desk_open(&desk, desk_server());
}

static void close_desk(void)
{
	desk_close(&desk);
}

static uint64_t since(void)
{
	return atomic_load(&desk.client->waits) & ~(uint64_t)MTSI_WORD_FLAGS;
}

/* Its owner blocks from now on. */
static void block(enum mtsi_wait kind, enum mtsi_block how)
{
	static const enum mts_timeout timeouts[] = {
		[MTSI_WAIT_IDLE] = MTS_TIMEOUT_IDLE, [MTSI_WAIT_REQUEST] = MTS_TIMEOUT_REQUEST};
	ck_assert(mtsi_deadline_block(desk.client, kind, how));
	due = since() + mtsi_timeout(&mtsi_base_floor(desk.server)->options, timeouts[kind]);
}

static bool expired(void)
{
	return (atomic_load(&desk.client->waits) & EXPIRED) != 0;
}

/* The keeper comes at that time: when it will come again. */
static uint64_t come(uint64_t now)
{
	return mtsi_expiry(desk.server, now);
}

static void expect_ended(enum mts_closed reason)
{
	ck_assert(expired());
	ck_assert_int_eq(atomic_load(&desk.client->cause), (int)reason);
	ck_assert_uint_eq(mtsi_stats_read(desk.server, MTS_STAT_TIMEOUTS), 1);
	ck_assert(!mtsi_deadline_unblock(desk.client));
}

static const enum mtsi_wait kinds[] = {MTSI_WAIT_IDLE, MTSI_WAIT_REQUEST};
static const enum mts_closed reasons[] = {MTS_CLOSED_IDLE, MTS_CLOSED_REQUEST_TIMEOUT};

START_TEST(when_nothing_has_come)
{
	block(kinds[_i], MTSI_BLOCK_RECEIVE);
	ck_assert_uint_eq(come(due - 1), due);
	ck_assert(!expired());
	ck_assert_uint_eq(come(due), MTSI_NEVER);
	expect_ended(reasons[_i]);
	ck_assert_int_eq(mtsi_socket_peek(desk.client->fd), 0);
}
END_TEST

/* Whom something has come for is being woken. But when it has not been by the third look, it ends. */
START_TEST(when_something_has_come)
{
	static const uint64_t pauses[] = {10, 100, 1000};
	uint64_t now;
	block(kinds[_i], MTSI_BLOCK_RECEIVE);
	peer_puts(desk.peer, "x");
	now = due;
	for (int look = 0; look < 3; look++) {
		const uint64_t again = now + pauses[look] * MTSI_MILLISECOND;
		ck_assert_uint_eq(come(now), again);
		ck_assert(!expired());
		ck_assert_uint_eq(come(again - 1), again);
		now = again;
	}
	ck_assert_uint_eq(come(now), MTSI_NEVER);
	expect_ended(reasons[_i]);
	ck_assert_int_eq(mtsi_socket_peek(desk.client->fd), 1); /* is there still */
}
END_TEST

START_TEST(when_the_end_of_the_stream_has_come)
{
	block(kinds[_i], MTSI_BLOCK_RECEIVE);
	ck_assert_int_eq(shutdown(desk.peer, SHUT_WR), 0);
	ck_assert_uint_eq(come(due), due + 10 * MTSI_MILLISECOND);
	ck_assert(mtsi_deadline_unblock(desk.client));
}
END_TEST

/* A look takes an error away from the socket, so it has to be told. */
START_TEST(when_the_connection_is_dead)
{
	block(kinds[_i], MTSI_BLOCK_RECEIVE);
	ck_assert_int_eq(write(desk.client->fd, "unread", 6), 6);
	close(desk.peer);
	desk.peer = -1;
	(void)come(due);
	ck_assert(atomic_load(&desk.client->lost));
	ck_assert_int_eq(atomic_load(&desk.client->cause), MTSI_NO_CAUSE);
	ck_assert(mtsi_deadline_unblock(desk.client));
	char byte;
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, &byte, 1), -EPIPE);
}
END_TEST

/*
 * The keeper comes so late that the process must have been stopped: the owner may just have received
 * something, and be about to say so.
 */
START_TEST(when_the_keeper_is_late)
{
	block(kinds[_i], MTSI_BLOCK_RECEIVE);
	const uint64_t late = due + 10 * MTSI_MILLISECOND;
	ck_assert_uint_eq(come(late), late + 10 * MTSI_MILLISECOND);
	ck_assert(!expired());
	ck_assert_uint_eq(come(late + 10 * MTSI_MILLISECOND), MTSI_NEVER);
	expect_ended(reasons[_i]);
}
END_TEST

/* Who waits for memory does not take what has come. */
START_TEST(while_it_waits_for_memory)
{
	block(kinds[_i], MTSI_BLOCK_MEMORY);
	peer_puts(desk.peer, "x");
	ck_assert_uint_eq(come(due), MTSI_NEVER);
	expect_ended(reasons[_i]);
}
END_TEST

/* A wait that goes on has one beginning, whoever wakes in between, and nobody blocks past its end. */
START_TEST(a_wait_that_goes_on)
{
	struct mts_client *client = desk.client;
	block(kinds[_i], MTSI_BLOCK_RECEIVE);
	const uint64_t begun = since();
	peer_puts(desk.peer, "x");
	(void)come(due); /* is noted in the word, and forgotten with it */
	ck_assert(mtsi_deadline_unblock(client));
	block(kinds[_i], MTSI_BLOCK_MEMORY);
	ck_assert_uint_eq(since(), begun);
	ck_assert(mtsi_deadline_unblock(client));
	atomic_store(&client->waits,
		(begun - mtsi_timeout(&mtsi_base_floor(desk.server)->options, MTS_TIMEOUT_IDLE))
			| kinds[_i]);
	ck_assert(!mtsi_deadline_block(client, kinds[_i], MTSI_BLOCK_RECEIVE));
	ck_assert(!mtsi_deadline_wait(client, kinds[_i], mtsi_clock_now()));
	/* One of another kind is a new one. */
	ck_assert(mtsi_deadline_block(client, kinds[1 - _i], MTSI_BLOCK_RECEIVE));
	ck_assert_uint_ge(since(), begun);
}
END_TEST

/* The owner finds that out by itself: it is noted, and counted, once. */
START_TEST(the_owner_ends_it)
{
	ck_assert(mtsi_deadline_wait(desk.client, kinds[_i], mtsi_clock_now()));
	mtsi_deadline_end(desk.client, kinds[_i]);
	mtsi_deadline_end(desk.client, kinds[1 - _i]);
	ck_assert_int_eq(atomic_load(&desk.client->cause), (int)reasons[_i]);
	ck_assert_uint_eq(mtsi_stats_read(desk.server, MTS_STAT_TIMEOUTS), 1);
}
END_TEST

static struct gate in_hand;
static struct gate forgotten;
static bool puts_again;

/* The linker puts this in front of the real one. */
void __real_mtsi_heap_put(struct mtsi_heap *heap, struct mtsi_heap_node *node);
void __wrap_mtsi_heap_put(struct mtsi_heap *heap, struct mtsi_heap_node *node);
void __wrap_mtsi_heap_put(struct mtsi_heap *heap, struct mtsi_heap_node *node)
{
	if (puts_again) {
		/* The client ends now. If it does not wait until this is done, a moment is enough. */
		puts_again = false;
		gate_add(&in_hand);
		for (int i = 0; i < 50 && gate_count(&forgotten) == 0; i++) {
			poll(NULL, 0, 1);
		}
	}
	__real_mtsi_heap_put(heap, node);
}

static void *forget(void *unused)
{
	gate_wait(&in_hand, 1);
	mtsi_deadline_forget(desk.client);
	gate_add(&forgotten);
	return unused;
}

/*
 * A client ends at the very moment at which the keeper has it in its hands, to put it into the heap
 * again.
 */
START_TEST(no_node_outlives_its_client)
{
	pthread_t owner;
	in_hand = (struct gate)GATE;
	forgotten = (struct gate)GATE;
	ck_assert(mtsi_deadline_wait(desk.client, MTSI_WAIT_IDLE, mtsi_clock_now()));
	ck_assert_ptr_nonnull(mtsi_client_floor(desk.server)->deadlines.heap.first);
	ck_assert_int_eq(pthread_create(&owner, NULL, forget, NULL), 0);
	mtsi_deadlines_changed(desk.server); /* so all are reckoned anew */
	puts_again = true;
	(void)come(1);
	ck_assert(!puts_again);
	ck_assert_int_eq(pthread_join(owner, NULL), 0);
	ck_assert_ptr_null(mtsi_client_floor(desk.server)->deadlines.heap.first);
	ck_assert_uint_eq(desk.client->deadline.key, MTSI_NEVER);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("deadline, step by step");
	tcase_add_checked_fixture(cases, open_desk, close_desk);
	tcase_add_loop_test(cases, when_nothing_has_come, 0, 2);
	tcase_add_loop_test(cases, when_something_has_come, 0, 2);
	tcase_add_loop_test(cases, when_the_end_of_the_stream_has_come, 0, 2);
	tcase_add_loop_test(cases, when_the_connection_is_dead, 0, 2);
	tcase_add_loop_test(cases, when_the_keeper_is_late, 0, 2);
	tcase_add_loop_test(cases, while_it_waits_for_memory, 0, 2);
	tcase_add_loop_test(cases, a_wait_that_goes_on, 0, 2);
	tcase_add_loop_test(cases, the_owner_ends_it, 0, 2);
	tcase_add_test(cases, no_node_outlives_its_client);
	return suite_run();
}
