/* SPDX-License-Identifier: MIT
 *
 * The table of clients: slots that stay where they are, ids that are never the same twice, and finding
 * by id while others open and close.
 */
#include "engine/client/clients.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../api/support.h"
#include "engine/run/server.h"

enum { MANY = 1000, ROUNDS = 5000, FINDERS = 3 };

static mts_server *server;

static void setup(void)
{
	server = server_create(answer_close, NULL);
	ck_assert_ptr_nonnull(server);
}

static void teardown(void)
{
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

/* Its descriptor is one of ours that is as good as a socket here. */
static struct mts_client *open_client(void)
{
	const struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(1234)};
	const int fd = eventfd(0, 0);
	ck_assert_int_ge(fd, 0);
	struct mts_client *client = mtsi_clients_open(
		server, fd, (const struct sockaddr *)&peer, sizeof(peer));
	ck_assert_ptr_nonnull(client);
	ck_assert_int_eq(client->fd, fd);
	return client;
}

START_TEST(a_new_client)
{
	struct mts_client *client = open_client();
	ck_assert_ptr_eq(client->server, server);
	ck_assert_uint_ge(client->id, MTSI_FIRST_ID);
	ck_assert_int_eq(client->stage, MTSI_CLIENT_WAITING);
	ck_assert(!client->opened && !atomic_load(&client->lost) && !atomic_load(&client->cut));
	ck_assert_uint_eq(client->watched, 0);
	ck_assert_uint_eq(mtsi_buffer_size(&client->output), 0);
	ck_assert_ptr_null(client->data);
	ck_assert_ptr_null(client->worker);
	ck_assert_int_eq(client->peer.family, AF_INET);
	ck_assert_uint_eq(client->peer.port, 1234);
	mtsi_client_close(client);
}
END_TEST

/* What the one before left behind is not the next one's. */
START_TEST(a_slot_used_again)
{
	struct mts_client *first = open_client();
	const uint64_t id = first->id;
	first->data = server;
	first->opened = true;
	first->stage = MTSI_CLIENT_SERVED;
	atomic_store(&first->lost, true);
	atomic_store(&first->cut, true);
	atomic_store(&first->cause, MTS_CLOSED_STOP);
	mtsi_lock_take(&first->lock);
	ck_assert_int_eq(mtsi_memory_append_locked(first, "left over", 9), 0);
	mtsi_lock_release(&first->lock);
	mtsi_client_close(first);
	struct mts_client *second = open_client();
	ck_assert_ptr_eq(second, first);
	ck_assert_uint_eq(second->id, id + MTSI_FIRST_ID);
	ck_assert_int_eq(second->stage, MTSI_CLIENT_WAITING);
	ck_assert(!second->opened && !atomic_load(&second->lost) && !atomic_load(&second->cut));
	ck_assert_int_eq(atomic_load(&second->cause), MTSI_NO_CAUSE);
	ck_assert_uint_eq(mtsi_buffer_size(&second->output), 0);
	ck_assert_ptr_null(second->data);
	mtsi_client_close(second);
}
END_TEST

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void close_all(struct mts_client **clients, size_t from, size_t step)
{
	for (size_t i = from; i < MANY; i += step) {
		mtsi_client_close(clients[i]);
	}
}

/* From its open hook to the end of its output a client can be kicked; it is reached in between only. */
START_TEST(what_each_stage_allows)
{
	static const int allowed[] = {
		[MTSI_CLIENT_FREE] = 0,
		[MTSI_CLIENT_WAITING] = MTSI_MAY_CUT,
		[MTSI_CLIENT_OPENING] = 63 - MTSI_MAY_MESSAGE,
		[MTSI_CLIENT_SERVED] = 63,
		[MTSI_CLIENT_ENDING] = MTSI_MAY_CUT | MTSI_MAY_DROP | MTSI_MAY_EXPIRE | MTSI_MAY_SEND_ON,
		[MTSI_CLIENT_SEALED] = MTSI_MAY_CUT,
		[MTSI_CLIENT_LINGERING] = 0,
	};
	struct mts_client client = {.stage = (unsigned char)_i};
	for (int what = MTSI_MAY_CUT; what <= MTSI_MAY_MESSAGE; what *= 2) {
		const bool may = (allowed[_i] & what) != 0;
		ck_assert_int_eq(mtsi_client_may(&client, (enum mtsi_may)what), may);
		atomic_store(&client.lost, false);
		ck_assert_int_eq(mtsi_client_may_still(&client, (enum mtsi_may)what), may);
		atomic_store(&client.lost, true);
		ck_assert(!mtsi_client_may_still(&client, (enum mtsi_may)what));
	}
}
END_TEST

/* Over many chunks, closed and opened in another order; the table grows only as far as needed. */
START_TEST(many)
{
	static struct mts_client *clients[MANY];
	static uint64_t ids[3 * MANY];
	(void)most_descriptors();
	for (size_t i = 0; i < MANY; i++) {
		clients[i] = open_client();
		ids[i] = clients[i]->id;
	}
	for (size_t round = 1; round < 3; round++) {
		close_all(clients, 0, 2);
		close_all(clients, 1, 2);
		for (size_t i = 0; i < MANY; i++) {
			ck_assert_ptr_null(mtsi_clients_lock(server, ids[(round - 1) * MANY + i]));
		}
		for (size_t i = 0; i < MANY; i++) {
			clients[i] = open_client();
			ids[round * MANY + i] = clients[i]->id;
		}
	}
	ck_assert_uint_eq(atomic_load(&mtsi_client_floor(server)->clients.slots), MANY);
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_ptr_eq(mtsi_clients_lock(server, clients[i]->id), clients[i]);
		mtsi_lock_release(&clients[i]->lock);
	}
	qsort(ids, 3 * MANY, sizeof(ids[0]), compare);
	for (size_t i = 1; i < 3 * MANY; i++) {
		ck_assert_uint_lt(ids[i - 1], ids[i]);
	}
	close_all(clients, 0, 1);
}
END_TEST

