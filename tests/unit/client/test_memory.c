/* SPDX-License-Identifier: MIT
 *
 * The ledger of all clients' memory: what is charged, refused, kept for small needs; and whom the keeper
 * lets go on or cuts off, by a clock that is the test's.
 */
#include "engine/client/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../desk.h"
#include "engine/client/claim.h"
#include "engine/run/shortage.h"
#include "os/clock.h"

enum { KIB = 1024, LIMIT = 256 * KIB, FEW = 8 };

static mts_server *server;
static struct mts_client *clients[FEW];
static int peers[FEW];
static const uint64_t start = 1000 * MTSI_SECOND;

static int looked_at; /* clients that a walk over all of them has met */

struct mts_client *__real_mtsi_clients_lock_next(mts_server *walked, size_t *slot);
struct mts_client *__wrap_mtsi_clients_lock_next(mts_server *walked, size_t *slot);

struct mts_client *__wrap_mtsi_clients_lock_next(mts_server *walked, size_t *slot)
{
	struct mts_client *client = __real_mtsi_clients_lock_next(walked, slot);
	looked_at += client != NULL ? 1 : 0;
	return client;
}

/* Clients with sockets, owned by the test: a claim leaves AGAIN. */
static void setup(void)
{
	const struct sockaddr address = {.sa_family = AF_UNIX};
	looked_at = 0;
	server = desk_server();
	ck_assert_int_eq(mts_server_set_max_memory(server, LIMIT), 0);
	for (int i = 0; i < FEW; i++) {
		int pair[2];
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		peers[i] = pair[1];
		clients[i] = mtsi_clients_open(server, pair[0], &address, sizeof(address));
		ck_assert_ptr_nonnull(clients[i]);
		clients[i]->stage = MTSI_CLIENT_SERVED;
	}
}

