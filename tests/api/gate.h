/* SPDX-License-Identifier: MIT
 *
 * To wait for events that come from other threads.
 */
#ifndef GATE_H
#define GATE_H

#include <pthread.h>

enum { PATIENCE = 60 }; /* seconds; only a failure ever takes that long */

/* Counts events, and waits for them. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int count;
};

#define GATE \
	{ \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 \
	}

int gate_add(struct gate *gate); /* how many have come with this one */
int gate_count(struct gate *gate);
void gate_wait(struct gate *gate, int count); /* until at least so many have come */

#endif
