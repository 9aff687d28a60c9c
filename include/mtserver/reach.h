/**
 * @file mtserver/reach.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup reach Reach
 * A client itself may be used in its own callbacks only. Its number, mts_client_id(), may go
 * anywhere, and with that any thread can send to the client or end it, at any time. An id is never
 * used again, so a call that comes too late finds no client. The example `chat.c` shows how.
 *
 * None of these calls waits for a client or another thread, and none of them runs a callback of the
 * program. So they may be made with locks of the program held. A message whose bytes lie in a
 * mapped file is read in first, and only the caller waits for that. All of them may be called in
 * callbacks too, of this server and of others, also for the client whose callback it is; but not in
 * signal handlers. The server must not be destroyed meanwhile; before it has started and after it
 * has stopped it has no clients.
 * @{
 */
#ifndef MTSERVER_REACH_H
#define MTSERVER_REACH_H

#include <stddef.h>
#include <stdint.h>

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Sends a message to a client: all of it, or nothing.
 *
 * The calling thread sends it, as far as the socket takes it; the rest is kept, and sent later by
 * the library. What waits for a client is limited (mts_server_set_max_output()): a message that
 * does not fit is refused, so that a peer that does not read costs neither memory nor time. Where
 * nothing waits, a message of any size is taken if there is memory for it
 * (mts_server_set_max_memory()). A message is also refused while the client's own handler waits in
 * mts_client_write() for its peer to read, since more than the limit waits then, and while the
 * handler sends a file (mts_client_sendfile()).
 *
 * Messages that one thread sends to one client arrive in that order, each in one piece: nothing
 * that others send, or that the client's handler writes in one call, gets in between. What the
 * handler has written but not sent yet (mts_client_flush()) comes after the message.
 *
 * A client can be sent to from the moment its open hook has returned 0 until it ends: when its
 * handler has returned #MTS_CLOSE it gets what was sent before, and nothing more. The reply of a
 * handler that has returned #MTS_LATER is sent in this way (later.h). That a message
 * was taken does not mean that it arrives: the connection may be lost before.
 *
 * @param server the server
 * @param id the client's number
 * @param data the bytes; not kept
 * @param size how many; with 0 the answer is only whether the client could be sent to
 * @retval 0 sent, or on its way
 * @retval -EINVAL @p server is NULL, or @p data is NULL and @p size is not 0
 * @retval -ENOENT there is no such client: it is gone, it ends, or it is not open yet; or its callback
 *         has called mts_client_shutdown()
 * @retval -ENOBUFS too much waits for this client; nothing was sent (counted: #MTS_STAT_UNSENT)
 * @retval -ENOMEM memory is short, or mts_server_set_max_memory() leaves none; nothing was sent,
 *         and the client stays (likewise)
 * @retval -EFAULT the bytes cannot be read, as those of a mapped file that was truncated; nothing
 *         was sent. Above 4,096 bytes; fewer are copied as by memcpy(3).
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * // Any thread, which knows the client by its number:
 * int result = mts_server_send(server, id, "news\n", 5);
 * if (result == -ENOBUFS) {
 *     mts_server_kick(server, id); // it does not read
 * } else if (result == -ENOENT) {
 *     forget(id); // it has gone
 * }
 * @endcode
 * @see mts_client_id(), mts_server_broadcast(), mts_server_set_max_output()
 */
MTS_API int mts_server_send(mts_server *server, uint64_t id, const void *data, size_t size);

/**
 * Sends a message to all clients, as mts_server_send() would to each. Clients that cannot take it
 * are passed over, and counted in #MTS_STAT_UNSENT. A client that opens or ends meanwhile may get
 * it or not.
 *
 * @param server the server
 * @param data the bytes; not kept
 * @param size how many
 * @return how many clients have been reached, at most INT_MAX, or
 * @retval -EINVAL @p server is NULL, or @p data is NULL and @p size is not 0
 * @retval -EFAULT the bytes cannot be read, as with mts_server_send(); nothing was sent
 * @retval -ENOMEM memory is short for a copy of a large message, which is needed only where the
 *         kernel does not know MADV_POPULATE_READ (madvise(2)); nothing was sent
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_broadcast(server, "The kitchen closes in ten minutes.\n", 35);
 * @endcode
 * @see mts_server_send(), mts_server_every()
 */
MTS_API int mts_server_broadcast(mts_server *server, const void *data, size_t size);

/**
 * Ends a client gracefully, as if its handler returned #MTS_CLOSE now, or, if one is running, after
 * the request that it handles. No further request is handled, not even one that has come already.
 * All that was written for the client and sent to it before is still sent, within #MTS_TIMEOUT_WRITE;
 * then it is closed so that it arrives (#MTS_TIMEOUT_LINGER), and its close hook is called with
 * #MTS_CLOSED_BY_HANDLER.
 *
 * The handler that is running is not hurried: it can write, and mts_client_read() goes on with what
 * belongs to its request. But mts_client_next() answers -ECANCELED, also if it waits already, and
 * mts_client_gone() says #MTS_GONE_CLOSED. From this call on mts_server_send() answers -ENOENT for
 * the client; but if its reply was deferred (mts_client_defer()), the reply can still be sent, and
 * this is so once it is completed. mts_server_kick() still cuts it off, and so does the deadline of a stop. If something
 * else ends the client before it is closed, such as its peer, a failed handler or a timeout, the
 * close hook is told that reason instead; it is called once.
 *
 * @param server the server
 * @param id the client's number
 * @retval 0 it will end; when several threads close the same client, only one of them gets this
 * @retval -EINVAL @p server is NULL
 * @retval -ENOENT there is no such client: it is gone, it ends already, or its connection is lost
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.2
 * @par Example
 * @code
 * // A thread of the program, with a farewell for a client that it knows by its number:
 * (void)mts_server_send(server, id, "bye\n", 4);
 * (void)mts_server_close(server, id);
 * @endcode
 * @see mts_client_id(), mts_server_kick(), mts_server_send()
 */
MTS_API int mts_server_close(mts_server *server, uint64_t id);

/**
 * Cuts a client off, at once. Output that the kernel does not have yet is dropped, calls that wait
 * in its callbacks fail with -EPIPE, mts_client_gone() says #MTS_GONE_KICKED there, and when its
 * present callback has returned its close hook is called with #MTS_CLOSED_KICKED. Requests that
 * have come already are not handled any more. (A client whose open hook then refuses it has no
 * close hook.)
 *
 * An orderly end of the stream tells the peer that it has got all that was written. So if anything
 * is dropped the connection is reset, also while a child process holds the socket, and receiving
 * fails there with ECONNRESET. A reset also discards what the kernel has taken but not delivered
 * yet. A deferred reply that is still to come (mts_client_defer()) counts as dropped. If nothing is dropped nothing is reset: the kernel delivers what it has, and then the end of
 * the stream. The same is true for everything else that cuts a client off: a failed handler,
 * #MTS_TIMEOUT_WRITE, the deadline of a stop, a lack of memory.
 *
 * A Unix socket cannot be reset. There the peer gets ECONNRESET when the socket is closed with
 * something unread in it, which the library leaves there if anything is dropped; but a peer that
 * has sent nothing more gets the end of the stream all the same (unix(7)). So a protocol for Unix
 * sockets should say how long a reply is.
 *
 * @param server the server
 * @param id the client's number
 * @retval 0 done; when several threads kick the same client, only one of them gets this
 * @retval -EINVAL @p server is NULL
 * @retval -ENOENT there is no such client: it is gone, its connection is lost, or its close hook
 *         has begun
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_kick(server, id); // it has broken the rules
 * @endcode
 * @see mts_client_id(), mts_server_close(), mts_client_gone()
 */
MTS_API int mts_server_kick(mts_server *server, uint64_t id);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
