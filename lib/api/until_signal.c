/* SPDX-License-Identifier: MIT
 *
 * To run a server until a signal comes.
 *
 * The handler runs on whichever thread of the host gets the signal, perhaps while the server is
 * being freed on another one. So the handler counts itself in before it looks for the server. The
 * thread that has run the server hides it first, and then waits until no thread is in the handler
 * any more.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <mtserver/server.h>

#include "api/failure.h"
#include "api/until_signal.h"
#include "engine/base/inside.h"
#include "os/home.h"
#include "os/termination.h"
#include "os/thread.h"

static _Atomic pid_t serving; /* the process in which a server is being served; 0: none */
static mts_server *_Atomic served;
static _Atomic unsigned in_handler;

static void stop_served(int number)
{
	(void)number;
	atomic_fetch_add(&in_handler, 1);
	mts_server_stop(atomic_load(&served));
	atomic_fetch_sub(&in_handler, 1);
}

/*
 * The server is about to be freed by another thread, which need not wait until the one that has run
 * it has come all the way back: no handler finds it from now on.
 */
void mtsi_until_signal_forget(mts_server *server)
{
	mts_server *own = server;
	if (atomic_compare_exchange_strong(&served, &own, NULL)) {
		while (atomic_load(&in_handler) > 0) {
			mtsi_thread_yield();
		}
	}
}

/*
 * Notes that a server is served in this process, unless one is already. A note that was copied from
 * another process does not count.
 */
static bool begin_serving(void)
{
	pid_t before = 0;
	const pid_t self = mtsi_home_self();
	if (!atomic_compare_exchange_strong(&serving, &before, self)
		&& (before == self || !atomic_compare_exchange_strong(&serving, &before, self))) {
		return false;
	}
	if (before != 0) {
		atomic_store(&served, NULL);
		atomic_store(&in_handler, 0);
	}
	return true;
}

static int serve(mts_server *server)
{
	struct mtsi_termination before;
	if (!begin_serving()) {
		return mtsi_fail(server, -EAGAIN,
			"cannot run until a signal: another server of this process does so already");
	}
	atomic_store(&served, server);
	mtsi_termination_handle(&before, stop_served);
	const int result = mts_server_run(server);
	mtsi_termination_put_back(&before);
	atomic_store(&served, NULL);
	while (atomic_load(&in_handler) > 0) {
		mtsi_thread_yield();
	}
	atomic_store(&serving, 0);
	return result;
}

/* Not cancelled halfway, or the old handling would not be put back. */
int mts_server_run_until_signal(mts_server *server)
{
	int result = mtsi_usable(server);
	if (result == 0 && mtsi_inside(server)) {
		result = -EDEADLK;
	}
	if (result == 0) {
		const int before = mtsi_thread_shield();
		result = serve(server);
		mtsi_thread_unshield(before);
	}
	return result;
}