static void teardown(void)
{
	for (int i = 0; i < FEW; i++) {
		(void)mtsi_memory_input(clients[i], 0);
		mtsi_memory_content(clients[i]);
		mtsi_client_close(clients[i]);
		close(peers[i]);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

static size_t used(void)
{
	return (size_t)mts_server_stat(server, MTS_STAT_MEMORY);
}

static size_t peak(void)
{
	return (size_t)mts_server_stat(server, MTS_STAT_MEMORY_PEAK);
}

static int append(int client, size_t size)
{
	static const char bytes[LIMIT];
	mtsi_lock_take(&clients[client]->lock);
	const int result = mtsi_memory_append_locked(clients[client], bytes, size);
	mtsi_lock_release(&clients[client]->lock);
	return result;
}

static void consume(int client, size_t count)
{
	mtsi_lock_take(&clients[client]->lock);
	mtsi_memory_consume_locked(clients[client], count);
	mtsi_lock_release(&clients[client]->lock);
}

START_TEST(output_is_charged_with_its_blocks)
{
	ck_assert_int_eq(append(0, 10), 0);
	ck_assert_uint_eq(used(), clients[0]->output.capacity);
	ck_assert_uint_ge(used(), 10);
	const size_t first = used();
	ck_assert_int_eq(append(0, 5000), 0);
	ck_assert_uint_eq(used(), clients[0]->output.capacity);
	ck_assert_uint_eq(peak(), first + used()); /* both, while it moved */
	ck_assert_int_eq(append(1, 3000), 0);
	ck_assert_uint_eq(used(), clients[0]->output.capacity + clients[1]->output.capacity);
	consume(0, 4000);
	ck_assert_uint_eq(used(), clients[0]->output.capacity + clients[1]->output.capacity);
	consume(0, 1010);
	ck_assert_uint_eq(used(), clients[1]->output.capacity);
	mtsi_lock_take(&clients[1]->lock);
	mtsi_client_lose_locked(clients[1]);
	mtsi_lock_release(&clients[1]->lock);
	ck_assert_uint_eq(used(), 0);
}
END_TEST

/* What the program has written cannot be read any more: nothing is kept for it but what had moved. */
START_TEST(output_that_cannot_be_read)
{
	char *gone = mmap(NULL, 64 * KIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(gone, MAP_FAILED);
	for (int i = 0; i < 3; i++) {
		mtsi_lock_take(&clients[0]->lock);
		ck_assert_int_eq(mtsi_memory_append_foreign_locked(clients[0], gone, 16 * KIB), -EFAULT);
		ck_assert_int_eq(mtsi_memory_append_foreign_locked(clients[0], "x", 1), 0);
		mtsi_lock_release(&clients[0]->lock);
		ck_assert_uint_eq(mtsi_buffer_size(&clients[0]->output), (size_t)i + 1);
		ck_assert_uint_eq(used(), clients[0]->output.capacity);
	}
	consume(0, 3);
	ck_assert_uint_eq(used(), 0);
	ck_assert_int_eq(munmap(gone, 64 * KIB), 0);
}
END_TEST

START_TEST(output_is_refused_at_the_limit)
{
	const size_t most = LIMIT - LIMIT / 8;
	ck_assert_int_eq(append(0, most + 1), -ENOBUFS);
	ck_assert_uint_eq(used(), 0);
	ck_assert_int_eq(append(0, most), 0);
	ck_assert_uint_eq(used(), most);
	ck_assert_int_eq(append(0, 1), -ENOBUFS); /* it would have to move */
	ck_assert_uint_eq(mtsi_buffer_size(&clients[0]->output), most);
	ck_assert_int_eq(append(1, 17 * KIB), -ENOBUFS);
	ck_assert_int_eq(append(1, 16 * KIB), 0); /* a small need */
	ck_assert_int_eq(append(2, 1 * KIB + 2), -ENOBUFS);
	for (int i = 0; i < 16; i++) {
		ck_assert(mtsi_memory_input(clients[2], (size_t)(i + 1) * KIB)); /* tiny ones */
	}
	ck_assert_int_eq(append(3, 1), -ENOBUFS);
	ck_assert_uint_eq(used(), LIMIT);
	ck_assert_uint_eq(peak(), LIMIT);
	consume(0, most);
	ck_assert_int_eq(append(0, 1), 0);
}
END_TEST

START_TEST(input_rises_and_falls)
{
	ck_assert(mtsi_memory_input(clients[0], 1000));
	ck_assert(mtsi_memory_input_at_least(clients[0], 500));
	ck_assert_uint_eq(used(), 1000);
	ck_assert(mtsi_memory_input_at_least(clients[0], 1500));
	ck_assert_uint_eq(used(), 1500);
	mtsi_memory_input_at_most(clients[0], 2000);
	ck_assert_uint_eq(used(), 1500);
	mtsi_memory_input_at_most(clients[0], 20);
	ck_assert_uint_eq(used(), 20);
	ck_assert(!mtsi_memory_input(clients[1], LIMIT));
	ck_assert_uint_eq(atomic_load(&mtsi_client_floor(server)->memory.waiting), 0);
	ck_assert(!mtsi_memory_input_at_least(clients[1], LIMIT));
	ck_assert_uint_eq(atomic_load(&mtsi_client_floor(server)->memory.waiting), 1);
	ck_assert_uint_eq(used(), 20);
	mtsi_memory_input_anyway(clients[2], LIMIT);
	ck_assert_uint_eq(used(), LIMIT + 20);
	ck_assert_uint_eq(peak(), LIMIT + 20);
	mtsi_memory_input_anyway(clients[2], 30);
	ck_assert_uint_eq(used(), 50);
	ck_assert(mtsi_memory_input_at_least(clients[1], 1));
	ck_assert_uint_eq(atomic_load(&mtsi_client_floor(server)->memory.waiting), 0);
}
END_TEST

START_TEST(tight_is_the_last_quarter)
{
	ck_assert(!mtsi_memory_tight(&mtsi_client_floor(server)->memory));
	ck_assert(mtsi_memory_input(clients[0], LIMIT / 4 * 3));
	ck_assert(!mtsi_memory_tight(&mtsi_client_floor(server)->memory));
	ck_assert(mtsi_memory_input(clients[1], 1));
	ck_assert(mtsi_memory_tight(&mtsi_client_floor(server)->memory));
}
END_TEST

/* Whether it has been claimed since this was asked before. */
static bool claimed(int client)
{
	const bool again = mtsi_claim_again(clients[client]);
	mtsi_claim_clear(clients[client]);
	return again;
}

static uint64_t relieve(uint64_t milliseconds)
{
	return mtsi_shortage_relieve(server, start + milliseconds * MTSI_MILLISECOND);
}

START_TEST(nobody_waits)
{
	ck_assert_uint_eq(relieve(0), MTSI_NEVER);
	ck_assert(mtsi_memory_input(clients[0], LIMIT - LIMIT / 8));
	ck_assert_uint_eq(relieve(1), MTSI_NEVER);
	ck_assert_uint_eq(relieve(1000), MTSI_NEVER);
	ck_assert(!atomic_load(&clients[0]->lost));
}
END_TEST

START_TEST(who_waits_goes_on_when_there_is_room)
{
	ck_assert(mtsi_memory_input(clients[0], 100 * KIB));
	ck_assert(mtsi_memory_input(clients[1], 100 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[2], 90 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[3], 80 * KIB));
	ck_assert(mtsi_memory_input_at_least(clients[4], 10 * KIB));
	ck_assert_uint_eq(relieve(0), start + 10 * MTSI_MILLISECOND);
	ck_assert(!claimed(2) && !claimed(3));
	ck_assert(mtsi_memory_input(clients[0], 0)); /* room for one of the two */
	ck_assert_uint_ne(relieve(10), MTSI_NEVER);
	ck_assert(claimed(2) && !claimed(3));
	ck_assert(mtsi_memory_input_at_least(clients[2], 90 * KIB));
	ck_assert_uint_ne(relieve(20), MTSI_NEVER);
	ck_assert(!claimed(2) && !claimed(3));
	ck_assert(mtsi_memory_input(clients[1], 0));
	ck_assert_uint_ne(relieve(30), MTSI_NEVER);
	ck_assert(!claimed(2) && claimed(3));
	ck_assert(mtsi_memory_input_at_least(clients[3], 80 * KIB));
	ck_assert_uint_eq(relieve(40), MTSI_NEVER);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
}
END_TEST

START_TEST(small_needs_first)
{
	ck_assert(mtsi_memory_input(clients[0], 224 * KIB));
	ck_assert(mtsi_memory_input(clients[1], 10 * KIB));
	ck_assert(mtsi_memory_input(clients[2], 6 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[3], 20 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[4], 15 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[5], 2 * KIB));
	ck_assert(mtsi_memory_input(clients[6], 1 * KIB)); /* a tiny one need not wait */
	ck_assert(mtsi_memory_input(clients[6], 0));
	ck_assert(mtsi_memory_input(clients[2], 0));
	ck_assert_uint_ne(relieve(0), MTSI_NEVER);
	ck_assert(!claimed(3) && !claimed(4) && claimed(5));
	mtsi_memory_content(clients[5]);
	ck_assert(mtsi_memory_input(clients[1], 0));
	ck_assert_uint_ne(relieve(0), MTSI_NEVER);
	ck_assert(!claimed(3) && claimed(4));
	ck_assert(mtsi_memory_input(clients[0], 200 * KIB));
	ck_assert_uint_ne(relieve(10), MTSI_NEVER);
	ck_assert(!claimed(3) && claimed(4)); /* both, but the small one has taken nothing yet */
	ck_assert(mtsi_memory_input_at_least(clients[4], 15 * KIB));
	ck_assert(mtsi_memory_input(clients[0], 100 * KIB));
	ck_assert_uint_ne(relieve(20), MTSI_NEVER);
	ck_assert(claimed(3) && !claimed(4));
}
END_TEST

START_TEST(the_largest_is_cut_off)
{
	ck_assert_int_eq(append(0, 100 * KIB), 0);
	ck_assert(mtsi_memory_input(clients[1], 60 * KIB));
	ck_assert(mtsi_memory_input(clients[2], 40 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[2], 150 * KIB));
	(void)relieve(0);
	(void)relieve(50);
	(void)relieve(99);
	ck_assert(!atomic_load(&clients[0]->lost));
	ck_assert_uint_ne(relieve(100), MTSI_NEVER);
	ck_assert(atomic_load(&clients[0]->lost));
	ck_assert_int_eq(atomic_load(&clients[0]->cause), MTS_CLOSED_EVICTED);
	ck_assert(claimed(0));
	ck_assert(!atomic_load(&clients[1]->lost) && !atomic_load(&clients[2]->lost));
	ck_assert_uint_eq(used(), 100 * KIB);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 1);
	(void)relieve(110);
	ck_assert(claimed(2));
	ck_assert(mtsi_memory_input_at_least(clients[2], 150 * KIB));
	ck_assert_uint_eq(relieve(120), MTSI_NEVER);
}
END_TEST

/* As many as are needed, and those whose memory comes back later count; the one that waits is not exempt. */
START_TEST(several_are_cut_off)
{
	ck_assert(mtsi_memory_input(clients[0], 50 * KIB));
	ck_assert(mtsi_memory_input(clients[1], 60 * KIB));
	ck_assert(mtsi_memory_input(clients[2], 70 * KIB));
	ck_assert(mtsi_memory_input(clients[3], 20 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[3], 170 * KIB));
	(void)relieve(0);
	(void)relieve(100);
	ck_assert(!atomic_load(&clients[0]->lost));
	ck_assert(atomic_load(&clients[1]->lost) && atomic_load(&clients[2]->lost));
	ck_assert(!atomic_load(&clients[3]->lost));
	ck_assert_uint_eq(used(), 200 * KIB); /* not yet */
	(void)relieve(199);
	ck_assert(!atomic_load(&clients[0]->lost));
	(void)relieve(200); /* their owners have not come for so long */
	ck_assert(atomic_load(&clients[0]->lost));
	ck_assert(atomic_load(&clients[3]->lost)); /* and there is still no room */
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 4);
}
END_TEST

START_TEST(the_one_that_waits_is_the_largest)
{
	ck_assert(mtsi_memory_input(clients[0], 120 * KIB));
	ck_assert(mtsi_memory_input(clients[1], 100 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[0], 240 * KIB));
	(void)relieve(0);
	(void)relieve(100);
	ck_assert(atomic_load(&clients[0]->lost));
	ck_assert(!atomic_load(&clients[1]->lost));
}
END_TEST

/* Those who do not wait are looked at only when somebody is cut off, all of them once. */
START_TEST(nobody_else_is_looked_at)
{
	ck_assert(mtsi_memory_input(clients[0], 50 * KIB));
	ck_assert(mtsi_memory_input(clients[1], 60 * KIB));
	ck_assert(mtsi_memory_input(clients[2], 70 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[3], 200 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[4], 170 * KIB));
	for (uint64_t time = 0; time < 100; time += 10) {
		ck_assert_uint_eq(relieve(time), start + (time + 10) * MTSI_MILLISECOND);
	}
	ck_assert_int_eq(looked_at, 0);
	(void)relieve(100);
	ck_assert(atomic_load(&clients[1]->lost) && atomic_load(&clients[2]->lost));
	ck_assert_int_eq(looked_at, FEW);
	ck_assert(mtsi_memory_input(clients[1], 0) && mtsi_memory_input(clients[2], 0));
	(void)relieve(110);
	ck_assert(!claimed(3) && claimed(4));
	ck_assert_int_eq(looked_at, FEW);
}
END_TEST

/* Whoever goes on begins the patience anew. */
START_TEST(as_long_as_it_gets_better)
{
	ck_assert(mtsi_memory_input(clients[0], 150 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[1], 100 * KIB));
	(void)relieve(0);
	ck_assert(mtsi_memory_input(clients[0], 100 * KIB));
	(void)relieve(90);
	ck_assert(claimed(1));
	ck_assert(mtsi_memory_input(clients[0], 150 * KIB));
	(void)relieve(110);
	(void)relieve(209);
	ck_assert(!atomic_load(&clients[0]->lost));
	(void)relieve(210);
	ck_assert(atomic_load(&clients[0]->lost));
}
END_TEST

START_TEST(a_limit_that_is_lowered)
{
	for (int i = 0; i < FEW; i++) {
		ck_assert(mtsi_memory_input(clients[i], (size_t)(16 + i) * KIB));
	}
	ck_assert_uint_eq(relieve(0), MTSI_NEVER);
	ck_assert_int_eq(mts_server_set_max_memory(server, 64 * KIB), 0);
	(void)relieve(1);
	(void)relieve(100);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
	(void)relieve(101);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 5); /* 16 + 17 + 18 are left */
	for (int i = 0; i < FEW; i++) {
		ck_assert_int_eq(atomic_load(&clients[i]->lost), i >= 3);
	}
	ck_assert_int_eq(mts_server_set_max_memory(server, LIMIT), 0);
	ck_assert_uint_eq(relieve(150), MTSI_NEVER);
}
END_TEST

