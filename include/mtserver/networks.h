/**
 * @file mtserver/networks.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup networks Networks
 * Sets of networks, and what they are for: to say who may connect, and which proxies are believed.
 *
 * In a set each network has a verdict, #MTS_ALLOW or #MTS_DENY. What counts for an address is the verdict
 * of the smallest network that has it (the longest prefix), in whatever order they were added. An address
 * in none of them has no verdict; mts_server_set_access() and mts_server_set_trusted_proxies() say what
 * that means. To say it for all others, add `0.0.0.0/0`, `::/0` and `unix`:
 *
 * @code
 * // Only this site may connect, without one machine of it, and who comes by a Unix socket.
 * mts_networks *site = mts_networks_create();
 * if (site == NULL) {
 *     return -ENOMEM;
 * }
 * int result = mts_networks_add(site, "0.0.0.0/0", MTS_DENY);
 * result = result != 0 ? result : mts_networks_add(site, "::/0", MTS_DENY);
 * result = result != 0 ? result : mts_networks_add(site, "192.0.2.0/24", MTS_ALLOW);
 * result = result != 0 ? result : mts_networks_add(site, "2001:db8:7::/48", MTS_ALLOW);
 * result = result != 0 ? result : mts_networks_add(site, "192.0.2.66", MTS_DENY);
 * result = result != 0 ? result : mts_networks_add(site, "unix", MTS_ALLOW);
 * result = result != 0 ? result : mts_server_set_access(server, site);
 * mts_networks_destroy(site);
 * return result;
 * @endcode
 *
 * A set takes some 64 bytes for each network, and up to 40 more in each server that it is given to. To
 * look for an address takes a fraction of a microsecond, also among 100,000 networks.
 * @{
 */
#ifndef MTSERVER_NETWORKS_H
#define MTSERVER_NETWORKS_H

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A set of networks. */
typedef struct mts_networks mts_networks;

/** What a set says of a network. */
enum mts_access {
	MTS_ALLOW = 0, /**< its addresses may connect, or are trusted */
	MTS_DENY = 1 /**< they may not, or are not */
};

/**
 * Makes an empty set.
 *
 * @return the set, to be freed with mts_networks_destroy(); NULL: memory is short
 * @par Threads
 * Any.
 * @since 0.2
 * @par Example
 * @code
 * mts_networks *office = mts_networks_create();
 * if (office == NULL) {
 *     return -ENOMEM;
 * }
 * mts_networks_add(office, "192.0.2.0/24", MTS_ALLOW);
 * @endcode
 * @see mts_networks_add(), mts_server_set_access(), mts_networks_destroy()
 */
MTS_API mts_networks *mts_networks_create(void);

/**
 * Adds a network to a set. If it is in the set already, the new verdict takes the place of the old one.
 *
 * A network is written as an address, a slash, and how many of its first bits all addresses of the
 * network have in common (RFC 4632, RFC 4291): `10.0.0.0/8`, `2001:db8::/32`. Without a slash it is that
 * single address. `unix` stands for all Unix sockets. IPv4 addresses are four decimal numbers; one that
 * is mapped into IPv6 (RFC 4291, 2.5.5.2) is IPv4, and a network of such addresses is one of IPv4. So
 * networks of IPv6, `::/0` among them, have no IPv4 address.
 *
 * The other bits of the address have to be 0. `10.1.0.0/8` is refused, since either the address is wrong
 * or the number, and a guess could let in many more than were meant. Names of interfaces (`fe80::1%eth0`)
 * are refused too, since a network is meant on each of them; and so are ports.
 *
 * @param networks the set
 * @param network the network; read only during the call
 * @param verdict one of #mts_access
 * @retval 0 done
 * @retval -EINVAL @p networks or @p network is NULL, @p network is no network, or @p verdict is neither
 *         of them
 * @retval -ENOMEM memory is short; nothing has changed
 * @par Threads
 * Any; a set is changed by one thread at a time, and not used by others meanwhile.
 * @since 0.2
 * @par Example
 * @code
 * int result = mts_networks_add(networks, "192.0.2.0/24", MTS_ALLOW);
 * result = result != 0 ? result : mts_networks_add(networks, "192.0.2.66", MTS_DENY); // all but this one
 * @endcode
 * @see mts_networks_test(), mts_server_set_access()
 */
MTS_API int mts_networks_add(mts_networks *networks, const char *network, int verdict);

