/* SPDX-License-Identifier: MIT
 *
 * Who goes when another one comes: what counts as idle, state by state, on a client that nobody serves;
 * then, with a server that runs, that the order is exact, and that finding the longest idle is cheap.
 */
#include "engine/door/eviction.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../desk.h"
#include "engine/client/claim.h"
#include "os/clock.h"
#include "os/poll.h"

/* How often all clients have been looked at: the linker puts this in front of the real one. */
static _Atomic int looks;
void __real_mtsi_clients_peek(mts_server *server,
	void (*look)(const struct mts_client *client, void *context), void *context);
void __wrap_mtsi_clients_peek(mts_server *server,
	void (*look)(const struct mts_client *client, void *context), void *context);
void __wrap_mtsi_clients_peek(
	mts_server *server, void (*look)(const struct mts_client *client, void *context), void *context)
{
	looks++;
	__real_mtsi_clients_peek(server, look, context);
}

static struct desk desk;
static struct mts_client *client;

/* One client, which is idle and parked, fills the server; another one is held at the door. */
static void seat(void)
{
	const struct sockaddr address = {.sa_family = AF_UNIX};
	mts_server *server = desk_server();
	int pair[2];
	ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_EVICT), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	desk_open(&desk, server);
	client = desk.client;
	mtsi_door_prepare(server);
	mtsi_door_open(server);
	ck_assert_int_eq(mtsi_door_enter(server, client), MTSI_LET_IN);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct mts_client *held = mtsi_clients_open(server, pair[0], &address, sizeof(address));
	ck_assert_int_eq(mtsi_door_enter(server, held), MTSI_HELD_BACK);
	close(pair[1]);
	ck_assert(mtsi_deadline_wait(client, MTSI_WAIT_IDLE, mtsi_clock_now()));
	ck_assert(mtsi_claim_release(client));
}

static void unseat(void)
{
	mtsi_door_shut(desk.server);
	mtsi_door_turn_away_held(desk.server);
	mtsi_address_book_leave(client);
	desk_close(&desk);
}

enum state {
	IDLE,
	BLOCKED,
	OWNED,
	UNREAD,
	OUTPUT,
	PARTIAL,
	SERVING,
	CUT,
	LOST,
	UNOPENED,
	ENOUGH_ROOM,
	STATES
};

static void put_into(enum state state)
{
	switch (state) {
	case BLOCKED:
		ck_assert(mtsi_claim(client));
		(void)mtsi_deadline_block(client, MTSI_WAIT_IDLE, MTSI_BLOCK_RECEIVE);
		break;
	case OWNED:
		ck_assert(mtsi_claim(client));
		break;
	case UNREAD:
		peer_puts(desk.peer, "hello");
		break;
	case OUTPUT:
		mtsi_lock_take(&client->lock);
		ck_assert_int_eq(mtsi_memory_append_locked(client, "hello", 5), 0);
		mtsi_lock_release(&client->lock);
		break;
	case PARTIAL:
		ck_assert(mtsi_deadline_wait(client, MTSI_WAIT_REQUEST, mtsi_clock_now()));
		break;
	case SERVING:
		mtsi_deadline_met(client);
		break;
	case CUT:
		atomic_store(&client->cause, MTS_CLOSED_KICKED);
		break;
	case LOST:
		atomic_store(&client->lost, true);
		break;
	case UNOPENED:
		client->stage = MTSI_CLIENT_WAITING;
		break;
	case ENOUGH_ROOM:
		mtsi_door_set_max_clients(desk.server, 2);
		break;
	default:
		break;
	}
}

START_TEST(who_is_idle)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	const bool goes = _i == IDLE || _i == BLOCKED;
	seat();
	put_into((enum state)_i);
	mtsi_eviction_run(desk.server, &claimed);
	ck_assert_int_eq(atomic_load(&client->cause) == MTS_CLOSED_EVICTED, goes);
	ck_assert_int_eq(atomic_load(&client->lost), goes || _i == LOST);
	ck_assert_uint_eq(mts_server_stat(desk.server, MTS_STAT_EVICTED), goes ? 1 : 0);
	ck_assert_uint_eq(mtsi_door_floor(desk.server)->door.evicting, goes ? 1 : 0);
	ck_assert_uint_eq(claimed.count, _i == IDLE ? 1 : 0);
	ck_assert_ptr_eq(claimed.first, _i == IDLE ? client : NULL);
	/* Who goes goes for one only. */
	mtsi_eviction_run(desk.server, &claimed);
	ck_assert_uint_eq(mts_server_stat(desk.server, MTS_STAT_EVICTED), goes ? 1 : 0);
	ck_assert_int_eq(
		atomic_load(&mtsi_door_floor(desk.server)->eviction.wanting), !goes && _i != ENOUGH_ROOM);
	unseat();
}
END_TEST

