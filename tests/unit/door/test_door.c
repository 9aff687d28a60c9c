/* SPDX-License-Identifier: MIT
 *
 * Admission: whatever happens in whatever order, the listeners are armed exactly when the server takes
 * clients, has room, and is short of nothing.
 */
#include "engine/door/door.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../api/support.h"
#include "engine/base/logger.h"
#include "engine/run/server.h"
#include "os/bind.h"
#include "os/clock.h"
#include "os/poll.h"

static mts_server *server;
static struct mtsi_door *door;

/* A server that does not run, with its listener in epoll: arming is seen there. */
static void setup(void)
{
	server = server_new(answer_close, NULL);
	mtsi_base_floor(server)->poll = mtsi_poll_open();
	ck_assert_int_ge(mtsi_base_floor(server)->poll, 0);
	ck_assert_int_eq(mtsi_listeners_prepare(server), 0);
	door = &mtsi_door_floor(server)->door;
}

static void teardown(void)
{
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

static bool listener_is_reported(void)
{
	struct epoll_event event;
	return mtsi_poll_wait(mtsi_base_floor(server)->poll, &event, 1, 0) == 1;
}

static void want_armed(bool armed)
{
	ck_assert_int_eq(door->armed, armed);
	ck_assert_int_eq(listener_is_reported(), armed);
}

/* One after another, and what is to hold afterwards. */
enum act {
	OPEN,
	SHUT,
	ENTER,
	LEAVE,
	ONE,
	TWO,
	PAUSE,
	FREED,
	BEFORE,
	DURING,
	RESUME_EARLY,
	RESUME,
	WELL,
	END
};

static const struct {
	enum act act;
	bool armed;
	size_t room;
} plays[][12] = {
	{{OPEN, true, 2}, {ENTER, true, 1}, {ENTER, false, 0}, {LEAVE, true, 1}, {LEAVE, true, 2},
		{SHUT, false, 2}, {END, false, 0}},
	{{OPEN, true, 2}, {ENTER, true, 1}, {ONE, false, 0}, {TWO, true, 1}, {ENTER, false, 0},
		{ONE, false, 0}, {LEAVE, false, 0}, {LEAVE, true, 1}, {END, false, 0}},
	{{OPEN, true, 2}, {PAUSE, false, 2}, {FREED, true, 2}, {PAUSE, false, 2},
		{RESUME_EARLY, false, 2}, {RESUME, true, 2}, {FREED, true, 2}, {END, false, 0}},
	{{OPEN, true, 2}, {PAUSE, false, 2}, {BEFORE, false, 2}, {DURING, true, 2}, {PAUSE, false, 2},
		{SHUT, false, 2}, {DURING, false, 2}, {END, false, 0}},
	{{OPEN, true, 2}, {PAUSE, false, 2}, {TWO, false, 2}, {ENTER, false, 1}, {LEAVE, false, 2},
		{WELL, false, 2}, {RESUME, true, 2}, {END, false, 0}},
	{{OPEN, true, 2}, {ENTER, true, 1}, {ENTER, false, 0}, {PAUSE, false, 0}, {FREED, false, 0},
		{LEAVE, true, 1}, {END, false, 0}},
	{{OPEN, true, 2}, {ENTER, true, 1}, {ENTER, false, 0}, {PAUSE, false, 0}, {LEAVE, false, 1},
		{RESUME, true, 1}, {END, false, 0}},
	{{OPEN, true, 2}, {PAUSE, false, 2}, {SHUT, false, 2}, {RESUME, false, 2}, {FREED, false, 2},
		{TWO, false, 2}, {END, false, 0}},
	{{OPEN, true, 2}, {SHUT, false, 2}, {ENTER, false, 1}, {LEAVE, false, 2}, {END, false, 0}},
};

static void perform(enum act act)
{
	uint64_t freed = 0;
	switch (act) {
	case OPEN:
		mtsi_door_prepare(server);
		mtsi_door_open(server);
		break;
	case SHUT:
		mtsi_door_shut(server);
		break;
	case ENTER:
		ck_assert_int_eq(mtsi_door_enter(server, NULL), MTSI_LET_IN);
		(void)mtsi_door_room(server, &freed);
		break;
	case LEAVE:
		mtsi_door_leave(server, false);
		break;
	case ONE:
	case TWO:
		mtsi_door_set_max_clients(server, act == ONE ? 1 : 2);
		break;
	case PAUSE:
		(void)mtsi_door_room(server, &freed);
		mtsi_door_pause(server, MTSI_SECOND, freed);
		break;
	case FREED:
		mtsi_door_freed(server);
		break;
	case BEFORE: /* the pause has begun before a descriptor was taken, or meanwhile */
	case DURING:
		mtsi_door_returned(server, act == BEFORE ? MTSI_SECOND + 1 : MTSI_SECOND);
		break;
	case RESUME_EARLY:
		ck_assert_uint_gt(mtsi_door_resume(server, MTSI_SECOND), MTSI_SECOND);
		break;
	case RESUME:
		ck_assert_uint_eq(mtsi_door_resume(server, 3 * MTSI_SECOND), MTSI_NEVER);
		break;
	default:
		mtsi_door_well(server);
	}
}

START_TEST(who_comes_in)
{
	const int peer = peer_connect(server, 0);
	mtsi_door_set_max_clients(server, 2);
	want_armed(false);
	for (size_t i = 0; plays[_i][i].act != END; i++) {
		uint64_t freed;
		perform(plays[_i][i].act);
		want_armed(plays[_i][i].armed);
		ck_assert_uint_eq(mtsi_door_room(server, &freed), plays[_i][i].room);
		want_armed(plays[_i][i].armed);
	}
	close(peer);
}
END_TEST

/* A descriptor that became free after the look that failed makes the pause needless. */
START_TEST(a_pause_that_is_not_due)
{
	uint64_t before;
	uint64_t after;
	mtsi_door_prepare(server);
	mtsi_door_open(server);
	(void)mtsi_door_room(server, &before);
	mtsi_door_freed(server);
	mtsi_door_pause(server, MTSI_SECOND, before);
	ck_assert_uint_eq(mtsi_door_resume(server, 0), MTSI_NEVER);
	ck_assert(door->armed);
	(void)mtsi_door_room(server, &after);
	mtsi_door_pause(server, MTSI_SECOND, after);
	ck_assert_uint_gt(mtsi_door_resume(server, 0), MTSI_SECOND);
	ck_assert(!door->armed);
}
END_TEST

/* 10 ms, 20, 40 and so on up to a second, anew after a success; also at the end of time. */
START_TEST(how_long_it_pauses)
{
	uint64_t expected = 10 * MTSI_MILLISECOND;
	uint64_t now = 0;
	for (int i = 0; i < 20; i++) {
		mtsi_door_pause(server, now, door->freed);
		mtsi_door_pause(server, now, door->freed); /* two have got the same event */
		ck_assert_uint_eq(mtsi_door_resume(server, now), now + expected);
		now += expected;
		ck_assert_uint_eq(mtsi_door_resume(server, now), MTSI_NEVER);
		expected = 2 * expected < MTSI_SECOND ? 2 * expected : MTSI_SECOND;
	}
	mtsi_door_well(server);
	mtsi_door_pause(server, 0, door->freed);
	ck_assert_uint_eq(mtsi_door_resume(server, 0), 10 * MTSI_MILLISECOND);
	ck_assert_uint_eq(mtsi_door_resume(server, MTSI_SECOND), MTSI_NEVER);
	mtsi_door_pause(server, MTSI_NEVER - 1, door->freed);
	ck_assert_uint_eq(mtsi_door_resume(server, MTSI_NEVER - 1), MTSI_NEVER);
}
END_TEST

/* So many descriptors beyond those that are open, and those in reserve. */
static const struct {
	rlim_t left;
	size_t clients;
} limits[] = {{0, 1}, {1, 1}, {2, 2}, {100, 100}, {10001, 10000}};

/* What is open, as the library sees it, and the most that may be. */
static size_t allow_descriptors(rlim_t left)
{
	struct rlimit limit;
	const size_t open = mtsi_descriptors_open(mtsi_base_floor(server)->poll);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (open + MTSI_RESERVED_DESCRIPTORS + left > limit.rlim_max) {
		return 0;
	}
	limit.rlim_cur = open + MTSI_RESERVED_DESCRIPTORS + left;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return (size_t)limit.rlim_cur;
}

/* Nobody has set a limit: as many as there are descriptors for, which is looked up at the start. */
START_TEST(the_limit_by_default)
{
	if (allow_descriptors(limits[_i].left) > 0) {
		ck_assert_uint_eq(mtsi_door_max_clients(server), 0);
		mtsi_door_prepare(server);
		mtsi_door_prepare(server);
		mtsi_door_open(server);
		ck_assert_uint_eq(mtsi_door_max_clients(server), limits[_i].clients);
	}
}
END_TEST

/* A gap among the descriptors, and there being none at all. */
START_TEST(how_many_are_open)
{
	const size_t before = mtsi_descriptors_open(mtsi_base_floor(server)->poll);
	const int first = dup(mtsi_base_floor(server)->poll);
	const int second = dup(mtsi_base_floor(server)->poll);
	ck_assert_uint_eq((size_t)first, before);
	ck_assert_uint_gt(mtsi_descriptors_open(mtsi_base_floor(server)->poll), before);
	close(first);
	ck_assert_uint_eq(mtsi_descriptors_open(mtsi_base_floor(server)->poll), before);
	close(second);
	starve_descriptors(true);
	ck_assert_uint_eq(
		mtsi_descriptors_open(mtsi_base_floor(server)->poll), mtsi_descriptor_limit());
	starve_descriptors(false);
}
END_TEST

static char complaint[512];
static int complaints;

static void note(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_WARNING) {
		(void)snprintf(complaint, sizeof(complaint), "%s", message);
		complaints++;
	}
}

