/* SPDX-License-Identifier: MIT
 *
 * The crew of a real server, seen from inside: one thread for each client that is served, no more than
 * are allowed, used again, gone when they have rested, and none forgotten at the end. On demand one more
 * polls, and another one may have been on its way as it was no longer needed.
 */
#include "engine/crew/crew.h"

#include <poll.h>
#include <unistd.h>

#include "../../api/support.h"
#include "engine/crew/hire.h"
#include "engine/crew/threads.h"
#include "engine/run/server.h"
#include "engine/serve/worker.h"
#include "os/clock.h"

enum { MANY = 50 };

static mts_server *server;
static struct gate entered = GATE;
static struct gate release = GATE;
static struct gate started = GATE;
static struct gate ended = GATE;

static int hold(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&entered);
	if (*(const char *)request == 'h') {
		gate_wait(&release, 1);
	}
	(void)mts_client_write(client, request, size);
	return MTS_CLOSE;
}

static void thread_started(void *user)
{
	(void)user;
	gate_add(&started);
}

static void thread_ended(void *user)
{
	(void)user;
	gate_add(&ended);
}

static void setup(void)
{
	server = server_new(hold, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_thread(server, thread_started, thread_ended, NULL), 0);
}

static void teardown(void)
{
	server_end(server);
	ck_assert_int_eq(gate_count(&started), gate_count(&ended));
}

static void ask(int *peers, int count)
{
	for (int i = 0; i < count; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "hold\n");
	}
}

static void want(int *peers, int count, const char *answer)
{
	for (int i = 0; i < count; i++) {
		peer_expect_text(peers[i], answer);
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
}

static void want_answers(int *peers, int count)
{
	want(peers, count, "hold");
}

/* What the crew holds, looked at under its lock. */
struct view {
	size_t ready;
	size_t threads;
	size_t busy;
	size_t idle;
	size_t waking;
	bool polling;
};

static bool on_demand(void)
{
	return test_model == MTS_THREAD_ON_DEMAND;
}

static struct view look(void)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct view view = {0};
	mtsi_lock_take(&crew->lock);
	view.ready = crew->ready.count;
	view.threads = crew->threads;
	view.waking = crew->waking;
	view.polling = crew->pollers > 0;
	for (const struct mtsi_member *w = crew->workers; w != NULL; w = w->next) {
		view.busy += w->client != NULL;
	}
	for (const struct mtsi_member *w = crew->idle; w != NULL; w = w->next_idle) {
		view.idle++;
	}
	size_t listed = 0;
	for (const struct mts_client *c = crew->ready.first; c != NULL; c = c->next) {
		listed++;
	}
	ck_assert_uint_eq(listed, view.ready);
	ck_assert(crew->ready.first == NULL || crew->ready.last->next == NULL);
	mtsi_lock_release(&crew->lock);
	return view;
}

START_TEST(a_thread_for_each)
{
	int peers[MANY];
	server_start(server);
	ask(peers, MANY);
	gate_wait(&entered, MANY);
	const struct view view = look();
	ck_assert_uint_eq(view.busy, MANY);
	server_expect_threads(server, MTS_STAT_THREADS, MANY);
	ck_assert_uint_eq(view.ready, 0);
	if (!on_demand()) {
		ck_assert_uint_eq(view.threads, MANY);
		ck_assert_int_eq(gate_count(&started), MANY);
	}
	gate_add(&release);
	want_answers(peers, MANY);
	server_expect_threads(server, MTS_STAT_THREADS_PEAK, MANY);
}
END_TEST

/* Counted a moment after they are in line; on demand a client may wait for more than one turn. */
static void want_waits(uint64_t count)
{
	if (!on_demand()) {
		server_wait_stat(server, MTS_STAT_THREAD_WAITS, count);
		return;
	}
	const uint64_t start = now_ms();
	while (mts_server_stat(server, MTS_STAT_THREAD_WAITS) < count) {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		poll(NULL, 0, 1);
	}
}

START_TEST(no_more_than_allowed)
{
	int peers[MANY];
	ck_assert_int_eq(mts_server_set_max_threads(server, 3), 0);
	server_start(server);
	ask(peers, MANY);
	gate_wait(&entered, 3);
	while (look().ready < MANY - 3) {
	}
	const struct view view = look();
	ck_assert_uint_eq(view.threads, 3);
	ck_assert_uint_eq(view.busy, 3);
	ck_assert_uint_eq(view.waking, 0);
	ck_assert_int_eq(gate_count(&entered), 3);
	want_waits(MANY - 3);
	gate_add(&release);
	want_answers(peers, MANY);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_THREADS_PEAK), 3);
}
END_TEST

/* Nobody is served: who has served rests, or polls on demand. */
static void wait_until_quiet(void)
{
	struct view view;
	do {
		view = look();
	} while (view.busy > 0 || !(on_demand() ? view.polling : view.idle == view.threads));
}

/* One client after the other: the thread that rests, or polls, is the one that serves. */
START_TEST(used_again)
{
	server_start(server);
	gate_add(&release);
	for (int i = 0; i < MANY; i++) {
		int peer;
		ask(&peer, 1);
		want_answers(&peer, 1);
		wait_until_quiet();
	}
	if (on_demand()) {
		server_expect_threads(server, MTS_STAT_THREADS_PEAK, 1);
	} else {
		ck_assert_uint_eq(look().threads, 1);
		ck_assert_int_eq(gate_count(&started), 1);
	}
}
END_TEST

static bool two_poll(void)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const bool two = mtsi_crew_floor(server)->crew.pollers == 2;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return two;
}

