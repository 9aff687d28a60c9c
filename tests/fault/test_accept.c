/* SPDX-License-Identifier: MIT
 *
 * accept4 fails. A shortage makes the listener pause, longer each time, without spinning and without
 * giving up; the connection's own trouble costs nothing but that connection; and whatever cannot be done
 * with an accepted socket ends that socket only.
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/wake.h"
#include "engine/door/entry.h"
#include "engine/run/poller.h"
#include "engine/run/server.h"
#include "os/clock.h"

static const int shortages[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EINVAL};
static const int troubles[] = {ECONNABORTED, EPERM, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN,
	ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT};

enum { A_FEW = 50, A_BATCH = 64 }; /* connections that are tried in one go */
enum { SHORTAGES = sizeof(shortages) / sizeof(shortages[0]) };
enum { TROUBLES = sizeof(troubles) / sizeof(troubles[0]) };

/* 10 + 20 + 40 + 80 + 160 ms lie between six attempts; between them the keeper sleeps. */
START_TEST(a_shortage_backs_off)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_alone(&scene);
	scene_start(&scene);
	fault_clear(FAULT_EPOLL_WAIT);
	fault_fail(FAULT_ACCEPT, shortages[_i], 0, 6);
	const uint64_t start = now_ms();
	const int peer = scene_visit(&scene);
	ck_assert_uint_ge(now_ms() - start, 310);
	ck_assert_uint_eq(fault_hits(FAULT_ACCEPT), 6);
	ck_assert_uint_le(fault_count(FAULT_EPOLL_WAIT), 24);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPT_ERRORS), 6);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPTED), 1);
	const int most = 1 + (int)((now_ms() - start) / 1000 + 1);
	close(peer);
	scene_end(&scene);
	ck_assert_int_ge(gate_count(&scene.logs[MTS_LOG_ERR]), 1);
	ck_assert_int_le(gate_count(&scene.logs[MTS_LOG_ERR]), most);
}
END_TEST

/* The pauses do not grow for ever: at most a second each, and they begin anew after a success. */
START_TEST(pauses_are_bounded)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	struct mtsi_door *door = &mtsi_door_floor(scene.server)->door;
	uint64_t longest = 0;
	uint64_t now = 0;
	for (int i = 0; i < 100; i++) {
		mtsi_door_pause(scene.server, now, door->freed);
		ck_assert_uint_ge(door->short_until - now, longest);
		longest = door->short_until - now;
		now = door->short_until;
		ck_assert_uint_eq(mtsi_door_resume(scene.server, now), MTSI_NEVER);
	}
	ck_assert_uint_eq(longest, MTSI_SECOND);
	mtsi_door_well(scene.server);
	mtsi_door_pause(scene.server, 0, door->freed);
	ck_assert_uint_eq(door->short_until, 10 * MTSI_MILLISECOND);
	ck_assert_uint_eq(mtsi_door_resume(scene.server, 10 * MTSI_MILLISECOND), MTSI_NEVER);
	ck_assert_int_eq(mts_server_destroy(scene.server), 0);
}
END_TEST

/* With the clock stopped the pause has no end of its own: only a client that closes can end it. */
START_TEST(a_closing_client_ends_the_pause)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_alone(&scene);
	scene_start(&scene);
	const int first = scene_visit(&scene);
	library_rests(); /* the watch too, which has a descriptor to give back */
	fault_clock_stop(true);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	const int second = peer_connect(scene.server, 0);
	fault_wait_hits(FAULT_ACCEPT, 1);
	server_wait_stat(scene.server, MTS_STAT_ACCEPT_ERRORS, 1);
	wait_until(mtsi_door_resume(scene.server, 0) != MTSI_NEVER);
	close(first);
	scene_ask(second, "in after all");
	close(second);
	fault_clock_stop(false);
	scene_end(&scene);
}
END_TEST

/* The same when there really is no descriptor, and no other one becomes free. */
START_TEST(a_closing_client_gives_its_descriptor)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	const int first = scene_visit(&scene);
	const int second = peer_socket();
	starve_descriptors(true);
	fault_clock_stop(true);
	peer_connect_socket(second, scene.server);
	wait_until(mtsi_door_resume(scene.server, 0) != MTSI_NEVER);
	peer_finish(first);
	scene_ask(second, "in after all");
	starve_descriptors(false);
	close(first);
	close(second);
	fault_clock_stop(false);
	scene_end(&scene);
}
END_TEST

