/* SPDX-License-Identifier: MIT
 *
 * A whole server in one call: the only place of the library that prints, and that touches signals.
 *
 * A signal that is ignored stays ignored: nohup(1), and shells that start a job in the background,
 * have it ignored, so that it does not end the program. So the old handling is looked at before
 * ours is set. Only a change at that very moment is overlooked.
 *
 * The handler runs on whichever thread of the host gets the signal, perhaps while the server is
 * being freed on another one. So the handler counts itself in before it looks for the server. The
 * thread that frees the server hides it first, and then waits until no thread is in the handler any
 * more.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver/server.h>

#include "api/failure.h"
#include "os/home.h"
#include "os/thread.h"

static _Atomic pid_t serving; /* the process in which a server is being served; 0: none */
static mts_server *_Atomic served;
static _Atomic unsigned in_handler;

static const int signals[] = {SIGINT, SIGTERM};
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

static void stop_served(int number)
{
	(void)number;
	atomic_fetch_add(&in_handler, 1);
	mts_server_stop(atomic_load(&served));
	atomic_fetch_sub(&in_handler, 1);
}

/* How a signal was handled before. */
struct handling {
	bool changed; /* it was changed, to ours */
	struct sigaction action;
};

static bool ignored(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) == 0 && action->sa_handler == SIG_IGN;
}

static void handle_signals(struct handling *before)
{
	struct sigaction stop = {.sa_handler = stop_served, .sa_flags = SA_RESTART};
	(void)sigemptyset(&stop.sa_mask);
	for (int i = 0; i < SIGNALS; i++) {
		struct handling *one = &before[i];
		const bool known = sigaction(signals[i], NULL, &one->action) == 0;
		one->changed = known && !ignored(&one->action) && sigaction(signals[i], &stop, NULL) == 0;
	}
}

static void restore_signals(const struct handling *before)
{
	for (int i = 0; i < SIGNALS; i++) {
		if (before[i].changed) {
			(void)sigaction(signals[i], &before[i].action, NULL);
		}
	}
}

static int run_until_signal(mts_server *server)
{
	struct handling before[SIGNALS];
	atomic_store(&served, server);
	handle_signals(before);
	const int result = mts_server_run(server);
	restore_signals(before);
	atomic_store(&served, NULL);
	while (atomic_load(&in_handler) > 0) {
		mtsi_thread_yield();
	}
	return result;
}

static int serve_until_signal(const char *address, mts_handler handler, void *user)
{
	mts_server *server = mts_server_create(handler, user);
	if (server == NULL) {
		(void)fprintf(
			stderr, "cannot serve: %s\n", handler == NULL ? "no handler" : strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	int result = mts_server_listen(server, address);
	if (result == 0) {
		result = run_until_signal(server);
	}
	if (result == -EBUSY) {
		(void)fprintf(stderr, "stopped while a callback was still running\n");
	} else if (result != 0) {
		(void)fprintf(stderr, "%s\n", mts_server_error(server));
	}
	/* If a callback hangs, nothing is freed; the program is about to end anyway. */
	(void)mts_server_destroy(server);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
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

int mts_serve(const char *address, mts_handler handler, void *user)
{
	if (!begin_serving()) {
		(void)fprintf(stderr, "cannot serve: one server is being served in this process already\n");
		return EXIT_FAILURE;
	}
	const int status = serve_until_signal(address, handler, user);
	atomic_store(&serving, 0);
	return status;
}