/* A worker that blocks in the wait for a request is told, and gets none any more. */
START_TEST(a_wait_is_ended_for_good)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	seat();
	put_into(BLOCKED);
	mtsi_eviction_run(desk.server, &claimed);
	ck_assert(!mtsi_deadline_unblock(client));
	peer_expect_end(desk.peer);
	unseat();
}
END_TEST

/* One that becomes idle offers itself: not before it is, and only if that is wanted. */
START_TEST(an_offer)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	seat();
	mtsi_eviction_offer(desk.server, client->id);
	ck_assert_int_eq(atomic_load(&client->cause), MTSI_NO_CAUSE);
	ck_assert(mtsi_claim(client));
	mtsi_eviction_run(desk.server, &claimed);
	mtsi_eviction_offer(desk.server, client->id);
	ck_assert_int_eq(atomic_load(&client->cause), MTSI_NO_CAUSE);
	mtsi_claim_clear(client);
	ck_assert(mtsi_claim_release(client));
	mtsi_eviction_offer(desk.server, client->id + MTSI_FIRST_ID);
	ck_assert_int_eq(atomic_load(&client->cause), MTSI_NO_CAUSE);
	/* The crew would serve it; here none can be had, so it is taken back. */
	mtsi_crew_floor(desk.server)->crew.short_until = MTSI_NEVER;
	mtsi_eviction_offer(desk.server, client->id);
	ck_assert_int_eq(atomic_load(&client->cause), MTS_CLOSED_EVICTED);
	ck_assert_ptr_eq(mtsi_list_take(&mtsi_crew_floor(desk.server)->crew.ready), client);
	unseat();
}
END_TEST

/* Many who seem idle, since their word says so, but have sent something; one after the other. */
enum { BUSY = 2 * MTSI_CANDIDATES + 3, CROWD = BUSY + 5 };

static struct crowd {
	mts_server *server;
	struct mts_client *clients[CROWD]; /* the longest idle first; the last five are so in truth */
	int peers[CROWD];
} crowd;

static struct mts_client *join(int *peer)
{
	const struct sockaddr address = {.sa_family = AF_UNIX};
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	*peer = pair[1];
	return mtsi_clients_open(crowd.server, pair[0], &address, sizeof(address));
}

static void gather_crowd(uint64_t (*since)(int number))
{
	crowd.server = desk_server();
	ck_assert_int_eq(mts_server_set_overload(crowd.server, MTS_OVERLOAD_EVICT), 0);
	ck_assert_int_eq(mts_server_set_max_clients(crowd.server, CROWD), 0);
	mtsi_door_prepare(crowd.server);
	mtsi_door_open(crowd.server);
	for (int i = 0; i < CROWD; i++) {
		struct mts_client *one = join(&crowd.peers[i]);
		ck_assert_int_eq(mtsi_door_enter(crowd.server, one), MTSI_LET_IN);
		one->stage = MTSI_CLIENT_SERVED;
		ck_assert(mtsi_deadline_wait(one, MTSI_WAIT_IDLE, since(i)));
		ck_assert(mtsi_claim_release(one));
		crowd.clients[i] = one;
		if (i < BUSY) {
			peer_puts(crowd.peers[i], "hello");
		}
	}
	int peer;
	ck_assert_int_eq(mtsi_door_enter(crowd.server, join(&peer)), MTSI_HELD_BACK);
	close(peer);
	looks = 0;
}

static void scatter_crowd(void)
{
	mtsi_door_shut(crowd.server);
	mtsi_door_turn_away_held(crowd.server);
	for (int i = 0; i < CROWD; i++) {
		mtsi_address_book_leave(crowd.clients[i]);
		mtsi_client_close(crowd.clients[i]);
		close(crowd.peers[i]);
	}
	ck_assert_int_eq(mts_server_destroy(crowd.server), 0);
}

static uint64_t one_after_the_other(int number)
{
	return mtsi_clock_now() + (uint64_t)number * MTSI_MILLISECOND;
}

