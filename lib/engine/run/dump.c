/* SPDX-License-Identifier: MIT
 *
 * The state of a server, for developers. Nothing is locked: the caller has stopped all threads,
 * also those that hold locks, or is about to end the process. So figures that belong together may
 * not fit.
 *
 * Clients are read where they lie, in slots, which are never freed. Workers lie on the stacks of
 * their threads. If the threads still run, a worker may be gone by the time it is read, so workers
 * come last.
 */
#include "engine/run/dump.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>

#include "engine/base/log_lines.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/crew/member.h"
#include "engine/run/server.h"
#include "os/clock.h"
#include "os/must.h"
#include "os/print.h"

static const char *yes(bool is)
{
	return is ? "yes" : "no";
}

/* Milliseconds until a time, which may have passed. */
static int64_t until(uint64_t time)
{
	return ((int64_t)time - (int64_t)mtsi_clock_now()) / (int64_t)MTSI_MILLISECOND;
}

static void dump_due(int fd, const char *what, uint64_t time)
{
	if (time == MTSI_NEVER) {
		mtsi_print(fd, ", %s never", what);
	} else {
		mtsi_print(fd, ", %s in %" PRId64 " ms", what, until(time));
	}
}

static void dump_life(struct mts_server *server, int fd)
{
	static const char *const states[] = {"new", "running", "ended"};
	static const char *const stops[] = {"no", "in its grace", "yes"};
	mtsi_print(fd, "server %p: %s, %s, stopping: %s, waited for by %u; figures may be torn\n",
		(void *)server, states[atomic_load(&server->lifecycle.state) % 3],
		mtsi_on_demand(server) ? "on demand" : "per client",
		stops[atomic_load(&mtsi_base_floor(server)->stopping) % 3], server->lifecycle.waiters);
}

static void dump_door(struct mts_server *server, int fd)
{
	const struct mtsi_door *door = &mtsi_door_floor(server)->door;
	const struct mtsi_linger *linger = &mtsi_door_floor(server)->linger;
	mtsi_print(fd,
		"door: %zu clients of %zu, held %zu, evicting %zu, open: %s, armed: %s, "
		"suspended: %s\n",
		door->clients, atomic_load(&door->max_clients), door->held.count, door->evicting,
		yes(door->open), yes(door->armed), yes(mtsi_door_is_suspended(door)));
	mtsi_print(fd, "limits: threads %u (0: none), by address %zu (0: none)\n",
		atomic_load(&mtsi_base_floor(server)->options.max_threads),
		atomic_load(&mtsi_door_floor(server)->addresses.limit));
	mtsi_print(fd, "lingering: %zu, of these sending %zu\n", atomic_load(&linger->count),
		atomic_load(&linger->sending));
}

static void dump_memory(struct mts_server *server, int fd)
{
	const struct mtsi_memory *memory = &mtsi_client_floor(server)->memory;
	mtsi_print(fd,
		"ledger: %zu bytes of %zu, at most %zu so far, waiting: %zu clients, %zu threads\n",
		atomic_load(&memory->used), atomic_load(&memory->limit), atomic_load(&memory->peak),
		atomic_load(&memory->waiting), atomic_load(&memory->blocked));
}

static void dump_deadlines(struct mts_server *server, int fd)
{
	const struct mtsi_deadlines *deadlines = &mtsi_client_floor(server)->deadlines;
	const struct mtsi_heap_node *first = deadlines->heap.first;
	mtsi_print(fd, "deadlines");
	dump_due(fd, "the first is", first != NULL ? first->key : MTSI_NEVER);
	dump_due(fd, "the keeper looks", deadlines->planned);
	mtsi_print(fd, "\n");
}

static void dump_log(struct mts_server *server, int fd)
{
	const struct mtsi_log *log = &mtsi_base_floor(server)->log;
	const struct mtsi_log_lines *lines = log->lines;
	mtsi_print(fd, "log: %zu bytes wait, %" PRIu64 " messages lost, being said: %s, hung: %s\n",
		lines != NULL ? lines->end - lines->first : 0, lines != NULL ? lines->lost.count : 0,
		yes(log->unsaid), yes(atomic_load(&log->hung)));
}