/* One that lingers has other uses for its members. */
START_TEST(lingerers_are_left_alone)
{
	ck_assert(mtsi_memory_input(clients[0], 200 * KIB));
	ck_assert(!mtsi_memory_input_at_least(clients[1], 100 * KIB));
	clients[2]->stage = MTSI_CLIENT_LINGERING;
	clients[2]->previous = clients[0];
	(void)relieve(0);
	(void)relieve(100);
	ck_assert(atomic_load(&clients[0]->lost));
	ck_assert(!claimed(2) && !atomic_load(&clients[2]->lost));
	ck_assert_ptr_eq(clients[2]->previous, clients[0]);
	clients[2]->previous = NULL;
	clients[2]->stage = MTSI_CLIENT_SERVED;
	atomic_store(&clients[2]->input_memory, 0);
	atomic_store(&clients[2]->wants, 0);
}
END_TEST

static size_t settled(size_t max_request, size_t max_output)
{
	mts_server *fresh = desk_server();
	ck_assert_int_eq(mts_server_frame_lines(fresh), 0);
	ck_assert_int_eq(mts_server_set_max_request(fresh, max_request), 0);
	ck_assert_int_eq(mts_server_set_max_output(fresh, max_output), 0);
	ck_assert_int_eq(mtsi_options_settle(&mtsi_base_floor(fresh)->options), 0);
	mtsi_memory_settle(fresh);
	const size_t limit = atomic_load(&mtsi_client_floor(fresh)->memory.limit);
	ck_assert_int_eq(mts_server_destroy(fresh), 0);
	return limit;
}

