/* SPDX-License-Identifier: MIT
 *
 * A new thread inherits from the one that makes it (clone(2), credentials(7), sched(7), prctl(2)). A
 * callback that acts as another user, pins itself, lowers its priority or enters a namespace for a while
 * must not pass that on to threads that serve others: neither while it waits, in whatever way, nor as it
 * begins or ends a thread.
 *
 * Each callback here marks its own thread in all the ways that the kernel allows it to, and does what
 * needs further threads. All that come then meet in their handlers, so each has a thread of its own, and
 * each looks at what its thread was born with.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

enum { OTHERS = 12, STRANGER = 12345, NICE = 7, SLACK = 77777 };

/* What threads inherit, as far as it is looked at here. */
struct traits {
	int user; /* for the file system */
	int nice;
	int slack; /* of timers, in nanoseconds */
	int cpus;
};

static mts_server *server;
static struct gate marked = GATE; /* callbacks that have marked their threads */
static struct gate met = GATE; /* handlers of the others */
static struct gate leave = GATE;
static _Atomic int wrong; /* traits that were passed on */
static struct traits usual;

static struct traits look(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	const int known = sched_getaffinity(0, sizeof(set), &set);
	const struct traits traits = {
		.user = setfsuid((uid_t)-1),
		.nice = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid)),
		.slack = prctl(PR_GET_TIMERSLACK),
		.cpus = known == 0 ? CPU_COUNT(&set) : 0,
	};
	return traits;
}

static bool same(const struct traits *a, const struct traits *b)
{
	return a->user == b->user && a->nice == b->nice && a->slack == b->slack && a->cpus == b->cpus;
}

/* Whether this thread was born with what the others had made of themselves. */
static void look_for_marks(void)
{
	const struct traits traits = look();
	atomic_fetch_add(&wrong, same(&traits, &usual) ? 0 : 1);
}

/* Not all of that is allowed to everybody, but the slack is. */
static void mark(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	(void)setfsuid(STRANGER);
	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	ck_assert_int_eq(prctl(PR_SET_TIMERSLACK, SLACK), 0);
	(void)sched_setaffinity(0, sizeof(one), &one);
	gate_add(&marked);
}

/* Whom the request calls by its first letter. */
static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	static char much[4 * 1024 * 1024];
	const void *more;
	(void)size;
	(void)user;
	switch (*(const char *)request) {
	case 'n': /* asks its client for more */
		look_for_marks();
		mark();
		(void)mts_client_next(client, &more, &size);
		return MTS_CLOSE;
	case 'w': /* waits until its client reads */
		look_for_marks();
		mark();
		small_buffers(mts_client_fd(client));
		(void)mts_client_write(client, much, sizeof(much));
		return MTS_CLOSE;
	case 's': /* waits for something else */
		look_for_marks();
		mark();
		gate_wait(&leave, 1);
		return MTS_CLOSE;
	default:
		look_for_marks();
		gate_add(&met);
		gate_wait(&met, OTHERS);
		(void)mts_client_puts(client, "x");
		return MTS_KEEP;
	}
}

/* The first one does. */
static void mark_and_stay(void)
{
	static _Atomic bool marks;
	if (!atomic_exchange(&marks, true)) {
		mark();
		gate_wait(&leave, 1);
	}
}

static int mark_as_it_opens(mts_client *client, void *user)
{
	(void)client;
	(void)user;
	mark_and_stay();
	return 0;
}

static void mark_as_it_closes(mts_client *client, int reason, void *user)
{
	(void)client;
	(void)reason;
	(void)user;
	mark_and_stay();
}

static void setup(void)
{
	usual = look();
	server = server_new(handler, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
}

static void teardown(void)
{
	gate_add(&leave);
	server_end(server);
	ck_assert_int_eq(atomic_load(&wrong), 0);
}

static void connect_others(int *peers)
{
	for (int i = 0; i < OTHERS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "other\n");
	}
}

static void close_others(const int *peers)
{
	for (int i = 0; i < OTHERS; i++) {
		peer_expect_text(peers[i], "x");
		close(peers[i]);
	}
}

/* Several wait in marked threads, each in the same way, as the others come. */
static void wait_in_handlers(const char *request)
{
	enum { MARKED = 6 };
	int marked_peers[MARKED];
	int others[OTHERS];
	server_start(server);
	for (int i = 0; i < MARKED; i++) {
		marked_peers[i] = peer_connect(server, 0);
		small_buffers(marked_peers[i]); /* the kernel does not take all of a write */
		peer_puts(marked_peers[i], request);
	}
	gate_wait(&marked, MARKED);
	connect_others(others);
	close_others(others);
	gate_add(&leave);
	for (int i = 0; i < MARKED; i++) {
		close(marked_peers[i]);
	}
}

START_TEST(while_a_handler_converses)
{
	wait_in_handlers("next\n");
}
END_TEST

START_TEST(while_a_handler_writes)
{
	wait_in_handlers("write\n");
}
END_TEST

START_TEST(while_a_handler_sleeps)
{
	wait_in_handlers("sleep\n");
}
END_TEST

START_TEST(while_a_client_opens)
{
	int others[OTHERS];
	ck_assert_int_eq(mts_server_on_open(server, mark_as_it_opens, NULL), 0);
	server_start(server);
	const int first = peer_connect(server, 0);
	gate_wait(&marked, 1);
	connect_others(others);
	close_others(others);
	gate_add(&leave);
	close(first);
}
END_TEST

START_TEST(while_a_client_closes)
{
	int others[OTHERS];
	ck_assert_int_eq(mts_server_on_close(server, mark_as_it_closes, NULL), 0);
	server_start(server);
	close(peer_connect(server, 0));
	gate_wait(&marked, 1);
	connect_others(others);
	close_others(others);
}
END_TEST

static void mark_as_it_starts(void *user)
{
	(void)user;
	look_for_marks();
	mark();
}

/* One that ends may be the reason for another one. */
static void mark_as_it_ends(void *user)
{
	(void)user;
	mark();
}

static int only_meet(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	gate_add(&met);
	gate_wait(&met, OTHERS);
	(void)mts_client_puts(client, "x");
	return MTS_KEEP;
}

/* Each thread is marked by the hook for new ones, and each is born without. */
START_TEST(as_threads_begin)
{
	int others[OTHERS];
	ck_assert_int_eq(mts_server_destroy(server), 0);
	server = server_new(only_meet, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_thread(server, mark_as_it_starts, mark_as_it_ends, NULL), 0);
	server_start(server);
	connect_others(others);
	close_others(others);
	ck_assert_int_ge(gate_count(&marked), OTHERS);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("inherit");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, while_a_handler_converses);
	tcase_add_test(cases, while_a_handler_writes);
	tcase_add_test(cases, while_a_handler_sleeps);
	tcase_add_test(cases, while_a_client_opens);
	tcase_add_test(cases, while_a_client_closes);
	tcase_add_test(cases, as_threads_begin);
	return suite_run();
}
