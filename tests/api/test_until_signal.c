/* SPDX-License-Identifier: MIT
 *
 * mts_server_run_until_signal(): SIGINT and SIGTERM stop its server and no other, whichever thread gets
 * them, unless they were ignored; and however it ends, the process handles signals as before.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static const int signals[] = {SIGINT, SIGTERM};
enum { SIGNALS = 2 };

static _Atomic int noted; /* signals that came to the program's own handling */
static struct gate begun;
static struct gate go;

static void note(int number)
{
	(void)number;
	atomic_fetch_add(&noted, 1);
}

/* How the process handles both signals, and the calling thread's mask. */
struct handling {
	struct sigaction actions[SIGNALS];
	sigset_t mask;
};

static struct handling handling_now(void)
{
	struct handling now;
	for (int i = 0; i < SIGNALS; i++) {
		ck_assert_int_eq(sigaction(signals[i], NULL, &now.actions[i]), 0);
	}
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &now.mask), 0);
	return now;
}

static bool same_set(const sigset_t *one, const sigset_t *other)
{
	bool same = true;
	for (int number = 1; number < SIGRTMIN; number++) {
		same = same && sigismember(one, number) == sigismember(other, number);
	}
	return same;
}

static void expect_handling(const struct handling *wanted)
{
	const struct handling now = handling_now();
	for (int i = 0; i < SIGNALS; i++) {
		ck_assert(now.actions[i].sa_handler == wanted->actions[i].sa_handler);
		ck_assert_int_eq(now.actions[i].sa_flags, wanted->actions[i].sa_flags);
		ck_assert(same_set(&now.actions[i].sa_mask, &wanted->actions[i].sa_mask));
	}
	ck_assert(same_set(&now.mask, &wanted->mask));
}

static void handle_by(int number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGUSR2);
	ck_assert_int_eq(sigaction(number, &action, NULL), 0);
}

/* Both are the program's, each in its own way. */
static void setup(void)
{
	begun = (struct gate)GATE;
	go = (struct gate)GATE;
	noted = 0;
	handle_by(SIGINT, note, SA_NODEFER);
	handle_by(SIGTERM, note, SA_RESTART);
}

/* A server that a thread runs, which looks at the handling on both sides of it. */
struct running {
	mts_server *server;
	pthread_t thread;
	int result;
};

static void *run_it(void *argument)
{
	struct running *running = argument;
	const struct handling before = handling_now();
	int state;
	running->result = mts_server_run_until_signal(running->server);
	/* Whoever has cancelled it meanwhile wants to see that it has come back all the same. */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	expect_handling(&before);
	return NULL;
}

/* It runs, so the signals are handled. */
static int begin(struct running *running, mts_handler handler)
{
	running->server = server_new(handler, NULL);
	running->result = 1;
	ck_assert_int_eq(pthread_create(&running->thread, NULL, run_it, running), 0);
	const int peer = peer_connect(running->server, 0);
	peer_ask(peer, "hello");
	return peer;
}

static void end_as(struct running *running, int result)
{
	ck_assert_int_eq(pthread_join(running->thread, NULL), 0);
	ck_assert_int_eq(running->result, result);
}

static void end(struct running *running, int peer)
{
	end_as(running, 0);
	peer_expect_end(peer);
	close(peer);
	ck_assert_int_eq(mts_server_destroy(running->server), 0);
}

static void *be_there(void *argument)
{
	gate_add(&begun);
	gate_wait(&go, 1);
	return argument;
}

enum { THE_PROCESS, THE_RUNNER, THE_CALLER, ANOTHER, WAYS };

static pthread_t another;

static void send_to(int way, int number, const struct running *running)
{
	switch (way) {
	case THE_PROCESS:
		ck_assert_int_eq(kill(getpid(), number), 0);
		break;
	case THE_RUNNER:
		ck_assert_int_eq(pthread_kill(running->thread, number), 0);
		break;
	case THE_CALLER:
		ck_assert_int_eq(raise(number), 0);
		break;
	default:
		ck_assert_int_eq(pthread_create(&another, NULL, be_there, NULL), 0);
		gate_wait(&begun, 1);
		ck_assert_int_eq(pthread_kill(another, number), 0);
	}
}

/* Not before the signal has come: the thread sanitizer gives it out late, and not to one that has ended. */
static void let_go_of(int way)
{
	if (way == ANOTHER) {
		gate_add(&go);
		ck_assert_int_eq(pthread_join(another, NULL), 0);
	}
}

START_TEST(to_any_thread)
{
	struct running running;
	const struct handling before = handling_now();
	const int peer = begin(&running, answer_echo);
	send_to(_i / SIGNALS, signals[_i % SIGNALS], &running);
	end(&running, peer);
	let_go_of(_i / SIGNALS);
	expect_handling(&before);
	ck_assert_int_eq(noted, 0);
	ck_assert_int_eq(raise(signals[_i % SIGNALS]), 0);
	ck_assert_int_eq(noted, 1);
}
END_TEST

