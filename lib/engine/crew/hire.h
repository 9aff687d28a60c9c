/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_HIRE_H
#define MTSI_ENGINE_CREW_HIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mts_server;
struct mtsi_crew;
struct mtsi_member;

/*
 * New workers: made by the keeper, and on their way until they have come. "Locked" means: under the
 * crew's lock.
 */

/*
 * Makes the workers that are needed, if it has been asked to, or if it could not make some a while
 * ago; returns when to call it again. The keeper: no other thread makes any.
 */
uint64_t mtsi_hire(struct mts_server *server, uint64_t now);

/* A new worker is here. */
void mtsi_hire_enlist_locked(struct mtsi_member *worker);

/* A new worker is still on its way: it enters the program's hook for new threads. */
void mtsi_hire_hook_locked(struct mtsi_member *worker, uint64_t now);

/* It has come out of that hook. */
void mtsi_hire_come_locked(struct mtsi_member *worker);

/* Workers that have been in that hook for too long are no longer on their way. The watchdog. */
void mtsi_hire_give_up_hooks_locked(struct mtsi_crew *crew);

#endif
