/* SPDX-License-Identifier: MIT
 *
 * A service manager is told how the server does (sd_notify(3)), if the program wants that and a manager
 * has asked for it: READY=1 once a connection would be served, STOPPING=1 at a stop, each with a
 * STATUS for people; and WATCHDOG=1 again and again, if the manager watches, as long as requests get
 * on. They do not if a client has waited for a thread for more than half of the manager's period, as
 * when all handlers that may run hang; nor does anything if the keeper itself hangs, since only the
 * keeper says this. It says it three times in a period, so that one that comes late does no harm.
 *
 * Only who waits for a thread counts. Who waits for room waits for other clients to go: in the kernel's
 * queue, held at the door, or kept out by a limit that was lowered. A full server is not known from outside
 * to be a sick one, since its clients may have all reason to stay; and peers can bring it about.
 *
 * All is sent by the keeper, with no lock held, and it never waits for the manager: what finds no room
 * there is sent again a little later. A message that cannot be sent for another reason is given up,
 * and the log is told: a server must not suffer because its manager does. The socket is kept, since a
 * server that is short of descriptors, so that clients have to wait, should not be killed for that.
 *
 * Where nobody has asked there is no struct, and nothing is due.
 */
#include "engine/run/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/crew/waiting.h"
#include "engine/door/door.h"
#include "engine/door/listener.h"
#include "engine/run/server.h"
#include "os/clock.h"
#include "os/notify.h"

/* How soon a message is sent again for which there was no room. */
static const uint64_t again = 100 * MTSI_MILLISECOND;

/* The time between two looks has to be within these. */
static const uint64_t soonest = MTSI_MILLISECOND;
static const uint64_t latest = 15 * 60 * MTSI_SECOND; /* mtsi_waiting_look() */

enum word { NOTHING, SERVES, STOPS };

/* The place and the period are constant; the rest is the keeper's. */
struct mtsi_notify {
	struct mtsi_notify_place place;
	uint64_t period; /* the manager's watchdog is to be told at least so often; 0: there is none */
	int fd; /* -1: not opened yet. A copy in another process reads it too */
	enum word word; /* what is still to be said */
	uint64_t say_at; /* when */
	uint64_t look_at; /* when to look for the watchdog; MTSI_NEVER: not yet, or there is none */
	bool late; /* at the last of these looks somebody had waited for too long */
	struct mtsi_waiting waiting;
};

int mtsi_notify_set(struct mts_server *server, bool on, const char **why)
{
	struct mtsi_notify_place place;
	uint64_t period = 0;
	*why = NULL;
	const int asked = on ? mtsi_notify_get(&place, &period, why) : 0;
	if (asked < 0) {
		return asked;
	}
	struct mtsi_notify *notify = asked > 0 ? calloc(1, sizeof(*notify)) : NULL;
	if (asked > 0 && notify == NULL) {
		return -ENOMEM;
	}
	if (notify != NULL) {
		notify->place = place;
		notify->period = period;
		notify->fd = -1;
		notify->look_at = MTSI_NEVER;
	}
	free(server->notify);
	server->notify = notify;
	return 0;
}

/* Whether it may work a little later. */
static bool passes(int error)
{
	return error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM || error == -EMFILE
		|| error == -ENFILE;
}

/* Sends a text: true; false: it is to be sent again later. */
static bool say(struct mts_server *server, const char *text)
{
	struct mtsi_notify *notify = server->notify;
	int result = notify->fd >= 0 ? 0 : mtsi_notify_open();
	if (result >= 0 && notify->fd < 0) {
		notify->fd = result;
	}
	if (result >= 0) {
		result = mtsi_notify_send(notify->fd, &notify->place, text);
	}
	if (result < 0 && !passes(result)) {
		mtsi_log(server, MTSI_LOG_NOTIFY, "the service manager cannot be told %.*s: %s",
			(int)strcspn(text, "\n"), text, strerror(-result));
	}
	return result >= 0 || !passes(result);
}