/* It is said at the start, with both numbers and what is wanted, that a limit is too high; and only then. */
START_TEST(a_limit_that_cannot_be_served)
{
	char wanted[64];
	const size_t descriptors = allow_descriptors(100);
	complaints = 0;
	ck_assert_uint_gt(descriptors, 0);
	ck_assert_int_eq(mts_server_on_log(server, note, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mtsi_logger_start(server), 0);
	mtsi_door_set_max_clients(server, 100 + (size_t)_i);
	mtsi_door_prepare(server);
	mtsi_door_prepare(server);
	mtsi_door_open(server);
	ck_assert_uint_eq(mtsi_door_max_clients(server), 100 + (size_t)_i);
	ck_assert(mtsi_logger_end(&mtsi_base_floor(server)->log, MTSI_NEVER));
	ck_assert_int_eq(complaints, _i);
	if (_i > 0) {
		(void)snprintf(wanted, sizeof(wanted), "limit of %zu open files", descriptors);
		ck_assert_ptr_nonnull(strstr(complaint, wanted));
		ck_assert_ptr_nonnull(strstr(complaint, "for 100 clients, not for 101"));
		(void)snprintf(wanted, sizeof(wanted), "raise it to %zu ", descriptors + 1);
		ck_assert_ptr_nonnull(strstr(complaint, wanted));
	}
}
END_TEST

START_TEST(a_limit_that_was_set_stays)
{
	mtsi_door_set_max_clients(server, 123456);
	ck_assert(!door->armed);
	mtsi_door_prepare(server);
	mtsi_door_prepare(server);
	mtsi_door_open(server);
	ck_assert_uint_eq(mtsi_door_max_clients(server), 123456);
	ck_assert_uint_eq(mtsi_door_clients(server), 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("door");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, who_comes_in, 0, sizeof(plays) / sizeof(plays[0]));
	tcase_add_test(cases, a_pause_that_is_not_due);
	tcase_add_test(cases, how_long_it_pauses);
	tcase_add_loop_test(cases, the_limit_by_default, 0, sizeof(limits) / sizeof(limits[0]));
	tcase_add_test(cases, how_many_are_open);
	tcase_add_loop_test(cases, a_limit_that_cannot_be_served, 0, 2);
	tcase_add_test(cases, a_limit_that_was_set_stays);
	return suite_run_once();
}
