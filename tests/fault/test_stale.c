/* SPDX-License-Identifier: MIT
 *
 * Events that come too late: for a client that is gone, whose slot and descriptor another one has, for
 * one that there never was. And ids: never the same twice, also when a slot has used up its own.
 */
#include "scene.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/wake.h"
#include "engine/run/poller.h"
#include "engine/run/server.h"

static const uint32_t everything = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
static const uint64_t last_generation = UINT64_MAX >> MTSI_SLOT_BITS;

/* Tells whoever polls of an event, and waits until it has dealt with it. */
static void tell(struct scene *scene, uint64_t tag)
{
	fault_event(tag, everything);
	mtsi_wake_poller(scene->server);
	fault_wait_event();
}

static void wait_until_alone(mts_server *server)
{
	while (mtsi_door_clients(server) > 0) {
		poll(NULL, 0, 1);
	}
}

static uint64_t last_id;
static int last_fd;

static int note_id(mts_client *client, const void *request, size_t size, void *user)
{
	last_id = mts_client_id(client);
	last_fd = mts_client_fd(client);
	return scene_echo(client, request, size, user);
}

/* The id of the client that asks; it has the answer only once the id is noted. */
static uint64_t ask_id(int peer)
{
	scene_ask(peer, "who am I?");
	return last_id;
}

/* The next client has the slot and the descriptor of the one before: the event is not for it. */
START_TEST(for_a_client_that_is_gone)
{
	struct scene scene;
	scene_make(&scene, note_id);
	scene_start(&scene);
	const int first = peer_connect(scene.server, 0);
	const uint64_t old = ask_id(first);
	const int old_fd = last_fd;
	const int second = peer_socket();
	/* That closes the connection, but leaves its number taken, so that the other one is the next. */
	ck_assert_int_eq(dup2(STDERR_FILENO, first), first);
	wait_until_alone(scene.server);
	tell(&scene, old);
	peer_connect_socket(second, scene.server);
	const uint64_t new = ask_id(second);
	ck_assert_int_eq(last_fd, old_fd);
	ck_assert_uint_eq(new % MTSI_FIRST_ID, old % MTSI_FIRST_ID);
	ck_assert_uint_ne(new, old);
	tell(&scene, old);
	tell(&scene, new);
	scene_ask(second, "still here");
	close(second);
	close(first);
	scene_end(&scene);
}
END_TEST

static uint64_t first_lingerer(mts_server *server)
{
	mtsi_lock_take(&mtsi_door_floor(server)->linger.lock);
	const uint64_t id = mtsi_door_floor(server)->linger.usual.first->id;
	mtsi_lock_release(&mtsi_door_floor(server)->linger.lock);
	return id;
}

/* The slot of a lingering client is as safe: its own event ends it at most early, an old one does not. */
START_TEST(for_a_lingerer_that_is_gone)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	scene_start(&scene);
	const int first = scene_linger(&scene);
	const uint64_t old = first_lingerer(scene.server);
	close(first);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 0);
	tell(&scene, old);
	const int second = scene_linger(&scene);
	tell(&scene, old);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_LINGERING), 1);
	tell(&scene, first_lingerer(scene.server));
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_LINGERING), 1);
	close(second);
	scene_end(&scene);
}
END_TEST

/* Tags that nothing has: no listener, no slot, no generation. */
START_TEST(for_nobody)
{
	static const uint64_t tags[] = {2, 1000, MTSI_FIRST_ID - 1, MTSI_FIRST_ID + 63,
		MTSI_FIRST_ID + 1000, 2 * MTSI_FIRST_ID - 1, UINT64_MAX - 1, UINT64_MAX, UINT64_C(1) << 63};
	struct scene scene;
	scene_make(&scene, note_id);
	scene_start(&scene);
	const int peer = scene_visit(&scene);
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		tell(&scene, tags[i]);
	}
	scene_ask(peer, "still here");
	close(peer);
	scene_end(&scene);
}
END_TEST

/* A listener's event with nobody in its queue any more. */
START_TEST(for_a_listener)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	fault_event(1, EPOLLIN);
	mtsi_wake_poller(scene.server);
	fault_wait_event();
	const int peer = scene_visit(&scene);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPT_ERRORS), 0);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* A table of its own: a pair of sockets is a client. */
static struct mts_client *open_client(mts_server *server, uint64_t *id)
{
	const struct sockaddr peer = {.sa_family = AF_UNIX};
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	struct mts_client *client = mtsi_clients_open(server, pair[0], &peer, sizeof(peer));
	ck_assert_ptr_nonnull(client);
	*id = client->id;
	return client;
}

/* The slot's last generation is used, and then never the slot again; its id finds nobody. */
START_TEST(generations_run_out)
{
	mts_server *server = server_create(scene_echo, NULL);
	uint64_t id;
	struct mts_client *client = open_client(server, &id);
	mtsi_client_close(client);
	client->id = (last_generation - 1) << MTSI_SLOT_BITS;
	ck_assert_ptr_eq(open_client(server, &id), client);
	ck_assert_uint_eq(id, last_generation << MTSI_SLOT_BITS);
	ck_assert_ptr_eq(mtsi_clients_lock(server, id), client);
	mtsi_lock_release(&client->lock);
	mtsi_client_close(client);
	ck_assert_ptr_null(mtsi_clients_lock(server, id));
	uint64_t next_id;
	struct mts_client *next = open_client(server, &next_id);
	ck_assert_ptr_ne(next, client);
	ck_assert_uint_ne(next_id, id);
	ck_assert_uint_ge(next_id, MTSI_FIRST_ID);
	ck_assert_ptr_null(mtsi_clients_lock(server, id));
	mtsi_client_close(next);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* The same with a server that runs: it goes on with other slots. */
START_TEST(generations_run_out_while_it_serves)
{
	struct scene scene;
	scene_make(&scene, note_id);
	scene_start(&scene);
	int peer = peer_connect(scene.server, 0);
	uint64_t before = ask_id(peer);
	for (int i = 0; i < 4; i++) {
		struct mts_client *client = mtsi_clients_find(scene.server, before);
		ck_assert_ptr_nonnull(client);
		close(peer);
		wait_until_alone(scene.server);
		/* The slot is free, and the next one to have it is the last one. */
		client->id = (before & (MTSI_FIRST_ID - 1)) | (last_generation - 1) << MTSI_SLOT_BITS;
		peer = peer_connect(scene.server, 0);
		ck_assert_uint_eq(ask_id(peer) >> MTSI_SLOT_BITS, last_generation);
		close(peer);
		wait_until_alone(scene.server);
		peer = peer_connect(scene.server, 0);
		const uint64_t id = ask_id(peer);
		ck_assert_uint_eq(id >> MTSI_SLOT_BITS, 1);
		ck_assert_uint_ne(id, before);
		before = id;
	}
	close(peer);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stale");
	tcase_add_test(cases, for_a_client_that_is_gone);
	tcase_add_test(cases, for_a_lingerer_that_is_gone);
	tcase_add_test(cases, for_nobody);
	tcase_add_test(cases, for_a_listener);
	tcase_add_test(cases, generations_run_out);
	tcase_add_test(cases, generations_run_out_while_it_serves);
	return suite_run();
}
