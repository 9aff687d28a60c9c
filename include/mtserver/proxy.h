/**
 * @file mtserver/proxy.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup proxy Proxies
 * Behind a proxy, such as HAProxy, nginx or a cloud's balancer, all connections come from the proxy. The
 * PROXY protocol has it say, in front of each connection's own bytes, for whom it connects
 * (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
 *
 * Versions 1 and 2 are understood. A header is at most 4,096 bytes long, although version 2 could say
 * 65,551: what proxies send is far below that, unless they add certificates.
 * @{
 */
#ifndef MTSERVER_PROXY_H
#define MTSERVER_PROXY_H

#include <stddef.h>
#include <sys/types.h>

#include <mtserver/export.h>
#include <mtserver/handler.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What mts_server_set_proxy_protocol() chooses: which connections begin with a PROXY header. */
enum mts_proxy_protocol {
	/** None; the default. A header that comes all the same is a request like any other. */
	MTS_PROXY_OFF = 0,
	/**
	 * All. Once it was said which proxies are trusted (mts_server_set_trusted_proxies()), all others
	 * are closed at once. Before that anybody who can connect is believed, so let only the proxy
	 * connect: by the address of the listener, or by a packet filter.
	 */
	MTS_PROXY_REQUIRED = 1,
	/**
	 * Those of trusted proxies: they have to send a header. All others are plain, and what they send
	 * is never taken for a header. Nobody is trusted until mts_server_set_trusted_proxies() was called.
	 */
	MTS_PROXY_FROM_TRUSTED = 2
};

/**
 * Says which connections begin with a PROXY header, on the listeners of the listen calls that follow:
 * mts_server_listen(), mts_server_listen_fd(). One server can have listeners of each kind. A client
 * of mts_server_adopt() is always plain.
 *
 * The address that the header announces is the client's from then on: for mts_client_peer(), in the
 * log, for mts_server_set_max_clients_per_address() and mts_server_set_access(). mts_client_local() stays
 * the address of this machine to which the proxy has connected. Where the header announces none (LOCAL,
 * UNKNOWN, AF_UNSPEC), it is the proxy's own, as without a header. A health check is not
 * counted by its address; and from a proxy that is trusted it is not subject to mts_server_set_access().
 * Version 2 says LOCAL for it. Version 1 has no word for it, and a check announces the address and port from
 * which the proxy itself has connected, as those of HAProxy do (`check-send-proxy`); so whoever announces that
 * is taken for one. (A proxy that connects from its clients' own addresses has to send version 2.)
 *
 * Before the header is whole nothing is sent to the client and no hook is called for it. It takes a place
 * among mts_server_set_max_clients() meanwhile, which #MTS_OVERLOAD_EVICT may give to another one; on
 * demand it has no thread. A header that is malformed, longer than 4,096 bytes, not whole within
 * #MTS_TIMEOUT_HANDSHAKE, or from somebody who is not trusted, ends the client: it is closed without a
 * word, logged, and counted in #MTS_STAT_PROXY_ERRORS. So does whatever else comes where a header is
 * needed: it is never guessed whether there is one. Who leaves without having sent a byte is neither
 * logged nor counted.
 *
 * Who is trusted is asked when the proxy connects, and again when its header is whole.
 *
 * @param server the server
 * @param mode one of #mts_proxy_protocol
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p mode is none of them
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_set_proxy_protocol(server, MTS_PROXY_REQUIRED);
 * mts_server_listen(server, "10.0.0.5:5000"); // for the proxy
 * mts_server_set_proxy_protocol(server, MTS_PROXY_OFF);
 * mts_server_listen(server, "localhost:5001"); // for this machine
 * @endcode
 * @see mts_server_set_trusted_proxies(), mts_client_via(), mts_client_proxy_tlv()
 */
MTS_API int mts_server_set_proxy_protocol(mts_server *server, int mode);

/**
 * Tells by which proxy a client has come.
 *
 * @param client the client
 * @return the proxy's own address, as mts_client_peer() gives addresses; "" when the client has sent no
 *         PROXY header, or @p client is NULL. Valid as long as what mts_client_peer() returns.
 * @par Threads
 * This client's callbacks.
 * @since 0.2
 * @par Example
 * @code
 * printf("%s has come by %s\n", mts_client_peer(client), mts_client_via(client));
 * @endcode
 * @see mts_client_peer(), mts_server_set_proxy_protocol()
 */
MTS_API const char *mts_client_via(mts_client *client);

/**
 * Gives one of the further values (TLVs) that a header of version 2 can carry. They are such as the name
 * that the client has asked for by TLS (2, PP2_TYPE_AUTHORITY) or an identifier of the connection (5,
 * PP2_TYPE_UNIQUE_ID); the specification has the list. They are kept as they came.
 *
 * @param client the client
 * @param type which one, 0 to 255; of several of one type it is the first
 * @param[out] buffer where to put it; may be NULL when @p size is 0, to ask for the size alone
 * @param size how much room there is; of a longer value only so much is copied
 * @return how many bytes the value has, which may be more than @p size; or
 * @retval -ENOENT there is none of this type, or the client has sent no header
 * @retval -EINVAL @p client is NULL, @p type is out of range, or @p buffer is NULL and @p size is not 0
 * @par Threads
 * This client's callbacks.
 * @since 0.2
 * @par Example
 * @code
 * char name[256];
 * ssize_t size = mts_client_proxy_tlv(client, 2, name, sizeof(name)); // not a string: no NUL
 * @endcode
 * @see mts_client_via(), mts_server_set_proxy_protocol()
 */
MTS_API ssize_t mts_client_proxy_tlv(const mts_client *client, int type, void *buffer, size_t size);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
