/* SPDX-License-Identifier: MIT
 *
 * The clock is the library's: the test's own thread sees it only between fault_inside(true) and
 * (false).
 */
#include "moment.h"

#include <unistd.h>

#include "engine/base/wake.h"
#include "engine/client/wait.h"
#include "engine/run/keeper.h"
#include "engine/run/server.h"
#include "os/clock.h"

struct scene scene;

/* The library's clock stands still, or goes on. */
void moment_stop(bool still)
{
	static bool stands;
	if (still != stands) {
		fault_clock_stop(still);
		stands = still;
	}
}

uint64_t moment_now(void)
{
	fault_inside(true);
	const uint64_t now = mtsi_clock_now();
	fault_inside(false);
	return now;
}

/* The scene's only client; its id is the first that a server gives. */
struct mts_client *moment_client(void)
{
	struct mts_client *found = NULL;
	wait_until((found = mtsi_clients_find(scene.server, MTSI_FIRST_ID)) != NULL);
	return found;
}

/* Waits until the client is waited for in this way. */
void moment_waits_for(enum mtsi_wait kind)
{
	wait_until((atomic_load(&moment_client()->waits) & MTSI_WORD_KIND) == (uint64_t)kind);
}

uint64_t moment_since(void)
{
	return atomic_load(&moment_client()->waits) & ~(uint64_t)MTSI_WORD_FLAGS;
}

uint64_t moment_stuck_since(void)
{
	return atomic_load(&moment_client()->stuck_since);
}

uint64_t moment_is_stuck(void)
{
	uint64_t since = 0;
	wait_until((since = moment_stuck_since()) != 0);
	return since;
}

/* Sets the clock to that moment, and has the keeper look. */
void moment_go_to(uint64_t moment)
{
	const uint64_t now = moment_now();
	ck_assert_uint_ge(moment, now);
	fault_clock_ahead(moment - now);
	for (int i = 0; i < 3; i++) {
		fault_clear(FAULT_PPOLL);
		mtsi_wake_keeper(scene.server);
		fault_wait_count(FAULT_PPOLL, 1);
	}
}

/* Goes to the last moment before the deadline, at which all is well, and then to the deadline. */
void moment_pass(uint64_t deadline)
{
	moment_go_to(deadline - 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	moment_go_to(deadline);
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 1);
}

void moment_begin(mts_handler handler)
{
	scene_make(&scene, handler);
	scene_start(&scene);
}

void moment_end(int peer, int reason)
{
	gate_wait(&scene.closed, 1);
	ck_assert_int_eq(gate_count(&scene.reasons[reason]), 1);
	close(peer);
	moment_stop(false);
	scene_end(&scene);
}
