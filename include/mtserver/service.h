/**
 * @file mtserver/service.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup service Service
 * A program that a service manager runs, such as systemd, tells it when it serves, that it stops, and
 * that its requests get on (sd_notify(3)). This is done without the manager's own library. Where no
 * manager asks for it nothing is done, so a program may do it always.
 *
 * The manager can also open the listening sockets itself, before it starts the program:
 * mts_server_listen() takes `systemd:NAME`. A unit for both, and one for the sockets, is among the
 * examples:
 *
 * @code{.unparsed}
 * [Service]
 * Type=notify
 * ExecStart=/usr/local/bin/program systemd:
 * WatchdogSec=30
 * @endcode
 * @{
 */
#ifndef MTSERVER_SERVICE_H
#define MTSERVER_SERVICE_H

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Has the server tell the service manager how it does. What it says, and when:
 *
 * | message | when |
 * |---|---|
 * | `READY=1` | a connection would be served: the server has started, its listeners are watched (or suspended, mts_server_suspend(): then it waits), and a thread for it is there. Units of the type `notify` wait for this. |
 * | `STOPPING=1` | a stop has begun: mts_server_stop(), from wherever |
 * | `STATUS=...` | with each of these: where it serves, and how many clients a stop finds |
 * | `WATCHDOG=1` | if the manager watches the service (WatchdogSec=): three times in that period, as long as requests get on |
 *
 * Requests get on unless a client has waited for a thread for more than half of the period. So the
 * manager starts the service anew when handlers hang and no thread may be had for others, or none can
 * be made; at the latest one and a half periods after the first client had to wait. It also does so if
 * the library itself hangs. A handler that hangs is nothing to it as long as others are served
 * (#MTS_TIMEOUT_HANDLER finds those). Where mts_server_set_max_threads() lets clients wait for longer
 * than that in the usual course of things, the period has to be longer, or there should be none: what
 * peers can bring about, by keeping all threads busy, must not have the service killed.
 *
 * For the same reason only those count that wait for a thread, and not those that wait for room, in the
 * kernel's queue or held at the door (mts_server_set_max_clients(), mts_server_set_overload()). A server
 * whose clients stay for long may be full all day, and well; and peers can fill it. So where each of its
 * clients is in a handler that hangs, and no further one is let in, the manager is still told that all is
 * well. A program that wants to know looks by itself: #MTS_TIMEOUT_HANDLER and the log, or #MTS_STAT_BUSY
 * and #MTS_STAT_REQUESTS in a task, which can say what it likes by mts_notify(). Or it limits threads rather
 * than clients.
 *
 * The environment (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID) is read by this call, and not changed. All
 * messages are sent by a thread of the library that runs no callback. They never wait for the manager:
 * what finds no room at its socket is sent again soon. What cannot be sent for another reason is given
 * up, and the log says so; the server goes on. While it runs, this takes one descriptor. Without a
 * manager that asks for it, it takes nothing.
 *
 * It is for one server of a program. A program with several, or one that has more to do before it is
 * ready, uses mts_notify().
 *
 * @param server the server
 * @param on 0: it is told nothing, as by default; anything else: it is told
 * @retval 0 done, also where no manager has asked for it
 * @retval -EINVAL @p server is NULL; or NOTIFY_SOCKET, WATCHDOG_USEC or WATCHDOG_PID cannot be understood,
 *         and all is as it was
 * @retval -ENAMETOOLONG NOTIFY_SOCKET is longer than the name of a Unix socket can be
 * @retval -EAFNOSUPPORT NOTIFY_SOCKET names a socket of another kind (vsock(7))
 * @retval -ENOMEM memory is short
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_set_notify(server, 1);
 * @endcode
 * @see mts_notify(), mts_server_listen(), mts_server_set_timeout()
 */
MTS_API int mts_server_set_notify(mts_server *server, int on);

/**
 * Tells the service manager something, as sd_notify(3) does. It sends one message, to the Unix socket
 * that NOTIFY_SOCKET names, and never waits: if there is no room for it at the moment it says so. The
 * environment stays as it is.
 *
 * @param state lines of NAME=VALUE, with a newline between them; sd_notify(3) has the names. It stays
 *        the caller's.
 * @retval 1 sent
 * @retval 0 nobody wants to be told: NOTIFY_SOCKET is not set
 * @retval -EINVAL @p state is NULL or empty, or NOTIFY_SOCKET is neither a path from the root nor the
 *         name of an abstract socket
 * @retval -EAGAIN there is no room at the moment
 * @retval -ENAMETOOLONG NOTIFY_SOCKET is longer than the name of a Unix socket can be
 * @retval -EAFNOSUPPORT it names a socket of another kind (vsock(7))
 * @retval "another negative errno" as socket(2), connect(2) or send(2) said it, for example -ENOENT or
 *         -ECONNREFUSED: nobody is there; -EMSGSIZE: @p state is too long
 * @par Threads
 * Any, also in callbacks; not in signal handlers.
 * @since 0.2
 * @par Example
 * @code
 * mts_notify("STATUS=reading the index");
 * mts_notify("READY=1\nSTATUS=serving");
 * @endcode
 * @see mts_server_set_notify()
 */
MTS_API int mts_notify(const char *state);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
