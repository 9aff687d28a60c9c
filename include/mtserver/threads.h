/**
 * @file mtserver/threads.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup threads Threads
 * Which threads serve the clients.
 * @{
 */
#ifndef MTSERVER_THREADS_H
#define MTSERVER_THREADS_H

#include <stddef.h>

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * How clients and threads go together. In both models handlers are plain blocking C, and one that
 * blocks holds up no other client.
 */
enum mts_thread_model {
	/**
	 * A client has a thread of its own from accept to close, which runs all its callbacks.
	 */
	MTS_THREAD_PER_CLIENT = 0,
	/**
	 * A client has a thread only while one of its callbacks runs; between requests it has none, and
	 * costs 256 bytes and a descriptor. Its callbacks come one at a time and in order, but not all
	 * on the same thread, so what a handler keeps for its client goes to mts_client_set_data(), not
	 * into thread-local variables. Handlers that return soon are run one after the other by the
	 * thread that has found their requests. When one waits for something, or computes for long,
	 * another thread goes on with the others.
	 */
	MTS_THREAD_ON_DEMAND = 1
};

/**
 * Chooses the thread model. The default is #MTS_THREAD_ON_DEMAND.
 *
 * @param server the server
 * @param model one of #mts_thread_model
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p model is none of them
 * @retval -EBUSY the server runs or ran
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 */
MTS_API int mts_server_set_threads(mts_server *server, int model);

/**
 * Sets how many threads may serve clients at once, those that rest or wait for requests included,
 * and those whose destructors of thread-specific data still run (pthread_key_create(3)).
 * Clients that find none free wait for their turn; all are served in the end. The log tells once that
 * the limit is reached, #MTS_STAT_THREAD_WAITS how often. With
 * #MTS_THREAD_PER_CLIENT that is the number of clients that are served at once; with
 * #MTS_THREAD_ON_DEMAND the number of callbacks that run at once.
 *
 * @param server the server
 * @param threads how many, at most 1,000,000; 0, the default: as many as there are clients
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p threads is out of range
 * @retval -EBUSY the server runs or ran
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 */
MTS_API int mts_server_set_max_threads(mts_server *server, unsigned threads);

/**
 * Sets the stack of each thread that serves clients: what callbacks may use. It is virtual memory;
 * what is never touched costs nothing.
 *
 * @param server the server
 * @param bytes 16 KiB to 1 GiB, rounded up to whole pages; the default is 1 MiB. The library adds
 *        what it needs itself.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p bytes is out of range
 * @retval -EBUSY the server runs or ran
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 */
MTS_API int mts_server_set_stack_size(mts_server *server, size_t bytes);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
