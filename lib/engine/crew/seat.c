/* SPDX-License-Identifier: MIT
 *
 * Seats. A worker is woken with the lock released, since that is a system call. By then it may have
 * woken by itself, served, left, and be gone. So not the worker is signalled, but its seat, which
 * is kept for the next worker, and freed with the crew. A signal that comes too late is one wake-up
 * in vain.
 */
#include "engine/crew/seat.h"

#include <stdlib.h>

#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "os/lock.h"

void mtsi_seat_init(struct mtsi_seat *seat, struct mts_server *server)
{
	seat->server = server;
	mtsi_signal_init(&seat->signal);
	seat->next = NULL;
}

void mtsi_seat_free_all(struct mtsi_crew *crew)
{
	while (crew->seats != NULL) {
		struct mtsi_seat *seat = crew->seats;
		crew->seats = seat->next;
		mtsi_signal_destroy(&seat->signal);
		if (seat != &crew->first_seat) {
			free(seat);
		}
	}
}

struct mtsi_seat *mtsi_seat_take(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	mtsi_lock_take(&crew->lock);
	struct mtsi_seat *seat = crew->seats;
	if (seat != NULL) {
		crew->seats = seat->next;
	}
	mtsi_lock_release(&crew->lock);
	if (seat == NULL) {
		seat = malloc(sizeof(*seat));
		if (seat != NULL) {
			mtsi_seat_init(seat, server);
		}
	}
	return seat;
}

void mtsi_seat_give_locked(struct mtsi_crew *crew, struct mtsi_seat *seat)
{
	seat->next = crew->seats;
	crew->seats = seat;
}
