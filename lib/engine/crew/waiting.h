/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_WAITING_H
#define MTSI_ENGINE_CREW_WAITING_H

#include <stdbool.h>
#include <stdint.h>

struct mts_server;

/* Who waits for a thread, as the latest look has found it: the first of the ready and the later list. */
enum { MTSI_WAITING_LISTS = 2 };
struct mtsi_waiting {
	const void *first[MTSI_WAITING_LISTS]; /* NULL: nobody */
	uint32_t ready_at[MTSI_WAITING_LISTS]; /* its own mark, which tells one wait from the next */
	uint64_t since[MTSI_WAITING_LISTS];
};

/*
 * How long the client that has waited longest for a thread has waited. By one thread, which looks at
 * least every half hour.
 */
uint64_t mtsi_waiting_look(struct mts_server *server, struct mtsi_waiting *waiting, uint64_t now);

/* Whether there is a thread that takes clients, or else one is made as soon as somebody comes. */
bool mtsi_waiting_is_served(struct mts_server *server);

#endif
