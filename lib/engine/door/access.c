/* SPDX-License-Identifier: MIT
 *
 * Who may connect, and whose word is taken for where others come from.
 *
 * Each is a list of ranges (wire/ranges.c), made of the program's set of networks. It belongs to the
 * server and is never changed. A new one is made with no lock held, and put in the place of the old by
 * the exchange of a pointer, so accepting is not held up, however large they are. Who looks into a list
 * holds the lock meanwhile, some hundred nanoseconds. So nobody looks into the old one any more when
 * the exchange is over: it can be freed, with no lock held, and each verdict that is asked for after
 * that is by the new one.
 *
 * Where there is no list, it costs one load to find that out. A thread that asks for a client which has
 * connected after a list was given sees it: the kernel's locks, which that connection has gone through,
 * are between the two.
 *
 * There are peers whose address no network can name, such as those of other families, on sockets
 * that were handed to the server. They belong to no network, so they are let in, as all are who are
 * not named. But a program that denies all addresses of some kind, but for a few, wants to know whom
 * it lets in. There they are denied. They are never trusted.
 */
#include "engine/door/access.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>

#include <mtserver/networks.h>

#include "engine/base/ranks.h"
#include "engine/door/floor.h"
#include "wire/address.h"
#include "wire/ranges.h"

void mtsi_access_init(struct mtsi_access *access)
{
	mtsi_lock_init(&access->lock, MTSI_RANK_ACCESS);
	for (int i = 0; i < MTSI_ACCESS_LISTS; i++) {
		atomic_init(&access->lists[i], NULL);
	}
}

void mtsi_access_free(struct mtsi_access *access)
{
	for (int i = 0; i < MTSI_ACCESS_LISTS; i++) {
		mtsi_ranges_free(atomic_load(&access->lists[i]));
	}
	mtsi_lock_destroy(&access->lock);
}

struct mtsi_ranges *mtsi_access_replace(
	struct mts_server *server, enum mtsi_access_list which, struct mtsi_ranges *ranges)
{
	struct mtsi_access *access = &mtsi_door_floor(server)->access;
	mtsi_lock_take(&access->lock);
	struct mtsi_ranges *old = atomic_exchange(&access->lists[which], ranges);
	mtsi_lock_release(&access->lock);
	return old;
}

/* Whether there is such a list. */
static bool has(struct mts_server *server, enum mtsi_access_list which)
{
	const struct mtsi_access *access = &mtsi_door_floor(server)->access;
	return atomic_load_explicit(&access->lists[which], memory_order_acquire) != NULL;
}

/* What a list says of a peer that is in no range of it. */
static int verdict_for_others(const struct mtsi_ranges *ranges, const struct mtsi_peer *peer)
{
	const bool unknown = peer->family == AF_UNSPEC;
	return unknown && mtsi_ranges_has_whole(ranges, MTS_DENY) ? MTS_DENY : -ENOENT;
}

/* The verdict on that peer; -ENOENT: there is none, or no list. */
static int look_up(
	struct mts_server *server, enum mtsi_access_list which, const struct mtsi_peer *peer)
{
	struct mtsi_access *access = &mtsi_door_floor(server)->access;
	int verdict = -ENOENT;
	if (!has(server, which)) {
		return -ENOENT;
	}
	mtsi_lock_take(&access->lock);
	const struct mtsi_ranges *ranges = atomic_load(&access->lists[which]);
	if (ranges != NULL) {
		verdict = mtsi_ranges_find(ranges, peer);
		verdict = verdict != -ENOENT ? verdict : verdict_for_others(ranges, peer);
	}
	mtsi_lock_release(&access->lock);
	return verdict;
}

bool mtsi_access_is_limited(struct mts_server *server)
{
	return has(server, MTSI_ACCESS_CLIENTS);
}

int mtsi_access_verdict(struct mts_server *server, const struct mtsi_peer *peer)
{
	return look_up(server, MTSI_ACCESS_CLIENTS, peer) == MTS_DENY ? MTS_DENY : MTS_ALLOW;
}

bool mtsi_access_trusts(struct mts_server *server, const struct mtsi_peer *peer)
{
	return look_up(server, MTSI_ACCESS_PROXIES, peer) == MTS_ALLOW;
}

bool mtsi_access_has_trusted(struct mts_server *server)
{
	return has(server, MTSI_ACCESS_PROXIES);
}
