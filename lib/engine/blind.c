/* SPDX-License-Identifier: MIT
 *
 * What the watch makes of threads whose state the kernel does not tell: no /proc, no descriptor left,
 * a sandbox. A thread that uses no CPU may wait for something, or would like to run and gets no CPU.
 * It does wait if there was CPU time to be had that it did not take; else it is said to compute, so
 * that handlers that compute, more than there are CPUs, do not have one thread more made for each.
 *
 * There was CPU time to be had when
 *
 * - the process has used clearly less than it is allowed: the CPUs it may run on, or what its control
 *   group grants (os/quota.c);
 * - those who serve have not, in the time since the last look alone. Their own clocks are exact, and
 *   tell at once when computing begins. That of the process lags by a tick for each thread that runs,
 *   so it is looked at over some 5 to 100 ms;
 * - threads of the process are hardly ever pushed off a CPU (getrusage(2), involuntary switches), or
 *   it uses less than half a CPU in all. Where other processes take the CPUs this one uses less than
 *   it is allowed and yet wants more, and the kernel takes the CPU from one thread after the other.
 *   Those that wake up for a moment only push each other as well; but threads that compute get their
 *   share, and the more there are the more, so that it is not many that can be mistaken;
 * - the keeper itself has been woken in time (watch.c looks at that): after a pause of the whole
 *   process nobody has had anything.
 *
 * Nor is a guess learned from. Each of these errs to the side of computing. What that costs is small: handlers that wait show
 * themselves in the samples of calls, which need no /proc, and one more is let in now and then
 * whenever nobody gets on.
 */
#include "engine/blind.h"

#include <stddef.h>
#include <string.h>

#include "os/clock.h"

static const uint64_t shortest = 5 * MTSI_MILLISECOND;
static const uint64_t renewed = 50 * MTSI_MILLISECOND;
static const uint64_t too_old = 100 * MTSI_MILLISECOND;
static const uint64_t seldom = 10 * MTSI_MILLISECOND; /* between involuntary switches */

void mtsi_blind_begin(struct mtsi_blind *blind, unsigned cpus, uint64_t quota)
{
	memset(blind, 0, sizeof(*blind));
	blind->allowed = UINT64_C(1000) * cpus;
	if (quota < blind->allowed) {
		blind->allowed = quota;
	}
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
	const struct mtsi_usage *since = &blind->earlier;
	const uint64_t span = usage->at - since->at;
	const uint64_t used = usage->cpu - since->cpu;
	const uint64_t pushed = usage->pushed - since->pushed;
	if (usage->at - blind->later.at >= renewed) {
		blind->earlier = blind->later;
		blind->later = *usage;
	}
	const bool contended = used * 2 >= span && pushed > span / seldom + 1;
	if (span < shortest || contended) {
		return false;
	}
	return used / MTSI_MICROSECOND * 1000 < span / MTSI_MICROSECOND * blind->allowed / 4 * 3;
}