START_TEST(ids_of_nobody)
{
	struct mts_client *client = open_client();
	const uint64_t wrong[] = {0, 1, MTSI_FIRST_ID - 1, client->id + 1, client->id - 1,
		client->id + MTSI_FIRST_ID, client->id - MTSI_FIRST_ID, UINT64_MAX};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_ptr_null(mtsi_clients_lock(server, wrong[i]));
	}
	mtsi_client_close(client);
	ck_assert_ptr_null(mtsi_clients_lock(server, MTSI_FIRST_ID));
}
END_TEST

/* Marks of some of those that lie in many chunks, and how they are met. */
START_TEST(marked)
{
	static const size_t some[] = {0, 1, 63, 64, 65, 127, 128, 300, 511, 512, 700, MANY - 1};
	enum { SOME = sizeof(some) / sizeof(some[0]) };
	static struct mts_client *clients[MANY];
	struct mts_client *client;
	(void)most_descriptors();
	for (size_t i = 0; i < MANY; i++) {
		clients[i] = open_client();
	}
	size_t slot = 0;
	ck_assert_ptr_null(mtsi_clients_lock_marked(server, &slot));
	for (size_t i = 0; i < SOME; i++) {
		mtsi_clients_mark(clients[some[i]], true);
	}
	slot = 0;
	for (size_t i = 0; i < SOME; i++) {
		client = mtsi_clients_lock_marked(server, &slot);
		ck_assert_ptr_eq(client, clients[some[i]]);
		ck_assert_uint_eq(slot, some[i] + 1);
		mtsi_lock_release(&client->lock);
	}
	ck_assert_ptr_null(mtsi_clients_lock_marked(server, &slot));
	for (size_t i = 0; i < SOME; i += 2) {
		mtsi_clients_mark(clients[some[i]], false);
	}
	slot = 2;
	for (size_t i = 3; i < SOME; i += 2) {
		client = mtsi_clients_lock_marked(server, &slot);
		ck_assert_ptr_eq(client, clients[some[i]]);
		mtsi_lock_release(&client->lock);
	}
	ck_assert_ptr_null(mtsi_clients_lock_marked(server, &slot));
	/* One that is gone is passed over. */
	mtsi_client_close(clients[some[1]]);
	slot = 0;
	client = mtsi_clients_lock_marked(server, &slot);
	ck_assert_ptr_eq(client, clients[some[3]]);
	mtsi_lock_release(&client->lock);
	for (size_t i = 0; i < MANY; i++) {
		if (i != some[1]) {
			mtsi_client_close(clients[i]);
		}
	}
}
END_TEST

static int visits;

static void visit(struct mts_client *client, struct mtsi_list *claimed)
{
	(void)claimed;
	mtsi_lock_assert_held(&client->lock);
	ck_assert_int_ge(client->fd, 0);
	visits++;
}

START_TEST(each_of_them)
{
	static struct mts_client *clients[100];
	for (int i = 0; i < 100; i++) {
		clients[i] = open_client();
	}
	for (int i = 0; i < 100; i += 3) {
		mtsi_client_close(clients[i]);
	}
	mtsi_clients_each(server, visit, NULL);
	ck_assert_int_eq(visits, 66);
	for (int i = 0; i < 100; i++) {
		if (i % 3 != 0) {
			mtsi_client_close(clients[i]);
		}
	}
	visits = 0;
	mtsi_clients_each(server, visit, NULL);
	ck_assert_int_eq(visits, 0);
}
END_TEST

static _Atomic uint64_t latest;
static _Atomic bool over;
static _Atomic unsigned wrong_ones;

/* Whoever is found is the one that was looked for, and has a socket for as long as it is locked. */
static void *find(void *unused)
{
	while (!atomic_load(&over)) {
		const uint64_t id = atomic_load(&latest);
		struct mts_client *client = mtsi_clients_lock(server, id);
		if (client != NULL) {
			if (client->id != id || client->fd < 0) {
				atomic_fetch_add(&wrong_ones, 1);
			}
			mtsi_lock_release(&client->lock);
		}
	}
	return unused;
}

START_TEST(finding_while_they_come_and_go)
{
	pthread_t finders[FINDERS];
	struct mts_client *kept[64] = {NULL};
	for (int i = 0; i < FINDERS; i++) {
		ck_assert_int_eq(pthread_create(&finders[i], NULL, find, NULL), 0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		struct mts_client **place = &kept[(i * 7) % 64];
		if (*place != NULL) {
			atomic_store(&latest, (*place)->id);
			mtsi_client_close(*place);
		}
		*place = open_client();
		atomic_store(&latest, (*place)->id);
	}
	atomic_store(&over, true);
	for (int i = 0; i < FINDERS; i++) {
		ck_assert_int_eq(pthread_join(finders[i], NULL), 0);
	}
	for (int i = 0; i < 64; i++) {
		mtsi_client_close(kept[i]);
	}
	ck_assert_uint_eq(atomic_load(&wrong_ones), 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("clients");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, a_new_client);
	tcase_add_test(cases, a_slot_used_again);
	tcase_add_loop_test(cases, what_each_stage_allows, MTSI_CLIENT_FREE, MTSI_CLIENT_LINGERING + 1);
	tcase_add_test(cases, many);
	tcase_add_test(cases, ids_of_nobody);
	tcase_add_test(cases, marked);
	tcase_add_test(cases, each_of_them);
	tcase_add_test(cases, finding_while_they_come_and_go);
	return suite_run_once();
}
