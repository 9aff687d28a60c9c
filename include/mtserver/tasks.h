/**
 * @file mtserver/tasks.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup tasks Tasks
 * Work in the background: functions of the program that the server calls at certain times, once or
 * again and again, such as to write down statistics, to renew what is cached, or to send something to
 * all clients every second.
 *
 * They run on threads of the library, as handlers do, and may block like these. With threads on
 * demand they share the workers with the clients, and mts_server_set_max_threads() bounds both. With a
 * thread per client they have a few threads of their own, up to 8, in addition; these are made when
 * there is something to do, and end when there has been nothing for a second. The log says once that
 * all 8 are in use, and others wait. While none of its tasks
 * is due a server does nothing for them.
 * @{
 */
#ifndef MTSERVER_TASKS_H
#define MTSERVER_TASKS_H

#include <stdint.h>

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A task. It runs on a thread of the library, which may be another one each time, with no lock held.
 * It may call what may be called from any thread, also mts_server_stop(), and add and cancel tasks;
 * mts_server_join() and mts_server_destroy() for its own server answer -EDEADLK. A task that ends its
 * thread, although it must not, counts as returned.
 *
 * @param server the server
 * @param user what was given with the task; it stays the program's
 */
typedef void (*mts_task)(mts_server *server, void *user);

/**
 * Calls a task every @p ms milliseconds, the first time @p ms milliseconds from now. Before
 * mts_server_run() or mts_server_start() the time counts from when the server begins to run.
 *
 * The beat is kept: the times are whole multiples of @p ms after the beginning, on the clock
 * CLOCK_MONOTONIC (clock_gettime(2)), however long the task takes and however late a call is. A task
 * is never called while it still runs. Times that pass meanwhile, or while it waits for a thread, or
 * while the whole process is stopped, are one: it is called once for all of them, at once, and then at
 * the next time that is left.
 *
 * Tasks end with the server's stop: none is called after it has begun, not in its grace either
 * (mts_server_set_drain()). A task that runs at that moment,
 * or is just being called, is waited for like a handler, until the stop's deadline (#MTS_TIMEOUT_STOP); then it counts as a
 * callback that hangs, and mts_server_run() and mts_server_join() answer -EBUSY.
 *
 * @param server the server
 * @param ms the period in milliseconds, at least 1
 * @param task what to call
 * @param user given to it; not touched, and the program's to free, when the task is gone
 * @return the number of the task, above 0 and never used again in this server, or
 * @retval -EINVAL @p server or @p task is NULL, or @p ms is 0
 * @retval -ENOMEM memory is short; nothing has changed
 * @retval -ECANCELED the server is to stop, or has stopped
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, also in callbacks; not in signal handlers.
 * @since 0.2
 * @par Example
 * @code
 * static void tick(mts_server *server, void *user)
 * {
 *     (void)user;
 *     mts_server_broadcast(server, "tick\n", 5);
 * }
 *
 * static int with_a_clock(mts_server *server) // before or while it runs
 * {
 *     int64_t task = mts_server_every(server, 1000, tick, NULL);
 *     return task < 0 ? (int)task : 0;
 * }
 * @endcode
 * @see mts_server_after(), mts_server_cancel(), mts_server_broadcast()
 */
MTS_API int64_t mts_server_every(mts_server *server, unsigned ms, mts_task task, void *user);

/**
 * Calls a task once, @p ms milliseconds from now; all else is as with mts_server_every(). When it has
 * returned, its number is used up. If the stop comes first it is not called at all.
 *
 * @param server the server
 * @param ms how long to wait, in milliseconds; 0: as soon as a thread has time
 * @param task what to call
 * @param user given to it; not touched, and the program's to free, when the task is gone
 * @return the number of the task, above 0 and never used again in this server, or
 * @retval -EINVAL @p server or @p task is NULL
 * @retval -ENOMEM memory is short; nothing has changed
 * @retval -ECANCELED the server is to stop, or has stopped
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, also in callbacks; not in signal handlers.
 * @since 0.2
 * @par Example
 * @code
 * static void remind(mts_server *server, void *user)
 * {
 *     (void)user;
 *     mts_server_broadcast(server, "This service ends in a minute.\n", 31);
 * }
 *
 * static int at_the_end_of_the_day(mts_server *server)
 * {
 *     int64_t task = mts_server_after(server, 86340 * 1000, remind, NULL);
 *     return task < 0 ? (int)task : 0;
 * }
 * @endcode
 * @see mts_server_every(), mts_server_cancel()
 */
MTS_API int64_t mts_server_after(mts_server *server, unsigned ms, mts_task task, void *user);

/**
 * Cancels a task: it is not started again. Does not wait. After 0 it neither runs nor will, so what
 * it uses may be freed. After -EINPROGRESS it may still use that until it returns; from then on the
 * answer is -ENOENT.
 *
 * @param server the server
 * @param task its number
 * @retval 0 it does not run, and will not; when several threads cancel it, only one of them gets this
 * @retval -EINPROGRESS it runs at this moment, perhaps since this call is made in it; it is not
 *         started again
 * @retval -ENOENT there is no such task: it was cancelled, or has been called for the last time
 * @retval -EINVAL @p server is NULL
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, also in callbacks, and in the task itself; not in signal handlers.
 * @since 0.2
 * @par Example
 * @code
 * if (mts_server_cancel(server, task) == 0) {
 *     free(what_the_task_uses); // it does not run, and will not
 * }
 * @endcode
 * @see mts_server_every(), mts_server_after()
 */
MTS_API int mts_server_cancel(mts_server *server, int64_t task);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
