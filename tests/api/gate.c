/* SPDX-License-Identifier: MIT
 *
 * A number, and a condition that is told of each change.
 */
#include "gate.h"

#include <time.h>

#include <check.h>

int gate_add(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	const int count = ++gate->count;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
	return count;
}

int gate_count(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	const int count = gate->count;
	pthread_mutex_unlock(&gate->mutex);
	return count;
}

void gate_wait(struct gate *gate, int count)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	int result = 0;
	pthread_mutex_lock(&gate->mutex);
	while (gate->count < count && result == 0) {
		result = pthread_cond_timedwait(&gate->changed, &gate->mutex, &until);
	}
	const int reached = gate->count;
	pthread_mutex_unlock(&gate->mutex);
	ck_assert_msg(reached >= count, "waited for %d events, %d came", count, reached);
}
