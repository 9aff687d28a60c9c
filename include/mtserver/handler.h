/**
 * @file mtserver/handler.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup handler Handler
 * The callback that a program writes: one call for each request, plain blocking C.
 * @{
 */
#ifndef MTSERVER_HANDLER_H
#define MTSERVER_HANDLER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One connected peer. It lives from the open hook to the end of the close hook. */
typedef struct mts_client mts_client;

/** What a handler may return, besides a negative errno value. */
enum mts_verdict {
	MTS_KEEP = 0, /**< wait for this client's next request */
	MTS_CLOSE = 1, /**< send what was written, then close so that the peer receives all of it */
	MTS_LATER = 2 /**< the reply comes later: see mts_client_defer(); since 0.2 */
};

/**
 * Handles one request.
 *
 * It may block: sleep, query a database, talk with its own client through mts_client_next(). That
 * holds up no other client. One client's requests are handled one at a time and in their order;
 * requests of different clients are handled at the same time. What it returns, one of #mts_verdict or a
 * negative errno value, says what becomes of the client.
 *
 * @param client the client that asks; valid until its close hook has returned
 * @param request its bytes, never NULL, also when @p size is 0. They belong to the library, and are
 *        valid until the handler returns or asks for the next request. `request[size]` reads as a
 *        NUL byte, so that text needs no copy.
 * @param size how many bytes
 * @param user what mts_server_create() was given
 * @retval MTS_KEEP wait for the next request
 * @retval MTS_CLOSE send everything, then close
 * @retval MTS_LATER the reply was deferred, with mts_client_defer(); without that it counts as an error
 * @retval "a negative errno value" log it and cut the client off. What this call has written, as
 *         far as it is not sent yet, is dropped. What was written before is sent as far as the
 *         socket takes it at once; the rest is dropped. If anything is dropped the peer gets a
 *         reset, as mts_server_kick() says; else the end of the stream. Any other value counts as
 *         -EINVAL. There is one exception: the same error that a call of the library has returned
 *         for this client, -EPIPE of mts_client_write() or any of mts_client_next() and
 *         mts_client_read() and its kin, is no failure of the handler. Then nothing is logged about it, what
 *         was written is sent where that is possible, and the close hook is told why the client has
 *         ended, for example #MTS_CLOSED_BY_PEER or #MTS_CLOSED_IDLE.
 * @par Threads
 * It is called on a thread of the library, with no lock of the library held. The thread is only
 * lent to it, and serves others afterwards: leave by returning, not by longjmp(3), pthread_exit(3)
 * or a C++ exception, and put back what you have changed about the thread. All asynchronous signals
 * are blocked there, and children inherit that. mts_server_set_threads() says more about such
 * threads. In a child made by fork(2), before exec(3), most of the library refuses to work
 * (server.h), and the child must not return from here.
 */
typedef int (*mts_handler)(mts_client *client, const void *request, size_t size, void *user);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
