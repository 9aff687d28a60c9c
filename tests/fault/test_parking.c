/* SPDX-License-Identifier: MIT
 *
 * Threads on demand, when a client cannot be parked or nobody can be had to serve it: epoll has no memory
 * for it, there is none for the beginning of its request, no second thread can be made. The client that
 * cannot be kept is cut off, as an error, and the others are none the worse for it. And input that comes at
 * the very moment at which a client is parked, which must be served like any other.
 */
#include "scene.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/client/claim.h"
#include "engine/run/server.h"
#include "os/socket.h"

static const int errors[] = {ENOMEM, ENOSPC};
enum {
	ERRORS = sizeof(errors) / sizeof(errors[0]),
	MANY = 40,
	PARKS = EPOLLIN | EPOLLRDHUP | EPOLLPRI
};

/* Whoever is parked for the first time is to be watched; who has been parked before is already. */
START_TEST(epoll_has_no_memory)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	const int early = scene_visit(&scene);
	scene_ask(early, "and parked");
	fault_watch_only(PARKS);
	fault_fail(FAULT_EPOLL_CTL, errors[_i], 0, FAULT_FOREVER);
	for (int i = 0; i < MANY; i++) {
		const int peer = peer_connect(scene.server, 0);
		peer_expect_gone(peer);
		gate_wait(&scene.reasons[MTS_CLOSED_ERROR], i + 1);
		close(peer);
		scene_ask(early, "still here");
	}
	ck_assert_uint_eq(fault_hits(FAULT_EPOLL_CTL), MANY);
	gate_wait(&scene.logs[MTS_LOG_WARNING], 1);
	fault_clear(FAULT_EPOLL_CTL);
	const int late = scene_visit(&scene);
	close(late);
	close(early);
	scene_end(&scene);
	ck_assert_int_eq(gate_count(&scene.reasons[MTS_CLOSED_ERROR]), MANY);
	ck_assert_int_eq(gate_count(&scene.closed), MANY + 2);
}
END_TEST

/* The first turn serves what is there; its replies go out before the client is cut off. */
START_TEST(after_its_replies)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	ck_assert_int_eq(mts_server_set_defer_accept(scene.server, 60), 0);
	scene_start(&scene);
	fault_watch_only(PARKS);
	fault_fail(FAULT_EPOLL_CTL, errors[_i], 0, 1);
	const int peer = peer_connect(scene.server, 0);
	peer_ask(peer, "one\ntwo\n");
	peer_expect_gone(peer);
	gate_wait(&scene.reasons[MTS_CLOSED_ERROR], 1);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* It is connected, has been served, and is parked. */
static int parked(struct scene *scene)
{
	const int peer = scene_visit(scene);
	scene_ask(peer, "and parked");
	return peer;
}

static void cut_off_in_want_of_memory(struct scene *scene, const char *bytes, size_t size)
{
	const int other = parked(scene);
	const int peer = parked(scene);
	fault_fail(FAULT_MEMORY, ENOMEM, 0, FAULT_FOREVER);
	peer_send(peer, bytes, size);
	peer_expect_gone(peer);
	gate_wait(&scene->reasons[MTS_CLOSED_ERROR], 1);
	peer_puts(other, "still here\n"); /* in one piece: nothing needs to be kept */
	peer_expect_text(other, "still here\n");
	fault_clear(FAULT_MEMORY);
	const uint64_t before = mts_server_stat(scene->server, MTS_STAT_BYTES_IN);
	peer_puts(other, "half of ");
	server_wait_stat(scene->server, MTS_STAT_BYTES_IN, before + 8);
	peer_puts(other, "a line\n");
	peer_expect_text(other, "half of a line\n");
	close(peer);
	close(other);
	gate_wait(&scene->closed, 2);
	ck_assert_int_eq(gate_count(&scene->reasons[MTS_CLOSED_ERROR]), 1);
}

START_TEST(no_memory_for_half_a_request)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	cut_off_in_want_of_memory(&scene, "one\nand half", 12);
	scene_end(&scene);
}
END_TEST

/* More requests than a turn has room for, so the rest is to be kept for the next one. */
START_TEST(no_memory_for_a_further_turn)
{
	enum { REQUESTS = 200 };
	static char lines[REQUESTS * 2];
	struct scene scene;
	for (size_t i = 0; i < sizeof(lines); i++) {
		lines[i] = i % 2 == 0 ? 'x' : '\n';
	}
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	cut_off_in_want_of_memory(&scene, lines, sizeof(lines));
	scene_end(&scene);
}
END_TEST

static int nap_and_echo(mts_client *client, const void *request, size_t size, void *user)
{
	fault_inside(false);
	poll(NULL, 0, 1);
	fault_inside(true);
	return scene_echo(client, request, size, user);
}

/* One thread can be made and no other: it serves everybody, one after the other. */
START_TEST(one_thread_for_all)
{
	struct scene scene;
	int peers[MANY];
	scene_make(&scene, nap_and_echo);
	fault_fail(FAULT_THREAD, EAGAIN, 1, FAULT_FOREVER);
	scene_start(&scene);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			peers[i] = round == 0 ? peer_connect(scene.server, 0) : peers[i];
			peer_puts(peers[i], "patience\n");
		}
		for (int i = 0; i < MANY; i++) {
			peer_expect_text(peers[i], "patience\n");
		}
	}
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_THREADS_PEAK), 1);
	ck_assert_uint_ge(fault_hits(FAULT_THREAD), 1);
	for (int i = 0; i < MANY; i++) {
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

/* The same while that one waits: the others are accepted, and served when it is back. */
START_TEST(the_only_thread_waits)
{
	struct scene scene;
	int peers[MANY];
	scene_make(&scene, scene_hold);
	fault_fail(FAULT_THREAD, EAGAIN, 1, FAULT_FOREVER);
	scene_start(&scene);
	const int first = peer_connect(scene.server, 0);
	peer_puts(first, "hold\n");
	gate_wait(&scene.entered, 1);
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(scene.server, 0);
		peer_puts(peers[i], "in line\n");
	}
	while (mtsi_door_clients(scene.server) < MANY + 1) {
		poll(NULL, 0, 1);
	}
	ck_assert_int_eq(gate_count(&scene.opened), 1);
	for (int i = 0; i <= MANY; i++) {
		gate_add(&scene.release);
	}
	peer_expect_text(first, "hold\n");
	for (int i = 0; i < MANY; i++) {
		peer_expect_text(peers[i], "in line\n");
		close(peers[i]);
	}
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_THREADS_PEAK), 1);
	close(first);
	scene_end(&scene);
}
END_TEST