static int signal_and_echo(mts_client *client, const void *request, size_t size, void *user)
{
	if (size == 6 && memcmp(request, "signal", size) == 0) {
		(void)kill(getpid(), SIGTERM);
	}
	return answer_echo(client, request, size, user);
}

/* It goes to a thread of the program; not to this one, whose peer it would interrupt (signal(7)). */
START_TEST(from_a_handler)
{
	struct running running;
	sigset_t both;
	const int peer = begin(&running, signal_and_echo);
	sigemptyset(&both);
	sigaddset(&both, SIGINT);
	sigaddset(&both, SIGTERM);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &both, NULL), 0);
	peer_ask(peer, "signal");
	end(&running, peer);
}
END_TEST

/* All threads of the program keep them off, and one has come already. */
START_TEST(blocked)
{
	sigset_t both;
	sigset_t pending;
	mts_server *server = server_new(answer_echo, NULL);
	sigemptyset(&both);
	sigaddset(&both, SIGINT);
	sigaddset(&both, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &both, NULL);
	const struct handling before = handling_now();
	ck_assert_int_eq(kill(getpid(), signals[_i]), 0);
	ck_assert_int_eq(mts_server_run_until_signal(server), 0);
	expect_handling(&before);
	ck_assert_int_eq(sigpending(&pending), 0);
	ck_assert_int_eq(sigismember(&pending, signals[_i]), 0);
	ck_assert_int_eq(noted, 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

START_TEST(ignored)
{
	struct running running;
	handle_by(signals[_i], SIG_IGN, 0);
	const struct handling before = handling_now();
	const int peer = begin(&running, answer_echo);
	ck_assert_int_eq(kill(getpid(), signals[_i]), 0);
	for (int i = 0; i < 10; i++) {
		peer_ask(peer, "still");
	}
	const struct handling meanwhile = handling_now();
	ck_assert(meanwhile.actions[_i].sa_handler == SIG_IGN);
	ck_assert_int_eq(kill(getpid(), signals[1 - _i]), 0);
	end(&running, peer);
	expect_handling(&before);
}
END_TEST

START_TEST(both_are_ignored)
{
	struct running running;
	handle_by(SIGINT, SIG_IGN, 0);
	handle_by(SIGTERM, SIG_IGN, 0);
	const int peer = begin(&running, answer_echo);
	ck_assert_int_eq(kill(getpid(), SIGINT), 0);
	ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
	for (int i = 0; i < 10; i++) {
		peer_ask(peer, "still");
	}
	mts_server_stop(running.server);
	end(&running, peer);
}
END_TEST

static int wait_for_go(mts_client *client, const void *request, size_t size, void *user)
{
	if (size == 4 && memcmp(request, "wait", size) == 0) {
		mts_server_set_timeout(mts_client_server(client), MTS_TIMEOUT_STOP, *(unsigned *)user);
		while (mts_client_gone(client) == 0 || gate_count(&go) == 0) {
			if (mts_client_gone(client) != 0 && gate_count(&begun) == 0) {
				gate_add(&begun);
			}
			poll(NULL, 0, 1);
		}
	}
	return answer_echo(client, request, size, NULL);
}

static int begin_waiting(struct running *running, unsigned *milliseconds)
{
	running->server = server_new(wait_for_go, milliseconds);
	running->result = 1;
	ck_assert_int_eq(pthread_create(&running->thread, NULL, run_it, running), 0);
	const int peer = peer_connect(running->server, 0);
	peer_ask(peer, "hello");
	peer_puts(peer, "wait");
	server_wait_stat(running->server, MTS_STAT_BUSY, 1);
	return peer;
}

/* While the stop waits for a handler, further signals neither end the process nor the wait. */
START_TEST(more_signals)
{
	static unsigned patience = PATIENCE * 1000;
	struct running running;
	const int peer = begin_waiting(&running, &patience);
	ck_assert_int_eq(kill(getpid(), SIGINT), 0);
	gate_wait(&begun, 1);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(kill(getpid(), signals[i % SIGNALS]), 0);
	}
	gate_add(&go);
	peer_expect_text(peer, "wait");
	end(&running, peer);
	ck_assert_int_eq(noted, 0);
}
END_TEST

START_TEST(hung_handler)
{
	static unsigned patience = 50;
	struct running running;
	const struct handling before = handling_now();
	const int peer = begin_waiting(&running, &patience);
	ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
	end_as(&running, -EBUSY);
	expect_handling(&before);
	gate_add(&go);
	wait_until(mts_server_destroy(running.server) == 0);
	close(peer);
}
END_TEST

static int run_inside(mts_client *client, const void *request, size_t size, void *user)
{
	if (size == 3 && memcmp(request, "run", size) == 0) {
		const int result = mts_server_run_until_signal(mts_client_server(client));
		return mts_client_puts(client, result == -EDEADLK ? "no!" : "yes") < 0 ? MTS_CLOSE
																			   : MTS_KEEP;
	}
	return answer_echo(client, request, size, user);
}

START_TEST(one_at_a_time)
{
	struct running first;
	mts_server *second = server_new(answer_echo, NULL);
	const int peer = begin(&first, run_inside);
	const struct handling meanwhile = handling_now();
	ck_assert_int_eq(mts_server_run_until_signal(second), -EAGAIN);
	ck_assert_str_eq(mts_server_error(second),
		"cannot run until a signal: another server of this process does so already");
	ck_assert_int_eq(mts_server_run_until_signal(first.server), -EAGAIN);
	expect_handling(&meanwhile);
	peer_puts(peer, "run");
	peer_expect_text(peer, "no!");

	server_start(second);
	const int other = peer_connect(second, 0);
	ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
	end(&first, peer);
	peer_ask(other, "not I");
	ck_assert_int_eq(mts_server_run_until_signal(second), -EALREADY);
	close(other);
	server_end(second);
}
END_TEST

START_TEST(one_after_the_other)
{
	for (int i = 0; i < 4; i++) {
		struct running running;
		const int peer = begin(&running, answer_echo);
		ck_assert_int_eq(kill(getpid(), signals[i % SIGNALS]), 0);
		end(&running, peer);
		ck_assert_int_eq(kill(getpid(), signals[i % SIGNALS]), 0);
		wait_until(noted == i + 1);
	}
}
END_TEST

START_TEST(failed_starts)
{
	struct running running;
	const struct handling before = handling_now();
	ck_assert_int_eq(mts_server_run_until_signal(NULL), -EINVAL);
	expect_handling(&before);

	mts_server *nowhere = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_run_until_signal(nowhere), -EINVAL);
	ck_assert_str_eq(mts_server_error(nowhere), "cannot start: the server listens nowhere");
	expect_handling(&before);
	ck_assert_int_eq(mts_server_destroy(nowhere), 0);

	mts_server *starved = server_new(answer_echo, NULL);
	starve_descriptors(true);
	ck_assert_int_eq(mts_server_run_until_signal(starved), -EMFILE);
	starve_descriptors(false);
	expect_handling(&before);
	mts_server_stop(starved);
	ck_assert_int_eq(mts_server_run_until_signal(starved), 0);
	expect_handling(&before);
	ck_assert_int_eq(mts_server_run_until_signal(starved), -EALREADY);
	expect_handling(&before);
	ck_assert_int_eq(mts_server_destroy(starved), 0);

	const int peer = begin(&running, answer_echo); /* none of these is in the way */
	ck_assert_int_eq(raise(SIGINT), 0);
	end(&running, peer);
}
END_TEST

