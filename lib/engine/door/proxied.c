/* SPDX-License-Identifier: MIT
 *
 * Where a client comes from, when a proxy is between.
 *
 * On a listener for proxies a client may begin with a header that says for whom it has connected.
 * Until that is whole, nobody knows whose client it is. So it is let in by the door alone: its
 * address is not counted, and the access list, which is about clients, is not asked. Both are made
 * up for when the header is here, by the thread that serves the client.
 *
 * Whether a proxy is believed is asked twice, since the program may change its mind in between: when
 * the proxy connects, so that a stranger costs next to nothing; and when its header is whole.
 *
 * A client that awaits its header is delisted in the address book (address_book.c), so that a thread
 * that sets a limit does not list it by the proxy's address. It is unlisted once it has an address
 * of its own. By the argument there either that thread lists it then, or this one does, which looks
 * at the limit afterwards. A proxy's health check stays delisted, however many there are:
 * they are nobody's clients, and all come from the same address. That a trusted proxy does not
 * find its server well because it may not connect itself is not wanted either; so its checks are not
 * subject to the access list.
 *
 * Version 2 has a word for a health check, LOCAL. Version 1 has none: there a check announces the proxy's
 * own end of the connection, address and port, as HAProxy's do. A client on the proxy's own machine may have
 * the same by chance, and so have all clients of a proxy that borrows their addresses; such a one sends
 * version 2.
 */
#include "engine/door/proxied.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <mtserver/networks.h>
#include <mtserver/proxy.h>

#include "engine/client/client.h"
#include "engine/client/deadline.h"
#include "engine/door/access.h"
#include "engine/door/address_book.h"
#include "engine/door/floor.h"
#include "os/clock.h"
#include "os/lock.h"
#include "wire/address.h"
#include "wire/proxy.h"

static bool is_denied(struct mts_server *server, const struct mtsi_peer *peer)
{
	return mtsi_access_is_limited(server) && mtsi_access_verdict(server, peer) == MTS_DENY;
}

/* Whether a header from there is believed. */
static bool is_believed(struct mts_server *server, int mode, const struct mtsi_peer *peer)
{
	const bool by_anybody = mode == MTS_PROXY_REQUIRED && !mtsi_access_has_trusted(server);
	return by_anybody || mtsi_access_trusts(server, peer);
}

enum mtsi_beginning mtsi_proxied_begins(
	struct mts_server *server, int mode, const struct mtsi_peer *peer)
{
	if (mode != MTS_PROXY_OFF && is_believed(server, mode, peer)) {
		return MTSI_BEGINS_WITH_HEADER;
	}
	if (mode == MTS_PROXY_REQUIRED) {
		return MTSI_IS_A_STRANGER;
	}
	return is_denied(server, peer) ? MTSI_MAY_NOT_BEGIN : MTSI_BEGINS_PLAIN;
}

void mtsi_proxied_await(struct mts_client *client)
{
	client->awaits_header = true;
	mtsi_address_book_leave(client); /* a thread that sets a limit may have found it already */
	(void)mtsi_deadline_wait(client, MTSI_WAIT_HANDSHAKE, mtsi_clock_now());
}

/* Others read the address under the lock. What the socket is stays as it was. */
static void take_address(struct mts_client *client, const struct mtsi_peer *announced)
{
	struct mtsi_peer peer = *announced;
	peer.local = client->peer.local;
	mtsi_lock_take(&client->lock);
	client->peer = peer;
	mtsi_lock_release(&client->lock);
}

/* The IPv4 address, also of a socket for both families; NULL: it has none. */
static const unsigned char *ipv4_of(const struct mtsi_peer *peer)
{
	if (peer->family == AF_INET6 && mtsi_ip_is_mapped(peer->ip)) {
		return peer->ip + MTSI_MAPPED;
	}
	return peer->family == AF_INET ? peer->ip : NULL;
}

/* Whether both are the same end of a connection, by address and port. */
static bool is_same_end(const struct mtsi_peer *one, const struct mtsi_peer *other)
{
	const unsigned char *ipv4 = ipv4_of(one);
	const unsigned char *other_ipv4 = ipv4_of(other);
	if (one->port != other->port) {
		return false;
	}
	if (ipv4 != NULL && other_ipv4 != NULL) {
		return memcmp(ipv4, other_ipv4, sizeof(in_addr_t)) == 0;
	}
	return one->family == AF_INET6 && other->family == AF_INET6
		&& memcmp(one->ip, other->ip, sizeof(one->ip)) == 0;
}

/* Whether the proxy has connected on its own behalf. */
static bool is_a_check(const struct mts_client *client, const struct mtsi_proxy *header)
{
	return header->local || (header->line && is_same_end(&header->peer, &client->peer));
}

int mtsi_proxied_introduce(struct mts_client *client, const struct mtsi_proxy *header)
{
	struct mts_server *server = client->server;
	const struct mtsi_listener *listener =
		&mtsi_door_floor(server)->listeners.list[client->listener];
	if (!is_believed(server, listener->traits.proxy, &client->peer)) {
		return -EPERM;
	}
	const bool check = is_a_check(client, header);
	if (check && mtsi_access_trusts(server, &client->peer)) {
		return 0;
	}
	if (!header->real) {
		take_address(client, &header->peer);
	}
	if (is_denied(server, &client->peer)) {
		return -EACCES;
	}
	if (check) {
		return 0;
	}
	atomic_store(&client->listing, MTSI_UNLISTED);
	return mtsi_address_book_enter(client);
}