/**
 * Looks for an address in a set.
 *
 * @param networks the set
 * @param address an address, as mts_client_peer() gives it (`192.0.2.7:5000`, `[2001:db8::7]:5000`,
 *        `[fe80::1%2]:5000`, `unix`), or without a port (`192.0.2.7`, `2001:db8::7`, `[2001:db8::7]`), or
 *        of a Unix socket (`unix:/path`). The port, the interface behind a percent sign, and the path make
 *        no difference.
 * @return #MTS_ALLOW or #MTS_DENY, the verdict of the smallest network that has it; or
 * @retval -ENOENT no network of the set has it
 * @retval -EINVAL @p networks or @p address is NULL, or @p address is no address
 * @par Threads
 * Any, several at a time; not while the set is changed.
 * @since 0.2
 * @par Example
 * @code
 * if (mts_networks_test(office, mts_client_peer(client)) == MTS_ALLOW) {
 *     mts_client_puts(client, "You are at the office.\n");
 * }
 * @endcode
 * @see mts_client_peer(), mts_networks_add()
 */
MTS_API int mts_networks_test(const mts_networks *networks, const char *address);

/**
 * Frees a set. Servers that it was given to have copies of their own.
 *
 * @param networks the set; NULL is fine
 * @par Threads
 * Any; the set is not used by others at the same time.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_set_access(server, networks);
 * mts_networks_destroy(networks); // the server has a copy
 * @endcode
 * @see mts_networks_create(), mts_server_set_access()
 */
MTS_API void mts_networks_destroy(mts_networks *networks);

/**
 * Sets who may connect. *Live*: it holds for all who connect after this has returned; clients stay, and
 * mts_server_kick() or mts_server_close() end those that are not wanted any more.
 *
 * Who is denied is accepted and closed at once, before anything is read or sent, whatever the overload
 * policy, and without what mts_server_set_refusal() says. No hook is called, and no limit counts it.
 * It counts in #MTS_STAT_DENIED, and the log tells at most once a second how many there were. While the
 * server is full, and others wait (#MTS_OVERLOAD_WAIT), those who would be denied wait with them.
 *
 * Who is in no network of the set is allowed. A peer whose address is of another kind than those that a
 * set can name is allowed too, unless the set denies all of a kind (`0.0.0.0/0`, `::/0` or `unix`).
 *
 * @param server the server
 * @param networks the set, which is copied: it may be changed or destroyed afterwards, and that makes no
 *        difference to the server. NULL, the default: everybody may connect.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -ENOMEM memory is short for the copy; nothing has changed
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, also in callbacks; not in signal handlers. @p networks is not changed meanwhile.
 * @since 0.2
 * @par Example
 * @code
 * mts_networks *networks = mts_networks_create();
 * if (networks == NULL) {
 *     return -ENOMEM;
 * }
 * int result = mts_networks_add(networks, "198.51.100.0/24", MTS_DENY); // all others may connect
 * result = result != 0 ? result : mts_server_set_access(server, networks);
 * mts_networks_destroy(networks);
 * return result;
 * @endcode
 * @see mts_networks_create(), mts_server_set_max_clients_per_address(), mts_server_kick()
 */
MTS_API int mts_server_set_access(mts_server *server, const mts_networks *networks);

/**
 * Sets which proxies are trusted: those in networks with #MTS_ALLOW are believed when they say for whom
 * they connect. *Live*: it holds for all who connect after this has returned. It makes a difference only
 * to listeners of the PROXY protocol.
 *
 * @param server the server
 * @param networks the set, which is copied, as in mts_server_set_access(). Who is in none of its networks
 *        is not trusted; nobody is when it has none. NULL, the default: nobody is, and it counts as not
 *        having been said.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -ENOMEM memory is short for the copy; nothing has changed
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, also in callbacks; not in signal handlers. @p networks is not changed meanwhile.
 * @since 0.2
 * @par Example
 * @code
 * mts_networks *proxies = mts_networks_create();
 * if (proxies == NULL) {
 *     return -ENOMEM;
 * }
 * int result = mts_networks_add(proxies, "10.0.0.7", MTS_ALLOW);
 * result = result != 0 ? result : mts_server_set_trusted_proxies(server, proxies);
 * mts_networks_destroy(proxies);
 * return result;
 * @endcode
 * @see mts_server_set_proxy_protocol(), mts_networks_create()
 */
MTS_API int mts_server_set_trusted_proxies(mts_server *server, const mts_networks *networks);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