static struct scene *stage;

/* Whether a worker polls; on demand. */
static bool polls(mts_server *server)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const bool polling = mtsi_crew_floor(server)->crew.pollers > 0;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return polling;
}

static void leave_meanwhile(void)
{
	gate_add(&stage->release);
	while (mtsi_door_clients(stage->server) > 0) {
	}
}

/* The descriptor becomes free after accept has failed and before there is a pause: no pause is due. */
START_TEST(a_client_that_closes_meanwhile)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	scene_start(&scene);
	stage = &scene;
	const int leaving = peer_connect(scene.server, 0);
	peer_puts(leaving, "I am about to leave\n");
	gate_wait(&scene.entered, 1);
	/* On demand somebody else has to poll before the clock stops: what waits is found by it. */
	while (test_model == MTS_THREAD_ON_DEMAND && !polls(scene.server)) {
	}
	fault_clock_stop(true);
	fault_hook(FAULT_ACCEPT, leave_meanwhile);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "hello\n");
	gate_wait(&scene.entered, 2);
	gate_add(&scene.release);
	peer_expect_text(peer, "hello\n");
	close(peer);
	close(leaving);
	fault_clock_stop(false);
	scene_end(&scene);
}
END_TEST

static atomic_bool pauses;

/* As accept does when it has found no descriptor. */
static void find_no_descriptor(void)
{
	uint64_t freed;
	fault_clock_stop(true);
	(void)mtsi_door_room(stage->server, &freed);
	mtsi_door_pause(stage->server, mtsi_clock_now(), freed);
	atomic_store(&pauses, mtsi_door_resume(stage->server, 0) != MTSI_NEVER);
}

/*
 * On demand the watch opens a file to see who waits. When accept fails for want of that descriptor, its
 * pause is over when the file is closed: with the clock stopped it would never end by itself.
 */
START_TEST(what_the_watch_has_open_costs_no_pause)
{
	enum { PEERS = 4 };
	struct scene scene;
	int peers[PEERS];
	if (test_model != MTS_THREAD_ON_DEMAND) {
		return;
	}
	scene_make(&scene, scene_hold);
	scene_start(&scene);
	stage = &scene;
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(scene.server, 0);
	}
	server_wait_stat(scene.server, MTS_STAT_ACCEPTED, PEERS);
	library_rests();
	fault_hook(FAULT_OPEN, find_no_descriptor);
	fault_fail(FAULT_OPEN, FAULT_NOTHING, 0, 1);
	for (int i = 0; i < PEERS; i++) {
		peer_puts(peers[i], "wait\n"); /* more than poll */
	}
	fault_wait_hits(FAULT_OPEN, 1);
	const bool paused = atomic_load(&pauses);
	ck_assert(paused);
	wait_until(mtsi_door_resume(scene.server, 0) == MTSI_NEVER);
	fault_clock_stop(false);
	gate_wait(&scene.entered, PEERS);
	for (int i = 0; i < PEERS; i++) {
		gate_add(&scene.release);
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

/* A lingering socket gives up its descriptor, and there is no pause at all. */
START_TEST(a_lingerer_is_evicted_first)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	scene_start(&scene);
	const int first = scene_linger(&scene);
	fault_clock_stop(true);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	const int second = peer_connect(scene.server, 0);
	peer_puts(second, "room at once\n");
	gate_add(&scene.release);
	peer_expect_text(second, "room at once\n");
	peer_expect_end(second);
	ck_assert_uint_eq(fault_hits(FAULT_ACCEPT), 1);
	ck_assert_uint_eq(mtsi_door_resume(scene.server, 0), MTSI_NEVER);
	fault_clock_stop(false);
	close(first);
	close(second);
	scene_end(&scene);
}
END_TEST

static void want_accepted_at_once(struct scene *scene, int error, uint32_t times)
{
	fault_clock_stop(true);
	fault_fail(FAULT_ACCEPT, error, 0, times);
	const int peer = scene_visit(scene);
	ck_assert_uint_eq(fault_hits(FAULT_ACCEPT), times);
	fault_clock_stop(false);
	close(peer);
}

/* With the clock stopped a pause would never end; and nobody is told of each one in the log. */
START_TEST(a_connections_trouble_is_passed_over)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_alone(&scene);
	scene_start(&scene);
	want_accepted_at_once(&scene, troubles[_i], A_FEW);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPT_ERRORS), A_FEW);
	scene_end(&scene);
	ck_assert_int_eq(gate_count(&scene.logs[MTS_LOG_ERR]), 0);
}
END_TEST