START_TEST(the_default)
{
	const size_t mib = KIB * KIB;
	ck_assert_uint_eq(settled(64 * KIB, 256 * KIB), 256 * mib);
	ck_assert_uint_eq(settled(mib - 2, 7 * mib), 512 * mib);
#if SIZE_MAX > UINT32_MAX
	ck_assert_uint_eq(settled(1024 * mib - 2, 1024 * mib), 128 * 1024 * mib);
#endif
	mtsi_memory_settle(server);
	ck_assert_uint_eq(atomic_load(&mtsi_client_floor(server)->memory.limit),
		LIMIT); /* the program's choice stays */
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("memory");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, output_is_charged_with_its_blocks);
	tcase_add_test(cases, output_that_cannot_be_read);
	tcase_add_test(cases, output_is_refused_at_the_limit);
	tcase_add_test(cases, input_rises_and_falls);
	tcase_add_test(cases, tight_is_the_last_quarter);
	tcase_add_test(cases, nobody_waits);
	tcase_add_test(cases, who_waits_goes_on_when_there_is_room);
	tcase_add_test(cases, small_needs_first);
	tcase_add_test(cases, the_largest_is_cut_off);
	tcase_add_test(cases, several_are_cut_off);
	tcase_add_test(cases, the_one_that_waits_is_the_largest);
	tcase_add_test(cases, nobody_else_is_looked_at);
	tcase_add_test(cases, as_long_as_it_gets_better);
	tcase_add_test(cases, a_limit_that_is_lowered);
	tcase_add_test(cases, lingerers_are_left_alone);
	tcase_add_test(cases, the_default);
	return suite_run_once();
}
