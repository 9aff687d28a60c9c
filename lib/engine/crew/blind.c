/* SPDX-License-Identifier: MIT
 *
 * How the watchdog judges threads whose state the kernel does not tell: because there is no /proc,
 * or no descriptor is left, or in a sandbox. A thread that uses no CPU may wait for something; or
 * it would like to run, and gets no CPU. It is taken to wait if there was CPU time that it could
 * have had and did not take. Else it is taken to compute, so that handlers that compute, when they
 * are more than the CPUs, do not each cause one more thread.
 *
 * There was CPU time to be had when all of these are true:
 *
 * - the process has used clearly less than it is allowed: the CPUs it may run on, or what its
 *   control group grants (os/quota.c);
 * - the workers that serve have also used clearly less, in the time since the last look alone.
 *   Their own clocks are exact, and tell at once when computing begins. The clock of the process
 *   lags by a tick for each thread that runs, so it is looked at over some 5 to 100 ms;
 * - the keeper itself has been woken in time (watchdog.c looks at that): after a pause of the whole
 *   process, no thread has had any CPU time.
 *
 * This is still a guess, since nothing tells how much other processes leave. So guesses are held to
 * account. A guess is wrong when its thread, in the same stint, goes on to use a millisecond of CPU
 * time. It is right when the stint ends, or lasts for long, without that. Only a few guesses may
 * stand unproved, and more of them, the more have been right; after a wrong one no guess is made
 * for a second. So where other processes take the CPUs, a few threads too many are made; and where
 * handlers wait, soon as many are made as are needed. Nothing else is learned from guesses.
 *
 * All of it errs to the side of computing, which costs little: handlers that wait show themselves
 * in the samples of calls, which need no /proc, and one more worker is let in now and then whenever
 * nobody gets on.
 */
#include "engine/crew/blind.h"

#include <stddef.h>
#include <string.h>

#include "engine/crew/crew.h"
#include "engine/crew/member.h"
#include "engine/crew/stint.h"
#include "os/clock.h"
#include "os/observe.h"

enum { FIRST_CREDIT = 8, NEXT_CREDIT = 2, MOST_CREDIT = 1024, CHECKED_AT_ONCE = 16 };

static const uint64_t shortest = 5 * MTSI_MILLISECOND;
static const uint64_t renewed = 50 * MTSI_MILLISECOND;
static const uint64_t too_old = 100 * MTSI_MILLISECOND;
static const uint64_t wrong_from = MTSI_MILLISECOND; /* of CPU time */
static const uint64_t right_from = 30 * MTSI_MILLISECOND; /* without using that much */
static const uint64_t distrust = MTSI_SECOND;
static const uint64_t check_period = 5 * MTSI_MILLISECOND;

void mtsi_blind_begin(struct mtsi_blind *blind, unsigned cpus, uint64_t quota)
{
	memset(blind, 0, sizeof(*blind));
	blind->allowed = UINT64_C(1000) * cpus;
	if (quota < blind->allowed) {
		blind->allowed = quota;
	}
	blind->credit = FIRST_CREDIT;
}

bool mtsi_blind_all_taken(const struct mtsi_blind *blind, uint64_t used, uint64_t span)
{
	const uint64_t half = blind->allowed / 2;
	const uint64_t nearly = blind->allowed - (half < 500 ? half : 500); /* less half a CPU */
	return used / MTSI_MICROSECOND * 1000 >= span / MTSI_MICROSECOND * nearly;
}

bool mtsi_blind_spare(struct mtsi_blind *blind, const struct mtsi_usage *usage)
{
	if (blind->later.at == 0 || usage->at - blind->later.at > too_old) {
		blind->earlier = *usage;
		blind->later = *usage;
		return false;
	}
	const uint64_t span = usage->at - blind->earlier.at;
	const uint64_t used = usage->cpu - blind->earlier.cpu;
	if (usage->at - blind->later.at >= renewed) {
		blind->earlier = blind->later;
		blind->later = *usage;
	}
	return span >= shortest
		&& used / MTSI_MICROSECOND * 1000 < span / MTSI_MICROSECOND * blind->allowed / 4 * 3;
}

bool mtsi_blind_guess_locked(struct mtsi_blind *blind, struct mtsi_member *worker, uint64_t now)
{
	if (blind->credit == 0 && now >= blind->distrusted_until) {
		blind->credit = NEXT_CREDIT;
	}
	if (blind->standing >= blind->credit) {
		return false;
	}
	blind->standing++;
	worker->guessed_at = now;
	return true;
}

/*
 * Judges a guess, if that can be done yet: right or wrong. Once the stint is over (`over`) it can.
 */
static void judge_locked(
	struct mtsi_blind *blind, struct mtsi_member *worker, uint64_t now, bool over)
{
	const uint64_t cpu = mtsi_observe_cpu(&worker->observed);
	const uint64_t used = cpu > worker->seen_cpu ? cpu - worker->seen_cpu : 0;
	const bool wrong = used >= wrong_from;
	if (!wrong && !over && now - worker->guessed_at < right_from) {
		return;
	}
	worker->guessed_at = 0;
	blind->standing--;
	if (wrong) {
		blind->credit = 0;
		blind->distrusted_until = now + distrust;
		if (!over) {
			mtsi_stint_stand_locked(worker, MTSI_LONG); /* it computes, after all */
		}
	} else if (blind->credit > 0 && blind->credit < MOST_CREDIT) {
		blind->credit++;
	}
}

void mtsi_blind_end_locked(struct mtsi_blind *blind, struct mtsi_member *worker)
{
	judge_locked(blind, worker, mtsi_clock_now(), true);
}

void mtsi_blind_check_locked(struct mtsi_blind *blind, struct mtsi_crew *crew, uint64_t now)
{
	unsigned count = 0;
	if (blind->standing == 0 || now - blind->checked < check_period) {
		return;
	}
	blind->checked = now;
	for (struct mtsi_member *w = crew->workers; w != NULL && count < CHECKED_AT_ONCE; w = w->next) {
		if (w->guessed_at != 0) {
			judge_locked(blind, w, now, false);
			count++;
		}
	}
}

void mtsi_blind_forget_locked(struct mtsi_blind *blind)
{
	blind->credit = FIRST_CREDIT;
}