START_TEST(cancelled)
{
	struct running running;
	const struct handling before = handling_now();
	const int peer = begin(&running, answer_echo);
	ck_assert_int_eq(pthread_cancel(running.thread), 0);
	peer_ask(peer, "still");
	ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
	end_as(&running, 0);
	expect_handling(&before);
	peer_expect_end(peer);
	close(peer);
	ck_assert_int_eq(mts_server_destroy(running.server), 0);
}
END_TEST

static pthread_t target;
static _Atomic bool enough;

static void *send_on(void *argument)
{
	for (int i = 0; !atomic_load(&enough); i++) {
		pthread_kill(target, signals[i % SIGNALS]);
		poll(NULL, 0, 0);
	}
	return argument;
}

/* They come before it, at any step of it, and while the server is freed. */
START_TEST(at_any_moment)
{
	pthread_t sender;
	handle_by(SIGINT, note, 0); /* with SA_NODEFER so many would pile up on the stack */
	target = pthread_self();
	atomic_store(&enough, false);
	const struct handling before = handling_now();
	ck_assert_int_eq(pthread_create(&sender, NULL, send_on, NULL), 0);
	for (int i = 0; i < 50; i++) {
		mts_server *server = server_new(answer_echo, NULL);
		ck_assert_int_eq(mts_server_run_until_signal(server), 0);
		ck_assert_int_eq(mts_server_destroy(server), 0);
	}
	wait_until(noted > 0);
	atomic_store(&enough, true);
	ck_assert_int_eq(pthread_join(sender, NULL), 0);
	expect_handling(&before);
}
END_TEST

int main(void)
{
#ifdef __SANITIZE_THREAD__
	return 77; /* it gives out signals late, not to a thread that has ended, and blocks all meanwhile */
#endif
	TCase *cases = suite_begin("until_signal");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_loop_test(cases, to_any_thread, 0, WAYS * SIGNALS);
	tcase_add_test(cases, from_a_handler);
	tcase_add_loop_test(cases, blocked, 0, SIGNALS);
	tcase_add_loop_test(cases, ignored, 0, SIGNALS);
	tcase_add_test(cases, both_are_ignored);
	tcase_add_test(cases, more_signals);
	tcase_add_test(cases, hung_handler);
	tcase_add_test(cases, one_at_a_time);
	tcase_add_test(cases, one_after_the_other);
	tcase_add_test(cases, failed_starts);
	tcase_add_test(cases, cancelled);
	if (!under_valgrind()) { /* where one comes before the frame of the last one has gone */
		tcase_add_test(cases, at_any_moment);
	}
	return suite_run();
}
