/* SPDX-License-Identifier: MIT
 *
 * Whose a client is: step by step on one thread, and then on several at once, where there must never be
 * two owners, and nothing that somebody has left may stay.
 */
#include "engine/client/claim.h"

#include <sched.h>
#include <string.h>

#include "../../api/support.h"

enum { THREADS = 4, EVENTS = 100000 };

static struct mts_client client;

static void setup(void)
{
	memset(&client, 0, sizeof(client));
}

START_TEST(who_comes_first_owns_it)
{
	ck_assert(mtsi_claim(&client));
	ck_assert(!mtsi_claim_again(&client));
	ck_assert(!mtsi_claim(&client));
	ck_assert(!mtsi_claim(&client));
	ck_assert(mtsi_claim_again(&client));
}
END_TEST

START_TEST(it_is_let_go_once)
{
	ck_assert(mtsi_claim(&client));
	ck_assert(mtsi_claim_release(&client));
	ck_assert(mtsi_claim(&client));
	ck_assert(mtsi_claim_release(&client));
}
END_TEST

START_TEST(not_before_its_owner_has_looked_again)
{
	ck_assert(mtsi_claim(&client));
	ck_assert(!mtsi_claim(&client));
	ck_assert(!mtsi_claim_release(&client));
	ck_assert(!mtsi_claim_release(&client));
	mtsi_claim_clear(&client);
	ck_assert(!mtsi_claim_again(&client));
	ck_assert(!mtsi_claim(&client)); /* it is still owned */
	mtsi_claim_clear(&client);
	mtsi_claim_clear(&client);
	ck_assert(mtsi_claim_release(&client));
	ck_assert(mtsi_claim(&client));
}
END_TEST

static _Atomic int left; /* what has come and nobody has taken */
static _Atomic int owners;
static _Atomic int two_owners;
static int taken; /* the owner's */

/* Leaves something and says so. Who owns the client then takes what is there until it may let go. */
static void *come_and_go(void *argument)
{
	const int pause = *(const int *)argument;
	for (int i = 0; i < EVENTS; i++) {
		atomic_fetch_add(&left, 1);
		if (mtsi_claim(&client)) {
			if (atomic_fetch_add(&owners, 1) != 0) {
				atomic_store(&two_owners, 1);
			}
			bool released;
			do {
				mtsi_claim_clear(&client);
				taken += atomic_exchange(&left, 0);
				/* From here on, under the release, another one may own it. */
				atomic_fetch_sub(&owners, 1);
				released = mtsi_claim_release(&client);
				if (!released && atomic_fetch_add(&owners, 1) != 0) {
					atomic_store(&two_owners, 1);
				}
			} while (!released);
		}
		if (pause > 0 && i % pause == 0) {
			sched_yield();
		}
	}
	return NULL;
}

START_TEST(several_at_once)
{
	pthread_t threads[THREADS];
	int pauses[THREADS];
	for (int i = 0; i < THREADS; i++) {
		pauses[i] = i * i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, &pauses[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	ck_assert_int_eq(two_owners, 0);
	ck_assert_int_eq(owners, 0);
	ck_assert_int_eq(left, 0);
	ck_assert_int_eq(taken, THREADS * EVENTS);
	ck_assert_uint_eq(client.claim, 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("claim");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_test(cases, who_comes_first_owns_it);
	tcase_add_test(cases, it_is_let_go_once);
	tcase_add_test(cases, not_before_its_owner_has_looked_again);
	tcase_add_test(cases, several_at_once);
	return suite_run_once();
}