static void dump_crew(struct mts_server *server, int fd)
{
	const struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	mtsi_print(fd, "lists: ready %zu, later %zu, mailbox %zu; jobs %zu, of %zu tasks\n",
		crew->ready.count, crew->later.count, mtsi_serve_floor(server)->mailbox.claimed.count,
		crew->jobs, server->tasks.count);
	mtsi_print(fd,
		"threads: %zu, on the way %zu, in a hook %zu, leaving %zu, left %zu, asked for: %s\n",
		crew->threads, crew->waking, crew->hooking, crew->leaving_now, crew->left_count,
		yes(crew->asked));
	mtsi_print(fd, "crew: %zu poll, %zu in a stint, %zu active, %zu long, wide %zu, blocking: %s\n",
		crew->pollers, crew->in_stint, crew->active_count, crew->long_count, crew->width,
		yes(crew->blocking));
	mtsi_print(fd, "watchdog: asleep: %s, alarm: %s; stand-in: needed: %s, %u threads\n",
		yes(watchdog->asleep), yes(watchdog->armed), yes(crew->stand_in),
		mtsi_crew_floor(server)->stand_in.present);
}

enum { STAGES = MTSI_CLIENT_LINGERING + 1 };

struct tally {
	int fd;
	size_t named;
	size_t count[STAGES];
	size_t parked;
};

static const char *const stages[STAGES] = {
	"free", "waiting", "opening", "served", "ending", "sealed", "lingering"};

/* Reads also what is not atomic, without the client's lock: see above. */
static void dump_client(const struct mts_client *client, void *context)
{
	struct tally *tally = context;
	const uint32_t claim = atomic_load(&client->claim);
	const unsigned stage = client->stage % STAGES;
	tally->count[stage]++;
	if (stage == MTSI_CLIENT_FREE) {
		return;
	}
	tally->parked += (claim & MTSI_OWNED) == 0 ? 1 : 0;
	if (tally->named++ < MTSI_DUMP_NAMED) {
		mtsi_print(tally->fd,
			"  client %" PRIu64 ": %s, %s%s, descriptor %d, %zu bytes to send, %u saved%s%s\n",
			atomic_load(&client->id), stages[stage], (claim & MTSI_OWNED) != 0 ? "owned" : "parked",
			(claim & MTSI_AGAIN) != 0 ? " (again)" : "", client->fd,
			mtsi_buffer_size(&client->output), client->saved_size,
			atomic_load(&client->lost) ? ", lost" : "", atomic_load(&client->cut) ? ", cut" : "");
	}
}

static void dump_clients(struct mts_server *server, int fd)
{
	struct tally tally = {.fd = fd};
	mtsi_clients_peek(server, dump_client, &tally);
	mtsi_print(fd, "clients: %zu parked", tally.parked);
	for (int stage = 0; stage < STAGES; stage++) {
		mtsi_print(fd, ", %zu %s", tally.count[stage], stages[stage]);
	}
	mtsi_print(fd, "\n");
}

static void dump_workers(struct mts_server *server, int fd)
{
	static const char *const standings[] = {"free", "active", "long", "away"};
	size_t named = 0;
	for (const struct mtsi_member *w = mtsi_crew_floor(server)->crew.workers;
		 w != NULL && named < MTSI_DUMP_NAMED; w = w->next, named++) {
		mtsi_print(fd,
			"  worker %p: %s, client %" PRIu64 ", stint %" PRIu64 ", since %" PRId64 " ms\n",
			(const void *)w, standings[w->standing % 4],
			w->client != NULL ? atomic_load(&w->client->id) : 0, w->stint,
			-until(atomic_load(&w->since)));
	}
}

void mtsi_dump(struct mts_server *server, int fd)
{
	dump_life(server, fd);
	dump_door(server, fd);
	dump_memory(server, fd);
	dump_deadlines(server, fd);
	dump_log(server, fd);
	dump_clients(server, fd);
	dump_crew(server, fd);
	dump_workers(server, fd);
}

#ifdef MTSI_DEBUG

enum { SERVERS = 4 };
static struct mts_server *_Atomic servers[SERVERS];

static void report_all(int fd)
{
	for (int i = 0; i < SERVERS; i++) {
		struct mts_server *server = atomic_load(&servers[i]);
		if (server != NULL) {
			mtsi_dump(server, fd);
		}
	}
}

void mtsi_dump_enlist(struct mts_server *server)
{
	atomic_store(&mtsi_must_report, report_all);
	for (int i = 0; i < SERVERS; i++) {
		struct mts_server *none = NULL;
		if (atomic_compare_exchange_strong(&servers[i], &none, server)) {
			return;
		}
	}
}

void mtsi_dump_strike(struct mts_server *server)
{
	for (int i = 0; i < SERVERS; i++) {
		struct mts_server *same = server;
		(void)atomic_compare_exchange_strong(&servers[i], &same, NULL);
	}
}

#endif