static void write_word(struct mts_server *server, enum word word, char *text, size_t size)
{
	if (word == STOPS) {
		(void)snprintf(text, size, "STOPPING=1\nSTATUS=stopping, %zu clients are connected",
			mtsi_door_clients(server));
		return;
	}
	const int used = snprintf(text, size, "READY=1\nSTATUS=serving on ");
	mtsi_listeners_list(server, text + used, size - (size_t)used);
}

/* Says what the server does now, as far as it is true already; returns when to try again. */
static uint64_t say_word(struct mts_server *server, uint64_t now)
{
	struct mtsi_notify *notify = server->notify;
	char text[MTSI_LISTENERS_LIST + 64];
	if (notify->word == SERVES && !mtsi_waiting_is_served(server)) {
		return MTSI_NEVER; /* a thread could not be made, and the keeper comes again for that */
	}
	if (now < notify->say_at) {
		return notify->say_at;
	}
	write_word(server, notify->word, text, sizeof(text));
	if (say(server, text)) {
		notify->word = NOTHING;
		return MTSI_NEVER;
	}
	notify->say_at = mtsi_clock_after(now, again);
	return notify->say_at;
}

/* Whether nobody has waited for too long; the log is told when somebody begins to. */
static bool gets_on(struct mts_server *server, uint64_t now)
{
	struct mtsi_notify *notify = server->notify;
	const uint64_t longest = mtsi_waiting_look(server, &notify->waiting, now);
	const bool late = longest > notify->period / 2;
	if (late && !notify->late) {
		mtsi_log(server, MTSI_LOG_NOTIFY,
			"a client has waited for a thread for %" PRIu64 " ms; until it has one, "
			"the service manager is not told that requests get on",
			longest / MTSI_MILLISECOND);
	}
	notify->late = late;
	return !late;
}

/* A part of the manager's period. */
static uint64_t part(const struct mtsi_notify *notify, uint64_t divisor)
{
	const uint64_t span = notify->period / divisor;
	const uint64_t most = span < latest ? span : latest;
	return most > soonest ? most : soonest;
}

/* Feeds the manager's watchdog; returns when to look again. */
static uint64_t feed(struct mts_server *server, uint64_t now)
{
	struct mtsi_notify *notify = server->notify;
	if (now >= notify->look_at) {
		const bool told = gets_on(server, now) && say(server, "WATCHDOG=1");
		notify->look_at = mtsi_clock_after(now, part(notify, told ? 3 : 12));
	}
	return notify->look_at;
}

void mtsi_notify_serves(struct mts_server *server)
{
	struct mtsi_notify *notify = server->notify;
	if (notify != NULL) {
		notify->word = SERVES;
		notify->look_at = notify->period == 0 ? MTSI_NEVER : 0;
	}
}

void mtsi_notify_stops(struct mts_server *server)
{
	struct mtsi_notify *notify = server->notify;
	if (notify != NULL) {
		notify->word = STOPS;
		notify->say_at = 0;
		(void)say_word(server, mtsi_clock_now());
	}
}

uint64_t mtsi_notify_look(struct mts_server *server, uint64_t now)
{
	const struct mtsi_notify *notify = server->notify;
	if (notify == NULL) {
		return MTSI_NEVER;
	}
	const uint64_t word = notify->word == NOTHING ? MTSI_NEVER : say_word(server, now);
	const uint64_t watchdog = feed(server, now);
	return word < watchdog ? word : watchdog;
}

void mtsi_notify_free(struct mts_server *server)
{
	mtsi_notify_abandon(server);
	free(server->notify);
}

void mtsi_notify_abandon(struct mts_server *server)
{
	if (server->notify != NULL && server->notify->fd >= 0) {
		mtsi_notify_close(server->notify->fd);
		server->notify->fd = -1;
	}
}