static void pass(void)
{
	int peer = peer_connect(server, 0);
	peer_puts(peer, "pass\n");
	want(&peer, 1, "pass");
}

/*
 * Where requests come now and then two poll, so when one blocks the other goes on. At a stop, while both
 * poll again, both leave.
 */
START_TEST(two_poll_when_it_is_quiet)
{
	int peer;
	server_start(server);
	do {
		pass();
	} while (on_demand() && !two_poll());
	const int passed = gate_count(&entered);
	ask(&peer, 1);
	gate_wait(&entered, passed + 1);
	if (on_demand()) {
		mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
		const bool alone = mtsi_crew_floor(server)->crew.pollers == 0
			&& mtsi_crew_floor(server)->watchdog.asleep;
		ck_assert(!alone || mtsi_crew_floor(server)->watchdog.armed);
		mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	}
	pass();
	gate_add(&release);
	want_answers(&peer, 1);
	do {
		pass();
	} while (on_demand() && !two_poll());
}
END_TEST

/* They leave when they have rested, all but one, who still serves. */
START_TEST(gone_when_rested)
{
	int peers[MANY];
	server_start(server);
	ask(peers, MANY);
	gate_wait(&entered, MANY);
	gate_add(&release);
	want_answers(peers, MANY);
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	wait_until_quiet();
	const int begun = gate_count(&started);
	ck_assert_int_ge(begun, MANY);
	ck_assert_int_le(begun, on_demand() ? MANY + 2 : MANY);
	gate_wait(&ended, begun - 1);
	ck_assert_int_eq(gate_count(&ended), begun - 1);
	ask(peers, 1);
	want_answers(peers, 1);
	wait_until_quiet();
	ck_assert_int_le(gate_count(&started), on_demand() ? begun + 2 : begun);
}
END_TEST

/* Who is served, one by one, and since when. */
START_TEST(who_is_served)
{
	int peers[3];
	struct mtsi_served served[4];
	const uint64_t start = mtsi_clock_now();
	server_start(server);
	ask(peers, 3);
	gate_wait(&entered, 3);
	ck_assert_uint_eq(mtsi_crew_served(server, NULL, 0), 3);
	ck_assert_uint_eq(mtsi_crew_served(server, served, 2), 3);
	ck_assert_uint_eq(mtsi_crew_served(server, served, 4), 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_ge(served[i].id, MTSI_FIRST_ID);
		ck_assert_uint_ge(served[i].since, start);
		ck_assert_uint_le(served[i].since, mtsi_clock_now());
		for (size_t j = 0; j < i; j++) {
			ck_assert_uint_ne(served[i].id, served[j].id);
		}
	}
	gate_add(&release);
	want_answers(peers, 3);
}
END_TEST

/* Clients that wait for their open hook can be taken out again, in order of arrival. */
START_TEST(taken_back)
{
	int peers[4];
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	ask(peers, 1);
	gate_wait(&entered, 1);
	ask(peers + 1, 3);
	while (look().ready < 3) {
	}
	uint64_t before = 0;
	struct mtsi_list line = {NULL, NULL, 0};
	mtsi_crew_take_unopened(server, &line);
	ck_assert_uint_eq(line.count, 3);
	ck_assert_uint_eq(look().ready, 0);
	for (int i = 0; i < 3; i++) {
		struct mts_client *client = mtsi_list_take(&line);
		ck_assert_ptr_nonnull(client);
		ck_assert_int_eq(client->stage, MTSI_CLIENT_WAITING);
		ck_assert_uint_gt(client->id, before);
		before = client->id;
		mtsi_client_close(client);
		mtsi_door_leave(server, false);
	}
	mtsi_crew_take_unopened(server, &line);
	ck_assert_uint_eq(line.count, 0);
	gate_add(&release);
	want_answers(peers, 1);
	for (int i = 1; i < 4; i++) {
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
}
END_TEST

/* They are not let go as long as a client is left that has to be served, though no worker is there. */
START_TEST(not_dismissed_with_somebody_in_line)
{
	static mts_client client;
	struct mtsi_list line = {NULL, NULL, 0};
	mtsi_list_add(&line, &client);
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	mtsi_crew_append_locked(&mtsi_crew_floor(server)->crew, &line, mtsi_clock_now());
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	ck_assert(!mtsi_threads_dismiss(server, 0));
	ck_assert_ptr_eq(mtsi_list_take(&mtsi_crew_floor(server)->crew.ready), &client);
	ck_assert(mtsi_threads_dismiss(server, 0));
	server_start(server);
}
END_TEST

/* Nobody there: nothing to wait for. */
START_TEST(dismissed_before_it_began)
{
	ck_assert(mtsi_threads_dismiss(server, 0));
	ck_assert_uint_eq(mtsi_hire(server, MTSI_NEVER - 1), MTSI_NEVER);
	struct mtsi_list line = {NULL, NULL, 0};
	mtsi_crew_take_unopened(server, &line);
	ck_assert_uint_eq(line.count, 0);
	server_start(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("crew");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, a_thread_for_each);
	tcase_add_test(cases, no_more_than_allowed);
	tcase_add_test(cases, used_again);
	tcase_add_test(cases, gone_when_rested);
	tcase_add_test(cases, two_poll_when_it_is_quiet);
	tcase_add_test(cases, who_is_served);
	tcase_add_test(cases, taken_back);
	tcase_add_test(cases, not_dismissed_with_somebody_in_line);
	tcase_add_test(cases, dismissed_before_it_began);
	return suite_run();
}
