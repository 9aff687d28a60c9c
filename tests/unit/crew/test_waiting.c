/* SPDX-License-Identifier: MIT
 *
 * How long clients wait for a thread: those in the ready list and those in the later one, from their
 * marks of 32 bits, also where these come round.
 */
#include "engine/crew/waiting.h"

#include <string.h>

#include "../desk.h"
#include "os/clock.h"

#define MINUTE (60 * MTSI_SECOND)
#define BEGIN (1000000 * MTSI_SECOND) /* marks come round some hundred times before that */

static struct desk desk;
static struct mtsi_crew *crew;
static struct mtsi_waiting waiting;

static void setup(void)
{
	desk_open(&desk, desk_server());
	crew = &mtsi_crew_floor(desk.server)->crew;
	memset(&waiting, 0, sizeof(waiting));
}

static void teardown(void)
{
	desk_close(&desk);
}

static void enter(struct mtsi_list *list, uint64_t now)
{
	desk.client->ready_at = (uint32_t)(now / MTSI_MICROSECOND);
	mtsi_list_add(list, desk.client);
}

static uint64_t look(uint64_t now)
{
	return mtsi_waiting_look(desk.server, &waiting, now);
}

START_TEST(from_when_it_came)
{
	struct mtsi_list *list = _i == 0 ? &crew->ready : &crew->later;
	ck_assert_uint_eq(look(BEGIN), 0);
	enter(list, BEGIN + MTSI_SECOND);
	ck_assert_uint_eq(look(BEGIN), 0); /* the time was taken before it came */
	ck_assert_uint_le(look(BEGIN + 3 * MTSI_SECOND), 3 * MTSI_SECOND);
	ck_assert_uint_ge(look(BEGIN + 3 * MTSI_SECOND), 2 * MTSI_SECOND);
	ck_assert_ptr_eq(mtsi_list_take(list), desk.client);
	ck_assert_uint_eq(look(BEGIN + 4 * MTSI_SECOND), 0);
	enter(list, BEGIN + 4 * MTSI_SECOND);
	ck_assert_uint_eq(look(BEGIN + 9 * MTSI_SECOND), 5 * MTSI_SECOND);
	ck_assert_ptr_eq(mtsi_list_take(list), desk.client);
}
END_TEST

/* Seen after an hour for the first time, and then for hours. */
START_TEST(for_hours)
{
	enter(&crew->ready, BEGIN);
	for (uint64_t i = 2; i < 40; i++) {
		ck_assert_uint_eq(look(BEGIN + i * 30 * MINUTE), i * 30 * MINUTE);
	}
	ck_assert_ptr_eq(mtsi_list_take(&crew->ready), desk.client);
}
END_TEST

/* The same client, which is the first again, and had its turn in between, unseen. */
START_TEST(another_wait)
{
	enter(&crew->ready, BEGIN);
	ck_assert_uint_eq(look(BEGIN + MINUTE), MINUTE);
	ck_assert_ptr_eq(mtsi_list_take(&crew->ready), desk.client);
	enter(&crew->ready, BEGIN + MINUTE + MTSI_SECOND);
	ck_assert_uint_eq(look(BEGIN + MINUTE + 3 * MTSI_SECOND), 2 * MTSI_SECOND);
	ck_assert_ptr_eq(mtsi_list_take(&crew->ready), desk.client);
}
END_TEST

/* At the beginning of time a mark cannot lie before it. */
START_TEST(soon_after_the_machine_began)
{
	enter(&crew->ready, 0);
	desk.client->ready_at = UINT32_MAX - 100 * 1000 * 1000;
	ck_assert_uint_eq(look(MTSI_SECOND), 0);
	ck_assert_ptr_eq(mtsi_list_take(&crew->ready), desk.client);
}
END_TEST

/* With threads on demand somebody has to poll, before anybody is served. */
START_TEST(whether_anybody_serves)
{
	const bool on_demand = test_model == MTS_THREAD_ON_DEMAND;
	ck_assert_int_eq(mtsi_waiting_is_served(desk.server), !on_demand);
	crew->threads = 1;
	ck_assert(mtsi_waiting_is_served(desk.server));
	crew->threads = 0;
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("waiting");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, from_when_it_came, 0, 2);
	tcase_add_test(cases, for_hours);
	tcase_add_test(cases, another_wait);
	tcase_add_test(cases, soon_after_the_machine_began);
	tcase_add_test(cases, whether_anybody_serves);
	return suite_run();
}
