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
 * In both models the threads on which callbacks run are the library's. It makes them, lends them to
 * callbacks, and ends those that have had nothing to do for a second. Therefore:
 *
 * - A callback ends by returning, and does not join, detach or cancel its thread. One that calls
 *   pthread_exit(3) all the same counts as failed: its client ends with #MTS_CLOSED_ERROR. Cancelling
 *   has no effect, since it is turned off in these threads (pthread_setcancelstate(3)), and has to
 *   stay so: it could strike while the library holds a lock.
 * - What a callback changes about its thread it puts back before it returns: the user
 *   (setfsuid(2)), the CPUs (sched_setaffinity(2)), the priority, the signal mask, the locale
 *   (uselocale(3)). Otherwise other clients are served with the change. What cannot be put back,
 *   such as a seccomp(2) filter, does not belong in a callback.
 * - A child that has asked for a signal at the death of its parent (PR_SET_PDEATHSIG, prctl(2)) gets
 *   it when the thread that made it ends, which may be soon. Make such children on a thread of the
 *   program's own.
 *
 * All asynchronous signals are blocked in these threads, so that they go to the program's own. A
 * child inherits that, also through exec(3), and then cannot be ended by SIGTERM. Give it a mask of
 * its own:
 *
 * @snippet child.c child
 *
 * A profiler that works by SIGPROF (setitimer(2)) sees callbacks only in threads that take that
 * signal. Unblock it in the hook for new threads (mts_server_on_thread()):
 *
 * @snippet child.c profiler
 *
 * @param server the server
 * @param model one of #mts_thread_model
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p model is none of them
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_threads(server, MTS_THREAD_PER_CLIENT); // each conversation on one thread
 * @endcode
 * @see mts_server_set_max_threads(), mts_server_set_stack_size(), mts_server_on_thread()
 */
MTS_API int mts_server_set_threads(mts_server *server, int model);

/**
 * Sets how many threads may serve clients at once. Those that rest or wait for requests count too,
 * and those whose destructors of thread-specific data still run (pthread_key_create(3)). Clients
 * that find no free thread wait for their turn; all are served in the end. The log says once that
 * the limit is reached; #MTS_STAT_THREAD_WAITS counts how often clients had to wait. With
 * #MTS_THREAD_PER_CLIENT the limit is the number of clients that are served at once; with
 * #MTS_THREAD_ON_DEMAND, the number of callbacks that run at once.
 *
 * *Live*: when it is raised, clients that wait for a thread get one at once. When it is lowered no client
 * is cut off: threads that are too many leave as soon as they rest, or have served the client that they
 * serve.
 *
 * @param server the server
 * @param threads how many, at most 1,000,000; 0, the default: as many as there are clients
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p threads is out of range
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1; live since 0.2
 * @par Example
 * @code
 * // At SIGHUP, from the new configuration:
 * int result = mts_server_set_max_threads(server, configuration->threads);
 * @endcode
 * @see mts_server_set_threads(), mts_server_set_max_clients(), mts_server_stat()
 */
MTS_API int mts_server_set_max_threads(mts_server *server, unsigned threads);

/**
 * Sets the size of the stack of each thread that runs callbacks: how much callbacks may use. It is
 * virtual memory; what is never touched costs nothing. Below each stack lie 64 KiB that cannot be
 * touched: a callback that uses more than its stack ends the process there (SIGSEGV), as long as no
 * single function has a larger frame, which could reach past them into the stack of another thread.
 *
 * @param server the server
 * @param bytes 16 KiB to 1 GiB, rounded up to whole pages; the default is 1 MiB. The library adds
 *        what it needs itself, and what the C library takes out of each stack: its own data, and
 *        what is set aside for thread-local variables.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p bytes is out of range
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_stack_size(server, (size_t)8 * 1024 * 1024); // as large as that of main()
 * @endcode
 * @see mts_server_set_threads(), mts_server_on_thread()
 */
MTS_API int mts_server_set_stack_size(mts_server *server, size_t bytes);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