static uint64_t all_at_once(int number)
{
	static uint64_t then;
	then = number == 0 ? mtsi_clock_now() : then;
	return then;
}

/* Goes on until it comes to its end by itself. */
static void run_to_the_end(struct mtsi_list *claimed)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(crowd.server)->eviction;
	do {
		atomic_store(&eviction->retry_at, MTSI_NEVER);
		mtsi_eviction_run(crowd.server, claimed);
	} while (atomic_load(&eviction->retry_at) != MTSI_NEVER && looks < 10);
}

/* They shield nobody: each look passes those over whom the one before has refused. */
START_TEST(the_refused_are_passed_over)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	gather_crowd(_i == 0 ? one_after_the_other : all_at_once);
	run_to_the_end(&claimed);
	ck_assert_int_eq(looks, 3);
	ck_assert_uint_eq(claimed.count, 1);
	ck_assert_ptr_eq(claimed.first, crowd.clients[BUSY]);
	scatter_crowd();
}
END_TEST

/* When all are refused it rests; and who becomes idle then is not passed over. */
START_TEST(all_are_refused)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	char word[5];
	gather_crowd(one_after_the_other);
	for (int i = BUSY; i < CROWD; i++) {
		peer_puts(crowd.peers[i], "hello");
	}
	run_to_the_end(&claimed);
	ck_assert_int_eq(looks, 3);
	ck_assert_uint_eq(claimed.count, 0);
	ck_assert(mtsi_eviction_wanted(&mtsi_door_floor(crowd.server)->eviction));
	ck_assert_int_eq(recv(crowd.clients[1]->fd, word, sizeof(word), 0), sizeof(word));
	mtsi_crew_floor(crowd.server)->crew.short_until = MTSI_NEVER; /* no thread serves it */
	mtsi_eviction_offer(crowd.server, crowd.clients[1]->id);
	ck_assert_int_eq(atomic_load(&crowd.clients[1]->cause), MTS_CLOSED_EVICTED);
	ck_assert_ptr_eq(mtsi_list_take(&mtsi_crew_floor(crowd.server)->crew.ready), crowd.clients[1]);
	scatter_crowd();
}
END_TEST

/* When nobody was wanted for a while, those who were refused before are looked at again. */
START_TEST(the_refused_are_not_passed_over_for_ever)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	char word[5];
	gather_crowd(one_after_the_other);
	mtsi_eviction_run(crowd.server, &claimed);
	ck_assert_int_eq(looks, 1);
	mtsi_door_set_max_clients(crowd.server, CROWD + 1);
	mtsi_eviction_run(crowd.server, &claimed);
	ck_assert(!mtsi_eviction_wanted(&mtsi_door_floor(crowd.server)->eviction));
	ck_assert_int_eq(recv(crowd.clients[1]->fd, word, sizeof(word), 0), sizeof(word));
	mtsi_door_set_max_clients(crowd.server, CROWD);
	run_to_the_end(&claimed);
	ck_assert_ptr_eq(claimed.first, crowd.clients[1]);
	scatter_crowd();
}
END_TEST

/* The rest is about a server that runs. */

enum { MANY = 100, ALL = 2 * MANY };

static mts_server *server;
static _Atomic int openings;
static struct gate opened;
static struct gate closed;
static struct gate entered;
static struct gate release;
static struct mts_client *clients[ALL]; /* in the order in which they have opened */
static _Atomic uint64_t gone[ALL]; /* ids, in the order in which they were evicted */

static int open_hook(mts_client *opening, void *user)
{
	(void)user;
	clients[atomic_fetch_add(&openings, 1)] = opening;
	gate_add(&opened);
	return 0;
}

static void close_hook(mts_client *closing, int reason, void *user)
{
	(void)user;
	if (reason == MTS_CLOSED_EVICTED) {
		gone[gate_count(&closed)] = mts_client_id(closing);
		gate_add(&closed);
	}
}

static int handle(mts_client *asking, const void *request, size_t size, void *user)
{
	(void)user;
	if (*(const char *)request == 'h') {
		gate_add(&entered);
		gate_wait(&release, gate_count(&entered));
	}
	(void)mts_client_write(asking, request, size);
	return MTS_KEEP;
}

