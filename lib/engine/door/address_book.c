/* SPDX-License-Identifier: MIT
 *
 * How many clients come from where: clients are counted by their origin. This is an IPv4 address,
 * also when it comes mapped into IPv6; or the first half of an IPv6 address, since a peer that has
 * one address of such a network has all of them; or a link-local IPv6 address as a whole, with its
 * interface, since the first half is the same for all neighbours there; or the user at the other
 * end of a Unix socket. A peer whose address is of no known kind is not counted.
 *
 * The table is a tree of the C library's. An entry is made for the first client that it counts, and
 * freed with the last.
 *
 * As long as there is no limit nothing is counted: a client costs one atomic operation on its own
 * memory. When a limit is set, the clients that are there have to be counted, while others come and
 * go. One word in each client says how it stands, and changes to LISTED only under the book's lock,
 * together with the count:
 *
 * - The thread that accepts makes the client, and then reads the limit. The thread that sets the
 *   limit writes it, and then looks at all clients. Both are sequentially consistent, so one of
 *   them sees the other, and lists the client; if both do, the second finds it listed.
 * - The owner of a client that leaves marks it as delisted. If it was listed before, the owner
 *   counts it out; if not, nobody can list it any more.
 *
 * A client whose proxy has yet to say where it comes from is delisted until then (proxied.c): its owner
 * makes it unlisted, and then reads the limit, as the thread that accepts does with others.
 *
 * Setting the limit back to 0 counts no client out. A client that is listed is counted out when it
 * leaves, and is found listed if a limit is set again before that. A thread that sets a limit holds
 * a lock during all of it, so when any call of that kind has returned, every client is counted.
 */
#include "engine/door/address_book.h"

#include <errno.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/ranks.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/list.h"
#include "engine/door/floor.h"
#include "os/lock.h"
#include "os/must.h"
#include "wire/address.h"

/* The clients of one origin. It begins with the origin, so it can be looked up by that. */
struct tally {
	struct mtsi_origin origin;
	size_t count;
};

void mtsi_address_book_init(struct mtsi_address_book *book)
{
	mtsi_lock_init(&book->changing, MTSI_RANK_CHANGING);
	mtsi_lock_init(&book->lock, MTSI_RANK_ADDRESSES);
	book->entries = NULL;
	book->short_of_memory = false;
	atomic_init(&book->limit, 0);
}

void mtsi_address_book_free(struct mtsi_address_book *book)
{
	mtsi_must(book->entries == NULL);
	mtsi_lock_destroy(&book->lock);
	mtsi_lock_destroy(&book->changing);
}

static int compare(const void *left, const void *right)
{
	const struct mtsi_origin *a = left;
	const struct mtsi_origin *b = right;
	if (a->kind != b->kind) {
		return a->kind < b->kind ? -1 : 1;
	}
	if (a->scope != b->scope) {
		return a->scope < b->scope ? -1 : 1;
	}
	if (a->number != b->number) {
		return a->number < b->number ? -1 : 1;
	}
	return a->host == b->host ? 0 : a->host < b->host ? -1 : 1;
}

static struct tally *find_locked(struct mtsi_address_book *book, const struct mtsi_origin *origin)
{
	mtsi_lock_assert_held(&book->lock);
	struct tally *const *found = tfind(origin, &book->entries, compare);
	return found != NULL ? *found : NULL;
}

/* A new entry that counts no client yet; NULL when memory is short. */
static struct tally *make_locked(struct mtsi_address_book *book, const struct mtsi_origin *origin)
{
	struct tally *entry = malloc(sizeof(*entry));
	if (entry == NULL) {
		return NULL;
	}
	entry->origin = *origin;
	entry->count = 0;
	if (tsearch(entry, &book->entries, compare) == NULL) {
		free(entry);
		return NULL;
	}
	return entry;
}

static void drop_if_empty_locked(struct mtsi_address_book *book, struct tally *entry)
{
	if (entry->count == 0) {
		(void)tdelete(entry, &book->entries, compare);
		free(entry);
	}
}

/* Counts a client unless it is counted already, or has left: 0, -EUSERS or -ENOMEM. */
static int list_locked(struct mtsi_address_book *book, struct mts_client *client, size_t most)
{
	struct mtsi_origin origin;
	unsigned char unlisted = MTSI_UNLISTED;
	if (atomic_load(&client->listing) != MTSI_UNLISTED
		|| !mtsi_peer_origin(&client->peer, &origin)) {
		return 0;
	}
	struct tally *entry = find_locked(book, &origin);
	if (entry == NULL) {
		entry = make_locked(book, &origin);
	}
	if (entry == NULL) {
		return -ENOMEM;
	}
	if (entry->count >= most) {
		return -EUSERS;
	}
	if (atomic_compare_exchange_strong(&client->listing, &unlisted, MTSI_LISTED)) {
		entry->count++;
	}
	drop_if_empty_locked(book, entry);
	return 0;
}

int mtsi_address_book_enter(struct mts_client *client)
{
	struct mtsi_address_book *book = &mtsi_door_floor(client->server)->addresses;
	int result = 0;
	if (atomic_load(&book->limit) != 0) {
		mtsi_lock_take(&book->lock);
		const size_t most = atomic_load(&book->limit);
		if (most != 0) {
			result = list_locked(book, client, most);
		}
		mtsi_lock_release(&book->lock);
	}
	return result;
}

void mtsi_address_book_leave(struct mts_client *client)
{
	struct mtsi_address_book *book = &mtsi_door_floor(client->server)->addresses;
	struct mtsi_origin origin;
	if (atomic_exchange(&client->listing, MTSI_DELISTED) != MTSI_LISTED) {
		return;
	}
	mtsi_must(mtsi_peer_origin(&client->peer, &origin));
	mtsi_lock_take(&book->lock);
	struct tally *entry = find_locked(book, &origin);
	mtsi_must(entry != NULL && entry->count > 0);
	entry->count--;
	drop_if_empty_locked(book, entry);
	mtsi_lock_release(&book->lock);
}

/* Counts a client that came before there was a limit. */
static void list_present(struct mts_client *client, struct mtsi_list *claimed)
{
	struct mtsi_address_book *book = &mtsi_door_floor(client->server)->addresses;
	(void)claimed;
	mtsi_lock_take(&book->lock);
	if (list_locked(book, client, SIZE_MAX) != 0) {
		book->short_of_memory = true;
	}
	mtsi_lock_release(&book->lock);
}

static void change_limit(struct mtsi_address_book *book, size_t clients)
{
	mtsi_lock_take(&book->lock);
	book->short_of_memory = false;
	atomic_store(&book->limit, clients);
	mtsi_lock_release(&book->lock);
}

int mtsi_address_book_set_limit(struct mts_server *server, size_t clients)
{
	struct mtsi_address_book *book = &mtsi_door_floor(server)->addresses;
	struct mtsi_list none = {NULL, NULL, 0};
	int result = 0;
	mtsi_lock_take(&book->changing);
	const bool anew = atomic_load(&book->limit) == 0 && clients != 0;
	change_limit(book, clients);
	if (anew) {
		mtsi_clients_each(server, list_present, &none);
		mtsi_lock_take(&book->lock);
		result = book->short_of_memory ? -ENOMEM : 0;
		mtsi_lock_release(&book->lock);
	}
	if (result != 0) {
		change_limit(book, 0);
	}
	mtsi_lock_release(&book->changing);
	return result;
}

size_t mtsi_address_book_limit(struct mts_server *server)
{
	return atomic_load_explicit(&mtsi_door_floor(server)->addresses.limit, memory_order_relaxed);
}