/* As soon as one can be made again the others need not wait any more for the one that waits. */
START_TEST(a_second_thread_after_all)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	fault_fail(FAULT_THREAD, EAGAIN, 1, FAULT_FOREVER);
	scene_start(&scene);
	const int first = peer_connect(scene.server, 0);
	peer_puts(first, "hold\n");
	gate_wait(&scene.entered, 1);
	fault_wait_hits(FAULT_THREAD, 2);
	const int second = peer_connect(scene.server, 0);
	peer_puts(second, "hold\n");
	fault_wait_hits(FAULT_THREAD, fault_hits(FAULT_THREAD) + 1);
	ck_assert_int_eq(gate_count(&scene.entered), 1);
	fault_clear(FAULT_THREAD);
	gate_wait(&scene.entered, 2);
	gate_add(&scene.release);
	gate_add(&scene.release);
	peer_expect_text(first, "hold\n");
	peer_expect_text(second, "hold\n");
	close(first);
	close(second);
	scene_end(&scene);
}
END_TEST

/* What comes to the latest client while its worker is in a call on the way to parking it. */
static struct {
	mts_server *server;
	int peer;
	uint64_t id;
	const char *text;
	bool claimed; /* wait until another thread has found it owned, not only until it is here */
	_Atomic bool wanted;
} news;

static int note_news(mts_client *client, void *scene)
{
	news.id = mts_client_id(client);
	gate_add(&((struct scene *)scene)->opened);
	return 0;
}

static void come_meanwhile(void)
{
	fault_inside(false);
	struct mts_client *client = mtsi_clients_find(news.server, news.id);
	ck_assert_ptr_nonnull(client);
	peer_puts(news.peer, news.text);
	while (news.claimed ? !mtsi_claim_again(client) : mtsi_socket_unread(client->fd) == 0) {
		poll(NULL, 0, 1);
	}
	fault_inside(true);
}

static void make_news(struct scene *scene)
{
	scene_make(scene, scene_echo);
	ck_assert_int_eq(mts_server_on_open(scene->server, note_news, scene), 0);
	scene_start(scene);
	news.server = scene->server;
	news.peer = peer_socket();
}

/* The first time: it is not watched yet, and is asked to be watched when there is something already. */
START_TEST(input_while_it_is_parked_first)
{
	struct scene scene;
	make_news(&scene);
	news.text = "at that moment\n";
	news.claimed = false;
	fault_hook(FAULT_EPOLL_CTL, come_meanwhile);
	fault_watch_only(PARKS);
	fault_fail(FAULT_EPOLL_CTL, FAULT_NOTHING, 0, 1);
	peer_connect_socket(news.peer, scene.server);
	peer_expect_text(news.peer, "at that moment\n");
	ck_assert_uint_eq(fault_hits(FAULT_EPOLL_CTL), 1);
	scene_ask(news.peer, "and on");
	close(news.peer);
	scene_end(&scene);
}
END_TEST

/* Workers take memory for what they save only; the keeper does for a further worker, at any time. */
static void come_while_it_is_saved(void)
{
	char name[16] = "";
	(void)pthread_getname_np(pthread_self(), name, sizeof(name));
	if (strcmp(name, "mts-worker") == 0 && atomic_exchange(&news.wanted, false)) {
		come_meanwhile();
	}
}

/*
 * Later: half a request is being saved when the rest comes. Another worker, which polls since this one
 * does not come back, finds the client owned, before its owner lets go of it.
 */
START_TEST(input_while_it_is_parked_again)
{
	struct scene scene;
	make_news(&scene);
	peer_connect_socket(news.peer, scene.server);
	scene_ask(news.peer, "watched");
	news.text = " of a line\n";
	news.claimed = true;
	fault_hook(FAULT_MEMORY, come_while_it_is_saved);
	fault_fail(FAULT_MEMORY, FAULT_NOTHING, 0, FAULT_FOREVER);
	for (int i = 0; i < MANY; i++) {
		atomic_store(&news.wanted, true);
		peer_puts(news.peer, "half");
		peer_expect_text(news.peer, "half of a line\n");
		ck_assert(!atomic_load(&news.wanted));
	}
	fault_clear(FAULT_MEMORY);
	close(news.peer);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("parking");
	tcase_add_loop_test(cases, epoll_has_no_memory, 0, ERRORS);
	tcase_add_loop_test(cases, after_its_replies, 0, ERRORS);
	tcase_add_test(cases, no_memory_for_half_a_request);
	tcase_add_test(cases, no_memory_for_a_further_turn);
	tcase_add_test(cases, one_thread_for_all);
	tcase_add_test(cases, the_only_thread_waits);
	tcase_add_test(cases, a_second_thread_after_all);
	tcase_add_test(cases, input_while_it_is_parked_first);
	tcase_add_test(cases, input_while_it_is_parked_again);
	return suite_run_once();
}
