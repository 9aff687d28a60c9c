/* SPDX-License-Identifier: MIT
 *
 * Which clients linger, and who of them is due first.
 *
 * Most of them wait as long as the server's timeout says, so they are due in the order in which they
 * came, also when that timeout changes: they are appended to a list. Those that have a timeout of their
 * own keep it, as their callbacks are over. They have another list, in the order in which they are due;
 * each goes in from the end, where it belongs if all of them have the same timeout. The next one that is
 * due is at the front of one of the lists.
 */
#include "engine/door/lingerers.h"

#include <stdatomic.h>
#include <stddef.h>

#include "engine/client/client.h"
#include "engine/client/timeouts.h"
#include "engine/door/linger.h"
#include "os/clock.h"
#include "os/lock.h"

/* When a client has lingered for long enough, by the present timeout. */
static uint64_t due_of(const struct mts_client *client)
{
	return mtsi_clock_after(client->lingers_since, mtsi_timeout_of(client, MTS_TIMEOUT_LINGER));
}

static bool is_own(const struct mts_client *client)
{
	return mtsi_timeout_is_own(client, MTS_TIMEOUT_LINGER);
}

/* After which client of a list another one goes; NULL: to the front. */
static struct mts_client *place_in(
	const struct mtsi_lingerers *list, const struct mts_client *client)
{
	struct mts_client *before = list->last;
	if (is_own(client)) {
		const uint64_t due = due_of(client);
		while (before != NULL && due_of(before) > due) {
			before = before->previous;
		}
	}
	return before;
}

static void insert(struct mtsi_lingerers *list, struct mts_client *client)
{
	struct mts_client *before = place_in(list, client);
	struct mts_client *after = before != NULL ? before->next : list->first;
	client->previous = before;
	client->next = after;
	*(before != NULL ? &before->next : &list->first) = client;
	*(after != NULL ? &after->previous : &list->last) = client;
}

bool mtsi_lingerers_add(
	struct mtsi_linger *linger, struct mts_client *client, bool sends, bool *soonest)
{
	struct mtsi_lingerers *list = is_own(client) ? &linger->own : &linger->usual;
	mtsi_lock_assert_held(&client->lock);
	mtsi_lock_take(&linger->lock);
	const bool over = linger->over;
	if (!over) {
		client->lingers_since = mtsi_clock_now();
		/*
		 * It may have been cut off as a client, with nothing dropped; it has not been as a
		 * lingerer.
		 */
		atomic_store(&client->cut, false);
		insert(list, client);
		*soonest = list->first == client;
		client->sends = sends;
		atomic_fetch_add(&linger->sending, sends ? 1 : 0);
		atomic_fetch_add(&linger->count, 1);
	}
	mtsi_lock_release(&linger->lock);
	return !over;
}

void mtsi_lingerers_remove_locked(struct mtsi_linger *linger, struct mts_client *client)
{
	struct mtsi_lingerers *list = is_own(client) ? &linger->own : &linger->usual;
	mtsi_lock_assert_held(&linger->lock);
	*(client->previous != NULL ? &client->previous->next : &list->first) = client->next;
	*(client->next != NULL ? &client->next->previous : &list->last) = client->previous;
	atomic_fetch_sub(&linger->sending, client->sends ? 1 : 0);
	atomic_fetch_sub(&linger->count, 1);
}

struct mts_client *mtsi_lingerers_first_locked(const struct mtsi_linger *linger, uint64_t *due)
{
	struct mts_client *usual = linger->usual.first;
	struct mts_client *own = linger->own.first;
	const uint64_t usual_due = usual != NULL ? due_of(usual) : MTSI_NEVER;
	const uint64_t own_due = own != NULL ? due_of(own) : MTSI_NEVER;
	const bool own_first = own_due < usual_due || usual == NULL;
	*due = own_first ? own_due : usual_due;
	return own_first ? own : usual;
}

struct mts_client *mtsi_lingerers_next_locked(
	const struct mtsi_linger *linger, const struct mts_client *at)
{
	struct mts_client *next = at != NULL ? at->next : linger->usual.first;
	const bool at_end = next == NULL && (at == NULL || !is_own(at));
	return at_end ? linger->own.first : next;
}