/* Not when there is nothing else, as when a policy of the system forbids accept: that must not spin. */
START_TEST(trouble_without_end_is_a_shortage)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_alone(&scene);
	scene_start(&scene);
	fault_clock_stop(true);
	fault_fail(FAULT_ACCEPT, troubles[_i], 0, FAULT_FOREVER);
	const int peer = peer_connect(scene.server, 0);
	fault_wait_hits(FAULT_ACCEPT, A_FEW);
	fault_clear(FAULT_EPOLL_WAIT);
	for (uint32_t i = 1; i <= 20; i++) {
		mtsi_wake_poller(scene.server);
		fault_wait_count(FAULT_EPOLL_WAIT, i);
	}
	ck_assert_uint_le(fault_hits(FAULT_ACCEPT), 2 * A_BATCH);
	fault_clear(FAULT_ACCEPT);
	fault_clock_stop(false);
	scene_ask(peer, "in after all");
	close(peer);
	scene_end(&scene);
}
END_TEST

START_TEST(a_signal_is_passed_over)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_alone(&scene);
	scene_start(&scene);
	want_accepted_at_once(&scene, EINTR, 1000);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPT_ERRORS), 0);
	fault_fail(FAULT_EPOLL_WAIT, EINTR, 0, 1000);
	want_accepted_at_once(&scene, EAGAIN, 3);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPT_ERRORS), 0);
	scene_end(&scene);
}
END_TEST

/* No memory for the client: its socket is closed once, counted, and the next one comes in. */
START_TEST(no_memory_for_the_client)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_alone(&scene);
	scene_start(&scene);
	const int descriptors = settled_descriptors();
	fault_fail(FAULT_MEMORY, ENOMEM, 0, 3);
	for (int i = 0; i < 3; i++) {
		const int peer = peer_connect(scene.server, 0);
		peer_expect_gone(peer);
		close(peer);
	}
	const int peer = scene_visit(&scene);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_REFUSED), 3);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPT_ERRORS), 3);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPTED), 1);
	ck_assert_int_eq(gate_count(&scene.opened), 1);
	ck_assert_int_eq(settled_descriptors(), descriptors + 2);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* Listeners that somebody else has too, after the own one. */
enum { SHARED = 2 };
static int shared[SHARED];

static int share_one(struct scene *scene)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	const int other = dup(fd);
	ck_assert_int_eq(mts_server_listen_fd(scene->server, fd), 0);
	return other;
}

static void share(struct scene *scene)
{
	for (int i = 0; i < SHARED; i++) {
		shared[i] = share_one(scene);
	}
}

static void share_no_more(void)
{
	for (int i = 0; i < SHARED; i++) {
		close(shared[i]);
	}
}

static struct gate stolen;
static int victim; /* a descriptor of that somebody's */

/* That one makes it blocking, and takes the connection, after the server has looked. */
static void steal(void)
{
	(void)fcntl(victim, F_SETFL, 0);
	close(accept(victim, NULL, NULL));
	gate_add(&stolen);
}

/* At the i-th of them. */
static int sleep_in_accept(struct scene *scene, int i)
{
	stolen = (struct gate)GATE;
	victim = shared[i];
	fault_hook(FAULT_ACCEPT, steal);
	fault_fail(FAULT_ACCEPT, FAULT_NOTHING, 0, 1);
	const int peer = peer_connect(scene->server, (size_t)i + 1);
	gate_wait(&stolen, 1);
	fault_hook(FAULT_ACCEPT, NULL);
	fault_clear(FAULT_ACCEPT);
	return peer;
}

static void be_served_elsewhere(struct scene *scene, int before)
{
	scene_ask(before, "still here");
	for (int i = 0; i < 10; i++) {
		close(scene_visit(scene));
	}
	scene_ask(before, "and now");
}

/*
 * Then one thread sleeps in accept; all others are served, elsewhere, and it comes back with the next
 * connection there.
 */
