/**
 * @file mtserver/later.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup later Later
 * A reply that takes long need not keep a thread. The handler asks for a ticket, hands it and the
 * client's number to whoever will have the reply, and returns #MTS_LATER. Its client then gets no
 * further request, and, with #MTS_THREAD_ON_DEMAND, costs no thread, until the reply is completed, by
 * any thread. The example `poll.c` shows how.
 *
 * @code
 * static int ask(mts_client *client, const void *request, size_t size, void *user)
 * {
 *     const int64_t ticket = mts_client_defer(client);
 *     if (ticket < 0) {
 *         return (int)ticket;
 *     }
 *     // It may be done before this handler has returned.
 *     put_into_a_queue_of_yours(mts_client_id(client), ticket, request, size);
 *     return MTS_LATER;
 * }
 * @endcode
 *
 * And a thread of yours, when it has the reply:
 *
 * @code
 * (void)mts_server_send(server, id, reply, length);
 * (void)mts_server_complete(server, id, ticket, MTS_KEEP);
 * @endcode
 * @{
 */
#ifndef MTSERVER_LATER_H
#define MTSERVER_LATER_H

#include <stdint.h>

#include <mtserver/export.h>
#include <mtserver/handler.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The reply to the present request comes later: the handler returns #MTS_LATER next, and
 * mts_server_complete() ends the request, with the ticket that this returns.
 *
 * Until then the client gets no further request; what it sends stays where it is. (The handler may go
 * on conversing before it returns.) The reply is what is sent with mts_server_send(), which
 * mts_server_close() does not end before the reply is completed; or what the next request's handler
 * writes. What was written for the client before this call is sent first, as by
 * mts_client_flush() but without waiting for the peer, so that replies stay in their order. What the handler
 * writes after this call goes out when it returns, and so perhaps after what others have sent.
 *
 * The wait lasts for #MTS_TIMEOUT_LATER at most. Then all that was written for the client is still
 * sent, and it is closed; its close hook is told #MTS_CLOSED_LATER_TIMEOUT. #MTS_TIMEOUT_IDLE does not
 * apply, and the client is never evicted as an idle one. It ends at once when it is kicked, with
 * a reset, since its reply is missing, or when its connection is reset; but a peer that has only finished sending waits for its reply. (Most
 * peers that close their socket have just finished sending, as far as can be seen from here, until
 * something is sent to them.) A stop waits for the reply until its deadline, and resets the
 * connection then; the client does not count in #MTS_STAT_HUNG. mts_server_close() waits for it too.
 *
 * With #MTS_THREAD_ON_DEMAND a client that waits so costs less than 400 bytes of the library's, and
 * what was received of its next requests. With #MTS_THREAD_PER_CLIENT its thread waits with it.
 *
 * If the handler returns anything but #MTS_LATER, that holds, and the ticket is void.
 *
 * @param client the client whose handler this is
 * @return the ticket, above 0; the client's tickets are all different; or
 * @retval -EINVAL @p client is NULL, or this is no handler, but a hook
 * @retval -EALREADY this call of the handler has a ticket already
 * @retval -EPIPE the connection is lost, or this is no callback of the client, or its last word
 *         (#mts_fault_hook)
 * @retval -ENOMEM memory is short
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * The one that runs the client's handler.
 * @since 0.2
 * @par Example
 * @code
 * int64_t ticket = mts_client_defer(client);
 * if (ticket < 0) {
 *     return (int)ticket;
 * }
 * give_to_a_thread_of_yours(mts_client_id(client), ticket, request, size);
 * return MTS_LATER;
 * @endcode
 * @see mts_server_complete(), mts_server_send(), mts_client_set_timeout()
 */
MTS_API int64_t mts_client_defer(mts_client *client);

/**
 * Completes a deferred reply: the request ends as if its handler returned @p verdict now, or, if it
 * has not returned #MTS_LATER yet, as soon as it does. All that was sent to the client before comes
 * before anything that its next handler writes.
 *
 * This waits for nobody, and runs no callback, so it may be called with locks of the program held;
 * also in callbacks, of this client too, but not in signal handlers. The server must not be destroyed
 * meanwhile.
 *
 * @param server the server
 * @param id the client's number
 * @param ticket what mts_client_defer() has returned
 * @param verdict #MTS_KEEP, #MTS_CLOSE, or a negative errno value: as a handler that returns that
 * @retval 0 done; when several threads complete the same reply, only one of them gets this
 * @retval -EINVAL @p server is NULL, or @p verdict is none of these; #MTS_LATER is none
 * @retval -ENOENT there is no such client: it is gone, its connection is lost, or it ends
 * @retval -ESTALE this is not the ticket of a reply that is still to come: it was completed before,
 *         or has taken too long, or its handler has returned something else
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.2
 * @par Example
 * @code
 * // A thread of the program has the reply to a client that waits for it:
 * mts_server_send(server, id, reply, length);
 * mts_server_complete(server, id, ticket, MTS_KEEP);
 * @endcode
 * @see mts_client_defer(), mts_server_send()
 */
MTS_API int mts_server_complete(mts_server *server, uint64_t id, int64_t ticket, int verdict);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
