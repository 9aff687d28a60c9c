/* SPDX-License-Identifier: MIT
 *
 * Servers that start on one Unix path at once, where a stale file lies: one of them gets it, and can be
 * reached there; the others are told that it is in use.
 *
 * The contenders are threads of one process or processes of their own, which go from round to round in step:
 * the file is laid, all listen at once, what they got is looked at, all end. They share memory for that. A
 * barrier lets its threads go one after the other, so they wait for each other once more, on their feet.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "folder.h"
#include "support.h"

enum { CONTENDERS = 3, ROUNDS = 2000, STEPS = 40, STEP = 500 };

struct arena {
	pthread_barrier_t barrier; /* the contenders and the judge */
	_Atomic int ready; /* contenders that are about to listen, of all rounds */
	int results[CONTENDERS]; /* written by each between two barriers, read after */
};

struct contender {
	struct arena *arena;
	int number;
	pthread_t thread;
	pid_t process;
};

static struct arena *make_arena(void)
{
	pthread_barrierattr_t attributes;
	struct arena *arena = mmap(
		NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(arena, MAP_FAILED);
	ck_assert_int_eq(pthread_barrierattr_init(&attributes), 0);
	ck_assert_int_eq(pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), 0);
	ck_assert_int_eq(pthread_barrier_init(&arena->barrier, &attributes, CONTENDERS + 1), 0);
	ck_assert_int_eq(pthread_barrierattr_destroy(&attributes), 0);
	atomic_init(&arena->ready, 0);
	return arena;
}

static void remove_arena(struct arena *arena)
{
	ck_assert_int_eq(pthread_barrier_destroy(&arena->barrier), 0);
	ck_assert_int_eq(munmap(arena, sizeof(*arena)), 0);
}

static void meet(struct arena *arena)
{
	(void)pthread_barrier_wait(&arena->barrier);
}

/* From round to round one starts a little later after the other, so that their steps meet anywhere. */
static void start_in_step(struct arena *arena, int round, int number)
{
	atomic_fetch_add(&arena->ready, 1);
	while (atomic_load(&arena->ready) < (round + 1) * CONTENDERS) {
		(void)sched_yield();
	}
	for (int i = round % STEPS * STEP * number; i > 0; i--) {
		(void)atomic_load(&arena->ready);
	}
}

static void *contend(void *argument)
{
	const struct contender *self = argument;
	struct arena *arena = self->arena;
	for (int round = 0; round < ROUNDS; round++) {
		mts_server *server = server_create(answer_echo, NULL);
		meet(arena);
		start_in_step(arena, round, self->number);
		arena->results[self->number] = mts_server_listen(server, folder_address);
		meet(arena); /* to be judged */
		meet(arena);
		(void)mts_server_destroy(server);
	}
	return NULL;
}

/* A socket at the path: one that listens no more, or one that connects; whether that worked. */
static bool visit(bool leave_stale_file)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	strcpy(name.sun_path, folder_path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int result = leave_stale_file ? bind(fd, (const struct sockaddr *)&name, sizeof(name))
										: connect(fd, (const struct sockaddr *)&name, sizeof(name));
	return close(fd) == 0 && result == 0;
}

/* What came of all rounds. It is judged when no contender is left that could wait for the judge. */
struct tally {
	int winners[CONTENDERS + 1]; /* rounds with so many winners */
	int in_use; /* losers that were told so */
	int unreachable; /* rounds after which nobody answered */
	int unprepared; /* rounds without a stale file */
};

static void judge(struct arena *arena, struct tally *tally)
{
	for (int round = 0; round < ROUNDS; round++) {
		int winners = 0;
		(void)unlink(folder_path); /* not there, but for a server that lost it to another one */
		tally->unprepared += !visit(true);
		meet(arena);
		meet(arena);
		for (int i = 0; i < CONTENDERS; i++) {
			winners += arena->results[i] == 0;
			tally->in_use += arena->results[i] == -EADDRINUSE;
		}
		tally->winners[winners]++;
		tally->unreachable += !visit(false);
		meet(arena);
	}
}

static void expect_one_winner_each(const struct tally *tally)
{
	ck_assert_int_eq(tally->unprepared, 0);
	ck_assert_msg(tally->winners[1] == ROUNDS, "of %d rounds %d had no winner, %d two, %d three",
		ROUNDS, tally->winners[0], tally->winners[2], tally->winners[3]);
	ck_assert_int_eq(tally->in_use, ROUNDS * (CONTENDERS - 1));
	ck_assert_int_eq(tally->unreachable, 0);
}

START_TEST(threads)
{
	struct contender contenders[CONTENDERS];
	struct tally tally = {.in_use = 0};
	struct arena *arena = make_arena();
	const int descriptors = count_descriptors();
	for (int i = 0; i < CONTENDERS; i++) {
		contenders[i] = (struct contender){.arena = arena, .number = i};
		ck_assert_int_eq(pthread_create(&contenders[i].thread, NULL, contend, &contenders[i]), 0);
	}
	judge(arena, &tally);
	for (int i = 0; i < CONTENDERS; i++) {
		ck_assert_int_eq(pthread_join(contenders[i].thread, NULL), 0);
	}
	ck_assert_int_eq(count_descriptors(), descriptors);
	expect_one_winner_each(&tally);
	remove_arena(arena);
}
END_TEST

START_TEST(processes)
{
	struct contender contenders[CONTENDERS];
	struct tally tally = {.in_use = 0};
	struct arena *arena = make_arena();
	for (int i = 0; i < CONTENDERS; i++) {
		contenders[i] = (struct contender){.arena = arena, .number = i};
		contenders[i].process = fork();
		ck_assert_int_ge(contenders[i].process, 0);
		if (contenders[i].process == 0) {
			(void)contend(&contenders[i]);
			_exit(0);
		}
	}
	judge(arena, &tally);
	for (int i = 0; i < CONTENDERS; i++) {
		int status = -1;
		const pid_t process = contenders[i].process;
		ck_assert_int_eq(waitpid(process, &status, 0), process);
		ck_assert_int_eq(status, 0);
	}
	expect_one_winner_each(&tally);
	remove_arena(arena);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("race for a Unix path");
	tcase_add_checked_fixture(cases, folder_make, folder_remove);
	tcase_add_test(cases, threads);
	tcase_add_test(cases, processes);
	return suite_run();
}