START_TEST(a_thread_sleeps_in_accept)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	share(&scene);
	scene_start(&scene);
	const int inside = scene_visit(&scene);
	const int gone = sleep_in_accept(&scene, 0);
	be_served_elsewhere(&scene, inside);
	ck_assert_ptr_nonnull(mtsi_entry_taken(scene.server));
	/* The one that polls now falls for it too. */
	close(sleep_in_accept(&scene, 1));
	be_served_elsewhere(&scene, inside);
	const int second = peer_connect(scene.server, 2);
	scene_ask(second, "it has come back");
	const int next = peer_connect(scene.server, 1);
	scene_ask(next, "at last");
	wait_until(mtsi_entry_taken(scene.server) == NULL);
	const int another = peer_connect(scene.server, 1);
	scene_ask(another, "and not blocking any more");
	ck_assert_int_ne(fcntl(shared[0], F_GETFL) & O_NONBLOCK, 0);
	close(inside);
	close(gone);
	close(next);
	close(another);
	close(second);
	scene_end(&scene);
	share_no_more();
}
END_TEST

/* On demand a stand-in polls while all workers that may be had are in callbacks: it is replaced too. */
START_TEST(a_stand_in_sleeps_in_accept)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	share(&scene);
	scene_alone(&scene);
	scene_start(&scene);
	const int first = peer_connect(scene.server, 0);
	peer_puts(first, "hold\n");
	gate_wait(&scene.entered, 1);
	const int gone = sleep_in_accept(&scene, 0);
	const int second = peer_connect(scene.server, 0);
	wait_until(mtsi_door_clients(scene.server) == 2);
	const int third = peer_connect(scene.server, 1);
	wait_until(mtsi_door_clients(scene.server) == 3);
	gate_add(&scene.release);
	peer_expect_text(first, "hold\n");
	close(first);
	close(gone);
	close(second);
	close(third);
	scene_end(&scene);
	share_no_more();
}
END_TEST

/* A stop does not wait for it beyond its deadline; who connects then is turned away. */
START_TEST(a_stop_while_a_thread_sleeps_in_accept)
{
	struct scene scene;
	int result;
	scene_make(&scene, scene_echo);
	share(&scene);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, 50), 0);
	scene_start(&scene);
	const int inside = scene_visit(&scene);
	const int gone = sleep_in_accept(&scene, 0);
	be_served_elsewhere(&scene, inside);
	mts_server_stop(scene.server);
	ck_assert_int_eq(mts_server_join(scene.server), -EBUSY);
	peer_expect_end(inside);
	gate_wait(&scene.logs[MTS_LOG_ERR], 1);
	ck_assert_int_eq(mts_server_destroy(scene.server), -EBUSY);
	const int late = peer_connect(scene.server, 1);
	peer_expect_gone(late);
	while ((result = mts_server_destroy(scene.server)) == -EBUSY) {
	}
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(gate_count(&scene.opened), gate_count(&scene.closed));
	close(inside);
	close(gone);
	close(late);
	share_no_more();
}
END_TEST

/* A stop does not wait for the end of a pause. */
START_TEST(stop_in_a_pause)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_alone(&scene);
	scene_start(&scene);
	fault_clock_stop(true);
	fault_fail(FAULT_ACCEPT, shortages[_i], 0, FAULT_FOREVER);
	const int peer = peer_connect(scene.server, 0);
	fault_wait_hits(FAULT_ACCEPT, 1);
	scene_end(&scene);
	peer_expect_gone(peer);
	close(peer);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("accept");
	tcase_add_loop_test(cases, a_shortage_backs_off, 0, SHORTAGES);
	tcase_add_test(cases, pauses_are_bounded);
	tcase_add_test(cases, a_closing_client_ends_the_pause);
	if (!under_valgrind()) {
		tcase_add_test(cases, a_closing_client_gives_its_descriptor);
	}
	tcase_add_test(cases, a_client_that_closes_meanwhile);
	tcase_add_test(cases, what_the_watch_has_open_costs_no_pause);
	tcase_add_test(cases, a_lingerer_is_evicted_first);
	tcase_add_loop_test(cases, a_connections_trouble_is_passed_over, 0, TROUBLES);
	tcase_add_loop_test(cases, trouble_without_end_is_a_shortage, 0, TROUBLES);
	tcase_add_test(cases, a_signal_is_passed_over);
	tcase_add_test(cases, no_memory_for_the_client);
	tcase_add_test(cases, a_thread_sleeps_in_accept);
	tcase_add_test(cases, a_stand_in_sleeps_in_accept);
	tcase_add_test(cases, a_stop_while_a_thread_sleeps_in_accept);
	tcase_add_loop_test(cases, stop_in_a_pause, 0, SHORTAGES);
	return suite_run();
}