static void start(size_t most)
{
	atomic_store(&openings, 0);
	opened = (struct gate)GATE;
	closed = (struct gate)GATE;
	entered = (struct gate)GATE;
	release = (struct gate)GATE;
	looks = 0;
	server = server_new(handle, NULL);
	ck_assert_int_eq(mts_server_on_open(server, open_hook, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, close_hook, NULL), 0);
	ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_EVICT), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, most), 0);
	server_start(server);
}

static bool is_idle(const struct mts_client *asked)
{
	const bool parked = (atomic_load(&asked->claim) & MTSI_OWNED) == 0;
	return mtsi_deadline_idle_since(asked) != 0 && (parked || test_model == MTS_THREAD_PER_CLIENT);
}

/* A reply has come back before its client is idle again. */
static void ask(int peer, int number)
{
	peer_ask(peer, "x");
	wait_until(is_idle(clients[number]));
}

static int come(int number)
{
	const int peer = peer_connect(server, 0);
	gate_wait(&opened, number + 1);
	ask(peer, number);
	return peer;
}

START_TEST(the_longest_idle_goes_first)
{
	int peers[ALL];
	uint64_t expected[MANY];
	start(MANY);
	for (int i = 0; i < MANY; i++) {
		peers[i] = come(i);
	}
	/* Another order than that in which they came, or lie in memory. */
	for (int i = 0; i < MANY; i++) {
		const int number = i * 37 % MANY;
		ask(peers[number], number);
		expected[i] = clients[number]->id;
	}
	for (int i = 0; i < MANY; i++) {
		peers[MANY + i] = come(MANY + i);
	}
	gate_wait(&closed, MANY);
	for (int i = 0; i < MANY; i++) {
		ck_assert_uint_eq(gone[i], expected[i]);
	}
	/* 64 with the first look, the others with the second. */
	ck_assert_int_eq(looks, 2);
	for (int i = 0; i < ALL; i++) {
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

/* Who has asked again since all were looked at is not the longest idle any more. */
START_TEST(a_candidate_that_has_asked_again)
{
	enum { ROOM = 4 };
	int peers[ROOM + 4];
	uint64_t ids[ROOM + 4];
	static const int order[] = {0, 2, 3, 4};
	start(ROOM);
	for (int i = 0; i < ROOM; i++) {
		peers[i] = come(i);
		ids[i] = clients[i]->id;
	}
	for (int i = ROOM; i < ROOM + 4; i++) {
		peers[i] = come(i);
		ids[i] = clients[i]->id;
		ask(peers[1], 1);
	}
	gate_wait(&closed, 4);
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_eq(gone[i], ids[order[i]]);
	}
	for (int i = 0; i < ROOM + 4; i++) {
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

/* While nobody is idle, many who come cost a few looks, and then nothing. */
START_TEST(nobody_is_looked_for_again_and_again)
{
	enum { ROOM = 8, COMERS = 20 };
	int peers[ROOM + COMERS];
	start(ROOM);
	for (int i = 0; i < ROOM; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "h");
		gate_wait(&entered, i + 1);
	}
	for (int i = ROOM; i < ROOM + COMERS; i++) {
		peers[i] = peer_connect(server, 0);
	}
	const uint64_t cpu = cpu_ms();
	poll(NULL, 0, 300);
	ck_assert_uint_le(cpu_ms() - cpu, 30);
	ck_assert_int_ge(looks, 1);
	ck_assert_int_le(looks, 2 * MTSI_MOST_HELD);
	for (int i = 0; i < ROOM; i++) {
		gate_add(&release);
	}
	gate_wait(&opened, ROOM + COMERS);
	gate_wait(&closed, COMERS);
	ck_assert_uint_eq(mtsi_door_clients(server), ROOM);
	mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
	ck_assert_uint_eq(mtsi_door_floor(server)->door.evicting, 0);
	mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
	for (int i = 0; i < ROOM + COMERS; i++) {
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("eviction");
	tcase_add_loop_test(cases, who_is_idle, 0, STATES);
	tcase_add_test(cases, a_wait_is_ended_for_good);
	tcase_add_test(cases, an_offer);
	tcase_add_loop_test(cases, the_refused_are_passed_over, 0, 2);
	tcase_add_test(cases, all_are_refused);
	tcase_add_test(cases, the_refused_are_not_passed_over_for_ever);
	tcase_add_test(cases, the_longest_idle_goes_first);
	tcase_add_test(cases, a_candidate_that_has_asked_again);
	tcase_add_test(cases, nobody_is_looked_for_again_and_again);
	return suite_run();
}
